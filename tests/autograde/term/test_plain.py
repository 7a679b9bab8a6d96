"""A term in which there is no more than a key: what holds anyway."""

import pytest

from autograde.common.errors import UsageError
from autograde.course.plan import Plan
from autograde.receiving.collecting import collect
from autograde.term.due import Dues
from autograde.term.term import SETTINGS, Term

LESSON = "02_divergence"


@pytest.fixture
def term(tmp_path):
    (tmp_path / "submitted" / "ana" / LESSON).mkdir(parents=True)
    (tmp_path / ".autograde").mkdir()
    (tmp_path / ".autograde" / "key").touch()
    return Term(tmp_path)


def test_without_settings_it_gives_the_course(term):
    assert term.plan == Plan()
    assert list(term.submissions()) == [("ana", LESSON)]
    assert term.url == f"sqlite:///{term.root / 'gradebook.db'}"


def test_without_a_gradebook_nothing_stands_in_it_and_none_is_made(term):
    with term.store() as store:
        store.keep_recorded(f"ana/{LESSON}", "source", "key")
    assert (term.recorded(), term.in_gradebook()) == ({}, set())
    assert Dues(term).of("ana", LESSON) is None
    assert not (term.root / "gradebook.db").exists()


def test_work_is_collected_in_it(term, tmp_path):
    (tmp_path / f"{LESSON}.ipynb").write_text("{}")
    assert collect(tmp_path / f"{LESSON}.ipynb", term, "bob").placed == [f"bob/{LESSON}"]


@pytest.mark.parametrize("missing", [SETTINGS, "gradebook.db"])
def test_a_command_says_what_is_missing(term, missing):
    if missing != SETTINGS:
        (term.root / SETTINGS).touch()
    with pytest.raises(UsageError, match=rf"{missing}: missing; make it again: autograde init"):
        Term.open(term.root)
