"""The record of lesson 06's runs: what is kept, and how a stopped sweep goes on."""

import json
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from autograde.course.lessons import ROOT
from autograde.records import sweep
from helpers.language_model.runs import MEASURES, Run


def a_run(job):
    measured = {name: [0.12345, 1.0] for name in MEASURES[1:]}
    run = Run(beta=job.method.beta or 0.0, seed=job.seed, texts={0: ["a"], 5: ["b"], 10: ["c"]})
    return replace(run, step=[0, 10], **measured), {0: [[0, 2, 0]], 10: [[0, 3, 0]]}


@pytest.fixture
def made(monkeypatch):
    """The runs that were asked for."""
    asked = []
    monkeypatch.setattr(sweep, "tune", lambda job: asked.append(job) or a_run(job))
    return asked


def test_a_whole_run_is_not_made_again_and_half_of_one_is(made, tmp_path):
    one, two = sweep.jobs()[:2]
    sweep.keep(one, tmp_path)
    sweep.keep(two, tmp_path)
    text = two.file(tmp_path).read_text()
    two.file(tmp_path).write_text(text[: len(text) // 2])
    sweep.keep(one, tmp_path)
    sweep.keep(two, tmp_path)
    assert made == [one, two, two]
    assert two.file(tmp_path).read_text() == text


THREE = """
import sys
from pathlib import Path
from autograde.records import sweep
sweep.STEPS = 2
for job in sweep.jobs()[1:4]:
    sweep.keep(job, Path(sys.argv[1]))
"""


@pytest.mark.long
def test_killed_in_the_middle_it_goes_on_to_the_same_runs(tmp_path):
    def started(folder):
        folder.mkdir(exist_ok=True)
        return subprocess.Popen([sys.executable, "-P", "-c", THREE, folder], cwd=ROOT)

    def kept(folder):
        return {path.name: path.read_bytes() for path in folder.glob("*.json")}

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert started(whole).wait() == 0
    first = started(killed)
    while not kept(killed) and first.poll() is None:
        time.sleep(0.01)
    first.kill()  # signal 9, whatever it was at
    first.wait()
    assert kept(killed)
    assert kept(killed).items() <= kept(whole).items()
    assert started(killed).wait() == 0
    assert kept(killed) == kept(whole)


def test_every_run_has_a_file_of_its_own_and_another_setting_another(tmp_path, monkeypatch):
    files = {job.file(tmp_path) for job in sweep.jobs()}
    assert len(files) == len(sweep.jobs())
    monkeypatch.setattr(sweep, "STEPS", sweep.STEPS + 1)
    assert files.isdisjoint(job.file(tmp_path) for job in sweep.jobs())
    monkeypatch.undo()
    assert files == {job.file(tmp_path) for job in sweep.jobs()}
    monkeypatch.setattr(sweep, "trained", lambda: "another model")
    assert files.isdisjoint(job.file(tmp_path) for job in sweep.jobs())


def test_every_weight_and_every_method_is_there_with_every_seed():
    found = [(job.part, job.name) for job in sweep.jobs()]
    for beta in sweep.BETAS:
        assert found.count(("sweep", str(beta))) == len(sweep.SEEDS) >= 5
    for part, names in (("methods", sweep.METHODS), ("epochs", sweep.EPOCHS)):
        for name in names:
            assert found.count((part, name)) == len(sweep.SEEDS)


def test_the_record_has_the_sweeps_texts_and_the_ends_of_the_others(made, tmp_path, monkeypatch):
    class Here:
        """A pool in this process."""

        def __init__(self, *_):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def submit(self, function, *arguments):
            function(*arguments)
            return type("Done", (), {"result": lambda self: None})()

    monkeypatch.setattr(sweep, "ProcessPoolExecutor", Here)
    monkeypatch.setattr(sweep, "load_gold", lambda: lambda rows: rows.float().sum(1))
    whole = json.loads(json.dumps(sweep.record(tmp_path, 1)))
    assert len(whole["sweep"]) == len(sweep.BETAS) * len(sweep.SEEDS)
    assert whole["sweep"][0]["proxy"] == [0.1235, 1.0]
    assert whole["sweep"][0]["gold"] == [2.0, 3.0]  # what it says now of the tokens
    assert list(whole["sweep"][0]["texts"]) == ["0", "5", "10"]
    assert {tuple(run["texts"]) for runs in whole["methods"].values() for run in runs} == {
        ("0", "10")
    }
    assert whole["failing"]["beta"] == sweep.FAILING_BETA


def test_what_judges_said_stays_with_the_same_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sweep, "DATA", tmp_path)
    whole = {"sweep": [{"beta": 0.1, "gold": [1.0]}], "best": 0.2}
    assert sweep._with_outside(whole) == whole
    before = json.dumps(whole | {"outside": {"texts": 8}})
    (tmp_path / sweep.RECORDED).write_text(before)
    assert sweep._with_outside(whole)["outside"] == {"texts": 8}
    other = {"sweep": [{"beta": 0.1, "gold": [1.5]}], "best": 0.2}
    capsys.readouterr()
    assert sweep._with_outside(other) == other
    assert "ask the judges again" in capsys.readouterr().out
