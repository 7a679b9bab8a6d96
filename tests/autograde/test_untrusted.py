"""No untrusted byte reaches a terminal, a page, a table or a database but through `clean`."""

import ast
import io
import json
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograde.cli import main
from autograde.errors import UsageError, shown
from autograde.grading import grade_file
from autograde.saying import say, warn
from autograde.store import Store
from helpers.compare import Failure, Verdict
from tests.unseen import HONEST, HOSTILE, seen

PACKAGE = Path(__file__).resolve().parents[2] / "autograde"
OURS = "saying.py"
# What runs in a sandbox reaches no terminal.
APART = PACKAGE / "inside"


@pytest.mark.parametrize(
    "path", sorted(p for p in PACKAGE.rglob("*.py") if APART not in p.parents and p.name != OURS)
)
def test_commands_write_to_a_terminal_in_one_place(path):
    tree = ast.parse(path.read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call)
              and isinstance(node.func, ast.Name)}  # fmt: skip
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "print" not in called
    assert not used & {"print_exc", "print_exception", "secho", "echo"}
    writes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "write"]
    assert not [n for n in writes if ast.unparse(n.value) in ("sys.stdout", "sys.stderr")]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_terminal_gets_one_line_that_it_does_not_obey(text, capsys):
    say(text)
    warn(text)
    said = capsys.readouterr()
    for line in said:
        assert line.count("\n") == 1
        assert not seen(line)


@pytest.mark.parametrize("text", HONEST)
def test_a_terminal_gets_honest_text_as_it_is(text, capsys):
    say(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_terminal_of_another_encoding_gets_question_marks(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("李: 5")
    stream.flush()
    assert stream.buffer.getvalue() == b"?: 5\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_database_gets_clean_text(text, tmp_path):
    from autograde.judging import Graded

    failure = Failure("value", text, text, text, text, text)
    verdict = Verdict("kl", "wrong", {"value": 6}, {"value": False}, [failure])
    name, time = f"ada/{text}", datetime(2026, 1, 1, tzinfo=UTC)
    with Store(tmp_path / "state.db") as store:
        store.keep_failed(name, text)
        store.keep_placed({name: ("mark", time)})
        store.keep_persons({name: text})
        store.keep_recorded("ada/x", "source", "key")
        store.keep("key", Graded("x", {"kl": verdict}, "fork"), "program", b"")
        held = [*store.failed().items(), *store.persons().items(), *store.placed()]
        told = store.verdict("key").verdicts["kl"].failures[0]
        held += [(told.case, told.got, told.line)]
    assert not any(seen(part) for parts in held for part in parts)


FORMS = (
    '{{"nbformat": {}}}',
    '{{"cells": [], "nbformat": {}}}',
    '{{"cells": {}, "nbformat": 4, "metadata": {{}}}}',
    "{}",
)


@pytest.mark.parametrize("text", ["\ud800", "\x1b[2J", "a\nb", "\u202e"])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_no_notebook_is_told_in_one_line(text, form, tmp_path, capsys):
    path = tmp_path / "02_divergence.ipynb"
    path.write_text(form.format(json.dumps(text)), encoding="utf-8")
    with pytest.raises(UsageError):
        grade_file(path)
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not seen(said)


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"nul", "half a character", "none at all"}))
def test_what_is_typed_wrong_is_told_in_one_line(name, capsys):
    text = HOSTILE[name]
    for arguments in (["check", text], [text], ["grade", "--workers", text]):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
        assert code == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1
        assert not seen(said.err)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_name_in_a_message_is_short_and_clean(text):
    assert not seen(shown(text))
    assert len(shown(text)) <= 200
