"""What is nobody's: kept in unmatched/, each by itself, until it has an owner."""

import hashlib
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..common.errors import shown
from ..term.term import UNMATCHED, Term
from .matching import Roster
from .placing import write_new
from .sorting import Apart
from .tries import MOST_ASKED, Collected, Try
from .unpacking import BAD_ZIP, TIMESTAMP, Found


def keep_apart(
    term: Term, apart: list[Apart], roster: Roster, downloads: Path, result: Collected
) -> None:
    """Write what is nobody's into unmatched/, each by itself, and say whose it may be.

    What lies there already stays where it is.
    """
    for number, (found, lesson, time, why) in enumerate(apart):
        near = roster.near(found.path) if number < MOST_ASKED else ""
        try:
            data = found.read()
        except BAD_ZIP as error:
            result.unplaced.append(f"{why}, and cannot be unpacked ({shown(error)})")
            continue
        if lies_in(downloads, term, UNMATCHED):
            folder = _lies_at(downloads, found).parent
        else:
            folder = _apart_folder(term, found, data)
            folder.mkdir(parents=True, exist_ok=True)
            write_new(folder / f"{lesson}.ipynb", data)
            if time:
                write_new(folder / TIMESTAMP, f"{time:%Y-%m-%d %H:%M:%S.%f} UTC".encode())
        place = folder.relative_to(term.root)
        result.unplaced.append(
            f"{why}{near}; kept in {place}: autograde collect {place} --as ID, or say whose it is "
            "with --people FILE.csv"
        )


def clear_apart(term: Term, tries: Iterable[Try], downloads: Path, result: Collected) -> None:
    """Take out of unmatched/ what now has an owner."""
    placed = set(result.placed) if (term.root / UNMATCHED).is_dir() else set()
    for one in tries:
        if f"{one.student}/{one.lesson}" not in placed:
            continue
        if lies_in(downloads, term, UNMATCHED):
            shutil.rmtree(_lies_at(downloads, one.found).parent)
        else:
            shutil.rmtree(_apart_folder(term, one.found, one.found.read()), ignore_errors=True)


def _apart_folder(term: Term, found: Found, data: bytes) -> Path:
    """Where a notebook lies that is nobody's: told by its path and what is in it."""
    said = re.sub(r"[^\w.-]+", "_", "_".join(found.path.parts[-2:])).strip("._-")
    mark = hashlib.sha256(f"{found.batch}\0{found.path}\0{found.name}\0".encode("utf-8", "replace"))
    mark.update(data)
    return term.root / UNMATCHED / f"{said[:60]}-{mark.hexdigest()[:8]}"


def lies_in(downloads: Path, term: Term, name: str) -> bool:
    """Whether it is this folder of the term, or in it."""
    return downloads.resolve().is_relative_to(term.root / name)


def _lies_at(downloads: Path, found: Found) -> Path:
    """The file itself, of a folder or of one file."""
    return (downloads if downloads.is_file() else downloads / found.path).resolve()
