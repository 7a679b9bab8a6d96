"""Handing in says what is open, packs what was saved, and never raises at a student."""

import hashlib
import json
import os
import re
import sys
from datetime import UTC, datetime, timedelta
from types import ModuleType, SimpleNamespace
from zipfile import ZipFile

import nbformat
import pytest
from nbformat.v4 import new_output

from autograde.course.sample import solutions
from helpers import submit

LESSON = "02_divergence"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder to work in, where nothing tells the notebook's name."""
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "no_settings"))
    made = tmp_path / "work" / LESSON
    made.mkdir(parents=True)
    monkeypatch.chdir(made)
    return made


def save(notebook, path):
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    return path


def call(capsys, *arguments, **scope) -> str:
    """What a cell with `submit(…)` says in a notebook with these names."""
    exec("submit(*arguments)", {"submit": submit, "arguments": arguments, **scope})
    said = capsys.readouterr()
    assert not said.err
    return said.out


def ran(sources):
    """A notebook's names after its cells ran, with IPython's record of them."""
    scope = {}
    for source in sources:
        exec(source, scope)
    record = SimpleNamespace(input_hist_raw=["", *sources])
    return scope | {"get_ipython": lambda: SimpleNamespace(history_manager=record)}


def setup_of(notebook):
    return next(c.source for c in notebook.cells if "setup" in c.metadata.get("tags", ()))


def packed(path):
    with ZipFile(path) as archive:
        assert archive.namelist() == [f"{LESSON}.ipynb", "manifest.json"]
        data = archive.read(f"{LESSON}.ipynb")
        return data, json.loads(archive.read("manifest.json"))


def test_what_is_packed(folder, capsys, solved):
    for cell in solved.cells:
        if cell.cell_type == "code":
            cell.outputs = [new_output("stream", text="x" * 1000)]
    solved.metadata["widgets"] = {"state": "y" * 1000}
    source = save(solved, folder / f"{LESSON}.ipynb")
    before = source.read_bytes()
    said = call(capsys, LESSON, **ran([setup_of(solved), *solutions(LESSON).values()]))
    data, manifest = packed(folder / f"{LESSON}.zip")
    notebook = nbformat.reads(data.decode(), as_version=4)
    nbformat.validate(notebook)
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in solved.cells]
    assert not any(cell.get("outputs") for cell in notebook.cells)
    assert "widgets" not in notebook.metadata
    assert manifest["sha256"] == hashlib.sha256(data).hexdigest()
    assert manifest["lesson"] == LESSON
    assert re.match(r"\d+\.\d+", manifest["version"])
    assert datetime.now(UTC) - datetime.fromisoformat(manifest["time"]) < timedelta(hours=1)
    assert "everything is written and passes" in said
    assert str(folder / f"{LESSON}.zip") in said
    assert "NOT UP TO DATE" not in said
    assert source.read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == [source.name, f"{LESSON}.zip"]


def test_it_says_what_is_open(folder, capsys, base):
    save(base, folder / f"{LESSON}.ipynb")
    answers = solutions(LESSON)
    answers["k1"] = "def k1(logp, ref_logp):\n    return ref_logp - logp"
    answers["k2"] = "def k2(logp, ref_logp):\n    raise NotImplementedError()"
    answers["k3"] = "def k3(logp, ref_logp):\n    print('noise')\n    return 1 / 0"
    del answers["q02_dynamics"]
    said = call(capsys, LESSON, **ran([setup_of(base), *answers.values()]))
    assert re.search(r"not right yet: .*k1", said)
    assert re.search(r"not written yet: .*k2", said)
    assert re.search(r"raised an exception: .*k3", said)
    assert "run its cell first: q02_dynamics" in said
    assert "noise" not in said
    assert "can be handed in as it is" in said


def test_essays_are_looked_at_too(folder, capsys):
    from autograde.course.lessons import checkout_base

    lesson = "07_case_study"
    save(checkout_base(lesson), folder / f"{lesson}.ipynb")
    said = call(capsys, lesson)
    assert "essay not written yet, in its own cell: essay_impact, essay_claims\n" in said
    assert "run the cells that this essay's rubric asks about: essay_impact, essay_claims" in said
    assert (folder / f"{lesson}.zip").exists()


def test_what_a_rubric_asks_about_is_packed_and_nothing_else(folder, capsys):
    from autograde.course.lessons import checkout_base

    lesson, png = "05_stable_updates", "iVBORw0KGgo="
    notebook = checkout_base(lesson)
    html = {"text/html": "<b>no</b>", "image/png": png, "image/svg+xml": "<svg/>"}
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [
                new_output("display_data", html | {"text/plain": "a plot"}),
                new_output("stream", text="seen" + "x" * 30_000),
                new_output("stream", name="stderr", text="warned"),
                new_output("display_data", {"application/vnd.jupyter.widget-view+json": {}}),
            ]
    save(notebook, folder / f"{lesson}.ipynb")
    assert "run the cells" not in call(capsys, lesson)
    with ZipFile(folder / f"{lesson}.zip") as archive:
        kept = nbformat.reads(archive.read(f"{lesson}.ipynb").decode(), as_version=4)
    nbformat.validate(kept)
    asked = [cell for cell in kept.cells if cell.metadata.get("evidence")]
    assert asked
    for cell in asked:
        picture, printed = cell.outputs
        assert picture.data == {"image/png": png, "text/plain": "a plot"}
        assert (printed.text[:4], len(printed.text)) == ("seen", 20_000)
    assert not any(c.get("outputs") for c in kept.cells if not c.metadata.get("evidence"))


def test_a_file_that_is_older_than_what_was_run_is_told(folder, capsys, solved):
    save(solved, folder / f"{LESSON}.ipynb")
    changed = solutions(LESSON)
    changed["k1"] += "\n# and a second thought"
    said = call(capsys, LESSON, **ran([setup_of(solved), *changed.values()]))
    assert re.search(r"NOT UP TO DATE: the saved file has another k1 than you ran", said)


@pytest.mark.parametrize("told", ["argument", "jupyter", "vscode", "name"])
def test_the_notebook_is_found(folder, capsys, base, monkeypatch, told):
    name = {"name": f"{LESSON}.ipynb"}.get(told, "Copy of mine.ipynb")
    path = save(base, folder / name)
    scope, arguments = {}, (LESSON,)
    if told == "argument":
        arguments = (LESSON, name)
    elif told == "jupyter":
        monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    elif told == "vscode":
        scope["__vsc_ipynb_file__"] = str(path)
    assert "Hand in that zip" in call(capsys, *arguments, **scope)
    packed(folder / f"{LESSON}.zip")


def test_another_lessons_notebook_is_not_packed(folder, capsys, base, monkeypatch):
    path = save(base, folder / "open.ipynb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(path))
    assert "file was not found" in call(capsys, "05_stable_updates")
    assert not list(folder.glob("*.zip"))


@pytest.mark.parametrize(
    "text", ["", "{", '{"cells": 3}', '{"cells": [{}]}', "[]", "[" * 10**5, '{"cells": [7]}']
)
def test_a_broken_file_is_told_in_one_sentence(folder, capsys, text):
    (folder / f"{LESSON}.ipynb").write_text(text)
    said = call(capsys, LESSON)
    assert said.count("\n") == 1
    assert "save it again" in said
    assert not list(folder.glob("*.zip"))


def test_what_cannot_be_done_is_told_in_one_sentence(folder, capsys, base):
    said = call(capsys, LESSON)
    assert said.count("\n") == 1
    assert f'submit("{LESSON}", "path/to/{LESSON}.ipynb")' in said
    assert "no lesson" in call(capsys, "no_such_lesson")
    save(base, folder / f"{LESSON}.ipynb")
    (folder / f"{LESSON}.zip").mkdir()  # in the way
    assert "cannot be written" in call(capsys, LESSON)
    assert not list(folder.glob(".*"))


def test_on_colab_the_browser_downloads_what_colab_has(folder, capsys, base, monkeypatch):
    downloads = []
    google, colab = ModuleType("google"), ModuleType("google.colab")
    google.__path__ = colab.__path__ = []
    google.colab = colab
    colab._message = SimpleNamespace(
        blocking_request=lambda kind, request, timeout_sec: {"ipynb": json.loads(json.dumps(base))}
    )
    colab.files = SimpleNamespace(download=downloads.append)
    monkeypatch.setitem(sys.modules, "google", google)
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    for module in (google, colab):
        module.__spec__ = SimpleNamespace(submodule_search_locations=[])
    assert "Your browser downloads" in call(capsys, LESSON)
    assert downloads == [f"{LESSON}.zip"]
    packed(folder / f"{LESSON}.zip")
    colab._message.blocking_request = lambda kind, request, timeout_sec: None
    assert "run this cell again" in call(capsys, LESSON)


def test_nbgraders_exchange_takes_it_where_there_is_one(folder, capsys, base, monkeypatch):
    root, settings = folder.parents[1] / "exchange", folder.parents[1] / "settings"
    released = root / "course" / "outbound" / LESSON
    inbound = root / "course" / "inbound"
    for made in (settings, released, inbound):
        made.mkdir(parents=True)
    os.chmod(inbound, 0o733)
    (settings / "nbgrader_config.py").write_text(
        "c = get_config()\nc.CourseDirectory.course_id = 'course'\n"
        f"c.Exchange.root = {str(root)!r}\n"
    )
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(settings))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(settings / "data"))
    monkeypatch.delenv("PYTHONPATH", raising=False)
    save(base, released / f"{LESSON}.ipynb")
    save(base, folder / f"{LESSON}.ipynb")
    said = call(capsys, LESSON)  # nobody can be asked here, as where all cells are run
    assert "Not handed in" in said
    assert not list(inbound.iterdir())
    monkeypatch.setattr("builtins.input", lambda text: "yes")
    said = call(capsys, LESSON)
    assert "nbgrader has it, for course" in said
    assert "is replaced" not in said
    (taken,) = inbound.iterdir()
    assert LESSON in taken.name
    assert (taken / f"{LESSON}.ipynb").exists()
    base.metadata["due"] = "2020-01-01T12:00:00+00:00"
    save(base, folder / f"{LESSON}.ipynb")
    monkeypatch.setattr("builtins.input", lambda text: "no")
    said = call(capsys, LESSON)
    assert "that is replaced" in said
    assert "due at 12:00 on 01 January UTC: it will count as late" in said
    assert "Not handed in" in said
    assert list(inbound.iterdir()) == [taken]
    monkeypatch.setattr("builtins.input", lambda text: "yes")
    other = save(base, folder / "mine.ipynb")
    said = call(capsys, LESSON, other)
    assert "nbgrader takes only" in said
    assert "Hand in that zip." in said
    (released / f"{LESSON}.ipynb").unlink()
    released.rmdir()
    said = call(capsys, LESSON)
    assert "nbgrader did not take it" in said
    assert "Hand in that zip." in said


@pytest.mark.parametrize("doing", ["validate", "autograde"])
def test_where_nbgrader_runs_the_notebook_nothing_is_handed_in(
    folder, capsys, base, monkeypatch, doing
):
    save(base, folder / f"{LESSON}.ipynb")
    monkeypatch.setenv("NBGRADER_EXECUTION", doing)
    assert "Nothing is handed in" in call(capsys, LESSON)
    assert not list(folder.glob("*.zip"))
