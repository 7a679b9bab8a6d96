"""A feedback page says what to do next, and gives no answer away."""

import html
import os
import re
import subprocess
import sys
from datetime import datetime

import pytest

from autograde.cli import main
from autograde.common.errors import UsageError
from autograde.course.exercise import Quiz
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import lesson_path
from autograde.course.sample import solutions
from autograde.grading.judging import ENDS, PROBLEMS
from autograde.returning.feedback import feedback, told
from autograde.term.reading import read_notebook, what_it_is
from autograde.term.term import SETTINGS, init
from helpers.describing import describe
from helpers.report import Report
from tests.autograde.term.test_reading import NO_NOTEBOOK
from tests.classroom import RIGHT, UNWRITTEN, cell, record, short_term, verdict

ESSAYS, PLAIN = "07_case_study", "02_divergence"
HIDDEN = "assert categorical_kl(secret_input) == secret_output"
CLASS = {
    "perfect": {},
    "mistaken": {"categorical_kl": "swapped", "k1": "in_bits", "q02_dynamics": "A"},
    "untouched": dict.fromkeys(exercises(PLAIN), UNWRITTEN),
    "endless": {"k1": {"problem": "time", "line": "while True: <b>"}},
    "greedy": {"k1": {"problem": "died", "status": -9}},
}


def raising(logp, ref_logp):
    raise ValueError("<script>alert('x')</script>\ud800")


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """A class of seven, one of whom has two essays, one of them read, and one no notebook."""
    term = init(tmp_path_factory.mktemp("feedback") / "term")
    for student, answers in CLASS.items():
        record(term, student, PLAIN, answers, own_cell if student == "mistaken" else nothing)
    record(term, "hostile", PLAIN, {"k1": raising})
    record(term, "writer", ESSAYS, {}, essays)
    with term.api().gradebook as gradebook:
        names = (ESSAYS, ESSAYS, "writer")
        gradebook.find_grade("essay_impact", *names).manual_score = 4.5
        gradebook.find_grade("essay_impact", *names).needs_manual_grade = False
        gradebook.find_comment("essay_impact", *names).manual_comment = "Say *which* β."
        copy = gradebook.find_submission_notebook(PLAIN, PLAIN, "perfect")
        copy.late_submission_penalty = 2.5
        gradebook.find_student("writer").first_name = "Wanda <b>\u202e"
        gradebook.find_submission(ESSAYS, "writer").timestamp = datetime(2026, 10, 2, 12, 30)
        gradebook.db.commit()
    hand_in_what_cannot_be_graded(term)
    autograded = lesson_path(term.root / "autograded" / "mistaken", PLAIN)
    autograded.chmod(0o644)
    text = autograded.read_text().replace(
        r"check(\"categorical_kl\", categorical_kl)", rf"### BEGIN HIDDEN TESTS\n{HIDDEN}"
    )
    assert HIDDEN in text
    autograded.write_text(text)
    pages, failed = feedback(term)
    assert failed == []
    assert len(pages) == len(CLASS) + 3
    return term


def hand_in_what_cannot_be_graded(term):
    path = term.submission("unlucky", PLAIN)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    os.utime(path, (1e9, 1e9))
    (term.root / "roster.csv").write_text(
        "id,first_name,last_name,email\nunlucky,Una,<b>,u@x.org\n"
    )
    with term.store() as store:
        store.keep_failed(f"unlucky/{PLAIN}", f"{path}: not a notebook; hand it in again")


def nothing(notebook):
    pass


def own_cell(notebook):
    import nbformat

    notebook.cells.append(nbformat.v4.new_code_cell("mine = '<b>my own helper</b>'"))


def essays(notebook):
    cell(notebook, "essay_impact").source = "Too high a **penalty** <img src=x onerror=alert(1)>"
    cell(notebook, "essay_claims").source = "My claim is $J$."


def page(term, student, lesson=PLAIN):
    return (term.root / "feedback" / student / lesson / f"{lesson}.html").read_text()


def text_of(page):
    """What a reader sees: no style, no tags."""
    page = re.sub(r"<(style|script).*?</\1>", "", page, flags=re.DOTALL)
    return html.unescape(re.sub(r"<[^>]+>", "", page))


def article(page, name):
    """The part of a page on one exercise."""
    return text_of(re.search(rf'<h2 id="{name}">.*?</article>', page, re.DOTALL).group())


def test_what_failed_on_which_input_got_and_expected_the_diagnosis_and_the_hint(term):
    said = article(page(term, "mistaken"), "categorical_kl")
    exercise = exercises(PLAIN)["categorical_kl"]
    judged = verdict(PLAIN, "categorical_kl", "swapped")
    assert judged.diagnoses["swapped"] in said
    failure = judged.failures[0]
    assert failure.case in said
    assert f"got       {failure.got}" in said
    assert f"expected  {failure.expected}" in said
    assert exercise.hints[0] in said
    assert not any(hint in said for hint in exercise.hints[1:])


def test_the_summary_leads_to_what_lacks_points_and_nothing_else(term):
    whole = page(term, "mistaken")
    head = whole[: whole.index("<table")]
    assert re.findall(r'href="#(\w+)"', head) == ["categorical_kl", "q02_dynamics", "k1"]
    judged = [verdict(PLAIN, n, CLASS["mistaken"].get(n, RIGHT)) for n in exercises(PLAIN)]
    assert f"{sum(v.points for v in judged)} of {sum(v.max_points for v in judged)} points" in head
    ids = re.findall(r'id="([^"]+)"', whole)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', whole)) <= set(ids)
    assert "there is nothing to do" in page(term, "perfect")


def test_each_page_says_whose_it_is_and_of_when(term):
    """By name and id, cleaned; and by files' own dates, so that it is the same when made again."""
    graded = lesson_path(term.root / "autograded" / "writer", ESSAYS).stat().st_mtime
    whole = page(term, "writer", ESSAYS)
    head = text_of(whole[: whole.index("<table")])
    assert "Wanda <b>\ufffd (writer) · handed in 2026-10-02 12:30 UTC · graded" in head
    assert f"graded {datetime.fromtimestamp(graded):%Y-%m-%d}" in head
    assert f"{ESSAYS}, Wanda" in re.search("<title>(.*?)</title>", whole)[1]
    assert "hostile · graded" in text_of(page(term, "hostile"))  # of whom no name is known


def test_a_page_for_the_ungraded_says_whose_it_is_and_of_when(term):
    said = text_of(page(term, "unlucky"))
    assert f"Una <b> (unlucky) · collected {datetime.fromtimestamp(1e9):%Y-%m-%d}" in said
    assert "not a notebook" in said


def test_of_one_lesson_nothing_else_is_made_again(term):
    other = term.root / "feedback" / "perfect" / PLAIN / f"{PLAIN}.html"
    before = other.stat().st_mtime_ns
    pages, failed = feedback(term, lesson=ESSAYS)
    assert (pages, failed) == ([term.root / "feedback" / "writer" / ESSAYS / f"{ESSAYS}.html"], [])
    assert other.stat().st_mtime_ns == before


def test_a_late_penalty_is_told(term):
    assert "2.5 points were taken off for coming late" in page(term, "perfect")


@pytest.mark.parametrize("student", ["untouched", "mistaken", "endless"])
def test_no_line_of_an_answer(term, student):
    told = {line.strip() for line in text_of(page(term, student)).splitlines()}
    given = {
        line.strip() for c in term.base(PLAIN).cells for line in c.source.splitlines()
    }  # a signature, or a docstring
    answers = {line.strip() for a in solutions(PLAIN).values() for line in a.splitlines()}
    assert {line for line in answers - given if len(line) > 3} & told == set()


def test_no_hidden_test(term):
    assert "secret" not in page(term, "mistaken")
    assert "HIDDEN" not in page(term, "mistaken")


@pytest.mark.parametrize("lesson", LESSONS)
def test_no_answer_of_a_question(lesson):
    """Nothing but what the student answered, and the comment on it."""
    for quiz in (e for e in exercises(lesson).values() if isinstance(e, Quiz)):
        for mistake in quiz.mistakes:
            judged = verdict(lesson, quiz.name, mistake.name)
            lines = repr(Report(judged, hidden=True)).splitlines()
            assert "expected" not in {line.split()[0] for line in lines}
            got = [line.split(maxsplit=1)[1] for line in lines if line.split()[0] == "got"]
            assert got == [failure.got for failure in judged.failures][: len(got)]
            assert got
            assert all(failure.expected not in got for failure in judged.failures)


def test_the_page_of_a_wrong_answer_does_not_hold_the_right_one(term):
    quiz = exercises(PLAIN)["q02_dynamics"]
    said = article(page(term, "mistaken"), "q02_dynamics")
    assert describe(quiz.answer) not in re.findall(r"\b[A-Z]\b", said.split("Hint.")[0])


@pytest.mark.parametrize(
    ("student", "says"),
    [
        ("endless", PROBLEMS["time"].partition("{")[0]),
        ("endless", "while True: <b>"),
        ("greedy", ENDS[9]),
    ],
)
def test_a_stopped_answer_is_told_in_words(term, student, says):
    assert says in article(page(term, student), "k1")


def test_what_student_code_says_is_text(term):
    whole = page(term, "hostile")
    assert "<script>alert" not in whole
    assert "ValueError: <script>alert('x')</script>\ufffd" in article(whole, "k1")


def test_a_comment_and_a_score_by_hand_and_what_waits(term):
    whole = page(term, "writer", ESSAYS)
    read = article(whole, "essay_impact")
    assert "4.5 of 6 points" in read
    assert "Say which β." in read
    assert "Too high a penalty" in read
    assert "<img" not in whole
    assert "waits for your instructor" in article(whole, "essay_claims")
    head = whole[: whole.index("<table")]
    assert "essay_claims" not in head


def test_only_a_person_comments(term):
    assert "comment" not in text_of(page(term, "untouched"))


def test_cells_of_ones_own_are_shown_and_the_lessons_are_not(term):
    said = text_of(page(term, "mistaken"))
    assert "mine = '<b>my own helper</b>'" in said
    assert "import torch" not in said.replace("    import torch", "")


def test_nbgraders_own_command_makes_the_same_page(term):
    before = page(term, "mistaken")
    api = term.api()
    assert api.generate_feedback(PLAIN, "mistaken", force=True)["success"]
    assert page(term, "mistaken") == before


@pytest.fixture(scope="module")
def changed(tmp_path_factory):
    """A term that counts k1 for nothing and k2 for fractions. ann has k1 wrong and k3 partly, which
    her instructor then gave in full; bob has all right; cy's newest file is cut short."""
    term = short_term(tmp_path_factory.mktemp("changed") / "term", PLAIN)
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.points = {"k1": 0, "k2": 5.25}\n')
    term = init(term.root)
    wrong = {name: exercises(PLAIN)[name].mistakes[0].name for name in ("k1", "k2", "k3")}
    record(term, "ann", PLAIN, wrong)
    record(term, "bob", PLAIN, {})
    record(term, "cy", PLAIN, {})
    with term.api().gradebook as gradebook:
        grade = gradebook.find_grade("test_k3", PLAIN, PLAIN, "ann")
        grade.manual_score, grade.needs_manual_grade = grade.max_score, False
        gradebook.db.commit()
    path = term.submission("cy", PLAIN)
    with term.store() as store:
        store.keep_failed(f"cy/{PLAIN}", f"{path}: {what_it_is('{')}")
    assert feedback(term)[1] == []
    return term


def row(whole, name):
    """What the summary says of an exercise."""
    return text_of(re.search(rf'<a href="#{name}">{name}</a></th>.*?</tr>', whole, re.DOTALL)[0])


def test_an_exercise_that_counts_for_nothing_is_no_full_points(changed):
    whole = page(changed, "ann")
    assert "not right yet; no points are given for it" in row(whole, "k1")
    assert "✓" not in row(whole, "k1") + article(whole, "k1").partition("\n")[0]
    assert not re.search(r"of 0|\b0 point", row(whole, "k1") + article(whole, "k1"))
    assert "k1: not right yet (no points are given for it)" in article(whole, "k1")
    assert 'href="#k1"' not in whole[: whole.index("<table")]  # there is more to gain elsewhere
    assert "✓ right; no points are given for it" in row(page(changed, "bob"), "k1")
    assert "there is nothing to do" in page(changed, "bob")


def test_points_are_written_in_one_way(changed):
    whole = page(changed, "ann")
    assert re.search(r"of 5.25 points\)", article(whole, "k2"))
    assert not re.search(r"\.0\b (of|points)|of \d+\.0\b", text_of(whole))


def test_points_set_by_hand_say_so(changed):
    """In place of what was found, which is kept folded away, with no hint and nothing to mend."""
    whole = page(changed, "ann")
    most = f"{sum(exercises(PLAIN)['k3'].parts.values()):g}"
    judged = verdict(PLAIN, "k3", exercises(PLAIN)["k3"].mistakes[0].name)
    counted = f"{judged.points:g} of {most}"
    said = row(whole, "k3")
    assert f"✎ changed by your instructor; the program counted {counted}" in said
    assert "full points" not in said
    (mistake,) = judged.diagnoses.values()
    assert mistake not in said
    k3 = re.search(r'<h2 id="k3">.*?</article>', whole, re.DOTALL)[0]
    assert mistake in text_of(re.search(r"<details>.*?</details>", k3, re.DOTALL)[0])
    assert mistake not in text_of(re.sub(r"<details>.*?</details>", "", k3, flags=re.DOTALL))
    assert "Hint." not in text_of(k3)
    assert "Your instructor has changed these points; they stand in place of" in text_of(k3)
    assert f"what the program counted, {counted}." in text_of(k3)
    assert whole.count("Your instructor has changed") == 1
    assert "by your instructor" not in page(changed, "bob")


@pytest.fixture(scope="module")
def appeals(tmp_path_factory):
    """Of three, k1 is wrong and no more: ann's stays by hand as the program counted it, ben's is
    raised, and cy's was raised for an earlier file. dan has all right, and his k1 is lowered."""
    term = short_term(tmp_path_factory.mktemp("appeals") / "term", PLAIN)
    for student, what, more, again in (
        ("ann", "in_bits", 0, False), ("ben", "in_bits", 0.5, False), ("cy", "in_bits", 0.5, True),
        ("dan", "right", -1, False),
    ):  # fmt: skip
        counted = verdict(PLAIN, "k1", what).points
        record(term, student, PLAIN, {"k1": what})
        with term.api().gradebook as gradebook:
            grade = gradebook.find_grade("test_k1", PLAIN, PLAIN, student)
            grade.manual_score, grade.needs_manual_grade = counted + more, again
            gradebook.db.commit()
    assert feedback(term)[1] == []
    return term


@pytest.mark.parametrize("student", ["ann", "ben", "cy", "dan"])
def test_what_an_instructor_has_set_is_not_for_the_student_to_mend(appeals, student):
    whole = page(appeals, student)
    head = text_of(whole[: whole.index("<table")])
    assert "Next:" not in head
    assert "mend the cell" not in whole
    assert "What your instructor has set stands; there is nothing else to mend." in head
    assert "Hint." not in text_of(whole)
    assert ("is asked to look again" in text_of(whole)) == (student == "cy")
    says = "confirmed" if student == "ann" else "changed"
    assert f"✎ {says} by your instructor" in row(whole, "k1")
    counts = "Your instructor's score counts; ask them about it."
    assert (counts in row(whole, "k1")) == (student == "dan")
    assert (counts in article(whole, "k1")) == (student == "dan")


def test_points_are_so_far_while_an_essay_waits(term):
    whole = page(term, "writer", ESSAYS)
    head = text_of(whole[: whole.index("<table")])
    assert re.search(r"points so far\n", head)
    assert "so far</title>" in whole
    assert "6 points of essays are still to be read by your instructor" in head
    assert "so far" not in page(term, "mistaken")


RULE = """
from nbgrader.plugins import LateSubmissionPlugin


class APointADay(LateSubmissionPlugin):
    \"\"\"A point for each day begun.\"\"\"


c.AssignLatePenalties.plugin_class = APointADay
"""


TO_COME, OVER = "2226-10-02 12:00:00", "2016-10-02 12:00:00"


def made_anew_when_due(term, date):
    """The pages, once the lesson is due then."""
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(PLAIN, duedate=f"{date} UTC")
    assert feedback(term)[1] == []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ("", "your instructor says what that costs"),
        ("c.LateSubmissionPlugin.penalty_method = 'zero'\n", "it counts 0"),
        (RULE, "a point for each day begun"),
        (RULE.replace('    """A point for each day begun."""', "    pass"), "points are taken off"),
    ],
)
def test_until_when_another_file_counts_is_said_where_there_is_a_date(tmp_path, settings, says):
    term = short_term(tmp_path / "term", PLAIN)
    with (term.root / SETTINGS).open("a") as file:
        file.write(settings)
    hand_in_what_cannot_be_graded(term)
    assert feedback(term)[1] == []
    assert "counts in full" not in page(term, "unlucky")
    with term.api().gradebook as gradebook:
        gradebook.update_or_create_assignment(PLAIN, duedate=f"{TO_COME} UTC")
    main(["extend", "unlucky", PLAIN, "1d", "--course", str(term.root)])
    assert feedback(term)[1] == []
    until = "Another counts in full if it is handed in by 2226-10-03 12:00 UTC"
    assert f"{until}; after that it is late ({says})." in text_of(page(term, "unlucky"))
    made_anew_when_due(term, OVER)
    over = f"It was due by 2016-10-03 12:00 UTC, which is over: another is late ({says})."
    assert over in text_of(page(term, "unlucky"))
    assert "counts in full" not in page(term, "unlucky")


def test_a_newer_file_that_could_not_be_graded_is_told(changed):
    """And what to do is the student's to do."""
    said = text_of(page(changed, "cy"))
    assert "Your newest file could not be graded (collected " in said
    assert "broken or cut short). Open it in Jupyter, save it and hand it in again; if it" in said
    assert "Everything in the earlier one has its full points." in said
    assert "counts in full" not in said
    made_anew_when_due(changed, TO_COME)
    assert (
        "Another counts in full if it is handed in by 2226-10-02 12:00 UTC; of several that can be "
        "graded, the last before then counts."
    ) in text_of(page(changed, "cy"))
    made_anew_when_due(changed, OVER)
    assert (
        "It was due by 2016-10-02 12:00 UTC, which is over: another is late (your instructor says "
        "what that costs), and your instructor says whether it takes the place of the earlier one."
    ) in text_of(page(changed, "cy"))
    assert "newest file" not in page(changed, "bob")
    with changed.store() as store:
        store.keep_failed(f"cy/{PLAIN}", "")
    assert feedback(changed)[1] == []
    assert "newest file" not in page(changed, "cy")


INSTRUCTORS = re.compile(r"download|ask for|look at|check the path|put the|git lfs|send")


@pytest.mark.parametrize("kind", NO_NOTEBOOK)
def test_what_to_do_about_a_file_is_told_as_its_student_can_do_it(tmp_path, kind):
    path = tmp_path / "x.ipynb"
    path.write_bytes(NO_NOTEBOOK[kind][0])
    with pytest.raises(UsageError) as caught:
        read_notebook(path)
    what, remedy = told(str(caught.value), path)
    assert what.startswith("x.ipynb: ")
    assert not INSTRUCTORS.search(remedy.lower())
    assert re.search("(?i)hand (it )?in", remedy)


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("this is lesson 03 under the name of 02; ask for 02.ipynb", "Hand in 02.ipynb"),
        ("a link, which is not followed; put the file itself there", "Hand in the file itself"),
        ("no such file; check the path", "Hand in the .ipynb file"),
    ],
)
def test_and_about_one_that_lies_wrong(tmp_path, reason, remedy):
    path = tmp_path / "x.ipynb"
    assert told(f"{path}: {reason}", path)[1] == remedy


@pytest.mark.browser
def test_nobody_is_kept_out(term):
    from tests.browser.axe import serious_violations

    for whole in (page(term, "mistaken"), page(term, "writer", ESSAYS), page(term, "endless")):
        offline = re.sub(r"<script src=.*?</script>", "", whole, flags=re.DOTALL)
        assert serious_violations(offline) == []


HEAVY = """
import sys
from autograde.returning import feedback
from autograde.term.term import Term

names = ("nbgrader.apps", "nbconvert", "autograde.returning.feedback_page")
def each(function, calls, workers):
    print(*(name for name in names if name not in sys.modules), sep=",")
    return iter(())

feedback.guarded_each = each
feedback.feedback(Term.open(sys.argv[1]))
"""


def test_what_makes_a_page_is_imported_once_and_not_for_each(term):
    """A page is made in a process of its own, which has what was imported before it."""
    done = subprocess.run(
        [sys.executable, "-c", HEAVY, str(term.root)], capture_output=True, text=True
    )
    assert done.stdout.strip() == "", done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
