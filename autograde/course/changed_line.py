"""A right answer with one line changed: how most mistakes are written."""

import inspect
import textwrap
from collections.abc import Callable
from typing import Any

from ..common.errors import UsageError


def with_line(answer: Callable, name: str, line: str, instead: str) -> Callable:
    """The function `answer` under another name, with `instead` where `line` stands in it.

    line: a line of its source, or a part of one that stands there once.
    What comes back bears its own source as `__source__`, so that another line of it can be
    changed, and what was changed as `__change__`. Raises UsageError when nothing would
    change, or when it is not plain which line is meant.
    """
    plain = getattr(answer, "__shaped__", answer)
    source = _without_docstring(plain)
    found = source.count(line)
    if "\n" in line or found != 1:
        where = f"{plain.__module__}.{plain.__name__}"
        raise UsageError(f"{name}: {line!r} stands {found} times in {where}; quote one line of it")
    if line == instead:
        raise UsageError(f"{name}: {line!r} is changed into itself; write what the mistake has")
    changed = source.replace(line, instead).replace(f"def {plain.__name__}(", f"def {name}(", 1)
    scope: dict[str, Any] = dict(plain.__globals__)
    exec(compile(changed, f"<{name}>", "exec"), scope)
    scope[name].__source__, scope[name].__change__ = changed, (line, instead)
    return scope[name]


def _without_docstring(function: Callable) -> str:
    """The source of a function, from its `def` on."""
    if hasattr(function, "__source__"):  # changed before
        return function.__source__
    source = textwrap.dedent(inspect.getsource(function))
    source = source[source.index("def ") :]
    said = function.__doc__
    if said:
        begin = source.index('"""')
        end = source.index('"""', begin + 3) + 3
        source = source[:begin].rstrip(" ") + source[end:].lstrip("\n")
    return source
