"""A lesson as a page of HTML, and what of it somebody hears who does not see it."""

from collections.abc import Iterator

from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbformat import NotebookNode

VIEW = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
STAND_IN = "No description has been provided for this image"  # nbconvert's, where alt is missing


def as_html(notebook: NotebookNode, theme: str = "light") -> str:
    """nbconvert's page. As on any page that is only read, no widget moves in it."""
    metadata = {key: value for key, value in notebook.metadata.items() if key != "widgets"}
    still = NotebookNode({**notebook, "metadata": NotebookNode(metadata)})
    return HTMLExporter(theme=theme).from_notebook_node(still)[0]


def in_widgets(notebook: NotebookNode) -> str:
    """The HTML that the notebook's widgets hold."""
    states = notebook.metadata.get("widgets", {}).get(STATE, {}).get("state", {}).values()
    return "".join(s["state"].get("value", "") for s in states if s["model_name"] == "HTMLModel")


def descriptions(html: str) -> list[str]:
    """The alternative text of every image of a page; empty where there is none."""
    alts = [image.get("alt", "") for image in BeautifulSoup(html, "html.parser").select("img")]
    return ["" if alt == STAND_IN else alt.strip() for alt in alts]


def moving(notebook: NotebookNode) -> Iterator[NotebookNode]:
    """The cells that show widgets, tqdm's bars apart, which leave a line of text by themselves."""
    for cell in notebook.cells:
        shown = [output.get("data", {}) for output in cell.get("outputs", ())]
        if any(VIEW in data and "%|" not in data["text/plain"] for data in shown):
            yield cell
