"""Put what students handed in where nbgrader looks for it."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from .errors import UsageError
from .exercises import LESSONS
from .grading import recognise
from .matching import Roster, attempt_of, platform_of
from .rebuild import parse_notebook
from .term import Term
from .unpacking import BAD_ZIP, Found, Search, shown

AT_ONCE = timedelta(minutes=10)  # files whose times differ by less were packed, or saved, together
CLOCKS = timedelta(hours=1)  # by how much clocks may differ
TIMESTAMP = "timestamp.txt"  # nbgrader's, for late penalties
UNKNOWN = datetime(1, 1, 1, tzinfo=UTC)


@dataclass
class Collected:
    """placed: student/lesson of what was found for submitted/. notes, unplaced: lines to read.

    timed: how many of those placed have a hand-in time. times: of each file placed, its hash and
    the time that it is of, the download's where no better is known.
    """

    placed: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)
    timed: int = 0
    times: dict[str, tuple[str, datetime]] = field(default_factory=dict)


@dataclass(frozen=True)
class Try:
    """A notebook whose student and lesson are known.

    handed_in: the platform's time, which alone counts for lateness. batch: when the last of what it
    came with was packed or saved. packed: the student's own word of when it was packed, which can
    order a student's tries and no more.
    """

    student: str
    lesson: str
    found: Found
    handed_in: datetime | None
    batch: datetime | None
    packed: datetime | None

    @property
    def when(self) -> datetime:
        """The time that it is of: by then, it was the student's latest."""
        return self.handed_in or self.batch or UNKNOWN

    @property
    def order(self) -> tuple:
        """The greatest of a student's tries is the one that counts."""
        attempt = attempt_of(self.found.name) or attempt_of(self.found.path)
        time = self.found.time or UNKNOWN
        return self.when, self.packed or UNKNOWN, attempt, time, str(self.found)


def collect(downloads: Path, term: Term) -> Collected:
    """Place every notebook found in a zip, a folder or a single file; the latest of several wins.

    Whose a file is, see `Roster.student`. Canvas and Moodle stamp what they return with the time of
    the download: where all files of one zip, or of the folder, bear about one time, it is nobody's
    hand-in time, and nobody counts as late for it, but for whom Canvas marks LATE. A student's
    manifest is their own word: it orders their tries where nothing better is known, and no more.
    Raises UsageError when `downloads` is nothing that can be opened.
    """
    roster, result = Roster(term.roster()), Collected()
    search = Search(roster.owns)
    everything = list(search.files(downloads))
    spread = _spread(everything)
    latest: dict[tuple[str, str], Try] = {}
    tries = [one for found in everything if (one := _try(found, spread, roster, result))]
    for one in sorted(tries, key=lambda one: one.order):
        if (one.student, one.lesson) in latest:
            result.notes.append(
                f"{one.found}: a later try of {one.student}; it replaces the earlier"
            )
        latest[one.student, one.lesson] = one
    with term.store() as store:
        known = store.placed()
        for _, one in sorted(latest.items()):
            _place(one, term, roster, known, result)
        store.keep_placed(result.times)
    result.unplaced += search.refused
    return result


def _spread(everything: Iterable[Found]) -> dict[str, tuple[datetime, bool]]:
    """The latest time in each batch, and whether its files came one by one."""
    times: dict[str, list[datetime]] = {}
    for found in everything:
        if found.time and found.time <= datetime.now(UTC) + CLOCKS:
            times.setdefault(found.batch, []).append(found.time)
    return {batch: (max(some), max(some) - min(some) > AT_ONCE) for batch, some in times.items()}


def _try(
    found: Found, spread: dict[str, tuple[datetime, bool]], roster: Roster, result: Collected
) -> Try | None:
    try:
        lesson = _lesson(found)
        student = roster.student(found.path, lesson)
    except UsageError as error:
        result.unplaced.append(str(error))
        return None
    newest, one_by_one = spread.get(found.batch, (None, False))
    time = found.time if newest and found.time and found.time <= newest else None
    platform = platform_of(found.path)
    late = platform is not None and platform.late
    if late:
        result.notes.append(
            f"{found}: marked LATE by Canvas, which gives the download's time for it"
        )
    handed_in = time if one_by_one or late else None
    packed = _packed(found, result) if found.manifest else None
    return Try(student, lesson, found, handed_in, newest, packed)


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


def _lesson(found: Found) -> str:
    """By the notebook's name, or its zip's, then by what is in it. Raises UsageError if by none."""
    for path in (found.name, found.path):
        for lesson in LESSONS:
            if lesson in path.stem:
                return lesson
    name = Path(str(found))
    try:
        return recognise(name, parse_notebook(found.read().decode("utf-8"), name))
    except (*BAD_ZIP, UsageError) as error:
        # A broken file is still somebody's submission: grading will say what is wrong with it.
        for lesson in LESSONS:
            if lesson in found.path.parts:
                return lesson
        if isinstance(error, UsageError):
            raise
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else shown(error)
        raise UsageError(f"{name}: cannot be read ({reason}); ask for the .ipynb file") from None


def _place(
    one: Try, term: Term, roster: Roster, known: Mapping[str, tuple[str, datetime]],
    result: Collected,
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
        if one.when is not UNKNOWN and max(_stamped(stamp), of) > one.when:
            result.notes.append(
                f"{one.found}: {one.student} has a later one in submitted/, which stays; to take "
                f"this one, delete {target} first"
            )
            return
        result.notes.append(f"{one.found}: replaces what {one.student} had in submitted/")
        of = UNKNOWN
    if there != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        stamp.unlink(missing_ok=True)
        _write(target, data)
    if one.handed_in and not stamp.is_file():
        _write(stamp, f"{one.handed_in:%Y-%m-%d %H:%M:%S.%f} UTC".encode())
    result.placed.append(name)
    result.times[name] = (_mark(data), max(one.when, of))
    result.timed += stamp.is_file()
    if roster.ids and one.student not in roster.ids:
        result.notes.append(
            f"{one.found}: {one.student} is not on the roster, and is kept all the same: put them "
            f"on it and collect again, or delete {term.root / 'submitted' / one.student}"
        )


def _mark(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _stamped(stamp: Path) -> datetime:
    """The hand-in time of what lies in submitted/, as nbgrader reads it."""
    from nbgrader.utils import parse_utc

    try:
        return parse_utc(stamp.read_text().strip()).replace(tzinfo=UTC)
    except (OSError, ValueError, OverflowError):
        return UNKNOWN


def _write(target: Path, data: bytes) -> None:
    partial = target.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(target)
