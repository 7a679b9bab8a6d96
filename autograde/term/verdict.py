"""The verdict on a submission, as it is stored."""

from dataclasses import dataclass
from typing import Any

from helpers.verdict import Verdict


@dataclass(frozen=True)
class Graded:
    """A lesson's verdicts by exercise, and how the code that they judge was run."""

    lesson: str
    verdicts: dict[str, Verdict]
    sandbox: str

    def plain(self) -> dict[str, Any]:
        """As JSON-able data, with the sums."""
        verdicts = self.verdicts.values()
        return {
            "lesson": self.lesson,
            "sandbox": self.sandbox,
            "score": sum(verdict.points for verdict in verdicts),
            "max_score": sum(verdict.max_points for verdict in verdicts),
            "exercises": {name: verdict.plain() for name, verdict in self.verdicts.items()},
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Graded":
        """Back from `plain`."""
        verdicts = {name: Verdict.of(one) for name, one in plain["exercises"].items()}
        return cls(plain["lesson"], verdicts, plain["sandbox"])
