"""A large class that never was: what a tally of it would hold, and the page that shows it.

    python -P -m tests.large_class [--students N] [--to FILE.html]

It prints how long the page takes to be made and, where there is a Chromium, to be opened.
"""

import argparse
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from autograde.course.exercise import Quiz
from autograde.course.exercises import LESSONS, exercises
from autograde.returning.alike import Alike
from autograde.returning.counted import Item, Lesson, Mistake, Tally
from autograde.returning.reporting import page
from autograde.returning.tally import _correlate
from autograde.term.typed import Typed
from helpers.predicted import ASKED

NAMES = ("Åsa Öberg", "李明", "Bo O'Brien", "Søren Wałęsa", "Ana María Pérez Gómez", "José Ng")
OPENINGS = 5


def tally_of(students: int, seed: int = 0) -> Tally:
    """Everybody on the roster; most hand in, a third of each exercise is wrong by some name."""
    draw = random.Random(seed)
    ids = [f"s{number:05d}" for number in range(students)]
    names = {one: f"{NAMES[i % len(NAMES)]} {i} ({one})" for i, one in enumerate(ids)}
    lessons = {name: _lesson(name, ids, draw) for name in LESSONS}
    return Tally(lessons, names, ids, ids[: students // 100])


def _lesson(name: str, ids: list[str], draw: random.Random) -> Lesson:
    there = [one for one in ids if draw.random() < 0.9]
    lesson = Lesson(name, {item.name: item for item in _items(name, there, draw)})
    lesson.handed_in, lesson.missing = there, sorted(set(ids) - set(there))
    for item in lesson.items.values():
        for one, score in item.scores.items():
            lesson.totals[one] = lesson.totals.get(one, 0.0) + score
    lesson.late = {one: (timedelta(hours=5), 1.0) for one in there if draw.random() < 0.1}
    lesson.failed = {one: "a PDF; hand in the file" for one in there if draw.random() < 0.01}
    lesson.blank = {one for one in there if draw.random() < 0.02}
    for asked in ASKED.get(name, {}).items():
        lesson.predicted[asked[0]] = dict.fromkeys(asked[1].choices, there[::3])
    pairs = zip(there[: len(there) // 100 : 2], there[1 : len(there) // 100 : 2], strict=False)
    lesson.alike = [Alike(pair, tuple(lesson.items)[:2], ()) for pair in pairs]
    _correlate(lesson)
    item = next(iter(lesson.items))
    lesson.typed = [Typed(s, name, item, 3.0, 4.0, "for an earlier file") for s in there[::100]]
    return lesson


def _items(lesson: str, there: list[str], draw: random.Random) -> list[Item]:
    items = []
    for name, described in exercises(lesson).items():
        item = Item(name, 4.0, described)
        known = [mistake.name for mistake in described.mistakes]
        for one in there:
            status = draw.choices(("right", "wrong", "raised", "not written"), (60, 30, 5, 5))[0]
            item.scores[one] = {"right": 4.0, "wrong": 1.0}.get(status, 0.0)
            item.statuses.setdefault(status, []).append(one)
            if status != "wrong":
                continue
            if isinstance(described, Quiz):
                forms = described.forms
                for key, allowed in (forms if isinstance(forms, dict) else {None: forms}).items():
                    answer = str(draw.choice(list(allowed)))
                    item.choices.setdefault(key, {}).setdefault(answer, []).append(one)
            elif known and draw.random() < 0.8:
                mistake = draw.choice(known)
                item.mistakes.setdefault(mistake, Mistake("Told so.")).students.append(one)
            else:
                item.unnamed.append(one)
        items.append(item)
    return items


def opened(path: Path) -> list[float]:
    """Seconds until Chromium has loaded and drawn the page, each time in a page of its own."""
    from tests.browser.axe import open_browser

    drawn = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
    taken = []
    with open_browser() as browser:
        for _ in range(OPENINGS):
            shown = browser.new_page()
            began = time.perf_counter()
            shown.goto(path.resolve().as_uri(), wait_until="load", timeout=300_000)
            shown.evaluate(drawn)
            taken.append(time.perf_counter() - began)
            shown.close()
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--students", type=int, default=10_000)
    parser.add_argument("--to", type=Path, default=Path("large-class.html"))
    options = parser.parse_args()
    found = tally_of(options.students)
    began = time.perf_counter()
    html = page("A large class", found, datetime.now(UTC))
    made = time.perf_counter() - began
    options.to.write_text(html, encoding="utf-8")
    size = options.to.stat().st_size / 1e6
    print(f"{options.students} students: {size:.1f} MB, made in {made:.1f} s", flush=True)
    taken = opened(options.to)
    print(f"opened in {median(taken):.2f} s (median of {OPENINGS}; {min(taken):.2f} the fastest)")


if __name__ == "__main__":
    main()
