"""Whatever happened to the notebook, what the student wrote is found, and nothing else is run."""

import json
import random
from copy import deepcopy
from pathlib import Path

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograde.common.errors import UsageError
from autograde.course.earlier import is_earlier
from autograde.course.exercises import exercises
from autograde.course.lesson_frame import address_frame
from autograde.course.lessons import grade_id, mark_of
from autograde.course.predictions import cell_of, write_predictions, written_in
from autograde.grading.rebuild import is_added, rebuild
from autograde.grading.steps import program
from autograde.term.reading import parse_notebook, read_notebook

LESSON = "02_divergence"
NAMES = list(exercises(LESSON))


def defined_by(base, submitted):
    """Run the program of a submission, as the sandbox does, and return what it defines."""
    scope = {}
    for step in program(rebuild(base, submitted)):
        try:
            exec(step.source, scope)
        except Exception as error:
            scope.setdefault("errors", []).append(error)
    return scope


def statuses(base, submitted):
    scope = defined_by(base, submitted)
    described = exercises(LESSON)
    return {name: described[name].grade(scope.get(name)).status for name in NAMES}


def all_right(base, submitted):
    return set(statuses(base, submitted).values()) == {"right"}


def slot(notebook, name):
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def test_untouched(base, solved):
    assert all_right(base, solved)
    assert "right" not in statuses(base, base).values()


def test_the_frame_of_a_lesson_changes_no_program(base, solved):
    """What was handed in before lessons had it, or from a release for Colab, is the same work."""
    wanted = list(program(rebuild(base, solved)))
    older, elsewhere = deepcopy(solved), deepcopy(solved)
    older.cells = older.cells[2:-1]
    address_frame(LESSON, elsewhere, "https://github.com/me/course")
    lost = deepcopy(elsewhere)
    for cell in lost.cells:
        cell["metadata"] = {}
    for submitted in (older, elsewhere, lost):
        assert list(program(rebuild(base, submitted))) == wanted
    old_base = deepcopy(base)
    old_base.cells = old_base.cells[2:-1]
    assert list(program(rebuild(old_base, older))) == wanted
    assert list(program(rebuild(old_base, solved))) == wanted
    assert not [step for step in wanted if "submit(" in step.source or "COURSE" in step.source]


def test_predictions_are_kept_and_change_no_program(base, solved):
    """With their metadata or without, copied, or in no cell at all, as in the first edition."""
    wanted = list(program(rebuild(base, solved)))
    guessed, lost, older = deepcopy(solved), deepcopy(solved), deepcopy(solved)
    write_predictions(guessed, {"ref_price": "A", "drift": "C"})
    write_predictions(lost, {"ref_price": "A", "drift": "C"})
    for cell in lost.cells:
        cell["metadata"] = {}
    lost.cells += [new_code_cell(cell_of("ref_price", "B")), new_code_cell(cell_of("none", "B"))]
    older.cells = [c for c in older.cells if "predict" not in c.metadata.get("tags", ())]
    setup = slot(older, "setup")
    lines = setup.source.splitlines(keepends=True)
    setup.source = "".join(line for line in lines if "predicting" not in line)
    for submitted, found in ((guessed, True), (lost, True), (older, False)):
        rebuilt = rebuild(base, submitted)
        assert list(program(rebuilt)) == wanted
        assert written_in(LESSON, rebuilt) == ({"ref_price": "A", "drift": "C"} if found else {})
        assert not [cell for cell in rebuilt.cells if is_added(cell)]
    older_base = deepcopy(older)
    assert written_in(LESSON, rebuild(older_base, guessed)) == {}


def test_cells_of_an_earlier_edition_are_nobodys_work(base, solved, as_earlier):
    """With other names in its demos, and its metadata lost: the program is the same."""
    wanted = list(program(rebuild(base, solved)))
    older = deepcopy(solved)
    for cell in older.cells:
        if "demo" in cell.metadata.get("tags", ()):
            cell.source = cell.source.replace("_", "old_").replace("old_old_", "_")
        cell["metadata"] = {}
    assert list(program(rebuild(base, older))) != wanted
    as_earlier(older)
    assert list(program(rebuild(base, older))) == wanted
    assert all_right(base, older)


def test_the_first_edition_is_known(base):
    """A demo of lesson 02 as it was, whose names are no longer those."""
    first = Path(__file__).with_name("first_edition_demo.txt").read_text("utf-8")
    assert is_earlier(first)
    assert not is_earlier(first + "\nmine = 1")
    assert not [
        c
        for c in base.cells
        if c.cell_type == "code" and mark_of(c).get("solution") and is_earlier(c.source)
    ]


def test_a_helper_written_below_a_prediction_is_found(base, solved):
    cell = next(c for c in solved.cells if "predict" in c.metadata.get("tags", ()))
    cell.source = (
        cell.source.replace("...", '"A"') + "\n\ndef gap(a, b):\n    return a - b.detach()"
    )
    slot(solved, "k1").source = "def k1(logp, ref_logp):\n    return gap(logp, ref_logp)"
    lost = deepcopy(solved)
    for one in lost.cells:
        one["metadata"] = {}
    for submitted in (solved, lost):
        assert all_right(base, submitted)
        assert written_in(LESSON, rebuild(base, submitted)) == {"two_directions": "A"}


@pytest.mark.parametrize("address", ['""', '"https://github.com/me/course/archive/HEAD.zip"'])
def test_the_first_cell_of_an_earlier_version_is_not_run(base, solved, address):
    wanted = list(program(rebuild(base, solved)))
    older = Path(__file__).with_name("older_first_cell.txt").read_text("utf-8")
    solved.cells[1].source = older.replace('COURSE = ""', f"COURSE = {address}")
    lost = deepcopy(solved)
    lost.cells[1].metadata = {}
    for submitted in (solved, lost):
        assert list(program(rebuild(base, submitted))) == wanted
    lost.cells[1].source += "\nmine = 1"  # a student's work, wherever it stands
    assert list(program(rebuild(base, lost))) != wanted


def test_metadata_lost(base, solved):
    for cell in solved.cells:
        cell["metadata"] = {}
    assert all_right(base, solved)


def test_metadata_of_two_cells_swapped(base, solved):
    one, other = slot(solved, "k1"), slot(solved, "k3")
    one.metadata, other.metadata = other.metadata, one.metadata
    assert all_right(base, solved)


@pytest.mark.parametrize("seed", range(5))
def test_cells_in_another_order(base, solved, seed):
    random.Random(seed).shuffle(solved.cells)
    assert all_right(base, solved)


def test_every_cell_of_ours_deleted(base, solved):
    solved.cells = [cell for cell in solved.cells if grade_id(cell) in NAMES]
    assert all_right(base, solved)


def test_cells_copied(base, solved):
    solved.cells = [deepcopy(cell) for cell in solved.cells for _ in range(2)]
    assert all_right(base, solved)


def test_an_untouched_copy_after_the_answer_does_not_undo_it(base, solved):
    solved.cells.append(deepcopy(slot(base, "k1")))
    assert all_right(base, solved)


def test_the_last_answer_wins_as_when_it_is_run(base, solved):
    again = deepcopy(slot(solved, "k1"))
    again.source = (
        again.source.replace("def k1", "def k1") + "\n\n\nk1 = lambda logp, ref_logp: logp"
    )
    solved.cells.append(again)
    found = statuses(base, solved)
    assert found.pop("k1") == "wrong"
    assert set(found.values()) == {"right"}


def test_answers_joined_in_one_cell(base, solved):
    joined = slot(solved, "k1")
    joined.source = "\n\n".join(slot(solved, name).source for name in ("k1", "k2", "k3"))
    solved.cells = [c for c in solved.cells if grade_id(c) not in ("k2", "k3")]
    assert all_right(base, solved)


def test_a_helper_cell_and_its_imports(base, solved):
    helper = new_code_cell("import numpy as np\n\ndef gap(a, b):\n    return a - b.detach()")
    solved.cells.insert(solved.cells.index(slot(solved, "k1")), helper)
    slot(solved, "k1").source = "def k1(logp, ref_logp):\n    return gap(logp, ref_logp)"
    assert all_right(base, solved)


def test_a_helper_written_into_a_cell_of_ours(base, solved):
    for tag in ("setup", "demo"):
        changed = deepcopy(solved)
        cell = next(c for c in changed.cells if tag in c.metadata.get("tags", ()))
        cell.source += "\n\ndef gap(a, b):\n    return a - b.detach()\n\nraise SystemExit"
        slot(changed, "k1").source = "def k1(logp, ref_logp):\n    return gap(logp, ref_logp)"
        assert all_right(base, changed), tag


def test_magics_in_an_answer(base, solved):
    slot(solved, "k1").source = "%matplotlib inline\n!ls\n" + slot(solved, "k1").source
    rebuilt = rebuild(base, solved)
    assert "%matplotlib" in next(s.source for s in program(rebuilt) if s.of == "k1")


def test_an_answer_that_is_not_python_costs_itself_only(base, solved):
    slot(solved, "k1").source = "def k1(logp ref_logp):\n return"
    found = statuses(base, solved)
    assert found.pop("k1") != "right"
    assert set(found.values()) == {"right"}


def test_demos_and_checks_are_not_run(base, solved):
    for cell in solved.cells:
        if {"demo", "check"} & set(cell.metadata.get("tags", ())):
            cell.source += "\nraise RuntimeError('run')"
    assert "errors" not in defined_by(base, solved)


def test_the_lessons_own_cells_come_back(base, solved):
    solved.cells = [slot(solved, name) for name in NAMES]
    rebuilt = rebuild(base, solved)
    assert [grade_id(c) for c in rebuilt.cells] == [grade_id(c) for c in base.cells]


def test_prose_of_the_student_is_no_code(base, solved):
    solved.cells.insert(3, new_markdown_cell("def k1(): I thought about it"))
    assert all_right(base, solved)


@pytest.mark.parametrize(
    "metadata",
    [
        {"nbgrader": "k1"},
        {"nbgrader": {"grade_id": ["k1"]}},
        {"nbgrader": {"grade_id": "k1", "solution": "yes", "points": -1}},
        {"tags": "demo"},
        {"tags": [["demo"], 3]},
        {"nbgrader": {"grade_id": "setup", "locked": True}},
    ],
)
def test_metadata_that_makes_no_sense(base, solved, metadata):
    for cell in solved.cells:
        if grade_id(cell) != "k1":
            cell.metadata = deepcopy(metadata)
    submitted = parse_notebook(json.dumps(solved), "odd.ipynb")
    assert all_right(base, submitted)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty file"),
        ('{"cells": [', "broken or cut short"),
        ("[" * 100_000, "broken or cut short"),
        ("[]", "not a notebook"),
        ('{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a notebook"),
        ('{"cells": [3], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "not a notebook"),
        (
            '{"cells": [], "nbformat": 4, "nbformat_minor": 5,'
            ' "metadata": {"kernelspec": {"name": "ir", "language": "R"}}}',
            "kernel is for 'R'",
        ),
    ],
)
def test_what_is_no_notebook_is_said_to_be_none(tmp_path, text, says):
    path = tmp_path / "x.ipynb"
    path.write_text(text)
    with pytest.raises(UsageError, match=says) as caught:
        read_notebook(path)
    assert str(path) in str(caught.value)


def test_bytes_that_are_no_text(tmp_path):
    path = tmp_path / "x.ipynb"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="neither UTF-8 nor"):
        read_notebook(path)
    with pytest.raises(UsageError, match="no such file"):
        read_notebook(tmp_path / "none.ipynb")
    with pytest.raises(UsageError, match="cannot be read"):
        read_notebook(tmp_path)
