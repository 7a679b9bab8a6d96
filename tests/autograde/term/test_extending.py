"""More time for one student: what may be said, where it counts, and how it is taken back."""

import shutil
from datetime import datetime, timedelta

import pytest

from autograde.cli import main
from autograde.returning.exporting import grades
from autograde.returning.tally import tally
from autograde.term.extending import extend, extensions
from autograde.term.term import Term
from tests.classroom import record, short_term
from tests.term import LATE_CONFIG

LESSON = "00_start_here"
DUE = datetime(2026, 10, 2, 12)
ROSTER = "id,first_name,last_name,email\nana,Ana,A,a@x.org\nbob,Bob,B,b@x.org\n"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A lesson that was due two days before Ana's work came; late work loses four points."""
    folder = tmp_path_factory.mktemp("extending")
    (folder / "class.csv").write_text(ROSTER)
    roster = folder / "class.csv"
    term = short_term(folder / "term", LESSON, "01_policy_updates", roster=roster)
    with (term.root / "nbgrader_config.py").open("a") as file:
        file.write(LATE_CONFIG)
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(LESSON, duedate=f"{DUE} UTC")
    came(term, "ana")
    record(term, "ana", LESSON, {})
    return term.root


@pytest.fixture
def term(made, tmp_path):
    shutil.copytree(made, tmp_path / "term")
    return Term.open(tmp_path / "term")


def came(term, student):
    folder = term.submission(student, LESSON).parent
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "timestamp.txt").write_text("2026-10-04 12:00:00 UTC")


def penalty(term, student):
    return {r["id"]: r["late_penalty"] for r in grades(term) if r["lesson"] == LESSON}[student]


def given(term, student="ana"):
    with term.api().gradebook as gradebook:
        return gradebook.find_submission(LESSON, student).extension


@pytest.mark.parametrize(
    ("time", "extra"),
    [
        ("2d", timedelta(days=2)),
        ("36h", timedelta(hours=36)),
        ("+1w", timedelta(weeks=1)),
        ("1D12H30min", timedelta(days=1, hours=12, minutes=30)),
        ("2026-10-04 12:00:00 UTC", timedelta(days=2)),
        ("2026-10-04T12:00Z", timedelta(days=2)),
        ("2026-10-04 12:00:00 +0200", timedelta(days=1, hours=22)),
        ("2026-10-04 12:00 Europe/Berlin", timedelta(days=1, hours=22)),
    ],
)
def test_a_time_or_a_length(term, time, extra):
    says = extend(term, "ana", "00", time)
    assert given(term) == extra
    assert says.startswith(f"ana, {LESSON}: due {DUE + extra} UTC, ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("an", LESSON, "2d"), "nobody has the id 'an' (did you mean ana, Ana A?); check the id"),
        (("Bob B", LESSON, "2d"), "nobody has the id 'Bob B' (did you mean bob, Bob B?)"),
        (("b@x.org", LESSON, "2d"), "nobody has the id 'b@x.org' (did you mean bob, Bob B?)"),
        (("ana", LESSON, "-1d"), "-1d: nobody can have less time than the others; give a time"),
        (("ana", "99", "2d"), "no lesson '99'; give one of 00_start_here"),
        (("ana", "01", "2d"), "01_policy_updates: has no due date, so nobody is late; set one"),
        (("ana", LESSON, "soon"), "'soon': no time that can be read, with a zone; give a time"),
        (("ana", LESSON, "2"), "'2': no time"),
        (("ana", LESSON, "2 m"), "'2 m': no time"),
        (("ana", LESSON, "2026-10-04"), "no time that can be read"),
        (("ana", LESSON, "2026-10-04 12:00:00"), "no time that can be read, with a zone"),
        (("ana", LESSON, "2026-13-04 12:00:00 UTC"), "no time that can be read"),
        (("ana", LESSON, "2026-10-04 12:00:00 Nowhere"), "no time that can be read"),
        (
            ("ana", LESSON, "2026-10-02 12:00:00 UTC"),
            "is due 2026-10-02 12:00:00 UTC for all; name",
        ),
        (("ana", LESSON, "0d"), "is due 2026-10-02 12:00:00 UTC for all; name a later time"),
        (("ana", LESSON, "999999w"), "too long"),
        (("ana", LESSON, "9999-10-02 12:00:00 UTC"), "too long"),
        (("ana", LESSON, "none"), "ana has no extension to take back"),
        (("ana", LESSON), "give ID, LESSON and TIME, or nothing to see what there is"),
    ],
)
def test_what_cannot_be_given(term, capsys, arguments, says):
    assert main(["extend", *arguments, "--course", str(term.root)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert says in captured.err
    assert extensions(term) == []
    assert given(term) is None


def test_it_counts_wherever_lateness_is_decided(term):
    """Penalty, points, the report; and again when it is taken back."""
    assert penalty(term, "ana") == 4.0
    assert list(tally(term).lessons[LESSON].late) == ["ana"]
    says = extend(term, "ana", LESSON, "2d")
    assert says.endswith("; what is graded follows with the next autograde grade")
    record(term, "ana", LESSON, {})
    found = tally(term).lessons[LESSON]
    assert (penalty(term, "ana"), found.late) == (0.0, {})
    assert found.extended == {"ana": f"due {DUE + timedelta(days=2)} UTC, 2 days after the others"}
    extend(term, "ana", LESSON, "47h")  # in its place, and an hour short
    record(term, "ana", LESSON, {})
    late_by, cost = tally(term).lessons[LESSON].late["ana"]
    assert (late_by, cost) == (timedelta(hours=1), 4.0)
    extend(term, "ana", LESSON, "none")
    assert given(term) is None
    assert extensions(term) == []


def test_grade_looks_again_when_it_has_changed(term):
    from autograde.grading.recording import Recorder

    with Recorder(term) as recorder:
        before = recorder.lateness("ana", LESSON)
        extend(term, "ana", LESSON, "1d")
        assert recorder.lateness("ana", LESSON) not in ("", before)


def test_before_anything_is_handed_in(term):
    """It is no submission, has no score, and holds when one comes."""
    extend(term, "bob", LESSON, "2d")
    scores = {(r["id"], r["lesson"]): r["score"] for r in grades(term)}
    assert scores["bob", LESSON] == ""
    assert "bob" not in tally(term).lessons[LESSON].totals
    assert f"bob/{LESSON}" not in term.in_gradebook()
    came(term, "bob")
    record(term, "bob", LESSON, {})
    assert penalty(term, "bob") == 0.0
    assert given(term, "bob") == timedelta(days=2)


def test_taken_back_before_anything_is_handed_in_leaves_no_row(term):
    extend(term, "bob", LESSON, "2d")
    extend(term, "bob", LESSON, "None")
    with term.api().gradebook as gradebook:
        assert [one.student.id for one in gradebook.assignment_submissions(LESSON)] == ["ana"]


def test_it_moves_with_the_due_date(term):
    extend(term, "ana", LESSON, "2d")
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(LESSON, duedate="2026-10-09 12:00:00 UTC")
    assert extensions(term) == [
        f"{LESSON}, ana: due 2026-10-11 12:00:00 UTC, 2 days after the others"
    ]
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(LESSON, duedate=None)
    assert extensions(term) == [f"{LESSON}, ana: 2 days after the others, of whom none is due"]


def test_the_command_says_what_there_is(term, capsys):
    course = "--course", str(term.root)
    assert main(["extend", *course]) == 0
    assert capsys.readouterr().out == "0 extensions in this term\n"
    assert main(["extend", "ana", "00", "2d", *course]) == 0
    assert main(["extend", "bob", "00", "1h", *course]) == 0
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "2 extensions in this term:",
        f"  {LESSON}, ana: due 2026-10-04 12:00:00 UTC, 2 days after the others",
        f"  {LESSON}, bob: due 2026-10-02 13:00:00 UTC, 1 hour after the others",
    ]
    assert main(["report", "--to", str(term.root.parent / "r.html"), *course]) == 0
    page = (term.root.parent / "r.html").read_text("utf-8")
    assert "More time:" in page
    assert "due 2026-10-02 13:00:00 UTC, 1 hour after the others" in page
