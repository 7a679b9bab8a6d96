"""A term folder: an nbgrader course with this course's settings, its key and its verdicts."""

import hashlib
import os
import shutil
import sqlite3
import stat
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.clean import clean

from ..common.errors import UsageError
from ..common.files import begun_beside, require_place
from ..common.saying import warn
from ..course.exercises import LESSONS
from ..course.lessons import _require_built, lesson_path
from ..course.plan import Plan
from .rosters import is_student_id, read_people
from .store import Store

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

CONFIG = """# This term's nbgrader settings; what you add below the call wins.
from autograde.course.settings import configure

c = get_config()  # noqa: F821
configure(c, __file__.rpartition("/")[0] or ".")
# Fewer lessons, another order, other points: say it here, and run `autograde init` again.
# c.Course.lessons = ["00_start_here", "01_policy_updates", "02_divergence"]
# c.Course.points = {"categorical_kl": 6}
"""
SETTINGS = "nbgrader_config.py"
BUNDLE = ".bundle.json"  # in a bundle of `release`: what holds for lessons that are added to it
UNMATCHED = "unmatched"  # where `collect` keeps what is nobody's; nbgrader does not look there
TRIES = "tries"  # where it keeps those of a student that do not count; nor does it look there
MAKING = ".autograde/pages"  # where a page of feedback lies until it is whole
SQLITE = "sqlite:///"
LESSON_NAMES = "select name from assignment"
GRADED = """select submitted_assignment.student_id, assignment.name from submitted_assignment
    join assignment on assignment.id = submitted_assignment.assignment_id
    join submitted_notebook on submitted_notebook.assignment_id = submitted_assignment.id"""
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
            new = "NEW-FOLDER" if is_taken(root) else folder
            raise UsageError(
                f"{folder}: not a term folder; name one with --course, or make one: "
                f"autograde init {new}"
            )
        config = root / SETTINGS
        if not config.is_file():
            raise UsageError(f"{config}: missing; make it again: autograde init {root}")
        if close(root):
            warn(f"{root}: was open to other users of this machine, and is closed to them now")
        _require_own_gradebook(cls(root))
        return cls(root)

    @property
    def plan(self) -> Plan:
        """Its lessons and their points. Raises UsageError where the settings say none."""
        return Plan.of(self._config().get("Course", {}), self.root / SETTINGS)

    @property
    def lessons(self) -> tuple[str, ...]:
        """Those that are given, in their order."""
        return self.plan.lessons

    @property
    def secret(self) -> bytes:
        """What keeps this term's hidden cases its own."""
        return (self.root / ".autograde" / "key").read_bytes()

    @property
    def identity(self) -> str:
        """What tells this term from others and may be handed out: nothing of the key, which is
        random, can be had from it."""
        return hashlib.blake2b(self.secret, digest_size=16, person=b"term").hexdigest()

    def submission(self, student: str, lesson: str) -> Path:
        """Where nbgrader looks for a submission."""
        return lesson_path(self.root / "submitted" / student, lesson)

    def submissions(self) -> Iterator[tuple[str, str]]:
        """(student, lesson) of every folder in submitted/ that is named like one of its lessons."""
        lessons = self.lessons
        for folder in sorted((self.root / "submitted").glob("*/*")):
            named = folder.name in lessons and is_student_id(folder.parent.name)
            if named and folder.is_dir():
                yield folder.parent.name, folder.name

    def strangers(self) -> list[Path]:
        """What lies in submitted/ and is no submission of a lesson of the course."""
        known = {self.submission(*pair).parent for pair in self.submissions()}
        others = set((self.root / "submitted").glob("*/*")) - known
        given = self.lessons
        return sorted(p for p in others if p.name not in LESSONS or p.name in given)

    def left_out(self) -> dict[str, int]:
        """How many notebooks lie in submitted/ of each lesson that is not given any more."""
        found = (path.name for path in (self.root / "submitted").glob("*/*"))
        given = self.lessons
        return Counter(name for name in found if name in LESSONS and name not in given)

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

    def students(self) -> set[str]:
        """Everybody who is on the roster, or has work here."""
        worked = {path.parent.name for path in (self.root / "submitted").glob("*/*")}
        return worked | {row["id"] for row in self.roster()}

    def store(self) -> Store:
        """Answers, verdicts, and what was recorded."""
        return Store(self.root / ".autograde" / "state.db")

    def recorded(self) -> dict[str, str]:
        """ "student/lesson": key of the verdict, of what stands in the gradebook; a lesson that is
        not given any more, or was taken out of the gradebook since, does not."""
        there = self.in_gradebook()
        with self.store() as store:
            return {name: key for name, key in store.recorded().items() if name in there}

    def in_gradebook(self) -> set[str]:
        """ "student/lesson" of all that the gradebook has graded, whoever did it."""
        lessons = self.lessons
        return {f"{student}/{name}" for student, name in self.rows(GRADED) if name in lessons}

    def rows(self, query: str) -> list[tuple]:
        """What the gradebook answers to a query in SQL, read with little to import; nothing, where
        there is none yet. Raises UsageError where it does not answer."""
        if not self.has_gradebook:
            return []
        try:
            if self.url.startswith(SQLITE):
                return _rows_of_file(self.shown_url, query)
            return _rows_of_server(self.url, query)
        except _NoGradebookError as error:
            reason = str(error).strip().partition("\n")[0]
            raise UsageError(f"{self.shown_url}: {self._no_gradebook(reason)}") from None

    def _no_gradebook(self, reason: str) -> str:
        is_file = self.url.startswith(SQLITE)
        mend = "put the right one back, or move it away" if is_file else "start it, make it"
        return f"not a gradebook ({reason}); {mend} and run: autograde init {self.root}"

    def states_time(self, student: str, lesson: str) -> bool:
        """Whether there is a time at which a submission came in."""
        return (self.submission(student, lesson).parent / "timestamp.txt").exists()

    @property
    def lateness(self) -> str:
        """What it costs to be late, as far as the settings say: a plugin of their own says it in
        the first line of its docstring."""
        settings = self._config()
        if rule := settings.AssignLatePenalties.get("plugin_class"):
            says = vars(rule).get("__doc__") if isinstance(rule, type) else ""
            first = (says or "").strip().partition("\n")[0].rstrip(" .")
            return clean(first[:1].lower() + first[1:]) or "points are taken off"
        if settings.LateSubmissionPlugin.get("penalty_method") == "zero":
            return "it counts 0"
        return "your instructor says what that costs"

    @property
    def url(self) -> str:
        """Of the gradebook's database: `c.CourseDirectory.db_url` of nbgrader_config.py."""
        stated = self._config().CourseDirectory.get("db_url", "")
        return stated or f"{SQLITE}{self.root / 'gradebook.db'}"  # as nbgrader has it

    @property
    def has_gradebook(self) -> bool:
        """Whether there is one to ask; a server's is taken to be there."""
        return not self.url.startswith(SQLITE) or Path(self.shown_url).is_file()

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
        """What nbgrader_config.py says; what holds anyway, where there is none. Raises UsageError
        where it cannot be run."""
        from traitlets.config import Config, PyFileConfigLoader
        from traitlets.config.loader import ConfigFileNotFound

        try:
            config = PyFileConfigLoader(SETTINGS, path=str(self.root)).load_config()
        except ConfigFileNotFound:
            config = Config()
        except Exception as error:  # it is Python that an instructor edits
            path = self.root / SETTINGS
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
    shown = term.shown_url
    if not term.has_gradebook:
        raise UsageError(f"{shown}: missing; make it again: autograde init {term.root}")
    known = {name for (name,) in term.rows(LESSON_NAMES)}
    missing = sorted(set(term.lessons) - known)
    if missing:
        raise UsageError(f"{shown}: has no {missing[0]}; bring it up: autograde init {term.root}")


class _NoGradebookError(Exception):
    """What a database said."""


def _rows_of_file(path: str, query: str) -> list[tuple]:
    try:
        with closing(sqlite3.connect(path)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise _NoGradebookError(error) from None


def _rows_of_server(url: str, query: str) -> list[tuple]:
    from sqlalchemy import create_engine, text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = create_engine(url)
        with closing(engine.connect()) as connection:
            found = [tuple(row) for row in connection.execute(text(query))]
        engine.dispose()
    except (SQLAlchemyError, ImportError) as error:
        raise _NoGradebookError(getattr(error, "orig", None) or error) from None
    return found


def read_roster(path: Path, known: Collection[str] = ()) -> list[dict[str, str]]:
    """The rows of a roster: id, first_name, last_name, email; known: as of `read_people`.

    Raises UsageError naming the line.
    """
    return read_people(path, known).rows


def _known_in(root: Path) -> set[str]:
    """Those of a term whose roster is about to be replaced, which may be because it is broken."""
    try:
        return Term(root).students()
    except UsageError:
        return set()


def is_taken(root: Path) -> bool:
    """Whether something is there already, so that no term can be made there."""
    return root.exists() and (not root.is_dir() or any(root.iterdir()))


def init(
    folder: str | Path,
    roster: str | Path | None = None,
    refuse: Callable[[str], None] = warn,
    consent: bool = False,
) -> Term:
    """Make a term folder, or bring its lessons and its roster up to date.

    refuse: told of each lesson that stays as it was, as students' work rests on it. consent:
    whether a roster may leave out all who have work here.
    Raises UsageError, with nothing written, when the folder holds something else, when its
    settings say what cannot be, or when the roster has nobody, or is another class's.
    """
    from .furnishing import furnish
    from .joining import require_same_class

    root = Path(folder).resolve()
    require_place(root)
    students = read_roster(Path(roster), _known_in(root)) if roster else None
    if students == []:
        raise UsageError(f"{roster}: has no students; name a roster with a line for each")
    ours = (root / ".autograde").is_dir()
    if not ours and is_taken(root):
        raise UsageError(f"{folder}: not empty and not a term folder; name an empty or a new one")
    _require_built()
    if ours:
        if students is not None and not consent:
            require_same_class(Term(root), students, roster)
        furnish(Term(root), students, refuse)
        return Term(root)
    partial = begun_beside(root)
    try:
        furnish(Term(partial), students, refuse)
        if root.exists():
            root.rmdir()
        partial.rename(root)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Term(root)
