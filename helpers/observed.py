"""How what an answer did is written down."""

from typing import Any

import torch
import torch.autograd.forward_ad
from torch import Tensor

WEIGHTS = (0.5, 1.5)  # of the first and the last of several outputs, where they are differentiated
NO_NUMBER = "the gradient of a loss that is no number"  # as a kind: some loss is inf or nan
NO_LEAF = "no leaf's grad"  # as a kind: what came back is None for that reason
DTYPE = "dtype"  # the observation that `split` makes of a value's dtype
KIND = "$kind"  # stands for a value that is neither a tensor, a number nor a string


def plain_tensor(value: Tensor) -> Any:
    """Its numbers on the CPU, laid out densely; complex ones are no answer to anything here."""
    if value.is_complex() or value.is_quantized:
        return {KIND: f"a {value.dtype} tensor"}
    dense = value.detach().to_dense() if value.layout != torch.strided else value.detach()
    return dense.cpu().contiguous()


def same_bytes(before: Tensor, now: Tensor) -> bool:
    """Equal to the bit, so that a NaN equals itself."""
    now = now.detach()
    if before.shape != now.shape or before.dtype != now.dtype:
        return False
    flat = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (before, now))
    return before.numel() == 0 or torch.equal(*flat)


def kind_of(value: Any) -> str | None:
    """What it is that came back, where it is no tensor, number or text."""
    return value.get(KIND) if isinstance(value, dict) else None


def split(answer: dict[str, Any]) -> dict[str, Any]:
    """The answer with the dtype of its value as an observation of its own."""
    value = answer.get("value")
    if isinstance(value, Tensor):
        return answer | {DTYPE: f"a {str(value.dtype).removeprefix('torch.')} tensor"}
    if kind_of(value) == "numpy":
        return answer | {DTYPE: "a numpy array", "value": value["tensor"]}
    if isinstance(value, bool | int | float):
        return answer | {DTYPE: f"a Python {type(value).__name__}"}
    return answer


def is_value(what: str) -> bool:
    """Whether this observation is of what was returned: of a list or a dict, each has its own."""
    return what == "value" or what.startswith("value ")
