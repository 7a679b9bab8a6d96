"""What a student wrote as text, as HTML that is safe where it is graded by hand and read.

A parser reads the Markdown, an allow-list says what of it may be HTML, and pictures are let in by
their bytes alone. Nothing of it runs, and nothing is fetched from elsewhere when it is read.
"""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass, field
from functools import cache
from html import escape, unescape
from html.parser import HTMLParser
from secrets import token_hex
from typing import Any
from urllib.parse import unquote

import nh3
from markdown_it import MarkdownIt
from markdown_it.token import Token
from mdit_py_plugins.amsmath import amsmath_plugin
from mdit_py_plugins.dollarmath import dollarmath_plugin

from helpers.clean import SIGN, clean

from ..common.saying import counted

LONGEST = 20_000  # characters read as Markdown, in which some texts take time by their square
MOST_MARKDOWN, MOST_TEXT = 60_000, 300_000  # of a submission: read as Markdown, shown at all
MOST_IMAGE, MOST_IMAGES, MOST_BYTES = 5 * 2**20, 30, 12 * 2**20  # of one, in number, of all
# What files of the kinds that every browser shows, and in which no script can be, begin with.
KINDS = {
    "image/png": rb"\x89PNG",
    "image/jpeg": rb"\xff\xd8\xff",
    "image/gif": rb"GIF8[79]a",
    "image/webp": rb"RIFF.{4}WEBP",
}
SIMPLE = {
    "b", "i", "em", "strong", "u", "s", "del", "sub", "sup", "br", "hr", "p", "div", "span",
    "small", "mark", "kbd", "code", "pre", "blockquote", "ul", "ol", "li", "table", "thead",
    "tbody", "tr", "th", "td", "h1", "h2", "h3", "h4", "h5", "h6",
}  # fmt: skip
LINKS = ("http://", "https://", "mailto:")
OPEN, CLOSE = "\ue000", "\ue001"  # around a picture's number, while the rest is made safe
BEGINS = '<div class="prose">'
_DATA = re.compile(r"data:(image/[\w.+-]+);base64,([A-Za-z0-9+/=_%-]*)")
_TAKEN = "taken-picture:"


@dataclass
class Room:
    """What there is room for in the graded copy of one submission."""

    pictures: int = MOST_IMAGES
    bytes: int = MOST_BYTES
    markdown: int = MOST_MARKDOWN
    text: int = MOST_TEXT

    def has_markdown(self, text: str) -> bool:
        """Whether the text is still to be read as Markdown; its length is then used up."""
        if len(text) > min(LONGEST, self.markdown):
            return False
        self.markdown -= len(text)
        return True

    def preformatted(self, text: str, most: int = MOST_TEXT) -> str:
        """Text as it stands, and a sentence where it was cut."""
        text = tidy(text)
        most = min(most, self.text)
        self.text -= len(text[:most])
        style = "white-space:pre-wrap;overflow-wrap:anywhere"
        kept = f'<pre style="{style}">{escape(text[:most], quote=False)}</pre>' if most else ""
        if len(text) <= most:
            return kept
        return f"{kept}<p><em>[{counted(len(text) - most, 'character')} more, left out]</em></p>"

    def picture(self, kind: str, data: Any, alt: str) -> str:
        """A picture from base64, or the sentence that says why it is left out."""
        says = escape(tidy(alt)[:1000], quote=True) or "a picture with no description"
        data = _joined(data)
        found, problem = self._take(kind, data)
        if problem:
            return f"<em>[{says}: left out, as {problem}]</em>"
        return (
            f'<img alt="{says}" src="data:{found};base64,{data}" style="max-width:100%;border:0">'
        )

    def _take(self, kind: str, data: Any) -> tuple[str, str]:
        """The kind that it is by its bytes; or why it cannot be shown."""
        if kind == "image/svg+xml":
            return "", "drawings in SVG can hold scripts; paste a PNG"
        if not isinstance(data, str) or not data:
            return "", "it is not in the notebook"
        if len(data) * 3 // 4 > MOST_IMAGE:
            return "", f"it is larger than {MOST_IMAGE >> 20} MiB"
        try:
            raw = b64decode(data, validate=True)
        except (Base64Error, ValueError):
            return "", "its data are broken"
        found = next((k for k, magic in KINDS.items() if re.match(magic, raw, re.DOTALL)), "")
        if not found:
            return "", "it is no PNG, JPEG, GIF or WebP"
        if not self.pictures or len(raw) > self.bytes:
            return "", f"a notebook shows {MOST_IMAGES} pictures, {MOST_BYTES >> 20} MiB in all"
        self.pictures, self.bytes = self.pictures - 1, self.bytes - len(raw)
        return found, ""


def tidy(text: str) -> str:
    """Text as it may be shown, without terminal colours, and without our own marks."""
    return clean(text, lines=True, most=None).replace(OPEN, SIGN).replace(CLOSE, SIGN)


def whole(html: str) -> str:
    """HTML as a Markdown cell in which no converter finds Markdown: one block, to its end."""
    return BEGINS + re.sub(r"\n[ \t]*(?=\n)", "&#10;", html.strip()) + "</div>"


def shown(source: str) -> str:
    """HTML of a cell of a graded copy: as `whole` made it; what else stands there is made safe."""
    return source if source.startswith(BEGINS) else whole(safe_html(source, Room()))


def safe_html(text: str, room: Room, attachments: Any = None) -> str:
    """A student's Markdown as HTML.

    attachments: of its cell, as Jupyter keeps pasted pictures; of any form.
    A text too long to be read as Markdown is shown as it stands, and that is said.
    """
    pasted: list[tuple[str, str]] = []

    def take(found: re.Match) -> str:
        pasted.append((found[1], unquote(found[2])))
        return f"{_TAKEN}{len(pasted) - 1}"

    text = _DATA.sub(take, tidy(text))
    if not room.has_markdown(text):
        says = "<p><em>[too long to be read as Markdown: shown as it was typed]</em></p>"
        return says + room.preformatted(text)
    page = _Page(room, pasted, attachments if isinstance(attachments, dict) else {})
    html = nh3.clean(
        page.render(text), tags=SIMPLE | {"a"}, attributes={"a": {"href"}}, link_rel=None,
        attribute_filter=_allowed, clean_content_tags=set(),
    )  # fmt: skip
    html = clean(html, lines=True, most=None)  # again: what was written as &#8238; is there now
    place = re.compile(f"{OPEN}{page.mark}([0-9]+){CLOSE}")
    return place.sub(lambda found: page.held[int(found[1])], html)


def _allowed(tag: str, name: str, value: str) -> str | None:
    return value if (tag, name) == ("a", "href") and value.lower().startswith(LINKS) else None


@dataclass
class _Page:
    """One text on its way. held: finished HTML of its pictures, by number. mark: of their places,
    so that nobody else writes one, as by `&#xe000;`."""

    room: Room
    pasted: list[tuple[str, str]]
    attachments: dict
    held: list[str] = field(default_factory=list)
    mark: str = field(default_factory=lambda: f"{token_hex(8)}-")

    def render(self, text: str) -> str:
        tokens = _parser().parse(text)
        self._tame(tokens)
        return _parser().renderer.render(tokens, _parser().options, {})

    def _tame(self, tokens: list[Token]) -> None:
        """Nothing is left that a browser would fetch or run."""
        refused: list[str] = []  # of the links that are open here, the addresses that are no links
        for token in tokens:
            if token.type in ("html_inline", "html_block"):
                token.content = _Html(self).read(token.content)
            elif token.type == "image":
                html = self.picture(str(token.attrs.get("src", "")), token.content)
                token.type, token.content = "html_inline", html
            elif token.type == "link_open":
                address = str(token.attrs.get("href", ""))
                refused.append("" if address.lower().startswith(LINKS) else address)
                token.attrs = {"href": address}
            elif token.type == "link_close" and (address := refused.pop()):
                token.type, token.content = "html_inline", f"</a> ({escape(unquote(address))})"
            elif token.children:
                self._tame(token.children)

    def picture(self, address: str, alt: str) -> str:
        """The place of a picture, by its number; one from elsewhere is told by its address."""
        scheme, _, name = address.partition(":")
        if address.startswith(_TAKEN):
            number = int(name) if name.isdecimal() and len(name) < 5 else len(self.pasted)
            kind, data = self.pasted[number] if number < len(self.pasted) else ("", "")
            html = self.room.picture(kind, data, alt)
        elif scheme == "attachment":
            html = self.room.picture(*_pasted(self.attachments.get(unquote(name))), alt)
        else:
            where = escape(tidy(f"{alt}: " if alt else "") + unquote(address)[:500])
            html = f"<em>[a picture from elsewhere, not fetched: {where}]</em>"
        self.held.append(html)
        return f"{OPEN}{self.mark}{len(self.held) - 1}{CLOSE}"


def _pasted(attachment: Any) -> tuple[str, Any]:
    """(kind, base64) of a cell's attachment, the best that can be shown."""
    forms = attachment if isinstance(attachment, dict) else {}
    kind = next((one for one in (*KINDS, "image/svg+xml") if one in forms), "")
    return kind, forms.get(kind)


def _joined(data: Any) -> Any:
    """A notebook's base64 in one piece: it may stand there as lines, and without its padding."""
    data = "".join(map(str, data)) if isinstance(data, list) else data
    if not isinstance(data, str):
        return None
    data = "".join(data.split()).rstrip("=")
    return data + "=" * (-len(data) % 4)


class _Html(HTMLParser):
    """HTML that a student typed: pictures, simple tags without attributes; the rest as typed."""

    def __init__(self, page: _Page) -> None:
        super().__init__(convert_charrefs=False)
        self.page, self.out = page, []

    def read(self, html: str) -> str:
        self.feed(html)
        self.close()
        return "".join(self.out)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        said = escape(self.get_starttag_text() or f"<{tag}>", quote=False)
        if tag == "img" and named.get("src", "").startswith((_TAKEN, "attachment:")):
            self.out.append(self.page.picture(named["src"], named.get("alt", "")))
        elif tag in SIMPLE and all(value is not None for _, value in attrs):
            self.out.append(f"<{tag}>")
        else:  # no tag that is wanted, or none at all: a<b and c>d
            self.out.append(said)

    handle_startendtag = handle_starttag

    def handle_endtag(self, tag: str) -> None:
        self.out.append(f"</{tag}>" if tag in SIMPLE else f"&lt;/{escape(tag)}&gt;")

    def handle_data(self, data: str) -> None:
        self.out.append(escape(data, quote=False))

    def handle_entityref(self, name: str) -> None:
        self.handle_data(clean(unescape(f"&{name};"), lines=True))

    def handle_charref(self, name: str) -> None:
        self.handle_data(clean(unescape(f"&#{name};"), lines=True))

    def handle_comment(self, data: str) -> None:
        self.out.append(escape(f"<!--{data}-->", quote=False))

    def handle_decl(self, decl: str) -> None:
        self.out.append(escape(f"<!{decl}>", quote=False))

    def handle_pi(self, data: str) -> None:
        self.out.append(escape(f"<?{data}>", quote=False))

    def unknown_decl(self, data: str) -> None:
        self.out.append(escape(f"<![{data}]>", quote=False))


@cache
def _parser() -> MarkdownIt:
    """Markdown as Jupyter reads it; mathematics stays as it was typed, for MathJax."""
    parser = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parser.use(dollarmath_plugin, double_inline=True).use(amsmath_plugin)
    for name, mark in (("math_inline", "$"), ("math_inline_double", "$$"), ("amsmath", "")):
        parser.add_render_rule(name, _mathematics(mark))
    for name in ("math_block", "math_block_label"):
        parser.add_render_rule(name, _mathematics("$$", "p"))
    return parser


def _mathematics(mark: str, tag: str = "span") -> Any:
    def render(self: Any, tokens: list[Token], number: int, options: Any, env: Any) -> str:
        return f"<{tag}>{mark}{escape(tokens[number].content, quote=False)}{mark}</{tag}>"

    return render
