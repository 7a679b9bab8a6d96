"""First tries at `sequence_log_ratio`."""

import torch

from helpers.reference import masked_mean

from . import right, told


def _real(logp, ref_logp, mask):
    return torch.where(mask, logp - ref_logp.detach(), 0)


@told("mean_over_tokens")
def averaged_over_tokens(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1) / mask.sum(-1).clamp(min=1)


@told("divided_by_all_places")
def averaged_over_the_length(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).mean(-1)


@told("multiplied_by_the_mask")
def multiplied_by_the_mask(logp, ref_logp, mask):
    return ((logp - ref_logp.detach()) * mask).sum(-1)


@told("reference_moves", "multiplied_by_the_mask")
def each_multiplied_by_the_mask(logp, ref_logp, mask):
    return (logp * mask).sum(-1) - (ref_logp * mask).sum(-1)


@told("padding_counted")
def without_the_mask(logp, ref_logp, mask):
    return (logp - ref_logp.detach()).sum(-1)


@told("ref_minus_policy")
def turned(logp, ref_logp, mask):
    return -_real(logp, ref_logp, mask).sum(-1)


@told("summed_over_the_batch")
def summed_over_all(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum()


@told("summed_over_the_batch")
def selected_and_summed(logp, ref_logp, mask):
    return (logp[mask] - ref_logp[mask].detach()).sum()


@told("summed_over_rows")
def summed_over_the_batch(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(0)


@told("sum_of_ratios")
def sum_of_ratios(logp, ref_logp, mask):
    return torch.where(mask, torch.exp(logp - ref_logp.detach()), 0).sum(-1)


@told("ratio_of_probabilities")
def ratio_of_the_response(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1).exp()


@told("ratio_of_probabilities")
def product_of_ratios(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).exp().prod(-1)


@told("reference_moves")
def ref_not_detached(logp, ref_logp, mask):
    return torch.where(mask, logp - ref_logp, 0).sum(-1)


@told("everything_detached")
def without_a_graph(logp, ref_logp, mask):
    with torch.no_grad():
        return _real(logp, ref_logp, mask).sum(-1)


@told("everything_detached")
def all_detached(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1).detach()


@told("absolute")
def absolute(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1).abs()


@told("absolute_values")
def absolute_tokens(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).abs().sum(-1)


@told("clamped_at_zero")
def never_below_zero(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1).clamp(min=0)


@told("negative_tokens_left_out")
def tokens_never_below_zero(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).clamp(min=0).sum(-1)


@told("not summed")
def not_summed(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask)


@told("running_sum")
def cumulated(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).cumsum(-1)


@told("axis_kept")
def axis_kept(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).sum(-1, keepdim=True)


@told("sum_of_k2")
def k2_summed(logp, ref_logp, mask):
    return 0.5 * _real(logp, ref_logp, mask).square().sum(-1)


@told("sum_of_k3")
def k3_summed(logp, ref_logp, mask):
    d = -_real(logp, ref_logp, mask)
    return (d.expm1() - d).sum(-1)


@told("quotient_of_sums")
def ratio_of_log_probabilities(logp, ref_logp, mask):
    return torch.where(mask, logp, 0).sum(-1) / torch.where(mask, ref_logp.detach(), 0).sum(-1)


@told("weighted_by_the_policy")
def weighted_by_probability(logp, ref_logp, mask):
    return torch.where(mask, logp.exp() * (logp - ref_logp.detach()), 0).sum(-1)


@told("mean_of_the_whole_batch")
def masked_mean_of_all(logp, ref_logp, mask):
    return masked_mean(logp - ref_logp.detach(), mask)


@told("mask_inverted")
def inverted(logp, ref_logp, mask):
    return torch.where(mask, 0, logp - ref_logp.detach()).sum(-1)


@told("library: *")
def selected_and_viewed(logp, ref_logp, mask):
    return (logp - ref_logp)[mask].view(mask.shape[0], -1).sum(-1)


@told("library: *")
def mask_cut(logp, ref_logp, mask):
    return ((logp - ref_logp) * mask[:, 1:]).sum(-1)


@told("library: *")
def masked_by_a_list(logp, ref_logp, mask):
    return (logp - ref_logp).masked_sum(mask)


@told("last_place_alone")
def only_the_last_token(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask)[:, -1]


@told("last_real_token_alone")
def only_the_last_real_token(logp, ref_logp, mask):
    places = torch.arange(mask.shape[1]).expand_as(mask)
    last = torch.where(mask, places, 0).max(-1, keepdim=True).values
    return _real(logp, ref_logp, mask).gather(-1, last).squeeze(-1)


@told("shifted_again")
def first_token_left_out(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask)[:, 1:].sum(-1)


@told("last_place_dropped")
def last_token_left_out(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask)[:, :-1].sum(-1)


@told("only_the_reference_masked")
def only_ref_masked(logp, ref_logp, mask):
    return logp.sum(-1) - torch.where(mask, ref_logp.detach(), 0).sum(-1)


@told("only_the_policy_masked")
def only_the_policy_masked(logp, ref_logp, mask):
    return torch.where(mask, logp, 0).sum(-1) - ref_logp.detach().sum(-1)


@told("difference_of_logsumexp")
def logsumexp_of_each(logp, ref_logp, mask):
    here = logp.masked_fill(~mask, -torch.inf).logsumexp(-1)
    return here - ref_logp.detach().masked_fill(~mask, -torch.inf).logsumexp(-1)


@told("reference_forgotten")
def policy_alone(logp, ref_logp, mask):
    return torch.where(mask, logp, 0).sum(-1)


@told("logp_changed_in_place")
def filled_in_place(logp, ref_logp, mask):
    logp.masked_fill_(~mask, 0)
    return (logp - ref_logp.detach().masked_fill(~mask, 0)).sum(-1)


@told("log_ratio_clamped_at_1")
def tokens_clamped(logp, ref_logp, mask):
    return _real(logp, ref_logp, mask).clamp(-1, 1).sum(-1)


@told("logarithms_multiplied")
def sum_of_products(logp, ref_logp, mask):
    return torch.where(mask, logp * ref_logp.detach(), 0).sum(-1)


@told("logarithms_added")
def logs_added(logp, ref_logp, mask):
    return torch.where(mask, logp + ref_logp.detach(), 0).sum(-1)


@right
def difference_of_sums(logp, ref_logp, mask):
    return logp.masked_fill(~mask, 0).sum(1) - ref_logp.detach().masked_fill(~mask, 0).sum(1)


@right
def padding_made_equal(logp, ref_logp, mask):
    return (logp - ref_logp.detach().where(mask, logp.detach())).masked_fill(~mask, 0).sum(-1)
