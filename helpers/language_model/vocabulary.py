"""Text to tokens and back: a byte-level BPE vocabulary learned from the sentences."""

from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor

END = 0  # the token that begins and ends every sentence; what comes after it is padding
END_TEXT = "<|end|>"


class Vocabulary:
    """The units that the model reads and writes."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def learn(cls, texts: Iterable[str], n_tokens: int) -> "Vocabulary":
        """Merge the commonest neighbours until there are n_tokens units (arXiv 1508.07909)."""
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=n_tokens,
            special_tokens=[END_TEXT],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
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
        return [END, *self._tokenizer.encode(text.lower()).ids]

    def decode(self, tokens: Iterable[int]) -> str:
        """The text of the tokens; END is left out."""
        return self._tokenizer.decode([int(token) for token in tokens]).strip()

    def batch(self, texts: Iterable[str], longest: int) -> Tensor:
        """Texts as "text time", each begun and ended by END, cut to `longest`, padded by END."""
        rows = [torch.tensor([*self.encode(text), END][:longest]) for text in texts]
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=END)
