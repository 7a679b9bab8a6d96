"""The one way by which text of others comes to a terminal, a page, a table or a database.

What is honest passes as it is: any script, accents, emoji, mathematical signs. What a reader cannot
see, or what moves a cursor or turns the direction of a line, becomes a sign that can be seen.
"""

import re
from typing import Any
from unicodedata import bidirectional, category

SIGN = "\ufffd"  # in place of what cannot be shown
MOST_TEXT = 300_000  # characters of one text
NOTE = 40  # characters that the note of what was left out may take
MOST_MARKS = 8  # accents and the like on one letter: no script has more
MOST_DEPTH, MOST_ITEMS = 20, 100_000  # of a tree such as JSON holds: levels, and values in all

_TURNS = "\u061c\u200e\u200f"  # marks of direction, which text in Arabic or Hebrew may need
_JOINERS = "\u200c\u200d"  # which scripts of India and Persia, and emoji, are spelled with
_FLAG = "\U0001f3f4[\U000e0020-\U000e007e]{1,8}\U000e007f"  # of England, say: an emoji
_UNSEEN = (
    "\x00-\x1f\x7f-\x9f"  # control characters, ESC among them
    "\u2028\u2029"  # ends of lines to some programs
    "\u202a-\u202e\u2066-\u206f"  # what turns the direction of a line
    "\xad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b\u2060-\u2065\u2800\u3164\ufeff\uffa0"
    "\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e007f"  # what has no width
    "\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff"  # halves of characters, and none at all
)
_ODD = re.compile(f"{_FLAG}|[{_UNSEEN}{_TURNS}{_JOINERS}]")
_CROWD = re.compile(rf"[^\w\s\x00-\u02ff]{{{MOST_MARKS + 1},}}")  # in which marks may be too many
_COLOUR = re.compile(r"\x1b\[[0-9;]{0,40}m")
_LINE_ENDS = re.compile("\r\n?|[\u2028\u2029]")


def clean(text: object, lines: bool = False, most: int | None = MOST_TEXT) -> str:
    """Text as it may be shown, written and stored anywhere; its own result passes unchanged.

    lines: whether it may have several, and tabs in them; else their ends are signs too, so that
    nobody adds a line to a message. most: characters; where there are more, a note at the end
    says how many were left out; None for no bound.
    """
    text, note = str(text), ""
    if most is not None and len(text) > most:
        kept = max(most - NOTE, 0)
        text, note = text[:kept], f" […{len(text) - kept:,} characters more]"
    if not (text.isascii() and text.isprintable()):
        text = _LINE_ENDS.sub("\n", _COLOUR.sub("", text)) if lines else text
        text = _CROWD.sub(_thinned, _ODD.sub(_Signs(lines).sign, text))
    return text + note


def clean_tree(tree: Any) -> Any:
    """The same of each text in what JSON can hold, of a bounded depth and size; keys are cleaned
    too, and what is of no kind that JSON has is its cleaned text."""
    return _Tree().clean(tree, MOST_DEPTH)


class _Signs:
    """What stands in place of each character of one text."""

    def __init__(self, lines: bool) -> None:
        self._kept = "\t\n" if lines else ""
        self._right_to_left: bool | None = None

    def sign(self, found: re.Match[str]) -> str:
        one = found[0]
        if len(one) > 1 or one in self._kept or self._is_spelling(found):
            return one
        if one < " ":
            return chr(0x2400 + ord(one))  # as tables of ASCII picture it: ␛ for ESC
        return SIGN

    def _is_spelling(self, found: re.Match[str]) -> bool:
        text, at = found.string, found.start()
        if found[0] in _TURNS:
            if self._right_to_left is None:
                self._right_to_left = any(bidirectional(one) in ("R", "AL") and one not in _TURNS
                                          for one in text)  # fmt: skip
            return self._right_to_left
        beside = text[max(at - 1, 0) : at], text[at + 1 : at + 2]
        return found[0] in _JOINERS and all(map(_is_joined, beside))


def _is_joined(beside: str) -> bool:
    """Whether it is something that a joiner may stand beside."""
    return beside > "\u02ff" and category(beside)[0] in "LMS"


def _thinned(found: re.Match[str]) -> str:
    """A run of signs and marks, without the marks that are too many on one place."""
    kept, crowd = [], 0
    for one in found[0]:
        crowd = crowd + 1 if category(one) in ("Mn", "Me", "Cf") else 0
        if crowd <= MOST_MARKS:
            kept.append(one)
        elif crowd == MOST_MARKS + 1:
            kept.append(SIGN)
    return "".join(kept)


class _Tree:
    """One tree on its way. left: how many values there is still room for."""

    def __init__(self) -> None:
        self.left = MOST_ITEMS

    def clean(self, tree: Any, depth: int) -> Any:
        self.left -= 1
        if tree is None or isinstance(tree, bool | int | float):
            return tree
        if not isinstance(tree, dict | list | tuple):
            return clean(tree, lines=True)
        if depth <= 0 or self.left < 0:
            return "[…left out: too deep, or too much]"
        if isinstance(tree, dict):
            pairs = list(tree.items())[: self.left]
            return {clean(key): self.clean(value, depth - 1) for key, value in pairs}
        return [self.clean(value, depth - 1) for value in list(tree)[: self.left]]
