"""How a figure and its sliders are shown, in a kernel that has no frontend."""

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell, new_notebook

from tests.pages import VIEW, as_html, descriptions, in_widgets

CELLS = {
    "bare": """\
import sys

import matplotlib.pyplot as plt

plt.plot([1, 2])
plt.show()""",
    "described": """\
from helpers.plots import new_figure, show

figure, (axis,) = new_figure()
axis.plot([1, 2])
show(figure, 'It rises from 1 to 2, "<steeply>" & on.')""",
    "moving": """\
from helpers.plots import with_sliders

show(new_figure()[0], "x is 1")
with_sliders(
    lambda x: show(new_figure()[0], f"x is {x}"),
    lambda widgets: {"x": widgets.IntSlider(value=2)},
    "x",
)""",
    "without ipywidgets": """\
sys.modules["ipywidgets"] = None  # from here on, importing it fails""",
    "browse_texts": """\
from helpers.language_model.runs import recorded
from helpers.plots.language_model import browse_texts

browse_texts(recorded(), [0.0, 0.2])""",
    "show_path": """\
from helpers.plots.penalized_objective import show_path
from helpers.problems.penalized_objective import three_replies
from helpers.reference import optimal_policy

show_path(three_replies(), optimal_policy)""",
    "explore_grid": """\
from helpers.plots.stable_updates import explore_grid
from helpers.problems.stable_updates import recorded_runs

explore_grid(recorded_runs())""",
}


@pytest.fixture(scope="module")
def notebook() -> nbformat.NotebookNode:
    cells = [new_code_cell(source) for source in CELLS.values()]
    return NotebookClient(new_notebook(cells=cells), timeout=240).execute()


@pytest.fixture
def cell(notebook):
    """Of the notebook after it has run, the cell with this name, alone."""

    def only(name: str) -> nbformat.NotebookNode:
        index = list(CELLS).index(name)
        return nbformat.NotebookNode({**notebook, "cells": [notebook.cells[index]]})

    return only


def test_a_figure_that_is_only_shown_has_no_description(cell):
    assert descriptions(as_html(cell("bare"))) == [""]


def test_a_description_is_in_the_image_beneath_it_and_in_the_text(cell):
    says = 'It rises from 1 to 2, "<steeply>" & on.'
    page = as_html(cell("described"))
    assert descriptions(page) == [says]
    assert "&amp; on.</em></figcaption>" in page
    (output,) = cell("described").cells[0].outputs
    assert output.data["text/plain"] == says
    assert output.metadata["image/png"]["alt"] == says
    assert output.data["image/png"] in output.data["text/html"]


def test_sliders_leave_a_sentence_on_a_page_that_is_only_read(cell):
    page = as_html(cell("moving"))
    assert descriptions(page) == ["x is 1"]
    assert "sliders here move x" in page
    assert "VBox" not in page


def test_what_sliders_draw_is_described(notebook):
    assert descriptions(in_widgets(notebook)) == ["x is 2"]


@pytest.mark.parametrize("name", ["browse_texts", "show_path", "explore_grid"])
def test_without_ipywidgets_what_is_still_is_shown(cell, name):
    outputs = cell(name).cells[0].outputs
    assert not any(VIEW in output.get("data", {}) for output in outputs)
    page = as_html(cell(name))
    assert "<table" in page or len(descriptions(page)) == 1
    assert "" not in descriptions(page)
