"""Pictures of lesson 04: where the gradient of a penalty takes a policy."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

from ..problems.penalty_gradients import exact_kl
from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, AMBER, GREY = COLOURS
MARKERS = "os^Dv"
NOTE = {
    "textcoords": "offset points",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},  # legible on top of a line
}


def _looks(names: Mapping[str, Tensor]) -> list[dict[str, object]]:
    """One colour, dash and marker for each name, in order."""
    looks = zip(names, COLOURS, DASHES, MARKERS, strict=False)
    return [
        {"label": name, "color": colour, "linestyle": dash, "marker": marker}
        for name, colour, dash, marker in looks
    ]


def plot_push(
    probability: Float[Tensor, " point"], push: Mapping[str, Float[Tensor, " point"]], ref: float
) -> None:
    """Which way descent moves the logit of the first of two tokens, by the policy's probability."""
    figure, (axis,) = new_figure(height=3.8)
    for look, values in zip(_looks(push), push.values(), strict=True):
        axis.plot(probability.cpu(), values.cpu(), markevery=8, markersize=5, **look)
    axis.axhline(0, color="black", linewidth=1, zorder=1)
    axis.axvline(ref, color=GREY, linestyle=DASHES[3], zorder=1)
    bottom = min(values.min().item() for values in push.values())
    axis.annotate(f"ref {ref:g}", (ref, bottom), (4, 4), **NOTE)
    axis.set(
        title="Right of ref, below 0 pulls back and above 0 pushes away",
        xlabel="the policy's probability of the first token",
        ylabel="push on its logit (nats)",
        xlim=(0, 1),
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    at = int((probability - 0.7).abs().argmin())
    said = ", ".join(
        f"{name} {round(values[at].item(), 2) + 0.0:+.2f}" for name, values in push.items()
    )
    show(
        figure, f"With ref at {ref:g} and the policy at {probability[at]:.2f}, the push is: {said}."
    )


def plot_descents(
    paths: Mapping[str, Float[Tensor, "step action"]], ref: Float[Tensor, " action"]
) -> None:
    """Penalty-only training of three actions: the way over the simplex, and the divergence."""
    figure, (map_axis, axis) = new_figure(2, height=4.0)
    start = next(iter(paths.values()))[0]
    _draw_simplex(map_axis, start, ref)
    for look, path in zip(_looks(paths), paths.values(), strict=True):
        x, y = _place(path.cpu())
        map_axis.plot(x, y, markevery=[len(x) - 1], markersize=11, **look)
        drift = exact_kl(path, ref.expand_as(path)).cpu().clamp(min=1e-9)
        axis.semilogy(drift, markevery=15, markersize=5, **look)
    axis.set(xlabel="step", ylabel="KL(policy ‖ ref) (nats)")
    figure.legend(*axis.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    first, ends = exact_kl(start, ref), {name: exact_kl(p[-1], ref) for name, p in paths.items()}
    arrived = sum(bool(nats < first / 10) for nats in ends.values())
    map_axis.set_title(f"{arrived} of {len(paths)} runs arrive at ref")
    axis.set_title(f"{max(ends, key=lambda name: ends[name].item())}: it leaves")
    said = "; ".join(f"{name} {nats:.1e}" for name, nats in ends.items())
    show(figure, f"KL(policy ‖ ref) starts at {first:.4f} nats and ends at: {said}.")


def _place(logits: Float[Tensor, "*step action"]) -> tuple[Tensor, Tensor]:
    """Plane coordinates of a distribution over three actions."""
    _, second, third = logits.softmax(-1).unbind(-1)
    return second + third / 2, third * math.sqrt(3) / 2


def _draw_simplex(
    axis: Axes, start: Float[Tensor, " action"], ref: Float[Tensor, " action"]
) -> None:
    """A triangle whose corners are certainty of one action, with two policies marked in it."""
    top = math.sqrt(3) / 2
    axis.plot([0, 1, 0.5, 0], [0, 0, top, 0], color=GREY, linewidth=1)
    for number, x, y, above in ((1, 0, 0, -14), (2, 1, 0, -14), (3, 0.5, top, 5)):
        _note(axis, f"always token {number}", x, y, (0, above))
    for name, logits, marker, offset in (
        ("start", start, "o", (0, 9)),
        ("ref", ref, "*", (-4, -16)),
    ):
        x, y = _place(logits.cpu())
        axis.plot(x, y, marker, color="black", markersize=10 if name == "ref" else 5, zorder=4)
        _note(axis, name, x, y, offset)
    axis.set(aspect="equal", xlim=(-0.2, 1.2), ylim=(-0.12, top + 0.12))
    axis.axis("off")


def _note(axis: Axes, text: str, x: float, y: float, offset: tuple[float, float]) -> None:
    axis.annotate(text, (x, y), offset, ha="center", **NOTE)


def plot_runs(drift: Mapping[str, Float[Tensor, "seed step"]]) -> None:
    """KL(policy ‖ ref) of sampled penalty-only runs: a thin line per seed, a thick median."""
    figure, (axis,) = new_figure(height=3.8)
    for look, runs in zip(_looks(drift), drift.values(), strict=True):
        axis.plot(runs.T, color=look["color"], linewidth=0.6, alpha=0.5)
        axis.plot(runs.median(dim=0).values, markevery=25, linewidth=2.5, **look)
    name, runs = next(iter(drift.items()))
    axis.set(
        title=f"Begun {runs[:, 0].max():.3f} nats from ref, runs with {name} end up to "
        f"{runs[:, -1].max():.2f} away",
        xlabel="step",
        ylabel="KL(policy ‖ ref) (nats)",
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="median of the runs")
    ends = "; ".join(
        f"{name} median {runs[:, -1].median():.3f}, from {runs[:, -1].min():.3f} to "
        f"{runs[:, -1].max():.3f}"
        for name, runs in drift.items()
    )
    show(figure, f"KL(policy ‖ ref) in nats after the last step, over {len(runs)} runs: {ends}.")


def plot_reuse(
    steps: Sequence[Tensor], errors: Mapping[str, Sequence[Tensor]], problems: int
) -> None:
    """Error of each expected gradient as the policy leaves the policy that drew the tokens.

    steps, errors: a number for each point on the way, one problem after the other.
    """
    figure, (axis,) = new_figure(height=3.8)
    distance = torch.stack([*steps]).reshape(problems, -1).median(dim=0).values
    found = {name: torch.stack([*error]).reshape(problems, -1) for name, error in errors.items()}
    top = 2.5
    for look, error in zip(_looks(found), found.values(), strict=True):
        middle = error.median(dim=0).values
        axis.semilogx(distance, middle, markevery=2, markersize=5, **look)
        if middle.max() > top:
            _note_exit(axis, distance, middle, top, str(look["color"]))
    axis.set(
        title="Exact stays exact, however old the tokens are",
        xlabel="size of the step so far, KL(policy ‖ old) (nats)",
        ylabel="error of the expected gradient,\nrelative to ∇KL(policy ‖ ref)",
        ylim=(-0.05, top),
    )
    axis.legend(
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
        title=f"medians of {problems} problems,\non tokens of old",
    )
    said = "; ".join(f"{name} {_middle_of(error[:, -1])}" for name, error in found.items())
    show(
        figure,
        f"Lines are medians of {problems} problems. At a step of {distance[-1]:.2f} nats, median "
        f"and middle half of the relative errors: {said}.",
    )


def _note_exit(
    axis: Axes,
    distance: Float[Tensor, " point"],
    values: Float[Tensor, " point"],
    top: float,
    colour: str,
) -> None:
    """Say how far a line goes on above the axis, where it leaves."""
    place = (float(distance[int((values > top).nonzero()[0])]), top)
    axis.annotate(f"↑ up to {values.max():.1f}", place, (-6, -14), ha="right", color=colour, **NOTE)


def _middle_of(values: Float[Tensor, " problem"]) -> str:
    low, middle, high = (values.quantile(q).item() for q in (0.25, 0.5, 0.75))
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def plot_length(
    lengths: Sequence[int],
    errors: Mapping[str, Float[Tensor, "problem length"]],
    spreads: Mapping[str, Float[Tensor, "problem length"]],
) -> None:
    """Bias and spread of each loss of a response; a mark per problem, and medians."""
    figure, (left, right) = new_figure(2, height=4.2)
    for axis, found in ((left, errors), (right, spreads)):
        _draw_lengths(axis, lengths, found)
        axis.set(xlabel="tokens in a response", xticks=list(lengths))
    worst = max(error[:, -1].median() for error in errors.values())
    left.set(
        title=f"Bias: one is off by {worst:.0%}",
        ylabel="error of the mean gradient,\nrelative to ∇KL of whole responses",
    )
    right.set(
        title="Noise of a single response",
        ylabel="spread of one response's gradient\n(nats)",
    )
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    said = "; ".join(f"{name} {_ends_of(error)}" for name, error in errors.items())
    noise = "; ".join(f"{name} {_ends_of(spread)}" for name, spread in spreads.items())
    problems = len(next(iter(errors.values())))
    show(
        figure,
        f"Medians of {problems} problems, from {lengths[0]} to {lengths[-1]} tokens. Relative "
        f"error: {said}. Spread: {noise}.",
    )


def _draw_lengths(
    axis: Axes, lengths: Sequence[int], found: Mapping[str, Float[Tensor, "problem length"]]
) -> None:
    for shift, look, values in zip((-0.15, 0.0, 0.15), _looks(found), found.values(), strict=True):
        shown = values.cpu()
        places = torch.tensor(lengths) + shift
        spots = places.expand_as(shown).flatten()
        marks = {"color": look["color"], "marker": look["marker"], "linestyle": ""}
        axis.plot(spots, shown.flatten(), markersize=3, alpha=0.35, **marks)
        axis.plot(places, shown.median(dim=0).values, markersize=6, **look)


def _ends_of(values: Float[Tensor, "problem length"]) -> str:
    first, *_, last = values.median(dim=0).values.tolist()
    return f"{round(first, 2) + 0.0:.2f} to {round(last, 2) + 0.0:.2f}"


def plot_beta(betas: Sequence[float], drift: Mapping[str, Float[Tensor, "seed beta"]]) -> None:
    """KL(policy ‖ ref) after the same training at each weight β; a thin line per seed."""
    figure, (axis,) = new_figure(height=3.8)
    places = range(len(betas))
    for look, runs in zip(_looks(drift), drift.values(), strict=True):
        axis.plot(places, runs.T, color=look["color"], linewidth=0.7, alpha=0.5)
        axis.plot(places, runs.median(dim=0).values, markersize=7, linewidth=2.5, **look)
    axis.set(
        title="A penalty that works lowers the line as β grows",
        xlabel="weight β of the penalty",
        ylabel="KL(policy ‖ ref) after training (nats)",
        ylim=(0, None),
    )
    axis.set_xticks(list(places), [f"{beta:g}" for beta in betas])
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="median")
    said = "; ".join(
        f"{name} from {runs[:, 0].median():.3f} to {runs[:, -1].median():.3f}"
        for name, runs in drift.items()
    )
    show(figure, f"Median KL in nats from β = {betas[0]:g} to β = {betas[-1]:g}: {said}.")
