"""Attacks by files that are no notebooks, or not the student's own."""

from collections.abc import Callable, Iterator
from pathlib import Path

from tests.hostile.entry import FULL, LESSON, NOTHING, Hostile, file, raw, save, solved, solved_text


def breaking() -> Iterator[Hostile]:
    """Files that are no notebooks, or not their own."""
    text, broken = solved_text(), "its JSON is broken or cut short"
    yield raw("cut-short", "is a download that was cut short", text[: len(text) // 2], broken)
    yield raw("not-json", "is no JSON", "import torch", "not a notebook but Python")
    yield raw("empty", "is an empty file", b"", "an empty file")
    yield raw("deep", "nests lists 100,000 deep", "[" * 10**5, broken)
    yield raw("deep-metadata", "nests metadata 100,000 deep",
              '{"cells": [], "metadata": ' + '{"a":' * 10**5 + "1" + "}" * 10**5 + "}",
              broken)  # fmt: skip
    yield raw("utf-16", "is written in UTF-16", text.encode("utf-16"), "", earns=FULL)
    for name, held in (("list", "[]"), ("null", "null"), ("number", "3"), ("text", '"x"'),
                       ("no-cells", '{"nbformat": 4}'), ("cells", '{"nbformat": 4, "cells": 3}'),
                       ("cell", '{"nbformat": 4, "metadata": {}, "cells": [3]}'),
                       ("format", '{"nbformat": [99], "cells": []}'),
                       ("kernel", '{"nbformat": 4, "cells": [], "metadata": {"kernelspec": []}}'),
                       ("digits", '{"nbformat": ' + "9" * 5000 + "}")):  # fmt: skip
        yield raw(
            f"shape-{name}", f"is JSON of the wrong shape: {held[:50]}", held, "not a notebook"
        )
    yield raw("no-cell", "is a notebook without a cell",
              '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []}', "",
              earns=NOTHING)  # fmt: skip
    yield raw("other-lesson", "is another lesson's notebook", solved_text("01_policy_updates"),
              "this is lesson 01_policy_updates under the name of 02_divergence",
              on_gradescope="is 01_policy_updates: hand in 02_divergence.ipynb here")  # fmt: skip
    yield file("long-file", "is 300 MB long", _long, unreadable="larger than 64 MiB")
    # Gradescope's autograder looks for plain files alone.
    none = {"on_gradescope": "no notebook came"}
    yield file("folder", "is a folder", Path.mkdir, unreadable="cannot be read", **none)
    for name, tries, target in (
        ("link-passwd", "is a link to a file of the machine", "/etc/passwd"),
        ("link-gradebook", "is a link to the gradebook", "../../../gradebook.db"),
        (
            "link-source",
            "is a link to the solved notebook",
            f"../../../source/{LESSON}/{LESSON}.ipynb",
        ),
        ("link-nowhere", "is a link to itself", f"{LESSON}.ipynb"),
    ):
        yield file(name, tries, _link(target), unreadable=f"{LESSON}.ipynb: ", **none)
    yield file("link-beside", "has a link to the term's key beside it", _beside, earns={})


def _long(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(300 * 2**20)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def _beside(path: Path) -> None:
    save(solved())(path)
    path.with_name("beside.txt").symlink_to("../../../.autograde/key")
    path.with_name("beside.db").symlink_to("../../../gradebook.db")


def crowding() -> Iterator[Hostile]:
    """Files within the limit of size that are large once they are read."""
    whole = solved_text()

    def inside(metadata: str) -> str:
        return whole.replace('"metadata": {', '"metadata": {"x": ' + metadata + ", ", 1)

    for name, tries, held in (
        ("lists", "20 million empty lists", lambda: "[" + "[]," * 20_000_000 + "[]]"),
        ("dicts", "15 million empty dicts", lambda: "[" + "{}," * 15_000_000 + "{}]"),
        ("keys", "3 million keys",
         lambda: "{" + ",".join(f'"{n}":0' for n in range(3_000_000)) + "}"),
        ("keys-again", "one key 3 million times", lambda: "{" + '"a":0,' * 3_000_000 + '"a":0}'),
        ("text", "a text of 60 MB", lambda: '"' + "x" * 60_000_000 + '"'),
        ("escaped", "a text of 10 million escaped halves",
         lambda: '"' + r"\ud800" * 10_000_000 + '"'),
        ("spaces", "60 MB of spaces", lambda: " " * 60_000_000 + "0"),
        ("levels", "900 levels", lambda: "[" * 900 + "]" * 900),
        ("digits", "a number of a million digits", lambda: "9" * 10**6),
    ):  # fmt: skip
        yield Hostile(f"metadata-{name}", f"holds {tries} beside its cells",
                      lambda path, held=held: path.write_text(inside(held())) and None,
                      earns={}, spoils=tuple(FULL), refusable=True)  # fmt: skip
    yield raw(
        "bom", "begins with a mark of UTF-8", b"\xef\xbb\xbf" + whole.encode(), "", earns=FULL
    )
    yield raw("utf-32", "is written in UTF-32", whole.encode("utf-32"), "some other text")
    yield raw("zeros-only", "is a megabyte of zeros", bytes(2**20), f"{LESSON}.ipynb: ")
    yield raw("version-3", "is of an old version of notebooks",
              '{"nbformat": 3, "nbformat_minor": 0, "metadata": {}, "worksheets": [{"cells": 3}]}',
              "not a notebook")  # fmt: skip


KINDS = (breaking, crowding)
