"""A term folder: an nbgrader course with this course's settings, its key and its verdicts."""

import csv
import os
import secrets
import shutil
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError
from ..common.files import require_place
from ..common.saying import warn
from ..course.exercises import LESSONS
from ..course.lessons import DUE, SOLUTIONS, _require_built, lesson_path, write_notebook
from .rosters import ROSTER_COLUMNS, is_student_id, read_people
from .store import Store

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

CONFIG = """# This term's nbgrader settings; what you add below the call wins.
from autograde.course.settings import configure

c = get_config()  # noqa: F821
configure(c, __file__.rpartition("/")[0] or ".")
"""
UNMATCHED = "unmatched"  # where `collect` keeps what is nobody's; nbgrader does not look there
TRIES = "tries"  # where it keeps those of a student that do not count; nor does it look there
SQLITE = "sqlite:///"
LESSON_NAMES = "select name from assignment"
# Where essays are graded, as messages say it; it is no command of nbgrader's.
FORMGRADER = "jupyter lab, started in the term folder: menu Nbgrader, Formgrader"


@dataclass(frozen=True)
class Term:
    """The folder `root`, laid out by nbgrader; ours is what stands in `root`/.autograde."""

    root: Path

    @classmethod
    def open(cls, folder: str | Path) -> "Term":
        """The term in `folder`. Raises UsageError when there is none."""
        root = Path(folder).resolve()
        if not (root / ".autograde" / "key").is_file():
            raise UsageError(
                f"{folder}: not a term folder; name one with --course, or make one: "
                f"autograde init {folder}"
            )
        config = root / "nbgrader_config.py"
        if not config.is_file():
            raise UsageError(f"{config}: missing; make it again: autograde init {root}")
        if close(root):
            warn(f"{root}: was open to other users of this machine, and is closed to them now")
        _require_own_gradebook(cls(root))
        return cls(root)

    @property
    def secret(self) -> bytes:
        """What keeps this term's hidden cases its own."""
        return (self.root / ".autograde" / "key").read_bytes()

    def submission(self, student: str, lesson: str) -> Path:
        """Where nbgrader looks for a submission."""
        return lesson_path(self.root / "submitted" / student, lesson)

    def submissions(self) -> Iterator[tuple[str, str]]:
        """(student, lesson) of every folder in submitted/ that is named like a lesson."""
        for folder in sorted((self.root / "submitted").glob("*/*")):
            named = folder.name in LESSONS and is_student_id(folder.parent.name)
            if named and folder.is_dir():
                yield folder.parent.name, folder.name

    def strangers(self) -> list[Path]:
        """What lies in submitted/ and is no submission of a lesson."""
        known = {self.submission(*pair).parent for pair in self.submissions()}
        return sorted(set((self.root / "submitted").glob("*/*")) - known)

    def base(self, lesson: str) -> "NotebookNode":
        """The student notebook that submissions are rebuilt on."""
        import nbformat

        return nbformat.read(self.base_path(lesson), as_version=4)

    def base_path(self, lesson: str) -> Path:
        """Where nbgrader's generate_assignment left it."""
        return lesson_path(self.root / "release", lesson)

    def roster(self) -> list[dict[str, str]]:
        """The students of roster.csv; nobody when there is none."""
        path = self.root / "roster.csv"
        return read_roster(path) if path.is_file() else []

    def store(self) -> Store:
        """Answers, verdicts, and what was recorded."""
        return Store(self.root / ".autograde" / "state.db")

    def recorded(self) -> dict[str, str]:
        """ "student/lesson": key of the verdict, of what stands in the gradebook."""
        with self.store() as store:
            return store.recorded()

    def states_time(self, student: str, lesson: str) -> bool:
        """Whether there is a time at which a submission came in."""
        return (self.submission(student, lesson).parent / "timestamp.txt").exists()

    @property
    def url(self) -> str:
        """Of the gradebook's database: `c.CourseDirectory.db_url` of nbgrader_config.py."""
        stated = self._config().CourseDirectory.get("db_url", "")
        return stated or f"{SQLITE}{self.root / 'gradebook.db'}"  # as nbgrader has it

    @property
    def shown_url(self) -> str:
        """The gradebook as a message may name it: a file's path, or a URL without its password."""
        if self.url.startswith(SQLITE):
            return self.url.removeprefix(SQLITE)
        from sqlalchemy import make_url

        return make_url(self.url).render_as_string(hide_password=True)

    def api(self) -> Any:
        """nbgrader's Python interface to this term."""
        from nbgrader.apps import NbGraderAPI

        return NbGraderAPI(config=self._config())

    def _config(self) -> Any:
        """What nbgrader_config.py says. Raises UsageError where it cannot be run."""
        from traitlets.config import PyFileConfigLoader

        try:
            config = PyFileConfigLoader("nbgrader_config.py", path=str(self.root)).load_config()
        except Exception as error:  # it is Python that an instructor edits
            path = self.root / "nbgrader_config.py"
            raise UsageError(
                f"{path}: cannot be run ({type(error).__name__}: {error}); mend it, or remove it "
                f"and run: autograde init {self.root}"
            ) from None
        config.Application.log_level = 40  # our own lines say what matters
        return config


def close(root: Path) -> bool:
    """Take the term from other users, and from the group unless it may write there, as a team's
    may; whether it was open to them."""
    mode = stat.S_IMODE(root.stat().st_mode)
    closed = mode & ~(0o007 if mode & stat.S_IWGRP else 0o077)
    if closed == mode or root.stat().st_uid != os.geteuid():
        return False
    root.chmod(closed)
    return True


def _require_own_gradebook(term: Term) -> None:
    """Raise UsageError for a database that does not answer, is no gradebook or another course's."""
    shown, is_file = term.shown_url, term.url.startswith(SQLITE)
    if is_file and not Path(shown).is_file():
        raise UsageError(f"{shown}: missing; make it again: autograde init {term.root}")
    mend = "put the right one back, or move it away" if is_file else "start it, make it"
    try:
        known = _lessons_of_file(shown) if is_file else _lessons_of_server(term.url)
    except _NoGradebookError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"{shown}: not a gradebook ({reason}); {mend} and run: autograde init {term.root}"
        ) from None
    missing = sorted(set(LESSONS) - known)
    if missing:
        raise UsageError(f"{shown}: has no {missing[0]}; bring it up: autograde init {term.root}")


class _NoGradebookError(Exception):
    """What a database said."""


def _lessons_of_file(path: str) -> set[str]:
    try:
        with closing(sqlite3.connect(path)) as database:
            return {name for (name,) in database.execute(LESSON_NAMES)}
    except sqlite3.Error as error:
        raise _NoGradebookError(error) from None


def _lessons_of_server(url: str) -> set[str]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url)
        with closing(engine.connect()) as connection:
            known = {name for (name,) in connection.execute(text(LESSON_NAMES))}
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise _NoGradebookError(getattr(error, "orig", None) or error) from None
    return known


def read_roster(path: Path) -> list[dict[str, str]]:
    """The rows of a roster: id, first_name, last_name, email. Raises UsageError naming the line."""
    return read_people(path).rows


def init(folder: str | Path, roster: str | Path | None = None) -> Term:
    """Make a term folder, or bring its lessons and its roster up to date.

    Raises UsageError, with nothing written, when the folder holds something else.
    """
    root = Path(folder).resolve()
    require_place(root)
    students = read_roster(Path(roster)) if roster else None
    ours = (root / ".autograde").is_dir()
    if root.exists() and not ours and (not root.is_dir() or any(root.iterdir())):
        raise UsageError(f"{folder}: not empty and not a term folder; name an empty or a new one")
    _require_built()
    if ours:
        _furnish(Term(root), students)
        return Term(root)
    partial = root.with_name(f".{root.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _furnish(Term(partial), students)
        if root.exists():
            root.rmdir()
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Term(root)


def _furnish(term: Term, students: list[dict[str, str]] | None) -> None:
    ours = term.root / ".autograde"
    ours.mkdir(parents=True, exist_ok=True)
    close(term.root)
    if not (ours / "key").exists():
        (ours / "key").touch(mode=0o600)
        (ours / "key").write_bytes(secrets.token_bytes(32))
    if not (term.root / "nbgrader_config.py").exists():
        (term.root / "nbgrader_config.py").write_text(CONFIG, encoding="utf-8")
    (term.root / "submitted").mkdir(exist_ok=True)
    if students is not None:
        _write_roster(term.root / "roster.csv", students)
    from ..course.nbgrader_api import run_api

    api = term.api()
    for lesson in LESSONS:
        source = lesson_path(term.root / "source", lesson)
        source.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(lesson_path(SOLUTIONS, lesson), source)
        run_api(api.generate_assignment, lesson, force=True)
        _write_due(term, lesson, api)
    with api.gradebook as gradebook:
        for row in term.roster():
            kept = {name: row[name] for name in ROSTER_COLUMNS[1:]}
            gradebook.update_or_create_student(row["id"], **kept)


def _write_due(term: Term, lesson: str, api: Any) -> None:
    """Tell the released notebook when it is due, so that `submit` can say who is late."""
    import nbformat

    with api.gradebook as gradebook:
        due = gradebook.find_assignment(lesson).duedate
    if due:
        notebook = nbformat.read(term.base_path(lesson), as_version=4)
        notebook.metadata[DUE] = due.replace(tzinfo=UTC).isoformat()
        write_notebook(term.base_path(lesson), notebook)


def _write_roster(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ROSTER_COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
