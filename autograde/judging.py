"""Judge what a submission answered: outside the sandbox, with the reference at hand."""

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from helpers import compare, probe, reference
from helpers.cases import Case
from helpers.compare import Failure, Verdict
from helpers.probe import Answer

from . import sandbox
from .exercise import Exercise, Sheet
from .exercises import LESSONS, exercises
from .rebuild import Step, program

PROBLEMS = {
    "time": "your code ran longer than {limit} seconds and was stopped: is there an endless loop?",
    "size": "your code answered more than {limit} bytes and was stopped.",
    "died": "your code ended the Python process: it called exit, or needed more memory than "
    "{limit} bytes.",
    "nonsense": "what your code answered could not be read.",
}


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


def fingerprint(lesson: str, rebuilt: NotebookNode) -> str:
    """A hash of everything that is run: equal programs are one submission, whatever their file."""
    steps = [[step.of, step.source] for step in program(rebuilt)]
    return hashlib.sha256(json.dumps([lesson, steps]).encode()).hexdigest()


def verdict_key(lesson: str, rebuilt: NotebookNode) -> str:
    """A hash of the program and of what judges it: a corrected reference asks for a new verdict."""
    judges = (exercises, reference, compare, probe)
    sources = [Path(inspect.getfile(module)) for module in judges]
    topic = inspect.getfile(LESSONS[lesson])
    files = [Path(topic), *sources, *sorted(sources[1].parent.glob("*.py"))]
    edition = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    return f"{fingerprint(lesson, rebuilt)}-{edition[:16]}"


@dataclass(frozen=True)
class Job:
    """A program to run, and what to ask it."""

    lesson: str
    steps: list[Step]
    cases: dict[str, list[Case]]
    sandbox: str

    @classmethod
    def of(
        cls, lesson: str, rebuilt: NotebookNode, secret: bytes = b"", how: str = "bwrap"
    ) -> "Job":
        """secret: with the program's hash, it chooses the hidden cases; one program has one set.
        how: "bwrap" or "none", see `sandbox.run`.
        """
        mark = fingerprint(lesson, rebuilt)
        described = exercises(lesson).items()
        cases = {name: exercise.hidden_cases(secret, mark) for name, exercise in described}
        return cls(lesson, list(program(rebuilt)), cases, how)

    def run(self) -> dict[str, dict[str, Any]]:
        """The untrusted replies, by exercise."""
        return sandbox.run(self.steps, self.cases, self.sandbox)


def judge_job(job: Job, replies: dict[str, dict[str, Any]]) -> Graded:
    """The verdicts on the replies to a job."""
    written = {step.of for step in job.steps if step.source.strip()}
    verdicts = {
        name: judge_reply(exercise, job.cases[name], replies[name], name in written)
        for name, exercise in exercises(job.lesson).items()
    }
    return Graded(job.lesson, verdicts, job.sandbox)


def judge_reply(
    exercise: Exercise, cases: Sequence[Case], reply: dict[str, Any], written: bool = True
) -> Verdict:
    """The verdict on one exercise's untrusted reply; never an exception, whatever it holds."""
    try:
        if "problem" in reply:
            says = PROBLEMS[reply["problem"]].format(limit=int(reply["limit"]))
            return _nothing(exercise, "not answered", says)
        if reply["answers"] is None:
            return _undefined(exercise, reply.get("error"), written)
        answers = [_valid(answer) for answer in reply["answers"]]
        return Sheet(exercise, cases).judge(answers)
    except Exception:  # hostile data may break a comparison anywhere: it earns nothing
        return _nothing(exercise, "not answered", PROBLEMS["nonsense"])


def _valid(answer: Any) -> Answer:
    if not isinstance(answer, dict) or not all(isinstance(key, str) for key in answer):
        raise TypeError("an answer is a dict from names")
    return answer


def _undefined(exercise: Exercise, error: Any, written: bool) -> Verdict:
    """The cell did not define the name: it failed, or was never written."""
    if isinstance(error, dict):
        says = f"{error['kinds'][0]}: {error['message']}"
        return _nothing(exercise, "raised", says, str(error["line"]))
    says = f"no cell defines {exercise.name}" if written else "its cell is missing"
    return _nothing(exercise, "not written", says)


def _nothing(exercise: Exercise, status: str, says: str, line: str = "") -> Verdict:
    parts = dict(exercise.parts)
    failure = Failure(next(iter(parts)), "running your cell", "value", says, "", line)
    return Verdict(exercise.name, status, parts, dict.fromkeys(parts, False), [failure])
