"""A run's file: it comes back as it was, and another is named with what to do about it."""

import json

import pytest

from helpers.language_model import runs
from helpers.language_model.runs import Run, RunError, own_or_recorded

RUN = Run(0.1, 3, [0, 5], [0.1, 1.5], [0.2, -0.5], [0.0, 2.5], [0.9, 0.8], [7.5, 16.0])
RUN.texts.update({0: ["the film größe", 'a "quote"'], 5: ["π ‖ ref"]})


def test_a_run_comes_back_as_it_was(tmp_path):
    RUN.save(tmp_path / "my_run.json")
    back = Run.load(str(tmp_path / "my_run.json"))
    assert back == RUN
    assert list(back.texts) == [0, 5]


def test_the_file_is_beside_the_notebook_unless_said_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    RUN.save()
    assert json.loads((tmp_path / "my_run.json").read_text())["beta"] == 0.1
    assert Run.load() == RUN


def test_a_run_shares_no_list_with_what_it_was_made_of():
    plain = json.loads(json.dumps(RUN.__dict__))
    run = Run.of(plain)
    run.step.append(10)
    run.texts[0].append("more")
    assert plain["step"] == [0, 5]
    assert len(plain["texts"]["0"]) == 2


WHOLE = json.dumps(RUN.__dict__)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        WHOLE[: len(WHOLE) // 2].encode(),
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe\x00",
        WHOLE.replace('"beta"', '"alpha"').encode(),
        WHOLE.replace('"seed": 3', '"seed": 3, "more": 1').encode(),
        WHOLE.replace('"texts": {"0"', '"texts": {"first"').encode(),
        WHOLE.replace('"texts": {', '"texts": 3, "rest": {').encode(),
        WHOLE.replace("[0, 5]", "[]").encode(),  # measured never, or five times only
        WHOLE.replace("[0, 5]", "[0]").encode(),
        WHOLE.replace("[0, 5]", "5").encode(),
        WHOLE.replace("[0.1, 1.5]", '["0.1", 1.5]').encode(),
        WHOLE.replace('"beta": 0.1', '"beta": "0.1"').encode(),
    ],
)
def test_a_file_that_holds_no_run_is_named_with_the_remedy(tmp_path, content):
    path = tmp_path / "my_run.json"
    path.write_bytes(content)
    for read in (Run.load, own_or_recorded):
        with pytest.raises(RunError) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "delete it, and run lesson 06 again" in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(RunError, match=r"nowhere\.json.*run lesson 06 again"):
        Run.load(tmp_path / "nowhere.json")


def test_the_students_own_run_is_taken_where_there_is_one(tmp_path, capsys):
    RUN.save(tmp_path / "my_run.json")
    assert own_or_recorded(tmp_path / "my_run.json") == RUN
    assert "β = 0.1, 5 steps" in capsys.readouterr().out


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A folder with recorded runs: two and a failing one."""
    free = {**RUN.__dict__, "beta": 0.0}
    content = {"sweep": [free, RUN.__dict__], "failing": {**RUN.__dict__, "seed": 9}}
    (tmp_path / runs.RECORDED).write_text(json.dumps(content))
    monkeypatch.setattr(runs, "DATA", tmp_path)
    return tmp_path


def test_a_recorded_run_with_a_penalty_stands_in_and_that_is_said(record, capsys):
    assert own_or_recorded(record / "my_run.json") == RUN
    said = capsys.readouterr().out
    assert "my_run.json is here, so a recorded run stands in for yours: β = 0.1" in said


def test_the_run_is_found_where_lesson_06_left_it_unless_one_lies_beside(
    record, monkeypatch, capsys
):
    """A file of an earlier edition is told from a run as any other that holds none."""
    here, there = record / "07_case_study", record / "06_language_model"
    for folder in (here, there):
        folder.mkdir()
    monkeypatch.chdir(here)
    assert own_or_recorded() == RUN
    assert "No my_run.json or " in capsys.readouterr().out
    Run(0.5, 1, [0], [0.0], [0.0], [0.0], [1.0], [4.0]).save(there / "my_run.json")
    assert own_or_recorded().beta == 0.5
    RUN.save()
    assert own_or_recorded() == RUN
    (here / "my_run.json").write_text("{}")
    with pytest.raises(RunError, match="delete it"):
        own_or_recorded()


def test_the_recorded_runs_are_read(record):
    assert [run.beta for run in runs.recorded()] == [0.0, 0.1]
    assert runs.failing().seed == 9


@pytest.mark.parametrize("content", [None, "", "{}", '{"sweep": [1], "failing": 2}'])
def test_damage_of_the_recorded_runs_is_named_with_the_file(record, content):
    path = record / runs.RECORDED
    path.unlink()
    if content is not None:
        path.write_text(content)
    for read in (runs.recorded, runs.failing):
        with pytest.raises(RunError, match=r"recorded_runs\.json"):
            read()
