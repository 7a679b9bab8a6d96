"""What is run of a rebuilt notebook, cell by cell."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass

from nbformat import NotebookNode

from ..course.lessons import grade_id, mark_of

ADDED = "added"  # the tag of a cell that the student added


def fingerprint(lesson: str, rebuilt: NotebookNode) -> str:
    """A hash of everything that is run: equal programs are one submission, whatever their file."""
    steps = [[step.of, step.source] for step in program(rebuilt)]
    return hashlib.sha256(json.dumps([lesson, steps]).encode()).hexdigest()


@dataclass(frozen=True)
class Step:
    """A cell to run. of: the exercise that it answers, if it answers one."""

    source: str
    of: str = ""


def program(rebuilt: NotebookNode) -> Iterator[Step]:
    """What to run of a rebuilt notebook: the setup, the answers and the added cells, in order."""
    for cell in rebuilt.cells:
        if cell.cell_type == "code" and is_run(cell):
            yield Step(cell.source, grade_id(cell) if mark_of(cell).get("solution") else "")


def tags(cell: NotebookNode) -> set[str]:
    tags = cell.metadata.get("tags")
    return set(map(str, tags)) if isinstance(tags, list) else set()


def is_run(cell: NotebookNode) -> bool:
    return bool(mark_of(cell).get("solution") or tags(cell) & {"setup", ADDED})
