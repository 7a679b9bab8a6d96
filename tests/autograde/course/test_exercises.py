"""Every exercise refuses what is wrong, by name, and accepts what is right, however written."""

import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest
import torch

from autograde.common.errors import UsageError
from autograde.course.as_cells import answer_cell
from autograde.course.coverage import SEEDS, accepted, points_by_draw, refused, sheet, visible_sheet
from autograde.course.exercise import Case, Exercise, Mistake, Quiz
from autograde.course.exercises import LESSONS, _must_be_whole, exercises, names
from autograde.course.lessons import read_source
from helpers import reference
from helpers.codec import pack
from tests.some import LONG

ALL = [one for lesson in LESSONS for one in exercises(lesson).values()]
FUNCTIONS = [one for one in ALL if not isinstance(one, Quiz)]
QUIZZES = [one for one in ALL if isinstance(one, Quiz)]
FEW = 6  # mistakes of each exercise that are asked for now; all are more than a thousand


how_many = pytest.mark.parametrize(
    "few", [True, pytest.param(False, marks=LONG)], ids=["few", "every"]
)


# What a notebook has and a student's page has not.
SHOWN = r"(table|figure|picture|plot|cell|demo|output)"
POINTS_AT = re.compile(rf"\b{SHOWN}s? (above|below)\b|\bthe (last |next )?{SHOWN}\b", re.IGNORECASE)


def of_each(items: Sequence[Exercise]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("exercise", items, ids=lambda exercise: exercise.name)


def all_but(exercise: Exercise, holds: Callable[[Mistake], bool], few: bool) -> list[str]:
    """The mistakes of which it does not hold, by name."""
    asked = exercise.mistakes[:FEW] if few else exercise.mistakes
    return [mistake.name for mistake in asked if not holds(mistake)]


@of_each(ALL)
def test_no_text_points_at_what_only_the_notebook_shows(exercise):
    """Hints and what is said of mistakes stand on a student's page: they name the lesson's."""
    texts = [*exercise.hints, *(mistake.says for mistake in exercise.mistakes)]
    assert [text for text in texts if POINTS_AT.search(text)] == []


@pytest.mark.parametrize("text", ["see the table above", "in the cell below", "the figure shows"])
def test_such_a_text_is_found(text):
    assert POINTS_AT.search(text)
    assert not POINTS_AT.search("in the lesson's figure, above 0")


@of_each(ALL)
def test_the_reference_is_right(exercise):
    for seed in SEEDS:
        verdict = exercise.grade(exercise.answer, seed)
        assert verdict.status == "right", verdict.failures
        assert verdict.points == exercise.points


@how_many
@of_each(ALL)
def test_a_mistake_handed_in_as_a_cell_is_refused_and_named(exercise, few):
    """The cell is the same program as the mistake."""

    def is_named(mistake):
        scope = {}
        exec(answer_cell(exercise, mistake.answer), scope)
        verdict = sheet(exercise.name, SEEDS[0]).grade(scope[exercise.name])
        first = next(iter(verdict.diagnoses), None)
        return verdict.points < verdict.max_points and first == mistake.name

    assert all_but(exercise, is_named, few) == []


@how_many
@of_each(ALL)
def test_a_mistake_is_refused_named_and_costs_the_same_whatever_is_drawn(exercise, few):
    assert all_but(exercise, lambda mistake: refused(exercise, mistake), few) == []


@LONG
@of_each(ALL)
def test_equal_programs_get_equal_points_whatever_is_drawn(exercise):
    """By 20 draws; the test above holds it for three."""

    def is_steady(mistake):
        return len(set(points_by_draw(exercise, mistake.answer))) == 1

    assert all_but(exercise, is_steady, few=False) == []


@of_each(ALL)
def test_an_unusual_right_answer_is_accepted(exercise):
    for name, answer in exercise.alternatives.items():
        assert accepted(exercise, name), name
        assert visible_sheet(exercise.name).grade(answer).status == "right", name


@of_each([one for one in QUIZZES if isinstance(one.answer, dict)])
def test_a_key_answered_wrong_is_commented_on_and_the_others_count(exercise):
    for mistake in (one for one in exercise.mistakes if isinstance(one.answer, dict)):
        verdict = exercise.grade(exercise.answer | mistake.answer, SEEDS[0])
        assert list(verdict.diagnoses) == [mistake.name]
        lost = sum(exercise.parts[key] for key in mistake.answer)
        assert verdict.points == exercise.points - lost


@how_many
@of_each(FUNCTIONS)
def test_a_mistake_is_named_in_the_visible_check_too(exercise, few):
    def is_named(mistake):
        verdict = visible_sheet(exercise.name).grade(mistake.answer)
        return verdict.status != "right" and next(iter(verdict.diagnoses)) == mistake.name

    assert all_but(exercise, is_named, few) == []


@of_each(FUNCTIONS)
def test_enough_is_known_of_an_exercise(exercise):
    assert len(exercise.mistakes) >= 6
    assert len(exercise.alternatives) >= 3
    assert len({mistake.says for mistake in exercise.mistakes}) == len(exercise.mistakes)


@of_each(QUIZZES)
def test_every_wrong_choice_has_its_comment(exercise):
    forms = exercise.forms if isinstance(exercise.forms, dict) else {None: exercise.forms}
    for key, choices in forms.items():
        right = exercise.answer if key is None else exercise.answer[key]
        answers = [m.answer if key is None else m.answer.get(key) for m in exercise.mistakes]
        for choice in choices:
            assert choice == right or isinstance(choice, dict) or choice in answers


@of_each(ALL)
def test_three_hints(exercise):
    assert len(exercise.hints) == 3
    assert len(set(exercise.hints)) == 3


@of_each(FUNCTIONS)
def test_the_reference_says_what_it_does(exercise):
    text = inspect.getdoc(exercise.answer)
    assert "Returns" in text
    assert "Source" in text


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


def test_a_notebook_is_recognised_without_pytorch():
    """It is done for each file of a class, in a process that would load it anew each time."""
    code = (
        "import sys; from autograde.course.recognise import lesson_of; "
        "print(lesson_of('', [('code', 'categorical_kl', '')]), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["02_divergence", "False"], done.stderr


def test_names_are_those_of_the_exercises():
    assert all(list(names(lesson)) == list(exercises(lesson)) for lesson in LESSONS)
