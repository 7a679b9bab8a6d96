"""Grade all attacks, each by a command of its own, and print what became of them."""

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.hostile import as_gradescope
from tests.hostile.catalogue import suite
from tests.hostile.entry import ENVIRONMENT, LESSON, MODES, Hostile, disagreement
from tests.hostile.measured import CRASHED, measured

HEAD = ("stage", "attack", "tries", "outcome", "exit", "MiB", "s", "as expected")


def main(arguments: Sequence[str]) -> int:
    """1 when something is not as expected."""
    options = _options(arguments)
    os.environ[ENVIRONMENT] = "seen"
    os.environ.setdefault("AUTOGRADE_AS_ROOT", "1")  # there may be no other user
    wrong = 0
    for mode in options.modes:
        chosen = [one for one in suite() if mode in one.modes and options.only in one.path]
        wrong += _show(chosen, mode)
    return min(wrong, 1)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m tests.hostile", description=__doc__)
    parser.add_argument("--mode", choices=MODES, dest="modes", action="append")
    parser.add_argument("--only", default="", help="those with this in STAGE/NAME")
    options = parser.parse_args(arguments)
    options.modes = options.modes or ["fork"]
    return options


def _show(attacks: Sequence[Hostile], mode: str) -> int:
    rows, wrong = [HEAD], []
    with tempfile.TemporaryDirectory(prefix="hostile-") as folder:
        for one, seen, ran in _measured(attacks, Path(folder), mode):
            problem = disagreement(one, seen, mode)
            if ran.code in (CRASHED, *range(-64, 0)):
                problem = f"the command ended with {ran.code}: {ran.said[-2000:]}"
            wrong += [f"{one.path}: {problem}"] if problem else []
            print(f"{one.path}: {seen.told[:80]!a}", file=sys.stderr)
            figures = (str(ran.code), str(ran.peak), f"{ran.seconds:.1f}")
            rows.append((one.stage, one.name, one.tries, seen.told, *figures,
                         "no" if problem else "yes"))  # fmt: skip
    print(f"sandbox: {mode}, as user {os.geteuid()}", table(rows), *wrong, sep="\n")
    print(f"{len(rows) - 1} attacks, {len(wrong)} exceptions", flush=True)
    return len(wrong)


def _measured(attacks: Sequence[Hostile], folder: Path, mode: str) -> Iterator[tuple]:
    if mode == "user":
        yield from as_gradescope.measured([one for one in attacks if one.lesson == LESSON], folder)
    else:
        yield from measured(attacks, folder, mode)


def table(rows: Sequence[tuple[str, ...]]) -> str:
    """Columns as wide as what is in them, cut where a terminal would be."""
    cut = [[_short(text, 60) for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cut, strict=True)]
    lines = (" | ".join(map(str.ljust, row, widths)).rstrip() for row in cut)
    return "\n".join(lines)


def _short(text: str, most: int) -> str:
    plain = "".join(char if char.isprintable() else " " for char in text)
    return plain if len(plain) <= most else plain[: most - 1] + "…"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
