"""The exercises of every lesson, in the order in which they are taught.

A topic is a package: its ORDER names the exercises, and each of them is the file of that name.
"""

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING

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
    return dict(_described(LESSONS[lesson]))


@cache  # asked for each file of a class
def _described(topic: str) -> "dict[str, Exercise]":
    return {name: _read(topic, name) for name in import_module(f"{__name__}.{topic}").ORDER}


def _read(topic: str, name: str) -> "Exercise":
    return getattr(import_module(f"{__name__}.{topic}.{name}"), name)


def exercise(name: str) -> "Exercise":
    """One exercise. Raises KeyError when no lesson has it."""
    for lesson in LESSONS:
        if name in exercises(lesson):
            return exercises(lesson)[name]
    raise KeyError(name)
