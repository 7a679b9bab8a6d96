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
