"""One at a time: a file that a process holds, and nobody has to clear up after it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError


@contextmanager
def held(path: Path, by: str) -> Iterator[None]:
    """Hold this file until the block, or the process, ends. Raises UsageError where another does.

    by: who that would be, for the message.
    """
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UsageError(f"{path}: held by {by}; stop that first, or wait for it") from None
        yield
