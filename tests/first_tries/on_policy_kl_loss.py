"""First tries at `on_policy_kl_loss`."""

import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from . import right, told


@told("k1_itself")
def log_ratio(logp, ref_logp):
    return logp - ref_logp.detach()


@told("k1_itself")
def log_ratio_turned(logp, ref_logp):
    return ref_logp.detach() - logp


@told("reference_forgotten")
def wrong_factor_detached(logp, ref_logp):
    return (logp - ref_logp.detach()) * logp.detach()


@told("weight_differentiated")
def log_ratio_times_logp(logp, ref_logp):
    return (logp - ref_logp.detach()) * logp


@told("k3_itself")
def k3_of_trl(logp, ref_logp):
    delta = ref_logp.detach() - logp
    return delta.exp() - delta - 1


@told("k3_clamped")
def k3_clamped_of_verl(logp, ref_logp):
    delta = (ref_logp.detach() - logp).clamp(-20, 20)
    return (delta.exp() - delta - 1).clamp(-10, 10)


@told("k3_turned_round")
def k3_of_cleanrl(logp, ref_logp):
    logratio = logp - ref_logp.detach()
    return logratio.exp() - 1 - logratio


@told("twice")
def squared_without_the_half(logp, ref_logp):
    return (logp - ref_logp.detach()) ** 2


@told("absolute_log_ratio")
def absolute(logp, ref_logp):
    return (logp - ref_logp.detach()).abs()


@told("everything_detached")
def everything_detached(logp, ref_logp):
    return (logp - ref_logp).detach()


@told("everything_detached")
def square_detached(logp, ref_logp):
    return 0.5 * (logp - ref_logp).detach() ** 2


@told("weighted_by_the_policy")
def weighed_by_the_policy(logp, ref_logp):
    return logp.exp() * (logp - ref_logp.detach())


@told("k1_weighted_by_a_constant")
def weighed_by_the_policy_held_constant(logp, ref_logp):
    return logp.exp().detach() * (logp - ref_logp.detach())


@told("weighted_by_the_policy")
def kl_div(logp, ref_logp):
    return F.kl_div(ref_logp.detach(), logp, log_target=True, reduction="none")


@told("weighted_by_the_reference")
def kl_div_the_other_way(logp, ref_logp):
    return F.kl_div(logp, ref_logp.detach(), log_target=True, reduction="none")


@told("summed_as_over_the_vocabulary", "averaged", "added_up")
def kl_div_summed(logp, ref_logp):
    return F.kl_div(ref_logp.detach(), logp, log_target=True, reduction="sum")


@told("k1_itself")
def logp_alone(logp, ref_logp):
    return logp


@told("reference_forgotten")
def entropy_alone(logp, ref_logp):
    return logp * logp.detach()


@told("entropy_forgotten")
def cross_entropy_alone(logp, ref_logp):
    return -logp * ref_logp.detach()


@told("negated")
def score_function_negated(logp, ref_logp):
    return -logp * (logp - ref_logp).detach()


@told("reference_moves")
def reference_left_open(logp, ref_logp):
    return 0.5 * (logp - ref_logp) ** 2


@told("score_form_with_a_moving_reference", "reference_moves")
def score_function_with_reference_left_open(logp, ref_logp):
    return logp * (logp.detach() - ref_logp)


@told("averaged", "added_up")
def averaged(logp, ref_logp):
    return (0.5 * (logp - ref_logp.detach()) ** 2).mean()


@told("averaged", "added_up", "last_axis_summed")
def summed(logp, ref_logp):
    return (0.5 * (logp - ref_logp.detach()) ** 2).sum(-1)


@told("k3_turned_round")
def ratio(logp, ref_logp):
    return (logp - ref_logp.detach()).exp()


@told("ratio_to_the_reference")
def ratio_times_log_ratio(logp, ref_logp):
    log_ratio = logp - ref_logp.detach()
    return log_ratio.exp() * log_ratio


@told("weighted_by_the_reference")
def weighed_by_the_reference(logp, ref_logp):
    return ref_logp.exp().detach() * (ref_logp.detach() - logp)


@told("weight_bounded_1")
def huber(logp, ref_logp):
    return F.smooth_l1_loss(logp, ref_logp.detach(), reduction="none")


@told("weight_bounded_0_1")
def huber_of_a_tenth(logp, ref_logp):
    return F.huber_loss(logp, ref_logp.detach(), reduction="none", delta=0.1)


@told("averaged", "added_up")
def mean_squared_error(logp, ref_logp):
    return F.mse_loss(logp, ref_logp.detach())


@told("normalised_again")
def log_ratio_less_its_mean(logp, ref_logp):
    log_ratio = (logp - ref_logp).detach()
    return logp * (log_ratio - log_ratio.mean(-1, keepdim=True))


@told("policy_detached")
def squared_of_reference_alone(logp, ref_logp):
    return 0.5 * (logp.detach() - ref_logp) ** 2


@told("library: *")
def old_is_missing(logp, ref_logp):
    return (logp - old_logp).exp() * (logp - ref_logp)  # noqa: F821


@right
def straight_through_of_verl(logp, ref_logp):
    delta = ref_logp.detach() - logp
    k2, k3 = 0.5 * delta**2, delta.expm1() - delta
    return k2 - k2.detach() + k3.detach()


@right
def score_function(logp, ref_logp):
    return logp * (logp - ref_logp).detach()


@right
def k3_weighed_by_a_ratio_of_one(logp, ref_logp):
    delta = ref_logp.detach() - logp
    return (logp - logp.detach()).exp() * (torch.expm1(delta) - delta)
