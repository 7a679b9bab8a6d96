"""Student code runs where it can reach nothing, and harms only itself."""

import socket

import pytest

from autograde import sandbox
from autograde.errors import UsageError
from autograde.exercises import exercise
from autograde.judging import judge_reply
from autograde.lessons import ROOT
from autograde.rebuild import Step
from helpers.cases import Case

SHORT = sandbox.Limits(seconds=4, cell_seconds=2)


def tell(*expressions):
    """What each expression gives inside the sandbox: its text, or the exception's."""
    lines = ["import os, socket", "def tell(number):"]
    for number, expression in enumerate(expressions):
        lines += [f"    if number == {number}:", f"        return str({expression})"]
    cases = [Case("", {"number": number}) for number in range(len(expressions))]
    reply = sandbox.run([Step("\n".join(lines), "tell")], {"tell": cases}, limits=SHORT)["tell"]
    return [
        answer.get("value", answer.get("error", {}).get("kinds", ["?"])[0])
        for answer in reply["answers"]
    ]


def test_files_of_the_course_and_of_others_are_out_of_reach(tmp_path):
    other = tmp_path / "submitted" / "other" / "secret.ipynb"
    gradebook = tmp_path / "gradebook.db"
    other.parent.mkdir(parents=True)
    for path in (other, gradebook):
        path.write_text("secret")
    found = tell(
        f"open({str(other)!r}).read()",
        f"open({str(gradebook)!r}).read()",
        f"open({str(ROOT / 'pyproject.toml')!r}).read()",
        f"os.listdir({str(ROOT / 'solutions')!r})",
        f"open({str(ROOT / 'helpers' / 'reference' / 'divergence.py')!r}).read()",
        "os.listdir('/grader/helpers/reference')",
        "__import__('helpers.reference.divergence')",
        "__import__('autograde')",
        "os.listdir('/root')",
        "open('/etc/passwd').read()",
        "os.listdir('/proc/1/root/work')",
    )
    assert found[5] == "[]"
    refused = {"FileNotFoundError", "ModuleNotFoundError", "PermissionError", "ImportError"}
    venv_parent = {"[]"} | {repr([part]) for part in (".pyenv", ".venv", "venv", ".local")}
    for number, answer in enumerate(found):
        assert number == 5 or answer in refused | venv_parent, (number, answer)


def test_the_module_of_the_references_is_empty_there():
    assert tell("hasattr(__import__('helpers.reference').reference, 'k1')") == ["False"]


def test_sockets_reach_nobody():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = tell(
            f"socket.create_connection(('127.0.0.1', {port}), timeout=1)",
            "socket.create_connection(('192.0.2.1', 80), timeout=1)",
            "socket.getaddrinfo('localhost.example', 80)",
        )
    assert found[0] in ("ConnectionRefusedError", "OSError")
    assert found[1] == "OSError"
    assert found[2] == "gaierror"


def test_the_machine_and_its_environment_are_not_to_be_seen(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "s3cret")
    environment, user, writes, processes, host = tell(
        "dict(os.environ)",
        "os.getuid()",
        "open('/usr/x', 'w')",
        "sorted(int(p) for p in os.listdir('/proc') if p.isdigit())",
        "socket.gethostname()",
    )
    assert "s3cret" not in environment
    assert user == "65534"
    assert writes == "OSError"  # a read-only file system
    assert len(processes.split(",")) <= 4
    assert host == "sandbox"


HARM = {
    "loop": "def {name}(*_):\n    while True: pass",
    "loop at the top": "while True: pass",
    "exit": "import os\nos._exit(0)",
    "exit in the function": "import os\ndef {name}(*_):\n    os._exit(0)",
    "system exit": "def {name}(*_):\n    raise SystemExit",
    "kill the parent": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)",
    "recursion": "def {name}(*a):\n    return {name}(*a)",
    "much memory": "def {name}(*_):\n    return bytearray(2**40)",
    "much output": "def {name}(*_):\n    while True: print('x' * 10**6)",
    "much answer": "import torch\ndef {name}(*_):\n    return torch.zeros(2**24)",
    "stdin": "input('?')",
    "close everything": "import os\nos.closerange(0, 100)",
    "no name": "x = 1",
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_costs_the_exercise_its_own_points_only(harm):
    described = exercise("k1")
    right = "def k2(logp, ref_logp):\n    return 0.5 * (logp - ref_logp.detach()) ** 2"
    bad = HARM[harm].format(name="k1")
    # k1's code runs first; where it poisons every cell that follows, k2 may not survive either.
    steps = [Step(right, "k2"), Step(bad, "k1")]
    cases = {name: exercise(name).hidden_cases(b"", harm) for name in ("k1", "k2")}
    replies = sandbox.run(steps, cases, limits=SHORT)
    assert judge_reply(described, cases["k1"], replies["k1"]).points == 0
    top_level_death = ("exit", "kill the parent", "close everything")
    if harm not in top_level_death:
        assert judge_reply(exercise("k2"), cases["k2"], replies["k2"]).status == "right"


def test_a_loop_is_said_to_be_one():
    described = exercise("k1")
    cases = described.hidden_cases(b"")
    reply = sandbox.run([Step(HARM["loop"].format(name="k1"), "k1")], {"k1": cases}, limits=SHORT)
    verdict = judge_reply(described, cases, reply["k1"])
    assert verdict.status == "not answered"
    assert "longer than 4 seconds" in verdict.failures[0].got


@pytest.mark.parametrize(
    "reply",
    [
        {},
        {"problem": "no such problem", "limit": 1},
        {"problem": "time"},
        {"answers": 3},
        {"answers": [3]},
        {"answers": []},
        {"answers": [{"value": {"$kind": ["x"]}}] * 50},
        {"answers": None, "error": {"kinds": []}},
        {"answers": None, "error": "text"},
        {"answers": [{"error": {"kinds": 3}}] * 50},
    ],
)
def test_a_reply_that_makes_no_sense_earns_nothing(reply):
    described = exercise("k1")
    assert judge_reply(described, described.hidden_cases(b""), reply).points == 0


def test_no_bubblewrap_no_run(monkeypatch):
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UsageError, match="install the package bubblewrap"):
        sandbox.run([], {})


def test_a_bubblewrap_that_cannot_start_is_no_students_fault(monkeypatch):
    monkeypatch.setattr(sandbox, "_files", lambda: ["--ro-bind", "/no/such/folder", "/x"])
    with pytest.raises(UsageError, match="did not start.*autograde doctor"):
        sandbox.run([], {"k1": []})
