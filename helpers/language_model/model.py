"""A small transformer language model, to be read from top to bottom.

Tokens become vectors; each block lets every position look back (attention) and then think for
itself (a two-layer network); the last vectors are compared with every token's own vector, which
gives the logits. Source: Vaswani et al. 2017 (arXiv 1706.03762), with the layer norm in front
(arXiv 2002.04745) and the output tied to the input (arXiv 1608.05859).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from ..shapes import shaped

Cache = list[tuple[Tensor, Tensor]]  # keys and values of each block, "batch head time channel"


@dataclass(frozen=True)
class Sizes:
    """vocab: how many tokens there are. context: the longest sequence. width: of each vector.

    heads: how many looks back at once. layers: how many blocks. dropout: the share set to 0.
    """

    vocab: int
    context: int
    layers: int
    width: int = 128
    heads: int = 4
    dropout: float = 0.1


class Attention(nn.Module):
    """Each position asks a question (query) of all earlier ones (keys), and mixes their values."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.query_key_value = nn.Linear(sizes.width, 3 * sizes.width, bias=False)
        self.out = nn.Linear(sizes.width, sizes.width, bias=False)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple]:
        """What each position of x, "batch time width", saw; and all keys and values so far."""
        heads = self.query_key_value(x).unflatten(-1, (3, self.heads, -1))
        query, key, value = heads.permute(2, 0, 3, 1, 4)  # each: batch head time channel
        if past is not None:
            key, value = torch.cat([past[0], key], dim=2), torch.cat([past[1], value], dim=2)
        seen = F.scaled_dot_product_attention(
            query,
            key,
            value,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=past is None,  # a single new position may look at everything before it
        )
        return self.out(seen.transpose(1, 2).flatten(2)), (key, value)


class Block(nn.Module):
    """Look back, then think; each adds to the vector that came in."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.attention_norm, self.think_norm = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.attention = Attention(sizes)
        self.think = nn.Sequential(
            nn.Linear(sizes.width, 4 * sizes.width),
            nn.GELU(),
            nn.Linear(4 * sizes.width, sizes.width),
        )
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, past: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple]:
        """x after this block, "batch time width", and its keys and values."""
        seen, present = self.attention(self.attention_norm(x), past)
        x = x + self.dropout(seen)
        return x + self.dropout(self.think(self.think_norm(x))), present


class LanguageModel(nn.Module):
    """`model(tokens)` gives logits "batch time vocab": at t, the scores of the token after t."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.token = nn.Embedding(sizes.vocab, sizes.width)
        self.position = nn.Embedding(sizes.context, sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)
        self.blocks = nn.ModuleList(Block(sizes) for _ in range(sizes.layers))
        self.norm = nn.LayerNorm(sizes.width)
        for parameter in self.parameters():
            if parameter.ndim == 2:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocab"]:
        """Logits for every position. Raises ValueError beyond the context."""
        return self.extend(tokens)[0]

    @shaped
    def extend(
        self, tokens: Int[Tensor, "batch time"], cache: Cache | None = None
    ) -> tuple[Float[Tensor, "batch time vocab"], Cache]:
        """Logits of new tokens, given the keys and values of those before: nothing is redone.

        tokens: what comes after the cached positions; a single one when there is a cache.
        Returns the logits and the cache for the next call.
        Raises ValueError when the sequence becomes longer than the context, or when several
        tokens come after a cache: among them, attention would look ahead.
        """
        if cache and tokens.shape[1] > 1:
            raise ValueError("after a cache, give one new token at a time")
        x, cache = self.vectors(tokens, cache)
        return F.linear(x, self.token.weight), cache

    def vectors(self, tokens: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache]:
        """What the model makes of each position, "batch time width", and the grown cache."""
        x = self.dropout(self._embed(tokens, start=cache[0][0].shape[2] if cache else 0))
        grown = []
        for i, block in enumerate(self.blocks):
            x, present = block(x, cache[i] if cache else None)
            grown.append(present)
        return self.norm(x), grown

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        """A vector for each token and its place, "batch time width"."""
        end = start + tokens.shape[1]
        if end > self.sizes.context:
            raise ValueError(
                f"a sequence of {end} tokens is longer than the model's context of "
                f"{self.sizes.context}: use a shorter prompt or fewer new tokens"
            )
        return self.token(tokens) + self.position.weight[start:end]
