"""Make the student bundle: the notebooks and `helpers` without the answers.

All at once, or lesson by lesson: `helpers` are whole from the start, as students install them once.
"""

import hashlib
import json
import re
import shutil
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..common.errors import UsageError, shown
from ..common.files import begun_beside, require_place, write_whole
from ..common.saying import warn
from ..course.exercises import LESSONS
from ..course.lesson_frame import address_frame, frame_addresses
from ..course.lessons import NOTEBOOKS, ROOT, SHOWN, known_lesson, lesson_path, write_notebook
from ..course.plan import AS_WRITTEN, Plan, as_planned, exercise_names, parts_worth
from .term import BUNDLE

LISTED = re.compile(r"(?:^- `notebooks/.*`\n)+", re.MULTILINE)  # in a bundle's README
ANSWERS = "reference"  # the folder of helpers that no student gets
PYPROJECT = """[build-system]
requires = ["hatchling>=1.27"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "{version}"
description = "{description}"
requires-python = "{python}"
# A hosted notebook, such as Colab's, has its own of what is in lab, and keeps it as it is.
dependencies = [
{dependencies}
]

[project.optional-dependencies]
lab = [
{lab}
]

[tool.hatch.build.targets.wheel]
packages = ["helpers"]
"""
HOSTED = ("torch", "numpy", "matplotlib", "ipywidgets")  # what every hosted notebook has
ENVIRONMENT = """name: {name}
channels: [conda-forge]
dependencies:
  - python>=3.11
  - pip>=26.2
  - pip:
      - -c requirements.lock
      - .[lab]
"""
README = """# {description}

Install what the notebooks import, in this folder, with Python 3.11 or later:

    python3 -m venv .venv
    .venv/bin/python -m pip install --upgrade pip
    .venv/bin/python -m pip install -c requirements.lock ".[lab]"
    .venv/bin/python -m jupyter lab notebooks

On Windows, in PowerShell or a command prompt:

    py -m venv .venv
    .venv\\Scripts\\python -m pip install --upgrade pip
    .venv\\Scripts\\python -m pip install -c requirements.lock ".[lab]"
    .venv\\Scripts\\python -m jupyter lab notebooks

(With conda: `conda env create -f environment.yml`, then `conda activate {name}` and
`jupyter lab notebooks`. On a Mac older than macOS 14, or with an Intel processor, work on Google
Colab: there is no PyTorch of these versions for it.)

{begin} The
lessons:

{lessons}

Hand in a lesson with its last cell, `submit`: save the notebook, run that cell, and upload the zip
that it writes beside the notebook (`{some}.zip`, say) where your instructor says. The saved
`.ipynb` file does as well.

On Google Colab nothing needs installing: each lesson's first cell does it, and the last cell
downloads the zip. Keep a copy in your Drive (File, Save a copy in Drive), or the work is lost when
the page closes.
"""


@dataclass(frozen=True)
class Terms:
    """What holds for a bundle and for each lesson that is added later. colab: see
    `frame_addresses`. quizzes: "told" where a check is to say whether a question is answered
    rightly, and why not; "kept" where only grading does. solutions: whether `solution` shows the
    course's own answers. points: as `Plan.points`; of a lesson that is in the bundle, those that it
    was written with. helpers: a hash of what students install. term: `Term.identity` of whose it
    is, "" of the whole course's; None in a bundle from before it was kept. lessons: those that the
    term gives."""

    colab: str
    quizzes: str
    solutions: bool
    points: dict[str, float]
    helpers: str = ""
    term: str | None = None
    lessons: list[str] = field(default_factory=list)


def release(
    folder: Path,
    colab: str = "",
    quizzes: str = "",
    solutions: bool = False,
    lessons: Iterable[str] = (),
    plan: Plan | None = None,
    term: str = "",
    told: Callable[[str], None] = warn,
) -> Path:
    """Write the bundle into `folder`, which must be new or empty; whole or not at all. Or add
    lessons to a bundle that is there, in which all else stays as it is.

    colab, quizzes, solutions: see `Terms`; where they are empty, a bundle that is there says them,
    and else "", "kept" and False do. lessons: those of the plan that are given out now; none is
    all. plan: of the term; None is the course's own, in no term. term: its `Term.identity`. told:
    of each lesson that was there before, and of points that have changed since.
    Raises UsageError when the folder holds something else, a bundle of other terms, or one that is
    of another term, of the whole course in a term, or of a term outside one; when the notebooks
    are not built, or when `colab` is no such place.
    """
    in_term, plan = plan is not None, plan or Plan()
    frame_addresses("", colab)  # before anything is written
    folder = folder.resolve()
    require_place(folder)
    wanted = {known_lesson(name, plan.lessons) for name in lessons} or set(plan.lessons)
    before = _terms_of(folder)
    given = {"term": term, "lessons": [*plan.lessons]}
    asked_for = Terms(colab, quizzes, solutions, dict(plan.points), **given)
    terms = _agreed(folder, before, asked_for, in_term)
    _require_notebooks(plan.lessons)
    partial = begun_beside(folder)
    try:
        terms = replace(terms, helpers=_write_helpers(partial, before or terms))
        if before and before.helpers != terms.helpers:
            raise UsageError(
                f"{folder}: its helpers are of another version of the course, and students have "
                "installed those; name a new folder, and have them install its helpers"
            )
        if before and before.points != terms.points:
            shutil.rmtree(partial / "helpers")
            terms = replace(terms, helpers=_write_helpers(partial, terms))
        asked = [name for name in plan.lessons if name in wanted]
        added = [name for name in asked if not _holds(folder, name)]
        for lesson in added:
            _write_lesson(partial, lesson, terms, plan)
        if before is None:
            _write_beside(partial, added)
            _write_terms(partial, terms)
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        else:
            if before != terms:
                _write_points(partial, folder, terms)
            _add(partial, folder, added, plan)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    for place in (folder / "notebooks" / name for name in asked if name not in added):
        told(f"{place}: there before, and left as it is; to have it anew, delete it first")
    for line in _on_points(folder, before, terms, plan.points):
        told(line)
    return folder


def _holds(folder: Path, lesson: str) -> bool:
    return (folder / "notebooks" / lesson).exists()


def _terms_of(folder: Path) -> Terms | None:
    """Of the bundle that is in a folder; None where the folder is new or empty. Raises UsageError
    for anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        terms = Terms(**json.loads((folder / BUNDLE).read_text(encoding="utf-8")))
        ", ".join(terms.lessons)  # or it is no list of names
        return terms
    except (OSError, ValueError, TypeError):
        raise UsageError(
            f"{folder}: not empty; name an empty or a new folder, or a bundle that was made here"
        ) from None


def _agreed(folder: Path, before: Terms | None, asked: Terms, in_term: bool) -> Terms:
    """The terms to write by. Raises UsageError where a bundle that is there has others; but points
    may have changed in the term since, and lessons that are not in the bundle have the new."""
    if before is None:
        return replace(asked, quizzes=asked.quizzes or "kept")
    _require_same_term(folder, before, asked)
    for option, was, now in (
        ("--colab", before.colab, asked.colab),
        ("--quizzes", before.quizzes, asked.quizzes),
        ("--solutions", before.solutions, asked.solutions),
    ):
        if now and now != was:
            before_it, now_it = ("given" if one is True else shown(one or "left out")
                                 for one in (was, now))  # fmt: skip
            raise UsageError(
                f"{folder}: was written with {option} {before_it}, and not {now_it}; omit "
                f"{option}, or name a new folder"
            )
    if before.points != asked.points and not in_term:
        raise UsageError(
            f"{folder}: was written with the points of a term (c.Course.points), and none is named "
            "here; name it with --course DIR, or a new folder"
        )
    there = {name for lesson, names in exercise_names().items() if _holds(folder, lesson)
             for name in names}  # fmt: skip
    kept = {name: points for name, points in before.points.items() if name in there}
    new = {name: points for name, points in asked.points.items() if name not in there}
    lessons = before.lessons if before.term is None else asked.lessons
    return replace(before, points=kept | new, lessons=lessons)


def _require_same_term(folder: Path, before: Terms, asked: Terms) -> None:
    """Raises UsageError for a bundle that is another's than the one that asks, where it says."""
    if before.term in (None, asked.term):
        return
    if not before.term:
        raise UsageError(
            f"{folder}: was made for the whole course, and not for this term; name a new folder, "
            "or go on with it outside of a term's folder, without --course"
        )
    whose = "another term" if asked.term else "a term, and none is named here"
    raise UsageError(
        f"{folder}: was made for {whose} (its lessons: {', '.join(map(shown, before.lessons))}); "
        "name that term with --course DIR, or a new folder"
    )


def _on_points(
    folder: Path, before: Terms | None, terms: Terms, now: Mapping[str, float]
) -> Iterable[str]:
    """What there is to say where the term's points are others than those that were written."""
    if before is None:
        return
    for lesson, names in exercise_names().items():
        if old := _differing(terms.points, now, names):
            yield (
                f"{folder / 'notebooks' / lesson}: says other points than c.Course.points has now "
                f"({', '.join(old)}); to have it anew, delete it first"
            )
    if new := _differing(before.points, terms.points, {*before.points, *terms.points}):
        yield (
            f"{folder / 'helpers'}: changed with c.Course.points ({', '.join(sorted(new))}); who "
            "has installed them before reads the old points in a check, until they do it again"
        )


def _differing(
    some: Mapping[str, float], others: Mapping[str, float], names: Iterable[str]
) -> list[str]:
    return [name for name in names if some.get(name) != others.get(name)]


def _require_notebooks(lessons: Iterable[str]) -> None:
    paths = [lesson_path(NOTEBOOKS, lesson) for lesson in lessons]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise UsageError(f"{missing[0]}: missing; run: autograde build")


def _add(partial: Path, folder: Path, added: list[str], plan: Plan) -> None:
    """Move lessons into a bundle, each whole, and name them in its README where it lists them."""
    (folder / "notebooks").mkdir(exist_ok=True)
    for lesson in added:
        (partial / "notebooks" / lesson).rename(folder / "notebooks" / lesson)
    readme = folder / "README.md"
    if readme.is_file():
        text = readme.read_text(encoding="utf-8")
        there = _named([name for name in plan.lessons if _holds(folder, name)])
        write_whole(readme, LISTED.sub(lambda _: there + "\n", text, count=1).encode("utf-8"))


def _write_terms(folder: Path, terms: Terms) -> None:
    write_whole(
        folder / BUNDLE, json.dumps(asdict(terms), indent=1, sort_keys=True).encode("utf-8")
    )


def _write_points(partial: Path, folder: Path, terms: Terms) -> None:
    """Write into a bundle what its helpers say of points, and then that it is so; a run that is
    stopped between the two does both again."""
    data = Path("helpers", "data")
    for path in (partial / data).glob("*.safetensors"):
        if path.read_bytes() != (folder / data / path.name).read_bytes():
            write_whole(folder / data / path.name, path.read_bytes())
    _write_terms(folder, terms)


def _named(lessons: Iterable[str]) -> str:
    return "\n".join(f"- `notebooks/{name}/{name}.ipynb`" for name in lessons)


def _write_helpers(folder: Path, terms: Terms) -> str:
    """Write `helpers` as students get them, of all lessons, as they are installed once; a hash."""
    ignore = shutil.ignore_patterns(ANSWERS, "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "helpers", folder / "helpers", ignore=ignore)
    data = folder / "helpers" / "data"
    _change_data(data, terms)
    if terms.solutions:
        shutil.copy(SHOWN, data / SHOWN.name)
    found = hashlib.sha256()
    for path in sorted((folder / "helpers").rglob("*")):
        if path.is_file():
            found.update(f"{path.relative_to(folder)}\0".encode())
            found.update(hashlib.sha256(path.read_bytes()).digest())
    return found.hexdigest()


def _write_lesson(folder: Path, lesson: str, terms: Terms, plan: Plan) -> None:
    import nbformat

    target = lesson_path(folder / "notebooks", lesson)
    target.parent.mkdir(parents=True)
    notebook = as_planned(lesson, nbformat.read(lesson_path(NOTEBOOKS, lesson), as_version=4), plan)
    for cell in notebook.cells:
        cell.metadata.pop(AS_WRITTEN, None)  # for grading alone
    address_frame(lesson, notebook, terms.colab)
    write_notebook(target, notebook)


def _write_beside(folder: Path, lessons: list[str]) -> None:
    """What stands beside helpers and notebooks. lessons: those that are in the bundle now."""
    for name in ("LICENSE", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    hosted = [line for line in project["dependencies"] if line.startswith(HOSTED)]
    light = [line for line in project["dependencies"] if line not in hosted]
    words = {
        "name": f"{project['name']}-student",
        "version": project["version"],
        "description": "Stable policy updates: the student bundle",
        "python": project["requires-python"],
        "dependencies": _listed(light),
        "lab": _listed(hosted + project["optional-dependencies"]["lab"]),
        "lessons": _named(lessons),
        "begin": _begin(lessons[0]),
        "some": lessons[-1],
    }
    templates = {"pyproject.toml": PYPROJECT, "environment.yml": ENVIRONMENT, "README.md": README}
    for name, template in templates.items():
        (folder / name).write_text(template.format(**words), encoding="utf-8")


def _begin(lesson: str) -> str:
    """To begin with a lesson; the first of the course shows how everything works."""
    shows = ": it shows how everything works" if lesson == next(iter(LESSONS)) else ""
    return f"Begin with `notebooks/{lesson}/{lesson}.ipynb`{shows}."


def _change_data(data: Path, terms: Terms) -> None:
    """Write the term's points into the bundle's data; take out of it what is said to each answer of
    a question, where it is kept."""
    if terms.quizzes == "told" and not terms.points:
        return
    from helpers.codec import pack, unpack  # they take seconds to import
    from helpers.sealed import TOLD

    for path in data.glob("*.safetensors"):
        exercises = unpack(path.read_bytes())
        for one in exercises:
            if terms.quizzes == "kept":
                one.pop(TOLD, None)
            if one["name"] in terms.points:
                one["parts"] = parts_worth(one["parts"], terms.points[one["name"]])
        path.write_bytes(pack(exercises))


def _listed(lines: list[str]) -> str:
    return "\n".join(f'  "{line}",' for line in lines)
