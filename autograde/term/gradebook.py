"""nbgrader's tables, for reading a class at once and writing quickly."""

from typing import Any

from nbgrader.api import (
    Assignment,
    BaseCell,
    Comment,
    Grade,
    Notebook,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import Connection, select

assignments, notebooks, base_cells, students, submissions, copies, grades, comments = (
    table.__table__
    for table in (
        Assignment, Notebook, BaseCell, Student, SubmittedAssignment, SubmittedNotebook, Grade,
        Comment,
    )
)  # fmt: skip

# nbgrader looks rows up by these columns and has no index on them: its time grows with the class.
INDEXED = (
    grades.c.notebook_id,
    comments.c.notebook_id,
    copies.c.assignment_id,
    copies.c.notebook_id,
    submissions.c.student_id,
)


def row_of(connection: Connection, table: Any, **values: str) -> Any:
    """The row with these values, made when there is none."""
    query = select(table).where(*(table.c[name] == value for name, value in values.items()))
    found = connection.execute(query).first()
    if found is None:
        connection.execute(table.insert().values(**values))
        found = connection.execute(query).first()
    return found
