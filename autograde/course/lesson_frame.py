"""What the build puts around every lesson: Google Colab's set-up first, handing in last."""

import json
import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from ..common.errors import UsageError
from .exercises import LESSONS
from .lessons import lesson_path

COLAB = "https://colab.research.google.com"
BADGE = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
INSTALL = """\
# @title On Google Colab this cell installs the course; elsewhere it does nothing.
COURSE = {course}  # @param {{type:"string"}}
# COURSE: where the student bundle is, the URL or the path of a zip.

import importlib.metadata
import subprocess
import sys

try:
    from google import colab
except ImportError:
    colab = None


def pip(*words):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *words]
    return subprocess.run(command, capture_output=True, text=True)


def lacking(package):
    # Only these are given to pip: what Colab has it would take to pieces to check it.
    from packaging.requirements import Requirement

    for line in importlib.metadata.requires(package):
        need = Requirement(line)
        found = [one.version for one in importlib.metadata.distributions(name=need.name)][:1]
        fits = found and need.specifier.contains(found[0], prereleases=True)
        if not fits and (need.marker is None or need.marker.evaluate({{"extra": ""}})):
            yield line


if colab and not COURSE:
    print("The course is not installed: put the address that your instructor gave you "
          "at COURSE, and run this cell again.")
elif colab:
    with open("/tmp/kept.txt", "w") as file:  # pip adds what is missing and changes nothing else
        file.write(pip("list", "--format=freeze").stdout)
    done = pip("install", "--no-deps", COURSE)
    importlib.invalidate_caches()
    lacks = [] if done.returncode else list(lacking("stable-policy-updates-student"))
    if lacks:
        done = pip("install", "-c", "/tmp/kept.txt", *lacks)
        importlib.invalidate_caches()
    print("The course is installed." if done.returncode == 0 else
          f"The course could not be installed from {{COURSE}}; show your instructor these lines:\\n"
          + done.stderr[-800:])"""
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab's, and Colab's
SUBMIT = """\
from helpers import submit

submit("{lesson}")"""
_ADDRESS = re.compile(r"(?m)^COURSE = .*$")
_GITHUB = re.compile(
    r"https://github\.com/(?P<repo>[\w.-]+/[\w.-]+?)(\.git)?(/tree/(?P<branch>[\w./-]+?))?/?$"
)
_PACKED = re.compile(r"[^?#]+\.(zip|tar\.gz|whl)([?#].*)?$")


def framed(lesson: str, cells: list[NotebookNode], where: str = "") -> list[NotebookNode]:
    """The lesson's cells between the set-up for Colab and `submit`. None of these is graded, or run
    in grading.

    where: see `frame_addresses`.
    """
    course, badge = frame_addresses(lesson, where)
    first = new_code_cell(_install(course), metadata=FOLDED)
    last = new_code_cell(SUBMIT.format(lesson=lesson))
    for cell in (first, last):
        cell.metadata["tags"] = ["demo"]
    return [new_markdown_cell(badge), first, *cells, last]


def address_frame(lesson: str, notebook: NotebookNode, where: str) -> None:
    """Write into a built notebook where Colab finds the student bundle; see `frame_addresses`."""
    course, notebook.cells[0].source = frame_addresses(lesson, where)
    notebook.cells[1].source = _install(course)


def frame_addresses(lesson: str, where: str) -> tuple[str, str]:
    """What pip installs on Colab, and the badge.

    where: a GitHub repository that holds the student bundle (https://github.com/OWNER/NAME, maybe
    with /tree/BRANCH), which the badge then opens the lesson from; or the URL, or the path on
    Colab, of the packed bundle; or nothing.
    Raises UsageError for anything else.
    """
    upload = f"{BADGE}({COLAB}/) *(there: File, Upload notebook)*"
    if not where:
        return "", upload
    if found := _GITHUB.match(where):
        repo, branch = found["repo"], found["branch"] or "HEAD"
        path = lesson_path(Path("notebooks"), lesson).as_posix()
        page = f"{COLAB}/github/{repo}/blob/{branch}/{path}"
        return f"https://github.com/{repo}/archive/{branch}.zip", f"{BADGE}({page})"
    if not (where.isprintable() and _PACKED.match(where)):
        raise UsageError(
            f"{where!r}: not where Colab finds a bundle; give https://github.com/OWNER/NAME, or "
            "the URL or the path on Colab of the packed bundle (.zip)"
        )
    return where, upload


def frame_sources() -> set[str]:
    """The frame's code cells, as `without_address` gives them: nobody's own work, in any term."""
    last = {SUBMIT.format(lesson=lesson) for lesson in LESSONS}
    return {without_address(_install(""))} | last


def without_address(source: str) -> str:
    """A cell's source, in which it does not matter whose release it comes from."""
    return _ADDRESS.sub("COURSE =", source).strip()


def _install(course: str) -> str:
    return INSTALL.format(course=json.dumps(course, ensure_ascii=False))
