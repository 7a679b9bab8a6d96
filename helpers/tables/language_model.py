"""Tables of lesson 06: where runs end, what judges say of texts, and samplers beside a trainer.

A run is `helpers.language_model.runs.Run`: curves over training steps, measured every few steps.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..language_model.runs import LargerRun, Preferences, Run
from ..language_model.sampling import sample
from ..language_model.tuning import World
from ..plots.language_model import MEASURES, by_beta, commonest_word, ends, ranked, spread_text
from ..problems.case_study import at_end, per_token

# logp, sampler_logp, mask and cap, as `truncated_weights` takes them
Weigh = Callable[[Tensor, Tensor, Tensor, float], Tensor]

N_WON, N_LIKED, RARE = 10, 5, 0.001  # words; what won less than this share is left out


def print_ends(
    groups: Mapping[str, Sequence[Run]], names: Sequence[str], began: Sequence[Run] = ()
) -> None:
    """A table of where runs end (last three measurements): mean over seeds [least, greatest].

    began: runs whose first measurements, of ref, are the last row.
    """
    rows = {label: _ends(runs, names) for label, runs in groups.items()}
    if began:
        rows["ref"] = _starts(began, names)
    _print_table([*map(_title, names)], rows)


def _title(name: str) -> str:
    return MEASURES[name][0].split("(")[0]


def _ends(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    return [spread_text([at_end(run, name) for run in runs]) for name in names]


def _starts(runs: Sequence[Run], names: Sequence[str]) -> list[str]:
    return [spread_text([getattr(run, name)[0] for run in runs]) for name in names]


def _print_table(titles: Sequence[str], rows: Mapping[str, Sequence[str]]) -> None:
    width = max(map(len, rows))
    for label, cells in {"": titles, **rows}.items():
        print(f"{label:{width}}" + "".join(f"  {cell:>20}" for cell in cells))


def print_record(sweep: Sequence[Run]) -> None:
    """Where the sweep's runs end, gold's best on the way, where they began, and who is highest."""
    names, rows = ("gold", "proxy", "kl"), {}
    for label, runs in by_beta(sweep).items():
        best = spread_text([max(run.gold) for run in runs])
        rows[label] = [best, *_ends(runs, names)]
    began = _starts(sweep, ("gold", "proxy"))
    print("end of the runs (last three measurements), mean over seeds [least, greatest]")
    _print_table(["Gold at its best", *map(_title, names)], rows | {"ref": ["", *began]})
    first, second = ranked(sweep, "gold")[:2]
    higher = [
        a > b for a, b in zip(*(ends(sweep, b, "gold") for b in (first, second)), strict=True)
    ]
    print(f"\ngold ends highest with β = {first:g}, next is β = {second:g}:", end=" ")
    print(f"lower at {sum(higher)} of {len(higher)} seeds")
    print(f"the proxy ends highest with β = {ranked(sweep, 'proxy')[0]:g}", end=", ")
    print(f"KL lowest with β = {ranked(sweep, 'kl')[-1]:g}")


def print_at_best(runs: Sequence[Run]) -> None:
    """Each run's proxy and gold, first and last, and how far it had gone when gold was highest."""
    for run in runs:
        best = max(run.gold)
        at = run.gold.index(best)
        print(f"β = {run.beta:g}: proxy {run.proxy[0]:.2f} → {run.proxy[-1]:.2f}", end=", ")
        print(f"gold {run.gold[0]:.2f} → {run.gold[-1]:.2f}, its best {best:.2f}", end=" ")
        print(f"at step {run.step[at]}; then KL was {run.kl[at]:.1f} nats", end=", ")
        print(f"distinct pairs {run.distinct_2[at]:.2f} ({run.distinct_2[0]:.2f} at first)")


def print_warnings(run: Run) -> None:
    """When measures that need no judge had halved, and when gold had, from its best."""
    print(f"β = {run.beta:g}")
    for name in ("distinct_2", "entropy", "gold"):
        values = getattr(run, name)
        best = values.index(max(values)) if name == "gold" else 0
        low = (step for step, value in zip(run.step[best:], values[best:], strict=True)
               if value < values[best] / 2)  # fmt: skip
        at = next(low, None)
        since = f" (from its best, at {run.step[best]})" if name == "gold" else ""
        print(
            f"  {MEASURES[name][0]} had halved{since}:", "never" if at is None else f"by step {at}"
        )


def print_words(world: World, policy: nn.Module) -> None:
    """The words that the policy writes more often than ref does, and those that are liked as much.

    Beside each: its share of all words, by ref and by the policy, and its weight in the proxy.
    """
    before, after = (_shares(world, network) for network in (world.model, policy))
    won, liked = _won_and_liked(before, after, world.proxy.weight.detach())
    print("word         of all words: ref   policy   its weight in the proxy")
    for place, token in enumerate((*won, *liked)):
        if place == len(won):
            print("not won, though liked and likely:")
        print(
            f"{world.vocabulary.word(token):12} {before[token]:17.2%} {after[token]:8.2%}", end=""
        )
        print(f"{world.proxy.weight[token].item():26.2f}")


def _shares(world: World, network: nn.Module) -> Float[Tensor, " token"]:
    drawn = sample(network, world.prompts(64), 16, torch.Generator().manual_seed(0))
    said = drawn.tokens[:, 1:][drawn.response_mask]
    return torch.bincount(said, minlength=len(world.vocabulary)) / len(said)


def _won_and_liked(before: Tensor, after: Tensor, weight: Tensor) -> tuple[list[int], list[int]]:
    """What won most; and what did not, of more weight than one that did, by share × weight."""
    more = after - before
    won = [token for token in more.argsort(descending=True)[:N_WON].tolist() if more[token] > RARE]
    least = weight[won].min() if won else math.inf
    order = (before * weight).argsort(descending=True).tolist()
    liked = [token for token in order if weight[token] > least and token not in won]
    return won, liked[:N_LIKED]


def print_winners(runs: Sequence[Run]) -> None:
    """The word that each of some runs wrote most often at its end, beside its seed."""
    each = (f"seed {run.seed} {commonest_word(run.texts[run.step[-1]])[0]!r}" for run in runs)
    print("written most, at the end of recorded runs:", ", ".join(each))


def print_factors(world: World, sweep: Sequence[Run]) -> None:
    """The means of gold's factors over the sweep's last texts, by β."""
    print("gold's own factors, means over the few texts that are kept of each run's end")
    print("                   rating   readable   various   rating × readable     gold")
    for name, runs in by_beta(sweep).items():
        texts = [text for run in runs for text in run.texts[run.step[-1]]]
        rows = world.vocabulary.batch(texts, world.model.sizes.context)
        with torch.no_grad():
            rating, readable, various = world.gold.factors(rows)
        columns = (rating, readable, various, rating * readable, rating * readable * various)
        cells = zip((14, 10, 9, 19, 8), (column.mean() for column in columns), strict=True)
        print(f"{name:10}", *(f"{mean:{width}.2f}" for width, mean in cells))


def print_outside(outside: Mapping[str, Any], sweep: Sequence[Run]) -> None:
    """What judges from outside say of the sweep's last texts, by β, and what goes with what.

    outside: as `recorded_outside` gives it.
    """
    print("last texts, means   nats a word   readable    praise     gold   distinct pairs")
    for name, said in outside["by_beta"].items():
        of = sweep if name == "ref" else by_beta(sweep)[f"β = {name}"]
        gold, distinct = (
            _mean_of(of, measure, name == "ref") for measure in ("gold", "distinct_2")
        )
        print(f"{name if name == 'ref' else f'β = {name}':17}", end=" ")
        print(
            f"{said['nats_a_word']:13.2f} {said['readable']:10.2f} {said['praise']:9.2f}", end=" "
        )
        print(f"{gold:8.2f} {distinct:16.2f}")
    tuned = {name: said for name, said in outside["by_beta"].items() if name != "ref"}
    most = {judge: max((said[judge], name) for name, said in tuned.items())[1]
            for judge in ("praise", "readable")}  # fmt: skip
    print(f"highest with: praise β = {most['praise']}, readable β = {most['readable']}", end=", ")
    print(f"gold β = {ranked(sweep, 'gold')[0]:g}")


def print_agreement(outside: Mapping[str, Any]) -> None:
    """How closely gold goes with outside judges, and judges with praise × readable, by texts."""
    print(f"correlations over {outside['texts']} texts, one by one")
    for name, title in (("gold", "gold"), ("readable_praise", "readable praise")):
        found = (
            f"{other.replace('_', ' ')} {value:+.2f}" for other, value in outside[name].items()
        )
        print(f"  of {title} with:", ", ".join(found))


def _mean_of(runs: Sequence[Run], name: str, at_start: bool) -> float:
    return fmean(getattr(run, name)[0] if at_start else at_end(run, name) for run in runs)


def print_preferences(read: Preferences) -> None:
    """How often blind readers chose the tuned text."""
    print(
        f"{len(read.chosen['ref'])} readers, large language models that were not told either, chose"
    )
    for other, name in (("ref", "ref's"), ("0", "that of β = 0")):
        pairs, shares = read.pairs[other], read.chosen[other]
        print(f"the text of β = {read.beta:g} rather than {name}:", end=" ")
        print(f"in {', '.join(f'{share:.0%}' for share in shares)} of {pairs} pairs", end="")
        tosses = _at_least(math.ceil(round(min(shares) * pairs, 6)), pairs)  # shares are rounded
        print(f" (by a coin, {min(shares):.0%} or more come once in {1 / tosses:,.0f} times)")


def _at_least(heads: int, tosses: int) -> float:
    """The chance of so many heads or more."""
    return sum(math.comb(tosses, n) for n in range(heads, tosses + 1)) / 2**tosses


def print_ratios(
    samplers: Mapping[str, Float[Tensor, "place token"]],
    trainer: Float[Tensor, "place token"],
    weigh: Weigh,
    cap: float,
) -> None:
    """The ratio trainer/sampler over the whole vocabulary: exact means over the sampler's tokens.

    samplers, trainer: log-probabilities, in nats; −inf where a sampler never draws.
    """
    every = torch.ones_like(trainer, dtype=torch.bool)
    print(f"over the whole vocabulary, at each of {len(trainer)} places")
    print(
        f"sampler          mean ratio   off 1 (rms)   off by over 0.2   greatest   mean, cap {cap}"
    )
    for name, sampler in samplers.items():
        chance = sampler.exp()
        ratio = torch.where(chance > 0, trainer - sampler, 0.0).exp()
        kept = weigh(trainer, sampler, every, cap)
        each = (ratio, (ratio - 1) ** 2, (ratio - 1).abs() > 0.2, kept)
        mean, square, beyond, less = ((chance * x).sum(-1).mean().item() for x in each)
        print(f"{name:14} {mean:12.4f} {square**0.5:13.1g} {beyond:17.2%}", end=" ")
        print(f"{ratio.max():10.2f} {less:15.4f}")


def print_caps(
    log_ratios: Mapping[str, Float[Tensor, " ratio"]], weigh: Weigh, caps: Sequence[float]
) -> None:
    """What capping does to the mean of some ratios trainer/sampler, and what dropping does.

    log_ratios: in nats, of tokens or of whole responses, as they were drawn.
    """
    print("                spread   cap   beyond it   mean: as it is   capped   dropped")
    for name, log_ratio in log_ratios.items():
        row = log_ratio.detach()[None]
        ratio, every = row.exp(), torch.ones_like(row, dtype=torch.bool)
        for cap in caps:
            kept = weigh(row, torch.zeros_like(row), every, cap).mean()
            dropped = torch.where(ratio > cap, 0.0, ratio).mean()
            print(f"{name:14} {ratio.std():7.3f} {cap:5}", end=" ")
            print(f"{(ratio > cap).float().mean():11.2%} {ratio.mean():16.3f}", end=" ")
            print(f"{kept:8.3f} {dropped:9.3f}")


def print_seed_by_seed(
    runs: Sequence[Run], others: Mapping[str, Sequence[Run]], names: Sequence[str]
) -> None:
    """At how many seeds some runs end higher than others, measure by measure.

    names: of measures, or "KL a token". others: in the order of the seeds, as runs is.
    """
    print(" " * 17 + "".join(f"{name:>18}" for name in others))
    for name in names:
        print(f"{name:17}", end="")
        for each in others.values():
            pairs = list(zip(_at_ends(runs, name), _at_ends(each, name), strict=True))
            print(f"{sum(one > other for one, other in pairs):13} of {len(pairs)}", end="")
        print()


def _at_ends(runs: Sequence[Run], name: str) -> list[float]:
    return [per_token(run) if name == "KL a token" else at_end(run, name) for run in runs]


def print_both_models(small: Sequence[Run], larger: Sequence[LargerRun]) -> None:
    """The sweeps of two models side by side: their reward, KL and distinct pairs at the ends."""
    print("at the end: means of the last three measurements, over seeds [least, greatest]")
    for name, runs, paid in (("the small model", small, "proxy"), ("SmolLM2", larger, "praise")):
        tried = sorted({run.beta for run in runs})
        falls = ranked(runs, "kl") == tried
        print(f"{name}: {paid} ends highest with β = {ranked(runs, paid)[0]:g};", end=" ")
        print(f"KL {'falls' if falls else 'does not always fall'} from each β to the next")
        for beta in sorted({tried[0], tried[-1]}):
            gone, pairs, pays = (ends(runs, beta, each) for each in ("kl", "distinct_2", paid))
            before = spread_text([getattr(run, paid)[0] for run in runs if run.beta == beta])
            print(f"{name}, β = {beta:g}: {paid} {before} → {spread_text(pays)}", end=", ")
            print(f"KL {spread_text(gone)}, distinct pairs {spread_text(pairs)}")
