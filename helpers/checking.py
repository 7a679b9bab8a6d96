"""What a student calls: check, hint, progress, ready."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import redirect_stdout
from difflib import get_close_matches
from functools import cache
from importlib import resources
from io import StringIO
from types import CodeType
from typing import Any

from .cases import Case
from .codec import unpack
from .compare import judge
from .probe import ask
from .report import STATUS, Report, is_essay, is_quiz
from .verdict import Verdict, WrongAnswer

ANSWERED = "answered; whether it is right, grading will tell"
ESSAY = (
    "{} is an essay: a person grades it, by the rubric above its cell, so there is neither a check "
    "nor a hint. The rubric says what earns each point; write below it, and save the notebook."
)
INCOMPLETE = "not answered in the form that was asked for"
_verdicts: dict[str, Verdict] = {}  # the latest check of each exercise, for `progress`
_hints_given: dict[str, int] = {}


class UnknownExerciseError(KeyError):
    """No exercise has this name."""

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def _lesson_data() -> dict[str, dict[str, Any]]:
    """lesson: {exercise: what may be known of it}, in order, for every lesson here."""
    folder = resources.files(__package__) / "data"
    files = sorted(
        (path for path in folder.iterdir() if path.name.endswith(".safetensors")),
        key=lambda path: path.name,
    )
    return {path.name.removesuffix(".safetensors"): unpack(path.read_bytes()) for path in files}


def _exercise(name: str) -> dict[str, Any]:
    for exercises in _lesson_data().values():
        for exercise in exercises:
            if exercise["name"] == name:
                return exercise
    known = [exercise["name"] for lesson in _lesson_data().values() for exercise in lesson]
    near = get_close_matches(name, known, 3)
    meant = f"did you mean {' or '.join(near)}?" if near else "its name is above its check"
    raise UnknownExerciseError(f"there is no exercise called {name!r}; {meant}")


def visible_verdict(name: str, answer: Any) -> Verdict:
    """Ask `answer` the visible cases of the exercise and judge what it says.

    Raises UnknownExerciseError when no exercise has that name.
    """
    exercise = _exercise(name)
    cases = [Case.of(case) for case in exercise["cases"]]
    wrong = [WrongAnswer.of(mistake) for mistake in exercise["wrong"]]
    got = ask(answer, cases)
    return judge(name, exercise["parts"], cases, got, exercise["expected"], wrong)


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
    if is_quiz(name) and verdict.status == "right":
        _show(Report(verdict, status=ANSWERED))
    elif is_quiz(name) and verdict.status == "wrong":
        _show(Report(verdict, status=INCOMPLETE, note=f'Stuck? hint("{name}")'))
    elif verdict.status in ("wrong", "raised"):
        _show(Report(verdict, note=f'Stuck? hint("{name}")'))
    else:
        _show(Report(verdict))


def _beneath(name: str, answer: Any, scope: Mapping[str, Any]) -> list[str]:
    """The exercises that an answer calls and that are not right themselves.

    One that is not written is told by the exception that it raises.
    """
    known = {one for lesson in _lesson_data() for one in lesson_exercises(lesson)} - {name}
    called = dict.fromkeys(_names(getattr(answer, "__code__", None)))
    asked = [one for one in called if one in known and one in scope]
    return [one for one in asked if _silent_status(one, scope[one]) in ("wrong", "raised")]


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
    for title in _lesson_data():
        names = lesson_exercises(title)
        if title == lesson or (lesson is None and set(names) & set(_verdicts)):
            print(_count(title, names))
            for name in names:
                print(f"  {name:28} {_standing(name)}")


def _count(title: str, names: list[str]) -> str:
    quizzes = [name for name in names if is_quiz(name)]
    right = {name for name in names if name in _verdicts and _verdicts[name].status == "right"}
    passed, answered = len(right - set(quizzes)), len(right & set(quizzes))
    exercises = f"{passed} of {len(names) - len(quizzes)} exercises pass"
    return f"{title}: {exercises}, {answered} of {len(quizzes)} questions answered"


def _standing(name: str) -> str:
    found = _verdicts.get(name)
    if found is None:
        return "not checked yet"
    return ANSWERED if is_quiz(name) and found.status == "right" else STATUS[found.status]


def ready(*names: str) -> bool:
    """Whether these exercises pass their visible cases; says which ones a cell waits for."""
    scope = sys._getframe(1).f_globals  # the notebook's names, so that a cell need not pass them
    waiting = [f"{name} ({state(name, scope)})" for name in names if state(name, scope)]
    if waiting:
        print("This cell waits for " + ", ".join(waiting) + ".")
    return not waiting


def lesson_exercises(lesson: str) -> list[str]:
    """The names of a lesson's exercises, in order. Raises UnknownExerciseError without a lesson."""
    lessons = _lesson_data()
    if lesson not in lessons:
        raise UnknownExerciseError(f"there is no lesson {lesson!r}; there are {', '.join(lessons)}")
    return [exercise["name"] for exercise in lessons[lesson]]


def state(name: str, scope: Mapping[str, Any]) -> str:
    """Why the exercise is not ready, in words; nothing when it is."""
    if name not in scope:
        return "run its cell first"
    status = _silent_status(name, scope[name])
    return "" if status == "right" else STATUS[status]


def _silent_status(name: str, answer: Any) -> str:
    with redirect_stdout(StringIO()):  # a function that prints has been heard in its own check
        return visible_verdict(name, answer).status


def _show(report: Report) -> None:
    """Rich where a notebook runs, plain elsewhere."""
    if "ipykernel" in sys.modules:
        from IPython.display import display

        display(report)
    else:
        print(report)
