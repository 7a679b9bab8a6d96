"""What these exercises share."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from helpers.cases import Case

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


def alone(logp: Tensor, old_logp: Tensor) -> float:
    """Each token's penalty counts as it is."""
    return 1.0


def ratio_to_old(logp: Tensor, old_logp: Tensor) -> Tensor:
    """Each token's penalty counts as often as the policy draws the token where old drew it once."""
    return (logp - old_logp).exp()


def grpo(
    given: tuple,
    promise: Callable[[Tensor, Tensor, Tensor, float], Tensor] = _clipped,
    penalty: Callable[[Tensor, Tensor], Tensor] = _k3,
    average: Callable[[Tensor, Tensor], Tensor] = averaged,
    constants: tuple[str, ...] = CONSTANTS,
    weight: Callable[[Tensor, Tensor], Tensor | float] = alone,
) -> Tensor:
    """The loss with one of its pieces replaced."""
    *tensors, mask, epsilon, beta = given
    named = dict(zip(ALL_FOUR, tensors, strict=True))
    named["advantage"] = named["advantage"][:, None]
    for name, values in named.items():
        kept = values.detach() if name in constants else values
        named[name] = torch.where(mask, kept, 0.0)
    logp, old_logp, ref_logp, advantage = named.values()
    price = beta * weight(logp, old_logp) * penalty(logp, ref_logp)
    return -average(promise(logp, old_logp, advantage, epsilon) - price, mask)


def leaking_loss(constants: tuple[str, ...], *given: Any) -> Tensor:
    """The loss where only these inputs were detached."""
    return grpo(given, constants=constants)


def grpo_case(
    title: str, part: str, mask: list, beta: float = 0.0, grad: bool = True, **changed: list
) -> Case:
    """By hand: nothing has moved, advantage 1 and epsilon 0.2, where nothing else is said."""
    shape = torch.tensor(mask)
    old = torch.full(shape.shape, -1.5)
    inputs = {"logp": old.clone(), "old_logp": old.clone(), "ref_logp": old.clone()}
    inputs |= {"advantage": torch.ones(len(mask)), "mask": shape, "epsilon": 0.2, "beta": beta}
    inputs |= {name: tensor(*values) for name, values in changed.items()}
    return Case(title, inputs, part, ("logp",) if grad else ())


def grpo_inputs(
    draw: Draw,
    mask: Tensor,
    beta: float = 0.0,
    spread: float = 0.05,
    dtype: torch.dtype = torch.float32,
) -> dict[str, Any]:
    """Drawn: both signs of the advantage, policy near old by `spread`, ref some nats away."""
    old_logp = draw.logp(*mask.shape, dtype=dtype)
    sign = torch.tensor([1.0, -1.0], dtype=dtype).repeat(len(mask))[: len(mask)]
    moved = draw.uniform(*mask.shape, low=-2.0, high=2.0, dtype=dtype)
    drift = draw.uniform(*mask.shape, low=-2.0, high=2.0, dtype=dtype)
    # The farthest are always there, for both signs of the advantage: no bound is seen by luck.
    moved[:, 0], moved[:, 1] = 2.1, -2.1  # times a spread it is on no bound
    drift[0, -1], drift[0, -2] = 3.2, -3.2
    logp = old_logp + spread * moved
    return {
        "logp": logp,
        "old_logp": old_logp,
        "ref_logp": logp - drift,
        "advantage": sign * draw.uniform(len(mask), low=0.3, high=2.0, dtype=dtype),
        "mask": mask,
        "epsilon": 0.2,
        "beta": beta,
    }
