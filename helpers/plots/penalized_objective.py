"""Pictures of lesson 03: two terms, the simplex of three actions, and β as a knob."""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from ..problems.penalized_objective import Replies, all_policies
from . import COLOURS, DASHES, new_figure, show, with_sliders

NAVY, RED, TEAL, AMBER, GREY = COLOURS
NOTE = {
    "textcoords": "offset points",
    "bbox": {"facecolor": "white", "edgecolor": "none", "pad": 1},  # legible on top of a line
}
CORNERS = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 0.75**0.5]], dtype=torch.float64)
MARKERS = "os^D"


def plot_two_terms(
    share: Float[Tensor, " point"],
    reward: Float[Tensor, " point"],
    objective: Float[Tensor, " point"],
    beta: float,
) -> None:
    """Expected reward, and what is left of it after the penalty, along a line of policies."""
    best = int(objective.argmax())
    figure, (axis,) = new_figure()
    price = f"the penalty, β·KL(policy ‖ ref), β = {beta:g}"
    axis.fill_between(share, objective, reward, color=RED, alpha=0.2, linewidth=0, label=price)
    axis.plot(share, reward, color=NAVY, linestyle=DASHES[0], label="expected reward")
    axis.plot(share, objective, color=RED, linestyle=DASHES[1], label="the objective")
    axis.plot(share[best], objective[best], "o", color="black", markersize=7, zorder=3)
    place = (float(share[best]), float(objective[best]))
    axis.annotate(f"maximum at {share[best]:.2f}", place, (0, -18), ha="center", **NOTE)
    axis.set(
        title="The reward keeps rising; what is left after the penalty has a maximum",
        xlabel="share of the best action mixed into ref",
        ylabel="reward",
        xlim=(0, 1),
    )
    axis.legend(loc="upper left")
    show(
        figure,
        f"The expected reward rises from {reward[0]:.2f} to {reward[-1]:.2f}; the objective peaks "
        f"at {objective[best]:.2f}, at share {share[best]:.2f}, and ends at {objective[-1]:.2f}.",
    )


def _place(policies: Float[Tensor, "*leading action"]) -> tuple[Tensor, Tensor]:
    """Where policies over three actions lie in the triangle: x and y."""
    return (policies @ CORNERS).unbind(-1)


def _draw_simplex(axis: Axes, replies: Replies, levels: Sequence[float]) -> None:
    """The triangle of all policies, contours of the reward at `levels`, and ref."""
    axis.set_aspect("equal")
    axis.axis("off")
    outline = torch.cat([CORNERS, CORNERS[:1]])
    axis.plot(outline[:, 0], outline[:, 1], color="black", linewidth=1)
    _draw_rewards(axis, replies, sorted(levels))
    offsets = ((-4, -16, "center"), (4, -16, "center"), (0, 8, "center"))
    for name, reward, corner, (dx, dy, side) in zip(
        replies.names, replies.rewards.tolist(), CORNERS.tolist(), offsets, strict=True
    ):
        text = f"{name}, reward {reward:g}"
        axis.annotate(text, corner, (dx, dy), textcoords="offset points", ha=side)
    x, y = _place(replies.ref_logits.softmax(-1))
    axis.plot(x, y, "*", color="black", markersize=12, zorder=4)
    note = NOTE | {"arrowprops": {"arrowstyle": "-", "linewidth": 0.8}}
    axis.annotate("ref", (x, y), (-66, 18), ha="right", **note)
    axis.set(xlim=(-0.15, 1.15), ylim=(-0.1, 0.96))


def _draw_rewards(axis: Axes, replies: Replies, levels: Sequence[float]) -> None:
    """Lines of equal expected reward, each labelled in its middle."""
    policies = all_policies(60)
    earned = policies @ replies.rewards
    lines = axis.tricontour(
        *_place(policies), earned, levels=levels, colors=GREY, linewidths=0.9, linestyles="-"
    )
    near = [policies[(earned - level).abs() < 0.02] for level in levels]
    middles = [tuple(float(x) for x in _place(some.mean(0))) for some in near]
    axis.clabel(lines, fmt="%.2f", fontsize=8, manual=middles)


def plot_climb(replies: Replies, paths: Mapping[float, Float[Tensor, "step action"]]) -> None:
    """Paths of policies that climb the objective from ref, one for each β."""
    figure, (left, right) = new_figure(2, height=4.0)
    _draw_simplex(left, replies, (0.3, 0.6, 0.9, 1.2))
    ref = Categorical(logits=replies.ref_logits)
    looks = zip((RED, AMBER, NAVY, TEAL), DASHES, MARKERS, strict=False)
    for (beta, path), (colour, dash, marker) in zip(paths.items(), looks, strict=False):
        look = {"color": colour, "linestyle": dash}
        x, y = _place(path)
        left.plot(x, y, **look)
        left.plot(x[-1], y[-1], marker, color=colour, markersize=9, zorder=5)
        nats = kl_divergence(Categorical(probs=path), ref)
        right.plot(range(len(path)), nats, **look, label=f"β = {beta:g}")
        right.plot(len(path) - 1, nats[-1], marker, color=colour, markersize=8, clip_on=False)
    left.set_title("Only with β = 0 does it reach the corner")
    right.set(
        title="A price stops the drift",
        xlabel="step of the climb (logarithmic from 1 on)",
        ylabel="KL(policy ‖ ref) (nats)",
    )
    right.set_xscale("symlog", linthresh=1)  # shows step 0 too
    right.set(ylim=(0, None), xlim=(0, None))
    right.legend(loc="upper left")
    ends = "; ".join(f"β = {beta:g}: {_as_text(path[-1])}" for beta, path in paths.items())
    names = ", ".join(replies.names)
    show(
        figure,
        f"Left, grey: lines of equal reward. Probabilities of {names} where each path from ref "
        f"ends: {ends}.",
    )


def _as_text(policy: Float[Tensor, " action"]) -> str:
    return "(" + ", ".join(f"{chance:.2f}" for chance in policy.tolist()) + ")"


def plot_gaps(
    found: Mapping[float, tuple[Float[Tensor, " policy"], Float[Tensor, " policy"]]],
) -> None:
    """What policies fall short of the optimum by, against their divergence from it.

    found: for each β, (KL(policy ‖ π*), J(π*) − J(policy)) of many policies.
    """
    figure, (axis,) = new_figure(height=3.8)
    looks = zip((NAVY, RED, TEAL), MARKERS, strict=False)
    for (beta, (nats, gap)), (colour, marker) in zip(found.items(), looks, strict=False):
        label = f"β = {beta:g}"
        axis.plot(nats, gap, marker, color=colour, markersize=5, alpha=0.6, label=label)
        ends = torch.tensor([0.0, float(nats.max())])
        axis.plot(ends, beta * ends, color=colour, linewidth=1)
    axis.set(
        title="Each random policy lies on the line of slope β through 0",
        xlabel="KL(policy ‖ π*) (nats)",
        ylabel="J(π*) − J(policy) (reward)",
        xlim=(0, None),
        ylim=(0, None),
    )
    axis.legend(title="lines: slope β")
    worst = max((gap - beta * nats).abs().max() for beta, (nats, gap) in found.items())
    reach = "; ".join(
        f"β = {beta:g} up to {nats.max():.2f} nats and a gap of {gap.max():.2f}"
        for beta, (nats, gap) in found.items()
    )
    show(
        figure, f"No point is further than {worst:.0e} from the line of its β. They reach: {reach}."
    )


def plot_knob(
    betas: Float[Tensor, " beta"],
    divergence: Float[Tensor, " beta"],
    reward: Float[Tensor, " beta"],
    greatest: float,
) -> None:
    """KL(π* ‖ ref) against β, and the reward that each nat of it buys."""
    figure, (left, right) = new_figure(2, height=3.6)
    left.semilogx(betas, divergence, color=NAVY)
    left.axhline(greatest, color=GREY, linestyle=DASHES[1])
    left.annotate(f"greatest: {greatest:.2f}", (betas[-1], greatest), (0, -13), ha="right", **NOTE)
    left.set(
        title="A larger β keeps the optimum nearer",
        xlabel="β (reward per nat)",
        ylabel="KL(π* ‖ ref) (nats)",
        ylim=(0, None),
    )
    right.plot(divergence, reward, color=NAVY)
    for beta, marker in ((2.0, "o"), (0.5, "s"), (0.1, "^")):
        at = int((betas.log() - torch.tensor(beta).log()).abs().argmin())
        place = (float(divergence[at]), float(reward[at]))
        right.plot(*place, marker, color=RED, markersize=8, label=f"β = {beta:g}", linestyle="")
        right.axline(place, slope=beta, color=RED, linestyle=DASHES[3], linewidth=1, zorder=1)
    right.set(
        title="β is the slope: reward for one more nat",
        xlabel="KL(π* ‖ ref) (nats)",
        ylabel="expected reward of π*",
        ylim=(0.9 * float(reward.min()), 1.05 * float(reward.max())),
        xlim=(-0.05 * greatest, 1.05 * greatest),
    )
    right.legend(loc="lower right")
    show(
        figure,
        f"As β goes from {betas[0]:.2g} to {betas[-1]:.2g}, KL(π* ‖ ref) goes from "
        f"{divergence[0]:.3f} to {divergence[-1]:.5f} nats and the expected reward from "
        f"{reward[0]:.2f} to {reward[-1]:.2f}.",
    )


def plot_directions(
    replies: Replies,
    betas: Float[Tensor, " beta"],
    reverse: Float[Tensor, "beta action"],
    forward: Float[Tensor, "beta action"],
) -> None:
    """The optimum's probabilities over β: charged by KL(policy ‖ ref), and by KL(ref ‖ policy)."""
    figure, axes = new_figure(2, height=3.8)
    looks = list(zip(replies.names, (GREY, NAVY, RED, TEAL), DASHES, MARKERS, strict=False))
    charged = ("KL(policy ‖ ref)", "KL(ref ‖ policy)")
    for axis, optima, divergence in zip(axes, (reverse, forward), charged, strict=True):
        for (name, colour, dash, marker), chance in zip(looks, optima.unbind(1), strict=True):
            axis.loglog(
                betas, chance, marker, color=colour, linestyle=dash, label=name,
                markevery=20, markersize=5,
            )  # fmt: skip
        axis.set(xlabel="β (reward per nat)", ylim=(1e-4, 1.2))
        fading = "vanish" if divergence is charged[0] else "fade slowly"
        axis.set_title(f"Charged {divergence},\nworse replies {fading}")
    axes[0].set_ylabel("probability under the optimum")
    axes[1].legend(loc="lower right")
    ends = "; ".join(
        f"by {divergence}: " + ", ".join(f"{chance:.4f}" for chance in optima[-1].tolist())
        for optima, divergence in zip((reverse, forward), charged, strict=True)
    )
    show(
        figure,
        "On both sides the two best-paid replies keep the distance that they have under ref; the "
        f"others fade faster on the left. Probabilities of {', '.join(replies.names)} at "
        f"β = {betas[-1]:.2g}, {ends}.",
    )


def show_path(
    replies: Replies,
    optimum: Callable[[Tensor, Tensor, float], Tensor],
    betas: Sequence[float] = (3.0, 0.8, 0.3),
) -> None:
    """The path of π* over the simplex as β moves; with a slider for β where one can run.

    optimum: gives log π* from ref_logits, rewards and β.
    """
    _draw_path(replies, optimum, betas)
    with_sliders(
        lambda beta: _draw_path(replies, optimum, [beta]),
        lambda widgets: {
            "beta": widgets.FloatLogSlider(
                value=0.5, min=-1.5, max=1.5, step=0.05, description="β", continuous_update=False
            )
        },
        "β",
    )


def _draw_path(
    replies: Replies, optimum: Callable[[Tensor, Tensor, float], Tensor], betas: Sequence[float]
) -> None:
    figure, (left, right) = new_figure(2, height=4.0)
    scale = torch.logspace(1.5, -1.5, 121, dtype=torch.float64)
    path = torch.stack([_best(replies, optimum, beta) for beta in scale.tolist()])
    bests = [_best(replies, optimum, beta) for beta in betas]
    _draw_simplex(left, replies, [float(best @ replies.rewards) for best in bests])
    left.plot(*_place(path), color=NAVY, linewidth=2.5, zorder=3)
    said = [
        _draw_ball(left, replies, best, beta, number)
        for number, (best, beta) in enumerate(zip(bests, betas, strict=True))
    ]
    left.set_title("From ref to the best corner as β falls")
    left.legend(loc="upper center", fontsize=9, bbox_to_anchor=(0.5, 0.02))
    _draw_probabilities(right, replies, scale, path, betas)
    show(figure, "At " + "; at ".join(said) + ". Each border touches the grey line through its π*.")


def _best(
    replies: Replies, optimum: Callable[[Tensor, Tensor, float], Tensor], beta: float
) -> Float[Tensor, " action"]:
    return optimum(replies.ref_logits, replies.rewards, beta).exp()


def _draw_ball(
    axis: Axes, replies: Replies, best: Float[Tensor, " action"], beta: float, number: int
) -> str:
    """π* at one β, and the border of the policies that are as near to ref as it is."""
    ref = Categorical(logits=replies.ref_logits)
    policies = all_policies(100)
    nats = kl_divergence(Categorical(probs=policies), ref)
    radius = kl_divergence(Categorical(probs=best), ref).item()
    colour, dash = (TEAL, AMBER, RED)[number % 3], ("-", "--", "-.")[number % 3]
    axis.tricontour(*_place(policies), nats, levels=[radius], colors=colour, linestyles=dash)
    x, y = _place(best)
    label = f"β = {beta:.3g}, KL = {radius:.2f}"
    axis.plot(x, y, MARKERS[number % 4], color=colour, linestyle=dash, label=label, zorder=5)
    return f"β = {beta:.3g} π* is {_as_text(best)}, {radius:.3f} nats from ref"


def _draw_probabilities(
    axis: Axes,
    replies: Replies,
    scale: Float[Tensor, " beta"],
    path: Float[Tensor, "beta action"],
    betas: Sequence[float],
) -> None:
    """The probability of each action under π*, over β; ref's at the right edge."""
    looks = zip(replies.names, path.unbind(1), (GREY, NAVY, RED), DASHES, strict=False)
    for name, chance, colour, dash in looks:
        axis.semilogx(scale, chance, color=colour, linestyle=dash, label=name)
    for beta in betas:
        axis.axvline(beta, color="black", linewidth=0.8, linestyle=":")
        axis.annotate(f"{beta:.3g}", (beta, 1.0), (0, 3), textcoords="offset points", ha="center")
    axis.set(xlabel="β (reward per nat)", ylabel="probability under π*", ylim=(0, 1))
    axis.set_title("Low β: the best action alone; high β: ref", pad=18)
    axis.legend(loc="upper right", bbox_to_anchor=(1.0, 0.97))
