"""What lesson 06 prints of runs, of texts and of samplers, by numbers made up for it."""

from dataclasses import replace

import pytest
import torch

from helpers.language_model.checkpoint import load_model
from helpers.language_model.runs import LargerRun, Preferences, Run
from helpers.language_model.tuning import World
from helpers.problems.language_model import in_eight_bits, likeliest
from helpers.reference.language_model import truncated_weights
from helpers.tables import language_model as tables


def run_of(beta: float, seed: int, gold: list[float], proxy: float = 1.0) -> Run:
    n = len(gold)
    same = [[float(value)] * n for value in (4, 0.5, 2, 1, 8, beta)]
    return Run(beta, seed, list(range(0, 10 * n, 10)), [proxy] * n, gold, *same, {0: ["a"]})


SWEEP = [
    run_of(beta, seed, [0.0, best, end + seed / 10, end + seed / 10, end + seed / 10], proxy)
    for beta, best, end, proxy in ((0.0, 3.0, 0.2, 3.0), (0.1, 2.0, 1.5, 2.0), (0.5, 1.0, 0.9, 1.0))
    for seed in (0, 1)
]


def test_ends_are_means_of_the_last_three(capsys):
    tables.print_ends({"one": SWEEP[2:4]}, ("gold",))
    assert "1.55 [1.50, 1.60]" in capsys.readouterr().out


def test_the_record_in_words(capsys):
    tables.print_record(SWEEP)
    said = capsys.readouterr().out
    assert "gold ends highest with β = 0.1, next is β = 0.5: lower at 2 of 2 seeds" in said
    assert "the proxy ends highest with β = 0, KL lowest with β = 0" in said
    assert [line.split()[3] for line in said.splitlines()[2:5]] == ["3.00", "2.00", "1.00"]


def test_the_best_of_a_run_and_how_far_it_had_gone(capsys):
    tables.print_at_best(SWEEP[:1])
    said = capsys.readouterr().out
    assert "gold 0.00 → 0.20, its best 3.00 at step 10; then KL was" in said


def test_a_policy_that_writes_one_word_has_it_won(capsys, monkeypatch):
    world = World()
    love = world.vocabulary.encode("love")[1]
    shares, policy = tables._shares, load_model()
    alone = torch.zeros(len(world.vocabulary)).index_fill(0, torch.tensor(love), 1.0)

    def of(world, network):
        return alone if network is policy else shares(world, network)

    monkeypatch.setattr(tables, "_shares", of)
    tables.print_words(world, policy)
    rows = capsys.readouterr().out.splitlines()
    assert rows[1].split()[0] == "love"
    assert rows[1].split()[2] == "100.00%"
    assert rows[2].startswith("not won")
    assert all(float(row.split()[3]) > float(rows[1].split()[3]) for row in rows[3:])  # weights


def test_what_warned_and_when(capsys):
    run = run_of(0.0, 0, [0.0, 3.0, 2.0, 1.0, 0.5])
    tables.print_warnings(replace(run, distinct_2=[0.8, 0.5, 0.3, 0.1, 0.1]))
    _, pairs, entropy, gold = capsys.readouterr().out.splitlines()
    assert pairs == "  Distinct pairs had halved: by step 20"
    assert entropy.endswith("never")
    assert gold.endswith("(from its best, at 10): by step 30")


def test_the_word_that_is_written_most(capsys):
    tables.print_winners([run_of(0.0, 3, [0.0])])
    assert "seed 3 'a'" in capsys.readouterr().out


def test_gold_s_factors_make_gold(capsys):
    world = World()
    rows = world.vocabulary.batch(["the film is good and funny.", "love love love love"], 24)
    rating, readable, various = world.gold.factors(rows)
    assert torch.allclose(rating * readable * various, world.gold(rows))
    assert various[1] == 0
    assert ((readable > 0) & (readable < 1)).all()
    run = replace(SWEEP[0], texts={0: ["a film."], SWEEP[0].step[-1]: ["the film is good."]})
    tables.print_factors(world, [run])
    assert capsys.readouterr().out.splitlines()[2].startswith("β = 0")


def test_heads_of_a_coin():
    assert tables._at_least(0, 5) == 1
    assert tables._at_least(5, 5) == 1 / 32
    assert tables._at_least(2, 3) == 0.5


def test_judges_from_outside_and_what_goes_with_what(capsys):
    said = {"nats_a_word": 7.0, "readable": 0.5, "praise": 0.1}
    outside = {
        "by_beta": {"0": said | {"praise": 0.9}, "0.1": said | {"readable": 0.8}, "0.5": said,
                    "ref": said | {"readable": 0.9}},
        "gold": {"praise": 0.5},
        "readable_praise": {"gold": 0.67, "proxy": -0.2},
        "texts": 480,
    }  # fmt: skip
    tables.print_outside(outside, SWEEP)
    tables.print_agreement(outside)
    out = capsys.readouterr().out
    assert "highest with: praise β = 0, readable β = 0.1, gold β = 0.1" in out
    assert "over 480 texts" in out
    assert "of readable praise with: gold +0.67, proxy -0.20" in out


def test_what_readers_chose(capsys):
    shares = {"ref": [0.6, 0.7], "0": [0.9, 1.0]}
    tables.print_preferences(Preferences(0.2, "Which?", {"ref": 50, "0": 25}, shares))
    said = capsys.readouterr().out
    assert "rather than ref's: in 60%, 70% of 50 pairs" in said
    assert "rather than that of β = 0: in 90%, 100% of 25 pairs" in said


def test_a_share_that_rounding_lifts_is_no_choice_more(capsys):
    """0.56 of 25 is 14, and a little more in floating point."""
    shares = {"ref": [0.56], "0": [0.56]}
    tables.print_preferences(Preferences(0.2, "Which?", {"ref": 25, "0": 25}, shares))
    assert f"once in {1 / tables._at_least(14, 25):,.0f} times" in capsys.readouterr().out


@pytest.fixture
def trainer():
    return torch.tensor([[0.5, 0.3, 0.15, 0.05]], dtype=torch.float64).log()


def test_a_sampler_that_is_the_trainer_and_one_that_leaves_out(trainer, capsys):
    inside = likeliest(trainer, mass=0.9)
    assert inside.tolist() == [[True, True, True, False]]
    cut = trainer.masked_fill(~inside, -torch.inf).log_softmax(-1)
    tables.print_ratios({"same": trainer, "cut": cut}, trainer, truncated_weights, cap=1.2)
    same, left = capsys.readouterr().out.splitlines()[-2:]
    assert same.split()[:2] == ["same", "1.0000"]
    assert left.split()[:2] == ["cut", "0.9500"]  # the trainer's mass of S


def test_capped_and_dropped(capsys):
    rows = {"each token": torch.tensor([0.5, 4.0, 1.5, 2.0]).log()}
    tables.print_caps(rows, truncated_weights, caps=(3.0,))
    # capped: (0.5 + 3 + 1.5 + 2) / 4; dropped: (0.5 + 0 + 1.5 + 2) / 4
    assert capsys.readouterr().out.split()[-4:] == ["25.00%", "2.000", "1.750", "1.000"]


def test_seed_by_seed(capsys):
    higher = [run_of(1.0, seed, [5.0] * 4) for seed in (0, 1)]
    tables.print_seed_by_seed(higher, {"others": SWEEP[:2]}, ("gold", "KL a token"))
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["gold", "2", "of", "2"]
    assert said[2].split() == ["KL", "a", "token", "0", "of", "2"]


def test_two_models_side_by_side(capsys):
    larger = [
        LargerRun(beta, 0, [0, 10], [0.1, 0.9 - beta], [0.0, 9.0 - beta], [5.0] * 2, [0.5] * 2, {})
        for beta in (0.0, 0.3)
    ]
    tables.print_both_models(SWEEP, larger)
    said = capsys.readouterr().out
    assert "SmolLM2: praise ends highest with β = 0; KL falls from each β to the next" in said


def test_eight_bits_keep_four_of_a_weight():
    network = torch.nn.Linear(64, 64)
    rounded = in_eight_bits(network)
    before, after = network.weight.detach(), rounded.weight.detach()
    assert 0 < ((after - before) / before).abs().median() <= 2**-4
    assert torch.isclose(after.abs().max(), before.abs().max())
