"""The record's other methods: each is the course's own loss with one thing changed."""

import pytest
import torch

from autograde.records import methods
from helpers import reference


def batch(seed=0):
    generator = torch.Generator().manual_seed(seed)
    logp, old, ref = (
        -torch.rand(4, 5, generator=generator, dtype=torch.float64) * 2 for _ in range(3)
    )
    mask = torch.arange(5) < torch.tensor([5, 3, 1, 4])[:, None]
    advantage = torch.randn(4, generator=generator, dtype=torch.float64)
    return logp.requires_grad_(), old, ref, advantage, mask


def gradient(loss, logp):
    return torch.autograd.grad(loss, logp)[0]


class TestInTheReward:
    def test_without_a_price_it_is_the_policy_gradient_less_a_baseline_by_place(self):
        logp, _old, ref, advantage, mask = batch()
        old = logp.detach()
        found = gradient(
            methods.charged_in_the_reward(logp, old, ref, advantage, mask, 0.2, 0.0), logp
        )
        each = torch.where(mask, advantage[:, None], 0.0)
        wanted = torch.where(mask, each - each.sum(0) / mask.sum(0), 0.0) / mask.sum()
        torch.testing.assert_close(found, -wanted)

    def test_a_token_pays_for_the_drift_from_there_on(self):
        logp, _old, ref, advantage, mask = batch(1)
        old, nothing = logp.detach(), torch.zeros_like(advantage)
        found = gradient(
            methods.charged_in_the_reward(logp, old, ref, nothing, mask, 0.2, 2.0), logp
        )
        drift = torch.where(mask, old - ref, 0.0)
        to_go = torch.stack([drift[:, t:].sum(1) for t in range(5)], dim=1)
        price = torch.where(mask, to_go - torch.where(mask, to_go, 0.0).sum(0) / mask.sum(0), 0.0)
        torch.testing.assert_close(found, 2.0 * price / mask.sum())


class TestMask:
    def test_it_has_no_gradient_where_a_token_ran_away_and_is_pushed_further(self):
        logp = torch.tensor([[0.9, 0.5, 0.1]], dtype=torch.float64).log().requires_grad_()
        old = torch.full((1, 3), 0.5, dtype=torch.float64).log()
        real, up = torch.ones(1, 3, dtype=torch.bool), torch.ones(1, dtype=torch.float64)
        found = gradient(
            methods.masked_by_divergence(logp, old, logp.detach(), up, real, 0.2, 0.0), logp
        )
        torch.testing.assert_close(found, -torch.tensor([[0.0, 1.0, 0.2]], dtype=torch.float64) / 3)


def test_mean_only_does_not_divide_by_the_spread():
    rewards = torch.tensor([[1.0, 3.0], [2.0, 2.0]])
    assert methods.mean_only(rewards).tolist() == [[-1.0, 1.0], [0.0, 0.0]]


@pytest.mark.parametrize(("kl", "rises"), [(methods.TARGET * 2, True), (1.0, False)])
def test_the_controller_raises_the_weight_above_its_target_alone(kl, rises):
    assert (methods._steered(0.1, kl) > 0.1) == rises


def test_a_step_on_grpo_loss_is_the_courses_own_step():
    torch.manual_seed(0)
    tokens = torch.randint(7, (3, 6))
    mask = torch.arange(5) < torch.tensor([5, 3, 4])[:, None]
    data = (tokens, mask, torch.full((3, 5), -1.9), torch.tensor([1.0, -1.0, 0.5]))
    found = []
    for step in (reference.train_step, methods.stepping(reference.grpo_loss)):
        torch.manual_seed(1)
        policy = torch.nn.Sequential(torch.nn.Embedding(7, 7), torch.nn.Linear(7, 7))
        ref = reference.freeze_reference(torch.nn.Sequential(torch.nn.Embedding(7, 7)))
        optimizer = torch.optim.SGD(policy.parameters(), 0.1)
        said = step(policy, ref, optimizer, *data, 0.2, 0.3)
        found.append((said, policy.state_dict()))
    (one, mine), (two, theirs) = found
    assert one == pytest.approx(two)
    for name in mine:
        torch.testing.assert_close(mine[name], theirs[name])
