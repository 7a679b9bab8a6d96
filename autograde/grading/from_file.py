"""A file that was handed in, as a rebuilt notebook: read and rebuilt within bounds."""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..common.errors import LimitError, UsageError
from ..common.guard import guarded
from ..course.exercises import LESSONS
from ..course.lessons import checkout_base
from ..course.recognise import other_lesson, recognise
from ..term.reading import ASK_ANEW, read_notebook
from .rebuild import rebuild


def lesson_in(path: Path) -> str:
    """The lesson of a notebook that was handed in. Raises UsageError: what is wrong with it."""
    return _guarded(path, _lesson_in)


def read_and_rebuild(
    path: Path, base_path: Path | None = None, base_mark: str = ""
) -> tuple[str, NotebookNode]:
    """A notebook's lesson, and what the student wrote in it on the instructor's copy.

    base_path: of that copy, with a hash of its bytes; None for the checkout's. It must be of the
    lesson that is named in the path. Raises UsageError: what is wrong with the file, and what to
    do, a limit that it met included.
    """
    return _guarded(path, _read_and_rebuild, base_path, base_mark)


def _guarded(path: Path, function: Callable, *arguments: Any) -> Any:
    try:
        return guarded(function, path, *arguments)
    except LimitError as met:
        raise UsageError(f"{path}: {met}; {ASK_ANEW}") from None


def _lesson_in(path: Path) -> str:
    return recognise(path, read_notebook(path))


def _read_and_rebuild(
    path: Path, base_path: Path | None, base_mark: str
) -> tuple[str, NotebookNode]:
    submitted = read_notebook(path)
    lesson = recognise(path, submitted)
    if base_path is None:
        return lesson, rebuild(checkout_base(lesson), submitted)
    if lesson != base_path.stem:
        raise UsageError(
            f"{path}: {other_lesson(base_path.stem, lesson)}; ask for {base_path.name}"
        )
    return lesson, rebuild(_base(base_path, base_mark), submitted)


@lru_cache(maxsize=len(LESSONS))
def _base(path: Path, mark: str) -> NotebookNode:
    """mark: of its bytes; what has been read with another is out of date."""
    return nbformat.read(path, as_version=4)
