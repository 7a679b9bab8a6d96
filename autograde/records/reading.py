"""What others say of the record's texts: judges from outside, and people who read them blind.

    python -m autograde.records.reading outside SMOLLM2
    python -m autograde.records.reading pairs PAIRS.txt
    python -m autograde.records.reading choices CHOICES.txt [CHOICES.txt ...]

The first adds to the record what SmolLM2, VADER and counting say of its last texts, and how gold
goes with them. The second writes pairs, of which one text is the untrained model's and the other
a tuned one's, in an order that tells nothing. The third reads what was chosen, a line for each
reader, a letter for each pair (A, B, or - for neither), and keeps it beside the record.
"""

import argparse
import json
import random
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from helpers.language_model.checkpoint import DATA, SIZES, load_gold, load_proxy, load_vocabulary
from helpers.language_model.runs import PREFERENCES, RECORDED

from ..common.files import write_whole
from ..common.saying import say
from .outside import Outside, outside_from
from .pretraining import correlation, rate

N_PAIRS, LUCK = 50, 2026
N_LAST = 2  # measurements of each run whose texts are read
QUESTION = "Which would you rather print as a line of a favourable review: English, and praise?"


def main(arguments: list[str] | None = None) -> None:
    """One of the three."""
    parser = argparse.ArgumentParser(prog="python -m autograde.records.reading")
    parser.add_argument("what", choices=("outside", "pairs", "choices"))
    parser.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args(arguments)
    record = json.loads((DATA / RECORDED).read_text("utf-8"))
    if options.what == "outside":
        record["outside"] = judged(record, options.files[0])
        _write(RECORDED, record)
    elif options.what == "pairs":
        write_whole(options.files[0], _as_text(pairs(record)).encode())
    else:
        lines = [line.strip() for file in options.files for line in file.read_text().splitlines()]
        _write(PREFERENCES, chosen(record, [line for line in lines if line]))


def _write(name: str, data: Any) -> None:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n"
    write_whole(DATA / name, text.encode())
    say(f"{DATA / name}: {len(text.encode()):,} bytes")


def judged(record: dict[str, Any], file: Path) -> dict[str, Any]:
    """For each β: nats a word, readable and praise of its last texts; what goes with what."""
    outside = outside_from(file)
    betas = sorted({run["beta"] for run in record["sweep"]})
    texts = {f"{beta:g}": _last(record, beta) for beta in betas}
    texts["ref"] = [text for run in record["sweep"] for text in run["texts"]["0"]]
    found = {name: _means(outside, each) for name, each in texts.items()}
    for name, said in found.items():
        say(f"β {name:5} " + "  ".join(f"{key} {value:.2f}" for key, value in said.items()))
    every = [text for each in texts.values() for text in each]
    rows = load_vocabulary().batch(every, SIZES.context)
    gold, proxy = rate(load_gold(), rows), rate(load_proxy(), rows)
    praise, readable = outside.praise(every), outside.readable(every)
    others = {"nats_a_word": outside.nats_per_word(every), "readable": readable, "praise": praise}
    agreement = {
        "gold": _correlations(gold, others | {"readable_praise": praise * readable}),
        "readable_praise": _correlations(
            praise * readable,
            {"gold": gold, "proxy": proxy, "praise": praise, "readable": readable},
        ),
    }
    say(f"correlations on these {len(every)} texts: {agreement}")
    return {"by_beta": found, **agreement, "texts": len(every)}


def _correlations(one: Tensor, others: Mapping[str, Tensor]) -> dict[str, float]:
    return {name: round(correlation(one, other), 3) for name, other in others.items()}


def _last(record: dict[str, Any], beta: float) -> list[str]:
    """The texts of the last measurement, of every seed."""
    runs = [run for run in record["sweep"] if run["beta"] == beta]
    return [text for run in runs for text in run["texts"][str(run["step"][-1])]]


def _means(outside: Outside, texts: Sequence[str]) -> dict[str, float]:
    each = {
        "nats_a_word": outside.nats_per_word(texts),
        "readable": outside.readable(texts),
        "praise": outside.praise(texts),
    }
    return {name: round(value.mean().item(), 3) for name, value in each.items()}


def pairs(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Two texts after the same prompt, by ref and by the best β; some by β = 0 and the best β.

    tuned: which of the two, A or B, is of the best β.
    """
    luck, found = random.Random(LUCK), []
    best = [run for run in record["sweep"] if run["beta"] == record["best"]]
    places = [
        (run, step, place)
        for run in best
        for step in run["step"][-N_LAST:]
        for place in range(len(run["texts"][str(step)]))
    ]
    for against, n in (("ref", N_PAIRS), ("0", N_PAIRS // 2)):
        for own, step, place in luck.sample(places, n):  # no pair comes twice
            other = own if against == "ref" else _of(record, 0.0, own["seed"])
            then = own["step"][0] if against == "ref" else step
            two = [own["texts"][str(step)][place], other["texts"][str(then)][place]]
            tuned = luck.choice("AB")
            texts = dict(zip("AB" if tuned == "A" else "BA", two, strict=True))
            found.append({"against": against, "tuned": tuned, **dict(sorted(texts.items()))})
    luck.shuffle(found)
    return found


def _of(record: dict[str, Any], beta: float, seed: int) -> dict[str, Any]:
    return next(run for run in record["sweep"] if (run["beta"], run["seed"]) == (beta, seed))


def _as_text(each: Sequence[dict[str, Any]]) -> str:
    lines = [QUESTION, ""]
    for number, pair in enumerate(each, 1):
        lines += [f"{number:3}  A  {pair['A']}", f"     B  {pair['B']}", ""]
    return "\n".join(lines)


def chosen(record: dict[str, Any], lines: Sequence[str]) -> dict[str, Any]:
    """How often the tuned text was chosen, over all readers; a tie is half a choice."""
    each = pairs(record)
    for line in lines:
        if len(line) != len(each) or set(line) - set("AB-"):
            sys.exit(f"error: a line has {len(line)} letters; {len(each)} of A, B and - are needed")
    said: dict[str, Any] = {"question": QUESTION, "best": record["best"], "readers": len(lines)}
    for against in ("ref", "0"):
        own = [i for i, pair in enumerate(each) if pair["against"] == against]
        worth = [_worth(line[i], each[i]["tuned"]) for line in lines for i in own]
        said[against] = {"pairs": len(own), "preferred": round(sum(worth) / len(worth), 3)}
        said[against]["readers"] = [
            round(sum(_worth(line[i], each[i]["tuned"]) for i in own) / len(own), 3)
            for line in lines
        ]
        say(f"β = {record['best']:g} against {against}: {said[against]}")
    return said | {"all": [pair | {"chosen": [x[i] for x in lines]} for i, pair in enumerate(each)]}


def _worth(letter: str, tuned: str) -> float:
    return 0.5 if letter == "-" else float(letter == tuned)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
