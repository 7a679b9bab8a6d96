"""Nothing that goes out is written over what the term keeps, nor over what was read for it."""

import pytest

from autograde.cli import main
from autograde.term.term import Term

ROSTER = "id,first_name,last_name,email\nana,Ana,A,a@x.org\n"
GRADEBOOK = "Student,ID,Section,Quiz (1),Final Score\n    Points Possible,,,5,\nAna,1,A,4,80\n"


@pytest.fixture
def term(tmp_path, monkeypatch):
    """As much of a term as is looked at before anything is written."""
    root = tmp_path / "term"
    (root / ".autograde").mkdir(parents=True)
    (root / "feedback" / "ana").mkdir(parents=True)
    (root / "roster.csv").write_text(ROSTER)
    monkeypatch.setattr(Term, "open", classmethod(lambda cls, folder: cls(root)))
    monkeypatch.chdir(root)
    return Term(root)


@pytest.mark.parametrize(
    "words",
    [
        ("export", "--to", "roster.csv"),
        ("export", "--to", "feedback/../roster.csv"),
        ("export", "--to", "submitted.csv/../feedback/grades.csv"),
        ("export", "--to", "grades.csv", "--for", "students"),  # a link to the roster
        ("report", "--to", "feedback/ana/report.html"),
        ("report", "--to", ".autograde/report.html"),
        ("feedback", "02", "--for", "moodle", "--to", "feedback/pages.zip"),
    ],
)
def test_the_terms_own_files_stay(term, capsys, words):
    (term.root / "submitted.csv").mkdir()
    (term.root / "grades.csv").symlink_to("roster.csv")
    before = sorted(term.root.rglob("*"))
    assert main([*words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{words[words.index('--to') + 1]}: is the term's own, and would be lost" in line
    assert (term.root / "roster.csv").read_text() == ROSTER
    assert sorted(term.root.rglob("*")) == before


def test_a_gradebook_that_is_filled_in_is_not_written_over(term, capsys):
    (term.root / "gb.csv").write_text(GRADEBOOK)
    assert main(["export", "--for", "canvas", "--fill", "gb.csv", "--to", "gb.csv"]) == 2
    assert "gb.csv: is read for it, and would be lost" in capsys.readouterr().err
    assert (term.root / "gb.csv").read_text() == GRADEBOOK
