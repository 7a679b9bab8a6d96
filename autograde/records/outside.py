"""What judges outside the course say of a text: none of them learned from it, or was tuned on.

SmolLM2-135M's surprise says how much a text reads like English, VADER's rules whether it praises,
and counting whether it repeats itself. Gold is taught with them, and held to them.
"""

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from helpers.language_model.adapter import AdapterError, load_gguf
from helpers.language_model.scorers import REPEATED, VARIED
from helpers.language_model.vocabulary import pieces

BEGIN = "<|im_end|>"  # what a text stands after
AT_ONCE = 64
# Nats a word at which a text reads as well as people's sentences do, and as badly as words in a
# random order.
READS_WELL, READS_BADLY = 7.5, 10.5


class Outside:
    """`praise`, `readable`, `nats_per_word`: each a number for each text."""

    def __init__(self, path: Path) -> None:
        """From SmolLM2's file. Raises AdapterError when it, or what reads it, is missing."""
        self.policy, self.tokenizer = load_gguf(path)
        try:
            from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer
        except ImportError:
            raise AdapterError("not installed: pip install vaderSentiment") from None
        self.begin = self.tokenizer.convert_tokens_to_ids(BEGIN)
        self.rules = SentimentIntensityAnalyzer()

    def praise(self, texts: Sequence[str]) -> Tensor:
        """VADER's compound score, −1 to 1."""
        return torch.tensor([self.rules.polarity_scores(text)["compound"] for text in texts])

    def readable(self, texts: Sequence[str]) -> Tensor:
        """1 for English that does not repeat itself, 0 for what is as bad as words at random."""
        english = (READS_BADLY - self.nats_per_word(texts)) / (READS_BADLY - READS_WELL)
        apart = (distinct_words(texts) - REPEATED) / (VARIED - REPEATED)
        return english.clamp(0, 1) * apart.clamp(0, 1)

    @torch.no_grad()
    def nats_per_word(self, texts: Sequence[str]) -> Tensor:
        """SmolLM2's surprise at each text, by word; inf for a text without one."""
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))  # saves padding
        found = torch.full((len(texts),), torch.inf)
        for start in range(0, len(order), AT_ONCE):
            part = order[start : start + AT_ONCE]
            found[part] = self._surprise([texts[i] for i in part])
        return found

    def _surprise(self, texts: Sequence[str]) -> Tensor:
        rows = [[self.begin, *self.tokenizer(text)["input_ids"]] for text in texts]
        tokens = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
        for row, ids in zip(tokens, rows, strict=True):
            row[: len(ids)] = torch.tensor(ids)
        logp = self.policy(tokens)[:, :-1].float().log_softmax(-1)
        logp = logp.gather(-1, tokens[:, 1:, None])[..., 0]
        real = torch.arange(1, tokens.shape[1]) < torch.tensor([[len(ids)] for ids in rows])
        words = torch.tensor([len(text.split()) for text in texts])
        return -torch.where(real, logp, 0.0).sum(1) / words  # 0/0 without a word


def outside_from(path: Path) -> Outside:
    """For a command: ends it, with the remedy, where the judges are not to be had."""
    try:
        return Outside(path)
    except AdapterError as error:
        sys.exit(f"error: {error}")


def words(text: str) -> list[str]:
    """The words of a text, in lower case, without its marks."""
    return [piece for piece in pieces(text) if re.match(r"\w", piece)]


def distinct_words(texts: Sequence[str]) -> Tensor:
    """How many different words each text has, as a share of all of them; 0 without one."""
    return torch.tensor([len(set(words(text))) / max(len(words(text)), 1) for text in texts])
