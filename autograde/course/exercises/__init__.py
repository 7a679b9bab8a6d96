"""The exercises of every lesson, in the order in which they are taught."""

from functools import cache

from ...common.errors import UsageError
from ..exercise import Exercise
from . import (
    case_study,
    divergence,
    language_model,
    penalized_objective,
    penalty_gradients,
    policy_updates,
    stable_updates,
    start_here,
)

LESSONS = {
    "00_start_here": start_here,
    "01_policy_updates": policy_updates,
    "02_divergence": divergence,
    "03_penalized_objective": penalized_objective,
    "04_penalty_gradients": penalty_gradients,
    "05_stable_updates": stable_updates,
    "06_language_model": language_model,
    "07_case_study": case_study,
}


def exercises(lesson: str) -> dict[str, Exercise]:
    """The lesson's exercises by name, in order. Raises KeyError for an unknown lesson."""
    return dict(_described(lesson))


@cache  # asked for each file of a class, and a module holds much beside
def _described(lesson: str) -> dict[str, Exercise]:
    described: dict[str, Exercise] = {}
    for value in vars(LESSONS[lesson]).values():
        if isinstance(value, Exercise) and described.setdefault(value.name, value) is not value:
            raise UsageError(f"{lesson}: two exercises are named {value.name}; rename one")
    return described


def exercise(name: str) -> Exercise:
    """One exercise. Raises KeyError when no lesson has it."""
    for lesson in LESSONS:
        if name in exercises(lesson):
            return exercises(lesson)[name]
    raise KeyError(name)
