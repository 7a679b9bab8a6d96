"""Answers of lesson 07: how much divergence a proxy is worth, and what went wrong in a run."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from ..shapes import shaped

__all__ = ["best_kl", "fit_overoptimization", "q07_diagnose"]

q07_diagnose = {"cause": "C", "first_bad_step": 60, "remedy": "D"}


@shaped
def fit_overoptimization(
    kl: Float[Tensor, " run"], gold: Float[Tensor, " run"]
) -> tuple[float, float]:
    """The curve gold = d · (alpha − b · log d), d = √kl, that is nearest to some runs.

    kl: KL(policy ‖ ref) of each run, in nats; runs at 0 or below are left out.
    gold: what the true goal gained over ref, of each run.
    Returns (alpha, b) with the least sum of squared errors of gold.
    Raises ValueError when fewer than two runs are left, or all of them are at one kl.
    Source: Gao et al. 2022 (arXiv 2210.10760), the form for reinforcement learning.
    Example: kl (1, e²) and gold (2, e): alpha 2, b 1.
    """
    kept = kl > 0
    if kl[kept].unique().numel() < 2:
        raise ValueError("kl: a fit needs two runs above 0, and not all at one kl")
    d = kl[kept].cpu().double().sqrt()
    design = torch.stack([d, -d * d.log()], dim=1)  # run coefficient
    fitted = torch.linalg.lstsq(design, gold[kept].cpu().double()[:, None])
    alpha, b = fitted.solution[:, 0].tolist()
    return alpha, b


@shaped
def best_kl(alpha: float, b: float) -> float:
    """The divergence at which gold = d · (alpha − b · log d), d = √kl, is greatest.

    alpha, b: the curve's, as from fit_overoptimization; alpha may be negative.
    Returns a KL in nats: the square of the best d.
    Raises ValueError unless b > 0: otherwise the curve has no peak.
    Source: set the derivative of the curve to 0.
    Example: alpha 1, b 1: the peak is at d = 1, so kl 1.
    """
    if not b > 0:
        raise ValueError(f"b must be above 0, not {b}: otherwise the curve has no peak")
    return math.exp(2 * (alpha / b - 1))
