"""Other ways to train than lesson 06's own: what its record compares with the penalty in the loss.

Each is lesson 06's run with one thing changed; the parts are the course's own answers.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import inf

import torch
from torch import Tensor, nn

from helpers import reference
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.tuning import Settings, Steps

Loss = Callable[..., Tensor]

ANSWERS = Steps(reference.freeze_reference, reference.group_advantage, reference.train_step)
USUAL = Settings()
TARGET = 6.0  # nats of a response that the controller steers to
HORIZON = 10  # steps in which it may move the weight by 20 %
DELTA = 0.1  # of the mask: how much probability a token may gain or lose
SMALLER = 1 / 3  # of the learning rate: the control of a run without penalty


@dataclass(frozen=True)
class Method:
    """steps, settings: what Tuning is made with. beta: None for the record's best weight."""

    steps: Steps = ANSWERS
    settings: Settings = USUAL
    beta: float | None = None


def mean_only(rewards: Tensor) -> Tensor:
    """The advantage without its division by the spread (Dr. GRPO, arXiv 2503.20783)."""
    return rewards - rewards.mean(dim=1, keepdim=True)


def stepping(loss: Loss) -> Callable[..., dict[str, float]]:
    """A step like the course's `train_step`, on another loss of the same arguments."""

    def train_step(
        policy: nn.Module,
        ref: nn.Module,
        optimizer: torch.optim.Optimizer,
        tokens: Tensor,
        mask: Tensor,
        old_logp: Tensor,
        advantage: Tensor,
        epsilon: float,
        beta: float,
    ) -> dict[str, float]:
        policy.eval()
        logp = response_log_probs(policy, tokens)
        with torch.no_grad():
            ref_logp = response_log_probs(ref, tokens)
        value = loss(logp, old_logp, ref_logp, advantage, mask, epsilon, beta)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        drift = reference.k3(logp.detach(), ref_logp)
        return {"loss": value.item(), "kl": reference.masked_mean(drift, mask).item()}

    return train_step


def charged_in_the_reward(
    logp: Tensor,
    old_logp: Tensor,
    ref_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    epsilon: float,
    beta: float,
) -> Tensor:
    """Each token pays for the drift from there to the end, by k1, as in Ziegler et al. 2019.

    The score is the advantage. Less the batch's mean at each place, which is the same for all
    tokens there and only takes spread away.
    """
    paid = reference.kl_shaped_rewards(advantage, old_logp, ref_logp, mask, beta)
    to_go = torch.where(mask, paid.flip(1).cumsum(1).flip(1), 0.0)
    to_go = to_go - to_go.sum(0) / mask.sum(0).clamp(min=1)
    return -reference.masked_mean(reference.clipped_surrogate(logp, old_logp, to_go, epsilon), mask)


def masked_by_divergence(
    logp: Tensor,
    old_logp: Tensor,
    ref_logp: Tensor,
    advantage: Tensor,
    mask: Tensor,
    epsilon: float,
    beta: float,
) -> Tensor:
    """No clip: tokens that have run away and are pushed further teach nothing (DPPO)."""
    each = advantage[:, None].expand_as(logp)
    teaches = reference.divergence_mask(logp.detach(), old_logp, each, DELTA)
    ratio = torch.where(mask, logp - old_logp, 0.0).exp()
    promise = torch.where(teaches, ratio * each, 0.0)
    return -reference.masked_mean(promise - beta * reference.k3(logp, ref_logp), mask)


def _with(step: Callable[..., dict[str, float]], **changes: object) -> Steps:
    return replace(ANSWERS, train_step=step, **changes)


def _steered(beta: float, kl: float) -> float:
    return reference.adapt_beta_proportional(beta, kl, TARGET, n_steps=1, horizon=HORIZON)


FOUR = replace(USUAL, n_epochs=4)
METHODS = {
    "β = 0, a third of the rate": Method(
        settings=replace(USUAL, learning_rate=USUAL.learning_rate * SMALLER), beta=0.0
    ),
    "advantage: mean only": Method(replace(ANSWERS, group_advantage=mean_only)),
    "in the reward, k1": Method(_with(stepping(charged_in_the_reward))),
    "in the loss, ρ·k3": Method(_with(stepping(reference.grpo_loss_unbiased))),
    "controller": Method(replace(ANSWERS, controller=_steered)),
}
# What holds a policy that takes four steps on each batch.
EPOCHS = {
    "none": Method(settings=replace(FOUR, epsilon=inf), beta=0.0),
    "clip": Method(settings=FOUR, beta=0.0),
    "mask": Method(_with(stepping(masked_by_divergence)), FOUR, beta=0.0),
    "penalty": Method(_with(stepping(reference.grpo_loss_unbiased)), replace(FOUR, epsilon=inf)),
    "clip and penalty": Method(_with(stepping(reference.grpo_loss_unbiased)), FOUR),
}
