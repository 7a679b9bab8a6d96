"""Rebuild a submission on the instructor's notebook: only what the student wrote is taken over.

Metadata is a hint, never trusted: a cell is known by the name it defines, then by its grade_id.
"""

from copy import deepcopy
from dataclasses import dataclass, field
from functools import lru_cache

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from ..common.errors import LimitError
from ..course.earlier import is_earlier
from ..course.lesson_frame import frame_sources, without_address
from ..course.lessons import defined_names, grade_id, mark_of
from ..course.predictions import is_prediction, predicted_in, write_predictions
from .essays import write_in
from .magics import plain_python
from .slicing import SHORT, Part, slices, statements
from .steps import ADDED, is_run, tags

EDITED = "edited"  # a cell of the lesson, as the student left it; only while it is rebuilt
ELSEWHERE = "# written in another cell of this notebook"
MOST_CELLS, MOST_CODE = 5_000, 1_000_000  # the lessons have 90; characters
LOCKED = ("setup", "demo", "check", "predict")


@dataclass
class Slot:
    """Where an exercise's answer goes, and the student's cells that claim it, in their order."""

    base: NotebookNode
    claims: list[NotebookNode] = field(default_factory=list)


def rebuild(base: NotebookNode, submitted: NotebookNode) -> NotebookNode:
    """The instructor's student notebook `base` with the student's answers and added cells in it,
    and all that they predicted or wrote as text. Raises LimitError for more than anybody writes."""
    _require_writable_by_hand(submitted)
    slots = {
        grade_id(cell): Slot(cell)
        for cell in base.cells
        if cell.cell_type == "code" and mark_of(cell).get("solution") and grade_id(cell)
    }
    own = frame_sources() | {without_address(cell.source) for cell in base.cells}
    taken = _unedited(base, submitted)
    edited: dict[int, NotebookNode] = {}
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
        elif cell.cell_type == "code" and (is_prediction(cell.source) or is_earlier(cell.source)):
            continue  # nobody's own work
        elif cell.cell_type == "code" and cell.source.strip():
            place = _original(cell, base, taken) if _is_locked(cell, base) else None
            if place is not None:
                taken.add(place)
                edited[place] = cell
                anchor = without_address(base.cells[place].source)
            else:
                added.append((anchor, cell))
    rebuilt = _assemble(base, slots, added, edited)
    write_in(rebuilt, base, submitted)
    write_predictions(rebuilt, predicted_in(submitted.cells))
    return rebuilt


def _require_writable_by_hand(submitted: NotebookNode) -> None:
    if len(submitted.cells) > MOST_CELLS:
        raise LimitError(f"has more than {MOST_CELLS:,} cells", "size")
    if sum(len(cell.source) for cell in submitted.cells if cell.cell_type == "code") > MOST_CODE:
        raise LimitError(f"has more than {MOST_CODE:,} characters of code", "size")


def _unedited(base: NotebookNode, submitted: NotebookNode) -> set[int]:
    """The places of the lesson's cells that are in the notebook as they were."""
    there = {without_address(cell.source) for cell in submitted.cells}
    return {i for i, cell in enumerate(base.cells) if without_address(cell.source) in there}


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
    locked = {grade_id(cell) for cell in base.cells if mark_of(cell).get("locked")}
    return bool(tags(cell) & set(LOCKED)) or grade_id(cell) in locked - {""}


def _original(cell: NotebookNode, base: NotebookNode, taken: set[int]) -> int | None:
    """Which of the lesson's locked cells this one is, edited: by its name, then by what is left.

    taken: those that are in the notebook unedited, or that another cell is already.
    """
    name, held = grade_id(cell), statements([cell.source])
    alike = {
        place: len(held & statements([one.source]))
        for place, one in enumerate(base.cells)
        if place not in taken and one.cell_type == "code" and _is_locked(one, base)
        and (grade_id(one) == name if name else tags(one) & tags(cell) & set(LOCKED))
    }  # fmt: skip
    best = max(alike, key=alike.__getitem__, default=None)
    return best if best is not None and (name or alike[best]) else None


def _assemble(
    base: NotebookNode,
    slots: dict[str, Slot],
    added: list[tuple[str, NotebookNode]],
    edited: dict[int, NotebookNode],
) -> NotebookNode:
    """edited: the student's edition of a locked cell, by the place of the lesson's own."""
    rebuilt = deepcopy(base)
    sources, extra = _fill(slots)
    made = [(anchor, _as_made(cell, base)) for anchor, cell in added]
    cells = [cell for anchor, cell in made if not anchor]
    for place, cell in enumerate(rebuilt.cells):
        names = {grade_id(cell), without_address(cell.source)} - {""}
        cells += [_as_tagged(old, ADDED) for old in extra.get(grade_id(cell), ())]
        if grade_id(cell) in sources:
            cell.source = sources[grade_id(cell)]
        cells.append(cell)
        if place in edited:
            cells.append(_as_tagged(edited[place], EDITED))
        cells += [new for anchor, new in made if anchor in names]
        made = [(anchor, new) for anchor, new in made if anchor not in names]  # each once
    replaced = {id(rebuilt.cells[place]) for place in edited}
    rebuilt.cells = _with_slices(_setup_first(cells), base, replaced)
    for number, cell in enumerate(rebuilt.cells):
        if is_added(cell):
            cell["id"] = f"{ADDED}-{number:03d}"
    return rebuilt


def _as_made(cell: NotebookNode, base: NotebookNode) -> NotebookNode:
    return _as_tagged(cell, EDITED if _is_locked(cell, base) else ADDED)


def _with_slices(
    cells: list[NotebookNode], base: NotebookNode, replaced: set[int]
) -> list[NotebookNode]:
    """The cells, with what those that are not run hold for those that are; see `slicing`.

    replaced: those of the lesson's cells that the student has edited, and that stand behind them.
    """
    edited = any(EDITED in tags(cell) for cell in cells)
    lesson = statements([c.source for c in base.cells if c.cell_type == "code"] if edited else [])
    parts = [_part(cell, lesson, replaced) for cell in cells]
    found: list[NotebookNode] = []
    for cell, taken in zip(cells, slices(parts), strict=True):
        found += [] if EDITED in tags(cell) else [cell]
        found += [_as_tagged(new_code_cell(taken), ADDED)] if taken else []
    return found


def _part(cell: NotebookNode, lesson: frozenset[str], replaced: set[int]) -> Part:
    if cell.cell_type != "code":
        return Part("", run=False)
    if EDITED in tags(cell):
        return Part(cell.source, run=False, lesson=lesson, skip="setup" in tags(cell))
    if is_run(cell):
        return Part(cell.source, run=True)
    return Part("" if id(cell) in replaced else cell.source, run=False)


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


def _as_tagged(cell: NotebookNode, tag: str) -> NotebookNode:
    made = new_code_cell(cell.source)
    made.metadata["tags"] = [tag, *(tags(cell) & {"setup"} if tag == EDITED else ())]
    return made
