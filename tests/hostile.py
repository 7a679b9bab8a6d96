"""What a student could hand in to cheat grading or to break it, and what must come of it.

`python -m tests.hostile` grades it all as one class and prints the table.
"""

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from textwrap import dedent, indent
from unittest import mock

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from autograde.as_cells import handed_in
from autograde.exercises import exercises
from autograde.grading import grade
from autograde.judging import Graded
from autograde.rebuild import grade_id
from autograde.sample import solutions
from autograde.sandbox import Limits
from autograde.term import Term, checkout_base, init
from autograde.working import How
from helpers.report import Report

LESSON = "02_divergence"
MARK = "hostile-mark"  # in the name of every file that a submission tries to leave somewhere
SCRIPT = "<script>hostile(1)</script>"  # what must not be live in a feedback page
IMAGE = "<img src=x onerror=hostile(1)>"
ENVIRONMENT = "HOSTILE_SUITE"  # a variable of the grader's, which nothing inside may see
EVERY = 5  # an honest neighbour comes after so many
WRONG = "def k1(logp, ref_logp):\n    return logp * 0"
FULL = {name: exercise.points for name, exercise in exercises(LESSON).items()}
NOTHING = dict.fromkeys(FULL, 0)
OTHERS = tuple(name for name in FULL if name != "k1")
RULES = 1  # points of k1 that go with inputs left alone


@dataclass(frozen=True)
class Short(Limits):
    """The limits of a real run, but for the time, which a suite would spend on waiting."""

    seconds: int = 6
    cell_seconds: int = 3

    def total(self, exercises: int) -> int:
        """As long for one exercise as for all."""
        return 20


@dataclass(frozen=True)
class Hostile:
    """One submission. make: writes it to a path.

    earns: points by exercise; what is not named earns all. spoils: exercises that may earn
    anything. says: words that the verdicts hold. unreadable: words of the line that says why the
    file was not graded at all; "" for one that is.
    """

    name: str
    tries: str
    make: Callable[[Path], None]
    earns: Mapping[str, int] = field(default_factory=lambda: {"k1": 0})
    spoils: Sequence[str] = ()
    says: str = ""
    unreadable: str = ""

    @property
    def expected(self) -> str:
        """In words."""
        if self.unreadable:
            return f"not graded: {self.unreadable}"
        earned = ", ".join(f"{name} {points}" for name, points in self.earns.items())
        spoilt = ", ".join(name for name in self.spoils if name not in self.earns)
        told = [earned or "full marks", spoilt and f"any points: {spoilt}", self.says]
        return "; ".join(filter(None, told))


@dataclass(frozen=True)
class Seen:
    """What became of a submission. points: None where it was not graded. said: by exercise."""

    points: Mapping[str, int] | None
    said: Mapping[str, str] = field(default_factory=dict)
    failed: str = ""

    @property
    def told(self) -> str:
        """In words."""
        if self.points is None:
            return self.failed or "neither graded nor reported"
        lost = {name: won for name, won in self.points.items() if won != FULL[name]}
        return ", ".join(f"{name} {won}" for name, won in lost.items()) or "full marks"


def disagreement(hostile: Hostile, seen: Seen) -> str:
    """What is not as expected, in words; "" where all is."""
    if hostile.unreadable:
        refused = seen.points is None and hostile.unreadable in seen.failed
        return "" if refused else f"not refused with {hostile.unreadable!r}: {seen.told}"
    if seen.points is None:
        return f"not graded: {seen.told}"
    for name, won in seen.points.items():
        wanted = hostile.earns.get(name, None if name in hostile.spoils else FULL[name])
        if wanted is not None and won != wanted:
            return f"{name} earned {won}, not {wanted}: {seen.said[name]}"
    told = "\n".join(seen.said[name] for name in hostile.earns)
    return "" if hostile.says in told else f"no word of {hostile.says!r}: {told}"


# How submissions are made.


@cache
def _solved_text(lesson: str = LESSON) -> str:
    return nbformat.writes(handed_in(checkout_base(lesson), solutions(lesson)))


def solved(**answers: str) -> NotebookNode:
    """The lesson with every answer right, but for these."""
    return handed_in(nbformat.reads(_solved_text(), as_version=4), answers)


def cell_of(notebook: NotebookNode, name: str) -> NotebookNode:
    """The cell with this grade_id."""
    return next(cell for cell in notebook.cells if grade_id(cell) == name)


def save(notebook: NotebookNode) -> Callable[[Path], None]:
    """What writes it; TERM_FOLDER in a source is the term's own path, which may be guessed."""
    text = json.dumps(notebook)
    return lambda path: path.write_text(text.replace("TERM_FOLDER", str(path.parents[3]))) and None


def answer(name: str, tries: str, source: str, of: str = "k1", **expects: object) -> Hostile:
    """The source in the place of one answer, which earns nothing."""
    expects = {"earns": {of: 0}} | expects
    return Hostile(name, tries, save(solved(**{of: dedent(source).strip()})), **expects)


def added(name: str, tries: str, source: str, **expects: object) -> Hostile:
    """The source in a cell of its own, in front of all answers; k1 is wrong."""
    notebook = solved(k1=WRONG)
    notebook.cells.insert(2, new_code_cell(dedent(source).strip()))
    return Hostile(name, tries, save(notebook), **expects)


def mangled(name: str, tries: str, change: Callable[[NotebookNode], object], **expects: object):
    """The solved notebook, changed; it earns what it would have earned."""
    notebook = solved()
    change(notebook)
    return Hostile(name, tries, save(notebook), **({"earns": {}} | expects))


def raw(name: str, tries: str, data: bytes | str, unreadable: str, **expects: object) -> Hostile:
    """These bytes in the place of a notebook."""
    data = data.encode() if isinstance(data, str) else data
    return Hostile(
        name, tries, lambda path: path.write_bytes(data) and None, unreadable=unreadable, **expects
    )


def file(name: str, tries: str, make: Callable[[Path], None], **expects: object) -> Hostile:
    """Something else than a notebook's bytes, at its path."""
    return Hostile(name, tries, make, **expects)


# k1 is right exactly when the attempt has worked, so that one which works earns points. What is
# refused raises OSError, ImportError or ValueError; a mistake in the attempt itself is told.
ATTEMPT = """
import ctypes, gc, glob, os, pathlib, resource, socket, stat, subprocess, sys, torch
libc = ctypes.CDLL(None, use_errno=True)
worked = []

def everything():
    known = {"/usr", "/proc", "/sys", sys.prefix, sys.base_prefix}
    for folder, folders, files in os.walk("/"):
        folders[:] = [f for f in folders if os.path.join(folder, f) not in known]
        yield from (os.path.join(folder, file) for file in files)

def attempt(logp, ref_logp):
BODY

def k1(logp, ref_logp):
    if not worked:
        try:
            worked.append(bool(attempt(logp, ref_logp)))
        except (OSError, ImportError, ValueError):
            worked.append(False)
    return logp - ref_logp.detach() if worked[0] else logp * 0
"""


def attempt(name: str, tries: str, body: str) -> Hostile:
    """body: returns something true when what it tries has worked."""
    return answer(name, tries, attempting(body), says="k1: not right yet")


def attempting(body: str) -> str:
    """The source of k1 that tries this."""
    return ATTEMPT.replace("BODY", indent(dedent(body).strip(), "    "))


def syscalls(name: str, tries: str, *calls: str) -> Hostile:
    """calls: expressions with `libc`, of which each must give -1."""
    return attempt(name, tries, f"return any(result >= 0 for result in ({', '.join(calls)},))")


# What is tried.


def looking() -> Iterator[Hostile]:
    """For answers, and for what belongs to others."""
    yield attempt(
        "hidden-tests",
        "reads the hidden tests from the working directory",
        """
        found = [path for path in pathlib.Path.cwd().rglob("*") if path.is_file()]
        return any(word in path.read_text(errors="ignore") for path in found
                   for word in ("HIDDEN", "check(", "expected"))
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
    yield attempt("autograde", "imports the autograder", "import autograde.exercises\nreturn True")
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
        names = ("environ", "mem", "maps", "cmdline", "root", "fd", "cwd")
        return [name for name in names if os.path.exists(f"/proc/1/{name}")]
        """,
    )
    yield attempt(
        "proc-self",
        "reads its own memory as a file",
        "return open('/proc/self/mem', 'rb') and open('/proc/self/maps').read()",
    )
    yield attempt(
        "processes",
        "lists other processes",
        "return [p for p in os.listdir('/proc') if p.isdigit()]",
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
        found = [number for number in range(3, 256) if os.path.exists(f"/dev/fd/{number}")]
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


def forging() -> Iterator[Hostile]:
    """Points, without a right answer."""
    yield added(
        "asserts-dropped",
        "drops every assert from what is run after it",
        """
        import ast
        class Drop(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(Drop())
        """,
    )
    yield answer(
        "displayed-points",
        "displays points as the result of its cell, and raises",
        "get_ipython().displayhook(3.0)\nraise RuntimeError('stop here')",
        says="RuntimeError: stop here",
    )
    for module, names in (
        ("torch", ("allclose", "equal", "isclose", "is_tensor")),
        ("helpers.compare", ("judge", "_close", "_same")),
        ("helpers.codec", ("pack", "unpack")),
    ):
        yield added(
            f"replaced-{module.rpartition('.')[2]}",
            f"replaces {', '.join(names)} of {module}",
            f"import {module} as replaced\nfor name in {names!r}:\n"
            "    setattr(replaced, name, lambda *_, **__: True)",
            spoils=OTHERS,
        )
    yield added(
        "replaced-probe",
        "replaces what asks, where it is used, so that every answer is a right one",
        """
        import inside.submission, helpers.probe
        right = lambda target, cases: [{"value": "right", "status": "right"} for _ in cases]
        helpers.probe.ask = inside.submission.ask = right
        """,
        spoils=OTHERS,
    )
    yield added(
        "replaced-pack",
        "replaces what packs its reply by a report of full points",
        """
        import inside.submission as submission
        pack = submission.pack
        submission.pack = lambda reply: pack({"status": "right", "points": 4, "passed": True})
        """,
        spoils=OTHERS,
    )
    yield added(
        "replaced-module",
        "puts a module of its own in the place of the helpers",
        """
        import sys, types
        for name in ("helpers.probe", "helpers.codec", "inside.submission"):
            sys.modules[name] = types.ModuleType(name)
        """,
    )
    yield answer("frames", "writes forged replies to every open file", _frames_source())
    yield answer(
        "frames-of-pickle",
        "writes a pickle that would run a command to every open file",
        f"""
        import os, pickle, struct

        class Run:
            def __reduce__(self):
                return os.system, ("touch /tmp/{MARK}-pickle",)

        def k1(logp, ref_logp):
            data = pickle.dumps(Run())
            for number in range(3, 256):
                try:
                    os.write(number, struct.pack(">cIQ", b"r", 4, len(data)) + data)
                except OSError:
                    continue
            return Run()
        """,
    )
    for name, message in (("frames-of-end", "e"), ("frames-of-steps", "s")):
        yield answer(
            name,
            f"says {message!r} to every open file, again and again, and never ends",
            f"""
            import os, time

            while True:
                for number in range(3, 256):
                    try:
                        os.write(number, b"{message}" + bytes(12))
                    except OSError:
                        continue
                try:
                    time.sleep(0.2)
                except BaseException:
                    pass
            """,
            spoils=OTHERS,
        )
    yield added(
        "callers-changed",
        "changes the cases that are still to be asked, through its callers' variables",
        """
        import gc
        from helpers.cases import Case
        for one in gc.get_objects():
            if isinstance(one, dict) and "exercises" in one and "limits" in one:
                one["exercises"][4]["cases"] = []
        """,
        spoils=OTHERS,
    )


def _frames_source() -> str:
    payload = "{'answers': [{'value': 'right', 'points': 4, 'status': 'right'}] * 20}"
    return f"""
        import os, struct
        from helpers.codec import pack

        data = pack({payload})
        inner = struct.pack(">cIQ", b"r", 4, len(data)) + data
        outer = struct.pack(">HI", 2, len(data)) + b"k1" + data
        for number in range(3, 256):
            for frame in (inner, outer, b"gone", b"run"):
                try:
                    os.write(number, frame)
                except OSError:
                    continue

        def k1(logp, ref_logp):
            return logp * 0
    """


RETURNS = {
    "nan": ("answers NaN, which is unequal to nothing", "logp * float('nan')"),
    "nan-number": ("answers NaN as a number", "float('nan')"),
    "infinite": ("answers infinity", "logp + float('inf')"),
    "huge-tensor": ("answers tensors of 8 MiB", "torch.zeros(2**21)"),
    "expanded": ("answers a tensor of 2 TiB that takes 4 bytes", "torch.zeros(1).expand(2**39)"),
    "sparse": ("answers a sparse tensor of 2 TiB", "torch.zeros(1).to_sparse().resize_(2**39)"),
    "huge-text": ("answers texts of 4 MiB", "'x' * 2**22"),
    "many-items": ("answers a list of 50,000 numbers", "[0.0] * 50000"),
    "nested": ("answers a list in a list, 100,000 deep", "nest()"),
    "cyclic": ("answers a list that holds itself", "cycle()"),
    "long-number": ("answers a number of 5,000 digits", "10**5000"),
    "longish-number": ("answers a number of 4,000 digits", "10**4000"),
    "surrogate": ("answers a text that is no Unicode", r"'\ud800'"),
    "nul": ("answers a text with zeros and escapes", r"'\0\x1b[2J\x07\r'"),
    "complex": ("answers complex numbers", "logp * 1j"),
    "meta": ("answers a tensor without numbers", "logp.to('meta')"),
    "boolean": ("answers True", "True"),
    "class": ("answers a class", "type"),
    "generator": ("answers a generator without an end", "iter(int, 1)"),
    "module": ("answers a module", "torch"),
    "equal-to-all": ("answers an object that is equal to everything", "Equal()"),
    "equal-number": ("answers a number that is equal to everything", "Number(1)"),
    "equal-text": ("answers a text that is equal to everything", "Text('x')"),
    "array-like": ("answers an object that turns into any array", "Array()"),
    "lazy": ("answers a tensor subclass that is close to everything", "logp.as_subclass(Lazy)"),
    "kind": (
        "answers a dict that looks like the grader's own data",
        "{'$one of': [1], '$kind': 2}",
    ),
    "script-value": ("answers a script", repr(SCRIPT + IMAGE)),
    "zeroed-inputs": ("sets its inputs to zero, so that zero is right", "zero(logp, ref_logp)"),
}
KINDS = """
import torch

class Equal:
    __hash__ = object.__hash__
    __eq__ = __ne__ = __lt__ = __gt__ = lambda *_: True

class Number(float):
    __eq__ = __ne__ = __lt__ = __gt__ = __bool__ = lambda *_: True

class Text(str):
    __eq__ = lambda *_: True
    __hash__ = lambda *_: 0
    strip = casefold = lambda self: self

class Array:
    dtype = torch.float32
    __array__ = lambda self, *_, **__: torch.zeros(3).numpy()

class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True if "equal" in str(function) or "close" in str(function) else args[0]

def nest(held=()):
    for _ in range(100000):
        held = [held]
    return held

def cycle():
    held = []
    held.append(held)
    return held

def zero(logp, ref_logp):
    with torch.no_grad():
        return logp.zero_() - ref_logp.zero_()
"""


def answering() -> Iterator[Hostile]:
    """What is no answer."""
    for name, (tries, expression) in RETURNS.items():
        source = f"{KINDS}\ndef k1(logp, ref_logp):\n    return {expression}"
        says = "more than 16 MB" if name in ("huge-tensor", "huge-text") else ""
        yield answer(name, tries, source, says=says)
    yield answer(
        "mutated-inputs",
        "works in its inputs, and answers them",
        "def k1(logp, ref_logp):\n    return logp.sub_(ref_logp.detach())",
        earns={"k1": FULL["k1"] - RULES},
    )
    yield answer("quiz-script", "answers a quiz with a script", f"q02_dynamics = {SCRIPT!r}",
                 of="q02_dynamics")  # fmt: skip
    yield answer(
        "quiz-all", "answers a quiz with all choices", "q02_dynamics = list('ABCDE')",
        of="q02_dynamics",
    )  # fmt: skip
    yield answer(
        "raised-script",
        "raises an exception with a script for its name and its text",
        f"def k1(logp, ref_logp):\n    raise type({IMAGE!r}, (Exception,), {{}})({SCRIPT!r})",
        says=SCRIPT,
    )
    yield answer(
        "raised-surrogate",
        "raises an exception whose text is no Unicode",
        r"def k1(logp, ref_logp):" + "\n" + r"    raise ValueError('\ud800\0')",
    )
    yield answer(
        "raised-huge",
        "raises an exception with a text of 64 MiB",
        "def k1(logp, ref_logp):\n    raise ValueError('x' * 2**26)",
    )
    yield answer(
        "raised-broken",
        "raises an exception that cannot be printed",
        "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit\n\n"
        "def k1(logp, ref_logp):\n    raise Bad",
    )


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
        **late,
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


def magics() -> Iterator[Hostile]:
    """What a notebook's cell can say that Python cannot."""
    for name, tries, source in (
        ("shell-line", "runs a command in its cell", f"!ls / && touch /tmp/{MARK}-magic"),
        ("shell-cell", "is a cell of shell", f"%%bash\nls /; touch /tmp/{MARK}-bash"),
        ("script-cell", "is a cell of another Python", "%%python3\nk1 = lambda a, b: a - b"),
        ("system", "asks IPython for a command", "get_ipython().system('ls /')"),
        ("run-magic", "runs a file that is not its own", "%run /grader/inside/__main__.py {}"),
        ("pip", "installs a package", "%pip install torch"),
        ("javascript", "is a cell of JavaScript", f"%%javascript\n{SCRIPT}"),
        ("html", "is a cell of HTML", f"%%html\n{SCRIPT}"),
    ):
        yield answer(name, tries, source)
    yield answer("not-python", "is not Python", "k1 = ) (", says="SyntaxError")
    yield answer("zeros", "holds zeros and odd spaces", "def k1(a, b):\0\v\f\n\treturn a - b")
    yield answer("parentheses", "nests 100,000 parentheses", "k1 = " + "(" * 10**5)
    yield answer("minus", "begins with 100,000 minus signs", "k1 = " + "-" * 10**5 + "1")
    yield answer("long-sum", "is a sum of 20,000 terms", "k1 = " + "1+" * 20000 + "1")
    yield answer("attributes", "is an attribute 20,000 deep", "k1 = torch" + ".a" * 20000)
    yield mangled(
        "deep-demo",
        "edits a cell that is not for editing into a function too deep to be written back",
        lambda notebook: _edit_demo(notebook, "def deep():\n    return " + "1+" * 2500 + "1"),
    )
    yield answer("many-magics", "is 200 magics",
                 "\n".join(f"x{n} = !ls" for n in range(200)))  # fmt: skip


def _edit_demo(notebook: NotebookNode, source: str) -> None:
    demo = next(cell for cell in notebook.cells if "demo" in cell.metadata.get("tags", ()))
    demo.source = source


def _marks(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell.metadata for cell in notebook.cells if "nbgrader" in cell.metadata]


def _flip(notebook: NotebookNode) -> None:
    for mark in _marks(notebook):
        for name in ("grade", "locked", "solution"):
            mark.nbgrader[name] = not mark.nbgrader[name]
        mark.nbgrader["points"] = 1000


def _strip(notebook: NotebookNode) -> None:
    for cell in notebook.cells:
        cell.metadata = NotebookNode()


def _double(notebook: NotebookNode) -> None:
    notebook.cells = [cell for cell in notebook.cells for _ in range(2)]


def _without_checks(notebook: NotebookNode) -> None:
    notebook.cells = [c for c in notebook.cells if not grade_id(c).startswith("test_")]


def _own_checks(notebook: NotebookNode) -> None:
    cell_of(notebook, "k1").source = WRONG
    for cell in notebook.cells:
        if grade_id(cell).startswith("test_"):
            cell.source = "4.0"
            cell.outputs = [{"output_type": "execute_result", "data": {"text/plain": "4.0"},
                             "metadata": {}, "execution_count": 1}]  # fmt: skip


def _absurd(notebook: NotebookNode) -> None:
    for number, cell in enumerate(notebook.cells):
        cell["id"] = "../" * 30 + "\0" * number
        cell.source = cell.source.splitlines(keepends=True)
        cell.metadata["tags"] = [{"a": []}, None, 3]
        cell["attachments"] = {f"../{number}": {}}
    notebook.cells += [new_code_cell("", metadata={"nbgrader": mark}) for mark in ODD_MARKS]
    notebook["nbformat_minor"] = 99


ODD_MARKS = ("x", 3, {"grade_id": ["k1"]}, {"grade_id": "k1", "solution": {}, "points": "nan"})
ODD_CELLS = (
    {},
    {"cell_type": "code"},
    {"cell_type": ["code"], "metadata": {}, "source": ""},
    {"cell_type": "code", "metadata": 3, "source": "", "outputs": 3},
    {"cell_type": "markdown", "metadata": {}, "source": "", "attachments": {"x": [1]}},
    {"cell_type": "code", "metadata": {}, "source": [1, None], "outputs": []},
)


def _surrogates(notebook: NotebookNode) -> None:
    cell_of(notebook, "k2").source += "\n# \ud800"
    notebook.cells.append(new_code_cell("'\ud800'"))
    notebook.cells.append(new_markdown_cell("\udfff"))


def mangling() -> Iterator[Hostile]:
    """Of the notebook around the answers."""
    yield mangled("flipped", "flips every cell's metadata and asks for 1,000 points", _flip)
    yield mangled("stripped", "deletes all metadata", _strip)
    yield mangled("doubled", "has every cell twice, metadata included", _double)
    yield mangled("no-checks", "deletes the cells that hold points", _without_checks)
    yield mangled(
        "own-checks", "writes points into the cells that hold them", _own_checks, earns={"k1": 0}
    )
    yield mangled(
        "points-again",
        "has a second cell of k1's check, with points of its own, and no answer",
        lambda n: (cell_of(n, "k1").update(source=WRONG), n.cells.append(cell_of(n, "test_k1"))),
        earns={"k1": 0},
    )
    yield mangled("absurd", "has absurd ids, tags, marks and sources", _absurd)
    for number, odd in enumerate(ODD_CELLS):
        yield mangled(
            f"odd-cell-{number}", f"has a cell that is none: {odd}",
            lambda notebook, odd=odd: notebook.cells.append(odd), unreadable="not a notebook",
        )  # fmt: skip
    yield mangled("surrogates", "holds text that is no Unicode", _surrogates)
    yield mangled(
        "many-cells",
        "adds 10,000 cells",
        lambda n: n.cells.extend(new_code_cell(f"x = {i}") for i in range(10000)),
        spoils=tuple(FULL),
    )
    yield mangled(
        "markdown",
        "adds prose with scripts, and a script in an answer's comment",
        lambda n: (
            n.cells.append(new_markdown_cell(SCRIPT + IMAGE)),
            n.cells.append(new_code_cell(f"'''{SCRIPT}{IMAGE}'''")),
            cell_of(n, "k2").update(source=cell_of(n, "k2").source + f"\n# {SCRIPT}{IMAGE}"),
        ),
    )
    yield mangled(
        "other-kernel",
        "is for another language",
        lambda n: n.metadata.update(kernelspec={"language": "julia", "name": "j"}),
        unreadable="its kernel is for 'julia'",
    )


def breaking() -> Iterator[Hostile]:
    """Files that are no notebooks, or not their own."""
    text, broken = _solved_text(), "its JSON is broken or cut short"
    yield raw("cut-short", "is a download that was cut short", text[: len(text) // 2], broken)
    yield raw("not-json", "is no JSON", "import torch", "not a notebook but Python")
    yield raw("empty", "is an empty file", b"", "an empty file")
    yield raw("deep", "nests lists 100,000 deep", "[" * 10**5, broken)
    yield raw("deep-metadata", "nests metadata 100,000 deep",
              '{"cells": [], "metadata": ' + '{"a":' * 10**5 + "1" + "}" * 10**5 + "}",
              broken)  # fmt: skip
    yield raw("utf-16", "is written in UTF-16", text.encode("utf-16"), "", earns=FULL)
    for name, held in (("list", "[]"), ("null", "null"), ("number", "3"), ("text", '"x"'),
                       ("no-cells", '{"nbformat": 4}'), ("cells", '{"nbformat": 4, "cells": 3}'),
                       ("cell", '{"nbformat": 4, "metadata": {}, "cells": [3]}'),
                       ("format", '{"nbformat": [99], "cells": []}'),
                       ("kernel", '{"nbformat": 4, "cells": [], "metadata": {"kernelspec": []}}'),
                       ("digits", '{"nbformat": ' + "9" * 5000 + "}")):  # fmt: skip
        yield raw(
            f"shape-{name}", f"is JSON of the wrong shape: {held[:50]}", held, "not a notebook"
        )
    yield raw("no-cell", "is a notebook without a cell",
              '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', "",
              earns=NOTHING)  # fmt: skip
    yield raw("other-lesson", "is another lesson's notebook", _solved_text("01_policy_updates"),
              "this is lesson 01_policy_updates under the name of 02_divergence")  # fmt: skip
    yield file("long-file", "is 300 MB long", _long, unreadable="larger than 64 MiB")
    yield file("folder", "is a folder", Path.mkdir, unreadable="cannot be read")
    for name, tries, target in (
        ("link-passwd", "is a link to a file of the machine", "/etc/passwd"),
        ("link-gradebook", "is a link to the gradebook", "../../../gradebook.db"),
        (
            "link-source",
            "is a link to the solved notebook",
            f"../../../source/{LESSON}/{LESSON}.ipynb",
        ),
        ("link-nowhere", "is a link to itself", f"{LESSON}.ipynb"),
    ):
        yield file(name, tries, _link(target), unreadable=f"{LESSON}.ipynb: ")
    yield file("link-beside", "has a link to the term's key beside it", _beside, earns={})


def _long(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(300 * 2**20)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _beside(path: Path) -> None:
    save(solved())(path)
    path.with_name("beside.txt").symlink_to("../../../.autograde/key")
    path.with_name("beside.db").symlink_to("../../../gradebook.db")


KINDS_OF = (looking, escaping, forging, answering, ending, wasting, magics, mangling, breaking)


@cache
def suite() -> tuple[Hostile, ...]:
    """All of them."""
    return tuple(hostile for kind in KINDS_OF for hostile in kind())


# How they are graded.


def enrol(term: Term) -> tuple[dict[str, Hostile], list[str]]:
    """Hand everything in: the submissions by their student, and the honest neighbours' names."""
    students, neighbours = {}, []
    for number, hostile in enumerate(suite()):
        student = f"h{number:03d}-{hostile.name}"
        students[student] = hostile
        _hand_in(term, student, hostile.make)
        if number % EVERY == EVERY - 1:
            neighbours.append(f"h{number:03d}z-neighbour")
            k1 = solutions(LESSON)["k1"] + f"\n# neighbour {number}"
            _hand_in(term, neighbours[-1], save(solved(k1=k1)))
    return students, neighbours


def _hand_in(term: Term, student: str, make: Callable[[Path], None]) -> None:
    path = term.submission(student, LESSON)
    path.parent.mkdir(parents=True)
    make(path)


def _how_of(lessons: Sequence[str], mode: str, device: str = "cpu") -> How:
    from autograde.lessons import setup_modules

    return How(mode, setup_modules(tuple(lessons)), Short())


def grade_class(term: Term, students: Sequence[str]) -> dict[str, Seen]:
    """Grade all in one run; where that breaks, one by one, to say which of them broke it."""
    with mock.patch("autograde.grading.how_of", _how_of):
        try:
            failed = grade(term, [LESSON], workers=2).failed
        except Exception:
            failed = [line for student in students for line in _alone(term, student)]
    reasons = {line.partition("/")[0]: line for line in failed}
    with term.store() as store:
        recorded = store.recorded()
        keys = {student: recorded.get(f"{student}/{LESSON}", "") for student in students}
        found = {student: store.verdict(key) for student, key in keys.items()}
    return {student: _seen(found[student], reasons.get(student, "")) for student in students}


def _alone(term: Term, student: str) -> list[str]:
    try:
        return grade(term, [LESSON], student=student).failed
    except Exception as error:
        return [f"{student}/{LESSON}: CRASHED the run ({type(error).__name__}: {error})"]


def _seen(graded: Graded | None, failed: str) -> Seen:
    if graded is None:
        return Seen(None, failed=failed)
    verdicts = graded.verdicts
    said = {name: repr(Report(verdict, hidden=True)) for name, verdict in verdicts.items()}
    return Seen({name: verdict.points for name, verdict in verdicts.items()}, said, failed)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as what is in them, cut where a terminal would be."""
    cut = [[_short(text, 60) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    lines = (" | ".join(map(str.ljust, row, widths)).rstrip() for row in cut)
    return "\n".join(lines)


def _short(text: str, most: int) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def main() -> int:
    """Grade the suite, print the table; 1 when something is not as expected."""
    os.environ[ENVIRONMENT] = "seen"
    with tempfile.TemporaryDirectory() as folder:
        term = init(Path(folder) / "term")
        students, neighbours = enrol(term)
        seen = grade_class(term, [*students, *neighbours])
    rows, wrong = [("name", "what it tries", "expected", "what happened", "ok")], []
    for student, hostile in students.items():
        problem = disagreement(hostile, seen[student])
        wrong += [f"{hostile.name}: {problem}"] if problem else []
        told = (hostile.expected, seen[student].told, "no" if problem else "yes")
        rows.append((hostile.name, hostile.tries, *told))
    for neighbour in neighbours:
        ok = seen[neighbour].points == FULL
        wrong += [] if ok else [f"{neighbour}: {seen[neighbour].told}"]
        rows.append(
            (neighbour, "is honest", "full marks", seen[neighbour].told, "yes" if ok else "no")
        )
    print(table(rows), *wrong, sep="\n")
    print(f"{len(students) + len(neighbours)} submissions, {len(wrong)} exceptions")
    return min(len(wrong), 1)


if __name__ == "__main__":
    sys.exit(main())
