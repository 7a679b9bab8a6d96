"""Lesson 05's own problem: its runs, and what is told of them."""

import torch

from helpers.plots.stable_updates import mean_return, tell_difference, tell_runs
from helpers.problems.stable_updates import Courier, Run, train_couriers


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
