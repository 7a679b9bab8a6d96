"""What is told of a mistake that has no name: what was raised, what came back in another form, how
the values relate to the right ones or to the inputs, gradients that miss; and where it shows first.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from .cases import VALUES, Case
from .clean import clean
from .closeness import as_tensor, is_number, same_value
from .exceptions import PREFIX, meaning
from .formulas import formula
from .observed import NO_LEAF, NO_NUMBER, is_value, kind_of, split
from .probe import Answer
from .relations import NEARLY, relation

FIRST = "first difference"
MOST_RELATED = 100_000  # numbers of an answer to one case
KIND_MEANS = {
    "NoneType": "Nothing came back: a function gives what stands after `return`, on its last line.",
    NO_LEAF: "What came back is .grad of a tensor that is no leaf, and that stays None: "
    "torch.autograd.grad gives the gradient with respect to any tensor of the graph.",
    "function": "A function came back, not its value: call it.",
    "builtin_function_or_method": "A function came back, not its value: are () missing?",
    "method": "A method came back, not its value: are () missing?",
}
REACHED = {
    "padding": "A gradient reaches the padding: choose with torch.where what the mask counts."
}
Row = tuple[int, str, str]  # the case's number, what was observed, the part it belongs to


def related(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    differing: Sequence[Row],
) -> dict[str, str]:
    """What can be said of a mistake that has no name: of an exception, of how its values relate to
    the inputs or to the right ones, of gradients that miss; and where it shows first."""
    errors = [got[i]["error"] for i, _, _ in differing if "error" in got[i]]
    if errors and (said := meaning(errors[0])):
        return dict([said])
    if said := _of_kind(cases, got, expected, differing):
        return said
    values = [row for row in differing if is_value(row[1])]
    found = _of_values(cases, got, expected, values) if values else {}
    if not values:
        found = dict(gradients(got, expected, differing, "The values are right, but "))
    return found or _first(cases, expected, differing)


def _of_kind(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    differing: Sequence[Row],
) -> dict[str, str]:
    """What is said of something that came back, or was raised, in another form than was asked."""
    number = differing[0][0]
    one, other = got[number], expected[number]
    if "error" in other:
        wanted = other["error"]["kinds"][0]
        if "error" not in one:
            return {"no exception": f"Here {wanted} is to be raised, and something came back."}
        came = one["error"]["kinds"][0]
        return {"another exception": f"{clean(came, most=100)} is raised, {wanted} is asked for."}
    kind = kind_of(split(one).get("value")) or ""
    if said := KIND_MEANS.get(kind):
        return {f"{PREFIX}{kind}": said}
    if differing[0][1] == "shape" and one.get("shape") == "()":
        each = "response" if cases[number].probe == "responses" else "token"
        text = f"One number came back, and one for each {each} is asked for."
        return {f"{PREFIX}one number": text}
    came, wanted = ([what for what in answer if is_value(what)] for answer in (one, other))
    if "value" in other and came and "value" not in one:
        return {f"{PREFIX}several": "Several things came back, and one is asked for."}
    if "value" in one and "value 0" in other:
        text = f"One thing came back, and {len(wanted)} are asked for."
        return {f"{PREFIX}one of several": text}
    if "value 0" in other and len(came) != len(wanted):
        text = f"The list is of length {len(came)} here, and {len(wanted)} is asked for."
        return {f"{PREFIX}length": text}
    text = isinstance(one.get("value"), str) and one["value"] != "nan"
    if text and not isinstance(other.get("value"), str | dict):
        return {f"{PREFIX}text": "A text came back, and no number."}
    return {}


def _of_values(
    cases: Sequence[Case], got: Sequence[Answer], expected: Sequence[Answer], rows: Sequence[Row]
) -> dict[str, str]:
    """How the values relate to the inputs, or to the right ones; where other parts are wrong for a
    reason of their own, in the plain cases alone."""
    plain = [i for i, case in enumerate(cases) if case.part == VALUES]
    wrong = {i for i, _, _ in rows}
    found = _relation(cases, got, expected, sorted({*plain, *wrong}))
    if not found and wrong & {*plain}:
        found = _relation(cases, got, expected, plain)
        found = {name: _in_plain_cases(says) for name, says in found.items()}
    return found


def _in_plain_cases(says: str) -> str:
    every = "In every case "
    begins, plain = says.startswith(every), "In the plain cases"
    return f"{plain} {says.removeprefix(every)}" if begins else f"{plain}: {says}"


def _relation(
    cases: Sequence[Case], got: Sequence[Answer], expected: Sequence[Answer], told: Sequence[int]
) -> dict[str, str]:
    pairs = [(split(got[i]).get("value"), expected[i].get("value")) for i in told]
    if not pairs or not all(_is_plain(value) for pair in pairs for value in pair):
        return {}
    numbers = [(as_tensor(one), as_tensor(other)) for one, other in pairs]
    if any(one.numel() > MOST_RELATED for one, _ in numbers):  # of no size that was asked for
        return {}
    found = relation(numbers)
    if found is None or found[0] == NEARLY:  # the inputs themselves may say more
        found = formula([cases[i].inputs for i in told], [one for one, _ in numbers]) or found
    if found is None and all(one.ndim != other.ndim for one, other in numbers):
        came, wanted = (value.ndim for value in numbers[0])
        says = f"What comes back has {_axes(came)} and should have {wanted or 'none'}."
        found = f"{PREFIX}axes", says
    return dict([found]) if found else {}


def _axes(number: int) -> str:
    return "no axis" if number == 0 else f"{number} ax{'e' if number > 1 else 'i'}s"


def _first(
    cases: Sequence[Case], expected: Sequence[Answer], differing: Sequence[Row]
) -> dict[str, str]:
    """In which cases it is right, and in which it is first not; where all differ that is plain."""
    wrong = dict.fromkeys(i for i, _, _ in differing)
    right = [case.title for i, case in enumerate(cases) if i not in wrong and _says(expected[i])]
    if not right:
        return {}
    first = cases[min(wrong)].title
    return {FIRST: f"Right in {_listed(right)}. It differs first in “{first}”."}


def _says(answer: Answer) -> bool:
    """Whether it says something to be right there: of no number, or of 0, much is right."""
    value = answer.get("value")
    return bool(value.any()) if isinstance(value, Tensor) else value != 0


def _listed(titles: Sequence[str], most: int = 3) -> str:
    """The first few, in quotes, and how many more."""
    several = list(dict.fromkeys(titles))
    told = ", ".join(f"“{title}”" for title in several[:most])
    return told + (f" and {len(several) - most} more" if len(several) > most else "")


def _is_plain(value: Any) -> bool:
    """Whether it is a number, or a tensor that can be computed with like any other."""
    if isinstance(value, Tensor):
        return value.layout == torch.strided and not value.is_complex()
    return is_number(value)


def gradients(
    got: Sequence[Answer], expected: Sequence[Answer], rows: Sequence[Row], before: str
) -> Iterator[tuple[str, str]]:
    """What is said of gradients that do not arrive, of those that must not, and of a broken graph.

    before: begins the sentence of those that do not arrive. Constants are named in one sentence.
    """
    constants = []
    for what in dict.fromkeys(what for _, what, _ in rows if what.startswith("gradient")):
        name = what.removeprefix("gradient of ")
        came = [got[i].get(what) for i, other, _ in rows if other == what]
        broken = next(filter(None, map(_raised, came)), None)
        constant = all(is_none(answer[what]) for answer in expected if what in answer)
        if broken:
            yield broken
        elif all(one is None for one in came) and not constant:
            says = before + f"no gradient reaches {name}: .detach(), .item(), numpy, a new tensor "
            says += "or no_grad() cut the graph."
            yield f"no {what}", says[0].upper() + says[1:]
        elif any(kind_of(one) == NO_NUMBER for one in came):
            yield f"{PREFIX}no number", "The loss of some response is inf or NaN here."
        elif constant and not all(map(is_none, came)):
            if name in REACHED:
                yield f"a {what}", REACHED[name]
            else:
                constants.append(name)
    if constants:
        one = "which is a constant here: detach it"
        several = "which are constants here: detach them"
        names = " and ".join(constants)
        says = f"A gradient reaches {names}, {one if len(constants) == 1 else several}."
        yield f"a gradient of {names}", says


def _raised(gradient: Any) -> tuple[str, str] | None:
    """What it means that finding a gradient raised an exception."""
    kind, colon, message = (kind_of(gradient) or "").partition(": ")
    return meaning({"kinds": [kind], "message": message}) if colon else None


def is_none(gradient: Any) -> bool:
    """Whether no gradient arrives, or one of zeros, which says the same."""
    return same_value(gradient, None, Case("", {}))
