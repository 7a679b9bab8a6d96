"""What goes back: feedback pages to students, a table of points to the instructor."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .errors import UsageError
from .grading import why
from .term import Term

COLUMNS = [
    "id", "last_name", "first_name", "email", "lesson", "score", "max_score",
    "late_penalty", "needs_hand_grading",
]  # fmt: skip


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


def grades(term: Term) -> Iterator[dict[str, Any]]:
    """A row for each student and lesson of the gradebook; what was not handed in has no score."""
    with term.api().gradebook as gradebook:
        submissions = {
            (one.student.id, one.assignment.name): one
            for assignment in gradebook.assignments
            for one in assignment.submissions
        }
        for student in sorted(gradebook.students, key=lambda s: (s.last_name or "", s.id)):
            for assignment in sorted(gradebook.assignments, key=lambda a: a.name):
                one = submissions.get((student.id, assignment.name))
                yield {
                    "id": student.id,
                    "last_name": student.last_name or "",
                    "first_name": student.first_name or "",
                    "email": student.email or "",
                    "lesson": assignment.name,
                    "score": one.score - one.late_submission_penalty if one else "",
                    "max_score": assignment.max_score,
                    "late_penalty": one.late_submission_penalty if one else "",
                    "needs_hand_grading": one.needs_manual_grade if one else "",
                }


def export(term: Term, target: Path) -> Path:
    """Write the table as CSV, quoted where needed; whole or not at all.

    Raises UsageError when it cannot be written there.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        with partial.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(grades(term))
        partial.replace(target)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror}); name another") from None
    return target


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Students down, lessons across, as text for a terminal."""
    rows = list(rows)
    lessons = sorted({row["lesson"] for row in rows})
    students = list(dict.fromkeys(row["id"] for row in rows))
    scores = {(row["id"], row["lesson"]): _score(row) for row in rows}
    width = 2 + max(len(text) for text in (*students, "student"))
    lines = ["student".ljust(width) + "".join(f"  {lesson:>11.11}" for lesson in lessons)]
    for student in students:
        cells = (f"  {scores.get((student, lesson), ''):>11}" for lesson in lessons)
        lines.append(student.ljust(width) + "".join(cells))
    if any(row["needs_hand_grading"] for row in rows):
        lines += ["", "* an essay waits to be graded by hand: nbgrader formgrader"]
    return "\n".join(lines)


def _score(row: dict[str, Any]) -> str:
    if row["score"] == "":
        return "–"
    return f"{row['score']:g} of {row['max_score']:g}" + "*" * bool(row["needs_hand_grading"])
