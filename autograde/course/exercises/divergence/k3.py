"""Estimate the KL from each drawn token by expm1(δ) − δ, δ = log ref − log policy: all digits."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import RARE, WITHOUT_A_BOUND, token_cases, token_cases_by_hand, token_mistakes

SMALL = "small log-ratios"

k3 = Exercise(
    "k3",
    parts={VALUES: 2, GRADIENT: 1, SMALL: 2, RARE: 1, RULES: 1},
    hints=(
        "The tokens come from the policy, and the mean of ref/policy − 1 over them is 0. Which "
        "difference of the two logarithms is log(ref/policy)?",
        "With δ = ref_logp − logp, ref a constant, ref/policy is exp(δ) and k3 is (exp(δ) − 1) − δ."
        " Near δ = 0, what is left of exp(δ) − 1 after the 1 is taken away?",
        "exp(δ) is rounded, δ is not, so exp(δ) − 1 − δ keeps that rounding, and for a small δ "
        "little else. torch has one function that computes exp(δ) − 1 with all its digits; or "
        "subtract the logarithm of the rounded ratio in place of δ.",
    ),
)

k3.by_hand(token_cases_by_hand)


@k3.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from token_cases(draw)
    logp = (draw.logp(8, dtype=torch.float64) / STEP).round() * STEP
    small = {"logp": logp, "ref_logp": logp + _small_log_ratios(draw, 8)}
    yield Case(SMALL_CASE, small, SMALL, rtol=1e-6, atol=0.0)
    logp = draw.logp(4)
    far = {"logp": logp, "ref_logp": logp + tensor(15.0, -15.0, 25.0, -25.0)}
    yield Case(FAR_CASE, far, RARE, ("logp",))


SMALL_CASE = "float64, δ between 1e-6 and 5e-6"

FAR_CASE = "δ of ±15 and ±25"

STEP = 2.0**-40  # a fraction that floating point adds and subtracts exactly


def _small_log_ratios(draw: Draw, count: int) -> Tensor:
    """Values of δ, 1e-6 to 5e-6, at which every way of cancelling loses the very same digits.

    They are multiples of STEP, so `exp(δ) − δ − 1` gives one answer in whichever order, and exp(δ)
    lies well off a tie, so most machines give that answer: one mistake tells all of them.
    """
    delta = (
        draw.uniform(40 * count, low=1e-6, high=5e-6, dtype=torch.float64) / STEP
    ).ceil() * STEP
    beyond = (delta**2 / 2 + delta**3 / 6) * 2.0**52  # what exp rounds off, δ being exact
    off = (beyond - beyond.round()).abs()
    return delta[(off > 0.1) & (off < 0.3)][:count]


token_mistakes(k3, lambda logp, ref_logp: torch.expm1(ref_logp - logp) - (ref_logp - logp))


k3.changed(
    "cancellation",
    "torch.expm1(delta) - delta",
    "delta.exp() - delta - 1",
    "Digits are lost where δ = log ref − log policy is near 1e-6. exp(δ) − δ − 1 cancels there: "
    "the answer, ½δ², is hardly larger than the rounding of numbers near 1 on the way. A series "
    "that ends with ½δ² is off as well. torch.expm1(δ) has all digits of exp(δ) − 1.",
    rough={SMALL_CASE: 2e-15},
)
k3.changed(
    "brackets_forgotten",
    "torch.expm1(delta) - delta",
    "torch.expm1(delta) + logp - ref_logp.detach()",
    "expm1 came in, but its small result was added to a whole log-probability, which rounds its "
    "digits away. Form the difference ref_logp − logp first, in brackets.",
)
k3.changed(
    "k2_in_its_place",
    "torch.expm1(delta) - delta",
    "0.5 * delta**2",
    "½δ² alone is k2. It has k3's value only near δ = 0, and its mean is not the KL.",
)
k3.changed(
    "ratio_turned_round",
    "ref_logp.detach() - logp",
    "logp - ref_logp.detach()",
    "The ratio is turned round: policy/ref in place of ref/policy. Averaged over the policy's "
    "tokens, ref/policy − 1 is 0, and policy/ref − 1 is not.",
)
k3.changed(
    "exponent_turned_round",
    "torch.expm1(delta)",
    "torch.expm1(-delta)",
    "The exponent's sign and the logarithm's disagree: it is policy/ref in one place and "
    "ref/policy in the other.",
)
k3.changed(
    "logarithm_added",
    "torch.expm1(delta) - delta",
    "torch.expm1(delta) + delta",
    "This is (ref/policy − 1) + log(ref/policy): the logarithm's sign is turned, as when the "
    "ratio is turned round in one place alone. k3 is (ref/policy − 1) − log(ref/policy).",
)
k3.changed(
    "one_forgotten",
    "torch.expm1(delta)",
    "delta.exp()",
    "The −1 is missing: two equal policies must be at 0, and this gives 1.",
)
k3.changed(
    "one_subtracted_twice",
    "torch.expm1(delta) - delta",
    "torch.expm1(delta) - 1 - delta",
    "1 was subtracted twice: expm1(δ) is exp(δ) − 1 already. Two equal policies must be at 0, and "
    "this gives −1.",
)
k3.changed(
    "logarithm_forgotten",
    "torch.expm1(delta) - delta",
    "torch.expm1(delta)",
    "log(ref/policy) is missing: ref/policy − 1 alone averages to 0, whatever the KL.",
)
k3.changed(
    "ratio_detached",
    "torch.expm1(delta)",
    "torch.expm1(delta).detach()",
    "The value is right, its gradient is k1's: the ratio was held constant. Both terms contain the "
    "policy: detach ref_logp alone.",
)


@k3.wrong(
    "The value is right, its gradient is k2's, δ in place of expm1(δ): it was passed through from "
    "another formula. Let autograd differentiate the one that you return."
)
def gradient_of_k2(logp: Tensor, ref_logp: Tensor) -> Tensor:
    half_square = 0.5 * (logp - ref_logp.detach()) ** 2
    return reference.k3(logp, ref_logp).detach() + half_square - half_square.detach()


k3.changed(
    "expm1_of_the_ratio",
    "torch.expm1(delta)",
    "torch.expm1(delta.exp())",
    "expm1 was taken of the ratio, which is exp(δ) already. It takes δ itself: expm1(δ) is "
    "ref/policy − 1.",
)
k3.changed(
    "epsilon_in_the_logarithm",
    "torch.expm1(delta) - delta",
    "(delta.exp() - 1) - (delta.exp() + 1e-8).log()",
    "A small number, about 1e-8, was added inside log(ref/policy). A ratio is above 0: add "
    "nothing, and a small δ keeps its digits.",
)


for _bound in (5, 10, 20):
    k3.changed(
        f"exponent_cut_off_at_{_bound}",
        "torch.expm1(delta)",
        f"torch.expm1(delta.clamp(max={_bound}))",
        f"The exponent was cut off at {_bound}. {WITHOUT_A_BOUND}",
    )


k3.changed(
    "value_clamped",
    "torch.expm1(delta) - delta",
    "(torch.expm1(delta) - delta).clamp(max=10.0)",
    "The result was cut off at 10. The contract is the formula, without a bound.",
)
k3.changed(
    "k1_in_place_of_k3",
    "torch.expm1(delta) - delta",
    "-delta",
    "This is k1, the log-ratio log policy − log ref: it may be negative. k3 is expm1(δ) − δ, with "
    "δ = log ref − log policy.",
)
k3.changed(
    "k3_weighted_by_the_policy",
    "torch.expm1(delta) - delta",
    "logp.exp() * (torch.expm1(delta) - delta)",
    "k3 was weighted by the policy's probability. The tokens are drawn from the policy: the "
    "average over them weighs already.",
    rough={FAR_CASE: 1e5},
)
_WHOLE = "torch.expm1(delta) - delta"
for _name, _instead, _says in (
    ("negated", "delta - torch.expm1(delta)", "The sign is turned: k3 is never below 0."),
    (
        "ratio_alone",
        "delta.exp()",
        "This is the ratio ref/policy alone: k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "ratio_of_the_policy_alone",
        "(-delta).exp()",
        "This is the ratio policy/ref alone: k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "ratio_of_the_policy_less_1",
        "torch.expm1(-delta)",
        "This is the ratio policy/ref, less 1: k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "ratio_taken_from_one",
        "1 - delta.exp() - delta",
        "ref/policy − 1 has the wrong sign here. k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "probabilities_subtracted",
        "ref_logp.detach().exp() - logp.exp() - delta",
        "The probabilities were subtracted in place of divided: k3 has ref/policy − 1.",
    ),
    (
        "ratio_less_1_squared",
        "torch.expm1(delta) ** 2",
        "This is (ref/policy − 1)². k3 subtracts log(ref/policy) from ref/policy − 1.",
    ),
    (
        "turned_ratio_times_log_ratio",
        "-delta * delta.exp()",
        "This is ref/policy times log(policy/ref). k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "quotient_of_logarithms",
        "ref_logp.detach() / logp - 1 - (ref_logp.detach() / logp).log()",
        "The log-probabilities were divided, and that was taken for the ratio. The ratio is "
        "exp(ref_logp − logp).",
    ),
    (
        "quotient_of_logarithms_less_delta",
        "ref_logp.detach() / logp - 1 - delta",
        "The log-probabilities were divided in place of the probabilities: the ratio is "
        "exp(ref_logp − logp).",
    ),
    (
        "weighted_by_the_ratio",
        "(-delta).exp() * (torch.expm1(delta) - delta)",
        "k3 was weighted by the ratio policy/ref, as libraries do for tokens drawn by an older "
        "policy. Another formula: here the tokens are the policy's own.",
    ),
    (
        "multiplied",
        "torch.expm1(delta) * delta",
        "This is (ref/policy − 1) · log(ref/policy): subtract the logarithm, do not multiply.",
    ),
    (
        "of_the_other_tokens",
        "delta.exp() * delta - torch.expm1(delta)",
        "With r = ref/policy this is r·log r − (r − 1), which estimates the other direction, "
        "KL(ref ‖ policy). k3 is (r − 1) − log r.",
    ),
    (
        "ratio_squared",
        "delta.exp() ** 2 - 1 - delta",
        "The ratio was squared: k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "power_of_two",
        "torch.exp2(delta) - 1 - delta",
        "The ratio was taken as a power of 2. Log-probabilities are in nats: it is exp(δ).",
    ),
    (
        "log1p_taken",
        "torch.log1p(delta) - delta",
        "log1p was taken where expm1 is meant: exp(δ) − 1, not log(1 + δ).",
    ),
    (
        "one_in_the_exponent",
        "(delta - 1).exp() - delta",
        "The 1 was subtracted in the exponent, exp(δ − 1): subtract it from exp(δ).",
    ),
    (
        "absolute_log_ratio",
        "delta.abs()",
        "This is the size of the log-ratio. k3 is (ref/policy − 1) − log(ref/policy).",
    ),
    (
        "cubic",
        "delta**2 / 2 + delta**3 / 6",
        "This is the beginning of a series, ½δ² + δ³/6, good near δ = 0 alone. expm1 is "
        "right for all.",
    ),
    (
        "quartic",
        "delta**2 / 2 + delta**3 / 6 + delta**4 / 24",
        "This is the beginning of a series, up to δ⁴, good near δ = 0 alone. expm1 is "
        "right for all.",
    ),
    (
        "logarithm_detached",
        "torch.expm1(delta) - delta.detach()",
        "The value is right, its gradient is not: the second term was held constant. Both contain "
        "the policy: detach ref_logp alone.",
    ),
    (
        "halved",
        "0.5 * (torch.expm1(delta) - delta)",
        "This is half of k3: the ½ belongs to k2.",
    ),
    (
        "squared",
        "(torch.expm1(delta) - delta) ** 2",
        "This is k3 squared: return it as it is.",
    ),
):
    k3.changed(_name, _WHOLE, _instead, _says)


k3.changed(
    "ratio_times_its_logarithm",
    "torch.expm1(delta) - delta",
    "-delta * (-delta).exp()",
    "This is policy/ref · log(policy/ref), which estimates KL(policy ‖ ref) from tokens drawn from "
    "ref. Here they are drawn from the policy: expm1(δ) − δ with δ = ref_logp − logp.",
)


@k3.right
def logarithm_of_the_rounded_ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    # Accurate, however it looks: the rounding of ratio is in both terms, and nearly cancels.
    ratio = (ref_logp.detach() - logp).exp()
    return (ratio - 1) - ratio.log()


@k3.right
def with_sinh(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return 2 * (delta / 2).exp() * (delta / 2).sinh() - delta


@k3.right
def series_near_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    terms = [delta**n / math.factorial(n) for n in range(2, 8)]
    return torch.where(delta.abs() < 0.05, sum(terms), delta.exp() - 1 - delta)


@k3.right
def special_one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    values = [torch.special.expm1(ref - policy) - (ref - policy) for policy, ref in pairs]
    return torch.stack(values).reshape(logp.shape)
