"""Grade a term's submissions: run and judge each program once, record through stock nbgrader."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from nbformat import NotebookNode

from .errors import UsageError
from .exercises import LESSONS, exercises
from .judging import Graded, Job, judge_job, verdict_key
from .lessons import known_lesson, lesson_path
from .rebuild import grade_id, read_notebook, rebuild
from .term import Term, checkout_base


@dataclass(frozen=True)
class Submission:
    """A rebuilt submission and the key of its verdict."""

    student: str
    lesson: str
    rebuilt: NotebookNode
    key: str

    @property
    def name(self) -> str:
        return f"{self.student}/{self.lesson}"


@dataclass
class Outcome:
    """What a run of `grade` did: names graded, names skipped, and lines of what went wrong."""

    graded: list[str]
    skipped: list[str]
    failed: list[str]


def verdict_of(term: Term, lesson: str, rebuilt: NotebookNode, how: str = "bwrap") -> Graded:
    """The stored verdict on a rebuilt notebook; run and judged now when there is none."""
    key = verdict_key(lesson, rebuilt)
    graded = term.verdict(key)
    if graded is None:
        job = Job.of(lesson, rebuilt, term.secret, how)
        graded = judge_job(job, job.run())
        term.keep_verdict(key, graded)
    return graded


def grade_file(path: Path, how: str = "bwrap") -> Graded:
    """Grade one notebook with no term and no gradebook. Raises UsageError if it is no notebook."""
    submitted = read_notebook(path)
    lesson = recognise(path, submitted)
    job = Job.of(lesson, rebuild(checkout_base(lesson), submitted), b"", how)
    return judge_job(job, job.run())


def recognise(path: Path, notebook: NotebookNode) -> str:
    """The lesson that a notebook is of, by its name, then by the cells in it.

    Raises UsageError when it is of none.
    """
    for lesson in LESSONS:
        if lesson in path.stem:
            return lesson
    marks = {grade_id(cell) for cell in notebook.cells}
    found = {lesson: len(marks & set(exercises(lesson))) for lesson in LESSONS}
    lesson = max(found, key=lambda name: found[name])
    if not found[lesson]:
        known = ", ".join(LESSONS)
        raise UsageError(f"{path}: of no lesson that is known; name it like one of {known}")
    return lesson


def grade(
    term: Term,
    lessons: Iterable[str] = (),
    student: str | None = None,
    workers: int = 1,
    regrade: bool = False,
    how: str = "bwrap",
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Outcome:
    """Grade what is in submitted/ and not graded yet from the same program.

    lessons, student: only these. workers: sandboxes at once. regrade: what is graded too.
    Raises UsageError for a lesson or a student that is not there.
    """
    outcome = Outcome([], [], [])
    wanted = _wanted(term, [known_lesson(name) for name in lessons], student)
    submissions = list(_readable(term, wanted, regrade, outcome))
    api, recorded = term.api(), term.recorded()
    judged = _judged(term, submissions, workers, regrade, how)
    with closing(judged):  # stopped in the middle, what waits for a sandbox is called off
        for submission, problem in progress(judged, len(submissions)):
            problem = problem or _record(api, submission)
            if problem:
                outcome.failed.append(f"{submission.name}: {problem}")
                continue
            recorded[submission.name] = submission.key
            term.keep_recorded(recorded)
            outcome.graded.append(submission.name)
    return outcome


def _wanted(term: Term, lessons: list[str], student: str | None) -> list[tuple[str, str]]:
    pairs = list(term.submissions())
    if student is not None and student not in {name for name, _ in pairs}:
        raise UsageError(f"{term.root / 'submitted'}: no submission of {student!r}; check the id")
    chosen = [
        (name, lesson)
        for name, lesson in pairs
        if (not lessons or lesson in lessons) and student in (None, name)
    ]
    if not chosen:
        raise UsageError(f"{term.root / 'submitted'}: nothing to grade; run: autograde collect")
    return chosen


def _readable(
    term: Term, wanted: list[tuple[str, str]], regrade: bool, outcome: Outcome
) -> Iterator[Submission]:
    """The submissions to grade, rebuilt; what cannot be read is told in `outcome`."""
    bases = {lesson: term.base(lesson) for lesson in {lesson for _, lesson in wanted}}
    recorded = term.recorded()
    for student, lesson in wanted:
        try:
            path = term.submission(student, lesson)
            rebuilt = rebuild(bases[lesson], read_notebook(path))
        except UsageError as error:
            outcome.failed.append(f"{student}/{lesson}: {error}")
            continue
        key = verdict_key(lesson, rebuilt)
        submission = Submission(student, lesson, rebuilt, key)
        graded_copy = lesson_path(term.root / "autograded" / student, lesson)
        if not regrade and recorded.get(submission.name) == key and graded_copy.exists():
            outcome.skipped.append(submission.name)
        else:
            yield submission


def _judged(
    term: Term, submissions: list[Submission], workers: int, regrade: bool, how: str
) -> Iterator[tuple[Submission, str]]:
    """Each submission once its verdict is stored, and what went wrong if it is not.

    Sandboxes run side by side; judging and writing stay in this thread.
    """
    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        running: list[tuple[Submission, Job, Future]] = []
        for submission in submissions:
            job = Job.of(submission.lesson, submission.rebuilt, term.secret, how)
            known = not regrade and term.verdict(submission.key) is not None
            running.append((submission, job, pool.submit(dict) if known else pool.submit(job.run)))
        for submission, job, future in running:
            try:
                replies = future.result()
                if replies:
                    term.keep_verdict(submission.key, judge_job(job, replies))
            except UsageError:
                raise
            except Exception as error:
                yield submission, f"could not be judged ({type(error).__name__}: {error})"
            else:
                yield submission, ""
    finally:
        pool.shutdown(cancel_futures=True)


def _record(api: object, submission: Submission) -> str:
    """Write one verdict into the gradebook through nbgrader's own Autograde; what went wrong."""
    result = api.autograde(submission.lesson, submission.student, force=True, create=True)
    if result["success"]:
        return ""
    return f"could not be recorded ({why(result)}); run: autograde doctor"


def why(result: dict) -> str:
    """The line of nbgrader's log that says what went wrong, not the last one, which never does."""
    lines = (result.get("error") or result.get("log") or "").strip().splitlines()
    told = [line for line in lines if line[:1].isalpha() and not line.startswith("Traceback")]
    return told[-1] if told else "no reason given"
