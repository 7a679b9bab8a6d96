"""No answer that hangs on the machine's rounding is stored, or compared with a student's."""

import math
import warnings
from collections.abc import Mapping

import pytest
import torch

from autograde.course.exercise import Exercise, Quiz
from autograde.course.exercises import LESSONS, exercises
from autograde.course.steadiness import INPUTS, LAPACK, STEPS, TURNED, findings, moved
from helpers import reference
from helpers.cases import VALUES, Case
from tests.some import every

ALL = [one for lesson in LESSONS for one in exercises(lesson).values() if not isinstance(one, Quiz)]
ROUGH = [one for one in ALL if any(mistake.rough for mistake in one.mistakes)]
named = {"ids": lambda exercise: exercise.name}


@pytest.fixture(autouse=True)
def _alone():
    """No warnings of what mistakes do at the edge."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@pytest.mark.parametrize("exercise", every(6, ALL), **named)
def test_another_machine_answers_the_same(exercise):
    assert not list(map(str, findings(exercise, exercise.visible_cases, (STEPS[0], TURNED))))


@pytest.mark.parametrize("exercise", every(6, ALL), **named)
def test_inputs_next_to_those_asked_are_answered_the_same(exercise):
    drawn = exercise.hidden_cases("steady")[len(exercise.hand_cases) :]
    assert not list(map(str, findings(exercise, drawn, (INPUTS[0],))))


def test_another_librarys_linear_algebra_answers_the_same():
    exercise = exercises("07_case_study")["fit_overoptimization"]
    assert not list(map(str, findings(exercise, exercise.visible_cases, (LAPACK,))))


@pytest.mark.parametrize("exercise", every(6, ROUGH), **named)
def test_what_is_declared_unsteady_is(exercise):
    declared = {i for one in exercise.mistakes for i in one.rough_in(exercise.visible_cases)}
    cases = [exercise.visible_cases[number] for number in sorted(declared)]
    found = list(findings(exercise, cases, (*STEPS, *INPUTS, LAPACK), declared=False))
    for mistake in exercise.mistakes:
        unsteady = {one.case.title for one in found if one.who == mistake.name}
        if isinstance(mistake.rough, Mapping):
            assert set(mistake.rough) <= unsteady, mistake.name
        else:
            assert not mistake.rough or unsteady, mistake.name


def asked(*mistakes, **inputs):
    """An exercise of one case, with these mistakes."""
    made = Exercise("asked", {VALUES: 1}, ("", "", ""))
    made.by_hand(lambda: [Case("the case", inputs)])
    for mistake in mistakes:
        made.wrong("")(mistake)
    return made


def test_what_hangs_on_rounding_is_found(monkeypatch):
    def noise(x):
        return (x.exp() * 1e8).sum() - (x.exp() * 1e8).flip(0).sum() + x.exp().log().sub(x).sign()

    def steady(x):
        return x.exp().sum() / x.exp().mean()

    def threshold(x):
        return (x.double().exp().log() >= x.double()).float()

    monkeypatch.setattr(reference, "asked", lambda x: x.exp(), raising=False)
    exercise = asked(noise, steady, threshold, x=torch.tensor([0.1, 0.7, 1.3, 2.9, 0.4]))
    found = {one.who for one in findings(exercise, exercise.hand_cases, STEPS)}
    assert found == {"noise", "threshold"}


def test_numbers_move_by_one_unit_together_and_those_written_out_stay():
    x = torch.tensor([0.1, 0.1, -0.1, 0.3, 0.0, 1.0, -2.5, math.inf, 1000.1])
    there = moved(x, 1)
    assert torch.equal(there[4:], x[4:])
    assert there[0] == there[1] == -there[2] != x[0]
    assert ((there - x).abs()[:4] <= 2.0**-23 * 0.3).all()
    assert {bool(moved(x, seed)[0] > x[0]) for seed in range(9)} == {True, False}
    nested = moved({"$make": "mlp", "arguments": {"state": x}, "n": 3}, 1)
    assert torch.equal(nested["arguments"]["state"], there)
