"""Print what is told of the first tries: refused, named truly, named falsely, without a sentence.

python -P -m tests.first_tries [EXERCISE…] [-v]
"""

import sys

from . import outcome, tried_exercises, tries

HEAD = f"{'exercise':28}{'tried':>7}{'refused':>9}{'truly':>7}{'falsely':>9}{'no sentence':>13}"


def main() -> int:
    """1 where something false is said."""
    wanted = [name for name in sys.argv[1:] if name != "-v"] or list(tried_exercises())
    print(HEAD)
    total = [0] * 5
    for name in wanted:
        row = _row(name)
        total = [a + b for a, b in zip(total, row, strict=True)]
        print(_line(name, row), flush=True)
    print(_line("all", total))
    return int(bool(total[3]))


def _row(name: str) -> list[int]:
    found = [(tried, outcome(tried, tried.verdict())) for tried in tries(name)]
    if "-v" in sys.argv:
        for tried, seen in found:
            said = f"truly {seen.truly}, falsely {seen.falsely}" if seen.refused else "accepted"
            print(f"  {name}.{tried.name}: {said}; may be told {tried.may}")
    seen = [one for _, one in found]
    refused = [one for one in seen if one.refused]
    falsely = sum(bool(one.falsely) for one in refused)
    truly = sum(bool(one.truly) and not one.falsely for one in refused)
    return [len(seen), len(refused), truly, falsely, len(refused) - truly - falsely]


def _line(name: str, row: list[int]) -> str:
    return f"{name:28}{row[0]:7}{row[1]:9}{row[2]:7}{row[3]:9}{row[4]:13}"


if __name__ == "__main__":
    sys.exit(main())
