"""Rosters as platforms and spreadsheets export them: everybody is read, or a line is told."""

import codecs

import pytest

from autograde.common.errors import UsageError
from autograde.term.rosters import (
    ROSTER_COLUMNS,
    is_student_id,
    read_mapping,
    read_people,
    who_is_meant,
)

ADA = {"id": "ada1", "first_name": "Ada", "last_name": "de la Cruz", "email": "ada@x.org"}
ZOE = {"id": "zoe2", "first_name": "Zoë", "last_name": "O'Brien", "email": "zoe@x.org"}
OWN = """id,first_name,last_name,email
ada1,Ada,de la Cruz,ada@x.org
zoe2,Zoë,"O'Brien",zoe@x.org
"""
CANVAS = """Student,ID,SIS User ID,SIS Login ID,Section,02 divergence (17)
,,,,,Manual Posting
    Points Possible,,,,,30
"de la Cruz, Ada",501,900,ada1,A,12
"O'Brien, Zoë",502,901,zoe2,"A and B",
"Student, Test",503,,a1b2c3,A,
"""
MOODLE = """First name,Last name,ID number,Email address,"Assignment: 02"
Ada,de la Cruz,ada1,ada@x.org,-
Zoë,O'Brien,zoe2,zoe@x.org,12
"""
BRIGHTSPACE = """OrgDefinedId,Username,Last Name,First Name,Email,End-of-Line Indicator
#900,#ada1,de la Cruz,Ada,ada@x.org,#
#901,#zoe2,O'Brien,Zoë,zoe@x.org,#
"""
BLACKBOARD = """"Last Name"\t"First Name"\t"Username"\t"Student ID"\t"Availability"
"de la Cruz"\t"Ada"\t"ada1"\t"900"\t"Yes"
"O'Brien"\t"Zoë"\t"zoe2"\t"901"\t"Yes"
"""
GERMAN = """Nachname;Vorname;Matrikelnummer;E-Mail-Adresse
de la Cruz;Ada;ada1;ada@x.org

O'Brien;Zoë;zoe2;zoe@x.org
;;;
"""
FORMS = {
    "own": (OWN, "id"), "canvas": (CANVAS, "SIS Login ID"), "moodle": (MOODLE, "ID number"),
    "brightspace": (BRIGHTSPACE, "Username"), "blackboard": (BLACKBOARD, "Username"),
    "german": (GERMAN, "Matrikelnummer"),
    "moved": ("EMAIL,Last_Name,id,FIRST NAME\nada@x.org,de la Cruz,ada1,Ada\n"
              "zoe@x.org,O'Brien,zoe2,Zoë\n", "id"),
    "gradescope": ("Name,SID,Email\n\"de la Cruz, Ada\",ada1,ada@x.org\n"
                   "Zoë O'Brien,zoe2,zoe@x.org\n", "SID"),
    "excel": ("sep=;\nid;name;email\nada1;de la Cruz, Ada;ada@x.org\n"
              "zoe2;O'Brien, Zoë;zoe@x.org\n", "id"),
}  # fmt: skip


def write(tmp_path, data):
    path = tmp_path / "class.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_every_export_gives_the_same_people(tmp_path, form, encoding, ends):
    text, column = FORMS[form]
    found = read_people(write(tmp_path, text.replace("\n", ends).encode(encoding)))
    without_mail = [row | {"email": ""} for row in (ADA, ZOE)]
    assert found.rows == (without_mail if form in ("canvas", "blackboard") else [ADA, ZOE])
    assert found.column == column
    assert [list(row) for row in found.rows] == [ROSTER_COLUMNS] * 2


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("O'Brien", "zoe2, Zoë O'Brien"), ("zoe o’brien", "zoe2, Zoë O'Brien"),
        ("de la Cruz, Ada", "ada1, Ada de la Cruz"), ("ADA@X.ORG", "ada1, Ada de la Cruz"),
        ("zoe", "zoe2, Zoë O'Brien"), ("ada2", "ada1, Ada de la Cruz"),
        ("zzzz", ""), ("", ""), ("'", ""),
    ],
)  # fmt: skip
def test_a_name_or_an_address_in_place_of_an_id_is_told_with_the_id(text, meant):
    assert who_is_meant(text, [ADA, ZOE]) == (f" (did you mean {meant}?)" if meant else "")


def test_two_of_one_name_are_both_told():
    rows = [ADA, ADA | {"id": "ada9"}]
    assert who_is_meant("Ada de la Cruz", rows).count("Ada de la Cruz") == 2


HEAD = "id,first_name,last_name,email\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (HEAD + "\nana,Ana,L,a@x.y\n\n\nana,Bo,B,b@x.y\n", "line 6: the id 'ana' is there twice"),
        (HEAD + 'ana,"Ana,L,a@x.y\nbob,Bo,B,b@x.y\n', "line 2: a quote"),
        (HEAD + 'ana,"Ana,L,a@x.y\nbob,Bo",B,b@x.y\n', "line 2: a quote is left open"),
        (HEAD + "bo,Bo,B,b@x.y\nana,Ana,de la Cruz, Jr.,a@x.y\n", "line 3: has 5 values for 4"),
        (HEAD + "bo,Bo,B,b@x.y\n,Ana,L,\n", "line 3: no id for Ana L"),
        (HEAD + "-rf,Ana,L,\n", "line 2: the id '-rf' is not letters"),
        (HEAD + "..,Ana,L,\n", "line 2: the id '..'"),
        (HEAD + '"ana\n",Ana,L,\n', "line 2: a quote is left open"),
        ("name,mail\nana,x\n", "its first line must be id,first_name"),
        (CANVAS.replace("zoe2", "zoë 2").replace(",901", ",9 1").replace("502", "5 2"), "line 5"),
        ("id\n1\n", "its first line must be id,first_name"),
        (HEAD.encode("utf-16")[:-1], "cannot be read as CSV"),
        ((HEAD + "åsa,,,\n").encode("cp1252"), "cannot be read as CSV; save it as CSV in UTF-8"),
        (b"PK\x03\x04\0\0", "cannot be read as CSV"),
    ],
)
def test_what_is_wrong_is_told_by_its_line(tmp_path, text, says):
    path = write(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_people(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "text", ["", ".", "..", "...", "-rf", ".git", "ana\n", "a b", "a/b", "\u2028", "ana\0"]
)
def test_what_is_no_id(text):
    assert not is_student_id(text)


@pytest.mark.parametrize("text", ["ana", "a.b-c_d", "a@x.org", "zoë", "1815", "李"])
def test_what_is_an_id(text):
    assert is_student_id(text)


def test_a_login_that_is_an_address_is_kept_as_one(tmp_path):
    """Canvas has no column of addresses, and where a term's ids are its SIS User IDs, its logins
    would be lost."""
    text = 'Student,ID,SIS User ID,SIS Login ID,Section\n"Cruz, Ada",1,ada1,ada@x.org,A\n'
    (tmp_path / "canvas.csv").write_text(text)
    (row,) = read_people(tmp_path / "canvas.csv", {"ada1"}).rows
    assert (row["id"], row["email"]) == ("ada1", "ada@x.org")
    (tmp_path / "canvas.csv").write_text(text.replace("ada@x.org", "@ada"))
    (row,) = read_people(tmp_path / "canvas.csv", {"ada1"}).rows
    assert (row["id"], row["email"]) == ("ada1", "")


def test_a_mapping_and_what_is_wrong_in_it(tmp_path):
    path = write(tmp_path, "Folder;Handle;Roster ID\nGroup 1/Ada;;ada1\n;Zoe-GH;zoe@x.org\n")
    assert read_mapping(path, [ADA, ZOE]) == {"group 1/ada": "ada1", "zoe-gh": "zoe2"}
    for text, says in (
        ("folder,id\nx,ada1\ny,adda1\n", "line 3: 'adda1' is not on the roster (did you mean ada1"),
        ("folder,id\nx,ada1\nx,zoe2\n", "line 3: 'x' is ada1's in line 2"),
        ("folder,whose\nx,ada1\n", "must name a column id"),
    ):
        with pytest.raises(UsageError) as caught:
            read_mapping(write(tmp_path, text), [ADA, ZOE])
        assert says in str(caught.value)
    assert codecs.BOM_UTF8 not in path.read_bytes()
