"""The instructor's view of a term: one HTML page that needs nothing else."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from markupsafe import Markup, escape

from helpers.clean import clean
from helpers.predicted import ASKED

from ..common.files import write_whole
from ..term.term import FORMGRADER, Term
from ..term.typed import LOOK
from .counted import ENOUGH, LOW, Item, Lesson, Mistake, Tally
from .pages import policy, templates
from .students import rows, span
from .tally import tally
from .targets import require_output

MOST_COMMON = 10
ISOLATE, END = Markup("\u2068"), Markup("\u2069")
# What of a lesson asks for something to be done, and what.
ATTENTION = {
    "ungraded": "Handed in and not graded yet; run: autograde grade",
    "behind": "The points are of an earlier file, or of the lesson as it was before autograde init "
    "changed it; run: autograde grade",
    "waits": f"An essay waits for a score by hand; give it in {FORMGRADER}",
    "unprotected": "Graded without a sandbox, so that what their code answered may be forged",
    "unjudged": "Graded by nbgrader's own command, so that they count in the points and not among "
    "the mistakes; run: autograde grade",
}


def report(term: Term, target: Path) -> Path:
    """Write the page. Raises UsageError when it cannot be written there."""
    require_output(term, target, ".html")
    text = page(term.root.name, tally(term), datetime.now(UTC))
    return write_whole(target, text.encode("utf-8"))


def page(title: str, found: Tally, now: datetime) -> str:
    """The page as text: everything that people wrote is escaped."""
    environment = templates().overlay()
    people = partial(_people, _isolated(found.names))
    environment.filters |= {
        "points": _points, "span": span, "percent": _percent, "people": people,
    }  # fmt: skip
    return environment.get_template("report.html.j2").render(
        policy=policy,
        title=title,
        now=now.strftime("%Y-%m-%d %H:%M UTC"),
        term=found,
        lessons=found.begun,
        idle=[lesson.name for lesson in found.lessons.values() if not lesson.is_begun],
        todo=list(ATTENTION.items()),
        common=_most_common(found),
        flagged={lesson.name: _flagged(lesson) for lesson in found.lessons.values()},
        asked=ASKED,
        rows=rows(found),
        look_again=LOOK,
        ENOUGH=ENOUGH,
        LOW=LOW,
    )


def _most_common(found: Tally) -> list[tuple[Lesson, Item, str, Mistake]]:
    """The mistakes in functions that most students made, and at least two, over all lessons."""
    every = [
        (lesson, item, name, mistake)
        for lesson in found.lessons.values()
        for item in lesson.items.values()
        for name, mistake in item.mistakes.items()
        if mistake.count > 1 and not item.is_quiz
    ]
    return sorted(every, key=lambda row: -row[3].count)[:MOST_COMMON]


def _flagged(lesson: Lesson) -> list[Item]:
    """The items that hardly go with the rest, the worst first, where there are enough students."""
    sure = [i for i in lesson.items.values() if i.correlation and i.correlation.n >= ENOUGH]
    low = [item for item in sure if item.correlation.value < LOW]
    return sorted(low, key=lambda item: item.correlation.value)


def _isolated(names: Mapping[str, str]) -> dict[str, Markup]:
    """By id, each name as the page shows it, made once: of a large class it is there a hundred
    times. Characters keep its direction to itself, as an element each would take seconds to open.
    """
    return {one: ISOLATE + escape(clean(name)) + END for one, name in names.items()}


def _people(shown: Mapping[str, Markup], students: Iterable[str]) -> Markup:
    return Markup("; ").join(
        shown.get(one) or ISOLATE + escape(clean(one)) + END for one in students
    )


def _points(value: float) -> str:
    return f"{round(value, 2):g}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "–"
