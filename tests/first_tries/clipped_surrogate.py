"""First tries at `clipped_surrogate`."""

import torch

from . import right, told


@right
def cleanrl_maximum_of_losses(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    adv = advantage.detach()
    return -torch.max(-adv * ratio, -adv * torch.clamp(ratio, 1 - epsilon, 1 + epsilon))


@right
def spinning_up_bound(logp, old_logp, advantage, epsilon):
    advantage = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    bound = torch.where(advantage > 0, (1 + epsilon) * advantage, (1 - epsilon) * advantage)
    return torch.min(ratio * advantage, bound)


@told("loss_returned")
def loss_to_minimise(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    adv = advantage.detach()
    return torch.max(-adv * ratio, -adv * ratio.clamp(1 - epsilon, 1 + epsilon))


@told("clipped_only")
def clip_only(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    return ratio.clamp(1 - epsilon, 1 + epsilon) * advantage.detach()


@told("maximum")
def maximum_for_minimum(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.max(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)


@told("minimum_of_ratios")
def minimum_of_ratios(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio, ratio.clamp(1 - epsilon, 1 + epsilon)) * advantage.detach()


@told("not_clipped")
def not_clipped(logp, old_logp, advantage, epsilon):
    return (logp - old_logp.detach()).exp() * advantage.detach()


@told("quotient_of_logarithms")
def quotient_of_logs(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = logp / old_logp.detach()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)


@told("exp_forgotten")
def log_ratio_as_ratio(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = logp - old_logp.detach()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)


@told("clip_ratio_inverted")
def ratio_upside_down(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (old_logp.detach() - logp).exp()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)


@told("bounds_around_zero")
def clipped_around_zero(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(-epsilon, epsilon) * adv)


@told("log_ratio_clipped")
def clipped_log_ratio(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    gap = logp - old_logp.detach()
    return torch.min(gap.exp() * adv, gap.clamp(-epsilon, epsilon).exp() * adv)


@told("clipped_only")
def clipped_between_logs(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    gap = logp - old_logp.detach()
    low, high = torch.tensor([1 - epsilon, 1 + epsilon]).log().tolist()
    return gap.clamp(low, high).exp() * adv


@told("upper_bound_only")
def upper_clip_only(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(max=1 + epsilon) * adv)


@told("clipped_higher_by_4_tenths")
def clip_higher(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + 1.4 * epsilon) * adv)


@told("clipped_twice")
def verl_dual_clip(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    low = torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)
    return torch.where(adv < 0, torch.max(low, 3 * adv), low)


@told("constant_ratio_times_logp")
def cispo(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    return ratio.clamp(max=1 + epsilon).detach() * advantage.detach() * logp


@told("gradient_masked_value_not_clipped")
def two_sided_gradient_mask(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    inside = (ratio > 1 - epsilon) & (ratio < 1 + epsilon)
    return torch.where(inside, ratio, ratio.detach()) * advantage.detach()


@told("zero_outside_the_bounds")
def outside_is_zero(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    inside = ((ratio - 1).abs() <= epsilon).float()
    return ratio * advantage.detach() * inside


@told("averaged")
def mean_returned(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv).mean()


@told("clip_nothing_detached", "clip_old_not_constant", "clip_advantage_not_constant")
def constants_not_detached(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp).exp()
    return torch.min(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


@told("product_clipped")
def product_clipped(logp, old_logp, advantage, epsilon):
    gain = (logp - old_logp.detach()).exp() * advantage.detach()
    return torch.min(gain, gain.clamp(1 - epsilon, 1 + epsilon))


@told("epsilon_written_in")
def fixed_epsilon(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(0.8, 1.2) * adv)


@told("lower_bound_epsilon")
def lower_bound_forgets_the_one(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * adv, ratio.clamp(epsilon, 1 + epsilon) * adv)


@told("clipped_on_the_wrong_side")
def advantage_sign_by_where(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp.detach()).exp()
    return torch.where(adv > 0, ratio.clamp(max=1 + epsilon), ratio.clamp(max=1 - epsilon)) * adv


@told("clipped_ratio_without_advantage")
def second_advantage_missing(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp()
    return torch.min(ratio * advantage.detach(), ratio.clamp(1 - epsilon, 1 + epsilon))


@told("policy_detached")
def detached_ratio(logp, old_logp, advantage, epsilon):
    adv = advantage.detach()
    ratio = (logp - old_logp).exp().detach()
    return torch.min(ratio * adv, ratio.clamp(1 - epsilon, 1 + epsilon) * adv)


@told("library: *")
def clip_of_a_list(logp, old_logp, advantage, epsilon):
    ratio = torch.exp(logp - old_logp)
    return min(ratio * advantage, torch.clip(ratio, 1 - epsilon, 1 + epsilon) * advantage)


@told("bound_alone")
def spinning_up_bound_alone(logp, old_logp, advantage, epsilon):
    advantage = advantage.detach()
    return torch.where(advantage > 0, (1 + epsilon) * advantage, (1 - epsilon) * advantage)


@told("bounds_in_the_wrong_order")
def bounds_exchanged_by_sign(logp, old_logp, advantage, epsilon):
    advantage = advantage.detach()
    bound = torch.where(advantage > 0, (1 - epsilon) * advantage, (1 + epsilon) * advantage)
    return torch.min((logp - old_logp.detach()).exp() * advantage, bound)


@told("loss_summed_over_the_batch")
def summed_loss(logp, old_logp, advantage, epsilon):
    return -spinning_up_bound(logp, old_logp, advantage, epsilon).sum()
