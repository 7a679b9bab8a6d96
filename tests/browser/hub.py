"""A JupyterHub with users of the system, as README tells an administrator to set one up.

Its programs lie where `make hub` has put them. It runs in a namespace of mounts in which /etc is a
layer of its own, so that its users are real ones to it and no others on this machine know of them.
"""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from playwright.sync_api import Browser, Page

from tests.browser.jupyterlab import RUNS

ROOT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(os.environ.get("HUB") or ROOT / ".hub").absolute()
STUDENTS, INSTRUCTORS = PROGRAMS / "students", PROGRAMS / "instructors"
PASSWORD = "sesame"
OUTSIDER = 64_000  # a user of no name: what may be read by all is read by it
COURSE = "stable-policy-updates"  # what nbgrader calls it, see `autograde.course.settings`
# What the instructor's folder has of the checkout.
OF_THE_COURSE = (
    "autograde",
    "helpers",
    "notebooks",
    "solutions",
    "pyproject.toml",
    "requirements.lock",
)
ALONE = """
set -e
mount -t tmpfs none "$1/etc" && mkdir "$1/etc/upper" "$1/etc/work"
mount -t overlay -o "lowerdir=/etc,upperdir=$1/etc/upper,workdir=$1/etc/work" none /etc
"""
START = (
    ALONE
    + """
shift
for name in $USERS; do useradd --create-home --base-dir "$HOMES" --shell /bin/bash "$name"; done
for name in $USERS; do echo "$name:$PASSWORD"; done | chpasswd
chmod 700 "$HOMES"/*
mkdir -p /etc/jupyter && cp "$NBGRADER_CONFIG" /etc/jupyter/nbgrader_config.py
exec "$@"
"""
)
NBGRADER_CONFIG = """
c = get_config()
c.CourseDirectory.course_id = {course!r}
c.Exchange.root = {exchange!r}
"""
# README's, with its places.
CHOOSE = """
c = get_config()


def choose_environment(spawner):
    teaches = spawner.user.name in [{instructor!r}]
    programs = {instructors!r} if teaches else {students!r}
    spawner.cmd = [f"{{programs}}/bin/jupyterhub-singleuser"]


c.Authenticator.allow_all = True
"""
HUB_CONFIG = """
c.JupyterHub.bind_url = "http://127.0.0.1:{ports[0]}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{ports[1]}"
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{ports[2]}"
c.ConfigurableHTTPProxy.command = {proxy!r}
c.PAMAuthenticator.open_sessions = False
c.Spawner.http_timeout = c.Spawner.start_timeout = {seconds}


def set_up(spawner):
    choose_environment(spawner)
    if spawner.user.name == {instructor!r}:  # whose checkout is a copy
        spawner.environment = {{"PYTHONPATH": {course!r}}}


c.Spawner.pre_spawn_hook = set_up
"""


def lacking() -> str:
    """Why no hub can be started here; nothing where one can."""
    if os.geteuid() != 0:
        return "only root starts a hub whose users are the system's"
    if not (PROGRAMS / "ready").exists():
        return f"no JupyterHub in {PROGRAMS}; `make hub` installs one"
    python = STUDENTS / "bin/python"
    readable = ["setpriv", f"--reuid={OUTSIDER}", f"--regid={OUTSIDER}", "--clear-groups"]
    if subprocess.run([*readable, python, "-c", ""], capture_output=True).returncode:
        return (
            f"{python.resolve()} is closed to other users; make hub HUB=/opt/hub PYTHON=/usr/bin/"
            "python3, and HUB=/opt/hub for this test too"
        )
    with tempfile.TemporaryDirectory() as place:
        Path(place, "etc").mkdir()
        if subprocess.run(["unshare", "-m", "sh", "-c", ALONE, "sh", place]).returncode:
            return "this machine lays no folder over /etc"
    return ""


class Hub:
    """One that runs; `instructor` has the course in `course` and a term in `term`."""

    def __init__(self, place: Path, instructor: str, students: list[str]) -> None:
        self.place, self.instructor, self.students = place, instructor, students
        self.homes, self.exchange = place / "homes", place / "exchange"
        self.course = self.homes / instructor / "course"
        self.term = self.homes / instructor / "term"
        self.ports = _free_ports(3)
        self.process: subprocess.Popen | None = None

    def start(self) -> None:
        """The hub, with everybody's home and an exchange that all may write in."""
        for folder in (self.homes, self.exchange, self.place / "etc"):
            folder.mkdir()
        self.exchange.chmod(0o777)
        users = [self.instructor, *self.students]
        settings = {"course": COURSE, "exchange": str(self.exchange)}
        config = self.place / "nbgrader_config.py"
        config.write_text(NBGRADER_CONFIG.format(**settings), encoding="utf-8")
        self._write_hub_config()
        words = [INSTRUCTORS / "bin/jupyterhub", "--config", self.place / "hub_config.py"]
        environ = os.environ | {
            "USERS": " ".join(users), "HOMES": str(self.homes), "PASSWORD": PASSWORD,
            "NBGRADER_CONFIG": str(config),
        }  # fmt: skip
        command = ["unshare", "-m", "sh", "-c", START, "sh", self.place, *words]
        with (self.place / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [str(word) for word in command], cwd=self.place, env=environ, stdout=log,
                stderr=log, start_new_session=True,
            )  # fmt: skip
        self._await()
        self._give_course()

    def _write_hub_config(self) -> None:
        text = (CHOOSE + HUB_CONFIG).format(
            ports=self.ports, instructor=self.instructor, seconds=RUNS,
            proxy=[str(PROGRAMS / "node_modules/.bin/configurable-http-proxy")],
            students=str(STUDENTS), instructors=str(INSTRUCTORS), course=str(self.course),
        )  # fmt: skip
        (self.place / "hub_config.py").write_text(text, encoding="utf-8")

    def _await(self) -> None:
        until = time.monotonic() + RUNS
        while self.process.poll() is None and time.monotonic() < until:
            with suppress(OSError), urllib.request.urlopen(f"{self.url}/hub/health"):
                return
            time.sleep(0.1)
        raise RuntimeError(f"no hub: {(self.place / 'log').read_text()[-2000:]}")

    def _give_course(self) -> None:
        """A copy of the checkout, which is the instructor's and closed to students."""
        home = self.course.parent
        self.course.mkdir(mode=0o700)
        for name in OF_THE_COURSE:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, self.course / name)
        owner = home.stat()
        for path in (self.course, *self.course.rglob("*")):
            os.chown(path, owner.st_uid, owner.st_gid)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports[0]}"

    def tried(self, user: str, *words: object, folder: Path | None = None):
        """A command in a user's terminal, whatever becomes of it."""
        home = self.homes / user
        owner = home.stat()
        programs = INSTRUCTORS if user == self.instructor else STUDENTS
        variables = {"HOME": home, "USER": user, "PATH": f"{programs}/bin:/usr/bin:/bin"}
        if user == self.instructor:
            variables |= {"PYTHONPATH": self.course, "OMP_NUM_THREADS": 1}
        command = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt"]
        command += ["setpriv", f"--reuid={owner.st_uid}", f"--regid={owner.st_gid}"]
        command += ["--clear-groups", "env", "-i", "-C", folder or home]
        command += [*(f"{name}={value}" for name, value in variables.items()), *words]
        return subprocess.run(
            [str(word) for word in command], capture_output=True, text=True, check=False
        )

    def run(self, user: str, *words: object, folder: Path | None = None) -> str:
        """The same, which must succeed; what it printed."""
        done = self.tried(user, *words, folder=folder)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    @contextmanager
    def logged_in(self, browser: Browser, user: str) -> Iterator[Page]:
        """JupyterLab of a user who has signed in, in a browser of their own."""
        context = browser.new_context(viewport={"width": 1200, "height": 900})
        context.set_default_timeout(RUNS * 1000)  # a server is started for whoever signs in
        try:
            page = context.new_page()
            page.goto(f"{self.url}/hub/login")
            page.get_by_label("Username").fill(user)
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("menuitem", name="Nbgrader", exact=True).wait_for()
            yield page
        finally:
            context.close()

    def stop(self) -> None:
        """The hub ends its users' servers first."""
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(RUNS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()


def _free_ports(number: int) -> list[int]:
    """All are held until each is known, so that no two are the same."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def running(instructor: str, students: list[str]) -> Iterator[Hub]:
    """A hub in a folder that its users may enter, until the end of the block."""
    place = Path(tempfile.mkdtemp(prefix="hub-"))
    place.chmod(0o755)
    hub = Hub(place, instructor, students)
    try:
        hub.start()
        yield hub
    finally:
        hub.stop()
        shutil.rmtree(place, ignore_errors=True)
