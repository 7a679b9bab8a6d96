"""A term's lessons are those of its settings, and a course that changes leaves its work whole."""

import shutil
from contextlib import closing

import nbformat
import pytest

from autograde.cli import main
from autograde.course.earlier import EARLIER
from autograde.course.exercises import exercises
from autograde.course.lessons import SOLUTIONS, lesson_path, mark_of
from autograde.course.plan import Plan
from autograde.grading.preparing import require_base
from autograde.receiving.collecting import collect
from autograde.returning.exporting import export, grades, table
from autograde.returning.feedback import feedback
from autograde.returning.tally import tally
from autograde.term import furnishing
from autograde.term.furnishing import STAGES
from autograde.term.term import SETTINGS, Term, init
from tests.classroom import record, short_term
from tests.rows import rows
from tests.some import LONG

FIRST, OTHER, LATER = "02_divergence", "00_start_here", "03_penalized_objective"
LESSONS = f'c.Course.lessons = ["{FIRST[:2]}", "{OTHER}"]\n'
PARAGRAPH = 6  # a cell of text, by its place
POINTS = 'c.Course.points = {"k1": 6, "q00_units": 0}\n'


def settle(root, *lines):
    """Write the term's settings anew, with these lines at the end."""
    text = (root / SETTINGS).read_text("utf-8").partition('c.Course.lessons = ["02')[0]
    (root / SETTINGS).write_text(text + "".join(lines), encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A term of two lessons, the first of which two students have handed in."""
    root = tmp_path_factory.mktemp("plans") / "term"
    term = short_term(root, FIRST[:2], OTHER)
    for student in ("ana", "bob"):
        record(term, student, FIRST, {})
    return root


@pytest.fixture
def term(made, tmp_path):
    shutil.copytree(made, tmp_path / "term")
    return Term.open(tmp_path / "term")


@pytest.fixture
def changed(tmp_path, monkeypatch):
    """Make `init` take a lesson from a course in which it is another: changed by a function."""
    folder = tmp_path / "solutions"
    shutil.copytree(SOLUTIONS, folder)
    monkeypatch.setattr(furnishing, "SOLUTIONS", folder)

    def change(lesson, how):
        path = lesson_path(folder, lesson)
        notebook = nbformat.read(path, as_version=4)
        how(notebook)
        nbformat.write(notebook, path)

    return change


def with_another_exercise(notebook):
    for cell in [c for c in notebook.cells if mark_of(c).get("grade_id") in ("k1", "test_k1")]:
        new = nbformat.from_dict(cell)
        new.metadata.nbgrader.grade_id = cell.metadata.nbgrader.grade_id.replace("k1", "k9")
        new["id"] = f"{cell['id']}-9"
        notebook.cells.append(new)


def without_an_exercise(notebook):
    names = ("k1", "test_k1")
    notebook.cells = [c for c in notebook.cells if mark_of(c).get("grade_id") not in names]


def with_another_text(notebook):
    notebook.cells[2].source += "\n\nA misprint is mended."


def with_words_changed(notebook):
    line, *rest = notebook.cells[PARAGRAPH].source.splitlines()
    notebook.cells[PARAGRAPH].source = "\n".join([f"Two words {line}", *rest])


def page(term, student):
    return (term.root / "feedback" / student / FIRST / f"{FIRST}.html").read_text("utf-8")


def files(term, *folders):
    paths = (path for folder in folders for path in (term.root / folder).rglob("*"))
    return {path: path.read_bytes() for path in paths if path.is_file()}


def assignments(term):
    with closing(term.api().gradebook) as gradebook:
        return {one.name for one in gradebook.assignments}


@LONG  # all lessons; other tests make such a term too
def test_a_new_term_has_all_lessons_and_is_closed(tmp_path):
    term = init(tmp_path / "term")
    assert term.plan == Plan()
    assert assignments(term) == set(Plan().lessons)
    assert term.root.stat().st_mode & 0o777 == 0o700
    assert "# c.Course.lessons = [" in (term.root / SETTINGS).read_text()


def test_a_lesson_that_is_not_named_does_not_come_back(term):
    assert term.lessons == (FIRST, OTHER)
    for _ in range(2):
        init(term.root)
        assert assignments(term) == {FIRST, OTHER}
        for stage in STAGES:
            assert {path.name for path in (term.root / stage).iterdir()} == {FIRST, OTHER}


def test_every_command_keeps_to_the_lessons_and_their_order(term, tmp_path, capsys):
    (tmp_path / "d" / "cyd").mkdir(parents=True)
    text = nbformat.writes(nbformat.read(lesson_path(SOLUTIONS, LATER), as_version=4))
    (tmp_path / "d" / "cyd" / f"{LATER}.ipynb").write_text(text)
    result = collect(tmp_path / "d", term)
    assert (result.placed, len(result.unplaced)) == ([], 1)
    assert f"is {LATER}, which is not among the term's lessons" in result.unplaced[0]
    assert list(dict.fromkeys(row["lesson"] for row in grades(term))) == [FIRST, OTHER]
    assert table(grades(term)).splitlines()[0].split() == ["student", FIRST[:11], OTHER[:11]]
    assert list(tally(term).lessons) == [FIRST, OTHER]
    for row in ("id,first_name,last_name,email", "ana,,,", "bob,,,"):
        with (term.root / "roster.csv").open("a") as file:
            file.write(f"{row}\n")
    record(term, "ana", OTHER, {})
    export(term, tmp_path / "points.csv", "students")
    head = (tmp_path / "points.csv").read_text("utf-8-sig").splitlines()[0]
    assert head.split(",")[4:6] == [FIRST, OTHER]
    assert main(["grade", LATER, "--course", str(term.root)]) == 2
    assert f"no lesson '{LATER}'; give one of {FIRST}, {OTHER}" in capsys.readouterr().err
    assert "The next lesson is **00 · Start here" in lesson_path(
        term.root / "release", FIRST
    ).read_text("utf-8")


def test_a_lesson_with_work_stays_where_it_is_taken_out_and_comes_back_whole(term, capsys):
    before = rows(term.url)["grades"]
    settle(term.root, f'c.Course.lessons = ["{OTHER}"]\n')
    assert main(["init", str(term.root)]) == 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f"{FIRST}: not among the term's lessons; what was handed in stays" in told[0]
    assert [row["lesson"] for row in grades(term)] == [OTHER] * 2
    assert (list(term.submissions()), term.strangers()) == ([], [])
    assert term.left_out() == {FIRST: 2}
    assert term.recorded() == {}
    assert rows(term.url)["grades"] == before
    settle(term.root, LESSONS)
    init(term.root)
    assert set(term.recorded()) == {f"ana/{FIRST}", f"bob/{FIRST}"}
    assert rows(term.url)["grades"] == before


def test_points_count_as_the_term_gives(term):
    """In the gradebook's columns and in what is recorded, an earlier record too when it is anew."""
    most = sum(one.points for one in exercises(FIRST).values())
    more = 6 - exercises(FIRST)["k1"].points
    settle(term.root, LESSONS, POINTS)
    init(term.root)
    record(term, "ana", FIRST, {})
    record(term, "bob", FIRST, {"k1": {"problem": "time"}})
    record(term, "cyd", OTHER, {"q00_units": {"problem": "time"}})
    scores = {(r["id"], r["lesson"]): (r["score"], r["max_score"]) for r in grades(term)}
    assert scores["ana", FIRST] == (most + more, most + more)
    assert scores["bob", FIRST] == (most + more - 6, most + more)
    assert scores["cyd", OTHER][0] == scores["cyd", OTHER][1] > 0
    assert tally(term).lessons[FIRST].items["k1"].most == 6


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('c.Course.lessons = ["09"]\n', "c.Course.lessons: no lesson '09'; give one of"),
        ('c.Course.points = {"k4": 1}\n', "c.Course.points: no exercise 'k4'"),
    ],
)
@pytest.mark.parametrize(
    "command",
    [["init"], ["grade", "--course"], ["release", "new", "--course"], ["extend", "--course"],
     ["remove", "ana", "--course"], ["report", "--to", "r.html", "--course"]],
    ids=lambda words: words[0],
)  # fmt: skip
def test_settings_that_cannot_be_are_told_and_change_nothing(
    term, tmp_path, monkeypatch, capsys, line, says, command
):
    monkeypatch.chdir(tmp_path)
    settle(term.root, line)
    before = files(term, ".")
    assert main([*command, str(term.root)]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert f"{term.root / SETTINGS}: {says}" in captured.err
    assert files(term, ".") == before


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (with_another_exercise, "(new: k9, test_k9)"),
        pytest.param(without_an_exercise, "(gone: k1, test_k1)", marks=LONG),
    ],
)
def test_a_lesson_that_work_rests_on_is_refused_in_one_line_and_stays_whole(
    term, changed, capsys, how, says
):
    changed(FIRST, how)
    changed(OTHER, with_another_text)
    lesson = [f"{stage}/{FIRST}" for stage in (*STAGES, "submitted", "autograded")]
    before, recorded = files(term, *lesson), rows(term.url)["grades"]
    assert main(["init", str(term.root)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith(f"autograde: {FIRST}: the work of 2 students is recorded in it")
    assert says in told[0]
    assert files(term, *lesson) == before
    assert rows(term.url)["grades"] == recorded
    require_base(term.base_path(FIRST), FIRST)
    assert "A misprint is mended." in term.base_path(OTHER).read_text("utf-8")


def test_texts_may_change_at_any_time(term, changed, capsys):
    changed(FIRST, with_another_text)
    assert main(["init", str(term.root)]) == 0
    assert capsys.readouterr().err == ""
    assert "A misprint is mended." in term.base_path(FIRST).read_text("utf-8")


def test_a_text_that_changed_is_not_taken_for_its_students(term, changed):
    """Students have the notebook as it was; what they added to it stays theirs."""
    changed(FIRST, with_words_changed)  # so that the course itself does not know what stood there
    init(term.root)
    old = term.base(FIRST)
    changed(FIRST, with_words_changed)
    init(term.root)
    assert len(term.base(FIRST).metadata[EARLIER]) == 1
    record(term, "ana", FIRST, {}, lambda notebook: notebook.update(old))
    old.cells[PARAGRAPH].source += "\nMy own remark on it."
    record(term, "bob", FIRST, {}, lambda notebook: notebook.update(old))
    assert feedback(term)[1] == []
    ana, bob = (page(term, student) for student in ("ana", "bob"))
    assert "What else you wrote" not in ana
    own = bob[bob.index("What else you wrote") :]
    assert "My own remark on it." in own
    assert not [line for line in old.cells[PARAGRAPH].source.splitlines()[:-1] if line in own]


def test_init_forgets_no_text_and_makes_nothing_new_of_the_same(term, changed, capsys):
    changed(FIRST, with_words_changed)
    init(term.root)
    assert EARLIER not in term.base(FIRST).metadata  # the course knows what it said itself
    changed(FIRST, with_words_changed)
    init(term.root)
    kept = term.base(FIRST).metadata[EARLIER]
    assert len(kept) == 1
    before = files(term, *STAGES)
    init(term.root)
    assert files(term, *STAGES) == before
    assert EARLIER not in term.base(OTHER).metadata
    changed(FIRST, lambda notebook: notebook.cells[PARAGRAPH].update(source="Nothing, in short."))
    init(term.root)
    assert set(kept) < set(term.base(FIRST).metadata[EARLIER])
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("text", ["{", "3", '{"cells": 3}', '{"nbformat": 4, "cells": [{}]}', "\0"])
def test_a_broken_copy_of_a_lesson_is_made_anew(term, capsys, text):
    before = files(term, *STAGES)
    term.base_path(FIRST).unlink()
    term.base_path(FIRST).write_text(text)
    assert main(["init", str(term.root)]) == 0
    assert files(term, *STAGES) == before
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "how", [with_another_exercise, pytest.param(without_an_exercise, marks=LONG)]
)
def test_before_there_is_work_any_change_is_carried_out(made, tmp_path, changed, capsys, how):
    root = tmp_path / "empty"
    short_term(root, FIRST[:2], OTHER)
    changed(FIRST, how)
    assert main(["init", str(root)]) == 0
    assert capsys.readouterr().err == ""
    there = "test_k1" in Term.open(root).base_path(FIRST).read_text("utf-8")
    assert there == (how is with_another_exercise)


def test_a_release_that_fails_leaves_what_stood(term, monkeypatch, capsys):
    """Whatever the reason is: nbgrader deletes a release before it makes the next."""
    before = files(term, *STAGES)

    def broken(self, *arguments, **options):
        shutil.rmtree(term.root / "release" / arguments[0])
        return {"success": False, "log": "Traceback\n  deep\nRuntimeError: no\n"}

    monkeypatch.setattr("nbgrader.apps.NbGraderAPI.generate_assignment", broken)
    assert main(["init", str(term.root)]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[1] for line in told] == [FIRST, OTHER]
    assert "could not be made (RuntimeError: no), and stays as it was" in told[0]
    assert files(term, *STAGES) == before
    assert not (term.root / ".autograde" / "before").exists()


def test_a_new_term_that_fails_is_not_there(tmp_path, monkeypatch, capsys):
    failed = {"success": False, "log": "RuntimeError: no\n"}
    monkeypatch.setattr("nbgrader.apps.NbGraderAPI.generate_assignment", lambda *_, **__: failed)
    assert main(["init", str(tmp_path / "term")]) == 2
    assert "00_start_here could not be made (RuntimeError: no)" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_stopped_in_the_middle_it_stands_again(term, monkeypatch):
    before = files(term, *STAGES)

    def stopped(self, lesson, **options):
        shutil.rmtree(term.root / "release" / lesson)
        raise KeyboardInterrupt

    monkeypatch.setattr("nbgrader.apps.NbGraderAPI.generate_assignment", stopped)
    with pytest.raises(KeyboardInterrupt):
        init(term.root)
    assert files(term, *STAGES) == before


def test_killed_in_the_middle_it_stands_again(term, changed):
    """Also where the lesson could not be made again, as the course has changed since."""
    before = files(term, *STAGES)
    for stage in STAGES:
        kept = term.root / furnishing.KEPT / stage / FIRST
        shutil.copytree(term.root / stage / FIRST, kept)
    shutil.rmtree(term.root / "release" / FIRST)
    lesson_path(term.root / "source", FIRST).write_text("half")
    changed(FIRST, without_an_exercise)
    assert main(["init", str(term.root)]) == 1
    assert files(term, *STAGES) == before


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "missing or broken; make it again: autograde init"),
        ("{", "missing or broken"),
        ("k1", "grades k77, which this version of the course has no more"),
    ],
)
def test_grade_says_once_that_a_lesson_cannot_be_graded(term, capsys, text, says):
    path = term.base_path(FIRST)
    if text == "k1":
        path.write_text(path.read_text("utf-8").replace('"test_k1"', '"test_k77"'), "utf-8")
    else:
        path.unlink()
        path.write_text(text) if text else None
    assert main(["grade", "--course", str(term.root)]) == 2
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert f"{path}: {says}" in told[0]
