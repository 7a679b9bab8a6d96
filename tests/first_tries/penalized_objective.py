"""First tries at `penalized_objective`."""

import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from . import right, told


def _logs(logits, ref_logits):
    return logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)


def _kl(logits, ref_logits):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (logp - ref_logp)).sum(-1)


def _mean_reward(logits, rewards):
    return (logits.softmax(-1) * rewards).sum(-1)


@told("rewards_weighted_by_logarithms")
def log_probabilities_weigh_the_rewards(logits, ref_logits, rewards, beta):
    logp, _ = _logs(logits, ref_logits)
    return (logp * rewards).sum(-1) - beta * _kl(logits, ref_logits)


@told("rewards_weighted_by_logits")
def logits_weigh_the_rewards(logits, ref_logits, rewards, beta):
    return (logits * rewards).sum(-1) - beta * _kl(logits, ref_logits)


@told("rewards_unweighted")
def rewards_are_not_weighed(logits, ref_logits, rewards, beta):
    return rewards.mean(-1) - beta * _kl(logits, ref_logits)


@told("rewards_added_up")
def rewards_are_summed(logits, ref_logits, rewards, beta):
    return rewards.sum(-1) - beta * _kl(logits, ref_logits)


@told("greedy_reward")
def reward_of_the_likeliest(logits, ref_logits, rewards, beta):
    best = logits.argmax(-1, keepdim=True)
    return rewards.gather(-1, best).squeeze(-1) - beta * _kl(logits, ref_logits)


@told("expected_reward_averaged")
def products_are_averaged(logits, ref_logits, rewards, beta):
    return (logits.softmax(-1) * rewards).mean(-1) - beta * _kl(logits, ref_logits)


@told("summed_over_everything")
def sum_without_an_axis(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    policy = logp.exp()
    return (policy * rewards).sum() - beta * (policy * (logp - ref_logp)).sum()


@told("reward_summed_over_everything")
def rewards_summed_without_an_axis(logits, ref_logits, rewards, beta):
    return (logits.softmax(-1) * rewards).sum() - beta * _kl(logits, ref_logits)


@told("mean")
def mean_of_the_batch(logits, ref_logits, rewards, beta):
    return (_mean_reward(logits, rewards) - beta * _kl(logits, ref_logits)).mean()


@told("sum_forgotten")
def not_summed(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return logp.exp() * (rewards - beta * (logp - ref_logp))


@told("log_ratios_added_up")
def log_ratios_summed_unweighed(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return _mean_reward(logits, rewards) - beta * (logp - ref_logp).sum(-1)


@told("log_ratios_averaged")
def log_ratios_averaged_unweighed(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return _mean_reward(logits, rewards) - beta * (logp - ref_logp).mean(-1)


@told("divergence_rewarded")
def penalty_added(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards) + beta * _kl(logits, ref_logits)


@told("beta_on_the_reward")
def beta_on_the_reward(logits, ref_logits, rewards, beta):
    return beta * _mean_reward(logits, rewards) - _kl(logits, ref_logits)


@told("beta_on_both")
def beta_on_both(logits, ref_logits, rewards, beta):
    return beta * (_mean_reward(logits, rewards) - _kl(logits, ref_logits))


@told("divided_by_beta")
def divided_by_beta(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards) - _kl(logits, ref_logits) / beta


@told("weighted_average")
def mixed_as_one_minus_beta(logits, ref_logits, rewards, beta):
    return (1 - beta) * _mean_reward(logits, rewards) - beta * _kl(logits, ref_logits)


@told("beta_forgotten")
def without_beta(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards) - _kl(logits, ref_logits)


@told("penalty_forgotten")
def without_penalty(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards)


@told("entropy_bonus")
def entropy_bonus(logits, ref_logits, rewards, beta):
    logp, _ = _logs(logits, ref_logits)
    return _mean_reward(logits, rewards) - beta * (logp.exp() * logp).sum(-1)


@told("cross_entropy")
def cross_entropy_penalty(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return _mean_reward(logits, rewards) + beta * (logp.exp() * ref_logp).sum(-1)


@told("divergence_swapped")
def kl_of_ref(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    kl = F.kl_div(logp, ref_logp.exp(), reduction="none").sum(-1)
    return _mean_reward(logits, rewards) - beta * kl


@told("penalty_as_batchmean")
def batchmean(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    kl = F.kl_div(ref_logp, logp, log_target=True, reduction="batchmean")
    return _mean_reward(logits, rewards) - beta * kl


@told("ref_as_probabilities")
def kl_div_fed_probabilities(logits, ref_logits, rewards, beta):
    kl = F.kl_div(ref_logits.softmax(-1), logits.softmax(-1), reduction="none").sum(-1)
    return _mean_reward(logits, rewards) - beta * kl


@told("raw_logits")
def logits_in_the_penalty(logits, ref_logits, rewards, beta):
    policy = logits.softmax(-1)
    return (policy * (rewards - beta * (logits - ref_logits.detach()))).sum(-1)


@told("k2_weighed")
def squared_log_ratios(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    penalty = 0.5 * (logp - ref_logp) ** 2
    return (logp.exp() * (rewards - beta * penalty)).sum(-1)


@told("total_variation")
def total_variation(logits, ref_logits, rewards, beta):
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy * rewards).sum(-1) - beta * 0.5 * (policy - ref).abs().sum(-1)


@told("everything_detached")
def weights_held_constant(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp().detach() * (rewards - beta * (logp - ref_logp))).sum(-1)


@told("penalty_weight_detached")
def weights_of_kl_held_constant(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    kl = (logp.exp().detach() * (logp - ref_logp)).sum(-1)
    return _mean_reward(logits, rewards) - beta * kl


@told("penalty_weight_detached")
def penalty_detached(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards) - beta * _kl(logits, ref_logits).detach()


@told("reference_not_constant")
def reference_left_open(logits, ref_logits, rewards, beta):
    logp, ref_logp = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (logp.exp() * (rewards - beta * (logp - ref_logp))).sum(-1)


@told("returned_the_loss")
def as_a_loss(logits, ref_logits, rewards, beta):
    return -_mean_reward(logits, rewards) + beta * _kl(logits, ref_logits)


@told("score_function")
def reinforce_surrogate(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    gain = (rewards - beta * (logp - ref_logp)).detach()
    return (logp.exp().detach() * logp * gain).sum(-1)


@told("over_the_first_axis")
def over_the_first_axis(logits, ref_logits, rewards, beta):
    policy, ref = logits.softmax(0), ref_logits.detach().softmax(0)
    return (policy * (rewards - beta * (policy.log() - ref.log()))).sum(0)


@told("ratio_without_its_logarithm")
def ratio_without_the_logarithm(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (rewards - beta * (logp - ref_logp).exp())).sum(-1)


@told("baseline_subtracted")
def from_the_baseline(logits, ref_logits, rewards, beta):
    advantage = rewards - rewards.mean(-1, keepdim=True)
    return _mean_reward(logits, advantage) - beta * _kl(logits, ref_logits)


@told("reward_of_the_reference")
def under_the_reference(logits, ref_logits, rewards, beta):
    _, ref_logp = _logs(logits, ref_logits)
    return (ref_logp.exp() * rewards).sum(-1) - beta * _kl(logits, ref_logits)


@told("library: *")
def dim_forgotten(logits, ref_logits, rewards, beta):
    return (torch.softmax(logits) * rewards).sum(-1) - beta * _kl(logits, ref_logits)


@told("library: *")
def kl_from_another_module(logits, ref_logits, rewards, beta):
    return _mean_reward(logits, rewards) - beta * torch.kl_divergence(logits, ref_logits)


@right
def with_distributions(logits, ref_logits, rewards, beta):
    policy, ref = Categorical(logits=logits), Categorical(logits=ref_logits.detach())
    return (policy.probs * rewards).sum(-1) - beta * kl_divergence(policy, ref)


@right
def shaped_reward_held_constant(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    return (logp.exp() * (rewards - beta * (logp - ref_logp).detach())).sum(-1)


@told("k3_weighed")
def expectation_of_k3(logits, ref_logits, rewards, beta):
    logp, ref_logp = _logs(logits, ref_logits)
    delta = ref_logp - logp
    return (logp.exp() * (rewards - beta * (delta.expm1() - delta))).sum(-1)
