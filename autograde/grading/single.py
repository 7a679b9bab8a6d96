"""One notebook by itself: run, judged, and nothing recorded."""

from pathlib import Path

from nbformat import NotebookNode

from ..term.term import Term
from ..term.verdict import Graded
from .from_file import read_and_rebuild
from .program import Program, how_of
from .working import do


def verdict_of(term: Term, lesson: str, rebuilt: NotebookNode, mode: str = "fork") -> Graded:
    """The stored verdict on a rebuilt notebook; run and judged now when there is none."""
    one = Program(lesson, rebuilt, mode)
    with term.store() as store:
        graded = store.verdict(one.key)
        if graded is None:
            done = do(one.work(term.secret, how_of([lesson], mode), store.answers(one.mark)))
            graded = Graded.of(done.graded)
            store.keep(one.key, graded, one.mark, done.answers)
    return graded


def grade_file(path: Path, mode: str = "fork", secret: bytes = b"") -> Graded:
    """Grade one notebook with no term and no gradebook. Raises UsageError if it is no notebook.

    secret: as in `grade_rebuilt`.
    """
    return grade_rebuilt(*read_and_rebuild(path), mode, secret)


def grade_rebuilt(
    lesson: str, rebuilt: NotebookNode, mode: str = "fork", secret: bytes = b""
) -> Graded:
    """Grade a rebuilt notebook with no term and no gradebook.

    secret: chooses the hidden cases, with the program; without one, anybody can compute them.
    """
    one = Program(lesson, rebuilt, mode)
    return Graded.of(do(one.work(secret, how_of([lesson], mode))).graded)
