"""A wrong shape is told in two lines that name the argument."""

import pytest
import torch
from jaxtyping import Bool, Float, TypeCheckError
from torch import Tensor

from helpers import shaped

LOGP, MASK = torch.zeros(2, 4), torch.zeros(2, 4, dtype=torch.bool)


@shaped
def scored(
    logp: Float[Tensor, "batch time"], mask: Bool[Tensor, "batch time"], beta: float
) -> Float[Tensor, " batch"]:
    return logp.sum(1) if beta > 0 else logp


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((LOGP[:, 1:], MASK, 1.0), "mask has [2, 4], expected [batch, time]\n(time is 3 in logp)"),
        ((LOGP[0], MASK, 1.0), "logp has [4], expected [batch, time]"),
        ((LOGP, LOGP, 1.0), "mask is of float32, expected bool"),
        ((LOGP, MASK, "a"), "beta is 'a', expected a float"),
        (([1.0], MASK, 1.0), "logp is a list, expected a tensor [batch, time]"),
        ((LOGP, MASK, -1.0), "it returned [2, 4], expected [batch]"),
    ],
)
def test_what_is_wrong_is_told_in_two_lines(arguments, says):
    with pytest.raises(TypeCheckError) as raised:
        scored(*arguments)
    assert str(raised.value) == f"scored: {says}"
    shown = raised.value._render_traceback_()
    assert len("\n".join(shown).splitlines()) <= 3
    assert "scored(*arguments)" in shown[-1]


def test_what_is_right_passes_with_a_whole_number_for_a_float():
    assert scored(LOGP, MASK, 1).shape == (2,)


def test_leading_axes_must_agree():
    @shaped
    def picked(
        logits: Float[Tensor, "*leading vocab"], one: Float[Tensor, "*leading"]
    ) -> Float[Tensor, "*leading"]:
        return logits[..., 0]

    assert picked(torch.zeros(5), torch.tensor(1.0)).shape == ()
    with pytest.raises(TypeCheckError, match="one has .3., expected .…leading."):
        picked(torch.zeros(2, 3), torch.zeros(3))
