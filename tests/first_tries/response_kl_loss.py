"""First tries at `response_kl_loss`."""

import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from . import right, told


@told("token_by_token")
def k2_of_each_token(logp, ref_logp, mask):
    k2 = 0.5 * (logp - ref_logp.detach()) ** 2
    return torch.where(mask, k2, 0.0).sum(1)


@told("token_by_token")
def the_loss_before_summed(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    return (torch.where(mask, logp, 0.0) * gap).sum(dim=-1)


@told("whole_response")
def k2_of_the_response(logp, ref_logp, mask):
    log_ratio = torch.where(mask, logp - ref_logp.detach(), 0.0).sum(1)
    return 0.5 * log_ratio**2


@told("whole_response")
def reinforce_with_the_whole_log_ratio(logp, ref_logp, mask):
    logp = logp.masked_fill(~mask, 0.0)
    log_ratio = (logp - ref_logp.masked_fill(~mask, 0.0)).sum(1).detach()
    return logp.sum(1) * log_ratio


@told("whole_response")
def ratio_of_one_times_log_ratio(logp, ref_logp, mask):
    logp = torch.where(mask, logp, 0.0).sum(1)
    ref_logp = torch.where(mask, ref_logp, 0.0).sum(1).detach()
    return (logp - logp.detach()).exp() * (logp - ref_logp)


@told("whole_response")
def k2_of_the_response_with_ref_open(logp, ref_logp, mask):
    return 0.5 * torch.where(mask, logp - ref_logp, 0.0).sum(1) ** 2


@told("token_by_token")
def k2_of_each_token_with_ref_open(logp, ref_logp, mask):
    return (0.5 * (logp - ref_logp) ** 2).masked_fill(~mask, 0.0).sum(1)


@told("k1_summed")
def log_ratio_of_the_response(logp, ref_logp, mask):
    return torch.where(mask, logp - ref_logp.detach(), 0.0).sum(1)


@told("k1_summed")
def log_ratios_summed_from_each_token_on(logp, ref_logp, mask):
    # only the first is kept: the sum of all
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    return gap.flip(1).cumsum(1).flip(1)[:, 0]


@told("k3_summed")
def k3_of_each_token(logp, ref_logp, mask):
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    return (torch.expm1(delta) - delta).sum(1)


@told("everything_detached")
def all_under_no_grad(logp, ref_logp, mask):
    with torch.no_grad():
        gap = torch.where(mask, logp - ref_logp, 0.0)
        return (gap.flip(1).cumsum(1).flip(1) * torch.where(mask, logp, 0.0)).sum(1)


@told("everything_detached")
def loop_of_items(logp, ref_logp, mask):
    losses = []
    for row in range(len(logp)):
        loss, ahead = 0.0, 0.0
        for t in reversed(range(logp.shape[1])):
            if mask[row, t]:
                ahead += (logp[row, t] - ref_logp[row, t]).item()
                loss += logp[row, t].item() * ahead
        losses.append(loss)
    return torch.tensor(losses, dtype=logp.dtype)


@told("weight_differentiated")
def weight_left_in_the_graph(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("weight_and_reference_differentiated", "reference_moves")
def nothing_detached(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0)
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("wrong_factor_detached")
def other_factor_detached(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp.detach() * ahead, 0.0).sum(1)


@told("what_came_before")
def running_sum_from_the_front(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    return (torch.where(mask, logp, 0.0) * gap.cumsum(1)).sum(1)


@told("own_token_left_out")
def total_less_the_running_sum(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.sum(1, keepdim=True) - gap.cumsum(1)
    return (torch.where(mask, logp, 0.0) * ahead).sum(1)


@told("not_turned_back")
def flipped_once(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1)
    return (torch.where(mask, logp, 0.0) * ahead).sum(1)


@told("multiplied_by_the_mask")
def mask_multiplied(logp, ref_logp, mask):
    gap = ((logp - ref_logp) * mask).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (logp * ahead * mask).sum(1)


@told("multiplied_by_the_mask", "mask_left_out_of_logp")
def mask_forgotten_on_logp(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (logp * ahead).sum(1)


@told("mask_ignored")
def no_mask(logp, ref_logp, mask):
    gap = (logp - ref_logp).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (logp * ahead).sum(1)


@told("padding_in_the_log_ratios")
def mask_at_the_end(logp, ref_logp, mask):
    gap = (logp - ref_logp).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("negated")
def as_a_reward(logp, ref_logp, mask):
    gap = torch.where(mask, ref_logp - logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (torch.where(mask, logp, 0.0) * ahead).sum(1)


@told("mean_over_tokens")
def averaged_over_the_tokens(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    loss = (torch.where(mask, logp, 0.0) * ahead).sum(1)
    return loss / mask.sum(1).clamp(min=1)


@told("averaged_over_responses", "added_over_responses")
def one_mean(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (torch.where(mask, logp, 0.0) * ahead).sum(1).mean()


@told("added_over_responses", "averaged_over_responses")
def one_sum(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return (torch.where(mask, logp, 0.0) * ahead).sum()


@told("left_per_token")
def not_summed(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp, 0.0) * ahead


@told("less_the_mean_of_the_batch")
def with_a_baseline(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    ahead = ahead - ahead.mean(0, keepdim=True)
    return (torch.where(mask, logp, 0.0) * ahead).sum(1)


@told("less_the_mean_of_the_batch", "less_one_mean_of_the_batch")
def with_one_baseline_for_all(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    ahead = ahead - ahead[mask].mean()
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("padding_taken_to_be_last")
def lengths(logp, ref_logp, mask):
    losses = []
    for p, q, n in zip(logp, ref_logp, mask.sum(1).tolist(), strict=True):
        gap = (p[:n] - q[:n]).detach()
        losses.append((p[:n] * gap.flip(0).cumsum(0).flip(0)).sum())
    return torch.stack(losses)


@told("one_for_each_token")
def product_rule_kept_at_each_token(logp, ref_logp, mask):
    cost = torch.where(mask, logp - ref_logp + 1, 0.0).detach()
    ahead = cost.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("k3_in_the_reward")
def k3_from_each_token_on(logp, ref_logp, mask):
    delta = torch.where(mask, ref_logp - logp, 0.0).detach()
    cost = delta.exp() - 1 - delta
    ahead = cost.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("halved")
def half_of_it(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return 0.5 * torch.where(mask, logp * ahead, 0.0).sum(1)


@told("twice_the_whole")
def squared_log_ratio_of_the_response(logp, ref_logp, mask):
    return torch.where(mask, logp - ref_logp.detach(), 0.0).sum(1) ** 2


@told("squares_from_each_token_on")
def k2_of_what_is_ahead(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    ahead = gap.flip(1).cumsum(1).flip(1)
    return 0.5 * torch.where(mask, ahead**2, 0.0).sum(1)


@told("reference_forgotten")
def entropy_to_go(logp, ref_logp, mask):
    own = torch.where(mask, logp, 0.0)
    ahead = own.detach().flip(1).cumsum(1).flip(1)
    return (own * ahead).sum(1)


@told("weighted_by_the_policy")
def weighed_by_probabilities(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)
    return torch.where(mask, logp.exp() * ahead, 0.0).sum(1)


@told("weighted_by_the_response", "weighted_by_the_policy")
def weighed_by_the_responses_probability(logp, ref_logp, mask):
    logp = torch.where(mask, logp, 0.0).sum(1)
    ref_logp = torch.where(mask, ref_logp, 0.0).sum(1).detach()
    return logp.exp() * (logp - ref_logp)


@told("both_changed_in_place")
def padding_zeroed_in_place(logp, ref_logp, mask):
    logp[~mask] = 0.0
    ref_logp[~mask] = 0.0
    gap = (logp - ref_logp).detach()
    return (logp * gap.flip(1).cumsum(1).flip(1)).sum(1)


@told("discounted_0_99")
def discounted(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead, running = torch.zeros_like(gap), torch.zeros_like(gap[:, 0])
    for t in reversed(range(gap.shape[1])):
        running = gap[:, t] + 0.99 * running
        ahead[:, t] = running
    return torch.where(mask, logp * ahead, 0.0).sum(1)


@told("token_by_token")
def huber_free_mse(logp, ref_logp, mask):
    one, other = logp.masked_fill(~mask, 0.0), ref_logp.detach().masked_fill(~mask, 0.0)
    return 0.5 * F.mse_loss(one, other, reduction="none").sum(1)


@told("library: *")
def summed_over_an_axis_that_is_not_there(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    return (logp * gap).sum(2)


@right
def reversed_running_sum(logp, ref_logp, mask):
    logp, ref_logp = logp.masked_fill(~mask, 0.0), ref_logp.masked_fill(~mask, 0.0)
    with torch.no_grad():
        gap = logp - ref_logp
        ahead = gap.sum(1, keepdim=True) - gap.cumsum(1) + gap
    return (logp * ahead).sum(1)


@right
def k2_and_what_follows(logp, ref_logp, mask):
    gap = torch.where(mask, logp - ref_logp.detach(), 0.0)
    after = gap.sum(1, keepdim=True) - gap.cumsum(1)
    return (gap**2 / 2 + gap * after.detach()).sum(1)


@right
def row_by_row(logp, ref_logp, mask):
    losses = []
    for p, q, real in zip(logp, ref_logp, mask, strict=True):
        p, q = p[real], q[real]
        gap = (p - q).detach()
        losses.append(sum((p[t] * gap[t:].sum() for t in range(len(p))), start=p.sum() * 0))
    return torch.stack(losses)
