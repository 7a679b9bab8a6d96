"""A machine as Gradescope's, for tests: its folders, and a container in which bubblewrap fails."""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat

from tests.as_user import MOUNTED, SEEN_BY_ALL

LESSON = "02_divergence"
THERE = "/srv"  # where /autograder lies in the stand-in for its container
# A root of its own, as a container has: the system's folders, Python's, and $1 as /autograder; the
# host's processes and whatever else lies on it are not there. All is gone with the mounts.
CONTAINED = f"""
set -e
mount --bind "$1" {THERE}
mount -t tmpfs -o mode=755 none /tmp
for one in bin sbin lib lib64 usr etc dev opt mnt srv {Path(sys.base_prefix).parts[1]}; do
  if [ -L "/$one" ]; then cp -P "/$one" "/tmp/$one"
  elif [ -d "/$one" ] && [ ! -e "/tmp/$one" ]; then
    mkdir "/tmp/$one"
    mount --rbind "/$one" "/tmp/$one"
  fi
done
mount -t tmpfs -o mode=1777 none /tmp/dev/shm
mkdir -m 1777 /tmp/tmp
mkdir /tmp/proc
mount -t proc none /tmp/proc
shift
exec chroot /tmp sh -c 'cd {THERE}; exec "$@"' - "$@"
"""


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
        programs, keep = self.root / "bin", scratch / "keep"
        keep.mkdir(exist_ok=True)
        if not programs.exists():
            programs.mkdir()
            for name in ("bash", "setpriv", "env", "test"):  # all but bubblewrap
                (programs / name).symlink_to(shutil.which(name))
        before = ["unshare", "-m", "-p", "--fork", "--mount-proc"]
        before += ["sh", "-c", SEEN_BY_ALL, str(keep), "sh", "-c", CONTAINED, "-", str(self.root)]
        return self.run(
            *before, "env", f"PATH={THERE}/bin",
            AUTOGRADER_ROOT=THERE, AUTOGRADER_PYTHON=f"{MOUNTED}/bin/python",
        )  # fmt: skip

    def run(self, *before, **variables):
        """(exit code, what was printed, what is shown)"""
        environment = {"AUTOGRADER_ROOT": str(self.root), "AUTOGRADER_PYTHON": sys.executable}
        environment |= variables
        start = f"{environment['AUTOGRADER_ROOT']}/source/run_autograder"
        done = subprocess.run(
            [*before, "bash", start], cwd=self.root,
            env=os.environ | environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr, self.shown()

    def shown(self):
        return json.loads((self.root / "results" / "results.json").read_text("utf-8"))


def open_up(folder):
    """Let every user into a folder of the tests' own, and into those that it is in."""
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.geteuid() and re.search("pytest|hostile-", str(one)):
            one.chmod(one.stat().st_mode | 0o055)
