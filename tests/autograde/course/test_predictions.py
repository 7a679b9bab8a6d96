"""Predictions are read from what was handed in as text: nothing runs, nothing else is taken."""

from copy import deepcopy

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograde.common.errors import UsageError
from autograde.course import lessons
from autograde.course.exercises import LESSONS
from autograde.course.lessons import checkout_base, lesson_path, read_source
from autograde.course.predictions import (
    cell_of,
    is_prediction,
    predicted_in,
    write_predictions,
    written_in,
)
from helpers.predicted import ASKED

LESSON, NAME, OTHER = "02_divergence", "ref_price", "drift"


def read(*sources):
    return predicted_in([new_code_cell(source) for source in sources])


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_has_the_cells_of_its_predictions(lesson):
    """With no mark of nbgrader's, so that they are neither cleared nor graded."""
    cells = [c for c in checkout_base(lesson).cells if c.metadata.get("tags") == ["predict"]]
    assert [cell.source for cell in cells] == [cell_of(name) for name in ASKED[lesson]]
    assert not any("nbgrader" in cell.metadata for cell in cells)


@pytest.mark.parametrize(
    "source",
    ['predict("ref_price", "B")', "predict('ref_price', ' b')  # sure?",
     '\npredict(\n"ref_price",\n"b")', 'x = 1\npredict("ref_price", "B")'],
)  # fmt: skip
def test_what_was_typed_is_read(source):
    assert read(source) == {NAME: "B"}


def test_the_first_that_is_a_choice_counts():
    sources = [f'predict("{NAME}", {typed})' for typed in ("...", '"E"', "3", '"C"', '"A"')]
    assert read(*sources, f'predict("{OTHER}", "A")\npredict("{OTHER}", "B")') == {
        NAME: "C",
        OTHER: "A",
    }


@pytest.mark.parametrize(
    "source",
    [
        'predict("ref_price", "E")', 'predict("ref_price", b"A")', 'predict("ref_price", None)',
        'predict("ref_price", ["A"])', 'predict("ref_price", "A" + "")', "predict(name, 'A')",
        'predict("ref_price")', 'predict("ref_price", "A", 1)', 'predict("ref_price", *"A")',
        'predict(*("ref_price", "A"))', 'predict(**{"name": "ref_price"})', 'predict(7, "A")',
        'predict("ref_prize", "A")', 'predict("rising", "B")',  # an earlier edition's
        'predict("", "")', 'print(predict("ref_price", "A"))',
        'if True:\n    predict("ref_price", "A")', 'x.predict("ref_price", "A")',
        'predict("ref_price", f"A")', 'predict("ref_price", "A"', "predict(" * 300, "predict\x00",
        'predict("ref_price", "' + "A" * 10**6 + '")', 'predict(("ref_price",), "A")',
        'predict("ref_price", "\ud800")'.encode("utf-8", "replace").decode(), "predict", "",
        'predict("ref_price", "A")\n' + "#" * 10**6, "-" * 1900 + "predict",
    ],
)  # fmt: skip
def test_whatever_else_stands_there_is_left_out(source):
    assert read(source) == {}
    is_prediction(source)  # and no error


def test_text_is_no_prediction():
    assert predicted_in([new_markdown_cell(cell_of(NAME, "A"))]) == {}


@pytest.mark.parametrize(
    ("source", "alone"),
    [
        (cell_of(NAME), True), (cell_of(NAME, "A"), True), ('predict("what?", open("x"))', True),
        ("# I think\n" + cell_of(NAME, "A") + "\n", True), ("predict(model, x)", False),
        (cell_of(NAME, "A") + "\ny = 2", False), ("x = predict('a', 'A')", False), ("", False),
        ("predict = print\npredict('a')", False),
    ],
)  # fmt: skip
def test_a_cell_that_only_predicts(source, alone):
    assert is_prediction(source) is alone


def test_letters_are_written_into_the_lesson_s_own_cells():
    base = checkout_base(LESSON)
    written = deepcopy(base)
    write_predictions(written, {NAME: "C", "how_low": "A"})
    assert written_in(LESSON, written) == {NAME: "C"}
    assert written_in(LESSON, base) == written_in("01_policy_updates", written) == {}
    changed = [a.source for a, b in zip(written.cells, base.cells, strict=True) if a != b]
    assert changed == [cell_of(NAME, "C")]


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('predict="drift"', 'predict="drifted"', "predicted.py has"),
        ('predict("drift", ...)', 'predict("drift")', 'is not predict("drift", ...)'),
        ("# - **B**: about 20 times as large\n", "", "lacks **B**: about 20 times as large"),
    ],
)
def test_a_slip_in_a_lesson_s_source_is_told(old, new, told, tmp_path, monkeypatch):
    monkeypatch.setattr(lessons, "SOLUTIONS", tmp_path)
    text = lesson_path(lessons.ROOT / "solutions", LESSON, ".py").read_text("utf-8")
    assert old in text
    path = lesson_path(tmp_path, LESSON, ".py")
    path.parent.mkdir()
    path.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UsageError) as error:
        read_source(LESSON)
    assert told in str(error.value)
