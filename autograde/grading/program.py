"""A rebuilt notebook as something to run, with its names in the store."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nbformat import NotebookNode

from ..course.lessons import setup_modules
from .edition import edition
from .sandbox import Limits
from .steps import fingerprint, program
from .working import How, Work, seed_of


@dataclass(frozen=True)
class Program:
    """A rebuilt notebook as something to run: mark names the program, key its verdict.

    Both name what was run: they stay when the notebook is cleaned to be shown.
    """

    lesson: str
    rebuilt: NotebookNode
    mode: str
    mark: str = field(init=False)

    def __post_init__(self) -> None:
        unprotected = "-none" if self.mode == "none" else ""  # what it answers may be forged
        mark = fingerprint(self.lesson, self.rebuilt) + unprotected
        object.__setattr__(self, "mark", mark)

    @property
    def key(self) -> str:
        return f"{self.mark}-{edition(self.lesson)}"

    def work(self, secret: bytes, how: How, stored: bytes | None = None) -> Work:
        """secret: with the program, it chooses the hidden cases."""
        mark, steps = self.mark, tuple(program(self.rebuilt))
        seed = seed_of(secret, mark)
        return Work(self.lesson, steps, mark, seed, how, edition(self.lesson), stored)


def how_of(lessons: Iterable[str], mode: str, device: str = "cpu") -> How:
    """How to run submissions of these lessons."""
    return How(mode, setup_modules(tuple(lessons)), Limits(device=device))
