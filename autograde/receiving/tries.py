"""A try: a notebook whose student and lesson are known, and what collecting it came to."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ..common.errors import LimitError, UsageError, shown
from ..common.guard import guarded
from ..course.exercises import LESSONS
from ..course.recognise import lesson_of, named_lesson
from ..term.reading import ASK_ANEW, notebook_text, quick_cells, what_it_is
from ..term.store import Origin
from .matching import Owner, attempt_of
from .unpacking import BAD_ZIP, Found

CLOCKS = timedelta(hours=1)  # by how much clocks may differ
UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
MOST_ASKED = 100  # lines that ask whom somebody may be


@dataclass
class Collected:
    """placed: student/lesson of what was found for submitted/. notes, unplaced: lines to read.

    same: how many of those placed were there before. left: how many files of other systems, or
    beside a notebook, were left out. more: how many were not placed beside one for each line of
    unplaced. timed: how many of those placed have a hand-in time. times: of each file placed, its
    hash and the time that it is of, the download's where no better is known. origins: by what a
    platform knows each.
    """

    placed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    same: int = 0
    left: int = 0
    more: int = 0
    timed: int = 0
    times: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)


class Told(NamedTuple):
    """The lesson that a notebook is of, the one that its name says, and why it cannot be read."""

    lesson: str
    named: str
    problem: str = ""


@dataclass(frozen=True)
class Try:
    """A notebook whose student and lesson are known.

    named: the lesson that its name says. handed_in: the platform's time, which alone counts for
    lateness. batch: when the last of what it came with was packed or saved. packed: the student's
    own word of when it was packed, which can order a student's tries and no more. late: handed in
    when the lesson was due, see `Dues`. problem: why it cannot be read. kept: it comes from tries/,
    where it was put because another counted.
    """

    owner: Owner
    lesson: str
    named: str
    found: Found
    handed_in: datetime | None
    batch: datetime | None
    packed: datetime | None = None
    late: bool = False
    problem: str = ""
    kept: bool = False

    @property
    def student(self) -> str:
        return self.owner.student

    @property
    def misnamed(self) -> bool:
        """Whether it came under another lesson's name."""
        return self.named not in ("", self.lesson)

    @property
    def when(self) -> datetime:
        """The time that it is of: by then, it was the student's latest."""
        return self.handed_in or self.batch or UNKNOWN

    @property
    def order(self) -> tuple:
        """The greatest of a student's tries is the one that counts: none that cannot be read,
        where another can."""
        return not self.problem, *self.order_in_time

    @property
    def order_in_time(self) -> tuple:
        """The same, whatever can be read."""
        attempt = attempt_of(self.found.name) or attempt_of(self.found.path)
        time = self.found.time or UNKNOWN
        packed = self.packed or UNKNOWN
        in_time = not self.late
        return not self.misnamed, in_time, self.when, packed, attempt, time, str(self.found)


def person(one: Try) -> str:
    return f"{one.student} {one.owner.scope}"


def persons(one: Try) -> list[str]:
    """What one person alone goes by: in their platform's numbers, and in one download of it, in
    which a number is one person's whatever lesson they hand in."""
    if not one.owner.claim or not one.found.batch:
        return [person(one)]
    return [person(one), f"{one.student} {one.owner.claim.platform} in {one.found.batch}"]


def lesson_in(found: Found) -> Told:
    """The lesson by what is in it, and by its name, or its zip's. Raises UsageError if by none."""
    named = named_lesson(found.name) or named_lesson(found.path)
    try:
        lesson, problem = guarded(_lesson_told, found.read(), str(found), named)
    except LimitError as met:
        lesson, problem = named, f"{found}: {met}; {ASK_ANEW}"
    except BAD_ZIP as error:
        lesson, problem = named, f"{found}: cannot be unpacked ({shown(error)}); ask for it again"
    if lesson:
        return Told(lesson, named, problem)
    # A broken file is still somebody's submission: grading will say what is wrong with it.
    for lesson in LESSONS if problem else ():
        if lesson in found.path.parts:
            return Told(lesson, "", problem)
    known = f"of no lesson that is known; name it like one of {', '.join(LESSONS)}"
    raise UsageError(problem or f"{found}: {known}")


def can_be_read(data: bytes) -> bool:
    """Whether grading can do anything with it."""
    try:
        return not guarded(_lesson_told, data, "", "")[1]
    except LimitError:
        return False


def _lesson_told(data: bytes, name: str, named: str) -> tuple[str, str]:
    """The lesson that a notebook's cells are of, and what is wrong with it if it is none."""
    try:
        text = notebook_text(data, name)
    except UsageError as error:
        return lesson_of(named, ()), str(error)
    cells = quick_cells(text)
    return lesson_of(named, cells or ()), f"{name}: {what_it_is(text)}" if cells is None else ""


def packed_at(found: Found, result: Collected) -> datetime | None:
    """The time in a manifest that belongs to the notebook beside it, if it can be true."""
    try:
        told = json.loads(found.manifest or b"")
        if told["sha256"] != mark_of(found.read()):
            result.notes.append(f"{found}: changed after it was packed; its manifest is not used")
            return None
        time = datetime.fromisoformat(told["time"])
        time = time.astimezone(UTC)
    except (*BAD_ZIP, TypeError, KeyError, RecursionError):
        result.notes.append(f"{found}: its manifest cannot be read, and is not used")
        return None
    if time > datetime.now(UTC) + CLOCKS:
        result.notes.append(f"{found}: its manifest is of a time to come, and is not used")
        return None
    return time


def mark_of(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
