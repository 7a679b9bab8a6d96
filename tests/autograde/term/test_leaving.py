"""A student who leaves is gone everywhere, whatever stopped the first try, and nobody else is."""

import shutil
import sqlite3

import pytest

from autograde.cli import main
from autograde.course.sample import students
from autograde.term import leaving
from autograde.term.leaving import STAGES, remove
from autograde.term.store import Origin
from autograde.term.term import MAKING, TRIES, UNMATCHED, Term
from tests.classroom import UNWRITTEN, record, short_term
from tests.rows import rows

LESSON = "00_start_here"
ROSTER = "id,first_name,last_name,email\nana,Ana,A,a@x.org\nana2,Ana,B,\nbob,Bob,B,b@x.org\n"
GUEST = "ana3"  # not on the roster


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A term in which four students' work is recorded, two of them with one program."""
    folder = tmp_path_factory.mktemp("leaving")
    (folder / "class.csv").write_text(ROSTER)
    term = short_term(folder / "term", LESSON, roster=folder / "class.csv")
    for student, answers in (
        ("ana", {"log_ratio": UNWRITTEN}), ("ana2", {}), ("bob", {}), (GUEST, {}),
    ):  # fmt: skip
        record(term, student, LESSON, answers)
    for student in ("ana", "ana2"):
        (term.root / "feedback" / student / LESSON).mkdir(parents=True)
        (term.root / MAKING / student).mkdir(parents=True)
        for time in ("2026-10-01 12:00:00.000000 UTC", "unknown"):
            (term.root / TRIES / f"{student}+{LESSON}+{time}+try1").mkdir(parents=True)
    with term.store() as store:
        store.keep_failed(f"ana/{LESSON}", "cut short")
        store.keep_persons({"ana moodle": "moodle 17", "ana2 moodle": "moodle 18"})
        for number, student in enumerate(("ana", "ana2")):
            store.keep_page(f"{student}/{LESSON}", "mark")
            store.keep_origins({f"{student}/{LESSON}": Origin("Moodle", "A", str(number), "")})
    return term.root


@pytest.fixture
def term(made, tmp_path):
    shutil.copytree(made, tmp_path / "term")
    return Term.open(tmp_path / "term")


def traces(term, student):
    """Everything of a student that is left, as text."""
    stages = (*STAGES, TRIES, MAKING)
    found = [str(path) for stage in stages for path in (term.root / stage).glob(f"{student}*")
             if path.name.partition("+")[0] == student]  # fmt: skip
    found += [row["id"] for row in term.roster() if row["id"] == student]
    for path in (term.root / "gradebook.db", term.root / ".autograde" / "state.db"):
        with sqlite3.connect(path) as database:
            lines = [line for line in database.iterdump() if "INSERT" in line]
        found += [line for line in lines
                  if any(f"'{student}{end}" in line for end in ("'", "/", " "))]  # fmt: skip
    return found


def others(term, student):
    """What the gradebook says of everybody else."""
    return {
        table: {key: row for key, row in enumerate(sorted(found)) if row[0] != student}
        for table, found in rows(term.url).items()
        if table in ("grades", "submissions")
    }


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err.strip().splitlines()


def test_nothing_is_left_and_init_brings_nobody_back(term, capsys):
    kept = {name for name in rows(term.url)["grades"] if name[0] != "ana"}
    assert traces(term, "ana")
    code, said, errors = run(capsys, "remove", "ana", "--course", term.root)
    assert (code, errors) == (0, [])
    assert said == (
        "ana (Ana A): removed from the roster, submitted/ (1 lesson), autograded/ (1 lesson), "
        "feedback/ (1 lesson), tries/ (2), the gradebook (1 submission), what the term keeps "
        "of answers and verdicts\n"
    )
    assert traces(term, "ana") == []
    assert set(rows(term.url)["grades"]) == kept
    assert run(capsys, "init", term.root)[0] == 0
    assert traces(term, "ana") == []
    assert [row["id"] for row in term.roster()] == ["ana2", "bob"]
    for command in (("report", "--to"), ("export", "--to")):
        target = term.root.parent / f"out.{'html' if command[0] == 'report' else 'csv'}"
        code, _, errors = run(capsys, *command, target, "--course", term.root)
        assert (code, errors) == (0, [])
        assert "Ana, A" not in target.read_text("utf-8-sig")
    assert run(capsys, "feedback", "--course", term.root)[::2] == (0, [])


def test_no_byte_of_them_is_left_in_a_database(term):
    with term.api().gradebook as gradebook:
        comment = gradebook.find_submission_notebook(LESSON, LESSON, "ana").comments[0]
        comment.manual_comment = "A word to ana alone. " * 300
        gradebook.db.commit()
    with term.store() as store:
        store.keep_persons({"ana moodle": "a number of ana alone"})
    files = (term.root / "gradebook.db", term.root / ".autograde" / "state.db")
    assert all(b"ana alone" in path.read_bytes() for path in files)
    remove(term, "ana")
    assert not any(b"ana alone" in path.read_bytes() for path in files)


@pytest.mark.parametrize(("answer", "stays"), [("no", True), ("", True), ("yes", False)])
def test_on_a_terminal_it_says_who_that_is_and_asks(term, capsys, monkeypatch, answer, stays):
    monkeypatch.setattr("sys.stdin", type("", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", lambda: answer)
    code, said, _ = run(capsys, "remove", "ana", "--course", term.root)
    assert code == 0
    assert said.startswith("ana (Ana A): their work, points and pages go too")
    assert bool(traces(term, "ana")) == stays
    monkeypatch.delattr("builtins.input")  # --yes asks nothing
    assert run(capsys, "remove", "bob", "--yes", "--course", term.root)[0] == 0
    assert traces(term, "bob") == []


@pytest.mark.parametrize(("stop", "code"), [(KeyboardInterrupt, 130), (EOFError, 0)])
def test_who_stops_at_the_question_has_removed_nobody(term, capsys, monkeypatch, stop, code):
    def ask():
        raise stop

    monkeypatch.setattr("sys.stdin", type("", (), {"isatty": lambda self: True})())
    monkeypatch.setattr("builtins.input", ask)
    ended, said, errors = run(capsys, "remove", "ana", "--course", term.root)
    assert ended == code
    last = [*said.splitlines(), *errors][-1]
    assert last.endswith("nothing was removed")
    assert "graded" not in last
    assert traces(term, "ana")


def test_what_was_kept_apart_goes_too_and_what_may_be_theirs_is_named(term, capsys):
    """A notebook of theirs that bears their id; others are looked at by a person."""
    apart = {
        f"ana_{LESSON}_unknown-1a": term.submission("ana", LESSON).read_bytes(),
        f"ana2_{LESSON}-1b": term.submission("ana", LESSON).read_bytes(),
        f"homework_A_Ana_{LESSON}-1c": b"other",
        "ana_x-1d": b"other",
        "banana-1e": b"other",
    }
    for name, data in apart.items():
        (term.root / UNMATCHED / name).mkdir(parents=True)
        (term.root / UNMATCHED / name / f"{LESSON}.ipynb").write_bytes(data)
    code, said, errors = run(capsys, "remove", "ana", "--course", term.root)
    assert code == 0
    assert "the roster, unmatched/ (1), submitted/" in said
    left = sorted(path.name for path in (term.root / UNMATCHED).iterdir())
    assert left == sorted([*apart][1:])
    assert [line.partition(": ")[2].partition(": ")[0] for line in errors] == [
        str(term.root / UNMATCHED / name) for name in ("ana_x-1d", f"homework_A_Ana_{LESSON}-1c")
    ]
    assert all("may be theirs too" in line for line in errors)


def test_a_guest_whom_a_platform_calls_by_their_name_is_named(term, capsys):
    """As when a download from before is collected again: Canvas says lastfirst_NUMBER."""
    guests = [term.root / "submitted" / name / LESSON for name in ("aana_1029", "anabel_7")]
    for folder in guests:
        folder.mkdir(parents=True)
    try:
        code, _, errors = run(capsys, "remove", "ana", "--course", term.root)
    finally:
        left = [folder.exists() for folder in guests]
        for folder in guests:
            shutil.rmtree(folder.parent)
    assert (code, left, len(errors)) == (0, [True, True], 1)
    assert "aana_1029: may be theirs too" in errors[0]
    assert errors[0].endswith("if it is: autograde remove aana_1029")


def test_what_was_asked_of_their_program_goes_with_them(term):
    def programs():
        with term.store() as store:
            return set(store.recorded()), {key for key, _ in store.verdicts()}

    recorded, judged = programs()
    remove(term, "ana")
    assert programs() == (recorded - {f"ana/{LESSON}"}, judged - {f"ana/{LESSON}"})
    with sqlite3.connect(term.root / ".autograde" / "state.db") as database:
        (verdicts,) = database.execute("select count(*) from verdict").fetchone()
        (answers,) = database.execute("select count(*) from answers").fetchone()
    assert (verdicts, answers) == (3, 0)  # what nobody has recorded is made again


def test_who_is_on_no_roster_can_go_too(term, capsys):
    code, said, _ = run(capsys, "remove", GUEST, "--course", term.root)
    assert code == 0
    assert "roster" not in said
    assert traces(term, GUEST) == []
    assert traces(term, "ana")


@pytest.mark.parametrize("steps", range(7))
def test_a_second_run_finishes_what_was_stopped(term, steps):
    """After any number of the places."""
    gone = leaving._removed(term, "ana")
    for _ in range(steps):
        next(gone)
    gone.close()
    remove(term, "ana")
    assert traces(term, "ana") == []
    assert traces(term, "ana2")


def test_stopped_within_a_folder(term, monkeypatch):
    def stopped(path):
        next(path.rglob("*.ipynb")).unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(leaving.shutil, "rmtree", stopped)
        with pytest.raises(KeyboardInterrupt):
            remove(term, "ana")
    remove(term, "ana")
    assert traces(term, "ana") == []


def test_a_folder_that_is_a_link_leads_nowhere(term):
    elsewhere = term.root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    shutil.rmtree(term.root / "submitted" / "ana")
    (term.root / "submitted" / "ana").symlink_to(elsewhere)
    assert "submitted/ (a link)" in remove(term, "ana")
    assert (elsewhere / "file").exists()


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ("an", "(did you mean ana"),
        ("bob b", "nobody has the id 'bob b' (did you mean bob, Bob B?); check the id"),
        ("b@x.org", "(did you mean bob, Bob B?)"),
        ("B", "(did you mean ana2, Ana B or bob, Bob B?)"),
        ("../term", "nobody has the id '../term'"),
        ("x\n", "nobody has the id 'x␊'"),
    ],
)
def test_an_id_that_nobody_has(term, capsys, student, says):
    before = rows(term.url)
    code, said, errors = run(capsys, "remove", student, "--course", term.root)
    assert (code, said, len(errors)) == (2, "", 1)
    assert says in errors[0]
    assert rows(term.url) == before


def test_taken_out_of_the_gradebook_alone(term, capsys):
    """As nbgrader's own command does: feedback goes on, and grade would record them again."""
    leaving._out_of_gradebook(term, "ana")
    assert run(capsys, "feedback", "--course", term.root)[::2] == (0, [])
    assert f"ana/{LESSON}" not in term.recorded()
    assert f"ana2/{LESSON}" in term.recorded()


def test_the_sample_class_can_leave(tmp_path, capsys):
    """Everybody, one after the other, from a term in which nothing was handed in."""
    term = short_term(tmp_path / "term", LESSON)
    everyone = [row["id"] for row in students()]
    for one in everyone[:2]:
        (term.root / "submitted" / one / LESSON).mkdir(parents=True)
        assert run(capsys, "remove", one, "--course", term.root)[0] == 0
    assert list((term.root / "submitted").iterdir()) == []
