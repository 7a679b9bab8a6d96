"""An exercise, described once: its cases, its worth, its hints and the mistakes people make.

Visible checks, hidden grading, diagnoses, the tests and the table of coverage all read this.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import torch

from helpers import reference
from helpers.cases import VALUES, Case
from helpers.closeness import FORM
from helpers.compare import judge
from helpers.probe import Answer, ask
from helpers.sealed import TOLD, Comment, seal
from helpers.verdict import Verdict, WrongAnswer

from ..common.errors import UsageError
from .changed_line import with_line
from .draw import Draw

CaseMaker = Callable[[Draw], Iterable[Case]]


@dataclass(frozen=True)
class Mistake:
    """A wrong answer that people give, and what to tell them.

    rough: how far off its numbers are by rounding alone, where that is more than between right
    answers: of all cases, or by a case's title; `math.inf` where they are nothing but rounding.
    """

    name: str
    says: str
    answer: Any
    rough: float | Mapping[str, float] = 0.0

    def rough_in(self, cases: Sequence[Case]) -> dict[int, float]:
        """`rough` by the number of the case, where there is any."""
        by_title = self.rough if isinstance(self.rough, Mapping) else {}
        always = 0.0 if by_title else self.rough
        found = {i: by_title.get(case.title, always) for i, case in enumerate(cases)}
        return {number: how for number, how in found.items() if how}


@dataclass(frozen=True)
class Exercise:
    """name: of the student's function, and of the reference.
    parts: points by property; "values" is the one without which the others are worth nothing.
    hints: three, of rising explicitness; the last is one step short of the answer.
    advisory: by part, what is observed in the student's own process alone: nobody outside can tell
    whether it is so. SECURITY.md lists it.
    """

    name: str
    parts: Mapping[str, int]
    hints: Sequence[str]
    advisory: Mapping[str, str] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    alternatives: dict[str, Any] = field(default_factory=dict)
    _makers: dict[str, CaseMaker] = field(default_factory=dict)
    _kept: dict[int, tuple[Any, dict[int, Answer]]] = field(default_factory=dict, repr=False)

    @property
    def points(self) -> int:
        return sum(self.parts.values())

    @property
    def answer(self) -> Any:
        """The reference."""
        return getattr(reference, self.name)

    def by_hand(self, maker: Callable[[], Iterable[Case]]) -> Callable[[], Iterable[Case]]:
        """Decorate what yields the cases that can be worked out on paper; shown first."""
        return self._keep("hand", maker, lambda draw: maker())

    def drawn(self, maker: CaseMaker) -> CaseMaker:
        """Decorate what yields the cases made of random inputs, a dozen at most."""
        return self._keep("drawn", maker, maker)

    def _keep(self, kind: str, maker: Callable, keep: CaseMaker) -> Callable:
        if kind in self._makers:
            raise ValueError(f"{self.name} has its {kind} cases already: put them in one function")
        self._makers[kind] = keep
        return maker

    def wrong(self, says: str, rough: float | Mapping[str, float] = 0.0) -> Callable[[Any], Any]:
        """Decorate a wrong answer; the decorated function's name is the mistake's name.

        rough: see Mistake; `autograde.course.steadiness` proves that it is needed, and enough.
        """

        def keep(answer: Any) -> Any:
            self._add(Mistake(answer.__name__, says, answer, rough))
            return answer

        return keep

    def changed(
        self, name: str, line: str, instead: str, says: str, of: Any = None, rough: Any = 0.0
    ) -> None:
        """Add the wrong answer that is a right one with `instead` in the place of `line`.

        line: a line, or a part of one that stands there once. of: the right answer; the reference
        unless another is given. rough: see Mistake. Raises UsageError where nothing would change.
        """
        answer = with_line(self.answer if of is None else of, name, line, instead)
        self._add(Mistake(name, says, answer, rough))

    def together(self, first: str, *others: str) -> None:
        """Add wrong answers that make two `changed` mistakes at once, of which both are said.

        first, with each of the others. The other is made in the first's source, so its line has to
        stand there. Raises UsageError where it does not, or where one of them is no changed line.
        """
        changed = {m.name: m for m in self.mistakes if hasattr(m.answer, "__change__")}
        for other in others:
            if not {first, other} <= set(changed):
                raise UsageError(f"{self.name}: {first} and {other} have to be changed lines above")
            name, (line, instead) = f"{first}_and_{other}", changed[other].answer.__change__
            says = f"Two things. {changed[first].says} And: {changed[other].says}"
            self._add(Mistake(name, says, with_line(changed[first].answer, name, line, instead)))

    def _add(self, mistake: Mistake) -> None:
        if mistake.name in {known.name for known in self.mistakes}:
            raise UsageError(f"{self.name}: two mistakes are named {mistake.name}; rename one")
        self.mistakes.append(mistake)

    def right(self, answer: Any) -> Any:
        """Decorate an unusual right answer: the tests prove that it gets full points."""
        self.alternatives[answer.__name__] = answer
        return answer

    def cases(self, draw: Draw) -> list[Case]:
        """The cases by hand, then the drawn ones."""
        return [*self.hand_cases, *self._makers.get("drawn", _none)(draw)]

    @cached_property
    def hand_cases(self) -> list[Case]:
        """The same for every submission, so what is answered to them is kept, see `kept`."""
        return list(self._makers.get("hand", _none)(Draw("hand", self.name)))

    def kept(self, target: Any) -> dict[int, Answer]:
        """What the reference or a mistake answered to the cases by hand, by their number."""
        # By identity: a quiz's answers are values, and equal ones of two kinds differ.
        return self._kept.setdefault(id(target), (target, {}))[1]

    @cached_property
    def visible_cases(self) -> list[Case]:
        """The cases in the student's bundle: the same for everyone."""
        return self.cases(Draw("visible", self.name))

    def hidden_cases(self, *key: str | bytes) -> list[Case]:
        """Fresh cases for one submission; equal keys give equal cases."""
        return self.cases(Draw("hidden", self.name, *key))

    def reasons(self) -> list[str]:
        """Why the answer is what it is, step by step: what its hints lead to."""
        return list(self.hints)

    def sheet(self) -> "Sheet":
        """The visible cases with all that is known of them: how a check in a lesson judges."""
        return Sheet(self, self.visible_cases)

    def grade(self, answer: Any, *key: str | bytes) -> Verdict:
        """Ask and judge in this process: for trusted answers, and for plain nbgrader."""
        return Sheet(self, self.hidden_cases(*key)).grade(answer)

    def visible(self) -> dict[str, Any]:
        """All that a student's bundle knows of the exercise, as plain data: no code."""
        sheet = self.sheet()
        sheet.require_mistakes()
        return self._data(sheet.cases, sheet.expected, [answer.plain() for answer in sheet.wrong])

    def _data(
        self, cases: Sequence[Case], expected: Sequence[Answer], wrong: Sequence[Mapping[str, Any]]
    ) -> dict[str, Any]:
        return {
            "name": self.name,
            "parts": dict(self.parts),
            "hints": list(self.hints),
            "cases": [case.plain() for case in cases],
            "expected": list(expected),
            "wrong": list(wrong),
        }


class _Answers(Sequence[Answer]):
    """What a function answers to cases, asked when it is looked at.

    Most mistakes differ from a student's answer in the first case: they are asked no other.
    """

    def __init__(self, exercise: Exercise, target: Any, cases: Sequence[Case]) -> None:
        self._target, self._cases = target, cases
        self._asked: dict[int, Answer] = {}
        self._kept = exercise.kept(target)
        same = zip(cases, exercise.hand_cases, strict=False)
        self._by_hand = {i for i, (asked, known) in enumerate(same) if asked is known}

    def __len__(self) -> int:
        return len(self._cases)

    def __getitem__(self, number: int) -> Answer:
        held = self._kept if number in self._by_hand else self._asked
        if number not in held:
            (held[number],) = ask(self._target, [self._cases[number]])
        return held[number]


@dataclass(frozen=True)
class Sheet:
    """One set of an exercise's cases, and what the reference and the mistakes answer to them."""

    exercise: Exercise
    cases: Sequence[Case]

    @cached_property
    def expected(self) -> list[Answer]:
        return list(_Answers(self.exercise, self.exercise.answer, self.cases))

    @cached_property
    def wrong(self) -> list[WrongAnswer]:
        return [
            WrongAnswer(
                m.name,
                m.says,
                _Answers(self.exercise, m.answer, self.cases),
                m.rough_in(self.cases),
            )
            for m in self.exercise.mistakes
        ]

    def require_mistakes(self) -> None:
        """Raises UsageError, naming it, when a mistake answers all that the reference does."""
        of = self.exercise
        for mistake in self.wrong:
            got = list(mistake.answers)
            if judge(of.name, of.parts, self.cases, got, self.expected).status == "right":
                raise UsageError(f"{of.name}: the mistake {mistake.name} answers as the reference")

    def judge(self, got: Sequence[Answer]) -> Verdict:
        """Compare answers to the cases with the reference's, and name the mistake in them."""
        exercise = self.exercise
        return judge(exercise.name, exercise.parts, self.cases, got, self.expected, self.wrong)

    def grade(self, answer: Any) -> Verdict:
        """Ask a trusted answer in this process, and judge it."""
        return self.judge(ask(answer, self.cases))

    def points(self, answer: Any) -> int:
        """What a trusted answer is worth; quicker than `grade`, which names the mistake too.

        While a value is wrong nothing counts, so that after the first no other case is asked.
        """
        got: list[Answer] = []
        asked = _Answers(self.exercise, answer, self.cases)
        for case, found, expected in zip(self.cases, asked, self.expected, strict=True):
            got.append(found)
            failures = self._verdict([case], [found], [expected]).failures
            if any(failure.part == VALUES for failure in failures):
                return 0
        return self._verdict(self.cases, got, self.expected).points

    def _verdict(self, cases: Sequence[Case], *answers: Sequence[Answer]) -> Verdict:
        """Without the mistake's name."""
        return judge(self.exercise.name, self.exercise.parts, cases, *answers)


def _none(_: Draw) -> list[Case]:
    return []


@dataclass(frozen=True)
class Quiz(Exercise):
    """A question answered by a value typed in a cell.

    forms: what may be typed: choices, or for an answer that is a dict, choices for each key
    (NUMBER for any number). Its answer stands in the reference; a bundle knows the forms alone.
    atol: how far off a number may be.
    """

    forms: Any = ()
    atol: float = 0.006  # two decimals

    def __post_init__(self) -> None:
        part = next(iter(self.parts))
        case = Case("your answer", part=part, probe="quiz", atol=self.atol)
        self._makers["hand"] = lambda draw: [case]

    def distractor(self, answer: Any, says: str) -> None:
        """What to say to someone who answered this."""
        self._add(Mistake(_slug(answer), says, answer))

    def visible(self) -> dict[str, Any]:
        """The forms in place of the answer; what to say to each answer is sealed with it."""
        self.sheet().require_mistakes()
        keyed = self.forms if isinstance(self.forms, dict) else {None: self.forms}
        expected = {
            "value" if key is None else f"value {key!r}": {FORM: form}
            for key, form in keyed.items()
        }
        data = self._data(self.visible_cases, [expected], [])
        return data | {TOLD: seal(self.name, self._comments())}

    def reasons(self) -> list[str]:
        """As an exercise's, and then what is wrong with the other answers."""
        return [*self.hints, *(f"Not {_plainly(m.answer)}: {m.says}" for m in self.mistakes)]

    def _comments(self) -> Iterator[Comment]:
        for key, answer in _keyed(self.answer):
            yield Comment(key, answer, True, atol=self.atol)
        for mistake in self.mistakes:
            for key, answer in _keyed(mistake.answer):
                yield Comment(key, answer, False, mistake.says, self.atol)


def _plainly(answer: Any) -> str:
    return ", ".join(f"{key} {one}".strip() for key, one in _keyed(answer))


def _keyed(answer: Any) -> Iterable[tuple[str, Any]]:
    """By the keys of an answer that is a dict, else by none."""
    return answer.items() if isinstance(answer, dict) else [("", answer)]


def _slug(answer: Any) -> str:
    pairs = (f"{key} {value}" for key, value in answer.items()) if isinstance(answer, dict) else ()
    text = " ".join(pairs) or str(answer)
    return re.sub(r"[^a-z0-9]+", "_", f"answered {text}".casefold()).strip("_")


def tensor(*values: float | Sequence[float], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """A float tensor from numbers written out, for cases by hand."""
    return torch.tensor(values, dtype=dtype)
