"""A machine as Gradescope's, for tests: its folders, and a container in which bubblewrap fails."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile

import nbformat

from tests.as_user import MOUNTED, SEEN_BY_ALL

LESSON = "02_divergence"


class Host:
    """/autograder as Gradescope lays it out, in a folder of the test's own."""

    def __init__(self, root, packed):
        self.root = root
        for folder in ("source", "submission", "results"):
            (root / folder).mkdir(parents=True)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(root / "source")
        metadata = {"assignment": {"total_points": "20.0"}, "users": [{"email": "ana@x.org"}]}
        (root / "submission_metadata.json").write_text(json.dumps(metadata))

    def hand_in(self, notebook, name=f"{LESSON}.ipynb"):
        path = self.root / "submission" / name
        path.parent.mkdir(exist_ok=True)
        text = notebook if isinstance(notebook, str) else nbformat.writes(notebook)
        path.write_text(text, encoding="utf-8")

    def run_as_in_docker(self, scratch):
        """Where bubblewrap does not work; what Python needs is for every user to read, as there.

        scratch: a folder for what that takes.
        """
        programs, keep = scratch / "bin", scratch / "keep"
        if not programs.exists():
            programs.mkdir()
            keep.mkdir()
            for name in ("bash", "setpriv", "env", "test"):  # all but bubblewrap
                (programs / name).symlink_to(shutil.which(name))
        before = ["unshare", "-m", "sh", "-c", SEEN_BY_ALL, str(keep), "env", f"PATH={programs}"]
        return self.run(*before, AUTOGRADER_PYTHON=f"{MOUNTED}/bin/python")

    def run(self, *before, **variables):
        """(exit code, what was printed, what is shown)"""
        environment = {"AUTOGRADER_ROOT": str(self.root), "AUTOGRADER_PYTHON": sys.executable}
        done = subprocess.run(
            [*before, "bash", str(self.root / "source" / "run_autograder")], cwd=self.root,
            env=os.environ | environment | variables, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr, self.shown()

    def shown(self):
        return json.loads((self.root / "results" / "results.json").read_text("utf-8"))


def open_up(folder):
    """Let every user into a folder of the tests' own, and into those that it is in."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and re.search("pytest|hostile-", str(one)):
            one.chmod(one.stat().st_mode | 0o055)
