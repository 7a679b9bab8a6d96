"""A term with a class of any kind, recorded as `grade` records it, with no sandbox started."""

import json

import nbformat

from autograde.course.exercises import exercises
from autograde.course.lessons import grade_id
from autograde.course.predictions import written_in
from autograde.grading.filling import fill
from autograde.grading.forms import forms
from autograde.grading.judging import judge_reply
from autograde.grading.program import Program
from autograde.grading.rebuild import rebuild
from autograde.grading.recording import Recorder
from autograde.term.term import CONFIG, SETTINGS, init
from autograde.term.verdict import Graded
from helpers.codec import pack
from helpers.verdict import Verdict

RIGHT, UNWRITTEN = "right", "unwritten"


def short_term(root, *lessons, roster=None):
    """A new term that gives these lessons alone, which takes a part of the time."""
    (root / ".autograde").mkdir(parents=True)
    (root / SETTINGS).write_text(f"{CONFIG}c.Course.lessons = {json.dumps(lessons)}\n", "utf-8")
    return init(root, roster)


def verdict(lesson, name, what):
    """What is judged of an exercise: RIGHT, UNWRITTEN, a mistake's name, an answer, or a problem.

    A problem is a dict such as {"problem": "time"}: what the sandbox replies when none is made.
    """
    exercise = exercises(lesson)[name]
    if isinstance(what, dict) and "problem" in what:
        return judge_reply(exercise, exercise.hidden_cases("k"), pack(what))
    if what == UNWRITTEN:
        return Verdict(
            name, "not written", dict(exercise.parts), dict.fromkeys(exercise.parts, False)
        )
    named = {mistake.name: mistake.answer for mistake in exercise.mistakes}
    named[RIGHT] = exercise.answer
    answer = named.get(what, what) if isinstance(what, str) else what
    if isinstance(answer, dict) and isinstance(exercise.answer, dict):
        answer = exercise.answer | answer
    return exercise.grade(answer, "k")


def record(term, student, lesson, answers, change=lambda notebook: None, sandbox="fork"):
    """Put one student's lesson into submitted/, store and gradebook; what is not named is right.

    answers: as `verdict` takes them, by exercise. change: done to the submitted notebook. Returns
    which scores typed by hand are to be looked at again, as the recorder does.
    """
    notebook = term.base(lesson)
    change(notebook)
    path = term.submission(student, lesson)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(nbformat.writes(notebook), encoding="utf-8")
    judged = {name: verdict(lesson, name, answers.get(name, RIGHT)) for name in exercises(lesson)}
    graded = Graded(lesson, judged, sandbox)
    rebuilt = rebuild(term.base(lesson), notebook)
    one = Program(lesson, rebuilt, sandbox)
    key = f"{student}-{one.key}"  # the programs may be equal where the verdicts are not
    with term.store() as store, Recorder(term) as recorder:
        store.keep(key, graded, one.mark, b"")
        typed = recorder.record(student, lesson, fill(rebuilt, graded))
        store.keep_typed(f"{student}/{lesson}", typed)
        predicted = written_in(lesson, rebuilt)
        written = forms(rebuilt, graded)
        store.keep_recorded(f"{student}/{lesson}", "source", key, predicted, written)
    return typed


def cell(notebook, name):
    """The cell with this grade_id."""
    return next(cell for cell in notebook.cells if grade_id(cell) == name)
