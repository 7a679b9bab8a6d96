"""Problems of lesson 07: a proxy that misleads by a known amount, and what runs say about theirs.

A run is `helpers.language_model.runs.Run`: curves over training steps, measured every few steps.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..language_model.runs import Run

LAST = 3  # measurements at the end of a run that are averaged, as a single one is noisy
NEAR = 0.5  # of a peak, in √nats
N_MEASURED = 10  # measurements, below which no budget rests on them
N_COMPARED = 3  # seeds, or measurements, below which a difference is not spoken of
PASSING = ("gold", "proxy", "distinct_2")  # what is read off a run where it passes a divergence
CLEAR = 2.0  # times what seeds differ by, above which a mean difference is called clear
END = "end"  # in place of a step: the mean of the last measurements
QUANTITIES = ("proxy", "gold", "gain", "kl", "distinct_2", "length", "entropy", "forgotten")
COMPARED = {"<": operator.lt, ">": operator.gt}
LESS = "-"  # between two runs: by how much the first is above the second
FORMS = (  # of a claim
    "(quantity, whose, step, value)",
    '(quantity, whose, "<" or ">", whose)',
    '(quantity, whose, "-", whose, value)',
)

# quantity, whose, step, value; or about ends: quantity, whose, "<" or ">", whose; or
# quantity, whose, "-", whose, value
Claim = tuple[Any, ...]
ALIASES = {  # of the record's other methods
    "slow": "β = 0, a third of the rate",
    "mean only": "advantage: mean only",
    "k1 in the reward": "in the reward, k1",
    "ρ·k3 in the loss": "in the loss, ρ·k3",
}
Reader = Callable[[Run], list[float]]  # of one curve


class Points(NamedTuple):
    """Measurements of several runs side by side: KL(policy ‖ ref) in nats, and gold over ref's."""

    kl: Float[Tensor, " point"]
    gain: Float[Tensor, " point"]


class Pair(NamedTuple):
    """The end of a penalised run, and a run without penalty stopped at the same divergence."""

    beta: float
    seed: int
    kl: float
    gain: float
    stopped: (
        float  # gain of the run without penalty and with the same seed, where it passed this kl
    )
    step: int  # at which that run had first been measured beyond it
    more_proxy: float  # than that run had there
    more_distinct: float  # share of distinct pairs


class End(NamedTuple):
    """Where a run of the record ended, by the means of its last measurements."""

    kl: float  # nats
    gain: float  # of gold over ref
    over_free: float  # gold, less the mean of the runs with β = 0


class Means(NamedTuple):
    """What the runs of one β gained, by the mean over their seeds: of gold, over ref."""

    best: float  # at the step that was best for the other seeds
    step: float  # the mean of these steps
    gain: float  # at the end
    spread: float  # of gold, between seeds at one step
    proxy: float  # at the end
    kl: float  # at the end, nats


class Fold(NamedTuple):
    """A seed held out: the β chosen on the others, and where its run with this seed ended."""

    beta: Any
    end: End | None  # None where no such run is recorded


def tuned_by_proxy(c: float, beta: float) -> tuple[float, float, float]:
    """(KL, proxy, gold) of the exact optimum when the proxy overlooks a cost.

    An answer has a strength s, normal under ref with mean 0 and spread 1. The proxy pays s, the
    true goal s − c·s². All sums run over a fine grid of s.
    """
    s = torch.linspace(-10.0, 30.0, 8001, dtype=torch.float64)
    log_ref = (-s * s / 2).log_softmax(dim=0)
    log_policy = (log_ref + s / beta).log_softmax(dim=0)
    mass = log_policy.exp()
    divergence = (mass * (log_policy - log_ref)).sum()
    proxy, gold = (mass * s).sum(), (mass * (s - c * s * s)).sum()
    return divergence.item(), proxy.item(), gold.item()


def gold_of_ref(runs: Iterable[Run]) -> float:
    """Mean gold score at step 0, where every run is still ref: one number for all runs."""
    return torch.tensor([run.gold[0] for run in runs]).mean().item()


def points(runs: Sequence[Run], ref_gold: float) -> Points:
    """Every measurement of the runs after step 0."""
    kl = torch.tensor([nats for run in runs for nats in run.kl[1:]])
    gold = torch.tensor([score for run in runs for score in run.gold[1:]])
    return Points(kl, gold - ref_gold)


def at_end(run: Run, quantity: str, until: float = math.inf) -> float:
    """Mean of the last few measurements of one of the run's curves, up to some step."""
    return _last(run, getattr(run, quantity), until)


def _last(run: Run, values: Sequence[float], until: float = math.inf) -> float:
    n = sum(step <= until for step in run.step)
    return torch.tensor(values[:n][-LAST:]).mean().item()


def seed_spread(runs: Sequence[Run]) -> dict[float, float]:
    """For each β, the standard deviation of gold between seeds at one step, over all steps."""
    found = {}
    for beta in sorted({run.beta for run in runs}):
        gold = torch.tensor([run.gold[1:] for run in runs if run.beta == beta])
        found[beta] = gold.var(dim=0).mean().sqrt().item()  # seed step
    return found


def best_by_others(runs: Sequence[Run]) -> tuple[float, float]:
    """Gold at the step that was best for the other seeds, mean over the seeds; and that mean step.

    A seed's own best is partly luck: of many noisy measurements, the highest is too high.
    """
    gold = torch.tensor([run.gold for run in runs])  # seed step
    others = (gold.sum(0) - gold).argmax(dim=1)
    best = gold.gather(1, others[:, None]).mean().item()
    return best, sum(runs[0].step[place] for place in others.tolist()) / len(runs)


def means_by_beta(runs: Sequence[Run], ref_gold: float) -> dict[float, Means]:
    """For each β, what its runs had at their best step and at their end."""
    found = {}
    for beta, spread in seed_spread(runs).items():
        own = [run for run in runs if run.beta == beta]
        best, step = best_by_others(own)
        gold, proxy, kl = (
            sum(at_end(run, name) for run in own) / len(own) for name in ("gold", "proxy", "kl")
        )
        found[beta] = Means(best - ref_gold, step, gold - ref_gold, spread, proxy, kl)
    return found


def miss_of_other_seeds(runs: Sequence[Run], seed: int) -> float:
    """How far gold of this seed is from the mean of the others at the same β and step.

    A root mean square over all of the seed's measurements after step 0.
    """
    gaps = []
    for run in (run for run in runs if run.seed == seed):
        others = [one.gold[1:] for one in runs if one.beta == run.beta and one.seed != seed]
        gaps.append(torch.tensor(run.gold[1:]) - torch.tensor(others).mean(dim=0))
    return torch.cat(gaps).square().mean().sqrt().item()


def fit_parabola(found: Points) -> tuple[float, float]:
    """(alpha, b) of gold = d · (alpha − b · d), the form for best-of-n, by least squares."""
    d, gain = found.kl.clamp(min=0).double().sqrt(), found.gain.double()
    two, three, four = ((d**power).sum().item() for power in (2, 3, 4))
    first, second = (gain * d).sum().item(), (gain * d * d).sum().item()
    rise, bend = four * first - three * second, three * first - two * second
    return rise / (two * four - three**2), bend / (two * four - three**2)


def peak_of_parabola(found: Points) -> float | None:
    """Where the parabola nearest to the measurements is greatest, in nats.

    None where it has no peak.
    """
    alpha, b = fit_parabola(found)
    return (alpha / (2 * b)) ** 2 if alpha > 0 and b > 0 else None


def gains_between(found: Points, low: float, high: float) -> Float[Tensor, " point"]:
    """The gains that were measured beyond `low` nats and not beyond `high`."""
    return found.gain[(found.kl > low) & (found.kl <= high)]


def is_budget(said: Any) -> bool:
    """Whether it is a number of nats above 0."""
    return isinstance(said, int | float) and not isinstance(said, bool) and said > 0


def budget_says(found: Points, budget: Any, by_beta: Mapping[float, Points]) -> str:
    """What was measured below a budget and beyond it, and whether the record supports it.

    by_beta: the same measurements, apart by the β of their runs.
    """
    if not is_budget(budget):
        return f"A budget is a number of nats above 0, not {budget!r:.40}."
    nearer = gains_between(found, budget / 4, budget / 2)
    inside = gains_between(found, budget / 2, budget)
    beyond = gains_between(found, budget, 2 * budget)
    ranges = {"a quarter to half of it": nearer, "half of it to it": inside,
              "it to twice it": beyond}  # fmt: skip
    lines = []
    for name, part in ranges.items():
        says = f", mean gain {part.mean():.2f}" if len(part) else ""
        lines.append(f"from {name}: {len(part)} measurements{says}")
    return "\n".join([*lines, _supported(nearer, inside, beyond), _within(by_beta, budget)])


def _within(by_beta: Mapping[float, Points], budget: float) -> str:
    """The gains up to a budget and beyond it, of each β that was measured in both."""
    said, more = [], []
    for beta, found in by_beta.items():
        ranges = (budget / 2, budget), (budget, 2 * budget)
        inside, beyond = (gains_between(found, *one) for one in ranges)
        if min(len(inside), len(beyond)) >= N_COMPARED:
            gap, error = (beyond.mean() - inside.mean()).item(), _standard_error(inside, beyond)
            told = "not told apart" if abs(gap) < 2 * error else "rises" if gap > 0 else "falls"
            said.append(f"β = {beta:g} {inside.mean():.2f} → {beyond.mean():.2f} ({told})")
            more += [beta] if told == "rises" else []
    if not said:
        return f"No β was measured {N_COMPARED} times on either side of it."
    says = f"Within one β, up to it → beyond it: {', '.join(said)}."
    if more:
        rising = " and ".join(f"β = {beta:g}" for beta in more)
        return f"{says} As a place to stop a run with {rising} it would be early."
    return f"{says} No β is seen to gain by going on."


def _supported(nearer: Tensor, inside: Tensor, beyond: Tensor) -> str:
    if min(len(inside), len(beyond)) < N_MEASURED:
        return "Too few were measured there for a budget to rest on."
    less = (inside.mean() - beyond.mean()).item()
    error = _standard_error(inside, beyond)
    if abs(less) < 2 * error:
        return f"Apart by {less:+.2f}, ± {error:.2f} (standard error): the two are not told apart."
    if less < 0:
        return "Going further still paid: your budget leaves gold on the table."
    if len(nearer) and nearer.mean() > inside.mean():
        return "Gold had turned before: your budget pays for nats that cost gold."
    return "The record supports it: up to there gold still rose, and beyond it, it is lower."


def _standard_error(one: Tensor, other: Tensor) -> float:
    """Of the difference of two means."""
    return math.sqrt(sum(part.var().item() / len(part) for part in (one, other)))


def near_peak(found: Points, peak_kl: float) -> Float[Tensor, " point"]:
    """The gains that were measured within 0.5 of a peak, in d = √kl."""
    return found.gain[(found.kl.clamp(min=0).sqrt() - math.sqrt(peak_kl)).abs() < NEAR]


def ends_by_beta(runs: Sequence[Run], ref_gold: float) -> dict[float, list[End]]:
    """For each β, where its runs ended, in the order of the seeds."""
    free = [at_end(run, "gold") for run in runs if run.beta == 0]
    found: dict[float, list[End]] = {}
    for run in sorted(runs, key=lambda run: (run.beta, run.seed)):
        gold = at_end(run, "gold")
        end = End(at_end(run, "kl"), gold - ref_gold, gold - sum(free) / len(free))
        found.setdefault(run.beta, []).append(end)
    return found


def keeps(end: End, budget: float) -> bool:
    """Whether a run ended within the budget, with more gold than ref and than β = 0 on average.

    Raises TypeError for the ends of several.
    """
    if isinstance(end, list):
        raise TypeError("keeps asks about one end, as ends[0.2][0]; this is a list of them")
    return not breaks(end, budget)


def breaks(end: End, budget: float) -> list[str]:
    """In which of these three a run failed, in words."""
    asked = {
        "ended beyond the budget": end.kl <= budget,
        "had no more gold than ref": end.gain > 0,
        "had no more gold than β = 0 on average": end.over_free > 0,
    }
    return [says for says, kept in asked.items() if not kept]


def leave_one_seed_out(
    choose: Callable[[dict[float, list[End]], float], Any],
    ends: Mapping[float, Sequence[End]],
    budget: float,
) -> list[Fold]:
    """What a rule picks from all seeds but one, and what became of that one; for each seed."""
    folds = []
    for out in range(min(map(len, ends.values()))):
        beta = choose(_without(ends, out), budget)
        known = [each[out] for one, each in ends.items() if _same(one, beta)]
        folds.append(Fold(beta, known[0] if known else None))
    return folds


def rule_says(folds: Sequence[Fold], ends: Mapping[float, Sequence[End]], budget: float) -> str:
    """How often what a rule picked kept its promise, and what it could have seen and did not."""
    kept = sum(fold.end is not None and keeps(fold.end, budget) for fold in folds)
    none = sum(fold.beta is None for fold in folds)
    slips = [slip for out, fold in enumerate(folds)
             if (slip := _slip(fold.beta, _without(ends, out), budget))]  # fmt: skip
    said = [f"kept at {kept} of {len(folds)} seeds that the rule had not seen"]
    said[0] += f"; at {none} of them it picked none" * bool(none)
    said += slips[:1] or ["Your rule never picks a β that broke it at a seed it saw."]
    if none and not slips:
        said.append("To pick none is an answer, where no β kept it at every seed.")
    return "\n".join(said)


def straddled(ends: Mapping[float, Sequence[End]], picked: Any) -> tuple[float, float]:
    """The next larger β than the one picked, and a budget that it keeps at some seeds alone.

    Where none is larger, the next smaller one.
    """
    others = [beta for beta in sorted(ends) if not _same(beta, picked)]
    larger = [beta for beta in others if picked is None or beta > _number(picked)]
    beta = larger[0] if larger else others[-1]
    return beta, sum(end.kl for end in ends[beta]) / len(ends[beta])


def _slip(picked: Any, seen: Mapping[float, Sequence[End]], budget: float) -> str:
    """What speaks against this choice on the seeds that were seen; nothing where it is sound.

    To pick none, None, is right where no β kept it.
    """
    broken = {
        beta: sorted({why for end in each for why in breaks(end, budget)})
        for beta, each in seen.items()
    }
    good = " or ".join(f"{beta:g}" for beta, why in broken.items() if not why)
    beta = next((beta for beta in seen if _same(beta, picked)), None)
    if beta is not None and broken[beta]:
        why = " and ".join(broken[beta])
        return f"It picked β = {beta:g}, which at a seed that it saw {why}: ask for that first."
    if beta is None and picked is not None:
        return f"It picked {picked!r:.40}, which is no β of the record."
    if beta is None and good:
        return f"It picked none, though β = {good} kept it at every seed that it saw."
    return ""


def _without(ends: Mapping[float, Sequence[End]], out: int) -> dict[float, list[End]]:
    return {beta: [*each[:out], *each[out + 1 :]] for beta, each in ends.items()}


def _same(beta: float, picked: Any) -> bool:
    try:
        return float(picked) == beta
    except (TypeError, ValueError):
        return False


def at_equal_kl(runs: Sequence[Run], free: Sequence[Run], ref_gold: float) -> list[Pair]:
    """Each penalised run's end beside a run without penalty and with its seed, stopped at that kl.

    free: the runs without penalty. Penalised runs that end where the one of their seed was never
    measured, before and after, are left out.
    """
    by_seed, pairs = {run.seed: run for run in free}, []
    for run in (run for run in runs if run.beta > 0 and run.seed in by_seed):
        kl, *ended = (at_end(run, name) for name in ("kl", *PASSING))
        passed = _when_passing(by_seed[run.seed], kl)
        if passed is not None:
            gold, proxy, distinct = (x - y for x, y in zip(ended, passed.values, strict=True))
            stopped = passed.values[0] - ref_gold
            gains = gold + stopped, stopped
            pairs.append(Pair(run.beta, run.seed, kl, *gains, passed.step, proxy, distinct))
    return pairs


def over_the_sweep(runs: Sequence[Run], sweep: Sequence[Run]) -> list[float]:
    """How much more gold each run ends with than the sweep of its seed has at the same KL.

    The ends of the sweep's runs are joined by straight lines in √kl; a run that ends beyond them
    is left out.
    """
    found = []
    for run in runs:
        d, gold = _place(run)
        line = sorted(_place(one) for one in sweep if one.seed == run.seed)
        for (near, low), (far, high) in itertools.pairwise(line):
            if near <= d < far:
                found.append(gold - low - (d - near) / (far - near) * (high - low))
    return found


def per_token(run: Run) -> float:
    """KL of a response over its length where the run ended, in nats a token."""
    return at_end(run, "kl") / at_end(run, "length")


def _place(run: Run) -> tuple[float, float]:
    """Where a run ended: √kl, and gold."""
    return math.sqrt(max(at_end(run, "kl"), 0.0)), at_end(run, "gold")


def compared(pairs: Sequence[Pair]) -> list[float]:
    """The weights of which enough runs could be held against one that was stopped."""
    betas = [pair.beta for pair in pairs]
    return sorted({beta for beta in betas if betas.count(beta) >= N_COMPARED})


def clear_of_stopping(
    pairs: Sequence[Pair], spread: Mapping[float, float]
) -> tuple[list[float], list[float]]:
    """The weights that gained clearly more, and clearly less, than was had at their kl by stopping.

    spread: between seeds, for each β. Clear is a difference with one sign at every seed that could
    be compared, of three or more, whose mean is larger than twice that β's spread.
    """
    more, less = [], []
    for beta in compared(pairs):
        gaps = torch.tensor([pair.gain - pair.stopped for pair in pairs if pair.beta == beta])
        if gaps.mean().abs() > CLEAR * spread[beta]:
            more += [beta] if (gaps > 0).all() else []
            less += [beta] if (gaps < 0).all() else []
    return more, less


class _Passing(NamedTuple):
    """A run where it passes some divergence."""

    values: tuple[float, ...]  # of the measures in PASSING
    step: int  # of the measurement after it


def _when_passing(run: Run, kl: float) -> _Passing | None:
    """Where the run first passes this kl.

    Its measures are read off a straight line in √kl between two measurements. The way from step
    0 to the first of them is too long for one: gold bends there.
    """
    at = math.sqrt(max(kl, 0.0))
    values = zip(*(getattr(run, name) for name in PASSING), strict=True)
    rows = list(zip((math.sqrt(max(nats, 0.0)) for nats in run.kl), values, run.step, strict=True))
    for (near, low, _), (far, high, step) in itertools.pairwise(rows[1:]):
        if near <= at < far:
            share = (at - near) / (far - near)
            read = (one + share * (other - one) for one, other in zip(low, high, strict=True))
            return _Passing(tuple(read), step)
    return None


def check_claims(
    claims: Sequence[Claim],
    own: Run,
    recorded: Sequence[Run],
    methods: Mapping[str, Sequence[Run]] | None = None,
) -> None:
    """Say which claims agree with the runs that they are about.

    A row is one of three. *Whose* is "own", a beta of the record or a method's name (all its
    seeds), or (beta, seed) or (name, seed), one run.
    A number, (quantity, whose, step, value): the mean over the runs, rounded as it was typed.
    An order, (quantity, whose, "<" or ">", whose): it is to hold at each seed.
    A difference, (quantity, whose, "-", whose, value): the mean of the first's less the second's,
    rounded as it was typed.
    Orders and differences are about ends, of runs that are not of one length about the end of the
    shortest. Several runs on both sides are paired by their seeds; one run meets each of several.
    methods: the record's other runs, by name.
    """
    judged = [judge_claim(claim, own, recorded, methods) for claim in claims]
    for claim, (agrees, says) in zip(claims, judged, strict=True):
        print(f"{'✓' if agrees else '✗'} {claim}: {says}")
    print(f"{sum(agrees for agrees, _ in judged)} of {len(claims)} claims agree with the runs.")


def judge_claim(
    claim: Claim,
    own: Run,
    recorded: Sequence[Run],
    methods: Mapping[str, Sequence[Run]] | None = None,
) -> tuple[bool, str]:
    """Whether one claim agrees with its runs, and what to say about it."""
    if wrong := _malformed(claim):
        return False, wrong
    quantity, whose, third, *rest = claim
    compared = _is_sign(third)
    sides = []
    for one in (whose, rest[0]) if compared else (whose,):
        runs = _runs_of(one, own, recorded, methods or {})
        if not runs:
            return False, f"{one!r:.40} is no run: write {_known(recorded, methods or {})}"
        sides.append(runs)
    read = _reader(quantity, recorded)
    if not compared:
        return _judge_value(read, sides[0], third, rest[0], own.step[-1])
    pairs = _paired(*sides)
    if not pairs:
        return False, "the two have no seed in common: compare runs of one seed"
    if third == LESS:
        return _judge_difference(read, pairs, rest[1])
    return _judge_order(read, pairs, third)


def _is_sign(third: Any) -> bool:
    return isinstance(third, str) and third in (*COMPARED, LESS)


def _malformed(claim: Any) -> str:
    """How a row is to be written, where it is none; nothing where it may be judged."""
    if not isinstance(claim, tuple | list) or len(claim) not in (4, 5):
        return f"write {FORMS[0]}, {FORMS[1]} or {FORMS[2]}"
    quantity, _, third, *rest = claim
    if not isinstance(quantity, str) or quantity not in QUANTITIES:
        return f"there is no {quantity!r:.40}; there are {', '.join(QUANTITIES)}"
    if isinstance(third, str) and third != END and not _is_sign(third):
        return f'write "<", ">" or "-" between two runs, or a step before a value, not {third!r}'
    is_difference = isinstance(third, str) and third == LESS
    if is_difference != (len(rest) == 2):
        return f"a difference is {FORMS[2]}; it alone has five entries"
    if not (isinstance(third, str) and third in COMPARED) and _decimals(rest[-1]) is None:
        form = FORMS[2] if is_difference else FORMS[0]
        return f"write {form}, value a number, not {rest[-1]!r:.40}"
    return ""


def _decimals(value: Any) -> int | None:
    """How many decimals were typed; None for what is no number."""
    try:
        typed = Decimal(str(value))
        return max(-int(typed.as_tuple().exponent), 0)
    except (TypeError, ValueError, ArithmeticError):
        return None


def _rounded(measured: float, value: Any) -> tuple[bool, str]:
    """Whether a number is the measured one, rounded as typed; and the measured one in words."""
    decimals = _decimals(value) or 0
    if float(value) == 0 and abs(measured) > 1e-5:  # anything is 0 if rounded far enough
        return False, f"{measured:.2g}, which is not 0: type more decimals"
    agrees = abs(measured - float(value)) <= 0.5 * 10.0**-decimals * (1 + 1e-6)
    return agrees, f"{measured:.{max(decimals, 2)}f}"


def _reader(quantity: str, recorded: Sequence[Run]) -> Reader:
    """What reads a quantity's curve off a run; a gain is gold over ref's."""
    if quantity != "gain":
        return operator.attrgetter(quantity)
    ref_gold = gold_of_ref(recorded)
    return lambda run: [gold - ref_gold for gold in run.gold]


def _judge_value(
    read: Reader, runs: Sequence[Run], step: Any, value: Any, own_until: int
) -> tuple[bool, str]:
    """Whether one number is what was measured.

    own_until: the step at which the reader's run ends: a longer run's end is no match for it.
    """
    run = runs[0]  # those of one β, or of one method, are measured at the same steps
    if step not in (END, *run.step):
        near = sorted(sorted(run.step, key=lambda at: abs(at - _number(step)))[:2])
        return False, f"not measured at step {step}; near it are {' and '.join(map(str, near))}"
    end = sum(_last(run, read(run)) for run in runs) / len(runs)
    measured = end
    if step != END:
        measured = sum(read(run)[run.step.index(step)] for run in runs) / len(runs)
    agrees, shown = _rounded(measured, value)
    said = f"measured {shown}" + f", the mean of {len(runs)} seeds" * (len(runs) > 1)
    if step == END and run.step[-1] > own_until:
        shorter = sum(_last(run, read(run), own_until) for run in runs) / len(runs)
        said += f", at step {run.step[-1]}; by step {own_until}, where your run ends, it is "
        said += _rounded(shorter, value)[1]
    if not agrees and step == run.step[-1]:
        said += f"; the mean of the last {LAST}, step {END!r}, is {_rounded(end, value)[1]}"
    return agrees, said


def _paired(these: Sequence[Run], those: Sequence[Run]) -> list[tuple[Run, Run]]:
    """Runs of one seed where both sides have several; else one against each."""
    pairs = list(itertools.product(these, those))
    if len(these) > 1 and len(those) > 1:
        pairs = [(one, other) for one, other in pairs if one.seed == other.seed]
    return pairs


def _ends(read: Reader, pairs: Sequence[tuple[Run, Run]]) -> tuple[int, list[tuple[float, float]]]:
    """A step that all of them have reached, and the ends up to there, pair by pair."""
    until = min(run.step[-1] for pair in pairs for run in pair)
    return until, [(_last(a, read(a), until), _last(b, read(b), until)) for a, b in pairs]


def _judge_order(read: Reader, pairs: Sequence[tuple[Run, Run]], sign: str) -> tuple[bool, str]:
    """Whether the ends of some runs lie below, or above, those of others, after equal steps."""
    until, ends = _ends(read, pairs)
    holds = sum(COMPARED[sign](one, other) for one, other in ends)
    means = [sum(side) / len(ends) for side in zip(*ends, strict=True)]
    said = f"up to step {until}, mean of the last {LAST}: {means[0]:.2f} against {means[1]:.2f}"
    if len(ends) > 1:
        said += f" over the runs, and so in {holds} of {len(ends)}"
    return holds == len(ends), said


def _judge_difference(
    read: Reader, pairs: Sequence[tuple[Run, Run]], value: Any
) -> tuple[bool, str]:
    """Whether the ends of some runs lie that far above those of others, after equal steps."""
    until, ends = _ends(read, pairs)
    gaps = [one - other for one, other in ends]
    agrees, shown = _rounded(sum(gaps) / len(gaps), value)
    said = f"up to step {until}, mean of the last {LAST}: measured {shown}"
    if len(gaps) > 1:
        said += f", the mean of {len(gaps)} pairs; {min(gaps):.2f} to {max(gaps):.2f}"
    return agrees, said


def _runs_of(
    whose: Any, own: Run, recorded: Sequence[Run], methods: Mapping[str, Sequence[Run]]
) -> list[Run]:
    """One run, or all seeds of a weight or a method; none where nothing is meant by it."""
    if isinstance(whose, str):
        return [own] if whose == "own" else list(methods.get(ALIASES.get(whose, whose), ()))
    if isinstance(whose, tuple | list) and len(whose) == 2 and isinstance(whose[0], str):
        name, seed = whose
        return [run for run in methods.get(ALIASES.get(name, name), ()) if run.seed == seed]
    return [run for run in recorded if whose in (run.beta, (run.beta, run.seed))]


def _number(step: Any) -> float:
    return float(step) if isinstance(step, int | float) else 0.0


def _known(runs: Sequence[Run], methods: Mapping[str, Sequence[Run]]) -> str:
    """Whose something may be, in words."""
    betas = ", ".join(f"{beta:g}" for beta in sorted({run.beta for run in runs}))
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
    says = f'"own", a beta of {betas}, or (beta, seed) with seed {seeds}'
    short = {name: alias for alias, name in ALIASES.items()}
    names = ", ".join(f'"{short.get(name, name)}"' for name in methods)
    return says + f"; or {names}, alone or with a seed" * bool(names)
