"""Comments on a question's answers, each readable only with the answer that it belongs to.

A student's bundle may tell whether a question is answered rightly without holding the answer: what
is said to an answer is kept in a box, and the answer is its key. (Whoever tries all four choices
has asked the check four times; this keeps nobody from that.)
"""

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 20_000  # of the derivation of a key: some 10 ms
TOLD = "told"  # where an exercise's data keeps its boxes
UNITS = (0.01, 1.0, 10.0)  # in which numbers are looked for: the first that is not below their atol
Boxes = Mapping[str, str]  # the lock: what it holds, both in hexadecimal


@dataclass(frozen=True)
class Comment:
    """What is said of one answer, or of one key of an answer that is a dict.

    key: "" where the answer is no dict. atol: how far off a number may be.
    """

    key: str
    answer: Any
    right: bool
    says: str = ""
    atol: float = 0.0


def seal(question: str, comments: Iterable[Comment]) -> dict[str, str]:
    """The comments, each in a box of its own."""
    boxes = {}
    for comment in comments:
        unit = next(unit for unit in UNITS if comment.atol <= unit)
        lock, stream = _derived(question, comment.key, _written(comment.answer, unit))
        text = json.dumps(asdict(comment), ensure_ascii=False).encode()
        boxes[lock] = _mixed(text, stream).hex()
    return boxes


def unseal(question: str, boxes: Boxes, key: str, answer: Any) -> Comment | None:
    """The comment on this answer; None where there is none."""
    for written in _near(answer):
        lock, stream = _derived(question, key, written)
        if lock in boxes:
            found = Comment(**json.loads(_mixed(bytes.fromhex(boxes[lock]), stream)))
            if not _is_number(answer) or abs(answer - found.answer) <= found.atol:
                return found
    return None


def _is_number(answer: Any) -> bool:
    return isinstance(answer, int | float) and not isinstance(answer, bool)


def _written(answer: Any, unit: float) -> str:
    """One text for what counts as one answer."""
    if _is_number(answer):
        return f"number {math.floor(answer / unit + 0.5)} of {unit:g}"  # halves all one way
    return f"{type(answer).__name__} {str(answer).strip().casefold()}"


def _near(answer: Any) -> list[str]:
    if not _is_number(answer):
        return [_written(answer, UNITS[0])]
    if abs(answer) > 1e12 or answer != answer:
        return []
    return [_written(answer + off * unit, unit) for unit in UNITS for off in (0, -1, 1)]


def _derived(question: str, key: str, written: str) -> tuple[str, bytes]:
    """The lock, and what the key's stream of bytes is made of."""
    made = hashlib.pbkdf2_hmac("sha256", written.encode(), f"{question} {key}".encode(), ROUNDS, 48)
    return made[:16].hex(), made[16:]


def _mixed(text: bytes, stream: bytes) -> bytes:
    return bytes(
        a ^ b for a, b in zip(text, hashlib.shake_256(stream).digest(len(text)), strict=True)
    )
