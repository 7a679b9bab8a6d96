"""Whose file it is: by what platforms wrote into its path, and by the roster.

Two people never become one: what fits two is nobody's, and who cannot be told is kept apart.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import PurePosixPath

from helpers.clean import clean

from ..common.errors import MOST_NEAR, UsageError, closest, shown
from ..course.exercises import LESSONS
from ..term.rosters import is_student_id, who
from ..term.store import Origin
from .platforms import Batch, Claim, claims_of
from .platforms.mail import without_addresses
from .platforms.moodle import without_group
from .unpacking import is_too_long

# Letters that no accent makes, as ASCII file names have them.
PLAIN = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
})  # fmt: skip
MOST_WORDS = 40  # of a name that are looked at
MOST_LETTERS = 80  # of a part of a path, in which a name like one of the roster's is looked for
MOST_SAID = 5  # people that a message names
MOST_SPAN = 10  # words of one id or address
LIKE = 0.85  # how much a name must be like one of the roster's to be asked about
MOST_KEPT = 10_000  # parts and paths of which is kept whose they are, as many lie in one folder
COPY = re.compile(
    r"^(copy of |copie de |kopie von |copia de )+|[ _]*\(\d+\)$|[ _-]copy\d*$", re.IGNORECASE
)
ATTEMPT = re.compile(r"(?:-|\()(\d+)\)?$")
WORD = re.compile(r"[^\W_]+")
DIGITS = re.compile(r"\d+")
NUMBER = re.compile(r"\d+|v\d+|\d+(st|nd|rd|th|am|pm)")
LESSON_WORDS = frozenset(word for lesson in LESSONS for word in WORD.findall(lesson))
# What people and editors write beside a name, and what is no part of one.
WORDS = """
a assignment attempt checkpoint class copy course draft exercise final fwd fw handin hw homework
from id in ipynb jupyter lab late lesson my name new notebook of project re redo resubmission
resubmit revised s solution solutions solved student submission submissions submitted submit sub
the task tutorial update updated user v version week work
abgabe aufgabe loesung lösung uebung übung von devoir entrega
jan feb mar apr may jun jul aug sep oct nov dec
"""
OTHER_WORDS = LESSON_WORDS | frozenset(WORDS.split())


@dataclass(frozen=True)
class Owner:
    """Whose a file is. who, scope: two of one student with one scope and another `who` are two
    people. by_id: it was told by an id or an address, and not by a name that several may bear.

    claim: what a platform said. file_says: whom else the file's own name speaks of. mapped: whether
    `people` said it, and nothing else.
    """

    student: str
    who: str = ""
    scope: str = ""
    by_id: bool = False
    claim: Claim | None = None
    file_says: str = ""
    mapped: bool = False


class TwoPeopleError(UsageError):
    """A path speaks of several people who are on the roster."""


def attempt_of(name: PurePosixPath) -> int:
    """The number that a browser, `(2)`, or Canvas, `-2`, gives to a file of the same name."""
    found = ATTEMPT.search(name.stem)
    return int(found[1][:9]) if found else 0


class Roster:
    """Finds the students of a path among the rows of a roster.

    people: what folders, handles, numbers and addresses mean, see `rosters.read_mapping`.
    """

    def __init__(
        self, rows: Iterable[dict[str, str]], people: Mapping[str, str] | None = None
    ) -> None:
        self.rows = {row["id"]: row for row in rows}
        self.ids = set(self.rows)
        self._people = dict(people or {})
        self._by_id: dict[str, set[str]] = {}
        self._by_email: dict[str, set[str]] = {}
        self._by_name: dict[str, set[str]] = {}
        for student, row in self.rows.items():
            self._by_id.setdefault(student.casefold(), set()).add(student)
            if row["email"]:
                self._by_email.setdefault(row["email"].casefold(), set()).add(student)
            for name in _spellings(row["first_name"], row["last_name"]):
                self._by_name.setdefault(name, set()).add(student)
        # Words with which an id begins: only there is one looked for.
        self._begins = {found[0] for one in self._by_id if (found := WORD.search(one))}
        self._alone = lru_cache(MOST_KEPT)(self._told_alone)
        self._speaks_of = lru_cache(MOST_KEPT)(self._speakers)

    def knows(self, path: PurePosixPath, lesson: str, batch: Batch) -> bool:
        """Whether a path speaks of anybody on the roster, whatever `people` say."""
        roster = self._without_people if self._people else self
        try:
            return any(one.student in self.ids for one in roster.owners(path, lesson, batch))
        except TwoPeopleError:
            return True
        except UsageError:
            return False

    def names_somebody(self, path: PurePosixPath) -> bool:
        """Whether a path by itself says whose it is, or may be."""
        try:
            return bool(self.owners(path, "", Batch()))
        except TwoPeopleError:
            return True
        except UsageError:
            return False

    @cached_property
    def _without_people(self) -> "Roster":
        return Roster(self.rows.values())

    def called(self, path: PurePosixPath, lesson: str, shared: int) -> str:
        """What somebody is called whom nobody knows: by the outermost folder below the `shared`
        first that is no lesson's, or the words beside the lesson in the file's name; "" for none.
        """
        folders = [part for part in path.parts[shared:-1] if part not in LESSONS]
        return folders[0] if folders else " ".join(_residue(_label(path, lesson)))

    def owns(self, path: PurePosixPath, alone: bool) -> bool:
        """Whether a zip of this name is one student's, and not a class's.

        alone: it is all that was downloaded; then a name that is only shaped like a platform's is
        more likely the instructor's own.
        """
        try:
            owners = self.owners(path, "", Batch())
        except UsageError:
            return False
        return all(one.student in self.ids or (one.claim and not alone) for one in owners)

    def owners(self, path: PurePosixPath, lesson: str, batch: Batch) -> list[Owner]:
        """Whose the file at `path` is, of a group's file every member.

        The outermost part of the path that says it counts, as what lies below is the student's own.
        In one part: what `people` say of it, then what a platform wrote, then an id, an address or
        a full name of the roster beside words that are none.
        Raises UsageError when it cannot be told, or is two people's.
        """
        if is_too_long(path):
            raise _unknown(path)
        claims = claims_of(path, batch)
        for at, part in enumerate(path.parts):
            label = part if at < len(path.parts) - 1 else _label(path, lesson)
            here = [made for made in claims if made[0].at == at]
            if student := self._mapped(path, at, label, here):
                return [Owner(student, claim=here[0][0] if here else None, mapped=True)]
            for made in here:
                owners = [self._claimed(path, lesson, one) for one in made]
                if all(owners):
                    return [one for one in owners if one]
            written = any(not made[0].loose for made in here)
            if not written and (found := self._worded(path, label)):
                return [self._plain(path, at, found, label, lesson)]
        raise _unknown(path)

    def _mapped(
        self, path: PurePosixPath, at: int, label: str, here: list[list[Claim]]
    ) -> str | None:
        """What `people` say of a part of the path, or of what a platform says in it."""
        if not self._people:
            return None
        keys = [label, path.parts[at], str(PurePosixPath(*path.parts[: at + 1]))]
        for claim in (made[0] for made in here if len(made) == 1):
            keys += [*claim.logins, claim.email, claim.number, claim.name]
        words = [text for text, _, _ in _runs(label) if not text.isdigit()]
        return next((self._people[k.casefold()] for k in (*keys, *words)
                     if k and k.casefold() in self._people), None)  # fmt: skip

    def _claimed(self, path: PurePosixPath, lesson: str, claim: Claim) -> Owner | None:
        """Whom a platform means; None where it is not sure, and the roster does not know them."""
        known = set()
        for login in sorted(claim.logins, key=len, reverse=True):
            known = known or self.with_id(login) or self._by_email.get(login.casefold(), set())
        known = known or self._with_address(claim.email)
        named = self._named(claim.name) or self._named(claim.group[1]) or self.with_id(claim.name)
        if len(known) > 1 or (known and named and not known & named):
            raise _ambiguous(path, known | named)
        stated = claim.number or (claim.logins or (claim.email or claim.name,))[0]
        who = f"{claim.platform} {_plain_text(stated.casefold())}"
        scope = claim.platform + lesson * (not claim.lasting or not claim.number)
        if known:
            return Owner(known.pop(), who, scope, True, claim)
        if len(named) > 1:
            named = named & {claim.number} or named  # a roster may have the platform's numbers
        if len(named) > 1:
            raise _ambiguous(path, named)
        if named:
            return Owner(named.pop(), who, scope, False, claim)
        return Owner(self._stranger(path, claim), who, scope, False, claim) if claim.sure else None

    def meant(self, origin: Origin) -> set[str]:
        """Everybody whom a platform may mean by a name, a group's before it or not."""
        name = origin.person
        rest = without_group(name)[1]
        return self._named(name) or self._named(rest) or self.with_id(name)

    def _stranger(self, path: PurePosixPath, claim: Claim) -> str:
        """An id for somebody whom a platform names and the roster does not know."""
        if found := self.as_stranger(claim):
            return found
        raise _unknown(path)

    def as_stranger(self, claim: Claim) -> str:
        """The id that somebody has here while the roster does not know them; "" where none fits."""
        name = _letters(claim.name)
        numbered = f"{name or 'participant'}_{claim.number}" if claim.number else name
        for text in (*claim.logins[:1], numbered, claim.email):
            if is_student_id(text) and text.casefold() not in self._by_id:
                return text
        return ""

    def _plain(
        self, path: PurePosixPath, at: int, found: tuple[str, bool], label: str, lesson: str
    ) -> Owner:
        """The owner by a part that no platform wrote, unless a folder below it says another."""
        student, by_name = found
        says = ""
        for below in range(at + 1, len(path.parts)):
            rest = path.parts[below:]
            others = self._alone(rest, lesson) - {student}
            if others and len(rest) > 1 and others & self.ids:
                raise _ambiguous(path, {student, *others})
            says = min(others, default=says)
        who = " ".join(WORD.findall(label.casefold())) if by_name else ""
        return Owner(student, who, f"name {lesson}", not by_name, None, says)

    def _told_alone(self, parts: tuple[str, ...], lesson: str) -> frozenset[str]:
        """The students of a path by itself; nobody where it cannot be told. Kept, as folders are
        asked for everything in them, and for what lies in one another by each above."""
        try:
            owners = self.owners(PurePosixPath(*parts), lesson, Batch())
        except UsageError:
            return frozenset()
        return frozenset(one.student for one in owners)

    def _worded(self, path: PurePosixPath, label: str) -> tuple[str, bool] | None:
        """(id, whether by the name) of the one of whom a text speaks, if of nobody else."""
        found, by_name = self._speaks_of(label)
        if len(found) > 1:
            raise _ambiguous(path, found)
        return (min(found), by_name) if found else None

    def _speakers(self, label: str) -> tuple[frozenset[str], bool]:
        """Those of whom a text speaks, and whether by their names."""
        exact = self.with_id(label.strip(" _-.")) or self._with_address(label.strip())
        named = set() if exact else self._named(label)
        inside = set() if exact or named else set(self._inside(label))
        rest = _residue(label)
        found = exact or named or inside or self._named("".join(rest))
        return frozenset(found), not (exact or inside)

    def _inside(self, label: str) -> Iterator[str]:
        """The ids and addresses that stand in a text as whole words, the longest first.

        Beside an id without both letters and digits, which may be a word or a number, nothing may
        stand that could be a part of a name; beside others nothing that could follow on it.
        """
        taken: list[tuple[int, int]] = []
        label = without_addresses(label)
        words = [found[0].casefold() for found in WORD.finditer(label)][:MOST_WORDS]
        runs = [run for run in self._id_runs(label) if self.with_id(run[0])]
        ids = {word for text, _, _ in runs if _is_mixed(text)
               for word in WORD.findall(text.casefold())}  # fmt: skip
        for text, i, j in runs:
            students = self.with_id(text)
            if any(i <= b and a <= j for a, b in taken):
                continue
            own = {word for one in students for word in self._name_words(one)}
            before, after = words[:i], words[j + 1 :]
            few = LESSON_WORDS if text.isdigit() else OTHER_WORDS
            beside = after if _is_mixed(text) else before + after
            few = few | own | ids
            if all(word in few or NUMBER.fullmatch(word) for word in beside):
                taken.append((i, j))
                yield from students
                yield from self._named("".join(before)) - students

    def _id_runs(self, label: str) -> list[tuple[str, int, int]]:
        """Of `_runs` those that begin as an id does."""
        return _runs(label, self._begins)

    def _name_words(self, student: str) -> set[str]:
        row = self.rows[student]
        words = WORD.findall(f"{row['first_name']} {row['last_name']}".casefold())
        return {*words, *map(_letters, words)}

    def with_id(self, text: str) -> set[str]:
        """The student of an id, in capitals or not."""
        return {text} if text in self.ids else set(self._by_id.get(text.casefold(), ()))

    def _with_address(self, text: str) -> set[str]:
        """The student of an address, before which a lesson's name may stand."""
        whole = text.casefold()
        while whole:
            if whole in self._by_email:
                return set(self._by_email[whole])
            first, _, whole = whole.partition("_")
            if first not in OTHER_WORDS and not NUMBER.fullmatch(first):
                break
        return set()

    def _named(self, text: str) -> set[str]:
        return set(self._by_name.get(_letters(text), ()))

    def near(self, path: PurePosixPath) -> str:
        """In brackets, the student whose id or name is closest to what stands in a path."""
        for part in path.parts[:-4:-1]:
            label = part[:MOST_LETTERS]
            for text, _, _ in self._id_runs(label):
                if found := self.with_id(text):
                    return self._ask(min(found))
            words = _residue(label)
            name = _letters("".join(words))
            close = closest(name, self._names.get(name[:1], ()), LIKE)
            # By other numbers somebody else is meant, as in Group 1 and Group 2.
            if close and DIGITS.findall(close) == DIGITS.findall(name):
                return self._ask(min(self._by_name[close]))
            for word in words:
                found = self._by_word.get(word, set())
                if len(found) == 1 and self._may_be(min(found), words, label):
                    return self._ask(min(found))
        return ""

    def _may_be(self, student: str, words: list[str], label: str) -> bool:
        """Whether a text that holds one word of a name has no other that contradicts it."""
        row = self.rows[student]
        name = f"{row['first_name']} {row['last_name']}"
        own, there = ({*map(_letters, some)} for some in (WORD.findall(name), words))
        numbers = {*DIGITS.findall(name)} <= {*DIGITS.findall(label)}
        return numbers and (own >= there or own <= there)

    def _ask(self, student: str) -> str:
        return f" (did you mean {who(self.rows[student])}?)"

    @cached_property
    def _names(self) -> dict[str, list[str]]:
        """Names by their first letter, as many as can be compared with every unknown one."""
        found: dict[str, list[str]] = {}
        for name in self._by_name:
            found.setdefault(name[0], []).append(name)
        return {letter: names[:MOST_NEAR] for letter, names in found.items()}

    @cached_property
    def _by_word(self) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for student in self.ids:
            for word in self._name_words(student):
                found.setdefault(word, set()).add(student)
        return found

    def unlisted(self, path: PurePosixPath, lesson: str, crowded: bool) -> Owner:
        """With no roster: the folder that the file lies in, or where there is none what its name
        has beside the lesson.

        crowded: the folder holds several files of this lesson, and may be several people's.
        """
        folders = [part for part in path.parts[:-1] if part not in LESSONS]
        word = _label(path, lesson).strip(" _-.") if crowded or not folders else folders[-1]
        if not is_student_id(word):
            raise _unknown(path)
        return Owner(word, str(path.parent) if crowded else "", f"folder {lesson}")


def _is_mixed(text: str) -> bool:
    """Whether it has letters and digits, as no name and no number has."""
    return bool(re.search(r"\d", text)) and bool(re.search(r"[^\W\d_]", text))


def _unknown(path: PurePosixPath) -> UsageError:
    return UsageError(f"{shown(path)}: whose it is cannot be told")


def _ambiguous(path: PurePosixPath, ids: Iterable[str]) -> UsageError:
    few = sorted(ids)[:MOST_SAID]
    return TwoPeopleError(f"{shown(path)}: may be {' or '.join(few)}'s")


def _spellings(first: str, last: str) -> Iterator[str]:
    """A full name, in either order."""
    yield from {_letters(first + last), _letters(last + first)} - {""}


def _letters(text: str) -> str:
    """The letters and digits of a name, in lower case, without accents, spaces and hyphens: Canvas
    leaves out some of these, Moodle others."""
    spread = unicodedata.normalize("NFKD", text).casefold().translate(PLAIN)
    return "".join(c for c in spread if c.isalnum())


def _label(path: PurePosixPath, lesson: str) -> str:
    """What a file's name has beside the lesson, and beside what marks a copy."""
    stem = path.stem
    while COPY.search(stem):
        stem = COPY.sub("", stem)
    return stem.replace(lesson, " ").strip() if lesson else stem


def _residue(label: str) -> list[str]:
    """The words of a text that could be a part of a name."""
    words = WORD.findall(without_addresses(label).casefold())[:MOST_WORDS]
    return [word for word in words if word not in OTHER_WORDS and not NUMBER.fullmatch(word)]


def _plain_text(text: str) -> str:
    """A text that can be shown, another for every other text: two people stay two."""
    return text if clean(text) == text else ascii(text)


def _runs(text: str, begins: Collection[str] | None = None) -> list[tuple[str, int, int]]:
    """Every run of whole words in a text, with its first and last word, the longest first.

    begins: what they may begin with, in lower case.
    """
    words = list(WORD.finditer(text))[:MOST_WORDS]
    firsts = [i for i, one in enumerate(words) if begins is None or one[0].casefold() in begins]
    spans = [(i, j) for i in firsts for j in range(i, min(i + MOST_SPAN, len(words)))]
    spans.sort(key=lambda span: (span[0] - span[1], span[0]))
    return [(text[words[i].start() : words[j].end()], i, j) for i, j in spans]
