"""Root's leave to run student code, which is given by name."""

import os

from .errors import UsageError

AS_ROOT = "AUTOGRADE_AS_ROOT"  # the environment's variable


def require_no_root() -> None:
    """Raise UsageError when this is root, who was not asked for by name: `autograde --as-root`."""
    if os.geteuid() == 0 and os.environ.get(AS_ROOT) != "1":
        raise UsageError(
            "student code is not run for root, whose one mistake is the machine's: work as an "
            f"ordinary user, or say --as-root (with no command line: {AS_ROOT}=1)"
        )
