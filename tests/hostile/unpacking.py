"""Attacks by what lies among the downloads: zips, names, links and what is no file."""

import io
import os
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.entry import LESSON, SCRIPT, Download, solved_text

NAME = f"{LESSON}.ipynb"


def _zip(name: str, fill: Callable[[zipfile.ZipFile], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        with zipfile.ZipFile(folder / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            fill(archive)

    return make


def _bytes(name: str, change: Callable[[bytearray], bytes]) -> Callable[[Path], None]:
    """An ordinary zip of one notebook, changed."""

    def make(folder: Path) -> None:
        held = io.BytesIO()
        with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(NAME, solved_text())
        (folder / f"{name}.zip").write_bytes(change(bytearray(held.getvalue())))

    return make


def _central(data: bytearray) -> int:
    return data.rindex(b"PK\x01\x02")


def _sized(data: bytearray, size: int) -> bytes:
    struct.pack_into("<I", data, _central(data) + 24, size)
    return bytes(data)


def _locked(data: bytearray) -> bytes:
    for at, offset in ((0, 6), (_central(data), 8)):
        data[at + offset] |= 1
    return bytes(data)


def _empty_entries(number: int) -> Callable[[Path], None]:
    """A zip that is a list of so many files, of which none is there."""

    def make(folder: Path) -> None:
        entry = struct.pack("<4s4B4HL2L5H2L", b"PK\x01\x02", 20, 0, 20, 0, 0, 0, 0, 33, 0, 0, 0, 8,
                            0, 0, 0, 0, 0, 0)  # fmt: skip
        listed = b"".join(entry + b"%08d" % n for n in range(number))
        count, size = min(number, 0xFFFF), len(listed)
        big = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, number, number, size, 0)
        place = struct.pack("<4sLQL", b"PK\x06\x07", 0, size, 1)
        end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, count, count, size, 0, 0)
        (folder / "a-million.zip").write_bytes(listed + big + place + end)

    return make


def _nested(archive: zipfile.ZipFile) -> None:
    held = b"x"
    for _ in range(50):
        inner = io.BytesIO()
        with zipfile.ZipFile(inner, "w") as one:
            one.writestr("n.zip", held)
        held = inner.getvalue()
    archive.writestr("h000_1_2_n.zip", held)


def _names(archive: zipfile.ZipFile) -> None:
    for number, name in enumerate((
        "../../h000/x", "/etc/x", "C:\\x", "a\x1b[2J\x07\u202e", "b\nautograde: 100 of 100 points",
        "é", "e\u0301", "NUL", "a" * 300, "/".join("d" * 200), SCRIPT, "'; drop table grade; --",
        "=cmd|' /C calc'!A0", ";=1+1", "-rf", "...", " ", "\ufeff", "%s%n{0}",
    )):  # fmt: skip
        archive.writestr(f"{name}_{number}_{number}_{NAME}", solved_text())
        archive.writestr(f"{name}.txt", "x")


def _folders(archive: zipfile.ZipFile) -> None:
    for number in range(400):
        archive.writestr(f"somebody_{number}_{number}_{'x/' * 40}{number}.ipynb", "{}")


def _odd_files(folder: Path) -> None:
    place = folder / "odd"
    place.mkdir()
    os.mkfifo(place / NAME)
    (place / "link.ipynb").symlink_to("/etc/passwd")
    (place / "loop").symlink_to("..")
    (place / "gone.ipynb").symlink_to("nowhere")
    for name in ("a\nautograde: h000: 100 of 100 points.ipynb", "b\x1b[2J\x1b]0;x\x07.ipynb",
                 "c\u202egnp.ipynb", "d\udcff.ipynb", "-rf.ipynb", "=1+1.ipynb",
                 f"{'<b>' * 60}.ipynb"):  # fmt: skip
        (place / name).write_text(solved_text())


def packing() -> Iterator[Download]:
    """Zips."""
    yield Download("bomb", "a zip that unpacks to 400 MB of a notebook",
                   _zip("bomb", lambda z: z.writestr(f"somebody_1_1_{NAME}", bytes(400 * 2**20))),
                   "bomb.zip")  # fmt: skip
    yield Download("size-more", "a zip that tells 4 GB of a file of some KB",
                   _bytes("size-more", lambda d: _sized(d, 0xFFFFFFF0)),
                   "size-more.zip")  # fmt: skip
    yield Download("size-less", "a zip that tells one byte of a file of some KB",
                   _bytes("size-less", lambda d: _sized(d, 1)), "Bad CRC-32")  # fmt: skip
    yield Download("locked", "a zip with a password", _bytes("locked", _locked), "locked.zip")
    yield Download("cut", "a zip that was cut short",
                   _bytes("cut", lambda d: bytes(d[: len(d) // 2])), "cut.zip")  # fmt: skip
    yield Download("lzma", "a zip packed in another way",
                   lambda f: _lzma(f / "lzma.zip"), "lzma.zip")  # fmt: skip
    yield Download("nested", "a zip in a zip, 50 deep", _zip("nested", _nested), "h000_1_2_n.zip")
    yield Download("a-million", "a zip that lists a million files", _empty_entries(10**6),
                   "a-million.zip")  # fmt: skip
    yield Download("names", "a zip with names that lead out, forge lines and hide",
                   _zip("names", _names), "names.zip")  # fmt: skip
    yield Download("folders", "a zip of 3,000 notebooks in folders 40 deep",
                   _zip("folders", _folders), "folders.zip")  # fmt: skip


def _lzma(path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr(NAME, bytes(2**20))


def lying() -> Iterator[Download]:
    """Files that are none, and names."""
    yield Download("odd-files", "pipes, links and names with escapes and ends of lines", _odd_files)


KINDS = (packing, lying)
