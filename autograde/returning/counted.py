"""What is counted of a class, and what is made of the counts."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from helpers.describing import describe

from ..course.exercise import Exercise, Quiz
from ..term.typed import Typed
from .alike import Alike

# With n students the 95 % interval of a correlation is tanh(atanh r ± 1.96/√(n − 3)). From 25 on,
# that of an item with r = 0 ends below 0.4, which a good item has: the two can be told apart.
ENOUGH = 25
LOW = 0.2  # the customary bound below which an item wants a look (Ebel and Frisbie)
ELSE = "something else"
NO_ANSWER = "no answer"


@dataclass
class Mistake:
    """What was said to those who made it, and who they are."""

    says: str
    students: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.students)


@dataclass
class Item:
    """One exercise, question or essay of a lesson, and how the class did.

    scores: of everyone whose score is known. mistakes, statuses, stopped: by name, by status and
    by reason. choices: for each key of a question's answer, who gave which answer.
    """

    name: str
    most: float
    described: Exercise | None
    scores: dict[str, float] = field(default_factory=dict)
    waits: list[str] = field(default_factory=list)
    mistakes: dict[str, Mistake] = field(default_factory=dict)
    statuses: dict[str, list[str]] = field(default_factory=dict)
    unnamed: list[str] = field(default_factory=list)
    stopped: dict[str, list[str]] = field(default_factory=dict)
    choices: dict[Any, dict[str, list[str]]] = field(default_factory=dict)
    correlation: "Correlation | None" = None

    @property
    def is_quiz(self) -> bool:
        return isinstance(self.described, Quiz)

    @property
    def passes(self) -> dict[str, int]:
        """How many have all, some and none of the points; where there are none to have, how many
        have it right, and how many of those who were judged have not."""
        if not self.most:
            right = len(self.statuses.get("right", ()))
            return {"full": right, "part": 0, "none": sum(map(len, self.statuses.values())) - right}
        full = sum(score >= self.most for score in self.scores.values())
        none = sum(score <= 0 for score in self.scores.values())
        return {"full": full, "part": len(self.scores) - full - none, "none": none}

    def right(self, key: Any) -> str:
        """The right answer to a question, or to one of its keys."""
        return word(self.described.answer if key is None else self.described.answer[key])

    def comment(self, key: Any, choice: str) -> str:
        """What a question says to those who gave this answer alone."""
        for mistake in self.described.mistakes:
            pairs = mistake.answer if isinstance(mistake.answer, dict) else {None: mistake.answer}
            if {k: word(value) for k, value in pairs.items()} == {key: choice}:
                return mistake.says
        return ""


@dataclass(frozen=True)
class Correlation:
    """Of an item with the rest of the score, over n students; low and high are of 95 %."""

    value: float
    n: int
    low: float
    high: float


@dataclass
class Lesson:
    """One lesson. Students are named by id; totals are of those whose work is graded.

    Where there is a roster, only who is on it is counted, in items and totals alike: guests are who
    handed in and is not, and guest_totals what they have. Lists of what is to be done have all.
    late: how late, and how many points that cost. ungraded: handed in, and neither graded nor
    failed. unjudged: graded with no verdict of ours in the store. blank: nothing was written.
    predicted: who predicted which letter, by the prediction's name. extended: who has more time,
    and until when, in words. alike: whose programs are. same_files: whose files are one.
    answered: who has something in it, guests too. behind: whose points are of an earlier file
    or lesson. by_hand: of whom a person scored which exercises in place of the program. typed:
    scores typed for what is another now.
    """

    name: str
    items: dict[str, Item]
    handed_in: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    totals: dict[str, float] = field(default_factory=dict)
    late: dict[str, tuple[timedelta, float]] = field(default_factory=dict)
    extended: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    ungraded: list[str] = field(default_factory=list)
    unprotected: list[str] = field(default_factory=list)
    unjudged: set[str] = field(default_factory=set)
    blank: set[str] = field(default_factory=set)
    predicted: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    alike: list[Alike] = field(default_factory=list)
    same_files: list[tuple[str, ...]] = field(default_factory=list)
    answered: set[str] = field(default_factory=set)
    guests: list[str] = field(default_factory=list)
    guest_totals: dict[str, float] = field(default_factory=dict)
    behind: list[str] = field(default_factory=list)
    by_hand: dict[str, list[str]] = field(default_factory=dict)
    typed: list[Typed] = field(default_factory=list)

    @property
    def most(self) -> float:
        return sum(item.most for item in self.items.values())

    @property
    def is_begun(self) -> bool:
        """Whether there is anything to say of it."""
        there = self.handed_in, self.guests, self.totals, self.guest_totals, self.extended
        return any(there) or bool(self.typed)

    @property
    def unread(self) -> float:
        """The points of the essays that wait for a score by hand, of the class."""
        return sum(
            item.most for item in self.items.values()
            if item.described is None and any(one in self.totals for one in item.waits)
        )  # fmt: skip

    def is_graded(self, student: str) -> bool:
        """Whether there are points, of a guest too."""
        return student in self.totals or student in self.guest_totals

    @property
    def median(self) -> float:
        """Of those who wrote something; of all, where nobody did."""
        wrote = [total for student, total in self.totals.items() if student not in self.blank]
        return statistics.median(wrote or self.totals.values())

    @property
    def waits(self) -> list[str]:
        """Who waits for a score by hand."""
        return sorted({one for item in self.items.values() for one in item.waits})

    def histogram(self, bins: int = 10) -> list[int]:
        """How many scored in each tenth of the points; the full score is in the last."""
        counts = [0] * bins
        for total in self.totals.values():
            share = total / self.most if self.most else 0
            counts[min(max(int(share * bins), 0), bins - 1)] += 1
        return counts


@dataclass
class Tally:
    """A term: its lessons, its students' names by id, and who is not on the roster."""

    lessons: dict[str, Lesson]
    names: dict[str, str]
    roster: list[str]
    unlisted: list[str]

    @cached_property
    def _listed(self) -> set[str]:
        return set(self.roster)

    @property
    def begun(self) -> list[Lesson]:
        """The lessons of which there is anything to say."""
        return [lesson for lesson in self.lessons.values() if lesson.is_begun]

    def counts(self, student: str) -> bool:
        """Whether what a student did is of the class: who is on the roster, where there is one."""
        return not self._listed or student in self._listed


def word(choice: Any) -> str:
    """A choice as a table has it: no quotes around a letter."""
    return describe(choice).strip("'")


def correlation(these: Sequence[float], those: Sequence[float]) -> Correlation | None:
    """Pearson's, with Fisher's interval; None where there are fewer than 4, or one never varies."""
    n = len(these)
    if n < 4 or min(these) == max(these) or min(those) == max(those):
        return None
    value = statistics.correlation(these, those)
    middle = math.atanh(max(min(value, 1 - 1e-12), -1 + 1e-12))
    spread = 1.96 / math.sqrt(n - 3)
    return Correlation(value, n, math.tanh(middle - spread), math.tanh(middle + spread))
