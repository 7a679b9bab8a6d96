"""The lessons in a real JupyterLab: they run, their sliders move, and a wrong answer is named."""

import shutil

import pytest
from playwright.sync_api import expect

from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import NOTEBOOKS, SOLUTIONS, lesson_path
from helpers.report import STATUS, is_quiz
from tests.browser.axe import open_browser
from tests.browser.jupyterlab import ERROR, opened, serve
from tests.some import LONG, every, some

pytestmark = pytest.mark.browser

SWAPPED = """\
    log_policy = logits.log_softmax(dim=-1)
    log_ref = ref_logits.log_softmax(dim=-1)
    return (log_ref.exp() * (log_ref - log_policy)).sum(dim=-1)"""
SETUP = "from helpers import check"
SHOW_PATH_NEEDS = (SETUP, "replies = three_replies", "def optimal_policy")


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """JupyterLab on copies of the lessons, the instructor's and the students'."""
    folder = tmp_path_factory.mktemp("lessons")
    for source in (SOLUTIONS, NOTEBOOKS):
        (folder / source.name).mkdir()
        for lesson in LESSONS:
            shutil.copy(lesson_path(source, lesson), folder / source.name)
    with serve(folder, tmp_path_factory.mktemp("home")) as server:
        yield server


@pytest.fixture(scope="module")
def browser():
    with open_browser() as browser:
        yield browser


@pytest.mark.parametrize("lesson", some(LESSONS, "00_start_here".__eq__))
def test_a_solved_lesson_runs_through(lesson, browser, server, screenshot):
    with opened(browser, server, f"solutions/{lesson}.ipynb") as notebook:
        notebook.run_all()
        screenshot(notebook.page, f"{lesson}-solved")
        assert notebook.page.locator(ERROR).all_inner_texts() == []
        for name in exercises(lesson):
            says = "right" if is_quiz(name) else STATUS["right"]
            expect(notebook.cell(f"test_{name}")).to_contain_text(f"{name}: {says}")
        # ipywidgets gives a slider's handle no name.
        assert [line for line in notebook.violations() if "noUi-handle" not in line] == []


@LONG
def test_a_lesson_as_students_get_it_says_what_is_not_written(browser, server, screenshot):
    with opened(browser, server, "notebooks/00_start_here.ipynb") as notebook:
        notebook.run_all()
        screenshot(notebook.page, "00_start_here-untouched")
        assert notebook.page.locator(ERROR).all_inner_texts() == []
        for name in exercises("00_start_here"):
            said = notebook.cell(f"test_{name}")
            expect(said).to_contain_text(f"{name}: {STATUS['not written']}")
        expect(notebook.page.get_by_text("This cell waits for log_ratio").first).to_be_visible()


@pytest.mark.parametrize("theme", some(["light", "dark"], "light".__eq__))
def test_a_wrong_answer_is_named(theme, browser, server, screenshot):
    """A student types it into a cell, runs and checks it: mistake and numbers can be read."""
    with opened(browser, server, "notebooks/02_divergence.ipynb", theme) as notebook:
        notebook.run(notebook.with_text(SETUP))
        report = notebook.answer("categorical_kl", SWAPPED)
        mistakes = exercises("02_divergence")["categorical_kl"].mistakes
        (says,) = (mistake.says for mistake in mistakes if mistake.name == "swapped")
        expect(report.get_by_text(says)).to_be_visible()
        report.scroll_into_view_if_needed()
        screenshot(notebook.page, f"wrong-answer-{theme}")
        assert notebook.violations() == []


def drag(page, handle):
    """Along the slider, by the mouse."""
    handle.hover()
    page.mouse.down()
    box = handle.bounding_box()
    page.mouse.move(box["x"] + 100, box["y"] + box["height"] / 2, steps=5)
    page.mouse.up()


def press(page, handle):
    """One step on the slider, by the keyboard."""
    handle.press("ArrowRight")


@pytest.mark.parametrize(
    ("lesson", "before", "shows", "move"),
    every(
        2,
        [
            ("05_stable_updates", (SETUP,), "explore_grid(recorded", press),
            ("03_penalized_objective", SHOW_PATH_NEEDS, "show_path(_replies", drag),
        ],
    ),
)
def test_a_slider_of_beta_moves_the_figure(
    lesson, before, shows, move, browser, server, screenshot
):
    with opened(browser, server, f"solutions/{lesson}.ipynb") as notebook:
        for text in (*before, shows):
            notebook.run(notebook.with_text(text))
        cell = notebook.with_text(shows)
        slider = cell.locator(".widget-hslider").filter(has_text="β")
        value, figure = slider.locator(".widget-readout"), cell.locator(".jupyter-widgets img")
        said, drawn = value.inner_text(), figure.get_attribute("src")
        move(notebook.page, slider.locator(".noUi-handle"))
        expect(value).not_to_have_text(said)
        expect(figure).not_to_have_attribute("src", drawn)
        screenshot(notebook.page, f"{lesson}-slider")
