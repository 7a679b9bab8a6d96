"""Run lesson 06's recorded runs again: `make sweep`, about an hour on 2 cores.

Writes helpers/language_model/data/recorded_runs.json, which lessons 06 and 07 plot: every β with
every seed, the same task by other methods, and one run that goes wrong. Uses the course's own
answers. Each whole run is kept in FOLDER at once, with the responses that were measured, so a sweep
that was stopped, however, goes on with the runs that are missing, and another gold can judge them
without training again.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import cache
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn
from tqdm import tqdm

from helpers import reference
from helpers.language_model.checkpoint import DATA, load_gold
from helpers.language_model.runs import MEASURES, RECORDED, Run
from helpers.language_model.sampling import Samples
from helpers.language_model.tuning import Tuning

from ..common.files import write_whole
from ..common.saying import say
from .methods import EPOCHS, METHODS, Method

BETAS = (0.0, 0.03, 0.1, 0.2, 0.5, 1.0)
BEST = 0.2  # the weight with which the other methods are compared
SEEDS = (0, 1, 2, 3, 4)
STEPS = 100
N_BATCHES = 24  # of four steps each
EVERY = {"failing": 5, "epochs": 4}  # steps between measurements; 10 elsewhere
# The failing run: its weight, the steps at which it gets a wrong reference, and its last one.
FAILING_BETA, RESUMED, FAILING_STEPS = 0.1, (60, 90), 120


@dataclass(frozen=True)
class Job:
    """One run of the record: which part it is of, its name there, and what it is made with."""

    part: str
    name: str
    seed: int

    @property
    def method(self) -> Method:
        """What Tuning is made with."""
        found = {"methods": METHODS, "epochs": EPOCHS}.get(self.part, {}).get(self.name)
        return found or Method(beta=FAILING_BETA if self.part == "failing" else float(self.name))

    @property
    def beta(self) -> float:
        """The penalty's weight at first."""
        return BEST if self.method.beta is None else self.method.beta

    def file(self, folder: Path) -> Path:
        """Where it is kept: another name for another setting."""
        steps = (STEPS, N_BATCHES, FAILING_STEPS, EVERY)
        told = (self.part, self.name, self.seed, self.beta, steps, self.method.settings, trained())
        return folder / f"{sha256(repr(told).encode()).hexdigest()[:16]}.json"


@cache
def trained() -> str:
    """A hash of the model and the proxy: with others, every run is another one."""
    names = ("vocabulary.json", "reviewer.safetensors", "proxy.safetensors")
    return sha256(b"".join((DATA / name).read_bytes() for name in names)).hexdigest()


def jobs() -> list[Job]:
    """All runs."""
    parts = {"sweep": [str(beta) for beta in BETAS], "methods": METHODS, "epochs": EPOCHS}
    each = [
        Job(part, name, seed) for part, names in parts.items() for seed in SEEDS for name in names
    ]
    return [Job("failing", "failing", len(SEEDS)), *each]


class Kept(Tuning):
    """A run that keeps the responses that were measured: `tokens`, by step."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.tokens: dict[int, list[list[int]]] = {}

    def _measures(self, samples: Samples) -> dict[str, float]:
        self.tokens[self.done] = samples.tokens.tolist()
        return super()._measures(samples)


def tune(job: Job) -> tuple[Run, dict[int, list[list[int]]]]:
    """One run as lesson 06 makes it, and what was measured."""
    torch.set_num_threads(1)
    settings = replace(job.method.settings, every=EVERY.get(job.part, 10))
    tuning = Kept(job.method.steps, job.beta, job.seed, settings)
    if job.part == "failing":
        return _fail(tuning), tuning.tokens
    run = tuning.run(N_BATCHES if job.part == "epochs" else STEPS, progress=False)
    return run, tuning.tokens


def _fail(tuning: Tuning) -> Run:
    """A run resumed twice, each time with its own latest parameters as the reference.

    What is recorded is what its operator saw: the kl that this run itself reported.
    """
    for step in RESUMED:
        tuning.run(step - 1, progress=False)
        tuning.ref = reference.freeze_reference(deepcopy(tuning.policy))
    return tuning.run(FAILING_STEPS, progress=False)


def keep(job: Job, folder: Path) -> None:
    """Make the run, unless the folder has it whole."""
    if _kept(job, folder) is None:
        run, tokens = tune(job)
        kept = {"run": asdict(run), "tokens": tokens}
        write_whole(job.file(folder), json.dumps(kept).encode())


def _kept(job: Job, folder: Path) -> dict[str, Any] | None:
    """What the folder has of it, if that is whole."""
    try:
        kept = json.loads(job.file(folder).read_text("utf-8"))
        Run.of(kept["run"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return kept


@torch.no_grad()
def judged(kept: dict[str, Any], gold: nn.Module) -> Run:
    """The run, with what gold says now of the responses that were measured."""
    run = Run.of(kept["run"])
    rows = (torch.tensor(kept["tokens"][str(step)]) for step in run.step)
    return replace(run, gold=[gold(row).mean().item() for row in rows])


def record(folder: Path, workers: int) -> dict[str, Any]:
    """All runs, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs() if _kept(job, folder) is None]
    say(f"{len(jobs())} runs, of which {folder} has {len(jobs()) - len(missing)}")
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for made in tqdm([pool.submit(keep, job, folder) for job in missing], desc="runs"):
            made.result()
    gold = load_gold()
    runs = [(job, judged(_kept(job, folder), gold)) for job in jobs()]
    whole: dict[str, Any] = {"best": BEST, "sweep": [], "methods": {}, "epochs": {}}
    for job, run in runs:
        if job.part == "sweep":
            whole["sweep"].append(_plain(run))
        elif job.part == "failing":
            whole["failing"] = _plain(run)
        else:
            ends = {step: run.texts[step] for step in (run.step[0], run.step[-1])}
            whole[job.part].setdefault(job.name, []).append(_plain(replace(run, texts=ends)))
    return whole


def _with_outside(whole: dict[str, Any]) -> dict[str, Any]:
    """With what judges from outside said of it, where they have been asked of the same runs."""
    try:
        before = json.loads((DATA / RECORDED).read_text("utf-8"))
    except (OSError, ValueError):
        before = {}
    if before.get("sweep") == json.loads(json.dumps(whole["sweep"])) and "outside" in before:
        return whole | {"outside": before["outside"]}
    say("other runs: ask the judges again, python -m autograde.records.reading outside SMOLLM2")
    return whole


def _plain(run: Run) -> dict[str, Any]:
    """With no more digits than are worth their place."""
    return {
        name: [round(number, 4) for number in value] if isinstance(value, list) else value
        for name, value in asdict(run).items()
    }


def table(runs: dict[str, list[dict[str, Any]]], last: int = 3) -> None:
    """Print the ends of each name's runs."""
    for name, each in runs.items():
        said = []
        for measure in MEASURES[1:]:
            ends = [mean(one[measure][-last:]) for one in each]
            said.append(f"{measure} {mean(ends):.2f} [{min(ends):.2f}, {max(ends):.2f}]")
        say(f"{name:28} " + "  ".join(said))


def main(arguments: list[str] | None = None) -> None:
    """Run all, write them, and print the table of their ends."""
    parser = argparse.ArgumentParser(prog="python -m autograde.records.sweep")
    parser.add_argument("--folder", type=Path, default=Path("build/sweep"), help="of whole runs")
    parser.add_argument("--workers", type=int, default=os.cpu_count(), help="processes")
    options = parser.parse_args(arguments)
    whole = _with_outside(record(options.folder, options.workers))
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"
    write_whole(DATA / RECORDED, text.encode())
    say(f"means over the last three measurements and {len(SEEDS)} seeds [least, greatest]")
    sweep = {f"β = {beta:g}": [r for r in whole["sweep"] if r["beta"] == beta] for beta in BETAS}
    for runs in (sweep, whole["methods"], whole["epochs"]):
        table(runs)


if __name__ == "__main__":
    main()
