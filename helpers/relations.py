"""How wrong answers relate to the right ones, where no mistake is known by its name."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

LEAST = 3  # numbers, below which a relation may be chance
NEAR = 0.02  # of a number: this close is an approximation, not another formula
RTOL, ATOL = 1e-4, 1e-6
NEARLY = "nearly"
BITS = 1 / math.log(2)

Pair = tuple[Tensor, Tensor]  # (got, expected), in float64
Said = tuple[str, str]  # a name, for counting, and what to say

Change = Callable[[Tensor], Tensor]
# Of the right answers, of those given, and again of the right ones, number by number.
SHAPES: dict[str, tuple[Change, str]] = {
    "sum": (torch.sum, "One number came back, the sum of all that were expected: keep them apart."),
    "mean": (torch.mean, "One number came back, the mean of all expected ones: keep them apart."),
    "row sums": (
        lambda x: x.sum(-1),
        "The right numbers, but summed over the last axis: keep them apart.",
    ),
    "row means": (
        lambda x: x.mean(-1),
        "The right numbers, but averaged over the last axis: keep them apart.",
    ),
    "column sums": (
        lambda x: x.sum(0),
        "The right numbers, but summed over the first axis: keep them apart.",
    ),
    "flattened": (torch.flatten, "The numbers are right, but in one row: keep the axes."),
}
UNFINISHED: dict[str, tuple[Change, str]] = {
    "not summed": (lambda x: x.sum(-1), "This is still to be summed over the last axis."),
    "not averaged": (lambda x: x.mean(-1), "This is still to be averaged over the last axis."),
    "not summed at all": (torch.sum, "This is still to be summed over all axes."),
}
NUMBERS: dict[str, tuple[Change, str]] = {
    "absolute": (torch.abs, "The sizes are right, but the signs are lost."),
    "cut at 0": (lambda x: x.clamp(min=0), "What is below 0 came back as 0: cut nothing off."),
    "cut above 0": (lambda x: x.clamp(max=0), "What is above 0 came back as 0: cut nothing off."),
    "exponentials": (torch.exp, "These are the exponentials of the right numbers."),
    "logarithms": (torch.log, "These are the logarithms of the right numbers."),
    "squares": (torch.square, "These are the squares of the right numbers."),
    "roots": (torch.sqrt, "These are the square roots of the right numbers."),
    "reciprocals": (
        torch.reciprocal,
        "These are 1 over the right numbers: is a quotient turned, or the sign of an exponent or "
        "of a logarithm?",
    ),
}


def relation(pairs: Sequence[Pair]) -> Said | None:
    """What turns the right answers into those given, the same for all of them; None if unknown.

    pairs: (got, expected) of every case, numbers of any shape.
    """
    pairs = [(got.double(), expected.double()) for got, expected in pairs]
    if sum(expected.numel() for _, expected in pairs) < LEAST:
        return None
    if any(got.shape != expected.shape for got, expected in pairs):
        return _of_shapes(pairs)
    return _of_numbers(pairs)


def _of_shapes(pairs: Sequence[Pair]) -> Said | None:
    turned = [(expected, got) for got, expected in pairs]
    if all(_has_an_axis_more(got, expected) for got, expected in pairs):
        return "axis left", "The numbers are right, but an axis of length 1 is too many."
    for table, these in ((SHAPES, pairs), (UNFINISHED, turned)):
        for name, (change, says) in table.items():
            if all(_equal(one, change(other) if other.ndim else other) for one, other in these):
                return name, says
    return None


def _has_an_axis_more(got: Tensor, expected: Tensor) -> bool:
    lengths = [[length for length in one.shape if length != 1] for one in (got, expected)]
    if got.ndim <= expected.ndim or lengths[0] != lengths[1]:
        return False
    return _equal(got.reshape(expected.shape), expected)


def _of_numbers(pairs: Sequence[Pair]) -> Said | None:
    got, expected = (
        torch.cat([one.flatten() for one in side]) for side in zip(*pairs, strict=True)
    )
    there = expected.isfinite()
    if not got[there].isfinite().all() or not _equal(got[~there], expected[~there]):
        return None
    got, expected = got[there], expected[there]
    if len(expected.unique()) < LEAST:
        return None
    return (
        _nearly(pairs)
        or _factor(got, expected)
        or _shift(got, expected)
        or next(
            ((n, says) for n, (change, says) in NUMBERS.items() if _equal(got, change(expected))),
            None,
        )
        or _bounds(got, expected)
    )


def _nearly(pairs: Sequence[Pair]) -> Said | None:
    """Measured case by case: beside the numbers of one, those of another may be nothing."""
    off = max(map(_off, pairs))
    if off > NEAR:
        return None
    return NEARLY, (
        f"The numbers come close, but are off by up to {off:.1g} of their size: was something "
        "approximated, a small constant added, or were digits cut off?"
    )


def _off(pair: Pair) -> float:
    got, expected = (one.flatten()[pair[1].flatten().isfinite()] for one in pair)
    if not expected.numel():
        return 0.0
    size = expected.abs()
    floor = max(NEAR * size.max().item(), torch.finfo(torch.float32).tiny)
    return ((got - expected).abs() / size.clamp(min=floor)).max().item()


def _factor(got: Tensor, expected: Tensor) -> Said | None:
    factor = (got @ expected / (expected @ expected)).item()
    if abs(factor) < NEAR or not _equal(got, factor * expected):
        return None
    known = {
        -1.0: "The sign of every number is turned.",
        BITS: "These are bits: log2 in place of log.",
    }
    for value, says in known.items():
        if math.isclose(factor, value, rel_tol=RTOL):
            return f"times {value:.4g}", says
    says = (
        f"Every number is {factor:.4g} times the right one: which factor is too many, or missing?"
    )
    return f"times {factor:.4g}", says


def _shift(got: Tensor, expected: Tensor) -> Said | None:
    shift = (got - expected).mean().item()
    if not _equal(got, expected + shift):
        return None
    side = "above" if shift > 0 else "below"
    return f"shifted by {shift:.4g}", f"Every number is {abs(shift):.4g} {side} the right one."


def _bounds(got: Tensor, expected: Tensor) -> Said | None:
    low, high = got.min(), got.max()
    if high - low <= NEAR * max(abs(low), abs(high)) or not _equal(got, expected.clamp(low, high)):
        return None
    cut = [f"above {high:.4g}"] * bool((expected > high + ATOL).any())
    cut += [f"below {low:.4g}"] * bool((expected < low - ATOL).any())
    return "cut off", f"Numbers {' and '.join(cut)} were cut off: nothing is to be clamped here."


def _equal(one: Tensor, other: Tensor) -> bool:
    return one.shape == other.shape and torch.allclose(one, other, rtol=RTOL, atol=ATOL)
