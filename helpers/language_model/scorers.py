"""Two judges of a review, learned from different people's ratings.

The proxy is what is optimised: one weight for each token, learned from a few sentences that one
person each has rated, by ridge regression. The gold score stands for what is wanted: the
pretrained model, taught on to predict the mean of all raters, on many other sentences, and 0 for
shuffled or repeated words. Neither is a human. The proxy has met no text that nobody would
write, gold only those two kinds: what they say about such text is a guess.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..shapes import shaped
from .model import LanguageModel, Sizes
from .vocabulary import END


class Proxy(nn.Module):
    """Mean rating by the tokens alone, whatever their order: bias + Σ weight / √length."""

    def __init__(self, vocab: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(vocab))
        self.bias = nn.Parameter(torch.zeros(()))

    @shaped
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """A rating for each row, about −4 to 4; the bias for a row that is all END."""
        real = tokens != END
        total = (self.weight[tokens] * real).sum(dim=1)
        return self.bias + total / real.sum(dim=1).clamp(min=1).sqrt()

    @torch.no_grad()
    def fit(self, tokens: Tensor, ratings: Tensor, ridge: float) -> None:
        """Least squares with a penalty of `ridge` on the weights; the bias is the mean rating."""
        real = (tokens != END).float()
        counts = torch.zeros(len(tokens), len(self.weight)).scatter_add(1, tokens, real)
        counts = counts / real.sum(dim=1, keepdim=True).clamp(min=1).sqrt()
        normal = counts.T @ counts + ridge * torch.eye(len(self.weight))
        self.bias.copy_(ratings.mean())
        self.weight.copy_(torch.linalg.solve(normal, counts.T @ (ratings - ratings.mean())))


class Gold(nn.Module):
    """Mean rating by a transformer that has read the sentence, in order."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.reader = LanguageModel(sizes)
        self.head = nn.Linear(sizes.width, 1)

    @shaped
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, " batch"]:
        """A rating for each row, about −4 to 4; the head's bias for a row that is all END."""
        real = (tokens != END)[..., None]
        total = torch.where(real, self.reader.vectors(tokens)[0], 0.0).sum(dim=1)
        return self.head(total / real.sum(dim=1).clamp(min=1)).squeeze(1)
