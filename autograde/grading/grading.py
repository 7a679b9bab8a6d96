"""Grade a term's submissions: run and judge each program once, record it in nbgrader's tables."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import nbformat
from nbformat import NotebookNode, from_dict

from helpers.compare import Verdict
from helpers.report import Report

from ..common.errors import LimitError, UsageError, did_you_mean, is_disk_full
from ..common.guard import guarded
from ..common.interrupts import look
from ..course.exercises import LESSONS, exercises
from ..course.lessons import known_lesson, lesson_path, setup_modules
from ..term.store import Store
from ..term.term import Term, checkout_base
from .crew import Item, finished
from .judging import Graded, edition, fingerprint
from .rebuild import grade_id, program, read_notebook, rebuild
from .sandbox import Limits
from .working import How, Work, do, seed_of

if TYPE_CHECKING:
    from .cluster import Remote

ASK_ANEW = "clear its outputs, remove what is no part of the lesson, and hand it in again"
# A definition or an assignment at the beginning of a line; no parser, which hostile text can stall.
BINDS = re.compile(r"^(?:def[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]+)?=(?!=))", re.MULTILINE)


@dataclass
class Outcome:
    """What a run of `grade` did: names graded, names skipped, and lines of what went wrong.

    asked: how many exercises student code was run for. modes: how, see `sandbox.Sandbox`.
    seconds: of run and of judge, for each submission that was judged anew.
    """

    graded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    asked: int = 0
    modes: set[str] = field(default_factory=set)
    seconds: list[tuple[float, float]] = field(default_factory=list)


@dataclass(frozen=True)
class Program:
    """A rebuilt notebook as something to run: mark names the program, key its verdict."""

    lesson: str
    rebuilt: NotebookNode
    mode: str

    @property
    def mark(self) -> str:
        unprotected = "-none" if self.mode == "none" else ""  # what it answers may be forged
        return fingerprint(self.lesson, self.rebuilt) + unprotected

    @property
    def key(self) -> str:
        return f"{self.mark}-{edition(self.lesson)}"

    def work(self, secret: bytes, how: How, stored: bytes | None = None) -> Work:
        """secret: with the program, it chooses the hidden cases."""
        mark, steps = self.mark, tuple(program(self.rebuilt))
        seed = seed_of(secret, mark)
        return Work(self.lesson, steps, mark, seed, how, edition(self.lesson), stored)


def verdict_of(term: Term, lesson: str, rebuilt: NotebookNode, mode: str = "fork") -> Graded:
    """The stored verdict on a rebuilt notebook; run and judged now when there is none."""
    one = Program(lesson, rebuilt, mode)
    with term.store() as store:
        graded = store.verdict(one.key)
        if graded is None:
            done = do(one.work(term.secret, how_of([lesson], mode), store.answers(one.mark)))
            graded = Graded.of(done.graded)
            store.keep(one.key, graded, one.mark, done.answers)
    return graded


def grade_file(path: Path, mode: str = "fork", secret: bytes = b"") -> Graded:
    """Grade one notebook with no term and no gradebook. Raises UsageError if it is no notebook.

    secret: chooses the hidden cases, with the program; without one, anybody can compute them.
    """
    lesson, rebuilt = read_and_rebuild(path)
    one = Program(lesson, rebuilt, mode)
    return Graded.of(do(one.work(secret, how_of([lesson], mode))).graded)


def lesson_in(path: Path) -> str:
    """The lesson of a notebook that was handed in. Raises UsageError: what is wrong with it."""
    return _guarded(path, _lesson_in)


def read_and_rebuild(
    path: Path, base_path: Path | None = None, base_mark: str = ""
) -> tuple[str, NotebookNode]:
    """A notebook's lesson, and what the student wrote in it on the instructor's copy.

    base_path: of that copy, with a hash of its bytes; None for the checkout's. It must be of the
    lesson that is named in the path. Raises UsageError: what is wrong with the file, and what to
    do, a limit that it met included.
    """
    return _guarded(path, _read_and_rebuild, base_path, base_mark)


def _guarded(path: Path, function: Callable, *arguments: Any) -> Any:
    try:
        return guarded(function, path, *arguments)
    except LimitError as met:
        raise UsageError(f"{path}: {met}; {ASK_ANEW}") from None


def _lesson_in(path: Path) -> str:
    return recognise(path, read_notebook(path))


def _read_and_rebuild(
    path: Path, base_path: Path | None, base_mark: str
) -> tuple[str, NotebookNode]:
    submitted = read_notebook(path)
    lesson = recognise(path, submitted)
    if base_path is None:
        return lesson, rebuild(checkout_base(lesson), submitted)
    if lesson != base_path.stem:
        raise UsageError(
            f"{path}: {other_lesson(base_path.stem, lesson)}; ask for {base_path.name}"
        )
    return lesson, rebuild(_base(base_path, base_mark), submitted)


@lru_cache(maxsize=len(LESSONS))
def _base(path: Path, mark: str) -> NotebookNode:
    """mark: of its bytes; what has been read with another is out of date."""
    return nbformat.read(path, as_version=4)


def how_of(lessons: Iterable[str], mode: str, device: str = "cpu") -> How:
    """How to run submissions of these lessons."""
    return How(mode, setup_modules(tuple(lessons)), Limits(device=device))


def recognise(path: Path, notebook: NotebookNode) -> str:
    """The lesson that a notebook is of: the one in its name, unless its cells are of another.

    Raises UsageError when it is of none.
    """
    cells = [(cell.cell_type, grade_id(cell), cell.source) for cell in notebook.cells]
    lesson = lesson_of(named_lesson(path), cells)
    if not lesson:
        known = ", ".join(LESSONS)
        raise UsageError(f"{path}: of no lesson that is known; name it like one of {known}")
    return lesson


def named_lesson(path: PurePath) -> str:
    """The lesson that a file's name says; "" for none."""
    return next((lesson for lesson in LESSONS if lesson in path.stem), "")


def lesson_of(named: str, cells: Iterable[tuple[str, str, str]]) -> str:
    """The lesson that cells (type, grade_id, source) are of; "" for none.

    named: what the file's name says, "" for nothing. It holds while a cell is marked as one of its
    own, and where less than half of another lesson's exercises are there. An exercise is known by
    the cell's grade_id, and where metadata was lost by the name that it defines.
    """
    marks: set[str] = set()
    names: set[str] = set()
    for kind, mark, source in cells:
        marks.add(mark)
        if kind == "code":
            names.update(found[1] or found[2] for found in BINDS.finditer(source))
    there = {lesson: (_part(lesson, marks), _part(lesson, names)) for lesson in LESSONS}
    most = max(there, key=lambda lesson: there[lesson])
    own = there.get(named, (0, 0))
    if named and (own[0] or max(there[most]) < 1 / 2 or own >= there[most]):
        return named
    return most if any(there[most]) else ""


def _part(lesson: str, found: set[str]) -> float:
    """How much of a lesson's exercises is in `found`."""
    wanted = set(exercises(lesson))
    return len(wanted & found) / len(wanted)


def other_lesson(named: str, lesson: str) -> str:
    """What to say of a notebook whose name says another lesson than its cells do."""
    return f"this is lesson {lesson} under the name of {named}"


def grade(
    term: Term,
    lessons: Iterable[str] = (),
    student: str | None = None,
    workers: int = 1,
    regrade: bool = False,
    mode: str = "fork",
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    scheduler: "Remote | None" = None,
    device: str = "cpu",
    record: bool = True,
) -> Outcome:
    """Grade what is in submitted/ and not graded yet from the same file.

    lessons, student: only these. workers: processes of ours; scheduler: workers of that Dask
    scheduler instead. regrade: what is graded too, from stored answers wherever
    the questions are the same. mode: see `sandbox.Sandbox`. device: what questions are asked on.
    record: False judges and stores, and leaves gradebook and folders alone.
    Raises UsageError for a lesson or a student that is not there, and when nothing can run.
    """
    from .recording import Recorder  # 1 s to import nbgrader: not for those who only check a file

    outcome = Outcome()
    wanted = _wanted(term, [known_lesson(name) for name in lessons], student)
    how = how_of(sorted({lesson for _, lesson in wanted}), mode, device)
    with term.store() as store, Recorder(term) as recorder:
        late = recorder.lateness if record else lambda student, lesson: ""
        items, failed_before = _items(term, store, wanted, how, regrade, late), store.failed()
        for item in progress(finished(items, workers, scheduler), len(wanted)):
            look()
            _keep(store, item, outcome)
            if item.held.get("state") == "skipped":
                outcome.skipped.append(item.name)
            elif not item.problem and record:
                item.problem = _record(store, recorder, item)
            if item.problem != failed_before.get(item.name, ""):
                store.keep_failed(item.name, item.problem)
            if item.problem:
                outcome.failed.append(f"{item.name}: {item.problem}")
            elif item.held.get("state") != "skipped":
                outcome.graded.append(item.name)
    return outcome


def _wanted(term: Term, lessons: list[str], student: str | None) -> list[tuple[str, str]]:
    pairs = list(term.submissions())
    if student is not None and student not in {name for name, _ in pairs}:
        near = did_you_mean(student, sorted({name for name, _ in pairs}))
        folder = term.root / "submitted"
        raise UsageError(f"{folder}: no submission of {student!r}{near}; check the id")
    chosen = [
        (name, lesson)
        for name, lesson in pairs
        if (not lessons or lesson in lessons) and student in (None, name)
    ]
    if not chosen:
        raise UsageError(f"{term.root / 'submitted'}: nothing to grade; run: autograde collect")
    return chosen


def _items(
    term: Term,
    store: Store,
    wanted: list[tuple[str, str]],
    how: How,
    regrade: bool,
    late: Callable[[str, str], str],
) -> Iterator[Item]:
    """Every wanted submission with the work that it needs, read one by one.

    late: what there is to say of its lateness. Where that has changed, it is recorded again.
    """
    marks: dict[str, str] = {}
    for student, lesson in wanted:
        item = Item(f"{student}/{lesson}")
        try:
            mark = marks.get(lesson) or marks.setdefault(lesson, _mark_of(term.base_path(lesson)))
            _prepare(term, store, item, mark, late(student, lesson), how, regrade)
        except UsageError as error:
            item.problem = str(error)
        except Exception as error:  # hostile, or not foreseen: it is this submission's alone
            if is_disk_full(error):
                raise
            item.problem = f"cannot be read ({type(error).__name__}: {error}); look at the file"
        yield item


def _prepare(
    term: Term,
    store: Store,
    item: Item,
    base_mark: str,
    late: str,
    how: How,
    regrade: bool,
) -> None:
    """Read a submission and say what is to be done for it. Raises UsageError if it is broken."""
    student, lesson = item.name.split("/")
    path = term.submission(student, lesson)
    _require_plain_file(path, term.root)
    source = f"{_mark_of(path)}-{base_mark}-{how.mode}{late}-{edition(lesson)}"
    there = lesson_path(term.root / "autograded" / student, lesson).exists()
    if not regrade and there and store.recorded_source(item.name) == source:
        item.held["state"] = "skipped"
        return
    _, rebuilt = read_and_rebuild(path, term.base_path(lesson), base_mark)
    one = Program(lesson, rebuilt, how.mode)
    item.key = one.key
    item.held |= {"rebuilt": one.rebuilt, "mark": one.mark, "source": source}
    if regrade or store.verdict(one.key) is None:
        item.work = one.work(term.secret, how, store.answers(one.mark))


def _require_plain_file(path: Path, root: Path) -> None:
    """Raise UsageError for a link, which may lead to another's work, and for what is no file."""
    inside = [part for part in (path, *path.parents) if part.is_relative_to(root) and part != root]
    if any(part.is_symlink() for part in inside):
        raise UsageError(f"{path}: a link, which is not followed; put the file itself there")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: cannot be read (not a file); hand in the .ipynb file")


def _mark_of(path: Path) -> str:
    """A hash of a file's bytes; the reader says what is wrong with one that cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return "unreadable"


def _keep(store: Store, item: Item, outcome: Outcome) -> None:
    """Store what was judged anew."""
    if item.done is not None:
        graded = Graded.of(item.done.graded)
        store.keep(item.key, graded, item.held["mark"], item.done.answers)
        outcome.asked += len(item.done.asked)
        outcome.modes.add(graded.sandbox)
        outcome.seconds.append((item.done.run, item.done.judge))


def _record(store: Store, recorder: Any, item: Item) -> str:
    """Write one verdict into the gradebook; what went wrong."""
    student, lesson = item.name.split("/")
    graded = store.verdict(item.key)
    try:
        recorder.record(student, lesson, fill(item.held["rebuilt"], graded))
    except UsageError:
        raise
    except Exception as error:  # the gradebook is of another edition, say: the others go on
        if is_disk_full(error):
            raise
        return f"could not be recorded ({error}); bring the gradebook up: autograde init"
    store.keep_recorded(item.name, item.held["source"], item.key)
    return ""


def fill(rebuilt: NotebookNode, graded: Graded) -> NotebookNode:
    """Put each verdict into the outputs of its grade cell, which is where nbgrader reads scores."""
    for cell in rebuilt.cells:
        name = grade_id(cell).removeprefix("test_")
        mark = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and name in graded.verdicts and mark.get("grade"):
            cell.outputs = _outputs(graded.verdicts[name], graded.sandbox)
    return rebuilt


def _outputs(verdict: Verdict, sandbox: str) -> list[NotebookNode]:
    """A report, and the points in the one form that nbgrader reads without a trap."""
    note = "This was graded without a sandbox." if sandbox == "none" else ""
    report = Report(verdict, hidden=True, note=note)
    shown = {"text/plain": repr(report), "text/html": report._repr_html_()}
    points = {"text/plain": repr(float(verdict.points))}
    metadata = {"status": verdict.status, "gist": report.gist()}
    # Plain dicts: nbformat's new_output validates each against its schema, which takes longer.
    return [
        from_dict(one)
        for one in (
            {"output_type": "display_data", "data": shown, "metadata": metadata},
            {"output_type": "execute_result", "data": points, "metadata": {}, "execution_count": 1},
        )
    ]


def why(result: dict) -> str:
    """The line of nbgrader's log that says what went wrong, not the last one, which never does."""
    lines = (result.get("error") or result.get("log") or "").strip().splitlines()
    told = [line for line in lines if line[:1].isalpha() and not line.startswith("Traceback")]
    return told[-1] if told else "no reason given"
