"""Make the README's pictures: what a student and an instructor see.

    python -P -m tests.browser.pictures

A lesson is run with a wrong answer in it, and a sample class is graded.
"""

import tempfile
from pathlib import Path

from nbclient import NotebookClient
from nbconvert import HTMLExporter
from nbformat import NotebookNode
from playwright.sync_api import Browser

from autograde.demo import demo
from autograde.rebuild import grade_id
from autograde.sample import with_mistakes
from tests.browser.axe import open_browser

PICTURES = Path(__file__).parent / "pictures"
LESSON, EXERCISE = "02_divergence", "categorical_kl"
WIDTH = 1000


def checked() -> NotebookNode:
    """The lesson with the arguments of its first exercise exchanged, up to that exercise's check."""
    notebook = with_mistakes(LESSON, 0)
    last = next(i for i, cell in enumerate(notebook.cells) if grade_id(cell) == f"test_{EXERCISE}")
    notebook.cells = notebook.cells[: last + 1]
    NotebookClient(notebook, timeout=300, allow_errors=True).execute()
    notebook.cells = [cell for cell in notebook.cells if EXERCISE in str(grade_id(cell))]
    return notebook


def take(browser: Browser, page: Path, name: str, height: int, theme: str = "light") -> None:
    """The top of a page, as it opens."""
    tab = browser.new_page(viewport={"width": WIDTH, "height": height}, color_scheme=theme)
    tab.goto(page.as_uri(), wait_until="domcontentloaded")
    tab.screenshot(path=PICTURES / f"{name}.png")
    tab.close()
    print(PICTURES / f"{name}.png")


def main() -> None:
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, open_browser() as browser:
        page = Path(scratch, "check.html")
        page.write_text(HTMLExporter().from_notebook_node(checked())[0], encoding="utf-8")
        take(browser, page, "check", 640)
        folder = Path(scratch, "demo")
        demo(folder, lambda items, total: items)
        take(browser, folder / "report.html", "report", 900)
        feedback = next((folder / "term" / "feedback").glob(f"*/{LESSON}/*.html"))
        take(browser, feedback, "feedback", 700)


if __name__ == "__main__":
    main()
