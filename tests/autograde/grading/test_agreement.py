"""What the visible check calls right, in a notebook that is run top to bottom, grading calls right.

Each notebook of the table is run as Jupyter runs it, up to the check of the exercise, and graded.
"""

from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import pytest
from nbformat.v4 import new_code_cell

from autograde.course.as_cells import handed_in
from autograde.course.exercises import exercise
from autograde.course.lessons import checkout_base, grade_id, setup_modules
from autograde.course.sample import solutions
from autograde.grading.judging import judge_reply
from autograde.grading.rebuild import rebuild
from autograde.grading.sandbox import Sandbox
from autograde.grading.steps import program
from tests.as_in_jupyter import in_jupyter
from tests.some import some

LESSON = "02_divergence"
RIGHT = "def k1(logp, ref_logp):\n    return logp - ref_logp.detach()\n"
USES = "def k1(logp, ref_logp):\n    return {}\n"
GAP = "def apart_by(a, b):\n    return a - b.detach()\n"
CALLS = USES.format("apart_by(logp, ref_logp)")
PLUS = USES.format("logp - ref_logp.detach() + {}").format


@dataclass(frozen=True)
class Notebook:
    """answer: k1's cell. before, after: cells beside it. setup, first, last: what is written below
    the setup, into the demo before k1, and into the last demo before it. lost: without metadata."""

    answer: str = RIGHT
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    setup: str = ""
    demo: str = ""
    check: str = ""
    lost: bool = False


def above(*lines: str) -> dict[str, Notebook]:
    """Each line above the answer, and above a helper in a cell of its own."""
    made = {}
    for line in lines:
        made[f"{line} | answer"] = Notebook(f"{line}\n{RIGHT}")
        made[f"{line} | helper"] = Notebook(CALLS, before=(f"{line}\n{GAP}",))
    return made


NOTEBOOKS = {
    "plain": Notebook(),
    **above(
        "!true",
        "!!true",
        "%system true",
        "listed = !true",
        "%matplotlib inline",
        "%config InlineBackend.figure_format = 'retina'",
        "%load_ext autoreload",
        "%env SOMETHING=1",
        "%who",
        "%pip --version",
        "get_ipython().system('true')",
        "name = input('your name? ')",
        "from IPython.display import HTML, display\ndisplay(HTML('x'))",
        "from IPython.display import clear_output\nclear_output(wait=True)",
        "from google.colab import files, drive\ndrive.mount('/content/drive')\nfiles.download('x')",
        "import google.colab\nfrom google.colab import files\nassert files.upload() == {}",
        "#@title Mine\nSTEPS = 3 #@param {type: 'integer'}\n# @markdown words",
        "from __future__ import annotations",
        "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "from tqdm.auto import tqdm\nlist(tqdm(range(3)))",
        "from tqdm.notebook import tqdm\nlist(tqdm(range(3)))",
        "from ipywidgets import interact\ninteract(lambda x: x, x=(0, 3))",
        "import asyncio\nawait asyncio.sleep(0)",
        "%time sum(range(9))",
        "%timeit -n 1 -r 1 sum(range(9))",
        "kept = %timeit -o -n 1 -r 1 sum(range(9))\nassert kept.average >= 0",
        "%%time",
        "%%capture",
        "%%capture printed",
        "\n%%time",
        "%%time\n!true",
    ),
    "cells that are no Python": Notebook(
        before=(
            "%%bash\ntrue",
            "%%html\n<b>x</b>",
            "%%javascript\n1",
            "%%sh\ntrue",
            "%%script cat\nx",
        )
    ),
    "a file written and imported": Notebook(
        CALLS, before=(f"%%writefile /tmp/mine_apart.py\n{GAP}", "%run /tmp/mine_apart.py")
    ),
    "timeit binds nothing": Notebook(
        "try:\n    MINE\nexcept NameError:\n    " + RIGHT.replace("\n", "\n    ").strip(),
        before=("%%timeit -n 1 -r 1\nMINE = 1",),
    ),
    "magic of one's own": Notebook(
        before=(
            "from IPython.core.magic import register_cell_magic\n\n@register_cell_magic\n"
            "def skip(line, cell):\n    return",
            "%%skip\nraise ValueError",
        )
    ),
    "display in the answer": Notebook(
        "def k1(logp, ref_logp):\n    display(logp)\n    return logp - ref_logp.detach()"
    ),
    "a program in the answer": Notebook(
        "def k1(logp, ref_logp):\n    !true\n    return logp - ref_logp.detach()"
    ),
    "compiled": Notebook(f"@torch.compile\n{RIGHT}"),
    "compiled, with options": Notebook(
        f"@torch.compile(fullgraph=True, mode='max-autotune')\n{RIGHT}"
    ),
    "compiled around shapes": Notebook(f"@torch.compile\n@shaped\n{RIGHT}"),
    "compiled within shapes": Notebook(f"@shaped\n@torch.compile(dynamic=True)\n{RIGHT}"),
    "compiled, renamed": Notebook(f"@torch.compile\n{RIGHT}".replace("ref_logp", "q")),
    "compiled helper": Notebook(CALLS, before=(f"@torch.compile\n{GAP}",)),
    "compiled module": Notebook(
        USES.format("difference(logp, ref_logp)"),
        before=(
            "class Difference(torch.nn.Module):\n    def forward(self, a, b):\n"
            "        return a - b.detach()\n\ndifference = torch.compile(Difference())",
        ),
    ),
    "scripted": Notebook(f"@torch.jit.script\n{RIGHT}"),
    "scripted, renamed": Notebook(f"@torch.jit.script\n{RIGHT}".replace("ref_logp", "q")),
    "traced": Notebook(f"{RIGHT}\nk1 = torch.jit.trace(k1, (torch.zeros(3), torch.zeros(3)))"),
    "vmap": Notebook(
        USES.format(
            "torch.vmap(lambda a, b: a - b)(logp.flatten(), ref_logp.detach().flatten())"
            ".reshape(logp.shape)"
        )
    ),
    "grad of torch.func": Notebook(
        f"assert torch.func.grad(lambda x: x**2)(torch.tensor(1.0)) == 2\n{RIGHT}"
    ),
    "cached": Notebook(f"import functools\n\n@functools.cache\n{RIGHT}"),
    "a dataclass": Notebook(
        USES.format("Pair(logp, ref_logp.detach()).gap()"),
        before=(
            "from __future__ import annotations\nfrom dataclasses import dataclass\n\n@dataclass\n"
            "class Pair:\n    a: Tensor\n    b: Tensor\n\n    def gap(self) -> Tensor:\n"
            "        return self.a - self.b",
        ),
    ),
    "getsource": Notebook(f"{RIGHT}\nimport inspect\nassert 'detach' in inspect.getsource(k1)"),
    "async function": Notebook(
        f"async def one():\n    return 1\n\nassert await one() == 1\n\n{RIGHT}"
    ),
    "lost metadata, timed": Notebook(f"%%time\n{RIGHT}", lost=True),
    "lost metadata, captured, pip": Notebook(f"%%capture\n%pip --version\n{RIGHT}", lost=True),
    "constant in setup": Notebook(PLUS("EPS"), setup="EPS = 0.0"),
    "constants in setup": Notebook(PLUS("EPS + ZERO"), setup="EPS, ZERO = 0.0, 0\nEPS *= 2"),
    "annotated constant in setup": Notebook(PLUS("EPS"), setup="EPS: float = 0.0"),
    "walrus in setup": Notebook(PLUS("EPS"), setup="print(EPS := 0.0)"),
    "constant of a constant": Notebook(PLUS("EPS"), setup="ONE = 1\nEPS = ONE - 1"),
    "item set in setup": Notebook(
        PLUS("CONFIG['eps']"), setup="CONFIG = {'eps': 5}\nCONFIG['eps'] = 0"
    ),
    "attribute set in setup": Notebook(
        PLUS("CONFIG.eps"),
        setup="from types import SimpleNamespace\nCONFIG = SimpleNamespace(eps=5)\nCONFIG.eps = 0",
    ),
    "loop in setup": Notebook(
        PLUS("TABLE[0]"),
        setup="TABLE = []\nfor x in (0, 1):\n    twice = 2 * x\n    TABLE.append(twice)",
    ),
    "with in setup": Notebook(
        PLUS("EPS"), setup="with torch.no_grad():\n    EPS = torch.zeros(())"
    ),
    "try in setup": Notebook(PLUS("EPS"), setup="try:\n    EPS\nexcept NameError:\n    EPS = 0"),
    "function in setup": Notebook(CALLS, setup=GAP),
    "import in setup": Notebook(PLUS("math.log(1)"), setup="import math"),
    "magic and constant in setup": Notebook(
        PLUS("EPS"), setup="%matplotlib inline\n!true\nEPS = 0.0"
    ),
    "default dtype in setup": Notebook(
        PLUS("(torch.zeros(()).dtype != torch.float64)"),
        setup="torch.set_default_dtype(torch.float64)",
    ),
    "constant in a demo": Notebook(PLUS("EPS"), demo="EPS = 0.0"),
    "constant in a demo's if": Notebook(
        PLUS("EPS"), demo="if ready('categorical_kl'):\n    EPS = 0.0\n    print(EPS)"
    ),
    "item set in a demo": Notebook(
        PLUS("CONFIG['eps']"), before=("CONFIG = {'eps': 0}",), demo="CONFIG['other'] = 0"
    ),
    "helper in a demo": Notebook(CALLS, demo=GAP),
    "constant in a check": Notebook(PLUS("EPS"), check="EPS = 0.0"),
    "constant in the last cell above": Notebook(PLUS("EPS"), before=("EPS = 0.0",)),
    "constant after the answer": Notebook(PLUS("EPS"), after=("EPS = 0.0",)),
    "global in a function": Notebook(
        PLUS("EPS"), setup="def choose():\n    global EPS\n    EPS = 0.0\n\nchoose()"
    ),
    "a name out of text": Notebook(PLUS("globals()['EPS']"), setup="EPS = 0.0"),
}


NOW = [*NOTEBOOKS][::8]  # some of each kind: they stand in groups


def written(one: Notebook):
    """The solved lesson with the changes of `one`."""
    notebook = handed_in(checkout_base(LESSON), solutions(LESSON))
    slot = next(cell for cell in notebook.cells if grade_id(cell) == "k1")
    slot.source, place = one.answer, notebook.cells.index(slot)
    for kind, text in (("setup", one.setup), ("demo", one.demo), ("check", one.check)):
        tagged = [c for c in notebook.cells[:place] if kind in c.metadata.get("tags", ())]
        if text:
            tagged[-1].source += f"\n{text}"
    cells = notebook.cells
    cells[place : place + 1] = [
        *map(new_code_cell, one.before), slot, *map(new_code_cell, one.after)
    ]  # fmt: skip
    if one.lost:
        slot.metadata = {}
    return notebook


def as_run(notebook, base) -> list[str | None]:
    """The cells up to the check of k1; of the lesson's demos and checks those that were edited."""
    own = {cell.source for cell in base.cells}
    cells = []
    for cell in notebook.cells:
        if grade_id(cell) == "test_k1":
            return [*cells, None]
        kept = cell.source not in own or "setup" in cell.metadata.get("tags", ())
        if cell.cell_type == "code" and kept:
            cells.append(cell.source)
    raise AssertionError("there is no check")


@pytest.fixture(scope="module")
def base():
    return checkout_base(LESSON)


@pytest.fixture(scope="module")
def visible(base):
    """The status of a notebook's visible check; those for now, or all others, are run at once."""

    @cache
    def statuses(now):
        names = [name for name in NOTEBOOKS if (name in NOW) == now]
        cases = [{"cells": as_run(written(NOTEBOOKS[name]), base), "name": "k1"} for name in names]
        return dict(zip(names, in_jupyter(cases), strict=True))

    return lambda name: statuses(name in NOW)[name]


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox("fork", setup_modules((LESSON,))) as one:
        yield one


@pytest.mark.parametrize("name", some(NOTEBOOKS, NOW.__contains__))
def test_what_is_right_in_jupyter_gets_full_points(name, visible, sandbox, base):
    cases = exercise("k1").hidden_cases(b"agreement")
    steps = list(program(rebuild(base, deepcopy(written(NOTEBOOKS[name])))))
    reply = sandbox.ask(steps, {"k1": cases})["k1"]
    verdict = judge_reply(exercise("k1"), cases, reply)
    assert visible(name) == "right"  # else the table holds no example of the rule
    assert verdict.points == exercise("k1").points, verdict.failures[:1]
