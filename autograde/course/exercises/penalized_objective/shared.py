"""What these exercises share."""

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from helpers.cases import RULES, VALUES

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor

LARGE = "large logits"

Choice = dict[str, Tensor | float]


def _choice(
    draw: Draw, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> Choice:
    """A random choice: the policy's logits of spread `scale`, and a β that is neither 0 nor 1.

    No action is rare, unless by the scale: such actions have cases of their own.
    """
    logits = draw.normal(*shape, scale=scale, dtype=dtype)
    return {
        "logits": logits.clamp(-2.5, 2.5) if scale == 1 else logits,
        "ref_logits": draw.normal(*shape, dtype=dtype).clamp(-1.5, 1.5),
        "rewards": draw.normal(*shape, dtype=dtype) + 0.5,
        "beta": 0.4 + 0.1 * int(draw.integers(1, below=5)),
    }


def hand(policy: Tensor, ref: Tensor, rewards: Tensor, beta: float) -> Choice:
    return {"logits": policy, "ref_logits": ref, "rewards": rewards, "beta": beta}


def choices_by_hand() -> Iterator[tuple[str, Choice, str]]:
    """(title, inputs, part) of the choices that both the objective and its gradient are asked."""
    half, three_to_one = tensor(0.5, 0.5).log(), tensor(0.75, 0.25).log()
    ten_to_one = hand(three_to_one, half, tensor(1.0, 0.0), 2.0)
    yield "policy (3/4, 1/4), ref (1/2, 1/2), rewards (1, 0), beta 2", ten_to_one, VALUES
    same = hand(three_to_one, three_to_one, tensor(2.0, -4.0), 0.5)
    yield "policy and ref (3/4, 1/4): nothing to pay", same, VALUES
    free = hand(half, three_to_one, tensor(1.0, -3.0), 0.0)
    yield "beta 0: the reward alone", free, VALUES
    idle = hand(three_to_one, half, tensor(5.0, 5.0), 3.0)
    yield "equal rewards: the penalty decides", idle, VALUES
    # Further apart than any that are drawn among the values, so that a bound, or a constant added
    # to a probability, shows here or never among these.
    apart = tensor([2.0, 0.0], [8.0, 0.0]), tensor([0.0, 9.0], [0.0, 0.0])
    rare = hand(*apart, tensor([1.0, 0.0], [0.0, 1.0]), 0.5)
    yield "policy logits (2, 0) and (8, 0), ref logits (0, 9) and (0, 0)", rare, VALUES
    exact = (half.double(), tensor(0.0, -30.0, dtype=torch.float64), tensor(1.0, 0.0).double())
    yield "float64, ref logits (0, −30)", hand(*exact, 0.5), RULES
    yield "only one action", hand(tensor(2.0), tensor(-1.0), tensor(-1.5), 0.7), VALUES
    never = hand(tensor(0.0, 0.0, -1000.0), tensor(0.0, 1.0, 2.0), tensor(1.0, 2.0, 9.0), 0.5)
    yield "policy logits (0, 0, −1000)", never, LARGE
    shifted = hand(tensor(1001.0, 1000.0), tensor(-500.0, -501.5), tensor(1.0, 0.0), 0.5)
    yield "logits near 1000 and −500", shifted, LARGE
    rare = hand(tensor(0.0, 0.5), tensor(0.0, -40.0), tensor(0.0, 3.0), 0.25)
    yield "ref logits (0, −40)", rare, LARGE
    rarer = hand(tensor(0.0, 0.0), tensor(0.0, -80.0), tensor(1.0, 0.0), 0.5)
    yield "ref logits (0, −80)", rarer, LARGE
    dear = hand(tensor(0.0, -40.0), tensor(-78.0, 0.0), tensor(1.0, 0.0), 0.5)
    yield "policy logits (0, −40), ref logits (−78, 0)", dear, LARGE
    both = hand(tensor(0.0, -120.0), tensor(0.0, -120.0), tensor(1.0, 5.0), 0.5)
    yield "logits (0, −120) on both sides: nothing to pay", both, LARGE


def choices(draw: Draw) -> Iterator[tuple[str, Choice, str]]:
    yield "one choice among 5 actions", _choice(draw, 5), VALUES
    yield "3 by 4 choices among 6 actions", _choice(draw, 3, 4, 6), VALUES
    yield "4 choices among 4 actions", _choice(draw, 4, 4), VALUES
    yield "an axis of length 1", _choice(draw, 1, 3), VALUES
    shifted = _choice(draw, 2, 3)
    for name, by in (("logits", 7.0), ("ref_logits", -5.0), ("rewards", 3.0)):
        shifted[name] = shifted[name] + by
    yield "logits and rewards shifted by constants", shifted, VALUES
    yield "a beta above 1", _choice(draw, 2, 3) | {"beta": 2.5}, VALUES
    yield "float64", _choice(draw, 2, 3, dtype=torch.float64), RULES
    yield "policy logits near ±1000", _choice(draw, 3, 4, scale=400.0), LARGE


def log_probs(logits: Tensor, ref_logits: Tensor) -> tuple[Tensor, Tensor]:
    """log policy and log ref, the latter a constant."""
    return logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)


def expected_reward(logits: Tensor, rewards: Tensor) -> Tensor:
    return (logits.softmax(-1) * rewards).sum(-1)


def log_of_sums(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    """The log-ratio with a small number added inside both logarithms."""
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy + epsilon).log() - (ref + epsilon).log()


def log_of_clamped(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    """The log-ratio of probabilities that are clamped from below."""
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return policy.clamp(min=epsilon).log() - ref.clamp(min=epsilon).log()


def clamped_log_ratio(bound: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    return (log_policy - log_ref).clamp(-bound, bound)


def inexact_log_ratios(exercise: Exercise, answer: Callable) -> None:
    """Add what log-ratios with a constant or a bound in them make of an exercise's formula."""
    for size in (6, 8, 10, 12):
        for name, says, log_ratio in (
            ("epsilon_in_the_logarithm", f"About 1e-{size} was added inside the", log_of_sums),
            ("probabilities_clamped_at", f"About 1e-{size} is the least in the", log_of_clamped),
        ):
            says += " logarithm. It hides the NaN, and every probability smaller than that number"
            held = partial(answer, log_ratio, 10.0**-size)
            exercise.mistakes.append(
                Mistake(f"{name}_1e_{size}", f"{says}: use log_softmax.", held)
            )
    for bound in (5.0, 10.0, 20.0):
        says = f"The log-ratio was clamped to ±{bound:.0f}: the contract has no bound."
        held = partial(answer, clamped_log_ratio, bound)
        exercise.mistakes.append(Mistake(f"log_ratio_clamped_at_{bound:.0f}", says, held))
