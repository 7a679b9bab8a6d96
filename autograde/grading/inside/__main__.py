"""The warm parent: it has imported what lessons import, has computed nothing, and forks.

Each submission comes as a socket of its own, which the parent hands to a child unread: what the
parent knows, every later submission could read in its memory. The child has moved into namespaces
of its own while it waited; there a first process takes the questions and asks the exercises in a
process of its own.
"""

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import warnings
from contextlib import suppress
from pathlib import Path

from . import confine
from .shell import make_shell
from .submission import SCRATCH, serve

FORK, STRICT = "fork", "strict"  # many submissions, each in namespaces of its own; or one
KILLED = 128 + signal.SIGKILL  # the status by which a shell, and bubblewrap, say the same
# What libraries import when something is first used: an optimiser costs a second.
LATE = ["bdb", "numpy.ctypeslib", "torch._dynamo", "torch.fx.experimental.symbolic_shapes"]


def main() -> None:
    """Serve requests on standard input, a socket, until it is closed.

    The argument is JSON: "mode", "modules" to import before anything is forked, and "libraries",
    the folders that Python lives in.
    """
    setup = json.loads(sys.argv[1])
    control = socket.socket(fileno=os.dup(0))
    silence = os.open(os.devnull, os.O_RDWR)
    os.dup2(silence, 0)
    _warm_up(setup["modules"] + LATE * (setup["mode"] != STRICT))
    kept = _kept(setup["libraries"])
    nested = setup["mode"] == FORK and _nesting_works(kept)
    if setup["mode"] != "none":
        confine.undumpable()
    control.send(json.dumps({"ready": True, "nested": nested, "threads": _threads()}).encode())
    for stream in (1, 2):  # whatever student code prints goes nowhere
        os.dup2(silence, stream)
    mode, kept = setup["mode"], kept if nested else None
    standby = None if mode == STRICT else Standby(control, mode, kept)
    while True:
        message, files, _, _ = socket.recv_fds(control, 16, 1)
        if not message:
            return None
        if standby is None:  # the first process of its namespaces already: none can kill it
            control.close()
            return serve(files[0], True)
        if message == b"run":  # a request to stop one that is over already needs no answer
            standby.take(files[0])
            _attend(control, standby.child, nested)
            standby = Standby(control, mode, kept)


def _warm_up(modules: list[str]) -> None:
    warnings.simplefilter("ignore")
    for name in modules:
        try:
            module = importlib.import_module(name)
            if name == "helpers":  # which reads what it offers when it is asked for
                for public in module.__all__:
                    getattr(module, public)
        except ImportError:
            continue  # what is not there is not there for the student's cell either
    make_shell()
    gc.collect()
    gc.freeze()  # a child's collections would touch, and so copy, all that is shared with it


def _threads() -> int:
    """How many threads run here: a process with more than one is not safe to fork."""
    try:
        return len(list(Path("/proc/self/task").iterdir()))
    except OSError:
        return 1


def _kept(libraries: list[str]) -> list[str]:
    """Of the folders that Python lives in, those that a fresh scratch folder would cover."""
    return [path for path in libraries if any(Path(path).is_relative_to(s) for s in SCRATCH)]


def _nesting_works(kept: list[str]) -> bool:
    """Whether this host lets a sandbox hold sandboxes: tried in a child that does no more."""
    child = os.fork()
    if child == 0:
        try:
            confine.own_namespaces()
            if os.fork() == 0:
                confine.fresh_folders(SCRATCH, kept)
                os._exit(0)
            os._exit(os.waitstatus_to_exitcode(os.wait()[1]))
        finally:
            os._exit(1)
    return os.waitpid(child, 0)[1] == 0


class Standby:
    """A process that has gone into namespaces of its own, and waits there for a submission.

    It is forked before the submission comes, so that nobody waits for it.
    control: the parent's socket, which it closes. kept: see `confine.fresh_folders`; None where
    there are no namespaces of its own.
    """

    def __init__(self, control: socket.socket, mode: str, kept: list[str] | None) -> None:
        self._ours, theirs = socket.socketpair()
        self.child = os.fork()
        if self.child == 0:
            try:
                control.close()
                self._ours.close()
                confine.die_with_parent()
                _wait_in(theirs, mode, kept)
            finally:
                os._exit(1)
        theirs.close()

    def take(self, job: int) -> None:
        """Hand the submission's socket over, unread."""
        with self._ours, suppress(OSError):  # where it was killed, that is seen as its end
            socket.send_fds(self._ours, [b"run"], [job])
        os.close(job)


def _wait_in(waiting: socket.socket, mode: str, kept: list[str] | None) -> None:
    """The outer process of a submission: with namespaces it stays behind, outside of them."""
    if kept is None:
        return _serve_next(waiting, mode != "none")
    confine.own_namespaces()
    first = os.fork()
    if first == 0:
        try:
            confine.die_with_parent()
            confine.fresh_folders(SCRATCH, kept)
            _serve_next(waiting, True)
        finally:
            os._exit(1)
    waiting.close()
    _, status = os.waitpid(first, 0)
    os._exit(KILLED if os.WIFSIGNALED(status) else 0)


def _serve_next(waiting: socket.socket, confined: bool) -> None:
    with waiting:
        message, files, _, _ = socket.recv_fds(waiting, 16, 1)
    if message:
        serve(files[0], confined)


def _attend(control: socket.socket, child: int, apart: bool) -> None:
    """Kill a submission's process when told to; say when nothing of it is left.

    apart: it is in namespaces of its own, where student code cannot kill it. Then it is said of one
    that was "killed" from outside.
    """
    ended, told = os.pidfd_open(child), False
    try:
        while True:
            ready, _, _ = select.select([control, ended], [], [])
            if ended in ready:
                break
            if not control.recv(16):
                os._exit(0)  # the worker has gone, and this sandbox goes with it
            told = True
            os.kill(child, signal.SIGKILL)  # the first process in its namespaces dies with it
    finally:
        os.close(ended)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    from_outside = apart and not told and status in (-signal.SIGKILL, KILLED)
    control.send(b"killed" if from_outside else b"gone")


if __name__ == "__main__":
    main()
