"""Who may import whom, as pyproject.toml has it: `tool.importlinter`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# Its settings name the packages, which are looked for in the current folder first.
LINT = (
    "import sys; sys.path.insert(0, '.'); from importlinter.cli import lint_imports; "
    "sys.exit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
)


def linted(root):
    return subprocess.run([sys.executable, "-c", LINT], cwd=root, capture_output=True, text=True)


def test_every_room_imports_downwards():
    ran = linted(ROOT)
    assert ran.returncode == 0, ran.stdout


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("autograde/term/store.py", "from ..grading import judging",
         "autograde.term.store -> autograde.grading.judging"),
        ("autograde/receiving/matching.py", "from ..grading import essays",
         "autograde.receiving.matching -> autograde.grading.essays"),
        ("helpers/checking.py", "from autograde.course import draw",
         "helpers.checking -> autograde.course.draw"),
        ("autograde/grading/inside/confine.py", "import helpers.reference",
         "autograde.grading.inside.confine -> helpers.reference"),
        ("autograde/lost.py", "import math", "autograde.lost"),
    ],
)  # fmt: skip
def test_an_import_upwards_is_told(module, line, told, tmp_path):
    for name in ("autograde", "helpers"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("data"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / module).open("a") as file:
        file.write(f"\n{line}\n")
    ran = linted(tmp_path)
    assert ran.returncode == 1
    assert told in ran.stdout
