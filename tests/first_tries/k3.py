"""First tries at `k3`."""

import torch

from helpers.reference import k1, k2

from . import right, told


@told("cancellation")
def as_in_the_paper(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) - d - 1


@told("reference_moves", "cancellation")
def as_in_the_paper_not_detached(logp, ref_logp):
    d = ref_logp - logp
    return torch.exp(d) - d - 1


@told("cancellation")
def as_trl_with_a_ratio(logp, ref_logp):
    ratio = torch.exp(ref_logp.detach() - logp)
    return ratio - torch.log(ratio) - 1


@told("ratio_turned_round")
def turned(logp, ref_logp):
    d = logp - ref_logp.detach()
    return torch.expm1(d) - d


@told("ratio_turned_round", "cancellation")
def turned_as_cleanrl(logp, ref_logp):
    logratio = logp - ref_logp.detach()
    return (logratio.exp() - 1) - logratio


@told("expm1_of_the_ratio")
def expm1_of_the_ratio(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d.exp()) - d


@told("logarithm_added")
def log_ratio_added(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) + d


@told("one_forgotten")
def one_forgotten(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) - d


@told("one_subtracted_twice")
def one_subtracted_twice(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) - d - 1


@told("shifted by 2")
def one_added(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) - d + 1


@told("logarithm_forgotten")
def log_ratio_forgotten(logp, ref_logp):
    return torch.expm1(ref_logp.detach() - logp)


@told("ratio_alone")
def ratio_alone(logp, ref_logp):
    return torch.exp(ref_logp.detach() - logp)


@told("logarithm_added")
def signs_mixed(logp, ref_logp):
    d = logp - ref_logp.detach()
    return torch.expm1(-d) - d


@told("exponent_turned_round")
def signs_mixed_the_other_way(logp, ref_logp):
    d = logp - ref_logp.detach()
    return torch.expm1(d) + d


@told("negated")
def negative(logp, ref_logp):
    d = ref_logp.detach() - logp
    return d - torch.expm1(d)


@told("value_clamped")
def clamped_as_verl_does(logp, ref_logp):
    d = (ref_logp.detach() - logp).clamp(-20, 20)
    return (torch.expm1(d) - d).clamp(-10, 10)


@told("log_ratio_clamped_at_1")
def clamped_at_1(logp, ref_logp):
    d = (ref_logp.detach() - logp).clamp(-1, 1)
    return torch.expm1(d) - d


@told("cut off")
def result_clamped_at_1(logp, ref_logp):
    d = ref_logp.detach() - logp
    return (torch.expm1(d) - d).clamp(max=1)


@told("reference_moves")
def ref_not_detached(logp, ref_logp):
    d = ref_logp - logp
    return torch.expm1(d) - d


@told("policy_detached")
def policy_detached(logp, ref_logp):
    d = ref_logp - logp.detach()
    return torch.expm1(d) - d


@told("everything_detached")
def all_detached(logp, ref_logp):
    d = ref_logp.detach() - logp.detach()
    return torch.expm1(d) - d


@told("ratio_detached")
def ratio_detached(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d).detach() - d


@told("logarithm_detached")
def second_term_detached(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) - d.detach()


@told("k2_in_its_place")
def k2_instead(logp, ref_logp):
    return k2(logp, ref_logp)


@told("k1_in_place_of_k3")
def k1_instead(logp, ref_logp):
    return k1(logp, ref_logp)


@told("absolute_log_ratio")
def absolute_k1(logp, ref_logp):
    return k1(logp, ref_logp).abs()


@told("cubic")
def two_terms_of_the_series(logp, ref_logp):
    d = ref_logp.detach() - logp
    return d**2 / 2 + d**3 / 6


@told("averaged")
def averaged(logp, ref_logp):
    d = ref_logp.detach() - logp
    return (torch.expm1(d) - d).mean()


@told("row sums")
def summed_over_the_last_axis(logp, ref_logp):
    d = ref_logp.detach() - logp
    return (torch.expm1(d) - d).sum(-1)


@told("quotient_of_logarithms")
def quotient_of_logs(logp, ref_logp):
    r = ref_logp.detach() / logp
    return r - torch.log(r) - 1


@told("quotient_of_logarithms_less_delta")
def quotient_of_logs_for_the_ratio(logp, ref_logp):
    d = ref_logp.detach() - logp
    return ref_logp.detach() / logp - 1 - d


@told("weighted_by_the_ratio")
def weighted_by_the_ratio(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(logp - ref_logp.detach()) * (torch.expm1(d) - d)


@told("k3_weighted_by_the_policy")
def weighted_by_the_policy(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(logp) * (torch.expm1(d) - d)


@told("multiplied")
def multiplied(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.expm1(d) * d


@told("of_the_other_tokens")
def ratio_times_log_ratio(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) * d - torch.expm1(d)


@told("cancellation")
def never_below_zero_by_a_clamp(logp, ref_logp):
    d = ref_logp.detach() - logp
    return (torch.exp(d) - d - 1).clamp(min=0)


@told("cancellation")
def only_the_plus_one_moved(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) - (d + 1)


@told("through_probabilities")
def probabilities_divided_then_paper(logp, ref_logp):
    r = ref_logp.detach().exp() / logp.exp()
    return r - 1 - torch.log(r)


@told("ratio_squared")
def squared_ratio(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d) ** 2 - 1 - d


@told("halved")
def halved(logp, ref_logp):
    d = ref_logp.detach() - logp
    return 0.5 * (torch.expm1(d) - d)


@told("power_of_two")
def power_of_2(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp2(d) - 1 - d


@told("log1p_taken")
def log1p_in_place_of_expm1(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.log1p(d) - d


@told("one_in_the_exponent")
def exponential_of_all(logp, ref_logp):
    d = ref_logp.detach() - logp
    return torch.exp(d - 1) - d


@told("library: *")
def exp1m_misspelled(logp, ref_logp):
    return torch.exp1m(ref_logp - logp) - (ref_logp - logp)


@right
def through_log_ratio(logp, ref_logp):
    d = logp - ref_logp.detach()
    return d + torch.expm1(-d)


@right
def series_for_small_ones(logp, ref_logp):
    d = ref_logp.detach() - logp
    small = d.abs() < 1e-3
    series = d**2 / 2 + d**3 / 6 + d**4 / 24
    return torch.where(small, series, torch.expm1(torch.where(small, 0, d)) - d)
