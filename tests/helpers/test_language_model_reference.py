"""Lesson 06's answers against numbers worked out on paper, finite differences and bad input."""

import math

import pytest
import torch
from jaxtyping import TypeCheckError
from torch import nn
from torch.distributions import Categorical, kl_divergence

from helpers import reference

LOG_2 = math.log(2)


class Unigram(nn.Module):
    """Logits that do not depend on what came before; dropout while training."""

    def __init__(self, *logits):
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits, dtype=torch.float64))
        self.dropout = nn.Dropout(0.5)

    def forward(self, tokens):
        return self.dropout(self.logits.expand(*tokens.shape, -1))


def drawn(batch=3, time=5, seed=0):
    """logp, old_logp, ref_logp, advantage, mask: nowhere on the edge of the clip."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    old_logp = normal(batch, time) - 2
    logp, ref_logp = old_logp + 0.5 * normal(batch, time), old_logp + 0.5 * normal(batch, time)
    mask = torch.arange(time) < torch.tensor([5, 2, 0])[:batch, None]
    return logp, old_logp, ref_logp, normal(batch), mask


LOSSES = ["grpo_loss", "grpo_loss_unbiased"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [0.0, 0.7])
@pytest.mark.parametrize("name", LOSSES)
def test_the_gradient_of_the_loss_is_its_finite_difference(name, seed, beta):
    logp, *others = drawn(seed=seed)

    def loss(logp):
        return getattr(reference, name)(logp, *others, 0.2, beta)

    (found,) = torch.autograd.grad(loss(logp.requires_grad_()), logp)
    step = 1e-6
    for place in torch.cartesian_prod(torch.arange(3), torch.arange(5)).tolist():
        moved = torch.zeros_like(logp)
        moved[tuple(place)] = step
        with torch.no_grad():
            wanted = (loss(logp + moved) - loss(logp - moved)) / (2 * step)
        assert found[tuple(place)].item() == pytest.approx(wanted.item(), rel=1e-5, abs=1e-9)


def test_the_loss_by_hand():
    """Ratios 2 and 1/2 at advantage −1, one padded token; k3 at half the probability: log 2 − ½."""
    old_logp = torch.full((1, 3), -1.0, dtype=torch.float64)
    logp = torch.tensor([[LOG_2 - 1, -LOG_2 - 1, 5.0]], dtype=torch.float64)
    ref_logp = logp - LOG_2
    mask = torch.tensor([[True, True, False]])
    advantage = torch.tensor([-1.0], dtype=torch.float64)
    loss = reference.grpo_loss(logp, old_logp, ref_logp, advantage, mask, 0.2, 0.5)
    assert loss.item() == pytest.approx((2 + 0.8) / 2 + 0.5 * (LOG_2 - 0.5))


def test_the_unbiased_loss_by_hand():
    """As above, each k3 weighted: twice one of log 2 − ½, and half of another."""
    old_logp = torch.full((1, 3), -1.0, dtype=torch.float64)
    logp = torch.tensor([[LOG_2 - 1, -LOG_2 - 1, 5.0]], dtype=torch.float64)
    ref_logp = logp - LOG_2
    mask = torch.tensor([[True, True, False]])
    advantage = torch.tensor([-1.0], dtype=torch.float64)
    loss = reference.grpo_loss_unbiased(logp, old_logp, ref_logp, advantage, mask, 0.2, 0.5)
    assert loss.item() == pytest.approx((2 + 0.8) / 2 + 0.5 * 1.25 * (LOG_2 - 0.5))


def penalty_gradient(loss, policy, old, ref):
    """∇ over the policy's logits of the penalty, averaged over every token that old may draw."""
    logits = policy.clone().requires_grad_()
    logp, old_logp, ref_logp = (x.log_softmax(-1)[:, None] for x in (logits, old, ref))
    nothing, real = torch.zeros(1, dtype=policy.dtype), torch.ones(1, 1, dtype=torch.bool)
    each = [
        loss(*row, nothing, real, 0.2, 1.0)
        for row in zip(*(x[:, None] for x in (logp, old_logp, ref_logp)), strict=True)
    ]
    return torch.autograd.grad((old.softmax(-1) * torch.stack(each)).sum(), logits)[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("apart", [0.0, 1.0])
def test_the_weighted_penalty_has_the_gradient_of_kl_whoever_drew(seed, apart):
    """Enumerated; the unweighted one has that of KL(ref ‖ policy), and only where policy is old."""
    generator = torch.Generator().manual_seed(seed)
    policy, ref, gap = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    old = policy + apart * gap
    leaf = policy.clone().requires_grad_()
    at, to = (Categorical(logits=x) for x in (leaf, ref))
    kl, forward = (
        torch.autograd.grad(kl_divergence(*pair), leaf, retain_graph=True)[0]
        for pair in ((at, to), (to, at))
    )
    found = penalty_gradient(reference.grpo_loss_unbiased, policy, old, ref)
    torch.testing.assert_close(found, kl, rtol=1e-10, atol=1e-12)
    plain = penalty_gradient(reference.grpo_loss, policy, old, ref)
    assert torch.allclose(plain, forward, rtol=1e-10, atol=1e-12) == (apart == 0.0)
    assert not torch.allclose(plain, kl, atol=1e-3)


@pytest.mark.parametrize("gap", [-60.0, -20.0, -5.0, 0.0, 5.0, 60.0])
def test_the_weighted_penaltys_gradient_is_the_log_ratio_in_float32_too(gap):
    """Where autograd would have a small difference of numbers of the size of ref/policy."""
    ref_logp = torch.full((1, 1), -70.0)
    logp = (ref_logp + gap).requires_grad_()
    mask = torch.ones(1, 1, dtype=torch.bool)
    loss = reference.grpo_loss_unbiased(
        logp, logp.detach(), ref_logp, torch.zeros(1), mask, 0.2, 1.0
    )
    assert torch.autograd.grad(loss, logp)[0].item() == pytest.approx(gap)
    assert loss.item() == pytest.approx(math.expm1(-gap) + gap)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_weight_beyond_the_dtype_is_the_cap_and_weighs_a_loss(dtype):
    sampler_logp = torch.tensor([[-1e5, -1.0, -1.0, torch.nan]], dtype=dtype)
    logp = torch.tensor([[-1.0, -1e5, -1.0, torch.inf]], dtype=dtype, requires_grad=True)
    mask = torch.tensor([[True, True, True, False]])
    weights = reference.truncated_weights(logp, sampler_logp, mask, 2.5)
    assert weights.tolist() == [[2.5, 0.0, 1.0, 0.0]]
    assert weights.dtype == dtype
    assert not weights.requires_grad
    (gradient,) = torch.autograd.grad((weights * torch.where(mask, logp, 0.0)).sum(), logp)
    assert gradient.tolist() == weights.tolist()


@pytest.mark.parametrize("name", LOSSES)
def test_poison_of_a_row_with_nothing_real_reaches_nothing(name):
    asked = getattr(reference, name)
    logp, old_logp, ref_logp, advantage, mask = drawn()
    clean = asked(logp, old_logp, ref_logp, advantage, mask, 0.2, 0.7)
    advantage[2] = torch.nan
    logp.requires_grad_()
    loss = asked(logp, old_logp, ref_logp, advantage, mask, 0.2, 0.7)
    loss.backward()
    assert loss.item() == clean.item()
    assert logp.grad.isfinite().all()


def test_a_score_that_nobody_earns_is_not_paid():
    zeros, nothing = torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.bool)
    score = torch.tensor([torch.nan, 1.0])
    assert not reference.kl_shaped_rewards(score, zeros, zeros, nothing, 0.1).any()


@pytest.mark.parametrize("size", [0.1, 100.7, 1e6])
@pytest.mark.parametrize("samples", [1, 3, 7])
def test_ties_have_no_advantage_however_large(size, samples):
    assert not reference.group_advantage(torch.full((2, samples), size)).any()


def test_no_sample_at_all_has_no_advantage():
    assert reference.group_advantage(torch.zeros(2, 0)).shape == (2, 0)


def test_the_frozen_copy_stays_while_the_policy_is_trained():
    policy = Unigram(1.0, 0.0, -1.0)
    ref = reference.freeze_reference(policy)
    optimizer = torch.optim.SGD(policy.parameters(), lr=0.5)
    tokens = torch.tensor([[0, 1, 2]])
    before = ref(tokens)
    for _ in range(3):
        reference.train_step(
            policy, ref, optimizer, tokens, torch.ones(1, 2, dtype=torch.bool),
            torch.full((1, 2), -1.0, dtype=torch.float64),
            torch.ones(1, dtype=torch.float64), 0.2, 0.1,
        )  # fmt: skip
    assert torch.equal(ref(tokens), before)
    assert not torch.equal(policy.eval()(tokens), before)


def test_a_step_leaves_every_mode_as_it_was():
    policy = Unigram(1.0, 0.0)
    policy.dropout.eval()
    ref = Unigram(0.0, 0.0)
    take_a_step(policy, ref, torch.tensor([[0, 1]]))
    assert policy.training
    assert not policy.dropout.training
    assert ref.training


def take_a_step(policy, ref, tokens):
    batch, time = tokens.shape
    return reference.train_step(
        policy, ref, torch.optim.SGD(policy.parameters(), lr=1.0), tokens,
        torch.ones(batch, time - 1, dtype=torch.bool),
        torch.zeros(batch, time - 1, dtype=torch.float64),
        torch.ones(batch, dtype=torch.float64), 0.2, 0.1,
    )  # fmt: skip


def test_a_sequence_of_one_token_has_nothing_to_learn_from():
    policy = Unigram(1.0, 0.0)
    before = policy.logits.clone()
    assert take_a_step(policy, Unigram(0.0, 0.0), torch.tensor([[0], [1]])) == {"loss": 0, "kl": 0}
    assert torch.equal(policy.logits, before)


ONES = torch.ones(2, 3)
MASK = ONES.bool()


@pytest.mark.parametrize(
    ("name", "arguments", "argument"),
    [
        ("grpo_loss", (ONES, ONES, ONES, torch.ones(3), MASK, 0.2, 0.1), "advantage"),
        ("grpo_loss", (ONES, ONES[:, :2], ONES, torch.ones(2), MASK, 0.2, 0.1), "old_logp"),
        ("grpo_loss_unbiased", (ONES, ONES, ONES, torch.ones(3), MASK, 0.2, 0.1), "advantage"),
        ("truncated_weights", (ONES, ONES[:, :2], MASK, 2.0), "sampler_logp"),
        ("truncated_weights", (ONES, ONES, ONES, 2.0), "mask"),
        ("kl_shaped_rewards", (ONES, ONES, ONES, MASK, 0.1), "score"),
        ("kl_shaped_rewards", (torch.ones(2), ONES, ONES, ONES, 0.1), "mask"),
        ("group_advantage", (torch.ones(3),), "rewards"),
    ],
)
def test_shapes_and_dtypes_that_disagree_are_named(name, arguments, argument):
    with pytest.raises(TypeCheckError, match=argument):
        getattr(reference, name)(*arguments)
