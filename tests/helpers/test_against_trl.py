"""Our log-probabilities, divergence and loss beside TRL's: equal, or the difference is stated."""

import re
from importlib.metadata import version

import pytest
import torch
from torch import Tensor

from autograde.course.lessons import read_source
from helpers.reference import (
    categorical_kl,
    grpo_loss,
    grpo_loss_unbiased,
    k3,
    token_log_probs,
)

pytestmark = pytest.mark.xdist_group("transformers")  # seconds to import: in one process
SEEDS = range(3)
SAME = {"rtol": 1e-5, "atol": 1e-5}


@pytest.fixture(scope="module")
def trl():
    """TRL's functions; imported here, as it takes every process 5 seconds that collects tests."""
    from tests import trl_loss

    return trl_loss


def drawn(seed: int, *shape: int, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loss_inputs(seed: int, batch: int = 4, time: int = 9) -> dict[str, Tensor]:
    """Ratios on both sides of the clip, both signs of the advantage, rows of unequal length."""
    logp = drawn(seed, batch, time) - 5.0
    inputs = {"logp": logp.clone().requires_grad_()}
    inputs |= {
        name: logp + drawn(seed + 10 * place, batch, time, scale=0.3)
        for place, name in enumerate(("old_logp", "ref_logp"), start=1)
    }
    inputs["advantage"] = drawn(seed + 30, batch, scale=1.0)
    inputs["mask"] = torch.arange(time) < torch.tensor([[1], [3], [time - 1], [time]])
    return inputs


def value_and_gradient(value: Tensor, *leaves: Tensor) -> tuple[Tensor, ...]:
    return value, *torch.autograd.grad(value.sum(), leaves)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("epsilon", "beta"), [(0.2, 0.04), (0.1, 0.5), (0.2, 0.0)])
@pytest.mark.parametrize("kind", ["bnpo", "dapo"])
@pytest.mark.parametrize(("loss", "weighted"), [(grpo_loss, False), (grpo_loss_unbiased, True)])
def test_both_losses_are_trls(trl, seed, epsilon, beta, kind, loss, weighted):
    """By the paper with use_bias_correction_kl off, the unbiased form with it on."""
    inputs = loss_inputs(seed)
    found = value_and_gradient(loss(**inputs, epsilon=epsilon, beta=beta), inputs["logp"])
    theirs = trl.trl_grpo_loss(**inputs, epsilon=epsilon, beta=beta, kind=kind, weighted=weighted)
    torch.testing.assert_close(found, value_and_gradient(theirs, inputs["logp"]), **SAME)


def test_the_two_losses_differ_in_value_and_where_nothing_has_moved_in_gradient_alone(trl):
    inputs = loss_inputs(0)
    losses = [trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.5, weighted=w) for w in (False, True)]
    assert (losses[0] - losses[1]).abs() > 1e-3
    inputs["old_logp"] = inputs["logp"].detach()
    losses = [trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.5, weighted=w) for w in (False, True)]
    found = [value_and_gradient(loss, inputs["logp"]) for loss in losses]
    torch.testing.assert_close(found[0][0], found[1][0])
    assert (found[0][1] - found[1][1]).abs().max() > 1e-3


def test_what_lesson_06_says_of_trls_defaults_is_so(trl):
    """Its table, what its quiz goes by, and which of the two losses is the default."""
    defaults = trl.trl_defaults()
    source = "\n".join(cell.source for cell in read_source("06_language_model"))
    rows = re.findall(r"^\| `(\w+)` \| ([\w.]+) \|", source, re.MULTILINE)
    assert {name: str(defaults[name]) for name, _ in rows} == dict(rows)
    assert dict(rows).keys() >= {"use_bias_correction_kl", "sync_ref_model", "use_vllm"}
    settings = re.search(r"GRPOConfig\((.*?)^\)", source, re.MULTILINE | re.DOTALL)[1]
    named = re.findall(r"(\w+)=", settings)
    assert len(named) > 5
    assert defaults.keys() >= {*named}
    assert not {name for name, _ in rows[:3]} & {*named}  # the quiz is about what nobody set
    assert defaults["vllm_importance_sampling_mode"] == "sequence_mask"


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_log_probabilities_are_trls_which_leaves_the_shift_to_its_caller(trl, seed, temperature):
    logits = drawn(seed, 3, 6, 50).requires_grad_()
    tokens = torch.randint(50, (3, 6), generator=torch.Generator().manual_seed(seed))
    found = value_and_gradient(token_log_probs(logits, tokens, temperature), logits)
    theirs = trl.selective_log_softmax(logits[:, :-1], tokens[:, 1:], temperature)
    torch.testing.assert_close(found, value_and_gradient(theirs, logits), **SAME)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_divergence_is_trls_at_its_beta_of_one(trl, seed):
    logits, ref_logits = drawn(seed, 3, 6, 50).requires_grad_(), drawn(seed + 10, 3, 6, 50)
    found = value_and_gradient(categorical_kl(logits, ref_logits).sum(), logits)
    theirs = trl.trl_divergence(logits, ref_logits)
    torch.testing.assert_close(found, value_and_gradient(theirs, logits), rtol=1e-5, atol=1e-4)


def test_trls_kind_grpo_averages_each_response_first_and_ours_does_not(trl):
    inputs = loss_inputs(0)
    ours = grpo_loss(**inputs, epsilon=0.2, beta=0.04)
    assert (trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.04, kind="grpo") - ours).abs() > 0.01
    inputs["mask"] = torch.ones_like(inputs["mask"])  # of equal length: one mean is the other
    ours = grpo_loss(**inputs, epsilon=0.2, beta=0.04)
    theirs = trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.04, kind="grpo")
    torch.testing.assert_close(theirs, ours, **SAME)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_trl_multiplies_by_the_mask_and_padding_poisons_it(trl, poison):
    inputs = loss_inputs(0)
    clean = grpo_loss(**inputs, epsilon=0.2, beta=0.04)
    inputs["ref_logp"] = torch.where(inputs["mask"], inputs["ref_logp"], poison)
    assert trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.04).isnan()
    assert torch.equal(grpo_loss(**inputs, epsilon=0.2, beta=0.04), clean)


def test_trls_k3_cancels_where_policy_and_reference_are_close(trl):
    inputs = loss_inputs(0)
    gap = 1e-4
    inputs["logp"] = torch.zeros_like(inputs["logp"])
    inputs["old_logp"], inputs["ref_logp"] = inputs["logp"], inputs["logp"] + gap
    inputs["advantage"] = torch.zeros_like(inputs["advantage"])
    assert abs(grpo_loss(**inputs, epsilon=0.2, beta=1.0) / (gap**2 / 2) - 1) < 1e-3
    assert abs(trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=1.0) / (gap**2 / 2) - 1) > 0.1
    assert k3(torch.zeros(1), torch.full((1,), gap)) > 0


def test_a_gradient_reaches_trls_constants_and_none_of_ours(trl):
    inputs = loss_inputs(0)
    constants = [inputs[name].requires_grad_() for name in ("old_logp", "ref_logp", "advantage")]
    theirs = trl.trl_grpo_loss(**inputs, epsilon=0.2, beta=0.04)
    assert all(grad.any() for grad in torch.autograd.grad(theirs, constants))
    ours = grpo_loss(**inputs, epsilon=0.2, beta=0.04)
    found = torch.autograd.grad(ours, constants, allow_unused=True)
    assert not any(grad is not None and grad.any() for grad in found)


def test_trl_keeps_16_bits_on_a_cpu_where_we_sum_in_32(trl):
    logits = drawn(0, 2, 5, 1000).bfloat16()
    tokens = torch.randint(1000, (2, 5), generator=torch.Generator().manual_seed(0))
    exact = token_log_probs(logits.double(), tokens)
    ours = token_log_probs(logits, tokens)
    theirs = trl.selective_log_softmax(logits[:, :-1], tokens[:, 1:])
    assert (ours.dtype, theirs.dtype) == (torch.float32, torch.bfloat16)
    assert (ours - exact).abs().max() < 1e-5
    assert (theirs - exact).abs().max() > 1e-2


def test_trls_divergence_is_nan_where_neither_ever_draws(trl):
    logits, ref_logits = drawn(0, 2, 3, 8), drawn(1, 2, 3, 8)
    logits[..., 0] = ref_logits[..., 0] = -torch.inf
    assert trl.trl_divergence(logits, ref_logits).isnan()
    rest = categorical_kl(logits[..., 1:], ref_logits[..., 1:])
    torch.testing.assert_close(categorical_kl(logits, ref_logits), rest, **SAME)


def test_the_page_from_here_to_trl_says_trls_defaults(trl):
    """Every setting in the column under TRL, each with what it is where nobody sets it."""
    defaults = trl.trl_defaults()
    source = "\n".join(cell.source for cell in read_source("06_language_model"))
    page = source[source.index("## From here to TRL") : source.index("## What to take along")]
    rows = re.findall(r"^\| ([^|]+) \| ([^|]*) \|[^|]*\|[^|]*\|$", page, re.MULTILINE)
    assert len(rows) > 10, page
    told = [found for _, cell in rows for found in re.findall(r"`(\w+)` ([\w.]+)", cell)]
    names = [name for name, _ in told]
    assert {"epsilon", "beta", "num_iterations", "use_bias_correction_kl"} <= set(names)
    assert {name: str(defaults[name]) for name in names} == dict(told)
    assert f"version {trl_version()}" in page


def trl_version() -> str:
    """Major and minor, as the page has it."""
    return ".".join(version("trl").split(".")[:2])
