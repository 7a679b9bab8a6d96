"""What lesson 03 computes with: the other direction's optimum."""

import pytest
import torch
from torch.distributions import Categorical, kl_divergence

from helpers.problems.penalized_objective import forward_optimum

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
