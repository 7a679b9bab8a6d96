"""First tries at `grpo_loss`."""

import torch

from helpers.reference import clipped_surrogate, k3, masked_mean

from . import right, told


@right
def from_the_lessons_before(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    if not mask.any():
        return logp.new_zeros(())
    logp, old_logp, ref_logp = logp[mask], old_logp[mask].detach(), ref_logp[mask].detach()
    adv = advantage.detach()[:, None].expand(mask.shape)[mask]
    ratio = (logp - old_logp).exp()
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = ref_logp - logp
    return (beta * (torch.expm1(delta) - delta) - kept).mean()


@right
def as_two_masked_means(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clean(x):
        return torch.where(mask, x, 0.0)

    logp = clean(logp)
    old_logp, ref_logp = clean(old_logp.detach()), clean(ref_logp.detach())
    adv = clean(advantage.detach()[:, None].expand(mask.shape))
    kept = clipped_surrogate(logp, old_logp, adv, epsilon)
    return beta * masked_mean(k3(logp, ref_logp), mask) - masked_mean(kept, mask)


def loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, penalty=None, clip=None):
    """All of it, with a piece exchanged; one number for each token, 0 in the padding."""
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    adv = torch.where(mask, advantage.detach()[:, None], 0.0)
    if clip is None:
        kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    else:
        kept = clip(ratio, adv)
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    drift = delta.exp() - delta - 1 if penalty is None else penalty(delta)
    return torch.where(mask, beta * drift - kept, 0.0)


def mean(tokens, mask):
    return tokens.sum() / mask.sum().clamp(min=1)


@told("mean_of_responses")
def mean_per_response(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    tokens = loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta)
    return (tokens.sum(1) / mask.sum(1).clamp(min=1)).mean()


@told("divided_by_all_places")
def dr_grpo_constant_length(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    tokens = loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta)
    return tokens.sum() / mask.numel()


@told("loss_summed")
def summed(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta).sum()


@told("divided_by_responses")
def sum_over_responses(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta).sum(1).mean()


@told("objective_returned")
def maximised(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return -mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta), mask)


@told("k1_in_the_loss")
def k1_penalty(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda delta: -delta), mask)


@told("k2_in_the_loss")
def k2_penalty(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda delta: delta**2 / 2), mask)


@told("k3_turned")
def k3_other_way_round(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda delta: (-delta).exp() + delta - 1), mask)


@told("k3_cut_off")
def k3_clamped_as_in_verl(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def penalty(delta):
        delta = delta.clamp(-20, 20)
        return (delta.exp() - delta - 1).clamp(-10, 10)

    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=penalty), mask)


@told("k3_without_the_one")
def k3_without_minus_one(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda delta: delta.exp() - delta), mask)


@told("drift_from_old")
def drift_measured_from_old(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, old_logp, old_logp, advantage, mask, epsilon, beta), mask)


@told("ratio_to_ref")
def ratio_to_ref(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, ref_logp, ref_logp, advantage, mask, epsilon, beta), mask)


@told("k3_weighted_by_the_ratio")
def penalty_weighted_by_the_ratio(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda d: ratio * (d.exp() - d - 1)), mask)


@told("k3_detached")
def penalty_has_no_gradient(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, penalty=lambda d: (d.exp() - d - 1).detach()), mask)


@told("drift_rewarded_in_the_loss")
def penalty_subtracted_from_the_loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, -beta), mask)


@told("loss_without_penalty")
def no_penalty(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0), mask)


@told("loss_without_beta")
def beta_left_out(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 1.0), mask)


@told("loss_not_clipped")
def nothing_clipped(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(loss(*given, clip=lambda ratio, adv: ratio * adv), mask)


@told("clipped_promise_alone")
def clip_without_minimum(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    given = logp, old_logp, ref_logp, advantage, mask, epsilon, beta
    return mean(
        loss(*given, clip=lambda ratio, adv: ratio.clamp(1 - epsilon, 1 + epsilon) * adv), mask
    )


@told("larger_promise")
def maximum_in_place_of_minimum(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(ratio, adv):
        return torch.max(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("loss_clipped_higher")
def clip_higher(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(ratio, adv):
        return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1.28) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("loss_clipped_twice")
def dual_clip(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(ratio, adv):
        low = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
        return torch.where(adv < 0, torch.max(low, 3 * adv), low)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("constant_ratio_times_logp")
def cispo(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(ratio, adv):
        return ratio.clamp(max=1 + epsilon).detach() * adv * torch.where(mask, logp, 0.0)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("ratio_of_the_response")
def gspo_sequence_ratio(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    gap = torch.where(mask, logp - old_logp.detach(), 0.0)
    ratio = (gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)).exp()

    def clip(_, adv):
        return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("penalty_in_the_advantage")
def penalty_inside_the_minimum(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    drift = delta.exp() - delta - 1

    def clip(ratio, adv):
        adv = adv - beta * drift
        return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0, clip=clip), mask)


@told("loss_times_mask")
def masked_by_multiplication(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = (logp - old_logp.detach()).exp()
    adv = advantage.detach()[:, None]
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = ref_logp.detach() - logp
    tokens = -(kept - beta * (delta.exp() - delta - 1))
    return (tokens * mask).sum() / mask.sum().clamp(min=1.0)


@told("loss_replaced_too_late")
def where_at_the_end(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = (logp - old_logp.detach()).exp()
    adv = advantage.detach()[:, None]
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = ref_logp.detach() - logp
    return mean(torch.where(mask, beta * (delta.exp() - delta - 1) - kept, 0.0), mask)


@told("loss_leaks_to_old_logp_and_ref_logp_and_advantage")
def constants_keep_gradients(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = torch.where(mask, logp - old_logp, 0.0).exp()
    adv = torch.where(mask, advantage[:, None], 0.0)
    kept = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    delta = torch.where(mask, ref_logp - logp, 0.0)
    return mean(beta * (delta.exp() - delta - 1) - kept, mask)


@told("loss_of_nothing")
def mean_of_nothing(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta)[mask].mean()


@told("penalty_over_padding", "loss_of_nothing")
def kl_over_padding(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    kept = -mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0), mask)
    delta = ref_logp.detach() - logp
    return beta * (delta.exp() - delta - 1).mean() - kept


@told("library: *", "advantage_along_time")
def advantage_not_unsqueezed(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    kept = torch.min(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    return mean(torch.where(mask, beta * (delta.exp() - delta - 1) - kept, 0.0), mask)


@told("grpo_advantage_normalised")
def advantages_normalised_again(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    adv = (advantage - advantage.mean()) / (advantage.std() + 1e-8)
    return mean(loss(logp, old_logp, ref_logp, adv, mask, epsilon, beta), mask)


@told("old_is_the_present_policy")
def on_policy_form_of_trl(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    return mean(loss(logp, logp, ref_logp, advantage, mask, epsilon, beta), mask)


@told("loss_of_quotients_of_logarithms")
def quotient_of_logs(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    ratio = torch.where(mask, logp / old_logp.detach(), 1.0)

    def clip(_, adv):
        return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("loss_mask_ignored")
def mean_over_all_positions(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    everywhere = torch.ones_like(mask)
    return loss(logp, old_logp, ref_logp, advantage, everywhere, epsilon, beta).mean()


@told("k1_a_constant_in_the_advantage")
def charged_in_the_reward(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    price = beta * torch.where(mask, logp - ref_logp, 0.0).detach()

    def clip(ratio, adv):
        adv = adv - price
        return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0, clip=clip), mask)


@told("loss_gradient_masked_value_not_clipped")
def two_sided_gradient_mask(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(ratio, adv):
        return torch.where((ratio - 1).abs() <= epsilon, ratio, ratio.detach()) * adv

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("logp_for_the_promise")
def reinforce(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    def clip(_, adv):
        return torch.where(mask, logp, 0.0) * adv

    return mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta, clip=clip), mask)


@told("penalty_mean_of_responses")
def penalty_per_response(logp, old_logp, ref_logp, advantage, mask, epsilon, beta):
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    drift = (torch.expm1(delta) - delta).sum(1) / mask.sum(1).clamp(min=1)
    gain = mean(loss(logp, old_logp, ref_logp, advantage, mask, epsilon, 0.0), mask)
    return gain + beta * drift.mean()
