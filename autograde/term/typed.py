"""Scores typed by hand for what is another by now: they stand until a person looks at them."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from .term import FORMGRADER, Term

UNKNOWN = "for an earlier file, or when it was worth other points"
LOOK = f"the scores stand as they were typed; look again, and type or Resolve them: {FORMGRADER}"
DOUBTED = """select submitted_assignment.student_id, assignment.name, base_cell.name,
    grade.manual_score, grade_cells.max_score
    from grade
    join submitted_notebook on submitted_notebook.id = grade.notebook_id
    join submitted_assignment on submitted_assignment.id = submitted_notebook.assignment_id
    join assignment on assignment.id = submitted_assignment.assignment_id
    join base_cell on base_cell.id = grade.cell_id
    join grade_cells on grade_cells.id = base_cell.id
    where grade.manual_score is not null and grade.needs_manual_grade"""


class Typed(NamedTuple):
    """A score that was typed by hand, and for what."""

    student: str
    lesson: str
    item: str
    score: float
    most: float
    why: str


def typed(term: Term, lessons: Collection[str]) -> Iterator[Typed]:
    """Those to be looked at again. nbgrader's own commands say of none for what it was typed."""
    with term.store() as store:
        known = store.typed()
    for student, lesson, cell, score, most in sorted(term.rows(DOUBTED)):
        if lesson in lessons:
            why = known.get(f"{student}/{lesson}", {}).get(cell, UNKNOWN)
            yield Typed(student, lesson, item_of(cell), score, most, why)


def typed_for(why: Mapping[str, str]) -> str:
    """What scores of one submission were typed for, in words."""
    return "typed by hand " + ", ".join(f"{says} ({item_of(cell)})" for cell, says in why.items())


def item_of(cell: str) -> str:
    """The exercise, question or essay of a grade cell."""
    return cell.removeprefix("test_")
