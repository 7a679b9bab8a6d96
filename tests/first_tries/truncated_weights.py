"""First tries at `truncated_weights`."""

import math

import torch

from . import right, told


@right
def in_one_line(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0)
    return (gap.exp().clamp(max=cap) * mask).detach()


@right
def capped_before_exp(logp, sampler_logp, mask, cap):
    with torch.no_grad():
        gap = torch.where(mask, logp - sampler_logp, 0.0).clamp(max=math.log(cap))
        return torch.where(mask, gap.exp(), torch.zeros_like(gap))


@right
def row_by_row(logp, sampler_logp, mask, cap):
    out = torch.zeros_like(logp)
    for i, row in enumerate(mask):
        gap = (logp[i][row] - sampler_logp[i][row]).detach()
        out[i, row] = gap.exp().clamp(max=cap)
    return out.detach()


def weigh(logp, sampler_logp, mask):
    return torch.where(mask, logp - sampler_logp, 0.0).exp().detach()


@told("weight_upside_down")
def sampler_over_trainer(logp, sampler_logp, mask, cap):
    return weigh(sampler_logp, logp, mask).clamp(max=cap) * mask


@told("gradient_reaches_logp_and_sampler_logp")
def nothing_detached(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0)
    return torch.where(mask, gap.exp().clamp(max=cap), 0.0)


@told("gradient_reaches_logp")
def sampler_detached(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp.detach(), 0.0)
    return torch.where(mask, gap.exp().clamp(max=cap), 0.0)


@told("weight_without_cap")
def importance_weights(logp, sampler_logp, mask, cap):
    return weigh(logp, sampler_logp, mask) * mask


@told("weight_dropped_beyond_cap")
def masked_weights(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask)
    return weight * (weight <= cap) * mask


@told("weight_dropped_beyond_cap")
def masked_weights_with_where(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask)
    return torch.where(mask & (weight <= cap), weight, 0.0)


@told("cap_on_both_sides")
def clamped_on_both_sides(logp, sampler_logp, mask, cap):
    return weigh(logp, sampler_logp, mask).clamp(1 / cap, cap) * mask


@told("weights_around_one")
def clipped_as_in_ppo(logp, sampler_logp, mask, cap):
    return weigh(logp, sampler_logp, mask).clamp(1 - cap, 1 + cap) * mask


@told("cap_on_the_logarithm")
def log_ratio_capped(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0).detach()
    return gap.clamp(max=cap).exp() * mask


@told("cap_from_below")
def maximum(logp, sampler_logp, mask, cap):
    return weigh(logp, sampler_logp, mask).clamp(min=cap) * mask


@told("logarithm_of_the_weight")
def exp_forgotten(logp, sampler_logp, mask, cap):
    return torch.where(mask, (logp - sampler_logp).clamp(max=cap), 0.0).detach()


@told("weight_times_mask")
def masked_by_multiplication(logp, sampler_logp, mask, cap):
    return (logp - sampler_logp).exp().clamp(max=cap).detach() * mask


@told("padding_weighs_one")
def padding_is_one(logp, sampler_logp, mask, cap):
    return weigh(logp, sampler_logp, mask).clamp(max=cap)


@told("mask_ignored")
def no_mask(logp, sampler_logp, mask, cap):
    return (logp - sampler_logp).exp().clamp(max=cap).detach()


@told("quotient_of_probabilities")
def probabilities_divided(logp, sampler_logp, mask, cap):
    logp, sampler_logp = (torch.where(mask, x, 0.0).detach() for x in (logp, sampler_logp))
    return (logp.exp() / sampler_logp.exp()).clamp(max=cap) * mask


@told("weight_of_the_response")
def of_the_sequence(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0).sum(1, keepdim=True).detach()
    return gap.exp().clamp(max=cap).expand_as(logp) * mask


@told("weight_of_the_mean_log_ratio")
def of_the_sequence_on_average(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0).detach()
    weight = (gap.sum(1) / mask.sum(1).clamp(min=1)).exp().clamp(max=cap)
    return weight[:, None] * mask


@told("weights_normalised")
def self_normalised(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask).clamp(max=cap) * mask
    return weight / weight.sum() * mask.sum()


@told("weights_of_real_tokens_in_a_row")
def flat(logp, sampler_logp, mask, cap):
    return (logp[mask] - sampler_logp[mask]).exp().clamp(max=cap).detach()


@told("weights_of_inference_mode")
@torch.inference_mode()
def in_inference_mode(logp, sampler_logp, mask, cap):
    return torch.where(mask, logp - sampler_logp, 0.0).exp().clamp(max=cap) * mask


@told("overflow_weighs_nothing")
def infinities_removed(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask)
    return torch.where(weight.isfinite() & mask, weight.clamp(max=cap), 0.0)


@told("weight_of_the_size")
def absolute_difference(logp, sampler_logp, mask, cap):
    return torch.where(mask, (logp - sampler_logp).abs(), 0.0).exp().clamp(max=cap).detach() * mask


@told("weights_kept_apart_by_20")
def clamped_log_ratio_as_in_verl(logp, sampler_logp, mask, cap):
    gap = torch.where(mask, logp - sampler_logp, 0.0).clamp(-20, 20).detach()
    return gap.exp().clamp(max=cap) * mask


@told("weights_averaged")
def one_number(logp, sampler_logp, mask, cap):
    return (weigh(logp, sampler_logp, mask).clamp(max=cap) * mask).sum() / mask.sum().clamp(min=1)


@told("no name for it")
def clamped_after_dividing_by_the_largest(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask) * mask
    return cap * weight / weight.amax().clamp(min=cap)


@told("weight_one_beyond_cap")
def left_alone_beyond_the_cap(logp, sampler_logp, mask, cap):
    weight = weigh(logp, sampler_logp, mask)
    return torch.where(weight > cap, 1.0, weight) * mask
