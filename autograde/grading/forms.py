"""What two students' answers are compared by: what is left of each without its looks."""

import ast
import hashlib
import io
import tokenize
from collections.abc import Iterator

from nbformat import NotebookNode

from helpers.report import is_quiz

from ..common.errors import LimitError
from ..common.guard import Bounds, guarded
from ..course.lessons import grade_id, mark_of
from ..term.verdict import Graded

BOUNDS = Bounds(seconds=5, memory=2**29)
LAYOUT = {
    tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER,
}  # fmt: skip


def forms(rebuilt: NotebookNode, graded: Graded) -> dict[str, list[str]]:
    """By exercise, of each function that was written: hashes of its words, with its comments and
    names, and of its shape, without. Questions have few answers, and are left out."""
    sources = {
        name: cell.source
        for cell in rebuilt.cells
        if mark_of(cell).get("solution")
        and not is_quiz(name := grade_id(cell))
        and name in graded.verdicts
        and graded.verdicts[name].status != "not written"
    }
    try:
        return guarded(_forms, sources, bounds=BOUNDS)
    except LimitError:  # so it is compared with nobody's
        return {}


def _forms(sources: dict[str, str]) -> dict[str, list[str]]:
    return {name: made for name, source in sources.items() if (made := form(source))}


def form(source: str) -> list[str]:
    """Of one cell; nothing where it is no Python."""
    try:
        tree = _bare(ast.parse(source))
        code = ast.unparse(tree)
        comments = [text for kind, text in _tokens(source) if kind == tokenize.COMMENT]
        own = set(_own_names(tree))
        shape = [
            "·" if kind == tokenize.NAME and text in own else text for kind, text in _tokens(code)
        ]
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError):
        return []  # MemoryError: what the parser says of depth
    return [_hash("\n".join([code, *comments])), _hash(" ".join(shape))]


def _bare(tree: ast.Module) -> ast.Module:
    """Without what was given out, or is no part of the work: docstrings, annotations."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.returns = None
            if ast.get_docstring(node, clean=False) is not None:
                node.body = node.body[1:] or [ast.Pass()]
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def _own_names(tree: ast.Module) -> Iterator[str]:
    """What the cell itself names: another name for it is no other program."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef):
            yield node.name


def _tokens(code: str) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type not in LAYOUT:
            yield token.type, token.string


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]
