"""What a student waits for: importing the helpers beside importing torch, and a visible check."""

import statistics
import subprocess
import sys
import time

from autograde.course.exercises import LESSONS, exercises
from helpers.checking import visible_verdict

IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
BOTH = "import torch, time; t = time.perf_counter(); import helpers; print(time.perf_counter() - t)"
RUNS = 5


def seconds(program: str) -> float:
    """The median over fresh interpreters of what the program prints."""
    command = [sys.executable, "-c", program]
    found = [float(subprocess.check_output(command, text=True)) for _ in range(RUNS)]
    return statistics.median(found)


def check_seconds(name: str, answer: object) -> float:
    """The median time of one visible check."""
    times = []
    for _ in range(RUNS):
        started = time.perf_counter()
        visible_verdict(name, answer)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Print the two figures and the slowest checks, right and wrong."""
    torch, helpers = seconds(IMPORT.format("torch")), seconds(BOTH)
    print(
        f"import torch {torch:.2f} s; import helpers adds {helpers:.2f} s ({helpers / torch:.0%})"
    )
    rows = []
    for lesson in LESSONS:
        for name, exercise in exercises(lesson).items():
            for kind, answer in (("right", exercise.answer), *_wrong(exercise)):
                rows.append((check_seconds(name, answer), name, kind))
    print(f"{len(rows)} visible checks; median {statistics.median(row[0] for row in rows):.3f} s")
    for slow, name, kind in sorted(rows, reverse=True)[:3]:
        print(f"  slowest: {slow:.3f} s  {name}, {kind}")


def _wrong(exercise: object) -> list[tuple[str, object]]:
    return [(mistake.name, mistake.answer) for mistake in exercise.mistakes[:3]]


if __name__ == "__main__":
    main()
