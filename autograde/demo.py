"""The whole loop on the sample class, from a term folder to returned feedback."""

import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

from .common.errors import UsageError
from .common.files import require_place
from .common.saying import counted, say

MARK = ".made-by-demo"


def demo(folder: Path, progress: Callable[[Iterable, int], Iterable]) -> None:
    """Make, release, collect, grade and return a sample class under `folder`, saying each step.

    A folder that an earlier demo made is made anew. Raises UsageError for any other that is not
    empty.
    """
    require_place(folder)
    ours = (folder / MARK).exists()
    if folder.exists() and not ours and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(f"{folder}: not empty and not an earlier demo; name another folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    say("A sample class: wrong answers by name, a perfect, an untouched and a broken notebook")
    _play(folder, progress)


def _play(folder: Path, progress: Callable[[Iterable, int], Iterable]) -> None:
    # Here, as a folder that cannot be taken is told before seconds of imports.
    from .course import sample
    from .grading.grading import grade
    from .receiving.collecting import collect
    from .returning.exporting import export, grades, table
    from .returning.feedback import feedback
    from .returning.reporting import report
    from .term.releasing import release
    from .term.term import init

    downloads = sample.write(folder / "class")
    say("1 of 7  init: a term folder with its roster")
    term = init(folder / "term", folder / "class" / "roster.csv")
    say("2 of 7  release: what students get")
    bundle = release(folder / "bundle")
    say("3 of 7  collect: what came back")
    collected = collect(downloads, term)
    unplaced = len(collected.unplaced) + collected.more
    say(f"        {counted(len(collected.placed), 'notebook')} placed, {unplaced} not")
    say("4 of 7  grade: each in a sandbox of its own; about 0.3 s each")
    outcome = grade(term, workers=2, progress=progress)
    say("5 of 7  feedback: a page for each; about 0.2 s each")
    pages, failed = feedback(term, progress, workers=2)
    say("6 of 7  export: the points as CSV")
    points = export(term, folder / "grades.csv").path
    say("7 of 7  report: the class on one page, for you")
    overview = report(term, folder / "report.html")
    say()
    say(table(grades(term)), lines=True)
    say()
    for line in (*collected.unplaced, *outcome.failed, *failed):
        say(f"not graded: {line.replace(str(term.root) + '/', '')}")
    say()
    say(f"student bundle  {bundle}")
    say(f"term folder     {term.root}")
    say(f"points          {points}")
    say(f"feedback        {counted(len(pages), 'page')}, such as {pages[0]}")
    say(f"report          {overview}")
