"""Plots: one style, and one way to show a figure with a sentence that says what is in it."""

import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from html import escape
from io import BytesIO
from types import ModuleType
from typing import Any

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
WIDGET = "application/vnd.jupyter.widget-view+json"

plt.rcParams.update(STYLE)  # for the whole notebook: titles and legends are styled when drawn


def new_figure(columns: int = 1, height: float = 3.4) -> tuple[Figure, list[Axes]]:
    """A figure of notebook width with `columns` axes side by side; height in inches."""
    size = (8.0, height)
    figure, axes = plt.subplots(1, columns, figsize=size, squeeze=False, layout="constrained")
    return figure, list(axes[0])


def show(figure: Figure, description: str) -> None:
    """Display the figure once, with `description` as its alternative text and beneath it.

    As HTML, as JupyterLab 4 and nbconvert 7 show a PNG without alternative text, whatever its
    metadata say; as a PNG beside, for viewers and printers that want one; and as text.
    """
    if in_notebook():
        from IPython.display import display

        png = _png(figure)
        forms = {"text/html": _html(png, description), "image/png": png, "text/plain": description}
        display(forms, raw=True, metadata={"image/png": {"alt": description}})
    else:
        print(description)
    plt.close(figure)  # else the inline backend shows it a second time


def in_notebook() -> bool:
    """Whether there is a frontend that may show more than text."""
    return "ipykernel" in sys.modules


def _png(figure: Figure) -> str:
    """The figure as Jupyter's messages want a PNG, in base64."""
    file = BytesIO()
    figure.savefig(file, format="png", bbox_inches="tight")
    return b64encode(file.getvalue()).decode()


def _html(png: str, description: str) -> str:
    says = escape(description)
    return (
        "<figure style='margin:0'>"
        f"<img alt='{says}' src='data:image/png;base64,{png}' style='display:block;max-width:100%'>"
        # Not read aloud a second time.
        f"<figcaption aria-hidden='true'><em>{says}</em></figcaption></figure>"
    )


def with_sliders(
    draw: Callable[..., None], controls: Callable[[ModuleType], Mapping[str, Any]], names: str
) -> None:
    """Below what a cell has shown for fixed values, sliders that draw it for others.

    draw: takes a value for each control by name. controls: makes the sliders with ipywidgets, where
    that is to be had. names: what they move, in words.
    A notebook that is only read, on GitHub or as HTML, say, has a sentence in their place: what
    stands above them must be complete without them.
    """
    if not in_notebook():
        return
    try:
        import ipywidgets
    except ImportError:
        return
    from IPython.display import display

    sliders = dict(controls(ipywidgets))
    # Not an Output: nbclient answers each of its displays, and may then miss that the cell is done.
    picture = ipywidgets.HTML()

    def redraw(_: object = None) -> None:
        picture.value = _drawn(draw, {name: slider.value for name, slider in sliders.items()})

    redraw()
    for slider in sliders.values():
        slider.observe(redraw, "value")
    box = ipywidgets.VBox([*sliders.values(), picture])
    view = {"version_major": 2, "version_minor": 0, "model_id": box.model_id}
    still = f"In a running notebook, sliders here move {names}; what is above needs none of them."
    display({WIDGET: view, "text/plain": still}, raw=True)


def _drawn(draw: Callable[..., None], values: Mapping[str, Any]) -> str:
    """As HTML, what `draw` displays."""
    from IPython.utils.capture import capture_output

    with capture_output() as got:
        draw(**values)
    shown = "".join(output.data.get("text/html", "") for output in got.outputs)
    return f"<div style='line-height:1.4'>{shown}</div>"  # a widget's own is that of one line
