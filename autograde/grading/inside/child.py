"""One exercise in a process of its own: what is run there, and what it may."""

import os
import signal
import struct
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import torch

from helpers.cases import Case
from helpers.codec import pack
from helpers.probe import ask, describe_error

from . import confine
from .shell import NotebookShell, make_shell

MISSING = object()
THREADS = 256
# What the process with student code says to its parent: a kind, a number, and so many bytes.
HEAD = struct.Struct(">cIQ")
NO_DEVICE, STEP, ASKING, REPLY, END = b"d", b"s", b"a", b"r", b"e"


class OutOfTimeError(BaseException):
    """A cell or an exercise ran too long; no `except Exception` of a student's catches it."""


class NoDeviceError(RuntimeError):
    """The device that questions are to be asked on does not work here."""


@dataclass
class Child:
    """In the process that holds student code: run the cells, answer, say each step on `writer`."""

    asked: dict[str, Any]
    writer: int
    confined: bool

    def work(self, waiting: Sequence[int], skipped: set[int]) -> None:
        """Answer the exercises that wait, in order, or as many as leave all as it was."""
        limits = self.asked["limits"]
        _restrict(limits, self.asked["filter"] if self.confined else None)
        shell = make_shell()
        try:
            _use(limits["device"])
        except Exception as error:  # a build without CUDA says so with an AssertionError
            return self._say(NO_DEVICE, payload=str(error).encode())
        errors = self._run_cells(shell, skipped)
        self._say(ASKING)
        for number in waiting:
            before = _surroundings(shell)
            reply = self._answer(self.asked["exercises"][number], shell, errors)
            self._say(REPLY, number, pack(reply))
            if "problem" in reply or _surroundings(shell) != before:
                break  # the others begin where this one began
        self._say(END)
        return None

    def _say(self, kind: bytes, number: int = 0, payload: bytes = b"") -> None:
        message = memoryview(HEAD.pack(kind, number, len(payload)) + payload)
        while message:
            message = message[os.write(self.writer, message) :]

    def _run_cells(self, shell: NotebookShell, skipped: set[int]) -> dict[str, Any]:
        """Run every cell, going on after errors as a person would; the errors by exercise."""
        errors = {}
        for number, step in enumerate(self.asked["steps"]):
            if number in skipped:
                continue
            self._say(STEP, number)
            error = _run_cell(shell, step["source"], self.asked["limits"]["cell_seconds"])
            if error is not None and step["of"]:
                errors[step["of"]] = describe_error(error)
        return errors

    def _answer(
        self, exercise: dict[str, Any], shell: NotebookShell, errors: dict[str, Any]
    ) -> dict[str, Any]:
        limits, name = self.asked["limits"], exercise["name"]
        target = shell.user_ns.get(name, MISSING)
        if target is MISSING:
            return {"error": errors.get(name), "answers": None}
        cases = [_placed(Case.of(case), limits["device"]) for case in exercise["cases"]]
        _alarm(limits["seconds"] - 1)  # before it is stopped from outside: to say in which line
        try:
            return {"error": errors.get(name), "answers": ask(target, cases)}
        except OutOfTimeError as late:
            return {"problem": "time", "status": 0, "line": describe_error(late)["line"]}
        finally:
            _alarm(0)


def _use(device: str) -> None:
    """Compute there from now on. Raises what torch says where that does not work."""
    if device != "cpu":
        torch.set_default_device(device)
        torch.zeros(1).sum()


def _surroundings(shell: NotebookShell) -> tuple:
    """What one exercise could change for the next: the notebook's names, and torch's settings."""
    names = {name: id(value) for name, value in shell.user_ns.items()}
    settings = (torch.get_default_dtype(), torch.get_default_device(), torch.is_grad_enabled())
    strict = torch.are_deterministic_algorithms_enabled(), torch.is_anomaly_enabled()
    return names, settings, strict


def _restrict(limits: dict[str, Any], program: Any) -> None:
    """program: the filter's instructions, as a tensor of bytes; None for no filter."""
    resources = {"CPU": limits["total"], "FSIZE": 2**26, "CORE": 0, "NOFILE": 256}
    if limits["device"] == "cpu":  # a GPU's driver reserves addresses by the terabyte
        resources["AS"] = limits["memory"]
    confine.limit(resources)
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    if program is not None:
        confine.limit_threads(THREADS)
        confine.filter_calls(bytes(program.numpy()))


def _placed(case: Case, device: str) -> Case:
    """The case with its tensors on the device that it is asked on: on the CPU, where they lie."""

    def move(value: Any) -> Any:
        if isinstance(value, torch.Tensor):
            return value.to(device)
        if isinstance(value, dict):
            return {name: move(item) for name, item in value.items()}
        return value

    return replace(case, inputs=case.inputs if device == "cpu" else move(case.inputs), given=True)


def _run_cell(shell: NotebookShell, source: str, seconds: int) -> BaseException | None:
    """Run a cell as a notebook does; what it raised, if it raised."""
    shell.raised = None
    _alarm(seconds)
    try:
        result = shell.run_cell(source, store_history=False, silent=True)
        return result.error_before_exec or result.error_in_exec or shell.raised
    except BaseException as raised:  # SystemExit and what a cell does to IPython itself
        return raised
    finally:
        _alarm(0)


def _alarm(seconds: int) -> None:
    """Have OutOfTimeError raised so many seconds from now; 0 for never."""
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(seconds)


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise OutOfTimeError("it took too long")
