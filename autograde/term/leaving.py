"""Take a student out of a term for good: every place that knows them, each whole or not at all.

The roster comes first, so that nothing brings them back; a run that was stopped is finished by a
second one, which finds the places that are left.
"""

import re
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from ..common.errors import UsageError, shown
from ..common.saying import counted
from .furnishing import write_roster
from .rosters import is_student_id, who_is_meant
from .term import MAKING, SQLITE, TRIES, UNMATCHED, Term

# Where folders of students are. In `submitted` a run of `grade` would find them again: it is first.
STAGES = ("submitted", "autograded", "feedback")
KNOWN = ("id", "first_name", "last_name", "email")
PEOPLE = f"select {', '.join(KNOWN)} from student"


def remove(term: Term, student: str) -> list[str]:
    """Take them out of roster, folders, gradebook and store; what was removed, in words.

    Raises UsageError for an id that no place knows.
    """
    _require_known(term, student)
    return list(_removed(term, student))


def named(term: Term, student: str) -> str:
    """Who would be removed: the id and the name, where one is known. Raises as `remove` does."""
    _require_known(term, student)
    name = _name(term, student)
    return f"{student} ({name})" if name else student


def perhaps_theirs(term: Term, student: str) -> list[Path]:
    """What in unmatched/ is named by their id or by their name, and may be theirs; so may be the
    folder of somebody on no roster, whom a platform calls by that name."""
    name = _words(_name(term, student)).split("_")
    told = {"_".join(words) for words in (name, name[::-1])} - {""}
    found = [
        path
        for path in (term.root / UNMATCHED).glob("*")
        if any(f"_{one}_" in f"_{_words(path.name)}_" for one in {_words(student), *told})
    ]
    guests = {path.name for path in (term.root / STAGES[0]).glob("*")} - {student}
    guests -= {row["id"] for row in term.roster()}
    called = tuple(one.replace("_", "") for one in told if "_" in one)
    found += [term.root / STAGES[0] / one for one in guests
              if called and _words(one).replace("_", "").startswith(called)]  # fmt: skip
    return sorted(found)


def _words(text: str) -> str:
    """In lower case, its words joined as `collect` joins them in the names of folders."""
    return "_".join(re.findall(r"[^\W_]+", text.casefold()))


def _name(term: Term, student: str) -> str:
    row = _people(term).get(student, {})
    return " ".join(filter(None, (row.get("first_name"), row.get("last_name"))))


def _people(term: Term) -> dict[str, dict[str, str]]:
    """By id, a row as a roster has it, of all whom gradebook and roster know."""
    of_gradebook = [{key: value or "" for key, value in zip(KNOWN, row, strict=True)}
                    for row in term.rows(PEOPLE)]  # fmt: skip
    return {row["id"]: row for row in (*of_gradebook, *term.roster())}


def _require_known(term: Term, student: str) -> None:
    folders = [path for stage in STAGES for path in (term.root / stage).glob("*")]
    known = {path.name for path in folders if path.is_dir()}
    known |= {path.name.partition("+")[0] for path in (term.root / TRIES).glob("*+*")}
    people = _people(term)
    known |= set(people)
    with term.store() as store:
        known |= store.students()
    if student not in known or not is_student_id(student):
        nameless = dict.fromkeys(KNOWN, "")
        rows = [people.get(one, nameless | {"id": one}) for one in sorted(known)]
        near = who_is_meant(student, rows)
        raise UsageError(f"{term.root}: nobody has the id {shown(student)!r}{near}; check the id")


def _removed(term: Term, student: str) -> Iterator[str]:
    rows = term.roster()
    kept = [row for row in rows if row["id"] != student]
    if len(kept) < len(rows):
        write_roster(term.root / "roster.csv", kept)
        yield "the roster"
    if apart := _apart(term, student):  # known by what lies in the folders that go next
        for path in apart:
            shutil.rmtree(path)
        yield f"{UNMATCHED}/ ({len(apart)})"
    for stage in STAGES:
        folder = term.root / stage / student
        if folder.is_dir() and not folder.is_symlink():
            count = sum(path.is_dir() for path in folder.iterdir())
            shutil.rmtree(folder)
            yield f"{stage}/ ({counted(count, 'lesson')})"
        elif folder.is_symlink():
            folder.unlink()
            yield f"{stage}/ (a link)"
    if tries := _tries(term, student):
        for path in tries:
            shutil.rmtree(path)
        yield f"{TRIES}/ ({len(tries)})"
    shutil.rmtree(term.root / MAKING / student, ignore_errors=True)
    if student in {row[0] for row in term.rows(PEOPLE)}:
        count = _out_of_gradebook(term, student)
        yield f"the gradebook ({counted(count, 'submission')})"
    with term.store() as store:
        if store.forget(student):
            yield "what the term keeps of answers and verdicts"
    _overwrite(term)


def _overwrite(term: Term) -> None:
    """Write SQLite's files anew: what is deleted stays in them until its place is used again."""
    files = [term.root / ".autograde" / "state.db"]
    files += [Path(term.shown_url)] * term.url.startswith(SQLITE)
    for path in filter(Path.is_file, files):
        with closing(sqlite3.connect(path, timeout=60)) as database:
            database.execute("vacuum")


def _tries(term: Term, student: str) -> list[Path]:
    """The folders in which their tries are kept, named as nbgrader names what is handed in."""
    return [path for path in (term.root / TRIES).glob("*+*") if path.name.startswith(f"{student}+")]


def _apart(term: Term, student: str) -> list[Path]:
    """What in unmatched/ bears their id and is, to the byte, a notebook of theirs."""
    mine = [term.root / "submitted" / student, *_tries(term, student)]
    own = {path.read_bytes() for folder in mine for path in _notebooks(folder)}
    begin = f"{_words(student)}_"
    return [
        folder for folder in sorted((term.root / UNMATCHED).glob("*"))
        if _words(folder.name).startswith(begin)
        and any(path.read_bytes() in own for path in _notebooks(folder))
    ]  # fmt: skip


def _notebooks(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*.ipynb") if path.is_file() and not path.is_symlink()]


def _out_of_gradebook(term: Term, student: str) -> int:
    """In one transaction; of how many submissions."""
    from sqlalchemy import create_engine, select

    from .gradebook import comments, copies, grades, students, submissions

    api = term.api()
    own = select(submissions.c.id).where(submissions.c.student_id == student)
    notebooks = select(copies.c.id).where(copies.c.assignment_id.in_(own))
    engine = create_engine(term.url)
    with engine.begin() as connection:
        for table in (grades, comments):
            connection.execute(table.delete().where(table.c.notebook_id.in_(notebooks)))
        connection.execute(copies.delete().where(copies.c.assignment_id.in_(own)))
        gone = connection.execute(submissions.delete().where(submissions.c.student_id == student))
        connection.execute(students.delete().where(students.c.id == student))
    engine.dispose()
    # A hub's groups, where the settings name a plugin that keeps them; else it does nothing.
    api.authenticator.remove_student_from_course(student, api.course_id)
    return gone.rowcount
