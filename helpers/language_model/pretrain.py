"""Make the files in `data` again: `python -m helpers.language_model.pretrain`, about 30 minutes.

Learns the vocabulary, the language model, the proxy and the gold score from the rated sentences,
prints what each is worth on sentences that none of them has seen, and writes them.
"""

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name
from tqdm.auto import tqdm

from ..device import pick_device
from .checkpoint import DATA, SIZES, count_parameters, save
from .model import LanguageModel
from .ngram import KneserNey
from .ratings import Sentence, sentences
from .scorers import Gold, Proxy
from .vocabulary import END, Vocabulary

BATCH = 32
N_PROXY = 400  # sentences that the proxy learns from, with one person's rating of each


def main() -> None:
    """Make and write everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, default=DATA, help="folder to write to")
    parser.add_argument("--epochs", type=int, default=9, help="of the language model")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    learn = [one for one in sentences() if one.tenth != 0]
    held_out = [one for one in sentences("film") if one.tenth == 0]
    vocabulary = Vocabulary.learn([one.text for one in learn], SIZES.vocab)
    vocabulary.save(options.to / "vocabulary.json")
    model = pretrain_model(vocabulary, learn, held_out, options.epochs)
    save(model, options.to / "reviewer.safetensors")
    few, many = split_raters(learn)
    save(fit_proxy(vocabulary, few, held_out), options.to / "proxy.safetensors")
    save(train_gold(vocabulary, model, many, held_out), options.to / "gold.safetensors")


def split_raters(learn: Sequence[Sentence]) -> tuple[list[Sentence], list[Sentence]]:
    """The film sentences that the proxy learns from, and all the others, for the gold score."""
    order = torch.randperm(len(learn), generator=torch.Generator().manual_seed(0)).tolist()
    films = [i for i in order if learn[i].source == "film"][:N_PROXY]
    return [learn[i] for i in films], [learn[i] for i in sorted(set(order) - set(films))]


def pretrain_model(
    vocabulary: Vocabulary, learn: Sequence[Sentence], held_out: Sequence[Sentence], epochs: int
) -> LanguageModel:
    """A language model of all sentences; prints its perplexity beside that of counts."""
    torch.manual_seed(0)
    model = LanguageModel(SIZES).to(pick_device())
    texts = [one.text for one in learn]
    print(f"language model: {count_parameters(model):,} parameters, {len(texts):,} sentences")
    rows = vocabulary.batch(texts, SIZES.context)

    def loss(batch: Tensor) -> Tensor:
        tokens = _trim(rows[batch]).to(pick_device())
        return _surprise(model, tokens) / _is_target(tokens).sum()

    _optimise(model, loss, _lengths(rows), epochs, learning_rate=2e-3)
    test = vocabulary.batch([one.text for one in held_out], SIZES.context)
    print(f"  held-out film reviews: perplexity {perplexity(model, test):.1f} per token")
    for order in (2, 3, 4):
        counts = KneserNey(order, SIZES.vocab).fit(_plain(rows))
        print(f"  Kneser-Ney with {order} tokens: {counts.perplexity(_plain(test)):.1f}")
    return model.cpu()


def fit_proxy(
    vocabulary: Vocabulary, few: Sequence[Sentence], held_out: Sequence[Sentence]
) -> Proxy:
    """One weight for each token, from one person's rating of each of a few sentences."""
    proxy = Proxy(SIZES.vocab)
    ratings = torch.tensor([float(one.ratings[0]) for one in few])
    proxy.fit(vocabulary.batch([one.text for one in few], SIZES.context), ratings, ridge=1.0)
    print(f"proxy, from one rating of each of {len(few)} sentences:")
    _report(proxy, vocabulary, held_out)
    return proxy


def train_gold(
    vocabulary: Vocabulary,
    model: LanguageModel,
    many: Sequence[Sentence],
    held_out: Sequence[Sentence],
    epochs: int = 3,
) -> Gold:
    """The language model taught on, to predict the mean of all raters.

    To each batch comes half as much text that nobody wrote, rated 0: the raters' scale has 0
    for "neutral, or neither". Without it, a word said sixteen times is rated like a review.
    """
    torch.manual_seed(1)
    gold = Gold(SIZES)
    gold.reader.load_state_dict(model.state_dict())
    gold.to(pick_device())
    print(f"gold score, from all ratings of {len(many):,} other sentences:")
    rows = vocabulary.batch([one.text for one in many], SIZES.context)
    ratings = torch.tensor([one.mean for one in many])

    def loss(batch: Tensor) -> Tensor:
        spoiled = torch.stack([spoil(row) for row in rows[batch[: (len(batch) + 1) // 2]]])
        tokens = _trim(torch.cat([rows[batch], spoiled]))
        wanted = torch.cat([ratings[batch], torch.zeros(len(spoiled))])
        return F.mse_loss(gold(tokens.to(pick_device())), wanted.to(pick_device()))

    _optimise(gold, loss, _lengths(rows), epochs, learning_rate=5e-4)
    _report(gold.cpu(), vocabulary, held_out)
    test = vocabulary.batch([one.text for one in held_out], SIZES.context)
    with torch.no_grad():
        size = gold(torch.stack([spoil(row) for row in test])).square().mean().sqrt()
    print(f"  root mean square of its score for spoiled sentences: {size:.2f}")
    return gold


def spoil(row: Tensor) -> Tensor:
    """The sentence's tokens in a random order, some of them instead of others: no sentence."""
    row, place = row.clone(), (row != END).nonzero().squeeze(1)
    kept = len(place) if torch.rand(()) < 0.3 else int(torch.randint(1, 5, ()))
    few = row[place[torch.randperm(len(place))[:kept]]]
    whole = kept == len(place)
    drawn = torch.randperm(len(place)) if whole else torch.randint(len(few), place.shape)
    row[place] = few[drawn]
    return row


def _optimise(
    network: nn.Module,
    loss: Callable[[Tensor], Tensor],
    lengths: Tensor,
    epochs: int,
    learning_rate: float,
) -> None:
    """AdamW with warm-up and cosine decay (torch's one-cycle schedule); ends in eval mode."""
    optimizer = torch.optim.AdamW(
        network.parameters(),
        learning_rate,
        betas=(0.9, 0.95),  # of which the schedule moves the first between 0.85 and 0.95
        weight_decay=0.1,
    )
    total = epochs * len(list(_batches(lengths)))
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=total, pct_start=0.1
    )
    network.train()
    with tqdm(total=total, desc="  training") as bar:
        for _ in range(epochs):
            for batch in _batches(lengths):
                optimizer.zero_grad()
                loss(batch).backward()
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
                schedule.step()
                bar.update()
    network.eval()


def _batches(lengths: Tensor) -> Iterator[Tensor]:
    """Row numbers in random order, with rows of like length together, to save padding."""
    order = (lengths + torch.rand(len(lengths))).argsort()
    groups = order.split(BATCH)
    yield from (groups[i] for i in torch.randperm(len(groups)).tolist())


def _lengths(rows: Tensor) -> Tensor:
    """Tokens of each row, the END that begins it not counted."""
    return (rows != END).sum(dim=1)


def _trim(rows: Tensor) -> Tensor:
    """Without the columns that are padding in every row."""
    return rows[:, : int(_lengths(rows).max()) + 2]


def _is_target(tokens: Tensor) -> Tensor:
    """Which positions' next token counts: all up to the first END after the beginning."""
    return torch.arange(tokens.shape[1] - 1, device=tokens.device) <= _lengths(tokens)[:, None]


def _surprise(model: nn.Module, tokens: Tensor) -> Tensor:
    """−log p of every token that counts, added up."""
    real = _is_target(tokens)
    return F.cross_entropy(model(tokens[:, :-1])[real], tokens[:, 1:][real], reduction="sum")


@torch.no_grad()
def perplexity(model: nn.Module, rows: Tensor) -> float:
    """exp of the mean −log p of a token, over all tokens of all rows."""
    device = next(model.parameters()).device
    parts = [_trim(part).to(device) for part in rows.split(64)]
    total = sum(_surprise(model, part).item() for part in parts)
    return math.exp(total / sum(_is_target(part).sum().item() for part in parts))


def _plain(rows: Tensor) -> list[list[int]]:
    """Rows as lists, begun and ended by END, without padding."""
    ends = (_lengths(rows) + 2).clamp(max=rows.shape[1]).tolist()
    return [row[:end] for row, end in zip(rows.tolist(), ends, strict=True)]


@torch.no_grad()
def _report(scorer: nn.Module, vocabulary: Vocabulary, held_out: Sequence[Sentence]) -> None:
    """Print the correlation with the mean of all raters."""
    guess = scorer(vocabulary.batch([one.text for one in held_out], SIZES.context))
    truth = torch.tensor([one.mean for one in held_out])
    correlation = torch.corrcoef(torch.stack([guess, truth]))[0, 1]
    print(f"  correlation with the mean human rating of {len(truth)} unseen: {correlation:.2f}")


if __name__ == "__main__":
    main()
