"""What a term knows beside its gradebook: answers, verdicts, and what was recorded of whom.

One SQLite file, written in whole steps, so that a run that is killed anywhere can go on.
"""

import json
import re
import sqlite3
import zlib
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from helpers.clean import clean, clean_tree

if TYPE_CHECKING:  # PyTorch is imported with it
    from .verdict import Graded

MOST_ANSWERS = 2**20  # bytes of a submission's answers, compressed: honest ones have 15,000 at most

TABLES = """
create table if not exists verdict (key text primary key, graded text not null);
create table if not exists answers (program text primary key, packed blob not null);
create table if not exists recorded (
    name text primary key, source text not null, key text not null
);
create table if not exists predicted (name text primary key, letters text not null);
create table if not exists failed (name text primary key, reason text not null);
create table if not exists placed (
    name text primary key, mark text not null, time text not null
);
create table if not exists person (name text primary key, who text not null);
create table if not exists origin (
    name text primary key, platform text not null, person text not null, number text not null,
    attachment text not null
);
create table if not exists written (name text primary key, forms text not null);
create table if not exists typed (name text primary key, why text not null);
create table if not exists page (name text primary key, mark text not null);
create table if not exists arrived (path text primary key, stamp text not null);
"""


class Origin(NamedTuple):
    """By what a platform knows somebody who handed in there, and may know the file."""

    platform: str
    person: str
    number: str
    attachment: str


class Store:
    """The file at `path`, made when it is not there; a context manager.

    A verdict is keyed by program and edition, answers by program. "recorded" says which bytes of
    a student's file, under which verdict, stand in the gradebook, "predicted" what was predicted in
    it. "failed" says why the latest try
    to grade a file came to nothing. "placed" says which bytes went into submitted/, of when, and
    "person" whom a platform meant who was taken for a student by the name alone, "origin" by what
    numbers a platform knows what was placed. "typed" says of scores typed by hand for what they
    were, where that is another now. "page" says what a page of feedback was made from, and
    "arrived" which files `watch` has done all for.
    """

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)  # answers and verdicts of everybody
        self._database = sqlite3.connect(path, timeout=60)
        self._database.executescript(TABLES)

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def _one(self, query: str, key: str) -> tuple | None:
        return self._database.execute(query, (key,)).fetchone()

    def verdict(self, key: str) -> "Graded | None":
        """What was stored under this key, see `grading.Program`."""
        from .verdict import Graded

        found = self._one("select graded from verdict where key = ?", key)
        return Graded.of(json.loads(found[0])) if found else None

    def answers(self, program: str) -> bytes | None:
        """The packed answers of a program, see `working.Done`."""
        found = self._one("select packed from answers where program = ?", program)
        return zlib.decompress(found[0]) if found else None

    def keep(self, key: str, graded: "Graded", program: str, packed: bytes) -> None:
        """Store a verdict and what it was made from, both or neither; no answers beyond
        MOST_ANSWERS, which are asked for again when they are needed."""
        compressed = zlib.compress(packed, 1)
        with self._database:
            self._database.execute(
                "insert or replace into verdict values (?, ?)",
                (key, json.dumps(clean_tree(graded.plain()))),
            )
            if len(compressed) <= MOST_ANSWERS:
                self._database.execute(
                    "insert or replace into answers values (?, ?)", (program, compressed)
                )

    def recorded(self) -> dict[str, str]:
        """ "student/lesson": key of the verdict, of all that stands in the gradebook."""
        return dict(self._database.execute("select name, key from recorded"))

    def verdicts(self) -> Iterator[tuple[str, dict]]:
        """ "student/lesson" and its verdict as `Graded.plain`, of all that stands in the gradebook.

        In one pass: a large class has more of them than fit in memory.
        """
        query = "select name, graded from recorded join verdict on verdict.key = recorded.key"
        for name, graded in self._database.execute(query):
            yield name, json.loads(graded)

    def recorded_source(self, name: str) -> str | None:
        """The mark of the file that the gradebook's entry was made from."""
        found = self._one("select source from recorded where name = ?", name)
        return found[0] if found else None

    def predicted(self) -> Iterator[tuple[str, dict[str, str]]]:
        """ "student/lesson" and the letters predicted, by name, of all that is recorded."""
        query = "select name, letters from recorded join predicted using (name)"
        for name, letters in self._database.execute(query):
            yield name, json.loads(letters)

    def written(self) -> Iterator[tuple[str, dict[str, list[str]]]]:
        """ "student/lesson" and the forms of what was written in it, see `forms`."""
        query = "select name, forms from recorded join written using (name)"
        for name, forms in self._database.execute(query):
            yield name, json.loads(forms)

    def keep_recorded(
        self,
        name: str,
        source: str,
        key: str,
        predicted: Mapping[str, str] | None = None,
        written: Mapping[str, list[str]] | None = None,
    ) -> None:
        """Say what stands in the gradebook for "student/lesson", what was predicted in it, and the
        forms of what was written."""
        with self._database:
            self._database.execute(
                "insert or replace into recorded values (?, ?, ?)", (clean(name), source, key)
            )
            self._database.execute(
                "insert or replace into predicted values (?, ?)",
                (clean(name), json.dumps(predicted or {})),
            )
            self._database.execute(
                "insert or replace into written values (?, ?)",
                (clean(name), json.dumps(written or {})),
            )

    def failed(self) -> dict[str, str]:
        """ "student/lesson": why it could not be graded."""
        return dict(self._database.execute("select name, reason from failed"))

    def keep_failed(self, name: str, reason: str) -> None:
        """Say why "student/lesson" could not be graded; nothing, once it is."""
        with self._database:
            if reason:
                self._database.execute(
                    "insert or replace into failed values (?, ?)", (clean(name), clean(reason))
                )
            else:
                self._database.execute("delete from failed where name = ?", (name,))

    def placed(self) -> dict[str, tuple[str, datetime]]:
        """ "student/lesson": the mark of the file that `collect` placed, and the time it is of."""
        rows = self._database.execute("select name, mark, time from placed")
        return {name: (mark, datetime.fromisoformat(time)) for name, mark, time in rows}

    def keep_placed(self, placed: Mapping[str, tuple[str, datetime]]) -> None:
        """Say what now lies in submitted/, all of it in one step."""
        rows = [(clean(name), mark, time.isoformat()) for name, (mark, time) in placed.items()]
        with self._database:
            self._database.executemany("insert or replace into placed values (?, ?, ?)", rows)

    def students(self) -> set[str]:
        """Everybody of whom something is kept: tables name them "student/lesson" or, for people of
        platforms, "student scope"."""
        found: set[str] = set()
        for table in self._of_students():
            rows = self._database.execute(f"select name from {table}")
            found |= {re.split("[/ ]", name, maxsplit=1)[0] for (name,) in rows}
        return found

    def forget(self, student: str) -> bool:
        """Delete, in one step, all that is kept of a student; whether there was any. With it go the
        verdicts and answers of programs that nobody has recorded now, earlier tries' too: whose
        they were is not known, and they are made again where they are needed."""
        mine = "substr(name, 1, ?) in (?, ?)"
        begin = len(student) + 1, f"{student}/", f"{student} "
        with self._database:
            before = self._database.total_changes
            for table in self._of_students():
                self._database.execute(f"delete from {table} where {mine}", begin)
            if self._database.total_changes == before:
                return False
            keys = set(self.recorded().values())
            programs = {key.rpartition("-")[0] for key in keys}
            self._keep_only("verdict", "key", keys)
            self._keep_only("answers", "program", programs)
        return True

    def _keep_only(self, table: str, column: str, kept: set[str]) -> None:
        there = self._database.execute(f"select {column} from {table}").fetchall()
        gone = [(one,) for (one,) in there if one not in kept]
        self._database.executemany(f"delete from {table} where {column} = ?", gone)

    def _of_students(self) -> list[str]:
        """The tables whose rows are named by students."""
        tables = self._database.execute("select name from sqlite_master where type = 'table'")
        columns = {
            table: {row[1] for row in self._database.execute(f"pragma table_info({table})")}
            for (table,) in tables.fetchall()
        }
        return [table for table, names in columns.items() if "name" in names]

    def persons(self) -> dict[str, str]:
        """ "student scope": the platform's number, or the name, of who was taken for a student."""
        return dict(self._database.execute("select name, who from person"))

    def keep_persons(self, persons: Mapping[str, str]) -> None:
        """Say who was taken for whom, by the name alone."""
        with self._database:
            self._database.executemany(
                "insert or replace into person values (?, ?)",
                [(clean(name), clean(who)) for name, who in persons.items()],
            )

    def origins(self) -> dict[str, Origin]:
        """ "student/lesson": by what the platform that it came from knows it."""
        rows = self._database.execute("select * from origin")
        return {name: Origin(*known) for name, *known in rows}

    def keep_origins(self, origins: Mapping[str, Origin]) -> None:
        """Say by what a platform knows what was placed."""
        with self._database:
            self._database.executemany(
                "insert or replace into origin values (?, ?, ?, ?, ?)",
                [tuple(map(clean, (name, *known))) for name, known in origins.items()],
            )

    def typed(self) -> dict[str, dict[str, str]]:
        """ "student/lesson": by grade cell, for what a score was typed that is to be looked at."""
        rows = self._database.execute("select name, why from typed")
        return {name: json.loads(why) for name, why in rows}

    def keep_typed(self, name: str, why: Mapping[str, str]) -> None:
        """Say for what scores were typed, beside what is known of others of the submission."""
        found = self._one("select why from typed where name = ?", name)
        both = {**(json.loads(found[0]) if found else {}), **why}
        with self._database:
            self._database.execute(
                "insert or replace into typed values (?, ?)", (clean(name), json.dumps(both))
            )

    def pages(self) -> dict[str, str]:
        """ "student/lesson": the mark of all that its page of feedback was made from."""
        return dict(self._database.execute("select name, mark from page"))

    def keep_page(self, name: str, mark: str) -> None:
        """Say what a page was made from."""
        with self._database:
            self._database.execute("insert or replace into page values (?, ?)", (clean(name), mark))

    def arrived(self) -> dict[str, str]:
        """The stamp of each file that `watch` has done all for, by its path's mark."""
        return dict(self._database.execute("select path, stamp from arrived"))

    def keep_arrived(self, arrived: Mapping[str, str]) -> None:
        """Say that all is done for these files, in one step."""
        with self._database:
            self._database.executemany(
                "insert or replace into arrived values (?, ?)", list(arrived.items())
            )
