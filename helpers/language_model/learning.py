"""How the language model and its two judges learn; `make pretrain` calls it and says the data."""

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name
from tqdm.auto import tqdm

from ..device import pick_device
from .model import LanguageModel, Sizes
from .ratings import Sentence
from .scorers import Gold, Proxy
from .vocabulary import END, UNKNOWN, Vocabulary

BATCH = 64
N_PROXY = 400  # sentences that the proxy learns from, with one person's rating of each


def split_raters(learn: Sequence[Sentence], seed: int = 0) -> tuple[list[Sentence], list[Sentence]]:
    """The film sentences that a proxy learns from, and all the others, for the gold score."""
    order = torch.randperm(len(learn), generator=torch.Generator().manual_seed(seed)).tolist()
    films = [i for i in order if learn[i].source == "film"][:N_PROXY]
    return [learn[i] for i in films], [learn[i] for i in sorted(set(order) - set(films))]


def learn_to_write(
    sizes: Sizes, rows: Tensor, epochs: int, learning_rate: float = 2e-3, seed: int = 0
) -> LanguageModel:
    """A language model of these rows, "text time", in eval mode on the CPU."""
    torch.manual_seed(seed)
    model = LanguageModel(sizes).to(pick_device())

    def loss(batch: Tensor) -> Tensor:
        tokens = _trim(rows[batch]).to(pick_device())
        return _surprise(model, tokens) / _is_target(tokens).sum()

    _optimise(model, loss, _lengths(rows), epochs, learning_rate)
    return model.cpu()


def fit_proxy(vocabulary: Vocabulary, few: Sequence[Sentence], longest: int) -> Proxy:
    """One weight for each word, from one person's rating of each of a few sentences."""
    proxy = Proxy(len(vocabulary))
    ratings = torch.tensor([float(one.ratings[0]) for one in few])
    proxy.fit(vocabulary.batch([one.text for one in few], longest), ratings, ridge=0.1)
    return proxy


def teach_to_judge(
    gold: Gold,
    rows: Tensor,
    ratings: Tensor,
    readable: Tensor,
    epochs: int,
    learning_rate: float = 5e-4,
) -> None:
    """Teach gold's reader the ratings of the rows, "text time", and how readable they are, 0 to 1.

    ratings: nan where none is known, which then teaches none.
    """
    gold.to(pick_device())

    def loss(batch: Tensor) -> Tensor:
        found, odds = gold.judge(_trim(rows[batch]).to(pick_device()))
        wanted = ratings[batch].to(pick_device())
        known = wanted.isfinite()
        apart = torch.where(known, found - wanted.nan_to_num(), 0.0).square().sum()
        return apart / known.sum().clamp(min=1) + F.binary_cross_entropy_with_logits(
            odds, readable[batch].to(pick_device())
        )

    _optimise(gold, loss, _lengths(rows), epochs, learning_rate)
    gold.cpu()


def spoil(row: Tensor) -> Tensor:
    """The sentence's tokens in a random order, some of them instead of others: no sentence."""
    row, place = row.clone(), (row != END).nonzero().squeeze(1)
    kept = len(place) if torch.rand(()) < 0.5 else int(torch.randint(1, 5, ()))
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
    with tqdm(total=total, desc="  training", mininterval=5) as bar:
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
    """Which positions' next token counts: all up to the first END after the beginning.

    A word that the vocabulary lacks is read, and never to be written, so it does not count.
    """
    places = torch.arange(tokens.shape[1] - 1, device=tokens.device)
    return (places <= _lengths(tokens)[:, None]) & (tokens[:, 1:] != UNKNOWN)


def _surprise(model: nn.Module, tokens: Tensor) -> Tensor:
    """−log p of every token that counts, added up."""
    real = _is_target(tokens)
    return F.cross_entropy(model(tokens[:, :-1])[real], tokens[:, 1:][real], reduction="sum")


@torch.no_grad()
def perplexity(model: nn.Module, rows: Tensor) -> float:
    """exp of the mean −log p of a token, over all tokens of all rows, unknown words left out."""
    device = next(model.parameters()).device
    parts = [_trim(part).to(device) for part in rows.split(64)]
    total = sum(_surprise(model, part).item() for part in parts)
    return math.exp(total / sum(_is_target(part).sum().item() for part in parts))


def plain(rows: Tensor) -> list[list[int]]:
    """Rows as lists, begun and ended by END, without padding."""
    ends = (_lengths(rows) + 2).clamp(max=rows.shape[1]).tolist()
    return [row[:end] for row, end in zip(rows.tolist(), ends, strict=True)]
