"""What an attack is, and how its file is made."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent, indent

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from autograde.course.as_cells import handed_in
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import checkout_base, grade_id
from autograde.course.sample import solutions
from autograde.grading.sandbox import Limits

LESSON = "02_divergence"
MARK = "hostile-mark"  # in the name of every file that a submission tries to leave somewhere
SCRIPT = "<script>hostile(1)</script>"  # what must not be live in a feedback page
IMAGE = "<img src=x onerror=hostile(1)>"
ENVIRONMENT = "HOSTILE_SUITE"  # a variable of the grader's, which nothing inside may see
WRONG = "def k1(logp, ref_logp):\n    return logp * 0"


@cache
def full(lesson: str) -> dict[str, int]:
    """The points of each exercise."""
    return {name: exercise.points for name, exercise in exercises(lesson).items()}


FULL = full(LESSON)
NOTHING = dict.fromkeys(FULL, 0)
OTHERS = tuple(name for name in FULL if name != "k1")
MODES = ("fork", "strict", "user")  # of sandboxes; the last is Gradescope's
RULES = 1  # points of k1 that go with inputs left alone


@dataclass(frozen=True)
class Short(Limits):
    """The limits of a real run, but for the time, which a suite would spend on waiting."""

    seconds: int = 6
    cell_seconds: int = 3

    def total(self, exercises: int) -> int:
        """As long for one exercise as for all."""
        return 20


@dataclass(frozen=True)
class Hostile:
    """One submission. make: writes it to a path.

    earns: points by exercise; what is not named earns all. spoils: exercises that may earn
    anything; spoils_in: more of them, in a mode. says: words that the verdicts hold. stage: what it
    is to break; modes: where it can be tried. refusable: it may meet a limit, and is then not
    graded. unreadable: words of the line that says why the file was not graded at all; "" for one
    that is; on_gradescope: in their place there.
    """

    name: str
    tries: str
    make: Callable[[Path], None]
    earns: Mapping[str, int] = field(default_factory=lambda: {"k1": 0})
    spoils: Sequence[str] = ()
    spoils_in: Mapping[str, Sequence[str]] = field(default_factory=dict)
    says: str = ""
    unreadable: str = ""
    on_gradescope: str = ""
    stage: str = ""
    modes: Sequence[str] = MODES
    lesson: str = LESSON
    refusable: bool = False

    def write(self, folder: Path) -> None:
        """Its file in a folder of its own, as a download has it."""
        folder.mkdir(parents=True, exist_ok=True)
        self.make(folder / f"{self.lesson}.ipynb")

    @property
    def path(self) -> str:
        """Stage and name."""
        return f"{self.stage}/{self.name}"

    @property
    def expected(self) -> str:
        """In words."""
        if self.unreadable:
            return f"not graded: {self.unreadable}"
        earned = ", ".join(f"{name} {points}" for name, points in self.earns.items())
        spoilt = ", ".join(name for name in self.spoils if name not in self.earns)
        told = [earned or "full marks", spoilt and f"any points: {spoilt}", self.says]
        return "; ".join(filter(None, told))


@dataclass(frozen=True)
class Download:
    """Something among the downloads that is no one lesson's file. make: writes it into a folder.

    says: words of the line that `collect` prints; "" where there need be none.
    """

    name: str
    tries: str
    make: Callable[[Path], None]
    says: str = ""
    stage: str = "unpacking"

    @property
    def path(self) -> str:
        """Stage and name."""
        return f"{self.stage}/{self.name}"


@dataclass(frozen=True)
class Seen:
    """What became of a submission. points: None where it was not graded. said: by exercise."""

    points: Mapping[str, int] | None
    said: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""

    @property
    def told(self) -> str:
        """In words."""
        if self.points is None:
            return self.failed or "neither graded nor reported"
        most = {name: points for one in LESSONS for name, points in full(one).items()}
        lost = {name: won for name, won in self.points.items() if won != most[name]}
        return ", ".join(f"{name} {won}" for name, won in lost.items()) or "full marks"


def disagreement(hostile: Hostile, seen: Seen, mode: str = "fork") -> str:
    """What is not as expected, in words; "" where all is."""
    spoils = {*hostile.spoils, *hostile.spoils_in.get(mode, ())}
    if hostile.unreadable:
        words = (mode == "user" and hostile.on_gradescope) or hostile.unreadable
        refused = seen.points is None and words in seen.failed
        return "" if refused else f"not refused with {words!r}: {seen.told}"
    if seen.points is None:
        if hostile.refusable and seen.failed:
            return ""
        return f"not graded: {seen.told}"
    for name, won in seen.points.items():
        wanted = hostile.earns.get(name, None if name in spoils else full(hostile.lesson)[name])
        if wanted is not None and won != wanted:
            return f"{name} earned {won}, not {wanted}: {seen.said[name]}"
    told = "\n".join(seen.said[name] for name in hostile.earns)
    return "" if hostile.says in told else f"no word of {hostile.says!r}: {told}"


# How submissions are made.


@cache
def solved_text(lesson: str = LESSON) -> str:
    return nbformat.writes(handed_in(checkout_base(lesson), solutions(lesson)))


def solved(**answers: str) -> NotebookNode:
    """The lesson with every answer right, but for these."""
    return handed_in(nbformat.reads(solved_text(), as_version=4), answers)


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell with this grade_id."""
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def save(notebook: NotebookNode) -> Callable[[Path], None]:
    """What writes it; TERM_FOLDER in a source is the term's own path, which may be guessed."""
    text = json.dumps(notebook)
    return lambda path: path.write_text(text.replace("TERM_FOLDER", _term_of(path))) and None


def _term_of(path: Path) -> str:
    """The term that a file is in, or that it is handed in to."""
    places = [place for up in path.parents for place in (up, up / "term")]
    return str(next((one for one in places if (one / "nbgrader_config.py").exists()), "no-term"))


def answer(name: str, tries: str, source: str, of: str = "k1", **expects: object) -> Hostile:
    """The source in the place of one answer, which earns nothing."""
    expects = {"earns": {of: 0}} | expects
    return Hostile(name, tries, save(solved(**{of: dedent(source).strip()})), **expects)


def added(name: str, tries: str, source: str, **expects: object) -> Hostile:
    """The source in a cell of its own, in front of all answers; k1 is wrong."""
    notebook = solved(k1=WRONG)
    notebook.cells.insert(2, new_code_cell(dedent(source).strip()))
    return Hostile(name, tries, save(notebook), **expects)


def mangled(name: str, tries: str, change: Callable[[NotebookNode], object], **expects: object):
    """The solved notebook, changed; it earns what it would have earned."""

    def changed() -> NotebookNode:
        notebook = solved()
        change(notebook)
        return notebook

    return Hostile(name, tries, built(changed), **({"earns": {}} | expects))


def built(make: Callable[[], NotebookNode]) -> Callable[[Path], None]:
    """What makes a notebook when it is written, and not before: some are large."""
    return lambda path: save(make())(path)


def raw(name: str, tries: str, data: bytes | str, unreadable: str, **expects: object) -> Hostile:
    """These bytes in the place of a notebook."""
    data = data.encode() if isinstance(data, str) else data
    return Hostile(
        name, tries, lambda path: path.write_bytes(data) and None, unreadable=unreadable, **expects
    )


def file(name: str, tries: str, make: Callable[[Path], None], **expects: object) -> Hostile:
    """Something else than a notebook's bytes, at its path."""
    return Hostile(name, tries, make, **expects)


# k1 is right exactly when the attempt has worked, so that one which works earns points. What is
# refused raises OSError, ImportError or ValueError; a mistake in the attempt itself is told.
ATTEMPT = """
import ctypes, gc, glob, os, pathlib, resource, socket, stat, subprocess, sys, torch
libc = ctypes.CDLL(None, use_errno=True)
worked = []

def everything():
    known = {"/usr", "/proc", "/sys", sys.prefix, sys.base_prefix}
    for folder, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in known
                      and f != "site-packages"]  # libraries' own notebooks and databases
        yield from (os.path.join(folder, file) for file in files)

def attempt(logp, ref_logp):
BODY

def k1(logp, ref_logp):
    if not worked:
        try:
            worked.append(bool(attempt(logp, ref_logp)))
        except (OSError, ImportError, ValueError):
            worked.append(False)
    return logp - ref_logp.detach() if worked[0] else logp * 0
"""


def attempt(name: str, tries: str, body: str) -> Hostile:
    """body: returns something true when what it tries has worked."""
    return answer(name, tries, attempting(body), says="k1: not right yet")


def attempting(body: str) -> str:
    """The source of k1 that tries this."""
    return ATTEMPT.replace("BODY", indent(dedent(body).strip(), "    "))


def syscalls(name: str, tries: str, *calls: str) -> Hostile:
    """calls: expressions with `libc`, of which each must give -1."""
    return attempt(name, tries, f"return any(result >= 0 for result in ({', '.join(calls)},))")
