"""Where there is no Linux, commands that grade say so in one line, and the others work."""

import os
import subprocess
import sys

import pytest

from autograde.common import system
from autograde.course.lessons import ROOT

# Another system's Python, as near as it can be had here: without what it has not. What others wrote
# knows which system it is on, and is imported before.
ELSEWHERE = """
import os, platform, signal, sys
import distributed, jupytext, nbformat, nbgrader.apps, torch
platform.system = lambda: {name!r}
for module in ("fcntl", "grp", "pwd", "resource", "termios"):
    sys.modules[module] = None
for name in ("fork", "geteuid", "getuid", "killpg", "setpgid", "sched_getaffinity"):
    delattr(os, name)
for name in ("SIGKILL", "SIGALRM", "SIGPROF", "pthread_sigmask", "setitimer"):
    delattr(signal, name)
from autograde.cli import main
sys.exit(main(sys.argv[1:]))
"""


def there(name, *words):
    command = [sys.executable, "-P", "-W", "ignore", "-c", ELSEWHERE.format(name=name), *words]
    return subprocess.run([str(word) for word in command], capture_output=True, text=True)


@pytest.mark.parametrize("name", ["Windows", "Darwin"])
@pytest.mark.parametrize(
    "words", ["grade", "check x.ipynb", "collect x.zip", "feedback", "init term", "demo"]
)
def test_what_grades_says_in_one_line_that_it_needs_linux(
    name, words, monkeypatch, capsys, tmp_path
):
    from autograde.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(system.platform, "system", lambda: name)
    assert main(words.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"grading needs Linux, and this is {name}" in line
    for way in ("WSL2", "virtual machine", "Containerfile", "README, 'Without Linux'"):
        assert way in line
    assert not list(tmp_path.iterdir())


def test_the_doctor_says_it_first_and_nothing_else_there():
    done = there("Windows", "doctor")
    assert done.returncode == 2, done.stderr
    assert done.stdout.startswith("✗ system: Windows\n")
    assert "WSL2" in done.stdout
    assert len(done.stdout.splitlines()) == 2


def test_a_bundle_is_made_anywhere(tmp_path):
    done = there("Windows", "release", tmp_path / "bundle")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "bundle" / "README.md").exists()


def test_make_sandbox_says_it_too(tmp_path):
    """A `uname` that stands before the system's says that this is a Mac."""
    uname = tmp_path / "uname"
    uname.write_text("#!/bin/sh\necho Darwin\n", encoding="utf-8")
    uname.chmod(0o755)
    done = subprocess.run(
        ["make", "--no-print-directory", "sandbox"], cwd=ROOT, capture_output=True, text=True,
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"},
    )  # fmt: skip
    assert done.returncode != 0
    assert "grading needs Linux, and this is Darwin" in done.stdout
    assert system.ELSEWHERE in done.stdout
