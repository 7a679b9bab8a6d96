"""What bounds each stage that works on what was handed in: one table, for a person to read."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from helpers import clean, codec

from . import (
    beneath,
    collecting,
    essays,
    guard,
    judging,
    magics,
    matching,
    prose,
    rebuild,
    saying,
    slicing,
    store,
    unpacking,
)
from .sandbox import Limits

HEAD = ("stage", "what", "at most", "when it is met")
LEFT_OUT = "left out, and it is said where it stood"
REFUSED = "not graded: a line names it and says what to do; the others are"
NAMED = "not placed: a line names it and says what to do; the others are"


@dataclass(frozen=True)
class Limit:
    """stage: of the work. what: is bounded. most: the bound. met: what happens then."""

    stage: str
    what: str
    most: str
    met: str


def limits() -> Iterator[Limit]:
    """All of them, in the order of the work; the figures are those that the work goes by."""
    for stage, rows in (
        ("unpacking", _unpacking()),
        ("whose it is", _matching()),
        ("reading and rebuilding", _rebuilding()),
        ("running", _running()),
        ("replies", _replies()),
        ("judging", _judging()),
        ("the store", _storing()),
        ("pages", _showing()),
        ("the terminal", _saying()),
    ):
        for row in rows:
            yield Limit(stage, *row)


def table() -> str:
    """The limits as a table in Markdown, as README holds it."""
    rows = [astuple(limit) for limit in limits()]
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * len(HEAD), *rows)]
    return "\n".join(lines)


def _unpacking() -> Iterator[tuple[str, str, str]]:
    yield "files in a class's zip", f"{unpacking.MOST_FILES:,}", "the zip is refused by name"
    yield "files in a student's zip", f"{unpacking.MOST_OWN_FILES:,}", NAMED
    yield "a file, and all of a student's zip", _bytes(unpacking.MOST_BYTES), NAMED
    often = f"{unpacking.MOST_RATIO} times its packed size, and {_bytes(unpacking.MOST_BLOATED)}"
    yield "what unpacks to more than that", f"{often} in all", NAMED
    name = f"{unpacking.MOST_NAME} characters, {unpacking.MOST_PARTS} folders deep"
    yield "a path", name, NAMED
    notes = (
        f"{max(unpacking.MOST_NOTE.values()) >> 20} MiB, {unpacking.MOST_NOTES >> 20} MiB in all"
    )
    yield "what a platform notes beside", notes, "not read: it is said that no time is known"
    manifest = f"{unpacking.MOST_MANIFEST >> 10} KiB"
    yield "what a student's zip says of itself", manifest, "not read, and it is said"


def _matching() -> Iterator[tuple[str, str, str]]:
    words = f"{matching.MOST_WORDS} words, {matching.MOST_LETTERS} letters of each part"
    yield "of a name", words, "the rest is not looked at"
    yield "names compared for 'did you mean'", f"{matching.MOST_COMPARED:,}", "nothing is asked"
    yield "questions 'did you mean'", f"{collecting.MOST_ASKED:,}", "the others are asked nothing"


def _rebuilding() -> Iterator[tuple[str, str, str]]:
    yield "a notebook's file", _bytes(rebuild.MOST_BYTES), REFUSED
    yield "its cells", f"{rebuild.MOST_CELLS:,}", REFUSED
    yield "characters of code", f"{rebuild.MOST_CODE:,}", REFUSED
    yield "reading, or rebuilding, of one", _bounds(), REFUSED
    least = f"{magics.MOST_CHARACTERS:,} characters, {magics.MOST_LINES} lines"
    yield "a cell read by IPython's transformer", least, "it is read line by line"
    yield "code in which text is looked for", f"{essays.MOST_CODE:,} characters", "no text is seen"
    yield "a cell looked into for what answers need", f"{slicing.LONGEST:,} characters", "not taken"


def _running() -> Iterator[tuple[str, str, str]]:
    most = Limits()
    stopped = "stopped: the exercise has no points and its page says why; the next one is asked"
    yield "one exercise", f"{most.seconds} s", stopped
    yield "one cell", f"{most.cell_seconds} s", "stopped; the cells after it are run"
    yield "one notebook", f"{most.total(0)} s and {most.seconds} s for each exercise", stopped
    yield "memory of a process", _bytes(most.memory), stopped


def _replies() -> Iterator[tuple[str, str, str]]:
    cut = "no points for the exercise, and its page says why"
    yield "one exercise's answers", _bytes(Limits().bytes), cut
    yield "of these, what is no tensor", _bytes(judging.MOST_TREE), cut
    yield "observations of a case", f"{judging.MOST_OBSERVED:,}", cut
    shape = f"{codec.MOST_DIMENSIONS}; {codec.MOST_EMPTY:,} places where it is empty"
    yield "dimensions of a tensor", shape, cut


def _judging() -> Iterator[tuple[str, str, str]]:
    met = "each exercise is judged alone; the one that meets it has no points, and says why"
    yield "a submission's answers", _bounds(), met
    lines = f"{beneath.MOST_LINES:,} lines of ours for a case"
    yield "whether one slip costs twice", lines, "it is not asked: the points stay as they were"


def _storing() -> Iterator[tuple[str, str, str]]:
    yield "a submission's answers, packed", _bytes(store.MOST_ANSWERS), "asked again at --regrade"


def _showing() -> Iterator[tuple[str, str, str]]:
    yield "one student's page", _bounds(), "no page: a line says why and what to do"
    yield "one text", f"{clean.MOST_TEXT:,} characters", LEFT_OUT
    read = f"{prose.LONGEST:,} characters of a text, {prose.MOST_MARKDOWN:,} of a submission"
    yield "what is read as Markdown", read, "the rest is shown as it was typed"
    yield "what is shown of a submission", f"{prose.MOST_TEXT:,} characters", LEFT_OUT
    pictures = f"{prose.MOST_IMAGES}, {_bytes(prose.MOST_IMAGE)} each, {_bytes(prose.MOST_BYTES)}"
    yield "pictures", pictures, LEFT_OUT
    yield "notes beside the essays", f"{essays.MOST_NOTES} cells", "the rest stands in one"
    outputs = f"{essays.MOST_OUTPUTS}, {essays.MOST_OUTPUT_TEXT:,} characters each"
    yield "outputs of a cell that a rubric asks about", outputs, LEFT_OUT


def _saying() -> Iterator[tuple[str, str, str]]:
    yield "a line on the terminal", f"{saying.MOST_SAID:,} characters", LEFT_OUT


def _bounds() -> str:
    bounds = guard.BOUNDS
    computing = f"{bounds.seconds} s of computing ({bounds.seconds * bounds.patience} s in all)"
    return f"{computing}, {_bytes(bounds.memory)}"


def _bytes(number: int) -> str:
    unit, name = (2**30, "GiB") if number >= 2**30 else (2**20, "MiB")
    return f"{number / unit:g} {name}"
