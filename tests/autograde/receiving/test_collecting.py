"""Whatever the download looks like, a notebook finds its student, or is told of."""

import hashlib
import json
import os
import shutil
import stat
import time
import zipfile
from datetime import UTC, datetime, timedelta
from io import BytesIO

import nbformat
import pytest

from autograde.common.errors import UsageError
from autograde.receiving import unpacking
from autograde.receiving.collecting import collect
from autograde.term.term import SETTINGS, Term

LESSON = "02_divergence"


@pytest.fixture
def term(tmp_path):
    """As much of a term folder as collecting needs."""
    root = tmp_path / "term"
    (root / "submitted").mkdir(parents=True)
    (root / ".autograde").mkdir()
    rows = [
        "ana,Ana,A,a@x.org", "bo_lee,Bo,Lee,b@x.org", "c.d-e,C,D,c@x.org",
        "1815,Ada,Lovelace,ada@x.org", "jm,Jürgen,Müller-Groß,jm@x.org",
        "li1,Wei,Li,li1@x.org", "li2,Wei,Li,li2@x.org",
        "so,Søren Þór,Wałęsa,so@x.org",
    ]  # fmt: skip
    (root / "roster.csv").write_text("\n".join(["id,first_name,last_name,email", *rows]) + "\n")
    return Term(root)


@pytest.fixture
def text(solved):
    return nbformat.writes(solved)


def write(folder, name, text, age=0):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    os.utime(path, (1e9 - age, 1e9 - age))
    return path


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ana/02_divergence.ipynb", "ana"),
        ("ana_02_divergence.ipynb", "ana"),
        ("bo_lee_02_divergence.ipynb", "bo_lee"),
        ("02_divergence_c.d-e.ipynb", "c.d-e"),
        ("Copy of ana_02_divergence.ipynb", "ana"),
        ("ana_02_divergence (1).ipynb", "ana"),
        ("ana/Copy of Copy of 02_divergence (2).ipynb", "ana"),
        ("bo_lee/whatever.ipynb", "bo_lee"),
        ("02_divergence/ana/02_divergence.ipynb", "ana"),
        ("late/ana_93211_02_divergence.ipynb", "ana"),
    ],
)
def test_a_file_finds_its_student(tmp_path, term, text, name, student):
    write(tmp_path / "downloads", name, text)
    assert collect(tmp_path / "downloads", term).placed == [f"{student}/{LESSON}"]
    assert term.submission(student, LESSON).read_text("utf-8") == text


def test_the_latest_of_several_wins_and_it_is_said(tmp_path, term, text):
    write(tmp_path / "d", "ana_02_divergence.ipynb", text, age=100)
    newest = text.replace("nbformat_minor", "nbformat_minor ")
    write(tmp_path / "d", "ana_02_divergence (1).ipynb", newest, age=10)
    result = collect(tmp_path / "d", term)
    assert term.submission("ana", LESSON).read_text("utf-8") == newest
    assert len(result.notes) == 1
    assert "ana" in result.notes[0]


def test_a_zip_and_what_is_wrong_in_it(tmp_path, term, text):
    path = tmp_path / "class.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ana/02_divergence.ipynb", text)
        archive.writestr("../../../evil/bo_lee_02_divergence.ipynb", text)
        archive.writestr("notes.txt", "hello")
        archive.writestr("__MACOSX/ana/._02_divergence.ipynb", "x")
    result = collect(path, term)
    assert result.placed == [f"ana/{LESSON}"]
    assert ["evil" in line for line in result.unplaced] == [True]
    assert ["notes.txt: not a notebook" in line for line in result.notes] == [True]
    assert not (tmp_path.parent / "evil").exists()


def test_a_broken_notebook_is_still_somebodys(tmp_path, term, text):
    write(tmp_path / "d", "ana/02_divergence.ipynb", text[:500])
    assert collect(tmp_path / "d", term).placed == [f"ana/{LESSON}"]


def test_what_cannot_be_placed_is_told(tmp_path, term, text):
    write(tmp_path / "d", "ana/holiday.ipynb", '{"cells": [], "nbformat": 4, "metadata": {}}')
    write(tmp_path / "d", "broken.zip", "no zip")
    write(tmp_path / "d", "+/02_divergence.ipynb", text)
    result = collect(tmp_path / "d", term)
    assert result.placed == []
    assert len(result.unplaced) == 3
    assert list((term.root / "submitted").iterdir()) == []


def test_nothing_there(tmp_path, term):
    with pytest.raises(UsageError, match="no such file or folder"):
        collect(tmp_path / "nothing", term)


def test_a_link_is_not_followed(tmp_path, term, text):
    secret = write(tmp_path, "secret_02_divergence.ipynb", text)
    (tmp_path / "d" / "ana").mkdir(parents=True)
    (tmp_path / "d" / "ana" / "02_divergence.ipynb").symlink_to(secret)
    assert collect(tmp_path / "d", term).placed == []


def pack(path, entries):
    """A zip of (name, text) or (name, text, time); without a time, of now."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text, *when in entries:
            entry = zipfile.ZipInfo(name, when[0] if when else time.localtime()[:6])
            archive.writestr(entry, text, zipfile.ZIP_DEFLATED)
    return path


def own_zip(text, when=None, **changed):
    """What `submit` packs, with the manifest changed."""
    manifest = {
        "lesson": LESSON, "version": "1", "time": when or "2026-01-01T00:00:00+00:00",
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
    }  # fmt: skip
    packed = BytesIO()
    pack(packed, [(f"{LESSON}.ipynb", text), ("manifest.json", json.dumps(manifest | changed))])
    return packed.getvalue()


def other(text, number=1):
    """Another notebook of the same lesson."""
    return text.replace("nbformat_minor", "nbformat_minor" + " " * number)


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("lovelaceada_51_7041_02_divergence.ipynb", "1815"),
        ("lovelaceada_LATE_51_7041_02_divergence-1.ipynb", "1815"),
        ("müllergroßjürgen_9_10_Copy of 02_divergence (1).ipynb", "jm"),
        ("Ada Lovelace_1234_assignsubmission_file_/02_divergence.ipynb", "1815"),
        ("Ada Lovelace_1234_assignsubmission_file_02_divergence.ipynb", "1815"),
        ("Group B-Jürgen Müller-Groß_7_assignsubmission_file_/02_divergence.ipynb", "jm"),
        ("MULLER-GROSS Jurgen_7_assignsubmission_file_/deep/er/02_divergence.ipynb", "jm"),
        ("Soren Thor Walesa_7_assignsubmission_file_/02_divergence.ipynb", "so"),
        ("wałęsasørenþór_9_10_02_divergence.ipynb", "so"),
        ("Ada Lovelace/02_divergence.ipynb", "1815"),
        ("ada@x.org_02_divergence.ipynb", "1815"),
        ("ADA@x.org/02_divergence.ipynb", "1815"),
        # What the student named like somebody else is still theirs.
        ("lovelaceada_51_7041_ana_02_divergence.ipynb", "1815"),
        ("lovelaceada_51_7041_Ana A_1_assignsubmission_file_02_divergence.ipynb", "1815"),
        ("Ada Lovelace_1_assignsubmission_file_Ana A_2_assignsubmission_file_02_divergence.ipynb",
         "1815"),
        ("Ada Lovelace_1_assignsubmission_file_/ana/02_divergence.ipynb", "1815"),
        ("newcomernew_5_6_02_divergence.ipynb", "newcomernew_5"),
        # Numbers of the platform are not those of the roster.
        ("newcomernew_1815_1815_02_divergence.ipynb", "newcomernew_1815"),
    ],
)  # fmt: skip
def test_what_canvas_and_moodle_name_finds_its_student(tmp_path, term, text, name, student):
    result = collect(pack(tmp_path / "submissions.zip", [(name, text)]), term)
    assert result.placed == [f"{student}/{LESSON}"]


def test_two_of_one_name_are_told_apart_or_left(tmp_path, term, text):
    names = ["liwei_3_4_02_divergence.ipynb", "Wei Li/02_divergence.ipynb"]
    result = collect(pack(tmp_path / "c.zip", [(name, text) for name in names]), term)
    assert result.placed == []
    assert all("li1 or li2" in line for line in result.unplaced)


@pytest.mark.parametrize(
    "outer",
    [
        "lovelaceada_51_7041_02_divergence.zip",
        "Ada Lovelace_12_assignsubmission_file_/02_divergence (1).zip",
        "1815/02_divergence.zip",
    ],
)
def test_a_students_zip_within_the_classs(tmp_path, term, text, outer):
    path = pack(tmp_path / "02_divergence.zip", [(outer, own_zip(text)), ("ana/x.ipynb", text)])
    result = collect(path, term)
    assert result.placed == [f"1815/{LESSON}", f"ana/{LESSON}"]
    assert term.submission("1815", LESSON).read_text("utf-8") == text
    assert not result.unplaced


def test_a_students_own_zip_by_itself_cannot_say_whose_it_is(tmp_path, term, text):
    packed = BytesIO()
    pack(packed, [("bo_lee/02_divergence.ipynb", text), ("in.zip", own_zip(text))])
    (tmp_path / "d" / "ana").mkdir(parents=True)
    (tmp_path / "d" / "ana" / "work.zip").write_bytes(packed.getvalue())
    (tmp_path / "d" / "1815_02_divergence.zip").write_bytes(own_zip(text))
    result = collect(tmp_path / "d", term)
    assert result.placed == [f"1815/{LESSON}", f"ana/{LESSON}"]
    assert ["zip within" in line or "not a notebook" in line for line in result.unplaced] == [True]


def test_the_manifest_orders_what_was_downloaded_at_once(tmp_path, term, text):
    entries = [
        (f"lovelaceada_51_{number}_02_divergence.zip", own_zip(other(text, number), when))
        for number, when in ((1, "2026-01-02T00:00:00Z"), (2, "2026-01-03T00:00:00Z"),
                             (3, "2026-01-01T00:00:00Z"))
    ]  # fmt: skip
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert term.submission("1815", LESSON).read_text("utf-8") == other(text, 2)
    assert len([line for line in result.notes if "replaces the earlier" in line]) == 2
    assert result.timed == 0


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sha256": "0" * 64}, "changed after"),
        ({"time": (datetime.now(UTC) + timedelta(days=9)).isoformat()}, "time to come"),
        ({"time": 7}, "cannot be read"),
        ({"time": "soon"}, "cannot be read"),
        ({"time": None, "student": "ana", "lesson": "05_stable_updates"}, "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_true_is_not_used(tmp_path, term, text, changed, says):
    name = "lovelaceada_51_{}_02_divergence{}.zip"
    entries = [
        (name.format(1, ""), own_zip(text, **changed)),
        (name.format(2, "-1"), own_zip(other(text), "2026-01-01T00:00:00Z")),
    ]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"1815/{LESSON}"]
    assert term.submission("1815", LESSON).read_text("utf-8") == other(text)
    assert any(says in line for line in result.notes)


def test_canvass_number_orders_what_bears_one_time(tmp_path, term, text):
    entries = [
        (f"lovelaceada_51_{20 - n}_02_divergence{'-' + str(n) if n else ''}.ipynb", other(text, n))
        for n in (0, 2, 10, 1)
    ]
    collect(pack(tmp_path / "c.zip", entries), term)
    assert term.submission("1815", LESSON).read_text("utf-8") == other(text, 10)


def stamp(term, student):
    path = term.submission(student, LESSON).with_name("timestamp.txt")
    return path.read_text() if path.exists() else None


def test_no_time_of_a_file_makes_anybody_late(tmp_path, term, text):
    """Times in a zip and of files order a student's tries, and no more; a manifest's even less."""
    entries = [
        ("ana/02_divergence.zip", own_zip(text), (2026, 3, 1, 12, 0, 0)),
        ("ana/02_divergence (1).zip", own_zip(other(text)), (2026, 3, 1, 12, 0, 0)),
        ("bo_lee/02_divergence.ipynb", text, (2026, 2, 1, 23, 59, 58)),
    ]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    for student, age in (("jm", 0), ("so", 10**6)):
        write(tmp_path / "d", f"{student}_02_divergence.ipynb", text, age)
    late = collect(tmp_path / "d", term)
    assert (result.timed, late.timed) == (0, 0)
    assert not list((term.root / "submitted").rglob("timestamp.txt"))
    assert term.submission("ana", LESSON).read_text("utf-8") == other(text)


def test_canvas_says_late_and_not_when(tmp_path, term, text):
    names = ["aana_1_2_02_divergence.ipynb", "leebo_LATE_3_4_02_divergence.ipynb"]
    result = collect(pack(tmp_path / "c.zip", [(name, text) for name in names]), term)
    assert result.timed == 0
    assert stamp(term, "bo_lee") is None
    assert [("LATE" in line, "timestamp.txt" in line) for line in result.notes] == [(True, True)]
    term.submission("bo_lee", LESSON).with_name("timestamp.txt").write_text("2026-01-02 00:00 UTC")
    result = collect(pack(tmp_path / "c.zip", [(name, text) for name in names]), term)
    assert (result.timed, result.notes) == (1, [])


def test_collecting_again_changes_nothing_and_an_earlier_download_loses_nothing(
    tmp_path, term, text
):
    def downloaded(name, mine, day):
        entries = [
            ("ana/02_divergence.ipynb", mine, (2026, 3, day, 12, 0, 0)),
            ("bo_lee/02_divergence.ipynb", text, (2026, 2, 1, 12, 0, 0)),
        ]
        return pack(tmp_path / name, entries)

    old, new = downloaded("old.zip", text, 1), downloaded("new.zip", other(text), 5)
    collect(new, term)
    term.submission("ana", LESSON).with_name("timestamp.txt").write_text("2026-03-05 12:00:00 UTC")
    first = stamp(term, "ana")
    collect(new, term)
    result = collect(old, term)
    assert stamp(term, "ana") == first
    assert term.submission("ana", LESSON).read_text("utf-8") == other(text)
    assert ["ana has a later one" in line for line in result.notes].count(True) == 1
    again = pack(tmp_path / "later.zip", [
        ("ana/02_divergence.ipynb", other(text), (2026, 4, 1, 12, 0, 0)),
        ("bo_lee/02_divergence.ipynb", other(text), (2026, 4, 2, 12, 0, 0)),
    ])  # fmt: skip
    result = collect(again, term)
    assert stamp(term, "ana") == first  # the same work is not handed in later for a new download
    assert ["replaces what bo_lee" in line for line in result.notes] == [True]


def test_an_earlier_download_without_times_loses_nothing_either(tmp_path, term, text):
    """What bears one time is of the day on which it was downloaded, as Canvas's are."""

    def downloaded(name, mine, day):
        return pack(tmp_path / name, [("ana/02_divergence.ipynb", mine, (2026, 3, day, 12, 0, 0))])

    first, second = downloaded("1.zip", text, 1), downloaded("2.zip", other(text), 8)
    timed = pack(tmp_path / "timed.zip", [
        ("ana/02_divergence.ipynb", other(text, 2), (2026, 3, 5, 12, 0, 0)),
        ("bo_lee/02_divergence.ipynb", text, (2026, 3, 4, 12, 0, 0)),
    ])  # fmt: skip

    def lies_there():
        return term.submission("ana", LESSON).read_text("utf-8")

    for path, mine in ((first, text), (timed, other(text, 2)), (second, other(text))):
        collect(path, term)
        assert lies_there() == mine
    for path in (first, timed):
        assert ["which stays" in line for line in collect(path, term).notes] == [True]
        assert lies_there() == other(text)
    # The same work in a later download is of that day as well: what lies between is earlier.
    collect(downloaded("4.zip", other(text), 20), term)
    assert collect(downloaded("3.zip", text, 15), term).placed == []
    # What the instructor put there, or deleted, is not known of: a download takes its place.
    term.submission("ana", LESSON).write_text(other(text, 3))
    assert collect(first, term).placed == [f"ana/{LESSON}"]
    term.submission("ana", LESSON).unlink()
    assert collect(second, term).notes == []
    assert lies_there() == other(text)


def refused(path, term, says):
    result = collect(path, term)
    assert [says in line for line in result.unplaced] == [True], result.unplaced
    return result.placed


@pytest.mark.parametrize(
    "name",
    [
        "../ana/02_divergence.ipynb",
        "/ana/02_divergence.ipynb",
        "ana/../../02_divergence.ipynb",
        "C:/ana/02_divergence.ipynb",
        "..\\ana\\02_divergence.ipynb",
    ],
)
def test_a_path_that_leads_out_is_refused(tmp_path, term, text, name):
    inner = BytesIO()
    pack(inner, [(name, text)])
    entries = [(name, text), ("bo_lee/02_divergence.ipynb", text)]
    assert refused(pack(tmp_path / "c.zip", entries), term, "leads out") == [f"bo_lee/{LESSON}"]
    entries = [("ana/02_divergence.zip", inner.getvalue())]
    assert refused(pack(tmp_path / "d.zip", entries), term, "leads out") == []


def test_a_bomb_is_refused_and_the_others_are_placed(tmp_path, term, text, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_BYTES", 2**20)
    monkeypatch.setattr(unpacking, "MOST_OWN_FILES", 10)
    many, large, deep = BytesIO(), BytesIO(), BytesIO()
    pack(many, [(f"{n}/02_divergence.ipynb", "") for n in range(11)])
    pack(large, [(f"{n}/02_divergence.ipynb", "0" * 2**19) for n in range(3)])
    pack(deep, [("02_divergence.zip", large.getvalue())])
    entries = [
        ("ana/02_divergence.zip", many.getvalue()),
        ("1815/02_divergence.zip", large.getvalue()),
        ("jm/02_divergence.zip", deep.getvalue()),
        ("li1/02_divergence.ipynb", "0" * (2**20 + 1)),
        ("bo_lee/02_divergence.ipynb", text),
    ]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"bo_lee/{LESSON}"]
    assert len(result.unplaced) == 4
    for says in ("unpacks to", "11 files", "larger than", "not a notebook"):
        assert [says in line for line in result.unplaced].count(True) == 1


def test_a_classs_zip_that_unpacks_to_too_much(tmp_path, term, text, monkeypatch):
    """One by one: what unpacks to more than files do is refused, and no other's file with it."""
    monkeypatch.setattr(unpacking, "MOST_BLOATED", 5 * 2**20)
    entries = [(f"ana/{n}/02_divergence.ipynb", "0" * 2**20) for n in range(20)]
    entries.append(("bo_lee/02_divergence.ipynb", text))
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert f"bo_lee/{LESSON}" in result.placed
    assert ["100 times its size" in line for line in result.unplaced] == [True] * 15


def test_files_that_lie_on_one_another_are_refused(tmp_path, term, text):
    """A bomb without a nested zip: many entries that are all the same bytes."""
    path = pack(tmp_path / "c.zip", [("ana/02_divergence.ipynb", text)])
    data = path.read_bytes()
    start = data.index(b"PK\x01\x02")
    end = data.index(b"PK\x05\x06")
    head = data[start:end]
    tail = bytearray(data[end:])
    tail[8:12] = (50).to_bytes(2, "little") * 2
    tail[12:16] = (50 * len(head)).to_bytes(4, "little")
    path.write_bytes(data[:start] + head * 50 + tail)
    assert refused(path, term, "lie on one another") == []


def test_an_entry_larger_than_it_declares_is_refused(tmp_path, term, text):
    path = pack(tmp_path / "c.zip", [("ana/02_divergence.ipynb", "0" * 10**6)])
    small = (10).to_bytes(4, "little")
    path.write_bytes(path.read_bytes().replace((10**6).to_bytes(4, "little"), small))
    assert refused(path, term, "cannot be unpacked") == []
    assert list((term.root / "submitted").iterdir()) == []


def test_links_locked_and_unusual_entries_are_refused(tmp_path, term, text):
    link = zipfile.ZipInfo("ana/02_divergence.ipynb")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr("jm/02_divergence.ipynb", text, zipfile.ZIP_LZMA)
        archive.writestr("\x1b[2Jx/notes\n.txt", "hello")
    result = collect(tmp_path / "c.zip", term)
    assert result.placed == []
    assert (len(result.unplaced), len(result.notes)) == (2, 1)
    assert all(line.isprintable() for line in (*result.unplaced, *result.notes))


@pytest.mark.parametrize("kept", [1, 30, 5_000, 100_000, 299_000])
def test_the_beginning_of_a_zip_is_told_to_be_one(tmp_path, term, kept):
    """Whatever bytes stand where its table of contents would."""
    whole = pack(tmp_path / "whole.zip", [("ana/02_divergence.ipynb", os.urandom(300_000))])
    (tmp_path / "cut.zip").write_bytes(whole.read_bytes()[:kept])
    (line,) = collect(tmp_path / "cut.zip", term).unplaced
    assert "cut.zip: not a readable zip (it has no end: cut short" in line
    assert line.endswith("; download it again")


def test_an_empty_folder_or_zip_is_nothing_to_collect(tmp_path, term):
    (tmp_path / "d" / "in").mkdir(parents=True)
    pack(tmp_path / "d.zip", [])
    for path in (tmp_path / "d", tmp_path / "d.zip"):
        with pytest.raises(UsageError, match=f"{path}: nothing in it; name the folder or zip"):
            collect(path, term)


def test_what_was_there_before_is_nothing_new(tmp_path, term, text, capsys):
    write(tmp_path / "d", "ana_02_divergence.ipynb", text)
    write(tmp_path / "d", "so_02_divergence.ipynb", text)
    assert collect(tmp_path / "d", term).same == 0
    write(tmp_path / "d", "so_02_divergence.ipynb", text + " ", age=-10)
    again = collect(tmp_path / "d", term)
    assert (len(again.placed), again.same) == (2, 1)
    assert collect(tmp_path / "d", term).same == 2


def test_a_time_that_is_none_is_told_and_not_counted(tmp_path, term, text):
    write(tmp_path / "d", "ana_02_divergence.ipynb", text)
    collect(tmp_path / "d", term)
    stamp = term.submission("ana", LESSON).with_name("timestamp.txt")
    for said, known in (("yesterday", 0), ("2026-10-02 12:00:00 UTC", 1), ("Oct 2 2026 12:00", 1)):
        stamp.write_text(said)
        result = collect(tmp_path / "d", term)
        assert result.timed == known
        assert any(f"{stamp}: is no time; write" in line for line in result.notes) == (not known)


def canvas(name, number):
    return f"{name}_{number}_70{number}_02_divergence.ipynb"


def test_another_classs_download_is_left(tmp_path, term, text):
    """With all that is in it, in one line; beside it this class's is placed."""
    entries = [
        (canvas("ottoanna", 1), text),
        (canvas("braunbo", 2), text),
        ("braunbo_2_9_x.txt", ""),
    ]
    pack(tmp_path / "d.zip", [*entries, ("mystery/x.ipynb", text)])
    (line,) = collect(tmp_path / "d.zip", term).unplaced
    assert "d.zip: of another class: none of the 3 people in it is on the roster" in line
    assert "--people FILE.csv" in line
    assert not any((term.root / "submitted").iterdir())
    assert not (term.root / "unmatched").exists()
    (tmp_path / "both").mkdir()
    (tmp_path / "d.zip").rename(tmp_path / "both" / "d.zip")
    pack(tmp_path / "both" / "e.zip", [(canvas("aana", 3), text), (canvas("guestgail", 4), text)])
    result = collect(tmp_path / "both", term)
    assert result.placed == [f"ana/{LESSON}", f"guestgail_4/{LESSON}"]
    assert len(result.unplaced) == 1
    (tmp_path / "people.csv").write_text("number,id\n1,ana\n2,jm\n")
    people = tmp_path / "people.csv"
    result = collect(tmp_path / "both" / "d.zip", term, people=people)
    assert {f"ana/{LESSON}", f"jm/{LESSON}"} <= set(result.placed)


@pytest.mark.parametrize(
    "names",
    [
        ["Otto Anna_1_assignsubmission_file_/x.ipynb", "Bo Braun_2_assignsubmission_file_/x.ipynb"],
        ["Otto Anna/x.ipynb", "Bo Braun/x.ipynb"],
        ["x1/02_divergence.ipynb", "x2/02_divergence.ipynb"],
        ["lab/Otto Anna/02_divergence/x.ipynb", "lab/Bo Braun/02_divergence/x.ipynb"],
        ["02_divergence/Otto Anna/x.ipynb", "02_divergence/Bo Braun/x.ipynb"],
        ["otto_02_divergence.ipynb", "braun_02_divergence (1).ipynb"],
        [canvas("ottoanna", 1), "Bo Braun/x.ipynb"],
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_another_classs_is_left_however_it_names_people(tmp_path, term, text, names, packed):
    """And none of it is, where one file in it speaks of somebody known, who handed in none."""
    if packed:
        pack(tmp_path / "d", [(name, text) for name in names]).rename(tmp_path / "d.zip")
    for name in names:
        write(tmp_path / "d", name, text)
    downloads = tmp_path / ("d.zip" if packed else "d")
    (line,) = collect(downloads, term).unplaced
    assert f"{downloads.name}: of another class: none of the 2 people in it is on the" in line
    assert not any((term.root / "submitted").iterdir())
    assert not (term.root / "unmatched").exists()
    write(tmp_path / "d", "Ana A.pdf", "x")
    told = collect(tmp_path / "d", term)
    assert not any("of another class" in line for line in told.unplaced)


@pytest.mark.parametrize(
    "names",
    [
        ["Otto Anna/02_divergence.ipynb", "Otto Anna/old/02_divergence.ipynb"],
        ["02_divergence.ipynb", "02_divergence (1).ipynb"],
        ["02_divergence final.ipynb", "new/02_divergence.ipynb"],
        ["Otto/02_divergence/02_divergence.ipynb", "Otto/02_divergence/02_divergence (1).ipynb"],
    ],
)
def test_files_that_name_nobody_or_one_are_no_other_class(tmp_path, term, text, names):
    for number, name in enumerate(names):
        write(tmp_path / "d", name, text + " " * number)
    assert all("kept in unmatched/" in line for line in collect(tmp_path / "d", term).unplaced)
    assert len([*(term.root / "unmatched").iterdir()]) == 2


def test_who_may_be_meant_is_said_of_another_classs_people_too(tmp_path, term, text):
    for name in ("Ada Lovelaze", "Bo Braun"):
        write(tmp_path / "d", f"{name}/x.ipynb", text)
    (line,) = collect(tmp_path / "d", term).unplaced
    assert "(Ada Lovelaze (did you mean 1815, Ada Lovelace?), Bo Braun)" in line


@pytest.mark.parametrize("form", ["canvas", "folder"])
def test_who_is_mapped_makes_no_guests_of_the_others(tmp_path, term, text, form):
    """They are left, as without --people; and in a download of this class they are guests."""
    people = tmp_path / "people.csv"
    people.write_text("number,folder,id\n1,Otto 1,ana\n")
    for i in range(1, 13):
        write(tmp_path / "d", canvas("otto", i) if form == "canvas" else f"Otto {i}/x.ipynb", text)
    result = collect(tmp_path / "d", term, people=people)
    assert result.placed == [f"ana/{LESSON}"]
    (line,) = result.unplaced
    assert "d: of another class: none of the 11 others in it is on the roster" in line
    assert not (term.root / "unmatched").exists()
    write(tmp_path / "d", "bo_lee/x.ipynb", text)
    result = collect(tmp_path / "d", term, people=people)
    assert {f"ana/{LESSON}", f"bo_lee/{LESSON}"} <= {*result.placed}
    assert len(result.placed) == (13 if form == "canvas" else 2)


def test_who_is_known_anyway_is_so_with_a_mapping_too(tmp_path, term, text):
    (tmp_path / "people.csv").write_text("number,id\n1,ana\n")
    pack(tmp_path / "d.zip", [(canvas("aana", 1), text), (canvas("guestgail", 2), text)])
    result = collect(tmp_path / "d.zip", term, people=tmp_path / "people.csv")
    assert result.placed == [f"ana/{LESSON}", f"guestgail_2/{LESSON}"]


def test_a_text_of_one_who_was_mapped_is_told_of(tmp_path, term, text):
    (tmp_path / "people.csv").write_text("number,id\n1,ana\n")
    entries = [("ottoanna_1_text.html", "my answer"), ("braunbo_2_text.html", "mine")]
    entries += [(canvas("guestgail", 3), text), (canvas("guestgus", 4), text)]
    pack(tmp_path / "d.zip", entries)
    lines = collect(tmp_path / "d.zip", term, people=tmp_path / "people.csv").unplaced
    assert ["of another class" in line for line in lines] == [True, False]
    assert "ana handed in a text and no notebook" in lines[1]


def bundle(text):
    """As `release` writes it, in little: names and texts."""
    files = dict.fromkeys((".bundle.json", "README.md", "pyproject.toml"), "x")
    files |= {f"helpers/{i}.py": "x" for i in range(10)} | {"helpers/data/sentences.gz": "x"}
    return files | {"notebooks/02_divergence/02_divergence.ipynb": text}


@pytest.mark.parametrize("within", ["", "my-bundle/"])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("listed", [False, True])
def test_a_bundle_is_no_download(tmp_path, term, text, within, packed, listed):
    if not listed:
        (term.root / "roster.csv").unlink()
    for name, content in bundle(text).items():
        write(tmp_path / "d", f"{within}{name}", content)
    if packed:
        entries = [(f"{within}{name}", content) for name, content in bundle(text).items()]
        pack(tmp_path / "d.zip", entries)
    with pytest.raises(UsageError, match=r"/d(\.zip)?: is a bundle, as release makes it") as raised:
        collect(tmp_path / ("d.zip" if packed else "d"), term)
    assert "\n" not in str(raised.value)
    assert not any((term.root / "submitted").iterdir())
    assert not (term.root / "unmatched").exists()


@pytest.mark.parametrize(
    "whose", ["ana", "Ana A_7_assignsubmission_file_", "Gail Guest_7_assignsubmission_file_"]
)
def test_a_bundle_that_is_somebodys_is_their_work(tmp_path, term, text, whose):
    """Who hands in the whole folder hands in the notebooks in it."""
    for name, content in bundle(text).items():
        write(tmp_path / "d", f"{whose}/my-bundle/{name}", content)
    assert len(collect(tmp_path / "d", term).placed) == 1
    shutil.move(tmp_path / "d" / whose / "my-bundle", tmp_path / "sent")
    assert collect(tmp_path / "sent", term, "jm").placed == [f"jm/{LESSON}"]


def test_many_files_that_are_nobodys_are_one_line(tmp_path, term, text):
    for name, content in bundle(text).items():
        write(tmp_path / "d", f"b/{name}", content)
    write(tmp_path / "d", "ana/02_divergence.ipynb", text)
    result = collect(tmp_path / "d", term)
    assert result.placed == [f"ana/{LESSON}"]
    (line,) = result.notes
    assert line.startswith("13 (b/.bundle.json, b/README.md, b/helpers/0.py, ")
    assert line.endswith(" and 8 more): not a notebook; left where it is")
    lost = [line.partition(": ")[0] for line in result.unplaced]
    assert sorted(lost) == ["b/helpers/data/sentences.gz", f"b/notebooks/{LESSON}/{LESSON}.ipynb"]


def test_with_no_roster_many_files_are_one_line_of_what_may_be_lost(tmp_path, term):
    (term.root / "roster.csv").unlink()
    for i in range(7):
        write(tmp_path / "d", f"{i}.pdf", "x")
    result = collect(tmp_path / "d", term)
    assert result.notes == []
    (line,) = result.unplaced
    assert (
        line == "7 (0.pdf, 1.pdf, 2.pdf, 3.pdf, 4.pdf and 2 more): not a notebook; left where it is"
    )


def test_many_guests_are_one_line_that_names_them(tmp_path, term, text):
    """And a few one each, whatever they handed in."""
    entries = [(canvas("aana", 1), text), (canvas("guestgail", 2), text)]
    other = text.replace("02-0", "03-0").replace(LESSON, "03_penalized_objective")
    entries += [("guestgail_2_71_03_penalized_objective.ipynb", other)]
    (line,) = collect(pack(tmp_path / "d.zip", entries), term).notes[-1:]
    assert "guestgail_2 is not on the roster; what is theirs is graded, and exported to no" in line
    entries += [(canvas(f"guest{'abcdefg'[i]}", 10 + i), text) for i in range(7)]
    notes = collect(pack(tmp_path / "d.zip", entries), term).notes
    (line,) = [line for line in notes if "the roster" in line]
    assert line.startswith("8 (guesta_10, guestb_11, ")
    assert "guestgail_2" in line
    assert line.endswith("autograde remove ID")


def test_whoever_waits_sees_how_far_it_is(tmp_path, term, text):
    for student in ("ana", "jm"):
        write(tmp_path / "d", f"{student}/02_divergence.ipynb", text)
    seen = []

    def progress(items, total):
        for item in items:
            seen.append(total)
            yield item

    assert len(collect(tmp_path / "d", term, progress=progress).placed) == 2
    assert seen == [2] * 4  # read, and placed


def test_guests_come_one_by_one_and_again(tmp_path, term, text):
    entries = [(canvas("guestgail", 1), text), (canvas("guestgus", 2), text)]
    for name, data in entries:
        write(tmp_path / "d", name, data)
    assert collect(tmp_path / "d", term).placed == []
    placed = [f"guestgail_1/{LESSON}", f"guestgus_2/{LESSON}"]
    assert collect(tmp_path / "d", term, one_by_one=True).placed == placed
    assert collect(tmp_path / "d", term).placed == placed


def test_a_guest_who_is_on_the_roster_by_another_id_leaves_nothing_unsaid(tmp_path, term, text):
    pack(tmp_path / "d.zip", [(canvas("guestgail", 9), text)])
    (note,) = [
        line for line in collect(tmp_path / "d.zip", term).notes if "guestgail_9 is not" in line
    ]
    assert note.endswith("or take them out: autograde remove guestgail_9")
    with (term.root / "roster.csv").open("a") as roster:
        roster.write("gg7,Gail,Guest,\n")
    for there in (True, False):
        result = collect(tmp_path / "d.zip", term)
        assert result.placed == [f"gg7/{LESSON}"]
        told = [line for line in result.notes if "autograde remove guestgail_9" in line]
        assert ["guestgail_9: is gg7 on the roster now" in line for line in told] == [True] * there
        shutil.rmtree(term.root / "submitted" / "guestgail_9", ignore_errors=True)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("Lovelaze, Ada", "1815"), ("Ada Lovelacee", "1815"), ("Adam Lovett", ""),
        ("Teilnehmer 29", ""), ("Lovelace", "1815"),
        ("Ada Maria Lovelace", "1815"), ("Ada Braun", ""), ("First29 Last29", ""),
        ("First9 Last99", ""),
    ],
)  # fmt: skip
def test_who_may_be_meant_is_asked_of_what_is_alike_and_has_the_same_numbers(
    tmp_path, term, text, name, meant
):
    with (term.root / "roster.csv").open("a") as roster:
        roster.write("s09,First9,Last9,\nt28,,Teilnehmer 28,\n")
    write(tmp_path / "d", f"{name}/x_02_divergence.ipynb", text)
    (line,) = collect(tmp_path / "d", term).unplaced
    assert (f"did you mean {meant}," in line) if meant else ("did you mean" not in line)


def test_what_stays_unknown_stays_where_it_lies(tmp_path, term, text):
    write(tmp_path / "downloads", f"Zoe Quux_{LESSON}.ipynb", text)
    collect(tmp_path / "downloads", term)
    (place,) = (term.root / "unmatched").iterdir()
    for again in (term.root / "unmatched", place, place / f"{LESSON}.ipynb"):
        said = collect(again, term)
        assert str(place.relative_to(term.root)) in said.unplaced[0]
        assert [*(term.root / "unmatched").iterdir()] == [place]
    collect(term.root / "unmatched", term, student="ana")
    assert not [*(term.root / "unmatched").iterdir()]


def test_as_another_than_its_name_says_is_told_in_one_line(tmp_path, term, text):
    name = canvas("leebo", 5)
    result = collect(write(tmp_path, name, text), term, student="ana")
    assert result.placed == [f"ana/{LESSON}"]
    (line,) = result.notes
    assert f"{name}: is named as bo_lee's, and taken as ana's, as you said; if" in line
    assert collect(tmp_path / name, term, student="bo_lee").notes == []
    stranger = write(tmp_path, canvas("quuxzoe", 6), text)
    assert collect(stranger, term, student="c.d-e").notes == []


def test_many_of_another_lesson_are_told_in_one_line(tmp_path, term, text):
    (term.root / SETTINGS).write_text('c = get_config()\nc.Course.lessons = ["00"]\n')
    for i in range(7):
        write(tmp_path / "d", f"ana/{LESSON} ({i}).ipynb", text)
    result = collect(tmp_path / "d", term)
    (line,) = result.unplaced
    assert line.startswith(f"7 (ana/{LESSON} (0).ipynb, ")
    assert " and 2 more): are 02_divergence, which is not among the term's lessons; name" in line
    assert len(result.unplaced) + result.more == 7
    (line,) = collect(tmp_path / "d" / "ana" / f"{LESSON} (1).ipynb", term).unplaced
    assert f"(1).ipynb: is {LESSON}, which is not among the term's lessons; name it in" in line
