"""What this machine lacks, and the line that mends it."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .common.errors import UsageError
from .common.system import ELSEWHERE, LINUX, system
from .course.build import ROOT
from .course.exercises import LESSONS
from .course.lessons import NOTEBOOKS, SOLUTIONS, lesson_path
from .course.settings import find_alembic

NEEDED_SPACE = 2**30
PACKAGES = (
    "torch", "nbgrader", "jupyterlab", "jupytext", "ipywidgets", "distributed",
    "cryptography",  # closes workers to other users
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `mend` is empty when it is well."""

    what: str
    found: str
    mend: str = ""


def findings() -> Iterator[Finding]:
    """Everything that grading needs, one by one; without Linux, nothing else of it matters."""
    yield Finding("system", system(), "" if system() == LINUX else f"grade on {LINUX}: {ELSEWHERE}")
    if system() != LINUX:
        return
    version = ".".join(map(str, sys.version_info[:3]))
    old = "" if sys.version_info >= (3, 11) else "install Python 3.11 or later"
    yield Finding("Python", version, old)
    for package in PACKAGES:
        there = importlib.util.find_spec(package) is not None
        mend = "" if there else f'pip install -c requirements.lock -e "{ROOT}[instructor]"'
        yield Finding(package, "installed" if there else "missing", mend)
    find_alembic()
    alembic = shutil.which("alembic")
    yield Finding("alembic", alembic or "missing", "" if alembic else "pip install alembic")
    yield _user()
    yield _sandbox()
    yield from _limits()
    yield _notebooks()
    free = shutil.disk_usage(".").free
    space = "" if free > NEEDED_SPACE else "free some space: feedback and copies need it"
    yield Finding("disk", f"{free / 2**30:.1f} GiB free here", space)
    yield _device()


def _sandbox() -> Finding:
    """Start a real sandbox: a bubblewrap that is there may still be forbidden to work."""
    from .grading.sandbox import Sandbox

    try:
        with Sandbox("fork") as one:
            one.ask([], {})
            mode = one.mode
    except UsageError as error:
        if "libseccomp" in str(error):
            mend = "apt-get install libseccomp2 (or libseccomp), and pip install pyseccomp"
            return Finding("sandbox", str(error).partition("; run:")[0], mend)
        if shutil.which("bwrap") is None:
            mend = "apt-get install bubblewrap (or dnf, pacman, apk: the same package name)"
            return Finding("sandbox", "bubblewrap is missing", mend)
        mend = (
            "allow user namespaces: sysctl -w kernel.unprivileged_userns_clone=1 "
            "kernel.apparmor_restrict_unprivileged_userns=0, or grade in a virtual machine"
        )
        return Finding("sandbox", str(error).partition("; run:")[0], mend)
    found = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=False)
    if mode == "strict":
        says = "works, but without sandboxes within it: grading takes seconds longer for each"
        return Finding("sandbox", f"{found.stdout.strip()}, {says}")
    return Finding("sandbox", f"{found.stdout.strip()}, works")


def _user() -> Finding:
    """Root grades only where that is asked for by name."""
    if os.geteuid() != 0:
        return Finding("user", "not root")
    from .common.root import AS_ROOT

    if os.environ.get(AS_ROOT) == "1":
        return Finding("user", "root, as asked: student code gets a user without rights")
    mend = "work as an ordinary user, or say --as-root"
    return Finding("user", "root: grade, check and demo refuse", mend)


def _limits() -> Iterator[Finding]:
    """What bounds a submission here, beside what the sandbox does anywhere, and what cannot."""
    kernel = platform.release()
    number = [int(part) for part in re.findall(r"\d+", kernel)[:2]]
    threads = "threads are bounded for each submission"
    if number < [5, 14]:
        threads = (
            "before 5.14 a user's threads count in all sandboxes together: one submission can take "
            "them from another that is asked at the same time; --workers 1 asks one by one"
        )
    yield Finding("kernel", f"{kernel}; {threads}")
    yield Finding(
        "memory", "bounded for each process by its address space, and for files by their folder's "
        "size; no cgroup is used, so leave 5 GB for each worker",
    )  # fmt: skip
    with suppress(OSError):
        pattern = Path("/proc/sys/kernel/core_pattern").read_text("utf-8").strip()
        where = "a program" if pattern.startswith("|") else "files"
        yield Finding("core dumps", f"go to {where}; a submission's process makes none")


def _notebooks() -> Finding:
    paths = [lesson_path(folder, name) for name in LESSONS for folder in (SOLUTIONS, NOTEBOOKS)]
    missing = [str(path) for path in paths if not path.exists()]
    mend = "work in a checkout, and run: autograde build" if missing else ""
    found = f"missing: {missing[0]}" if missing else f"{len(LESSONS)} lessons built"
    return Finding("notebooks", found, mend)


def _device() -> Finding:
    from helpers import pick_device

    return Finding("device", f"{pick_device().type} (the lessons use it, grading does not need it)")
