"""To whom a platform takes pages back: as a download of it says, or as `collect` kept it.

A page goes to nobody who is not known for certain. The name that a platform gives with a number
must be the student's on the roster, or one that several numbers bear, as where it marks blindly: a
team's is neither, and its number is no student's.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

from ..common.errors import UsageError, shown
from ..course.recognise import named_lesson
from ..term.store import Origin
from ..term.term import Term
from .matching import Roster
from .platforms import Batch, Claim, claims_of
from .tries import lesson_in
from .unpacking import BAD_ZIP, JUNK, LOST, Found, Left, Search

STRAYED = 2  # notebooks of one lesson that may have come to the wrong place, in a larger download


@dataclass(frozen=True)
class File:
    """What somebody handed in at the platform. lesson, mark: of a notebook, "" for others."""

    origin: Origin
    where: str
    lesson: str = ""
    mark: str = ""


@dataclass
class Address:
    """One whom a platform knows by a number. where: it says so. known: the students of whom
    `collect` found, or was told, that they are meant."""

    origin: Origin
    where: str
    known: set[str] = field(default_factory=set)


@dataclass
class Addresses:
    """lesson: whose pages go there. of: by student. strangers: whom the roster does not know.
    unsure: those who may be one of several, or whose name is another than the student's. beside:
    of how many notebooks in a download that is, by the other lessons that they are of."""

    lesson: str
    of: dict[str, Address] = field(default_factory=dict)
    strangers: list[Address] = field(default_factory=list)
    unsure: list[Address] = field(default_factory=list)
    beside: dict[str, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many people there are."""
        return len(self.of) + len(self.strangers) + len(self.unsure)


def kept(term: Term, platform: str, lesson: str) -> Addresses:
    """Those that `collect` kept with what it placed."""
    return _sorted_out(Addresses(lesson), _kept(term, platform, lesson), Roster(term.roster()))


def _kept(term: Term, platform: str, lesson: str) -> list[Address]:
    with term.store() as store:
        origins = store.origins()
    found: dict[str, Address] = {}
    for name, origin in origins.items():
        student, _, of = name.partition("/")
        if of == lesson and origin.platform == platform:
            address = found.setdefault(origin.number, Address(origin, f"{student}'s file"))
            address.known.add(student)
    return list(found.values())


def downloaded(term: Term, platform: str, path: Path, lesson: str = "") -> Addresses:
    """Those in a download. lesson: whose pages go there; "" for that of its notebooks.

    Raises UsageError for what is no download of this platform, or of another lesson.
    """
    roster = Roster(term.roster())
    files = _files(path, platform, roster)
    there = Counter(one.lesson for one in files if one.lesson)
    lesson = _settled(lesson, there, path)
    before = {one.origin.number: one.known for one in _kept(term, platform, lesson)}
    found = _people(files, lesson)
    by_bytes = _by_bytes(term, files, lesson)
    for number, address in found.items():
        meant = roster.meant(address.origin)
        alike = by_bytes.get(number, set())
        address.known = before.get(number) or (alike & meant if meant else alike)
    beside = {name: count for name, count in sorted(there.items()) if name != lesson}
    return _sorted_out(Addresses(lesson, beside=beside), found.values(), roster)


def _files(path: Path, platform: str, roster: Roster) -> list[File]:
    """What the platform names in a download. Raises UsageError where that is nothing."""
    search = Search(roster.owns)
    found: list[Found | Left] = [*search.files(path)]
    found += [one for one in search.left if one.kind != JUNK]
    claims = [(one, _outermost(one)) for one in found]
    made = [_file(one, claim) for one, claim in claims if claim and claim.platform == platform]
    if made:
        return made
    broken = [one.line for one in search.left if one.kind == LOST]
    if len(found) == len(broken) == 1:
        raise UsageError(broken[0])
    others = Counter(claim.platform for _, claim in claims if claim)
    looks = f"; it looks like {others.most_common(1)[0][0]}'s" if others else ""
    raise UsageError(
        f"{path}: nothing in it is named as {platform} names what it lets you download{looks}; "
        "name that zip, as it came"
    )


def _outermost(one: Found | Left) -> Claim | None:
    claims = claims_of(one.path, Batch())
    return claims[0][0] if claims and claims[0][0].number else None


def _file(one: Found | Left, claim: Claim) -> File:
    where = shown(one.path.parts[claim.at])
    if isinstance(one, Left):
        return File(claim.origin, where)
    try:
        mark = sha256(one.read()).hexdigest()
        lesson = named_lesson(one.name) or named_lesson(one.path) or lesson_in(one)[0]
    except (UsageError, *BAD_ZIP):
        return File(claim.origin, where)
    return File(claim.origin, where, lesson, mark)


def _settled(lesson: str, there: Counter[str], path: Path) -> str:
    """The lesson that a download is of: a notebook or two may have come to the wrong place, and of
    what more are of, nobody's pages are left out without a word."""
    most = max(there.values(), default=0)
    many = sorted(name for name, n in there.items() if n > STRAYED or 2 * n >= most)
    if lesson in many:
        return lesson
    if not many:
        raise UsageError(f"{path}: no notebook of a lesson is in it; name the zip of one lesson")
    several = " and ".join(f"{name} ({there[name]})" for name in many)
    if lesson:
        raise UsageError(
            f"{path}: of another lesson: its notebooks are of {several}; name the zip of {lesson}"
        )
    if len(many) > 1:
        raise UsageError(f"{path}: of {several}; name the LESSON whose pages go back")
    return many[0]


def _people(files: Iterable[File], lesson: str) -> dict[str, Address]:
    """By number; of somebody's files the latest that is this lesson's, else any."""
    best: dict[str, File] = {}
    for one in files:
        before = best.get(one.origin.number)
        if before is None or _rank(one, lesson) > _rank(before, lesson):
            best[one.origin.number] = one
    return {number: Address(one.origin, one.where) for number, one in best.items()}


def _by_bytes(term: Term, files: Iterable[File], lesson: str) -> dict[str, set[str]]:
    """By number, the students in whose place in submitted/ lie the bytes that this one handed in,
    and in nobody else's: so `collect --as` is known again."""
    with term.store() as store:
        placed = store.placed()
    holders: dict[str, list[str]] = {}
    for name, (mark, _) in placed.items():
        student, _, of = name.partition("/")
        if of == lesson:
            holders.setdefault(mark, []).append(student)
    found: dict[str, set[str]] = {}
    for one in files:
        if len(several := holders.get(one.mark, [])) == 1:
            found.setdefault(one.origin.number, set()).update(several)
    return found


def _rank(one: File, lesson: str) -> tuple[bool, int]:
    return one.lesson == lesson, int(one.origin.attachment or 0)


def _sorted_out(made: Addresses, everybody: Iterable[Address], roster: Roster) -> Addresses:
    """Each with the student who is meant; two of one student, or of none, are nobody's."""
    everybody = list(everybody)
    bearers = Counter(one.origin.person for one in everybody)
    own: dict[str, list[Address]] = {}
    for one in everybody:
        meant = roster.meant(one.origin)
        known = one.known & roster.ids
        found = known & meant if known and meant else known or meant
        if not (known or meant):
            made.strangers.append(one)
        elif len(found) != 1 or (
            not meant and one.origin.person and bearers[one.origin.person] == 1
        ):
            made.unsure.append(one)
        else:
            own.setdefault(min(found), []).append(one)
    for student, several in own.items():
        sure = [one for one in several if student in one.known] if len(several) > 1 else several
        made.unsure += [one for one in several if len(sure) != 1 or one is not sure[0]]
        made.of |= {student: sure[0]} if len(sure) == 1 else {}
    return made
