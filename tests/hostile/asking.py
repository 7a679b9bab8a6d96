"""Attacks on whoever waits for an answer: ends, and waste of time, memory and room."""

from collections.abc import Iterator
from textwrap import indent

from tests.hostile.entry import MARK, OTHERS, WRONG, Hostile, added, answer

ENDS = {
    "exit": ("ends its process", "import os\nos._exit(0)"),
    "system-exit": ("exits", "import sys\nsys.exit(0)"),
    "interrupt": ("interrupts itself", "raise KeyboardInterrupt"),
    "abort": ("aborts", "import os\nos.abort()"),
    "segfault": ("reads at address 0", "import ctypes\nctypes.string_at(0)"),
    "kill-all": ("kills every process", "import os\nos.kill(-1, 9)\nos.kill(os.getpid(), 9)"),
    "kill-parent": ("kills its parent", "import os\nos.kill(os.getppid(), 9)\nos._exit(0)"),
    "kill-group": ("kills its group", "import os\nos.killpg(0, 9)"),
    "close-all": ("closes every file", "import os\nos.closerange(0, 256)"),
    "recursion": ("calls itself without an end", "def deep():\n    return deep()\ndeep()"),
    "stdin": ("waits for input", "input('your answer?')\nraise EOFError"),
    "memory": ("wants a TiB at once", "bytearray(2**40)"),
    "memory-slowly": (
        "fills its memory bit by bit",
        "held = []\nwhile True:\n    held.append(b'x' * 2**26)",
    ),
}


def ending() -> Iterator[Hostile]:
    """What ends its process, at the top of its cell and in the function."""
    for name, (tries, source) in ENDS.items():
        function = f"def k1(logp, ref_logp):\n{indent(source, '    ')}"
        yield answer(f"{name}-top", f"{tries}, in its cell", f"{source}")
        yield answer(f"{name}-function", f"{tries}, when it is called", function)
    yield answer(
        "exit-late",
        "leaves hooks and threads that end the process later",
        """
        import atexit, os, signal, sys, threading, time
        atexit.register(os._exit, 3)
        threading.Thread(target=lambda: [time.sleep(0.1) for _ in iter(int, 1)]).start()
        signal.signal(signal.SIGTERM, lambda *_: os._exit(1))
        sys.excepthook = sys.unraisablehook = lambda *_: os._exit(1)

        def k1(logp, ref_logp):
            return logp * 0
        """,
    )
    yield answer(
        "parent-limited",
        "takes its parent's rights to files and time away",
        """
        import os, resource
        for limit in (resource.RLIMIT_NOFILE, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
            resource.prlimit(os.getppid(), limit, (0, 0))

        def k1(logp, ref_logp):
            return logp * 0
        """,
        spoils=OTHERS,
    )


def wasting() -> Iterator[Hostile]:
    """Time, memory and room."""
    late = {"says": "ran longer than"}
    loop = "def k1(logp, ref_logp):\n    while True:\n        "
    yield answer("loop-top", "never ends, in its cell", "while True:\n    pass", **late)
    yield answer("loop-function", "never ends, when it is called", loop + "pass", **late)
    yield answer("print-loop", "prints without an end", loop + "print('x' * 10**6)", **late)
    yield answer(
        "loop-stubborn",
        "never ends, catches everything, silences the alarm and stops the clocks",
        """
        import signal, time
        time.monotonic = time.time = time.perf_counter = lambda: 0.0
        signal.alarm(0)
        signal.alarm = signal.setitimer = lambda *_: 0

        def k1(logp, ref_logp):
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            while True:
                try:
                    while True:
                        pass
                except BaseException:
                    pass
        """,
        **late,
    )
    yield answer(
        "stopped",
        "stops its parent and itself, as by Ctrl-Z",
        """
        import os, signal

        def k1(logp, ref_logp):
            os.kill(os.getppid(), signal.SIGSTOP)
            os.kill(os.getpid(), signal.SIGSTOP)
        """,
    )
    yield answer(
        "stderr",
        "writes 200 MB to stderr, past Python",
        "import os\nfor _ in range(200):\n    os.write(2, b'x' * 10**6)\n" + WRONG,
    )
    yield answer(
        "threads",
        "starts threads until it cannot",
        """
        import threading, time

        def k1(logp, ref_logp):
            while True:
                threading.Thread(target=time.sleep, args=(10**6,), daemon=True).start()
        """,
        spoils=("k2", "k3"),
    )
    yield answer(
        "scratch-full",
        "fills every folder that it can write to, with bytes and with files",
        f"""
        import os
        for folder in ("/tmp", "/dev/shm", os.path.expanduser("~")):
            try:
                for number in range(10000):
                    open(f"{{folder}}/{MARK}-{{number}}", "w").close()
            except OSError:
                pass
            try:
                with open(f"{{folder}}/{MARK}-0", "wb") as file:
                    while True:
                        file.write(bytes(2**20))
            except OSError:
                pass

        def k1(logp, ref_logp):
            return logp * 0
        """,
        # So many files stop the whole submission in strict, so much as fills /tmp in a container.
        spoils_in={"strict": OTHERS, "user": OTHERS},
    )
    yield answer(
        "left-behind",
        "leaves files, links and folders without rights",
        f"""
        import os
        for folder in ("/tmp", "/dev/shm", os.path.expanduser("~")):
            os.makedirs(f"{{folder}}/{MARK}-folder/deep")
            os.symlink("/grader", f"{{folder}}/{MARK}-link")
            open(f"{{folder}}/{MARK}.ipynb", "w").write("the next one may find this")
            os.chmod(f"{{folder}}/{MARK}-folder", 0)
            if folder != "/tmp":  # in which Python's own environment may lie
                os.chmod(folder, 0)

        def k1(logp, ref_logp):
            return logp * 0
        """,
    )
    yield answer(
        "settings",
        "changes torch's settings for whoever is asked after it",
        """
        def k1(logp, ref_logp):
            answer = logp - ref_logp.detach()
            torch.set_default_dtype(torch.float64)
            torch.set_grad_enabled(False)
            torch.use_deterministic_algorithms(True)
            torch.set_default_device("meta")
            return answer
        """,
        earns={},
        spoils=("k1",),
    )
    yield added(
        "builtins",
        "replaces what Python itself offers",
        """
        import builtins
        for name in ("sum", "float", "print", "isinstance", "len", "max"):
            setattr(builtins, name, lambda *_, **__: 1)
        """,
        spoils=OTHERS,
    )


def exhausting() -> Iterator[Hostile]:
    """What the machine has a fixed number of."""
    for name, tries, line in (
        ("pipes", "opens pipes until it cannot", "held.append(os.pipe())"),
        ("sockets", "fills pairs of sockets", "held.append(socket.socketpair())"),
        (
            "timers",
            "makes timers until it cannot",
            "held.append(1) or libc.timer_create(0, None, ctypes.byref(ctypes.c_long()))"
            " and stop()",
        ),
        ("watches", "watches files until it cannot", "libc.inotify_init() < 0 and stop()"),
        ("maps", "maps memory in pieces until it cannot", "held.append(mmap.mmap(-1, 4096))"),
        ("folders", "makes folders within folders", "os.mkdir('d'); os.chdir('d')"),
        ("inodes", "makes files without a byte", "open(f'{len(held)}', 'x'); held.append(1)"),
        ("links", "links one file to itself", "os.symlink('x', f'l{len(held)}'); held.append(1)"),
        (
            "locks",
            "locks memory until it cannot",
            "held.append(mmap.mmap(-1, 2**22)); libc.mlock(0, 2**22) and stop()",
        ),
    ):
        yield answer(
            f"all-{name}",
            tries,
            f"""
            import ctypes, mmap, os, socket
            libc, held = ctypes.CDLL(None), []

            def stop():
                raise OSError

            def k1(logp, ref_logp):
                os.chdir("/tmp")
                try:
                    while len(held) < 10**6:
                        {line}
                except (OSError, ValueError, MemoryError):
                    pass
                return logp * 0
            """,
            spoils=OTHERS,
        )
    yield answer(
        "stopped-alone",
        "stops itself, again and again",
        """
        import os, signal, threading
        def k1(logp, ref_logp):
            threading.Thread(target=lambda: [os.kill(os.getpid(), signal.SIGCONT)
                                             for _ in iter(int, 1)], daemon=True).start()
            while True:
                os.kill(os.getpid(), signal.SIGSTOP)
        """,
        spoils=OTHERS,
    )


KINDS = (ending, wasting, exhausting)
