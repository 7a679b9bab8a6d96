"""Run lesson 06's recorded runs again: `make sweep`, about an hour on 2 cores.

Writes helpers/language_model/data/recorded_runs.json, which lessons 06 and 07 plot: every β with
every seed, the same task by other methods, and one run that goes wrong. Uses the course's own
answers. Each whole run is kept in FOLDER at once, so a sweep that was stopped, however, goes on
with the runs that are missing.
"""

import argparse
import json
import os
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from multiprocessing import get_context
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from tqdm import tqdm

from helpers import reference
from helpers.language_model.checkpoint import DATA
from helpers.language_model.runs import MEASURES, RECORDED, Run, RunError
from helpers.language_model.tuning import Tuning

from ..common.files import write_whole
from ..common.saying import say
from .methods import EPOCHS, METHODS, Method

BETAS = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
BEST = 0.3  # the weight with which the other methods are compared
SEEDS = (0, 1, 2, 3, 4)
STEPS = 120
N_BATCHES = 30  # of four steps each
FAILING_BETA, RESUMED = 0.1, (60, 90)  # the steps at which the failing run gets a wrong reference


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

    def file(self, folder: Path) -> Path:
        """Where it is kept: another name for another setting."""
        method = self.method
        told = (self.part, self.name, self.seed, method.beta, BEST, STEPS, method.settings)
        return folder / f"{sha256(repr(told).encode()).hexdigest()[:16]}.json"


def jobs() -> list[Job]:
    """All runs, the longest first."""
    parts = (("epochs", EPOCHS), ("methods", METHODS), ("sweep", map(str, BETAS)))
    each = [Job(part, name, seed) for part, names in parts for name in names for seed in SEEDS]
    return [Job("failing", "failing", len(SEEDS)), *each]


def tune(job: Job) -> Run:
    """One run as lesson 06 makes it."""
    torch.set_num_threads(1)
    method, every = job.method, 5 if job.part in ("sweep", "failing") else 10
    settings = replace(method.settings, every=2 if job.part == "epochs" else every)
    beta = BEST if method.beta is None else method.beta
    tuning = Tuning(method.steps, beta, job.seed, settings)
    if job.part == "failing":
        return _fail(tuning)
    return tuning.run(N_BATCHES if job.part == "epochs" else STEPS, progress=False)


def _fail(tuning: Tuning) -> Run:
    """A run resumed twice, each time with its own latest parameters as the reference.

    What is recorded is what its operator saw: the kl that this run itself reported.
    """
    for step in RESUMED:
        tuning.run(step - 1, progress=False)
        tuning.ref = reference.freeze_reference(deepcopy(tuning.policy))
    return tuning.run(STEPS, progress=False)


def keep(job: Job, folder: Path) -> None:
    """Make the run, unless the folder has it whole."""
    if _kept(job, folder) is None:
        write_whole(job.file(folder), json.dumps(asdict(tune(job))).encode())


def _kept(job: Job, folder: Path) -> Run | None:
    try:
        return Run.load(job.file(folder))
    except RunError:  # none, or half of one
        return None


def record(folder: Path, workers: int) -> dict[str, Any]:
    """All runs, made where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    missing = [job for job in jobs() if _kept(job, folder) is None]
    say(f"{len(jobs())} runs, of which {folder} has {len(jobs()) - len(missing)}")
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        for made in tqdm([pool.submit(keep, job, folder) for job in missing], desc="runs"):
            made.result()
    runs = [(job, _kept(job, folder)) for job in jobs()]
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
    whole = record(options.folder, options.workers)
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":")) + "\n"
    write_whole(DATA / RECORDED, text.encode())
    say(f"means over the last three measurements and {len(SEEDS)} seeds [least, greatest]")
    sweep = {f"β = {beta:g}": [r for r in whole["sweep"] if r["beta"] == beta] for beta in BETAS}
    for runs in (sweep, whole["methods"], whole["epochs"]):
        table(runs)


if __name__ == "__main__":
    main()
