"""One submission's work, wherever it is done: run it, or take its stored answers, and judge.

A worker holds a sandbox and nothing else: no gradebook, no course folder, no student's name.
"""

import atexit
import hashlib
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from helpers.cases import Case
from helpers.codec import BadDataError, pack, unpack

from ..common.errors import LimitError, UsageError
from ..common.guard import guarded
from ..common.root import require_no_root
from ..course.exercises import exercises
from ..term.store import MOST_ANSWERS
from .edition import edition
from .judging import answered, judge_guarded, question
from .sandbox import Limits, Sandbox
from .steps import Step

_own = threading.local()  # a sandbox for each thread that works


@dataclass(frozen=True)
class How:
    """mode: see `sandbox.Sandbox`. modules: what lessons import. limits: of one exercise."""

    mode: str = "fork"
    modules: tuple[str, ...] = ()
    limits: Limits = Limits()


@dataclass(frozen=True)
class Work:
    """mark: the program's hash. seed: chooses the hidden cases. stored: packed answers of before.
    edition: of the course, where the work was given out."""

    lesson: str
    steps: tuple[Step, ...]
    mark: str
    seed: bytes
    how: How
    edition: str
    stored: bytes | None = None

    def cases(self) -> dict[str, list[Case]]:
        """The hidden cases by exercise: one program has one set."""
        described = exercises(self.lesson).items()
        return {name: exercise.hidden_cases(self.seed) for name, exercise in described}


@dataclass(frozen=True)
class Done:
    """graded: as `judging.Graded.plain`. answers: packed, to be stored. asked: the exercises that
    student code was run for. run, judge: seconds."""

    graded: dict[str, Any]
    answers: bytes
    asked: tuple[str, ...]
    run: float
    judge: float


def seed_of(secret: bytes, mark: str) -> bytes:
    """What chooses a program's hidden cases in a term, from which the term's secret is not seen."""
    return hashlib.sha256(secret + mark.encode()).digest()


def do(work: Work) -> Done:
    """Run and judge a submission. Raises UsageError when this machine cannot."""
    if work.edition != edition(work.lesson):
        raise UsageError("a worker has another version of the course; update it, and start it anew")
    started = time.perf_counter()
    cases = work.cases()
    questions = {name: question(asked) for name, asked in cases.items()}
    replies = _still_good(work.stored, questions)
    missing = {name: cases[name] for name in cases if name not in replies}
    mode = work.how.mode
    if missing:
        sandbox = sandbox_of(work.how)
        mode = sandbox.mode
        replies |= sandbox.ask(work.steps, missing)
    ran = time.perf_counter()
    graded = judge_guarded(work.lesson, work.steps, cases, replies, mode, work.how.limits)
    judged = time.perf_counter()
    answers = _packed(questions, replies)
    return Done(graded.plain(), answers, tuple(missing), ran - started, judged - ran)


def _still_good(stored: bytes | None, questions: Mapping[str, str]) -> dict[str, bytes]:
    """Of stored answers, those to the questions that would be asked now."""
    try:
        kept = unpack(stored) if stored else {}
    except BadDataError:
        kept = {}
    replies = {
        name: bytes(held["reply"].numpy())
        for name, held in kept.items()
        if held["question"] == questions.get(name)
    }
    try:
        whole = guarded(answered, replies) if replies else ()
    except LimitError:  # so they are asked again
        whole = ()
    return {name: reply for name, reply in replies.items() if name in whole}


def _packed(questions: Mapping[str, str], replies: Mapping[str, bytes]) -> bytes:
    """Replies as they came, untrusted and unread, with what they answer; not the large ones, as
    packing takes some copies of each, nor an empty one, which is no tensor of torch's."""
    held = {
        name: {
            "question": questions[name],
            "reply": torch.frombuffer(bytearray(reply), dtype=torch.uint8),
        }
        for name, reply in replies.items()
        if 0 < len(reply) <= MOST_ANSWERS  # else not kept, but asked for again
    }
    return pack(held)


def sandbox_of(how: How) -> Sandbox:
    """This thread's sandbox, started when it is first needed. Raises UsageError for root."""
    require_no_root()
    held: tuple[How, Sandbox] | None = getattr(_own, "sandbox", None)
    if held is not None and held[0] == how:
        return held[1]
    if held is not None:
        held[1].close()
    torch.set_num_threads(1)  # the cores are shared among workers
    sandbox = Sandbox(how.mode, how.modules, how.limits)
    atexit.register(sandbox.close)
    _own.sandbox = (how, sandbox)
    return sandbox
