# %% [markdown]
# # 07 · Analysing the impact of a penalty
#
# The runs are done; what do they say? After this lesson you can
#
# - fit how much of the true goal a proxy is worth at each divergence, and say how far to trust
#   the fit;
# - choose β for a divergence that you are willing to spend;
# - find out from its curves what went wrong in a run;
# - write down what a penalty did, and back every claim with a number that holds.
#
# Almost three hours, a good third of it writing. It needs lessons 02 to 05, and lesson 06, whose
# runs it is about.

# %% setup
import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import check, hint, progress, ready, shaped
from helpers.language_model.runs import failing, own_or_recorded, recorded
from helpers.plots.case_study import (
    frontier_says,
    plot_budget,
    plot_case,
    plot_fit,
    plot_frontier,
    plot_sweep,
    plot_toy,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.case_study import (
    at_end,
    at_equal_kl,
    bracket,
    check_claims,
    gains_by_distance,
    gold_of_ref,
    peak_of_parabola,
    points,
    seed_spread,
    tuned_by_proxy,
)

# %% [markdown]
# ## 7.1 A proxy that overlooks a cost *(no points, 10 min)*
#
# First a case in which everything is exact. An answer has a strength $s$, normal with mean 0 and
# standard deviation 1 under ref. The **proxy** pays $s$. What people want, **gold**, is
# $s - c\,s^2$: strong words are good, very strong ones tire. The proxy has not noticed.
#
# You know the optimum of proxy − β·KL(policy ‖ ref) from lesson 03: ref · exp(proxy/β). Here
# that is the same bell curve, moved to mean 1/β. **Predict**: as β falls, which of proxy, gold
# and KL go on rising?
#
# - **A**: all three
# - **B**: proxy and KL
# - **C**: KL alone

# %% predict="rising"
predict("rising", ...)

# %% [markdown]
# Measure divergence by its root, $d = \sqrt{\mathrm{KL}(\text{policy}\,\|\,\text{ref})}$, as a
# KL is a squared distance for small steps (lesson 05). The claim, with nothing approximated:
#
# $$\mathrm{KL} = \frac{1}{2\beta^2}, \qquad \text{proxy} = \sqrt{2}\, d, \qquad
# \text{gold} = \sqrt{2}\, d - 2c\, d^2 - c$$
#
# The cell sums over a fine grid of strengths on one side, and has the formulas on the other.

# %% demo
_c, _rows = 0.2, []
print("    β      KL      d    proxy    gold")
for _beta in (5.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2):
    _kl, _proxy, _gold = tuned_by_proxy(_c, _beta)
    _rows.append((_kl, _proxy, _gold))
    _d = _kl**0.5
    print(f"{_beta:5}  {_kl:6.2f}  {_d:5.2f}  {_proxy:7.2f}  {_gold:6.2f}")
    assert abs(_kl - 1 / (2 * _beta**2)) < 1e-9
    assert abs(_proxy - 2**0.5 * _d) < 1e-9
    assert abs(_gold - (2**0.5 * _d - 2 * _c * _d**2 - _c)) < 1e-9
_rises = [(torch.tensor(column).diff() > 0).all() for column in zip(*_rows, strict=True)]
outcome("rising", A=all(_rises), B=all(_rises[:2]), C=_rises[0])

# %% [markdown]
# Proxy and KL rise without end; gold turns. Setting the derivative $\sqrt{2} - 4c\,d$ to 0 puts
# its peak at $d = \sqrt{2}/(4c)$. The next cell finds the peak on a fine scale of β, and draws
# three costs.

# %% demo
betas = torch.linspace(0.2, 2.0, 1801, dtype=torch.float64)
_found = torch.tensor([tuned_by_proxy(_c, beta) for beta in betas.tolist()[::6]])
_best = _found[_found[:, 2].argmax()]
print(f"highest gold at d = {_best[0].sqrt():.3f}, claimed: {2**0.5 / (4 * _c):.3f}")
assert abs(_best[0].sqrt() - 2**0.5 / (4 * _c)) < 0.02

_d = torch.linspace(0, 4, 201)
plot_toy(_d, 2**0.5 * _d, {c: 2**0.5 * _d - 2 * c * _d**2 - c for c in (0.1, 0.2, 0.4)})

# %% [markdown]
# This is **over-optimisation**: past the peak the number that is being trained improves, and
# what it stands for gets worse. Nothing is broken; the optimiser does what it was asked. The
# penalty decides how far it goes, and someone who sees the proxy alone cannot tell on which side
# of the peak a run is.

# %% [markdown]
# ## 7.2 The runs of lesson 06 *(no points, 10 min)*
#
# Now the language model. The record holds the training of lesson 06 for several β, each with
# several seeds. *Proxy* is the score trained on, *gold* the independent one, both on the scale
# of the ratings. KL(policy ‖ ref) is in nats per response: exact at each token, for responses
# that were drawn. Your own run is `my_run.json`, where lesson 06 left it or beside this
# notebook; where there is none, a recorded one stands in.
#
# **Predict**: for which β does gold end *clearly* below its own best?

# %% demo evidence="essay_impact essay_claims"
sweep, own = recorded(), own_or_recorded()
betas = sorted({run.beta for run in sweep})
seeds = sorted({run.seed for run in sweep})
_ref_gold = gold_of_ref(sweep)  # every run starts from ref, so all of them measure this
print(
    f"{len(sweep)} runs of {sweep[0].step[-1]} steps: {len(betas)} values of β, {len(seeds)} seeds"
)
_whose = "stand-in for your run" if own in sweep else "own run"
print(f"{_whose}: β = {own.beta:g}, seed {own.seed}, {own.step[-1]} steps")
print(f"gold of ref: {_ref_gold:.2f}")
plot_sweep(sweep)

# %% demo evidence="essay_impact"
print("means over seeds, gold as a gain over ref; spread of gold between seeds")
print("    β    best gold  at step   gold at the end   spread   proxy at end   KL at end")
_spreads, _fell = seed_spread(sweep), []
for _beta in betas:
    _runs = [run for run in sweep if run.beta == _beta]
    _gold = torch.tensor([run.gold for run in _runs]).mean(dim=0) - _ref_gold
    _best = int(_gold.argmax())
    _ends = [sum(at_end(run, name) for run in _runs) / len(_runs) for name in ("proxy", "kl")]
    _end = sum(at_end(run, "gold") for run in _runs) / len(_runs) - _ref_gold
    _where = f"{_gold[_best]:9.2f}  {_runs[0].step[_best]:7}"
    print(f"{_beta:5g}    {_where}   {_end:15.2f}   {_spreads[_beta]:6.2f}", end="   ")
    print(f"{_ends[0]:12.2f}   {_ends[1]:9.1f}")
    _fell += [f"{_beta:g}"] if _gold[_best] - _end > _spreads[_beta] else []
print("gold ends below its best by more than the spread for β =", ", ".join(_fell) or "none")

# %% [markdown]
# *At the end* is the mean of the last three measurements; *spread* is the standard deviation of
# gold between seeds at the same β and step. Compare best and end in each row: the
# difference is what training on cost. A best taken from many noisy measurements is a little too
# good, so do not make much of a small difference.

# %% [markdown]
# ## 7.3 The over-optimisation curve *(7 points, 20 min, medium)*
#
# [Gao et al. 2022](https://arxiv.org/abs/2210.10760) measured many such runs on larger models,
# with gold as the gain over ref. For best-of-n (draw $n$ responses, keep the one that the proxy
# likes best) they found $d\,(\alpha - b\,d)$, the shape of 7.1. For reinforcement learning this
# one fitted better:
#
# $$\text{gold}(d) = d\,(\alpha - b \log d), \qquad
# d = \sqrt{\mathrm{KL}(\text{policy}\,\|\,\text{ref})}$$
#
# (They write β for $b$; here β is taken.)

# %% [markdown]
# It looks like a curve, but it is *linear in the unknowns*: each measurement of a run is one
# equation $\text{gold} = \alpha \cdot (\ldots) + b \cdot (\ldots)$ with two known numbers. More
# runs than unknowns: take the α and $b$ with the least sum of squared errors of gold.
#
# A run at KL 0 (all of them, at step 0) or below has no $\log d$: leave it out. (None here is
# below 0; other estimators, of lesson 02, may be.) Two unknowns need two runs, and not both at
# one kl: otherwise raise ValueError.
#
# **Predict**: gold/d = α − $b$ log d is a straight line. Does fitting that line by least squares
# give the same α and $b$?


# %% exercise="fit_overoptimization"
@shaped
def fit_overoptimization(
    kl: Float[Tensor, " run"], gold: Float[Tensor, " run"]
) -> tuple[float, float]:
    """The curve gold = d · (alpha − b · log d), d = √kl, that is nearest to some runs.

    kl: KL(policy ‖ ref) of each run, in nats; runs at 0 or below are left out.
    gold: what the true goal gained over ref, of each run.
    Returns (alpha, b) with the least sum of squared errors of gold.
    Raises ValueError when fewer than two runs are left, or all of them are at one kl.
    Source: Gao et al. 2022 (arXiv 2210.10760), the form for reinforcement learning.
    Example: kl (1, e²) and gold (2, e): alpha 2, b 1.
    """
    ### BEGIN SOLUTION
    kept = kl > 0
    if kl[kept].unique().numel() < 2:
        raise ValueError("kl: a fit needs two runs above 0, and not all at one kl")
    d = kl[kept].cpu().double().sqrt()
    design = torch.stack([d, -d * d.log()], dim=1)  # run coefficient
    fitted = torch.linalg.lstsq(design, gold[kept].cpu().double()[:, None])
    alpha, b = fitted.solution[:, 0].tolist()
    return alpha, b
    ### END SOLUTION


# %% check="fit_overoptimization" points=7
check("fit_overoptimization", fit_overoptimization)

# %% [markdown]
# **Look at yours**, beside that straight line, on all measurements of the record.

# %% demo
if ready("fit_overoptimization"):
    _kl, _gain = points(sweep, _ref_gold)
    _d, _gain = _kl[_kl > 0].double().sqrt(), _gain[_kl > 0].double()
    _x, _y = _d.log(), _gain / _d
    _slope = ((_x - _x.mean()) * (_y - _y.mean())).sum() / (_x - _x.mean()).square().sum()
    _lines = {"the line": ((_y.mean() - _slope * _x.mean()).item(), -_slope.item())}
    _lines["yours"] = fit_overoptimization(_d**2, _gain)
    print("            alpha       b   squared errors of gold   of gold/d")
    for _name, (_alpha, _b) in _lines.items():
        _off = _gain - _d * (_alpha - _b * _x)
        print(f"{_name:9}   {_alpha:5.3f}   {_b:5.3f}", end="   ")
        print(f"{_off.square().sum():22.3f}   {(_off / _d).square().sum():9.3f}")

# %% [markdown]
# Each is the best at its own question. The line counts an error of gold/d the same everywhere,
# so an error of gold counts the more, the nearer to ref its run is. Say which question you
# asked.
#
# ## 7.4 The peak *(3 points, 10 min, easy)*
#
# At which KL is the fitted curve highest? Differentiate $d\,(\alpha - b\log d)$ with respect to
# $d$, and set it to 0. **Predict**: what does the curve look like when $b$ is 0, or negative?


# %% exercise="best_kl"
@shaped
def best_kl(alpha: float, b: float) -> float:
    """The divergence at which gold = d · (alpha − b · log d), d = √kl, is greatest.

    alpha, b: the curve's, as from fit_overoptimization; alpha may be negative.
    Returns a KL in nats: the square of the best d.
    Raises ValueError unless b > 0: otherwise the curve has no peak.
    Source: set the derivative of the curve to 0.
    Example: alpha 1, b 1: the peak is at d = 1, so kl 1.
    """
    ### BEGIN SOLUTION
    if not b > 0:
        raise ValueError(f"b must be above 0, not {b}: otherwise the curve has no peak")
    return math.exp(2 * (alpha / b - 1))
    ### END SOLUTION


# %% check="best_kl" points=3
check("best_kl", best_kl)

# %% [markdown]
# **Look at yours**, on all measurements of the record, whatever their β and step.

# %% demo evidence="essay_claims"
if ready("fit_overoptimization", "best_kl"):
    _measured = points(sweep, _ref_gold)
    _alpha, _b = fit_overoptimization(_measured.kl, _measured.gain)
    _peak = best_kl(_alpha, _b) if _b > 0 else None
    plot_fit(sweep, _ref_gold, own, _alpha, _b, _peak)
    print(f"alpha {_alpha:.3f}, b {_b:.3f}; highest at", f"{_peak:.1f} nats" if _b > 0 else "no KL")
    print(f"measured: d from 0 to {_measured.kl.max().sqrt():.1f}")

# %% [markdown]
# ### How far can it be trusted?
#
# Measurements of one run are no independent draws, so errors are to be judged by whole runs:
# fit without one seed, and see how far the curve misses that seed. As a yardstick,
# take the spread between seeds in the table of 7.2.
# **Predict**: which will differ more from fit to fit, α or the peak?

# %% demo
if ready("fit_overoptimization", "best_kl"):

    def _misses(found, alpha, b):
        d = found.kl[found.kl > 0].sqrt()
        return found.gain[found.kl > 0] - d * (alpha - b * d.log())

    print("without seed   alpha       b   peak (nats)   error there   error on the others")
    for _seed in seeds:
        _rest = points([run for run in sweep if run.seed != _seed], _ref_gold)
        _held = points([run for run in sweep if run.seed == _seed], _ref_gold)
        _alpha, _b = fit_overoptimization(_rest.kl, _rest.gain)
        _peak = f"{best_kl(_alpha, _b):.1f}" if _b > 0 else "none"
        _errors = [_misses(part, _alpha, _b).square().mean().sqrt() for part in (_held, _rest)]
        print(
            f"{_seed:12}   {_alpha:5.3f}   {_b:5.3f}   {_peak:>11}   {_errors[0]:11.2f}", end="   "
        )
        print(f"{_errors[1]:19.2f}")

# %% demo
if ready("fit_overoptimization", "best_kl"):
    _measured = points(sweep, _ref_gold)
    _alpha, _b = fit_overoptimization(_measured.kl, _measured.gain)
    _off, _d = _misses(_measured, _alpha, _b), _measured.kl[_measured.kl > 0].sqrt()
    print("   d       measurements   root mean square error   gold − curve")
    _size = {}
    for _low in range(0, math.ceil(_d.max()), 2):
        _part = _off[(_low <= _d) & (_d < _low + 2)]
        _size[_low] = _part.square().mean().sqrt().nan_to_num()
        print(f"{_low:2} to {_low + 2:2}   {len(_part):12}   {_size[_low]:22.2f}", end="   ")
        print(f"{_part.mean():+12.2f}")
    _worst = max(_size, key=_size.get)
    print(f"The form fits worst for d from {_worst} to {_worst + 2}.")

# %% demo
if ready("fit_overoptimization", "best_kl") and _b > 0:
    _top = best_kl(_alpha, _b) ** 0.5
    _near = _measured.gain[(_measured.kl.clamp(min=0).sqrt() - _top).abs() < 0.5]
    _height = _top * (_alpha - _b * math.log(_top))
    print(f"fitted gain at the peak, d = {_top:.2f}: {_height:.2f}", end="; ")
    print(f"mean of the {len(_near)} measurements within 0.5 of it: {_near.mean():.2f}")

# %% [markdown]
# Without one seed or another α is 0.48 to 0.60, while the peak, which depends on α/b alone, stays
# within 13.5 to 14.6 nats. And a seed that was left out is missed by about as much as the others:
# the curve is not fitted to single seeds.
#
# An error is gold minus curve: + where the curve is too low. Errors that keep one sign over a
# stretch of d say that the *form* is wrong there; seeds alone would scatter around 0. A form
# with two numbers, found on other models, need not hold here.
#
# How wrong can the peak be? In 7.1 it is known, and the form is not the true one. The cell fits
# your curve to what one would have measured up to some d, always free of noise. **Predict**: how
# far must one have gone before the fit knows, to 5 %, where the peak is?
#
# - **A**: half the way to it
# - **B**: up to it
# - **C**: twice as far is not enough

# %% predict="peak_known"
predict("peak_known", ...)

# %% demo
if ready("fit_overoptimization", "best_kl"):
    _c, _top, _near = 0.2, 2**0.5 / (4 * 0.2), []
    print(f"the true peak is at {_top**2:.2f} nats")
    for _share in (0.25, 0.5, 0.75, 1.0, 1.5, 2.0):
        _d = torch.linspace(0.05, _share, 40, dtype=torch.float64) * _top
        _alpha, _b = fit_overoptimization(_d**2, 2**0.5 * _d - 2 * _c * _d**2)
        _peak = best_kl(_alpha, _b) if _b > 0 else math.nan
        _times = _peak / _top**2
        _near += [_share] if abs(_times - 1) < 0.05 else []
        print(f"measured up to {_share:4.2f} of the peak's d: fitted peak", end=" ")
        print(f"{_peak:.3g} nats, {_times:.3g} × the true one" if _b > 0 else "none")
    outcome("peak_known", C=not _near, A=min(_near, default=9) <= 0.5, B=min(_near, default=9) <= 1)

# %% [markdown]
# The last row has no noise and goes to twice the peak's d, and still it is not at 1: more data of
# the same kind would not help, as the error is the form's. Stable over seeds does not mean right. So hold the peak against
# another form, and against the measurements that gained most.

# %% demo
if ready("fit_overoptimization", "best_kl"):
    _measured = points(sweep, _ref_gold)
    _alpha, _b = fit_overoptimization(_measured.kl, _measured.gain)
    _peaks = {"this form": best_kl(_alpha, _b) if _b > 0 else None}
    _peaks["d · (α − b · d)"] = peak_of_parabola(_measured)
    for _name, _peak in _peaks.items():
        print(f"peak by {_name}: {'none' if _peak is None else f'{_peak:.1f} nats'}")
    _most = _measured.kl[_measured.gain.topk(20).indices]
    _low, _middle, _high = _most.quantile(torch.tensor([0.0, 0.5, 1.0])).tolist()
    print(f"the 20 highest gains: {_low:.1f} to {_high:.1f} nats, median {_middle:.1f}")

# %% [markdown]
# A peak that lies beyond the measurements is a property of the form, not of the data. Report it
# only from runs on both sides of it, with its range over seeds and over forms.

# %% [markdown]
# ### Which form predicts better? *(6 points, 20 min, medium)*
#
# Two forms with two numbers each, and their peaks are far apart. The errors on the runs that a
# form was fitted to do not settle it: a form with more numbers always has smaller ones. So hold
# some runs out, fit the others, and see how far the fit misses those that it has not seen.
#
# Every form that is linear in its coefficients goes through one function. `columns(d)` is what
# the coefficients are multiplied by, a column for each: for $d\,(\alpha - b \log d)$ that is $d$
# and $-d \log d$, and $\text{columns}(d) \cdot c$ is what the form says.

# %% [markdown]
# Each run is in one of three groups: left out (kl at 0 or below, where a form need not be
# defined), fitted to, or predicted. Two things cannot be answered, so raise ValueError: a fit to
# fewer different kl than there are coefficients, and the error of no run at all.
#
# **Predict**: a form with three coefficients, columns $d$, $d \log d$ and $d^2$, holds both forms
# as special cases, so no fit of theirs is closer to the runs fitted to. Will it be the closest on
# those held out?


# %% exercise="held_out_error"
@shaped
def held_out_error(
    kl: Float[Tensor, " run"],
    gold: Float[Tensor, " run"],
    held_out: Bool[Tensor, " run"],
    columns: Callable[[Float[Tensor, " run"]], Float[Tensor, "run coefficient"]],
) -> float:
    """How far a form misses runs that it was not fitted to.

    kl: KL(policy ‖ ref) of each run, in nats; runs at 0 or below are left out of everything.
    gold: what the true goal gained over ref, of each run.
    held_out: True where a run is to be predicted, False where it is fitted to.
    columns: of d = √kl, what each coefficient is multiplied by, a row for each run; to be asked
    for kl above 0 alone. It takes any number of runs, none included, and keeps their dtype.
    Returns the root of the mean squared error of columns(d) · c on the runs held out, with the c
    of least squared error on the others.
    Raises ValueError when the runs to fit have fewer different kl than there are coefficients, or
    when none is left to predict.
    Source: least squares, and the root of a mean square, by their definitions.
    Example: the form c · d, kl (1, 4, 9), gold (2, 4, 5), the last one held out: c = 2, error 1.
    """
    ### BEGIN SOLUTION
    kl, gold, held_out = kl.cpu().double(), gold.cpu().double(), held_out.cpu()
    fitted, predicted = (kl > 0) & ~held_out, (kl > 0) & held_out
    d = kl.sqrt()
    design = columns(d[fitted])  # run coefficient
    if kl[fitted].unique().numel() < design.shape[1] or not predicted.any():
        raise ValueError("too few different kl to fit, or no run to predict")
    found = torch.linalg.lstsq(design, gold[fitted][:, None]).solution[:, 0]
    errors = columns(d[predicted]) @ found - gold[predicted]
    return errors.square().mean().sqrt().item()
    ### END SOLUTION


# %% check="held_out_error" points=6
check("held_out_error", held_out_error)

# %% [markdown]
# **Look at yours.** Every measurement of the record counts as a run. Measurements of one run
# belong together, so what is held out is a whole seed, then a whole β, then all that is farther
# from ref than d = 6. The last column is a yardstick: a form that says the same gain everywhere,
# the mean of the runs fitted to. **Predict**: where is a curve worse than that?

# %% demo
_forms = {
    "d (α − b log d)": lambda d: torch.stack([d, -d * d.log()], dim=1),
    "d (α − b d)": lambda d: torch.stack([d, -d * d], dim=1),
    "three numbers": lambda d: torch.stack([d, d * d.log(), d * d], dim=1),
    "a constant": lambda d: torch.ones_like(d)[:, None],
}
_measured = points(sweep, _ref_gold)
_whose = [(run.beta, run.seed) for run in sweep for _ in run.kl[1:]]
_groups = {f"seed {seed}": [s == seed for _, s in _whose] for seed in seeds}
_groups |= {f"β = {beta:g}": [b == beta for b, _ in _whose] for beta in betas}
_groups["d above 6"] = (_measured.kl > 36).tolist()

# %% demo
if ready("held_out_error"):
    print("held out    measurements", *(f"{name:>15}" for name in _forms))
    _missed = {}
    for _name, _group in _groups.items():
        _held = torch.tensor(_group)
        _missed[_name] = [held_out_error(*_measured, _held, form) for form in _forms.values()]
        print(f"{_name:10}  {sum(_group):12}", *(f"{error:15.2f}" for error in _missed[_name]))
    for _kind in ("seed", "β"):
        _each = [errors for name, errors in _missed.items() if name.startswith(_kind)]
        _second = sum(errors[1] < errors[0] for errors in _each)
        _third = sum(errors[2] < min(errors[:2]) for errors in _each)
        print(f"by {_kind}: of {len(_each)}, the second form is nearer than the first", end=" ")
        print(f"in {_second}, the third nearer than both in {_third}")

# %% [markdown]
# Between the two it is close: the parabola, which Gao et al. found for best-of-n, is nearer at two
# of three seeds and at six of seven βs, mostly by less than seeds differ by (7.2). So the record
# does not speak for the form with the logarithm, nor for the peak that comes with it. A third
# number buys next to nothing on runs not seen. Most rows beat the constant, so within what was
# measured the curves are worth something.
#
# Past d = 6 both are off by more than 2, and the constant by less than 1: **a form predicts where
# it was measured**, and beyond that says its own shape, carried on. The one with three numbers
# comes near there; nothing in its other rows had told you so.

# %% [markdown]
# ## 7.5 Choosing β for a budget *(no points, 10 min)*
#
# Nobody can order "the best gold": it is not measured in training. A divergence can be ordered.
# Take the fitted peak as the **budget**, and look for the β that keeps to it: the record
# brackets it between a weight with some seed above the budget and one that keeps every seed
# below.
#
# **Predict**: does halving β double the KL at the end?

# %% demo
if ready("fit_overoptimization", "best_kl"):
    _measured = points(sweep, _ref_gold)
    _alpha, _b = fit_overoptimization(_measured.kl, _measured.gain)
    _budget = best_kl(_alpha, _b) if _b > 0 else 8.0  # any number of nats, where there is no peak
    _too_small, _enough = bracket(sweep, _budget)
    plot_budget(sweep, _budget, _too_small, _enough)
    for _beta in (_too_small, _enough):
        _ends = [at_end(run, "gold") - _ref_gold for run in sweep if run.beta == _beta]
        if _ends:
            _each = ", ".join(f"{end:.2f}" for end in _ends)
            print(f"β = {_beta:g}: gold at the end, gain over ref: {_each}")

# %% [markdown]
# Look at gold on both sides of the bracket. β = 0.2 misses the budget by a nat or two at two of
# three seeds, so the rule calls it too small, although it has the most gold. But the budget is
# known no better than the fitted peak: the other form of 7.4 puts it at 25 nats. In practice
# there is no such fit at hand, and the budget comes from elsewhere: earlier runs, people who
# read answers, what a user of the model will bear.

# %% demo
for _budget in (1.0, 3.0, 10.0, 30.0):
    _says = ["none recorded" if b is None else f"β = {b:g}" for b in bracket(sweep, _budget)]
    print(f"budget {_budget:4.0f} nats: too small is {_says[0]}, enough is {_says[1]}")
_nats = {b: [at_end(run, "kl") for run in sweep if run.beta == b] for b in betas}
for _beta in betas[1:]:
    if _beta / 2 in _nats:
        _factor = sum(_nats[_beta / 2]) / sum(_nats[_beta])
        print(f"from β = {_beta:g} to {_beta / 2:g} the KL at the end grows {_factor:.1f}-fold")

# %% [markdown]
# In 7.1, halving β quadruples the KL of the *optimum*, 1/(2β²). A training run is on its way to
# its optimum, and another reward has another law.
#
# The answer belongs to this model, this reward, this number of steps: a run that goes on spends
# more. Inside the bracket you can try one run, or let a controller of lesson 05 find β, with
# KL(policy ‖ ref) for its target. Either way the KL is what you chose, and β is what it took.

# %% [markdown]
# ## 7.6 Is a penalty more than a brake? *(no points, 10 min)*
#
# Gao et al. report that in their setting a KL penalty moved along the frontier of gold against
# KL (the gold that is had at each KL) and did not improve it: stopping a run without penalty at
# the same KL had done as well. Does our record show the same?
#
# First all measurements, by how far from ref they were taken: a row for each β, a column for a
# range of d. If a penalty only moves a run along one curve, the numbers *in a column* agree.
# **Predict**: at equal distance from ref, is gold the same for every β?
#
# - **A**: yes, within what seeds differ by
# - **B**: no, in some range they differ by more

# %% predict="one_curve"
predict("one_curve", ...)

# %% demo
_edges = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 9.0, 20.0)
_headings = [f"{low:g} to {high:g}" for low, high in zip(_edges[:-1], _edges[1:], strict=True)]
print("mean gain of gold for d in each range (of so many measurements); · for fewer than 3")
print("    β", *(f"{heading:>11}" for heading in _headings))
_table = gains_by_distance(sweep, _ref_gold, _edges)
for _beta, _row in _table.items():
    _cells = [f"{mean:5.2f} ({count})" if count > 2 else "·" for mean, count in _row]
    print(f"{_beta:5g}", *(f"{cell:>11}" for cell in _cells))
_means = [
    [mean for mean, count in column if count > 2] for column in zip(*_table.values(), strict=True)
]
_apart = [f"{max(known) - min(known):.2f}     " if len(known) > 1 else "·" for known in _means]
print("apart", *(f"{cell:>11}" for cell in _apart))
_most = max(max(known) - min(known) for known in _means if known)
outcome("one_curve", A=_most <= max(_spreads.values()), B=True)

# %% [markdown]
# The last row is how far apart the βs of a column are. Where that is more than the seeds of one
# β are (7.2: 0.12 to 0.64), gold at equal d depends on β: no single curve in d exists here, and
# the pooled fit of 7.4 is an average over the βs that happen to be in the record. That is so
# from 3 to 4, where β = 0 has three measurements only.
#
# Then the sharper question, run by run, which is the stronger evidence. For every penalised run, the next cells find where the
# run with β = 0 *and the same seed* passes the KL at which the penalised one ends. The small
# numbers in the figure are seeds.

# %% demo
_pairs = at_equal_kl(sweep, _ref_gold)
plot_frontier(sweep, _ref_gold, _pairs)

# %% demo
_free = {run.seed: run for run in sweep if run.beta == 0}
print("    β   KL of the ends   β = 0 there at   gold, penalised − stopped: mean, least, most")
for _beta in betas[1:]:
    _gaps = torch.tensor([pair.gain - pair.stopped for pair in _pairs if pair.beta == _beta])
    _ends = [pair.kl for pair in _pairs if pair.beta == _beta]
    _runs = [_free[pair.seed] for pair in _pairs if pair.beta == _beta]
    if _ends:
        _passed = [
            min(s for s, nats in zip(run.step, run.kl, strict=True) if nats > end)
            for run, end in zip(_runs, _ends, strict=True)
        ]
        _between = f"{min(_ends):.1f} to {max(_ends):.1f}"
        _row = f"{_gaps.mean():+.2f}, {_gaps.min():+.2f}, {_gaps.max():+.2f}"
        _when = f"step {min(_passed)} to {max(_passed)}"
        print(f"{_beta:5g}   {_between:>14}   {_when:>14}   {_row}")

# %% demo
print(f"{frontier_says(_pairs, _spreads)}.")
_missing = sum(run.beta > 0 for run in sweep) - len(_pairs)
print(f"{_missing} penalised runs end where the run without penalty has no measurement.")

# %% [markdown]
# Read it with care. Seeds are few, and a run without penalty passes the KL of interest within
# few measurements, so its gold there is read off a straight line between two of them. A
# difference is worth a sentence when it has one sign at every seed of a β and its mean is larger
# than the spread between seeds. Only such β are named above; the smallest had collapsed, and the
# two largest hardly moved. What our record shows is *not* what Gao et al. report.

# %% [markdown]
# Nor is it proof that the penalty did it. A run with β = 0 rushes past that KL in the few
# updates of the table's third column; the penalised run had all of its updates to get there. So
# they differ in speed and in the number of updates too. A run with β = 0 and a smaller learning
# rate, stopped at the same KL, would settle it.
#
# A penalty has a use even where it buys nothing at equal KL: a penalised run *stays* at its KL,
# while stopping needs someone who knows when.

# %% [markdown]
# ## 7.7 A run that went wrong *(3 points, 20 min, medium)*
#
# A colleague trained with a small β, on a machine that others needed too, so the run was
# stopped, and resumed from its latest checkpoint, more than once. Nobody saw an error message.
# The grey lines are a sound run, sound in its bookkeeping, with the same small β. **Predict**, from
# each curve by itself: is there something wrong? Then read them together.

# %% demo
_case = failing()
_sound = min((run for run in sweep if run.beta > 0), key=lambda run: abs(run.beta - _case.beta))
print(f"the case: β = {_case.beta:g}; the sound run: β = {_sound.beta:g}, seed {_sound.seed}")
plot_case(_case, _sound)

# %% demo
for _step in _case.step[::4]:
    print(f"step {_step}")
    for _text in _case.texts[_step][:3]:
        print("   ", _text)

# %% [markdown]
# Patterns that others met; the earlier lessons have the details. Which of them fit the curves,
# and which can be ruled out?
#
# | reported | cause |
# |---|---|
# | a larger β gave a larger KL: open-instruct [#534](https://github.com/allenai/open-instruct/issues/534) | the plain log-ratio differentiated as a loss |
# | KL below 0: trl [#235](https://github.com/huggingface/trl/issues/235), [#351](https://github.com/huggingface/trl/issues/351) | sampled under other settings than scored; a single sample may be negative too |
# | no KL in the logs: trl [#4040](https://github.com/huggingface/trl/issues/4040) | β = 0 |
# | KL grows and grows: marin [#1708](https://github.com/marin-community/marin/issues/1708) | a sign: divergence was rewarded |

# %% [markdown]
# **Quiz.** Answer with a dict, two letters and a number:
# `q07_diagnose = {"cause": "…", "first_bad_step": …, "remedy": "…"}`. The *cause*:
#
# - A: since it was resumed, the run has had β = 0;
# - B: the policy came back to ref; the penalty has done its work;
# - C: since it was resumed, ref has been a copy of a policy that was trained already;
# - D: since it was resumed, the penalty has had the wrong sign, so divergence is rewarded;
# - E: the KL is estimated from few samples, and what is seen is noise.
#
# *first_bad_step*: the first step at which the curves show the defect, within 5.

# %% [markdown]
# The *remedy*:
#
# - A: raise β from that step on, four times, say, until gold has come back;
# - B: let it run on: the KL is low, so budget is left;
# - C: replace the estimator of the KL by one with less spread, and run on;
# - D: go back to the checkpoint before that step, load the model of step 0 as ref, resume, and
#   test at every start that ref is that model;
# - E: take the last checkpoint as the new start and as ref, as its proxy is highest.

# %% quiz="q07_diagnose"
q07_diagnose = {"cause": "C", "first_bad_step": 60, "remedy": "D"}

# %% check="q07_diagnose" points=3
check("q07_diagnose", q07_diagnose)

# %% [markdown]
# Each curve by itself has a harmless story; gold is even at its highest in this run. What gives
# such a run away is a contradiction between two: a KL, say, beside a proxy, or a share of word
# pairs, that no policy at that KL has in any run of the record. So log several, and at least one
# that does not pass through the code under suspicion: distinct word pairs, or a look at the texts.

# %% [markdown]
# ## 7.8 Essay: the impact of the penalty's weight *(6 points, 30 min, graded by hand)*
#
# *What does the weight of a divergence penalty do to training when it is too high, and when it
# is too low?* About 250 words, for a colleague who has to choose one next week.
#
# - **Too low**, 2 points: what then happens to the policy and why (1); how it shows in at least
#   two curves, of which one is not the proxy (1).
# - **Too high**, 2 points: the same.
# - **Evidence**, 1 point: a number from the record or your own run for each of the two, with β
#   and seed or spread.
# - **Choice**, 1 point: how to find a weight in between, by what is measured and not by a number
#   from elsewhere; and one limit of that advice.

# %% [markdown]
# To show how the rubric is meant, two answers to a *neighbouring* question: what the clip range
# ε does when it is too large and too small. All numbers in them are invented.
#
# > With a large ε the ratio may go far before a token loses its incentive, so several epochs
# > chase the noise of one batch: the surrogate rises while the return drops, and KL per update
# > jumps. At ε = 2 the worst drop was 6.1 parcels (median of 12 seeds), at 0.2 it was 0.4. With
# > a tiny ε nearly every token is cut off after the first step, so epochs are paid for and
# > unused: the share of clipped tokens nears 1, KL per update is flat, the return climbs slowly
# > (same seeds: it ended at 0.9 with ε = 0.01, at 2.9 with 0.2). I would raise ε until KL per
# > update meets a target; this says nothing about drift from ref, which a clip does not limit.

# %% [markdown]
# **6 of 6.** Both sides with a mechanism and two curves each, a number with seeds or spread for
# both, a choice by measurement, a limit. It is short; that costs nothing.
#
# > The clip range is an important hyperparameter. If ε is too large, training becomes unstable,
# > because the updates are too large. If it is too small, training is slow. In my runs the large
# > one was clearly worse. A good value is 0.2, as in the PPO paper.
#
# **1 of 6.** *Too large* and *too small*: 0 + 0 for the signs, as no curve is named; for the
# mechanism "the updates are too large" just earns its point, "is slow" repeats the question.
# *Evidence*: 0, "clearly worse" is no number. *Choice*: 0, a number from elsewhere.

# %% [markdown] essay="essay_impact" points=6
# ### BEGIN SOLUTION
# *An example of a full answer. Its numbers are invented: what earns the points is how they are
# used. Compare a student's with the table of 7.2, or run `check_claims`.*
#
# **Too low.** Beside the reward the penalty then hardly counts, so the policy goes wherever the
# proxy pays, beyond where the proxy was right: past the peak, as in 7.1. It shows in a
# KL(policy ‖ ref) that rises and does not level off, and in gold and distinct word pairs that
# fall while the proxy still rises. With β = 0 (three seeds) the KL ended at 90 to 110 nats, and
# gold 0.9 to 1.2 below its best, of step 20.
#
# **Too high.** A nat then costs more than any reward it could earn, so the optimum, ref ·
# exp(r/β), lies next to ref, and training stands still. KL levels off early and low; distinct
# pairs stay at ref's level; proxy and gold hardly move. Nothing looks broken, so it is easily
# missed. With β = 2 (three seeds) the KL stayed below 0.4 nats, and gold gained 0.1 to 0.2,
# where β = 0.1 gained 1.3 to 1.5.
#
# **Choice.** Try three weights a factor of 5 apart, two or three seeds each, and look at the KL
# they end with and at gold, measured on fresh answers. If the smallest weight has the most gold,
# go lower; if the largest, higher; then narrow the bracket, or give that KL to a controller as
# its target. The limit: it holds for this reward, model and number of steps. Without any gold,
# not even a few people who read answers, nothing in the curves tells on which side of the peak a
# run is.
# ### END SOLUTION

# %% [markdown]
# ## 7.9 Claim and evidence *(6 points, 30 min, graded by hand)*
#
# The last piece is about *your own run* of lesson 06. First collect numbers: replace the rows
# below by those that you want to cite, and the cell compares each with the run that it is
# about. A row is a quantity (`proxy`, `gold`, `kl`, `distinct_2`, `length`), whose run
# (`"own"`, or β and seed of a recorded one), a measured step, and the value, rounded as you
# will print it. The second and the third row are wrong, so that you
# see what happens.

# %% demo evidence="essay_claims"
claims = [
    ("kl", "own", own.step[-1], round(own.kl[-1], 1)),
    ("gold", "own", own.step[-1], 9.9),
    ("proxy", (betas[0], seeds[0]), 33, 1.0),
]
check_claims(claims, own, sweep)

# %% [markdown]
# It checks raw values of one measurement of one run; check means and gains yourself. Nor is an
# agreeing number evidence yet: "KL 6.2 at step 100" supports "the penalty held the policy back"
# only beside a run without it. Your text, about 200 words:
#
# (Your run without a penalty is not in `my_run.json`: `(0.0, 0)` of the record is its like.)
#
# - **Two claims** about what the penalty did in your run, 2 points each: a claim that your
#   numbers could have refuted (1), and at least two numbers that bear on it and agree with the
#   runs (1).
# - **One claim that you do not make**, although it is tempting: what it is (1), and which
#   measurement would settle it (1).

# %% [markdown]
# Again a scored answer to a neighbouring question, on the clip; its numbers are invented.
#
# > (1) The clip kept the return from plunging: worst drop 0.3 with ε = 0.2, 5.2 without, same
# > seed. (2) The clip made training better: the return rose from 0.1 to 2.9. (3) I do not claim
# > that the clip is faster: my two runs differ by 0.1 in the mean return.
#
# **3 of 6.** (1) 2 of 2: the numbers could have said otherwise. (2) 0 of 2: "better" than what?
# A rise within one run is no comparison, so it neither bears on the claim nor could refute it.
# With the other run's 2.7 beside it the claim would look weak, and get its 2 points. (3) 1 of
# 2: rightly not claimed, but nothing is said of what would settle it: both settings with
# several seeds.

# %% [markdown] essay="essay_claims" points=6
# ### BEGIN SOLUTION
# *An example of a full answer. Its numbers are invented, as the run is the student's: compare
# those of a submission with `check_claims`.*
#
# **Claim 1: the penalty limited the drift.** In my run (β = 0.1) KL(policy ‖ ref) was 9.8 nats
# at step 80 and 10.4 at step 120. The recorded run with β = 0 and the same seed had 71.0 and
# 98.1. Had my KL kept up with it, or still grown as fast at the end, the claim would be wrong.
#
# **Claim 2: it kept the answers various.** The share of distinct word pairs was 0.95 at step 0
# and 0.88 at step 120; with β = 0, same seed, it was 0.12. Had both fallen alike, the claim
# would be wrong.
#
# **Not claimed: that the penalty gave better answers than stopping in time.** It is tempting,
# as my gold at the end is 1.13 and that of β = 0 is 0.10. But the run with β = 0 had 1.30 at
# step 10, at 11 nats, about my KL. To settle it I would need runs with β = 0 measured at every
# one of the first 20 steps, with ten seeds, stopped at the KL at which the penalised run of the
# same seed ends, and gold measured there on fresh answers for both.
# ### END SOLUTION

# %% [markdown]
# ## What to take along
#
# - A proxy can rise for ever while the goal turns. Divergence from ref is the scale on which
#   that is seen: d = √KL.
# - A fitted curve is worth what it predicts about runs that it has not seen. A peak beyond the
#   data is a property of the form.
# - Choose the divergence, and let β be what it takes.
# - Does a penalty beat stopping at equal KL? Some β of ours did, in Gao et al. none: ask yours.
# - A run is diagnosed by curves that contradict each other. A number counts when it bears on the
#   claim and could have refuted it.

# %% demo
progress("07_case_study")
predictions("07_case_study")

# %% [markdown]
# This was the last lesson. The penalty is one line of an objective; what it does you can now
# derive, write, check, and show on a run. A good next step is a run of your own: one reward, one
# ref, three β, three seeds, and a page of claims.
