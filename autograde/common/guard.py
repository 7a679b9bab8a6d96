"""Our own code at work on somebody else's data, where it can take neither the memory nor the time.

Reading, rebuilding, judging and showing what was handed in runs no student code; but what was
handed in may be made to keep us busy. So it is done in a process that waits for calls, under a
limit of memory and a deadline for each. That process is forked from one that was forked itself
when nothing untrusted had been seen yet, and does nothing else: after a call that met a limit there
is a new one at once, as clean as the first.
"""

import atexit
import faulthandler
import gc
import os
import pickle
import resource
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NoReturn

from .errors import LimitError

PAGE = resource.getpagesize()
MEMORY = Path("/proc/self/statm")
KEPT = 2**29  # bytes that a process may have grown by and be called again
MOST_TOLD = 2_000  # characters of an exception's message
START_SECONDS = 60
AHEAD = 2  # calls given out for each process: none waits for the next, and memory stays flat


@dataclass(frozen=True)
class Bounds:
    """Of one call. seconds: of the processor. patience: how many times that by the clock, as the
    machine may be busy. memory: bytes of address space beyond what there is when it begins."""

    seconds: int = 30
    patience: int = 6
    memory: int = 2 * 2**30

    def met(self, ending: int) -> LimitError:
        """What to raise after the process ended by this signal, or by itself with 0."""
        if ending in (signal.SIGPROF, signal.SIGALRM):
            return LimitError(f"takes longer than {self.seconds} s of computing", "time")
        if ending in (0, signal.SIGKILL):
            most = self.memory / 2**30
            return LimitError(f"takes more memory than there is for it, {most:g} GiB", "memory")
        return LimitError(f"breaks the process that works on it (signal {ending})", "crash")


BOUNDS = Bounds()


def guarded(function: Callable, *arguments: Any, bounds: Bounds | None = None) -> Any:
    """Call a function of a module's with what can be pickled; what it returns, or raises.

    Raises LimitError when it met one of `bounds`.
    """
    guard: Guard | None = getattr(_own, "guard", None)
    if guard is not None and guard.inside:
        return function(*arguments)
    if guard is None or guard.owner != os.getpid():
        guard = _own.guard = Guard()
        atexit.register(guard.close)
    return guard.call(function, arguments, bounds or BOUNDS)


def guarded_each(
    function: Callable, calls: Iterable[tuple], workers: int, bounds: Bounds | None = None
) -> Iterator[tuple[tuple, Any]]:
    """Each call's arguments, with what it returned, or the exception that it raised, as they end.

    workers: so many processes as `guarded` has one; they know what is imported here by now.
    """
    bounds, calls = bounds or BOUNDS, iter(calls)
    with _guards(workers) as free, ThreadPoolExecutor(workers) as threads:
        running: dict[Future, tuple] = {}
        try:
            while True:
                while len(running) < AHEAD * workers and (one := next(calls, None)) is not None:
                    running[threads.submit(_by_one_of, free, function, one, bounds)] = one
                if not running:
                    return
                ended, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ended:
                    arguments, error = running.pop(future), future.exception()
                    yield arguments, future.result() if error is None else error
        finally:
            for future in running:
                future.cancel()


@contextmanager
def _guards(number: int) -> Iterator["SimpleQueue[Guard]"]:
    """Guards to take one from and to put it back, forked while no thread of ours runs."""
    free: SimpleQueue[Guard] = SimpleQueue()
    guards = [Guard() for _ in range(number)]
    try:
        for guard in guards:
            guard.start()
            free.put(guard)
        yield free
    finally:
        for guard in guards:
            guard.close()


def _by_one_of(
    free: "SimpleQueue[Guard]", function: Callable, arguments: tuple, bounds: Bounds
) -> Any:
    guard = free.get()
    try:
        return guard.call(function, arguments, bounds)
    finally:
        free.put(guard)


def fresh() -> None:
    """Let this thread's next call start from this process as it now is: for what has changed it."""
    guard: Guard | None = getattr(_own, "guard", None)
    if guard is not None and not guard.inside and guard.owner == os.getpid():
        atexit.unregister(guard.close)
        guard.close()
        _own.guard = None


_own = threading.local()  # a guard for each thread that calls


class Guard:
    """A process that forks workers, and the one of them that waits for a call.

    inside: whether this is the worker, which calls at once. owner: the process that it works for.
    """

    def __init__(self) -> None:
        self.inside, self.owner = False, os.getpid()
        self._forker: int | None = None
        self._control: socket.socket | None = None
        self._calls: Connection | None = None

    def call(self, function: Callable, arguments: tuple, bounds: Bounds) -> Any:
        """See `guarded`. Once more where the machine was short of memory, which was no limit."""
        request = pickle.dumps((function, arguments, bounds))
        ending = 0
        for _ in range(2):
            status, value = self._once(request, bounds)
            if status == "value":
                return value
            if status == "raised":
                raise value
            ending = value
            if ending != signal.SIGKILL:
                break
        raise bounds.met(ending)

    def _once(self, request: bytes, bounds: Bounds) -> tuple[str, Any]:
        try:
            self.start()
            # What ends it are timers of its own; this is for a process that never began.
            deadline = bounds.seconds * bounds.patience + START_SECONDS
            self._calls.send_bytes(request)
            if not self._calls.poll(deadline):
                self.close()
                return "ended", int(signal.SIGALRM)
            status, value, stays = pickle.loads(self._calls.recv_bytes())
            if not stays:
                self._ended()
            return status, value
        except (EOFError, ConnectionError):
            return "ended", self._ended()
        except BaseException:  # stopped half-way: the next call would get this one's answer
            self.close()
            raise

    def start(self) -> None:
        """Fork both processes, where they do not run."""
        if self._calls is not None:
            return
        if self._control is None:
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._forker = _forked(lambda: self._fork_workers(theirs), theirs.fileno())
        ours, theirs = Pipe()
        with theirs:
            socket.send_fds(self._control, [b"fork"], [theirs.fileno()])
        self._calls = ours

    def _ended(self) -> int:
        """Wait for the worker to end: the signal that ended it, 0 for none."""
        self._calls.close()
        self._calls = None
        try:
            self._control.settimeout(START_SECONDS)
            return int(self._control.recv(16))
        except (OSError, ValueError):  # the forker itself has been killed
            self.close()
            return int(signal.SIGKILL)

    def close(self) -> None:
        """End both processes."""
        for line in (self._calls, self._control):
            if line is not None:
                line.close()
        if self._forker is not None and self.owner == os.getpid():
            with suppress(ProcessLookupError):
                os.killpg(self._forker, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._forker, 0)
        self._forker = self._control = self._calls = None

    def _fork_workers(self, control: socket.socket) -> None:
        """In the forker: a worker for each line that comes, one at a time, and how it ended."""
        while True:
            _, files, _, _ = socket.recv_fds(control, 16, 1)
            if not files:
                return
            worker = _forked(lambda line=files[0]: self._work(line))
            os.close(files[0])
            _, status = os.waitpid(worker, 0)
            control.send(str(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0).encode())

    def _work(self, line: int) -> None:
        """In the worker: answer calls until the line is closed, or one was too much."""
        self.inside = True
        _own.guard = self
        calls, born = Connection(line), _address_space()
        while True:
            function, arguments, bounds = pickle.loads(calls.recv_bytes())
            _limit(bounds)
            status, value = _outcome(function, arguments)
            stays = status != "ended" and _address_space() < born + KEPT
            answer = _sendable(status, value, stays)
            _limit(None)
            calls.send_bytes(answer)
            if not stays:
                return


def _forked(work: Callable[[], None], line: int | None = None) -> int:
    """The number of a process forked from this one, that does this and ends.

    line: the one file that it keeps; None where it is as clean as this process.
    """
    with warnings.catch_warnings():  # later Pythons warn of threads, which the child has not
        warnings.simplefilter("ignore")
        child = os.fork()
    if not child:
        _be_a_child(work, line)
    return child


def _be_a_child(work: Callable[[], None], line: int | None) -> NoReturn:
    status = 1
    try:
        if line is not None:
            _let_go(line)
        work()
        status = 0
    except (EOFError, ConnectionError):  # nobody calls any more
        status = 0
    finally:
        os._exit(status)


def _let_go(line: int) -> None:
    """Leave what is the other process's: its signals, its screen, its files, its threads."""
    os.setpgid(0, 0)  # a Ctrl-C in the terminal is heard by the one that acts on it
    faulthandler.disable()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGALRM, signal.SIGPROF):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(nowhere, number)
    gc.freeze()  # no file of a dropped object is closed later, under a number that is ours by then
    os.closerange(3, line)
    os.closerange(line + 1, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(1)  # those of OpenMP are not there in a forked process


def _limit(bounds: Bounds | None) -> None:
    """Set the limits of a call, or take them away. What ends it ends the process."""
    seconds = bounds.seconds if bounds else 0
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.setitimer(signal.ITIMER_REAL, seconds * bounds.patience if bounds else 0)
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = hard
    if bounds and (there := _address_space()):
        most = there + bounds.memory
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(resource.RLIMIT_AS, (most, hard))


def _address_space() -> int:
    """Bytes of it that this process has; 0 where the system does not say."""
    try:
        return int(MEMORY.read_bytes().split()[0]) * PAGE
    except OSError:
        return 0


def _sendable(status: str, value: Any, stays: bool) -> bytes:
    """What is sent back; what nests too deep for that is told as what was raised."""
    try:
        return pickle.dumps((status, value, stays))
    except Exception as error:
        return pickle.dumps(("raised", _portable(error), stays))


def _outcome(function: Callable, arguments: tuple) -> tuple[str, Any]:
    try:
        return "value", function(*arguments)
    except MemoryError:
        return "ended", 0
    except Exception as error:
        return "raised", _portable(error)


def _portable(error: Exception) -> Exception:
    """The exception itself, where it can be sent; its words where it cannot."""
    try:
        if len(str(error)) <= MOST_TOLD and type(pickle.loads(pickle.dumps(error))) is type(error):
            return error.with_traceback(None)
    except Exception:  # whatever a class of somebody's raises
        pass
    return RuntimeError(f"{type(error).__name__}: {str(error)[:MOST_TOLD]}")
