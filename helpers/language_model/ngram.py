"""The baseline beside a neural language model: interpolated Kneser–Ney.

On as little text as here, 0.6 million tokens, counts of three are hard to beat: pretraining prints
both perplexities. Counts have no parameters to tune, though, which is what the model is for.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence


class KneserNey:
    """How likely the next token is after the last few, from counts alone.

    order: how many tokens are counted together, the predicted one included.
    discount: what every count gives up for what was never seen.
    Source: Kneser & Ney 1995; Chen & Goodman 1999, section 3 (interpolated).
    """

    def __init__(self, order: int, vocab: int, discount: float = 0.75) -> None:
        self.order, self.vocab, self.discount = order, vocab, discount
        self.counts: list[dict[tuple, Counter]] = [defaultdict(Counter) for _ in range(order)]

    def fit(self, rows: Iterable[Sequence[int]]) -> "KneserNey":
        """Count. Below the full order, a token counts once for each different history."""
        for row in rows:
            for t in range(1, len(row)):
                history = tuple(row[max(0, t - self.order + 1) : t])
                self._count(history, row[t])
        return self

    def _count(self, history: tuple[int, ...], token: int) -> None:
        for start in range(len(history) + 1):
            seen = self.counts[len(history) - start][history[start:]]
            seen[token] += 1
            if seen[token] > 1:  # shorter histories count kinds, and this kind is known
                return

    def probability(self, history: Sequence[int], token: int) -> float:
        """p(token | history), mixed over all orders down to the uniform distribution."""
        found = 1 / self.vocab
        kept = tuple(history[max(0, len(history) - self.order + 1) :])
        for start in range(len(kept), -1, -1):
            seen = self.counts[len(kept) - start].get(kept[start:])
            if seen is None:
                break
            total = seen.total()
            found = (
                max(seen[token] - self.discount, 0) + self.discount * len(seen) * found
            ) / total
        return found

    def perplexity(self, rows: Iterable[Sequence[int]]) -> float:
        """exp of the mean −log p over every token after the first of each row."""
        logs = [
            math.log(self.probability(row[:t], row[t])) for row in rows for t in range(1, len(row))
        ]
        return math.exp(-sum(logs) / len(logs))
