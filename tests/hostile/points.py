"""Attacks on points: full ones without a right answer."""

from collections.abc import Iterator
from textwrap import dedent

from autograde.course.as_cells import handed_in
from autograde.course.lessons import checkout_base
from tests.hostile.entry import FULL, MARK, OTHERS, RULES, Hostile, added, answer, full, save


def forging() -> Iterator[Hostile]:
    """Points, without a right answer."""
    yield added(
        "asserts-dropped",
        "drops every assert from what is run after it",
        """
        import ast
        class Drop(ast.NodeTransformer):
            def visit_Assert(self, node):
                return ast.Pass()
        get_ipython().ast_transformers.append(Drop())
        """,
    )
    yield answer(
        "displayed-points",
        "displays points as the result of its cell, and raises",
        "get_ipython().displayhook(3.0)\nraise RuntimeError('stop here')",
        says="RuntimeError: stop here",
    )
    for module, names in (
        ("torch", ("allclose", "equal", "isclose", "is_tensor")),
        ("helpers.compare", ("judge", "close", "same_value")),
        ("helpers.closeness", ("close", "same_value")),
        ("helpers.codec", ("pack", "unpack")),
    ):
        yield added(
            f"replaced-{module.rpartition('.')[2]}",
            f"replaces {', '.join(names)} of {module}",
            f"import {module} as replaced\nfor name in {names!r}:\n"
            "    setattr(replaced, name, lambda *_, **__: True)",
            spoils=OTHERS,
        )
    yield added(
        "replaced-probe",
        "replaces what asks, where it is used, so that every answer is a right one",
        """
        import inside.child, helpers.probe
        right = lambda target, cases: [{"value": "right", "status": "right"} for _ in cases]
        helpers.probe.ask = inside.child.ask = right
        """,
        spoils=OTHERS,
    )
    yield added(
        "replaced-pack",
        "replaces what packs its reply by a report of full points",
        """
        import inside.child as child
        pack = child.pack
        child.pack = lambda reply: pack({"status": "right", "points": 4, "passed": True})
        """,
        spoils=OTHERS,
    )
    yield added(
        "replaced-module",
        "puts a module of its own in the place of the helpers",
        """
        import sys, types
        for name in ("helpers.probe", "helpers.codec", "inside.child", "inside.submission"):
            sys.modules[name] = types.ModuleType(name)
        """,
    )
    for name, tries, reply in (
        ("frames-of-nothing", "says forged replies of no bytes", 'b""'),
        ("frames-with-seals", "says that a case without a number was changed", SEALED),
    ):
        yield added(name, tries, _replies_source(reply), spoils=OTHERS)
    yield answer("frames", "writes forged replies to every open file", _frames_source())
    yield answer(
        "frames-of-pickle",
        "writes a pickle that would run a command to every open file",
        f"""
        import os, pickle, struct

        class Run:
            def __reduce__(self):
                return os.system, ("touch /tmp/{MARK}-pickle",)

        def k1(logp, ref_logp):
            data = pickle.dumps(Run())
            for number in range(3, 256):
                try:
                    os.write(number, struct.pack(">cIQ", b"r", 4, len(data)) + data)
                except OSError:
                    continue
            return Run()
        """,
    )
    for name, message in (("frames-of-end", "e"), ("frames-of-steps", "s")):
        yield answer(
            name,
            f"says {message!r} to every open file, again and again, and never ends",
            f"""
            import os, time

            while True:
                for number in range(3, 256):
                    try:
                        os.write(number, b"{message}" + bytes(12))
                    except OSError:
                        continue
                try:
                    time.sleep(0.2)
                except BaseException:
                    pass
            """,
            spoils=OTHERS,
        )
    yield added(
        "callers-changed",
        "changes the cases that are still to be asked, through its callers' variables",
        """
        import gc
        from helpers.cases import Case
        for one in gc.get_objects():
            if isinstance(one, dict) and "exercises" in one and "limits" in one:
                one["exercises"][4]["cases"] = []
        """,
        spoils=OTHERS,
    )


SEALED = """b"\\xff" * 8 + struct.pack(">I", 17) + b'[[Infinity, "x"]]' + pack({"answers": []})"""


def _replies_source(reply: str) -> str:
    return f"""
        import os, struct
        from helpers.codec import pack

        reply = {reply}
        said = struct.pack(">cIQ", b"a", 0, 0)
        for number in range({len(FULL)}):
            said += struct.pack(">cIQ", b"r", number, len(reply)) + reply
        for number in range(3, 256):
            try:
                os.write(number, said)
            except OSError:
                continue
        os._exit(0)
    """


def _frames_source() -> str:
    payload = "{'answers': [{'value': 'right', 'points': 4, 'status': 'right'}] * 20}"
    return f"""
        import os, struct
        from helpers.codec import pack

        data = pack({payload})
        inner = struct.pack(">cIQ", b"r", 4, len(data)) + data
        outer = struct.pack(">HI", 2, len(data)) + b"k1" + data
        for number in range(3, 256):
            for frame in (inner, outer, b"gone", b"run"):
                try:
                    os.write(number, frame)
                except OSError:
                    continue

        def k1(logp, ref_logp):
            return logp * 0
    """


def only(name: str, tries: str, lesson: str, of: str, source: str, earns: int) -> Hostile:
    """One answer of another lesson, and nothing else of it."""
    notebook = handed_in(checkout_base(lesson), {of: dedent(source).strip()})
    expected = dict.fromkeys(full(lesson), 0) | {of: earns}
    return Hostile(name, tries, save(notebook), earns=expected, lesson=lesson)


def observing() -> Iterator[Hostile]:
    """Of what is observed while the answer is computed."""
    yield answer(
        "inputs-same",
        "works in its inputs, and replaces what compares them",
        """
        import gc, helpers.probe, torch
        for name in dir(helpers.probe):
            if "same" in name or "changed" in name or "differ" in name:
                setattr(helpers.probe, name, lambda *_, **__: [])
        torch.equal = torch.allclose = lambda *_, **__: True

        def k1(logp, ref_logp):
            right = logp - ref_logp.detach()
            with torch.no_grad():
                logp.zero_()
            return right
        """,
        earns={"k1": FULL["k1"] - RULES},
        spoils=OTHERS,
    )
    yield only(
        "copy-lies",
        "freezes no copy, but the policy in a module that hides its parameters",
        "06_language_model",
        "freeze_reference",
        """
        class Lies(torch.nn.Module):
            def __init__(self, policy):
                super().__init__()
                self.__dict__["policy"] = policy

            def forward(self, *tokens):
                return self.__dict__["policy"](*tokens).detach()

            def named_parameters(self, *_, **__):
                return iter(())

            parameters = buffers = named_buffers = named_parameters

        def freeze_reference(policy):
            return Lies(policy).eval()
        """,
        0,
    )
    yield only(
        "by-hand-derived",
        "derives by autograd under another name what is to be written by hand",
        "03_penalized_objective",
        "penalized_gradient",
        """
        from torch.autograd import grad as derive
        from torch.autograd.graph import Node
        import torch, torch._C

        def penalized_gradient(logits, ref_logits, rewards, beta):
            with torch.enable_grad():
                inside = logits.detach().clone().requires_grad_()
                logp, ref = inside.log_softmax(-1), ref_logits.log_softmax(-1)
                total = (logp.exp() * (rewards - beta * (logp - ref))).sum()
                return derive(total, inside)[0]
        """,
        0,
    )


KINDS = (forging, observing)
