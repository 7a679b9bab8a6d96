"""Pictures of lesson 02: divergences, prices of responses, and estimators of a KL."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Bernoulli, Categorical, kl_divergence

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


def plot_old_and_ref(logits: Float[Tensor, "policy word"]) -> None:
    """ref, the policy after every update, and the two distances from the last one.

    logits: ref's in the first row, then those after each update.
    """
    policies = logits.softmax(-1)
    last, old, ref = (Categorical(logits=logits[at]) for at in (-1, -2, 0))
    far, near = (kl_divergence(last, other).item() for other in (ref, old))
    figure, (axis,) = new_figure()
    x, y = policies[:, 0], policies[:, 1]
    axis.plot(x, y, "-o", color=GREY, linewidth=1, markersize=5)
    _distance(axis, policies[0], policies[-1], RED, DASHES[1])
    _distance(axis, policies[-2], policies[-1], NAVY, DASHES[0])
    for at, name, place in ((0, "ref", (-9, -3)), (-2, "old", (9, -6)), (-1, "policy", (9, 4))):
        axis.plot(x[at], y[at], "o", color="black", markersize=8, zorder=4)
        side = "left" if place[0] > 0 else "right"
        axis.annotate(name, (x[at], y[at]), place, ha=side, weight="bold", **NOTE)
    middle = (policies[0] + policies[-1]) / 2
    axis.annotate(f"drift: {far:.2f} nats", middle[:2], (12, -10), color=RED, **NOTE)
    middle = (policies[-2] + policies[-1]) / 2
    axis.annotate(f"step: {near:.3f} nats", middle[:2], (14, 2), color=NAVY, **NOTE)
    axis.set(title=f"After {len(logits) - 1} updates: two policies to be near to")
    axis.set(xlabel="probability of the first of three words", ylabel="of the second")
    axis.margins(0.16)
    axis.set_xlim(right=0.47)
    show(
        figure,
        f"A path of {len(logits) - 1} updates from ref to the policy. A short arrow, the step, "
        f"comes from old, the policy before the last update: {near:.3f} nats. A long one, the "
        f"drift, comes from ref, where the path began: {far:.2f} nats.",
    )


def _distance(axis: Axes, start: Tensor, end: Tensor, colour: str, dash: str) -> None:
    form = {"arrowstyle": "-|>", "color": colour, "linestyle": dash, "linewidth": 2}
    form |= {"shrinkA": 6, "shrinkB": 6, "mutation_scale": 14}
    axis.annotate("", end[:2].tolist(), start[:2].tolist(), arrowprops=form, zorder=3)


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
    axis.set(
        title="With one hump: KL(policy ‖ ref) takes one of ref's; KL(ref ‖ policy) spans both"
    )
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
    mean, top = (prices * probability).sum().item(), probability.max().item()
    below = prices < 0
    figure, (axis,) = new_figure(height=3.8)
    _stems(axis, prices[~below], probability[~below], NAVY, "o")
    _stems(axis, prices[below], probability[below], RED, "v")
    for i in probability.topk(4).indices.tolist():
        at = prices[i].item(), probability[i].item()
        side = "right" if at[0] > 0.8 * prices.max() else "center"
        axis.annotate(f"“{responses[i]}”", at, (0, 7), ha=side, **NOTE)
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
    axis.plot(ratio, line, label="ref/policy − 1", **LINES[0])
    axis.plot(ratio, curve, label="log(ref/policy)", **LINES[1])
    axis.plot(1, 0, "o", color="black", markersize=6)
    axis.set(title="The logarithm never rises above its tangent at 1", xlim=(0, 3))
    axis.set(xlabel="ref/policy of one token", ylabel="nats")
    axis.legend()
    show(
        figure,
        "The line and the curve touch at 1 alone; elsewhere the line is above: at "
        f"{ratio[0]:g} they are {line[0]:.2f} and {curve[0]:.2f} nats, at {ratio[-1]:g} they are "
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
    """Relative errors of ways to compute k3, against δ; log scales."""
    figure, (axis,) = new_figure()
    for line, marker, (name, error) in zip(LINES, MARKERS, errors.items(), strict=False):
        shown = error.cpu().double().clamp(min=1e-17)  # a log scale has no place for 0
        axis.loglog(delta, shown, marker=marker, markersize=5, label=name, **line)
    axis.axhline(1, color="black", linewidth=1)
    axis.annotate("an error as large as k3 itself", (delta.max(), 1), (0, 5), ha="right", **NOTE)
    axis.set(title="Passing through 1, the error grows like 1/δ²; without, like 1/δ")
    axis.set(xlabel="δ = log ref − log policy (nats)", ylabel="error, relative to k3")
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
    straight: Float[Tensor, "seed update"], wandering: Float[Tensor, "seed update"], size: float
) -> None:
    """The drift in units of one step's KL, over the number of steps; log scales on both axes.

    straight: all steps of a seed in one direction. wandering: each in a direction of its own.
    size: of a step, in logits; for the title.
    """
    updates = torch.arange(1, straight.shape[1] + 1)
    figure, (axis,) = new_figure(height=3.8)
    for drift, colour, dash, marker, name in (
        (straight, RED, DASHES[1], "o", "all steps in one direction"),
        (wandering, NAVY, DASHES[0], "s", "each step in its own"),
    ):
        low, middle, high = drift.cpu().quantile(torch.tensor([0.0, 0.5, 1.0]).double(), dim=0)
        axis.fill_between(updates, low, high, color=colour, alpha=0.15, linewidth=0)
        form = {"color": colour, "linestyle": dash, "marker": marker, "markersize": 4}
        axis.loglog(updates, middle, label=name, **form)
    for power, text in ((2, "n²"), (1, "n")):
        axis.loglog(updates, updates.double() ** power, color="black", linewidth=1)
        axis.annotate(text, (20, 20**power), (4, -3), annotation_clip=False, **NOTE)
    axis.set(title=f"Steps of {size:g} logits: the drift grows like n², or like n")
    axis.set(xlabel="number of steps, n", ylabel="drift / mean KL of a step", xlim=(1, 20))
    axis.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axis.minorticks_off()
    axis.legend()
    ends = [drift[:, -1].median().item() for drift in (straight, wandering)]
    show(
        figure,
        f"Medians of {len(straight)} seeds, and bands from least to greatest. After 20 steps in "
        f"one direction the drift is {ends[0]:.0f} times a step, near the line n²; after 20 steps "
        f"in directions of their own {ends[1]:.0f} times, near the line n.",
    )


def plot_collapse(
    kl: Float[Tensor, " step"],
    returns: Float[Tensor, " step"],
    before: float,
    batches: list[tuple[Float[Tensor, " step"], Float[Tensor, " step"]]],
) -> None:
    """The return of ever larger updates over their divergence from old, in nats per response.

    before: the return of old. batches: both, for directions from drawn responses.
    """
    figure, (axis,) = new_figure(height=3.8)
    for at, (nats, points) in enumerate(batches):
        label = f"{len(batches)} drawn batches" if at == 0 else None
        axis.semilogx(nats.cpu(), points, color=GREY, linewidth=0.8, label=label)
    axis.semilogx(kl.cpu(), returns, label="exact direction", **LINES[0])
    axis.axhline(before, color="black", linewidth=1)
    axis.annotate("old", (0.012, before), (0, -14), **NOTE)
    top = returns.argmax()
    axis.plot(kl[top].item(), returns[top], "o", color="black", markersize=7, zorder=4)
    axis.set(title=f"The return turns at {kl[top]:.1f} nats a response")
    axis.set(xlabel="KL(policy ‖ old), nats per response", ylabel="return (points)")
    axis.set(xlim=(0.01, 20))
    axis.legend(loc="lower left")
    tops = torch.stack([nats[points.argmax()] for nats, points in batches])
    show(
        figure,
        f"In the exact direction the return is greatest at {kl[top]:.2f} nats and ends at "
        f"{returns[-1]:.1f} points, {kl[-1]:.1f} nats away; in the directions of {len(batches)} "
        f"drawn batches it is greatest at {tops.min():.2f} to {tops.max():.2f} nats.",
    )
