"""Pictures of lesson 02: divergences, prices of responses, and estimators of a KL."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from ..problems.divergence import estimator_closed_forms
from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, _, GREY = COLOURS
LINES = [{"color": c, "linestyle": d} for c, d in zip(COLOURS, DASHES, strict=True)]
MARKERS = "os^v"
ESTIMATORS = ("k1", "k2", "k3")  # each has one colour, dash and marker in every figure
NOTE = {
    "textcoords": "offset points",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},  # legible on top of a line
}


def plot_two_directions(ref: float = 0.2) -> None:
    """KL in both directions for one choice of two outcomes, as the policy's probability moves."""
    policy = torch.linspace(1e-3, 1 - 1e-3, 999, dtype=torch.float64)
    moving, fixed = Bernoulli(policy), Bernoulli(torch.tensor(ref, dtype=torch.float64))
    towards, back = kl_divergence(moving, fixed), kl_divergence(fixed, moving)
    figure, (axis,) = new_figure()
    axis.plot(policy, towards, label="KL(policy ‖ ref)", **LINES[0])
    axis.plot(policy, back, label="KL(ref ‖ policy)", **LINES[1])
    axis.plot(ref, 0, "o", color="black", markersize=7, clip_on=False, zorder=3)
    axis.annotate(f"ref: {ref:g}", (ref, 0), (0, 12), ha="center", **NOTE)
    axis.set(title="Near ref the two directions agree; at the edges they part")
    axis.set(xlabel="the policy's probability of the first outcome", ylabel="divergence (nats)")
    axis.set(xlim=(0, 1), ylim=(0, 2.5))
    axis.legend()
    at = int((policy - 0.9).abs().argmin())
    show(
        figure,
        f"Both curves touch 0 at {ref:g} and rise on either side; at 0.9, KL(policy ‖ ref) is "
        f"{towards[at]:.2f} nats and KL(ref ‖ policy) is {back[at]:.2f} nats.",
    )


def plot_fits(
    ref_logits: Float[Tensor, " place"],
    closest: Float[Tensor, " place"],
    covering: Float[Tensor, " place"],
) -> None:
    """The single hump of least KL(policy ‖ ref), and the one of least KL(ref ‖ policy)."""
    ref, one, other = (logits.cpu().softmax(-1) for logits in (ref_logits, closest, covering))
    figure, (axis,) = new_figure()
    axis.fill_between(range(len(ref)), ref, color=GREY, alpha=0.35, linewidth=0, label="ref")
    axis.plot(one, label="least KL(policy ‖ ref)", **LINES[0])
    axis.plot(other, label="least KL(ref ‖ policy)", **LINES[1])
    axis.set(title="KL(policy ‖ ref) settles on one hump; KL(ref ‖ policy) covers both")
    axis.set(xlabel="outcome", ylabel="probability", xlim=(0, len(ref) - 1), ylim=(0, None))
    axis.legend()
    at = int(other.argmax())
    show(
        figure,
        f"The first policy peaks at outcome {int(one.argmax())}, in the taller hump; the second "
        f"peaks at {at}, between the humps: {other[at]:.3f} where ref has {ref[at]:.3f}.",
    )


def plot_prices(
    prices: Float[Tensor, " response"],
    probability: Float[Tensor, " response"],
    responses: list[str],
) -> None:
    """What each response costs, against how often the policy writes it."""
    prices, probability = prices.cpu(), probability.cpu()
    mean, below, top = (prices * probability).sum(), prices < 0, probability.max()
    figure, (axis,) = new_figure(height=3.8)
    _stems(axis, prices[~below], probability[~below], NAVY, "o")
    _stems(axis, prices[below], probability[below], RED, "v")
    for i in probability.topk(4).indices.tolist():
        side = "right" if prices[i] > 0.8 * prices.max() else "center"
        axis.annotate(f"“{responses[i]}”", (prices[i], probability[i]), (0, 7), ha=side, **NOTE)
    axis.axvline(0, color="black", linewidth=1, zorder=1)
    axis.axvline(mean, color=GREY, linestyle=DASHES[1], zorder=1)
    axis.annotate(f"mean {mean:.2f}", (mean, top * 1.25), (5, 0), **NOTE)
    negative = f"{int(below.sum())} of {len(prices)} prices are negative"
    axis.set(title=f"{negative}; the mean is {mean:+.2f} nats", ylim=(0, top * 1.35))
    axis.set(xlabel="price of the response, log policy − log ref (nats)")
    axis.set(ylabel="probability under the policy")
    share = f"they hold {probability[below].sum():.0%} of the probability"
    places = len(set(prices.round(decimals=6).tolist()))
    show(
        figure,
        f"{negative}, {share}; the greatest price is {prices.max():.2f} nats. The stems stand at "
        f"{places} prices: responses that cost the same overlap.",
    )


def _stems(axis: Axes, places: Tensor, heights: Tensor, colour: str, marker: str) -> None:
    axis.vlines(places, 0, heights, color=colour, linewidth=1.5)
    axis.plot(places, heights, marker, color=colour)


def plot_tangent() -> None:
    """The logarithm lies under its tangent at 1; the gap between them is never negative."""
    ratio = torch.linspace(0.05, 3, 400, dtype=torch.float64)
    line, curve = ratio - 1, ratio.log()
    figure, (axis,) = new_figure()
    axis.fill_between(ratio, curve, line, color=TEAL, alpha=0.3, linewidth=0, label="the gap: k3")
    axis.plot(ratio, line, label="ratio − 1", **LINES[0])
    axis.plot(ratio, curve, label="log ratio", **LINES[1])
    axis.plot(1, 0, "o", color="black", markersize=6)
    axis.set(title="The logarithm never rises above its tangent at 1", xlim=(0, 3))
    axis.set(xlabel="ratio of one token, ref/policy", ylabel="nats")
    axis.legend()
    show(
        figure,
        "The line and the curve touch at ratio 1 alone; elsewhere the line is above: at "
        f"{ratio[0]:g} they are {line[0]:.2f} and {curve[0]:.2f} nats, at {ratio[-1]:g} "
        f"{line[-1]:.2f} and {curve[-1]:.2f}.",
    )


def plot_estimators(
    log_ratio: Float[Tensor, " point"], values: Mapping[str, Float[Tensor, " point"]]
) -> None:
    """Each estimator's answer for one token, as a function of log policy − log ref."""
    left, right = log_ratio.min().item(), log_ratio.max().item()
    figure, (axis,) = new_figure()
    axis.axhline(0, color="black", linewidth=1)
    for name, nats in values.items():
        axis.plot(log_ratio.cpu(), nats.cpu(), label=name, **LINES[ESTIMATORS.index(name)])
    axis.set(title="All three are 0 at 0; k2 and k3 share their curvature there")
    axis.set(xlabel="log policy − log ref of the token (nats)", xlim=(left, right))
    axis.set(ylabel="estimate from this token (nats)")
    axis.legend()
    ends = ", ".join(f"{name} {nats[0]:.2f} and {nats[-1]:.2f}" for name, nats in values.items())
    show(figure, f"At log-ratios of {left:g} and {right:g} the estimates are: {ends}.")


def plot_rounding(
    delta: Float[Tensor, " point"], errors: Mapping[str, Float[Tensor, " point"]]
) -> None:
    """Relative errors of ways to compute k3, against the size of the log-ratio; log scales."""
    figure, (axis,) = new_figure()
    for line, marker, (name, error) in zip(LINES, MARKERS, errors.items(), strict=False):
        shown = error.cpu().double().clamp(min=1e-17)  # a log scale has no place for 0
        axis.loglog(delta, shown, marker=marker, markersize=5, label=name, **line)
    axis.axhline(1, color="black", linewidth=1)
    axis.annotate("an error as large as k3 itself", (delta.max(), 1), (0, 5), ha="right", **NOTE)
    axis.set(title="Passing through 1, the error grows like 1/δ²; without, like 1/δ")
    axis.set(xlabel="size of the log-ratio δ (nats)", ylabel="error, relative to k3")
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    worst = ", ".join(f"{name} {error.max():.0e}" for name, error in errors.items())
    show(figure, f"Greatest relative error of each way down to δ = {delta.min():.0e}: {worst}.")


def plot_bias_and_spread(
    measured: Mapping[float, Mapping[str, Float[Tensor, "seed moment"]]],
) -> None:
    """Error of the mean and spread of one draw, over the true KL: a dot per seed, a bar for theory.

    measured: for each mean of the policy and each estimator, both moments of every seed.
    """
    figure, axes = new_figure(2, height=3.8)
    for moment, axis in enumerate(axes):
        _seeds_and_theory(axis, measured, moment)
        _name_groups(axis, list(measured))
    axes[0].set(title="Mean: k1's error is noise, k2's is not")
    axes[0].set(ylabel="error of the mean / true KL")
    axes[1].set(title="One draw: k1 spreads widely near ref")
    axes[1].set(ylabel="spread of one draw / true KL", yscale="log")
    axes[1].set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes[1].minorticks_off()
    nearest = min(measured)
    spreads = ", ".join(f"{name} {s[:, 1].mean():.2f}" for name, s in measured[nearest].items())
    show(
        figure,
        "Dots are seeds, black bars closed forms. Mean sampled spread of one draw for policy "
        f"N({nearest:g}, 1), in units of the true KL: {spreads}.",
    )


def _seeds_and_theory(axis: Axes, measured: Mapping, moment: int) -> None:
    cells = [(mean, name) for mean, estimators in measured.items() for name in estimators]
    for place, (mean, name) in enumerate(cells):
        closed = estimator_closed_forms(mean)[name][moment]
        axis.hlines(closed, place - 0.38, place + 0.38, color="black", linewidth=1.5, zorder=1)
        seeds, which = measured[mean][name][:, moment].cpu(), ESTIMATORS.index(name)
        spots = torch.linspace(-0.25, 0.25, len(seeds)) + place
        axis.plot(spots, seeds, MARKERS[which], color=COLOURS[which], markersize=4, alpha=0.8)
    axis.set_xticks(range(len(cells)), [name for _, name in cells])
    axis.grid(visible=False, axis="x")


def _name_groups(axis: Axes, means: list[float]) -> None:
    """Beneath each group of estimators, the policy that its samples came from."""
    where = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
    for group, mean in enumerate(means):
        middle = (len(ESTIMATORS) - 1) / 2 + group * len(ESTIMATORS)
        text = f"policy N({mean:g}, 1)\ntrue KL {mean**2 / 2:g}"
        axis.annotate(text, (middle, 0), (0, -22), va="top", ha="center", **where)


def plot_step_and_drift(
    step: Float[Tensor, " update"], drift: Float[Tensor, " update"], size: float
) -> None:
    """The divergence from the policy before the update, and from the reference, over updates.

    size: of a step, in logits; for the title.
    """
    step, drift, updates = step.cpu(), drift.cpu(), torch.arange(1, len(step) + 1)
    figure, (axis,) = new_figure()
    axis.semilogy(updates, drift, label="drift: KL(policy ‖ ref)", **LINES[1])
    axis.semilogy(updates, step, label="step: KL(policy ‖ old)", **LINES[0])
    axis.set(
        title=f"Step size {size:g}: no step above {step.max():.3f} nats, a drift of {drift[-1]:.2f}"
    )
    axis.set(xlabel="update", ylabel="divergence (nats)", xticks=range(0, len(step) + 1, 5))
    axis.legend()
    show(
        figure,
        f"Over {len(step)} updates of size {size:g} each step costs {step.min():.4f} to "
        f"{step.max():.4f} nats, {step.sum():.3f} in all; the drift grows to {drift[-1]:.3f} nats.",
    )
