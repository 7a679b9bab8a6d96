# %% [markdown]
# # 07 · Analysing the impact of a penalty
#
# The runs are done; what do they say, and what do you decide? After this lesson you can
#
# - fit how much of the true goal a proxy is worth at each divergence, and find out by runs that
#   the fit has not seen whether it may be believed;
# - write the rule by which β is chosen, and test it on a seed that the rule has not seen;
# - tell from a control what a penalty does beyond slowing a run down;
# - find out from its curves what went wrong in a run;
# - back every claim with a number that holds and that could have refuted it.
#
# Two sittings, 300 minutes together: part one, 7.1 to 7.5, takes 160; part two, 7.6 to 7.9, takes
# 140, of which 85 are writing (begin it by running all cells above 7.6). A second reading, 7.10,
# takes 25 more. It needs lessons 02 to 05, and lesson 06, whose runs it is about.

# %% setup
import math
from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import check, hint, progress, ready, shaped, written
from helpers.language_model.runs import (
    failing,
    own_or_recorded,
    recorded,
    recorded_methods,
    recorded_outside,
)
from helpers.plots.case_study import (
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
    budget_says,
    check_claims,
    clear_of_stopping,
    compared,
    ends_by_beta,
    gold_of_ref,
    is_budget,
    keeps,
    leave_one_seed_out,
    means_by_beta,
    miss_of_other_seeds,
    peak_of_parabola,
    points,
    rule_says,
    seed_spread,
    straddled,
    tuned_by_proxy,
)
from helpers.tables.case_study import (
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

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## 7.1 A case in which everything is exact *(no points, 15 min)*
#
# An answer has a strength $s$, normal with mean 0 and standard deviation 1 under ref. The
# **proxy** pays $s$. What people want, **gold**, is $s - c\,s^2$: strong words are good, very
# strong ones tire. The proxy has not noticed the cost $c$.
#
# You know the optimum of proxy − β·KL(policy ‖ ref) from lesson 03: ref · exp(proxy/β). Here that
# is the same bell curve, moved to mean 1/β. As β falls, KL and proxy rise without end, and at some
# KL gold is greatest. **Predict**: the cost $c$ is made twice as great. What becomes of that KL?
#
# - **A**: it becomes half as great
# - **B**: it becomes a quarter
# - **C**: it stays the same

# %% predict="peak_moves"
predict("peak_moves", ...)

# %% [markdown]
# Measure divergence by its root, $d = \sqrt{\mathrm{KL}(\text{policy}\,\|\,\text{ref})}$, as a
# KL is a squared distance for small steps (lesson 02). The claim, with nothing approximated:
#
# $$\mathrm{KL} = \frac{1}{2\beta^2}, \qquad \text{proxy} = \sqrt{2}\, d, \qquad
# \text{gold} = \sqrt{2}\, d - 2c\, d^2 - c$$
#
# The cell sums over a fine grid of strengths, and holds the sums against the formulas.

# %% demo
_c = 0.2
print("    β      KL      d    proxy    gold")
for _beta in (5.0, 2.0, 1.0, 0.5, 0.4, 0.3, 0.2):
    _kl, _proxy, _gold = tuned_by_proxy(_c, _beta)
    _d = _kl**0.5
    print(f"{_beta:5}  {_kl:6.2f}  {_d:5.2f}  {_proxy:7.2f}  {_gold:6.2f}")
    assert abs(_kl - 1 / (2 * _beta**2)) < 1e-9
    assert abs(_proxy - 2**0.5 * _d) < 1e-9
    assert abs(_gold - (2**0.5 * _d - 2 * _c * _d**2 - _c)) < 1e-9

# %% [markdown]
# Now the same sums for many β, once with this cost and once with twice as much. Where is gold
# greatest?

# %% demo
_at = {}
for _c in (0.2, 0.4):
    _sums = [tuned_by_proxy(_c, percent / 100) for percent in range(20, 201)]
    _at[_c], _, _most = max(_sums, key=lambda kl_proxy_gold: kl_proxy_gold[2])
    print(f"c = {_c}: gold is greatest, {_most:.2f}, at {_at[_c]:.2f} nats")
_share = _at[0.4] / _at[0.2]
outcome("peak_moves", A=0.45 < _share < 0.55, B=0.2 < _share < 0.3, C=_share > 0.9)
_d = torch.linspace(0, 4, 201)
plot_toy(_d, 2**0.5 * _d, {c: 2**0.5 * _d - 2 * c * _d**2 - c for c in (0.1, 0.2, 0.4)})

# %% [markdown]
# Gold turns at $d = \sqrt{2}/(4c)$, where its derivative $\sqrt{2} - 4c\,d$ is 0: at half the $d$,
# and a quarter of the KL, where the cost is twice as great. This is **over-optimisation**: past the
# peak the number that is being trained improves, and what it stands for gets worse. Nothing is
# broken; the optimiser does what it was asked. The penalty decides how far it goes, and someone who
# sees the proxy alone cannot tell on which side of the peak a run is.

# %% [markdown]
# ## 7.2 The runs of lesson 06 *(no points, 20 min)*
#
# Now the language model. The record holds the training of lesson 06 for several β, each with
# several seeds. *Proxy* is the score trained on, *gold* the independent one, both on the scale
# of the ratings. KL(policy ‖ ref) is in nats per response: exact at each token, for responses
# that were drawn. Your own run is `my_run.json`, where lesson 06 left it or beside this
# notebook; where there is none, a recorded one stands in.

# %% demo evidence="essay_impact essay_claims"
sweep, own = recorded(), own_or_recorded()
betas = sorted({run.beta for run in sweep})
seeds = sorted({run.seed for run in sweep})
_ref_gold = gold_of_ref(sweep)  # every run starts from ref, so all of them measure this
print(f"{len(sweep)} runs of {sweep[0].step[-1]} steps: β = {betas}, each with seeds {seeds}")
print(f"own: β = {own.beta:g}, seed {own.seed}, {own.step[-1]} steps")
print(f"gold of ref: {_ref_gold:.2f}")

# %% [markdown]
# Over-optimisation can show *along* a run, whose gold falls from its best while its proxy rises,
# and *across* runs: the β that has the most proxy is not the one that has the most gold. In 6.7 you
# saw how far gold ends below its best with β = 0, where each seed's best step was its own. But of
# many noisy measurements the highest is too high. **Predict**: how much of that fall is left where
# the step is chosen by the *other* seeds?
#
# - **A**: nearly all of it
# - **B**: about half
# - **C**: hardly any

# %% predict="fall_left"
predict("fall_left", ...)

# %% demo evidence="essay_impact"
plot_sweep(sweep)

# %% [markdown]
# In the table *at the end* is the mean of the last three measurements. Gold *at the best step* is
# read, for each seed, at the step that was best for the others; the step in brackets is the mean of
# five such. (Where gold there is below the end, going on has lost nothing.) *Spread* is the
# standard deviation of gold between seeds at the same β and step. The figure shows gold itself, the
# table its gain over ref's.

# %% demo evidence="essay_impact"
_means = means_by_beta(sweep, _ref_gold)
print_ends_by_beta(_means)
_fell = [beta for beta, one in _means.items() if one.best - one.gain > one.spread]
print("gold ends below its best by more than the spread for β =", _fell or "none")
_own_best = sum(max(run.gold) - _ref_gold for run in sweep if run.beta == 0) / len(seeds)
_falls = [best - _means[0.0].gain for best in (_own_best, _means[0.0].best)]
print("with β = 0 gold falls by {:.2f} from each seed's own best, by {:.2f} from".format(*_falls))
print("the best step of the others")
_left = _falls[1] / _falls[0]
outcome("fall_left", A=_left > 0.8, B=0.3 < _left < 0.7, C=_left < 0.2)

# %% [markdown]
# Gold at its best less gold at the end is what it cost to go on training, where that is more than
# the spread. A single run, such as yours of lesson 06, may fall by more, or not at all: that is
# what seeds are for. To stop at the best step takes gold, which a real run does not have. Whether a
# run that is stopped at the same *KL* has as much is asked in 7.6.

# %% [markdown]
# ## 7.3 The over-optimisation curve *(7 points, 25 min, medium)*
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
# runs than unknowns: take the α and $b$ with the least sum of squared errors of gold. (Of gold,
# not of gold/d: that is a straight line in $\log d$, but the nearer to ref a run is, the more
# an error of its gold would count.)
#
# A run at KL 0 (all of them, at step 0) or below has no $\log d$: leave it out. Two unknowns
# need two runs, and not both at one kl: otherwise raise ValueError.


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
# ## 7.4 The peak, and whether to believe it *(9 points, 50 min, medium)*
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
# At $b = 0$ the curve is a straight line in $d$; below 0 it dips first and then rises without end.
# Neither has a divergence to recommend.
#
# **Look at yours**, on all measurements of the record, whatever their β and step. Beside it stands
# the form for best-of-n, fitted to the same. The bars are means of what was measured,
# over ranges of $d$; they know no form.

# %% demo evidence="essay_claims"
if ready("fit_overoptimization", "best_kl"):
    _measured = points(sweep, _ref_gold)
    _alpha, _b = fit_overoptimization(_measured.kl, _measured.gain)
    _peak = best_kl(_alpha, _b) if _b > 0 else None
    plot_fit(sweep, _ref_gold, own, _alpha, _b, _peak)
    print(f"alpha {_alpha:.3f}, b {_b:.3f}; measured up to {_measured.kl.max():.1f} nats")
    _peaks = {"d · (α − b · log d)": _peak, "d · (α − b · d)": peak_of_parabola(_measured)}
    print_peaks(_peaks)

# %% [markdown]
# Two forms, fitted to the same measurements, each with a peak of its own. Their errors on those
# measurements settle nothing: a form is always nearer to what it was fitted to than to what is
# new. So hold some runs out, fit the others, and see how far the fit misses those that it has not
# seen.
#
# Every form that is linear in its coefficients goes through one function. `columns(d)` is what
# the coefficients are multiplied by, a column for each: for $d\,(\alpha - b \log d)$ that is $d$
# and $-d \log d$, and $\text{columns}(d) \cdot c$ is what the form says.
#
# Each run is in one of three groups: left out (kl at 0 or below), fitted to, or predicted. Two
# things cannot be answered, so raise ValueError: a fit to fewer different kl than there are
# coefficients, and the error of no run at all.


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
# **Look at yours.** Measurements of one run belong together, so what is held out is a whole seed.
# Two other guesses stand beside the forms. *A constant* says the same gain everywhere; any curve
# should beat it. *Other seeds* guesses the mean of the other seeds at the same β and step; a form
# that does about as well has nothing left to explain.
#
# Gao et al. found the form with log d to be the better one for reinforcement learning. **Predict**:
# which of the two is nearer to the seed that it has not seen?
#
# - **A**: the one with log d, at every seed
# - **B**: the one without, at every seed
# - **C**: at some seeds the one, at some the other

# %% predict="nearer_form"
predict("nearer_form", ...)

# %% demo
_forms = {
    "d (α − b log d)": lambda d: torch.stack([d, -d * d.log()], dim=1),
    "d (α − b d)": lambda d: torch.stack([d, -d * d], dim=1),
    "a constant": lambda d: torch.ones_like(d)[:, None],
}
_measured = points(sweep, _ref_gold)
_whose = torch.tensor([run.seed for run in sweep for _ in run.kl[1:]])
_reach = torch.tensor([miss_of_other_seeds(sweep, seed) for seed in seeds])

# %% demo
if ready("held_out_error"):
    _missed = [[held_out_error(*_measured, _whose == s, f) for f in _forms.values()] for s in seeds]
    _missed = torch.tensor(_missed)  # seed form
    print_errors(seeds, list(_forms), _missed, _reach)
    _near = _missed[:, :2] <= 1.25 * _reach[:, None]
    for _form, _count in zip(_forms, _near.sum(0), strict=False):
        print(f"{_form}: at {_count} of {len(seeds)} seeds at most a quarter more than the others")
    _log = _missed[:, 0] < _missed[:, 1]
    print(f"the one with log d is the nearer of the two at {_log.sum()} of {len(seeds)} seeds")
    outcome("nearer_form", A=_log.all(), B=not _log.any(), C=True)

# %% [markdown]
# Gao et al. found it the other way round. But here, at nearly every seed, both miss by clearly more
# than seeds differ, and are wrong in a way that more seeds would not mend. Is it wrong in its
# shape, or is $d$ not enough to know gold by? **Try a form of your own**: columns may be anything
# of $d$. Steps, say: a column for each range of $d$, 1 inside it and 0 elsewhere; or straight lines
# with kinks where you saw them; or a polynomial of degree 6. Does any form in $d$ come within a
# quarter of what is in reach?


# %% demo
def _columns(d):
    """What each coefficient of your form is multiplied by, "run coefficient"."""
    return ...  # as torch.stack([d, d * d], dim=1) would be


# %% demo
if ready("held_out_error") and written(_columns(torch.linspace(0.5, 3.0, 11))):
    _mine = torch.tensor([held_out_error(*_measured, _whose == s, _columns) for s in seeds])
    print_errors(seeds, ["your form"], _mine[:, None], _reach)
    _count = (_mine <= 1.25 * _reach).sum()
    print(f"yours: at {_count} of {len(seeds)} seeds at most a quarter more than the others")

# %% [markdown]
# See the figure again. Both forms put the peak about where most gold was measured, and make it too
# low: what was measured has a sharper peak than either can have. So a form may be right about a
# place and wrong about a height; and one with many coefficients, such as the polynomial, right
# among the measurements and far off where a seed went farther than the others. (A form in $d$ alone
# that comes near does not say that β has no part: at most KLs one β has most of the measurements.
# 7.6 asks.) The next section decides by what was measured, and by no form.

# %% [markdown]
# ## 7.5 A budget and a β, by a rule *(no points, 50 min)*
#
# Nobody can order "the best gold": in training it is not measured. A divergence can be ordered. So
# first a **budget**, in nats: how far from ref may a run end? (In practice gold is had once, of a
# few pilot runs such as these, whose texts people rate.)

# %% demo
_measured = points(sweep, _ref_gold)
_by_beta = {b: points([run for run in sweep if run.beta == b], _ref_gold) for b in betas}
print_gains_by_range(_measured, _by_beta, edges=(1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 96))

# %% [markdown]
# **Decide**: put in the nats up to which, by this table, going further has paid, and beyond which
# it has not: one number, of which several are sound. The cell below looks at what was measured from
# half your budget to it, and from there to twice as much (and, to see whether gold had turned
# before, from a quarter): first whatever the β, which is what counts for choosing one; then β by β,
# which shows whether a run that goes on loses gold. (Far from ref there are small β alone, so part
# of the first fall is a change of β.)

# %% demo
_budget = ...

# %% demo
if written(_budget):
    print(budget_says(_measured, _budget, _by_beta))

# %% [markdown]
# Now **write the rule** that picks β from a few finished runs, so that a new run, with a seed
# that nobody has tried, can be expected to end well. *Well* is `keeps(end, budget)`: within the
# budget, with more gold than ref, and with more than β = 0 has on average.
#
# `ends[0.2]` lists where the runs with β = 0.2 ended, one for each seed seen. Of the first of them
# `ends[0.2][0].kl` is the KL, `ends[0.2][0].gain` gold over ref, and `ends[0.2][0].over_free` gold
# over the mean of β = 0.
#
# Which β may be picked (those that kept it at every seed? by the mean?), and which among them:
# the smallest, the largest, the one with the most gold? You decide; a few lines will do.
# **Predict**: at how many of the five seeds, each held out once, will its pick end well? (Without
# a budget of yours, one stands in.)


# %% demo
def _choose(ends, budget):
    """The β to train with; None where no β will do, as `min(good, default=None)` says."""
    return ...


# %% demo
_ends, _nats = ends_by_beta(sweep, _ref_gold), _budget if is_budget(_budget) else 16.0
if written(_choose(_ends, _nats) or -1):
    _folds = leave_one_seed_out(_choose, _ends, _nats)
    plot_budget(_ends, _nats, _choose(_ends, _nats))
    print_folds(seeds, _folds, _nats)
    print(rule_says(_folds, _ends, _nats))

# %% [markdown]
# A rule that never looks at the budget may pass this. So once more the same rule, with a budget
# that is harder to keep: where runs with the next larger β end on average. Does it keep that, and
# what does it cost in gold?

# %% demo
if written(_choose(_ends, _nats) or -1):
    _next, _tight = straddled(_ends, _choose(_ends, _nats))
    _again = leave_one_seed_out(_choose, _ends, _tight)
    print(f"asked for {_tight:.1f} nats, where runs with β = {_next:g} end on average")
    print_folds(seeds, _again, _tight)
    print(rule_says(_again, _ends, _tight))

# %% [markdown]
# A rule that asks for every seed and one that asks for the mean part ways there. And "5 of 5" is
# less than five tests. The folds share most of their runs, and the seed held out has
# had a say in your budget and in the mean of β = 0. Below, each β is a rule that always says the
# same: did yours leave something on the table, or was it lucky? *Readable* is the judge from
# outside of lesson 06, 0 to 1. **Predict** from the rows, too, where your own run of lesson 06
# ended.

# %% demo
print_fixed_betas(_ends, _nats, recorded_outside()["by_beta"])
_far, _more = at_end(own, "kl"), at_end(own, "gold") - _ref_gold
print(f"own, β = {own.beta:g}, seed {own.seed}, {own.step[-1]} steps: {_far:.1f} nats, {_more:.2f}")

# %% [markdown]
# Where the β with the most gold reads less well than its neighbour, gold is not all that is wanted:
# a rule may ask for both. A cautious rule (the largest β) and a bold one (the smallest) may both
# keep the budget and differ in gold: which is right depends on what breaking it costs. The β that
# comes out belongs to this model, this reward, this number of steps. What carries over is the rule.
#
# **Here part one ends.**

# %% [markdown]
# ## 7.6 Is a penalty more than a brake? *(no points, 35 min)*
#
# Gao et al. report that in their setting a KL penalty did not improve the gold that is had at a
# given KL: it acted like stopping a run without penalty earlier (and they warn that this may
# hang on the settings). Does our record show the same?
#
# Every penalised run is held against a run without penalty *and with the same seed*, where that one
# passes the KL at which the penalised one ends. At the usual rate that run rushes through small
# KLs within few updates, so this might compare speed. The control is β = 0 at **a third of the
# learning rate**.
# *Clearly more* gold means here
#
# - more at every seed that can be compared, of three at least, and
# - more by the mean than twice what seeds differ by.
#
# **Predict**: at equal KL, with some β, who has clearly more gold?
#
# - **A**: nobody
# - **B**: the penalised runs
# - **C**: the slow runs, and the penalised ones with no β

# %% predict="more_at_equal_kl"
predict("more_at_equal_kl", ...)

# %% demo
_methods, _fast = recorded_methods(), [run for run in sweep if run.beta == 0]
_slow = _methods["β = 0, a third of the rate"]
_pairs, _fast_pairs = (at_equal_kl(sweep, free, _ref_gold) for free in (_slow, _fast))
print_at_equal_kl(_pairs, _fast_pairs, seed_spread(sweep))
_absent = sorted({run.beta for run in sweep if run.beta > 0} - {pair.beta for pair in _pairs})
print(f"farther than the slow runs came: β = {_absent}")

# %% demo
plot_frontier(sweep, _slow, _ref_gold, _pairs)
_more, _less = clear_of_stopping(_pairs, seed_spread(sweep))
print(f"clearly more than the slow runs: β = {_more or 'none'}; clearly less: {_less or 'none'}")
_most = [max(gold for run in runs for gold in run.gold) - _ref_gold for runs in (_slow, _fast)]
_least = {beta: min(end.gain for end in _ends[beta]) for beta in _more}
print("the most that a run with β = 0 had at any step: slow {:.2f}, fast {:.2f}".format(*_most))
_said = (f"β = {beta:g} {gain:.2f}" for beta, gain in _least.items())
print("the least that a penalised one has at its end:", ", ".join(_said))
outcome("more_at_equal_kl", B=_more, C=_less, A=True)

# %% [markdown]
# More gold at one KL: is more of everything wanted had there, too? **Predict**: at equal KL, whose
# texts are more various, by *distinct pairs* over all texts?
#
# - **A**: it depends on β
# - **B**: the penalised runs', with every β
# - **C**: the slow runs', with every β

# %% predict="alike"
predict("alike", ...)

# %% demo
print_more_at_equal_kl(_pairs)
_gaps = [torch.tensor([p.more_distinct for p in _pairs if p.beta == b]) for b in compared(_pairs)]
_higher = [bool(gaps.mean() > 0) for gaps in _gaps]
outcome("alike", A=len({*_higher}) > 1, B=all(_higher), C=True)
print_last_texts([run for run in sweep if run.beta == 0.1], _slow)

# %% [markdown]
# So here it came out otherwise than with Gao et al.: at one KL the penalised runs have clearly more
# gold. Rest it on β = 0.1: there the least of five ends has more than any run without a penalty had
# at any step, slow or fast; barely more than the best single measurement of a fast one, and two
# slow runs were still at their best when they ended. For the others, gold at the stopped KL is read
# off a straight line between two measurements, which lie far apart where a slow run is running
# away: with β = 0.2 one seed hangs on that, and with 0.5 and 1 the slow run is caught early. Speed
# was not the point: at these KLs the fast run has about what the slow one has.
#
# But gold reads one text at a time. With β = 0.1 the texts are *more alike* than the slow run's at
# the same KL, at every seed that could be compared: they say nearly the same good thing to every
# prompt, which gold cannot see (lesson 06).
#
# How could a penalty buy more at one KL? The optimum of a penalty on KL(policy ‖ ref) is ref ·
# exp(proxy/β), which has the most proxy that its KL can buy (3.5); a run that is merely stopped is
# wherever its first steps led. Ours, $k_3$ in the loss, pulls another way (6.9), so this can be no
# more than a hint; but a run that is charged in the reward, as that optimum asks, has more than the
# slow one, too: 7.10, with why it may differ from theirs.

# %% [markdown]
# ## 7.7 A run that went wrong *(3 points, 20 min, medium)*
#
# A colleague trained on a machine that others needed too. Nobody saw an error message. The grey
# lines are a sound run, sound in its bookkeeping, with the same β. **Predict**, from each curve by
# itself: is there something wrong? Then read them together.

# %% demo
_case = failing()
_sound = min((run for run in sweep if run.beta > 0), key=lambda run: abs(run.beta - _case.beta))
print(f"the case: β = {_case.beta:g}; the sound run: β = {_sound.beta:g}, seed {_sound.seed}")
plot_case(_case, _sound)
for _step in _case.step[::8]:
    print(f"step {_step}")
    for _text in _case.texts[_step][:2]:
        print("   ", _text)

# %% [markdown]
# **Quiz.** Answer with a dict, two letters and a number:
# `q07_diagnose = {"cause": "…", "first_bad_step": …, "remedy": "…"}`. The *cause*:
#
# - A: from some step on, the run has had β = 0;
# - B: the policy came back to ref; the penalty has done its work;
# - C: from some step on, ref has been a copy of a policy that was trained already;
# - D: from some step on, the penalty has had the wrong sign, so divergence is rewarded;
# - E: the KL is estimated from few samples, and what is seen is noise.
#
# *first_bad_step*: the first step at which the curves show the defect, to within 5.

# %% [markdown]
# The *remedy*:
#
# - A: raise β from that step on, four times, say, until gold has come back;
# - B: let it run on: the KL is low, so budget is left;
# - C: replace the estimator of the KL by one with less spread, and run on;
# - D: go back to the checkpoint before that step, find what changed there and mend it, go on from
#   it, and test for it at every start;
# - E: take the last checkpoint as the new start and as ref, as its proxy is highest.

# %% quiz="q07_diagnose"
q07_diagnose = {"cause": "C", "first_bad_step": 60, "remedy": "D"}

# %% check="q07_diagnose" points=3
check("q07_diagnose", q07_diagnose)

# %% [markdown]
# <details><summary>What gave it away, once you have answered</summary>
#
# Proxy, gold and word pairs have harmless stories, and the KL by itself looks like good news. What
# gives such a run away is a contradiction between two: a KL, say, beside a proxy, or a share of
# word pairs, that no policy at that KL has in any run of the record. So log several, and at least
# one that does not pass through the code under suspicion: distinct word pairs, or a look at the
# texts.
#
# Others met these, of which none fits here: nothing grows without end, nothing is below 0, the KL
# is logged, and no larger β is compared.
#
# | reported | cause |
# |---|---|
# | a larger β gave a larger KL: open-instruct [#534](https://github.com/allenai/open-instruct/issues/534) | the plain log-ratio differentiated as a loss |
# | KL below 0: trl [#235](https://github.com/huggingface/trl/issues/235), [#351](https://github.com/huggingface/trl/issues/351) | sampled under other settings than scored; a single sample may be negative too |
# | no KL in the logs: trl [#4040](https://github.com/huggingface/trl/issues/4040) | β = 0 |
# | KL grows and grows: marin [#1708](https://github.com/marin-community/marin/issues/1708) | a sign: divergence was rewarded |
#
# </details>

# %% [markdown]
# ## 7.8 Essay: the impact of the penalty's weight *(6 points, 40 min, graded by hand)*
#
# *What does the weight of a divergence penalty do to training when it is too high, and when it
# is too low?* About 150 words, for a colleague who has to choose one next week.
#
# - **Too low**, 2 points: what then happens to the policy and why (1); how it shows in at least
#   two curves, of which one is not the proxy (1).
# - **Too high**, 2 points: the same.
# - **Evidence**, 1 point: a number from the record or your own run for each of the two (½ each),
#   with β and seed or spread.
# - **Choice**, 1 point: how to find a weight in between, by what is measured and not by a number
#   from elsewhere (½); one limit of that advice (½).

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
# KL(policy ‖ ref) that rises far beyond the others', and in gold that stays behind while the
# proxy still rises. With β = 0 (three seeds) the KL ended at 90 to 110 nats with the most proxy
# of all, and gold had gained 0.1 to 0.5, where β = 0.1 gained 1.3 to 1.5.
#
# **Too high.** A nat then costs more than any reward it could earn, so the optimum, ref ·
# exp(r/β), lies next to ref, and training stands still. KL levels off early and low; proxy and
# gold hardly move. Nothing looks broken, so it is easily missed. With β = 2 (three seeds) the KL
# stayed below 0.4 nats, and gold gained 0.1 to 0.2, where β = 0.1 gained 1.3 to 1.5.
#
# **Choice.** Try three weights a factor of 5 apart, three seeds each; take the smallest whose
# every seed ends above ref and above β = 0 in gold, measured on fresh answers. The limit: it
# holds for this reward, model and number of steps, and without any gold, not even a few people
# who read answers, nothing in the curves tells on which side of the peak a run is.
# ### END SOLUTION

# %% [markdown]
# ## 7.9 Claim and evidence *(6 points, 45 min, graded by hand)*
#
# The last piece is about *your own run* of lesson 06, or the one that stands in. First let code
# check what you want to say. A row of the list is
#
# - a number, (quantity, whose, step, value), rounded as you will print it;
# - an order, (quantity, whose, "<" or ">", whose), about the ends of runs: it has to hold for every
#   run that is meant, not by the mean alone;
# - or a difference, (quantity, whose, "-", whose, value), about ends too, by the mean over seeds.
#
# *Whose* is "own"; or (β, seed) of the record; or a β, all its seeds. Or it is another of its
# methods, alone or with a seed, as ("slow", 0): "slow" is β = 0 at a third of the rate, and there
# are "controller", "mean only", "k1 in the reward" and "ρ·k3 in the loss".
#
# The step "end" is the mean of the last three measurements. If your run is shorter than the
# record's, compare it by an order or a difference: these read the longer run where the shorter one
# ends. Their two means may be quoted. A number reads each at its own end, and says so.
#
# Quantities are proxy, gold, gain (gold over ref), kl, distinct_2 (distinct pairs), length, entropy
# (nats a token) and forgotten (perplexity on people's sentences, over what it was). Put your own
# rows in place of these, of which the second and third are wrong.

# %% demo evidence="essay_claims"
claims = [
    ("kl", "own", own.step[-1], round(own.kl[-1], 1)),
    ("gold", "own", own.step[-1], 9.9),
    ("proxy", (betas[0], seeds[0]), 33, 1.0),
    ("gain", betas[-1], "end", 0.2),
    ("kl", "own", "<", (0.0, seeds[0])),
    ("proxy", betas[-1], "<", betas[0]),
    ("gain", 0.2, "-", 0.0, 1.1),
]
check_claims(claims, own, sweep, recorded_methods())

# %% [markdown]
# An agreeing number is no evidence yet: "KL 6.2 at step 100" supports "the penalty held the policy
# back" only beside a run without it. (Your run without a penalty is not in `my_run.json`:
# `(0.0, 0)` of the record is its like.) Your text, about 120 words:
#
# - **Two claims** about what the penalty did in your run, 2 points each: a claim that your
#   numbers could have refuted (1), and at least two numbers that bear on it and agree with the
#   runs (1). A pair of runs speaks for its seed alone: word it so, or use the record's seeds.
#   "KL is lower with the penalty" alone is no finding: KL is what was charged for. The same pair becomes one when their gold, or
#   their distinct word pairs, stand beside it. That a penalty did *not* do something counts as well.
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
# **Claim 1: the nats that the penalty saved would not have bought gold.** In my run (β = 0.1)
# KL(policy ‖ ref) was 10.4 nats at step 120, and gold 1.13. The recorded run with β = 0 and the
# same seed had 98.1 nats and 0.10. Had its gold been as high as mine, the claim would be wrong.
#
# **Claim 2: it kept the answers various.** The share of distinct word pairs was 0.95 at step 0
# and 0.88 at step 120; with β = 0, same seed, it was 0.12. Had both fallen alike, the claim
# would be wrong.
#
# **Not claimed: that the penalty gave better answers than stopping in time.** It is tempting,
# as my gold at the end is 1.13 and that of β = 0 is 0.10. But the run with β = 0 had 1.30 at
# step 10, at 11 nats, about my KL. To settle it I would need slow runs with β = 0, ten seeds,
# stopped at the KL at which the penalised run of the same seed ends, and gold measured there on
# fresh answers for both.
# ### END SOLUTION

# %% [markdown]
# ## 7.10 For a second reading *(no points, 25 min)*
#
# Why may 7.6 differ from Gao et al., beside the model's size? Their penalty is charged in the
# reward, and their advantage is not divided by a group's spread. Both were run here, each by
# itself, and are held against the slow run, where that one passes the KL at which they end:

# %% demo
_changed = ("in the reward, k1", "advantage: mean only")
print_gaps({name: at_equal_kl(_methods[name], _slow, _ref_gold) for name in _changed})

# %% [markdown]
# Neither turns the sign by itself. Their gold, a reward model alone, and their PPO were not tried:
# ours counts words that come twice within a text, too.
#
# Three things speak for caution. The slow runs are caught in passing, while they speed up; where a
# penalised run ends, it has slowed down. Gold at the stopped KL is read off a straight line between
# two measurements, which lie far apart where a slow run has run away by then. And it is what *gold*
# says: lesson 06 shows how far other judges agree with it.
#
# **Steered to a KL.** A penalised run *slows down* at its KL, while stopping needs someone who
# knows when. A **controller** (Ziegler's, of lesson 05) takes the KL that you chose as its target;
# here it moves β by 2% a step at most, by what the batch says of KL(policy ‖ ref). **Predict**:
# told to end at 6 nats a response, how near does it come?
#
# - **A**: within a tenth, at every seed
# - **B**: within a quarter, at every seed
# - **C**: farther off, at some seed

# %% predict="steered"
predict("steered", ...)

# %% demo
_target, _steered = 6.0, _methods["controller"]
print_steered(_steered, _target, _ref_gold)
_off = [abs(at_end(run, "kl") / _target - 1) for run in _steered]
outcome("steered", A=max(_off) <= 0.1, B=max(_off) <= 0.25, C=True)
_start = min(betas, key=lambda beta: abs(beta - _steered[0].weight[0]))
_fixed = [abs(end.kl / _target - 1) for end in _ends[_start]]
print(f"with β fixed at {_start:g}, where it begins: off by", *(f"{off:.0%}" for off in _fixed))

# %% [markdown]
# Every run begins below its target, at KL 0, so the controller first *lowers* β, and has that to
# win back when the KL shoots past: a short run may end before it has. Here the KL would have
# been nearer with β left where it was, but whoever sets it seldom knows such a β. A controller
# replaces the search for β by one for its target, its start and its speed.

# %% [markdown]
# ## What to take along
#
# - A proxy can rise for ever while the goal turns. Divergence from ref is the scale on which
#   that is seen: d = √KL.
# - A fitted curve is worth what it predicts about runs that it has not seen. Where it misses by
#   more than seeds differ, what it says at its peak is a property of the form.
# - Choose the divergence, and let β be what it takes: by a rule that can be written down, tested
#   on a seed that it has not seen.
# - Whether a penalty beats stopping is a question for a control: smaller steps, at the same KL.
# - A run is diagnosed by curves that contradict each other. A number counts when it bears on the
#   claim and could have refuted it.

# %% demo
progress("07_case_study")
predictions("07_case_study")

# %% [markdown]
# This was the last lesson. The penalty is one line of an objective; what it does you can now
# derive, write, check, and show on a run. A good next step is a run of your own: one reward, one
# ref, three β, three seeds, and a page of claims.
