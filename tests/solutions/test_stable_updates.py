"""What lesson 05 says of its own problem, and what its record adds to the lesson's code."""

import pytest
import torch

from autograde.records.experiments import Batch, Method
from helpers.plots.stable_updates import mean_return, tell_difference, tell_runs
from helpers.problems.stable_updates import (
    Courier,
    Run,
    Steps,
    one_thread,
    recorded_runs,
    train_couriers,
)


def test_one_thread_within_and_as_before_afterwards():
    @one_thread()
    def fail():
        within.append(torch.get_num_threads())
        raise KeyError

    within, before = [], torch.get_num_threads()
    with pytest.raises(KeyError):
        fail()
    assert within == [1]
    assert torch.get_num_threads() == before


def test_no_policy_earns_more_than_the_best():
    courier = Courier()
    logits = 3 * torch.randn(50, 32, 4, generator=torch.Generator().manual_seed(0))
    assert courier.expected_return(logits).max() < courier.best_return()


def test_every_way_meets_the_same_seeds():
    runs = train_couriers({"a": lambda *_: [0.0], "b": lambda *_: [0.0]}, [0, 1], Courier())
    assert runs["a"] == runs["b"]
    assert runs["a"][0].returns[-1] != runs["a"][1].returns[-1]


def test_runs_are_told_by_their_numbers(capsys):
    steady, erratic = Run([0.0, 1.0, 2.0], [0.1, 0.2]), Run([0.0, 3.0, -1.0], [0.3, 4.0])
    assert mean_return(steady) == 1.5
    tell_runs({"β = 0": [erratic]})
    assert "-4.00       2   4.00" in capsys.readouterr().out
    tell_difference([steady], [erratic])
    assert capsys.readouterr().out.count("at 1 of 1 seeds") == 4


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
    assert {"mask", "mask and fixed β"} < record["comparison"].keys()
