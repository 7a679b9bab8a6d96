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
        "what it was. Those before it were fixed when it was drawn: their mean share in its "
        "gradient is 0, and each adds noise.",
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
        policy[1:], ref[1:] = tensor(0.0, 0.0), tensor(0.0, 1.0)
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


_GAP = "logp - ref_logp"
_MASKED_GAP = "torch.where(mask, logp - ref_logp, 0.0)"
_AHEAD = "gap.flip(1).cumsum(1).flip(1)"
_TERMS = "torch.where(mask, logp * ahead, 0.0)"
_LOSS = f"{_TERMS}.sum(1)"
_OWN = "torch.where(mask, logp, 0.0)"  # log policy, 0 in the padding
_MOVING = "torch.where(mask, logp - ref_logp.detach(), 0.0)"  # the log-ratio with its graph

for _name, _line, _instead, _says in (
    (
        "token_by_token",
        _AHEAD,
        "gap",
        "Each token answers for its own log-ratio alone, as in a sum of k2 over tokens. What it "
        "leads to is missing: after another token the later ones would cost otherwise.",
    ),
    (
        "whole_response",
        _AHEAD,
        "gap.sum(1, keepdim=True)",
        "Each token answers for the log-ratio of the whole response, as in half its square. On "
        "average that is right. But what came before a token did not hang on it, and only adds "
        "noise to its gradient: sum from the token on.",
    ),
    (
        "what_came_before",
        _AHEAD,
        "gap.cumsum(1)",
        "Each token answers for the log-ratios up to itself. Those before it were fixed when it "
        "was drawn; those after it hang on it: sum from the token on.",
    ),
    (
        "own_token_left_out",
        _AHEAD,
        f"{_AHEAD} - gap",
        "Each token answers for what comes after it, and not for itself: its own log-ratio "
        "belongs to the sum.",
    ),
    (
        "only_what_came_before",
        _AHEAD,
        "gap.cumsum(1) - gap",
        "Each token answers for what came before it, on which it had no influence: on average "
        "that is no gradient at all. Sum from the token on.",
    ),
    (
        "not_turned_back",
        _AHEAD,
        "gap.flip(1).cumsum(1)",
        "The sums from the end were not turned back: the first token got the last one's, and the "
        "last token the first one's. flip(1) again after the running sum.",
    ),
    (
        "last_token_alone",
        _AHEAD,
        "gap.gather(1, (torch.arange(mask.shape[1]) * mask).argmax(1, keepdim=True))",
        "Each token answers for the log-ratio of the last real token alone. All from the token on "
        "belong to its sum.",
    ),
    (
        "next_token_alone",
        _AHEAD,
        "gap + torch.cat([gap[:, 1:], gap[:, :1] * 0], 1)",
        "Each token answers for its own log-ratio and for that of the place after it. All later "
        "ones hang on it too: sum to the end.",
    ),
    (
        "mean_of_what_is_ahead",
        _AHEAD,
        f"{_AHEAD} / mask.flip(1).cumsum(1).flip(1).clamp(min=1)",
        "The log-ratios from a token on were averaged. The log-ratio of a response is a sum: a "
        "token answers for all of it that is ahead.",
    ),
    (
        "less_the_mean_of_the_response",
        _AHEAD,
        f"{_AHEAD} - ({_AHEAD}.sum(1) / mask.sum(1).clamp(min=1))[:, None]",
        "The mean over the response's own tokens was subtracted. It hangs on what was drawn, so "
        "that it is no baseline: it takes away a part of what is to be learnt.",
    ),
    (
        "less_the_mean_of_the_batch",
        _AHEAD,
        f"{_AHEAD} - {_AHEAD}.mean(0)",
        "The batch's mean was subtracted at each place, so that a response's gradient hangs on "
        "those that came with it, and a response alone gets none. A response's loss is to be of "
        "that response.",
    ),
    (
        "less_one_mean_of_the_batch",
        _AHEAD,
        f"{_AHEAD} - {_AHEAD}[mask].mean()",
        "The mean over all real tokens of the batch was subtracted, so that a response's gradient "
        "hangs on those that came with it. A response's loss is to be of that response.",
    ),
    (
        "summed_over_the_batch",
        _AHEAD,
        "gap.flip(0).cumsum(0).flip(0)",
        "The running sum goes over the batch. Time is the second axis: dim=1.",
    ),
    (
        "one_for_each_token",
        ", 0.0).detach()",
        ", -1.0).detach() + 1",
        "1 was added to each token's log-ratio, as the product rule gives it, and summed from each "
        "token on. That counts the tokens still to come, and how many they are hangs on the token: "
        "add it once to each sum, or leave it out.",
    ),
    (
        "k3_in_the_reward",
        "logp - ref_logp",
        "torch.expm1(ref_logp - logp) - (ref_logp - logp)",
        "Each token answers for the k3 from it on. For later tokens that does, as k3's mean is the "
        "KL. For its own it does not: ref/policy in front of ∇logp has a mean of its own, and the "
        "direction is another.",
    ),
    (
        "k2_in_the_reward",
        "logp - ref_logp",
        "0.5 * (logp - ref_logp) ** 2",
        "Each token answers for the half squares of the log-ratios from it on. Their mean is not "
        "the KL: put the log-ratios themselves in front of ∇logp.",
    ),
    (
        "squares_in_the_reward",
        "logp - ref_logp",
        "(logp - ref_logp) ** 2",
        "The squares of the log-ratios stand in front of ∇logp: put the log-ratios themselves "
        "there.",
    ),
    (
        "ratios_in_the_reward",
        "logp - ref_logp",
        "(logp - ref_logp).exp()",
        "The ratios policy/ref from each token on were added up. What a token answers for are "
        "their logarithms.",
    ),
    (
        "absolute_log_ratios",
        "logp - ref_logp",
        "(logp - ref_logp).abs()",
        "The log-ratios have lost their sign. A token that became rarer is to be pulled up, not "
        "down.",
    ),
    (
        "negative_log_ratios_left_out",
        "logp - ref_logp",
        "(logp - ref_logp).clamp(min=0.0)",
        "Log-ratios below 0 were raised to 0 before the sum. The signs must stay: a token that "
        "became rarer pays back for one that became likelier.",
    ),
    (
        "negated",
        "logp - ref_logp",
        "ref_logp - logp",
        "The sign is turned: this loss pushes the policy away from ref. As a reward it would do; a "
        "loss is minimised.",
    ),
    (
        "reference_forgotten",
        "logp - ref_logp",
        "logp",
        "log policy alone stands in front of ∇logp: this only raises the policy's entropy. "
        "Subtract the reference's.",
    ),
    (
        "entropy_forgotten",
        "logp - ref_logp",
        "-ref_logp",
        "Only log ref weighs the score: the policy's own log-probability belongs to the log-ratio "
        "too.",
    ),
    (
        "logarithms_added",
        "logp - ref_logp",
        "logp + ref_logp",
        "The log-probabilities were added: the logarithm of a ratio is their difference.",
    ),
    (
        "difference_of_probabilities",
        "logp - ref_logp",
        "logp.exp() - ref_logp.exp()",
        "Probabilities were subtracted. What a token answers for are log-ratios.",
    ),
    (
        "through_probabilities",
        "logp - ref_logp",
        "(logp.exp() / ref_logp.exp()).log()",
        "Probabilities were formed on the way, and one of a rare token rounds to 0. Subtract the "
        "logarithms that came in.",
    ),
    (
        "halved",
        _LOSS,
        f"0.5 * {_LOSS}",
        "The gradient is half of what it should be: a ½ too many. It belongs to a square.",
    ),
    (
        "twice",
        _LOSS,
        f"2 * {_LOSS}",
        "The gradient is twice what it should be: a factor 2 too many.",
    ),
    (
        "twice_the_whole",
        _LOSS,
        f"{_MOVING}.sum(1) ** 2",
        "This is the square of the response's log-ratio, or has its gradient: a ½ is missing. And "
        "each token answers for those before it too.",
    ),
    (
        "squares_of_each_token",
        _LOSS,
        f"({_MOVING} ** 2).sum(1)",
        "The squared log-ratios were added up, token by token: a ½ is missing, and so is what a "
        "token leads to.",
    ),
    (
        "k1_summed",
        _LOSS,
        f"{_MOVING}.sum(1)",
        "This is the response's log-ratio, k1, or has its gradient: ∇logp of each token, whose "
        "mean is 0. So nothing pulls. What is ahead must stand in front of ∇logp as a number.",
    ),
    (
        "k3_summed",
        _LOSS,
        f"(torch.expm1(-{_MOVING}) + {_MOVING}).sum(1)",
        "This is the sum of the tokens' k3, or has its gradient: that of the other direction, "
        "KL(ref ‖ policy), at each token, without what it leads to.",
    ),
    (
        "k3_of_the_response",
        _LOSS,
        f"torch.expm1(-{_MOVING}.sum(1)) + {_MOVING}.sum(1)",
        "This is k3 of the response's log-ratio, or has its gradient: that of the other direction, "
        "KL(ref ‖ policy).",
    ),
    (
        "ratio_of_the_response",
        _LOSS,
        f"{_MOVING}.sum(1).exp()",
        "This is the ratio policy/ref of the response, or has its gradient. A loss that pulls has "
        "the logarithm of it in front of ∇logp.",
    ),
    (
        "squares_from_each_token_on",
        _LOSS,
        f"(0.5 * {_MOVING}.flip(1).cumsum(1) ** 2 * mask.flip(1)).sum(1)",
        "Half the square of what is ahead was added up over the tokens, and differentiated. So a "
        "token answers again for each sum that it is in. Hold the sums constant, and multiply by "
        "logp.",
    ),
    (
        "weight_differentiated",
        "gap = torch.where(mask, logp - ref_logp, 0.0).detach()",
        f"gap = {_MOVING}",
        "Both factors carry a gradient: logp times what is ahead differentiates the log-ratios "
        "too. Detach what is to be a number.",
    ),
    (
        "weight_and_reference_differentiated",
        ".detach()",
        "",
        "Nothing was detached: both factors carry a gradient, and one reaches ref_logp, which is a "
        "constant. What is ahead is to be a number.",
    ),
    (
        "reference_moves",
        f"{_MASKED_GAP}.detach()",
        "torch.where(mask, logp.detach() - ref_logp, 0.0)",
        "A gradient reaches ref_logp, which is a constant: detach it.",
    ),
    (
        "wrong_factor_detached",
        _LOSS,
        f"torch.where(mask, logp.detach() * {_MOVING}.flip(1).cumsum(1).flip(1), 0.0).sum(1)",
        "The wrong factor was detached: log policy is held constant here, and what is ahead "
        "carries the gradient. The other way round.",
    ),
    (
        "everything_detached",
        ".sum(1)",
        ".sum(1).detach()",
        "No gradient reaches logp at all: what came back was detached as a whole, or computed "
        "without a graph.",
    ),
    (
        "averaged_over_responses",
        ".sum(1)",
        ".sum(1).mean()",
        "One number came back, the mean over the responses. Return one loss for each: averages "
        "come later.",
    ),
    (
        "added_over_responses",
        ".sum(1)",
        ".sum()",
        "One number came back, the sum over all responses. Sum over time alone: one loss for each "
        "response.",
    ),
    (
        "mean_over_all_tokens",
        ".sum(1)",
        ".sum() / mask.sum().clamp(min=1)",
        "One number came back, the mean over all real tokens. Sum over time alone: one loss for "
        "each response.",
    ),
    (
        "summed_over_rows",
        ".sum(1)",
        ".sum(0)",
        "The sum runs over the batch. Time is the second axis: dim=1.",
    ),
    (
        "left_per_token",
        ".sum(1)",
        "",
        "A loss of each token came back. Sum over time: one loss for each response.",
    ),
    (
        "axis_kept",
        ".sum(1)",
        ".sum(1, keepdim=True)",
        "The time axis is still there, with length 1, as keepdim leaves it: one number a response.",
    ),
    (
        "mean_over_tokens",
        ".sum(1)",
        ".sum(1) / mask.sum(1).clamp(min=1)",
        "The loss was divided by the response's number of tokens. The KL of responses is that of "
        "their whole log-ratio: a long one counts with all of it.",
    ),
    (
        "divided_by_all_places",
        ".sum(1)",
        ".mean(1)",
        "The loss was divided by the number of places, padding included. Sum over time, and divide "
        "by nothing.",
    ),
    (
        "divided_by_the_batch",
        ".sum(1)",
        ".sum(1) / len(mask)",
        "Each loss was divided by the number of responses in the batch. Whoever averages the "
        "losses divides by it: a response's own loss is of that response.",
    ),
    (
        "divided_by_the_tokens_of_the_batch",
        ".sum(1)",
        ".sum(1) / mask.sum().clamp(min=1)",
        "Each loss was divided by the number of real tokens in the batch. A response's loss is of "
        "that response alone, and a sum over its tokens.",
    ),
    (
        "mask_ignored",
        _LOSS,
        "(logp * (logp - ref_logp).detach().flip(1).cumsum(1).flip(1)).sum(1)",
        "The mask is not used: padding is in the sums, and gets a gradient. Let only tokens "
        "through where it is True.",
    ),
    (
        "mask_inverted",
        _LOSS,
        "torch.where(mask, 0.0, logp * torch.where(mask, 0.0, logp - ref_logp).detach()"
        ".flip(1).cumsum(1).flip(1)).sum(1)",
        "The mask is turned round: padding was summed and real tokens were left out.",
    ),
    (
        "padding_in_the_log_ratios",
        _MASKED_GAP,
        "(logp - ref_logp)",
        "Padding is in what is ahead: its log-ratios were summed too. Set them to 0 outside the "
        "mask before the running sum.",
    ),
    (
        "mask_left_out_of_logp",
        _LOSS,
        "(logp * ahead).sum(1)",
        "What is ahead knows the mask, but logp of the padding is multiplied with it: padding in "
        "front of a token gets a gradient, and 0 · inf and 0 · NaN are NaN. Choose the products "
        "with torch.where.",
    ),
    (
        "multiplied_by_the_mask",
        _LOSS,
        "(logp * ((logp - ref_logp) * mask).detach().flip(1).cumsum(1).flip(1) * mask).sum(1)",
        "The mask was multiplied in, and 0 · inf and 0 · NaN are NaN: padding reached the loss. "
        "Choose with torch.where in place of multiplying.",
    ),
    (
        "first_place_dropped",
        _TERMS,
        f"{_TERMS}[:, 1:]",
        "The first place was dropped, as in a shift by one. What comes in is aligned already: each "
        "place holds a token and its own log-probability.",
    ),
    (
        "last_place_dropped",
        _TERMS,
        f"{_TERMS}[:, :-1]",
        "The last place was dropped. All real tokens count, and what comes in is aligned already.",
    ),
    (
        "weighted_by_the_policy",
        "logp * ahead",
        "logp.exp() * ahead",
        "Each token was weighted by its probability, as in a sum over the vocabulary. These tokens "
        "are drawn from the policy, so that the weight is in how often they turn up already.",
    ),
    (
        "weighted_by_the_response",
        _LOSS,
        f"{_OWN}.sum(1).exp() * {_MOVING}.sum(1)",
        "Each response was weighted by its probability, as in a sum over all responses. These were "
        "drawn from the policy: likely ones come often already.",
    ),
    (
        "logp_changed_in_place",
        _MASKED_GAP,
        "(logp.masked_fill_(~mask, 0.0) - ref_logp.masked_fill(~mask, 0.0))",
        "logp was changed in place, as by masked_fill_ or logp[~mask] = 0: compute a new tensor.",
    ),
    (
        "ref_logp_changed_in_place",
        _MASKED_GAP,
        "(logp.masked_fill(~mask, 0.0) - ref_logp.detach().masked_fill_(~mask, 0.0))",
        "ref_logp was changed in place, which a tensor from .detach() shares with it: compute a "
        "new one.",
    ),
    (
        "both_changed_in_place",
        _MASKED_GAP,
        "(logp.masked_fill_(~mask, 0.0) - ref_logp.detach().masked_fill_(~mask, 0.0))",
        "Both logp and ref_logp were changed in place, as by x[~mask] = 0 or masked_fill_: compute "
        "new tensors.",
    ),
    (
        "cast_to_float32",
        _LOSS,
        f"{_LOSS}.float()",
        "The answer is float32 whatever came in: keep the dtype of the inputs.",
    ),
    (
        "cast_to_float64",
        _LOSS,
        f"{_LOSS}.double()",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
    (
        "in_bits",
        _GAP,
        "(logp - ref_logp) / 0.6931471805599453",
        "Logarithms were turned to base 2. They are in nats: use them as they are.",
    ),
):
    response_kl_loss.changed(_name, _line, _instead, _says)

for _rate in (0.9, 0.95, 0.99):
    response_kl_loss.changed(
        f"discounted_{_rate}".replace(".", "_"),
        _AHEAD,
        f"(gap[:, None] * {_rate} ** (torch.arange(mask.shape[1]) - torch.arange(mask.shape[1])"
        "[:, None]).clamp(min=0)).triu().sum(2)",
        f"Later log-ratios were discounted, by {_rate} for each place. The KL of responses has no "
        "discount: a token answers for all that follows in full.",
    )

for _bound in (1, 5, 10, 20):
    for _name, _line, _says in (
        ("log_ratio", _GAP, "Each token's log-ratio"),
        ("ahead", _AHEAD, "The sum of the log-ratios from a token on"),
    ):
        response_kl_loss.changed(
            f"{_name}_bounded_{_bound}",
            _line,
            f"({_line}).clamp(-{_bound}, {_bound})",
            f"{_says} was clamped to ±{_bound}. What is that far away is to be pulled back "
            "hardest: the contract has no bound.",
        )


@response_kl_loss.wrong(
    "Padding was taken to stand last: the first n places were used, n being the response's number "
    "of real tokens. Use the mask itself, which may be True anywhere."
)
def padding_taken_to_be_last(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    first = torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True)
    gap = torch.where(first, logp - ref_logp, 0.0).detach()
    return torch.where(first, logp * gap.flip(1).cumsum(1).flip(1), 0.0).sum(1)


@response_kl_loss.right
def all_pairs(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
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
def real_tokens_alone(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Each response without its padding; the total less what came before."""
    losses = []
    for p, q in ((p[real], q[real]) for p, q, real in zip(logp, ref_logp, mask, strict=True)):
        with torch.no_grad():
            gap = p - q
            ahead = gap.sum() - gap.cumsum(0) + gap
        losses.append(p @ ahead)
    return torch.stack(losses)


@response_kl_loss.right
def ratio_so_far_times_log_ratio(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Each log-ratio times a ratio of value 1 that holds all tokens up to it."""
    moved = torch.where(mask, logp - logp.detach(), 0.0).cumsum(1).exp()
    return (moved * torch.where(mask, logp - ref_logp.detach(), 0.0)).sum(1)


@response_kl_loss.right
def one_added_to_each_sum(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """The 1 of the product rule, once for each token: it is a baseline."""
    cost = torch.where(mask, logp - ref_logp, 0.0)
    ahead = cost.flip(-1).cumsum(-1).flip(-1).detach() + 1
    return torch.where(mask, (logp - logp.detach()) * ahead, torch.zeros_like(logp)).sum(-1)


@response_kl_loss.right
def k2_of_its_own_and_k3_of_the_later(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """Later tokens may be counted by k3, which has their KL as its mean; its own may not."""
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    held = gap.detach()
    cost = torch.expm1(-held) + held
    later = cost.flip(1).cumsum(1).flip(1) - cost
    return torch.where(mask, 0.5 * gap**2 + logp * later, 0.0).sum(1)


@response_kl_loss.right
def in_double_and_back(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    gap = (logp.double() - ref_logp.double()).detach().masked_fill(~mask, 0.0)
    terms = gap.flip(1).cumsum(1).flip(1) * logp.double().masked_fill(~mask, 0.0)
    return terms.sum(1).to(logp.dtype)
