"""More time for one student: nbgrader's own extension, a length that is added to the due date.

It stands in the gradebook's row of the submission, which is made where nothing was handed in yet,
so whatever decides who is late reads it there. When the due date moves, an extension moves with it.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ..common.errors import UsageError, did_you_mean, shown
from ..common.saying import counted
from ..common.times import read_time
from ..course.lessons import known_lesson
from .rosters import who_is_meant
from .term import FORMGRADER, Term

if TYPE_CHECKING:  # it takes seconds to import
    from sqlalchemy import Connection

STUDENTS = "select id from student"
BACK = "none"
MOST = timedelta(days=3660)
UNITS = {"w": "weeks", "d": "days", "h": "hours", "min": "minutes"}
LENGTH = re.compile(r"\+?((?:\d{1,6}(?:w|d|h|min))+)")
PIECE = re.compile(r"(\d+)(w|d|h|min)")
HOW = (
    "give a time with its zone, such as '2026-10-04 12:00:00 UTC', a length such as 2d, 36h or 1w, "
    "or none"
)


def extend(term: Term, student: str, lesson: str, time: str) -> str:
    """Give a student more time for a lesson, in place of what they had before, or take it back.

    time: when it is due for them, how much longer they have than the others, or BACK. Returns what
    holds now, in words. Raises UsageError for an id, a lesson or a time that is none, and for a
    lesson without a due date.
    """
    lesson = known_lesson(lesson, term.lessons)
    asked = _read(time)
    _require_student(term, student)
    from sqlalchemy import create_engine

    engine = create_engine(term.url)
    with engine.begin() as connection:
        if asked is None:
            _take_back(connection, student, lesson)
            says = f"{student}, {lesson}: no extension any more"
        else:
            due = _due(connection, lesson)
            extra = asked if isinstance(asked, timedelta) else asked - due
            _require_more(lesson, due, extra)
            _give(connection, student, lesson, extra)
            says = f"{student}, {lesson}: {told(due, extra)}"
    engine.dispose()
    graded = f"{student}/{lesson}" in term.in_gradebook()
    return says + ("; what is graded follows with the next autograde grade" if graded else "")


def extensions(term: Term) -> list[str]:
    """A line on each, in the order of the lessons."""
    from sqlalchemy import create_engine

    engine = create_engine(term.url)
    with engine.connect() as connection:
        found = list(extended(connection))
    engine.dispose()
    return [
        f"{lesson}, {student}: {told(due, extra)}"
        for name in term.lessons
        for lesson, student, due, extra in found
        if lesson == name
    ]


def extended(
    connection: "Connection",
) -> Iterator[tuple[str, str, datetime | None, timedelta]]:
    """(lesson, student, the due date of all, how much more) of each, in the order of the ids."""
    from sqlalchemy import select

    from .gradebook import assignments, submissions

    query = (
        select(
            assignments.c.name, submissions.c.student_id, assignments.c.duedate,
            submissions.c.extension,
        )
        .join(assignments, assignments.c.id == submissions.c.assignment_id)
        .where(submissions.c.extension.is_not(None))
        .order_by(submissions.c.student_id)
    )  # fmt: skip
    yield from map(tuple, connection.execute(query))


def _read(text: str) -> datetime | timedelta | None:
    """A moment, in UTC and without a zone as the gradebook has them; a length; None for BACK.

    Raises UsageError for anything else, and for a time without a zone, which could be two.
    """
    if text.strip().casefold() == BACK:
        return None
    if LENGTH.fullmatch(text.strip().casefold().removeprefix("-")) and text.strip()[0] == "-":
        raise UsageError(f"{shown(text)}: nobody can have less time than the others; {HOW}")
    if length := LENGTH.fullmatch(text.strip().casefold()):
        pieces = PIECE.findall(length[1])
        try:
            return sum((timedelta(**{UNITS[unit]: int(n)}) for n, unit in pieces), timedelta())
        except OverflowError:
            raise UsageError(f"{shown(text)}: too long; {HOW}") from None
    time = read_time(text)
    if time is None or not re.search(r"(?:[A-Za-z]|[+-]\d\d:?\d\d)\s*$", text):
        raise UsageError(f"{shown(text)!r}: no time that can be read, with a zone; {HOW}")
    return time.astimezone(UTC).replace(tzinfo=None)


def _require_student(term: Term, student: str) -> None:
    rows = term.roster()
    known = {row["id"] for row in rows} | {one for (one,) in term.rows(STUDENTS)}
    if student not in known:
        near = who_is_meant(student, rows) or did_you_mean(student, sorted(known))
        raise UsageError(f"{term.root}: nobody has the id {shown(student)!r}{near}; check the id")


def _due(connection: "Connection", lesson: str) -> datetime:
    """Raises UsageError where there is no date that could be extended."""
    from sqlalchemy import select

    from .gradebook import assignments

    query = select(assignments.c.duedate).where(assignments.c.name == lesson)
    due = connection.execute(query).scalar()
    if due is None:
        raise UsageError(f"{lesson}: has no due date, so nobody is late; set one in {FORMGRADER}")
    return due


def _require_more(lesson: str, due: datetime, extra: timedelta) -> None:
    if extra <= timedelta():
        raise UsageError(f"{lesson}: is due {_at(due)} for all; name a later time")
    if extra > MOST:
        raise UsageError(f"{lesson}: {_length(extra)} after the others is too long; {HOW}")


def _give(connection: "Connection", student: str, lesson: str, extra: timedelta) -> None:
    from .gradebook import assignments, row_of, students, submissions

    row_of(connection, students, id=student)
    assignment = row_of(connection, assignments, name=lesson)
    entry = row_of(connection, submissions, assignment_id=assignment.id, student_id=student)
    own = submissions.c.id == entry.id
    connection.execute(submissions.update().where(own).values(extension=extra))


def _take_back(connection: "Connection", student: str, lesson: str) -> None:
    """And what stands there for the extension alone."""
    from sqlalchemy import select

    from .gradebook import assignments, copies, submissions

    query = (
        select(submissions.c.id, submissions.c.extension)
        .join(assignments, assignments.c.id == submissions.c.assignment_id)
        .where(assignments.c.name == lesson, submissions.c.student_id == student)
    )
    entry = connection.execute(query).first()
    if entry is None or entry.extension is None:
        raise UsageError(f"{lesson}: {student} has no extension to take back")
    own = submissions.c.id == entry.id
    there = select(copies.c.id).where(copies.c.assignment_id == entry.id)
    if connection.execute(there).first() is None:
        connection.execute(submissions.delete().where(own))
    else:
        connection.execute(submissions.update().where(own).values(extension=None))


def told(due: datetime | None, extra: timedelta) -> str:
    """An extension, in words."""
    longer = f"{_length(extra)} after the others"
    return f"due {_at(due + extra)}, {longer}" if due else f"{longer}, of whom none is due"


def _at(time: datetime) -> str:
    return f"{time:%Y-%m-%d %H:%M:%S} UTC"


def _length(extra: timedelta) -> str:
    """In days, hours and minutes, those that there are."""
    hours, rest = divmod(extra.seconds, 3600)
    pieces = {"day": extra.days, "hour": hours, "minute": rest // 60, "second": rest % 60}
    return " ".join(counted(n, unit) for unit, n in pieces.items() if n)
