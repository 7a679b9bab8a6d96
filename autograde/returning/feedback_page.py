"""The page that goes back to a student, made by nbgrader's own converter from a template of ours.

It holds what the student wrote, what was found and what to do next, and of grade cells only the
outputs: their source, where a hidden test may stand, is never written.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode
from nbgrader import utils
from nbgrader.preprocessors import GetGrades
from traitlets.config import Config

from helpers.clean import clean
from helpers.report import is_quiz

from ..course.exercises import exercises
from ..course.lessons import grade_id
from ..grading.essays import NOTE, PROSE
from ..grading.prose import Room, safe_html, shown
from ..grading.rebuild import is_added
from ..term.due import Dues
from ..term.term import Term
from .feedback import counts_until, told
from .pages import TEMPLATES, day, mathjax, policy, whose

CHANGED = ("✎", "changed by your instructor", "soft")
CONFIRMED = ("✎", "confirmed by your instructor", "soft")
WAITS = ("…", "waits for your instructor", "soft")
# The mark, the words and the style, so that nothing is told by colour alone.
FULL = ("✓", "full points", "full")
PART = ("◐", "part of the points", "part")
NONE = ("✗", "no points yet", "none")
STATUS = {"not written": "not written yet", "not answered": "no answer arrived"}
UNCOUNTED = "no points are given for it"  # where the term counts an exercise for nothing


class FeedbackPage(HTMLExporter):
    """nbconvert's HTML, in the template `templates/feedback_page`."""

    @property
    def default_config(self) -> Config:
        # In a section of its own, as nbgrader sets HTMLExporter's after it has read all settings.
        mine = {"template_name": "feedback_page", "extra_template_basedirs": [str(TEMPLATES)]}
        config = Config({"FeedbackPage": mine})
        config.merge(super().default_config)
        return config


class Advise(GetGrades):
    """In place of nbgrader's GetGrades: the grades, and what they say to the student."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        nb, resources = super().preprocess(nb, resources)
        known = resources["nbgrader"]
        sources = {grade_id(cell): cell for cell in nb.cells if utils.is_solution(cell)}
        items = [_item(known["assignment"], c, sources) for c in nb.cells if utils.is_grade(c)]
        resources["feedback"] = {
            "lesson": known["assignment"],
            **self._whose(known["assignment"], resources["metadata"]),
            "newer": self._newer(known["assignment"], resources["metadata"]),
            "score": known["score"],
            "most": known["max_score"],
            "late": known["late_penalty"],
            "entries": items,
            "unread": sum(i["most"] for i in items if i["waits"]),
            "todo": [i for i in items if i["mend"]],
            "ruled": any(i["ruled"] and i["score"] < i["most"] for i in items),
            "own": [clean(c.source, lines=True) for c in nb.cells if _is_own(c)],
            "notes": [shown(cell.source) for cell in nb.cells if _has_tag(cell, NOTE)],
            "policy": policy,
            "mathjax": mathjax,
            "style": (TEMPLATES / "style.css").read_text(encoding="utf-8"),
        }
        return nb, resources

    def _whose(self, lesson: str, metadata: Mapping[str, Any]) -> dict[str, str]:
        """Whose page it is, and of when: of files and gradebook, so that it is the same again."""
        with self.gradebook:
            student = self.gradebook.find_student(self.student_id)
            names = {"first_name": student.first_name, "last_name": student.last_name}
            handed_in = self.gradebook.find_submission(lesson, self.student_id).timestamp
        graded = Path(metadata["path"], f"{metadata['name']}.ipynb").stat().st_mtime
        return {
            "whose": whose(self.student_id, names),
            "handed_in": f"{handed_in:%Y-%m-%d %H:%M} UTC" if handed_in else "",
            "graded": day(graded),
        }

    def _newer(self, lesson: str, metadata: Mapping[str, Any]) -> dict[str, str]:
        """What is wrong with a newer file, where one came that could not be graded."""
        term = Term(Path(metadata["path"]).parents[2])
        with term.store() as store:
            reason = store.failed().get(f"{self.student_id}/{lesson}", "")
        if not reason:
            return {}
        path = term.submission(self.student_id, lesson)
        what, remedy = told(reason, path)
        there = path if path.is_file() else path.parent
        collected = day(there.stat().st_mtime) if there.exists() else ""
        until = counts_until(Dues(term), term, self.student_id, lesson, earlier=True)
        return {"what": what, "remedy": remedy, "collected": collected, "until": until}

    def _get_score(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        super()._get_score(cell, resources)
        names = (self.notebook_id, self.assignment_id, self.student_id)
        grade = self.gradebook.find_grade(grade_id(cell), *names)
        mark = cell.metadata.nbgrader
        if utils.is_solution(cell):  # an essay; the rest is graded by program
            mark["waits"] = grade.needs_manual_grade and grade.manual_score is None
            mark["unwritten"] = mark.get("checksum") == utils.compute_checksum(cell)
        else:
            mark["ruled"] = grade.manual_score is not None
            if mark["ruled"] or grade.auto_score not in (None, mark["score"]):  # extra credit
                mark["counted"] = grade.auto_score or 0.0
        mark["before"] = grade.needs_manual_grade and grade.manual_score is not None

    def _get_comment(self, cell: NotebookNode, resources: dict[str, Any]) -> None:
        """Only what a person wrote: nbgrader's own "No response." is said by the status."""
        names = (self.notebook_id, self.assignment_id, self.student_id)
        comment = self.gradebook.find_comment(grade_id(cell), *names)
        cell.metadata.nbgrader["comment"] = comment.manual_comment or ""


def _is_own(cell: NotebookNode) -> bool:
    return is_added(cell) and not _has_tag(cell, PROSE)


def _has_tag(cell: NotebookNode, tag: str) -> bool:
    return tag in cell.metadata.get("tags", ())


def _item(lesson: str, cell: NotebookNode, sources: dict[str, NotebookNode]) -> dict[str, Any]:
    """What the page says of one grade cell, or of an essay, which is graded where it stands."""
    mark = cell.metadata.nbgrader
    name = grade_id(cell).removeprefix("test_")
    answer = sources.get(name)
    outputs = [o for o in cell.get("outputs", []) if o.output_type == "display_data"]
    found = outputs[0].metadata if outputs else {}
    waits, ruled = bool(mark.get("waits")), bool(mark.get("ruled"))
    symbol, says, shade = _verdict(mark, found.get("status"))
    is_right = mark["score"] >= mark["points"]
    if not mark["points"]:
        is_right = bool(mark["score"]) or found.get("status") == "right"
    described = exercises(lesson).get(name)
    essay = answer is cell
    comment = answer.metadata.nbgrader.get("comment") if answer else ""
    unwritten = essay and not waits and not mark["score"] and mark.get("unwritten")
    return {
        "name": name,
        "kind": "essay" if essay else "question" if is_quiz(name) else "exercise",
        "score": mark["score"],
        "most": mark["points"],
        "waits": waits,
        "mark": symbol,
        "says": STATUS["not written"] if unwritten else says,
        "counted": mark.get("counted"),
        "ruled": ruled,
        # What a person has set, or is to look at, is not for the student to mend.
        "mend": mark["score"] < mark["points"] and not (waits or ruled or mark["before"]),
        "before": mark["before"],
        "shade": shade,
        "gist": found.get("gist", []),
        "hint": described.hints[0] if described and not (is_right or "counted" in mark) else "",
        "reports": [o.data["text/html"] for o in outputs if "text/html" in o.data],
        "comment": comment and safe_html(comment, Room()),
        "source": ""
        if unwritten or not answer
        else shown(answer.source)
        if essay
        else clean(answer.source, lines=True),
    }


def _verdict(mark: Mapping[str, Any], status: str | None) -> tuple[str, str, str]:
    """The mark, the words and the style of one grade cell; status: what was found."""
    if mark.get("waits"):
        return WAITS
    if "counted" in mark:  # what a person has set is no word on what was found
        return CONFIRMED if mark["counted"] == mark["score"] else CHANGED
    if not (mark["points"] or mark["score"]):
        right = status == "right"
        found_it = "right" if right else STATUS.get(status, "not right yet")
        return ("✓" if right else "–"), f"{found_it}; {UNCOUNTED}", ("full" if right else "soft")
    lacks = mark["score"] < mark["points"]
    symbol, says, shade = FULL if not lacks else PART if mark["score"] else NONE
    return symbol, STATUS.get(status, says), shade
