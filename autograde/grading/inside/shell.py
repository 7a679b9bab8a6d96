"""The shell that cells run in: as a notebook's, but for what would leave the sandbox.

What asks for another program, a screen, or a person does nothing and says so: in a notebook, no
such line keeps the rest of its cell from running.
"""

import builtins
import getpass
import os
import re
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from IPython.core.history import HistoryManager
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.pylabtools import import_pylab
from IPython.utils.text import LSString, SList

# Magics that run Python here; the rest of IPython's own do nothing.
LINE_MAGICS = {"time", "timeit", "prun", "env", "set_env", "run"}
CELL_MAGICS = {"time", "timeit", "prun", "capture", "writefile", "file"}
MAY_FAIL = {"env", "set_env", "run", "writefile", "file"}  # what they need may not be here
LONGEST = 100  # characters of a line that is said not to be run
COLAB = "google.colab"
_REPEATS = re.compile(r"(^|\s)-[nr]\s*\d+(?=\s|$)")


def make_shell() -> InteractiveShell:
    """The one shell of this process: made by the warm parent, so that no child has to."""
    HistoryManager.enabled = False  # it would open a database and start a thread
    os.environ["TORCHDYNAMO_DISABLE"] = "1"  # torch.compile gives back what it was given
    shell = NotebookShell.instance()
    shell.user_ns["__name__"] = "__main__"
    if not any(isinstance(finder, ColabFinder) for finder in sys.meta_path):
        sys.meta_path.append(ColabFinder())  # the last: a real one goes before it
    builtins.input = getpass.getpass = _nobody_types
    return shell


def skipped(what: str) -> None:
    """Say that something was not run."""
    (first, *_) = [*what.strip().splitlines(), ""]
    print(f"(grading does not run: {first[:LONGEST]})")


def _nobody_types(prompt: object = "", *_: object, **__: object) -> str:
    skipped(f"input({prompt!r})")
    return ""


class NotebookShell(InteractiveShell):
    """IPython's shell without a terminal, a screen, or other programs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.raised: BaseException | None = None  # what a magic caught, and showed
        self._own = {kind: set(known) for kind, known in self.magics_manager.magics.items()}
        # For good, and not only while a cell runs: its functions are called later.
        self.builtin_trap.__enter__()

    def system(self, cmd: str) -> None:
        """Run no program. `!cmd` comes here."""
        skipped(f"!{cmd}")
        self.user_ns["_exit_code"] = 0

    system_raw = system_piped = system

    def getoutput(self, cmd: str, split: bool = True, depth: int = 0) -> SList | LSString:
        """The output of a program that is not run. `x = !cmd` comes here."""
        skipped(f"!{cmd}")
        return SList() if split else LSString()

    def run_line_magic(self, magic_name: str, line: str, _stack_depth: int = 1) -> Any:
        """Run %name where that is harmless, else say that it was not run."""
        if magic_name == "pylab":
            return import_pylab(self.user_ns, import_all=True)
        if not self._runs("line", magic_name, LINE_MAGICS):
            return skipped(f"%{magic_name} {line}")
        try:
            return super().run_line_magic(magic_name, _once(magic_name, line), _stack_depth + 1)
        except Exception:
            if magic_name not in MAY_FAIL:
                raise
            return skipped(f"%{magic_name} {line}")

    def run_cell_magic(self, magic_name: str, line: str, cell: str) -> Any:
        """Run %%name where that is harmless, else say that it was not run."""
        if not self._runs("cell", magic_name, CELL_MAGICS):
            return skipped(f"%%{magic_name} {line}")
        try:
            return super().run_cell_magic(magic_name, _once(magic_name, line), cell)
        except Exception:
            if magic_name not in MAY_FAIL:
                raise
            return skipped(f"%%{magic_name} {line}")

    def _runs(self, kind: str, name: str, allowed: set[str]) -> bool:
        """Whether the magic is run: one of those allowed, or one that the student made."""
        return name in allowed or name in self.magics_manager.magics[kind].keys() - self._own[kind]

    def enable_gui(self, gui: str | None = None) -> None:
        """There is no screen."""

    def enable_matplotlib(self, gui: str | None = None) -> tuple[None, str]:
        """Figures are drawn in memory, as MPLBACKEND says."""
        return None, "agg"

    def showtraceback(self, *_: Any, **__: Any) -> None:
        """Keep what was raised: nobody looks at what a magic shows."""
        self.raised = sys.exc_info()[1]


def _once(magic: str, line: str) -> str:
    """%timeit's words, so that it runs its statement once: nobody reads here how long it takes."""
    return "-n1 -r1 " + _REPEATS.sub(" ", line).strip() if magic == "timeit" else line


class ColabFinder:
    """Finds `google.colab` where there is none: modules whose functions do nothing."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: object = None) -> Any:
        """For the import system."""
        public = all(not part.startswith("_") for part in name.split("."))
        if name == "google" or (public and f"{name}.".startswith(f"{COLAB}.")):
            return ModuleSpec(name, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """For the import system."""
        return StandIn(spec.name) if spec.name != "google" else ModuleType(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """For the import system."""


class StandIn(ModuleType):
    """A module, and all that is in it: called, it says so and gives what keeps a cell going."""

    def __getattr__(self, name: str) -> "StandIn":
        if name.startswith("_"):  # what Colab itself uses: by it, others can tell
            raise AttributeError(name)
        return StandIn(f"{self.__name__}.{name}")

    def __call__(self, *_: Any, **__: Any) -> Any:
        name = self.__name__.removeprefix(f"{COLAB}.")
        skipped(f"{name}(…)")
        return {"files.upload": {}, "userdata.get": ""}.get(name)
