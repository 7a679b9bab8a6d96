"""Judge answers: the one place where two answers are compared, for checks, grading and tests."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .cases import GRADIENT, RULES, VALUES, Case
from .clean import clean
from .closeness import (
    TOLERANCE,
    as_tensor,
    close,
    exact,
    is_number,
    is_tensor_like,
    same_value,
    tolerance,
)
from .describing import MOST_DIGITS, describe, short
from .exceptions import PREFIX, first_line, meaning
from .formulas import formula
from .observed import KIND, NO_LEAF, WEIGHTS
from .probe import Answer
from .relations import NEARLY, relation
from .verdict import Failure, Verdict, WrongAnswer

DTYPE = "dtype"  # the observation that `_split` makes of a value's dtype
MISSING = {KIND: "nothing"}
FIRST = "first difference"
MOST_RELATED = 100_000  # numbers of an answer to one case
WORDS = (DTYPE, "loss dtype", "shape")  # observations that are said in words
KIND_MEANS = {
    "NoneType": "Nothing came back: a function gives what stands after `return`, on its last line.",
    NO_LEAF: "What came back is .grad of a tensor that is no leaf, and that stays None: "
    "torch.autograd.grad gives the gradient with respect to any tensor of the graph.",
    "function": "A function came back, not its value: call it.",
    "builtin_function_or_method": "A function came back, not its value: are () missing?",
    "method": "A method came back, not its value: are () missing?",
}
Row = tuple[int, str, str]  # the case's number, what was observed, the part it belongs to


def judge(
    exercise: str,
    parts: Mapping[str, int],
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    wrong: Sequence[WrongAnswer] | None = None,
) -> Verdict:
    """Compare the answers `got` with those `expected`, and name the mistake behind a difference.

    wrong: the mistakes that have a name; None where only the points are asked for.
    """
    parts = dict(parts)
    if got and all(_unwritten(exercise, answer) for answer in got):
        return Verdict(exercise, "not written", parts, dict.fromkeys(parts, False))
    observed = [
        [(i, *pair) for pair in _compare(parts, case, *answers)]
        for i, (case, *answers) in enumerate(zip(cases, got, expected, strict=True))
    ]
    differing = [(i, what, part) for rows in observed for i, what, part, same in rows if not same]
    seen = {part for rows in observed for i, _, part, _ in rows if _answered(got[i], expected[i])}
    broken = {part for _, _, part in differing} | (set(parts) - seen)
    shown = _in_order(differing, broken, got)
    failures = [_failure(cases[i], part, what, got[i], expected[i]) for i, what, part in shown]
    raised = bool(differing) and all("error" in got[i] for i, _, _ in differing)
    status = "raised" if raised else "wrong" if differing else "right"
    waits = any(_waits(answer) for answer in got)  # for another exercise: nothing can be told yet
    diagnoses = {}
    if differing and not waits and wrong is not None:
        diagnoses = _diagnose(cases, got, expected, wrong, differing)
        if not diagnoses and cases[0].probe != "quiz":
            diagnoses = _related(cases, got, expected, differing)
    passed = {part: part not in broken for part in parts}
    return Verdict(exercise, status, parts, passed, failures, diagnoses)


def _in_order(differing: Sequence[Row], broken: set[str], got: Sequence[Answer]) -> list[Row]:
    """What differs, values before what hangs on them; while those are wrong, nothing else."""

    def counts(row: Row) -> bool:
        return _is_value(row[1]) or "error" in got[row[0]]

    values = [row for row in differing if row[2] == VALUES and counts(row)]
    if VALUES in broken and values:
        return values + [row for row in differing if row[1] == "changed inputs"]
    return sorted(differing, key=lambda row: not counts(row))


def _unwritten(exercise: str, answer: Answer) -> bool:
    """Whether the exercise's own hole is still there; one in a function that it calls is not."""
    values = [value for name, value in answer.items() if name.startswith("value")]
    dots = bool(values) and all(_kind(value) == "ellipsis" for value in values)
    error = answer.get("error", {})
    return dots or (_is_hole(error) and error.get("function") in (None, "", exercise))


def _is_hole(error: Mapping[str, Any]) -> bool:
    """Whether it is what a hole raises; torch has NotImplementedErrors of its own."""
    kind = next(iter(error.get("kinds", ())), "")
    own = str(error.get("line", "")).startswith("raise NotImplementedError")
    return kind == "NotImplementedError" and (own or not error.get("message"))


def _waits(answer: Answer) -> bool:
    """Whether it came to a function that is not written yet."""
    error = answer.get("error", {})
    return _is_hole(error) and bool(error.get("function"))


def _answered(got: Answer, expected: Answer) -> bool:
    """Whether anything but an unexpected exception was observed."""
    return "error" not in got or "error" in expected


def _kind(value: Any) -> str | None:
    return value.get(KIND) if isinstance(value, dict) else None


def _split(answer: Answer) -> Answer:
    """The answer with the dtype of its value as an observation of its own."""
    value = answer.get("value")
    if isinstance(value, Tensor):
        return answer | {DTYPE: f"a {str(value.dtype).removeprefix('torch.')} tensor"}
    if _kind(value) == "numpy":
        return answer | {DTYPE: "a numpy array", "value": value["tensor"]}
    if isinstance(value, bool | int | float):
        return answer | {DTYPE: f"a Python {type(value).__name__}"}
    return answer


def _compare(
    parts: Mapping[str, int], case: Case, got: Answer, expected: Answer
) -> Iterator[tuple[str, str, bool]]:
    """(observation, part, same?) for everything that the expected answer observed."""
    got, expected = _split(got), _split(expected)
    if not isinstance(expected.get("value"), Tensor):
        expected.pop(DTYPE, None)  # a number may come as a tensor; a tensor not as a number
    if not _answered(got, expected):
        yield "value", case.part, False  # nothing else was observed, so nothing else is blamed
        return
    for what, wanted in expected.items():
        part = _part(parts, case, what)
        yield what, part, what in got and same_value(got[what], wanted, case)
    for what in got.keys() - expected.keys():
        if re.fullmatch(r"value \d+", what):  # a list that goes on; a dict may know more
            yield what, case.part, False
            return


def _part(parts: Mapping[str, int], case: Case, what: str) -> str:
    if (what == "changed inputs" or what.endswith(DTYPE)) and RULES in parts:
        return RULES
    if what.startswith("gradient") and case.part in (VALUES, RULES) and GRADIENT in parts:
        return GRADIENT
    if what.startswith("value '") and what.split("'")[1] in parts:
        return what.split("'")[1]  # an answer that is a dict: each key may be a part
    return case.part


def _diagnose(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    wrong: Sequence[WrongAnswer],
    differing: Sequence[Row],
) -> dict[str, str]:
    """The named mistake that gives the same answers as the student wherever these are wrong.

    Where one mistake does not explain everything, each part is explained by itself; while the
    values are wrong for a reason unknown, what is said of the rest would mislead.
    """
    found = _explanation(cases, got, expected, wrong, differing)
    if found:
        return {found.name: found.says}
    named, besides = {}, {}
    broken = dict.fromkeys(part for _, _, part in differing)
    for part in sorted(broken, key=lambda part: part != VALUES):
        rows = [row for row in differing if row[2] == part]
        sure = VALUES in broken and part != VALUES
        found, apart = _of_part(cases, got, expected, wrong, rows, sure)
        if found:
            named[found.name] = found.says
            besides |= _gradients(got, expected, apart, "")
        elif part == VALUES:
            return {}
    # Where a mistake by name explains a gradient, the general sentence would say it again.
    return named | (besides if len(named) == 1 else {})


def _of_part(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    wrong: Sequence[WrongAnswer],
    rows: Sequence[Row],
    sure: bool,
) -> tuple[WrongAnswer | None, Sequence[Row]]:
    """The mistake whose values and gradients are the answer's in these rows' cases.

    With it the gradients that it does not explain, which are cut, or reach a constant: a second
    mistake, to be said besides.
    """
    part = rows[0][2]
    whole = [
        (i, what, part)
        for i in {i for i, _, _ in rows}
        for what in expected[i]
        if _is_whole(what) or what.startswith("gradient")
    ]
    whole += [row for row in rows if _is_value(row[1])]  # an exception has no other row
    if found := _explanation(cases, got, expected, wrong, [*rows, *whole], sure):
        return found, ()
    if not any(_is_value(what) for _, what, _ in rows):
        return None, ()
    apart = [row for row in whole if _is_apart(got, expected, row)]
    rest = [row for row in whole if row not in apart]
    return (_explanation(cases, got, expected, wrong, rest) if apart else None), apart


def _is_apart(got: Sequence[Answer], expected: Sequence[Answer], row: Row) -> bool:
    """Whether a gradient is missing, or arrives where the right one is none."""
    i, what, _ = row
    if not what.startswith("gradient") or _kind(got[i].get(what)):
        return False
    return got[i].get(what) is None or _is_none(expected[i][what])


def _related(
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
    if said := _of_kind(got, expected, differing):
        return said
    values = [row for row in differing if _is_value(row[1])]
    found = _of_values(cases, got, expected, values) if values else {}
    if not values:
        found = dict(_gradients(got, expected, differing, "The values are right, but "))
    return found or _first(cases, expected, differing)


def _of_kind(
    got: Sequence[Answer], expected: Sequence[Answer], differing: Sequence[Row]
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
    kind = _kind(_split(one).get("value")) or ""
    if said := KIND_MEANS.get(kind):
        return {f"{PREFIX}{kind}": said}
    if differing[0][1] == "shape" and one.get("shape") == "()":
        return {f"{PREFIX}one number": "One number came back, and one for each token is asked for."}
    came, wanted = ([what for what in answer if _is_value(what)] for answer in (one, other))
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
        found = {name: f"In the plain cases: {says}" for name, says in found.items()}
    return found


def _relation(
    cases: Sequence[Case], got: Sequence[Answer], expected: Sequence[Answer], told: Sequence[int]
) -> dict[str, str]:
    pairs = [(_split(got[i]).get("value"), expected[i].get("value")) for i in told]
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


def _gradients(
    got: Sequence[Answer], expected: Sequence[Answer], rows: Sequence[Row], before: str
) -> Iterator[tuple[str, str]]:
    """What is said of gradients that do not arrive, of those that must not, and of a broken graph.

    before: begins the sentence of those that do not arrive.
    """
    for what in dict.fromkeys(what for _, what, _ in rows if what.startswith("gradient")):
        name = what.removeprefix("gradient of ")
        came = [got[i].get(what) for i, other, _ in rows if other == what]
        broken = next(filter(None, map(_raised, came)), None)
        constant = all(_is_none(answer[what]) for answer in expected if what in answer)
        if broken:
            yield broken
        elif all(one is None for one in came) and not constant:
            says = before + f"no gradient reaches {name}: .detach(), .item(), numpy, a new tensor "
            says += "or no_grad() cut the graph."
            yield f"no {what}", says[0].upper() + says[1:]
        elif constant and not all(map(_is_none, came)):
            yield f"a {what}", f"A gradient reaches {name}, which is a constant here: detach it."


def _raised(gradient: Any) -> tuple[str, str] | None:
    """What it means that finding a gradient raised an exception."""
    kind, colon, message = (_kind(gradient) or "").partition(": ")
    return meaning({"kinds": [kind], "message": message}) if colon else None


def _is_none(gradient: Any) -> bool:
    """Whether no gradient arrives, or one of zeros, which says the same."""
    return same_value(gradient, None, Case("", {}))


def _explanation(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    wrong: Sequence[WrongAnswer],
    differing: Sequence[Row],
    sure: bool = False,
) -> WrongAnswer | None:
    """Of the mistakes that answer alike in `differing`, the one closest in everything else.

    None that would have spoilt a value which is right, a gradient beside one that is wrong, or a
    network: whoever makes it gets that one wrong too. sure: of several, none where all that came
    back is NaN, which tells too little.
    """
    missed = {i for i, _, _ in differing}
    right = [
        (i, what)
        for i, answer in enumerate(expected)
        for what in answer
        if (_is_whole(what) or " after: " in what or (i in missed and what.startswith("gradient")))
        and agree(cases[i], got[i], answer, what)
    ]
    refused = [(i, "error") for i, answer in enumerate(got) if "error" in answer]

    def explains(mistake: WrongAnswer) -> bool:
        asked = [(i, what) for i, what, _ in differing] + right
        asked += refused if mistake.rough else []  # so little is told by noise
        return all(_answers_alike(cases, got, mistake, *row) for row in asked)

    alike = [mistake for mistake in wrong if explains(mistake)]
    if len(alike) < 2:
        return alike[0] if alike else None
    if sure and all(_is_nan(got[i].get(what)) for i, what, _ in differing if _is_value(what)):
        return None
    elsewhere = [(i, what) for i, answer in enumerate(expected) for what in _split(answer)]

    def closeness(mistake: WrongAnswer) -> int:
        sure = [row for row in elsewhere if not mistake.rough.get(row[0])]
        return sum(_answers_alike(cases, got, mistake, *row, spread=False) for row in sure)

    return max(alike, key=closeness)


def _answers_alike(
    cases: Sequence[Case],
    got: Sequence[Answer],
    mistake: WrongAnswer,
    number: int,
    what: str,
    spread: bool = True,
) -> bool:
    """Whether an observation is the mistake's, as far as rounding lets it be told.

    spread: whether it matters not how far NaN has spread; see `_is_spread`.
    """
    case, rough = cases[number], mistake.rough.get(number, 0.0)
    if mistake.is_noise(number):
        return _is_noise(got[number])
    return agree(case, got[number], mistake.answers[number], what, rough, spread=spread)


def _is_noise(answer: Answer) -> bool:
    """Whether it may come of a system that only rounding makes solvable: numbers, or a refusal."""
    if "error" in answer:
        return not {"ValueError", "_LinAlgError"}.isdisjoint(answer["error"].get("kinds", ()))
    values = [value for what, value in answer.items() if _is_value(what)]
    return all(is_number(value) or value == "nan" for value in values)


def _is_nan(value: Any) -> bool:
    return value == "nan" or (isinstance(value, Tensor) and bool(value.isnan().all()))


def _is_value(what: str) -> bool:
    """Whether this observation is of what was returned: of a list or a dict, each has its own."""
    return what == "value" or what.startswith("value ")


def _is_whole(what: str) -> bool:
    """Whether it belongs to an answer that is right or wrong as a whole: a dict's keys do not."""
    return _is_value(what) and "'" not in what


def agree(
    case: Case,
    got: Answer,
    mistake: Answer,
    what: str,
    rough: float = 0.0,
    share: float = 1.0,
    spread: bool = False,
) -> bool:
    """Whether both answers observed the same; NaN agrees with NaN here, as it is no merit.

    rough: what rounding may do to the mistake's numbers. share: of the tolerance. spread: whether
    it matters not how far NaN has spread; see `_is_spread`.
    """
    if "error" in got or "error" in mistake:
        said = [_said(answer.get("error")) for answer in (got, mistake)]
        return None not in said and said[0] == said[1]
    got, mistake = _split(got), _split(mistake)
    if what not in got or what not in mistake:
        return (what in got) == (what in mistake) and _values_agree(case, got, mistake)
    one, other = got[what], mistake[what]
    case = _as_coarse(case, mistake, other, rough, share)
    if isinstance(one, Tensor) and isinstance(other, Tensor) and one.shape == other.shape:
        if one.dtype != other.dtype:  # else the coarser one's tolerance would join them
            return False
        broken = one.isnan() | other.isnan()
        apart = not torch.equal(one.isnan(), other.isnan())
        if apart and not (spread and _is_spread(what, got, mistake)):
            return False
        return close(one.masked_fill(broken, 0), other.masked_fill(broken, 0), case)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and one.get(KIND) == other.get(KIND)
    return same_value(one, other, case)


def _is_spread(what: str, *answers: Answer) -> bool:
    """Whether NaN comes of values that are not finite: how far it spreads in a gradient then hangs
    on how the same values were come by."""
    values = [as_tensor(one["value"]) for one in answers if is_tensor_like(one.get("value"))]
    broken = len(values) == len(answers) and not any(one.isfinite().all() for one in values)
    return what.startswith("gradient") and broken


def _values_agree(case: Case, got: Answer, mistake: Answer) -> bool:
    """Of what has neither the form nor the exception that was asked for: whether it is the same.

    What a dict or a list holds besides is asked for by rows of its own.
    """
    shared = set(filter(_is_value, got)) & set(mistake)
    return bool(shared) and ("value" not in shared or agree(case, got, mistake, "value"))


def _as_coarse(case: Case, mistake: Answer, observed: Any, rough: float, share: float) -> Case:
    """The case with tolerances for the digits that a mistake's rounding leaves of its answer.

    Where float32 came in, a Python number or a float64 tensor has no more digits than float32's;
    and where a mistake goes through float32, a gradient of float64's dtype has no more either.
    """
    value = mistake.get("value")
    given = {tensor.dtype for tensor in case.inputs.values() if isinstance(tensor, Tensor)}
    narrowed = isinstance(value, Tensor) and value.dtype == torch.float32 and torch.float64 in given
    narrowed |= mistake.get("loss dtype") == "torch.float32" and torch.float64 in given
    plain = case.rtol is None and torch.float32 in given
    if not (rough or narrowed or plain) and share == 1.0:
        return case
    rtol, atol = tolerance(case, as_tensor(observed) if is_tensor_like(observed) else exact(0))
    if narrowed or plain:
        rtol, atol = map(max, zip((rtol, atol), TOLERANCE[torch.float32], strict=True))
    return replace(case, rtol=rtol * share, atol=max(atol, rough) * share)


def _said(error: Mapping[str, Any] | None) -> str | None:
    """What tells one exception from another: the text, but where its words are whoever's."""
    if error is None:
        return None
    kind = error["kinds"][0]
    own = kind in ("AssertionError", "ValueError", "_LinAlgError")
    return kind if own else error["message"]


def _failure(case: Case, part: str, what: str, got: Answer, expected: Answer) -> Failure:
    error = got.get("error")
    if error and what != "error":
        return Failure(part, case.title, what, _exception(error), "", short(str(error["line"])))
    got, expected = _split(got), _split(expected)
    one, other = _found(got, what), expected.get(what, MISSING)
    rtol, _ = tolerance(case, other) if isinstance(other, Tensor) else (0.0, 0.0)
    if what in WORDS:  # ours, and no text of the answer's
        return Failure(part, case.title, what, *(_word(text) for text in (one, other)))
    pair = describe(one, other, rtol=rtol), describe(other, one, rtol=rtol)
    if pair[0] == pair[1]:  # the difference is further back
        pair = describe(one, other, MOST_DIGITS, rtol), describe(other, one, MOST_DIGITS, rtol)
    return Failure(part, case.title, what + _of_what(what, expected), *pair)


def _word(text: Any) -> str:
    return text if isinstance(text, str) else describe(text)


def _found(got: Answer, what: str) -> Any:
    """The observation; where the answer has another form than expected, what that form is."""
    if what in got or not _is_value(what):
        return got.get(what, MISSING)
    if what != "value" and "value" in got:
        return got["value"]
    if what == "value" and any(name.startswith("value 0") for name in got):
        return {KIND: "a list or a tuple"}
    return {KIND: "a dict"} if what == "value" and any(map(_is_value, got)) else MISSING


def _of_what(what: str, expected: Answer) -> str:
    """Several outputs have one gradient only when they are added up: say how."""
    value = expected.get("value")
    if what.startswith("gradient") and isinstance(value, Tensor) and value.numel() > 1:
        return " (outputs weighted {} to {} and added)".format(*WEIGHTS)
    return ""


def _exception(error: Mapping[str, Any]) -> str:
    if _is_hole(error) and error.get("function"):
        return f"it calls {error['function']}, which is not written yet"
    if _is_out_of_memory(error):
        return "it needed more memory than there is for it"
    return short(first_line(error))


def _is_out_of_memory(error: Mapping[str, Any]) -> bool:
    """torch says it with an exception and in words of its own."""
    return "MemoryError" in error["kinds"] or "can't allocate memory" in str(error["message"])
