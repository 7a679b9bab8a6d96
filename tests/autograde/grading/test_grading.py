"""The sample class through the whole loop: every submission gets what its code deserves."""

import csv
import shutil
import subprocess
import sys
from html import escape

import nbformat
import pytest

from autograde.course import sample
from autograde.course.as_cells import handed_in
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import checkout_base, lesson_path
from autograde.grading.filling import fill
from autograde.grading.grading import grade
from autograde.grading.judging import judge_all
from autograde.grading.preprocessors import Replay
from autograde.grading.rebuild import rebuild
from autograde.grading.sandbox import Sandbox
from autograde.grading.steps import Step
from autograde.receiving.collecting import collect
from autograde.returning.exporting import export, grades
from autograde.returning.feedback import feedback
from autograde.term.term import init

LESSON = "02_divergence"


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """A term with the sample class collected, and nothing graded."""
    folder = tmp_path_factory.mktemp("class")
    downloads = sample.write(folder)
    term = init(folder / "term", folder / "roster.csv")
    assert len(collect(downloads, term).placed) == len(LESSONS) * len(list(sample.students()))
    return term


@pytest.fixture(scope="module")
def outcome(term):
    """One lesson of it graded."""
    return grade(term, [LESSON], workers=2)


def scores(term, lesson=LESSON):
    return {row["id"]: row["score"] for row in grades(term) if row["lesson"] == lesson}


def stored(term, key):
    with term.store() as store:
        return store.verdict(key)


def nbgrader(folder, *arguments):
    command = [sys.executable, "-m", "nbgrader", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def test_what_cannot_be_read_is_told_and_the_others_are_graded(term, outcome):
    assert len(outcome.graded) == len(list(sample.students())) - 1
    assert len(outcome.failed) == 1
    assert "broken/02_divergence" in outcome.failed[0]
    assert "download it again" in outcome.failed[0]


def test_the_points_are_what_the_code_deserves(term, outcome):
    found = scores(term)
    most = sum(exercise.points for exercise in exercises(LESSON).values())
    assert found["perfect"] == most
    assert found["untouched"] == 0
    assert found["broken"] == ""
    for student in set(found) - {"perfect", "untouched", "broken"}:
        assert 0 < found[student] < most


def test_every_named_mistake_is_named_in_its_verdict(term, outcome):
    recorded = term.recorded()
    for number, row in enumerate(sample.students()):
        if row["id"][-1].isdigit():
            graded = stored(term, recorded[f"{row['id']}/{LESSON}"])
            for position, exercise in enumerate(exercises(LESSON).values()):
                verdict = graded.verdicts[exercise.name]
                if (position + number) % 3 == 0:
                    assert verdict.status == "right"
                else:
                    mistake = exercise.mistakes[number % len(exercise.mistakes)]
                    assert mistake.name in verdict.diagnoses


def test_what_was_predicted_is_stored_beside_the_verdict(term, outcome):
    with term.store() as store:
        found = dict(store.predicted())
    assert set(found) == {f"{row['id']}/{LESSON}" for row in sample.students()} - {
        f"broken/{LESSON}"
    }
    assert found[f"untouched/{LESSON}"] == found[f"perfect/{LESSON}"] == {}
    assert found[f"bela2/{LESSON}"] == {
        "two_directions": "B", "ref_price": "A", "digits": "A",
        "drift": "C", "turning_point": "B", "least_kl": "B",
    }  # fmt: skip


def test_a_second_run_does_nothing_and_a_regrade_changes_nothing(term, outcome):
    before = scores(term)
    again = grade(term, [LESSON], workers=2)
    assert (again.graded, len(again.skipped)) == ([], len(outcome.graded))
    regraded = grade(term, [LESSON], student="ada1", regrade=True)
    assert regraded.graded == ["ada1/02_divergence"]
    assert scores(term) == before


def test_only_what_changed_is_graded_again(term, outcome):
    path = term.submission("untouched", LESSON)
    kept = path.read_text(encoding="utf-8")
    shutil.copy(term.submission("perfect", LESSON), path)
    try:
        assert grade(term, [LESSON]).graded == ["untouched/02_divergence"]
        assert scores(term)["untouched"] == scores(term)["perfect"]
    finally:
        path.write_text(kept, encoding="utf-8")
    grade(term, [LESSON])
    assert scores(term)["untouched"] == 0


def test_feedback_tells_the_mistake_and_no_answer(term, outcome):
    pages, failed = feedback(term)
    assert not failed
    assert len(pages) == len(outcome.graded) + len(outcome.failed)  # these are told why
    page = (term.root / "feedback" / "bela2" / LESSON / f"{LESSON}.html").read_text("utf-8")
    graded = stored(term, term.recorded()[f"bela2/{LESSON}"])
    said = [says for verdict in graded.verdicts.values() for says in verdict.diagnoses.values()]
    assert said
    assert any(escape(says) in page for says in said)
    for secret in (
        "BEGIN HIDDEN",
        "autograde.grading.inkernel",
        "helpers.reference",
        "Traceback (most",
    ):
        assert secret not in page


def test_the_export_can_be_read_back(term, outcome, tmp_path):
    path = export(term, tmp_path / "grades.csv").path
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(LESSONS) * len(list(sample.students()))
    assert {row["id"]: row["score"] for row in rows if row["lesson"] == LESSON} == {
        student: str(score) for student, score in scores(term).items()
    }


def test_nbgraders_own_command_gives_the_same_points(term, outcome):
    before = scores(term)
    students = ("bela2", "perfect")
    for student in students:
        done = nbgrader(term.root, "autograde", LESSON, "--student", student, "--force")
        assert done.returncode == 0, done.stderr
    assert scores(term) == before


def test_nbgraders_own_command_runs_what_was_never_run(term, monkeypatch):
    """Without a stored verdict it uses the sandbox, and not a kernel of its own."""
    lesson = "00_start_here"
    done = nbgrader(term.root, "autograde", lesson, "--student", "perfect")
    assert done.returncode == 0, done.stderr
    most = sum(exercise.points for exercise in exercises(lesson).values())
    assert scores(term, lesson)["perfect"] == most
    copied = lesson_path(term.root / "autograded" / "perfect", lesson).read_text("utf-8")
    assert "every case passes" in copied


def test_a_plain_nbgrader_gives_the_same_points(term, outcome, tmp_path):
    """None of our settings: the hidden part of a grade cell judges in the kernel."""
    students = ("bela2", "perfect", "untouched")
    source = lesson_path(tmp_path / "source", LESSON)
    source.parent.mkdir(parents=True)
    shutil.copy(lesson_path(term.root / "source", LESSON), source)
    (tmp_path / "nbgrader_config.py").write_text("c = get_config()\nc.Execute.timeout = 600\n")
    for student in students:
        target = lesson_path(tmp_path / "submitted" / student, LESSON)
        target.parent.mkdir(parents=True)
        notebook = nbformat.read(term.submission(student, LESSON), as_version=4)
        # The experiments are slow and earn nothing; the tests of the lessons run them.
        notebook.cells = [c for c in notebook.cells if "demo" not in c.metadata.get("tags", ())]
        nbformat.write(notebook, target)
    made = nbgrader(tmp_path, "generate_assignment", LESSON)
    assert made.returncode == 0, made.stderr
    done = nbgrader(tmp_path, "autograde", LESSON)
    assert done.returncode == 0, done.stderr
    from nbgrader.api import Gradebook

    with Gradebook(f"sqlite:///{tmp_path}/gradebook.db") as gradebook:
        plain = {s: gradebook.find_submission(LESSON, s).score for s in students}
    assert plain == {student: scores(term)[student] for student in students}


def test_points_are_written_in_the_one_form_that_nbgrader_reads(term, outcome):
    notebook = nbformat.read(lesson_path(term.root / "autograded" / "bela2", LESSON), 4)
    tests = [c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade")]
    assert len(tests) == len(exercises(LESSON))
    for cell in tests:
        shown, points = cell.outputs
        assert shown.output_type == "display_data"
        assert points.output_type == "execute_result"
        assert 0 <= float(points.data["text/plain"]) <= cell.metadata.nbgrader.points


def test_a_stranger_is_graded_and_a_folder_that_is_no_lesson_is_left(term, outcome):
    target = term.submission("stranger", LESSON)
    target.parent.mkdir(parents=True)
    answers = sample.solutions(LESSON)
    nbformat.write(handed_in(checkout_base(LESSON), answers), target)
    (term.root / "submitted" / "stranger" / "99_none").mkdir()
    try:
        assert grade(term, [LESSON]).graded == ["stranger/02_divergence"]
        assert scores(term)["stranger"] == scores(term)["perfect"]
        assert [path.name for path in term.strangers()] == ["99_none"]
    finally:
        shutil.rmtree(term.root / "submitted" / "stranger")


def test_an_empty_folder_is_told(term, outcome):
    (term.root / "submitted" / "nobody" / LESSON).mkdir(parents=True)
    try:
        failed = grade(term, [LESSON], student="nobody").failed
        assert len(failed) == 1
        assert "no such file" in failed[0]
    finally:
        shutil.rmtree(term.root / "submitted" / "nobody")


def test_a_corrected_reference_judges_stored_answers_again(term, outcome, monkeypatch):
    """No student code runs where the questions are the same, whoever asks for it."""
    before = scores(term)
    monkeypatch.setattr(Sandbox, "ask", None)
    again = grade(term, [LESSON], workers=1, regrade=True)
    assert len(again.graded) == len(outcome.graded)
    assert again.asked == 0
    assert scores(term) == before
    monkeypatch.setattr("helpers.reference.k1", lambda logp, ref_logp: ref_logp - logp)
    for user in ("preparing", "program", "working"):
        monkeypatch.setattr(f"autograde.grading.{user}.edition", lambda lesson: "corrected")
    corrected = grade(term, [LESSON], student="perfect")
    assert (corrected.graded, corrected.asked) == ([f"perfect/{LESSON}"], 0)
    assert scores(term)["perfect"] == before["perfect"] - exercises(LESSON)["k1"].points
    monkeypatch.undo()
    grade(term, [LESSON], student="perfect")
    assert scores(term) == before


def test_changed_questions_are_asked_again(term, outcome, monkeypatch):
    described = exercises(LESSON)["k1"]
    others = described.hidden_cases(b"others")
    asked = type(described).hidden_cases

    def changed(self, *key):
        return others if self is described else asked(self, *key)

    monkeypatch.setattr(type(described), "hidden_cases", changed)
    assert grade(term, [LESSON], student="perfect", regrade=True).asked == 1
    assert scores(term)["perfect"] == sum(e.points for e in exercises(LESSON).values())


def test_what_was_graded_without_a_sandbox_says_so_and_is_kept_apart(term, outcome):
    graded = grade(term, [LESSON], student="perfect", mode="none")
    assert (graded.graded, graded.modes) == ([f"perfect/{LESSON}"], {"none"})
    copy = lesson_path(term.root / "autograded" / "perfect", LESSON)
    assert "graded without a sandbox" in copy.read_text("utf-8")
    grade(term, [LESSON], student="perfect")
    assert "graded without a sandbox" not in copy.read_text("utf-8")


def test_the_settings_name_our_steps(term):
    api = term.api()
    assert f"{Replay.__module__}.{Replay.__name__}" in api.config.Autograde.autograde_preprocessors


def test_the_cause_that_lies_in_another_exercise_is_named():
    """In the order of the lesson, and whatever the text of a cell may hold."""
    lesson = "01_policy_updates"
    cells = {
        "masked_mean": "def masked_mean(x, mask):\n    return x.mean()",
        "surrogate_objective": "def surrogate_objective(logp, old_logp, advantage, mask):\n"
        "    # not importance_ratio() nor is_importance_ratio()\n"
        "    return masked_mean((logp - old_logp.detach()).exp() * advantage, mask)",
        "importance_ratio": "def importance_ratio(*_):\n    return 0",
    }
    steps = [Step(source, name) for name, source in cells.items()]
    cases = {name: one.hidden_cases(b"") for name, one in exercises(lesson).items()}
    with Sandbox("strict") as sandbox:
        replies = sandbox.ask(steps, cases)
    graded = judge_all(lesson, steps, cases, replies, "strict", sandbox.limits)
    called = {name: verdict.calls for name, verdict in graded.verdicts.items()}
    assert called.pop("surrogate_objective") == ["masked_mean"]
    assert not any(called.values())
    told = fill(rebuild(checkout_base(lesson), checkout_base(lesson)), graded)
    assert "which is not right yet either" in str(told)
