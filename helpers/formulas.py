"""Which short formula of the inputs an answer's values are, where no mistake has that name.

All formulas of a small grammar are tried: inputs, alone or two or three of them together, as they
come, under the mask or not, reduced to the shape that came back.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations, product
from typing import Any

import torch
from torch import Tensor

LEAST = 3  # different numbers, below which a formula may be chance
MOST = 4_096  # numbers in a case: more would take long
RTOL, ATOL = 1e-4, 1e-6
PREFIX = "formula: "
SAYS = "In every case its values are those of `{}`. Is that what you meant?"

Inputs = Mapping[str, Any]
Value = Callable[[Inputs], Tensor]
Formula = tuple[str, Value]

ALONE: dict[str, Callable[[Tensor], Tensor]] = {
    "{}": lambda x: x,
    "{}.exp()": torch.exp,
    "{}.log()": torch.log,
    "{}.softmax(-1)": lambda x: x.softmax(-1),
    "{}.log_softmax(-1)": lambda x: x.log_softmax(-1),
    "{}.square()": torch.square,
    "{}.abs()": torch.abs,
    "-{}": torch.neg,
}
TOGETHER: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "{} - {}": torch.sub,
    "({} - {}).exp()": lambda a, b: (a - b).exp(),
    "{} / {}": torch.div,
    "{} * {}": torch.mul,
    "{} + {}": torch.add,
    "({} - {}).expm1()": lambda a, b: (a - b).expm1(),
    "({} - {}).square()": lambda a, b: (a - b).square(),
    "({} - {}).abs()": lambda a, b: (a - b).abs(),
}
SYMMETRIC = ("{} * {}", "{} + {}", "({} - {}).square()", "({} - {}).abs()")
ROWS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "{}.sum(-1)": lambda x, _: x.sum(-1),
    "{}.mean(-1)": lambda x, _: x.mean(-1),
    "({} * mask).sum(-1)": lambda x, mask: (x * mask).sum(-1),
    "({} * mask).mean(-1)": lambda x, mask: (x * mask).mean(-1),
    "({} * mask).sum(-1) / mask.sum(-1)": lambda x, mask: (x * mask).sum(-1) / mask.sum(-1),
    "{}.where(mask, 0).sum(-1)": lambda x, mask: torch.where(mask, x, 0).sum(-1),
    "{}.where(mask, 0).mean(-1)": lambda x, mask: torch.where(mask, x, 0).mean(-1),
    "{}.max(-1)": lambda x, _: x.amax(-1),
}
WHOLE: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "{}.sum()": lambda x, _: x.sum(),
    "{}.mean()": lambda x, _: x.mean(),
    "{}[mask].mean()": lambda x, mask: x[mask].mean(),
    "{}[mask].sum()": lambda x, mask: x[mask].sum(),
    "({} * mask).mean()": lambda x, mask: (x * mask).mean(),
    "({} * mask).sum() / mask.sum()": lambda x, mask: (x * mask).sum() / mask.sum(),
    "({} * mask).sum(-1).mean()": lambda x, mask: (x * mask).sum(-1).mean(),
    "{}.where(mask, 0).sum(-1).mean()": lambda x, mask: torch.where(mask, x, 0).sum(-1).mean(),
    "{}.where(mask, 0).mean()": lambda x, mask: torch.where(mask, x, 0).mean(),
    "(({} * mask).sum(-1) / mask.sum(-1)).mean()": lambda x, mask: (
        (x * mask).sum(-1) / mask.sum(-1)
    ).mean(),
}
SAME: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "{}": lambda x, _: x,
    "{} * mask": lambda x, mask: x * mask,
    "{}.where(mask, 0)": lambda x, mask: torch.where(mask, x, 0),
}


def formula(inputs: Sequence[Inputs], got: Sequence[Tensor]) -> tuple[str, str] | None:
    """(a name, what to say): the formula of the inputs that was given in all cases, if it is short.

    inputs, got: of each case.
    """
    numbers = torch.cat([one.detach().double().flatten() for one in got])
    few = len(numbers[numbers.isfinite()].unique()) < LEAST
    if few or any(one.numel() > MOST for one in _tensors(inputs)):
        return None
    first = max(range(len(got)), key=lambda i: got[i].isfinite().sum())  # says most
    with torch.no_grad():
        for text, value in _fitting(inputs[first], got[first]):
            if all(_is(value, held, one) for held, one in zip(inputs, got, strict=True)):
                return PREFIX + text, SAYS.format(text)
    return None


def _tensors(inputs: Sequence[Inputs]) -> list[Tensor]:
    return [value for held in inputs for value in held.values() if isinstance(value, Tensor)]


def _is(value: Value, inputs: Inputs, got: Tensor) -> bool:
    found = _found(value, inputs)
    return found is not None and _equal(found, got)


def _found(value: Value, inputs: Inputs) -> Tensor | None:
    try:
        return value(inputs)
    except (RuntimeError, IndexError, TypeError):  # of shapes that do not go together
        return None


def _equal(found: Tensor, got: Tensor) -> bool:
    if found.shape != got.shape:
        return False
    if got.numel():  # nearly all differ here already, and the rest is a hundred times as slow
        one, other = found.flatten()[0].item(), got.flatten()[0].item()
        if math.isfinite(one - other) and abs(one - other) > ATOL + RTOL * abs(other):
            return False
    return torch.allclose(found.double(), got.double(), rtol=RTOL, atol=ATOL, equal_nan=True)


def _fitting(inputs: Inputs, got: Tensor) -> Iterator[Formula]:
    """Formulas that give what was given in this case, reduced to its shape under its mask."""
    mask = inputs.get("mask")
    masked = isinstance(mask, Tensor)
    for text, value in _formulas(inputs):
        whole = _found(value, inputs)
        for form, reduce in () if whole is None else _reductions(whole.shape, got.shape):
            if masked or "mask" not in form:
                found = _found(lambda _, reduce=reduce, whole=whole: reduce(whole, mask), inputs)
                if found is not None and _equal(found, got):
                    yield form.format(_in(text, form)), _chained(value, reduce)


def _reductions(shape: torch.Size, wanted: torch.Size) -> Iterator[tuple[str, Callable]]:
    """What brings one shape to the other."""
    if wanted == shape:
        yield from SAME.items()
    if len(shape) and wanted == shape[:-1]:
        yield from ROWS.items()
    if len(shape) > 1 and not wanted:
        yield from WHOLE.items()


def _chained(value: Value, reduce: Callable[[Tensor, Tensor], Tensor]) -> Value:
    return lambda inputs: reduce(value(inputs), inputs.get("mask"))


def _in(text: str, form: str) -> str:
    """In brackets where what stands around it would bind closer."""
    plain = form == "{}" or text.count(" ") == 0 or text.endswith(")") and text.startswith("(")
    return text if plain else f"({text})"


def _formulas(inputs: Inputs) -> Iterator[Formula]:
    """Shortest first: of one input, of two, of three."""
    names = [name for name, value in inputs.items() if _counts(value)]
    alone = [pair for name in names for pair in _of_one(name)]
    yield from alone
    pairs = list(_of_two(names))
    yield from pairs
    for (text, value), name in product(pairs, names):
        if not re.search(rf"\b{name}\b", text):
            yield f"{_in(text, '*')} * {name}", _times(value, name)


def _counts(value: Any) -> bool:
    if isinstance(value, Tensor):
        return value.is_floating_point()
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(inputs: Inputs, name: str) -> Tensor:
    return torch.as_tensor(inputs[name])


def _of_one(name: str) -> Iterator[Formula]:
    for form, change in ((form, ALONE[form]) for form in _forms(name)):
        yield form.format(name), lambda inputs, change=change: change(_number(inputs, name))


def _forms(name: str) -> list[str]:
    """The ways in which an input may come in; only logits are normalised."""
    return [form for form in ALONE if "softmax" not in form or "logits" in name]


def _of_two(names: Sequence[str]) -> Iterator[Formula]:
    """Two inputs as they come, as probabilities, or as log-probabilities."""
    for form, join in TOGETHER.items():
        for one, other in permutations(names, 2):
            if form in SYMMETRIC and names.index(one) > names.index(other):
                continue
            for left, right in product(_forms(one), _forms(other)):
                if _go_together(left, right):
                    text = form.format(left.format(one), right.format(other))
                    yield text, _joined(join, (ALONE[left], one), (ALONE[right], other))


def _go_together(left: str, right: str) -> bool:
    whole = ("{}", "{}.softmax(-1)", "{}.log_softmax(-1)")
    return left == right == "{}.exp()" or (left in whole and right in whole)


def _joined(join: Callable, one: tuple[Callable, str], other: tuple[Callable, str]) -> Value:
    return lambda inputs: join(one[0](_number(inputs, one[1])), other[0](_number(inputs, other[1])))


def _times(value: Value, name: str) -> Value:
    return lambda inputs: value(inputs) * _number(inputs, name)
