"""What goes back to students: a page of feedback on each lesson."""

from pathlib import Path
from typing import Any

from .errors import UsageError
from .grading import why
from .term import Term


def feedback(
    term: Term, progress: Any = lambda items, total: items
) -> tuple[list[Path], list[str]]:
    """Make nbgrader's feedback pages for all that is graded; the pages, and what went wrong.

    Raises UsageError when nothing is graded.
    """
    api = term.api()
    graded = [name.split("/") for name in sorted(term.recorded())]
    if not graded:
        raise UsageError(f"{term.root}: nothing is graded yet; run: autograde grade")
    failed = []
    for student, lesson in progress(graded, len(graded)):
        result = api.generate_feedback(lesson, student, force=True)
        if not result["success"]:
            failed.append(f"{student}/{lesson}: no feedback ({why(result)})")
    return sorted((term.root / "feedback").glob("*/*/*.html")), failed
