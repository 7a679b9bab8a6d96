"""What a lesson asks to write, ungraded: a right answer is told so, a wrong one is not."""

import itertools
from dataclasses import dataclass, replace

import pytest
import torch

from autograde.course.exercises import LESSONS
from autograde.course.lessons import Cell, read_source
from helpers.problems.divergence import response_kl, slips_of_response_kl
from helpers.problems.policy_updates import gradient_at, old_table, true_return
from helpers.reference.divergence import categorical_kl
from tests.some import LONG


@dataclass(frozen=True)
class Hole:
    """right, wrong: what may stand in place of the line with dots, of the one cell that has it.

    said: what the cell below tells the right ones alone.
    """

    right: tuple[str, ...]
    wrong: tuple[str, ...]
    said: str


LOOP = """\
measured = [_measure(policy, ref)]
for _ in range(n_steps):
    drawn = sample(policy, _world.prompts(8), 16, generator)
    advantage = group_advantage(_world.score(drawn).view(8, -1)).flatten()
    batch = (drawn.tokens, drawn.response_mask, drawn.logp, advantage)
    train_step(policy, ref, optimizer, *(x.to(device) for x in batch), epsilon, beta)
    measured.append(_measure(policy, ref))
return measured"""

# By the lesson, and by the line with dots without its indent.
HOLES: dict[str, dict[str, Hole]] = {
    "04_penalty_gradients": {
        "_draws_move = ...": Hole(
            right=(
                "_draws_move = (_probability * _log_ratio) @ _score",
                "_draws_move = ((_probability * _log_ratio)[:, None] * _score).sum(0)",
                "_draws_move = _probability * (_log_ratio - _probability @ _log_ratio)",
            ),
            wrong=(
                "_draws_move = _log_ratio @ _score",
                "_draws_move = _probability * _log_ratio",
                "_draws_move = -(_probability * _log_ratio) @ _score",
                "_draws_move = (_probability * _log_ratio)[:, None] * _score",
                "_draws_move = 0.0",
                "_draws_move = [0.0] * 5",
            ),
            said="Right: both sums",
        ),
        "return ...": Hole(
            right=(
                "k2, k3 = _k2(logp, ref_logp), _k3(logp, ref_logp)\n"
                "return k3.detach() + k2 - k2.detach()",
                "gap = (logp - ref_logp).detach()\n"
                "return (logp - logp.detach()) * gap + _k3(logp, ref_logp).detach()",
            ),
            wrong=(
                "return _k2(logp, ref_logp)",
                "return _k3(logp, ref_logp)",
                "return _k3(logp, ref_logp).detach()",
                "return _k3(logp, ref_logp) + _k2(logp, ref_logp) - _k2(logp, ref_logp).detach()",
                "k2, k3 = _k2(logp, ref_logp), _k3(logp, ref_logp)\nreturn k3 + k2 - k3.detach()",
                "gap = (logp - ref_logp).detach()\nreturn (logp - logp.detach()) * gap + gap",
            ),
            said="Right: a number",
        ),
        "return ...  # position vocab": Hole(
            right=(
                "return logits.masked_fill(~kept, -torch.inf).log_softmax(-1)",
                "return torch.where(kept, logits, torch.tensor(-1e9)).log_softmax(-1)",
                "p = logits.softmax(-1)\nreturn (p / (p * kept).sum(-1, keepdim=True)).log()",
                "logp = logits.log_softmax(-1)\n"
                "return logp - (logp.exp() * kept).sum(-1, keepdim=True).log()",
            ),
            wrong=(
                "return logits.log_softmax(-1)",
                "return logits.log_softmax(-1).masked_fill(~kept, -torch.inf)",
                "return (logits * kept).log_softmax(-1)",
                "return logits.log_softmax(-1) - kept.sum(-1, keepdim=True).log()",
                "return logits.log_softmax(-1) + _mass.log()",
                "return logits.log_softmax(-1) - _mass.log()",  # of the weights that drew
                "return logits.masked_fill(~kept, -torch.inf).log_softmax(-1).detach()",
                "logp = logits.log_softmax(-1)\n"
                "return logp - (logp.exp() * kept).sum(-1, keepdim=True).log().detach()",
                "p = logits.softmax(-1) * kept\n"  # log 0 has no gradient
                "return (p / p.sum(-1, keepdim=True)).log()",
                "return [kept]",
                "return logits.softmax(-1)[kept]",
                "return 0.0",
            ),
            said="Healed: all three are gone.",
        ),
        "return ...  # response time": Hole(
            right=(
                "return (logp - old_logp).exp()",
                "return logp.exp() / old_logp.exp()",
                "return (logp - old_logp).cumsum(1).exp()",  # of whole responses
                "return (logp - old_logp).sum(1, keepdim=True).exp()",
            ),
            wrong=(
                "return (logp - old_logp).mean(1, keepdim=True).exp()",
                "return (logp - old_logp).exp().detach()",
                "return (old_logp - logp).exp()",
                "return logp - old_logp",
                "return torch.ones_like(logp)",
                "return (logp - logp.detach()).exp()",
                "return (logp - old_logp).exp().mean(1, keepdim=True)",
                "return (logp - old_logp).exp().clamp(0.8, 1.2)",
                "return 1.0",
                "return [logp]",
            ),
            said="Healed",
        ),
    },
    "01_policy_updates": {
        "_advantage = ...": Hole(
            right=(
                "_advantage = _expected[:, 1:] - _expected[:, :-1]",
                "_advantage = _expected.diff(dim=-1)",
                "_advantage = torch.stack([_expected[:, t + 1] - _expected[:, t]\n"
                "    for t in range(8)], dim=1)",
            ),
            wrong=(
                "_advantage = _expected[:, :-1] - _expected[:, 1:]",
                "_advantage = _expected[:, 1:]",
                "_advantage = _expected - _expected[:, :1]",
                "_advantage = _every.score[:, None] - _expected[:, :-1]",
                "_advantage = 0",
                "_advantage = [1.0]",
            ),
            said="Right: they agree",
        ),
        "return ...": Hole(
            right=(
                "return ratio.cumprod(dim=-1)",
                "return ratio.log().cumsum(-1).exp()",
                "return torch.stack([row.cumprod(0) for row in ratio])",
            ),
            wrong=(
                "return ratio",
                "return ratio.prod(-1)",
                "return ratio.prod(-1, keepdim=True).expand_as(ratio)",
                "return ratio.cumsum(-1)",
                "return ratio.cumprod(dim=0)",
                "return 1",
            ),
            said="Right. Both sides",
        ),
        "_objective = ...": Hole(
            right=(
                "_objective = _promises - 0.5 * _divergence",
                "_objective = _promises - 0.6 * _divergence",
                "_objective = -0.8 * _divergence + _promises",
            ),
            wrong=(
                "_objective = _promises + 0.5 * _divergence",
                "_objective = _promises - _divergence**2",
                "_objective = _promises - 0.5",
                "_objective = _promises",
                "_objective = _promises - 0.1 * _divergence",
                "_objective = _promises - 5 * _divergence",
                "_objective = _divergence - 0.5 * _promises",
                "_objective = _promises[0] - 0.5 * _divergence[0]",
                "_objective = 0.5",
            ),
            said="Right: nine tenths",
        ),
        "_still = ...": Hole(
            right=(
                "_still = torch.tensor([0.5**0.5, 0.5**0.5])",
                "_still = (-0.7071, -0.7071)",
                "_still = torch.ones(2) / 2**0.5",
            ),
            wrong=(
                "_still = (1.0, 0.0)",
                "_still = (1.0, 1.0)",
                "_still = (0.0, 0.0)",
                "_still = (0.7071, -0.7071)",
                "_still = 1.0",
            ),
            said="Right: nothing moved",
        ),
    },
    "02_divergence": {
        "return ...": Hole(
            right=(
                "return (words_before(policy) * categorical_kl(policy, ref)).sum(-1)",
                "return torch.linalg.vecdot(words_before(policy), categorical_kl(policy, ref))",
                "return (words_before(policy) @ categorical_kl(policy, ref)).item()",
            ),
            wrong=(
                "return (words_before(ref) * categorical_kl(policy, ref)).sum(-1)",
                "return (words_before(policy) * categorical_kl(ref, policy)).sum(-1)",
                "return (words_before(ref) * categorical_kl(ref, policy)).sum(-1)",
                "return (words_before(policy) * categorical_kl(policy, ref)).mean(-1)",
                "return words_before(policy) * categorical_kl(policy, ref)",
                "return categorical_kl(policy, ref)",
                "return categorical_kl(policy, ref).sum(-1)",
                "return 1",
            ),
            said="So your sum is the KL(policy ‖ old) of whole responses",
        ),
    },
    "03_penalized_objective": {
        "return ...": Hole(
            right=(
                "d = log_policy - log_ref\nreturn beta * (d[one] - d[other])",
                "d = beta * (log_policy - log_ref)\nreturn d[one] - d[other]",
                "d = beta * (log_policy - log_ref).double()\nreturn float(d[one] - d[other])",
            ),
            wrong=(
                "return log_policy[one] - log_ref[one] - log_policy[other] + log_ref[other]",
                "return beta * (log_policy[one] - log_policy[other])",
                "d = log_policy - log_ref\nreturn beta * (d[other] - d[one])",
                "return beta * (log_policy[one] - log_ref[one])",
                "return 0.4",
            ),
            said="Every difference is told",
        ),
        "_guess = ...": Hole(
            right=(
                "_guess = _spread / math.sqrt(2 * 0.01)",
                "_guess = float((_spread**2 / 0.02) ** 0.5)",
                "_guess = 7.07 * _spread",
                "_guess = 3.8",
            ),
            wrong=(
                "_guess = _spread / math.sqrt(0.01)",
                "_guess = _spread**2 / 0.02",
                "_guess = _spread / 0.02",
                "_guess = _spread",
                "_guess = math.sqrt(_spread / 0.02)",
                "_guess = 0.01",
                "_guess = 0",
                "_guess = -_spread / math.sqrt(2 * 0.01)",
            ),
            said="Within a tenth of 0.01",
        ),
    },
    "06_language_model": {
        "return ...": Hole(
            right=(LOOP, LOOP.replace(".view(8, -1)", ".view(8, 8)")),
            wrong=(
                LOOP.replace(".view(8, -1)", "[None]"),
                LOOP.replace("_world.score(drawn)", "_world.gold(drawn.tokens).detach()"),
                LOOP.replace("_world.score(drawn)", "_world.proxy(drawn.tokens).detach()"),
                LOOP.replace("    drawn", "    generator.manual_seed(0)\n    drawn"),
                LOOP.replace("range(n_steps)", "range(n_steps - 1)"),
                "return [0.0] * (n_steps + 1)",
            ),
            said="Right: the same numbers",
        ),
        "my_beta = ...": Hole(
            right=("my_beta = 0.15", "my_beta = torch.tensor(0.15)"),
            wrong=(),
            said="β = 0.15",
        ),
        "_choices = ...": Hole(
            right=('_choices = "ABABABABAB"', '_choices = "aaaaa bbbbb"'),
            wrong=(
                *('_choices = "AB"', '_choices = "ABABABABAC"', "_choices = 1"),
                '_choices = ["A"] * 10',
            ),
            said="of your 10 are of the tuned model",
        ),
    },
    "05_stable_updates": {
        "_own_beta = ...": Hole(
            right=("_own_beta = 2.0", "_own_beta = 2", "_own_beta = torch.tensor(2.0)"),
            wrong=("_own_beta = 0", "_own_beta = 4.0", "_own_beta = -0.5", "_own_beta = 1000"),
            said="Steady, and it learns",
        ),
    },
    "07_case_study": {
        "return ...  # as torch.stack([d, d * d], dim=1) would be": Hole(
            right=(
                "return (d.clamp(max=6.4)[:, None] // 0.5 == torch.arange(13)).to(d.dtype)",
                "return torch.stack([torch.ones_like(d), d, (d - 3.25).clamp(min=0)], dim=1)",
            ),
            wrong=(
                "return d[:, None]",
                "return torch.stack([d, d**2, d**3], dim=1)",
                "return torch.stack([d, -d * d], dim=1)",
                "return torch.stack([d**power for power in range(7)], dim=1)",
            ),
            said="yours: at 5 of 5 seeds",
        ),
        "_budget = ...": Hole(
            right=(
                "from helpers.problems.case_study import gains_between\n"
                "_budget = max((2, 4, 8, 16, 32), key=lambda nats:\n"
                "    gains_between(_measured, nats / 2, nats).mean().nan_to_num(-9))",
            ),
            wrong=(
                "_budget = 0",
                "_budget = -3",
                "_budget = 0.02",
                "_budget = 1000",
                '_budget = float("nan")',
                '_budget = float("inf")',
            ),
            said="The record supports it",
        ),
        "return ...": Hole(
            right=(
                "good = [b for b, each in ends.items() if all(keeps(e, budget) for e in each)]\n"
                "return min(good, default=None)",
                "for beta, each in reversed(ends.items()):\n"
                "    if all(e.kl < budget and e.gain > 0 < e.over_free for e in each):\n"
                "        return beta",
                "good = {b: sum(e.gain for e in each) for b, each in ends.items()\n"
                "    if all(keeps(e, budget) for e in each)}\n"
                "return max(good, key=good.get, default=None)",
            ),
            wrong=(
                "return min(ends)",
                "return 0.0",
                "return 0.25",
                "return budget",
                "return ends",
                "return None",
                "pass",
                "return max(ends, key=lambda beta: max(e.kl for e in ends[beta]))",
                "good = [b for b, each in ends.items() if any(e.kl > budget for e in each)]\n"
                "return max(good)",
                "return [b for b, each in ends.items() if all(keeps(e, budget) for e in each)]",
            ),
            said="Your rule never picks a β that broke it",
        ),
    },
}


def _dotted(cell: Cell) -> list[str]:
    lines = cell.source.splitlines() if cell.kind == "demo" else []
    return [line for line in lines if line.split("#")[0].rstrip().endswith(" ...")]


def _told(scope: dict, cell: Cell, below: Cell, line: str, instead: str, capsys) -> str:
    """What the cell below prints."""
    scope = dict(scope)
    indent = line[: len(line) - len(line.lstrip())]
    exec(cell.source.replace(line, indent + instead.replace("\n", f"\n{indent}")), scope)
    capsys.readouterr()
    exec(below.source, scope)
    return capsys.readouterr().out


# Lesson 06 trains in its cells, and its loop is tried some ten times.
SLOW = {"06_language_model": LONG}


@pytest.mark.parametrize("lesson", [pytest.param(n, marks=SLOW.get(n, ())) for n in HOLES])
def test_a_right_one_is_told_from_a_wrong_one(lesson, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # runs leave files
    cells = [
        replace(c, source=c.source.replace("until=80", "until=10"))
        for c in read_source(lesson)
        if c.kind not in ("markdown", "check", "predict")
    ]
    scope: dict = {"__name__": "__main__"}
    met = set()
    for cell, below in zip(cells, [*cells[1:], cells[-1]], strict=True):
        for line in _dotted(cell):
            hole = HOLES[lesson][line.strip()]
            met.add(line.strip())
            for instead in hole.right:
                assert hole.said in _told(scope, cell, below, line, instead, capsys), instead
            for instead in (*hole.wrong, line.strip()):
                assert hole.said not in _told(scope, cell, below, line, instead, capsys), instead
        if cell.kind != "essay":
            exec(cell.source, scope)
    assert met == set(HOLES[lesson])


def test_slips_in_the_kl_of_responses_are_told_apart():
    old = old_table()
    up = gradient_at(old, true_return)  # as in the lesson
    far = old + 5 * up / up.norm()
    slips = list(slips_of_response_kl(far, old, categorical_kl).values())
    for one, other in itertools.combinations([response_kl(far, old, categorical_kl), *slips], 2):
        assert one.shape != other.shape or not torch.allclose(one, other, rtol=0.01)


def test_every_hole_is_known():
    found = {name: {h.strip() for c in read_source(name) for h in _dotted(c)} for name in LESSONS}
    assert {name: holes for name, holes in found.items() if holes} == {
        name: set(holes) for name, holes in HOLES.items()
    }
