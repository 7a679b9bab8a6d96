"""What goes back to students: a page of feedback on each lesson."""

from functools import lru_cache
from pathlib import Path
from typing import Any

from .errors import LimitError, UsageError
from .grading import ASK_ANEW, why
from .guard import fresh, guarded
from .term import Term


def feedback(
    term: Term, progress: Any = lambda items, total: items
) -> tuple[list[Path], list[str]]:
    """Make nbgrader's feedback pages for all that is graded; the pages, and what went wrong.

    Raises UsageError when nothing is graded.
    """
    graded = [name.split("/") for name in sorted(term.recorded())]
    if not graded:
        raise UsageError(f"{term.root}: nothing is graded yet; run: autograde grade")
    failed = []
    fresh()  # from here on with nbgrader imported, once
    for student, lesson in progress(graded, len(graded)):
        if problem := _page_problem(term, student, lesson):
            failed.append(f"{student}/{lesson}: no feedback ({problem})")
    return sorted((term.root / "feedback").glob("*/*/*.html")), failed


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
