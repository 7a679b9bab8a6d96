"""Who joins and who leaves with another roster is said, and whose work it leaves behind."""

import shutil

import pytest

from autograde.cli import main
from autograde.term.term import Term
from tests.classroom import short_term

LESSON, HEAD = "00_start_here", "id,first_name,last_name,email\n"
ROWS = [f"s{i:02d},First{i},Last{i},s{i:02d}@x.org\n" for i in range(1, 9)]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A class of eight, of whom seven have handed in."""
    folder = tmp_path_factory.mktemp("joining")
    (folder / "class.csv").write_text(HEAD + "".join(ROWS))
    term = short_term(folder / "term", LESSON, roster=folder / "class.csv")
    for i in range(1, 8):
        term.submission(f"s{i:02d}", LESSON).parent.mkdir(parents=True)
    return term.root


@pytest.fixture
def term(made, tmp_path):
    shutil.copytree(made, tmp_path / "term")
    return Term.open(tmp_path / "term")


def init(term, text, capsys, *options, code=0):
    """The lines said, but for what the term's settings change, and those warned of."""
    path = term.root.with_name("new.csv")
    path.write_text(text)
    assert main(["init", str(term.root), "--roster", str(path), *options]) == code
    captured = capsys.readouterr()
    said = [line for line in captured.out.splitlines() if "its settings change" not in line]
    return said, captured.err.splitlines()


def test_the_same_roster_says_nothing_of_it(term, capsys):
    said, warned = init(term, HEAD + "".join(ROWS), capsys)
    assert (len(said), warned) == (1, [])


def test_who_comes_and_who_goes_is_named(term, capsys):
    said, warned = init(term, HEAD + "".join(ROWS[1:7]) + "s09,Ida,Nine,\n", capsys)
    assert said[1:] == ["1 joined: s09, Ida Nine", "2 left: s01, First1 Last1; s08, First8 Last8"]
    assert len(warned) == 1
    assert "the work of 1 of the 2 who left is here (s01, First1 Last1)" in warned[0]


OTHERS = HEAD + "x1,A,B,\nx2,C,D,\n"


@pytest.mark.parametrize("others", [OTHERS, OTHERS + ROWS[7]])
def test_another_classs_roster_is_refused(term, capsys, others):
    """Even one with a student of this class, who has handed in nothing."""
    said, warned = init(term, others, capsys, code=2)
    assert said == []
    assert (
        f"new.csv: another class's: lacks everybody on the roster who has work in {term.root}"
        in warned[0]
    )
    assert "(s01, First1 Last1; " in warned[0]
    assert warned[0].endswith("or add --yes if they all left")
    assert [row["id"] for row in term.roster()] == [row[:3] for row in ROWS]


def test_another_classs_roster_is_taken_where_that_is_meant(term, capsys):
    said, warned = init(term, OTHERS, capsys, "--yes")
    assert "8 left: s01, First1 Last1; " in said[2]
    assert said[2].endswith("; s05, First5 Last5 and 3 more")
    assert "the work of 7 of the 8 who left is here" in warned[0]
    assert f"autograde init {term.root} --roster FILE.csv" in warned[0]


def test_the_only_one_with_work_may_leave_a_class_that_stays(term, capsys):
    for i in range(2, 8):
        shutil.rmtree(term.root / "submitted" / f"s{i:02d}")
    assert "the work of 1 of the 1 who left" in init(term, HEAD + "".join(ROWS[1:]), capsys)[1][0]


def test_the_only_one_with_work_does_not_give_way_to_another_class(term, capsys):
    for i in range(2, 8):
        shutil.rmtree(term.root / "submitted" / f"s{i:02d}")
    assert "lacks everybody on the roster who has work" in init(term, OTHERS, capsys, code=2)[1][0]


@pytest.mark.parametrize("options", [(), ("--yes",)])
def test_a_roster_with_nobody_is_refused(term, capsys, options):
    for text in (HEAD, HEAD + "\n,,,\n", ""):
        said, (line,) = init(term, text, capsys, *options, code=2)
        assert said == []
        assert "new.csv: " in line
        assert [row["id"] for row in term.roster()] == [row[:3] for row in ROWS]


def test_who_comes_back_under_another_id_is_said(term, capsys):
    moved = [row.replace("s0", "u0", 1) for row in ROWS]
    _, warned = init(term, HEAD + "".join(moved), capsys, "--yes")
    assert "7 of them, it seems, joined under another id (s01 as u01; " in warned[1]


def test_the_column_that_the_term_knows_is_the_id(term, capsys):
    """Whichever a new term would take."""
    lines = [f'"Last{i}, First{i}",{i},s{i:02d},s{i:02d}@x.org,A\n' for i in range(1, 9)]
    text = "Student,ID,SIS User ID,SIS Login ID,Section\n" + "".join(lines)
    said, warned = init(term, text, capsys)
    assert {row["id"] for row in term.roster()} == {row[:3] for row in ROWS}
    assert any("has under 'SIS User ID'" in line for line in said)
    assert (len(said), warned) == (2, [])


def test_a_broken_roster_is_replaced(term, capsys):
    (term.root / "roster.csv").write_text("nothing\n1")
    assert init(term, HEAD + "".join(ROWS), capsys)[1] == []
