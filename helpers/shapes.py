"""Shapes written in signatures, checked when a function is called."""

import inspect
import re
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Any

from beartype import BeartypeConf, beartype
from jaxtyping import TypeCheckError, jaxtyped
from torch import Tensor

_typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


class ShapeError(TypeCheckError):
    """An argument, or what came back, is not as the signature says: told in two lines."""

    def _render_traceback_(self) -> list[str]:
        """In a notebook: what is wrong and in which line, without the many of how it was found."""
        frames = traceback.extract_tb(self.__traceback__)
        lines = [frame.line for frame in frames if frame.line and frame.filename != __file__]
        own = [line for line in lines if line][-1:]
        return [f"{type(self).__name__}: {self}", *(f"in the line: {line}" for line in own)]


def shaped(function: Callable) -> Callable:
    """Check the jaxtyping annotations of `function` at each call.

    One name stands for one length throughout a call: `Float[Tensor, "batch time"]` twice means
    that both tensors have the same batch and the same time.
    Raises ShapeError (a jaxtyping.TypeCheckError), naming the argument, when a shape or a dtype
    disagrees.
    """
    checked = jaxtyped(function, typechecker=_typechecker)

    @wraps(function)
    def telling(*given: Any, **named: Any) -> Any:
        try:
            return checked(*given, **named)
        except ShapeError:  # of another function, within this one
            raise
        except TypeCheckError as error:
            told = _told(function, given, named, str(error))
        raise ShapeError(told)

    telling.__shaped__ = function  # the checks look past the decorator, to say more than it can
    return telling


def _told(function: Callable, given: tuple, named: dict[str, Any], said: str) -> str:
    """The first argument that is not as it should be, in two lines; where all are, what came back.

    said: by the library that found it.
    """
    bound = inspect.signature(function).bind(*given, **named).arguments
    lengths: dict[str, tuple[int, str]] = {}  # by the axis' name: and the argument that set it
    for name, value in bound.items():
        wanted = function.__annotations__.get(name)
        problem = _problem(name, value, wanted, lengths) if wanted is not None else ""
        if problem:
            return f"{function.__name__}: {problem}"
    wanted = function.__annotations__.get("return")
    shape = re.search(r"Actual value: \w+\[([\d,]*)\]", said)
    if shape and hasattr(wanted, "dim_str"):
        came = shape[1].replace(",", ", ")
        return f"{function.__name__}: it returned [{came}], expected [{_axes(wanted)}]"
    return f"{function.__name__}: {said.partition(chr(10) + '------')[0]}"


def _problem(name: str, value: Any, wanted: Any, lengths: dict[str, tuple[int, str]]) -> str:
    if not hasattr(wanted, "dim_str"):
        plain = isinstance(wanted, type) and not isinstance(value, (wanted, int))
        return f"{name} is {value!r:.60}, expected a {wanted.__name__}" if plain else ""
    if not isinstance(value, Tensor):
        return f"{name} is a {type(value).__name__}, expected a tensor [{_axes(wanted)}]"
    shape = list(value.shape)
    dtype = str(value.dtype).removeprefix("torch.")
    if dtype not in wanted.dtypes:
        return f"{name} is of {dtype}, expected {_kind(wanted)}"
    pairs = _pairs(wanted.dim_str.split(), shape)
    if pairs is None:
        return f"{name} has {shape}, expected [{_axes(wanted)}]"
    for axis, length in pairs:
        known, by = lengths.setdefault(axis, (length, name))
        if known != length:
            return f"{name} has {shape}, expected [{_axes(wanted)}]\n({axis} is {known} in {by})"
    return ""


def _pairs(axes: list[str], shape: list[int]) -> list[tuple[str, Any]] | None:
    """Each axis with its length; None where there are too many or too few of them."""
    several = [axis for axis in axes if axis.startswith("*")]
    extra = len(shape) - len(axes)
    if extra < -len(several) or (extra and not several):
        return None
    pairs: list[tuple[str, Any]] = []
    for axis in axes:
        taken = extra + 1 if axis in several else 1
        held, shape = shape[:taken], shape[taken:]
        if axis in several:
            pairs.append((axis[1:], tuple(held)))
        elif not _is_sum(axis):
            pairs.append((axis, held[0]))
    return pairs


def _is_sum(axis: str) -> bool:
    """Whether it is an expression, such as time-1, and no name."""
    return not axis.isidentifier()


def _axes(wanted: Any) -> str:
    return ", ".join(wanted.dim_str.replace("*", "…").split())


def _kind(wanted: Any) -> str:
    """The dtypes that an annotation takes, in a word or two."""
    if "bool" in wanted.dtypes:
        return "bool"
    floats = any(one.startswith("float") for one in wanted.dtypes)
    return "floating-point numbers" if floats else "whole numbers"
