"""Run student code where it can reach nothing: bubblewrap, no network, libraries read-only."""

import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

import torch

from helpers.cases import Case
from helpers.codec import pack

from ..common.errors import UsageError
from .isolation import command_of, libraries_of_python
from .steps import Step
from .syscalls import filter_program

MODES = ("fork", "strict", "none")  # on any machine; "user" is for a container
ALONE = ("strict", "user")  # a process for each submission
START_SECONDS = 120
KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)  # bubblewrap, or what ran in it
SEND_BUFFER = 2**20


class SandboxDiedError(RuntimeError):
    """The sandbox ended under a submission, which is not the submission's doing."""


@dataclass(frozen=True)
class Limits:
    """seconds: wall clock for one exercise. cell_seconds: for one cell. memory: address space of a
    process, in bytes. bytes: what one exercise may answer. device: what it is asked on."""

    seconds: int = 20
    cell_seconds: int = 10
    memory: int = 4 * 2**30
    bytes: int = 4 * 2**20  # honest answers have 19,000 at most
    device: str = "cpu"

    def total(self, exercises: int) -> int:
        """Wall clock for a submission: each exercise in full, and the cells."""
        return 60 + self.seconds * exercises


class Sandbox:
    """Where submissions are asked their cases, one after the other; a context manager.

    mode: "fork": one bubblewrap with a process that has imported torch, and forks for each
    submission into namespaces of its own. "strict": a bubblewrap for each submission. "user": no
    bubblewrap, but a user without rights and the filter on system calls; for root, in a container
    that is thrown away after one submission. "none": a process that forks, with all the rights of
    this one.
    modules: what lessons import, imported once.

    In fork mode on a host that refuses nested user namespaces, it works as in strict mode, and
    `mode` says so. Raises UsageError when there is no bubblewrap, or when it cannot start.
    """

    def __init__(
        self, mode: str = "fork", modules: Iterable[str] = (), limits: Limits | None = None
    ) -> None:
        self.mode, self._modules, self.limits = mode, list(modules), limits or Limits()
        if self.limits.device != "cpu" and mode == "fork":
            self.mode = "strict"  # a GPU's driver is started anew in a process of its own
        self._process: subprocess.Popen | None = None
        self._ending = False
        program = bytearray(filter_program(self.limits.device))
        self._filter = torch.frombuffer(program, dtype=torch.uint8)
        if self.mode == "fork":
            self._start()

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the bubblewrap that waits for submissions; None when there is none."""
        return self._process.pid if self._process else None

    def ask(self, steps: Sequence[Step], cases: Mapping[str, Sequence[Case]]) -> dict[str, bytes]:
        """Ask a submission's functions their cases: a packed, untrusted reply for each exercise.

        Unpacked, a reply is {"answers": [...], "error": ...}, or {"problem": why, "status": n}.
        Where the sandbox is killed under it, it is asked once more, afresh and in the same mode.
        Raises SandboxDiedError when it is killed again, which no student code can do: it has no
        points of it, and no blame. Raises UsageError when the device does not work in there.
        """
        job, replies = pack(self._job(steps, cases)), {}
        for tries_left in (1, 0):
            self._make_ready()
            try:
                replies |= self._replies(job, cases)
                break
            except SandboxDiedError:
                self.close()
                if not tries_left:
                    raise SandboxDiedError(
                        "the sandbox was killed under it, twice; is there memory left? "
                        "grade it again"
                    ) from None
            finally:
                if self.mode in ALONE:
                    self.close()
        return {name: replies.get(name, pack({"problem": "lost"})) for name in cases}

    def _make_ready(self) -> None:
        """Have a process wait; that the one before was killed is no submission's doing."""
        try:
            self.settle()
        except SandboxDiedError:
            self.close()
        if self._process is None:
            self._start()

    def _replies(self, job: bytes, cases: Mapping[str, Sequence[Case]]) -> dict[str, bytes]:
        """What was answered. Raises SandboxDiedError where it was cut short from outside."""
        replies = dict(_frames(self._run(job, len(cases))))
        if "" in replies:
            raise UsageError(
                f"{self.limits.device} does not work in the sandbox "
                f"({replies[''].decode(errors='replace').splitlines()[0]}); "
                "ask the questions on the CPU, with --device cpu"
            )
        if replies.keys() < cases.keys():
            self._blame()
        return replies

    def _job(self, steps: Sequence[Step], cases: Mapping[str, Sequence[Case]]) -> dict[str, Any]:
        asked = [{"name": n, "cases": [case.question() for case in c]} for n, c in cases.items()]
        return {
            "steps": [asdict(step) for step in steps],
            "exercises": asked,
            "limits": asdict(self.limits) | {"total": self.limits.total(len(cases))},
            "filter": self._filter,
        }

    def _start(self) -> None:
        """Start the process that waits for submissions, and learn what this host allows.

        Once more where it was killed meanwhile, as by a host that was short of memory.
        """
        for last in (False, True):
            hello = self._begin()
            if hello.get("ready"):
                break
            killed = self._was_killed()
            complaint = "it was killed; is there memory left?" if killed else self._complaint()
            self.close()
            if last or not killed:
                raise UsageError(f"the sandbox did not start ({complaint}); run: autograde doctor")
        if self.mode == "fork" and not hello["nested"]:
            self.mode = "strict"
            self.close()

    def _begin(self) -> dict[str, Any]:
        """Start the process; what it says of itself, nothing where it does not come up."""
        command = command_of(self.mode, self.limits.device)
        alone = "strict" if self.mode in ALONE else self.mode
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        setup = {"mode": alone, "modules": self._modules, "libraries": libraries_of_python()}
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 open as long as the process
        with theirs:
            self._process = subprocess.Popen(
                [*command, json.dumps(setup)],
                stdin=theirs, stdout=subprocess.DEVNULL, stderr=self._complaints,
                process_group=0,
            )  # fmt: skip
        return self._hear()

    def _hear(self) -> dict[str, Any]:
        """The first message; nothing once the process has ended, or after START_SECONDS.

        What runs in a bubblewrap that is killed early enough outlives it, and keeps the line open.
        """
        deadline = time.monotonic() + START_SECONDS
        self._control.settimeout(0.2)
        while self._process.poll() is None and time.monotonic() < deadline:
            with suppress(TimeoutError):
                try:
                    hello = json.loads(self._control.recv(4096) or b"{}")
                except (ValueError, ConnectionError):
                    return {}
                return hello if self._process.poll() is None else {}
        return {}

    def _was_killed(self) -> bool:
        """Whether the process has been; False while it runs."""
        try:
            return self._process.wait(2) in KILLED
        except subprocess.TimeoutExpired:
            return False

    def _complaint(self) -> str:
        self._process.kill()
        self._process.wait()
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:200] if lines else "it said nothing"

    def _run(self, job: bytes, exercises: int) -> bytes:
        """What the submission said until it ended, or was stopped for its time or its bytes."""
        deadline = time.monotonic() + self.limits.total(exercises)
        most = exercises * (self.limits.bytes + 2**16)
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                self._tell(b"run", [theirs.fileno()])
            output = _converse(ours, struct.pack(">Q", len(job)) + job, deadline, most)
        self._ending = self.mode not in ALONE  # there all of it is killed with its sandbox
        return output

    def _tell(self, message: bytes, files: Sequence[int] = ()) -> None:
        try:
            socket.send_fds(self._control, [message], files)
        except OSError:
            raise SandboxDiedError("the sandbox has ended") from None

    def _blame(self) -> None:
        """Raise SandboxDiedError where a submission was cut short and not by its own doing."""
        if self.mode not in ALONE:
            self.settle()
        elif self.mode == "strict" and self._was_killed():  # else it was late, or said too much
            raise SandboxDiedError("the sandbox was killed")

    def settle(self) -> None:
        """Wait until nothing of the last submission is left; kill it if it does not end by itself.

        Done before the next one is asked: meanwhile the answers can be judged.
        Raises SandboxDiedError when the sandbox was killed.
        """
        if not self._ending:
            return
        self._ending = False
        for seconds in (2, 20):
            self._control.settimeout(seconds)
            try:
                if self._control.recv(16) == b"gone":
                    return
                break
            except TimeoutError:
                self._tell(b"kill")
            except OSError:
                break
        raise SandboxDiedError("the sandbox has ended")

    def close(self) -> None:
        """Kill the waiting process with all that it started."""
        self._ending = False
        if self._process is not None:
            self._control.close()
            with suppress(ProcessLookupError):  # what runs in a bubblewrap mostly dies with it
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._complaints.close()
            self._process = None


def _converse(connection: socket.socket, job: bytes, deadline: float, most: int) -> bytes:
    """Send the job, and read until the end, the deadline or `most` bytes."""
    heard = bytearray()
    try:
        connection.settimeout(max(deadline - time.monotonic(), 0.1))
        connection.sendall(job)
        while len(heard) <= most and (left := deadline - time.monotonic()) > 0:
            connection.settimeout(left)
            chunk = connection.recv(SEND_BUFFER)
            if not chunk:
                break
            heard += chunk
    except OSError:  # it is late, or gone: what was said until now counts
        pass
    return bytes(heard)


def _frames(output: bytes) -> Iterable[tuple[str, bytes]]:
    """(exercise, packed reply) of each frame that `inside.submission` wrote, as far as whole."""
    at = 0
    while at + 6 <= len(output):
        name_length, length = struct.unpack_from(">HI", output, at)
        start, end = at + 6 + name_length, at + 6 + name_length + length
        if end > len(output):
            break
        yield output[at + 6 : start].decode(errors="replace"), output[start:end]
        at = end
