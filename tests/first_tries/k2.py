"""First tries at `k2`."""

import torch
import torch.nn.functional as F  # noqa: N812

from helpers.reference import k1

from . import right, told


@told("half_forgotten")
def without_the_half(logp, ref_logp):
    return (logp - ref_logp.detach()) ** 2


@told("library: *")
def caret_for_a_power(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp) ^ 2


@told("square_forgotten")
def not_squared(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp)


@told("k1_in_its_place")
def doubled_in_place_of_squared(logp, ref_logp):
    return 0.5 * (logp - ref_logp.detach()) * 2


@told("half_squared")
def half_squared_too(logp, ref_logp):
    return (0.5 * (logp - ref_logp.detach())) ** 2


@told("absolute_in_place_of_square")
def root_of_the_square(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).square().sqrt()


@told("absolute_in_place_of_square")
def absolute(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).abs()


@told("difference_of_squares")
def difference_of_squares(logp, ref_logp):
    return 0.5 * (logp**2 - ref_logp.detach() ** 2)


@told("logarithms_added")
def sum_squared(logp, ref_logp):
    return 0.5 * (logp + ref_logp.detach()) ** 2


@told("squared_ratio_of_the_policy")
def ratio_minus_1_squared(logp, ref_logp):
    return 0.5 * (torch.exp(logp - ref_logp.detach()) - 1) ** 2


@told("whole_ratio_squared")
def ratio_squared(logp, ref_logp):
    return 0.5 * torch.exp(logp - ref_logp.detach()) ** 2


@told("probabilities_subtracted")
def probabilities_squared(logp, ref_logp):
    return 0.5 * (logp.exp() - ref_logp.detach().exp()) ** 2


@told("quotient_squared")
def quotient_squared(logp, ref_logp):
    return 0.5 * (logp / ref_logp.detach()) ** 2


@told("logarithm_of_a_quotient_squared")
def log_squared(logp, ref_logp):
    return 0.5 * torch.log(logp / ref_logp.detach()) ** 2


@told("sum")
def summed(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).square().sum()


@told("averaged")
def averaged(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).square().mean()


@told("row means")
def averaged_over_the_last_axis(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).square().mean(-1)


@told("averaged")
def mse_loss(logp, ref_logp):
    return 0.5 * F.mse_loss(logp, ref_logp.detach())


@told("with_smooth_l1")
def smooth_l1_loss(logp, ref_logp):
    return F.smooth_l1_loss(logp, ref_logp.detach(), reduction="none")


@told("reference_moves")
def ref_not_detached(logp, ref_logp):
    return 0.5 * (logp - ref_logp) ** 2


@told("policy_detached")
def policy_detached(logp, ref_logp):
    return 0.5 * (logp.detach() - ref_logp) ** 2


@told("everything_detached")
def all_detached(logp, ref_logp):
    return (0.5 * (logp - ref_logp) ** 2).detach()


@told("one_factor_detached")
def one_factor_detached(logp, ref_logp):
    d = logp - ref_logp.detach()
    return 0.5 * d * d.detach()


@told("one_factor_detached_and_no_half", "half_forgotten")
def one_factor_detached_without_the_half(logp, ref_logp):
    d = logp - ref_logp.detach()
    return d * d.detach()


@told("k3_in_its_place")
def k3_instead(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) - d


@told("negated_square")
def negative(logp, ref_logp):
    return -0.5 * k1(logp, ref_logp) ** 2


@told("square_with_its_sign")
def signed(logp, ref_logp):
    d = k1(logp, ref_logp)
    return 0.5 * d * d.abs()


@told("nothing_compared")
def whole_number_half(logp, ref_logp):
    return (1 // 2) * k1(logp, ref_logp) ** 2


@told("half_squared")
def divided_by_4(logp, ref_logp):
    return (k1(logp, ref_logp) / 2) ** 2


@told("cubed")
def cubed(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp) ** 3


@told("power_of_two")
def base_and_exponent_swapped(logp, ref_logp):
    return 0.5 * 2 ** k1(logp, ref_logp)


@told("log_ratio_clamped_at_1", "cut off")
def clamped(logp, ref_logp):
    return 0.5 * k1(logp, ref_logp).clamp(-1, 1) ** 2


@told("weighted_by_the_policy")
def weighted_by_the_policy(logp, ref_logp):
    return 0.5 * logp.exp() * k1(logp, ref_logp) ** 2


@told("mean_taken_away")
def deviation_from_the_mean(logp, ref_logp):
    d = k1(logp, ref_logp)
    return 0.5 * (d - d.mean()) ** 2


@told("half_added")
def half_added(logp, ref_logp):
    return 0.5 + k1(logp, ref_logp) ** 2


@told("root_of_the_size")
def power_of_a_half(logp, ref_logp):
    return k1(logp, ref_logp).abs() ** 0.5


@told("library: *")
def square_of_a_module(logp, ref_logp):
    return 0.5 * torch.sqr(logp - ref_logp)


@right
def turned_inside(logp, ref_logp):
    return (ref_logp.detach() - logp).pow(2) / 2


@right
def by_the_binomial(logp, ref_logp):
    d = logp - ref_logp.detach()
    return torch.lerp(torch.zeros_like(d), d * d, 0.5)
