"""What `autograde init` puts into a term folder: settings, roster, lessons, and the gradebook.

Each lesson is brought up by itself. One whose graded cells are others than those on which students'
work is recorded already stays as it was, whole.
"""

import csv
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError
from ..common.files import write_whole
from ..common.saying import counted, warn
from ..course.earlier import EARLIER, said_before
from ..course.exercises import LESSONS
from ..course.lessons import DUE, SOLUTIONS, lesson_path, write_notebook
from ..course.nbgrader_api import why
from ..course.plan import as_planned
from .rosters import ROSTER_COLUMNS
from .term import CONFIG, SETTINGS, Term, close

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

STAGES = ("source", "release")
KEPT = ".autograde/before"  # what stood of a lesson while it is made anew
LEFT_OUT = (
    "not among the term's lessons; what was handed in stays, and is left out everywhere until the "
    "lesson is among them again"
)


def furnish(
    term: Term, students: list[dict[str, str]] | None, refuse: Callable[[str], None]
) -> None:
    """Fill a new term folder, or bring one up to date; see `term.init`."""
    ours = term.root / ".autograde"
    ours.mkdir(parents=True, exist_ok=True)
    close(term.root)
    if not (ours / "key").exists():
        (ours / "key").touch(mode=0o600)
        (ours / "key").write_bytes(secrets.token_bytes(32))
    if not (term.root / SETTINGS).exists():
        (term.root / SETTINGS).write_text(CONFIG, encoding="utf-8")
    plan = term.plan  # what is wrong in the settings is told before anything is written
    _put_back(term)
    (term.root / "submitted").mkdir(exist_ok=True)
    if students is not None:
        write_roster(term.root / "roster.csv", students)
    api = term.api()
    for lesson in plan.lessons:
        if problem := _bring_up(term, lesson, api):
            refuse(f"{lesson}: {problem}")
        _write_due(term, lesson, api)
    _take_out(term, api)
    with api.gradebook as gradebook:
        for row in term.roster():
            kept = {name: row[name] for name in ROSTER_COLUMNS[1:]}
            gradebook.update_or_create_student(row["id"], **kept)


def _bring_up(term: Term, lesson: str, api: Any) -> str:
    """Make a lesson's source, release and rows in the gradebook; why they stay as they were.

    Raises UsageError where there is nothing yet that could stay.
    """
    import nbformat

    notebook = nbformat.read(lesson_path(SOLUTIONS, lesson), as_version=4)
    if problem := _rests_on_others(api, lesson, notebook):
        return problem
    with _standing(term, lesson) as stood:
        source = lesson_path(term.root / "source", lesson)
        source.parent.mkdir(parents=True, exist_ok=True)
        notebook = as_planned(lesson, notebook, term.plan)
        if said := _said_before(term, lesson, notebook):
            notebook.metadata[EARLIER] = said
        write_notebook(source, notebook)
        result = api.generate_assignment(lesson, force=True)
        if result["success"]:
            stood.clear()
            return ""
    problem = f"could not be made ({why(result)})"
    if not term.base_path(lesson).is_file():
        raise UsageError(f"{term.root}: {lesson} {problem}; look at {source}")
    return f"{problem}, and stays as it was"


def _said_before(term: Term, lesson: str, notebook: "NotebookNode") -> list[str]:
    """What the term's copy of a lesson says and `notebook` no longer does: students have it, and it
    is none of their words. Nothing where there is no copy yet, or a broken one, made anew here."""
    import nbformat

    try:
        return said_before(nbformat.read(term.base_path(lesson), as_version=4), notebook)
    except Exception:  # of many kinds, by what is broken in it
        return []


@contextmanager
def _standing(term: Term, lesson: str) -> Iterator[list[Path]]:
    """What stands of a lesson now stands again after the block, unless the list is emptied in it:
    nbgrader deletes a release before it makes the next."""
    kept = term.root / KEPT
    partial = kept.with_name(f"{kept.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    stood = [stage / lesson for stage in map(Path, STAGES) if (term.root / stage / lesson).is_dir()]
    for place in stood:
        shutil.copytree(term.root / place, partial / place)
    partial.rename(kept)
    try:
        yield stood
    finally:
        if stood:
            _put_back(term)
        shutil.rmtree(kept, ignore_errors=True)


def _put_back(term: Term) -> None:
    """Let stand again what stood before a block of `_standing` that failed, or was killed."""
    kept = term.root / KEPT
    for place in kept.glob("*/*"):
        target = term.root / place.relative_to(kept)
        shutil.rmtree(target, ignore_errors=True)
        target.parent.mkdir(exist_ok=True)
        place.rename(target)
    shutil.rmtree(kept, ignore_errors=True)


def _rests_on_others(api: Any, lesson: str, notebook: "NotebookNode") -> str:
    """Why a lesson may not change: work is recorded in it, on other cells than it has now."""
    from nbgrader.api import MissingEntry

    with api.gradebook as gradebook:
        try:
            known = gradebook.find_notebook(lesson, lesson)
        except MissingEntry:
            return ""
        count, before = len(known.submissions), _kinds(known)
    new = _kinds_of(notebook)
    if not count or before == new:
        return ""
    added, gone = ({name for _, name in some} for some in (new - before, before - new))
    told = {"new": added - gone, "gone": gone - added, "of another kind": added & gone}
    changes = "; ".join(
        f"{what}: {', '.join(sorted(names))}" for what, names in told.items() if names
    )
    return (
        f"the work of {counted(count, 'student')} is recorded in it, and the course has changed "
        f"its graded cells ({changes}); it stays as it was handed out: grade it with the version "
        "of the course that handed it out, or begin a new term with this one"
    )


def _kinds(known: Any) -> set[tuple[str, str]]:
    """(kind, name) of the cells that the gradebook has rows for."""
    kinds = {
        "grade": known.grade_cells, "solution": known.solution_cells,
        "task": known.task_cells, "source": known.source_cells,
    }  # fmt: skip
    return {(kind, cell.name) for kind, cells in kinds.items() for cell in cells}


def _kinds_of(notebook: "NotebookNode") -> set[tuple[str, str]]:
    """The same of a notebook, as nbgrader would make them."""
    from nbgrader import utils

    found = set()
    for cell in notebook.cells:
        is_kind = {
            "grade": utils.is_grade(cell), "solution": utils.is_solution(cell),
            "task": utils.is_task(cell),
        }  # fmt: skip
        is_kind["source"] = any(is_kind.values()) or utils.is_locked(cell)
        name = cell.metadata.get("nbgrader", {}).get("grade_id")
        found |= {(kind, name) for kind, holds in is_kind.items() if holds}
    return found


def _take_out(term: Term, api: Any) -> None:
    """Take out the lessons that the term does not give, but none that students have worked on."""
    from nbgrader.api import MissingEntry

    waits = term.left_out()
    for lesson in [name for name in LESSONS if name not in term.lessons]:
        with api.gradebook as gradebook:
            try:
                if lesson in waits or gradebook.find_assignment(lesson).submissions:
                    warn(f"{lesson}: {LEFT_OUT}")
                    continue
                gradebook.remove_assignment(lesson)
            except MissingEntry:
                pass
        for stage in STAGES:
            shutil.rmtree(term.root / stage / lesson, ignore_errors=True)


def _write_due(term: Term, lesson: str, api: Any) -> None:
    """Tell the released notebook when it is due, so that `submit` can say who is late."""
    import nbformat

    with api.gradebook as gradebook:
        due = gradebook.find_assignment(lesson).duedate
    if due and term.base_path(lesson).is_file():
        notebook = nbformat.read(term.base_path(lesson), as_version=4)
        notebook.metadata[DUE] = due.replace(tzinfo=UTC).isoformat()
        write_notebook(term.base_path(lesson), notebook)


def write_roster(path: Path, rows: list[dict[str, str]]) -> None:
    """Write the term's roster, whole or not at all."""
    import io

    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, ROSTER_COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode("utf-8"))
