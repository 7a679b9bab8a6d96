"""Fit gold = d · (alpha − b · log d), d = √kl, to some runs by least squares."""

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

LEFT_OUT = "runs without divergence"

REFUSED = "nothing to fit"

FITS_FLOAT32 = {"rtol": 1e-3, "atol": 1e-3}  # normal equations solved in float32 are right too

FITS_FLOAT64 = {"rtol": 1e-6, "atol": 1e-6}

ENTRIES = ("alpha", "b")

# All runs at one kl that is not 1: the two columns are parallel, up to rounding.
ONE_KL = ("two runs at one kl", "seven runs at kl 0.7", "two runs at one kl and one at 0")

ONE_RUN = ("one run", "two runs, one of them at kl 0", "three runs, two of them below 0")

Pair = tuple[float, float]

fit_overoptimization = Exercise(
    "fit_overoptimization",
    parts={VALUES: 3, LEFT_OUT: 1, REFUSED: 2, RULES: 1},
    hints=(
        "d · (alpha − b · log d) is not linear in d, but it is linear in alpha and b: each run is "
        "one equation with two unknowns. What are the two numbers that multiply them?",
        "alpha is multiplied by d and b by −d · log d. Choose the runs above 0 first; then the "
        "least squares of several equations in two unknowns is a job for torch.linalg.lstsq. "
        "Before it, look at how many different kl are left.",
        "Stack the two columns, d and −d · log d, to a matrix with a row for each run left, in "
        "float64; lstsq wants gold as a column too, and its .solution holds alpha, then b. "
        "A ValueError is due when .unique() of the kl left has fewer than two entries.",
    ),
)


@fit_overoptimization.by_hand
def _() -> Iterator[Case]:
    e = math.e
    known = (
        ("kl (1, e²), gold (2, e): alpha 2, b 1", (1.0, e**2), (2.0, e)),
        ("kl (1, 1/4), gold (1, 1/2): b 0", (1.0, 0.25), (1.0, 0.5)),
        ("kl (e², 1), gold (4e, 3): b −1, the curve bends upwards", (e**2, 1.0), (4 * e, 3.0)),
        ("two runs at one kl, which agree on average: 2, 1", (1, 1, e**2), (1.5, 2.5, e)),
        ("three equations that no curve solves", (1, 4, 25), (1.5, 1.0, 0.5)),
        ("three runs at one kl and two at others", (1, 1, 1, e**2, 4), (2.5, 1.0, 2.2, 1.5, 1.0)),
        ("all runs next to ref: kl 0.0001, 0.0004", (1e-4, 4e-4), (0.02, 0.03)),
    )
    for title, kl, gold in known:
        yield _runs(title, tensor(*kl), tensor(*gold))
    yield _runs("kl 0 beside 1 and e²: 2, 1", tensor(0, e**2, 1), tensor(0.3, e, 2), LEFT_OUT)
    far = tensor(3000.0, e, 2)
    yield _runs("a run at kl 0 whose gold is far off", tensor(0, e**2, 1), far, LEFT_OUT)
    below = tensor(1, -0.5, e**2, -3)
    yield _runs("estimates of kl below 0", below, tensor(2, 0.7, e, -1.2), LEFT_OUT)
    # Close together the two columns are nearly parallel, and the digits of float64 are needed.
    d = 3.0 * torch.linspace(0.998, 1.002, 9, dtype=torch.float64)
    gold = d * (1.2 - 0.5 * d.log()) + 0.5 * torch.linspace(1, -1, 9, dtype=torch.float64).pow(2)
    yield _runs("float64, nine runs with d near 3", d * d, gold, RULES)
    yield from _nothing_to_fit()


def _nothing_to_fit() -> Iterator[Case]:
    hopeless = (
        ("no run at all", (), ()),
        ("one run", (2.0,), (1.0,)),
        ("two runs, one of them at kl 0", (2.0, 0.0), (1.0, 0.2)),
        ("three runs, two of them below 0", (-1.0, 2.0, -0.1), (0.4, 1.0, 0.2)),
        ("no run above 0", (0.0, -0.5, -1.0), (0.1, 0.3, -0.2)),
        ("two runs at one kl", (2.0, 2.0), (1.0, 1.4)),
        ("three runs at kl 1, where log d is 0", (1.0, 1.0, 1.0), (1.0, 1.4, 0.9)),
        ("seven runs at kl 0.7", (0.7,) * 7, (1.0, 1.4, 0.9, 1.1, 1.3, 0.8, 1.2)),
        # At kl 2.5 no rounding of log d makes the determinant 0: whoever asks for that is seen.
        ("two runs at one kl and one at 0", (2.5, 0.0, 2.5), (1.0, 0.2, 1.4)),
    )
    for title, kl, gold in hopeless:
        yield _runs(title, tensor(*kl), tensor(*gold), REFUSED)


def _runs(title: str, kl: Tensor, gold: Tensor, part: str = VALUES) -> Case:
    tolerance = FITS_FLOAT64 if kl.dtype == torch.float64 else FITS_FLOAT32
    return Case(title, {"kl": kl, "gold": gold}, part, entries=ENTRIES, **tolerance)


@fit_overoptimization.drawn
def _(draw: Draw) -> Iterator[Case]:
    def noisy(
        runs: int, low: float = 0.3, high: float = 6.0, dtype: torch.dtype = torch.float32
    ) -> tuple[Tensor, Tensor]:
        """kl and gold of runs in no order, their d spread over low … high, noise upon the curve."""
        edges = torch.linspace(low, high, runs + 1, dtype=torch.float64)
        d = edges[:-1] + edges.diff() * draw.uniform(runs, low=0.1, high=0.9, dtype=torch.float64)
        d = d[torch.randperm(runs, generator=draw.generator)]
        alpha, b = draw.uniform(low=0.8, high=1.6), draw.uniform(low=0.3, high=0.9)
        noise = draw.normal(runs, scale=0.5, dtype=torch.float64)
        noise = noise + 0.5 * torch.linspace(1, -1, runs, dtype=torch.float64).pow(2)
        return (d * d).to(dtype), (d * (alpha - b * d.log()) + noise).to(dtype)

    yield _runs("8 runs with noise", *noisy(8))
    yield _runs("24 runs with noise", *noisy(24))
    yield _runs("5 runs, all within 1 nat", *noisy(5, 0.2, 1.0))
    kl, gold = noisy(6, 1.0, 9.0)
    yield _runs("gold below 0 everywhere", kl, gold - gold.max() - 1.0)
    kl, gold = noisy(7)
    spread = kl.repeat(2), torch.cat([gold, gold + draw.normal(7)])
    yield _runs("every kl twice, as of two seeds", *spread)
    kl, gold = noisy(7)
    kl[draw.integers(1, below=7)] = 0.0
    yield _runs("one of 7 runs at kl 0", kl, gold + 1.0, LEFT_OUT)
    kl, gold = noisy(9)
    kl[:2], kl[5:7] = tensor(0.0, -0.3), -kl[5:7]
    yield _runs("4 of 9 runs at kl 0 or below", kl, gold + 1.0, LEFT_OUT)
    yield _runs("float64", *noisy(9, dtype=torch.float64), RULES)
    # Close together the two columns are nearly parallel, and the digits of float64 are needed.
    for near in (10.0, 3.0):
        kl, gold = noisy(9, near * 0.998, near * 1.002, torch.float64)
        yield _runs(f"float64, d near {near:g}", kl, gold, RULES)


def _columns(kl: Tensor, gold: Tensor) -> tuple[Tensor, Tensor]:
    """d and gold of the runs above 0, in float64, with the right refusals."""
    kept = kl > 0
    if kl[kept].unique().numel() < 2:
        raise ValueError("nothing to fit")
    return kl[kept].double().sqrt(), gold[kept].double()


def _least_squares(columns: list[Tensor], target: Tensor, weight: Tensor | float = 1.0) -> list:
    """Coefficients of the columns, by least squares of the errors times `weight`."""
    design = torch.stack(columns, dim=1).double() * torch.as_tensor(weight).reshape(-1, 1)
    found = torch.linalg.lstsq(design, (target.double() * weight)[:, None])
    return found.solution[:, 0].tolist()


def _solved(d: Tensor, gold: Tensor, weight: Tensor | float = 1.0) -> Pair:
    alpha, b = _least_squares([d, -d * d.log()], gold, weight)
    return alpha, b


@fit_overoptimization.wrong(
    "This is a straight line through gold/d against log d, every run counting alike. It has other "
    "errors in mind: those of gold/d, in which a run near ref weighs most. Asked are the least "
    "squares of gold itself: fit gold with the columns d and −d · log d, or weigh each run by d²."
)
def line_through_the_quotients(kl, gold):
    d, gold = _columns(kl, gold)
    return _solved(d, gold, 1 / d)


@fit_overoptimization.wrong(
    "Squared errors of gold/d were weighed by d. Weigh them by d²: that is what turns them into "
    "errors of gold. (np.polyfit's w multiplies errors before they are squared: there w is d.)"
)
def quotients_weighed_by_d(kl, gold):
    d, gold = _columns(kl, gold)
    return _solved(d, gold, d**-0.5)


@fit_overoptimization.wrong(
    "Each run's error was weighed once more by d: far runs count too much. np.polyfit multiplies "
    "errors by w before it squares them, so with gold/d as its target w is d, not d²; with gold as "
    "the target there is no weight at all."
)
def weighed_too_much(kl, gold):
    d, gold = _columns(kl, gold)
    return _solved(d, gold, d)


@fit_overoptimization.wrong(
    "This is a straight line through gold/d against log d, every run counting alike, with its "
    "slope for b. b is minus that slope; and asked are the least squares of gold itself: "
    "weigh each run by d², or fit gold with the columns d and −d · log d."
)
def slope_of_the_quotients(kl, gold):
    alpha, b = line_through_the_quotients(kl, gold)
    return alpha, -b


fit_overoptimization.changed(
    "log_of_kl",
    "d.log()",
    "(d * d).log()",
    "log kl stands in place of log d. As log kl = 2 · log d, this halves b: take the logarithm of "
    "d = √kl.",
)
fit_overoptimization.changed(
    "root_forgotten",
    ".sqrt()",
    "",
    "The square root is missing: kl was used for d, in the factor and in the logarithm. d = √kl.",
)
fit_overoptimization.changed(
    "kl_as_the_factor",
    "[d, -d * d.log()]",
    "[d * d, -d * d * d.log()]",
    "The factor in front of the bracket is kl here. It is d = √kl, inside and outside.",
)
fit_overoptimization.changed(
    "factor_forgotten",
    "[d, -d * d.log()]",
    "[torch.ones_like(d), -d.log()]",
    "The factor d is missing: this fits gold = alpha − b · log d. The bracket is multiplied by d.",
)
fit_overoptimization.changed(
    "factor_on_alpha_only",
    "[d, -d * d.log()]",
    "[d, -d.log()]",
    "d multiplies alpha only: this fits gold = alpha · d − b · log d. The factor d stands in front "
    "of the whole bracket, so b goes with d · log d.",
)
fit_overoptimization.changed(
    "best_of_n_form",
    "[d, -d * d.log()]",
    "[d, -d * d]",
    "This is Gao's form for best-of-n, d · (alpha − b · d). The one for reinforcement learning, "
    "asked here, has log d in the bracket.",
)


@fit_overoptimization.wrong(
    "An intercept was fitted too, a third unknown. The curve goes through 0 at d = 0: the columns "
    "are d and −d · log d, and no column of ones."
)
def intercept_added(kl, gold):
    d, gold = _columns(kl, gold)
    alpha, b, _ = _least_squares([d, -d * d.log(), torch.ones_like(d)], gold)
    return alpha, b


fit_overoptimization.changed(
    "sign_of_b_turned",
    "[d, -d * d.log()]",
    "[d, d * d.log()]",
    "b has the wrong sign: the form *subtracts* b · log d, so the column that goes with b is "
    "−d · log d.",
)
fit_overoptimization.changed(
    "order_swapped",
    "return alpha, b",
    "return b, alpha",
    "The order is swapped: return alpha first, then b.",
)
fit_overoptimization.changed(
    "log_to_base_ten",
    "d.log()",
    "d.log10()",
    "The logarithm is to base 10. log is the natural one everywhere in this course.",
)
fit_overoptimization.changed(
    "log_to_base_two",
    "d.log()",
    "d.log2()",
    "The logarithm is to base 2. log is the natural one everywhere in this course.",
)
fit_overoptimization.changed(
    "log_of_one_more",
    "d.log()",
    "d.log1p()",
    "log1p, the logarithm of 1 + d, is another curve. Leave out the runs at kl 0 or below and take "
    "log d itself.",
)
fit_overoptimization.changed(
    "both_signs_turned",
    "return alpha, b",
    "return -alpha, -b",
    "b comes out negated and alpha too: the left side is −gold, or both columns are turned.",
)


@fit_overoptimization.wrong(
    "alpha and b were fitted one after the other: alpha alone first, b to what was left. The two "
    "columns overlap, so both have to be found at once."
)
def one_after_the_other(kl, gold):
    d, gold = _columns(kl, gold)
    alpha = (d @ gold / (d @ d)).item()
    column = -d * d.log()
    return alpha, (column @ (gold - alpha * d) / (column @ column)).item()


@fit_overoptimization.wrong(
    "Only two of the runs were used, the nearest and the farthest: the curve goes through them and "
    "ignores the rest. Least squares take all runs into account."
)
def first_and_last_only(kl, gold):
    d, gold = _columns(kl, gold)
    ends = [int(d.argmin()), int(d.argmax())]
    return _solved(d[ends], gold[ends])


fit_overoptimization.changed(
    "only_kl_sorted",
    ".sqrt()",
    ".sqrt().sort().values",
    "kl was sorted and gold was not: each kl now stands beside another run's gold.",
)


@fit_overoptimization.wrong(
    "gold was shifted so that its first run has 0. It comes as a gain over ref already, and the "
    "first run is a run like the others."
)
def gold_shifted(kl, gold):
    d, gold = _columns(kl, gold)
    return _solved(d, gold - gold[0])


@fit_overoptimization.wrong(
    "Runs at kl 0 or below were not left out: √kl or log d is nan or −inf there, and one such run "
    "spoils the whole fit."
)
def nothing_left_out(kl, gold):
    return _solved_unseen(kl, gold)


def _solved_unseen(kl: Tensor, gold: Tensor) -> Pair:
    """Normal equations of whatever runs there are, nan included."""
    if kl.unique().numel() < 2:
        raise ValueError("nothing to fit")
    d, gold = kl.double().sqrt(), gold.double()
    design = torch.stack([d, -d * d.log()], dim=1)
    alpha, b = torch.linalg.solve(design.T @ design, design.T @ gold).tolist()
    return alpha, b


@fit_overoptimization.wrong(
    "Runs below 0 were left out, but those at exactly 0 were kept: log 0 is −inf and 0 · (−inf) is "
    "nan. Keep the runs with kl > 0."
)
def zero_kept(kl, gold):
    return _solved_unseen(kl[kl >= 0], gold[kl >= 0])


@fit_overoptimization.wrong(
    "kl was raised to a small number where it is 0 or below, and those runs still count: so a "
    "single real run beside one at 0 gets a curve, through nothing but noise. Leave them out."
)
def clamped(kl, gold):
    raised = kl.double().clamp(min=1e-8)
    if raised.unique().numel() < 2:
        raise ValueError("nothing to fit")
    return _solved(raised.sqrt(), gold)


@fit_overoptimization.wrong(
    "kl was raised to 0.001 where it is less: that invents a place for runs that have none, and "
    "they pull at the curve. Leave out the runs at kl 0 or below."
)
def clamped_far(kl, gold):
    raised = kl.double().clamp(min=1e-3)
    if raised.unique().numel() < 2:
        raise ValueError("nothing to fit")
    return _solved(raised.sqrt(), gold)


@fit_overoptimization.wrong(
    "The sign of kl was dropped. An estimate below 0 says that the divergence is too small to "
    "measure, not that it is large: leave the run out."
)
def sign_of_kl_dropped(kl, gold):
    return _solved(*_columns(kl.abs(), gold))


@fit_overoptimization.wrong(
    "A run at kl 0 or below was answered with an exception. Leave such runs out and fit the rest."
)
def refused_in_place_of_left_out(kl, gold):
    if (kl <= 0).any():
        raise ValueError("kl must be above 0")
    return _solved(*_columns(kl, gold))


@fit_overoptimization.wrong(
    "Runs whose gold is 0 or below were left out too. Only kl decides: a run that gained nothing "
    "is a measurement like the others."
)
def runs_without_gain_left_out(kl, gold):
    kept = (kl > 0) & (gold > 0)
    return _solved(*_columns(kl[kept], gold[kept]))


@fit_overoptimization.wrong(
    "Runs near ref were left out too: this keeps kl ≥ 1 only. Every run with kl > 0 counts."
)
def only_from_one_nat(kl, gold):
    near = (kl > 0) & (kl < 1)
    if kl[~near & (kl > 0)].unique().numel() < 2:
        return _solved(*_columns(kl, gold))
    return _solved(*_columns(kl[~near], gold[~near]))


@fit_overoptimization.wrong(
    "Nothing is refused. Fewer than two runs above 0, or all of them at one kl, leave alpha and b "
    "open: no numbers, not even nan or 0, are an answer then. Raise ValueError for both."
)
def nothing_refused(kl, gold):
    kept = kl > 0
    return _lenient(kl[kept], gold[kept])


fit_overoptimization.changed(
    "numbers_for_nothing",
    'raise ValueError("kl: a fit needs two runs above 0, and not all at one kl")',
    "return math.nan, math.nan",
    "Where there is nothing to fit, nan came back in place of a ValueError: whoever called "
    "goes on with numbers that mean nothing. Raise it.",
)
fit_overoptimization.changed(
    "zeros_for_nothing",
    'raise ValueError("kl: a fit needs two runs above 0, and not all at one kl")',
    "return 0.0, 0.0",
    "Where there is nothing to fit, 0 came back in place of a ValueError: whoever called goes on "
    "with numbers that mean nothing. Raise it.",
)


def _lenient(kl: Tensor, gold: Tensor) -> Pair:
    """The shortest of all coefficients that fit, when there are many."""
    d = kl.double().sqrt()
    design = torch.stack([d, -d * d.log()], dim=1)
    alpha, b = (torch.linalg.pinv(design) @ gold.double()).tolist()
    return alpha, b


@fit_overoptimization.wrong(
    "Runs that all stand at one kl were fitted: one place tells how high a curve is, not how it "
    "bends, so that many pairs of alpha and b do equally well. Raise ValueError."
)
def one_kl_fitted(kl, gold):
    kept = kl > 0
    if kept.sum() < 2:
        raise ValueError("fewer than two runs")
    return _lenient(kl[kept], gold[kept])


@fit_overoptimization.wrong(
    "A single run, or none, was fitted: two unknowns need two runs. Raise ValueError when fewer "
    "than two are left."
)
def too_few_fitted(kl, gold):
    kept = kl > 0
    if kept.sum() > 1 and kl[kept].unique().numel() < 2:
        raise ValueError("all runs at one kl")
    return _lenient(kl[kept], gold[kept])


@fit_overoptimization.wrong(
    "The runs were counted before those at kl 0 or below were left out. Leave out first, then see "
    "whether two different kl remain."
)
def counted_too_early(kl, gold):
    if kl.unique().numel() < 2:
        raise ValueError("nothing to fit")
    kept = kl > 0
    return _lenient(kl[kept], gold[kept])


@fit_overoptimization.wrong(
    "Whether all runs are at one kl was looked at before those at 0 or below were left out: a run "
    "at 0 makes the rest look various. Leave out first."
)
def one_kl_looked_for_too_early(kl, gold):
    kept = kl > 0
    if kept.sum() < 2 or kl.unique().numel() < 2:
        raise ValueError("nothing to fit")
    return _lenient(kl[kept], gold[kept])


@fit_overoptimization.wrong(
    "One kl was recognised by a determinant of exactly 0. After rounding it seldom is, and what "
    "comes out is noise divided by noise: compare the kl themselves.",
    rough=dict.fromkeys(ONE_KL, math.inf),
)
def determinant_compared_with_zero(kl, gold):
    kept = kl > 0
    d, gold = kl[kept].double().sqrt(), gold[kept].double()
    if len(d) < 2:
        raise ValueError("fewer than two runs")
    column = d * d.log()
    dd, dc, cc = (d * d).sum(), (d * column).sum(), (column * column).sum()
    determinant = dd * cc - dc * dc
    if determinant == 0:
        raise ValueError("all runs at one kl")
    dg, cg = (d * gold).sum(), (column * gold).sum()
    alpha, b = (cc * dg - dc * cg) / determinant, (dc * dg - dd * cg) / determinant
    return alpha.item(), b.item()


@fit_overoptimization.wrong(
    "Refusing was left to the solver. Where its matrix is exactly singular it raises an error of "
    "its own, which is no ValueError, and where rounding makes it nearly so it answers with noise. "
    "Look at the kl that are left, and raise ValueError yourself.",
    rough=dict.fromkeys(ONE_RUN + ONE_KL, math.inf),
)
def left_to_the_solver(kl, gold):
    kept = kl > 0
    d = kl[kept].double().sqrt()
    design = torch.stack([d, -d * d.log()], dim=1)
    alpha, b = torch.linalg.solve(design.T @ design, design.T @ gold[kept].double()).tolist()
    return alpha, b


fit_overoptimization.changed(
    "none_returned",
    'raise ValueError("kl: a fit needs two runs above 0, and not all at one kl")',
    "return None",
    "None was returned where there is nothing to fit. Raise ValueError, as the docstring says.",
)


@fit_overoptimization.wrong(
    "An assertion refuses what cannot be fitted. The contract is a ValueError: assertions vanish "
    "under python -O."
)
def asserted(kl, gold):
    assert kl[kl > 0].unique().numel() > 1, "nothing to fit"
    return _solved(*_columns(kl, gold))


@fit_overoptimization.wrong(
    "At least three runs were demanded. Two different kl are enough for two unknowns."
)
def three_runs_demanded(kl, gold):
    if (kl > 0).sum() < 3:
        raise ValueError("fewer than three runs")
    return _solved(*_columns(kl, gold))


@fit_overoptimization.wrong(
    "Two runs at one kl were refused although others stand elsewhere. Only when *all* are at one "
    "kl is there nothing to fit; several seeds at one kl are welcome."
)
def repeats_refused(kl, gold):
    kept = kl[kl > 0]
    if kept.unique().numel() < max(len(kept), 2):
        raise ValueError("a kl stands twice")
    return _solved(*_columns(kl, gold))


@fit_overoptimization.wrong(
    "Of several runs at one kl only the last was kept, as a dict from kl to gold does. They are "
    "all measurements: keep them all."
)
def repeats_dropped(kl, gold):
    last = dict(zip(kl.tolist(), gold.tolist(), strict=True))
    kl, gold = (torch.tensor(list(x), dtype=kl.dtype) for x in (last.keys(), last.values()))
    return _solved(*_columns(kl, gold))


fit_overoptimization.changed(
    "one_tensor",
    "return alpha, b",
    "return torch.tensor((alpha, b))",
    "One thing came back (a number, a tensor, an array). Return two plain numbers, alpha and b, as "
    "a pair.",
)
fit_overoptimization.changed(
    "dict_returned",
    "return alpha, b",
    'return {"alpha": alpha, "b": b}',
    "A dict came back. Return two plain numbers in an order: alpha, then b.",
)
fit_overoptimization.changed(
    "nested",
    "return alpha, b",
    "return [alpha], [b]",
    "alpha and b came back in tensors of shape (1,), not as plain numbers in the shape of the "
    "solution: two nested lists or columns. Take the numbers out with .item() or .tolist().",
)


@fit_overoptimization.wrong(
    "float64 came in and was rounded to float32 on the way. Where the two columns are nearly "
    "parallel a fit needs all the digits there are: keep the dtype, or go to float64 always."
)
def rounded_to_float32(kl, gold):
    return _solved(*_columns(kl.float(), gold.float()))


@fit_overoptimization.wrong(
    "The root was taken in place: the caller's kl is another one afterwards. Compute a new tensor."
)
def root_taken_in_place(kl, gold):
    answer = _solved(*_columns(kl, gold))
    kl.sqrt_()
    return answer


@fit_overoptimization.wrong(
    "The caller's kl was clamped in place: it is another one afterwards. Compute a new tensor."
)
def clamped_in_place(kl, gold):
    answer = _solved(*_columns(kl, gold))
    kl.clamp_(min=1e-3)
    return answer


@fit_overoptimization.right
def normal_equations(kl, gold):
    gold, kl = gold[kl > 0].double(), kl[kl > 0].double()
    if len(kl) < 2 or kl.min() == kl.max():
        raise ValueError("nothing to fit")
    d = kl**0.5
    design = torch.stack((d, -0.5 * d * kl.log()), dim=-1)
    return tuple(torch.linalg.solve(design.mT @ design, design.mT @ gold).tolist())


@fit_overoptimization.right
def numpy_lstsq(kl, gold):
    kept = [(k, g) for k, g in zip(kl.tolist(), gold.tolist(), strict=True) if k > 0]
    if len({k for k, _ in kept}) < 2:
        raise ValueError("nothing to fit")
    d, target = np.sqrt([k for k, _ in kept]), np.array([g for _, g in kept])
    (alpha, b), *_ = np.linalg.lstsq(np.column_stack([d, -d * np.log(d)]), target, rcond=None)
    return alpha, b


@fit_overoptimization.right
def weighted_polyfit(kl, gold):
    kept = (kl > 0).numpy()
    kl, gold = kl.numpy()[kept].astype("float64"), gold.numpy()[kept].astype("float64")
    if kl.size < 2 or np.ptp(kl) == 0:
        raise ValueError("nothing to fit")
    d = np.sqrt(kl)
    slope, intercept = np.polyfit(np.log(d), gold / d, 1, w=d)
    return float(intercept), -float(slope)


@fit_overoptimization.right
def explicit_sums(kl, gold):
    runs = [(math.sqrt(k), g) for k, g in zip(kl.tolist(), gold.tolist(), strict=True) if k > 0]
    if not runs or all(d == runs[0][0] for d, _ in runs):
        raise ValueError("nothing to fit")
    weight = sum(d * d for d, _ in runs)  # a weighted line through gold/d against log d
    x_mean = sum(d * d * math.log(d) for d, _ in runs) / weight
    y_mean = sum(d * g for d, g in runs) / weight
    above = sum(d * d * (math.log(d) - x_mean) * (g / d - y_mean) for d, g in runs)
    below = sum(d * d * (math.log(d) - x_mean) ** 2 for d, _ in runs)
    return y_mean - above / below * x_mean, -above / below


@fit_overoptimization.right
def rows_of_zeros(kl, gold):
    # A run left out is an equation 0 = 0; xlogy(0, 0) is 0.
    d = torch.where(kl > 0, kl, 0.0).double().sqrt()
    if torch.unique(d[d > 0]).numel() <= 1:
        raise ValueError("nothing to fit")
    design = torch.stack([d, -torch.xlogy(d, d)], dim=1)
    target = torch.where(kl > 0, gold, 0.0).double()
    alpha, b = torch.linalg.pinv(design) @ target
    return alpha, b


@fit_overoptimization.right
def in_float32_by_cramer(kl, gold):
    d, gold = kl[kl > 0].sqrt(), gold[kl > 0]
    if len(set(d.tolist())) < 2:
        raise ValueError("nothing to fit")
    x, y = d, -d * torch.log(d)
    xx, xy, yy, xg, yg = x @ x, x @ y, y @ y, x @ gold, y @ gold
    below = xx * yy - xy**2
    return ((yy * xg - xy * yg) / below).item(), ((xx * yg - xy * xg) / below).item()


@fit_overoptimization.right
def by_rank(kl, gold):
    chosen = torch.nonzero(kl > 0).squeeze(1)
    d, target = kl.index_select(0, chosen).double().sqrt(), gold.index_select(0, chosen).double()
    design = torch.stack([d, -d * d.log()]).T
    if len(d) < 2 or torch.linalg.matrix_rank(design, rtol=1e-9) < 2:
        raise ValueError("nothing to fit")
    q, r = torch.linalg.qr(design)
    alpha, b = torch.linalg.solve_triangular(r, (q.T @ target)[:, None], upper=True).flatten()
    return [alpha.item(), b.item()]


@fit_overoptimization.right
def newton_step_of_autograd(kl, gold):
    kept = kl > 0
    if kl[kept].unique().numel() < 2:
        raise ValueError("nothing to fit")
    d, target = kl[kept].double().sqrt(), gold[kept].double()

    def error(both: Tensor) -> Tensor:
        return ((d * (both[0] - both[1] * d.log()) - target) ** 2).sum()

    start = torch.zeros(2, dtype=torch.float64)
    slope = torch.autograd.functional.jacobian(error, start)
    curvature = torch.autograd.functional.hessian(error, start)
    alpha, b = (start - torch.linalg.inv(curvature) @ slope).tolist()
    return alpha, b


fit_overoptimization.together("sign_of_b_turned", "log_of_kl", "root_forgotten", "order_swapped")
fit_overoptimization.together("root_forgotten", "order_swapped")
fit_overoptimization.together("log_of_kl", "order_swapped")
