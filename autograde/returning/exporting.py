"""The points as CSV: a plain table, a line for each student, or what Canvas and Moodle import."""

import csv
import io
import math
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from helpers.clean import SIGN, clean

from ..common.errors import UsageError
from ..common.files import write_whole
from ..common.saying import counted, folded, some_of
from ..course.plan import in_order
from ..term.term import FORMGRADER, Term
from . import canvas
from .behind import told
from .points import Points
from .targets import require_output

FORMS = ("table", "students", "canvas", "moodle")
PLATFORMS = {"canvas": "Canvas", "moodle": "Moodle"}
IDS = ("id", "email")
COLUMNS = [
    "id", "last_name", "first_name", "email", "lesson", "score", "max_score",
    "late_penalty", "needs_hand_grading",
]  # fmt: skip
MOODLE = {
    "first_name": "First name", "last_name": "Last name", "id": "ID number",
    "email": "Email address",
}  # fmt: skip
STUDENT = ["id", "last_name", "first_name", "email"]
BOM = "\ufeff"  # without it, Excel takes UTF-8 for another encoding
NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
FIRST = re.compile(rf"[\s{SIGN}]*(.?)")
SIGNS = ("=", "+", "-", "@", "|")  # with which formulas begin, and calls of other programs


@dataclass
class Exported:
    """path: the file. notes: lines to read. outdated: lines on points in it that are not of the
    newest file or of the lesson as it is now. unplaced: students whose points are not in it."""

    path: Path
    notes: list[str] = field(default_factory=list)
    outdated: list[str] = field(default_factory=list)
    unplaced: list[str] = field(default_factory=list)


def grades(term: Term) -> Iterator[dict[str, Any]]:
    """A row for each student and lesson of the gradebook; what was not handed in has no score.

    unscored: how many of its essays have never been graded by hand.
    """
    plan = term.plan
    with term.api().gradebook as gradebook:
        unscored, graded = _unscored(gradebook), _graded(gradebook)
        assignments = {one.name: one for one in gradebook.assignments}
        submissions = {
            (one.student.id, one.assignment.name): one
            for assignment in assignments.values()
            for one in assignment.submissions
            if one.id in graded  # else there is but an extension
        }
        for student in sorted(gradebook.students, key=lambda s: (s.last_name or "", s.id)):
            for assignment in (assignments[name] for name in in_order(assignments, plan)):
                one = submissions.get((student.id, assignment.name))
                yield {
                    "id": student.id,
                    "last_name": student.last_name or "",
                    "first_name": student.first_name or "",
                    "email": student.email or "",
                    "lesson": assignment.name,
                    "score": max(0.0, one.score - one.late_submission_penalty) if one else "",
                    "max_score": assignment.max_score,
                    "late_penalty": one.late_submission_penalty if one else "",
                    "needs_hand_grading": one.needs_manual_grade if one else "",
                    "unscored": unscored.get(one.id, 0) if one else 0,
                }


def _graded(gradebook: Any) -> set[str]:
    """The ids of the submissions that a notebook was graded of."""
    from nbgrader.api import SubmittedNotebook

    return {one for (one,) in gradebook.db.query(SubmittedNotebook.assignment_id)}


def _unscored(gradebook: Any) -> dict[str, int]:
    """How many cells of each submission have no score at all, by the submission's id."""
    from nbgrader.api import Grade, SubmittedNotebook
    from sqlalchemy import func

    owner = SubmittedNotebook.assignment_id
    query = gradebook.db.query(owner, func.count()).select_from(SubmittedNotebook)
    query = query.join(Grade, Grade.notebook_id == SubmittedNotebook.id).filter(
        Grade.needs_manual_grade, Grade.manual_score.is_(None), Grade.auto_score.is_(None)
    )
    return dict(map(tuple, query.group_by(owner)))


def export(
    term: Term,
    target: Path,
    form: str = "table",
    gradebook: Path | None = None,
    partial: bool = False,
    lessons: Collection[str] = (),
    ids: str = "",
) -> Exported:
    """Write the points for a reader of `form`, one of FORMS, quoted where needed; whole or not.

    gradebook: the CSV file that Canvas exported, whose students and assignments are filled in.
    partial: but for the table, also scores in which an essay has not been graded by hand yet.
    lessons: only these. ids: who somebody is stands there as this one of IDS alone.
    Raises UsageError when it cannot be written there, or is to be kept (see `require_output`), and
    but for the table when nothing is graded.
    """
    require_output(term, target, ".csv", gradebook)
    if gradebook is not None and form != "canvas":
        raise UsageError(f"{gradebook}: is filled in for Canvas only; add --for canvas")
    if gradebook is not None and ids:
        raise UsageError(f"--ids {ids}: with --fill, Canvas's own ids stay; leave one of them out")
    rows = [row for row in grades(term) if not lessons or row["lesson"] in lessons]
    made = Exported(target)
    left_out = set(IDS) - {ids} if ids else set()
    if form == "table":
        columns = [name for name in COLUMNS if name not in left_out]
        lines = [columns, *([row[name] for name in columns] for row in rows)]
        there = {row["lesson"] for row in rows}
        given = [name for name in term.lessons if name in there]
        _say_what_is_behind(term, rows, given, {row["id"] for row in rows}, made)
    else:
        points = _points(term, rows, partial, made, lessons)
        without = (one for one in in_order(lessons, term.plan) if one not in points.lessons)
        made.notes += [f"{lesson}: nobody's is graded; left out" for lesson in without]
        listed = {row["id"] for row in points.students}
        ungraded = _say_what_is_behind(term, rows, [*points.lessons], listed, made)
        points = replace(points, waiting=points.waiting | ungraded)
        if ids == "email" and form in PLATFORMS:
            points = _with_address(term, points, form, made)
        lines = _lines(form, points, gradebook, left_out, made)
    text = BOM * (form == "students") + written(lines)
    write_whole(target, text.encode("utf-8"))
    return made


def _say_what_is_behind(
    term: Term, rows: list[dict[str, Any]], lessons: Collection[str], among: Collection[str],
    made: Exported,
) -> set[tuple[str, str]]:  # fmt: skip
    """Of these students; (student, lesson) of what they handed in and no points stand for."""
    made.outdated += _of_earlier_files(term, [row for row in rows if row["id"] in among])
    said = told(term, lessons, among)
    made.outdated += said.outdated
    made.notes += said.others
    return said.without


def _of_earlier_files(term: Term, rows: list[dict[str, Any]]) -> list[str]:
    """A line on whose points stand though what lies in submitted/ now could not be graded."""
    with term.store() as store:
        failed = store.failed()
    names = [f"{row['id']}/{row['lesson']}" for row in rows if row["score"] != ""]
    stale = [name for name in names if name in failed]
    if not stale:
        return []
    return [
        f"{some_of(stale)}: what is in submitted/ now could not be graded, "
        "and the points are of an earlier file; autograde grade says why"
    ]


def _points(
    term: Term, rows: list[dict[str, Any]], partial: bool, made: Exported, lessons: Collection[str]
) -> Points:
    """The scores to hand over: of lessons that somebody has handed in, as only these are due, and
    of students on the roster, as a platform may know nobody else."""
    scored = [row for row in rows if row["score"] != ""]
    if not scored:
        of = f" of {', '.join(in_order(lessons, term.plan))}" if lessons else ""
        raise UsageError(f"{term.root}: nothing{of} is graded yet; run: autograde grade")
    roster = {row["id"] for row in term.roster()}
    if not roster:
        raise UsageError(
            f"{term.root / 'roster.csv'}: nobody is on the roster, and nobody else is in what goes "
            f"to others; put them on it: autograde init {term.root} --roster FILE.csv"
        )
    strangers = sorted({row["id"] for row in scored} - roster)
    if strangers:
        made.notes.append(
            f"{', '.join(strangers)}: not on the roster; their points are left out: put them on "
            f"it, and run: autograde init {term.root}; who is on it by another id by now is taken "
            "out by: autograde remove ID"
        )
    rows, scored = ([row for row in some if row["id"] in roster] for some in (rows, scored))
    waiting = [row for row in scored if row["unscored"]]
    if waiting:
        wait = counted(len(waiting), "score waits", "scores wait")
        became = "counted without it" if partial else "left empty; --partial writes the rest"
        made.notes.append(
            f"{wait} for an essay to be graded by hand, {became} "
            f"({_whose(waiting)}); to grade essays: {FORMGRADER}"
        )
    kept = [row for row in scored if partial or not row["unscored"]]
    most = {row["lesson"]: number(row["max_score"]) for row in scored}
    return Points(
        list({row["id"]: row for row in rows}.values()),
        {row["lesson"]: most[row["lesson"]] for row in rows if row["lesson"] in most},
        {(row["id"], row["lesson"]): number(row["score"]) for row in kept},
        frozenset() if partial else frozenset((row["id"], row["lesson"]) for row in waiting),
    )


def _whose(rows: list[dict[str, Any]]) -> str:
    return some_of(f"{row['id']}/{row['lesson']}" for row in rows)


def _with_address(term: Term, points: Points, form: str, made: Exported) -> Points:
    """Without those whom no address, or not theirs alone, can name: Moodle would give the points
    of a line with none to whoever stands above it (grade/import/csv/classes/load_data.php)."""
    counts = Counter(row["email"].casefold() for row in points.students)
    kept = [row for row in points.students if row["email"] and counts[row["email"].casefold()] == 1]
    mend = (
        f"on the roster, by which {PLATFORMS[form]} is to find them; mend it there, and run: "
        f"autograde init {term.root} --roster FILE.csv"
    )
    lost = [row for row in points.students if row not in kept]
    without = {row["id"]: f"{row['id']}: has no email {mend}" for row in lost if not row["email"]}
    made.unplaced += folded(without, f"have no email {mend}")
    made.unplaced += [
        f"{row['id']}: shares {row['email']} with another {mend}" for row in lost if row["email"]
    ]
    return replace(points, students=kept)


def _lines(
    form: str, points: Points, gradebook: Path | None, left_out: Collection[str], made: Exported
) -> list[Sequence[Any]]:
    if form == "students":
        return _with_totals(points, [name for name in STUDENT if name not in left_out])
    if form == "moodle":
        without = sum(not row["email"] for row in points.students)
        if without and "email" not in left_out:
            lack = counted(without, "student has", "students have")
            made.notes.append(f"{lack} no email; let Moodle map the ID number")
        columns = {name: title for name, title in MOODLE.items() if name not in left_out}
        lines = [[*(row[name] for name in columns), *points.of(row["id"])]
                 for row in points.students]  # fmt: skip
        return [[*columns.values(), *points.lessons], *lines]
    if gradebook is None:
        return canvas.lines(points, by="email" if "id" in left_out else "id")
    lines, notes, made.unplaced = canvas.filled(points, gradebook)
    made.notes += notes
    return lines


def _with_totals(points: Points, columns: list[str]) -> list[Sequence[Any]]:
    """A line for each student: the total is of all these lessons, what was not handed in as 0;
    empty while a part of it waits, or cannot be graded."""
    most = number(math.fsum(map(float, points.lessons.values())))
    made: list[Sequence[Any]] = [[*columns, *points.lessons, "total", "max_total"]]
    for row in points.students:
        scores = points.of(row["id"])
        waits = any((row["id"], lesson) in points.waiting for lesson in points.lessons)
        total = "" if waits else number(math.fsum(float(score or 0) for score in scores))
        made.append([*(row[name] for name in columns), *scores, total, most])
    return made


def number(score: float) -> str:
    """A score to two decimals, as LMSs keep them, without zeros that say nothing."""
    return f"{round(score, 2):.2f}".rstrip("0").rstrip(".")


def written(lines: Iterable[Sequence[Any]]) -> str:
    """The lines as CSV; below the first, no text in them is a formula to a spreadsheet."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for i, line in enumerate(lines):
        writer.writerow([harmless(cell) if i else cell for cell in line])
    return text.getvalue()


def harmless(cell: Any) -> Any:
    """The cell, clean, with an apostrophe in front of what a spreadsheet would take for a formula.

    A name such as `=HYPERLINK(...)` comes from students' own profiles. Where commas separate
    decimals, `;` separates cells. Numbers are left, and ids, which begin with no such sign.
    """
    if not isinstance(cell, str) or NUMBER.fullmatch(cell):
        return cell
    return ";".join(f"'{part}" if _is_formula(part) else part for part in clean(cell).split(";"))


def _is_formula(text: str) -> bool:
    """Wide forms of the signs count too, and what spreadsheets skip in front of them."""
    first = FIRST.match(text)[1]
    return bool(first) and unicodedata.normalize("NFKC", first)[0] in SIGNS


def table(rows: Iterable[dict[str, Any]]) -> str:
    """Students down, lessons across, as text for a terminal."""
    rows = list(rows)
    lessons = list(dict.fromkeys(row["lesson"] for row in rows))
    students = list(dict.fromkeys(row["id"] for row in rows))
    scores = {(row["id"], row["lesson"]): _score(row) for row in rows}
    width = 2 + max(len(text) for text in (*students, "student"))
    lines = ["student".ljust(width) + "".join(f"  {lesson:>11.11}" for lesson in lessons)]
    for student in students:
        cells = (f"  {scores.get((student, lesson), ''):>11}" for lesson in lessons)
        lines.append(student.ljust(width) + "".join(cells))
    if any(row["needs_hand_grading"] for row in rows):
        lines += ["", f"* waits for a score, or a second look, by hand: {FORMGRADER}"]
    return "\n".join(lines)


def _score(row: dict[str, Any]) -> str:
    if row["score"] == "":
        return "–"
    return f"{row['score']:g} of {row['max_score']:g}" + "*" * bool(row["needs_hand_grading"])
