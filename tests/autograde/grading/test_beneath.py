"""One slip costs once: not again where another answer calls it."""

import pytest

from autograde.course.exercises import LESSONS, exercises
from autograde.grading.beneath import MOST_LINES, Instead, _asked
from autograde.grading.judging import judge_all
from autograde.grading.sandbox import Limits
from autograde.grading.steps import Step
from helpers.cases import Case
from helpers.codec import pack
from helpers.probe import ask
from helpers.report import Report


def graded(lesson, answers, calls):
    """Verdicts on a lesson with these answers, the others right. calls: who calls whom."""
    described = exercises(lesson)
    cases = {name: one.hidden_cases(b"") for name, one in described.items()}
    replies = {
        name: pack({"answers": ask(answers.get(name, one.answer), cases[name]), "error": None})
        for name, one in described.items()
    }
    texts = {name: " + ".join(f"{other}()" for other in calls.get(name, ())) for name in described}
    steps = [Step(text or "pass", name) for name, text in texts.items()]
    return judge_all(lesson, steps, cases, replies, "none", Limits()).verdicts


def mistake(exercise, name=None):
    return next(m for m in exercise.mistakes if name in (None, m.name))


PAIRS = [
    ("01_policy_updates", "surrogate_objective", "masked_mean", "divided_by_all_places"),
    ("01_policy_updates", "surrogate_objective", "importance_ratio", "swapped"),
    ("03_penalized_objective", "beta_for_kl", "optimal_policy", "multiplied_by_beta"),
    ("06_language_model", "train_step", "grpo_loss", None),
]


@pytest.mark.parametrize(("lesson", "above", "below", "slip"), PAIRS)
def test_an_answer_that_is_wrong_only_for_what_it_calls_keeps_its_points(
    lesson, above, below, slip
):
    described = exercises(lesson)
    wrong = mistake(described[below], slip).answer
    right = Instead({below: wrong}).of(described[above].answer)
    found = graded(lesson, {below: wrong, above: right}, {above: [below]})
    assert found[below].points < found[below].max_points
    assert found[above].points == found[above].max_points
    assert found[above].despite == [below]
    assert f"It calls {below}, which is not right yet" in repr(Report(found[above], hidden=True))


@pytest.mark.parametrize(("lesson", "above", "below", "slip"), PAIRS[:3])
def test_a_slip_of_its_own_costs_as_ever(lesson, above, below, slip):
    """Whether it calls the wrong one or not, and where nothing says that it does."""
    described = exercises(lesson)
    wrong = mistake(described[below], slip).answer
    right, own = described[above].answer, mistake(described[above]).answer
    instead = Instead({below: wrong})
    for answer, calls in ((own, [below]), (instead.of(own), [below]), (instead.of(right), [])):
        found = graded(lesson, {below: wrong, above: answer}, {above: calls})[above]
        assert (found.points < found.max_points, found.despite) == (True, [])


def test_what_makes_all_answers_alike_forgives_nothing():
    described = exercises("01_policy_updates")
    blank = mistake(described["masked_mean"], "summed")
    wrong = {"masked_mean": blank.answer, "surrogate_objective": lambda *_: 0.0}
    found = graded("01_policy_updates", wrong, {"surrogate_objective": ["masked_mean"]})
    assert found["surrogate_objective"].points == 0


def test_a_mistake_may_itself_call_the_right_answer():
    described = exercises("03_penalized_objective")["optimal_policy"]
    wrong = mistake(described, "multiplied_by_beta").answer
    case = described.hand_cases[0]
    (plain,), (again,) = (ask(one, [case]) for one in (wrong, Instead({"optimal_policy": wrong})
                                                        .optimal_policy))  # fmt: skip
    assert (plain["value"] == again["value"]).all()


def test_what_never_ends_is_stopped_wherever_it_runs():
    scope = {"__name__": "autograde.somewhere"}
    exec("def search():\n    while True:\n        try:\n            1\n"
         "        except Exception:\n            pass", scope)  # fmt: skip
    assert "error" in _asked(scope["search"], Case("never", {}))
    exec(
        f"def search():\n    for _ in range({MOST_LINES // 4}):\n        pass\n    return 1", scope
    )
    assert _asked(scope["search"], Case("long", {}))["value"] == 1


def test_every_exercise_that_calls_another_is_tried():
    called = {(above, below) for _, above, below, _ in PAIRS}
    for lesson in LESSONS:
        described = exercises(lesson)
        for name, one in described.items():
            code = getattr(getattr(one.answer, "__shaped__", None), "__code__", None)
            names = set(code.co_names) if code else set()
            assert {(name, other) for other in names & set(described)} <= called
