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


@dataclass(frozen=True)
class World:
    """A small world with states: where each action leads, what it pays, and the discount."""

    leads_to: Float[Tensor, "state action state"]
    rewards: Float[Tensor, "state action"]
    discount: float

    def values(self, policy: Float[Tensor, "state action"]) -> Float[Tensor, " state"]:
        """The policy's discounted return from each state: V = r + γ P V, solved."""
        paid = (policy * self.rewards).sum(-1)
        return torch.linalg.solve(self._discounted(policy), paid)

    def visits(self, policy: Float[Tensor, "state action"]) -> Float[Tensor, " state"]:
        """How often each state is visited, discounted; the first state is drawn evenly."""
        start = torch.full((len(policy),), 1 / len(policy), dtype=policy.dtype)
        return torch.linalg.solve(self._discounted(policy).T, start)

    def advantages(self, policy: Float[Tensor, "state action"]) -> Float[Tensor, "state action"]:
        """How much more an action returns than the policy does on average, in each state."""
        values = self.values(policy)
        return self.rewards + self.discount * self.leads_to @ values - values[:, None]

    def _discounted(self, policy: Float[Tensor, "state action"]) -> Float[Tensor, "state state"]:
        moves = torch.einsum("sa,sat->st", policy, self.leads_to)
        return torch.eye(len(policy), dtype=policy.dtype) - self.discount * moves


def random_world(seed: int, states: int = 4, actions: int = 3, discount: float = 0.9) -> World:
    generator = torch.Generator().manual_seed(seed)
    draw = torch.rand(2, states, actions, states, generator=generator, dtype=torch.float64)
    return World((5 * draw[0]).softmax(-1), draw[1, ..., 0], discount)
