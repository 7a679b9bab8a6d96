"""How a sandbox is set apart: bubblewrap's command line, or another user's."""

import atexit
import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

from ..common.errors import UsageError
from .edition import HELPERS, INSIDE

HOME = "/home/student"
GRADER = "/grader"
NOBODY = 65534  # what a user is within a sandbox, whoever it is outside
# Of these, systemd gives to services that need a user for a while; nobody's files are theirs.
# https://systemd.io/UIDS-GIDS/
PASSING_USERS = range(61184, 65520)
SCRATCH = 2**26  # bytes of a folder that may be written to


def command_of(mode: str, device: str) -> list[str]:
    if mode == "none":
        return [sys.executable, "-m", "autograde.grading.inside"]
    if mode == "user":
        return [*_as_nobody(), sys.executable, "-m", "inside"]
    bwrap = shutil.which("bwrap")
    if bwrap is None:
        raise UsageError(
            "bubblewrap is not installed, and student code is not run without it: "
            "install the package bubblewrap, or pass --sandbox none to run it unprotected"
        )
    inner = [
        bwrap,
        *_isolation(mode),
        *_files(),
        *_devices(device),
        *_sealed(mode),
        *_environment(),
    ]
    outer = _as_user() if os.geteuid() == 0 else []
    return [*outer, *inner, sys.executable, "-m", "inside"]


def _as_user() -> list[str]:
    """For root: run what follows as a user without rights. Raises UsageError for anybody else."""
    if os.geteuid() != 0:
        raise UsageError("another user's process needs root")
    how = {"user": _passing_user(), "folders": [*libraries_of_python(), *map(str, _parts())]}
    return [sys.executable, "-ESs", str(INSIDE / "as_user.py"), json.dumps(how)]


def _passing_user() -> int:
    """The number of a user who owns nothing here; another for each sandbox, as far as they go."""
    while True:
        number = random.SystemRandom().choice(PASSING_USERS)
        with suppress(KeyError):
            pwd.getpwuid(number)
            continue
        return number


def _as_nobody() -> list[str]:
    """Run what follows as a user who owns nothing and can read no answer, with no bubblewrap.

    Raises UsageError when this process is not root's, or when that user could read the answers.
    """
    user = _as_user()
    answers = HELPERS / "reference" / "__init__.py"
    closed = [*user, "/usr/bin/test", "!", "-r", str(answers)]
    if subprocess.run(closed, stderr=subprocess.DEVNULL, check=False).returncode != 0:
        folder = HELPERS.parent
        raise UsageError(f"{folder}: every user can read the answers; chmod -R go= {folder}")
    variables = _variables() | {"PYTHONPATH": str(_readable_part()), "HOME": "/tmp"}
    pairs = [f"{name}={value}" for name, value in variables.items()]
    return [*user, "/usr/bin/env", "-i", "-C", "/tmp", *pairs]


@cache
def _readable_part() -> Path:
    """A copy, for every user to read, of what a sandbox shows of this course."""
    folder = Path(tempfile.mkdtemp(prefix="grader-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    ignore = shutil.ignore_patterns("reference", "__pycache__")
    for part in (HELPERS, INSIDE):
        shutil.copytree(part, folder / part.name, ignore=ignore)
    (folder / HELPERS.name / "reference").mkdir()
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return folder


def _isolation(mode: str) -> list[str]:
    nested = [] if mode == "fork" else ["--disable-userns"]
    return [
        "--unshare-user", "--unshare-all", *nested, "--die-with-parent", "--as-pid-1",
        "--new-session", "--cap-drop", "ALL", "--uid", str(NOBODY), "--gid", str(NOBODY),
        "--hostname", "sandbox",
    ]  # fmt: skip


def _files() -> list[str]:
    """The system's and Python's libraries, read-only, with this course's own answers masked."""
    arguments = ["--ro-bind", "/usr", "/usr", "--proc", "/proc", "--dev", "/dev"]
    for scratch in ("/tmp", HOME):  # first, as an environment may itself lie under /tmp
        arguments += ["--size", str(SCRATCH), "--tmpfs", scratch]
    arguments += _links()
    for folder in libraries_of_python():
        arguments += ["--ro-bind", folder, folder]
    arguments += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    for package in _installed_packages():
        arguments += ["--tmpfs", package]
    for part in _parts():
        arguments += ["--ro-bind", str(part), f"{GRADER}/{part.name}"]
    arguments += ["--tmpfs", f"{GRADER}/helpers/reference"]
    return [*arguments, "--chdir", HOME]


def _links() -> list[str]:
    """The system's folders by their old names."""
    links = ("bin", "lib", "lib64", "sbin")
    return [word for link in links for word in ("--symlink", f"usr/{link}", f"/{link}")]


def _parts() -> list[Path]:
    """What of this course is shown; for root a copy that the user without rights can read."""
    if os.geteuid() != 0:
        return [HELPERS, INSIDE]
    return [_readable_part() / part.name for part in (HELPERS, INSIDE)]


def libraries_of_python() -> list[str]:
    """The folders that Python and this environment live in, beside the system's own."""
    folders = dict.fromkeys((sys.base_prefix, sys.prefix))
    return [f for f in folders if not f.startswith("/usr/") or f.startswith("/usr/local")]


def _installed_packages() -> list[str]:
    """Where this course's own packages are, answers included, when installed as a wheel."""
    folders = (Path(sysconfig.get_path("purelib")) / name for name in ("helpers", "autograde"))
    return [str(folder) for folder in folders if folder.is_dir()]


def _devices(device: str) -> list[str]:
    """The GPU's nodes, where it is what questions are asked on."""
    if device == "cpu":
        return []
    nodes = sorted(Path("/dev").glob("nvidia*"))
    arguments = ["--ro-bind-try", "/sys", "/sys"]
    return arguments + [word for node in nodes for word in ("--dev-bind", str(node), str(node))]


def _sealed(mode: str) -> list[str]:
    """Nothing but the scratch folders can be written to, so nothing can be left behind.

    Devices can: they are the host's own, whose mode and times are another user's to change, and
    beyond the filter. Bubblewrap would mount them as no devices. In fork mode a submission's own
    namespaces, which are made by writing to /proc, hold an empty one, and devices that are sealed.
    """
    folders = ["/dev/pts", "/dev", f"{GRADER}/helpers/reference", *["/proc"] * (mode != "fork")]
    return [word for f in (*folders, *_installed_packages(), "/") for word in ("--remount-ro", f)]


def _environment() -> list[str]:
    pairs = [("--setenv", name, value) for name, value in _variables().items()]
    return ["--clearenv", *(word for pair in pairs for word in pair)]


def _variables() -> dict[str, str]:
    return {
        "HOME": HOME,
        "USER": "student",
        "LOGNAME": "student",
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "PYTHONPATH": GRADER,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "MPLBACKEND": "Agg",
        "MPLCONFIGDIR": "/tmp/matplotlib",
        "OMP_NUM_THREADS": "1",
        "LANG": "C.UTF-8",
    }
