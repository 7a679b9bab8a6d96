"""Which pages of feedback stand as they would be made now: a mark of all that one is made from."""

import hashlib
from collections.abc import Collection, Iterable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from sqlalchemy import Select, create_engine, select

from ..course.lessons import lesson_path
from ..grading.edition import COURSE, HELPERS
from ..term.due import Dues
from ..term.gradebook import (
    assignments,
    base_cells,
    comments,
    copies,
    grades,
    students,
    submissions,
)
from ..term.term import SETTINGS, Term

FEW = 200  # names that a query is told; for more it reads the whole class


def marks(term: Term, names: Collection[str]) -> dict[str, str]:
    """By "student/lesson": a hash of the graded copy, of its rows in the gradebook, of what is
    wrong with a newer file and whether another would be late, and of what makes pages."""
    settings = term.root / SETTINGS
    makers = _makers() + (settings.read_bytes() if settings.is_file() else b"")
    with term.store() as store:
        failed = store.failed()  # of a newer file, which the page tells of
    dues, now = Dues(term), datetime.now(UTC)
    newer = {
        name: f"{failed[name]}{' late' * dues.is_late(*name.split('/'), now)}".encode()
        for name in names if name in failed
    }  # fmt: skip
    found = {name: hashlib.sha256(makers + newer.get(name, b"")) for name in sorted(names)}
    engine = create_engine(term.url)
    with engine.connect() as connection:
        for query in map(_ordered, _queries()):
            if len(found) <= FEW:
                query = query.where(students.c.id.in_({name.split("/")[0] for name in found}))
            for student, lesson, *values in connection.execute(query):
                if made := found.get(f"{student}/{lesson}"):
                    made.update(repr(values).encode())
    engine.dispose()
    for name, made in found.items():
        student, lesson = name.split("/")
        made.update(_saved(lesson_path(term.root / "autograded" / student, lesson)))
    return {name: made.hexdigest() for name, made in found.items()}


def _queries() -> Iterable[Select]:
    """What a page tells of a submission, beside the graded copy; each begins with whose it is."""
    whose = students.c.id, assignments.c.name
    about = submissions.c.timestamp, submissions.c.extension, assignments.c.duedate
    names = students.c.first_name, students.c.last_name, students.c.email
    yield select(*whose, *names, *about, copies.c.late_submission_penalty)
    for table, values in (
        (grades, ("auto_score", "manual_score", "extra_credit", "needs_manual_grade")),
        (comments, ("auto_comment", "manual_comment")),
    ):
        query = select(*whose, base_cells.c.name, *(table.c[value] for value in values))
        yield query.where(table.c.notebook_id == copies.c.id, table.c.cell_id == base_cells.c.id)


def _ordered(query: Select) -> Select:
    """The query in an order that is always the same, with its tables joined."""
    query = query.where(
        copies.c.assignment_id == submissions.c.id,
        submissions.c.student_id == students.c.id,
        submissions.c.assignment_id == assignments.c.id,
    )
    return query.order_by(*list(query.selected_columns)[:3])


def _saved(path: Path) -> bytes:
    """When a file was written; grading writes it anew."""
    try:
        stat = path.stat()
    except OSError:
        return b""
    return f"{stat.st_size} {stat.st_mtime_ns}".encode()


@cache
def _makers() -> bytes:
    """A hash of the sources that a page is made by."""
    here = Path(__file__).parent
    folders = here, here.parent / "grading", COURSE, HELPERS
    sources = [path for folder in folders for path in folder.rglob("*.py")]
    sources += [path for path in (here / "templates").rglob("*") if path.is_file()]
    made = hashlib.sha256()
    for path in sorted(sources):
        made.update(path.read_bytes())
    return made.digest()
