"""Take several steps on one batch, held back by β times the exact KL(old ‖ policy)."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case, make

from ...draw import Draw
from ...exercise import Exercise, tensor

SEVERAL = "several steps"

PENALTY = "penalty"

LEFT_OVER = "gradients left over"

NETWORKS = "other networks and optimisers"

Optimizer = torch.optim.Optimizer

policy_update = Exercise(
    "policy_update",
    parts={VALUES: 2, SEVERAL: 2, PENALTY: 2, LEFT_OVER: 1, NETWORKS: 1, RULES: 1},
    hints=(
        "Two distributions: old, computed once before the loop and held constant, and the "
        "policy's, computed anew in each epoch. The ratio compares them at the action taken.",
        "Each epoch: log-probabilities of the policy, loss, zero_grad, backward, step; then, under "
        "no_grad, the policy once more, for the divergence that this step came to.",
        "old is the log_softmax of policy(observations), made under torch.no_grad() first. "
        "KL(old ‖ policy) of an observation is the sum over actions of old's probability times "
        "(log old − log policy). gather picks the action taken; the batch is averaged.",
    ),
    advisory={
        RULES: "that the numbers are plain ones; modes, hooks and options of policy and optimizer",
    },
)


def _state(draw: Draw, *sizes: int, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    """Weights of a network of these layers, as the "mlp" maker wants them."""
    state = {}
    for layer, (before, after) in enumerate(zip(sizes[:-1], sizes[1:], strict=True)):
        state[f"{2 * layer}.weight"] = draw.normal(after, before, scale=0.6, dtype=dtype)
        state[f"{2 * layer}.bias"] = draw.normal(after, scale=0.3, dtype=dtype)
    return state


def _batch(
    draw: Draw, batch: int, obs: int, action: int, dtype: torch.dtype = torch.float64
) -> dict:
    return {
        "observations": draw.normal(batch, obs, dtype=dtype),
        "actions": draw.integers(batch, below=action),
        "advantage": draw.normal(batch, dtype=dtype) + 0.4,
    }


def _sgd(lr: float = 0.3, **options: Any) -> dict[str, Any]:
    return make("sgd", of="policy", lr=lr, **options)


@policy_update.by_hand
def _() -> Iterator[Case]:
    zero = {
        "0.weight": torch.zeros(2, 1, dtype=torch.float64),
        "0.bias": torch.zeros(2, dtype=torch.float64),
    }
    batch = {
        "observations": tensor([1.0], dtype=torch.float64),
        "actions": torch.tensor([0]),
        "advantage": tensor(1.0, dtype=torch.float64),
    }

    def case(title: str, beta: float, n_epochs: int, part: str) -> Case:
        inputs = {"policy": make("mlp", state=zero), "optimizer": _sgd(1.0)}
        return Case(title, {**inputs, **batch, "beta": beta, "n_epochs": n_epochs}, part)

    title = "two equally likely actions, the first one good; one step from logits (0, 0) to (1, −1)"
    yield case(f"{title}: KL(old ‖ policy) = 0.4338", 0.0, 1, VALUES)
    yield case("the same with beta 2: the first step has nothing to hold back", 2.0, 1, VALUES)
    yield case("two steps, beta 0", 0.0, 2, SEVERAL)
    yield case("two steps, beta 0.5: the second is held back", 0.5, 2, PENALTY)
    # One step each: a gradient that was clipped, or an advantage, is seen here and not by luck.
    for advantage, rate in ((5e3, 2e-4), (-5e3, 2e-4)):
        dear = batch | {"advantage": tensor(advantage, dtype=torch.float64)}
        inputs = {"policy": make("mlp", state=zero), "optimizer": _sgd(rate), **dear}
        title = f"advantage {advantage:g} at learning rate {rate:g}: as far as with 1 and 1"
        yield Case(title.replace("-", "−"), {**inputs, "beta": 0.0, "n_epochs": 1}, VALUES)
    rare = {"0.weight": zero["0.weight"], "0.bias": tensor(-4.0, 0.0, dtype=torch.float64)}
    inputs = {"policy": make("mlp", state=rare), "optimizer": _sgd(2.0), **batch}
    title = "two steps towards a rare action, whose ratio is 53 after the first"
    yield Case(title, {**inputs, "beta": 0.0, "n_epochs": 2}, SEVERAL)
    inputs = {"policy": make("mlp", state=zero), "optimizer": _sgd(1.0), **batch}
    yield Case("no epoch: no divergence", {**inputs, "beta": 1.0, "n_epochs": 0}, RULES)
    never = {
        "0.weight": torch.zeros(3, 1, dtype=torch.float64),
        "0.bias": tensor(0.0, 0.0, -800.0, dtype=torch.float64),
    }
    inputs = {"policy": make("mlp", state=never), "optimizer": _sgd(1.0), **batch}
    title = "two steps, beta 0.5, and a third action of probability exp(−800)"
    yield Case(title, {**inputs, "beta": 0.5, "n_epochs": 2}, RULES, probe="update")
    for part, beta in (
        (SEVERAL, 0.0),
        (PENALTY, 0.5),
        (LEFT_OVER, 0.5),
        (NETWORKS, 0.5),
        (RULES, 0.5),
    ):
        yield _far_steps(part, beta, 200.0 if part == RULES else 17.0)
        yield _rare_action(part, beta)


def _far_steps(part: str, beta: float, rate: float) -> Case:
    """Three steps, the first so long that whoever stops early, by whatever measure, stops there."""
    title = f"three steps at learning rate {rate:g}, beta {beta:g}: nothing stops them"
    return _three_steps(title, part, torch.zeros(2, 1), [[1.0]], [-1.0], _sgd(rate), beta)


def _rare_action(part: str, beta: float) -> Case:
    """Three steps; the bias, moved by the last observation, takes a rare action's ratio to e²³.

    It is good at the first observation and bad at the second, and its advantages are so small
    that the next step is of ordinary length: no bound on a ratio is seen by luck alone.
    """
    weights = torch.tensor([[-24.0, -24.0], [0.0, 0.0]])
    seen = [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]
    title = f"three steps towards an action of probability e⁻²⁴, beta {beta:g}"
    return _three_steps(title, part, weights, seen, [2e-11, -1e-11, 3.0], _sgd(24.5), beta)


def _three_steps(
    title: str,
    part: str,
    weights: Tensor,
    seen: list,
    advantage: list,
    optimizer: dict,
    beta: float,
) -> Case:
    """Three steps of a linear policy in float64; every action taken is the first."""
    state = {"0.weight": weights.double(), "0.bias": torch.zeros(2, dtype=torch.float64)}
    inputs = {
        "policy": make("mlp", state=state),
        "optimizer": optimizer,
        "observations": torch.tensor(seen, dtype=torch.float64),
        "actions": torch.zeros(len(seen), dtype=torch.int64),
        "advantage": torch.tensor(advantage, dtype=torch.float64),
        "beta": beta,
        "n_epochs": 3,
    }
    return Case(title, inputs, part, probe="update")


@policy_update.drawn
def _(draw: Draw) -> Iterator[Case]:
    def case(
        title: str,
        part: str,
        policy: dict,
        optimizer: dict,
        batch: dict,
        beta: float,
        n_epochs: int,
        **options: Any,
    ) -> Case:
        inputs = {"policy": policy, "optimizer": optimizer, **batch}
        return Case(title, inputs | {"beta": beta, "n_epochs": n_epochs}, part, **options)

    linear, deep = make("mlp", state=_state(draw, 3, 4)), make("mlp", state=_state(draw, 3, 6, 4))
    batch = _batch(draw, 7, 3, 4)
    yield case("a linear policy, one step", VALUES, linear, _sgd(), batch, 0.0, 1)
    yield case("a hidden layer, one step", VALUES, deep, _sgd(), batch, 1.5, 1)
    yield case("four steps, no penalty", SEVERAL, deep, _sgd(), batch, 0.0, 4)
    many = _batch(draw, 300, 3, 4)
    yield case("two steps, 300 observations", SEVERAL, deep, _sgd(), many, 0.5, 2)
    yield case("four steps, beta 1.5", PENALTY, deep, _sgd(), batch, 1.5, 4)
    momentum = _sgd(0.2, momentum=0.8)
    yield case("five steps, beta 0.4, momentum", PENALTY, linear, momentum, batch, 0.4, 5)
    stale = make("tied", state=_state(draw, 3, 5, 4), left_over=0.5)
    yield case("gradients from elsewhere at entry", LEFT_OVER, stale, _sgd(), batch, 0.7, 3)
    tied = make("tied", state=_state(draw, 2, 4, 4, 3), repeat=3)
    shared, adam = _batch(draw, 5, 2, 3), make("adam", of="policy", lr=0.03)
    yield case("one layer used three times, Adam", NETWORKS, tied, adam, shared, 0.8, 4)
    one = _batch(draw, 1, 2, 3)
    yield case("a batch of one observation", NETWORKS, tied, _sgd(), one, 1.0, 3)
    single = torch.float32
    small = make("mlp", state=_state(draw, 3, 5, 4, dtype=single))
    inputs = _batch(draw, 6, 3, 4, dtype=single)
    yield case("float32", RULES, small, _sgd(), inputs, 0.5, 6, rtol=1e-3, atol=2e-5)


def _taken(logs: Tensor, actions: Tensor) -> Tensor:
    return logs[torch.arange(len(actions)), actions]


def _kl(one: Tensor, other: Tensor) -> Tensor:
    """KL(one ‖ other) of each row."""
    return (one.exp() * (one - other)).sum(-1)


def _mean_kl(one: Tensor, other: Tensor) -> Tensor:
    return _kl(one, other).mean()


def _promise(old: Tensor, new: Tensor, actions: Tensor, advantage: Tensor) -> Tensor:
    return (_taken(new - old, actions).exp() * advantage).mean()


def _logs(policy: nn.Module, observations: Tensor) -> Tensor:
    return policy(observations).log_softmax(-1)


def _reverse_kl(old: Tensor, new: Tensor) -> Tensor:
    return _mean_kl(new, old)


def _steps(
    policy: nn.Module,
    optimizer: Optimizer,
    observations: Tensor,
    actions: Tensor,
    advantage: Tensor,
    beta: float,
    n_epochs: int,
    penalty: Callable[[Tensor, Tensor], Tensor] = _mean_kl,
    measure: Callable[[Tensor, Tensor], Tensor] = _mean_kl,
    weight: float = 1.0,
    logs: Callable[[nn.Module, Tensor], Tensor] = _logs,
) -> list[float]:
    """The update, with any of its pieces exchanged for another."""
    old, found = logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = logs(policy, observations)
        loss = beta * penalty(old, new) - _promise(old, new, actions, advantage)
        optimizer.zero_grad()
        (weight * loss).backward()
        optimizer.step()
        found.append(float(measure(old, logs(policy, observations).detach())))
    return found


@policy_update.wrong(
    "The penalty and the divergences returned are KL(policy ‖ old). Here old comes first, as in "
    "PPO's paper: old's probabilities are the weights."
)
def direction_swapped(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return _steps(*given, penalty=_reverse_kl, measure=_reverse_kl)


policy_update.changed(
    "direction_reported_swapped",
    "(old.exp() * (old - moved))",
    "(moved.exp() * (moved - old))",
    "The update is right, but the divergences returned are KL(policy ‖ old): old comes first.",
)
policy_update.changed(
    "direction_swapped_in_the_loss",
    "(old.exp() * (old - new))",
    "(new.exp() * (new - old))",
    "The divergences returned are right, but the penalty in the loss is KL(policy ‖ old): old "
    "comes first there too.",
)
policy_update.changed(
    "penalty_of_the_action_taken",
    "(old.exp() * (old - new)).sum(dim=-1)",
    "(old - new).gather(1, actions[:, None]).squeeze(1)",
    "The penalty in the loss looks at the action taken alone, log old − log policy: a noisy "
    "estimate. Every action's probability is known, so sum over all of them, as you do for the "
    "divergence that you return.",
)
policy_update.changed(
    "divergence_of_the_action_taken",
    "(old.exp() * (old - moved)).sum(dim=-1)",
    "(old - moved).gather(1, actions[:, None])",
    "The update is right, but the divergences returned look at the action taken alone: log old − "
    "log policy is a noisy estimate. Sum over all actions, weighted by old's probabilities.",
)


@policy_update.wrong(
    "old was computed again in every epoch, so the ratio is always 1 and the divergence always of "
    "one step. old is the policy before the first step: compute it once, before the loop."
)
def old_recomputed(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    found = []
    for _step in range(n_epochs):
        given = (policy, optimizer, observations, actions, advantage, beta, 1)
        found += reference.policy_update(*given)
    return found


@policy_update.wrong(
    "old still belongs to the graph: at the first step the ratio has no gradient, and the second "
    "backward meets a graph that is gone. Compute old under torch.no_grad(), or detach it."
)
def old_not_detached(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = policy(observations).log_softmax(-1), []
    for _step in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        optimizer.zero_grad()
        (beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        found.append(_mean_kl(old, policy(observations).log_softmax(-1)).item())
    return found


policy_update.changed(
    "descended",
    "loss = -(",
    "loss = (",
    "The whole loss has the wrong sign: the policy walks away from what was good. Minimise the "
    "negative of ratio · advantage − β · KL.",
)
policy_update.changed(
    "penalty_added",
    "- beta * divergence",
    "+ beta * divergence",
    "The penalty was added to the objective: the update is rewarded for divergence. The loss is "
    "−(ratio · advantage − β · KL), so β · KL enters it with a plus.",
)
policy_update.changed(
    "penalty_without_beta",
    "beta * divergence",
    "divergence",
    "The penalty was not weighted: multiply the divergence by beta.",
)
policy_update.changed(
    "penalty_missing",
    " - beta * divergence",
    "",
    "The penalty does nothing: it is missing from the loss, or no gradient passes through it, as "
    "when it is computed under no_grad or from detached numbers.",
)
policy_update.changed(
    "measured_before_the_step",
    "return divergences",
    "return [0.0, *divergences][:-1]",
    "The divergences begin with the one before the first step, always 0. Ask the policy again "
    "after optimizer.step(), and return one divergence for each epoch.",
)
policy_update.changed(
    "last_divergence_only",
    "return divergences",
    "return divergences[-1]",
    "What came back is no list, as when only the last number is returned, or all in one tensor: "
    "return a list of floats, one for each step (`.item()`).",
)
policy_update.changed(
    "nothing_returned",
    "return divergences",
    "return None",
    "What came back is no list (None, where `return` is missing): return the list of divergences, "
    "one number for each step.",
)
policy_update.changed(
    "initial_divergence_too",
    "return divergences",
    "return [0.0, *divergences]",
    "One divergence too many came back: that of before the first step, always 0, stands in front.",
)
policy_update.changed(
    "axis_of_actions_kept",
    ".squeeze(1)",
    "",
    "Every ratio meets every advantage: mean ratio times mean advantage comes out, as when "
    "the axis that gather keeps is left: [batch, 1] times [batch] is batch × batch. Each "
    "ratio belongs to its own advantage: squeeze before you multiply.",
)


@policy_update.wrong(
    "F.kl_div was given a logarithm where it wants a probability: pass log_target=True, or "
    "old.exp()."
)
def target_not_in_logs(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def misread(old: Tensor, new: Tensor) -> Tensor:
        return F.kl_div(new, old, reduction="batchmean")

    return _steps(*given, penalty=misread, measure=misread)


@policy_update.wrong(
    "An optimiser of your own made the steps. Use the one that came in: its kind, its learning "
    "rate and its memory are the caller's choice."
)
def own_optimizer(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    own = torch.optim.Adam(policy.parameters(), lr=1e-3)
    return reference.policy_update(policy, own, observations, actions, advantage, beta, n_epochs)


policy_update.changed(
    "one_step_more",
    "range(n_epochs)",
    "range(n_epochs + 1)",
    "One step too many was taken: n_epochs steps, and no more, are wanted.",
)
policy_update.changed(
    "penalty_inside_the_gain",
    "-(ratio * advantage.detach() - beta * divergence).mean()",
    "-(ratio * (advantage.detach() - beta * divergence)).mean()",
    "The penalty was multiplied into the ratio. KL stands beside ratio · advantage: it is exact, "
    "and needs no correction for who drew the action.",
)


@policy_update.wrong(
    "Losses came back: return the divergences KL(old ‖ policy), measured after each step."
)
def losses_returned(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def loss(old: Tensor, new: Tensor) -> Tensor:
        return beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)

    return _steps(*given, measure=loss)


@policy_update.wrong(
    "Summed over the batch, not averaged: the step grows with the number of observations. Take "
    "the mean, in the loss and in what is returned."
)
def summed_over_the_batch(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def total(old: Tensor, new: Tensor) -> Tensor:
        return _kl(old, new).sum()

    return _steps(*given, weight=len(actions), measure=total)


policy_update.changed(
    "loss_summed",
    "divergence).mean()",
    "divergence).sum()",
    "The loss is a sum over the batch: the step grows with the number of observations. Take the "
    "mean, as you do for the divergence that you return.",
)
policy_update.changed(
    "penalty_summed",
    "beta * divergence",
    "beta * divergence.sum()",
    "The penalty was summed over the batch while the gain was averaged: take the mean of both.",
)


@policy_update.wrong(
    "KL was summed over actions and over the batch, in the loss and in what is returned. Sum over "
    "actions, then take the mean over the observations, as for the gain."
)
def divergence_summed(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def total(old: Tensor, new: Tensor) -> Tensor:
        return _kl(old, new).sum()

    return _steps(*given, penalty=total, measure=total)


policy_update.changed(
    "report_summed",
    "moved)).sum(dim=-1).mean()",
    "moved)).sum()",
    "The update is right, but the divergences returned are sums over the batch: return their mean "
    "over the observations.",
)


@policy_update.wrong(
    "The mean of the divergence was taken over actions as well. KL is a sum over actions; only "
    "the observations are averaged."
)
def averaged_over_actions(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def average(old: Tensor, new: Tensor) -> Tensor:
        return (old.exp() * (old - new)).mean()

    return _steps(*given, penalty=average, measure=average)


@policy_update.wrong(
    "zero_grad is missing: each backward adds to the gradients of the steps before, and to what "
    "stood there at entry."
)
def gradients_accumulated(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = _logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = _logs(policy, observations)
        (beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        found.append(_mean_kl(old, _logs(policy, observations)).item())
    return found


@policy_update.wrong(
    "zero_grad comes after the step, so gradients that stood there at entry spoil the first one. "
    "Call it before backward."
)
def cleared_after_the_step(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = _logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = _logs(policy, observations)
        (beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        optimizer.zero_grad()
        found.append(_mean_kl(old, _logs(policy, observations)).item())
    return found


@policy_update.wrong(
    "The policy never moves, as when zero_grad between backward and step throws the gradient away, "
    "when step is missing, or when old still belongs to the graph, where its gradient cancels the "
    "policy's: compute old under torch.no_grad()."
)
def never_moves(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    return [0.0] * n_epochs


policy_update.changed(
    "stepped_once",
    "range(n_epochs)",
    "range(1)",
    "Only one step was taken: n_epochs steps on the same batch are wanted.",
)


@policy_update.wrong(
    "The divergence looks at the action taken alone: log old − log policy is a noisy estimate. "
    "Here every action's probability is known, so sum over all of them."
)
def taken_action_only(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def taken(old: Tensor, new: Tensor) -> Tensor:
        return _taken(old - new, actions).mean()

    return _steps(*given, penalty=taken, measure=taken)


policy_update.changed(
    "likeliest_action",
    "actions[:, None]",
    "old.argmax(dim=-1, keepdim=True)",
    "The ratio was taken at the likeliest action. It belongs to the action that old took: pick "
    "it with `actions`.",
)
policy_update.changed(
    "every_row_with_every_action",
    "(new - old).gather(1, actions[:, None]).squeeze(1).exp()",
    "(new - old)[:, actions].exp()",
    "logits[:, actions] takes every action of the batch at every observation. One entry of each "
    "row is wanted: gather, or index with torch.arange for the rows.",
)
policy_update.changed(
    "no_ratio",
    "(new - old).gather(1, actions[:, None]).squeeze(1).exp()",
    "new.gather(1, actions[:, None]).squeeze(1)",
    "This follows the gradient of log policy · advantage: the ratio is missing, or its exp is. "
    "That is right at the first step; from the second on the data are old's and are weighed by "
    "policy / old.",
)
policy_update.changed(
    "update_ratio_inverted",
    "(new - old)",
    "(old - new)",
    "The ratio is upside down: it is policy over old, exp(log policy − log old).",
)


@policy_update.wrong(
    "In the ratio, logits were used as if they were log-probabilities: they are so only up to a "
    "constant that moves with the policy. Take log_softmax first."
)
def logits_not_normalised(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = policy(observations).detach(), []
    for _step in range(n_epochs):
        new = policy(observations)
        kl = _mean_kl(old.log_softmax(-1), new.log_softmax(-1))
        optimizer.zero_grad()
        (beta * kl - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        moved = policy(observations).detach().log_softmax(-1)
        found.append(_mean_kl(old.log_softmax(-1), moved).item())
    return found


@policy_update.wrong(
    "The logarithm of softmax: an action whose probability is too small to be told from 0 gets "
    "log 0, and 0 · ∞ is nan. log_softmax never makes the small number."
)
def update_log_of_softmax(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def logs(policy: nn.Module, observations: Tensor) -> Tensor:
        return policy(observations).softmax(-1).log()

    return _steps(*given, logs=logs)


@policy_update.wrong(
    "The probabilities were normalised over the batch (dim=0). Actions lie along the last axis.",
    # Then the last bias has no gradient, and Adam makes whole steps of its rounding.
    rough={"one layer used three times, Adam": math.inf},
)
def normalised_over_the_batch(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def logs(policy: nn.Module, observations: Tensor) -> Tensor:
        return policy(observations).log_softmax(0)

    return _steps(*given, logs=logs)


policy_update.changed(
    "clipped_too",
    "ratio * advantage.detach()",
    "torch.minimum(ratio * advantage.detach(), ratio.clamp(0.8, 1.2) * advantage.detach())",
    "The ratio was clipped. This update has a penalty and no clip: what a clip does beside it is "
    "the next step of the lesson.",
)
policy_update.changed(
    "advantage_normalised",
    "advantage.detach()",
    "(advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)",
    "The advantages were normalised inside the update. They come as they are meant: use them "
    "as they are.",
)


@policy_update.wrong(
    "No gradient arrives: the loss was computed under torch.no_grad(). Only old, and the "
    "divergence that is returned, belong there."
)
def all_under_no_grad(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    with torch.no_grad():
        return _steps(*given)


policy_update.changed(
    "advantage_normalised_by_samples",
    "advantage.detach()",
    "(advantage - advantage.mean()) / (advantage.std() + 1e-8)",
    "The advantages were normalised with the sample standard deviation, which is nan for one "
    "observation. They come as they are meant: use them as they are.",
)


@policy_update.wrong(
    "Logits were used throughout as if they were log-probabilities, in the divergence too, which "
    "then is none. Take log_softmax first.",
    rough={"four steps, beta 1.5": math.inf},  # nothing holds it back: it grows past 1e100
)
def raw_logits(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return _steps(*given, logs=lambda policy, observations: policy(observations))


policy_update.changed(
    "gradients_clipped_to_a_half",
    "loss.backward()",
    "loss.backward(); nn.utils.clip_grad_norm_(policy.parameters(), 0.5)",
    "The gradients were clipped to a norm of 0.5 before each step. That is a brake of its own; "
    "this update takes the gradient as it is.",
)
policy_update.changed(
    "gradients_clipped_to_one",
    "loss.backward()",
    "loss.backward(); nn.utils.clip_grad_norm_(policy.parameters(), 1.0)",
    "The gradients were clipped to a norm of 1 before each step. That is a brake of its own; this "
    "update takes the gradient as it is.",
)
policy_update.changed(
    "list_of_the_last",
    "return divergences",
    "return divergences[-1:]",
    "The list holds the last divergence alone: return one for each step.",
)


@policy_update.wrong(
    "zero_grad was called once, before the loop: from the second step on, each backward adds to "
    "the gradients of the steps before. Call it in every epoch."
)
def cleared_once(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    optimizer.zero_grad()
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return gradients_accumulated(*given)


policy_update.changed(
    "entropy_paid",
    "beta * divergence",
    "beta * divergence - 0.01 * (new.exp() * new).sum(dim=-1)",
    "An entropy bonus of 0.01 was added. The objective is ratio · advantage − β · KL, no more.",
)


@policy_update.wrong(
    "The list holds tensors. Return plain numbers, with .item(): a tensor may keep all that it "
    "was computed from in memory."
)
def tensors_in_the_list(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    found = reference.policy_update(*given)
    return [torch.tensor(nats, dtype=advantage.dtype) for nats in found]


@policy_update.wrong(
    "The policy was left in eval mode. It is the caller's network: leave it in the mode in which "
    "it came."
)
def left_in_eval_mode(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    found = reference.policy_update(*given)
    policy.eval()
    return found


@policy_update.wrong(
    "The loop stopped early, at a divergence of its own choice. The penalty holds back here, and "
    "n_epochs steps are wanted, however far the policy moves."
)
def stopped_early(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = _logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = _logs(policy, observations)
        optimizer.zero_grad()
        (beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        found.append(_mean_kl(old, _logs(policy, observations)).item())
        if found[-1] > 10:
            break
    return found


@policy_update.wrong(
    "The loop stopped as soon as the divergence was above a few hundredths, as PPO's code often "
    "does. The penalty holds back here: n_epochs steps are wanted, however far the policy moves."
)
def stopped_at_a_small_divergence(
    policy, optimizer, observations, actions, advantage, beta, n_epochs
):
    given = (policy, optimizer, observations, actions, advantage, beta)
    return _until(*given, n_epochs, lambda found: found > 0.015)


def _until(policy, optimizer, observations, actions, advantage, beta, n_epochs, is_far):
    old, found = _logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = _logs(policy, observations)
        optimizer.zero_grad()
        (beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)).backward()
        optimizer.step()
        found.append(_mean_kl(old, _logs(policy, observations)).item())
        if is_far(found[-1]):
            break
    return found


policy_update.changed(
    "penalty_averaged_over_actions",
    "(old.exp() * (old - new)).sum(dim=-1)",
    "(old.exp() * (old - new)).mean(dim=-1)",
    "The divergences returned are those of your steps, but in the loss KL is a mean over actions, "
    "as with kl_div's reduction='mean'. KL is a sum over actions; only the observations are "
    "averaged.",
)
policy_update.changed(
    "report_averaged_over_actions",
    "(old.exp() * (old - moved)).sum(dim=-1)",
    "(old.exp() * (old - moved)).mean(dim=-1)",
    "The update is right, but the divergences returned are means over actions too, as with "
    "kl_div's reduction='mean'. KL is a sum over actions; only the observations are averaged.",
)


@policy_update.wrong(
    "The divergences returned are all 0 while the policy moves: old is what the policy is now, as "
    "when old is another name of the same network. Keep old's numbers from before the first step."
)
def old_is_the_policy(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return [0.0] * len(old_recomputed(*given))


policy_update.changed(
    "probability_for_ratio",
    "(new - old).gather(1, actions[:, None]).squeeze(1).exp()",
    "new.gather(1, actions[:, None]).squeeze(1).exp()",
    "The policy's probability stands where the ratio belongs: divide it by old's, "
    "exp(log policy − log old).",
)
policy_update.changed(
    "ratio_a_constant",
    ".squeeze(1).exp()",
    ".squeeze(1).exp().detach()",
    "No gradient passes through the ratio, so that the advantages move nothing: only old's side of "
    "it is a constant.",
    # The penalty's gradient is 0 at old, and Adam makes whole steps of its rounding.
    rough={"one layer used three times, Adam": math.inf},
)


def _k3_of_the_taken(actions: Tensor) -> Callable[[Tensor, Tensor], Tensor]:
    def estimate(old: Tensor, new: Tensor) -> Tensor:
        gap = _taken(new - old, actions)
        return (gap.expm1() - gap).mean()

    return estimate


@policy_update.wrong(
    "The divergence, in the loss and in what is returned, is k3 of the action taken: an estimate. "
    "Every action's probability is known here, so sum over all of them, weighted by old's."
)
def k3_of_the_action_taken(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    estimate = _k3_of_the_taken(actions)
    return _steps(*given, penalty=estimate, measure=estimate)


@policy_update.wrong(
    "The penalty in the loss is k3 of the action taken: an estimate. Every action's probability is "
    "known here, so sum over all of them, weighted by old's."
)
def penalty_k3_of_the_action_taken(
    policy, optimizer, observations, actions, advantage, beta, n_epochs
):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return _steps(*given, penalty=_k3_of_the_taken(actions))


@policy_update.wrong(
    "KL has the wrong sign, in the loss and in what is returned: it is never below 0. Weigh "
    "log old − log policy by old's probabilities."
)
def divergence_negative(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def negative(old: Tensor, new: Tensor) -> Tensor:
        return -_mean_kl(old, new)

    return _steps(*given, penalty=negative, measure=negative)


policy_update.changed(
    "report_negative",
    "(old.exp() * (old - moved))",
    "(old.exp() * (moved - old))",
    "The update is right, but the divergences returned have the wrong sign: KL is never below 0.",
)


@policy_update.wrong(
    "The losses before each step came back: return the divergences KL(old ‖ policy), measured "
    "after each step."
)
def losses_before_the_step(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old, found = _logs(policy, observations).detach(), []
    for _step in range(n_epochs):
        new = _logs(policy, observations)
        loss = beta * _mean_kl(old, new) - _promise(old, new, actions, advantage)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(loss.item())
    return found


@policy_update.wrong(
    "The policy's probabilities stand where its log-probabilities belong, in the loss and in "
    "what is returned, as when F.kl_div gets probabilities: its first argument is log policy."
)
def probabilities_for_logarithms(
    policy, optimizer, observations, actions, advantage, beta, n_epochs
):
    given = (policy, optimizer, observations, actions, advantage, beta, n_epochs)

    def misread(old: Tensor, new: Tensor) -> Tensor:
        return F.kl_div(new.exp(), old.exp(), reduction="batchmean")

    return _steps(*given, penalty=misread, measure=misread)


policy_update.changed(
    "advantage_centred",
    "advantage.detach()",
    "(advantage - advantage.mean()).detach()",
    "The advantages' mean was taken away inside the update. They come as they are meant: use "
    "them as they are.",
)


@policy_update.right
def with_categorical(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    with torch.no_grad():
        old = Categorical(logits=policy(observations))
    found = []
    for _step in range(n_epochs):
        now = Categorical(logits=policy(observations))
        ratio = torch.exp(now.log_prob(actions) - old.log_prob(actions))
        loss = (beta * kl_divergence(old, now) - ratio * advantage).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        found.append(kl_divergence(old, Categorical(logits=policy(observations))).mean().item())
    return found


@policy_update.right
def with_a_frozen_copy(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    frozen = copy.deepcopy(policy).requires_grad_(False)
    found = []
    for epoch in range(n_epochs + 1):
        old, new = _logs(frozen, observations), _logs(policy, observations)
        kl = F.kl_div(new, old, reduction="batchmean", log_target=True)
        found.append(kl.item())
        if epoch < n_epochs:
            policy.zero_grad()
            (beta * kl - _promise(old, new, actions, advantage)).backward()
            optimizer.step()
    return found[1:]


@policy_update.right
def with_cross_entropy(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old_logits = policy(observations).detach()
    old_surprise = F.cross_entropy(old_logits, actions, reduction="none")
    entropy = F.cross_entropy(old_logits, old_logits.softmax(-1))
    found = []
    for _step in range(n_epochs):
        logits = policy(observations)
        surprise = F.cross_entropy(logits, actions, reduction="none")
        kl = F.cross_entropy(logits, old_logits.softmax(-1)) - entropy
        optimizer.zero_grad()
        (
            beta * kl - torch.dot((old_surprise - surprise).exp(), advantage) / len(actions)
        ).backward()
        optimizer.step()
        with torch.no_grad():
            moved = F.cross_entropy(policy(observations), old_logits.softmax(-1)) - entropy
        found.append(float(moved))
    return found


@policy_update.right
def observation_by_observation(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    olds = [policy(row[None])[0].log_softmax(0).detach() for row in observations]
    found = []
    for _step in range(n_epochs):
        optimizer.zero_grad()
        for row, old, action, gain in zip(observations, olds, actions, advantage, strict=True):
            new = policy(row[None])[0].log_softmax(0)
            kl = sum(p.exp() * (p - q) for p, q in zip(old, new, strict=True))
            loss = beta * kl - (new[action] - old[action]).exp() * gain
            (loss / len(actions)).backward()
        optimizer.step()
        news = [policy(row[None])[0].log_softmax(0).detach() for row in observations]
        kls = [_kl(old, new).item() for old, new in zip(olds, news, strict=True)]
        found.append(sum(kls) / len(kls))
    return found


@policy_update.right
def gradients_set_by_hand(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    parameters = list(policy.parameters())
    old = torch.log_softmax(policy(observations), -1).detach()
    hot = F.one_hot(actions, old.shape[-1]).to(old.dtype)
    found = []
    for _step in range(n_epochs):
        new = torch.log_softmax(policy(observations), -1)
        ratio = torch.einsum("ba,ba->b", (new - old).exp(), hot)
        objective = (ratio * advantage - beta * _kl(old, new)).mean()
        for parameter, gradient in zip(
            parameters, torch.autograd.grad(objective, parameters), strict=True
        ):
            parameter.grad = -gradient
        optimizer.step()
        found.append(_mean_kl(old, _logs(policy, observations)).detach().item())
    return found
