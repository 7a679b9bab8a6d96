"""Estimate the KL from each drawn token by half its squared log-ratio."""

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import VALUES

from ...exercise import Exercise
from .shared import SHORT, token_cases, token_cases_by_hand, token_mistakes

k2 = Exercise(
    "k2",
    parts=SHORT,
    hints=(
        "Start from the log-ratio of k1. What makes it positive, whatever its sign?",
        "Its square. Near ref a KL is half the mean of the squared log-ratio, and k2 is that "
        "of one token.",
        "Half the square of your k1. Using k1 keeps its constant a constant.",
    ),
)

k2.by_hand(partial(token_cases_by_hand, VALUES))

k2.drawn(partial(token_cases, rare=VALUES))

token_mistakes(k2, lambda logp, ref_logp: 0.5 * (logp - ref_logp) ** 2)


k2.changed("half_forgotten", "0.5 * ", "", "The ½ is missing: twice the value.")
k2.changed("square_forgotten", ".square()", "", "The square is missing: this is half of k1.")


@k2.wrong("The ½ was squared too: ¼ of the squared log-ratio. Square first, then halve.")
def half_squared(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (0.5 * (logp - ref_logp.detach())) ** 2


k2.changed(
    "squared_ratio",
    "(logp - ref_logp.detach())",
    "torch.expm1(ref_logp.detach() - logp)",
    "This is ½ (ref/policy − 1)². k2 squares the logarithm of the ratio.",
)


@k2.wrong("Each logarithm was squared by itself. Subtract first, then square.")
def difference_of_squares(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp**2 - ref_logp.detach() ** 2)


k2.changed(
    "negated_square", "0.5", "-0.5", "The sign is turned: k2 is half a square, and never below 0."
)
k2.changed(
    "absolute_in_place_of_square",
    ".square()",
    ".abs()",
    "Half the absolute log-ratio: it is positive, but square it instead of dropping its sign.",
)


@k2.wrong("This is k1, the log-ratio itself: k2 is half its square.")
def k1_in_its_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp - ref_logp.detach()


@k2.wrong(
    "This is k3, exp(δ) − 1 − δ with δ = log ref − log policy. k2 is half the squared log-ratio."
)
def k3_in_its_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return reference.k3(logp, ref_logp)


k2.changed(
    "probabilities_subtracted",
    "logp - ref_logp.detach()",
    "logp.exp() - ref_logp.detach().exp()",
    "Probabilities were subtracted. k2 squares a difference of log-probabilities.",
)


_GAP = "(logp - ref_logp.detach())"
_WHOLE = f"0.5 * {_GAP}.square()"
for _name, _instead, _says in (
    (
        "squared_ratio_of_the_policy",
        "0.5 * torch.expm1(logp - ref_logp.detach()).square()",
        "This is ½ (policy/ref − 1)². k2 squares the logarithm of the ratio.",
    ),
    (
        "whole_ratio_squared",
        f"0.5 * {_GAP}.exp().square()",
        "This is half the squared ratio policy/ref. k2 squares the logarithm of the ratio.",
    ),
    (
        "logarithms_added",
        "0.5 * (logp + ref_logp.detach()).square()",
        "The logarithms were added before the square: subtract them.",
    ),
    (
        "quotient_squared",
        "0.5 * (logp / ref_logp.detach()).square()",
        "The log-probabilities were divided: subtract them, then square.",
    ),
    (
        "logarithm_of_a_quotient_squared",
        "0.5 * (logp / ref_logp.detach()).log().square()",
        "The log-probabilities were divided, and a logarithm taken again. They are logarithms "
        "already: subtract them, then square.",
    ),
    (
        "with_smooth_l1",
        "torch.nn.functional.smooth_l1_loss(logp, ref_logp.detach(), reduction='none')",
        "Half a square near 0 and a straight line beyond ±1, as from smooth_l1_loss or huber_loss. "
        "k2 is half the square everywhere.",
    ),
    (
        "one_factor_detached",
        f"0.5 * {_GAP} * {_GAP}.detach()",
        "The value is right, its gradient half of the right one: one factor of the square was held "
        "constant.",
    ),
    (
        "one_factor_detached_and_no_half",
        f"{_GAP} * {_GAP}.detach()",
        "The gradient is right, the value twice the right one: one factor of the square was held "
        "constant, and the ½ is missing.",
    ),
    (
        "square_with_its_sign",
        f"0.5 * {_GAP} * {_GAP}.abs()",
        "Below 0 where the log-ratio is: a square is never negative. Square, keeping no sign.",
    ),
    ("cubed", f"0.5 * {_GAP} ** 3", "The third power was taken: k2 has the second."),
    (
        "power_of_two",
        f"0.5 * 2.0 ** {_GAP}",
        "This is half of 2 to the power of the log-ratio: base and exponent changed places.",
    ),
    (
        "root_of_the_size",
        f"{_GAP}.abs() ** 0.5",
        "This is a square root of the log-ratio's size: 0.5 was the exponent. Square, then halve.",
    ),
    ("half_added", f"0.5 + {_GAP}.square()", "½ was added to the square: multiply by it."),
    (
        "weighted_by_the_policy",
        f"logp.exp() * {_WHOLE}",
        "Each value was weighted by the policy's probability. The tokens were drawn from the "
        "policy, so the weight is in how often they turn up already.",
    ),
    (
        "weighted_by_the_policy_held_constant",
        f"logp.detach().exp() * {_WHOLE}",
        "Each value was weighted by the policy's probability, held constant. The tokens were drawn "
        "from the policy: nothing is to be weighted.",
    ),
    (
        "weighted_by_the_ratio",
        f"{_GAP}.exp() * {_WHOLE}",
        "Each value was weighted by the ratio policy/ref: nothing is to be weighted.",
    ),
    (
        "absolute_alone",
        f"{_GAP}.abs()",
        "This is the size of the log-ratio. k2 is half its square.",
    ),
    (
        "half_the_product",
        "0.5 * logp * ref_logp.detach()",
        "The log-probabilities were multiplied by each other. Square their difference.",
    ),
    (
        "squares_added",
        "0.5 * (logp.square() + ref_logp.detach().square())",
        "Each logarithm was squared by itself, and the squares added. Subtract first, then square.",
    ),
    (
        "product_squared",
        "0.5 * (logp * ref_logp.detach()).square()",
        "The log-probabilities were multiplied: subtract them, then square.",
    ),
    (
        "mean_taken_away",
        f"0.5 * ({_GAP} - {_GAP}.mean()).square()",
        "The mean log-ratio was taken away first: square each log-ratio as it is.",
    ),
    (
        "mean_of_squares",
        f"{_GAP}.square().mean()",
        "One number came back, the mean of the squares, as from mse_loss. Return one for each "
        "token, and halve it.",
    ),
    (
        "sum_of_squares",
        f"{_GAP}.square().sum()",
        "One number came back, the sum of the squares. Return one for each token, and halve it.",
    ),
):
    k2.changed(_name, _WHOLE, _instead, _says)


@k2.right
def with_mse_loss(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return F.mse_loss(logp, ref_logp.detach(), reduction="none") / 2


@k2.right
def two_factors(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = ref_logp.detach() - logp  # the square does not see the sign
    return torch.mul(gap, gap).div(2)


@k2.right
def squares_one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    return torch.stack([(policy - ref).pow(2) / 2 for policy, ref in pairs]).reshape(logp.shape)


@k2.right
def from_the_normal_density(logp: Tensor, ref_logp: Tensor) -> Tensor:
    unit = torch.ones_like(ref_logp)
    return F.gaussian_nll_loss(logp, ref_logp.detach(), unit.detach(), reduction="none")
