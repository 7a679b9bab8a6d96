"""Weight GRPO's penalty by the ratio policy/old, so that its gradient is that of a KL."""

import math
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake
from .grpo_loss import SLIPS
from .shared import (
    ALL_FOUR,
    CLIP,
    CONSTANTS,
    INF,
    NAN,
    PADDING,
    _clipped,
    _k3,
    averaged,
    grpo,
    grpo_case,
    grpo_inputs,
    ratio_to_old,
)

grpo_loss_unbiased = Exercise(
    "grpo_loss_unbiased",
    parts={VALUES: 2, GRADIENT: 2, CLIP: 1, PADDING: 1, RULES: 1},
    hints=(
        "All but one factor is grpo_loss. Lesson 04 weighted a token that old drew, so that its "
        "average is one over the policy's tokens: by which number? Which term lacks it here?",
        "The weight is the surrogate's own ratio, before any clipping. It is not a constant: how "
        "often a token is drawn depends on the policy, and the gradient has to say so.",
        "Take your grpo_loss. Where beta times k3 is charged, charge beta times ratio times k3, "
        "with ratio = exp(logp − old_logp), old_logp detached, logp not.",
    ),
)


@grpo_loss_unbiased.by_hand
def _() -> Iterator[Case]:
    case = grpo_case
    one, up, far = [[True]], math.log(1.1) - 1.5, math.log(2.5) - 1.5
    yield case("nothing has moved, advantage 3: −3", VALUES, one, advantage=[3.0])
    twice = {"logp": [[up]], "ref_logp": [[up + math.log(2)]]}
    title = "ratio 1.1, twice as likely under ref, advantage 0, beta 1: 1.1 · (1 − log 2) = 0.3375"
    yield case(title, VALUES, one, 1.0, **twice, advantage=[0.0])
    title = "the same, advantage 3, beta 1/2: −(3 · 1.1 − 0.3375/2) = −3.1312"
    yield case(title, VALUES, one, 0.5, **twice, advantage=[3.0])
    twice = {"logp": [[far]], "ref_logp": [[far + math.log(2)]]}
    title = "ratio 2.5, advantage 1, beta 1: −(1.2 − 2.5 · (1 − log 2)) = −0.4329"
    yield case(title, CLIP, one, 1.0, **twice)
    title = "ratio 2.5, advantage −1, beta 1: 2.5 + 2.5 · (1 − log 2) = 3.2671"
    yield case(title, CLIP, one, 1.0, **twice, advantage=[-1.0])
    near = dict.fromkeys(("logp", "ref_logp"), [[math.log(1.25) - 1.5]])
    yield case("ratio 1.25, advantage 1, policy like ref: −1.2", RULES, one, 1.0, **near)
    rows = [[True, True, True], [True, False, False]]
    title = "3 tokens of advantage 1, one of −2: −(3 − 2)/4 = −0.25"
    yield case(title, VALUES, rows, advantage=[1.0, -2.0])
    yield case("3 tokens of advantage 1, one of 0: −3/4", VALUES, rows, advantage=[1.0, 0.0])
    for poison in (INF, NAN):
        poisoned = dict.fromkeys(ALL_FOUR[:3], [[-1.5, poison]])
        yield case(f"{poison} in the padding: −1", PADDING, [[True, False]], 0.5, **poisoned)
    yield case("no real token at all: 0", PADDING, [[False, False]], 0.5)
    yield from _far_cases()


def _far_cases() -> Iterator[Case]:
    """Sizes that the drawn cases never reach: no bound is seen by luck alone.

    No gradient is asked where it is a small difference of large numbers in float32.
    """
    case = grpo_case
    one, rare = [[True]], [[-66.5]]  # 65 nats below the others
    title = "65 nats above old, ref 1 nat below, beta 10⁻²⁰, advantage 0: 10⁻²⁰ e⁶⁵ / e"
    far = {"old_logp": rare, "ref_logp": [[-2.5]]}
    yield case(title, CLIP, one, 1e-20, grad=False, **far, advantage=[0.0])
    title = "65 nats above old, advantage −1: −(−e⁶⁵)"
    yield case(title, CLIP, one, old_logp=rare, advantage=[-1.0])
    title = "65 nats below old, ref like old, beta 1, advantage 0: 1"
    yield case(title, CLIP, one, 1.0, grad=False, logp=rare, advantage=[0.0])
    title = "65 nats rarer than under ref, beta 10⁻²⁰, advantage 0"
    down = dict.fromkeys(("logp", "old_logp"), rare)
    yield case(title, VALUES, one, 1e-20, grad=False, **down, advantage=[0.0])
    title = "65 nats likelier than under ref, beta 1, advantage 0: 64"
    yield case(title, VALUES, one, 1.0, ref_logp=rare, advantage=[0.0])
    never = dict.fromkeys(ALL_FOUR[:3], [[-120.0]])
    title = "a token of probability e⁻¹²⁰ under all three, beta 1/2: −1"
    yield case(title, RULES, one, 0.5, **never)
    for advantage in (40.0, -40.0, 4e3, -4e3):
        title = f"nothing has moved, advantage {advantage:g}: {-advantage:g}".replace("-", "−")
        yield case(title, CLIP, one, advantage=[advantage])
    extreme = {"logp": [[-1.5, -1e4]], "old_logp": [[-1.5, -2e4]], "ref_logp": [[-1.5, 0.0]]}
    yield case("±10,000 in the padding: −1", PADDING, [[True, False]], 0.5, **extreme)


@grpo_loss_unbiased.drawn
def _(draw: Draw) -> Iterator[Case]:
    inputs = partial(grpo_inputs, draw)
    whole, lengths = torch.ones(4, 4, dtype=torch.bool), draw.lengths_mask(4, 7)
    lengths[:, :2] = True
    yield Case("near old, beta 0.7", inputs(whole, 0.7), grad=ALL_FOUR)
    yield Case("near old, beta 2.5, rows of unequal length", inputs(lengths, 2.5), grad=ALL_FOUR)
    yield Case("near old, no gradient asked for", inputs(whole[:, :3], 0.7))
    some = lengths.clone()
    some[1] = False
    yield Case("one row with nothing real", inputs(some, 0.7), grad=("logp",))
    far = inputs(torch.ones(4, 6, dtype=torch.bool), 0.7, 0.6)
    yield Case("far from old, both signs of the advantage", far, CLIP, ALL_FOUR)
    yield Case("epsilon 0.1", far | {"epsilon": 0.1}, CLIP, ("logp",))
    poisoned = inputs(lengths, 0.7, 0.4)
    for name, poison in zip(ALL_FOUR[:3], (NAN, -INF, INF), strict=True):
        poisoned[name] = poisoned[name].masked_fill(~lengths, poison)
    yield Case("nan and inf in the padding", poisoned, PADDING, ALL_FOUR)
    empty = inputs(torch.zeros(2, 3, dtype=torch.bool), 0.7)
    yield Case("nothing real, no gradient asked for", empty, PADDING)
    yield Case("float64", inputs(lengths, 0.7, 0.4, torch.float64), RULES, ALL_FOUR)


@grpo_loss_unbiased.right
def weighted_out(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    logp, old_logp, ref_logp, advantage = (torch.where(mask, x, 0.0) for x in given)
    ratio = (logp - old_logp).exp()
    promise = torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
    delta = ref_logp - logp
    weight = ratio
    gain = promise - beta * (weight * (torch.expm1(delta) - delta))
    return -torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)


changed = partial(grpo_loss_unbiased.changed, of=weighted_out)

changed(
    "k3_not_weighted",
    "weight * (",
    "1.0 * (",
    "This is grpo_loss: k3 is not weighted. Its expected gradient on old's tokens is no "
    "KL(policy ‖ ref)'s. Multiply each token's k3 by its ratio policy/old.",
)
changed(
    "weight_detached",
    "weight = ratio",
    "weight = ratio.detach()",
    "The value is right, the gradient is not: k3's weight is a constant. How often a token is "
    "drawn depends on the policy too: leave that ratio in the graph.",
)
changed(
    "weight_clipped",
    "weight = ratio",
    "weight = ratio.clamp(1 - epsilon, 1 + epsilon)",
    "k3's weight was clipped to 1 ± epsilon. The clip is for the surrogate: a token beyond it is "
    "charged with its whole ratio.",
)
changed(
    "weight_clipped_above",
    "weight = ratio",
    "weight = ratio.clamp(max=1 + epsilon)",
    "k3's weight was cut off at 1 + epsilon. The clip is for the surrogate: a token beyond it is "
    "charged with its whole ratio.",
)
changed(
    "weight_inverted",
    "weight = ratio",
    "weight = (old_logp - logp).exp()",
    "k3's weight is upside down: this is old over policy. A token that the policy draws more often "
    "than old did counts for more: exp(logp − old_logp).",
)
changed(
    "weight_is_the_log_ratio",
    "weight = ratio",
    "weight = logp - old_logp",
    "k3's weight is logp − old_logp, the logarithm of the ratio: 0 where nothing has changed. Take "
    "exp of it.",
)
changed(
    "weight_less_one",
    "weight = ratio",
    "weight = ratio - 1",
    "k3's weight is ratio − 1. It is the ratio itself: 1 where nothing has changed.",
)
changed(
    "weight_to_ref",
    "weight = ratio",
    "weight = (logp - ref_logp).exp()",
    "k3's weight is policy/ref. The tokens were drawn by old: it is policy/old.",
)
changed(
    "weight_of_ref_to_old",
    "weight = ratio",
    "weight = (ref_logp - old_logp).exp()",
    "k3's weight is ref/old. The average is to be over the policy's tokens: it is policy/old.",
)
changed(
    "weight_is_the_probability",
    "weight = ratio",
    "weight = logp.exp()",
    "k3's weight is the policy's probability. Tokens drawn from old come with old's probability "
    "already: divide by it, exp(logp − old_logp).",
)
changed(
    "weight_of_the_response",
    "weight = ratio",
    "weight = (logp - old_logp).sum(1, keepdim=True).exp()",
    "k3's weight is one for the whole response, the product of its tokens' ratios. Here each token "
    "has its own.",
)
changed(
    "weight_of_the_mean_log_ratio",
    "weight = ratio",
    "weight = ((logp - old_logp).sum(1) / mask.sum(1).clamp(min=1)).exp()[:, None]",
    "k3's weight is one for the whole response, exp of its mean log-ratio. Here each token has its "
    "own.",
)
changed(
    "weight_of_the_tokens_so_far",
    "weight = ratio",
    "weight = (logp - old_logp).cumsum(1).exp()",
    "k3's weight is the product of the ratios so far: another estimate, of whole beginnings. Here "
    "each token has its own ratio alone.",
)
changed(
    "weighted_twice",
    "weight = ratio",
    "weight = ratio.square()",
    "k3 was weighted by the ratio twice: once is enough.",
)
changed(
    "weight_truncated_at_2",
    "weight = ratio",
    "weight = ratio.clamp(max=2.0)",
    "k3's weight was cut off at 2 (truncated weights). Here it is the ratio, however large.",
)
changed(
    "weight_truncated_at_3",
    "weight = ratio",
    "weight = ratio.clamp(max=3.0)",
    "k3's weight was cut off at 3 (truncated weights). Here it is the ratio, however large.",
)
changed(
    "weight_truncated_at_10",
    "weight = ratio",
    "weight = ratio.clamp(max=10.0)",
    "k3's weight was cut off at 10 (truncated weights). Here it is the ratio, however large.",
)
changed(
    "weight_never_below_one",
    "weight = ratio",
    "weight = ratio.clamp(min=1.0)",
    "k3's weight is never below 1 here. A token that the policy draws less often than old did "
    "counts for less.",
)
changed(
    "weights_normalised",
    "weight = ratio",
    "weight = ratio / averaged(ratio, mask)",
    "The weights were divided by their mean. It is 1 in expectation, and not in a batch: use each "
    "ratio as it is.",
)
changed(
    "promise_weighted_too",
    "gain = promise",
    "gain = ratio * promise",
    "The promise was weighted by the ratio once more: it holds the ratio already. The weight is "
    "for k3.",
)
changed(
    "weight_only_where_not_clipped",
    "weight = ratio",
    "weight = torch.where((ratio - 1).abs() <= epsilon, ratio, 0.0)",
    "Tokens beyond the clip pay for no drift. The clip is for the surrogate: they are charged with "
    "their whole ratio.",
)
changed(
    "weight_only_where_the_clip_leaves_alone",
    "weight = ratio",
    "weight = torch.where(promise == ratio * advantage, ratio, 0.0)",
    "Tokens that the clip holds pay for no drift. The clip is for the surrogate: they are charged "
    "with their whole ratio.",
)
changed(
    "k3_detached_under_its_weight",
    "(torch.expm1(delta) - delta)",
    "(torch.expm1(delta) - delta).detach()",
    "The value is right, the gradient is not: k3 is a constant, only its weight is differentiated. "
    "Both depend on the policy: leave both in the graph.",
)
changed(
    "penalty_detached",
    "(weight * (torch.expm1(delta) - delta))",
    "(weight * (torch.expm1(delta) - delta)).detach()",
    "The penalty was detached and changes no gradient. It acts through its gradient alone: leave "
    "ratio and k3 in the graph.",
)
changed(
    "k1_weighted",
    "(torch.expm1(delta) - delta)",
    "(logp - ref_logp)",
    "What is weighted is k1, logp − ref_logp. That has the right expected gradient too (it is "
    "off_policy_kl_loss), and more spread where the policy is near ref. Here it is k3.",
)
changed(
    "k3_without_the_one",
    "torch.expm1(delta)",
    "delta.exp()",
    "− 1 is missing in k3: exp(δ) − δ is 1 where the policy has not moved, and under a weight that "
    "is differentiated that 1 has a gradient as well.",
)
changed(
    "k3_cut_off",
    "(torch.expm1(delta) - delta)",
    "(torch.expm1(delta) - delta).clamp(max=10.0)",
    "k3 was cut off at 10. The penalty has no bound.",
)
changed(
    "k3_of_clamped_ratios",
    "ref_logp - logp",
    "(ref_logp - logp).clamp(-20.0, 20.0)",
    "The log-ratio to ref was clamped to ±20 before k3. The penalty has no bound.",
)
changed(
    "k3_of_ratios_clamped_at_10",
    "ref_logp - logp",
    "(ref_logp - logp).clamp(-10.0, 10.0)",
    "The log-ratio to ref was clamped to ±10 before k3. The penalty has no bound.",
)
changed(
    "loss_without_penalty",
    "promise - beta",
    "promise - 0 * beta",
    "The penalty is missing: value and gradient are those of the promise alone.",
)
changed(
    "drift_rewarded_in_the_loss",
    "promise - beta",
    "promise + beta",
    "The penalty has the wrong sign: minimising this loss rewards drift from the reference. The "
    "loss is −(surrogate − beta · ratio · k3), so that beta · ratio · k3 is added to it.",
)
for _slip in SLIPS:
    changed(*_slip)


weighted = partial(grpo, weight=ratio_to_old)


@grpo_loss_unbiased.wrong(
    "old and ref are exchanged: the ratio is against old, which drew the tokens, and k3 against "
    "ref."
)
def old_and_ref_exchanged(*given):
    logp, old_logp, ref_logp, *others = given
    return weighted((logp, ref_logp, old_logp, *others))


@grpo_loss_unbiased.wrong(
    "The penalty went into the advantage, so it is clipped with it. The clip is for the surrogate; "
    "beta · ratio · k3 is subtracted after it."
)
def penalty_in_the_advantage(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0)
        for values in (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    )
    gain = _clipped(logp, old_logp, advantage - beta * _k3(logp, ref_logp), epsilon)
    return -averaged(gain, mask)


def _masked_late(given: tuple) -> Tensor:
    """Each token's gain, padding as it comes."""
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    promise = _clipped(logp, old_logp.detach(), advantage.detach()[:, None], epsilon)
    weight = ratio_to_old(logp, old_logp.detach())
    return promise - beta * weight * _k3(logp, ref_logp.detach())


@grpo_loss_unbiased.wrong("The mask was not used: padding counts like real tokens.")
def loss_mask_ignored(*given):
    return reference.grpo_loss_unbiased(*given[:4], torch.ones_like(given[4]), *given[5:])


@grpo_loss_unbiased.wrong(
    "inf or nan in the padding makes the loss nan, as where the mask is multiplied in: 0 · inf is "
    "nan. Choose with torch.where, or by indexing with the mask."
)
def loss_times_mask(*given):
    return -(_masked_late(given) * given[4]).sum() / given[4].sum().clamp(min=1)


@grpo_loss_unbiased.wrong(
    "The sum runs over padding too, while the count is of real tokens: leave the padding out of "
    "both."
)
def grpo_padding_summed(*given):
    return -_masked_late(given).sum() / given[4].sum().clamp(min=1)


@grpo_loss_unbiased.wrong(
    "The promise is masked, the penalty is not: it is the mean over real tokens and padding alike."
)
def penalty_over_padding(*given):
    logp, old_logp, ref_logp, *_, beta = given
    kl = (ratio_to_old(logp, old_logp.detach()) * _k3(logp, ref_logp.detach())).mean()
    return reference.grpo_loss(*given[:-1], 0.0) + beta * kl


@grpo_loss_unbiased.wrong(
    "Responses of advantage 0 were left out. They pay for their drift, and their tokens count."
)
def tied_groups_masked(*given):
    counted = given[4] & (given[3].detach() != 0)[:, None]
    return reference.grpo_loss_unbiased(*given[:4], counted, *given[5:])


@grpo_loss_unbiased.wrong(
    "A Python number came back: .item() and float() cut the graph, and there is nothing left to "
    "differentiate. Return the tensor."
)
def grpo_as_a_number(*given):
    return reference.grpo_loss_unbiased(*given).item()


@grpo_loss_unbiased.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def grpo_cast_to_float32(*given):
    return reference.grpo_loss_unbiased(*(values.float() for values in given[:4]), *given[4:])


@grpo_loss_unbiased.wrong(
    "An input was changed in place: the caller's old_logp is another tensor afterwards. Compute a "
    "new one."
)
def old_logp_changed_in_place(*given):
    with torch.no_grad():
        given[1].sub_(1.0)
    return reference.grpo_loss_unbiased(given[0] - 1.0, given[1], given[2] - 1.0, *given[3:])


def _leaking(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The loss where only these inputs were detached."""
    return weighted(given, constants=constants)


for _leaks in (
    *((name,) for name in CONSTANTS),
    CONSTANTS[:2],
    CONSTANTS[1:],
    CONSTANTS[::2],
    CONSTANTS,
):
    grpo_loss_unbiased.mistakes.append(
        Mistake(
            f"loss_leaks_to_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. Only logp is "
            "differentiable: detach the others.",
            partial(_leaking, tuple(name for name in CONSTANTS if name not in _leaks)),
        )
    )


@grpo_loss_unbiased.right
def unbiased_of_chosen_tokens(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if not mask.any():
        return logp[mask].sum()
    gains = advantage.detach()[:, None].expand_as(logp)[mask]
    logp, old_logp, ref_logp = logp[mask], old_logp[mask].detach(), ref_logp[mask].detach()
    ratio = torch.exp(logp - old_logp)
    loss = torch.max(-gains * ratio, -gains * torch.clip(ratio, 1 - epsilon, 1 + epsilon))
    gap = logp - ref_logp
    return (loss + beta * (torch.exp(-gap) + gap - 1) * ratio).mean()


@grpo_loss_unbiased.right
def unbiased_as_a_second_loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    clean = (v.masked_fill(~mask, 0.0) for v in (logp, old_logp.detach(), ref_logp.detach()))
    new, old, ref = clean
    price = (ref - old).exp() - (new - old).exp() * (1 + ref - new)
    promise = reference.grpo_loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0)
    return promise + beta * torch.where(mask, price, 0.0).sum() / max(int(mask.sum()), 1)


@grpo_loss_unbiased.right
def unbiased_by_its_gradient(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    clean = (v.masked_fill(~mask, 0.0) for v in (logp, old_logp.detach(), ref_logp.detach()))
    new, old, ref = clean
    gains = advantage.detach().unsqueeze(1)
    ratio = torch.exp(new - old)
    promise = ratio * gains - F.relu((ratio - 1) * gains.sign() - epsilon) * gains.abs()
    slope = (ratio * (new - ref)).detach()
    price = (ratio * ((ref - new).expm1() + new - ref)).detach() + slope * (new - new.detach())
    weight = mask.to(logp.dtype) / max(int(mask.sum()), 1)
    return torch.einsum("bt,bt->", beta * price - promise, weight)


@grpo_loss_unbiased.right
def unbiased_token_by_token(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    total, count = logp.new_zeros(()), 0
    for b, t in mask.nonzero().tolist():
        ratio = (logp[b, t] - old_logp[b, t].item()).exp()
        gain = advantage[b].item()
        bound = 1 + epsilon if gain > 0 else 1 - epsilon
        clipped = gain * ratio > gain * bound
        promise = torch.full_like(ratio, gain * bound) if clipped else ratio * gain
        delta = ref_logp[b, t].item() - logp[b, t]
        total = total - promise + beta * ratio * (delta.exp() - delta - 1)
        count += 1
    return total / max(count, 1)
