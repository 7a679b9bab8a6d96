"""A prediction is kept, shown beside what came out, and never stops a lesson."""

import pytest

from helpers import predicting
from helpers.predicted import ASKED, letter_of, prediction_of
from helpers.predicting import HOW, outcome, predict, predictions

NAME, LESSON = "ref_price", "02_divergence"
CHOICES = prediction_of(NAME).choices


@pytest.fixture(autouse=True)
def _new_kernel(monkeypatch):
    monkeypatch.setattr(predicting, "_kept", {})
    monkeypatch.setattr(predicting, "_shown", {})


@pytest.fixture
def said(capsys):
    """What a call printed: one line."""

    def line(call, *arguments, **named):
        call(*arguments, **named)
        printed = capsys.readouterr().out
        assert printed.count("\n") == 1, printed
        return printed.strip()

    return line


def test_what_was_predicted_stands_beside_what_came_out(said):
    assert said(predict, NAME, "A") == f"Your prediction: A: {CHOICES['A']}."
    wanted = f"You predicted A: {CHOICES['A']}. It came out B: {CHOICES['B']}."
    assert said(outcome, NAME, A=False, B=True, C=True) == wanted
    assert said(outcome, NAME, A=False, B=True) == wanted  # the cell is run again


def test_without_a_prediction_all_runs_as_before(said):
    assert said(predict, NAME, ...) == said(predict, NAME) == HOW
    assert said(outcome, NAME, C=True) == f"It came out C: {CHOICES['C']}."
    assert said(outcome, NAME, A=False) == "It came out as none of the choices."


@pytest.mark.parametrize(
    ("choice", "told"),
    [("D", "not 'D'"), ("", "not ''"), ("AB", "not 'AB'"), ("\ud800" * 99, "not '"),
     (1, "in quotes"), (None, "in quotes"), (["A"], "in quotes"), ({"A"}, "in quotes"),
     (b"A", "in quotes")],
)  # fmt: skip
def test_what_is_no_choice_is_not_kept(said, choice, told):
    line = said(predict, NAME, choice)
    assert line.startswith('Nothing is kept: the choices are "A", "B", "C", ')
    assert told in line
    assert said(outcome, NAME, B=True).startswith("It came out")


@pytest.mark.parametrize(
    ("name", "told"),
    [("ref_prize", 'did you mean "ref_price"?'), ("", "its name"), (7, "no text"),
     ([], "no text"), ("x" * 10**6, "its name"), ("\ud800\x1b", "its name")],
)  # fmt: skip
def test_an_unknown_name_is_told(said, name, told):
    line = said(predict, name, "A")
    assert line.startswith("There is no prediction called ")
    assert told in line
    assert len(line) < 200
    assert line.isprintable()


def test_a_second_one_replaces_until_the_outcome_is_shown(said):
    said(predict, NAME, "A")
    assert said(predict, NAME, " b ") == f"Your prediction, in place of A: B: {CHOICES['B']}."
    assert said(predict, NAME, "B") == f"Your prediction: B: {CHOICES['B']}."
    assert "stays: B" in said(predict, NAME, ...)
    said(outcome, NAME, C=True)
    stays = f"The outcome has been shown, so your first one stays: B: {CHOICES['B']}."
    assert said(predict, NAME, "C") == stays
    assert said(predict, NAME, "B").startswith("Your prediction: B")  # the cell is run again
    assert said(outcome, NAME, C=True).startswith("You predicted B")


def test_one_after_the_outcome_is_none(said):
    said(outcome, NAME, B=True)
    assert said(predict, NAME, "B") == "Nothing is kept: the outcome has been shown already."
    assert said(outcome, NAME, B=True).startswith("It came out")


def test_all_of_a_lesson_at_its_end(capsys):
    predict(NAME, "A")
    outcome(NAME, B=True)
    outcome("drift", C=True)
    outcome("least_kl", B=False)
    capsys.readouterr()
    predictions(LESSON)
    said = capsys.readouterr().out
    assert f"  {prediction_of(NAME).question}\n    you:      A: {CHOICES['A']}.\n" in said
    assert f"    came out: B: {CHOICES['B']}.\n" in said
    assert "no prediction.\n    came out: C" in said
    assert "no prediction.\n    came out: none of the choices." in said
    assert "no prediction.\n    came out: not shown yet." in said


@pytest.mark.parametrize("lesson", ["2", None, []])
def test_a_lesson_that_is_none(said, lesson):
    assert "no such lesson" in said(predictions, lesson)


@pytest.mark.parametrize("holds", [{"D": True}, {"a": True}])
def test_a_lesson_s_own_slip_is_an_error(holds):
    with pytest.raises(ValueError, match="predicted.py"):
        outcome(NAME, **holds)
    with pytest.raises(ValueError, match="predicted.py"):
        outcome("ref_prize", A=True)


def test_what_is_declared():
    """Every name once, in two to four words of choices, one of which comes out."""
    names = [name for asked in ASKED.values() for name in asked]
    assert len(names) == len(set(names))
    for lesson, asked in ASKED.items():
        assert (1 if lesson == "00_start_here" else 2) <= len(asked) <= 12
        for name, one in asked.items():
            assert list(one.choices) == list("ABCD")[: len(one.choices)]
            assert len(one.choices) >= 2
            assert letter_of(name, one.outcome) == one.outcome
            assert one.question.endswith("?")
            assert not any(text.endswith(".") for text in one.choices.values())
    outcomes = [one.outcome for asked in ASKED.values() for one in asked.values()]
    # Whoever always says the same letter is seldom right.
    assert all(0.1 < outcomes.count(letter) / len(outcomes) < 0.46 for letter in "ABC")
