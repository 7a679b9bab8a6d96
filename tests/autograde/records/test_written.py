"""Sentences that a larger model writes: which are kept, and how a stopped run goes on."""

import gzip

import pytest
from torch import nn

from autograde.records import written


@pytest.mark.parametrize(
    ("line", "kept"),
    [
        ("The plot is thin, but the cast saves it.", True),
        ("I didn't believe it!", True),
        ("too small a letter.", False),
        ("No end", False),
        ("In 1999 it was new.", False),
        ("See www.x.org for more.", False),
        ("The film " + "is long and " * 20 + "dull.", False),
    ],
)
def test_a_line_is_used_if_it_is_a_sentence_of_plain_words(line, kept):
    assert bool(written.SENTENCE.fullmatch(line)) == kept


@pytest.mark.parametrize("kind", [written.SHORTER, written.LONGER])
def test_all_examples_would_be_used(kind):
    plain = [one.replace(";", ",") for one in kind.examples]
    assert all(written.SENTENCE.fullmatch(one) for one in plain)
    assert len(set(plain)) == len(plain)


@pytest.fixture
def model(monkeypatch):
    """One that writes two lines for each seed."""
    monkeypatch.setattr(written, "load_gguf", lambda path: (nn.Identity(), None))
    monkeypatch.setattr(written, "batch", lambda policy, tokenizer, seed: [f"A {seed}.", "B."])


def test_a_stopped_run_goes_on_after_its_last_whole_batch(model, tmp_path):
    file = tmp_path / "sentences.txt"
    written.main(["model.gguf", str(file), "--batches", "2", "--to", str(tmp_path)])
    assert file.read_text() == "A 0.\nB.\n\nA 1.\nB.\n\n"
    file.write_text(file.read_text() + "A 2.\nhalf a ba")
    written.main(["model.gguf", str(file), "--batches", "3", "--to", str(tmp_path)])
    assert file.read_text() == "A 0.\nB.\n\nA 1.\nB.\n\nA 2.\nB.\n\n"


def test_sentences_are_packed_once_and_in_lower_case_to_the_same_bytes():
    packed = written.pack("The film.\nA  plot.\n\nthe film.\n\n")
    assert gzip.decompress(packed).decode() == "the film.\na plot."
    assert packed == written.pack("The film.\nA  plot.\n\nthe film.\n\n")


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(SystemExit, match="error: "):
        written.main([str(tmp_path / "none.gguf"), str(tmp_path / "out.txt")])
    assert not (tmp_path / "out.txt").exists()
