"""First tries at `categorical_kl`."""

import torch
import torch.nn.functional as F  # noqa: N812
from torch.distributions import Categorical, kl_divergence

from . import right, told


def _logs(logits, ref_logits):
    return logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)


@told("as_the_formula_stands")
def as_in_the_book(logits, ref_logits):
    logp, ref_logp = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


@told("zero_times_infinity")
def as_in_the_book_detached(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


@told("swapped")
def the_other_direction(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (ref_logp.exp() * (ref_logp - logp)).sum(-1)


@told("weighted_by_the_reference")
def weighted_by_ref(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (ref_logp.exp() * (logp - ref_logp)).sum(-1)


@told("zero_times_infinity")
def kl_div_of_torch(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return F.kl_div(ref_logp, logp, log_target=True, reduction="none").sum(-1)


@told("swapped")
def kl_div_of_torch_turned(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return F.kl_div(logp, ref_logp, log_target=True, reduction="none").sum(-1)


@told("probability_subtracted")
def kl_div_of_torch_with_probabilities(logits, ref_logits):
    p, q = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return F.kl_div(q, p, reduction="none").sum(-1)


@told("swapped_and_reduced_to_the_mean")
def kl_div_of_torch_as_it_comes(logits, ref_logits):
    return F.kl_div(logits.log_softmax(-1), ref_logits.detach().softmax(-1))


@told("library_loss")
def kl_div_of_torch_batchmean(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return F.kl_div(ref_logp, logp.exp(), reduction="batchmean")


@told("library_function")
def kl_of_distributions(logits, ref_logits):
    return kl_divergence(Categorical(logits=logits), Categorical(logits=ref_logits.detach()))


@told("replaced_too_late")
def zero_outside_alone(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    term = logp.exp() * (logp - ref_logp)
    return torch.where(logp.isneginf(), 0, term).sum(-1)


@told("nan_to_num_too_late")
def nan_to_num_of_terms(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return torch.nan_to_num(logp.exp() * (logp - ref_logp)).sum(-1)


@told("infinite_logarithms_made_finite")
def nan_made_zero(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp).nan_to_num(nan=0.0, neginf=0.0)).sum(-1)


@told("replaced_too_late")
def nansum(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).nansum(-1)


@told("not summed")
def not_summed(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return logp.exp() * (logp - ref_logp)


@told("averaged")
def averaged_over_the_vocab(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).mean(-1)


@told("summed_over_everything")
def summed_over_all(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).sum()


@told("log_ratios_averaged")
def plain_mean_of_log_ratios(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp - ref_logp).mean(-1)


@told("log_ratios_unweighted")
def plain_sum_of_log_ratios(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp - ref_logp).sum(-1)


@told("raw_logits")
def raw_logits_subtracted(logits, ref_logits):
    return (logits.softmax(-1) * (logits - ref_logits.detach())).sum(-1)


@told("logits_taken_for_logarithms")
def logits_as_log_probabilities(logits, ref_logits):
    return (logits.exp() * (logits - ref_logits.detach())).sum(-1)


@told("logits_taken_for_probabilities")
def logits_as_probabilities(logits, ref_logits):
    return (logits * (logits.log() - ref_logits.detach().log())).sum(-1)


@told("weight_detached", "zero_times_infinity")
def weight_detached(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp().detach() * (logp - ref_logp)).sum(-1)


@told("cross_entropy")
def cross_entropy(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return -(logp.exp() * ref_logp).sum(-1)


@told("negated")
def negative(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (ref_logp - logp)).sum(-1)


@told("ratio_of_logs")
def ratio_of_logs(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp / ref_logp)).sum(-1)


@told("ratios_weighed")
def ratio_without_log(logits, ref_logits):
    p, q = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (p * (p / q)).sum(-1)


@told("softmax_then_log")
def log_of_softmax(logits, ref_logits):
    p, q = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (p * (p / q).log()).sum(-1)


@told("epsilon_in_the_logarithm_1e_8")
def constant_inside_the_logs(logits, ref_logits):
    p, q = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (p * ((p + 1e-8).log() - (q + 1e-8).log())).sum(-1)


@told("probabilities_clamped_at_1e_10")
def probabilities_clamped(logits, ref_logits):
    p, q = logits.softmax(-1).clamp(min=1e-10), ref_logits.detach().softmax(-1).clamp(min=1e-10)
    return (p * (p.log() - q.log())).sum(-1)


@told("large_number_for_infinity_1e_4")
def logits_clamped(logits, ref_logits):
    logp, ref_logp = _logs(logits.clamp(min=-1e4), ref_logits.clamp(min=-1e4))
    return (logp.exp() * (logp - ref_logp)).sum(-1)


@told("either_left_out")
def skipped_where_ref_is_zero(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    both = ~(logp.isneginf() | ref_logp.isneginf())
    d = torch.where(both, logp, 0) - torch.where(both, ref_logp, 0)
    return (torch.where(both, logp, -torch.inf).exp() * d).sum(-1)


@told("each_infinity_made_certain")
def each_where_it_is_infinite(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    logp = torch.where(logp == -torch.inf, 0.0, logp)
    ref_logp = torch.where(ref_logp == -torch.inf, 0.0, ref_logp)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


@told("each_infinity_made_zero")
def each_where_it_is_infinite_with_the_first_weight(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    log, ref_log = (x.masked_fill(x.isneginf(), 0.0) for x in (logp, ref_logp))
    return (logp.exp() * (log - ref_log)).sum(-1)


@told("policy_infinity_made_certain")
def the_policy_s_alone_replaced(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    logp = torch.where(logp == -torch.inf, 0.0, logp)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


@told("over_the_first_axis")
def softmax_over_the_first_axis(logits, ref_logits):
    logp, ref_logp = logits.log_softmax(0), ref_logits.detach().log_softmax(0)
    return (logp.exp() * (logp - ref_logp)).sum(0)


@told("reference_not_constant")
def ref_not_detached(logits, ref_logits):
    logp, ref_logp = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    here = logp > -torch.inf
    d = torch.where(here, logp, 0) - torch.where(here, ref_logp, 0)
    return (logp.exp() * d).sum(-1)


@told("mean_of_both_directions")
def symmetric(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return ((logp.exp() - ref_logp.exp()) * (logp - ref_logp)).sum(-1) / 2


@told("compared_with_the_mixture")
def jensen_shannon(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    p, q = logp.exp(), ref_logp.exp()
    m = ((p + q) / 2).log()
    return (torch.xlogy(p, p) + torch.xlogy(q, q) - (p + q) * m).sum(-1) / 2


@told("total_variation")
def total_variation(logits, ref_logits):
    return (logits.softmax(-1) - ref_logits.detach().softmax(-1)).abs().sum(-1) / 2


@told("absolute_log_ratios")
def absolute_terms(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).abs().sum(-1)


@told("k3_weighed", "zero_times_infinity")
def k3_in_expectation(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * ((ref_logp - logp).exp() - 1 - (ref_logp - logp))).sum(-1)


@told("k2_weighed")
def k2_in_expectation(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * 0.5 * (logp - ref_logp).square()).sum(-1)


@told("in_bits")
def in_base_2(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).sum(-1) / 0.6931471805599453


@told("everything_detached")
def without_a_graph(logits, ref_logits):
    with torch.no_grad():
        return ref_not_detached(logits, ref_logits)


@told("everything_detached")
def policy_detached_throughout(logits, ref_logits):
    return ref_not_detached(logits.detach(), ref_logits)


@told("axis_kept")
def axis_left(logits, ref_logits):
    return ref_not_detached(logits, ref_logits.detach()).unsqueeze(-1)


@told("library: *")
def misspelled_softmax(logits, ref_logits):
    p = logits.soft_max(-1)
    return (p * (p.log() - ref_logits.soft_max(-1).log())).sum(-1)


@told("library: *")
def kl_div_misused(logits, ref_logits):
    return F.kl_div(logits, ref_logits, log_target=True, reduction="none", dim=-1)


@right
def terms_where_the_policy_is(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    here = ~logp.isneginf()
    d = logp.masked_fill(~here, 0) - ref_logp.masked_fill(~here, 0)
    return (logp.masked_fill(~here, 0).exp() * here * d).sum(-1)


@right
def cross_entropy_minus_entropy(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    gone = logp.isneginf()
    p = logp.exp()
    cross = -(p * ref_logp.masked_fill(gone, 0)).sum(-1)
    return cross + (p * logp.masked_fill(gone, 0)).sum(-1)
