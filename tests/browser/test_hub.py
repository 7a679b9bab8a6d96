"""A lesson on a JupyterHub, from its release to its feedback, as README's recipe has it.

An instructor and two students are users of the system. What a person clicks is clicked.
"""

import csv

import pytest
from playwright.sync_api import expect

from tests.browser import hub as hubs
from tests.browser.axe import open_browser
from tests.browser.jupyterlab import RUNS, Lesson
from tests.some import LONG

pytestmark = pytest.mark.browser

LESSON = "00_start_here"
NOTEBOOK = f"{LESSON}/{LESSON}.ipynb"
INES, ANA, BEN = "ines", "ana", "ben"  # who teaches, who is right, who is not
RIGHT = "    return p.log() - q.log()"
WRONG = "    return q.log() - p.log()"
SETTINGS = 'load_subconfig("{}/nbgrader_config.py")'  # for formgrader, in the instructor's home
TERMINAL = (
    f"nbgrader release_assignment {LESSON}",
    f"nbgrader collect {LESSON}",
    "autograde grade",
    "autograde feedback",
    f"nbgrader release_feedback {LESSON}",
)
ROSTER = f"id,first_name,last_name,email\n{ANA},Ana,Lind,\n{BEN},Ben,Moss,\n"
SUCCESS = "Success! Your notebook passes all the tests."


@pytest.fixture
def hub():
    if why := hubs.lacking():
        pytest.skip(why)
    with hubs.running(INES, [ANA, BEN]) as hub:
        yield hub


@pytest.fixture
def browser():
    with open_browser() as browser:
        yield browser


def release(hub):
    """The term and its lesson, in the instructor's terminal."""
    roster = hub.term.parent / "roster.csv"
    roster.write_text(ROSTER, encoding="utf-8")
    hub.run(INES, "autograde", "init", hub.term, "--roster", roster)
    settings = SETTINGS.format(hub.term)
    write = f"mkdir -p .jupyter && echo '{settings}' >.jupyter/nbgrader_config.py"
    hub.run(INES, "sh", "-c", write)
    hub.run(INES, *TERMINAL[0].split(), folder=hub.term)


def handed_in(hub):
    """Whose work is in the exchange."""
    inbound = hub.exchange / hubs.COURSE / "inbound"
    return sorted(path.name.partition("+")[0] for path in inbound.iterdir())


def open_list(page):
    """nbgrader's list of assignments, by the menu."""
    page.get_by_role("menuitem", name="Nbgrader", exact=True).click()
    page.get_by_role("menuitem", name="Assignment List", exact=True).click()
    page.locator("#refresh_assignments_list").click()


def open_lesson(hub, page, user):
    page.goto(f"{hub.url}/user/{user}/lab/tree/{NOTEBOOK}")
    page.locator(".jp-Notebook .jp-Cell").first.wait_for()
    page.get_by_text("| Idle").wait_for()
    return Lesson(page, hub.homes / user / NOTEBOOK)


def work(hub, page, user, body, choice):
    """Fetch the lesson and answer it; the open notebook."""
    open_list(page)
    page.get_by_role("button", name="Fetch", exact=True).click()
    page.locator("#fetched_assignments_list").get_by_text(LESSON).first.wait_for()
    notebook = open_lesson(hub, page, user)
    notebook.run(notebook.with_text("from helpers import check"))
    notebook.answer("log_ratio", body)
    notebook.write(notebook.cell("q00_units"), f'q00_units = "{choice}"')
    notebook.run(notebook.cell("q00_units"))
    return notebook


def validate(page):
    """By the notebook's toolbar; what that says."""
    page.get_by_role("button", name="Validate", exact=True).click()
    page.locator("#validation-message").wait_for(timeout=RUNS * 1000)
    return page.locator("#validation-message").inner_text()


def leave(page):
    page.get_by_role("button", name="Ok", exact=True).click()


def hand_in_by_cell(notebook, word):
    """Save, run the last cell and answer what it asks; what it says then."""
    notebook.page.keyboard.press("ControlOrMeta+s")
    cell = notebook.with_text("submit(")
    cell.locator(".cm-content").click()
    notebook.page.keyboard.press("Shift+Enter")
    asked = notebook.page.locator("input.jp-Stdin-input")
    asked.fill(word)
    asked.press("Enter")
    said = cell.locator(".jp-OutputArea-output").filter(has_text="anded in")
    expect(said.last).to_be_visible()
    return cell.inner_text()


def hand_in_by_list(page):
    open_list(page)
    row = page.locator("#fetched_assignments_list")
    row.get_by_role("button", name="Submit", exact=True).click()
    page.locator("#submitted_assignments_list").get_by_text(LESSON).first.wait_for()


def read_feedback(hub, page, user, screenshot):
    """Fetched and opened by nbgrader's list; what stands on the page."""
    open_list(page)
    listed = page.locator("#submitted_assignments_list")
    listed.get_by_role("button", name="Fetch Feedback", exact=True).click()
    listed.get_by_text("(view feedback)").click()
    page.locator(".jp-DirListing-item", has_text=f"{LESSON}.html").dblclick()
    title = page.frame_locator("iframe").get_by_role("heading", level=1)
    expect(title).to_contain_text("points", timeout=RUNS * 1000)
    screenshot(page, f"hub-feedback-{user}")
    (kept,) = (hub.homes / user / LESSON / "feedback").glob("*/*.html")
    return kept.read_text("utf-8")


def ana_works(hub, page, screenshot):
    """All is right, and handed in by the last cell."""
    notebook = work(hub, page, ANA, RIGHT, "C")
    assert SUCCESS in validate(page)
    screenshot(page, "hub-validate-right")
    leave(page)
    assert handed_in(hub) == []  # though Validate runs the last cell too
    assert "Not handed in" in hand_in_by_cell(notebook, "no")
    assert handed_in(hub) == []
    assert f"nbgrader has it, for {hubs.COURSE}" in hand_in_by_cell(notebook, "yes")
    screenshot(page, "hub-handed-in")


def ben_works(hub, page, screenshot):
    """Nothing is right, which Validate says; handed in by nbgrader's list."""
    work(hub, page, BEN, WRONG, "A")
    said = validate(page)
    screenshot(page, "hub-validate-wrong")
    assert "log_ratio: not right yet" in said
    assert SUCCESS not in said
    leave(page)
    assert handed_in(hub) == [ANA]
    hand_in_by_list(page)
    screenshot(page, "hub-list")


def grade(hub):
    """In the instructor's terminal; points by student."""
    for line in TERMINAL[1:]:
        hub.run(INES, *line.split(), folder=hub.term)
    hub.run(INES, "autograde", "export", "--to", "points.csv", folder=hub.term)
    with (hub.term / "points.csv").open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.DictReader(file) if row["lesson"] == LESSON]
    return {row["id"]: float(row["score"]) for row in rows}


def looked_over(hub, page, screenshot):
    """What formgrader says of the lesson to the instructor: in a tab of its own, as a hub lets no
    page of a user's be shown within another."""
    page.goto(f"{hub.url}/user/{INES}/formgrader")
    row = page.locator("tr", has=page.get_by_role("link", name=LESSON))
    row.first.wait_for()
    screenshot(page, "hub-formgrader")
    return row.first.inner_text().split()


@LONG  # four minutes
def test_from_release_to_feedback(hub, browser, screenshot):
    release(hub)
    for closed in (hub.term, hub.course, hub.term / "gradebook.db", hub.homes / BEN):
        assert "Permission denied" in hub.tried(ANA, "ls", closed).stderr
    with hub.logged_in(browser, ANA) as page:
        ana_works(hub, page, screenshot)
    with hub.logged_in(browser, BEN) as page:
        ben_works(hub, page, screenshot)
    assert handed_in(hub) == [ANA, BEN]
    assert grade(hub) == {ANA: 5, BEN: 0}
    with hub.logged_in(browser, INES) as page:
        assert looked_over(hub, page, screenshot)[-2:] == ["released", "2"]
    for user, points, says in (
        (ANA, "5 of 5 points", ""),
        (BEN, "0 of 5 points", "The sign is turned"),
    ):
        with hub.logged_in(browser, user) as page:
            told = read_feedback(hub, page, user, screenshot)
        assert points in told
        assert says in told


def test_what_is_tried_here_is_what_readme_says():
    text = (hubs.ROOT / "README.md").read_text("utf-8")
    recipe = text.partition("### On a hub\n")[2].partition("\n### ")[0]
    told = [line.strip() for line in recipe.splitlines() if line.startswith("    ")]
    settings = hubs.NBGRADER_CONFIG.format(course=hubs.COURSE, exchange="/srv/exchange")
    places = {"students": "/opt/students", "instructors": "/opt/course/.venv"}
    chosen = hubs.CHOOSE.format(instructor=INES, **places)
    tried = [*settings.splitlines(), *chosen.splitlines(), *TERMINAL]
    tried += [SETTINGS.format(f"/home/{INES}/term")]
    lines = [line.strip().replace("'", '"') for line in tried if line.strip()]
    lacking = [line for line in lines if not any(one.startswith(line) for one in told)]
    assert lacking == []
    makefile = (hubs.ROOT / "Makefile").read_text("utf-8")
    for what in ("[lab]", "nbgrader", "labextension disable --level=sys_prefix @jupyter/nbgrader"):
        assert any(what in line for line in told)
        assert what in makefile
