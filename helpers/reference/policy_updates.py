"""Answers of lesson 01: from reward to an update."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import reference  # chunked.py sums over the vocabulary
from ..shapes import shaped

__all__ = [
    "importance_ratio",
    "masked_mean",
    "q01_parameter_or_policy",
    "q01_penalty_role",
    "surrogate_objective",
    "token_log_probs",
]

q01_penalty_role = "B"
q01_parameter_or_policy = "D"


@shaped
def token_log_probs(
    logits: Float[Tensor, "batch time vocab"],
    tokens: Int[Tensor, "batch time"],
    temperature: float = 1.0,
) -> Float[Tensor, "batch time-1"]:
    """Log-probability of each token after the first, given those before it.

    logits: `logits[:, t] / temperature` scores `tokens[:, t + 1]`; the last ones score nothing.
    temperature: what the tokens were drawn with; above 1 the policy is flatter.
    Returns nats; a sequence of one token gives an empty row. Right for logits of ±1000; summed,
    and returned, in float32 for logits of 16 bits.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3: log π(y | x) is a sum of these.
    Example: logits (log 3, 0), next token 0: log 3/4; at temperature 1/2: log 9/10.
    """
    # Log-probabilities of all words would be another copy of logits: a few positions at a time.
    return reference.drawn_log_probs(logits, tokens, temperature)


@shaped
def masked_mean(
    x: Float[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, ""]:
    """Mean over the real tokens of the whole batch, each of them counting the same.

    mask: True where the token counts; what stands elsewhere, inf and nan too, is never read.
    Returns 0 when no token counts.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: https://github.com/PrimeIntellect-ai/prime-rl/pull/2084, on masks that multiply.
    Example: x = [[1, 2], [6, nan]], mask = [[True, True], [True, False]]: (1 + 2 + 6) / 3 = 3.
    """
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp(min=1)


@shaped
def importance_ratio(
    logp: Float[Tensor, "batch time"], old_logp: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """How many times likelier the policy makes each token than old did.

    logp: log-probability of the token under the policy, in nats.
    old_logp: under the policy that drew it; a constant.
    Returns policy / old, per token: 1 where nothing has changed.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: PPO (arXiv 1707.06347), r_t(θ).
    Example: from 1/4 to 1/2: a ratio of 2, and its gradient with respect to logp is 2 too.
    """
    return (logp - old_logp.detach()).exp()


@shaped
def surrogate_objective(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, ""]:
    """What the old policy's data promise of the new one: J, to be maximised.

    logp: log-probability of each token under the policy, in nats; it alone is varied.
    old_logp: under the policy that drew the tokens; a constant.
    advantage: how much better the token was than old does on average; a constant.
    mask: True on real tokens; what stands elsewhere reaches neither value nor gradient.
    Returns the mean over all real tokens of ratio × advantage; 0 when there are none.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: TRPO (arXiv 1502.05477); PPO (arXiv 1707.06347), there L^CPI.
    Example: ratios 2 and 1/2, advantages 1 and −2: (2·1 + ½·(−2)) / 2 = 1/2.
    """
    # Padding is replaced before exp: after it, a gradient of 0 · inf would be nan.
    logp, old_logp, advantage = (
        torch.where(mask, values, 0.0) for values in (logp, old_logp, advantage)
    )
    return masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)
