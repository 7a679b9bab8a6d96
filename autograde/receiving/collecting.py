"""Put what students handed in where nbgrader looks for it."""

import hashlib
import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from ..common.errors import LimitError, UsageError, shown
from ..common.guard import guarded
from ..common.saying import MOST_NAMED, folded, some_of
from ..common.times import local_zone, read_time
from ..course.exercises import LESSONS
from ..course.recognise import lesson_of, named_lesson, other_lesson
from ..term.due import Dues
from ..term.reading import ASK_ANEW, notebook_text, quick_cells, what_it_is
from ..term.rosters import is_student_id, read_mapping, who_is_meant
from ..term.store import Origin
from ..term.term import BUNDLE, SETTINGS, TRIES, UNMATCHED, Term
from .matching import Owner, Roster, attempt_of
from .platforms import Batch, claim_of
from .platforms.nbgrader_exchange import kept_name
from .unpacking import BAD_ZIP, HOLD_NOTEBOOKS, JUNK, LOST, TIMESTAMP, Found, Left, Search

CLOCKS = timedelta(hours=1)  # by how much clocks may differ
UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)
MOST_ASKED = 100  # lines that ask whom somebody may be
Apart = tuple[Found, str, datetime | None, str]
WITHOUT_ZONE = ("Brightspace", "Blackboard")


@dataclass
class Collected:
    """placed: student/lesson of what was found for submitted/. notes, unplaced: lines to read.

    same: how many of those placed were there before. left: how many files of other systems, or
    beside a notebook, were left out. timed: how many of
    those placed have a hand-in time. times: of each file placed, its hash and the time that it is
    of, the download's where no better is known. origins: by what a platform knows each.
    """

    placed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    same: int = 0
    left: int = 0
    timed: int = 0
    times: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    origins: dict[str, Origin] = field(default_factory=dict)


class Told(NamedTuple):
    """The lesson that a notebook is of, the one that its name says, and why it cannot be read."""

    lesson: str
    named: str
    problem: str = ""


@dataclass(frozen=True)
class Try:
    """A notebook whose student and lesson are known.

    named: the lesson that its name says. handed_in: the platform's time, which alone counts for
    lateness. batch: when the last of what it came with was packed or saved. packed: the student's
    own word of when it was packed, which can order a student's tries and no more. late: handed in
    when the lesson was due, see `Dues`. problem: why it cannot be read. kept: it comes from tries/,
    where it was put because another counted.
    """

    owner: Owner
    lesson: str
    named: str
    found: Found
    handed_in: datetime | None
    batch: datetime | None
    packed: datetime | None = None
    late: bool = False
    problem: str = ""
    kept: bool = False

    @property
    def student(self) -> str:
        return self.owner.student

    @property
    def misnamed(self) -> bool:
        """Whether it came under another lesson's name."""
        return self.named not in ("", self.lesson)

    @property
    def when(self) -> datetime:
        """The time that it is of: by then, it was the student's latest."""
        return self.handed_in or self.batch or UNKNOWN

    @property
    def order(self) -> tuple:
        """The greatest of a student's tries is the one that counts: none that cannot be read,
        where another can."""
        return not self.problem, *self.order_in_time

    @property
    def order_in_time(self) -> tuple:
        """The same, whatever can be read."""
        attempt = attempt_of(self.found.name) or attempt_of(self.found.path)
        time = self.found.time or UNKNOWN
        packed = self.packed or UNKNOWN
        in_time = not self.late
        return not self.misnamed, in_time, self.when, packed, attempt, time, str(self.found)


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
    that can be opened, is empty, is a term or a bundle, or with `student` holds the work of
    several.
    """
    _require_no_term(downloads, term)
    rows, result = term.roster(), Collected()
    roster = Roster(rows, read_mapping(people, rows) if people else None)
    search, dues = Search(roster.owns), Dues(term)
    everything = list(search.files(downloads))
    if not (everything or search.left or one_by_one):
        raise UsageError(f"{downloads}: nothing in it; name the folder or zip that you downloaded")
    if student is None and not one_by_one:
        _require_no_bundle(downloads, everything, search.left, roster)
    by_file = _lies_in(downloads, term, TRIES)
    sorting = Sorting(roster, search, everything, result, term.lessons, by_file, progress)
    if student is not None:
        tries = sorting.all_of(_known(student, term, roster), _lies_in(downloads, term, UNMATCHED))
    else:
        tries = sorting.tries()
        if roster.ids and not by_file and not _lies_in(downloads, term, UNMATCHED):
            tries = _without_other_classes(tries, sorting, term, downloads, one_by_one)
    if by_file:  # what cannot be read was told of when it came
        tries = [replace(one, kept=True) for one in tries if not one.problem]
    with term.store() as store:
        persons = store.persons()
        tries = [_dated(one, dues) for one in sorting.told_apart(tries, persons)]
        known = store.placed()
        counting = _latest(tries, dues, result)
        for one in progress(counting, len(counting)):
            _place(one, term, dues, known, result)
        count = set(map(id, counting))
        for one in tries:
            if id(one) not in count and not one.misnamed:
                _keep_try(term, one)
        store.keep_placed(result.times)
        store.keep_origins(result.origins)
        store.keep_persons(
            {_person(one): one.owner.who for one in tries if one.owner.who and one.owner.claim}
        )
        if roster.ids:
            _say_of_guests(counting, roster, result)
        _say_who_is_on_it_now(counting, term, roster, result)
    _keep_apart(term, sorting.apart, roster, downloads, result)
    _clear(term, tries, downloads, result)
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


def _person(one: Try) -> str:
    return f"{one.student} {one.owner.scope}"


def _persons(one: Try) -> list[str]:
    """What one person alone goes by: in their platform's numbers, and in one download of it, in
    which a number is one person's whatever lesson they hand in."""
    if not one.owner.claim or not one.found.batch:
        return [_person(one)]
    return [_person(one), f"{one.student} {one.owner.claim.platform} in {one.found.batch}"]


@dataclass
class Unknown:
    """Who is in a download in which nobody is known. names: by what tells them apart, what they are
    called, and the path of a file of theirs. mapped: the same of those of whom --people says it."""

    names: dict[str, tuple[str, PurePosixPath]] = field(default_factory=dict)
    mapped: dict[str, tuple[str, PurePosixPath]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.names) + len(self.mapped)


class Sorting:
    """Finds for each notebook its lesson and its owner. apart: (notebook, lesson, time, why) of
    those that are nobody's."""

    def __init__(
        self, roster: Roster, search: Search, everything: list[Found], result: Collected,
        given: Collection[str] = LESSONS, by_file: bool = False,
        progress: Callable[[Iterable, int], Iterable] = lambda items, total: items,
    ) -> None:  # fmt: skip
        """given: the lessons that the term gives. by_file: each file has the time that it is of,
        and not that of what it came with."""
        self.apart: list[Apart] = []
        self._others: set[str] = set()
        self._by_file = by_file
        self._roster, self._everything, self._result = roster, everything, result
        paths: dict[str, list[PurePosixPath]] = {}
        for one in (*everything, *search.left):
            paths.setdefault(one.batch, []).append(one.path)
        self._batches = {
            name: Batch(some, search.notes.get(name, {})) for name, some in paths.items()
        }
        self._newest, self._left = _newest(everything), search.left
        folders: dict[str, list[tuple[str, ...]]] = {}
        for one in everything:
            folders.setdefault(one.batch, []).append(one.path.parts[:-1])
        # How many folders all lie in, of each download.
        self._shared = {name: len(os.path.commonprefix(some)) for name, some in folders.items()}
        self._lessons: dict[int, Told] = {}
        for i, found in enumerate(progress(everything, len(everything))):
            try:
                self._lessons[i] = _given(found, lesson_in(found), given)
            except UsageError as error:
                result.unplaced.append(str(error))

    def tries(self) -> list[Try]:
        """Every notebook with each of its owners."""
        crowd = Counter(
            (found.batch, found.path.parent, named or lesson)
            for i, found in enumerate(self._everything)
            for lesson, named, _ in (self._lessons.get(i, Told("", "")),)
        )
        made: list[Try] = []
        for i, found in enumerate(self._everything):
            if i in self._lessons:
                told = self._lessons[i]
                crowded = crowd[found.batch, found.path.parent, told.named or told.lesson] > 1
                made += self._try(found, told, crowded)
        return made

    def _try(self, found: Found, told: Told, crowded: bool) -> list[Try]:
        path, batch = found.path, self._batches[found.batch]
        lesson, named, _ = told
        try:
            owners = self._roster.owners(path, named or lesson, batch)
        except UsageError as error:
            if self._roster.ids:
                self.apart.append((found, lesson, None, str(error)))
                return []
            try:
                owners = [self._roster.unlisted(path, named or lesson, crowded)]
            except UsageError as error:
                self.apart.append((found, lesson, None, str(error)))
                return []
        return [self._made(one, found, told) for one in owners]

    def _made(self, owner: Owner, found: Found, told: Told) -> Try:
        time = owner.claim.time if owner.claim else None
        if time and time > datetime.now(UTC) + CLOCKS:
            self._result.notes.append(f"{found}: its hand-in time is to come, and is not used")
            time = None
        packed = _packed(found, self._result) if found.manifest else None
        batch = found.time if self._by_file else self._newest.get(found.batch)
        lesson, named, problem = told
        return Try(owner, lesson, named, found, time, batch, packed, problem=problem)

    def all_of(self, student: str, stamped: bool) -> list[Try]:
        """Every notebook as this student's. stamped: a time lies beside each.

        Raises UsageError when two of them are evidently different people's.
        """
        others: dict[str, str] = {}
        made = []
        for i, found in enumerate(self._everything):
            if i not in self._lessons:
                continue
            told = self._lessons[i]
            for one in self._told(found, told.named or told.lesson):
                others[one.who or one.student] = str(one.claim or one.student)
            notes = self._batches[found.batch].notes
            stamp = notes.get(found.path.with_name(TIMESTAMP), b"") if stamped else b""
            owner = Owner(student, claim=claim_of(found.path, self._batches[found.batch]))
            one = self._made(owner, found, told)
            made.append(replace(one, handed_in=read_time(stamp.decode("ascii", "replace"))))
        if len(others) > 1:
            several = some_of(sorted(others.values()))
            raise UsageError(
                f"--as {student}: there is work of several people in it ({several}); name what is "
                f"{student}'s alone"
            )
        return made

    def _told(self, found: Found, lesson: str) -> list[Owner]:
        try:
            return self._roster.owners(found.path, lesson, self._batches[found.batch])
        except UsageError:
            return []

    def told_apart(self, tries: list[Try], before: Mapping[str, str]) -> list[Try]:
        """Those that are surely one person's; where two go by one name, or their files lie in one
        folder that is said to be a third's, all of them are kept apart.

        before: as `Store.persons`, of earlier runs.
        """
        who: dict[str, set[str]] = {}
        surely: dict[str, set[str]] = {}
        says: dict[tuple, set[str]] = {}
        places: dict[tuple[str, str], set[PurePosixPath]] = {}
        for one in tries:
            if one.owner.who:
                kind = surely if one.owner.by_id else who
                for key in _persons(one):
                    kind.setdefault(key, set()).add(one.owner.who)
            if one.owner.file_says:
                says.setdefault((one.student, one.lesson), set()).add(one.owner.file_says)
            if self._roster.ids and one.student not in self._roster.ids and one.owner.claim:
                folder = PurePosixPath(*one.found.path.parts[: one.owner.claim.at])
                places.setdefault((one.student, one.lesson), set()).add(folder)
        before = _of_one_download(tries, before)
        kept = []
        for one in tries:
            pair = one.student, one.lesson
            told = {w for key in _persons(one) for w in (*who.get(key, ()), *surely.get(key, ()))}
            told |= {before[_person(one)]} if _person(one) in before else set()
            if one.owner.who and not one.owner.by_id and len(told) > 1:
                several = some_of(sorted(told), " and ")
                why = f"{several} both go by the name of {one.student}"
            elif len(says.get(pair, ())) > 1 and not one.owner.claim:
                why = f"in {one.student}'s folder, with files named for {len(says[pair])} others"
            elif len(places.get(pair, ())) > 1:
                why = f"{one.student} is not on the roster, and may be several people"
            else:
                kept.append(one)
                continue
            self.apart.append((one.found, one.lesson, one.handed_in, f"{one.found}: {why}"))
        return kept

    def of_nobody_known(self, tries: Iterable[Try], term: Term) -> dict[str, Unknown]:
        """Who is in each download in which nobody is on the roster, or has handed in before.

        Whom --people alone knows is no sign that the others are of this class.
        """
        found: dict[str, Unknown] = {}
        for one in tries:
            there = found.setdefault(one.found.batch, Unknown())
            name = str(one.owner.claim or one.student)
            (there.mapped if one.owner.mapped else there.names)[one.student] = name, one.found.path
        for one, lesson, *_ in self.apart:
            there = found.setdefault(one.batch, Unknown())
            if name := self._roster.called(one.path, lesson, self._shared[one.batch]):
                there.names[name.casefold()] = name, one.path
        known = self._of_somebody_known(tries, term)
        return {batch: who for batch, who in found.items() if who.names and batch not in known}

    def _of_somebody_known(self, tries: Iterable[Try], term: Term) -> set[str]:
        known = {one.found.batch for one in tries if self._knows(one, term)}
        rest = [(one, lesson) for one, lesson, *_ in self.apart]
        rest += [(left, "") for left in self._left if left.kind != JUNK]
        for one, lesson in rest:
            batch = self._batches[one.batch]
            if one.batch not in known and self._roster.knows(one.path, lesson, batch):
                known.add(one.batch)
        return known

    def _knows(self, one: Try, term: Term) -> bool:
        """Whether somebody is on the roster, or has handed in before."""
        if one.owner.mapped:
            lesson, batch = one.named or one.lesson, self._batches[one.found.batch]
            return self._roster.knows(one.found.path, lesson, batch)
        return one.student in self._roster.ids or (term.root / "submitted" / one.student).is_dir()

    def leave(self, others: Mapping[str, Unknown], downloads: Path, term: Term) -> None:
        """Leave downloads, by batch and with who is in each, where they are."""
        self._others = set(others)
        for batch, there in others.items():
            who = f"{len(there.names)} {'others' if there.mapped else 'people'} in it"
            self._result.unplaced.append(
                f"{shown(batch or downloads)}: of another class: none of the {who} is on the "
                f"roster ({self._few(there)}); name the download of this class, or put them on the "
                f"roster: autograde init {term.root} --roster FILE.csv, or say who they are with "
                "--people FILE.csv, or --as ID of one"
            )
        self.apart = [one for one in self.apart if one[0].batch not in others]

    def _few(self, there: Unknown) -> str:
        """Some of those whom nobody knows, each with whom they may be."""
        names = sorted(there.names.values())
        asked = [f"{name}{self._roster.near(path)}" for name, path in names[:MOST_NAMED]]
        return some_of([*asked, *(name for name, _ in names[MOST_NAMED:])])

    def account_for(self, left: Iterable[Left], tries: list[Try]) -> None:
        """Count what was left out, and tell of what somebody has lost: a notebook, or all that they
        handed in."""
        have = {(one.found.batch, _key(one.owner)) for one in tries}
        apart = {(found.batch, found.path.parent) for found, *_ in self.apart}
        texts: set[tuple[str, str]] = set()
        strays: dict[str, dict[str, str]] = {}
        for one in left:
            try:
                owners = self._roster.owners(one.path, "", self._batches[one.batch])
            except UsageError:
                owners = []
            if one.batch in self._others and not any(owner.mapped for owner in owners):
                continue
            has = bool(owners) and all((one.batch, _key(owner)) in have for owner in owners)
            has = has or (one.batch, one.path.parent) in apart
            text = next((owner for owner in owners if owner.claim and owner.claim.text), None)
            if one.kind != LOST and text and not has and not one.empty:
                if (one.batch, _key(text)) not in texts:
                    texts.add((one.batch, _key(text)))
                    self._result.unplaced.append(
                        f"{shown(one.path)}: {text.student} handed in a text and no notebook; ask "
                        "for the .ipynb file"
                    )
            elif one.kind == JUNK or (one.kind != LOST and has):
                self._result.left += 1
            else:
                lost = one.kind == LOST or one.path.suffix.lower() in HOLD_NOTEBOOKS
                if lost or owners:
                    self._result.unplaced.append(one.line)
                else:
                    strays.setdefault(one.why, {})[one.subject] = one.line
        # With no roster, whatever it is may be somebody's.
        told = self._result.notes if self._roster.ids else self._result.unplaced
        for why, lines in strays.items():
            told += folded(lines, why, MOST_NAMED)


def _of_one_download(tries: Iterable[Try], before: Mapping[str, str]) -> dict[str, str]:
    """Whom earlier runs took for whom, as far as numbers can be the same again: where they are of
    one assignment alone, and all of several are others, this is another assignment."""
    same: dict[str, list[bool]] = {}
    for one in tries:
        if one.owner.who and _person(one) in before:
            same.setdefault(one.owner.scope, []).append(before[_person(one)] == one.owner.who)
    anew = {scope for scope, equal in same.items() if len(equal) > 1 and not any(equal)}
    fleeting = {
        _person(one)
        for one in tries
        if one.owner.scope in anew and one.owner.claim and not one.owner.claim.lasting
    }
    return {name: who for name, who in before.items() if name not in fleeting}


def _key(owner: Owner) -> str:
    """One person in one download."""
    return f"{owner.student} {owner.who}"


def _newest(everything: Iterable[Found]) -> dict[str, datetime]:
    """The latest time in each batch."""
    times: dict[str, datetime] = {}
    for found in everything:
        if found.time and found.time <= datetime.now(UTC) + CLOCKS:
            times[found.batch] = max(found.time, times.get(found.batch, UNKNOWN))
    return times


def _packed(found: Found, result: Collected) -> datetime | None:
    """The time in a manifest that belongs to the notebook beside it, if it can be true."""
    try:
        told = json.loads(found.manifest or b"")
        if told["sha256"] != _mark(found.read()):
            result.notes.append(f"{found}: changed after it was packed; its manifest is not used")
            return None
        time = datetime.fromisoformat(told["time"])
        time = time.astimezone(UTC)
    except (*BAD_ZIP, TypeError, KeyError, RecursionError):
        result.notes.append(f"{found}: its manifest cannot be read, and is not used")
        return None
    if time > datetime.now(UTC) + CLOCKS:
        result.notes.append(f"{found}: its manifest is of a time to come, and is not used")
        return None
    return time


def lesson_in(found: Found) -> Told:
    """The lesson by what is in it, and by its name, or its zip's. Raises UsageError if by none."""
    named = named_lesson(found.name) or named_lesson(found.path)
    try:
        lesson, problem = guarded(_lesson_told, found.read(), str(found), named)
    except LimitError as met:
        lesson, problem = named, f"{found}: {met}; {ASK_ANEW}"
    except BAD_ZIP as error:
        lesson, problem = named, f"{found}: cannot be unpacked ({shown(error)}); ask for it again"
    if lesson:
        return Told(lesson, named, problem)
    # A broken file is still somebody's submission: grading will say what is wrong with it.
    for lesson in LESSONS if problem else ():
        if lesson in found.path.parts:
            return Told(lesson, "", problem)
    known = f"of no lesson that is known; name it like one of {', '.join(LESSONS)}"
    raise UsageError(problem or f"{found}: {known}")


def _given(found: Found, told: Told, given: Collection[str]) -> Told:
    """The same, of a lesson that the term gives. Raises UsageError for another."""
    if told.lesson not in given:
        raise UsageError(
            f"{found}: is {told.lesson}, which is not among the term's lessons; name it in "
            f"{SETTINGS}, and run autograde init, or leave it"
        )
    return told


def _can_be_read(data: bytes) -> bool:
    """Whether grading can do anything with it."""
    try:
        return not guarded(_lesson_told, data, "", "")[1]
    except LimitError:
        return False


def _lesson_told(data: bytes, name: str, named: str) -> tuple[str, str]:
    """The lesson that a notebook's cells are of, and what is wrong with it if it is none."""
    try:
        text = notebook_text(data, name)
    except UsageError as error:
        return lesson_of(named, ()), str(error)
    cells = quick_cells(text)
    return lesson_of(named, cells or ()), f"{name}: {what_it_is(text)}" if cells is None else ""


def _dated(one: Try, dues: Dues) -> Try:
    late = one.handed_in is not None and dues.is_late(one.student, one.lesson, one.handed_in)
    return replace(one, late=late)


def _latest(tries: Iterable[Try], dues: Dues, result: Collected) -> list[Try]:
    """Of each student and lesson the try that counts."""
    latest: dict[tuple[str, str], Try] = {}
    for one in sorted(tries, key=lambda one: one.order):
        before = latest.get((one.student, one.lesson))
        if before and before.found is not one.found:
            note = _why_it_gives_way(before, one, dues)
            lost = before.problem and not one.problem and before.order_in_time > one.order_in_time
            (result.unplaced if lost else result.notes).append(note)
        latest[one.student, one.lesson] = one
    return [one for _, one in sorted(latest.items())]


def _why_it_gives_way(before: Try, one: Try, dues: Dues) -> str:
    """Why another counts than the one before."""
    if before.problem and not one.problem:
        return f"{before.problem}; {one.found} counts"
    if before.misnamed and not one.misnamed:
        return f"{before.found}: {other_lesson(before.named, one.lesson)}; {one.found} stays"
    if before.late and not one.late:
        return f"{before.found}: {_too_late(one, dues)}; {one.found} counts"
    return f"{one.found}: a later try of {one.student}; it replaces the earlier"


def _too_late(one: Try, dues: Dues) -> str:
    due = dues.of(one.student, one.lesson)
    return f"handed in after {due:%Y-%m-%d %H:%M} UTC, when {one.lesson} was due for {one.student}"


def _place(
    one: Try, term: Term, dues: Dues, known: Mapping[str, tuple[str, datetime]], result: Collected
) -> None:  # fmt: skip
    """Write a submission and its time, unless the same or a later one is there.

    known: as `Collected.times`, of earlier runs.
    """
    name, target = f"{one.student}/{one.lesson}", term.submission(one.student, one.lesson)
    stamp = target.with_name(TIMESTAMP)
    try:
        data = one.found.read()
    except BAD_ZIP as error:
        result.unplaced.append(
            f"{one.found}: cannot be unpacked ({shown(error)}); ask for it again"
        )
        return
    there = target.read_bytes() if target.is_file() else None
    mark, before = known.get(name, ("", UNKNOWN))
    of = before if there is not None and mark == _mark(there) else UNKNOWN
    if there not in (None, data):
        before = _stamped(stamp)
        stays = _why_it_stays(one, dues, before, of, target)
        if (stays or one.problem) and ((stays and one.problem) or _can_be_read(there)):
            _say_why_it_stays(one, stays, result)
            if not one.misnamed:
                _keep_try(term, one)
            return
        result.notes.append(f"{one.found}: replaces what {one.student} had in submitted/")
        handed_in = None if before is UNKNOWN else before
        _keep(term, (one.student, one.lesson), there, handed_in, max(before, of))
        of = UNKNOWN
    if there != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        _write(target, data, before=lambda: stamp.unlink(missing_ok=True))
    if one.handed_in and not stamp.is_file():
        _write(stamp, f"{one.handed_in:%Y-%m-%d %H:%M:%S.%f} UTC".encode())
    result.placed.append(name)
    result.same += there == data
    result.times[name] = (_mark(data), max(one.when, of))
    if one.owner.claim and one.owner.claim.number:
        result.origins[name] = one.owner.claim.origin
    result.timed += _states_time(stamp, result)
    _say_what_was_placed(one, stamp, result)


def _why_it_stays(one: Try, dues: Dues, before: datetime, of: datetime, target: Path) -> str:
    """Why a try does not replace what lies in submitted/; nothing where it does.

    before: when that was handed in. of: the time that it is of.
    """
    was_late = before is not UNKNOWN and dues.is_late(one.student, one.lesson, before)
    if one.late and not was_late and not one.misnamed:
        return f"{_too_late(one, dues)}; the try before it stays, and this one is kept in {TRIES}/"
    in_time = was_late and one.handed_in is not None and not one.late
    there = max(before, of)
    # What was kept gave way once: of one time, or of no known one, it does again.
    later = one.when <= there if one.kept else one.when is not UNKNOWN and one.when < there
    later = later and not in_time
    if not later and not one.misnamed:
        return ""
    what = "a later one" if later else "one of this lesson's own name"
    return (
        f"{one.student} has {what} in submitted/, which stays; to take this one, delete {target} "
        "first"
    )


def _say_why_it_stays(one: Try, stays: str, result: Collected) -> None:
    """Of one that cannot be read, and is later than what stays, that it is to come again."""
    if one.problem and not stays:
        result.unplaced.append(
            f"{one.problem}; until then what {one.student} had in submitted/ stays, and this one "
            f"is kept in {TRIES}/"
        )
    else:
        result.notes.append(f"{one.found}: {stays}")


def _keep_try(term: Term, one: Try) -> None:
    with suppress(*BAD_ZIP):  # what cannot be unpacked is no try
        data, when = one.found.read(), min(one.when, one.found.time or one.when)
        _keep(term, (one.student, one.lesson), data, one.handed_in, when)


def _keep(
    term: Term, whose: tuple[str, str], data: bytes, handed_in: datetime | None, when: datetime
) -> None:
    """Keep a try that does not count, named as nbgrader names what is handed in, so that it can be
    collected again when a date has moved. when: the time that it is of."""
    folder = term.root / TRIES / kept_name(*whose, handed_in, _mark(data))
    target = folder / f"{whose[1]}.ipynb"
    if target.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    _write(target, data)
    if when is not UNKNOWN:
        os.utime(target, (when.timestamp(), when.timestamp()))


def _say_what_was_placed(one: Try, stamp: Path, result: Collected) -> None:
    if one.misnamed:
        told = f"{other_lesson(one.named, one.lesson)}; placed as what it is"
        result.notes.append(f"{one.found}: {told}")
    if one.owner.claim and one.owner.claim.late and not stamp.is_file():
        result.notes.append(
            f"{one.found}: marked LATE by Canvas, which does not say when it came: write the time "
            f"to {stamp}"
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


def _lies_in(downloads: Path, term: Term, name: str) -> bool:
    """Whether it is this folder of the term, or in it."""
    return downloads.resolve().is_relative_to(term.root / name)


def _lies_at(downloads: Path, found: Found) -> Path:
    """The file itself, of a folder or of one file."""
    return (downloads if downloads.is_file() else downloads / found.path).resolve()


def _apart_folder(term: Term, found: Found, data: bytes) -> Path:
    """Where a notebook lies that is nobody's: told by its path and what is in it."""
    said = re.sub(r"[^\w.-]+", "_", "_".join(found.path.parts[-2:])).strip("._-")
    mark = hashlib.sha256(f"{found.batch}\0{found.path}\0{found.name}\0".encode("utf-8", "replace"))
    mark.update(data)
    return term.root / UNMATCHED / f"{said[:60]}-{mark.hexdigest()[:8]}"


def _keep_apart(
    term: Term, apart: list[Apart], roster: Roster, downloads: Path, result: Collected
) -> None:
    """Write what is nobody's into unmatched/, each by itself, and say whose it may be.

    What lies there already stays where it is.
    """
    for number, (found, lesson, time, why) in enumerate(apart):
        near = roster.near(found.path) if number < MOST_ASKED else ""
        try:
            data = found.read()
        except BAD_ZIP as error:
            result.unplaced.append(f"{why}, and cannot be unpacked ({shown(error)})")
            continue
        if _lies_in(downloads, term, UNMATCHED):
            folder = _lies_at(downloads, found).parent
        else:
            folder = _apart_folder(term, found, data)
            folder.mkdir(parents=True, exist_ok=True)
            _write(folder / f"{lesson}.ipynb", data)
            if time:
                _write(folder / TIMESTAMP, f"{time:%Y-%m-%d %H:%M:%S.%f} UTC".encode())
        place = folder.relative_to(term.root)
        result.unplaced.append(
            f"{why}{near}; kept in {place}: autograde collect {place} --as ID, or say whose it is "
            "with --people FILE.csv"
        )


def _clear(term: Term, tries: Iterable[Try], downloads: Path, result: Collected) -> None:
    """Take out of unmatched/ what now has an owner."""
    placed = set(result.placed) if (term.root / UNMATCHED).is_dir() else set()
    for one in tries:
        if f"{one.student}/{one.lesson}" not in placed:
            continue
        if _lies_in(downloads, term, UNMATCHED):
            shutil.rmtree(_lies_at(downloads, one.found).parent)
        else:
            shutil.rmtree(_apart_folder(term, one.found, one.found.read()), ignore_errors=True)


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _stamped(stamp: Path) -> datetime:
    """The hand-in time of what lies in submitted/, as nbgrader reads it."""
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(stamp.read_text().strip()).replace(tzinfo=UTC)
    except (OSError, ValueError, OverflowError):
        return UNKNOWN


def _states_time(stamp: Path, result: Collected) -> bool:
    """Whether a time stands there; what is none is told of."""
    if not stamp.is_file():
        return False
    text = stamp.read_text(encoding="utf-8", errors="replace").strip()
    known = bool(text) and (read_time(text) is not None or _stamped(stamp) is not UNKNOWN)
    if text and not known:
        result.notes.append(
            f"{stamp}: is no time; write one such as 2026-10-02 12:00:00 UTC, or delete the file"
        )
    return known


def _write(target: Path, data: bytes, before: Callable[[], None] = lambda: None) -> None:
    """Write a file that is whole or not there. before: what is done once it cannot fail for want
    of room any more."""
    partial = target.with_suffix(".partial")
    try:
        partial.write_bytes(data)
    except OSError:
        partial.unlink(missing_ok=True)
        with suppress(OSError):  # there is something in it
            target.parent.rmdir()
        raise
    before()
    partial.replace(target)
