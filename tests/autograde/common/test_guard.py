"""Work on what was handed in: no call takes more than its bounds, and the next one is done."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest
import torch

from autograde.common import guard
from autograde.common.errors import LimitError, UsageError
from autograde.common.guard import Bounds, Guard, fresh, guarded
from autograde.course.exercises import exercise
from autograde.grading import from_file, judging, rebuild
from autograde.grading.sandbox import Limits
from helpers.codec import pack

SMALL = Bounds(seconds=1, patience=2, memory=2**29)


def add(one, other):
    return one + other


def worker():
    return os.getpid()


def for_ever():
    while True:
        pass


def asleep():
    time.sleep(1_000)


def large():
    return len(bytearray(2**33))


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def ended():
    os._exit(3)


def hoard():
    global hoarded
    hoarded = torch.ones(guard.KEPT // 4 + 2**20)
    return os.getpid()


def refuse(error):
    raise error


def has_ended(process):
    """Whether it is gone, or waits to be buried, within a minute."""
    state = Path("/proc", str(process), "stat")
    for _ in range(600):
        try:
            if state.read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


def deep():
    found = []
    for _ in range(100_000):
        found = [found]
    return found


def nested():
    return guarded(os.getpid), os.getpid()


@pytest.mark.parametrize(
    ("function", "kind"),
    [(for_ever, "time"), (asleep, "time"), (large, "memory"), (crash, "crash"),
     (killed, "memory"), (ended, "memory")],
)  # fmt: skip
def test_a_call_that_meets_a_limit_is_named_and_the_next_is_answered(function, kind):
    with pytest.raises(LimitError) as met:
        guarded(function, bounds=SMALL)
    assert met.value.kind == kind
    assert guarded(add, 1, 2) == 3


def test_calls_share_a_process_that_is_not_this_one():
    assert guarded(worker) == guarded(worker) != os.getpid()


def test_a_call_within_a_call_is_made_there():
    one, other = guarded(nested)
    assert one == other


def test_what_a_call_raises_comes_back():
    with pytest.raises(UsageError, match="^a line$"):
        guarded(refuse, UsageError("a line"))
    with pytest.raises(LimitError, match="^too many$") as met:
        guarded(refuse, LimitError("too many", "size"))
    assert met.value.kind == "size"


def test_what_cannot_be_sent_back_comes_as_words():
    with pytest.raises(RuntimeError, match="ValueError: x{2000}$"):
        guarded(refuse, ValueError("x" * 100_000))


def test_a_result_that_cannot_be_sent_is_told():
    before = guarded(worker)
    with pytest.raises(RecursionError):
        guarded(deep)
    assert guarded(worker) == before


def test_a_process_that_keeps_much_is_not_called_again():
    assert guarded(hoard) != guarded(worker)


def test_a_call_has_its_own_limits_and_leaves_none():
    with pytest.raises(LimitError):
        guarded(large, bounds=SMALL)
    assert guarded(large, bounds=Bounds(memory=2**34)) == 2**33


def test_a_worker_that_is_killed_from_outside_is_asked_again():
    guarded(add, 1, 1)
    os.kill(guarded(worker), signal.SIGKILL)
    assert guarded(add, 1, 2) == 3


def test_where_even_the_forker_is_killed_there_is_a_new_one():
    guarded(add, 1, 1)
    os.killpg(guard._own.guard._forker, signal.SIGKILL)
    assert guarded(add, 1, 2) == 3


def test_a_call_that_is_stopped_leaves_no_answer_for_the_next():
    def stop(number, frame):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, stop)
    try:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
        with pytest.raises(KeyboardInterrupt):
            guarded(asleep)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert guarded(add, 1, 2) == 3


def test_each_thread_has_its_own_and_none_is_left():
    found = []

    def call():
        found.append(guarded(worker))
        fresh()

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert found[0] != guarded(worker)
    assert has_ended(found[0])


def test_what_changed_here_is_seen_after_fresh(monkeypatch):
    assert guarded(_bound) == 1
    monkeypatch.setattr(f"{__name__}.BOUND", 2)
    assert guarded(_bound) == 2


BOUND = 1


def _bound():
    return BOUND


def test_a_closed_guard_leaves_no_process():
    one = Guard()
    there = one.call(worker, (), Bounds())
    one.close()
    assert has_ended(there)


# What limits it on its way from the file to the points.


def test_a_file_that_takes_too_much_to_read_is_named_with_the_remedy(monkeypatch, save, solved):
    monkeypatch.setattr(from_file, "read_notebook", lambda path: for_ever())
    monkeypatch.setattr(guard, "BOUNDS", SMALL)
    path = save(solved)
    with pytest.raises(UsageError) as told:
        from_file.read_and_rebuild(path)
    assert str(told.value) == f"{path}: takes longer than 1 s of computing; {from_file.ASK_ANEW}"


@pytest.mark.parametrize(
    ("most", "says"),
    [("MOST_CELLS", "has more than 5 cells"), ("MOST_CODE", "has more than 5 characters of code")],
)
def test_more_than_anybody_writes_is_refused_by_name(monkeypatch, save, solved, most, says):
    monkeypatch.setattr(rebuild, most, 5)
    path = save(solved)
    with pytest.raises(UsageError, match=says) as told:
        from_file.read_and_rebuild(path)
    assert str(told.value).startswith(f"{path}: ")


def test_a_reply_that_cannot_be_judged_costs_its_own_exercise_alone(monkeypatch):
    lesson = "02_divergence"
    cases = {name: exercise(name).hidden_cases(b"") for name in ("k1", "k2")}
    right = judging.Sheet(exercise("k2"), cases["k2"]).expected
    replies = {"k1": pack({"answers": "slow"}), "k2": pack({"answers": list(right)})}
    real = judging._valid

    def valid(answer):
        return for_ever() if answer == "s" else real(answer)

    monkeypatch.setattr(judging, "_valid", valid)
    monkeypatch.setattr(guard, "BOUNDS", SMALL)
    found = judging.judge_guarded(lesson, (), cases, replies, "none", Limits()).verdicts
    assert found["k2"].status == "right"
    assert (found["k1"].points, found["k1"].status) == (0, "not answered")
    assert found["k1"].failures[0].got == judging.PROBLEMS["judge"]


def test_each_call_is_told_apart_and_a_bad_one_stops_no_other():
    def calls():
        yield from [(0,), (1,), (2,), (3,)] * 5

    found = {}
    for (number,), value in guard.guarded_each(ended_by, calls(), 2, SMALL):
        found.setdefault(number, []).append(value)
    assert found[0] == [0] * 5
    assert [str(one) for one in found[1]] == ["1"] * 5
    assert {type(one) for one in found[1]} == {ValueError}
    assert {type(one) for one in found[2]} == {LimitError}
    assert found[3] == [3] * 5


def ended_by(number):
    if number == 1:
        raise ValueError(number)
    if number == 2:
        crash()
    return number


def test_calls_are_made_by_so_many_processes_which_end():
    made = {value for _, value in guard.guarded_each(worker, [()] * 40, 3)}
    assert 1 <= len(made) <= 3
    assert os.getpid() not in made
    assert not any(still_works(process) for process in made)


def still_works(process):
    """Whether it is there and no mere entry that nobody has fetched the end of."""
    for _ in range(200):
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return False
        if state in "ZX":
            return False
        time.sleep(0.05)
    return True


def test_calls_that_nobody_waits_for_are_not_made():
    given = []

    def calls():
        for number in range(1_000):
            given.append(number)
            yield (number, 0)

    made = guard.guarded_each(add, calls(), 1)
    next(made)
    made.close()
    assert len(given) < 10
