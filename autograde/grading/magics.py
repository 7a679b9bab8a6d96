"""Cells as plain Python, where they hold IPython's magics: read here, never run."""

import ast
import re

from IPython.core.inputtransformer2 import TransformerManager

# IPython's own reading takes time by the square or the cube of a text, and a hostile one minutes.
MOST_CHARACTERS, MOST_LINES = 4000, 200
DEEPEST = 5  # cell magics within one another
BOUND = {"time", "capture", "prun"}  # cell magics under which names are bound
_CELL = re.compile(r"\s*%%(\w+)[^\n]*(?:\n|$)")
_LINE = re.compile(r"^([ \t]*+)(?:([\w.,\[\]'\" \t]++=)[ \t]*+)?(%%?|!!?)[ \t]*+([^\n]*)$")
_HELP = re.compile(r"^([ \t]*+)(?:\?\??[\w.*%]++|%{0,2}[\w.*]++\?\??)[ \t]*$")


def plain_python(source: str) -> str:
    """A cell with IPython's magics turned into Python; one that cannot be read, as it stands.

    Under %%time the cell's Python is what it holds; under %%bash, or %%timeit, it binds nothing.
    """
    if is_python(source):
        return source
    for _ in range(DEEPEST):
        if not (cell := _CELL.match(source)):
            break
        source = source[cell.end() :] if cell[1] in BOUND else ""
    if is_python(source):
        return source
    by_line = "\n".join(_plain_line(line) for line in source.split("\n"))
    if is_python(by_line):
        return by_line
    if len(source) > MOST_CHARACTERS or source.count("\n") > MOST_LINES:
        return source
    try:  # a line may begin with % and be the middle of an expression
        return TransformerManager().transform_cell(source)
    except Exception:  # a cell that even IPython cannot read is read as it stands
        return source


def is_python(source: str) -> bool:
    """Whether it can be parsed."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _plain_line(line: str) -> str:
    """A line that is a magic, a program to run or a question, as the call that IPython makes."""
    if found := _LINE.match(line):
        indent, target, mark, rest = found.groups()
        if mark.startswith("!"):
            call = f"get_ipython().{'getoutput' if target or mark == '!!' else 'system'}({rest!r})"
        else:
            name, _, words = rest.partition(" ")
            call = f"get_ipython().run_line_magic({name!r}, {words!r})"
        return f"{indent}{target or ''} {call}" if target else f"{indent}{call}"
    if found := _HELP.match(line):
        return f"{found[1]}pass"
    return line
