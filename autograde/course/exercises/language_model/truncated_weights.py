"""Weigh each token by what the trainer thinks of it, where another program drew it."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor
from .shared import INF, NAN, PADDING

CAP = "the cap"

CONSTANT = "a constant"

truncated_weights = Exercise(
    "truncated_weights",
    parts={VALUES: 1, CAP: 2, PADDING: 1, CONSTANT: 1, RULES: 1},
    hints=(
        "The sampler drew too often what it holds for likelier than the trainer does. By which "
        "factor does a token have to count, for an average over the sampler's tokens to be one "
        "over the trainer's? Lesson 05 has it, with other names.",
        "exp of a difference of logarithms, then one bound from above. What stands in the padding "
        "is replaced before that, not multiplied away: what number has exp = 0?",
        "torch.where(mask, logp − sampler_logp, …) with −inf in the padding, then exp, then "
        "clamp(max=cap); detach, so that a loss sees plain numbers.",
    ),
    advisory={CONSTANT: "that no gradient arrives, and that a loss can be weighted with it"},
)

TWO = ("logp", "sampler_logp")


@truncated_weights.by_hand
def _() -> Iterator[Case]:
    def case(title: str, part: str, mask: list[bool], cap: float = 2.0, **changed: Any) -> Case:
        inputs = {
            "logp": tensor([-2.0 + math.log(0.5), -2.0, -2.0 + math.log(1.5)]),
            "sampler_logp": tensor([-2.0, -2.0, -2.0]),
            "mask": torch.tensor([mask]),
            "cap": cap,
        }
        return Case(title, inputs | changed, part)

    real, some = [True, True, True], [True, False, True]
    yield case("½, 1 and 1½ times the sampler's probability, cap 2: as they are", VALUES, real)
    yield case("the second is padding: ½, 0, 1½", VALUES, some)
    four = {"logp": tensor([-2.0 + math.log(0.5), -2.0, -2.0 + math.log(4.0)])}
    yield case("½, 1 and 4 times, cap 2: ½, 1, 2", CAP, real, **four)
    yield case("½, 1 and 4 times, cap 3.5: ½, 1, 3.5", CAP, real, 3.5, **four)
    tenth = {"logp": tensor([-2.0 + math.log(0.1), -2.0, -2.0 + math.log(4.0)])}
    yield case("⅒, 1 and 4 times, cap ¾: ⅒, ¾, ¾", CAP, real, 0.75, **tenth)
    yield case("½, 1 and 4 times, cap 1,000: ½, 1, 4", CAP, real, 1e3, **four)
    yield from _far_cases(case)
    for poison in (INF, -INF, NAN):
        poisoned = {"logp": tensor([-2.0, poison, -2.0])}
        title = f"logp is {poison} in the padding: 1, 0, 1".replace("-", "−")
        yield case(title, PADDING, some, **poisoned)
        poisoned |= {"sampler_logp": tensor([-2.0, poison, -2.0])}
        title = f"both are {poison} in the padding: 1, 0, 1".replace("-", "−")
        yield case(title, PADDING, some, **poisoned)
    yield case("the first is padding: 0, 1, 1½", PADDING, [False, True, True])
    yield case("nothing real: 0, 0, 0", PADDING, [False, False, False])


def _far_cases(case: Callable[..., Case]) -> Iterator[Case]:
    """Sizes that the drawn cases never reach: no bound is seen by luck alone."""
    real = [True, True, True]
    wide = {"logp": tensor([-1.0, -61.0, -1.0]), "sampler_logp": tensor([-31.0, -1.0, -1.0])}
    yield case("e³⁰, e⁻⁶⁰ and 1 times, cap 10⁹: 10⁹, e⁻⁶⁰, 1", CAP, real, 1e9, **wide)
    over = {"logp": tensor([-1.0, -2.0, -2.0]), "sampler_logp": tensor([-201.0, -2.0, -2.0])}
    yield case("e²⁰⁰ times, beyond float32, cap 2: 2, 1, 1", CAP, real, **over)
    under = {"logp": tensor([-201.0, -2.0, -2.0]), "sampler_logp": tensor([-1.0, -2.0, -2.0])}
    yield case("e⁻²⁰⁰ times: 0, 1, 1", CAP, real, **under)
    rare = {"logp": tensor([-120.0, -2.0, -2.0]), "sampler_logp": tensor([-120.5, -2.0, -2.0])}
    yield case("a token that both hold for rarer than e⁻¹¹⁹: e^½, 1, 1", CAP, real, **rare)


@truncated_weights.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(
        mask: Tensor, low: float, high: float, cap: float, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        sampler_logp = draw.logp(*mask.shape, dtype=dtype)
        moved = draw.uniform(*mask.shape, low=low, high=high, dtype=dtype)
        moved[:, 0], moved[:, -1] = low, high  # both ends are always there
        logp = sampler_logp + moved
        return {"logp": logp, "sampler_logp": sampler_logp, "mask": mask, "cap": cap}

    whole = torch.ones(4, 5, dtype=torch.bool)
    near = {"low": -0.6, "high": 0.6, "cap": 2.0}
    far = {"low": -2.0, "high": 2.0, "cap": 1.7}
    scattered = draw.scattered_mask(4, 6)
    scattered[:, 0] = scattered[:, -1] = True
    yield Case("4 responses of 5 tokens, below the cap", inputs(whole, **near))
    yield Case("some above the cap", inputs(whole, **far), CAP)
    yield Case("padding between real tokens", inputs(scattered, **near), PADDING)
    poisoned = inputs(scattered, **far)
    for name, poison in zip(TWO, (NAN, -INF), strict=True):
        poisoned[name] = poisoned[name].masked_fill(~scattered, poison)
    yield Case("nan and inf in the padding", poisoned, PADDING)
    given = inputs(scattered, **far)
    yield Case("logp and sampler_logp with a graph", given, CONSTANT, TWO, probe="weighing")
    yield Case("float64", inputs(whole, **near, dtype=torch.float64), RULES)


@truncated_weights.right
def weights_written_out(logp, sampler_logp, mask, cap):
    logp, sampler_logp = logp.detach(), sampler_logp.detach()
    gap = torch.where(mask, logp - sampler_logp, 0.0)
    weight = gap.exp()
    weight = weight.clamp(max=cap)
    return torch.where(mask, weight, 0.0)


changed = partial(truncated_weights.changed, of=weights_written_out)

changed(
    "weight_upside_down",
    "logp - sampler_logp, 0.0",
    "sampler_logp - logp, 0.0",
    "The weight is upside down: this is sampler over trainer. What the sampler draws too often "
    "counts for less: exp(logp − sampler_logp).",
)
changed(
    "weight_without_cap",
    "weight.clamp(max=cap)",
    "weight",
    "cap was not used: a single token may count for thousands, or for inf. No weight exceeds cap.",
)
changed(
    "weight_dropped_beyond_cap",
    "weight.clamp(max=cap)",
    "torch.where(weight > cap, 0.0, weight)",
    "Tokens beyond the cap got the weight 0: those are masked weights. Truncated ones count for "
    "cap.",
)
changed(
    "weight_one_beyond_cap",
    "weight.clamp(max=cap)",
    "torch.where(weight > cap, 1.0, weight)",
    "Tokens beyond the cap got the weight 1. They count for cap.",
)
changed(
    "cap_on_the_logarithm",
    "weight.clamp(max=cap)",
    "gap.clamp(max=cap).exp()",
    "The logarithm of the weight was cut off at cap, so that weights go up to exp(cap). Take exp "
    "first, or cut the logarithm off at log cap.",
)
changed(
    "cap_from_below",
    "clamp(max=cap)",
    "clamp(min=cap)",
    "cap was taken for the least weight: of weight and cap, the larger came back. It is the "
    "greatest.",
)
changed(
    "cap_on_both_sides",
    "clamp(max=cap)",
    "clamp(1 / cap, cap)",
    "Small weights were raised to 1/cap. Only large ones are cut off: a small one is no danger.",
)
changed(
    "weights_around_one",
    "clamp(max=cap)",
    "clamp(1 - cap, 1 + cap)",
    "cap was taken for the clip's epsilon: weights are held between 1 − cap and 1 + cap. No weight "
    "exceeds cap, and none is raised.",
)
changed(
    "weights_up_to_one_more",
    "clamp(max=cap)",
    "clamp(max=1 + cap)",
    "Weights go up to 1 + cap here. No weight exceeds cap.",
)
changed(
    "weights_up_to_one",
    "clamp(max=cap)",
    "clamp(max=min(cap, 1.0))",
    "Weights go up to 1 at most, whatever cap is. No weight exceeds cap.",
)
changed(
    "weights_up_to_two",
    "clamp(max=cap)",
    "clamp(max=2.0)",
    "2 was written in for cap.",
)
changed(
    "weights_below_one_raised",
    "clamp(max=cap)",
    "clamp(max=cap).clamp(min=1.0)",
    "Weights below 1 were raised to 1. A token that the sampler drew too often counts for less.",
)
changed(
    "logarithm_of_the_weight",
    "gap.exp()",
    "gap",
    "exp is missing: this is the weight's logarithm, 0 where sampler and trainer agree.",
)
changed(
    "weight_less_one",
    "gap.exp()",
    "gap.expm1()",
    "The weight less 1 came back: it is 1 where sampler and trainer agree, not 0.",
)
changed(
    "weight_squared",
    "gap.exp()",
    "(2 * gap).exp()",
    "The weight was squared.",
)
changed(
    "weight_of_the_size",
    "gap.exp()",
    "gap.abs().exp()",
    "exp of the log-ratio's size is never below 1. It keeps its sign.",
)
changed(
    "weight_of_the_trainer_alone",
    "logp - sampler_logp, 0.0",
    "logp, 0.0",
    "sampler_logp was not used: this is the trainer's probability. Divide by the sampler's.",
)
changed(
    "quotient_of_logarithms",
    "gap.exp()",
    "torch.where(mask, logp / sampler_logp, 1.0)",
    "The weight is logp / sampler_logp here, a quotient of logarithms. That of the probabilities "
    "is exp(logp − sampler_logp).",
)
changed(
    "quotient_of_probabilities",
    "gap.exp()",
    "torch.where(mask, logp.exp() / sampler_logp.exp(), 1.0)",
    "exp(logp) / exp(sampler_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − sampler_logp).",
)
changed(
    "overflow_weighs_nothing",
    "gap.exp()",
    "gap.exp().nan_to_num(posinf=0.0)",
    "A weight beyond what the dtype holds came out as 0. It is cap.",
)
changed(
    "overflow_weighs_one",
    "gap.exp()",
    "gap.exp().nan_to_num(posinf=1.0)",
    "A weight beyond what the dtype holds came out as 1. It is cap.",
)
changed(
    "weights_kept_apart_by_20",
    "gap.exp()",
    "gap.clamp(-20.0, 20.0).exp()",
    "The log-ratio was cut off at ±20 before exp. cap is the only bound, and there is none below.",
)
changed(
    "weights_kept_apart_by_10",
    "gap.exp()",
    "gap.clamp(-10.0, 10.0).exp()",
    "The log-ratio was cut off at ±10 before exp. cap is the only bound, and there is none below.",
)
changed(
    "weight_of_the_response",
    "gap.exp()",
    "gap.sum(1, keepdim=True).exp().expand_as(gap)",
    "One weight for the whole response, the product of its tokens': another choice, not wrong in "
    "itself, but not what is asked. Here each token has its own weight, and its own cap.",
)
changed(
    "weight_of_the_mean_log_ratio",
    "gap.exp()",
    "(gap.sum(1) / mask.sum(1).clamp(min=1)).exp()[:, None].expand_as(gap)",
    "One weight for the whole response: exp of the mean of its log-ratios. Here each token has its "
    "own weight, and its own cap.",
)
changed(
    "weight_of_the_tokens_so_far",
    "gap.exp()",
    "gap.cumsum(1).exp()",
    "A token's weight is the product of those up to it. Here each token has its own.",
)
changed(
    "weights_normalised",
    "weight.clamp(max=cap)",
    "(lambda kept: kept * mask.sum() / (kept * mask).sum())(weight.clamp(max=cap))",
    "The weights were divided by their mean over the real tokens. Return them as they are.",
)
changed(
    "weights_summed",
    "torch.where(mask, weight, 0.0)",
    "torch.where(mask, weight, 0.0).sum()",
    "Weights were summed to one number: return one for each token.",
)
changed(
    "weights_averaged",
    "torch.where(mask, weight, 0.0)",
    "torch.where(mask, weight, 0.0).sum() / mask.sum().clamp(min=1)",
    "The mean of the weights came back: return one for each token.",
)
changed(
    "weights_of_real_tokens_in_a_row",
    "torch.where(mask, weight, 0.0)",
    "weight[mask]",
    "The weights of the real tokens came back in a row: return one for each place, 0 in the "
    "padding.",
)
changed(
    "weighs_or_not",
    "torch.where(mask, weight, 0.0)",
    "torch.where(mask & (gap.exp() <= cap), 1.0, 0.0).to(gap.dtype)",
    "1 or 0 came back: a mask of the tokens below the cap. Return the weights themselves.",
)
changed(
    "padding_weighs_one",
    "torch.where(mask, weight, 0.0)",
    "weight",
    "Padding got the weight 1 (or cap, where that is less), as exp(0) is 1. It counts for nothing: "
    "replace it once more at the end.",
)


@truncated_weights.wrong("The mask was not used: padding has a weight like real tokens.")
def mask_ignored(logp, sampler_logp, mask, cap):
    return (logp - sampler_logp).detach().exp().clamp(max=cap)


@truncated_weights.wrong(
    "inf or nan in the padding makes a weight nan, as where the mask is multiplied in: 0 · inf is "
    "nan. Choose with torch.where, or by indexing with the mask."
)
def weight_times_mask(logp, sampler_logp, mask, cap):
    return (logp - sampler_logp).detach().exp().clamp(max=cap) * mask


@truncated_weights.wrong(
    "inf or nan in the padding makes a weight nan, as where the log-probabilities are multiplied "
    "by the mask: 0 · inf is nan. Choose with torch.where, or by indexing with the mask."
)
def logarithms_times_mask(logp, sampler_logp, mask, cap):
    weight = (logp * mask - sampler_logp * mask).detach().exp().clamp(max=cap)
    return torch.where(mask | weight.isnan(), weight, 0.0)


@truncated_weights.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def weights_cast_to_float32(logp, sampler_logp, mask, cap):
    return reference.truncated_weights(logp.float(), sampler_logp.float(), mask, cap)


@truncated_weights.wrong(
    "An input was changed in place: the caller's logp is another tensor afterwards. Compute a new "
    "one."
)
def logp_changed_in_place(logp, sampler_logp, mask, cap):
    with torch.no_grad():
        logp -= sampler_logp
    return reference.truncated_weights(logp, torch.zeros_like(logp), mask, cap)


@truncated_weights.wrong(
    "The weights are of torch.inference_mode, and no loss can be differentiated that they are part "
    "of. Use torch.no_grad, or detach."
)
def weights_of_inference_mode(*given):
    with torch.inference_mode():
        return reference.truncated_weights(*given)


def _leaking(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The weights where only these inputs were detached."""
    named = dict(zip((*TWO, "mask", "cap"), given, strict=True))
    for name in constants:
        named[name] = named[name].detach()
    gap = torch.where(named["mask"], named["logp"] - named["sampler_logp"], 0.0)
    return torch.where(named["mask"], gap.exp().clamp(max=named["cap"]), 0.0)


for _leaks in (TWO[:1], TWO[1:], TWO):
    truncated_weights.mistakes.append(
        Mistake(
            f"gradient_reaches_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. A weight says how much a token counts, "
            "and is no part of what is learned: a constant. Detach the result.",
            partial(_leaking, tuple(name for name in TWO if name not in _leaks)),
        )
    )


@truncated_weights.right
@torch.no_grad()
def weights_by_index(logp, sampler_logp, mask, cap):
    weights = logp.new_zeros(logp.shape)
    weights[mask] = torch.exp(logp[mask] - sampler_logp[mask])
    weights[weights > cap] = cap
    return weights


@truncated_weights.right
def weights_token_by_token(logp, sampler_logp, mask, cap):
    weights = torch.zeros_like(logp)
    for b, t in mask.nonzero().tolist():
        gap = logp[b, t].item() - sampler_logp[b, t].item()
        weights[b, t] = cap if gap > math.log(cap) else math.exp(gap)
    return weights


@truncated_weights.right
def weights_from_a_cut_logarithm(logp, sampler_logp, mask, cap):
    gap = logp.detach().masked_fill(~mask, -INF) - sampler_logp.detach().masked_fill(~mask, 0.0)
    return torch.exp(gap.clamp(max=math.log(cap)))


@truncated_weights.right
def weights_by_minimum(logp, sampler_logp, mask, cap):
    with torch.no_grad():
        clean = [torch.nan_to_num(x, 0.0, 0.0, 0.0) for x in (logp, sampler_logp)]
        weights = torch.minimum((clean[0] - clean[1]).exp(), torch.tensor(cap, dtype=logp.dtype))
        return weights * mask
