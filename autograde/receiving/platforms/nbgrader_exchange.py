"""nbgrader: inbound/USER+LESSON+TIME+..., and submitted/USER/LESSON/, each with a timestamp.txt.

Read in nbgrader, exchange/default/submit.py and collect.py: a user name may hold +, and TIME, with
its zone, is the hand-in. timestamp.txt says the same, inside. A term's own tries/ are named so too,
see `kept_name`; a time that nobody stated is UNSTATED there.
"""

import re
from datetime import datetime
from pathlib import PurePosixPath

from ...common.times import read_time
from ...course.exercises import LESSONS
from . import Batch, Claim

UNSTATED = "unknown"
KEPT = re.compile(
    rf"(?P<user>.+)\+(?:{'|'.join(map(re.escape, LESSONS))})\+{UNSTATED}\+try[0-9a-f]{{8}}",
    re.DOTALL,
)


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost folder of either kind."""
    for at, part in enumerate(parts[:-1]):
        if kept := KEPT.fullmatch(part):
            return [Claim("nbgrader", at, logins=(kept["user"],))]
        words = part.rsplit("+", 3)
        for user, stated in ((words[:1], words[2:3]), (["+".join(words[:2])], words[3:4])):
            if stated and (time := read_time(stated[0])):
                return [Claim("nbgrader", at, logins=tuple(user), time=time)]
        if part == "submitted" and at + 3 < len(parts):
            stamp = batch.notes.get(PurePosixPath(*parts[: at + 3], "timestamp.txt"), b"")
            time = read_time(stamp.decode("ascii", "replace"))
            return [Claim("nbgrader", at + 1, logins=(parts[at + 1],), time=time)]
    return []


def kept_name(student: str, lesson: str, handed_in: datetime | None, mark: str) -> str:
    """What the folder of a try is called; mark: of its bytes."""
    time = f"{handed_in:%Y-%m-%d %H:%M:%S.%f} UTC" if handed_in else UNSTATED
    return "+".join((student, lesson, time, f"try{mark[:8]}"))
