"""Bad input gets one line that names it and the remedy, the right exit code, and no half result."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
import termios

import pytest

from autograde import cli
from autograde.cli import main
from autograde.course.exercises import LESSONS, exercises
from autograde.doctor import findings
from autograde.term.term import Term, init


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


@pytest.fixture(scope="module")
def listed_folder(term_folder):
    """The same with a student on its roster."""
    folder = term_folder.with_name("listed")
    shutil.copytree(term_folder, folder)
    (folder / "roster.csv").write_text("id,first_name,last_name,email\nana,Ana,A,a@x.org\n")
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


def test_init_says_which_column_of_an_export_is_the_id(tmp_path, capsys):
    roster = tmp_path / "grades.csv"
    roster.write_text("Nachname;Vorname;Matrikelnummer\nL;Ana;ana1\n", encoding="utf-16")
    code, printed, _ = run(capsys, "init", tmp_path / "term", "--roster", roster)
    assert (code, "under 'Matrikelnummer'" in printed) == (0, True)
    assert Term.open(tmp_path / "term").roster()[0]["id"] == "ana1"


def test_junk_is_no_failure_and_somebody_lost_is_one(tmp_path, term_folder, capsys):
    (tmp_path / "d").mkdir()
    for name in (".DS_Store", "index.html", "Thumbs.db"):
        (tmp_path / "d" / name).write_text("x")
    code, printed, errors = run(capsys, "collect", tmp_path / "d", "--course", term_folder)
    assert (code, errors) == (0, [])
    assert "0 placed, 0 not placed; 3 other files left out" in printed
    (tmp_path / "d" / "ana.pdf").write_text("x")
    assert run(capsys, "collect", tmp_path / "d", "--course", term_folder)[0] == 1


def test_a_folder_that_holds_something_else(tmp_path, capsys):
    (tmp_path / "gradebook.db").write_bytes(b"from elsewhere")
    code, _, errors = run(capsys, "init", tmp_path)
    assert (code, len(errors)) == (2, 1)
    assert "not a term folder" in errors[0]
    assert [path.name for path in tmp_path.iterdir()] == ["gradebook.db"]


# What goes wrong, by what is typed, in a folder that `places` laid out; what the line must say.
# {x} stands for that folder, which every path must be named in.
NO_TERM, LONG = "not a term folder; name one with --course", "x" * 300
BAD = [
    ("init {x}/file", "not empty and not a term folder"),
    ("init {x}/full", "not empty and not a term folder"),
    ("init {x}/file/term", "file: is a file; name a folder"),
    ("init /proc/term", "/proc/term: cannot be made ("),
    ("init {x}/new --roster {x}/nobody.csv", "nobody.csv: has no students; name a roster"),
    ("release /proc/term", "/proc/term: cannot be made ("),
    ("init {x}/new --roster {x}/none.csv", "none.csv: cannot be read as CSV (No such file"),
    ("init {x}/new --roster {x}/empty", "empty: cannot be read as CSV (Is a directory)"),
    ("init {x}/new --roster {x}/latin.csv", "latin.csv: cannot be read as CSV; save it as CSV in"),
    ("init {x}/new --roster {x}/other.csv", "other.csv: its first line must be id,first_name"),
    ("release {x}/file", "file: not empty; name an empty or a new folder"),
    ("release {x}/full", "full: not empty; name an empty or a new folder"),
    ("release {x}/file/bundle", "file: is a file; name a folder"),
    ("release {x}/new 99", "no lesson '99'; give one of 00_start_here"),
    ("release {x}/new divergence", "(did you mean 02_divergence?)"),
    ("release {x}/new --course {x}/none", NO_TERM),
    ("remove ana --course {x}/none", NO_TERM),
    ("remove ana --course {x}/file", NO_TERM),
    ("remove ana --course {term}", "nobody has the id 'ana'; check the id"),
    ("remove .. --course {term}", "nobody has the id '..'; check the id"),
    ("remove --course {term}", "required: ID; see: autograde remove --help"),
    ("extend --course {x}/none", NO_TERM),
    ("extend ana 02 2d --course {term}", "nobody has the id 'ana'; check the id"),
    ("extend ana 99 2d --course {term}", "no lesson '99'; give one of 00_start_here"),
    ("extend ana 02 soon --course {term}", "'soon': no time that can be read, with a zone; give"),
    ("extend ana 02 -1d --course {term}", "-1d: nobody can have less time than the others; give"),
    ("extend ana 02 -x --course {term}", "unrecognized arguments: -x; see: autograde --help"),
    ("extend ana 02 --course {term}", "extend: give ID, LESSON and TIME, or nothing to see"),
    ("grade --course {x}/none", NO_TERM),
    ("grade --course {x}/file", NO_TERM),
    ("grade --course {x}/full", NO_TERM),
    ("grade 99_nothing --course {term}", "no lesson '99_nothing'; give one of 00_start_here"),
    ("grade 0 --course {term}", "no lesson '0'"),
    ("grade 02_divergense --course {term}", "(did you mean 02_divergence?)"),
    ("grade divergence --course {term}", "(did you mean 02_divergence?)"),
    ("grade --student nobody --course {term}", "no submission of 'nobody'; check the id"),
    ("grade --course {term}", "nothing to grade; run: autograde collect"),
    ("grade --scheduler tls://h:1 --course {term}", "tls://h:1: TLS needs --tls-ca-file; give"),
    (
        "grade --scheduler tls://h:1 --tls-ca-file {x}/none.pem --tls-cert {x}/c.pem "
        "--course {term}",
        "none.pem: cannot be read (No such file or directory); name a PEM file",
    ),
    ("grade --tls-key k.pem --course {term}", "--tls-…: only with --scheduler; give it, or leave"),
    ("collect {x}/bundle --course {listed}", "bundle: is a bundle, as release makes it for"),
    ("collect {x}/full --course {x}/none", NO_TERM),
    ("collect {x}/full --course {x}/file", NO_TERM),
    ("collect {x}/none --course {term}", "none: no such file or folder"),
    ("collect {x}/full --as -rf --course {term}", "expected one argument"),
    ("collect {x}/full --as a/b --course {term}", "--as a/b: no id"),
    (
        "collect {x}/full --as anna --course {listed}",
        "--as anna: nobody on the roster has this id (did you mean ana, Ana A?); check it, or put",
    ),
    ("collect {x}/other.csv --course {term}", "other.csv: no notebook and no zip; name the folder"),
    ("collect {x}/full --course {x}/full", "or make one: autograde init NEW-FOLDER"),
    ("collect {x}/full --people {x}/other.csv --course {term}", "must name a column id"),
    ("collect {x}/full --people {x}/none.csv --course {term}", "cannot be read as CSV (No such"),
    ("watch {x}/full --course {x}/none", NO_TERM),
    ("watch {x}/none --course {term}", "none: no such folder; name the folder in which work"),
    ("watch {x}/file --course {term}", "file: is a file; name the folder in which work arrives"),
    ("watch {term} --course {term}", "holds the term's own files; name the folder in which"),
    ("watch {term}/autograded --course {term}", "autograded: no such folder"),
    ("watch {term}/source --course {term}", "source: holds the term's own files; name the folder"),
    ("watch {x}/full --workers 0 --course {term}", "'0' is not a number from 1 up"),
    ("feedback --workers x --course {term}", "'x' is not a number from 1 up"),
    ("feedback --course {x}/none", NO_TERM),
    ("feedback --course {x}/file", NO_TERM),
    ("feedback --course {term}", "nothing is graded yet; run: autograde grade"),
    ("feedback 99 --course {term}", "no lesson '99'"),
    ("feedback 02 --course {term}", "nothing of 02_divergence is graded yet; run: autograde"),
    ("feedback --like {x}/d.zip --course {term}", "d.zip: only with --for moodle or --for canvas"),
    ("feedback --to {x}/o.zip --course {term}", "o.zip: only with --for moodle or --for canvas"),
    ("feedback --for sakai --to {x}/o.zip --course {term}", "'sakai' (choose from"),
    ("feedback --for moodle --course {term}", "--for moodle: name the zip to write, with --to"),
    ("feedback --for moodle --to {x}/o.zip --course {x}/none", NO_TERM),
    ("feedback --for moodle --to {x}/o.zip --course {term}", "name the LESSON whose pages go back"),
    ("feedback 99 --for moodle --to {x}/o.zip --course {term}", "no lesson '99'"),
    ("feedback 02 --for moodle --to {x}/o.tar --course {term}", "o.tar: is written as .zip"),
    ("feedback 02 --for moodle --to {x}/none/o.zip --course {term}", "none: no such folder; make"),
    ("feedback 02 --for moodle --to {x}/o.zip --course {term}", "nobody is on the roster, and"),
    (
        "feedback --for moodle --like {x}/none.zip --to {x}/o.zip --course {listed}",
        "none.zip: no such file or folder; name what you downloaded",
    ),
    (
        "feedback --for canvas --like {x}/full --to {x}/o.zip --course {listed}",
        "full: nothing in it is named as Canvas names what it lets you download; name that zip",
    ),
    (
        "feedback --for canvas --like {x}/o.zip --to {x}/o.zip --course {listed}",
        "o.zip: is read for it, and would be lost; name another file with --to",
    ),
    (
        "feedback 02 --for canvas --to {x}/o.zip --course {listed}",
        "nothing of 02_divergence is graded yet; run: autograde grade",
    ),
    ("export --to {x}/g.csv --course {x}/none", NO_TERM),
    ("export --to {x}/g.csv --course {x}/file", NO_TERM),
    ("export --to {x}/none/g.csv --course {term}", "none: no such folder; make it"),
    ("export --to {x}/file/g.csv --course {term}", "file: no such folder; make it"),
    ("export --to {x}/g.xlsx --course {term}", "g.xlsx: is written as .csv"),
    ("export --to {x}/dir.csv --course {term}", "dir.csv: is a folder; name a file in it"),
    ("export --to {x}/" + LONG + ".csv --course {term}", "File name too long"),
    ("export --to {x}/g.csv --for canvas --course {term}", "nothing is graded yet"),
    ("export --to {x}/g.csv --for blackboard --course {term}", "'blackboard' (choose from"),
    ("export --to {x}/g.csv --fill {x}/other.csv --course {term}", "add --for canvas"),
    ("export --to {x}/g.csv --for students --course {term}", "nothing is graded yet"),
    ("export --to {x}/g.csv --ids name --course {term}", "'name' (choose from"),
    ("export 02 99 --to {x}/g.csv --course {term}", "no lesson '99'"),
    (
        "export --to {x}/g.csv --for canvas --fill {x}/other.csv --ids id --course {term}",
        "--ids id: with --fill, Canvas's own ids stay; leave one of them out",
    ),
    ("export --course {term}", "required: --to; see: autograde export --help"),
    ("report --to {x}/r.html --course {x}/none", NO_TERM),
    ("report --to {x}/r.pdf --course {term}", "r.pdf: is written as .html"),
    ("report --to {x}/none/r.html --course {term}", "none: no such folder; make it"),
    ("release {x}/new --colab ftp://x", "not where Colab finds a bundle"),
    ("check {x}/none.ipynb", "none.ipynb: no such file; check the path"),
    ("check {x}/full", "full: cannot be read (Is a directory)"),
    ("check {x}/latin.csv", "latin.csv: cannot be read (not UTF-8 text)"),
    ("check {x}/other.csv", "other.csv: not a notebook"),
    ("gradescope 99 --to {x}/a.zip", "no lesson '99'"),
    ("gradescope 01_policy --to {x}/a.tar", "a.tar: is written as .zip"),
    ("gradescope 01 --to {x}/none/a.zip", "none: no such folder; make it"),
    ("gradescope policy_update --to {x}/a.zip", "(did you mean 01_policy_updates?)"),
    ("demo {x}/file", "file: not empty and not an earlier demo"),
    ("demo {x}/full", "full: not empty and not an earlier demo"),
    ("demo {x}/file/demo", "file: is a file; name a folder"),
    ("build notebooks", "unrecognized arguments: notebooks"),
    ("doctor now", "unrecognized arguments: now"),
    ("limits now", "unrecognized arguments: now"),
    ("grade --workers 0 --course {term}", "'0' is not a number from 1 up"),
    ("grade --workers x --course {term}", "'x' is not a number from 1 up"),
    ("grade --sandbox open --course {term}", "'open' (choose from"),
    ("grades", "'grades' (choose from"),
    ("", "required: COMMAND; see: autograde --help"),
]


@pytest.fixture
def places(tmp_path):
    """Files and folders that are not what they are named as."""
    (tmp_path / "file").write_text("text")
    for folder in ("empty", "full", "dir.csv"):
        (tmp_path / folder).mkdir()
    (tmp_path / "full" / "notes.txt").write_text("text")
    (tmp_path / "latin.csv").write_bytes(
        "id,first_name,last_name,email\nåsa,,,\n".encode("latin-1")
    )
    (tmp_path / "other.csv").write_text("name,mail\nana,x\n")
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / ".bundle.json").write_text("{}")
    (tmp_path / "nobody.csv").write_text("id,first_name,last_name,email\n")
    return tmp_path


def everything(*folders):
    paths = (path for f in folders for path in f.rglob("*") if path.name != "state.db")
    return {path: path.is_file() and path.read_bytes() for path in paths}


@pytest.mark.parametrize(("typed", "says"), BAD, ids=[typed[:60] or "nothing" for typed, _ in BAD])
def test_what_is_typed_wrong_gets_one_line_and_leaves_no_trace(
    places, term_folder, listed_folder, capsys, typed, says
):
    before = everything(places, term_folder, listed_folder)
    words = typed.format(x=places, term=term_folder, listed=listed_folder).split()
    code, printed, errors = run(capsys, *words)
    assert (code, printed, len(errors)) == (2, "", 1)
    assert says in errors[0]
    assert errors[0].startswith("autograde: ")
    assert everything(places, term_folder, listed_folder) == before


def test_every_command_is_typed_wrong_above():
    commands = next(a for a in cli._parser()._actions if a.dest == "==SUPPRESS==" or a.choices)
    assert set(commands.choices) <= {typed.partition(" ")[0] for typed, _ in BAD}


def test_a_reader_that_has_gone_is_no_error(monkeypatch, capsys):
    def gone(options):
        raise BrokenPipeError

    monkeypatch.setattr(cli, "_doctor", gone)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    monkeypatch.setattr(cli.sys.stdout, "fileno", lambda: 1, raising=False)
    assert run(capsys, "doctor") == (0, "", [])


def test_settings_that_cannot_be_run(tmp_path, capsys):
    init(tmp_path / "term")
    with (tmp_path / "term" / "nbgrader_config.py").open("a") as file:
        file.write("c.AssignLatePenalties.plugin_class = Missing\n")
    code, _, errors = run(capsys, "grade", "--course", tmp_path / "term")
    assert (code, len(errors)) == (2, 1)
    assert "nbgrader_config.py: cannot be run (NameError" in errors[0]


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


@pytest.fixture
def screen(monkeypatch):
    """A terminal of so many columns for what goes to the error output; what came to it."""
    ours, theirs = os.openpty()

    def wide(columns):
        termios.tcsetwinsize(theirs, (24 if columns else 0, columns))
        monkeypatch.setattr("sys.stderr", os.fdopen(theirs, "w", encoding="utf-8", closefd=False))
        return lambda: os.read(ours, 2**16).decode()

    yield wide
    for end in (ours, theirs):
        os.close(end)


@pytest.mark.parametrize("columns", [0, 80])
def test_a_terminal_sees_how_far_grading_is(listed_folder, tmp_path, screen, columns):
    """Also one that does not say how large it is."""
    folder = tmp_path / "term"
    shutil.copytree(listed_folder, folder)
    path = Term(folder).submission("ana", "00_start_here")
    path.parent.mkdir(parents=True)
    path.write_text("{")
    seen = screen(columns)
    assert main(["grade", "--course", str(folder)]) == 1
    assert "0/1 [" in seen()


def test_where_there_is_no_terminal_there_is_no_bar(capsys):
    assert list(cli._bar(range(3), 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


def test_the_doctor_finds_this_machine_well():
    lacking = [finding for finding in findings() if finding.mend]
    assert lacking == []


def test_the_doctor_says_what_mends_a_machine_without_bubblewrap(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    mends = {finding.what: finding.mend for finding in findings()}
    assert "apt-get install bubblewrap" in mends["sandbox"]


# Seconds to import, each of them.
HEAVY = ("torch", "nbformat", "nbgrader", "jupytext", "sqlalchemy", "distributed")
IMPORTED = (
    "import sys; from autograde.cli import main\n"
    "try: code = main(sys.argv[1:])\n"
    "except SystemExit as ended: code = ended.code\n"
    f"print('imported', *sorted(set({HEAVY}) & set(sys.modules))); sys.exit(code)"
)


def imported(*arguments):
    """The exit code of a command, and what it imported that takes long."""
    ran = subprocess.run(
        [sys.executable, "-P", "-c", IMPORTED, *map(str, arguments)], capture_output=True, text=True
    )
    assert "\nimported" in f"\n{ran.stdout}", ran.stderr
    return ran.returncode, ran.stdout.rpartition("imported")[2].split()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"], ["grade", "--workers", "0"], ["grade", "--course", "nowhere"],
        ["collect", "x.zip", "--course", "nowhere"], ["feedback", "--course", "nowhere"],
        ["report", "--to", "x.html", "--course", "nowhere"], ["check", "nowhere.ipynb"],
        ["feedback", "--for", "moodle", "--to", "x.zip", "--course", "nowhere"],
        ["export", "--to", "x.csv", "--course", "nowhere"], ["init", "x", "--roster", "nowhere"],
        ["remove", "ana", "--course", "nowhere"], ["extend", "--course", "nowhere"],
        ["release", "x", "--course", "nowhere"], ["release", "x", "99"],
        ["gradescope", "99", "--to", "x.zip"], ["gradescope", "02", "--to", "x.pdf"],
        ["demo", __file__],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_is_refused_is_told_before_seconds_of_imports(arguments):
    assert imported(*arguments) == (2, [])


def test_nothing_new_to_grade_takes_no_seconds_of_imports(tmp_path, save, base):
    term = init(tmp_path / "term")
    path = term.submission("ada1", "02_divergence")
    path.parent.mkdir(parents=True)
    shutil.copy(save(base), path)
    command = "grade", "--course", term.root, "--workers", "1"
    code, first = imported(*command)
    assert code == 0
    assert "torch" in first
    assert imported(*command) == (0, [])
