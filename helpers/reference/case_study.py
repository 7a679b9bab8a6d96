"""Answers of lesson 07: how much divergence a proxy is worth, and what went wrong in a run."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..shapes import shaped

__all__ = ["best_kl", "fit_overoptimization", "held_out_error", "q07_diagnose"]

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


@shaped
def held_out_error(
    kl: Float[Tensor, " run"],
    gold: Float[Tensor, " run"],
    held_out: Bool[Tensor, " run"],
    columns: Callable[[Float[Tensor, " run"]], Float[Tensor, "run coefficient"]],
) -> float:
    """How far a form misses runs that it was not fitted to.

    kl: KL(policy ‖ ref) of each run, in nats; runs at 0 or below are left out of everything.
    gold: what the true goal gained over ref, of each run.
    held_out: True where a run is to be predicted, False where it is fitted to.
    columns: of d = √kl, what each coefficient is multiplied by, a row for each run; defined for
    kl above 0, for any number of runs, in the dtype of d.
    Returns the root of the mean squared error of columns(d) · c on the runs held out, with the c
    of least squared error on the others.
    Raises ValueError when the runs to fit have fewer different kl than there are coefficients, or
    when none is left to predict.
    Source: least squares, and the root of a mean square, by their definitions.
    Example: the form c · d, kl (1, 4, 9), gold (2, 4, 5), the last one held out: c = 2, error 1.
    """
    kl, gold, held_out = kl.cpu().double(), gold.cpu().double(), held_out.cpu()
    fitted, predicted = (kl > 0) & ~held_out, (kl > 0) & held_out
    d = kl.sqrt()
    design = columns(d[fitted])  # run coefficient
    if kl[fitted].unique().numel() < design.shape[1]:
        raise ValueError("kl: fewer different ones are left to fit than there are coefficients")
    if not predicted.any():
        raise ValueError("held_out: no run with kl above 0 is left to predict")
    found = torch.linalg.lstsq(design, gold[fitted][:, None]).solution[:, 0]
    errors = columns(d[predicted]) @ found - gold[predicted]
    return errors.square().mean().sqrt().item()
