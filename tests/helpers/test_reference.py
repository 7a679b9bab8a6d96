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
        ("response_kl_loss", (ONES, ONES, MASK[:, :2]), "mask"),
        ("masked_mean", (ONES, MASK[:1]), "mask"),
        ("token_log_probs", (torch.ones(2, 3, 4), torch.zeros(2, 4, dtype=torch.long)), "tokens"),
        ("surrogate_objective", (ONES, ONES, ONES[:, :2], MASK), "advantage"),
        ("penalized_objective", (torch.ones(3), torch.ones(3), torch.ones(2), 0.5), "rewards"),
        ("penalized_loss", (ONES, ONES, ONES, ONES[0], MASK, 0.5), "kl"),
        ("clipped_surrogate", (ONES, ONES.long(), ONES, 0.2), "old_logp"),
        ("off_policy_kl_loss", (ONES, ONES, ONES[0]), "ref_logp"),
        ("divergence_mask", (ONES, ONES, ONES[:, :2], 0.2), "advantage"),
        ("held_out_error", (ONES[0], ONES[0], ONES[0], torch.stack), "held_out"),
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
    for of_responses in (reference.sequence_log_ratio, reference.response_kl_loss):
        assert of_responses(empty, empty, none).shape == (0,)


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


# Every pair of these is within 80 nats, and float32 holds them exactly.
TOKENS = [(-0.25, -0.5, -0.75), (-120.0, -120.5, -119.0), (-0.5, -80.5, -40.0),
          (-120.0, -40.0, -80.0), (-41.0, -120.0, -80.5), (-80.5, -0.5, -40.0)]  # fmt: skip
SIGNS = torch.tensor([1.0, -1.0, 0.5])
OF_TOKENS = {
    "log_ratio": lambda f, new, old, ref: f(new.exp(), old.exp()),
    "importance_ratio": lambda f, new, old, ref: f(new, old),
    "surrogate_objective": lambda f, new, old, ref: f(new, old, SIGNS.to(new) + 0 * old, old < 0),
    "sequence_log_ratio": lambda f, new, old, ref: f(new, ref, ref < 0),
    "k1": lambda f, new, old, ref: f(new, ref),
    "k2": lambda f, new, old, ref: f(new, ref),
    "k3": lambda f, new, old, ref: f(new, ref),
    "on_policy_kl_loss": lambda f, new, old, ref: f(new, ref),
    "off_policy_kl_loss": lambda f, new, old, ref: f(new, old, ref),
    "response_kl_loss": lambda f, new, old, ref: f(new, ref, ref < 0),
    "penalized_loss": lambda f, new, old, ref: f(
        new, old, SIGNS.to(new) + 0 * old, reference.k3(new, ref), ref < 0, 0.5
    ),
    "clipped_surrogate": lambda f, new, old, ref: f(new, old, SIGNS.to(new) + 0 * old, 0.2),
    "kl_shaped_rewards": lambda f, new, old, ref: f(SIGNS[:1].to(new), new, ref, ref < 0, 0.5),
    "grpo_loss": lambda f, new, old, ref: f(new, old, ref, SIGNS[:1].to(new), ref < 0, 0.2, 0.5),
    "grpo_loss_unbiased": lambda f, new, old, ref: f(
        new, old, ref, SIGNS[:1].to(new), ref < 0, 0.2, 0.5
    ),
    "truncated_weights": lambda f, new, old, ref: f(new, old, ref < 0, 1e30),
}


def answered(name, ask, dtype, *numbers):
    """The value and the gradient with respect to the first numbers, in float64."""
    first, *others = (torch.tensor(x, dtype=dtype) for x in numbers)
    first.requires_grad_(True)
    value = ask(getattr(reference, name), first, *others)
    assert value.dtype == dtype
    if not value.requires_grad:
        return value.double(), torch.zeros(())
    return value.detach().double(), torch.autograd.grad(value.sum(), first)[0].double()


# log_ratio takes probabilities: one below what float32 holds is none.
ASKED = [(n, t) for n in OF_TOKENS for t in TOKENS if n != "log_ratio" or min(t) >= -80]


@pytest.mark.parametrize(("name", "token"), ASKED)
def test_far_tokens_and_rare_ones_have_their_values_and_gradients(name, token):
    asked = [[[x] * 3] for x in token]
    small, large = (
        answered(name, OF_TOKENS[name], dtype, *asked) for dtype in (torch.float32, torch.float64)
    )
    for found, right in zip(small, large, strict=True):
        assert right.isfinite().all()
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


OF_LOGITS = {
    "categorical_kl": lambda f, new, ref: f(new, ref),
    "penalized_objective": lambda f, new, ref: f(new, ref, SIGNS.to(new), 0.5),
    "penalized_gradient": lambda f, new, ref: f(new, ref, SIGNS.to(new), 0.5),
    "optimal_policy": lambda f, new, ref: f(new, SIGNS.to(new) * 5, 0.25),
    "expected_gradient": lambda f, new, ref: f(new, ref, ref, lambda a, b: (a - b) ** 2),
    "token_log_probs": lambda f, new, ref: f(new.expand(1, 4, 3), torch.tensor([[0, 0, 1, 2]])),
}


@pytest.mark.parametrize("name", OF_LOGITS)
@pytest.mark.parametrize("logits", [(0.0, -120.0, -60.0), (-120.0, 0.0, 0.5), (0.0, 0.0, -80.0)])
@pytest.mark.parametrize("ref_logits", [(0.0, -80.0, -120.0), (-40.0, 0.0, -40.0)])
def test_outcomes_that_hardly_occur_have_their_values_and_gradients(name, logits, ref_logits):
    asked = OF_LOGITS[name], logits, ref_logits
    small, large = (
        answered(name, asked[0], dtype, *asked[1:]) for dtype in (torch.float32, torch.float64)
    )
    for found, right in zip(small, large, strict=True):
        assert right.isfinite().all()
        torch.testing.assert_close(found, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("nats", [80.0, 100.0, 800.0, 1e5])
@pytest.mark.parametrize(
    ("advantage", "way", "bound"), [(2.0, 1, 2.4), (-2.0, -1, -1.6), (0.0, 1, 0.0)]
)
def test_a_token_that_the_clip_holds_is_at_the_bound_however_far(
    dtype, nats, advantage, way, bound
):
    """Its gradient is 0, where 0 · inf would be nan; so it is in the loss, beside a near token."""
    old = torch.full((1, 2), -1.5, dtype=dtype)
    logp = (old + torch.tensor([[way * nats, 0.0]], dtype=dtype)).requires_grad_(True)
    gain = torch.full_like(old, advantage)
    promise = reference.clipped_surrogate(logp, old, gain, 0.2)
    given = logp, old, logp.detach(), gain[:, 0], old < 0, 0.2, 0.5
    losses = reference.grpo_loss(*given), reference.grpo_loss_unbiased(*given)
    torch.testing.assert_close(promise, torch.tensor([[bound, advantage]], dtype=dtype))
    for loss in losses:
        torch.testing.assert_close(loss, -torch.tensor((bound + advantage) / 2, dtype=dtype))
    for value, share in ((promise.sum(), 1.0), *((loss, -0.5) for loss in losses)):
        (gradient,) = torch.autograd.grad(value, logp, retain_graph=True)
        near = torch.tensor([[0.0, share * advantage]], dtype=dtype)
        torch.testing.assert_close(gradient, near)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_clip_is_the_minimum_of_both_promises_and_keeps_its_gradient(dtype):
    made = torch.Generator().manual_seed(0)
    new, old, gain = (torch.randn(40, 50, generator=made, dtype=dtype) for _ in range(3))
    logp = new.requires_grad_(True)
    ratio = (logp - old).exp()
    right = torch.minimum(ratio * gain, ratio.clamp(0.8, 1.2) * gain)
    found = reference.clipped_surrogate(logp, old, gain, 0.2)
    torch.testing.assert_close(found, right)
    pair = (torch.autograd.grad(one.sum(), logp)[0] for one in (found, right))
    torch.testing.assert_close(*pair)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("delta", [0.0, 0.1, 0.45, 1.0])
def test_a_token_stops_teaching_where_it_is_far_and_pushed_further(dtype, delta):
    """Of every two log-probabilities down to -1000, by Python's own numbers."""
    nats = [-0.01, -0.25, -0.5, -2.0, -30.0, -90.0, -150.0, -800.0, -1000.0]
    rows = [(p, q, gain) for p in nats for q in nats for gain in (-3.0, 0.0, 0.01)]
    logp, old_logp, advantage = torch.tensor(rows, dtype=dtype).T[:, None]
    for (p, q, gain), found in zip(
        rows, reference.divergence_mask(logp, old_logp, advantage, delta)[0].tolist(), strict=True
    ):
        moved = math.exp(p) - math.exp(q)
        stops = abs(moved) > delta and moved * gain > 0
        assert found != stops or abs(abs(moved) - delta) < 1e-6
