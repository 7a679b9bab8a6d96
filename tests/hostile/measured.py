"""Each attack graded by a command of its own: its exit code, peak memory and seconds."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from autograde import cli
from autograde.term.term import Term, init
from tests.hostile.entry import Hostile, Seen
from tests.hostile.grading import seen_of, short_how

CRASHED = 99  # what a traceback is told by


@dataclass(frozen=True)
class Measured:
    """code: the command's. peak: MiB of its own process. seconds: wall clock. said: its output."""

    code: int
    peak: int
    seconds: float
    said: str


def measured(
    attacks: Sequence[Hostile], folder: Path, mode: str, lanes: int = 2
) -> Iterator[tuple[Hostile, Seen, Measured]]:
    """Grade each in one of so many terms, each with a process that forks for every command."""
    jobs = [attacks[lane::lanes] for lane in range(lanes)]
    pipes = [_lane(job, folder / f"lane-{n}", mode) for n, job in enumerate(jobs)]
    for term, job, pid, reading in pipes:
        with os.fdopen(reading) as lines:
            for one, line in zip(job, lines, strict=True):
                ran = Measured(**json.loads(line))
                yield (
                    one,
                    seen_of(term, {one.name: one.lesson}, ran.said.splitlines())[one.name],
                    ran,
                )
        os.waitpid(pid, 0)


def _lane(attacks: Sequence[Hostile], root: Path, mode: str) -> tuple:
    term = init(root)
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException), os.fdopen(writing, "w") as lines:
            for one in attacks:
                one.write(term.submission(one.name, one.lesson).parent)
                print(json.dumps(vars(_in_a_fork(lambda one=one: _grade(term, one, mode)))),
                      file=lines, flush=True)  # fmt: skip
        os._exit(0)
    os.close(writing)
    return term, attacks, pid, reading


def _grade(term: Term, one: Hostile, mode: str) -> int:
    words = ["grade", one.lesson, "--student", one.name, "--workers", "1", "--sandbox", mode]
    with mock.patch("autograde.grading.program.how_of", short_how):
        return cli.main([*words, "--course", str(term.root)])


def _in_a_fork(run: Callable[[], int]) -> Measured:
    """What `run` did in a process of its own."""
    reading, writing = os.pipe()
    started = time.monotonic()
    pid = os.fork()
    if pid == 0:
        with os.fdopen(writing, "w", errors="backslashreplace") as said:
            with redirect_stdout(said), redirect_stderr(said):
                code = _code_of(run)
            print(f"\n{_peak()}", file=said)
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as lines:
        said, _, peak = lines.read().rstrip("\n").rpartition("\n")
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return Measured(code, int(peak) if peak.isdigit() else -1, time.monotonic() - started, said)


def _code_of(run: Callable[[], int]) -> int:
    try:
        return run()
    except SystemExit as ended:
        return int(ended.code or 0)
    except BaseException:
        traceback.print_exc(file=sys.stdout)
        return CRASHED


def _peak() -> int:
    """The most memory that this process has held, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) >> 10 for line in lines if line.startswith("VmHWM"))
