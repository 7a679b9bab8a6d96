"""What is recorded again, and what a person has said of it stays."""

from pathlib import Path
from textwrap import dedent

import nbformat
import pytest

from autograde.course.as_cells import handed_in
from autograde.course.exercises import exercises
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions
from autograde.grading.by_hand import EARLIER
from autograde.grading.grading import grade
from autograde.receiving.collecting import collect
from autograde.returning.feedback import feedback
from autograde.term.term import SETTINGS, Term, init
from autograde.term.typed import UNKNOWN, typed
from tests.classroom import RIGHT, cell, record, short_term, verdict

ESSAYS, PLAIN, STUDENT = "07_case_study", "00_start_here", "ada"
CAME = "2025-10-02 13:00:00 UTC"
PLUGIN = """
from nbgrader.plugins import LateSubmissionPlugin


class TwoPoints(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 2.0


c.AssignLatePenalties.plugin_class = TwoPoints
"""


def hand_in(term, essay):
    notebook = handed_in(checkout_base(ESSAYS), solutions(ESSAYS))
    cell(notebook, "essay_impact").source = essay
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


@pytest.fixture
def appeal(tmp_path):
    """An answer without full points that was then scored by hand, and how to grade it again."""
    term = short_term(tmp_path / "term", "02_divergence")

    def again(mistake="swapped", change=lambda notebook: None):
        term_now = Term(term.root)
        return record(term_now, STUDENT, "02_divergence", {"categorical_kl": mistake}, change)

    again()
    type_score(term, 3.0)
    return term, again


def type_score(term, score):
    """As formgrader does."""
    with term.api().gradebook as gradebook:
        found = gradebook.find_grade("test_categorical_kl", *["02_divergence"] * 2, STUDENT)
        found.manual_score, found.needs_manual_grade = score, False
        gradebook.db.commit()


def appeal_of(term):
    """The score that was typed, where it is to be looked at again, and for what it was."""
    found = [(one.item, one.score, one.why) for one in typed(term, ["02_divergence"])]
    with term.api().gradebook as gradebook:
        names = ("test_categorical_kl", "02_divergence", "02_divergence", STUDENT)
        assert gradebook.find_grade(*names).manual_score == 3.0  # nobody else changes it
    return found


def comment_in(name):
    def change(notebook):
        cell(notebook, name).source += "\n# mended"

    return change


def test_a_score_by_hand_is_not_asked_about_for_nothing(appeal):
    term, again = appeal
    assert again() == {}
    assert again(change=comment_in("k1")) == {}  # a newer file, with the same answer here
    assert appeal_of(term) == []


def test_a_score_by_hand_of_an_earlier_answer_is_to_be_looked_at(appeal):
    term, again = appeal
    assert again(change=comment_in("categorical_kl")) == {"test_categorical_kl": EARLIER}
    assert appeal_of(term) == [("categorical_kl", 3.0, EARLIER)]
    assert again(change=comment_in("categorical_kl")) == {}  # it asks on, and says it once
    assert appeal_of(term) == [("categorical_kl", 3.0, EARLIER)]
    type_score(term, 3.0)
    assert appeal_of(term) == []


def test_what_an_answer_may_call_belongs_to_it(appeal):
    term, again = appeal

    def add(notebook):
        notebook.cells.append(nbformat.v4.new_code_cell("def mine(x):\n    return x"))

    assert again(change=add) == {"test_categorical_kl": EARLIER}


def test_a_score_by_hand_when_it_was_worth_other_points_is_to_be_looked_at(appeal):
    term, again = appeal
    most = sum(exercises("02_divergence")["categorical_kl"].parts.values())
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.points = {"categorical_kl": 12}\n')
    init(term.root)
    says = f"when it was worth {most:g}"
    assert again() == {"test_categorical_kl": says}
    assert appeal_of(term) == [("categorical_kl", 3.0, says)]


def test_a_score_by_hand_when_the_program_counted_otherwise_is_to_be_looked_at(appeal):
    term, again = appeal
    before = verdict("02_divergence", "categorical_kl", "swapped").points
    assert again(RIGHT) == {"test_categorical_kl": f"when the program counted {before:g}"}


def test_what_nbgraders_own_command_asks_about_is_named_too(appeal):
    """It says of no score for what it was typed."""
    term, _ = appeal
    with term.api().gradebook as gradebook:
        names = ("test_categorical_kl", "02_divergence", "02_divergence", STUDENT)
        gradebook.find_grade(*names).needs_manual_grade = True
        gradebook.db.commit()
    assert appeal_of(term) == [("categorical_kl", 3.0, UNKNOWN)]


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
    """And `grade` says so."""
    hand_in(term, "Too high a weight, and nothing is learned.")
    (line,) = grade(term).typed
    assert line.startswith(
        f"{STUDENT}/{ESSAYS}: typed by hand {EARLIER} (essay_impact): the scores"
    )
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


def time_of(term):
    """As the gradebook has it, and as it stands beside the graded copy."""
    with term.api().gradebook as gradebook:
        known = gradebook.find_submission(PLAIN, STUDENT)
        cost = known.late_submission_penalty
        copy = term.root / "autograded" / STUDENT / PLAIN / "timestamp.txt"
        return known.timestamp and f"{known.timestamp} UTC", cost, copy.exists()


@pytest.fixture
def late(tmp_path):
    """A term in which one came late, by a time that was written by hand."""
    term = short_term(tmp_path / "term", PLAIN)
    with (term.root / SETTINGS).open("a") as file:
        file.write(PLUGIN)
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(PLAIN, duedate="2025-10-01 12:00:00 UTC")
    stamp_of(term).parent.mkdir(parents=True)
    nbformat.write(solved(term), term.submission(STUDENT, PLAIN))
    stamp_of(term).write_text(CAME)
    assert grade(term).graded
    assert time_of(term) == (CAME, 2.0, True)
    return term


def solved(term):
    return handed_in(term.base(PLAIN), solutions(PLAIN))


def stamp_of(term):
    return term.submission(STUDENT, PLAIN).with_name("timestamp.txt")


def test_the_time_of_an_earlier_file_is_not_a_newer_ones(late, tmp_path):
    """Of which none is known: nothing is taken off, and the page states none."""
    feedback(late)
    page = late.root / "feedback" / STUDENT / PLAIN / f"{PLAIN}.html"
    assert "2025-10-02 13:00 UTC" in page.read_text("utf-8")
    newer = solved(late)
    newer.cells.append(nbformat.v4.new_markdown_cell("Another try."))
    nbformat.write(newer, tmp_path / f"{PLAIN}.ipynb")
    assert collect(tmp_path / f"{PLAIN}.ipynb", late, STUDENT).placed
    assert not stamp_of(late).exists()
    assert grade(late).graded
    assert time_of(late) == (None, 0.0, False)
    feedback(late)
    assert "2025-10-02" not in page.read_text("utf-8")
    assert grade(late).skipped


@pytest.mark.parametrize("text", [None, ""])
@pytest.mark.parametrize("before", [CAME, "2025-09-30 12:00:00 UTC"])
def test_a_time_that_was_taken_back_counts_no_more(late, before, text):
    """Late or not, though all else is as it was; and no student code runs for it."""
    stamp_of(late).write_text(before)
    grade(late)
    assert time_of(late)[0] == before
    stamp_of(late).unlink() if text is None else stamp_of(late).write_text(text)
    outcome = grade(late)
    assert (len(outcome.graded), outcome.asked) == (1, 0)
    assert time_of(late)[:2] == (None, 0.0)
    assert grade(late).skipped


def test_a_time_that_is_known_counts_on(late):
    assert grade(late).skipped
    assert grade(late, regrade=True).graded
    assert time_of(late) == (CAME, 2.0, True)
    stamp_of(late).write_text("2025-09-30 12:00:00 UTC")
    assert grade(late).graded
    assert time_of(late) == ("2025-09-30 12:00:00 UTC", 0.0, True)


def test_a_day_begun_costs_a_point_as_readme_has_it(tmp_path):
    """24 hours late is one day, and a second more is two."""
    readme = Path(__file__).parents[3] / "README.md"
    text = readme.read_text("utf-8")
    start, end = "    import math\n", "plugin_class = APointADay\n"
    rule = start + text.partition(start)[2].partition(end)[0] + end
    term = short_term(tmp_path / "term", PLAIN)
    with (term.root / SETTINGS).open("a", encoding="utf-8") as file:
        file.write(dedent(rule))
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(PLAIN, duedate="2026-10-01 12:00:00 UTC")
    times = ("10-01 12:00:00", "10-01 12:00:01", "10-02 12:00:00", "10-02 12:00:01")
    for number, time in enumerate(times):
        stamp = term.submission(f"s{number}", PLAIN).with_name("timestamp.txt")
        stamp.parent.mkdir(parents=True)
        stamp.write_text(f"2026-{time} UTC")
        record(term, f"s{number}", PLAIN, {})
    with term.api().gradebook as gradebook:
        found = [
            gradebook.find_submission_notebook(PLAIN, PLAIN, f"s{number}").late_submission_penalty
            for number in range(len(times))
        ]
    assert [cost or 0 for cost in found] == [0, 1, 1, 2]
    assert term.lateness == "a point for each day begun"
