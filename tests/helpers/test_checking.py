"""What a student sees: checks, hints, progress, and cells that wait."""

import pytest

from autograde.course.exercises import LESSONS, exercises
from helpers import check, hint, progress, ready, written
from helpers.checking import UnknownExerciseError, state, visible_verdict
from helpers.reference import k1, k3, log_ratio
from helpers.sealed import TOLD

ALL = [(name, one) for lesson in LESSONS for name, one in exercises(lesson).items()]


@pytest.mark.parametrize(("name", "exercise"), ALL, ids=[name for name, _ in ALL])
def test_the_right_answer_passes(name, exercise):
    assert visible_verdict(name, exercise.answer).status == "right"


@pytest.mark.parametrize(("name", "exercise"), ALL, ids=[name for name, _ in ALL])
def test_a_bundle_diagnoses_as_the_instructor_does(name, exercise):
    """The answers in the data are enough: a student's machine has no reference to ask."""
    if callable(exercise.answer):
        for mistake in exercise.mistakes:
            assert next(iter(visible_verdict(name, mistake.answer).diagnoses)) == mistake.name


def test_a_report_says_the_mistake_and_the_numbers(capsys):
    check("log_ratio", lambda p, q: log_ratio(q, p))
    printed = capsys.readouterr().out
    assert "not right yet" in printed
    assert "→" in printed
    assert "got" in printed
    assert "expected" in printed
    assert 'hint("log_ratio")' in printed


def test_a_students_exception_is_shown_and_not_raised(capsys):
    def broken(p, q):
        return p.lgo() - q.log()

    check("log_ratio", broken)
    printed = capsys.readouterr().out
    assert "has no attribute 'lgo'" in printed
    assert "Traceback" not in printed


def test_not_written_is_no_mistake(capsys):
    def stub(p, q):
        raise NotImplementedError

    check("log_ratio", stub)
    check("q00_units", ...)
    assert capsys.readouterr().out.count("not written yet") == 2


@pytest.fixture
def kept(monkeypatch):
    """As in a bundle whose questions only grading judges."""
    whole = check.__globals__["_lesson_data"]

    def without(lesson):
        return {
            name: {key: value for key, value in one.items() if key != TOLD}
            for name, one in whole(lesson).items()
        }

    monkeypatch.setitem(check.__globals__, "_lesson_data", without)


def test_a_quiz_that_is_told_says_right_or_what_is_wrong_with_the_choice_made(capsys):
    for answer in ("A", "B", "C", "D"):
        check("q00_units", answer)
        printed = capsys.readouterr().out
        assert ("q00_units: right" in printed) == (answer == "C")
        comments = [mistake.says for mistake in exercises("00_start_here")["q00_units"].mistakes]
        told = [says for says in comments if says in printed]
        assert len(told) == (answer != "C")
    check("q00_units", "Z")
    assert "'A' or 'B' or 'C' or 'D'" in capsys.readouterr().out


def test_each_part_of_a_question_is_told(capsys):
    check("q02_interpret_penalty", {"penalty": -1.301, "effect": "Discourages"})
    printed = capsys.readouterr().out
    assert "✓ penalty" in printed
    assert "✗ effect" in printed
    assert "The name penalty does not decide" in printed
    check("q02_interpret_penalty", {"penalty": 7, "effect": "encourages"})
    printed = capsys.readouterr().out
    assert "✗ penalty" in printed
    assert "→" not in printed


@pytest.mark.usefixtures("kept")
def test_a_quiz_that_is_kept_tells_the_form_and_not_the_answer(capsys):
    for answer in ("A", "B", "C", "D"):
        check("q00_units", answer)
    printed = capsys.readouterr().out
    assert printed.count("grading will tell") == 4
    check("q00_units", "Z")
    assert "'A' or 'B' or 'C' or 'D'" in capsys.readouterr().out


def test_hints_come_one_by_one(capsys):
    shown = []
    for _ in range(4):
        hint("k1")
        shown.append(capsys.readouterr().out.count("Hint"))
    assert shown == [1, 1, 1, 3]


def test_a_name_that_is_none():
    for call in (lambda: check("kl", None), lambda: hint("kl"), lambda: progress("99")):
        with pytest.raises(UnknownExerciseError, match="there (is|are)"):
            call()


def test_an_essay_is_no_mistake_to_ask_about(capsys):
    for call in (hint, progress, lambda name: check(name, "my text")):
        call("essay_impact")
        said = capsys.readouterr().out
        assert said.startswith("essay_impact is an essay")
        assert "rubric" in said


@pytest.mark.usefixtures("kept")
def test_progress_counts(capsys, monkeypatch):
    # Other tests in this process check, too; and helpers.check, as an attribute, is the function.
    monkeypatch.setitem(check.__globals__, "_verdicts", {})
    scope = {"check": check, "k1": k1, "k2": k1, "q02_dynamics": "A"}
    exec("check('k1', k1); check('k2', k2); check('q02_dynamics', q02_dynamics)", scope)
    exec("check('k1', k2 if False else (lambda logp, ref_logp: logp))", scope)  # somebody else's
    capsys.readouterr()
    progress("02_divergence")
    first, *lines = capsys.readouterr().out.splitlines()
    assert (
        first
        == "02_divergence, by the last checks: 1 of 5 exercises pass, 1 of 2 questions answered"
    )
    said = {line.split()[0]: line for line in lines}
    assert "every case passes" in said["k1"]
    assert "not right yet" in said["k2"]
    assert "grading will tell" in said["q02_dynamics"]
    assert "not checked yet" in said["k3"]


def test_progress_and_submit_tell_the_same_of_questions(capsys, monkeypatch):
    monkeypatch.setitem(check.__globals__, "_verdicts", {})
    scope = {"check": check, "q02_dynamics": "A", "q02_interpret_penalty": "-1.3"}
    exec("check('q02_dynamics', q02_dynamics)", scope)
    exec("check('q02_interpret_penalty', q02_interpret_penalty)", scope)
    capsys.readouterr()
    progress("02_divergence")
    printed = capsys.readouterr().out
    assert "0 of 2 questions right" in printed
    for name in ("q02_dynamics", "q02_interpret_penalty"):
        (line,) = (line for line in printed.splitlines() if line.split()[0] == name)
        assert line.endswith(state(name, scope))
    assert state("q02_dynamics", scope) == "not right yet"
    assert "in the form" in state("q02_interpret_penalty", scope)


def test_where_nbgrader_validates_what_is_wrong_is_an_exception(monkeypatch, capsys):
    monkeypatch.setenv("NBGRADER_VALIDATING", "1")
    check("k1", k1)
    with pytest.raises(AssertionError, match="k1: not right yet") as raised:
        check("k1", lambda logp, ref_logp: ref_logp - logp)
    assert "k1: not right yet" in raised.value._render_traceback_()[0]


def test_what_is_not_written_is_named_where_another_exercise_calls_it(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    for source in (
        "def masked_mean(x, mask):\n    raise NotImplementedError()",
        "def surrogate_objective(logp, old_logp, advantage, mask):\n"
        "    return masked_mean(logp, mask)",
        "from helpers import check\ncheck('masked_mean', masked_mean)",
        "check('surrogate_objective', surrogate_objective)",
    ):
        shell.run_cell(source, store_history=False)
    printed = capsys.readouterr().out
    assert "masked_mean: not written yet" in printed
    assert "it calls masked_mean, which is not written yet" in printed
    assert "surrogate_objective: not written yet" not in printed
    assert "→" not in printed  # what the others come to does not tell a mistake yet


def test_what_is_wrong_is_named_where_another_exercise_calls_it(capsys):
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    for source in (
        "from helpers import check",
        "def masked_mean(x, mask):\n    return x.mean()",
        "def surrogate_objective(logp, old_logp, advantage, mask):\n"
        "    def inner(x):\n        return masked_mean(x, mask)\n"
        "    return inner((logp - old_logp.detach()).exp() * advantage)",
        "check('surrogate_objective', surrogate_objective)",
    ):
        shell.run_cell(source, store_history=False)
    says = "→ It calls masked_mean, which is not right yet either: begin there."
    assert says in capsys.readouterr().out
    right = "from helpers.reference import masked_mean\ncheck('surrogate_objective', lambda *a: -1)"
    shell.run_cell(right, store_history=False)
    assert "It calls" not in capsys.readouterr().out


def test_a_cell_waits_for_what_does_not_pass(capsys):
    scope = {"ready": ready, "k1": k1, "k2": k1}
    exec("found = ready('k1')", scope)
    assert scope["found"]
    assert capsys.readouterr().out == ""
    exec("found = ready('k1', 'k2', 'k3')", scope)
    assert not scope["found"]
    printed = capsys.readouterr().out
    assert "k2 (not right yet)" in printed
    assert "k3 (run its cell first)" in printed
    assert "k1" not in printed


def test_a_cell_that_needs_values_alone_goes_on_and_says_what_else_fails(capsys):
    scope = {"ready": ready, "k3": lambda logp, ref_logp: k3(logp, ref_logp).detach()}
    exec("found = ready('k3')", scope)
    assert scope["found"]
    assert "Not right yet, though this cell works without: k3 (gradient, rare tokens)." in (
        capsys.readouterr().out
    )
    exec("found = ready('k3', gradient=True)", scope)
    assert not scope["found"]
    assert "waits for k3 (not right yet)" in capsys.readouterr().out


@pytest.mark.parametrize("answer", ["CBDA", ["C", "B", "D", "A"], "C"])
def test_a_dict_is_asked_for_where_a_question_has_parts(capsys, answer):
    check("q06_configuration", answer)
    said = capsys.readouterr().out
    form = '{"place": …, "towards": …, "gradient": …, "unused": …}'
    assert f"→ A dict is asked for: {form}." in said
    assert "got" not in said


def test_a_question_half_answered_counts_no_points(capsys):
    """Its visible cases look at the form alone: no letter is said to be right."""
    check("q07_diagnose", {"cause": "B", "first_bad_step": "60"})
    printed = capsys.readouterr().out
    assert "in the form that was asked for" in printed
    assert "✓" not in printed
    assert "got       '60'" in printed
    assert "expected  a number" in printed


def test_a_check_repeats_no_warnings(capsys, recwarn):
    check(
        "group_advantage",
        lambda rewards, eps=1e-4: (
            (rewards - rewards.mean(1)[:, None]).nan_to_num() / rewards.std(1)[:, None]
        ),
    )
    assert not recwarn.list


def test_html_escapes_what_students_wrote():
    from helpers.report import Report

    def broken(p, q):
        raise ValueError("<script>alert(1)</script>")

    html = Report(visible_verdict("log_ratio", broken))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_what_is_to_be_written_ungraded_is_waited_for(capsys):
    assert not written(...)
    assert not written(1.0, None)  # a function without a return
    assert "in place of the dots" in capsys.readouterr().out
    assert written("", 0.0, False)
    assert capsys.readouterr().out == ""
