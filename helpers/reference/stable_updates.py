"""Answers of lesson 05: the update itself, penalised, clipped and adaptive."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from ..shapes import shaped

__all__ = [
    "adapt_beta",
    "adapt_beta_proportional",
    "clipped_surrogate",
    "divergence_mask",
    "penalized_loss",
    "policy_update",
    "q05_clip_and_penalty",
    "q05_erratic",
]

q05_clip_and_penalty = "B"
q05_erratic = "C"


@shaped
def penalized_loss(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, "batch time"],
    kl: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    beta: float,
) -> Float[Tensor, ""]:
    """What an optimiser minimises in order to maximise J − β·KL.

    logp: log-probability of each token under the policy, in nats; differentiable.
    old_logp, advantage: of the policy that drew the tokens; held constant, so detach them.
    kl: a divergence for each token, in nats; differentiable: the penalty acts by its gradient.
    mask: True on real tokens; what stands elsewhere reaches neither value nor gradient.
    Returns −(mean over real tokens of ratio × advantage − beta × kl); 0 when there are none.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: PPO (arXiv 1707.06347), equation 8; Xiao & Zhu 2025, section 4.3.3.
    Example: ratio 2, advantage 3, kl 0.5, beta 4: −(2·3 − 4·0.5) = −4.
    """
    # Padding is replaced before exp: after it, a gradient of 0 · inf would be nan.
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    gain = torch.where(mask, ratio * advantage.detach() - beta * kl, 0.0)
    return -gain.sum() / mask.sum().clamp(min=1)


@shaped
def clipped_surrogate(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, "batch time"],
    epsilon: float,
) -> Float[Tensor, "batch time"]:
    """PPO's pessimistic promise of each token: to be maximised.

    logp: log-probability of each token under the policy, in nats; differentiable.
    old_logp, advantage: held constant, so detach them. epsilon: how far the ratio may carry
    the promise.
    Returns min(ratio · advantage, clip(ratio, 1 − epsilon, 1 + epsilon) · advantage) per token:
    ratio · advantage, or where the ratio is past the bound on the side that the advantage asks
    for, the bound times the advantage, with no gradient, however far the token is.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: PPO (arXiv 1707.06347), equation 7.
    Example: advantage −1, epsilon 0.2: ratio 3 gives −3, ratio 1/2 gives −0.8.
    """
    advantage, log_ratio = advantage.detach(), logp - old_logp.detach()
    ratio = log_ratio.detach().exp()
    low, high = ratio.clamp(min=1 - epsilon), ratio.clamp(max=1 + epsilon)
    bounded = torch.where(advantage < 0, low, high)
    held = bounded != ratio
    # A token that the clip holds leaves before exp: after it, a gradient of 0 · inf would be nan.
    free = torch.where(held, 0.0, log_ratio).exp()
    return torch.where(held, bounded, free) * advantage


@shaped
def divergence_mask(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, "batch time"],
    delta: float,
) -> Bool[Tensor, "batch time"]:
    """Which tokens still teach: True, but for those that ran away and are pushed further.

    logp, old_logp: log-probability of each token under the policy and under old, in nats.
    advantage: of its sign alone. delta: how much probability a token may gain or lose, at least 0.
    Returns False where |p − q| > delta, with p = exp(logp) and q = exp(old_logp), and the
    advantage pushes further the same way: above 0 with p > q, or below 0 with p < q. True
    elsewhere, so where the advantage is 0. |p − q| is the total variation of "this token or not".
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: DPPO (arXiv 2602.04879), equations 11 to 13.
    Example: delta 0.2, advantage 1: from 0.3 to 0.55 False, to 0.45 True, to 0.05 True.
    """
    # Each exp by itself: their ratio overflows, and 0 · inf would be nan.
    moved = logp.exp() - old_logp.exp()
    return moved * advantage.sign() <= delta


@shaped
def adapt_beta(beta: float, kl: float, target: float) -> float:
    """The penalty's weight for the next update, by the rule of PPO's paper.

    beta: the weight just used. kl: the divergence that the update came to, in nats.
    target: the divergence wanted of each update.
    Returns half of beta when kl < target / 1.5, twice beta when kl > 1.5 · target, else beta.
    Source: PPO (arXiv 1707.06347), section 4.
    Example: beta 1, target 0.01: kl 0.02 gives 2, kl 0.005 gives 0.5, kl 0.012 gives 1.
    """
    if kl < target / 1.5:
        return beta / 2
    if kl > 1.5 * target:
        return beta * 2
    return beta


@shaped
def adapt_beta_proportional(
    beta: float, kl: float, target: float, n_steps: int, horizon: int
) -> float:
    """The penalty's weight for the next update, moved in proportion to the error.

    beta: the weight just used. kl: the divergence measured. target: the one wanted.
    n_steps: how many samples the update used; horizon: in how many the weight may move by 20 %.
    Returns beta · (1 + e · n_steps / horizon), e = kl / target − 1 clipped to −0.2 … 0.2.
    Source: Ziegler et al. 2019 (arXiv 1909.08593), as in openai/lm-human-preferences.
    Example: beta 0.1, kl 11, target 10, 2,000 of 10,000 samples: 0.1 · (1 + 0.1 · 0.2) = 0.102.
    """
    error = min(max(kl / target - 1, -0.2), 0.2)
    return beta * (1 + error * n_steps / horizon)


@shaped
def policy_update(
    policy: nn.Module,
    optimizer: torch.optim.Optimizer,
    observations: Float[Tensor, "batch obs"],
    actions: Int[Tensor, " batch"],
    advantage: Float[Tensor, " batch"],
    beta: float,
    n_epochs: int,
) -> list[float]:
    """One update: `n_epochs` steps on the same batch, held back by KL(old ‖ policy).

    policy: `policy(observations)` gives logits "batch action"; before the first step it is old.
    optimizer: of the policy's parameters; gradients that it finds at entry are not used.
    actions, advantage: what old did at each observation, and how good it was; constants.
    Each step minimises −mean(ratio · advantage − beta · KL(old ‖ policy)), the KL exact.
    Returns the mean KL(old ‖ policy) over the observations after each step, in nats.
    Raises ValueError when the batch is empty, before anything is changed.
    Source: PPO (arXiv 1707.06347), equation 8.
    Example: with all advantages 0 and beta 0 nothing moves: n_epochs zeros.
    """
    if len(observations) == 0:
        raise ValueError("observations: an empty batch has no mean")
    with torch.no_grad():
        old = policy(observations).log_softmax(dim=-1)
    divergences = []
    for _ in range(n_epochs):
        new = policy(observations).log_softmax(dim=-1)
        ratio = (new - old).gather(1, actions[:, None]).squeeze(1).exp()
        divergence = (old.exp() * (old - new)).sum(dim=-1)
        loss = -(ratio * advantage.detach() - beta * divergence).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            moved = policy(observations).log_softmax(dim=-1)
            divergences.append((old.exp() * (old - moved)).sum(dim=-1).mean().item())
    return divergences
