"""Make one step of an optimiser on GRPO's loss, and tell the loss and the KL."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case, make

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor
from .grpo_loss import grpo_in_two_means, grpo_loss, grpo_of_chosen_tokens, grpo_with_relu
from .shared import EMPTY, INF, NAN, PADDING, _k3, averaged, grpo, lm_state, unigram

KL = "kl"

DROPOUT = "dropout"

LEFT_OVER = "gradients left over"

REF = "reference untouched"

SEVERAL = "several steps"

Optimizer = torch.optim.Optimizer

train_step = Exercise(
    "train_step",
    parts={
        VALUES: 2,
        KL: 1,
        PADDING: 1,
        DROPOUT: 2,
        LEFT_OVER: 1,
        SEVERAL: 1,
        REF: 1,
        EMPTY: 1,
        RULES: 1,
    },
    hints=(
        "In order: switch dropout off, score the tokens with the policy and with ref, the loss, "
        "the step. Which of the two scorings needs a graph? Which numbers are to be returned?",
        "logits[:, t] scores tokens[:, t + 1], and old_logp and response_mask are laid out like "
        "that. old_logp is given: it is not what the policy says now. kl is a mean over real "
        "tokens, and 0 when there are none.",
        "policy.eval() first; ref under torch.no_grad(). Hand logp, old_logp, ref_logp, advantage "
        "and the mask to grpo_loss; take the mean of k3 from the same log-probabilities; then "
        "zero_grad, backward, step, and both numbers with .item().",
    ),
    advisory={
        REF: "that nothing of ref has changed",
        RULES: "that the numbers are plain ones",
    },
)


def _frozen_lm(state: dict[str, Tensor], **options: Any) -> dict[str, Any]:
    """A language model as freeze_reference would leave it."""
    names = [name for name in state if name != "decay"]
    return make("language_model", state=state, evaluating=("",), frozen=names, **options)


def _train_probe(part: str) -> str:
    """Whether the numbers that come back are plain ones is asked among the rules."""
    return "train_plain" if part == RULES else "train"


def _descent(lr: float = 0.5, **options: Any) -> dict[str, Any]:
    return make("sgd", of="policy", lr=lr, **options)


@train_step.by_hand
def _() -> Iterator[Case]:
    half = math.log(0.5)

    def case(
        title: str,
        part: str,
        old_logp: float = half,
        advantage: float = 1.0,
        beta: float = 0.0,
        epsilon: float = 0.2,
        lr: float = 1.0,
        policy: float = 0.0,
        ref: float = math.log(3),
    ) -> Case:
        inputs = {
            "policy": make("language_model", state=unigram(policy, 0.0)),
            "ref": _frozen_lm(unigram(ref, 0.0)),
            "optimizer": _descent(lr),
            "tokens": torch.tensor([[1, 0]]),
            "response_mask": torch.tensor([[True]]),
            "old_logp": tensor([old_logp], dtype=torch.float64),
            "advantage": tensor(advantage, dtype=torch.float64),
            "epsilon": epsilon,
            "beta": beta,
        }
        return Case(title, inputs, part, probe=_train_probe(part))

    title = "one token of probability 1/2, 3/4 under ref"
    yield case(f"{title}, beta 0: loss −1, kl 1/2 − log 3/2 = 0.0945", VALUES)
    yield case("the same with beta 2: loss −(1 − 2 · 0.0945) = −0.8109", VALUES, beta=2.0)
    yield case("old gave it 1/4: ratio 2, loss −1.2, no step", VALUES, math.log(0.25))
    yield case("and advantage −1: loss 2", VALUES, math.log(0.25), -1.0)
    yield case("ratio 2, epsilon 0.5: loss −1.5", VALUES, math.log(0.25), epsilon=0.5)
    title = "advantage 0, beta 2: loss 0.1891, and the penalty alone makes a step"
    yield case(title, VALUES, advantage=0.0, beta=2.0)
    # Sizes that the drawn cases never reach: no bound is seen by luck alone.
    for size, says in ((1e6, "1e6"), (-1e6, "−1e6")):
        title = f"advantage {says} at learning rate 1e-6: as far as with 1 and 1"
        yield case(title, VALUES, advantage=size, lr=1e-6)
    for nats, part in ((12, VALUES), (65, RULES)):
        short = math.exp(-nats)
        title = f"{nats} nats above old, advantage −1"
        yield case(title, part, half - nats, -1.0, lr=short)
        title = f"{nats} nats below old"
        yield case(title, part, half + nats, 1 / short)
        title = f"{nats} nats rarer than under ref, advantage 0"
        yield case(title, part, -nats, 0.0, short, policy=-nats, ref=0.0)
        yield case(f"{nats} nats likelier than under ref", part, beta=2.0, ref=-nats)


@train_step.drawn
def _(draw: Draw) -> Iterator[Case]:
    def case(
        title: str,
        part: str,
        mask: Tensor,
        beta: float,
        optimizer: dict | None = None,
        probe: str = "",
        dtype: torch.dtype = torch.float64,
        ref: Callable[..., dict] = _frozen_lm,
        size: float = 1.0,
        **options: Any,
    ) -> Case:
        batch, time = mask.shape
        state = lm_state(draw, 5, 4, dtype)
        near = {
            name: value + 0.2 * draw.normal(*value.shape, dtype=dtype)
            for name, value in state.items()
            if name != "decay"
        }
        old_logp = -math.log(5) + draw.normal(batch, time, scale=0.5, dtype=dtype)
        sign = torch.tensor([1.0, -1.0], dtype=dtype).repeat(batch)[:batch]
        poisons = torch.tensor([NAN, INF, -INF], dtype=dtype).repeat(time)[:time]
        inputs = {
            "policy": make("language_model", state=state, **options),
            "ref": ref(near | {"decay": state["decay"]}, dropout=options.get("dropout", 0.0)),
            "optimizer": optimizer or _descent(),
            "tokens": draw.integers(batch, time + 1, below=5),
            "response_mask": mask,
            "old_logp": torch.where(mask, old_logp, poisons) if part == PADDING else old_logp,
            "advantage": size * sign * draw.uniform(batch, low=0.3, high=2.0, dtype=dtype),
            "epsilon": 0.2,
            "beta": beta,
        }
        tolerances = {"rtol": 1e-3, "atol": 2e-5} if dtype == torch.float32 else {}
        return Case(title, inputs, part, probe=probe or _train_probe(part), **tolerances)

    whole = torch.ones(4, 4, dtype=torch.bool)
    yield case("4 sequences of 5 tokens, beta 0", VALUES, whole, 0.0)
    yield case("beta 0.7, 6 tokens", VALUES, torch.ones(3, 5, dtype=torch.bool), 0.7)
    yield case("large advantages", VALUES, whole, 0.7, _descent(0.02), size=30.0)
    for value in (0.8, 0.0):
        alike = case(f"every advantage {value:g}", VALUES, whole, 0.7)
        alike.inputs["advantage"].fill_(value)
        yield alike
    place, lengths = torch.arange(6), draw.lengths_mask(4, 6)
    prompted = lengths & (place >= torch.tensor([0, 0, 0, 2])[:, None])
    prompted[1], prompted[2] = place < 3, (place > 0) & (place < 5)
    yield case("rows of unequal length, nan and inf in old_logp", PADDING, prompted, 0.7)
    some = prompted.clone()
    some[1] = False
    yield case("one row with nothing real", PADDING, some, 1.5)
    yield case("dropout is on at entry", DROPOUT, whole, 0.7, dropout=0.5)
    yield case(
        "dropout is on, the body in eval mode",
        DROPOUT,
        whole[:3],
        0.7,
        dropout=0.5,
        evaluating=("body",),
    )
    yield case("gradients from elsewhere at entry", LEFT_OVER, whole, 0.7, left_over=0.5)
    adam, momentum = make("adam", of="policy", lr=0.05), _descent(0.1, momentum=0.8)
    thrice = "train_thrice"
    yield case("three calls, momentum", SEVERAL, whole[:, :3], 0.7, momentum, thrice)
    yield case("three calls, Adam, tied weights", SEVERAL, whole, 0.4, adam, thrice, tied=True)
    loose = partial(make, "language_model", evaluating=("",))
    yield case(
        "ref's parameters require gradients",
        REF,
        whole,
        0.7,
        ref=lambda state, dropout: loose(state=state, dropout=dropout),
    )
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    yield case("nothing real: plain gradient descent stays", EMPTY, nothing, 0.7)
    yield case("float32", RULES, whole, 0.7, dtype=torch.float32)
    yield case("float64 with padding", RULES, lengths, 0.7)


def _scores(network: nn.Module, tokens: Tensor) -> Tensor:
    """Log-probability of each token after the first."""
    logs = network(tokens)[:, :-1].log_softmax(-1)
    return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)


def _stepped(optimizer: Optimizer, loss: Tensor, kl: Tensor) -> dict[str, float]:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": kl.item()}


def _loss_and_kl(
    given: tuple,
    loss: Callable[..., Tensor] = reference.grpo_loss,
    penalty: Callable[[Tensor, Tensor], Tensor] = _k3,
    score: Callable[[nn.Module, Tensor], Tensor] = _scores,
) -> tuple[Tensor, Tensor]:
    """Loss and kl of a step with one of its pieces replaced; the mode is left to the caller."""
    policy, ref, _, tokens, mask, old_logp, advantage, epsilon, beta = given
    logp = score(policy, tokens)
    with torch.no_grad():
        ref_logp = score(ref, tokens)
    kl = averaged(penalty(logp.detach(), ref_logp), mask)
    return loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta), kl


def _trained(given: tuple, *pieces: Callable, **more: Callable) -> dict[str, float]:
    """A step with one of its pieces replaced, dropout off."""
    given[0].eval()
    return _stepped(given[2], *_loss_and_kl(given, *pieces, **more))


@train_step.wrong(
    "Dropout was on while the policy scored: the log-probabilities are those of a network with "
    "holes, and the ratio is not 1 even before the first step. Call policy.eval() first."
)
def dropout_on(*given):
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "The policy was put in training mode before it scored: dropout was on, in every part. Score in "
    "eval mode; training needs gradients, not this mode."
)
def put_in_training_mode(*given):
    given[0].train()
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "`training` was set on the outermost module alone; dropout inside stays on. policy.eval() goes "
    "through all parts."
)
def outermost_mode_alone(*given):
    given[0].training = False
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "Only the dropout modules were put in eval mode. Networks also ask for the mode of the whole, "
    "in attention for instance: policy.eval()."
)
def dropout_modules_alone(*given):
    for part in given[0].modules():
        if isinstance(part, nn.Dropout):
            part.eval()
    return _stepped(given[2], *_loss_and_kl(given))


@train_step.wrong(
    "zero_grad is missing: backward adds to the gradients of the step before, and to what stood "
    "there at entry."
)
def zero_grad_forgotten(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    loss.backward()
    given[2].step()
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong(
    "zero_grad comes after the step, so gradients that stood there at entry are used. Call it "
    "before backward."
)
def zero_grad_after_the_step(*given):
    found = zero_grad_forgotten(*given)
    given[2].zero_grad()
    return found


@train_step.wrong(
    "The policy has not moved: step() is missing, or zero_grad between backward and step has "
    "thrown the gradients away."
)
def not_moved(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


@train_step.wrong("step() was called twice: one step for each call.")
def two_steps_with_one_gradient(*given):
    found = _trained(given)
    given[2].step()
    return found


@train_step.wrong("Two updates were made, and the first one's numbers returned: one step a call.")
def two_updates(*given):
    found = _trained(given)
    _trained(given)
    return found


@train_step.wrong(
    "The mask was read one place too late: as if response_mask[:, t] spoke of tokens[:, t]. It "
    "speaks of tokens[:, t + 1], like old_logp; all three have the same shape."
)
def mask_one_late(*given):
    moved = F.pad(given[4], (0, 1))[:, 1:]
    return reference.train_step(*given[:4], moved, *given[5:])


@train_step.wrong(
    "The mask was moved one place to the right. response_mask[:, t] already speaks of "
    "tokens[:, t + 1]: it has the shape of logp and needs no shift."
)
def mask_moved_right(*given):
    old_logp = torch.where(given[4], given[5], 0.0)  # else the padding's poison would be named
    moved = F.pad(given[4], (1, 0))[:, :-1]
    return reference.train_step(*given[:4], moved, old_logp, *given[6:])


@train_step.wrong(
    "The shift is missing: logits[:, t] were asked for tokens[:, t], which they have already read. "
    "They score tokens[:, t + 1]."
)
def own_token_scored(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, :-1].log_softmax(-1)
        return logs.gather(-1, tokens[:, :-1, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "The first logits were dropped in place of the last: logits[:, t + 1] have already read "
    "tokens[:, t + 1]. Take logits[:, :-1] with tokens[:, 1:]."
)
def first_logits_dropped(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, 1:].log_softmax(-1)
        return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "Logits were used as they came. A logit is a log-probability only up to a constant that "
    "differs from place to place: log_softmax over the vocabulary."
)
def logits_not_normalised(*given):
    return _trained(
        given,
        score=lambda network, tokens: (
            network(tokens)[:, :-1].gather(-1, tokens[:, 1:, None]).squeeze(-1)
        ),
    )


@train_step.wrong(
    "The probabilities were normalised over time (dim=1). The vocabulary lies along the last axis.",
    # Then the head's bias has no gradient, and Adam makes whole steps of its rounding.
    rough={"three calls, Adam, tied weights": math.inf},
)
def normalised_over_time(*given):
    def score(network: nn.Module, tokens: Tensor) -> Tensor:
        logs = network(tokens)[:, :-1].log_softmax(1)
        return logs.gather(-1, tokens[:, 1:, None]).squeeze(-1)

    return _trained(given, score=score)


@train_step.wrong(
    "The sign of the log-probabilities is turned: cross_entropy gives −log p. Both the ratio and "
    "k3 are then upside down."
)
def cross_entropy_not_negated(*given):
    return _trained(given, score=lambda network, tokens: -_scores(network, tokens))


train_step.changed(
    "old_is_the_policy",
    "old_logp, ref_logp, advantage",
    "logp.detach(), ref_logp, advantage",
    "The policy's own log-probabilities stand for old's, so every ratio is 1 and nothing is ever "
    "clipped. old_logp was noted when the tokens were drawn: use it.",
)
train_step.changed(
    "old_is_ref",
    "old_logp, ref_logp, advantage",
    "ref_logp, ref_logp, advantage",
    "The ratio was taken against ref. It corrects for who drew the tokens, which is old: old_logp.",
)


@train_step.wrong(
    "The drift was measured from old, in the loss and in kl: k3 compares the policy with ref."
)
def ref_is_old(*given):
    policy, _, _, tokens, mask, old_logp, advantage, epsilon, beta = given
    policy.eval()
    logp, old = _scores(policy, tokens), torch.where(mask, old_logp, 0.0)
    kl = averaged(_k3(logp.detach(), old), mask)
    loss = reference.grpo_loss(logp, old, old, advantage, mask, epsilon, beta)
    return _stepped(given[2], loss, kl)


train_step.changed(
    "ref_is_the_policy",
    "_without_dropout(ref, tokens)",
    "_without_dropout(policy, tokens)",
    "ref was not asked: the policy was compared with itself, so kl is always 0 and the penalty has "
    "no gradient.",
)


@train_step.wrong(
    "In k3 policy and ref are exchanged, in the loss and in kl. For tokens of the policy it is "
    "exp(δ) − 1 − δ with δ = ref_logp − logp."
)
def policy_and_ref_exchanged(*given):
    return _trained(given, _loss_k3_turned, lambda logp, ref_logp: _k3(ref_logp, logp))


def _loss_k3_turned(*given: Any) -> Tensor:
    return grpo(given, penalty=lambda logp, ref_logp: _k3(ref_logp, logp))


@train_step.wrong(
    "The penalty, and the kl returned, are k1 = logp − ref_logp: in a loss it holds nothing back. "
    "Both are k3."
)
def penalty_k1(*given):
    return _trained(given, lambda *inputs: grpo(inputs, penalty=torch.sub), torch.sub)


@train_step.wrong("The penalty, and the kl returned, are k2, half the square. Both are k3.")
def penalty_k2(*given):
    return _trained(given, lambda *inputs: grpo(inputs, penalty=_half_square), _half_square)


def _half_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp).square() / 2


train_step.changed(
    "kl_of_k1",
    "reference.k3(logp.detach(), ref_logp)",
    "logp.detach() - ref_logp",
    "The kl returned is the mean of k1. Return the mean of k3.",
)
train_step.changed(
    "kl_of_k2",
    "reference.k3(logp.detach(), ref_logp)",
    "(logp.detach() - ref_logp).square() / 2",
    "The kl returned is the mean of k2. Return the mean of k3.",
)
train_step.changed(
    "kl_exchanged",
    "(logp.detach(), ref_logp)",
    "(ref_logp, logp.detach())",
    "In the kl returned policy and ref are exchanged: δ is ref_logp − logp.",
)


@train_step.wrong(
    "The kl returned was measured after the step. It belongs to the loss beside it: take it from "
    "the log-probabilities of before."
)
def kl_after_the_step(*given):
    found = _trained(given)
    with torch.no_grad():
        return found | {"kl": _loss_and_kl(given)[1].item()}


@train_step.wrong(
    "Both loss and kl were measured after the step. They are those of before it, of which the "
    "gradient was taken."
)
def both_after_the_step(*given):
    _trained(given)
    with torch.no_grad():
        loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


train_step.changed(
    "kl_over_all_places",
    "ref_logp), response_mask)",
    "ref_logp), torch.ones_like(response_mask))",
    "The kl returned is the mean over all places, prompt and padding too. "
    "Mask it as the loss is masked.",
)
train_step.changed(
    "kl_of_responses",
    "kl.item()",
    "kl.item() * response_mask.sum().item() / len(response_mask)",
    "The kl returned is summed over each response: the mean over real tokens is wanted.",
)
train_step.changed(
    "kl_times_beta",
    "kl.item()",
    "beta * kl.item()",
    "The kl returned was multiplied by beta. It is in nats, and is of interest when beta is 0 too.",
)


@train_step.wrong("The kl returned is 0/0 = nan when no token is real. It is 0 then.")
def kl_of_nothing(*given):
    found = reference.train_step(*given)
    return found if given[4].any() else found | {"kl": NAN}


@train_step.wrong(
    "When no token is real, loss and kl are nan: 0/0, and the gradients have spoilt every "
    "parameter. Keep the count from being 0."
)
def all_of_nothing(*given):
    given[0].eval()
    loss, kl = _loss_and_kl(given, lambda *inputs: grpo(inputs, average=_chosen_mean))
    return _stepped(given[2], loss, kl if given[4].any() else kl * NAN)


def _chosen_mean(gain: Tensor, mask: Tensor) -> Tensor:
    return gain[mask].mean()


train_step.changed(
    "objective_minimised",
    "loss = grpo_loss",
    "loss = -grpo_loss",
    "The policy went the wrong way: the objective was minimised. The loss is its negative.",
)
train_step.changed(
    "objective_reported",
    "loss.item()",
    "-loss.item()",
    "What is returned is the objective. `loss` is its negative, as grpo_loss gives it.",
)
train_step.changed(
    "penalty_turned",
    "epsilon, beta)",
    "epsilon, -beta)",
    "The penalty has the wrong sign: drift from ref is rewarded. The loss holds + beta · k3.",
)
train_step.changed(
    "step_without_beta",
    "epsilon, beta)",
    "epsilon, 1.0)",
    "The penalty was not weighted: beta was not used.",
)
train_step.changed(
    "step_without_penalty",
    "epsilon, beta)",
    "epsilon, 0.0)",
    "The penalty is missing from the loss: beta and ref have no effect on the step.",
)


@train_step.wrong(
    "The penalty is in the loss, but without a gradient: it was detached, or computed under "
    "no_grad. Only ref's log-probabilities are constants there."
)
def step_with_a_constant_penalty(*given):
    def loss(logp: Tensor, old_logp: Tensor, ref_logp: Tensor, *others: Any) -> Tensor:
        *pieces, epsilon, beta = (logp, old_logp, ref_logp, *others)
        drift = averaged(_k3(logp.detach(), ref_logp), others[1])
        return reference.grpo_loss(*pieces, epsilon, 0.0) + beta * drift

    return _trained(given, loss)


@train_step.wrong(
    "An optimiser of your own made the step. Use the one that came in: its kind, its learning rate "
    "and its memory are the caller's choice."
)
def step_of_an_own_optimizer(*given):
    own = torch.optim.Adam(given[0].parameters(), lr=1e-3)
    return reference.train_step(*given[:2], own, *given[3:])


train_step.changed(
    "step_with_an_own_epsilon",
    "epsilon, beta)",
    "0.2, beta)",
    "0.2 was written in for epsilon: the bounds are 1 − epsilon and 1 + epsilon.",
)
train_step.changed(
    "step_with_the_penalty_twice",
    "epsilon, beta)",
    "epsilon, 2 * beta)",
    "The penalty was counted twice: grpo_loss holds beta · k3 already, and it was added once more.",
)
train_step.changed(
    "numbers_exchanged",
    '{"loss": loss.item(), "kl": kl.item()}',
    '{"loss": kl.item(), "kl": loss.item()}',
    "loss and kl were exchanged in what is returned.",
)
train_step.changed(
    "step_not_clipped",
    "epsilon, beta)",
    "torch.inf, beta)",
    "Nothing is clipped: epsilon has no effect.",
)


LOSSES = {wrong.name: wrong.answer for wrong in grpo_loss.mistakes}


def _step_on(loss: Callable, *given: Any) -> dict[str, float]:
    """A step on another loss."""
    return _trained(given, loss)


for _name, _loss, _says in (
    (
        "ratios_compared",
        "advantage_outside_the_minimum",
        "The minimum was taken of the ratios, before multiplying by the advantage: right for "
        "positive advantages only. Compare ratio · A with clipped ratio · A.",
    ),
    (
        "larger_of_the_two",
        "larger_promise",
        "Of the two promises the larger was taken. The objective takes the minimum; a maximum "
        "belongs to the two losses, with their sign turned.",
    ),
    (
        "mean_of_the_responses",
        "mean_of_responses",
        "This is the mean of the responses' means, as GRPO's paper has it: a token of a long "
        "response counts less than one of a short. Here it is one sum and one count for the "
        "whole batch.",
    ),
    (
        "summed_over_tokens",
        "loss_summed",
        "The loss was summed over tokens, not averaged over the real ones.",
    ),
    (
        "averaged_over_all_places",
        "divided_by_all_places",
        "The sum is right, the count is not: the loss divides by all places, padding included.",
    ),
):
    train_step.mistakes.append(Mistake(_name, _says, partial(_step_on, LOSSES[_loss])))


@train_step.wrong("response_mask was not used: prompt and padding are trained on, too.")
def all_places_trained(*given):
    return reference.train_step(*given[:4], torch.ones_like(given[4]), *given[5:])


for _name, _loss, _says in (
    (
        "step_times_mask",
        "loss_times_mask",
        "The mask was multiplied into the loss. What stands in the padding of old_logp may be "
        "inf or nan, and 0 · inf is nan: choose with torch.where, before exp.",
    ),
    (
        "step_replaced_too_late",
        "loss_replaced_too_late",
        "The padding of old_logp was replaced after exp: the loss is right, its gradient is nan, "
        "and so is every parameter after the step. Replace it before exp.",
    ),
    (
        "advantages_along_time",
        "advantage_along_time",
        "The advantages were laid along time, as [batch] meets [batch, time] from the right: "
        "advantage[:, None] gives one to each response.",
    ),
):
    train_step.mistakes.append(Mistake(_name, _says, partial(_step_on, LOSSES[_loss])))


@train_step.wrong(
    "The advantages were normalised inside the step. They come as they are meant: use them as "
    "they are."
)
def advantages_normalised(*given):
    advantage = given[6]
    scaled = (advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)
    return reference.train_step(*given[:6], scaled, *given[7:])


@train_step.wrong(
    "Gradients have reached ref: score it under torch.no_grad(), or detach ref_logp. A reference "
    "that collects gradients is one optimiser away from moving, and costs a graph."
)
def ref_in_the_graph(*given):
    policy, ref, optimizer, tokens, mask, old_logp, advantage, epsilon, beta = given
    policy.eval()
    inputs = (_scores(policy, tokens), old_logp, _scores(ref, tokens), advantage, mask)
    kl = averaged(_k3(inputs[0], inputs[2]), mask)
    loss = grpo((*inputs, epsilon, beta), constants=("old_logp", "advantage"))
    return _stepped(optimizer, loss, kl)


@train_step.wrong(
    "ref was left in training mode: the next time it scores, its dropout is on. Leave it as it is."
)
def ref_left_in_training_mode(*given):
    found = reference.train_step(*given)
    given[1].train()
    return found


@train_step.wrong(
    "ref was changed: made equal to the policy, or moved some way towards it. The reference stays "
    "what it was before training: that is what drift is measured from."
)
def ref_updated(*given):
    found = reference.train_step(*given)
    given[1].load_state_dict(given[0].state_dict())
    return found


@train_step.wrong(
    "No gradient arrives: the policy was scored under torch.no_grad(). Only ref belongs there."
)
def policy_under_no_grad(*given):
    given[0].eval()
    with torch.no_grad():
        loss, kl = _loss_and_kl(given)
    return _stepped(given[2], loss, kl)


train_step.changed(
    "tensors_returned",
    '{"loss": loss.item(), "kl": kl.item()}',
    '{"loss": loss, "kl": kl}',
    "Tensors came back. Return plain numbers, with .item(): a tensor with a graph keeps all that "
    "it was computed from in memory.",
)
train_step.changed(
    "no_dict_returned",
    '{"loss": loss.item(), "kl": kl.item()}',
    "loss.item()",
    'What came back is no dict. Return one with "loss" and "kl".',
)
train_step.changed(
    "pair_returned",
    '{"loss": loss.item(), "kl": kl.item()}',
    "(loss.item(), kl.item())",
    'Two numbers came back, in an order. Return them by name: "loss" and "kl".',
)
train_step.changed(
    "kl_not_returned",
    '{"loss": loss.item(), "kl": kl.item()}',
    '{"loss": loss.item()}',
    '"kl" is missing from what is returned.',
)
train_step.changed(
    "gradients_clipped",
    "loss.backward()",
    "loss.backward(); nn.utils.clip_grad_norm_(policy.parameters(), 1.0)",
    "The gradients were clipped to a norm of 1 before the step. That is a brake of its own; this "
    "step takes the gradient of grpo_loss as it is.",
)


@train_step.wrong(
    "old_logp was changed in place: the next step on this batch gets another one. Compute a new "
    "tensor: torch.where or masked_fill, without the underscore."
)
def old_logp_cleaned_in_place(*given):
    given[5].masked_fill_(~given[4], 0.0)
    return reference.train_step(*given)


@train_step.wrong(
    "No step was taken where every advantage is 0. There is nothing to promise then, but the "
    "penalty still pulls towards ref."
)
def no_step_without_advantage(*given):
    if given[6].any():
        return reference.train_step(*given)
    given[0].eval()
    loss, kl = _loss_and_kl(given)
    return {"loss": loss.item(), "kl": kl.item()}


train_step.changed(
    "worthless_responses_masked",
    "response_mask, epsilon",
    "response_mask & (advantage != 0)[:, None], epsilon",
    "Responses of advantage 0 were left out. They pay for their drift, and their tokens count.",
)


@train_step.wrong(
    "Token 0 was taken for padding. Which tokens count is said by response_mask alone: 0 is a "
    "token like the others."
)
def token_0_taken_for_padding(*given):
    counted = given[4] & (given[3][:, 1:] != 0)
    return reference.train_step(*given[:4], counted, *given[5:])


train_step.changed(
    "kl_divided_by_all_places",
    "kl.item()",
    "kl.item() * response_mask.sum().item() / response_mask.numel()",
    "The kl returned is a sum over real tokens divided by all places, prompt and padding too. "
    "Divide by the number of real tokens.",
)


for _name, _loss, _says in (
    (
        "means_of_two_halves",
        "mean_of_two_halves",
        "The loss is the mean of the means of two halves of the batch: a token of the half with "
        "fewer of them counts more. One sum and one count, however many pieces the batch is "
        "scored in.",
    ),
    (
        "step_with_k3_cut_off",
        "k3_cut_off",
        "In the loss k3 was cut off at 10: a token that far from ref has no gradient to bring it "
        "back. The penalty has no bound.",
    ),
    (
        "step_clipped_twice",
        "loss_clipped_twice",
        "A second clip bounds what a negative advantage may cost, at 3 times the advantage: that "
        "is dual-clip PPO. Here a bad token whose ratio has grown keeps its whole gradient.",
    ),
    (
        "step_clipped_higher",
        "loss_clipped_higher",
        "The upper bound is 1.28 (clip-higher, DAPO's 0.28 in place of epsilon). Here both "
        "bounds are epsilon away from 1.",
    ),
):
    train_step.mistakes.append(Mistake(_name, _says, partial(_step_on, LOSSES[_loss])))


train_step.changed(
    "kl_summed",
    "kl.item()",
    "kl.item() * response_mask.sum().item()",
    "The kl returned is the sum over all real tokens. Return their mean.",
)


@train_step.wrong(
    "The kl returned is the mean of the responses' means: a token of a short response counts more "
    "than one of a long. Return the mean over all real tokens of the batch."
)
def kl_mean_of_responses(*given):
    return _with_kl(
        given, lambda logp, old_logp, ref_logp, mask: _by_response(logp, ref_logp, mask)
    )


@train_step.wrong(
    "The kl returned is measured from old: k3 of policy and old_logp. Drift is measured from ref."
)
def kl_from_old(*given):
    def from_old(logp: Tensor, old_logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
        return averaged(_k3(logp, torch.where(mask, old_logp, 0.0)), mask)

    return _with_kl(given, from_old)


def _with_kl(given: tuple, measure: Callable[..., Tensor]) -> dict[str, float]:
    """The right step, with another number returned as kl."""
    policy, ref, _, tokens, mask, old_logp, *_ = given
    with torch.no_grad():
        logp, ref_logp = (_scores(one, tokens) for one in (policy.eval(), ref))
        kl = measure(logp, old_logp, ref_logp, mask)
    return reference.train_step(*given) | {"kl": kl.item()}


def _by_response(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    sums = torch.where(mask, _k3(logp, ref_logp), 0.0).sum(1)
    return (sums / mask.sum(1).clamp(min=1)).mean()


def _normalised_by_samples(eps: float, *given: Any) -> dict[str, float]:
    advantage = given[6]
    scaled = (advantage - advantage.mean()) / (advantage.std() + eps)
    return reference.train_step(*given[:6], scaled, *given[7:])


for _name, _eps in (("by_samples", 1e-8), ("by_samples_and_eps", 1e-4)):
    train_step.mistakes.append(
        Mistake(
            f"advantages_normalised_{_name}",
            "The advantages were normalised inside the step, by their sample standard deviation, "
            "which is nan for one response. They come from their groups as they are meant: use "
            f"them as they are. (About {_eps:.0e} was added to it.)",
            partial(_normalised_by_samples, _eps),
        )
    )


@train_step.wrong(
    "response_mask was not used: every token but 0 counts here, the prompt too. response_mask "
    "alone says which tokens count."
)
def mask_of_the_tokens(*given):
    return reference.train_step(*given[:4], given[3][:, 1:] != 0, *given[5:])


@train_step.wrong("Two updates were made, and the second one's numbers returned: one step a call.")
def two_updates_last_numbers(*given):
    _trained(given)
    return _trained(given)


@train_step.wrong(
    "The step is right, but the loss returned is without its penalty. Return what was minimised."
)
def loss_reported_without_penalty(*given):
    found = reference.train_step(*given)
    return found | {"loss": found["loss"] - given[-1] * found["kl"]}


train_step.changed(
    "gradients_clipped_to_a_half",
    "loss.backward()",
    "loss.backward(); nn.utils.clip_grad_norm_(policy.parameters(), 0.5)",
    "The gradients were clipped to a norm of 0.5 before the step. That is a brake of its own; "
    "this step takes the gradient of grpo_loss as it is.",
)


@train_step.right
def step_with_cross_entropy(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    def score(network: nn.Module) -> Tensor:
        return -F.cross_entropy(
            network(tokens)[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none"
        )

    policy.eval()
    with torch.no_grad():
        ref_logp = score(ref)
    logp = score(policy)
    optimizer.zero_grad()
    loss = grpo_with_relu(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    policy.train()
    drift = (_k3(logp, ref_logp) * response_mask).sum() / response_mask.sum().clamp(min=1)
    return {"kl": drift.item(), "loss": loss.item(), "tokens": response_mask.sum()}


@train_step.right
def response_by_response(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    policy.train(False)
    policy.zero_grad()
    count, total, drift = max(int(response_mask.sum()), 1), 0.0, 0.0
    for row, real, old, gain in zip(tokens, response_mask, old_logp, advantage, strict=True):
        chosen = real.nonzero().squeeze(1)
        new = Categorical(logits=policy(row[None])[0, :-1]).log_prob(row[1:])[chosen]
        with torch.inference_mode():
            fixed = Categorical(logits=ref(row[None])[0, :-1]).log_prob(row[1:])[chosen]
        fixed = fixed.clone()
        ratio = (new - old[chosen]).exp()
        promise = torch.min(ratio * gain, ratio.clamp(1 - epsilon, 1 + epsilon) * gain)
        k3 = (fixed - new).exp() - 1 - (fixed - new)
        loss = (beta * k3 - promise).sum() / count
        loss.backward()
        total, drift = total + loss.item(), drift + k3.sum().item() / count
    optimizer.step()
    return {"loss": total, "kl": drift}


@train_step.right
def gradients_by_hand(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    modes = [module.training for module in policy.modules()]
    ref_logp = _scores(ref.eval(), tokens).detach()
    logp = _scores(policy.eval(), tokens)
    loss = grpo_of_chosen_tokens(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    parameters = list(policy.parameters())
    found = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, found, strict=True):
        parameter.grad = gradient
    optimizer.step()
    for module, mode in zip(policy.modules(), modes, strict=True):
        module.train(mode)
    drift = _k3(logp.detach(), ref_logp)[response_mask]
    return {"loss": loss.item(), "kl": drift.sum().item() / max(len(drift), 1)}


@train_step.right
def nothing_real_returns_early(
    policy, ref, optimizer, tokens, response_mask, old_logp, advantage, epsilon, beta
):
    if not response_mask.any():
        return {"loss": 0.0, "kl": 0.0}
    policy.eval()
    logp, ref_logp = _scores(policy, tokens), _scores(ref, tokens)
    scores = (logp, old_logp, ref_logp.detach())
    optimizer.zero_grad(set_to_none=False)
    loss = grpo_in_two_means(*scores, advantage, response_mask, epsilon, beta)
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": _k3(logp, ref_logp)[response_mask].mean().item()}
