"""The zip for Gradescope, run in Gradescope's layout: what students and instructor see of it."""

import os
import re
import subprocess
import sys
import zipfile
from copy import deepcopy

import pytest
from nbformat.v4 import new_markdown_cell

from autograde.common.errors import UsageError
from autograde.course.as_cells import handed_in
from autograde.course.exercises import exercises
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions, with_mistakes
from autograde.grading import isolation
from autograde.grading.rebuild import MOST_CELLS
from autograde.grading.sandbox import Sandbox
from autograde.returning.gradescope import gradescope, main
from tests.as_user import can_mount
from tests.gradescope_host import THERE, Host, open_up

LESSON = "02_divergence"
MOST = sum(exercise.points for exercise in exercises(LESSON).values())


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    return gradescope(LESSON, tmp_path_factory.mktemp("zip") / "autograder.zip")


@pytest.fixture
def host(tmp_path, packed):
    return Host(tmp_path / "autograder", packed)


def test_the_zip_has_what_gradescope_asks_for(packed, tmp_path):
    with zipfile.ZipFile(packed) as archive:
        names = archive.namelist()
        modes = {e.filename: e.external_attr >> 16 for e in archive.infolist()}
        wanted = archive.read("requirements.txt").decode()
        scripts = {name: archive.read(name) for name in ("setup.sh", "run_autograder")}
    assert {"setup.sh", "run_autograder"} <= set(names)
    assert modes["run_autograder"] == modes["setup.sh"] == 0o755
    assert not any("__pycache__" in name or name.startswith(("/", "..")) for name in names)
    assert all(word in wanted for word in ("torch", "pyseccomp", "jupytext", "sqlalchemy"))
    assert "course" not in wanted.replace("stable-policy-updates", "course")  # never installed
    for text in scripts.values():
        assert subprocess.run(["bash", "-n"], input=text, check=False).returncode == 0


def test_two_zips_of_one_version_differ_in_their_secrets_alone(packed, tmp_path):
    with (
        zipfile.ZipFile(packed) as one,
        zipfile.ZipFile(gradescope("02", tmp_path / "again.zip")) as other,
    ):
        assert [vars_of(e) for e in one.infolist()] == [vars_of(e) for e in other.infolist()]
        different = [name for name in one.namelist() if one.read(name) != other.read(name)]
        assert different == ["secret"]
        assert len(one.read("secret")) == 32
        assert one.getinfo("secret").external_attr >> 16 == 0o600


def vars_of(entry):
    """What a zip says of a file, but for its contents."""
    return entry.filename, entry.date_time, entry.external_attr, entry.file_size


def test_hidden_cases_hang_on_the_zips_secret_and_are_new_for_each_try(host, solved, monkeypatch):
    """What feedback tells of one try is worth nothing in the next."""
    host.hand_in(solved)
    given = []

    def grade(lesson, rebuilt, mode, secret):
        given.append(secret)
        raise UsageError("enough")

    monkeypatch.setattr("autograde.returning.gradescope.grade_rebuilt", grade)
    for _ in range(2):
        main([str(host.root), LESSON, "none"])
    own = (host.root / "source" / "secret").read_bytes()
    assert [secret[:32] for secret in given] == [own, own]
    assert given[0][32:] != given[1][32:]
    assert len(given[0]) == 64


@pytest.mark.parametrize(("text", "says"), [(None, "cannot be read"), (b"", "not 32 bytes long")])
def test_a_zip_without_its_secret_grades_nobody(host, solved, capsys, text, says):
    host.hand_in(solved)
    secret = host.root / "source" / "secret"
    secret.unlink() if text is None else secret.write_bytes(text)
    assert main([str(host.root), LESSON, "none"]) == 1
    assert f"secret: {says}" in capsys.readouterr().out
    assert "Tell your instructor" in host.shown()["output"]


def test_nothing_there_is_left_to_other_users(host):
    main([str(host.root), LESSON, "none"])
    for path in (host.root, host.root / "source", host.root / "results"):
        assert path.stat().st_mode & 0o077 == 0


def test_where_it_cannot_be_closed_nothing_runs(host, solved, capsys, monkeypatch):
    host.hand_in(solved)
    monkeypatch.setattr("pathlib.Path.chmod", lambda path, mode: None)
    host.root.chmod(0o755)
    os.chmod(host.root / "source", 0o755)
    assert main([str(host.root), LESSON, "none"]) == 1
    assert "source: stays open to students" in capsys.readouterr().out


def many(submission):
    for number in range(30):
        (submission / f"{number}.txt").touch()


def links(submission):
    (submission / "a.ipynb").symlink_to("/etc/passwd")
    (submission / "b").symlink_to("/")
    os.mkfifo(submission / "c.ipynb")


def named(submission):
    for name in ("\x1b[31mred.ipynb", "two\nlines\udcff.ipynb"):
        (submission / name).write_text("{")


@pytest.mark.parametrize(
    ("lay", "says"),
    [
        (many, "more than 20 files came: hand in one notebook"),
        (links, "no notebook came"),
        (named, "2 notebooks were handed in (␛[31mred.ipynb, two␊lines�.ipynb)"),
    ],
)
def test_a_hostile_folder_costs_nothing_and_is_told(host, capsys, monkeypatch, lay, says):
    monkeypatch.setattr("autograde.returning.gradescope.MOST_ENTRIES", 20)
    lay(host.root / "submission")
    assert main([str(host.root), LESSON, "none"]) == 0
    assert says in host.shown()["output"]
    assert "\x1b" not in capsys.readouterr().out


def test_what_is_shown_is_text_that_every_reader_takes(host, solved, monkeypatch):
    """Halves of characters, escapes and what else a student's message may hold."""
    host.hand_in(solved)
    hostile = {"score": 1, "output": "\ud800 \x1b[2J\x00", "tests": [{"output": "a\nb\u202e"}]}
    monkeypatch.setattr("autograde.returning.gradescope.results", lambda *_: hostile)
    main([str(host.root), LESSON, "none"])
    assert host.shown() == {
        "score": 1,
        "output": "\ufffd ␛[2J␀",
        "tests": [{"output": "a\nb\ufffd"}],
    }


def test_a_run_that_is_stopped_leaves_a_sentence(host, tmp_path):
    killed = tmp_path / "python"
    killed.write_text("#!/bin/sh\nkill -9 $$\n")
    killed.chmod(0o755)
    code, _, shown = host.run(AUTOGRADER_PYTHON=str(killed))
    assert (code, shown["score"]) == (-9, 0)
    assert "did not come to its end" in shown["output"]


def test_what_grading_imports_is_what_setup_installs(host):
    """Nothing that only an instructor's other commands need is imported there."""
    asked = (
        "import sys, autograde.returning.gradescope as g; print(g.__file__); "
        "print([m for m in ('nbgrader', 'jupyterlab', 'distributed') if m in sys.modules])"
    )
    course = str(host.root / "source" / "course")
    done = subprocess.run(
        [sys.executable, "-c", asked], env=os.environ | {"PYTHONPATH": course}, cwd=host.root,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    where, imported = done.stdout.splitlines()
    assert where.startswith(course)
    assert imported == "[]"


def test_a_right_notebook_gets_everything(host, solved):
    host.hand_in(solved, "Copy of my work.ipynb")
    code, printed, shown = host.run()
    assert (code, shown["score"]) == (0, MOST)
    assert [test["name"] for test in shown["tests"]] == list(exercises(LESSON))
    assert sum(test["max_score"] for test in shown["tests"]) == MOST
    assert f"worth 20 points here, what runs gives {MOST} at most" in printed
    assert (host.root / "results").stat().st_mode & 0o077 == 0
    assert (host.root / "source").stat().st_mode & 0o077 == 0


def test_a_wrong_notebook_is_told_its_mistakes(host):
    host.hand_in(with_mistakes(LESSON, 1), "late/work.ipynb")
    code, _, shown = host.run()
    assert code == 0
    assert 0 < shown["score"] < MOST
    assert shown["score"] == sum(test["score"] for test in shown["tests"])
    [wrong] = [test for test in shown["tests"] if test["name"] == "categorical_kl"]
    assert wrong["visibility"] == "visible"
    assert exercises(LESSON)["categorical_kl"].mistakes[1].says in wrong["output"]


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "no notebook came: hand in one file, 02_divergence.ipynb"),
        ({"a.ipynb": "{", "b.ipynb": "{"}, "2 notebooks were handed in (a.ipynb, b.ipynb)"),
        ({"a.ipynb": '{"cells": ['}, "a.ipynb: not a notebook (its JSON is broken or cut short)"),
        ({"01_policy_updates.ipynb": None}, "is 01_policy_updates: hand in 02_divergence.ipynb"),
    ],
)
def test_what_is_no_notebook_gets_nothing_and_a_sentence(host, capsys, files, says):
    for name, text in files.items():
        host.hand_in(checkout_base("01_policy_updates") if text is None else text, name)
    assert main([str(host.root), LESSON, "fork"]) == 0
    shown = host.shown()
    assert shown["score"] == 0
    assert says in shown["output"]
    assert str(host.root) not in shown["output"]
    assert shown["tests"][0]["max_score"] == MOST
    assert "Traceback" not in capsys.readouterr().out


def test_a_notebook_that_meets_a_limit_is_told_and_the_autograder_has_not_failed(host, solved):
    solved = deepcopy(solved)
    solved.cells += [new_markdown_cell() for _ in range(MOST_CELLS)]
    host.hand_in(solved)
    assert main([str(host.root), LESSON, "none"]) == 0
    assert "has more than 5,000 cells" in host.shown()["output"]
    assert str(host.root) not in host.shown()["output"]


def test_an_autograder_that_cannot_start_says_so(host, solved):
    host.hand_in(solved)
    code, _, shown = host.run(AUTOGRADER_PYTHON="/no/such/python")
    assert (code != 0, shown["score"]) == (True, 0)
    assert "tell your instructor" in shown["output"]


ATTACK = """
refused = []
for path in {paths!r}:
    for how in ("r", "a"):
        try:
            open(path, how)
        except OSError as error:
            refused.append(type(error).__name__)
import socket
try:
    socket.socket()
except OSError as error:
    refused.append(type(error).__name__)
import os
raise RuntimeError(f"user {{os.getuid()}}, {{len(refused)}} refused")
"""


@pytest.mark.skipif(not can_mount(), reason="needs root, as on Gradescope, and mounts")
def test_without_bubblewrap_it_is_a_user_who_can_reach_nothing(host, tmp_path):
    """As in Docker: the answers and the results are out of reach, and so is the network."""
    (host.root / "results" / "results.json").write_text("{}")
    open_up(host.root)  # only what the autograder does protects
    closed = ("results/results.json", "submission_metadata.json", f"submission/{LESSON}.ipynb")
    answers = "source/course/helpers/reference/divergence.py"
    paths = [f"{THERE}/{path}" for path in (answers, *closed)]
    answers = solutions(LESSON) | {"categorical_kl": ATTACK.format(paths=paths)}
    host.hand_in(handed_in(checkout_base(LESSON), answers))
    code, printed, shown = host.run_as_in_docker(tmp_path)
    assert code == 0, printed
    assert "bubblewrap does not work here" in printed
    assert "sandbox: user" in printed
    attacked = next(test for test in shown["tests"] if test["name"] == "categorical_kl")
    assert re.search(r"user 6\d{4}, 9 refused", attacked["output"])  # nobody's
    assert shown["score"] == MOST - attacked["max_score"]


def test_where_everybody_can_read_the_answers_nothing_runs(monkeypatch, tmp_path):
    """And without root nothing can."""
    open_up(tmp_path)
    (tmp_path / "reference").mkdir()
    (tmp_path / "reference" / "__init__.py").write_text("")
    monkeypatch.setattr("autograde.grading.isolation.HELPERS", tmp_path)
    # For all that follows, but not of these helpers.
    kept = "autograde.grading.isolation._readable_part"
    monkeypatch.setattr(kept, isolation._readable_part.__wrapped__)
    says = "every user can read the answers|needs root"
    with Sandbox("user") as opened, pytest.raises(UsageError, match=says):
        opened.ask([], {})


def test_none_is_only_run_where_it_was_asked_for_by_name(tmp_path, solved):
    host = Host(tmp_path / "autograder", gradescope(LESSON, tmp_path / "x.zip", "none"))
    host.hand_in(solved)
    _, printed, shown = host.run()
    assert "sandbox: none" in printed
    assert "graded without a sandbox" in shown["output"]


@pytest.mark.parametrize(
    ("lesson", "name", "says"),
    [
        ("99", "x.zip", "no lesson '99'"),
        ("02", "x.tar", "ends in .zip"),
        ("02", "nowhere/x.zip", "no such folder"),
    ],
)
def test_a_zip_that_cannot_be_made(tmp_path, lesson, name, says):
    with pytest.raises(UsageError, match=says):
        gradescope(lesson, tmp_path / name)
    assert list(tmp_path.iterdir()) == []
