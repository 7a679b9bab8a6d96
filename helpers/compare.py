"""Judge answers: the one place where two answers are compared, for checks, grading and tests."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from .cases import GRADIENT, RULES, VALUES, Case
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
from .describing import MOST_DIGITS, describe, how_near, short
from .exceptions import first_line
from .observed import DTYPE, KIND, WEIGHTS, is_value, kind_of, split
from .probe import Answer
from .unnamed import Row, gradients, is_none, related
from .verdict import Failure, Verdict, WrongAnswer

MISSING = {KIND: "nothing"}
WORDS = (DTYPE, "loss dtype", "shape")  # observations that are said in words


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
    shown = _in_order(differing, broken, got, expected)
    failures = [_failure(cases[i], part, what, got[i], expected[i]) for i, what, part in shown]
    raised = bool(differing) and all("error" in got[i] for i, _, _ in differing)
    status = "raised" if raised else "wrong" if differing else "right"
    waits = any(_waits(answer) for answer in got)  # for another exercise: nothing can be told yet
    diagnoses = {}
    if differing and not waits and wrong is not None:
        diagnoses = _diagnose(cases, got, expected, wrong, differing)
        if not diagnoses and cases[0].probe != "quiz":
            diagnoses = related(cases, got, expected, differing)
    passed = {part: part not in broken for part in parts}
    return Verdict(exercise, status, parts, passed, failures, diagnoses)


def _in_order(
    differing: Sequence[Row], broken: set[str], got: Sequence[Answer], expected: Sequence[Answer]
) -> list[Row]:
    """What differs, values before what hangs on them; while those are wrong, nothing else.

    Where an exception was wanted, that comes before what came in its place.
    """

    def counts(row: Row) -> bool:
        if "error" in expected[row[0]]:
            return row[1] == "error"
        return is_value(row[1]) or "error" in got[row[0]]

    values = [row for row in differing if row[2] == VALUES and counts(row)]
    if VALUES in broken and values:
        return values + [row for row in differing if row[1] == "changed inputs"]
    return sorted(differing, key=lambda row: not counts(row))


def _unwritten(exercise: str, answer: Answer) -> bool:
    """Whether the exercise's own hole is still there; one in a function that it calls is not."""
    values = [value for name, value in answer.items() if name.startswith("value")]
    dots = bool(values) and all(kind_of(value) == "ellipsis" for value in values)
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


def _compare(
    parts: Mapping[str, int], case: Case, got: Answer, expected: Answer
) -> Iterator[tuple[str, str, bool]]:
    """(observation, part, same?) for everything that the expected answer observed."""
    got, expected = split(got), split(expected)
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
            besides |= gradients(got, expected, apart, "")
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
    whole += [row for row in rows if is_value(row[1])]  # an exception has no other row
    if found := _explanation(cases, got, expected, wrong, [*rows, *whole], sure):
        return found, ()
    if not any(is_value(what) for _, what, _ in rows):
        return None, ()
    apart = [row for row in whole if _is_apart(got, expected, row)]
    rest = [row for row in whole if row not in apart]
    return (_explanation(cases, got, expected, wrong, rest) if apart else None), apart


def _is_apart(got: Sequence[Answer], expected: Sequence[Answer], row: Row) -> bool:
    """Whether a gradient is missing, or arrives where the right one is none."""
    i, what, _ = row
    if not what.startswith("gradient") or kind_of(got[i].get(what)):
        return False
    return got[i].get(what) is None or is_none(expected[i][what])


def _explanation(
    cases: Sequence[Case],
    got: Sequence[Answer],
    expected: Sequence[Answer],
    wrong: Sequence[WrongAnswer],
    differing: Sequence[Row],
    sure: bool = False,
) -> WrongAnswer | None:
    """Of the mistakes that answer alike in `differing`, the one closest in everything else.

    None that would have spoilt a value or a refusal which is right, a gradient beside one that is
    wrong, or a network: whoever makes it gets that one wrong too. sure: of several, none where all
    that came back is NaN, which tells too little.
    """
    missed = {i for i, _, _ in differing}
    right = [
        (i, what)
        for i, answer in enumerate(expected)
        for what in answer
        if (
            _is_whole(what)
            or what == "error"
            or " after: " in what
            or (i in missed and what.startswith("gradient"))
        )
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
    if sure and all(_is_nan(got[i].get(what)) for i, what, _ in differing if is_value(what)):
        return None
    elsewhere = [(i, what) for i, answer in enumerate(expected) for what in split(answer)]

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
    values = [value for what, value in answer.items() if is_value(what)]
    return all(is_number(value) or value == "nan" for value in values)


def _is_nan(value: Any) -> bool:
    return value == "nan" or (isinstance(value, Tensor) and bool(value.isnan().all()))


def _is_whole(what: str) -> bool:
    """Whether it belongs to an answer that is right or wrong as a whole: a dict's keys do not."""
    return is_value(what) and "'" not in what


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
    got, mistake = split(got), split(mistake)
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
    shared = set(filter(is_value, got)) & set(mistake)
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
    got, expected = split(got), split(expected)
    one, other = _found(got, what), expected.get(what, MISSING)
    rtol, _ = tolerance(case, other) if isinstance(other, Tensor) else (0.0, 0.0)
    if what in WORDS:  # ours, and no text of the answer's
        return Failure(part, case.title, what, *(_word(text) for text in (one, other)))
    pair = describe(one, other, rtol=rtol), describe(other, one, rtol=rtol)
    if pair[0] == pair[1]:  # the difference is further back
        pair = describe(one, other, MOST_DIGITS, rtol), describe(other, one, MOST_DIGITS, rtol)
    pair = pair[0] + how_near(one, other), pair[1]
    return Failure(part, case.title, _entry(case, what) + _of_what(what, expected), *pair)


def _entry(case: Case, what: str) -> str:
    """An entry of a tuple by the name that the case has for it; anything else as it is."""
    return {f"value {i}": name for i, name in enumerate(case.entries)}.get(what, what)


def _word(text: Any) -> str:
    return text if isinstance(text, str) else describe(text)


def _found(got: Answer, what: str) -> Any:
    """The observation; where the answer has another form than expected, what that form is."""
    if what == "error" and what not in got:
        return {KIND: "no exception"}
    if what in got or not is_value(what):
        return got.get(what, MISSING)
    if what != "value" and "value" in got:
        return got["value"]
    if what == "value" and any(name.startswith("value 0") for name in got):
        return {KIND: "a list or a tuple"}
    return {KIND: "a dict"} if what == "value" and any(map(is_value, got)) else MISSING


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
