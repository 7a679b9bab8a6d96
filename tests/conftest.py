"""What several test files share."""

import os
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

from autograde.common.guard import fresh
from autograde.course import earlier
from autograde.course.as_cells import handed_in
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions

LESSON = "02_divergence"
os.environ.setdefault("AUTOGRADE_AS_ROOT", "1")  # a machine that runs tests may have no other user


class _PatchSeenByAll(pytest.MonkeyPatch):
    """What is patched here holds too where untrusted data is worked on, see
    `autograde.common.guard`."""

    def setattr(self, *arguments, **named):
        super().setattr(*arguments, **named)
        fresh()

    def undo(self):
        super().undo()
        fresh()


@pytest.fixture
def monkeypatch():
    patch = _PatchSeenByAll()
    yield patch
    patch.undo()


def pytest_addoption(parser):
    parser.addoption("--screenshots", metavar="DIR", help="browser tests leave pictures there")


def pytest_collection_modifyitems(config, items):
    """Where there is no Chromium, their tests are skipped, unless they are asked for."""
    marked = [item for item in items if item.get_closest_marker("browser")]
    if not marked or "browser" in config.option.markexpr:
        return
    from tests.browser.axe import chromium  # else every test would wait for its imports

    if chromium() is None:
        for item in marked:
            item.add_marker(pytest.mark.skip("no Chromium; `make browser` installs it"))


@pytest.fixture
def screenshot(request) -> Callable:
    """Take a picture of a page, or of what is within it, where --screenshots asks for pictures."""
    folder = request.config.option.screenshots
    if folder:
        Path(folder).mkdir(parents=True, exist_ok=True)

    def take(shown, name: str) -> None:
        if folder:
            shown.screenshot(path=f"{folder}/{name}.png")

    return take


@pytest.fixture
def as_earlier(tmp_path, monkeypatch) -> Callable:
    """Adds a notebook to what is known of earlier editions; nothing else is known in the test."""
    for name in ("MARKS", "TEXT_MARKS"):
        monkeypatch.setattr(earlier, name, tmp_path / name)
        (tmp_path / name).touch()

    def add(notebook: NotebookNode) -> None:
        nbformat.write(notebook, tmp_path / "n.ipynb")
        earlier._marks.cache_clear()
        earlier.add([tmp_path / "n.ipynb"])
        earlier._marks.cache_clear()

    yield add
    earlier._marks.cache_clear()


@pytest.fixture
def base() -> NotebookNode:
    """A lesson as a student gets it."""
    return checkout_base(LESSON)


@pytest.fixture
def solved() -> NotebookNode:
    """The same lesson with every answer right."""
    return handed_in(checkout_base(LESSON), solutions(LESSON))


@pytest.fixture
def save(tmp_path) -> Callable:
    """Write a notebook to a file and return its path."""

    def write(notebook: NotebookNode, name: str = f"{LESSON}.ipynb"):
        path = tmp_path / name
        path.write_text(nbformat.writes(notebook), encoding="utf-8")
        return path

    return write
