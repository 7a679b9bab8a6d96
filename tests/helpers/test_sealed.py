"""What is said to an answer can be read with that answer, and with no other."""

import json

import pytest

from autograde.course.exercise import Quiz
from autograde.course.exercises import LESSONS, exercises
from helpers.sealed import TOLD, Comment, seal, unseal

BOXES = seal(
    "q",
    [
        Comment("", "B", True),
        Comment("", "A", False, "The order is turned."),
        Comment("price", -1.3, True, atol=0.006),
        Comment("statement", False, True),
        Comment("step", 60, True, atol=5.0),
        Comment("step", 90, False, "There it comes again.", atol=5.0),
    ],
)


@pytest.mark.parametrize(
    ("key", "answer", "right"),
    [
        ("", "B", True),
        ("", " b", True),
        ("", "A", False),
        ("price", -1.3, True),
        ("price", -1.304, True),
        ("price", -1.2951, True),
        ("statement", False, True),
        *(("step", step, True) for step in (55, 57.5, 60, 61, 65)),
        *(("step", step, False) for step in (85, 90, 95.0)),
    ],
)
def test_an_answer_opens_its_own_box(key, answer, right):
    assert unseal("q", BOXES, key, answer).right is right


@pytest.mark.parametrize(
    ("key", "answer"),
    [
        ("", "C"),
        ("price", -1.31),
        ("price", 1.3),
        ("price", float("nan")),
        ("price", float("inf")),
        ("price", 10**400),
        ("statement", True),
        ("statement", "False"),
        ("statement", 0),
        *(("step", step) for step in (0, 54, 54.9, 65.1, 70, 84, 96, 120)),
        ("", None),
        ("", ["B"]),
    ],
)
def test_another_answer_opens_none(key, answer):
    assert unseal("q", BOXES, key, answer) is None


def test_nothing_of_a_comment_is_readable_in_the_data():
    for lesson in LESSONS:
        for exercise in exercises(lesson).values():
            if isinstance(exercise, Quiz):
                data = exercise.visible()
                text = json.dumps(data[TOLD])
                assert all(mistake.says not in text for mistake in exercise.mistakes)
                assert bytes.fromhex(next(iter(data[TOLD].values())))[:1] != b"{"
