"""Rebuild a submission on the instructor's notebook: only what the student wrote is taken over.

Metadata is a hint, never trusted: a cell is known by the name it defines, then by its grade_id.
"""

import ast
import warnings
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import nbformat
from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from .errors import UsageError, shown
from .essays import write_in
from .lesson_frame import frame_sources, without_address
from .lessons import defined_names
from .reading import notebook_text, quick_cells, what_it_is

ADDED = "added"
ELSEWHERE = "# written in another cell of this notebook"
MOST_BYTES = 64 * 2**20
MOST_LINES = 200
SHORT = 10_000  # characters
DEFINITIONS = (
    ast.Import,
    ast.ImportFrom,
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
)


@dataclass
class Slot:
    """Where an exercise's answer goes, and the student's cells that claim it, in their order."""

    base: NotebookNode
    claims: list[NotebookNode] = field(default_factory=list)


def read_notebook(path: Path) -> NotebookNode:
    """A submitted notebook. Raises UsageError: what is wrong with the file, and the remedy."""
    try:
        if path.stat().st_size > MOST_BYTES:
            most = MOST_BYTES >> 20
            raise UsageError(f"{path}: larger than {most} MiB; clear its outputs and send it again")
        data = path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); hand in the .ipynb file"
        ) from None
    return parse_notebook(notebook_text(data, path), path)


def parse_notebook(text: str, path: Path) -> NotebookNode:
    """Like `read_notebook`, from the text of the file; `path` is only for the message."""
    try:
        with warnings.catch_warnings():  # about cells of one id, say, which are no matter here
            warnings.simplefilter("ignore")
            notebook = tidy_notebook(nbformat.reads(text, as_version=4))
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (nbformat.reader.NotJSONError, RecursionError):
        raise UsageError(f"{path}: {what_it_is(text)}") from None
    except Exception as error:  # nbformat raises whatever a hostile structure provokes
        if quick_cells(text) is None:
            raise UsageError(f"{path}: {what_it_is(text)}") from None
        reason = shown(f"{type(error).__name__}: {error}"[:200])
        raise UsageError(f"{path}: not a notebook ({reason}); download it again") from None
    if str(language).lower() not in ("python", "python3"):
        kernel = shown(repr(language)[:40])
        raise UsageError(f"{path}: its kernel is for {kernel}; the course needs Python 3")
    return notebook


def tidy_notebook(notebook: NotebookNode) -> NotebookNode:
    """The notebook with its cells in the form that `rebuild` relies on, whatever was handed in."""
    notebook["cells"] = [_tidy(cell) for cell in notebook["cells"]]
    return notebook


def _tidy(cell: NotebookNode) -> NotebookNode:
    """The parts of a cell that are used, in the form that the rest can rely on."""
    source = cell.get("source", "")
    source = source if isinstance(source, str) else "".join(map(str, source))
    source = source.encode("utf-8", "replace").decode()  # JSON can hold what no file can
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = cell.get("cell_type", "raw")
    tidied = NotebookNode(cell_type=kind, source=source, metadata=NotebookNode(metadata))
    # Untrusted and unread: `essays` takes pictures and text from them.
    tidied |= {name: cell[name] for name in ("attachments", "outputs") if name in cell}
    return tidied


def rebuild(base: NotebookNode, submitted: NotebookNode) -> NotebookNode:
    """The instructor's student notebook `base` with the student's answers and added cells in it,
    and all that they wrote as text."""
    slots = {
        grade_id(cell): Slot(cell)
        for cell in base.cells
        if cell.cell_type == "code" and _mark(cell).get("solution") and grade_id(cell)
    }
    own = frame_sources() | {without_address(cell.source) for cell in base.cells}
    added: list[tuple[str, NotebookNode]] = []  # the base cell that each stands after, and the cell
    anchor = ""
    for cell in submitted.cells:
        claimed = _claimed(cell, slots)
        if claimed:
            for name in claimed:
                slots[name].claims.append(cell)
            anchor = claimed[0]
        elif cell.cell_type == "markdown" and _is_essay(cell, base):
            anchor = grade_id(cell)
        elif without_address(cell.source) in own:
            anchor = without_address(cell.source)
        elif cell.cell_type == "code" and cell.source.strip():
            source = _definitions(cell.source) if _is_locked(cell, base) else cell.source
            if source:
                added.append((anchor, new_code_cell(source)))
    rebuilt = _assemble(base, slots, added)
    write_in(rebuilt, base, submitted)
    return rebuilt


def grade_id(cell: NotebookNode) -> str:
    """nbgrader's name for the cell, if it has one."""
    name = _mark(cell).get("grade_id", "")
    return name if isinstance(name, str) else ""


def _mark(cell: NotebookNode) -> dict:
    mark = cell.metadata.get("nbgrader")
    return mark if isinstance(mark, dict) else {}


def _claimed(cell: NotebookNode, slots: dict[str, Slot]) -> list[str]:
    """The exercises that this cell answers: those it defines, else the one that it is marked as."""
    if cell.cell_type == "code":
        read = _defined if len(cell.source) > SHORT else _defined_before
        defined = read(cell.source) & set(slots)
        if defined:
            return [name for name in slots if name in defined]
    name = grade_id(cell)
    if name in slots and cell.cell_type == "code":
        return [name]
    return []


def _defined(source: str) -> set[str]:
    return defined_names(plain_python(source))


# Most cells of a class are the lesson's own. Long ones are left out, as they would fill the memory.
_defined_before = lru_cache(maxsize=1000)(_defined)


def _is_essay(cell: NotebookNode, base: NotebookNode) -> bool:
    texts = (own for own in base.cells if own.cell_type == "markdown" and grade_id(own))
    return bool(grade_id(cell)) and grade_id(cell) in map(grade_id, texts)


def _is_locked(cell: NotebookNode, base: NotebookNode) -> bool:
    """Whether it is one of the lesson's own cells, edited: what it ran is the lesson's affair."""
    tags = cell.metadata.get("tags")
    tagged = isinstance(tags, list) and bool({"demo", "check", "setup"} & set(map(str, tags)))
    locked = {grade_id(cell) for cell in base.cells if _mark(cell).get("locked")}
    return tagged or grade_id(cell) in locked - {""}


def _definitions(source: str) -> str:
    """A cell's imports, functions and classes: an edited demo may hold a student's helper."""
    try:
        body = ast.parse(plain_python(source)).body
        return "\n".join(ast.unparse(node) for node in body if isinstance(node, DEFINITIONS))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""


def plain_python(source: str) -> str:
    """A cell with IPython's magics turned into Python, as the kernel does before it compiles.

    A cell of many lines that is no Python is left: IPython takes time by the square of them.
    """
    if _is_python(source) or source.count("\n") > MOST_LINES:
        return source
    try:
        return TransformerManager().transform_cell(source)
    except Exception:  # a cell that even IPython cannot read is read as it stands
        return source


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _assemble(
    base: NotebookNode, slots: dict[str, Slot], added: list[tuple[str, NotebookNode]]
) -> NotebookNode:
    rebuilt = deepcopy(base)
    sources, extra = _fill(slots)
    cells: list[NotebookNode] = [_as_added(cell) for anchor, cell in added if not anchor]
    for cell in rebuilt.cells:
        names = {grade_id(cell), without_address(cell.source)} - {""}
        cells += [_as_added(old) for old in extra.get(grade_id(cell), ())]
        if grade_id(cell) in sources:
            cell.source = sources[grade_id(cell)]
        cells.append(cell)
        cells += [_as_added(new) for anchor, new in added if anchor in names]
    rebuilt.cells = _setup_first(cells)
    for number, cell in enumerate(rebuilt.cells):
        if is_added(cell):
            cell["id"] = f"{ADDED}-{number:03d}"
    return rebuilt


def _setup_first(cells: list[NotebookNode]) -> list[NotebookNode]:
    """What the student added in front of the lesson's imports may need them: it moves behind."""
    setup = next((i for i, cell in enumerate(cells) if grade_id(cell) == "setup"), -1)
    before = cells[: setup + 1]
    early = [cell for cell in before if is_added(cell)]
    return [cell for cell in before if not is_added(cell)] + early + cells[setup + 1 :]


def is_added(cell: NotebookNode) -> bool:
    """Whether a cell of a rebuilt notebook is one that the student made."""
    return ADDED in cell.metadata.get("tags", ())


def _fill(slots: dict[str, Slot]) -> tuple[dict[str, str], dict[str, list[NotebookNode]]]:
    """The source for each slot, and the earlier claims that stay in front of it.

    The last written claim wins, as when the notebook is run; an untouched copy is not written.
    """
    sources: dict[str, str] = {}
    extra: dict[str, list[NotebookNode]] = {}
    placed: dict[int, str] = {}
    for name, slot in slots.items():
        written = [cell for cell in slot.claims if not _is_stub(cell, slot.base)]
        if not written:
            continue
        *earlier, last = written
        extra[name] = [cell for cell in earlier if id(cell) not in placed]
        sources[name] = ELSEWHERE if id(last) in placed else last.source
        placed |= {id(cell): name for cell in written}
    return sources, extra


def _is_stub(cell: NotebookNode, base: NotebookNode) -> bool:
    return cell.source.strip() == base.source.strip()


def _as_added(cell: NotebookNode) -> NotebookNode:
    made = new_code_cell(cell.source)
    made.metadata["tags"] = [ADDED]
    return made


@dataclass(frozen=True)
class Step:
    """A cell to run. of: the exercise that it answers, if it answers one."""

    source: str
    of: str = ""


def program(rebuilt: NotebookNode) -> Iterator[Step]:
    """What to run of a rebuilt notebook: the setup, the answers and the added cells, in order."""
    for cell in rebuilt.cells:
        if cell.cell_type != "code":
            continue
        tags = set(cell.metadata.get("tags", ()))
        if _mark(cell).get("solution"):
            yield Step(cell.source, grade_id(cell))
        elif tags & {"setup", ADDED}:
            yield Step(cell.source)
