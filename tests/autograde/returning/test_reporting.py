"""The report counts what a class did, holds for any class, and runs nothing that people wrote."""

import math
import random
import re
import shutil
import statistics
from datetime import UTC, datetime, timedelta
from html import unescape
from html.parser import HTMLParser

import pytest

from autograde.cli import main
from autograde.course.exercises import LESSONS, exercises
from autograde.course.predictions import write_predictions
from autograde.grading.grading import grade
from autograde.grading.judging import PROBLEMS
from autograde.returning.counted import ENOUGH, Item, Lesson, Mistake, Tally, correlation
from autograde.returning.reporting import page, report
from autograde.returning.students import MOST_ROWS, rows
from autograde.returning.tally import tally
from autograde.term.term import Term, init
from helpers.predicted import ASKED
from tests.classroom import UNWRITTEN, cell, record
from tests.large_class import tally_of

PLAIN, ESSAYS = "02_divergence", "07_case_study"
HOSTILE = "</title><script>alert(1)</script><img src=x onerror='alert(2)'>\u202e"
ROSTER = "id,first_name,last_name,email\n" + "".join(
    f"{name},{name.title()},{last},{name}@x.org\n"
    for name, last in [
        ("ann", "Ng"), ("ben", HOSTILE), ("cy", "Roe"), ("dot", "Li"), ("eve", "Om"), ("fay", "Po"),
    ]
)  # fmt: skip


@pytest.fixture(scope="module")
def term(tmp_path_factory):
    """ann, ben and cy handed lesson 02 in, fay as it was, dot's is broken, eve's is missing, and
    zoe, who has all right but k1, is on no roster."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "roster.csv").write_text(ROSTER)
    term = init(folder / "term", folder / "roster.csv")
    answers = {"categorical_kl": "swapped", "q02_dynamics": "A"}
    record(term, "ann", PLAIN, answers, predicting(ref_price="A", drift="B"))
    answers = {"categorical_kl": "swapped", "q02_dynamics": f"{HOSTILE}\ud800"}
    record(term, "ben", PLAIN, answers, predicting(ref_price="B", drift=HOSTILE))
    answers = {"k1": {"problem": "time"}, "k2": raising}
    record(term, "cy", PLAIN, answers, predicting(ref_price="A"), sandbox="none")
    record(term, "fay", PLAIN, dict.fromkeys(exercises(PLAIN), UNWRITTEN))
    record(term, "zoe", PLAIN, {"k1": "in_bits"}, predicting(ref_price="A", drift="A"))
    record(term, "ann", ESSAYS, {}, written)
    for student, lesson in [("dot", PLAIN), ("cy", ESSAYS)]:
        term.submission(student, lesson).parent.mkdir(parents=True)
    with term.store() as store:
        store.keep_failed(f"dot/{PLAIN}", f"{term.root}/submitted/dot: {HOSTILE}; hand it in again")
    with term.api().gradebook as gradebook:
        gradebook.assignments  # noqa: B018 opens it
        due = datetime(2030, 1, 1)
        gradebook.update_or_create_assignment(PLAIN, duedate=due)
        late = gradebook.find_submission(PLAIN, "ann")
        late.timestamp = due + timedelta(hours=30)
        late.notebooks[0].late_submission_penalty = 3.0
        excused = gradebook.find_submission(PLAIN, "ben")
        excused.timestamp, excused.extension = due + timedelta(hours=3), timedelta(days=1)
        gradebook.db.commit()
    return term


def raising(logp, ref_logp):
    raise ValueError(HOSTILE)


def predicting(**letters):
    return lambda notebook: write_predictions(notebook, letters)


def written(notebook):
    cell(notebook, "essay_impact").source = "Too high: nothing moves."


@pytest.fixture(scope="module")
def counted(term):
    return tally(term)


def test_predictions_stand_beside_what_came_out(counted, term, tmp_path):
    """Those that are choices of the lesson's own, of whoever is graded; nobody is named."""
    found = counted.lessons[PLAIN].predicted
    assert found == {"ref_price": {"A": ["ann", "cy"], "B": ["ben"]}, "drift": {"B": ["ann"]}}
    assert counted.lessons[ESSAYS].predicted == {}
    text = unescape(" ".join(report(term, tmp_path / "r.html").read_text("utf-8").split()))
    assert text.count("What was predicted") == 1
    asked = ASKED[PLAIN]["ref_price"]
    assert asked.question in text
    assert f"A: {asked.choices['A']}: 2 <span" in text
    assert f"<b>B: {asked.choices['B']} (came out)</b>: 1 <span" in text
    assert ASKED[PLAIN]["least_kl"].question not in text  # nobody did


def test_what_is_stored_of_another_edition_is_left_out(term):
    name = f"ann/{PLAIN}"
    with term.store() as store:
        source, key = store.recorded_source(name), store.recorded()[name]
        before = dict(store.predicted())[name]
        store.keep_recorded(name, source, key, {"ref_price": "Z", "gone": "A", "how_low": "A"})
        try:
            assert tally(term).lessons[PLAIN].predicted == {
                "ref_price": {"B": ["ben"], "A": ["cy"]}
            }
        finally:
            store.keep_recorded(name, source, key, before)


def test_mistakes_by_name_and_who_made_them(counted):
    found = counted.lessons[PLAIN].items["categorical_kl"]
    (mistake,) = [m for m in exercises(PLAIN)["categorical_kl"].mistakes if m.name == "swapped"]
    assert found.mistakes == {"swapped": Mistake(mistake.says, ["ann", "ben"])}
    assert found.statuses == {"wrong": ["ann", "ben"], "right": ["cy"], "not written": ["fay"]}
    assert found.passes == {"full": 1, "part": 0, "none": 3}


def test_every_choice_and_the_right_one(counted):
    found = counted.lessons[PLAIN].items["q02_dynamics"]
    right = found.right(None)
    assert found.choices == {
        None: {"A": ["ann"], "something else": ["ben"], right: ["cy"], "no answer": ["fay"]}
    }
    assert found.comment(None, "A") == exercises(PLAIN)["q02_dynamics"].mistakes[0].says
    assert found.comment(None, right) == ""


def test_a_question_of_several_parts(term):
    quiz = exercises("03_penalized_objective")["q03_beta_trust_region"]
    record(term, "ann", "03_penalized_objective", {quiz.name: {"reason": "D"}})
    found = tally(term).lessons["03_penalized_objective"].items[quiz.name]
    assert found.choices == {"statement": {"False": ["ann"]}, "reason": {"D": ["ann"]}}
    assert found.passes["part"] == 1
    assert "speed" in found.comment("reason", "D")


def test_what_counts_for_nothing_is_counted_by_whether_it_is_right():
    """No score tells: all are 0, and all are full."""
    item = Item("k1", 0.0, exercises(PLAIN)["k1"], dict.fromkeys("abcd", 0.0))
    item.statuses = {"right": ["a"], "wrong": ["b", "c"], "not written": ["d"]}
    assert item.passes == {"full": 1, "part": 0, "none": 3}
    lesson = Lesson(PLAIN, {"k1": item}, totals=dict.fromkeys("abcd", 0.0))
    text = page("t", Tally({PLAIN: lesson}, {}, [], []), datetime.now(UTC))
    shares = re.findall(r'data-is="(full|part|none)">(\d+) <span class="soft">\((.*?)\)', text)
    assert shares == [("full", "1", "25 %"), ("part", "0", "0 %"), ("none", "3", "75 %")]
    assert "Where the points are 0, full and none say who has it right" in text


def test_who_is_on_no_roster_is_counted_apart(counted, term, tmp_path):
    """In no number of the class, and named beside it."""
    lesson = counted.lessons[PLAIN]
    assert lesson.guests == ["zoe"]
    assert list(lesson.guest_totals) == ["zoe"]
    assert "in_bits" not in lesson.items["k1"].mistakes
    assert all("zoe" not in item.scores for item in lesson.items.values())
    assert sum(lesson.histogram()) == len(lesson.totals) == 4
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    assert 'data-is="handed in">5 <span class="soft">+ 1 guest</span>' in text
    assert "1 notebook more, 1 graded, of guests, who are not on the roster" in text
    section = text.partition(f'<h2 id="{PLAIN}">')[2].partition("</ul>")[0]
    assert "<li>5 handed in, 4 graded</li>" in section
    assert re.search(r"not on the roster: \s*<details>.*zoe", section)


def test_with_no_roster_everybody_is_of_the_class():
    assert Tally({}, {}, [], []).counts("zoe")
    assert not Tally({}, {}, ["ann"], []).counts("zoe")


def test_the_median_is_of_those_who_wrote_something(counted):
    lesson = counted.lessons[PLAIN]
    wrote = [total for student, total in lesson.totals.items() if student != "fay"]
    assert lesson.totals["fay"] == 0
    assert lesson.median == statistics.median(wrote) != statistics.median(lesson.totals.values())
    assert Lesson("x", {}, totals={"p": 0.0}, blank={"p"}).median == 0


def typed_again(term):
    """cy's k1 is scored by hand, and then lesson 02 is graded of another file of cy's."""
    with term.api().gradebook as gradebook:
        found = gradebook.find_grade("test_k1", PLAIN, PLAIN, "cy")
        found.manual_score, found.needs_manual_grade = 1.5, True
        gradebook.db.commit()
    with term.store() as store:
        store.keep_typed(f"cy/{PLAIN}", {"test_k1": "for an earlier file"})


def test_scores_typed_before_wait_for_you_with_what_they_were_typed_for(term, tmp_path):
    there = Term(shutil.copytree(term.root, tmp_path / "term"))
    typed_again(there)
    text = report(there, tmp_path / "r.html").read_text("utf-8")
    waits = text.partition('id="to-do"')[2].partition("<h2")[0]
    most = sum(exercises(PLAIN)["k1"].parts.values())
    assert f"(cy)\u2069: k1, 1.5 of {most:g}, typed for an earlier file" in waits
    assert "look again" in waits
    assert "typed" not in report(term, tmp_path / "r.html").read_text("utf-8")


def test_each_student_has_a_row(counted, term, tmp_path):
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    table = text.partition('<h2 id="students">')[2]
    place = [lesson.name for lesson in counted.begun].index(PLAIN)
    cells = {}
    for line in re.findall(r"<tr role=\"row\"><th scope=\"row\".*</tr>", table):
        found = [unescape(one) for one in re.findall(r">([^<>]*)</t[hd]>", line)]
        cells[re.search(r"(\w+)\)?\u2069", found[0])[1]] = found[0], found[1 + place]
    assert [*cells] == ["ben", "dot", "ann", "eve", "fay", "cy", "zoe"]  # by name; guests last
    total = f"{counted.lessons[PLAIN].totals['ann']:g}"
    assert cells["ann"][1] == f"{total}; late by 30 hours, minus 3"
    assert cells["dot"][1] == "broken"
    assert cells["eve"][1] == "not handed in"
    assert cells["fay"][1] == "0"
    assert cells["zoe"][0].endswith(", guest")
    assert cells["zoe"][1] == f"{counted.lessons[PLAIN].guest_totals['zoe']:g}"


def test_of_a_class_that_is_too_large_those_who_need_a_look_have_a_row():
    few, many = rows(tally_of(MOST_ROWS)), rows(tally_of(3 * MOST_ROWS))
    assert (len(few.shown), few.looked) == (MOST_ROWS, False)
    assert many.looked
    assert 0 < many.count < MOST_ROWS
    assert len(many.shown) == many.count
    assert all(row.look for row in many.shown)
    text = page("x", tally_of(3 * MOST_ROWS), datetime.now(UTC))
    assert "Too many to show everybody" in text
    assert "<code>autograde export --for students" in text


def test_that_no_programs_are_alike_is_said(bare, counted, term, tmp_path):
    assert not any(lesson.alike for lesson in counted.lessons.values())
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    part = text.partition('id="alike"')[2].partition("<section>")[0]
    assert "<p>None found.</p>" in part
    assert "what many have, right or wrong, counts for little" in part
    assert "alike" not in report(bare, tmp_path / "r.html").read_text("utf-8")


def test_each_student_is_somewhere(counted):
    lesson = counted.lessons[PLAIN]
    assert sorted(lesson.handed_in) == ["ann", "ben", "cy", "dot", "fay"]
    assert lesson.missing == ["eve"]
    assert list(lesson.failed) == ["dot"]
    assert sorted(lesson.totals) == ["ann", "ben", "cy", "fay"]
    assert counted.lessons[ESSAYS].ungraded == ["cy"]
    assert counted.unlisted == ["zoe"]
    assert lesson.unprotected == ["cy"]
    assert lesson.blank == {"fay"}
    assert lesson.unjudged == set()


def test_why_there_was_no_answer(counted):
    says = PROBLEMS["time"].partition("{")[0]
    ((reason, students),) = counted.lessons[PLAIN].items["k1"].stopped.items()
    assert reason.startswith(says)
    assert students == ["cy"]


def test_late_by_how_much_and_an_extension_counts(counted, term):
    lesson = counted.lessons[PLAIN]
    assert lesson.late == {"ann": (timedelta(hours=30), 3.0)}
    with term.api().gradebook as gradebook:
        assert lesson.totals["ann"] == gradebook.find_submission(PLAIN, "ann").score - 3


def test_what_waits_for_a_hand_is_no_zero(counted):
    essay = counted.lessons[ESSAYS].items["essay_impact"]
    assert essay.waits == ["ann"]
    assert essay.scores == {}
    assert counted.lessons[ESSAYS].items["essay_claims"].scores == {"ann": 0.0}  # left as it was


def test_a_lesson_graded_by_nbgraders_own_command_is_told(term):
    with term.store() as store:
        kept = store._database.execute("select * from recorded where name = ?", (f"ann/{PLAIN}",))
        row = kept.fetchone()
        store._database.execute("delete from recorded where name = ?", (row[0],))
        store._database.commit()
        try:
            assert tally(term).lessons[PLAIN].unjudged == {"ann"}
        finally:
            store.keep_recorded(*row)


def test_the_histogram_counts_everyone_once(counted):
    for lesson in counted.lessons.values():
        assert sum(lesson.histogram()) == len(lesson.totals)
    edge = Lesson("x", {"a": Item("a", 10.0, None)}, totals={"p": 10.0, "q": 0.0, "r": -1.0})
    assert edge.histogram() == [2, 0, 0, 0, 0, 0, 0, 0, 0, 1]


def test_the_correlation_is_pearsons_with_fishers_interval():
    these, those = [0, 0, 1, 1, 1, 0], [1, 3, 4, 6, 5, 2]
    found = correlation(these, those)
    assert found.value == pytest.approx(statistics.correlation(these, those))
    assert math.atanh(found.high) - math.atanh(found.value) == pytest.approx(1.96 / math.sqrt(3))
    assert found.low < found.value < found.high
    assert correlation([1, 1, 1, 1], [1, 2, 3, 4]) is None
    assert correlation([0, 1, 1], [1, 2, 3]) is None


def test_enough_is_the_least_class_that_tells_a_useless_item_from_a_good_one():
    ends = {n: math.tanh(1.96 / math.sqrt(n - 3)) for n in (ENOUGH - 1, ENOUGH)}
    assert ends[ENOUGH] < 0.4 < ends[ENOUGH - 1]


def class_of(n, seed=0):
    """A tally in which "good" goes with the rest and "bad" against it."""
    from autograde.returning.tally import _correlate

    chance = random.Random(seed)
    skill = {f"s{i}": chance.random() for i in range(n)}
    lesson = Lesson(PLAIN, {}, handed_in=list(skill), totals=dict.fromkeys(skill, 3.0))
    for name, sign in {"categorical_kl": 1, "k1": 1, "k2": 1, "k3": -1}.items():
        item = Item(name, 1.0, exercises(PLAIN)[name])
        item.scores = {
            s: float(sign * (x + chance.gauss(0, 0.2) - 0.5) > 0) for s, x in skill.items()
        }
        item.statuses = {"wrong": list(skill)}
        item.mistakes = {"some_mistake": Mistake("Look again.", list(skill))}
        lesson.items[name] = item
    _correlate(lesson)
    return Tally({PLAIN: lesson}, {s: f"Name of {s}" for s in skill}, list(skill), [])


def test_an_item_that_discriminates_badly_is_named_with_its_n():
    text = page("t", class_of(60), datetime.now(UTC))
    listed = text[text.index("Items that discriminate badly") :]
    listed = listed[: listed.index("</ul>")]
    assert re.findall(r"<code>(\w+)</code>", listed) == ["k3"]
    assert "n = 60" in listed
    assert "does worse here" in listed


def test_a_class_that_is_too_small_is_told_so():
    text = page("t", class_of(ENOUGH - 1), datetime.now(UTC))
    assert "discriminate badly" not in text
    assert f"{ENOUGH - 1} wrote something: too few" in text
    assert "discriminate badly" in page("t", class_of(ENOUGH), datetime.now(UTC))


class Elements(HTMLParser):
    """Every element, its attributes, and whether each was closed."""

    VOID = ("meta", "br", "rect", "path", "img", "link", "hr")

    def __init__(self, text):
        super().__init__()
        self.found, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_page_runs_nothing_and_needs_nothing(term, tmp_path):
    text = report(term, tmp_path / "r.html").read_text()
    parsed = Elements(text)
    assert parsed.open == []
    assert not {"script", "img", "iframe", "link", "object"} & {tag for tag, _ in parsed.found}
    for tag, attributes in parsed.found:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert attributes.get("href", "#").startswith("#"), tag
    assert "@import" not in text
    assert "url(" not in text
    ids = [attributes["id"] for _, attributes in parsed.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for _, a in parsed.found if "href" in a} <= set(ids)


def test_headings_go_down_in_order_and_tables_have_headers(term, tmp_path):
    found = Elements(report(term, tmp_path / "r.html").read_text()).found
    levels = [int(tag[1]) for tag, _ in found if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(levels, levels[1:], strict=False))
    assert all("scope" in attributes for tag, attributes in found if tag == "th")
    drawn = [attributes for tag, attributes in found if tag == "svg"]
    assert drawn
    assert all(
        attributes["role"] == "img" and "aria-labelledby" in attributes for attributes in drawn
    )


def test_what_the_page_says(term, tmp_path):
    text = report(term, tmp_path / "r.html").read_text()
    assert str(term.root) not in text
    for says in (
        "hand it in again", "ann by", "minus 3 points", "without a sandbox", "not on the roster",
        "waits for a score by hand", "✓ ", "too few to say",
    ):  # fmt: skip
        assert says in text.replace("\u2068Ng, Ann (ann)\u2069", "ann"), says


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A term with no roster, in which nothing was handed in."""
    return init(tmp_path_factory.mktemp("bare") / "term")


def test_nothing_handed_in_yet(bare, tmp_path):
    """In one line, and in no table and no section."""
    text = report(bare, tmp_path / "r.html").read_text("utf-8")
    assert f"<p>Nobody has handed in yet: {', '.join(LESSONS)}.</p>" in text
    assert "<section" not in text
    assert "<table" not in text


def test_lessons_that_nobody_handed_in_are_in_one_line(term, tmp_path):
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    lessons = tally(term).lessons
    idle = re.search(r"<p>Nobody has handed in yet: (.*)\.</p>", text)[1].split(", ")
    assert idle == [name for name in lessons if not lessons[name].handed_in]
    assert not {PLAIN, ESSAYS} & {*idle}
    assert all(text.count(name) == 1 for name in idle)
    lesson = Lesson("x", {}, extended={"ann": "until then"})
    assert lesson.is_begun  # there is something to say of it


def test_essays_that_wait_are_said_beside_the_median(counted, term, tmp_path):
    lesson = counted.lessons[ESSAYS]
    assert lesson.unread == lesson.items["essay_impact"].most
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    assert f"while {lesson.unread:g} points of essays wait</span>" in text
    assert text.count("points of essays wait") == 1
    assert counted.lessons[PLAIN].unread == 0


def test_nothing_stands_behind_names_in_a_line(term, tmp_path):
    """What follows would begin the next line, as an open list ends one."""
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    assert not re.search(r"</details>\s*[^<\s]", text)


def test_one_file_of_several_students_is_asked_about(bare, tmp_path):
    """Where something is answered in it; a group too large to be found by its functions as well."""
    term = Term(shutil.copytree(bare.root, tmp_path / "term"))
    (term.root / "roster.csv").write_text(ROSTER)
    lesson = "00_start_here"
    for student in ("ann", "ben", "cy", "zoe"):
        record(term, student, lesson, {})
    record(term, "dot", lesson, {}, lambda notebook: notebook.metadata.update(mine=1))
    for student in ("eve", "fay"):
        blank = dict.fromkeys(exercises(lesson), UNWRITTEN)
        record(term, student, lesson, blank, lambda notebook: notebook.metadata.update(mine=2))
    found = tally(term).lessons[lesson]
    assert found.same_files == [("ann", "ben", "cy", "zoe")]
    assert found.blank == {"eve", "fay"}
    text = report(term, tmp_path / "r.html").read_text("utf-8")
    part = text.partition('id="alike"')[2].partition("<section>")[0]
    assert "The same file, byte for byte" in part
    assert "Did they hand in as a group, or did one give it to the others?" in part
    assert re.search(rf"<li>{lesson}: \s*<details><summary>4 students<", part)
    term.submission("ann", lesson).unlink()
    assert tally(term).lessons[lesson].same_files == [("ben", "cy", "zoe")]


def test_names_of_a_large_class_are_folded_away():
    text = page("t", class_of(2000), datetime.now(UTC))
    unfolded = re.sub(r"<details>.*?</details>", "", text, flags=re.DOTALL)
    assert "Name of s7\u2069" in text
    assert "Name of" not in unfolded
    assert len(unfolded) < 60_000


def test_a_reason_is_kept_until_the_notebook_is_graded(bare, tmp_path):
    term = Term(shutil.copytree(bare.root, tmp_path / "term"))
    lesson = "00_start_here"
    path = term.submission("dot", lesson)
    path.parent.mkdir(parents=True)
    path.write_text("{")
    assert len(grade(term).failed) == 1
    assert "JSON" in tally(term).lessons[lesson].failed["dot"]
    record(term, "dot", lesson, {})  # a good file, with its verdict under another key
    assert grade(term).failed == []
    assert tally(term).lessons[lesson].failed == {}


@pytest.mark.parametrize(
    ("name", "says"),
    [("r.txt", "ends in .html"), ("no/such/r.html", "no such folder"), ("folder.html", "a folder")],
)
def test_a_target_that_cannot_be_meant(term, tmp_path, capsys, name, says):
    (tmp_path / "folder.html").mkdir()
    assert main(["report", "--to", str(tmp_path / name), "--course", str(term.root)]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert says in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder.html"]


def test_the_command_says_where_it_wrote(term, tmp_path, capsys):
    target = tmp_path / "class.html"
    assert main(["report", "--to", str(target), "--course", str(term.root)]) == 0
    assert capsys.readouterr().out.strip() == str(target)
    assert target.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.browser
@pytest.mark.parametrize("what", ["class", "empty"])
def test_nobody_is_kept_out(term, bare, tmp_path, what):
    from tests.browser.axe import serious_violations

    shown = term if what == "class" else bare
    assert serious_violations(report(shown, tmp_path / "r.html").read_text()) == []


def test_a_large_class_is_no_heap_of_elements():
    """What a browser takes seconds for is elements, and not text."""
    few, many = (page("x", tally_of(n), datetime.now(UTC)).count("<") for n in (2_000, 3_000))
    assert many - few < 5 * 1_000  # of the hundred lists that a student may stand in


@pytest.mark.browser
def test_a_large_class_keeps_nobody_out():
    from tests.browser.axe import serious_violations

    assert serious_violations(page("x", tally_of(200), datetime.now(UTC))) == []
