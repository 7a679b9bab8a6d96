"""What a student has works on Windows and macOS too, as far as can be told from its text.

What Python has on which system is read from typeshed's stubs, which come with jedi.
"""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import jedi
import pytest

from autograde.course.lessons import ROOT
from autograde.term.releasing import release

HELPERS = sorted(path for path in (ROOT / "helpers").rglob("*.py"))
STUBS = Path(jedi.__file__).parent / "third_party" / "typeshed" / "stdlib"
SYSTEMS = ("win32", "darwin")
# Beside what is declared: what every kernel has, and what is looked for and done without.
KERNELS = {"IPython", "jupyter_core", "traitlets"}
SOUGHT = {"google", "transformers"}
# Folders of one system. nbgrader's own exchange is looked for, and is not there elsewhere.
PLACES = re.compile(
    r"(/(tmp|dev|proc|etc|usr|var|home|root|opt|mnt|sys|bin|Users)(/|$)|[A-Za-z]:\\)"
)
LOOKED_FOR = {"/usr/local/share/nbgrader/exchange"}
TEXT = {"read_text": 0, "write_text": 1}  # where the encoding stands among the arguments
RESERVED = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
LONGEST = 120  # characters of a path in the bundle: Windows has 260 for all of it


@cache
def there(module: str, system: str) -> frozenset[str]:
    """The names of a module of Python's own on a system; none where it is not there."""
    place = STUBS / module.replace(".", "/")
    stub = place / "__init__.pyi" if place.is_dir() else place.with_suffix(".pyi")
    if not stub.exists():
        return frozenset()
    said = SimpleNamespace(platform=system, version_info=(3, 11))
    bound = _bound(ast.parse(stub.read_text("utf-8")).body, said)
    return frozenset(name for name in bound if not name.startswith("_"))


def _bound(lines: list[ast.stmt], said: SimpleNamespace) -> Iterator[str]:
    for line in lines:
        match line:
            case ast.If(test=test, body=body, orelse=other):
                holds = eval(compile(ast.Expression(test), "stub", "eval"), {"sys": said})
                yield from _bound(body if holds else other, said)
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (one.id for one in targets if isinstance(one, ast.Name))
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (one.name for one in names if one.asname == one.name)  # a stub's export


def missing(tree: ast.AST) -> Iterator[str]:
    """What a program uses of Python that one of SYSTEMS has not."""
    imported = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {one.asname or one.name: one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from _only_here(node.module, [one.name for one in node.names])
    for module in imported.values():
        yield from _only_here(module, [])
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield from _only_here(imported.get(node.value.id, ""), [node.attr])


def _only_here(module: str, names: list[str]) -> Iterator[str]:
    here = there(module, "linux")
    for system in SYSTEMS:
        elsewhere = there(module, system)
        if here and not elsewhere:
            yield f"{module} ({system})"
        yield from (f"{module}.{one} ({system})" for one in names if one in here - elsewhere)


def strangers(tree: ast.AST) -> set[str]:
    """Packages that it imports and no student need have."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    declared = {re.match(r"[\w-]+", line)[0] for line in project["dependencies"]}
    named = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            named |= {one.name.partition(".")[0] for one in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            named.add(node.module.partition(".")[0])
    return named - declared - KERNELS - SOUGHT - sys.stdlib_module_names - {"helpers"}


def places(tree: ast.AST) -> set[str]:
    """Strings that are paths on one system."""
    found = {
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    return {text for text in found - LOOKED_FOR if PLACES.match(text)}


def unencoded(tree: ast.AST) -> list[int]:
    """Lines in which text is read or written in whatever encoding the machine has."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call) and _guesses(node)]


def _guesses(call: ast.Call) -> bool:
    if "encoding" in {one.arg for one in call.keywords}:
        return False
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in TEXT:
        return len(call.args) <= TEXT[name]
    if name != "open":
        return False
    modes = [one.value for one in call.args if isinstance(one, ast.Constant)]
    modes += [one.value.value for one in call.keywords if one.arg == "mode"]
    return not any("b" in str(mode) for mode in modes)


@pytest.mark.parametrize("path", HELPERS, ids=lambda path: str(path.relative_to(ROOT)))
def test_helpers_are_for_every_system(path):
    tree = ast.parse(path.read_text("utf-8"))
    assert sorted(missing(tree)) == []
    assert strangers(tree) == set()
    assert places(tree) == set()
    assert unencoded(tree) == []
    # Windows renames onto no file that is there; `replace` does.
    renamed = [
        node for node in ast.walk(tree) if getattr(node, "attr", "") in ("rename", "symlink_to")
    ]
    assert renamed == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("import fcntl", ["fcntl (win32)"]),
        ("import resource as r", ["resource (win32)"]),
        ("from signal import SIGKILL", ["signal.SIGKILL (win32)"]),
        ("import os\nos.fork()", ["os.fork (win32)"]),
        ("import os\nos.sched_getaffinity(0)", ["os.sched_getaffinity (darwin)",
                                                "os.sched_getaffinity (win32)"]),
        ("import pwd, grp, termios", ["grp (win32)", "pwd (win32)", "termios (win32)"]),
        ("import os, signal\nos.kill(1, signal.SIGTERM)", []),
    ],
)  # fmt: skip
def test_what_one_system_has_is_seen(line, told):
    assert sorted(missing(ast.parse(line))) == told


@pytest.mark.parametrize(
    ("line", "guesses"),
    [
        ("open(p)", True), ("open(p, 'rb')", False), ("p.open('w')", True),
        ("p.read_text()", True), ("p.read_text('utf-8')", False), ("p.write_text(t)", True),
        ("p.write_text(t, encoding='utf-8')", False), ("p.open(mode='wb')", False),
    ],
)  # fmt: skip
def test_text_without_an_encoding_is_seen(line, guesses):
    assert bool(unencoded(ast.parse(line))) == guesses


def test_paths_of_one_system_are_seen():
    for text in ("/tmp", "/tmp/x", "/home/me", "C:\\\\Users"):
        assert places(ast.parse(f"x = '{text}'"))
    assert not places(ast.parse("x = '/user of the course'"))


def test_windows_can_hold_every_file_of_the_bundle(tmp_path):
    bundle = release(tmp_path / "bundle")
    paths = [path.relative_to(bundle) for path in bundle.rglob("*")]
    assert len(paths) > 50
    assert len({str(path).casefold() for path in paths}) == len(paths)
    for path in paths:
        assert len(str(path)) <= LONGEST
        for part in path.parts:
            assert re.fullmatch(r"[\w.+-]*[\w+-]", part, re.ASCII), path
            assert not RESERVED.match(part), path
    assert not [path for path in bundle.rglob("*") if path.is_symlink()]
