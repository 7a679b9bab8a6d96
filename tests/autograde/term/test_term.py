"""A term of 30 students from init to report: nothing is lost from one step to the next."""

import pytest

from autograde.course.exercises import LESSONS, exercises
from autograde.returning.exporting import grades, harmless, number
from autograde.returning.tally import tally
from tests import term as played
from tests.rows import rows
from tests.some import LONG
from tests.term import ESSAY_LESSON, ESSAYISTS, LATE, LESSON, STUDENTS, Play, kind, student_id

MOST = sum(exercise.points for exercise in exercises(LESSON).values())
PENALTY = 4.0
BROKEN, ABSENT, GUEST = student_id(played.BROKEN), student_id(played.ABSENT), played.STRANGER
HANDED_IN = {f"{student_id(n)}/{LESSON}" for n in range(1, STUDENTS)}
HANDED_IN |= {f"{student_id(n)}/{ESSAY_LESSON}" for n in range(1, ESSAYISTS + 1)}
HANDED_IN |= {f"{GUEST}/{LESSON}"}
GRADED = HANDED_IN - {f"{BROKEN}/{LESSON}"}
ESSAYISTS_IDS = {student_id(n) for n in range(1, ESSAYISTS + 1) if kind(n) != 3}


@pytest.fixture(scope="module")
def play(tmp_path_factory):
    return Play(tmp_path_factory.mktemp("term"))


def points(play):
    """ "student/lesson": points, of all that has any."""
    found = {f"{row['id']}/{row['lesson']}": row["score"] for row in grades(play.term)}
    return {name: score for name, score in found.items() if score != ""}


def by_cell(play):
    """(student, lesson, cell): everything that the gradebook says of it."""
    return {row[:3]: row[3:] for row in rows(play.term.url)["grades"]}


def penalties(play):
    taken = rows(play.term.url)["submissions"]
    return {row[0]: float(row[4]) for row in taken if float(row[4] or 0)}


@LONG  # minutes; each step by itself is in its own file, a class of eleven in test_grading.py
def test_a_term(play):
    """Step by step, as each rests on the one before."""
    begins(play)
    collects(play)
    grades_with_a_wrong_test(play)
    by_hand = scores_by_hand(play)
    returns_pages(play)
    grades_again(play, by_hand)
    exports(play)
    reports(play)


def begins(play):
    play.begin()
    assert "30 students on the roster" in play.said[0]
    assert [row["id"] for row in play.term.roster()] == [row["id"] for row in played.roster()]
    assert len(list((play.folder / "bundle" / "notebooks").glob("*/*.ipynb"))) == len(LESSONS)
    assert points(play) == {}


def collects(play):
    assert play.collect() == 0  # notes.txt, told of, is nobody's
    assert {"/".join(pair) for pair in play.term.submissions()} == HANDED_IN
    last = played.nbformat.writes(played.notebook(LESSON, played.TWICE))
    assert play.term.submission(student_id(played.TWICE), LESSON).read_text("utf-8") == last
    assert f"{len(HANDED_IN)} placed, 0 not placed" in play.said[-1]
    play.set_due_date()


def grades_with_a_wrong_test(play):
    """Who does the same gets the same, but for coming late; a broken file stops nobody."""
    assert play.grade_with_a_wrong_test() == 1
    assert f"{len(GRADED)} graded, 0 graded before, 1 could not be graded" in play.said[-1]
    assert f"{BROKEN}/{LESSON}" in play.said[-1]
    found = points(play)
    assert set(found) == GRADED
    assert found[f"{GUEST}/{LESSON}"] == MOST - 1  # all right, but for the wrong test
    assert penalties(play) == {student_id(n): PENALTY for n in LATE}
    for one in range(1, STUDENTS):
        if one != played.BROKEN:
            late = PENALTY * (one in LATE)
            alike = found[f"{student_id(kind(one) + 4)}/{LESSON}"]
            alike += PENALTY * (kind(one) + 4 in LATE)
            assert found[f"{student_id(one)}/{LESSON}"] == alike - late


def scores_by_hand(play):
    """Only what was scored changes, by what it got; what waits is left out, and said."""
    before = points(play)
    by_hand = play.grade_by_hand(all_but=1)
    assert len(by_hand) == len(ESSAYISTS_IDS) - 1
    waiting = (ESSAYISTS_IDS - set(by_hand)).pop()
    assert points(play) == {
        name: score + by_hand.get(name.split("/")[0], 0) * name.endswith(ESSAY_LESSON)
        for name, score in before.items()
    }
    header, _, *lines = play.export("canvas")
    assert {line[2]: line[header.index(ESSAY_LESSON)] for line in lines}[waiting] == ""
    assert "1 score waits for an essay to be graded by hand" in play.said[-1]
    more = play.grade_by_hand()
    assert set(more) == {waiting}
    return by_hand | more


def returns_pages(play):
    assert play.run("feedback", "--course", play.term.root) == 0
    pages = {path.parent.relative_to(play.term.root / "feedback").as_posix()
             for path in (play.term.root / "feedback").glob("*/*/*.html")}  # fmt: skip
    assert pages == HANDED_IN  # who could not be graded reads why
    told = (play.term.root / "feedback" / BROKEN / LESSON / f"{LESSON}.html").read_text("utf-8")
    assert "could not be graded" in told
    assert "Open it in Jupyter, save it and hand it in again" in told
    assert str(play.term.root) not in told


def grades_again(play, by_hand):
    """With the test put right, its points change and nothing else does."""
    before, found = by_cell(play), points(play)
    assert play.run("grade", "--regrade", "--course", play.term.root) == 1
    assert f"{len(GRADED)} graded, 0 graded before, 1 could not" in play.said[-1]
    after = by_cell(play)
    assert before.keys() == after.keys()
    changed = {cell for cell in before if before[cell][:3] != after[cell][:3]}
    assert {cell[1:] for cell in changed} == {(LESSON, "test_q02_dynamics")}
    assert (GUEST, LESSON, "test_q02_dynamics") in changed
    assert points(play)[f"{GUEST}/{LESSON}"] == MOST
    manual = {cell: row[1] for cell, row in after.items() if row[1]}
    assert {student: sum(float(s) for c, s in manual.items() if c[0] == student)
            for student in by_hand} == by_hand  # fmt: skip
    assert {cell[0] for cell in manual} == ESSAYISTS_IDS
    assert penalties(play) == {student_id(n): PENALTY for n in LATE}
    gained = {n: score - found[n] for n, score in points(play).items() if score != found[n]}
    assert gained.keys() == {f"{cell[0]}/{cell[1]}" for cell in changed}
    assert set(gained.values()) <= {1.0, -1.0}


def exports(play):
    """Each form says the gradebook's points of everybody, and those of nobody else."""
    found = points(play)
    listed = {row["id"] for row in played.roster()}
    everybody = listed | {GUEST}
    header, *lines = play.export("table")
    told = {f"{line[0]}/{line[4]}": float(line[5]) for line in lines if line[5]}
    assert told == found
    assert len(lines) == len(everybody) * len(LESSONS)
    for form, first, key in (("canvas", 2, 2), ("moodle", 1, 2)):
        header, *lines = play.export(form)
        lines = lines[first - 1 :]
        assert {line[key] for line in lines} == listed
        assert f"{GUEST}: not on the roster" in play.said[-1]
        for lesson in (LESSON, ESSAY_LESSON):
            told = {line[key]: line[header.index(lesson)] for line in lines}
            assert told == {
                one: number(found[f"{one}/{lesson}"]) if f"{one}/{lesson}" in found else ""
                for one in listed
            }
        assert "by hand" not in play.said[-1]  # no essay has changed since it was scored
    names = {line[2]: line[:2] for line in lines}
    for row in played.roster():
        assert names[row["id"]] == [harmless(row["first_name"]), harmless(row["last_name"])]


def reports(play):
    """The page names who is missing and what could not be read, and counts what was graded."""
    path = play.folder / "report.html"
    assert play.run("report", "--to", path, "--course", play.term.root) == 0
    page = path.read_text("utf-8")
    assert ABSENT in page
    assert "cut short" in page  # what is wrong with the broken one
    found = tally(play.term).lessons[LESSON]
    scores = {name: score for name, score in points(play).items() if name.endswith(LESSON)}
    totals = {**found.totals, **found.guest_totals}
    assert {f"{one}/{LESSON}": total for one, total in totals.items()} == scores
    assert set(found.late) == {student_id(n) for n in LATE}
    assert (found.missing, list(found.failed)) == ([ABSENT], [BROKEN])
