"""First tries at `best_kl`."""

import math

import torch

from . import right, told


@right
def square_of_d(alpha, b):
    if not b > 0:
        raise ValueError("no peak")
    d = math.exp(alpha / b - 1)
    return d**2


@right
def through_torch(alpha, b):
    if b <= 0 or math.isnan(b):
        raise ValueError("b must be positive")
    return torch.tensor(2 * (alpha / b - 1), dtype=torch.float64).exp().item()


@told("d_returned")
def d_returned(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1)


@told("zero_crossing")
def zero_crossing(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b) ** 2


@told("zero_crossing_not_squared")
def zero_crossing_d(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b)


@told("one_added")
def plus_one(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b + 1) ** 2


@told("one_in_the_denominator")
def precedence(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / (b - 1)) ** 2


@told("quotient_inverted")
def quotient_upside_down(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(b / alpha - 1) ** 2


@told("formula_alone")
def no_value_error(alpha, b):
    return math.exp(alpha / b - 1) ** 2


@told("zero_b_divided")
def zero_forgotten(alpha, b):
    if b < 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1) ** 2


@told("negative_alpha_refused")
def negative_alpha_refused(alpha, b):
    if b <= 0 or alpha <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1) ** 2


@told("negative_alpha_refused", "formula_alone")
def alpha_checked_in_place_of_b(alpha, b):
    if alpha <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1) ** 2


@told("best_of_n_peak")
def best_of_n_peak(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return (alpha / (2 * b)) ** 2


@told("one_inside_the_quotient")
def minus_b(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp((alpha - 1) / b) ** 2


@told("answered_without_a_peak")
def nan_returned(alpha, b):
    if b <= 0:
        return math.nan
    return math.exp(alpha / b - 1) ** 2


@told("answered_without_a_peak")
def inf_returned(alpha, b):
    if b <= 0:
        return math.inf
    return math.exp(alpha / b - 1) ** 2


@told("answered_without_a_peak")
def none_returned(alpha, b):
    return math.exp(alpha / b - 1) ** 2 if b > 0 else None


@told("height_of_the_peak")
def value_at_the_peak(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return b * math.exp(alpha / b - 1)


@told("root_returned")
def root_taken(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.sqrt(math.exp(alpha / b - 1))


@told("exponent_squared")
def exp_forgotten(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return (alpha / b - 1) ** 2


@told("power_of_ten")
def power_of_ten(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return 10 ** (2 * (alpha / b - 1))


@told("doubled")
def doubled(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1) * 2


@told("small_b_raised")
def clamped_b(alpha, b):
    return math.exp(alpha / max(b, 1e-8) - 1) ** 2


@told("library: *")
def xor(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 1) ^ 2


@told("best_of_a_grid")
def grid_up_to_a_hundred(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    d = torch.linspace(0.01, 10, 1000, dtype=torch.float64)
    return d[(d * (alpha - b * d.log())).argmax()].item() ** 2


@told("asserted_b")
def assertion_for_value_error(alpha, b):
    assert b > 0
    return math.exp(alpha / b - 1) ** 2


@told("exponent_turned", "reciprocals")
def exponent_turned(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(1 - alpha / b) ** 2


@told("formula_alone")
def sign_of_b_lost(alpha, b):
    return math.exp(alpha / abs(b) - 1) ** 2


@told("pair_returned")
def both_returned(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    d = math.exp(alpha / b - 1)
    return d, d**2


@told("half_squared")
def half_in_the_exponent(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha / b - 0.5) ** 2


@told("multiplied_by_b")
def product(alpha, b):
    if b <= 0:
        raise ValueError("no peak")
    return math.exp(alpha * b - 1) ** 2
