"""Brightspace: USER-FOLDER - FIRST LAST - MON D, YYYY HHMM AM, a folder or before a file's name.

As its download of all submissions names them, beside an index.html; where files are not put into
folders, ` - FILE` follows. The time is the hand-in, by the course's clock, and names no zone.
"""

import re
from datetime import UTC, datetime

from . import Batch, Claim

MARK = re.compile(
    r"(?P<number>\d+)-\d+ ?- (?P<name>.+?) ?- ?(?P<month>[A-Za-z]{3})[a-z]*\.? (?P<day>\d{1,2}), "
    r"(?P<year>\d{4}) (?P<hour>\d{1,2}):?(?P<minute>\d\d) ?(?P<half>[AaPp])\.?[Mm]\.?( - .*|$)",
    re.DOTALL,
)
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost part that is built so."""
    for at, part in enumerate(parts):
        if found := MARK.match(part):
            time = _time(found)
            return [Claim("Brightspace", at, found["name"], number=found["number"], time=time)]
    return []


def _time(found: re.Match) -> datetime | None:
    try:
        month = 1 + MONTHS.index(found["month"].lower())
        hour = int(found["hour"]) % 12 + 12 * (found["half"] in "pP")
        day = datetime(int(found["year"]), month, int(found["day"]), hour, int(found["minute"]))
        return day.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
