"""What student code may ask of the kernel, in each way to confine it, for root and for others."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from autograde.cli import main
from autograde.common.errors import UsageError
from autograde.common.root import AS_ROOT
from autograde.course.exercises import exercise
from autograde.course.lessons import ROOT
from autograde.grading import isolation, sandbox
from autograde.grading.inside import confine
from autograde.grading.judging import judge_reply
from autograde.grading.sandbox import Sandbox, SandboxDiedError
from autograde.grading.steps import Step
from autograde.grading.syscalls import filter_program
from autograde.grading.working import How, sandbox_of
from helpers.cases import Case
from helpers.codec import unpack
from tests.some import LONG

SHORT = sandbox.Limits(seconds=6, cell_seconds=4)
ROOTS = os.geteuid() == 0
ONLY_ROOT = pytest.mark.skipif(not ROOTS, reason="is about root")
# What confines is the same in each; `fork` is what is used.
MODES = ["fork", pytest.param("strict", marks=LONG), pytest.param("user", marks=[ONLY_ROOT, LONG])]
NO = "{refused}"
LIBC = "ctypes.CDLL(None, use_errno=True)"
# An expression, and what it gives: NO for an OSError.
TRIED = {
    "os.kill(os.getppid(), 9)": NO,
    "os.kill(os.getpid(), 0)": "None",
    "signal.raise_signal(signal.SIGURG)": "None",
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))": NO,
    "resource.prlimit(os.getppid(), resource.RLIMIT_CPU)": NO,
    "resource.prlimit(0, resource.RLIMIT_CPU)[0] > 0": "True",
    "os.sched_setaffinity(os.getppid(), {0})": NO,
    "os.sched_setaffinity(0, os.sched_getaffinity(0))": "None",
    "os.memfd_create('x')": NO,
    f"{LIBC}.prctl(4, 1, 0, 0, 0)": "-1",  # PR_SET_DUMPABLE
    f"{LIBC}.prctl(1, 0, 0, 0, 0)": "-1",  # PR_SET_PDEATHSIG
    f"{LIBC}.prctl(15, b'name', 0, 0, 0)": "0",  # PR_SET_NAME
    f"{LIBC}.inotify_init()": "-1",
    f"{LIBC}.mlock(ctypes.create_string_buffer(9), 9)": "-1",
    f"{LIBC}.ioctl(0, 0x5412, b'x')": "-1",  # TIOCSTI
    "fcntl.fcntl(os.pipe()[0], 1031, 2**20)": NO,  # F_SETPIPE_SZ
    "fcntl.fcntl(os.pipe()[0], 8, os.getppid())": NO,  # F_SETOWN
    "fcntl.lockf(tempfile.TemporaryFile(), fcntl.LOCK_EX)": "None",
    # F_OFD_SETLK of an end of a pipe, which has no places to be locked: nothing looks at it.
    "fcntl.fcntl(os.pipe()[1], 37, bytes(32))": str(bytes(32)),
    "socket.socketpair()[0].sendmsg([b'x'])": NO,
    "os.symlink('/usr', '/tmp/link')": NO,
    "open('/proc/sys/kernel/core_pattern', 'w')": NO,
    "open('/proc/self/comm', 'w')": NO,
    "open('/proc/self/oom_score_adj', 'w')": NO,
    "open('/dev/null', 'w').write('x')": "1",
    "len(open('/dev/urandom', 'rb').read(9))": "9",
    "resource.getrlimit(resource.RLIMIT_NPROC)": "(256, 256)",
    # What honest code does with files of its own.
    "2 * [pathlib.Path(tempfile.mkstemp()[1]).touch()]": "[None, None]",
    # Under new names: the user's /tmp is the host's, where an earlier run has left files.
    "shutil.move(shutil.copy2(os.__file__, tempfile.mkdtemp()), tempfile.mkdtemp())[-6:]": "/os.py",
    "tempfile.TemporaryDirectory().cleanup()": "None",
    "os.isatty(0)": "False",
    "[*concurrent.futures.ThreadPoolExecutor(32).map(abs, range(2))]": "[0, 1]",
    "asyncio.run(asyncio.sleep(0))": "None",
}
IMPORTS = (
    "import asyncio, concurrent.futures, ctypes, fcntl, os, pathlib, resource, shutil, signal, "
    "socket, tempfile"
)


@pytest.fixture(scope="module", params=MODES)
def confined(request, tmp_path_factory):
    """A sandbox of each kind; for the user without bubblewrap, a checkout that is closed."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "user":
            closed = tmp_path_factory.mktemp("closed") / "helpers"
            shutil.copytree(isolation.HELPERS, closed)
            closed.chmod(0o700)
            patch.setattr(isolation, "HELPERS", closed)
            isolation._readable_part.cache_clear()
        with Sandbox(request.param, limits=SHORT) as one:
            yield one
    isolation._readable_part.cache_clear()


def tell(where, expressions):
    """What each expression gives in there: its text, or NO for an OSError."""
    lines = [IMPORTS, "def tell(number):"]
    for number, expression in enumerate(expressions):
        lines += [f"    if number == {number}:", f"        return str({expression})"]
    cases = [Case("", {"number": number}) for number in range(len(expressions))]
    reply = unpack(where.ask([Step("\n".join(lines), "tell")], {"tell": cases})["tell"])
    return [
        answer["value"]
        if "value" in answer
        else NO
        if "OSError" in answer["error"]["kinds"]
        else str(answer["error"])
        for answer in reply["answers"]
    ]


def test_a_call_is_allowed_where_honest_code_needs_it(confined):
    found = dict(zip(TRIED, tell(confined, list(TRIED)), strict=True))
    assert found == TRIED


def test_the_hosts_own_files_stay_as_they_are(confined):
    before = os.stat("/dev/null")
    tell(confined, ["os.chmod('/dev/null', 0o600)", "os.utime('/dev/null', (1, 1))"])
    tell(confined, ["os.utime('/dev/null')", "os.chown('/dev/null', os.getuid(), os.getgid())"])
    after = os.stat("/dev/null")
    for name in ("st_mode", "st_uid", "st_gid", "st_mtime_ns", "st_atime_ns"):
        assert getattr(after, name) == getattr(before, name), name


FLOODS = {
    "files": (
        "import os\ndef k1(*_):\n    for n in range(10**9):\n"
        "        os.close(os.open(f'/tmp/flood-{n}', os.O_CREAT))",
        ("more files than it may", "No space left"),
    ),
    "threads": (
        "import threading, time\ndef k1(*_):\n    for n in range(300):\n"
        "        threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        ("can't start new thread",),
    ),
}


def test_a_flood_is_stopped_and_said(confined):
    floods = dict(FLOODS)
    if confined.mode == "user":
        del floods["files"]  # they would be in this machine's own /tmp
    cases = exercise("k1").hidden_cases(b"")
    for source, says in floods.values():
        reply = confined.ask([Step(source, "k1")], {"k1": cases})["k1"]
        (failure, *_) = judge_reply(exercise("k1"), cases, reply, SHORT).failures
        assert any(one in failure.got for one in says), failure.got


@ONLY_ROOT
def test_a_submission_of_roots_is_another_users_outside(confined):
    numbers = set()
    converse = sandbox._converse

    def look(*arguments):
        status = _status(confined.pid)
        numbers.update(status["Uid"].split() + status["Gid"].split())
        numbers.update(status["CapEff"].split())
        return converse(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "_converse", look)
        assert tell(confined, ["1 + 1"]) == ["2"]
    (user,) = numbers - {"0" * 16}
    assert int(user) in isolation.PASSING_USERS


def _status(pid):
    with open(f"/proc/{pid}/status") as file:
        return dict(line.split(":", 1) for line in file)


@pytest.mark.parametrize("mode", ["fork", pytest.param("strict", marks=LONG)])
def test_a_second_death_is_told_and_weakens_nothing(monkeypatch, mode):
    asked = []

    def die(*_):
        asked.append(confined.pid)
        confined._process.kill()
        confined._process.wait()
        return b""

    monkeypatch.setattr(sandbox, "_converse", die)
    with Sandbox(mode, limits=SHORT) as confined:
        cases = exercise("k1").hidden_cases(b"")
        with pytest.raises(SandboxDiedError, match="killed under it, twice.* grade it again"):
            confined.ask([], {"k1": cases})
        assert confined.mode == mode
    assert len(set(asked)) == len(asked) == 2


@ONLY_ROOT
@pytest.mark.parametrize(
    "command", [["check", "x.ipynb"], ["grade", "--course", "."], ["demo", "x"]]
)
def test_root_is_refused_in_one_line(monkeypatch, capsys, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(AS_ROOT)
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "ordinary user" in line
    assert "--as-root" in line
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match=f"{AS_ROOT}=1"):
        sandbox_of(How())  # as nbgrader's own command comes to it


def test_no_filter_holds_the_number_of_a_process_yet():
    assert filter_program().count(confine.OWN_PROCESS.to_bytes(4, sys.byteorder)) >= 2


@LONG
@ONLY_ROOT
def test_an_ordinary_user_gets_the_same(tmp_path):
    folders = [sys.base_prefix, sys.prefix, str(ROOT)]
    how = json.dumps({"user": isolation._passing_user(), "folders": folders})
    become = [sys.executable, "-ESs", str(isolation.INSIDE / "as_user.py"), how]
    asks = ["-P", "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "0", __file__]
    ran = subprocess.run(
        [*become, sys.executable, *asks], cwd=ROOT, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "HOME": "/tmp", "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-1000:]
