"""GitHub Classroom: ASSIGNMENT-HANDLE, a clone of a repository for each.

As `gh classroom clone` and Classroom Assistant name them, in ASSIGNMENT-submissions. Both parts may
hold hyphens: what all folders side by side begin with is the assignment. A single one is read as
any other name is.
"""

from pathlib import PurePosixPath

from . import Batch, Claim


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost folder that begins as those beside it do, up to a hyphen."""
    for at, part in enumerate(parts[:-1]):
        begin = batch.beginnings.get(PurePosixPath(*parts[:at]), "")
        if begin and part.startswith(f"{begin}-"):
            words, handle = begin.split("-"), part[len(begin) + 1 :]
            # Handles may begin alike too; a shorter one than this would be somebody else's.
            longer = ["-".join((*words[i:], handle)) for i in range(len(words))]
            return [Claim("GitHub Classroom", at, logins=(handle, *longer), sure=False)]
    return []
