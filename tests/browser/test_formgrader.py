"""An instructor grades essays by hand, in nbgrader's formgrader within JupyterLab."""

import csv
import re
import subprocess
import sys
from contextlib import contextmanager

import nbformat
import pytest
from nbformat.v4 import new_output
from playwright.sync_api import expect

from autograde.term.term import init
from tests import term as play
from tests.browser.axe import open_browser
from tests.browser.jupyterlab import serve, tab
from tests.classroom import cell
from tests.some import LONG

pytestmark = [pytest.mark.browser, LONG]  # a minute, and four commands

LESSON, (IMPACT, CLAIMS) = play.ESSAY_LESSON, play.ESSAYS
RIGHT, MISTAKEN = 4, 1  # students of the play
PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5E"
    "rkJggg=="
)
COMMENT = "The *second* curve has no number."


def autograde(term, *words):
    """The command, as an instructor types it in the term folder; what it printed."""
    command = [sys.executable, "-m", "autograde", *words]
    done = subprocess.run(command, cwd=term.root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def term(tmp_path):
    """Two students of one lesson, graded, with two essays each that wait."""
    term = init(tmp_path / "term")
    for number in (RIGHT, MISTAKEN):
        path = term.submission(play.student_id(number), LESSON)
        path.parent.mkdir(parents=True)
        path.write_text(nbformat.writes(with_picture(LESSON, number)), encoding="utf-8")
    autograde(term, "grade")
    return term


def with_picture(lesson, number):
    """A picture is pasted into one essay; the cells that its rubric asks about have been run."""
    notebook = play.notebook(lesson, number)
    essay = cell(notebook, IMPACT)
    essay.source += "\n\n![pasted](attachment:image.png) ![gone](attachment:none.png)"
    essay["attachments"] = {"image.png": {"image/png": PNG}}
    for one in notebook.cells:
        if IMPACT in one.metadata.get("evidence", ()):
            shown = {"image/png": PNG, "text/plain": "my own plot"}
            one.outputs = [new_output("display_data", shown)]
    return notebook


def exported(term):
    """(points, whether an essay waits) of each student in the lesson."""
    autograde(term, "export", "--to", "points.csv")
    with (term.root / "points.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["lesson"] == LESSON]
    return {row["id"]: (float(row["score"]), row["needs_hand_grading"]) for row in rows}


@contextmanager
def kept(page, kind):
    """Over when the server has kept the score, or the comment, that is given in the block."""
    with page.expect_response(
        lambda r: r.request.method == "PUT" and f"/api/{kind}/" in r.url
    ) as r:
        yield
    assert r.value.ok


def find_submission(term, student):
    """What formgrader calls the student's notebook."""
    with term.api().gradebook as gradebook:
        return gradebook.find_submission_notebook(LESSON, LESSON, student).id


def test_scores_given_by_hand_count(term, tmp_path, screenshot):
    """As an instructor does it: from the menu to the essay, a score and a comment."""
    student, other = play.student_id(RIGHT), play.student_id(MISTAKEN)
    before = exported(term)
    assert [waits for _, waits in before.values()] == ["True", "True"]
    (tmp_path / "home").mkdir()
    with (
        serve(term.root, tmp_path / "home") as server,
        open_browser() as browser,
        tab(browser, server, "lab") as page,
    ):
        grade_by_hand(page, find_submission(term, student), screenshot)
    after = exported(term)
    assert after == {student: (before[student][0] + 4.5 + 6, "False"), other: before[other]}
    autograde(term, "feedback")
    (feedback,) = (term.root / "feedback" / student / LESSON).glob("*.html")
    said = feedback.read_text("utf-8")
    assert "The <em>second</em> curve has no number." in said
    assert "4.5 of 6" in said


def grade_by_hand(page, submission, screenshot):
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.get_by_role("menuitem", name="Formgrader", exact=True).click()
    formgrader = page.frame_locator("iframe")
    formgrader.get_by_role("link", name="Manual Grading").click()
    formgrader.locator(f"a[href$='/gradebook/{LESSON}']").click()
    formgrader.locator(f"a[href$='/gradebook/{LESSON}/{LESSON}']").click()
    screenshot(page, "formgrader-submissions")
    formgrader.locator(f"a.name-hidden[href*='{submission}']").click()
    score, comment = formgrader.locator(f"#{IMPACT}"), formgrader.locator(f"#{IMPACT}-comment")
    # Ready when it has fetched the scores.
    expect(score).to_have_class(re.compile("needs_manual_grade"))
    with kept(page, "grade"):
        score.fill("4.5")
        score.press("Tab")
    with kept(page, "comment"):
        comment.fill(COMMENT)
        comment.press("Tab")
    for described in ("pasted", "my own plot"):  # shown, and not as a broken picture
        picture = formgrader.get_by_role("img", name=described).first
        expect(picture).to_have_js_property("naturalWidth", 1)
    screenshot(page, "formgrader")
    with kept(page, "grade"):
        claims = formgrader.locator(".nbgrader_cell", has=page.locator(f"#{CLAIMS}"))
        claims.get_by_role("button", name="Full credit").click()
