"""What answers need of cells that are not run: the statements that bind the names they read.

A lesson's demos are not run in grading, nor its checks. But a student may add a constant to one of
them, or to the setup, and an answer may use what a demo binds: then those statements, and what they
need in turn, are run where they stand, and nothing else is.
"""

import ast
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import lru_cache

from .magics import plain_python

LONGEST = 200_000  # characters of a cell that is looked into
SHORT = 10_000  # characters of one that is kept in memory
DEEPEST = 150  # levels of a statement; Python's own functions take several calls for each
# Calls that only show; they change nothing that an answer could need.
SHOWS = re.compile(
    r"(p?print|display|check|hint|progress|ready|submit|show|plot|with_sliders|predict|outcome|written)"
)
# Calls by which a student sets something for all that follows.
SETS = re.compile(r"(set|seed|manual_seed|use|enable|disable|filterwarnings|simplefilter|register)")
READS_TEXT = {"run_line_magic", "run_cell_magic", "eval", "exec", "globals"}
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)
INNER = (*SCOPES, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
JUMPS = (ast.Break, ast.Continue)


@dataclass(frozen=True)
class Part:
    """A cell of a notebook, in its order. run: whether it is run whole; else it may be sliced.

    lesson: the lesson's own statements, where a student may have edited the cell; None where it is
    the lesson's as it stands. skip: whether to leave those out, as they are run elsewhere.
    """

    source: str
    run: bool
    lesson: frozenset[str] | None = None
    skip: bool = False


@dataclass
class Facts:
    """What a piece of code does to the notebook's names.

    binds: binds them anew. stores: assigns to an item or an attribute of their values. calls: may
    change their values by a call. makes: those of `binds` that are functions, classes, modules.
    """

    binds: set[str] = field(default_factory=set)
    stores: set[str] = field(default_factory=set)
    calls: set[str] = field(default_factory=set)
    makes: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)
    sets: bool = False


def slices(parts: Sequence[Part]) -> list[str]:
    """For each part that is not run whole, what of it is run: Python, or nothing."""
    return [_source(body) for body in _Slicer(parts).chosen()]


def statements(sources: Iterable[str]) -> frozenset[str]:
    """Every statement of these cells, in a form in which equal ones are equal."""
    nodes = (node for source in sources for top in _body(source) for node in ast.walk(top))
    return frozenset(ast.dump(node) for node in nodes if isinstance(node, ast.stmt))


class _Slicer:
    """need: names to take from parts that are not run. limit: the first run part to bind a name."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.parts = parts
        self.bodies = [_body(part.source) for part in parts]
        self.whole = {
            place: _united(map(facts, body))
            for place, (part, body) in enumerate(zip(parts, self.bodies, strict=True))
            if part.run
        }
        self.limit: dict[str, int] = {}
        self.read: set[str] = set()
        self.need: set[str] = set()
        for place, found in self.whole.items():
            for name in found.binds:
                self.limit.setdefault(name, place)
            self.read |= found.reads
        made = {name for found in self.whole.values() for name in found.makes}
        self.data = self.read - made
        self.mine = {name for place in range(len(parts)) for name in self._bound_by_student(place)}

    def chosen(self) -> list[list[ast.stmt]]:
        """The statements to run of each part, until they need no further ones."""
        for place, found in self.whole.items():
            self._require(found.reads, place)
        while True:
            before = len(self.need)
            picked = [
                [] if part.run else self._pick(body, place)
                for place, (part, body) in enumerate(zip(self.parts, self.bodies, strict=True))
            ]
            for place, body in enumerate(picked):
                self._require(_united(map(facts, body)).reads, place)
                self.need |= set(map(_binder, body)) - {""}
            if len(self.need) == before:
                return picked

    def _bound_by_student(self, place: int) -> Iterator[str]:
        """In a cell of the lesson's, edited: these names the lesson does not take away again."""
        if self.parts[place].lesson is None or self.parts[place].run:
            return
        for top in self.bodies[place]:
            for node in _at_top(top):
                if isinstance(node, ast.stmt) and self._is_own(node, place):
                    yield from facts(node).binds

    def _is_own(self, node: ast.stmt, place: int) -> bool:
        lesson = self.parts[place].lesson
        return lesson is not None and ast.dump(node) not in lesson

    def _require(self, names: set[str], place: int) -> None:
        """What is read at this place, and which nothing that is run has bound by then."""
        self.need |= {name for name in names if self._open(name, place)}

    def _open(self, name: str, place: int) -> bool:
        return self.limit.get(name, place + 1) > place

    def _pick(self, body: Sequence[ast.stmt], place: int) -> list[ast.stmt]:
        return [kept for node in body for kept in self._kept(node, place)]

    def _kept(self, node: ast.stmt, place: int) -> list[ast.stmt]:
        """The statement, or as much of it as is needed: blocks are kept around what is."""
        if not _is_block(node):
            return [node] if self._wanted(node, facts(node), place) else []
        inner = self._pick(node.body, place)
        other = self._pick(getattr(node, "orelse", []), place)
        if (
            not inner
            and not other
            and not self._taken(_header(node), place, self._is_own(node, place))
        ):
            return []
        made = copy(node)
        made.body = inner or [ast.Pass()]
        if hasattr(node, "orelse"):
            made.orelse = other
        return [made]

    def _wanted(self, node: ast.stmt, found: Facts, place: int) -> bool:
        own = self._is_own(node, place)
        if self.parts[place].skip and not own:
            return False
        if own and (found.sets or found.stores & self.read or found.calls & self.data):
            return True
        return self._taken(found, place, own)

    def _taken(self, found: Facts, place: int, own: bool) -> bool:
        binds = found.binds & self.need - (set() if own else self.mine)
        if any(self._open(name, place) for name in binds):
            return True
        return bool((found.stores | found.calls) & self.need)


def _binder(node: ast.stmt) -> str:
    """The name of a function that binds a name of the notebook's: it does so when it is called."""
    binds = any(isinstance(inner, ast.Global) for inner in ast.walk(node))
    return node.name if binds and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) else ""


def _is_block(node: ast.stmt) -> bool:
    """Whether parts of its body can be left out, and the rest does as before."""
    if isinstance(node, ast.For | ast.AsyncFor):
        return not any(isinstance(inner, JUMPS) for inner in ast.walk(node))
    return isinstance(node, ast.If | ast.With | ast.AsyncWith)


def _header(node: ast.stmt) -> Facts:
    made = copy(node)
    made.body = [ast.Pass()]
    if hasattr(node, "orelse"):
        made.orelse = []
    return _facts(made)


def _united(several: Iterable[Facts]) -> Facts:
    total = Facts()
    for one in several:
        for name, value in vars(one).items():
            setattr(total, name, getattr(total, name) | value)
    return total


@lru_cache(maxsize=20_000)  # a lesson's own statements are asked about for each submission
def facts(node: ast.stmt) -> Facts:
    """What a statement does to the notebook's names."""
    return _facts(node)


def _facts(node: ast.stmt) -> Facts:
    found = Facts(reads=_reads(node))
    for inner in _at_top(node):
        _note(inner, found)
    if names := {name for inner in ast.walk(node) for name in getattr(inner, "names", ())}:
        found.binds |= {name for name in names if isinstance(name, str)}  # of `global`
    return found


def _at_top(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run in the notebook's own scope, functions and comprehensions as one each."""
    yield node
    if isinstance(node, INNER):
        walrus = (n for n in ast.walk(node) if isinstance(n, ast.NamedExpr))
        yield from walrus if not isinstance(node, SCOPES) else ()
        return
    for child in ast.iter_child_nodes(node):
        yield from _at_top(child)


def _note(node: ast.AST, found: Facts) -> None:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            found.binds.add(node.name)
            found.makes.add(node.name)
        case ast.Import() | ast.ImportFrom():
            names = {alias.asname or alias.name.partition(".")[0] for alias in node.names}
            found.binds |= names
            found.makes |= names
            # What `*` brings is not known here; a `__future__` holds for all that follows.
            found.sets |= "*" in names or getattr(node, "module", "") == "__future__"
        case ast.NamedExpr():
            found.binds.add(node.target.id)
        case ast.Name(ctx=ast.Store() | ast.Del()):
            found.binds.add(node.id)
        case (
            ast.Attribute(ctx=ast.Store() | ast.Del()) | ast.Subscript(ctx=ast.Store() | ast.Del())
        ):
            found.stores |= _root(node)
        case ast.ExceptHandler() | ast.MatchAs() | ast.MatchStar() if node.name:
            found.binds.add(node.name)
        case ast.Expr(value=ast.Call() as call) | ast.Assign(value=ast.Call() as call):
            _note_call(call, found, alone=isinstance(node, ast.Expr))


def _note_call(call: ast.Call, found: Facts, alone: bool) -> None:
    """alone: nothing is made of what it returns, so it is called for what it does."""
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    found.sets |= bool(SETS.match(name))
    if alone and not SHOWS.match(name):
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        found.calls |= {one.id for one in arguments if isinstance(one, ast.Name)}
        found.calls |= _root(call.func)


def _root(node: ast.AST) -> set[str]:
    """The name that a chain of attributes, items and calls begins with."""
    while not isinstance(node, ast.Name):
        node = getattr(node, "value", getattr(node, "func", None))
        if node is None:
            return set()
    return {node.id}


def _reads(node: ast.stmt) -> set[str]:
    """The notebook's names that it reads, at once or in functions when they are called."""
    try:
        table = symtable.symtable(_source([node]), "cell", "exec")
        names = set(_free(table))
    except (SyntaxError, ValueError, RecursionError):  # `await` outside of a function, say
        names = {inner.id for inner in ast.walk(node) if isinstance(inner, ast.Name)}
    if isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
        names.add(node.target.id)
    return names | {word for text in _texts(node) for word in re.findall(r"[^\W\d]\w*", text)}


def _texts(node: ast.stmt) -> Iterator[str]:
    """The texts in which names may be read: of magics, of eval, of globals()["name"]."""
    for inner in ast.walk(node):
        called = getattr(inner, "func", getattr(inner, "value", None))
        if isinstance(inner, ast.Call | ast.Subscript) and _mentioned(called) & READS_TEXT:
            texts = (n.value for n in ast.walk(inner) if isinstance(n, ast.Constant))
            yield from (text for text in texts if isinstance(text, str))


def _mentioned(node: ast.AST) -> set[str]:
    return {getattr(inner, "id", getattr(inner, "attr", "")) for inner in ast.walk(node)}


def _free(table: symtable.SymbolTable) -> Iterator[str]:
    top = table.get_type() == "module"
    for symbol in table.get_symbols():
        if symbol.is_referenced() and (top or symbol.is_global()):
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _free(inner)


def _body(source: str) -> list[ast.stmt]:
    """A cell's statements; none where it cannot be read."""
    if len(source) > LONGEST:
        return []
    return (_parsed if len(source) > SHORT else _parsed_before)(source)


def _parsed(source: str) -> list[ast.stmt]:
    try:
        body = ast.parse(plain_python(source)).body
        return [node for node in body if _is_shallow(node)]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []


def _is_shallow(node: ast.AST) -> bool:
    """Whether a statement nests no deeper than what walks through it can follow."""
    level, depth = [node], 0
    while level and depth <= DEEPEST:
        level = [child for one in level for child in ast.iter_child_nodes(one)]
        depth += 1
    return not level


_parsed_before = lru_cache(maxsize=1000)(_parsed)


def _source(body: Sequence[ast.stmt]) -> str:
    if not body:
        return ""
    try:
        return ast.unparse(ast.fix_missing_locations(ast.Module(list(body), [])))
    except (RecursionError, ValueError):
        return ""
