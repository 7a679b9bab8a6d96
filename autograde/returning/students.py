"""Who stands where in each lesson, a row for each student."""

from dataclasses import dataclass
from datetime import timedelta

from .counted import Lesson, Tally

MOST_ROWS = 1_000  # of ten cells each: with many more a browser takes seconds to open the page


@dataclass(frozen=True)
class Cell:
    """Of one lesson: the points, None where there are none, and what else is to be known.

    look: whether somebody has to do something about it.
    """

    points: float | None
    notes: tuple[str, ...]
    look: bool


@dataclass(frozen=True)
class Row:
    """One student, by id, in the order of the lessons."""

    student: str
    guest: bool
    cells: list[Cell]

    @property
    def look(self) -> bool:
        """Whether somebody has to do something about any of them."""
        return any(cell.look for cell in self.cells)


@dataclass(frozen=True)
class Rows:
    """Those that are shown, of how many; looked: those who need a look, as all are too many."""

    shown: list[Row]
    count: int
    looked: bool


def rows(found: Tally) -> Rows:
    """Everybody by name, guests last; of a class that is too large those who need a look."""
    lessons = [_Marks(lesson) for lesson in found.begun]
    there = {one for marks in lessons for one in marks.there}
    class_ = found.roster or sorted(there)
    guests = sorted(there - set(class_))
    every = [
        Row(student, guest, [marks.cell(student) for marks in lessons])
        for guest, students in ((False, sorted(class_, key=_by_name(found))), (True, guests))
        for student in students
    ]
    if len(every) <= MOST_ROWS:
        return Rows(every, len(every), looked=False)
    look = [row for row in every if row.look]
    return Rows(look[:MOST_ROWS], len(look), looked=True)


def _by_name(found: Tally):
    return lambda student: (found.names.get(student, student).casefold(), student)


class _Marks:
    """One lesson's lists as sets, which a large class asks ten thousand times."""

    def __init__(self, lesson: Lesson) -> None:
        self.lesson = lesson
        self.points = {**lesson.totals, **lesson.guest_totals}
        self.there = {*lesson.handed_in, *lesson.guests, *self.points}
        self.missing, self.ungraded = set(lesson.missing), set(lesson.ungraded)
        self.waits, self.behind = set(lesson.waits), set(lesson.behind)
        self.typed = {one.student for one in lesson.typed}

    def cell(self, student: str) -> Cell:
        points, lesson = self.points.get(student), self.lesson
        asks = [
            note
            for note, there in (
                ("not graded yet", student in self.ungraded),
                ("broken" if points is None else "newer file broken", student in lesson.failed),
                ("of an earlier file or lesson", student in self.behind),
                ("essay waits", student in self.waits),
                ("typed by hand before: look again", student in self.typed),
            )
            if there
        ]
        says = ["not handed in"] * (student in self.missing)
        if student in lesson.late:
            late_by, cost = lesson.late[student]
            says.append(f"late by {span(late_by)}" + f", minus {round(cost, 2):g}" * bool(cost))
        if student in lesson.by_hand and student not in self.typed:
            says.append("by hand")
        return Cell(points, (*asks, *says), bool(asks))


def span(late_by: timedelta) -> str:
    """How late, in the unit that says it best."""
    hours = late_by.total_seconds() / 3600
    for unit, size in (("days", 24.0), ("hours", 1.0)):
        if hours >= 2 * size:
            return f"{hours / size:.0f} {unit}"
    return f"{max(hours * 60, 1):.0f} min"
