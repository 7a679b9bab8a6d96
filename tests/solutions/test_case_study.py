"""What lesson 07 says about runs is computed rightly: on runs whose answer is known."""

import math
import re
from dataclasses import replace

import pytest
import torch

from autograde.course.lessons import read_source
from helpers.language_model.runs import Run, failing, recorded, recorded_methods
from helpers.plots.case_study import fit_says, frontier_says, plot_fit
from helpers.problems.case_study import (
    ALIASES,
    End,
    Pair,
    Points,
    at_end,
    at_equal_kl,
    best_by_others,
    budget_says,
    check_claims,
    ends_by_beta,
    fit_parabola,
    gains_between,
    gold_of_ref,
    judge_claim,
    keeps,
    leave_one_seed_out,
    means_by_beta,
    miss_of_other_seeds,
    near_peak,
    over_the_sweep,
    peak_of_parabola,
    per_token,
    points,
    rule_says,
    seed_spread,
    straddled,
    tuned_by_proxy,
)
from helpers.reference import best_kl, fit_overoptimization, held_out_error, q07_diagnose

STEPS = [0, 10, 20, 30, 40]


def made_up(beta: float, kl: list[float], gold: list[float], seed: int = 0) -> Run:
    flat = [0.5] * len(STEPS)
    return Run(
        beta=beta, seed=seed, step=STEPS, proxy=flat, gold=gold, kl=kl, distinct_2=flat,
        length=flat, texts={},
    )  # fmt: skip


FREE = made_up(0.0, [0.0, 1.0, 4.0, 16.0, 36.0], [-1.0, 0.0, 1.0, 0.0, -2.0])
HELD = made_up(0.5, [0.0, 3.0, 9.0, 9.0, 9.0], [-1.0, 0.5, 0.9, 0.9, 0.9])
CLOSE = made_up(2.0, [0.0, 0.2, 0.4, 0.4, 0.4], [-1.0, -0.5, 0.0, 0.0, 0.0])
RUNS = [FREE, HELD, CLOSE]


@pytest.mark.parametrize("c", [0.1, 0.2, 0.4])
def test_the_exact_toy(c):
    for beta in (0.2, 0.5, 1.0, 3.0):
        kl, proxy, gold = tuned_by_proxy(c, beta)
        d = math.sqrt(kl)
        assert kl == pytest.approx(1 / (2 * beta**2), rel=1e-9)
        assert proxy == pytest.approx(math.sqrt(2) * d, rel=1e-9)
        assert gold == pytest.approx(math.sqrt(2) * d - 2 * c * d * d - c, rel=1e-9, abs=1e-9)


def test_a_fit_finds_the_curve_and_its_peak():
    d = torch.linspace(0.2, 9.0, 50, dtype=torch.float64)
    alpha, b = fit_overoptimization(d**2, d * (1.3 - 0.6 * d.log()))
    assert (alpha, b) == pytest.approx((1.3, 0.6), rel=1e-9)
    fine = torch.linspace(0.01, 9.0, 100_000, dtype=torch.float64)
    highest = fine[(fine * (alpha - b * fine.log())).argmax()]
    assert best_kl(alpha, b) == pytest.approx(highest.item() ** 2, rel=1e-3)


def test_a_fit_and_a_peak_that_do_not_exist():
    with pytest.raises(ValueError, match="kl"):
        fit_overoptimization(torch.tensor([2.0, 2.0, 0.0]), torch.ones(3))
    for b in (0.0, -1.0, math.nan):
        with pytest.raises(ValueError, match="b must be above 0"):
            best_kl(1.0, b)


def test_the_error_of_a_run_left_out_is_its_residual_over_one_less_its_leverage():
    """A closed form for least squares, which needs no second fit."""
    made = torch.Generator().manual_seed(0)
    kl, gold = (torch.rand(12, generator=made, dtype=torch.float64) * 9 for _ in range(2))

    def columns(d):
        return torch.stack([d, -d * d.log()], dim=1)

    design = columns(kl.sqrt())
    hat = design @ torch.linalg.pinv(design)
    right = ((gold - hat @ gold) / (1 - hat.diagonal())).abs()
    alone = torch.eye(12, dtype=torch.bool)
    found = [held_out_error(kl, gold, one, columns) for one in alone]
    assert found == pytest.approx(right.tolist(), rel=1e-9)


def test_the_minutes_add_up_to_what_the_lesson_says():
    text = " ".join("".join(cell.source for cell in read_source("07_case_study")).split())
    minutes = [int(found) for found in re.findall(r"## 7\.\d+ [^#]*? (\d+) min[,)]", text)]
    first, second, writing, again = minutes[:5], minutes[5:9], minutes[7:9], minutes[9]
    assert f"Two sittings, {sum(minutes[:9])} minutes together" in text
    assert f"7.1 to 7.5, takes {sum(first)}; part two, 7.6 to 7.9, takes {sum(second)}" in text
    assert f"of which {sum(writing)} are writing" in text
    assert f"A second reading, 7.10, takes {again} more" in text


def test_gains_are_over_ref():
    assert gold_of_ref(RUNS) == -1.0
    found = points([FREE], -1.0)
    assert found.kl.tolist() == [1.0, 4.0, 16.0, 36.0]
    assert found.gain.tolist() == [1.0, 2.0, 1.0, -1.0]
    assert at_end(HELD, "kl") == 9.0


@pytest.fixture
def ends():
    """Two seeds of each β: 0.2 keeps within 10 nats at one of them, 0.5 and 1 at both."""
    return {
        0.0: [End(50.0, -1.0, 0.0), End(60.0, -2.0, 0.0)],
        0.2: [End(9.0, 2.0, 3.0), End(11.0, 2.0, 4.0)],
        0.5: [End(5.0, 1.0, 2.0), End(6.0, 1.0, 3.0)],
        1.0: [End(1.0, 0.1, 1.1), End(1.0, 0.1, 2.1)],
    }


def test_where_runs_end():
    found = ends_by_beta(RUNS, -1.0)
    assert found[0.5] == [End(9.0, pytest.approx(1.9), pytest.approx(0.9 - (1.0 + 0.0 - 2.0) / 3))]
    assert found[0.0][0].over_free == 0.0
    other = made_up(0.0, FREE.kl, [gold + 1.0 for gold in FREE.gold], seed=1)
    found = ends_by_beta([*RUNS, other], -1.0)
    assert [end.over_free for end in found[0.0]] == pytest.approx([-0.5, 0.5])


def test_the_means_of_each_beta():
    other = made_up(0.5, HELD.kl, [gold + 0.2 for gold in HELD.gold], seed=1)
    found = means_by_beta([HELD, other], -1.0)[0.5]
    assert found[:3] == pytest.approx((2.0, 20.0, 2.0))
    assert found.spread == pytest.approx(0.2 / math.sqrt(2))
    assert (found.proxy, found.kl) == pytest.approx((0.5, 9.0))


def test_the_best_step_is_chosen_by_other_seeds():
    runs = [made_up(0.1, FREE.kl, gold) for gold in ([0.0, 9, 1, 0, 0], [0.0, 0, 1, 0, 0])]
    assert best_by_others(runs) == (1 / 2, 15.0)  # the lucky 9 does not choose itself


@pytest.mark.parametrize(
    ("end", "kept"),
    [
        (End(9.0, 0.1, 0.1), True),
        (End(10.0, 0.1, 0.1), True),
        (End(11.0, 0.1, 0.1), False),
        (End(9.0, -0.1, 0.1), False),
        (End(9.0, 0.1, 0.0), False),
    ],
)
def test_what_is_asked_of_an_end(end, kept):
    assert keeps(end, 10.0) is kept


SOUND = "never picks a β that broke it at a seed it saw."


def boldest(ends, budget):
    good = [beta for beta, each in ends.items() if all(keeps(end, budget) for end in each)]
    return min(good, default=None)


def test_a_rule_is_tested_on_the_seed_that_it_has_not_seen(ends):
    """Without its second seed, 0.2 looks well, and that seed shows what it is worth."""
    folds = leave_one_seed_out(boldest, ends, 10.0)
    assert folds == [(0.5, ends[0.5][0]), (0.2, ends[0.2][1])]
    assert [keeps(fold.end, 10.0) for fold in folds] == [True, False]
    assert ends[0.2] == [End(9.0, 2.0, 3.0), End(11.0, 2.0, 4.0)]  # as they were


@pytest.mark.parametrize("picked", [0.2, 0.0, 0.25, None, "0.2 or so", [0.5], math.nan])
def test_a_rule_that_breaks_what_it_saw_or_picks_what_nobody_ran(ends, picked):
    folds = leave_one_seed_out(lambda ends, budget: picked, ends, 10.0)
    assert SOUND not in rule_says(folds, ends, 10.0)
    assert [fold.end is None for fold in folds] == [picked not in (0.2, 0.0)] * 2


def test_what_a_rule_is_told(ends):
    bold = leave_one_seed_out(boldest, ends, 10.0)
    assert rule_says(bold, ends, 10.0).endswith(SOUND)


@pytest.mark.parametrize(
    ("picked", "says"),
    [
        (None, "It picked none, though β = 0.5 or 1 kept it at every seed that it saw."),
        (0.25, "It picked 0.25, which is no β of the record."),
        (0.0, "It picked β = 0, which at a seed that it saw ended beyond the budget and "),
    ],
)
def test_why_a_rule_is_not_sound(ends, picked, says):
    said = rule_says(leave_one_seed_out(lambda *_: picked, ends, 10.0), ends, 10.0)
    none = "; at 2 of them it picked none" * (picked is None)
    assert said.startswith(f"kept at 0 of 2 seeds that the rule had not seen{none}\n{says}")


@pytest.mark.parametrize(
    ("gains", "says"),
    [  # from 1/4 to 1/2 of the budget, from there to it, and to twice of it
        ((0.5, 1.0, 0.2), "The record supports it"),
        ((1.5, 1.0, 0.2), "Gold had turned before"),
        ((0.5, 1.0, 2.0), "Going further still paid"),
        ((0.5, 1.0, 1.0), "not told apart"),
    ],
)
def test_a_budget_is_held_to_what_was_measured(gains, says):
    kl = torch.tensor([3.0, 6.0, 12.0]).repeat_interleave(12)
    wiggle = 0.02 * torch.arange(12.0).repeat(3)
    found = Points(kl, torch.tensor(gains).repeat_interleave(12) + wiggle)
    apart = {
        0.1: Points(found.kl[:21], found.gain[:21]),
        0.2: Points(found.kl[21:], found.gain[21:]),
    }
    said = budget_says(found, 8.0, apart)
    assert says in said
    assert f"from a quarter to half of it: 12 measurements, mean gain {gains[0] + 0.11:.2f}" in said
    rises = gains[2] > gains[1]
    told = "rises" if rises else "falls"
    last = f"β = 0.2 {gains[1] + 0.2:.2f} → {gains[2] + 0.11:.2f} ({told})."
    early = " As a place to stop a run with β = {} it would be early."
    gain = early.format(0.2) if rises else " No β is seen to gain by going on."
    assert said.endswith(f"up to it → beyond it: {last}{gain}")  # of 0.1 nothing lies beyond
    far = budget_says(found, 80.0, apart)
    assert "Too few were measured" in far
    assert far.endswith("No β was measured 3 times on either side of it.")
    both = {0.1: found, 0.2: Points(found.kl, -found.gain)}
    some = early.format(0.1 if rises else 0.2)
    if gains[1] == gains[2]:
        some = "β = 0.2 -1.11 → -1.11 (not told apart). No β is seen to gain by going on."
    assert budget_says(found, 8.0, both).endswith(some)


def test_a_second_budget_that_the_next_weight_keeps_at_some_seeds_alone(ends):
    assert straddled(ends, 0.0) == straddled(ends, 0.1) == (0.2, 10.0)  # of 9 and 11
    assert straddled(ends, 0.2) == (0.5, 5.5)
    largest = (1.0, sum(e.kl for e in ends[1.0]) / 2)
    assert straddled(ends, 7) == largest
    assert straddled(ends, max(ends)) == straddled(ends, 0.2)  # none is larger: the next smaller
    assert straddled(ends, None) == (0.0, 55.0)  # of the smallest


@pytest.mark.parametrize(("gold", "agrees"), [(0.04, False), (-0.004, False), (0.0, True)])
def test_what_is_not_0_is_not_rounded_to_it(gold, agrees):
    run = made_up(0.5, [0.0] * 4, [gold] * 4)
    found, says = judge_claim(("gold", "own", "end", 0), run, [run])
    assert found == agrees
    assert ("not 0: type more decimals" in says) != agrees


def test_one_end_is_asked_about(ends):
    with pytest.raises(TypeError, match="one end, as"):
        keeps(ends[0.2], 10.0)


def test_the_end_of_a_longer_run_is_said_to_be_one():
    long = made_up(0.0, [0.0, 1.0, 2.0, 3.0, 9.0], [0.0, 0.0, 3.0, 3.0, 9.0])
    curves = ("step", "kl", "gold", "proxy", "distinct_2", "length", "entropy", "forgotten")
    short = replace(long, beta=0.5, **{name: getattr(long, name)[:4] for name in curves})
    agrees, says = judge_claim(("gold", (0.0, long.seed), "end", 5.0), short, [long])
    assert agrees
    assert says.endswith(f"by step {short.step[-1]}, where your run ends, it is 2.00")
    assert "where your run ends" not in judge_claim(("gold", "own", "end", 2.0), short, [long])[1]


@pytest.mark.parametrize("said", [0, -3.0, math.nan, "16", None, True])
def test_a_budget_is_a_number_of_nats(said):
    found = Points(torch.ones(3), torch.ones(3))
    assert budget_says(found, said, {}).startswith("A budget is a number of nats above 0, not ")


def test_to_pick_none_is_right_where_none_will_do(ends):
    none = rule_says(leave_one_seed_out(boldest, ends, 0.5), ends, 0.5)
    assert none.endswith(f"{SOUND}\nTo pick none is an answer, where no β kept it at every seed.")
    one = leave_one_seed_out(lambda *_: 0.5, ends, 0.5)
    assert "β = 0.5, which at a seed that it saw" in rule_says(one, ends, 0.5)


def test_a_penalised_end_is_held_against_stopping_at_its_kl():
    (pair,) = at_equal_kl(RUNS, [FREE], -1.0)  # the close one ends before the free one was measured
    assert (pair.beta, pair.kl, pair.step) == (0.5, 9.0, 30)
    assert pair.gain == pytest.approx(1.9)
    assert pair.stopped == pytest.approx(1.5)  # d = 3, halfway between 2 and 4
    assert pair.more_proxy == pair.more_distinct == 0.0
    rising = replace(FREE, proxy=[0.0, 0.1, 0.2, 0.6, 0.7])
    (pair,) = at_equal_kl(RUNS, [rising], -1.0)
    assert pair.more_proxy == pytest.approx(0.5 - 0.4)
    alike = replace(FREE, distinct_2=[0.9, 0.9, 0.5, 0.3, 0.1])
    (pair,) = at_equal_kl(RUNS, [alike], -1.0)
    assert pair.more_distinct == pytest.approx(0.5 - 0.4)
    assert at_equal_kl(RUNS, [made_up(0.0, FREE.kl, FREE.gold, seed=1)], -1.0) == []


def test_an_end_is_held_against_the_sweep_of_its_seed():
    """The sweep ends at √kl 3 with 0.9 and at √0.4 with 0; halfway between them it has 0.45."""
    half = ((3 + math.sqrt(0.4)) / 2) ** 2
    flat = made_up(0.2, [0.0, 1.0, half, half, half], [0.0, 0.5, 0.75, 0.75, 0.75])
    assert over_the_sweep([flat], [HELD, CLOSE]) == pytest.approx([0.3])
    assert over_the_sweep([FREE], [HELD, CLOSE]) == []  # it ends beyond them
    assert over_the_sweep([replace(flat, seed=1)], [HELD, CLOSE]) == []
    assert per_token(HELD) == pytest.approx(9.0 / 0.5)


def gaps(beta: float, *differences: float) -> list[Pair]:
    return [
        Pair(beta, seed, 4.0, 1.0 + gap, 1.0, 10, 0.0, 0.0) for seed, gap in enumerate(differences)
    ]


@pytest.mark.parametrize(
    ("pairs", "says"),
    [
        ([], "No penalised run"),
        (
            gaps(0.1, 0.9, 0.6, 0.5),
            "β = 0.1 gains clearly more than the slow run, at every seed compared",
        ),
        (
            gaps(0.1, 0.9, 0.6, 0.5) + gaps(0.2, 0.8, 0.9, 0.7),
            "β = 0.1 and 0.2 gain clearly more than the slow",
        ),
        (gaps(0.1, -0.9, -0.6, -0.5) + gaps(0.2, 0.8, 0.9, 0.7), "β = 0.1 gains clearly less"),
        (gaps(0.1, 0.1, 0.2, 0.1), "no β differs"),  # one sign, but within the spread
        (gaps(0.1, 0.5, 0.5, 0.5), "no β differs"),  # more than the spread, but not twice
        (gaps(0.1, 2.0, 2.0, -0.1), "no β differs"),  # large, but of two signs
        (gaps(0.1, 2.0, 2.0), "Too few"),  # two seeds have one sign half of the time
        (gaps(0.1, 2.0, 2.0) + gaps(0.2, 0.1, 0.2, 0.1), "no β differs"),
    ],
)
def test_only_clear_differences_from_stopping_are_named(pairs, says):
    assert says in frontier_says(pairs, {0.1: 0.3, 0.2: 0.3})


def test_the_spread_is_that_between_seeds():
    other = made_up(0.5, HELD.kl, [-1.0, 2.5, 2.9, 2.9, 2.9], seed=1)
    assert seed_spread([HELD, other]) == {0.5: pytest.approx(math.sqrt(2.0))}


def test_the_peak_of_a_parabola():
    d = torch.linspace(0.0, 5.0, 40)
    curved = Points(d**2, d * (1.2 - 0.2 * d))
    assert fit_parabola(curved) == pytest.approx((1.2, 0.2), rel=1e-4)
    found = peak_of_parabola(curved)
    assert found == pytest.approx(9.0, rel=1e-4)  # d = 1.2 / 0.4
    assert peak_of_parabola(Points(d**2, d * (1.2 + 0.2 * d))) is None


def test_a_seed_is_missed_by_as_much_as_it_is_from_the_others():
    shifted = [
        made_up(0.5, HELD.kl, [gold + by for gold in HELD.gold], seed=seed)
        for seed, by in enumerate((0.0, 0.0, 0.6))
    ]
    assert miss_of_other_seeds(shifted, 2) == pytest.approx(0.6)
    assert miss_of_other_seeds(shifted, 0) == pytest.approx(0.3)


def test_gains_in_a_range():
    found = points(RUNS, -1.0)
    assert sorted(gains_between(found, 1.0, 4.0).tolist()) == [1.5, 2.0]
    assert sorted(near_peak(found, 9.0).tolist()) == pytest.approx([1.9] * 3)


def test_a_peak_is_told_beside_what_was_measured_there():
    found = points(RUNS, -1.0)
    peaks = {"one": (9.0, 6.0), "far": (900.0, 6.0), "flat": (None, 0.0)}
    assert fit_says(found, peaks).splitlines() == [
        "one: at its peak, d = 3.0, it says 6.00; 3 measured within 0.5 of it say 1.90",
        "far: its peak lies where nothing was measured",
        "flat: it has no peak",
    ]


@pytest.mark.parametrize("peak_kl", [9.0, 900.0, None])
def test_both_forms_are_drawn_each_with_its_peak(peak_kl, capsys, monkeypatch):
    shown = []
    monkeypatch.setattr("helpers.plots.plt.close", shown.append)
    plot_fit(RUNS, -1.0, HELD, 2.0, 1.0 if peak_kl else -1.0, peak_kl)
    said = capsys.readouterr().out
    assert "d · (2.00 − " in said
    (figure,) = shown
    fits = {line.get_label(): line for line in figure.axes[0].lines if "α" in line.get_label()}
    log_form, parabola = fits["d (α − b log d), its peak"], fits["d (α − b d), its peak"]
    assert log_form.get_linestyle() != parabola.get_linestyle()
    assert log_form.get_marker() != parabola.get_marker()
    (at,) = parabola.get_markevery()
    curve = parabola.get_ydata()
    assert curve[at] == pytest.approx(max(curve), rel=1e-3)
    assert len(log_form.get_markevery()) == (peak_kl == 9.0)


@pytest.mark.parametrize(
    ("claim", "agrees", "says"),
    [
        (("kl", "own", 20, 9), True, "measured 9.00"),
        (("kl", "own", 20, 9.1), False, "measured 9.00"),
        (("gold", "own", 20, 0.9), True, "measured 0.90"),
        (("gold", "own", 20, 1), True, "measured 0.90"),
        (("gold", (0.0, 0), 40, -2.0), True, "measured -2.00"),
        (("gold", (0.0, 1), 40, -2.0), False, 'is no run: write "own", a beta of 0, 0.5, 2'),
        (("golf", "own", 20, 0.9), False, "there is no 'golf'"),
        (("gold", "own", 25, 0.9), False, "near it are 20 and 30"),
        (("gold", "own", 20), False, "write (quantity"),
        ("gold", False, "write (quantity"),
        ((["gold"], "own", 20, 1), False, "there is no"),
        (("gold", "own", "late", 1), False, "or a step before a value, not 'late'"),
        (("gold", "own", [20], 1), False, "not measured at step [20]"),
        (("gold", "mine", 20, 0.9), False, 'is no run: write "own", a beta of 0, 0.5, 2'),
        (("kl", 0.5, 20, 9.0), True, "measured 9.00"),
        (("kl", "own", "<", 0.0), True, "up to step 40, mean of the last 3: 9.00 against 18.67"),
        (
            ("kl", "own", ">", (0.0, 0)),
            False,
            "up to step 40, mean of the last 3: 9.00 against 18.67",
        ),
        (("kl", "own", "<", 0.3), False, 'is no run: write "own", a beta of 0, 0.5, 2'),
        (("kl", "own", "=", 0.3), False, 'write "<", ">" or "-" between two runs'),
        (("kl", "own", "<", 3.0, 2.0), False, "it alone has five entries"),
        (("kl", "own", 20, 9.0, 2.0), False, "it alone has five entries"),
        (("kl", "own", "-", 0.0), False, 'a difference is (quantity, whose, "-", whose, value)'),
        (("kl", "own", "-", 0.0, "more"), False, "value a number, not 'more'"),
        (("kl", "own", "-", 0.3, 1.0), False, "0.3 is no run"),
        (("kl", "own", "-", 0.0, math.nan), False, "value a number, not nan"),
        (("kl", "own", 20, True), False, "value a number, not True"),
        (("gold", "own", 20, "high"), False, "write (quantity"),
    ],
)
def test_a_cited_number_is_compared_with_its_run(claim, agrees, says):
    found = judge_claim(claim, HELD, RUNS)
    assert found[0] is agrees
    assert says in found[1]


SLOW = "β = 0, a third of the rate"
TWO = [made_up(0.5, [0.0, 50.0, 50.0, 50.0, 50.0], HELD.gold, seed=1),
       made_up(0.0, [0.0, 40.0, 40.0, 40.0, 41.0], FREE.gold, seed=1)]  # fmt: skip
METHODS = {
    SLOW: [replace(FREE, kl=[0.0, 2.0, 2.0, 2.0, 2.0 + seed], seed=seed) for seed in (0, 1)],
    "controller": [replace(FREE, kl=[0.0, 5.0, 5.0, 5.0, 5.0], seed=7)],
    "far": [replace(FREE, seed=seed) for seed in (7, 8)],
}


@pytest.mark.parametrize(
    ("claim", "agrees", "says"),
    [
        (("kl", "slow", "end", 2.17), True, "measured 2.17, the mean of 2 seeds"),
        (("kl", SLOW, 40, 2.5), True, "measured 2.50, the mean of 2 seeds"),
        (("kl", ("slow", 1), 40, 3), True, "measured 3.00"),
        (("kl", (SLOW, 0), 40, 3), False, "measured 2.00"),
        (("kl", ("slow", 4), 40, 3), False, "('slow', 4) is no run: write"),
        (("kl", "slow", "<", 0.5), True, "2.17 against 29.50 over the runs, and so in 2 of 2"),
        (("kl", "controller", "<", "own"), True, "5.00 against 9.00"),
        (("kl", "steady", "end", 2.2), False, '"slow", "controller", "far", alone or with a seed'),
        (("kl", 0.5, "-", "own", 20.5), True, "measured 20.50, the mean of 2 pairs; 0.00 to 41.00"),
        (("kl", 0.5, "-", 0.0, 0.0), True, "measured 0.00, the mean of 2 pairs; -9.67 to 9.67"),
        (("kl", 0.5, "-", "slow", 27), True, "measured 27.33, the mean of 2 pairs"),
        (("kl", 0.5, "-", "slow", 27.0), False, "measured 27.33"),
        (("gold", "own", "-", (0.0, 0), 1.2), True, "up to step 40, mean of the last 3: measured"),
        (("kl", 0.5, "-", "far", 1.0), False, "no seed in common"),
        (("kl", 0.5, ">", "far"), False, "no seed in common"),
    ],
)
def test_claims_about_methods_and_differences(claim, agrees, says):
    found = judge_claim(claim, HELD, [*RUNS, *TWO], METHODS)
    assert found[0] is agrees, found
    assert says in found[1]


def test_the_short_names_are_of_methods_of_the_record():
    assert set(ALIASES.values()) < set(recorded_methods())


def test_an_order_is_to_hold_at_every_seed():
    other = made_up(0.5, [0.0, 50.0, 50.0, 50.0, 50.0], HELD.gold, seed=1)
    free = made_up(0.0, [0.0, 40.0, 40.0, 40.0, 40.0], FREE.gold, seed=1)
    runs = [*RUNS, other, free]
    agrees, says = judge_claim(("kl", 0.5, "<", 0.0), HELD, runs)
    assert not agrees
    assert says.endswith("so in 1 of 2")
    assert judge_claim(("kl", "own", "<", 0.0), HELD, runs)[0]
    assert judge_claim(("gold", 0.5, ">", 0.0), HELD, runs)[0]


def test_runs_of_two_lengths_are_compared_after_equal_steps():
    short = replace(HELD, step=STEPS[:4], kl=HELD.kl[:4])
    agrees, says = judge_claim(("gold", "own", ">", 0.0), short, RUNS)
    assert agrees
    assert says == "up to step 30, mean of the last 3: 0.77 against 0.33"
    assert at_end(FREE, "gold", until=30) == pytest.approx(1 / 3)
    assert at_end(FREE, "gold") == pytest.approx(-1 / 3)


def test_a_number_of_a_table_can_be_cited():
    """An end is the mean of the last three, a gain is over ref: as the tables print them."""
    late = replace(HELD, gold=[-1.0, 0.5, 0.6, 0.9, 1.2])
    assert judge_claim(("gold", "own", "end", 0.90), late, RUNS)[0]
    assert judge_claim(("gain", "own", "end", 1.90), late, RUNS)[0]
    assert judge_claim(("gain", "own", 10, 1.5), late, RUNS)[0]
    assert judge_claim(("gain", "own", ">", 0.0), late, RUNS)[0]
    both = [*RUNS, replace(FREE, seed=1, gold=[-1.0, 0.0, 3.0, 2.0, 0.0])]
    assert judge_claim(("gold", 0.0, 20, 2.0), late, both) == (
        True,
        "measured 2.00, the mean of 2 seeds",
    )
    assert judge_claim(("gain", 0.0, "end", 1.67), late, both)[0]
    agrees, says = judge_claim(("gold", "own", 40, 0.9), late, RUNS)
    assert not agrees
    assert says == "measured 1.20; the mean of the last 3, step 'end', is 0.90"


def test_claims_are_counted(capsys):
    check_claims([("kl", "own", 20, 9.0), ("kl", "own", 20, 8.0)], HELD, RUNS)
    said = capsys.readouterr().out
    assert "1 of 2 claims agree" in said
    assert said.index("✓") < said.index("✗")


def test_the_record_can_be_analysed():
    runs = recorded()
    assert len({run.beta for run in runs}) > 3
    assert len({run.seed for run in runs}) > 1
    found = points(runs, gold_of_ref(runs))
    alpha, b = fit_overoptimization(found.kl, found.gain)
    assert math.isfinite(alpha)
    assert math.isfinite(b)
    slow = recorded_methods()["β = 0, a third of the rate"]
    assert at_equal_kl(runs, slow, gold_of_ref(runs)), "no penalised run can be held against them"


def test_the_case_shows_what_the_quiz_asks_for():
    """The reported divergence falls at the step that the quiz names, and nowhere else so far."""
    run = failing()
    falls = [before - after for before, after in zip(run.kl[:-1], run.kl[1:], strict=True)]
    deepest = max(range(len(falls)), key=falls.__getitem__)
    assert abs(run.step[deepest + 1] - q07_diagnose["first_bad_step"]) <= 5
    assert falls[deepest] > 0.5 * run.kl[deepest]
    assert run.proxy[-1] > run.proxy[deepest]
    assert run.distinct_2[-1] < run.distinct_2[deepest]
