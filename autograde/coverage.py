"""Show, for every exercise, what its grading refuses and what it accepts."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from helpers.compare import Verdict

from .exercise import Exercise, Mistake, Sheet
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


def rows() -> Iterator[tuple[str, Exercise, list[str], list[str]]]:
    """(lesson, exercise, mistakes not refused as they should be, right answers refused)."""
    for lesson in LESSONS:
        for exercise in exercises(lesson).values():
            missed = [m.name for m in exercise.mistakes if not refused(exercise, m)]
            wronged = [name for name in exercise.alternatives if not accepted(exercise, name)]
            yield lesson, exercise, missed, wronged


def main() -> int:
    """Print the table; 1 when something in it is not as it should be."""
    print(f"{'lesson':20} {'exercise':26} points  wrong, each named  unusual right, accepted")
    faults = []
    for lesson, exercise, missed, wronged in rows():
        wrong, right = len(exercise.mistakes), len(exercise.alternatives)
        named, full = f"{wrong - len(missed)} of {wrong}", f"{right - len(wronged)} of {right}"
        print(f"{lesson:20} {exercise.name:26} {exercise.points:6}  {named:17}  {full}")
        faults += [f"{exercise.name}: {name}" for name in missed + wronged]
    print("\n".join(["", "not as they should be:", *faults]) if faults else "")
    return 1 if faults else 0


if __name__ == "__main__":
    raise SystemExit(main())
