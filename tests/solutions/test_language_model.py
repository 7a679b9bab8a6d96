"""What lesson 06 says of a reader's loop, and the texts that it shows without names."""

from collections import Counter

import pytest
import torch

from autograde.course.lessons import read_source
from autograde.records.methods import TARGET
from helpers import reference
from helpers.language_model.runs import (
    Run,
    methods_beta,
    recorded,
    recorded_methods,
    recorded_outside,
    recorded_smollm2,
)
from helpers.language_model.sampling import sample
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.tuning import Steps, World, sequence_kl
from helpers.plots.language_model import (
    by_beta,
    commonest_word,
    plot_groups,
    ranked,
)
from helpers.problems.case_study import (
    at_end,
    at_equal_kl,
    clear_of_stopping,
    gold_of_ref,
    seed_spread,
)
from helpers.problems.language_model import (
    BETA,
    MEASURED_WITH,
    N_STEPS,
    blind_pairs,
    letters,
    loop_says,
)
from helpers.tables.case_study import of_both
from helpers.tables.language_model import _shares

STEPS = Steps(reference.freeze_reference, reference.group_advantage, reference.train_step)


@pytest.fixture(scope="module")
def world() -> World:
    return World()


def loop(world: World, slip: str = "") -> list:
    """A reader's, with a slip, or with several that blanks part."""
    slips = slip.split()
    policy = reference.freeze_reference(world.model).requires_grad_(True)
    ref = reference.freeze_reference(policy)
    optimizer = torch.optim.AdamW(policy.parameters(), lr=3e-4)
    generator, measured = torch.Generator().manual_seed(0), []
    for _ in range(N_STEPS + 1):
        dice = torch.Generator().manual_seed(MEASURED_WITH + ("measure" in slips))
        fresh = sample(policy, world.prompts(16), 16, dice)
        with torch.no_grad():
            proxy = world.proxy(fresh.tokens).mean()
        measured.append((proxy, sequence_kl(policy, ref, fresh).mean()))
        if "same" in slips:
            generator.manual_seed(0)
        drawn = sample(policy, world.prompts(8), 16, generator)
        with torch.no_grad():
            judges = {"gold": world.gold, "proxy": world.proxy}
            judge = next((judges[one] for one in slips if one in judges), None)
            rewards = (judge(drawn.tokens) if judge else world.score(drawn)).view(8, 8)
            old_logp = response_log_probs(policy.eval(), drawn.tokens)
        advantage = reference.group_advantage(rewards).flatten()
        if "all" in slips:
            advantage = reference.group_advantage(rewards.view(1, -1)).flatten()
        if "mixed" in slips:
            advantage = reference.group_advantage(rewards.T).T.flatten()
        if "turned" in slips:
            advantage = reference.group_advantage(rewards.T).flatten()
        if "astray" in slips:
            advantage = reference.group_advantage(rewards).T.flatten()
        if "raw" in slips:
            advantage = rewards.flatten()
        if "sign" in slips:
            advantage = -advantage
        beta = 0.0 if "free" in slips else 0.2 if "swapped" in slips else BETA
        batch = (drawn.tokens, drawn.response_mask, old_logp, advantage)
        for _ in range(1 + ("twice" in slips)):
            reference.train_step(policy, ref, optimizer, *batch, 0.2, beta)
    return measured


def test_a_right_loop_has_the_course_s_numbers(world):
    """Old scored again by the policy itself, which is right too."""
    assert loop_says(loop(world), STEPS, world).startswith("Right")


@pytest.mark.long
@pytest.mark.parametrize(
    ("slip", "told"),
    [
        ("measure", "how you measure"),
        ("same", "should be new in each step"),
        ("gold", "paid by gold"),
        ("proxy", "paid by the proxy alone"),
        ("all", "compares all 64 responses"),
        ("mixed", "groups mix prompts"),
        ("turned", "groups mix prompts, and whose advantages go to other responses"),
        ("astray", "whose advantages go to other responses: their order"),
        ("raw", "the rewards themselves"),
        ("free", "beta has no part"),
        ("swapped", "epsilon in its place"),
        ("twice", "two steps on each batch"),
        ("sign", "have the sign turned"),
        ("all free", "; then another slip shows"),
        ("sign gold", "in the first step"),
    ],
)
def test_a_slip_in_the_loop_is_named(world, slip, told):
    said = loop_says(loop(world, slip), STEPS, world)
    assert told in said
    assert "Right" not in said


@pytest.mark.parametrize("mine", [3.0, [], [1.0, 2.0], [(1, 2)], ["ab"] * 3, [(0.0, None)] * 3])
def test_what_are_no_measurements_is_told(world, monkeypatch, mine):
    monkeypatch.setattr(
        "helpers.problems.language_model.course_loop", lambda *_: [(0.0, 0.0)] * (N_STEPS + 1)
    )
    assert "A list of 3 pairs" in loop_says(mine, STEPS, world)


def run_of(beta: float, seed: int) -> Run:
    texts = {at: [f"{beta} {seed} {at} {place}" for place in range(8)] for at in (0, 10)}
    texts[10][0] = texts[0][0]  # nothing has changed there
    both = [[1.0 + seed, 2.0 + seed] for _ in range(8)]
    return Run(beta, seed, [0, 10], *both, texts)


RUNS = [run_of(beta, seed) for beta in (0.0, 0.3) for seed in range(5)]


def test_pairs_to_be_read_blind():
    found = blind_pairs(RUNS, 0.3, n_pairs=10, seed=6)
    assert len(found.pairs) == len(found.tuned) == len({*found.pairs}) == 10
    for pair, letter in zip(found.pairs, found.tuned, strict=True):
        tuned, ref = pair["AB".index(letter)].split(), pair["BA".index(letter)].split()
        assert (tuned[2], ref[2]) == ("10", "0")
        assert tuned[0] == ref[0] == "0.3"
        assert (tuned[1], tuned[3]) == (ref[1], ref[3])
    assert found == blind_pairs(RUNS, 0.3, n_pairs=10, seed=6)
    assert found != blind_pairs(RUNS, 0.3, n_pairs=10, seed=7)


def test_neither_side_has_the_tuned_text_more_often():
    drawn = "".join(blind_pairs(RUNS, 0.3, 10, seed).tuned for seed in range(100))
    assert 0.45 < Counter(drawn)["A"] / len(drawn) < 0.55


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("abab", "ABAB"),
        ("AB AB\n", "ABAB"),
        ("ABA", None),
        ("ABAC", None),
        (["A"], None),
        (7, None),
    ],
)
def test_letters(said, meant, capsys):
    assert letters(said, 4) == meant
    assert ("4 letters" in capsys.readouterr().out) == (meant is None)


def test_words_are_counted_without_marks_and_prompts():
    assert commonest_word(["the film, film, is good.", "this movie is film"]) == ("film", 0.5)


def test_a_group_s_measures_are_told_in_words(capsys):
    plot_groups(by_beta(RUNS), ("proxy", "kl", "forgotten"))
    said = capsys.readouterr().out
    assert "Proxy 3.50 with β = 0, 3.50 with β = 0.3" in said
    assert "over the last three measured" in said  # as the table's


def test_has_is_likelier_than_love_and_liked_as_much(world):
    has, love = (world.vocabulary.encode(word)[1] for word in ("has", "love"))
    shares = _shares(world, world.model)
    assert shares[has] > 2 * shares[love]
    assert world.proxy.weight[has] >= world.proxy.weight[love]


def test_the_controller_s_target_is_the_lesson_s():
    source = "".join(cell.source for cell in read_source("07_case_study"))
    assert f"told to end at {TARGET:g} nats a response" in source.replace("\n", " ")
    assert f"_target, _steered = {TARGET}, " in source


def test_what_a_lesson_says_of_the_record_outside_its_cells():
    """Lesson 06 names the weight of its blind pairs, lesson 07 those to rest its result on."""
    runs = recorded()
    read, most_gold = methods_beta(), ranked(runs, "gold")[0]
    said = " ".join("".join(cell.source for cell in read_source("06_language_model")).split())
    assert f"(β = {read:g} has less gold than {most_gold:g} and reads better.)" in said
    best = {(run.beta, run.seed): max(run.gold) for run in runs}
    assert (
        max(range(5), key=lambda seed: best[0.0, seed]) == 0
    )  # "this one, which everybody trains"
    assert all(best[0.1, seed] > best[0.0, seed] for seed in range(5))
    assert all(best[beta, seed] < best[0.0, seed] for beta in (0.5, 1.0) for seed in range(5))
    judged = recorded_outside()
    outside = judged["by_beta"]
    assert outside[f"{read:g}"]["readable"] > outside[f"{most_gold:g}"]["readable"]
    praised = max(outside, key=lambda name: outside[name]["praise"])
    assert outside[praised]["readable"] < outside["ref"]["readable"] / 2
    goes = judged["readable_praise"]  # "gold knows much more", "goes with it as closely"
    assert goes["gold"] > 2 * goes["proxy"]
    assert 0 < goes["praise"] - goes["gold"] < 0.1  # "a little better"
    assert judged["gold"]["readable"] < 0.3
    network, count, seen = {}, {}, {}
    world = World()
    for beta in (0.0, 0.5):
        texts = [t for run in runs if run.beta == beta for t in run.texts[run.step[-1]]]
        rating, readable, various = world.gold.factors(world.vocabulary.batch(texts, 24))
        network[beta], count[beta] = (rating * readable).mean(), various.mean()
        seen[beta] = readable.mean()
    assert network[0.0] > network[0.5]
    assert seen[0.0] > 3 * outside["0"]["readable"]  # "several times as readable"
    assert count[0.0] < 0.2 < 0.9 < count[0.5]
    assert all(run.distinct_2[-1] < run.distinct_2[0] / 2
               for run in recorded_smollm2() if run.beta == 0)  # fmt: skip
    methods, ref_gold = recorded_methods(), gold_of_ref(runs)
    pairs = at_equal_kl(runs, methods["β = 0, a third of the rate"], ref_gold)
    more, less = clear_of_stopping(pairs, seed_spread(runs))
    assert {0.1, 0.2} <= set(more)
    assert not less
    said = " ".join("".join(cell.source for cell in read_source("07_case_study")).split())
    assert "Rest it on β = 0.1: there the least of five ends has more than any run without" in said
    slow = methods["β = 0, a third of the rate"]
    least = min(at_end(run, "gold") for run in runs if run.beta == 0.1)
    free = [run for run in runs if run.beta == 0]
    assert least > max(gold for run in (*slow, *free) for gold in run.gold)
    assert sum(run.gold[-1] == max(run.gold) for run in slow) == 2  # "still at their best"
    assert all(pair.more_distinct < 0 for pair in pairs if pair.beta == 0.1)  # "more alike"
    fast = at_equal_kl(runs, [run for run in runs if run.beta == 0], ref_gold)
    both = of_both(pairs, fast)  # "the fast run … has about what the slow one has"
    assert "at these KLs the fast run has about what the slow one has" in said
    gain = sum(one.gain - one.stopped for one, _ in both)
    assert abs(sum(one.stopped - other.stopped for one, other in both)) < 0.1 * gain
    for name in ("in the reward, k1", "advantage: mean only"):  # "Neither removes the difference"
        gaps = [one.gain - one.stopped for one in at_equal_kl(methods[name], slow, ref_gold)]
        assert len(gaps) == 5
        assert min(gaps) > 0
