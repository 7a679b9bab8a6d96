"""Files that we write for people: whole, or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import UsageError, is_disk_full


def require_target(target: Path, suffix: str) -> None:
    """Raise UsageError for a file that cannot be meant: another suffix, a folder, no folder."""
    if target.suffix.lower() != suffix:
        raise UsageError(f"{target}: is written as {suffix}; name a file that ends in {suffix}")
    if target.is_dir():
        raise UsageError(f"{target}: is a folder; name a file in it")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent}: no such folder; make it, or name another file")


def require_place(folder: Path) -> None:
    """Raise UsageError for a folder that cannot be made, as it would lie in a file."""
    above = next(path for path in folder.absolute().parents if path.exists())
    if not above.is_dir():
        raise UsageError(f"{above}: is a file; name a folder that does not lie in it")


def begun_beside(folder: Path) -> Path:
    """A new folder beside `folder`, to take its place when it is whole. Raises UsageError, by the
    name that is meant, where none can be made."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
    except OSError as error:
        if is_disk_full(error):
            raise
        raise UsageError(
            f"{folder}: cannot be made ({error.strerror}); name a place that you may write to"
        ) from None
    return partial


@contextmanager
def partial_file(target: Path) -> Iterator[Path]:
    """A file beside `target` to write to, which takes its place when all is written.

    Raises UsageError when it cannot be written there.
    """
    partial = target.with_name(target.name + ".partial")
    try:
        yield partial
        partial.replace(target)
    except OSError as error:
        raise UsageError(f"{target}: cannot be written ({error.strerror}); name another") from None
    finally:
        partial.unlink(missing_ok=True)


def write_whole(target: Path, data: bytes) -> Path:
    """Write a file by way of a partial one. Raises UsageError when it cannot be written there."""
    with partial_file(target) as partial:
        partial.write_bytes(data)
    return target
