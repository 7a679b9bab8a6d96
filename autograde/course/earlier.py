"""Lessons' cells as they were handed out before and no longer are: nobody's own work.

Where a student has a lesson of an earlier edition, its demos are not run in grading either, and its
texts are not taken for what the student wrote. After a change of lessons that are in use, add what
they were, from the notebooks as they were handed out:
`python -m autograde.course.earlier NOTEBOOK...`

What a term itself has handed out before its lessons' texts changed stands in its own notebooks'
metadata, where `init` keeps it.
"""

import hashlib
import sys
from collections.abc import Collection, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import UsageError
from ..common.files import write_whole
from ..common.saying import warn
from .lessons import mark_of
from .plan import without_points

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

MARKS = Path(__file__).with_name("earlier_cells.txt")  # of cells of code, one a line
TEXT_MARKS = Path(__file__).with_name("earlier_texts.txt")  # of lines and cells of text
EARLIER = "earlier_texts"  # in a term's notebook's metadata: the marks of what it said before
LONG_LINE = 15  # characters: a line of the lesson that nobody types by chance


def is_earlier(source: str) -> bool:
    """Whether this is, to the letter, a cell of an earlier edition that answers nothing."""
    return _mark(source) in _marks(MARKS)


def is_earlier_text(source: str, before: Collection[str] = ()) -> bool:
    """Whether this is, but for its spaces and points, a whole text of an earlier edition.

    before: the marks of what the term itself has said before.
    """
    return all(_is_known(text, before) for text in _texts(source))


def is_earlier_line(line: str, before: Collection[str] = ()) -> bool:
    """The same of one line of a text, which is nobody's own only where it is long."""
    plain = plain_line(line)
    return len(plain) >= LONG_LINE and _is_known(plain, before)


def marks_of(notebook: "NotebookNode") -> set[str]:
    """Of its cells of code that answer nothing."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "code")
    return {_mark(cell.source) for cell in cells if not mark_of(cell).get("solution")}


def text_marks_of(notebook: "NotebookNode") -> set[str]:
    """Of its cells of text that answer nothing."""
    cells = (cell for cell in notebook.cells if cell.cell_type == "markdown")
    own = (cell.source for cell in cells if not mark_of(cell).get("solution"))
    return {_text_mark(text) for source in own for text in _texts(source)}


def said_before(old: "NotebookNode", new: "NotebookNode") -> list[str]:
    """The marks of all that a term's notebook has said, and that neither `new`, which takes the
    place of `old`, nor the course's own record knows."""
    said = set(old.metadata.get(EARLIER, ())) | text_marks_of(old)
    return sorted(said - text_marks_of(new) - _marks(TEXT_MARKS))


def add(paths: Iterable[Path]) -> None:
    """Add the cells of these notebooks to those that are known.

    Raises UsageError, with nothing added, where one of them is no notebook.
    """
    notebooks = list(map(_read, paths))
    for file, read in ((MARKS, marks_of), (TEXT_MARKS, text_marks_of)):
        found = set(_marks(file)).union(*map(read, notebooks))
        write_whole(file, ("\n".join(sorted(found)) + "\n").encode())


def _read(path: Path) -> "NotebookNode":
    import nbformat

    try:
        return nbformat.read(path, as_version=4)
    except Exception as error:  # of many kinds, by what is broken in it
        why = getattr(error, "strerror", None) or "no notebook"
        raise UsageError(f"{path}: {why}; give notebooks as they were handed out") from None


def plain_line(text: str) -> str:
    """A line, by which a lesson's own is known whatever points its term gives."""
    return " ".join(without_points(text).split())


@cache
def _marks(file: Path) -> frozenset[str]:
    return frozenset(file.read_text("utf-8").split())


def _texts(source: str) -> Iterator[str]:
    """By what a text is known: its long lines; with short ones in it, it is known as a whole."""
    lines = [line for line in map(plain_line, source.splitlines()) if line]
    long = [line for line in lines if len(line) >= LONG_LINE]
    yield from long
    if len(long) < len(lines):
        yield "\n".join(lines)


def _is_known(text: str, before: Collection[str]) -> bool:
    mark = _text_mark(text)
    return mark in before or mark in _marks(TEXT_MARKS)


def _mark(source: str) -> str:
    """Half of SHA-256, which nobody meets by chance."""
    return hashlib.sha256(source.strip().encode()).hexdigest()[:32]


def _text_mark(text: str) -> str:
    """Less of it, as there are many lines: one in a hundred thousand million is met by chance."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:12]


def main(paths: list[str]) -> int:
    try:
        if not paths:
            raise UsageError("no notebook is named; give them as they were handed out")
        add(map(Path, paths))
    except UsageError as error:
        warn(error)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
