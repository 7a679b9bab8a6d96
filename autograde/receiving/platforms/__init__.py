"""How learning platforms name what they let an instructor download: one small file for each.

A platform's module has `claims(parts, batch)`: who handed in the file at a path of these parts, as
the platform wrote it into one of them. What a student chose, below or behind that, never counts.
"""

import os.path
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath

from ...term.store import Origin


@dataclass(frozen=True)
class Claim:
    """What a platform says of who handed in a file.

    at: the part of the path that says it. name: in full, in any order. logins: what may be their
    id, the likeliest first. email. number: the platform's, of the person. attachment: of the file.
    lasting: whether the number is theirs in every download, and not in this one alone. group: a
    group's name that may stand in front, and what is then the person's. sure: whether only this
    platform names things so; else it counts only where the roster knows it. loose: and other things
    may be named so too. text: typed into the platform, no file. late: marked so. time: handed in.
    anonymous: the name is nobody's.
    """

    platform: str
    at: int
    name: str = ""
    logins: tuple[str, ...] = ()
    email: str = ""
    number: str = ""
    attachment: str = ""
    lasting: bool = True
    group: tuple[str, str] = ("", "")
    sure: bool = True
    loose: bool = False
    text: bool = False
    late: bool = False
    time: datetime | None = None
    anonymous: bool = False

    @property
    def origin(self) -> Origin:
        """What a platform must be told to take something back; of nobody's name, none."""
        person = "" if self.anonymous else self.name
        return Origin(self.platform, person, self.number, self.attachment)

    def __str__(self) -> str:
        return self.name or self.email or (self.logins[0] if self.logins else self.number)


@dataclass
class Batch:
    """What came together: its paths, and the small files in which platforms say more."""

    paths: Iterable[PurePosixPath] = ()
    notes: Mapping[PurePosixPath, bytes] = field(default_factory=dict)

    @cached_property
    def beginnings(self) -> dict[PurePosixPath, str]:
        """With what, up to a hyphen, all folders begin that have one and lie in a folder; of each
        folder that holds two or more such."""
        inside: dict[PurePosixPath, set[str]] = {}
        for path in set(self.paths):
            for folder in path.parents:
                if "-" in folder.name:
                    inside.setdefault(folder.parent, set()).add(folder.name)
        shared = {
            folder: os.path.commonprefix(sorted(names)).rpartition("-")[0]
            for folder, names in inside.items()
            if len(names) > 1
        }
        return {folder: begin for folder, begin in shared.items() if begin}


def claims_of(path: PurePosixPath, batch: Batch) -> list[list[Claim]]:
    """What platforms say of a path, each in the outermost part that it wrote, the outermost first
    and in one part the sure first; of a group's file, one claim for each member."""
    found = [made for module in _modules() if (made := module.claims(path.parts, batch))]
    return sorted(found, key=lambda made: (made[0].at, not made[0].sure))


def claim_of(path: PurePosixPath, batch: Batch) -> Claim | None:
    """The outermost claim, where it is of one person."""
    claims = claims_of(path, batch)
    return claims[0][0] if claims and len(claims[0]) == 1 else None


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
