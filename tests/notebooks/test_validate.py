"""nbgrader's Validate says what the checks say, and hands nothing in."""

import subprocess
import sys

import nbformat
import pytest

from autograde.course.lessons import checkout_base, grade_id
from autograde.course.sample import solutions

LESSON = "00_start_here"


@pytest.mark.parametrize("right", [True, False])
def test_validate_reports_what_check_says(tmp_path, right):
    notebook = checkout_base(LESSON)
    answers = solutions(LESSON)
    if not right:
        answers["log_ratio"] = "def log_ratio(p, q):\n    return q.log() - p.log()"
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)
    path = tmp_path / f"{LESSON}.ipynb"
    nbformat.write(notebook, path)
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "validate", path.name],
        cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert ("Success! Your notebook passes all the tests." in done.stdout) == right
    assert ("log_ratio: not right yet" in done.stdout) == (not right)
    assert "Traceback" not in done.stdout
    assert not list(tmp_path.rglob("*.zip"))
