"""What the claimed versions are worth: `make versions`, about 10 minutes.

The lowest versions that pyproject.toml allows a student, and the newest, must resolve from wheels
alone for each Python on each system. Then the lowest are installed, in an environment of their own,
and the tests of `helpers` are run on them: with the torch that TORCH says.
"""

import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12", "3.13")
SYSTEMS = ("x86_64-manylinux_2_28", "aarch64-apple-darwin", "x86_64-pc-windows-msvc")
RESOLUTIONS = ("lowest-direct", "highest")
TESTS = ("check", "compare", "probe", "relations", "reference", "plots", "codec", "clean")
TORCH = os.environ.get("TORCH") or "2.13.0"  # the lock's


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def needs() -> list[str]:
    """What a student installs."""
    return project()["dependencies"] + project()["optional-dependencies"]["lab"]


def resolved(lines: list[str], resolution: str, python: str, system: str) -> list[str]:
    """The versions that would be installed there, all from wheels. Raises SystemExit, with the
    resolver's words, where there are none."""
    command = ["uv", "pip", "compile", "--quiet", "--no-header", "--no-annotate", "-"]
    command += ["--resolution", resolution, "--only-binary", ":all:"]
    command += ["--python-version", python, "--python-platform", system]
    done = subprocess.run(command, input="\n".join(lines), capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{resolution}, Python {python}, {system}: {done.stderr}")
    return done.stdout.split("\n")[:-1]


def resolve_all() -> None:
    names = [line.partition(">")[0] for line in needs()]
    for python in PYTHONS:
        for resolution in RESOLUTIONS:
            for system in SYSTEMS:
                pins = resolved(needs(), resolution, python, system)
                told = [pin for pin in pins if pin.partition("==")[0] in names]
                print(f"Python {python}, {system}, {resolution}: {', '.join(told)}", flush=True)


def run_on_lowest(folder: Path) -> None:
    """The tests of `helpers`, on the lowest versions of all but torch."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    direct = {line.partition(">")[0] for line in project()["dependencies"]}
    direct -= set() if TORCH == "lowest" else {"torch"}
    pins = resolved(needs(), "lowest-direct", here, _system())
    lowest = [pin for pin in pins if pin.partition("==")[0] in direct]
    lowest += [] if TORCH in ("lowest", "newest") else [f"torch=={TORCH}"]
    (folder / "lowest.txt").write_text("\n".join(lowest))
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    python = folder / "venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "-c", folder / "lowest.txt"]
    subprocess.run([*install, f"{ROOT}[instructor]", "pytest"], check=True)
    subprocess.run([python, "-m", "pip", "check"], check=True)
    tests = [ROOT / "tests" / "helpers" / f"test_{name}.py" for name in TESTS]
    subprocess.run([python, "-P", "-m", "pytest", "-p", "no:cacheprovider", *tests], check=True)


def _system() -> str:
    return {"linux": SYSTEMS[0], "darwin": SYSTEMS[1]}.get(sys.platform, SYSTEMS[2])


if __name__ == "__main__":
    resolve_all()
    with tempfile.TemporaryDirectory() as scratch:
        run_on_lowest(Path(scratch))
