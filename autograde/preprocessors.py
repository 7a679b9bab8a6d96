"""The steps that this course puts into nbgrader's own converters."""

import re
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_output
from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor
from nbgrader.utils import is_grade
from traitlets import Unicode

from helpers.compare import Verdict
from helpers.report import Report

from .grading import verdict_of
from .rebuild import grade_id, rebuild, tidy_notebook
from .term import Term

QUIZ = re.compile(r"q\d\d_\w+$")


class ClearAnswers(ClearSolutions):
    """nbgrader's ClearSolutions, with `name = ...` left where a quiz asked for a value."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        stock = dict(self.code_stub)
        if QUIZ.match(name):
            self.code_stub = {**stock, "python": f"{name} = ..."}
        try:
            return super().preprocess_cell(cell, resources, cell_index)
        finally:
            self.code_stub = stock


class Rebuild(NbGraderPreprocessor):
    """In place of nbgrader's OverwriteCells: only what the student wrote is taken over."""

    root = Unicode(help="the term folder").tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        base = Term.open(self.root).base(resources["nbgrader"]["assignment"])
        return rebuild(base, tidy_notebook(nb)), resources


class Replay(NbGraderPreprocessor):
    """In place of nbgrader's Execute: the verdict fills the outputs that nbgrader reads.

    A program that has no verdict yet is run in the sandbox and judged first.
    """

    root = Unicode(help="the term folder").tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        graded = verdict_of(Term.open(self.root), resources["nbgrader"]["assignment"], nb)
        for cell in nb.cells:
            name = grade_id(cell).removeprefix("test_")
            if cell.cell_type == "code" and name in graded.verdicts and is_grade(cell):
                cell.outputs = _outputs(graded.verdicts[name])
        return nb, resources


def _outputs(verdict: Verdict) -> list[NotebookNode]:
    """A report, and the points in the one form that nbgrader reads without a trap."""
    report = Report(verdict, hidden=True)
    shown = {"text/plain": repr(report), "text/html": report._repr_html_()}
    points = {"text/plain": repr(float(verdict.points))}
    return [
        new_output("display_data", shown),
        new_output("execute_result", points, execution_count=1),
    ]
