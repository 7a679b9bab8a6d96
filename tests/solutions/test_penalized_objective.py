"""What lesson 03 computes with, and what its cells show without saying so beforehand."""

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from helpers.problems.penalized_objective import forward_optimum, three_replies
from helpers.reference import optimal_policy, penalized_gradient, penalized_objective

DOUBLE = torch.float64


def penalized_forward(policy, ref, rewards, beta):
    """E[r] − beta · KL(ref ‖ policy)."""
    return policy @ rewards - beta * kl_divergence(
        Categorical(probs=ref), Categorical(probs=policy)
    )


@pytest.mark.parametrize("beta", [0.01, 0.3, 5.0])
@pytest.mark.parametrize("seed", range(5))
def test_no_policy_beats_the_forward_optimum(seed, beta):
    generator = torch.Generator().manual_seed(seed)
    ref_logits, rewards = torch.randn(2, 4, generator=generator, dtype=DOUBLE)
    ref, best = ref_logits.softmax(-1), forward_optimum(ref_logits, rewards, beta)
    assert best.sum() == pytest.approx(1, abs=1e-12)
    near = (best.log() + 0.1 * torch.randn(200, 4, generator=generator, dtype=DOUBLE)).softmax(-1)
    anywhere = (3 * torch.randn(200, 4, generator=generator, dtype=DOUBLE)).softmax(-1)
    most = penalized_forward(best, ref, rewards, beta)
    for others in (near, anywhere):
        assert (penalized_forward(others, ref.expand(200, 4), rewards, beta) < most).all()


def test_the_forward_optimum_keeps_ties_and_may_do_what_ref_never_does():
    ref = torch.tensor([0.5, 0.375, 0.125], dtype=DOUBLE)
    best = forward_optimum(ref.log(), torch.tensor([0.0, 1.0, 1.0], dtype=DOUBLE), 0.2)
    assert best[1] / best[2] == pytest.approx(3, rel=1e-9)
    ref = torch.tensor([0.5, 0.5, 0.0], dtype=DOUBLE)
    best = forward_optimum(ref.log(), torch.tensor([0.0, 1.0, 2.0], dtype=DOUBLE), 0.4)
    assert best.tolist() == pytest.approx([0.1, 0.2, 0.7], abs=1e-9)  # 0.4 · 0.5 / (2 − r)


@pytest.mark.parametrize("beta", [0.5, 2.0])
def test_the_climb_ends_where_all_replies_are_worth_the_same(beta):
    replies = three_replies()
    z = replies.ref_logits
    for _ in range(1500):
        z = z + penalized_gradient(z, replies.ref_logits, replies.rewards, beta)
    worth = replies.rewards - beta * (z.log_softmax(-1) - replies.ref_logits)
    assert worth.max() - worth.min() < 1e-6


def test_the_objective_is_concave_in_probabilities_and_not_in_logits():
    replies = three_replies()
    one, other = 4 * torch.randn(2, 200, 3, generator=torch.Generator().manual_seed(3)).double()
    fixed = (replies.ref_logits.expand(200, 3), replies.rewards.expand(200, 3), 0.5)
    ends = (penalized_objective(one, *fixed) + penalized_objective(other, *fixed)) / 2
    halfway = ((one.softmax(-1) + other.softmax(-1)) / 2).log()
    assert (penalized_objective(halfway, *fixed) >= ends - 1e-12).all()
    assert (penalized_objective((one + other) / 2, *fixed) < ends - 1e-12).any()


@pytest.mark.parametrize("rounds", [2, 10, 50])
def test_rounds_around_old_are_one_around_ref(rounds):
    replies = three_replies()
    old = replies.ref_logits
    for _ in range(rounds):
        old = optimal_policy(old, replies.rewards, 2.0)
    once = optimal_policy(replies.ref_logits, replies.rewards, 2.0 / rounds)
    assert torch.allclose(old, once, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("to_old", "to_ref"), [(2.0, 0.5), (1.0, 1.0), (5.0, 0.2)])
def test_charged_for_both_the_rounds_stop_at_the_optimum_of_ref(to_old, to_ref):
    replies, both = three_replies(), to_old + to_ref
    best = optimal_policy(replies.ref_logits, replies.rewards, to_ref)
    old = replies.ref_logits
    for _ in range(20):
        mean = (to_old * old + to_ref * replies.ref_logits) / both
        before, old = old, optimal_policy(mean, replies.rewards, both)
        apart, was = ((x - x[:1] - best + best[:1]).abs().max().item() for x in (old, before))
        assert apart == pytest.approx(was * to_old / both, rel=1e-6, abs=1e-12)
