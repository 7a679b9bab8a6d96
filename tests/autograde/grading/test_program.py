"""What names a program names what was run."""

from autograde.grading.program import Program
from autograde.grading.rebuild import rebuild

LESSON = "02_divergence"


def test_its_names_stay_when_it_is_cleaned_to_be_shown(base):
    one = Program(LESSON, rebuild(base, base), "fork")
    mark, key = one.mark, one.key
    for cell in one.rebuilt.cells:
        cell.source += "\f"
    assert (one.mark, one.key) == (mark, key)
    assert Program(LESSON, one.rebuilt, "fork").mark != mark
