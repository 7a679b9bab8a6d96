"""Problems of lesson 02, small enough to list every outcome."""

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.distributions import Normal

from .policy_updates import (
    LENGTH,
    STOP,
    draw_responses,
    gradient_at,
)


def six_updates() -> Float[Tensor, "policy word"]:
    """Logits over three words: of ref, and after each of six updates that turn as they go."""
    angle = torch.linspace(0.1, 1.5, 6, dtype=torch.float64)
    moves = 0.45 * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)], dim=-1)
    ref = torch.tensor([[-0.8, -0.8, 0.6]], dtype=torch.float64)
    return torch.cat([ref, ref + moves.cumsum(0)])


def two_humps(places: int = 41) -> Float[Tensor, " place"]:
    """Logits of a reference that prefers two regions of a line: 60 % left, 40 % right."""
    place = torch.arange(places, dtype=torch.float64)
    left, right = (Normal(c * places, 0.06 * places).log_prob(place) for c in (0.25, 0.75))
    return torch.logaddexp(left + math.log(0.6), right + math.log(0.4))


def single_humps(places: int = 41) -> Float[Tensor, "candidate place"]:
    """Logits of candidate policies with one hump each, of every centre and many widths."""
    place = torch.arange(places, dtype=torch.float64)
    centres = torch.linspace(0, places - 1, 2 * places - 1, dtype=torch.float64)
    widths = torch.linspace(0.03, 0.4, 38, dtype=torch.float64) * places
    centre, width = torch.cartesian_prod(centres, widths).unbind(dim=1)
    return -0.5 * ((place - centre[:, None]) / width[:, None]) ** 2


def pairs_of_humps(places: int = 41) -> Float[Tensor, "candidate place"]:
    """Logits of candidates with two humps as wide as ref's: centres and shares of many kinds.

    One of the two may have no share; ref itself is among them.
    """
    place = torch.arange(places, dtype=torch.float64)
    centres = torch.linspace(0, places, places, dtype=torch.float64)
    hump = Normal(centres[:, None], 0.06 * places).log_prob(place)
    shares = torch.linspace(0, 1, 21, dtype=torch.float64)[:, None, None, None]
    pairs = torch.logaddexp(hump[:, None] + shares.log(), hump[None] + (1 - shares).log())
    return pairs.flatten(0, 2)


@dataclass(frozen=True)
class World:
    """A Markov decision process without rewards: where it starts, and where actions lead."""

    start: Float[Tensor, " state"]
    transition: Float[Tensor, "state action state"]


def random_world(seed: int, states: int = 3, actions: int = 2) -> World:
    """A world whose every transition is random, and possible."""
    generator = torch.Generator().manual_seed(seed)
    start = torch.randn(states, generator=generator, dtype=torch.float64)
    leads = torch.randn(states, actions, states, generator=generator, dtype=torch.float64)
    return World(start.softmax(-1), leads.softmax(-1))


def random_policy(seed: int, states: int = 3, actions: int = 2) -> Float[Tensor, "state action"]:
    """The probability of each action in each state."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(states, actions, generator=generator, dtype=torch.float64).softmax(-1)


def trajectory_log_probs(
    world: World, policy: Float[Tensor, "state action"], steps: int = 3
) -> tuple[Float[Tensor, " trajectory"], Float[Tensor, " trajectory"]]:
    """Of every trajectory s₀ a₀ s₁ a₁ …: log-probability of its actions, and of what the world did.

    The second is log p(s₀) + Σ log p(s′ ∣ s, a); both together give the trajectory's own.
    """
    states, actions = policy.shape
    visits = torch.tensor(list(itertools.product(range(states), repeat=steps + 1)))
    choices = torch.tensor(list(itertools.product(range(actions), repeat=steps)))
    visits = visits.repeat_interleave(len(choices), dim=0)
    choices = choices.repeat(len(visits) // len(choices), 1)
    before, after = visits[:, :-1], visits[:, 1:]
    chosen = policy.log()[before, choices].sum(dim=1)
    moves = world.transition.log()[before, choices, after].sum(dim=1)
    return chosen, world.start.log()[visits[:, 0]] + moves


@dataclass(frozen=True)
class TinyLanguage:
    """Every response of at most 4 tokens, scored by a policy and by its reference.

    The next token depends on the one before alone. Padding holds NaN: nothing may read it.
    """

    responses: list[str]
    previous: Int[Tensor, "response time"]  # the row of `logits` that each token was drawn from
    mask: Bool[Tensor, "response time"]
    logits: Float[Tensor, "previous vocab"]
    ref_logits: Float[Tensor, "previous vocab"]
    logp: Float[Tensor, "response time"]
    ref_logp: Float[Tensor, "response time"]

    @property
    def probability(self) -> Float[Tensor, " response"]:
        """Of each response, under the policy."""
        return self.logp.nan_to_num(nan=0.0).sum(dim=1).exp()

    @property
    def ref_probability(self) -> Float[Tensor, " response"]:
        """Of each response, under the reference."""
        return self.ref_logp.nan_to_num(nan=0.0).sum(dim=1).exp()


WORDS = ("good", "fine", ".")
LONGEST = 4


def tiny_language() -> TinyLanguage:
    """A policy that has come to like "good" more than its reference does."""
    # Rows: at the start, after "good", after "fine". Columns: the next word.
    logits = torch.tensor([[1.0, 0.0, -1.5], [0.9, -0.3, 0.2], [0.8, 0.1, 0.3]]).double()
    ref_logits = torch.tensor([[0.2, 0.2, -1.0], [0.0, 0.3, 0.2], [0.3, 0.0, 0.4]]).double()
    listed = _responses()
    lengths = torch.tensor([len(response) for response in listed])
    mask = torch.arange(LONGEST) < lengths[:, None]
    tokens = torch.tensor([response + (0,) * (LONGEST - len(response)) for response in listed])
    previous = torch.where(mask, tokens.roll(1, dims=1) + 1, 0)
    previous[:, 0] = 0  # the start, before any word
    logp, ref_logp = (
        torch.where(mask, scores.log_softmax(-1)[previous, tokens], torch.nan)
        for scores in (logits, ref_logits)
    )
    texts = [" ".join(WORDS[token] for token in response) for response in listed]
    return TinyLanguage(texts, previous, mask, logits, ref_logits, logp, ref_logp)


def _responses(begun: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Every way to go on until the full stop, or until there is no room."""
    if begun[-1:] == (WORDS.index("."),) or len(begun) == LONGEST:
        return [begun]
    return [done for word in range(len(WORDS)) for done in _responses((*begun, word))]


def unit_normal_logp(x: Float[Tensor, "*leading"], mean: float) -> Float[Tensor, "*leading"]:
    """Log-density of N(mean, 1), in the dtype of `x`."""
    return -0.5 * ((x - mean).square() + math.log(2 * math.pi))


def estimator_closed_forms(mean: float) -> dict[str, tuple[float, float]]:
    """(bias, standard deviation) of k1, k2, k3, in units of KL(N(mean, 1) ‖ N(0, 1)) = mean²/2.

    With d = log policy − log ref ~ N(mean²/2, mean²): moments of a normal and a log-normal number.
    """
    square = mean**2
    return {
        "k1": (0.0, 2 / mean),
        "k2": (square / 4, math.sqrt(2 + square)),
        "k3": (0.0, 2 * math.sqrt(math.expm1(square) - square) / square),
    }


def words_before(table: Float[Tensor, "*leading word word"]) -> Float[Tensor, "*leading word"]:
    """How often, in one response of this policy, each word is the one before the next word.

    For the model of lesson 01: the mean over its responses, exactly.
    """
    following = table.softmax(-1)
    now = torch.zeros_like(following[..., 0, :])
    now[..., STOP] = 1.0  # the sign that starts a response
    often = now.clone()
    for _ in range(LENGTH - 1):
        now = torch.einsum("...p,...pw->...w", now, following)
        now = now.index_fill(-1, torch.tensor([STOP]), 0.0)  # ended: nothing follows
        often = often + now
    return often


def response_kl(
    policy: Float[Tensor, "*leading word word"],
    ref: Float[Tensor, "*leading word word"],
    kl: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, "*leading"]:
    """KL(policy ‖ ref) of whole responses, for one table of logits or for many.

    kl: the divergence of one choice, from the logits of both.
    """
    policy, ref = torch.broadcast_tensors(policy, ref)
    return (words_before(policy) * kl(policy, ref)).sum(-1)


def slips_of_response_kl(
    policy: Float[Tensor, "word word"],
    ref: Float[Tensor, "word word"],
    kl: Callable[[Tensor, Tensor], Tensor],
) -> dict[str, Float[Tensor, "..."]]:
    """What is computed by mistake in place of `response_kl`, by what there is to say of it."""
    often, each = words_before(policy), kl(policy, ref)
    return {
        "Not yet: the four KLs alone. Weigh each by how often a response meets the word.": each,
        "Not yet: the four KLs count alike here. Weigh each by how often the policy meets the "
        "word before.": each.sum(-1),
        "Not yet: the parts are right, one for each word before. Add them up.": often * each,
        "Not yet: the mean of the four parts. The weights count words already: sum.": (
            (often * each).mean(-1)
        ),
        "Not yet: the words are counted in ref's responses. The policy does the drawing.": (
            (words_before(ref) * each).sum(-1)
        ),
        "Not yet: the policy's weights, and the next word's KL the other way round.": (
            (often * kl(ref, policy)).sum(-1)
        ),
        "Not yet: this is KL(ref ‖ policy), both the weights' and the next word's. Exchange "
        "policy and ref.": response_kl(ref, policy, kl),
    }


def batch_direction(old: Float[Tensor, "word word"], seed: int) -> Float[Tensor, "word word"]:
    """The gradient of J at old from 128 drawn responses, as in lesson 01, with length 1."""
    tokens, mask, score = draw_responses(old, 128, torch.Generator().manual_seed(seed))
    before, word = tokens[:, :-1], tokens[:, 1:]
    advantage = (score - score.mean())[:, None]

    def surrogate(table: Float[Tensor, "word word"]) -> Float[Tensor, ""]:
        ratio = (table.log_softmax(-1) - old.log_softmax(-1))[before, word].exp()
        return torch.where(mask, ratio * advantage, 0.0).sum() / mask.sum()

    up = gradient_at(old, surrogate)
    return up / up.norm()
