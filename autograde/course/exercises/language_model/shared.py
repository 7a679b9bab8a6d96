"""What these exercises share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ...draw import Draw
from ...exercise import tensor

INF, NAN = torch.inf, torch.nan

PADDING = "padding"

EMPTY = "nothing real"

CLIP = "beyond the clip"

PENALTY = "penalty"

UNEQUAL = "rows of unequal length"


def lm_state(
    draw: Draw, vocab: int, width: int, dtype: torch.dtype = torch.float64
) -> dict[str, Tensor]:
    """Weights of a language model, as the "language_model" maker wants them."""
    return {
        "embedding.weight": draw.normal(vocab, width, dtype=dtype),
        "body.1.weight": draw.normal(width, width, scale=0.7, dtype=dtype),
        "body.1.bias": draw.normal(width, scale=0.3, dtype=dtype),
        "head.weight": draw.normal(vocab, width, scale=0.6, dtype=dtype),
        "head.bias": draw.normal(vocab, scale=0.3, dtype=dtype),
        "decay": torch.tensor(0.5, dtype=dtype),
    }


def unigram(*bias: float) -> dict[str, Tensor]:
    """A language model with these logits whatever came before."""
    wide, vocab = tensor([0.0, 0.0], dtype=torch.float64), len(bias)
    return {
        "embedding.weight": wide.repeat(vocab, 1),
        "body.1.weight": wide.repeat(2, 1),
        "body.1.bias": wide[0],
        "head.weight": wide.repeat(vocab, 1),
        "head.bias": tensor(*bias, dtype=torch.float64),
        "decay": torch.tensor(0.5, dtype=torch.float64),
    }


CONSTANTS = ("old_logp", "ref_logp", "advantage")

ALL_FOUR = ("logp", *CONSTANTS)


def _clipped(logp: Tensor, old_logp: Tensor, advantage: Tensor, epsilon: float) -> Tensor:
    """PPO's promise of each token, gradients reaching whatever came in."""
    ratio = (logp - old_logp).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


def _k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return torch.expm1(ref_logp - logp) - (ref_logp - logp)


def averaged(gain: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)


def grpo(
    given: tuple,
    promise: Callable[[Tensor, Tensor, Tensor, float], Tensor] = _clipped,
    penalty: Callable[[Tensor, Tensor], Tensor] = _k3,
    average: Callable[[Tensor, Tensor], Tensor] = averaged,
    constants: tuple[str, ...] = CONSTANTS,
) -> Tensor:
    """The loss with one of its pieces replaced."""
    *tensors, mask, epsilon, beta = given
    named = dict(zip(ALL_FOUR, tensors, strict=True))
    named["advantage"] = named["advantage"][:, None]
    for name, values in named.items():
        kept = values.detach() if name in constants else values
        named[name] = torch.where(mask, kept, 0.0)
    logp, old_logp, ref_logp, advantage = named.values()
    gain = promise(logp, old_logp, advantage, epsilon) - beta * penalty(logp, ref_logp)
    return -average(gain, mask)


def leaking_loss(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The loss where only these inputs were detached."""
    return grpo(given, constants=constants)
