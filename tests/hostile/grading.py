"""How attacks are graded, and what became of each."""

from collections.abc import Mapping, Sequence

from autograde.course.lessons import setup_modules
from autograde.grading.working import How
from autograde.term.term import Term
from autograde.term.verdict import Graded
from helpers.report import Report
from tests.hostile.entry import Seen, Short


def short_how(lessons: Sequence[str], mode: str, device: str = "cpu") -> How:
    """As `grading.how_of`, with less time for each."""
    return How(mode, setup_modules(tuple(lessons)), Short())


def seen_of(term: Term, students: Mapping[str, str], failed: Sequence[str]) -> dict[str, Seen]:
    """What became of each; students: with their lesson; failed: lines of those not graded."""
    lines = [line.removeprefix("autograde: ") for line in failed]
    reasons = {line.partition(":")[0]: line for line in lines}
    with term.store() as store:
        recorded = store.recorded()
        keys = {s: recorded.get(f"{s}/{lesson}", "") for s, lesson in students.items()}
        found = {student: store.verdict(key) for student, key in keys.items()}
    return {s: _seen(found[s], reasons.get(f"{s}/{lesson}", "")) for s, lesson in students.items()}


def _seen(graded: Graded | None, failed: str) -> Seen:
    if graded is None:
        return Seen(None, failed=failed)
    verdicts = graded.verdicts
    said = {name: repr(Report(verdict, hidden=True)) for name, verdict in verdicts.items()}
    return Seen({name: verdict.points for name, verdict in verdicts.items()}, said, failed)
