"""What a network is made of, and how it moved: for exercises about policies."""

from typing import Any

import torch
import torch.autograd.forward_ad
from torch import Tensor, nn

from .observed import KIND, WEIGHTS, plain_tensor, same_bytes


def trained_once(network: nn.Module, tokens: Tensor) -> tuple[Any, Tensor]:
    """Its scores, and its parameters' gradients once those of the scores have come on top."""
    scores = network(tokens)
    if scores.requires_grad:
        weights = torch.linspace(*WEIGHTS, scores.numel(), dtype=scores.dtype)
        scores.backward(weights.to(scores.device).reshape(scores.shape))
    slopes = [torch.zeros_like(p) if p.grad is None else p.grad for p in network.parameters()]
    return plain_tensor(scores), torch.cat([slope.flatten() for slope in slopes])


def standing(network: nn.Module) -> dict[str, Any]:
    """All that a caller may care for in a network, by name."""
    found = make_up(network)
    for name, parameter in network.named_parameters():
        grad = parameter.grad
        found[f"gradient of {name}"] = None if grad is None else grad.clone()
    return found | {name: value.detach().clone() for name, value in state(network).items()}


def make_up(network: nn.Module) -> dict[str, Any]:
    """What a network is made of besides its numbers: modes, attributes, hooks, its very parts."""
    found: dict[str, Any] = {}
    for name, module in network.named_modules():
        found[f"mode of {_named(name)}"] = module.training
        found[f"class of {_named(name)}"] = type(module)
        for key, value in vars(module).items():
            held = value.items() if isinstance(value, dict) else [("", value)]
            found |= {f"{key} {of} of {_named(name)}".replace("  ", " "): v for of, v in held}
    for name, value in state(network).items():
        found[f"requires_grad of {name}"] = value.requires_grad
        found[f"hooks of {name}"] = list(value._backward_hooks or ())
    return found


def changes_of(before: dict[str, Any], network: nn.Module) -> list[str]:
    return different(before, standing(network))


def different(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names whose values are no longer the same, gone or new."""
    names = dict.fromkeys([*before, *after])
    return [n for n in names if not _equal(before.get(n, KIND), after.get(n, KIND))]


def _named(module: str) -> str:
    return module or "the whole"


def training_parts(network: nn.Module) -> list[str]:
    return [_named(name) for name, module in network.named_modules() if module.training]


def state(network: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers, each once."""
    return dict([*network.named_parameters(), *network.named_buffers()])


def _equal(one: Any, other: Any) -> bool:
    if one is other:
        return True
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return same_bytes(one, other)
    return type(one) is type(other) and not isinstance(one, nn.Module) and one == other


def moves_with(moved: dict[str, Tensor], watched: nn.Module) -> list[str]:
    """What changes in `watched` when all the numbers `moved` do."""
    before = {name: value.detach().clone() for name, value in state(watched).items()}
    with torch.inference_mode():  # a copy made in that mode can be changed there only
        for value in moved.values():
            value.add_(1)
    return [name for name, now in state(watched).items() if not same_bytes(before[name], now)]
