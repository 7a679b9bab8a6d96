"""Find the notebooks in what an LMS returns: files, folders, zips, and students' zips in those.

Nothing in it is trusted, and nothing is unpacked under a name that it chose.
"""

import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath

from .errors import UsageError
from .rebuild import MOST_BYTES

MANIFEST = "manifest.json"
MOST_MANIFEST = 2**16
MOST_FILES, MOST_OWN_FILES = 200_000, 1_000  # in a class's zip, and in a student's
MOST_RATIO = 100  # what a class's zip unpacks to, as a multiple of its size; notebooks reach 10
SHOWN = 200  # characters of a file's name in a message
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


def shown(text: object) -> str:
    """What somebody else chose, a path say, as a message may hold it."""
    return "".join(c if c.isprintable() else "?" for c in str(text))[-SHOWN:]


class Search:
    """Looks through downloads. refused: a line for everything that is no notebook to be taken.

    is_own: whether a zip at this path, which is all there is or not, is one student's; else it is
    taken for a whole class's.
    """

    def __init__(self, is_own: Callable[[PurePosixPath, bool], bool]) -> None:
        self.refused: list[str] = []
        self._is_own = is_own
        self._alone = False
        self._opened = lru_cache(64)(zipfile.ZipFile)  # a class's is read once for each student

    def files(self, downloads: Path) -> Iterator[Found]:
        """Every notebook in a folder, a zip or a file. Raises UsageError if it is none of these."""
        if downloads.is_dir():
            for path in sorted(downloads.rglob("*")):
                if path.is_file() and not path.is_symlink():
                    yield from self._file(path, PurePosixPath(path.relative_to(downloads)))
        elif downloads.is_file():
            self._alone = True
            yield from self._file(downloads, PurePosixPath(downloads.name))
        else:
            raise UsageError(f"{downloads}: no such file or folder; name what you downloaded")

    def _file(self, path: Path, name: PurePosixPath) -> Iterator[Found]:
        size = path.stat().st_size
        time = datetime.fromtimestamp(path.stat().st_mtime, UTC)
        if name.suffix.lower() == ".zip":
            yield from self._opening(name, lambda: self._top_zip(path, name, time, size))
        elif unfit := _unfit(name, size):
            self.refused.append(f"{shown(name)}: {unfit}")
        else:
            yield Found(name, name, "", time, path.read_bytes)

    def _opening(
        self, name: PurePosixPath, opened: Callable[[], Iterator[Found]]
    ) -> Iterator[Found]:
        """What is found in a zip, until it turns out to be none or too much."""
        try:
            yield from opened()
        except UsageError as error:
            self.refused.append(f"{shown(name)}: not opened: {error}; ask for the .ipynb file")
        except BAD_ZIP as error:
            self.refused.append(f"{shown(name)}: not a readable zip ({error}); download it again")

    def _top_zip(
        self, path: Path, name: PurePosixPath, time: datetime, size: int
    ) -> Iterator[Found]:
        archive = self._opened(path)
        packed = any(entry.filename == MANIFEST for entry in archive.infolist())
        if packed or self._is_own(name, self._alone):
            yield from self._own_zip(archive, Found(name, name, "", time, path.read_bytes))
        else:
            yield from self._class_zip(path, name, MOST_RATIO * size + MOST_BYTES)

    def _class_zip(self, path: Path, zip_name: PurePosixPath, most: int) -> Iterator[Found]:
        for entry in _entries(self._opened(path), MOST_FILES, most):
            name = _name(entry)
            unsafe = _unsafe(entry)
            found = Found(
                name, name, str(zip_name), _time(entry),
                lambda entry=entry: _content(self._opened(path), entry),
            )  # fmt: skip
            if not unsafe and name.suffix.lower() == ".zip":
                yield from self._opening(name, lambda found=found: self._inner_zip(found))
            elif unfit := unsafe or _unfit(name, entry.file_size):
                self.refused.append(f"{shown(zip_name)}: {shown(name)}: {unfit}")
            else:
                yield found

    def _inner_zip(self, packed: Found) -> Iterator[Found]:
        with zipfile.ZipFile(BytesIO(packed.read())) as archive:
            yield from self._own_zip(archive, packed)

    def _own_zip(self, archive: zipfile.ZipFile, packed: Found) -> Iterator[Found]:
        """The notebooks in one student's zip. Whose they are, and when they came, it cannot say."""
        entries = _entries(archive, MOST_OWN_FILES, MOST_BYTES)
        beside = [entry for entry in entries if entry.filename == MANIFEST]
        fits = beside and not _unsafe(beside[0]) and beside[0].file_size <= MOST_MANIFEST
        manifest = _content(archive, beside[0]) if fits else None
        for entry in entries:
            name = _name(entry)
            if entry in beside:
                continue
            if unfit := _unsafe(entry) or _unfit(name, entry.file_size):
                self.refused.append(f"{shown(packed.path)}: {shown(name)}: {unfit}")
                continue
            yield Found(
                packed.path, name, packed.batch, packed.time,
                lambda entry=entry: _content(zipfile.ZipFile(BytesIO(packed.read())), entry),
                manifest,
            )  # fmt: skip


def _entries(archive: zipfile.ZipFile, most_files: int, most_bytes: int) -> list[zipfile.ZipInfo]:
    """What is in a zip, but for folders and what macOS adds. Raises UsageError if it is a bomb."""
    entries = archive.infolist()
    if len(entries) > most_files:
        raise UsageError(f"it holds {len(entries)} files, more than {most_files}")
    total = sum(entry.file_size for entry in entries)
    if total > most_bytes:
        raise UsageError(f"it unpacks to {total >> 20} MiB, more than {most_bytes >> 20}")
    return [
        entry
        for entry in entries
        if not entry.is_dir() and _name(entry).name[:1] != "." and "__MACOSX" not in entry.filename
    ]


def _content(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> bytes:
    """An entry's bytes: zipfile reads no more than it declares, and what is declared is bounded."""
    with archive.open(entry) as stream:
        return stream.read()


def _name(entry: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(entry.filename.replace("\\", "/"))  # as some packers on Windows write


def _unsafe(entry: zipfile.ZipInfo) -> str:
    """Why an entry is not read at all; nothing when it may be."""
    name = _name(entry)
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
    return "" if name.suffix.lower() == ".ipynb" else "not a notebook; left where it is"


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
