"""The points do not depend on how student code was run; `make same-scores` compares them all."""

from itertools import islice

import pytest
import torch

from autograde.course.exercises import LESSONS
from tests.same_scores import in_mode, submissions

LESSON = "00_start_here"


@pytest.mark.parametrize("number", [0, 1])
def test_every_mode_gives_the_same_points(number):
    _, notebook = next(islice(submissions(LESSON), number, None))
    found = [in_mode(LESSON, notebook, mode) for mode in ("fork", "strict", "none")]
    assert found[0] == found[1] == found[2]
    assert (number == 0) == all(found[0].values())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="asks its questions on a CUDA device")
@pytest.mark.parametrize("lesson", LESSONS)
def test_questions_asked_on_a_gpu_give_the_same_points(lesson):
    for _, notebook in islice(submissions(lesson), 2):
        assert in_mode(lesson, notebook, "strict", "cuda") == in_mode(lesson, notebook, "fork")
