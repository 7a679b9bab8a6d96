"""A verdict as the outputs of a notebook, where nbgrader and people read it."""

from nbformat import NotebookNode, from_dict

from helpers.report import Report
from helpers.verdict import Verdict

from ..course.lessons import grade_id
from ..course.plan import worth
from ..term.verdict import Graded


def fill(rebuilt: NotebookNode, graded: Graded) -> NotebookNode:
    """Put each verdict into the outputs of its grade cell, which is where nbgrader reads scores.

    It counts as many points as the term gives for the exercise, which the cell says.
    """
    for cell in rebuilt.cells:
        name = grade_id(cell).removeprefix("test_")
        mark = cell.metadata.get("nbgrader", {})
        if cell.cell_type == "code" and name in graded.verdicts and mark.get("grade"):
            counted = worth(graded.verdicts[name], mark.get("points"))
            cell.outputs = _outputs(counted, graded.sandbox)
    return rebuilt


def _outputs(verdict: Verdict, sandbox: str) -> list[NotebookNode]:
    """A report, and the points in the one form that nbgrader reads without a trap."""
    note = "This was graded without a sandbox." if sandbox == "none" else ""
    report = Report(verdict, hidden=True, note=note)
    shown = {"text/plain": repr(report), "text/html": report._repr_html_()}
    points = {"text/plain": repr(float(verdict.points))}
    metadata = {"status": verdict.status, "gist": report.gist()}
    # Plain dicts: nbformat's new_output validates each against its schema, which takes longer.
    return [
        from_dict(one)
        for one in (
            {"output_type": "display_data", "data": shown, "metadata": metadata},
            {"output_type": "execute_result", "data": points, "metadata": {}, "execution_count": 1},
        )
    ]
