"""Read a table of people: the term's own roster, a platform's export, or a spreadsheet's CSV.

Whose id a column is, by platform, as their exports are headed:
Canvas, Grades, Export: SIS Login ID, else SIS User ID, else ID; its rows Points Possible and of the
test student are left out. Moodle: ID number, else Username, else Email address. Brightspace:
Username, else OrgDefinedId, without the # that it writes before them. Blackboard: Username.
Gradescope: SID. Elsewhere the first of IDS that has a value in every row. But in a term that has
students already it is the column that knows the most of them, if one knows any.
"""

import codecs
import csv
import io
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from helpers.clean import clean

from ..common.errors import UsageError, did_you_mean, nearest, shown
from ..common.saying import counted, some_of

ROSTER_COLUMNS = ["id", "first_name", "last_name", "email"]
# Headers, in lower case and without spaces and signs.
IDS = (
    "sisloginid", "sisuserid", "idnumber", "username", "loginid", "login", "userid", "netid", "eid",
    "sid", "orgdefinedid", "studentid", "studentnumber", "matriculationnumber", "matrikelnummer",
    "matriculation", "idnummer", "anmeldename", "benutzername", "id", "identifier",
    "emailaddress", "email", "mail", "emailadresse",
)  # fmt: skip
WHOSE = ("id", "rosterid", "student", "studentid", "identifier", "idnumber", "matrikelnummer")
FIRST = ("firstname", "givenname", "forename", "vorname", "prenom", "nombre", "nome")
LAST = ("lastname", "surname", "familyname", "nachname", "nom", "apellidos", "cognome")
FULL = ("fullname", "student", "studentname", "displayname", "name")
EMAIL = ("emailaddress", "email", "mail", "emailadresse", "correo")
NO_STUDENT = ("points possible", "student, test", "test student")
ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
STUDENT_ID = re.compile(r"(?![@.-])[\w@.-]+")
MOST_ID = 200  # bytes: it names folders
MOST_BYTES = 64 * 2**20
MOST_ROWS, MOST_COLUMNS = 500_000, 1_000  # gradebooks have a column for each assignment


def is_student_id(text: str) -> bool:
    """Whether a text can name a student's folder, and stand in a command."""
    whole = bool(STUDENT_ID.fullmatch(text[: MOST_ID + 1])) and clean(text) == text
    return whole and len(text.encode()) <= MOST_ID


@dataclass(frozen=True)
class Table:
    """A CSV file's header and its rows, each with the number of its line; empty rows left out."""

    path: Path
    header: list[str]
    rows: list[tuple[int, list[str]]]

    def places(self) -> dict[str, int]:
        """The column of each header, in lower case and without signs; of several, the first."""
        found: dict[str, int] = {}
        for i, title in enumerate(self.header):
            found.setdefault(plain(title), i)
        return found


def plain(title: str) -> str:
    """A header's letters and digits, in lower case."""
    return "".join(c for c in title.casefold() if c.isalnum())


def read_table(path: Path) -> Table:
    """A table separated by commas, semicolons or tabs, in UTF-8 or in UTF-16 with a BOM.

    Raises UsageError naming the line: a quote left open, a value too many, no text.
    """
    text = _text(path)
    first = text.lstrip().partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    if first[:4].casefold() == "sep=":  # Excel's own line
        delimiter, text = first[4:5], "\n" + text.lstrip().partition("\n")[2]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[tuple[int, list[str]]] = []
    begin = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            if any("\n" in cell or "\r" in cell for cell in row):
                raise UsageError(
                    f"{path}, line {begin}: a quote is left open there, so that a value goes on in "
                    "the next line; close it"
                )
            if any(cells):
                rows.append((begin, cells))
            if len(cells) > MOST_COLUMNS or len(rows) > MOST_ROWS:
                raise UsageError(
                    f"{path}, line {begin}: more than {MOST_COLUMNS} columns or {MOST_ROWS} rows; "
                    "is it a roster?"
                )
            begin = reader.line_num + 1
    except csv.Error as error:
        raise UsageError(
            f"{path}, line {begin}: a quote stands wrong or is left open ({error}); mend that line"
        ) from None
    if not rows:
        return Table(path, [], [])
    header, *rest = rows
    return Table(path, header[1], [_fitting(path, len(header[1]), *row) for row in rest])


def _fitting(path: Path, width: int, line: int, cells: list[str]) -> tuple[int, list[str]]:
    """The row as wide as the header. Raises UsageError when a comma has made it wider."""
    if any(cells[width:]):
        raise UsageError(
            f"{path}, line {line}: has {counted(len(cells), 'value')} for "
            f"{counted(width, 'column')}; put quotes around a value that holds a comma"
        )
    return line, (cells + [""] * width)[:width]


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: larger than {MOST_BYTES >> 20} MiB; is it a roster?")
        data = path.read_bytes()
        wide = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = data.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path}: cannot be read as CSV; save it as CSV in UTF-8") from None
    except OSError as error:
        raise UsageError(
            f"{path}: cannot be read as CSV ({error.strerror}); check the file"
        ) from None
    if "\0" in text:
        raise UsageError(f"{path}: cannot be read as CSV; save it as CSV in UTF-8")
    return text


@dataclass(frozen=True)
class People:
    """rows: id, first_name, last_name and email of each. column: the header that the id is from."""

    rows: list[dict[str, str]]
    column: str


def read_people(path: Path, known: Collection[str] = ()) -> People:
    """A roster: the term's own, or what a platform or a spreadsheet exports.

    known: the ids that the term has already.
    Raises UsageError naming the line and what is wrong in it.
    """
    table = read_table(path)
    places = table.places()
    if set(ROSTER_COLUMNS) <= set(table.header):
        wanted = {name: table.header.index(name) for name in ROSTER_COLUMNS}
        rows = [(n, {name: row[i] for name, i in wanted.items()}) for n, row in table.rows]
        column = "id"
    else:
        kept = [(n, row) for n, row in table.rows if not _is_nobody(row, places)]
        column, place = _id_column(table, places, kept, known)
        rows = [(n, _person(row, places, place)) for n, row in kept]
    _require_ids(path, rows, column)
    return People([row for _, row in rows], column)


def _is_nobody(row: list[str], places: dict[str, int]) -> bool:
    """Whether it is one of Canvas's own rows: the points, how they are posted, the test student."""
    if "student" not in places or "section" not in places:
        return False
    name = row[places["student"]].casefold()
    return not name or name in NO_STUDENT or name.startswith(NO_STUDENT[0])


def _id_column(
    table: Table,
    places: dict[str, int],
    rows: list[tuple[int, list[str]]],
    known: Collection[str],
) -> tuple[str, int]:
    """The header and the place of the column that holds the ids."""
    order = IDS
    if "orgdefinedid" in places or {"username", "studentid"} <= places.keys():
        order = ("username", *IDS)  # Brightspace, Blackboard: what their folders say
    values = {
        name: [_login(row[places[name]]) for _, row in rows] for name in order if name in places
    }
    some = [name for name, texts in values.items() if any(texts)]
    some = [name for name in some if name not in EMAIL or all("@" in text for text in values[name])]
    full = [name for name in some if all(map(is_student_id, values[name]))]
    named = places.keys() & {*FIRST, *LAST, *FULL}
    if not some or not (named or places.keys() & set(EMAIL)):
        raise UsageError(
            f"{table.path}: its first line must be {','.join(ROSTER_COLUMNS)}, or that of an "
            "export of Canvas, Moodle, Brightspace, Blackboard or Gradescope, with columns of an "
            "id and a name"
        )
    best = max(full or some, key=lambda name: len({*values[name]} & {*known}))  # the first of such
    return table.header[places[best]], places[best]


def _login(text: str) -> str:
    """An id as Brightspace's export has it, after the # that keeps spreadsheets from it."""
    return text.lstrip("#")


def _person(row: list[str], places: dict[str, int], place: int) -> dict[str, str]:
    def value(names: Iterable[str]) -> str:
        return next((row[places[name]] for name in names if name in places), "")

    first, last = value(FIRST), value(LAST)
    if not (first or last):
        first, last = _split(value(FULL))
    login = _login(row[place])
    # What an address is where no column is called so: Canvas's SIS Login ID, a login elsewhere.
    logins = (login, *(row[places[name]] for name in IDS if name in places))
    email = value(EMAIL) or next(filter(ADDRESS.fullmatch, logins), "")
    return {"id": login, "first_name": first, "last_name": last, "email": email}


def _split(full: str) -> tuple[str, str]:
    """First and last name of "Last, First", or of "First Last"."""
    last, comma, first = full.partition(",")
    if comma:
        return first.strip(), last.strip()
    first, _, last = full.rpartition(" ")
    return first, last


def who_is_meant(text: str, rows: Iterable[Mapping[str, str]]) -> str:
    """In brackets, who on a roster bears what was given for an id as their name or address, or else
    whose id is most like it; nothing where nobody is."""
    rows = list(rows)
    asked = _name_words(text)
    found = [
        row for row in rows
        if text.casefold() == row["email"].casefold() != ""
        or (asked and asked <= _name_words(f"{row['first_name']} {row['last_name']}"))
    ]  # fmt: skip
    if not found:
        near = nearest(text, [row["id"] for row in rows])
        found = [row for row in rows if near and row["id"] == near]
    several = some_of(map(who, found), " or ")
    return f" (did you mean {several}?)" if found else ""


def who(row: Mapping[str, str]) -> str:
    """An id, and whose it is."""
    name = " ".join(filter(None, (row["first_name"], row["last_name"])))
    return f"{row['id']}, {shown(name)}" if name else row["id"]


def _name_words(text: str) -> set[str]:
    """In lower case and without accents."""
    spread = unicodedata.normalize("NFKD", text).casefold()
    plain_text = "".join(c for c in spread if not unicodedata.combining(c))
    return set(re.findall(r"[^\W_]+", plain_text))


def _require_ids(path: Path, rows: list[tuple[int, dict[str, str]]], column: str) -> None:
    seen: dict[str, int] = {}
    of = "" if column == "id" else f" (of {column})"
    for line, row in rows:
        student = row["id"]
        if not student:
            wrong = f"no id{of} for {' '.join(filter(None, (row['first_name'], row['last_name'])))}"
            raise UsageError(f"{path}, line {line}: {shown(wrong).rstrip()}; fill it in")
        if student in seen:
            wrong = f"is there twice, first in line {seen[student]}"
        elif not is_student_id(student):
            wrong = "is not letters, digits and . _ - @, or begins with . - or @"
        else:
            seen[student] = line
            continue
        raise UsageError(
            f"{path}, line {line}: the id {shown(student)!r}{of} {wrong}; mend that line"
        )


def read_mapping(path: Path, known: Iterable[dict[str, str]]) -> dict[str, str]:
    """What folders, handles, numbers and addresses mean: each, in lower case, to a student's id.

    One column is headed id (or student_id, roster_id, identifier, ...), every other holds what a
    path may say. known: the roster's rows; where there are any, an id must be one of theirs, or
    their e-mail address. Raises UsageError naming the line.
    """
    table = read_table(path)
    titles = [plain(title) for title in table.header]
    ids = [name for name in WHOSE if name in titles]
    if not ids or len(titles) < 2:
        raise UsageError(
            f"{path}: its first line must name a column id and others, such as folder,id, "
            "handle,id, number,id or address,id"
        )
    place = titles.index(ids[0])
    by_name = {row[kind].casefold(): row["id"] for row in known for kind in ("email", "id")
               if row[kind]}  # fmt: skip
    found: dict[str, tuple[str, int]] = {}
    for line, row in table.rows:
        student = _mapped(path, line, row[place], by_name)
        for key in (cell.strip("/").casefold() for i, cell in enumerate(row) if i != place):
            if not key:
                continue
            before, where = found.get(key, (student, line))
            if before != student:
                raise UsageError(
                    f"{path}, line {line}: {shown(key)!r} is {before}'s in line {where}; keep one"
                )
            found[key] = student, line
    return {key: student for key, (student, _) in found.items()}


def _mapped(path: Path, line: int, text: str, known: dict[str, str]) -> str:
    if known and text.casefold() not in known:
        near = did_you_mean(text, known.values())
        raise UsageError(f"{path}, line {line}: {shown(text)!r} is not on the roster{near}")
    student = known.get(text.casefold(), text)
    if not is_student_id(student):
        raise UsageError(f"{path}, line {line}: {shown(student)!r} is no id; mend that line")
    return student
