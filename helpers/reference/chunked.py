"""Log-probabilities and divergences from the logits of a real run, a few positions at a time.

The plain formulas make tensors as large as the logits: 5 GB each for 8,192 positions and 151,936
words in float32. Here the gradient, which autograd asks for, is the only one. All else is made for
a few positions, few enough to stay in the processor's cache, and made again for the gradient
instead of being kept. Logits of 16 bits are widened there, and not before.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["drawn_log_probs", "kl_from_logits"]

NUMBERS = 2**19  # for each worker: 2 MB in float32, so that all of a step stays in the cache
GPU_WORKERS = 256  # a GPU's cores are many, and each step there costs a start


def drawn_log_probs(
    logits: Float[Tensor, "batch time vocab"],
    tokens: Int[Tensor, "batch time"],
    temperature: float = 1.0,
) -> Float[Tensor, "batch time-1"]:
    """`token_log_probs` for logits of any size and any layout.

    Returns nats, in float64 for float64 logits, else in float32. Differentiable twice; the second
    time by the plain formula, with its memory.
    Example: logits (log 3, 0), next token 0: log 3/4.
    """
    return _DrawnLogProbs.apply(logits, tokens.long(), temperature)


def kl_from_logits(
    logits: Float[Tensor, "*leading vocab"], ref_logits: Float[Tensor, "*leading vocab"]
) -> Float[Tensor, "*leading"]:
    """`categorical_kl` for logits of any size and any layout.

    Returns nats, in float64 if either is float64, else in float32. Differentiable in `logits`,
    twice; the second time by the plain formula, with its memory.
    Example: (3/4, 1/4) against (1/2, 1/2): 3/4·log 3/2 + 1/4·log 1/2 = 0.1308.
    """
    return _KLFromLogits.apply(logits, ref_logits.detach())


class _DrawnLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
        logp = logits.new_empty(tokens[:, 1:].shape, dtype=_wide(logits))
        whole = logits[:, :-1], tokens[:, 1:, None], logp[..., None]
        for some_logits, drawn, found in _few_positions(*whole):
            found.copy_(_log_probs(_scaled(some_logits, temperature)).gather(-1, drawn))
        ctx.save_for_backward(logits, tokens, logp)
        ctx.temperature = temperature
        return logp

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
        logits, tokens, logp = ctx.saved_tensors
        if torch.is_grad_enabled():
            formula = _plain_drawn_log_probs(logits, tokens, ctx.temperature)
            return _differentiable(formula, logits, slope), None, None
        grad = torch.empty_like(logits)
        grad[:, -1:] = 0.0  # the last logits score nothing
        rate = slope / ctx.temperature
        own = -rate * logp.expm1()  # 1 − π of the drawn word, before 16 bits round π to 1
        whole = logits[:, :-1], tokens[:, 1:, None], rate[..., None], own[..., None]
        for some_logits, drawn, rate_there, own_there, part in _few_positions(*whole, grad[:, :-1]):
            policy = _probs(_scaled(some_logits, ctx.temperature))
            torch.mul(policy, -rate_there, out=part)
            part.scatter_(-1, drawn, own_there.to(part.dtype))
        return grad, None, None


class _KLFromLogits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits: Tensor, ref_logits: Tensor) -> Tensor:
        ctx.save_for_backward(logits, ref_logits)
        kl = logits.new_empty(logits.shape[:-1], dtype=_wide(logits, ref_logits))
        for some_logits, some_ref, found in _few_positions(logits, ref_logits, kl[..., None]):
            policy, gap = _probs(some_logits), _log_probs(some_logits) - _log_probs(some_ref)
            if not gap.sum().isfinite():
                # As 0 · (−inf) is nan; and so is 0 · inf, where a π rounded to 0 must cost inf too.
                gap.masked_fill_(some_logits == -torch.inf, 0.0)
                policy.masked_fill_(gap == torch.inf, 1.0)
            torch.sum(gap.mul_(policy), dim=-1, keepdim=True, out=found)
        return kl

    @staticmethod
    def backward(ctx, slope: Tensor) -> tuple[Tensor | None, ...]:
        logits, ref_logits = ctx.saved_tensors
        if torch.is_grad_enabled():
            return _differentiable(_plain_kl(logits, ref_logits), logits, slope), None
        grad = torch.empty_like(logits)
        whole = logits, ref_logits, slope[..., None], grad
        for some_logits, some_ref, rate, part in _few_positions(*whole):
            # π (gap − KL), without either sum over words: they are the same for all of them.
            policy = _probs(some_logits)
            gap = some_logits.to(slope.dtype) - some_ref.to(slope.dtype)
            if not gap.sum().isfinite():
                gap.masked_fill_(some_logits == -torch.inf, 0.0)
            mean = (policy * gap).sum(dim=-1, keepdim=True)
            torch.mul(gap.sub_(mean).mul_(policy), rate, out=part)
        return grad, None


def _few_positions(logits: Tensor, *others: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Views of a few positions of each tensor, in step: nothing is copied, whatever the strides."""
    vocab = max(logits.shape[-1], 1)
    workers = torch.get_num_threads() if logits.device.type == "cpu" else GPU_WORKERS
    at_once = workers * max(NUMBERS // vocab, 1)
    if logits.ndim == 1 or logits.numel() <= at_once * vocab:
        yield logits, *others
        return
    rows = at_once * vocab // logits[0].numel()
    for views in zip(*(whole.split(max(rows, 1)) for whole in (logits, *others)), strict=True):
        if rows:
            yield views
        else:  # one row alone is too many: take it apart in turn
            yield from _few_positions(*(view[0] for view in views))


def _log_probs(logits: Tensor) -> Tensor:
    """log_softmax with all digits; torch's own errs by 1e-5 over 100,000 words in float32.

    That is far below what logits of 16 bits have lost already, and it is twice as fast.
    """
    if logits.dtype.itemsize == 2:
        return logits.log_softmax(dim=-1, dtype=torch.float32)
    top = logits.amax(dim=-1, keepdim=True)
    below = logits - top  # as large logits have few digits left: nothing is added to them again
    return below.sub_(below.exp().sum(dim=-1, keepdim=True).log_())


def _probs(logits: Tensor) -> Tensor:
    """softmax, with as many digits."""
    if logits.dtype.itemsize == 2:
        return logits.softmax(dim=-1, dtype=torch.float32)
    return _log_probs(logits).exp_()


def _scaled(logits: Tensor, temperature: float) -> Tensor:
    return logits if temperature == 1.0 else logits.to(_wide(logits)) / temperature


def _wide(*logits: Tensor) -> torch.dtype:
    """What to compute in: float32, or float64 if it was given."""
    return torch.float64 if torch.float64 in {one.dtype for one in logits} else torch.float32


def _plain_drawn_log_probs(logits: Tensor, tokens: Tensor, temperature: float) -> Tensor:
    log_probs = _scaled(logits[:, :-1], temperature).log_softmax(dim=-1)
    return log_probs.gather(-1, tokens[:, 1:, None]).squeeze(-1)


def _plain_kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    dtype = _wide(logits, ref_logits)
    log_policy = logits.to(dtype).log_softmax(dim=-1)
    log_ref = ref_logits.to(dtype).log_softmax(dim=-1)
    impossible = log_policy == -torch.inf
    # Both are replaced before the product, as 0 · inf is nan in the value and in the gradient.
    gap = torch.where(impossible, 0.0, log_policy) - torch.where(impossible, 0.0, log_ref)
    return torch.where(gap == torch.inf, torch.inf, log_policy.exp() * gap).sum(dim=-1)


def _differentiable(values: Tensor, logits: Tensor, slope: Tensor) -> Tensor:
    """The gradient by a plain formula, as a tensor that can be differentiated again."""
    return torch.autograd.grad(values, logits, slope, create_graph=True)[0]
