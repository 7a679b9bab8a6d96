"""Problems of lesson 06: a loop beside the course's own, blind pairs, samplers that differ."""

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from ..language_model.runs import Run
from ..language_model.sampling import sample
from ..language_model.tuning import Settings, Steps, Tuning, World, sequence_kl

Measured = list[tuple[float, float]]  # proxy and KL, before the first step and after each

N_STEPS, BETA = 2, 2.0  # of a trial: soon done, and far enough from ref that β is felt
MEASURED_WITH = 1_000_003  # the seed of what a trial is measured on
CLOSE = (  # proxy and KL: a token drawn otherwise, by rounding, moves them by less
    {"rel_tol": 0.0, "abs_tol": 5e-3},
    {"rel_tol": 2e-2, "abs_tol": 2e-4},
)
NEARLY_EQUAL = (  # without such a token: after one step, other slips lie within what is above
    {"rel_tol": 0.0, "abs_tol": 2e-4},
    {"rel_tol": 2e-3, "abs_tol": 2e-5},
)


def course_loop(steps: Steps, world: World, paid_by: str = "proxy") -> Measured:
    """What the course's own loop gets in a trial; paid_by: the judge that it is trained by."""
    few = replace(world, people=world.people[:2])  # nobody asks here what is forgotten
    if paid_by == "gold":
        few = replace(few, proxy=world.gold, cut_off=0.0)
    tuning = Tuning(steps, BETA, settings=Settings(every=N_STEPS + 1), world=few)
    measured = [_measure(tuning, world)]
    for done in range(1, N_STEPS + 1):
        tuning.run(done, progress=False)
        measured.append(_measure(tuning, world))
    return measured


def _measure(tuning: Tuning, world: World) -> tuple[float, float]:
    dice = torch.Generator().manual_seed(MEASURED_WITH)
    drawn = sample(tuning.policy, world.prompts(16), 16, dice)
    with torch.no_grad():
        proxy = world.proxy(drawn.tokens).mean().item()
        return proxy, sequence_kl(tuning.policy, tuning.ref, drawn).mean().item()


def loop_says(mine: Any, steps: Steps, world: World) -> str:
    """Where a loop's measurements first leave the course's, and as when what they do."""
    course = course_loop(steps, world)
    shown = _pairs(mine)
    if shown is None or len(shown) != len(course):
        return (
            f"A list of {len(course)} pairs (proxy, KL) is wanted: before the first of {N_STEPS} "
            "steps, and after each."
        )
    apart = [at for at, both in enumerate(zip(shown, course, strict=True)) if not _same(*both)]
    if not apart:
        return f"Right: the same numbers as the course's own loop, over {N_STEPS} steps."
    at = apart[0]
    yours, theirs = (f"proxy {proxy:.3f}, KL {kl:.4f}" for proxy, kl in (shown[at], course[at]))
    cause = _cause(shown, at, steps, world)
    return f"After {at} of the steps you have {yours}, the course's loop {theirs}. {cause}"


def _cause(shown: Measured, at: int, steps: Steps, world: World) -> str:
    if at == 0:
        return "Nothing has been learned there: so it is in how you measure."
    first = []
    for cause, wrong in _slips(steps, world).items():
        found = wrong()
        if all(map(_same, shown, found)):
            return f"These are the numbers of a loop {cause}."
        first += [cause] if _same(shown[at], found[at], NEARLY_EQUAL) else []
    if len(first) == 1:  # and a second slip shows later
        return f"Up to there these are the numbers of a loop {first[0]}; then another slip shows."
    if at == 1:
        return "So it is in the first step: what is drawn, scored, compared or handed over?"
    return "The first step is right: what should be new in each step, and is not?"


def _slips(steps: Steps, world: World) -> dict[str, Callable[[], Measured]]:
    """Slips that people make in this loop, and what is measured with each."""
    advantage, step = steps.group_advantage, steps.train_step

    def with_steps(**changed: Any) -> Callable[[], Measured]:
        return lambda: course_loop(replace(steps, **changed), world)

    def free(*given: Any, epsilon: float, beta: float) -> dict[str, float]:
        return step(*given, epsilon=epsilon, beta=0.0)

    def twice(*given: Any, **weights: float) -> dict[str, float]:
        step(*given, **weights)
        return step(*given, **weights)

    def across(rewards: Tensor) -> Tensor:
        return advantage(rewards.view(1, -1)).view_as(rewards)

    def mixed(rewards: Tensor) -> Tensor:
        return advantage(rewards.T).T

    return {
        "that compares all 64 responses with each other, not each prompt's 8": with_steps(
            group_advantage=across
        ),
        "whose groups mix prompts: the rewards of one prompt stand together": with_steps(
            group_advantage=mixed
        ),
        "whose groups mix prompts, and whose advantages go to other responses": with_steps(
            group_advantage=lambda rewards: advantage(rewards.T)
        ),
        "whose advantages go to other responses: their order is that of the tokens": with_steps(
            group_advantage=lambda rewards: advantage(rewards).T
        ),
        "whose advantages have the sign turned": with_steps(
            group_advantage=lambda rewards: -advantage(rewards)
        ),
        "that hands over the rewards themselves as the advantage": with_steps(
            group_advantage=lambda rewards: rewards
        ),
        "where beta has no part: epsilon in its place, or the policy in that of ref": with_steps(
            train_step=free
        ),
        "that takes two steps on each batch": with_steps(train_step=twice),
        "that is paid by gold": lambda: course_loop(steps, world, "gold"),
        "that is paid by the proxy alone, without the charge for what was cut off": (
            lambda: course_loop(steps, replace(world, cut_off=0.0))
        ),
    }


def _pairs(mine: Any) -> Measured | None:
    """Numbers in pairs, or nothing where it is something else."""
    try:
        return [(float(proxy), float(kl)) for proxy, kl in mine]
    except (TypeError, ValueError, RuntimeError):
        return None


def _same(one: tuple[float, float], other: tuple[float, float], within: Any = CLOSE) -> bool:
    both = zip(one, other, within, strict=True)
    return all(math.isclose(a, b, **close) for a, b, close in both)


@dataclass(frozen=True)
class Blind:
    """Pairs of texts in a drawn order. tuned: the letter of the tuned model's, pair by pair."""

    pairs: list[tuple[str, str]]
    tuned: str


def blind_pairs(runs: Sequence[Run], beta: float, n_pairs: int, seed: int) -> Blind:
    """What ref wrote and what runs of this β wrote at their end, to the same prompt."""
    both = [
        (before, after)
        for run in runs
        if run.beta == beta
        for before, after in zip(run.texts[run.step[0]], run.texts[run.step[-1]], strict=True)
        if before != after
    ]
    generator = torch.Generator().manual_seed(seed)
    drawn = [both[i] for i in torch.randperm(len(both), generator=generator)[:n_pairs]]
    first = (torch.rand(len(drawn), generator=generator) < 0.5).tolist()  # the tuned one stands
    pairs = [pair[::-1] if ahead else pair for pair, ahead in zip(drawn, first, strict=True)]
    return Blind(pairs, "".join("A" if ahead else "B" for ahead in first))


def letters(said: Any, n_pairs: int) -> str | None:
    """The choices as capital letters; None, and what is wanted, where they are not that."""
    chosen = "".join(said.split()).upper() if isinstance(said, str) else ""
    if len(chosen) == n_pairs and set(chosen) <= set("AB"):
        return chosen
    print(f'{n_pairs} letters A or B are wanted, in quotes, one for each pair: "ABBA…", say.')
    return None


def likeliest(log_probs: Float[Tensor, "place token"], mass: float) -> Bool[Tensor, "place token"]:
    """The set S of top-p: the likeliest tokens, up to the first with which they hold this mass."""
    ordered, order = log_probs.exp().sort(-1, descending=True)
    likelier = (ordered.cumsum(-1) - ordered).gather(-1, order.argsort(-1))  # mass before a token
    return likelier < mass


def in_eight_bits(network: nn.Module) -> nn.Module:
    """A copy whose weights are stored in 8 bits, float8_e4m3fn: 4 significant bits, scaled each."""
    rounded = deepcopy(network)
    with torch.no_grad():
        for weight in rounded.parameters():
            unit = weight.abs().max() / torch.finfo(torch.float8_e4m3fn).max
            weight.copy_((weight / unit).to(torch.float8_e4m3fn).float() * unit)
    return rounded
