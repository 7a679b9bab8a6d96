"""Every answer on the device that the course picks: the GPU where there is one, else the CPU.

`make test-gpu` runs these alone and says which device it was.
"""

import pytest
import torch
from torch import Tensor, nn

from autograde.course.exercises import LESSONS, exercises
from helpers import pick_device, reference
from helpers.cases import build_inputs
from helpers.language_model.model import LanguageModel, Sizes
from helpers.language_model.sampling import sample
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.tuning import sequence_kl

FUNCTIONS = [
    exercise
    for lesson in LESSONS
    for exercise in exercises(lesson).values()
    if callable(exercise.answer)
]


def moved(value, device):
    if isinstance(value, Tensor | nn.Module):
        return value.to(device)
    return value


def answers(exercise, device):
    """What the reference answers to the visible cases that ask for a plain call."""
    for case in exercise.visible_cases:
        inputs = build_inputs(case.inputs, case.grad)
        plain = not any(isinstance(v, torch.optim.Optimizer) for v in inputs.values())
        if case.probe == "call" and plain:
            try:
                yield exercise.answer(**{k: moved(v, device) for k, v in inputs.items()})
            except ValueError as error:
                yield str(error)


@pytest.mark.gpu
@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_the_reference_agrees_with_the_cpu(exercise):
    device = pick_device()
    print(f"{exercise.name} on {device}")
    for there, here in zip(
        answers(exercise, device), answers(exercise, torch.device("cpu")), strict=True
    ):
        if isinstance(there, Tensor):
            assert there.device.type == device.type
            torch.testing.assert_close(there.cpu(), here, rtol=2e-3, atol=1e-4, equal_nan=True)
        else:
            numbers = isinstance(here, float | tuple | list)
            assert there == (pytest.approx(here) if numbers else here)


@pytest.mark.gpu
def test_an_update_runs_where_the_device_is():
    """The policy and its optimiser were built there, as in the live part of lesson 05."""
    device = pick_device()
    policy = nn.Linear(4, 3).to(device)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    observations = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)).to(device)
    actions = torch.zeros(8, dtype=torch.long, device=device)
    advantage = torch.linspace(-1, 1, 8, device=device)
    found = reference.policy_update(policy, optimizer, observations, actions, advantage, 0.5, 4)
    assert len(found) == 4
    assert all(0 < kl < 10 for kl in found)


@pytest.mark.gpu
def test_a_step_of_a_language_model_runs_where_the_device_is():
    """Sampling with its cache, scoring and one step, as in the live runs of lesson 06."""
    device = pick_device()
    torch.manual_seed(0)
    policy = LanguageModel(Sizes(vocab=64, context=16, width=32, layers=2)).to(device)
    ref = reference.freeze_reference(policy)
    samples = sample(policy, [[0, 5], [0, 6, 7]] * 4, 8, torch.Generator().manual_seed(0))
    tokens, mask, old_logp = (
        part.to(device) for part in (samples.tokens, samples.response_mask, samples.logp)
    )
    scored = response_log_probs(policy.eval(), tokens)
    torch.testing.assert_close(scored[mask], old_logp[mask], rtol=1e-3, atol=1e-3)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=1e-2)
    advantage = torch.linspace(-1, 1, 8, device=device)
    moved = (policy, ref, optimizer, tokens, mask, old_logp, advantage)
    said = [reference.train_step(*moved, epsilon=0.2, beta=0.1) for _ in range(3)]
    print(f"kl before each of three steps on {device}: {[round(one['kl'], 5) for one in said]}")
    assert abs(said[0]["kl"]) < 1e-5 < said[2]["kl"]
    assert sequence_kl(policy, ref, samples).min() >= -1e-5
