"""The attacks graded as one class, with honest neighbours among them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from unittest import mock

from autograde.grading import grade
from autograde.judging import Graded
from autograde.lessons import setup_modules
from autograde.sample import solutions
from autograde.term import Term
from autograde.working import How
from helpers.report import Report
from tests.hostile.catalogue import suite
from tests.hostile.entry import LESSON, Hostile, Seen, Short, save, solved

EVERY = 5  # an honest neighbour comes after so many


def enrol(term: Term) -> tuple[dict[str, Hostile], list[str]]:
    """Hand everything in: the submissions by their student, and the honest neighbours' names."""
    students, neighbours = {}, []
    for number, hostile in enumerate(suite()):
        student = f"h{number:03d}-{hostile.name}"
        students[student] = hostile
        hand_in(term, student, hostile.make)
        if number % EVERY == EVERY - 1:
            neighbours.append(f"h{number:03d}z-neighbour")
            k1 = solutions(LESSON)["k1"] + f"\n# neighbour {number}"
            hand_in(term, neighbours[-1], save(solved(k1=k1)))
    return students, neighbours


def hand_in(term: Term, student: str, make: Callable[[Path], None]) -> None:
    """Put a file where nbgrader looks for it."""
    path = term.submission(student, LESSON)
    path.parent.mkdir(parents=True)
    make(path)


def short_how(lessons: Sequence[str], mode: str, device: str = "cpu") -> How:
    """As `grading.how_of`, with less time for each."""
    return How(mode, setup_modules(tuple(lessons)), Short())


def grade_class(term: Term, students: Sequence[str]) -> dict[str, Seen]:
    """Grade all in one run; where that breaks, one by one, to say which of them broke it."""
    with mock.patch("autograde.grading.how_of", short_how):
        try:
            failed = grade(term, [LESSON], workers=2).failed
        except Exception:
            failed = [line for student in students for line in _alone(term, student)]
    return seen_of(term, students, failed)


def seen_of(term: Term, students: Sequence[str], failed: Sequence[str]) -> dict[str, Seen]:
    """What became of each; failed: lines of those that were not graded."""
    lines = [line.removeprefix("autograde: ") for line in failed]
    reasons = {line.partition("/")[0]: line for line in lines}
    with term.store() as store:
        recorded = store.recorded()
        keys = {student: recorded.get(f"{student}/{LESSON}", "") for student in students}
        found = {student: store.verdict(key) for student, key in keys.items()}
    return {student: _seen(found[student], reasons.get(student, "")) for student in students}


def _alone(term: Term, student: str) -> list[str]:
    try:
        return grade(term, [LESSON], student=student).failed
    except Exception as error:
        return [f"{student}/{LESSON}: CRASHED the run ({type(error).__name__}: {error})"]


def _seen(graded: Graded | None, failed: str) -> Seen:
    if graded is None:
        return Seen(None, failed=failed)
    verdicts = graded.verdicts
    said = {name: repr(Report(verdict, hidden=True)) for name, verdict in verdicts.items()}
    return Seen({name: verdict.points for name, verdict in verdicts.items()}, said, failed)
