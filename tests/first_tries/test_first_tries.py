"""Of what people first try, nothing false is said, and of nine in ten something true."""

import pytest

from . import RIGHT, outcome, tried_exercises, tries


@pytest.mark.parametrize("name", list(tried_exercises()))
def test_what_is_told_is_true(name):
    missing = 0
    for tried in tries(name):
        seen = outcome(tried, tried.verdict())
        assert seen.refused == (tried.may != (RIGHT,)), tried.name
        assert not seen.falsely, f"{tried.name}: {seen.falsely}"
        missing += seen.refused and not seen.truly
    refused = [tried for tried in tries(name) if tried.may != (RIGHT,)]
    assert missing <= len(refused) / 10
