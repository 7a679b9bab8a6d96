"""Whose file it is: by the roster, and by how learning platforms name what they return."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from .errors import UsageError
from .exercises import LESSONS
from .term import STUDENT_ID
from .unpacking import shown

# Letters that no accent makes, as ASCII file names have them.
PLAIN = str.maketrans({
    "ø": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i", "æ": "ae", "œ": "oe", "þ": "th",
})  # fmt: skip
MOST_WORDS = 40  # of a name that are looked at
COPY = re.compile(r"^(copy of |copie de |kopie von )+|[ _]*\(\d+\)$|[ _-]copy\d*$", re.IGNORECASE)
ATTEMPT = re.compile(r"(?:-|\()(\d+)\)?$")
# lovelaceada_LATE_51_7041_02_divergence-1.ipynb: Canvas's own numbers are the user's and the file's
CANVAS = re.compile(r"(?P<name>.+?)_(?P<late>LATE_)?(?P<number>\d+)_(?P<rest>\d+_.+)$")
# "Ada Lovelace_1234_assignsubmission_file_", a folder, or the beginning of a file's name
MOODLE = re.compile(r"(?P<name>[^_]+)_(?P<number>\d+)_assignsubmission_[a-z]+(_|$)")


@dataclass(frozen=True)
class Platform:
    """What a platform's own part of a path says. late: it marks the file so."""

    name: str
    number: str
    late: bool = False


def platform_of(path: PurePosixPath) -> Platform | None:
    """What Moodle or Canvas wrote into a path; the outermost counts, the rest is the student's."""
    for part in path.parts:
        if found := MOODLE.match(part):
            return Platform(found["name"], found["number"])
    found = CANVAS.match(path.stem)
    if found and not found["rest"].startswith(tuple(LESSONS)):  # 02_divergence has a number too
        return Platform(found["name"], found["number"], bool(found["late"]))
    return None


def attempt_of(name: PurePosixPath) -> int:
    """The number that a browser, `(2)`, or Canvas, `-2`, gives to a file of the same name."""
    found = ATTEMPT.search(name.stem)
    return int(found[1][:9]) if found else 0


class Roster:
    """Finds the student of a path among the rows of a roster."""

    def __init__(self, rows: Iterable[dict[str, str]]) -> None:
        self._rows = list(rows)
        self.ids = {row["id"] for row in self._rows}
        self._by_email = {row["email"].casefold(): row["id"] for row in self._rows if row["email"]}
        self._by_name: dict[str, set[str]] = {}
        for row in self._rows:
            for name in _spellings(row["first_name"], row["last_name"]):
                self._by_name.setdefault(name, set()).add(row["id"])

    def owns(self, path: PurePosixPath, alone: bool) -> bool:
        """Whether a zip of this name is one student's, and not a class's.

        alone: it is all that was downloaded; then a name that is only shaped like a platform's is
        more likely the instructor's own.
        """
        try:
            platform = platform_of(path)
            if platform:
                return not alone or bool(self._named(platform.name))
            return self._listed(path, "") is not None
        except UsageError:
            return False

    def student(self, path: PurePosixPath, lesson: str) -> str:
        """The student's id. Raises UsageError when it cannot be told.

        On a platform's file only the platform's part of the name counts, as the student chose the
        rest. Elsewhere an id counts before an e-mail address, and that before a name; then, for who
        is not on the roster, the folder, or what the file's name has beside the lesson.
        """
        platform = platform_of(path)
        if platform:
            return self._on_platform(path, platform)
        found = self._listed(path, lesson)
        if found:
            return found
        for word in _words(path, lesson):
            if STUDENT_ID.match(word):
                return word
        raise UsageError(
            f"{shown(path)}: whose it is cannot be told; name it STUDENT_{lesson}.ipynb"
        )

    def _on_platform(self, path: PurePosixPath, platform: Platform) -> str:
        whole = platform.name
        found = self._named(whole) or self._named(whole.partition("-")[2])  # Moodle: GROUP-NAME
        if len(found) > 1:
            found = found & {platform.number} or found  # a roster may have the platform's numbers
        if len(found) > 1:
            raise _ambiguous(path, found)
        if found:
            return found.pop()
        if whole in self.ids:
            return whole
        return f"{_letters(whole) or 'participant'}_{platform.number}"  # not on the roster

    def _listed(self, path: PurePosixPath, lesson: str) -> str | None:
        words = list(_words(path, lesson))
        pieces = [*words[:-1], *_pieces(_plain_stem(path))]
        for word in pieces:
            if word in self.ids:
                return word
        for word in (*pieces, words[-1]):
            if word.casefold() in self._by_email:
                return self._by_email[word.casefold()]
        for word in words:
            found = self._named(word)
            if len(found) > 1:
                raise _ambiguous(path, found)
            if found:
                return found.pop()
        return None

    def _named(self, text: str) -> set[str]:
        return set(self._by_name.get(_letters(text), ()))


def _ambiguous(path: PurePosixPath, ids: Iterable[str]) -> UsageError:
    several = " or ".join(sorted(ids))
    return UsageError(f"{shown(path)}: may be {several}'s; put it into a folder named by the id")


def _spellings(first: str, last: str) -> Iterator[str]:
    """A full name, in either order."""
    yield from {_letters(first + last), _letters(last + first)} - {""}


def _letters(text: str) -> str:
    """The letters and digits of a name, in lower case, without accents, spaces and hyphens: Canvas
    leaves out some of these, Moodle others."""
    spread = unicodedata.normalize("NFKD", text).casefold().translate(PLAIN)
    return "".join(c for c in spread if c.isalnum())


def _words(path: PurePosixPath, lesson: str) -> Iterator[str]:
    """What may say whose a file is: its folders from the inside, then the rest of its name."""
    yield from (part for part in path.parts[-2::-1] if part not in (lesson, "..", "/"))
    stem = _plain_stem(path)
    yield (stem.replace(lesson, "") if lesson else stem).strip(" _-.")


def _plain_stem(path: PurePosixPath) -> str:
    stem = path.stem
    while COPY.search(stem):
        stem = COPY.sub("", stem)
    return stem


def _pieces(stem: str) -> list[str]:
    """Every run of `_`-separated words in a name, longest first: an id may hold `_` itself."""
    words = stem.split("_")[:MOST_WORDS]
    spans = [(i, j) for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    return ["_".join(words[i:j]) for i, j in sorted(spans, key=lambda span: span[0] - span[1])]
