"""What goes back to students: a page of feedback on each lesson."""

import re
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from helpers.clean import clean

from ..common.errors import LimitError, UsageError
from ..common.files import write_whole
from ..common.guard import fresh, guarded
from ..course.lessons import lesson_path
from ..course.nbgrader_api import why
from ..term.reading import ASK_ANEW
from ..term.term import Term
from .pages import day, policy, templates, whose

NOT_YOURS = (
    "The grader could not finish with it",
    "Nothing, if it runs from its first cell to its last in a new kernel; else mend that and hand "
    "it in again, if your course takes a second try",
)
_INNER = re.compile(r" \(\w+: [^;]*\)")  # how a library says it


def feedback(
    term: Term, progress: Any = lambda items, total: items, lesson: str = ""
) -> tuple[list[Path], list[str]]:
    """Make nbgrader's feedback pages for all that is graded, and one that says why for what could
    not be; the pages, and what went wrong.

    lesson: only of this one. Raises UsageError when nothing was tried to grade.
    """
    graded = [name.split("/") for name in sorted(term.recorded())]
    graded = [pair for pair in graded if lesson in ("", pair[1])]
    ungraded = {pair: reason for pair, reason in _ungraded(term).items() if lesson in ("", pair[1])}
    if not graded and not ungraded:
        what = f"nothing of {lesson}" if lesson else "nothing"
        raise UsageError(f"{term.root}: {what} is graded yet; run: autograde grade")
    _write_ungraded(term, ungraded)
    failed = []
    for heavy in ("nbgrader.apps", f"{__package__}.feedback_page"):
        import_module(heavy)  # what makes a page: once, not in every page's process
    fresh()  # from here on with these
    for student, of in progress(graded, len(graded)):
        if problem := _page_problem(term, student, of):
            failed.append(f"{student}/{of}: no feedback ({problem})")
    return sorted((term.root / "feedback").glob(f"*/{lesson or '*'}/*.html")), failed


def _ungraded(term: Term) -> dict[tuple[str, str], str]:
    """Why what lies in submitted/ could not be graded, where no earlier try was."""
    with term.store() as store:
        reasons, graded = store.failed(), store.recorded()
    there = {pair: "/".join(pair) for pair in term.submissions()}
    return {
        pair: reasons[name]
        for pair, name in there.items()
        if name in reasons and name not in graded
    }


def _write_ungraded(term: Term, reasons: dict[tuple[str, str], str]) -> None:
    page = templates().get_template("ungraded.html.j2")
    rows = {row["id"]: row for row in term.roster()} if reasons else {}
    for (student, lesson), reason in reasons.items():
        target = lesson_path(term.root / "feedback" / student, lesson).with_suffix(".html")
        target.parent.mkdir(parents=True, exist_ok=True)
        path = term.submission(student, lesson)
        what, remedy = told(reason, path)
        there = path if path.is_file() else path.parent
        html = page.render(
            policy=policy, lesson=lesson, what=what, remedy=remedy,
            whose=whose(student, rows.get(student, {})), collected=day(there.stat().st_mtime),
        )  # fmt: skip
        target.unlink(missing_ok=True)  # nbgrader's are for reading only
        write_whole(target, html.encode("utf-8"))


def told(reason: str, path: Path) -> tuple[str, str]:
    """What is wrong and the remedy, of a reason that is written "path: what; remedy"; what is the
    grader's affair and not the student's is not told."""
    before, mark, rest = reason.partition(f"{path}: ")
    what, _, remedy = _INNER.sub("", rest).rpartition("; ")
    if before or not mark or not what:
        return NOT_YOURS
    return clean(f"{path.name}: {what}"), clean(remedy[:1].upper() + remedy[1:])


def _page_problem(term: Term, student: str, lesson: str) -> str:
    """Make a page in a process with limits, as what is shown on it is a student's."""
    try:
        return guarded(_make_page, term, student, lesson)
    except LimitError as met:
        return f"its page {met}; {ASK_ANEW}"


def _make_page(term: Term, student: str, lesson: str) -> str:
    result = _api(term).generate_feedback(lesson, student, force=True)
    return "" if result["success"] else why(result)


@lru_cache(maxsize=1)
def _api(term: Term) -> Any:
    return term.api()
