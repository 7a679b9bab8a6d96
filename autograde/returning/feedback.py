"""What goes back to students: a page of feedback on each lesson."""

import errno
import os
import re
import shutil
from collections.abc import Collection
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from helpers.clean import clean

from ..common.errors import LimitError, UsageError, is_disk_full
from ..common.files import write_whole
from ..common.guard import guarded_each
from ..common.interrupts import look
from ..course.lessons import lesson_path
from ..course.nbgrader_api import why
from ..term.due import Dues
from ..term.reading import ASK_ANEW
from ..term.term import MAKING, Term
from .pages import day, policy, templates, whose

NOT_YOURS = (
    "The grader could not finish with it",
    "Nothing, if it runs from its first cell to its last in a new kernel; else mend that and hand "
    "it in again, if your course takes a second try",
)
FULL = f"[Errno {errno.ENOSPC}]"
# What is to be done about a file, as it is told whoever has it, and as its student may read it.
FOR_STUDENTS = (
    (
        r"[Dd]ownload it again",
        "open it in Jupyter, save it and hand it in again; if it does not open, go back to your "
        "last copy",
    ),
    (r"([Dd]ownload|put) the (\.ipynb )?file itself( there)?", r"hand in the \2file itself"),
    (r"run git lfs pull, or send the file", "hand in the file itself"),
    (r"ask for (\S+\.ipynb)", r"hand in \1"),
    (r"check the path", "hand in the .ipynb file"),
)
_INNER = re.compile(r" \(\w+: [^;]*\)")  # how a library says it


def feedback(
    term: Term,
    progress: Any = lambda items, total: items,
    workers: int = 1,
    names: Collection[str] | None = None,
    lesson: str = "",
) -> tuple[list[Path], list[str]]:
    """Make nbgrader's feedback pages for all that is graded, and one that says why for what could
    not be; the pages, and what went wrong. A page that stands as it would be made now is left.

    workers: processes that make pages. names: only these, each "student/lesson". lesson: only of
    this one. Raises UsageError when nothing was tried to grade.
    """
    graded, ungraded = set(term.recorded()), _ungraded(term, names)
    if lesson:
        graded = {name for name in graded if name.endswith(f"/{lesson}")}
        ungraded = {name: why for name, why in ungraded.items() if name.endswith(f"/{lesson}")}
    if not graded and not ungraded:
        what = f"nothing of {lesson}" if lesson else "nothing"
        raise UsageError(f"{term.root}: {what} is graded yet; run: autograde grade")
    _write_ungraded(term, ungraded)
    wanted = sorted(graded if names is None else graded & set(names))
    failed = _make_pages(term, wanted, workers, progress)
    if names is None:
        return sorted((term.root / "feedback").glob(f"*/{lesson or '*'}/*.html")), failed
    pages = (_page_of(term, *name.split("/")) for name in {*wanted, *ungraded})
    return sorted(page for page in pages if page.exists()), failed


def _make_pages(term: Term, wanted: list[str], workers: int, progress: Any) -> list[str]:
    """Make those that are not up to date; what went wrong."""
    if not wanted:
        return []
    for heavy in ("nbgrader.apps", f"{__package__}.feedback_page"):
        import_module(heavy)  # what makes a page: once, not in every page's process
    from .standing import marks

    now, failed = marks(term, wanted), []
    with term.store() as store:
        before = store.pages()
        stale = [
            name for name in wanted
            if before.get(name) != now[name] or not _page_of(term, *name.split("/")).exists()
        ]  # fmt: skip
        calls = ((term, *name.split("/")) for name in stale)
        made = guarded_each(_make_page, calls, max(1, min(workers, len(stale))))
        for (_, student, lesson), problem in progress(made, len(stale)):
            look()
            name, problem = f"{student}/{lesson}", _told_of(problem)
            if problem:
                failed.append(f"{name}: no feedback ({problem})")
            else:
                store.keep_page(name, now[name])
    return sorted(failed)


def _told_of(problem: str | Exception) -> str:
    """What kept a page from being made, in words; nothing, where it is made."""
    if isinstance(problem, LimitError):
        return f"its page {problem}; {ASK_ANEW}"
    if isinstance(problem, Exception):
        if is_disk_full(problem):
            raise problem
        return f"{type(problem).__name__}: {problem}"
    return problem


def _ungraded(term: Term, names: Collection[str] | None) -> dict[str, str]:
    """Why what lies in submitted/ could not be graded, where no earlier try was."""
    with term.store() as store:
        reasons, graded = store.failed(), store.recorded()
    there = map("/".join, term.submissions()) if names is None else names
    return {name: reasons[name] for name in there if name in reasons and name not in graded}


def _page_of(term: Term, student: str, lesson: str) -> Path:
    return lesson_path(term.root / "feedback" / student, lesson).with_suffix(".html")


def _write_ungraded(term: Term, reasons: dict[str, str]) -> None:
    """A page for each, where it is not there as it would be made now."""
    page = templates().get_template("ungraded.html.j2")
    rows = {row["id"]: row for row in term.roster()} if reasons else {}
    dues = Dues(term)
    for name, reason in reasons.items():
        student, lesson = name.split("/")
        target, path = _page_of(term, student, lesson), term.submission(student, lesson)
        target.parent.mkdir(parents=True, exist_ok=True)
        what, remedy = told(reason, path)
        there = path if path.is_file() else path.parent
        html = page.render(
            policy=policy, lesson=lesson, what=what, remedy=remedy,
            whose=whose(student, rows.get(student, {})), collected=day(there.stat().st_mtime),
            until=counts_until(dues, term, student, lesson),
        ).encode()  # fmt: skip
        if target.is_file() and target.read_bytes() == html:
            continue
        target.unlink(missing_ok=True)  # nbgrader's are for reading only
        write_whole(target, html)


def told(reason: str, path: Path) -> tuple[str, str]:
    """What is wrong and the student's remedy, of a reason that is written "path: what; remedy";
    what is the grader's affair and not the student's is not told."""
    before, mark, rest = reason.partition(f"{path}: ")
    what, _, remedy = _INNER.sub("", rest).rpartition("; ")
    if before or not mark or not what:
        return NOT_YOURS
    for said, theirs in FOR_STUDENTS:
        remedy = re.sub(said, theirs, remedy)
    return clean(f"{path.name}: {what}"), clean(remedy[:1].upper() + remedy[1:])


def counts_until(dues: Dues, term: Term, student: str, lesson: str, earlier: bool = False) -> str:
    """Until when another file counts, and what comes after; or that the date is over. Nothing where
    the term has no date.

    earlier: whether one of an earlier file stands, which a late one does not replace.
    """
    due = dues.of(student, lesson)
    if due is None:
        return ""
    if dues.is_late(student, lesson, datetime.now(UTC)):
        over = f"It was due by {due:%Y-%m-%d %H:%M} UTC, which is over: another is late"
        which = ", and your instructor says whether it takes the place of the earlier one"
        return f"{over} ({term.lateness}){which if earlier else ''}."
    by = f"Another counts in full if it is handed in by {due:%Y-%m-%d %H:%M} UTC"
    if earlier:
        return f"{by}; of several that can be graded, the last before then counts."
    return f"{by}; after that it is late ({term.lateness})."


def _make_page(term: Term, student: str, lesson: str) -> str:
    """Make a page, which is whole when it appears; what went wrong. In a process with limits, as
    what is shown on it is a student's."""
    api = _api(term)
    result = api.generate_feedback(lesson, student, force=True)
    if not result["success"]:
        if FULL in (result.get("log") or "") + (result.get("error") or ""):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return why(result)
    made = Path(api.coursedir.format_path(MAKING, student, lesson))
    target = _page_of(term, student, lesson).parent
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(target, ignore_errors=True)
    made.rename(target)
    return ""


@lru_cache(maxsize=1)
def _api(term: Term) -> Any:
    """nbgrader's interface, which makes pages elsewhere: one that it begins is not whole yet."""
    api = term.api()
    api.coursedir.feedback_directory = MAKING
    return api
