"""What the build puts around every lesson: Google Colab's set-up first, handing in last."""

import hashlib
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
# This changes nothing that Colab has: what the bundle asks of pip is light, with lower bounds only.
INSTALL = """\
# @title On Google Colab this installs the course; where it is installed, it does nothing.
COURSE = {course}  # @param {{type:"string"}}
from importlib.util import find_spec as has
if not has("helpers"):
    %pip install -q "$COURSE"
    print("Ready." if has("helpers") else "Not installed: is COURSE your instructor's address?")"""
FOLDED = {"jupyter": {"source_hidden": True}, "cellView": "form"}  # JupyterLab's, and Colab's
SUBMIT = """\
from helpers import submit

submit("{lesson}")"""
_ADDRESS = re.compile(r"(?m)^COURSE = .*$")
_OLDER = {  # the first cells of earlier versions, without their address: SHA-256
    "d66aff7227308e2142e97e6f47de072b68d0767ee6b1c047a3d09d9b39bb5772",
    "55a473d4617cec9969d2bd77b35bf2c81f0424730a7233fe479b9e080c301502",
    "ccd969d69c866441a8e0c78b851b88fda91166a90d37e5cd826501aa5749791f",
}
_GITHUB = re.compile(
    r"https://github\.com/(?P<repo>[\w.-]+/[\w.-]+?)(\.git)?(/tree/(?P<branch>[\w./-]+?))?/?$"
)
# IPython and its shell read it between double quotes, in which these would not be themselves.
_PACKED = re.compile(r"""[^?#"$`{}\\]+\.(zip|tar\.gz|whl)([?#][^"$`{}\\]*)?$""")


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
    """A cell's source, in which it does not matter whose release it comes from, or how old."""
    found = _ADDRESS.sub("COURSE =", source).strip()
    older = found != source.strip() and hashlib.sha256(found.encode()).hexdigest() in _OLDER
    return _ADDRESS.sub("COURSE =", _install("")) if older else found


def _install(course: str) -> str:
    return INSTALL.format(course=json.dumps(course, ensure_ascii=False))
