"""Answers of lesson 00: how this course works, on the smallest exercise in it."""

from jaxtyping import Float
from torch import Tensor

from ..shapes import shaped

__all__ = ["log_ratio", "q00_units"]

q00_units = "C"


@shaped
def log_ratio(
    p: Float[Tensor, "*leading"], q: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """How many times likelier p is than q, as a logarithm.

    p, q: probabilities in (0, 1].
    Returns log p − log q in nats: 0 where they are equal, above 0 where p is the larger.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, where the penalty is a sum of such differences.
    Example: p = 1/2, q = 1/4: log 2 = 0.693.
    """
    return p.log() - q.log()
