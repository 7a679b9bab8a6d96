"""Ctrl-C is never lost, and reaches only who is to act on it."""

import signal
import subprocess
import sys
import weakref

import pytest

from autograde.common.interrupts import kept, look, put_off


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C as Python has it: whoever is begun in a shell's background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Thing:
    pass


def interrupt(_=None):
    signal.raise_signal(signal.SIGINT)


def test_one_that_python_drops_is_heard_at_the_next_look(capsys):
    with kept():
        look()
        thing = Thing()
        reference = weakref.ref(thing, interrupt)
        del thing  # the callback raises, and Python says so and goes on
        assert reference() is None
        with pytest.raises(KeyboardInterrupt):
            look()
    look()
    assert capsys.readouterr().err == ""


def test_one_that_comes_twice_is_one():
    """As to a process and to its group: what is done on the first is not stopped by the second."""
    done = []
    with kept():
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupt()
        done.append("the rest")
    assert done == ["the rest"]


def test_the_last_deeds_of_a_process_are_not_stopped():
    """Nor is anything said of it; a block that is not the last leaves all as it was."""
    text = (
        "import atexit, signal\n"
        "from autograde.common.interrupts import kept\n"
        "def last():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('done')\n"
        "atexit.register(last)\n"
        "with kept(last=True):\n"
        "    pass\n"
        "signal.raise_signal(signal.SIGINT)\n"
    )
    ended = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")
    with kept():
        pass
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_other_errors_that_python_drops_are_said_as_before(monkeypatch):
    said = []
    monkeypatch.setattr(sys, "unraisablehook", lambda dropped: said.append(dropped.exc_type))
    with kept():
        thing = Thing()
        reference = weakref.ref(thing, lambda _: 1 / 0)
        del thing
        assert reference() is None
    assert said == [ZeroDivisionError]


def test_one_that_is_put_off_comes_at_the_end():
    done = []

    @put_off()
    def block():
        interrupt()
        done.append("the block")

    with pytest.raises(KeyboardInterrupt):
        block()
    assert done == ["the block"]
    with pytest.raises(KeyboardInterrupt):
        interrupt()


def test_what_is_begun_meanwhile_hears_of_none():
    waits = [sys.executable, "-c", "print('here', flush=True); input()"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with put_off():
        begun = subprocess.Popen(waits, **pipes)
    with begun:
        assert begun.stdout.readline() == b"here\n"
        begun.send_signal(signal.SIGINT)
        begun.communicate(b"\n")
    assert begun.returncode == 0
