"""What is said of one is said of one."""

import pytest

from autograde.common.saying import counted


@pytest.mark.parametrize(
    ("count", "words", "says"),
    [
        (0, ("page",), "0 pages"),
        (1, ("page",), "1 page"),
        (2, ("page",), "2 pages"),
        (1, ("score waits", "scores wait"), "1 score waits"),
        (12_345, ("score waits", "scores wait"), "12,345 scores wait"),
    ],
)
def test_a_count_and_what_it_is_of(count, words, says):
    assert counted(count, *words) == says
