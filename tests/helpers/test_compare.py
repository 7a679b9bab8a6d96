"""Two answers are compared by one rule, and a mistake is named when it explains the difference."""

import pytest
import torch

from helpers.cases import GRADIENT, RULES, VALUES, Case
from helpers.closeness import FORM, NUMBER
from helpers.compare import agree, judge
from helpers.describing import describe
from helpers.observed import NO_NUMBER
from helpers.probe import ask
from helpers.unnamed import FIRST
from helpers.verdict import Verdict, WrongAnswer

PARTS = {VALUES: 2, GRADIENT: 1, RULES: 1}
CASES = [
    Case("two numbers", {"x": torch.tensor([1.0, 2.0])}, grad=("x",)),
    Case("float64", {"x": torch.tensor([3.0], dtype=torch.float64)}, RULES, ("x",)),
]


def square(x):
    return x**2


def verdict_on(function, *mistakes):
    named = [WrongAnswer(m.__name__, m.__name__, ask(m, CASES)) for m in mistakes]
    return judge("square", PARTS, CASES, ask(function, CASES), ask(square, CASES), named)


def test_right_is_full():
    verdict = verdict_on(lambda x: x * x)
    assert (verdict.status, verdict.points, verdict.max_points) == ("right", 4, 4)
    assert not verdict.failures


def test_each_property_is_its_own_part():
    assert verdict_on(lambda x: (x**2).detach()).passed == {
        VALUES: True, GRADIENT: False, RULES: True,
    }  # fmt: skip
    assert verdict_on(lambda x: x.float() ** 2).passed[RULES] is False
    assert verdict_on(lambda x: x.float() ** 2).points == 3


def test_nothing_counts_while_the_values_are_wrong():
    verdict = verdict_on(lambda x: x**2 + 1 - x)
    assert verdict.points == 0


@pytest.mark.parametrize(
    "function",
    [
        lambda x: torch.full_like(x, float("nan")) + x,
        lambda x: x**2 + torch.tensor(float("inf")),
        lambda x: (x**2)[None],
        lambda x: (x**2).sum(),
        lambda x: None,
        lambda x: "1, 4",
        lambda x: [],
        lambda x: {},
        lambda x: x.to(torch.complex64),
        lambda x: (x**2).to_sparse(),
    ],
)
def test_what_is_no_answer_earns_nothing(function):
    assert verdict_on(function).points == 0


def test_a_mistake_is_named_when_it_gives_the_same_answers():
    def double(x):
        return 2 * x

    def cube(x):
        return x**3

    def held_constant(x):
        return (x**2).detach()

    assert list(verdict_on(lambda x: x + x, cube, double).diagnoses) == ["double"]
    assert list(verdict_on(lambda x: x.square().detach(), cube, held_constant).diagnoses) == [
        "held_constant"
    ]
    assert verdict_on(lambda x: x + 7, cube, double, held_constant).diagnoses == {}


def test_a_mistake_that_spoils_a_value_which_is_right_is_not_named():
    def wrong_everywhere(x):
        return x**3

    def right_for_two(x):
        return x**2 if len(x) == 2 else x**3

    assert list(verdict_on(right_for_two, wrong_everywhere).diagnoses) == [FIRST]
    assert list(verdict_on(wrong_everywhere, wrong_everywhere).diagnoses) == ["wrong_everywhere"]


def test_nan_matches_the_mistake_that_makes_nan_and_never_the_right_answer():
    def not_a_number(x):
        return x**2 * float("nan")

    found = verdict_on(lambda x: x * float("nan"), not_a_number)
    assert found.points == 0
    assert list(found.diagnoses) == ["not_a_number"]


def test_two_mistakes_at_once_are_both_named():
    cases = [
        Case("plain", {"x": torch.tensor([3.0])}),
        Case("padding", {"x": torch.tensor([float("nan")])}, part="padding"),
    ]

    def right(x):
        return x.nan_to_num() + 1

    def plus_two(x):
        return x.nan_to_num() + 2

    def poisoned(x):
        return x + 1

    named = [WrongAnswer(m.__name__, m.__name__, ask(m, cases)) for m in (plus_two, poisoned)]
    got = ask(lambda x: x + 2, cases)
    verdict = judge("e", {VALUES: 1, "padding": 1}, cases, got, ask(right, cases), named)
    assert set(verdict.diagnoses) == {"plus_two", "poisoned"}


def test_a_second_mistake_in_the_gradient_hides_none_in_the_values():
    padding = torch.tensor([float("nan"), 1.0])
    cases = [
        Case("plain", {"x": torch.tensor([3.0]), "y": torch.tensor([2.0])}, grad=("x", "y")),
        Case("padding", {"x": padding, "y": torch.ones(2)}, "padding", ("x", "y")),
    ]

    def right(x, y):
        return x.nan_to_num() * y.detach()

    def poisoned(x, y):
        return x * y.detach()

    def not_constant(x, y):
        return x.nan_to_num() * y

    named = [WrongAnswer(m.__name__, m.__name__, ask(m, cases)) for m in (poisoned, not_constant)]
    got = ask(lambda x, y: x * y, cases)
    verdict = judge("e", {VALUES: 1, "padding": 1}, cases, got, ask(right, cases), named)
    assert set(verdict.diagnoses) == {"poisoned", "not_constant"}


@pytest.mark.parametrize("answer", [[1.0], (1.0, 2.0), {"loss": 1.0}, torch.ones(2)])
def test_an_exception_of_no_named_mistake_is_none_of_them(answer):
    cases = [Case("one", {"x": torch.tensor(3.0)}), Case("two", {"x": torch.tensor(4.0)})]

    def other(x):
        return [2.0]

    def broken(x):
        return undefined_name  # noqa: F821

    def broken_at_four(x):
        return undefined_name if x == 4 else answer  # noqa: F821

    named = [WrongAnswer("other", "", ask(other, cases))]
    for function in (broken, broken_at_four):
        got, right = ask(function, cases), ask(lambda x: answer, cases)
        told = judge("e", {VALUES: 1}, cases, got, right, named).diagnoses
        assert list(told) == ["library: no such name"]


def test_not_written_is_told_from_wrong():
    def stub(x):
        raise NotImplementedError

    assert verdict_on(stub).status == "not written"
    quiz = [Case("", probe="quiz")]
    verdict = judge("q", {"answer": 1}, quiz, ask(..., quiz), [{"value": "B"}])
    assert verdict.status == "not written"


def test_an_exception_in_every_failing_case_is_said_to_be_one():
    verdict = verdict_on(lambda x: x.no_such_thing)
    assert verdict.status == "raised"
    assert "AttributeError" in verdict.failures[0].got


def test_an_expected_exception():
    cases = [Case("β = 0", {"beta": 0.0})]

    def right(beta):
        raise ValueError("beta must be above 0")

    class StricterError(ValueError):
        pass

    def stricter(beta):
        raise StricterError

    def other(beta):
        raise TypeError

    for function, status in ((stricter, "right"), (other, "wrong"), (lambda beta: 1.0, "wrong")):
        verdict = judge("e", {VALUES: 1}, cases, ask(function, cases), ask(right, cases))
        assert (verdict.status == "right") == (status == "right")


@pytest.mark.parametrize(
    ("answer", "fits"),
    [("A", True), (" b ", True), ("E", False), (3, False), (None, False), (["A"], False)],
)
def test_a_form_says_what_may_be_typed(answer, fits):
    cases = [Case("", probe="quiz")]
    verdict = judge("q", {"a": 1}, cases, ask(answer, cases), [{"value": {FORM: ["A", "B"]}}])
    assert (verdict.status == "right") is fits


@pytest.mark.parametrize(
    ("answer", "fits"), [(1, True), (0.5, True), ("0.5", False), (True, False)]
)
def test_a_form_may_ask_for_any_number(answer, fits):
    cases = [Case("", probe="quiz")]
    verdict = judge("q", {"a": 1}, cases, ask(answer, cases), [{"value": {FORM: [NUMBER]}}])
    assert (verdict.status == "right") is fits


def test_a_number_may_come_as_a_tensor_but_a_tensor_not_as_a_number():
    number, tensor = [Case("", {"x": 2.0})], [Case("", {"x": torch.tensor(2.0)})]
    parts = {VALUES: 1, RULES: 1}
    as_tensor = judge(
        "e", parts, number, ask(lambda x: torch.tensor(x), number), ask(lambda x: x, number)
    )
    assert as_tensor.status == "right"
    as_number = judge("e", parts, tensor, ask(lambda x: x.item(), tensor), ask(lambda x: x, tensor))
    assert as_number.passed == {VALUES: True, RULES: False}


def test_a_verdict_survives_being_stored():
    verdict = verdict_on(lambda x: x + 7)
    assert Verdict.of(verdict.plain()) == verdict


def test_numbers_are_said_as_a_reader_knows_them():
    assert describe(torch.tensor([-0.0, 1.5])) == "[0, 1.5]"
    assert describe(torch.tensor([False, True])) == "[False, True]"
    assert describe(torch.tensor(0)) == "0"


def test_numbers_that_look_alike_are_shown_with_what_parts_them():
    def shown(got, right):
        case = Case("small", {}, rtol=1e-6, atol=0.0)
        answers = [{"value": torch.tensor(x, dtype=torch.float64)} for x in (got, right)]
        (failure,) = judge("e", {VALUES: 1}, [case], answers[:1], answers[1:]).failures
        return failure.got

    assert shown(6.3027e-12, 6.3028e-12) == "6.3027e-12 (off by 2e-05 of it)"
    assert shown([1.0, 2.0000001e-9], [1.0, 2e-9 * (1 + 1e-5)]).endswith(" (off by 1e-05 of it)")
    assert shown(6.3e-12, 6.4e-12) == "6.3e-12"
    for never in (float("nan"), float("inf"), -1.0, 0.0):
        assert "off by" not in shown(never, 1.0)
    assert "off by" not in shown(1e-9, 0.0)


def test_the_place_shown_is_one_that_counts():
    """Not the largest difference, where that is rounding."""
    case = Case("logs", {}, rtol=1e-6, atol=1e-3)
    right, got = (
        torch.tensor([-2e5, -0.4, 1, 1, 1, 1, 1]),
        torch.tensor([-2e5, -0.5, 1, 1, 1, 1, 1]),
    )
    got[0] += 0.15
    verdict = judge("e", {VALUES: 1}, [case], [{"value": got}], [{"value": right}])
    (failure,) = verdict.failures
    assert (failure.got, failure.expected) == ("-0.5 at [1]", "-0.4 at [1]")


@pytest.mark.parametrize(
    ("answer", "said"),
    [([1.0, 2.0], "a list or a tuple"), ({"loss": 1.0}, "a dict"), (None, "None (is a")],
)
def test_an_answer_of_another_form_is_said_to_be_one(answer, said):
    case = Case("one", {"x": torch.tensor(1.0)})
    verdict = judge(
        "e", {VALUES: 1}, [case], ask(lambda x: answer, [case]), ask(lambda x: x, [case])
    )
    assert verdict.failures[0].got.startswith(said)


def test_a_python_number_keeps_its_digits_and_lacks_the_form():
    x = torch.tensor(0.1, dtype=torch.float64)
    case = Case("float64", {"x": x})
    got, right = ask(lambda x: x.item() / 3, [case]), ask(lambda x: x / 3, [case])
    verdict = judge("e", {VALUES: 1, RULES: 1}, [case], got, right)
    assert verdict.passed == {VALUES: True, RULES: False}


def rough_verdict(function, rough):
    """Of three cases, x = 1, 2 and 3, where x² + 1 is the mistake and the third is its noise."""
    cases = [Case(f"x = {x}", {"x": torch.tensor(float(x))}) for x in (1, 2, 3)]
    mistake = WrongAnswer("one_more", "", ask(lambda x: x**2 + 1, cases), rough)
    kept = WrongAnswer.of(mistake.plain())  # as a bundle has it
    both = []
    for named in (mistake, kept):
        got, right = ask(function, cases), ask(square, cases)
        both.append(list(judge("square", {VALUES: 1}, cases, got, right, [named]).diagnoses))
    assert both[0] == both[1]
    return both[0] == ["one_more"]


def test_a_mistakes_own_rounding_does_not_hide_it():
    def off_by_rounding(x):
        return x**2 + 1 + (0.3 if x == 3 else 0.0)

    assert not rough_verdict(off_by_rounding, {})
    assert rough_verdict(off_by_rounding, {2: 0.5})
    assert not rough_verdict(off_by_rounding, {2: 0.1})
    assert not rough_verdict(off_by_rounding, {1: 0.5})
    assert not rough_verdict(lambda x: x**2 + 1.3, {2: 0.5})


def test_of_noise_only_its_form_is_compared_and_nothing_is_stored():
    def noise(value):
        def answer(x):
            if x < 3:
                return x**2 + 1
            if isinstance(value, Exception):
                raise value
            return value

        return answer

    for value in (torch.tensor(-7.0), float("nan"), 1e30, torch.linalg.LinAlgError("singular")):
        assert rough_verdict(noise(value), {2: float("inf")})
    for value in (None, "9", torch.ones(2), IndexError("no")):
        assert not rough_verdict(noise(value), {2: float("inf")})
    mistake = WrongAnswer("m", "", [{"value": 1.0}, {"value": 2.0}], {1: float("inf")})
    assert mistake.plain()["answers"] == [{"value": 1.0}, {}]


def test_a_number_made_of_float32_has_no_more_digits_than_float32():
    case = Case("", {"x": torch.tensor([0.1, 0.7])})
    double = Case("", {"x": torch.tensor([0.1, 0.7], dtype=torch.float64)})
    for asked, alike in ((case, True), (double, False)):
        (here,) = ask(lambda x: x.exp().sum().item(), [asked])
        there = here | {"value": here["value"] * (1 + 1e-7)}
        assert agree(asked, there, here, "value") is alike


def told(function, right, *mistakes, cases=CASES, parts=PARTS):
    named = [WrongAnswer(m.__name__, m.__name__, ask(m, cases)) for m in mistakes]
    return dict(
        judge("right", parts, cases, ask(function, cases), ask(right, cases), named).diagnoses
    )


def test_a_name_is_given_only_where_the_gradients_agree_with_it_too():
    def without_policy(x):
        return torch.ones_like(x)

    assert list(told(lambda x: torch.ones_like(x), square, without_policy)) == ["without_policy"]
    assert "without_policy" not in told(lambda x: (x - x.detach()).exp(), square, without_policy)


TWO = [
    Case("one", {"x": torch.tensor([3.0, 1.0]), "y": torch.tensor([2.0, 5.0])}, grad=("x", "y")),
    Case("two", {"x": torch.tensor([-1.0, 4.0]), "y": torch.tensor([0.5, 2.0])}, grad=("x", "y")),
]


@pytest.mark.parametrize(
    ("function", "names"),
    [
        (lambda x, y: x - y.detach(), ["subtracted"]),
        (lambda x, y: x - y, ["subtracted", "a gradient of y"]),
        (lambda x, y: (x - y).detach(), ["subtracted", "no gradient of x"]),
    ],
)
def test_a_gradient_that_is_cut_or_reaches_a_constant_is_said_besides(function, names):
    def right(x, y):
        return x * y.detach()

    def subtracted(x, y):
        return x - y.detach()

    parts = {VALUES: 2, GRADIENT: 1}
    assert list(told(function, right, subtracted, cases=TWO, parts=parts)) == names


def told_of_responses(got, **expected):
    """What is said of an answer where `expected` is, of a case that asks for responses."""
    case = Case("one", {}, probe="responses")
    verdict = judge("loss", {VALUES: 1}, [case], [expected | got], [expected], [])
    return " ".join(verdict.diagnoses.values())


def test_of_responses_it_is_said_in_their_words():
    right = {"shape": "(2,)", "gradient of padding": torch.zeros(2)}
    assert "one for each response" in told_of_responses({"shape": "()"}, **right)
    reached = told_of_responses({"gradient of padding": torch.ones(2)}, **right)
    assert "reaches the padding" in reached
    broken = told_of_responses({"gradient of padding": {"$kind": NO_NUMBER}}, **right)
    assert "inf or NaN" in broken


def test_torch_too_has_errors_that_say_not_implemented():
    def xor(x):
        return 0.5 * x ^ 2

    def hole(x):
        raise NotImplementedError()

    assert verdict_on(xor).status == "raised"
    assert list(verdict_on(xor).diagnoses) == ["library: operation on another kind"]
    assert verdict_on(hole).status == "not written"


def test_while_values_are_wrong_no_gradient_is_shown():
    shown = verdict_on(lambda x: 3 * x**2).failures
    assert {failure.what for failure in shown} == {"value"}
    shown = verdict_on(lambda x: (x**2).detach()).failures
    assert {failure.what.split(" of ")[0] for failure in shown} == {"gradient"}


def test_where_nothing_is_known_it_is_said_where_it_is_right_and_where_not():
    def right_once(x):
        return x**2 if len(x) == 2 else x.sin()

    says = verdict_on(right_once).diagnoses[FIRST]
    assert says == "Right in “two numbers”. It differs first in “float64”."


def test_what_rounding_leaves_of_nothing_is_shown_as_nothing():
    assert describe(torch.tensor([5.9605e-08, 0.5])) == "[0, 0.5]"
    assert describe(-2.51063e-17) == "0"
    assert describe(torch.tensor(5e-13, dtype=torch.float64)) == "5e-13"
    tiny = told(lambda x: x * 0, lambda x: x * 1e-20, cases=[CASES[1]])
    assert not tiny or "0" in str(tiny)


def test_texts_are_quoted():
    assert describe("False", {FORM: [False, True]}) == "'False'"
    assert describe({FORM: ["A", "B"]}) == "'A' or 'B'"


def test_the_entries_of_a_tuple_are_told_by_their_names():
    case = Case("three", {"x": torch.tensor(3.0)}, entries=("mean", "slope"))
    assert Case.of(case.plain()).entries == ("mean", "slope")
    assert "entries" not in CASES[0].plain()

    def told(case, answer):
        right = ask(lambda x: (x.item(), 2.0), [case])
        return [failure.what for failure in judge("line", PARTS, [case], answer, right).failures]

    assert told(case, ask(lambda x: (3.0, 1.0), [case])) == ["slope"]
    assert told(case, ask(lambda x: (0.0, 1.0), [case])) == ["mean", "slope"]
    assert told(case, ask(lambda x: (3.0, 2.0, 1.0), [case])) == ["value 2"]
    unnamed = Case("three", case.inputs)
    assert told(unnamed, ask(lambda x: (3.0, 1.0), [unnamed])) == ["value 1"]
