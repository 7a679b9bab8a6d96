"""Estimate the KL from each drawn token by its log-ratio."""

import torch
from torch import Tensor

from helpers.cases import GRADIENT, RULES, VALUES

from ...exercise import Exercise
from .shared import RARE, token_cases, token_cases_by_hand, token_mistakes

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

k1.by_hand(token_cases_by_hand)

k1.drawn(token_cases)

token_mistakes(k1, lambda logp, ref_logp: logp - ref_logp)


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
