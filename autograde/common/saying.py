"""What the commands say: the only way to a terminal, and nothing on it that a terminal obeys."""

import sys
import traceback
from types import TracebackType
from typing import TextIO

from helpers.clean import clean

MOST_SAID = 4_000  # characters of one line


def said(text: object) -> str:
    """Text of others within one line that is printed."""
    return clean(text, most=MOST_SAID)


def say(text: object = "", lines: bool = False) -> None:
    """Print a line for whoever called the command; with `lines`, a text of several."""
    _write(sys.stdout, clean(text, lines=True, most=None) if lines else said(text))


def warn(text: object) -> None:
    """Print one line of what went wrong to the error output, as the command's own."""
    _write(sys.stderr, f"autograde: {said(text)}")


def show_exception(kind: type[BaseException], error: BaseException, trace: TracebackType) -> None:
    """Python's own words on what nobody foresaw, as it says them, for `sys.excepthook`."""
    said = "".join(traceback.format_exception(kind, error, trace))
    _write(sys.stderr, clean(said, lines=True))


def _write(stream: TextIO, text: str) -> None:
    """Characters that the stream's encoding lacks are question marks, and no exception."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    print(text.encode(encoding, "replace").decode(encoding), file=stream, flush=True)
