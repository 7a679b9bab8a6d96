"""What a lesson said in an earlier edition is known by its marks, and nothing else is."""

from copy import deepcopy

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograde.course import earlier
from autograde.course.earlier import EARLIER, is_earlier_line, is_earlier_text, said_before

OLD = "## 2.3 Zebras *(3 points, 10 min)*\n\nA zebra of an older edition stands here.\n\n$$\nz\n$$"


@pytest.fixture
def known(tmp_path, as_earlier):
    """The marks of a notebook that has the old text, and nothing else, as the command adds them."""
    answer = new_markdown_cell("An answer that stands in an essay's own cell.")
    answer.metadata["nbgrader"] = {"grade_id": "essay", "grade": True, "solution": True}
    demo = new_code_cell("print('A zebra, as code.')")
    as_earlier(new_notebook(cells=[new_markdown_cell(OLD), answer, demo]))
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        OLD,
        f"\n{OLD}\n\n",
        OLD.replace("\n", "  \r\n"),
        OLD.replace("3 points", "4.5 points"),
        OLD.replace("zebra of", "zebra\tof"),
    ],
)
def test_spaces_and_points_do_not_matter(known, text):
    assert is_earlier_text(text)


@pytest.mark.parametrize(
    "text",
    [
        f"{OLD}\nYes.",
        f"Yes.\n\n{OLD}",
        OLD.replace("zebra", "horse"),
        OLD.replace("\nz\n", "\ny\n"),
        "$$\nz\n$$",
        "z",
        "An answer that stands in an essay's own cell.",
        "print('A zebra, as code.')",
    ],
)
def test_other_words_are_not_the_courses(known, text):
    assert not is_earlier_text(text)


def test_a_line_is_known_where_nobody_types_it_by_chance(known):
    assert is_earlier_line("A zebra of an  older edition stands here. ")
    assert not is_earlier_line("z")
    assert not is_earlier_line("A zebra of an older edition stands here, I think.")


def test_adding_again_changes_nothing(known):
    before = {name: (known / name).read_bytes() for name in ("MARKS", "TEXT_MARKS")}
    assert all(before.values())
    earlier.add([known / "n.ipynb"])
    assert {name: (known / name).read_bytes() for name in before} == before


def test_a_term_remembers_what_it_said_once_and_says_no_more(known):
    first, second = (new_notebook(cells=[new_markdown_cell(t)]) for t in (OLD, "Another text now."))
    third = new_notebook(cells=[new_markdown_cell("A third text in the end.")])
    assert said_before(first, second) == []  # the course knows it
    second.metadata[EARLIER] = said_before(third, second)
    assert is_earlier_text("A third text in the end.", second.metadata[EARLIER])
    assert said_before(second, deepcopy(second)) == second.metadata[EARLIER]
    both = said_before(second, first)
    assert is_earlier_text("A third text in the end.", both)
    assert is_earlier_text("Another text now.", both)
    assert not is_earlier_text("A third text in the end.", said_before(second, third))


def test_the_record_is_sorted_and_of_marks_alone():
    for file, length in ((earlier.MARKS, 32), (earlier.TEXT_MARKS, 12)):
        marks = file.read_text("utf-8").splitlines()
        assert marks == sorted(set(marks))
        assert all(len(mark) == length and int(mark, 16) >= 0 for mark in marks)


@pytest.mark.parametrize(
    ("name", "says"),
    [("none.ipynb", "No such file or directory"), ("MARKS", "no notebook"), (None, "is named")],
)
def test_what_is_no_notebook_is_told_and_nothing_is_added(known, capsys, name, says):
    before = {file: (known / file).read_bytes() for file in ("MARKS", "TEXT_MARKS")}
    nbformat.write(new_notebook(cells=[new_markdown_cell("More of a lesson.")]), known / "m.ipynb")
    assert earlier.main([str(known / "m.ipynb"), str(known / name)] if name else []) == 2
    (told,) = capsys.readouterr().err.splitlines()
    assert says in told
    assert "as they were handed out" in told
    assert {file: (known / file).read_bytes() for file in before} == before
