"""nbgrader: inbound/USER+LESSON+TIME+..., and submitted/USER/LESSON/, each with a timestamp.txt.

Read in nbgrader, exchange/default/submit.py and collect.py: a user name may hold +, and TIME, with
its zone, is the hand-in. timestamp.txt says the same, inside.
"""

from pathlib import PurePosixPath

from ...common.times import read_time
from . import Batch, Claim


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost folder of either kind."""
    for at, part in enumerate(parts[:-1]):
        words = part.rsplit("+", 3)
        for user, stated in ((words[:1], words[2:3]), (["+".join(words[:2])], words[3:4])):
            if stated and (time := read_time(stated[0])):
                return [Claim("nbgrader", at, logins=tuple(user), time=time)]
        if part == "submitted" and at + 3 < len(parts):
            stamp = batch.notes.get(PurePosixPath(*parts[: at + 3], "timestamp.txt"), b"")
            time = read_time(stamp.decode("ascii", "replace"))
            return [Claim("nbgrader", at + 1, logins=(parts[at + 1],), time=time)]
    return []
