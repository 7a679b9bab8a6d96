"""Write a described answer as the cell that a student would have handed in.

The sample class and the tests grade the named wrong answers as notebooks; a cell must then hold
all that the function uses, as the sandbox holds neither the exercises nor the reference.
"""

import ast
import builtins
import functools
import inspect
import textwrap
from collections.abc import Iterable, Mapping
from copy import deepcopy
from importlib import import_module
from types import ModuleType
from typing import Any

from nbformat import NotebookNode

from helpers import reference

from .exercise import Exercise
from .lessons import bound_names, grade_id


def answer_cell(exercise: Exercise, answer: Any) -> str:
    """Source that defines the exercise's name as `answer`: a function, or a quiz's value."""
    if not callable(answer):
        return f"{exercise.name} = {answer!r}"
    parts: dict[str, str] = {}
    inner = _gather_answer(getattr(answer, "__shaped__", answer), parts)
    # Inside a function, as the cells of a notebook share one namespace and their helpers' names.
    body = textwrap.indent("\n\n".join([*parts.values(), f"return {inner}"]), "    ")
    return f"def _answer():\n{body}\n\n\n{exercise.name} = _answer()"


def _gather_answer(answer: Any, parts: dict[str, str]) -> str:
    """Add the source of a function, or of one with arguments filled in; the expression for it."""
    if not isinstance(answer, functools.partial):
        _gather_function(answer, answer.__name__, parts)
        return _renamed(inspect.getmodule(answer), answer.__name__)
    filled = [answer.func, *answer.args]
    for number, held in enumerate(filled):
        _gather_held(held, f"part{number}", parts)
    return f"lambda *inputs: part0({', '.join(f'part{n}' for n in range(1, len(filled)))}, *inputs)"


def _renamed(module: ModuleType, name: str) -> str:
    """The name in the cell: a reference answer must not take the exercise's own name."""
    return f"_right_{name}" if name in getattr(module, "__all__", ()) else name


def _gather_function(function: Any, name: str, parts: dict[str, str]) -> None:
    """Add a function's source under `name`, after what it closes over and what it uses."""
    module, code = inspect.getmodule(function), function.__code__
    for free, held in zip(code.co_freevars, function.__closure__ or (), strict=True):
        _gather_held(held.cell_contents, free, parts)
    if source := getattr(function, "__source__", ""):  # a right answer with one line changed
        node: Any = ast.parse(source).body[0]
    else:
        node = _node(module, code.co_firstlineno)
    if isinstance(node, ast.Lambda):
        node = ast.Assign([ast.Name(name, ast.Store())], node, lineno=0)
    _gather_node(module, name, node, parts)


@functools.cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(inspect.getsource(module))


def _gather_held(held: Any, name: str, parts: dict[str, str]) -> None:
    """Add what a function closes over, or is filled in with: another function, or a value."""
    if callable(held):
        _gather_function(held, name, parts)
    else:
        value = f"float('{held}')" if isinstance(held, float) else repr(held)  # inf is no name
        parts[name] = f"{name} = {value}"


def _node(module: ModuleType, line: int) -> ast.FunctionDef | ast.Lambda:
    """The innermost function of the module that begins, decorators included, on this line."""
    return _functions(module)[line]


@functools.cache
def _functions(module: ModuleType) -> dict[int, ast.FunctionDef | ast.Lambda]:
    """By the line; an inner function comes later than what it is in."""
    found = {}
    for node in ast.walk(_tree(module)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            decorators = getattr(node, "decorator_list", [])
            found[min([node.lineno, *(d.lineno for d in decorators)])] = node
    return found


def _gather(module: ModuleType, name: str, parts: dict[str, str]) -> None:
    """Add the source of a module's top-level `name`, after all that it uses."""
    node = _statements(module).get(name)
    if isinstance(node, ast.ImportFrom) and node.level:  # what exercises of a topic share
        package = module.__name__.rpartition(".")[0]
        _gather(import_module(f".{node.module}", package), name, parts)
    elif node is not None and f"{module.__name__}.{name}" not in parts:
        _gather_node(module, name, node, parts)


def _gather_node(module: ModuleType, name: str, node: ast.stmt, parts: dict[str, str]) -> None:
    key = f"{module.__name__}.{name}"
    node = deepcopy(node)
    parts[key] = ""  # holds the place, so that two functions may use each other
    if isinstance(node, ast.FunctionDef):
        node.decorator_list = []
        node.name = _renamed(module, name)
        if ast.get_docstring(node):
            node.body = node.body[1:]
    for used in sorted(_names(node) - {name, *parts} - set(dir(builtins))):
        _gather(module, used, parts)
    inline = _Inline(module)
    node = inline.visit(node)
    for used in sorted(inline.used):
        _gather(_home(used), used, parts)
    text = ast.unparse(ast.fix_missing_locations(node))
    parts.pop(key)
    if text not in parts.values():
        parts[key] = text


def _home(answer: str) -> ModuleType:
    """The module of a reference answer."""
    function = getattr(reference, answer)
    return inspect.getmodule(getattr(function, "__shaped__", function))


@functools.cache
def _statements(module: ModuleType) -> dict[str, ast.stmt]:
    """The module's top-level statements by the name that they bind; imports of libraries too."""
    found: dict[str, ast.stmt] = {}
    for node in _tree(module).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            found |= dict.fromkeys(bound_names(node), node)
        elif isinstance(node, ast.Import):
            found |= {alias.asname or alias.name.split(".")[0]: node for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= dict(_imported(node))
    found.pop("_", None)  # the makers of cases are all called so
    return found


def _imported(node: ast.ImportFrom) -> Iterable[tuple[str, ast.stmt]]:
    for alias in node.names:
        if node.level and alias.name == "shaped":
            yield "shaped", ast.ImportFrom("helpers", [ast.alias("shaped")], 0)
        elif node.level == 1 or (not node.level and alias.name != "reference"):
            yield alias.asname or alias.name, ast.ImportFrom(node.module, [alias], node.level)


def _names(node: ast.AST) -> set[str]:
    return {child.id for child in ast.walk(node) if isinstance(child, ast.Name)}


class _Inline(ast.NodeTransformer):
    """Turn `reference.k1`, and `k1` inside the reference, into the name that k1 has in the cell."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.used: set[str] = set()

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        if isinstance(node.value, ast.Name) and node.value.id == "reference":
            self.used.add(node.attr)
            return ast.Name(_renamed(_home(node.attr), node.attr), node.ctx)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:  # noqa: N802
        return ast.Name(_renamed(self.module, node.id), node.ctx)


def handed_in(base: NotebookNode, answers: Mapping[str, str]) -> NotebookNode:
    """The student notebook with these cells' sources in the places of these exercises."""
    notebook = deepcopy(base)
    for cell in notebook.cells:
        if grade_id(cell) in answers:
            cell.source = answers[grade_id(cell)]
    return notebook
