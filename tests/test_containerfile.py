"""The Containerfile: its steps, run one by one, end in a machine that grades."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from autograde.common.system import ELSEWHERE
from tests.containers import NEEDS, Image, instructions
from tests.some import LONG

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "Containerfile").read_text("utf-8")


def test_it_has_only_steps_that_are_known_and_ends_as_an_ordinary_user():
    steps = list(instructions(TEXT))
    assert steps[0][0] == "FROM"
    assert [words for name, words in steps if name == "USER"] == ["grader"]
    for name, words in steps:
        if name == "COPY":
            assert all((ROOT / source).exists() for source in words.split()[:-1])
    with pytest.raises(ValueError, match="ADD"):
        list(instructions("FROM x\nADD y z\n"))


def test_it_is_named_where_people_look():
    assert "Containerfile" in ELSEWHERE
    text = (ROOT / "README.md").read_text("utf-8")
    assert "### Without Linux" in text
    for way in ("WSL2", "virtual machine", "Containerfile"):
        assert way in text.partition("### Without Linux")[2].partition("\n#")[0]


@pytest.fixture
def place():
    """A folder that another user may enter, on a disk with room for an image."""
    folder = Path(tempfile.mkdtemp(prefix="image-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@LONG  # some minutes: Debian's packages and pip's
def test_its_steps_make_a_machine_that_grades(place):
    if os.geteuid() != 0:
        pytest.skip("only root makes another root folder")
    if lacking := [name for name in NEEDS if shutil.which(name) is None]:
        pytest.skip(f"no {', '.join(lacking)}; apt-get install mmdebstrap")
    # Which build of torch pip takes is this machine's affair.
    image = Image(place / "root", ROOT, given={"TORCH_INDEX": ""})
    try:
        image.build(TEXT)
        said = image.run("autograde", "doctor")
        assert "✓ user: not root" in said
        assert "✓ sandbox: bubblewrap" in said
        lesson = "/course/notebooks/00_start_here/00_start_here.ipynb"
        assert "00_start_here.ipynb: 0 of 5 points" in image.run("autograde", "check", lesson)
        image.run("autograde", "init", "term")
        assert image.command == ["bash"]
    except subprocess.CalledProcessError as error:
        pytest.fail(f"{error.cmd}: {error.output}")
