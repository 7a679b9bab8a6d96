"""Programs run by another user than root, to whom this environment may be closed.

python -P -m tests.as_user 4242 MODULE WORDS...
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MOUNTED = "/mnt"  # where the environment lies for every user to read, in a namespace of mounts
# Where Python lies is private to root on some machines, which is not so on Gradescope.
SEEN_BY_ALL = f"""
mount --bind {sys.prefix} {MOUNTED}
top=/$(echo {sys.base_prefix} | cut -d / -f 2)
if [ "$top" != /usr ] && [ "$top" != /opt ]; then
  mount --bind {sys.base_prefix} "$0"
  mount -t tmpfs -o mode=755 none "$top"
  mkdir -p {sys.base_prefix}
  mount --bind "$0" {sys.base_prefix}
fi
exec "$@"
"""


def can_mount():
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "setpriv"))):
        return False
    command = ["unshare", "-m", "mount", "--bind", sys.prefix, MOUNTED]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def become(user: int, *words: str) -> None:
    """Turn into a module of this environment, run by that user. words: its name, and arguments."""
    keep = tempfile.mkdtemp(prefix="hostile-")
    os.chmod(keep, 0o755)
    variables = {"PATH": f"{MOUNTED}/bin:/usr/bin:/bin", "HOME": "/tmp", "OMP_NUM_THREADS": "1"}
    command = ["unshare", "-m", "sh", "-c", SEEN_BY_ALL, keep]
    command += ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    command += ["env", "-i", "-C", str(ROOT), *(f"{n}={value}" for n, value in variables.items())]
    os.execvp("unshare", [*command, f"{MOUNTED}/bin/python", "-B", "-P", "-m", *words])


if __name__ == "__main__":
    become(int(sys.argv[1]), *sys.argv[2:])
