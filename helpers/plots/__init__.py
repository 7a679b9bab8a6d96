"""Plots: one style, and one way to show a figure with a sentence that says what is in it."""

import sys
from html import escape

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Told apart by colour-blind readers and, by lightness, in greyscale; lines differ in dash too.
COLOURS = ("#0b3c6f", "#c23b4e", "#56b3a6", "#f0b848", "#8c8c8c")
DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
STYLE = {
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "grid.alpha": 0.25,
    "font.size": 10,
    "lines.linewidth": 2.0,
    "legend.frameon": False,
    "figure.dpi": 110,
}


plt.rcParams.update(STYLE)  # for the whole notebook: titles and legends are styled when drawn


def new_figure(columns: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of notebook width with `columns` axes side by side; height in inches."""
    size = (8.0, height)
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, layout="constrained")
    return figure, list(axes[0])


def show(figure: Figure, description: str) -> None:
    """Display the figure once, with `description` as its alternative text and beneath it."""
    if "ipykernel" in sys.modules:
        from IPython.display import HTML, display

        display(figure, metadata={"image/png": {"alt": description}})
        # As HTML: Markdown would take the * of π* for its own.
        display(HTML(f"<em>{escape(description)}</em>"))
    else:
        print(description)
    plt.close(figure)  # else the inline backend shows it a second time
