"""A mistake as one line of a right answer: it is what it says, and nothing else can be meant."""

import pytest
import torch

from autograde.common.errors import UsageError
from autograde.course.as_cells import answer_cell
from autograde.course.changed_line import with_line
from autograde.course.exercise import Exercise
from helpers import reference

LOGP, REF = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-3.0, -2.5]])
REAL = torch.tensor([[True, False]])
MASKED = "torch.where(mask, gap, 0.0).sum(dim=1)"


def test_one_line_is_changed_and_the_answer_stays():
    wrong = with_line(reference.sequence_log_ratio, "unmasked", MASKED, "gap.sum(dim=1)")
    assert wrong.__name__ == "unmasked"
    assert wrong(LOGP, REF, REAL).tolist() == [2.5]
    assert reference.sequence_log_ratio(LOGP, REF, REAL).tolist() == [2.0]


def test_any_right_answer_can_be_changed():
    def written_out(logp, ref_logp):
        """Told in words."""
        gap = logp - ref_logp
        return gap.exp()

    assert with_line(written_out, "logarithm", "gap.exp()", "gap")(LOGP, REF).tolist() == [[2, 0.5]]


def test_it_is_handed_in_as_a_cell_with_its_own_text():
    exercise = Exercise("sequence_log_ratio", parts={"values": 1}, hints=())
    exercise.changed("unmasked", MASKED, "gap.sum(dim=1)", "The mask was not used.")
    cell = answer_cell(exercise, exercise.mistakes[0].answer)
    assert "gap.sum(dim=1)" in cell
    assert "where" not in cell
    scope = {}
    exec(cell, scope)
    assert scope["sequence_log_ratio"](LOGP, REF, REAL).tolist() == [2.5]


def test_two_mistakes_at_once_are_both_said():
    exercise = Exercise("sequence_log_ratio", parts={"values": 1}, hints=())
    exercise.changed("unmasked", MASKED, "gap.sum(dim=1)", "The mask was not used.")
    exercise.changed("turned", "logp - ref_logp", "ref_logp - logp", "It is turned.")
    exercise.together("unmasked", "turned")
    both = exercise.mistakes[-1]
    assert both.name == both.answer.__name__ == "unmasked_and_turned"
    assert both.says == "Two things. The mask was not used. And: It is turned."
    assert both.answer(LOGP, REF, REAL).tolist() == [-2.5]
    cell = answer_cell(exercise, both.answer)
    assert "gap.sum(dim=1)" in cell
    assert "gap = ref_logp - logp" in cell


def test_two_mistakes_at_once_are_changed_lines():
    exercise = Exercise("sequence_log_ratio", parts={"values": 1}, hints=())
    exercise.changed("unmasked", MASKED, "gap.sum(dim=1)", "The mask was not used.")
    exercise.changed("a_mean", MASKED, "torch.where(mask, gap, 0.0).mean(dim=1)", "A mean.")
    exercise.wrong("Nothing.")(lambda logp, ref_logp, mask: 0)
    for other in ("<lambda>", "unknown"):
        with pytest.raises(UsageError, match="have to be changed lines above"):
            exercise.together("unmasked", other)
    with pytest.raises(UsageError, match="stands 0 times"):
        exercise.together("unmasked", "a_mean")


@pytest.mark.parametrize(
    ("line", "instead", "told"),
    [
        (MASKED, MASKED, "changed into itself"),
        ("mask.float()", "mask", "stands 0 times in helpers.reference.divergence"),
        ("gap", "no_gap", "stands 2 times"),
        ("gap = logp - ref_logp.detach()\n", "", "quote one line"),
    ],
)
def test_what_is_meant_must_be_plain(line, instead, told):
    with pytest.raises(UsageError, match=f"^unmasked: .*{told}"):
        with_line(reference.sequence_log_ratio, "unmasked", line, instead)
