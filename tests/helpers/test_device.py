"""Every answer on the device that the course picks: the GPU where there is one, else the CPU.

`make test-gpu` runs these alone and says which device it was.
"""

import pytest
import torch
from torch import Tensor, nn

from autograde.exercises import LESSONS, exercises
from helpers import pick_device, reference
from helpers.cases import build_inputs

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
            assert there == pytest.approx(here) if isinstance(here, float) else there == here


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
