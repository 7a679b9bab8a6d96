"""Pairs that are read blind: what is shown, and how choices are counted."""

import pytest

from autograde.records import reading


def record():
    def run(beta, seed):
        texts = {
            step: [f"{beta} {seed} {step} {i}" for i in range(8)] for step in ("0", "60", "120")
        }
        return {"beta": beta, "seed": seed, "step": [0, 60, 120], "texts": texts}

    return {"best": 0.3, "sweep": [run(beta, seed) for beta in (0.0, 0.3) for seed in range(5)]}


def test_pairs_are_of_one_prompt_and_the_order_tells_nothing():
    found = reading.pairs(record())
    assert found == reading.pairs(record())
    for pair in found:
        tuned, other = pair[pair["tuned"]], pair["B" if pair["tuned"] == "A" else "A"]
        assert tuned.split()[0] == "0.3"
        _beta, _seed, step, place = tuned.split()
        assert step in ("60", "120")
        assert other.split()[2:] == ["0" if pair["against"] == "ref" else step, place]
    first = [pair["tuned"] for pair in found]
    assert 0.35 < first.count("A") / len(first) < 0.65
    of_ref = [pair[pair["tuned"]] for pair in found if pair["against"] == "ref"]
    assert len(of_ref) == len(set(of_ref)) == 50


def test_choices_are_counted_and_a_tie_is_half_of_one():
    each = reading.pairs(record())
    right = "".join(pair["tuned"] for pair in each)
    found = reading.chosen(record(), [right, "-" * len(each)])
    assert found["ref"]["readers"] == [1.0, 0.5]
    assert found["ref"]["preferred"] == found["0"]["preferred"] == 0.75
    assert found["all"][0]["chosen"] == [right[0], "-"]


@pytest.mark.parametrize("line", ["AB", "X" * 75])
def test_a_line_of_another_length_or_letter_is_told(line):
    with pytest.raises(SystemExit, match="error: a line has"):
        reading.chosen(record(), [line])


def test_what_is_shown_names_no_model():
    shown = reading._as_text(reading.pairs(record()))
    assert reading.QUESTION in shown
    assert "tuned" not in shown
    assert "ref" not in shown
