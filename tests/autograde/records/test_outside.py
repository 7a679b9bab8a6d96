"""Judges from outside: what is counted, without the model that is not in the repository."""

import pytest
import torch

pytest.importorskip("vaderSentiment", reason="vaderSentiment is not installed")
from autograde.records.outside import Outside, distinct_words, words


@pytest.fixture
def judge(monkeypatch):
    """One to whom every text is as surprising as it has words."""
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    found = Outside.__new__(Outside)
    found.rules = SentimentIntensityAnalyzer()
    found.nats_per_word = lambda texts: torch.tensor([float(len(text.split())) for text in texts])
    return found


def test_words_are_counted_without_marks():
    found = words("It's a well-made film, isn't it?")
    assert found == ["it's", "a", "well-made", "film", "isn't", "it"]
    assert distinct_words(["a b a b", "a b", ""]).tolist() == [0.5, 1.0, 0.0]


def test_what_surprises_or_repeats_is_not_readable(judge):
    texts = ["one two three", "a b c d e f g h i j k", "the the the the"]
    assert judge.readable(texts).tolist() == [1.0, 0.0, 0.0]


def test_praise_has_the_sign_of_the_words(judge):
    good, bad, none = judge.praise(["a wonderful film", "an awful film", "a film"]).tolist()
    assert good > 0 > bad
    assert none == 0
