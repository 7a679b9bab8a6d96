"""Write verdicts into nbgrader's gradebook and folders, as its own `autograde` does, but quickly.

nbgrader opens its database nine times for a notebook, converts it twice, and reads every row with
all its sums. Here one engine serves a run, and each submission is one transaction on nbgrader's
own tables: scores by its `determine_grade`, late penalties by its plugin. A test compares what it
writes with what `nbgrader autograde` does, row by row.
"""

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.api import (
    Gradebook,
)
from nbgrader.preprocessors import AssignLatePenalties
from sqlalchemy import Connection, Engine, Index, create_engine, select
from sqlalchemy.exc import SQLAlchemyError

from helpers.clean import clean

from ..common.errors import UsageError, is_disk_full
from ..course.lessons import lesson_path
from ..term.gradebook import (
    INDEXED,
    assignments,
    base_cells,
    comments,
    copies,
    grades,
    notebooks,
    row_of,
    students,
    submissions,
)
from ..term.term import Term
from .by_hand import changes, recounted

STAMP = "timestamp.txt"  # nbgrader's: beside a notebook, when it was handed in


@dataclass(frozen=True)
class Lesson:
    """What the gradebook knows of a lesson. cells: id by name, of grade and of solution cells."""

    assignment: str
    notebook: str
    due: Any
    graded: dict[str, str]
    commented: dict[str, str]


class Recorder:
    """Records submissions of one term; a context manager.

    Raises UsageError when the gradebook cannot be opened.
    """

    def __init__(self, term: Term) -> None:
        self._term = term
        self._api = term.api()
        url = self._api.coursedir.db_url
        try:
            Gradebook(url, self._api.course_id).close()  # its tables, where there are none yet
            self._engine = create_engine(url)
            index_gradebook(self._engine)
        except SQLAlchemyError as error:
            if is_disk_full(error):
                raise
            raise UsageError(f"{term.shown_url}: no gradebook ({_first_line(error)})") from None
        self._lessons: dict[str, Lesson] = {}
        self._students: set[str] = set()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.dispose()

    def record(self, student: str, lesson: str, filled: NotebookNode) -> dict[str, str]:
        """Write a rebuilt notebook, with its verdict in its outputs, into gradebook and folders.

        Returns which scores typed by hand are now to be looked at again: by grade cell, what each
        was typed for. The gradebook comes first: what a kill leaves out is then done again, and
        compared once more with the copy that was there.
        """
        for cell in filled.cells:  # it has been run as it was, and is from here on only shown
            cell["source"] = clean(cell.source, lines=True, most=None)
        submitted = self._term.submission(student, lesson).parent
        target = lesson_path(self._term.root / "autograded" / student, lesson)
        changed = changes(target, filled)
        timestamp = _stated_time(submitted)
        with self._engine.begin() as connection:
            known = self._known(connection, lesson)
            self._know_student(connection, student)
            entry = _entry(connection, known.assignment, student, timestamp)
            copy = row_of(connection, copies, assignment_id=entry.id, notebook_id=known.notebook)
            doubted = _write_grades(connection, known.graded, copy.id, filled, changed)
            _write_comments(connection, known.commented, copy.id, filled)
            if copy.late_submission_penalty is not None:
                own = copies.c.id == copy.id
                connection.execute(copies.update().where(own).values(late_submission_penalty=None))
        if known.due and entry.timestamp and entry.timestamp > known.due:
            self._penalise(student, lesson, filled)
        self._copy(submitted, target, filled)
        return doubted

    def lateness(self, student: str, lesson: str) -> str:
        """When a submission was handed in, as text, and by what it is late, where it is; nothing
        where no time is known. Raises UsageError for a time that is none."""
        submitted = self._term.submission(student, lesson).parent
        handed_in = _stated_time(submitted)
        if handed_in is None:
            return ""
        in_time = f"at {handed_in}"
        with self._engine.begin() as connection:
            try:
                known = self._known(connection, lesson)
            except UsageError:  # told when it is recorded
                return in_time
            due = known.due
            if due is None or handed_in <= due:
                return in_time
            extension = select(submissions.c.extension).where(
                submissions.c.assignment_id == known.assignment,
                submissions.c.student_id == student,
            )
            return f"late {handed_in} {due} {connection.execute(extension).scalar()}"

    def _known(self, connection: Connection, lesson: str) -> Lesson:
        if lesson not in self._lessons:
            self._lessons[lesson] = _lesson(connection, lesson)
        return self._lessons[lesson]

    def _know_student(self, connection: Connection, student: str) -> None:
        if student not in self._students:
            row_of(connection, students, id=student)
            self._students.add(student)

    def _copy(self, submitted: Path, target: Path, filled: NotebookNode) -> None:
        """The graded copy, and what was handed in beside the notebook."""
        ignored = [*self._api.coursedir.ignore, "*.ipynb"]
        target.parent.mkdir(parents=True, exist_ok=True)
        beside_it = map(Path, utils.find_all_files(str(submitted), ignored))
        for path in (path for path in beside_it if path.is_file() and not path.is_symlink()):
            beside = target.parent / path.relative_to(submitted)
            beside.parent.mkdir(parents=True, exist_ok=True)
            beside.unlink(missing_ok=True)
            shutil.copy(path, beside)
        if not (submitted / STAMP).exists():  # the time of an earlier file, or one that was wrong
            (target.parent / STAMP).unlink(missing_ok=True)
        partial = target.with_suffix(".partial")
        try:
            partial.write_text(nbformat.v4.writes(filled), encoding="utf-8")
        except OSError:
            partial.unlink(missing_ok=True)
            raise
        os.chmod(partial, 0o444)  # as nbgrader leaves it
        partial.replace(target)

    def _penalise(self, student: str, lesson: str, filled: NotebookNode) -> None:
        """What the term's own plugin takes off for coming late; nbgrader knows extensions."""
        names = {"notebook": lesson, "assignment": lesson, "student": student}
        resources = {"nbgrader": {**names, "db_url": self._api.coursedir.db_url}}
        AssignLatePenalties(config=self._api.config).preprocess(filled, resources)


def _stated_time(submitted: Path) -> datetime | None:
    """When it was handed in, as nbgrader reads it; None where nothing says so. Raises UsageError
    where what says it is no time."""
    path = submitted / STAMP
    try:
        text = path.read_text(encoding="utf-8").strip()
        return utils.parse_utc(text) if text else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, OverflowError, TypeError):
        raise UsageError(
            f"{path}: is no time; write one such as 2026-10-02 12:00:00 UTC, or delete the file"
        ) from None


def index_gradebook(engine: Engine) -> None:
    """Add the indexes that nbgrader's own look-ups lack; its tables stay as they are."""
    for column in INDEXED:
        name = f"ix_autograde_{column.table.name}_{column.name}"
        existing = {index.name: index for index in column.table.indexes}
        index = existing.get(name) or Index(name, column)
        index.create(engine, checkfirst=True)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _lesson(connection: Connection, name: str) -> Lesson:
    query = (
        select(assignments.c.id, notebooks.c.id, assignments.c.duedate)
        .join(notebooks, notebooks.c.assignment_id == assignments.c.id)
        .where(assignments.c.name == name)
    )
    found = connection.execute(query).first()
    if found is None:
        raise UsageError(f"the gradebook has no {name}; bring it up: autograde init")
    cells = select(base_cells.c.type, base_cells.c.name, base_cells.c.id)
    cells = cells.where(base_cells.c.notebook_id == found[1])
    kinds: dict[str, dict[str, str]] = {}
    for kind, cell, cell_id in connection.execute(cells):
        kinds.setdefault(kind, {})[cell] = cell_id
    return Lesson(*found, kinds.get("GradeCell", {}), kinds.get("SolutionCell", {}))


def _entry(
    connection: Connection, assignment: str, student: str, handed_in: datetime | None
) -> Any:
    """The row of a student's submission, with the time at which it was handed in: none where none
    is known, whatever was known of an earlier file."""
    entry = row_of(connection, submissions, assignment_id=assignment, student_id=student)
    if entry.timestamp == handed_in:
        return entry
    own = submissions.c.id == entry.id
    connection.execute(submissions.update().where(own).values(timestamp=handed_in))
    return connection.execute(select(submissions).where(own)).first()


def _rows_by_cell(connection: Connection, table: Any, cells: dict[str, str], copy: str) -> dict:
    """The copy's rows of `table` by cell id; those that are missing are made."""
    query = select(table).where(table.c.notebook_id == copy)
    found = {row.cell_id: row for row in connection.execute(query)}
    missing = [{"cell_id": i, "notebook_id": copy} for i in cells.values() if i not in found]
    if missing:
        connection.execute(table.insert(), missing)
        found = {row.cell_id: row for row in connection.execute(query)}
    return found


def _write_grades(
    connection: Connection,
    cells: dict[str, str],
    copy: str,
    filled: NotebookNode,
    changed: dict[str, str],
) -> dict[str, str]:
    """As nbgrader's SaveAutoGrades: a score by hand stays, and asks to be looked at again, but only
    where something changed for it. Returns which began to ask, each with what it was typed for."""
    found, doubted = _rows_by_cell(connection, grades, cells, copy), {}
    for cell in filter(utils.is_grade, filled.cells):
        name = cell.metadata.nbgrader.grade_id
        row = found[cells[name]]
        score, _ = utils.determine_grade(cell)
        by_hand = score is None
        if row.manual_score is not None:
            other = changed.get(name) or recounted(row.auto_score, score)
            by_hand = bool(other) or row.needs_manual_grade
            if by_hand and not row.needs_manual_grade:
                doubted[name] = other
        if (row.auto_score, row.needs_manual_grade) != (score, by_hand):
            values = {"auto_score": score, "needs_manual_grade": by_hand}
            connection.execute(grades.update().where(grades.c.id == row.id).values(**values))
    return doubted


def _write_comments(
    connection: Connection, cells: dict[str, str], copy: str, filled: NotebookNode
) -> None:
    found = _rows_by_cell(connection, comments, cells, copy)
    for cell in filter(utils.is_solution, filled.cells):
        row = found[cells[cell.metadata.nbgrader.grade_id]]
        untouched = cell.metadata.nbgrader.get("checksum") == utils.compute_checksum(cell)
        says = "No response." if untouched else None
        if row.auto_comment != says:
            own = comments.c.id == row.id
            connection.execute(comments.update().where(own).values(auto_comment=says))
