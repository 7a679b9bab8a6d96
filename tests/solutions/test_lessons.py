"""The lessons run: solved without an error, and untouched without a traceback."""

import ast
import copy
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import cache

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError
from nbformat import NotebookNode

from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import NOTEBOOKS, SOLUTIONS, grade_id, lesson_path, read_source
from autograde.grading.from_file import read_and_rebuild
from autograde.grading.single import grade_file
from autograde.grading.slicing import facts
from autograde.grading.steps import program
from helpers.predicted import ASKED
from tests.pages import as_html, descriptions, in_widgets, moving
from tests.some import LONG, some

# Each is executed, in a kernel, which takes half a minute: one with sliders is for now.
EXECUTED = some(LESSONS, "03_penalized_objective".__eq__)


def _execute(notebook: NotebookNode, work, tries: int = 2) -> None:
    """Run all cells; again when one never ends, as ipykernel 7 loses a message now and then."""
    fresh = copy.deepcopy(notebook.cells)
    try:
        NotebookClient(notebook, timeout=240, resources={"metadata": {"path": str(work)}}).execute()
    except CellTimeoutError:
        if tries == 1:
            raise
        notebook.cells = fresh
        _execute(notebook, work, tries - 1)


@pytest.fixture(scope="module")
def executed(tmp_path_factory) -> Callable:
    """A lesson's notebook after all its cells have run, which they do once for all tests."""

    @cache
    def run(folder, lesson: str) -> NotebookNode:
        notebook = nbformat.read(lesson_path(folder, lesson), as_version=4)
        started = time.monotonic()
        _execute(notebook, tmp_path_factory.mktemp(lesson))
        print(f"{lesson}: {time.monotonic() - started:.0f} s in a kernel")
        return notebook

    return run


def texts(notebook: NotebookNode) -> Iterator[str]:
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield output.get("text") or "".join(output.get("data", {}).get("text/plain", ""))


CUT = """
import functools, torch

def _cut(function):
    bare = getattr(function, "__shaped__", function)

    @functools.wraps(bare)
    def cut(*given, **named):
        value = bare(*given, **named)
        return value.detach() if isinstance(value, torch.Tensor) else value
    return cut

{0} = _cut({0})
"""


@LONG
@pytest.mark.parametrize("lesson", LESSONS)
def test_where_values_are_right_and_gradients_are_not_no_cell_fails(lesson, tmp_path):
    notebook = nbformat.read(lesson_path(SOLUTIONS, lesson), as_version=4)
    functions = [n for n, known in exercises(lesson).items() if callable(known.answer)]
    for cell in notebook.cells:
        if grade_id(cell) in functions:
            cell.source += CUT.format(grade_id(cell))
    _execute(notebook, tmp_path)


@pytest.mark.parametrize("lesson", EXECUTED)
def test_solved(lesson, executed):
    """Every assertion in it holds, every exercise gets full points, and nothing warns."""
    notebook = executed(SOLUTIONS, lesson)
    for cell in notebook.cells:
        names = [output.get("name") for output in cell.get("outputs", ())]
        assert "stderr" not in names, cell.source
        if cell.get("metadata", {}).get("nbgrader", {}).get("grade") and cell.cell_type == "code":
            result = next(o for o in cell.outputs if o.output_type == "execute_result")
            assert float(result.data["text/plain"]) == cell.metadata.nbgrader.points
    waits = [text for text in texts(notebook) if "waits for" in text]
    assert all("in place of the dots" in text for text in waits), waits


@pytest.mark.parametrize("lesson", EXECUTED)
def test_untouched(lesson, executed):
    """A student who runs everything at once sees what each cell waits for, and no traceback."""
    notebook = executed(NOTEBOOKS, lesson)
    said = "\n".join(texts(notebook))
    assert "This cell waits for" in said
    assert "not written yet" in said


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_house_style_of_a_lesson(lesson):
    """Short cells, and nothing that ties a lesson to one machine."""
    for cell in read_source(lesson):
        lines = cell.source.splitlines()
        assert all(len(line) <= 100 for line in lines if cell.kind != "markdown"), cell.source
        if cell.kind == "demo":
            assert len([line for line in lines if line.strip()]) <= 16, cell.source
        if cell.kind == "markdown":
            assert cell.source.count("$$") <= 2, cell.source
        for word in ("sys.path", "wget", "pip install", "cuda", "/home"):
            assert word not in cell.source


# Names that a lesson gives the reader to use, or that stand in a cell to be edited. Any other that
# a demo bound could be a helper of theirs, taken away, or found where grading has none.
GIVEN = {
    "06_language_model": {"my_beta"},
    "07_case_study": {"betas", "claims", "own", "seeds", "sweep"},
}


@pytest.mark.parametrize("lesson", LESSONS)
def test_demos_bind_private_names_alone(lesson):
    bound = {
        name
        for cell in read_source(lesson)
        if cell.kind in ("demo", "predict", "check")
        for node in ast.parse(cell.source).body
        for name in facts(node).binds
    }
    assert {name for name in bound if not name.startswith("_")} == GIVEN.get(lesson, set())
    ipython = {"__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "_exit_code"}
    assert not bound & ipython
    assert not [name for name in bound if re.fullmatch(r"_i?\d+", name)]


@pytest.mark.parametrize("lesson", EXECUTED)
def test_what_is_declared_to_come_out_does(lesson, executed):
    """By each lesson's own last words, which the class's report repeats."""
    said = "\n".join(texts(executed(SOLUTIONS, lesson)))
    assert f"{lesson}: what you predicted, and what came out" in said
    came = re.findall(r"^    came out: (.*)\.$", said, re.MULTILINE)
    asked = ASKED[lesson].values()
    assert came == [f"{one.outcome}: {one.choices[one.outcome]}" for one in asked]


@pytest.mark.parametrize("lesson", EXECUTED)
def test_every_image_is_described(lesson, executed):
    """On the page and within its widgets, each in words of its own."""
    notebook = executed(SOLUTIONS, lesson)
    on_page = descriptions(as_html(notebook))
    figures = [o for cell in notebook.cells for o in cell.get("outputs", ()) if is_figure(o)]
    assert figures
    assert len(on_page) == len(figures) + 1  # the badge
    found = on_page + descriptions(in_widgets(notebook))
    assert all(len(alt) > 20 for alt in found if alt != "Open in Colab"), found
    assert len(set(found)) == len(found), found


def is_figure(output: NotebookNode) -> bool:
    return "image/png" in output.get("data", {})


@pytest.mark.parametrize("lesson", EXECUTED)
def test_what_moves_is_shown_still_too(lesson, executed):
    """A page that is only read has a picture, or a table, and words in the place of sliders."""
    notebook = executed(SOLUTIONS, lesson)
    cells = list(moving(notebook))
    assert bool(cells) == (lesson[:2] in ("03", "05", "06"))
    for cell in cells:
        page = as_html(NotebookNode({**notebook, "cells": [cell]}))
        assert ("<table" in page) or any(descriptions(page)), cell.source
        assert "In a running notebook, sliders here move" in page, cell.source


@pytest.fixture(scope="module")
def violations() -> Iterator[Callable[[str], list[str]]]:
    """What axe-core finds on a page, code cells' input apart."""
    from tests.browser.axe import open_browser, serious_violations

    def found(html: str) -> list[str]:
        page = browser.new_page()
        page.route("http**", lambda route: route.abort())  # MathJax: formulas stay as they are
        page.set_content(html, wait_until="domcontentloaded")
        page.add_style_tag(content=NBCONVERT)
        try:
            return serious_violations(page)
        finally:
            page.close()

    # In a thread of its own, as kernels want the event loop that Playwright would leave here.
    with ThreadPoolExecutor(1) as thread, ExitStack() as stack:
        browser = thread.submit(stack.enter_context, open_browser()).result()
        yield lambda html: thread.submit(found, html).result()
        thread.submit(stack.close).result()


# Its template's own choices, which are not the lessons' to make: prompts and code in colours too
# light (half of axe-core's time goes to code), and links that are told by their colour alone.
NBCONVERT = """
.jp-InputPrompt, .jp-OutputPrompt, .highlight { display: none }
.jp-RenderedHTMLCommon a { text-decoration: underline !important }
"""


@pytest.mark.browser
@pytest.mark.parametrize("folder", [SOLUTIONS, NOTEBOOKS], ids=["solved", "untouched"])
@pytest.mark.parametrize("lesson", EXECUTED)
def test_nothing_on_the_page_keeps_people_out(lesson, folder, executed, violations):
    assert violations(as_html(executed(folder, lesson))) == []


@pytest.mark.parametrize("lesson", EXECUTED)
def test_ten_times_its_outputs_meet_no_limit(lesson, executed, tmp_path):
    """What honest work is largest in; it is read, rebuilt and, of two lessons, run as without."""
    notebook = copy.deepcopy(executed(SOLUTIONS, lesson))
    plain = tmp_path / "plain" / f"{lesson}.ipynb"
    large = tmp_path / "large" / f"{lesson}.ipynb"
    for path, times in ((large, 10), (plain, 0)):
        for cell in notebook.cells:
            if "outputs" in cell:
                cell.outputs = cell.outputs * times
        path.parent.mkdir()
        nbformat.write(notebook, path)
    assert large.stat().st_size > plain.stat().st_size
    (found, rebuilt), (_, same) = map(read_and_rebuild, (large, plain))
    assert found == lesson
    assert list(program(rebuilt)) == list(program(same))
    if lesson in ("02_divergence", "07_case_study"):
        graded = grade_file(large).plain()
        assert graded["score"] == graded["max_score"]
