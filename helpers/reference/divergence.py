"""Answers of lesson 02: how far the policy moved from the reference, in nats."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .. import reference  # chunked.py sums over the vocabulary
from ..shapes import shaped

__all__ = [
    "categorical_kl",
    "k1",
    "k2",
    "k3",
    "q02_dynamics",
    "q02_interpret_penalty",
    "sequence_log_ratio",
]

q02_dynamics = "C"
q02_interpret_penalty = {"penalty": -1.3, "effect": "encourages"}


@shaped
def categorical_kl(
    logits: Float[Tensor, "*leading vocab"], ref_logits: Float[Tensor, "*leading vocab"]
) -> Float[Tensor, "*leading"]:
    """KL(policy ‖ ref), exactly, from the logits of every outcome.

    logits: the policy's; a logit of −inf is an outcome that cannot happen, and costs 0.
    ref_logits: a constant; −inf where the policy's probability is above 0 costs +inf.
    Returns nats; differentiable in `logits`, the weight π included; summed, and returned, in
    float32 for logits of 16 bits.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3; Cover & Thomas, chapter 2.
    Example: (3/4, 1/4) against (1/2, 1/2): 3/4·log 3/2 + 1/4·log 1/2 = 0.1308.
    """
    return reference.kl_from_logits(logits, ref_logits)


@shaped
def sequence_log_ratio(
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, " batch"]:
    """How much likelier the policy makes each response than the reference does.

    logp, ref_logp: log-probability of each token, in nats; `ref_logp` is a constant.
    mask: True on response tokens; what stands elsewhere is never read.
    Returns nats, one price for each response.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3.
    Example: two tokens at (3/4, 1/4) against (1/2, 1/2): log 3/2 + log 1/2 = log 3/4.
    """
    gap = logp - ref_logp.detach()
    return torch.where(mask, gap, 0.0).sum(dim=1)


@shaped
def k1(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """The log-ratio of each drawn token: unbiased for KL(policy ‖ ref), but noisy.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, of either sign.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: log 2 = 0.6931.
    """
    return logp - ref_logp.detach()


@shaped
def k2(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """Half the squared log-ratio of each drawn token: never negative, a little biased.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, 0 or more.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: ½ (log 2)² = 0.2402.
    """
    return 0.5 * (logp - ref_logp.detach()).square()


@shaped
def k3(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """(ref/policy − 1) − log(ref/policy) of each drawn token: unbiased, never negative.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Unbiased where the policy can draw all that ref can.
    Returns nats, 0 or more; in float64 right to 1e-6 of itself for log-ratios down to ±1e-6.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: −1/2 + log 2 = 0.1931.
    """
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - delta
