"""What an LMS is told: a class's points as text, whatever the platform."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Points:
    """For an LMS: the students, each lesson's most, and by (student, lesson) what was scored.

    waiting: what is not there yet, as an essay waits to be graded by hand, or as what was handed in
    is not graded.
    """

    students: list[dict[str, Any]]
    lessons: dict[str, str]
    scores: dict[tuple[str, str], str]
    waiting: frozenset[tuple[str, str]] = frozenset()

    def of(self, student: str) -> list[str]:
        """A student's scores in the order of the lessons; what there is none of is empty."""
        return [self.scores.get((student, lesson), "") for lesson in self.lessons]
