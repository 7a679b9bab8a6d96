"""Where what goes out may be written: over nothing that the term keeps, nor what is read for it."""

from pathlib import Path

from ..common.errors import UsageError
from ..common.files import require_target
from ..term.leaving import STAGES
from ..term.term import TRIES, UNMATCHED, Term

OWN = (
    "roster.csv", "gradebook.db", ".autograde", "source", "release", *STAGES, TRIES, UNMATCHED,
)  # fmt: skip


def require_output(term: Term, target: Path, suffix: str, read: Path | None = None) -> None:
    """Raise UsageError for a file that cannot be meant: see `require_target`, one of the term's
    own, or the one that is read for it."""
    require_target(target, suffix)
    place = target.resolve()
    own = [place, *place.parents]
    if any((term.root / name).resolve() in own for name in OWN):
        raise UsageError(f"{target}: is the term's own, and would be lost; name another with --to")
    if read is not None and read.resolve() == place:
        raise UsageError(
            f"{target}: is read for it, and would be lost; name another file with --to"
        )
