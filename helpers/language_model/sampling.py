"""Let a model write: one token at a time, from where the prompts end."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from .vocabulary import END


@dataclass(frozen=True)
class Samples:
    """What a model wrote after its prompts.

    tokens: "batch time"; prompt, response, then padding.
    response_mask: "batch time-1"; at t it says whether tokens[:, t+1] is of the response, whose
        end token belongs to it.
    logp: "batch time-1"; log-probability of each token when it was drawn, 0 where it was not.
    """

    tokens: Int[Tensor, "batch time"]
    response_mask: Bool[Tensor, "batch time-1"]
    logp: Float[Tensor, "batch time-1"]

    @property
    def lengths(self) -> Tensor:
        """How many tokens each response has, its end token included."""
        return self.response_mask.sum(dim=1)

    def ended(self, end: int = END) -> Tensor:
        """Which responses came to their end token, "batch"; the others were cut off."""
        return (self.response_mask & (self.tokens[:, 1:] == end)).any(dim=1)


@torch.no_grad()
def sample(
    policy: nn.Module,
    prompts: Sequence[Sequence[int]],
    n_tokens: int,
    generator: torch.Generator,
    temperature: float = 1.0,
    end: int = END,
) -> Samples:
    """Continue each prompt by at most n_tokens tokens, or until it ends.

    policy: has `extend(tokens, cache)`, as LanguageModel has; it is put in eval mode for this.
    prompts: token ids, of any lengths above 0.
    end: the token that ends a response, and is the padding after it.
    generator: on the CPU, so that equal seeds draw equal tokens on any device.
    temperature: the logits are divided by it, and the log-probabilities returned are those.
    Raises ValueError for no prompts, an empty prompt, a temperature that is not above 0, or as
    soon as a sequence grows beyond the model's context.
    """
    if temperature <= 0:
        raise ValueError(f"temperature: above 0, not {temperature:g}")
    tokens, starts = _room(prompts, n_tokens, end)
    drawn = torch.zeros(tokens.shape[0], tokens.shape[1] - 1)
    mask = drawn.bool()
    with evaluating(policy):
        cache, running = None, torch.ones(len(tokens), dtype=torch.bool)
        for t in range(mask.shape[1]):
            logits, cache = policy.extend(tokens[:, t : t + 1].to(_device(policy)), cache)
            mask[:, t] = running & (starts <= t)
            token, logp = _draw(logits[:, 0] / temperature, generator)
            tokens[:, t + 1] = torch.where(mask[:, t], token, tokens[:, t + 1])
            drawn[:, t] = torch.where(mask[:, t], logp, 0.0)
            running &= (t + 1 < starts + n_tokens) & ~(mask[:, t] & (token == end))
            if not running.any():
                break
    kept = int(mask.any(dim=0).nonzero().max()) + 1
    return Samples(tokens[:, : kept + 1], mask[:, :kept], drawn[:, :kept])


def _room(prompts: Sequence[Sequence[int]], n_tokens: int, end: int) -> tuple[Tensor, Tensor]:
    """Prompts with room for n_tokens after them, and at which t the first one is drawn."""
    if not prompts or not all(map(len, prompts)):
        raise ValueError("prompts: there must be at least one, and none may be empty")
    if n_tokens < 1:
        raise ValueError(f"n_tokens: at least 1 is needed, not {n_tokens}")
    lengths = torch.tensor([len(prompt) for prompt in prompts])
    tokens = torch.full((len(prompts), int(lengths.max()) + n_tokens), end)
    for row, prompt in zip(tokens, prompts, strict=True):
        row[: len(prompt)] = torch.tensor(prompt)
    return tokens, lengths - 1


def _draw(logits: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """One token for each row of "batch vocab", and its log-probability, on the CPU."""
    log_probs = logits.float().cpu().log_softmax(dim=-1)
    token = torch.multinomial(log_probs.exp(), 1, generator=generator)
    return token[:, 0], log_probs.gather(1, token)[:, 0]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Dropout off for a while; the mode of every part is put back."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


def _device(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
