"""First tries at `penalized_loss`."""

import torch

from helpers.reference import masked_mean

from . import right, told


@right
def selected_tokens(logp, old_logp, advantage, kl, mask, beta):
    if not mask.any():
        return logp.new_zeros(())
    ratio = (logp[mask] - old_logp[mask].detach()).exp()
    return -(ratio * advantage[mask].detach() - beta * kl[mask]).mean()


@right
def with_masked_mean(logp, old_logp, advantage, kl, mask, beta):
    gap = torch.where(mask, logp - old_logp.detach(), torch.zeros_like(logp))
    gain = gap.exp() * torch.where(mask, advantage.detach(), 0.0)
    return beta * masked_mean(kl, mask) - masked_mean(gain, mask)


@told("mask_multiplied")
def mask_times_everything(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.exp(logp - old_logp.detach())
    gain = ratio * advantage.detach() - beta * kl
    return -(gain * mask).sum() / mask.sum().clamp(min=1)


@told("mask_multiplied")
def mask_times_inputs(logp, old_logp, advantage, kl, mask, beta):
    m = mask.float()
    ratio = torch.exp((logp - old_logp.detach()) * m)
    return -((ratio * advantage.detach() - beta * kl) * m).sum() / m.sum().clamp(min=1)


@told("mask_multiplied")
def mask_times_each_input(logp, old_logp, advantage, kl, mask, beta):
    logp, old_logp, advantage, kl = (x * mask for x in (logp, old_logp, advantage, kl))
    ratio = torch.exp(logp - old_logp.detach())
    gain = ratio * advantage.detach() - beta * kl
    return -gain.sum() / mask.sum().clamp(min=1)


@told("objective_returned", "mean_of_the_chosen")
def maximised(logp, old_logp, advantage, kl, mask, beta):
    ratio = (logp - old_logp.detach())[mask].exp()
    return (ratio * advantage.detach()[mask] - beta * kl[mask]).mean()


@told("divergence_rewarded")
def kl_with_wrong_sign(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() + beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("divided_by_all_places")
def mean_of_all_positions(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    return -torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0).mean()


@told("summed")
def sum_of_tokens(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    return -torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0).sum()


@told("mean_of_means")
def mean_per_sequence(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -(gain.sum(1) / mask.sum(1).clamp(min=1)).mean()


@told("divided_by_all_places")
def constant_horizon(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -(gain.sum(1) / mask.shape[1]).mean()


@told("ratio_forgotten")
def logp_in_place_of_ratio(logp, old_logp, advantage, kl, mask, beta):
    gain = torch.where(mask, logp * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("loss_quotient_of_logarithms")
def quotient_of_logs(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp / old_logp.detach(), 1.0)
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("log_ratio_used")
def log_ratio_without_exp(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0)
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("nothing_detached", "old_not_constant", "advantage_not_constant")
def old_not_detached(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp, 0.0).exp()
    gain = torch.where(mask, ratio * advantage - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("penalty_a_constant_in_the_advantage")
def kl_detached(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * (advantage - beta * kl).detach(), 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("penalty_inside_the_advantage")
def penalty_times_ratio(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * (advantage.detach() - beta * kl), 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("beta_forgotten")
def forgot_beta(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("own_estimate_of_kl")
def kl_estimated_from_samples(logp, old_logp, advantage, kl, mask, beta):
    gap = torch.where(mask, logp - old_logp.detach(), 0.0)
    gain = torch.where(mask, gap.exp() * advantage.detach() - beta * gap, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("divergence_rewarded")
def minus_on_the_first_term_only(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    loss = torch.where(mask, -ratio * advantage.detach() - beta * kl, 0.0)
    return loss.sum() / mask.sum().clamp(min=1)


@told("replaced_too_late")
def nan_to_num_padding(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.exp(logp - old_logp.detach())
    gain = torch.nan_to_num(ratio * advantage.detach() - beta * kl) * mask
    return -gain.sum() / mask.sum().clamp(min=1)


@told("replaced_too_late")
def where_after_exp(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.exp(logp - old_logp.detach())
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("kl_not_masked", "mean_of_the_chosen")
def kl_over_all_positions(logp, old_logp, advantage, kl, mask, beta):
    ratio = (logp[mask] - old_logp[mask].detach()).exp()
    return -((ratio * advantage[mask].detach()).mean() - beta * kl.mean())


@told("mean_of_the_chosen")
def masked_select_mean_of_nothing(logp, old_logp, advantage, kl, mask, beta):
    ratio = (logp[mask] - old_logp[mask].detach()).exp()
    return -(ratio * advantage[mask].detach() - beta * kl[mask]).mean()


@told("nearly")
def small_number_in_the_denominator(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / (mask.sum() + 1e-2)


@told("advantage_normalised_over_tokens")
def normalised_advantages(logp, old_logp, advantage, kl, mask, beta):
    real = advantage[mask].detach()
    centred = (advantage.detach() - real.mean()) / (real.std() + 1e-8)
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * centred - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("library: *")
def missing_function(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.exp(logp - old_logp)
    return -torch.masked_mean(ratio * advantage - beta * kl, mask)


@told("loss_as_a_number")
def python_number(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp, 0.0).exp()
    gain = torch.where(mask, ratio * advantage - beta * kl, 0.0)
    return (-gain.sum() / mask.sum().clamp(min=1)).item()


@told("ratio_detached")
def zero_without_graph(logp, old_logp, advantage, kl, mask, beta):
    ratio = (logp.detach() - old_logp)[mask].exp()
    return -(ratio * advantage[mask] - beta * kl[mask]).sum() / mask.sum().clamp(min=1)


@told("padding_summed")
def padding_in_the_sum(logp, old_logp, advantage, kl, mask, beta):
    gain = torch.exp(logp - old_logp.detach()) * advantage.detach() - beta * kl
    return -gain.sum() / mask.sum().clamp(min=1)


@told("mean_of_the_chosen")
def division_by_no_tokens(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum()


@told("loss_per_token")
def mean_forgotten(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    return -torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)


@told("mean_ratio_of_a_row")
def gspo_ratio(logp, old_logp, advantage, kl, mask, beta):
    gap = torch.where(mask, logp - old_logp.detach(), 0.0)
    ratio = torch.exp(gap.sum(-1) / mask.sum(-1).clamp(min=1))[:, None]
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@told("kl_padding_summed", "mean_of_the_chosen")
def kl_summed_with_padding(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach(), 0.0).sum() / mask.sum()
    return -(gain - beta * kl.sum() / mask.sum())


@told("log_ratio_clamped_at_10")
def log_ratio_clamped(logp, old_logp, advantage, kl, mask, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).clamp(-10, 10).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)
