"""The steps that this course puts into nbgrader's own converters."""

import re
from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions, NbGraderPreprocessor
from traitlets import Unicode

from ..common.guard import guarded
from ..term.reading import tidy_notebook
from ..term.term import Term
from .filling import fill
from .rebuild import rebuild
from .single import verdict_of

QUIZ = re.compile(r"q\d\d_\w+")


class ClearAnswers(ClearSolutions):
    """nbgrader's ClearSolutions, with `name = ...` left where a quiz asked for a value."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        name = cell.metadata.get("nbgrader", {}).get("grade_id", "")
        stock = dict(self.code_stub)
        if QUIZ.fullmatch(name):
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
        return guarded(_rebuilt, base, nb), resources


def _rebuilt(base: NotebookNode, submitted: NotebookNode) -> NotebookNode:
    return rebuild(base, tidy_notebook(submitted))


class Replay(NbGraderPreprocessor):
    """In place of nbgrader's Execute: the verdict fills the outputs that nbgrader reads.

    A program that has no verdict yet is run in the sandbox and judged first.
    """

    root = Unicode(help="the term folder").tag(config=True)

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        graded = verdict_of(Term.open(self.root), resources["nbgrader"]["assignment"], nb)
        return fill(nb, graded), resources
