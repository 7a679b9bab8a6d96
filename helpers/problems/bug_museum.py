"""Problems of the bug museum's second room, in lesson 04: exact, or with every seed given."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .penalty_gradients import Responses, all_responses

Gradient = Callable[[Float[Tensor, "*problem action"]], Float[Tensor, "*problem action"]]
SeedOf = Callable[[int, int, int], int]


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
    log_ref = ref.log_softmax(-1)

    def gradient(logits: Float[Tensor, "*problem action"]) -> Float[Tensor, "*problem action"]:
        logp = logits.log_softmax(-1)
        chance, paid = logp.exp(), rewards - beta * (logp - log_ref)
        return -chance * (paid - (chance * paid).sum(-1, keepdim=True))

    return gradient


def train_on_groups(
    seed_of: SeedOf,
    start: Float[Tensor, "run action"],
    ref: Float[Tensor, "run action"],
    rewards: Float[Tensor, "run action"],
    steps: range,
    beta: float = 0.3,
    group: int = 8,
    rate: float = 0.3,
) -> Float[Tensor, "run action"]:
    """Logits after training on group-normalised advantages and the exact KL(policy ‖ ref).

    seed_of: takes run, step and worker, and gives the seed of the one draw that is made there.
    """
    logits, log_ref = start, ref.log_softmax(-1)
    for step in steps:
        logp = logits.log_softmax(-1)
        chance, log_ratio = logp.exp(), logp - log_ref
        drawn = _draws(chance, lambda run, worker, at=step: seed_of(run, at, worker), group)
        paid = rewards.gather(1, drawn)  # run group
        advantage = (paid - paid.mean(1, keepdim=True)) / (paid.std(1, keepdim=True) + 1e-4)
        kl_gradient = chance * (log_ratio - (chance * log_ratio).sum(1, keepdim=True))
        taken = torch.zeros_like(chance).scatter_add(1, drawn, advantage)
        push = (taken - chance * advantage.sum(1, keepdim=True)) / group
        logits = logits + rate * (push - beta * kl_gradient)
    return logits


def _draws(
    chance: Float[Tensor, "run action"], seed_of: Callable[[int, int], int], group: int
) -> Int[Tensor, "run group"]:
    """One draw a worker, each with a generator of its own."""
    generator = torch.Generator()
    drawn = [
        [
            torch.multinomial(one, 1, generator=generator.manual_seed(seed_of(run, worker)))
            for worker in range(group)
        ]
        for run, one in enumerate(chance)
    ]
    return torch.stack([torch.cat(row) for row in drawn])


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
