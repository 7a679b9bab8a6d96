"""The log-probabilities and the exact divergence, on logits as a real run has them."""

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from helpers.reference import categorical_kl, chunked, token_log_probs

VOCAB = 40
LAYOUTS = {
    "in order": lambda logits: logits,
    "a slice of time": lambda logits: torch.cat([logits, logits], dim=1)[:, : logits.shape[1]],
    "time first": lambda logits: logits.transpose(0, 1).contiguous().transpose(0, 1),
    "words apart": lambda logits: logits.transpose(1, 2).contiguous().transpose(1, 2),
}


def log_probs_of(logits: Tensor, other: Tensor) -> Tensor:
    return token_log_probs(logits, other.argmax(dim=-1), 0.7)


def plain_log_probs(logits: Tensor, other: Tensor) -> Tensor:
    log_probs = (logits / 0.7).log_softmax(dim=-1)[:, :-1]
    return log_probs.gather(-1, other.argmax(dim=-1)[:, 1:, None]).squeeze(-1)


def plain_kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(dim=-1), ref_logits.log_softmax(dim=-1)
    return (log_policy.exp() * (log_policy - log_ref)).sum(dim=-1)


BOTH = pytest.mark.parametrize(
    ("function", "plain"),
    [(log_probs_of, plain_log_probs), (categorical_kl, plain_kl)],
    ids=["token_log_probs", "categorical_kl"],
)


def pair(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    one, other = (3 * torch.randn(shape, generator=generator).to(dtype) for _ in range(2))
    return one.requires_grad_(), other


def with_gradient(values: Tensor, logits: Tensor) -> tuple[Tensor, Tensor]:
    slope = torch.linspace(-1.0, 2.0, values.numel(), dtype=values.dtype).reshape(values.shape)
    return values.detach(), torch.autograd.grad(values, logits, slope)[0]


@pytest.fixture(params=[1, 3 * VOCAB, 10**6], ids=["by one", "by three", "at once"])
def few(request, monkeypatch):
    """However few positions are taken at once."""
    monkeypatch.setattr(chunked, "NUMBERS", request.param)


@BOTH
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.usefixtures("few")
def test_value_and_gradient_are_the_plain_formulas(function, plain, layout):
    logits, other = pair(0, 3, 7, VOCAB, dtype=torch.float64)
    expected = with_gradient(plain(logits, other), logits)
    laid = LAYOUTS[layout](logits.detach()).requires_grad_()
    found = with_gradient(function(laid, LAYOUTS[layout](other)), laid)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@BOTH
@pytest.mark.usefixtures("few")
def test_the_first_and_the_second_derivative_are_those_of_finite_differences(function, plain):
    logits, other = pair(1, 2, 3, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(function, (logits, other))
    assert torch.autograd.gradgradcheck(function, (logits, other))


@BOTH
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.usefixtures("few")
def test_16_bits_are_summed_in_32(function, plain, dtype):
    logits, other = pair(2, 2, 5, 2000, dtype=dtype)
    wide = logits.detach().double().requires_grad_()
    value, gradient = with_gradient(function(logits, other), logits)
    exact_value, exact_gradient = with_gradient(plain(wide, other.double()), wide)
    assert (value.dtype, gradient.dtype) == (torch.float32, dtype)
    torch.testing.assert_close(value.double(), exact_value, rtol=1e-5, atol=1e-5)
    half_a_unit = torch.finfo(dtype).eps / 2 * 1.01  # the gradient is rounded once, at the end
    torch.testing.assert_close(gradient.double(), exact_gradient, rtol=half_a_unit, atol=1e-7)


class Made(TorchDispatchMode):
    """Counts the tensors that are as large as the logits and share no storage with an earlier."""

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.least = known[0].numel()
        self.known = {tensor.untyped_storage().data_ptr() for tensor in known}
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), named=None):
        results = function(*arguments, **(named or {}))
        for tensor in tree_leaves(results):
            if isinstance(tensor, Tensor) and tensor.numel() >= self.least // 2:
                place = tensor.untyped_storage().data_ptr()
                self.count += place not in self.known
                self.known.add(place)
        return results


@BOTH
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("cut", [False, True], ids=["whole", "a slice"])
def test_nothing_as_large_as_the_logits_is_made_but_the_gradient(
    function, plain, dtype, cut, monkeypatch
):
    monkeypatch.setattr(chunked, "NUMBERS", VOCAB)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    logits, other = (one[:, 1:] if cut else one for one in pair(3, 4, 9, VOCAB, dtype=dtype))
    logits = logits.detach().requires_grad_()
    with Made(logits, other) as forward:
        values = function(logits, other)
    assert forward.count == 0
    with Made(logits, other) as backward:
        values.sum().backward()
    assert backward.count == 1


@BOTH
def test_without_a_gradient_nothing_is_kept(function, plain):
    logits, other = pair(4, 2, 3, VOCAB)
    assert function(logits.detach(), other.requires_grad_()).grad_fn is None
    with torch.no_grad():
        assert function(logits, other).grad_fn is None


@BOTH
def test_autocast_changes_nothing(function, plain):
    logits, other = pair(5, 2, 4, VOCAB)
    expected = with_gradient(function(logits, other), logits)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = with_gradient(function(logits, other), logits)
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0)


@BOTH
@pytest.mark.parametrize("shape", [(0, 4, 5), (2, 1, 5), (0, 1, 5)])
def test_nothing_to_score_has_a_gradient_of_zero(function, plain, shape):
    logits, other = pair(6, *shape)
    values = function(logits, other)
    assert values.shape == plain(logits, other).shape
    (gradient,) = torch.autograd.grad(values.sum() * 0.0, logits)
    assert gradient.shape == logits.shape
    assert not gradient.any()


def test_tokens_may_be_of_32_bits():
    logits, other = pair(7, 2, 4, VOCAB)
    tokens = other.argmax(dim=-1)
    assert torch.equal(token_log_probs(logits, tokens.int()), token_log_probs(logits, tokens))


def test_a_far_offset_costs_no_precision():
    logits, other = pair(8, 2, 4, VOCAB)
    shifted = (logits.detach() * 8).round() / 8 + 1000.0  # exact in float32
    exact = log_probs_of(shifted.double(), other)
    assert (log_probs_of(shifted, other) - exact).abs().max() < 1e-4


def test_outcomes_that_never_happen_do_so_in_16_bits_too():
    logits, ref_logits = pair(9, 2, 3, VOCAB, dtype=torch.bfloat16)
    logits = logits.detach()
    logits[..., :2] = -torch.inf
    ref_logits[..., 1] = -torch.inf
    leaf = logits.requires_grad_()
    values, gradient = with_gradient(categorical_kl(leaf, ref_logits), leaf)
    assert values.isfinite().all()
    assert gradient.isfinite().all()
    ref_logits[0, 0, 5] = -torch.inf
    assert categorical_kl(logits, ref_logits)[0, 0] == torch.inf
