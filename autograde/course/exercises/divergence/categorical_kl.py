"""Compute KL(policy ‖ ref) exactly, from the logits of every outcome."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor
from .shared import BOTH_LOGITS, INF, LOG_2

LARGE = "large logits"

IMPOSSIBLE = "logits of −inf"

categorical_kl = Exercise(
    "categorical_kl",
    parts={VALUES: 3, GRADIENT: 2, LARGE: 1, IMPOSSIBLE: 3, RULES: 1},
    hints=(
        "Write the sum over outcomes on paper: each outcome's probability under the policy times "
        "log policy − log ref. Which function gives log-probabilities from logits, stably?",
        "Weigh the log-ratio of each outcome by the policy's probability, which is exp of its "
        "log-probability, and sum over the last axis. Detach ref_logits, not that weight: it moves "
        "too.",
        "Where log_policy is −inf the product is 0 · (−inf) = NaN. There, where the policy's logit "
        "is −inf, torch.where must put 0 into both logarithms, before you subtract and multiply: "
        "the gradient of an unused branch is still computed. Elsewhere leave ref's −inf alone: it "
        "must cost +inf.",
    ),
)


@categorical_kl.by_hand
def _() -> Iterator[Case]:
    half, three_to_one = tensor(0.5, 0.5).log(), tensor(0.75, 0.25).log()
    pairs = {
        "policy (3/4, 1/4) against ref (1/2, 1/2)": (three_to_one, half),
        "policy (1/2, 1/2) against ref (3/4, 1/4)": (half, three_to_one),
        "only one outcome": (tensor(2.0), tensor(-1.0)),
    }
    for title, (logits, ref_logits) in pairs.items():
        yield Case(title, {"logits": logits, "ref_logits": ref_logits}, grad=BOTH_LOGITS)
    # Further apart than any that are drawn among the values, so that a bound, or a constant added
    # to a probability, shows here or never among these.
    apart = {"logits": tensor([2.0, 0.0], [8.0, 0.0]), "ref_logits": tensor([0.0, 9.0], [0.0, 0.0])}
    yield Case("policy logits (2, 0) and (8, 0), ref logits (0, 9) and (0, 0)", apart)
    rare = {"logits": half.double(), "ref_logits": tensor(0.0, -30.0, dtype=torch.float64)}
    yield Case("float64, policy (1/2, 1/2), ref logits (0, −30)", rare, RULES, BOTH_LOGITS)
    far = {"logits": half, "ref_logits": tensor(0.0, -1000.0)}
    yield Case("policy (1/2, 1/2), ref logits (0, −1000)", far, LARGE, ("logits",))
    yield from _outcomes_that_never_happen()


def _outcomes_that_never_happen() -> Iterator[Case]:
    pairs = {
        "policy (1/2, 1/2, 0): an outcome that the policy never draws": (
            tensor(0.0, 0.0, -INF),
            tensor(0.0, 1.0, 2.0),
        ),
        "an outcome that neither ever draws": (tensor(0.0, 1.0, -INF), tensor(0.5, 0.0, -INF)),
    }
    for title, (logits, ref_logits) in pairs.items():
        yield Case(title, {"logits": logits, "ref_logits": ref_logits}, IMPOSSIBLE, ("logits",))
    only_ref = {"logits": tensor(0.0, 1.0, -2.0), "ref_logits": tensor(0.5, 0.0, -INF)}
    yield Case("an outcome that only the reference never draws", only_ref, IMPOSSIBLE)


@categorical_kl.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, scale: float = 1.5, dtype: torch.dtype = torch.float32) -> dict:
        logits = draw.normal(*shape, scale=scale, dtype=dtype)
        ref_logits = draw.normal(*shape, dtype=dtype).clamp(-1.5, 1.5)
        if scale < 2:  # no outcome is rare: those have cases of their own
            logits = logits.clamp(-2.5, 2.5)
        return {"logits": logits, "ref_logits": ref_logits}

    yield Case("one distribution over 5 outcomes", inputs(5), grad=BOTH_LOGITS)
    yield Case("the same with an axis of length 1", inputs(1, 5), grad=BOTH_LOGITS)
    yield Case("3 by 4 distributions over 6 outcomes", inputs(3, 4, 6), grad=BOTH_LOGITS)
    yield Case("logits shifted by a constant", _shifted(inputs(2, 5), 7.0), grad=BOTH_LOGITS)
    large = _shifted(inputs(2, 4, scale=300.0), 500.0)
    yield Case("logits near ±1000", large, LARGE, ("logits",), rtol=1e-3, atol=2e-3)
    yield Case("float64", inputs(2, 3, dtype=torch.float64), part=RULES, grad=BOTH_LOGITS)
    yield Case("no gradient asked", inputs(2, 3), part=RULES)
    some = inputs(2, 5)
    some["logits"][0, 1] = some["logits"][1, 3] = some["ref_logits"][1, 3] = -INF
    yield Case("rows with a −inf each", some, part=IMPOSSIBLE, grad=("logits",))
    one = inputs(3, 4)
    one["ref_logits"][1, 2] = -INF
    yield Case("3 rows, the middle one +inf", one, part=IMPOSSIBLE)


def _shifted(inputs: dict[str, Tensor], by: float) -> dict[str, Tensor]:
    return {name: value + by for name, value in inputs.items()}


@categorical_kl.right
def written_out(logits: Tensor, ref_logits: Tensor) -> Tensor:
    never, broken = logits == -INF, ref_logits == -INF
    logs = (x.log_softmax(-1) for x in (logits, ref_logits.detach()))
    log_policy, log_ref = (log.masked_fill(never, 0.0) for log in logs)
    cost = log_policy.exp() * (log_policy - log_ref)
    return cost.masked_fill(broken, INF).masked_fill(never, 0.0).sum(-1)


def unguarded(logits: Tensor, ref_logits: Tensor) -> Tensor:
    """What most people write: right but for logits of −inf."""
    log_policy, log_ref = (x.log_softmax(-1) for x in (logits, ref_logits.detach()))
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


def _swapped_and_reduced(reduction: str, logits: Tensor, ref_logits: Tensor) -> Tensor:
    ref = ref_logits.detach().softmax(-1)
    return F.kl_div(logits.log_softmax(-1), ref, reduction=reduction)


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) from logarithms; gradients reach both."""
    never = log_p == -INF
    gap = log_p.masked_fill(never, 0.0) - log_q.masked_fill(never, 0.0)
    return (log_p.exp() * gap).masked_fill(gap == INF, INF).sum(-1)


@categorical_kl.wrong(
    "This is KL(ref ‖ policy): the arguments are swapped. The policy's probabilities are the "
    "weights, and its logarithm comes first."
)
def swapped(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _divergence(ref_logits.detach().log_softmax(-1), logits.log_softmax(-1))


categorical_kl.changed(
    "weight_detached",
    "log_policy.exp()",
    "log_policy.exp().detach()",
    "The value is right but its gradient is not: the weight π(y) was held constant. "
    "Detach the reference alone.",
    of=written_out,
)
categorical_kl.changed(
    "reference_not_constant",
    "ref_logits.detach()",
    "ref_logits",
    "A gradient reaches ref_logits, which is a constant: detach it.",
    of=written_out,
)


@categorical_kl.wrong(
    "A gradient reaches ref_logits, which is a constant: detach it. And where logits are −inf, 0 "
    "times an infinite number is NaN, in F.kl_div too: where the policy's logit is −inf, put 0 "
    "into both logarithms before you multiply."
)
def kl_div_as_it_is(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return F.kl_div(ref_logits.log_softmax(-1), logits.softmax(-1), reduction="none").sum(-1)


@categorical_kl.wrong(
    "Where both logits are −inf, 0 times an infinite number is NaN, in F.kl_div too. What the "
    "policy never draws costs 0: put 0 into both logarithms there, before you multiply."
)
def never_drawn_by_either(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_ref = ref_logits.detach().log_softmax(-1)
    return F.kl_div(log_ref, logits.softmax(-1), reduction="none").sum(-1)


categorical_kl.changed(
    "cross_entropy",
    "log_policy.exp() * (log_policy - log_ref)",
    "-log_policy.exp() * log_ref",
    "This is the cross-entropy −Σ π log π_ref: the policy's own Σ π log π is missing.",
    of=written_out,
)
categorical_kl.changed(
    "negated",
    "return cost",
    "return -cost",
    "The sign is turned: this is −KL(policy ‖ ref), and a divergence is never below 0.",
    of=written_out,
)
categorical_kl.changed(
    "averaged",
    ".sum(-1)",
    ".mean(-1)",
    "This is the mean over outcomes. The expectation is already in the weights π(y): sum, "
    "do not average.",
    of=written_out,
)
categorical_kl.changed(
    "summed_over_everything",
    ".sum(-1)",
    ".sum()",
    "One number came back for everything. Sum over the last axis only.",
    of=written_out,
)
categorical_kl.changed(
    "normalised_over_the_first_axis",
    "log_softmax(-1)",
    "log_softmax(0)",
    "The probabilities were normalised over the first axis. Outcomes lie along the last one: "
    "dim=-1.",
    of=written_out,
)


@categorical_kl.wrong(
    "The logits themselves were subtracted. A logit is a log-probability only up to a constant "
    "that differs between the two: take log_softmax of both first."
)
def raw_logits(logits: Tensor, ref_logits: Tensor) -> Tensor:
    never, broken = logits == -INF, ref_logits == -INF
    gap = logits.masked_fill(never, 0.0) - ref_logits.detach().masked_fill(never | broken, 0.0)
    return (logits.softmax(-1) * gap).masked_fill(broken & ~never, INF).sum(-1)


categorical_kl.changed(
    "ref_not_normalised",
    ".sum(-1)",
    ".sum(-1) - ref_logits.detach().logsumexp(-1)",
    "The reference's logits went in as they came. A logit is a log-probability only up to a "
    "constant: take log_softmax of ref_logits too.",
    of=written_out,
)
categorical_kl.changed(
    "policy_not_normalised",
    ".sum(-1)",
    ".sum(-1) + logits.logsumexp(-1)",
    "The policy's logits went in as they came. A logit is a log-probability only up to a "
    "constant: take log_softmax of logits too.",
    of=written_out,
)
categorical_kl.changed(
    "in_bits",
    ".sum(-1)",
    ".sum(-1) / LOG_2",
    "This is in bits: a logarithm to base 2. Log-probabilities here are in nats.",
    of=written_out,
)


@categorical_kl.wrong(
    "Right for ordinary logits, wrong where a probability rounds to 0: log(softmax(x)) loses "
    "what log_softmax(x) keeps."
)
def softmax_then_log(logits: Tensor, ref_logits: Tensor) -> Tensor:
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy * (policy.log() - ref.log())).sum(-1)


def _epsilon_in_the_logarithm(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy * ((policy + epsilon).log() - (ref + epsilon).log())).sum(-1)


def _probabilities_clamped(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    gap = policy.clamp(min=epsilon).log() - ref.clamp(min=epsilon).log()
    return (policy * gap).sum(-1)


for _size in (3, 4, 5, 6, 7, 8, 9, 10, 12):
    for _name, _says, _answer in (
        (
            "epsilon_in_the_logarithm",
            f"A small number, about 1e-{_size}, was added inside the logarithm. It hides the NaN, "
            "and with it every probability smaller than that number",
            _epsilon_in_the_logarithm,
        ),
        (
            "probabilities_clamped_at",
            f"The probabilities were clamped at about 1e-{_size}. That hides the NaN, and makes "
            "all smaller ones equal",
            _probabilities_clamped,
        ),
    ):
        _says += ": use log_softmax, and treat −inf by itself."
        _wrong = Mistake(f"{_name}_1e_{_size}", _says, partial(_answer, 10.0**-_size))
        categorical_kl.mistakes.append(_wrong)


for _bound in (5, 10, 20):
    categorical_kl.changed(
        f"log_ratios_clamped_at_{_bound}",
        "(log_policy - log_ref)",
        f"(log_policy - log_ref).clamp(-{_bound}, {_bound})",
        f"The log-ratios were clamped to ±{_bound}. What ref hardly ever draws may cost more: the "
        "contract is the sum, without a bound.",
        of=written_out,
    )


@categorical_kl.wrong(
    "A probability of ref was subtracted from a logarithm, as F.kl_div does when it is given "
    "probabilities: its first argument is a logarithm."
)
def probability_subtracted(logits: Tensor, ref_logits: Tensor) -> Tensor:
    ref, policy = ref_logits.detach().softmax(-1), logits.softmax(-1)
    return F.kl_div(ref, policy, reduction="none").sum(-1)


@categorical_kl.wrong(
    "A probability that rounds to 0 was taken for impossible, and the gradient is NaN at a logit "
    "of −inf, as torch.distributions.kl_divergence has it: write the sum out with log_softmax."
)
def library_function(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return kl_divergence(Categorical(logits=logits), Categorical(logits=ref_logits.detach()))


@categorical_kl.wrong(
    "One number came back, the sum of all divided by the length of the first axis, as F.kl_div's "
    '"batchmean" has it. Sum over the last axis only; F.kl_div can, with reduction="none".'
)
def library_loss(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return F.kl_div(log_ref, log_policy, log_target=True, reduction="batchmean")


@categorical_kl.wrong(
    "Where logits are −inf, 0 times an infinite number is NaN: where the policy's logit is −inf, "
    "put 0 into both logarithms before you multiply."
)
def zero_times_infinity(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


categorical_kl.changed(
    "as_the_formula_stands",
    "ref_logits.detach()",
    "ref_logits",
    "Two things. A gradient reaches ref_logits, which is a constant: detach it. And where the "
    "policy's logit is −inf, 0 times an infinite number is NaN: put 0 into both logarithms there, "
    "before you multiply.",
    of=unguarded,
)


@categorical_kl.wrong(
    "The value is right, its gradient is NaN: NaN was removed only after the product, as by where, "
    "masked_fill or nansum. The gradient of what is not used is still computed: replace the −inf "
    "before you multiply."
)
def replaced_too_late(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    costs = log_policy.exp() * (log_policy - log_ref)
    return torch.where(logits == -INF, 0.0, costs).sum(-1)


@categorical_kl.wrong(
    "nan_to_num came after the product. It hides the NaN in the value alone, the gradient keeps "
    "it; and it makes a finite number of a cost that must be +inf. Replace before you multiply."
)
def nan_to_num_too_late(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (log_policy.exp() * (log_policy - log_ref)).nan_to_num(0.0).sum(-1)


@categorical_kl.wrong(
    "NaN was replaced after the sum, as by nan_to_num: one had spoiled the whole row by then, and "
    "the row came back as 0. Where the policy's logit is −inf, put 0 into both logarithms before "
    "you multiply."
)
def nan_to_num_after_the_sum(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1).nan_to_num(0.0)


@categorical_kl.wrong(
    "Each logarithm of −inf became 0 by itself, so what the reference never draws counts as "
    "certain. Only the policy's −inf costs nothing: replace both logarithms there, and there alone."
)
def each_infinity_made_zero(logits: Tensor, ref_logits: Tensor) -> Tensor:
    logs = [values.log_softmax(-1) for values in (logits, ref_logits.detach())]
    log_policy, log_ref = (log.masked_fill(log == -INF, 0.0) for log in logs)
    return (logs[0].exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "Each logarithm of −inf became 0 by itself, and 0 is the logarithm of 1: what the policy never "
    "draws has the weight exp(0) = 1, and what only ref never draws costs no longer +inf. Where "
    "the policy's logit is −inf, put 0 into both; leave ref's −inf alone elsewhere."
)
def each_infinity_made_certain(logits: Tensor, ref_logits: Tensor) -> Tensor:
    logs = [values.log_softmax(-1) for values in (logits, ref_logits.detach())]
    log_policy, log_ref = (log.masked_fill(log == -INF, 0.0) for log in logs)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "Only the policy's −inf became 0, and 0 is the logarithm of 1: what the policy never draws has "
    "the weight exp(0) = 1. Put 0 into ref's logarithm there too, and it costs 1 · (0 − 0)."
)
def policy_infinity_made_certain(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    log_policy = log_policy.masked_fill(log_policy == -INF, 0.0)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "A finite number was made of what is infinite, as nan_to_num does it, so an outcome that the "
    "reference never draws has a finite price. It must cost +inf."
)
def infinite_logarithms_made_finite(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (log_policy.exp() * (log_policy.nan_to_num() - log_ref.nan_to_num())).sum(-1)


@categorical_kl.wrong(
    "Outcomes where either logit is −inf were left out. Only what the policy never draws costs "
    "nothing; what it draws and the reference never does costs +inf."
)
def either_left_out(logits: Tensor, ref_logits: Tensor) -> Tensor:
    left_out = (logits == -INF) | (ref_logits == -INF)
    logs = [values.log_softmax(-1) for values in (logits, ref_logits.detach())]
    log_policy, log_ref = (log.masked_fill(left_out, 0.0) for log in logs)
    return (logs[0].exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "Outcomes where either logit is −inf were left out, and after the product, so that the "
    "gradient is NaN. Leave out what the policy never draws, and replace before you multiply; "
    "what the reference alone never draws costs +inf."
)
def either_left_out_too_late(logits: Tensor, ref_logits: Tensor) -> Tensor:
    left_out = (logits == -INF) | (ref_logits == -INF)
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return torch.where(left_out, 0.0, log_policy.exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "A large finite number stands in for −inf, so an outcome that the reference never draws has a "
    "finite price. It must cost +inf."
)
def large_number_for_infinity(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits.clamp(min=-1e9), ref_logits.clamp(min=-1e9))


categorical_kl.changed(
    "everything_detached",
    ".sum(-1)",
    ".sum(-1).detach()",
    "No gradient reaches logits: the policy's side was cut off too, as by .detach() or no_grad().",
    of=written_out,
)


@categorical_kl.wrong(
    "logits were changed in place, as by −= or masked_fill_: compute a new tensor."
)
def shifted_in_place(logits: Tensor, ref_logits: Tensor) -> Tensor:
    logits -= logits.max(dim=-1, keepdim=True).values
    return reference.categorical_kl(logits, ref_logits)


categorical_kl.changed(
    "cast_to_float32",
    "(logits, ref_logits.detach())",
    "(logits.float(), ref_logits.detach().float())",
    "The answer is float32 whatever came in: keep the dtype of the inputs.",
    of=written_out,
)


for _size in (4, 6, 8, 10, 12):
    categorical_kl.changed(
        f"large_number_for_infinity_1e_{_size}",
        "(logits, ref_logits.detach()))",
        f"(logits.clamp(min=-1e{_size}), ref_logits.detach().clamp(min=-1e{_size})))",
        f"About −1e{_size} stands in for −inf, so an outcome that the reference never draws has a "
        "finite price. It must cost +inf.",
        of=unguarded,
    )


_COST = "log_policy.exp() * (log_policy - log_ref)"
for _name, _line, _instead, _says in (
    (
        "axis_kept",
        ".sum(-1)",
        ".sum(-1, keepdim=True)",
        "The last axis is still there, with length 1, as keepdim leaves it: one number for each "
        "distribution.",
    ),
    (
        "averaged_over_everything",
        ".sum(-1)",
        ".mean()",
        "One number came back, the mean over everything, as F.kl_div has it by default. Sum over "
        "the last axis only.",
    ),
    (
        "log_ratios_averaged",
        f"({_COST}).sum(-1)",
        "(log_policy - log_ref).mean(-1)",
        "The log-ratios were averaged, each counting the same. An expectation weighs each outcome "
        "by how often the policy draws it: π(y).",
    ),
    (
        "k3_weighed",
        "(log_policy - log_ref)",
        "((log_ref - log_policy).exp() - 1 - (log_ref - log_policy))",
        "k3, an estimate for single samples, was weighed. Its expectation is KL, but its exp is "
        "infinite for large logits and −inf: with every outcome at hand, weigh log π − log π_ref.",
    ),
    (
        "ratio_of_logs",
        "(log_policy - log_ref)",
        "(log_policy / log_ref)",
        "The logarithms were divided: the logarithm of a ratio is their difference.",
    ),
    (
        "ratios_weighed",
        "(log_policy - log_ref)",
        "(log_policy - log_ref).exp()",
        "The ratios policy/ref were weighed: take their logarithm.",
    ),
    (
        "log_ratios_squared",
        "(log_policy - log_ref)",
        "(log_policy - log_ref).square()",
        "The squared log-ratios were weighed: weigh the log-ratio itself.",
    ),
    (
        "logarithms_added",
        "(log_policy - log_ref)",
        "(log_policy + log_ref)",
        "The logarithms were added: that of a ratio is their difference.",
    ),
    (
        "weighted_by_the_logarithm",
        _COST,
        "log_policy * (log_policy - log_ref)",
        "The weight is a log-probability here: the policy's probability, its exp, is the weight.",
    ),
    (
        "weighted_by_the_logit",
        "log_policy.exp()",
        "logits",
        "The weight is a logit here: the policy's probability is the weight.",
    ),
    (
        "difference_of_entropies",
        _COST,
        "log_policy.exp() * log_policy - log_ref.exp() * log_ref",
        "This is Σ π log π − Σ ref log ref, a difference of entropies. KL weighs both logarithms "
        "by the policy: Σ π (log π − log ref).",
    ),
    (
        "cross_entropy_of_the_reference",
        _COST,
        "-log_ref.exp() * log_policy",
        "This is the cross-entropy −Σ ref log π, as F.cross_entropy has it with ref as target. KL "
        "is Σ π (log π − log ref).",
    ),
    (
        "ratios_summed",
        _COST,
        "(log_policy - log_ref).exp()",
        "The ratios policy/ref were added up. Weigh their logarithms by the policy.",
    ),
    (
        "summed_over_the_first_axis",
        ".sum(-1)",
        ".sum(0)",
        "The sum runs over the first axis. Outcomes lie along the last one: dim=-1.",
    ),
    (
        "cast_to_float64",
        "(logits, ref_logits.detach()))",
        "(logits.double(), ref_logits.detach().double()))",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    categorical_kl.changed(_name, _line, _instead, _says, of=unguarded)


@categorical_kl.wrong(
    "Everything ran over the first axis. Outcomes lie along the last one: dim=-1, in the sum too."
)
def over_the_first_axis(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.detach().log_softmax(0)
    return (log_policy.exp() * (log_policy - log_ref)).sum(0)


@categorical_kl.wrong(
    "The logits were taken for log-probabilities, and their exponentials for the weights. That is "
    "so only where they are normalised: take log_softmax of both first."
)
def logits_taken_for_logarithms(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return (logits.exp() * (logits - ref_logits.detach())).sum(-1)


@categorical_kl.wrong(
    "The logits were taken for probabilities: the logarithm of one below 0 is NaN. log_softmax "
    "makes log-probabilities from them."
)
def logits_taken_for_probabilities(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return (logits * (logits.log() - ref_logits.detach().log())).sum(-1)


@categorical_kl.wrong(
    "F.kl_div was given log-probabilities as its second argument and took them for probabilities: "
    "log_target=True says what they are."
)
def log_target_forgotten(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return F.kl_div(log_ref, log_policy, reduction="none").sum(-1)


for _reduction, _what in (
    ("mean", "the mean over everything"),
    ("batchmean", "the sum divided by the length of the first axis"),
    ("sum", "the sum over everything"),
):
    categorical_kl.mistakes.append(
        Mistake(
            f"swapped_and_reduced_to_the_{_reduction}",
            f"One number came back, {_what}, and of the other direction: F.kl_div(log policy, ref) "
            "is KL(ref ‖ policy). Give it log ref first, and sum over the last axis only.",
            partial(_swapped_and_reduced, _reduction),
        )
    )


for _size in (6, 8, 10, 12):
    categorical_kl.changed(
        f"epsilon_in_the_denominator_1e_{_size}",
        "(log_policy - log_ref)",
        f"(log_policy.exp() / (log_ref.exp() + 1e-{_size})).log()",
        f"About 1e-{_size} was added to ref's probability, which hides every smaller one. Subtract "
        "log-probabilities, from log_softmax, and treat −inf by itself.",
        of=unguarded,
    )


@categorical_kl.wrong(
    "NaN was made 0 after the sum: one had spoiled the whole row by then, and its gradient is NaN "
    "still. Where the policy's logit is −inf, put 0 into both logarithms before you multiply."
)
def nan_made_zero_after_the_sum(logits: Tensor, ref_logits: Tensor) -> Tensor:
    costs = unguarded(logits, ref_logits)
    return torch.where(costs.isnan(), 0.0, costs)


@categorical_kl.wrong(
    "This is the sum of both directions, KL(policy ‖ ref) + KL(ref ‖ policy). The penalty is the "
    "first alone."
)
def both_directions(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return _divergence(log_policy, log_ref) + _divergence(log_ref, log_policy)


@categorical_kl.wrong(
    "This is the mean of both directions, KL(policy ‖ ref) and KL(ref ‖ policy). The penalty is "
    "the first alone."
)
def mean_of_both_directions(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (_divergence(log_policy, log_ref) + _divergence(log_ref, log_policy)) / 2


@categorical_kl.wrong(
    "This is the Jensen–Shannon divergence, which compares both with their mixture and never "
    "exceeds log 2. Compare the policy with ref itself."
)
def compared_with_the_mixture(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    mixture = torch.logaddexp(log_policy, log_ref) - LOG_2
    return (_divergence(log_policy, mixture) + _divergence(log_ref, mixture)) / 2


@categorical_kl.wrong(
    "This is the total variation, half the sum of |π − ref|. KL weighs log-ratios, it does not "
    "add up differences of probabilities."
)
def total_variation(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return (logits.softmax(-1) - ref_logits.detach().softmax(-1)).abs().sum(-1) / 2


@categorical_kl.wrong(
    "This is the sum of the squared differences of probabilities. KL weighs log-ratios."
)
def squared_distance(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return (logits.softmax(-1) - ref_logits.detach().softmax(-1)).square().sum(-1)


@categorical_kl.wrong(
    "This is the policy's entropy: ref was not used. Compare log π with log π_ref."
)
def entropy_alone(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy = logits.log_softmax(-1).masked_fill(logits == -INF, 0.0)
    return -(logits.softmax(-1) * log_policy).sum(-1)


@categorical_kl.wrong(
    "This is Σ π log π, the negative entropy: ref was not used. Subtract log π_ref from log π."
)
def negative_entropy_alone(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy = logits.log_softmax(-1).masked_fill(logits == -INF, 0.0)
    return (logits.softmax(-1) * log_policy).sum(-1)


categorical_kl.changed(
    "log_ratios_unweighted",
    "log_policy.exp() * (log_policy - log_ref)",
    "log_policy - log_ref",
    "The log-ratios were added up unweighted. An expectation weighs each outcome by how often the "
    "policy draws it: π(y).",
    of=written_out,
)
categorical_kl.changed(
    "weighted_by_the_reference",
    "log_policy.exp()",
    "log_ref.exp()",
    "The log-ratios were weighted by ref's probabilities: this is −KL(ref ‖ policy). The weights "
    "are the policy's.",
    of=written_out,
)
categorical_kl.changed(
    "absolute_log_ratios",
    "(log_policy - log_ref)",
    "(log_policy - log_ref).abs()",
    "Each log-ratio lost its sign. Terms below 0 belong in the sum: it is only the whole of it "
    "that is never below 0.",
    of=written_out,
)
categorical_kl.changed(
    "negative_log_ratios_cut_off",
    "(log_policy - log_ref)",
    "(log_policy - log_ref).clamp(min=0)",
    "Log-ratios below 0 were cut off. They belong in the sum: it is only the whole of it that is "
    "never below 0.",
    of=written_out,
)
categorical_kl.changed(
    "k2_weighed",
    "(log_policy - log_ref)",
    "(log_policy - log_ref).square() / 2",
    "Half the squared log-ratio was weighed in place of the log-ratio: that is k2, an estimate "
    "for single samples. With every outcome at hand, weigh log π − log π_ref itself.",
    of=written_out,
)


@categorical_kl.right
def with_distributions(logits: Tensor, ref_logits: Tensor) -> Tensor:
    policy = Categorical(logits=logits)
    surprise = -torch.log_softmax(ref_logits, -1).detach()
    never = logits == -INF
    surprise = torch.where(never, torch.zeros_like(surprise), surprise)
    logs = torch.where(never, torch.zeros_like(policy.logits), policy.logits)
    cost = torch.where(surprise == INF, surprise, policy.probs * (surprise + logs))
    return cost.sum(-1)


@categorical_kl.right
def row_by_row(logits: Tensor, ref_logits: Tensor) -> Tensor:
    if logits.ndim > 1:
        return torch.stack([row_by_row(*rows) for rows in zip(logits, ref_logits, strict=True)])
    can_happen = logits > -INF
    log_policy = torch.log_softmax(logits, 0)[can_happen]
    log_ref = torch.log_softmax(ref_logits.detach(), 0)[can_happen]
    return (log_policy.exp() * (log_policy - log_ref)).sum()


@categorical_kl.right
def with_kl_div(logits: Tensor, ref_logits: Tensor) -> Tensor:
    never = logits == -INF
    log_policy = F.log_softmax(logits, -1).masked_fill(never, 0.0)
    log_ref = F.log_softmax(ref_logits.detach(), -1).masked_fill(never, 0.0)
    return F.kl_div(log_ref, log_policy, reduction="none", log_target=True).sum(-1)


@categorical_kl.right
def outcome_by_outcome(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    total = logits.new_zeros(logits.shape[:-1])
    for y in range(logits.shape[-1]):
        real = logits[..., y] > -INF
        logp, ref_logp = (torch.where(real, x[..., y], 0.0) for x in (log_policy, log_ref))
        cost = torch.where(ref_logp == -INF, INF, logp.exp() * (logp - ref_logp))
        total = total + torch.where(real, cost, 0.0)
    return total


@categorical_kl.right
def logarithm_held_constant(logits: Tensor, ref_logits: Tensor) -> Tensor:
    # The gradient of log policy, averaged over the policy, is 0: only the weight need move.
    never = logits == -INF
    log_policy = logits.log_softmax(-1).masked_fill(never, 0.0)
    gap = log_policy.detach() - ref_logits.detach().log_softmax(-1).masked_fill(never, 0.0)
    return torch.where(gap == INF, INF, logits.softmax(-1) * gap).sum(-1)


@categorical_kl.right
def entropies_by_einsum(logits: Tensor, ref_logits: Tensor) -> Tensor:
    policy = logits.softmax(-1)
    scores = logits.masked_fill(logits == -INF, 0.0)
    ref_scores = ref_logits.detach().masked_fill(logits == -INF, 0.0)
    gap = torch.einsum("...v,...v->...", policy, scores - ref_scores)
    return gap - logits.logsumexp(-1) + ref_logits.detach().logsumexp(-1)
