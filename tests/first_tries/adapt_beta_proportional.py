"""First tries at `adapt_beta_proportional`."""

import math

import numpy as np
import torch

from . import right, told


def _error(kl, target):
    return max(-0.2, min(0.2, kl / target - 1))


@told("share_capped")
def at_most_one_horizon(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target) * min(1, n_steps / horizon))


@told("error_not_clipped")
def not_clipped(beta, kl, target, n_steps, horizon):
    return beta * (1 + (kl / target - 1) * n_steps / horizon)


@told("clipped_too_late")
def clipped_last(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, min(0.2, (kl / target - 1) * n_steps / horizon)))


@told("share_outside_the_bracket")
def quotient_clipped_around_one(beta, kl, target, n_steps, horizon):
    return beta * max(0.8, min(1.2, kl / target)) * n_steps / horizon


@told("quotient_clipped")
def one_not_subtracted(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, min(0.2, kl / target)) * n_steps / horizon)


@told("change_alone")
def one_not_added(beta, kl, target, n_steps, horizon):
    return beta * _error(kl, target) * n_steps / horizon


@told("share_outside_the_bracket")
def one_added_first(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target)) * n_steps / horizon


@told("change_added")
def brackets_forgotten(beta, kl, target, n_steps, horizon):
    return beta * 1 + _error(kl, target) * n_steps / horizon


@told("target_less_one")
def brackets_around_the_target(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, min(0.2, kl / (target - 1))) * n_steps / horizon)


@told("horizon_ignored")
def steps_forgotten(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target))


@told("horizon_forgotten")
def horizon_forgotten(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target) * n_steps)


@told("horizon_inverted")
def horizon_over_steps(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target) * horizon / n_steps)


@told("whole_division")
def floor_division(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target) * (n_steps // horizon))


@told("quotient_inverted")
def target_over_kl(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, min(0.2, target / kl - 1)) * n_steps / horizon)


@told("absolute_error")
def difference(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, min(0.2, kl - target)) * n_steps / horizon)


@told("error_turned")
def turned(beta, kl, target, n_steps, horizon):
    return beta * (1 - _error(kl, target) * n_steps / horizon)


@told("clipped_above_only")
def clipped_above_alone(beta, kl, target, n_steps, horizon):
    return beta * (1 + min(0.2, kl / target - 1) * n_steps / horizon)


@told("clipped_below_only")
def clipped_below_alone(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.2, kl / target - 1) * n_steps / horizon)


@told("never_lowered")
def clipped_from_zero(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(0.0, min(0.2, kl / target - 1)) * n_steps / horizon)


@told("always_the_lower_bound")
def min_and_max_exchanged(beta, kl, target, n_steps, horizon):
    return beta * (1 + min(-0.2, max(0.2, kl / target - 1)) * n_steps / horizon)


@told("clipped_at_1_0")
def clipped_at_one(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-1.0, min(1.0, kl / target - 1)) * n_steps / horizon)


@told("clipped_at_a_tenth")
def clipped_at_a_tenth(beta, kl, target, n_steps, horizon):
    return beta * (1 + max(-0.1, min(0.1, kl / target - 1)) * n_steps / horizon)


@told("exponential_change")
def exponential(beta, kl, target, n_steps, horizon):
    return beta * math.exp(_error(kl, target) * n_steps / horizon)


@told("compounded")
def power(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target)) ** (n_steps / horizon)


@told("change_added")
def added_to_beta(beta, kl, target, n_steps, horizon):
    return beta + _error(kl, target) * n_steps / horizon


@told("factor_returned")
def factor_returned(beta, kl, target, n_steps, horizon):
    return 1 + _error(kl, target) * n_steps / horizon


@told("nothing_returned")
def nothing_returned(beta, kl, target, n_steps, horizon):
    beta *= 1 + _error(kl, target) * n_steps / horizon


@told("size_of_kl")
def absolute(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(abs(kl), target) * n_steps / horizon)


@told("nearly")
def divided_by_more(beta, kl, target, n_steps, horizon):
    return beta * (1 + _error(kl, target + 1e-2) * n_steps / horizon)


@told("halved_or_doubled")
def halves_and_doubles(beta, kl, target, n_steps, horizon):
    return beta / 2 if kl < target / 1.5 else 2 * beta if kl > 1.5 * target else beta


@told("library: *")
def clamped_as_a_tensor(beta, kl, target, n_steps, horizon):
    return beta * (1 + (kl / target - 1).clamp(-0.2, 0.2) * n_steps / horizon)


@told("library: *")
def torch_clamp_of_a_number(beta, kl, target, n_steps, horizon):
    return beta * (1 + torch.clamp(kl / target - 1, -0.2, 0.2) * n_steps / horizon)


@right
def of_trl(beta, kl, target, n_steps, horizon):
    proportional_error = np.clip(kl / target - 1, -0.2, 0.2)
    return float(beta * (1 + proportional_error * n_steps / horizon))


@right
def through_a_sorted_middle(beta, kl, target, n_steps, horizon):
    return beta + beta * sorted((-0.2, kl / target - 1, 0.2))[1] * n_steps / horizon
