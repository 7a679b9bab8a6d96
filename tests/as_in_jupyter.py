"""Run notebooks' cells as Jupyter does, and say what the visible check finds: for test_agreement.

Standard input is JSON, [{"cells": [source, …], "name": exercise}, …]; for each, a line with the
status is written. A cell that is None stands for the exercise's check.
"""

import builtins
import json
import os
import subprocess
import sys
import types
from typing import TYPE_CHECKING
from unittest.mock import MagicMock

from autograde.course.lessons import ROOT

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def in_jupyter(cases: list[dict]) -> list[str]:
    """The statuses, from a process of its own."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.as_in_jupyter"]
    kept = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        command, cwd=ROOT, env=kept, input=json.dumps(cases), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [line[2:] for line in done.stdout.splitlines() if line.startswith("= ")]


def main() -> None:
    """A process for each notebook, forked from one that has imported what lessons import."""
    import torch

    import helpers.plots.divergence  # noqa: F401 the slowest of a lesson's imports
    from helpers.checking import lesson_exercises

    # The wrappers are torch's own; only no compiler is started, which takes a minute.
    torch.compiler.set_stance("force_eager")
    _shell().enable_matplotlib = lambda *_: (None, "agg")  # no screen: figures are drawn in memory
    lesson_exercises("02_divergence")  # reads what checks know, once for all children
    said = [_said(case) for case in json.load(sys.stdin)]
    sys.stdout.write("".join(f"\n= {status}" for status in said) + "\n")


def _said(case: dict) -> str:
    """What a child says on a pipe of its own: cells may write anywhere else."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, _status(case).encode())
        except BaseException as error:
            os.write(writer, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as stream:
        status = stream.read()
    os.waitpid(child, 0)
    return status or "died"


def _shell() -> "InteractiveShell":
    from IPython.core.history import HistoryManager
    from IPython.core.interactiveshell import InteractiveShell

    HistoryManager.enabled = False
    return InteractiveShell.instance()


def _status(case: dict) -> str:
    from helpers.checking import visible_verdict

    _on_colab()
    shell = _shell()
    shell.builtin_trap.__enter__()
    shell.ask_exit = lambda: None
    sys.stdin = open(os.devnull)  # noqa: SIM115 as long as the process
    builtins.input = lambda *_: "typed"  # a person is there
    status = "not checked"
    for source in case["cells"]:
        if source is not None:
            shell.run_cell(source, store_history=True)
        elif case["name"] in shell.user_ns:
            status = visible_verdict(case["name"], shell.user_ns[case["name"]]).status
    return status


def _on_colab() -> None:
    """Its modules are there, as on Colab, and do nothing."""
    google, colab = types.ModuleType("google"), MagicMock(__path__=[], __name__="google.colab")
    google.__path__, google.colab = [], colab
    colab.files.upload.return_value, colab.userdata.get.return_value = {}, ""
    sys.modules |= {"google": google, "google.colab": colab}
    for name in ("files", "drive", "output", "userdata", "data_table"):
        sys.modules[f"google.colab.{name}"] = getattr(colab, name)


if __name__ == "__main__":
    main()
