"""Answers of lesson 04: which number may be differentiated."""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..shapes import shaped

__all__ = [
    "expected_gradient",
    "off_policy_kl_loss",
    "on_policy_kl_loss",
    "q04_bug_museum",
    "response_kl_loss",
]

q04_bug_museum = {
    "k1_loss": "D",
    "second_softmax": "G",
    "kl_div": "A",
    "exponent": "H",
    "padding": "F",
    "train_mode": "B",
    "temperature": "I",
    "detached": "C",
}


@shaped
def expected_gradient(
    logits: Float[Tensor, " vocab"],
    ref_logits: Float[Tensor, " vocab"],
    sample_logits: Float[Tensor, " vocab"],
    estimator: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, " vocab"]:
    """What autograd makes of an estimator, averaged exactly over the token that is drawn.

    logits: the policy's, and what is differentiated; left as they are, `.grad` included.
    ref_logits, sample_logits: constants; the token is drawn from softmax(sample_logits).
    estimator: takes (logp, ref_logp) of all tokens at once, and returns a number for each.
    Returns Σ_y sample(y) · ∇ estimator(logp(y), ref_logp(y)); zeros if no gradient flows.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, for the penalty; arXiv 2506.09477 for its gradients.
    Example: k1, policy (1/2, 1/2), drawn from (3/4, 1/4): (1/4, −1/4), whatever ref is.
    """
    leaf = logits.detach().clone().requires_grad_(True)
    ref_logp = ref_logits.detach().log_softmax(dim=-1)
    values = estimator(leaf.log_softmax(dim=-1), ref_logp)
    if not values.requires_grad:
        return torch.zeros_like(leaf).detach()
    drawn = sample_logits.detach().softmax(dim=-1)
    (gradient,) = torch.autograd.grad(values, leaf, grad_outputs=drawn)
    return gradient


@shaped
def on_policy_kl_loss(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """A loss of each token whose mean gradient, on the policy's own tokens, is ∇KL(policy ‖ ref).

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns a number for each token. Only its gradient counts: the value is yours to choose.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2506.09477; arXiv 2510.01555.
    Example: policy (1/2, 1/2), ref (1/4, 3/4): the mean gradient is (¼ log 3, −¼ log 3).
    """
    gap = logp - ref_logp
    return logp * gap.detach()


@shaped
def off_policy_kl_loss(
    logp: Float[Tensor, "*leading"],
    old_logp: Float[Tensor, "*leading"],
    ref_logp: Float[Tensor, "*leading"],
) -> Float[Tensor, "*leading"]:
    """A loss of each token whose mean and mean gradient, on old's tokens, are KL(policy ‖ ref)'s.

    logp: the policy's log-probability of a token that the old policy drew.
    old_logp, ref_logp: those of old and of the reference; constants.
    Returns nats for each token; averaged over tokens of old, both value and gradient are exact.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2505.17508; arXiv 2512.21852.
    Example: policy (1/2, 1/2), old (3/4, 1/4), ref (1/4, 3/4): the mean is ½ log 4/3 = 0.1438.
    """
    ratio = (logp - old_logp.detach()).exp()
    return ratio * (logp - ref_logp.detach())


@shaped
def response_kl_loss(
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, " batch"]:
    """A loss of each response whose mean gradient, on the policy's own, is ∇KL(policy ‖ ref).

    logp, ref_logp: log-probability of each token that the policy drew; `ref_logp` is a constant.
    mask: True on the response's tokens, wherever they stand; what stands elsewhere is never read.
    Returns a number for each response: 0 where it has no token, else free. It depends on that
    response alone. Its gradient at logp[:, t] depends on the log-ratios from t on alone.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2506.09477; arXiv 2512.21852.
    Example: two tokens, each a or b. The policy is (1/2, 1/2) at both; ref too, save that after a
    first a it is (1/4, 3/4). The first token's logits get (⅛ log 4/3, −⅛ log 4/3) on average.
    """
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)  # from each token on
    return torch.where(mask, logp * ahead, 0.0).sum(1)
