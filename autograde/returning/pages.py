"""What every page of ours tells a browser: it runs nothing, sends nothing and fetches nothing.

The one exception is a page with mathematics of a student's: it may run MathJax, of one version,
whose bytes are known, and with no extension that could link, style or fetch.
"""

from base64 import b64encode
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from html import escape
from importlib import resources
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from helpers.clean import clean

TEMPLATES = Path(str(resources.files(__package__) / "templates"))

STILL = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
MATHJAX = "https://cdn.jsdelivr.net/npm/mathjax@3.2.2/es5/tex-svg.js"
BYTES = "sha384-KKWa9jJ1MZvssLeOoXG6FiOAZfAgmzsIIfw8BXwI9+kYm0lPCbC6yTQPBC00F1/L"
# Mathematics in what people wrote, and nowhere else: a `$` in a report is no formula.
SET_UP = r"""
window.MathJax = {
  tex: {
    inlineMath: [["$", "$"], ["\\(", "\\)"]],
    processEscapes: true,
    tags: "ams",
    maxBuffer: 5000,
    maxMacros: 1000,
    packages: {"[-]": ["autoload", "require", "bbox"]}
  },
  svg: {fontCache: "local"},
  options: {enableMenu: false, ignoreHtmlClass: "still", processHtmlClass: "mathematics"}
};
"""


@cache
def templates() -> Environment:
    """The pages that are not nbconvert's: what is put into them is escaped."""
    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: clean(value, lines=True) if type(value) is str else value,
    )


def policy(mathematics: bool = False) -> Markup:
    """The tag that says what a browser may do with the page; the first in its head."""
    says = STILL
    if mathematics:
        own = b64encode(sha256(SET_UP.encode()).digest()).decode()
        says += f"; script-src {MATHJAX} 'sha256-{own}'"
    return Markup(f'<meta http-equiv="Content-Security-Policy" content="{escape(says)}">')


def mathjax() -> Markup:
    """MathJax, which a browser runs only if it is byte by byte what we know."""
    return Markup(
        f"<script>{SET_UP}</script>\n"
        f'<script src="{MATHJAX}" integrity="{BYTES}" crossorigin="anonymous" defer></script>'
    )


def whose(student: str, row: Mapping[str, str | None]) -> str:
    """A student as a page names them: the name, where it is known, and the id."""
    name = " ".join(filter(None, (row.get("first_name"), row.get("last_name"))))
    return clean(f"{name} ({student})" if name else student)


def day(seconds: float) -> str:
    """The day of a file's time, by the clock of this machine."""
    return f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d}"
