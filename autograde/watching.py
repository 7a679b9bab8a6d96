"""Grade what arrives in a folder: what is whole of it goes the way of `collect`, `grade` and
`feedback`, and of nothing else.

A plain look at the folder, again and again, sees what arrives on a network drive too, where the
notices that watchdog and watchfiles wait for are not given; and a file is whole only when a second
look finds it unchanged, notice or not.
"""

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from zipfile import is_zipfile

from .common.errors import LimitError, UsageError, is_disk_full
from .common.guard import guarded
from .common.locks import held
from .common.saying import counted, say, some_of, warn
from .receiving.unpacking import JUNK_FOLDERS, MOST_FILES, MOST_NOTE, is_junk, is_too_long
from .term.reading import quick_cells
from .term.rosters import is_student_id
from .term.term import Term

EVERY = 1.0  # seconds from one look to the next
SHARE = 10  # times as long as a look took, at least, until the next
PATIENCE = 60.0  # seconds after which what is no whole notebook is taken for what it is
ARRIVING = ".autograde/arriving"  # in the term: copies of what is whole, for `collect`
# What browsers and copying programs call a file that they have not finished, after its own name.
UNFINISHED = (".crdownload", ".part", ".partial", ".filepart", ".download", ".tmp", ".opdownload")


@dataclass(frozen=True)
class Seen:
    """A file as a look finds it. stamp: other bytes have another. since: when that was first so."""

    path: Path
    stamp: str
    since: float

    @property
    def mark(self) -> str:
        """What stands for its path in the store."""
        return hashlib.sha256(os.fsencode(self.path)).hexdigest()[:32]


@dataclass
class Watch:
    """Looks at `folder`, and does all for what has arrived in it.

    workers: as of `grade` and of `feedback`. once: until all that is there is done. options: for
    `grade`.
    """

    term: Term
    folder: Path
    workers: int = 1
    once: bool = False
    options: dict[str, str] = field(default_factory=dict)
    failures: int = 0
    _took: float = 0.0
    _before: dict[Path, Seen] = field(default_factory=dict)
    _done: dict[str, str] | None = None  # as in the store
    _full: bool = False
    _away: bool = False

    def __post_init__(self) -> None:
        """Raises UsageError for a folder that cannot be meant."""
        self.folder = _require_drop_folder(self.folder, self.term)

    def run(self) -> int:
        """Look until somebody stops it. How much of what came could not be placed or graded."""
        with held(self.term.root / ".autograde" / "watch.lock", "another autograde watch"):
            say(f"{self.folder}: watched; Ctrl-C stops it")
            _warm()
            while self.look() or not self.once:
                time.sleep(max(EVERY, SHARE * self._took))
        return self.failures

    def look(self) -> list[Path]:
        """Look once, and do all for what is whole; what has arrived and is not done yet."""
        now = time.monotonic()
        try:
            there = {path: self._seen(path, stamp, now) for path, stamp in files(self.folder)}
        except OSError as error:
            self._say_away(error)
            return []
        self._away, self._took = False, time.monotonic() - now
        if self._done is None:
            self._where_there_is_room(self._recall)
        new = [one for one in there.values() if self._is_new(one)]
        ready = [] if self._done is None else [one for one in new if self._is_whole(one, now)]
        self._before = there
        if ready:
            self._where_there_is_room(lambda: self._do_all(ready))
        return [one.path for one in there.values() if self._is_new(one)]

    def _is_new(self, one: Seen) -> bool:
        return self._done is None or self._done.get(one.mark) != one.stamp

    def _seen(self, path: Path, stamp: str, now: float) -> Seen:
        before = self._before.get(path)
        return before if before and before.stamp == stamp else Seen(path, stamp, now)

    def _is_whole(self, one: Seen, now: float) -> bool:
        """Whether its writer has finished: it is as it was at the look before, and complete."""
        if self._before.get(one.path) is not one:
            return False
        if any(one.path.with_name(one.path.name + end).exists() for end in UNFINISHED):
            return False
        return now - one.since >= PATIENCE or is_complete(one.path)

    def _where_there_is_room(self, work: Callable[[], None]) -> None:
        """Do it, or say once that the disk is full, so that it is done at a later look."""
        try:
            work()
            self._full = False
        except Exception as error:
            if self.once or not is_disk_full(error):
                raise
            if not self._full:
                warn("the disk is full; free some space: what has arrived waits for it")
            self._full = True
        finally:
            shutil.rmtree(self.term.root / ARRIVING, ignore_errors=True)

    def _recall(self) -> None:
        with self.term.store() as store:
            self._done = store.arrived()

    def _do_all(self, ready: list[Seen]) -> None:
        """Collect, grade and give feedback."""
        names, unplaced = self._placed(ready)
        if names:
            self._grade(names)
        self.failures += unplaced
        now = {one.mark: one.stamp for one in ready if _stamp(one.path) == one.stamp}
        with self.term.store() as store:
            store.keep_arrived(now)
        self._done |= now

    def _placed(self, ready: list[Seen]) -> tuple[list[str], int]:
        """The submissions that have arrived, by name, and how many files are in no place."""
        if self.folder == self.term.root / "submitted":
            given = self.term.lessons
            parts = (one.path.relative_to(self.folder).parts for one in ready)
            return sorted({"/".join(some[:2]) for some in parts if _is_submission(some, given)}), 0
        from .receiving.collecting import collect

        result = collect(self._copied(ready), self.term, one_by_one=True)
        for line in (*result.notes, *result.unplaced):
            warn(line)
        return sorted(result.placed), len(result.unplaced) + result.more

    def _copied(self, ready: list[Seen]) -> Path:
        """A folder with copies of these files, which nobody writes to any more, and with what a
        platform says beside them. What changes meanwhile is left for another look."""
        place = self.term.root / ARRIVING
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        beside = {one.path.parent for one in ready}
        notes = [p for p in self._before if p.name in MOST_NOTE and p.parent in beside]
        for path in {*(one.path for one in ready), *notes}:
            copy = place / path.relative_to(self.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            try:
                shutil.copy2(path, copy)
            except FileNotFoundError:
                continue
            if _stamp(path) != self._before[path].stamp:
                copy.unlink()
        return place

    def _grade(self, names: list[str]) -> None:
        from .grading.grading import grade
        from .returning.feedback import feedback

        outcome = grade(self.term, workers=self.workers, names=names, **self.options)
        pages, failed = feedback(self.term, workers=self.workers, names=names)
        for line in (*outcome.failed, *outcome.typed, *failed):
            warn(line)
        self.failures += len(outcome.failed) + len(failed)
        done = sorted(outcome.graded + outcome.skipped)
        say(
            f"{time.strftime('%H:%M:%S')}  {len(done)} graded{_named(done)}, "
            f"{len(outcome.failed)} could not be graded, {counted(len(pages), 'page')}"
        )

    def _say_away(self, error: OSError) -> None:
        if not self._away:
            self.failures += 1
            warn(f"{self.folder}: cannot be read ({error.strerror}); it is looked for again")
        self._away = True


def files(folder: Path) -> Iterator[tuple[Path, str]]:
    """Every file below a folder that may be handed in, and its stamp; no links.

    Raises OSError where the folder itself cannot be read.
    """
    waiting, count = [folder], 0
    while waiting:
        one = waiting.pop()
        try:
            entries = list(os.scandir(one))
        except OSError:
            if one == folder:
                raise
            continue  # taken away meanwhile, or no leave to read it
        for entry in entries:
            count += 1
            path = Path(entry.path)
            if count > MOST_FILES or is_too_long(path.relative_to(folder)):
                continue
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in JUNK_FOLDERS:
                    waiting.append(path)
            elif (
                entry.is_file(follow_symlinks=False)
                and not _is_no_matter(path)
                and (stamp := _stamp(path))
            ):
                yield path, stamp


def _is_no_matter(path: Path) -> bool:
    unfinished = path.name.lower().endswith(UNFINISHED)
    return path.name not in MOST_NOTE and (unfinished or is_junk(path))


def _stamp(path: Path) -> str:
    """What changes with a file; nothing where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return ""
    return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"


def is_complete(path: Path) -> bool:
    """Whether a file ends where a notebook or a zip ends; any other is what it is."""
    try:
        if path.suffix.lower() == ".zip":
            return is_zipfile(path)
        return path.suffix.lower() != ".ipynb" or guarded(_is_notebook, path)
    except LimitError:  # `collect` says of it what there is to say
        return True
    except OSError:
        return False


def _is_notebook(path: Path) -> bool:
    from .term.reading import notebook_text

    try:
        return quick_cells(notebook_text(path.read_bytes(), path)) is not None
    except UsageError:
        return False


def _is_submission(parts: tuple[str, ...], given: Collection[str]) -> bool:
    """Whether a path in submitted/ is of a folder of a lesson that the term gives."""
    return len(parts) > 2 and parts[1] in given and is_student_id(parts[0])


def _require_drop_folder(folder: Path, term: Term) -> Path:
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "no such folder"
        raise UsageError(f"{folder}: {what}; name the folder in which work arrives")
    whole = folder.resolve()
    inside = whole.is_relative_to(term.root) and whole != term.root / "submitted"
    if inside or term.root.is_relative_to(whole):
        raise UsageError(
            f"{folder}: holds the term's own files; name the folder in which work arrives, or "
            "the term's submitted"
        )
    return whole


def _named(names: Collection[str]) -> str:
    """In brackets, a few of the names."""
    return f" ({some_of(sorted(names))})" if names else ""


def _warm() -> None:
    """Import what the first that arrives would wait for."""
    from .grading import crew, recording  # noqa: F401
    from .receiving import collecting  # noqa: F401
    from .returning import feedback_page, standing  # noqa: F401
