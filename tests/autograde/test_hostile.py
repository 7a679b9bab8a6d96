"""A class full of hostile submissions: none earns what it has not written, and nobody is harmed.

Two sentences of the threat model are tested here, with every attack in one term, through every
command. No single file can stop, hang or exhaust a run. No untrusted byte reaches a terminal, HTML,
CSV or SQLite but through one cleaning function.
"""

import hashlib
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from autograde.course.exercises import exercise
from autograde.course.lessons import setup_modules
from autograde.grading.judging import judge_reply
from autograde.grading.sandbox import Limits, Sandbox
from autograde.grading.steps import Step
from autograde.returning.exporting import grades
from autograde.term.term import Term
from helpers.cases import Case
from helpers.codec import unpack
from tests.hostile.catalogue import SOME, downloads, some, suite
from tests.hostile.entry import (
    ENVIRONMENT,
    FULL,
    LESSON,
    MARK,
    Hostile,
    Seen,
    Short,
    attempting,
)
from tests.hostile.outputs import live, told, unclean
from tests.hostile.play import Play, enrol
from tests.some import LONG

COMMANDS = ("collect", "grade", "feedback", "report", "export")
OWN = secrets.token_hex(8)  # what ENVIRONMENT is here, as others may try attacks on this machine
GRACE = 30  # seconds in which what was told to end must have ended


@dataclass
class Class:
    """The term after all commands. before: its files and their hashes, as they were placed."""

    play: Play
    term: Term
    students: dict[str, Hostile]
    neighbours: list[str]
    before: dict[Path, str]
    seen: dict[str, Seen]


@pytest.fixture(scope="module", params=["some", pytest.param("all", marks=LONG)])
def graded(request, tmp_path_factory):
    """Everything handed in and graded in one run; minutes, and so some of every stage for now."""
    chosen, workers = (some, 1) if request.param == "some" else (tuple, 2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(ENVIRONMENT, OWN)
        folder = tmp_path_factory.mktemp("hostile")
        one = enrol(folder, chosen(suite()), chosen(downloads()))
        one.collect()
        before = _hashes(one.term.root)
        one.grade(workers=workers)
        one.give_back()
    seen = one.seen([*one.attacks, *one.neighbours])
    return Class(one, one.term, one.attacks, one.neighbours, before, seen)


def _hashes(root: Path) -> dict[Path, str]:
    files = (path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_each_gets_what_it_deserves(graded):
    assert graded.play.wrong() == []


def test_some_are_of_every_stage_and_each_is_there():
    chosen = [*some(suite()), *some(downloads())]
    assert {one.stage for one in chosen} == {one.stage for one in (*suite(), *downloads())}
    assert sorted(one.name for one in chosen) == sorted(sum(SOME.values(), ()))


def test_there_are_enough_and_each_tries_something_of_its_own():
    names, tries = zip(*((one.name, one.tries) for one in suite()), strict=True)
    assert len(names) >= 45
    assert len(set(names)) == len(names)
    assert len(set(tries)) == len(tries)


@pytest.mark.parametrize(
    ("body", "points"), [("return True", FULL["k1"]), ("return []", 0), ("raise OSError", 0)]
)
def test_an_attempt_that_works_would_be_seen(body, points):
    """The attempts answer rightly when they work, and one that has nothing to overcome does."""
    with Sandbox("strict", limits=Short()) as sandbox:
        assert _points(sandbox, Step(f"import torch\n{attempting(body)}", "k1")) == points


def _points(sandbox: Sandbox, step: Step) -> int:
    cases = exercise("k1").hidden_cases(b"")
    reply = sandbox.ask([step], {"k1": cases})["k1"]
    return judge_reply(exercise("k1"), cases, reply).points


def test_every_honest_neighbour_has_full_marks(graded):
    assert graded.neighbours
    assert [s for s in graded.neighbours if graded.seen[s].points != FULL] == []


def test_the_gradebook_says_what_was_judged(graded):
    found = {(row["id"], row["lesson"]): row["score"] for row in grades(graded.term)}
    for student, seen in graded.seen.items():
        lesson = graded.students[student].lesson if student in graded.students else LESSON
        if seen.points is not None:
            assert found[student, lesson] == sum(seen.points.values())
        else:
            assert found.get((student, lesson), "") == ""


def test_no_file_of_the_term_is_changed_and_none_is_added_but_the_grades(graded):
    after = _hashes(graded.term.root)
    own = {path for path in after if path.parent.name == ".autograde" or "gradebook" in path.name}
    changed = {path for path, mark in graded.before.items() if after.get(path) != mark}
    assert changed <= own
    copies = {
        graded.term.root / "autograded" / student / lesson / f"{lesson}.ipynb"
        for student, lesson in graded.term.submissions()
    }
    new = {path for path in set(after) - set(graded.before) if "feedback" not in path.parts}
    assert new <= own | copies


def test_no_secret_is_in_what_is_copied(graded):
    """Not even where a link in a submission's folder points to one."""
    copied = [*(graded.term.root / "autograded").rglob("*")]
    copied += (graded.term.root / "feedback").rglob("*")
    held = {path: path.read_bytes() for path in copied if path.is_file()}
    secret = (graded.term.secret, b"SQLite format 3")
    assert [path.name for path, data in held.items() if any(one in data for one in secret)] == []


def test_nothing_is_left_on_the_machine(graded):
    left = [
        os.path.join(folder, name)
        for root in ("/tmp", "/dev/shm", "/var/tmp")
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
        if MARK in name
    ]
    assert left == []
    shared = Path("/proc/sysvipc/shm")
    keys = [line.split()[0] for line in shared.read_text().splitlines()] if shared.exists() else []
    assert str(0x5A5A) not in keys


def test_no_process_is_left(graded):
    assert _once_gone(_orphans) == []


def _orphans() -> list[str]:
    """Sandboxes that the run began, and processes inside one that has ended."""
    return [" ".join(one.cmdline()) for one in psutil.process_iter() if _is_orphan(one)]


def _is_orphan(process: psutil.Process) -> bool:
    try:
        command, parents = process.cmdline(), process.parents()
        if command[:1] and command[0].endswith("bwrap"):
            return process.environ().get(ENVIRONMENT) == OWN and process.ppid() != os.getpid()
        return "inside" in command and not any(one.name() == "bwrap" for one in parents)
    except psutil.Error:  # it is ending now
        return False


def _once_gone(find: Callable[[], list[str]]) -> list[str]:
    """What there is when it has had its time to end."""
    deadline = time.monotonic() + GRACE
    while (found := find()) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


@pytest.mark.parametrize("command", COMMANDS)
def test_no_file_stops_hangs_or_exhausts(graded, command):
    ran = graded.play.ran[command]
    said = ran.said.decode("utf-8", "backslashreplace")
    assert "Traceback" not in said
    assert "MemoryError" not in said
    expected = {"collect": 1, "grade": 1}  # some were not graded, each with a line of its own
    assert ran.code == expected.get(command, 0), said[-3000:]


def test_honest_neighbours_get_equal_pages(graded):
    pages = graded.term.root / "feedback"
    texts = [(pages / s / LESSON / f"{LESSON}.html").read_text() for s in graded.neighbours]
    own = re.compile(r"neighbour \d+|(First|Last)?n\d{3}\b")
    assert len({own.sub("", text) for text in texts}) == 1


def test_who_is_not_graded_has_one_line(graded):
    lines = graded.play.ran["grade"].said.decode("utf-8").splitlines()
    for student in (s for s, one in graded.seen.items() if one.points is None):
        assert len([line for line in lines if line.startswith(f"autograde: {student}/")]) == 1


def test_what_is_no_notebook_has_a_line(graded):
    said = graded.play.ran["collect"].said.decode("utf-8")
    assert [one.name for one in graded.play.zips if one.says and one.says not in said] == []


def test_no_untrusted_byte_is_told_but_cleaned(graded):
    found = [
        (where, where_not) for where, text in told(graded.play) if (where_not := unclean(text))
    ]
    assert found == []


def test_nothing_of_theirs_is_live_on_a_page(graded):
    """On a page there is what is on an honest student's, or on the report: a style and no more."""
    found = {path: live(path.read_text("utf-8")) for path in graded.play.pages}
    (report,) = (own for path, own in found.items() if path.stem == "report")
    assert all(one.startswith(("<style>", "<meta ")) for one in report)
    own = report.union(*map(live, graded.play.honest_pages()))
    assert [path for path in found if found[path] - own] == []


# One submission leaves what it can, and the next looks for it. The one that looks knows of the
# other's text only how it begins and a hash of the rest: what it finds cannot be its own.
SEARCH = """
import builtins, ctypes, gc, hashlib, mmap, os

libc = ctypes.CDLL(None, use_errno=True)
libc.pwrite.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_long)
libc.sbrk.restype = ctypes.c_void_p
BEGINS, DIGEST, PAGE = b"left-", "HASH", 4096
SCRATCH = ("/tmp", "/dev/shm", os.path.expanduser("~"))

def is_left(data):
    at = data.find(BEGINS)
    while at >= 0:
        if hashlib.sha256(data[at + 5 : at + 37]).hexdigest() == DIGEST:
            return True
        at = data.find(BEGINS, at + 1)
    return False

def folders():
    known = {"/usr", "/sys"}
    for folder, inner, files in os.walk("/"):
        inner[:] = [name for name in inner if os.path.join(folder, name) not in known][:50]
        yield folder

def found_files():
    return [os.path.join(folder, name) for place in SCRATCH
            for folder, _, files in os.walk(place) for name in files if name == "left-file"]

def found_memory():
    copy = os.open("/tmp/copy", os.O_RDWR | os.O_CREAT)
    os.truncate(copy, PAGE)
    held = mmap.mmap(copy, PAGE)
    seen = set()
    readable = lambda page: libc.pwrite(copy, page * PAGE, PAGE, 0) == PAGE
    known = {id(one) // PAGE for one in gc.get_objects()} | {libc.sbrk(0) // PAGE - 1}
    for first in known:
        while first - 1 not in seen and readable(first - 1):
            first -= 1
        tail = b""
        while first not in seen and readable(first):
            seen.add(first)
            data = held[:]
            if is_left(tail + data):
                return True, len(seen)
            tail, first = data[-64:], first + 1
    return False, len(seen)

def leave(text):
    for folder in folders():
        try:
            with open(os.path.join(folder, "left-file"), "w") as file:
                file.write(text)
        except OSError:
            continue
    libc.shmget(0x5a5a, 4096, 0o1666)
    os.environ["LEFT"] = text
    builtins.left = text

def k1(number):
    if number == 1:
        leave(TEXT)
    there, pages = found_memory()
    files = found_files()
    return {"files": len(files), "memory": there, "pages": pages,
            "shared": libc.shmget(0x5a5a, 0, 0) >= 0,
            "variables": "LEFT" in os.environ or hasattr(builtins, "left")}
"""


def _search(sandbox: Sandbox, text: str, number: int) -> dict:
    digest = hashlib.sha256(text.removeprefix("left-").encode()).hexdigest()
    source = SEARCH.replace("HASH", digest)
    if number:
        source = source.replace("TEXT", repr(text))
    reply = unpack(sandbox.ask([Step(source, "k1")], {"k1": [Case("", {"number": number})]})["k1"])
    (answer,) = reply["answers"]
    assert "error" not in answer, answer
    return {name.split("'")[1]: value for name, value in answer.items() if "'" in name}


def test_what_one_leaves_the_next_does_not_find():
    text = f"left-{secrets.token_hex(16)}"
    limits = Limits(seconds=120, cell_seconds=30)
    with Sandbox("fork", setup_modules((LESSON,)), limits) as sandbox:
        leaver, finder = (_search(sandbox, text, number) for number in (1, 0))
        again = _search(sandbox, f"left-{secrets.token_hex(16)}", 0)
    assert leaver["files"] >= 3  # it did leave something
    assert leaver["memory"]  # and can be found where it is
    assert finder["pages"] > 1000
    for found in (finder, again):
        assert not any(found[name] for name in ("files", "memory", "shared", "variables"))
