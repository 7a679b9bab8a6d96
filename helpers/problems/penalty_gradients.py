"""Problems of lesson 04, small enough to average over every draw exactly."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

Estimator = Callable[[Tensor, Tensor], Tensor]
Gradient = Callable[[Tensor], Tensor]


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
    """Exact standard deviation of one drawn token's gradient, over all logits together."""
    leaf = logits.detach().clone().requires_grad_(True)
    losses = loss(leaf.log_softmax(-1), ref_logits.log_softmax(-1))
    each = _each_gradient(losses, leaf)  # token vocab
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

    def old_logp(self, seed: int, apart: float) -> Float[Tensor, "response time"]:
        """The same under an older policy, whose logits are off by normal numbers, a constant."""
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(self.logits.shape, generator=generator, dtype=self.logits.dtype)
        old_logits = self.logits.detach() + apart * noise
        return old_logits.log_softmax(-1)[self.beginnings, self.tokens]

    def mean_and_spread(
        self, losses: Float[Tensor, " response"], chance: Float[Tensor, " response"]
    ) -> tuple[Float[Tensor, "beginning vocab"], Float[Tensor, ""]]:
        """Exact mean of the gradients of responses drawn by `chance`, and their deviation.

        The deviation is that of one response's gradient, over all logits together.
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
