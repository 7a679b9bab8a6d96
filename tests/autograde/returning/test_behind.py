"""Points that are not of what lies there now are named wherever points go out."""

import hashlib
from datetime import UTC, datetime

import pytest

from autograde.cli import main
from autograde.course.plan import Plan
from autograde.term.term import SETTINGS, init
from tests.classroom import record, short_term

LESSON = "02_divergence"
ROSTER = "id,first_name,last_name,email\n" + "".join(f"{s},,,\n" for s in ("ann", "ben", "cy"))


@pytest.fixture
def term(tmp_path):
    """ann, ben and a guest are graded, from the files and the lesson that are there."""
    (tmp_path / "class.csv").write_text(ROSTER)
    term = short_term(tmp_path / "term", LESSON, roster=tmp_path / "class.csv")
    for student in ("ann", "ben", "guest"):
        record(term, student, LESSON, {})
        remember(term, student)
    return term


def mark(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def remember(term, student):
    """As grading keeps what the points are of."""
    name = f"{student}/{LESSON}"
    source = f"{mark(term.submission(student, LESSON))}-{mark(term.base_path(LESSON))}-fork-1"
    with term.store() as store:
        store.keep_recorded(name, source, store.recorded()[name])


@pytest.fixture
def said(term, capsys):
    """What an export says, by form, and that its exit code is this."""

    def run(form, *options, code=0):
        target = str(term.root.parent / f"{form}.csv")
        words = ["export", "--for", form, "--to", target, "--course", str(term.root), *options]
        assert main(words) == code
        lines = capsys.readouterr().err.splitlines()
        return [line.removeprefix("autograde: ") for line in lines if LESSON in line]

    return run


def test_what_is_as_it_was_graded_says_nothing(said):
    for form in ("table", "students", "canvas", "moodle"):
        assert said(form) == []


def test_points_that_changed_since_are_told(term, said):
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.points = {"k1": 9}\n')
    init(term.root)
    (line,) = said("table", code=1)
    assert line.startswith(f"{LESSON}: ann, ben, guest: the points are of the lesson as it was")
    assert line.endswith("run: autograde grade")
    (line,) = said("students", code=1)
    assert line.startswith(f"{LESSON}: ann, ben: the points")  # the guest is not in it
    for student in ("ann", "ben", "guest"):
        remember(term, student)
    assert said("students") == []


def test_an_earlier_files_points_are_told(term, said):
    """Where a newer came, and where nothing is graded at all."""
    for student in ("ann", "cy"):
        path = term.submission(student, LESSON)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
        with term.store() as store:
            store.keep_placed({f"{student}/{LESSON}": (mark(path), datetime.now(UTC))})
    lines = said("students", code=1)
    assert [line.partition(": ")[2].partition(":")[0] for line in lines] == ["cy", "ann"]
    assert "handed in, and not graded yet: no points stand there" in lines[0]
    assert "an earlier file than the newest; run: autograde grade" in lines[1]
    with term.store() as store:
        store.keep_failed(f"cy/{LESSON}", "broken")
    assert any("cy: handed in what cannot be graded" in line for line in said("moodle", code=1))


def test_no_points_at_all_are_no_outdated_ones(term, said):
    """And leave a total empty, where what was not handed in counts 0."""
    term.submission("cy", LESSON).parent.mkdir(parents=True)
    with term.store() as store:
        store.keep_failed(f"cy/{LESSON}", "broken")
    (line,) = said("students")
    assert "cy: handed in what cannot be graded" in line
    lines = (term.root.parent / "students.csv").read_text("utf-8-sig").splitlines()
    (line,) = (line for line in lines if line.startswith("cy,"))
    assert line.split(",")[4:-1] == ["", ""]
    with term.store() as store:
        store.keep_failed(f"ann/{LESSON}", "cut short")  # whose points are of an earlier file
    said("students", code=1)


def test_whom_a_platform_is_not_told_of_does_not_count_there(term, said):
    with term.store() as store:
        store.keep_failed(f"guest/{LESSON}", "cut short")
    assert said("moodle") == []
    assert len(said("table", code=1)) == 1


def test_a_file_that_was_replaced_by_hand_and_graded_is_no_earlier_one(term, said):
    with term.store() as store:
        store.keep_placed({f"ann/{LESSON}": ("0" * 64, datetime.now(UTC))})
    assert said("table") == []


def test_scores_typed_by_hand_before_are_told(term, said):
    """With what each was typed for, of those who are in the file."""
    for student in ("ann", "ben", "guest"):
        with term.api().gradebook as gradebook:
            found = gradebook.find_grade("test_k1", LESSON, LESSON, student)
            found.manual_score, found.needs_manual_grade = 1.0, student != "ben"
            gradebook.db.commit()
    with term.store() as store:
        store.keep_typed(f"ann/{LESSON}", {"test_k1": "when it was worth 2"})
    (line,) = said("students")
    assert line.startswith(
        f"{LESSON}: typed by hand: ann (k1, when it was worth 2): the scores stand"
    )
    (line,) = said("table")
    assert "ann (k1, when it was worth 2), guest (k1, for an earlier file, or when" in line
    assert term.store().forget("ann")
    assert "ann (k1, for an earlier file, or" in said("canvas")[-1]


def test_init_says_what_it_took_from_the_settings(term, capsys):
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.points = {"k1": 9, "k2": 0.5}\n')
    assert main(["init", str(term.root)]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said.endswith(f"1 of 8 lessons: {LESSON}; points by c.Course.points: k1 9, k2 0.5")
    assert Plan().told() == ""


def test_the_report_has_it_among_what_waits(term, tmp_path):
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.points = {"k1": 9}\n')
    init(term.root)
    target = tmp_path / "r.html"
    assert main(["report", "--to", str(target), "--course", str(term.root)]) == 0
    part = target.read_text("utf-8").partition('id="to-do"')[2].partition("<h2")[0]
    assert "before autograde init changed it; run: autograde grade" in part
    assert all(student in part for student in ("ann", "ben", "guest"))
