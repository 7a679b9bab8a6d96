"""nbgrader's tables, for reading a class at once and writing quickly."""

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
