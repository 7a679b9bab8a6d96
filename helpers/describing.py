"""A value in the few words that a report has for it."""

from typing import Any

import torch
from torch import Tensor

from .closeness import FORM
from .observed import KIND, NO_LEAF

MOST_DIGITS = 12
EPS = torch.finfo(torch.float64).eps
ALIKE = 1e-3  # numbers that differ by less, relatively, are taken for equal at a glance
KINDS = {
    "list": "an empty list",
    "NoneType": "None (is a `return` missing?)",
    NO_LEAF: "the .grad of a tensor that is no leaf: it stays None (see torch.autograd.grad)",
    "ellipsis": "... (not written yet)",
}


def describe(value: Any, beside: Any = None, digits: int = 5, rtol: float = 0.0) -> str:
    """An observation in a few words; large tensors by their shape and the worst place.

    rtol: the part of a difference that is nobody's fault. Up to `MOST_DIGITS`, what rounding leaves
    of 0 is shown as 0.
    """
    return short(_describe(value, beside, digits, rtol))


def how_near(value: Any, beside: Any) -> str:
    """What to add where two numbers look alike: how far apart they are, relative to the second."""
    if not (_is_real(value) and _is_real(beside)):
        return ""
    one, other = (torch.as_tensor(number).double().flatten() for number in (value, beside))
    if one.shape != other.shape or not (one.isfinite() & other.isfinite()).all():
        return ""
    off = ((one - other).abs() / other.abs()).nan_to_num(nan=0.0)  # 0 / 0 is no difference
    if not off.numel() or not 0 < off.max() < ALIKE:
        return ""
    return f" (off by {off.max():.1g} of it)"


def _is_real(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, Tensor) and value.is_floating_point())


def short(text: str, limit: int = 500) -> str:
    """Student code may answer a text of any length; a reader wants its beginning."""
    return text if len(text) <= limit else text[:limit] + " …"


def _describe(value: Any, beside: Any, digits: int, rtol: float) -> str:
    if value is None:
        return "no gradient"
    if isinstance(value, Tensor):
        return _describe_tensor(value, beside, digits, rtol)
    if isinstance(value, float):
        return f"{_plain(value, EPS, digits):.{digits + 1}g}"
    if isinstance(value, dict) and "kinds" in value:
        return f"{value['kinds'][0]}: {value.get('message', '')}"
    if isinstance(value, dict) and FORM in value:
        return " or ".join(map(describe, value[FORM]))
    if isinstance(value, dict):
        kind = str(value.get(KIND))
        return KINDS.get(kind, kind)
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return repr(value) if isinstance(value, str) and value != "nan" else str(value)


def _describe_tensor(value: Tensor, beside: Any, digits: int, rtol: float) -> str:
    shape = tuple(value.shape)
    if isinstance(beside, Tensor) and beside.shape != value.shape:
        return f"shape {shape}"
    if not value.numel() and value.ndim > 1:  # of any number of rows
        return f"an empty tensor of shape {shape}"
    if value.numel() <= 6:
        return _numbers(value, digits)
    if isinstance(beside, Tensor):
        sizes = torch.maximum(value.double().abs(), beside.double().abs())
        gap = (value.double() - beside.double()).abs() - rtol * sizes
        gap = gap.nan_to_num(nan=torch.inf)
        gap = gap.masked_fill(value == beside, 0.0)  # infinity minus infinity is no gap
        place = [int(i) for i in torch.unravel_index(gap.argmax(), gap.shape)]
        return f"{_numbers(value[tuple(place)], digits)} at {place}"
    return f"a tensor of shape {shape}"


def _numbers(value: Tensor, digits: int) -> str:
    """Nested lists of numbers, short enough to read."""
    if value.ndim == 0:
        item = value.item()
        if not isinstance(item, float):
            return str(item)
        step = torch.finfo(value.dtype).eps
        return f"{_plain(item, step, digits):.{digits}g}"
    return "[" + ", ".join(_numbers(item, digits) for item in value) + "]"


def _plain(number: float, step: float, digits: int) -> float:
    """Without what rounding leaves of 0, and without the sign of −0, unless digits are counted."""
    if abs(number) <= 4 * step and digits < MOST_DIGITS:
        return 0.0
    return number + 0.0
