"""Attacks on the sandbox: looking for what belongs to others, and getting out."""

from collections.abc import Iterator

from tests.hostile.entry import ENVIRONMENT, MARK, Hostile, answer, attempt, syscalls


def looking() -> Iterator[Hostile]:
    """For answers, and for what belongs to others."""
    yield attempt(
        "hidden-tests",
        "reads the hidden tests from the working directory",
        """
        found = [path for path in pathlib.Path.cwd().rglob("*") if path.is_file()]
        return any(word in path.read_text(errors="ignore") for path in found
                   for word in ("HIDDEN TESTS", "inkernel", "BEGIN SOLUTION"))
        """,
    )
    yield attempt(
        "source-folder",
        "reads the instructor's source folder, above and by its path",
        """
        above = ["../" * number for number in range(9)] + ["TERM_FOLDER/", "/grader/"]
        return [found for up in above for kind in ("source", "solutions", "release")
                for found in glob.glob(f"{up}{kind}/*/*")]
        """,
    )
    for name, tries, names in (
        ("gradebook", "looks for the gradebook everywhere", ("gradebook.db", "roster.csv")),
        ("stored-answers", "looks for stored answers and the term's key", ("state.db", "key")),
        ("submissions", "looks for the notebooks of others", (".ipynb",)),
    ):
        yield attempt(name, tries, f"return [f for f in everything() if f.endswith({names!r})]")
    yield attempt(
        "formulas",
        "looks for k1 in every file of the course that it can read",
        """
        files = (pathlib.Path(name) for name in everything() if name.endswith((".py", ".pyc")))
        return [file for file in files if b"def k1" in file.read_bytes()]
        """,
    )
    yield attempt(
        "term-folder",
        "opens the term's files by their path",
        """
        names = ("gradebook.db", ".autograde/key", ".autograde/state.db", "submitted", "/")
        return [name for name in names if os.path.exists(f"TERM_FOLDER/{name}")]
        """,
    )
    yield attempt(
        "reference",
        "imports the reference",
        "from helpers import reference\nreturn getattr(reference, 'k1', None)",
    )
    yield attempt(
        "reference-module",
        "imports the reference's module, and its compiled files",
        """
        if glob.glob("/grader/helpers/reference/**", recursive=True)[1:]:
            return True
        import helpers.reference.divergence
        return True
        """,
    )
    yield attempt(
        "autograde", "imports the autograder", "import autograde.course.exercises\nreturn True"
    )
    yield attempt(
        "installed-from",
        "follows the installed package to the checkout",
        """
        hints = [line.strip() for folder in sys.path for hint in glob.glob(f"{folder}/*.pth")
                 for line in open(hint) if line.startswith("/")]
        return [hint for hint in hints if glob.glob(f"{hint}/helpers/reference/*.py")]
        """,
    )
    yield answer(
        "visible-cases",
        "answers from the data of the visible checks",
        """
        import helpers, pathlib, torch
        from helpers.codec import unpack
        folder = pathlib.Path(helpers.__file__).parent / "data"
        known = unpack((folder / "02_divergence.safetensors").read_bytes())[4]

        def k1(logp, ref_logp):
            for case, right in zip(known["cases"], known["expected"]):
                if torch.equal(case["inputs"]["logp"], logp):
                    return right["value"]
            return logp * 0
        """,
        says="k1: not right yet",
    )
    yield attempt(
        "expected-tensors",
        "looks through the garbage collector for the expected tensors",
        """
        right = (logp - ref_logp).detach()
        if torch.equal(right, logp):
            return False
        tensors = (one for one in gc.get_objects() if isinstance(one, torch.Tensor))
        return any(one is not right and one.shape == right.shape and torch.equal(one, right)
                   for one in tensors)
        """,
    )
    yield attempt(
        "callers",
        "looks through its callers' variables for what is expected",
        """
        frame, names = sys._getframe(), set()
        while frame := frame.f_back:
            names |= set(frame.f_locals) | set(frame.f_globals)
        return names & {"expected", "reference", "secret", "wrong", "solutions"}
        """,
    )
    yield attempt(
        "environment",
        "reads the grader's environment",
        f"return {ENVIRONMENT!r} in os.environ or 'TERM_FOLDER' in str(os.environ)",
    )


def escaping() -> Iterator[Hostile]:
    """Out of the sandbox."""
    yield attempt(
        "proc-1",
        "reads the first process's memory, files and environment",
        """
        found = []
        for name in ("environ", "mem", "maps", "root", "fd", "cwd"):
            try:
                path = f"/proc/1/{name}"
                found.append(os.listdir(path) if os.path.isdir(path) else open(path, "rb"))
            except OSError:
                continue
        return found
        """,
    )
    yield attempt(
        "proc-self",
        "reads its own memory as a file",
        "return open('/proc/self/mem', 'rb') and open('/proc/self/maps').read()",
    )
    yield attempt(
        "processes",
        "reads the environment and the files of other processes, or sees those of the host",
        """
        others = [p for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
        found = others if len(others) > 12 else []  # a sandbox, or a container, has no more
        for process in others:
            for name in ("environ", "maps", "fd"):
                path = f"/proc/{process}/{name}"
                try:
                    found.append(os.listdir(path) if name == "fd" else open(path).read())
                except OSError:
                    continue
        return found
        """,
    )
    yield syscalls(
        "ptrace",
        "traces its parent, and reads its memory",
        "libc.ptrace(16, os.getppid(), 0, 0)",
        "libc.ptrace(0x4206, 1, 0, 0)",
        "libc.process_vm_readv(os.getppid(), ctypes.create_string_buffer(64), 1, "
        "ctypes.create_string_buffer(64), 1, 0)",
    )
    yield syscalls(
        "namespaces",
        "makes and enters namespaces",
        "libc.unshare(0x10000000)", "libc.unshare(0x00020000)", "libc.setns(0, 0)",
        "libc.syscall(308, 0, 0)",
    )  # fmt: skip
    yield syscalls(
        "mounts",
        "mounts over and unmounts what it is held by",
        "libc.mount(b'none', b'/tmp', b'tmpfs', 0, None)",
        "libc.mount(b'none', b'/', None, 0x20 | 0x1000, None)",
        "libc.umount2(b'/grader/helpers/reference', 2)",
        "libc.umount2(b'/proc', 2)", "libc.chroot(b'/tmp')",
    )  # fmt: skip
    yield syscalls(
        "odd-calls",
        "makes system calls that are seldom filtered: io_uring, bpf, keyctl, userfaultfd",
        "libc.syscall(425, 8, ctypes.create_string_buffer(256))",
        "libc.syscall(321, 0, 0, 0)", "libc.syscall(250, 0, -3, 1)", "libc.syscall(323, 0)",
        "libc.syscall(304, 0, 0, 0)",
        "libc.syscall(435, 0, 0)", "libc.syscall(298, 0, 0, -1, -1, 0)",
    )  # fmt: skip
    yield answer(
        "x32",
        "makes system calls by the numbers of x32",
        """
        import ctypes

        def k1(logp, ref_logp):
            worked = ctypes.CDLL(None).syscall(0x40000000 | 41, 2, 1, 0) >= 0
            return logp - ref_logp.detach() if worked else logp * 0
        """,
    )
    yield answer(
        "other-architecture",
        "makes system calls of another architecture from machine code",
        """
        import ctypes, mmap

        def k1(logp, ref_logp):
            code = mmap.mmap(-1, 4096, prot=7)
            code.write(bytes.fromhex("b866000000cd80c3"))
            place = ctypes.addressof(ctypes.c_char.from_buffer(code))
            return ctypes.CFUNCTYPE(ctypes.c_int)(place)() * logp
        """,
    )
    for name, tries, expression in (
        ("tcp", "connects to localhost", "socket.create_connection(('127.0.0.1', 8786), 1)"),
        ("listens", "listens on a port", "socket.create_server(('127.0.0.1', 0))"),
        ("udp", "sends a datagram out", "socket.socket(type=2).sendto(b'x', ('192.0.2.1', 53))"),
        ("unix", "makes an abstract unix socket", "socket.socket(1).bind('\\0hostile')"),
        ("netlink", "asks the kernel of its network", "socket.socket(16, 3, 0)"),
        ("name", "looks a name up, which would tell it", "socket.getaddrinfo('example.org', 80)"),
        ("shell", "starts a shell", "os.system('true') == 0"),
        ("program", "runs a program", "subprocess.run(['/usr/bin/id'])"),
        ("spawn", "spawns a program", "os.posix_spawn('/usr/bin/id', ['id'], {})"),
        ("exec", "becomes another program", "os.execv('/bin/sh', ['sh', '-c', 'sleep 9'])"),
        ("line-magic", "runs a command by a magic", "'usr' in get_ipython().getoutput('ls /')"),
        ("root", "becomes root", "os.setuid(0)"),
        ("limits", "raises its limits", "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
        ("device", "opens the machine's memory", "open('/dev/mem', 'rb')"),
    ):
        yield attempt(name, tries, f"return ({expression}) is not False")
    yield attempt(
        "fork",
        "forks without an end",
        "for _ in range(1000):\n    if os.fork() == 0:\n        os._exit(0)\nreturn True",
    )
    yield attempt(
        "files-inherited",
        "reads from every file that it finds open, and looks for sockets",
        """
        found = []  # what it answers with is open, and cannot be read
        for number in range(3, 256):
            try:
                kind = os.fstat(number).st_mode
                found += [number] if stat.S_ISSOCK(kind) or stat.S_ISDIR(kind) else []
                os.set_blocking(number, False)
                found += [number] if os.read(number, 64) else []
            except OSError:
                continue
        return found
        """,
    )
    yield attempt(
        "writes-outside",
        "writes in every folder that is not its own scratch",
        f"""
        folders = {{os.path.dirname(name) for name in everything()}} | set(sys.path[:4])
        folders |= {{"/", "/grader", "/grader/helpers", "/usr", "/dev", sys.prefix, "/proc"}}
        found = []
        for folder in folders - {{"", os.getcwd()}}:
            if not folder.startswith(("/tmp", "/dev/shm", os.getcwd())):
                try:
                    found.append(open(os.path.join(folder, "{MARK}.py"), "w"))
                except OSError:
                    continue
        return found
        """,
    )
    yield attempt(
        "links",
        "writes to the course's files through links in /tmp",
        f"""
        os.symlink("/grader/helpers", "/tmp/{MARK}-link")
        os.chmod("/tmp/{MARK}-link/cases.py", 0o777)
        return open("/tmp/{MARK}-link/cases.py", "a")
        """,
    )
    yield syscalls(
        "shared-memory",
        "leaves shared memory, a queue and a semaphore of System V",
        "libc.shmget(0x5a5a, 4096, 0o1666)", "libc.msgget(0x5a5a, 0o1666)",
        "libc.semget(0x5a5a, 1, 0o1666)",
    )  # fmt: skip


def reaching() -> Iterator[Hostile]:
    """For its parent, the machine's settings and the grader's own objects."""
    yield attempt(
        "parent-prlimit",
        "takes its parent's time, by the call and by its number",
        """
        held = [resource.prlimit(os.getppid(), resource.RLIMIT_CPU)]
        return held or libc.syscall(302, os.getppid(), 0, 0, ctypes.create_string_buffer(16)) == 0
        """,
    )
    yield attempt(
        "kernel-settings",
        "opens the kernel's settings for writing, in every spelling",
        """
        names = ("/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe",
                 "/proc/self/../sys/kernel/core_pattern", "/proc/sys/vm/drop_caches",
                 "/proc/sysrq-trigger", "/sys/kernel/uevent_helper",
                 "/proc/self/oom_score_adj", "/proc/self/coredump_filter")
        for name in names:
            try:
                return os.open(name, os.O_WRONLY) >= 0
            except OSError:
                continue
        """,
    )
    yield attempt(
        "device-modes",
        "changes whose the devices are, and their modes",
        """
        of = lambda name: (os.stat(name).st_mode, os.stat(name).st_uid, os.stat(name).st_mtime)
        own = "/dev/shm", "/dev/pts", "/proc"  # the sandbox's
        names = [n for n in glob.glob("/dev/*") if not os.path.realpath(n).startswith(own)]
        for name in names:
            was = of(name)
            for change in (lambda: os.chmod(name, 0o700), lambda: os.chown(name, 65534, 65534),
                           lambda: os.utime(name, (0, 0)), lambda: os.unlink(name),
                           lambda: os.setxattr(name, "user.x", b"x")):
                try:
                    change()
                except OSError:
                    continue
            if not os.path.exists(name) or of(name) != was:
                return name
        """,
    )
    yield attempt(
        "memory-files",
        "holds memory in files without a name, past its limit",
        """
        held = [os.memfd_create(str(number)) for number in range(70)]
        for one in held:
            os.posix_fallocate(one, 0, 2**26)
        return held
        """,
    )
    yield syscalls(
        "parent-scheduled",
        "moves its parent to a processor, a priority and a group",
        "libc.sched_setaffinity(os.getppid(), 8, ctypes.create_string_buffer(b'\\1'))",
        "libc.setpriority(0, os.getppid(), 19)", "libc.setpgid(os.getppid(), 0)",
        "libc.kill(os.getppid(), 0)",
        "libc.syscall(424, 3, 0, 0, 0)", "libc.syscall(434, os.getppid(), 0)",
    )  # fmt: skip
    yield attempt(
        "frames-read",
        "reads tolerances, titles and later cases from its callers' frames",
        """
        frame, names = sys._getframe(), set()
        while frame := frame.f_back:
            for value in frame.f_locals.values():
                names |= {name for name in ("rtol", "atol", "tolerance", "title", "hints")
                          if isinstance(found := getattr(value, name, None), (float, str, tuple))
                          and found}
        return names
        """,
    )
    yield attempt(
        "cases-found",
        "finds the cases of other exercises through the garbage collector",
        """
        found = [one for one in gc.get_objects() if isinstance(one, dict)
                 and {"expected", "mistakes"} & {k for k in one if isinstance(k, str)}]
        return [one for one in found if isinstance(one.get("expected"), (list, dict))]
        """,
    )
    yield attempt(
        "inherited-written",
        "writes, seeks and shortens whatever is open",
        """
        found = []
        for number in range(3, 1024):
            try:
                if stat.S_ISREG(os.fstat(number).st_mode):
                    os.ftruncate(number, 0)
                    found.append(number)
            except OSError:
                continue
        return found
        """,
    )
    yield attempt(
        "metadata",
        "reads what Gradescope tells the autograder, and what an earlier try was told",
        """
        names = ("submission_metadata.json", "results", "source", "submission")
        for name in names:
            for root in ("/autograder", os.environ.get("AUTOGRADER_ROOT", "/autograder")):
                try:
                    return os.listdir(f"{root}/{name}")
                except NotADirectoryError:
                    return open(f"{root}/{name}").read()
                except OSError:
                    continue
        """,
    )


KINDS = (looking, escaping, reaching)
