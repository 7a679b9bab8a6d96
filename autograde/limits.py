"""What bounds each stage that works on what was handed in: one table, for a person to read."""

from collections.abc import Iterator
from dataclasses import astuple, dataclass

from helpers import clean, codec

from . import watching
from .common import errors, guard, saying
from .course import predictions
from .grading import beneath, essays, judging, magics, prose, rebuild, slicing
from .grading.inside import child, confine, submission
from .grading.sandbox import Limits
from .receiving import matching, platforms, tries, unpacking
from .returning import alike, gradescope, handing_back, students
from .term import reading, rosters, store

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
    """The limits as a table in Markdown, as SECURITY.md holds it."""
    rows = [astuple(limit) for limit in limits()]
    lines = ["| " + " | ".join(row) + " |" for row in (HEAD, ("---",) * len(HEAD), *rows)]
    return "\n".join(lines)


def _unpacking() -> Iterator[tuple[str, str, str]]:
    refused = "refused: one line says so"
    contents = f"{unpacking.MOST_FILES:,} files, {_bytes(unpacking.MOST_DIRECTORY)} of contents"
    yield "a class's zip or folder", contents, refused
    own = f"{unpacking.MOST_OWN_FILES:,} files, {unpacking.MOST_OWN_NOTEBOOKS} of them notebooks"
    yield "a student's zip", f"{own}, {_bytes(unpacking.MOST_BYTES)} unpacked", NAMED
    yield "a file", _bytes(unpacking.MOST_BYTES), NAMED
    often = f"{unpacking.MOST_RATIO} times its packed size, and {_bytes(unpacking.MOST_BLOATED)}"
    yield "what unpacks to more than", f"{often} in all", NAMED
    name = f"{unpacking.MOST_NAME} characters a name, {unpacking.MOST_PATH:,} in all"
    yield "a path", f"{name}, {unpacking.MOST_PARTS} folders deep", NAMED
    notes = f"{_bytes(max(unpacking.MOST_NOTE.values()))}, {_bytes(unpacking.MOST_NOTES)} in all"
    yield "what a platform notes beside", notes, "not read: no time is known"
    yield "what a student's zip says of itself", _bytes(unpacking.MOST_MANIFEST), "not read"
    yield "lines on one zip's other files", f"{unpacking.MOST_TOLD}", "the others are counted"
    patience = f"{watching.PATIENCE:g} s unchanged"
    yield "a file that `watch` finds incomplete", patience, "taken, and a line says what is wrong"
    yield "a submission at Gradescope", f"{gradescope.MOST_ENTRIES:,} entries", "no more are seen"


def _matching() -> Iterator[tuple[str, str, str]]:
    size = f"{rosters.MOST_ROWS:,} rows, {rosters.MOST_COLUMNS:,} columns"
    yield "a roster", f"{_bytes(rosters.MOST_BYTES)}, {size}", "refused: one line says so"
    yield "an id", f"{rosters.MOST_ID} bytes", "refused: one line says so"
    words = f"{matching.MOST_WORDS} words, {matching.MOST_LETTERS} letters of each part"
    yield "of a name", words, "the rest is not looked at"
    yield "an id or an address of several words", f"{matching.MOST_SPAN} words", "not looked for"
    yield "paths whose owner is kept", f"{matching.MOST_KEPT:,}", "looked for again"
    compared = f"{errors.MOST_NEAR:,} names, {errors.MOST_NEARER} closely"
    compared = f"{compared}, {errors.MOST_NEAR_LETTERS} letters"
    yield "compared for one 'did you mean'", compared, "nothing is asked"
    yield "questions 'did you mean'", f"{tries.MOST_ASKED:,}", "the others are asked nothing"
    people = f"{saying.MOST_NAMED} ({matching.MOST_SAID} of a group)"
    yield "people that a line names", people, "the others are counted"
    members = f"{platforms.gradescope.MOST_MEMBERS}"
    yield "members of a group of Gradescope's", members, "nobody of it is told"
    line = f"{platforms.gradescope.MOST_LINE:,} characters"
    yield "a line of Gradescope's metadata", line, "not read: a program printed it"


def _rebuilding() -> Iterator[tuple[str, str, str]]:
    yield "a notebook's file", _bytes(reading.MOST_BYTES), REFUSED
    yield "its cells", f"{rebuild.MOST_CELLS:,}", REFUSED
    yield "characters of code", f"{rebuild.MOST_CODE:,}", REFUSED
    yield "reading, or rebuilding, of one", _bounds(), REFUSED
    least = f"{magics.MOST_CHARACTERS:,} characters, {magics.MOST_LINES} lines"
    yield "a cell read by IPython's transformer", least, "it is read line by line"
    yield "code in which text is looked for", f"{essays.MOST_CODE:,} characters", "no text is seen"
    yield "a cell looked into for what answers need", f"{slicing.LONGEST:,} characters", "not taken"
    yield "a cell looked into for predictions", f"{predictions.LONGEST:,} characters", "not taken"


def _running() -> Iterator[tuple[str, str, str]]:
    most = Limits()
    stopped = "stopped: no points for the exercise, and its page says why; the next one is asked"
    refused = "refused to the code, as an exception of its own"
    yield "one exercise", f"{most.seconds} s", stopped
    yield "one cell", f"{most.cell_seconds} s", "stopped; the cells after it are run"
    yield "one notebook", f"{most.total(0)} s and {most.seconds} s for each exercise", stopped
    yield "memory of a process", _bytes(most.memory), f"{refused}, or {stopped}"
    yield "processes", "1", refused
    yield "threads", f"{child.THREADS}", refused
    room = f"{confine.FILES:,} files, {_bytes(max(submission.SCRATCH.values()))}"
    yield "each of the folders that can be written to", room, f"{refused}, or {stopped}"
    yield "network", "none", refused


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
    together = f"{alike.MOST_TOGETHER}"
    yield "students with the same two answers, as alike", together, "too many to ask about these"
    rows = f"{students.MOST_ROWS:,}"
    yield "rows of the report's students", rows, "those who need a look, and export has everybody"
    name = f"{handing_back.MOST_NAME} characters"
    yield "a name, or an id, in a zip for a platform", name, "the rest is left out"


def _saying() -> Iterator[tuple[str, str, str]]:
    yield "a line on the terminal", f"{saying.MOST_SAID:,} characters", LEFT_OUT


def _bounds() -> str:
    bounds = guard.BOUNDS
    computing = f"{bounds.seconds} s of computing ({bounds.seconds * bounds.patience} s in all)"
    return f"{computing}, {_bytes(bounds.memory)}"


def _bytes(number: int) -> str:
    units = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
    return next(f"{number / unit:g} {name}" for unit, name in units if number >= unit)
