"""Which edition of the course judges and asks: hashes of its sources, none of which is imported."""

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import helpers

from .. import course
from ..course.exercises import LESSONS

HELPERS, COURSE, HERE = (
    Path(file).resolve().parent for file in (helpers.__file__, course.__file__, __file__)
)
INSIDE = HERE / "inside"


@cache
def edition(lesson: str) -> str:
    """A hash of what judges a lesson: a corrected reference asks for a new verdict."""
    judged = [COURSE / "exercise.py", HERE / "judging.py", HERE / "beneath.py"]
    judged += [COURSE / "exercises" / "__init__.py", HELPERS / "relations.py"]
    folders = COURSE / "exercises" / LESSONS[lesson], HELPERS / "reference"
    judged += _sources(HELPERS, "compare") + [path for one in folders for path in one.glob("*.py")]
    return _hash_of(judged) + asking_edition()


@cache
def asking_edition() -> str:
    """A hash of what asks: while it stands, the same questions get the same answers."""
    asks = [path for name in ("probe", "cases", "codec") for path in _sources(HELPERS, name)]
    return _hash_of([*asks, *INSIDE.glob("*.py")])


def _sources(folder: Path, name: str) -> list[Path]:
    """Of a module, or of a package."""
    return [*folder.glob(f"{name}.py"), *(folder / name).glob("*.py")]


def _hash_of(paths: Iterable[Path]) -> str:
    made = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(set(paths))))
    return made.hexdigest()[:16]
