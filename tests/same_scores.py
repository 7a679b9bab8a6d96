"""The same points by fork, by strict and by plain nbgrader, for every named wrong answer.

    python -P -m tests.same_scores [LESSON...] [--no-strict] [--no-plain] [--cuda]

Submission n of a lesson makes mistake n in every exercise; submission 0 is the solution.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from nbformat import NotebookNode

from autograde.course.as_cells import answer_cell, handed_in
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions
from autograde.grading.program import Program, how_of
from autograde.grading.rebuild import rebuild
from autograde.grading.working import do
from autograde.term.verdict import Graded
from tests import plain

Points = dict[str, float]


def submissions(lesson: str) -> Iterator[tuple[str, NotebookNode]]:
    """(name, notebook): the solution, then as many as the exercise with most mistakes has."""
    base, described = checkout_base(lesson), exercises(lesson)
    yield "s000", handed_in(base, solutions(lesson))
    for number in range(max(len(one.mistakes) for one in described.values())):
        answers = solutions(lesson)
        for name, exercise in described.items():
            if exercise.mistakes:
                answer = exercise.mistakes[number % len(exercise.mistakes)].answer
                if isinstance(answer, dict) and isinstance(exercise.answer, dict):
                    answer = exercise.answer | answer
                answers[name] = answer_cell(exercise, answer)
        yield f"s{number + 1:03d}", handed_in(base, answers)


def in_mode(lesson: str, notebook: NotebookNode, mode: str, device: str = "cpu") -> Points:
    """Points by exercise in one of our modes."""
    program = Program(lesson, rebuild(checkout_base(lesson), notebook), mode)
    graded = Graded.of(do(program.work(b"", how_of([lesson], mode, device))).graded)
    return {name: float(verdict.points) for name, verdict in graded.verdicts.items()}


def by_plain(lesson: str, notebooks: dict[str, NotebookNode]) -> dict[str, Points]:
    """Points by student and exercise from nbgrader without our settings; demos taken out."""
    from nbgrader.api import Gradebook

    bare = {name: plain.without_demos(notebook) for name, notebook in notebooks.items()}
    with tempfile.TemporaryDirectory() as scratch:
        plain.make(Path(scratch), lesson, bare, plain.EXECUTE)
        plain.run(Path(scratch), "autograde", lesson)
        with Gradebook(f"sqlite:///{scratch}/gradebook.db") as gradebook:
            found = {s: gradebook.find_submission(lesson, s).notebooks[0].grades for s in bare}
            return {
                student: {
                    g.name.removeprefix("test_"): g.auto_score
                    for g in grades
                    if g.name.startswith("test_")
                }
                for student, grades in found.items()
            }


def compare(lesson: str, strict: bool, plainly: bool, cuda: bool) -> list[str]:
    """Print a line for the lesson; a line for each exercise whose points differ."""
    started = time.monotonic()
    notebooks = dict(submissions(lesson))
    found = {"fork": {s: in_mode(lesson, n, "fork") for s, n in notebooks.items()}}
    if strict:
        found["strict"] = {s: in_mode(lesson, n, "strict") for s, n in notebooks.items()}
    if cuda:
        found["on a GPU"] = {s: in_mode(lesson, n, "strict", "cuda") for s, n in notebooks.items()}
    if plainly:
        found["plain nbgrader"] = by_plain(lesson, notebooks)
    differences = [
        f"{lesson} {student} {name}: "
        + ", ".join(f"{mode} {points[student][name]:g}" for mode, points in found.items())
        for student, ours in found["fork"].items()
        for name in ours
        if len({points[student][name] for points in found.values()}) > 1
    ]
    compared = len(notebooks) * len(exercises(lesson))
    print(
        f"{lesson:24} {len(notebooks):3} submissions, {compared:4} exercises by "
        f"{', '.join(found)}: {len(differences)} differ; {time.monotonic() - started:.0f} s",
        flush=True,
    )
    return differences


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lessons", nargs="*", default=list(LESSONS))
    parser.add_argument("--no-strict", action="store_true")
    parser.add_argument("--no-plain", action="store_true")
    parser.add_argument("--cuda", action="store_true", help="also with the questions on a GPU")
    options = parser.parse_args()
    differences = []
    for lesson in options.lessons or LESSONS:
        differences += compare(lesson, not options.no_strict, not options.no_plain, options.cuda)
    print("\n".join(differences))
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
