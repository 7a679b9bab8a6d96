"""Bad input gets one line that names it and the remedy, the right exit code, and no half result."""

import json
import sqlite3

import pytest

from autograde.cli import main
from autograde.doctor import findings
from autograde.exercises import LESSONS, exercises
from autograde.term import Term, init


def run(capsys, *arguments):
    """(exit code, what was printed, the lines on stderr)"""
    try:
        code = main([str(argument) for argument in arguments])
    except SystemExit as exited:
        code = exited.code
    captured = capsys.readouterr()
    return code, captured.out, captured.err.strip().splitlines()


@pytest.fixture(scope="module")
def term_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terms") / "term"
    init(folder)
    return folder


def test_init_and_again(tmp_path, capsys):
    roster = tmp_path / "class.csv"
    roster.write_text('id,first_name,last_name,email\nana,Ana,"A, B",a@x.org\n')
    folder = tmp_path / "term"
    assert run(capsys, "init", folder, "--roster", roster)[0] == 0
    key = Term.open(folder).secret
    (folder / "submitted" / "ana").mkdir()
    assert run(capsys, "init", folder)[0] == 0
    assert Term.open(folder).secret == key
    assert Term.open(folder).roster()[0]["last_name"] == "A, B"
    assert (folder / "submitted" / "ana").exists()
    with sqlite3.connect(folder / "gradebook.db") as database:
        assert database.execute("select id, last_name from student").fetchall() == [("ana", "A, B")]
        names = database.execute("select name from assignment order by name").fetchall()
    assert [name for (name,) in names] == list(LESSONS)
    assert not list(tmp_path.glob(".*partial"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("name,mail\nana,x\n", "its first line must be id,first_name"),
        ("id,first_name,last_name,email\nana,A,B,c\nana,A,B,c\n", "line 3: the id 'ana' is there"),
        ("id,first_name,last_name,email\na/b,A,B,c\n", "line 2: the id 'a/b'"),
        ("", "its first line must be"),
        (b"\xff\xfe\x00", "cannot be read as CSV"),
    ],
)
def test_a_roster_that_is_wrong(tmp_path, capsys, text, says):
    roster = tmp_path / "class.csv"
    roster.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, _, errors = run(capsys, "init", tmp_path / "term", "--roster", roster)
    assert (code, len(errors)) == (2, 1)
    assert says in errors[0]
    assert str(roster) in errors[0]
    assert not (tmp_path / "term").exists()


def test_a_folder_that_holds_something_else(tmp_path, capsys):
    (tmp_path / "gradebook.db").write_bytes(b"from elsewhere")
    code, _, errors = run(capsys, "init", tmp_path)
    assert (code, len(errors)) == (2, 1)
    assert "not a term folder" in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["gradebook.db"]


COURSE_COMMANDS = [
    ("grade",),
    ("feedback",),
    ("export", "--to", "grades.csv"),
    ("collect", "."),
]


@pytest.mark.parametrize("command", COURSE_COMMANDS)
def test_a_course_that_is_none(tmp_path, capsys, command):
    code, _, errors = run(capsys, *command, "--course", tmp_path)
    assert (code, len(errors)) == (2, 1)
    assert "not a term folder" in errors[0]
    assert "autograde init" in errors[0]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("grade", "99_nothing"), "no lesson '99_nothing'"),
        (("grade", "0"), "no lesson '0'"),
        (("grade", "--student", "nobody"), "no submission of 'nobody'"),
        (("grade",), "nothing to grade; run: autograde collect"),
        (("feedback",), "nothing is graded yet; run: autograde grade"),
        (("export", "--to", "/no/such/folder/x.csv"), "cannot be written"),
        (("collect", "/no/such/download"), "no such file or folder"),
    ],
)
def test_arguments_that_name_nothing(term_folder, capsys, arguments, says):
    code, _, errors = run(capsys, *arguments, "--course", term_folder)
    assert (code, len(errors)) == (2, 1)
    assert says in errors[0]


@pytest.mark.parametrize(
    "arguments",
    [(), ("nothing",), ("grade", "--workers", "0"), ("grade", "--workers", "x"), ("export",)],
)
def test_arguments_of_the_wrong_form(capsys, arguments):
    assert run(capsys, *arguments)[0] == 2


def test_a_gradebook_that_is_gone(tmp_path, capsys):
    init(tmp_path / "term")
    (tmp_path / "term" / "gradebook.db").unlink()
    code, _, errors = run(capsys, "grade", "--course", tmp_path / "term")
    assert (code, len(errors)) == (2, 1)
    assert "gradebook.db: missing" in errors[0]
    assert run(capsys, "init", tmp_path / "term")[0] == 0
    assert "nothing to grade" in run(capsys, "grade", "--course", tmp_path / "term")[2][0]


def test_a_gradebook_that_is_no_database(tmp_path, capsys):
    init(tmp_path / "term")
    (tmp_path / "term" / "gradebook.db").write_bytes(b"no database at all" * 100)
    code, _, errors = run(
        capsys, "export", "--to", tmp_path / "x.csv", "--course", tmp_path / "term"
    )
    assert (code, len(errors)) == (2, 1)
    assert "gradebook.db: not a gradebook" in errors[0]
    assert not (tmp_path / "x.csv").exists()


def test_check_says_what_is_what(capsys, solved, base, save):
    path = save(solved)
    code, printed, _ = run(capsys, "check", path, "--json")
    found = json.loads(printed)
    most = sum(exercise.points for exercise in exercises("02_divergence").values())
    assert (code, found["score"], found["max_score"]) == (0, most, most)
    assert {one["status"] for one in found["exercises"].values()} == {"right"}
    code, printed, _ = run(capsys, "check", save(base, "Copy of lesson.ipynb"))
    assert code == 0
    assert f"0 of {most} points in 02_divergence" in printed


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no such file"),
        ("{", "not a notebook"),
        ('{"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "of no lesson"),
    ],
)
def test_check_of_what_is_no_lesson(tmp_path, capsys, text, says):
    path = tmp_path / "x.ipynb"
    if text is not None:
        path.write_text(text)
    code, _, errors = run(capsys, "check", path)
    assert (code, len(errors)) == (2, 1)
    assert says in errors[0]
    assert str(path) in errors[0]


def test_grading_without_a_sandbox_says_so(capsys, base, save):
    path = save(base)
    found = json.loads(run(capsys, "check", path, "--json", "--sandbox", "none")[1])
    assert found["sandbox"] == "none"


def test_the_doctor_finds_this_machine_well():
    lacking = [finding for finding in findings() if finding.mend]
    assert lacking == []


def test_the_doctor_says_what_mends_a_machine_without_bubblewrap(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    mends = {finding.what: finding.mend for finding in findings()}
    assert "apt-get install bubblewrap" in mends["sandbox"]
