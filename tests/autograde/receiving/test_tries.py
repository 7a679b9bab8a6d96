"""Of several tries the last before the due date counts, and no other is lost."""

import json
import os
import shutil
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from autograde.common.errors import UsageError
from autograde.receiving.collecting import collect
from autograde.receiving.platforms.nbgrader_exchange import kept_name
from autograde.term.due import Dues
from autograde.term.extending import extend
from autograde.term.term import TRIES
from tests.classroom import short_term

LESSON = "02_divergence"
DUE = datetime(2026, 10, 1, 12, tzinfo=UTC)
EARLY, LAST, LATE, LATER = (DUE + timedelta(hours=h) for h in (-30, -2, 5, 30))


@pytest.fixture(scope="module")
def dated(tmp_path_factory):
    """A term in which the lesson has a due date, and eve a day more."""
    folder = tmp_path_factory.mktemp("tries")
    (folder / "roster.csv").write_text("id,first_name,last_name,email\nann,,,\neve,,,\n")
    roster = folder / "roster.csv"
    term = short_term(folder / "term", LESSON, "01_policy_updates", roster=roster)
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(LESSON, duedate=DUE.replace(tzinfo=None))
    extend(term, "eve", LESSON, "1d")
    return term


@pytest.fixture
def term(dated):
    """The term with nothing in it."""
    for name in ("submitted", TRIES):
        shutil.rmtree(dated.root / name, ignore_errors=True)
    (dated.root / "submitted").mkdir()
    (dated.root / ".autograde" / "state.db").unlink(missing_ok=True)
    return dated


def inbound(folder, student, time, text):
    """A try as nbgrader's exchange keeps it."""
    name = f"{student}+{LESSON}+{time:%Y-%m-%d %H:%M:%S.%f} UTC"
    (folder / name).mkdir(parents=True)
    (folder / name / f"{LESSON}.ipynb").write_text(text)
    return folder / name


def notebook(number):
    """A notebook like no other."""
    mark = {"nbgrader": {"grade_id": "k1", "solution": True}}
    cell = {"cell_type": "code", "source": f"# try {number}", "metadata": mark, "outputs": []}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def placed(term, student="ann"):
    return term.submission(student, LESSON).read_text()


def kept(term):
    return sorted(path.read_text() for path in (term.root / TRIES).glob("*/*.ipynb"))


def test_dues_know_who_has_longer(term):
    dues = Dues(term)
    assert dues.of("ann", LESSON) == DUE
    assert dues.of("eve", LESSON) == DUE + timedelta(days=1)
    assert dues.of("ann", "01_policy_updates") is None
    assert dues.is_late("ann", LESSON, LATE)
    assert not dues.is_late("eve", LESSON, LATE)
    assert not dues.is_late("ann", LESSON, DUE)
    assert not dues.is_late("ann", LESSON, None)


def test_the_last_in_time_counts_and_it_is_said(tmp_path, term):
    for number, time in enumerate([EARLY, LAST, LATE]):
        inbound(tmp_path / "in", "ann", time, notebook(number))
    said = collect(tmp_path / "in", term)
    assert placed(term) == notebook(1)
    assert kept(term) == [notebook(0), notebook(2)]
    late = [note for note in said.notes if "handed in after 2026-10-01 12:00 UTC" in note]
    assert len(late) == 1
    assert "counts" in late[0]


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_the_order_in_which_they_come_is_no_matter(tmp_path, term, order):
    times = [EARLY, LAST, LATE, LATER]
    for number in order:
        collect(
            inbound(tmp_path / str(number), "ann", times[number], notebook(number)).parent, term
        )
    assert placed(term) == notebook(1)
    assert kept(term) == [notebook(0), notebook(2), notebook(3)]
    stamp = term.submission("ann", LESSON).with_name("timestamp.txt").read_text()
    assert stamp.startswith(f"{LAST:%Y-%m-%d %H:%M:%S}")


def test_where_all_are_late_the_last_counts(tmp_path, term):
    for number, time in enumerate([LATE, LATER]):
        inbound(tmp_path / "in", "ann", time, notebook(number))
    collect(tmp_path / "in", term)
    assert placed(term) == notebook(1)


def test_a_later_one_counts_for_who_has_longer(tmp_path, term):
    for number, time in enumerate([LAST, LATE]):
        inbound(tmp_path / "in", "eve", time, notebook(number))
    collect(tmp_path / "in", term)
    assert placed(term, "eve") == notebook(1)


def test_when_a_date_has_moved_the_tries_are_collected_again(tmp_path, term, monkeypatch):
    for number, time in enumerate([EARLY, LAST, LATE, LATER]):
        inbound(tmp_path / "in", "ann", time, notebook(number))
    collect(tmp_path / "in", term)
    shutil.rmtree(tmp_path / "in")
    with monkeypatch.context() as patch:
        patch.setattr(Dues, "of", lambda *_: LATE)
        collect(term.root / TRIES, term)
        assert placed(term) == notebook(2)
    collect(term.root / TRIES, term)
    assert placed(term) == notebook(1)
    assert len(kept(term)) == 4  # each by itself, none twice


def test_who_is_given_more_time_afterwards_has_the_tries_collected_again(tmp_path, term):
    for number, time in enumerate([LAST, LATE]):
        inbound(tmp_path / "in", "ann", time, notebook(number))
    collect(tmp_path / "in", term)
    assert placed(term) == notebook(0)
    extend(term, "ann", LESSON, "6h")
    try:
        collect(term.root / TRIES, term)
        assert placed(term) == notebook(1)
    finally:
        extend(term, "ann", LESSON, "none")


def test_tries_of_no_known_time_stay_in_order(tmp_path, term):
    """Others' times are nothing to them: each is as old as it was."""
    for number in range(3):
        path = tmp_path / str(number) / f"ann_{LESSON}.ipynb"
        path.parent.mkdir()
        path.write_text(notebook(number))
        os.utime(path, (1e9 + number, 1e9 + number))
        collect(path.parent, term)
    inbound(tmp_path / "in", "eve", EARLY, notebook(7))
    inbound(tmp_path / "in", "eve", LAST, notebook(8))
    collect(tmp_path / "in", term)
    assert kept(term) == [notebook(0), notebook(1), notebook(7)]
    collect(term.root / TRIES, term)
    assert placed(term) == notebook(2)
    assert placed(term, "eve") == notebook(8)


@pytest.mark.parametrize("student", ["ann", "s01", "guestgail_1099", "a.b-c_d@x.org"])
def test_whose_a_try_of_no_known_time_is_is_told_by_its_folder(tmp_path, term, student):
    """Of whatever id, on the roster or not."""
    folder = term.root / TRIES / kept_name(student, LESSON, None, "0123456789")
    folder.mkdir(parents=True)
    (folder / f"{LESSON}.ipynb").write_text(notebook(0))
    said = collect(term.root / TRIES, term)
    assert (said.placed, said.unplaced) == ([f"{student}/{LESSON}"], [])
    assert placed(term, student) == notebook(0)
    assert not (term.root / "unmatched").exists()


@pytest.mark.parametrize("apart", [0, 20])
def test_of_several_in_one_canvas_zip_the_newest_stays_when_tries_are_collected(
    tmp_path, term, apart
):
    """Canvas says no time but by the numbers in names; a zip's own times may be in any order."""
    names = [f"ann_1_{200 + n}_{LESSON}{'-' * (n > 0)}{n or ''}.ipynb" for n in range(3)]
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as packed:
        for n, name in enumerate(names):
            when = (2026, 10, 1, 9, 30 + apart * (n == 0), 0)
            packed.writestr(zipfile.ZipInfo(name, when), notebook(n))
    collect(tmp_path / "c.zip", term)
    newest = placed(term)
    assert newest == notebook(2)
    for _ in range(2):
        collect(term.root / TRIES, term)
        assert placed(term) == newest
    assert kept(term) == [notebook(0), notebook(1)]


def test_a_try_of_unknown_time_does_not_give_way_to_a_late_one(tmp_path, term):
    path = tmp_path / "d" / f"ann_{LESSON}.ipynb"
    path.parent.mkdir()
    path.write_text(notebook(0))
    os.utime(path, (1e9, 1e9))
    collect(path.parent, term)
    said = collect(inbound(tmp_path / "in", "ann", LATE, notebook(1)).parent, term)
    assert placed(term) == notebook(0)
    assert "the try before it stays" in said.notes[0]


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("cut", ["", "not JSON", '{"cells": [', "null"])
def test_what_cannot_be_read_never_takes_the_place_of_what_can(tmp_path, term, cut, together):
    """In one download, or in one after the other; it is kept, and somebody has lost it."""
    good = inbound(tmp_path / "a", "ann", EARLY, notebook(0)).parent
    broken = inbound(tmp_path / ("a" if together else "b"), "ann", LAST, cut).parent
    if not together:
        collect(good, term)
    for _ in range(2):
        said = collect(broken, term)
        assert placed(term) == notebook(0)
        assert kept(term) == [cut]
        assert ["ann" in line for line in said.unplaced] == [True]
    said = collect(term.root / TRIES, term)
    assert (placed(term), said.unplaced) == (notebook(0), [])


def test_what_can_be_read_takes_the_place_of_what_cannot_however_late(tmp_path, term):
    """As the latter gives no points at all; and an older one that is broken loses nobody's work."""
    collect(inbound(tmp_path / "a", "ann", LAST, "cut").parent, term)
    assert placed(term) == "cut"
    collect(inbound(tmp_path / "b", "ann", LATE, notebook(0)).parent, term)
    assert placed(term) == notebook(0)
    collect(inbound(tmp_path / "c", "ann", EARLY, notebook(1)).parent, term)
    assert placed(term) == notebook(1)
    said = collect(inbound(tmp_path / "d", "ann", EARLY - timedelta(1), "old").parent, term)
    assert (placed(term), said.unplaced) == (notebook(1), [])


def test_a_broken_one_counts_where_there_is_no_other(tmp_path, term):
    for number, time in enumerate([EARLY, LAST]):
        inbound(tmp_path / "a", "ann", time, f"cut {number}")
    assert collect(tmp_path / "a", term).placed == [f"ann/{LESSON}"]
    assert placed(term) == "cut 1"


def test_a_term_is_nothing_that_was_downloaded(tmp_path, term):
    """What it holds was released, or collected before: its own, another's, or what it lies in."""
    collect(inbound(tmp_path / "in", "ann", EARLY, notebook(0)).parent, term)
    other = tmp_path / "other"
    (other / ".autograde").mkdir(parents=True)
    (other / ".autograde" / "key").touch()
    for folder in (term.root, term.root.parent, other):
        with pytest.raises(UsageError, match="is a term, or a term is in it"):
            collect(folder, term)
    collect(term.root / "submitted", term)
    assert placed(term) == notebook(0)
    assert not (term.root / "unmatched").exists()
