"""Read the bytes of what was handed in as a notebook, and say what they are where they are none."""

import codecs
import json
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ..common.errors import UsageError, shown

if TYPE_CHECKING:  # it takes a second to import
    from nbformat import NotebookNode

BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# What a file that begins with these bytes is, in place of a notebook.
FORMATS = (
    (b"PK\x03\x04", "a zip; unpack it, or hand it in named .zip"),
    (b"%PDF-", "a PDF, a print of the notebook; hand in the .ipynb file itself"),
    (b"\x1f\x8b", "packed with gzip; unpack it and hand in the .ipynb file in it"),
    (b"\x89PNG", "a picture; hand in the .ipynb file itself"),
)
POINTER = "version https://git-lfs.github.com/spec/"
CONFLICT = re.compile(r"^(<{7} |={7}$|>{7} )", re.MULTILINE)
PAGE = re.compile(r"\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+html|html|head|body)\b", re.I)
EXPORT = re.compile(r"^(#!.*python|# coding: |# %%|# In\[|# ---$|import \w|from \w+ import )", re.M)
AT_MOST = 2_000  # characters of the beginning in which a format is looked for


def notebook_text(data: bytes, name: object) -> str:
    """The text of a notebook in UTF-8, or in UTF-16 with a BOM, as PowerShell writes it.

    name: for the message. Raises UsageError: what the file is, and the remedy.
    """
    if not data.strip():
        raise UsageError(f"{name}: an empty file; save the notebook and hand it in again")
    for begins, what in FORMATS:
        if data.startswith(begins):
            raise UsageError(f"{name}: not a notebook but {what}")
    mark, encoding = next(((m, e) for m, e in BOMS if data.startswith(m)), (b"", "utf-8"))
    try:
        return data[len(mark) :].decode(encoding)
    except UnicodeDecodeError:
        told = "not UTF-8 text" if encoding == "utf-8" else "neither UTF-8 nor whole UTF-16 text"
        raise UsageError(f"{name}: cannot be read ({told}); hand in the .ipynb file") from None


def what_it_is(text: str) -> str:
    """What a text is that is no JSON, and the remedy."""
    begin = text[:AT_MOST]
    if not text.strip():
        return "an empty file; save the notebook and hand it in again"
    if PAGE.match(begin):
        return f"not a notebook but a web page{_of_page(text)}; download the .ipynb file itself"
    if begin.startswith(POINTER):
        return "not a notebook but a Git LFS pointer to one; run git lfs pull, or send the file"
    if CONFLICT.search(text):
        return (
            "not a notebook: it holds the marks of a merge conflict (<<<<<<<); settle it in Git, "
            "or hand in a copy from before"
        )
    if _is_json(text):
        return "JSON, but not a notebook, which has cells; hand in the .ipynb file itself"
    if not begin.lstrip().startswith(("{", "[")):
        if EXPORT.search(begin):
            return "not a notebook but Python, exported from one; hand in the .ipynb file itself"
        return "not a notebook but some other text; hand in the .ipynb file itself"
    return "not a notebook (its JSON is broken or cut short); download it again"


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _of_page(text: str) -> str:
    """What its title says, in brackets: a page to log in, or the notebook as a site shows it."""
    found = re.search(r"<title[^>]{0,200}>([^<]{1,80})", text[:100_000], re.IGNORECASE)
    return f" ({shown(' '.join(found[1].split()))!r})" if found and found[1].strip() else ""


def quick_cells(text: str) -> list[tuple[str, str, str]] | None:
    """(type, grade_id, source) of a notebook's cells, with no look at the rest; None if it is none.

    Many times faster than nbformat, for a whole class's files.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError):
        return None
    cells = notebook.get("cells") if isinstance(notebook, dict) else None
    if cells is None and isinstance(notebook, dict):  # of before 2015
        sheets = notebook.get("worksheets")
        cells = sheets[0].get("cells") if sheets and isinstance(sheets[0], dict) else None
    if not isinstance(cells, list):
        return None
    return [_quick(cell) for cell in cells if isinstance(cell, dict)]


def _quick(cell: dict) -> tuple[str, str, str]:
    mark = cell.get("metadata")
    mark = mark.get("nbgrader") if isinstance(mark, dict) else None
    name = mark.get("grade_id") if isinstance(mark, dict) else ""
    source = cell.get("source", cell.get("input", ""))
    if isinstance(source, list):
        source = "".join(map(str, source))
    return str(cell.get("cell_type")), str(name or ""), str(source)


MOST_BYTES = 64 * 2**20


def read_notebook(path: Path) -> "NotebookNode":
    """A submitted notebook. Raises UsageError: what is wrong with the file, and the remedy."""
    return parse_notebook(notebook_text(read_bytes(path), path), path)


def read_bytes(path: Path) -> bytes:
    """Of a file that was handed in. Raises UsageError where it cannot be read, or is too large."""
    try:
        if path.stat().st_size > MOST_BYTES:
            most = MOST_BYTES >> 20
            raise UsageError(f"{path}: larger than {most} MiB; clear its outputs and send it again")
        return path.read_bytes()
    except FileNotFoundError:
        raise UsageError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); hand in the .ipynb file"
        ) from None


def parse_notebook(text: str, path: Path) -> "NotebookNode":
    """Like `read_notebook`, from the text of the file; `path` is only for the message."""
    import nbformat

    try:
        with warnings.catch_warnings():  # about cells of one id, say, which are no matter here
            warnings.simplefilter("ignore")
            notebook = tidy_notebook(nbformat.reads(text, as_version=4))
        language = notebook.get("metadata", {}).get("kernelspec", {}).get("language", "python")
    except (nbformat.reader.NotJSONError, RecursionError):
        raise UsageError(f"{path}: {what_it_is(text)}") from None
    except Exception as error:  # nbformat raises whatever a hostile structure provokes
        if quick_cells(text) is None:
            raise UsageError(f"{path}: {what_it_is(text)}") from None
        reason = shown(f"{type(error).__name__}: {error}"[:200])
        raise UsageError(f"{path}: not a notebook ({reason}); download it again") from None
    if str(language).lower() not in ("python", "python3"):
        kernel = shown(repr(language)[:40])
        raise UsageError(f"{path}: its kernel is for {kernel}; the course needs Python 3")
    return notebook


def tidy_notebook(notebook: "NotebookNode") -> "NotebookNode":
    """The notebook with its cells in the form that `rebuild` relies on, whatever was handed in."""
    notebook["cells"] = [_tidy(cell) for cell in notebook["cells"]]
    return notebook


def _tidy(cell: "NotebookNode") -> "NotebookNode":
    """The parts of a cell that are used, in the form that the rest can rely on."""
    source = cell.get("source", "")
    source = source if isinstance(source, str) else "".join(map(str, source))
    source = source.encode("utf-8", "replace").decode()  # JSON can hold what no file can
    metadata = cell.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    kind = cell.get("cell_type", "raw")
    from nbformat import NotebookNode

    tidied = NotebookNode(cell_type=kind, source=source, metadata=NotebookNode(metadata))
    # Untrusted and unread: `essays` takes pictures and text from them.
    tidied |= {name: cell[name] for name in ("attachments", "outputs") if name in cell}
    return tidied


ASK_ANEW = "clear its outputs, remove what is no part of the lesson, and hand it in again"
