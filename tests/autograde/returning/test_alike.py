"""Copies are asked about; answers that only look alike, as right ones do, are not."""

import ast
import inspect
import random
import textwrap

import pytest

from autograde.course.exercises import LESSONS, exercises
from autograde.grading.forms import form
from autograde.returning.alike import Alike, alike
from autograde.returning.reporting import report
from autograde.returning.tally import tally
from autograde.term.term import init
from tests.classroom import cell, record
from tests.first_tries import tried_exercises, tries

TRIED = set(tried_exercises())
LESSON = "02_divergence"
HELD = [lesson for lesson in LESSONS if len(TRIED & exercises(lesson).keys()) > 1]
FOUND = ["02_divergence", "05_stable_updates", "06_language_model"]  # with five functions or more


def source(answer):
    """The text of a first try, as its function."""
    answer = getattr(answer, "__shaped__", answer)
    text = textwrap.dedent(inspect.getsource(answer))
    try:
        tree = ast.parse(text)
    except SyntaxError:  # a lambda within something
        return ""
    if not isinstance(tree.body[0], ast.FunctionDef):
        return ""
    tree.body[0].decorator_list, tree.body[0].name = [], "answer"
    return ast.unparse(tree)


@pytest.fixture(scope="module")
def pools():
    """By lesson and exercise: what different people might write, what is right first."""
    found = {}
    for lesson in HELD:
        for name in sorted(TRIED & exercises(lesson).keys()):
            texts = sorted(tries(name), key=lambda one: one.may != ("right",))
            made = [form(text) for one in texts if (text := source(one.answer))]
            found.setdefault(lesson, {})[name] = [one for one in made if one]
    return found


def a_class(pool, students, seed):
    """Everybody writes for themselves: the first form often, the others ever more seldom."""
    draw = random.Random(seed)

    def answer(known):
        return draw.choices(known, [1 / (1 + place) for place in range(len(known))])[0]

    return {
        f"s{number:04d}": {name: answer(known) for name, known in pool.items()}
        for number in range(students)
    }


@pytest.mark.parametrize("lesson", HELD)
def test_who_wrote_for_themselves_is_not_listed(pools, lesson):
    """In a pessimistic class: only some thirty texts of each, so that many hand in the same."""
    listed = [alike(a_class(pools[lesson], 30, seed)) for seed in range(10)]
    assert sum(map(len, listed)) <= 1


@pytest.mark.parametrize("lesson", FOUND)
@pytest.mark.parametrize("students", [30, 200])
def test_who_copied_is_listed_whatever_the_names(pools, lesson, students):
    found = 0
    for seed in range(10):
        forms = a_class(pools[lesson], students, seed)
        forms["s0001"] = {name: ["other words", made[1]] for name, made in forms["s0000"].items()}
        found += any({"s0000", "s0001"} <= set(group.students) for group in alike(forms))
    assert found >= 6  # where all that was copied is what many have, nothing can be told


def test_what_all_have_is_no_reason_to_ask(pools):
    same = {name: known[0] for name, known in pools[LESSON].items()}
    assert alike({f"s{number}": same for number in range(30)}) == []
    assert alike({"ann": same, "ben": same}) == []
    assert alike({}) == []


def test_one_exercise_in_common_is_no_reason_to_ask():
    forms = {f"s{i}": {name: [f"{i}{name}"] * 2 for name in "abcde"} for i in range(40)}
    forms["s1"]["a"] = forms["s0"]["a"]
    assert alike(forms) == []
    forms["s1"] = dict(forms["s0"]) | {"e": ["own", "own"]}
    assert alike(forms) == [Alike(("s0", "s1"), ("a", "b", "c", "d"), ())]


def test_a_group_is_one_and_a_large_class_takes_no_square():
    forms = {f"s{i:05d}": {name: [f"{i}{name}"] * 2 for name in "abcdef"} for i in range(5_000)}
    for number in range(60):
        forms[f"s{number:05d}"] = dict(forms["s00000"])
    (group,) = alike(forms)
    assert (len(group.students), group.same) == (60, tuple("abcdef"))


def test_the_report_asks(tmp_path):
    term = init(tmp_path / "term")

    def own(student):
        def change(notebook):
            for name in ("categorical_kl", "sequence_log_ratio", "k1", "k2", "k3"):
                mine = f"x_{student}" if student != "copy" else "renamed"
                text = f"def {name}(logp, ref_logp):\n    {mine} = {len(name)}{student[1:]}\n"
                if student == "copy":
                    text = text.replace(f"{len(name)}opy", f"{len(name)}0")
                cell(notebook, name).source = text

        return change

    for student in [*(f"s{number}" for number in range(12)), "copy"]:
        record(term, student, LESSON, {}, own(student))
    (group,) = tally(term).lessons[LESSON].alike
    assert group.students == ("copy", "s0")
    assert set(group.but_for_names) == {"categorical_kl", "sequence_log_ratio", "k1", "k2", "k3"}
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    assert "Did they work together?" in text
    assert "but for names and comments: " in text
    assert "Ask before you judge." in " ".join(text.split())
