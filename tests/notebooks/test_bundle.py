"""What a student gets works by itself: a new environment with only the bundle installed."""

import json
import os
import re
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

import nbformat
import pytest

from autograde.course.lessons import ROOT, lesson_path
from autograde.course.sample import solutions
from autograde.term.releasing import release
from tests.some import LONG

LESSON = "02_divergence"
ALONE = """
import sys
sys.path[:] = [{bundle!r}, *(path for path in sys.path if path), {packages!r}]
import importlib.util
from helpers import check
print(importlib.util.find_spec("autograde"), importlib.util.find_spec("helpers.reference"))
print(check("k1", lambda logp, ref_logp: ref_logp.detach() - logp))
"""


def run(*command, cwd) -> str:
    """What the command printed; it must succeed, and sees nothing of this checkout."""
    words = [str(word) for word in command]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(words, cwd=cwd, capture_output=True, text=True, check=False, env=clean)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


@pytest.fixture(scope="module")
def student(tmp_path_factory) -> Path:
    """The bundle's folder, installed as its README says."""
    bundle = release(tmp_path_factory.mktemp("student") / "course")
    for command in typed(bundle)[:3]:
        run(*(sys.executable if word == "python3" else word for word in command), cwd=bundle)
    return bundle


def typed(bundle: Path) -> list[list[str]]:
    """The words of each line that README says to type: for Linux and macOS, then for Windows."""
    lines = (bundle / "README.md").read_text("utf-8").splitlines()
    commands = [line.strip() for line in lines if line.startswith("    ")]
    assert len(commands) == 8
    # A backslash is a part of the path there.
    return [shlex.split(command.replace("\\", "\\\\")) for command in commands]


def test_windows_types_the_same_in_its_own_words(tmp_path):
    commands = typed(release(tmp_path / "course"))
    words = {"python3": "py", ".venv/bin/python": ".venv\\Scripts\\python"}
    translated = [[words.get(word, word) for word in command] for command in commands[:4]]
    assert translated == commands[4:]


def test_no_shell_takes_an_extra_for_a_pattern(tmp_path):
    """zsh ends at .[lab] where no file is named so; double quotes are the same in every shell."""
    for path in (release(tmp_path / "course") / "README.md", ROOT / "README.md"):
        for line in path.read_text("utf-8").splitlines():
            if "pip install" in line and "[" in line:
                assert re.search(r"""(["'])[^"'\s]*\[\w+\]\1""", line), line


def execute(student: Path, notebook: Path) -> nbformat.NotebookNode:
    run(
        student / ".venv/bin/python", "-m", "nbconvert", "--to", "notebook", "--execute",
        "--output", "done.ipynb", notebook, cwd=notebook.parent,
    )  # fmt: skip
    return nbformat.read(notebook.parent / "done.ipynb", as_version=4)


def said(notebook: nbformat.NotebookNode) -> str:
    return json.dumps([cell.get("outputs", []) for cell in notebook.cells], ensure_ascii=False)


def test_its_folder_alone_checks_an_answer(tmp_path):
    """With what it depends on and nothing of this checkout, as Python runs no .pth file here."""
    bundle = release(tmp_path / "course")
    program = ALONE.format(bundle=str(bundle), packages=sysconfig.get_path("purelib"))
    there, told = run(sys.executable, "-I", "-S", "-c", program, cwd=tmp_path).split("\n", 1)
    assert there == "None None"
    assert "k1: not right yet" in told


@LONG  # what follows installs packages, which takes minutes
def test_only_the_bundle_is_there(student):
    program = (
        "import importlib.util as u\n"
        "import helpers, pathlib\n"
        "print(u.find_spec('autograde'), u.find_spec('nbgrader'),"
        " (pathlib.Path(helpers.__file__).parent / 'reference').exists())"
    )
    python = student / ".venv/bin/python"
    assert run(python, "-c", program, cwd=student.parent).split() == ["None", "None", "False"]


@LONG
def test_untouched_it_runs_and_says_what_each_cell_waits_for(student):
    text = said(execute(student, lesson_path(student / "notebooks", LESSON)))
    assert "This cell waits for" in text
    assert "not written yet" in text


@LONG
def test_right_and_wrong_answers_are_told_apart_there(student):
    path = lesson_path(student / "notebooks", LESSON)
    notebook = nbformat.read(path, as_version=4)
    answers = solutions(LESSON)
    answers["k1"] = "def k1(logp, ref_logp):\n    return ref_logp.detach() - logp"
    for cell in notebook.cells:
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        if name in answers:
            cell.source = answers[name]
    solved = path.with_name("solved.ipynb")
    nbformat.write(notebook, solved)
    text = said(execute(student, solved))
    assert "categorical_kl: every case passes" in text
    assert "k1: not right yet" in text
    assert "→" in text
    assert "waits for k1" in text


@LONG
def test_the_environment_file_installs_by_its_own_words(tmp_path):
    """conda's own part needs conda; the pip section is what pip is given, from the same folder."""
    lines = (ROOT / "environment.yml").read_text("utf-8").splitlines()
    section = lines[lines.index("  - pip:") + 1 :]
    words = [word for line in section for word in line.strip().removeprefix("- ").split()]
    assert words[:2] == ["-c", "requirements.lock"]
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=ROOT)
    python = tmp_path / "venv/bin/python"
    assert "  - pip>=26.2" in lines  # which conda gives it
    run(python, "-m", "pip", "install", "--quiet", "pip>=26.2", cwd=ROOT)
    run(python, "-m", "pip", "install", "--quiet", "--dry-run", *words, cwd=ROOT)
    installed = run(sys.executable, "-m", "pip", "freeze", cwd=ROOT).lower()
    for package in ("jupyterlab", "torch", "numpy", "matplotlib", "nbgrader", "ipywidgets"):
        assert f"\n{package}==" in "\n" + installed
