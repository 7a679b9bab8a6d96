"""Fit a form to some runs, and say how far it misses the others."""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from helpers import reference
from helpers.cases import RULES, VALUES, Case, make

from ...draw import Draw
from ...exercise import Exercise, tensor

LEFT_OUT = "runs without divergence"

REFUSED = "too little to fit or to predict"

FITS_FLOAT32 = {"rtol": 1e-3, "atol": 1e-3}  # normal equations solved in float32 are right too

FITS_FLOAT64 = {"rtol": 1e-6, "atol": 1e-6}

Columns = Callable[[Tensor], Tensor]

# A form by its terms: a column d^m · (log d)^n for each (m, n).
RISING = make("columns", terms=[[1.0, 0.0]])
CONSTANT = make("columns", terms=[[0.0, 0.0]])
GAO = make("columns", terms=[[1.0, 0.0], [1.0, 1.0]])
PARABOLA = make("columns", terms=[[1.0, 0.0], [2.0, 0.0]])
LINE = make("columns", terms=[[0.0, 0.0], [1.0, 0.0]])
THREE = make("columns", terms=[[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

held_out_error = Exercise(
    "held_out_error",
    parts={VALUES: 3, LEFT_OUT: 1, REFUSED: 1, RULES: 1},
    hints=(
        "Every run is in one of three groups: left out, fitted to, or predicted. Make two masks, "
        "of kl and held_out, and let no kl and gold but those of the runs to fit reach the fit.",
        "columns(d) of the fitted runs is the matrix of the least squares, and says by its width "
        "how many coefficients there are; columns(d) of the others, times the coefficients, is "
        "what is predicted. Never ask it for a run at kl 0 or below.",
        "With fitted = (kl > 0) & ~held_out and predicted = (kl > 0) & held_out: "
        "torch.linalg.lstsq(columns(d[fitted]), gold[fitted][:, None]).solution holds the "
        "coefficients. Raise ValueError before it when .unique() of kl[fitted] is shorter than "
        "columns(…).shape[1], or when not predicted.any(). Then square, mean, root.",
    ),
)


def _runs(
    title: str, kl: Tensor, gold: Tensor, held_out: Tensor, columns: Any, part: str = VALUES
) -> Case:
    inputs = {"kl": kl, "gold": gold, "held_out": held_out, "columns": columns}
    tolerance = FITS_FLOAT64 if kl.dtype == torch.float64 else FITS_FLOAT32
    return Case(title, inputs, part, **tolerance)


def _known(
    title: str,
    kl: Sequence[float],
    gold: Sequence[float],
    held_out: Sequence[int],
    columns: Any,
    part: str = VALUES,
) -> Case:
    mask = torch.tensor(held_out, dtype=torch.bool)
    return _runs(title, tensor(*kl), tensor(*gold), mask, columns, part)


@held_out_error.by_hand
def _() -> Iterator[Case]:
    e = math.e
    title = "c · d, kl (1, 4, 9), gold (2, 4, 5), the last one held out: 1"
    yield _known(title, (1, 4, 9), (2, 4, 5), (0, 0, 1), RISING)
    title = "the same with a fourth, kl 16, gold 11, held out: errors 1 and −3, √5"
    yield _known(title, (9, 1, 16, 4), (5, 2, 11, 4), (1, 0, 1, 0), RISING)
    title = "a constant: fitted to gold 1, 2, 6, its mean 3; held out 4 and 7: √8.5"
    yield _known(title, (2, 3, 1, 5, 4), (1, 4, 6, 2, 7), (0, 1, 0, 0, 1), CONSTANT)
    title = "d (2 − log d) through kl (1, e²); at e⁴ it is 0, gold there 3: 3"
    yield _known(title, (1, e**2, e**4), (2, e, 3), (0, 0, 1), GAO)
    title = "d (3 − d) through kl (1, 4); at 9 and 16 it is 0 and −4, gold there 2 and 2: √20"
    yield _known(title, (9, 1, 4, 16), (2, 2, 2, 2), (1, 0, 0, 1), PARABOLA)
    title = "1 − d + 2 log d through kl (1/e², 1, e²); at e⁴ gold is 2 above it: 2"
    kl, gold = (e**-2, 1, e**2, e**4), (-1 - 1 / e, 0, 3 - e, 7 - e**2)
    yield _known(title, kl, gold, (0, 0, 0, 1), THREE)
    title = "six runs that no line meets, the second and the fifth held out"
    gold = (0.5, 2.5, 1.0, -1.0, 0.5, -2.0)
    yield _known(title, (0.25, 1, 4, 9, 2.25, 16), gold, (0, 1, 0, 0, 1, 0), LINE)
    title = "two held out at one kl, and two fitted at one: all of them count"
    yield _known(title, (2, 2, 5, 2, 2, 7), (1, 3, 2, 2.5, 0, 1), (1, 1, 0, 0, 0, 0), PARABOLA)
    yield from _without_divergence()
    yield from _too_little()
    # Close together the columns are nearly parallel: to see far, all digits of float64 are needed.
    d = 3.0 * torch.linspace(0.99, 1.01, 12, dtype=torch.float64)
    d[:3] = torch.tensor([9.0, 7.0, 8.0])
    gold = d * (1.2 - 0.5 * d.log()) + 0.5 * torch.linspace(1, -1, 12, dtype=torch.float64).pow(2)
    title = "float64, nine runs with d near 3, and three far ones held out"
    yield _runs(title, d * d, gold, d > 4, GAO, RULES)


def _without_divergence() -> Iterator[Case]:
    title = "a fitted run at kl 0 whose gold is far off, left out: 1"
    yield _known(title, (0, 1, 4, 9), (900, 2, 4, 5), (0, 0, 0, 1), RISING, LEFT_OUT)
    title = "a held-out run at kl 0 whose gold is far off, left out: 1"
    yield _known(title, (1, 0, 4, 9), (2, 40, 4, 5), (0, 1, 0, 1), RISING, LEFT_OUT)
    title = "estimates of kl below 0, fitted and held out: left out of both"
    kl, gold = (-0.5, 1, 4, -2, 9, 0, 6), (3, 1, 1.5, 4, 0.5, 1, 2)
    yield _known(title, kl, gold, (0, 0, 0, 1, 1, 1, 0), PARABOLA, LEFT_OUT)


def _too_little() -> Iterator[Case]:
    for title, kl, gold, held_out, columns in (
        ("no run at all", (), (), (), RISING),
        ("nothing held out", (1, 4, 9), (2, 4, 5), (0, 0, 0), RISING),
        ("everything held out", (1, 4, 9), (2, 4, 5), (1, 1, 1), RISING),
        ("one run to fit, two coefficients", (1, 4, 9), (2, 4, 5), (0, 1, 1), GAO),
        ("two runs at one kl, two coefficients", (2, 2, 9), (1, 3, 5), (0, 0, 1), PARABOLA),
        ("two different kl, three coefficients", (2, 5, 2, 9), (1, 3, 2, 5), (0, 0, 0, 1), THREE),
        ("one run to fit, and one at its kl to predict", (2, 2), (1, 3), (0, 1), GAO),
        ("a run to fit and one at kl 0, two coefficients", (2, 0, 9), (1, 0, 5), (0, 0, 1), GAO),
        ("runs to fit at kl 2, 2 and −1", (2, 2, -1, 9), (1, 3, 0, 5), (0, 0, 0, 1), PARABOLA),
        ("the run held out is at kl 0", (1, 4, 9, 0), (2, 4, 5, 1), (0, 0, 0, 1), RISING),
        ("those held out are below 0", (1, 4, -9, -1), (2, 4, 5, 1), (0, 0, 1, 1), PARABOLA),
    ):
        yield _known(title, kl, gold, held_out, columns, REFUSED)


@held_out_error.drawn
def _(draw: Draw) -> Iterator[Case]:
    def noisy(
        runs: int,
        held: int,
        low: float = 0.3,
        high: float = 6.0,
        dtype: torch.dtype = torch.float32,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """kl, gold and which are held out, of runs in no order, with noise upon a curve."""
        edges = torch.linspace(low, high, runs + 1, dtype=torch.float64)
        d = edges[:-1] + edges.diff() * draw.uniform(runs, low=0.1, high=0.9, dtype=torch.float64)
        d = d[torch.randperm(runs, generator=draw.generator)]
        alpha, b = draw.uniform(low=0.8, high=1.6), draw.uniform(low=0.3, high=0.9)
        noise = draw.normal(runs, scale=0.5, dtype=torch.float64)
        noise = noise + 0.5 * torch.linspace(1, -1, runs, dtype=torch.float64).pow(2)
        gold = d * (alpha - b * d.log()) + noise
        held_out = torch.randperm(runs, generator=draw.generator) < held
        return (d * d).to(dtype), gold.to(dtype), held_out

    yield _runs("10 runs, 3 held out, d (α − b log d)", *noisy(10, 3), GAO)
    yield _runs("10 runs, 3 held out, d (α − b d)", *noisy(10, 3), PARABOLA)
    yield _runs("24 runs, 8 held out, three coefficients", *noisy(24, 8), THREE)
    yield _runs("9 runs, one held out", *noisy(9, 1), LINE)
    kl, gold, held_out = noisy(12, 4)
    far = kl > kl.median()
    yield _runs("12 runs, those farthest from ref held out", kl, gold, far, PARABOLA)
    yield _runs("gold below 0 everywhere", kl, gold - gold.max() - 1.0, held_out, GAO)
    kl, gold, held_out = noisy(12, 4)
    kl[held_out.nonzero()[0]], kl[(~held_out).nonzero()[:2]] = -0.2, -0.4
    yield _runs("3 of 12 runs below 0", kl, gold + 1.0, held_out, GAO, LEFT_OUT)
    double = noisy(9, 3, dtype=torch.float64)
    yield _runs("float64", *double, PARABOLA, RULES)
    kl, gold, held_out = noisy(12, 4, 9.9, 10.1, torch.float64)
    kl[held_out] *= 4.0
    yield _runs("float64, d near 10, and near 20 where held out", kl, gold, held_out, GAO, RULES)


LAST_LINE = "return errors.square().mean().sqrt().item()"

FIT = "found = torch.linalg.lstsq(design, gold[fitted][:, None]).solution[:, 0]"

ERRORS = "errors = columns(d[predicted]) @ found - gold[predicted]"

MASKS = "fitted, predicted = (kl > 0) & ~held_out, (kl > 0) & held_out"

TOO_FEW = "if kl[fitted].unique().numel() < design.shape[1]:"

NONE_LEFT = 'raise ValueError("held_out: no run with kl above 0 is left to predict")'

for _name, _line, _instead, _says in (
    (
        "error_of_the_fit",
        ERRORS,
        "errors = design @ found - gold[fitted]",
        "This is the error on the runs that were fitted to. It always flatters: asked is the one "
        "on the runs held out.",
    ),
    (
        "error_of_all",
        ERRORS,
        "errors = columns(d[kl > 0]) @ found - gold[kl > 0]",
        "The error was taken over all runs, those that were fitted to among them. Only the runs "
        "held out count.",
    ),
    (
        "fitted_to_all",
        FIT,
        "found = torch.linalg.lstsq(columns(d[kl > 0]), gold[kl > 0][:, None]).solution[:, 0]",
        "The runs held out were fitted to as well, so that nothing was predicted. Fit the others "
        "alone.",
    ),
    (
        "groups_exchanged",
        MASKS,
        "predicted, fitted = (kl > 0) & ~held_out, (kl > 0) & held_out",
        "The two groups are exchanged: fitted were the runs held out. held_out is True where a "
        "run is to be predicted.",
    ),
    (
        "root_of_kl_forgotten",
        "d = kl.sqrt()",
        "d = kl",
        "columns was given kl. It takes d = √kl.",
    ),
    (
        "kl_squared",
        "d = kl.sqrt()",
        "d = kl.square()",
        "columns was given kl². It takes d = √kl.",
    ),
    (
        "logarithm_of_kl",
        "d = kl.sqrt()",
        "d = kl.clamp(min=1e-9).log1p()",
        "columns was given log(1 + kl). It takes d = √kl.",
    ),
    (
        "mean_absolute_error",
        LAST_LINE,
        "return errors.abs().mean().item()",
        "This is the mean absolute error. Asked is the root of the mean squared one, in which a "
        "large miss counts more.",
    ),
    (
        "root_left_out",
        LAST_LINE,
        "return errors.square().mean().item()",
        "The root is missing: this is the mean squared error, in squared units of gold.",
    ),
    (
        "sum_in_place_of_mean",
        LAST_LINE,
        "return errors.square().sum().sqrt().item()",
        "The squared errors were added, not averaged: such a number grows with the runs held out.",
    ),
    (
        "sum_of_squares",
        LAST_LINE,
        "return errors.square().sum().item()",
        "This is the sum of the squared errors. Asked is the root of their mean.",
    ),
    (
        "mean_of_signed_errors",
        LAST_LINE,
        "return errors.mean().item()",
        "The errors were averaged with their signs, so that they cancel. Square them first, then "
        "take the mean, and its root.",
    ),
    (
        "size_of_the_mean_error",
        LAST_LINE,
        "return errors.mean().abs().item()",
        "The size of the mean error came back, in which errors cancel. Square each, then take the "
        "mean, and its root.",
    ),
    (
        "deviation_of_the_errors",
        LAST_LINE,
        "return errors.std(correction=0).item()",
        "This is the standard deviation of the errors: their mean was taken away. A form that "
        "misses all runs by the same amount has missed them: do not subtract it.",
    ),
    (
        "sample_deviation_of_the_errors",
        LAST_LINE,
        "return errors.std().item()",
        "This is the standard deviation of the errors, by n − 1: their mean was taken away. A form "
        "that misses all runs by the same amount has missed them: do not subtract it.",
    ),
    (
        "largest_error",
        LAST_LINE,
        "return errors.abs().max().item()",
        "The largest error came back. Asked is the root of the mean squared one.",
    ),
    (
        "median_of_the_errors",
        LAST_LINE,
        "return errors.abs().quantile(0.5).item()",
        "The median of the errors' sizes came back. Asked is the root of the mean squared one.",
    ),
    (
        "divided_by_all_runs",
        LAST_LINE,
        "return (errors.square().sum() / len(kl)).sqrt().item()",
        "The squared errors were divided by the number of all runs. Divide by the number of those "
        "predicted.",
    ),
    (
        "divided_by_the_fitted",
        LAST_LINE,
        "return (errors.square().sum() / fitted.sum()).sqrt().item()",
        "The squared errors were divided by the number of runs fitted to. Divide by the number of "
        "those predicted.",
    ),
    (
        "divided_by_the_held_out",
        LAST_LINE,
        "return (errors.square().sum() / held_out.sum()).sqrt().item()",
        "The squared errors were divided by the number of all runs held out, those at kl 0 or "
        "below among them. Those are left out: divide by the number that was predicted.",
    ),
    (
        "root_before_the_mean",
        LAST_LINE,
        "return (errors.square().sum().sqrt() / len(errors)).item()",
        "The root was taken of the sum, and then divided by the number of runs (as norm() / n "
        "does). The mean comes before the root.",
    ),
    (
        "relative_to_the_spread",
        LAST_LINE,
        "return (errors.square().mean().sqrt() / gold[fitted].std(correction=0)).item()",
        "The error was divided by the spread of gold. Return it as it is, in units of gold.",
    ),
    (
        "every_pair_compared",
        ERRORS,
        "errors = (columns(d[predicted]) @ found)[:, None] - gold[predicted]",
        "Every prediction was compared with every gold: a column less a row is a whole table, by "
        "broadcasting. Bring both to one shape, [run], before you subtract.",
    ),
    (
        "relative_errors",
        ERRORS,
        "errors = (columns(d[predicted]) @ found - gold[predicted]) / gold[predicted]",
        "Each error was divided by the run's gold. Return errors in units of gold, as they are.",
    ),
    (
        "share_explained",
        LAST_LINE,
        "y = gold[predicted]; return (1 - (errors**2).sum() / ((y - y.mean()) ** 2).sum()).item()",
        "R², a share of explained squares, came back. Asked is an error: the root of the mean "
        "squared one.",
    ),
    (
        "first_held_out_alone",
        LAST_LINE,
        "return errors[0].abs().item()",
        "Only the first of the runs held out was looked at. All of them count.",
    ),
    (
        "errors_returned",
        LAST_LINE,
        "return errors",
        "The errors themselves came back. Return one number: the root of their mean square.",
    ),
    (
        "absolute_errors_returned",
        LAST_LINE,
        "return errors.abs()",
        "The root of each squared error came back, which is its size. Take the mean of the "
        "squares before the root: one number.",
    ),
    (
        "coefficients_returned",
        LAST_LINE,
        "return found",
        "The coefficients of the fit came back. They are used to predict the runs held out; "
        "return the error there.",
    ),
    (
        "predictions_returned",
        LAST_LINE,
        "return columns(d[predicted]) @ found",
        "The predictions came back. Compare them with gold: return the root of the mean squared "
        "error.",
    ),
    (
        "pair_returned",
        LAST_LINE,
        "return errors.square().mean().sqrt().item(), found.tolist()",
        "Several things came back. Return the error alone, one number.",
    ),
    (
        "mean_predicted",
        ERRORS,
        "errors = gold[fitted].mean() - gold[predicted]",
        "Predicted was the mean gold of the fitted runs, whatever the form is. Predict with "
        "columns(d) · c.",
    ),
    (
        "quotients_fitted",
        FIT,
        "found = torch.linalg.lstsq(design / d[fitted][:, None], "
        "(gold / d)[fitted][:, None]).solution[:, 0]",
        "gold/d was fitted, with every column divided by d: a run near ref weighs most there. "
        "Asked are the least squares of gold itself.",
    ),
    (
        "weighed_by_d",
        FIT,
        "found = torch.linalg.lstsq(design * d[fitted][:, None], "
        "(gold * d)[fitted][:, None]).solution[:, 0]",
        "Each run's error was weighed by d in the fit. Every run counts alike.",
    ),
    (
        "penalty_on_the_coefficients",
        FIT,
        "found = torch.linalg.solve(design.T @ design + 0.1 * torch.eye(design.shape[1]).double(), "
        "design.T @ gold[fitted])",
        "The coefficients were held back, by 0.1 or so of their squares (ridge). Asked are plain "
        "least squares.",
    ),
    (
        "first_runs_alone",
        FIT,
        "k = design.shape[1]; found = torch.linalg.pinv(design[:k]) @ gold[fitted][:k]",
        "Only as many runs as there are coefficients were fitted to, the first ones. Least "
        "squares take all that are not held out.",
    ),
    (
        "zero_in_place_of_an_error",
        NONE_LEFT,
        "return 0.0",
        "Where nothing is left to predict, 0 came back, as if the form were perfect. Raise "
        "ValueError.",
    ),
    (
        "nan_in_place_of_an_error",
        NONE_LEFT,
        "return math.nan",
        "Where nothing is left to predict, nan came back: the mean of nothing. Raise ValueError.",
    ),
    (
        "none_in_place_of_an_error",
        NONE_LEFT,
        "return None",
        "Where nothing is left to predict, None came back. Raise ValueError.",
    ),
    (
        "infinity_in_place_of_an_error",
        NONE_LEFT,
        "return math.inf",
        "Where nothing is left to predict, inf came back. Raise ValueError.",
    ),
    (
        "one_kl_fitted",
        TOO_FEW,
        "if fitted.sum() < design.shape[1]:",
        "Runs were counted, not different kl. Several runs at one kl say no more than one about "
        "the form: raise ValueError when the different ones are fewer than the coefficients.",
    ),
    (
        "all_kl_counted",
        TOO_FEW,
        "if kl[kl > 0].unique().numel() < design.shape[1]:",
        "The different kl were counted with those held out among them. Count in the runs that are "
        "left to fit.",
    ),
    (
        "kl_counted_too_early",
        TOO_FEW,
        "if kl[~held_out].unique().numel() < design.shape[1]:",
        "The different kl were counted before the runs at 0 or below were left out. Leave out "
        "first.",
    ),
    (
        "two_coefficients_supposed",
        TOO_FEW,
        "if kl[fitted].unique().numel() < 2:",
        "Two different kl were asked for, whatever the form. As many are needed as there are "
        "coefficients: columns(d).shape[1].",
    ),
    (
        "one_kl_supposed_to_do",
        TOO_FEW,
        "if kl[fitted].unique().numel() < 1:",
        "A single kl was taken to be enough. As many different ones are needed as there are "
        "coefficients: columns(d).shape[1].",
    ),
    (
        "one_kl_more_demanded",
        TOO_FEW,
        "if kl[fitted].unique().numel() <= design.shape[1]:",
        "One kl more than there are coefficients was demanded. As many are enough: the fit then "
        "goes through them all.",
    ),
    (
        "repeats_refused",
        TOO_FEW,
        "if kl[fitted].unique().numel() < max(len(design), design.shape[1]):",
        "Runs at one kl were refused although others stand elsewhere. Only too few different ones "
        "are.",
    ),
):
    held_out_error.changed(_name, _line, _instead, _says)


def _solved(kl: Tensor, gold: Tensor, held_out: Tensor, columns: Columns) -> float:
    """The shortest of all coefficients that fit, and nothing refused."""
    d, gold = kl.double().sqrt(), gold.double()
    found = torch.linalg.pinv(columns(d[~held_out])) @ gold[~held_out]
    return (columns(d[held_out]) @ found - gold[held_out]).square().mean().sqrt().item()


@held_out_error.wrong(
    "An intercept was fitted too, a coefficient more than columns has. What a form is, it says "
    "itself: a constant is in it where it has a column of ones."
)
def intercept_fitted_too(kl, gold, held_out, columns):
    """By a pseudo-inverse that drops what is nothing but rounding: some forms have a constant."""
    kl, gold = kl.double(), gold.double()
    fitted, predicted = (kl > 0) & ~held_out, (kl > 0) & held_out
    designs = [columns(kl[part].sqrt()) for part in (fitted, predicted)]
    design, other = (torch.cat([one, torch.ones_like(one[:, :1])], dim=1) for one in designs)
    if kl[fitted].unique().numel() < design.shape[1] or not predicted.any():
        raise ValueError("too few different kl to fit, or no run to predict")
    found = torch.linalg.pinv(design, rtol=1e-9) @ gold[fitted]
    return (other @ found - gold[predicted]).square().mean().sqrt().item()


@held_out_error.wrong(
    "Nothing is refused. Fewer different kl than coefficients leave the form open, and an error "
    "of no run is no number: raise ValueError for both."
)
def nothing_refused(kl, gold, held_out, columns):
    kept = kl > 0
    return _solved(kl[kept], gold[kept], held_out[kept], columns)


@held_out_error.wrong(
    "Two things. Different kl were counted over all runs: count among those that are fitted to. "
    "And: an error of no run is no number, so raise ValueError when none is left to predict."
)
def all_kl_counted_alone(kl, gold, held_out, columns):
    kept = kl > 0
    d = kl[kept].sqrt()
    if d.unique().numel() < columns(d).shape[1]:
        raise ValueError("too little")
    return _solved(kl[kept], gold[kept], held_out[kept], columns)


@held_out_error.wrong(
    "A form was fitted to fewer different kl than it has coefficients: many of them do equally "
    "well there, and the one that came out is an accident. Raise ValueError."
)
def too_few_fitted(kl, gold, held_out, columns):
    kept = kl > 0
    if not held_out[kept].any():
        raise ValueError("nothing to predict")
    return _solved(kl[kept], gold[kept], held_out[kept], columns)


@held_out_error.wrong(
    "Where the fitted runs have fewer different kl than there are coefficients, nan came back in "
    "place of a ValueError. Raise it."
)
def nan_for_a_fit(kl, gold, held_out, columns):
    fitted = (kl > 0) & ~held_out
    if kl[fitted].unique().numel() < columns(kl[fitted].sqrt()).shape[1]:
        return math.nan
    return reference.held_out_error(kl, gold, held_out, columns)


@held_out_error.wrong(
    "None came back where there is too little to fit or to predict. Raise ValueError, as the "
    "docstring says."
)
def none_for_both(kl, gold, held_out, columns):
    try:
        return reference.held_out_error(kl, gold, held_out, columns)
    except ValueError:
        return None


@held_out_error.wrong(
    "nan came back where there is too little to fit or to predict: whoever called goes on with a "
    "number that means nothing. Raise ValueError."
)
def nan_for_both(kl, gold, held_out, columns):
    try:
        return reference.held_out_error(kl, gold, held_out, columns)
    except ValueError:
        return math.nan


@held_out_error.wrong(
    "An assertion refuses what cannot be fitted or predicted. The contract is a ValueError: "
    "assertions vanish under python -O."
)
def asserted(kl, gold, held_out, columns):
    fitted, predicted = (kl > 0) & ~held_out, (kl > 0) & held_out
    assert kl[fitted].unique().numel() >= columns(kl[fitted].sqrt()).shape[1]
    assert predicted.any()
    return reference.held_out_error(kl, gold, held_out, columns)


@held_out_error.wrong(
    "Runs at kl 0 or below were not left out: columns was asked for them, and need not know them."
)
def nothing_left_out(kl, gold, held_out, columns):
    if not held_out.any() or kl[~held_out].unique().numel() < columns(kl[:0]).shape[1]:
        raise ValueError("too little")
    return _solved(kl, gold, held_out, columns)


@held_out_error.wrong(
    "Runs below 0 were left out, but those at exactly 0 were kept. Keep the runs with kl > 0."
)
def zero_kept(kl, gold, held_out, columns):
    kept = kl >= 0
    return nothing_left_out(kl[kept], gold[kept], held_out[kept], columns)


@held_out_error.wrong(
    "kl was raised to a small number where it is 0 or below, and those runs still count. Leave "
    "them out, of the fit and of the error."
)
def raised_to_a_little(kl, gold, held_out, columns):
    return reference.held_out_error(kl.clamp(min=1e-8), gold, held_out, columns)


@held_out_error.wrong(
    "The sign of kl was dropped. An estimate below 0 says that the divergence is too small to "
    "measure, not that it is large: leave the run out."
)
def sign_of_kl_dropped(kl, gold, held_out, columns):
    return reference.held_out_error(kl.abs(), gold, held_out, columns)


@held_out_error.wrong(
    "A run at kl 0 or below was answered with an exception. Leave such runs out and go on."
)
def refused_in_place_of_left_out(kl, gold, held_out, columns):
    if (kl <= 0).any():
        raise ValueError("kl must be above 0")
    return reference.held_out_error(kl, gold, held_out, columns)


@held_out_error.wrong(
    "Runs at kl 0 or below were left out of the fit, but not of what is predicted: the form was "
    "taken to say 0 there. Leave them out of both."
)
def zero_predicted_without_divergence(kl, gold, held_out, columns):
    kept = kl > 0
    one = reference.held_out_error(kl, gold, held_out, columns)
    squares = one**2 * (kept & held_out).sum() + gold[~kept & held_out].square().sum()
    return (squares / held_out.sum()).sqrt().item()


@held_out_error.wrong(
    "Runs whose gold is 0 or below were left out too. Only kl decides: a run that gained nothing "
    "is a measurement like the others."
)
def runs_without_gain_left_out(kl, gold, held_out, columns):
    kept = (gold > 0) | (kl <= 0)
    return reference.held_out_error(kl[kept], gold[kept], held_out[kept], columns)


@held_out_error.wrong(
    "columns was not used: this is the error of d · (α − b · log d), whatever form was handed in."
)
def gao_always(kl, gold, held_out, columns):
    return reference.held_out_error(
        kl, gold, held_out, lambda d: torch.stack([d, -d * d.log()], dim=1)
    )


@held_out_error.wrong(
    "columns was not used: this is the error of a straight line in d, whatever form was handed in."
)
def line_always(kl, gold, held_out, columns):
    return reference.held_out_error(
        kl, gold, held_out, lambda d: torch.stack([torch.ones_like(d), d], dim=1)
    )


@held_out_error.wrong(
    "Only the first two columns were used. A form has as many as columns(d) is wide."
)
def two_columns_alone(kl, gold, held_out, columns):
    return reference.held_out_error(kl, gold, held_out, lambda d: columns(d)[:, :2])


@held_out_error.wrong(
    "Each run held out was predicted by a fit to all other runs, the rest of those held out among "
    "them. Held out together, they stay out of the fit together."
)
def one_at_a_time(kl, gold, held_out, columns):
    reference.held_out_error(kl, gold, held_out, columns)  # refuses what it has to
    kept = kl > 0
    kl, gold, held_out = kl[kept].double(), gold[kept].double(), held_out[kept]
    alone = torch.eye(len(kl), dtype=torch.bool)[held_out]
    errors = [_solved(kl, gold, each, columns) for each in alone]
    return math.sqrt(sum(error**2 for error in errors) / len(errors))


@held_out_error.wrong(
    "float64 came in and was rounded to float32 on the way. Where the columns are nearly parallel "
    "a fit needs all the digits there are: keep the dtype, or go to float64 always."
)
def rounded_to_float32(kl, gold, held_out, columns):
    return reference.held_out_error(kl.float(), gold.float(), held_out, columns)


@held_out_error.wrong(
    "The root was taken in place: the caller's kl is another one afterwards. Compute a new tensor."
)
def root_taken_in_place(kl, gold, held_out, columns):
    answer = reference.held_out_error(kl, gold, held_out, columns)
    kl.sqrt_()
    return answer


@held_out_error.wrong(
    "The caller's kl was clamped in place: it is another one afterwards. Compute a new tensor."
)
def clamped_in_place(kl, gold, held_out, columns):
    answer = reference.held_out_error(kl, gold, held_out, columns)
    kl.clamp_(min=1e-3)
    return answer


@held_out_error.wrong(
    "held_out was changed in place, as `held_out &= kl > 0` does: the caller's mask is another "
    "one afterwards. Compute a new mask."
)
def mask_changed_in_place(kl, gold, held_out, columns):
    answer = reference.held_out_error(kl, gold, held_out, columns)
    held_out &= kl > 0
    return answer


@held_out_error.right
def normal_equations(kl, gold, held_out, columns):
    kept = kl > 0
    d, gold, held = kl[kept].double().sqrt(), gold[kept].double(), held_out[kept]
    matrix = columns(d)
    one, other = matrix[~held], matrix[held]
    if len(set(d[~held].tolist())) < matrix.size(1) or len(other) == 0:
        raise ValueError("too little")
    found = torch.linalg.solve(one.mT @ one, one.mT @ gold[~held])
    return float(torch.nn.functional.mse_loss(other @ found, gold[held]) ** 0.5)


@held_out_error.right
def in_float32_by_lstsq(kl, gold, held_out, columns):
    fit, rest = (kl > 0).logical_and(~held_out), (kl > 0).logical_and(held_out)
    matrix = columns(kl[fit].sqrt())
    if kl[fit].unique().numel() < matrix.shape[-1] or rest.sum() == 0:
        raise ValueError("too little")
    found = torch.linalg.lstsq(matrix, gold[fit].unsqueeze(1)).solution
    missed = columns(kl[rest].sqrt()) @ found - gold[rest].unsqueeze(1)
    return missed.pow(2).mean().sqrt()


@held_out_error.right
def through_numpy(kl, gold, held_out, columns):
    kept = (kl > 0).numpy()
    kl, gold = kl.numpy()[kept].astype("float64"), gold.numpy()[kept].astype("float64")
    held = held_out.numpy()[kept]
    matrix = columns(torch.from_numpy(np.sqrt(kl))).numpy()
    if np.unique(kl[~held]).size < matrix.shape[1] or not held.any():
        raise ValueError("too little")
    found, *_ = np.linalg.lstsq(matrix[~held], gold[~held], rcond=None)
    return float(np.sqrt(np.mean((matrix[held] @ found - gold[held]) ** 2)))


@held_out_error.right
def by_rank(kl, gold, held_out, columns):
    d = torch.where(kl > 0, kl, 1.0).double().sqrt()  # a run left out is asked for, and not used
    matrix, gold = columns(d), gold.double()
    fit, rest = (kl > 0) & ~held_out, (kl > 0) & held_out
    few = int(fit.sum()) < matrix.shape[1]
    if few or torch.linalg.matrix_rank(matrix[fit], rtol=1e-9) < matrix.shape[1]:
        raise ValueError("too little to fit")
    if not bool(rest.sum()):
        raise ValueError("nothing to predict")
    q, r = torch.linalg.qr(matrix[fit])
    found = torch.linalg.solve_triangular(r, (q.T @ gold[fit])[:, None], upper=True)
    return (matrix[rest] @ found - gold[rest, None]).norm().item() / math.sqrt(int(rest.sum()))


@held_out_error.right
def weights_of_zero(kl, gold, held_out, columns):
    """A run that is not fitted to is an equation 0 = 0."""
    kept = torch.nonzero(kl > 0)[:, 0]
    d, gold = kl[kept].double().sqrt(), gold[kept].double()
    predicted = held_out[kept]
    matrix = columns(d)
    if not predicted.any() or (~predicted * d).unique().count_nonzero() < matrix.shape[1]:
        raise ValueError("too little")
    weight = (~predicted).double()
    found = torch.linalg.pinv(matrix * weight[:, None]) @ (gold * weight)
    return torch.sqrt((matrix @ found - gold).square()[predicted].mean()).item()


@held_out_error.right
def run_by_run(kl, gold, held_out, columns):
    rows = [[], []]
    for k, g, held in zip(kl.double(), gold.double(), held_out.tolist(), strict=True):
        if k > 0:
            rows[held].append((columns(k.sqrt()[None])[0], g.item(), k.item()))
    coefficients = columns(torch.empty(0, dtype=torch.float64)).shape[1]
    if len({k for _, _, k in rows[0]}) < coefficients or not rows[1]:
        raise ValueError("too little")
    matrix = torch.stack([row for row, _, _ in rows[0]])
    target = torch.tensor([g for _, g, _ in rows[0]], dtype=torch.float64)
    found = torch.linalg.inv(matrix.T @ matrix) @ (matrix.T @ target)
    squares = [(float(row @ found) - g) ** 2 for row, g, _ in rows[1]]
    return (sum(squares) / len(squares)) ** 0.5


held_out_error.together("fitted_to_all", "root_left_out", "sum_of_squares", "mean_absolute_error")
held_out_error.together("groups_exchanged", "root_left_out")
held_out_error.together("root_of_kl_forgotten", "root_left_out")
