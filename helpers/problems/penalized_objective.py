"""Problems of lesson 03: one choice among three, small enough to draw every policy."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Replies:
    """One question, a few possible replies, what a reward model pays, and how ref answers."""

    names: tuple[str, ...]
    ref_logits: Float[Tensor, " action"]
    rewards: Float[Tensor, " action"]


def three_replies() -> Replies:
    """Ref mostly replies curtly; the reward model likes help, and flattery even more."""
    ref = torch.tensor([0.60, 0.32, 0.08], dtype=torch.float64)
    rewards = torch.tensor([0.0, 1.0, 1.4], dtype=torch.float64)
    return Replies(("curt", "helpful", "flattering"), ref.log(), rewards)


def four_replies() -> Replies:
    """As before, with a second reply that earns the highest reward: a tie."""
    ref = torch.tensor([0.50, 0.30, 0.15, 0.05], dtype=torch.float64)
    rewards = torch.tensor([0.0, 1.0, 1.4, 1.4], dtype=torch.float64)
    return Replies(("curt", "helpful", "flattering", "gushing"), ref.log(), rewards)


def towards_one_action(
    ref_logits: Float[Tensor, " action"], action: int, points: int = 400
) -> tuple[Float[Tensor, " point"], Float[Tensor, "point action"]]:
    """(share, logits) of policies that mix ref with one action: share 0 is ref, 1 that action."""
    share = torch.linspace(0.0, 0.9999, points, dtype=torch.float64)[:, None]
    certain = torch.zeros_like(ref_logits).index_fill(0, torch.tensor(action), 1.0)
    return share[:, 0], ((1 - share) * ref_logits.softmax(-1) + share * certain).log()


def all_policies(steps: int = 160) -> Float[Tensor, "point action"]:
    """Policies over three actions, spread evenly over the simplex, its edges left out."""
    first, second = torch.meshgrid(torch.arange(steps), torch.arange(steps), indexing="ij")
    inside = first + second < steps
    first, second = (first[inside] + 1 / 3) / steps, (second[inside] + 1 / 3) / steps
    return torch.stack([first, second, 1 - first - second], dim=-1).double()


def forward_optimum(
    ref_logits: Float[Tensor, " action"], rewards: Float[Tensor, " action"], beta: float
) -> Float[Tensor, " action"]:
    """The policy that maximises E[r] − beta · KL(ref ‖ policy): the other direction's optimum.

    It is beta · ref(a) / (λ − r(a)), with λ ≥ max r such that it sums to 1; λ is bisected. Where
    even λ = max r leaves it below 1, what is missing goes to best-paid actions that ref never
    takes, as KL(ref ‖ policy) does not charge for those. ref_logits may be −inf. Probabilities.
    """
    ref, gap = ref_logits.softmax(-1), rewards.max() - rewards
    low, high = 0.0, beta  # of λ − max r: at beta no probability exceeds ref's
    for _ in range(200):
        above = low + (high - low) / 2
        low, high = (above, high) if (beta * ref / (gap + above)).sum() > 1 else (low, above)
    known = beta * ref / (gap + high)
    unseen = ((gap == 0) & (ref == 0)).to(ref)
    return known + (1 - known.sum()) * unseen / unseen.sum().clamp(min=1)
