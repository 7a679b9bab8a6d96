"""Make the student bundle: the notebooks and `helpers` without the answers."""

import shutil
import tomllib
from pathlib import Path

from ..common.errors import UsageError
from ..common.files import require_place
from ..course.exercises import LESSONS
from ..course.lesson_frame import address_frame, frame_addresses
from ..course.lessons import NOTEBOOKS, ROOT, SHOWN, lesson_path, write_notebook

ANSWERS = "reference"  # the folder of helpers that no student gets
PYPROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
description = "{description}"
requires-python = "{python}"
# A hosted notebook, such as Colab's, has its own of what is in lab, and keeps it as it is.
dependencies = [
{dependencies}
]

[project.optional-dependencies]
lab = [
{lab}
]

[tool.hatch.build.targets.wheel]
packages = ["helpers"]
"""
HOSTED = ("torch", "numpy", "matplotlib", "ipywidgets")  # what every hosted notebook has
ENVIRONMENT = """name: {name}
channels: [conda-forge]
dependencies:
  - python>=3.11
  - pip>=26.2
  - pip:
      - -c requirements.lock
      - .[lab]
"""
README = """# {description}

Install what the notebooks import, in this folder, with Python 3.11 or later:

    python3 -m venv .venv
    .venv/bin/python -m pip install --upgrade pip
    .venv/bin/python -m pip install -c requirements.lock ".[lab]"
    .venv/bin/python -m jupyter lab notebooks

On Windows, in PowerShell or a command prompt:

    py -m venv .venv
    .venv\\Scripts\\python -m pip install --upgrade pip
    .venv\\Scripts\\python -m pip install -c requirements.lock ".[lab]"
    .venv\\Scripts\\python -m jupyter lab notebooks

(With conda: `conda env create -f environment.yml`, then `conda activate {name}` and
`jupyter lab notebooks`. On a Mac older than macOS 14, or with an Intel processor, work on Google
Colab: there is no PyTorch of these versions for it.)

Begin with `notebooks/00_start_here/00_start_here.ipynb`: it shows how everything works. The
lessons:

{lessons}

Hand in a lesson with its last cell, `submit`: save the notebook, run that cell, and upload the zip
that it writes beside the notebook (`02_divergence.zip`, say) where your instructor says. The saved
`.ipynb` file does as well.

On Google Colab nothing needs installing: each lesson's first cell does it, and the last cell
downloads the zip. Keep a copy in your Drive (File, Save a copy in Drive), or the work is lost when
the page closes.
"""


def release(folder: Path, colab: str = "", quizzes: str = "kept", solutions: bool = False) -> Path:
    """Write the bundle into `folder`, which must be new or empty; whole or not at all.

    colab: where Google Colab will find the bundle, see `frame_addresses`; it is written into each
    lesson's first cell and its badge.
    quizzes: "told" where a check is to say whether a question is answered rightly, and why not;
    "kept" where only grading does. solutions: whether `solution` shows the course's own answers.
    Raises UsageError when the folder is not empty, when the notebooks are not built, or when
    `colab` is no such place.
    """
    frame_addresses("", colab)  # before anything is written
    folder = folder.resolve()
    require_place(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: not empty; name an empty or a new folder")
    missing = [p for p in (lesson_path(NOTEBOOKS, lesson) for lesson in LESSONS) if not p.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: missing; run: autograde build")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        _fill(partial, colab)
        if quizzes == "kept":
            _keep_quizzes(partial / "helpers" / "data")
        if solutions:
            shutil.copy(SHOWN, partial / "helpers" / "data" / SHOWN.name)
        if folder.exists():
            folder.rmdir()
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _fill(folder: Path, colab: str) -> None:
    import nbformat

    ignore = shutil.ignore_patterns(ANSWERS, "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=ignore)
    for lesson in LESSONS:
        target = lesson_path(folder / "notebooks", lesson)
        target.parent.mkdir(parents=True)
        notebook = nbformat.read(lesson_path(NOTEBOOKS, lesson), as_version=4)
        address_frame(lesson, notebook, colab)
        write_notebook(target, notebook)
    for name in ("LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    hosted = [line for line in project["dependencies"] if line.startswith(HOSTED)]
    light = [line for line in project["dependencies"] if line not in hosted]
    words = {
        "name": f"{project['name']}-student",
        "version": project["version"],
        "description": "Stable policy updates: the student bundle",
        "python": project["requires-python"],
        "dependencies": _listed(light),
        "lab": _listed(hosted + project["optional-dependencies"]["lab"]),
        "lessons": "\n".join(f"- `notebooks/{name}/{name}.ipynb`" for name in LESSONS),
    }
    templates = {"pyproject.toml": PYPROJECT, "environment.yml": ENVIRONMENT, "README.md": README}
    for name, template in templates.items():
        (folder / name).write_text(template.format(**words), encoding="utf-8")


def _keep_quizzes(data: Path) -> None:
    """Take out of the bundle's data what is said to each answer of a question."""
    from helpers.codec import pack, unpack  # they take seconds to import
    from helpers.sealed import TOLD

    for path in data.glob("*.safetensors"):
        exercises = unpack(path.read_bytes())
        kept = [{key: value for key, value in one.items() if key != TOLD} for one in exercises]
        path.write_bytes(pack(kept))


def _listed(lines: list[str]) -> str:
    return "\n".join(f'  "{line}",' for line in lines)
