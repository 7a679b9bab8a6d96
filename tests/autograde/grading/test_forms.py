"""What is left of an answer without its looks: another name for a variable is no other program."""

import nbformat
import pytest

from autograde.grading.forms import form, forms
from autograde.grading.rebuild import rebuild
from autograde.term.verdict import Graded
from tests.classroom import UNWRITTEN, verdict

LESSON = "02_divergence"
ONE = '''def k2(logp, ref_logp):
    """What it is."""
    gap = logp - ref_logp  # the gap
    return 0.5 * gap.square()
'''


@pytest.mark.parametrize(
    ("words", "shape", "changed"),
    [
        (True, True, ONE.replace("What it is", "Something else")),
        (True, True, ONE.replace("gap = logp - ref_logp", "gap = (logp   -   ref_logp)")),
        (True, True, ONE.replace("(logp, ref_logp):", "(logp: int, ref_logp: int) -> int:")),
        (False, True, ONE.replace("# the gap", "# a difference")),
        (False, True, ONE.replace("gap", "difference")),
        (False, False, ONE.replace("0.5 * gap.square()", "gap.square() / 2")),
        (False, False, ONE.replace(".square", ".abs")),
    ],
)
def test_words_and_shape(words, shape, changed):
    one, other = form(ONE), form(changed)
    assert (one[0] == other[0], one[1] == other[1]) == (words, shape)


@pytest.mark.parametrize(
    "source", ["def k2(:", "x = 'open", "\0", "(" * 5_000, "x = " + "-" * 100_000 + "1", "\ud800"]
)
def test_what_is_no_python_is_compared_with_nobodys(source):
    assert form(source) == []


def test_only_functions_that_were_written(base, solved):
    def of(**answers):
        judged = {name: verdict(LESSON, name, what) for name, what in answers.items()}
        return forms(rebuild(base, nbformat.from_dict(solved)), Graded(LESSON, judged, "fork"))

    assert set(of(k1="right", k2="right", k3=UNWRITTEN, q02_dynamics="right")) == {"k1", "k2"}
