"""Sakai: ASSIGNMENT/LAST, FIRST(EID)/Submission attachment(s)/FILE, with a timestamp.txt.

Read in sakai, AssignmentServiceImpl.zipSubmissions: EID is the login, or an internal id where that
holds more than ASCII. Without folders, _ follows in place of /. What was typed in is
..._submissionText.html; grades.csv lies beside the people, feedbackText.html and comments.txt in
their folders. timestamp.txt is the hand-in: in UTC, or in older versions digits in GMT.
"""

import re
from pathlib import PurePosixPath

from ...common.times import read_time
from . import Batch, Claim

MARK = re.compile(r"(?P<name>[^()]*,[^()]*[^\s()])\((?P<login>[^()]+)\)(?P<rest>$|_.+)", re.DOTALL)
ATTACHMENTS = "Submission attachment"


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost part that is built so; in a file's name only without folders."""
    for at, part in enumerate(parts):
        found = MARK.fullmatch(part)
        if not found or (at == len(parts) - 1) != bool(found["rest"]):
            continue
        stamp = batch.notes.get(PurePosixPath(*parts[: at + 1], "timestamp.txt"), b"")
        return [
            Claim("Sakai", at, found["name"], logins=(found["login"],),
                  time=read_time(stamp.decode("ascii", "replace")),
                  text=parts[-1].endswith("_submissionText.html"))
        ]  # fmt: skip
    return []
