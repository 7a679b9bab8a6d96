"""Attacks on whoever judges: answers that are small to send and large to look at."""

from collections.abc import Iterator

from tests.hostile.entry import FULL, OTHERS, Hostile, answer

VALUES = {
    "empty-rows": ("three million rows of nothing", "torch.zeros(3_000_000, 0)"),
    "empty-rows-more": ("a hundred million rows of nothing", "torch.zeros(10**8, 0)"),
    "lengths": ("a tensor of no number and 64 lengths", "torch.zeros([0] + [2] * 60)"),
    "keys": ("a dict of 450,000 keys", "{str(i): i for i in range(450_000)}"),
    "keys-same": ("a dict whose keys differ by what is not seen",
                  "{'value' + chr(0x200b) * i: i for i in range(2000)}"),
    "texts": ("100,000 texts", "['x'] * 100_000"),
    "wide": ("lists of lists of lists", "[[[[[[[[0] * 9] * 9] * 9] * 9] * 9] * 9]] * 1"),
    "shared": ("a list that doubles 40 times", "doubled(40)"),
    "scalars": ("200,000 tensors of one number", "[torch.zeros(())] * 200_000"),
    "quantized": ("quantized numbers",
                  "torch.quantize_per_tensor(torch.ones(9), 1, 0, torch.qint8)"),
    "csr": ("a matrix in compressed rows", "torch.eye(9).to_sparse_csr()"),
    "float8": ("floats of eight bits", "torch.ones(9).to(torch.float8_e4m3fn)"),
    "bits": ("numbers of 64 bits without a sign", "torch.ones(9).to(torch.uint64)"),
    "complex32": ("complex numbers of 32 bits", "torch.ones(9).to(torch.complex32)"),
    "nested-tensor": ("a nested tensor",
                      "torch.nested.nested_tensor([torch.ones(2), torch.ones(3)])"),
    "negative-zero": ("minus zero and the least numbers", "torch.tensor([-0.0, 5e-324, 1e308])"),
    "nan-keys": ("a dict with NaN for its keys", "{float('nan'): 1, float('inf'): 2}"),
    "huge-float": ("a number that no float holds", "10**400"),
    "bytes": ("eight million bytes", "bytes(2**23)"),
    "set": ("a set of 100,000", "set(range(100_000))"),
    "parameter": ("a parameter with a hook", "hooked(torch.nn.Parameter(torch.ones(3)))"),
    "marks": ("a text of 100,000 accents", "'Z' + chr(0x301) * 100_000"),
    "looks-packed": ("what looks like a packed tensor",
                     "{'$tensor': ['float32', 0, [2**62, 2**62]]}"),
    "looks-packed-less": ("one of less than no length", "{'$tensor': ['float32', -9, [-1]]}"),
    "looks-packed-more": ("one of a million lengths",
                          "{'$tensor': ['float32', 0, [1] * 10**6]}"),
}  # fmt: skip
SOURCE = """
import torch

def doubled(times, held=0):
    for _ in range(times):
        held = [held, held]
    return held

def hooked(one):
    one.register_hook(lambda grad: torch.zeros(10**12))
    return one
"""
TREE = '"tree":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}'
HEADERS = {
    "reply-lies": ("tells lengths that are not there", "{" + TREE.replace("2", "99") + "}"),
    "reply-overlaps": ("has tensors that lie on one another",
                       "{" + TREE + "," + TREE.replace("tree", "a") + "}"),
    "reply-twice": ("has its tree twice", "{" + TREE + "," + TREE.replace("U8", "I8") + "}"),
    "reply-many": ("has 100,000 tensors", "many"),
    "reply-deep": ("nests its tree 100,000 deep", "deep"),
    "reply-zeros": ("is 15 MB of nothing", "zeros"),
    "reply-lists": ("is 15 MB of empty lists", "lists"),
    "reply-numbers": ("is numbers without an end", "numbers"),
    "reply-lengths": ("has a tensor of 100,000 lengths", "lengths"),
    "reply-keys": ("has a million keys", "keys"),
    "reply-views": ("shows one tensor a million times", "views"),
    "reply-message": ("tells of an exception of 10 MB with escapes", "message"),
}  # fmt: skip
# What it would answer is replaced where it is packed, in its own process.
FORGED = """
import json, struct
import inside.child as child
from helpers.codec import pack as honest

def tree(text, numbers=0):
    data = text if isinstance(text, bytes) else text.encode()
    header = {"tree": {"dtype": "U8", "shape": [len(data)], "data_offsets": [0, len(data)]}}
    if numbers:
        header["float32"] = {"dtype": "F32", "shape": [numbers],
                             "data_offsets": [len(data), len(data) + 4 * numbers]}
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data + bytes(4 * numbers)

def forged(kind):
    if kind.startswith("{"):
        return struct.pack("<Q", len(kind)) + kind.encode() + b"{}"
    answers = lambda text: '{"answers": [' + text + ']}'
    return {
        "many": lambda: honest({"answers": [{"value": 0}], **{str(i): 0 for i in range(10**5)}}),
        "deep": lambda: tree(answers("[" * 10**5 + "]" * 10**5)),
        "zeros": lambda: bytes(15 * 2**20),
        "lists": lambda: tree(answers('{"value": [' + "[]," * 4_900_000 + "[]]}")),
        "numbers": lambda: tree(answers('{"value": ' + "9" * 10**6 + "}")),
        "lengths": lambda: tree(answers('{"value": {"$tensor": ["float32", 0, ['
                                        + "1," * 100_000 + "1]]}}"), 1),
        "keys": lambda: tree(answers("{" + ",".join(f'"{i}":0' for i in range(10**6)) + "}")),
        "views": lambda: tree(answers('{"value": [' + '{"$tensor":["float32",0,[1]]},' * 500_000
                                      + '{"$tensor":["float32",0,[1]]}]}'), 1),
        "message": lambda: tree(json.dumps({"answers": None, "error": {
            "kinds": ["\\x1b[2JE" * 9], "message": "\\nh000: 100 of 100 points \\u202e" * 400_000,
            "line": "\\x1b[1A" * 10**5}})),
    }[kind]()

child.pack = lambda reply: forged(KIND)

def k1(logp, ref_logp):
    return logp * 0
"""


def valuing() -> Iterator[Hostile]:
    """Values, of a function and of a quiz."""
    for name, (tries, value) in VALUES.items():
        source = f"{SOURCE}\ndef k1(logp, ref_logp):\n    return {value}"
        yield answer(f"value-{name}", f"answers {tries}", source)
        quiz = f"{SOURCE}\nq02_dynamics = {value}"
        yield answer(f"quiz-{name}", f"answers a quiz with {tries}", quiz, of="q02_dynamics")


def replying() -> Iterator[Hostile]:
    """Replies that no `pack` writes."""
    for name, (tries, kind) in HEADERS.items():
        source = FORGED.replace("KIND", repr(kind))
        yield answer(name, f"forges a reply that {tries}", source, spoils=OTHERS)


def keeping() -> Iterator[Hostile]:
    """Much to store."""
    noise = "import torch\nnoise = lambda *_, **__: torch.rand(400_000)\n"
    names = [name for name in FULL if not name.startswith("q")]
    for name in ("k1", "k2", "k3"):
        names.remove(name) if name in names else None
    functions = noise + "k1 = k2 = k3 = " + " = ".join(names or ["other"]) + " = noise"
    yield answer("noise", "answers each exercise with noise that no packer makes smaller",
                 functions, spoils=OTHERS)  # fmt: skip


KINDS = (valuing, replying, keeping)
