"""Grade a term's submissions: run and judge each program once, record it in nbgrader's tables.

A line of steps, each with a type of its own that the next one takes:

    Submission ─ preparing ─► Prepared ─ crew, working ─► Finished ─ kept, recorded ─► Result
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain
from typing import TYPE_CHECKING

from ..common.errors import UsageError, did_you_mean, is_disk_full
from ..common.interrupts import look
from ..course.lessons import known_lesson
from ..course.predictions import written_in
from ..term.store import Store
from ..term.term import Term
from ..term.typed import LOOK, typed_for
from .jobs import Finished
from .preparing import Desk, Prepared, Submission, require_base

if TYPE_CHECKING:
    from .cluster import Remote
    from .recording import Recorder
    from .working import Done


@dataclass(frozen=True)
class Result:
    """What became of one submission.

    skipped: the gradebook had it already. anew: what was done for it, in which sandbox. typed: by
    grade cell, for what a score typed by hand was that is now to be looked at again.
    """

    name: str
    problem: str = ""
    skipped: bool = False
    anew: "Done | None" = None
    sandbox: str = ""
    typed: dict[str, str] = field(default_factory=dict)


@dataclass
class Outcome:
    """What a run of `grade` did: names graded, names skipped, and lines of what went wrong.

    typed: lines on scores typed by hand that are now to be looked at again. asked: how many
    exercises student code was run for. modes: how, see `sandbox.Sandbox`. seconds: of run and of
    judge, for each submission that was judged anew.
    """

    graded: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    typed: list[str] = field(default_factory=list)
    asked: int = 0
    modes: set[str] = field(default_factory=set)
    seconds: list[tuple[float, float]] = field(default_factory=list)

    def add(self, result: Result) -> None:
        """One submission more."""
        if result.problem:
            self.failed.append(f"{result.name}: {result.problem}")
        else:
            (self.skipped if result.skipped else self.graded).append(result.name)
        if result.typed:
            self.typed.append(f"{result.name}: {typed_for(result.typed)}: {LOOK}")
        if result.anew:
            self.asked += len(result.anew.asked)
            self.modes.add(result.sandbox)
            self.seconds.append((result.anew.run, result.anew.judge))


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
    names: Iterable[str] | None = None,
) -> Outcome:
    """Grade what is in submitted/ and not graded yet from the same file.

    lessons, student: only these. workers: processes of ours; scheduler: workers of that Dask
    scheduler instead. regrade: what is graded too, from stored answers wherever
    the questions are the same. mode: see `sandbox.Sandbox`. device: what questions are asked on.
    record: False judges and stores, and leaves gradebook and folders alone. names: only these, each
    "student/lesson", and nothing else of submitted/ is looked at.
    Raises UsageError for a lesson or a student that is not there, and when nothing can run.
    """
    given = term.lessons
    if names is not None:
        wanted = [Submission(*name.split("/")) for name in sorted(set(names))]
    else:
        wanted = _wanted(term, [known_lesson(name, given) for name in lessons], student)
    for lesson in sorted({one.lesson for one in wanted}):
        require_base(term.base_path(lesson), lesson)
    outcome = Outcome()
    with term.store() as store, ExitStack() as opened:
        recorder = cache(lambda: opened.enter_context(_recorder(term)))

        def late(student: str, lesson: str) -> str:
            told = record and term.states_time(student, lesson)
            return recorder().lateness(student, lesson) if told else ""

        asked = sorted({one.lesson for one in wanted})
        recorded = term.in_gradebook() if record else None
        desk = Desk(term, store, mode, device, asked, regrade, late, recorded)
        prepared, failed_before = desk.prepare_all(wanted), store.failed()
        first = recorder if record else lambda: None  # says at once what is wrong with a gradebook
        for ended in progress(_finished(prepared, first, workers, scheduler), len(wanted)):
            look()
            result = _kept(store, ended)
            if record and not result.problem and ended.job.program:
                result = _recorded(store, recorder(), ended.job, result)
            if result.problem != failed_before.get(result.name, ""):
                store.keep_failed(result.name, result.problem)
            outcome.add(result)
    return outcome


def _recorder(term: Term) -> "Recorder":
    from .recording import Recorder  # 1 s to import nbgrader: not where there is nothing to record

    return Recorder(term)


def _finished(
    prepared: Iterator[Prepared],
    first: Callable[[], object],
    workers: int,
    scheduler: "Remote | None",
) -> Iterator[Finished[Prepared]]:
    """See `crew.finished`; without a crew, which takes seconds to import, while there is no work.

    first: what is called before there is any.
    """
    for one in prepared:
        if one.work is None:
            yield Finished(one)
        else:
            from .crew import finished

            first()
            yield from finished(chain([one], prepared), workers, scheduler)


def _wanted(term: Term, lessons: list[str], student: str | None) -> list[Submission]:
    pairs = list(term.submissions())
    if student is not None and student not in {name for name, _ in pairs}:
        near = did_you_mean(student, sorted({name for name, _ in pairs}))
        folder = term.root / "submitted"
        raise UsageError(f"{folder}: no submission of {student!r}{near}; check the id")
    chosen = [
        Submission(name, lesson)
        for name, lesson in pairs
        if (not lessons or lesson in lessons) and student in (None, name)
    ]
    if not chosen:
        raise UsageError(f"{term.root / 'submitted'}: nothing to grade; run: autograde collect")
    return chosen


def _kept(store: Store, ended: Finished[Prepared]) -> Result:
    """Store what was judged anew."""
    job, done = ended.job, ended.done
    name, problem = job.submission.name, job.problem or ended.problem
    if done is None or job.program is None:
        return Result(name, problem, job.is_recorded)
    from ..term.verdict import Graded

    graded = Graded.of(done.graded)
    store.keep(job.key, graded, job.program.mark, done.answers)
    return Result(name, problem, anew=done, sandbox=graded.sandbox)


def _recorded(store: Store, recorder: "Recorder", one: Prepared, result: Result) -> Result:
    """Write one verdict into the gradebook; the result with what came of that."""
    from .filling import fill
    from .forms import forms

    submission, graded = one.submission, store.verdict(one.key)
    try:
        filled = fill(one.program.rebuilt, graded)
        typed = recorder.record(submission.student, submission.lesson, filled)
    except UsageError:
        raise
    except Exception as error:  # the gradebook is of another edition, say: the others go on
        if is_disk_full(error):
            raise
        problem = f"could not be recorded ({error}); bring the gradebook up: autograde init"
        return replace(result, problem=problem)
    if typed:
        store.keep_typed(submission.name, typed)
    predicted = written_in(submission.lesson, one.program.rebuilt)
    written = forms(one.program.rebuilt, graded)
    store.keep_recorded(submission.name, one.source, one.key, predicted, written)
    return replace(result, typed=typed)
