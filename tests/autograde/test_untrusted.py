"""No untrusted byte reaches a terminal, a page, a table or a database but through `clean`."""

import ast
import io
import json
import os
import sys
import zipfile
from base64 import b64encode
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path, PurePosixPath

import pytest
from bs4 import BeautifulSoup

from autograde.cli import main
from autograde.common.errors import UsageError, shown
from autograde.common.saying import say, show_exception, warn
from autograde.grading.prose import SIMPLE, Room, safe_html
from autograde.grading.single import grade_file
from autograde.receiving.collecting import collect
from autograde.receiving.matching import Roster
from autograde.receiving.platforms import Batch
from autograde.returning.feedback import NOT_YOURS, feedback, told
from autograde.returning.pages import MATHJAX, SET_UP, mathjax, policy
from autograde.term.rosters import is_student_id
from autograde.term.store import Origin, Store
from autograde.term.term import Term, close
from helpers.clean import clean
from helpers.verdict import Failure, Verdict
from tests.unseen import HONEST, HOSTILE, seen

PACKAGE = Path(__file__).resolve().parents[2] / "autograde"
LESSON = "02_divergence"
OURS = "saying.py"
# What runs in a sandbox reaches no terminal.
APART = PACKAGE / "grading" / "inside"


@pytest.mark.parametrize(
    "path", sorted(p for p in PACKAGE.rglob("*.py") if APART not in p.parents and p.name != OURS)
)
def test_commands_write_to_a_terminal_in_one_place(path):
    tree = ast.parse(path.read_text("utf-8"))
    called = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call)
              and isinstance(node.func, ast.Name)}  # fmt: skip
    used = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert "print" not in called
    assert not used & {"print_exc", "print_exception", "secho", "echo"}
    writes = [n for n in ast.walk(tree) if isinstance(n, ast.Attribute) and n.attr == "write"]
    assert not [n for n in writes if ast.unparse(n.value) in ("sys.stdout", "sys.stderr")]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_nobody_foresaw_is_told_clean_too(text, capsys):
    try:
        raise ValueError(text)
    except ValueError as error:
        show_exception(type(error), error, error.__traceback__)
    told = capsys.readouterr().err
    assert told.startswith("Traceback")
    assert "ValueError: " in told
    assert clean(told, lines=True) == told


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_terminal_gets_one_line_that_it_does_not_obey(text, capsys):
    say(text)
    warn(text)
    said = capsys.readouterr()
    for line in said:
        assert line.count("\n") == 1
        assert not seen(line)


@pytest.mark.parametrize("text", HONEST)
def test_a_terminal_gets_honest_text_as_it_is(text, capsys):
    say(text)
    assert capsys.readouterr().out == f"{text}\n"


def test_a_terminal_of_another_encoding_gets_question_marks(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    say("李: 5")
    stream.flush()
    assert stream.buffer.getvalue() == b"?: 5\n"


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_database_gets_clean_text(text, tmp_path):
    from autograde.term.verdict import Graded

    failure = Failure("value", text, text, text, text, text)
    verdict = Verdict("kl", "wrong", {"value": 6}, {"value": False}, [failure])
    name, time = f"ada/{text}", datetime(2026, 1, 1, tzinfo=UTC)
    with Store(tmp_path / "state.db") as store:
        store.keep_failed(name, text)
        store.keep_placed({name: ("mark", time)})
        store.keep_persons({name: text})
        store.keep_origins({name: Origin(text, text, text, text)})
        store.keep_recorded("ada/x", "source", "key")
        store.keep("key", Graded("x", {"kl": verdict}, "fork"), "program", b"")
        held = [*store.failed().items(), *store.persons().items(), *store.placed()]
        held += [(name, *known) for name, known in store.origins().items()]
        told = store.verdict("key").verdicts["kl"].failures[0]
        held += [(told.case, told.got, told.line)]
    assert not any(seen(part) for parts in held for part in parts)


FORMS = (
    '{{"nbformat": {}}}',
    '{{"cells": [], "nbformat": {}}}',
    '{{"cells": {}, "nbformat": 4, "metadata": {{}}}}',
    "{}",
)


@pytest.mark.parametrize("text", ["\ud800", "\x1b[2J", "a\nb", "\u202e"])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_is_no_notebook_is_told_in_one_line(text, form, tmp_path, capsys):
    path = tmp_path / "02_divergence.ipynb"
    path.write_text(form.format(json.dumps(text)), encoding="utf-8")
    with pytest.raises(UsageError):
        grade_file(path)
    assert main(["check", str(path)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert not seen(said)


@pytest.mark.parametrize("name", sorted(set(HOSTILE) - {"nul", "half a character", "none at all"}))
def test_what_is_typed_wrong_is_told_in_one_line(name, capsys):
    text = HOSTILE[name][:1000]  # no path is longer
    for arguments in (["check", text], [text], ["grade", "--workers", text]):
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code
        assert code == 2
        said = capsys.readouterr()
        assert said.err.count("\n") == 1
        assert not seen(said.err)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_name_in_a_message_is_short_and_clean(text):
    assert not seen(shown(text))
    assert len(shown(text)) <= 200


@pytest.fixture
def term(tmp_path):
    """A term as far as `collect` and the store need it."""
    root = tmp_path / "term"
    (root / ".autograde").mkdir(parents=True)
    (root / "submitted").mkdir()
    (root / "roster.csv").write_text(
        "id,first_name,last_name,email\nada,Ada,Lee,ada@x.org\nbo,Bo,Ng,bo@x.org\n"
    )
    return Term(root)


def notebook(says="x = 1"):
    cell = {"cell_type": "code", "source": says, "metadata": {}, "outputs": []}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def pack(path, entries):
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in entries:
            archive.writestr(name, data)
    return path


BO = f"Bo Ng_7_assignsubmission_file_/{LESSON}.ipynb"


def test_two_people_never_share_a_row_whatever_lesson_they_name(term, tmp_path):
    """In one download two numbers are two people, and what cannot be told is kept apart."""
    entries = [
        (f"Ada Lee_17_assignsubmission_file_/{LESSON}.ipynb", notebook()),
        ("ada-lee_18_assignsubmission_file_/03_penalized_objective.ipynb", notebook()),
        (BO, notebook()),
    ]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert result.placed == [f"bo/{LESSON}"]
    assert len(result.unplaced) == 2
    assert all("both go by the name of ada" in line for line in result.unplaced)
    again = collect(pack(tmp_path / "c.zip", entries), term)
    assert (again.placed, len(again.unplaced)) == (result.placed, 2)


def own_zip(n, name):
    held = io.BytesIO()
    pack(held, [(f"{i}/{name}", notebook()) for i in range(n)])
    return held.getvalue()


LIMITS = {
    "many notebooks": ([("ada_work.zip", own_zip(120, f"{LESSON}.ipynb"))], "120 notebooks, more"),
    "many files": ([("ada_work.zip", own_zip(1_100, "x.txt"))], "1100 files, more than 1000"),
    "long name": ([("ada/" + "a/" * 30_000 + "x.ipynb", "")], "its name is too long"),
    "deep": ([("ada/" * 60 + "x.ipynb", "")], "its name is too long"),
    "large group": (
        [("e/submission_metadata.yml", "---\nsubmission_1:\n  :submitters:\n"
          + "".join(f"  - :name: {i}\n    :sid: ada\n" for i in range(1_000))),
         (f"e/submission_1/{LESSON}.ipynb", notebook())],
        "whose it is cannot be told",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", LIMITS)
def test_a_limit_of_collecting_is_told_in_a_line_and_the_others_are_placed(name, term, tmp_path):
    entries, says = LIMITS[name]
    result = collect(pack(tmp_path / "c.zip", [*entries, (BO, notebook())]), term)
    assert result.placed == [f"bo/{LESSON}"]
    assert len(result.unplaced) == 1
    assert says in result.unplaced[0]


def test_whose_a_path_is_costs_no_more_for_each_folder_that_names_somebody(term):
    """Each of 35 folders one in another names the same person: every suffix is asked once."""
    roster = Roster(term.roster())
    asked = []
    owners = roster.owners

    def counted(path, lesson, batch):
        asked.append(path)
        return owners(path, lesson, batch)

    roster.owners = counted
    path = PurePosixPath(*["ada"] * 35, f"{LESSON}.ipynb")
    assert [one.student for one in roster.owners(path, LESSON, Batch())] == ["ada"]
    assert len(asked) == len(set(asked)) <= 40


def test_a_folder_of_folders_without_end_is_told(term, tmp_path):
    deep = tmp_path / "down" / "ada"
    deep.mkdir(parents=True)
    os.makedirs(deep.joinpath(*["d"] * 60))
    (tmp_path / "down" / "bo").mkdir()
    (tmp_path / "down" / "bo" / f"{LESSON}.ipynb").write_text(notebook())
    result = collect(tmp_path / "down", term)
    assert result.placed == [f"bo/{LESSON}"]
    assert ["too deep" in line for line in result.unplaced] == [True]


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_name_in_a_download_is_told_clean(text, term, tmp_path):
    name = text.encode("utf-8", "replace").decode().replace("\0", "")[:200]
    entries = [(f"{name}/{LESSON}.ipynb", notebook()), (f"{name}.txt", "x"), (BO, notebook())]
    result = collect(pack(tmp_path / "c.zip", entries), term)
    assert f"bo/{LESSON}" in result.placed
    for line in (*result.notes, *result.unplaced):
        assert not seen(line)
    for path in (*(term.root / "submitted").glob("*"), *(term.root / "unmatched").glob("*")):
        assert not seen(path.name)


@pytest.mark.parametrize(
    "text", ["...", "-rf", "ada\n", ".ada", "@ada", "", "a/b", "a b", "é" * 150, "a" + "\u0301" * 9]
)
def test_an_id_is_matched_whole(text):
    assert not is_student_id(text)


@pytest.mark.parametrize("text", ["ada", "a.b-c_d@x.org", "李明", "0042", "é" * 90])
def test_an_id_may_be_of_any_script(text):
    assert is_student_id(text)


def test_a_folder_that_is_named_like_no_id_is_no_submission(term):
    for name in ("-rf", "...", "ada"):
        (term.root / "submitted" / name / LESSON).mkdir(parents=True)
    assert list(term.submissions()) == [("ada", LESSON)]
    assert len(term.strangers()) == 2


PATH = "/t/submitted/ada/02_divergence/02_divergence.ipynb"


@pytest.mark.parametrize(
    ("reason", "what", "remedy"),
    [
        (f"{PATH}: an empty file; save it", "02_divergence.ipynb: an empty file", "Save it"),
        (f"{PATH}: not a notebook (KeyError: 'x'); download it again",
         "02_divergence.ipynb: not a notebook",
         "Open it in Jupyter, save it and hand it in again; if it does not open, go back to your "
         "last copy"),
        ("could not be judged (SandboxDiedError: /secret/path)", *NOT_YOURS),
        ("cannot be read (KeyError: 'x'); look at the file", *NOT_YOURS),
    ],
)  # fmt: skip
def test_who_could_not_be_graded_is_told_what_and_what_to_do(reason, what, remedy):
    assert told(reason, Path(PATH)) == (what, remedy)


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_page_for_the_ungraded_holds_nothing_live(text, term):
    folder = term.root / "submitted" / "ada" / LESSON
    folder.mkdir(parents=True)
    with term.store() as store:
        store.keep_failed(f"ada/{LESSON}", f"{folder / LESSON}.ipynb: {text}; mend it")
    pages, failed = feedback(term)
    assert (len(pages), failed) == (1, [])
    html = pages[0].read_text("utf-8")
    assert not seen(html)
    assert "Content-Security-Policy" in html
    assert "<script" not in html
    assert "<svg" not in html


def test_a_term_is_closed_to_others(tmp_path):
    for mode, closed in ((0o755, 0o700), (0o775, 0o770), (0o777, 0o770), (0o700, 0o700)):
        tmp_path.chmod(mode)
        assert close(tmp_path) == (mode != closed)
        assert tmp_path.stat().st_mode & 0o777 == closed


def test_answers_are_the_instructors_alone(tmp_path):
    Store(tmp_path / "state.db").__exit__()
    assert (tmp_path / "state.db").stat().st_mode & 0o077 == 0


def test_a_page_may_run_mathjax_of_known_bytes_and_nothing_else():
    assert "script-src" not in policy()
    assert "default-src &#x27;none&#x27;" in policy()
    own = b64encode(sha256(SET_UP.encode()).digest()).decode()
    assert f"script-src {MATHJAX} &#x27;sha256-{own}&#x27;" in policy(mathematics=True)
    assert mathjax().count("<script") == 2
    assert 'integrity="sha384-' in mathjax()


LINKS = [
    r"[x](javascript\:alert(1))",
    "[x](java&#x73;cript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x][y]\n\n[y]: javascript:alert(1)",
    "[x][y]\n\n[y]: <java\tscript:alert(1)>",
    "<javascript:alert(1)>",
    "[![x](https://e.x/a.png)](javascript:alert(1))",
    "[x](data:text/html,<script>alert(1)</script>)",
    "<a href='java&#10;script:alert(1)'>x</a>",
    "<svg><a xlink:href='javascript:alert(1)'>x</a></svg>",
    "<math><mi xlink:href='javascript:alert(1)'>x</mi></math>",
    "[x](//e.x/a) ![x](https://e.x/a.png) <img src=//e.x/a>",
    "[x](https:javascript:alert(1))",
    "<a href=https://e.x onclick=alert(1)>x</a>",
    "$</span><img src=x onerror=alert(1)>$",
    "<p style='background:url(//e.x)' id=top>x</p>",
]


@pytest.mark.parametrize("text", LINKS)
def test_of_an_essay_only_web_links_are_live(text):
    for tag in BeautifulSoup(safe_html(text, Room()), "html.parser").find_all(True):
        assert tag.name in SIMPLE | {"a"}
        assert set(tag.attrs) <= ({"href"} if tag.name == "a" else set())
        assert tag.get("href", "https://").startswith(("https://", "http://", "mailto:"))
