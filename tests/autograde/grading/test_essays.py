"""What a student wrote as text is found wherever it stands, shown safely, and graded by hand."""

import random
import re
from base64 import b64encode
from copy import deepcopy
from itertools import product
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    new_raw_cell,
)
from nbgrader import utils

from autograde.course.as_cells import handed_in
from autograde.course.earlier import EARLIER, text_marks_of
from autograde.course.lesson_frame import address_frame
from autograde.course.lessons import EVIDENCE, checkout_base, grade_id, lesson_path
from autograde.course.nbgrader_api import run_api
from autograde.course.sample import solutions
from autograde.grading.essays import EMPTY, NOTE
from autograde.grading.grading import grade
from autograde.grading.prose import LONGEST, MOST_IMAGES, Room, safe_html, shown, whole
from autograde.grading.rebuild import rebuild
from autograde.grading.steps import program
from autograde.returning.feedback import feedback
from autograde.term.reading import tidy_notebook
from autograde.term.term import init
from tests.classroom import cell, record
from tests.rows import rows
from tests.some import LONG, some

LESSON, NAME, OTHER = "07_case_study", "essay_impact", "essay_claims"
MINE = "Too low a weight, and the policy goes wherever the proxy pays, sooner or later."
THEIRS = "In my run the divergence stayed below eleven nats, where it was ninety without."
PNG = b64encode(b"\x89PNG\r\n\x1a\n" + b"\0" * 40).decode()


@pytest.fixture(scope="module")
def bare():
    return checkout_base(LESSON)


@pytest.fixture
def written(bare):
    """The lesson with both essays in their cells."""
    return handed_in(bare, {NAME: MINE, OTHER: THEIRS})


def essay(rebuilt: NotebookNode, name: str = NAME) -> NotebookNode:
    return cell(rebuilt, name)


def waits(rebuilt: NotebookNode, name: str = NAME) -> bool:
    """As nbgrader decides it."""
    return utils.determine_grade(essay(rebuilt, name))[0] is None


def text(rebuilt: NotebookNode) -> str:
    html = "\n".join(shown(c.source) for c in rebuilt.cells if c.cell_type == "markdown")
    return BeautifulSoup(html, "html.parser").get_text()


def take_out(notebook: NotebookNode) -> int:
    """The stub back in the essay's cell; where that cell stands."""
    own = cell(notebook, NAME)
    own.source = "YOUR ANSWER HERE"
    return notebook.cells.index(own)


def in_a_new_cell(notebook, below=1):
    notebook.cells.insert(take_out(notebook) + below, new_markdown_cell(MINE))


def above_the_prompt(notebook):
    take_out(notebook)
    prompt = next(c for c in notebook.cells if c.source.startswith("## 7.8"))
    notebook.cells.insert(notebook.cells.index(prompt), new_markdown_cell(MINE))


def in_the_prompt(notebook):
    take_out(notebook)
    prompt = next(c for c in notebook.cells if c.source.startswith("## 7.8"))
    prompt.source += f"\n\n{MINE}"


def under_another_heading(notebook):
    prompt = next(c for c in notebook.cells if c.source.startswith("## 7.8"))
    prompt.source = prompt.source.replace("## 7.8 Essay: the impact", "## My essay on the impact")
    in_a_new_cell(notebook)


def quoted_elsewhere(notebook):
    take_out(notebook)
    heading = next(c for c in notebook.cells if c.source.startswith("## 7.8")).source.split("\n")[0]
    notebook.cells.insert(4, new_markdown_cell(f"{heading}\n\n{MINE}"))


def without_metadata(notebook):
    for one in notebook.cells:
        one["metadata"] = NotebookNode()


def turned(kind, source=MINE):
    def change(notebook):
        own = cell(notebook, NAME)
        made = {"raw": new_raw_cell, "code": new_code_cell}[kind](source)
        made.metadata = own.metadata
        notebook.cells[notebook.cells.index(own)] = made

    return change


def as_code(source):
    def change(notebook):
        notebook.cells.insert(take_out(notebook) + 1, new_code_cell(source))

    return change


def copied(notebook):
    own = cell(notebook, NAME)
    notebook.cells.append(deepcopy(own))
    take_out(notebook)


def in_three_cells(notebook):
    place = take_out(notebook)
    own = notebook.cells[place]
    words = MINE.split(", ")
    own.source = words[0]
    notebook.cells[place + 1 : place + 1] = [new_markdown_cell(", ".join(words[1:]))]


def moved(notebook):
    own = notebook.cells.pop(notebook.cells.index(cell(notebook, NAME)))
    notebook.cells.insert(3, own)


def in_the_other_section(notebook):
    take_out(notebook)
    place = notebook.cells.index(cell(notebook, OTHER))
    notebook.cells.insert(place, new_markdown_cell(MINE))


def at_the_end(notebook):
    take_out(notebook)
    notebook.cells.append(new_markdown_cell(MINE))


def all_deleted_but_it(notebook):
    take_out(notebook)
    kept = [c for c in notebook.cells if c.source.startswith("## 7.8")]
    notebook.cells = [*kept, new_markdown_cell(MINE)]


CHANGES = {
    "in place": lambda notebook: None,
    "new cell below": in_a_new_cell,
    "new cell above its own": lambda notebook: in_a_new_cell(notebook, 0),
    "above the prompt": above_the_prompt,
    "in the prompt": in_the_prompt,
    "another heading": under_another_heading,
    "quoted elsewhere": quoted_elsewhere,
    "no metadata": without_metadata,
    "raw": turned("raw"),
    "code": turned("code"),
    "a string": turned("code", f'"""{MINE}"""'),
    "no metadata, raw": lambda n: (turned("raw")(n), without_metadata(n)),
    "no metadata, code": lambda n: (turned("code")(n), without_metadata(n)),
    "code below": as_code(MINE),
    "a comment": as_code(f"# {MINE}"),
    "a name": as_code(f'answer = """{MINE}"""'),
    "printed": as_code(f'print("{MINE}")'),
    "a magic": as_code(f"%%markdown\n{MINE}"),
    "copied": copied,
    "three cells": in_three_cells,
    "moved": moved,
    "other section": in_the_other_section,
    "at the end": at_the_end,
    "all else deleted": all_deleted_but_it,
}


RETURNED = ("in place", "new cell below", "raw", "code", "no metadata", "at the end")


@pytest.mark.parametrize(
    ("lost", "change"),
    some(product([False, True], CHANGES), lambda one: not one[0] or one[1] in RETURNED),
)
def test_an_essay_is_found_wherever_it_was_written(bare, written, change, lost):
    CHANGES[change](written)
    if lost:
        without_metadata(written)
    rebuilt = rebuild(bare, tidy_notebook(written))
    assert all(words in text(rebuilt) for words in MINE.split(", "))
    assert waits(rebuilt)
    nbformat.validate(rebuilt)


@pytest.mark.parametrize("change", sorted(set(CHANGES) - {"other section", "at the end"}))
def test_it_stands_where_it_is_scored(bare, written, change):
    CHANGES[change](written)
    rebuilt = rebuild(bare, tidy_notebook(written))
    alone = NotebookNode(cells=[essay(rebuilt)])
    assert all(words in text(alone) for words in MINE.split(", "))
    assert MINE not in text(NotebookNode(cells=[essay(rebuilt, OTHER)]))


@pytest.mark.parametrize("seed", range(5))
def test_cells_in_any_order(bare, written, seed):
    in_a_new_cell(written)
    random.Random(seed).shuffle(written.cells)
    rebuilt = rebuild(bare, tidy_notebook(written))
    assert MINE in text(rebuilt)
    assert waits(rebuilt)


def test_what_nobody_wrote_is_not_written(bare):
    """As it was given out, by this release or another, cleared, or run on Colab."""
    colab = deepcopy(bare)
    address_frame(LESSON, colab, "https://github.com/me/course")
    badge = "https://colab.research.google.com/assets/colab-badge.svg"
    colab.cells.insert(0, new_markdown_cell(f'<a href="https://x"><img src="{badge}"/></a>'))
    cleared = handed_in(bare, {NAME: "", OTHER: " \n"})
    lost = deepcopy(bare)
    without_metadata(lost)
    for notebook in (bare, colab, cleared, lost, handed_in(bare, solutions(LESSON) | CLEAR)):
        rebuilt = rebuild(bare, tidy_notebook(deepcopy(notebook)))
        assert not waits(rebuilt)
        assert not waits(rebuilt, OTHER)
        assert [grade_id(c) for c in rebuilt.cells] == [grade_id(c) for c in bare.cells]


CLEAR = {NAME: "YOUR ANSWER HERE", OTHER: "YOUR ANSWER HERE  "}


def test_the_other_essay_is_left_alone(bare, written):
    cell(written, OTHER).source = "YOUR ANSWER HERE"
    in_a_new_cell(written)
    rebuilt = rebuild(bare, tidy_notebook(written))
    assert waits(rebuilt)
    assert not waits(rebuilt, OTHER)


def test_a_note_is_kept_and_an_empty_essay_waits_for_it(bare, written):
    take_out(written)
    note = "My prediction was that gold falls for every small weight."
    written.cells.insert(9, new_markdown_cell(note))
    rebuilt = rebuild(bare, tidy_notebook(written))
    (kept,) = [c for c in rebuilt.cells if "note" in c.metadata.get("tags", ())]
    assert note in kept.source
    assert EMPTY in essay(rebuilt).source
    assert waits(rebuilt)
    assert THEIRS in essay(rebuilt, OTHER).source
    assert EMPTY not in essay(rebuilt, OTHER).source


def test_programs_are_as_they_were(bare, written):
    """Text changes nothing of what is run."""
    plain = list(program(rebuild(bare, tidy_notebook(deepcopy(bare)))))
    for name in ("in place", "new cell below", "raw", "quoted elsewhere", "copied", "at the end"):
        notebook = deepcopy(written)
        CHANGES[name](notebook)
        assert list(program(rebuild(bare, tidy_notebook(notebook)))) == plain


# ---- pictures


def pasted(source, **attachments):
    made = NotebookNode(cell_type="markdown", source=source, metadata={})
    made.attachments = attachments
    return made


@pytest.mark.parametrize(
    "source",
    [
        "![p](attachment:a.png)",
        "![p][r]\n\n[r]: attachment:a.png",
        '<img src="attachment:a.png" width="300" alt="p">',
        f"![p](data:image/png;base64,{PNG})",
        f"![p][r]\n\n[r]: <data:image/png;base64,{PNG}>",
        f'<img src="data:image/png;base64,{PNG}" width="300">',
        f"<center>\n<img alt='p' src='data:image/png;base64,{PNG}'/>\n</center>",
        f"![p](data:image/png;base64,{PNG.rstrip('=')})",
    ],
)
@pytest.mark.parametrize("data", [PNG, [PNG[:20] + "\n", PNG[20:]]])
def test_a_pasted_picture_is_shown(source, data):
    html = safe_html(source, Room(), {"a.png": {"image/png": data}})
    assert f'src="data:image/png;base64,{PNG}"' in html


@pytest.mark.parametrize(
    "attachments", [None, [], {"a.png": None}, {"a.png": {}}, {"a.png": {"image/png": 3}}, "x",
                    {"a.png": {"image/png": "%%%"}}, {"a.png": {"image/png": ""}},
                    {"a.png": {"image/svg+xml": "PHN2Zy8+"}}, {"b.png": {"image/png": PNG}},
                    {"a.png": {"image/png": b64encode(b"<svg onload=x()>").decode()}}],
)  # fmt: skip
def test_a_broken_picture_is_a_sentence(attachments):
    html = safe_html("Text. ![p](attachment:a.png)", Room(), attachments)
    assert "<img" not in html
    assert "left out, as" in html


def test_pictures_are_limited_in_size_and_number():
    many = " ".join(f"![{n}](data:image/png;base64,{PNG})" for n in range(MOST_IMAGES + 2))
    html = safe_html(many, Room())
    assert html.count("<img") == MOST_IMAGES
    assert html.count("left out, as") == 2
    large = b64encode(b"\x89PNG" + b"\0" * 6 * 2**20).decode()
    assert "larger than 5 MiB" in safe_html(f"![](data:image/png;base64,{large})", Room())


# ---- nothing live

ATTACKS = [
    "<script>hostile(1)</script>",
    "<img src=x onerror=hostile(1)>",
    "<svg onload=hostile(1)>",
    "<b onmouseover=hostile(1) style='x:expression(1)'>b</b>",
    "<iframe srcdoc='<script>hostile(1)</script>'></iframe>",
    "<div>\n<script>hostile(1)</script>\n\n</div>\n\n<script>hostile(1)</script>",
    "</div></div><script>hostile(1)</script>",
    "<!-- --><script>hostile(1)</script> <![CDATA[ <script>hostile(1)</script> ]]>",
    "```html\n</code></pre><script>hostile(1)</script>\n\n```\n",
    "$</span><script>hostile(1)</script>$ \n\n$$\n\n<script>hostile(1)</script>\n\n$$",
    "\\begin{a}<script>hostile(1)</script>\\end{a}",
    "[x](javascript:hostile(1))",
    "[x](javascript\\:hostile(1))",
    "[x](java&#x73;cript:hostile(1))",
    "[x](javascript&colon;hostile(1))",
    "[x](java\tscript:hostile(1)) [x](<java\nscript:hostile(1)>)",
    "[x][y]\n\n[y]: javascript&#58;hostile(1)",
    "[x](data:text/html;base64,PHNjcmlwdD4=) [x](vbscript:hostile(1)) [x](file:///etc/passwd)",
    "<javascript:hostile(1)> <a href='javascript:hostile(1)'>x</a>",
    "[x](/formgrader/api/grades) [x](//evil.example/) [x](#top)",
    "![x](https://evil.example/seen.png) <img src='https://evil.example/seen.png'>",
    "![x][seen]\n\n[seen]: https://evil.example/seen.png 'title'",
    "![x](http&colon;//evil.example/seen.png) ![x](//evil.example/seen.png)",
    "![\" onerror=hostile(1) x=\"](data:image/png;base64," + PNG + ")",
    "<img src='data:image/svg+xml;base64,PHN2Zy8+'> ![](data:image/svg+xml,<svg/onload=x(1)>)",
    "<style>@import 'https://evil.example/x.css'</style><link rel=stylesheet href=//evil.example>",
    "<form action=//evil.example><input name=x><button>Full credit</button></form>",
    "| a |\n|---|\n| <script>hostile(1)</script> |",
    "\ue0000\ue001 taken-picture:0 ![x](taken-picture:99) ![x](taken-picture:x)",
    '<div class="prose"><script>hostile(1)</script></div>',
]  # fmt: skip


def as_formgrader(notebook: NotebookNode) -> str:
    """The page on which an instructor scores it."""
    from nbgrader.server_extensions.formgrader import handlers  # all of a Jupyter server

    exporter = HTMLExporter(
        template_name="formgrade", extra_template_basedirs=[handlers.template_path]
    )
    return exporter.from_notebook_node(notebook, {"index": 0, "total": 1})[0]


def live(html: str, plain: str) -> list[str]:
    """What a browser would run, fetch or follow, beside what a plain text's page has."""

    def found(page: str) -> list[str]:
        tree = BeautifulSoup(page, "html.parser")
        run = [
            str(tag) for tag in tree(["script", "iframe", "svg", "style", "link", "form", "input"])
        ]
        attributes = [(tag, *pair) for tag in tree(True) for pair in tag.attrs.items()]
        run += [f"{name}={value}" for _, name, value in attributes if name.startswith("on")]
        links = [value for _, name, value in attributes if name in ("href", "src", "action")]
        good = ("data:image/png;base64,", "https://fine.example")
        return run + [link for link in links if not link.startswith(good)]

    known = found(plain)
    return [one for one in found(html) if one not in known]


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("where", some(["essay", "note", "long"], "essay".__eq__))
def test_nothing_of_a_text_is_live_as_formgrader_converts_it(bare, attack, where):
    notebook = handed_in(bare, {NAME: MINE if where == "note" else attack})
    if where == "note":
        notebook.cells.insert(5, new_markdown_cell(attack))
    if where == "long":
        cell(notebook, NAME).source += "\n\n" + "word " * LONGEST
    rebuilt = rebuild(bare, tidy_notebook(notebook))
    made = [c for c in rebuilt.cells if "note" in c.metadata.get("tags", ())] + [essay(rebuilt)]
    for one in made:
        converted = MarkdownWithMath(IPythonRenderer(escape=False)).render(one.source)
        assert live(converted, "") == []
        assert converted.strip() == one.source  # it finds no Markdown there


@pytest.fixture(scope="module")
def attacked():
    """A lesson with every attack in a cell of its own, and all of them in an essay."""

    def change(notebook):
        notebook.cells[5:5] = map(new_markdown_cell, ATTACKS)
        cell(notebook, NAME).source = "\n\n".join(ATTACKS)

    return change


def test_nothing_of_a_text_is_live_in_formgrader(bare, attacked):
    plain, notebook = handed_in(bare, {NAME: MINE}), deepcopy(bare)
    attacked(notebook)
    pages = [as_formgrader(rebuild(bare, tidy_notebook(one))) for one in (notebook, plain)]
    assert live(*pages) == []
    assert "hostile(1)" in pages[0]


@pytest.fixture(scope="module")
def term(tmp_path_factory, attacked):
    """Pages made by the commands: of attacks, of ways to write an essay, of nothing written."""
    term = init(tmp_path_factory.mktemp("essays") / "term")
    record(term, "attacker", LESSON, {}, attacked)
    record(term, "plain", LESSON, {}, put(MINE))
    record(term, "none", LESSON, {})
    record(term, "noted", LESSON, {}, lambda n: n.cells.insert(5, new_markdown_cell(MINE)))
    for number, name in enumerate(RETURNED):
        record(term, f"c{number:02}", LESSON, {}, both(CHANGES[name]))
    assert feedback(term)[1] == []
    return term


def put(text):
    return lambda notebook: cell(notebook, NAME).update(source=text)


def both(change):
    def write(notebook):
        cell(notebook, NAME).source, cell(notebook, OTHER).source = MINE, THEIRS
        change(notebook)

    return write


def page(term, student):
    return (term.root / "feedback" / student / LESSON / f"{LESSON}.html").read_text("utf-8")


def grades(term, student):
    with term.api().gradebook as gradebook:
        found = gradebook.find_submission_notebook(LESSON, LESSON, student).grades
        return {
            g.name: (g.auto_score, g.needs_manual_grade) for g in found if g.name in (NAME, OTHER)
        }


def test_nothing_of_a_text_is_live_in_feedback(term):
    assert "hostile(1)" in page(term, "attacker")
    assert live(page(term, "attacker"), page(term, "plain")) == []


@pytest.mark.parametrize("number", range(len(RETURNED)), ids=RETURNED)
def test_it_comes_back_to_its_writer_and_waits(term, number):
    said = BeautifulSoup(page(term, f"c{number:02}"), "html.parser").get_text()
    assert all(words in said for words in MINE.split(", "))
    assert grades(term, f"c{number:02}")[NAME] == (None, True)


def test_the_page_says_what_was_not_written_and_what_stands_elsewhere(term):
    assert grades(term, "none") == {NAME: (0, False), OTHER: (0, False)}
    none = BeautifulSoup(page(term, "none"), "html.parser").get_text()
    assert none.count("Nothing was found in its cell") == 2
    assert "YOUR ANSWER HERE" not in none
    assert f'hint("{NAME}")' not in none
    assert "hold what you wrote against its rubric" in none
    assert grades(term, "noted") == {NAME: (None, True), OTHER: (None, True)}
    noted = BeautifulSoup(page(term, "noted"), "html.parser").get_text()
    assert MINE in noted[noted.index("What else you wrote") :]


def test_text_reads_as_it_was_written():
    said = "If a<b and c>d & x < 5, then $\\beta<a_1*b*c$; **so** it is.\n\n$$\nx<y\n$$"
    read = BeautifulSoup(safe_html(said, Room()), "html.parser")
    assert "If a<b and c>d & x < 5, then $\\beta<a_1*b*c$; so it is." in read.get_text()
    assert "$$\nx<y\n$$" in read.get_text()
    assert read.strong.get_text() == "so"
    link = BeautifulSoup(safe_html("[x](https://fine.example/?a=1&b=2)", Room()), "html.parser").a
    assert link["href"] == "https://fine.example/?a=1&b=2"


@pytest.mark.parametrize("unit", ["\\\\(", "[", "![", "*a_", "<b><i><u><s>", "> ", "`a``", "<!--"])
def test_a_long_text_is_not_read_as_markdown(unit):
    html = safe_html(unit * 60_000, Room())
    assert "shown as it was typed" in html
    room = Room()
    texts = [safe_html("word " * 3_999, room) for _ in range(9)]  # many cells are no way around
    assert ["shown as it was typed" in text for text in texts] == [False] * 3 + [True] * 6


@pytest.mark.parametrize("text", ["a\n\n\n    b\n\n$$x$$", "```\na\n\n\nb\n```", "- a\n\n- b"])
def test_a_graded_copy_is_one_block_in_which_no_markdown_is_found(text):
    source = whole(safe_html(text, Room()))
    assert not re.search(r"\n\s*\n", source)
    assert shown(source) == source


# ---- what the lesson said in an earlier edition


@pytest.fixture
def older(bare):
    """A notebook with every text of the lesson's first edition, and today's code below them."""
    texts = Path(__file__).with_name("first_edition_texts.txt").read_text("utf-8").strip()
    essays = [cell(bare, NAME), cell(bare, OTHER)]
    rest = [c for c in bare.cells if c.cell_type == "code"]
    older = NotebookNode(deepcopy(bare), cells=[])
    for source in texts.split("\n# %%\n"):
        stub = source == "YOUR ANSWER HERE"
        older.cells.append(deepcopy(essays.pop(0)) if stub else new_markdown_cell(source))
    older.cells += deepcopy(rest)
    return older


def notes(rebuilt):
    return [c for c in rebuilt.cells if NOTE in c.metadata.get("tags", ())]


def test_an_untouched_notebook_of_an_earlier_edition_says_nothing(bare, older):
    rebuilt = rebuild(bare, tidy_notebook(older))
    assert notes(rebuilt) == []
    for name in (NAME, OTHER):
        assert essay(rebuilt, name).source == cell(bare, name).source
        assert not waits(rebuilt, name)


def test_an_essay_in_it_is_the_students_words_alone(bare, older):
    cell(older, NAME).source, cell(older, OTHER).source = MINE, THEIRS
    rebuilt = rebuild(bare, tidy_notebook(older))
    assert notes(rebuilt) == []
    for name, mine in ((NAME, MINE), (OTHER, THEIRS)):
        assert text_of(essay(rebuilt, name)) == mine


@pytest.mark.parametrize("number", some([1, 5, 12, 20, 30], (12).__eq__))
@pytest.mark.parametrize("put", ["{mine}\n\n{said}", "{said}\n{mine}"])
def test_words_added_to_an_earlier_paragraph_are_kept_without_it(bare, older, number, put):
    one = [c for c in older.cells if c.cell_type == "markdown" and not grade_id(c)][number]
    said = one.source
    one.source = put.format(mine=MINE, said=said)
    rebuilt = rebuild(bare, tidy_notebook(older))
    assert MINE in text(rebuilt)
    found = [c for c in rebuilt.cells if MINE in c.source]
    assert len(found) == 1
    longest = max(said.splitlines(), key=len)
    assert longest not in found[0].source


def test_earlier_words_changed_by_the_student_are_kept(bare, older):
    one = next(c for c in older.cells if c.source.startswith("**6 of 6.**"))
    one.source = one.source.replace("Both sides", "Both of my sides")
    assert "Both of my sides" in text(rebuild(bare, tidy_notebook(older)))


def test_what_a_term_has_said_before_is_no_students(bare):
    """By what `init` keeps in its notebook; that of the student's notebook says nothing."""
    base, student = deepcopy(bare), deepcopy(bare)
    base.metadata[EARLIER] = sorted(text_marks_of(new_notebook(cells=[new_markdown_cell(MINE)])))
    student.cells.insert(5, new_markdown_cell(MINE))
    student.cells.insert(9, new_markdown_cell(f"{THEIRS}\n\n{MINE}"))
    (note,) = notes(rebuild(base, tidy_notebook(student)))
    assert THEIRS in note.source
    assert MINE not in note.source
    student.metadata[EARLIER] = base.metadata[EARLIER]
    assert len(notes(rebuild(bare, tidy_notebook(student)))) == 2


def text_of(one):
    return BeautifulSoup(shown(one.source), "html.parser").get_text().strip()


# ---- what the student saw


def seen(bare, *outputs, source=None):
    """The lesson with an essay, and these outputs in a cell that its rubric asks about."""
    notebook = handed_in(bare, {NAME: MINE})
    asked = next(c for c in notebook.cells if NAME in c.metadata.get(EVIDENCE, ()))
    asked.outputs, asked.source = list(outputs), source or asked.source
    return rebuild(bare, tidy_notebook(notebook))


def evidence(rebuilt):
    place = rebuilt.cells.index(essay(rebuilt))
    found = rebuilt.cells[place + 1]
    assert found.metadata["tags"] == ["evidence"]
    assert "From the student's own notebook, not run here" in found.source
    return found.source


@pytest.mark.parametrize("lesson", ["05_stable_updates", "07_case_study"])
def test_every_essay_has_evidence(lesson):
    base = checkout_base(lesson)
    asked = {name for c in base.cells for name in c.metadata.get(EVIDENCE, ())}
    assert asked == {grade_id(c) for c in base.cells if c.cell_type == "markdown" and grade_id(c)}


def test_the_grader_sees_what_the_student_saw(bare):
    forms = {"image/png": PNG, "text/plain": "A curve that falls.", "text/html": "<b>no</b>"}
    outputs = [
        new_output("display_data", forms),
        new_output("stream", text="best gold <b>1.25</b> \x1b[31mred"),
        new_output("stream", name="stderr", text="a warning"),
        new_output("display_data", {"text/html": "<script>hostile(1)</script>"}),
        new_output("display_data", {"image/svg+xml": "<svg onload=hostile(1)>"}),
    ]
    said = evidence(seen(bare, *outputs))
    assert f'<img alt="A curve that falls." src="data:image/png;base64,{PNG}"' in said
    assert "best gold &lt;b&gt;1.25&lt;/b&gt; red" in said
    assert not re.search("script|svg|<b>|warning|\x1b", said)


def test_an_edited_cell_is_known(bare):
    asked = next(c for c in bare.cells if NAME in c.metadata.get(EVIDENCE, ()))
    rebuilt = seen(
        bare, new_output("stream", text="mine: 4.5"), source=asked.source + "\nprint('mine')"
    )
    assert "mine: 4.5" in evidence(rebuilt)


def test_what_is_missing_is_said(bare):
    said = evidence(seen(bare))
    assert said.count("No output came with the notebook") == 1


def test_no_output_is_read_as_points(bare):
    result = new_output("execute_result", {"text/plain": "7.0"}, execution_count=1)
    notebook = handed_in(bare, {NAME: MINE})
    for one in notebook.cells:
        if one.cell_type == "code":
            one.outputs = [result]
            one.metadata[EVIDENCE] = [NAME]
    rebuilt = rebuild(bare, tidy_notebook(notebook))
    assert not any(c.get("outputs") for c in rebuilt.cells)
    assert all(waits(rebuilt, grade_id(c)) for c in [essay(rebuilt)])


@pytest.mark.parametrize(
    "outputs",
    [3, None, [3], [{}], [{"data": 3}], [{"data": {"image/png": {}}}], [{"output_type": "stream"}],
     [{"output_type": "error", "evalue": ["x", 3]}], [{"data": {"text/plain": "\ud800"}}]],
)  # fmt: skip
def test_outputs_of_any_form_break_nothing(bare, outputs):
    notebook = handed_in(bare, {NAME: MINE})
    for one in notebook.cells:
        one["outputs"] = outputs
        one["attachments"] = outputs
    rebuilt = rebuild(bare, tidy_notebook(notebook))
    assert MINE in essay(rebuilt).source
    nbformat.v4.writes(rebuilt).encode()


def test_outputs_are_limited(bare):
    said = evidence(seen(bare, *[new_output("stream", text="x" * 10_000)] * 60))
    assert "outputs more, left out" in said
    assert "characters more, left out" in said
    assert len(said) < 400_000


# ---- nbgrader's own command


@LONG  # test_grading.py holds it for the points
def test_nbgraders_own_command_records_the_same(tmp_path):
    """Every way to write, by both: the same scores, the same that waits, the same graded copies."""
    ours, theirs = init(tmp_path / "ours"), init(tmp_path / "theirs")
    wanted = ("new cell below", "code", "at the end")
    for term in (ours, theirs):
        for number, name in enumerate((*wanted, "none")):
            notebook = checkout_base(LESSON)
            if name != "none":
                both(CHANGES[name])(notebook)
            for one in notebook.cells:
                if one.metadata.get(EVIDENCE):
                    one.outputs = [new_output("stream", text="what I saw")]
            path = term.submission(f"s{number}", LESSON)
            path.parent.mkdir(parents=True)
            path.write_text(nbformat.writes(notebook), encoding="utf-8")
    assert not grade(ours).failed
    run_api(theirs.api().autograde, LESSON, "*")
    assert rows(ours.url)["grades"] == rows(theirs.url)["grades"]
    assert rows(ours.url)["comments"] == rows(theirs.url)["comments"]
    for number in range(len(wanted) + 1):
        copies = [
            nbformat.read(lesson_path(t.root / "autograded" / f"s{number}", LESSON), as_version=4)
            for t in (ours, theirs)
        ]
        texts = [[c.source for c in copy.cells if c.cell_type == "markdown"] for copy in copies]
        assert texts[0] == texts[1]
