"""Gradescope: submission_NUMBER, a folder for each, and submission_metadata.yml beside them.

As its export of submissions writes it: under each folder's name, :submitters: with :name:, :sid:
and :email: of every member, and :created_at:, the hand-in, with its zone. Only these lines are
read, by how far they are indented: what a program printed stands deeper in the same file.
"""

import re
from functools import lru_cache
from pathlib import PurePosixPath

from ...common.times import read_time
from . import Batch, Claim

METADATA = "submission_metadata.yml"
FOLDER = re.compile(r"(submission_\d+)(/|\.|$)")
ENTRY = re.compile(r"""^["']?(submission_\d+)(?:\.\w+)?["']?:\s*$""")
FIELD = re.compile(r"(  - |    ):(name|sid|email):(.*)")
CREATED = re.compile(r"  :created_at:(.*)")
MOST_MEMBERS = 100  # of a group; of a larger one nobody is told
MOST_LINE = 2_000  # characters: what is longer was printed by a program


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost folder, or file, that the metadata beside it names."""
    for at, part in enumerate(parts):
        data = batch.notes.get(PurePosixPath(*parts[:at], METADATA))
        found = FOLDER.match(part)
        if data is None or not found:
            continue
        members, created = _read(data).get(found[1], ([], ""))
        if len(members) > MOST_MEMBERS:
            return []
        return [
            Claim("Gradescope", at, one.get("name", ""), (one["sid"],) if one.get("sid") else (),
                  one.get("email", ""), found[1].partition("_")[2], False, time=read_time(created))
            for one in members
        ]  # fmt: skip
    return []


@lru_cache(4)
def _read(data: bytes) -> dict[str, tuple[list[dict[str, str]], str]]:
    """The members of each submission and when it was handed in."""
    made: dict[str, tuple[list[dict[str, str]], str]] = {}
    members: list[dict[str, str]] = []
    name, inside = "", False
    for line in data.decode("utf-8", "replace").splitlines():
        if len(line) > MOST_LINE:
            continue
        if entry := ENTRY.match(line):
            name, members, inside = entry[1], [], False
            made[name] = members, ""
        elif created := CREATED.match(line):
            made[name] = members, _unquoted(created[1])
        elif inside and (field := FIELD.match(line)):
            if "-" in field[1]:
                members.append({})
            if members:
                members[-1][field[2]] = _unquoted(field[3])
        elif re.match(r"  \S", line):
            inside = line.startswith("  :submitters:") or (inside and line.startswith("  - "))
    return made


def _unquoted(text: str) -> str:
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1].replace("''", "'")
    return text
