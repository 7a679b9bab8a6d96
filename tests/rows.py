"""All that a gradebook says, by names in place of nbgrader's random ids, so that two compare."""

from sqlalchemy import create_engine, text

from autograde.grading.recording import Recorder  # noqa: F401 registers nbgrader's tables

QUERIES = {
    "grades": """
        select s.student_id, a.name, c.name, g.auto_score, g.manual_score, g.extra_credit,
               g.needs_manual_grade
        from grade g join base_cell c on c.id = g.cell_id
        join submitted_notebook n on n.id = g.notebook_id
        join submitted_assignment s on s.id = n.assignment_id
        join assignment a on a.id = s.assignment_id""",
    "comments": """
        select s.student_id, a.name, c.name, m.auto_comment, m.manual_comment
        from comment m join base_cell c on c.id = m.cell_id
        join submitted_notebook n on n.id = m.notebook_id
        join submitted_assignment s on s.id = n.assignment_id
        join assignment a on a.id = s.assignment_id""",
    "submissions": """
        select s.student_id, a.name, s.timestamp, s.extension, n.late_submission_penalty, n.flagged
        from submitted_notebook n join submitted_assignment s on s.id = n.assignment_id
        join assignment a on a.id = s.assignment_id""",
    "students": "select id, first_name, last_name, email from student",
}


def rows(url: str) -> dict[str, list[tuple]]:
    """The gradebook's rows by table, sorted."""
    engine = create_engine(url)
    with engine.connect() as connection:
        found = {
            name: sorted(tuple(map(_plain, row)) for row in connection.execute(text(query)))
            for name, query in QUERIES.items()
        }
    engine.dispose()
    return found


def _plain(value: object) -> str:
    """SQLite says 0 and 1 where PostgreSQL says false and true, and a time as text."""
    if isinstance(value, bool):
        value = int(value)
    return "" if value is None else str(value).removesuffix(".000000")
