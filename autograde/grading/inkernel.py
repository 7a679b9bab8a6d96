"""Grading inside the student's kernel: what a plain `nbgrader autograde` runs.

It trusts student code not to attack it, as nbgrader does. `autograde grade` does not use it.
"""

import warnings
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from typing import Any

from IPython.display import display

from helpers.report import Report

from ..course.exercises import exercise


def score(name: str, answer: Any) -> float:
    """The points that `answer` earns for the exercise, as nbgrader reads them from a cell.

    Shows the report. Raises KeyError when there is no such exercise.
    """
    # nbgrader takes anything on stderr for a failure, a warning about a right answer included.
    with warnings.catch_warnings(), redirect_stderr(StringIO()), redirect_stdout(StringIO()):
        warnings.simplefilter("ignore")
        verdict = exercise(name).grade(answer)
    display(Report(verdict, hidden=True))
    return float(verdict.points)
