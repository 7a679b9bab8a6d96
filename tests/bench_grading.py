"""What grading takes: `autograde grade` beside plain `nbgrader autograde`, in one run.

    python -P -m tests.bench_grading [--submissions N] [--plain N] [--repeats N] [--pinned N]
        [--scale N N N] [--pages N] [--client N] [--arrivals N]

Every submission is a program of its own: mistakes by name, every third exercise right. But for
--pages and --client, which measure all but the programs: pages by one process and by two, and what
the client and the recorder take for N submissions of few programs. --arrivals: how long after a
notebook has arrived in a folder that is watched its page is there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import nbformat
import torch
from nbformat import NotebookNode

from autograde.course.lessons import grade_id
from autograde.course.sample import with_mistakes
from autograde.grading.grading import grade
from autograde.returning.feedback import feedback
from autograde.returning.reporting import report
from autograde.term.term import Term, init
from tests import plain

LESSON = "02_divergence"
FEW = 5  # programs where they are not what is measured
KINDS = 60  # different mistaken notebooks; beyond that they differ by a comment


def submission(number: int, kinds: list[NotebookNode]) -> NotebookNode:
    """A notebook that no other student handed in."""
    notebook = nbformat.from_dict(kinds[number % len(kinds)])
    for cell in notebook.cells:
        if grade_id(cell) == "k1":
            cell.source += f"\n# student {number}"
    return notebook


def term_of(root: Path, notebooks: dict[str, NotebookNode]) -> Path:
    """A fresh term with these submissions."""
    term = init(root)
    for student, notebook in notebooks.items():
        target = term.submission(student, LESSON)
        target.parent.mkdir(parents=True)
        nbformat.write(notebook, target)
    return root


def ours(notebooks: dict[str, NotebookNode], workers: int, record: bool = True) -> dict:
    """One run of the grading command's work in a process of its own, and what it took."""
    with tempfile.TemporaryDirectory() as scratch:
        root = term_of(Path(scratch, "term"), notebooks)
        child = [sys.executable, "-P", "-m", "tests.bench_grading", "--child"]
        started = time.perf_counter()
        said = subprocess.run(
            [*child, str(root), str(workers), str(int(record))],
            capture_output=True, text=True, check=True, cwd=plain.ROOT,
        )  # fmt: skip
        return json.loads(said.stdout) | {"whole": time.perf_counter() - started}


def child(root: str, workers: str, record: str) -> None:
    """Grade, and print seconds of each submission and the greatest memory of this process."""
    started = time.perf_counter()
    done = grade(Term.open(root), [LESSON], workers=int(workers), record=bool(int(record)))
    seconds = time.perf_counter() - started
    each = [run + judge for run, judge in done.seconds]
    # Not getrusage's: that begins with the memory of the process which started this one.
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    memory = int(peak) >> 10
    found = {"each": each, "graded": len(done.graded), "mb": memory, "seconds": seconds}
    print(json.dumps(found))


def nbgraders(notebooks: dict[str, NotebookNode]) -> dict:
    """The same from `nbgrader autograde`, in one command."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        plain.make(root, LESSON, notebooks, "tests.timed_execute.TimedExecute")
        started = time.perf_counter()
        plain.run(root, "autograde", LESSON)
        whole = time.perf_counter() - started
        return {"whole": whole, "each": [float(x) for x in (root / "seconds").read_text().split()]}


def middle(runs: list[dict], number: int) -> tuple[float, float]:
    """Medians over runs: seconds of run-and-judge, and of the whole command, per submission."""
    each = median(median(run["each"]) for run in runs)
    return each, median(run["whole"] for run in runs) / number


def compare(number: int, plainly: int, repeats: int, kinds: list[NotebookNode]) -> None:
    """One and two workers beside nbgrader."""
    handed_in = {f"s{i:05d}": submission(i, kinds) for i in range(number)}
    few = dict(list(handed_in.items())[:plainly])
    one = middle([ours(handed_in, 1) for _ in range(repeats)], number)
    two = middle([ours(handed_in, 2) for _ in range(repeats)], number)
    stock = middle([nbgraders(few)], len(few))
    bare = {name: plain.without_demos(notebook) for name, notebook in few.items()}
    short = middle([nbgraders(bare)], len(bare))
    print(f"\n{'seconds per submission':44} run and judge   whole command")
    for title, found in (
        (f"nbgrader autograde, {len(few)} notebooks", stock),
        ("nbgrader autograde, demo cells taken out", short),
        (f"autograde grade, one worker, {number} notebooks", one),
        ("autograde grade, two workers", two),
    ):
        print(f"{title:44} {found[0]:13.3f}   {found[1]:13.3f}")
    for title, theirs in (("nbgrader / one worker", stock), ("  without demo cells", short)):
        ratios = [one_side / other for one_side, other in zip(theirs, one, strict=True)]
        print(f"{title:44} {ratios[0]:12.1f}×   {ratios[1]:12.1f}×")
    print(f"{'one worker / two workers, whole command':60}   {one[1] / two[1]:12.2f}×")


def each_with_a_core(number: int, repeats: int, kinds: list[NotebookNode]) -> None:
    """Two workers beside one that may not use the second core too, as it does when it can."""
    handed_in = {f"s{i:05d}": submission(i, kinds) for i in range(number)}
    allowed = os.sched_getaffinity(0)
    whole = []
    print(f"\n{f'{number} notebooks, a core for each worker':44} whole command, seconds each")
    for workers in (1, 2):
        os.sched_setaffinity(0, sorted(allowed)[:workers])  # the child's as well
        whole.append(middle([ours(handed_in, workers) for _ in range(repeats)], number)[1])
        print(f"{f'autograde grade, workers and cores: {workers}':60}   {whole[-1]:13.3f}")
    os.sched_setaffinity(0, allowed)
    print(f"{'one / two':60}   {whole[0] / whole[1]:12.2f}×", flush=True)


def scale(sizes: list[int], kinds: list[NotebookNode]) -> None:
    """Cost per submission and the client's memory as the class grows."""
    print(f"\n{'submissions':>11}  seconds each  since the size before  client, MB")
    before = None
    for size in sizes:
        found = ours({f"s{i:05d}": submission(i, kinds) for i in range(size)}, 2)
        since = "" if before is None else (found["whole"] - before[1]) / (size - before[0])
        since = f"{since:.3f}" if since else ""
        print(
            f"{size:11}  {found['whole'] / size:12.3f}  {since:>21}  {found['mb']:10}", flush=True
        )
        before = size, found["whole"]


def few_programs(number: int, kinds: list[NotebookNode]) -> dict[str, NotebookNode]:
    """Notebooks of a large class, with no more programs than there are kinds."""
    return {f"s{i:05d}": kinds[i % len(kinds)] for i in range(number)}


def pages(number: int, repeats: int, kinds: list[NotebookNode]) -> None:
    """Feedback by one process and by two, in turn; all pages are made each time."""
    with tempfile.TemporaryDirectory() as scratch:
        term = Term.open(term_of(Path(scratch, "term"), few_programs(number, kinds)))
        grade(term, [LESSON], workers=2)
        taken = {workers: [] for workers in (1, 2)}
        for _ in range(repeats):
            for workers, each in taken.items():
                shutil.rmtree(term.root / "feedback", ignore_errors=True)
                started = time.perf_counter()
                made, failed = feedback(term, workers=workers)
                each.append((time.perf_counter() - started) / number)
                assert (len(made), failed) == (number, [])
    one, two = median(taken[1]), median(taken[2])
    print(f"\n{f'{number} pages of feedback':44} seconds each, median of {repeats}")
    print(f"{'autograde feedback, one worker':60}   {one:13.3f}")
    print(f"{'autograde feedback, two workers':60}   {two:13.3f}")
    print(f"{'one / two':60}   {one / two:12.2f}×", flush=True)


def client(number: int, kinds: list[NotebookNode]) -> None:
    """What is done once for each submission, by one process: read, rebuild, record; then a run
    that finds all done, and the report."""
    with tempfile.TemporaryDirectory() as scratch:
        root = term_of(Path(scratch, "term"), few_programs(len(kinds), kinds))
        measured(root)
        for student, notebook in few_programs(number, kinds).items():
            target = Term(root).submission(student, LESSON)
            target.parent.mkdir(parents=True, exist_ok=True)
            nbformat.write(notebook, target)
        first, again = measured(root), measured(root)
        started = time.perf_counter()
        report(Term.open(root), root / "report.html")
        counted = time.perf_counter() - started
    rest = number - len(kinds)
    assert (first["graded"], again["graded"]) == (rest, 0)
    print(f"\n{f'{number} submissions of {len(kinds)} programs':44} seconds      each   client, MB")
    for title, whole, each, memory in (
        ("read, rebuilt and recorded", first["seconds"], first["seconds"] / rest, first["mb"]),
        ("found graded before", again["seconds"], again["seconds"] / number, again["mb"]),
        ("counted, and written as a report", counted, counted / number, ""),
    ):
        print(f"{title:44} {whole:7.1f}   {each:7.4f}   {memory!s:>10}", flush=True)


def arrivals(number: int, kinds: list[NotebookNode]) -> None:
    """Notebooks one after another into a folder that is watched, each a program of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        term, drop = init(Path(scratch, "term")), Path(scratch, "drop")
        drop.mkdir()
        command = [sys.executable, "-P", "-m", "autograde", "watch", drop, "--course", term.root]
        watch = subprocess.Popen(list(map(str, command)), cwd=plain.ROOT, stdout=subprocess.DEVNULL)
        try:
            taken = [_arrival(term, drop, i, submission(i, kinds)) for i in range(number)]
        finally:
            watch.terminate()
            watch.wait()
    print(f"\n{f'{number} notebooks into a watched folder':44} seconds until the page is there")
    print(f"{'the first, as it starts':60}   {taken[0]:13.1f}")
    print(f"{'median of the others':60}   {median(taken[1:]):13.1f}")
    print(f"{'slowest of the others':60}   {max(taken[1:]):13.1f}", flush=True)


def _arrival(term: Term, drop: Path, number: int, notebook: NotebookNode) -> float:
    student = f"s{number:05d}"
    nbformat.write(notebook, drop / f"{student}_{LESSON}.ipynb")
    started = time.perf_counter()
    page = term.root / "feedback" / student / LESSON / f"{LESSON}.html"
    while not page.exists():
        if time.perf_counter() - started > 300:
            raise TimeoutError(f"{page}: not there after 5 minutes")
        time.sleep(0.02)
    return time.perf_counter() - started


def measured(root: Path) -> dict:
    """A run of `grade` in a process of its own: see `child`."""
    command = [sys.executable, "-P", "-m", "tests.bench_grading", "--child", str(root), "1", "1"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, cwd=plain.ROOT)
    return json.loads(said.stdout)


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        child(*sys.argv[2:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--submissions", type=int, default=100)
    parser.add_argument("--plain", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--pinned", type=int, default=400)
    parser.add_argument("--scale", type=int, nargs="*", default=[100, 500, 2000])
    parser.add_argument("--pages", type=int, default=400)
    parser.add_argument("--client", type=int, default=10_000)
    parser.add_argument("--arrivals", type=int, default=20)
    options = parser.parse_args()
    print(f"{os.cpu_count()} cores, Python {sys.version.split()[0]}, torch {torch.__version__}")
    kinds = [with_mistakes(LESSON, number) for number in range(KINDS)]
    if options.submissions:
        compare(options.submissions, options.plain, options.repeats, kinds)
    if options.pinned:
        each_with_a_core(options.pinned, options.repeats, kinds)
    if options.scale:
        scale(options.scale, kinds)
    if options.pages:
        pages(options.pages, options.repeats, kinds[:FEW])
    if options.client:
        client(options.client, kinds[:FEW])
    if options.arrivals:
        arrivals(options.arrivals, kinds)


if __name__ == "__main__":
    main()
