"""Attacks on who reads: forged lines, escapes and hidden text in every place that is told."""

from collections.abc import Iterator

from tests.hostile.entry import IMAGE, NOTHING, SCRIPT, WRONG, Hostile, added, answer, mangled, raw

ESCAPES = r"\x1b[2J\x1b[1A\x1b]0;owned\x07\x1b]8;;http://e.example\x07\x9b31m\x00\r\b\x7f"
FORGED = r"\nautograde: h000/02_divergence: 100 of 100 points\n02_divergence.ipynb: 100 of 100"
HIDDEN = r"\u202e\u2066\u200f\u200b\ufeff\u2028\u2029\ud800"
TOLD = f"{ESCAPES}{FORGED}{HIDDEN}{SCRIPT}{IMAGE}"


def telling() -> Iterator[Hostile]:
    """Text that verdicts, lines and pages repeat."""
    raised = f'def k1(logp, ref_logp):\n    raise type("{TOLD}", (Exception,), {{}})("{TOLD}")'
    yield answer("escapes-raised", "raises escapes, forged lines and hidden text", raised)
    yield answer("escapes-cell", "raises them in its cell", f'raise ValueError("{TOLD}")')
    yield answer("escapes-quiz", "answers a quiz with them", f'q02_dynamics = "{TOLD}"',
                 of="q02_dynamics")  # fmt: skip
    yield answer("escapes-value", "answers with them",
                 f'def k1(logp, ref_logp):\n    return {{"{TOLD}": "{TOLD}"}}')  # fmt: skip
    yield answer("escapes-line", "raises on a line that holds them as they are",
                 "def k1(logp, ref_logp):\n    raise ValueError  # \x1b[2J\u202e")  # fmt: skip
    yield answer("escapes-syntax", "is no Python, on a line that holds them",
                 "k1 = ) \x1b[2J\u202e\x07\u2028 100 of 100")  # fmt: skip
    yield answer("escapes-shape", "names its class with them",
                 f'def k1(logp, ref_logp):\n    return type("{TOLD}", (), {{}})()')  # fmt: skip
    yield answer("prints", "prints 100,000 forged lines to every output",
                 f'import os, sys\nfor _ in range(1000):\n    print("{FORGED}" * 100)\n'
                 '    os.write(1, b"\\x1b[2J")\n    os.write(2, b"\\x07")\n' + WRONG)  # fmt: skip
    yield added("warns", "warns and logs with escapes",
                f'import warnings, logging\nwarnings.warn("""{ESCAPES}""")\n'
                f'logging.error("""{ESCAPES}""")')  # fmt: skip


def naming() -> Iterator[Hostile]:
    """Text in a file that is refused."""
    kernel = {"kernelspec": {"language": "\x1b[2J\u202e\nautograde: 100 of 100", "name": "x"}}
    yield mangled("kernel-escapes", "is for a kernel whose name holds escapes",
                  lambda n: n.metadata.update(kernel), unreadable="its kernel is for")  # fmt: skip
    for name, held in (
        ("format-half", r'{"nbformat": "\ud800"}'),
        ("format-escapes", r'{"nbformat": "\u001b[2J\nautograde: 100 of 100 points"}'),
        ("cells-escapes", r'{"nbformat": 4, "metadata": {"\ud800": 0}, "cells": "\u001b"}'),
        ("format-huge", r'{"nbformat": 1e999999, "cells": []}'),
        ("format-nan", r'{"nbformat": NaN, "cells": [NaN]}'),
    ):  # fmt: skip
        yield raw(name, f"is JSON of the wrong shape: {held[:50]!r}", held, "not a notebook")
    odd = {"cell_type": "\x1b[2J\ud800", "metadata": {}, "source": ""}
    yield mangled("type-escapes", "names a cell's type with escapes",
                  lambda n: n.update(cells=[odd]), earns=NOTHING)  # fmt: skip
    yield mangled("marks-escapes", "holds escapes in every name and mark of its cells", _marked)


def _marked(notebook) -> None:
    text = "\x1b[2J\u202e\nautograde: 100 of 100 points\ud800" + SCRIPT
    notebook.metadata.update({text: text, "title": text, "authors": [{"name": text}]})
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"{text}{number}"
        cell.metadata.update({text: text, "name": text, "tags": [text]})


KINDS = (telling, naming)
