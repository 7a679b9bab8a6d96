"""Problems of the bug museum's second room, in lesson 04: exact, or with every seed given."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .penalty_gradients import Responses, all_responses, exact_kl

Gradient = Callable[[Float[Tensor, "*problem action"]], Float[Tensor, "*problem action"]]
SeedOf = Callable[[int, int], int]


def kept_by_top_p(
    logits: Float[Tensor, "*leading vocab"], top_p: float
) -> Bool[Tensor, "*leading vocab"]:
    """The likeliest tokens of each position: as few as have a mass of `top_p` or more."""
    chance, order = logits.softmax(-1).sort(-1, descending=True)
    likelier = chance.cumsum(-1) - chance  # the mass of all that come before
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, likelier < top_p)


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


def many_problems(
    problems: int, actions: int = 5
) -> tuple[Float[Tensor, "problem action"], Float[Tensor, "problem action"]]:
    """Logits of a reference, and rewards, both normal numbers, for each of several problems."""
    generator = torch.Generator().manual_seed(0)
    ref, rewards = torch.randn(2, problems, actions, generator=generator, dtype=torch.float64)
    return ref, rewards


def mean_reward(
    logits: Float[Tensor, "*leading action"], rewards: Float[Tensor, "*#leading action"]
) -> Float[Tensor, "*leading"]:
    """The reward that a policy gets on average."""
    return (logits.softmax(-1) * rewards).sum(-1)


def penalised_loss_gradient(
    rewards: Float[Tensor, "*problem action"], ref: Float[Tensor, "*problem action"], beta: float
) -> Gradient:
    """∇ of −(mean reward − β·KL(policy ‖ ref)) by the logits, for each problem by itself."""

    def gradient(logits: Float[Tensor, "*problem action"]) -> Float[Tensor, "*problem action"]:
        leaf = logits.clone().requires_grad_(True)
        loss = (beta * exact_kl(leaf, ref) - mean_reward(leaf, rewards)).sum()
        return torch.autograd.grad(loss, leaf)[0]

    return gradient


def train_on_groups(
    seed_of: SeedOf,
    start: Float[Tensor, " action"],
    ref: Float[Tensor, " action"],
    rewards: Float[Tensor, " action"],
    beta: float = 0.3,
    group: int = 8,
    rate: float = 0.3,
    steps: int = 100,
) -> Float[Tensor, "step action"]:
    """The logits along a run on group-normalised advantages and the exact KL(policy ‖ ref).

    seed_of: takes the step and the worker, and gives the seed of the one draw that it makes.
    """
    path, log_ref = [start], ref.log_softmax(-1)
    for step in range(steps):
        logp = path[-1].log_softmax(-1)
        chance, log_ratio = logp.exp(), logp - log_ref
        drawn = torch.stack([_draw(chance, seed_of(step, worker)) for worker in range(group)])
        paid = rewards[drawn]
        advantage = (paid - paid.mean()) / (paid.std() + 1e-4)
        scores = torch.eye(len(chance), dtype=chance.dtype)[drawn] - chance  # group action
        kl_gradient = chance * (log_ratio - (chance * log_ratio).sum())
        push = (advantage[:, None] * scores).mean(0) - beta * kl_gradient
        path.append(path[-1] + rate * push)
    return torch.stack(path)


def _draw(chance: Float[Tensor, " action"], seed: int) -> Tensor:
    return torch.multinomial(chance, 1, generator=torch.Generator().manual_seed(seed))[0]


def top_p_symptoms(
    score: Callable[[Tensor, Tensor], Tensor],
    logits: Float[Tensor, "position vocab"],
    kept: Bool[Tensor, "position vocab"],
) -> dict[str, float]:
    """What is wrong with a trainer's log-probabilities, where a sampler draws from `kept` alone.

    score: takes logits and `kept`, and gives the trainer's log-probability of each token.
    logits: the weights that drew. Sizes, 0 for what is right; exact, over all kept tokens.
    """
    chance = logits.softmax(-1) * kept
    drawn = (chance / chance.sum(-1, keepdim=True))[kept]
    generator = torch.Generator().manual_seed(1)
    step = 0.5 * torch.randn(logits.shape, generator=generator, dtype=logits.dtype)
    moved = (logits + step).requires_grad_(True)
    ratio, scored = score(logits, kept)[kept].exp() / drawn, score(moved, kept)[kept]
    mean = torch.zeros_like(logits).masked_scatter(kept, scored.detach().exp()).sum(-1)
    push = torch.full_like(logits, torch.inf)
    if scored.requires_grad:
        (push,) = torch.autograd.grad((scored.detach().exp() * scored).sum(), moved)
    return {
        "ratio off 1, weights unchanged": (ratio - 1).abs().max().item(),
        "mean ratio off 1, after an update": (mean - 1).abs().max().item(),
        "push where every advantage is 1": push.norm().item(),
    }
