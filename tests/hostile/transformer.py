"""Attacks on what reads a cell: magics, and text that parsers stall on."""

from collections.abc import Iterator

from tests.hostile.entry import MARK, SCRIPT, Hostile, answer


def magics() -> Iterator[Hostile]:
    """What a notebook's cell can say that Python cannot."""
    for name, tries, source in (
        ("shell-line", "runs a command in its cell", f"!ls / && touch /tmp/{MARK}-magic"),
        ("shell-cell", "is a cell of shell", f"%%bash\nls /; touch /tmp/{MARK}-bash"),
        ("script-cell", "is a cell of another Python", "%%python3\nk1 = lambda a, b: a - b"),
        ("system", "asks IPython for a command", "get_ipython().system('ls /')"),
        ("run-magic", "runs a file that is not its own", "%run /grader/inside/__main__.py {}"),
        ("pip", "installs a package", "%pip install torch"),
        ("javascript", "is a cell of JavaScript", f"%%javascript\n{SCRIPT}"),
        ("html", "is a cell of HTML", f"%%html\n{SCRIPT}"),
    ):
        yield answer(name, tries, source)
    yield answer("not-python", "is not Python", "k1 = ) (", says="SyntaxError")
    yield answer("zeros", "holds zeros and odd spaces", "def k1(a, b):\0\v\f\n\treturn a - b")
    yield answer("parentheses", "nests 100,000 parentheses", "k1 = " + "(" * 10**5)
    yield answer("minus", "begins with 100,000 minus signs", "k1 = " + "-" * 10**5 + "1")
    yield answer("long-sum", "is a sum of 20,000 terms", "k1 = " + "1+" * 20000 + "1")
    yield answer("attributes", "is an attribute 20,000 deep", "k1 = torch" + ".a" * 20000)
    yield answer("many-magics", "is 200 magics",
                 "\n".join(f"x{n} = !ls" for n in range(200)))  # fmt: skip


def stalling() -> Iterator[Hostile]:
    """Texts that a transformer takes long for."""
    for name, tries, source in (
        ("magic-nests", "nests brackets behind a magic, 60 KB", "%magic " + "([(" * 20_000),
        ("magic-lines", "is a magic over 20,000 lines", "%magic \\\n" * 20_000),
        ("bang-nests", "nests brackets behind a bang", "!" + "([{" * 20_000),
        ("help-nests", "asks for help 20,000 times", "x?\n" * 20_000),
        ("assigned", "assigns from 5,000 magics in brackets", "(x = %y\n" * 5_000),
        ("prompts", "has 30,000 prompts in front", ">>> " * 30_000 + "1"),
        ("cell-magics", "has 5,000 cell magics", "%%time\n" * 5_000),
        ("quotes-open", "opens 20,000 quotes", "'" * 19_999),
        ("continued", "is one line over 50,000", "x = 1 + \\\n" * 50_000 + "1"),
        ("tabs", "indents by turns", "".join(f"{' ' * n}if 1:\n" for n in range(99)) + "x"),
        ("returns", "ends lines in every way", "x = 1\r\r\n\x0b\x0c\x1c\x85\u2028" * 5_000),
    ):
        yield answer(f"stall-{name}", f"its cell {tries}", source)


KINDS = (magics, stalling)
