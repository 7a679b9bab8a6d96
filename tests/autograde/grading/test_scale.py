"""Workers, other databases, and whatever may end a run in its middle: the gradebook is the same."""

import json
import os
import pwd
import shutil
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from signal import SIGINT, SIGKILL

import nbformat
import psutil
import pytest
from distributed.security import Security

from autograde.cli import main
from autograde.course import sample
from autograde.course.lessons import lesson_path
from autograde.grading.grading import grade
from autograde.receiving.collecting import collect
from autograde.term.term import Term, init
from tests.classroom import cell
from tests.rows import rows
from tests.some import LONG, every, some

LESSONS = ["00_start_here", "02_divergence"]


@pytest.fixture(scope="module")
def collected(tmp_path_factory):
    """A term with two lessons of the sample class collected, and nothing graded; to be copied."""
    folder = tmp_path_factory.mktemp("scale")
    downloads = sample.write(folder)
    term = init(folder / "term", folder / "roster.csv")
    for path in downloads.glob("*/*.ipynb"):
        if path.stem not in LESSONS:
            path.unlink()
    collect(downloads, term)
    return term.root


@pytest.fixture
def term(collected, tmp_path):
    return Term(shutil.copytree(collected, tmp_path / "term"))


@pytest.fixture(scope="module")
def undisturbed(collected, tmp_path_factory):
    """What the gradebook says after a run in this process, in which nothing goes wrong."""
    calm = Term(shutil.copytree(collected, tmp_path_factory.mktemp("calm") / "term"))
    grade(calm)
    return rows(calm.url)


@contextmanager
def started(term, *arguments, **how):
    """`autograde grade` in a process of its own, which does not outlive the block."""
    command = [sys.executable, "-m", "autograde", "grade", *LESSONS, "--workers", "2", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=term.root, stdout=pipe, stderr=pipe, text=True, **how
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def run(term, *arguments):
    """Its exit code, what it printed, and its errors."""
    with started(term, *arguments) as running:
        printed, errors = running.communicate()
    return running.returncode, printed, errors


def wait_for(condition, what, seconds=600):
    """What the condition gives, once that is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} never came"
        time.sleep(0.02)
    return found


def sandboxes_under(process):
    """The process ids of the warm parents there, and of the workers that each is under."""
    found = []
    for one in psutil.Process(process.pid).children(recursive=True):
        with suppress(psutil.NoSuchProcess):  # a submission's own, ended meanwhile
            parent = one.parent()
            if one.name() == "bwrap" and parent and parent.name() != "bwrap":
                found.append((one.pid, parent.pid))
    return found


def has_ended(process):
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


@LONG  # as below, where one of them is killed, but for what is printed
def test_two_workers_give_what_one_process_gives(term, undisturbed):
    code, printed, errors = run(term)
    assert code == 1, errors  # the sample class has a broken notebook
    assert "20 graded" in printed
    assert rows(term.url) == undisturbed


@pytest.mark.parametrize("killed", some(["client", "worker", "warm parent"], "worker".__eq__))
def test_a_kill_in_the_middle_loses_nothing(term, undisturbed, killed):
    with started(term) as running:
        wait_for(term.recorded, "a graded notebook")
        parent, worker = wait_for(lambda: sandboxes_under(running), "a sandbox")[0]
        family = psutil.Process(running.pid).children(recursive=True)
        os.kill({"client": running.pid, "worker": worker, "warm parent": parent}[killed], SIGKILL)
        _, errors = running.communicate()
    assert running.returncode == (-SIGKILL if killed == "client" else 1), errors
    wait_for(lambda: all(map(has_ended, family)), "the end of all processes")
    again = grade(term, LESSONS)
    assert len(again.graded) + len(again.skipped) == 20
    assert (len(again.skipped) == 20) == (killed != "client")
    assert rows(term.url) == undisturbed


def has_workers(running):
    commands = []
    for one in psutil.Process(running.pid).children():
        with suppress(psutil.NoSuchProcess):
            commands.append(one.cmdline())
    return any("--multiprocessing-fork" in command for command in commands)


@LONG  # tests/autograde/common/test_interrupts.py holds it without a term
@pytest.mark.parametrize("when", ["its workers start", "it works"])
def test_ctrl_c_is_one_line_and_loses_nothing(term, undisturbed, when):
    """A terminal sends it to all processes of the run."""
    with started(term, start_new_session=True) as running:
        if when == "its workers start":
            wait_for(lambda: has_workers(running), "a worker")
        else:
            wait_for(term.recorded, "a graded notebook")
        os.killpg(running.pid, SIGINT)
        _, errors = running.communicate()
    assert running.returncode == 130
    assert errors.splitlines() == [
        "autograde: stopped; what was graded so far is kept, run it again to go on"
    ]
    again = grade(term, LESSONS)
    assert len(again.graded) + len(again.skipped) == 20
    assert rows(term.url) == undisturbed


@pytest.mark.parametrize("student", every(2, ["ada1", None]))
def test_a_second_interrupted_run_takes_up_what_is_stored(term, undisturbed, student):
    """What was judged and not yet recorded is not run again."""
    judged = grade(term, ["02"], student, record=False)
    assert len(judged.graded) == (1 if student else 10)
    assert term.recorded() == {}
    recorded = grade(term, LESSONS, student)
    # Lesson 00 alone has still to be run: two exercises each.
    assert recorded.asked == 2 * len(judged.graded)
    found, wanted = (
        {name: [row for row in of[name] if student in (None, row[0])] for name in of}
        for of in (rows(term.url), undisturbed)
    )
    assert found == wanted


@pytest.fixture(params=["tcp", "tls"])
def cluster(tmp_path, request):
    """What to type for a scheduler with two workers in processes of their own."""
    address = tmp_path / "scheduler.json"
    dask = [sys.executable, "-m", "dask"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path}
    where = ["--host", "127.0.0.1", "--protocol", request.param, "--port", "0"]
    named = certificate(tmp_path) if request.param == "tls" else []
    quiet = ["--no-dashboard", "--scheduler-file", str(address), *named]
    running = [subprocess.Popen([*dask, "scheduler", *where, *quiet], **silent)]
    try:
        told = wait_for(lambda: whole_json(address), "the scheduler")
        for _ in range(2):  # later than the file, which they too would read half-written
            running.append(subprocess.Popen([*dask, "worker", "--nthreads", "1", *quiet], **silent))
        yield ["--scheduler", told["address"], *named]
    finally:
        for process in running[::-1]:
            process.terminate()
        for process in running:
            process.wait()


def whole_json(path):
    """What the file holds, once it is there and written to its end."""
    with suppress(FileNotFoundError, ValueError):
        return json.loads(path.read_text())


def certificate(folder):
    """A certificate and its key, and the options that name them, Dask's and ours."""
    found = Security.temporary()
    paths = {"ca-file": found.tls_ca_file, "cert": found.tls_client_cert}
    options = []
    for name, text in (paths | {"key": found.tls_client_key}).items():
        (folder / f"{name}.pem").write_text(text)
        options += [f"--tls-{name}", str(folder / f"{name}.pem")]
    return options


@LONG
def test_workers_reached_by_address_give_the_same(term, undisturbed, cluster):
    _, printed, errors = run(term, *cluster)
    assert "20 graded" in printed, errors
    assert ("becomes the grader" in errors) == cluster[1].startswith("tcp")
    assert rows(term.url) == undisturbed


def test_a_scheduler_that_is_not_there_is_named(term, capsys, monkeypatch):
    monkeypatch.setattr("autograde.grading.cluster.CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    assert main(["grade", "02", "--course", str(term.root), "--scheduler", address]) == 2
    warning, line = capsys.readouterr().err.strip().splitlines()
    assert f"{address}: open: whoever can reach it becomes the grader" in warning
    assert f"{address}: no Dask scheduler answers" in line
    assert term.recorded() == {}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """The URL of a PostgreSQL server that this test started, without the database's name."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    programs = found[-1].parent if found else Path(shutil.which("initdb")).parent
    user = pwd.getpwnam("nobody") if os.getuid() == 0 else pwd.getpwuid(os.getuid())
    home = Path(tempfile_of(user))
    own = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
    own = own if os.getuid() == 0 else {}  # PostgreSQL refuses to run as root
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    subprocess.run(
        [programs / "initdb", "-D", home / "data", "-U", "grader", "-A", "trust", "--no-sync"],
        check=True, capture_output=True, cwd=home, **own,
    )  # fmt: skip
    options = ["-k", home, "-h", "127.0.0.1", "-p", str(port), "-F"]
    running = subprocess.Popen(
        [programs / "postgres", "-D", home / "data", *options],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=home, **own,
    )  # fmt: skip
    url = f"postgresql://grader:secret@127.0.0.1:{port}/"
    ready = [programs / "pg_isready", "-h", "127.0.0.1", "-p", str(port)]
    wait_for(lambda: subprocess.run(ready, capture_output=True).returncode == 0, "the server")
    subprocess.run([programs / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "grader",
                    "gradebook"], check=True, cwd=home)  # fmt: skip
    yield url
    running.send_signal(SIGINT)
    running.wait()
    shutil.rmtree(home)


def tempfile_of(user):
    """A short folder of the user's, as a socket's path may not be long."""
    import tempfile

    folder = tempfile.mkdtemp(prefix="pg")
    os.chown(folder, user.pw_uid, user.pw_gid)
    return folder


def use(term, url):
    """What the README says: one line in the term's settings, and init."""
    with (term.root / "nbgrader_config.py").open("a") as file:
        file.write(f"c.CourseDirectory.db_url = {url!r}\n")


@LONG
def test_a_gradebook_on_a_server_says_the_same(term, undisturbed, server):
    use(term, server + "gradebook")
    init(term.root)
    done = grade(Term.open(term.root), LESSONS, workers=2)
    assert len(done.graded) == 20
    assert rows(server + "gradebook") == undisturbed
    assert len(grade(Term.open(term.root), LESSONS).skipped) == 20


def test_a_server_that_is_not_there_is_named_without_its_password(term, capsys):
    use(term, "postgresql://grader:secret@127.0.0.1:1/gradebook")
    assert main(["grade", "--course", str(term.root)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "127.0.0.1:1/gradebook: not a gradebook" in line
    assert "autograde init" in line
    assert "secret" not in line


@LONG
def test_each_row_is_what_nbgraders_own_command_writes(term, undisturbed):
    """Late penalties, hand grading and a second submission too."""
    with (term.root / "nbgrader_config.py").open("a") as file:
        file.write("c.LateSubmissionPlugin.penalty_method = 'zero'\n")
    students = ("ada1", "perfect", "untouched")
    late = term.submission("ada1", "02_divergence").parent / "timestamp.txt"
    late.write_text("2030-01-02 00:00:00 UTC")
    (term.submission("perfect", "02_divergence").parent / "timestamp.txt").write_text(
        "2029-12-31 00:00:00 UTC"
    )
    with term.api().gradebook as gradebook:
        due = {"duedate": "2030-01-01 00:00:00 UTC"}
        gradebook.update_or_create_assignment("02_divergence", **due)
    for student in students:
        grade(term, ["02"], student=student)
    with term.api().gradebook as gradebook:
        found = gradebook.find_grade("test_k1", "02_divergence", "02_divergence", "perfect")
        found.manual_score, found.extra_credit = 1.5, 0.5
        gradebook.db.commit()
    path = term.submission("perfect", "02_divergence")
    newer = nbformat.read(path, as_version=4)
    cell(newer, "k1").source += "\n# once more"
    nbformat.write(newer, path)  # of the same answer nbgrader asks to look again too, and we do not
    for student in students:
        grade(term, ["02"], student=student, regrade=True)
    ours = rows(term.url)
    penalties = {row[0]: float(row[4] or 0) for row in ours["submissions"]}
    assert penalties["ada1"] > 0
    assert penalties["perfect"] == 0
    command = [sys.executable, "-m", "nbgrader", "autograde", "02_divergence", "--force"]
    for student in students:
        done = subprocess.run(
            [*command, "--student", student], cwd=term.root, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
    assert rows(term.url) == ours


@LONG  # tests/autograde/test_hostile.py has one of them too
def test_a_file_of_300_mb_is_told_and_costs_nobody_else(term):
    path = term.submission("ada1", "02_divergence")
    with path.open("ab") as file:
        file.truncate(300 * 2**20)
    done = grade(term, ["02"])
    assert any(
        "ada1/02_divergence" in line and "larger than 64 MiB" in line for line in done.failed
    )
    assert len(done.graded) == 9


@pytest.mark.parametrize(
    ("whom", "says"), every(2, [("--student perfect --workers 1", "1 graded"), ("", "10 graded")])
)
def test_a_full_disk_ends_the_run_with_one_line_and_the_next_goes_on(collected, whom, says):
    """The term lies on a small disk of its own, in a mount namespace that ends with the command."""
    script = f"""
        cp -r {collected} /mnt/term && cd /mnt/term
        head -c 100M /dev/zero > filler 2>/dev/null
        {sys.executable} -m autograde grade 00 {whom}; echo "code $?"
        rm filler
        {sys.executable} -m autograde grade 00 {whom}; echo "code $?"
    """
    small = ["--size", str(16 * 2**20), "--tmpfs", "/mnt"]
    done = subprocess.run(
        ["bwrap", "--dev-bind", "/", "/", *small, "bash", "-c", script],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[0] == "code 1", done.stderr
    assert "the disk is full" in done.stderr
    assert "Traceback" not in done.stderr
    assert says in done.stdout


def test_the_indexes_are_there_and_the_tables_are_nbgraders(term):
    grade(term, ["00"], student="perfect")
    import sqlite3

    with sqlite3.connect(term.root / "gradebook.db") as database:
        kinds = database.execute("select type, name from sqlite_master").fetchall()
    assert len([n for kind, n in kinds if kind == "index" and n.startswith("ix_autograde")]) == 5
    from nbgrader.api import Base

    assert {n for kind, n in kinds if kind == "table"} == {*Base.metadata.tables, "alembic_version"}
    assert lesson_path(term.root / "autograded" / "perfect", "00_start_here").is_file()
