"""Pictures of lesson 07: what a proxy is worth at each divergence, and a run that went wrong."""

import math
from collections.abc import Mapping, Sequence

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..language_model.runs import Run
from ..problems.case_study import (
    NEAR,
    End,
    Pair,
    Points,
    at_end,
    clear_of_stopping,
    compared,
    fit_parabola,
    gains_between,
    keeps,
    near_peak,
    peak_of_parabola,
    points,
    seed_spread,
)
from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, AMBER, GREY = COLOURS
MARKERS = "os^vD<>P"
FEW = 5  # measurements in a range, below which their mean is not drawn
D_LABEL = "d = √KL(policy ‖ ref) (√nats)"
LOG_FORM, PARABOLA = "d (α − b log d)", "d (α − b d)"
GAIN_LABEL = "gold gained over ref (rating)"
LABELS = {
    "proxy": "proxy score (rating)",
    "gold": "gold score (rating)",
    "kl": "reported KL(policy ‖ ref) (nats)",
    "distinct_2": "distinct word pairs (share)",
}
BESIDE = {"xycoords": "data", "textcoords": "offset points"}


def plot_toy(
    d: Float[Tensor, " point"],
    proxy: Float[Tensor, " point"],
    gold: Mapping[float, Float[Tensor, " point"]],
) -> None:
    """What the proxy and the true goal say about the same policies, for several hidden costs."""
    figure, (axis,) = new_figure()
    axis.plot(d, proxy, color=GREY, linestyle=DASHES[1])
    axis.annotate("proxy", (d[-1], proxy[-1]), (-6, 0), ha="right", va="bottom", **BESIDE)
    peaks = []
    looks = zip(gold.items(), COLOURS, DASHES, MARKERS, strict=False)
    for (c, curve), colour, dash, marker in looks:
        best = int(curve.argmax())
        axis.plot(d, curve, color=colour, linestyle=dash, label=f"gold, c = {c:g}")
        axis.plot(d[best], curve[best], marker, color=colour)
        peaks.append(f"{curve[best]:.2f} at d = {d[best]:.2f} for c = {c:g}")
    lowest = min(curve[0].item() for curve in gold.values())
    axis.set(
        title="The proxy rises on and on; gold turns, the sooner the larger the hidden cost",
        xlabel=D_LABEL,
        ylabel="mean score",
        xlim=(0, d[-1].item()),
        ylim=(3 * lowest, 1.05 * proxy[-1].item()),
    )
    axis.legend(loc="upper left")
    end = f"{proxy[-1]:.2f} at d = {d[-1]:.2f}"
    show(
        figure,
        f"The proxy rises in a straight line to {end}. Gold is highest with {'; '.join(peaks)}.",
    )


def _betas(runs: Sequence[Run]) -> list[float]:
    return sorted({run.beta for run in runs})


def _shades(betas: Sequence[float]) -> dict[float, tuple[float, ...]]:
    """A colour for each weight, dark for small ones; lightness alone tells them apart."""
    places = [0.86 * i / max(len(betas) - 1, 1) for i in range(len(betas))]
    return {beta: plt.get_cmap("cividis")(p) for beta, p in zip(betas, places, strict=True)}


def _of(runs: Sequence[Run], beta: float) -> list[Run]:
    return [run for run in runs if run.beta == beta]


def plot_sweep(runs: Sequence[Run]) -> None:
    """Proxy, gold and divergence over the steps: the mean over the seeds for each weight."""
    figure, axes = new_figure(3, height=3.5)
    shades = _shades(_betas(runs))
    for axis, quantity in zip(axes, ("proxy", "gold", "kl"), strict=True):
        for i, (beta, shade) in enumerate(shades.items()):
            curves = torch.tensor([getattr(run, quantity) for run in _of(runs, beta)])
            look = {"color": shade, "linestyle": DASHES[i % len(DASHES)], "linewidth": 1.6}
            label = f"β = {beta:g}" if axis is axes[0] else ""
            axis.plot(_of(runs, beta)[0].step, curves.mean(0), label=label, **look)
        name = quantity.replace("kl", "KL")
        top = max(shades, key=lambda beta: _mean_end(runs, beta, quantity))
        axis.set(title=f"{name[0].upper()}{name[1:]} ends highest\nwith β = {top:g}", xlabel="step")
        axis.set_ylabel(LABELS[quantity].removeprefix("reported "), fontsize=9)
    axes[2].set(yscale="symlog")
    axes[2].set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    ends = "; ".join(
        f"β = {beta:g}: {_mean_end(runs, beta, 'proxy'):.2f}, {_mean_end(runs, beta, 'gold'):.2f}, "
        f"{_mean_end(runs, beta, 'kl'):.1f}"
        for beta in shades
    )
    show(figure, f"Proxy, gold and KL at the end, means over seeds: {ends}.")


def _mean_end(runs: Sequence[Run], beta: float, quantity: str) -> float:
    ends = [at_end(run, quantity) for run in _of(runs, beta)]
    return sum(ends) / len(ends)


def plot_fit(
    runs: Sequence[Run],
    ref_gold: float,
    own: Run,
    alpha: float,
    b: float,
    peak_kl: float | None,
) -> None:
    """Gain over d: every measurement, means in ranges of d, two fitted forms, and one's own run.

    alpha, b, peak_kl: of the form with log d; the parabola is fitted here.
    """
    figure, (axis,) = new_figure(height=4.2)
    measured = points(runs, ref_gold)
    _draw_points(axis, runs, ref_gold)
    mine = points([own], ref_gold)
    whose = "stand-in run" if own in runs else "own run"
    axis.plot(_root(mine), mine.gain, "+", color=RED, markersize=9, label=whose)
    d = torch.linspace(1e-3, _root(measured).max().item(), 300)
    level, bend = fit_parabola(measured)
    bent_kl = peak_of_parabola(measured)
    _draw_form(axis, LOG_FORM, d, d * (alpha - b * d.log()), "o-", peak_kl)
    _draw_form(axis, PARABOLA, d, d * (level - bend * d), "s--", bent_kl)
    _draw_means(axis, measured)
    bent = 0.0 if bent_kl is None else level**2 / (4 * bend)
    says = fit_says(
        measured, {LOG_FORM: (peak_kl, _log_peak(b, peak_kl)), PARABOLA: (bent_kl, bent)}
    )
    axis.axhline(0, color=GREY, linewidth=1)
    axis.set(title=says, xlabel=D_LABEL, ylabel=GAIN_LABEL)
    axis.set_ylim(bottom=measured.gain.min().item() - 0.2)  # a parabola goes far below
    figure.legend(
        *axis.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8
    )
    show(
        figure,
        f"Measured gains against d, the curves d · ({alpha:.2f} − {b:.2f} · log d) and "
        f"d · ({level:.2f} − {bend:.2f} · d), and the measurements' means in ranges of d. "
        f"{says.replace(chr(10), ' ')}.",
    )


def _draw_form(
    axis: Axes,
    name: str,
    d: Float[Tensor, " point"],
    curve: Float[Tensor, " point"],
    look: str,
    peak_kl: float | None,
) -> None:
    """A fitted curve, its line and mark its own, with the mark at its peak."""
    seen = peak_kl is not None and peak_kl <= d[-1] ** 2
    at = [int((d - math.sqrt(peak_kl)).abs().argmin())] if seen else []
    mark = {"markevery": at, "markersize": 9, "markeredgecolor": "white", "zorder": 4}
    axis.plot(d, curve, look, color="black", label=f"{name}, its peak", **mark)


def _log_peak(b: float, peak_kl: float | None) -> float:
    """The height of d · (alpha − b · log d) at its peak."""
    return 0.0 if peak_kl is None else b * math.sqrt(peak_kl)


def fit_says(measured: Points, peaks: Mapping[str, tuple[float | None, float]]) -> str:
    """A line for each form: what its fit says at its peak, and the measurements near it.

    peaks: where it is, in nats, and how high, by what stands in the form.
    """
    return "\n".join(f"{form}: {_peak_says(measured, *of)}" for form, of in peaks.items())


def _peak_says(measured: Points, peak_kl: float | None, height: float) -> str:
    if peak_kl is None:
        return "it has no peak"
    near = near_peak(measured, peak_kl)
    if not len(near):
        return "its peak lies where nothing was measured"
    return (
        f"at its peak, d = {math.sqrt(peak_kl):.1f}, it says {height:.2f}; "
        f"{len(near)} measured within {NEAR} of it say {near.mean():.2f}"
    )


def _draw_means(axis: Axes, measured: Points) -> None:
    """The measurements' own mean in each range of d, as far as it has some."""
    label = "mean of what was measured"
    for low in range(math.ceil(_root(measured).max())):
        part = gains_between(measured, low**2, (low + 1) ** 2)
        if len(part) >= FEW:
            axis.hlines(part.mean(), low, low + 1, color=RED, linewidth=3, label=label, zorder=3)
            label = ""


def _root(found: Points) -> Float[Tensor, " point"]:
    return found.kl.clamp(min=0).sqrt()


def _draw_points(axis: Axes, runs: Sequence[Run], ref_gold: float) -> None:
    for (beta, shade), marker in zip(_shades(_betas(runs)).items(), MARKERS, strict=False):
        found = points(_of(runs, beta), ref_gold)
        look = {"color": shade, "markersize": 4, "alpha": 0.7}
        axis.plot(_root(found), found.gain, marker, label=f"β = {beta:g}", **look)


def plot_budget(known: Mapping[float, Sequence[End]], budget: float, chosen: float | None) -> None:
    """Divergence at the end for each weight and seed, against a budget; and the weight chosen.

    known: where the runs ended, by weight, in the order of the seeds.
    """
    figure, (axis,) = new_figure()
    betas, ranges = sorted(known), []
    for place, beta in enumerate(betas):
        ends = [max(end.kl, 1e-2) for end in known[beta]]
        ranges.append(f"β = {beta:g}: {min(ends):.1f} to {max(ends):.1f}")
        for nats, end in zip(ends, known[beta], strict=True):
            marker, colour = ("o", NAVY) if keeps(end, budget) else ("x", RED)
            axis.semilogy(place, nats, marker, color=colour)
        if beta == chosen:
            axis.axvspan(place - 0.3, place + 0.3, color=AMBER, alpha=0.3)
            ranges[-1] += " (chosen)"
    for marker, colour, says in (("o", NAVY, "ended well"), ("x", RED, "did not")):
        axis.plot([], [], marker, color=colour, label=f"a seed's run {says}")
    axis.legend(fontsize=8, loc="lower left")
    axis.axhline(budget, color="black", linestyle=DASHES[1], linewidth=1.3)
    at = (len(betas) - 0.6, budget)
    axis.annotate(f"budget, {budget:g} nats", at, (0, 4), ha="right", **BESIDE)
    says = "The rule chooses no β" if chosen not in betas else f"The rule chooses β = {chosen:g}"
    axis.set_xticks(range(len(betas)), [f"{beta:g}" for beta in betas])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set(title=says, xlabel="β", xlim=(-0.5, len(betas) - 0.5))
    axis.set_ylabel("KL(policy ‖ ref) at the end (nats)")
    show(
        figure,
        f"A mark for each seed, a circle where it keeps to {budget:g} nats and has more gold than "
        f"ref and β = 0, else a cross. {says}. "
        f"KL at the end in nats: {'; '.join(ranges)}.",
    )


def plot_frontier(
    runs: Sequence[Run], slow: Sequence[Run], ref_gold: float, pairs: Sequence[Pair]
) -> None:
    """Runs without a penalty, stopped anywhere, against the ends of runs with one.

    slow: without a penalty too, at a smaller learning rate; pairs: with them.
    """
    figure, (axis,) = new_figure(height=4.4)
    free = {"β = 0, stopped anywhere": _of(runs, 0.0), "β = 0, a third of the rate": slow}
    looks = ((GREY, DASHES[1], "."), (RED, DASHES[0], "x"))
    for (label, each), (colour, dash, marker) in zip(free.items(), looks, strict=True):
        for run in each:
            found, name = points([run], ref_gold), label if run is each[0] else ""
            look = {"color": colour, "linestyle": dash, "linewidth": 1.0, "markersize": 4}
            axis.plot(_root(found), found.gain, marker=marker, label=name, **look)
    shades = _shades(_betas(runs))
    for (beta, shade), marker in list(zip(shades.items(), MARKERS, strict=False))[1:]:
        d = [math.sqrt(max(at_end(run, "kl"), 0.0)) for run in _of(runs, beta)]
        gain = [at_end(run, "gold") - ref_gold for run in _of(runs, beta)]
        axis.plot(d, gain, marker, color=shade, markersize=6, label=f"β = {beta:g}, end")
    says = frontier_says(pairs, seed_spread(runs))
    axis.set(title=says, xlabel=D_LABEL, ylabel=GAIN_LABEL)
    _look_at(axis, pairs)
    named = axis.get_legend_handles_labels()
    figure.legend(*named, loc="outside lower center", ncols=4, fontsize=8)
    show(
        figure,
        f"Gain against d: lines without a penalty, marks at the ends of penalised runs. {says}. "
        f"Mean gain of a run and of the slow one stopped at its KL: {_gains_say(pairs)}.",
    )


def _look_at(axis: Axes, pairs: Sequence[Pair]) -> None:
    """Only as far as there is something to compare: without a penalty, runs go far beyond."""
    if pairs:
        gains = [gain for pair in pairs for gain in (pair.gain, pair.stopped)]
        axis.set_xlim(0, 1.5 * math.sqrt(max(pair.kl for pair in pairs)))
        axis.set_ylim(min(0.0, *gains) - 0.3, max(gains) + 0.3)


def frontier_says(pairs: Sequence[Pair], spread: Mapping[float, float]) -> str:
    """In one sentence: which weights gained more gold than the slow runs at the same divergence?

    spread: between seeds, for each β.
    """
    if not pairs:
        return "No penalised run ends where the slow run has been"
    clear = zip(("more", "less"), clear_of_stopping(pairs, spread), strict=True)
    says = [f"{_gain(found)} clearly {name} than the slow run" for name, found in clear if found]
    if not compared(pairs):
        return "Too few runs end where the slow one has been: nothing can be said"
    if not says:
        return "At equal KL, no β differs clearly from the slow run"
    return f"At equal KL, {' and '.join(says)}, at every seed compared"


def _gains_say(pairs: Sequence[Pair]) -> str:
    """The means over the seeds, for each weight."""
    said = []
    for beta in sorted({pair.beta for pair in pairs}):
        own = torch.tensor([(pair.gain, pair.stopped) for pair in pairs if pair.beta == beta])
        gain, stopped = own.mean(0).tolist()
        said.append(f"β = {beta:g}: {gain:.2f} and {stopped:.2f}")
    return "; ".join(said) or "none to compare"


def _gain(betas: Sequence[float]) -> str:
    *most, last = (f"{beta:g}" for beta in betas)
    return f"β = {', '.join(most)} and {last} gain" if most else f"β = {last} gains"


def plot_case(run: Run, other: Run) -> None:
    """Four curves of a run that went wrong, beside a sound one. The titles do not say why."""
    figure, axes = _four()
    for axis, (quantity, label) in zip(axes, LABELS.items(), strict=True):
        sound = getattr(other, quantity)
        axis.plot(other.step, sound, color=GREY, linestyle=DASHES[1], label="a sound run")
        axis.plot(run.step, getattr(run, quantity), color=NAVY, marker=".", label="the case")
        axis.set(title=label, xlabel="step")
        axis.set_xticks(range(0, run.step[-1] + 1, 20))
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    show(figure, "The case, step by step: " + "; ".join(_series(run, name) for name in LABELS))


def _four() -> tuple[Figure, list[Axes]]:
    figure, axes = plt.subplots(2, 2, figsize=(8.0, 5.0), layout="constrained")
    return figure, list(axes.flat)


def _series(run: Run, quantity: str) -> str:
    """Every other measurement in words, for those who do not see the plot."""
    pairs = zip(run.step, getattr(run, quantity), strict=True)
    rows = [f"{value:.2f} at {step}" for step, value in pairs if step % 20 == 0]
    return f"{LABELS[quantity]} {', '.join(rows)}"
