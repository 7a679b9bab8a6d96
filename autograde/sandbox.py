"""Run student code where it can reach nothing: bubblewrap, no network, libraries read-only."""

import shutil
import struct
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import helpers
from helpers.cases import Case
from helpers.codec import BadDataError, pack, unpack

from .errors import UsageError
from .rebuild import Step

HELPERS = Path(helpers.__file__).resolve().parent
INSIDE = Path(__file__).resolve().parent / "inside.py"
HOME = "/home/student"
GRADER = "/grader"


@dataclass(frozen=True)
class Limits:
    """seconds: wall clock for one exercise. cell_seconds: for one cell. memory: address space of a
    process, in bytes. bytes: what one exercise may answer."""

    seconds: int = 20
    cell_seconds: int = 10
    memory: int = 4 * 2**30
    bytes: int = 16 * 2**20

    def total(self, exercises: int) -> int:
        """Wall clock for a submission: each exercise in full, and the start."""
        return 30 + self.seconds * exercises


def run(
    steps: Sequence[Step],
    cases: dict[str, list[Case]],
    sandbox: str = "bwrap",
    limits: Limits | None = None,
) -> dict[str, dict[str, Any]]:
    """Ask a submission's functions their cases; a reply for each exercise, by name.

    A reply is untrusted data: {"answers": [...], "error": ...} or {"problem": why, "limit": n}.
    sandbox: "bwrap", or "none" to run student code with all the rights of this process.
    Raises UsageError when there is no bubblewrap.
    """
    limits = limits or Limits()
    asked = [{"name": n, "cases": [case.plain() for case in asked]} for n, asked in cases.items()]
    job = {"steps": [asdict(step) for step in steps], "exercises": asked, "limits": asdict(limits)}
    output, complaint = _communicate(_command(sandbox), pack(job), limits, len(cases))
    replies = dict(_frames(output))
    if not replies and complaint:  # student code cannot write there: the sandbox itself failed
        raise UsageError(f"the sandbox did not start ({complaint}); run: autograde doctor")
    return {name: replies.get(name, {"problem": "died", "limit": limits.memory}) for name in cases}


def _communicate(
    command: list[str], job: bytes, limits: Limits, exercises: int
) -> tuple[bytes, str]:
    """What the sandbox wrote until it ended or its time was up, and the last line it complained."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            # The parent inside bounds what each exercise says, so the sum is bounded too.
            output, errors = process.communicate(job, timeout=limits.total(exercises))
        except subprocess.TimeoutExpired as expired:
            output, errors = expired.stdout or b"", b""
        finally:
            process.kill()  # bwrap's child dies with it, and all that the child started
    lines = errors.decode(errors="replace").strip().splitlines()
    return output, lines[-1][:200] if lines else ""


def _frames(output: bytes) -> list[tuple[str, dict[str, Any]]]:
    """The frames of `inside.main`, as far as they are whole and make sense."""
    frames, at = [], 0
    while at + 6 <= len(output):
        name_length, length = struct.unpack_from(">HI", output, at)
        start, end = at + 6 + name_length, at + 6 + name_length + length
        if end > len(output):
            break
        try:
            reply = unpack(output[start:end])
        except BadDataError:
            reply = {"problem": "nonsense", "limit": 0}
        if isinstance(reply, dict):
            frames.append((output[at + 6 : start].decode(errors="replace"), reply))
        at = end
    return frames


def _command(sandbox: str) -> list[str]:
    if sandbox == "none":
        return [sys.executable, str(INSIDE)]
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UsageError(
            "bubblewrap is not installed, and student code is not run without it: "
            "install the package bubblewrap, or pass --sandbox none to run it unprotected"
        )
    return [bwrap, *_isolation(), *_files(), *_environment(), sys.executable, f"{GRADER}/inside.py"]


def _isolation() -> list[str]:
    return [
        "--unshare-user", "--unshare-all", "--disable-userns", "--die-with-parent",
        "--new-session", "--cap-drop", "ALL", "--uid", "65534", "--gid", "65534",
        "--hostname", "sandbox",
    ]  # fmt: skip


def _files() -> list[str]:
    """The system's and Python's libraries, read-only, with this course's own answers masked."""
    arguments = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for scratch in ("/tmp", HOME):  # first, as an environment may itself lie under /tmp
        arguments += ["--size", str(2**28), "--tmpfs", scratch]
    for link in ("bin", "lib", "lib64", "sbin"):
        arguments += ["--symlink", f"usr/{link}", f"/{link}"]
    for folder in dict.fromkeys((sys.base_prefix, sys.prefix)):
        if not folder.startswith("/usr/") or folder.startswith("/usr/local"):
            arguments += ["--ro-bind", folder, folder]
    arguments += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for package in ("helpers", "autograde"):  # there when the course was installed as a wheel
        installed = Path(sysconfig.get_path("purelib")) / package
        if installed.is_dir():
            arguments += ["--tmpfs", str(installed)]
    arguments += ["--ro-bind", str(HELPERS), f"{GRADER}/helpers"]
    arguments += ["--tmpfs", f"{GRADER}/helpers/reference"]
    arguments += ["--ro-bind", str(INSIDE), f"{GRADER}/inside.py"]
    return [*arguments, "--chdir", HOME]


def _environment() -> list[str]:
    variables = {
        "HOME": HOME,
        "USER": "student",
        "LOGNAME": "student",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": GRADER,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
    pairs = [("--setenv", name, value) for name, value in variables.items()]
    return ["--clearenv", *(word for pair in pairs for word in pair)]
