"""What a student calls: check, hint, progress, ready."""

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import cache
from importlib import resources
from io import StringIO
from types import CodeType
from typing import Any

from .cases import GRADIENT, VALUES, Case
from .closeness import is_number
from .codec import unpack
from .compare import judge
from .probe import ask
from .report import Report, is_essay, is_quiz, status_of
from .sealed import TOLD, unseal
from .verdict import Verdict, WrongAnswer

INDEX = "index.json"  # made by `autograde build`, as the data beside it
VALIDATING = "NBGRADER_VALIDATING"  # nbgrader sets it where somebody asked to validate
DONE = ("right", "answered")
ESSAY = (
    "{} is an essay: a person grades it, by the rubric above its cell, so there is neither a check "
    "nor a hint. The rubric says what earns each point; write below it, and save the notebook."
)
_verdicts: dict[str, Verdict] = {}  # the latest check of each exercise, for `progress`
_hints_given: dict[str, int] = {}


class UnknownExerciseError(KeyError):
    """No exercise has this name."""

    def __str__(self) -> str:
        return str(self.args[0])


class NotRightError(AssertionError):
    """What a check found, where nbgrader validates: only an exception counts as wrong there."""

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


@cache
def _index() -> dict[str, list[str]]:
    """lesson: the names of its exercises, in order, for every lesson here."""
    return json.loads((resources.files(__package__) / "data" / INDEX).read_text(encoding="utf-8"))


@cache
def _lesson_data(lesson: str) -> dict[str, dict[str, Any]]:
    """exercise: what may be known of it. Of one lesson, as they are large."""
    path = resources.files(__package__) / "data" / f"{lesson}.safetensors"
    return {exercise["name"]: exercise for exercise in unpack(path.read_bytes())}


def _exercise(name: str) -> dict[str, Any]:
    for lesson, names in _index().items():
        if name in names:
            return _lesson_data(lesson)[name]
    if not isinstance(name, str):
        called = getattr(name, "__name__", "k1")
        raise UnknownExerciseError(f'put the name in quotes: "{called}"')
    near = get_close_matches(name, _known(), 3)
    meant = f"did you mean {' or '.join(near)}?" if near else "its name is above its check"
    raise UnknownExerciseError(f"there is no exercise called {name!r}; {meant}")


def _known() -> list[str]:
    return [name for names in _index().values() for name in names]


def require_exercise(name: str) -> None:
    """Raises UnknownExerciseError, naming what is near, when no exercise has that name."""
    _exercise(name)


def visible_verdict(name: str, answer: Any) -> Verdict:
    """Ask `answer` the visible cases of the exercise and judge what it says.

    Raises UnknownExerciseError when no exercise has that name.
    """
    exercise = _exercise(name)
    cases = [Case.of(case) for case in exercise["cases"]]
    wrong = [WrongAnswer.of(mistake) for mistake in exercise["wrong"]]
    got = ask(answer, cases)
    verdict = judge(name, exercise["parts"], cases, got, exercise["expected"], wrong)
    if not is_quiz(name):
        return verdict
    keys = [] if "value" in exercise["expected"][0] else list(exercise["parts"])
    return _of_question(verdict, answer, keys, exercise.get(TOLD))


def _of_question(
    verdict: Verdict, answer: Any, keys: Sequence[str], boxes: Mapping[str, str] | None
) -> Verdict:
    """So far only the form was judged: whether the answer is right, where that may be told here.

    keys: what a dict is asked for by, where it is.
    """
    if verdict.status != "right":
        verdict.status = "incomplete" if verdict.status == "wrong" else verdict.status
        if verdict.status == "incomplete" and not isinstance(answer, dict) and keys:
            form = ", ".join(f'"{key}": …' for key in keys)
            verdict.failures, verdict.diagnoses = (
                [],
                {"no dict": f"A dict is asked for: {{{form}}}."},
            )
        return verdict
    if boxes is None:
        verdict.status = "answered"
        return verdict
    for part in verdict.parts:
        key, one = (part, answer[part]) if isinstance(answer, dict) else ("", answer)
        if is_number(one) or (hasattr(one, "dtype") and not isinstance(one, str)):
            one = float(one)  # a tensor's or numpy's number is a number
        comment = unseal(verdict.exercise, boxes, key, one)
        verdict.passed[part] = bool(comment and comment.right)
        if comment and not comment.right:
            verdict.diagnoses[f"answered {key or one}"] = comment.says
    verdict.status = "right" if all(verdict.passed.values()) else "wrong"
    return verdict


def check(name: str, answer: Any) -> None:
    """Show whether your answer to an exercise passes its visible cases, and if not, why.

    name: the exercise's name, as in its heading. answer: the function or the value you wrote.
    """
    if is_essay(name):
        print(ESSAY.format(name))
        return
    verdict = visible_verdict(name, answer)
    scope = sys._getframe(1).f_globals  # the notebook's names
    if verdict.status in ("wrong", "raised"):
        verdict.calls += _beneath(name, answer, scope)
    if scope.get(name) is answer:  # yours, not a trial of something else
        _verdicts[name] = verdict
    stuck = verdict.status in ("wrong", "raised", "incomplete")
    report = Report(verdict, note=f'Stuck? hint("{name}")' if stuck else "")
    if os.environ.get(VALIDATING) and verdict.status not in DONE:
        raise NotRightError(repr(report))
    _show(report)


def _beneath(name: str, answer: Any, scope: Mapping[str, Any]) -> list[str]:
    """The exercises that an answer calls and that are not right themselves.

    One that is not written is told by the exception that it raises.
    """
    known = {*_known()} - {name}
    called = dict.fromkeys(_names(getattr(answer, "__code__", None)))
    asked = [one for one in called if one in known and one in scope]
    return [one for one in asked if _silent(one, scope[one]).status in ("wrong", "raised")]


def _names(code: Any) -> Iterator[str]:
    """The global names that a function's code mentions, those of functions inside it too."""
    if isinstance(code, CodeType):
        yield from code.co_names
        for constant in code.co_consts:
            yield from _names(constant)


def hint(name: str) -> None:
    """Show the next of the exercise's three hints; after the last, all of them again."""
    if is_essay(name):
        print(ESSAY.format(name))
        return
    hints = _exercise(name)["hints"]
    given = _hints_given[name] = _hints_given.get(name, 0) + 1
    shown = range(len(hints)) if given > len(hints) else [given - 1]
    if given > len(hints):
        print("There is no further hint; here are all of them again.")
    for number in shown:
        print(f"Hint {number + 1} of {len(hints)}: {hints[number]}")


def progress(lesson: str | None = None) -> None:
    """Show where each exercise of a lesson stands since this notebook was started.

    lesson: "02_divergence", say; without it, the lessons of which something was checked.
    """
    if is_essay(lesson):
        print(ESSAY.format(lesson))
        return
    if lesson is not None:
        lesson_exercises(lesson)  # raises where there is no such lesson
    for title, names in _index().items():
        if title == lesson or (lesson is None and set(names) & set(_verdicts)):
            print(_count(title, names))
            for name in names:
                print(f"  {name:28} {_standing(name)}")


def _count(title: str, names: list[str]) -> str:
    found = {name: _verdicts[name].status for name in names if name in _verdicts}
    quizzes = [name for name in names if is_quiz(name)]
    passed = sum(status == "right" for name, status in found.items() if name not in quizzes)
    right = sum(found.get(name) == "right" for name in quizzes)
    answered = sum(found.get(name) in DONE for name in quizzes)
    kept = any(found.get(name) == "answered" for name in quizzes)
    questions = f"{answered} of {len(quizzes)} questions answered"
    if not kept and any(name in found for name in quizzes):
        questions = f"{right} of {len(quizzes)} questions right"
    passes = f"{passed} of {len(names) - len(quizzes)} exercises pass, {questions}"
    return f"{title}, by the last checks: {passes}"


def _standing(name: str) -> str:
    return status_of(_verdicts[name]) if name in _verdicts else "not checked yet"


def ready(*names: str, gradient: bool = False) -> bool:
    """Whether a cell can go on with these exercises: whether their values are right.

    Says which ones it waits for, and what else is not right yet in those that it goes on with.
    gradient: whether it needs their gradients too, as one that trains does.
    """
    scope = sys._getframe(1).f_globals  # the notebook's names, so that a cell need not pass them
    waits, open_parts = [], []
    for name in names:
        verdict = _silent(name, scope[name]) if name in scope else None
        if verdict is None or not _will_do(verdict, gradient):
            waits.append(f"{name} ({status_of(verdict) if verdict else 'run its cell first'})")
        elif verdict.status == "wrong":
            failing = ", ".join(part for part, passed in verdict.passed.items() if not passed)
            open_parts.append(f"{name} ({failing})")
    if waits:
        print("This cell waits for " + ", ".join(waits) + ".")
    elif open_parts:
        print("Not right yet, though this cell works without: " + ", ".join(open_parts) + ".")
    return not waits


def _will_do(verdict: Verdict, gradient: bool) -> bool:
    """Whether what a demonstration needs is right; where there are no values, that is all of it."""
    needed = {VALUES, GRADIENT} if gradient else {VALUES}
    if verdict.status != "wrong" or VALUES not in verdict.parts:
        return verdict.status in DONE
    return all(passed for part, passed in verdict.passed.items() if part in needed)


def written(*made: Any) -> bool:
    """Whether what a cell asked to write, ungraded, is there: nothing of `made` is `...` or None.

    made: what the names of that cell hold, or what its functions return. Says what it waits for.
    """
    there = all(one is not ... and one is not None for one in made)
    if not there:
        print("This cell waits for what you put in place of the dots above.")
    return there


def lesson_exercises(lesson: str) -> list[str]:
    """The names of a lesson's exercises, in order. Raises UnknownExerciseError without a lesson."""
    lessons = _index()
    if lesson not in lessons:
        raise UnknownExerciseError(f"there is no lesson {lesson!r}; there are {', '.join(lessons)}")
    return lessons[lesson]


def state(name: str, scope: Mapping[str, Any]) -> str:
    """Why the exercise is not done, in words; nothing when it is."""
    if name not in scope:
        return "run its cell first"
    verdict = _silent(name, scope[name])
    return "" if verdict.status in DONE else status_of(verdict)


def _silent(name: str, answer: Any) -> Verdict:
    with redirect_stdout(StringIO()):  # a function that prints has been heard in its own check
        return visible_verdict(name, answer)


def _show(report: Report) -> None:
    """Rich where a notebook runs, plain elsewhere."""
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(report)
    else:
        print(report)
