"""Put what students handed in where nbgrader looks for it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import islice
from pathlib import Path

from ..common.errors import UsageError, shown
from ..common.saying import folded
from ..common.times import local_zone
from ..term.due import Dues
from ..term.rosters import is_student_id, read_mapping, who_is_meant
from ..term.term import BUNDLE, TRIES, UNMATCHED, Term
from .apart import clear_apart, keep_apart, lies_in
from .matching import Roster
from .placing import dated, keep_try, latest_of, place
from .sorting import Sorting
from .tries import MOST_ASKED, Collected, Try, person
from .unpacking import Found, Left, Search

WITHOUT_ZONE = ("Brightspace", "Blackboard")


def collect(
    downloads: Path,
    term: Term,
    student: str | None = None,
    people: Path | None = None,
    one_by_one: bool = False,
    progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
) -> Collected:
    """Place every notebook found in a zip, a folder or a single file. Of several tries the last
    before the lesson was due counts; the others are kept in tries/.

    Whose a file is, see `Roster.owners`; who cannot be told, or is two people, is kept apart in
    unmatched/. student: all of it is this one's. people: a CSV file, see `rosters.read_mapping`.
    one_by_one: what lies in the folder came each by itself, and is no class's. progress: shows how
    far it is with so many files.
    When it was handed in, a platform alone can say. Raises UsageError when `downloads` is nothing
    that can be opened, is empty, is one file that is no notebook and no zip, is a term or a
    bundle, or with `student` holds the work of several.
    """
    _require_no_term(downloads, term)
    rows, result = term.roster(), Collected()
    roster = Roster(rows, read_mapping(people, rows) if people else None)
    search, dues = Search(roster.owns), Dues(term)
    everything = list(search.files(downloads))
    if not (everything or search.left or one_by_one):
        raise UsageError(f"{downloads}: nothing in it; name the folder or zip that you downloaded")
    _require_fit(downloads, everything)
    if student is None and not one_by_one:
        _require_no_bundle(downloads, everything, search.left, roster)
    by_file = lies_in(downloads, term, TRIES)
    sorting = Sorting(roster, search, everything, result, term.lessons, by_file, progress)
    if student is not None:
        tries = sorting.all_of(_known(student, term, roster), lies_in(downloads, term, UNMATCHED))
    else:
        tries = sorting.tries()
        if roster.ids and not by_file and not lies_in(downloads, term, UNMATCHED):
            tries = _without_other_classes(tries, sorting, term, downloads, one_by_one)
    if by_file:  # what cannot be read was told of when it came
        tries = [replace(one, kept=True) for one in tries if not one.problem]
    with term.store() as store:
        persons = store.persons()
        tries = [dated(one, dues) for one in sorting.told_apart(tries, persons)]
        known = store.placed()
        counting = latest_of(tries, dues, result)
        for one in progress(counting, len(counting)):
            place(one, term, dues, known, result)
        count = set(map(id, counting))
        for one in tries:
            if id(one) not in count and not one.misnamed:
                keep_try(term, one)
        store.keep_placed(result.times)
        store.keep_origins(result.origins)
        store.keep_persons(
            {person(one): one.owner.who for one in tries if one.owner.who and one.owner.claim}
        )
        if roster.ids:
            _say_of_guests(counting, roster, result)
        _say_who_is_on_it_now(counting, term, roster, result)
    keep_apart(term, sorting.apart, roster, downloads, result)
    clear_apart(term, tries, downloads, result)
    sorting.account_for(search.left, tries)
    _say_of_times(tries, result)
    return result


def _require_no_term(downloads: Path, term: Term) -> None:
    """Raises UsageError for a term's folder, or one that holds it: what was released lies there,
    and what was collected before."""
    here = downloads.resolve()
    if (here / ".autograde" / "key").is_file() or term.root.resolve().is_relative_to(here):
        raise UsageError(
            f"{downloads}: is a term, or a term is in it; name the folder or zip that you "
            "downloaded"
        )


def _require_fit(downloads: Path, everything: list[Found]) -> None:
    """Raises UsageError for one file that is no notebook and no zip: a slip on the command line."""
    fit = downloads.suffix.lower() in (".ipynb", ".zip")
    if downloads.is_file() and not everything and not fit:
        raise UsageError(
            f"{downloads}: no notebook and no zip; name the folder, zip or .ipynb file that you "
            "downloaded"
        )


def _require_no_bundle(
    downloads: Path, everything: list[Found], left: list[Left], roster: Roster
) -> None:
    """Raises UsageError where all that is there is a bundle, and nothing says whose."""
    marks = [one for one in left if one.path.name == BUNDLE]
    for mark in marks:
        whole = all(
            one.batch == mark.batch and one.path.is_relative_to(mark.path.parent)
            for one in everything
        )
        if whole and not roster.names_somebody(mark.path):
            raise UsageError(
                f"{downloads}: is a bundle, as release makes it for students; name the folder or "
                "zip that you downloaded, or whose work it is with --as ID"
            )


def _known(student: str, term: Term, roster: Roster) -> str:
    """The id that --as means. Raises UsageError for one that is nobody's, where there is a roster:
    a slip would make a student of it."""
    if not is_student_id(student):
        near = who_is_meant(student, roster.rows.values())
        raise UsageError(
            f"--as {shown(student)}: no id, which has letters, digits and . _ - @{near}"
        )
    if not roster.ids or (term.root / "submitted" / student).is_dir():
        return student
    if len(found := roster.with_id(student)) == 1:
        return min(found)
    near = who_is_meant(student, roster.rows.values())
    raise UsageError(
        f"--as {shown(student)}: nobody on the roster has this id{near}; check it, or put them on "
        f"the roster: autograde init {term.root} --roster FILE.csv"
    )


def _without_other_classes(
    tries: list[Try], sorting: "Sorting", term: Term, downloads: Path, one_by_one: bool
) -> list[Try]:
    """Those of downloads in which somebody is known, and of whom it was said who they are; another
    download, of several people, is left, and told of in one line."""
    others = {
        batch: unknown for batch, unknown in sorting.of_nobody_known(tries, term).items()
        if unknown.count > 1 and (batch or not one_by_one)
    }  # fmt: skip
    sorting.leave(others, downloads, term)
    return [one for one in tries if one.found.batch not in others or one.owner.mapped]


def _say_who_is_on_it_now(
    tries: Iterable[Try], term: Term, roster: Roster, result: Collected
) -> None:
    """Of whom a platform names, and the roster did not know when their first work came."""
    before = {one.student: roster.as_stranger(one.owner.claim) for one in tries if one.owner.claim}
    for student, stranger in sorted(before.items()):
        if student in roster.ids and stranger and (term.root / "submitted" / stranger).is_dir():
            result.notes.append(
                f"{stranger}: is {student} on the roster now; once all of theirs is collected "
                f"again, take out what stands by the old name: autograde remove {stranger}"
            )


def _say_of_guests(tries: Iterable[Try], roster: Roster, result: Collected) -> None:
    """A line on each whom the roster does not know, whatever they handed in; on many, one."""
    told, placed = {}, {*result.placed}
    for one in tries:
        student = one.student
        if student in roster.ids or student in told or f"{student}/{one.lesson}" not in placed:
            continue
        told[student] = one
    near = {student: roster.near(one.found.path)
            for student, one in islice(told.items(), MOST_ASKED)}  # fmt: skip
    says = (
        "is graded, and exported to no platform: put them on it, by this id or another, and "
        "collect again, or take them out: autograde remove"
    )
    lines = {
        f"{student}{near.get(student, '')}": f"{one.found}: {student} is not on the roster"
        f"{near.get(student, '')}; what is theirs {says} {student}"
        for student, one in told.items()
    }
    result.notes += folded(lines, f"are not on the roster; what is theirs {says} ID")


def _say_of_times(tries: Iterable[Try], result: Collected) -> None:
    """Which clock was taken for a time without a zone."""
    platforms = {one.owner.claim.platform for one in tries if one.owner.claim and one.handed_in}
    for name in sorted(platforms & set(WITHOUT_ZONE)):
        result.notes.append(
            f"{name} writes hand-in times without a zone; they are read in this machine's, "
            f"{local_zone()}"
        )
