"""The table that lesson 04 is about, by enumeration, to 1e-10; and of whole responses."""

import itertools

import pytest
import torch

from helpers.problems.penalty_gradients import (
    PROBABILITIES,
    push_by_probability,
    second_moment_of_ratio,
)
from helpers.reference import categorical_kl, expected_gradient, k1, k2, k3, response_kl_loss

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


@pytest.mark.parametrize("seed", range(5))
def test_on_old_tokens_k2_and_k3_alone_end_at_the_reference(seed):
    _, ref, old = problem(seed)
    ends = [expected_gradient(ref.clone(), ref, old, k).abs().max() < 1e-10 for k in (k1, k2, k3)]
    assert ends == [False, True, True]


@pytest.mark.parametrize("seed", range(5))
def test_a_constant_ratio_has_the_right_value_or_the_right_gradient(seed):
    """Of k1 and k3 the value, of k2 the gradient; and of ratio · constant log-ratio both."""
    policy, ref, old = problem(seed)
    log_old, held = old.log_softmax(-1), policy.log_softmax(-1)
    exact = gradient(lambda p: categorical_kl(p, ref), policy)

    def right(loss):
        value = (log_old.exp() * loss(held, ref.log_softmax(-1))).sum()
        found = expected_gradient(policy, ref, old, loss)
        off = (value - categorical_kl(policy, ref)).abs(), (found - exact).abs().max()
        return [bool(one < 1e-10) for one in off]

    for k, wanted in ((k1, [True, False]), (k2, [False, True]), (k3, [True, False])):
        assert right(lambda p, q, k=k: (p - log_old).exp().detach() * k(p, q)) == wanted
    assert right(lambda p, q: (p - log_old).exp() * (p - q).detach()) == [True, True]
    assert right(lambda p, q: (p - log_old).exp() * k3(p, q).detach()) == [True, False]


def test_k1_on_the_references_tokens_repels_as_k3_attracts():
    rows = (("k1", "ref"), ("k3", "policy"))
    push = push_by_probability(expected_gradient, {"k1": k1, "k3": k3}, rows, ref=0.3)
    repels, attracts = push.values()
    assert torch.allclose(repels, -attracts, rtol=0, atol=1e-10)
    assert (attracts[PROBABILITIES > 0.31] < 0).all()


@pytest.mark.parametrize("time", [1, 2, 6])
def test_the_second_moment_of_a_responses_ratio_is_a_power(time):
    listed, by_power = second_moment_of_ratio(time)
    assert listed == pytest.approx(by_power, rel=1e-10)
    assert by_power > 1


VOCAB, MOST = 3, 3


def beginnings(so_far=()):
    """What may stand before a token: up to two tokens, none of them the 0 that ends a response."""
    yield so_far
    if len(so_far) < MOST - 1:
        for token in range(1, VOCAB):
            yield from beginnings((*so_far, token))


ROWS = {start: row for row, start in enumerate(beginnings())}


def worlds(seed: int):
    """Logits of policy and ref, a row for each beginning."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, len(ROWS), VOCAB, generator=generator, dtype=DOUBLE)


def divergence(policy, ref, start=()):
    """KL(policy ‖ ref) of what follows, by the chain rule, from each position's own."""
    row = ROWS[start]
    total, chance = categorical_kl(policy[row], ref[row]), policy[row].softmax(-1)
    for token in range(1, VOCAB):
        if (*start, token) in ROWS:
            total = total + chance[token] * divergence(policy, ref, (*start, token))
    return total


def written():
    """All responses."""
    for response in itertools.product(range(VOCAB), repeat=MOST):
        length = response.index(0) + 1 if 0 in response else MOST
        if not any(response[length:]):
            yield response[:length]


def scored(logits, places):
    """Log-probabilities and mask "response time", a response's tokens at these places."""
    table, rows = logits.log_softmax(-1), list(written())
    mask = torch.zeros(len(rows), max(places) + 1, dtype=torch.bool)
    filled = []
    for number, response in enumerate(rows):
        line = [torch.tensor(torch.nan, dtype=DOUBLE)] * mask.shape[1]
        for k, (place, token) in enumerate(zip(places, response, strict=False)):
            line[place], mask[number, place] = table[ROWS[response[:k]], token], True
        filled.append(torch.stack(line))
    return torch.stack(filled), mask


@pytest.mark.parametrize("places", [(0, 1, 2), (1, 3, 4)])
@pytest.mark.parametrize("seed", range(5))
def test_the_loss_of_responses_has_the_gradient_of_their_divergence(seed, places):
    """Responses that end early, by the chain rule and by enumeration, to 1e-10."""
    policy, ref = worlds(seed)
    wanted = gradient(lambda p: divergence(p, ref), policy)

    def mean_loss(logits):
        logp, mask = scored(logits, places)
        chance = logp.detach().where(mask, 0.0).sum(1).exp()
        assert abs(chance.sum() - 1) < 1e-12
        return (chance * response_kl_loss(logp, scored(ref, places)[0], mask)).sum()

    found = gradient(mean_loss, policy)
    print(f"seed {seed}, places {places}: greatest gap {(found - wanted).abs().max():.1e}")
    assert (found - wanted).abs().max() < 1e-10


@pytest.mark.parametrize("place", range(1, 4))
def test_what_came_before_a_token_is_not_in_its_gradient(place):
    logp, ref, other = problem(0)[:, None, :4]
    mask = torch.ones(1, 4, dtype=torch.bool)
    changed = torch.cat([other[:, :place], ref[:, place:]], dim=1)
    one, two = (
        gradient(lambda p, q=q: response_kl_loss(p, q, mask).sum(), logp) for q in (ref, changed)
    )
    assert torch.equal(one[:, place:], two[:, place:])
    assert not torch.allclose(one[:, :place], two[:, :place])
