"""A page of ours runs and fetches nothing, even where something live had come into it."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from autograde.returning.pages import policy
from tests.browser.axe import open_browser

LIVE = """<script>document.title = "ran"</script>
<img src="https://x.example/seen.png" onerror="document.title = 'ran'">
<link rel="stylesheet" href="https://x.example/style.css">
<iframe src="https://x.example/"></iframe>
<svg onload="document.title = 'ran'"></svg>
<style>body { background: url(https://x.example/seen.png); } p { color: rgb(1, 2, 3); }</style>
<img id="own" src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==">
<p>text</p>"""


def shown(head: str) -> tuple[str, list[str], int]:
    """The title of a page, what it asked the network for, and how wide its own picture is."""
    with open_browser() as browser:
        page, asked = browser.new_page(), []
        page.route("**", lambda route: (asked.append(route.request.url), route.abort()))
        html = f"<!DOCTYPE html><html><head>{head}<title>still</title></head><body>{LIVE}</body>"
        page.set_content(html, wait_until="domcontentloaded")
        page.wait_for_function("document.getElementById('own').complete")
        wide = page.evaluate("document.getElementById('own').naturalWidth")
        return page.title(), [url for url in asked if "x.example" in url], wide


@pytest.mark.browser
@pytest.mark.parametrize("mathematics", [True, False])
def test_a_browser_runs_and_fetches_nothing(mathematics):
    with ThreadPoolExecutor(1) as thread:  # as Playwright leaves its event loop running
        found = thread.submit(shown, policy(mathematics)).result()
    assert found == ("still", [], 1)
