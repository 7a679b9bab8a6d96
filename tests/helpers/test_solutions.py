"""The course's own answer is shown once the reader's passes, or on demand, which is said."""

import pytest

from helpers import solution
from helpers.checking import UnknownExerciseError
from helpers.reference import k1

OWN = "return logp - ref_logp.detach()"


def shown(capsys, scope, call="solution('k1')"):
    exec(call, {"solution": solution} | scope)
    return capsys.readouterr().out


def test_it_is_shown_with_reasons_once_the_readers_passes(capsys):
    said = shown(capsys, {"k1": k1})
    assert OWN in said
    assert "Why:" in said
    assert "on demand" not in said


@pytest.mark.parametrize("scope", [{}, {"k1": lambda logp, ref_logp: ref_logp - logp}])
def test_before_that_only_on_demand(capsys, scope):
    said = shown(capsys, scope)
    assert OWN not in said
    assert "solution('k1', now=True)" in said
    said = shown(capsys, scope, "solution('k1', now=True)")
    assert "on demand" in said
    assert OWN in said


def test_a_question_says_why_the_other_choices_are_wrong(capsys):
    said = shown(capsys, {"q00_units": "C"}, "solution('q00_units')")
    assert 'q00_units = "C"' in said
    assert said.count("- Not ") == 3


def test_what_is_no_exercise(capsys):
    with pytest.raises(UnknownExerciseError):
        shown(capsys, {}, "solution('k9')")
    assert "is an essay" in shown(capsys, {}, "solution('essay_impact')")
