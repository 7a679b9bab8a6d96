"""The table that lesson 04 is about, by enumeration, to 1e-10."""

import pytest
import torch

from helpers.reference import categorical_kl, expected_gradient, k1, k2, k3

DOUBLE = torch.float64


def problem(seed: int):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, 5, generator=generator, dtype=DOUBLE)


def gradient(of, logits):
    """The gradient of a divergence with respect to the policy's logits, by autograd."""
    leaf = logits.clone().requires_grad_()
    return torch.autograd.grad(of(leaf), leaf)[0]


def forward_kl(fixed, logits):
    """KL(fixed ‖ policy), differentiable in the policy."""
    weights = fixed.softmax(-1)
    return (weights * (fixed.log_softmax(-1) - logits.log_softmax(-1))).sum(-1)


def rows(seed: int):
    policy, ref, old = problem(seed)
    to_ref = gradient(lambda p: categorical_kl(p, ref), policy)
    from_ref = gradient(lambda p: forward_kl(ref, p), policy)
    from_old = gradient(lambda p: forward_kl(old, p), policy)
    held = policy.log_softmax(-1)

    def weighted(k):
        # ρ = policy / old, differentiable; on old's tokens logp − log old is the logarithm of it
        return lambda logp, ref_logp: (logp - old.log_softmax(-1)).exp() * k(logp, ref_logp)

    zero = torch.zeros_like(held)
    yield "k1", "policy", "0", expected_gradient(policy, ref, policy, k1), zero
    yield "k1", "old", "−∇KL(old ‖ policy)", expected_gradient(policy, ref, old, k1), -from_old
    yield "k2", "policy", "∇KL(policy ‖ ref)", expected_gradient(policy, ref, policy, k2), to_ref
    yield "k3", "policy", "∇KL(ref ‖ policy)", expected_gradient(policy, ref, policy, k3), from_ref
    for name, k in (("ρ·k1", k1), ("ρ·k3", k3)):
        found = expected_gradient(policy, ref, old, weighted(k))
        yield name, "old", "∇KL(policy ‖ ref)", found, to_ref


@pytest.mark.parametrize("seed", range(5))
def test_the_table(seed):
    for estimator, drawn_by, claim, found, wanted in rows(seed):
        gap = (found - wanted).abs().max().item()
        print(f"{estimator:5} drawn by {drawn_by:7} {claim:22} greatest gap {gap:.1e}")
        assert gap < 1e-10


@pytest.mark.parametrize("seed", range(5))
def test_the_biased_one_is_biased(seed):
    policy, ref, old = problem(seed)
    ratio_k2 = expected_gradient(
        policy, ref, old, lambda p, r: (p - old.log_softmax(-1)).exp() * k2(p, r)
    )
    exact = gradient(lambda p: categorical_kl(p, ref), policy)
    assert (ratio_k2 - exact).abs().max() > 1e-3
