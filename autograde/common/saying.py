"""What the commands say: the only way to a terminal, and nothing on it that a terminal obeys."""

import sys
import traceback
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TextIO

from helpers.clean import clean

MOST_SAID = 4_000  # characters of one line
MOST_NAMED = 5  # people, or what they handed in, that a line names
ALONE = 5  # of one kind, lines that stand each by itself
TOGETHER = 200  # of one kind, people that one line names


def said(text: object) -> str:
    """Text of others within one line that is printed."""
    return clean(text, most=MOST_SAID)


def say(text: object = "", lines: bool = False) -> None:
    """Print a line for whoever called the command; with `lines`, a text of several."""
    _write(sys.stdout, clean(text, lines=True, most=None) if lines else said(text))


def warn(text: object) -> None:
    """Print one line of what went wrong to the error output, as the command's own."""
    _write(sys.stderr, f"autograde: {said(text)}")


def counted(count: int, one: str, many: str = "") -> str:
    """So many of a thing: "1 page", "2 pages"; many: what more than one are called, where it is not
    with an s at the end."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def folded(lines: Mapping[str, str], says: str, most: int = TOGETHER) -> list[str]:
    """By person, or by file, a line each; of more than a few, one line that says it of all, and
    names so many."""
    if len(lines) <= ALONE:
        return [*lines.values()]
    return [f"{len(lines)} ({some_of(lines, most=most)}): {says}"]


def some_of(names: Iterable[object], between: str = ", ", most: int = MOST_NAMED) -> str:
    """The first of them, and how many more there are."""
    named = [clean(name) for name in names]
    more = f" and {len(named) - most} more" if len(named) > most else ""
    return between.join(named[:most]) + more


def show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
    """Python's own words on what nobody foresaw, as it says them, for `sys.excepthook`."""
    said = "".join(traceback.format_exception(kind, error, trace))
    _write(sys.stderr, clean(said, lines=True))


def _write(stream: TextIO, text: str) -> None:
    """Characters that the stream's encoding lacks are question marks, and no exception."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
