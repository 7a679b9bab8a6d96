"""A term's plan: what its settings may say, and what becomes of a lesson by it."""

from itertools import pairwise
from pathlib import Path

import pytest
from traitlets.config import Config

from autograde.common.errors import UsageError
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import checkout_base, mark_of
from autograde.course.plan import (
    AS_WRITTEN,
    Plan,
    as_planned,
    exercise_names,
    in_order,
    is_planned,
    parts_worth,
    title,
    worth,
)
from autograde.grading.rebuild import rebuild
from helpers.verdict import Verdict

WHERE = Path("term/nbgrader_config.py")
LESSON = "02_divergence"


def texts(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_without_settings_it_is_the_course():
    assert Plan.of(Config().get("Course", {}), WHERE) == Plan()
    assert list(Plan().lessons) == list(LESSONS)


def test_lessons_are_named_by_their_beginnings_in_any_order():
    given = {"lessons": ["05", "00_start_here"], "points": {"k1": 2.0, "k3": 0.25}}
    plan = Plan.of(given, WHERE)
    assert plan.lessons == ("05_stable_updates", "00_start_here")
    assert plan.points == {"k1": 2, "k3": 0.25}
    assert [plan.next_of(name) for name in plan.lessons] == ["00_start_here", ""]


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"lesson": []}, "c.Course.lesson is no setting (did you mean lessons?)"),
        ({"lessons": []}, "c.Course.lessons: names no lesson; write a list"),
        ({"lessons": "00_start_here"}, "c.Course.lessons: names no lesson"),
        ({"lessons": ["02", "2"]}, "c.Course.lessons: no lesson '2' (did you mean 02_divergence?)"),
        ({"lessons": [2]}, "c.Course.lessons: no lesson '2'"),
        ({"lessons": [""]}, "c.Course.lessons: no lesson"),
        ({"lessons": ["02_divergense"]}, "(did you mean 02_divergence?)"),
        ({"lessons": ["02", "02_divergence"]}, "has 02_divergence twice; keep one"),
        ({"points": ["k1"]}, 'write points by exercise, such as {"categorical_kl": 6}'),
        ({"points": {"kl": 1}}, "no exercise 'kl' (did you mean categorical_kl?)"),
        ({"points": {"essay_claims": 1}}, "essays keep the points of their rubrics"),
        ({"points": {"k1": "6"}}, "k1 cannot be worth '6'; give a number from 0 to 1000"),
        ({"points": {"k1": -1}}, "k1 cannot be worth -1"),
        ({"points": {"k1": 0.3}}, "k1 cannot be worth 0.3"),
        ({"points": {"k1": True}}, "k1 cannot be worth True"),
        ({"points": {"k1": float("nan")}}, "k1 cannot be worth nan"),
        ({"points": {"k1": float("inf")}}, "k1 cannot be worth inf"),
    ],
)
def test_what_settings_cannot_say(given, says):
    with pytest.raises(UsageError) as caught:
        Plan.of(given, WHERE)
    assert says in str(caught.value)
    assert str(caught.value).startswith(f"{WHERE}: ")
    assert "\n" not in str(caught.value)


def test_a_list_that_is_added_to_is_told(tmp_path):
    config = Config()
    config.Course.lessons.append("02")
    with pytest.raises(UsageError, match="names no lesson"):
        Plan.of(config.get("Course", {}), WHERE)


def test_the_names_are_those_of_the_exercises():
    assert exercise_names() == {lesson: list(exercises(lesson)) for lesson in LESSONS}


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_courses_own_plan_changes_nothing(lesson):
    assert as_planned(lesson, checkout_base(lesson), Plan()) == checkout_base(lesson)


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_heading_says_what_is_earned_below_it(lesson):
    """Points that are as they were, asked for, change no heading: each says its section's sum."""
    name, exercise = next(iter(exercises(lesson).items()))
    plan = Plan(points={name: exercise.points})
    assert texts(as_planned(lesson, checkout_base(lesson), plan)) == texts(checkout_base(lesson))


def test_points_stand_in_cells_and_headings():
    plan = Plan(points={"k1": 3, "q02_dynamics": 0, "q02_interpret_penalty": 1})
    notebook = as_planned(LESSON, checkout_base(LESSON), plan)
    points = {
        mark["grade_id"].removeprefix("test_"): mark["points"]
        for mark in map(mark_of, notebook.cells)
        if mark.get("grade")
    }
    described = {name: one.points for name, one in exercises(LESSON).items()}
    assert points == {**described, "k1": 3, "q02_dynamics": 0, "q02_interpret_penalty": 1}
    more = described["k2"] + 3
    assert f"## 2.5 One token is all you see *({more} points, 14 min, easy)*" in texts(notebook)
    assert "environment's part *(no points, 6 min, easy)*" in texts(notebook)
    assert "## 2.4 Read a penalty *(1 point, 5 min, easy)*" in texts(notebook)


@pytest.mark.parametrize("lesson", LESSONS)
@pytest.mark.parametrize("after", LESSONS)
def test_a_lesson_names_the_one_after_it(lesson, after):
    """Once, in a line by which it is known, and none that is not given."""
    if lesson == after:
        return
    notebook = as_planned(lesson, checkout_base(lesson), Plan((lesson, after)))
    usual = Plan().next_of(lesson)
    if usual == after:
        assert notebook == checkout_base(lesson)
        return
    lines = [line for line in texts(notebook).splitlines() if is_planned(line)]
    assert lines == [f"The next lesson is **{title(after)}**."]
    assert not usual or f"**{usual}**" not in texts(notebook)
    assert not usual or f"**{usual[:2]} ·" not in texts(notebook)


@pytest.mark.parametrize("lesson", LESSONS)
def test_the_last_lesson_says_so(lesson):
    notebook = as_planned(lesson, checkout_base(lesson), Plan((lesson,)))
    last = [cell for cell in notebook.cells if "This was the last lesson." in cell.source]
    assert len(last) == 1
    assert not texts(notebook).count("The next lesson is")


@pytest.mark.parametrize("handed", [Plan(), Plan((LESSON,)), Plan(points={"k1": 9})])
@pytest.mark.parametrize("own", [Plan(), Plan((LESSON, "05_stable_updates"), {"k3": 1})])
def test_a_bundle_by_another_plan_leaves_no_note(handed, own):
    """What a term changes in a lesson is nobody's own work, whichever edition a student has."""
    base = as_planned(LESSON, checkout_base(LESSON), own)
    submitted = as_planned(LESSON, checkout_base(LESSON), handed)
    for cell in submitted.cells:
        cell.metadata.pop(AS_WRITTEN, None)
    assert [cell.source for cell in rebuild(base, submitted).cells] == [
        cell.source for cell in base.cells
    ]


@pytest.mark.parametrize("points", [0, 0.25, 1, 3.5, 7, 100])
@pytest.mark.parametrize("lesson", LESSONS)
def test_parts_keep_their_proportions_and_add_up(lesson, points):
    for exercise in exercises(lesson).values():
        parts = parts_worth(exercise.parts, points)
        assert sum(parts.values()) == points
        assert list(parts) == list(exercise.parts)
        for part, share in parts.items():
            assert abs(share - points * exercise.parts[part] / exercise.points) <= 0.25
        ordered = sorted(exercise.parts, key=exercise.parts.__getitem__)
        for less, more in pairwise(ordered):
            if exercise.parts[less] < exercise.parts[more]:
                assert parts[less] <= parts[more]


def test_a_verdict_counts_as_the_term_gives():
    verdict = Verdict("k1", "wrong", {"values": 2, "shape": 1}, {"values": True, "shape": False})
    assert worth(verdict, None) is verdict
    assert worth(verdict, 3) is verdict
    assert (worth(verdict, 6).points, worth(verdict, 6).max_points) == (4, 6)
    assert (worth(verdict, 0).points, worth(verdict, 0).max_points) == (0, 0)
    assert verdict.max_points == 3


def test_the_order_of_assignments():
    plan = Plan(("05_stable_updates", "00_start_here"))
    there = ["00_start_here", "02_divergence", "05_stable_updates", "own", "another"]
    assert in_order(there, plan) == ["05_stable_updates", "00_start_here", "another", "own"]
