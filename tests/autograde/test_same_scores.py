"""The points do not depend on how student code was run; `make same-scores` compares them all."""

from itertools import islice

import pytest

from tests.same_scores import in_mode, submissions

LESSON = "00_start_here"


@pytest.mark.parametrize("number", [0, 1])
def test_every_mode_gives_the_same_points(number):
    _, notebook = next(islice(submissions(LESSON), number, None))
    found = [in_mode(LESSON, notebook, mode) for mode in ("fork", "strict", "none")]
    assert found[0] == found[1] == found[2]
    assert (number == 0) == all(found[0].values())
