"""First tries at `grpo_loss_unbiased`."""

import torch

from helpers.reference import clipped_surrogate, grpo_loss, k3, masked_mean

from . import right, told


def pieces(logp, old_logp, ref_logp, advantage, mask, epsilon):
    """The ratio, the clipped surrogate, k3: one number for each token, padding replaced."""
    logp = torch.where(mask, logp, 0.0)
    old, ref = torch.where(mask, old_logp.detach(), 0.0), torch.where(mask, ref_logp.detach(), 0.0)
    adv = torch.where(mask, advantage.detach()[:, None], 0.0)
    ratio = (logp - old).exp()
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = ref - logp
    return ratio, kept, delta.exp() - delta - 1


def mean(tokens, mask):
    return torch.where(mask, tokens, 0.0).sum() / mask.sum().clamp(min=1)


@right
def from_the_lessons_before(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    logp = torch.where(mask, logp, 0.0)
    old_logp, ref_logp = torch.where(mask, old_logp, 0.0), torch.where(mask, ref_logp, 0.0)
    adv = torch.where(mask, advantage[:, None], 0.0)
    kl = (logp - old_logp.detach()).exp() * k3(logp, ref_logp)
    return -masked_mean(clipped_surrogate(logp, old_logp, adv, epsilon) - beta * kl, mask)


@right
def grpo_loss_and_a_penalty_of_its_own(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, _, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    surrogate = grpo_loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta=0.0)
    return surrogate + beta * mean(ratio * kl, mask)


@right
def on_chosen_tokens(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if not mask.any():
        return torch.tensor(0.0, dtype=logp.dtype)
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return (beta * ratio[mask] * kl[mask] - kept[mask]).mean()


@told("k3_not_weighted")
def as_in_grpo(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return grpo_loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta)


@told("weight_detached")
def weights_are_constants(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio.detach() * kl, mask)


@told("weight_clipped")
def clipped_ratio_reused(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio.clamp(1 - epsilon, 1 + epsilon) * kl, mask)


@told("weight_inverted")
def old_over_policy(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * kl / ratio, mask)


@told("weight_to_ref")
def policy_over_ref(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    weight = torch.where(mask, logp - ref_logp.detach(), 0.0).exp()
    return -mean(kept - beta * weight * kl, mask)


@told("promise_weighted_too")
def everything_weighted(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(ratio * (kept - beta * kl), mask)


@told("k3_detached_under_its_weight")
def kl_is_a_constant_cost(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio * kl.detach(), mask)


@told("penalty_detached")
def kl_only_for_the_log(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * (ratio * kl).detach(), mask)


@told("k1_weighted")
def off_policy_kl(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, _ = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    return -mean(kept - beta * ratio * gap, mask)


@told("k2_in_the_loss")
def squares_weighted(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, _ = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    return -mean(kept - beta * ratio * gap**2 / 2, mask)


@told("k3_turned")
def k3_the_other_way_round(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, _ = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    return -mean(kept - beta * ratio * (gap.exp() - gap - 1), mask)


@told("weight_of_the_mean_log_ratio")
def one_weight_for_each_response(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gap = torch.where(mask, logp - old_logp.detach(), 0.0)
    weight = (gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)).exp()
    return -mean(kept - beta * weight * kl, mask)


@told("weight_of_the_response")
def product_of_the_response(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    weight = torch.where(mask, logp - old_logp.detach(), 0.0).sum(1, keepdim=True).exp()
    return -mean(kept - beta * weight * kl, mask)


@told("weight_is_the_log_ratio")
def exp_forgotten(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * torch.where(mask, logp - old_logp.detach(), 0.0) * kl, mask)


@told("weight_is_the_probability")
def probability_for_the_ratio(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * torch.where(mask, logp, 0.0).exp() * kl, mask)


@told("weight_truncated_at_2")
def truncated_as_for_a_sampler(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio.clamp(max=2.0) * kl, mask)


@told("penalty_in_the_advantage")
def penalty_inside_the_minimum(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, _, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gain = torch.where(mask, advantage.detach()[:, None], 0.0) - beta * kl
    return -mean(torch.min(ratio * gain, ratio.clamp(1 - epsilon, 1 + epsilon) * gain), mask)


@told("weights_normalised")
def weights_that_average_one(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio / mean(ratio, mask) * kl, mask)


@told("objective_returned")
def maximised(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return mean(kept - beta * ratio * kl, mask)


@told("drift_rewarded_in_the_loss")
def sign_of_the_penalty(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return -mean(kept + beta * ratio * kl, mask)


@told("mean_of_responses")
def each_response_first(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    gain = torch.where(mask, kept - beta * ratio * kl, 0.0)
    return -(gain.sum(1) / mask.sum(1).clamp(min=1)).mean()


@told("loss_times_mask")
def masked_by_multiplication(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    adv, ratio = advantage.detach()[:, None], (logp - old_logp.detach()).exp()
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = ref_logp.detach() - logp
    gain = kept - beta * ratio * (torch.expm1(delta) - delta)
    return -(gain * mask).sum() / mask.sum().clamp(min=1)


@told("loss_leaks_to_old_logp_and_ref_logp_and_advantage")
def nothing_detached(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    logp, old, ref = (torch.where(mask, x, 0.0) for x in (logp, old_logp, ref_logp))
    ratio, adv = (logp - old).exp(), torch.where(mask, advantage[:, None], 0.0)
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    return -mean(kept - beta * ratio * ((ref - logp).expm1() - ref + logp), mask)


@told("loss_of_nothing")
def mean_of_nothing(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    return (beta * ratio * kl - kept)[mask].mean()


@told("weight_less_one")
def ratio_less_one(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    _, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    weight = torch.where(mask, logp - old_logp.detach(), 0.0).expm1()
    return -mean(kept - beta * weight * kl, mask)


@told("weight_clipped_above")
def weighted_by_the_smaller_ratio(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    weight = torch.min(ratio, ratio.clamp(1 - epsilon, 1 + epsilon))
    return -mean(kept - beta * weight * kl, mask)


@told("drift_from_old")
def drift_measured_from_old(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, old_logp, advantage, mask, epsilon)
    return -mean(kept - beta * ratio * kl, mask)


@told("weight_only_where_the_clip_leaves_alone")
def weighted_where_the_surrogate_is_free(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio, kept, kl = pieces(logp, old_logp, ref_logp, advantage, mask, epsilon)
    adv = torch.where(mask, advantage.detach()[:, None], 0.0)
    return -mean(kept - beta * torch.where(kept == ratio * adv, ratio, 0.0) * kl, mask)
