"""Root's way to run a program as a user without rights, who can reach what the program needs.

Of the user who starts a sandbox, student code has the kernel's identity, whatever it is within, and
root's own can do harm even without rights. Run as a script, by an interpreter that imports nothing
else: it becomes the program, so that no process of root's stays between.
"""

import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import confine


def main() -> None:
    """The arguments: JSON with "user", a number, and "folders"; then the program and its own."""
    how = json.loads(sys.argv[1])
    if _may_mount():  # else, as in some containers, it works where every user can read the folders
        _open([Path(folder) for folder in how["folders"]])
    os.setgroups([])
    os.setresgid(*[how["user"]] * 3)
    os.setresuid(*[how["user"]] * 3)
    confine.no_new_privileges()
    confine.die_with_parent()  # a change of user lifts it
    os.execv(sys.argv[2], sys.argv[2:])


def _may_mount() -> bool:
    try:
        confine.own_mounts()
    except OSError:
        return False
    return True


def _open(folders: Iterable[Path]) -> None:
    """Show folders that lie in others' closed ones, such as /root, where they are: for this
    process and what it starts, an empty folder with nothing but them covers the closed one."""
    os.umask(0o022)
    closed = {folder: top for folder in folders if (top := _closed(folder))}
    held = {folder: os.open(folder, os.O_PATH) for folder in closed}
    for top in dict.fromkeys(closed.values()):
        confine.tmpfs(str(top), confine.MS_NOSUID | confine.MS_NODEV, "size=65536,mode=755")
    for folder, number in held.items():
        folder.mkdir(parents=True, exist_ok=True)
        confine.bind(number, str(folder))
        os.close(number)


def _closed(folder: Path) -> Path | None:
    """The outermost folder around this one that others may not enter."""
    around = reversed(folder.parents)
    return next((path for path in around if not path.stat().st_mode & 0o001), None)


if __name__ == "__main__":
    main()
