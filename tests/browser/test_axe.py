"""The checker finds what it should, so that its silence elsewhere says something."""

import pytest

from tests.browser.axe import serious_violations

PAGE = "<!doctype html><html lang='en'><title>t</title><main><h1>t</h1>{}</main></html>"

pytestmark = pytest.mark.browser


def test_a_sound_page_has_none():
    assert serious_violations(PAGE.format("<img alt='a curve that falls' src=''>")) == []


@pytest.mark.parametrize(
    ("content", "rule"),
    [
        ("<img src=''>", "image-alt"),
        ("<p style='color:#bbb;background:#fff'>pale</p>", "color-contrast"),
        ("<input type='text'>", "label"),
    ],
)
def test_a_page_that_keeps_people_out_is_named(content, rule):
    (line,) = serious_violations(PAGE.format(content))
    assert line.startswith(rule)
    assert content[:3] in line
