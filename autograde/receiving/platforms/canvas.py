"""Canvas: NAME_[LATE_]USER_ATTACHMENT_FILE, all files side by side.

Read in canvas-lms, lib/content_zipper.rb: NAME is the sortable name (of a group, the group's) in
lower case without what is no letter, digit or _; an anonymous one begins anon_ID; a text typed in
ends in _text.html, an address in _link.html. LATE says that, and not when; times in the zip are the
download's.
"""

import re

from ...course.exercises import LESSONS
from . import Batch, Claim

FILE = re.compile(
    r"(?P<name>\w+?)_(?P<late>LATE_)?(?P<number>[1-9]\d*)_(?P<attachment>[1-9]\d*)_(?P<rest>.+)",
    re.DOTALL,
)
ANONYMOUS = re.compile(
    r"(?P<late>LATE_)?anon_(?P<number>[A-Za-z0-9]{5})_(?P<attachment>[1-9]\d*)_.+", re.DOTALL
)
TEXT = re.compile(r"(?P<name>\w+?)_(?P<late>LATE_)?(?P<number>[1-9]\d*)_(text|link)\.html")
LETTER = re.compile(r"[^\W\d_]")
# Year, month and day, or the other way round, are no numbers of Canvas's.
DATE = re.compile(
    r"_((19|20)\d\d_(0?[1-9]|1[0-2])_(0?[1-9]|[12]\d|3[01])"
    r"|(0?[1-9]|[12]\d|3[01])_(0?[1-9]|[12]\d|3[01])_(19|20)\d\d|(19|20)\d{6}_\d{4,6})(?!\d)"
)


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the file's name, or in that of a folder that was its zip."""
    for at, part in enumerate(parts):
        if made := _claim(part, at):
            return [made]
    return []


def _claim(part: str, at: int) -> Claim | None:
    if found := TEXT.fullmatch(part):
        return Claim("Canvas", at, found["name"], number=found["number"], text=True)
    if found := ANONYMOUS.fullmatch(part):
        return Claim("Canvas", at, "anon", number=found["number"], attachment=found["attachment"],
                     lasting=False, late=bool(found["late"]), anonymous=True)  # fmt: skip
    found = FILE.fullmatch(part)
    if (
        not found
        or not LETTER.search(found["name"])
        or any(lesson in found["name"] for lesson in LESSONS)
    ):
        return None
    date = DATE.search(part)
    if date and date.start() <= found.start("attachment") and date.end() > found.start("number"):
        return None
    return Claim("Canvas", at, found["name"], number=found["number"],
                 attachment=found["attachment"], late=bool(found["late"]))  # fmt: skip
