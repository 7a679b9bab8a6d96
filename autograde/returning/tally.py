"""What a class did: gradebook, stored verdicts and roster, counted in one pass."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from nbgrader.api import GradeCell
from sqlalchemy import Connection, create_engine, select

from helpers.closeness import NUMBER
from helpers.predicted import ASKED
from helpers.report import BENEATH
from helpers.unnamed import FIRST

from ..course.exercises import exercises
from ..term.extending import extended, told
from ..term.gradebook import (
    assignments,
    base_cells,
    copies,
    grades,
    notebooks,
    students,
    submissions,
)
from ..term.term import Term
from ..term.typed import item_of, typed
from .alike import alike, same_files
from .behind import behind
from .counted import ELSE, NO_ANSWER, Item, Lesson, Mistake, Tally, correlation, word

grade_cells = GradeCell.__table__


def tally(term: Term) -> Tally:
    """Count a term."""
    found = Tally({lesson: Lesson(lesson, {}) for lesson in term.lessons}, {}, [], [])
    engine = create_engine(term.url)
    with engine.connect() as connection:
        for row in connection.execute(select(students)):
            found.names[row.id] = _named(row.id, row.last_name, row.first_name)
        for row in term.roster():
            found.roster.append(row["id"])
            found.names[row["id"]] = _named(row["id"], row["last_name"], row["first_name"])
        _list_items(found, connection)
        _count_grades(found, connection)
        _count_submissions(found, connection)
        _list_extensions(found, connection)
    engine.dispose()
    _count_files(found, term)
    _count_verdicts(found, term)
    _count_predictions(found, term)
    _compare_programs(found, term)
    _compare_files(found, term)
    for lesson in found.lessons.values():
        _correlate(lesson)
    return found


def _named(student: str, last: str | None, first: str | None) -> str:
    name = ", ".join(filter(None, (last, first)))
    return f"{name} ({student})" if name else student


def _list_items(found: Tally, connection: Connection) -> None:
    """What each lesson's gradebook has a column for, in the order of teaching."""
    query = (
        select(assignments.c.name, base_cells.c.name, grade_cells.c.max_score)
        .join(notebooks, notebooks.c.assignment_id == assignments.c.id)
        .join(base_cells, base_cells.c.notebook_id == notebooks.c.id)
        .join(grade_cells, grade_cells.c.id == base_cells.c.id)
        .where(assignments.c.name.in_([*found.lessons]))
    )
    for lesson, cell, most in connection.execute(query):
        name = item_of(cell)
        item = Item(name, most, exercises(lesson).get(name))
        found.lessons[lesson].items[name] = item
    for lesson in found.lessons.values():
        place = {name: number for number, name in enumerate(exercises(lesson.name))}
        last = len(place)  # the essays
        lesson.items = {
            name: lesson.items[name]
            for name in sorted(lesson.items, key=lambda name: (place.get(name, last), name))
        }


def _count_grades(found: Tally, connection: Connection) -> None:
    query = (
        select(
            submissions.c.student_id, assignments.c.name, base_cells.c.name, grades.c.auto_score,
            grades.c.manual_score, grades.c.extra_credit, grades.c.needs_manual_grade,
        )
        .join(copies, copies.c.id == grades.c.notebook_id)
        .join(submissions, submissions.c.id == copies.c.assignment_id)
        .join(assignments, assignments.c.id == submissions.c.assignment_id)
        .join(base_cells, base_cells.c.id == grades.c.cell_id)
        .where(assignments.c.name.in_([*found.lessons]))
    )  # fmt: skip
    for student, lesson, cell, auto, by_hand, extra, unseen in connection.execute(query):
        known = found.lessons[lesson]
        item = known.items.get(item_of(cell))
        if item is None:
            continue
        score = (auto if by_hand is None else by_hand) or 0.0
        totals = known.totals if found.counts(student) else known.guest_totals
        totals[student] = totals.get(student, 0.0) + score + (extra or 0.0)
        if by_hand is not None and item.described:
            known.by_hand.setdefault(student, []).append(item.name)
        if unseen and by_hand is None:
            item.waits.append(student)
        elif found.counts(student):
            item.scores[student] = score


def _count_submissions(found: Tally, connection: Connection) -> None:
    """Who was late, and what it cost, which nbgrader keeps apart from the score."""
    query = (
        select(
            submissions.c.student_id, assignments.c.name, submissions.c.timestamp,
            submissions.c.extension, assignments.c.duedate, copies.c.late_submission_penalty,
        )
        .join(assignments, assignments.c.id == submissions.c.assignment_id)
        .join(copies, copies.c.assignment_id == submissions.c.id)
        .where(assignments.c.name.in_([*found.lessons]))
    )  # fmt: skip
    for student, lesson, handed_in, extension, due, penalty in connection.execute(query):
        known = found.lessons[lesson]
        for totals in (known.totals, known.guest_totals):
            if penalty and student in totals:
                totals[student] -= penalty
        if not (handed_in and due and found.counts(student)):
            continue
        if handed_in > due + (extension or timedelta()):
            late_by = handed_in - due - (extension or timedelta())
            known.late[student] = late_by, penalty or 0.0


def _list_extensions(found: Tally, connection: Connection) -> None:
    """Who has more time, whether they have handed in or not."""
    for lesson, student, due, extra in extended(connection):
        if lesson in found.lessons:
            found.lessons[lesson].extended[student] = told(due, extra)


def _count_files(found: Tally, term: Term) -> None:
    """Who handed in what, beside the roster."""
    with term.store() as store:
        failed = store.failed()
    for student, name in term.submissions():
        lesson = found.lessons[name]
        (lesson.handed_in if found.counts(student) else lesson.guests).append(student)
        if reason := failed.get(f"{student}/{name}"):
            lesson.failed[student] = reason.replace(f"{term.root}/", "")
        elif not lesson.is_graded(student):
            lesson.ungraded.append(student)
    found.unlisted = sorted({one for lesson in found.lessons.values() for one in lesson.guests})
    for one in typed(term, found.lessons):
        found.lessons[one.lesson].typed.append(one)
    for lesson in found.lessons.values():
        kinds = behind(term, lesson.name)
        lesson.behind = [*kinds.get("newer", []), *kinds.get("changed", [])]
        there = {*lesson.handed_in, *lesson.totals}
        lesson.missing = [student for student in found.roster if student not in there]


def _count_verdicts(found: Tally, term: Term) -> None:
    for lesson in found.lessons.values():
        lesson.unjudged = {*lesson.totals, *lesson.guest_totals}
    with term.store() as store:
        for name, graded in sorted(store.verdicts()):  # graded in any order
            student, _, lesson_name = name.partition("/")
            lesson = found.lessons.get(lesson_name)
            if lesson is None or not lesson.is_graded(student):
                continue  # taken out of the gradebook since
            lesson.unjudged.discard(student)
            if graded["sandbox"] == "none":
                lesson.unprotected.append(student)
            verdicts = graded["exercises"]
            unwritten = all(verdict["status"] == "not written" for verdict in verdicts.values())
            if not unwritten or _wrote_essay(lesson, student):
                lesson.answered.add(student)
            if student not in lesson.totals:
                continue  # a guest, who is in no count
            if student not in lesson.answered:
                lesson.blank.add(student)
            for exercise in verdicts.keys() & lesson.items.keys():
                _count_verdict(lesson.items[exercise], student, verdicts[exercise])


def _count_predictions(found: Tally, term: Term) -> None:
    """Those that the lessons of this edition ask for; what is stored may be older."""
    with term.store() as store:
        for place, letters in sorted(store.predicted()):
            student, _, lesson_name = place.partition("/")
            lesson = found.lessons.get(lesson_name)
            if lesson is None or student not in lesson.totals:
                continue  # taken out of the gradebook since, or a guest
            for name, asked in ASKED.get(lesson_name, {}).items():
                if letters.get(name) in asked.choices:
                    those = lesson.predicted.setdefault(name, {})
                    those.setdefault(letters[name], []).append(student)


def _compare_programs(found: Tally, term: Term) -> None:
    """Whose programs are alike, of those who are in the gradebook, guests too."""
    written: dict[str, dict[str, dict[str, list[str]]]] = {}
    with term.store() as store:
        for place, forms in sorted(store.written()):
            student, _, lesson_name = place.partition("/")
            lesson = found.lessons.get(lesson_name)
            if lesson is not None and lesson.is_graded(student) and forms:
                written.setdefault(lesson_name, {})[student] = forms
    for name, forms in written.items():
        found.lessons[name].alike = alike(forms)


def _compare_files(found: Tally, term: Term) -> None:
    """Who handed in one and the same file, of those who have something in it, guests too."""
    for name, lesson in found.lessons.items():
        lesson.same_files = same_files(
            {student: term.submission(student, name) for student in lesson.answered}
        )


def _wrote_essay(lesson: Lesson, student: str) -> bool:
    essays = (item for item in lesson.items.values() if item.described is None)
    return any(student in item.waits or item.scores.get(student) for item in essays)


def _count_verdict(item: Item, student: str, verdict: Mapping[str, Any]) -> None:
    status = verdict["status"]
    item.statuses.setdefault(status, []).append(student)
    if status == "not answered":
        reason = next((failure["got"] for failure in verdict["failures"]), "no reason is known")
        item.stopped.setdefault(reason, []).append(student)
    named = {name: says for name, says in verdict["diagnoses"].items() if name != FIRST}
    named |= {f"calls {other}": BENEATH.format(other) for other in verdict["calls"]}
    for name, says in named.items():
        item.mistakes.setdefault(name, Mistake(says)).students.append(student)
    if status == "wrong" and not named:
        item.unnamed.append(student)
    if item.is_quiz:
        for key, choice in _choices(item, verdict):
            item.choices.setdefault(key, {}).setdefault(choice, []).append(student)


def _choices(item: Item, verdict: Mapping[str, Any]) -> Iterator[tuple[Any, str]]:
    """What was chosen: a verdict says what was wrong, and what is not wrong is the answer."""
    forms = item.described.forms
    wrong = {failure["what"]: failure["got"] for failure in verdict["failures"]}
    for key, allowed in (forms if isinstance(forms, dict) else {None: forms}).items():
        what = "value" if key is None else f"value {key!r}"
        if verdict["status"] not in ("right", "wrong"):
            yield key, NO_ANSWER
        elif what in wrong:
            yield key, _as_form(wrong[what], allowed)
        else:
            yield key, item.right(key)


def _as_form(got: str, allowed: Any) -> str:
    """The allowed answer that was meant; any number as it is, where any is allowed."""
    for form in allowed:
        if form == NUMBER:
            return got if _is_number(got) else ELSE
        if word(form).casefold() == got.strip().strip("'").casefold():
            return word(form)
    return ELSE


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _correlate(lesson: Lesson) -> None:
    """Each item with the points for the rest of the lesson, those that programs give.

    Who wrote nothing is left out, as zeros everywhere would make every item look good.
    """
    there = {name: item.scores for name, item in lesson.items.items() if item.described}
    sums: dict[str, float] = {}
    for scores in there.values():
        for student, score in scores.items():
            sums[student] = sums.get(student, 0.0) + score
    for name, item in lesson.items.items():
        own = there.get(name, {})
        those = [s for s in item.scores if s in sums and s not in lesson.blank]
        rest = [sums[student] - own.get(student, 0.0) for student in those]
        item.correlation = correlation([item.scores[student] for student in those], rest)
