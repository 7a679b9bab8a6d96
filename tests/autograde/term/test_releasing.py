"""What a student's bundle tells: of questions, and of the course's own answers."""

import subprocess
import sys

import pytest

from autograde.cli import main
from autograde.course.build import shown_solutions
from autograde.term.releasing import release

ASK = """
import sys
sys.path.insert(0, sys.argv[1])
from helpers import check, progress, solution
q00_units = "A"
check("q00_units", q00_units)
progress("00_start_here")
solution("q00_units")
solution("q00_units", now=True)
"""
COMMENT = "A log-ratio is no difference of probabilities"


def told(bundle):
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(bundle)], capture_output=True, text=True, cwd=bundle
    )
    assert not done.stderr, done.stderr
    return done.stdout


def test_by_default_questions_are_kept_and_no_answer_is_there(tmp_path):
    bundle = release(tmp_path / "bundle")
    said = told(bundle)
    assert "grading will tell" in said
    assert COMMENT not in said
    assert "0 of 1 exercises pass, 1 of 1 questions answered" in said
    assert said.count("own answers are not in this bundle") == 2
    assert not list(bundle.rglob("solutions.json"))


def test_told_and_with_solutions(tmp_path, capsys):
    bundle = tmp_path / "bundle"
    assert main(["release", str(bundle), "--quizzes", "told", "--solutions"]) == 0
    capsys.readouterr()
    said = told(bundle)
    assert "q00_units: not right yet" in said
    assert COMMENT in said
    assert "0 of 1 questions right" in said
    assert "yours is not there yet" in said
    assert 'q00_units = "C"' in said
    assert not (bundle / "helpers" / "reference").exists()


def test_every_answer_is_shown_with_reasons():
    shown = shown_solutions()
    for name, one in shown.items():
        assert name in one["source"]
        assert "SOLUTION" not in one["source"]
        assert len(one["why"]) >= 3


@pytest.mark.parametrize("word", ["tell", "Told"])
def test_another_word_is_refused_in_one_line(tmp_path, capsys, word):
    with pytest.raises(SystemExit) as ended:
        main(["release", str(tmp_path / "bundle"), "--quizzes", word])
    assert ended.value.code == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
