"""Canvas's gradebook as CSV: what it imports, and the one that it exported, filled in.

What Canvas does with a file (its own importer, lib/gradebook_importer.rb): it finds a student by
ID, else by SIS User ID, SIS Login ID, or the name; an assignment by the number in the brackets of
its title, else by the whole title, and makes a new one where there is none. A cell that differs
from what it has is a change, an empty one too; EX, in any case, is for who is excused, and a score
in its place is a change as well; whom the file does not name keeps what they have. So it holds no
column and no row but ours.
"""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..common.errors import UsageError, shown
from ..common.saying import counted, folded, some_of
from ..term.term import SETTINGS
from .points import Points

STUDENT = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
POINTS = "Points Possible"
IDS = ("SIS User ID", "SIS Login ID", "ID")
MOST_BYTES, MOST_COLUMNS = 64 * 2**20, 2_000
Line = Sequence[Any]


def lines(points: Points, by: str = "id") -> list[Line]:
    """A gradebook made from the roster alone: Canvas finds students by SIS id, login or name.

    by: "email", where that is their login.
    """
    made: list[Line] = [[*STUDENT, *points.lessons]]
    made.append([f"    {POINTS}", "", "", "", "", *points.lessons.values()])
    for row in points.students:
        student, login = row["id"], row[by]
        own = login if by == "id" else ""
        made.append([_name(row) or student, "", own, login, "", *points.of(student)])
    return made


def _name(row: dict[str, Any]) -> str:
    """As Canvas sorts it: last name, first name."""
    return ", ".join(part for part in (row["last_name"], row["first_name"]) if part)


def filled(points: Points, path: Path) -> tuple[list[Line], list[str], list[str]]:
    """Canvas's own export with our scores in it; notes; lines on students not found there, and on
    lessons that are worth something else there.

    Only our lessons' columns and the students found are in it. Where we have no score, what Canvas
    has stays. Raises UsageError when `path` is no such export.
    """
    header, rows = _read(path)
    width = header.index("Section") + 1
    places = {lesson: _place(header, width, lesson) for lesson in points.lessons}
    titles = [header[place] if place else lesson for lesson, place in places.items()]
    most = [row for row in rows if row[0].strip().startswith(POINTS)]
    notes = [
        f"{path}: has no assignment {lesson}; Canvas will ask whether to make it"
        for lesson, place in places.items()
        if not place
    ]
    made: list[Line] = [[*header[:width], *titles]]
    differing: list[str] = []
    for row in most[:1]:
        differing = _differing(path, points.lessons, row, places)
        theirs = [row[place] if place else "" for place in places.values()]
        worth = (their or our for their, our in zip(theirs, points.lessons.values(), strict=True))
        made.append([*row[:width], *worth])
    people = [row for row in rows if row not in most]
    found, lost = _matched(points.students, header, people)
    excused = 0
    for student, row in found:
        ours = points.of(student)
        merged = _merged(ours, row, places)
        excused += sum(
            bool(score) and _is_excused(cell) for score, cell in zip(ours, merged, strict=True)
        )
        made.append([*row[:width], *merged])
    if excused:
        theirs = counted(excused, "score is", "scores are")
        notes.append(f"{theirs} of students excused (EX) in Canvas, who stay so")
    notes += _beside(path, header, people, [row for _, row in found])
    says = f"not in {path}; their points are left out"
    absent = folded({student: f"{student}: {says}" for student in lost}, says)
    return made, notes, differing + absent


def _beside(
    path: Path, header: list[str], rows: list[list[str]], ours: list[list[str]]
) -> list[str]:
    """A line on Canvas's people who are none of ours, such as its test student."""
    there = {id(row) for row in ours}
    others = [_who(header, row) for row in rows if id(row) not in there and _who(header, row)]
    if not others:
        return []
    return [
        f"{path}: has {len(others)} besides the students written ({some_of(others, '; ')}): left "
        "out, and Canvas leaves what it has of them as it is"
    ]


def _who(header: list[str], row: list[str]) -> str:
    """Canvas's name for somebody: last name, first name; nothing in a row that is nobody's."""
    parts = row[: 1 + (header[0] == "LastName")]
    return ", ".join(part.strip() for part in parts if part.strip())


def _merged(ours: Iterable[str], row: list[str], places: dict[str, int]) -> list[str]:
    """Our scores; where there is none, or somebody is excused, what Canvas has."""
    theirs = [row[place] if place else "" for place in places.values()]
    pairs = zip(ours, theirs, strict=True)
    return [their if _is_excused(their) or not our else our for our, their in pairs]


def _is_excused(cell: str) -> bool:
    return cell.strip().upper() == "EX"


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: larger than {MOST_BYTES >> 20} MiB; export it again")
        text = path.read_text(encoding="utf-8-sig")
        first = text.partition("\n")[0]
        delimiter = ";" if first.count(";") > first.count(",") else ","
        read = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UsageError(f"{path}: cannot be read as CSV ({reason}); export it again") from None
    header = read[0] if read else []
    if not {"ID", "Section"} <= set(header) or header[0] not in ("Student", "LastName"):
        raise UsageError(
            f"{path}: not a gradebook of Canvas, which begins Student,ID,...,Section; export it "
            "in Canvas under Grades, Export"
        )
    width = len(header)
    if width > MOST_COLUMNS:
        raise UsageError(f"{path}: has more than {MOST_COLUMNS} columns; export it again")
    return header, [(row + [""] * width)[:width] for row in read[1:] if any(row)]


def _place(header: list[str], width: int, lesson: str) -> int:
    """The column whose title names the lesson, "02 Divergence (123)" too; 0 for none.

    Raises UsageError when several do.
    """
    titles = {i: re.sub(r"\W+", "_", title.lower()) for i, title in enumerate(header)}
    found = [i for i, title in titles.items() if i >= width and lesson in title]
    if len(found) > 1:
        both = " and ".join(repr(header[i]) for i in found)
        raise UsageError(f"{both} all name {lesson}; rename all but one in Canvas")
    return found[0] if found else 0


def _differing(
    path: Path, ours: dict[str, str], most: list[str], places: dict[str, int]
) -> list[str]:
    return [
        f"{path}: {lesson} is worth {shown(most[place])} there, and its points are written as of "
        f"{ours[lesson]}, which they are worth here; make both the same, in Canvas or by "
        f"c.Course.points in {SETTINGS}, and export again, there and here"
        for lesson, place in places.items()
        if place and _value(most[place]) not in (None, float(ours[lesson]))
    ]


def _value(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _matched(
    students: list[dict[str, Any]], header: list[str], rows: list[list[str]]
) -> tuple[list[tuple[str, list[str]]], list[str]]:
    """(our id, Canvas's row) of those found for certain, in Canvas's order; the ids of the others.

    Of Canvas's three kinds of ids ours is the one that most of our students are found by.
    """
    kinds = {name: _index([row[header.index(name)] for row in rows])
             for name in IDS if name in header}  # fmt: skip
    ours = {row["id"].casefold() for row in students}
    best = max(kinds, key=lambda name: len(ours & kinds[name].keys()))
    whole = 1 + (header[0] == "LastName")  # the columns of the name
    emails, names = kinds.get("SIS Login ID", {}), _index([", ".join(r[:whole]) for r in rows])
    found: dict[str, int] = {}
    for row in students:
        keys = ((kinds[best], row["id"]), (emails, row["email"]), (names, _name(row)))
        places = (index.get(key.casefold()) for index, key in keys if key)
        place = next((place for place in places if place is not None), None)
        if place is not None:
            found[row["id"]] = place
    twice = {place for place, count in Counter(found.values()).items() if count > 1}
    sure = {student: place for student, place in found.items() if place not in twice}
    in_order = sorted(sure.items(), key=lambda pair: pair[1])
    lost = [row["id"] for row in students if row["id"] not in sure]
    return [(student, rows[place]) for student, place in in_order], lost


def _index(texts: Iterable[str]) -> dict[str, int]:
    """The place of each text that is there once."""
    texts = [text.strip().casefold() for text in texts]
    counts = Counter(texts)
    return {text: i for i, text in enumerate(texts) if text and counts[text] == 1}
