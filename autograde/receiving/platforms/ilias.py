"""ILIAS: LAST_FIRST_LOGIN_NUMBER, a folder for each, in `Team N` for a team.

Read in ILIAS, class.ilExSubmission.php, downloadAllAssignmentFiles: names in ASCII, and a late
file's name begins with `Late Submission - ` in the site's language. Times in the zip are when its
server copied a file, no hand-in.
Names and logins may hold _, so that a login is known only by the roster.
"""

import re

from . import Batch, Claim

MARK = re.compile(r"(?P<words>[^\W\d_][^_]*(?:_[^_]+){2,})_(?P<number>\d+)")


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost folder that is built so."""
    for at, part in enumerate(parts[:-1]):
        if found := MARK.fullmatch(part):
            words = found["words"].split("_")
            logins = tuple("_".join(words[i:]) for i in range(2, len(words)))
            name = " ".join(words[:-1])
            return [
                Claim("ILIAS", at, name, logins, number=found["number"], sure=False, loose=True)
            ]
    return []
