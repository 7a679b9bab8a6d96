"""The picture of the bug museum's second room, in lesson 04."""

from jaxtyping import Float
from torch import Tensor

from ..problems.penalty_gradients import exact_kl
from . import COLOURS, DASHES, new_figure, show

NAVY, RED, TEAL, _, GREY = COLOURS


def plot_reset(
    begun: Float[Tensor, "step problem action"],
    unreset: Float[Tensor, "later problem action"],
    reset: Float[Tensor, "later problem action"],
) -> None:
    """Divergence along runs that are resumed, to the reference in use and to the first one.

    Logits on the way: to the resume, begun at the first reference; from there with that
    reference; and from there with the resumed policy as the reference.
    """
    figure, (axis,) = new_figure(height=3.8)
    resume, first = len(begun) - 1, begun[0]
    before = _drift(begun, first)
    lines = {
        "reference reset: to the first": (_drift(reset, first), NAVY, 0, "o"),
        "reference kept": (_drift(unreset, first), TEAL, 2, "^"),
        "reference reset: as logged": (logged := _drift(reset, reset[0]), RED, 1, "s"),
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
        title=f"The log ends at {said:.2f} nats; the first reference is {true:.2f} nats away",
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


def _drift(
    path: Float[Tensor, "step problem action"], ref: Float[Tensor, "problem action"]
) -> Float[Tensor, "step problem"]:
    return exact_kl(path, ref.expand_as(path))
