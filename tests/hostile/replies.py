"""Attacks by what is answered: what is no answer."""

from collections.abc import Iterator

from tests.hostile.entry import FULL, IMAGE, RULES, SCRIPT, Hostile, answer

RETURNS = {
    "nan": ("answers NaN, which is unequal to nothing", "logp * float('nan')"),
    "nan-number": ("answers NaN as a number", "float('nan')"),
    "infinite": ("answers infinity", "logp + float('inf')"),
    "huge-tensor": ("answers tensors of 8 MiB", "torch.zeros(2**21)"),
    "expanded": ("answers a tensor of 2 TiB that takes 4 bytes", "torch.zeros(1).expand(2**39)"),
    "sparse": ("answers a sparse tensor of 2 TiB", "torch.zeros(1).to_sparse().resize_(2**39)"),
    "huge-text": ("answers texts of 4 MiB", "'x' * 2**22"),
    "many-items": ("answers a list of 50,000 numbers", "[0.0] * 50000"),
    "nested": ("answers a list in a list, 100,000 deep", "nest()"),
    "cyclic": ("answers a list that holds itself", "cycle()"),
    "long-number": ("answers a number of 5,000 digits", "10**5000"),
    "longish-number": ("answers a number of 4,000 digits", "10**4000"),
    "surrogate": ("answers a text that is no Unicode", r"'\ud800'"),
    "nul": ("answers a text with zeros and escapes", r"'\0\x1b[2J\x07\r'"),
    "complex": ("answers complex numbers", "logp * 1j"),
    "meta": ("answers a tensor without numbers", "logp.to('meta')"),
    "boolean": ("answers True", "True"),
    "class": ("answers a class", "type"),
    "generator": ("answers a generator without an end", "iter(int, 1)"),
    "module": ("answers a module", "torch"),
    "equal-to-all": ("answers an object that is equal to everything", "Equal()"),
    "equal-number": ("answers a number that is equal to everything", "Number(1)"),
    "equal-text": ("answers a text that is equal to everything", "Text('x')"),
    "array-like": ("answers an object that turns into any array", "Array()"),
    "lazy": ("answers a tensor subclass that is close to everything", "logp.as_subclass(Lazy)"),
    "kind": (
        "answers a dict that looks like the grader's own data",
        "{'$one of': [1], '$kind': 2}",
    ),
    "script-value": ("answers a script", repr(SCRIPT + IMAGE)),
    "zeroed-inputs": ("sets its inputs to zero, so that zero is right", "zero(logp, ref_logp)"),
}
SOURCE = """
import torch

class Equal:
    __hash__ = object.__hash__
    __eq__ = __ne__ = __lt__ = __gt__ = lambda *_: True

class Number(float):
    __eq__ = __ne__ = __lt__ = __gt__ = __bool__ = lambda *_: True

class Text(str):
    __eq__ = lambda *_: True
    __hash__ = lambda *_: 0
    strip = casefold = lambda self: self

class Array:
    dtype = torch.float32
    __array__ = lambda self, *_, **__: torch.zeros(3).numpy()

class Lazy(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        return True if "equal" in str(function) or "close" in str(function) else args[0]

def nest(held=()):
    for _ in range(100000):
        held = [held]
    return held

def cycle():
    held = []
    held.append(held)
    return held

def zero(logp, ref_logp):
    with torch.no_grad():
        return logp.zero_() - ref_logp.zero_()
"""


def answering() -> Iterator[Hostile]:
    """What is no answer."""
    for name, (tries, expression) in RETURNS.items():
        source = f"{SOURCE}\ndef k1(logp, ref_logp):\n    return {expression}"
        says = "MB and was stopped" if name in ("huge-tensor", "huge-text") else ""
        yield answer(name, tries, source, says=says)
    yield answer(
        "mutated-inputs",
        "works in its inputs, and answers them",
        "def k1(logp, ref_logp):\n    return logp.sub_(ref_logp.detach())",
        earns={"k1": FULL["k1"] - RULES},
    )
    yield answer("quiz-script", "answers a quiz with a script", f"q02_dynamics = {SCRIPT!r}",
                 of="q02_dynamics")  # fmt: skip
    yield answer(
        "quiz-all", "answers a quiz with all choices", "q02_dynamics = list('ABCDE')",
        of="q02_dynamics",
    )  # fmt: skip
    yield answer(
        "raised-script",
        "raises an exception with a script for its name and its text",
        f"def k1(logp, ref_logp):\n    raise type({IMAGE!r}, (Exception,), {{}})({SCRIPT!r})",
        says=SCRIPT,
    )
    yield answer(
        "raised-surrogate",
        "raises an exception whose text is no Unicode",
        r"def k1(logp, ref_logp):" + "\n" + r"    raise ValueError('\ud800\0')",
    )
    yield answer(
        "raised-huge",
        "raises an exception with a text of 64 MiB",
        "def k1(logp, ref_logp):\n    raise ValueError('x' * 2**26)",
    )
    yield answer(
        "raised-broken",
        "raises an exception that cannot be printed",
        "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit\n\n"
        "def k1(logp, ref_logp):\n    raise Bad",
    )


KINDS = (answering,)
