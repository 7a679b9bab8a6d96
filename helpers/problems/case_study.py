"""Problems of lesson 07: a proxy that misleads by a known amount, and what runs say about theirs.

A run is `helpers.language_model.runs.Run`: curves over training steps, measured every few steps.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..language_model.runs import Run

LAST = 3  # measurements at the end of a run that are averaged, as a single one is noisy
QUANTITIES = ("proxy", "gold", "kl", "distinct_2", "length")

Claim = tuple[str, Any, int, float]  # quantity, "own" or (beta, seed), step, value


class Points(NamedTuple):
    """Measurements of several runs side by side: KL(policy ‖ ref) in nats, and gold over ref's."""

    kl: Float[Tensor, " point"]
    gain: Float[Tensor, " point"]


class Pair(NamedTuple):
    """The end of a penalised run, and the run without penalty stopped at the same divergence."""

    beta: float
    seed: int
    kl: float
    gain: float
    stopped: float  # gain of the run with β = 0 and the same seed, where it passed this kl


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


def at_end(run: Run, quantity: str) -> float:
    """Mean of the last few measurements of one of the run's curves."""
    return torch.tensor(getattr(run, quantity)[-LAST:]).mean().item()


def seed_spread(runs: Sequence[Run]) -> dict[float, float]:
    """For each β, the standard deviation of gold between seeds at one step, over all steps."""
    found = {}
    for beta in sorted({run.beta for run in runs}):
        gold = torch.tensor([run.gold[1:] for run in runs if run.beta == beta])
        found[beta] = gold.var(dim=0).mean().sqrt().item()  # seed step
    return found


def peak_of_parabola(found: Points) -> float | None:
    """Where gold = d · (alpha − b · d), the form for best-of-n, is greatest, in nats.

    None where the parabola that is nearest to the measurements has no peak.
    """
    d, gain = found.kl.clamp(min=0).double().sqrt(), found.gain.double()
    two, three, four = ((d**power).sum().item() for power in (2, 3, 4))
    first, second = (gain * d).sum().item(), (gain * d * d).sum().item()
    rise, bend = four * first - three * second, three * first - two * second
    return (rise / (2 * bend)) ** 2 if rise > 0 and bend > 0 else None


def bracket(runs: Sequence[Run], budget: float) -> tuple[float | None, float | None]:
    """The recorded weights between which a KL budget begins to be kept.

    budget: of KL(policy ‖ ref) at the end of a run, in nats.
    Returns (too small, enough): the greatest β with a seed above the budget, and the least β
    from which on every seed keeps to it; None where the record holds no such β.
    """
    over = [run.beta for run in runs if at_end(run, "kl") > budget]
    too_small = max(over, default=None)
    enough = [run.beta for run in runs if too_small is None or run.beta > too_small]
    return too_small, min(enough, default=None)


def at_equal_kl(runs: Sequence[Run], ref_gold: float) -> list[Pair]:
    """Each penalised run's end beside the run with β = 0 and its seed, stopped at that kl.

    Penalised runs that end where the other was never measured, before and after, are left out.
    """
    free = {run.seed: run for run in runs if run.beta == 0}
    pairs = []
    for run in (run for run in runs if run.beta > 0 and run.seed in free):
        kl, gain = at_end(run, "kl"), at_end(run, "gold") - ref_gold
        stopped = _gold_when_passing(free[run.seed], kl)
        if stopped is not None:
            pairs.append(Pair(run.beta, run.seed, kl, gain, stopped - ref_gold))
    return pairs


def _gold_when_passing(run: Run, kl: float) -> float | None:
    """Gold where the run first passes this kl: a straight line in √kl between two measurements.

    The way from step 0 to the first measurement is too long for a straight line: gold bends there.
    """
    d = [math.sqrt(max(nats, 0.0)) for nats in run.kl[1:]]
    rows = list(zip(d, run.gold[1:], strict=True))
    for (before, gold_before), (after, gold_after) in itertools.pairwise(rows):
        if before <= math.sqrt(max(kl, 0.0)) < after:
            share = (math.sqrt(max(kl, 0.0)) - before) / (after - before)
            return gold_before + share * (gold_after - gold_before)
    return None


def gains_by_distance(
    runs: Sequence[Run], ref_gold: float, edges: Sequence[float]
) -> dict[float, list[tuple[float, int]]]:
    """For each β, the mean gain and the number of measurements in each range of d = √kl."""
    found = {}
    for beta in sorted({run.beta for run in runs}):
        kl, gain = points([run for run in runs if run.beta == beta], ref_gold)
        place = torch.bucketize(kl.clamp(min=0).sqrt(), torch.tensor(edges)) - 1
        inside = [gain[place == i] for i in range(len(edges) - 1)]
        found[beta] = [(part.mean().item(), len(part)) for part in inside]
    return found


def check_claims(claims: Sequence[Claim], own: Run, recorded: Sequence[Run]) -> None:
    """Say which cited numbers agree with the runs that they are about.

    claims: (quantity, whose, step, value). whose: "own", or (beta, seed) of a recorded run.
    A value agrees when it is the measured one, rounded to as many decimals as were typed.
    """
    verdicts = [judge_claim(claim, own, recorded) for claim in claims]
    for claim, (agrees, says) in zip(claims, verdicts, strict=True):
        print(f"{'✓' if agrees else '✗'} {claim}: {says}")
    print(f"{sum(agrees for agrees, _ in verdicts)} of {len(claims)} cited numbers agree.")


def judge_claim(claim: Claim, own: Run, recorded: Sequence[Run]) -> tuple[bool, str]:
    """Whether one cited number agrees with its run, and what to say about it."""
    try:
        quantity, whose, step, value = claim
        typed = Decimal(str(value))
    except (TypeError, ValueError, ArithmeticError):
        return False, "write (quantity, whose, step, value), value a number"
    run = own if whose == "own" else _recorded(recorded, whose)
    if quantity not in QUANTITIES:
        return False, f"there is no {quantity!r}; there are {', '.join(QUANTITIES)}"
    if run is None:
        return False, f"no such run: write 'own' or (beta, seed), of {_known(recorded)}"
    if step not in run.step:
        near = sorted(sorted(run.step, key=lambda measured: abs(measured - step))[:2])
        return False, f"not measured at step {step}; near it are {' and '.join(map(str, near))}"
    measured = getattr(run, quantity)[run.step.index(step)]
    decimals = max(-int(typed.as_tuple().exponent), 0)
    agrees = abs(measured - float(value)) <= 0.5 * 10.0**-decimals * (1 + 1e-6)
    return agrees, f"measured {measured:.{max(decimals, 2)}f}"


def _recorded(runs: Sequence[Run], whose: Any) -> Run | None:
    return next((run for run in runs if (run.beta, run.seed) == whose), None)


def _known(runs: Sequence[Run]) -> str:
    betas = ", ".join(f"{beta:g}" for beta in sorted({run.beta for run in runs}))
    seeds = ", ".join(str(seed) for seed in sorted({run.seed for run in runs}))
    return f"beta {betas} and seed {seeds}"
