"""First tries at `policy_update`."""

import torch
from torch.distributions import Categorical, kl_divergence
from torch.nn.functional import kl_div

from . import right, told


def log_prob(policy, observations, actions):
    return Categorical(logits=policy(observations)).log_prob(actions)


@right
def through_distributions(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    with torch.no_grad():
        old = Categorical(logits=policy(observations))
    kls = []
    for _ in range(n_epochs):
        new = Categorical(logits=policy(observations))
        ratio = (new.log_prob(actions) - old.log_prob(actions)).exp()
        loss = -(ratio * advantage - beta * kl_divergence(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            now = Categorical(logits=policy(observations))
        kls.append(kl_divergence(old, now).mean().item())
    return kls


def loop(policy, optimizer, observations, n_epochs, old, loss_of, divergence=None):
    """What most have right: the loop, and the list after each step."""
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        optimizer.zero_grad()
        loss_of(new).backward()
        optimizer.step()
        with torch.no_grad():
            now = policy(observations).log_softmax(-1)
        kls.append((divergence or kl)(old, now).mean().item())
    return kls


def frozen(policy, observations):
    with torch.no_grad():
        return policy(observations).log_softmax(-1)


def kl(p, q):
    return (p.exp() * (p - q)).sum(-1)


def ratio_of(new, old, actions):
    return (new - old).gather(1, actions[:, None]).squeeze(1).exp()


@right
def with_kl_div(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    rows = torch.arange(len(actions))

    def loss_of(new):
        ratio = (new[rows, actions] - old[rows, actions]).exp()
        return -(ratio * advantage).mean() + beta * kl_div(
            new, old, log_target=True, reduction="batchmean"
        )

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("direction_swapped")
def kl_the_other_way(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * kl(new, old)).mean()

    def turned(old, now):
        return kl(now, old)

    return loop(policy, optimizer, observations, n_epochs, old, loss_of, turned)


@told("direction_swapped_in_the_loss")
def loss_has_the_other_direction(
    policy, optimizer, observations, actions, advantage, beta, n_epochs
):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * kl(new, old)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("measured_before_the_step")
def kl_before_the_step(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        drift = kl(old, new)
        loss = -(ratio_of(new, old, actions) * advantage - beta * drift).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(drift.mean().item())
    return kls


@told("gradients_accumulated")
def gradients_never_cleared(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
    return kls


@told("cleared_once")
def zero_grad_outside_the_loop(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    optimizer.zero_grad()
    return gradients_never_cleared(
        policy, optimizer, observations, actions, advantage, beta, n_epochs
    )


@told("cleared_after_the_step")
def zero_grad_after_the_step(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
    return kls


@told("old_recomputed")
def old_refreshed_each_epoch(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    kls = []
    for _ in range(n_epochs):
        old = frozen(policy, observations)
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
    return kls


@told("advantage_normalised_by_samples")
def normalised_advantages(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    adv = (advantage - advantage.mean()) / (advantage.std() + 1e-8)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * adv - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("raw_logits")
def raw_logits(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    with torch.no_grad():
        old = policy(observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            kls.append(kl(old, policy(observations)).mean().item())
    return kls


@told("logits_not_normalised")
def raw_logits_in_the_ratio(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    with torch.no_grad():
        logits = policy(observations)
    old = logits.log_softmax(-1)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations)
        drift = kl(old, new.log_softmax(-1))
        loss = -(ratio_of(new, logits, actions) * advantage - beta * drift).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
    return kls


@told("gradients_clipped_to_a_half")
def gradients_clipped(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 0.5)
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
    return kls


@told("list_of_the_last")
def only_the_last_kl(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    kls = through_distributions(policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return kls[-1:]


@told("last_divergence_only")
def last_kl_as_a_number(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    kls = through_distributions(policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return kls[-1]


@told("entropy_paid")
def entropy_bonus(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        entropy = -(new.exp() * new).sum(-1)
        gain = ratio_of(new, old, actions) * advantage - beta * kl(old, new)
        return -(gain + 0.01 * entropy).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("taken_action_only")
def sampled_kl(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def taken(p, q):
        return (p - q).gather(1, actions[:, None]).squeeze(1)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * taken(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of, taken)


@told("averaged_over_actions")
def kl_averaged_over_actions(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def mean_kl(p, q):
        return (p.exp() * (p - q)).mean(-1)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * mean_kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of, mean_kl)


@told("penalty_averaged_over_actions")
def kl_div_mean_reduction(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        drift = kl_div(new, old, log_target=True, reduction="mean")
        return -(ratio_of(new, old, actions) * advantage).mean() + beta * drift

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("penalty_added")
def penalty_added(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage + beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("descended")
def ascent_forgotten(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return (ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("loss_summed")
def summed_loss(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).sum()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("clipped_too")
def ppo_clip_added(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        ratio = ratio_of(new, old, actions)
        gain = torch.min(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        return -(gain - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("no_ratio")
def vanilla_policy_gradient(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        taken = new.gather(1, actions[:, None]).squeeze(1)
        return -(taken * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("axis_of_actions_kept")
def ratio_broadcast(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        ratio = (new - old).gather(1, actions[:, None]).exp()
        return -(ratio * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("tensors_in_the_list")
def tensors_in_the_list(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, policy(observations).log_softmax(-1)).mean())
    return kls


@told("penalty_missing")
def kl_is_never_in_the_loss(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("penalty_missing")
def kl_without_gradient(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * kl(old, new.detach())).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("old_not_detached")
def old_carries_a_gradient(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = policy(observations).log_softmax(-1)

    def loss_of(new):
        return -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("stopped_at_a_small_divergence")
def early_stop_at_large_kl(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
        if kls[-1] > 0.015:
            break
    return kls


@told("stopped_at_a_small_divergence", "stopped_early")
def target_kl_of_cleanrl(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    kls = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(old, frozen(policy, observations)).mean().item())
        if kls[-1] > 0.03:
            break
    return kls


@told("old_is_the_policy")
def old_is_an_alias(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old_policy = policy
    kls = []
    for _ in range(n_epochs):
        old = frozen(old_policy, observations)
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kls.append(kl(frozen(old_policy, observations), frozen(policy, observations)).mean().item())
    return kls


@told("no_ratio")
def exp_forgotten(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        log_ratio = (new - old).gather(1, actions[:, None]).squeeze(1)
        return -(log_ratio * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("library: *")
def actions_not_unsqueezed(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        ratio = (new - old).gather(1, actions).exp()
        return -(ratio * advantage - beta * kl(old, new)).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("losses_before_the_step")
def losses_in_the_list(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)
    losses = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(-1)
        loss = -(ratio_of(new, old, actions) * advantage - beta * kl(old, new)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@told("axis_of_actions_kept")
def means_multiplied(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def loss_of(new):
        gain = ratio_of(new, old, actions).mean() * advantage.mean()
        return beta * kl(old, new).mean() - gain

    return loop(policy, optimizer, observations, n_epochs, old, loss_of)


@told("nothing_returned", "last_divergence_only")
def mean_of_the_list(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    kls = through_distributions(policy, optimizer, observations, actions, advantage, beta, n_epochs)
    return sum(kls) / max(len(kls), 1)


@told("probabilities_for_logarithms")
def kl_div_of_probabilities(policy, optimizer, observations, actions, advantage, beta, n_epochs):
    old = frozen(policy, observations)

    def drift(p, q):
        return kl_div(q.exp(), p.exp(), reduction="batchmean")

    def loss_of(new):
        return beta * drift(old, new) - (ratio_of(new, old, actions) * advantage).mean()

    return loop(policy, optimizer, observations, n_epochs, old, loss_of, drift)
