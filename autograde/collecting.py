"""Put what students handed in where nbgrader looks for it."""

import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .errors import UsageError
from .grading import recognise
from .rebuild import MOST_BYTES, parse_notebook
from .term import STUDENT_ID, Term

COPY = re.compile(r"^(copy of |copie de |kopie von )+|[ _]*\(\d+\)$|[ _-]copy\d*$", re.IGNORECASE)
SHOWN = 200  # characters of a file's name in a message


@dataclass(frozen=True)
class Found:
    """A file that was handed in: its path below the downloads, its bytes, and its time."""

    path: PurePosixPath
    data: bytes
    time: tuple


@dataclass
class Collected:
    """placed: student/lesson of what went into submitted/. notes, unplaced: lines to read."""

    placed: list[str]
    notes: list[str]
    unplaced: list[str]


def collect(downloads: Path, term: Term) -> Collected:
    """Place every notebook found in a zip, a folder or a single file; the latest of several wins.

    The student is named by a folder (`ana/02_divergence.ipynb`) or in the file's name
    (`ana_02_divergence.ipynb`). Raises UsageError when `downloads` is nothing that can be opened.
    """
    roster = {row["id"] for row in term.roster()}
    result = Collected([], [], [])
    latest: dict[tuple[str, str], Found] = {}
    for found in sorted(_files(downloads, result), key=lambda found: (found.time, found.path)):
        try:
            lesson = _lesson(found)
            student = _student(found.path, lesson, roster)
        except UsageError as error:
            result.unplaced.append(str(error))
            continue
        if (student, lesson) in latest:
            result.notes.append(f"{found.path}: a later try of {student}; it replaces the earlier")
        latest[student, lesson] = found
    for (student, lesson), found in sorted(latest.items()):
        _place(term.submission(student, lesson), found.data)
        result.placed.append(f"{student}/{lesson}")
        if roster and student not in roster:
            result.notes.append(f"{found.path}: {student} is not on the roster; kept all the same")
    return result


def _place(target: Path, data: bytes) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    partial.write_bytes(data)
    partial.replace(target)


def _files(downloads: Path, result: Collected) -> Iterator[Found]:
    if downloads.is_dir():
        for path in sorted(downloads.rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield from _file(path, PurePosixPath(path.relative_to(downloads)), result)
    elif downloads.is_file():
        yield from _file(downloads, PurePosixPath(downloads.name), result)
    else:
        raise UsageError(f"{downloads}: no such file or folder; name what you downloaded")


def _file(path: Path, name: PurePosixPath, result: Collected) -> Iterator[Found]:
    if path.suffix == ".zip":
        yield from _zipped(path, result)
    elif path.suffix == ".ipynb" and path.stat().st_size <= MOST_BYTES:
        yield Found(name, path.read_bytes(), (path.stat().st_mtime,))
    else:
        result.unplaced.append(f"{name}: {_unfit(path.suffix)}")


def _zipped(path: Path, result: Collected) -> Iterator[Found]:
    """The notebooks in a zip. Nothing is unpacked under a name that the zip chose."""
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = PurePosixPath(entry.filename)
                if entry.is_dir() or name.name.startswith(".") or "__MACOSX" in name.parts:
                    continue
                if name.suffix == ".ipynb" and entry.file_size <= MOST_BYTES:
                    with archive.open(entry) as stream:  # no more than it says, whatever it holds
                        yield Found(name, stream.read(MOST_BYTES), entry.date_time)
                else:
                    result.unplaced.append(f"{path.name}: {name}: {_unfit(name.suffix)}")
    except (zipfile.BadZipFile, OSError, NotImplementedError, RuntimeError) as error:
        result.unplaced.append(f"{path}: not a readable zip ({error}); download it again")


def _unfit(suffix: str) -> str:
    if suffix == ".ipynb":
        return f"larger than {MOST_BYTES >> 20} MiB; ask for it without outputs"
    return "not a notebook; left where it is"


def _lesson(found: Found) -> str:
    name = Path(str(found.path)[-SHOWN:])
    try:
        text = found.data.decode("utf-8")
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8 text; ask for the .ipynb file") from None
    try:
        return recognise(name, parse_notebook(text, name))
    except UsageError:
        # A broken file is still somebody's submission: grading will say what is wrong with it.
        from .exercises import LESSONS

        for lesson in LESSONS:
            if lesson in name.stem:
                return lesson
        raise


def _student(path: PurePosixPath, lesson: str, roster: set[str]) -> str:
    """Whose file it is: a folder or a part of its name that the roster has, else what is left."""
    stem = path.stem
    while COPY.search(stem):
        stem = COPY.sub("", stem)
    words = [part for part in path.parts[:-1] if part not in (lesson, "..", "/")]
    named = [word for word in (*words[::-1], *_pieces(stem)) if word in roster]
    left = stem.replace(lesson, "").strip(" _-.")
    for word in (*named, *words[::-1], left):
        if STUDENT_ID.match(word):
            return word
    raise UsageError(f"{path}: whose it is cannot be told; name it STUDENT_{lesson}.ipynb")


def _pieces(stem: str) -> list[str]:
    """Every run of `_`-separated words in a name, longest first: an id may hold `_` itself."""
    words = stem.split("_")
    spans = [(i, j) for i in range(len(words)) for j in range(i + 1, len(words) + 1)]
    return ["_".join(words[i:j]) for i, j in sorted(spans, key=lambda span: span[0] - span[1])]
