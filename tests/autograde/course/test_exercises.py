"""Every exercise refuses what is wrong, by name, and accepts what is right, however written."""

import inspect

import pytest
import torch

from autograde.common.errors import UsageError
from autograde.course.as_cells import answer_cell
from autograde.course.coverage import SEEDS, accepted, points_by_draw, refused, sheet, visible_sheet
from autograde.course.exercise import Case, Exercise, Quiz
from autograde.course.exercises import LESSONS, _must_be_whole, exercises
from autograde.course.lessons import read_source
from helpers import reference
from helpers.codec import pack

ALL = [one for lesson in LESSONS for one in exercises(lesson).values()]
FUNCTIONS = [one for one in ALL if not isinstance(one, Quiz)]
QUIZZES = [one for one in ALL if isinstance(one, Quiz)]
MISTAKES = [(one, mistake) for one in ALL for mistake in one.mistakes]
ALTERNATIVES = [(one, name) for one in ALL for name in one.alternatives]


def named(items):
    return [" ".join(getattr(part, "name", part) for part in item) for item in items]


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_the_reference_is_right(exercise):
    for seed in SEEDS:
        verdict = exercise.grade(exercise.answer, seed)
        assert verdict.status == "right", verdict.failures
        assert verdict.points == exercise.points


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=named(MISTAKES))
def test_a_mistake_is_refused_named_and_costs_the_same_whatever_is_drawn(exercise, mistake):
    assert refused(exercise, mistake)


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=named(MISTAKES))
def test_equal_programs_get_equal_points_whatever_is_drawn(exercise, mistake):
    assert len(set(points_by_draw(exercise, mistake.answer))) == 1


@pytest.mark.parametrize(("exercise", "name"), ALTERNATIVES, ids=named(ALTERNATIVES))
def test_an_unusual_right_answer_is_accepted(exercise, name):
    assert accepted(exercise, name)
    assert visible_sheet(exercise.name).grade(exercise.alternatives[name]).status == "right"


KEYED = [(one, m) for one, m in MISTAKES if isinstance(one, Quiz) and isinstance(m.answer, dict)]


@pytest.mark.parametrize(("exercise", "mistake"), KEYED, ids=named(KEYED))
def test_a_key_answered_wrong_is_commented_on_and_the_others_count(exercise, mistake):
    verdict = exercise.grade(exercise.answer | mistake.answer, SEEDS[0])
    assert list(verdict.diagnoses) == [mistake.name]
    assert verdict.points == exercise.points - sum(exercise.parts[key] for key in mistake.answer)


@pytest.mark.parametrize(
    ("exercise", "mistake"),
    [pair for pair in MISTAKES if not isinstance(pair[0], Quiz)],
    ids=named(pair for pair in MISTAKES if not isinstance(pair[0], Quiz)),
)
def test_a_mistake_is_named_in_the_visible_check_too(exercise, mistake):
    verdict = visible_sheet(exercise.name).grade(mistake.answer)
    assert verdict.status != "right"
    assert next(iter(verdict.diagnoses)) == mistake.name


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_enough_is_known_of_an_exercise(exercise):
    assert len(exercise.mistakes) >= 6
    assert len(exercise.alternatives) >= 3
    assert len({mistake.says for mistake in exercise.mistakes}) == len(exercise.mistakes)


@pytest.mark.parametrize("exercise", QUIZZES, ids=lambda exercise: exercise.name)
def test_every_wrong_choice_has_its_comment(exercise):
    forms = exercise.forms if isinstance(exercise.forms, dict) else {None: exercise.forms}
    for key, choices in forms.items():
        right = exercise.answer if key is None else exercise.answer[key]
        answers = [m.answer if key is None else m.answer.get(key) for m in exercise.mistakes]
        for choice in choices:
            assert choice == right or isinstance(choice, dict) or choice in answers


@pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)
def test_three_hints(exercise):
    assert len(exercise.hints) == 3
    assert len(set(exercise.hints)) == 3


@pytest.mark.parametrize("exercise", FUNCTIONS, ids=lambda exercise: exercise.name)
def test_the_reference_says_what_it_does(exercise):
    text = inspect.getdoc(exercise.answer)
    assert "Returns" in text
    assert "Source" in text


@pytest.mark.parametrize(("exercise", "mistake"), MISTAKES, ids=named(MISTAKES))
def test_a_mistake_can_be_handed_in_as_a_cell(exercise, mistake):
    scope = {}
    exec(answer_cell(exercise, mistake.answer), scope)
    verdict = sheet(exercise.name, SEEDS[0]).grade(scope[exercise.name])
    assert next(iter(verdict.diagnoses)) == mistake.name


def test_equal_seeds_give_equal_cases_and_others_do_not():
    exercise = FUNCTIONS[0]

    def packed(*key):
        return pack([case.plain() for case in exercise.hidden_cases(*key)])

    assert packed(b"key", "one") == packed(b"key", "one")
    assert packed(b"key", "one") != packed(b"key", "two")
    assert packed(b"key", "one") != packed(b"yek", "one")


def described(name="k1") -> Exercise:
    made = Exercise(name, {"values": 1}, ("", "", ""))
    inputs = {"logp": torch.zeros(2), "ref_logp": torch.ones(2)}
    made.by_hand(lambda: [Case("one", inputs)])
    return made


def test_two_mistakes_of_one_name_are_named():
    made, quiz = described(), Quiz("quiz", {"values": 1}, ("", "", ""), forms=("a", "b"))
    made.wrong("swapped")(reference.k2)
    quiz.distractor("a", "no")
    with pytest.raises(UsageError, match="^k1: two mistakes are named k2; rename one$"):
        made.wrong("swapped, too")(reference.k2)
    with pytest.raises(UsageError, match="^quiz: two mistakes are named answered_a; rename one$"):
        quiz.distractor("a", "no")


def test_a_mistake_that_equals_the_reference_is_named():
    made = described()
    made.wrong("another")(reference.k2)
    made.visible()
    made.wrong("the same")(lambda logp, ref_logp: reference.k1(logp, ref_logp))
    with pytest.raises(UsageError, match="^k1: the mistake <lambda> answers as the reference$"):
        made.visible()


def test_two_exercises_of_one_name_are_named(tmp_path):
    for name in ("__init__", "shared", "k1", "k2"):
        (tmp_path / f"{name}.py").touch()
    _must_be_whole("99_twice", ("k1", "k2"), tmp_path)
    with pytest.raises(UsageError, match="two exercises of 99_twice are named k1; rename one$"):
        _must_be_whole("99_twice", ("k1", "k2", "k1"), tmp_path)
    with pytest.raises(UsageError, match="ORDER does not name k2; an exercise is a file"):
        _must_be_whole("99_twice", ("k1",), tmp_path)
    with pytest.raises(UsageError, match="has no k3.py; an exercise is a file"):
        _must_be_whole("99_twice", ("k1", "k2", "k3"), tmp_path)


def test_an_exercise_that_two_lessons_have_is_named(monkeypatch):
    monkeypatch.setitem(LESSONS, "99_twice", LESSONS["02_divergence"])
    with pytest.raises(UsageError, match="02_divergence.py: .* is an exercise of 99_twice too"):
        read_source("02_divergence")
