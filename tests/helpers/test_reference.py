"""The references refuse what makes no sense, naming the argument, and bear what is merely empty."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn

from helpers import reference

ONES = torch.ones(2, 3)
MASK = torch.ones(2, 3, dtype=torch.bool)


@pytest.mark.parametrize(
    ("name", "arguments", "argument"),
    [
        ("categorical_kl", (torch.ones(2, 3), torch.ones(2, 4)), "ref_logits"),
        ("sequence_log_ratio", (ONES, ONES, torch.ones(2, 3)), "mask"),
        ("masked_mean", (ONES, MASK[:1]), "mask"),
        ("token_log_probs", (torch.ones(2, 3, 4), torch.zeros(2, 4, dtype=torch.long)), "tokens"),
        ("surrogate_objective", (ONES, ONES, ONES[:, :2], MASK), "advantage"),
        ("penalized_objective", (torch.ones(3), torch.ones(3), torch.ones(2), 0.5), "rewards"),
        ("penalized_loss", (ONES, ONES, ONES, ONES[0], MASK, 0.5), "kl"),
        ("clipped_surrogate", (ONES, ONES.long(), ONES, 0.2), "old_logp"),
        ("off_policy_kl_loss", (ONES, ONES, ONES[0]), "ref_logp"),
    ],
)
def test_shapes_and_dtypes_that_disagree_are_named(name, arguments, argument):
    with pytest.raises(TypeCheckError, match=argument):
        getattr(reference, name)(*arguments)


@pytest.mark.parametrize("beta", [0.0, -1.0])
def test_an_optimum_needs_a_penalty(beta):
    with pytest.raises(ValueError, match="beta"):
        reference.optimal_policy(torch.zeros(3), torch.ones(3), beta)


@pytest.mark.parametrize("target", [0.0, -0.1, math.log(3) + 0.01, math.inf])
def test_a_divergence_that_cannot_be_reached(target):
    with pytest.raises(ValueError, match="target_kl"):
        reference.beta_for_kl(torch.zeros(3), torch.tensor([0.0, 0.0, 1.0]), target)


def test_nothing_real_is_nothing_and_has_no_gradient():
    empty = torch.zeros(0, 3, requires_grad=True)
    none = torch.zeros(0, 3, dtype=torch.bool)
    for loss in (
        reference.masked_mean(empty, none),
        reference.surrogate_objective(empty, empty, empty, none),
        reference.penalized_loss(empty, empty, empty, empty, none, 0.5),
    ):
        assert loss.item() == 0.0
    assert reference.sequence_log_ratio(empty, empty, none).shape == (0,)


def test_an_update_on_nothing_is_refused_and_changes_nothing():
    policy = nn.Linear(2, 3)
    before = policy.weight.clone()
    optimizer = torch.optim.SGD(policy.parameters(), lr=1.0)
    nothing = torch.zeros(0, dtype=torch.long)
    with pytest.raises(ValueError, match="observations"):
        reference.policy_update(
            policy, optimizer, torch.zeros(0, 2), nothing, torch.zeros(0), 0.5, 3
        )
    assert torch.equal(policy.weight, before)


def test_a_whole_number_will_do_for_a_weight():
    found = reference.penalized_objective(torch.zeros(2), torch.zeros(2), torch.ones(2), 1)
    assert found.item() == 1.0
