"""Texts that must come to no terminal, page, table or database as they are, and some that must."""

HOSTILE = {
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clear the screen": "\x1b[2J\x1b[H6 of 6 points",
    "8-bit sequences": "\x9b31mred\x9d0;owned\x9c",
    "answer back": "\x1b[6n\x1bZ\x05",
    "a line of ours": "x\n02_divergence.ipynb: 60 of 60 points in 02_divergence",
    "carriage return": "0 of 6 points\r6 of 6 points",
    "other ends of lines": "a\x0bb\x0cc\x85d\u2028e\u2029f",
    "backspace": "0\b6 of 6",
    "override": "\u202eevil\u202c \u2066x\u2069",
    "direction without script": "5 of 6 \u200fpoints\u061c",
    "unseen": "a\u200bd\u2060m\ufeffi\xadn\u3164",
    "tags": "a\U000e0041\U000e0042",
    "half a character": "\ud800 \udfff",
    "none at all": "\ufffe\uffff\ufdd0",
    "flood of accents": "e" + "\u0301" * 5_000,
    "flood of joiners": "\u200d" * 5_000,
    "nul": "a\0b",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>&amp;",
    "quotes": "\"'><svg/onload=alert(1)>",
    "template": "{{ 7*7 }}{% raw %}{# #}",
    "formula": '=HYPERLINK("https://x.example","here")',
    "sql": "x'); drop table student; --",
    "long": "x" * 1_000_000,
}
HONEST = (
    "李明 さくら 한국어",
    "العربية עברית 5\u200f",
    "مي\u200cخواهم हिन्दी क्\u200dष ภาษาไทย Việt e\u0301",
    "\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea ✌\ufe0f "
    "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "∑ₜ π_θ(y ∣ x) ≤ 𝔼[‖·‖²] − β·D",
    "O'Brien, Åsa-Britt  (née \xa0Müller)",
    "",
)
# What may be in what was shown of a hostile text, of characters that are neither letters nor signs.
REFUSED = "".join(map(chr, [*range(9), *range(11, 32), *range(127, 160)])) + (
    "\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200b\u2060\ufeff"
)


def seen(text: str) -> set[str]:
    """The characters of a text that should have become signs."""
    return {one for one in text if one in REFUSED or "\ud800" <= one <= "\udfff"}
