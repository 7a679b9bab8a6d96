"""Notebooks are made from their sources, the same each time, and no answer gets out."""

import ast
import re
import shutil
import sys
from pathlib import Path

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager

from autograde.common.errors import UsageError
from autograde.course import build as building
from autograde.course import lessons
from autograde.course.build import build, same, stale
from autograde.course.exercises import LESSONS, exercises
from autograde.course.lessons import (
    BEGIN,
    END,
    NOTEBOOKS,
    ROOT,
    SOLUTIONS,
    lesson_path,
    read_source,
)
from autograde.term.releasing import release
from helpers.codec import unpack
from tests.some import LONG

LESSON = "00_start_here"
# Lines that say nothing of an answer: a comment, a bracket, a name handed back.
NOBODYS = r"#.*|\W*|return \w+|\w+|"
IDIOMS = {"with torch.no_grad():", "optimizer.zero_grad()", "optimizer.step()"}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Everything, built once: half a minute, most of it for the cases' data."""
    return build_in(tmp_path_factory.mktemp("build"))


def build_in(place: Path) -> Path:
    for lesson in LESSONS:
        (place / "solutions" / lesson).mkdir(parents=True)
    build(place)
    return place


@pytest.fixture
def built_before(built, monkeypatch):
    """A build copies what was built, but for the lessons that are added here."""
    anew: list[str] = []

    def again(root: Path) -> list[Path]:
        shutil.copytree(built, root, dirs_exist_ok=True)
        for lesson in anew:
            building._build_lesson(root, lesson)
        building.generate(root, anew)
        return [root / name for name in files(built)]

    monkeypatch.setattr(building, "build", again)
    return anew


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return release(tmp_path_factory.mktemp("bundle") / "new")


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_a_second_build_makes_equal_files(built, tmp_path, monkeypatch):
    """To the byte, on one machine; here of one lesson, and of all below."""
    monkeypatch.setattr(building, "LESSONS", {LESSON: LESSONS[LESSON]})
    (tmp_path / "solutions" / LESSON).mkdir(parents=True)
    build(tmp_path)
    one, other = files(built), files(tmp_path)
    for name in ("helpers/reference/solutions.json", "helpers/data/index.json"):
        other.pop(name)  # of all lessons, or of one
    assert len(other) == 3
    assert {name: one[name] for name in other} == other


@LONG
def test_two_builds_are_equal_to_the_byte(built, tmp_path):
    """The cases' data only up to the last digit, which linear algebra libraries do not promise."""
    one, other = files(built), files(build_in(tmp_path / "other"))
    assert one.keys() == other.keys()
    differing = [name for name in one if one[name] != other[name]]
    assert [name for name in differing if not name.endswith(".safetensors")] == []
    assert [name for name in differing if not same(built / name, other[name])] == []


@pytest.mark.usefixtures("built_before")
def test_what_is_committed_is_what_is_built():
    assert stale() == []


def test_a_source_that_changed_makes_its_notebooks_stale(built_before, tmp_path, monkeypatch):
    built_before.append(LESSON)
    shutil.copytree(SOLUTIONS, tmp_path / "solutions")
    monkeypatch.setattr(lessons, "SOLUTIONS", tmp_path / "solutions")
    source = lesson_path(tmp_path / "solutions", "00_start_here", ".py")
    source.write_text(source.read_text("utf-8").replace("# # 00", "# # Lesson 00"), "utf-8")
    assert [path.name for path in stale()] == ["00_start_here.ipynb"] * 2


@pytest.mark.usefixtures("built_before")
def test_a_file_that_nothing_builds_is_stale(monkeypatch):
    stray = NOTEBOOKS / "00_start_here" / "answers.txt"
    stray.write_text("left behind")
    try:
        assert stale() == [stray]
    finally:
        stray.unlink()


def answer_lines() -> set[str]:
    """Every line that an answer is made of: the solution regions, and the references' bodies."""
    found = set()
    for lesson in LESSONS:
        for cell in read_source(lesson):
            if cell.kind == "exercise":
                inside = cell.source.split(BEGIN)[1].split(END)[0]
                found |= {line.strip() for line in inside.splitlines()}
            elif cell.kind == "quiz":
                found.add(cell.source.strip())
    for path in (ROOT / "helpers" / "reference").glob("*.py"):
        lines = (line.strip() for line in path.read_text("utf-8").splitlines())
        found |= {line for line in lines if line.startswith("return ") and line != "return None"}
    return {line for line in found if not re.fullmatch(NOBODYS, line) and line not in IDIOMS}


def test_no_line_of_an_answer_is_in_what_students_get(bundle):
    answers = answer_lines()
    assert len(answers) > 20
    for name, data in files(bundle).items():
        if name.endswith((".safetensors", ".gz")):
            continue
        lines = {
            line.strip().strip('",').removesuffix("\\n")
            for line in data.decode("utf-8").splitlines()
        }
        assert not answers & lines, name
        assert "BEGIN SOLUTION" not in data.decode("utf-8") or not name.endswith(".ipynb")
        assert "BEGIN HIDDEN" not in data.decode("utf-8"), name


def test_the_bundles_data_holds_no_code_and_no_quizs_answer():
    for lesson in LESSONS:
        for exercise in unpack((ROOT / f"helpers/data/{lesson}.safetensors").read_bytes()):
            described = exercises(lesson)[exercise["name"]]
            assert exercise["parts"] == dict(described.parts)
            if not callable(described.answer):
                assert exercise["wrong"] == []
                for expected in exercise["expected"]:
                    assert all("$one of" in form for form in expected.values())


def test_the_bundle_holds_no_reference_and_nothing_of_the_grader(bundle):
    names = list(files(bundle))
    assert not [name for name in names if "reference" in name or name.startswith("autograde")]
    assert {"README.md", "LICENSE", "pyproject.toml", "environment.yml"} <= set(names)
    assert len([name for name in names if name.endswith(".ipynb")]) == len(LESSONS)


def test_student_notebooks_have_stubs_and_no_outputs():
    for lesson in LESSONS:
        notebook = nbformat.read(lesson_path(NOTEBOOKS, lesson), as_version=4)
        nbformat.validate(notebook)
        sources = {
            cell.metadata.nbgrader.grade_id: cell.source
            for cell in notebook.cells
            if "nbgrader" in cell.metadata
        }
        for name, exercise in exercises(lesson).items():
            stub = "raise NotImplementedError()" if callable(exercise.answer) else f"{name} = ..."
            assert sources[name].endswith(stub)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        ids = [cell.id for cell in notebook.cells]
        assert ids == [f"{lesson[:2]}-{number:03d}" for number in range(len(ids))]


def test_every_lesson_begins_with_colab_and_ends_with_submit():
    for folder in (NOTEBOOKS, SOLUTIONS):
        for lesson in LESSONS:
            cells = nbformat.read(lesson_path(folder, lesson), as_version=4).cells
            assert "Open in Colab" in cells[0].source
            assert cells[1].source.splitlines()[1].startswith('COURSE = ""')
            assert cells[-1].source.endswith(f'submit("{lesson}")')
            for cell in (cells[1], cells[-1]):
                assert cell.metadata.tags == ["demo"]
                assert "nbgrader" not in cell.metadata


def test_colabs_cell_does_nothing_elsewhere(capsys):
    cell = nbformat.read(lesson_path(NOTEBOOKS, "00_start_here"), as_version=4).cells[1]
    assert len(cell.source.splitlines()) <= 6
    before = set(sys.modules)
    exec(TransformerManager().transform_cell(cell.source), {})  # a shell would be no name here
    assert capsys.readouterr() == ("", "")
    assert not [name for name in set(sys.modules) - before if name.startswith("google")]


@pytest.mark.parametrize(
    ("where", "course", "badge"),
    [
        ("https://github.com/me/course", "https://github.com/me/course/archive/HEAD.zip",
         "/github/me/course/blob/HEAD/notebooks/02_divergence/02_divergence.ipynb)"),
        ("https://github.com/me/course.git/", "https://github.com/me/course/archive/HEAD.zip",
         "/github/me/course/blob/HEAD/notebooks/02_divergence/02_divergence.ipynb)"),
        ("https://github.com/me/course/tree/autumn/26",
         "https://github.com/me/course/archive/autumn/26.zip",
         "/github/me/course/blob/autumn/26/notebooks/02_divergence/02_divergence.ipynb)"),
        ("https://my.org/b.zip?download=1", "https://my.org/b.zip?download=1", "google.com/)"),
        ("/content/drive/My Drive/b.zip", "/content/drive/My Drive/b.zip", "google.com/)"),
        ("/odd/'name'.zip", "/odd/'name'.zip", "google.com/)"),
    ],
)  # fmt: skip
def test_a_release_for_colab_knows_where_it_lies(tmp_path, where, course, badge):
    made = release(tmp_path / "bundle", where)
    notebook = nbformat.read(lesson_path(made / "notebooks", "02_divergence"), as_version=4)
    assert badge in notebook.cells[0].source
    line = next(line for line in notebook.cells[1].source.splitlines() if line[:6] == "COURSE")
    assert ast.literal_eval(ast.parse(line).body[0].value) == course
    ours = nbformat.read(lesson_path(NOTEBOOKS, "02_divergence"), as_version=4)
    assert notebook.cells[2:] == ours.cells[2:]


@pytest.mark.parametrize(
    "where",
    ["here", "https://github.com/me", "b.zip\nimport os", "a.tar", '".zip', "$HOME.zip", "b.zip?`"],
)
def test_what_is_no_place_for_a_bundle_is_refused(tmp_path, where):
    with pytest.raises(UsageError, match="OWNER/NAME"):
        release(tmp_path / "bundle", where)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('# %% check="log_ratio" points=4', '# %% check="log_ratio" points=3', "points"),
        ('# %% check="log_ratio" points=4', "# %% other", "has no kind"),
        (
            '# %% check="log_ratio" points=4',
            "# %% demo",
            "log_ratio has no check; add the cell # %%",
        ),
        ("def log_ratio(", "def logratio(", "does not define log_ratio"),
        ("    ### END SOLUTION\n", "", "lacks"),
        ('# %% exercise="log_ratio"', "# %% demo", "described are"),
    ],
)
def test_a_source_that_is_wrong_is_named(tmp_path, monkeypatch, old, new, says):
    shutil.copytree(SOLUTIONS, tmp_path / "solutions")
    monkeypatch.setattr(lessons, "SOLUTIONS", tmp_path / "solutions")
    source = lesson_path(tmp_path / "solutions", "00_start_here", ".py")
    text = source.read_text("utf-8")
    assert old in text
    source.write_text(text.replace(old, new), "utf-8")
    with pytest.raises(UsageError, match=says) as caught:
        building.source_notebook("00_start_here")
    assert "00_start_here.py" in str(caught.value)


def test_a_release_goes_into_an_empty_folder_only(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        release(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
