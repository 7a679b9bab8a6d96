"""No answer that hangs on the machine's rounding is stored, or compared with a student's."""

import warnings

import pytest

from autograde.exercise import Quiz
from autograde.exercises import LESSONS, exercises
from autograde.steadiness import INPUTS, LAPACK, STEPS, TURNED, findings

ALL = [one for lesson in LESSONS for one in exercises(lesson).values() if not isinstance(one, Quiz)]
ROUGH = [one for one in ALL if any(mistake.rough for mistake in one.mistakes)]
named = {"ids": lambda exercise: exercise.name}


@pytest.fixture(autouse=True)
def _alone():
    """No warnings of what mistakes do at the edge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("exercise", ALL, **named)
def test_another_machine_answers_the_same(exercise):
    assert not list(map(str, findings(exercise, exercise.visible_cases, (STEPS[0], INPUTS[0]))))
    drawn = exercise.hidden_cases("steady")[len(exercise.hand_cases) :]
    assert not list(map(str, findings(exercise, drawn, (STEPS[1], TURNED))))


def test_another_librarys_linear_algebra_answers_the_same():
    exercise = exercises("07_case_study")["fit_overoptimization"]
    assert not list(map(str, findings(exercise, exercise.visible_cases, (LAPACK,))))


@pytest.mark.parametrize("exercise", ROUGH, **named)
def test_what_is_declared_unsteady_is(exercise):
    ways = (*STEPS, *INPUTS, LAPACK)
    found = {
        (one.who, one.case.title)
        for one in findings(exercise, exercise.visible_cases, ways, declared=False)
    }
    for mistake in exercise.mistakes:
        rough = mistake.rough_in(exercise.visible_cases)
        titles = {exercise.visible_cases[number].title for number in rough}
        seen = {title for who, title in found if who == mistake.name}
        always = isinstance(mistake.rough, float)
        assert titles & seen if always and mistake.rough else titles <= seen, mistake.name
        assert always or set(mistake.rough) == titles, "a title that no case has"
