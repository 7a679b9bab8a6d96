"""Each attack graded as by Gradescope in a container: by a user without rights, with no bubblewrap.

Limits are those of a real run.
"""

import resource
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from autograde.returning.gradescope import gradescope
from tests.as_user import can_mount
from tests.gradescope_host import Host, open_up
from tests.hostile.entry import LESSON, Hostile, Seen
from tests.hostile.measured import Measured


def measured(attacks: Sequence[Hostile], folder: Path) -> Iterator[tuple[Hostile, Seen, Measured]]:
    """One after the other. Raises RuntimeError where this machine cannot stand in for theirs."""
    if not can_mount():
        raise RuntimeError("as Gradescope does needs root, setpriv and mounts")
    packed = gradescope(LESSON, folder / "autograder.zip")
    for number, one in enumerate(attacks):
        host = Host(folder / f"host-{number}", packed)
        one.make(host.root / "submission" / f"{LESSON}.ipynb")
        open_up(host.root)
        started = time.monotonic()
        code, said, shown = host.run_as_in_docker(folder)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
        yield one, _seen(shown), Measured(code, peak, time.monotonic() - started, said)


def _seen(shown: dict) -> Seen:
    tests = {test["name"]: test for test in shown["tests"]}
    if set(tests) == {"your notebook"}:
        return Seen(None, failed=shown["output"])
    said = {name: test["output"] for name, test in tests.items()}
    return Seen({name: test["score"] for name, test in tests.items()}, said)
