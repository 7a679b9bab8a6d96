"""Grade a term's submissions: run and judge each program once, record it in nbgrader's tables."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError, did_you_mean, is_disk_full
from ..common.interrupts import look
from ..course.lessons import known_lesson, lesson_path
from ..term.store import Store
from ..term.term import Term
from ..term.verdict import Graded
from .crew import Item, finished
from .filling import fill
from .from_file import read_and_rebuild
from .judging import edition
from .program import Program, how_of
from .working import How

if TYPE_CHECKING:
    from .cluster import Remote


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
