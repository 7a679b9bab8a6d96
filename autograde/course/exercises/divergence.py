"""Exercises of lesson 02: measuring how far the policy moved from the reference."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case
from helpers.compare import NUMBER

from ..draw import Draw
from ..exercise import Exercise, Mistake, Quiz, tensor

TokenFormula = Callable[[Tensor, Tensor], Tensor]

INF, NAN, LOG_2 = torch.inf, torch.nan, math.log(2)
LARGE = "large logits"
IMPOSSIBLE = "logits of −inf"
PADDING = "padding"
SMALL = "small log-ratios"
RARE = "rare tokens"
BOTH_LOGITS, BOTH_LOGP = ("logits", "ref_logits"), ("logp", "ref_logp")

categorical_kl = Exercise(
    "categorical_kl",
    parts={VALUES: 2, GRADIENT: 1, LARGE: 1, IMPOSSIBLE: 1, RULES: 1},
    hints=(
        "Write the sum over outcomes on paper: each outcome's probability under the policy times "
        "log policy − log ref. Which function gives log-probabilities from logits, stably?",
        "Weigh the log-ratio of each outcome by the policy's probability, which is exp of its "
        "log-probability, and sum over the last axis. Detach ref_logits, not that weight: it moves "
        "too.",
        "Where log_policy is −inf the product is 0 · (−inf) = NaN. torch.where must replace the "
        "−inf in both logarithms before you subtract and multiply, as the gradient of an "
        "unused branch is still computed.",
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


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    """KL(p ‖ q) from logarithms; gradients reach both."""
    never = log_p == -INF
    gap = log_p.masked_fill(never, 0.0) - log_q.masked_fill(never, 0.0)
    return (log_p.exp() * gap).masked_fill(gap == INF, INF).sum(-1)


def _sum_of_costs(cost: Callable, logits: Tensor, ref_logits: Tensor, dim: int = -1) -> Tensor:
    """Σ cost(log policy, log ref), 0 where the policy's logit is −inf, +inf where only ref's is."""
    never, broken = logits == -INF, ref_logits == -INF
    logs = [values.log_softmax(dim) for values in (logits, ref_logits.detach())]
    costs = cost(*(log.masked_fill(never, 0.0) for log in logs))
    return costs.masked_fill(never, 0.0).masked_fill(broken & ~never, INF).sum(-1)


@categorical_kl.wrong(
    "This is KL(ref ‖ policy): the arguments are swapped. The policy's probabilities are the "
    "weights, and its logarithm comes first."
)
def swapped(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _divergence(ref_logits.detach().log_softmax(-1), logits.log_softmax(-1))


@categorical_kl.wrong(
    "F.kl_div(log ref, policy) gives nan where a logit is −inf, and lets a gradient reach "
    "ref_logits: replace −inf first, and detach the reference."
)
def kl_div_as_it_is(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return F.kl_div(ref_logits.log_softmax(-1), logits.softmax(-1), reduction="none").sum(-1)


@categorical_kl.wrong(
    "The value is right but its gradient is not: the weight π(y) was held constant. "
    "Detach the reference alone."
)
def weight_detached(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp().detach() * (log_p - log_q), logits, ref_logits
    )


@categorical_kl.wrong("A gradient reaches ref_logits, which is a constant: detach it.")
def reference_not_constant(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _divergence(logits.log_softmax(-1), ref_logits.log_softmax(-1))


@categorical_kl.wrong(
    "This is the cross-entropy −Σ π log π_ref: the policy's own Σ π log π is missing."
)
def cross_entropy(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(lambda log_p, log_q: -log_p.exp() * log_q, logits, ref_logits)


@categorical_kl.wrong(
    "The sign is turned: this is −KL(policy ‖ ref), and a divergence is never below 0."
)
def negated(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return -reference.categorical_kl(logits, ref_logits)


@categorical_kl.wrong(
    "This is the mean over outcomes. The expectation is already in the weights π(y): sum, "
    "do not average."
)
def averaged(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits, ref_logits) / logits.shape[-1]


@categorical_kl.wrong("One number came back for everything. Sum over the last axis only.")
def summed_over_everything(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits, ref_logits).sum()


@categorical_kl.wrong(
    "The probabilities were normalised over the first axis. Outcomes lie along the last one: "
    "dim=-1."
)
def normalised_over_the_first_axis(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp() * (log_p - log_q), logits, ref_logits, dim=0
    )


@categorical_kl.wrong(
    "The logits themselves were subtracted. A logit is a log-probability only up to a constant "
    "that differs between the two: take log_softmax of both first."
)
def raw_logits(logits: Tensor, ref_logits: Tensor) -> Tensor:
    never, broken = logits == -INF, ref_logits == -INF
    gap = logits.masked_fill(never, 0.0) - ref_logits.detach().masked_fill(never | broken, 0.0)
    return (logits.softmax(-1) * gap).masked_fill(broken & ~never, INF).sum(-1)


@categorical_kl.wrong(
    "The reference's logits went in as they came. A logit is a log-probability only up to a "
    "constant: take log_softmax of ref_logits too."
)
def ref_not_normalised(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits, ref_logits) - ref_logits.detach().logsumexp(-1)


@categorical_kl.wrong(
    "The policy's logits went in as they came. A logit is a log-probability only up to a "
    "constant: take log_softmax of logits too."
)
def policy_not_normalised(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits, ref_logits) + logits.logsumexp(-1)


@categorical_kl.wrong("This is in bits: a logarithm to base 2. Log-probabilities here are in nats.")
def in_bits(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits, ref_logits) / LOG_2


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


for _size in (6, 7, 8, 9, 10, 12):
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


def _log_ratios_clamped(bound: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp() * (log_p - log_q).clamp(-bound, bound), logits, ref_logits
    )


for _bound in (5.0, 10.0, 20.0):
    categorical_kl.mistakes.append(
        Mistake(
            f"log_ratios_clamped_at_{_bound:.0f}",
            f"The log-ratios were clamped to ±{_bound:.0f}. What ref hardly ever draws may cost "
            "more: the contract is the sum, without a bound.",
            partial(_log_ratios_clamped, _bound),
        )
    )


@categorical_kl.wrong(
    "A probability of ref was subtracted from a logarithm, as F.kl_div does when it is given "
    "probabilities: its first argument is a logarithm."
)
def probability_subtracted(logits: Tensor, ref_logits: Tensor) -> Tensor:
    ref, policy = ref_logits.detach().softmax(-1), logits.softmax(-1)
    return F.kl_div(ref, policy, reduction="none").sum(-1)


@categorical_kl.wrong(
    "torch.distributions.kl_divergence calls a probability that rounds to 0 impossible, and its "
    "gradient is NaN at a logit of −inf: write the sum out with log_softmax."
)
def library_function(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return kl_divergence(Categorical(logits=logits), Categorical(logits=ref_logits.detach()))


@categorical_kl.wrong(
    "F.kl_div came back with one number, divided by the length of the first axis. Ask it for "
    'reduction="none", or write the sum over the last axis yourself.'
)
def library_loss(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return F.kl_div(log_ref, log_policy, log_target=True, reduction="batchmean")


@categorical_kl.wrong(
    "Right except for logits of −inf: 0 · (−inf) is NaN. Replace the −inf before multiplying."
)
def zero_times_infinity(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


@categorical_kl.wrong(
    "The value is right, its gradient is NaN: the −inf was replaced after the product. The "
    "gradient of a branch that is not used is still computed, so replace before you multiply."
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
    "nan_to_num came after the sum: one NaN had spoiled the whole row by then, and the row came "
    "back as 0. Replace the −inf before you multiply."
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
    "nan_to_num made the largest finite number of each infinite logarithm, so an outcome that "
    "the reference never draws has a finite price. It must cost +inf."
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


@categorical_kl.wrong("No gradient reaches logits: the policy's side was detached too.")
def everything_detached(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits.detach(), ref_logits)


@categorical_kl.wrong(
    "An input was changed in place, and autograd refuses that where it needs the input: "
    "compute a new tensor."
)
def shifted_in_place(logits: Tensor, ref_logits: Tensor) -> Tensor:
    logits -= logits.max(dim=-1, keepdim=True).values
    return reference.categorical_kl(logits, ref_logits)


@categorical_kl.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return reference.categorical_kl(logits.float(), ref_logits.float())


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
    return _sum_of_costs(lambda log_p, _: -log_p.exp() * log_p, logits, logits.detach())


@categorical_kl.wrong(
    "This is Σ π log π, the negative entropy: ref was not used. Subtract log π_ref from log π."
)
def negative_entropy_alone(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(lambda log_p, _: log_p.exp() * log_p, logits, logits.detach())


@categorical_kl.wrong(
    "The log-ratios were added up unweighted. An expectation weighs each outcome by how often the "
    "policy draws it: π(y)."
)
def log_ratios_unweighted(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(lambda log_p, log_q: log_p - log_q, logits, ref_logits)


@categorical_kl.wrong(
    "The log-ratios were weighted by ref's probabilities: this is −KL(ref ‖ policy). The weights "
    "are the policy's."
)
def weighted_by_the_reference(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(lambda log_p, log_q: log_q.exp() * (log_p - log_q), logits, ref_logits)


@categorical_kl.wrong(
    "Each log-ratio lost its sign. Terms below 0 belong in the sum: it is only the whole of it "
    "that is never below 0."
)
def absolute_log_ratios(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp() * (log_p - log_q).abs(), logits, ref_logits
    )


@categorical_kl.wrong(
    "Log-ratios below 0 were cut off. They belong in the sum: it is only the whole of it that is "
    "never below 0."
)
def negative_log_ratios_cut_off(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp() * (log_p - log_q).clamp(min=0), logits, ref_logits
    )


@categorical_kl.wrong(
    "Half the squared log-ratio was weighed in place of the log-ratio: that is k2, an estimate "
    "for single samples. With every outcome at hand, weigh log π − log π_ref itself."
)
def k2_weighed(logits: Tensor, ref_logits: Tensor) -> Tensor:
    return _sum_of_costs(
        lambda log_p, log_q: log_p.exp() * (log_p - log_q).square() / 2, logits, ref_logits
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


q02_dynamics = Quiz(
    "q02_dynamics",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Write log-probability of a trajectory as a sum, once for each policy, and subtract.",
        "Which terms of the two sums are equal, whatever their size? Does it matter that they "
        "are random, or that they are far from 0?",
        "Compare the last two columns of the table above, row by row, and read the line that "
        "speaks of another world: what was different there?",
    ),
)
q02_dynamics.distractor(
    "A",
    "It is no approximation: the transition terms are the same numbers in both sums and cancel "
    "to the last digit, however random the environment is.",
)
q02_dynamics.distractor(
    "B",
    "A language model's environment is deterministic, so its transition terms are 0 there. But "
    "they cancel in any environment, random ones included: the table above shows one.",
)
q02_dynamics.distractor(
    "D",
    "Nothing random is dropped that would add noise: the transition terms cancel on every single "
    "trajectory, so value, bias and spread all stay as they are.",
)


sequence_log_ratio = Exercise(
    "sequence_log_ratio",
    parts={VALUES: 2, GRADIENT: 1, PADDING: 1, RARE: 1, RULES: 1},
    hints=(
        "The log-probability of a response is the sum of those of its tokens, and so is the "
        "difference of two: one number for each row.",
        "Subtract token by token, let nothing from padding through, then sum over time. "
        "ref_logp is a constant.",
        "torch.where(mask, …, 0.0) picks what is real; a product with the mask would keep the NaN "
        "or inf that may stand in the padding. Then .sum(dim=1).",
    ),
)


def _scored(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> dict[str, Tensor]:
    return {"logp": logp, "ref_logp": ref_logp, "mask": mask}


@sequence_log_ratio.by_hand
def _() -> Iterator[Case]:
    policy, ref = tensor([0.75, 0.25]).log(), tensor([0.5, 0.5]).log()
    two = _scored(policy, ref, policy < 0)
    yield Case("two tokens at (3/4, 1/4) against (1/2, 1/2)", two, grad=BOTH_LOGP)
    one = _scored(tensor([-3.0]), tensor([-1.0]), torch.tensor([[True]]))
    yield Case("one row of one token", one, grad=BOTH_LOGP)
    long = _scored(torch.full((1, 60), -2.5), torch.full((1, 60), -2.0), torch.ones(1, 60).bool())
    yield Case("60 tokens, half a nat rarer each: −30", long, grad=BOTH_LOGP)
    # Further apart than any that are drawn, so that a bound shows here or never among the values.
    near, far = torch.full((1, 10), -0.5), torch.full((1, 10), -3.5)
    apart = _scored(torch.cat([near, far]), torch.cat([far, near]), torch.ones(2, 10).bool())
    yield Case("10 tokens, 3 nats likelier or rarer each: 30 and −30", apart, grad=BOTH_LOGP)
    yield from _rare_tokens()
    policy = tensor([-1.0, -2.0, -0.5], [-0.5, -1.0, -3.0])
    ref = tensor([-2.0, -1.5, -0.5], [-1.0, -1.0, -1.0])
    rows = _scored(policy, ref, torch.tensor([[True, True, True], [True, True, False]]))
    yield Case("rows of 3 and 2 tokens", rows, grad=BOTH_LOGP)
    gaps = _scored(policy, ref, torch.tensor([[False, True, False], [True, False, True]]))
    yield Case("padding in front and in the middle", gaps, PADDING, ("logp",))
    policy = tensor([-1.0, NAN, INF], [-0.5, -INF, 0.0], [NAN, NAN, -1.0])
    ref = tensor([-2.0, 0.0, -1.0], [-1.0, -INF, NAN], [-INF, INF, NAN])
    poison = _scored(policy, ref, torch.tensor([[True, False, False]] * 2 + [[False] * 3]))
    yield Case("nan and inf in the padding, and a row of padding alone", poison, PADDING, ("logp",))


def _rare_tokens() -> Iterator[Case]:
    for title, policy, ref in (
        ("log-ratios 76 and −79: −3", tensor([-1.0, -80.0]), tensor([-77.0, -1.0])),
        ("two tokens at 38 nats each: 76", tensor([-1.0, -2.0]), tensor([-39.0, -40.0])),
        ("two tokens at −38 nats each: −76", tensor([-39.0, -40.0]), tensor([-1.0, -2.0])),
    ):
        yield Case(title, _scored(policy, ref, policy < 0), RARE, BOTH_LOGP)
    never = _scored(tensor([-1.0, -2.0]), tensor([-INF, -1.0]), torch.tensor([[True, True]]))
    yield Case("a real token that ref never writes: +inf", never, RARE)


@sequence_log_ratio.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        logp, ref_logp = (draw.logp(*mask.shape, dtype=dtype) for _ in range(2))
        return _scored(logp, ref_logp, mask)

    yield Case("5 rows of up to 7 tokens", inputs(draw.lengths_mask(5, 7)), grad=BOTH_LOGP)
    yield Case("4 rows of up to 4 tokens", inputs(draw.lengths_mask(4, 4)), grad=BOTH_LOGP)
    yield Case("float64", inputs(draw.lengths_mask(3, 5), torch.float64), RULES, BOTH_LOGP)
    yield Case("no gradient asked", inputs(draw.lengths_mask(3, 5)), RULES)
    yield Case("scattered padding", inputs(draw.scattered_mask(4, 6)), PADDING, ("logp",))
    some = inputs(draw.scattered_mask(3, 6))
    some["logp"][~some["mask"]], some["ref_logp"][~some["mask"]] = NAN, -INF
    yield Case("scattered padding of nan and −inf", some, PADDING, ("logp",))


def _masked_gap(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """The log-ratio of each real token and 0 elsewhere; gradients reach both."""
    return (logp - ref_logp).masked_fill(~mask, 0.0)


@sequence_log_ratio.wrong("The sign is turned: this is log ref − log policy, the price of staying.")
def ref_minus_policy(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return -reference.sequence_log_ratio(logp, ref_logp, mask)


@sequence_log_ratio.wrong("The mask was not used: tokens of padding are in the sum.")
def padding_counted(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return (logp - ref_logp.detach()).sum(1)


@sequence_log_ratio.wrong(
    "The mask is turned round: padding was summed and real tokens were left out."
)
def mask_inverted(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), ~mask).sum(1)


@sequence_log_ratio.wrong(
    "Right while padding holds ordinary numbers: 0 · inf and 0 · NaN are NaN. Choose with "
    "torch.where in place of multiplying by the mask."
)
def multiplied_by_the_mask(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return ((logp - ref_logp.detach()) * mask).sum(1)


@sequence_log_ratio.wrong(
    "Padding was taken to stand last: the first n tokens were summed, n being the row's number of "
    "real tokens. Use the mask itself, which may be True anywhere."
)
def padding_taken_to_be_last(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    first = torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True)
    return _masked_gap(logp, ref_logp.detach(), first).sum(1)


@sequence_log_ratio.wrong(
    "This is the mean over real tokens. The logarithm of a product is a sum: a long response "
    "that drifts at every token pays for each."
)
def mean_over_tokens(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).sum(1) / mask.sum(1).clamp(min=1)


@sequence_log_ratio.wrong(
    "One number came back for the whole batch. Sum over time alone: one price per row."
)
def summed_over_the_batch(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).sum()


@sequence_log_ratio.wrong("The sum runs over the batch. Time is the second axis: dim=1.")
def summed_over_rows(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).sum(0)


@sequence_log_ratio.wrong("A gradient reaches ref_logp, which is a constant: detach it.")
def reference_moves(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp, mask).sum(1)


@sequence_log_ratio.wrong("No gradient reaches logp: the policy's side was detached too.")
def everything_detached(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp, mask).sum(1).detach()


@sequence_log_ratio.wrong(
    "Negative prices were raised to 0. One response may be rarer under the policy than under the "
    "reference; only the mean over the policy's responses is never negative."
)
def clamped_at_zero(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return reference.sequence_log_ratio(logp, ref_logp, mask).clamp(min=0.0)


@sequence_log_ratio.wrong(
    "Each token's log-ratio was made positive before the sum. Signs matter: a token that became "
    "rarer pays back for one that became likelier."
)
def absolute_values(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).abs().sum(1)


@sequence_log_ratio.wrong(
    "This is the ratio of the two probabilities, exp of the price. The price is its logarithm."
)
def ratio_of_probabilities(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return reference.sequence_log_ratio(logp, ref_logp, mask).exp()


@sequence_log_ratio.wrong(
    "Each token's log-ratio was weighted by the policy's probability. The tokens were drawn from "
    "the policy, so the weight is in how often they turn up already: sum the log-ratios alone."
)
def weighted_by_the_policy(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    real = logp.masked_fill(~mask, 0.0)
    return (real.exp() * _masked_gap(logp, ref_logp.detach(), mask)).sum(1)


@sequence_log_ratio.wrong(
    "Probabilities were subtracted, token by token. Those of a response multiply, so it is their "
    "logarithms that add up."
)
def difference_of_probabilities(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp.exp(), ref_logp.detach().exp(), mask).sum(1)


@sequence_log_ratio.wrong(
    "The first token was dropped. Log-probabilities that come in are aligned already; the shift by "
    "one belongs to token_log_probs."
)
def shifted_again(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask)[:, 1:].sum(1)


@sequence_log_ratio.wrong(
    "An input was changed in place, and autograd refuses that where it needs the input: "
    "compute a new tensor."
)
def padding_zeroed_in_place(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    logp[~mask], ref_logp[~mask] = 0.0, 0.0
    return (logp - ref_logp.detach()).sum(1)


def _token_clamped(low: float, high: float, logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).clamp(low, high).sum(1)


def _price_clamped(low: float, high: float, logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).sum(1).clamp(low, high)


for _bound in (5.0, 10.0, 20.0):
    for _name, _says, _answer in (
        ("log_ratio", "Each token's log-ratio", _token_clamped),
        ("price", "The price of a response", _price_clamped),
    ):
        for _how, _low, _end in (
            ("clamped", -_bound, f"clamped to ±{_bound:.0f}"),
            ("cut_off", -INF, f"cut off at {_bound:.0f}"),
        ):
            _wrong = Mistake(
                f"{_name}_{_how}_at_{_bound:.0f}",
                f"{_says} was {_end}. What the reference hardly ever writes costs more, and that "
                "is the response you want to see: the contract has no bound.",
                partial(_answer, _low, _bound),
            )
            sequence_log_ratio.mistakes.append(_wrong)


@sequence_log_ratio.wrong(
    "nan_to_num made a large finite number of +inf, the price of a token that the reference never "
    "writes. Choose by the mask, with torch.where, not by the value."
)
def infinity_made_finite(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return ((logp - ref_logp.detach()).nan_to_num() * mask).sum(1)


@sequence_log_ratio.wrong(
    "Whatever is not finite was set to 0, on real tokens too: one that the reference never writes "
    "costs +inf, not nothing. Choose by the mask, with torch.where, not by the value."
)
def infinity_left_out(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return ((logp - ref_logp.detach()).nan_to_num(0.0, 0.0, 0.0) * mask).sum(1)


@sequence_log_ratio.wrong(
    "The tokens' ratios were added up. Probabilities of a response multiply: add the logarithms."
)
def sum_of_ratios(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    ratio = _masked_gap(logp, ref_logp.detach(), mask).exp()
    return torch.where(mask, ratio, 0.0).sum(1)


@sequence_log_ratio.wrong(
    "Log-ratios below 0 were raised to 0 before the sum. Signs matter: a token that became rarer "
    "pays back for one that became likelier."
)
def negative_tokens_left_out(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).clamp(min=0.0).sum(1)


@sequence_log_ratio.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return reference.sequence_log_ratio(logp.float(), ref_logp.float(), mask)


@sequence_log_ratio.wrong(
    "These are sums of k2, half the squared log-ratio. The penalty here is the log-ratio of the "
    "whole response: add the differences up as they are."
)
def sum_of_k2(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp, mask).square().sum(-1) / 2


@sequence_log_ratio.wrong(
    "These are sums of k3, which is never below 0. The penalty here is the log-ratio of the whole "
    "response: add the differences up as they are, signs included."
)
def sum_of_k3(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    gap = -_masked_gap(logp, ref_logp, mask)
    return (torch.expm1(gap) - gap).sum(-1)


@sequence_log_ratio.wrong("This is log π_θ(y∣x) alone: the reference's is still to be subtracted.")
def reference_forgotten(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return logp.masked_fill(~mask, 0.0).sum(-1)


@sequence_log_ratio.wrong(
    "Each row's sum was divided by its length in places, padding included. The log-probability of "
    "a response is a sum: divide by nothing."
)
def divided_by_all_places(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp, mask).mean(-1)


@sequence_log_ratio.right
def loop_over_tokens(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    prices = []
    for row in range(len(logp)):
        price = logp.new_zeros(())
        for t in range(logp.shape[1]):
            if mask[row, t]:
                price = price + logp[row, t] - ref_logp[row, t].item()
        prices.append(price)
    return torch.stack(prices)


@sequence_log_ratio.right
def difference_of_two_sums(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    sums = [torch.where(mask, x, torch.zeros_like(x)).sum(-1) for x in (logp, ref_logp.detach())]
    return sums[0] - sums[1]


@sequence_log_ratio.right
def scattered_to_rows(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    rows = mask.nonzero()[:, 0]
    gaps = logp[mask] - ref_logp[mask].detach()
    return torch.zeros(len(logp), dtype=logp.dtype).index_add(0, rows, gaps)


@sequence_log_ratio.right
def filled_then_einsum(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    with torch.no_grad():
        ref = ref_logp.masked_fill(~mask, 0.0)
    gaps = logp.masked_fill(~mask, 0.0) - ref
    return torch.einsum("bt,bt->b", gaps, mask.to(gaps.dtype))


@sequence_log_ratio.right
def nan_not_summed(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, logp - ref_logp.detach(), NAN).nansum(1)


@sequence_log_ratio.right
def in_double_and_back(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp.double(), ref_logp.detach().double(), mask).sum(1).to(logp.dtype)


@sequence_log_ratio.right
def last_of_the_running_sum(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    zero = torch.zeros((), dtype=logp.dtype)
    return torch.where(mask, logp - ref_logp.detach(), zero).cumsum(1)[:, -1]


q02_interpret_penalty = Quiz(
    "q02_interpret_penalty",
    parts={"penalty": 1, "effect": 1},
    forms={"penalty": [NUMBER], "effect": ["encourages", "discourages"]},
    hints=(
        "The penalty is the price of this response: which tokens of the table count, and what is "
        "subtracted from what?",
        "Three tokens count. Subtract the reference's log-probability from the policy's, and keep "
        "the signs when you add the three.",
        "What is −β · penalty for β > 0 and the number you found: does it raise the objective or "
        "lower it? An objective that is maximised encourages what raises it.",
    ),
)
q02_interpret_penalty.distractor(
    {"penalty": 1.3}, "The sign is turned: the penalty is log policy − log ref, in this order."
)
q02_interpret_penalty.distractor(
    {"penalty": -0.43},
    "This is the mean over the three tokens. The price of a response is their sum.",
)
q02_interpret_penalty.distractor(
    {"penalty": 1.6}, "The padding token is in this sum. Only tokens with mask True count."
)
q02_interpret_penalty.distractor(
    {"penalty": 0.4},
    "This is the mean of all four columns: padding counted, and averaged in place of summed.",
)
q02_interpret_penalty.distractor(
    {"penalty": 1.7},
    "Each difference was made positive. Keep the signs: the second token has another.",
)
q02_interpret_penalty.distractor(
    {"penalty": 0.2},
    "Negative differences were left out. Every real token counts, whatever its sign.",
)
q02_interpret_penalty.distractor(
    {"penalty": 0.27},
    "This is the ratio of the two probabilities, exp(penalty). The penalty is its logarithm.",
)
q02_interpret_penalty.distractor(
    {"penalty": 0.0},
    "It was raised to 0. A KL is never negative, but the price of one response may be.",
)
q02_interpret_penalty.distractor(
    {"effect": "discourages"},
    "A penalty below 0 is subtracted, so −β · penalty is above 0: the term adds to the objective, "
    "which is maximised. The name penalty does not decide; its sign does.",
)


def _token_cases_by_hand() -> Iterator[Case]:
    def case(title: str, policy: list | float, ref: list | float) -> Case:
        both = {"logp": torch.tensor(policy).log(), "ref_logp": torch.tensor(ref).log()}
        return Case(title, both, grad=BOTH_LOGP)

    yield case("a token of 1/2 under the policy, 1/4 under the reference", 0.5, 0.25)
    yield case("a token of 1/4 under the policy, 1/2 under the reference", 0.25, 0.5)
    yield case("three tokens", [0.5, 0.125, 0.3], [0.1, 0.25, 0.3])
    yield case("one row of one token", [[0.9]], [[0.2]])
    # As far apart as any that are drawn, so that a bound shows here or never among the values.
    apart = {"logp": tensor(-0.5, -3.0), "ref_logp": tensor(-3.5, -0.5)}
    yield Case("log-ratios 3 and −2.5", apart, grad=BOTH_LOGP)
    exact = {"logp": tensor(-14.0, -15.0, dtype=torch.float64)}
    exact["ref_logp"] = exact["logp"].flip(0)
    yield Case("float64, tokens of about 1e-6", exact, RULES, BOTH_LOGP)
    far = {"logp": tensor(-1.0, -30.0), "ref_logp": tensor(-30.0, -1.0)}
    yield Case("log-ratios 29 and −29", far, RARE, ("logp",))
    farther = {"logp": tensor(-1.0, -78.0), "ref_logp": tensor(-78.0, -1.0)}
    yield Case("log-ratios 77 and −77", farther, RARE, ("logp",))


def _token_cases(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        ref_logp = draw.logp(*shape, dtype=dtype).clamp(max=-0.5)  # no ratio above exp(2.5)
        return {"logp": draw.logp(*shape, dtype=dtype), "ref_logp": ref_logp}

    yield Case("3 by 4 tokens", inputs(3, 4), grad=BOTH_LOGP)
    yield Case("2 by 3 by 2 tokens", inputs(2, 3, 2), grad=BOTH_LOGP)
    yield Case("float64", inputs(2, 3, dtype=torch.float64), RULES, BOTH_LOGP)
    yield Case("no gradient asked", inputs(2, 3), RULES)
    rare = {name: value - 200.0 for name, value in inputs(4).items()}
    yield Case("probabilities that round to 0 in float32", rare, RARE, ("logp",))


def _in_place(formula: TokenFormula, logp: Tensor, ref_logp: Tensor) -> Tensor:
    answer = formula(logp, ref_logp.detach())
    logp -= ref_logp
    return answer


# What goes wrong with any function of two log-probabilities. Each takes the right formula, which
# here lets gradients through to both arguments.
TOKEN_MISTAKES: dict[str, tuple[str, Callable[[TokenFormula, Tensor, Tensor], Tensor]]] = {
    "reference_moves": (
        "A gradient reaches ref_logp, which is a constant: detach it.",
        lambda formula, logp, ref_logp: formula(logp, ref_logp),
    ),
    "everything_detached": (
        "No gradient reaches logp: the policy's side was detached too.",
        lambda formula, logp, ref_logp: formula(logp, ref_logp).detach(),
    ),
    "policy_detached": (
        "The wrong side was detached: logp is differentiable, ref_logp is the constant.",
        lambda formula, logp, ref_logp: formula(logp.detach(), ref_logp),
    ),
    "averaged": (
        "One number came back for all tokens. Return one for each: averages come later.",
        lambda formula, logp, ref_logp: formula(logp, ref_logp.detach()).mean(),
    ),
    "through_probabilities": (
        "The probabilities themselves were formed on the way, and one of a rare token rounds to 0. "
        "Subtract the logarithms that came in.",
        lambda formula, logp, ref_logp: formula(logp.exp().log(), ref_logp.detach().exp().log()),
    ),
    "changed_in_place": (
        "An input was changed in place, and autograd refuses that where it needs the input: "
        "compute a new tensor.",
        _in_place,
    ),
    "cast_to_float32": (
        "The answer is float32 whatever came in: keep the dtype of the inputs.",
        lambda formula, logp, ref_logp: formula(logp.float(), ref_logp.float().detach()),
    ),
    "returned_in_float64": (
        "The answer is float64 whatever came in: computing in float64 is fine, returning it is "
        "not.",
        lambda formula, logp, ref_logp: formula(logp.double(), ref_logp.detach().double()),
    ),
    "in_bits": (
        "The log-probabilities were turned to base 2. They are in nats: use them as they are.",
        lambda formula, logp, ref_logp: formula(logp / LOG_2, ref_logp.detach() / LOG_2),
    ),
}


def _clamped(
    formula: TokenFormula, low: float, high: float, logp: Tensor, ref_logp: Tensor
) -> Tensor:
    """The formula of log ref − log policy between two bounds, and of 0."""
    delta = (ref_logp.detach() - logp).clamp(low, high)
    return formula(torch.zeros_like(delta), delta)


WITHOUT_A_BOUND = (
    "A token that far away is the one you want to see: the contract is the formula, without a "
    "bound."
)


def _token_mistakes(exercise: Exercise, formula: TokenFormula) -> None:
    for name, (says, answer) in TOKEN_MISTAKES.items():
        exercise.mistakes.append(Mistake(name, says, partial(answer, formula)))
    for bound in (5, 10, 20):
        for name, says, low in (
            ("log_ratio_clamped", f"The log-ratio was clamped to ±{bound}.", -bound),
            ("log_ratio_cut_off", f"log ref − log policy was cut off at {bound}.", -INF),
        ):
            answer = partial(_clamped, formula, low, bound)
            wrong = Mistake(f"{name}_at_{bound}", f"{says} {WITHOUT_A_BOUND}", answer)
            exercise.mistakes.append(wrong)


k1 = Exercise(
    "k1",
    parts={VALUES: 1, GRADIENT: 1, RARE: 1, RULES: 1},
    hints=(
        "KL(policy ‖ ref) is a mean over tokens that the policy draws. A mean of what?",
        "Of log policy − log ref. Both logarithms came in; nothing is summed or averaged here.",
        "One subtraction. ref_logp is a constant, so no gradient may reach it: which method takes "
        "a tensor out of the graph?",
    ),
)
k1.by_hand(_token_cases_by_hand)
k1.drawn(_token_cases)
_token_mistakes(k1, lambda logp, ref_logp: logp - ref_logp)


@k1.wrong("The sign is turned: KL(policy ‖ ref) averages log policy − log ref, in this order.")
def ref_minus_policy(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return ref_logp.detach() - logp


@k1.wrong(
    "This is the difference of the probabilities. KL compares by a ratio, so the logarithms are "
    "subtracted as they are."
)
def difference_of_probabilities(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() - ref_logp.detach().exp()


@k1.wrong("This is the ratio policy/ref. k1 is its logarithm.")
def ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp.detach()).exp()


@k1.wrong("The sign was taken away. Without it the values no longer average to the KL.")
def absolute_value(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp.detach()).abs()


@k1.wrong(
    "Values below 0 were raised to 0. The KL is never negative, single samples of k1 are, and "
    "without them their mean is too large."
)
def clamped_at_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp.detach()).clamp(min=0.0)


@k1.wrong(
    "Each value was weighted by the policy's probability. The tokens were drawn from the policy, "
    "so the weight is in how often they turn up already."
)
def weighted_by_the_policy(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() * (logp - ref_logp.detach())


@k1.wrong(
    "The log-probabilities were divided. They are logarithms already: the logarithm of a ratio is "
    "their difference."
)
def logarithms_divided(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp / ref_logp.detach()).log()


@k1.wrong(
    "The logarithm of a logarithm was taken, and that of a number below 0 is NaN. Both came in as "
    "logarithms: subtract them."
)
def logarithms_taken_again(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.log() - ref_logp.detach().log()


@k1.right
def one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    return torch.stack([policy - ref for policy, ref in pairs]).reshape(logp.shape)


@k1.right
def constant_by_no_grad(logp: Tensor, ref_logp: Tensor) -> Tensor:
    with torch.no_grad():
        minus_ref = -1.0 * ref_logp
    return torch.add(logp, minus_ref)


@k1.right
def by_einsum(logp: Tensor, ref_logp: Tensor) -> Tensor:
    both = torch.stack([logp, ref_logp.data.clone()], dim=-1)
    return torch.einsum("...s,s->...", both, torch.tensor([1.0, -1.0], dtype=logp.dtype))


k2 = Exercise(
    "k2",
    parts={VALUES: 1, GRADIENT: 1, RARE: 1, RULES: 1},
    hints=(
        "Start from the log-ratio of k1. What makes it positive, whatever its sign?",
        "Its square. Near 0 a KL is half of a square, and so is k2.",
        "Half the square of your k1. Using k1 keeps its constant a constant.",
    ),
)
k2.by_hand(_token_cases_by_hand)
k2.drawn(_token_cases)
_token_mistakes(k2, lambda logp, ref_logp: 0.5 * (logp - ref_logp) ** 2)


@k2.wrong("The ½ is missing: twice the value.")
def half_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp.detach()) ** 2


@k2.wrong("The square is missing: this is half of k1.")
def square_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp - ref_logp.detach())


@k2.wrong("The ½ was squared too: ¼ of the squared log-ratio. Square first, then halve.")
def half_squared(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (0.5 * (logp - ref_logp.detach())) ** 2


@k2.wrong("This is ½ (ratio − 1)². k2 squares the logarithm of the ratio.")
def squared_ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * torch.expm1(ref_logp.detach() - logp) ** 2


@k2.wrong("Each logarithm was squared by itself. Subtract first, then square.")
def difference_of_squares(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp**2 - ref_logp.detach() ** 2)


@k2.wrong("The sign is turned: k2 is half a square, and never below 0.")
def negated_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return -0.5 * (logp - ref_logp.detach()) ** 2


@k2.wrong(
    "Half the absolute log-ratio: it is positive, but square it instead of dropping its sign."
)
def absolute_in_place_of_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp - ref_logp.detach()).abs()


@k2.wrong("This is k1, the log-ratio itself: k2 is half its square.")
def k1_in_its_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp - ref_logp.detach()


@k2.wrong("This is k3, exp(δ) − 1 − δ. k2 is half the squared log-ratio.")
def k3_in_its_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return reference.k3(logp, ref_logp)


@k2.wrong("Probabilities were subtracted. k2 squares a difference of log-probabilities.")
def probabilities_subtracted(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp.exp() - ref_logp.detach().exp()) ** 2


@k2.right
def with_mse_loss(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return F.mse_loss(logp, ref_logp.detach(), reduction="none") / 2


@k2.right
def two_factors(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = ref_logp.detach() - logp  # the square does not see the sign
    return torch.mul(gap, gap).div(2)


@k2.right
def squares_one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    return torch.stack([(policy - ref).pow(2) / 2 for policy, ref in pairs]).reshape(logp.shape)


@k2.right
def from_the_normal_density(logp: Tensor, ref_logp: Tensor) -> Tensor:
    unit = torch.ones_like(ref_logp)
    return F.gaussian_nll_loss(logp, ref_logp.detach(), unit.detach(), reduction="none")


k3 = Exercise(
    "k3",
    parts={VALUES: 2, GRADIENT: 1, SMALL: 2, RARE: 1, RULES: 1},
    hints=(
        "Which way round is the ratio? The tokens come from the policy, and the mean of ratio − 1 "
        "over them must be 0.",
        "With δ = ref_logp − logp, ref a constant, the ratio is exp(δ) and k3 is (ratio − 1) − δ.",
        "exp(δ) is rounded, δ is not, so exp(δ) − 1 − δ keeps that rounding, and for a small δ "
        "little else. torch has one function that computes exp(δ) − 1 with all its digits; or "
        "subtract the logarithm of the rounded ratio in place of δ.",
    ),
)
k3.by_hand(_token_cases_by_hand)


@k3.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from _token_cases(draw)
    logp = (draw.logp(8, dtype=torch.float64) / STEP).round() * STEP
    small = {"logp": logp, "ref_logp": logp + _small_log_ratios(draw, 8)}
    yield Case(SMALL_CASE, small, SMALL, rtol=1e-6, atol=0.0)
    logp = draw.logp(4)
    far = {"logp": logp, "ref_logp": logp + tensor(15.0, -15.0, 25.0, -25.0)}
    yield Case(FAR_CASE, far, RARE, ("logp",))


SMALL_CASE = "float64, log-ratios between 1e-6 and 5e-6"
FAR_CASE = "log-ratios of ±15 and ±25"
STEP = 2.0**-40  # a fraction that floating point adds and subtracts exactly


def _small_log_ratios(draw: Draw, count: int) -> Tensor:
    """Log-ratios of 1e-6 to 5e-6 at which every way of cancelling loses the very same digits.

    They are multiples of STEP, so `exp(δ) − δ − 1` gives one answer in whichever order, and exp(δ)
    lies well off a tie, so most machines give that answer: one mistake tells all of them.
    """
    delta = (
        draw.uniform(40 * count, low=1e-6, high=5e-6, dtype=torch.float64) / STEP
    ).ceil() * STEP
    beyond = (delta**2 / 2 + delta**3 / 6) * 2.0**52  # what exp rounds off, δ being exact
    off = (beyond - beyond.round()).abs()
    return delta[(off > 0.1) & (off < 0.3)][:count]


_token_mistakes(k3, lambda logp, ref_logp: torch.expm1(ref_logp - logp) - (ref_logp - logp))


@k3.wrong(
    "exp(δ) − δ − 1 cancels: for δ near 1e-6 the answer, ½δ², is hardly larger than the rounding "
    "of exp(δ), which δ does not share. torch.expm1(δ) has all digits of exp(δ) − 1.",
    rough={SMALL_CASE: 2e-15},
)
def cancellation(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return delta.exp() - delta - 1


@k3.wrong(
    "expm1 came in, but its small result was added to a whole log-probability, which rounds its "
    "digits away. Form the difference ref_logp − logp first, in brackets."
)
def brackets_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    ref = ref_logp.detach()
    return torch.expm1(ref - logp) + logp - ref


@k3.wrong(
    "½δ² alone is k2. It has k3's value only for small log-ratios, and its mean is not the KL."
)
def k2_in_its_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp - ref_logp.detach()) ** 2


@k3.wrong(
    "The ratio is turned round: policy/ref in place of ref/policy. Averaged over the policy's "
    "tokens, ratio − 1 is 0 only for ref/policy."
)
def ratio_turned_round(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return torch.expm1(gap) - gap


@k3.wrong(
    "The exponent's sign and the logarithm's disagree: the ratio is policy/ref in one place and "
    "ref/policy in the other."
)
def exponent_turned_round(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return torch.expm1(gap) + gap


@k3.wrong("log ratio was added. It is subtracted: (ratio − 1) − log ratio.")
def logarithm_added(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) + delta


@k3.wrong("The −1 is missing: two equal policies must be at 0, and this gives 1.")
def one_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return delta.exp() - delta


@k3.wrong(
    "1 was subtracted twice: expm1(δ) is exp(δ) − 1 already. Two equal policies must be at 0, and "
    "this gives −1."
)
def one_subtracted_twice(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - 1 - delta


@k3.wrong("log ratio is missing: ratio − 1 alone averages to 0, whatever the KL.")
def logarithm_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return torch.expm1(ref_logp.detach() - logp)


@k3.wrong(
    "The value is right, its gradient is k1's: the ratio was held constant. Both terms contain the "
    "policy: detach ref_logp alone."
)
def ratio_detached(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta).detach() - delta


@k3.wrong(
    "The value is right, its gradient is k2's, δ in place of expm1(δ): it was passed through from "
    "another formula. Let autograd differentiate the one that you return."
)
def gradient_of_k2(logp: Tensor, ref_logp: Tensor) -> Tensor:
    half_square = 0.5 * (logp - ref_logp.detach()) ** 2
    return reference.k3(logp, ref_logp).detach() + half_square - half_square.detach()


@k3.wrong(
    "expm1 was taken of the ratio, which is exp(δ) already. It takes δ itself: expm1(δ) is the "
    "ratio − 1."
)
def expm1_of_the_ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta.exp()) - delta


@k3.wrong(
    "A small number, about 1e-8, was added inside log(ratio). A ratio is above 0: add nothing, and "
    "a small log-ratio keeps its digits."
)
def epsilon_in_the_logarithm(logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = (ref_logp.detach() - logp).exp()
    return (ratio - 1) - (ratio + 1e-8).log()


def _exponent_clamped(high: float, logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta.clamp(max=high)) - delta


for _bound in (5, 10, 20):
    k3.mistakes.append(
        Mistake(
            f"exponent_cut_off_at_{_bound}",
            f"The exponent was cut off at {_bound}. {WITHOUT_A_BOUND}",
            partial(_exponent_clamped, _bound),
        )
    )


@k3.wrong("The result was cut off at 10. The contract is the formula, without a bound.")
def value_clamped(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return reference.k3(logp, ref_logp).clamp(max=10.0)


@k3.wrong("This is k1, the log-ratio itself: it may be negative. k3 is expm1(δ) − δ.")
def k1_in_place_of_k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp - ref_logp.detach()


@k3.wrong(
    "k3 was weighted by the policy's probability. The tokens are drawn from the policy: the "
    "average over them weighs already.",
    rough={FAR_CASE: 1e5},  # its gradient there is a difference of numbers near 1e10
)
def k3_weighted_by_the_policy(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() * reference.k3(logp, ref_logp)


@k3.wrong(
    "This is ratio · log ratio, which estimates KL(policy ‖ ref) from tokens drawn from ref. Here "
    "they are drawn from the policy: expm1(δ) − δ with δ = ref_logp − logp."
)
def ratio_times_its_logarithm(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return gap.exp() * gap


@k3.right
def logarithm_of_the_rounded_ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    # Accurate, however it looks: the rounding of ratio is in both terms, and nearly cancels.
    ratio = (ref_logp.detach() - logp).exp()
    return (ratio - 1) - ratio.log()


@k3.right
def with_sinh(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return 2 * (delta / 2).exp() * (delta / 2).sinh() - delta


@k3.right
def series_near_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    terms = [delta**n / math.factorial(n) for n in range(2, 8)]
    return torch.where(delta.abs() < 0.05, sum(terms), delta.exp() - 1 - delta)


@k3.right
def special_one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    values = [torch.special.expm1(ref - policy) - (ref - policy) for policy, ref in pairs]
    return torch.stack(values).reshape(logp.shape)
