"""First tries at `optimal_policy`."""

import torch
from torch.distributions import Categorical

from . import right, told


def _refuse(beta):
    if beta <= 0:
        raise ValueError("beta must be above 0")


def _shifted(rewards):
    return rewards - rewards.max(-1, keepdim=True).values


@told("digits_lost")
def as_displayed(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.log_softmax(-1) + rewards / beta
    return x - x.logsumexp(-1, keepdim=True)


@told("logits_not_shifted", "digits_lost")
def rewards_not_shifted(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + rewards / beta).log_softmax(-1)


@told("shifted_by_one_maximum", "digits_lost")
def less_the_best_of_the_batch(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + (rewards - rewards.max()) / beta).log_softmax(-1)


@told("shifted_by_the_mean", "digits_lost")
def less_the_mean_reward(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + (rewards - rewards.mean(-1, keepdim=True)) / beta).log_softmax(-1)


@told("digits_lost")
def from_a_distribution(ref_logits, rewards, beta):
    _refuse(beta)
    return Categorical(logits=ref_logits + rewards / beta).logits


@told("probabilities")
def probabilities(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards) / beta).softmax(-1)


@told("weights_overflow")
def exponentials_normalised(ref_logits, rewards, beta):
    _refuse(beta)
    weights = ref_logits.softmax(-1) * (rewards / beta).exp()
    return (weights / weights.sum(-1, keepdim=True)).log()


@told("softmax_then_log")
def shifted_exponentials_normalised(ref_logits, rewards, beta):
    _refuse(beta)
    weights = ref_logits.softmax(-1) * (_shifted(rewards) / beta).exp()
    return (weights / weights.sum(-1, keepdim=True)).log()


@told("softmax_then_log")
def logarithm_of_softmax(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards) / beta).softmax(-1).log()


@told("epsilon_in_the_logarithm_1e_8")
def small_number_in_the_logarithm(ref_logits, rewards, beta):
    _refuse(beta)
    return ((ref_logits + _shifted(rewards) / beta).softmax(-1) + 1e-8).log()


@told("not_normalised")
def not_normalised(ref_logits, rewards, beta):
    _refuse(beta)
    return ref_logits.log_softmax(-1) + rewards / beta


@told("logits_not_normalised")
def logits_not_normalised(ref_logits, rewards, beta):
    _refuse(beta)
    return ref_logits + _shifted(rewards) / beta


@told("multiplied_by_beta")
def times_beta(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards) * beta).log_softmax(-1)


@told("beta_forgotten")
def without_beta(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards)).log_softmax(-1)


@told("reference_tempered")
def beta_under_both(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.log_softmax(-1)
    return ((x + _shifted(rewards)) / beta).log_softmax(-1)


@told("prefers_low_rewards")
def rewards_subtracted(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits - (rewards - rewards.min(-1, keepdim=True).values) / beta).log_softmax(-1)


@told("reference_forgotten")
def without_ref(ref_logits, rewards, beta):
    _refuse(beta)
    return (_shifted(rewards) / beta).log_softmax(-1)


@told("reference_without_logarithm")
def probabilities_of_ref_added(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits.softmax(-1) + _shifted(rewards) / beta).log_softmax(-1)


@told("normalised_apart")
def normaliser_without_ref(ref_logits, rewards, beta):
    _refuse(beta)
    return ref_logits.log_softmax(-1) + (_shifted(rewards) / beta).log_softmax(-1)


@told("logits_multiplied")
def logits_times_rewards(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits * (rewards / beta).exp()).log_softmax(-1)


@told("normalised_over_the_first_axis", "logits_normalised_over_the_first_axis")
def normalised_over_the_first_axis(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards) / beta).log_softmax(0)


@told("normalised_over_everything")
def normalised_over_everything(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.log_softmax(-1) + _shifted(rewards) / beta
    return x - x.exp().sum().log()


@told("normalised_by_the_sum_of_logarithms")
def normalised_by_the_sum(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.log_softmax(-1) + _shifted(rewards) / beta
    return x - x.sum(-1, keepdim=True)


@told("library: *")
def keepdim_forgotten(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + (rewards - rewards.max(-1).values) / beta).log_softmax(-1)


@told("library: *")
def values_forgotten(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + (rewards - rewards.max(-1, keepdim=True)) / beta).log_softmax(-1)


@told("beta_not_checked")
def no_refusal(ref_logits, rewards, beta):
    return (ref_logits + _shifted(rewards) / beta).log_softmax(-1)


@told("zero_let_through")
def zero_not_refused(ref_logits, rewards, beta):
    if beta < 0:
        raise ValueError("beta is negative")
    return (ref_logits + _shifted(rewards) / beta).log_softmax(-1)


@told("asserted")
def asserted(ref_logits, rewards, beta):
    assert beta > 0, "beta must be positive"
    return (ref_logits + _shifted(rewards) / beta).log_softmax(-1)


@told("beta_not_checked")
def beta_clamped(ref_logits, rewards, beta):
    return (ref_logits + _shifted(rewards) / max(beta, 1e-8)).log_softmax(-1)


@told("beta_and_1e_6")
def small_number_below(ref_logits, rewards, beta):
    _refuse(beta)
    return (ref_logits + _shifted(rewards) / (beta + 1e-6)).log_softmax(-1)


@told("greedy")
def best_action_alone(ref_logits, rewards, beta):
    _refuse(beta)
    best = torch.zeros_like(rewards).scatter(-1, rewards.argmax(-1, keepdim=True), 1.0)
    return best.log()


@right
def in_double(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.double().log_softmax(-1) + rewards.double() / beta
    return (x - x.logsumexp(-1, keepdim=True)).to(ref_logits.dtype)


@right
def less_the_best_reward(ref_logits, rewards, beta):
    _refuse(beta)
    x = ref_logits.log_softmax(-1) + _shifted(rewards) / beta
    return x - x.logsumexp(-1, keepdim=True)
