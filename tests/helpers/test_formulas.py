"""Values without a name are told by the formula of the inputs that they are."""

import pytest
import torch

from helpers.formulas import formula

FIXED = torch.Generator().manual_seed(0)


def drawn():
    mask = torch.rand(3, 4, generator=FIXED) < 0.7
    mask[:, 0] = True
    one, other, third = torch.randn(3, 3, 4, generator=FIXED)
    return {"logp": -one.abs(), "old_logp": -other.abs(), "advantage": third, "mask": mask}


CASES = [drawn() for _ in range(3)]


@pytest.mark.parametrize(
    ("function", "text"),
    [
        (lambda logp, old_logp, advantage, mask: logp, "logp"),
        (lambda logp, old_logp, advantage, mask: old_logp - logp, "old_logp - logp"),
        (
            lambda logp, old_logp, advantage, mask: (logp / old_logp * advantage)[mask].mean(),
            "((logp / old_logp) * advantage)[mask].mean()",
        ),
        (
            lambda logp, old_logp, advantage, mask: ((logp - old_logp).exp() * mask).sum(1),
            "((logp - old_logp).exp() * mask).sum(-1)",
        ),
        (lambda logp, old_logp, advantage, mask: torch.where(mask, logp, 0), "logp * mask"),
    ],
)
def test_the_formula_is_told_and_gives_these_values(function, text):
    got = [function(**case) for case in CASES]
    _, says = formula(CASES, got)
    assert f"`{text}`" in says
    for case, one in zip(CASES, got, strict=True):
        assert torch.allclose(eval(text, {}, dict(case)), one)


def test_what_is_none_of_them_is_not_told():
    assert formula(CASES, [case["logp"].sin() for case in CASES]) is None
    mixed = [CASES[0]["logp"], CASES[1]["old_logp"], CASES[2]["logp"]]
    assert formula(CASES, mixed) is None


def test_a_few_numbers_may_be_chance():
    assert formula([{"beta": 2.0, "kl": 4.0}], [torch.tensor(0.5)]) is None
    assert formula(CASES, [torch.zeros(3, 4)] * 3) is None


def test_plain_numbers_have_formulas_too():
    cases = [{"beta": 1.0, "kl": 0.5}, {"beta": 2.0, "kl": 3.0}, {"beta": 4.0, "kl": 7.0}]
    got = [torch.tensor(case["beta"] * case["kl"]) for case in cases]
    assert "`beta * kl`" in formula(cases, got)[1]
