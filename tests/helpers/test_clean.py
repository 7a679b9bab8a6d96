import json
import random
import sqlite3
import unicodedata

import pytest

from autograde.course.lessons import SOLUTIONS
from helpers.clean import MOST_DEPTH, MOST_ITEMS, MOST_MARKS, SIGN, clean, clean_tree
from helpers.report import Report
from tests.unseen import HONEST, HOSTILE, seen


@pytest.mark.parametrize("text", HONEST)
@pytest.mark.parametrize("lines", [True, False])
def test_honest_text_passes_unchanged(text, lines):
    assert clean(text, lines) == text


def test_lessons_pass_unchanged():
    for path in SOLUTIONS.glob("*/*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            assert clean(source, lines=True) == source


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("lines", [True, False])
def test_nothing_passes_that_a_reader_cannot_see(text, lines):
    made = clean(text, lines)
    assert not seen(made)
    assert lines or not set(made) & set("\n\t\r")
    made.encode("utf-8")
    assert clean(made, lines) == made
    sqlite3.connect(":memory:").execute("select ?", (made,)).fetchone()


def test_any_text_is_clean_once_it_was_cleaned():
    random.seed(0)
    odd = [*"a é李\u0301\u200d\u200e\x1b[0m\n\t\r", "\U0001f3f4\U000e0067\U000e007f", "\ud83d", "א"]
    for _ in range(3_000):
        text = "".join(random.choices(odd, k=random.randrange(30)))
        for lines in (True, False):
            made = clean(text, lines)
            assert clean(made, lines) == made
            assert not seen(made)


def test_every_character_is_shown_or_is_a_sign():
    for number in range(0x110000):
        one = chr(number)
        if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            made = clean(f"a{one}b")
            assert made[1] != one or unicodedata.category(one) == "Cf"
            assert not seen(made)


def test_lines_end_in_one_way():
    assert clean("a\r\nb\rc\td", lines=True) == "a\nb\nc\td"
    assert clean("a\r\nb\tc") == "a␍␊b␉c"


def test_colours_of_a_traceback_are_left_out_of_a_text_of_several_lines():
    assert clean("\x1b[0;31mValueError\x1b[0m: x", lines=True) == "ValueError: x"


def test_accents_are_as_many_as_a_script_has():
    assert clean("e" + "\u0301" * MOST_MARKS) == "e" + "\u0301" * MOST_MARKS
    assert clean("e" + "\u0301" * 50 + "x") == "e" + "\u0301" * MOST_MARKS + SIGN + "x"


def test_what_is_left_out_is_said():
    assert clean("x" * 1_234, most=200) == "x" * 160 + " […1,074 characters more]"


def test_a_tree_is_bounded_and_clean():
    deep: dict = {}
    inner = deep
    for _ in range(100_000):
        inner["\x1b"] = inner = {}
    made = json.dumps(clean_tree(deep), ensure_ascii=False)
    assert made.count("␛") == MOST_DEPTH
    assert not seen(made)
    assert len(json.dumps(clean_tree(list(range(3 * MOST_ITEMS))))) < 10 * MOST_ITEMS
    plain = {"a": [1, 2.5, None, True, "x"]}
    assert clean_tree(plain) == plain


def test_no_answer_adds_a_line_of_ours_to_a_report(verdict_that_says):
    for text in HOSTILE.values():
        report = Report(verdict_that_says(text), hidden=True)
        for shown in (repr(report), report._repr_html_(), *report.gist()):
            assert not seen(shown)
        assert sum(not line.startswith("  ") for line in repr(report).splitlines()) == 1
        assert "<script" not in report._repr_html_()
        assert "<svg" not in report._repr_html_()


@pytest.fixture
def verdict_that_says():
    from helpers.verdict import Failure, Verdict

    def make(text):
        failure = Failure("the value", text, text, text, text, text)
        return Verdict("kl", "wrong", {"value": 6}, {"value": False}, [failure])

    return make
