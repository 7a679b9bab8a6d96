"""Make the notebooks and the bundles' data from the lessons' sources and the exercises."""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import nbformat
import torch
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from torch import Tensor

from helpers.codec import BadDataError, pack, unpack

from .exercises import LESSONS, exercises
from .lesson_frame import framed
from .lessons import (
    BEGIN,
    DATA,
    END,
    ESSAY,
    EVIDENCE,
    INDEX,
    NOTEBOOKS,
    ROOT,
    SHOWN,
    SOLUTIONS,
    Cell,
    lesson_path,
    read_source,
    write_notebook,
)
from .nbgrader_api import run_api

HIDDEN = """### BEGIN HIDDEN TESTS
from autograde.grading.inkernel import score

score({name!r}, {name})
### END HIDDEN TESTS"""
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def build(root: Path) -> list[Path]:
    """Write every built file under `root`, laid out as in the checkout; return their paths."""
    written = [path for lesson in LESSONS for path in _build_lesson(root, lesson)]
    written += generate(root, list(LESSONS))
    index = {lesson: list(exercises(lesson)) for lesson in LESSONS}
    # The course's own answers are for readers who have one; see `release`.
    return [*written, _write(root, SHOWN, shown_solutions()), _write(root, INDEX, index)]


def _write(root: Path, path: Path, value: Any) -> Path:
    """As JSON, where it stands in the checkout, under `root`."""
    path = root / path.relative_to(ROOT)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(value, ensure_ascii=False, indent=1)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path


def shown_solutions() -> dict[str, dict[str, Any]]:
    """By the exercise: the source of its cell, and why it is so."""
    return {
        cell.name: {
            "source": "\n".join(_without_marks(cell.source)),
            "why": exercises(lesson)[cell.name].reasons(),
        }
        for lesson in LESSONS
        for cell in read_source(lesson)
        if cell.kind in ("exercise", "quiz")
    }


def _without_marks(source: str) -> list[str]:
    return [line for line in source.splitlines() if line.strip() not in (BEGIN, END)]


def _build_lesson(root: Path, lesson: str) -> list[Path]:
    notebook = lesson_path(root / SOLUTIONS.relative_to(ROOT), lesson)
    data = root / DATA.relative_to(ROOT) / f"{lesson}.safetensors"
    for path in (notebook, data):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_notebook(notebook, source_notebook(lesson))
    made = pack([exercise.visible() for exercise in exercises(lesson).values()])
    if not same(data, made):  # a digit that another processor rounds otherwise is no change
        data.write_bytes(made)
    return [notebook, data]


def source_notebook(lesson: str) -> nbformat.NotebookNode:
    """The instructor's notebook: solutions and hidden tests in it, for nbgrader to release."""
    cells = framed(lesson, [_notebook_cell(cell) for cell in read_source(lesson)])
    for position, cell in enumerate(cells):
        cell["id"] = f"{lesson[:2]}-{position:03d}"
    notebook = new_notebook(cells=cells, metadata=METADATA)
    notebook.nbformat_minor = 5
    return notebook


def _notebook_cell(cell: Cell) -> nbformat.NotebookNode:
    if cell.kind in ("markdown", ESSAY):
        made = new_markdown_cell(cell.source)
        if cell.kind == ESSAY:  # graded by hand: the region holds an example of a full answer
            _mark(made, cell.name, grade=True, solution=True, points=cell.points)
        return made
    made = new_code_cell(cell.source)
    made.metadata["tags"] = [cell.kind]
    if cell.evidence:
        made.metadata[EVIDENCE] = list(cell.evidence)
    if cell.kind == "check":
        made.source += "\n" + HIDDEN.format(name=cell.name)
        _mark(made, f"test_{cell.name}", grade=True, locked=True, points=cell.points)
    elif cell.kind == "quiz":
        made.source = f"{BEGIN}\n{cell.source}\n{END}"
        _mark(made, cell.name, solution=True)
    elif cell.kind == "exercise":
        _mark(made, cell.name, solution=True)
    elif cell.kind == "setup":
        _mark(made, "setup", locked=True)
    return made


def _mark(
    cell: nbformat.NotebookNode,
    grade_id: str,
    grade: bool = False,
    locked: bool = False,
    solution: bool = False,
    points: int | None = None,
) -> None:
    """nbgrader's metadata for a cell."""
    mark: dict[str, Any] = {"grade": grade, "grade_id": grade_id, "locked": locked}
    mark |= {"schema_version": 3, "solution": solution, "task": False}
    if points is not None:
        mark["points"] = points
    cell.metadata["nbgrader"] = mark


def generate(root: Path, lessons: list[str]) -> list[Path]:
    """Student notebooks under `root`/notebooks by nbgrader's own generate_assignment."""
    from nbgrader.apps import NbGraderAPI  # 2 s to import: only where it is needed
    from traitlets.config import Config

    from .settings import configure

    written = []
    with tempfile.TemporaryDirectory() as scratch:
        config = configure(Config(), scratch)
        config.GenerateAssignment.no_database = True
        config.SaveCells.enabled = False
        api = NbGraderAPI(config=config)
        for lesson in lessons:
            source = lesson_path(Path(scratch, "source"), lesson)
            source.parent.mkdir(parents=True)
            shutil.copy(lesson_path(root / "solutions", lesson), source)
            run_api(api.generate_assignment, lesson)
            target = lesson_path(root / NOTEBOOKS.relative_to(ROOT), lesson)
            target.parent.mkdir(parents=True, exist_ok=True)
            made = nbformat.read(lesson_path(Path(scratch, "release"), lesson), as_version=4)
            write_notebook(target, made)
            written.append(target)
    return written


def stale() -> list[Path]:
    """The built files of the checkout that differ from what its sources make now."""
    with tempfile.TemporaryDirectory() as scratch:
        made = Path(scratch)
        for lesson in LESSONS:
            lesson_path(made / "solutions", lesson).parent.mkdir(parents=True)
        wanted = {path.relative_to(made): path.read_bytes() for path in build(made)}
        different = [ROOT / name for name, data in wanted.items() if not same(ROOT / name, data)]
    built = [
        SHOWN,
        INDEX,
        *SOLUTIONS.glob("*/*.ipynb"),
        *NOTEBOOKS.glob("*/*"),
        *DATA.glob("*.safetensors"),
    ]
    return different + [path for path in built if path.relative_to(ROOT) not in wanted]


def same(path: Path, made: bytes) -> bool:
    """Byte for byte; data up to rounding, which differs between processors."""
    if not path.is_file():
        return False
    if path.suffix != ".safetensors":
        return path.read_bytes() == made
    try:
        return _alike(unpack(path.read_bytes()), unpack(made))
    except BadDataError:
        return False


def _alike(one: Any, other: Any, atol: float = 1e-5) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        if one.dtype != other.dtype or one.shape != other.shape:
            return False
        pair = (tensor.double() for tensor in (one, other))
        return torch.allclose(*pair, rtol=1e-3, atol=atol, equal_nan=True)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _alike(one[key], other[key], atol) if key != "answers" else _answers_alike(one, other)
            for key in one
        )
    if isinstance(one, list) and isinstance(other, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(_alike(*pair, atol) for pair in pairs)
    if isinstance(one, float) and isinstance(other, float):
        return _alike(torch.tensor(one), torch.tensor(other), atol)
    return one == other


def _answers_alike(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """A mistake's answers, up to what it is declared to be off by."""
    rough = [one["rough"].get(str(number), 0.0) for number in range(len(one["answers"]))]
    pairs = zip(one["answers"], other["answers"], rough, strict=False)
    return len(one["answers"]) == len(other["answers"]) and all(
        _alike(mine, others, max(1e-5, how)) for mine, others, how in pairs
    )
