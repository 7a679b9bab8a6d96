"""Judge what a submission answered: outside the sandbox, with the reference at hand."""

import hashlib
import re
import signal
import struct
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from helpers.cases import Case
from helpers.codec import pack, unpack
from helpers.probe import Answer
from helpers.verdict import Failure, Verdict

from ..common import guard
from ..common.errors import LimitError
from ..common.guard import guarded
from ..course.exercise import Exercise, Sheet
from ..course.exercises import exercises
from ..term.verdict import Graded
from .beneath import forgive
from .edition import asking_edition
from .inside.witness import opened
from .sandbox import Limits
from .steps import Step

PROBLEMS = {
    "time": "your code ran longer than {seconds} seconds and was stopped: is there a loop that "
    "never ends?",
    "size": "your code answered more than {megabytes} MB and was stopped.",
    "files": "your code wrote more files than it may, and was stopped.",
    "lost": "your notebook ran longer than {total} seconds in all, or ended the process that ran "
    "it.",
    "judge": "what your code answered is too large, or takes too long, to be judged: return what "
    "the exercise asks for, and nothing beside it.",
}
MOST_TREE = 2 * 2**20  # bytes of a reply beside its tensors: honest ones have 9,000 at most
MOST_OBSERVED = 10_000  # of one case
NONSENSE = "what your code answered could not be read."
TOO_MUCH = pack({"problem": "judge", "status": 0})
EXITED = "your code ended the Python process: it called exit or os._exit, or closed all files."
ENDS = {
    signal.SIGKILL: "your code's process was killed: it needed more memory than there is for it.",
    signal.SIGXCPU: "your code computed longer than it may and was stopped.",
    signal.SIGSEGV: "your code crashed the Python process: is there a recursion without an end, or "
    "memory that was written past its bounds?",
}


def question(cases: Sequence[Case]) -> str:
    """A hash of what an exercise is asked, and of what asks it."""
    packed = pack([case.plain() for case in cases])
    return hashlib.sha256(packed + asking_edition().encode()).hexdigest()[:32]


def judge_guarded(
    lesson: str,
    steps: Sequence[Step],
    cases: Mapping[str, Sequence[Case]],
    replies: Mapping[str, bytes],
    sandbox: str,
    limits: Limits,
) -> Graded:
    """As `judge_all`, in a process with limits. A reply that meets one is worth nothing."""
    drawn = _drawn(lesson, cases)
    known = (lesson, tuple(steps), drawn, sandbox, limits)
    try:
        return guarded(_judge_drawn, dict(replies), *known)
    except LimitError:
        blamed = {name: _or_blame(name, reply, known) for name, reply in replies.items()}
    try:
        return guarded(_judge_drawn, blamed, *known)
    except LimitError:  # each alone can be judged: it is what they call that takes so long
        return guarded(_judge_drawn, blamed, *known, False)


def _or_blame(name: str, reply: bytes, known: tuple) -> bytes:
    """The reply, or in its place, where it cannot be judged even alone, that it cannot."""
    # An honest one takes a tenth of a second; so a submission never takes long, whatever it holds.
    alone = replace(guard.BOUNDS, seconds=max(1, guard.BOUNDS.seconds // 6))
    try:
        guarded(_judge_drawn, {name: reply}, *known, bounds=alone)
    except LimitError:
        return TOO_MUCH
    return reply


def _judge_drawn(
    replies: Mapping[str, bytes],
    lesson: str,
    steps: Sequence[Step],
    drawn: bytes,
    sandbox: str,
    limits: Limits,
    forgiving: bool = True,
) -> Graded:
    """As `judge_all`, of the exercises with a reply; their cases are what `_drawn` packed."""
    cases = {name: _all_cases(lesson, name, drew) for name, drew in unpack(drawn).items()}
    return judge_all(lesson, steps, cases, replies, sandbox, limits, forgiving)


def _drawn(lesson: str, cases: Mapping[str, Sequence[Case]]) -> bytes:
    """The cases, packed, but for those by hand: what is answered to these is kept by identity."""
    by_hand = {name: len(exercise.hand_cases) for name, exercise in exercises(lesson).items()}
    return pack({n: [case.plain() for case in c[by_hand[n] :]] for n, c in cases.items()})


def _all_cases(lesson: str, name: str, drawn: Sequence[dict[str, Any]]) -> list[Case]:
    return [*exercises(lesson)[name].hand_cases, *map(Case.of, drawn)]


def judge_all(
    lesson: str,
    steps: Sequence[Step],
    cases: Mapping[str, Sequence[Case]],
    replies: Mapping[str, bytes],
    sandbox: str,
    limits: Limits,
    forgiving: bool = True,
) -> Graded:
    """The verdicts on the packed, untrusted replies to the cases, by exercise.

    forgiving: whether one slip costs once, see `beneath`.
    """
    written = {step.of for step in steps if step.source.strip()}
    described = {n: exercise for n, exercise in exercises(lesson).items() if n in replies}
    verdicts = {
        name: judge_reply(exercise, cases[name], replies[name], limits, name in written)
        for name, exercise in described.items()
    }
    wrong = {name for name, verdict in verdicts.items() if verdict.status in ("wrong", "raised")}
    for name in wrong:
        own = "\n".join(step.source for step in steps if step.of == name)
        verdicts[name].calls += [
            other for other in verdicts if other in wrong - {name} and _calls(own, other)
        ]
    if forgiving:
        calling = {name for name in wrong if verdicts[name].calls}
        answers = {name: found for name in calling if (found := _answers(replies[name]))}
        verdicts |= forgive(described, verdicts, cases, answers)
    return Graded(lesson, verdicts, sandbox)


def _calls(source: str, name: str) -> bool:
    """Whether code calls a function, as far as its text shows: it may be hostile to parsers."""
    return bool(re.search(rf"(?<!def )\b{name}\s*\(", re.sub(r"#.*", "", source)))


def _answers(packed: bytes) -> list[Answer]:
    """What a reply answers, once it has been judged; nothing where it holds no answer."""
    try:
        return _seen_answers(packed, unpack(opened(packed)[1], MOST_TREE))
    except (ValueError, struct.error, KeyError, TypeError, IndexError):
        return []


def _seen_answers(packed: bytes, reply: dict[str, Any]) -> list[Answer]:
    """The answers; of inputs, that those have changed too which were seen to from outside."""
    answers = [_valid(answer) for answer in reply["answers"]]
    for number, name in opened(packed)[0]:
        told = answers[number].get("changed inputs")
        if isinstance(told, list) and name not in told:
            told.append(name)
    return answers


def answered(replies: Mapping[str, bytes]) -> set[str]:
    """Those whose packed replies hold answers, and not the reason why there are none."""
    return {name for name, reply in replies.items() if _is_answered(reply)}


def _is_answered(reply: bytes) -> bool:
    try:
        return "answers" in unpack(opened(reply)[1], MOST_TREE)
    except (ValueError, struct.error, TypeError):
        return False


def judge_reply(
    exercise: Exercise,
    cases: Sequence[Case],
    packed: bytes,
    limits: Limits | None = None,
    written: bool = True,
) -> Verdict:
    """The verdict on one exercise's untrusted reply; never an exception, whatever it holds."""
    try:
        reply = unpack(opened(packed)[1], MOST_TREE)
        if "problem" in reply:
            says, line = _problem(reply, limits or Limits(), len(cases))
            return _nothing(exercise, "not answered", says, line)
        if reply["answers"] is None:
            return _undefined(exercise, reply.get("error"), written, limits or Limits())
        answers = _seen_answers(packed, reply)
        return Sheet(exercise, cases).judge(answers)
    except MemoryError:
        return _nothing(exercise, "not answered", PROBLEMS["judge"])
    except Exception:  # hostile data may break a comparison anywhere: it earns nothing
        return _nothing(exercise, "not answered", NONSENSE)


def _problem(reply: dict[str, Any], limits: Limits, exercises: int) -> tuple[str, str]:
    """Why there is no answer, in the student's words, and the line of theirs, where it is known."""
    line = str(reply.get("line", ""))[:200]
    if reply["problem"] == "died":
        return ENDS.get(-int(reply["status"]), EXITED), line
    says = PROBLEMS[reply["problem"]]
    known = {"seconds": limits.seconds, "total": limits.total(exercises)}
    return says.format(megabytes=limits.bytes >> 20, **known), line


def _valid(answer: Any) -> Answer:
    if not isinstance(answer, dict) or not all(isinstance(key, str) for key in answer):
        raise TypeError("an answer is a dict from names")
    if len(answer) > MOST_OBSERVED:
        raise TypeError(f"an answer has at most {MOST_OBSERVED} observations")
    return answer


def _undefined(exercise: Exercise, error: Any, written: bool, limits: Limits) -> Verdict:
    """The cell did not define the name: it failed, or was never written."""
    if isinstance(error, dict):
        if "OutOfTimeError" in error["kinds"]:
            says = PROBLEMS["time"].format(seconds=limits.cell_seconds)
        else:
            says = f"{error['kinds'][0]}: {error['message']}"[:500]
        return _nothing(exercise, "raised", says, str(error["line"])[:200])
    says = f"no cell defines {exercise.name}" if written else "its cell is missing"
    return _nothing(exercise, "not written", says)


def _nothing(exercise: Exercise, status: str, says: str, line: str = "") -> Verdict:
    parts = dict(exercise.parts)
    failure = Failure(next(iter(parts)), "running your cell", "value", says, "", line)
    return Verdict(exercise.name, status, parts, dict.fromkeys(parts, False), [failure])
