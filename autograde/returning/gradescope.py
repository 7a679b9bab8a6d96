"""An autograder for Gradescope: a zip for one lesson, and what runs in it there.

Gradescope unpacks the zip into /autograder/source, runs setup.sh once, and run_autograder for each
submission, both as root (https://gradescope-autograders.readthedocs.io/en/latest/specs/). Student
code is run under bubblewrap where the host lets it. Docker mostly does not: there it runs as a
user without rights, to whom all of /autograder is closed, with the same filter on system calls: no
network, no new processes. Hidden cases hang on a secret that each zip holds, and on a nonce of each
try: no try tells the answers of another.
"""

import io
import json
import os
import secrets
import sys
import tomllib
import traceback
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from helpers.clean import clean_tree
from helpers.report import Report

from ..common.errors import UsageError
from ..common.files import require_target, write_whole
from ..common.root import AS_ROOT
from ..common.saying import said, say
from ..course.exercises import exercises
from ..course.lessons import ROOT, checkout_base, known_lesson
from ..grading.from_file import lesson_in, read_and_rebuild
from ..grading.program import how_of
from ..grading.single import grade_rebuilt
from ..grading.working import sandbox_of
from ..term.verdict import Graded

FOLDERS = ("autograde", "helpers", "notebooks", "solutions")
FILES = ("pyproject.toml", "requirements.lock", "LICENSE")
LEFT_OUT = {"__pycache__", ".ipynb_checkpoints"}
# Of what an instructor installs, what grading imports.
GRADERS_OWN = ("jupytext", "pyseccomp", "sqlalchemy", "markdown-it", "mdit-py", "nh3")
EPOCH = (1980, 1, 1, 0, 0, 0)  # so that two zips of one version differ in their secrets alone
SECRET = "secret"  # the name of the file that holds it
SECRET_BYTES = 32
MOST_ENTRIES = 10_000  # files and folders of a submission that are looked at
STOPPED = "The autograder did not come to its end. Hand in again, and tell your instructor."

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
sed -n '/^pip==/,/[^\\\\]$/p' "$root/source/course/requirements.lock" >/opt/course/pip.txt
/opt/course/bin/pip install --require-hashes -r /opt/course/pip.txt  # takes hashes from constraints
/opt/course/bin/pip install -c "$root/source/course/requirements.lock" \\
  -r "$root/source/requirements.txt"
"""
RUN = """#!/usr/bin/env bash
# Run by Gradescope, as root, for each submission.
umask 077
root="${{AUTOGRADER_ROOT:-/autograder}}"
# What is shown where this does not start, or is stopped, by whatever; else it is written over.
printf '{{"score": 0, "output": "%s"}}\n' "{stopped}" >"$root/results/results.json"
export PYTHONPATH="$root/source/course" PYTHONDONTWRITEBYTECODE=1 OMP_NUM_THREADS=1
export AUTOGRADE_AS_ROOT=1  # which is who Gradescope runs this as
exec "${{AUTOGRADER_PYTHON:-/opt/course/bin/python}}" -P -m autograde.returning.gradescope \\
  "$root" {lesson} {mode}
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
        run = RUN.format(lesson=lesson, mode=mode, stopped=STOPPED)
        _add(archive, "run_autograder", run.encode(), 0o755)
        _add(archive, SECRET, secrets.token_bytes(SECRET_BYTES), 0o600)
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
    os.environ[AS_ROOT] = "1"  # there is no other user, and the container is thrown away
    try:
        _close(root)
        code, found = 0, results(root, lesson, mode)
    except Exception as error:  # for the instructor: students do not see what is printed
        say(error if isinstance(error, UsageError) else traceback.format_exc(), lines=True)
        says = "The autograder failed, which is not your work's fault. Tell your instructor."
        code, found = 1, _nothing(lesson, says)
    text = json.dumps(clean_tree(found), indent=1, allow_nan=False)
    write_whole(root / "results" / "results.json", text.encode())
    return code


def _close(root: Path) -> None:
    """Leave nothing in there, what is known of the student included, to any user but this one.

    Raises UsageError where the host does not let it.
    """
    for path in (root / "source", root / "results", root):
        try:
            path.chmod(0o700)
        except OSError as error:
            raise UsageError(f"{path}: cannot be closed to students ({error.strerror})") from None
        if path.stat().st_mode & 0o077:
            raise UsageError(f"{path}: stays open to students: this file system keeps no modes")


def results(root: Path, lesson: str, mode: str) -> dict[str, Any]:
    """What Gradescope shows of a submission. Raises UsageError when nothing can run here."""
    _compare_points(root, lesson)
    try:
        _, rebuilt = read_and_rebuild(_notebook(root / "submission", lesson))
    except UsageError as error:
        return _nothing(lesson, str(error).replace(f"{root / 'submission'}/", ""))
    secret = _secret(root) + secrets.token_bytes(SECRET_BYTES)
    return _shown(grade_rebuilt(lesson, rebuilt, _mode(lesson, mode), secret))


def _secret(root: Path) -> bytes:
    """What was drawn when the zip was made. Raises UsageError where it is not there."""
    path = root / "source" / SECRET
    try:
        found = path.read_bytes()
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read ({error.strerror}); upload the zip anew"
        ) from None
    if len(found) != SECRET_BYTES:
        raise UsageError(f"{path}: not {SECRET_BYTES} bytes long; upload the zip anew")
    return found


def _notebook(submission: Path, lesson: str) -> Path:
    """The one notebook that was handed in. Raises UsageError: what is wrong with it."""
    found = sorted(_notebooks(submission))
    if len(found) != 1:
        names = ", ".join(said(path.relative_to(submission)) for path in found[:5])
        many = f"{len(found)} notebooks were handed in ({names})" if found else "no notebook came"
        raise UsageError(f"{many}: hand in one file, {lesson}.ipynb, saved")
    path = found[0]
    recognised = lesson_in(path)
    if recognised != lesson:
        raise UsageError(f"{path}: is {recognised}: hand in {lesson}.ipynb here")
    return path


def _notebooks(submission: Path) -> Iterator[Path]:
    """The notebooks in there: plain files, as links lead elsewhere and pipes have no end.

    Raises UsageError where there are too many files to look at.
    """
    folders, seen = [submission], 0
    while folders:
        for entry in _entries(folders.pop()):
            seen += 1
            if seen > MOST_ENTRIES:
                raise UsageError(f"more than {MOST_ENTRIES} files came: hand in one notebook")
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in {"__MACOSX", *LEFT_OUT}:
                    folders.append(Path(entry.path))
            elif entry.name.endswith(".ipynb") and entry.is_file(follow_symlinks=False):
                yield Path(entry.path)


def _entries(folder: Path) -> Iterator[os.DirEntry[str]]:
    """What is in a folder; nothing where its path is longer than the system's paths may be."""
    with suppress(OSError), os.scandir(folder) as entries:
        yield from entries


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
