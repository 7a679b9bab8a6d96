"""What is seen of an answer from outside of the process that runs student code, and what is not."""

import re
from pathlib import Path
from textwrap import indent

import pytest
import torch

from autograde.course.exercises import LESSONS, exercises
from autograde.grading.inside.witness import SEAL, Witness, opened, sealed
from autograde.grading.judging import judge_reply
from autograde.grading.sandbox import Sandbox
from autograde.grading.steps import Step
from helpers.codec import pack
from helpers.probe import ask

LIE = "import helpers.probe\nhelpers.probe.same_bytes = lambda *_: True\n"
HEAD = "def k1(logp, ref_logp):\n    "
IN_PLACE = {
    "in place": "return logp.sub_(ref_logp)",
    "of the reference": "out = logp - ref_logp\n    ref_logp.mul_(2)\n    return out",
    "beneath the graph": "out = logp - ref_logp\n    logp.data.zero_()\n    return out",
    "through numpy": "out = logp - 1 * ref_logp\n    ref_logp.data.numpy()[:] = 0\n    return out",
}
UNCHANGED = {
    "the answer": "return logp - ref_logp.detach()",
    "a copy changed in place": "return logp.clone().sub_(ref_logp.detach())",
    "a flat view": "return (logp.view(-1) - ref_logp.detach().view(-1)).view(logp.shape)",
}
NETWORK = """
import copy, torch
from torch import nn
def scored(policy, tokens):
    modes = [(part, part.training) for part in policy.modules()]
    found = policy.eval()(tokens).detach()
    for part, training in modes:
        part.training = training
    return found
def freeze_reference(policy):
    shell = copy.deepcopy(policy).eval()
    class Quiet(nn.Module):
"""
# What shows the scores of one network whatever it tells of itself.
LYING = {
    "no parameters": "",
    "copies of them": """
    def named_parameters(self, *_, **__):
        return [(n, p.detach().clone()) for n, p in policy.named_parameters()]
""",
    "a property": """
    @property
    def policy_now(self):
        return {n: v for n, v in policy.state_dict().items()}
    def forward(self, tokens):
        return torch.func.functional_call(
            shell, self.policy_now, (tokens,), tie_weights=False).detach()
""",
    "views": """
    kept = {n: v.view_as(v) for n, v in policy.state_dict().items()}
    def forward(self, tokens):
        return torch.func.functional_call(shell, self.kept, (tokens,), tie_weights=False).detach()
""",
    "a copy made late": """
    made = []
    def forward(self, tokens):
        self.made = self.made or [copy.deepcopy(policy).eval()]
        return self.made[0](tokens).detach()
""",
    "moved back while it is counted": """
    def named_buffers(self, *_, **__):
        now = {n: v - 1 for n, v in policy.state_dict().items()}
        shell.load_state_dict(now)
        return []
""",
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox("fork") as one:
        yield one


def verdict(sandbox, source):
    described = exercises("02_divergence")["k1"]
    cases = described.hidden_cases(b"seed")
    reply = sandbox.ask([Step(source, "k1")], {"k1": cases})["k1"]
    return judge_reply(described, cases, reply)


@pytest.mark.parametrize("name", IN_PLACE)
def test_inputs_that_change_are_seen_whatever_the_process_says_of_them(sandbox, name):
    found = verdict(sandbox, LIE + HEAD + IN_PLACE[name])
    assert not found.passed["inputs and dtype"], found.failures
    assert "changed inputs" in {failure.what for failure in found.failures}


@pytest.mark.parametrize("name", UNCHANGED)
def test_inputs_that_stay_are_no_change(sandbox, name):
    assert verdict(sandbox, HEAD + UNCHANGED[name]).status == "right"


def test_an_input_shared_by_exercises_is_whole_for_the_next(sandbox):
    """Where a process ends, the next one begins with inputs that nobody has touched."""
    described = exercises("02_divergence")
    cases = {name: described[name].hidden_cases(b"seed") for name in ("k1", "k2")}
    ends = HEAD + "logp.data.zero_(); ref_logp.zero_(); import os; os._exit(3)"
    right = "def k2(logp, ref_logp):\n    return 0.5 * (logp - ref_logp.detach()) ** 2"
    replies = sandbox.ask([Step(ends, "k1"), Step(right, "k2")], cases)
    assert judge_reply(described["k2"], cases["k2"], replies["k2"]).status == "right"


@pytest.mark.parametrize("name", LYING)
def test_a_network_that_lies_about_its_numbers_is_told_by_its_scores(name):
    body = LYING[name]
    if "def forward" not in body:
        body += "    def forward(self, tokens):\n        return scored(policy, tokens)\n"
    source = NETWORK + indent(body, "    ") + "    return Quiet().eval()\n"
    scope = {}
    exec(source, scope)
    described = exercises("06_language_model")["freeze_reference"]
    found = described.grade(scope["freeze_reference"], b"seed")
    assert found.passed["values"], found.failures
    assert not found.passed["independent"]
    assert any("when the policy has moved" in failure.what for failure in found.failures)


def test_a_question_says_nothing_of_how_it_is_judged():
    for exercise in exercises("06_language_model").values():
        for case in exercise.hidden_cases(b"seed"):
            assert case.question().keys() == {"inputs", "grad", "probe"}


def test_of_every_kind_of_tensor_a_change_is_seen():
    kept = {
        "scalar": torch.tensor(1.0, dtype=torch.float64),
        "mask": torch.tensor([[True, False]]),
        "expanded": torch.ones(1, 3).expand(2, 3),
        "turned": torch.arange(6).view(2, 3).T,
        "nan": torch.tensor([float("nan")]),
        "empty": torch.zeros(0, 3),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "plain": 3.0,
    }
    exercise = {"cases": [{"inputs": dict(kept)}]}
    witness = Witness([exercise])
    placed = exercise["cases"][0]["inputs"]
    for name, value in kept.items():
        if isinstance(value, torch.Tensor):
            assert torch.equal(placed[name].isnan(), value.isnan())
            assert torch.equal(placed[name].nan_to_num(), value.nan_to_num())
            assert not placed[name]._is_view()
    assert witness.changed(0) == []
    for name in ("scalar", "mask", "expanded", "turned", "nan", "half"):
        placed[name].copy_(placed[name].logical_not())
        assert witness.changed(0) == [(0, name)], name
        witness.restore()
        assert witness.changed(0) == []


def test_a_reply_in_which_nothing_changed_stays_as_it_is_and_a_seal_is_opened():
    assert sealed([], b"reply") == b"reply"
    assert opened(sealed([(2, "x")], b"reply")) == ([(2, "x")], b"reply")


SEEN = (b'[[Infinity, "x"]]', b"[" * 9000, b"[[null, 1]]", b"5", b"[" + b" " * 2**16 + b"]")


@pytest.mark.parametrize("seen", SEEN)
def test_a_seal_that_is_forged_badly_is_a_value_error_whatever_it_holds(seen):
    with pytest.raises(ValueError):  # noqa: PT011 each has words of its own
        opened(SEAL + len(seen).to_bytes(4, "big") + seen + pack({"answers": []}))


@pytest.mark.parametrize(
    "forged",
    [
        SEAL,
        SEAL + b"\xff" * 9,
        SEAL + b"\x00\x00\x00\x02[]" + SEAL,
        sealed([(10**9, "x")], pack({"answers": []})),
        SEAL + b"\x00\x00\x00\x01{",
    ],
)
def test_a_forged_seal_earns_nothing(forged):
    described = exercises("02_divergence")["k1"]
    found = judge_reply(described, described.hidden_cases(b"seed"), forged)
    assert found.points == 0
    assert found.status == "not answered"


def test_what_a_seal_tells_counts_against_an_answer_that_says_otherwise():
    described = exercises("02_divergence")["k1"]
    cases = described.hidden_cases(b"seed")
    reply = pack({"error": None, "answers": ask(described.answer, cases)})
    assert judge_reply(described, cases, reply).status == "right"
    found = judge_reply(described, cases, sealed([(0, "logp")], reply))
    assert not found.passed["inputs and dtype"]
    assert found.passed["values"]


def test_what_is_advisory_is_listed_as_the_exercises_say_it():
    text = Path(__file__).parents[3].joinpath("SECURITY.md").read_text("utf-8")
    told = re.search(r"\| exercise \| part \| advisory \|\n\|[-|]+\n((?:\|.*\n)+)", text)
    rows = [
        f"| `{one.name}` | {part} | {what} |"
        for lesson in LESSONS
        for one in exercises(lesson).values()
        for part, what in one.advisory.items()
    ]
    assert told[1].splitlines() == rows


def test_every_probe_that_looks_inside_is_called_advisory():
    """By the probe: a case that is asked so belongs to an exercise that says what is not proven."""
    inside = {"frozen_copy", "without_autograd", "token_alone", "train_plain", "update"}
    inside |= {"responses", "weighing"}
    for lesson in LESSONS:
        for one in exercises(lesson).values():
            assert one.advisory.keys() <= one.parts.keys()
            if inside & {case.probe for case in one.hidden_cases(b"seed")}:
                assert one.advisory, one.name
