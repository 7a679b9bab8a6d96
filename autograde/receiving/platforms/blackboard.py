"""Blackboard: ASSIGNMENT_USER_attempt_YYYY-MM-DD-HH-MM-SS_FILE, all files side by side.

As its Assignment File Download names them. Beside each attempt lies a .txt of the same beginning
with what was typed in. The time is the hand-in, by the server's clock, and names no zone. A user
name may hold _, as the assignment's title may.
"""

import re
from datetime import UTC, datetime

from . import Batch, Claim

MARK = re.compile(
    r"(?P<before>.+?)_attempt_(?P<time>\d{4}(?:-\d\d){5})(?P<rest>_.*|\.txt)", re.DOTALL
)


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost part that is built so."""
    for at, part in enumerate(parts):
        if found := MARK.fullmatch(part):
            words = found["before"].split("_")[1:] or [found["before"]]
            logins = ["_".join(words[i:]) for i in range(len(words))]
            return [
                Claim("Blackboard", at, logins=(words[-1], *logins[:-1]), time=_time(found["time"]),
                      text=found["rest"] == ".txt")
            ]  # fmt: skip
    return []


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%d-%H-%M-%S").astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None
