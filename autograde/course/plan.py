"""Which lessons a term gives, in which order, and what their exercises are worth.

The term's settings say it (`c.Course`); `as_planned` writes it into a lesson's notebook, from which
all that grades reads it.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..common.errors import UsageError, did_you_mean, shown
from .exercises import LESSONS
from .lessons import INDEX, NOTEBOOKS, known_lesson, lesson_path, mark_of

if TYPE_CHECKING:  # they take a second to import
    from nbformat import NotebookNode

    from helpers.verdict import Verdict

SETTINGS = ("lessons", "points")
MOST_POINTS = 1_000
STEP = 4  # points are counted in quarters, which add up without rounding
AS_WRITTEN = "as_written"  # in a cell's metadata: its text before a plan changed it
NEXT, LAST = "The next lesson is **{}**.", "This was the last lesson."
_POINTS = re.compile(r"\*\((?:optional, )?(?:no|[\d.]+) points?,")  # in a section's heading
_SAID = re.compile(r"The next lesson is \*\*.{1,200}\*\*\.|This was the last lesson\.")
# A lesson names the one after it by its number and title, or by its name.
_NAMES_NEXT = r"(?:(?<=[.!?]\s)|^)[^.!?]*\*\*{}(?: ·|_)"


@dataclass(frozen=True)
class Plan:
    """lessons: in the order in which they are given. points: of the exercises that are worth
    another number than the course's own."""

    lessons: tuple[str, ...] = tuple(LESSONS)
    points: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, settings: Mapping[str, Any], where: Path) -> "Plan":
        """What `c.Course` says in the file `where`. Raises UsageError naming what is wrong."""
        for name in settings:
            if name not in SETTINGS:
                near = did_you_mean(name, SETTINGS)
                raise UsageError(
                    f"{where}: c.Course.{shown(name)} is no setting{near}; there are "
                    f"{' and '.join(f'c.Course.{one}' for one in SETTINGS)}"
                )
        lessons = settings.get("lessons")
        given = tuple(LESSONS) if lessons is None else _lessons(lessons, where)
        return cls(given, _points(settings.get("points", {}), where))

    def told(self) -> str:
        """In words, in what it differs from the course's own; "" for nothing."""
        own, says = tuple(LESSONS), []
        if self.lessons != own:
            says.append(f"{len(self.lessons)} of {len(own)} lessons: {', '.join(self.lessons)}")
        if self.points:
            changed = ", ".join(f"{name} {points:g}" for name, points in self.points.items())
            says.append(f"points by c.Course.points: {changed}")
        return "; ".join(says)

    def next_of(self, lesson: str) -> str:
        """The lesson after this one; "" for the last, and for one that is not given."""
        after = dict(zip(self.lessons, self.lessons[1:], strict=False))
        return after.get(lesson, "")


def _lessons(given: Any, where: Path) -> tuple[str, ...]:
    form = f'a list such as ["{next(iter(LESSONS))}", "{[*LESSONS][2]}"]'
    if not isinstance(given, list | tuple) or not given:
        raise UsageError(f"{where}: c.Course.lessons: names no lesson; write {form}")
    found: list[str] = []
    for name in given:
        try:
            found.append(known_lesson(name if isinstance(name, str) and name else repr(name)))
        except UsageError as error:
            raise UsageError(f"{where}: c.Course.lessons: {error}") from None
        if found[-1] in found[:-1]:
            raise UsageError(f"{where}: c.Course.lessons: has {found[-1]} twice; keep one")
    return tuple(found)


def _points(given: Any, where: Path) -> dict[str, float]:
    if not isinstance(given, Mapping):
        form = 'points by exercise, such as {"categorical_kl": 6}'
        raise UsageError(f"{where}: c.Course.points: is no such thing as it is; write {form}")
    known = [name for names in exercise_names().values() for name in names] if given else []
    for name, points in given.items():
        if name not in known:
            near = did_you_mean(str(name), known)
            raise UsageError(
                f"{where}: c.Course.points: no exercise {shown(name)!r}{near}; its name is above "
                "its check, and essays keep the points of their rubrics"
            )
        if not _is_worth(points):
            raise UsageError(
                f"{where}: c.Course.points: {name} cannot be worth {shown(repr(points))}; give a "
                f"number from 0 to {MOST_POINTS} in steps of {1 / STEP}"
            )
    return {name: _number(points) for name, points in given.items()}


def _is_worth(points: Any) -> bool:
    number = isinstance(points, int | float) and not isinstance(points, bool)
    return number and 0 <= points <= MOST_POINTS and STEP * points == int(STEP * points)


def _number(points: float) -> float:
    """A whole number as one, which is shown without a decimal."""
    return int(points) if points == int(points) else points


def exercise_names() -> dict[str, list[str]]:
    """The exercises of each lesson, essays left out, as the build listed them: nothing that
    describes them is imported."""
    return json.loads(INDEX.read_text(encoding="utf-8"))


def as_planned(lesson: str, notebook: "NotebookNode", plan: Plan) -> "NotebookNode":
    """The lesson's notebook, changed: its points, as cells and headings say them, and which lesson
    it names as the next."""
    for cell in notebook.cells:
        name = mark_of(cell).get("grade_id", "").removeprefix("test_")
        if name in plan.points and mark_of(cell).get("grade"):
            cell.metadata["nbgrader"]["points"] = plan.points[name]
    if plan.points:
        _head_with_points(notebook)
    after = plan.next_of(lesson)
    if after != Plan().next_of(lesson):
        _name_next(lesson, notebook, after)
    return notebook


def _head_with_points(notebook: "NotebookNode") -> None:
    """Let each section's heading say what is earned below it."""
    sections: list[tuple[NotebookNode, list[float]]] = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and _POINTS.search(cell.source):
            sections.append((cell, []))
        if sections and mark_of(cell).get("grade"):
            sections[-1][1].append(mark_of(cell)["points"])
    for heading, points in sections:
        if points:
            _rewrite(heading, _POINTS.sub(_told(sum(points)), heading.source))


def _told(worth: float) -> str:
    """The beginning of a heading's brackets, with what its section is worth."""
    points = f"{_number(worth) or 'no'} point{'s' * (worth != 1)}"
    return f"*({points},"


def _name_next(lesson: str, notebook: "NotebookNode", after: str) -> None:
    """Let the sentence that names the next lesson, and what it says of it, name this one."""
    says = NEXT.format(title(after)) if after else LAST
    usual = Plan().next_of(lesson)
    names = re.compile(_NAMES_NEXT.format(usual[:2]) if usual else re.escape(LAST), re.MULTILINE)
    for cell in reversed(notebook.cells):
        found = names.search(cell.source) if cell.cell_type == "markdown" else None
        if found:
            before, rest = cell.source[: found.start()].rstrip(), ""
            if not usual:  # what the course's last lesson says of itself
                rest = cell.source[found.end() :].strip()
            # On a line of its own, by which it is known in whatever is handed in.
            _rewrite(cell, "\n".join(filter(None, (before, says, rest))))
            return


def _rewrite(cell: "NotebookNode", source: str) -> None:
    if source != cell.source:
        cell.metadata.setdefault(AS_WRITTEN, cell.source)
        cell.source = source


def title(lesson: str) -> str:
    """What a lesson calls itself, "02 · Measuring how far the policy moved" say."""
    cells = json.loads(lesson_path(NOTEBOOKS, lesson).read_text(encoding="utf-8"))["cells"]
    texts = ("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    return next(text for text in texts if text.startswith("# ")).partition("\n")[0].lstrip("# ")


def without_points(line: str) -> str:
    """A line of a lesson, in which it does not matter what a term gives for a section."""
    return _POINTS.sub("*(", line)


def is_planned(line: str) -> bool:
    """Whether a line is what a plan writes into a lesson, of whatever term."""
    return bool(_SAID.fullmatch(line.strip()))


def as_written(cell: "NotebookNode") -> str:
    """A cell's text before a plan changed it; "" where none did."""
    text = cell.metadata.get(AS_WRITTEN, "")
    return text if isinstance(text, str) else ""


def parts_worth(parts: Mapping[str, float], points: float) -> dict[str, float]:
    """An exercise's parts when it is worth `points` in all, in the proportions of `parts`.

    In whole quarters: what rounding leaves goes to the parts that lost most by it.
    """
    whole = sum(parts.values())
    if points == whole or not whole:
        return dict(parts)
    exact = {part: STEP * points * worth / whole for part, worth in parts.items()}
    quarters = {part: int(share) for part, share in exact.items()}
    left = round(STEP * points) - sum(quarters.values())
    for part in sorted(exact, key=lambda part: quarters[part] - exact[part])[:left]:
        quarters[part] += 1
    return {part: _number(count / STEP) for part, count in quarters.items()}


def worth(verdict: "Verdict", points: float | None) -> "Verdict":
    """The verdict as it counts where the exercise is worth `points`; None: as the course has it."""
    from dataclasses import replace

    if points is None or points == verdict.max_points:
        return verdict
    return replace(verdict, parts=parts_worth(verdict.parts, points))


def in_order(names: Iterable[str], plan: Plan) -> list[str]:
    """Lessons, and assignments that are none of the course's, as the plan has them: those that it
    leaves out are not among them, and what the course does not know stands behind."""
    own = sorted(name for name in names if name not in LESSONS)
    there = set(names)
    return [*(name for name in plan.lessons if name in there), *own]
