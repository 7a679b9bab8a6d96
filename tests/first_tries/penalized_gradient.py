"""First tries at `penalized_gradient`."""

import torch

from . import right, told


def _gain(logits, ref_logits, rewards, beta):
    """Probabilities, and the reward of each action less its penalty."""
    logp = logits.log_softmax(-1)
    return logp.exp(), rewards - beta * (logp - ref_logits.log_softmax(-1))


@told("gradient_of_log_probs")
def product_rule_without_the_sum(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - beta)


@told("mean_forgotten")
def not_centred(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * gain


@told("gradient_of_probabilities")
def with_respect_to_probabilities(logits, ref_logits, rewards, beta):
    _, gain = _gain(logits, ref_logits, rewards, beta)
    return gain - beta


@told("probability_forgotten")
def without_the_probability_in_front(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return gain - (policy * gain).sum(-1, keepdim=True)


@told("plain_mean")
def centred_by_the_plain_mean(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - gain.mean(-1, keepdim=True))


@told("product_rule_without_the_sum")
def the_one_is_left(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True) - beta)


@told("penalty_not_centred")
def reward_alone_is_centred(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - (policy * rewards).sum(-1, keepdim=True))


@told("divergence_for_the_log_ratio")
def kl_in_place_of_its_parts(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    mean = (policy * rewards).sum(-1, keepdim=True)
    kl = (policy * (rewards - gain)).sum(-1, keepdim=True)
    return policy * (rewards - mean - kl)


@told("penalty_forgotten")
def reward_alone(logits, ref_logits, rewards, beta):
    policy = logits.softmax(-1)
    return policy * (rewards - (policy * rewards).sum(-1, keepdim=True))


@told("reward_forgotten")
def penalty_alone(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, torch.zeros_like(rewards), beta)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))


@told("divergence_rewarded")
def penalty_added(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, -beta)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))


@told("descends")
def for_descent(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * ((policy * gain).sum(-1, keepdim=True) - gain)


@told("diagonal_only")
def diagonal_alone(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (1 - policy) * gain


@told("keepdim_forgotten", "library: *")
def keepdim_forgotten(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - (policy * gain).sum(-1))


@told("mean_over_everything")
def mean_over_everything(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - (policy * gain).sum())


@told("reference_as_weights")
def weights_of_the_reference(logits, ref_logits, rewards, beta):
    _, gain = _gain(logits, ref_logits, rewards, beta)
    ref = ref_logits.softmax(-1)
    return ref * (gain - (ref * gain).sum(-1, keepdim=True))


@told("divergence_swapped")
def gradient_of_kl_of_ref(logits, ref_logits, rewards, beta):
    policy, ref = logits.softmax(-1), ref_logits.softmax(-1)
    return policy * (rewards - (policy * rewards).sum(-1, keepdim=True)) - beta * (policy - ref)


@told("beta_forgotten")
def without_beta(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, 1.0)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))


@told("beta_on_the_reward")
def beta_on_the_reward(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, beta * rewards, 1.0)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))


@told("objective_itself")
def the_objective_itself(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return (policy * gain).sum(-1)


@told("likeliest_action_alone")
def of_the_likeliest_action(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    drawn = policy.argmax(-1, keepdim=True)
    score = torch.zeros_like(policy).scatter(-1, drawn, 1.0) - policy
    return score * gain.gather(-1, drawn)


@told("own_score_times_worth")
def score_times_gain(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return (1 - policy) * gain


@told("normalised_worths")
def normalised_advantage(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    return policy * (gain - gain.mean(-1, keepdim=True)) / (gain.std(-1, keepdim=True) + 1e-8)


@told("by_autograd")
def asks_autograd(logits, ref_logits, rewards, beta):
    logits = logits.detach().clone().requires_grad_()
    with torch.enable_grad():
        policy, gain = _gain(logits, ref_logits, rewards, beta)
        return torch.autograd.grad((policy * gain).sum(), logits)[0]


@told("by_autograd")
def asks_backward(logits, ref_logits, rewards, beta):
    leaf = logits.detach().clone().requires_grad_()
    policy, gain = _gain(leaf, ref_logits, rewards, beta)
    (policy * gain).sum().backward()
    return leaf.grad


@told("by_autograd")
def backward_where_no_graph_is(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    (policy * gain).sum().backward()
    return logits.grad


@told("divergence_rewarded")
def ratio_turned(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, torch.zeros_like(rewards), -beta)
    gain = gain + rewards
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))


@told("over_the_first_axis")
def over_the_first_axis(logits, ref_logits, rewards, beta):
    logp, ref_logp = logits.log_softmax(0), ref_logits.log_softmax(0)
    gain = rewards - beta * (logp - ref_logp)
    return logp.exp() * (gain - (logp.exp() * gain).sum(0, keepdim=True))


@right
def through_the_jacobian(logits, ref_logits, rewards, beta):
    policy, gain = _gain(logits, ref_logits, rewards, beta)
    jacobian = torch.diag_embed(policy) - policy[..., :, None] * policy[..., None, :]
    return (jacobian @ gain[..., None]).squeeze(-1)


@right
def constants_of_the_logits_cancel(logits, ref_logits, rewards, beta):
    policy, gain = logits.softmax(-1), rewards - beta * (logits - ref_logits)
    return policy * (gain - (policy * gain).sum(-1, keepdim=True))
