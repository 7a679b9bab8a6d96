"""Figures of lesson 01."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from . import COLOURS, DASHES, new_figure, show


def plot_policies(policies: Mapping[str, Float[Tensor, "word word"]], words: Sequence[str]) -> None:
    """Each policy as a table of probabilities: the word before in rows, the next in columns."""
    figure, panels = new_figure(len(policies), height=2.9)
    for axes, (name, table) in zip(panels, policies.items(), strict=True):
        chance = table.softmax(-1)
        axes.imshow(chance.numpy(), cmap="Blues", vmin=0.0, vmax=1.0)
        for row, values in enumerate(chance.tolist()):
            for column, value in enumerate(values):
                shade = "white" if value > 0.5 else "black"
                axes.text(column, row, f"{value:.2f}", ha="center", va="center", color=shade)
        axes.set_xticks(range(len(words)), words)
        axes.set_yticks(range(len(words)), words)
        axes.grid(visible=False)
        axes.set(title=name, xlabel="next word")
    panels[0].set_ylabel("word before")
    show(figure, _describe_policies(policies, words))


def _describe_policies(policies: Mapping[str, Tensor], words: Sequence[str]) -> str:
    likeliest = {
        name: ", ".join(
            f'"{words[int(row.argmax())]}" after "{before}" ({float(row.max()):.2f})'
            for before, row in zip(words, table.softmax(-1), strict=True)
        )
        for name, table in policies.items()
    }
    return (
        "Likeliest next word: " + "; ".join(f"{n}: {said}" for n, said in likeliest.items()) + "."
    )


def plot_step_sizes(
    steps: Float[Tensor, " step"],
    promised: Float[Tensor, " step"],
    returned: Float[Tensor, " step"],
    before: float,
) -> None:
    """What the surrogate promises and what the policy gets, by the size of one update.

    before: the return of the old policy.
    """
    figure, (axes,) = new_figure(height=3.8)
    axes.plot(steps, promised, color=COLOURS[1], linestyle=DASHES[1], label="promised: old + J")
    axes.plot(steps, returned, color=COLOURS[0], label="true return")
    axes.axhline(before, color="black", linewidth=1, linestyle=DASHES[3], label="return of old")
    best = int(returned.argmax())
    step, gained = float(steps[best]), float(returned[best])
    axes.plot(step, gained, "o", color=COLOURS[0])
    said, look = f"best: {gained:.2f} at step {step:.1f}", {"textcoords": "offset points"}
    axes.annotate(said, (step, gained), xytext=(-8, -36), ha="right", **look)
    rise, fall = float(promised[-1]), float(returned[-1])
    axes.set(ylabel="mean score of a response (points)")
    axes.set_title(f"Promised: {_signed(rise)}. What the policy gets: {_signed(fall)}")
    _label_steps(axes)
    axes.legend(loc="lower left")
    show(
        figure,
        f"The true return rises from old's {before:.2f} to {gained:.2f} at a step of {step:.1f} "
        f"and falls to {_signed(fall)}, while the promise rises to {rise:.2f}.",
    )


def _signed(value: float, decimals: int = 1) -> str:
    return f"{value:.{decimals}f}".replace("-", "−")


def _label_steps(axes: Axes) -> None:
    axes.set(xscale="log", xlabel="step size (length in logits)")
    axes.set_xticks([0.1, 1, 10, 100], ["0.1", "1", "10", "100"])


def plot_seeds(
    steps: Float[Tensor, " step"],
    surrogates: Float[Tensor, "seed step"],
    returns: Float[Tensor, "seed step"],
    before: float,
) -> None:
    """What J gains and the true return, for each batch of data; before: the return of old."""
    figure, (left, right) = new_figure(2, height=3.6)
    for axes, curves, colour in ((left, surrogates, 1), (right, returns, 0)):
        axes.plot(steps, curves.T, color=COLOURS[colour], alpha=0.5, linewidth=1.2)
        _label_steps(axes)
    right.axhline(before, color="black", linewidth=1, linestyle=DASHES[3])
    where = (float(steps[0]), before)
    right.annotate("old", where, (0, -12), textcoords="offset points", fontsize=9)
    worse, count = int((returns[:, -1] < before).sum()), len(returns)
    left.set(title=f"J rises in all {count} batches", ylabel="J − J at old (points per response)")
    dip = _largest_dip(surrogates)
    if dip > 0:
        left.set_title(f"J rises, with dips of up to {dip:.1%} of its rise")
    right.set(title=f"{worse} of {count} end below old", ylabel="true return (points)")
    best = steps[returns.argmax(-1)]
    last = f"{_signed(float(returns[:, -1].min()))} and {_signed(float(returns[:, -1].max()))}"
    show(
        figure,
        f"{count} batches. J rises with the step, its largest dip being {dip:.1%} of the rise. The "
        f"true return is best at a step of {float(best.min()):.1f} to {float(best.max()):.1f}; at "
        f"{float(steps[-1]):g} it is between {last}, below old's in {worse} batches.",
    )


def _largest_dip(curves: Float[Tensor, "seed step"]) -> float:
    """The deepest fall of a curve below its highest so far, as a part of that curve's rise."""
    fall = (curves.cummax(dim=-1).values - curves).amax(-1)
    return float((fall / (curves.amax(-1) - curves[:, 0])).max())


def plot_penalties(
    steps: Float[Tensor, " step"],
    objectives: Mapping[float, Float[Tensor, " step"]],
    returned: Float[Tensor, " step"],
    before: float,
) -> None:
    """J − β·D for several β, and what the step that each of them prefers is worth.

    before: the return of the old policy.
    """
    figure, (left, right) = new_figure(2, height=3.8)
    right.plot(steps, returned, color=COLOURS[4], linewidth=1.5)
    right.axhline(before, color="black", linewidth=1, linestyle=DASHES[3], label="return of old")
    worth = {}
    for number, (beta, objective) in enumerate(objectives.items()):
        peak, colour = int(objective.argmax()), COLOURS[number]
        left.plot(steps, objective, color=colour, linestyle=DASHES[number], label=f"β = {beta:g}")
        marker = "osD^v"[number]
        left.plot(steps[peak], objective[peak], marker, color=colour, markersize=8)
        right.plot(
            steps[peak], returned[peak], marker, color=colour, markersize=9, label=f"β = {beta:g}"
        )
        worth[beta] = (float(steps[peak]), float(returned[peak]))
    top = max(float(objective.max()) for objective in objectives.values())
    left.set(ylabel="J − β·D (points)", ylim=(-1.0, top + 0.3))
    left.set_title("A penalty gives the objective a peak")
    right.set(ylabel="true return (points)")
    right.set_title("What the step at the peak is worth")
    for axes in (left, right):
        _label_steps(axes)
    left.legend(loc="upper left")
    right.legend(loc="lower left")
    said = "; ".join(
        f"β = {beta:g}: step {step:.1f}{_edge(step, steps)}, return {_signed(value, 2)}"
        for beta, (step, value) in worth.items()
    )
    show(figure, f"Where each objective peaks and the true return there: {said}.")


def _edge(step: float, steps: Float[Tensor, " step"]) -> str:
    """A word of caution where the highest value is the last one that was computed."""
    return " (no peak: the last step computed)" if step >= float(steps[-1]) else ""


def plot_same_step(
    gaps: Float[Tensor, " gap"],
    moved: Float[Tensor, " gap"],
    others: Mapping[str, float],
) -> None:
    """How far a step of length 1 moves a probability, from several starts and in several ways."""
    figure, (left, right) = new_figure(2, height=3.6)
    left.plot(gaps, moved, color=COLOURS[0])
    left.set(xlabel="logit before the step", ylabel="change of the probability")
    low, high = float(moved.min()), float(moved.max())
    left.set_title(f"First logit up: {low:.4f} to {high:.2f}")
    left.set_ylim(bottom=0.0)
    bars = right.barh(list(others), list(others.values()), color=COLOURS[2])
    right.bar_label(bars, fmt="{:.2f}", padding=3)
    right.set(xlabel="change of the probability", xlim=(0.0, 0.6))
    least, most = _signed(min(others.values()), 2), _signed(max(others.values()), 2)
    right.set_title(f"Length 1, from 1/2: {least} to {most}")
    right.invert_yaxis()
    right.grid(axis="y", visible=False)
    said = ", ".join(f"{name}: {value:.2f}" for name, value in others.items()).replace("\n", " ")
    show(
        figure,
        f"A step of length 1 changes the probability by {low:.4f} to {high:.2f}, depending on the "
        f"start; from 1/2, depending on the direction: {said}.",
    )
