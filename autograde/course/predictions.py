"""The predictions in a notebook: read from its cells as text, which is never run."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from helpers.predicted import ASKED, letter_of

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

LONGEST = 2_000  # characters of a cell in which a prediction is looked for; ours have 50


def cell_of(name: str, letter: str = "") -> str:
    """The source of a prediction's cell, before and after a letter was put in."""
    return f'predict("{name}", "{letter}")' if letter else f'predict("{name}", ...)'


def predicted_in(cells: Iterable["NotebookNode"]) -> dict[str, str]:
    """The letter predicted in these cells, by the prediction's name.

    The first that is one of its choices counts, in the notebook's order. Whatever else stands
    there, other names, other choices, what is computed, is left out.
    """
    found: dict[str, str] = {}
    for cell in cells:
        if cell.cell_type == "code":
            for name, choice in _calls(cell.source):
                if letter := letter_of(name, choice):
                    found.setdefault(str(name), letter)
    return found


def is_prediction(source: str) -> bool:
    """Whether a cell does nothing but predict, so that it is no work of a student's own."""
    body = _body(source)
    return bool(body) and all(isinstance(_named(node), str) for node in body)


def written_in(lesson: str, rebuilt: "NotebookNode") -> dict[str, str]:
    """What `write_predictions` has put into the lesson's own cells."""
    forms = {
        cell_of(name, letter): (name, letter)
        for name, asked in ASKED.get(lesson, {}).items()
        for letter in asked.choices
    }
    return dict(forms[cell.source] for cell in rebuilt.cells if cell.source in forms)


def write_predictions(notebook: "NotebookNode", letters: Mapping[str, str]) -> None:
    """Put these letters into the notebook's own cells, those that it has for them."""
    own = {cell_of(name): cell_of(name, letter) for name, letter in letters.items()}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = own.get(cell.source.strip(), cell.source)


def _calls(source: str) -> Iterator[tuple[object, object]]:
    """Name and choice of each call of `predict` that stands by itself, where both are constants."""
    for node in _body(source):
        name = _named(node)
        if name is not None and len(node.value.args) == 2 and not node.value.keywords:
            yield name, getattr(node.value.args[1], "value", None)


def _named(node: ast.stmt) -> object:
    """The first argument of a call of `predict`, where it is a constant."""
    call = getattr(node, "value", None) if isinstance(node, ast.Expr) else None
    if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "predict" and call.args:
        return getattr(call.args[0], "value", None)
    return None


def _body(source: str) -> list[ast.stmt]:
    if "predict" not in source or len(source) > LONGEST:
        return []
    try:
        return ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
