"""Scores typed by hand: whether what they were typed for still stands there.

nbgrader asks to look again at each of them whenever it grades. Here it is asked only where the
answer, the points that there are for it, or what the program counted is another than before.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode
from nbgrader import utils

from ..course.lessons import grade_id
from .essays import EMPTY, NOTE, PROSE
from .prose import shown
from .rebuild import is_added

EARLIER = "for an earlier file"


class Graded(NamedTuple):
    """What is scored: the answer, with what may belong to it, and the points there are for it."""

    answer: tuple[str, ...]
    points: float


def changes(graded: Path, filled: NotebookNode) -> dict[str, str]:
    """By grade cell: for what the score of the copy graded before was, where it was another; that
    of a cell which is as it was is not in it."""
    now, before = _graded(filled.cells), _graded(_cells(graded))
    told = {name: _told(before.get(name), one) for name, one in now.items()}
    return {name: says for name, says in told.items() if says}


def recounted(before: float | None, now: float | None) -> str:
    """For what a score was that was typed when the program counted otherwise, if it did."""
    if before is None or before == now:
        return ""
    return f"when the program counted {before:g}"


def _told(before: Graded | None, now: Graded) -> str:
    if before is None or before.answer != now.answer:
        return EARLIER
    return "" if before.points == now.points else f"when it was worth {before.points:g}"


def _cells(graded: Path) -> list[NotebookNode]:
    if not graded.is_file():
        return []
    try:
        return nbformat.read(graded, as_version=4).cells
    except Exception:  # half written, or not ours: then all is to be looked at again
        return []


def _graded(cells: list[NotebookNode]) -> dict[str, Graded]:
    """By grade cell. To an exercise belong the cells that the student added, as it may call what
    they define; to an essay with nothing in it the notes, as they may be its text."""
    marked = [cell for cell in cells if "nbgrader" in cell.metadata]
    answers = {grade_id(cell): cell for cell in marked if utils.is_solution(cell)}
    added, notes = _sources(cells, _is_program), _sources(cells, _is_note)
    found = {}
    for cell in filter(utils.is_grade, marked):
        answer = answers.get(grade_id(cell).removeprefix("test_"))
        beside = added if answer is not cell else notes if EMPTY in cell.source else ()
        text = () if answer is None else (_said(answer),)
        found[grade_id(cell)] = Graded((*text, *beside), float(cell.metadata.nbgrader.points))
    return found


def _sources(
    cells: Iterable[NotebookNode], chosen: Callable[[NotebookNode], bool]
) -> tuple[str, ...]:
    return tuple(cell.source for cell in cells if chosen(cell))


def _is_program(cell: NotebookNode) -> bool:
    return is_added(cell) and cell.cell_type == "code" and PROSE not in cell.metadata["tags"]


def _is_note(cell: NotebookNode) -> bool:
    return NOTE in cell.metadata.get("tags", ())


def _said(cell: NotebookNode) -> str:
    """An essay as it is shown. An earlier version wrote Markdown, which is shown alike."""
    return shown(cell.source) if cell.cell_type == "markdown" else cell.source
