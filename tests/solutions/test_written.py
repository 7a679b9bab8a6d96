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
    "02_divergence": {
        "return ...": Hole(
            right=(
                "return (words_before(policy) * categorical_kl(policy, ref)).sum(-1)",
                "return torch.linalg.vecdot(words_before(policy), categorical_kl(policy, ref))",
            ),
            wrong=(
                "return (words_before(ref) * categorical_kl(policy, ref)).sum(-1)",
                "return (words_before(policy) * categorical_kl(ref, policy)).sum(-1)",
                "return (words_before(policy) * categorical_kl(policy, ref)).mean(-1)",
                "return words_before(policy) * categorical_kl(policy, ref)",
                "return categorical_kl(policy, ref).sum(-1)",
            ),
            said="So your sum is the KL(policy ‖ old) of whole responses",
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
