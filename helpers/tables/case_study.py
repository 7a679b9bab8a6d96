"""Tables of lesson 07: what its runs say, in print. What follows from them is in its cells."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

from ..language_model.runs import Run
from ..problems.case_study import (
    End,
    Fold,
    Means,
    Pair,
    Points,
    at_end,
    gains_between,
    keeps,
)

NOTHING = "·"


def print_ends_by_beta(means: Mapping[float, Means]) -> None:
    """Of each β: gold at its best step and at its end, its spread, and where the runs end."""
    print("means over seeds; gold as a gain over ref, its spread between seeds")
    print("    β   gold at the best step   gold at the end   spread   proxy at end   KL at end")
    for beta, one in means.items():
        best = f"{one.best:.2f} (step {one.step:.0f})"
        print(f"{beta:5g}   {best:>21}   {one.gain:15.2f}   {one.spread:6.2f}", end="   ")
        print(f"{one.proxy:12.2f}   {one.kl:9.1f}")


def print_peaks(peaks: Mapping[str, float | None]) -> None:
    """Where each fitted form is highest, in nats; None where it has no peak."""
    for form, nats in peaks.items():
        print(f"{form}: " + ("no peak" if nats is None else f"highest at {nats:.1f} nats"))


def print_errors(
    seeds: Sequence[int],
    forms: Sequence[str],
    errors: Float[Tensor, "seed form"],
    reach: Float[Tensor, " seed"],
) -> None:
    """How far each form misses each seed that was held out, beside how far the other seeds do."""
    print("error on the seed held out, in points of rating")
    print("seed   " + "   ".join(f"{name:>15}" for name in (*forms, "other seeds")))
    for seed, row in zip(seeds, torch.cat([errors, reach[:, None]], dim=1), strict=True):
        print(f"{seed:4}   " + "   ".join(f"{error:15.2f}" for error in row))


def print_gains_by_range(
    found: Points, by_beta: Mapping[float, Points], edges: Sequence[float]
) -> None:
    """How many measurements lie in each range of KL, and their mean gain; then β by β."""
    print("in each range of KL: how many were measured, and their mean gain of gold")
    print("KL in nats   whatever the β" + "".join(f"{f'β = {b:g}':>11}" for b in by_beta))
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        first, *others = (_counted(gains_between(one, low, high))
                          for one in (found, *by_beta.values()))  # fmt: skip
        cells = "".join(f"{cell:>11}" for cell in others)
        print(f"{f'{low:g} to {high:g}':10}   {first:>14}{cells}")


def _counted(gains: Float[Tensor, " point"]) -> str:
    return f"{len(gains)}: {gains.mean():.2f}" if len(gains) else NOTHING


def print_folds(seeds: Sequence[int], folds: Sequence[Fold], budget: float) -> None:
    """For each seed held out: the β picked on the others, and where its run with it ended."""
    print("held out   picked on the others   KL there   gold over ref   over β = 0   ended well")
    for seed, (beta, end) in zip(seeds, folds, strict=True):
        cells = f"{'none picked' if beta is None else 'not a β of the record':>37}"
        if end:
            cells = f"{end.kl:8.1f}   {end.gain:13.2f}   {end.over_free:10.2f}"
        well = "yes" if end and keeps(end, budget) else "no"
        print(f"seed {seed:3}   {beta!s:>20.20}   {cells}   {well}")


def print_fixed_betas(
    ends: Mapping[float, Sequence[End]], budget: float, judged: Mapping[str, Mapping[str, float]]
) -> None:
    """Each β as a rule that always says the same: where its runs end, and how they read.

    judged: what the judge from outside says, by β as text.
    """
    print(f"budget {budget:g} nats   KL: least, most   gold over ref: least, mean", end="   ")
    print("ended well   readable")
    for beta, each in ends.items():
        kl, gain, _ = (torch.tensor(column) for column in zip(*each, strict=True))
        cells = f"{f'{kl.min():.1f}, {kl.max():.1f}':>15}"
        cells += f"   {f'{gain.min():.2f}, {gain.mean():.2f}':>26}"
        well = f"{sum(keeps(end, budget) for end in each)} of {len(each)}"
        readable = judged[f"{beta:g}"]["readable"]
        print(
            f"{f'β = {beta:g}':{12 + len(f'{budget:g}')}}   {cells}   {well:>10}   {readable:8.2f}"
        )


def print_at_equal_kl(
    slow: Sequence[Pair], fast: Sequence[Pair], spread: Mapping[float, float]
) -> None:
    """Gold of penalised ends, and of runs with β = 0 stopped at their KL, by two learning rates.

    spread: of gold between seeds, for each β.
    """
    print("gold over ref, means over seeds; β = 0 is stopped at the KL of the penalised end")
    head = f"{'slow, steps (runs)':>18}  {'fast, steps (runs)':>18}  {'penalised − slow':>20}"
    print(f"    β  KL at end  penalised  {head}  spread")
    for beta in sorted({pair.beta for pair in slow}):
        own, other = ([pair for pair in pairs if pair.beta == beta] for pairs in (slow, fast))
        gaps = [pair.gain - pair.stopped for pair in own]
        cells = f"{fmean([p.kl for p in own]):9.1f}  {fmean([p.gain for p in own]):9.2f}"
        cells += f"  {_stopped(own):>18}  {_stopped(other):>18}"
        mean = f"{fmean(gaps):+.2f} [{min(gaps):+.2f}, {max(gaps):+.2f}]"
        print(f"{beta:5g}  {cells}  {mean:>20}  {spread[beta]:6.2f}")
    if both := of_both(slow, fast):
        said = {"penalised": [one.gain for one, _ in both],
                "slow": [one.stopped for one, _ in both],
                "fast": [other.stopped for _, other in both]}  # fmt: skip
        means = ", ".join(f"{name} {fmean(gains):.2f}" for name, gains in said.items())
        print(f"means over the {len(both)} ends whose KL a slow and a fast run pass: {means}")


def of_both(slow: Sequence[Pair], fast: Sequence[Pair]) -> list[tuple[Pair, Pair]]:
    """Of each penalised end that could be held against both kinds of run, the two pairs."""
    others = {(pair.beta, pair.seed): pair for pair in fast}
    return [(one, others[key]) for one in slow if (key := (one.beta, one.seed)) in others]


def _stopped(pairs: Sequence[Pair]) -> str:
    """Gold where runs were stopped, by the mean, and between which steps that was."""
    if not pairs:
        return NOTHING
    steps = [pair.step for pair in pairs]
    at = f"{min(steps)} to {max(steps)}"
    return f"{fmean([pair.stopped for pair in pairs]):.2f}, {at} ({len(pairs)})"


def print_more_at_equal_kl(pairs: Sequence[Pair]) -> None:
    """How much more proxy and distinct pairs penalised ends have than runs stopped at their KL."""
    print(
        "at equal KL, the penalised run less the slow one, by the mean (above 0 at so many seeds)"
    )
    print("    β              proxy     distinct pairs")
    for beta in sorted({pair.beta for pair in pairs}):
        own = [pair for pair in pairs if pair.beta == beta]
        cells = (_counted_above([getattr(pair, name) for pair in own])
                 for name in ("more_proxy", "more_distinct"))  # fmt: skip
        print(f"{beta:5g} " + " ".join(f"{cell:>18}" for cell in cells))


def _counted_above(values: Sequence[float]) -> str:
    return f"{fmean(values):+.2f} ({sum(one > 0 for one in values)} of {len(values)})"


def print_last_texts(runs: Sequence[Run], slow: Sequence[Run]) -> None:
    """The last texts of one of the runs and of the slow run of its seed: the two nearest in KL."""
    both = [(one, other) for one in runs for other in slow if one.seed == other.seed]
    own, other = min(both, key=lambda pair: abs(pair[0].kl[-1] - pair[1].kl[-1]))
    heads = f"penalised, {own.kl[-1]:.1f} nats", f"slow, {other.kl[-1]:.1f} nats"
    print(f"last texts of seed {own.seed}")
    rows = zip(own.texts[own.step[-1]], other.texts[other.step[-1]], strict=True)
    for left, right in (heads, *rows):
        print(f"  {left:52.52}  {right:.52}")


def print_gaps(pairs: Mapping[str, Sequence[Pair]]) -> None:
    """For each of several methods: where its runs end, and how much more gold they have there."""
    for name, each in pairs.items():
        gaps, far = [pair.gain - pair.stopped for pair in each], [pair.kl for pair in each]
        print(f"{name}, β = {each[0].beta:g}, {min(far):.1f} to {max(far):.1f} nats:", end=" ")
        print(f"more gold at {sum(gap > 0 for gap in gaps)} of {len(gaps)} seeds", end=", ")
        print(f"{min(gaps):+.2f} to {max(gaps):+.2f}")


def print_steered(runs: Sequence[Run], target: float, ref_gold: float) -> None:
    """Of runs with a controller: the KL that they reached and ended at, their β, and their gold."""
    print("seed   KL: most, at the end   off by   β: at first, least, at the end   gold over ref")
    for run in runs:
        kl, gain = at_end(run, "kl"), at_end(run, "gold") - ref_gold
        weights = f"{run.weight[0]:.2f}, {min(run.weight):.2f}, {run.weight[-1]:.2f}"
        cells = f"{max(run.kl):8.1f}, {kl:10.1f}   {abs(kl / target - 1):6.0%}   {weights:>30}"
        print(f"{run.seed:4}   {cells}   {gain:13.2f}")
