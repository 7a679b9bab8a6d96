"""Pages of feedback: by several processes as by one, made once, and gone on with."""

import errno
import os
from datetime import datetime, timedelta

import pytest

from autograde.cli import main
from autograde.returning import feedback as making
from autograde.returning.feedback import feedback
from tests.classroom import record, short_term

LESSON = "02_divergence"
CLASS = {"ann": {}, "ben": {"k1": "in_bits"}, "cy": {"categorical_kl": "swapped"}, "dot": {}}


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    term = short_term(tmp_path_factory.mktemp("pages") / "term", LESSON)
    for student, answers in CLASS.items():
        record(term, student, LESSON, answers)
    return term


def pages(term):
    """The bytes of every page, by student."""
    found = (term.root / "feedback").glob(f"*/{LESSON}/{LESSON}.html")
    return {path.parent.parent.name: path.read_bytes() for path in found}


def made(term, **options):
    """Whose pages a run makes."""
    names = []

    def told(items, total):
        for one, problem in items:
            names.append(one[1])
            yield one, problem

    assert feedback(term, told, **options)[1] == []
    return sorted(names)


def gone(term):
    """The term with no pages, and none that could be put back and still stand."""
    making.shutil.rmtree(term.root / "feedback", ignore_errors=True)
    with (term.root / "nbgrader_config.py").open("a") as config:
        config.write("# another setting\n")
    return term


def test_how_many_pages_are_new_is_said(term, capsys):
    gone(term)
    for new in (len(CLASS), "none"):
        assert main(["feedback", "--course", str(term.root)]) == 0
        assert f"{len(CLASS)} pages in " in (said := capsys.readouterr().out)
        assert said.endswith(f"feedback, {new} new\n")


def test_two_processes_make_what_one_makes(term):
    assert made(gone(term), workers=1) == sorted(CLASS)
    alone = pages(term)
    assert set(alone) == set(CLASS)
    assert made(gone(term), workers=2) == sorted(CLASS)
    assert pages(term) == alone
    assert not any((term.root / making.MAKING).glob("*/*"))


def test_a_page_is_made_again_only_for_a_reason(term):
    made(gone(term))
    assert made(term, workers=2) == []
    with term.api().gradebook as gradebook:
        gradebook.find_submission_notebook(LESSON, LESSON, "ben").late_submission_penalty = 1.5
        gradebook.db.commit()
    assert made(term) == ["ben"]
    assert b"1.5" in pages(term)["ben"]
    record(term, "cy", LESSON, {})
    assert made(term) == ["cy"]
    (term.root / "feedback" / "dot" / LESSON / f"{LESSON}.html").unlink()
    assert made(term) == ["dot"]
    config = term.root / "nbgrader_config.py"
    config.write_text(config.read_text() + "\n# another setting\n")
    assert made(term) == sorted(CLASS)


def test_a_page_follows_what_it_says_of_whose_it_is_and_of_when(term):
    made(gone(term))
    with term.api().gradebook as gradebook:
        gradebook.find_student("ann").first_name = "Ännchen"
        gradebook.find_submission(LESSON, "ben").timestamp = datetime(2026, 10, 2, 12, 30)
        gradebook.find_submission(LESSON, "cy").extension = timedelta(days=1)
        gradebook.db.commit()
    assert made(term) == ["ann", "ben", "cy"]
    assert "Ännchen (ann)" in pages(term)["ann"].decode()
    assert b"2026-10-02 12:30 UTC" in pages(term)["ben"]
    assert made(term) == []


def test_the_page_of_who_could_not_be_graded_stands_too(term):
    path = term.submission("eve", LESSON)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    with term.store() as store:
        store.keep_failed(f"eve/{LESSON}", f"{path}: cut short; ask for it again")
    page = term.root / "feedback" / "eve" / LESSON / f"{LESSON}.html"
    try:
        feedback(term, lesson=LESSON)
        before = page.stat().st_mtime_ns, page.stat().st_ino
        feedback(term, names={f"eve/{LESSON}"})
        assert (page.stat().st_mtime_ns, page.stat().st_ino) == before
        (term.root / "roster.csv").write_text("id,first_name,last_name,email\neve,Eva,E,\n")
        assert feedback(term, names={f"eve/{LESSON}"}) == ([page], [])
        assert "Eva E (eve)" in page.read_text("utf-8")
    finally:
        making.shutil.rmtree(path.parent.parent)
        making.shutil.rmtree(page.parent.parent)


def test_only_those_that_are_named(term):
    gone(term)
    assert made(term, names={f"ann/{LESSON}", f"nobody/{LESSON}"}) == ["ann"]
    assert set(pages(term)) == {"ann"}


def test_what_was_stopped_goes_on(term):
    def stopping(items, total):
        for number, one in enumerate(items):
            yield one
            if number == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feedback(gone(term), stopping, workers=2)
    there = pages(term)
    assert all(page.rstrip().endswith(b"</html>") for page in there.values())
    assert len(made(term)) == len(CLASS) - 2
    assert set(pages(term)) == set(CLASS)


def test_a_bad_page_stops_no_other_and_keeps_the_one_before(term, monkeypatch):
    made(gone(term))
    before = pages(term)
    monkeypatch.setattr(making, "_api", failing(making._api, "ben"))
    for student in ("ben", "cy"):
        record(term, student, LESSON, {"k2": "unsquared"} if student == "cy" else {})
    _, failed = feedback(term, workers=2)
    assert failed == [f"ben/{LESSON}: no feedback (RuntimeError: broken)"]
    after = pages(term)
    assert after["cy"] != before["cy"]
    assert after["ben"] == before["ben"]


def test_a_full_disk_is_said_and_leaves_no_part_of_a_page(term, monkeypatch):
    made(gone(term))
    before = pages(term)
    record(term, "ben", LESSON, {})
    monkeypatch.setattr(making, "_make_page", full_disk)
    with pytest.raises(OSError, match="No space left"):
        feedback(term)
    assert pages(term) == before


def full_disk(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def failing(real, whose):
    """nbgrader's interface that breaks on one student."""

    def api(term):
        found = real(term)
        own = found.generate_feedback

        def generate(lesson, student, **options):
            if student == whose:
                raise RuntimeError("broken")
            return own(lesson, student, **options)

        found.generate_feedback = generate
        return found

    return api
