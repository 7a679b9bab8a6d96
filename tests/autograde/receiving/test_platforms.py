"""Whatever a platform names its files, a person finds their row, and no two become one."""

import itertools
import random
import zipfile
from datetime import UTC, datetime

import nbformat
import pytest

from autograde.common.errors import UsageError
from autograde.receiving.collecting import collect
from autograde.term.term import Term

LESSON = "02_divergence"
FILE = f"{LESSON}.ipynb"
ROWS = {
    "ada1": ("Ada", "Lovelace", "ada@uni.example"),
    "zoe2": ("Zoë", "O'Brien-Müller", "zoe@uni.example"),
    "SAM3": ("Sam", "Smith", "sam@uni.example"),
    "ana": ("Ana", "de la Cruz", "ana@uni.example"),
    "bo_lee": ("Bo", "Lee", "bo.lee@uni.example"),
    "1815": ("Li", "Wei", "li@uni.example"),
}
METADATA = """submission_{number}:
  :submitters:
  - :name: {first} {last}
    :sid: '{sid}'
    :email: {email}
  :created_at: 2026-10-02 17:34:00.861687000 Z
  :results:
    output: |-
      submission_1:
        :submitters:
        - :name: Ada Lovelace
"""


def letters(text):
    return "".join(c for c in text.lower() if c.isalnum())


def canvas(first, last, login, number):
    return f"{letters(last + first)}_{number}_70{number}_{FILE}"


def canvas_late(first, last, login, number):
    return f"{letters(last + first)}_LATE_{number}_70{number}_{LESSON}-1.ipynb"


def moodle(first, last, login, number):
    return f"{first} {last}_{number}_assignsubmission_file_/{FILE}"


def moodle_flat(first, last, login, number):
    return f"{first} {last}_{number}_assignsubmission_file_{FILE}"


def moodle_group(first, last, login, number):
    return f"Lab-Group 2-{first} {last}_{number}_assignsubmission_file_/{FILE}"


def brightspace(first, last, login, number):
    return f"CS101/{number}-351765 - {first} {last} - May 18, 2025 1224 PM/{FILE}"


def brightspace_flat(first, last, login, number):
    return f"{number}-351765 - {first} {last} - Sep 2, 2025 1205 AM - {FILE}"


def blackboard(first, last, login, number):
    return f"Lesson 02_{login}_attempt_2026-10-02-12-30-00_{FILE}"


def sakai(first, last, login, number):
    return f"02 Divergence/{last}, {first}({login})/Submission attachment(s)/{FILE}"


def sakai_flat(first, last, login, number):
    return f"02 Divergence/{last}, {first}({login})_Submission attachment(s)_{FILE}"


def ilias(first, last, login, number):
    return f"Abgaben/{last}_{first}_{login}_{number}/{FILE}"


def github(first, last, login, number):
    return f"submissions/lab-two-{login}/{FILE}"


def exchange(first, last, login, number):
    return f"inbound/{login}+{LESSON}+2026-10-02 12:30:00.000000 UTC+{number}/{FILE}"


def submitted(first, last, login, number):
    return f"submitted/{login}/{LESSON}/{FILE}"


def mail(first, last, login, number):
    return f"Re: {LESSON} - {ROWS.get(login, (0, 0, f'{login}@x.example'))[2]}/{FILE}"


def by_name(first, last, login, number):
    return f"CS101/{first} {last}/{FILE}"


def by_id(first, last, login, number):
    return f"loose/{login.upper()}_{LESSON}_2026_10_03.ipynb"


def in_folder(first, last, login, number):
    return f"lab2/{login}/{LESSON}_2026_10_03.ipynb"


FORMS = [
    canvas, canvas_late, moodle, moodle_flat, moodle_group, brightspace, brightspace_flat,
    blackboard, sakai, sakai_flat, ilias, github, exchange, submitted, mail, by_name, by_id,
    in_folder,
]  # fmt: skip
SURE = [form for form in FORMS if form not in (github, ilias, mail, by_name, by_id, in_folder)]


@pytest.fixture
def term(tmp_path):
    root = tmp_path / "term"
    (root / ".autograde").mkdir(parents=True)
    lines = [",".join((student, *row)) for student, row in ROWS.items()]
    (root / "roster.csv").write_text("\n".join(["id,first_name,last_name,email", *lines]))
    return Term(root)


@pytest.fixture
def text(base):
    return nbformat.writes(base)


def pack(path, entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in entries:
            archive.writestr(zipfile.ZipInfo(name, (2026, 10, 3, 12, 0, 0)), text)
    return path


def named(form, student, number):
    first, last, _ = ROWS[student]
    return form(first, last, student, number)


@pytest.mark.parametrize("form", FORMS)
def test_everybody_on_the_roster_is_found(tmp_path, term, text, form):
    """And collecting again changes nothing."""
    entries = [
        (named(form, student, 100 + i), f"{text}{' ' * i}") for i, student in enumerate(ROWS)
    ]
    for _ in range(2):
        result = collect(pack(tmp_path / "c.zip", entries), term)
        assert result.unplaced == []
        assert result.placed == sorted(f"{student}/{LESSON}" for student in ROWS)
        for i, student in enumerate(ROWS):
            assert term.submission(student, LESSON).read_text("utf-8") == f"{text}{' ' * i}"
    assert not (term.root / "unmatched").exists()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "stranger",
    [
        ("Anna", "Bell", "bell7"),
        ("Ana", "Gomez", "gomez7"),  # an id of another's is her first name
        ("Sam3", "Jones", "jones7"),
        ("Ada", "Smith", "smith7"),  # two names of others
        ("Mary Ana-Li", "Wei", "wei7"),  # a full name of another's in hers
        ("Bo", "Lee-Ana", "bo_lee7"),
    ],
    ids=lambda one: one[2],
)
def test_nobody_else_is_taken_for_them(tmp_path, term, text, form, stranger):
    """Alone, and beside each of the class: theirs stays theirs."""
    other = form(*stranger, 999)
    for student in (None, *ROWS):
        entries = [(other, text + " ")]
        if student:
            entries.append((named(form, student, 100), text))
        collect(pack(tmp_path / "c.zip", entries), term)
        for one in ROWS:
            path = term.submission(one, LESSON)
            assert not path.exists() or path.read_text("utf-8") == text
    kept = list((term.root / "unmatched").rglob("*.ipynb"))
    strangers = [p for p in (term.root / "submitted").glob("*") if p.name not in ROWS]
    assert len(kept) + len(strangers) == 1
    if form in SURE:
        assert len(strangers) == 1


# Elsewhere the path says nothing that tells two of one name apart.
TELLS = [f for f in FORMS if f("Ada", "Lovelace", "a", 1) != f("Ada", "Lovelace", "b", 2)]


@pytest.mark.parametrize("form", TELLS)
def test_two_of_one_name_never_share_a_row(tmp_path, term, text, form):
    """Two platform users whose names are one on the roster, by their numbers: both are kept apart;
    where the platform says an id, only its owner has the row. In one download and in two."""
    mine = form("Ada", "Lovelace", "ada1", 100)
    other = form("Ada", "Lovelace", "love7", 999)
    collect(pack(tmp_path / "c.zip", [(mine, text), (other, text + " ")]), term)
    path = term.submission("ada1", LESSON)
    held = {p.read_text("utf-8") for p in term.root.rglob("*.ipynb")}
    assert held == {text, text + " "}
    assert not path.exists() or path.read_text("utf-8") == text
    again = Term(term.root)
    for name, mark in ((mine, ""), (other, " ")):
        collect(pack(tmp_path / "one.zip", [(name, text + mark)]), again)
    assert not path.exists() or path.read_text("utf-8") == text


@pytest.mark.parametrize(
    "forms", list(itertools.combinations(FORMS, 2)), ids=lambda f: f[0].__name__
)
def test_the_order_of_files_does_not_matter(tmp_path, term, text, forms):
    """A class on two platforms at once, shuffled three times."""
    entries = [(named(form, student, 100 + i), f"{text}{' ' * (i + 10 * j)}")
               for j, form in enumerate(forms) for i, student in enumerate(ROWS)]  # fmt: skip
    found = []
    for seed in range(3):
        random.Random(seed).shuffle(entries)
        folder = tmp_path / str(seed)
        (folder / ".autograde").mkdir(parents=True)
        (folder / "roster.csv").write_text((term.root / "roster.csv").read_text())
        collect(pack(tmp_path / "c.zip", entries), Term(folder))
        places = (folder / "submitted").rglob("*.ipynb")
        found.append({p.relative_to(folder): p.read_bytes() for p in places})
    assert found[0] == found[1] == found[2]
    assert {path.parts[1] for path in found[0]} == set(ROWS)


JUNK = [
    "__MACOSX/{0}/._02_divergence.ipynb", "{0}/._02_divergence.ipynb", ".DS_Store",
    "{0}/.DS_Store", "Thumbs.db", "desktop.ini", "index.html", "{0}/~$report.docx",
    "{0}/.~02_divergence.ipynb", "{0}/.ipynb_checkpoints/02_divergence-checkpoint.ipynb",
    "{0}/.git/config", "{0}/.gitignore", "02 Divergence/grades.csv", "{0}/timestamp.txt",
    "Grades-CS101-02-12345.csv",
]  # fmt: skip


def test_junk_never_counts(tmp_path, term, text):
    """Later, and of the same name: it places nothing, replaces nothing, and is no failure."""
    folder = "Ada Lovelace_100_assignsubmission_file_"
    entries = [(f"{folder}/{FILE}", text), *((name.format(folder), "junk") for name in JUNK)]
    for shuffled in (entries, entries[::-1]):
        result = collect(pack(tmp_path / "c.zip", shuffled), term)
        assert (result.placed, result.unplaced, result.left) == ([f"ada1/{LESSON}"], [], len(JUNK))
    assert [p.name for p in (term.root / "submitted").iterdir()] == ["ada1"]
    result = collect(pack(tmp_path / "c.zip", [(n.format(folder), "junk") for n in JUNK]), term)
    assert (result.placed, result.unplaced) == ([], [])


@pytest.mark.parametrize(
    "name",
    [
        "Ada Lovelace_100_assignsubmission_onlinetext_/onlinetext.html",
        "Ada Lovelace_100_assignsubmission_onlinetext_onlinetext.html",
        "lovelaceada_100_text.html",
        "Lesson 02_ada1_attempt_2026-10-02-12-30-00.txt",
        "02/Lovelace, Ada(ada1)/Lovelace, Ada(ada1)_submissionText.html",
    ],
)
def test_a_text_in_place_of_a_notebook_is_told_and_beside_one_is_none(tmp_path, term, text, name):
    result = collect(pack(tmp_path / "c.zip", [(name, "<p>mine</p>")]), term)
    assert ["ada1 handed in a text and no notebook" in line for line in result.unplaced] == [True]
    beside = {
        "A": "Ada Lovelace_100_assignsubmission_file_/x.ipynb",
        "l": "lovelaceada_100_7_x.ipynb",
        "L": "Lesson 02_ada1_attempt_2026-10-02-12-30-00_x.ipynb",
        "0": "02/Lovelace, Ada(ada1)/Submission attachment(s)/x.ipynb",
    }[name[0]]
    result = collect(pack(tmp_path / "c.zip", [(name, "<p>mine</p>"), (beside, text)]), term)
    assert (result.placed, result.unplaced, result.left) == ([f"ada1/{LESSON}"], [], 1)


def test_what_somebody_lost_is_told_and_what_lies_beside_is_counted(tmp_path, term, text):
    entries = [
        (f"ada1/{FILE}", text), ("ada1/photo.png", "x"), ("ada1/old.7z", "x"),
        ("zoe2/report.pdf", "x"), ("notes.txt", "x"),
    ]  # fmt: skip
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert (result.placed, result.left) == ([f"ada1/{LESSON}"], 1)
    told = " ".join(result.unplaced)
    assert [name in told for name in ("old.7z", "report.pdf")] == [True] * 2
    assert len(result.unplaced) == 2
    assert result.notes == ["c.zip: notes.txt: not a notebook; left where it is"]  # nobody's


def stamps(term):
    return {p.parts[-3]: p.read_text() for p in (term.root / "submitted").rglob("timestamp.txt")}


@pytest.mark.parametrize(
    ("form", "note", "time"),
    [
        (brightspace, None, datetime(2025, 5, 18, 12, 24)),
        (brightspace_flat, None, datetime(2025, 9, 2, 0, 5)),
        (blackboard, None, datetime(2026, 10, 2, 12, 30)),
        (exchange, None, datetime(2026, 10, 2, 12, 30, tzinfo=UTC)),
        (submitted, f"submitted/ada1/{LESSON}/timestamp.txt 2026-10-02 14:30:00 Europe/Berlin",
         datetime(2026, 10, 2, 12, 30, tzinfo=UTC)),
        (sakai, "02 Divergence/Lovelace, Ada(ada1)/timestamp.txt 2026-10-02T12:30:00Z",
         datetime(2026, 10, 2, 12, 30, tzinfo=UTC)),
        (sakai, "02 Divergence/Lovelace, Ada(ada1)/timestamp.txt 20261002123000000",
         datetime(2026, 10, 2, 12, 30, tzinfo=UTC)),
        (moodle, "Ada Lovelace_100_assignsubmission_file_/timestamp.txt 2026-10-02 12:00:00 UTC",
         None),
        (in_folder, "lab2/ada1/timestamp.txt 2020-01-01 12:00:00 UTC", None),
        (canvas_late, None, None),
        (moodle, None, None),
    ],
)  # fmt: skip
def test_a_platforms_own_time_is_the_hand_in_time(tmp_path, term, text, form, note, time):
    """What a student can put beside their notebook is none."""
    entries = [(named(form, "ada1", 100), text)]
    if note:
        name, _, said = note.partition(".txt ")
        entries.append((f"{name}.txt", said))
    result = collect(pack(tmp_path / "c.zip", entries), term)
    wanted = {"ada1": f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S.%f} UTC"} if time else {}
    assert stamps(term) == wanted
    assert result.timed == len(wanted)
    local = bool(time) and time.tzinfo is None
    assert any("without a zone" in line for line in result.notes) == local


def test_gradescopes_metadata_says_whose_a_folder_is(tmp_path, term, text):
    """Of a pair both; what a program printed into the same file says nothing."""
    data = METADATA.format(number=5, first="A.", last="L.", sid="ada1", email="x@x.org")
    data += METADATA.format(number=6, first="Sam", last="Smith", sid="7", email="sam@uni.example")
    data = data.replace(
        "  - :name: Sam", "  - :name: Zoë O'Brien-Müller\n    :sid: ''\n  - :name: Sam"
    )
    entries = [("assignment_9_export/submission_metadata.yml", data)]
    entries += [(f"assignment_9_export/submission_{n}/{FILE}", text) for n in (5, 6, 7)]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"{student}/{LESSON}" for student in ("SAM3", "ada1", "zoe2")]
    assert set(stamps(term).values()) == {"2026-10-02 17:34:00.861687 UTC"}
    assert ["submission_7" in line for line in result.unplaced] == [True]


def test_who_cannot_be_told_is_kept_apart_and_asked_about(tmp_path, term, text):
    """'Did you mean'; and what is kept is collected from there, with its time, and is gone then."""
    entries = [(f"Ada Lovelaze/{FILE}", text), (f"lab2/zoe/{FILE}", text + " ")]
    entries += [(f"sam3/{FILE}", text)]  # or it would be another class's
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"SAM3/{LESSON}"]
    assert [("ada1" in line, "zoe2" in line) for line in result.unplaced] == [
        (True, False), (False, True),
    ]  # fmt: skip
    kept = sorted((term.root / "unmatched").iterdir())
    assert len(kept) == 2
    assert collect(kept[0], term, "ada1").placed == [f"ada1/{LESSON}"]
    assert sorted((term.root / "unmatched").iterdir()) == kept[1:]
    (tmp_path / "people.csv").write_text("folder,id\nlab2/zoe,zoe2\nAda Lovelaze,ada1\n")
    result = collect(tmp_path / "c.zip", term, people=tmp_path / "people.csv")
    names = [f"{student}/{LESSON}" for student in ("SAM3", "ada1", "zoe2")]
    assert (result.placed, result.unplaced) == (names, [])
    assert list((term.root / "unmatched").iterdir()) == []


def test_all_of_it_is_one_persons_unless_it_evidently_is_not(tmp_path, term, text):
    pack(tmp_path / "one.zip", [(f"x/{FILE}", text), ("notes/y.ipynb", text)])
    assert collect(tmp_path / "one.zip", term, "sam3").placed == [f"SAM3/{LESSON}"]
    pack(tmp_path / "two.zip", [(named(moodle, s, i), text) for i, s in enumerate(ROWS)])
    with pytest.raises(UsageError, match="work of several people"):
        collect(tmp_path / "two.zip", term, "ada1")
    for wrong in ("-rf", "..", "a b", "ana\n", ""):
        with pytest.raises(UsageError, match="no id"):
            collect(tmp_path / "one.zip", term, wrong)


@pytest.mark.parametrize(
    ("slip", "says"),
    [
        ("ada2", "--as ada2: nobody on the roster has this id (did you mean ada1, Ada Lovelace?)"),
        ("Ada Lovelace", "no id, which has letters, digits and . _ - @ (did you mean ada1, Ada"),
        ("guest-7", "--as guest-7: nobody on the roster has this id; check it, or put them on"),
    ],
)
def test_a_slip_in_an_id_makes_no_student_and_uses_nothing_up(tmp_path, term, text, slip, says):
    collect(pack(tmp_path / "c.zip", [(f"who/{FILE}", text)]), term)
    (kept,) = (term.root / "unmatched").iterdir()
    with pytest.raises(UsageError) as caught:
        collect(kept, term, slip)
    assert says in str(caught.value)
    assert not list(term.root.glob("submitted/*"))
    assert collect(kept, term, "ADA1").placed == [f"ada1/{LESSON}"]


def test_a_guest_who_is_there_may_be_named_and_without_a_roster_anybody(tmp_path, term, text):
    pack(tmp_path / "g.zip", [(named(canvas, "ada1", 7).replace("ada", "gail"), text)])
    (guest,) = collect(tmp_path / "g.zip", term).placed
    pack(tmp_path / "one.zip", [(f"x/{FILE}", text + " ")])
    assert collect(tmp_path / "one.zip", term, guest.split("/")[0]).placed == [guest]
    (term.root / "roster.csv").unlink()
    assert collect(tmp_path / "one.zip", term, "guest-7").placed == [f"guest-7/{LESSON}"]


@pytest.mark.parametrize("key", ["999", "Participant", "999-participant"])
def test_a_blind_number_is_told_by_the_mapping(tmp_path, term, text, key):
    name = f"Participant_999_assignsubmission_file_/{FILE}"
    (tmp_path / "people.csv").write_text(f"number;id\n{key};ada1\n")
    result = collect(pack(tmp_path / "c.zip", [(name, text)]), term, people=tmp_path / "people.csv")
    told = {"999": "ada1", "Participant": "ada1"}.get(key, "participant_999")
    assert result.placed == [f"{told}/{LESSON}"]


@pytest.mark.parametrize(
    ("names", "placed"),
    [
        (["ada1/02_divergence.ipynb", "sam/02_divergence.ipynb"], ["ada1", "sam"]),
        (["loose/ada1_02_divergence.ipynb", "loose/sam_02_divergence.ipynb"], ["ada1", "sam"]),
        (["lab2/Ada L/02_divergence.ipynb", "lab2/Sam S/02_divergence.ipynb"], []),
        (["lab2/02_divergence.ipynb", "lab2/02_divergence (1).ipynb"], []),
        (["x/my_02_divergence.ipynb", "x/a b_02_divergence.ipynb", "y/my_02_divergence.ipynb",
          "y/c d_02_divergence.ipynb"], []),
        (["submitted/ada1/02_divergence/02_divergence.ipynb"], ["ada1"]),
        ([moodle("Ada", "L", "", 5), moodle("Ada", "L", "", 6)], ["adal_5", "adal_6"]),
    ],
)  # fmt: skip
def test_without_a_roster_nobody_becomes_another(tmp_path, term, text, names, placed):
    (term.root / "roster.csv").unlink()
    entries = [(name, text + " " * i) for i, name in enumerate(names)]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"{student}/{LESSON}" for student in placed]
    held = {p.read_text("utf-8") for p in term.root.rglob("*.ipynb")}
    assert held == {entry for _, entry in entries}


@pytest.mark.parametrize(
    "names",
    [
        [f"ana/Ada Lovelace/{FILE}"],
        [f"ada1-SAM3/{FILE}"],
        [f"Smith_Sam_ada1_4711/{FILE}"],
        [f"ana/ada1_{FILE}", f"ana/zoe2_{FILE}"],
        [f"Ada Lovelace/{FILE}", f"LOVELACE Ada/{FILE}"],
    ],
)
def test_what_speaks_of_two_is_nobodys(tmp_path, term, text, names):
    result = collect(pack(tmp_path / "c.zip", [(name, text) for name in names]), term)
    assert result.placed == []
    assert len(result.unplaced) == len(names)


@pytest.mark.parametrize(
    ("name", "student"),
    [
        ("ada1/2026_10_03_02_divergence.ipynb", "ada1"),
        ("ada1/draft_2026_10_03.ipynb", "ada1"),
        ("ada1/work_20261003_153012.ipynb", "ada1"),
        ("sam3_03_10_2026_02_divergence.ipynb", "SAM3"),
        ("hw2-final-SAM3-v2/x.ipynb", "SAM3"),
        ("cs101_lab2_ada1/x.ipynb", "ada1"),
        ("1815_02_divergence.ipynb", "1815"),
        ("Ada Lovelace - late/x.ipynb", "ada1"),
        ("02_divergence - Lovelace, Ada.ipynb", "ada1"),
        ("divergence-sam3/x.ipynb", "SAM3"),
        ("divergence-sam3/ada1_02_divergence.ipynb", "SAM3"),
        ("Ada Lovelace_1_assignsubmission_file_/sam3/x.ipynb", "ada1"),
        ("02_divergence_ada@uni.example.ipynb", "ada1"),
    ],
)
def test_an_id_or_a_name_among_other_words(tmp_path, term, text, name, student):
    assert collect(pack(tmp_path / "c.zip", [(name, text)]), term).placed == [f"{student}/{LESSON}"]


@pytest.mark.parametrize(
    "name",
    [
        "week 1815/unknown/x.ipynb", "Ana Gomez/x.ipynb", "ana-lee/x.ipynb", "sam3-lee/x.ipynb",
        "ada1@elsewhere.example/x.ipynb", "prefix_sam33/x.ipynb", "canada1/x.ipynb",
    ],
)  # fmt: skip
def test_a_part_of_another_is_no_id(tmp_path, term, text, name):
    assert collect(pack(tmp_path / "c.zip", [(name, text)]), term).placed == []


def test_names_made_to_take_time_take_none(tmp_path, term, text):
    """And one that no file system could hold is refused by itself."""
    names = [("a_1_" * 58 + f"{i}-{i}") + ".ipynb" for i in range(50)]
    names += [
        "x" * 60_000 + ".ipynb",
        "/".join("a" * 1_000) + "/b.ipynb",
        "copy of " * 28 + ".ipynb",
    ]
    names += ["copy of " * 27 + ".ipynb", "(1)" * 80 + ".ipynb", "ana/" + "1-" * 120 + ".ipynb"]
    result = collect(pack(tmp_path / "c.zip", [(name, text) for name in names]), term)
    assert result.placed == [f"ana/{LESSON}"]
    assert len(result.unplaced) == len(names) - 1
    assert sum("too long" in line for line in result.unplaced) == 2
    assert all(line.isprintable() and len(line) < 1_000 for line in result.unplaced)
