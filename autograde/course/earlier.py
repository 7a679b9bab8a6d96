"""Lessons' cells as they were handed out before and no longer are: nobody's own work.

Where a student has a lesson of an earlier edition, its demos are not run in grading either. After a
change of lessons that are in use, add what they were, from the notebooks as they were handed out:
`python -m autograde.course.earlier NOTEBOOK...`
"""

import hashlib
import sys
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .lessons import mark_of

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

MARKS = Path(__file__).with_name("earlier_cells.txt")  # one a line


def is_earlier(source: str) -> bool:
    """Whether this is, to the letter, a cell of an earlier edition that answers nothing."""
    return _mark(source) in _marks()


def marks_of(notebook: "NotebookNode") -> set[str]:
    """Of its cells of code that answer nothing."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return {_mark(cell.source) for cell in cells if not mark_of(cell).get("solution")}


def add(paths: Iterable[Path]) -> None:
    """Add the cells of these notebooks to those that are known."""
    import nbformat

    found = set(_marks()).union(*(marks_of(nbformat.read(path, as_version=4)) for path in paths))
    MARKS.write_text("\n".join(sorted(found)) + "\n", encoding="utf-8")


@cache
def _marks() -> frozenset[str]:
    return frozenset(MARKS.read_text("utf-8").split())


def _mark(source: str) -> str:
    """Half of SHA-256, which nobody meets by chance."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:32]


if __name__ == "__main__":
    add(map(Path, sys.argv[1:]))
