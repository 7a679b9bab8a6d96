"""The commands. Exit codes: 0 done, 1 something that is named could not be done, 2 unusable
arguments or, of `doctor`, a machine that lacks something, 130 stopped by Ctrl-C."""

import argparse
import json
import os
import re
import secrets
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from .common.errors import UsageError, is_disk_full
from .common.files import require_target
from .common.interrupts import kept
from .common.saying import counted, said, say, show_exception, warn
from .common.system import require_linux

if TYPE_CHECKING:
    from .grading.cluster import Remote
    from .term.term import Term

USUAL = 79, 24  # columns and lines of a terminal


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code. argv: None for this process's own, which then ends."""
    sys.excepthook = show_exception
    options = _read(_parser(), argv)
    try:
        if options.run not in ANYWHERE:
            require_linux()
        if hasattr(options, "as_root"):
            _settle_root(options.as_root)
        with kept(last=argv is None):
            return options.run(options)
    except UsageError as error:
        warn(error)
        return 2
    except KeyboardInterrupt:
        more = "what was graded so far is kept, run it again to go on"
        warn(f"stopped; {more if options.run is _grade else 'run it again'}")
        return 130
    except BrokenPipeError:  # the reader of our output, such as head, has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if is_disk_full(error):
            warn("the disk is full; free some space and run it again: what was done is kept")
            return 1
        if isinstance(error, OSError) and error.filename is not None:
            what = f"{error.filename}: {error.strerror}; check the path, and whose it is"
            warn(what)
            return 2
        raise


def _read(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> argparse.Namespace:
    """The arguments; a TIME such as -1d, which looks like an option, is told of as the others."""
    options, rest = parser.parse_known_args(argv)
    if options.run is _extend and not options.time and rest and re.match(r"-\d", rest[0]):
        options.time = rest.pop(0)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return options


class _Parser(argparse.ArgumentParser):
    """One line for what was typed wrong, and where to look."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"autograde: {said(message)}; see: {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="autograde", description="Grade this course's notebooks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=text, description=text)
        made.set_defaults(run=run)
        return made

    build = command("build", _build, "make the notebooks from the lessons' sources")
    build.add_argument("--check", action="store_true", help="only say what is stale")
    init = command("init", _init, "make a term folder, or bring one up to date")
    init.add_argument("folder", metavar="DIR", type=Path)
    init.add_argument("--roster", metavar="FILE.csv", type=Path, help="the students")
    init.add_argument(
        "--yes", action="store_true",
        help="take the roster even if it has none of those who have work in the term",
    )  # fmt: skip
    release = command("release", _release, "write the student bundle into a folder")
    release.epilog = (
        "Into a bundle that is there, it writes the lessons that are not in it yet, on the terms "
        "on which it was begun, and leaves all else as it is."
    )
    release.add_argument("folder", metavar="DIR", type=Path)
    release.add_argument(
        "lessons", metavar="LESSON", nargs="*", help="only these, for now; without, all of them"
    )
    release.add_argument(
        "--course", metavar="DIR",
        help="the term folder, whose lessons and points it takes; where you are in none, all",
    )  # fmt: skip
    release.add_argument(
        "--colab", metavar="WHERE", default="",
        help="where Google Colab will find the bundle: the GitHub repository that you push it to, "
        "or the URL, or the path on Colab, of a zip of it",
    )  # fmt: skip
    release.add_argument(
        "--quizzes", choices=("told", "kept"), default="",
        help="told: a check says whether a question is answered rightly, and why not; kept (the "
        "default): only grading does",
    )  # fmt: skip
    release.add_argument(
        "--solutions", action="store_true",
        help="with the course's own answers, which solution() shows to whoever has one",
    )  # fmt: skip
    collect = command("collect", _collect, "put what was handed in into submitted/")
    collect.epilog = (
        "Whose a file is: the outermost part of its path that says so counts. In it, what Canvas, "
        "Moodle, Brightspace, Blackboard, Sakai, ILIAS, Gradescope, GitHub Classroom, nbgrader's "
        "exchange or a mail's address say, by id, address or full name; else an id, an address or "
        "a full name of the roster as whole words. Whom it cannot tell, or two who go by one name, "
        "it keeps apart in unmatched/ and names. A download of several people of whom it knows "
        "nobody is another class's, and is left. Of several tries the last before the due date "
        "counts, or the last of all where none is known to be in time, and none that cannot be "
        "read where another can; the others are kept in tries/, to be collected again when a "
        "date has moved. Hand-in times come from Brightspace, Blackboard, Sakai, Gradescope and "
        "nbgrader; nobody else counts as late until submitted/STUDENT/LESSON/timestamp.txt says "
        "when it came."
    )
    collect.add_argument("downloads", metavar="DOWNLOADS", type=Path, help="zip, folder, file")
    collect.add_argument("--as", dest="student", metavar="ID", help="all of it is this student's")
    collect.add_argument(
        "--people", metavar="FILE.csv", type=Path,
        help="whose is whose: a column id, and others of folders, handles, numbers or addresses",
    )  # fmt: skip
    grade = command("grade", _grade, "run, judge and record")
    grade.add_argument("lessons", metavar="LESSON", nargs="*", help="only these")
    grade.add_argument("--student", metavar="ID", help="only this one")
    grade.add_argument("--scheduler", metavar="ADDR", help="of Dask, in place of own workers")
    for name, what in (("ca-file", "whom to trust"), ("cert", "a certificate"), ("key", "its key")):
        grade.add_argument(
            f"--tls-{name}", metavar="FILE.pem", default="",
            help=f"with --scheduler tls://ADDR: {what}; else what Dask's configuration says",
        )  # fmt: skip
    grade.add_argument(
        "--regrade", action="store_true",
        help="judge and record again what is graded too; student code runs again only where the "
        "questions changed",
    )  # fmt: skip
    grade.add_argument("--device", default="cpu", help="where answers are computed: cpu, cuda")
    watch = command("watch", _watch, "collect, grade and give feedback on what arrives in a folder")
    watch.add_argument("folder", metavar="FOLDER", type=Path, help="where work arrives")
    watch.add_argument("--once", action="store_true", help="end when all that is there is done")
    watch.epilog = (
        "FOLDER is one that files are put into, as `collect` takes them: by hand, by a platform, "
        "by nbgrader's exchange (its inbound), or the term's own submitted. A file is taken when "
        "two looks, a second apart, find it the same, and complete. What is there stays there; "
        "Ctrl-C or SIGTERM stops it, and started again it goes on where it was."
    )
    feedback = command("feedback", _feedback, "make the pages that go back to students")
    feedback.add_argument(
        "lesson", metavar="LESSON", nargs="?", default="",
        help="only of this; without, of all, but with --for it is needed where no --like says it",
    )  # fmt: skip
    feedback.add_argument(
        "--for", dest="form", choices=("moodle", "canvas"),
        help="and pack those of one lesson as this platform takes them back",
    )  # fmt: skip
    feedback.add_argument(
        "--like", metavar="DOWNLOAD.zip", type=Path,
        help="with --for: what you downloaded from there, whose numbers say who is who; else "
        "those that collect kept",
    )  # fmt: skip
    feedback.add_argument("--to", metavar="OUT.zip", type=Path, help="with --for: the zip to write")
    export = command("export", _export, "write the points as CSV")
    export.add_argument("--to", metavar="FILE.csv", type=Path, required=True)
    export.add_argument("lessons", metavar="LESSON", nargs="*", help="only these")
    export.add_argument(
        "--for", dest="form", choices=("table", "students", "canvas", "moodle"), default="table",
        help="table (the default): a line for each student and lesson; students: one for each "
        "student on the roster, with the total, for a spreadsheet; or the import of Canvas or "
        "Moodle",
    )  # fmt: skip
    export.add_argument(
        "--ids", choices=("id", "email"), default="",
        help="by what students are known in it; without, by both",
    )  # fmt: skip
    export.add_argument(
        "--fill", metavar="CANVAS.csv", type=Path,
        help="with --for canvas: the gradebook that Canvas exported, to fill in; who is excused in "
        "it stays so",
    )  # fmt: skip
    export.add_argument(
        "--partial", action="store_true",
        help="but for the table: also scores whose essays are not graded by hand yet",
    )  # fmt: skip
    report = command("report", _report, "write what the class did as one HTML page, for you")
    report.add_argument("--to", metavar="FILE.html", type=Path, required=True)
    for made in (grade, feedback, watch):
        made.add_argument("--workers", metavar="N", type=_positive, default=os.cpu_count() or 1)
    for made in (collect, grade, watch, feedback, export, report):
        made.add_argument("--course", metavar="DIR", default=".", help="the term folder")
    leave = command("remove", _remove, "take a student out of the term for good")
    leave.add_argument("student", metavar="ID")
    leave.add_argument("--yes", action="store_true", help="do not ask first, on a terminal either")
    extend = command("extend", _extend, "give one student more time for a lesson")
    extend.epilog = (
        "TIME is when it is due for them, with its zone, such as '2026-10-04 12:00:00 UTC', or how "
        "much longer they have than the others, such as 2d, 36h or 1w; none takes it back. It "
        "stands in place of what they had before. Without arguments: what extensions there are."
    )
    for name, shown in (("student", "ID"), ("lesson", "LESSON"), ("time", "TIME")):
        extend.add_argument(name, metavar=shown, nargs="?")
    for made in (leave, extend):
        made.add_argument("--course", metavar="DIR", default=".", help="the term folder")
    check = command("check", _check, "grade one file, with no gradebook")
    check.add_argument("file", metavar="FILE.ipynb", type=Path)
    check.add_argument("--json", action="store_true", help="for programs")
    for made in (grade, watch, check):
        made.add_argument(
            "--sandbox", choices=("fork", "strict", "none"), default="fork",
            help="fork (the default): namespaces of its own for each submission; strict: a new "
            "sandbox for each, slower; none: student code runs with all your rights",
        )  # fmt: skip
    gradescope = command("gradescope", _gradescope, "make an autograder for Gradescope")
    gradescope.add_argument("lesson", metavar="LESSON")
    gradescope.add_argument("--to", metavar="FILE.zip", type=Path, required=True)
    gradescope.add_argument(
        "--sandbox", choices=("fork", "none"), default="fork",
        help="fork (the default): bubblewrap where their host lets it, else a user without rights; "
        "none: student code runs there with all of root's",
    )  # fmt: skip
    demo = command("demo", _demo, "the whole loop on a sample class")
    demo.add_argument("folder", metavar="DIR", type=Path, nargs="?", default=Path("demo"))
    for made in (grade, watch, check, demo):
        made.add_argument("--as-root", action="store_true", help="work as root all the same")
    command("doctor", _doctor, "what this machine lacks, and the line that mends it")
    command("limits", _limits, "what bounds each stage of grading, and what happens there")
    return parser


def _settle_root(asked: bool) -> None:
    """Raise UsageError for root who did not ask for it; workers are told by the environment."""
    from .common.root import AS_ROOT, require_no_root

    if asked:
        os.environ[AS_ROOT] = "1"
    require_no_root()


def _positive(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 up")
    return int(text)


def _bar(items: Iterable, total: int) -> Iterable:
    """What is done of it, on a terminal; one that does not say how large it is, as those that
    programs open, is taken for a usual one, where tqdm would draw nothing."""
    from tqdm import tqdm

    screen = sys.stderr
    unsaid = screen.isatty() and not os.get_terminal_size(screen.fileno()).columns
    columns, lines = USUAL if unsaid else (None, None)
    return tqdm(
        items, total=total, unit="notebook", file=screen, leave=False, disable=None,
        ncols=columns, nrows=lines,
    )  # fmt: skip


def _build(options: argparse.Namespace) -> int:
    from .course.build import ROOT, build, stale

    if options.check:
        different = stale()
        for path in different:
            warn(f"{path}: stale; run: autograde build")
        return 2 if different else 0
    for path in build(ROOT):
        say(path.relative_to(ROOT))
    return 0


def _init(options: argparse.Namespace) -> int:
    from .term.joining import listed_in, moves
    from .term.rosters import read_people
    from .term.term import init

    before = listed_in(options.folder) if options.roster else []
    refused: list[str] = []
    term = init(options.folder, options.roster, refused.append, options.yes)
    for line in refused:
        warn(line)
    say(f"{term.root}: {counted(len(term.roster()), 'student')} on the roster")
    column = read_people(options.roster, term.students()).column if options.roster else "id"
    if column != "id":
        say(f"their ids are what {options.roster} has under {column!r}")
    if plan := term.plan.told():
        say(f"what its settings change of the course is in it: {plan}")
    says, warns = moves(term, before) if before else ([], [])
    for line in says:
        say(line)
    for line in warns:
        warn(line)
    return 1 if refused else 0


def _release(options: argparse.Namespace) -> int:
    from .course.lessons import known_lesson
    from .course.plan import Plan
    from .term.term import Term

    here = Path(".autograde", "key").is_file()
    course = options.course or ("." if here else None)
    term = Term.open(course) if course else None
    plan = term.plan if term else None
    lessons = (plan or Plan()).lessons
    for name in options.lessons:
        known_lesson(name, lessons)  # as for feedback
    from .term.releasing import release

    terms = options.colab, options.quizzes, options.solutions
    identity = term.identity if term else ""
    say(release(options.folder, *terms, options.lessons, plan, identity))
    if term:
        say(f"its lessons and points are those of the term {term.root}")
    else:
        say("its lessons and points are those of the whole course; for a term's, add --course DIR")
    return 0


def _collect(options: argparse.Namespace) -> int:
    from .receiving.collecting import collect
    from .term.term import Term

    term = Term.open(options.course)
    result = collect(options.downloads, term, options.student, options.people, progress=_bar)
    for line in (*result.notes, *result.unplaced):
        warn(line)
    left = f"; {counted(result.left, 'other file')} left out" if result.left else ""
    new = len(result.placed) - result.same
    there = f", {result.same} there before" if result.same else ""
    say(
        f"{'' if new or not there else 'nothing new: '}{new} placed{there}, "
        f"{len(result.unplaced) + result.more} not placed{left}; "
        f"the hand-in time is known of {result.timed}"
    )
    if result.timed < len(result.placed):
        say(
            "nobody else counts as late; to say when one came, write the time, such as "
            "2026-10-02 12:00:00 UTC, to submitted/STUDENT/LESSON/timestamp.txt"
        )
    return 1 if result.unplaced else 0


def _grade(options: argparse.Namespace) -> int:
    from .grading.grading import grade
    from .term.term import Term

    term, remote = Term.open(options.course), _remote(options)
    outcome = grade(
        term, options.lessons, options.student, options.workers, options.regrade,
        options.sandbox, _bar, remote, options.device,
    )  # fmt: skip
    if options.sandbox == "fork" and "strict" in outcome.modes and options.device == "cpu":
        warn(
            "this machine refuses sandboxes within a sandbox, so each submission got "
            "one of its own, which takes seconds longer; autograde doctor says more"
        )
    unknown = "of no lesson, or of no id, that is known; left out"
    strangers = [f"{path}: {unknown}" for path in term.strangers()]
    strangers += [
        f"{lesson}: not among the term's lessons, see nbgrader_config.py; {count} handed in, and "
        "left out"
        for lesson, count in term.left_out().items()
    ]
    for line in (*outcome.failed, *outcome.typed, *strangers):
        warn(line)
    unprotected = ", WITHOUT A SANDBOX" if options.sandbox == "none" else ""
    say(
        f"{len(outcome.graded)} graded{unprotected}, {len(outcome.skipped)} graded before, "
        f"{len(outcome.failed)} could not be graded"
    )
    return 1 if outcome.failed else 0


def _remote(options: argparse.Namespace) -> "Remote | None":
    """The scheduler that was asked for. Raises UsageError where it cannot be used as it was."""
    tls = options.tls_ca_file, options.tls_cert, options.tls_key
    if options.scheduler is None:
        if any(tls):
            raise UsageError("--tls-…: only with --scheduler; give it, or leave them out")
        return None
    from .grading.cluster import Remote

    remote = Remote(options.scheduler, *tls)
    remote.security()
    if remote.is_open:
        warn(
            f"{remote.url}: open: whoever can reach it becomes the grader, and runs code with "
            "your rights; README says how to close it"
        )
    return remote


def _watch(options: argparse.Namespace) -> int:
    from .term.term import Term
    from .watching import Watch

    watch = Watch(
        Term.open(options.course), options.folder, options.workers, options.once,
        {"mode": options.sandbox},
    )  # fmt: skip
    try:
        return 1 if watch.run() else 0
    except KeyboardInterrupt:
        say("stopped; start it again to go on")
        return 0


def _feedback(options: argparse.Namespace) -> int:
    from .course.lessons import known_lesson
    from .term.term import Term

    term = Term.open(options.course)  # or that there is none is told after seconds of imports
    lesson = known_lesson(options.lesson, term.lessons) if options.lesson else ""
    _require_platform(options, term)
    if options.form:
        return _hand_back(options, term, lesson)
    from .returning.feedback import feedback

    before = _stamps((term.root / "feedback").glob("*/*/*.html"))
    pages, failed = feedback(term, _bar, options.workers, lesson=lesson)
    for line in failed:
        warn(line)
    new = len(_stamps(pages) - before)
    where = Path(options.course) / "feedback"
    say(f"{counted(len(pages), 'page')} in {where}, {new or 'none'} new")
    return 1 if failed else 0


def _stamps(paths: Iterable[Path]) -> set[tuple[Path, int]]:
    return {(path, path.stat().st_mtime_ns) for path in paths}


def _require_platform(options: argparse.Namespace, term: "Term") -> None:
    """Raise UsageError for options that go with --for where it, or what it needs, is not there."""
    if not options.form:
        for name in ("like", "to"):
            if path := getattr(options, name):
                raise UsageError(f"--{name} {path}: only with --for moodle or --for canvas; add it")
        return
    if options.to is None:
        raise UsageError(f"--for {options.form}: name the zip to write, with --to OUT.zip")
    from .returning.targets import require_output

    require_output(term, options.to, ".zip", options.like)
    if options.like is None and not options.lesson:
        raise UsageError(
            f"--for {options.form}: name the LESSON whose pages go back, or what you downloaded "
            "with --like DOWNLOAD.zip"
        )


def _hand_back(options: argparse.Namespace, term: "Term", lesson: str) -> int:
    from .returning.handing_back import HOW, PLATFORMS, hand_back

    made = hand_back(term, options.form, options.to, options.like, lesson, _bar, options.workers)
    for line in (*made.notes, *made.unplaced):
        warn(line)
    pages = counted(made.count, "page")
    say(f"{made.path}: {pages} of {made.lesson} for {PLATFORMS[options.form]}")
    say(HOW[options.form])
    return 1 if made.unplaced else 0


def _report(options: argparse.Namespace) -> int:
    from .term.term import Term

    term = Term.open(options.course)  # as for feedback
    from .returning.targets import require_output

    require_output(term, options.to, ".html")
    from .returning.reporting import report

    say(report(term, options.to))
    return 0


def _export(options: argparse.Namespace) -> int:
    from .course.lessons import known_lesson
    from .returning.exporting import export
    from .term.term import Term

    term = Term.open(options.course)
    given = term.lessons
    lessons = [known_lesson(name, given) for name in options.lessons]
    made = export(
        term, options.to, options.form, options.fill, options.partial, lessons, options.ids
    )
    for line in (*made.notes, *made.outdated, *made.unplaced):
        warn(line)
    say(made.path)
    return 1 if made.outdated or made.unplaced else 0


def _remove(options: argparse.Namespace) -> int:
    from .term.leaving import named, perhaps_theirs, remove
    from .term.term import Term

    term = Term.open(options.course)
    who = named(term, options.student)
    if not options.yes and sys.stdin.isatty() and (code := _asked_and_stays(who)) is not None:
        return code
    perhaps = perhaps_theirs(term, options.student)
    gone = remove(term, options.student)
    say(f"{who}: removed from {', '.join(gone)}")
    for path in filter(Path.exists, perhaps):
        how = f"autograde remove {path.name}" if path.parent.name == "submitted" else "delete it"
        warn(f"{path}: may be theirs too, by its name; look at it, and if it is: {how}")
    return 0


def _asked_and_stays(who: str) -> int | None:
    """Ask whether somebody is to go; the exit code, where they are not."""
    say(f"{who}: their work, points and pages go too, and do not come back. Type yes to go on:")
    try:
        answer = input()
    except EOFError:  # Ctrl-D
        answer = ""
    except KeyboardInterrupt:
        warn(f"stopped; {who} stays, nothing was removed")
        return 130
    if answer.strip().casefold() in ("yes", "y"):
        return None
    say(f"{who}: stays; nothing was removed")
    return 0


def _extend(options: argparse.Namespace) -> int:
    from .term.extending import extend, extensions
    from .term.term import Term

    term = Term.open(options.course)
    given = options.student, options.lesson, options.time
    if any(given):
        if not all(given):
            raise UsageError("extend: give ID, LESSON and TIME, or nothing to see what there is")
        say(extend(term, *given))
    there = extensions(term)
    say(f"{counted(len(there), 'extension')} in this term{':' if there else ''}")
    for one in there:
        say(f"  {one}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from .term.reading import read_bytes

    read_bytes(options.file)  # or it is told before seconds of imports
    from helpers.report import Report

    from .course.recognise import named_lesson, other_lesson
    from .grading.single import grade_file

    # Fresh cases each time: what one check tells of them is worth nothing in the next.
    graded = grade_file(options.file, options.sandbox, secrets.token_bytes(32))
    found = graded.plain()
    named = named_lesson(options.file)
    if named not in ("", graded.lesson):
        told = f"{other_lesson(named, graded.lesson)}; it is graded as what it is"
        warn(f"{options.file}: {told}")
    if options.json:
        say(json.dumps(found, indent=1, allow_nan=False), lines=True)
        return 0
    for verdict in graded.verdicts.values():
        say(Report(verdict, hidden=True), lines=True)
    say(f"{options.file}: {found['score']} of {found['max_score']} points in {graded.lesson}")
    return 0


def _gradescope(options: argparse.Namespace) -> int:
    from .course.lessons import known_lesson

    known_lesson(options.lesson)  # as for feedback
    require_target(options.to, ".zip")
    from .returning.gradescope import gradescope

    say(gradescope(options.lesson, options.to, options.sandbox))
    return 0


def _demo(options: argparse.Namespace) -> int:
    from .demo import demo

    started = time.monotonic()
    demo(options.folder, _bar)
    say(f"{time.monotonic() - started:.0f} s in all")
    return 0


def _limits(options: argparse.Namespace) -> int:
    from .limits import table

    say(table(), lines=True)
    return 0


def _doctor(options: argparse.Namespace) -> int:
    from .doctor import findings

    lacking = 0
    for finding in findings():
        lacking += bool(finding.mend)
        say(f"{'✗' if finding.mend else '✓'} {finding.what}: {finding.found}")
        if finding.mend:
            say(f"    {finding.mend}")
    return 2 if lacking else 0


# What needs no sandbox, and works on other systems than Linux.
ANYWHERE = (_release, _doctor)
