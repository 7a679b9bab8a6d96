"""Answers as people first try them, written before the exercise's mistakes were looked at.

A module for each exercise holds them, each marked with what may truly be said of it. What is said
besides is false; that nothing is said is no lie, but counted.
"""

import pkgutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from autograde.course.exercise import Exercise
from autograde.course.exercises import LESSONS, exercises
from helpers import exceptions, formulas
from helpers.unnamed import FIRST
from helpers.verdict import Verdict

RIGHT = "right"


@dataclass(frozen=True)
class Try:
    """may: the names of the diagnoses that are true of it; `RIGHT` alone of a right answer."""

    exercise: Exercise
    name: str
    answer: Callable[..., Any]
    may: tuple[str, ...]

    def verdict(self) -> Verdict:
        """As the visible check judges it."""
        return self.exercise.sheet().grade(self.answer)


@dataclass(frozen=True)
class Outcome:
    """What became of a try: refused or not, and the names of what was said truly and falsely."""

    refused: bool
    truly: tuple[str, ...]
    falsely: tuple[str, ...]


def told(*names: str) -> Callable[[Any], Any]:
    """Decorate a wrong answer of which these diagnoses are true: at least one should be given."""

    def mark(answer: Any) -> Any:
        answer.may = names
        return answer

    return mark


def right(answer: Any) -> Any:
    """Decorate an answer that is right, however unlike the reference it looks."""
    return told(RIGHT)(answer)


def outcome(tried: Try, verdict: Verdict) -> Outcome:
    """What the verdict says, against what is true of the answer."""
    said = tuple(name for name in verdict.diagnoses if name != FIRST)  # it explains nothing
    truly = tuple(name for name in said if name in tried.may or _is_computed(name))
    return Outcome(verdict.status != RIGHT, truly, tuple(set(said) - set(truly)))


def _is_computed(name: str) -> bool:
    """Whether it only says what was observed: which formula the values have, what was raised."""
    computed = formulas.PREFIX, exceptions.PREFIX, "no exception", "another exception"
    computed += "a gradient of ", "no gradient of "
    return name.startswith(computed)


def tries(name: str) -> list[Try]:
    """The tries at one exercise, in the order they were written."""
    module = import_module(f"{__name__}.{name}")
    exercise = next(known[name] for known in map(exercises, LESSONS) if name in known)
    marked = [(k, v) for k, v in vars(module).items() if hasattr(v, "may")]
    return [Try(exercise, k, answer, answer.may) for k, answer in marked]


def tried_exercises() -> Iterator[str]:
    """The names of the exercises that have tries here."""
    for found in pkgutil.iter_modules(__path__):
        if not found.name.startswith(("_", "test_")):
            yield found.name
