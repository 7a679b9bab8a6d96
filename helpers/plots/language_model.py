"""Pictures of lesson 06: two judges, one token's reward and loss, and runs with their texts."""

import textwrap
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from itertools import zip_longest

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from ..language_model.runs import Run
from ..language_model.tuning import PROMPTS
from ..language_model.vocabulary import Vocabulary
from ..problems.case_study import at_end
from . import COLOURS, DASHES, in_notebook, new_figure, show, with_sliders

NAVY, RED, TEAL, AMBER, GREY = COLOURS
MARKERS = "os^v"
MEASURES = {  # name in a Run: title, unit
    "proxy": ("Proxy score", "rating"),
    "gold": ("Gold score", "rating"),
    "kl": ("KL(policy ‖ ref)", "nats"),
    "distinct_2": ("Distinct pairs", "share"),
    "length": ("Length", "tokens"),
}
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


def piece(vocabulary: Vocabulary, token: int) -> str:
    """The token as text; a hyphen in front where its letters continue a word."""
    before = vocabulary.encode("a")[-1]
    text = vocabulary.decode([before, token]).removeprefix("a")
    return f"-{text}" if text[:1].isalpha() else text.strip() or "(end)"


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


def plot_pair(runs: Sequence[Run]) -> None:
    """All five measures of a few runs over the steps."""
    figure, grid = plt.subplots(2, 3, figsize=(8.0, 4.8), layout="constrained")
    axes, said = list(grid.flat), []
    for axis, (name, (title, unit)) in zip(axes, MEASURES.items(), strict=False):
        looks = zip(runs, COLOURS, DASHES, MARKERS, strict=False)
        for run, colour, dash, marker in looks:
            look = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 3}
            axis.plot(run.step, getattr(run, name), label=f"β = {run.beta:g}", **look)
        last = [f"{getattr(run, name)[-1]:.2f}".replace("-", "−") for run in runs]
        axis.set(title=f"{title} ends\nat {' and '.join(last)}", ylabel=unit, xlabel="step")
        said.append(f"{title} {' and '.join(last)}")
    axes[-1].axis("off")
    axes[-1].legend(*axes[0].get_legend_handles_labels(), loc="center", fontsize=11)
    names = " and ".join(f"β = {run.beta:g}" for run in runs)
    show(figure, f"Where the runs with {names} end: {'; '.join(said)}.")


def plot_record(runs: Sequence[Run]) -> None:
    """A row for each measure, a column for each β; a thin line for each seed.

    The mean over the seeds with the smallest β stands in grey behind every other column.
    """
    betas = sorted({run.beta for run in runs})
    size = {"figsize": (8.0, 6.8), "sharex": True, "sharey": "row", "layout": "constrained"}
    figure, grid = plt.subplots(len(MEASURES), len(betas), squeeze=False, **size)
    for row, (name, (title, unit)) in zip(grid, MEASURES.items(), strict=True):
        for axis, beta in zip(row, betas, strict=True):
            _draw_seeds(axis, _of(runs, beta), _of(runs, betas[0]), name)
        row[0].set_ylabel(f"{title}\n({unit})".replace("(policy", "\n(policy"), fontsize=8)
    for axis, beta in zip(grid[0], betas, strict=True):
        axis.set_title(f"β = {beta:g}")
    for axis in grid[-1]:
        axis.set_xlabel("step", fontsize=8)
    for axis in grid[2]:  # KL
        axis.set_yscale("symlog", linthresh=1)
        axis.set_yticks([0, 1, 10, 100], ["0", "1", "10", "100"])
        axis.minorticks_off()
    figure.suptitle(record_says(runs), x=0.02, ha="left", weight="bold", fontsize=11)
    show(figure, f"{_spread_says(runs)} Grey: the mean of β = {betas[0]:g}.")


def _draw_seeds(axis: Axes, own: Sequence[Run], first: Sequence[Run], name: str) -> None:
    if own[0].beta != first[0].beta:
        mean = torch.tensor([getattr(run, name) for run in first]).mean(dim=0)
        axis.plot(first[0].step, mean, color=GREY, linewidth=1.2, linestyle=DASHES[1])
    for run, dash in zip(own, DASHES, strict=False):
        axis.plot(run.step, getattr(run, name), color=NAVY, linewidth=1.1, linestyle=dash)
    axis.tick_params(labelsize=8)


def record_says(runs: Sequence[Run]) -> str:
    """In one sentence: with which β proxy and gold end highest, by the mean over the seeds."""
    best = {name: ranked(runs, name)[0] for name in ("proxy", "gold")}
    if best["proxy"] == best["gold"]:
        return f"Proxy and gold both end highest with β = {best['gold']:g}"
    return f"Proxy ends highest with β = {best['proxy']:g}, gold with β = {best['gold']:g}"


def ranked(runs: Sequence[Run], name: str) -> list[float]:
    """The weights, from the highest mean at the end to the lowest."""
    means = {beta: sum(ends(runs, beta, name)) for beta in sorted({run.beta for run in runs})}
    return sorted(means, key=lambda beta: -means[beta])


def ends(runs: Sequence[Run], beta: float, name: str) -> list[float]:
    """One measure at the end of the run, the mean of the last three measurements, by seed."""
    return [at_end(run, name) for run in _of(runs, beta)]


def spread_text(values: Sequence[float], digits: int = 2) -> str:
    """Mean [least, greatest]."""
    mean, least, most = sum(values) / len(values), min(values), max(values)
    return f"{mean:.{digits}f} [{least:.{digits}f}, {most:.{digits}f}]"


def _spread_says(runs: Sequence[Run]) -> str:
    rows = []
    for beta in sorted({run.beta for run in runs}):
        gold, nats = (spread_text(ends(runs, beta, name)) for name in ("gold", "kl"))
        rows.append(f"β = {beta:g} gold {gold}, KL {nats}")
    return f"Mean [least, greatest] over the seeds at the end: {'; '.join(rows)}."


def _of(runs: Sequence[Run], beta: float) -> list[Run]:
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


def show_texts(runs: Sequence[Run], step: int) -> None:
    """What the runs wrote at one step, a column for each, and each one's commonest word."""
    columns, said = {}, []
    for run in runs:
        name = f"β = {run.beta:g}"
        columns[name] = run.texts[step]
        word, share = commonest_word(run.texts[step])
        said.append(f"{name} {word!r}, {share:.0%}")
    _display(Texts(f"Step {step}. Commonest word and its share: {'; '.join(said)}", columns))


def commonest_word(texts: Sequence[str]) -> tuple[str, float]:
    """The word that was written most often after the prompts, and its share of all such words."""
    written = [
        text.removeprefix(prompt) for text, prompt in zip_longest(texts, PROMPTS, fillvalue="")
    ]
    counts = Counter(word for text in written for word in text.split())
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
