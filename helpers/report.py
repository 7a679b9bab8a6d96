"""Say what a check found: as HTML in a notebook, as plain text in a terminal."""

import re
from html import escape

from .cases import VALUES
from .clean import clean
from .verdict import Failure, Verdict

STATUS = {
    "right": "every case passes",
    "not written": "not written yet",
    "raised": "your code raised an exception",
    "wrong": "not right yet",
    "not answered": "no answer arrived",
    # Of questions alone: of the form that was asked for, and whether it is right is not known here.
    "answered": "answered; whether it is right, grading will tell",
    "incomplete": "not answered in the form that was asked for",
}
UNSAID = ("not written", "not answered", "answered", "incomplete")  # nothing is known of parts
COLOURS = {"right": "#1a7f37", "answered": "#1a7f37", "not written": "#57606a"}
BENEATH = "It calls {}, which is not right yet either: begin there."
MOST = 4  # failures shown in full; the others repeat them
MOST_SHOWN = 20_000  # characters of one thing that is told of an answer


def is_quiz(name: str) -> bool:
    """Whether the exercise is a question, answered by a value."""
    return bool(re.match(r"q\d\d_", name))


def is_essay(name: object) -> bool:
    """Whether the name is an essay's, which a person grades."""
    return isinstance(name, str) and name.startswith("essay_")


def status_of(verdict: Verdict) -> str:
    """The verdict's status in words."""
    if verdict.status == "right" and is_quiz(verdict.exercise):
        return "right"
    return STATUS[verdict.status]


class Report:
    """A verdict that Jupyter shows as HTML and a terminal as text.

    hidden: of a grading, on cases that the reader cannot run: it says the points, and keeps what a
    question's answer should have been to itself.
    note: a last line.
    """

    def __init__(self, verdict: Verdict, hidden: bool = False, note: str = ""):
        self.verdict, self.hidden, self.note = verdict, hidden, note
        self.status = status_of(verdict)

    def __repr__(self) -> str:
        lines = [self._headline()]
        lines += [f"  {mark} {part}" for mark, part in self._parts()]
        lines += [f"  → {says}" for says in self._says()]
        lines += [f"  {line}" for failure in self._failures() for line in self._lines(failure)]
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        colour = COLOURS.get(self.verdict.status, "#b35900")
        # Mixed with the page's own: no one colour is readable on light and on dark.
        mixed = f"color-mix(in srgb, {colour} 65%, currentcolor)"
        head = f"<b style='color:{mixed}'>{escape(self._headline())}</b>"
        parts = " ".join(
            f"<span style='display:inline-block;margin-right:1.2em'>{mark} {escape(part)}</span>"
            for mark, part in self._parts()
        )
        rows = [f"<div>{parts}</div>"] if parts else []
        rows += [
            f"<div style='margin:.4em 0'><b>→ {escape(says)}</b></div>" for says in self._says()
        ]
        for failure in self._failures():
            first, *rest = map(escape, self._lines(failure))
            details = f"<pre style='margin:.1em 1.5em'>{chr(10).join(rest)}</pre>" if rest else ""
            rows.append(f"<div style='margin-top:.4em'>{first}</div>{details}")
        if self.note:
            rows.append(f"<div style='margin-top:.4em'>{escape(self.note)}</div>")
        style = f"border-left:4px solid {colour};padding:.3em .8em"
        return f"<div style='{style}'>{head}{''.join(rows)}</div>"

    def gist(self) -> list[str]:
        """What is wrong in a line or two: the diagnoses, or why there is nothing to judge."""
        verdict = self.verdict
        if verdict.diagnoses or verdict.status not in ("raised", "not answered"):
            return self._says()
        return [*self._beneath(), *(_shown(failure.got) for failure in verdict.failures[:1])]

    def _says(self) -> list[str]:
        """What is beneath comes first: with that mended, the rest may be right."""
        return [*self._beneath(), *self._despite(), *self.verdict.diagnoses.values()]

    def _beneath(self) -> list[str]:
        return [BENEATH.format(name) for name in self.verdict.calls]

    def _despite(self) -> list[str]:
        names = " and ".join(self.verdict.despite)
        says = f"It calls {names}, which is not right yet; that costs its points there, not here."
        return [says] if names else []

    def _headline(self) -> str:
        verdict = self.verdict
        head = f"{verdict.exercise}: {self.status}"
        if self.hidden:
            most = f"{verdict.points:g} of {verdict.max_points:g} points"
            head += f" ({most if verdict.max_points else 'no points are given for it'})"
        return head

    def _parts(self) -> list[tuple[str, str]]:
        verdict = self.verdict
        if verdict.status in UNSAID or len(verdict.parts) < 2:
            return []
        counted = verdict.passed.get(VALUES, True)
        marks = {part: "✓" if passed else "✗" for part, passed in verdict.passed.items()}
        if not counted:  # whether the rest is right cannot be told, and does not count
            marks = {part: "✗" if part == VALUES else "–" for part in marks}
        return [(mark, part + self._worth(part)) for part, mark in marks.items()]

    def _worth(self, part: str) -> str:
        worth = self.verdict.parts[part]
        return f" ({worth:g} point{'s' * (worth != 1)})" if self.verdict.max_points else ""

    def _failures(self) -> list[Failure]:
        """The first few failures, each kind of exception once, each case and answer once."""
        first: dict[tuple[str, str], Failure] = {}
        for failure in self.verdict.failures:
            if failure.expected:
                key = failure.case, failure.got
            else:  # the same exception, of other sizes or in other words, is the same to a reader
                key = failure.line, re.sub(r"\d+", "", failure.got)
            first.setdefault(key, failure)
        return list(first.values())[:MOST]

    def _lines(self, failure: Failure) -> list[str]:
        if not failure.expected:
            own = [f"in your line: {_shown(failure.line)}"] if failure.line else []
            return [f"{_shown(failure.case)}:", _shown(failure.got), *own]
        what = f"{_shown(failure.case)}, {_shown(failure.what)}:"
        lines = [what, f"got       {_shown(failure.got)}"]
        if self.hidden and is_quiz(self.verdict.exercise):
            return lines
        return [*lines, f"expected  {_shown(failure.expected)}"]


def _shown(text: object) -> str:
    """What an answer says, whose further lines are indented, so that none stands as one of ours."""
    return clean(text, lines=True, most=MOST_SHOWN).replace("\n", "\n    ")
