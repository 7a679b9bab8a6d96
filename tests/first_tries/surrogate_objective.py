"""First tries at `surrogate_objective`."""

import torch

from helpers.reference import importance_ratio, masked_mean

from . import right, told


@told("negated")
def a_loss(logp, old_logp, advantage, mask):
    return -masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)


@told("mask_ignored")
def without_the_mask(logp, old_logp, advantage, mask):
    return (importance_ratio(logp, old_logp) * advantage.detach()).mean()


@told("divided_by_all_places")
def zeros_averaged_too(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp, old_logp) * advantage.detach()
    return torch.where(mask, gain, 0).mean()


@told("multiplied_by_mask")
def multiplied_by_the_mask(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp, old_logp) * advantage.detach()
    return (gain * mask).sum() / mask.sum().clamp(min=1)


@told("nothing_detached", "multiplied_by_mask", "nothing_over_nothing")
def multiplied_by_the_mask_without_a_guard(logp, old_logp, advantage, mask):
    gain = torch.exp(logp - old_logp) * advantage
    return (gain * mask).sum() / mask.sum()


@told("policy_against_itself")
def policy_over_itself(logp, old_logp, advantage, mask):
    return masked_mean(torch.exp(logp - logp.detach()) * advantage.detach(), mask)


@told("log_prob_times_advantage")
def log_probability_times_advantage(logp, old_logp, advantage, mask):
    return masked_mean(logp * advantage.detach(), mask)


@told("log_ratio_times_advantage")
def log_ratio_times_advantage(logp, old_logp, advantage, mask):
    return masked_mean((logp - old_logp.detach()) * advantage.detach(), mask)


@told("clipped_objective")
def clipped(logp, old_logp, advantage, mask):
    ratio, advantage = importance_ratio(logp, old_logp), advantage.detach()
    return masked_mean(torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage), mask)


@told("ratio_clipped")
def ratio_clipped(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp, old_logp).clamp(0.8, 1.2)
    return masked_mean(ratio * advantage.detach(), mask)


@told("old_not_detached", "padding_removed_too_late")
def old_not_detached(logp, old_logp, advantage, mask):
    return masked_mean(torch.exp(logp - old_logp) * advantage.detach(), mask)


@told("advantage_not_detached", "padding_removed_too_late")
def advantage_not_detached(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp) * advantage, mask)


@told("nothing_detached", "padding_removed_too_late")
def nothing_detached(logp, old_logp, advantage, mask):
    return masked_mean(torch.exp(logp - old_logp) * advantage, mask)


@told("everything_detached", "a gradient of advantage")
def ratio_detached(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp).detach() * advantage, mask)


@told("everything_detached")
def without_a_graph(logp, old_logp, advantage, mask):
    with torch.no_grad():
        return masked_mean(importance_ratio(logp, old_logp) * advantage, mask)


@told("mean_of_row_means", "padding_removed_too_late")
def mean_per_response(logp, old_logp, advantage, mask):
    gain = torch.where(mask, importance_ratio(logp, old_logp) * advantage.detach(), 0)
    return (gain.sum(-1) / mask.sum(-1).clamp(min=1)).mean()


@told("summed")
def summed(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp, old_logp) * advantage.detach()
    return torch.where(mask, gain, 0).sum()


@told("divided_by_rows")
def summed_over_time(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp, old_logp) * advantage.detach()
    return torch.where(mask, gain, 0).sum(-1).mean()


@told("one_mean_a_response")
def of_each_response(logp, old_logp, advantage, mask):
    gain = torch.where(mask, importance_ratio(logp, old_logp) * advantage.detach(), 0)
    return gain.sum(-1) / mask.sum(-1).clamp(min=1)


@told("one_number_a_token")
def of_each_token(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp, old_logp) * advantage.detach()
    return torch.where(mask, gain, 0)


@told("inputs_multiplied_by_mask", "multiplied_by_mask")
def mask_times_inputs(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp * mask, old_logp * mask) * advantage.detach() * mask
    return gain.sum() / mask.sum().clamp(min=1)


@told("padding_counted_with_ratio_1", "inputs_multiplied_by_mask")
def mask_times_logs_alone(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp * mask, old_logp * mask)
    return masked_mean(ratio * advantage.detach(), torch.ones_like(mask))


@told("logp_alone_multiplied")
def mask_times_logp_alone(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp * mask, old_logp)
    return masked_mean(ratio * advantage.detach(), mask)


@told("ratio_of_the_tokens_so_far")
def ratios_multiplied_along_the_row(logp, old_logp, advantage, mask):
    d = torch.where(mask, logp - old_logp.detach(), 0)
    return masked_mean(d.cumsum(-1).exp() * advantage.detach(), mask)


@told("nothing_over_nothing")
def inputs_selected(logp, old_logp, advantage, mask):
    ratio = torch.exp(logp[mask] - old_logp[mask].detach())
    return (ratio * advantage[mask].detach()).mean()


@told("library: *")
def ratio_of_selected(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp, old_logp)[mask]
    return masked_mean(ratio * advantage, mask)


@told("standardised_by_the_sample_deviation")
def advantage_normalised(logp, old_logp, advantage, mask):
    kept = advantage.detach()[mask]
    normal = (advantage.detach() - kept.mean()) / (kept.std() + 1e-8)
    return masked_mean(importance_ratio(logp, old_logp) * normal, mask)


@told("advantage_centred")
def advantage_centred(logp, old_logp, advantage, mask):
    centred = advantage.detach() - masked_mean(advantage.detach(), mask)
    return masked_mean(importance_ratio(logp, old_logp) * centred, mask)


@told("ratio_swapped", "importance_ratio_of_old_and_policy")
def ratio_turned(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(old_logp, logp) * advantage.detach(), mask)


@told("ratio_swapped")
def ratio_turned_with_its_gradient(logp, old_logp, advantage, mask):
    return masked_mean(torch.exp(old_logp.detach() - logp) * advantage.detach(), mask)


@told("product_of_means")
def product_of_means(logp, old_logp, advantage, mask):
    ratio = masked_mean(importance_ratio(logp, old_logp), mask)
    return ratio * masked_mean(advantage.detach(), mask)


@told("ratio_of_the_mean_difference")
def ratio_of_means(logp, old_logp, advantage, mask):
    d = masked_mean(logp - old_logp.detach(), mask)
    return d.exp() * masked_mean(advantage.detach(), mask)


@told("cispo_at_1_2")
def cispo(logp, old_logp, advantage, mask):
    weight = importance_ratio(logp, old_logp).detach().clamp(max=1.2)
    return masked_mean(weight * advantage.detach() * logp, mask)


@told("ratio_of_the_response_as_gspo")
def ratio_of_the_response(logp, old_logp, advantage, mask):
    d = torch.where(mask, logp - old_logp.detach(), 0)
    ratio = (d.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)).exp()
    return masked_mean(ratio * advantage.detach(), mask)


@told("advantage_forgotten")
def without_the_advantage(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp), mask)


@told("advantage_added")
def advantage_added(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp) + advantage.detach(), mask)


@told("ratio_less_one")
def ratio_minus_1(logp, old_logp, advantage, mask):
    return masked_mean((importance_ratio(logp, old_logp) - 1) * advantage.detach(), mask)


@told("probability_times_advantage")
def probability_times_advantage(logp, old_logp, advantage, mask):
    return masked_mean(logp.exp() * advantage.detach(), mask)


@told("logs_divided")
def logs_divided(logp, old_logp, advantage, mask):
    return masked_mean(logp / old_logp.detach() * advantage.detach(), mask)


@told("mask_inverted")
def mask_inverted(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), ~mask)


@told("padding_removed_too_late")
def constant_in_the_denominator(logp, old_logp, advantage, mask):
    gain = torch.where(mask, importance_ratio(logp, old_logp) * advantage.detach(), 0)
    return gain.sum() / (mask.sum() + 1e-8)


@right
def gradient_by_hand(logp, old_logp, advantage, mask):
    d = torch.where(mask, logp - old_logp.detach(), 0)
    return (d.exp() * torch.where(mask, advantage.detach(), 0)).sum() / mask.sum().clamp(min=1)


@told("library: *")
def ratio_of_selected_with_zero(logp, old_logp, advantage, mask):
    gain = importance_ratio(logp[mask], old_logp[mask]) * advantage[mask].detach()
    return gain.sum() / max(int(mask.sum()), 1)


@told("inputs_multiplied_then_masked")
def inputs_multiplied_then_averaged(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp * mask, old_logp * mask)
    return masked_mean(ratio * (advantage * mask).detach(), mask)


@told("padding_removed_too_late")
def masked_twice(logp, old_logp, advantage, mask):
    return masked_mean(importance_ratio(logp, old_logp) * advantage.detach() * mask, mask)


@told("multiplied_by_mask", "nothing_over_nothing")
def masked_in_the_ratio(logp, old_logp, advantage, mask):
    ratio = importance_ratio(logp, old_logp) * mask
    return (ratio * advantage.detach()).sum() / mask.sum()


@right
def selected_by_the_mask(logp, old_logp, advantage, mask):
    gain = torch.exp(logp[mask] - old_logp[mask].detach()) * advantage[mask].detach()
    return gain.sum() / max(int(mask.sum()), 1)
