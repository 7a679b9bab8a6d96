"""A Containerfile's steps without a container engine: in a folder that becomes the root.

The image that it begins with is made by mmdebstrap from Debian's packages. Only root can do so;
what runs has namespaces of its own, and of this machine the network and what pip is told by the
environment.
"""

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
NEEDS = ("mmdebstrap", "unshare", "setpriv", "chroot")
HERE = "/run/here"  # in it, under their own paths, files and folders that pip is told of
# Moved to where all roots begin: whose root is only changed gets no namespaces of users.
ENTER = """
set -e
root=$1; shift
mount --bind "$root" "$root"
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount --bind -o ro /etc/resolv.conf "$root/etc/resolv.conf"
for path in $SHOWN; do
  there=$root$HERE$path
  mkdir -p "$(dirname "$there")"
  if [ -d "$path" ]; then mkdir -p "$there"; else touch "$there"; fi
  mount --bind -o ro "$path" "$there"
done
cd "$root"
mount --move . /
exec chroot . "$@"
"""
KNOWN = ("FROM", "RUN", "WORKDIR", "COPY", "ARG", "ENV", "USER", "CMD")


def instructions(text: str) -> Iterator[tuple[str, str]]:
    """(instruction, its words) of a Containerfile, in order. Raises ValueError for others."""
    lines = re.sub(r"\\\n", " ", re.sub(r"(?m)^\s*#.*\n?", "", text)).splitlines()
    for line in filter(str.strip, lines):
        name, _, rest = line.partition(" ")
        if name not in KNOWN:
            raise ValueError(f"{name}: no instruction that is known here")
        yield name, rest.strip()


@dataclass
class Image:
    """What becomes of the steps in `root`; `context` is the folder that they copy from.

    given: values of ARG, as an engine takes them by --build-arg.
    """

    root: Path
    context: Path
    given: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "root"
    variables: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)

    def build(self, text: str) -> None:
        """Raises CalledProcessError where a step fails, with what it said."""
        for name, words in instructions(text):
            getattr(self, f"_{name.lower()}")(words)

    def _from(self, words: str) -> None:
        release = re.fullmatch(r"docker\.io/library/debian:(\w+)-slim", words)[1]
        command = ["unshare", "--mount"]  # what it mounts ends with it, whatever becomes of it
        command += ["mmdebstrap", "--quiet", "--variant=minbase", release, self.root, MIRROR]
        subprocess.run([str(word) for word in command], check=True)

    def _run(self, words: str) -> None:
        self.run("sh", "-c", words)

    def _workdir(self, words: str) -> None:
        self.folder = words
        (self.root / words.lstrip("/")).mkdir(parents=True, exist_ok=True)

    def _copy(self, words: str) -> None:
        *sources, target = shlex.split(words)
        place = self.root / self.folder.lstrip("/") / target
        ignore = shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints")
        for source in sources:
            if (self.context / source).is_dir():
                shutil.copytree(self.context / source, place, ignore=ignore)
            else:
                shutil.copy2(self.context / source, place)

    def _arg(self, words: str) -> None:
        name, _, value = words.partition("=")
        self.variables[name] = self.given.get(name, value)

    def _env(self, words: str) -> None:
        self.variables |= dict([words.split("=", 1)])

    def _user(self, words: str) -> None:
        self.user = words

    def _cmd(self, words: str) -> None:
        self.command = json.loads(words)

    def run(self, *words: str) -> str:
        """What a command in it printed, run as whoever is the user by now."""
        home = "/root" if self.user == "root" else f"/home/{self.user}"
        own = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": home} | _reaching()
        own |= self.variables
        become = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        inside = ["env", "-i", "-C", self.folder, *(f"{n}={value}" for n, value in own.items())]
        command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER]
        command += ["sh", str(self.root), *become, *inside, *words]
        done = subprocess.run(
            command, env=os.environ | {"SHOWN": " ".join(_shown()), "HERE": HERE}, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if done.returncode:
            raise subprocess.CalledProcessError(done.returncode, words, done.stdout[-4000:])
        return done.stdout


def _told() -> dict[str, str]:
    """The variables of this machine that say how pip and apt reach what they install."""
    return {n: v for n, v in os.environ.items() if n.startswith("PIP_") or n.endswith("_proxy")}


def _shown() -> list[str]:
    """The paths among them."""
    words = " ".join(_told().values()).split()
    return [word for word in words if word.startswith("/") and os.path.exists(word)]


def _reaching() -> dict[str, str]:
    """The same variables, as they are where HERE is."""
    shown = _shown()
    return {
        name: " ".join(HERE + word if word in shown else word for word in value.split())
        for name, value in _told().items()
    }
