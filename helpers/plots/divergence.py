"""Pictures of lesson 02: divergences, prices of responses, and estimators of a KL."""

from collections.abc import Mapping

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Bernoulli, kl_divergence

from ..problems.divergence import estimator_closed_forms
from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, AMBER, GREY = COLOURS
LOOK = {  # one estimator, one look, in every figure
    "k1": {"color": NAVY, "linestyle": DASHES[0], "marker": "o"},
    "k2": {"color": RED, "linestyle": DASHES[1], "marker": "s"},
    "k3": {"color": TEAL, "linestyle": DASHES[2], "marker": "^"},
}


def plot_two_directions(ref: float = 0.2) -> None:
    """KL in both directions for one choice of two outcomes, as the policy's probability moves."""
    policy = torch.linspace(1e-3, 1 - 1e-3, 999, dtype=torch.float64)
    moving, fixed = Bernoulli(policy), Bernoulli(torch.tensor(ref, dtype=torch.float64))
    curves = {
        "KL(policy ‖ ref)": kl_divergence(moving, fixed),
        "KL(ref ‖ policy)": kl_divergence(fixed, moving),
    }
    figure, (axis,) = new_figure()
    for (name, nats), colour, dash in zip(curves.items(), COLOURS, DASHES, strict=False):
        axis.plot(policy, nats, color=colour, linestyle=dash, label=name)
    axis.plot(ref, 0, "o", color="black", markersize=7, clip_on=False, zorder=3)
    axis.annotate(f"ref: {ref:g}", (ref, 0), (0, 12), textcoords="offset points", ha="center")
    axis.set(
        title="Near ref the two directions agree; at the edges they part",
        xlabel="the policy's probability of the first outcome",
        ylabel="divergence (nats)",
        ylim=(0, 2.5),
        xlim=(0, 1),
    )
    axis.legend()
    at = {name: nats[torch.argmin((policy - 0.9).abs())].item() for name, nats in curves.items()}
    values = " and ".join(f"{name} is {nats:.2f}" for name, nats in at.items())
    show(figure, f"Both curves touch 0 at {ref:g} and rise on both sides; at 0.9, {values} nats.")


def plot_fits(
    ref_logits: Float[Tensor, " place"],
    closest: Float[Tensor, " place"],
    covering: Float[Tensor, " place"],
) -> None:
    """The single hump of least KL(policy ‖ ref), and the one of least KL(ref ‖ policy)."""
    figure, (axis,) = new_figure()
    ref, one, other = (logits.cpu().softmax(-1) for logits in (ref_logits, closest, covering))
    axis.fill_between(range(len(ref)), ref, color=GREY, alpha=0.35, linewidth=0, label="ref")
    axis.plot(one, color=NAVY, linestyle=DASHES[0], label="least KL(policy ‖ ref)")
    axis.plot(other, color=RED, linestyle=DASHES[1], label="least KL(ref ‖ policy)")
    axis.set(
        title="KL(policy ‖ ref) settles on one hump; KL(ref ‖ policy) spreads over both",
        xlabel="outcome",
        ylabel="probability",
        ylim=(0, None),
        xlim=(0, len(ref) - 1),
    )
    axis.legend()
    peaks = [int(p.argmax()) for p in (one, other)]
    between = int(ref[10:31].argmin()) + 10
    show(
        figure,
        f"The first policy peaks at outcome {peaks[0]}, inside the taller hump; the second at "
        f"{peaks[1]}, and gives outcome {between}, between the humps, probability "
        f"{other[between]:.3f} where ref has {ref[between]:.5f}.",
    )


def plot_prices(
    prices: Float[Tensor, " response"],
    probability: Float[Tensor, " response"],
    responses: list[str],
) -> None:
    """What each response costs, against how often the policy writes it."""
    prices, probability = prices.cpu(), probability.cpu()
    mean, below = (prices * probability).sum(), prices < 0
    figure, (axis,) = new_figure(height=3.8)
    for chosen, colour, marker in ((~below, NAVY, "o"), (below, RED, "v")):
        axis.vlines(prices[chosen], 0, probability[chosen], color=colour, linewidth=1.5)
        axis.plot(prices[chosen], probability[chosen], marker, color=colour)
    for index in probability.topk(4).indices.tolist():
        side = "right" if prices[index] > 0.8 * prices.max() else "center"
        place = (prices[index], probability[index])
        axis.annotate(f"“{responses[index]}”", place, (0, 7), ha=side, **NOTE)
    axis.axvline(0, color="black", linewidth=1, zorder=1)
    axis.axvline(mean, color=GREY, linestyle=DASHES[1], zorder=1)
    axis.annotate(f"mean {mean:.2f}", (mean, probability.max() * 1.25), (5, 0), **NOTE)
    axis.set(
        title=f"{int(below.sum())} of {len(prices)} prices are negative; the mean is {mean:+.2f} nats",
        xlabel="price of the response, log policy − log ref (nats)",
        ylabel="probability under the policy",
        ylim=(0, probability.max() * 1.35),
    )
    share = probability[below].sum()
    show(
        figure,
        f"Prices run from {prices.min():.2f} to {prices.max():.2f} nats; the negative ones hold "
        f"{share:.0%} of the probability, and the mean is {mean:.3f} nats.",
    )


NOTE = {
    "textcoords": "offset points",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},  # legible on top of a line
}


def plot_tangent() -> None:
    """The logarithm lies under its tangent at 1; the gap between them is never negative."""
    ratio = torch.linspace(0.05, 3, 400, dtype=torch.float64)
    line, curve = ratio - 1, ratio.log()
    figure, (axis,) = new_figure()
    axis.fill_between(ratio, curve, line, color=TEAL, alpha=0.3, linewidth=0, label="the gap: k3")
    axis.plot(ratio, line, color=NAVY, linestyle=DASHES[0], label="ratio − 1")
    axis.plot(ratio, curve, color=RED, linestyle=DASHES[1], label="log ratio")
    axis.plot(1, 0, "o", color="black", markersize=6)
    axis.set(
        title="The logarithm never rises above its tangent at 1",
        xlabel="ratio of one token, ref/policy",
        ylabel="nats",
        xlim=(0, 3),
    )
    axis.legend()
    show(figure, "The line and the curve touch at ratio 1 alone; elsewhere the line is above.")


def plot_estimators(
    log_ratio: Float[Tensor, " point"], values: Mapping[str, Float[Tensor, " point"]]
) -> None:
    """Each estimator's answer for one token, as a function of log policy − log ref."""
    figure, (axis,) = new_figure()
    for name, nats in values.items():
        look = {key: LOOK[name][key] for key in ("color", "linestyle")}
        axis.plot(log_ratio.cpu(), nats.cpu(), label=name, **look)
    axis.axhline(0, color="black", linewidth=1)
    axis.set(
        title="All three are 0 at 0; k2 and k3 share their curvature there",
        xlabel="log policy − log ref of the token (nats)",
        ylabel="estimate from this token (nats)",
        xlim=(log_ratio.min().item(), log_ratio.max().item()),
    )
    axis.legend()
    ends = ", ".join(f"{name} {nats[0]:.2f} and {nats[-1]:.2f}" for name, nats in values.items())
    left, right = log_ratio[0].item(), log_ratio[-1].item()
    show(figure, f"At log-ratios of {left:g} and {right:g} the estimates are: {ends}.")


def plot_rounding(
    delta: Float[Tensor, " point"], errors: Mapping[str, Float[Tensor, " point"]]
) -> None:
    """Relative errors of ways to compute k3, against the size of the log-ratio; log scales."""
    figure, (axis,) = new_figure()
    looks = zip(COLOURS, DASHES, "svo^", strict=False)
    for (name, error), (colour, dash, marker) in zip(errors.items(), looks, strict=False):
        shown = error.cpu().double().clamp(min=1e-17)
        axis.loglog(delta, shown, color=colour, linestyle=dash, marker=marker, label=name)
    axis.axhline(1, color="black", linewidth=1)
    axis.annotate("above: nothing left", (delta.max(), 1), (0, 5), ha="right", **NOTE)
    axis.set(
        title="Passing through 1, the error grows like 1/δ²; without, like 1/δ",
        xlabel="size of the log-ratio δ (nats)",
        ylabel="error, relative to k3",
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    worst = ", ".join(f"{name} {error.max():.0e}" for name, error in errors.items())
    show(figure, f"Greatest relative error of each way down to δ = {delta.min():.0e}: {worst}.")


def plot_bias_and_spread(
    measured: Mapping[float, Mapping[str, Float[Tensor, "seed moment"]]],
) -> None:
    """Bias and standard deviation of one sample over the true KL; a dot per seed, a bar for theory.

    measured: for each mean of the policy and each estimator, (bias, deviation) of every seed.
    """
    figure, axes = new_figure(2, height=3.8)
    places = [(mean, name) for mean, estimators in measured.items() for name in estimators]
    for moment, axis in enumerate(axes):
        for place, (mean, name) in enumerate(places):
            closed = estimator_closed_forms(mean)[name][moment]
            axis.hlines(closed, place - 0.38, place + 0.38, color="black", linewidth=1.5, zorder=1)
            seeds = measured[mean][name][:, moment].cpu()
            spots = torch.linspace(-0.25, 0.25, len(seeds)) + place
            look = {key: LOOK[name][key] for key in ("color", "marker")}
            axis.plot(spots, seeds, linestyle="", markersize=4, alpha=0.8, **look)
        _label_groups(axis, places)
    axes[0].set(
        title="Mean: k1's error is noise, k2's is not", ylabel="error of the mean / true KL"
    )
    axes[1].set(title="One draw: k1 spreads widely near ref", ylabel="spread of a draw / true KL")
    axes[1].set_yscale("log")
    axes[1].set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes[1].minorticks_off()
    widest = max(measured, key=lambda mean: -mean)
    spreads = ", ".join(f"{n} {s[:, 1].mean():.2f}" for n, s in measured[widest].items())
    show(
        figure,
        "Dots are seeds, black bars closed forms. Mean sampled deviation at mean "
        f"{widest:g}, in units of the true KL: {spreads}.",
    )


def _label_groups(axis: Axes, places: list[tuple[float, str]]) -> None:
    """Name each estimator, and beneath each group the policy that the samples came from."""
    axis.set_xticks(range(len(places)), [name for _, name in places])
    axis.grid(visible=False, axis="x")
    for mean in dict.fromkeys(mean for mean, _ in places):
        members = [place for place, (other, _) in enumerate(places) if other == mean]
        middle = sum(members) / len(members)
        text = f"policy N({mean:g}, 1)\ntrue KL {mean**2 / 2:g}"
        axis.annotate(
            text,
            (middle, 0),
            (0, -22),
            xycoords=("data", "axes fraction"),
            va="top",
            ha="center",
            textcoords="offset points",
        )


def plot_step_and_drift(step: Float[Tensor, " update"], drift: Float[Tensor, " update"]) -> None:
    """The divergence from the policy before the update, and from the reference, over updates."""
    figure, (axis,) = new_figure()
    updates = torch.arange(1, len(step) + 1)
    axis.semilogy(
        updates, drift.cpu(), color=RED, linestyle=DASHES[1], label="drift: KL(policy ‖ ref)"
    )
    axis.semilogy(
        updates, step.cpu(), color=NAVY, linestyle=DASHES[0], label="step: KL(policy ‖ old)"
    )
    axis.set(
        title=f"No step above {step.max():.3f} nats, and a drift of {drift[-1]:.2f}",
        xlabel="update",
        ylabel="divergence (nats)",
        xticks=range(0, len(step) + 1, 5),
    )
    axis.legend()
    show(
        figure,
        f"Over {len(step)} updates each step costs {step.min():.4f} to {step.max():.4f} nats, "
        f"{step.sum():.3f} in all; the drift grows to {drift[-1]:.3f} nats.",
    )
