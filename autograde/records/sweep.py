"""Run lesson 06's recorded runs again: `make sweep`, about 25 minutes on 2 cores.

Writes helpers/language_model/data/recorded_runs.json, which lessons 06 and 07 plot: every β with
every seed, and one run that goes wrong. Uses the course's own answers.
"""

import json
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import asdict
from multiprocessing import get_context
from os import cpu_count
from statistics import mean
from typing import Any

import torch
from tqdm import tqdm

from helpers import reference
from helpers.language_model.checkpoint import DATA
from helpers.language_model.runs import RECORDED, Run
from helpers.language_model.tuning import Settings, Steps, Tuning

from ..common.saying import say

BETAS = (0.0, 0.03, 0.1, 0.2, 0.3, 0.5, 1.0)
SEEDS = (0, 1, 2)
STEPS = 120
SETTINGS = Settings(every=5)
FAILING_BETA, RESUMED = 0.1, (60, 90)  # the steps at which the failing run gets a wrong reference
ANSWERS = Steps(reference.freeze_reference, reference.group_advantage, reference.train_step)


def tune(beta: float, seed: int) -> Run:
    """One run as lesson 06 makes it."""
    torch.set_num_threads(1)
    return Tuning(ANSWERS, beta, seed, SETTINGS).run(STEPS, progress=False)


def tune_and_fail() -> Run:
    """A run resumed twice, each time with its own latest parameters as the reference.

    What is recorded is what its operator saw: the kl that this run itself reported.
    """
    torch.set_num_threads(1)
    tuning = Tuning(ANSWERS, FAILING_BETA, len(SEEDS), SETTINGS)
    for step in RESUMED:
        tuning.run(step - 1, progress=False)
        tuning.ref = reference.freeze_reference(deepcopy(tuning.policy))
    return tuning.run(STEPS, progress=False)


def main() -> None:
    """Run all, write them, and print the table of their ends."""
    wanted = [(beta, seed) for beta in BETAS for seed in SEEDS]
    with ProcessPoolExecutor(cpu_count(), get_context("spawn")) as pool:
        failing = pool.submit(tune_and_fail)
        runs = [pool.submit(tune, *one) for one in wanted]
        sweep = [run.result() for run in tqdm(runs, desc="runs")]
        record = {"sweep": [_plain(run) for run in sweep], "failing": _plain(failing.result())}
    (DATA / RECORDED).write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    say(f"after {STEPS} steps, mean [least, greatest] over {len(SEEDS)} seeds")
    for beta in BETAS:
        say("  ".join([f"β {beta:<5g}", *_ends([run for run in sweep if run.beta == beta])]))


def _plain(run: Run) -> dict[str, Any]:
    """With no more digits than are worth their place."""
    return {
        name: [round(number, 4) for number in value] if isinstance(value, list) else value
        for name, value in asdict(run).items()
    }


def _ends(runs: list[Run]) -> list[str]:
    said = []
    for name in ("proxy", "gold", "kl", "distinct_2", "length"):
        ends = [getattr(run, name)[-1] for run in runs]
        said.append(f"{name} {mean(ends):.2f} [{min(ends):.2f}, {max(ends):.2f}]")
    return said


if __name__ == "__main__":
    main()
