"""First tries at `adapt_beta`."""

from . import right, told


@told("size_compared")
def absolute(beta, kl, target):
    kl = abs(kl)
    return beta / 2 if kl < target / 1.5 else 2 * beta if kl > 1.5 * target else beta


@told("wrong_way")
def turned(beta, kl, target):
    return beta * 2 if kl < target / 1.5 else beta / 2 if kl > 1.5 * target else beta


@told("tolerance_added")
def less_and_more_by_1_5(beta, kl, target):
    return beta / 2 if kl < target - 1.5 else 2 * beta if kl > target + 1.5 else beta


@told("never_kept")
def no_band(beta, kl, target):
    return beta / 2 if kl < target else 2 * beta if kl > target else beta


@told("never_kept")
def no_band_and_no_rest(beta, kl, target):
    return beta * 2 if kl > target else beta / 2


@told("rule_of_a_library")
def of_rllib(beta, kl, target):
    return beta * 1.5 if kl > 2 * target else beta * 0.5 if kl < 0.5 * target else beta


@told("tolerance_of_two")
def twice_and_half_the_target(beta, kl, target):
    return beta * 2 if kl > 2 * target else beta / 2 if kl < target / 2 else beta


@told("step_of_one_and_a_half")
def by_1_5(beta, kl, target):
    return beta * 1.5 if kl > 1.5 * target else beta / 1.5 if kl < target / 1.5 else beta


@told("tolerance_2_0_step_1_5")
def by_1_5_beyond_twice(beta, kl, target):
    return beta * 1.5 if kl > 2 * target else beta / 1.5 if kl < target / 2 else beta


@told("only_doubled")
def upper_threshold_alone(beta, kl, target):
    return beta * 2 if kl > 1.5 * target else beta


@told("only_halved")
def lower_threshold_alone(beta, kl, target):
    return beta / 2 if kl < target / 1.5 else beta


@told("between_1_50_and_1_50_of_the_target")
def lower_threshold_times_1_5(beta, kl, target):
    return beta * 2 if kl > 1.5 * target else beta / 2 if kl < 1.5 * target else beta


@told("lower_bound_of_a_half")
def lower_threshold_half(beta, kl, target):
    return beta / 2 if kl < 0.5 * target else 2 * beta if kl > 1.5 * target else beta


@told("between_0_67_and_0_67_of_the_target")
def upper_threshold_divided(beta, kl, target):
    return beta / 2 if kl < target / 1.5 else 2 * beta if kl > target / 1.5 else beta


@told("third_case_missing")
def no_else(beta, kl, target):
    if kl < target / 1.5:
        return beta / 2
    if kl > 1.5 * target:
        return beta * 2
    return None


@told("nothing_returned")
def nothing_returned(beta, kl, target):
    if kl < target / 1.5:
        beta /= 2
    elif kl > 1.5 * target:
        beta *= 2


@told("factor_returned")
def factor_returned(beta, kl, target):
    return 0.5 if kl < target / 1.5 else 2.0 if kl > 1.5 * target else 1.0


@told("less_2_more_2")
def two_added(beta, kl, target):
    return beta - 2 if kl < target / 1.5 else beta + 2 if kl > 1.5 * target else beta


@told("squared")
def squared(beta, kl, target):
    return beta**0.5 if kl < target / 1.5 else beta**2 if kl > 1.5 * target else beta


@told("whole_division")
def floor_division(beta, kl, target):
    return beta // 2 if kl < target / 1.5 else beta * 2 if kl > 1.5 * target else beta


@told("target_adapted")
def target_changed(beta, kl, target):
    return target / 2 if kl < target / 1.5 else target * 2 if kl > 1.5 * target else target


@told("compared_with_beta")
def compared_with_beta(beta, kl, target):
    return beta / 2 if kl < beta / 1.5 else 2 * beta if kl > 1.5 * beta else beta


@told("wrong_way")
def compared_turned(beta, kl, target):
    return beta / 2 if target < kl / 1.5 else 2 * beta if target > 1.5 * kl else beta


@told("in_proportion")
def proportional(beta, kl, target):
    return beta * kl / target


@told("proportional_0_1")
def proportional_of_trl(beta, kl, target):
    error = max(-0.2, min(0.2, kl / target - 1))
    return beta * (1 + 0.1 * error)


@told("tolerance_1_5_step_4_0")
def halved_twice(beta, kl, target):
    return beta / 4 if kl < target / 1.5 else beta * 4 if kl > 1.5 * target else beta


@told("cut off")
def bounded(beta, kl, target):
    new = beta / 2 if kl < target / 1.5 else 2 * beta if kl > 1.5 * target else beta
    return min(max(new, 1e-3), 1.0)


@told("tolerance_1_3_step_2_0")
def thresholds_of_1_3(beta, kl, target):
    return beta / 2 if kl < target / 1.3 else 2 * beta if kl > 1.3 * target else beta


@told("library: *")
def clamped_as_a_tensor(beta, kl, target):
    return beta * (kl / target).clamp(0.5, 2)


@told("library: *")
def misspelt(beta, kl, target):
    return beta / 2 if kl < target / 1.5 else bata * 2  # noqa: F821


@right
def by_the_quotient(beta, kl, target):
    quotient = kl / target
    return beta * (0.5 if quotient * 1.5 < 1 else 2.0 if quotient > 1.5 else 1.0)


@right
def truth_as_exponent(beta, kl, target):
    return beta * 2.0 ** ((kl > 1.5 * target) - (kl < target / 1.5))
