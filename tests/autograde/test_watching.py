"""What arrives is graded when it is whole, as `grade` grades it, and once."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime

import nbformat
import pytest

from autograde import watching
from autograde.cli import main
from autograde.common.errors import UsageError
from autograde.course.sample import with_mistakes
from autograde.receiving import collecting
from autograde.term.term import CONFIG, SETTINGS, TRIES, Term
from autograde.watching import Watch, is_complete
from tests.classroom import short_term
from tests.rows import rows

LESSON = "02_divergence"
ROSTER = "id,first_name,last_name,email\n" + "".join(
    f"{name},,,\n" for name in ("ann", "ben", "cy")
)


@pytest.fixture
def term(tmp_path):
    """As much of a term folder as collecting needs."""
    root = tmp_path / "term"
    (root / "submitted").mkdir(parents=True)
    (root / ".autograde").mkdir()
    (root / "roster.csv").write_text(ROSTER)
    return Term(root)


@pytest.fixture
def drop(tmp_path):
    (tmp_path / "drop").mkdir()
    return tmp_path / "drop"


@pytest.fixture
def graded(monkeypatch):
    """The names that were given to be graded, in place of grading."""
    names = []
    monkeypatch.setattr(Watch, "_grade", lambda self, some: names.extend(some))
    return names


@pytest.fixture
def text(solved):
    return nbformat.writes(solved)


def looks(watch, number=2):
    for _ in range(number):
        waiting = watch.look()
    return waiting


def test_a_file_is_taken_at_the_second_look_that_finds_it_the_same(term, drop, graded, text):
    watch = Watch(term, drop)
    path = drop / f"ann_{LESSON}.ipynb"
    path.write_text(text)
    assert watch.look() == [path]
    assert graded == []
    assert watch.look() == []
    assert graded == [f"ann/{LESSON}"]
    assert term.submission("ann", LESSON).read_text() == text
    assert path.read_text() == text
    looks(watch)
    assert graded == [f"ann/{LESSON}"]
    assert not (term.root / watching.ARRIVING).exists()


def test_a_file_that_grows_is_never_taken_before_it_is_whole(term, drop, graded, text):
    """Not even where it stops to grow for a while, at an end that looks like one."""
    watch, path = Watch(term, drop), drop / f"ann_{LESSON}.ipynb"
    ends = [0, 1, len(text) // 3, text.index("}") + 1, text.rindex("}", 0, -2) + 1, len(text) - 2]
    for end in ends:
        path.write_text(text[:end])
        assert looks(watch, 3) == [path]
        assert graded == []
        assert not list((term.root / "submitted").iterdir())
    path.write_text(text)
    assert looks(watch) == []
    assert graded == [f"ann/{LESSON}"]


def test_a_zip_is_whole_when_its_table_of_contents_is_there(term, drop, graded, text, tmp_path):
    with zipfile.ZipFile(tmp_path / "class.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("ann", "ben"):
            archive.writestr(f"{name}/{LESSON}.ipynb", text)
    data = (tmp_path / "class.zip").read_bytes()
    watch, path = Watch(term, drop), drop / "class.zip"
    for end in (0, 4, len(data) // 2, len(data) - 40):
        path.write_bytes(data[:end])
        assert looks(watch, 3) == [path]
    os.replace(tmp_path / "class.zip", path)
    assert looks(watch) == []
    assert graded == [f"ann/{LESSON}", f"ben/{LESSON}"]


@pytest.mark.parametrize("end", watching.UNFINISHED)
def test_what_a_browser_has_not_finished_is_left(term, drop, graded, text, end):
    unfinished, path = drop / f"ann_{LESSON}.ipynb{end}", drop / f"ann_{LESSON}.ipynb"
    unfinished.write_text(text)
    watch = Watch(term, drop)
    assert looks(watch, 3) == []
    path.write_text(text)  # as one does that makes the name first
    assert looks(watch, 3) == [path]
    unfinished.unlink()
    assert looks(watch) == []
    assert graded == [f"ann/{LESSON}"]


def test_a_notebook_that_stays_broken_is_told_in_the_end(term, drop, graded, text, monkeypatch):
    (drop / f"ann_{LESSON}.ipynb").write_text(text[:200])
    watch = Watch(term, drop)
    assert looks(watch, 3) != []
    monkeypatch.setattr(watching, "PATIENCE", 0)
    assert looks(watch) == []
    assert graded == [f"ann/{LESSON}"]  # which says what is wrong with it


def test_nothing_is_done_twice_and_another_try_is_another(term, drop, graded, text):
    path = drop / f"ann_{LESSON}.ipynb"
    path.write_text(text)
    looks(Watch(term, drop))
    looks(Watch(term, drop), 3)
    assert graded == [f"ann/{LESSON}"]
    newer = text.replace("nbformat_minor", "nbformat_minor ")
    path.write_text(newer)
    looks(Watch(term, drop))
    assert graded == [f"ann/{LESSON}"] * 2
    assert term.submission("ann", LESSON).read_text() == newer
    assert [one.read_text() for one in (term.root / TRIES).glob("*/*")] == [text]


def test_what_was_not_done_when_it_was_stopped_is_done_then(term, drop, graded, text, monkeypatch):
    (drop / f"ann_{LESSON}.ipynb").write_text(text)
    with monkeypatch.context() as patch:
        patch.setattr(Watch, "_grade", stopped)
        with pytest.raises(KeyboardInterrupt):
            looks(Watch(term, drop))
    looks(Watch(term, drop))
    assert graded == [f"ann/{LESSON}"]


def stopped(*_):
    raise KeyboardInterrupt


def test_what_changes_while_it_is_taken_is_left_for_later(term, drop, graded, text, monkeypatch):
    path, real = drop / f"ann_{LESSON}.ipynb", shutil.copy2
    path.write_text(text)

    def copying(source, target):
        real(source, target)
        source.write_text(text + " ")

    watch = Watch(term, drop)
    with monkeypatch.context() as patch:
        patch.setattr(watching.shutil, "copy2", copying)
        looks(watch)
    assert graded == []
    assert not term.submission("ann", LESSON).exists()
    assert looks(watch) == []
    assert term.submission("ann", LESSON).read_text() == text + " "


def test_a_full_disk_is_said_once_and_it_goes_on(term, drop, graded, text, monkeypatch, capsys):
    path = drop / f"ann_{LESSON}.ipynb"
    path.write_text(text)
    watch = Watch(term, drop)
    with monkeypatch.context() as patch:
        patch.setattr(collecting.Path, "write_bytes", half_then_full)
        assert looks(watch, 4) == [path]
    assert capsys.readouterr().err.count("the disk is full; free some space") == 1
    assert not any(one.is_file() for one in (term.root / "submitted").rglob("*"))
    assert graded == []
    assert watch.look() == []
    assert term.submission("ann", LESSON).read_text() == text
    assert graded == [f"ann/{LESSON}"]


def half_then_full(path, data):
    with path.open("wb") as file:
        file.write(data[: len(data) // 2])
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_folder_that_goes_away_is_looked_for_again(term, drop, graded, text, capsys):
    watch = Watch(term, drop)
    drop.rmdir()
    looks(watch, 3)
    assert capsys.readouterr().err.count("cannot be read") == 1
    drop.mkdir()
    (drop / f"ann_{LESSON}.ipynb").write_text(text)
    looks(watch)
    assert graded == [f"ann/{LESSON}"]


def test_nbgraders_inbound_and_its_times(term, drop, graded, text):
    folder = drop / f"ann+{LESSON}+2026-10-01 12:00:00.000000 UTC"
    folder.mkdir()
    (folder / f"{LESSON}.ipynb").write_text(text)
    looks(Watch(term, drop))
    stamp = term.submission("ann", LESSON).with_name("timestamp.txt").read_text()
    assert datetime.strptime(stamp, "%Y-%m-%d %H:%M:%S.%f UTC").replace(tzinfo=UTC).hour == 12


def test_the_terms_own_submitted(term, graded, text):
    path = term.submission("ben", LESSON)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert looks(Watch(term, term.root / "submitted")) == []
    assert graded == [f"ben/{LESSON}"]
    assert path.read_text() == text


@pytest.mark.parametrize("own", [False, True])
def test_a_lesson_that_the_term_does_not_give_is_left(term, drop, graded, text, capsys, own):
    (term.root / SETTINGS).write_text(f'{CONFIG}c.Course.lessons = ["00"]\n')
    path = term.submission("ben", LESSON) if own else drop / f"ben_{LESSON}.ipynb"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    assert looks(Watch(term, term.root / "submitted" if own else drop)) == []
    assert graded == []
    told = f"is {LESSON}, which is not among the term's lessons"
    assert (told in capsys.readouterr().err) is not own


def test_other_files_are_told_once_and_links_are_not_followed(term, drop, graded, capsys, tmp_path):
    (drop / "notes.txt").write_text("x")
    (tmp_path / "elsewhere.ipynb").write_text("{}")
    (drop / f"ann_{LESSON}.ipynb").symlink_to(tmp_path / "elsewhere.ipynb")
    watch = Watch(term, drop)
    looks(watch, 4)
    assert capsys.readouterr().err.count("notes.txt: not a notebook") == 1
    assert graded == []
    assert watch.failures == 0


def test_guests_who_come_at_once_are_taken_and_another_classs_zip_is_left(term, drop, graded, text):
    names = [f"guest{name}_{i}_5_{LESSON}.ipynb" for i, name in enumerate(("gail", "gus"), 1)]
    for name in names:
        (drop / name).write_text(text)
    watch = Watch(term, drop)
    looks(watch)
    assert graded == [f"guestgail_1/{LESSON}", f"guestgus_2/{LESSON}"]
    with zipfile.ZipFile(drop / "class.zip", "w") as archive:
        for name in names:
            archive.writestr(name.replace("guest", "other"), text)
    looks(watch)
    assert (len(graded), watch.failures) == (2, 1)


def test_a_cut_file_that_arrives_takes_nobodys_place(term, drop, graded, text, monkeypatch, capsys):
    monkeypatch.setattr(watching, "PATIENCE", 0.0)
    path = drop / f"ann_{LESSON}.ipynb"
    watch = Watch(term, drop)
    for written in (text, text[:1000]):
        path.write_text(written)
        looks(watch)
    assert term.submission("ann", LESSON).read_text() == text
    assert (graded, watch.failures) == ([f"ann/{LESSON}"], 1)
    assert "what ann had in submitted/ stays" in capsys.readouterr().err


def test_two_watches_of_one_term(term, drop, capsys):
    with (
        watching.held(term.root / ".autograde" / "watch.lock", "another autograde watch"),
        pytest.raises(UsageError, match=r"watch\.lock: held by another autograde watch; stop that"),
    ):
        Watch(term, drop, once=True).run()
    assert capsys.readouterr().out == ""
    assert Watch(term, drop, once=True).run() == 0
    assert f"{drop}: watched; Ctrl-C stops it" in capsys.readouterr().out


def test_any_other_file_is_what_it_is(tmp_path):
    (tmp_path / "a.pdf").write_bytes(b"")
    assert is_complete(tmp_path / "a.pdf")
    assert not is_complete(tmp_path / "none.ipynb")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A class's work, and the term in which it was collected and graded by hand."""
    folder = tmp_path_factory.mktemp("watched")
    (folder / "roster.csv").write_text(ROSTER)
    (folder / "work").mkdir()
    for number, name in enumerate(("ann", "ben")):
        path = folder / "work" / f"{name}_{LESSON}.ipynb"
        path.write_text(nbformat.writes(with_mistakes(LESSON, number + 1)))
    (folder / "work" / f"cy_{LESSON}.ipynb").write_text("{")
    term = short_term(folder / "by-hand", LESSON, roster=folder / "roster.csv")
    shutil.copytree(term.root, folder / "watched")
    for command in ("collect", "grade", "feedback"):
        words = [command, str(folder / "work")] if command == "collect" else [command]
        main([*words, "--course", str(term.root)])
    return folder


def told(term):
    """All that a term says: rows of the gradebook, verdicts, failures, and pages."""
    with term.store() as store:
        verdicts = sorted((name, str(one)) for name, one in store.verdicts())
        failed = {name: why.replace(str(term.root), "") for name, why in store.failed().items()}
    pages = {
        str(page.relative_to(term.root)): page.read_bytes()
        for page in (term.root / "feedback").rglob("*.html")
    }
    return rows(term.url), verdicts, failed, pages


def test_what_is_watched_is_graded_as_by_hand(real, monkeypatch, capsys):
    monkeypatch.setattr(watching, "PATIENCE", 3)
    by_hand, watched = Term.open(real / "by-hand"), Term.open(real / "watched")
    shutil.copy(by_hand.root / ".autograde" / "key", watched.root / ".autograde" / "key")
    code = main(["watch", str(real / "work"), "--once", "--course", str(watched.root)])
    assert code == 1  # cy's is broken
    assert told(watched) == told(by_hand)
    said = capsys.readouterr()
    assert f"2 graded (ann/{LESSON}, ben/{LESSON})" in said.out
    assert f"cy/{LESSON}" in said.err
    assert main(["watch", str(real / "work"), "--once", "--course", str(watched.root)]) == 0


@pytest.mark.long
@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_it_works_until_it_is_stopped(real, tmp_path, stop):
    term = short_term(tmp_path / "term", LESSON, roster=real / "roster.csv")
    (tmp_path / "drop").mkdir()
    command = [sys.executable, "-m", "autograde", "watch", str(tmp_path / "drop")]
    with subprocess.Popen(
        [*command, "--course", str(term.root)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    ) as watch:  # fmt: skip
        assert "watched" in watch.stdout.readline()
        shutil.copy(real / "work" / f"ann_{LESSON}.ipynb", tmp_path / "drop")
        assert f"ann/{LESSON}" in watch.stdout.readline()
        page = term.root / "feedback" / "ann" / LESSON / f"{LESSON}.html"
        assert page.read_bytes().rstrip().endswith(b"</html>")
        time.sleep(0.1)
        for _ in range(3):  # to the process, to its group, and by whoever is impatient
            watch.send_signal(stop)
            time.sleep(0.05)
        out, err = watch.communicate(timeout=600)
    assert (watch.returncode, err) == (0, "")
    assert "stopped; start it again to go on" in out
