"""Which of several tries counts, and its way into submitted/; the others are kept in tries/."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from ..common.errors import shown
from ..common.times import read_time
from ..course.recognise import other_lesson
from ..term.due import Dues
from ..term.term import TRIES, Term
from .platforms.nbgrader_exchange import kept_name
from .tries import UNKNOWN, Collected, Try, can_be_read, mark_of
from .unpacking import BAD_ZIP, TIMESTAMP


def dated(one: Try, dues: Dues) -> Try:
    late = one.handed_in is not None and dues.is_late(one.student, one.lesson, one.handed_in)
    return replace(one, late=late)


def latest_of(tries: Iterable[Try], dues: Dues, result: Collected) -> list[Try]:
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


def place(
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
    of = before if there is not None and mark == mark_of(there) else UNKNOWN
    if there not in (None, data):
        before = _stamped(stamp)
        stays = _why_it_stays(one, dues, before, of, target)
        if (stays or one.problem) and ((stays and one.problem) or can_be_read(there)):
            _say_why_it_stays(one, stays, result)
            if not one.misnamed:
                keep_try(term, one)
            return
        result.notes.append(f"{one.found}: replaces what {one.student} had in submitted/")
        handed_in = None if before is UNKNOWN else before
        _keep(term, (one.student, one.lesson), there, handed_in, max(before, of))
        of = UNKNOWN
    if there != data:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_new(target, data, before=lambda: stamp.unlink(missing_ok=True))
    if one.handed_in and not stamp.is_file():
        write_new(stamp, f"{one.handed_in:%Y-%m-%d %H:%M:%S.%f} UTC".encode())
    result.placed.append(name)
    result.same += there == data
    result.times[name] = (mark_of(data), max(one.when, of))
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


def keep_try(term: Term, one: Try) -> None:
    with suppress(*BAD_ZIP):  # what cannot be unpacked is no try
        data, when = one.found.read(), min(one.when, one.found.time or one.when)
        _keep(term, (one.student, one.lesson), data, one.handed_in, when)


def _keep(
    term: Term, whose: tuple[str, str], data: bytes, handed_in: datetime | None, when: datetime
) -> None:
    """Keep a try that does not count, named as nbgrader names what is handed in, so that it can be
    collected again when a date has moved. when: the time that it is of."""
    folder = term.root / TRIES / kept_name(*whose, handed_in, mark_of(data))
    target = folder / f"{whose[1]}.ipynb"
    if target.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write_new(target, data)
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


def write_new(target: Path, data: bytes, before: Callable[[], None] = lambda: None) -> None:
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
