"""Text to tokens and back: every word and every mark that people wrote is a token of its own."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
from torch import Tensor

END = 0  # the token that begins and ends every sentence; what comes after it is padding
UNKNOWN = 1  # what no token is there for: the model reads it, and is never taught to write it
END_TEXT, UNKNOWN_TEXT = "<|end|>", "<|unknown|>"
PIECE = r"\w+(?:['’-]\w+)*|[^\w\s]"  # a word, its apostrophes and hyphens within, or a mark
BEFORE = re.compile(r" (?=[.,!?;:)\]%])|(?<=[(\[$]) ")  # no space stands here


class Vocabulary:
    """The units that the model reads and writes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, texts: Iterable[str], n_tokens: int, known: Iterable[str] = ()) -> "Vocabulary":
        """The commonest words and marks of `texts`, those that stand in `known` if it is given.

        Of words that are equally common the first in the alphabet is taken.
        """
        allowed = {piece for text in known for piece in pieces(text)}
        counts = Counter(piece for text in texts for piece in pieces(text))
        order = sorted(counts, key=lambda piece: (-counts[piece], piece))
        kept = [piece for piece in order if not allowed or piece in allowed][: n_tokens - 2]
        words = {piece: i for i, piece in enumerate([END_TEXT, UNKNOWN_TEXT, *kept])}
        tokenizer = Tokenizer(models.WordLevel(words, unk_token=UNKNOWN_TEXT))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(PIECE), "removed", invert=True)
        return cls(tokenizer)

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote."""
        return cls(Tokenizer.from_file(str(path)))

    def save(self, path: Path) -> None:
        """As one JSON file, in the format of Hugging Face's tokenizers."""
        self._tokenizer.save(str(path))

    def __len__(self) -> int:
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """The tokens of the text, in lower case, after the token that begins it."""
        return [END, *self._tokenizer.encode(text, add_special_tokens=False).ids]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; END and what is unknown are left out."""
        said = (self.word(int(token)) for token in tokens if int(token) > UNKNOWN)
        return BEFORE.sub("", " ".join(said))

    def word(self, token: int) -> str:
        """What one token stands for."""
        return self._tokenizer.id_to_token(token)

    def batch(self, texts: Iterable[str], longest: int) -> Tensor:
        """Texts as "text time", each begun and ended by END, cut to `longest`, padded by END."""
        rows = [torch.tensor([*self.encode(text), END][:longest]) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)


def pieces(text: str) -> list[str]:
    """The words and marks of a text, in lower case."""
    return re.findall(PIECE, text.lower())
