"""Every attack, by the stage that it is to break."""

from dataclasses import replace
from functools import cache

from tests.hostile import (
    asking,
    feedback,
    judging,
    points,
    reading,
    rebuilding,
    replies,
    sandbox,
    terminal,
    transformer,
    unpacking,
)
from tests.hostile.entry import Download, Hostile

STAGES = (
    reading,
    rebuilding,
    transformer,
    sandbox,
    asking,
    replies,
    judging,
    points,
    feedback,
    terminal,
)

# Some of every stage, of every way in which one may end, and none that only waits for its limit
# but one: what `make test` grades.
SOME = {
    "reading": ("not-json", "long-file", "link-gradebook", "link-beside", "metadata-levels"),
    "rebuilding": ("doubled", "odd-cell-0", "cells-claim"),
    "transformer": ("shell-cell", "stall-quotes-open", "zeros"),
    "sandbox": ("gradebook", "ptrace", "tcp", "writes-outside"),
    "asking": ("kill-all-function", "loop-function", "left-behind"),
    "replies": ("nan", "cyclic", "equal-to-all", "raised-script"),
    "judging": ("value-lengths", "quiz-set", "reply-lies"),
    "points": ("replaced-compare", "frames-with-seals"),
    "feedback": ("essay-html", "essay-links"),
    "terminal": ("escapes-raised", "prints", "kernel-escapes", "marks-escapes"),
    "unpacking": ("bomb", "names", "nested"),
}


def some(attacks: tuple) -> tuple:
    """Those of SOME among them."""
    return tuple(one for one in attacks if one.name in SOME[one.stage])


@cache
def suite() -> tuple[Hostile, ...]:
    """All that can be handed in as one lesson's file."""
    return tuple(
        replace(one, stage=module.__name__.rpartition(".")[2])
        for module in STAGES
        for kind in module.KINDS
        for one in kind()
    )


@cache
def downloads() -> tuple[Download, ...]:
    """All that lies among the downloads and is no one lesson's file."""
    return tuple(one for kind in unpacking.KINDS for one in kind())
