"""Every attack, by the stage that it is to break."""

from dataclasses import replace
from functools import cache

from tests.hostile import (
    asking,
    points,
    reading,
    rebuilding,
    replies,
    sandbox,
    transformer,
)
from tests.hostile.entry import Hostile

STAGES = (reading, rebuilding, transformer, sandbox, asking, replies, points)


@cache
def suite() -> tuple[Hostile, ...]:
    """All that can be handed in as one lesson's file."""
    return tuple(
        replace(one, stage=module.__name__.rpartition(".")[2])
        for module in STAGES
        for kind in module.KINDS
        for one in kind()
    )
