"""Which lesson a notebook is of, by its name and by its cells."""

import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from ..common.errors import UsageError
from .exercises import LESSONS, names
from .lessons import grade_id

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

# A definition or an assignment at the beginning of a line; no parser, which hostile text can stall.
BINDS = re.compile(r"^(?:def[ \t]+(\w+)|(\w+)[ \t]*(?::[^=\n]+)?=(?!=))", re.MULTILINE)


def recognise(path: Path, notebook: "NotebookNode") -> str:
    """The lesson that a notebook is of: the one in its name, unless its cells are of another.

    Raises UsageError when it is of none.
    """
    cells = [(cell.cell_type, grade_id(cell), cell.source) for cell in notebook.cells]
    lesson = lesson_of(named_lesson(path), cells)
    if not lesson:
        known = ", ".join(LESSONS)
        raise UsageError(f"{path}: of no lesson that is known; name it like one of {known}")
    return lesson


def named_lesson(path: PurePath) -> str:
    """The lesson that a file's name says; "" for none."""
    return next((lesson for lesson in LESSONS if lesson in path.stem), "")


def lesson_of(named: str, cells: Iterable[tuple[str, str, str]]) -> str:
    """The lesson that cells (type, grade_id, source) are of; "" for none.

    named: what the file's name says, "" for nothing. It holds while a cell is marked as one of its
    own, and where less than half of another lesson's exercises are there. An exercise is known by
    the cell's grade_id, and where metadata was lost by the name that it defines.
    """
    marks: set[str] = set()
    bound: set[str] = set()
    for kind, mark, source in cells:
        marks.add(mark)
        if kind == "code":
            bound.update(found[1] or found[2] for found in BINDS.finditer(source))
    there = {lesson: (_part(lesson, marks), _part(lesson, bound)) for lesson in LESSONS}
    most = max(there, key=lambda lesson: there[lesson])
    own = there.get(named, (0, 0))
    if named and (own[0] or max(there[most]) < 1 / 2 or own >= there[most]):
        return named
    return most if any(there[most]) else ""


def _part(lesson: str, found: set[str]) -> float:
    """How much of a lesson's exercises is in `found`."""
    wanted = set(names(lesson))
    return len(wanted & found) / len(wanted)


def other_lesson(named: str, lesson: str) -> str:
    """What to say of a notebook whose name says another lesson than its cells do."""
    return f"this is lesson {lesson} under the name of {named}"
