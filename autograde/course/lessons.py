"""Where the lessons are, and what the cells of their sources mean."""

import ast
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.predicted import ASKED

from ..common.errors import UsageError, did_you_mean, shown
from .exercises import LESSONS, exercises
from .predictions import cell_of

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

ROOT = Path(__file__).resolve().parents[2]
SOLUTIONS = ROOT / "solutions"
NOTEBOOKS = ROOT / "notebooks"
DATA = ROOT / "helpers" / "data"
INDEX = DATA / "index.json"
SHOWN = ROOT / "helpers" / "reference" / "solutions.json"
KINDS = ("setup", "exercise", "check", "quiz", "predict", "demo")
ESSAY, EVIDENCE = "essay", "evidence"
DUE = "due"  # in a released notebook's metadata: a time with its zone, for `submit`
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@dataclass(frozen=True)
class Cell:
    """kind: "markdown", "essay" or one of KINDS. name: of an exercise or a prediction.

    evidence: the essays whose rubrics ask about what a student saw in this cell.
    """

    kind: str
    source: str
    name: str = ""
    points: int = 0
    evidence: tuple[str, ...] = ()


def lesson_path(folder: Path, lesson: str, suffix: str = ".ipynb") -> Path:
    """NN_name/NN_name.ipynb under `folder`."""
    return folder / lesson / f"{lesson}{suffix}"


def known_lesson(name: str, among: Collection[str] = LESSONS) -> str:
    """The lesson that `name` means: its id, or a beginning of it such as "02".

    among: the lessons that a term gives. Raises UsageError when none or several begin like that.
    """
    found = [lesson for lesson in among if lesson.startswith(name)]
    if len(found) != 1:
        near = did_you_mean(name, among)
        raise UsageError(f"no lesson {shown(name)!r}{near}; give one of {', '.join(among)}")
    return found[0]


def read_source(lesson: str) -> list[Cell]:
    """The cells of a lesson's py:percent source.

    Raises UsageError, naming the cell, when the source and the exercises disagree.
    """
    path = lesson_path(SOLUTIONS, lesson, ".py")
    import jupytext

    notebook = jupytext.reads(path.read_text(encoding="utf-8"), "py:percent")
    cells = [_read_cell(path, i, cell) for i, cell in enumerate(notebook.cells)]
    _must_match(path, lesson, cells)
    return cells


@cache
def setup_modules(lessons: tuple[str, ...]) -> tuple[str, ...]:
    """The modules that the lessons' setup cells import: a warm process imports them once."""
    found: set[str] = set()
    for lesson in lessons:
        setup = next(cell for cell in read_source(lesson) if cell.kind == "setup")
        for node in ast.walk(ast.parse(setup.source)):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    return tuple(sorted(found))


def _read_cell(path: Path, position: int, cell: dict) -> Cell:
    source, metadata = cell["source"], cell["metadata"]
    points = int(metadata.get("points", 0))
    if cell["cell_type"] == "markdown":
        essay = metadata.get(ESSAY, "")
        return Cell(ESSAY if essay else "markdown", source, essay, points)
    for kind in KINDS:
        if kind in metadata:
            return Cell(kind, source, metadata[kind], points)
        if metadata.get("title") == kind:
            return Cell(kind, source, evidence=tuple(metadata.get(EVIDENCE, "").split()))
    raise UsageError(
        f"{path}: code cell {position} has no kind; begin it with one of "
        "'# %% setup', '# %% demo', '# %% exercise=\"name\"', '# %% check=\"name\" points=N', "
        "'# %% quiz=\"name\"', '# %% predict=\"name\"'"
    )


def _must_match(path: Path, lesson: str, cells: list[Cell]) -> None:
    described = exercises(lesson)
    written = [cell for cell in cells if cell.kind in ("exercise", "quiz")]
    if [cell.name for cell in written] != list(described):
        names = [cell.name for cell in written]
        raise UsageError(f"{path}: has the exercises {names}, described are {list(described)}")
    for cell in written:
        if cell.name not in defined_names(cell.source):
            raise UsageError(f"{path}: the cell of {cell.name} does not define {cell.name}")
        if cell.kind in ("exercise", ESSAY) and not (BEGIN in cell.source and END in cell.source):
            raise UsageError(f"{path}: the cell of {cell.name} lacks {BEGIN} or {END}")
    essays = {cell.name for cell in cells if cell.kind == ESSAY}
    for name in {name for cell in cells for name in cell.evidence} - essays:
        raise UsageError(f"{path}: a cell is evidence for {name}, and there is no such essay")
    _must_be_asked(path, lesson, cells)
    _must_be_checked(path, lesson, cells)
    checks = [(cell.name, cell.points) for cell in cells if cell.kind == "check"]
    wanted = [(name, exercise.points) for name, exercise in described.items()]
    if checks != wanted:
        raise UsageError(f"{path}: has the checks and points {checks}, wanted are {wanted}")


def _must_be_asked(path: Path, lesson: str, cells: list[Cell]) -> None:
    """The predictions are those that are declared, in that order, each with its choices above."""
    asked = ASKED.get(lesson, {})
    written = [cell.name for cell in cells if cell.kind == "predict"]
    if written != list(asked):
        raise UsageError(
            f"{path}: has the predictions {written}, helpers/predicted.py has {list(asked)}"
        )
    for before, cell in zip(cells, cells[1:], strict=False):
        if cell.kind != "predict":
            continue
        if cell.source != cell_of(cell.name):
            raise UsageError(f"{path}: the cell of {cell.name} is not {cell_of(cell.name)}")
        for letter, choice in asked[cell.name].choices.items():
            if f"**{letter}**: {choice}" not in " ".join(before.source.split()):
                raise UsageError(f"{path}: the text above {cell.name} lacks **{letter}**: {choice}")


def _must_be_checked(path: Path, lesson: str, cells: list[Cell]) -> None:
    """Each exercise has a check, and a name that no other lesson has: answers go by it."""
    checked = {cell.name for cell in cells if cell.kind == "check"}
    for name, exercise in exercises(lesson).items():
        if name not in checked:
            line = f'# %% check="{name}" points={exercise.points}'
            raise UsageError(f"{path}: {name} has no check; add the cell {line}")
        for other in LESSONS:
            if other != lesson and name in exercises(other):
                raise UsageError(f"{path}: {name} is an exercise of {other} too; rename one")


def defined_names(source: str) -> set[str]:
    """Names that a cell binds at its top level; none when it is not Python."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    return {name for node in tree.body for name in bound_names(node)}


def bound_names(node: ast.stmt) -> set[str]:
    """The names that a statement binds: a definition's, or those that it assigns to."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Assign | ast.AnnAssign):
        names = (child for child in ast.walk(node) if isinstance(child, ast.Name))
        return {name.id for name in names if isinstance(name.ctx, ast.Store)}
    return set()


def _require_built() -> None:
    missing = [p for p in (lesson_path(SOLUTIONS, lesson) for lesson in LESSONS) if not p.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: missing; work in a checkout, and run: autograde build")


def checkout_base(lesson: str) -> "NotebookNode":
    """The student notebook of the checkout, for grading a file without a term."""
    import nbformat

    _require_built()
    return nbformat.read(lesson_path(NOTEBOOKS, lesson), as_version=4)


def grade_id(cell: "NotebookNode") -> str:
    """nbgrader's name for the cell, if it has one."""
    name = mark_of(cell).get("grade_id", "")
    return name if isinstance(name, str) else ""


def mark_of(cell: "NotebookNode") -> dict:
    """nbgrader's own metadata of a cell; empty where there is none, or something else."""
    mark = cell.metadata.get("nbgrader")
    return mark if isinstance(mark, dict) else {}


def write_notebook(path: Path, notebook: "NotebookNode") -> None:
    """Write it as a build does: the same bytes for the same notebook."""
    import nbformat

    text = nbformat.writes(notebook, version=4)
    path.write_text(text.rstrip("\n") + "\n", encoding="utf-8", newline="\n")
