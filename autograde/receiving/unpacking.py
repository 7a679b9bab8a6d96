"""Find the notebooks in what an LMS returns: files, folders, zips, and students' zips in those.

Nothing in it is trusted, and nothing is unpacked under a name that it chose.
"""

import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from ..common.errors import UsageError, shown
from ..term.reading import MOST_BYTES
from .platforms.gradescope import METADATA

MANIFEST = "manifest.json"
TIMESTAMP = "timestamp.txt"  # nbgrader's, for late penalties, and Sakai's
MOST_MANIFEST = 2**16
MOST_FILES, MOST_OWN_FILES = 200_000, 1_000  # in a class's zip or folder, and in a student's
MOST_OWN_NOTEBOOKS = 100  # in a student's zip
MOST_TOLD = 10  # lines on what is in one student's zip and is no notebook; the rest is counted
MOST_DIRECTORY = 2**26  # bytes of a zip's table of contents
MOST_RATIO = 100  # what a file of a class's zip unpacks to, as a multiple; notebooks reach 10
MOST_BLOATED = 256 * 2**20  # bytes that a class's zip unpacks to beyond that, in all
# Characters of a file's name, as file systems have it; folders in one another; characters of all.
MOST_NAME, MOST_PARTS, MOST_PATH = 255, 40, 1_000
# Bytes of the files in which platforms say more: of each, and of all.
MOST_NOTE, MOST_NOTES = {TIMESTAMP: 2**10, METADATA: 2**25}, 2**27
NO_NOTEBOOK = "not a notebook; left where it is"
JUNK, OTHER, LOST = "junk", "other", "lost"
HOLD_NOTEBOOKS = (".ipynb", ".zip", ".7z", ".rar", ".gz", ".tgz", ".tar")
JUNK_FOLDERS = {
    "__MACOSX", ".git", ".github", ".ipynb_checkpoints", "__pycache__", ".vscode", ".idea",
    ".Trash", "$RECYCLE.BIN", ".Trashes", ".Spotlight-V100", ".fseventsd", ".venv",
}  # fmt: skip
JUNK_NAMES = {
    ".ds_store", "thumbs.db", "desktop.ini", "index.html", ".localized", "icon\r", ".directory",
    "grades.csv", "grades.xls", "grades.xlsx", "feedbacktext.html", "comments.txt",
}  # fmt: skip
WORKSHEET = re.compile(r"(?i)grades-.*\.csv")  # Moodle's
# How the records of a zip begin: of an entry, of the end, and of the end of a large one.
ENTRY, END, WIDE_END = b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06"
BAD_ZIP = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError, NotImplementedError,
    RuntimeError, ValueError, OverflowError,
)  # fmt: skip


@dataclass(frozen=True)
class Found:
    """A notebook that was handed in.

    path: below the downloads; it says whose it is. name: the notebook's own, which says the lesson;
    the same, unless it lay in a student's own zip. batch: what it was packed with. time: the LMS's,
    or the file's. manifest: what `submit` wrote beside it. read: gives its bytes; raises BAD_ZIP.
    """

    path: PurePosixPath
    name: PurePosixPath
    batch: str
    time: datetime | None
    read: Callable[[], bytes]
    manifest: bytes | None = None

    def __str__(self) -> str:
        return shown(self.path if self.path == self.name else self.path / self.name)


@dataclass(frozen=True)
class Left:
    """What is no notebook to be taken. path, batch: as of `Found`. subject, why: what to say of it.

    kind: JUNK, of another system; OTHER, a file that somebody handed in; LOST, a notebook, or what
    may hold one. empty: it has no content.
    """

    path: PurePosixPath
    batch: str
    subject: str
    why: str
    kind: str
    empty: bool = False

    @property
    def line(self) -> str:
        return f"{self.subject}: {self.why}"


class Search:
    """Looks through downloads. left: everything that is no notebook to be taken. notes: by batch
    and path, the small files in which platforms say more.

    is_own: whether a zip at this path, which is all there is or not, is one student's; else it is
    taken for a whole class's.
    """

    def __init__(self, is_own: Callable[[PurePosixPath, bool], bool]) -> None:
        self.left: list[Left] = []
        self.notes: dict[str, dict[PurePosixPath, bytes]] = {}
        self._is_own = is_own
        self._alone = False
        self._room = MOST_NOTES
        self._opened = lru_cache(64)(zipfile.ZipFile)  # a class's is read once for each student
        self._unpacked = lru_cache(1)(_opened_own)  # and a student's once for all that is in it

    def files(self, downloads: Path) -> Iterator[Found]:
        """Every notebook in a folder, a zip or a file. Raises UsageError if it is none of these."""
        if downloads.is_dir():
            for path in self._below(downloads):
                name = PurePosixPath(path.relative_to(downloads))
                if path.is_symlink():
                    why = "a link, which is not followed; put the file there"
                    kind = JUNK if is_junk(name) else OTHER
                    self.left.append(Left(name, "", shown(name), why, kind))
                elif path.is_file():
                    yield from self._file(path, name)
        elif downloads.is_file():
            self._alone = True
            yield from self._file(downloads, PurePosixPath(downloads.name))
        else:
            raise UsageError(f"{downloads}: no such file or folder; name what you downloaded")

    def _below(self, folder: Path) -> list[Path]:
        """What lies in a folder, in order, but for what lies too deep in it, which is told.

        Raises UsageError where it is more than a class hands in.
        """
        found, waiting = [], [(folder, 0)]
        while waiting:
            one, depth = waiting.pop()
            for path in one.iterdir():
                found.append(path)
                if len(found) > MOST_FILES:
                    raise UsageError(
                        f"{folder}: holds more than {MOST_FILES} files; name one folder of it"
                    )
                if not path.is_symlink() and path.is_dir():
                    if is_too_long(PurePosixPath(path.relative_to(folder), "x")):
                        name = PurePosixPath(path.relative_to(folder).parts[0])
                        self._refuse(name, "", "holds folders too deep in one another, left out")
                    elif not (path.name in JUNK_FOLDERS and depth):
                        waiting.append((path, depth + 1))
        return sorted(found)

    def _file(self, path: Path, name: PurePosixPath) -> Iterator[Found]:
        size = path.stat().st_size
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if self._put_aside(name, "", size, path.read_bytes):
            return
        if name.suffix.lower() == ".zip":
            yield from self._opening(name, "", lambda: self._top_zip(path, name, time, size))
        elif unfit := _unfit(name, size):
            self._refuse(name, "", unfit)
        else:
            yield Found(name, name, "", time, path.read_bytes)

    def _put_aside(
        self, name: PurePosixPath, batch: str, size: int, read: Callable[[], bytes]
    ) -> bool:
        """Whether it is a platform's note, or junk of another system; it is kept as that."""
        most = MOST_NOTE.get(name.name, 0)
        if most and size <= min(most, self._room):
            self._room -= size
            with suppress(*BAD_ZIP):
                self.notes.setdefault(batch, {})[name] = read()
        if most or is_junk(name):
            self.left.append(Left(name, batch, shown(name), NO_NOTEBOOK, JUNK, not size))
            return True
        return False

    def _refuse(
        self, name: PurePosixPath, batch: str, why: str, where: str = "", empty: bool = False
    ) -> None:
        holds = name.suffix.lower() in HOLD_NOTEBOOKS
        kind = LOST if holds else OTHER
        self.left.append(Left(name, batch, f"{where}{shown(name)}", why, kind, empty))

    def _opening(
        self, name: PurePosixPath, batch: str, opened: Callable[[], Iterator[Found]]
    ) -> Iterator[Found]:
        """What is found in a zip, until it turns out to be none or too much."""
        try:
            yield from opened()
        except UsageError as error:
            self._refuse(name, batch, f"not opened: {error}; ask for the .ipynb file")
        except BAD_ZIP as error:
            self._refuse(name, batch, f"not a readable zip ({shown(error)}); download it again")

    def _top_zip(
        self, path: Path, name: PurePosixPath, time: datetime, size: int
    ) -> Iterator[Found]:
        with path.open("rb") as file:
            _require_few(file, MOST_FILES)
        archive = self._opened(path)
        packed = any(entry.filename == MANIFEST for entry in archive.infolist())
        if packed or self._is_own(name, self._alone):
            yield from self._own_zip(archive, Found(name, name, "", time, path.read_bytes))
        else:
            yield from self._class_zip(path, name)

    def _class_zip(self, path: Path, zip_name: PurePosixPath) -> Iterator[Found]:
        batch, where = str(zip_name), f"{shown(zip_name)}: "
        archive = self._opened(path)
        entries = _entries(archive, MOST_FILES)
        if sum(entry.compress_size for entry in entries) > path.stat().st_size:
            raise UsageError("its files lie on one another, as no packer writes them")
        fits = _within(entries)
        for entry in entries:
            name = _cut(_name(entry)) if is_too_long(_name(entry)) else _name(entry)

            def read(entry: zipfile.ZipInfo = entry) -> bytes:
                return _content(self._opened(path), entry)

            unsafe = _unsafe(entry)
            if not unsafe and self._put_aside(name, batch, entry.file_size, read):
                continue
            if not unsafe and entry.filename not in fits:
                unsafe = (
                    f"unpacks to {entry.file_size >> 20} MiB, {MOST_RATIO} times its size and more;"
                    " ask for it without outputs"
                )
            found = Found(name, name, batch, _time(entry), read)
            if not unsafe and name.suffix.lower() == ".zip":
                yield from self._opening(name, batch, lambda found=found: self._inner_zip(found))
            elif unfit := unsafe or _unfit(name, entry.file_size):
                if not is_junk(name):
                    self._refuse(name, batch, unfit, where, not entry.file_size)
            else:
                yield found

    def _inner_zip(self, packed: Found) -> Iterator[Found]:
        _require_few(BytesIO(packed.read()), MOST_OWN_FILES)
        yield from self._own_zip(self._unpacked(packed.read), packed)

    def _own_zip(self, archive: zipfile.ZipFile, packed: Found) -> Iterator[Found]:
        """The notebooks in one student's zip. Whose they are, and when they came, it cannot say."""
        entries = _entries(archive, MOST_OWN_FILES)
        if (total := sum(entry.file_size for entry in entries)) > MOST_BYTES:
            raise UsageError(f"it unpacks to {total >> 20} MiB, more than {MOST_BYTES >> 20}")
        beside = [entry for entry in entries if entry.filename == MANIFEST]
        fits = beside and not _unsafe(beside[0]) and beside[0].file_size <= MOST_MANIFEST
        manifest = _content(archive, beside[0]) if fits else None
        notebooks = sum(_name(entry).suffix.lower() == ".ipynb" for entry in entries)
        if notebooks > MOST_OWN_NOTEBOOKS:
            raise UsageError(f"it holds {notebooks} notebooks, more than {MOST_OWN_NOTEBOOKS}")
        told = 0
        for entry in entries:
            name = _name(entry)
            if entry in beside or is_junk(name):
                continue
            if unfit := _unsafe(entry) or _unfit(name, entry.file_size):
                holds = name.suffix.lower() in HOLD_NOTEBOOKS
                subject = f"{shown(packed.path)}: {shown(name)}"
                told += 1
                kind = JUNK if told > MOST_TOLD else LOST if holds else OTHER
                self.left.append(Left(packed.path, packed.batch, subject, unfit, kind))
                continue
            yield Found(
                packed.path, name, packed.batch, packed.time,
                lambda entry=entry: _content(self._unpacked(packed.read), entry),
                manifest,
            )  # fmt: skip


def is_junk(path: PurePosixPath) -> bool:
    """Whether editors, operating systems, Git or a platform put it there, and no student."""
    name = path.name
    return (
        any(part in JUNK_FOLDERS for part in path.parts[:-1])
        or name.lower() in JUNK_NAMES
        or name.startswith(("._", "~$", ".~", ".git"))
        or name.endswith(("~", ".swp", ".lnk"))
        or bool(WORKSHEET.fullmatch(name))
    )


def is_too_long(path: PurePosixPath) -> bool:
    """Whether a path is one that no platform and no file system has; then nobody reads it."""
    return (
        len(str(path)) > MOST_PATH
        or len(path.parts) > MOST_PARTS
        or any(len(part) > MOST_NAME for part in path.parts)
    )


def _cut(path: PurePosixPath) -> PurePosixPath:
    """What stands for a path that is too long: its outermost folder, which may say whose it is."""
    first = path.parts[0] if len(path.parts) > 1 else ""
    return PurePosixPath(first[:MOST_NAME], f"…{path.name[-20:]}")


def _opened_own(read: Callable[[], bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(BytesIO(read()))


def _require_few(file: BinaryIO, most: int) -> None:
    """Raise UsageError where a zip's table of contents has more entries: before it is read, as that
    takes a kilobyte and more of memory for each."""
    end = file.seek(0, os.SEEK_END)
    file.seek(max(end - MOST_DIRECTORY, 0))
    tail = file.read()
    at = tail.rfind(END)
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("it has no end: cut short, or no zip")
    size = struct.unpack_from("<I", tail, at + 12)[0]
    wide = tail.rfind(WIDE_END, 0, at)
    if size == 2**32 - 1 and wide >= 0:  # of more than 4 GiB
        size, at = struct.unpack_from("<Q", tail, wide + 40)[0], wide
    if size > end:
        raise zipfile.BadZipFile("its table of contents is not whole")
    if size > MOST_DIRECTORY:
        raise UsageError(f"its table of contents is longer than {MOST_DIRECTORY >> 20} MiB")
    if (there := tail.count(ENTRY, max(at - size, 0), at)) > most:
        raise UsageError(f"it holds {there} files, more than {most}")


def _within(entries: list[zipfile.ZipInfo]) -> set[str]:
    """The names of those that may be unpacked: all that unpack to what files do, and of others,
    runaway prints and bombs alike, the smallest, as long as they come to no more than MOST_BLOATED.
    """
    fits, left = set(), MOST_BLOATED
    for entry in sorted(entries, key=lambda entry: entry.file_size):
        if entry.file_size > MOST_RATIO * entry.compress_size:
            left -= entry.file_size
            if left < 0:
                continue
        fits.add(entry.filename)
    return fits


def _entries(archive: zipfile.ZipFile, most_files: int) -> list[zipfile.ZipInfo]:
    """What is in a zip, but for folders. Raises UsageError if it is a bomb."""
    entries = archive.infolist()
    if len(entries) > most_files:
        raise UsageError(f"it holds {len(entries)} files, more than {most_files}")
    return [entry for entry in entries if not entry.is_dir()]


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes: zipfile reads no more than it declares, and what is declared is bounded."""
    with archive.open(entry) as stream:
        return stream.read()


def _name(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))  # as some packers on Windows write


def _unsafe(entry: zipfile.ZipInfo) -> str:
    """Why an entry is not read at all; nothing when it may be."""
    name = _name(entry)
    if is_too_long(name):
        return "its name is too long; ask for it again"
    if name.is_absolute() or ".." in name.parts or re.match(r"[A-Za-z]:", str(name)):
        return "its path leads out of the zip; ask for it again"
    if stat.S_ISLNK(entry.external_attr >> 16):
        return "a link, which is not followed; ask for the file itself"
    if entry.flag_bits & 1:
        return "locked with a password; ask for it without"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "packed in an unusual way; ask for an ordinary zip"  # others unpack without a bound
    if entry.file_size > MOST_BYTES:
        return _unfit(name, entry.file_size)
    return ""


def _unfit(name: PurePosixPath, size: int) -> str:
    """Why a file is not taken; nothing when it is a notebook."""
    if size > MOST_BYTES:
        return f"larger than {MOST_BYTES >> 20} MiB; ask for it without outputs"
    return "" if name.suffix.lower() == ".ipynb" else NO_NOTEBOOK


def _time(entry: zipfile.ZipInfo) -> datetime | None:
    """When the entry was written: in UTC where it says so, else by the clock of this machine."""
    extra = entry.extra
    while len(extra) >= 4:
        kind, size = struct.unpack_from("<HH", extra)
        if kind == 0x5455 and size >= 5 and len(extra) >= 9 and extra[4] & 1:  # extended timestamp
            return datetime.fromtimestamp(struct.unpack_from("<i", extra, 5)[0], UTC)
        extra = extra[4 + size :]
    try:
        written = datetime(*entry.date_time)
    except ValueError:
        return None
    return None if written.year == 1980 else written.astimezone(UTC)  # 1980: nothing was written
