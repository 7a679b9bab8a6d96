"""Find answers that hang on rounding: each is asked again as another processor would compute it.

Processors agree on sums, products and quotients of two numbers, and on little else: exp and log
may differ in the last digit, long sums are added in another order, and a matrix that is nearly
singular is solved or not. What is answered otherwise there may be neither stored nor compared:
`Exercise.wrong(..., rough=...)` declares it, and here it is proven to be declared.
"""

import inspect
import math
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from helpers.cases import Case
from helpers.compare import agree
from helpers.probe import Answer, ask

from ..common.saying import say
from .exercise import Exercise, Mistake, Quiz
from .exercises import LESSONS, exercises

SHARE = 0.5  # of the tolerance by which answers are compared: what rounding may use of it
LARGE = 64.0  # in float32: above it a unit in the last place is itself more than rounding makes
FEW = 12  # bits: a number of so few was written out, as 1 or 2.25, and ties are made of such
CURVES = {
    "exp", "expm1", "exp2", "log", "log1p", "log2", "log10", "tanh", "sigmoid", "softplus",
    "log_sigmoid_forward", "xlogy", "logaddexp", "logsumexp", "sinh", "cosh", "erf",
    "_softmax", "_log_softmax", "_softmax_backward_data", "_log_softmax_backward_data",
}  # fmt: skip
SUMS = {"sum", "mean"}
PRODUCTS = {"mm", "bmm", "mv", "dot", "addmm"}
ORDERLESS = {"batch", "run", "group", "sample", "action", "vocab"}  # axes in no order


def moved(value: Any, seed: int) -> Any:
    """Every number of a floating tensor one unit in the last place up or down, at random.

    Equal numbers, and those that differ in sign, go the same way. What stays: 0, inf and nan,
    numbers of few bits, and those whose last place is a large unit.
    """
    if isinstance(value, dict):
        return {key: moved(item, seed) for key, item in value.items()}
    if not isinstance(value, Tensor) or value.dtype not in (torch.float32, torch.float64):
        return value
    steady = ~value.isfinite() | (value == 0) | _has_few_bits(value)
    if value.dtype == torch.float32:
        steady |= value.abs() >= LARGE
    return torch.where(steady, value.detach(), _next(value.detach(), seed))


def _bits(value: Tensor) -> Tensor:
    same_size = torch.int64 if value.dtype == torch.float64 else torch.int32
    return value.abs().contiguous().view(same_size).long()


def _has_few_bits(value: Tensor) -> Tensor:
    spare = (52 if value.dtype == torch.float64 else 23) - FEW
    return _bits(value.detach()) & ((1 << spare) - 1) == 0


def _next(value: Tensor, seed: int) -> Tensor:
    """Each number's neighbour, away from 0 or towards it, as its digits and the seed decide."""
    mixed = _bits(value) * 0x9E3779B1 + seed * 0x85EBCA77
    away = torch.where((mixed >> 19) & 1 == 1, torch.inf, 0.0).to(value.dtype)
    return torch.nextafter(value.abs(), away).copysign(value)


class Elsewhere(TorchDispatchMode):
    """As another processor computes: functions off in the last place, sums in another order."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        """What torch asks for every step, those of autograd included."""
        name = function._schema.name.removeprefix("aten::")
        if name in SUMS and args[0].is_floating_point():
            args = (_turned_along(*args[:2]), *args[1:])
        elif name in PRODUCTS:
            *first, one, other = args
            args = (*first, one.flip(-1), other.flip(max(-2, -other.ndim)))
        found = function(*args, **(kwargs or {}))
        if name.rstrip("_") in CURVES and function._overloadname != "out":
            return self._off(found, in_place=name.endswith("_"))
        return found

    def _off(self, found: Any, in_place: bool) -> Any:
        if not isinstance(found, Tensor):
            return found
        fixed = ~found.isfinite() | (found == 0) | (found.abs() == 1)
        there = torch.where(fixed, found, _next(found, self.seed))
        return found.copy_(there) if in_place else there


def _turned_along(value: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return value.flip(list(axes or range(value.ndim)))


def numpys_lapack() -> AbstractContextManager:
    """numpy's linear algebra in the place of torch's."""

    def through(name: str) -> Callable[..., Any]:
        def solve(*matrices: Tensor, **_: Any) -> Any:
            try:
                found = getattr(np.linalg, name)(*(matrix.numpy() for matrix in matrices))
            except np.linalg.LinAlgError as error:
                raise torch.linalg.LinAlgError(str(error)) from None
            parts = found if isinstance(found, tuple) else (found,)
            tensors = [torch.from_numpy(np.array(part)) for part in parts]
            return tensors if isinstance(found, tuple) else tensors[0]

        return solve

    def least_squares(one: Tensor, other: Tensor) -> Any:
        return _Solved(torch.from_numpy(np.linalg.lstsq(one.numpy(), other.numpy(), rcond=None)[0]))

    names = ("solve", "inv", "pinv", "qr", "det", "cholesky")
    replaced = {name: through(name) for name in names} | {"lstsq": least_squares}
    return mock.patch.multiple(torch.linalg, **replaced)


class _Solved(NamedTuple):
    solution: Tensor


class Way(NamedTuple):
    """How to ask again: with other inputs, elsewhere, or a function that turns axes round."""

    name: str
    case: Callable[[Case], Case] = lambda case: case
    where: Callable[[], AbstractContextManager] = nullcontext
    target: Callable[[Exercise, Any], Any] = lambda exercise, target: target


def _with_inputs_moved(seed: int) -> Callable[[Case], Case]:
    return lambda case: replace(
        case, inputs={name: moved(value, seed) for name, value in case.inputs.items()}
    )


def turned(exercise: Exercise, target: Any) -> Any:
    """The function, asked with its orderless axes turned round, and its answer turned back."""
    described = inspect.signature(exercise.answer, eval_str=True)
    counted = [p for p in described.parameters.values() if "Int[" in str(p.annotation)]
    loose = ORDERLESS - ({"vocab", "action"} if counted else set())
    axes = {n: _loose_axes(p.annotation, loose) for n, p in described.parameters.items()}
    back = _loose_axes(described.return_annotation, loose)

    def again(*given: Any, **named: Any) -> Any:
        inputs = dict(zip(axes, given, strict=False)) | named
        return _turn(target(*(_turn(value, axes[name]) for name, value in inputs.items())), back)

    return again


def _loose_axes(annotation: Any, loose: set[str]) -> list[str] | None:
    names = getattr(annotation, "dim_str", "").split()
    return [name if name in loose or name.startswith("*") else "" for name in names]


def _turn(value: Any, names: list[str] | None) -> Any:
    """A tensor turned round along the axes that have a name, *leading being all the first ones."""
    if not isinstance(value, Tensor) or not names:
        return value
    last = [name for name in names if not name.startswith("*")]
    leading = list(range(value.ndim - len(last))) if len(last) < len(names) else []
    found = [value.ndim - len(last) + i for i, name in enumerate(last) if name]
    return value.flip(leading + found)


INPUTS = tuple(Way(f"inputs moved, {seed}", _with_inputs_moved(seed)) for seed in (1, 2))
STEPS = tuple(
    Way(f"steps moved, {seed}", where=lambda seed=seed: Elsewhere(seed)) for seed in range(1, 7)
)
LAPACK = Way("numpy's LAPACK", where=numpys_lapack)
TURNED = Way("axes turned round", target=turned)


@dataclass(frozen=True)
class Finding:
    """An answer that another machine may give otherwise."""

    exercise: str
    who: str
    case: Case
    way: str
    here: Answer
    there: Answer

    def __str__(self) -> str:
        one, other = (_short(answer) for answer in (self.here, self.there))
        asked = f"{self.exercise}: {self.who}, {self.case.title!r}, {self.way}"
        return f"{asked}\n    {one}\n    {other}"


def _short(answer: Answer) -> str:
    return re.sub(r"\s+", " ", str(answer))[:300]


def findings(
    exercise: Exercise, cases: Sequence[Case], ways: Sequence[Way], declared: bool = True
) -> Iterator[Finding]:
    """Every answer that is less steady than it is declared to be.

    declared: else, of those that are declared to be unsteady, where they are.
    In another order only right answers are asked: what a wrong one does may hang on the order.
    """
    right = [Mistake("the reference", "", exercise.answer)]
    right += [Mistake(name, "", answer) for name, answer in exercise.alternatives.items()]
    wrong = [one for one in exercise.mistakes if declared or one.rough]
    right = right if declared else right[:1]
    answers = {one.name: list(ask(one.answer, cases)) for one in [*right, *wrong]}
    for way in ways:
        ill: set[int] = set()  # cases whose right answer follows an input in its last place
        for one in right if way is TURNED else [*right, *wrong]:
            rough = one.rough_in(cases) if declared else {}
            for number, finding in _unsteady(exercise, one, cases, answers[one.name], way, rough):
                if way in INPUTS and one is right[0]:
                    ill.add(number)
                elif number not in ill:
                    yield finding


def _unsteady(
    exercise: Exercise,
    one: Mistake,
    cases: Sequence[Case],
    answers: Sequence[Answer],
    way: Way,
    rough: Mapping[int, float],
) -> Iterator[tuple[int, Finding]]:
    again = way.target(exercise, one.answer)
    for number, (case, here) in enumerate(zip(cases, answers, strict=True)):
        how = rough.get(number, 0.0)
        if math.isinf(how):
            continue
        with way.where():
            (there,) = ask(again, [way.case(case)])
        observed = dict.fromkeys([*here, *there]).keys() - (
            {"changed inputs"} if way is TURNED else set()
        )
        if not all(agree(case, here, there, what, how, SHARE) for what in observed):
            yield number, Finding(exercise.name, one.name, case, way.name, here, there)


def main(names: Sequence[str]) -> int:
    """Print what is unsteady in the exercises named, or in all; 1 when there is anything."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    count = 0
    for lesson in LESSONS:
        for exercise in exercises(lesson).values():
            if isinstance(exercise, Quiz) or (names and not {lesson, exercise.name} & set(names)):
                continue
            for cases in (
                exercise.visible_cases,
                exercise.hidden_cases("steady")[len(exercise.hand_cases) :],
            ):
                for finding in findings(exercise, cases, (*STEPS[:2], *INPUTS, LAPACK, TURNED)):
                    say(finding)
                    count += 1
            say(f"-- {exercise.name}")
    return 1 if count else 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
