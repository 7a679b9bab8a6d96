"""The table of limits: whole, true, and the same wherever it stands."""

import inspect
import re
from pathlib import Path

from autograde import limits
from autograde.cli import main
from autograde.course.lessons import ROOT

# What bounds our own lists and messages, and nothing that somebody handed in.
OURS = {
    "witness.MOST_SEAL",
    "guard.MOST_TOLD",
    "reporting.MOST_COMMON",
    "canvas.MOST_BYTES",
    "canvas.MOST_COLUMNS",
    "plan.MOST_POINTS",
}


def test_every_bound_of_a_stage_is_in_the_table():
    told = inspect.getsource(limits)
    bounds = {
        f"{path.stem}.{bound}"
        for path in (ROOT / "autograde").rglob("*.py")
        for line in re.findall(r"^MOST_\w[^=]*=", path.read_text("utf-8"), re.MULTILINE)
        for bound in re.findall(r"MOST_\w+", line)
    }
    assert {"unpacking.MOST_FILES", "prose.MOST_IMAGES"} <= bounds
    assert {one for one in bounds - OURS if one not in told} == set()


def test_the_table_is_the_same_in_the_docs():
    assert limits.table() in Path(ROOT, "SECURITY.md").read_text("utf-8")


def test_every_row_says_what_happens():
    for limit in limits.limits():
        assert all(vars(limit).values()), limit
        assert "|" not in "".join(vars(limit).values())


def test_the_command_prints_it(capsys):
    assert main(["limits"]) == 0
    assert capsys.readouterr().out.strip() == limits.table()
