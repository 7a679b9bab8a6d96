"""JupyterLab as a person uses it: its own server, and what is clicked and typed in its page."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
from playwright.sync_api import Browser, Locator, Page, expect

from autograde.course.lessons import grade_id
from tests.browser.axe import serious_violations

# In seconds, many times what each takes: a server or a page that opens, a lesson that runs.
OPENS, RUNS = 60, 300
SETTINGS = {
    "notification": {"fetchNews": "false", "checkForUpdates": False},  # asks for nothing online
    "themes": {"adaptive-theme": True},  # dark where the browser is
}
ERROR = "[data-mime-type='application/vnd.jupyter.stderr']"  # warnings and tracebacks alike
HOLE = "    # YOUR CODE HERE\n    raise NotImplementedError()"
RAN = re.compile(r"\[\d+\]:")
expect.set_options(timeout=OPENS * 1000)  # 5 seconds are not enough on a busy machine


class Server:
    """`jupyter lab` that runs in `folder`; `url` begins every address, `token` lets one in."""

    def __init__(self, folder: Path, url: str, token: str) -> None:
        self.folder, self.url, self.token = folder, url, token

    def address(self, path: str) -> str:
        return f"{self.url}{path}?token={self.token}"


@contextmanager
def serve(folder: Path, home: Path) -> Iterator[Server]:
    """JupyterLab in `folder`, on a free port; what it keeps for itself is under `home`."""
    runtime = home / "runtime"
    settings = home / "settings"
    environ = os.environ | {
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(runtime),
        "JUPYTERLAB_SETTINGS_DIR": str(settings),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
        "IPYTHONDIR": str(home / "ipython"),
    }
    for name, values in SETTINGS.items():
        path = settings / "@jupyterlab" / "apputils-extension" / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values), encoding="utf-8")
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--ServerApp.port=0"]
    command += ["--allow-root"] if os.geteuid() == 0 else []
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environ, stdout=log, stderr=log)
        try:
            yield _listening(process, folder, runtime)
        finally:
            process.terminate()  # it ends its kernels first
            try:
                process.wait(OPENS)
            except subprocess.TimeoutExpired:  # a thread of its own may never end
                process.kill()
                process.wait()


def _listening(process: subprocess.Popen, folder: Path, runtime: Path) -> Server:
    """The server once it listens: it then writes into a file on which port."""
    until = time.monotonic() + OPENS
    while process.poll() is None and time.monotonic() < until:
        for path in runtime.glob("jpserver-*.json"):
            if text := path.read_text("utf-8"):
                said = json.loads(text)
                return Server(folder, said["url"], said["token"])
        time.sleep(0.05)
    raise RuntimeError(f"JupyterLab did not start; see {runtime.parent / 'log'}")


@contextmanager
def tab(browser: Browser, server: Server, path: str, theme: str = "light") -> Iterator[Page]:
    """JupyterLab in a tab of its own, at a path of the server; kernels begun in it end with it."""
    context = browser.new_context(viewport={"width": 1200, "height": 900}, color_scheme=theme)
    context.set_default_timeout(OPENS * 1000)
    try:
        page = context.new_page()
        page.goto(server.address(path) + "&reset")  # with nothing open of earlier visits
        yield page
        for session in context.request.get(server.address("api/sessions")).json():
            context.request.delete(server.address(f"api/sessions/{session['id']}"))
    finally:
        context.close()


@contextmanager
def opened(browser: Browser, server: Server, path: str, theme: str = "light") -> Iterator["Lesson"]:
    """The notebook at `path` in a tab of its own, its kernel ready."""
    with tab(browser, server, f"lab/tree/{path}", theme) as page:
        page.locator(".jp-Notebook .jp-Cell").first.wait_for()
        page.get_by_text("| Idle").wait_for()  # the kernel, in the status bar
        yield Lesson(page, server.folder / path)


class Lesson:
    """A notebook that is open in JupyterLab on `page`; `path` is its file."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path
        cells = nbformat.read(path, as_version=4).cells
        self.sources = [cell.source for cell in cells]
        self.places = {grade_id(cell): i for i, cell in enumerate(cells) if grade_id(cell)}
        self.cells = page.locator(".jp-Notebook .jp-Cell")

    def cell(self, name: str) -> Locator:
        """The cell with this grade_id."""
        return self.cells.nth(self.places[name])

    def with_text(self, text: str) -> Locator:
        """The first code cell with this in its source."""
        source = self.page.locator(".jp-Cell-inputWrapper", has_text=text)
        return self.page.locator(".jp-CodeCell", has=source).first

    def run_all(self) -> None:
        """By the menu. It ends at the last cell, or at the first error."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        prompts = self.page.locator(".jp-CodeCell .jp-InputPrompt")
        expect(prompts.first).not_to_have_text("[ ]:", timeout=OPENS * 1000)
        end = prompts.last.filter(has_text=RAN).or_(self.page.locator(ERROR))
        end.first.wait_for(timeout=RUNS * 1000)

    def write(self, cell: Locator, source: str) -> None:
        """Type into a cell's editor in the place of what it holds."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("ControlOrMeta+a")
        self.page.keyboard.insert_text(source)  # as one piece: by key the editor indents by itself

    def answer(self, exercise: str, body: str) -> Locator:
        """Write the body of an exercise, run its cell and its check; what that says."""
        cell, check = self.cell(exercise), self.cell(f"test_{exercise}")
        self.write(cell, self.sources[self.places[exercise]].replace(HOLE, body))
        self.run(cell)
        self.run(check)
        return check.locator(".jp-OutputArea-output")

    def run(self, cell: Locator) -> None:
        """By Shift+Enter."""
        cell.locator(".cm-content").click()
        self.page.keyboard.press("Shift+Enter")
        cell.locator(".jp-InputPrompt").filter(has_text=RAN).wait_for()

    def violations(self) -> list[str]:
        """What axe-core finds in the cells' outputs; see `serious_violations`."""
        # JupyterLab's body has no height: axe-core would take all that is in it for hidden.
        self.page.add_style_tag(content="body { height: 100vh }")
        return serious_violations(self.page, ".jp-OutputArea-output")
