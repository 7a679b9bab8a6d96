"""Two judges of a review, learned from different people's ratings.

The proxy is what is optimised: one weight for each word, learned from a few sentences that one
person each has rated, by ridge regression. The gold score stands for what is wanted: a reader of
its own, taught to predict the mean of all raters on many other sentences, and that a text which
nobody would write is worth nothing, from what models wrote that had been tuned on other proxies.
Neither is a human.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..shapes import shaped
from .model import LanguageModel, Sizes
from .vocabulary import END, UNKNOWN

# Shares of different words: hardly any film sentence of people's is below the first, more than nine
# of ten are at the second or above.
REPEATED, VARIED = 0.65, 0.85


class Proxy(nn.Module):
    """Mean rating by which words there are, in any order: bias + mean weight of them.

    A word counts once, however often it stands there.
    """

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocab))
        self.bias = nn.Parameter(torch.zeros(()))

    @shaped
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """A rating for each row, about −4 to 4; the bias for a row that is all END."""
        return self.bias + self._shares(tokens) @ self.weight

    def _shares(self, tokens: Tensor) -> Tensor:
        """1/n for each of a row's n different words, "batch vocab"."""
        there = torch.zeros(len(tokens), len(self.weight), device=tokens.device)
        there = there.scatter(1, tokens, 1.0)
        there[:, : UNKNOWN + 1] = 0.0
        return there / there.sum(dim=1, keepdim=True).clamp(min=1)

    @torch.no_grad()
    def fit(self, tokens: Tensor, ratings: Tensor, ridge: float) -> None:
        """Least squares with a penalty of `ridge` on the weights; the bias is the mean rating."""
        shares = self._shares(tokens)
        normal = shares.T @ shares + ridge * torch.eye(len(self.weight))
        self.bias.copy_(ratings.mean())
        self.weight.copy_(torch.linalg.solve(normal, shares.T @ (ratings - ratings.mean())))


class Gold(nn.Module):
    """Rating × how readable it is, by a transformer that has read it in order, × how various.

    The last is counted: 1 where 85 % of a text's tokens are different ones, 0 where 65 % are.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.reader = LanguageModel(sizes)
        self.head = nn.Linear(sizes.width, 2)

    @shaped
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """A rating for each row, about −4 to 4, and 0 for what nobody would write."""
        rating, readable, various = self.factors(tokens)
        return rating * readable * various

    def factors(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of each row its rating, about −4 to 4, and how readable and how various it is, 0 to 1."""
        rating, readable = self.judge(tokens)
        return rating, readable.sigmoid(), _various(tokens)

    def judge(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """A rating of each row, and the log-odds that it is readable."""
        real = (tokens != END)[..., None]
        total = torch.where(real, self.reader.vectors(tokens)[0], 0.0).sum(dim=1)
        return self.head(total / real.sum(dim=1).clamp(min=1)).unbind(dim=1)


def _various(tokens: Tensor) -> Tensor:
    """From 0 to 1, by the share of different tokens among each row's words and marks."""
    real = tokens > UNKNOWN
    sooner = (tokens[:, :, None] == tokens[:, None, :]).tril(-1).any(dim=2)
    share = (real & ~sooner).sum(dim=1) / real.sum(dim=1).clamp(min=1)
    return ((share - REPEATED) / (VARIED - REPEATED)).clamp(0, 1)
