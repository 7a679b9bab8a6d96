"""Reward each token: minus the price of its drift, and at the response's end the score."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor
from .shared import EMPTY, INF, NAN, PADDING

LAST = "the last real token"

CONSTANT = "a constant"

kl_shaped_rewards = Exercise(
    "kl_shaped_rewards",
    parts={VALUES: 2, LAST: 2, PADDING: 1, EMPTY: 1, CONSTANT: 1, RULES: 1},
    hints=(
        "Two rewards, added: a price at every real token, and a score at one token of each row. "
        "Write them as two tensors [batch, time].",
        "A response need not begin at 0 nor end at the end: its last real token is the True after "
        "which no True follows. cumsum over the mask, from the right, counts the True from each "
        "place on.",
        "With flip(1) before and after cumsum, the last real token is where the mask is True and "
        "that count is 1. torch.where(last, score[:, None], 0.0) puts the score there; choose the "
        "price with torch.where too, and detach the sum.",
    ),
    advisory={CONSTANT: "that no gradient arrives"},
)

THREE = ("score", "logp", "ref_logp")


@kl_shaped_rewards.by_hand
def _() -> Iterator[Case]:
    def case(title: str, mask: list[bool], part: str = VALUES, **changed: Any) -> Case:
        inputs = {
            "score": tensor(1.0),
            "logp": tensor([-1.0, -2.0, -3.0]),
            "ref_logp": tensor([-3.0, -1.0, -3.5]),
            "mask": torch.tensor([mask]),
            "beta": 0.1,
        }
        return Case(title, inputs | changed, part)

    yield case("log-ratios 2, −1, 0.5, score 1, beta 0.1: −0.2, 0.1, 0.95", [True, True, True])
    yield case("the same without a price: 0, 0, 1", [True, True, True], beta=0.0)
    # Sizes that the drawn cases never reach: no bound is seen by luck alone.
    wide = {"logp": tensor([-1.0, -8.0, -3.0]), "ref_logp": tensor([-7.0, -2.0, -3.0])}
    for score in (8.0, -8.0):
        title = f"log-ratios 6, −6, 0, score {score:g}: −0.6, 0.6, {score:g}".replace("-", "−")
        yield case(title, [True, True, True], **wide, score=tensor(score))
    yield case("the third is padding: −0.2, 1.1, 0", [True, True, False], LAST)
    yield case("the first is the prompt: 0, 0.1, 0.95", [False, True, True], LAST)
    yield case("one real token in the middle: 0, 1.1, 0", [False, True, False], LAST)
    for poison in (INF, NAN):
        changed = {"logp": tensor([-1.0, -2.0, poison]), "ref_logp": tensor([-3.0, -1.0, poison])}
        yield case(f"{poison} in the padding", [True, True, False], PADDING, **changed)
    yield case("nothing real: 0, 0, 0", [False, False, False], EMPTY)
    sure = {"logp": tensor([-1.0, -2.0, 0.0]), "ref_logp": tensor([-3.0, -1.0, -0.5])}
    yield case("the last token is certain: −0.2, 0.1, 0.95", [True, True, True], LAST, **sure)
    far = {"logp": tensor([-1.0, -26.0, -3.0]), "ref_logp": tensor([-16.0, -1.0, -3.0])}
    far |= {"score": tensor(-40.0)}
    title = "log-ratios 15, −25, 0, score −40: −1.5, 2.5, −40"
    yield case(title, [True, True, True], RULES, **far)
    far = {"logp": tensor([-1.0, -71.0, -3.0]), "ref_logp": tensor([-71.0, -1.0, -3.0])}
    for score in (5000.0, -5000.0):
        title = f"log-ratios 70, −70, 0, score {score:g}: −7, 7, {score:g}".replace("-", "−")
        yield case(title, [True, True, True], RULES, **far, score=tensor(score))


@kl_shaped_rewards.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, beta: float = 0.3, dtype: torch.dtype = torch.float32) -> dict:
        ref_logp = draw.logp(*mask.shape, dtype=dtype)
        return {
            "score": draw.normal(len(mask), dtype=dtype) + 0.5,
            "logp": ref_logp + draw.normal(*mask.shape, scale=0.8, dtype=dtype),
            "ref_logp": ref_logp,
            "mask": mask,
            "beta": beta,
        }

    whole, lengths = torch.ones(4, 4, dtype=torch.bool), draw.lengths_mask(4, 7)
    yield Case("4 responses of 4 tokens", inputs(whole))
    yield Case("beta 2.5", inputs(whole[:, :3], 2.5))
    yield Case("rows of unequal length", inputs(lengths), LAST)
    place = torch.arange(7)
    responses = lengths.roll(2, dims=1) & (place >= 2)
    responses[:, 2:4] = True  # two real tokens at least: a single one is a case of its own
    yield Case("a prompt of two tokens in front", inputs(responses), LAST)
    pieces = ([0, 1, 1, 0, 1, 0], [1, 0, 1, 0, 0, 1], [1, 1, 0, 1, 1, 0], [0, 1, 0, 1, 0, 0])
    holes = torch.tensor(pieces, dtype=torch.bool)
    yield Case("responses with gaps in them", inputs(holes), LAST)
    poisoned = inputs(responses)
    for name, poison in (("logp", NAN), ("ref_logp", -INF)):
        poisoned[name] = poisoned[name].masked_fill(~responses, poison)
    yield Case("nan and inf in prompt and padding", poisoned, PADDING)
    some = lengths.clone()
    some[1] = False
    yield Case("one row with nothing real", inputs(some), EMPTY)
    yield Case("score, logp and ref_logp with a graph", inputs(lengths), CONSTANT, THREE)
    yield Case("float64", inputs(lengths, dtype=torch.float64), RULES)


def _last(mask: Tensor) -> Tensor:
    """True at the last True of each row."""
    return mask & (mask.flip(1).cumsum(1).flip(1) == 1)


def _shaped(
    given: tuple,
    price: Callable[[Tensor, Tensor], Tensor] = torch.sub,
    last: Callable[[Tensor], Tensor] = _last,
) -> Tensor:
    """The rewards with another price of a token, or the score at other places."""
    score, logp, ref_logp, mask, beta = given
    logp, ref_logp, score = logp.detach(), ref_logp.detach(), score.detach()
    costs = (beta * price(logp, ref_logp)).masked_fill(~mask, 0.0)
    return score[:, None].expand_as(logp).masked_fill(~last(mask), 0.0) - costs


kl_shaped_rewards.changed(
    "drift_rewarded",
    "-beta",
    "beta",
    "The price has the wrong sign: drift is paid for here. It is −beta · (logp − ref_logp): what "
    "the policy made likelier than the reference costs.",
)
kl_shaped_rewards.changed(
    "price_without_beta",
    "-beta * (logp - ref_logp)",
    "-(logp - ref_logp)",
    "The price was not weighted: multiply the log-ratio by beta.",
)
kl_shaped_rewards.changed(
    "score_alone", "(price + torch", "(torch", "The price is missing: only the score came back."
)
kl_shaped_rewards.changed(
    "price_alone",
    "(price + torch.where(last, score[:, None], 0.0))",
    "price",
    "The score is missing: add it to the last real token of each row.",
)
kl_shaped_rewards.changed(
    "score_in_place_of_the_price",
    "(price + torch.where(last, score[:, None], 0.0))",
    "torch.where(last, score[:, None], price)",
    "The score was written over the price of the last real token. Both belong there: add it.",
)
kl_shaped_rewards.changed(
    "score_on_every_token",
    "mask & (real_from_here == 1)",
    "mask",
    "Every real token got the score. It judges the response as a whole and is paid once, at its "
    "last real token.",
)


@kl_shaped_rewards.wrong(
    "The score was shared out over the tokens. It is paid whole, at the last real token."
)
def score_shared_out(score, logp, ref_logp, mask, beta):
    share = score / mask.sum(1).clamp(min=1)
    return _shaped((share, logp, ref_logp, mask, beta), last=lambda mask: mask)


kl_shaped_rewards.changed(
    "score_at_the_end_of_the_row",
    "mask & (real_from_here == 1)",
    "torch.arange(mask.shape[1]) == mask.shape[1] - 1",
    "The score went to the last place of the row, [:, -1], which is padding where a response is "
    "shorter. It belongs to the last place where the mask is True.",
)
kl_shaped_rewards.changed(
    "score_lost_with_padding",
    "mask & (real_from_here == 1)",
    "mask & (torch.arange(mask.shape[1]) == mask.shape[1] - 1)",
    "The last place of the row was taken for the last real token, so a response that ends before "
    "gets no score.",
)
kl_shaped_rewards.changed(
    "score_at_the_count",
    "mask & (real_from_here == 1)",
    "mask.any(1, keepdim=True) & (torch.arange(mask.shape[1]) == mask.sum(1, keepdim=True) - 1)",
    "mask.sum(1) − 1 is the last real place only if the row begins with the response. With a "
    "prompt in front, or a gap, the last True is further on.",
)
kl_shaped_rewards.changed(
    "score_at_the_count_or_the_end",
    "mask & (real_from_here == 1)",
    "torch.arange(mask.shape[1]) == (mask.sum(1, keepdim=True) - 1) % mask.shape[1]",
    "mask.sum(1) − 1 is −1 in a row with nothing real, which is the row's last place; and with a "
    "prompt in front, or a gap, it is not the last real place. Look for the last True.",
)


@kl_shaped_rewards.wrong(
    "The score went to the first gap's edge: the last token of the first unbroken piece. A later "
    "True may follow; take the last one of the row."
)
def score_at_the_end_of_the_first_piece(*given):
    def first_end(mask: Tensor) -> Tensor:
        ends = mask & ~F.pad(mask, (0, 1))[:, 1:]
        return ends & (ends.cumsum(1) == 1)

    return _shaped(given, last=first_end)


kl_shaped_rewards.changed(
    "score_in_the_last_gap_too",
    "mask & (real_from_here == 1)",
    "real_from_here == 1",
    "The count of real tokens from here on is 1 in a gap before the last real token too, so the "
    "score was paid there as well. Ask for both: the mask is True, and the count is 1.",
)
kl_shaped_rewards.changed(
    "score_at_the_end_of_every_piece",
    "mask & (real_from_here == 1)",
    "mask & ~torch.nn.functional.pad(mask, (0, 1))[:, 1:]",
    "The score went to the end of every piece of the response: it was paid more than once in a row "
    "with gaps. Take the last True of the row.",
)
kl_shaped_rewards.changed(
    "score_at_the_first_token",
    "mask & (real_from_here == 1)",
    "mask & (mask.cumsum(dim=1) == 1)",
    "The score went to the first real token: argmax of a mask finds the first True. It is paid at "
    "the last.",
)


@kl_shaped_rewards.wrong(
    "A row with nothing real got its score at the end: there an index of −1, or an argmax of 0 "
    "after a flip, is the last place. Such a row is all zeros."
)
def empty_row_scored_at_the_end(*given):
    def found(mask: Tensor) -> Tensor:
        last = mask.shape[1] - 1 - mask.flip(1).int().argmax(1, keepdim=True)
        return torch.arange(mask.shape[1]) == last

    return _shaped(given, last=found)


kl_shaped_rewards.changed(
    "empty_row_scored_at_the_start",
    "mask & (real_from_here == 1)",
    "torch.arange(mask.shape[1]) == (torch.arange(mask.shape[1]) * mask).amax(1, keepdim=True)",
    "A row with nothing real got its score at place 0: the largest index of no True came out as 0. "
    "Such a row is all zeros.",
)


@kl_shaped_rewards.wrong(
    "The sum of all prices was charged at the last real token. Charge each token for its own "
    "drift: then credit can be given token by token."
)
def price_at_the_end(score, logp, ref_logp, mask, beta):
    gap = torch.where(mask, logp - ref_logp, 0.0).sum(1)
    return _shaped((score - beta * gap, logp, ref_logp, mask, 0.0)).detach()


kl_shaped_rewards.changed(
    "price_divided_by_length",
    "-beta * (logp - ref_logp)",
    "-beta * (logp - ref_logp) / mask.sum(1, keepdim=True).clamp(min=1)",
    "The price was divided by the length of the response. Each token pays for its own drift whole.",
)
kl_shaped_rewards.changed(
    "price_k3",
    "(logp - ref_logp)",
    "((ref_logp - logp).expm1() - ref_logp + logp)",
    "The price is k3. In the reward it is the log-ratio itself, k1: its expectation is the same, "
    "and as a constant it gives the right gradient through the advantage.",
)
kl_shaped_rewards.changed(
    "price_k2",
    "(logp - ref_logp)",
    "(logp - ref_logp).square() / 2",
    "The price is k2, half the square. In the reward it is the log-ratio itself, which may be "
    "negative.",
)
kl_shaped_rewards.changed(
    "price_never_negative",
    "(logp - ref_logp)",
    "(logp - ref_logp).clamp(min=0)",
    "The price was kept from being negative. A token that the policy made rarer than the "
    "reference earns something: without that, the prices do not average to a KL.",
)
kl_shaped_rewards.changed(
    "price_of_the_size",
    "(logp - ref_logp)",
    "(logp - ref_logp).abs()",
    "The price is the size of the log-ratio. It keeps its sign.",
)
kl_shaped_rewards.changed(
    "price_of_the_ratio",
    "(logp - ref_logp)",
    "(logp - ref_logp).exp()",
    "exp was taken: the price is the ratio of probabilities. It is the log-ratio, logp − ref_logp.",
)
kl_shaped_rewards.changed(
    "score_times_beta",
    "score[:, None]",
    "beta * score[:, None]",
    "beta was multiplied into the score too. It weighs the price of drift alone.",
)
kl_shaped_rewards.changed(
    "score_along_time",
    "score[:, None]",
    "score",
    "The score was laid along time, as [batch] meets [batch, time] from the right: give it a "
    "second axis, score[:, None].",
)
kl_shaped_rewards.changed(
    "summed_up",
    ".detach()",
    ".sum(1).detach()",
    "One number for each response came back: return one for each token.",
)
kl_shaped_rewards.changed(
    "padding_charged",
    "torch.where(mask, -beta * (logp - ref_logp), 0.0)",
    "-beta * (logp - ref_logp)",
    "The mask was not used for the price: padding and prompt are charged too.",
)
kl_shaped_rewards.changed(
    "price_times_mask",
    "torch.where(mask, -beta * (logp - ref_logp), 0.0)",
    "-beta * (logp - ref_logp) * mask",
    "inf or nan in the padding makes a reward nan, as where the mask is multiplied in: 0 · inf is "
    "nan. Choose with torch.where, or by indexing with the mask.",
)


def _leaking(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The rewards where only these inputs were detached."""
    named = dict(zip((*THREE, "mask", "beta"), given, strict=True))
    for name in constants:
        named[name] = named[name].detach()
    price = torch.where(named["mask"], named["logp"] - named["ref_logp"], 0.0)
    paid = torch.where(_last(named["mask"]), named["score"][:, None], 0.0)
    return paid - named["beta"] * price


for _leaks in (
    ("logp",),
    ("score",),
    ("ref_logp",),
    THREE,
    ("score", "logp"),
    ("score", "ref_logp"),
    THREE[1:],
):
    kl_shaped_rewards.mistakes.append(
        Mistake(
            f"gradient_reaches_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. A reward is "
            "what the world paid, a constant: it acts through the advantage. Detach the result.",
            partial(_leaking, tuple(name for name in THREE if name not in _leaks)),
        )
    )


kl_shaped_rewards.changed(
    "rewards_to_go",
    ".detach()",
    ".detach().flip(1).cumsum(1).flip(1)",
    "Rewards were added up from each token to the end: that is the return-to-go, which comes "
    "later. Return each token's own reward.",
)
kl_shaped_rewards.changed(
    "score_on_the_padding_behind",
    "mask & (real_from_here == 1)",
    "mask.cumsum(dim=1) == mask.sum(dim=1, keepdim=True)",
    "Padding behind the last real token was paid the score too: the count of real tokens so far is "
    "full there as well. Ask for both, the count and the mask.",
)


@kl_shaped_rewards.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def rewards_cast_to_float32(score, logp, ref_logp, mask, beta):
    given = (values.float() for values in (score, logp, ref_logp))
    return reference.kl_shaped_rewards(*given, mask, beta)


@kl_shaped_rewards.wrong(
    "An input was changed in place: the caller's logp is another tensor afterwards. Compute a new "
    "one."
)
def logp_changed_in_place(score, logp, ref_logp, mask, beta):
    with torch.no_grad():
        logp -= ref_logp
    return reference.kl_shaped_rewards(score, logp, torch.zeros_like(logp), mask, beta)


kl_shaped_rewards.changed(
    "beta_squared",
    "-beta",
    "-(beta**2)",
    "beta was squared: the price is beta · (logp − ref_logp).",
)


@kl_shaped_rewards.wrong(
    "Each row's price was shared out evenly over its real tokens. Each token pays for itself: the "
    "reward then says which one drifted."
)
def price_shared_out(score, logp, ref_logp, mask, beta):
    gap = (logp - ref_logp).masked_fill(~mask, 0.0)
    shared = gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    nothing = torch.zeros_like(logp)
    return reference.kl_shaped_rewards(score, shared.expand_as(logp), nothing, mask, beta)


kl_shaped_rewards.changed(
    "score_one_early",
    "mask & (real_from_here == 1)",
    "torch.nn.functional.pad(mask & (real_from_here == 1), (0, 1))[:, 1:]",
    "The score was paid one token early: at the place before the last True. The last real token "
    "gets it.",
)


kl_shaped_rewards.changed(
    "score_cut_off_at_5",
    "score[:, None]",
    "score.clamp(-5, 5)[:, None]",
    "The score was cut off at ±5, as some libraries do with rewards. Here it is paid whole, "
    "whatever its size.",
)
kl_shaped_rewards.changed(
    "score_cut_off_at_10",
    "score[:, None]",
    "score.clamp(-10, 10)[:, None]",
    "The score was cut off at ±10, as some libraries do with rewards. Here it is paid whole, "
    "whatever its size.",
)
kl_shaped_rewards.changed(
    "price_cut_off_at_10",
    "(logp - ref_logp)",
    "(logp - ref_logp).clamp(-10, 10)",
    "The log-ratio was cut off at ±10, as some libraries do. Here each token pays for its "
    "drift whole, however far it went.",
)
kl_shaped_rewards.changed(
    "price_cut_off_at_20",
    "(logp - ref_logp)",
    "(logp - ref_logp).clamp(-20, 20)",
    "The log-ratio was cut off at ±20, as some libraries do. Here each token pays for its "
    "drift whole, however far it went.",
)
kl_shaped_rewards.changed(
    "rewards_to_go_on_real_tokens",
    ".detach()",
    ".detach().flip(1).cumsum(1).flip(1).masked_fill(~mask, 0.0)",
    "Rewards were added up from each token to the end: that is the return-to-go, which comes "
    "later. Return each real token's own reward.",
)
kl_shaped_rewards.changed(
    "price_squared",
    "(logp - ref_logp)",
    "(logp - ref_logp).square()",
    "The log-ratio was squared. The price is beta · (logp − ref_logp), which may be negative.",
)
kl_shaped_rewards.changed(
    "price_of_the_policy_alone",
    "(logp - ref_logp)",
    "logp",
    "ref_logp was not used: the price is that of logp alone. Drift is logp − ref_logp.",
)


kl_shaped_rewards.changed(
    "score_subtracted",
    "score[:, None]",
    "-score[:, None]",
    "The score was subtracted. It is paid: add it to the price of the last real token.",
)
kl_shaped_rewards.changed(
    "score_centred",
    "score[:, None]",
    "(score - score.mean())[:, None]",
    "The scores' mean over the batch was taken away. Each response is paid its own score, as "
    "it is.",
)
kl_shaped_rewards.changed(
    "score_normalised",
    "score[:, None]",
    "((score - score.mean()) / (score.std() + 1e-8))[:, None]",
    "The scores were normalised over the batch (nan for a single one). Each response is paid "
    "its own score, as it is.",
)
kl_shaped_rewards.changed(
    "price_added_up",
    "torch.where(mask, -beta * (logp - ref_logp), 0.0)",
    "torch.where(mask, -beta * torch.where(mask, logp - ref_logp, 0.0).cumsum(1), 0.0)",
    "Prices were added up from the start of the row: each token pays for those before it as "
    "well. It pays for its own drift alone.",
)
kl_shaped_rewards.changed(
    "price_of_the_quotient",
    "(logp - ref_logp)",
    "(logp / ref_logp)",
    "The price is logp / ref_logp, a quotient of logarithms. It is the log-ratio, logp − ref_logp.",
)
kl_shaped_rewards.changed(
    "price_of_the_ratio_less_one",
    "(logp - ref_logp)",
    "(logp - ref_logp).expm1()",
    "The price is the ratio of probabilities less 1. It is the log-ratio, logp − ref_logp.",
)


@kl_shaped_rewards.right
def token_by_token(score, logp, ref_logp, mask, beta):
    rewards = torch.zeros_like(logp)
    for b in range(len(logp)):
        real = mask[b].nonzero().flatten().tolist()
        for t in real:
            rewards[b, t] = -beta * (logp[b, t].item() - ref_logp[b, t].item())
        if real:
            rewards[b, real[-1]] += score[b].item()
    return rewards


@kl_shaped_rewards.right
def with_scatter_add(score, logp, ref_logp, mask, beta):
    with torch.no_grad():
        rewards = (logp - ref_logp).masked_fill(~mask, 0.0) * -beta
        place = torch.arange(mask.shape[1], device=mask.device)
        last = torch.where(mask, place, -1).amax(1)
        paid = score.masked_fill(last < 0, 0.0)
        return rewards.scatter_add(1, last.clamp(min=0)[:, None], paid[:, None])


@kl_shaped_rewards.right
@torch.no_grad()
def with_index_put(score, logp, ref_logp, mask, beta):
    rewards = logp.new_zeros(logp.shape)
    rewards[mask] = beta * (ref_logp[mask] - logp[mask])
    rows = mask.any(1).nonzero().squeeze(1)
    backwards = mask.flip(1).to(torch.uint8).argmax(1)
    rewards[rows, mask.shape[1] - 1 - backwards[rows]] += score[rows]
    return rewards


@kl_shaped_rewards.right
def with_one_hot(score, logp, ref_logp, mask, beta):
    time = mask.shape[1]
    last = (torch.arange(1, time + 1) * mask).max(dim=1).values
    at = F.one_hot(last, time + 1)[:, 1:].to(logp.dtype)
    gap = torch.nan_to_num(logp, 0.0, 0.0, 0.0) - torch.nan_to_num(ref_logp, 0.0, 0.0, 0.0)
    return torch.einsum("b,bt->bt", score, at).detach() - beta * (gap * mask).detach()


kl_shaped_rewards.together(
    "drift_rewarded",
    "score_on_every_token",
    "score_at_the_first_token",
    "score_one_early",
    "price_k3",
)
kl_shaped_rewards.together("price_without_beta", "score_on_every_token")
