"""Of all that lies in downloads: which lesson each notebook is of, and whose it is."""

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from ..common.errors import UsageError, shown
from ..common.saying import MOST_NAMED, folded, some_of
from ..common.times import read_time
from ..course.exercises import LESSONS
from ..term.term import SETTINGS, Term
from .matching import Owner, Roster
from .platforms import Batch, claim_of
from .tries import CLOCKS, UNKNOWN, Collected, Told, Try, lesson_in, packed_at, person, persons
from .unpacking import HOLD_NOTEBOOKS, JUNK, LOST, TIMESTAMP, Found, Left, Search

Apart = tuple[Found, str, datetime | None, str]


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
        others: dict[str, list[str]] = {}
        for i, found in enumerate(progress(everything, len(everything))):
            try:
                told = lesson_in(found)
            except UsageError as error:
                result.unplaced.append(str(error))
                continue
            if told.lesson in given:
                self._lessons[i] = told
            else:
                others.setdefault(told.lesson, []).append(str(found))
        self._say_of_other_lessons(others)

    def _say_of_other_lessons(self, others: Mapping[str, list[str]]) -> None:
        """Of notebooks, by lesson, of a lesson that the term does not give."""
        for lesson, names in others.items():
            not_given = f"{lesson}, which is not among the term's lessons; name it in {SETTINGS}"
            lines = {name: f"{name}: is {not_given}, and run autograde init, or leave it"
                     for name in names}  # fmt: skip
            says = f"are {not_given}, and run autograde init, or leave them"
            told = folded(lines, says, MOST_NAMED)
            self._result.unplaced += told
            self._result.more += len(lines) - len(told)

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
        packed = packed_at(found, self._result) if found.manifest else None
        batch = found.time if self._by_file else self._newest.get(found.batch)
        lesson, named, problem = told
        return Try(owner, lesson, named, found, time, batch, packed, problem=problem)

    def all_of(self, student: str, stamped: bool) -> list[Try]:
        """Every notebook as this student's. stamped: a time lies beside each.

        Raises UsageError when two of them are evidently different people's.
        """
        others: dict[str, str] = {}
        named: dict[str, list[str]] = {}
        made = []
        for i, found in enumerate(self._everything):
            if i not in self._lessons:
                continue
            told = self._lessons[i]
            for one in self._told(found, told.named or told.lesson):
                others[one.who or one.student] = str(one.claim or one.student)
                if one.student in self._roster.ids - {student}:
                    named.setdefault(one.student, []).append(str(found))
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
        if not stamped:  # of what was kept apart it was told whose it may be
            self._say_of_other_names(student, named)
        return made

    def _say_of_other_names(self, student: str, named: Mapping[str, list[str]]) -> None:
        """Of files, by whose name they bear, that are taken for this student's all the same."""
        for other, names in named.items():
            whose = f"named as {other}'s, and taken as {student}'s, as you said"
            mend = f"if that is a slip, delete it in submitted/{student}, and collect it again"
            lines = {name: f"{name}: is {whose}; {mend}" for name in names}
            self._result.notes += folded(lines, f"are {whose}; {mend}", MOST_NAMED)

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
                for key in persons(one):
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
            told = {w for key in persons(one) for w in (*who.get(key, ()), *surely.get(key, ()))}
            told |= {before[person(one)]} if person(one) in before else set()
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
        if one.owner.who and person(one) in before:
            same.setdefault(one.owner.scope, []).append(before[person(one)] == one.owner.who)
    anew = {scope for scope, equal in same.items() if len(equal) > 1 and not any(equal)}
    fleeting = {
        person(one)
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
