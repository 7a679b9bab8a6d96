"""Ctrl-C: heard wherever it comes, and by the one process that is to act on it. SIGTERM, which
whoever runs us as a service sends, is heard as it is."""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from types import FrameType
from typing import Any

STOPS = (signal.SIGINT, signal.SIGTERM)
ONE = 1.0  # seconds in which several are one: to a process, and to the group that it is in
_came = threading.Event()


def look() -> None:
    """Raise KeyboardInterrupt where a Ctrl-C has come, in a block of `kept`, and nobody heard it.

    Python raises it wherever the program is, and drops it in a destructor or a weak reference's
    callback; whoever works on for long looks in between.
    """
    if _came.is_set():
        raise KeyboardInterrupt


@contextmanager
def kept(last: bool = False) -> Iterator[None]:
    """In this block no Ctrl-C is lost: see `look`. last: when it ends, so does the process, which
    hears of no more."""
    unraisable, heard = sys.unraisablehook, float("-inf")

    def hear(number: int, frame: FrameType | None) -> None:
        nonlocal heard
        _came.set()
        if time.monotonic() - heard >= ONE:
            heard = time.monotonic()
            raise KeyboardInterrupt

    def say(dropped: Any) -> None:
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            unraisable(dropped)

    with _handled_by(hear, signal.SIG_IGN if last else None):
        sys.unraisablehook = say
        try:
            yield
        finally:
            sys.unraisablehook = unraisable
            _came.clear()


@contextmanager
def put_off() -> Iterator[None]:
    """A Ctrl-C in this block is heard at its end; threads and processes begun in it hear of none.

    In a terminal it reaches every process of a run, and it is the first that ends the others.
    """
    resource_tracker.ensure_running()  # where it starts later, it lifts the mask
    came = []
    with _handled_by(lambda number, frame: came.append(number)):
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    if came:
        raise KeyboardInterrupt


@contextmanager
def _handled_by(handler: Any, after: Any = None) -> Iterator[None]:
    """Python takes handlers from the main thread alone; another has no terminal to hear from.

    after: the handler from the end of the block on; None for that of before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in STOPS}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier if after is None else after)
