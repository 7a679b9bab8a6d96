"""Give each of the policy's own responses a loss whose mean gradient is ∇KL(policy ‖ ref)."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import CONSTANTS, RARE

FOLLOWS = "only what follows counts"
ALONE = "each response by itself"
PADDING = "padding"
INF, NAN = torch.inf, torch.nan

response_kl_loss = Exercise(
    "response_kl_loss",
    parts={VALUES: 2, FOLLOWS: 1, ALONE: 1, PADDING: 1, CONSTANTS: 1, RARE: 1, RULES: 1},
    hints=(
        "A token answers for its own log-ratio and for those of the tokens after it, which hang on "
        "what it was. For those before it, it cannot: their mean share in its gradient is 0, and "
        "each adds noise.",
        "So the number in front of ∇logp at place t is the sum of the log-ratios from t on, held "
        "constant. A running sum goes from the front to the back: which way do you need it? Let "
        "nothing of the padding into it.",
        "Set the log-ratios to 0 outside the mask with torch.where, and detach them. flip(1), "
        "cumsum(1) and flip(1) again sum from each place on. Each token's loss is then a product "
        "of two factors, and a response's is the sum over its real tokens.",
    ),
    advisory={
        ALONE: "that it is asked some responses at a time",
        CONSTANTS: "that no gradient arrives",
        RULES: "that logp is left as it was",
    },
)

# A response as the tuple of its tokens.
Response = tuple[int, ...]


def _responses(vocab: int, most: int, ends: bool, so_far: Response = ()) -> Iterator[Response]:
    """All responses of at most so many tokens; ends: the token 0 is the last of a response."""
    for token in range(vocab):
        longer = (*so_far, token)
        if len(longer) == most or (ends and token == 0):
            yield longer
        else:
            yield from _responses(vocab, most, ends, longer)


def _world(
    logits: Tensor, ref_logits: Tensor, most: int, ends: bool, places: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """The inputs of the probe: all responses, padded with tokens whose log-ratio is 1.

    logits, ref_logits: a row for each beginning, in the order of its first response.
    places: where the tokens stand, and last how many places there are; the first ones unless said.
    """
    places = range(most + 1) if places is None else places
    every = list(_responses(logits.shape[-1], most, ends))
    rows = {start: row for row, start in enumerate(_beginnings(every))}
    shape = len(every), places[-1]
    beginnings, tokens = torch.zeros(2, *shape, dtype=torch.int64)
    mask = torch.zeros(shape, dtype=torch.bool)
    for number, response in enumerate(every):
        for k, (place, token) in enumerate(zip(places, response, strict=False)):
            beginnings[number, place], tokens[number, place] = rows[response[:k]], token
            mask[number, place] = True
    padding = torch.full(shape, -1.0, dtype=logits.dtype)
    ref_logp = ref_logits.log_softmax(-1)[beginnings, tokens].where(mask, padding - 1)
    found = {"logits": logits, "ref_logp": ref_logp, "padding": padding, "mask": mask}
    return found | {"beginnings": beginnings, "tokens": tokens}


def _beginnings(every: Sequence[Response]) -> dict[Response, None]:
    """What may stand before a token, in the order of the first response that it begins."""
    return {response[:k]: None for response in every for k in range(len(response))}


def _asked(title: str, world: dict[str, Any], part: str = VALUES, **options: Any) -> Case:
    """One question. What is differentiated is the policy, and padding or constants by the part."""
    grad = {CONSTANTS: ("ref_logp",), PADDING: ("logits", "padding")}.get(part, ("logits",))
    return Case(title, world, part, grad, probe="responses", **options)


def _with_empty(world: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """The world and so many responses without a token."""
    names = [name for name in world if name != "logits"]
    more = {n: torch.cat([world[n][:1]] * number) for n in names}
    more["mask"] = torch.zeros_like(more["mask"])
    return world | {name: torch.cat([world[name], more[name]]) for name in names}


def _poisoned(world: dict[str, Tensor]) -> dict[str, Tensor]:
    """The world with nan and inf in all of its padding, of logp and of ref_logp."""
    count, mask = world["mask"].numel(), world["mask"]
    poison = tensor(NAN, INF, -INF, NAN, -2.0).to(world["padding"].dtype)
    one, other = (
        poison[torch.arange(shift, shift + count) % 5].reshape(mask.shape) for shift in (0, 3)
    )
    return world | {"padding": one, "ref_logp": world["ref_logp"].where(mask, other)}


def _in_order(world: dict[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    """The world with its responses in another order."""
    return {name: one if name == "logits" else one[order] for name, one in world.items()}


def _two(one: dict[str, Tensor], other: dict[str, Tensor]) -> dict[str, Tensor]:
    """Two worlds side by side, of equally many places."""
    moved = other | {"beginnings": other["beginnings"] + len(one["logits"])}
    return {name: torch.cat([one[name], moved[name]]) for name in one}


HALF = (0.5, 0.5)


def _by_chance(*rows: Sequence[float]) -> Tensor:
    return tensor(*rows).log()


def _two_tokens() -> dict[str, Tensor]:
    """Unlike ref only in the second token, after a: the first has a future, and nothing else."""
    return _world(_by_chance(HALF, HALF, HALF), _by_chance(HALF, (0.25, 0.75), HALF), 2, False)


@response_kl_loss.by_hand
def _() -> Iterator[Case]:
    half, quarter = _by_chance(HALF), _by_chance((0.25, 0.75))
    yield _asked("one token: policy (1/2, 1/2), ref (1/4, 3/4)", _world(half, quarter, 1, False))
    yield _asked("two tokens, all (1/2, 1/2), ref (1/4, 3/4) after a", _two_tokens())
    going_on, unlike = _by_chance(HALF, HALF), _by_chance((0.25, 0.75), (0.75, 0.25))
    ending = _world(going_on, unlike, 2, True)
    yield _asked("one token or two: the first may end it", ending)
    yield _far_apart()
    moved = _two_tokens() | {"since": 1}
    moved["ref_logp"] = moved["ref_logp"] - tensor([2.0, 0.0], [0.0, 0.0], [-1.0, 0.0], [1.0, 0.0])
    yield _asked("the second token, where ref gave the first other numbers", moved, FOLLOWS)
    yield _asked("two tokens, one response at a time", _two_tokens() | {"at_once": 1}, ALONE)
    apart = _world(going_on, unlike, 2, True, places=(1, 3, 4))
    yield _asked("places 1 and 3 of 0 to 3 are real, or place 1 alone", apart, PADDING)
    poison = _poisoned(_with_empty(ending, 2))
    yield _asked("nan and inf in the padding, and responses without a token", poison, PADDING)
    yield _asked("two tokens: what reaches ref_logp", _two_tokens(), CONSTANTS)
    yield from _rare()


def _far_apart() -> Case:
    """Log-ratios of some 12 nats, of both signs: no bound is seen by luck alone.

    In float64, so that what is rare counts, and judged as float32: the dtype is another part.
    """
    policy = tensor([0.0, -1.0, -13.0], [-12.0, 0.0, -0.5], [0.0, -0.5, -1.0], [-1.0, 0.0, -12.0])
    ref = tensor([0.0, -13.0, -1.0], [0.0, -1.0, -12.0], [-0.5, 0.0, -13.0], [0.0, -12.0, -1.0])
    world = _world(policy.double(), ref.double(), 2, False)
    return _asked("policy/ref from e⁻¹² to e¹²", world, rtol=1e-4, atol=1e-8)


def _rare() -> Iterator[Case]:
    """Probabilities round to 0 here: of ref alone, and of both. No log-ratio is beyond 80."""
    for logit, ref_logit in ((0.0, -70.0), (-40.0, -115.0), (-120.0, -110.0)):
        policy, ref = (tensor([0.0, rare]).repeat(3, 1) for rare in (logit, ref_logit))
        ref[1:] = policy[1:]
        title = f"first token: policy logits (0, {logit:.0f}), ref logits (0, {ref_logit:.0f})"
        yield _asked(title.replace("-", "−"), _world(policy, ref, 2, False), RARE)


@response_kl_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    def world(
        vocab: int,
        most: int,
        ends: bool = True,
        places: Sequence[int] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> dict[str, Tensor]:
        rows = len(_beginnings(list(_responses(vocab, most, ends))))
        logits, ref_logits = (draw.normal(rows, vocab, dtype=dtype) for _ in range(2))
        made = _world(logits, ref_logits, most, ends, places)
        made["padding"] = draw.logp(*made["mask"].shape, dtype=dtype)
        other = draw.logp(*made["mask"].shape, dtype=dtype)
        return made | {"ref_logp": made["ref_logp"].where(made["mask"], other)}

    def shuffled(made: dict[str, Tensor]) -> dict[str, Tensor]:
        return _in_order(made, torch.randperm(len(made["mask"]), generator=draw.generator))

    yield _asked("all 27 responses of three tokens", world(3, 3, ends=False))
    yield _asked("all 15 responses of up to three tokens, 0 ends one", world(3, 3))
    yield _asked("all 31 responses of up to four tokens", shuffled(world(3, 4)))
    for since in (1, 2):
        moved = world(3, 3) | {"since": since}
        early = (torch.arange(3) < since) & moved["mask"]
        moved["ref_logp"] = moved["ref_logp"] + draw.normal(*early.shape) * early
        title = f"places from {since} on, where ref gave those before other numbers"
        yield _asked(title, moved, FOLLOWS)
    yield _asked("one response at a time", world(3, 3) | {"at_once": 1}, ALONE)
    mixed = shuffled(_two(world(3, 2, places=(0, 2, 3)), world(3, 2, places=(1, 2, 3))))
    yield _asked("of two prompts, four responses at a time", mixed | {"at_once": 4}, ALONE)
    yield _asked("padding before, between and after", world(3, 3, places=(1, 2, 5, 7)), PADDING)
    poison = shuffled(_poisoned(_with_empty(world(3, 2, places=(1, 3, 5)), 1)))
    yield _asked("nan and inf there, and one response of no token", poison, PADDING)
    yield _asked("what reaches ref_logp", world(3, 3), CONSTANTS)
    far = world(3, 2)
    far["ref_logp"] = far["ref_logp"] - 65.0 * (far["tokens"] == 1) * (far["beginnings"] == 0)
    yield _asked("a first token 65 nats down under ref", far, RARE)
    yield _asked("float64", shuffled(world(3, 3, dtype=torch.float64)), RULES)


response_kl_loss.changed(
    "token_by_token",
    "gap.flip(1).cumsum(1).flip(1)",
    "gap",
    "Each token answers for its own log-ratio alone, as in a sum of k2 over tokens. What it leads "
    "to is missing: after another token the later ones would cost otherwise.",
)
response_kl_loss.changed(
    "what_came_before",
    "gap.flip(1).cumsum(1).flip(1)",
    "gap.cumsum(1)",
    "Each token answers for the log-ratios up to itself. Those before it were fixed when it was "
    "drawn; those after it hang on it: sum from the token on.",
)
response_kl_loss.changed(
    "own_token_left_out",
    "gap.flip(1).cumsum(1).flip(1)",
    "gap.flip(1).cumsum(1).flip(1) - gap",
    "Each token answers for what comes after it, and not for itself: its own log-ratio belongs "
    "to the sum.",
)
response_kl_loss.changed(
    "everything_detached",
    ".sum(1)",
    ".sum(1).detach()",
    "No gradient reaches logp at all: what came back was detached as a whole, or computed without "
    "a graph.",
)
response_kl_loss.changed(
    "averaged_over_responses",
    ".sum(1)",
    ".sum(1).mean()",
    "One number came back, the mean over the responses. Return one loss for each.",
)


@response_kl_loss.right
def half_own_and_all_pairs(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """By a matrix: the log-ratio at s counts for each token at t ≤ s."""
    gap = (logp - ref_logp).detach().masked_fill(~mask, 0.0)
    until = torch.ones(len(gap[0]), len(gap[0]), dtype=gap.dtype).triu()  # t s
    return torch.einsum("bt,ts,bs->b", logp.masked_fill(~mask, 0.0), until, gap)


@response_kl_loss.right
def loop_from_the_end(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    losses = []
    for row in range(len(logp)):
        ahead, loss = 0.0, logp.new_zeros(())
        for t in reversed(range(logp.shape[1])):
            if mask[row, t]:
                ahead += logp[row, t].item() - ref_logp[row, t].item()
                loss = loss + logp[row, t] * ahead
        losses.append(loss)
    return torch.stack(losses)


@response_kl_loss.right
def ratio_so_far_times_log_ratio(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Each log-ratio times a ratio of value 1 that holds all tokens up to it."""
    moved = torch.where(mask, logp - logp.detach(), 0.0).cumsum(1).exp()
    return (moved * torch.where(mask, logp - ref_logp.detach(), 0.0)).sum(1)
