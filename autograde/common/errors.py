"""What goes wrong in a way that a person can mend."""

import errno
from collections.abc import Iterable
from difflib import get_close_matches
from functools import lru_cache
from heapq import nlargest
from itertools import islice

from helpers.clean import clean

SHOWN = 200  # characters of somebody else's text in a message
# Names that are looked through for one like another, how many of them closely, as that takes the
# square of their length, and how much of each.
MOST_NEAR, MOST_NEARER, MOST_NEAR_LETTERS = 1_000, 5, 40


class UsageError(Exception):
    """One line: the file or the argument, what is wrong with it, and what to do."""


class LimitError(Exception):
    """Work on something that was handed in met a limit; says what it is, with no subject.

    kind: "time", "memory", "size" or "crash".
    """

    def __init__(self, says: str, kind: str) -> None:
        super().__init__(says, kind)
        self.says, self.kind = says, kind

    def __str__(self) -> str:
        return self.says


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """In brackets, what is closest to `name`; nothing where nothing is."""
    near = nearest(name, known)
    return f" (did you mean {shown(near)}?)" if near else ""


def nearest(name: str, known: Iterable[str]) -> str:
    """The first that `name` is a part of, else the one that is most like it; "" for none."""
    known = list(known)
    holds = (one for one in known if name and name.casefold() in one.casefold())
    return next(holds, "") or closest(name, known)


def closest(name: str, known: Iterable[str], likeness: float = 0.6) -> str:
    """The one of the first MOST_NEAR that is most like `name`; "" for none."""
    name = name[:MOST_NEAR_LETTERS]
    by_begin = {one[:MOST_NEAR_LETTERS]: one for one in reversed([*islice(known, MOST_NEAR)])}
    own = _pairs(name)
    nearer = nlargest(
        MOST_NEARER, by_begin, lambda one: len(own & _pairs(one)) / (1 + len(name) + len(one))
    )
    found = get_close_matches(name, nearer, 1, likeness)
    return by_begin[found[0]] if found else ""


@lru_cache(2 * MOST_NEAR)
def _pairs(name: str) -> frozenset[str]:
    """Which letters follow on which, and which is the first: names that are alike share them."""
    return frozenset(name[max(i - 1, 0) : i + 1] for i in range(len(name)))


def shown(text: object) -> str:
    """What somebody else chose, a path say, as a message may hold it."""
    return clean(str(text)[-SHOWN:])


def is_disk_full(error: BaseException) -> bool:
    """Whether this, or what it came from, is the operating system's or SQLite's word for it."""
    causes = (error, error.__cause__, error.__context__, getattr(error, "orig", None))
    return any(
        getattr(cause, "errno", None) == errno.ENOSPC or "disk is full" in str(cause)
        for cause in causes
        if cause is not None
    )
