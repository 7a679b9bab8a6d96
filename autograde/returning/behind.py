"""Points that are not of what lies there now: what came, or was changed, since they were given."""

from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from ..common.saying import some_of
from ..grading.preparing import mark_of
from ..term.term import Term
from ..term.typed import LOOK, typed

GRADE = "run: autograde grade"
KINDS = {
    "changed": f"the points are of the lesson as it was before autograde init changed it; {GRADE}",
    "newer": f"the points are of an earlier file than the newest; {GRADE}",
    "ungraded": f"handed in, and not graded yet: no points stand there; {GRADE}",
    "failed": "handed in what cannot be graded: no points stand there; autograde grade says why",
}

OUTDATED = ("changed", "newer")  # of which points stand; of the others none do


@dataclass
class Told:
    """What there is to say of points that go out, in lines.

    outdated: on those that are not of the newest file, or not of the lesson as it is now. others:
    what else is to be known. without: (student, lesson) of what was handed in and has no points.
    """

    outdated: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    without: set[tuple[str, str]] = field(default_factory=set)


def behind(term: Term, lesson: str) -> dict[str, list[str]]:
    """Of one lesson: students by kind, one of KINDS."""
    graded, base = term.recorded(), mark_of(term.base_path(lesson))
    found: dict[str, list[str]] = {}
    with term.store() as store:
        failed, placed = store.failed(), store.placed()
        for student in sorted(one for one, name in term.submissions() if name == lesson):
            name = f"{student}/{lesson}"
            if name not in graded:
                kind = "failed" if name in failed else "ungraded"
            elif name in failed:
                kind = ""  # which is told of by itself
            else:
                newest = placed[name][0] if name in placed else ""
                path = term.submission(student, lesson)
                kind = _kind(store.recorded_source(name) or "", newest, path, base)
            if kind:
                found.setdefault(kind, []).append(student)
    return found


def _kind(source: str, newest: str, path: Path, base: str) -> str:
    """Of what is graded. source: as `Prepared` has it, which begins with the marks of the file and
    of the lesson. newest: the mark of what was collected last; a file may be replaced by hand."""
    file, *rest = source.split("-")
    if not rest:
        return ""
    if newest not in ("", file) and mark_of(path) != file:
        return "newer"
    return "changed" if rest[0] != base else ""


def told(term: Term, lessons: Collection[str], among: Collection[str]) -> Told:
    """A line for each kind and lesson, on these students alone, and on scores typed before."""
    made = Told()
    for lesson in lessons:
        for kind, students in behind(term, lesson).items():
            those = [one for one in students if one in among]
            if those:
                lines = made.outdated if kind in OUTDATED else made.others
                lines.append(f"{lesson}: {some_of(those)}: {KINDS[kind]}")
            if kind not in OUTDATED:
                made.without |= {(one, lesson) for one in those}
        by_hand = [one for one in typed(term, [lesson]) if one.student in among]
        if by_hand:
            whose = some_of(f"{one.student} ({one.item}, {one.why})" for one in by_hand)
            made.others.append(f"{lesson}: typed by hand: {whose}: {LOOK}")
    return made
