"""Judges from outside: what is counted, without the model that is not in the repository."""

import pytest
import torch

from autograde.records.outside import Outside, distinct_words, words
from helpers.language_model.ratings import sentences
from helpers.language_model.scorers import REPEATED, VARIED


@pytest.fixture
def judge():
    """One to whom every text is as surprising as it has words."""
    found = Outside.__new__(Outside)
    found.nats_per_word = lambda texts: torch.tensor([float(len(text.split())) for text in texts])
    return found


def test_words_are_counted_without_marks():
    found = words("It's a well-made film, isn't it?")
    assert found == ["it's", "a", "well-made", "film", "isn't", "it"]
    assert distinct_words(["a b a b", "a b", ""]).tolist() == [0.5, 1.0, 0.0]


def test_people_repeat_no_more_than_is_counted_as_usual():
    people = distinct_words([" ".join(one.text.split()[:16]) for one in sentences("film")])
    assert (people < REPEATED).float().mean() < 0.005
    assert (people >= VARIED).float().mean() > 0.9


def test_what_surprises_or_repeats_is_not_readable(judge):
    texts = ["one two three", "a b c d e f g h i j k", "the the the the"]
    assert judge.readable(texts).tolist() == [1.0, 0.0, 0.0]
