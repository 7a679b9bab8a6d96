"""Find the divergence at which a fitted curve of gold is greatest."""

import math
from collections.abc import Iterator

import numpy as np
import torch

from helpers.cases import VALUES, Case

from ...draw import Draw
from ...exercise import Exercise

NO_PEAK = "no peak"

best_kl = Exercise(
    "best_kl",
    parts={VALUES: 2, NO_PEAK: 1},
    hints=(
        "At the peak the derivative of d · (alpha − b · log d) with respect to d is 0. Do not "
        "forget the product rule.",
        "The derivative is alpha − b · log d − b. Solve for log d first, then for d. And what does "
        "the curve do when b is 0, or negative: where is its peak then?",
        "log d = alpha/b − 1 at the peak, and asked is the kl there, which is d². Refuse every b "
        "that is not above 0 with a ValueError first.",
    ),
)


@best_kl.by_hand
def _() -> Iterator[Case]:
    rows = (
        ("alpha 1, b 1: d is 1", 1.0, 1.0),
        ("alpha 2, b 1: e²", 2.0, 1.0),
        ("alpha 3, b 2: e", 3.0, 2.0),
        ("alpha 0, b 0.5: e⁻²", 0.0, 0.5),
        ("alpha −1, b 1: e⁻⁴", -1.0, 1.0),
        ("alpha 0.25, b 0.5: e⁻¹", 0.25, 0.5),
        ("alpha 6, b 1: e¹⁰", 6.0, 1.0),
        ("alpha 15, b 1: e²⁸", 15.0, 1.0),
        ("alpha and b 1e-7: d is 1 again", 1e-7, 1e-7),
    )
    for title, alpha, b in rows:
        yield _curve(title, alpha, b)
    for alpha, b in ((1.0, 0.0), (-1.0, 0.0), (0.0, 0.0), (1.0, -0.5), (-2.0, -1.0)):
        yield _curve(f"alpha {alpha:g}, b {b:g}".replace("-", "−"), alpha, b, NO_PEAK)


@best_kl.drawn
def _(draw: Draw) -> Iterator[Case]:
    def between(low: float, high: float) -> float:
        return draw.uniform(low=low, high=high).item()

    yield _curve("a peak beyond 1 nat", between(1.5, 3.0), between(0.4, 0.9))
    yield _curve("a peak below 1 nat", between(0.2, 0.5), between(0.6, 1.4))
    yield _curve("alpha below 0", between(-1.5, -0.2), between(0.5, 1.5))
    yield _curve("a peak of hundreds of nats", between(3.6, 4.4), between(0.9, 1.1))
    yield _curve("b below 0", between(0.5, 1.5), -between(0.1, 1.0), NO_PEAK)


def _curve(title: str, alpha: float, b: float, part: str = VALUES) -> Case:
    # Right digits of float32 will do: nothing that is wrong comes so near.
    return Case(title, {"alpha": alpha, "b": b}, part, rtol=2e-5, atol=0.0)


def _need_a_peak(b: float) -> None:
    if not b > 0:
        raise ValueError("the curve has no peak")


best_kl.changed(
    "d_returned",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(alpha / b - 1)",
    "This is the best d. Asked is the kl, which is d².",
)
best_kl.changed(
    "root_returned",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp((alpha / b - 1) / 2)",
    "This is √d: d = exp(alpha/b − 1), and kl is its square, not its root.",
)
best_kl.changed(
    "logarithm_returned",
    "math.exp(2 * (alpha / b - 1))",
    "alpha / b - 1",
    "This is log d at the peak: take exp, and square.",
)
best_kl.changed(
    "zero_crossing",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(2 * alpha / b)",
    "− 1 is missing: at d = exp(alpha/b) the bracket is 0, so this is where the curve is back at "
    "ref's level, not where it is highest. Differentiate with the product rule.",
)
best_kl.changed(
    "exponent_turned",
    "2 * (alpha / b - 1)",
    "2 * (1 - alpha / b)",
    "The exponent has its sign turned: alpha − b · log d − b = 0 gives log d = alpha/b − 1.",
)
best_kl.changed(
    "one_added",
    "b - 1",
    "b + 1",
    "The sign of the 1 is turned: alpha − b · log d − b = 0 gives log d = alpha/b − 1.",
)


@best_kl.wrong("The quotient is upside down: it is alpha/b. A larger b brings the peak nearer.")
def quotient_inverted(alpha, b):
    _need_a_peak(b)
    return math.exp(2 * (b / alpha - 1))


best_kl.changed(
    "one_inside_the_quotient",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(2 * (alpha - 1) / b)",
    "The 1 was subtracted from alpha before dividing by b. From alpha − b · log d − b = 0 follows "
    "log d = (alpha − b)/b = alpha/b − 1.",
)
best_kl.changed(
    "not_divided",
    "alpha / b - 1",
    "alpha - b",
    "The division by b is missing: log d = (alpha − b)/b at the peak.",
)
best_kl.changed(
    "one_outside_the_exponent",
    "math.exp(2 * (alpha / b - 1))",
    "(math.exp(alpha / b) - 1) ** 2",
    "exp(alpha/b) − 1 is not exp(alpha/b − 1): the 1 belongs into the exponent.",
)
best_kl.changed(
    "half_squared",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(2 * alpha / b - 1)",
    "This is exp(2 · alpha/b − 1), as when only part of the exponent is doubled. Squaring d "
    "doubles all of it.",
)
best_kl.changed(
    "log_of_kl_in_the_curve",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(alpha / b - 2)",
    "This is the peak of kl · (alpha − b · log kl), or of √kl · (alpha − b · log kl): the curve's "
    "logarithm is that of d = √kl.",
)
best_kl.changed(
    "power_of_ten",
    "math.exp(2 * (alpha / b - 1))",
    "10 ** (2 * (alpha / b - 1))",
    "The logarithm is the natural one, so its inverse is exp, not a power of 10.",
)
best_kl.changed(
    "power_of_two",
    "math.exp(2 * (alpha / b - 1))",
    "2 ** (2 * (alpha / b - 1))",
    "The logarithm is the natural one, so its inverse is exp, not a power of 2.",
)
best_kl.changed(
    "height_of_the_peak",
    "math.exp(2 * (alpha / b - 1))",
    "b * math.exp(alpha / b - 1)",
    "This is how much gold is gained at the peak, b · d. Asked is where the peak is, in nats.",
)
best_kl.changed(
    "best_of_n_peak",
    "math.exp(2 * (alpha / b - 1))",
    "(alpha / (2 * b)) ** 2",
    "This is the peak of the best-of-n form, d · (alpha − b · d). Here the bracket holds log d.",
)


best_kl.changed(
    "zero_crossing_not_squared",
    "math.exp(2 * (alpha / b - 1))",
    "math.exp(alpha / b)",
    "− 1 is missing, and the square: at d = exp(alpha/b) the curve is back at ref's level. "
    "Differentiate with the product rule for the best d; kl is d².",
)
best_kl.changed(
    "one_in_the_denominator",
    "alpha / b - 1",
    "alpha / (b - 1)",
    "The 1 was subtracted from b, not from the quotient: log d = alpha/b − 1 at the peak.",
)
best_kl.changed(
    "exponent_squared",
    "math.exp(2 * (alpha / b - 1))",
    "(alpha / b - 1) ** 2",
    "exp is missing: alpha/b − 1 is log d at the peak. Take exp, then square.",
)
best_kl.changed(
    "doubled",
    "math.exp(2 * (alpha / b - 1))",
    "2 * math.exp(alpha / b - 1)",
    "d was doubled. kl is d², its square.",
)


@best_kl.wrong(
    "b was raised to a small number where it is not above it, in place of a refusal. Raise "
    "ValueError for every b that is not above 0."
)
def small_b_raised(alpha, b):
    return math.exp(2 * (alpha / max(b, 1e-8) - 1))


best_kl.changed(
    "multiplied_by_b",
    "alpha / b",
    "alpha * b",
    "alpha was multiplied by b. From alpha − b · log d − b = 0 follows log d = alpha/b − 1.",
)


best_kl.changed(
    "pair_returned",
    "return math.exp(2 * (alpha / b - 1))",
    "return math.exp(alpha / b - 1), math.exp(2 * (alpha / b - 1))",
    "Two things came back. Return one number: the kl.",
)


@best_kl.wrong(
    "Right up to the spacing of a grid, or up to its end. The derivative is 0 in one place that "
    "you can write down."
)
def best_of_a_grid(alpha, b):
    _need_a_peak(b)
    grid = [0.01 * step for step in range(1, 1001)]
    return max(grid, key=lambda d: d * (alpha - b * math.log(d))) ** 2


@best_kl.wrong(
    "A curve without a peak was answered, not refused. For b = 0 it is a straight line, and for "
    "b < 0 it rises faster and faster: no number, not even inf, nan or 0, is an answer. Raise "
    "ValueError."
)
def answered_without_a_peak(alpha, b):
    return math.exp(2 * (alpha / b - 1)) if b > 0 else math.inf


@best_kl.wrong(
    "b = 0 and b below 0 are not refused: the one ends in a division by 0, and with the other the "
    "curve has a lowest point and no peak. Raise ValueError for every b that is not above 0."
)
def formula_alone(alpha, b):
    return math.exp(2 * (alpha / b - 1))


best_kl.changed(
    "negative_b_answered",
    "not b > 0",
    "b == 0",
    "b below 0 was let through: there the same formula finds the curve's lowest point. Raise "
    "ValueError for every b that is not above 0.",
)
best_kl.changed(
    "zero_b_divided",
    "not b > 0",
    "b < 0",
    "b = 0 was let through, and division by 0 is another error than the one asked for. Raise "
    "ValueError for every b that is not above 0.",
)
best_kl.changed(
    "negative_alpha_refused",
    "not b > 0",
    "alpha <= 0 or b <= 0",
    "alpha at or below 0 was refused. The curve has a peak then too, very near to ref: only b "
    "decides.",
)
best_kl.changed(
    "at_least_one",
    "(alpha / b - 1)",
    "max(alpha / b - 1, 0.0)",
    "A peak below 1 nat was raised to 1: alpha/b − 1 may well be negative, and d less than 1.",
)


@best_kl.wrong(
    "An assertion refuses what has no peak. The contract is a ValueError: assertions vanish under "
    "python -O."
)
def asserted_b(alpha, b):
    assert b > 0, "the curve has no peak"
    return math.exp(2 * (alpha / b - 1))


@best_kl.right
def square_of_d(alpha, b):
    if b <= 0:
        raise ValueError("the curve has no peak")
    d = math.e ** ((alpha - b) / b)
    return d**2


@best_kl.right
def with_torch(alpha, b):
    if not b > 0:
        raise ValueError("the curve has no peak")
    return torch.exp(torch.tensor(alpha / b - 1)).square().item()


@best_kl.right
def ratio_of_exponentials(alpha, b):
    if b <= 0:
        raise ValueError("the curve has no peak")
    return float(np.exp(2 * alpha / b) / math.exp(2))


@best_kl.right
def bisecting_the_slope(alpha, b):
    if b <= 0:
        raise ValueError("the curve has no peak")
    low, high = -60.0, 60.0
    for _step in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if alpha - b * middle - b > 0 else (low, middle)
    return math.exp(low + high)


@best_kl.right
def a_tensor(alpha, b):
    if min(b, 0.0) == b:
        raise ValueError("the curve has no peak")
    best = torch.tensor(alpha, dtype=torch.float64) / b - 1
    return (best + best).exp()


best_kl.together("d_returned", "one_added")
best_kl.together("power_of_ten", "one_added")
