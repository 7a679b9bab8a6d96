"""A file that is no notebook is told as what it is; one that is a notebook is read."""

import codecs
import json

import nbformat
import pytest

from autograde.common.errors import UsageError
from autograde.course.as_cells import handed_in
from autograde.course.exercises import LESSONS
from autograde.course.lessons import checkout_base
from autograde.course.recognise import lesson_of, recognise
from autograde.course.sample import solutions
from autograde.receiving.collecting import collect
from autograde.term.reading import read_notebook
from autograde.term.term import Term

LESSON = "02_divergence"
WHOLE = '{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}'
NO_NOTEBOOK = {
    "empty": (b"", "an empty file"),
    "spaces": (b" \n\n ", "an empty file"),
    "zip": (b"PK\x03\x04 and so on", "a zip; unpack it"),
    "pdf": (b"%PDF-1.7 and so on", "a PDF"),
    "login": (b"<!DOCTYPE html>\n<html><head><title>Log  in</title>", "a web page ('Log in')"),
    "page": (b"\n\n<html lang='en'><body>", "a web page; download the .ipynb file itself"),
    "conflict": (b'{"cells": [\n<<<<<<< HEAD\n{}\n=======\n{}\n>>>>>>> b\n]}', "merge conflict"),
    "pointer": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "Git LFS pointer"),
    "export": (b"#!/usr/bin/env python\n# coding: utf-8\n\n# In[1]:\n", "Python, exported"),
    "percent": (b"# %%\nimport torch\n", "Python, exported"),
    "text": (b"I could not do it, sorry.", "some other text"),
    "json": (b'{"results": []}', "JSON, but not a notebook"),
    "list": (b"[1, 2]", "JSON, but not a notebook"),
    "cut": (WHOLE[:40].encode(), "broken or cut short); download it again"),
    "latin": ("åäö".encode("latin-1"), "not UTF-8 text"),
    "half": (codecs.BOM_UTF16_LE + b"\0", "neither UTF-8 nor whole UTF-16"),
    "surrogate": (b'{"nbformat":"\\ud800"}', "JSON, but not a notebook"),
    "deep": (b"[" * 100_000, "broken or cut short)"),
}


@pytest.mark.parametrize("kind", NO_NOTEBOOK)
def test_what_it_is_is_told(tmp_path, kind):
    data, says = NO_NOTEBOOK[kind]
    path = tmp_path / "x.ipynb"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read_notebook(path)
    assert says in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("kind", NO_NOTEBOOK)
def test_collecting_tells_the_same_where_no_name_says_the_lesson(tmp_path, kind):
    """With the lesson in its name it is placed: grading tells, and it is somebody's submission."""
    data, says = NO_NOTEBOOK[kind]
    (tmp_path / "term" / ".autograde").mkdir(parents=True)
    (tmp_path / "d" / "ana").mkdir(parents=True)
    (tmp_path / "d" / "ana" / "mine.ipynb").write_bytes(data)
    term = Term(tmp_path / "term")
    result = collect(tmp_path / "d", term)
    assert [says in line for line in result.unplaced] == [True]
    (tmp_path / "d" / "ana" / "mine.ipynb").rename(tmp_path / "d" / "ana" / f"{LESSON}.ipynb")
    assert collect(tmp_path / "d", term).placed == [f"ana/{LESSON}"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_a_notebook_with_a_bom_is_read(tmp_path, solved, encoding):
    path = tmp_path / "x.ipynb"
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    path.write_bytes(mark + nbformat.writes(solved).encode(encoding))
    assert [c.source for c in read_notebook(path).cells] == [c.source for c in solved.cells]


@pytest.mark.parametrize("named", LESSONS)
@pytest.mark.parametrize("held", LESSONS)
@pytest.mark.parametrize("state", ["as given", "solved", "without metadata"])
def test_a_lesson_is_known_under_any_name(tmp_path, named, held, state):
    notebook = checkout_base(held)
    if state != "as given":
        notebook = handed_in(notebook, solutions(held))
    if state == "without metadata":
        for cell in notebook.cells:
            cell.metadata = {}
    assert recognise(tmp_path / f"{named}.ipynb", notebook) == held
    assert recognise(tmp_path / "mine.ipynb", notebook) == held


def test_answers_of_another_lesson_beside_ones_own_change_nothing():
    """Who brings all of lesson 01 along, and whose own cells have lost all but one."""
    cells = [("code", "", source) for source in solutions("01_policy_updates").values()]
    assert lesson_of(LESSON, cells) == "01_policy_updates"
    assert lesson_of(LESSON, [*cells, ("code", "k1", "")]) == LESSON
    assert lesson_of(LESSON, cells[:1]) == LESSON
    assert lesson_of("", []) == ""


def test_a_wrong_lesson_is_placed_as_what_it_is_and_replaces_nothing(tmp_path):
    (tmp_path / "term" / ".autograde").mkdir(parents=True)
    folder = tmp_path / "d" / "ana"
    folder.mkdir(parents=True)
    text = json.dumps(checkout_base("01_policy_updates"))
    (folder / f"{LESSON}.ipynb").write_text(text)
    term = Term(tmp_path / "term")
    result = collect(tmp_path / "d", term)
    assert result.placed == ["ana/01_policy_updates"]
    assert any("this is lesson 01_policy_updates under the name" in line for line in result.notes)
    (folder / "01_policy_updates.ipynb").write_text(text + " ")
    for _ in range(2):
        result = collect(tmp_path / "d", term)
        assert term.submission("ana", "01_policy_updates").read_text() == text + " "
        assert any("under the name of" in line for line in result.notes)
