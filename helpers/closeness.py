"""Whether two observations are the same, up to the rounding of their dtype."""

from typing import Any

import torch
from torch import Tensor

from .cases import Case
from .observed import KIND

FORM = "$one of"  # an expected answer that only says what forms are allowed
NUMBER = {KIND: "a number"}  # as a form: any number
# What rounding alone may do to an answer of ordinary size, by the dtype that came out.
TOLERANCE = {torch.float64: (1e-9, 1e-11), torch.float32: (2e-4, 1e-5)}


def same_value(got: Any, expected: Any, case: Case) -> bool:
    """Equal up to the rounding that the dtype explains; NaN equals nothing."""
    if isinstance(expected, dict) and FORM in expected:
        return any(same_value(got, form, case) for form in expected[FORM])
    if isinstance(expected, dict) and "kinds" in expected:
        return isinstance(got, dict) and expected["kinds"][0] in got.get("kinds", ())
    if isinstance(expected, bool | str | list):
        return _text(got) == _text(expected)
    if expected is None:  # no gradient arrives; a gradient of zeros says the same
        return got is None or (isinstance(got, Tensor) and not got.any())
    if isinstance(expected, int | float):
        return is_number(got) and close(exact(got), expected, case)
    if isinstance(expected, Tensor):
        if got is None:
            return not expected.any()
        return is_tensor_like(got) and close(as_tensor(got), expected, case)
    if expected == NUMBER:
        return is_number(got)
    return got == expected  # kinds: None, Ellipsis and the like


def _text(value: Any) -> Any:
    return value.strip().casefold() if isinstance(value, str) else value


def is_number(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.numel() == 1
    return isinstance(value, int | float) and not isinstance(value, bool)


def exact(number: Any) -> Tensor:
    """A Python number with all its digits: float32's steps are as large as the tolerance."""
    return torch.tensor(float(number), dtype=torch.float64)


def as_tensor(value: Any) -> Tensor:
    return value if isinstance(value, Tensor) else exact(value)


def is_tensor_like(value: Any) -> bool:
    return isinstance(value, Tensor) or is_number(value)


def close(got: Tensor, expected: Tensor | float, case: Case) -> bool:
    wanted = expected if isinstance(expected, Tensor) else exact(expected)
    if got.shape != wanted.shape and not (got.numel() == 1 and not isinstance(expected, Tensor)):
        return False
    if got.shape == wanted.shape and got.dtype == wanted.dtype and torch.equal(got, wanted):
        return True  # as most are: in a fraction of the time
    if not (wanted.is_floating_point() or got.is_floating_point()):
        return torch.equal(got, wanted)
    rtol, atol = tolerance(case, wanted)
    got, wanted = got.reshape(wanted.shape).double(), wanted.double()
    return torch.allclose(got, wanted, rtol=rtol, atol=atol)


def tolerance(case: Case, wanted: Tensor) -> tuple[float, float]:
    """(relative, absolute): the case's own, or what rounding explains."""
    rtol, atol = TOLERANCE.get(wanted.dtype, (1e-2, 1e-2))
    return rtol if case.rtol is None else case.rtol, atol if case.atol is None else case.atol
