"""First tries at `off_policy_kl_loss`."""

from torch.nn import functional as F  # noqa: N812, its usual name

from . import right, told


def _ratio(logp, old_logp):
    return (logp - old_logp.detach()).exp()


def _k3(logp, ref_logp):
    delta = ref_logp.detach() - logp
    return delta.expm1() - delta


@told("quotient_of_logarithms")
def quotient_of_logarithms(logp, old_logp, ref_logp):
    return logp / old_logp.detach() * (logp - ref_logp.detach())


@told("logarithm_of_the_ratio")
def difference_as_ratio(logp, old_logp, ref_logp):
    return (logp - old_logp.detach()) * (logp - ref_logp.detach())


@told("ratio_forgotten")
def log_ratio_alone(logp, old_logp, ref_logp):
    return logp - ref_logp.detach()


@told("k2_without_the_ratio")
def k2_alone(logp, old_logp, ref_logp):
    return 0.5 * (logp - ref_logp.detach()) ** 2


@told("k3_without_the_ratio")
def k3_alone(logp, old_logp, ref_logp):
    return _k3(logp, ref_logp)


@told("score_form_without_the_ratio")
def score_function_alone(logp, old_logp, ref_logp):
    return logp * (logp - ref_logp).detach()


@told("ratio_detached")
def ratio_detached(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).detach() * (logp - ref_logp.detach())


@told("ratio_detached_times_k3")
def ratio_detached_times_k3(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).detach() * _k3(logp, ref_logp)


@told("k3_detached_beside_the_ratio")
def ratio_times_k3_detached(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * _k3(logp, ref_logp).detach()


@told("constant_ratio_times_k2")
def ratio_detached_times_k2(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).detach() * 0.5 * (logp - ref_logp.detach()) ** 2


@told("ratio_times_k2")
def ratio_times_k2(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * 0.5 * (logp - ref_logp.detach()) ** 2


@told("score_form")
def ratio_times_score_function(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).detach() * logp * (logp - ref_logp).detach()


@told("ratio_turned_round")
def ratio_turned(logp, old_logp, ref_logp):
    return (old_logp.detach() - logp).exp() * (logp - ref_logp.detach())


@told("ratio_to_the_reference")
def ratio_to_ref(logp, old_logp, ref_logp):
    return _ratio(logp, ref_logp) * (logp - ref_logp.detach())


@told("step_in_place_of_drift")
def divergence_from_old(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * (logp - old_logp.detach())


@told("ratio_clipped")
def ratio_clipped(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).clamp(0.8, 1.2) * (logp - ref_logp.detach())


@told("ratio_truncated")
def ratio_truncated_at_two(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).clamp(max=2.0) * (logp - ref_logp.detach())


@told("ratio_truncated_beside_k3")
def ratio_truncated_at_two_times_k3(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp).clamp(max=2.0) * _k3(logp, ref_logp)


@told("negated")
def log_ratio_negated(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * (ref_logp.detach() - logp)


@told("probability_as_weight")
def weighed_by_the_policy(logp, old_logp, ref_logp):
    return logp.exp() * (logp - ref_logp.detach())


@told("probability_of_old_as_weight")
def weighed_by_old(logp, old_logp, ref_logp):
    return old_logp.exp().detach() * (logp - ref_logp.detach())


@told("drift_of_old")
def old_against_ref(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * (old_logp - ref_logp).detach()


@told("drift_of_old_alone")
def old_against_ref_alone(logp, old_logp, ref_logp):
    return (old_logp - ref_logp).detach()


@told("ratio_to_itself")
def ratio_of_one(logp, old_logp, ref_logp):
    return (logp - logp.detach()).exp() * (logp - ref_logp.detach())


@told("ratio_alone")
def ratio_alone(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp)


@told("reference_moves")
def reference_left_open(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * (logp - ref_logp)


@told("old_moves")
def old_left_open(logp, old_logp, ref_logp):
    return (logp - old_logp).exp() * (logp - ref_logp.detach())


@told("both_constants_move")
def both_left_open(logp, old_logp, ref_logp):
    return (logp - old_logp).exp() * (logp - ref_logp)


@told("everything_detached")
def everything_detached(logp, old_logp, ref_logp):
    return (_ratio(logp, old_logp) * (logp - ref_logp)).detach()


@told("averaged")
def averaged(logp, old_logp, ref_logp):
    return (_ratio(logp, old_logp) * (logp - ref_logp.detach())).mean()


@told("ratio_normalised")
def ratio_normalised(logp, old_logp, ref_logp):
    ratio = _ratio(logp, old_logp)
    return ratio / ratio.mean(-1, keepdim=True) * (logp - ref_logp.detach())


@told("k3_turned_round")
def k3_backwards(logp, old_logp, ref_logp):
    delta = logp - ref_logp.detach()
    return _ratio(logp, old_logp) * (delta.expm1() - delta)


@told("probability_as_weight")
def kl_div(logp, old_logp, ref_logp):
    return F.kl_div(ref_logp.detach(), logp, log_target=True, reduction="none")


@told("ratio_added")
def ratio_added(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) + (logp - ref_logp.detach())


@told("ratio_forgotten")
def log_ratio_times_log_ratio_of_old(logp, old_logp, ref_logp):
    return (logp - old_logp.detach()) + (old_logp - ref_logp).detach()


@told("library: *")
def misspelt(logp, old_logp, ref_logp):
    return (logp - logp_old).exp() * (logp - ref_logp)  # noqa: F821


@right
def k3_weighed(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * _k3(logp, ref_logp)


@right
def log_ratio_held_constant(logp, old_logp, ref_logp):
    return _ratio(logp, old_logp) * (logp - ref_logp).detach()
