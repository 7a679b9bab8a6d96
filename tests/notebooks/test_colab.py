"""On Google Colab's packages a lesson's first cell installs the course and changes none of them.

Colab as of August 2026, but for Python and torch, which are this machine's, and for the machine
itself: `google.colab` is a stand-in. `-s` prints the packages before and after.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from zipfile import ZipFile

import nbformat
import pytest
from nbclient import NotebookClient

from autograde.course.as_cells import handed_in
from autograde.course.lesson_frame import address_frame
from autograde.course.lessons import lesson_path
from autograde.course.sample import solutions
from autograde.term.releasing import release
from tests.some import LONG

pytestmark = LONG  # it installs packages; tests/autograde/course/test_build.py reads the cell
LESSON = "03_penalized_objective"  # it has a slider
COLAB = (
    "numpy==2.1.3", "matplotlib==3.10.0", "ipython==7.34.0", "ipykernel==6.17.1",
    "jupyter_client==7.4.9", "traitlets==5.7.1",
)  # fmt: skip
WIDGETS = ("ipywidgets==7.7.1", "ipython_genutils==0.2.0")  # without the servers they ask for
STAND_IN = {
    "__init__.py": "",
    "files.py": "def download(path):\n    print('the browser downloads', path)\n",
    "_message.py": (
        "import json\n\n\n"
        "def blocking_request(kind, request='', timeout_sec=None):\n"
        "    with open('open.ipynb') as file:\n"
        "        return {'ipynb': json.load(file)}\n"
    ),
}


class Colab:
    """An environment like Colab's, and a kernel in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.python = folder, folder / "venv/bin/python"
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        self.pip("install", "--quiet", *COLAB)
        self.pip("install", "--quiet", "--no-deps", *WIDGETS)
        site = next((folder / "venv/lib").glob("python*/site-packages"))
        self._lend_torch(site)
        (site / "google" / "colab").mkdir(parents=True)
        for name, text in STAND_IN.items():
            (site / "google" / "colab" / name).write_text(text)
        spec = folder / "share" / "kernels" / "colab" / "kernel.json"
        spec.parent.mkdir(parents=True)
        command = [str(self.python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        spec.write_text(json.dumps({"argv": command, "display_name": "c", "language": "python"}))

    def _lend_torch(self, site: Path) -> None:
        """torch, which is large, and what it needs: linked, from where pip will not remove it."""
        there, lent = self.packages(), self.folder / "lent"
        lent.mkdir()
        for name in (
            "torch",
            "sympy",
            "mpmath",
            "networkx",
            "filelock",
            "fsspec",
            "typing_extensions",
        ):
            if name not in there:
                found = metadata.distribution(name)
                for top in {path.parts[0] for path in found.files if path.parts[0] != ".."}:
                    if top != "__pycache__":
                        (lent / top).symlink_to(found.locate_file(top))
        (site / "lent.pth").write_text(f"{lent}\n")

    def pip(self, *words: str) -> str:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        command = [self.python, "-m", "pip", "--disable-pip-version-check", *words]
        return subprocess.run(command, check=True, text=True, env=clean, stdout=-1).stdout

    def packages(self) -> dict[str, str]:
        lines = self.pip("list", "--format=freeze").lower().splitlines()
        return dict(line.split("==") for line in lines)

    def run(self, notebook: nbformat.NotebookNode) -> list[str]:
        """What each cell said."""
        work = self.folder / "content"
        work.mkdir(exist_ok=True)
        nbformat.write(notebook, work / "open.ipynb")
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("JUPYTER_PATH", str(self.folder / "share"))
            patch.delenv("PYTHONPATH", raising=False)
            resources = {"metadata": {"path": str(work)}}
            client = NotebookClient(notebook, timeout=240, kernel_name="colab", resources=resources)
            client.execute()
        return [json.dumps(cell.get("outputs", []), ensure_ascii=False) for cell in notebook.cells]


@pytest.fixture(scope="module")
def colab(tmp_path_factory) -> Colab:
    return Colab(tmp_path_factory.mktemp("colab"))


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    """The student bundle, packed; its notebooks know where it lies."""
    folder = tmp_path_factory.mktemp("released")
    made = release(folder / "bundle", str(folder / "bundle.zip"))
    shutil.make_archive(str(made), "zip", folder, "bundle")
    return made


def first_cell(bundle: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(lesson_path(bundle / "notebooks", LESSON), as_version=4)
    notebook.cells = notebook.cells[:2]
    return notebook


def _ask_for_newer(bundle: Path) -> None:
    """Even a bundle that asks for a newer numpy than Colab has leaves Colab's as it is."""
    project = bundle / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace("numpy>=1.26", "numpy>=2.2"), "utf-8")
    shutil.make_archive(str(bundle), "zip", bundle.parent, bundle.name)


def test_without_the_setting_it_says_what_to_do(colab, bundle):
    before = colab.packages()
    notebook = first_cell(bundle)
    address_frame(LESSON, notebook, "")
    assert "Not installed: is COURSE your instructor's address?" in colab.run(notebook)[1]
    assert colab.packages() == before


def test_an_address_that_is_none_is_told_in_words(colab, bundle, tmp_path):
    before, notebook = colab.packages(), first_cell(bundle)
    address_frame(LESSON, notebook, str(tmp_path / "none.zip"))
    said = colab.run(notebook)[1]
    assert "Not installed: is COURSE your instructor's address?" in said
    assert "none.zip" in said
    assert colab.packages() == before


def test_it_installs_changes_nothing_and_the_lesson_runs(colab, bundle):
    before = colab.packages()
    assert {
        pin.partition("==")[0]: pin.partition("==")[2] for pin in COLAB
    }.items() <= before.items()
    assert before["ipywidgets"] == "7.7.1"
    _ask_for_newer(bundle)
    notebook = nbformat.read(lesson_path(bundle / "notebooks", LESSON), as_version=4)
    said = colab.run(handed_in(notebook, solutions(LESSON)))
    after = colab.packages()
    print(f"\nbefore: {before}\n\nadded: { {k: v for k, v in after.items() if k not in before} }")
    assert before.items() <= after.items()
    assert {"jaxtyping", "beartype", "stable-policy-updates-student"} <= set(after)
    assert not {"jaxtyping", "beartype"} & set(before)
    assert "Ready." in said[1]
    assert "every case passes" in "".join(said)
    assert not re.search("waits for (?!what you put in place of the dots)", "".join(said))
    assert "application/vnd.jupyter.widget-view+json" in "".join(said)
    assert "the browser downloads" in said[-1]
    assert "everything is written" in said[-1]
    with ZipFile(colab.folder / "content" / f"{LESSON}.zip") as archive:
        assert archive.namelist() == [f"{LESSON}.ipynb", "manifest.json"]
