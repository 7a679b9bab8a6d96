"""The exercises of every lesson, in the order in which they are taught.

A topic is a package: its ORDER names the exercises, and each of them is the file of that name.
"""

from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import UsageError

if TYPE_CHECKING:  # the names of the lessons alone need no PyTorch
    from ..exercise import Exercise

# Each lesson's topic.
LESSONS = {
    "00_start_here": "start_here",
    "01_policy_updates": "policy_updates",
    "02_divergence": "divergence",
    "03_penalized_objective": "penalized_objective",
    "04_penalty_gradients": "penalty_gradients",
    "05_stable_updates": "stable_updates",
    "06_language_model": "language_model",
    "07_case_study": "case_study",
}


def exercises(lesson: str) -> "dict[str, Exercise]":
    """The lesson's exercises by name, in order. Raises KeyError for an unknown lesson."""
    return dict(_described(lesson))


@cache  # asked for each file of a class
def names(lesson: str) -> tuple[str, ...]:
    """Of the lesson's exercises, in order: what needs no PyTorch. Raises as `exercises` does."""
    topic = LESSONS[lesson]
    package = import_module(f"{__name__}.{topic}")
    _must_be_whole(topic, package.ORDER, Path(package.__file__).parent)
    return package.ORDER


@cache
def _described(lesson: str) -> "dict[str, Exercise]":
    return {name: _read(LESSONS[lesson], name) for name in names(lesson)}


def _must_be_whole(topic: str, order: Sequence[str], folder: Path) -> None:
    """Raise UsageError where ORDER names an exercise twice, or another one than the files do."""
    twice = next((name for name in order if order.count(name) > 1), "")
    if twice:
        raise UsageError(f"{folder}: two exercises of {topic} are named {twice}; rename one")
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "shared"}
    for name in sorted(files ^ set(order)):
        lacks = f"ORDER does not name {name}" if name in files else f"has no {name}.py"
        raise UsageError(f"{folder}: {lacks}; an exercise is a file, and a name in ORDER")


def _read(topic: str, name: str) -> "Exercise":
    return getattr(import_module(f"{__name__}.{topic}.{name}"), name)


def exercise(name: str) -> "Exercise":
    """One exercise. Raises KeyError when no lesson has it."""
    for lesson in LESSONS:
        if name in exercises(lesson):
            return exercises(lesson)[name]
    raise KeyError(name)
