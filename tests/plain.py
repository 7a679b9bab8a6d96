"""A course folder of plain nbgrader: none of our settings, so it runs each notebook in a kernel."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograde.course.lessons import SOLUTIONS, lesson_path

ROOT = Path(__file__).resolve().parent.parent
EXECUTE = "nbgrader.preprocessors.Execute"
STEPS = ["IgnorePattern", "LimitOutput", "SaveAutoGrades", "AssignLatePenalties"]
CONFIG = """c = get_config()
c.Execute.timeout = c.TimedExecute.timeout = 600
c.ClearSolutions.code_stub = {{"python": "raise NotImplementedError()"}}
c.Autograde.autograde_preprocessors = {steps!r}
"""


def make(root: Path, lesson: str, notebooks: Mapping[str, NotebookNode], execute: str) -> None:
    """Lay the course out under `root` with a notebook for each student, and release the lesson."""
    source = lesson_path(root / "source", lesson)
    source.parent.mkdir(parents=True)
    shutil.copy(lesson_path(SOLUTIONS, lesson), source)
    steps = [execute, *(f"nbgrader.preprocessors.{name}" for name in STEPS)]
    (root / "nbgrader_config.py").write_text(CONFIG.format(steps=steps))
    for student, notebook in notebooks.items():
        target = lesson_path(root / "submitted" / student, lesson)
        target.parent.mkdir(parents=True)
        nbformat.write(notebook, target)
    run(root, "generate_assignment", lesson)


def run(root: Path, *arguments: str) -> None:
    """An nbgrader command in the course. Raises CalledProcessError with what it said."""
    scripts = str(Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{scripts}:{os.environ['PATH']}",  # nbgrader calls alembic by name
        "PYTHONPATH": str(ROOT),
        "SECONDS_FILE": str(root / "seconds"),
    }
    command = [sys.executable, "-m", "nbgrader", *arguments]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {done.stderr[-2000:]}")


def without_demos(notebook: NotebookNode) -> NotebookNode:
    """The notebook without the cells that are shown and earn nothing."""
    kept = [cell for cell in notebook.cells if "demo" not in cell.metadata.get("tags", ())]
    return NotebookNode({**notebook, "cells": kept})
