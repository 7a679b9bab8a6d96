"""Every attack in one term, with honest neighbours, through the commands of an instructor.

Each command runs under `ulimit -v` and a deadline, as one on a small machine would.
"""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nbformat.v4 import new_markdown_cell

from autograde.course.as_cells import handed_in
from autograde.course.lessons import checkout_base
from autograde.course.sample import solutions
from autograde.term.rosters import ROSTER_COLUMNS
from autograde.term.term import Term, init
from tests.hostile.entry import LESSON, Download, Hostile, Seen, disagreement, save, solved
from tests.hostile.grading import seen_of

EVERY = 10  # an honest neighbour comes after so many
MEMORY = 6 * 2**30  # bytes of address space for each process; see `SECURITY.md`
# Who tries nothing, and what they have written in a cell of their own.
HONEST = {"plain": "", "noting": "These are plain words of mine about $x^2$ in this lesson."}
BROKEN = "broken"  # whose download was cut short
DEADLINE = 1200  # seconds for a command: more than any takes, so that a hang is a failure


@dataclass(frozen=True)
class Ran:
    """code: None where it met the deadline. said: stdout and stderr. seconds: wall clock."""

    code: int | None
    said: bytes
    seconds: float


@dataclass
class Play:
    """attacks: by student. zips: what else lies among the downloads. ran: by command."""

    folder: Path
    attacks: dict[str, Hostile] = field(default_factory=dict)
    zips: tuple[Download, ...] = ()
    neighbours: list[str] = field(default_factory=list)
    ran: dict[str, Ran] = field(default_factory=dict)

    @property
    def term(self) -> Term:
        return Term.open(self.folder / "term")

    @property
    def pages(self) -> list[Path]:
        """All HTML that was written."""
        return sorted(
            [*(self.folder / "term" / "feedback").rglob("*.html"), *self._outputs("html")]
        )

    @property
    def tables(self) -> list[Path]:
        """All CSV that was written."""
        return sorted(self._outputs("csv"))

    def collect(self) -> None:
        """What it refuses is put where `grade` meets it all the same."""
        self.run("collect", self.folder / "downloads")
        for student, attack in self.attacks.items():
            path = self.term.submission(student, attack.lesson)
            if not os.path.lexists(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                attack.make(path)

    def grade(self, mode: str = "fork", workers: int = 2) -> None:
        self.run("grade", "--workers", workers, "--sandbox", mode)

    def give_back(self) -> None:
        """All that is made of what is graded."""
        self.run("feedback")
        self.run("report", "--to", self.folder / "report.html")
        self.run("export", "--to", self.folder / "points.csv")

    def seen(self, students: Iterable[str]) -> dict[str, Seen]:
        """What became of each."""
        lessons = {s: getattr(self.attacks.get(s), "lesson", LESSON) for s in students}
        lines = self.ran["grade"].said.decode("utf-8", "backslashreplace").splitlines()
        return seen_of(self.term, lessons, lines)

    def wrong(self) -> list[str]:
        """What is not as expected."""
        seen = self.seen(self.attacks)
        told = {s: disagreement(one, seen[s]) for s, one in self.attacks.items()}
        return [f"{s} {self.attacks[s].path}: {said}" for s, said in told.items() if said]

    def honest_pages(self) -> list[str]:
        """The pages of feedback of those who try nothing."""
        folder = self.term.root / "feedback"
        pages = (page for s in (*HONEST, BROKEN) for page in (folder / s).rglob("*.html"))
        return [page.read_text("utf-8") for page in pages]

    def _outputs(self, kind: str) -> list[Path]:
        return [path for path in self.folder.glob(f"*.{kind}") if path.stem != "roster"]

    def run(self, *words: object, memory: int = MEMORY) -> Ran:
        """A command in the term, in a process of its own."""
        command = [sys.executable, "-P", "-m", "tests.hostile.client", *map(str, words)]
        limited = ["sh", "-c", f'ulimit -v {memory >> 10}; exec "$@"', "sh", *command]
        started = time.monotonic()
        try:
            done = subprocess.run(
                [*limited, "--course", str(self.folder / "term")], cwd=self.folder,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=DEADLINE, check=False,
            )  # fmt: skip
            ran = Ran(done.returncode, done.stdout, time.monotonic() - started)
        except subprocess.TimeoutExpired as late:
            ran = Ran(None, late.stdout or b"", DEADLINE)
        self.ran[str(words[0])] = ran
        return ran


def enrol(folder: Path, attacks: Sequence[Hostile], zips: Sequence[Download]) -> Play:
    """A term with all of them on its roster, and the folder of what they have handed in."""
    one = Play(folder, zips=tuple(zips))
    init(folder / "term")  # where some look for it
    came = folder / "downloads"
    for number, attack in enumerate(attacks):
        student = f"h{number:03d}"
        one.attacks[student] = attack
        attack.write(came / student)
        if number % EVERY == EVERY - 1:
            one.neighbours.append(f"n{number:03d}")
            k1 = solutions(LESSON)["k1"] + f"\n# neighbour {number}"
            _write(came / one.neighbours[-1], save(solved(k1=k1)))
    for lesson in {LESSON, *(attack.lesson for attack in attacks)}:
        for student, words in HONEST.items():
            (came / student).mkdir(exist_ok=True)
            notebook = handed_in(checkout_base(lesson), {})
            notebook.cells += [new_markdown_cell(words)] * bool(words)
            save(notebook)(came / student / f"{lesson}.ipynb")
        (came / BROKEN).mkdir(exist_ok=True)
        (came / BROKEN / f"{lesson}.ipynb").write_text('{"cells": [], "nbformat": 4')
    for download in zips:
        download.make(came)
    _roster(folder / "roster.csv", [*one.attacks, *one.neighbours, *HONEST, BROKEN])
    init(folder / "term", folder / "roster.csv")
    return one


def _write(folder: Path, make: Callable[[Path], None]) -> None:
    folder.mkdir(parents=True)
    make(folder / f"{LESSON}.ipynb")


def _roster(path: Path, students: Sequence[str]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(ROSTER_COLUMNS)
        rows.writerows([s, f"First{s}", f"Last{s}", f"{s}@x.org"] for s in students)


def play(folder: Path, attacks: Sequence[Hostile], zips: Sequence[Download], mode: str) -> Play:
    """All commands, one after the other."""
    one = enrol(folder, attacks, zips)
    one.collect()
    one.grade(mode)
    one.give_back()
    return one
