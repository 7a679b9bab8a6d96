"""What the build puts around every lesson: Google Colab's set-up first, handing in last."""

import json
import re
from pathlib import Path

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell

from .errors import UsageError
from .lessons import lesson_path

COLAB = "https://colab.research.google.com"
BADGE = f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]"
INSTALL = """\
# On Google Colab this cell installs the course; elsewhere it does nothing.
COURSE = {course}  # where the student bundle is: the URL or the path of a zip

import importlib
import subprocess
import sys

try:
    from google import colab
except ImportError:
    colab = None

if colab and not COURSE:
    print('The course is not installed: put the address that your instructor gave you '
          'between the quotes after COURSE, and run this cell again.')
elif colab:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    kept = subprocess.check_output([*pip, "list", "--format=freeze"], stderr=subprocess.DEVNULL)
    with open("/tmp/kept.txt", "wb") as file:
        file.write(kept)  # so that pip adds what is missing and changes nothing of Colab's
    command = [*pip, "install", "--quiet", "-c", "/tmp/kept.txt", COURSE]
    done = subprocess.run(command, capture_output=True, text=True)
    importlib.invalidate_caches()
    print("The course is installed." if done.returncode == 0 else
          f"The course could not be installed from {{COURSE}}; show your instructor these lines:\\n"
          + done.stderr[-800:])"""
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
    first = new_code_cell(_install(course))
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


def without_address(source: str) -> str:
    """A cell's source, in which it does not matter whose release it comes from."""
    return _ADDRESS.sub("COURSE =", source).strip()


def _install(course: str) -> str:
    return INSTALL.format(course=json.dumps(course, ensure_ascii=False))
