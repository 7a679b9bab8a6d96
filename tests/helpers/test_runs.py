"""A run's file: it comes back as it was, and another is named with what to do about it."""

import json

import pytest

from helpers.language_model import runs
from helpers.language_model.runs import MEASURES, Run, RunError, own_or_recorded

RUN = Run(0.1, 3, [0, 5], [0.1, 1.5], [0.2, -0.5], [0.0, 2.5], [0.9, 0.8], [7.5, 16.0])
RUN.entropy.extend([2.5, 1.0])
RUN.forgotten.extend([1.0, 3.5])
RUN.weight.extend([0.1, 0.1])
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
        WHOLE.replace("[0.1, 1.5]", "[NaN, 1.5]").encode(),
        WHOLE.replace('"entropy": [2.5, 1.0], ', "").encode(),  # of the first edition
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


OUTSIDE = {
    "by_beta": {"0": {"praise": 0.5}, "ref": {"praise": 0.1}},
    "gold": {"praise": 0.7},
    "readable_praise": {"gold": 0.6},
    "texts": 80,
}
LARGER = {
    "beta": 0.3,
    "seed": 1,
    "step": [0, 10],
    "praise": [0.1, 0.5],
    "kl": [0.0, 3.0],
    "nats_a_word": [4.0, 5.0],
    "distinct_2": [0.9, 0.7],
    "texts": {"0": ["a"], "10": ["b"]},
}
READ = {
    "question": "Which?",
    "best": 0.3,
    "all": [],
    "ref": {"pairs": 50, "readers": [0.6, 0.7]},
    "0": {"pairs": 25, "readers": [0.9, 0.8]},
}


@pytest.fixture
def record(tmp_path, monkeypatch):
    """A folder with recorded runs: two, a failing one, other methods, and all that is beside."""
    free = {**RUN.__dict__, "beta": 0.0}
    content = {"sweep": [free, RUN.__dict__], "failing": {**RUN.__dict__, "seed": 9}, "best": 0.1}
    content |= {"methods": {"controller": [free]}, "epochs": {"none": [free], "clip": [free]}}
    content["outside"] = OUTSIDE
    (tmp_path / runs.RECORDED).write_text(json.dumps(content))
    (tmp_path / runs.SMOLLM2).write_text(json.dumps([LARGER]))
    (tmp_path / runs.PREFERENCES).write_text(json.dumps(READ))
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
    Run(0.5, 1, *([0.0] for _ in MEASURES)).save(there / "my_run.json")
    assert own_or_recorded().beta == 0.5
    RUN.save()
    assert own_or_recorded() == RUN
    (here / "my_run.json").write_text("{}")
    with pytest.raises(RunError, match="delete it"):
        own_or_recorded()


def test_the_recorded_runs_are_read(record):
    assert [run.beta for run in runs.recorded()] == [0.0, 0.1]
    assert runs.failing().seed == 9
    assert [run.beta for run in runs.recorded_methods()["controller"]] == [0.0]
    assert list(runs.recorded_epochs()) == ["none", "clip"]
    assert runs.methods_beta() == 0.1
    assert runs.recorded_outside() == OUTSIDE


def test_a_larger_model_s_runs_and_what_readers_chose_are_read(record):
    (larger,) = runs.recorded_smollm2()
    assert (larger.beta, larger.praise, larger.texts[10]) == (0.3, [0.1, 0.5], ["b"])
    read = runs.preferences()
    assert read.pairs == {"ref": 50, "0": 25}
    assert read.chosen["ref"] == [0.6, 0.7]
    (record / runs.PREFERENCES).unlink()
    assert runs.preferences() is None


READERS = {
    runs.RECORDED: (
        *(runs.recorded, runs.failing, runs.recorded_methods),
        *(runs.recorded_epochs, runs.methods_beta, runs.recorded_outside),
    ),
    runs.SMOLLM2: (runs.recorded_smollm2,),
    runs.PREFERENCES: (runs.preferences,),
}
FIRST_EDITION = json.dumps({"sweep": [{"beta": 0.1, "seed": 0, "step": [0], "texts": {}}]})
DAMAGED = {
    runs.RECORDED: [None, "", "{}", '{"sweep": [1], "failing": 2}', FIRST_EDITION],
    runs.SMOLLM2: [
        *(None, "[{}]", "3", json.dumps([{**LARGER, "kl": []}])),
        *(json.dumps([{**LARGER, "kl": [0.0, None]}]), json.dumps([{**LARGER, "more": 1}])),
    ],
    runs.PREFERENCES: [
        *(
            "{}",
            json.dumps(
                {**READ, "ref": {"pairs": 50, "readers": []}, "0": READ["ref"] | {"readers": []}}
            ),
        ),
        json.dumps({**READ, "ref": {"pairs": 50, "readers": [1.5]}}),
        json.dumps({**READ, "ref": {"pairs": "50", "readers": [0.5]}}),
    ],
}


@pytest.mark.parametrize(
    ("name", "content"), [(name, each) for name, contents in DAMAGED.items() for each in contents]
)
def test_damage_of_what_ships_is_named_with_the_file(record, name, content):
    path = record / name
    path.unlink()
    if content is not None:
        path.write_text(content)
    for read in READERS[name]:
        with pytest.raises(RunError, match=name.replace(".", r"\.")) as caught:
            read()
        assert "install the course again" in str(caught.value)
