"""Feedback pages in a zip, as a platform takes them back: each by the numbers of its student.

Moodle (mod/assign/feedback/file/importziplib.php): the first part of a path that is NAME_NUMBER_
assignfeedback_file, NAME without _, says whose all below it is; NUMBER is a participant's of this
assignment. A file whose name begins with . or ~ is passed over.

Canvas (app/models/abstract_assignment.rb, infer_comment_context_from_filename): of what stands
between the _ of a file's name, LATE left out, the first two that are nothing but digits are the
user and an attachment of their latest submission; where the first is anon, the next two are the
anonymous id and the attachment. A file is passed over where the last begins with link. Folders do
not count, and two files of one name end the import (lib/zip_extractor.rb). The student sees the
page under the attachment's name.
"""

import unicodedata
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from helpers.clean import clean

from ..common.errors import UsageError
from ..common.files import partial_file
from ..common.saying import counted, folded, some_of
from ..course.lessons import lesson_path
from ..receiving.addresses import Address, Addresses, downloaded, kept
from ..term.store import Origin
from ..term.term import Term
from .feedback import feedback

MOST_NAME = 60  # characters of a person's name, and of an id, in a file's: it has 255 bytes at most
PLATFORMS = {"moodle": "Moodle", "canvas": "Canvas"}
HOW = {
    "moodle": "to hand them back: View all submissions, Grading action, Upload multiple feedback "
    "files in a zip (the assignment must have feedback files among its feedback types)",
    "canvas": "to hand them back: Grades, the assignment's menu, Re-Upload Submissions; students "
    "see each under the name of the .ipynb file that they handed in, and save it as .html",
}


@dataclass
class HandedBack:
    """path: the zip. lesson: whose pages are in it. count: of them. notes: lines to read.
    unplaced: students to whom nothing goes back."""

    path: Path
    lesson: str
    count: int
    notes: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)


def hand_back(
    term: Term,
    form: str,
    target: Path,
    download: Path | None = None,
    lesson: str = "",
    progress: Any = lambda items, total: items,
    workers: int = 1,
) -> HandedBack:
    """Make the pages of a lesson, and pack them for a platform, one of PLATFORMS; whole or not.

    download: what was downloaded from there, whose numbers are taken; else those that `collect`
    kept. lesson: "" for that of the download. workers: as of `feedback`. Raises UsageError where
    nothing of it fits.
    """
    if not term.roster():
        raise UsageError(
            f"{term.root / 'roster.csv'}: nobody is on the roster, and pages go back to nobody "
            f"else; put them on it: autograde init {term.root} --roster FILE.csv"
        )
    platform = PLATFORMS[form]
    if download is not None:
        there = downloaded(term, platform, download, lesson)
    else:
        there = kept(term, platform, lesson)
    due = _due(term, there.lesson)
    _require_same_class(term, platform, there, due, download)
    made = HandedBack(target, there.lesson, 0)
    _, failed = feedback(term, progress, workers, lesson=there.lesson)
    pages = _pages(term, there.lesson, due, failed, made)
    _tell(form, there, due, pages, download, made)
    files = {
        NAMES[form](there.of[student].origin, _named(student, there.lesson)): path
        for student, path in pages.items()
        if student in there.of and _is_taken(form, student, there.of[student], made)
    }
    made.count = len(files)
    _write(target, files)
    return made


def _due(term: Term, lesson: str) -> set[str]:
    """Whose pages there should be: of what was graded, and of what could not be."""
    with term.store() as store:
        names = {*store.recorded(), *store.failed()}
    pairs = (name.partition("/") for name in names)
    return {student for student, _, of in pairs if of == lesson}


def _require_same_class(
    term: Term, platform: str, there: Addresses, due: set[str], download: Path | None
) -> None:
    """Raise UsageError where hardly anybody is in both."""
    if not due:
        raise UsageError(
            f"{term.root}: nothing of {there.lesson} is graded yet; run: autograde grade"
        )
    both = there.of.keys() & due
    if download is None:
        if not both:
            raise UsageError(
                f"{term.root}: of nobody who has a page of {there.lesson} a number of {platform}'s "
                "was collected; name the zip that you downloaded from there with --like"
            )
        return
    if not both or (2 * len(there.of) < there.count and 2 * len(both) < len(due)):
        raise UsageError(
            f"{download}: of another class: {len(there.of)} of the {there.count} "
            f"people in it are on the roster, and {len(both)} of the {len(due)} who have pages of "
            f"{there.lesson} are in it; name the zip of this class"
        )


def _pages(
    term: Term, lesson: str, due: set[str], failed: list[str], made: HandedBack
) -> dict[str, Path]:
    """The page of each student on the roster; the others are told."""
    made.unplaced += failed
    lost = {line.partition("/")[0] for line in failed}
    listed = {row["id"] for row in term.roster()}
    found = {}
    for student in sorted(due - lost):
        path = lesson_path(term.root / "feedback" / student, lesson).with_suffix(".html")
        if student not in listed:
            made.notes.append(f"{student}: not on the roster; their page stays in {path.parent}")
        elif path.is_file():
            found[student] = path
    return found


def _tell(
    form: str, there: Addresses, due: set[str], pages: dict[str, Path], download: Path | None,
    made: HandedBack,
) -> None:  # fmt: skip
    """Of pages with no address, and of people without a page."""
    source = download or "what was collected from there"
    lost = sorted(pages.keys() - there.of.keys())
    made.unplaced += folded(
        {one: f"{one}: not in {source}; their page is {pages[one]}" for one in lost},
        f"not in {source}; their pages stay in feedback/ID/{there.lesson}",
    )
    says = (
        f"no page, as nothing of theirs in {there.lesson} is graded; run: autograde collect, "
        "autograde grade"
    )
    made.unplaced += folded(
        {one: f"{one} ({there.of[one].where}): {says}" for one in sorted(there.of.keys() - due)},
        says,
    )
    says = (
        "who of the roster that is cannot be told for certain by this name; nothing goes back to it"
    )
    made.unplaced += folded({one.where: f"{one.where}: {says}" for one in there.unsure}, says)
    for lesson, count in there.beside.items():
        some = counted(count, "notebook in it is", "notebooks in it are")
        made.notes.append(
            f"{source}: {some} of {lesson}, whose pages are not in {made.path}; for "
            f"them: autograde feedback {lesson} --for {form} --to OTHER.zip"
        )
    if there.strangers:
        several = some_of(one.where for one in there.strangers)
        made.notes.append(f"{several}: not on the roster; nothing goes back to them")


def _is_taken(form: str, student: str, address: Address, made: HandedBack) -> bool:
    """Whether the platform can take a page back to this address."""
    if form == "canvas" and not address.origin.attachment:
        made.unplaced.append(
            f"{student} ({address.where}): no file was handed in, and Canvas takes pages back only "
            "for one"
        )
        return False
    return True


def _named(student: str, lesson: str) -> str:
    """A page's own name. The lesson ends it, as Canvas reads what a name ends in."""
    return f"{student[:MOST_NAME]}_{lesson}.html"


def _for_moodle(origin: Origin, page: str) -> str:
    return f"{clean(origin.person)[:MOST_NAME]}_{origin.number}_assignfeedback_file/{page}"


def _for_canvas(origin: Origin, page: str) -> str:
    spread = unicodedata.normalize("NFKD", origin.person)
    name = "".join(c for c in spread if c.isascii() and c.isalpha())[:MOST_NAME]
    if name in ("", "anon"):
        name = "student" if origin.person else "anon"
    return f"{name}_{origin.number}_{origin.attachment}_{page}"


NAMES: dict[str, Callable[[Origin, str], str]] = {"moodle": _for_moodle, "canvas": _for_canvas}


def _write(target: Path, files: dict[str, Path]) -> None:
    """The zip of these files, by the names in it; the same bytes for the same pages."""
    with partial_file(target) as partial, zipfile.ZipFile(partial, "w") as archive:
        for name, path in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
