"""What a lesson asks to write, ungraded: a right answer is told so, a wrong one is not."""

from dataclasses import dataclass

import pytest

from autograde.course.exercises import LESSONS
from autograde.course.lessons import Cell, read_source


@dataclass(frozen=True)
class Hole:
    """right, wrong: what may stand in place of the line with dots, of the one cell that has it.

    said: what the cell below tells the right ones alone.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    said: str


# By the lesson, and by the line with dots without its indent.
HOLES: dict[str, dict[str, Hole]] = {
    "03_penalized_objective": {
        "return ...": Hole(
            right=(
                "d = log_policy - log_ref\nreturn beta * (d[one] - d[other])",
                "d = beta * (log_policy - log_ref)\nreturn d[one] - d[other]",
                "d = beta * (log_policy - log_ref).double()\nreturn float(d[one] - d[other])",
            ),
            wrong=(
                "return log_policy[one] - log_ref[one] - log_policy[other] + log_ref[other]",
                "return beta * (log_policy[one] - log_policy[other])",
                "d = log_policy - log_ref\nreturn beta * (d[other] - d[one])",
                "return beta * (log_policy[one] - log_ref[one])",
                "return 0.4",
            ),
            said="Every difference is told",
        ),
        "_guess = ...": Hole(
            right=(
                "_guess = _spread / math.sqrt(2 * 0.01)",
                "_guess = float((_spread**2 / 0.02) ** 0.5)",
                "_guess = 7.07 * _spread",
                "_guess = 3.8",
            ),
            wrong=(
                "_guess = _spread / math.sqrt(0.01)",
                "_guess = _spread**2 / 0.02",
                "_guess = _spread / 0.02",
                "_guess = _spread",
                "_guess = math.sqrt(_spread / 0.02)",
                "_guess = 0.01",
            ),
            said="Within a tenth of 0.01",
        ),
    },
}


def _dotted(cell: Cell) -> list[str]:
    lines = cell.source.splitlines() if cell.kind == "demo" else []
    return [line for line in lines if line.split("#")[0].rstrip().endswith(" ...")]


def _told(scope: dict, cell: Cell, below: Cell, line: str, instead: str, capsys) -> str:
    """What the cell below prints."""
    scope = dict(scope)
    indent = line[: len(line) - len(line.lstrip())]
    exec(cell.source.replace(line, indent + instead.replace("\n", f"\n{indent}")), scope)
    capsys.readouterr()
    exec(below.source, scope)
    return capsys.readouterr().out


@pytest.mark.parametrize("lesson", HOLES)
def test_a_right_one_is_told_from_a_wrong_one(lesson, capsys):
    cells = [c for c in read_source(lesson) if c.kind not in ("markdown", "check", "predict")]
    scope: dict = {"__name__": "__main__"}
    met = set()
    for cell, below in zip(cells, [*cells[1:], cells[-1]], strict=True):
        for line in _dotted(cell):
            hole = HOLES[lesson][line.strip()]
            met.add(line.strip())
            for instead in hole.right:
                assert hole.said in _told(scope, cell, below, line, instead, capsys), instead
            for instead in (*hole.wrong, line.strip()):
                assert hole.said not in _told(scope, cell, below, line, instead, capsys), instead
        if cell.kind != "essay":
            exec(cell.source, scope)
    assert met == set(HOLES[lesson])


def test_every_hole_is_known():
    found = {name: {h.strip() for c in read_source(name) for h in _dotted(c)} for name in LESSONS}
    assert {name: holes for name, holes in found.items() if holes} == {
        name: set(holes) for name, holes in HOLES.items()
    }
