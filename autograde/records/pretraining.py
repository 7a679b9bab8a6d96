"""Make lesson 06's language model and its two judges again: `make pretrain SMOLLM2=FILE`.

FILE is what `python -m autograde.records.written` takes: SmolLM2 judges, from outside, what
tuned models write. Learns the vocabulary, the model, the proxy and the gold score from rated and
written sentences, prints what each is worth on text that it has not seen, and writes them. About
an hour on two cores.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from helpers.language_model.checkpoint import DATA, SIZES, count_parameters, load_model, save
from helpers.language_model.learning import (
    fit_proxy,
    learn_to_write,
    perplexity,
    plain,
    split_raters,
    spoil,
    teach_to_judge,
)
from helpers.language_model.model import LanguageModel
from helpers.language_model.ngram import KneserNey
from helpers.language_model.ratings import Sentence, sentences, written
from helpers.language_model.sampling import sample
from helpers.language_model.scorers import Gold
from helpers.language_model.tuning import PROMPTS, Settings, World, distinct_2
from helpers.language_model.vocabulary import Vocabulary, pieces

from ..common.saying import say
from .methods import ANSWERS
from .outside import Outside, outside_from
from .sweep import Kept

N_COUNTED = 400  # held-out sentences on which counts are compared: they are slow
OTHERS = range(1, 5)  # the draws of sentences for the proxies that gold's models are tuned on
N_STEPS, EVERY = 100, 5  # of such a tuning, and the steps between the texts that are kept
N_KEPT = 2  # responses to each prompt that are kept of such a step
WEIGHT = 4  # how often gold reads a tuned model's text in each epoch
TEMPERATURES = (1.0, 0.85, 0.7)
TUNINGS = ((0.0, 3e-4), (0.05, 3e-4))  # β and learning rate


def main(arguments: list[str] | None = None) -> None:
    """Make and write everything."""
    parser = argparse.ArgumentParser(
        prog="python -m autograde.records.pretraining",
        description="Make lesson 06's language model and its two judges again.",
    )
    parser.add_argument("outside", type=Path, help="SmolLM2: a GGUF file, or a wheel of one")
    parser.add_argument("--to", type=Path, default=DATA, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=6, help="of the language model")
    parser.add_argument("--keep-model", action="store_true", help="make the judges alone again")
    options = parser.parse_args(arguments)
    outside = outside_from(options.outside)
    options.to.mkdir(parents=True, exist_ok=True)
    make(outside, options.to, 0 if options.keep_model else options.epochs)


def make(outside: Outside, to: Path, epochs: int) -> None:
    """The vocabulary, the model unless there are no epochs, the proxy and gold, in files."""
    learn = [one for one in sentences() if one.tenth != 0]
    held_out = [one for one in sentences("film") if one.tenth == 0]
    vocabulary = vocabulary_of(learn)
    vocabulary.save(to / "vocabulary.json")
    if epochs:
        save(pretrained(vocabulary, learn, held_out, epochs), to / "reviewer.safetensors")
    model = load_model(to / "reviewer.safetensors")
    report_on_writing(vocabulary, model, outside)
    few, many = split_raters(learn)
    proxy = fit_proxy(vocabulary, few, SIZES.context)
    save(proxy, to / "proxy.safetensors")
    say(f"proxy, from one rating of each of {len(few)} sentences:")
    report_on_people(proxy, vocabulary, held_out)
    save(gold_score(vocabulary, model, many, held_out, outside), to / "gold.safetensors")


def vocabulary_of(learn: Sequence[Sentence]) -> Vocabulary:
    """The commonest words of film sentences, each of which some person has written."""
    films = [one.text for one in learn if one.source == "film"]
    return Vocabulary.learn([*films, *films, *written()], SIZES.vocab, [one.text for one in learn])


def pretrained(
    vocabulary: Vocabulary, learn: Sequence[Sentence], held_out: Sequence[Sentence], epochs: int
) -> LanguageModel:
    """A model of people's reviews and of written sentences; prints perplexities beside counts'."""
    reviews = [one.text for one in learn if one.source in ("film", "product")]
    texts = written()
    unseen, seen = texts[::20], [text for i, text in enumerate(texts) if i % 20]
    rows = vocabulary.batch([*reviews, *seen], SIZES.context)
    model = learn_to_write(SIZES, rows, epochs)
    say(f"language model: {count_parameters(model):,} parameters, {len(rows):,} sentences")
    tests = {"people's film sentences": [one.text for one in held_out], "written": unseen}
    tests = {n: vocabulary.batch(x[:N_COUNTED], SIZES.context) for n, x in tests.items()}
    said = "  ".join(f"{n}: {perplexity(model, x):.1f}" for n, x in tests.items())
    say(f"  perplexity a token  {said}")
    for order in (2, 3, 4):
        counts = KneserNey(order, len(vocabulary)).fit(plain(rows))
        said = "  ".join(f"{n}: {counts.perplexity(plain(x)):.1f}" for n, x in tests.items())
        say(f"  Kneser-Ney, {order}:      {said}")
    return model


def report_on_writing(vocabulary: Vocabulary, model: LanguageModel, outside: Outside) -> None:
    """Print how well it writes at several temperatures, by 256 texts of up to 16 tokens."""
    films = [" ".join(one.text.split()[:16]) for one in sentences("film")[::41]][:256]
    say(f"  people's film sentences, to 16 words: {surprise(outside, films):.2f} nats a word")
    for temperature in TEMPERATURES:
        generator = torch.Generator().manual_seed(0)
        prompts = [vocabulary.encode(text) for text in PROMPTS for _ in range(32)]
        drawn = sample(model, prompts, 16, generator, temperature)
        texts = [vocabulary.decode(row) for row in drawn.tokens]
        said = f"{surprise(outside, texts):.2f} nats a word, distinct-2 {distinct_2(drawn):.2f}"
        said += f", {known(texts):.1%} of the words are people's"
        say(f"  at temperature {temperature:g}: {said}")


def surprise(outside: Outside, texts: Sequence[str]) -> float:
    """SmolLM2's, in nats a word, over all words of the texts."""
    lengths = torch.tensor([float(len(text.split())) for text in texts])
    return ((outside.nats_per_word(texts) * lengths).sum() / lengths.sum()).item()


def gold_score(
    vocabulary: Vocabulary,
    model: LanguageModel,
    many: Sequence[Sentence],
    held_out: Sequence[Sentence],
    outside: Outside,
) -> Gold:
    """A reader with a start of its own, taught what people rated, and what nobody would write.

    People's sentences have their ratings, and are readable; spoiled ones are not; texts of models
    that were tuned on other proxies are as far as the judges from outside find them so.
    """
    rows = vocabulary.batch([one.text for one in many], SIZES.context)
    gold = Gold(SIZES)
    gold.reader = learn_to_write(SIZES, rows, epochs=2, seed=1)
    tuned = torch.cat([tuned_texts(vocabulary, model, fold) for fold in OTHERS])
    readable = outside.readable([vocabulary.decode(row) for row in tuned])
    torch.manual_seed(2)
    spoiled = torch.stack([spoil(row) for row in rows[::2]])
    often = [*tuned] * WEIGHT
    every = torch.nn.utils.rnn.pad_sequence([*rows, *spoiled, *often], batch_first=True)
    unknown = torch.full((len(every) - len(rows),), torch.nan)
    ratings = torch.cat([torch.tensor([one.mean for one in many]), unknown])
    fair = [torch.ones(len(rows)), torch.zeros(len(spoiled)), readable.repeat(WEIGHT)]
    teach_to_judge(gold, every, ratings, torch.cat(fair), epochs=3)
    said = f"{len(tuned):,} texts of tuned models and {len(spoiled):,} spoiled ones"
    say(f"gold, from all ratings of {len(many):,} sentences, {said}:")
    report_on_people(gold, vocabulary, held_out)
    return gold


def tuned_texts(vocabulary: Vocabulary, model: LanguageModel, fold: int) -> Tensor:
    """What models write while they are tuned on another proxy, "text time"."""
    few, _ = split_raters([one for one in sentences() if one.tenth != 0], seed=fold)
    proxy = fit_proxy(vocabulary, few, SIZES.context)
    world = World(model, proxy, proxy, vocabulary)  # gold is yet to be taught
    kept = []
    for beta, rate in TUNINGS:
        settings = Settings(learning_rate=rate, every=EVERY, n_measured=N_KEPT)
        tuning = Kept(ANSWERS, beta, fold, settings, world)
        tuning.run(N_STEPS, progress=False)
        kept += [torch.tensor(rows) for rows in tuning.tokens.values()]
    longest = max(tokens.shape[1] for tokens in kept)
    return torch.cat([nn.functional.pad(x, (0, longest - x.shape[1])) for x in kept])


@torch.no_grad()
def rate(scorer: nn.Module, rows: Tensor) -> Tensor:
    """The scorer's rating of each row."""
    return torch.cat([scorer(part) for part in rows.split(256)])


def report_on_people(
    scorer: nn.Module, vocabulary: Vocabulary, held_out: Sequence[Sentence]
) -> None:
    """Print the correlation with the mean of all raters."""
    rows = vocabulary.batch([one.text for one in held_out], SIZES.context)
    found = correlation(rate(scorer, rows), torch.tensor([one.mean for one in held_out]))
    say(f"  correlation with the mean human rating of {len(rows)} unseen: {found:.2f}")


def correlation(one: Tensor, other: Tensor) -> float:
    """Pearson's."""
    return torch.corrcoef(torch.stack([one, other]))[0, 1].item()


def known(texts: Sequence[str]) -> float:
    """The share of the texts' words that people wrote in the rated sentences."""
    people = {piece for one in sentences() for piece in pieces(one.text)}
    said = [piece for text in texts for piece in pieces(text)]
    return sum(piece in people for piece in said) / max(len(said), 1)


if __name__ == "__main__":
    main()
