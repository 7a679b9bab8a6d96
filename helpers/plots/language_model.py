"""Pictures of lesson 06: two judges, one token's reward and loss, and runs with their texts."""

import math
import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest
from typing import Any

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from ..language_model.runs import Run
from ..language_model.tuning import PROMPTS
from ..language_model.vocabulary import pieces
from ..problems.case_study import at_end
from . import COLOURS, DASHES, in_notebook, new_figure, show, with_sliders

NAVY, RED, TEAL, AMBER, GREY = COLOURS
MARKERS = "os^vD"
MEASURES = {  # name in a Run: title, unit
    "proxy": ("Proxy", "rating"),
    "gold": ("Gold", "rating"),
    "kl": ("KL(policy ‖ ref)", "nats a response"),
    "distinct_2": ("Distinct pairs", "share"),
    "entropy": ("Entropy", "nats a token"),
    "forgotten": ("Forgetting", "perplexity, 1 at first"),
    "length": ("Length", "tokens"),
    "weight": ("Weight of the penalty", "β"),
    "praise": ("Praise", "−1 to 1"),
    "nats_a_word": ("Surprise", "nats a word"),
}
CURVES = ("proxy", "gold", "kl", "distinct_2", "entropy", "forgotten")
IN_DECADES = ("kl", "forgotten")  # measures that collapse by powers of ten
PLAIN_WIDTH = 96  # characters of a line where no HTML is shown


def plot_judges(
    human: Float[Tensor, " sentence"], judges: Mapping[str, Float[Tensor, " sentence"]]
) -> None:
    """Each judge's score against the mean of the human ratings, a dot for each sentence."""
    figure, axes = new_figure(len(judges), height=3.8)
    found = {}
    for axis, (name, score) in zip(axes, judges.items(), strict=True):
        found[name] = correlation(human, score)
        axis.plot(human, score, ".", color=NAVY, markersize=4, alpha=0.35)
        axis.axline((0, 0), slope=1, color=RED, linestyle=DASHES[1], linewidth=1.2)
        axis.set(
            title=f"{name}: correlation {found[name]:.2f}",
            xlabel="mean of the human ratings",
            ylabel=f"score by {name.lower()}",
            xlim=(-4, 4),
            ylim=(-4, 4),
        )
    said = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
    show(
        figure,
        f"A dot for each of {len(human)} sentences; on the dashed line, score and rating agree. "
        f"Correlation: {said}.",
    )


def correlation(one: Float[Tensor, " point"], other: Float[Tensor, " point"]) -> float:
    """Pearson's, between −1 and 1."""
    return torch.corrcoef(torch.stack([one, other]))[0, 1].item()


def plot_rewards(words: Sequence[str], rewards: Float[Tensor, " time"], score: float) -> None:
    """The reward of each token of one response; the last one has the score in it."""
    figure, (axis,) = new_figure(height=3.2)
    paid, places = rewards.tolist(), range(len(words))
    charges = [*paid[:-1], paid[-1] - score]
    looks = [(TEAL, "//") if charge > 0 else (NAVY, "") for charge in charges]
    colours, hatches = zip(*looks, strict=True)
    axis.bar(places, charges, color=colours, hatch=hatches, edgecolor="white")
    axis.bar(len(words) - 1, paid[-1], width=0.35, color=AMBER, edgecolor="black")
    axis.annotate("with the score", (len(words) - 1, paid[-1]), (-12, 0), ha="right", **OFFSET)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_xticks(places, words, rotation=60, ha="right")
    rarer = sum(charge > 0 for charge in charges)
    title = f"Tokens that are rarer than under ref, and are paid for it: {rarer} of {len(words)}"
    axis.set(title=title, ylabel="reward (rating)")
    each = ", ".join(f"{word} {reward:+.2f}" for word, reward in zip(words, paid, strict=True))
    show(figure, f"Reward of each token: {each.replace('-', '−')}.")


OFFSET = {"xycoords": "data", "textcoords": "offset points", "va": "center"}


def plot_token_loss(
    step: Float[Tensor, " point"],
    losses: Mapping[str, Mapping[float, Float[Tensor, " point"]]],
    epsilon: float,
) -> None:
    """The loss of one token of advantage 1 as the policy leaves old, for several weights.

    losses: a panel for each name, in it a curve for each β.
    """
    figure, axes = new_figure(len(losses), height=3.6)
    lowest = []
    for axis, (name, curves) in zip(axes, losses.items(), strict=True):
        looks = zip(curves.items(), COLOURS, DASHES, strict=False)
        for (beta, loss), colour, dash in looks:
            change = loss.detach().cpu() - loss[step.abs().argmin()].item()
            axis.plot(step, change, color=colour, linestyle=dash, label=f"β = {beta:g}")
            at = f"{step[change.argmin()].item():+.2f}".replace("-", "−")
            lowest.append(f"{at} for {name}, β = {beta:g}")
        axis.axvspan(
            *torch.tensor([1 - epsilon, 1 + epsilon]).log().tolist(), color=GREY, alpha=0.18
        )
        axis.plot(0, 0, "o", color="black", zorder=5)
        title = f"{name}:\n{_slopes_say(step, list(curves.values()))}"
        axis.set(title=title, xlabel="log policy − log old (nats)", ylabel="loss − loss at old")
    axes[0].legend(fontsize=8)
    show(figure, f"Where each loss is lowest, in nats from old: {'; '.join(lowest)}.")


def _slopes_say(step: Tensor, curves: Sequence[Tensor]) -> str:
    """Whether the curves leave old, in the middle of `step`, with the same slope."""
    at = int(step.abs().argmin())
    slopes = torch.stack([loss[at + 1] - loss[at - 1] for loss in curves])
    slopes = slopes.detach().cpu() / (step[at + 1] - step[at - 1])
    same = torch.allclose(slopes, slopes[:1], rtol=0, atol=1e-2)
    return "every β has the same slope at old" if same else "β decides the slope at old"


def plot_groups(
    groups: Mapping[str, Sequence[Any]], names: Sequence[str] = CURVES, along: str = "step"
) -> None:
    """Measures over the steps: each group's mean, and from least to greatest of its runs.

    groups: runs, of any kind that has these measures, by the name of what they share.
    along: what a step of these runs is called. Titles say which ends highest, by the mean of the
    last measurements, as tables do.
    """
    rows = math.ceil(len(names) / 3)
    columns = math.ceil(len(names) / rows)
    size = {"figsize": (8.0, 0.5 + 2.3 * rows), "layout": "constrained", "squeeze": False}
    figure, grid = plt.subplots(rows, columns, **size)
    axes, said = list(grid.flat), []
    for axis, name in zip(axes, names, strict=False):
        looks = zip(groups.items(), COLOURS, DASHES, MARKERS, strict=False)
        for (label, runs), colour, dash, marker in looks:
            each = torch.tensor([getattr(run, name) for run in runs])
            look = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 2.5}
            axis.plot(runs[0].step, each.mean(dim=0), label=label, linewidth=1.5, **look)
            span = (each.amin(dim=0), each.amax(dim=0))
            axis.fill_between(runs[0].step, *span, color=colour, alpha=0.15, linewidth=0)
        title, unit = MEASURES[name]
        last = {label: _mean([at_end(run, name) for run in runs]) for label, runs in groups.items()}
        axis.set_title(f"{title}:\n{_highest(last)}", fontsize=9)
        axis.set_ylabel(unit, fontsize=8)
        axis.set_xlabel(along, fontsize=8)
        axis.tick_params(labelsize=8)
        _scale(axis, name)
        ends = ", ".join(f"{value:.2f} with {label}" for label, value in last.items())
        said.append(f"{title} {ends}".replace("-", "−"))
    for axis in axes[len(names) :]:
        axis.axis("off")
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=len(groups), fontsize=9)
    show(figure, f"Where the means end, over the last three measured. {'; '.join(said)}.")


def _highest(last: Mapping[str, float]) -> str:
    """Where a measure ends highest, or at what where there is but one."""
    if len(last) == 1:
        return f"ends at {next(iter(last.values())):.2f}".replace("-", "−")
    first, *others = sorted(last.values(), reverse=True)
    if others and math.isclose(first, others[0], rel_tol=1e-2, abs_tol=1e-2):
        return "no one ends highest"
    return f"ends highest with {max(last, key=last.get)}"


def _scale(axis: Axes, name: str) -> None:
    """In powers of ten where the measure has gone through more than one."""
    top = axis.get_ylim()[1]
    if name not in IN_DECADES or top < 20:
        return
    least = 0 if name == "kl" else 1
    axis.set_yscale("symlog", linthresh=1 if name == "kl" else 2)
    axis.set_yticks([least, *(10**n for n in range(least, 5) if 10**n <= top)])
    axis.yaxis.set_major_formatter("{x:g}")
    axis.minorticks_off()
    axis.set_ylim(least - 0.15, 1.3 * top)  # room for what lies at the top, in decades


def plot_ends(runs: Sequence[Run], names: Sequence[str] = CURVES) -> None:
    """What the runs come to at each weight: a dot for each seed, a line through the means."""
    betas = sorted({run.beta for run in runs})
    rows = math.ceil(len(names) / 3)
    size = {"figsize": (8.0, 2.4 * rows), "layout": "constrained", "squeeze": False}
    figure, grid = plt.subplots(rows, 3, sharex=True, **size)
    for axis, name in zip(grid.flat, names, strict=True):
        each = [ends(runs, beta, name) for beta in betas]
        places = range(len(betas))
        axis.plot(places, [*map(_mean, each)], color=NAVY, linewidth=1.5)
        for place, dots in zip(places, each, strict=True):
            axis.plot([place] * len(dots), dots, "o", color=NAVY, markersize=3, alpha=0.5)
        before = sum(getattr(run, name)[0] for run in runs) / len(runs)
        axis.axhline(before, color=RED, linestyle=DASHES[1], linewidth=1.2)
        title, unit = MEASURES[name]
        axis.set_title(f"{title}:\nhighest at β = {ranked(runs, name)[0]:g}", fontsize=9)
        axis.set_ylabel(unit, fontsize=8)
        axis.set_xticks(places, [f"{beta:g}" for beta in betas])
        axis.tick_params(labelsize=8)
        _scale(axis, name)
    for axis in grid[-1]:
        axis.set_xlabel("β", fontsize=9)
    show(figure, f"{_spread_says(runs, names)} Dashed: ref, before training.")


def plot_frontier(sweep: Sequence[Run], others: Mapping[str, Sequence[Run]]) -> None:
    """Gold against KL where the runs end: the sweep's means, a line; the others, crosses.

    A cross spans its runs, from the least to the greatest of both.
    """
    figure, (axis,) = new_figure(height=4.4)
    betas = sorted({run.beta for run in sweep}, reverse=True)
    kl, gold = ([_mean(ends(sweep, beta, name)) for beta in betas] for name in ("kl", "gold"))
    axis.plot(kl, gold, "-o", color=GREY, markersize=4, label="the penalty in the loss, by β")
    for beta, x, y in zip(betas, kl, gold, strict=True):
        axis.annotate(f"{beta:g}", (x, y), (0, 7), ha="center", fontsize=8, **OFFSET)
    said = []
    for (name, runs), colour, marker in zip(others.items(), COLOURS * 2, MARKERS, strict=False):
        x, y = ([at_end(run, measure) for run in runs] for measure in ("kl", "gold"))
        spans = {
            f"{way}err": [[_mean(each) - min(each)], [max(each) - _mean(each)]]
            for way, each in (("x", x), ("y", y))
        }
        look = {"color": colour, "marker": marker, "markersize": 6, "linewidth": 1.2}
        axis.errorbar(_mean(x), _mean(y), label=name, linestyle="none", **look, **spans)
        said.append(f"{name} KL {spread_text(x, 1)}, gold {spread_text(y)}")
    # In √KL, in which a lesson joins the sweep's ends by straight lines.
    axis.set_xscale("function", functions=(_root, lambda d: d * abs(d)))
    axis.set_xticks([nats for nats in (0, 0.5, 2, 5, 10, 20, 30, 45, 60) if nats < 1.2 * max(kl)])
    axis.xaxis.set_major_formatter("{x:g}")
    axis.set(xlabel="KL(policy ‖ ref), nats a response", ylabel="gold (rating)")
    axis.set_title(f"Gold ends highest with {_highest_gold(sweep, others)}")
    figure.legend(loc="outside lower center", ncols=3, fontsize=8)
    show(figure, f"Mean [least, greatest] over the seeds at the end: {'; '.join(said)}.")


def _root(nats: Any) -> Any:
    return abs(nats) ** 0.5 * ((nats > 0) * 2 - 1)


def _highest_gold(sweep: Sequence[Run], others: Mapping[str, Sequence[Run]]) -> str:
    means = {f"β = {beta:g}": _mean(ends(sweep, beta, "gold")) for beta in {r.beta for r in sweep}}
    means |= {name: _mean([at_end(run, "gold") for run in runs]) for name, runs in others.items()}
    return max(means, key=means.get)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def by_beta(runs: Sequence[Any], betas: Sequence[float] | None = None) -> dict[str, list[Any]]:
    """The runs of each weight, of all weights if none are named, under "β = …"."""
    chosen = sorted({run.beta for run in runs}) if betas is None else betas
    return {f"β = {beta:g}": _of(runs, beta) for beta in chosen}


def ranked(runs: Sequence[Run], name: str) -> list[float]:
    """The weights, from the highest mean at the end to the lowest."""
    means = {beta: _mean(ends(runs, beta, name)) for beta in sorted({run.beta for run in runs})}
    return sorted(means, key=lambda beta: -means[beta])


def ends(runs: Sequence[Run], beta: float, name: str) -> list[float]:
    """One measure at the end of the run, the mean of the last three measurements, by seed."""
    return [at_end(run, name) for run in _of(runs, beta)]


def spread_text(values: Sequence[float], digits: int = 2) -> str:
    """Mean [least, greatest]."""
    mean, least, most = sum(values) / len(values), min(values), max(values)
    return f"{mean:.{digits}f} [{least:.{digits}f}, {most:.{digits}f}]"


def _spread_says(runs: Sequence[Run], names: Sequence[str]) -> str:
    rows = []
    for beta in sorted({run.beta for run in runs}):
        said = (f"{MEASURES[name][0]} {spread_text(ends(runs, beta, name))}" for name in names)
        rows.append(f"β = {beta:g} {', '.join(said)}")
    return f"Mean [least, greatest] over the seeds at the end: {'; '.join(rows)}."


def _of(runs: Sequence[Any], beta: float) -> list[Any]:
    return [run for run in runs if run.beta == beta]


class Texts:
    """Texts side by side, a column for each name: a table in a notebook, plain text elsewhere."""

    def __init__(self, caption: str, columns: Mapping[str, Sequence[str]]) -> None:
        self.caption, self.columns = caption, columns

    def __repr__(self) -> str:
        width = PLAIN_WIDTH // len(self.columns) - 2
        rows = [list(self.columns), *zip_longest(*self.columns.values(), fillvalue="")]
        lines = [self.caption]
        for row in rows:
            wrapped = [textwrap.wrap(text, width) for text in row]
            lines += [
                "  ".join(f"{part:{width}}" for part in line).rstrip() for line in _zip(wrapped)
            ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        style = "text-align:left;vertical-align:top;white-space:normal"
        head = "".join(f"<th scope='col' style='{style}'>{escape(n)}</th>" for n in self.columns)
        rows = zip_longest(*self.columns.values(), fillvalue="")
        body = "".join(
            "<tr>" + "".join(f"<td style='{style}'>{escape(text)}</td>" for text in row) + "</tr>"
            for row in rows
        )
        caption = f"<caption style='text-align:left'><b>{escape(self.caption)}</b></caption>"
        return (
            f"<table style='width:100%;table-layout:fixed'>{caption}<tr>{head}</tr>{body}</table>"
        )


def _zip(wrapped: Sequence[Sequence[str]]) -> list[tuple[str, ...]]:
    return list(zip_longest(*wrapped, fillvalue=""))


def show_texts(runs: Sequence[Any], step: int) -> None:
    """What the runs wrote at one step, a column for each."""
    columns = {f"β = {run.beta:g}": run.texts[step] for run in runs}
    _display(Texts(f"Step {step}", columns))


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Two texts side by side in each row, each with the row's number."""
    columns = {
        name: [f"{i}. {pair[side]}" for i, pair in enumerate(pairs, start=1)]
        for side, name in enumerate("AB")
    }
    _display(Texts(f"{len(pairs)} pairs of texts", columns))


def commonest_word(texts: Sequence[str]) -> tuple[str, float]:
    """The word that was written most often after the prompts, and its share of all such words."""
    written = [
        text.removeprefix(prompt) for text, prompt in zip_longest(texts, PROMPTS, fillvalue="")
    ]
    counts = Counter(word for text in written for word in pieces(text) if word[0].isalnum())
    (word, times), *_ = counts.most_common(1) or [("", 0)]
    return word, times / max(counts.total(), 1)


def shared_steps(runs: Sequence[Run]) -> list[int]:
    """The steps at which all of these runs have texts."""
    return sorted(set.intersection(*(set(run.texts) for run in runs)))


def browse_texts(runs: Sequence[Run], betas: Sequence[float]) -> None:
    """Texts of recorded runs side by side at the last step; sliders for step and seed."""
    seeds = sorted({run.seed for run in runs})

    def draw(step: int, seed: int) -> None:
        show_texts([run for beta in betas for run in _of(runs, beta) if run.seed == seed], step)

    steps = shared_steps([run for run in runs if run.beta in betas])
    draw(steps[-1], seeds[0])
    middle = steps[len(steps) // 2]
    with_sliders(
        draw,
        lambda widgets: {
            "step": widgets.SelectionSlider(options=steps, value=middle, description="step"),
            "seed": widgets.SelectionSlider(options=seeds, value=seeds[0], description="seed"),
        },
        "step and seed",
    )


def _display(table: Texts) -> None:
    if in_notebook():
        from IPython.display import display

        display(table)
    else:
        print(table)
