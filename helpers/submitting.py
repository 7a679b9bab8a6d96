"""Hand in a lesson: say what is missing in it, pack it, and give it to whoever takes it here.

What is handed in is one zip, `02_divergence.zip`, with the notebook, without outputs but those that
an essay's rubric asks about, and a manifest.json: the lesson, the course's version, the time, and
the notebook's SHA-256. A zip and not a second notebook, because a copy that opens beside the
original is one that somebody goes on working in. Every learning platform takes a zip, and
`autograde collect` finds the notebook in it.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib import metadata, util
from io import BytesIO
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

from .checking import lesson_exercises, state

DISTRIBUTIONS = ("stable-policy-updates-student", "stable-policy-updates")
BY_HAND = "save the notebook and hand in the .ipynb file itself"
ESSAY_STUB = "YOUR ANSWER HERE"
DUE = "due"  # in a notebook's metadata: a time with its zone
EVIDENCE = "evidence"  # in a cell's metadata: the essays whose rubrics ask about what it shows
SEEN = ("image/png", "image/jpeg", "text/plain")
# Characters: of all outputs that are kept, of which a figure has some 100,000; of one that prints.
MOST_KEPT, MOST_PRINTED = 12 * 2**20, 20_000
Notebook = dict[str, Any]


class NotPackedError(Exception):
    """One sentence: why nothing was packed, and what to do."""


def submit(lesson: str, path: str | Path | None = None) -> None:
    """Say what of the lesson is unwritten or failing, pack the notebook, and hand it over.

    lesson: "02_divergence", say. path: the notebook's file, where it cannot be told.
    On Google Colab the browser downloads the zip. Elsewhere it is written beside the notebook, from
    the file as it was last saved; nbgrader's exchange takes it too, where one is set up.
    Never raises: what goes wrong is said, and the notebook is only read.
    """
    scope = sys._getframe(1).f_globals  # the notebook's names, so that the cell need not pass them
    if os.environ.get("NBGRADER_EXECUTION"):  # it validates or grades: nobody has asked to hand in
        print("Nothing is handed in: nbgrader runs this notebook.")
        return
    try:
        lesson_exercises(lesson)  # raises where there is no such lesson
        if _on_colab():
            _submit_on_colab(lesson, scope)
        else:
            _submit_file(lesson, path, scope)
    except NotPackedError as problem:
        print(problem)
    except Exception as error:  # whatever it was, a student still has to hand in
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(f"{lesson} could not be packed ({reason}); {BY_HAND}.")


def _on_colab() -> bool:
    """Told by what Colab gives the notebook with: there are packages that only bear its name."""
    try:
        from google.colab import _message  # noqa: F401
    except ImportError:
        return False
    return True


def _submit_on_colab(lesson: str, scope: Mapping[str, Any]) -> None:
    from google.colab import _message, files

    answer = _message.blocking_request("get_ipynb", request="", timeout_sec=60)
    if not answer:
        raise NotPackedError("Colab did not give the notebook; run this cell again.")
    notebook = answer["ipynb"]
    _say_what_is_missing(lesson, notebook, scope)
    target = _write(Path(f"{lesson}.zip"), lesson, notebook)
    files.download(str(target))
    print(f"Your browser downloads {target.name}: hand in that file.")


def _submit_file(lesson: str, path: str | Path | None, scope: Mapping[str, Any]) -> None:
    source, notebook = _notebook(lesson, path, scope)
    _say_what_is_missing(lesson, notebook, scope)
    target = _write(source.with_name(f"{lesson}.zip"), lesson, notebook)
    saved = datetime.fromtimestamp(source.stat().st_mtime)
    print(f"Packed {source.name}, as it was saved at {saved:%H:%M:%S on %d %B}, into")
    print(f"  {target.absolute()}")
    course = _hand_to_exchange(lesson, source, notebook)
    unsaved = [name for name in lesson_exercises(lesson) if _is_unsaved(name, notebook, scope)]
    if course:
        print(f"Handed in: nbgrader has it, for {course}.")
    elif not unsaved:
        print("Hand in that zip.")
    if unsaved:
        print(
            f"NOT UP TO DATE: the saved file has another {', '.join(unsaved)} than you ran. Save "
            "the notebook (Ctrl+S) and run this cell again."
        )


def _notebook(
    lesson: str, path: str | Path | None, scope: Mapping[str, Any]
) -> tuple[Path, Notebook]:
    """The file that is the notebook, and what is in it."""
    for place in [Path(path).expanduser()] if path else _places(lesson, scope):
        if place.is_file():
            notebook = _read(place)
            if _is_of(lesson, notebook):
                return place, notebook
    looked = f"{path} is no file of this lesson" if path else "the notebook's file was not found"
    raise NotPackedError(
        f'{lesson} is not packed, as {looked}: save it and run submit("{lesson}", '
        f'"path/to/{lesson}.ipynb") with its path, or {BY_HAND}.'
    )


def _places(lesson: str, scope: Mapping[str, Any]) -> Iterator[Path]:
    """Where the notebook may be: as VS Code says, as Jupyter's server says, and by its name."""
    for told in (scope.get("__vsc_ipynb_file__"), os.environ.get("JPY_SESSION_NAME")):
        if told:
            yield Path(told)
    yield Path(f"{lesson}.ipynb")


def _read(path: Path) -> Notebook:
    try:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        _sources(notebook)
    except OSError as error:
        raise NotPackedError(f"{path}: cannot be read ({error.strerror}); {BY_HAND}.") from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise NotPackedError(f"{path}: not a whole notebook; save it again, then submit.") from None
    return notebook


def _sources(notebook: Notebook) -> list[str]:
    return ["".join(cell["source"]).strip() for cell in notebook["cells"]]


def _is_of(lesson: str, notebook: Notebook) -> bool:
    return any(
        _binds(name, text) for name in lesson_exercises(lesson) for text in _sources(notebook)
    )


def _binds(name: str, source: str) -> bool:
    return bool(re.search(rf"(?m)^(def +{name}\b|{name}\s*(:[^=\n]+)?=(?!=))", source))


def _is_unsaved(name: str, notebook: Notebook, scope: Mapping[str, Any]) -> bool:
    """Whether the cell that defined this exercise, as it was last run, is not in the saved file."""
    shell = scope["get_ipython"]() if "get_ipython" in scope else None
    typed = shell.history_manager.input_hist_raw if shell else ()
    ran = [cell.strip() for cell in typed if _binds(name, cell)]
    return bool(ran) and ran[-1] not in _sources(notebook)


def _say_what_is_missing(lesson: str, notebook: Notebook, scope: Mapping[str, Any]) -> None:
    """One line for each state that an exercise can be in other than right; essays by their text."""
    found: dict[str, list[str]] = {}
    for name in lesson_exercises(lesson):
        found.setdefault(state(name, scope), []).append(name)
    for cell in notebook["cells"]:
        known = cell.get("metadata") or {}
        mark = known.get("nbgrader") or {}
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown" and mark.get("solution") and text.strip() == ESSAY_STUB:
            found.setdefault("essay not written yet, in its own cell", []).append(
                mark.get("grade_id", "an essay")
            )
        if known.get(EVIDENCE) and not cell.get("outputs"):
            unseen = found.setdefault("run the cells that this essay's rubric asks about", [])
            unseen += [name for name in known[EVIDENCE] if name not in unseen]
    found.pop("", None)
    if not found:
        print(f"{lesson}: everything is written and passes its visible cases.")
        return
    print(f"{lesson} can be handed in as it is. Still open in it:")
    for status, names in found.items():
        print(f"  {status}: {', '.join(names)}")


def _write(target: Path, lesson: str, notebook: Notebook) -> Path:
    """Pack into `target`, whole or not at all."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        partial.write_bytes(_packed(lesson, notebook))
        partial.replace(target)
    except OSError as error:
        raise NotPackedError(
            f"{target.absolute()} cannot be written ({error.strerror}); {BY_HAND}."
        ) from None
    finally:
        partial.unlink(missing_ok=True)
    return target


def _packed(lesson: str, notebook: Notebook) -> bytes:
    data = json.dumps(_without_outputs(notebook), indent=1).encode()
    manifest = {
        "lesson": lesson,
        "version": _version(),
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    packed = BytesIO()
    with ZipFile(packed, "w", ZIP_DEFLATED) as archive:
        archive.writestr(f"{lesson}.ipynb", data)
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))
    return packed.getvalue()


def _without_outputs(notebook: Notebook) -> Notebook:
    """A copy as small as what was written in it; widgets keep their state in the metadata.

    Where an essay's rubric asks about what a cell shows, its pictures and its text stay.
    """
    room = MOST_KEPT
    cells = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            asked = (cell.get("metadata") or {}).get(EVIDENCE)
            kept = _seen(cell.get("outputs") or []) if asked else []
            size = len(json.dumps(kept))
            kept = kept if size <= room else []
            room -= size if kept else 0
            cell = cell | {"outputs": kept, "execution_count": None}
        cells.append(cell)
    kept = {name: value for name, value in notebook["metadata"].items() if name != "widgets"}
    return notebook | {"cells": cells, "metadata": kept}


def _seen(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of a cell's outputs what is a picture or text."""
    kept = []
    for output in outputs:
        data = output.get("data") or {}
        shown = {kind: data[kind] for kind in SEEN if kind in data}
        if shown and not any("widget" in kind for kind in data):
            kept.append({"output_type": "display_data", "metadata": {}, "data": shown})
        elif output.get("output_type") == "error":
            kept.append(output)
        elif output.get("name") == "stdout":
            kept.append(output | {"text": "".join(output["text"])[:MOST_PRINTED]})
    return kept


def _version() -> str:
    for name in DISTRIBUTIONS:
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _hand_to_exchange(lesson: str, source: Path, notebook: Notebook) -> str:
    """The course whose nbgrader exchange took it; nothing where there is none, or it did not."""
    folder = source.absolute().parent
    course, cache = _exchange(folder.parent) if util.find_spec("nbgrader") else ("", Path())
    if not course:
        return ""
    if (folder.name, source.name) != (lesson, f"{lesson}.ipynb"):
        print(
            f"nbgrader takes only {lesson}/{lesson}.ipynb, and this is {folder.name}/{source.name}."
        )
        return ""
    if not _is_wanted(course, _handed_in(cache / course, lesson), _due(notebook)):
        print("Not handed in: nbgrader has what it had.")
        return ""
    # A process of its own: nbgrader's application and the kernel's do not go together in one.
    done = subprocess.run(
        [sys.executable, "-m", "nbgrader", "submit", lesson],
        cwd=folder.parent, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no reason given"]
        print(f"nbgrader did not take it ({said[-1]}).")
        return ""
    return course


def _is_wanted(course: str, before: datetime | None, due: datetime | None) -> bool:
    """Ask: running all cells is not yet handing in. Where nobody can answer, the answer is no."""
    if before:
        print(f"You handed this lesson in at {before:%H:%M on %d %B} UTC; that is replaced.")
    if due and datetime.now(UTC) > due:
        print(f"It was due at {due:%H:%M on %d %B} UTC: it will count as late.")
    try:
        return input(f"Hand in for {course} now? Type yes: ").strip().casefold() in ("yes", "y")
    except (EOFError, NotImplementedError, OSError):  # no one is there, as in a batch run
        return False


def _handed_in(cache: Path, lesson: str) -> datetime | None:
    """When nbgrader last took this lesson from here: it keeps what it took, named by the time."""
    found = []
    for kept in cache.glob(f"*+{lesson}+*"):
        stamp = " ".join(kept.name.split("+")[2].split()[:2])  # 2026-11-29 14:17:09.000001 UTC
        try:
            found.append(datetime.fromisoformat(stamp).replace(tzinfo=UTC))
        except ValueError:
            continue
    return max(found, default=None)


def _due(notebook: Notebook) -> datetime | None:
    """When it is due, where whoever released the notebook has set a date; `autograde init` writes
    it."""
    try:
        return datetime.fromisoformat(notebook["metadata"][DUE]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        return None


def _exchange(folder: Path) -> tuple[str, Path]:
    """The course that nbgrader's settings name, if its exchange is there to take submissions, and
    where nbgrader keeps what was handed in from here."""
    from jupyter_core.paths import jupyter_config_path, jupyter_data_dir
    from traitlets.config import Config, ConfigFileNotFound, PyFileConfigLoader

    config = Config()
    for place in (*reversed(jupyter_config_path()), str(folder)):
        try:
            config.merge(PyFileConfigLoader("nbgrader_config.py", path=place).load_config())
        except ConfigFileNotFound:
            continue
    course = config.CourseDirectory.get("course_id", "")
    root = config.Exchange.get("root", "/usr/local/share/nbgrader/exchange")
    cache = config.Exchange.get("cache", "") or Path(jupyter_data_dir(), "nbgrader_cache")
    there = course and Path(root, course, "inbound").is_dir()
    return (course if there else ""), Path(cache)
