"""What of the attacks' text has come to a terminal, a page, a table or a database, and how."""

import csv
import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers.clean import clean
from tests.hostile.play import Play

FETCHED = {"src", "srcset", "poster", "data", "background", "action", "formaction", "xlink:href"}
RUN = {"script", "iframe", "object", "embed", "base", "form", "frame", "applet", "link", "meta"}
ALLOWED = ("http", "https", "mailto", "")  # of links, which a reader follows by a click
PICTURE = re.compile(r"data:image/(png|jpeg|gif|webp);base64,")


# The report keeps a name's direction to itself by a pair of characters, with none of them inside.
OURS = re.compile("\u2068([^\u2068\u2069]*)\u2069")


def unclean(text: str) -> str:
    """Where the one cleaning function would change it; "" for nowhere."""
    cleaned = clean(text, lines=True, most=None)
    if cleaned == text:
        return ""
    pairs = zip(text, cleaned.ljust(len(text)), strict=False)
    at = next((n for n, (a, b) in enumerate(pairs) if a != b), len(cleaned))
    return ascii(text[max(at - 60, 0) : at + 40])


def told(play: Play) -> Iterator[tuple[str, str]]:
    """(where, text) of everything that the commands said or wrote, as UTF-8."""
    for name, ran in play.ran.items():
        yield f"what {name} said", ran.said.decode("utf-8")
    for path in play.pages:
        page = OURS.sub(r"\1", path.read_text("utf-8"))
        yield from ((path.name, one) for one in (page, unescape(page)))
    for path in play.tables:
        with path.open(newline="", encoding="utf-8") as file:
            yield from ((path.name, cell) for row in csv.reader(file) for cell in row)
    for name in ("gradebook.db", ".autograde/state.db"):
        yield from _in_database(play.folder / "term" / name)


def _in_database(path: Path) -> Iterator[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as database:
        database.text_factory = lambda raw: raw.decode("utf-8")
        listed = database.execute("select name from sqlite_master where type = 'table'").fetchall()
        for (table,) in listed:
            for row in database.execute(f'select * from "{table}"'):
                texts = (cell for cell in row if isinstance(cell, str))
                yield from ((f"{path.name}, {table}", one) for cell in texts for one in _held(cell))


def _held(cell: str) -> Iterator[str]:
    """The text, or the texts in it where it is JSON, whose escapes would hide them."""
    if cell[:1] not in ("{", "["):
        yield cell
        return
    try:
        yield from _texts(json.loads(cell))
    except ValueError:
        yield cell


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict):
        for key, value in tree.items():
            yield key
            yield from _texts(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _texts(value)


def live(page: str) -> set[str]:
    """What of a page a browser would run, fetch or follow elsewhere than by a link's click."""
    found = _Live()
    found.feed(page)
    found.close()
    return found.live


class _Live(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.live: set[str] = set()
        self._within = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._within = tag if tag in ("script", "style") else ""
        held = {name: value or "" for name, value in attrs}
        if tag in RUN:
            self.live.add(f"<{tag} {sorted(held.items())}>")
        for name, value in held.items():
            if self._is_live(name, value):
                self.live.add(f"<{tag} {name}={value[:200]!r}>")

    handle_startendtag = handle_starttag

    def _is_live(self, name: str, value: str) -> bool:
        if name.startswith("on") or name == "srcdoc":
            return True
        if name == "href":
            return not value.startswith("#") and _scheme(value) not in ALLOWED
        if name == "style":
            return "url(" in value or "expression" in value or "\\" in value
        return name in FETCHED and not PICTURE.match(value)

    def handle_data(self, data: str) -> None:
        if self._within:
            self.live.add(f"<{self._within}>{data}")

    def handle_endtag(self, tag: str) -> None:
        self._within = ""


def _scheme(value: str) -> str:
    """As a browser reads it: without ends of lines and tabs, and what cannot be seen in front."""
    value = re.sub(r"[\t\r\n]", "", value).lstrip("".join(map(chr, range(33))))
    try:
        return urlsplit(value).scheme.lower() or ("//" if value[:2] in ("//", "/\\") else "")
    except ValueError:
        return "unreadable"
