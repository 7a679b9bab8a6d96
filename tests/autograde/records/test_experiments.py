"""Lesson 05's recorded experiments: what they add to the lesson's own code."""

import pytest
import torch

from autograde.records.experiments import METHODS, Batch, Method
from helpers.problems.stable_updates import Steps, recorded_runs


def test_a_masked_token_counts_0_in_the_mean():
    old = torch.tensor([[[0.5, 0.5]]]).log()
    new = torch.tensor([[[0.8, 0.2]]]).log().requires_grad_()
    advantage = torch.tensor([[1.0, -2.0, 3.0]])  # of the second action, of the first, of it again
    steps = Steps(torch.zeros(1, 3, dtype=torch.long), torch.tensor([[1, 0, 0]]), advantage)
    loss = Batch(old, steps).loss(new, torch.zeros(1, 1), Method(delta=0.1))
    # The third has gained 0.3 and is to gain more; the others are pushed back.
    assert loss.item() == pytest.approx(-(0.4 * 1.0 + 1.6 * -2.0) / 3)


def test_the_record_has_the_mask_alone_and_with_the_penalty():
    record = recorded_runs()
    assert record["settings"]["delta"] == 0.1
    assert list(record["comparison"]) == list(METHODS)
    assert {"mask", "mask and fixed β"} < METHODS.keys()
