"""The figure of lesson 00."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from . import COLOURS, new_figure, show


def plot_log_ratios(
    words: Sequence[str],
    p: Float[Tensor, " word"],
    q: Float[Tensor, " word"],
    ratios: Float[Tensor, " word"],
) -> None:
    """Two distributions over the same words, and beside them the log-ratio of each word."""
    figure, (chances, logs) = new_figure(2)
    places = range(len(words))
    left, right = ([place + shift for place in places] for shift in (-0.2, 0.2))
    chances.bar(left, p.tolist(), 0.4, color=COLOURS[0], label="p")
    chances.bar(right, q.tolist(), 0.4, color=COLOURS[3], label="q", hatch="//", edgecolor="white")
    chances.set(title="Two opinions of the next word", ylabel="probability")
    chances.legend()
    bars = logs.bar(places, ratios.tolist(), 0.6, color=COLOURS[2])
    logs.bar_label(bars, fmt=_signed, padding=2)
    logs.axhline(0.0, color="black", linewidth=1)
    logs.margins(y=0.15)
    logs.set(title="Above 0 where p is larger", ylabel="log p − log q (nats)")
    for axes in (chances, logs):
        axes.set_xticks(places, words)
        axes.grid(axis="x", visible=False)
    show(figure, _describe(words, ratios))


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


def _describe(words: Sequence[str], ratios: Float[Tensor, " word"]) -> str:
    said = ", ".join(f"{w} {_signed(r)}" for w, r in zip(words, ratios.tolist(), strict=True))
    return f"Bars of p and q for each word, and of their log-ratio in nats: {said}."
