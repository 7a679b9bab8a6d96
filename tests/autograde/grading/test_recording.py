"""What is recorded again, and what a person has said of it stays."""

import nbformat
import pytest

from autograde.course.as_cells import handed_in
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions
from autograde.grading.grading import grade
from autograde.term.term import init
from tests.classroom import record, short_term

ESSAYS, PLAIN, STUDENT = "07_case_study", "00_start_here", "ada"
PLUGIN = """
from nbgrader.plugins import LateSubmissionPlugin


class TwoPoints(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2.0


c.AssignLatePenalties.plugin_class = TwoPoints
"""


def hand_in(term, essay):
    notebook = handed_in(checkout_base(ESSAYS), solutions(ESSAYS))
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "essay_impact":
            cell.source = essay
    path = term.submission(STUDENT, ESSAYS)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)


@pytest.fixture
def term(tmp_path):
    """A submission that was graded and whose essay was scored by hand."""
    term = init(tmp_path / "term")
    with (term.root / "nbgrader_config.py").open("a") as file:
        file.write(PLUGIN)
    hand_in(term, "Too low a weight, and the proxy is all that is left.")
    (term.submission(STUDENT, ESSAYS).parent / "timestamp.txt").write_text(
        "2025-10-02 12:00:00 UTC"
    )
    assert grade(term).graded
    with term.api().gradebook as gradebook:
        essay = gradebook.find_grade("essay_impact", ESSAYS, ESSAYS, STUDENT)
        essay.manual_score, essay.needs_manual_grade = 4.0, False
        gradebook.db.commit()
    return term


def essay_of(term):
    with term.api().gradebook as gradebook:
        grade = gradebook.find_grade("essay_impact", ESSAYS, ESSAYS, STUDENT)
        return grade.manual_score, grade.needs_manual_grade


def due(term, when):
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(ESSAYS, duedate=when)


def penalty(term):
    with term.api().gradebook as gradebook:
        notebook = gradebook.find_submission_notebook(ESSAYS, ESSAYS, STUDENT)
        return notebook.late_submission_penalty


@pytest.mark.parametrize("text", [b"yesterday", b"2026-13-45 12:00:00 UTC", b"\xff\xfe"])
def test_a_time_that_is_none_is_named_with_the_remedy(tmp_path, text):
    """Nothing is run for it, or recorded by a time that nobody stated."""
    term = short_term(tmp_path / "term", PLAIN)
    record(term, STUDENT, PLAIN, {})
    stamp = term.submission(STUDENT, PLAIN).with_name("timestamp.txt")
    stamp.write_bytes(text)
    outcome = grade(term)
    assert (outcome.graded, outcome.asked) == ([], 0)
    assert outcome.failed == [
        f"{STUDENT}/{PLAIN}: {stamp}: is no time; write one such as 2026-10-02 12:00:00 UTC, "
        "or delete the file"
    ]
    stamp.write_text("2026-10-02 12:00:00 UTC")
    assert grade(term).graded == [f"{STUDENT}/{PLAIN}"]


def test_an_essay_that_has_not_changed_keeps_its_score(term):
    assert grade(term, regrade=True).graded
    assert essay_of(term) == (4.0, False)


def test_an_essay_that_has_changed_is_to_be_read_again(term):
    hand_in(term, "Too high a weight, and nothing is learned.")
    assert grade(term).graded
    assert essay_of(term) == (4.0, True)


def test_a_due_date_that_moves_is_not_overlooked(term):
    assert grade(term).skipped
    due(term, "2025-10-01 12:00:00 UTC")
    assert grade(term).graded
    assert (penalty(term), essay_of(term)) == (2.0, (4.0, False))
    assert grade(term).skipped
    due(term, "2025-10-03 12:00:00 UTC")
    assert grade(term).graded
    assert not penalty(term)
    assert grade(term).skipped
