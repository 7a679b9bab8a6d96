"""Read what lies in submitted/, and say what is to be done for it."""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import UsageError, is_disk_full
from ..course.lessons import lesson_path
from ..course.plan import exercise_names
from ..term.store import Store
from ..term.term import Term
from .edition import edition

if TYPE_CHECKING:  # see `jobs`
    from .program import Program
    from .working import How, Work


@dataclass(frozen=True)
class Submission:
    """One student's notebook of one lesson."""

    student: str
    lesson: str

    @property
    def name(self) -> str:
        return f"{self.student}/{self.lesson}"


@dataclass(frozen=True)
class Prepared:
    """A submission that was read: a program to be recorded, or a problem; neither where the
    gradebook has it from the same file already.

    source: the mark of all that its entry in the gradebook is made from. work: what is to be done
    before, None where there is a verdict.
    """

    submission: Submission
    program: "Program | None" = None
    source: str = ""
    work: "Work | None" = None
    problem: str = ""

    @property
    def key(self) -> str:
        """Of its verdict."""
        return self.program.key if self.program else ""

    @property
    def is_recorded(self) -> bool:
        return not self.program and not self.problem


@dataclass
class Desk:
    """What submissions are prepared with.

    mode, device: see `grading.grade`. lessons: all that are wanted. regrade: also what is recorded.
    late: what there is to say of a submission's time and lateness; where that has changed, it is
    recorded again. recorded: "student/lesson" of what the gradebook has, from which others may take
    out; None where nothing is recorded.
    """

    term: Term
    store: Store
    mode: str
    device: str
    lessons: Iterable[str]
    regrade: bool
    late: Callable[[str, str], str]
    recorded: set[str] | None = None

    def prepare_all(self, wanted: Iterable[Submission]) -> Iterator[Prepared]:
        """Each submission, read when it is asked for."""
        marks: dict[str, str] = {}
        for one in wanted:
            try:
                if one.lesson not in marks:
                    marks[one.lesson] = mark_of(self.term.base_path(one.lesson))
                yield self._prepare(one, marks[one.lesson])
            except UsageError as error:
                yield Prepared(one, problem=str(error))
            except Exception as error:  # hostile, or not foreseen: it is this submission's alone
                if is_disk_full(error):
                    raise
                path = self.term.submission(one.student, one.lesson)
                reason = f"cannot be read ({type(error).__name__}: {error}); look at {path}"
                yield Prepared(one, problem=reason)

    def _prepare(self, one: Submission, base_mark: str) -> Prepared:
        """Raises UsageError if the file is broken."""
        path = self.term.submission(one.student, one.lesson)
        _require_plain_file(path, self.term.root)
        late = self.late(one.student, one.lesson)
        source = f"{mark_of(path)}-{base_mark}-{self.mode}{late}-{edition(one.lesson)}"
        there = lesson_path(self.term.root / "autograded" / one.student, one.lesson).exists()
        there = there and (self.recorded is None or one.name in self.recorded)
        if not self.regrade and there and self.store.recorded_source(one.name) == source:
            return Prepared(one)
        return self._rebuild(one, path, base_mark, source)

    def _rebuild(self, one: Submission, path: Path, base_mark: str, source: str) -> Prepared:
        from .from_file import read_and_rebuild
        from .program import Program

        _, rebuilt = read_and_rebuild(path, self.term.base_path(one.lesson), base_mark)
        program, work = Program(one.lesson, rebuilt, self.mode), None
        if self.regrade or self.store.verdict(program.key) is None:
            work = program.work(self.term.secret, self._how, self.store.answers(program.mark))
        return Prepared(one, program, source, work)

    @cached_property
    def _how(self) -> "How":
        from .program import how_of

        return how_of(self.lessons, self.mode, self.device)


def require_base(path: Path, lesson: str) -> None:
    """Raise UsageError where the term's own copy of a lesson cannot be graded on: none is there, or
    it has exercises that the course does not know any more."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        marks = [cell["metadata"].get("nbgrader", {}) for cell in cells if "source" in cell]
    except (OSError, ValueError, LookupError, TypeError):
        raise UsageError(f"{path}: missing or broken; make it again: autograde init") from None
    names = {mark["grade_id"] for mark in marks if mark.get("grade") and not mark.get("solution")}
    gone = sorted({name.removeprefix("test_") for name in names} - set(exercise_names()[lesson]))
    if gone:
        raise UsageError(
            f"{path}: grades {gone[0]}, which this version of the course has no more; grade with "
            "the version that handed it out"
        )


def _require_plain_file(path: Path, root: Path) -> None:
    """Raise UsageError for a link, which may lead to another's work, and for what is no file."""
    inside = [part for part in (path, *path.parents) if part.is_relative_to(root) and part != root]
    if any(part.is_symlink() for part in inside):
        raise UsageError(f"{path}: a link, which is not followed; put the file itself there")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: cannot be read (not a file); hand in the .ipynb file")


def mark_of(path: Path) -> str:
    """A hash of a file's bytes; the reader says what is wrong with one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"
