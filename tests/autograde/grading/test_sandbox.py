"""Student code runs where it can reach nothing, and harms only itself."""

import gc
import os
import socket
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
import torch

from autograde.common.errors import UsageError
from autograde.course.exercises import exercise
from autograde.course.lessons import ROOT
from autograde.grading import isolation, sandbox
from autograde.grading.judging import judge_reply
from autograde.grading.sandbox import Sandbox
from autograde.grading.steps import Step
from helpers.cases import Case
from helpers.codec import pack, unpack
from tests.some import LONG, some

SHORT = sandbox.Limits(seconds=4, cell_seconds=2)
# Where student code is confined in a process of its own, which takes seconds to start each time.
CONFINED = ("fork", pytest.param("strict", marks=LONG))


@pytest.fixture(scope="module")
def sandboxes():
    """One of each mode, with short limits."""
    made = {mode: Sandbox(mode, limits=SHORT) for mode in sandbox.MODES}
    yield made
    for one in made.values():
        one.close()


@pytest.fixture(params=CONFINED)
def confined(request, sandboxes):
    """Each of the two that confine."""
    return sandboxes[request.param]


WRITES = """
def writes(folder):
    try:
        open(os.path.join(folder, "x"), "w").close()
    except OSError:
        return False
    return True


def writable():
    for folder, inner, _ in os.walk("/"):
        libraries = {"/usr", "/proc", "/sys", sys.prefix, sys.base_prefix}
        inner[:] = [name for name in inner if os.path.join(folder, name) not in libraries]
        if writes(folder):
            yield folder
"""


def tell(where, *expressions):
    """What each expression gives inside the sandbox: its text, or the exception's."""
    lines = ["import os, socket, subprocess, sys, ctypes", WRITES, "def tell(number):"]
    for number, expression in enumerate(expressions):
        lines += [f"    if number == {number}:", f"        return str({expression})"]
    cases = [Case("", {"number": number}) for number in range(len(expressions))]
    reply = unpack(where.ask([Step("\n".join(lines), "tell")], {"tell": cases})["tell"])
    return [
        answer.get("value", answer.get("error", {}).get("kinds", ["?"])[0])
        for answer in reply["answers"]
    ]


def test_files_of_the_course_and_of_others_are_out_of_reach(tmp_path, confined):
    other = tmp_path / "submitted" / "other" / "secret.ipynb"
    gradebook = tmp_path / "gradebook.db"
    other.parent.mkdir(parents=True)
    for path in (other, gradebook):
        path.write_text("secret")
    found = tell(
        confined,
        f"open({str(other)!r}).read()",
        f"open({str(gradebook)!r}).read()",
        f"open({str(ROOT / 'pyproject.toml')!r}).read()",
        f"os.listdir({str(ROOT / 'solutions')!r})",
        f"open({str(ROOT / 'helpers' / 'reference' / 'divergence.py')!r}).read()",
        "os.listdir('/grader/helpers/reference')",
        "__import__('helpers.reference.divergence')",
        "__import__('autograde.grading.grading')",
        "os.listdir('/root')",
        "open('/etc/passwd').read()",
        "open('/proc/1/root/etc/passwd').read()",
    )
    assert found[5] == "[]"
    refused = {"FileNotFoundError", "ModuleNotFoundError", "PermissionError", "ImportError"}
    venv_parent = {"[]"} | {repr([part]) for part in (".pyenv", ".venv", "venv", ".local")}
    for number, answer in enumerate(found):
        assert number == 5 or answer in refused | venv_parent, (number, answer)


def test_the_module_of_the_references_is_empty_there(confined):
    assert tell(confined, "hasattr(__import__('helpers.reference').reference, 'k1')") == ["False"]


def test_sockets_reach_nobody(confined):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = tell(
            confined,
            f"socket.create_connection(('127.0.0.1', {port}), timeout=1)",
            "socket.create_connection(('192.0.2.1', 80), timeout=1)",
            "socket.getaddrinfo('localhost.example', 80)",
        )
    assert found == ["PermissionError", "PermissionError", "gaierror"]


@pytest.mark.parametrize("mode", CONFINED)
def test_the_machine_and_its_environment_are_not_to_be_seen(monkeypatch, mode):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    with Sandbox(mode, limits=SHORT) as confined:
        environment, user, writes, processes, host = tell(
            confined,
            "dict(os.environ)",
            "os.getuid()",
            "open('/usr/x', 'w')",
            "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())",
            "socket.gethostname()",
        )
    assert "s3cret" not in environment
    assert user == "65534"
    assert writes == "OSError"  # a read-only file system
    assert len(processes.split(",")) <= 4
    assert host == "sandbox"


HARM = {
    "loop": "def {name}(*_):\n    while True: pass",
    "loop at the top": "while True: pass",
    "exit": "import os\nos._exit(0)",
    "exit in the function": "import os\ndef {name}(*_):\n    os._exit(0)",
    "system exit": "def {name}(*_):\n    raise SystemExit",
    "kill the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "recursion": "def {name}(*a):\n    return {name}(*a)",
    "much memory": "def {name}(*_):\n    return bytearray(2**40)",
    "much output": "def {name}(*_):\n    while True: print('x' * 10**6)",
    "much answer": "import torch\ndef {name}(*_):\n    return torch.zeros(2**22)",
    "stdin": "input('?')",
    "close everything": "import os\nos.closerange(0, 100)",
    "no name": "x = 1",
}


def test_nothing_but_the_scratch_folders_can_be_written(confined):
    (found,) = tell(confined, "list(writable())")
    scratch = ("/tmp", "/home/student", "/dev/shm")
    assert [folder for folder in eval(found) if not folder.startswith(scratch)] == []


def test_rights_and_system_calls_are_gone(confined):
    libc = "ctypes.CDLL(None, use_errno=True)"
    found = tell(
        confined,
        "os.fork()",
        "subprocess.run(['/bin/true'])",
        f"{libc}.unshare(0x10000000)",
        f"{libc}.mount(b'x', b'/tmp', b'tmpfs', 0, None)",
        f"{libc}.ptrace(16, 1, 0, 0)",
        f"{libc}.prctl(39, 0, 0, 0, 0)",  # PR_GET_NO_NEW_PRIVS
        f"{libc}.prctl(21, 0, 0, 0, 0)",  # PR_GET_SECCOMP
        f"{libc}.prctl(3, 0, 0, 0, 0)",  # PR_GET_DUMPABLE
    )
    assert found == ["PermissionError"] * 2 + ["-1"] * 3 + ["1", "2", "0"]


def test_namespaces_are_each_submissions_own(sandboxes):
    if sandboxes["fork"].mode != "fork":
        pytest.fail("this machine refuses nested user namespaces, which the fork mode needs")
    seen = [tell(sandboxes["fork"], "os.getppid()", "os.listdir('/proc')") for _ in range(2)]
    assert seen == [["1", "[]"]] * 2  # the first process in there, and no list of any other


def test_a_file_is_seen_by_no_later_submission(confined):
    """By whatever name: the working directory, or the folder's."""
    folders = ("'.'", "'/home/student'", "'/tmp'")
    there = [f"os.path.isfile(os.path.join({folder}, 'left'))" for folder in folders]
    left = [f"open(os.path.join({folder}, 'left'), 'w').write('x')" for folder in folders]
    assert tell(confined, *left, *there) == ["1"] * 3 + ["True"] * 3
    assert tell(confined, *there) == ["False"] * 3


def test_the_warm_parent_has_one_thread_and_survives(sandboxes):
    before = sandboxes["fork"].pid
    for number in range(3):
        sandboxes["fork"].ask([Step(f"import os\nos._exit({number})", "k1")], {"k1": []})
    sandboxes["fork"].settle()
    assert sandboxes["fork"].pid == before
    family = psutil.Process(before).children(recursive=True)
    assert [process.num_threads() for process in family] == [1] * len(family)
    assert len(family) <= 4  # bubblewrap's own, the parent, and the two that wait for the next one


# Without a sandbox, one that kills its parent kills the process that serves it.
HARMED = [(m, h) for m in sandbox.MODES for h in HARM if (m, h) != ("none", "kill the parent")]


SHOWN = ("exit in the function", "much answer")  # of each mode for now, and all of `fork`


@pytest.mark.parametrize(
    ("mode", "harm"), some(HARMED, lambda at: at[0] == "fork" or at[1] in SHOWN)
)
def test_harm_costs_the_exercise_its_own_points_only(harm, mode, sandboxes):
    described = exercise("k1")
    right = "def k2(logp, ref_logp):\n    return 0.5 * (logp - ref_logp.detach()) ** 2"
    # k1's code runs first: what it does at the top of its cell must not cost k2 anything either.
    steps = [Step(HARM[harm].format(name="k1"), "k1"), Step(right, "k2")]
    cases = {name: exercise(name).hidden_cases(b"", harm) for name in ("k1", "k2")}
    replies = sandboxes[mode].ask(steps, cases)
    assert judge_reply(described, cases["k1"], replies["k1"]).points == 0
    assert judge_reply(exercise("k2"), cases["k2"], replies["k2"]).status == "right"


@pytest.mark.parametrize(
    ("code", "says", "line"),
    [
        ("def k1(*_):\n    while True: pass", "longer than 4 seconds", "while True: pass"),
        ("import os\ndef k1(*_):\n    os._exit(0)", "it called exit", ""),
        (
            "def k1(*_):\n    return bytearray(2**40)",
            "needed more memory",
            "return bytearray(2**40)",
        ),
        ("import torch\ndef k1(*_):\n    return torch.zeros(2**40)", "needed more memory", None),
        ("import ctypes\ndef k1(*_):\n    ctypes.string_at(0)", "crashed the Python process", ""),
        ("import torch\ndef k1(*_):\n    return torch.zeros(2**22)", "more than 4 MB", ""),
        ("import os\nos._exit(0)", "it called exit", ""),
    ],
)
def test_what_happened_is_said_in_the_students_words(code, says, line, sandboxes):
    cases = exercise("k1").hidden_cases(b"")
    reply = sandboxes["fork"].ask([Step(code, "k1")], {"k1": cases})["k1"]
    (failure, *_) = judge_reply(exercise("k1"), cases, reply, SHORT).failures
    assert says in failure.got
    assert line is None or failure.line == line


def test_what_one_exercise_changes_does_not_reach_the_next(sandboxes):
    """Each in a process of its own when the one before left something changed."""
    changes = "import torch\ndef k1(logp, ref_logp):\n    torch.set_default_dtype(torch.float64)\n"
    changes += "    torch.set_grad_enabled(False)\n    global k2\n    k2 = None"
    right = "def k2(logp, ref_logp):\n    return 0.5 * (logp - ref_logp.detach()) ** 2"
    cases = {name: exercise(name).hidden_cases(b"") for name in ("k1", "k2")}
    replies = sandboxes["fork"].ask([Step(changes, "k1"), Step(right, "k2")], cases)
    assert judge_reply(exercise("k2"), cases["k2"], replies["k2"]).status == "right"


def test_a_sandbox_that_is_killed_while_it_waits_is_started_again(sandboxes):
    killed = sandboxes["fork"].pid
    for process in psutil.Process(killed).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # it died with the one before
            process.kill()
    assert tell(sandboxes["fork"], "1 + 1") == ["2"]
    assert sandboxes["fork"].pid != killed


# Of a sandbox's processes, the outermost first: bubblewrap, what it runs, and in fork mode the
# submission's own outside and inside its namespaces.
LEVELS = {"fork": 4, "strict": 2}
KILLED = [(mode, level) for mode, levels in LEVELS.items() for level in range(levels)]


@pytest.mark.parametrize(("mode", "level"), some(KILLED, lambda at: at[1] == 0))
def test_what_is_killed_under_a_submission_costs_it_nothing(mode, level, monkeypatch):
    """Killed from outside, when the submission has been handed over and nothing is answered."""
    converse, killed = sandbox._converse, []

    def after_a_kill(*arguments):
        if not killed:
            killed.append(confined.pid)
            family = [psutil.Process(confined.pid)]
            while len(family) <= level:
                family += family[-1].children()
            family[level].kill()
        return converse(*arguments)

    monkeypatch.setattr(sandbox, "_converse", after_a_kill)
    with Sandbox(mode, limits=SHORT) as confined:
        assert tell(confined, "__import__('time').sleep(0.8) or 2") == ["2"]  # not there too soon
        assert killed != [confined.pid]


@pytest.mark.parametrize("mode", CONFINED)
def test_what_is_killed_while_it_starts_is_started_again(mode, monkeypatch):
    begin, killed = subprocess.Popen, []

    def begin_and_kill(*arguments, **how):
        process = begin(*arguments, **how)
        if len(killed) < kills:
            killed.append(process.pid)
            process.kill()
        return process

    monkeypatch.setattr(subprocess, "Popen", begin_and_kill)
    kills = 1
    with Sandbox(mode, limits=SHORT) as confined:
        assert tell(confined, "1 + 1") == ["2"]
    assert len(killed) == 1
    kills = 3
    with pytest.raises(UsageError, match="did not start .it was killed"):
        tell(Sandbox(mode, limits=SHORT), "1 + 1")
    assert len(killed) == 3


def test_a_host_without_nested_namespaces_gets_a_sandbox_for_each(monkeypatch):
    """bubblewrap is told to forbid them, as some hosts do."""
    alone = isolation._isolation("strict")
    monkeypatch.setattr(isolation, "_isolation", lambda mode: alone)
    with Sandbox("fork", limits=SHORT) as one:
        assert one.mode == "strict"
        assert tell(one, "1 + 1") == ["2"]


def test_the_files_of_a_sandbox_that_is_closed_are_closed():
    gc.collect()  # other tests' files
    before = len(os.listdir("/proc/self/fd"))
    with Sandbox("strict", limits=SHORT) as one:
        assert tell(one, "1 + 1") == ["2"]
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"problem": "no such problem", "limit": 1},
        {"problem": "time"},
        {"answers": 3},
        {"answers": [3]},
        {"answers": []},
        {"answers": [{"value": {"$kind": ["x"]}}] * 50},
        {"answers": None, "error": {"kinds": []}},
        {"answers": None, "error": "text"},
        {"answers": [{"error": {"kinds": 3}}] * 50},
    ],
)
def test_a_reply_that_makes_no_sense_earns_nothing(reply):
    described = exercise("k1")
    assert judge_reply(described, described.hidden_cases(b""), pack(reply)).points == 0


def test_bytes_that_are_no_reply_earn_nothing():
    described = exercise("k1")
    for packed in (b"", b"\x00" * 100, b"\x80\x04cos\nsystem\n"):
        assert judge_reply(described, described.hidden_cases(b""), packed).points == 0


@pytest.mark.parametrize("mode", CONFINED)
def test_no_bubblewrap_no_run(monkeypatch, mode):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="install the package bubblewrap"):
        Sandbox(mode).ask([], {"k1": []})


@pytest.mark.parametrize("mode", CONFINED)
def test_a_bubblewrap_that_cannot_start_is_no_students_fault(monkeypatch, mode):
    monkeypatch.setattr(isolation, "_files", lambda: ["--ro-bind", "/no/such/folder", "/x"])
    with pytest.raises(UsageError, match="did not start.*autograde doctor"):
        Sandbox(mode).ask([], {"k1": []})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there it works")
def test_a_gpu_that_does_not_work_is_no_fault_of_the_submission():
    cases = {"f": [Case("values", {})]}
    with (
        Sandbox("strict", limits=sandbox.Limits(device="cuda")) as alone,
        pytest.raises(UsageError, match="cuda does not work in the sandbox .* --device cpu"),
    ):
        alone.ask([Step("f = len", "f")], cases)


FILTERED = """
import os, socket, sys
from autograde.grading.inside import confine
from autograde.grading.syscalls import filter_program

program = filter_program(sys.argv[1])
confine.filter_calls(program)
for attempt in (
    lambda: socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET).bind("\\0of-the-driver"),
    lambda: socket.socket(socket.AF_INET),
    lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW),
    os.fork,
):
    try:
        attempt()
        print("done")
    except PermissionError:
        print("refused")
"""


@pytest.mark.parametrize(("device", "local"), [("cpu", "refused"), ("cuda", "done")])
def test_a_gpus_driver_gets_a_socket_within_the_sandbox_and_no_other(device, local):
    command = [sys.executable, "-c", FILTERED, device]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert said == [local, "refused", "refused", "refused"]
