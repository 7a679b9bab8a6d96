"""The text that the model learns from: sentences that people rated, and that a model wrote.

Source: Hutto & Gilbert 2014, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text", ICWSM-14; MIT licence, in `data/LICENSE-sentences.txt`.
"""

import gzip
from dataclasses import dataclass
from importlib.resources import files
from zlib import crc32

SENTENCES = "sentences.tsv.gz"
WRITTEN = "written.txt.gz"


@dataclass(frozen=True)
class Sentence:
    """source: film, product, editorial or tweet. text: in lower case.
    mean: of all raters, from −4 to 4, as published. ratings: of each of them (the means of 199
        tweets with some 100 ratings each are published as something else, up to 1.1 away).
    """

    source: str
    text: str
    mean: float
    ratings: tuple[int, ...]

    @property
    def tenth(self) -> int:
        """0 to 9, fixed by the text: equal texts always fall on the same side of a split."""
        return crc32(self.text.encode()) % 10


def sentences(*sources: str) -> list[Sentence]:
    """The rated sentences of these sources, of all when none is named."""
    packed = (files(__package__) / "data" / SENTENCES).read_bytes()
    lines = gzip.decompress(packed).decode().splitlines()
    rows = (line.split("\t") for line in lines)
    return [
        Sentence(source, text, float(mean), tuple(map(int, ratings.split(","))))
        for source, mean, ratings, text in rows
        if not sources or source in sources
    ]


def written() -> list[str]:
    """Short sentences on films that SmolLM2-135M-Instruct wrote, in lower case, each once.

    Source: `python -m autograde.records.written`; Ben Allal et al. 2025 (arXiv 2502.02737),
    Apache 2.0.
    """
    packed = (files(__package__) / "data" / WRITTEN).read_bytes()
    return gzip.decompress(packed).decode().splitlines()
