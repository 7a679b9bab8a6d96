"""An autograder for Gradescope: a zip for one lesson, and what runs in it there.

Gradescope unpacks the zip into /autograder/source, runs setup.sh once, and run_autograder for each
submission, both as root (https://gradescope-autograders.readthedocs.io/en/latest/specs/). Student
code is run under bubblewrap where the host lets it. Docker mostly does not: there it runs as a
user without rights, who can read neither the answers nor the results, with the same filter on
system calls: no network, no new processes.
"""

import io
import json
import sys
import tomllib
import traceback
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.report import Report

from .errors import UsageError
from .exercises import exercises
from .files import require_target, write_whole
from .grading import grade_file, how_of, lesson_in
from .judging import Graded
from .lessons import ROOT, known_lesson
from .saying import say
from .term import checkout_base
from .working import sandbox_of

FOLDERS = ("autograde", "helpers", "notebooks", "solutions")
FILES = ("pyproject.toml", "requirements.lock", "LICENSE")
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}
# Of what an instructor installs, what grading imports.
GRADERS_OWN = ("jupytext", "pyseccomp", "sqlalchemy", "markdown-it", "mdit-py", "bleach")
EPOCH = (1980, 1, 1, 0, 0, 0)  # so that two zips of one version are the same bytes

SETUP = """#!/usr/bin/env bash
# Run once by Gradescope, as root, when the autograder is built.
set -euo pipefail
root="${AUTOGRADER_ROOT:-/autograder}"
chmod -R go= "$root/source"  # the answers are in it
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y bubblewrap libseccomp2
for python in python3.13 python3.12 python3.11; do
  if apt-get install -y "$python" "$python-venv"; then break; fi
done
"$python" -m venv /opt/course
/opt/course/bin/pip install -c "$root/source/course/requirements.lock" \\
  -r "$root/source/requirements.txt"
"""
RUN = """#!/usr/bin/env bash
# Run by Gradescope, as root, for each submission.
root="${{AUTOGRADER_ROOT:-/autograder}}"
results="$root/results/results.json"
export PYTHONPATH="$root/source/course" PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
"${{AUTOGRADER_PYTHON:-/opt/course/bin/python}}" -m autograde.gradescope "$root" {lesson} {mode}
code=$?
if [ ! -s "$results" ]; then
  says="The autograder could not start. Tell your instructor."
  printf '{{"score": 0, "output": "%s"}}\n' "$says" >"$results"
fi
exit "$code"
"""


def gradescope(lesson: str, target: Path, mode: str = "fork") -> Path:
    """Write the zip to upload as a lesson's autograder; whole or not at all.

    mode: "none" runs student code there with all the rights of root; any other never does.
    Raises UsageError for a lesson that is not there, and when it cannot be written.
    """
    lesson = known_lesson(lesson)
    require_target(target, ".zip")
    checkout_base(lesson)  # says when the notebooks are not built
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        _add(archive, "setup.sh", SETUP.encode(), 0o755)
        _add(archive, "run_autograder", RUN.format(lesson=lesson, mode=mode).encode(), 0o755)
        _add(archive, "requirements.txt", "\n".join([*_requirements(), ""]).encode())
        for path in _course():
            _add(archive, f"course/{path.relative_to(ROOT)}", path.read_bytes())
    return write_whole(target, packed.getvalue())


def _add(archive: zipfile.ZipFile, name: str, data: bytes, mode: int = 0o644) -> None:
    entry = zipfile.ZipInfo(name, EPOCH)
    entry.external_attr = mode << 16
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, data)


def _course() -> Iterator[Path]:
    """The files of the course that grading needs: run from there, and never installed, as what is
    installed can be read by every user."""
    yield from (ROOT / name for name in FILES)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and not LEFT_OUT & set(path.parts):
                yield path


def _requirements() -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    own = project["optional-dependencies"]["instructor"]
    return project["dependencies"] + [line for line in own if line.startswith(GRADERS_OWN)]


def main(arguments: list[str]) -> int:
    """Grade what is in ROOT/submission and write ROOT/results/results.json.

    arguments: ROOT, lesson, mode. 0, or 1 when it is the autograder that does not work.
    """
    root, lesson, mode = Path(arguments[0]).resolve(), *arguments[1:]
    for folder in ("source", "results"):
        (root / folder).chmod(0o700)  # root's alone: student code is another user's
    try:
        code, found = 0, results(root, lesson, mode)
    except Exception as error:  # for the instructor: students do not see what is printed
        say(error if isinstance(error, UsageError) else traceback.format_exc(), lines=True)
        says = "The autograder failed, which is not your work's fault. Tell your instructor."
        code, found = 1, _nothing(lesson, says)
    write_whole(root / "results" / "results.json", json.dumps(found, indent=1).encode())
    return code


def results(root: Path, lesson: str, mode: str) -> dict[str, Any]:
    """What Gradescope shows of a submission. Raises UsageError when nothing can run here."""
    _compare_points(root, lesson)
    try:
        path = _notebook(root / "submission", lesson)
    except UsageError as error:
        return _nothing(lesson, str(error).replace(f"{root / 'submission'}/", ""))
    return _shown(grade_file(path, _mode(lesson, mode)))


def _notebook(submission: Path, lesson: str) -> Path:
    """The one notebook that was handed in. Raises UsageError: what is wrong with it."""
    found = [
        path.relative_to(submission)
        for path in sorted(submission.rglob("*.ipynb"))
        if not path.is_symlink() and not {"__MACOSX", *LEFT_OUT} & set(path.parts)
    ]
    if len(found) != 1:
        names = ", ".join(map(str, found[:5]))
        many = f"{len(found)} notebooks were handed in ({names})" if found else "no notebook came"
        raise UsageError(f"{many}: hand in one file, {lesson}.ipynb, saved")
    path = submission / found[0]
    recognised = lesson_in(path)
    if recognised != lesson:
        raise UsageError(f"{path}: is {recognised}: hand in {lesson}.ipynb here")
    return path


def _mode(lesson: str, asked: str) -> str:
    """How to run student code on this host: without a sandbox only where that was asked for."""
    if asked == "none":
        return asked
    try:
        sandbox_of(how_of([lesson], asked))
    except UsageError as refused:
        say(f"bubblewrap does not work here ({refused}): a user without rights is used instead")
        return "user"
    return asked


def _shown(graded: Graded) -> dict[str, Any]:
    plain = graded.plain()
    say(f"{plain['score']} of {plain['max_score']} points; sandbox: {graded.sandbox}")
    says = []
    if graded.sandbox == "none":
        says.append("This was graded without a sandbox.")
    if essays := _essays(graded.lesson):
        says.append(f"Essays are graded by hand: {essays} points more.")
    tests = [
        _test(name, verdict.points, verdict.max_points, repr(Report(verdict, hidden=True)))
        for name, verdict in graded.verdicts.items()
    ]
    return {"score": plain["score"], "output": " ".join(says), "tests": tests}


def _nothing(lesson: str, says: str) -> dict[str, Any]:
    most = sum(exercise.points for exercise in exercises(lesson).values())
    return {"score": 0, "output": says, "tests": [_test("your notebook", 0, most, says)]}


def _test(name: str, score: float, most: float, says: str) -> dict[str, Any]:
    says = says.encode("utf-8", "replace").decode()  # may hold halves of characters
    shown = {"output": says, "output_format": "text", "visibility": "visible"}
    return {"name": name, "score": score, "max_score": most, **shown}


def _essays(lesson: str) -> int:
    marks = (cell.metadata.get("nbgrader", {}) for cell in checkout_base(lesson).cells)
    return sum(mark["points"] for mark in marks if mark.get("grade") and mark.get("solution"))


def _compare_points(root: Path, lesson: str) -> None:
    """Tell the instructor when Gradescope's assignment is worth something else."""
    try:
        told = json.loads((root / "submission_metadata.json").read_text("utf-8"))
        there = float(told["assignment"]["total_points"])
    except (OSError, ValueError, KeyError, TypeError):
        return
    here = sum(exercise.points for exercise in exercises(lesson).values())
    if there != here:
        say(f"the assignment is worth {there:g} points here, what runs gives {here} at most")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
