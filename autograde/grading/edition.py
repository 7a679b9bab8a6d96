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
JUDGES = (
    "compare",
    "closeness",
    "describing",
    "formulas",
    "exceptions",
    "relations",
    "unnamed",
    "verdict",
)
ASKERS = ("probe", "networks", "observed", "cases", "codec")


@cache
def edition(lesson: str) -> str:
    """A hash of what judges a lesson: a corrected reference asks for a new verdict."""
    judged = [COURSE / "exercise.py", HERE / "judging.py", HERE / "beneath.py"]
    judged += [COURSE / "exercises" / "__init__.py"]
    judged += [HELPERS / f"{name}.py" for name in JUDGES]
    folders = COURSE / "exercises" / LESSONS[lesson], HELPERS / "reference"
    judged += [path for folder in folders for path in folder.glob("*.py")]
    return _hash_of(judged) + asking_edition()


@cache
def asking_edition() -> str:
    """A hash of what asks: while it stands, the same questions get the same answers."""
    asks = [HELPERS / f"{name}.py" for name in ASKERS]
    return _hash_of([*asks, *INSIDE.glob("*.py")])


def _hash_of(paths: Iterable[Path]) -> str:
    made = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(set(paths))))
    return made.hexdigest()[:16]
