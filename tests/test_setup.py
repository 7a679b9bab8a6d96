"""What sets this up: the workflow names targets that are there; the lock has what is asked for."""

import re
import tomllib
from pathlib import Path

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
SHA256 = re.compile(r"--hash=sha256:[0-9a-f]{64}( \\)?")


def test_the_workflow_calls_make_targets_that_exist():
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text("utf-8"))
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    called = set(re.findall(r"\bmake ([\w-]+)", "\n".join(step.get("run", "") for step in steps)))
    makefile = (ROOT / "Makefile").read_text("utf-8")
    assert {"test", "demo", "versions", "test-student"} <= called
    assert not {target for target in called if not re.search(rf"(?m)^{target}:", makefile)}
    assert {job["runs-on"] for job in workflow["jobs"].values()} >= {"${{ matrix.os }}"}


def locked() -> dict[str, set[str]]:
    """Versions by package. Raises AssertionError for a line that is neither pin nor hash."""
    found: dict[str, set[str]] = {}
    hashes = 0
    for line in (ROOT / "requirements.lock").read_text("utf-8").splitlines()[2:]:
        if line.startswith(" "):
            assert SHA256.fullmatch(line.strip()), line
            hashes += 1
        else:
            # Which build of torch a machine takes is its own affair, see `make lock`.
            assert hashes or list(found)[-1:] in ([], ["torch"]), f"no hash before {line}"
            pin, hashes = Requirement(line.rstrip(" \\")), 0
            found.setdefault(canonicalize_name(pin.name), set()).add(str(pin.specifier)[2:])
    return found


def test_all_that_is_asked_for_is_locked_with_hashes():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    asked = [*project["project"]["dependencies"], *project["dependency-groups"]["setup"]]
    for extra in project["project"]["optional-dependencies"].values():
        asked += extra
    pins = locked()
    for need in map(Requirement, asked):
        versions = pins[canonicalize_name(need.name)]
        assert all(need.specifier.contains(version) for version in versions), need
