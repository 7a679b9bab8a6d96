"""Whatever the download looks like, a notebook finds its student, or is told of."""

import os
import zipfile

import nbformat
import pytest

from autograde.collecting import collect
from autograde.errors import UsageError
from autograde.term import Term

LESSON = "02_divergence"


@pytest.fixture
def term(tmp_path):
    """As much of a term folder as collecting needs."""
    root = tmp_path / "term"
    (root / "submitted").mkdir(parents=True)
    rows = ["ana,Ana,A,a@x.org", "bo_lee,Bo,Lee,b@x.org", "c.d-e,C,D,c@x.org"]
    (root / "roster.csv").write_text("\n".join(["id,first_name,last_name,email", *rows]) + "\n")
    return Term(root)


@pytest.fixture
def text(solved):
    return nbformat.writes(solved)


def write(folder, name, text, age=0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ana/02_divergence.ipynb", "ana"),
        ("ana_02_divergence.ipynb", "ana"),
        ("bo_lee_02_divergence.ipynb", "bo_lee"),
        ("02_divergence_c.d-e.ipynb", "c.d-e"),
        ("Copy of ana_02_divergence.ipynb", "ana"),
        ("ana_02_divergence (1).ipynb", "ana"),
        ("ana/Copy of Copy of 02_divergence (2).ipynb", "ana"),
        ("bo_lee/whatever.ipynb", "bo_lee"),
        ("02_divergence/ana/02_divergence.ipynb", "ana"),
        ("late/ana_93211_02_divergence.ipynb", "ana"),
        ("stranger/02_divergence.ipynb", "stranger"),
    ],
)
def test_a_file_finds_its_student(tmp_path, term, text, name, student):
    write(tmp_path / "downloads", name, text)
    assert collect(tmp_path / "downloads", term).placed == [f"{student}/{LESSON}"]
    assert term.submission(student, LESSON).read_text("utf-8") == text


def test_the_latest_of_several_wins_and_it_is_said(tmp_path, term, text):
    write(tmp_path / "d", "ana_02_divergence.ipynb", text, age=100)
    newest = text.replace("nbformat_minor", "nbformat_minor ")
    write(tmp_path / "d", "ana_02_divergence (1).ipynb", newest, age=10)
    result = collect(tmp_path / "d", term)
    assert term.submission("ana", LESSON).read_text("utf-8") == newest
    assert len(result.notes) == 1
    assert "ana" in result.notes[0]


def test_a_zip_and_what_is_wrong_in_it(tmp_path, term, text):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ana/02_divergence.ipynb", text)
        archive.writestr("../../../evil/bo_lee_02_divergence.ipynb", text)
        archive.writestr("notes.txt", "hello")
        archive.writestr("__MACOSX/ana/._02_divergence.ipynb", "x")
    result = collect(path, term)
    assert result.placed == [f"ana/{LESSON}", f"bo_lee/{LESSON}"]
    assert ["notes.txt" in line for line in result.unplaced] == [True]
    assert not (tmp_path.parent / "evil").exists()


def test_a_broken_notebook_is_still_somebodys(tmp_path, term, text):
    write(tmp_path / "d", "ana/02_divergence.ipynb", text[:500])
    assert collect(tmp_path / "d", term).placed == [f"ana/{LESSON}"]


def test_what_cannot_be_placed_is_told(tmp_path, term, text):
    write(tmp_path / "d", "ana/holiday.ipynb", '{"cells": [], "nbformat": 4, "metadata": {}}')
    write(tmp_path / "d", "broken.zip", "no zip")
    write(tmp_path / "d", "+/02_divergence.ipynb", text)
    result = collect(tmp_path / "d", term)
    assert result.placed == []
    assert len(result.unplaced) == 3
    assert list((term.root / "submitted").iterdir()) == []


def test_nothing_there(tmp_path, term):
    with pytest.raises(UsageError, match="no such file or folder"):
        collect(tmp_path / "nothing", term)


def test_a_link_is_not_followed(tmp_path, term, text):
    secret = write(tmp_path, "secret_02_divergence.ipynb", text)
    (tmp_path / "d" / "ana").mkdir(parents=True)
    (tmp_path / "d" / "ana" / "02_divergence.ipynb").symlink_to(secret)
    assert collect(tmp_path / "d", term).placed == []
