"""Problems of lesson 04, small enough to average over every draw exactly."""

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

Estimator = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor], Tensor]
Expected = Callable[[Tensor, Tensor, Tensor, Estimator], Tensor]

PROBABILITIES = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)  # of the first of two tokens


def three_policies(seed: int, vocab: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Logits of a policy, of the old policy that drew the data, and of the reference."""
    generator = torch.Generator().manual_seed(seed)
    policy, old, ref = torch.randn(3, vocab, generator=generator, dtype=torch.float64)
    return policy, old, ref


def start_and_ref() -> tuple[Float[Tensor, " action"], Float[Tensor, " action"]]:
    """Logits over three actions: where a policy starts, and its reference."""
    start, ref = torch.tensor([[0.10, 0.55, 0.35], [0.60, 0.25, 0.15]]).double().log()
    return start, ref


def exact_kl(
    logits: Float[Tensor, "*leading vocab"], other_logits: Float[Tensor, "*leading vocab"]
) -> Float[Tensor, "*leading"]:
    """KL(first ‖ second) by torch.distributions; gradients reach both."""
    return kl_divergence(Categorical(logits=logits), Categorical(logits=other_logits))


def known_gradients(
    policy: Float[Tensor, " vocab"], old: Float[Tensor, " vocab"], ref: Float[Tensor, " vocab"]
) -> dict[str, Float[Tensor, " vocab"]]:
    """What an expected gradient may turn out to be, all with respect to the policy's logits.

    By torch.distributions and central differences: autograd has no part in it.
    """
    towards: dict[str, Gradient] = {
        "∇KL(policy ‖ ref)": lambda moved: exact_kl(moved, ref.expand_as(moved)),
        "∇KL(ref ‖ policy)": lambda moved: exact_kl(ref.expand_as(moved), moved),
        "−∇KL(old ‖ policy)": lambda moved: -exact_kl(old.expand_as(moved), moved),
    }
    return {"0": torch.zeros_like(policy)} | {
        name: central_differences(function, policy) for name, function in towards.items()
    }


def central_differences(function: Gradient, at: Float[Tensor, " vocab"]) -> Float[Tensor, " vocab"]:
    """A gradient from values alone, of eighth order: right to about 1e-12 in float64.

    function: takes logits of any leading shape, and returns a number for each row of them.
    """
    steps = torch.arange(1, 5, dtype=at.dtype) * 0.02
    weights = torch.tensor([4 / 5, -1 / 5, 4 / 105, -1 / 280], dtype=at.dtype)
    moves = steps[:, None, None] * torch.eye(len(at), dtype=at.dtype)  # step vocab vocab
    return torch.einsum("s,sv->v", weights, function(at + moves) - function(at - moves)) / 0.02


def half_chi_square(
    logits: Float[Tensor, "*leading vocab"], ref_logits: Float[Tensor, " vocab"]
) -> Float[Tensor, "*leading"]:
    """½ χ²(policy ‖ ref) = ½ (Σ policy²/ref − 1)."""
    return (logits.softmax(-1).square() / ref_logits.softmax(-1)).sum(-1).sub(1) / 2


def gap_between(found: object, wanted: Tensor) -> float:
    """The greatest difference of two tensors; infinite where `found` has another form."""
    alike = isinstance(found, Tensor) and found.shape == wanted.shape
    return (found.detach() - wanted).abs().max().item() if alike else math.inf


def spread_of(
    loss: Estimator,
    logits: Float[Tensor, " vocab"],
    ref_logits: Float[Tensor, " vocab"],
    sample_logits: Float[Tensor, " vocab"],
) -> float:
    """Exact spread √E‖g − E g‖² of one drawn token's gradient g, over all logits together."""
    scores = logits.detach().clone().requires_grad_(True)
    losses = loss(scores.log_softmax(-1), ref_logits.log_softmax(-1))
    each = _each_gradient(losses, scores)  # token vocab
    return _mean_and_spread(each, sample_logits.softmax(-1))[1].item()


def _each_gradient(losses: Float[Tensor, " draw"], leaf: Tensor) -> Float[Tensor, "draw ..."]:
    """The gradient of each draw's loss by itself."""
    one_by_one = torch.eye(len(losses), dtype=losses.dtype)
    return torch.autograd.grad(losses, leaf, one_by_one, is_grads_batched=True, retain_graph=True)[
        0
    ]


def _mean_and_spread(
    each: Float[Tensor, "draw ..."], chance: Float[Tensor, " draw"]
) -> tuple[Tensor, Float[Tensor, ""]]:
    mean = torch.tensordot(chance, each, dims=1)
    square = (each - mean).square().flatten(1).sum(1)
    return mean, (chance * square).sum().sqrt()


def with_ratio(
    estimator: Estimator, old_logits: Float[Tensor, " vocab"], constant: bool = False
) -> Estimator:
    """The estimator, each token weighted by policy/old; `constant` holds that weight fixed."""
    log_old = old_logits.log_softmax(dim=-1)

    def weighted(log_policy: Tensor, log_ref: Tensor) -> Tensor:
        share = torch.exp(log_policy - log_old)
        return estimator(log_policy, log_ref) * (share.detach() if constant else share)

    return weighted


def push_by_probability(
    expected: Expected,
    estimators: Mapping[str, Estimator],
    rows: Sequence[tuple[str, str]],
    ref: float,
) -> dict[str, Float[Tensor, " point"]]:
    """Descent's push on the first of two logits, at each of PROBABILITIES.

    expected: an expected gradient, of (logits, ref_logits, sample_logits, estimator).
    rows: the name of an estimator, and who draws the tokens, "policy" or "ref".
    """
    anchor = torch.tensor([ref, 1 - ref], dtype=torch.float64).log()
    push: dict[str, list[Tensor]] = {f"{name}, drawn by {who}": [] for name, who in rows}
    for logits in torch.stack([PROBABILITIES, 1 - PROBABILITIES], dim=1).log():
        for name, who in rows:
            drawer = anchor if who == "ref" else logits
            found = expected(logits.clone(), anchor, drawer.clone(), estimators[name])
            push[f"{name}, drawn by {who}"].append(-found[0])
    return {name: torch.stack(steps) for name, steps in push.items()}


def errors_by_age(
    expected: Expected,
    yours: Callable[[Tensor, Tensor, Tensor], Tensor],
    estimators: Mapping[str, Estimator],
    problems: int,
) -> tuple[list[Tensor], dict[str, list[Tensor]]]:
    """How far the policy has left old, and the relative error of each loss's gradient there.

    A number for each of 12 points on the way, one problem after the other.
    yours: a loss of (logp, old_logp, ref_logp).
    """
    steps: list[Tensor] = []
    errors: dict[str, list[Tensor]] = {}
    for direction, drawer, anchor in map(three_policies, range(problems)):
        losses = {f"{name}, no ratio": estimator for name, estimator in estimators.items()}
        losses["ρ · k2"] = with_ratio(estimators["k2"], drawer)
        losses["yours"] = lambda p, q, old=drawer: yours(p, old.log_softmax(-1), q)
        for size in torch.logspace(-2, 0.3, 12, dtype=torch.float64):
            moved = drawer + size * direction
            steps.append(exact_kl(moved, drawer))
            wanted = central_differences(
                lambda one, anchor=anchor: exact_kl(one, anchor.expand_as(one)), moved
            )
            for name, loss in losses.items():
                found = expected(moved, anchor, drawer, loss)
                error = (found - wanted).norm() / wanted.norm()
                errors.setdefault(name, []).append(error)
    return steps, errors


def descend(
    gradient: Gradient, start: Float[Tensor, " action"], rate: float = 0.3, steps: int = 60
) -> Float[Tensor, "step action"]:
    """The logits before each step and after the last, following −gradient(logits)."""
    path = [start]
    for _ in range(steps):
        path.append(path[-1] - rate * gradient(path[-1]))
    return torch.stack(path)


def descend_on_samples(
    loss: Callable[[Tensor, Tensor], Tensor],
    start: Float[Tensor, " action"],
    ref: Float[Tensor, " action"],
    seeds: int,
    batch: int = 16,
    rate: float = 0.3,
    steps: int = 200,
) -> Float[Tensor, "seed step"]:
    """KL(policy ‖ ref) along runs that draw fresh tokens from their own policy at each step."""
    generator = torch.Generator().manual_seed(0)
    logits = start.expand(seeds, -1).clone()
    log_ref = ref.log_softmax(-1).expand(seeds, -1)
    drift = [_drift(logits, log_ref)]
    for _ in range(steps):
        leaf = logits.clone().requires_grad_(True)
        uniform = torch.rand(seeds, batch, generator=generator, dtype=logits.dtype)
        tokens = _tokens_at(logits, uniform.to(logits.device))
        drawn = leaf.log_softmax(-1).gather(1, tokens)
        total = loss(drawn, log_ref.gather(1, tokens)).mean(dim=1).sum()
        logits = logits - rate * torch.autograd.grad(total, leaf)[0]
        drift.append(_drift(logits, log_ref))
    return torch.stack(drift, dim=1)


def _drift(
    logits: Float[Tensor, "seed action"], log_ref: Float[Tensor, "seed action"]
) -> Float[Tensor, " seed"]:
    """KL(policy ‖ ref) in float64, as float32 cannot tell a divergence below 1e-7 from 0."""
    return exact_kl(logits.cpu().double(), log_ref.cpu().double())


def _tokens_at(
    logits: Float[Tensor, "seed action"], uniform: Float[Tensor, "seed batch"]
) -> Int[Tensor, "seed batch"]:
    """Draws by inverting the distribution function, so that every device draws alike."""
    reached = logits.softmax(-1).cumsum(-1)[:, :-1].contiguous()
    return torch.searchsorted(reached, uniform, right=True)


def drift_after_training(penalty: Estimator | None, beta: float, seed: int) -> float:
    """KL(policy ‖ ref) after 5 rounds of 8 steps each on the tokens that the round began with.

    Six actions of random advantage; averages over old's draws are exact.
    penalty: differentiated as it stands on old's tokens; None takes the exact KL(policy ‖ ref).
    """
    generator = torch.Generator().manual_seed(seed)
    ref, advantage = torch.randn(2, 6, generator=generator, dtype=torch.float64)
    logits, log_ref = ref.clone(), ref.log_softmax(-1)
    for _ in range(5):
        old = logits.softmax(-1)
        for _ in range(8):
            leaf = logits.clone().requires_grad_(True)
            reward = (leaf.softmax(-1) * advantage).sum()  # what ratio × advantage averages to
            if penalty is None:
                price = exact_kl(leaf, ref)
            else:
                price = (old * penalty(leaf.log_softmax(-1), log_ref)).sum()
            logits = logits + 0.2 * torch.autograd.grad(reward - beta * price, leaf)[0]
    return exact_kl(logits, ref).item()


@dataclass(frozen=True)
class Responses:
    """Every response of some length, scored by a policy and its reference, which see all before.

    logits: the policy's, a leaf of the graph, one row for each beginning of a response.
    """

    logits: Float[Tensor, "beginning vocab"]
    ref_logits: Float[Tensor, "beginning vocab"]
    beginnings: Int[Tensor, "response time"]
    tokens: Int[Tensor, "response time"]

    def logp(self) -> Float[Tensor, "response time"]:
        """Log-probability of each token under the policy, with its graph."""
        return self.logits.log_softmax(-1)[self.beginnings, self.tokens]

    def ref_logp(self) -> Float[Tensor, "response time"]:
        """The same under the reference, a constant."""
        return self.ref_logits.log_softmax(-1)[self.beginnings, self.tokens]

    def next_token_kl(self) -> Float[Tensor, "response time"]:
        """KL(policy ‖ ref) over the whole vocabulary at each position, with its graph."""
        return exact_kl(self.logits, self.ref_logits)[self.beginnings]

    def return_to_go_loss(
        self, costs: Float[Tensor, "response time"]
    ) -> Float[Tensor, " response"]:
        """Policy gradient as a loss: a token answers for the costs from it on, held constant."""
        ahead = costs.detach().flip(1).cumsum(1).flip(1)
        return torch.einsum("rt,rt->r", ahead, self.logp())

    def mean_and_spread(
        self, losses: Float[Tensor, " response"], chance: Float[Tensor, " response"]
    ) -> tuple[Float[Tensor, "beginning vocab"], Float[Tensor, ""]]:
        """Exact mean of the gradients of responses drawn by `chance`, and their spread.

        The spread is √E‖g − E g‖² of one response's gradient g, over all logits together.
        """
        return _mean_and_spread(_each_gradient(losses, self.logits), chance.detach())

    def gradient(self, total: Float[Tensor, ""]) -> Float[Tensor, "beginning vocab"]:
        """∇ total with respect to the policy's logits."""
        return torch.autograd.grad(total, self.logits, retain_graph=True)[0]


def all_responses(seed: int, time: int, vocab: int = 3, apart: float = 0.5) -> Responses:
    """A random reference and a policy whose logits are off by normal numbers of size `apart`."""
    generator = torch.Generator().manual_seed(seed)
    rows = sum(vocab**t for t in range(time))
    ref, noise = torch.randn(2, rows, vocab, generator=generator, dtype=torch.float64)
    tokens = torch.tensor(list(itertools.product(range(vocab), repeat=time)))
    beginnings, row = [], torch.zeros(len(tokens), dtype=torch.int64)
    for t in range(time):
        beginnings.append(row + sum(vocab**s for s in range(t)))
        row = row * vocab + tokens[:, t]
    return Responses(
        (ref + apart * noise).requires_grad_(True), ref, torch.stack(beginnings, dim=1), tokens
    )


ResponseLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
Found = dict[str, tuple[Tensor, Tensor]]


def three_ways(yours: ResponseLoss, seed: int, time: int) -> Found:
    """Relative error of the mean gradient of three losses on own responses, and their spread.

    yours: a loss of (logp, ref_logp, mask), each "response time".
    """
    responses = all_responses(seed, time)
    logp, ref_logp = responses.logp(), responses.ref_logp()
    real, drawn = torch.ones_like(logp, dtype=torch.bool), logp.sum(1).exp()
    return _error_and_spread(
        responses,
        {
            "k2 of the whole response": ((logp - ref_logp).sum(1) ** 2 / 2, drawn),
            "yours, what follows": (yours(logp, ref_logp, real), drawn),
            "k2 token by token": ((logp - ref_logp).square().sum(1) / 2, drawn),
        },
    )


@dataclass(frozen=True)
class OldResponses(Responses):
    """Every response of some length, each as likely to be in the batch as old is to draw it."""

    old_logits: Float[Tensor, "beginning vocab"]

    def old_logp(self) -> Float[Tensor, "response time"]:
        """Log-probability of each token under old, a constant."""
        return self.old_logits.log_softmax(-1)[self.beginnings, self.tokens]

    def chance(self) -> Float[Tensor, " response"]:
        """With which old draws each response, a constant."""
        return self.old_logp().sum(1).exp()

    def kl_by_token(self) -> Float[Tensor, ""]:
        """KL(policy ‖ ref) at each position that old reaches, added up; only the policy moves."""
        return torch.einsum("r,rt->", self.chance(), self.next_token_kl())

    def kl_of_responses(self) -> Float[Tensor, ""]:
        """KL(policy ‖ ref) of whole responses: where the policy moves, its contexts do."""
        return torch.einsum("r,rt->", self.logp().sum(1).exp(), self.logp() - self.ref_logp())


def responses_of_old(seed: int, apart: float, time: int = 3) -> OldResponses:
    """All responses, scored by a policy whose logits are off old's by normal numbers of that size.

    apart: 0 makes old and policy one, before the first update.
    """
    drawn = all_responses(seed, time)
    generator = torch.Generator().manual_seed(1000 + seed)
    noise = torch.randn(drawn.logits.shape, generator=generator, dtype=drawn.logits.dtype)
    return OldResponses(**vars(drawn), old_logits=drawn.logits.detach() + apart * noise)


def on_old(yours: ResponseLoss, seed: int, time: int, apart: float = 0.5) -> Found:
    """The same of your loss on own responses and, by ratios, on old's; and of ρ · k3."""
    responses = responses_of_old(seed, apart, time)
    logp, ref_logp, old_logp = responses.logp(), responses.ref_logp(), responses.old_logp()
    own, drawn = logp.detach().sum(1).exp(), old_logp.sum(1).exp()
    loss = yours(logp, ref_logp, torch.ones_like(logp, dtype=torch.bool))
    delta = ref_logp - logp
    by_token = ((logp - old_logp).exp() * (torch.expm1(delta) - delta)).sum(1)
    return _error_and_spread(
        responses,
        {
            "own responses": (loss, own),
            "old's, product of ratios": (own / drawn * loss, drawn),
            "old's, ρ · k3 token by token": (by_token, drawn),
        },
    )


def _error_and_spread(responses: Responses, uses: Mapping[str, tuple[Tensor, Tensor]]) -> Found:
    """uses: the loss of each response, and the chance with which it is drawn."""
    logp, ref_logp = responses.logp(), responses.ref_logp()
    wanted = responses.gradient((logp.sum(1).exp() * (logp - ref_logp).sum(1)).sum())
    found = {name: responses.mean_and_spread(*use) for name, use in uses.items()}
    return {n: ((m - wanted).norm() / wanted.norm(), spread) for n, (m, spread) in found.items()}


def second_moment_of_ratio(time: int, apart: float = 0.5) -> tuple[float, float]:
    """E[ρ²] of a response's ratio, positions alike: all responses listed, and by the power."""
    logits, noise, _ = three_policies(seed=0, vocab=3)
    policy, old = logits.softmax(-1), (logits + apart * noise).softmax(-1)
    every = torch.cartesian_prod(*[torch.arange(3)] * time).reshape(-1, time)
    drawn, ratio = old[every].prod(1), (policy / old)[every].prod(1)
    chi_square = (policy.square() / old).sum() - 1
    return (drawn * ratio.square()).sum().item(), ((1 + chi_square) ** time).item()
