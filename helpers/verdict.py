"""What came of an answer: its failures, its points, and its name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from .cases import VALUES
from .probe import Answer


@dataclass(frozen=True)
class WrongAnswer:
    """A mistake that people make: its name, what to say about it, and what it answers.

    rough: how far off its numbers are by rounding alone, by the number of the case, where that is
    more than between right answers; infinite where they are nothing but rounding.
    """

    name: str
    says: str
    answers: Sequence[Answer]
    rough: Mapping[int, float] = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As a dict that `codec.pack` takes; of noise nothing is kept."""
        kept = [{} if self.is_noise(i) else answer for i, answer in enumerate(self.answers)]
        rough = {str(number): how for number, how in self.rough.items()}
        return {"name": self.name, "says": self.says, "answers": kept, "rough": rough}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "WrongAnswer":
        """Back from `plain`."""
        return cls(**{**plain, "rough": {int(i): how for i, how in plain["rough"].items()}})

    def is_noise(self, number: int) -> bool:
        """Whether what it answers to this case hangs on the machine."""
        return math.isinf(self.rough.get(number, 0.0))


@dataclass(frozen=True)
class Failure:
    """One observation that differs from what was expected, said in words.

    expected is empty where there is nothing to compare with: `got` says what happened instead.
    """

    part: str
    case: str
    what: str
    got: str
    expected: str
    line: str = ""


@dataclass
class Verdict:
    """What an answer is worth, and why."""

    exercise: str
    status: str  # "right", "wrong", "not written", "raised", "not answered"
    parts: dict[str, int]
    passed: dict[str, bool]
    failures: list[Failure] = field(default_factory=list)
    diagnoses: dict[str, str] = field(default_factory=dict)  # a mistake's name: what to say
    calls: list[str] = field(default_factory=list)  # other exercises, not right themselves
    despite: list[str] = field(default_factory=list)  # of these, those that cost nothing here

    @property
    def points(self) -> int:
        """The sum of the parts that passed; none counts while the values are wrong."""
        if not self.passed.get(VALUES, True):
            return 0
        return sum(worth for part, worth in self.parts.items() if self.passed[part])

    @property
    def max_points(self) -> int:
        return sum(self.parts.values())

    def plain(self) -> dict[str, Any]:
        """As JSON-able data, the points included."""
        return asdict(self) | {"points": self.points, "max_points": self.max_points}

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Verdict":
        """Back from `plain`."""
        kept = {k: v for k, v in plain.items() if k not in ("points", "max_points")}
        return cls(**{**kept, "failures": [Failure(**failure) for failure in plain["failures"]]})
