"""A page goes back to the student whose it is, and to nobody else; who gets none is told.

Names are held against what the platforms' own importers do with them, see `importers`.
"""

import zipfile

import nbformat
import pytest

from autograde.cli import main
from autograde.common.errors import UsageError
from autograde.receiving.collecting import collect
from autograde.returning import handing_back
from autograde.returning.handing_back import hand_back
from autograde.term.term import Term
from tests.autograde.returning.importers import canvas_takes, moodle_takes

LESSON, OTHER = "02_divergence", "03_penalized_objective"
FILE = f"{LESSON}.ipynb"
# By id: first and last name, and the number at the platform.
CLASS = {
    "ana1": ("Ana", "Lopez", 11),
    "ana2": ("Ana", "Lopez", 12),
    "zoe": ("Zoë", "O'Brien-Müller", 13),
    "li": ("", "李", 14),
    "anon": ("", "Anon", 15),
    "late": ("Late", "Comer", 16),
    "7": ("7 of 9", "Seven", 17),
    "link": ("Link", "link", 18),
    "x_link": ("Max", "9 Lives", 19),
}
TWINS = ("ana1", "ana2")


@pytest.fixture
def term(tmp_path, monkeypatch):
    """As much of a term as handing back needs; its pages are made at once."""
    root = tmp_path / "term"
    (root / "submitted").mkdir(parents=True)
    (root / ".autograde").mkdir()
    (root / ".autograde" / "key").touch()
    rows = [f'{one},"{first}","{last}",{one}@x.org' for one, (first, last, _) in CLASS.items()]
    (root / "roster.csv").write_text("\n".join(["id,first_name,last_name,email", *rows]), "utf-8")
    monkeypatch.setattr(handing_back, "feedback", made_at_once)
    return Term(root)


def made_at_once(term, progress, workers, lesson):
    """Every page; but of who is broken there is none."""
    failed = []
    with term.store() as store:
        recorded = store.recorded()
    for name in recorded:
        student, _, of = name.partition("/")
        if of == lesson and (term.root / f"no-page-{student}").exists():
            failed.append(f"{name}: no feedback (its page met a limit)")
        elif of == lesson:
            path = term.root / "feedback" / student / of / f"{of}.html"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"the page of {student}", "utf-8")
    return [], failed


def graded(term, *students, lesson=LESSON):
    with term.store() as store:
        for student in students:
            store.keep_recorded(f"{student}/{lesson}", "source", "key")


def letters(text):
    """As Canvas leaves of a name what is a letter, a digit or _."""
    return "".join(c for c in text.lower() if c.isalnum() or c == "_")


def on_moodle(student, file=FILE, number=None):
    first, last, own = CLASS[student]
    return f"{f'{first} {last}'.strip()}_{number or own}_assignsubmission_file/{file}"


def on_canvas(student, file=FILE, attachment=None):
    first, last, number = CLASS[student]
    late = "LATE_" * (student == "late")
    return f"{letters(last + first)}_{late}{number}_{attachment or 500 + number}_{file}"


NAMED = {"moodle": on_moodle, "canvas": on_canvas}


def text_of(student, solved):
    notebook = nbformat.from_dict(solved)
    notebook.metadata["of"] = student
    return nbformat.writes(notebook)


@pytest.fixture
def pack(tmp_path, solved):
    """A download of these names; each holds the notebook of who is named after it."""

    def packed(entries, name="download.zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            for entry, student in entries.items():
                archive.writestr(entry, text_of(student, solved))
        return tmp_path / name

    return packed


def names_in(path):
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return archive.namelist()


def pages_in(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def taken(form, path):
    """Whose page the platform gives to which number."""
    pages = pages_in(path)
    given = {}
    for name, page in pages.items():
        if form == "moodle":
            ((number, own),) = moodle_takes([name], {number for *_, number in CLASS.values()})
            assert own == name.rpartition("/")[2]
        else:
            files = {number: {500 + number} for *_, number in CLASS.values()}
            ((number, _),) = canvas_takes([name], files)
        given[number] = page.removeprefix("the page of ")
    assert len(given) == len(pages)
    return given


@pytest.mark.parametrize("form", ["moodle", "canvas"])
def test_each_page_goes_to_its_student_whatever_the_names(tmp_path, term, pack, form):
    """Of a class with names that importers stumble over: digits, no letters, two of one name."""
    download = pack({NAMED[form](student): student for student in CLASS})
    collect(download, term)
    for twin in TWINS:
        one = pack({FILE: twin}, f"{twin}.zip")
        collect(one, term, twin)
    graded(term, *CLASS)
    made = hand_back(term, form, tmp_path / "out.zip", download)
    assert taken(form, made.path) == {number: one for one, (*_, number) in CLASS.items()}
    assert (made.lesson, made.count, made.unplaced) == (LESSON, len(CLASS), [])


@pytest.mark.parametrize("form", ["moodle", "canvas"])
def test_collect_keeps_the_numbers(tmp_path, term, pack, form):
    """So that pages go back with no download at hand; of two of one name, of neither."""
    download = pack({NAMED[form](student): student for student in CLASS})
    collect(download, term)
    graded(term, *CLASS)
    made = hand_back(term, form, tmp_path / "out.zip", lesson=LESSON)
    rest = {one: number for one, (*_, number) in CLASS.items() if one not in TWINS}
    assert taken(form, made.path) == {number: one for one, number in rest.items()}
    assert [line.partition(":")[0] for line in made.unplaced] == list(TWINS)


def test_collect_as_keeps_what_the_files_name_says(tmp_path, term, pack, solved):
    path = tmp_path / on_canvas("ana1")
    path.write_text(text_of("ana1", solved), "utf-8")
    collect(path, term, "ana1")
    graded(term, "ana1")
    made = hand_back(term, "canvas", tmp_path / "out.zip", lesson=LESSON)
    assert taken("canvas", made.path) == {11: "ana1"}


@pytest.mark.parametrize("form", ["moodle", "canvas"])
def test_file_names_differ_from_student_to_student(tmp_path, term, pack, form):
    download = pack({NAMED[form](one): one for one in CLASS if one not in TWINS})
    collect(download, term)
    graded(term, *CLASS)
    names = names_in(hand_back(term, form, tmp_path / "out.zip", download).path)
    own = [name.rpartition("/")[2] for name in names]
    assert len(set(own)) == len(own) == len(CLASS) - 2
    assert all(name.endswith(f"{LESSON}.html") for name in own)


def test_marked_blindly_the_numbers_are_kept_that_people_said(tmp_path, term, pack):
    """In Moodle everybody is called Participant, in Canvas anon: `--people` says who is who."""
    (tmp_path / "people.csv").write_text("number,id\n13,zoe\n14,li\nAb3xY,zoe\n00017,li\n")
    blind = {"Participant_13_assignsubmission_file/" + FILE: "zoe",
             "Participant_14_assignsubmission_file/" + FILE: "li"}  # fmt: skip
    for form, entries in (
        ("moodle", blind),
        ("canvas", {f"anon_Ab3xY_71_{FILE}": "zoe", f"LATE_anon_00017_72_{FILE}": "li"}),
    ):
        download = pack(entries, f"{form}.zip")
        collect(download, term, people=tmp_path / "people.csv")
        graded(term, "zoe", "li")
        for like in (download, None):
            made = hand_back(term, form, tmp_path / "out.zip", like, LESSON)
            assert made.unplaced == []
            if form == "moodle":
                assert taken(form, made.path) == {13: "zoe", 14: "li"}
            else:
                anonymous = {"Ab3xY": 13, "00017": 14}
                got = canvas_takes(names_in(made.path), {13: {71}, 14: {72}}, anonymous)
                assert sorted(got) == [(13, 71), (14, 72)]


@pytest.mark.parametrize("form", ["moodle", "canvas"])
def test_a_teams_number_is_no_students(tmp_path, term, pack, form):
    """Moodle writes a group's id, which may be another student's number; Canvas one member's."""
    team = {"moodle": "Team Blue_17_assignsubmission_file/" + FILE,
            "canvas": f"teamblue_17_517_{FILE}"}[form]  # fmt: skip
    (tmp_path / "people.csv").write_text("number,id\n17,zoe\n")
    download = pack({team: "zoe", NAMED[form]("li"): "li"})
    collect(download, term, people=tmp_path / "people.csv")
    graded(term, "zoe", "li")
    made = hand_back(term, form, tmp_path / "out.zip", download)
    assert taken(form, made.path) == {14: "li"}
    assert [line for line in made.unplaced if "Team Blue" in line or "teamblue" in line]
    assert [line for line in made.unplaced if line.startswith("zoe: ")]


def test_canvas_takes_a_page_only_for_an_attachment_of_this_lesson_and_the_latest(
    tmp_path, term, pack
):
    download = pack({
        on_canvas("li", "notes.txt", 9001): "li", on_canvas("li", f"{LESSON}-1.ipynb", 801): "li",
        on_canvas("li", FILE, 800): "li", on_canvas("li", f"{OTHER}.ipynb", 9002): "li",
        on_canvas("zoe"): "zoe", "obrienmüllerzoë_13_text.html": "zoe", "anon_15_text.html": "anon",
    })  # fmt: skip
    collect(download, term)
    graded(term, "li", "zoe", "anon")
    made = hand_back(term, "canvas", tmp_path / "out.zip", download)
    got = canvas_takes(names_in(made.path), {14: {801}, 13: {513}, 15: {515}})
    assert sorted(got) == [(13, 513), (14, 801)]
    assert [line for line in made.unplaced if line.startswith("anon (") and "no file" in line]


def test_who_gets_no_page_and_whose_page_has_no_address_is_told(tmp_path, term, pack):
    entries = {on_moodle(one): one for one in ("zoe", "li", "late", "7")}
    download = pack(entries | {"Gail Guest_99_assignsubmission_file/" + FILE: "guest"})
    collect(download, term)
    graded(term, "zoe", "late", "7", "link", "GailGuest_99")
    (term.root / "no-page-7").touch()
    made = hand_back(term, "moodle", tmp_path / "out.zip", download)
    assert taken("moodle", made.path) == {13: "zoe", 16: "late"}
    told = {line.split()[0].strip(":"): line for line in made.unplaced}
    assert "its page met a limit" in told[f"7/{LESSON}"]
    assert "li" in told
    assert "no page" in told["li"]
    assert f"not in {download}" in told["link"]
    assert len(told) == len(made.unplaced) == 3
    assert any(note.startswith("GailGuest_99: not on the roster") for note in made.notes)
    assert any(note.startswith("Gail Guest_99_assignsubmission_file: not") for note in made.notes)


def test_what_one_downloaded_and_unpacked_serves_too(tmp_path, term, pack):
    download = pack({on_moodle(one): one for one in ("zoe", "li")})
    collect(download, term)
    graded(term, "zoe", "li")
    with zipfile.ZipFile(download) as archive:
        archive.extractall(tmp_path / "unpacked")
    made = hand_back(term, "moodle", tmp_path / "out.zip", tmp_path / "unpacked")
    assert taken("moodle", made.path) == {13: "zoe", 14: "li"}


def test_the_same_pages_make_the_same_zip(tmp_path, term, pack):
    download = pack({on_moodle("zoe"): "zoe"})
    collect(download, term)
    graded(term, "zoe")
    first, second = (hand_back(term, "moodle", tmp_path / name, download).path.read_bytes()
                     for name in ("a.zip", "b.zip"))  # fmt: skip
    assert first == second


def wrong(term, pack, tmp_path, case):
    """(the download, whether for Moodle, the lesson) of a download that does not fit."""
    theirs = {"canvas": {on_canvas("zoe"): "zoe"}, "moodle": {on_moodle("zoe"): "zoe"}}
    match case:
        case "other platform":
            return pack(theirs["canvas"]), ""
        case "no platform":
            return pack({"zoe/" + FILE: "zoe"}), ""
        case "no zip":
            (tmp_path / "download.zip").write_text("text")
            return tmp_path / "download.zip", ""
        case "not there":
            return tmp_path / "download.zip", ""
        case "other lesson":
            return pack(theirs["moodle"]), OTHER
        case "several lessons":
            return pack(theirs["moodle"] | {on_moodle("zoe", f"{OTHER}.ipynb"): "zoe"}), ""
        case "a few of another":
            few = {on_moodle(one, f"{OTHER}.ipynb"): one for one in [*CLASS][2:5]}
            return pack({on_moodle(one): one for one in [*CLASS][:8]} | few), ""
        case "no notebook":
            return pack({on_moodle("zoe", "x.pdf"): "zoe"}), ""
        case "not graded":
            return pack({on_moodle("zoe", f"{OTHER}.ipynb"): "zoe"}), ""
    known = {on_moodle("li"): "li"} if case == "hardly our class" else {}
    there = {f"Guest {c}_{i}_assignsubmission_file/{FILE}": c for i, c in enumerate("ABCD", 90)}
    return pack(known | there), ""


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("other platform", "nothing in it is named as Moodle names .*looks like Canvas's"),
        ("no platform", "nothing in it is named as Moodle"),
        ("no zip", "not a readable zip"),
        ("not there", "no such file or folder"),
        (
            "other lesson",
            rf"of another lesson: its notebooks are of {LESSON} \(1\); name the zip of",
        ),
        ("several lessons", rf"of {LESSON} \(1\) and {OTHER} \(1\); name the LESSON"),
        ("a few of another", rf"of {LESSON} \(8\) and {OTHER} \(3\); name the LESSON"),
        ("no notebook", "no notebook of a lesson is in it"),
        ("not graded", f"nothing of {OTHER} is graded yet"),
        ("other class", "of another class: 0 of the 4 people in it are on the roster"),
        ("hardly our class", "of another class: 1 of the 5 people in it .* and 1 of the 5 who"),
    ],
)
def test_a_download_that_does_not_fit_is_refused_with_the_reason(
    tmp_path, term, pack, monkeypatch, case, says
):
    graded(term, "zoe", "li", "late", "7", "link")
    download, lesson = wrong(term, pack, tmp_path, case)
    monkeypatch.setattr(handing_back, "feedback", None)  # before a page is made
    with pytest.raises(UsageError, match=says) as refused:
        hand_back(term, "moodle", tmp_path / "out.zip", download, lesson)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.glob("out.zip*"))


def test_a_part_of_the_class_and_a_class_within_a_larger_one_are_no_other_class(
    tmp_path, term, pack
):
    graded(term, *CLASS)
    one = pack({on_moodle("zoe"): "zoe"}, "one.zip")
    assert hand_back(term, "moodle", tmp_path / "out.zip", one).count == 1
    some = [student for student in CLASS if student not in TWINS]
    guests = {f"Guest {i}_{i}_assignsubmission_file/{FILE}": "x" for i in range(100, 130)}
    large = pack({on_moodle(student): student for student in some} | guests, "large.zip")
    made = hand_back(term, "moodle", tmp_path / "out.zip", large)
    assert made.count == len(some)
    assert [note for note in made.notes if "and 25 more: not on the roster" in note]


def test_of_a_download_of_two_lessons_each_goes_back_when_it_is_named(tmp_path, term, pack):
    """One of a class, and one of a few: neither is left out without a word."""
    few = {"zoe": 1, "li": 2, "late": 3}
    names = {on_moodle(one): one for one in CLASS if one not in TWINS}
    download = pack(names | {on_moodle(one, f"{OTHER}.ipynb"): one for one in few})
    collect(download, term)
    graded(term, *CLASS)
    graded(term, *few, lesson=OTHER)
    made = hand_back(term, "moodle", tmp_path / "out.zip", download, OTHER)
    assert set(taken("moodle", made.path).values()) == set(few)
    assert any(f": {len(names)} notebooks in it are of {LESSON}" in note for note in made.notes)


def test_one_that_strayed_is_told(tmp_path, term, pack):
    names = {on_moodle(one): one for one in ("zoe", "li", "late")}
    download = pack(names | {on_moodle("zoe", f"{OTHER}.ipynb"): "zoe"})
    collect(download, term)
    graded(term, "zoe", "li", "late")
    made = hand_back(term, "moodle", tmp_path / "out.zip", download)
    assert made.lesson == LESSON
    assert [note for note in made.notes if f"1 notebook in it is of {OTHER}, whose pages" in note]


def test_what_is_to_be_said_of_many_is_one_line(tmp_path, term, pack):
    download = pack({on_moodle("zoe"): "zoe", on_moodle("li"): "li"})
    collect(download, term)
    graded(term, *CLASS)
    made = hand_back(term, "moodle", tmp_path / "out.zip", download)
    (line,) = made.unplaced
    rest = sorted(CLASS.keys() - {"zoe", "li"})
    assert line.startswith(f"{len(rest)} ({', '.join(rest)}): not in {download}")


def test_nothing_collected_from_there(tmp_path, term, pack):
    collect(pack({on_moodle("zoe"): "zoe"}), term)
    graded(term, "zoe")
    with pytest.raises(UsageError, match="a number of Canvas's was collected; .* --like"):
        hand_back(term, "canvas", tmp_path / "out.zip", lesson=LESSON)


def test_without_a_roster_nothing_goes_back(tmp_path, term, pack):
    (term.root / "roster.csv").unlink()
    with pytest.raises(UsageError, match="nobody is on the roster"):
        hand_back(term, "moodle", tmp_path / "out.zip", lesson=LESSON)


def test_a_zip_that_cannot_be_written_leaves_none(tmp_path, term, pack, monkeypatch):
    download = pack({on_moodle("zoe"): "zoe"})
    collect(download, term)
    graded(term, "zoe")
    (tmp_path / "out.zip").write_text("what was there")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "writestr", full)
    with pytest.raises(UsageError, match="out.zip: cannot be written"):
        hand_back(term, "moodle", tmp_path / "out.zip", download)
    assert [path.name for path in tmp_path.glob("out*")] == ["out.zip"]
    assert (tmp_path / "out.zip").read_text() == "what was there"


def test_hostile_names_of_a_download_are_said_and_written_clean(tmp_path, term, pack, capsys):
    evil = f"../../\x1b[2J{'x' * 400}_14_assignsubmission_file/{FILE}"
    download = pack(
        {on_moodle("zoe"): "zoe", evil: "li", f"\x1b[2JEve_9_assignsubmission_file/{FILE}": "x"}
    )
    collect(download, term)
    graded(term, "zoe")
    made = hand_back(term, "moodle", tmp_path / "out.zip", download)
    assert taken("moodle", made.path) == {13: "zoe"}
    assert not any("\x1b" in line or "\n" in line for line in (*made.notes, *made.unplaced))


def test_the_command_says_what_is_in_the_zip_and_who_is_not(
    tmp_path, term, pack, capsys, monkeypatch
):
    monkeypatch.setattr(Term, "open", classmethod(lambda cls, folder: term))
    download = pack({on_moodle(one): one for one in ("zoe", "li")})
    collect(download, term)
    graded(term, "zoe")
    words = ["feedback", "--for", "moodle", "--like", str(download), "--to"]
    assert main([*words, str(tmp_path / "out.zip")]) == 1
    said = capsys.readouterr()
    assert f"out.zip: 1 page of {LESSON} for Moodle" in said.out
    assert said.err.startswith("autograde: li (")
    assert main([*words, str(download)]) == 2
    assert "is read for it" in capsys.readouterr().err
    with zipfile.ZipFile(download) as archive:
        assert len(archive.namelist()) == 2
