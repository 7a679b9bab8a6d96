"""The picture of the bug museum's second room, in lesson 04."""

from collections.abc import Mapping

from jaxtyping import Float
from torch import Tensor

from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, _, GREY = COLOURS


def plot_reset(
    before: Float[Tensor, "step problem"],
    logged: Float[Tensor, "later problem"],
    from_first: Mapping[str, Float[Tensor, "later problem"]],
) -> None:
    """Divergence along runs that are resumed, to the reference in use and to the first one.

    before: up to the resume, where both are one. logged: from there, to the reference that was
    reset. from_first: from there, to the first reference, for each way to resume.
    """
    figure, (axis,) = new_figure(height=3.8)
    resume = len(before) - 1
    lines = {
        "reference reset: to the first": (from_first["reference reset"], NAVY, 0, "o"),
        "reference kept": (from_first["reference kept"], TEAL, 2, "^"),
        "reference reset: as logged": (logged, RED, 1, "s"),
    }
    axis.plot(before, color=GREY, linewidth=0.6, alpha=0.5)
    axis.plot(before.median(dim=1).values, color=GREY, linewidth=2.5, label="before the resume")
    for name, (runs, colour, dash, marker) in lines.items():
        steps = range(resume, resume + len(runs))
        look = {"color": colour, "linestyle": DASHES[dash], "marker": marker, "label": name}
        axis.plot(steps, runs, color=colour, linewidth=0.6, alpha=0.35)
        axis.plot(steps, runs.median(dim=1).values, markevery=60, linewidth=2.5, **look)
    axis.axvline(resume, color="black", linewidth=1, linestyle=DASHES[3])
    ends = {name: runs[-1].median().item() for name, (runs, *_) in lines.items()}
    true, said = (ends[f"reference reset: {which}"] for which in ("to the first", "as logged"))
    axis.set(
        title=f"At the end the log says {said:.2f} nats, and the policy is {true:.2f} away",
        xlabel=f"step (resumed at {resume})",
        ylabel="KL(policy ‖ reference) (nats)",
        ylim=(0, None),
    )
    axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), title="median of the problems")
    last = "; ".join(f"{name} {nats:.3f}" for name, nats in ends.items())
    show(
        figure,
        f"Median KL of {before.shape[1]} problems in nats: {before[-1].median():.3f} at the "
        f"resume, where the logged one begins anew at {logged[0].median():.3f}. "
        f"At the end: {last}.",
    )
