"""Attacks by the notebook around the answers."""

from collections.abc import Iterator, Sequence

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograde.course.lessons import grade_id
from tests.hostile.entry import FULL, IMAGE, SCRIPT, WRONG, Hostile, cell_of, mangled


def _edit_demo(notebook: NotebookNode, source: str) -> None:
    demo = next(cell for cell in notebook.cells if "demo" in cell.metadata.get("tags", ()))
    demo.source = source


def _marks(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell.metadata for cell in notebook.cells if "nbgrader" in cell.metadata]


def _flip(notebook: NotebookNode) -> None:
    for mark in _marks(notebook):
        for name in ("grade", "locked", "solution"):
            mark.nbgrader[name] = not mark.nbgrader[name]
        mark.nbgrader["points"] = 1000


def _strip(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = NotebookNode()


def _double(notebook: NotebookNode) -> None:
    notebook.cells = [cell for cell in notebook.cells for _ in range(2)]


def _without_checks(notebook: NotebookNode) -> None:
    notebook.cells = [c for c in notebook.cells if not grade_id(c).startswith("test_")]


def _own_checks(notebook: NotebookNode) -> None:
    cell_of(notebook, "k1").source = WRONG
    for cell in notebook.cells:
        if grade_id(cell).startswith("test_"):
            cell.source = "4.0"
            cell.outputs = [{"output_type": "execute_result", "data": {"text/plain": "4.0"},
                             "metadata": {}, "execution_count": 1}]  # fmt: skip


def _absurd(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        cell["id"] = "../" * 30 + "\0" * number
        cell.source = cell.source.splitlines(keepends=True)
        cell.metadata["tags"] = [{"a": []}, None, 3]
        cell["attachments"] = {f"../{number}": {}}
    notebook.cells += [new_code_cell("", metadata={"nbgrader": mark}) for mark in ODD_MARKS]
    notebook["nbformat_minor"] = 99


ODD_MARKS = ("x", 3, {"grade_id": ["k1"]}, {"grade_id": "k1", "solution": {}, "points": "nan"})
ODD_CELLS = (
    {},
    {"cell_type": "code"},
    {"cell_type": ["code"], "metadata": {}, "source": ""},
    {"cell_type": "code", "metadata": 3, "source": "", "outputs": 3},
    {"cell_type": "markdown", "metadata": {}, "source": "", "attachments": {"x": [1]}},
    {"cell_type": "code", "metadata": {}, "source": [1, None], "outputs": []},
)


def _surrogates(notebook: NotebookNode) -> None:
    cell_of(notebook, "k2").source += "\n# \ud800"
    notebook.cells.append(new_code_cell("'\ud800'"))
    notebook.cells.append(new_markdown_cell("\udfff"))


def mangling() -> Iterator[Hostile]:
    """Of the notebook around the answers."""
    yield mangled(
        "deep-demo",
        "edits a cell that is not for editing into a function too deep to be written back",
        lambda notebook: _edit_demo(notebook, "def deep():\n    return " + "1+" * 2500 + "1"),
    )
    yield mangled("flipped", "flips every cell's metadata and asks for 1,000 points", _flip)
    yield mangled("stripped", "deletes all metadata", _strip)
    yield mangled("doubled", "has every cell twice, metadata included", _double)
    yield mangled("no-checks", "deletes the cells that hold points", _without_checks)
    yield mangled(
        "own-checks", "writes points into the cells that hold them", _own_checks, earns={"k1": 0}
    )
    yield mangled(
        "points-again",
        "has a second cell of k1's check, with points of its own, and no answer",
        lambda n: (cell_of(n, "k1").update(source=WRONG), n.cells.append(cell_of(n, "test_k1"))),
        earns={"k1": 0},
    )
    yield mangled("absurd", "has absurd ids, tags, marks and sources", _absurd)
    for number, odd in enumerate(ODD_CELLS):
        yield mangled(
            f"odd-cell-{number}", f"has a cell that is none: {odd}",
            lambda notebook, odd=odd: notebook.cells.append(odd), unreadable="not a notebook",
        )  # fmt: skip
    yield mangled("surrogates", "holds text that is no Unicode", _surrogates)
    yield mangled(
        "many-cells",
        "adds 10,000 cells",
        lambda n: n.cells.extend(new_code_cell(f"x = {i}") for i in range(10000)),
        unreadable="more than 5,000 cells",
    )
    yield mangled(
        "markdown",
        "adds prose with scripts, and a script in an answer's comment",
        lambda n: (
            n.cells.append(new_markdown_cell(SCRIPT + IMAGE)),
            n.cells.append(new_code_cell(f"'''{SCRIPT}{IMAGE}'''")),
            cell_of(n, "k2").update(source=cell_of(n, "k2").source + f"\n# {SCRIPT}{IMAGE}"),
        ),
    )
    yield mangled(
        "other-kernel",
        "is for another language",
        lambda n: n.metadata.update(kernelspec={"language": "julia", "name": "j"}),
        unreadable="its kernel is for 'julia'",
    )


def crowding() -> Iterator[Hostile]:
    """Notebooks that are small to send and long to rebuild."""
    large = {"spoils": tuple(FULL), "refusable": True}
    for name, tries, change in (
        ("cells-empty", "adds 100,000 empty cells", lambda n: _add(n, [""] * 100_000)),
        ("cells-claim", "answers k1 in 20,000 cells",
         lambda n: _add(n, [f"def k1(a, b):\n    return {i}" for i in range(20_000)])),
        ("cells-names", "defines all in one cell, 5,000 times",
         lambda n: _add(n, ["\n".join(f"{name} = 0" for name in FULL)] * 5_000)),
        ("cells-marked", "marks 20,000 cells as k1's", lambda n: n.cells.extend(
            [cell_of(n, "k1")] * 20_000)),
        ("source-lists", "has a source of a million texts",
         lambda n: cell_of(n, "k2").update(source=["\n"] * 10**6 + [cell_of(n, "k2").source])),
        ("chain", "edits a demo into 15,000 statements that need one another",
         lambda n: (_edit_demo(n, "\n".join(f"a{i} = a{i + 1}" for i in range(14_000))),
                    _add(n, ["b = a0"]))),
        ("chain-back", "edits a demo into 14,000 statements, each in need of the one before",
         lambda n: (_edit_demo(n, "\n".join(f"a{i + 1} = a{i}" for i in range(14_000))),
                    _add(n, ["b = a14000"]))),
        ("blocks", "edits a demo into blocks within blocks",
         lambda n: (_edit_demo(n, "".join(f"{' ' * i}if x{i}:\n" for i in range(90))
                               + " " * 90 + "a = 1"), _add(n, ["b = a"]))),
        ("scopes", "edits a demo into a function of 10,000 functions", lambda n: (
            _edit_demo(n, "def f():\n" + "    (lambda: a)\n" * 10_000), _add(n, ["f()"]))),
        ("numbers", "has six megabytes of zeros in a list in its answer",
         lambda n: cell_of(n, "k1").update(source=WRONG + "\nx = [" + "0," * 3_000_000 + "0]")),
        ("numbers-added", "has them in a cell of its own",
         lambda n: _add(n, ["x = [" + "0," * 3_000_000 + "0]"])),
        ("numbers-demo", "has them in a demo",
         lambda n: _edit_demo(n, "x = [" + "0," * 3_000_000 + "0]")),
        ("names-long", "has a name of five million letters", lambda n: _add(n, ["x" * 5_000_000])),
        ("folded", "has a name whose letters are folded into others",
         lambda n: _add(n, ["\ufdfa" * 200_000 + " = 1"])),
        ("braces", "nests f-strings and braces",
         lambda n: _add(n, ["f'" + "{" * 3000 + "'", "x = " + "{" * 3000])),
        ("globals", "declares 20,000 names global", lambda n: _edit_demo(
            n, "def f():\n    global " + ", ".join(f"a{i}" for i in range(20_000)))),
        ("mark-long", "has a mark of ten megabytes", lambda n: n.cells.append(_marked(
            {"nbgrader": {"grade_id": "k1" * 5_000_000, "solution": True}}))),
        ("tags", "has a cell of a million tags",
         lambda n: n.cells.append(_marked({"tags": ["demo"] * 10**6}))),
        ("attached-code", "attaches 40 MB to a cell of code", lambda n: cell_of(n, "k1").update(
            attachments={"x": {"image/png": "A" * 40_000_000}})),
        ("predictions", "predicts in 4,500 cells, deep in brackets, with what would have to be run",
         lambda n: (_add(n, ['predict("drift", ' + "(" * 1500 + '"A"' + ")" * 150] * 500),
                    _add(n, ['predict("drift", open("/etc/passwd").read())', 'predict("k1", k1)',
                             'predict("drift", "\ud800\x1b")', "predict(" * 4] * 1000))),
        ("prompts", "repeats a lesson's text in 5,000 cells", lambda n: n.cells.extend(
            {"cell_type": "markdown", "metadata": {}, "source": c.source + " x"}
            for c in n.cells * 100 if c.cell_type == "markdown")),
    ):  # fmt: skip
        yield mangled(name, tries, change, **large)


def _marked(metadata: dict) -> NotebookNode:
    return NotebookNode(new_code_cell("x = 1"), metadata=metadata)


def _add(notebook: NotebookNode, sources: Sequence[str]) -> None:
    cell = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    notebook.cells += [cell | {"source": source} for source in sources]  # unchecked: they are many


KINDS = (mangling, crowding)
