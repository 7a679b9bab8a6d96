"""What the tables of lesson 07 print is what the runs have, on a few that are made up."""

import re
from dataclasses import replace

import pytest
import torch

from helpers.language_model.runs import Run
from helpers.problems.case_study import End, Fold, Means, Pair, Points
from helpers.tables.case_study import (
    of_both,
    print_at_equal_kl,
    print_ends_by_beta,
    print_errors,
    print_fixed_betas,
    print_folds,
    print_gains_by_range,
    print_gaps,
    print_last_texts,
    print_more_at_equal_kl,
    print_peaks,
    print_steered,
)

WELL, FAR = End(5.04, 1.5, 0.75), End(11.0, 2.0, 1.0)
PAIRS = [
    Pair(0.5, 0, 9.0, 1.9, 1.5, 30, 0.2, -0.3),
    Pair(0.5, 1, 8.0, 1.7, 1.1, 40, -0.1, -0.1),
    Pair(1.0, 0, 1.0, 0.3, 0.4, 20, 0.0, 0.5),
]
FAST = [PAIRS[0]._replace(stopped=1.3, step=10)]
FOUND = Points(torch.tensor([1.0, 1.5, 4.0, 9.0]), torch.tensor([0.25, 0.5, 1.0, 2.0]))


@pytest.fixture
def rows(capsys):
    """The lines that were printed, each as its words."""
    return lambda: [line.split() for line in capsys.readouterr().out.splitlines()]


def test_ends_by_beta(rows):
    print_ends_by_beta({0.0: Means(0.62, 44.2, 0.15, 0.3, 2.19, 46.3)})
    assert rows()[-1] == ["0", "0.62", "(step", "44)", "0.15", "0.30", "2.19", "46.3"]


def test_peaks(capsys):
    print_peaks({"one": 9.04, "flat": None})
    assert capsys.readouterr().out.splitlines() == ["one: highest at 9.0 nats", "flat: no peak"]


def test_errors(rows):
    print_errors([3, 4], ["a", "b"], torch.tensor([[1.0, 2.0], [3.0, 4.0]]), torch.tensor([5, 6.0]))
    _, head, *body = rows()
    assert head == ["seed", "a", "b", "other", "seeds"]
    assert body == [["3", "1.00", "2.00", "5.00"], ["4", "3.00", "4.00", "6.00"]]


def test_gains_by_range(rows):
    apart = {0.1: Points(FOUND.kl[:2], FOUND.gain[:2]), 0.2: Points(FOUND.kl[2:], FOUND.gain[2:])}
    print_gains_by_range(FOUND, apart, (0, 2, 4, 6))
    _, _, *body = rows()
    assert body == [
        ["0", "to", "2", "2:", "0.38", "2:", "0.38", "·"],
        ["2", "to", "4", "1:", "1.00", "·", "1:", "1.00"],
        ["4", "to", "6", "·", "·", "·"],
    ]


def test_folds(rows):
    print_folds([0, 1, 2], [Fold(0.2, WELL), Fold(0.5, FAR), Fold([0.2] * 9, None)], 10.0)
    _, *body = rows()
    assert body[0] == ["seed", "0", "0.2", "5.0", "1.50", "0.75", "yes"]
    assert body[1] == ["seed", "1", "0.5", "11.0", "2.00", "1.00", "no"]
    assert body[2][-7:] == ["not", "a", "β", "of", "the", "record", "no"]


def test_fixed_betas(rows):
    print_fixed_betas({0.2: [WELL, FAR]}, 10.0, {"0.2": {"readable": 0.9}})
    (_, body) = rows()
    assert body[2:] == ["0.2", "5.0,", "11.0", "1.50,", "1.75", "1", "of", "2", "0.90"]


def test_at_equal_kl(capsys):
    assert of_both(PAIRS, FAST) == [(PAIRS[0], FAST[0])]
    print_at_equal_kl(PAIRS, FAST, {0.5: 0.1, 1.0: 0.2})
    *_, first, second, last = capsys.readouterr().out.splitlines()
    cells = ["0.5", "8.5", "1.80", "1.30, 30 to 40 (2)", "1.30, 10 to 10 (1)"]
    assert re.split(r"  +", first.strip()) == [*cells, "+0.50 [+0.40, +0.60]", "0.10"]
    cells = ["1", "1.0", "0.30", "0.40, 20 to 20 (1)", "·"]
    assert re.split(r"  +", second.strip()) == [*cells, "-0.10 [-0.10, -0.10]", "0.20"]
    assert last.startswith(
        "means over the 1 ends whose KL a slow and a fast run pass: penalised 1.90"
    )
    assert last.endswith("slow 1.50, fast 1.30")
    print_at_equal_kl(PAIRS, [], {0.5: 0.1, 1.0: 0.2})
    assert "fast run pass" not in capsys.readouterr().out


def test_more_and_gaps_at_equal_kl(capsys):
    print_more_at_equal_kl(PAIRS)
    _, _, *rows = capsys.readouterr().out.splitlines()
    assert [" ".join(row.split()) for row in rows] == [
        "0.5 +0.05 (1 of 2) -0.20 (0 of 2)",
        "1 +0.00 (0 of 1) +0.50 (1 of 1)",
    ]
    print_gaps({"other": PAIRS[:2]})
    assert capsys.readouterr().out.splitlines() == [
        "other, β = 0.5, 8.0 to 9.0 nats: more gold at 2 of 2 seeds, +0.40 to +0.60",
    ]


def test_last_texts_of_the_two_that_are_nearest_in_kl(capsys):
    own, slow = (
        [
            Run(beta, seed, step=[0, 10], kl=[0.0, far], texts={10: [f"{name} {seed}"]})
            for seed, far in enumerate(ends)
        ]
        for name, beta, ends in (("own", 0.1, (9.0, 5.0)), ("slow", 0.0, (3.0, 6.0)))
    )
    print_last_texts(own, slow)
    said = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert said[0][-1] == "1"
    assert said[-1] == ["own", "1", "slow", "1"]


def test_steered(rows):
    run = Run(
        0.2, 3, step=[0, 10, 20, 30], kl=[0.0, 9.0, 9.0, 9.0], gold=[0.0, 1.0, 1.0, 1.0],
        weight=[0.2, 0.2, 0.1, 0.15],
    )  # fmt: skip
    print_steered([run, replace(run, seed=4)], 6.0, -0.5)
    _, body, other = rows()
    assert body == ["3", "9.0,", "9.0", "50%", "0.20,", "0.10,", "0.15", "1.50"]
    assert other[0] == "4"
