"""One submission: its cells are run and its answers taken, in a process that may end at any time.

Here are the student's code and the inputs, never an expected answer.
"""

import io
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from helpers.codec import pack, unpack

from . import confine
from .child import ASKING, END, HEAD, NO_DEVICE, REPLY, STEP, Child, NoDeviceError
from .witness import Witness, sealed

HOME = "/home/student"
# What student code may write to, in bytes; fresh for each submission.
SCRATCH = {"/tmp": 2**26, HOME: 2**26, "/dev/shm": 2**26}
LOOK_SECONDS = 0.25  # how often it is looked at what has been written
LENGTH = struct.Struct(">Q")
FRAME = struct.Struct(">HI")


def serve(job: int, confined: bool) -> None:
    """Read a job from the socket `job`, write a frame for each exercise to it as it is answered.

    A frame without a name says why the device does not work; then nothing was asked.
    confined: give up all rights first, and let student code make harmless system calls only.
    """
    for number in (signal.SIGINT, signal.SIGTERM):  # no handler: its children cannot end it
        signal.signal(number, signal.SIG_DFL)
    with socket.socket(fileno=job) as connection, connection.makefile("rb") as stream:
        (length,) = LENGTH.unpack(stream.read(LENGTH.size))
        asked = unpack(stream.read(length))
        if confined:
            confine.no_privileges()
            confine.undumpable()
        unanswered = set(range(len(asked["exercises"])))
        try:
            for number, reply in Submission(asked, connection, confined).replies():
                _frame(connection, asked["exercises"][number]["name"].encode(), reply)
                unanswered.discard(number)
                if not unanswered:  # nobody has to wait until the process has ended as well
                    connection.shutdown(socket.SHUT_WR)
        except NoDeviceError as error:
            _frame(connection, b"", str(error).encode())


def _frame(connection: socket.socket, name: bytes, payload: bytes) -> None:
    connection.sendall(FRAME.pack(len(name), len(payload)) + name + payload)


@dataclass
class Submission:
    """What is still to be asked of one submission, and the cells that ended a process before.

    One process runs the cells and answers exercise by exercise. Where it ends too early, another
    goes on: without the cell that ended it, or past the exercise that did.
    """

    asked: dict[str, Any]
    connection: socket.socket
    confined: bool
    skipped: set[int] = field(default_factory=set)
    room: "Room | None" = field(init=False)

    def __post_init__(self) -> None:
        self.room = Room() if self.confined else None

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """(exercise, packed reply) of all exercises, in the order in which they are answered.

        Raises NoDeviceError.
        """
        waiting = list(range(len(self.asked["exercises"])))
        witness = Witness(self.asked["exercises"])
        while waiting:
            spoken = Spoken(room=self.room)
            for number, reply in self._in_child(waiting, spoken):
                if number in waiting:
                    waiting.remove(number)
                    yield number, sealed(witness.changed(number), reply)
            witness.restore()
            if spoken.problem == "device":
                raise NoDeviceError(spoken.line)
            blamed = self._blamed(waiting, spoken)
            reply = pack({"problem": spoken.problem, "status": spoken.status, "line": spoken.line})
            for number in blamed:
                waiting.remove(number)
                yield number, reply

    def _blamed(self, waiting: list[int], spoken: "Spoken") -> list[int]:
        """The exercises that get no answer because of how the process ended."""
        if spoken.ended:  # a process that did not answer the first of them says so for all
            return [] if spoken.replied else list(waiting)
        if spoken.asking:  # the cells had been run: it was the exercise that was being asked
            return waiting[:1]
        if spoken.step is None or spoken.step in self.skipped:
            return list(waiting)
        self.skipped.add(spoken.step)
        own = self.asked["steps"][spoken.step]["of"]
        return [i for i in waiting if self.asked["exercises"][i]["name"] == own]

    def _in_child(self, waiting: list[int], spoken: "Spoken") -> Iterator[tuple[int, bytes]]:
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                confine.die_with_parent()
                os.closerange(3, writer)  # it says what it has to say on the pipe alone
                os.closerange(writer + 1, 2**16)
                os.setsid()
                Child(self.asked, writer, self.confined).work(waiting, self.skipped)
            finally:
                os._exit(0)
        os.close(writer)
        try:
            yield from spoken.listen(reader, self.asked)
        finally:
            os.close(reader)
            spoken.status = _end(child)


def _end(child: int) -> int:
    """See the child end, or end it; its exit code, negative for the signal that it died of."""
    ended = os.pidfd_open(child)
    ready, _, _ = select.select([ended], [], [], 0.2)  # by itself, if it has closed its pipe
    os.close(ended)
    if not ready:
        # And what it may have started where there is no filter, in its session or its group.
        for kill in (os.killpg, os.kill):
            with suppress(ProcessLookupError):
                kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@dataclass
class Spoken:
    """What a child has said, none of it trusted: how far it came, and how it ended.

    step: the cell that it began last. asking: whether the cells are done. ended: on purpose.
    """

    step: int | None = None
    replied: bool = False
    asking: bool = False
    ended: bool = False
    problem: str = "died"
    status: int = 0
    line: str = ""
    room: "Room | None" = None

    def listen(self, reader: int, asked: dict[str, Any]) -> Iterator[tuple[int, bytes]]:
        """The child's replies, until it ends or must be stopped."""
        limits, steps = asked["limits"], len(asked["steps"])
        unanswered = set(range(len(asked["exercises"])))
        while True:
            seconds = limits["seconds"] if self.asking else limits["cell_seconds"] + 2
            kind, number, payload = self._message(reader, time.monotonic() + seconds, limits)
            if kind == NO_DEVICE and self.step is None:  # before any code of the student's
                self.problem, self.line = "device", payload.decode(errors="replace")
                return
            if kind == STEP and (-1 if self.step is None else self.step) < number < steps:
                self.step = number
            elif kind == ASKING and not self.asking:
                self.asking = True
            elif kind == REPLY and number in unanswered:
                unanswered.remove(number)
                self.replied = True
                yield number, payload
            else:
                # A second reply is a forged one, and the process is not heard any further.
                self.ended = kind == END or (kind == REPLY and self.replied)
                return

    def _message(
        self, reader: int, deadline: float, limits: dict[str, Any]
    ) -> tuple[bytes, int, bytes]:
        head = self._read(reader, HEAD.size, deadline)
        if len(head) < HEAD.size:
            return b"", 0, b""
        kind, number, length = HEAD.unpack(head)
        if length > limits["bytes"]:
            self.problem = "size"
            return b"", 0, b""
        payload = self._read(reader, length, deadline)
        return (kind, number, payload) if len(payload) == length else (b"", 0, b"")

    def _read(self, reader: int, length: int, deadline: float) -> bytes:
        """So many bytes; fewer where the child ended, or did not say them in time."""
        chunks = io.BytesIO()
        while chunks.tell() < length:
            left = deadline - time.monotonic()
            if left <= 0 or (self.room is not None and self.room.is_used_up()):
                self.problem = "time" if left <= 0 else "files"
                break
            if not select.select([reader], [], [], min(left, LOOK_SECONDS))[0]:
                continue
            chunk = os.read(reader, min(2**20, length - chunks.tell()))
            if not chunk:
                break
            chunks.write(chunk)
        return chunks.getvalue()


class Room:
    """What is written since it was made, where a file system bounds it only loosely or not at all:
    bubblewrap's folders hold any number of files, and a container's are its whole disk."""

    def __init__(self) -> None:
        self._before = {folder: _used(folder) for folder in SCRATCH if os.path.isdir(folder)}

    def is_used_up(self) -> bool:
        """Whether there are more files, or bytes, than there may be."""
        for folder, before in self._before.items():
            files, size = (now - then for now, then in zip(_used(folder), before, strict=True))
            if files > confine.FILES or size > SCRATCH[folder]:
                return True
        return False


def _used(folder: str) -> tuple[int, int]:
    """Files and bytes in the file system that the folder is of."""
    held = os.statvfs(folder)
    return held.f_files - held.f_ffree, (held.f_blocks - held.f_bfree) * held.f_frsize
