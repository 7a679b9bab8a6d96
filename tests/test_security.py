"""SECURITY.md promises what a test holds, and the other guides lead where they say."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from autograde.cli import _parser

ROOT = Path(__file__).resolve().parents[1]
SECURITY = (ROOT / "SECURITY.md").read_text("utf-8")
GUIDES = ("README.md", "CONTRIBUTING.md", "SECURITY.md")
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


@cache
def functions(path: str) -> set[str]:
    """The names of a test file's functions."""
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def promises() -> list[list[str]]:
    """The cells of every row of every table of promises."""
    part = SECURITY.partition("## What is promised")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in part.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0] != "promise"]


@pytest.mark.parametrize("row", promises(), ids=lambda row: row[0])
def test_each_promise_names_a_test_that_is_there(row):
    promise, held = row
    assert promise
    named = NAMED.findall(held)
    assert "<br>".join(f"`{path}::{name}`" for path, name in named) == held
    for path, name in named:
        assert name.startswith("test_")
        assert name in functions(path), f"{path} has no {name}"


def test_it_says_what_a_reviewer_asks():
    assert len(promises()) >= 25
    headings = re.findall(r"(?m)^## (.+)$", SECURITY)
    for what in (
        "attacks",
        "promised",
        "point proves",
        "falls back",
        "feedback",
        "Personal data",
        "Limits",
    ):
        assert any(what in heading for heading in headings), what
    assert "**To report**" in SECURITY
    assert "**In plain words.**" in SECURITY.partition("\n## ")[0]


def test_who_refuses_root_is_named_in_both_guides():
    (commands,) = [one.choices for one in _parser()._actions if isinstance(one.choices, dict)]
    refuse = [name for name, one in commands.items() if "--as-root" in one._option_string_actions]
    says = SECURITY.partition("**Never grade as root**: ")[2].partition("refuse")[0]
    readme = (ROOT / "README.md").read_text("utf-8")
    too = readme.partition("As root, `grade`,\n")[2].partition("refuse to work")[0]
    named = {name for name in refuse if f"`{name}`" in says.replace("autograde ", "")}
    assert named == set(refuse)
    assert {"grade"} | {name for name in refuse if name in too} == set(refuse)
    for text, begin in ((SECURITY, "**Never grade"), (readme, "As root, `grade`,\n")):
        assert "`make" in text.partition(begin)[2][:600]  # which says it by itself


def test_the_table_of_commands_has_each_and_no_option_that_is_not_there():
    parser = _parser()
    (commands,) = [one.choices for one in parser._actions if isinstance(one.choices, dict)]
    table = (ROOT / "README.md").read_text("utf-8").partition("| command | does |")[2]
    rows = dict(
        re.findall(r"(?m)^\| `autograde (\w+)(.*?)` \|", table.partition("\nExit codes")[0])
    )
    assert set(rows) - {"COMMAND"} == set(commands) - {"build", "demo"}  # which are make's
    for name, row in rows.items():
        options = re.findall(r"--[a-z]+\b(?!-)", row) if name in commands else []
        assert set(options) <= set(commands[name]._option_string_actions if options else ()), name


def anchors(text: str) -> set[str]:
    """What a heading is called in an address, as GitHub makes it."""
    headings = re.findall(r"(?m)^#+ (.+)$", text)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("guide", GUIDES)
def test_what_a_guide_links_to_is_there(guide):
    text = (ROOT / guide).read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        if anchor:
            assert anchor in anchors((ROOT / path).read_text("utf-8") if path else text), target
