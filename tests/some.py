"""What `make test` asks of many alike: some of them; `make test-long` asks the others."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest

LONG = pytest.mark.long


def some(items: Iterable[Any], now: Callable[[Any], bool]) -> list:
    """Parameters for a test, of which those that are not for now are long; a tuple is several."""
    each = ((one, one if isinstance(one, tuple) else (one,)) for one in items)
    return [pytest.param(*values, marks=() if now(one) else LONG) for one, values in each]


def every(number: int, items: Iterable[Any]) -> list:
    """The same, with every so manieth of them for now, the first among them."""
    items = list(items)
    first = {id(one) for one in items[::number]}
    return some(items, lambda one: id(one) in first)
