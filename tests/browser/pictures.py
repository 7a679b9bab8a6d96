"""Make the README's pictures, of what a student and an instructor see: make pictures

A wrong answer is typed and checked in JupyterLab; a class of 30 is made up, judged and reported on.
"""

import csv
import random
import shutil
import tempfile
from functools import partial
from pathlib import Path

from nbformat import NotebookNode
from playwright.sync_api import Browser

from autograde.course.exercise import Mistake
from autograde.course.exercises import exercises
from autograde.course.lessons import NOTEBOOKS, grade_id, lesson_path
from autograde.course.nbgrader_api import run_api
from autograde.course.predictions import write_predictions
from autograde.course.sample import mistaken, solutions
from autograde.returning.reporting import report
from autograde.term.rosters import ROSTER_COLUMNS
from autograde.term.term import Term, init
from helpers.predicted import ASKED
from tests.browser.axe import open_browser
from tests.browser.jupyterlab import opened, serve
from tests.browser.test_jupyterlab import SETUP, SWAPPED
from tests.classroom import record

PICTURES = Path(__file__).parent / "pictures"
LESSON, EXERCISE = "02_divergence", "categorical_kl"
WIDTH, STUDENTS = 1000, 30


def picture_check(browser: Browser, scratch: Path) -> None:
    """The arguments of the divergence are exchanged, and the check says so."""
    shutil.copy(lesson_path(NOTEBOOKS, LESSON), scratch)
    home = scratch / "home"
    home.mkdir()
    with (
        serve(scratch, home) as server,
        opened(browser, server, f"{LESSON}.ipynb") as notebook,
    ):
        page = notebook.page
        page.set_viewport_size({"width": WIDTH, "height": 900})
        page.keyboard.press("ControlOrMeta+b")  # without the list of files
        notebook.run(notebook.with_text(SETUP))
        notebook.answer(EXERCISE, SWAPPED)
        notebook.cell(EXERCISE).evaluate("cell => cell.scrollIntoView()")
        page.screenshot(path=PICTURES / "check.png")


def sample_class(folder: Path) -> tuple[Term, dict[str, dict[str, Mistake]]]:
    """The lesson of 30 students of all skills, and what each of them got wrong."""
    roster = folder / "roster.csv"
    students = [f"student{number:02}" for number in range(1, STUDENTS + 1)]
    with roster.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(ROSTER_COLUMNS)
        writer.writerows([one, one.title(), "", ""] for one in students)
    term = init(folder / "term", roster)
    draw = random.Random(0)
    wrong = {student: mistakes(draw) for student in students}
    for student, made in wrong.items():
        names = {name: mistake.name for name, mistake in made.items()}
        record(term, student, LESSON, names, partial(type_in, made, predictions(student)))
    return term, wrong


def mistakes(draw: random.Random) -> dict[str, Mistake]:
    """What one student gets wrong, by exercise; the first mistakes of an exercise most often."""
    skill = draw.random()
    made = {}
    for name, exercise in exercises(LESSON).items():
        if draw.random() > skill:
            weights = [1 / (1 + place) ** 2 for place in range(len(exercise.mistakes))]
            (made[name],) = draw.choices(exercise.mistakes, weights)
    return made


def predictions(student: str) -> dict[str, str]:
    """What one student predicted; one in six predicts nothing."""
    draw = random.Random(student)
    if not draw.randrange(6):
        return {}
    return {name: draw.choice(list(asked.choices)) for name, asked in ASKED[LESSON].items()}


def type_in(made: dict[str, Mistake], letters: dict[str, str], notebook: NotebookNode) -> None:
    """The cells of someone who makes these mistakes and no others, and predicts this."""
    write_predictions(notebook, letters)
    own = {name: mistaken(exercises(LESSON)[name], mistake) for name, mistake in made.items()}
    answers = solutions(LESSON) | own
    for cell in notebook.cells:
        cell.source = answers.get(grade_id(cell), cell.source)


def picture_class(browser: Browser, scratch: Path) -> None:
    """The lesson in the report, and the feedback on what check.png shows, and more."""
    term, wrong = sample_class(scratch)
    swapped = next(
        s for s in wrong if EXERCISE in wrong[s] and wrong[s][EXERCISE].name == "swapped"
    )
    run_api(term.api().generate_feedback, LESSON, swapped)
    (page,) = (term.root / "feedback" / swapped / LESSON).glob("*.html")
    take(browser, report(term, scratch / "report.html").as_uri() + f"#{LESSON}", "report", 975)
    take(browser, page.as_uri(), "feedback", 580)


def take(browser: Browser, address: str, name: str, height: int) -> None:
    """The page from where its address points."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": height})
    tab.goto(address)
    tab.screenshot(path=PICTURES / f"{name}.png")
    tab.close()


def main() -> None:
    with open_browser() as browser:
        for picture in (picture_check, picture_class):
            with tempfile.TemporaryDirectory() as scratch:
                picture(browser, Path(scratch))
    print(f"check.png, report.png and feedback.png are in {PICTURES}")


if __name__ == "__main__":
    main()
