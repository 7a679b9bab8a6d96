"""One slip costs once: an answer that is wrong only for what it calls keeps its points.

Where an answer calls another exercise, and what is wrong with that one is a named mistake, the
right answers are asked again with that mistake in the other's place. Here, outside: neither the
reference nor a mistake ever enters the sandbox.
"""

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from types import FrameType, FunctionType
from typing import Any

from helpers import reference
from helpers.cases import Case
from helpers.compare import judge
from helpers.probe import Answer, ask
from helpers.verdict import Verdict

from ..course.exercise import Exercise, Sheet

MOST_LINES = 20_000  # of ours, that a case may run: with a mistake beneath, a search may never end


class Instead:
    """The course's answers with other functions in the places of some that they call by name.

    Functions are made anew in a world of their own, so that nothing changes for anybody else, and
    a mistake that itself calls the right answer still does. It stands for the module `reference`.
    """

    def __init__(self, replaced: Mapping[str, Any]) -> None:
        self._replaced = {name: _bare(answer) for name, answer in replaced.items()}
        self._worlds: dict[int, dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return self._replaced[name] if name in self._replaced else self.of(getattr(reference, name))

    def of(self, answer: Any) -> Any:
        """The answer, in this world; what is no function of ours stays as it is."""
        if isinstance(answer, functools.partial):
            return functools.partial(self.of(answer.func), *map(self.of, answer.args))
        bare = _bare(answer)
        if not isinstance(bare, FunctionType) or not _is_ours(bare.__module__):
            return answer
        world = self._world(bare.__globals__)
        made = FunctionType(
            bare.__code__, world, bare.__name__, bare.__defaults__, self._closure(bare)
        )
        made.__kwdefaults__ = bare.__kwdefaults__
        return made

    def _closure(self, function: FunctionType) -> tuple | None:
        cells = function.__closure__
        return cells and tuple(type(cell)(self.of(cell.cell_contents)) for cell in cells)

    def _world(self, names: dict[str, Any]) -> dict[str, Any]:
        if id(names) not in self._worlds:
            world = self._worlds[id(names)] = dict(names)
            for name, value in names.items():
                if isinstance(_bare(value), FunctionType):
                    world[name] = self._replaced.get(name) or self.of(value)
                elif value is reference:
                    world[name] = self
        return self._worlds[id(names)]


def _bare(answer: Any) -> Any:
    """Without the check of its shapes."""
    return getattr(answer, "__shaped__", answer)


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("autograde", "helpers")


def forgive(
    described: Mapping[str, Exercise],
    verdicts: Mapping[str, Verdict],
    cases: Mapping[str, Sequence[Case]],
    answers: Mapping[str, Sequence[Answer]],
) -> dict[str, Verdict]:
    """The verdicts that are better once what an answer calls is held to be a named mistake.

    verdicts: with what each answer calls. answers: what was answered, of those that called others.
    """
    better = {}
    for name, got in answers.items():
        beneath = list(_beneath(name, verdicts))
        named = {other: known for other in beneath if (known := _named(other, described, verdicts))}
        found = named and _again(described[name], cases[name], got, Instead(named))
        if found and found.points > verdicts[name].points:
            found.despite = list(named)
            found.calls = [other for other in verdicts[name].calls if other not in named]
            better[name] = found
    return better


def _beneath(name: str, verdicts: Mapping[str, Verdict]) -> Iterator[str]:
    """What an answer calls that is wrong itself, and what that calls, each once."""
    seen, waiting = {name}, list(verdicts[name].calls)
    while waiting:
        other = waiting.pop(0)
        if other not in seen:
            seen.add(other)
            waiting += verdicts[other].calls
            yield other


def _named(
    name: str, described: Mapping[str, Exercise], verdicts: Mapping[str, Verdict]
) -> Any | None:
    """The one mistake that explains what is wrong with an exercise."""
    told = list(verdicts[name].diagnoses)
    known = {mistake.name: mistake.answer for mistake in described[name].mistakes}
    return known.get(told[0]) if len(told) == 1 else None


def _again(
    exercise: Exercise, cases: Sequence[Case], got: Sequence[Answer], instead: Instead
) -> Verdict | None:
    """The best verdict by a right answer with a mistake beneath it; None where that tells nothing.

    It tells nothing where the mistake makes right and wrong answers alike, as one that returns 0
    would, or where it makes a right answer fail.
    """
    best: Verdict | None = None
    plain = Sheet(exercise, cases).expected
    for right in (exercise.answer, *exercise.alternatives.values()):
        expected = [_asked(instead.of(right), case) for case in cases]
        pairs = zip(expected, plain, strict=True)
        if any("error" in new and "error" not in old for new, old in pairs):
            continue
        found = judge(exercise.name, exercise.parts, cases, got, expected)
        if found.points > (best.points if best else 0) and _tells(
            exercise, cases, expected, instead
        ):
            best = found
        if best and best.status == "right":
            break
    return best


def _tells(
    exercise: Exercise, cases: Sequence[Case], expected: Sequence[Answer], instead: Instead
) -> bool:
    """Whether most of the exercise's own mistakes still differ from the right answer.

    Not all: one may be to write what is called here out, with the same slip.
    """

    def differs(answer: Any) -> bool:
        return any(
            judge(exercise.name, exercise.parts, [case], [_asked(answer, case)], [right]).status
            != "right"
            for case, right in zip(cases, expected, strict=True)
        )

    enough = len(exercise.mistakes) // 2 + 1
    different = (one for one in exercise.mistakes if differs(instead.of(one.answer)))
    return sum(1 for _ in islice(different, enough)) == enough


class _EndlessError(BaseException):
    """More lines than MOST_LINES; no answer's `except Exception` keeps it."""


def _asked(answer: Any, case: Case) -> Answer:
    """As `ask`, but what runs on and on is an exception. Lines are counted, not seconds: these
    hang on the machine."""
    left, before = MOST_LINES, sys.gettrace()

    def count(frame: FrameType, event: str, _: Any) -> Any:
        nonlocal left
        if not _is_ours(frame.f_globals.get("__name__", "")):
            return None
        left -= event == "line"
        if left < 0:
            raise _EndlessError
        return count

    sys.settrace(count)
    try:
        return ask(answer, [case])[0]
    except _EndlessError:
        return {"error": {"kinds": [_EndlessError.__name__], "message": "", "line": ""}}
    finally:
        sys.settrace(before)
