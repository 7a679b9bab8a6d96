"""Estimate the KL from each drawn token by its log-ratio."""

from functools import partial

import torch
from torch import Tensor

from helpers.cases import VALUES

from ...exercise import Exercise
from .shared import SHORT, token_cases, token_cases_by_hand, token_mistakes

k1 = Exercise(
    "k1",
    parts=SHORT,
    hints=(
        "KL(policy ‖ ref) is a mean over tokens that the policy draws. A mean of what?",
        "Of log policy − log ref. Both logarithms came in; nothing is summed or averaged here.",
        "One subtraction. ref_logp is a constant, so no gradient may reach it: which method takes "
        "a tensor out of the graph?",
    ),
)

k1.by_hand(partial(token_cases_by_hand, VALUES))

k1.drawn(partial(token_cases, rare=VALUES))

token_mistakes(k1, lambda logp, ref_logp: logp - ref_logp)


@k1.wrong("The sign is turned: KL(policy ‖ ref) averages log policy − log ref, in this order.")
def ref_minus_policy(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return ref_logp.detach() - logp


@k1.wrong(
    "This is the difference of the probabilities. KL compares by the ratio "
    "policy/ref, so the logarithms are subtracted as they are."
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


for _name, _instead, _says in (
    (
        "ratio_less_1",
        "torch.expm1(logp - ref_logp.detach())",
        "This is the ratio policy/ref, less 1. k1 is the logarithm of that ratio.",
    ),
    (
        "turned_ratio",
        "(ref_logp.detach() - logp).exp()",
        "This is the ratio ref/policy. k1 is the logarithm of policy/ref.",
    ),
    (
        "turned_ratio_less_1",
        "torch.expm1(ref_logp.detach() - logp)",
        "This is the ratio ref/policy, less 1, a part of k3. k1 is the logarithm of policy/ref.",
    ),
    (
        "plain_quotient",
        "logp / ref_logp.detach()",
        "This is logp / ref_logp. The logarithm of a ratio is a difference of logarithms.",
    ),
    (
        "logarithms_added",
        "logp + ref_logp.detach()",
        "The logarithms were added: that of a ratio is their difference.",
    ),
    (
        "logarithms_multiplied",
        "logp * ref_logp.detach()",
        "The logarithms were multiplied: subtract them.",
    ),
    (
        "k2_in_its_place",
        "0.5 * (logp - ref_logp.detach()).square()",
        "This is k2, half the squared log-ratio. k1 is the log-ratio itself.",
    ),
    (
        "k3_in_its_place",
        "torch.expm1(ref_logp.detach() - logp) - (ref_logp.detach() - logp)",
        "This is k3, exp(δ) − 1 − δ with δ = log ref − log policy. k1 is the log-ratio alone, −δ.",
    ),
    ("reference_forgotten", "+logp", "This is logp alone: ref_logp is still to be subtracted."),
    (
        "surprise_alone",
        "-logp",
        "This is −logp, whose mean is the policy's entropy. k1 compares with ref_logp.",
    ),
    (
        "policy_forgotten",
        "-ref_logp.detach() + 0 * logp",
        "This is −ref_logp alone, whose mean is the cross-entropy: logp is missing.",
    ),
    (
        "weighted_by_the_ratio",
        "(logp - ref_logp.detach()).exp() * (logp - ref_logp.detach())",
        "Each log-ratio was weighted by the ratio policy/ref, as for tokens drawn from ref. These "
        "were drawn from the policy: nothing is to be weighted.",
    ),
    (
        "weighted_by_the_policy_held_constant",
        "logp.detach().exp() * (logp - ref_logp.detach())",
        "Each value was weighted by the policy's probability, held constant. The tokens were drawn "
        "from the policy: nothing is to be weighted.",
    ),
    (
        "weighted_by_the_reference_and_turned",
        "ref_logp.detach().exp() * (ref_logp.detach() - logp)",
        "The sign is turned and each value weighted by ref's probability, as F.kl_div(logp, …) "
        "does it: that is a term of KL(ref ‖ policy). k1 is logp − ref_logp, unweighted.",
    ),
    (
        "each_weighted_by_itself",
        "logp.exp() * logp - ref_logp.detach().exp() * ref_logp.detach()",
        "Each logarithm was weighted by its own probability, as in entropies. Subtract the "
        "logarithms as they are.",
    ),
    (
        "times_logp",
        "logp * (logp - ref_logp.detach())",
        "The log-ratio was multiplied by logp. Nothing is to be weighted here.",
    ),
    (
        "softmax_of_the_difference",
        "(logp - ref_logp.detach()).softmax(-1)",
        "softmax makes the tokens of a row sum to 1. k1 is the difference itself.",
    ),
    (
        "weighted_by_the_reference",
        "ref_logp.detach().exp() * (logp - ref_logp.detach())",
        "Each value was weighted by ref's probability: nothing is to be weighted.",
    ),
):
    k1.changed(_name, "logp - ref_logp.detach()", _instead, _says)


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
