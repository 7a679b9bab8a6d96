"""Write GRPO's loss: clipped towards the better responses, charged for drift by k3."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake
from .shared import (
    ALL_FOUR,
    CLIP,
    CONSTANTS,
    EMPTY,
    INF,
    NAN,
    PADDING,
    PENALTY,
    UNEQUAL,
    _clipped,
    _k3,
    averaged,
    grpo,
    grpo_case,
    grpo_inputs,
    leaking_loss,
)

grpo_loss = Exercise(
    "grpo_loss",
    parts={VALUES: 2, GRADIENT: 2, CLIP: 1, PENALTY: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, RULES: 1},
    hints=(
        "You have written both halves: a clipped surrogate in lesson 05, k3 in lesson 02. Which of "
        "them does the objective add, which does it subtract, and what is the sign of a loss?",
        "One advantage for each response: advantage[:, None] lies along its tokens. Only logp is "
        "differentiable. Take one sum over all real tokens, and divide by how many there are.",
        "Replace the padding of the four tensors with torch.where(mask, …, 0.0) before exp. Then "
        "minimum of ratio · A and clamped ratio · A, less beta times expm1(δ) − δ with δ = "
        "ref_logp − logp; sum, count of True with clamp(min=1), and the sign.",
    ),
)


@grpo_loss.by_hand
def _() -> Iterator[Case]:
    two = math.log(2)
    case = grpo_case
    one, up = [[True]], [[two - 1.5]]
    yield case("nothing has moved, advantage 3: −3", VALUES, one, advantage=[3.0])
    yield case("ratio 2, advantage 1: −1.2", CLIP, one, logp=up, ref_logp=up)
    yield case("ratio 2, advantage −1: 2", CLIP, one, logp=up, ref_logp=up, advantage=[-1.0])
    near = dict.fromkeys(("logp", "ref_logp"), [[math.log(1.25) - 1.5]])
    yield case("ratio 1.25, advantage 1: −1.2", RULES, one, **near)
    title = "advantage 3, twice as likely under ref, beta 1/2: −(3 − (1 − log 2)/2) = −2.8466"
    yield case(title, PENALTY, one, 0.5, ref_logp=up, advantage=[3.0])
    rows = [[True, True, True], [True, False, False]]
    title = "3 tokens of advantage 1, one of −2: −(3 − 2)/4 = −0.25"
    yield case(title, UNEQUAL, rows, advantage=[1.0, -2.0])
    yield case("3 tokens of advantage 1, one of 0: −3/4", UNEQUAL, rows, advantage=[1.0, 0.0])
    for poison in (INF, NAN):
        poisoned = dict.fromkeys(("logp", "old_logp", "ref_logp"), [[-1.5, poison]])
        title = f"{poison} in the padding: −1"
        yield case(title, PADDING, [[True, False]], 0.5, **poisoned)
    yield case("no real token at all: 0", EMPTY, [[False, False]], 0.5)
    yield from _far_grpo_cases(case)
    extreme = {"logp": [[-1.5, -1e4]], "old_logp": [[-1.5, -2e4]], "ref_logp": [[-1.5, 0.0]]}
    yield case("±10,000 in the padding: −1", PADDING, [[True, False]], 0.5, **extreme)


def _far_grpo_cases(case: Callable[..., Case]) -> Iterator[Case]:
    """Sizes that the drawn cases never reach: no bound is seen by luck alone."""
    one, rare = [[True]], [[-66.5]]  # 65 nats below the others
    title = "65 nats above old, advantage −1: −(−e⁶⁵)"
    yield case(title, CLIP, one, old_logp=rare, advantage=[-1.0])
    back = dict.fromkeys(("logp", "ref_logp"), [[-26.5]])
    title = "25 nats below old, advantage 10¹²: −10¹² e⁻²⁵"
    yield case(title, CLIP, one, **back, advantage=[1e12])
    down = dict.fromkeys(("logp", "old_logp"), rare)
    title = "65 nats rarer than under ref, beta 10⁻²⁰, advantage 0"
    yield case(title, PENALTY, one, 1e-20, **down, advantage=[0.0])
    title = "65 nats likelier than under ref, beta 1, advantage 0: 64"
    yield case(title, PENALTY, one, 1.0, ref_logp=rare, advantage=[0.0])
    never = dict.fromkeys(("logp", "old_logp", "ref_logp"), [[-120.0]])
    title = "a token of probability e⁻¹²⁰ under all three, beta 1/2: −1"
    yield case(title, RULES, one, 0.5, **never)
    for advantage, part in (
        (-3.0, VALUES),
        (40.0, CLIP),
        (-40.0, CLIP),
        (4e3, RULES),
        (-4e3, RULES),
    ):
        title = f"nothing has moved, advantage {advantage:g}: {-advantage:g}".replace("-", "−")
        yield case(title, part, one, advantage=[advantage])


@grpo_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    inputs = partial(grpo_inputs, draw)
    whole, lengths = torch.ones(4, 4, dtype=torch.bool), draw.lengths_mask(4, 7)
    lengths[:, :2] = True
    yield Case("4 responses of 4 tokens, near old, beta 0", inputs(whole), grad=ALL_FOUR)
    yield Case("4 responses of 3 tokens, no gradient asked for", inputs(whole[:, :3]))
    far = inputs(torch.ones(4, 6, dtype=torch.bool), spread=0.6)
    yield Case("far from old, both signs of the advantage", far, CLIP, ALL_FOUR)
    yield Case("epsilon 0.1", far | {"epsilon": 0.1}, CLIP, ("logp",))
    yield Case("beta 0.7", inputs(whole, 0.7), PENALTY, ALL_FOUR)
    yield Case("beta 2.5", inputs(whole, 2.5), PENALTY, ALL_FOUR)
    yield Case("rows of unequal length", inputs(lengths, 0.7, 0.4), UNEQUAL, ("logp",))
    some = lengths.clone()
    some[1] = False
    yield Case("one row with nothing real", inputs(some, 0.7, 0.4), UNEQUAL, ("logp",))
    poisoned = inputs(lengths, 0.7, 0.4)
    for name, poison in zip(ALL_FOUR[:3], (NAN, -INF, INF), strict=True):
        poisoned[name] = poisoned[name].masked_fill(~lengths, poison)
    yield Case("nan and inf in the padding", poisoned, PADDING, ALL_FOUR)
    empty = inputs(torch.zeros(2, 3, dtype=torch.bool), 0.7)
    yield Case("nothing real, no gradient asked for", empty, EMPTY)
    double = inputs(lengths, 0.7, 0.4, torch.float64)
    yield Case("float64", double, RULES, ALL_FOUR)


@grpo_loss.right
def written_out(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    logp, old_logp, ref_logp, advantage = (torch.where(mask, x, 0.0) for x in given)
    ratio = (logp - old_logp).exp()
    promise = torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
    delta = ref_logp - logp
    gain = promise - beta * (torch.expm1(delta) - delta)
    return -torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)


# Lines changed, and what to tell: what may be wrong in the same way where k3 is weighted.
SLIPS: list[tuple[str, str, str, str]] = []


def slip(name: str, line: str, instead: str, says: str) -> None:
    SLIPS.append((name, line, instead, says))
    grpo_loss.changed(name, line, instead, says, of=written_out)


slip(
    "objective_returned",
    "return -torch",
    "return torch",
    "The sign is turned: this is the objective, which is to be maximised. An optimiser minimises.",
)
grpo_loss.changed(
    "drift_rewarded_in_the_loss",
    "promise - beta",
    "promise + beta",
    "The penalty has the wrong sign: minimising this loss rewards drift from the reference. The "
    "loss is −(surrogate − beta · k3), so that beta · k3 is added to it.",
    of=written_out,
)
slip(
    "loss_without_beta",
    "beta * (",
    "(",
    "beta has no effect: the penalty is charged whole. Multiply it by beta.",
)
grpo_loss.changed(
    "loss_without_penalty",
    " - beta * (torch.expm1(delta) - delta)",
    "",
    "The penalty is missing: value and gradient are those of the promise alone.",
    of=written_out,
)
slip(
    "k3_turned",
    "ref_logp - logp",
    "logp - ref_logp",
    "k3 has its arguments exchanged. For tokens drawn from the policy, δ = ref_logp − logp and "
    "k3 = exp(δ) − 1 − δ; the other way round it is no estimate of KL(policy ‖ ref).",
)
grpo_loss.changed(
    "k1_in_the_loss",
    "(torch.expm1(delta) - delta)",
    "(logp - ref_logp)",
    "The penalty is k1, logp − ref_logp. As a loss its expected gradient is 0 on the policy's own "
    "tokens: it holds nothing back. Here it is k3.",
    of=written_out,
)
slip(
    "k2_in_the_loss",
    "(torch.expm1(delta) - delta)",
    "delta.square() / 2",
    "The penalty is k2, half the squared log-ratio. GRPO's is k3: exp(δ) − 1 − δ.",
)
grpo_loss.changed(
    "k3_without_the_one",
    "torch.expm1(delta)",
    "delta.exp()",
    "− 1 is missing in k3: exp(δ) − δ is 1 where the policy has not moved. The gradient is right, "
    "the value is not.",
    of=written_out,
)
slip(
    "k3_with_delta_added",
    "(torch.expm1(delta) - delta)",
    "(torch.expm1(delta) + delta)",
    "In k3, δ was added where it is subtracted: exp(δ) − 1 − δ is never below 0, and touches 0 "
    "where the policy has not moved.",
)
grpo_loss.changed(
    "k3_detached",
    "(torch.expm1(delta) - delta)",
    "(torch.expm1(delta) - delta).detach()",
    "The penalty was detached and changes no gradient. It acts through its gradient alone: leave "
    "k3 in the graph.",
    of=written_out,
)
slip(
    "drift_from_old",
    "ref_logp - logp",
    "old_logp - logp",
    "The penalty compares the policy with old. It is charged for drift from ref: ref_logp.",
)
slip(
    "ratio_to_ref",
    "logp - old_logp",
    "logp - ref_logp",
    "The ratio compares the policy with ref. It corrects for who drew the tokens: old_logp.",
)


@grpo_loss.wrong(
    "old and ref are exchanged: the ratio is against old, which drew the tokens, and k3 against "
    "ref."
)
def old_and_ref_exchanged(*given):
    logp, old_logp, ref_logp, *others = given
    return reference.grpo_loss(logp, ref_logp, old_logp, *others)


slip(
    "loss_not_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio * advantage",
    "No value and no gradient is clipped: epsilon has no effect.",
)
slip(
    "advantage_outside_the_minimum",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio, ratio.clamp(1 - epsilon, 1 + epsilon)) * advantage",
    "The ratio was bounded from above and then multiplied by the advantage, as when the minimum is "
    "taken of the ratios: right for positive advantages only. Compare ratio · A with clipped "
    "ratio · A.",
)
slip(
    "larger_promise",
    "minimum",
    "maximum",
    "Of the two promises the larger was taken. The objective takes the minimum; a maximum belongs "
    "to the two losses, with their sign turned.",
)
slip(
    "clipped_promise_alone",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(1 - epsilon, 1 + epsilon) * advantage",
    "Only the clipped promise was used: the minimum with ratio · A is missing, and a token that "
    "went the wrong way has no gradient to bring it back.",
)


@grpo_loss.wrong(
    "The penalty went into the advantage, so it is weighted and clipped with it. The clip is for "
    "the surrogate; beta · k3 is subtracted after it."
)
def penalty_in_the_advantage(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0)
        for values in (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    )
    gain = _clipped(logp, old_logp, advantage - beta * _k3(logp, ref_logp), epsilon)
    return -averaged(gain, mask)


slip(
    "loss_ratio_inverted",
    "logp - old_logp",
    "old_logp - logp",
    "The ratio is upside down: this is old over policy. exp(logp − old_logp).",
)
slip(
    "loss_of_log_ratios",
    ".exp()",
    "",
    "exp is missing: logp − old_logp is the logarithm of the ratio, 0 where nothing has changed.",
)
slip(
    "ratio_of_the_response",
    "logp - old_logp",
    "(logp - old_logp).sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)",
    "One ratio for the whole response: the mean of its log-ratios was taken before exp. Here each "
    "token has its own ratio, and its own clip.",
)
slip(
    "mean_of_responses",
    "torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)",
    "(torch.where(mask, gain, 0.0).sum(1) / mask.sum(1).clamp(min=1)).mean()",
    "This is the mean of the responses' means, as GRPO's paper has it: a token of a long response "
    "counts less than one of a short. Here it is one sum and one count for the whole batch.",
)
slip(
    "loss_summed",
    " / mask.sum().clamp(min=1)",
    "",
    "Summed, not averaged: divide by the number of real tokens.",
)
slip(
    "divided_by_responses",
    "mask.sum().clamp(min=1)",
    "len(mask)",
    "The tokens were summed and divided by the number of responses: a batch of long responses "
    "takes larger steps. Divide by the number of real tokens.",
)
slip(
    "divided_by_all_places",
    "mask.sum().clamp(min=1)",
    "mask.numel()",
    "The sum is right, the count is not: this divides by all places, padding included.",
)


@grpo_loss.wrong("The mask was not used: padding counts like real tokens.")
def loss_mask_ignored(*given):
    return reference.grpo_loss(*given[:4], torch.ones_like(given[4]), *given[5:])


@grpo_loss.wrong(
    "The promise is masked, the penalty is not: it is the mean over real tokens and padding alike."
)
def penalty_over_padding(*given):
    logp, _, ref_logp, *_, beta = given
    kl = _k3(logp, ref_logp.detach()).mean()
    return reference.grpo_loss(*given[:-1], 0.0) + beta * kl


@grpo_loss.wrong(
    "inf or nan in the padding makes the loss nan, as where the mask is multiplied in: 0 · inf is "
    "nan. Choose with torch.where, or by indexing with the mask."
)
def loss_times_mask(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    promise = _clipped(logp, old_logp.detach(), advantage.detach()[:, None], epsilon)
    gain = promise - beta * _k3(logp, ref_logp.detach())
    return -(gain * mask).sum() / mask.sum().clamp(min=1)


slip(
    "loss_replaced_too_late",
    "torch.where(mask, x, 0.0)",
    "x",
    "The gradient is nan: the padding was replaced after exp, too late. The gradient "
    "of a branch that is not chosen is still computed, so replace before exp as well.",
)
slip(
    "loss_of_nothing",
    "torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)",
    "gain[mask].mean()",
    "Where no token is real, nan came back: the mean of nothing is 0/0. Keep the count from being "
    "0.",
)
slip(
    "advantage_along_time",
    "advantage.detach()[:, None]",
    "advantage.detach()",
    "The advantages were laid along time, as [batch] meets [batch, time] from the right: give them "
    "a second axis, advantage[:, None].",
)
slip(
    "promise_detached",
    "promise - beta",
    "promise.detach() - beta",
    "The promise was detached: only the penalty is left to learn from. Of the four, old_logp, "
    "ref_logp and advantage are the constants.",
)
slip(
    "logp_detached",
    "given = (logp, old_logp",
    "given = (logp.detach(), old_logp",
    "No gradient reaches logp: it was detached.",
)


for _leaks in (
    *((name,) for name in CONSTANTS),
    CONSTANTS[:2],
    CONSTANTS[1:],
    CONSTANTS[::2],
    CONSTANTS,
):
    grpo_loss.mistakes.append(
        Mistake(
            f"loss_leaks_to_{'_and_'.join(_leaks)}",
            f"A gradient reaches {' and '.join(_leaks)}. Only logp is "
            "differentiable: detach the others.",
            partial(leaking_loss, tuple(name for name in CONSTANTS if name not in _leaks)),
        )
    )


@grpo_loss.wrong(
    "A Python number came back: .item() and float() cut the graph, and there is nothing left to "
    "differentiate. Return the tensor."
)
def grpo_as_a_number(*given):
    return reference.grpo_loss(*given).item()


slip(
    "penalty_twice",
    "- beta *",
    "- 2 * beta *",
    "The penalty was counted twice: once in the objective and once more beside it. It is "
    "subtracted once.",
)
slip(
    "old_is_the_present_policy",
    "logp - old_logp",
    "logp - logp.detach()",
    "logp itself stands for old_logp, so every ratio is 1 and nothing is ever clipped. old_logp "
    "was noted when the tokens were drawn: use it.",
)
slip(
    "clipped_above_only",
    "1 - epsilon, 1 + epsilon",
    "max=1 + epsilon",
    "Only ratios above 1 + epsilon were clipped. With a negative advantage it is the lower bound, "
    "1 − epsilon, that takes the incentive away.",
)
slip(
    "delta_forgotten",
    "(torch.expm1(delta) - delta)",
    "torch.expm1(delta)",
    "k3 without − δ: exp(δ) − 1 is not 0 at its least, and tokens that the policy overrates are "
    "paid for. k3 is exp(δ) − 1 − δ.",
)


@grpo_loss.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def grpo_cast_to_float32(*given):
    return reference.grpo_loss(*(values.float() for values in given[:4]), *given[4:])


@grpo_loss.wrong(
    "An input was changed in place: the caller's old_logp is another tensor afterwards. Compute a "
    "new one."
)
def old_logp_changed_in_place(*given):
    with torch.no_grad():
        given[1].sub_(1.0)
    return reference.grpo_loss(given[0] - 1.0, given[1], given[2] - 1.0, *given[3:])


slip(
    "loss_with_beta_squared",
    "- beta *",
    "- beta**2 *",
    "beta was squared: the penalty is multiplied by beta itself.",
)
slip(
    "half_the_penalty",
    "- beta *",
    "- beta / 2 *",
    "Half of the penalty is charged: it is multiplied by beta, with no ½.",
)
slip(
    "epsilon_of_a_fifth",
    "1 - epsilon, 1 + epsilon",
    "0.8, 1.2",
    "0.2 was written in for epsilon: the bounds are 1 − epsilon and 1 + epsilon.",
)
slip(
    "loss_clipped_higher",
    "1 + epsilon",
    "1.28",
    "The upper bound is 1.28 (clip-higher, DAPO's 0.28 in place of epsilon). Here both bounds are "
    "epsilon away from 1.",
)


@grpo_loss.wrong(
    "A second clip bounds what a negative advantage may cost, at 3 times the advantage: that is "
    "dual-clip PPO. Here a bad token whose ratio has grown keeps its whole gradient."
)
def loss_clipped_twice(*given):
    def promise(logp: Tensor, old: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
        once = _clipped(logp, old, advantage, epsilon)
        return torch.where(advantage < 0, torch.maximum(once, 3 * advantage), once)

    return grpo(given, promise)


slip(
    "constant_ratio_times_logp",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(max=1 + epsilon).detach() * advantage * logp",
    "A constant clipped ratio weighs logp · advantage: that is CISPO. It keeps the gradient of "
    "every token; PPO's minimum takes it away beyond the bound.",
)
slip(
    "loss_ratio_truncated",
    ".exp()",
    ".exp().clamp(max=5.0)",
    "Ratios above 5 were cut off (truncated weights) before the clip. For a negative advantage the "
    "minimum takes the ratio as it is, however large.",
)
grpo_loss.changed(
    "k3_cut_off",
    "(torch.expm1(delta) - delta)",
    "(torch.expm1(delta) - delta).clamp(max=10.0)",
    "k3 was cut off at 10. A token that far from ref then has no gradient to bring it back: the "
    "penalty has no bound.",
    of=written_out,
)
grpo_loss.changed(
    "k3_of_clamped_ratios",
    "ref_logp - logp",
    "(ref_logp - logp).clamp(-20.0, 20.0)",
    "The log-ratio to ref was clamped to ±20 before k3. A token that far away then has no gradient "
    "to bring it back: the penalty has no bound.",
    of=written_out,
)
grpo_loss.changed(
    "k3_weighted_by_the_ratio",
    "(torch.expm1(delta) - delta)",
    "ratio * (torch.expm1(delta) - delta)",
    "k3 was weighted by the ratio policy/old. That is the unbiased form, an exercise of its own; "
    "here each token's k3 counts as it is.",
    of=written_out,
)


@grpo_loss.wrong(
    "The drift was charged twice: taken from the advantage, as in the reward, and once more in the "
    "loss. Here it is charged in the loss alone."
)
def penalty_in_both_places(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    drift = torch.where(mask, _k3(logp, ref_logp).detach(), 0.0).sum(1)
    return reference.grpo_loss(
        logp, old_logp, ref_logp, advantage - beta * drift, mask, epsilon, beta
    )


@grpo_loss.wrong(
    "Responses of advantage 0 were left out. They pay for their drift, and their tokens count."
)
def tied_groups_masked(*given):
    counted = given[4] & (given[3].detach() != 0)[:, None]
    return reference.grpo_loss(*given[:4], counted, *given[5:])


@grpo_loss.wrong(
    "This is the mean of the means of two halves of the batch: a token of the half with fewer of "
    "them counts more. Take one sum and one count for the whole batch."
)
def mean_of_two_halves(*given):
    def average(gain: Tensor, mask: Tensor) -> Tensor:
        size = max((len(gain) + 1) // 2, 1)
        halves = [averaged(*half) for half in zip(gain.split(size), mask.split(size), strict=True)]
        return torch.stack(halves).mean()

    return grpo(given, average=average)


slip(
    "loss_of_quotients",
    "(logp - old_logp).exp()",
    "logp.exp() / old_logp.exp()",
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp).",
)


slip(
    "loss_clipped_higher_by_8_hundredths",
    "1 + epsilon",
    "1 + epsilon + 0.08",
    "The upper bound is 0.08 more than epsilon above 1: clip-higher, not wrong in itself, but "
    "not what is asked. Here both bounds are epsilon away from 1.",
)
slip(
    "loss_clipped_higher_by_4_tenths",
    "1 + epsilon",
    "1 + 1.4 * epsilon",
    "The upper bound is 1.4 times epsilon above 1: clip-higher, not wrong in itself, but not "
    "what is asked. Here both bounds are epsilon away from 1.",
)
slip(
    "loss_clipped_twice_as_high",
    "1 + epsilon",
    "1 + 2 * epsilon",
    "The upper bound is twice epsilon above 1: clip-higher, not wrong in itself, but not what "
    "is asked. Here both bounds are epsilon away from 1.",
)
slip(
    "loss_bounds_around_zero",
    "1 - epsilon, 1 + epsilon",
    "-epsilon, epsilon",
    "The bounds are −ε and ε. A ratio is 1 where nothing has changed: the bounds are 1 − ε "
    "and 1 + ε.",
)
slip(
    "loss_of_quotients_of_logarithms",
    "(logp - old_logp).exp()",
    "torch.where(mask, logp / old_logp, 1.0)",
    "The ratio is logp / old_logp here, a quotient of logarithms. That of the probabilities "
    "is exp(logp − old_logp).",
)
slip(
    "ratio_of_the_whole_response",
    "logp - old_logp",
    "(logp - old_logp).sum(1, keepdim=True)",
    "One ratio for the whole response, the product of its tokens': another objective, not "
    "wrong in itself, but not what is asked. Here each token has its own ratio, and its own "
    "clip.",
)
slip(
    "constant_ratio_clipped_on_both_sides",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(1 - epsilon, 1 + epsilon).detach() * advantage * logp",
    "A constant ratio, clipped on both sides, weighs logp · advantage, as in CISPO: another "
    "objective, not wrong in itself, but not what is asked. It keeps the gradient of every "
    "token.",
)
slip(
    "penalty_of_the_size",
    "(torch.expm1(delta) - delta)",
    "delta.abs()",
    "The penalty is the size of the log-ratio to ref. Here it is k3: exp(δ) − 1 − δ.",
)
slip(
    "penalty_of_the_square",
    "(torch.expm1(delta) - delta)",
    "delta.square()",
    "The penalty is the squared log-ratio to ref. Here it is k3: exp(δ) − 1 − δ.",
)
slip(
    "penalty_of_the_ratio",
    "(torch.expm1(delta) - delta)",
    "delta.exp()",
    "The penalty is exp(δ), the ratio of ref to policy. k3 is exp(δ) − 1 − δ: never below 0, "
    "and 0 where the policy has not moved.",
)
slip(
    "grpo_per_token",
    "torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)",
    "torch.where(mask, gain, 0.0)",
    "One number for each token came back: return the mean over all real tokens, one number "
    "for the batch.",
)
slip(
    "grpo_per_response",
    "torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)",
    "torch.where(mask, gain, 0.0).sum(1) / mask.sum(1).clamp(min=1)",
    "One number for each response came back: return the mean over all real tokens, one number "
    "for the batch.",
)
slip(
    "grpo_advantage_normalised",
    "advantage.detach()[:, None]",
    "((advantage - advantage.mean()) / (advantage.std() + 1e-8)).detach()[:, None]",
    "The advantages were normalised over the batch, by their mean and sample standard "
    "deviation. They come from their groups as they are meant: use them as they are.",
)
slip(
    "grpo_advantage_normalised_by_population",
    "advantage.detach()[:, None]",
    "((advantage - advantage.mean()) / (advantage.std(correction=0) + 1e-8)).detach()[:, None]",
    "The advantages were normalised over the batch, by their mean and population's standard "
    "deviation. They come from their groups as they are meant: use them as they are.",
)


@grpo_loss.wrong(
    "The sum runs over padding too, while the count is of real tokens: leave the padding out of "
    "both."
)
def grpo_padding_summed(*given):
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    promise = _clipped(logp, old_logp.detach(), advantage.detach()[:, None], epsilon)
    gain = promise - beta * _k3(logp, ref_logp.detach())
    return -gain.sum() / mask.sum().clamp(min=1)


grpo_loss.changed(
    "k3_weighted_by_a_constant_ratio",
    "(torch.expm1(delta) - delta)",
    "ratio.detach() * (torch.expm1(delta) - delta)",
    "k3 was weighted by the ratio policy/old, a constant there. Here each token's k3 counts "
    "as it is.",
    of=written_out,
)
slip(
    "k1_turned",
    "(torch.expm1(delta) - delta)",
    "delta",
    "The penalty is ref_logp − logp, which is k1 with its sign turned. Here it is k3: exp(δ) "
    "− 1 − δ.",
)
grpo_loss.changed(
    "k3_of_ratios_clamped_at_10",
    "ref_logp - logp",
    "(ref_logp - logp).clamp(-10.0, 10.0)",
    "The log-ratio to ref was clamped to ±10 before k3. A token that far away then has no "
    "gradient to bring it back: the penalty has no bound.",
    of=written_out,
)
slip(
    "old_left_out",
    "(logp - old_logp).exp()",
    "logp.exp()",
    "old_logp was not used: exp(logp) is the policy's probability. The ratio is exp(logp − "
    "old_logp).",
)
slip(
    "logp_for_the_promise",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "logp * advantage",
    "logp · advantage stands in the place of the promise: no ratio, and nothing clipped. Its "
    "gradient is right at the first step on a batch; after it, the tokens are old's.",
)
slip(
    "grpo_advantage_centred",
    "advantage.detach()[:, None]",
    "(advantage - advantage.mean()).detach()[:, None]",
    "The advantages' mean over the batch was taken away. They come from their groups as they "
    "are meant: use them as they are.",
)
slip(
    "advantage_turned",
    "advantage.detach()[:, None]",
    "-advantage.detach()[:, None]",
    "The sign of the advantages is turned: what was better than the others is made rarer.",
)
slip(
    "loss_zero_outside_the_bounds",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.where((ratio - 1).abs() <= epsilon, ratio * advantage, 0.0)",
    "A token whose ratio is outside the bounds got 0. Beyond a bound the promise is the "
    "smaller of ratio · A and the bound times A.",
)
slip(
    "loss_gradient_masked_value_not_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.where((ratio - 1).abs() <= epsilon, ratio, ratio.detach()) * advantage",
    "The values are not clipped; epsilon acts on the gradient alone, and takes it from every "
    "token outside the bounds. The promise itself is the smaller of both products: its "
    "gradient follows.",
)


@grpo_loss.wrong(
    "The penalty was summed over real tokens while the promise was averaged: take the mean of both."
)
def penalty_summed(*given):
    logp, _, ref_logp, _, mask, _, beta = given
    logp, ref_logp = (torch.where(mask, values, 0.0) for values in (logp, ref_logp.detach()))
    return reference.grpo_loss(*given[:-1], 0.0) + beta * _k3(logp, ref_logp).sum()


@grpo_loss.wrong(
    "The penalty is the mean of the responses' means, the promise is not. Take one sum and "
    "one count for the whole batch, of both."
)
def penalty_mean_of_responses(*given):
    logp, _, ref_logp, _, mask, _, beta = given
    logp, ref_logp = (torch.where(mask, values, 0.0) for values in (logp, ref_logp.detach()))
    means = _k3(logp, ref_logp).sum(1) / mask.sum(1).clamp(min=1)
    return reference.grpo_loss(*given[:-1], 0.0) + beta * means.mean()


def _charged_in_the_advantage(given: tuple, estimate: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The loss with a constant price in the advantage of each token, and none beside it."""
    logp, old_logp, ref_logp, advantage, mask, epsilon, beta = given
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0)
        for values in (logp, old_logp.detach(), ref_logp.detach(), advantage.detach()[:, None])
    )
    price = beta * estimate(logp, ref_logp).detach()
    return -averaged(_clipped(logp, old_logp, advantage - price, epsilon), mask)


@grpo_loss.wrong(
    "beta · k3 was taken from the advantage, as a constant: drift charged in the reward. Here "
    "it is charged in the loss, differentiable, beside the clipped promise."
)
def k3_a_constant_in_the_advantage(*given):
    return _charged_in_the_advantage(given, _k3)


@grpo_loss.wrong(
    "beta · (logp − ref_logp) was taken from the advantage, as a constant: drift charged in "
    "the reward. Here beta · k3 is charged in the loss, beside the clipped promise."
)
def k1_a_constant_in_the_advantage(*given):
    return _charged_in_the_advantage(given, torch.sub)


@grpo_loss.right
def grpo_of_chosen_tokens(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if not mask.any():
        return logp[mask].sum()
    gains = advantage.detach()[:, None].expand_as(logp)[mask]
    logp, old_logp, ref_logp = logp[mask], old_logp[mask].detach(), ref_logp[mask].detach()
    ratio = torch.exp(logp - old_logp)
    loss = torch.max(-gains * ratio, -gains * torch.clip(ratio, 1 - epsilon, 1 + epsilon))
    gap = logp - ref_logp
    return (loss + beta * (torch.exp(-gap) + gap - 1)).mean()


@grpo_loss.right
def grpo_token_by_token(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    total, count = logp.new_zeros(()), 0
    for b, t in mask.nonzero().tolist():
        ratio = (logp[b, t] - old_logp[b, t].item()).exp()
        gain = advantage[b].item()
        bound = 1 + epsilon if gain > 0 else 1 - epsilon
        clipped = gain * ratio > gain * bound
        promise = torch.full_like(ratio, gain * bound) if clipped else ratio * gain
        delta = ref_logp[b, t].item() - logp[b, t]
        total = total + promise - beta * (delta.exp() - delta - 1)
        count += 1
    return -total / max(count, 1)


@grpo_loss.right
def grpo_with_relu(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    clean = (v.masked_fill(~mask, 0.0) for v in (logp, old_logp.detach(), ref_logp.detach()))
    logp, old_logp, ref_logp = clean
    gains = advantage.detach().unsqueeze(1)
    ratio = torch.exp(logp - old_logp)
    promise = ratio * gains - F.relu((ratio - 1) * gains.sign() - epsilon) * gains.abs()
    k3 = (ref_logp - logp).exp() - 1 + logp - ref_logp
    weight = mask.to(logp.dtype) / max(int(mask.sum()), 1)
    return torch.einsum("bt,bt->", beta * k3 - promise, weight)


@grpo_loss.right
def grpo_in_two_means(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if mask.sum() == 0:
        return torch.zeros((), dtype=logp.dtype)
    rows = mask.nonzero()[:, 0]
    new, old, ref = (values.masked_select(mask) for values in (logp, old_logp, ref_logp))
    ratio, gains = (new - old.detach()).exp(), advantage.detach()[rows]
    low, high = 1 - epsilon, 1 + epsilon
    bounded = torch.where(gains > 0, ratio.clamp(max=high), ratio.clamp(min=low))
    return beta * torch.mean(_k3(new, ref.detach())) - torch.mean(bounded * gains)
