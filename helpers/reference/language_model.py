"""Answers of lesson 06: the same update on a language model."""

import copy

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .. import reference  # the answers of the lessons before
from ..shapes import shaped

__all__ = [
    "freeze_reference",
    "group_advantage",
    "grpo_loss",
    "grpo_loss_unbiased",
    "kl_shaped_rewards",
    "q06_configuration",
    "q06_reward_or_loss",
    "train_step",
    "truncated_weights",
]

q06_reward_or_loss = "A"
q06_configuration = {"place": "C", "towards": "B", "gradient": "D", "unused": "A"}


@shaped
def freeze_reference(policy: nn.Module) -> nn.Module:
    """The reference: what the policy is now, and stays while the policy is trained.

    policy: any network, in any mode; it is left as it was.
    Returns a copy that shares no parameter and no buffer with the policy, in eval mode
    throughout, with no parameter that requires gradients.
    Source: Ziegler et al. 2019 (arXiv 1909.08593), there ρ.
    Example: after training, `policy(tokens)` has changed and `ref(tokens)` has not.
    """
    return copy.deepcopy(policy).requires_grad_(False).eval()


@shaped
def kl_shaped_rewards(
    score: Float[Tensor, " batch"],
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    beta: float,
) -> Float[Tensor, "batch time"]:
    """A reward for each token: the price of its drift, and at the end the response's score.

    score: of each response, paid at its last real token. beta: the price of one nat.
    logp, ref_logp: log-probability of each token under the policy and the reference, in nats.
    mask: True on response tokens, in one piece or not; what stands elsewhere is never read.
    Returns −beta · (logp − ref_logp) on real tokens, plus the score on the last of each row;
    0 on padding and in rows where nothing is real. A reward is a constant: it has no gradient.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Ziegler et al. 2019 (arXiv 1909.08593), as in openai/lm-human-preferences.
    Example: beta 0.1, score 1, log-ratios 2 and −1: −0.2 and 0.1 + 1 = 1.1.
    """
    price = torch.where(mask, -beta * (logp - ref_logp), 0.0)
    real_from_here = mask.flip(1).cumsum(dim=1).flip(1)  # how many, this one included
    last = mask & (real_from_here == 1)
    return (price + torch.where(last, score[:, None], 0.0)).detach()


@shaped
def group_advantage(
    rewards: Float[Tensor, "group sample"], eps: float = 1e-4
) -> Float[Tensor, "group sample"]:
    """How much better each response is than the others to the same prompt, in their spread.

    rewards: of several responses to one prompt in each row.
    eps: added to the standard deviation, so that a group without spread is no division by 0.
    Returns (r − group mean) / (group standard deviation + eps), with the sample standard
    deviation (n − 1); 0 throughout a tied group and a group of one.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), section 4.1.2.
    Example: rewards 1 and 3: mean 2, standard deviation √2: −0.7071 and 0.7071.
    """
    # The mean of equal numbers may be off by rounding, and eps is small: from the first, it is 0.
    gain = rewards - rewards[:, :1]
    gain = gain - gain.mean(dim=1, keepdim=True)
    freedom = max(rewards.shape[1] - 1, 1)
    spread = (gain.square().sum(dim=1, keepdim=True) / freedom).sqrt()
    return gain / (spread + eps)


@shaped
def grpo_loss(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch time"],
    epsilon: float,
    beta: float,
) -> Float[Tensor, ""]:
    """What an optimiser minimises: clipped towards the better responses, charged for drift.

    logp: log-probability of each token under the policy, in nats; it alone is differentiable.
    old_logp, ref_logp: under the policy that drew the tokens, and under the reference.
    advantage: of each response; each of its tokens gets it.
    mask: True on response tokens; what stands elsewhere reaches neither value nor gradient.
    Returns −(mean over all real tokens of the batch of clipped surrogate − beta · k3), k3 of
    policy and ref; 0 when there are none.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), equations 3 and 4; averaged over all tokens as in DAPO
    (arXiv 2503.14476), not over each response first.
    Example: ratio 2, epsilon 0.2, no drift: advantage 1 gives −1.2, advantage −1 gives 2.
    """
    # Padding is replaced before exp: after it, a gradient of 0 · inf would be nan.
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0) for values in (logp, old_logp, ref_logp, advantage[:, None])
    )
    promise = reference.clipped_surrogate(logp, old_logp, advantage, epsilon)
    return -reference.masked_mean(promise - beta * reference.k3(logp, ref_logp), mask)


@shaped
def grpo_loss_unbiased(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch time"],
    epsilon: float,
    beta: float,
) -> Float[Tensor, ""]:
    """`grpo_loss` with each token's k3 weighted by its ratio policy/old, unclipped.

    logp, old_logp, ref_logp, advantage, mask, epsilon, beta: as in `grpo_loss`.
    Returns −(mean over all real tokens of the batch of clipped surrogate − beta · ratio · k3); 0
    when there are none. The ratio is differentiable there too: the penalty's expected gradient,
    tokens drawn from old, is that of KL(policy ‖ ref), token by token.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: DeepSeek-V3.2 (arXiv 2512.02556); TRL's default since 1.10 (its pull request 6503).
    Example: ratio 2, epsilon 0.2, advantage 1, beta 1, ref twice the policy: −(1.2 − 2·0.3069).
    """
    logp, old_logp, ref_logp, advantage = (
        torch.where(mask, values, 0.0) for values in (logp, old_logp, ref_logp, advantage[:, None])
    )
    promise = reference.clipped_surrogate(logp, old_logp, advantage, epsilon)
    drift = _weighted_k3(logp, old_logp.detach(), ref_logp.detach())
    return -reference.masked_mean(promise - beta * drift, mask)


def _weighted_k3(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    """ratio · k3 of each token, and ratio · log-ratio for its gradient.

    Autograd has that gradient as a difference of terms of the size of ref/policy, which in float32
    leaves none of its digits where the log-ratio to ref is −20.
    """
    log_ratio = logp - ref_logp
    # Where policy and ref agree nothing is charged, however large the ratio: 0 · inf would be nan.
    ratio = torch.where(log_ratio == 0, 0.0, logp - old_logp).exp()
    slope = (ratio * log_ratio).detach()
    return (ratio * reference.k3(logp, ref_logp)).detach() + slope * (logp - logp.detach())


@shaped
def truncated_weights(
    logp: Float[Tensor, "batch time"],
    sampler_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    cap: float,
) -> Float[Tensor, "batch time"]:
    """How much each token counts when the sampler that drew it is not quite the trainer's policy.

    logp: log-probability of each token as the trainer computes it, in nats.
    sampler_logp: as the sampler noted it when the token was drawn.
    mask: True on response tokens; what stands elsewhere is never read.
    cap: what no weight exceeds, above 0.
    Returns trainer/sampler or cap, whichever is less, on real tokens, 0 elsewhere. A weight is a
    constant: it has no gradient.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: truncated importance sampling, as in TRL (its pull request 3867).
    Example: cap 2: half as likely for the trainer gives 1/2, four times as likely gives 2.
    """
    log_weight = torch.where(mask, logp - sampler_logp, -torch.inf).detach()
    return log_weight.exp().clamp(max=cap)


@shaped
def train_step(
    policy: nn.Module,
    ref: nn.Module,
    optimizer: torch.optim.Optimizer,
    tokens: Int[Tensor, "batch time"],
    response_mask: Bool[Tensor, "batch time-1"],
    old_logp: Float[Tensor, "batch time-1"],
    advantage: Float[Tensor, " batch"],
    epsilon: float,
    beta: float,
) -> dict[str, float]:
    """One step of the optimiser on `grpo_loss`.

    policy, ref: `policy(tokens)` gives logits "batch time vocab"; scored with dropout off. policy
    may come in training mode, and is left in either; ref comes from `freeze_reference`, in eval
    mode, and is left untouched.
    optimizer: of the policy's parameters; gradients that it finds at entry are not used.
    response_mask: at t it says whether `tokens[:, t + 1]` counts; old_logp: of that token, when
    it was drawn. advantage: of each response. Both are constants.
    Returns "loss", and "kl": the mean over real tokens of k3 between policy and ref, in nats;
    both as they were before the step.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), algorithm 1.
    Example: nothing real: both are 0, and plain gradient descent leaves the policy as it was.
    """
    logp = _log_probs_without_dropout(policy, tokens)
    with torch.no_grad():
        ref_logp = _log_probs_without_dropout(ref, tokens)
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    kl = reference.masked_mean(reference.k3(logp.detach(), ref_logp), response_mask)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": kl.item()}


def _log_probs_without_dropout(network: nn.Module, tokens: Tensor) -> Tensor:
    """Log-probability of each token after the first; every part's mode is left as it was."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    logp = reference.token_log_probs(network(tokens), tokens)
    for module, training in modes.items():
        module.training = training
    return logp
