"""First tries at `kl_shaped_rewards`."""

import torch

from helpers.reference import k1, k3

from . import right, told


@right
def last_by_position(score, logp, ref_logp, mask, beta):
    time = torch.arange(mask.shape[1], device=mask.device)
    last = torch.where(mask, time, -1).amax(1)
    rewards = torch.where(mask, -beta * (logp - ref_logp), 0.0).detach()
    return torch.where(time == last[:, None], rewards + score.detach()[:, None], rewards)


@right
def row_by_row(score, logp, ref_logp, mask, beta):
    rewards = torch.zeros_like(logp)
    for row in range(len(score)):
        real = mask[row].nonzero().flatten()
        rewards[row, real] = -beta * (logp[row, real] - ref_logp[row, real]).detach()
        if len(real):
            rewards[row, real[-1]] += score[row].detach()
    return rewards


def charge(logp, ref_logp, mask, beta):
    return torch.where(mask, -beta * (logp - ref_logp), 0.0).detach()


@told("score_at_the_end_of_the_row")
def last_column(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    rewards[:, -1] += score.detach()
    return rewards


@told("score_at_the_count_or_the_end")
def last_by_length(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    rewards[torch.arange(len(score)), mask.sum(1) - 1] += score.detach()
    return rewards


@told("score_on_every_token")
def score_at_every_token(score, logp, ref_logp, mask, beta):
    return charge(logp, ref_logp, mask, beta) + torch.where(mask, score.detach()[:, None], 0.0)


@told("score_one_early")
def score_one_token_early(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    time = torch.arange(mask.shape[1])
    last = torch.where(mask, time, -1).amax(1)
    return rewards + torch.where(time == last[:, None] - 1, score.detach()[:, None], 0.0)


@told("score_at_the_first_token")
def score_on_the_first_token(score, logp, ref_logp, mask, beta):
    first = mask & (mask.cumsum(1) == 1)
    return charge(logp, ref_logp, mask, beta) + torch.where(first, score.detach()[:, None], 0.0)


@told("drift_rewarded")
def penalty_rewarded(score, logp, ref_logp, mask, beta):
    return last_by_position(score, logp, ref_logp, mask, -beta)


@told("price_k3")
def k3_charged(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, k3(logp, ref_logp), 0.0)
    return last_by_position(score, logp, logp, mask, beta) - beta * price.detach()


@told("price_k2")
def k2_charged(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, (logp - ref_logp) ** 2 / 2, 0.0)
    return last_by_position(score, logp, logp, mask, beta) - beta * price.detach()


@told("price_of_the_size")
def absolute_charged(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, (logp - ref_logp).abs(), 0.0)
    return last_by_position(score, logp, logp, mask, beta) - beta * price.detach()


@told("price_never_negative")
def negative_drift_free(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, (logp - ref_logp).clamp(min=0), 0.0)
    return last_by_position(score, logp, logp, mask, beta) - beta * price.detach()


@told("gradient_reaches_score_and_logp")
def not_detached(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return torch.where(mask, -beta * k1(logp, ref_logp), 0.0) + ends * score[:, None]


@told("price_times_mask")
def mask_multiplied(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return (-beta * (logp - ref_logp) * mask + ends * score[:, None]).detach()


@told("padding_charged")
def padding_charged(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return (-beta * (logp - ref_logp) + torch.where(ends, score[:, None], 0.0)).detach()


@told("price_at_the_end")
def whole_charge_at_the_end(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    total = score - beta * torch.where(mask, logp - ref_logp, 0.0).sum(1)
    return torch.where(ends, total[:, None], 0.0).detach()


@told("summed_up")
def one_reward_per_response(score, logp, ref_logp, mask, beta):
    return (score - beta * torch.where(mask, logp - ref_logp, 0.0).sum(1)).detach()


@told("score_in_place_of_the_price")
def last_token_pays_no_drift(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    return torch.where(ends, score.detach()[:, None], charge(logp, ref_logp, mask, beta))


@told("price_without_beta")
def beta_not_used(score, logp, ref_logp, mask, beta):
    return last_by_position(score, logp, ref_logp, mask, 1.0)


@told("score_alone")
def no_drift_at_all(score, logp, ref_logp, mask, beta):
    return last_by_position(score, logp, logp, mask, beta)


@told("price_alone")
def score_forgotten(score, logp, ref_logp, mask, beta):
    return charge(logp, ref_logp, mask, beta)


@told("score_times_beta")
def beta_on_the_score_too(score, logp, ref_logp, mask, beta):
    return last_by_position(beta * score, logp, ref_logp, mask, beta)


@told("price_of_the_ratio")
def ratio_charged(score, logp, ref_logp, mask, beta):
    price = torch.where(mask, (logp - ref_logp).exp(), 0.0)
    return last_by_position(score, logp, logp, mask, beta) - beta * price.detach()


@told("empty_row_scored_at_the_start")
def empty_row_is_paid(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    last = torch.where(mask, torch.arange(mask.shape[1]), 0).amax(1)
    rewards[torch.arange(len(score)), last] += score.detach()
    return rewards


@told("empty_row_scored_at_the_end")
def argmin_of_the_mask(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    last = mask.int().argmin(1) - 1
    rewards[torch.arange(len(score)), last] += score.detach()
    return rewards


@told("score_cut_off_at_5")
def trl_score_clipped(score, logp, ref_logp, mask, beta):
    return last_by_position(score.clamp(-5, 5), logp, ref_logp, mask, beta)


@told("price_cut_off_at_10")
def openrlhf_kl_clamped(score, logp, ref_logp, mask, beta):
    gap = torch.where(mask, logp - ref_logp, 0.0).clamp(-10, 10)
    return last_by_position(score, gap, torch.zeros_like(gap), mask, beta)


@told("price_shared_out")
def mean_drift_spread(score, logp, ref_logp, mask, beta):
    gap = torch.where(mask, logp - ref_logp, 0.0)
    average = gap.sum(1, keepdim=True) / mask.sum(1, keepdim=True).clamp(min=1)
    gap = average.expand(mask.shape)
    return last_by_position(score, gap, torch.zeros_like(gap), mask, beta)


@told("rewards_to_go_on_real_tokens", "rewards_to_go")
def returns_to_go(score, logp, ref_logp, mask, beta):
    rewards = last_by_position(score, logp, ref_logp, mask, beta)
    return torch.where(mask, rewards.flip(1).cumsum(1).flip(1), 0.0)


@told("library: *")
def score_without_axis(score, logp, ref_logp, mask, beta):
    return torch.where(mask, -beta * (logp - ref_logp) + score, 0.0).detach()


@told("score_subtracted")
def score_taken_away(score, logp, ref_logp, mask, beta):
    return last_by_position(-score, logp, ref_logp, mask, beta)


@told("score_normalised")
def score_whitened(score, logp, ref_logp, mask, beta):
    white = (score - score.mean()) / (score.std() + 1e-8)
    return last_by_position(white, logp, ref_logp, mask, beta)


@told("price_added_up")
def price_cumulated(score, logp, ref_logp, mask, beta):
    gap = torch.where(mask, logp - ref_logp, 0.0).cumsum(1)
    return last_by_position(score, gap, torch.zeros_like(gap), mask, beta)


@told("gradient_reaches_score_and_ref_logp")
def only_the_policy_detached(score, logp, ref_logp, mask, beta):
    ends = mask & (mask.flip(1).cumsum(1).flip(1) == 1)
    price = torch.where(mask, beta * (logp.detach() - ref_logp), 0.0)
    return torch.where(ends, score[:, None], 0.0) - price


@told("library: *")
def index_behind_the_last(score, logp, ref_logp, mask, beta):
    rewards = charge(logp, ref_logp, mask, beta)
    rewards[torch.arange(len(score)), mask.sum(1)] += score.detach()
    return rewards
