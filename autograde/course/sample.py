"""A class to try the course on: submissions made from the lessons' own named wrong answers."""

import csv
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from helpers.predicted import ASKED

from .as_cells import answer_cell, handed_in
from .exercise import Exercise, Mistake
from .exercises import LESSONS, exercises
from .lessons import BEGIN, END, ESSAY, checkout_base, read_source
from .predictions import write_predictions

NAMES = ("Ada", "Bela", "Chidi", "Dara", "Emre", "Freya", "Goran", "Hana")
PERFECT, EMPTY, BROKEN = ("Pia", "perfect"), ("Umut", "untouched"), ("Bo", "broken")


def solutions(lesson: str) -> dict[str, str]:
    """The lesson's own answers by exercise, as cells."""
    cells = (cell for cell in read_source(lesson) if cell.kind in ("exercise", "quiz", ESSAY))
    return {cell.name: _without_marks(cell.source) for cell in cells}


def _without_marks(source: str) -> str:
    kept = (line for line in source.split("\n") if BEGIN not in line and END not in line)
    return "\n".join(kept)


def with_mistakes(lesson: str, number: int) -> NotebookNode:
    """The lesson as a student hands it in who makes mistake `number` wherever there is one.

    Every third exercise is right, so that the submissions differ in more than their mistakes.
    """
    answers = solutions(lesson)
    for position, exercise in enumerate(exercises(lesson).values()):
        if (position + number) % 3:
            mistake = exercise.mistakes[number % len(exercise.mistakes)]
            answers[exercise.name] = mistaken(exercise, mistake)
    return _predicting(handed_in(checkout_base(lesson), answers), lesson, number)


def _predicting(notebook: NotebookNode, lesson: str, number: int) -> NotebookNode:
    """The same with predictions, of which neighbours choose differently, and some make none."""
    letters = {
        name: list(asked.choices)[(number * (place % 2 + 1) + place) % len(asked.choices)]
        for place, (name, asked) in enumerate(ASKED.get(lesson, {}).items())
        if (place + number) % 4
    }
    write_predictions(notebook, letters)
    return notebook


def mistaken(exercise: Exercise, mistake: Mistake) -> str:
    """The cell of a student who makes this mistake."""
    answer = mistake.answer
    if isinstance(answer, dict) and isinstance(exercise.answer, dict):
        answer = exercise.answer | answer
    return answer_cell(exercise, answer)


def students() -> Iterator[dict[str, str]]:
    """The roster."""
    for number, (first, last) in enumerate([*((n, f"No. {i}") for i, n in enumerate(NAMES, 1))]):
        yield _row(f"{first.lower()}{number + 1}", first, last)
    for first, last in (PERFECT, EMPTY, BROKEN):
        yield _row(last, first, last.title())


def _row(student: str, first: str, last: str) -> dict[str, str]:
    email = f"{student}@example.org"
    return {"id": student, "first_name": first, "last_name": last, "email": email}


def write(folder: Path) -> Path:
    """Write roster.csv and downloads/STUDENT/LESSON.ipynb under `folder`; return the downloads."""
    folder.mkdir(parents=True, exist_ok=True)
    roster = list(students())
    with (folder / "roster.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(roster[0]))
        writer.writeheader()
        writer.writerows(roster)
    for lesson in LESSONS:
        for number, row in enumerate(roster):
            path = folder / "downloads" / row["id"] / f"{lesson}.ipynb"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(_text(lesson, number, row["id"]), encoding="utf-8")
    return folder / "downloads"


def _text(lesson: str, number: int, student: str) -> str:
    if student == EMPTY[1]:
        return nbformat.writes(checkout_base(lesson))
    perfect = nbformat.writes(handed_in(checkout_base(lesson), solutions(lesson)))
    if student == PERFECT[1]:
        return perfect
    if student == BROKEN[1]:
        return perfect[: len(perfect) // 2]  # a download that was cut short
    return nbformat.writes(with_mistakes(lesson, number))
