"""First tries at `group_advantage`."""

import torch
from torch.nn.functional import normalize

from . import right, told


@right
def trl_by_view(rewards, eps=1e-4):
    if rewards.shape[1] == 1:
        return rewards * 0
    grouped = rewards.view(-1, rewards.shape[1])
    mean = grouped.mean(dim=1).repeat_interleave(rewards.shape[1]).view_as(rewards)
    std = grouped.std(dim=1).repeat_interleave(rewards.shape[1]).view_as(rewards)
    return (rewards - mean) / (std + eps)


@right
def nan_replaced(rewards, eps=1e-4):
    std = torch.nan_to_num(rewards.std(-1, keepdim=True))
    return (rewards - rewards.mean(-1, keepdim=True)) / (std + eps)


@told("population_deviation")
def population_deviation(rewards, eps=1e-4):
    std = rewards.std(1, keepdim=True, unbiased=False)
    return (rewards - rewards.mean(1, keepdim=True)) / (std + eps)


@told("deviation_of_one")
def group_of_one_forgotten(rewards, eps=1e-4):
    std = rewards.std(1, keepdim=True)
    return (rewards - rewards.mean(1, keepdim=True)) / (std + eps)


@told("over_the_batch")
def whole_batch(rewards, eps=1e-4):
    return (rewards - rewards.mean()) / (rewards.std() + eps)


@told("deviation_of_the_batch")
def whole_batch_deviation(rewards, eps=1e-4):
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std() + eps)


@told("along_the_first_axis", "along_the_groups")
def along_the_groups(rewards, eps=1e-4):
    std = rewards.std(0, keepdim=True)
    return (rewards - rewards.mean(0, keepdim=True)) / (std + eps)


@told("mean_alone")
def dr_grpo_centred_only(rewards, eps=1e-4):
    return rewards - rewards.mean(1, keepdim=True)


@told("variance_used")
def variance_for_deviation(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.var(1, keepdim=True) + eps)


@told("others_taken_away")
def rloo_leave_one_out(rewards, eps=1e-4):
    n = rewards.shape[1]
    if n < 2:
        return torch.zeros_like(rewards)
    others = (rewards.sum(1, keepdim=True) - rewards) / (n - 1)
    return rewards - others


@told("eps_under_the_root")
def eps_inside_the_root(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    root = (rewards.var(1, keepdim=True) + eps).sqrt()
    return (rewards - rewards.mean(1, keepdim=True)) / root


@told("eps_forgotten_but_for_one")
def eps_left_out(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True)


@told("eps_as_a_bound")
def eps_as_a_floor(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    std = rewards.std(1, keepdim=True).clamp(min=eps)
    return (rewards - rewards.mean(1, keepdim=True)) / std


@told("eps_not_used")
def eps_written_in(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-8)


@told("mean_forgotten_but_for_one")
def mean_not_taken_away(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return rewards / (rewards.std(1, keepdim=True) + eps)


@told("mean_alone_divided")
def precedence(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return rewards - rewards.mean(1, keepdim=True) / (rewards.std(1, keepdim=True) + eps)


@told("library: *", "keepdim_forgotten")
def keepdim_forgotten(rewards, eps=1e-4):
    return (rewards - rewards.mean(1)) / (rewards.std(1) + eps)


@told("stretched_to_one")
def min_max_scaled(rewards, eps=1e-4):
    low, high = rewards.amin(1, keepdim=True), rewards.amax(1, keepdim=True)
    return (rewards - low) / (high - low + eps)


@told("softmax_of_the_group")
def softmax_of_the_group(rewards, eps=1e-4):
    return rewards.softmax(1)


@told("median_taken_away")
def median_baseline(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    middle = rewards.quantile(0.5, dim=1, keepdim=True)
    return (rewards - middle) / (rewards.std(1, keepdim=True) + eps)


@told("best_taken_away")
def best_as_baseline(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    best = rewards.amax(1, keepdim=True)
    return (rewards - best) / (rewards.std(1, keepdim=True) + eps)


@told("advantage_turned")
def turned_around(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards.mean(1, keepdim=True) - rewards) / (rewards.std(1, keepdim=True) + eps)


@told("cut_off_at_one")
def clipped_to_one(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    centred = rewards - rewards.mean(1, keepdim=True)
    return (centred / (rewards.std(1, keepdim=True) + eps)).clamp(-1, 1)


@told("single_reward_kept")
def one_sample_keeps_its_reward(rewards, eps=1e-4):
    if rewards.shape[1] == 1:
        return rewards
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + eps)


@told("library: *")
def method_that_is_not_there(rewards, eps=1e-4):
    return (rewards - rewards.mean(1, keepdim=True)) / (rewards.stdev(1, keepdim=True) + eps)


@told("norm_of_the_group")
def norm_in_place_of_deviation(rewards, eps=1e-4):
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (centred.norm(dim=1, keepdim=True) + eps)


@told("mean_distance")
def mean_absolute_deviation(rewards, eps=1e-4):
    centred = rewards - rewards.mean(1, keepdim=True)
    return centred / (centred.abs().mean(1, keepdim=True) + eps)


@told("eps_added_to_the_quotient", "eps_forgotten")
def parentheses_forgotten(rewards, eps=1e-4):
    return (rewards - rewards.mean(1, keepdim=True)) / rewards.std(1, keepdim=True) + eps


@told("eps_forgotten_but_for_ties")
def ties_handled_by_hand(rewards, eps=1e-4):
    std = rewards.std(1, keepdim=True)
    centred = rewards - rewards.mean(1, keepdim=True)
    return torch.where(std > 0, centred / std, torch.zeros_like(rewards))


@told("length_of_one")
def through_normalize(rewards, eps=1e-4):
    return normalize(rewards - rewards.mean(1, keepdim=True), dim=1, eps=eps)


@told("multiplied_by_the_deviation")
def times_the_deviation(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, keepdim=True)) * (rewards.std(1, keepdim=True) + eps)


@told("flattened")
def in_one_row(rewards, eps=1e-4):
    return nan_replaced(rewards, eps).flatten()
