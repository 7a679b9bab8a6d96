"""Runs inside the sandbox: executes a submission's cells and takes its answers to the cases.

It holds the student's code and the inputs, never an expected answer. Each exercise is asked in a
child process of its own, so that an endless loop or a crash in one leaves the others alone.
Nothing here imports `autograde`: the sandbox does not hold it.
"""

import io
import os
import resource
import select
import signal
import struct
import sys
import time
import warnings
from types import FrameType
from typing import Any

import torch
from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell

from helpers.cases import Case
from helpers.codec import pack, unpack
from helpers.probe import ask, describe_error

MISSING = object()


def main() -> None:
    """Read a job from standard input, write a frame for each exercise to standard output."""
    job = unpack(sys.stdin.buffer.read())
    replies = os.dup(1)
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # whatever student code prints or asks for goes nowhere
        os.dup2(silence, stream)
    for exercise in job["exercises"]:
        reply = _in_child(job["steps"], exercise, job["limits"], replies)
        name = exercise["name"].encode()
        frame = struct.pack(">HI", len(name), len(reply)) + name + reply
        with os.fdopen(os.dup(replies), "wb") as stream:
            stream.write(frame)


def _in_child(
    steps: list[dict[str, str]], exercise: dict[str, Any], limits: dict[str, int], replies: int
) -> bytes:
    """The child's packed reply, or the packed reason why there is none."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.close(replies)
        os.setsid()
        _answer(steps, exercise, limits, writer)
    os.close(writer)
    try:
        return _collect(reader, time.monotonic() + limits["seconds"], limits)
    finally:
        os.close(reader)
        # The child may have left processes of its own: they share its session, or its group.
        for kill in (os.killpg, os.kill):
            try:
                kill(child, signal.SIGKILL)
            except ProcessLookupError:
                continue
        os.waitpid(child, 0)


def _collect(reader: int, deadline: float, limits: dict[str, int]) -> bytes:
    chunks = io.BytesIO()
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([reader], [], [], left)[0]:
            return pack({"problem": "time", "limit": limits["seconds"]})
        chunk = os.read(reader, 2**20)
        if not chunk:
            break
        chunks.write(chunk)
        if chunks.tell() > limits["bytes"]:
            return pack({"problem": "size", "limit": limits["bytes"]})
    return chunks.getvalue() or pack({"problem": "died", "limit": limits["memory"]})


def _answer(
    steps: list[dict[str, str]], exercise: dict[str, Any], limits: dict[str, int], writer: int
) -> None:
    """In the child: run the cells, ask, write the reply, and be gone."""
    try:
        _restrict(limits)
        shell = _shell()
        error = _run(shell, steps, exercise["name"], limits["cell_seconds"])
        target = shell.user_ns.get(exercise["name"], MISSING)
        cases = [Case.of(case) for case in exercise["cases"]]
        reply = {"error": error, "answers": None if target is MISSING else ask(target, cases)}
        with os.fdopen(writer, "wb") as stream:
            stream.write(pack(reply))
    finally:
        os._exit(0)


def _restrict(limits: dict[str, int]) -> None:
    for what, most in (
        (resource.RLIMIT_AS, limits["memory"]),
        (resource.RLIMIT_CPU, limits["seconds"] * 2),
        (resource.RLIMIT_FSIZE, 2**28),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")


def _shell() -> InteractiveShell:
    HistoryManager.enabled = False  # it would open a database and start a thread
    shell = InteractiveShell.instance()
    shell.user_ns["__name__"] = "__main__"
    shell.enable_gui = shell.enable_matplotlib = lambda *_, **__: None  # no screen to draw on
    return shell


def _run(
    shell: InteractiveShell, steps: list[dict[str, str]], name: str, seconds: int
) -> dict[str, Any] | None:
    """Run every cell, going on after errors as a person would; the error of `name`'s own cell."""
    own_error = None
    signal.signal(signal.SIGALRM, _too_long)
    for step in steps:
        signal.alarm(seconds)
        try:
            result = shell.run_cell(step["source"], store_history=False, silent=True)
            error = result.error_before_exec or result.error_in_exec
        except BaseException as raised:  # SystemExit and what a cell does to IPython itself
            error = raised
        finally:
            signal.alarm(0)
        if error is not None and step["of"] == name:
            own_error = describe_error(error)
    return own_error


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise TimeoutError("the cell took too long")


if __name__ == "__main__":
    main()
