"""Show, for every exercise, what its grading refuses and what it accepts."""

from dataclasses import dataclass, field
from functools import cache
from typing import Any

from helpers.verdict import Verdict

from ..common.saying import say
from .exercise import Exercise, Mistake, Quiz, Sheet
from .exercises import LESSONS, exercises
from .exercises import exercise as exercise_named

SEEDS = ("one", "two", "three")
DRAWS = tuple(f"draw {number}" for number in range(20))


def refused(exercise: Exercise, mistake: Mistake) -> bool:
    """Whether the mistake loses points, the same for each seed, and is named before all others."""
    verdicts = [sheet(exercise.name, seed).grade(mistake.answer) for seed in SEEDS]
    same = len({verdict.points for verdict in verdicts}) == 1
    return same and all(_is_named(verdict, mistake) for verdict in verdicts)


@cache
def sheet(name: str, seed: str) -> Sheet:
    """The cases of a seed with all the answers to them, which many mistakes are held against."""
    described = exercise_named(name)
    return Sheet(described, described.hidden_cases(seed))


def _is_named(verdict: Verdict, mistake: Mistake) -> bool:
    first = next(iter(verdict.diagnoses), None)
    return verdict.points < verdict.max_points and first == mistake.name


def accepted(exercise: Exercise, name: str) -> bool:
    """Whether an unusual right answer gets full points, for each seed."""
    answer = exercise.alternatives[name]
    sheets = (sheet(exercise.name, seed) for seed in SEEDS)
    return all(one.grade(answer).status == "right" for one in sheets)


def points_by_draw(exercise: Exercise, answer: Any) -> list[int]:
    """What an answer is worth in each of DRAWS: equal programs are to get equal points."""
    return [sheet(exercise.name, seed).points(answer) for seed in DRAWS]


def agrees(exercise: Exercise, answer: Any) -> bool:
    """Whether the check that a student sees and the hidden grading say the same of an answer."""
    seen = visible_sheet(exercise.name).grade(answer).status == "right"
    return all(
        (sheet(exercise.name, seed).grade(answer).status == "right") == seen for seed in SEEDS
    )


@cache
def visible_sheet(name: str) -> Sheet:
    """The cases of the visible check, with the answers to them."""
    described = exercise_named(name)
    return Sheet(described, described.visible_cases)


@dataclass
class Row:
    """What became of an exercise's answers; faults: a line for each that is not as it should be."""

    lesson: str
    exercise: Exercise
    refused: int = 0
    accepted: int = 0
    agreed: int = 0
    steady: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, kind: str, name: str, holds: bool) -> None:
        setattr(self, kind, getattr(self, kind) + holds)
        if not holds:
            self.faults.append(f"{self.exercise.name}: {name}: not {kind}")


def row(lesson: str, exercise: Exercise) -> Row:
    """Ask all of an exercise's answers."""
    made = Row(lesson, exercise)
    for mistake in exercise.mistakes:
        made.count("refused", mistake.name, refused(exercise, mistake))
        made.count("steady", mistake.name, len(set(points_by_draw(exercise, mistake.answer))) == 1)
        if not isinstance(exercise, Quiz):
            made.count("agreed", mistake.name, agrees(exercise, mistake.answer))
    for name, answer in exercise.alternatives.items():
        made.count("accepted", name, accepted(exercise, name))
        made.count("agreed", name, agrees(exercise, answer))
    return made


def main() -> int:
    """Print the table; 1 when something in it is not as it should be."""
    say(
        f"{'lesson':20} {'exercise':26} points  wrong, each named  equal in {len(DRAWS)} draws  "
        "unusual right  visible agrees"
    )
    rows = []
    for lesson in LESSONS:
        for exercise in exercises(lesson).values():
            made = row(lesson, exercise)
            rows.append(made)
            wrong, right = len(exercise.mistakes), len(exercise.alternatives)
            asked = right + (0 if isinstance(exercise, Quiz) else wrong)
            say(
                f"{lesson:20} {exercise.name:26} {exercise.points:6}  "
                f"{f'{made.refused} of {wrong}':17}  {f'{made.steady} of {wrong}':17}  "
                f"{f'{made.accepted} of {right}':13}  {made.agreed} of {asked}"
            )
    wrong = sum(len(one.exercise.mistakes) for one in rows)
    right = sum(len(one.exercise.alternatives) for one in rows)
    say(
        f"{wrong} wrong answers: {sum(r.refused for r in rows)} refused and named, "
        f"{sum(r.steady for r in rows)} with equal points in {len(DRAWS)} draws; {right} unusual "
        f"right ones: {sum(r.accepted for r in rows)} accepted; visible check and grading agree "
        f"on {sum(r.agreed for r in rows)}"
    )
    faults = [fault for one in rows for fault in one.faults]
    say("\n".join(["", "not as they should be:", *faults]) if faults else "", lines=True)
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
