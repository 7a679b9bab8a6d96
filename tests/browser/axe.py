"""axe-core on a page: the violations that keep people out.

Whoever tests a page marks the test with `@pytest.mark.browser` and asserts
`not serious_violations(html)`.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

COUNTS = ("serious", "critical")


def chromium() -> str | None:
    """The path of the system's Chromium, or None where there is none."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def open_browser() -> Iterator[Browser]:
    """The system's Chromium, without a window. Raises RuntimeError where there is none."""
    path = chromium()
    if path is None:
        raise RuntimeError("no Chromium is installed here; `make browser` installs it")
    with sync_playwright() as playwright:
        # Its own sandbox is refused to root and within containers; only our pages are opened.
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def serious_violations(page: Page | str, within: str | None = None) -> list[str]:
    """What axe-core calls serious or critical: a line for each element, empty when all is well.

    page: an open page, or the text of an HTML page, which is opened for this call alone.
    within: a CSS selector; of an open page, only what it selects is looked at.
    """
    if isinstance(page, str):
        # In a thread of its own, as Playwright leaves its event loop running in the caller's.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(_in_own_browser, page).result()
    found = Axe().run(page, context=within).response["violations"]
    return [
        f"{rule['id']} ({rule['impact']}): {node['html'][:200]}  {_why(node)}"
        for rule in found
        if rule["impact"] in COUNTS
        for node in rule["nodes"]
    ]


def _in_own_browser(html: str) -> list[str]:
    with open_browser() as browser:
        page = browser.new_page()
        page.set_content(html, wait_until="domcontentloaded")
        return serious_violations(page)


def _why(node: dict) -> str:
    said = [reason["message"] for kind in ("any", "all", "none") for reason in node[kind]]
    return "; ".join(said)
