"""What a student's bundle holds and tells, at once or week by week."""

import json
import re
import shutil
import subprocess
import sys

import pytest

from autograde.cli import main
from autograde.course.build import shown_solutions
from autograde.course.exercises import LESSONS
from autograde.course.plan import AS_WRITTEN, Plan
from autograde.term import releasing
from autograde.term.releasing import release
from autograde.term.term import SETTINGS, init
from helpers.codec import unpack

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


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def lessons(bundle):
    return sorted(path.name for path in (bundle / "notebooks").iterdir())


def listed(bundle):
    text = (bundle / "README.md").read_text("utf-8")
    return re.findall(r"(?m)^- `notebooks/(\w+)/\1.ipynb`$", text)


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A bundle of two lessons, in the README of which the instructor has written."""
    bundle = release(tmp_path_factory.mktemp("weeks") / "bundle", lessons=["03", "00"])
    with (bundle / "README.md").open("a", encoding="utf-8") as file:
        file.write("\nAsk in the forum.\n")
    return bundle


@pytest.fixture
def bundle(begun, tmp_path):
    shutil.copytree(begun, tmp_path / "bundle")
    return tmp_path / "bundle"


def test_the_first_week(begun):
    assert lessons(begun) == ["00_start_here", "03_penalized_objective"]
    assert listed(begun) == ["00_start_here", "03_penalized_objective"]
    assert {path.stem for path in (begun / "helpers" / "data").glob("0*.safetensors")} == set(
        LESSONS
    )


def test_a_later_week_adds_and_leaves_what_is_there(bundle, capsys):
    before = files(bundle)
    assert main(["release", str(bundle), "02", "03"]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{bundle}\n")
    assert len(captured.err.splitlines()) == 1
    assert "notebooks/03_penalized_objective: there before, and left as it is" in captured.err
    after = files(bundle)
    changed = {path.name for path in before if before[path] != after[path]}
    assert changed == {"README.md"}
    assert {path.name for path in after.keys() - before.keys()} == {"02_divergence.ipynb"}
    assert listed(bundle) == ["00_start_here", "02_divergence", "03_penalized_objective"]
    assert "Ask in the forum." in (bundle / "README.md").read_text("utf-8")
    assert not list(bundle.parent.glob(".*partial"))


def test_lesson_by_lesson_is_all_at_once(begun, bundle, tmp_path):
    for lesson in ("07", "01", "02"):
        release(bundle, lessons=[lesson])
    release(bundle, told=lambda line: None)
    (bundle / "README.md").unlink()
    whole = release(tmp_path / "whole")
    (whole / "README.md").unlink()
    assert {path.relative_to(whole): data for path, data in files(whole).items()} == {
        path.relative_to(bundle): data for path, data in files(bundle).items()
    }


def test_what_students_did_in_their_copy_stays(bundle):
    path = bundle / "notebooks" / "00_start_here" / "00_start_here.ipynb"
    path.write_text("mine")
    release(bundle, lessons=["00", "01"], told=lambda line: None)
    assert path.read_text() == "mine"
    assert "01_policy_updates" in lessons(bundle)


def test_a_run_that_was_stopped_is_gone_on_with(bundle, monkeypatch):
    def stopped(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(releasing, "write_whole", stopped)
        with pytest.raises(KeyboardInterrupt):
            release(bundle, lessons=["01"])
    assert not list(bundle.parent.glob(".*partial"))
    release(bundle, lessons=["01"], told=lambda line: None)
    assert listed(bundle) == ["00_start_here", "01_policy_updates", "03_penalized_objective"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--quizzes", "told"], "was written with --quizzes kept, and not told; omit --quizzes,"),
        (["--solutions"], "was written with --solutions left out, and not given; omit"),
        (
            ["--colab", "https://github.com/me/it"],
            "was written with --colab left out, and not",
        ),
    ],
)
def test_other_terms_than_a_bundle_was_begun_on(bundle, capsys, options, says):
    before = files(bundle)
    assert main(["release", str(bundle), "01", *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert says in captured.err
    assert files(bundle) == before


def test_helpers_of_another_version_are_not_mixed(bundle, capsys):
    path = bundle / releasing.BUNDLE
    path.write_text(path.read_text().replace('"helpers": "', '"helpers": "0'))
    before = files(bundle)
    assert main(["release", str(bundle), "01"]) == 2
    assert "its helpers are of another version of the course" in capsys.readouterr().err
    assert files(bundle) == before


TERMS = '{"colab": "", "quizzes": "", "solutions": false, "points": {}, "term": "x", "lessons": %s}'


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"colab": 1}', TERMS % "5", TERMS % "[1]"])
def test_what_is_no_bundle_of_ours(tmp_path, capsys, text):
    (tmp_path / releasing.BUNDLE).write_text(text)
    assert main(["release", str(tmp_path), "01"]) == 2
    assert "not empty; name an empty or a new folder" in capsys.readouterr().err


def test_a_terms_lessons_and_points(tmp_path, monkeypatch, capsys):
    """Of the term named, or of the one that you are in; then the bundle keeps to them."""
    term = init(tmp_path / "term")
    with (term.root / SETTINGS).open("a") as file:
        file.write('c.Course.lessons = ["02", "00"]\nc.Course.points = {"k1": 9}\n')
    bundle = tmp_path / "bundle"
    assert main(["release", str(bundle), "02", "--course", str(term.root)]) == 0
    assert f"those of the term {term.root}\n" in capsys.readouterr().out
    monkeypatch.chdir(term.root)
    assert main(["release", str(bundle)]) == 0
    assert lessons(bundle) == ["00_start_here", "02_divergence"]
    assert listed(bundle) == ["02_divergence", "00_start_here"]
    notebook = (bundle / "notebooks" / "02_divergence" / "02_divergence.ipynb").read_text("utf-8")
    assert "The next lesson is **00 · Start here" in notebook
    assert AS_WRITTEN not in notebook
    data = unpack((bundle / "helpers" / "data" / "02_divergence.safetensors").read_bytes())
    assert {one["name"]: sum(one["parts"].values()) for one in data}["k1"] == 9
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["release", str(bundle)]) == 2
    assert "was made for a term, and none is named here" in capsys.readouterr().err
    assert main(["release", str(tmp_path / "whole"), "00"]) == 0
    assert "those of the whole course; for a term's, add --course" in capsys.readouterr().out
    assert main(["release", str(bundle), "03", "--course", str(term.root)]) == 2
    assert "no lesson '03'; give one of 02_divergence, 00_start_here" in capsys.readouterr().err


def refused(capsys, bundle, *options):
    """What one line says of a bundle that another may not add to, and leaves as it was."""
    before = files(bundle)
    assert main(["release", str(bundle), *options]) == 2
    captured = capsys.readouterr()
    assert (captured.out, len(captured.err.splitlines())) == ("", 1)
    assert files(bundle) == before
    return captured.err


def test_a_bundle_of_another_term_is_left_alone(tmp_path, bundle, capsys):
    one, other = init(tmp_path / "one").root, init(tmp_path / "other").root
    ours = tmp_path / "ours"
    assert main(["release", str(ours), "00", "03", "--course", str(one)]) == 0
    text = (ours / releasing.BUNDLE).read_text()
    assert (one / ".autograde" / "key").read_bytes().hex() not in text
    capsys.readouterr()
    said = refused(capsys, ours, "--course", str(other))
    assert "was made for another term (its lessons: 00_start_here, 01_" in said
    assert "name that term with --course DIR, or a new folder" in said
    assert "was made for a term, and none is named here" in refused(capsys, ours)
    assert "was made for the whole course" in refused(capsys, bundle, "--course", str(one))
    with (one / SETTINGS).open("a") as file:
        file.write('c.Course.lessons = ["00", "03", "01"]\n')
    assert main(["release", str(ours), "--course", str(one)]) == 0
    assert lessons(ours) == ["00_start_here", "01_policy_updates", "03_penalized_objective"]
    assert json.loads((ours / releasing.BUNDLE).read_text())["lessons"][2] == "01_policy_updates"


def test_a_bundle_from_before_says_not_whose_it_is(tmp_path, bundle):
    path = bundle / releasing.BUNDLE
    old = {name: value for name, value in json.loads(path.read_text()).items()
           if name not in ("term", "lessons")}  # fmt: skip
    path.write_text(json.dumps(old))
    term = init(tmp_path / "term").root
    assert main(["release", str(bundle), "01", "--course", str(term)]) == 0
    assert main(["release", str(bundle), "02"]) == 0
    assert len(lessons(bundle)) == 4


def worth(bundle, lesson):
    """What the helpers of a bundle count for each exercise of a lesson."""
    data = unpack((bundle / "helpers" / "data" / f"{lesson}.safetensors").read_bytes())
    return {one["name"]: sum(one["parts"].values()) for one in data}


def test_points_that_change_between_two_weeks_end_nothing(tmp_path):
    """A lesson that is there stays as it was handed out; the next has the points of now."""
    bundle, first = tmp_path / "bundle", Plan(points={"k1": 9})
    release(bundle, lessons=["02"], plan=first)
    before = (bundle / "notebooks" / "02_divergence" / "02_divergence.ipynb").read_bytes()
    said = []
    now = Plan(points={"k1": 7, "log_ratio": 8})
    release(bundle, lessons=["00"], plan=now, told=said.append)
    assert (bundle / "notebooks" / "02_divergence" / "02_divergence.ipynb").read_bytes() == before
    assert '"points": 8' in (bundle / "notebooks/00_start_here/00_start_here.ipynb").read_text()
    assert worth(bundle, "02_divergence")["k1"] == 9
    assert worth(bundle, "00_start_here")["log_ratio"] == 8
    assert len(said) == 2
    assert "02_divergence: says other points than c.Course.points has now (k1)" in said[0]
    assert "helpers: changed with c.Course.points (log_ratio); who has installed" in said[1]
    shutil.rmtree(bundle / "notebooks" / "02_divergence")
    release(bundle, lessons=["02", "01"], plan=now, told=said.append)
    assert worth(bundle, "02_divergence")["k1"] == 7
    anew = release(tmp_path / "anew", lessons=["00", "01", "02"], plan=now)
    for path in (bundle, anew):
        (path / "README.md").unlink()
    assert {path.relative_to(anew): data for path, data in files(anew).items()} == {
        path.relative_to(bundle): data for path, data in files(bundle).items()
    }
