"""Find what a student wrote as text, wherever it stands, and put it where it is graded and read.

An essay is told by its grade_id, then by the lines of its prompt, then by its place. What belongs
to none is kept as a note. The outputs of the student's own run that an essay's rubric asks about
are shown beside it; nothing of them is run, and nothing of them is ever read as points.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell

from ..common.saying import counted
from ..course.earlier import (
    EARLIER,
    LONG_LINE,
    is_earlier,
    is_earlier_line,
    is_earlier_text,
    plain_line,
)
from ..course.lesson_frame import frame_sources, without_address
from ..course.lessons import EVIDENCE
from ..course.plan import as_written, is_planned
from .prose import Room, safe_html, tidy, whole

NOTE = "note"
PROSE = "prose"  # a code cell that is shown as a text
STUDENTS = '<div style="border-left:4px solid #0b57d0;padding-left:.8em">'  # not the lesson's
EMPTY = "Nothing stands in this essay's own place."
MOST_CODE = 1_000_000  # characters of a notebook's code in which text is looked for
MOST_NOTES = 100  # cells; what is beyond them stands in one
MOST_OUTPUTS, MOST_OUTPUT_TEXT = 40, 6_000  # of one cell that a rubric asks about; characters
# Words in a row, as nobody writes them in code; in scripts without spaces, letters.
_WORDS = re.compile(r"[^\W\d_]{2,20}(?:[,.;:)]?[ \n][(]?[^\W\d_]{2,20}){3}|[\u0e00-\u9fff]{8}")
_MAGIC = re.compile(r"(?m)^[ \t]*[%!?].*$")
_SAYS = {"print", "display", "Markdown", "HTML", "Latex", "Math"}
_BADGE = "colab-badge.svg"  # Colab and the lesson's frame both put one on top


@dataclass
class Piece:
    """A cell with text of the student's own. how: what tells that it belongs to the essay."""

    text: str
    attachments: Any
    where: str
    how: str = ""
    essay: str = ""
    after: int = -1  # the lesson's cell that it stands behind, by its place; -1 is in front


@dataclass
class Layout:
    """A lesson's own cells by their text. essays, names: places by grade_id.

    before: marks of what the term's notebook has said before; see `course.earlier`.
    """

    cells: list[NotebookNode]
    whole: dict[str, list[int]] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    sections: list[int] = field(default_factory=list)
    essays: dict[str, int] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    before: frozenset[str] = frozenset()
    code_left: int = MOST_CODE  # characters of code in which text is still looked for

    @classmethod
    def of(cls, base: NotebookNode) -> "Layout":
        found = cls(base.cells, before=frozenset(base.metadata.get(EARLIER, ())))
        section = 0
        for place, cell in enumerate(base.cells):
            if cell.cell_type == "markdown" and re.match("##? ", cell.source):
                section = place
            found.sections.append(section)
            found.whole.setdefault(_plain(without_address(cell.source)), []).append(place)
            for text in (cell.source, as_written(cell)):  # some may have it as before a plan
                for line in map(plain_line, text.splitlines()):
                    if len(line) >= LONG_LINE:
                        found.lines.setdefault(line, place)
            mark = _mark(cell)
            if mark.get("grade_id"):
                found.names[mark["grade_id"]] = place
            if cell.cell_type == "markdown" and mark.get("grade") and mark.get("solution"):
                found.essays[mark["grade_id"]] = place
        return found

    def place(self, cell: NotebookNode, last: int) -> int | None:
        """Which of the lesson's cells this is, or was; the next such one behind `last`."""
        name = _mark(cell).get("grade_id")
        if isinstance(name, str) and name in self.names:
            return self.names[name]
        same = self.whole.get(_plain(without_address(cell.source)))
        if same and cell.source.strip():
            return next((place for place in same if place > last), same[0])
        lines = map(plain_line, cell.source.splitlines())
        votes = Counter(self.lines[line] for line in lines if line in self.lines)
        return votes.most_common(1)[0][0] if votes else None

    def own_lines(self, cell: NotebookNode, place: int | None) -> list[str]:
        """The lines that are not the lesson's, as it is or as it was."""
        if is_earlier_text(cell.source, self.before):
            return []
        base = self.cells[place] if place is not None else None
        texts = (base.source, as_written(base)) if base else ()
        short = {plain_line(line) for text in texts for line in text.splitlines()} | {""}
        return [
            line
            for line in cell.source.splitlines()
            if plain_line(line) not in short and plain_line(line) not in self.lines
            if _BADGE not in line and not is_planned(line)
            if not is_earlier_line(line, self.before)
        ]

    def essay_in(self, section: int, place: int) -> str:
        """The essay of a section; of several, the next one."""
        there = {p: name for name, p in self.essays.items() if self.sections[p] == section}
        return there[min((p for p in there if p >= place), default=max(there))] if there else ""

    def heading(self, place: int) -> str:
        """How a cell's section is called."""
        line = self.cells[self.sections[place]].source.partition("\n")[0]
        return re.sub(r"\s*\*\(.*", "", line.lstrip("# ")) if place >= 0 else ""


def write_in(rebuilt: NotebookNode, base: NotebookNode, submitted: NotebookNode) -> None:
    """Put essays, notes and evidence into a rebuilt notebook, whose code is all there."""
    layout = Layout.of(base)
    places = _places(layout, submitted)
    pieces = list(_pieces(layout, submitted, places))
    notes = [piece for piece in pieces if not piece.essay]
    room = Room()
    behind: dict[int, list[NotebookNode]] = {}
    for name, place in layout.essays.items():
        source = _essay(name, pieces, room)
        if source:
            _cell(rebuilt, name)["source"] = source
            shown = _evidence(layout, name, submitted, places, room)
            behind.setdefault(place, []).extend(shown)
    for note in _gathered(notes):
        behind.setdefault(note.after, []).append(_added(NOTE, _piece_html(note, room)))
    _insert(rebuilt, base, behind)
    texts = {_plain(piece.text) for piece in pieces}
    for cell in rebuilt.cells:
        if cell.cell_type == "code" and _plain(cell.source) in texts:
            cell.metadata["tags"] = [*cell.metadata.get("tags", ()), PROSE]


def _gathered(notes: list[Piece]) -> list[Piece]:
    """The notes, of which all beyond the most that have cells of their own stand in the last."""
    rest = notes[MOST_NOTES:]
    text = "\n\n".join(note.text for note in rest)
    return notes[:MOST_NOTES] + (
        [Piece(text, None, rest[0].where, after=rest[0].after)] if rest else []
    )


def _mark(cell: NotebookNode) -> Mapping[str, Any]:
    mark = cell.metadata.get("nbgrader")
    return mark if isinstance(mark, dict) else {}


def _plain(text: str) -> str:
    return " ".join(text.split())


def _cell(notebook: NotebookNode, name: str) -> NotebookNode:
    return next(cell for cell in notebook.cells if _mark(cell).get("grade_id") == name)


def _places(layout: Layout, submitted: NotebookNode) -> list[int | None]:
    found: list[int | None] = []
    last = -1
    for cell in submitted.cells:
        found.append(layout.place(cell, last))
        last = last if found[-1] is None else found[-1]
    return found


def _pieces(layout: Layout, submitted: NotebookNode, places: list[int | None]) -> Iterator[Piece]:
    """What the student wrote, each text once, in the order of their notebook."""
    said: set[str] = set()
    frame = frame_sources()
    before, behind = -1, _next_places(places)
    for cell, own, following in zip(submitted.cells, places, behind, strict=True):
        before = before if own is None else own
        if without_address(cell.source) in frame or _is_earlier_code(cell):
            continue
        piece = _told(layout, cell, own, before, following)
        text = _text(layout, cell, own, bool(piece.essay))
        if _plain(text) and _plain(text) not in said:
            said.add(_plain(text))
            piece.text = text
            yield piece


def _is_earlier_code(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and is_earlier(cell.source)


def _next_places(places: list[int | None]) -> list[int | None]:
    """For each cell, which of the lesson's stands next behind it."""
    found: list[int | None] = []
    last = None
    for place in reversed(places):
        found.append(last)
        last = last if place is None else place
    return found[::-1]


def _told(
    layout: Layout, cell: NotebookNode, own: int | None, before: int, behind: int | None
) -> Piece:
    """To which essay a cell belongs, and by what that is told.

    own: which of the lesson's cells it was; before, behind: those around it.
    """
    kind = "text" if cell.cell_type == "markdown" else cell.cell_type
    where = f"in a {kind} cell below “{layout.heading(before)}”" if before >= 0 else "at the top"
    piece = Piece("", cell.get("attachments"), where, after=before)
    name = _mark(cell).get("grade_id")
    if isinstance(name, str) and name in layout.essays:
        piece.essay, piece.how = name, "its own" if cell.cell_type == "markdown" else "its cell"
    elif own is not None:
        piece.essay, piece.how = layout.essay_in(layout.sections[own], own), "its prompt"
    else:
        section = layout.sections[before] if before >= 0 else -1
        piece.essay = layout.essay_in(section, before)
        if not piece.essay and behind is not None and layout.sections[behind] == behind:
            piece.essay = layout.essay_in(behind, behind)  # just above its heading
        piece.how = "its place"
    return piece


def _text(layout: Layout, cell: NotebookNode, place: int | None, in_essay: bool) -> str:
    """What in a cell is the student's own text; nothing where there is none."""
    lines = layout.own_lines(cell, place)
    if not "".join(lines).strip():
        return ""
    if cell.cell_type == "code":
        base = layout.cells[place] if place is not None else None
        layout.code_left -= len(cell.source)
        if layout.code_left < 0 or (base and base.cell_type == "code" and _mark(base)):
            return ""  # an answer, or a check: what is in it is shown as code
        return _text_in_code(cell.source, base.source if base else "", lines, in_essay)
    stub = place is not None and layout.cells[place].source.strip()
    if place in layout.essays.values():
        return "\n".join(line for line in cell.source.splitlines() if line.strip() != stub)
    mostly_own = 2 * len(lines) > len([x for x in cell.source.splitlines() if x.strip()])
    return cell.source if mostly_own else "\n".join(lines)


def _text_in_code(source: str, lesson: str, own: list[str], in_essay: bool) -> str:
    """The text in a code cell: all of what is no Python, the comments and strings of what is.

    lesson: what stood in the cell. Outside of essays only a cell that holds nothing else counts.
    """
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        text = _MAGIC.sub("", "\n".join(own)).strip()
        return text if _WORDS.search(text) or (in_essay and not lesson and text) else ""
    if not in_essay and not all(map(_only_says, body)):
        return ""
    comments = [line.strip()[1:].strip() for line in own if line.strip().startswith("#")]
    strings = [
        node.value
        for statement in body
        for node in ast.walk(statement)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    said = ["\n".join(comments), *(text for text in strings if text not in lesson)]
    bare = in_essay and not lesson and all(map(_only_says, body))
    return "\n\n".join(text for text in said if text.strip() and (bare or _WORDS.search(text)))


def _only_says(statement: ast.stmt) -> bool:
    """Whether a statement is a text: bare, printed, shown, or given a name."""
    value = getattr(statement, "value", None)
    while isinstance(value, ast.Call) and getattr(value.func, "id", "") in _SAYS:
        value = value.args[0] if value.args else None
    if isinstance(value, ast.JoinedStr):
        return True
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _essay(name: str, pieces: list[Piece], room: Room) -> str:
    """The essay's cell in the graded copy; nothing where nothing was written.

    An empty one waits for a hand all the same when text elsewhere may be meant for it.
    """
    mine = [piece for piece in pieces if piece.essay == name]
    if [piece.how for piece in mine] == ["its own"]:
        return whole(safe_html(mine[0].text, room, mine[0].attachments))
    if mine:
        return whole("\n".join(_piece_html(piece, room) for piece in mine))
    crowd = Counter(piece.essay for piece in pieces)
    loose = [piece.where for piece in pieces if _may_be_anothers(piece, crowd)]
    if not loose:
        return ""
    places = "; ".join(dict.fromkeys(escape(place) for place in loose[:10]))
    return whole(
        f"<p><em>{EMPTY} There is other text, which may be meant for it: {places}.</em></p>"
    )


def _may_be_anothers(piece: Piece, crowd: Counter[str]) -> bool:
    """Whether only its place says where a text belongs, and there is an essay there without it."""
    return not piece.essay or (piece.how == "its place" and crowd[piece.essay] > 1)


def _piece_html(piece: Piece, room: Room) -> str:
    if piece.how == "its own":
        return safe_html(piece.text, room, piece.attachments)
    html = safe_html(piece.text, room, piece.attachments)
    return f"<p><em>Written {escape(piece.where)}:</em></p>\n{html}"


def _added(tag: str, html: str) -> NotebookNode:
    made = new_markdown_cell(whole(f"{STUDENTS}\n{html}</div>"))
    made.metadata["tags"] = [tag]
    return made


def _insert(
    rebuilt: NotebookNode, base: NotebookNode, behind: dict[int, list[NotebookNode]]
) -> None:
    """Each list of cells behind the lesson's cell of that place, and what was added there."""
    own = {cell["id"]: place for place, cell in enumerate(base.cells) if "id" in cell}
    cells, place = list(behind.pop(-1, ())), -1
    for cell in rebuilt.cells:
        if cell.get("id") in own:
            cells += behind.pop(place, ())
            place = own[cell["id"]]
        cells.append(cell)
    cells += behind.pop(place, ())
    rebuilt.cells = cells
    made = (cell for cell in cells if {NOTE, EVIDENCE} & set(cell.metadata.get("tags", ())))
    for number, cell in enumerate(made):
        cell["id"] = f"{cell.metadata['tags'][0]}-{number:03d}"


def _evidence(
    layout: Layout,
    name: str,
    submitted: NotebookNode,
    places: list[int | None],
    room: Room,
) -> Iterator[NotebookNode]:
    """What the student saw in the cells that the essay's rubric asks about."""
    asked = [p for p, cell in enumerate(layout.cells) if name in cell.metadata.get(EVIDENCE, ())]
    if not asked:
        return
    parts, missing = [], []
    for place in asked:
        there = [c for c, p in zip(submitted.cells, places, strict=True) if p == place]
        outputs = next((o for c in reversed(there) if (o := _outputs(c.get("outputs"), room))), "")
        where = f"“{escape(layout.heading(place))}”"
        if outputs:
            parts.append(f"<p><em>{where}:</em></p>\n{outputs}")
        else:
            missing.append(where)
    lines = ["<p><strong>From the student's own notebook, not run here</strong></p>", *parts]
    if missing:
        says = "; ".join(dict.fromkeys(missing))
        lines.append(f"<p><em>No output came with the notebook of the cells in {says}.</em></p>")
    yield _added(EVIDENCE, "\n".join(lines))


def _outputs(outputs: Any, room: Room) -> str:
    """A cell's outputs as pictures and text; of no other form is anything shown."""
    outputs = outputs if isinstance(outputs, list) else []
    shown = [_output(one, room) for one in outputs[:MOST_OUTPUTS] if isinstance(one, dict)]
    if len(outputs) > MOST_OUTPUTS:
        more = counted(len(outputs) - MOST_OUTPUTS, "output")
        shown.append(f"<p><em>[{more} more, left out]</em></p>")
    return "\n".join(filter(None, shown))


def _output(output: Mapping[str, Any], room: Room) -> str:
    data = output.get("data")
    data = data if isinstance(data, dict) else {}
    said = _joined(data.get("text/plain"))
    for kind in ("image/png", "image/jpeg"):
        if kind in data:
            return f"<p>{room.picture(kind, data[kind], said)}</p>"
    if any("widget" in str(kind) for kind in data):
        return ""
    if output.get("output_type") == "stream" and output.get("name") == "stdout":
        said = _joined(output.get("text"))
    elif output.get("output_type") == "error":
        said = f"{_joined(output.get('ename'))}: {_joined(output.get('evalue'))}"
    return room.preformatted(said, MOST_OUTPUT_TEXT) if tidy(said).strip() else ""


def _joined(text: Any) -> str:
    """A notebook's text, which may stand there as a list of lines."""
    text = "".join(map(str, text)) if isinstance(text, list) else text
    return text.encode("utf-8", "replace").decode() if isinstance(text, str) else ""
