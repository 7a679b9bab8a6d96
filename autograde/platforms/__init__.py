"""How learning platforms name what they let an instructor download: one small file for each.

A platform's module has `claims(parts, batch)`: who handed in the file at a path of these parts, as
the platform wrote it into one of them. What a student chose, below or behind that, never counts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePosixPath


@dataclass(frozen=True)
class Claim:
    """What a platform says of who handed in a file.

    at: the part of the path that says it. name: in full, in any order. logins: what may be their
    id, the likeliest first. email. number: the platform's, of the person. lasting: whether it is
    theirs in every download, and not in this one alone. group: a group's name that may stand in
    front, and what is then the person's. sure: whether only this platform names things so; else it
    counts only where the roster knows it. loose: and other things may be named so too. text: typed
    into the platform, no file. late: marked so. time: handed in.
    """

    platform: str
    at: int
    name: str = ""
    logins: tuple[str, ...] = ()
    email: str = ""
    number: str = ""
    lasting: bool = True
    group: tuple[str, str] = ("", "")
    sure: bool = True
    loose: bool = False
    text: bool = False
    late: bool = False
    time: datetime | None = None

    def __str__(self) -> str:
        return self.name or self.email or (self.logins[0] if self.logins else self.number)


@dataclass
class Batch:
    """What came together: its paths, and the small files in which platforms say more."""

    paths: Iterable[PurePosixPath] = ()
    notes: Mapping[PurePosixPath, bytes] = field(default_factory=dict)
    _siblings: dict[PurePosixPath, set[str]] | None = None

    def siblings(self, folder: PurePosixPath) -> set[str]:
        """The folders in a folder, by name."""
        if self._siblings is None:
            self._siblings = {}
            for path in self.paths:
                for inner in path.parents:
                    if inner.name:
                        self._siblings.setdefault(inner.parent, set()).add(inner.name)
        return self._siblings.get(folder, set())


def claims_of(path: PurePosixPath, batch: Batch) -> list[list[Claim]]:
    """What platforms say of a path, each in the outermost part that it wrote, the outermost first
    and in one part the sure first; of a group's file, one claim for each member."""
    found = [made for module in _modules() if (made := module.claims(path.parts, batch))]
    return sorted(found, key=lambda made: (made[0].at, not made[0].sure))


def _modules() -> tuple:
    from . import (
        blackboard,
        brightspace,
        canvas,
        github_classroom,
        gradescope,
        ilias,
        mail,
        moodle,
        nbgrader_exchange,
        sakai,
    )  # fmt: skip

    return (
        nbgrader_exchange, gradescope, moodle, brightspace, blackboard, sakai, canvas, ilias, mail,
        github_classroom,
    )  # fmt: skip
