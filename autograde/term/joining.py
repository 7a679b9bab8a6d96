"""Who came onto a term's roster, and who left it, when it is replaced by another."""

from pathlib import Path

from ..common.errors import UsageError
from ..common.saying import some_of
from .rosters import who
from .term import Term

Rows = list[dict[str, str]]


def listed_in(folder: Path) -> Rows:
    """Who is on the roster of a term, if there is one that can be read."""
    try:
        return Term(folder).roster()
    except UsageError:
        return []


def require_same_class(term: Term, after: Rows, roster: str | Path) -> None:
    """Raise UsageError for a roster that leaves out everybody who has work here: that is another
    class's, where they are several, or nobody else stays either."""
    before, ids = listed_in(term.root), {row["id"] for row in after}
    worked = _worked(term)
    working = [row for row in before if row["id"] in worked]
    stay = [row for row in before if row["id"] in ids]
    if not working or ids & {row["id"] for row in working} or (len(working) == 1 and stay):
        return
    several = some_of(map(who, working), "; ")
    raise UsageError(
        f"{roster}: another class's: lacks everybody on the roster who has work in {term.root} "
        f"({several}); name this class's, make another class a term of its own, or "
        "add --yes if they all left"
    )


def _worked(term: Term) -> set[str]:
    """Who has handed in, or has points."""
    handed_in = {path.parent.name for path in (term.root / "submitted").glob("*/*")}
    return handed_in | {name.partition("/")[0] for name in term.in_gradebook()}


def moves(term: Term, before: Rows) -> tuple[list[str], list[str]]:
    """Lines to say, and lines to warn of, on a roster that has just been replaced.

    Who leaves takes nothing along: work stays where it is, and points go to nobody.
    """
    after = term.roster()
    stay = {row["id"] for row in before} & {row["id"] for row in after}
    joined, left = ([row for row in rows if row["id"] not in stay] for rows in (after, before))
    worked = _worked(term)
    lost = [row for row in left if row["id"] in worked]
    says = [
        f"{len(rows)} {verb}: {some_of(map(who, rows), '; ')}"
        for rows, verb in ((joined, "joined"), (left, "left")) if rows
    ]  # fmt: skip
    warns = []
    if lost:
        several = some_of(map(who, lost), "; ")
        warns.append(
            f"the work of {len(lost)} of the {len(left)} who left is here ({several}): "
            "it stays, and their points go to nobody; where they did not leave, name a roster that "
            f"has them: autograde init {term.root} --roster FILE.csv"
        )
    if anew := _renamed(lost, joined):
        several = some_of(anew, "; ")
        warns.append(
            f"{len(anew)} of them, it seems, joined under another id ({several}): name a "
            "roster in which they keep the old"
        )
    return says, warns


def _renamed(left: Rows, joined: Rows) -> list[str]:
    """Each who left and joined, by name or address, with both ids."""
    found = {}
    for row in joined:
        for key in _keys(row):
            found.setdefault(key, row["id"])
    both = ((row["id"], next((found[k] for k in _keys(row) if k in found), "")) for row in left)
    return [f"{old} as {new}" for old, new in both if new]


def _keys(row: dict[str, str]) -> list[str]:
    name = f"{row['first_name']} {row['last_name']}".strip()
    return [one.casefold() for one in (row["email"], name) if one]
