"""A whole term of 30 students, played with the commands that an instructor types.

    python -P -m tests.term DIR

The checkout that grades first has an error in a test; the term is graded again by the right one.
"""

import csv
import io
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from autograde.cli import main
from autograde.course.as_cells import handed_in
from autograde.course.lessons import ROOT, checkout_base
from autograde.course.sample import solutions, with_mistakes
from autograde.term.rosters import ROSTER_COLUMNS
from autograde.term.term import Term

LESSON, ESSAY_LESSON = "02_divergence", "07_case_study"
ESSAYS = ("essay_impact", "essay_claims")
STUDENTS, ESSAYISTS, LATE = 30, 8, (2, 4)
TWICE, BROKEN, ABSENT, STRANGER = 1, 28, 30, "guestgail_1099"
NAMES = {2: ("Åsa", "O'Brien"), 3: ("", "李"), 4: ('Bo "Bobo"', "Lee, Jr."), 5: ("=1+1", "Smith")}
WRONG_TEST = ("helpers/reference/divergence.py", 'q02_dynamics = "C"', 'q02_dynamics = "B"')
LATE_CONFIG = """
from nbgrader.plugins import LateSubmissionPlugin


class FourPoints(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 4.0


c.AssignLatePenalties.plugin_class = FourPoints
"""
DUE, CAME = "2025-10-01 12:00:00 UTC", "2025-10-02 12:00:00 UTC"
DOWNLOADED = (2025, 10, 3, 12, 0, 0)


def student_id(number: int) -> str:
    return f"s{number:02d}"


def names(number: int) -> tuple[str, str]:
    return NAMES.get(number, (f"First{number}", f"Last{number}"))


def roster() -> Iterator[dict[str, str]]:
    for number in range(1, STUDENTS + 1):
        row = (student_id(number), *names(number), f"{student_id(number)}@x.org")
        yield dict(zip(ROSTER_COLUMNS, row, strict=True))


def kind(number: int) -> int:
    """0: all right. 1 and 2: makes that mistake throughout. 3: hands in what was given out."""
    return number % 4


def notebook(lesson: str, number: int) -> NotebookNode:
    """What a student hands in; their essays, where there are any, are in their own words."""
    own = {name: f"The words of {student_id(number)} on {name}." for name in ESSAYS}
    return handed_in(_of_kind(lesson, kind(number)), own if kind(number) != 3 else {})


@cache
def _of_kind(lesson: str, which: int) -> NotebookNode:
    if which == 3:
        return checkout_base(lesson)
    if which:
        return with_mistakes(lesson, which)
    return handed_in(checkout_base(lesson), solutions(lesson))


def on_canvas(number: int, lesson: str, attempt: int = 0) -> str:
    """The file's name as Canvas gives it: name, LATE, Canvas's own numbers, then the student's."""
    first, last = names(number)
    name = "".join(letter for letter in (last + first).lower() if letter.isalnum())
    late = "LATE_" * (lesson == LESSON and number in LATE)
    again = f"-{attempt}" * bool(attempt)
    return f"{name}_{late}{1000 + number}_{5000 + number}_{lesson}{again}.ipynb"


def submissions() -> Iterator[tuple[str, str]]:
    """(file in the LMS's zip, its text): one comes twice, one is cut short, one is a stranger's."""
    yield on_canvas(TWICE, LESSON), nbformat.writes(checkout_base(LESSON))
    for number in range(1, STUDENTS):
        text = nbformat.writes(notebook(LESSON, number))
        cut = len(text) // 2 if number == BROKEN else len(text)
        yield on_canvas(number, LESSON, int(number == TWICE)), text[:cut]
    for number in range(1, ESSAYISTS + 1):
        yield on_canvas(number, ESSAY_LESSON), nbformat.writes(notebook(ESSAY_LESSON, number))
    yield f"{STRANGER}_5099_{LESSON}.ipynb", nbformat.writes(notebook(LESSON, 0))
    yield "notes.txt", "not a notebook"


@dataclass
class Play:
    """The term under `folder`, and what each command said. say: told each command as it runs."""

    folder: Path
    say: Callable[[str], None] = lambda text: None
    said: list[str] = field(default_factory=list)

    @property
    def term(self) -> Term:
        return Term.open(self.folder / "term")

    def run(self, *arguments: object) -> int:
        """One command; its exit code. What it printed is the last of `said`."""
        words = [str(argument) for argument in arguments]
        self.say(f"\n$ autograde {' '.join(words)}")
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed):
            code = main(words)
        self.said.append(printed.getvalue())
        self.say(self.said[-1].rstrip())
        return code

    def begin(self) -> None:
        """init, and release: the roster has all names that make trouble."""
        with (self.folder / "roster.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ROSTER_COLUMNS)
            writer.writeheader()
            writer.writerows(roster())
        self.run("init", self.folder / "term", "--roster", self.folder / "roster.csv")
        self.run("release", self.folder / "bundle")

    def collect(self) -> int:
        """From a zip such as an LMS makes."""
        path = self.folder / "submissions.zip"
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in submissions():
                archive.writestr(zipfile.ZipInfo(name, DOWNLOADED), text)
        code = self.run("collect", path, "--course", self.folder / "term")
        self.say("\n(Canvas says who was late, and not when: their times are written by hand)")
        for number in LATE:
            stamp = self.term.submission(student_id(number), LESSON).with_name("timestamp.txt")
            stamp.write_text(CAME)
        return code

    def set_due_date(self) -> None:
        """In the gradebook, as formgrader does; and what coming late costs, in the settings."""
        self.say(f"\n({LESSON} is due {DUE}; who is late loses 4 points)")
        config = self.folder / "term" / "nbgrader_config.py"
        config.write_text(config.read_text("utf-8") + LATE_CONFIG, encoding="utf-8")
        with self.term.api().gradebook as gradebook:
            gradebook.update_or_create_assignment(LESSON, duedate=DUE)

    def grade_with_a_wrong_test(self) -> int:
        """By a copy of this checkout in which one quiz expects the wrong answer."""
        wrong = self.folder / "wrong"
        ignore = shutil.ignore_patterns("__pycache__", ".*")
        for name in ("autograde", "helpers", "solutions", "notebooks"):
            shutil.copytree(ROOT / name, wrong / name, ignore=ignore)
        name, right, error = WRONG_TEST
        text = (wrong / name).read_text("utf-8")
        (wrong / name).write_text(text.replace(right, error), encoding="utf-8")
        command = [sys.executable, "-m", "autograde", "grade", "--course", self.folder / "term"]
        self.say("\n$ autograde grade   (with an error in the test of q02_dynamics)")
        done = subprocess.run(
            command, env=os.environ | {"PYTHONPATH": str(wrong)}, cwd=self.folder,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        self.said.append(done.stdout + done.stderr)
        self.say(self.said[-1].rstrip())
        return done.returncode

    def grade_by_hand(self, all_but: int = 0) -> dict[str, float]:
        """Score the essays that wait, as formgrader does; points by student.

        all_but: so many students are left for later.
        """
        points: dict[str, float] = {}
        with self.term.api().gradebook as gradebook:
            waiting = gradebook.assignment_submissions(ESSAY_LESSON)
            waiting = [one for one in waiting if one.needs_manual_grade]
            waiting.sort(key=lambda one: one.student.id)
            for one in waiting[: len(waiting) - all_but]:
                for grade in (g for g in one.notebooks[0].grades if g.needs_manual_grade):
                    grade.manual_score = 1.5 + len(points) % 4
                    grade.needs_manual_grade = False
                    points[one.student.id] = points.get(one.student.id, 0) + grade.manual_score
            gradebook.db.commit()
        self.say(f"\n(essays of {len(points)} students scored by hand)")
        return points

    def arrive(self, number: int) -> None:
        """A student's work in a folder that is watched."""
        folder = self.folder / "arriving"
        folder.mkdir()
        (folder / on_canvas(number, LESSON, 2)).write_text(
            nbformat.writes(notebook(LESSON, number)), encoding="utf-8"
        )
        self.say(f"\n(a whole notebook of {student_id(number)} arrives)")

    def export(self, form: str, *options: object) -> list[list[str]]:
        """The lines of one form of the points."""
        path = self.folder / f"{form}.csv"
        self.run("export", "--to", path, "--for", form, *options, "--course", self.folder / "term")
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.reader(file))


def play(folder: Path) -> None:
    """All of it, one step after the other, each said."""
    one = Play(folder, say=lambda text: print(text, flush=True))
    course = ("--course", folder / "term")
    one.begin()
    one.run("release", folder / "weekly", LESSON[:2])
    one.run("release", folder / "weekly", ESSAY_LESSON[:2])
    one.collect()
    one.set_due_date()
    one.run("extend", student_id(LATE[0]), LESSON, "2d", *course)
    one.grade_with_a_wrong_test()
    one.grade_by_hand()
    one.run("feedback", *course)
    one.run("grade", "--regrade", *course)
    one.run("feedback", *course)
    back = ("--like", folder / "submissions.zip", "--to", folder / "back.zip")
    one.run("feedback", LESSON, "--for", "canvas", *back, *course)
    for form in ("table", "students", "canvas", "moodle"):
        one.export(form)
    one.arrive(BROKEN)
    one.run("watch", folder / "arriving", "--once", *course)
    one.run("remove", student_id(ESSAYISTS), "--yes", *course)
    one.run("extend", *course)
    one.export("students")
    one.run("report", "--to", folder / "report.html", *course)


if __name__ == "__main__":
    if len(sys.argv) != 2 or Path(sys.argv[1]).exists():
        sys.exit("name a folder that is not there yet: python -P -m tests.term DIR")
    Path(sys.argv[1]).mkdir(parents=True)
    play(Path(sys.argv[1]).resolve())
