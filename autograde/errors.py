"""What goes wrong in a way that a person can mend."""

import errno


class UsageError(Exception):
    """One line: the file or the argument, what is wrong with it, and what to do."""


def is_disk_full(error: BaseException) -> bool:
    """Whether this, or what it came from, is the operating system's or SQLite's word for it."""
    causes = (error, error.__cause__, error.__context__, getattr(error, "orig", None))
    return any(
        getattr(cause, "errno", None) == errno.ENOSPC or "disk is full" in str(cause)
        for cause in causes
        if cause is not None
    )
