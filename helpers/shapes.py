"""Shapes written in signatures, checked when a function is called."""

from collections.abc import Callable

from beartype import BeartypeConf, beartype
from jaxtyping import jaxtyped

_typechecker = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int will do for a float


def shaped(function: Callable) -> Callable:
    """Check the jaxtyping annotations of `function` at each call.

    One name stands for one length throughout a call: `Float[Tensor, "batch time"]` twice means
    that both tensors have the same batch and the same time.
    Raises jaxtyping.TypeCheckError, naming the argument, when a shape or a dtype disagrees.
    """
    checked = jaxtyped(function, typechecker=_typechecker)
    checked.__shaped__ = function  # the checks look past the decorator, to say more than it can
    return checked
