"""What a check shows, whatever it found, is readable on a light page and on a dark one."""

import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from helpers.report import STATUS, Report
from helpers.verdict import Failure, Verdict
from tests.browser.axe import serious_violations
from tests.pages import as_html

FAILURES = [
    Failure("values", "two tokens", "the result", "tensor([0.1])", "tensor([0.2])"),
    Failure("values", "one token", "", "ValueError: no", "", "raise ValueError('no')"),
]
# nbconvert's own colours of prompts and code are not looked at.
OURS_ALONE = ".jp-InputPrompt, .jp-OutputPrompt, .jp-InputArea { display: none }"


def page(theme: str) -> str:
    """One report of every status, with all that a report may hold."""
    parts, passed = {"values": 2, "gradient": 1}, {"values": True, "gradient": False}
    verdicts = [
        Verdict("k1", status, parts, passed, FAILURES, {"swapped": "The arguments are swapped."})
        for status in STATUS
    ]
    reports = [Report(one, note='Stuck? hint("k1")')._repr_html_() for one in verdicts]
    outputs = [new_output("display_data", {"text/html": report}) for report in reports]
    html = as_html(new_notebook(cells=[new_code_cell("check", outputs=outputs)]), theme)
    return html.replace("</head>", f"<style>{OURS_ALONE}</style></head>")


@pytest.mark.browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_report_can_be_read(theme):
    html = page(theme)
    assert all(says in html for says in STATUS.values())
    assert serious_violations(html) == []
