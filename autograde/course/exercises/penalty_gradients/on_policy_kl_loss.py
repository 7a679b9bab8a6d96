"""Give each of the policy's own tokens a loss whose mean gradient is ∇KL(policy ‖ ref)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise
from .shared import CONSTANTS, RARE, SEEN_INSIDE, SHAPES, cases_by_hand, drawn_cases

on_policy_kl_loss = Exercise(
    "on_policy_kl_loss",
    parts={VALUES: 3, CONSTANTS: 1, SHAPES: 1, RARE: 1, RULES: 1},
    hints=(
        "Write KL(policy ‖ ref) as a sum over tokens and differentiate both factors: the "
        "probability in front moves too. One of the two terms is a mean score, which is 0.",
        "What is left is the mean, over the policy's tokens, of (log policy − log ref) · ∇logp. "
        "Autograd gives ∇logp when it differentiates logp. How does a number get in front of it "
        "without being differentiated itself?",
        "A product of two factors, both made of what came in. One carries the gradient and is "
        "logp; the other is the log-ratio, taken out of the graph.",
    ),
    advisory=SEEN_INSIDE,
)


@on_policy_kl_loss.by_hand
def _() -> Iterator[Case]:
    yield from cases_by_hand(off_policy=False)


@on_policy_kl_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from drawn_cases(False, draw)


@on_policy_kl_loss.right
def half_the_squared_gap(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return 0.5 * gap**2


on_policy_kl_loss.changed(
    "reference_moves",
    "ref_logp.detach()",
    "ref_logp",
    "A gradient reaches ref_logp, which is a constant: detach it.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "policy_detached",
    "logp - ref_logp.detach()",
    "logp.detach() - ref_logp",
    "The wrong side was detached: logp is differentiable, ref_logp is the constant.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "averaged",
    "0.5 * gap**2",
    "(0.5 * gap**2).mean()",
    "Several tokens were put into one number, as .mean() or .sum() does. Return one loss for each "
    "token: averages come later, with the mask.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "added_up",
    "0.5 * gap**2",
    "(0.5 * gap**2).sum()",
    "Several tokens were put into one number, as .sum() or a library's loss does by default. "
    "Return one loss for each token.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "last_axis_summed",
    "0.5 * gap**2",
    "(0.5 * gap**2).sum(-1, keepdim=True)",
    "The last axis was summed away. Every axis holds drawn tokens here, none the vocabulary: "
    "return a loss of the shape that came in.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "normalised_again",
    "logp - ref_logp.detach()",
    "logp.log_softmax(-1) - ref_logp.detach().log_softmax(-1)",
    "A token by itself gets no gradient: something was made of all tokens that came in, such "
    "as log_softmax once more, or their mean as a baseline. What comes in are "
    "log-probabilities of drawn tokens, and no axis holds the vocabulary.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "negated",
    "0.5 * gap**2",
    "-0.5 * gap**2",
    "The sign is turned: this loss pushes the policy away from ref.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "twice",
    "0.5 * gap**2",
    "gap**2",
    "The gradient is twice too large: a factor ½ is missing.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "halved",
    "0.5 * gap**2",
    "0.25 * gap**2",
    "The gradient is half of what it should be: one ½ too many.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "through_probabilities",
    "logp - ref_logp.detach()",
    "logp.exp().log() - ref_logp.detach().exp().log()",
    "Probabilities were formed on the way, and one of a rare token rounds to 0. Subtract the "
    "logarithms that came in.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "changed_in_place",
    "logp - ref_logp.detach()",
    "logp.sub_(ref_logp.detach())",
    "logp was changed in place, and autograd refuses that where it needs the input: compute a "
    "new tensor.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "cast_to_float32",
    "logp - ref_logp.detach()",
    "logp.float() - ref_logp.float().detach()",
    "The computation ran in float32 whatever came in: keep the dtype of the inputs.",
    of=half_the_squared_gap,
)


@on_policy_kl_loss.wrong(
    "Logarithms were turned to base 2. They are in nats: use them as they are."
)
def in_bits(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return half_the_squared_gap(logp / math.log(2), ref_logp / math.log(2))


for _bound in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20):
    on_policy_kl_loss.changed(
        f"weight_bounded_{_bound}".replace(".", "_"),
        "0.5 * gap**2",
        f"(logp - logp.detach() + gap.clamp(-{_bound}, {_bound}).detach()) ** 2 * 0.5",
        f"The weight in front of ∇logp is the log-ratio up to ±{_bound} and no more beyond, by a "
        "clamp or as a Huber loss does. A token that far away is the one to pull back hardest: "
        "the contract has no bound.",
        of=half_the_squared_gap,
    )
for _bound, _said in ((1, "±1"), (2, "±2"), (5, "±5, ±10 or between"), (20, "±20 or so")):
    on_policy_kl_loss.changed(
        f"nothing_pulls_beyond_{_bound}",
        "0.5 * gap**2",
        f"0.5 * gap.clamp(-{_bound}, {_bound}) ** 2",
        f"The log-ratio was clamped to {_said}, and a token beyond gets no gradient. It is the one "
        "to pull back hardest: the contract has no bound.",
        of=half_the_squared_gap,
    )
on_policy_kl_loss.changed(
    "k3_clamped",
    "0.5 * gap**2",
    "(torch.expm1(-gap) + gap).clamp(max=10.0)",
    "This has the mean gradient of a k3 that is cut off at 10, as some libraries do: another "
    "formula, not wrong as a number to watch. As a loss it has the other direction's gradient, "
    "that of KL(ref ‖ policy), and none beyond the bound.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "weighted_by_the_reference",
    "0.5 * gap**2",
    "-ref_logp.detach().exp() * gap",
    "ref's probability stands in front of ∇logp. That is for a sum over the vocabulary, and for "
    "the other direction, KL(ref ‖ policy). The policy drew these tokens: weigh by the log-ratio "
    "alone.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "summed_as_over_the_vocabulary",
    "0.5 * gap**2",
    "(logp.exp() * gap).sum()",
    "Each token was weighted by its probability, and the tokens were added up, as over the "
    "vocabulary. These tokens were drawn: return one loss for each, without the probability.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "averaged_as_over_the_vocabulary",
    "0.5 * gap**2",
    "(logp.exp() * gap).mean()",
    "Each token was weighted by its probability, and the tokens were averaged, as F.kl_div does by "
    "default. These tokens were drawn: return one loss for each, without the probability.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "score_form_with_a_moving_reference",
    "0.5 * gap**2",
    "logp * (logp.detach() - ref_logp)",
    "A gradient reaches ref_logp, which is a constant: it stands in a product with logp. Detach "
    "it, wherever it stands.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "score_form_negated",
    "0.5 * gap**2",
    "-logp * gap",
    "Both factors carry a gradient, and the sign is turned: −logp · (logp − ref). Detach the "
    "log-ratio, and mind that a loss is minimised.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "ratio_of_ref_times_k1",
    "0.5 * gap**2",
    "(-gap).exp() * gap",
    "The ratio in front is ref/policy, as if ref's tokens were wanted. The policy draws here, so "
    "the ratio is policy over the policy of the draw: 1 in value, and only its gradient matters.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "k1_clamped_at_zero",
    "0.5 * gap**2",
    "gap.clamp(min=0.0)",
    "Only tokens that became likelier pull, all alike. The weight in front of ∇logp is the "
    "log-ratio with its sign, not cut off at 0.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "squared_distance_of_the_ratio",
    "0.5 * gap**2",
    "0.5 * (gap.exp() - 1) ** 2",
    "Half the square of ratio − 1 is near ½ log-ratio² for small steps alone: further out it pulls "
    "exponentially hard. Square the log-ratio itself.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "cubed",
    "0.5 * gap**2",
    "gap * (gap**2).detach()",
    "The square of the log-ratio stands in front of ∇logp, without its sign. The weight is the "
    "log-ratio itself.",
    of=half_the_squared_gap,
)


@on_policy_kl_loss.wrong(
    "The last axis was summed as if it held the vocabulary, for an exact KL. Every axis holds "
    "drawn tokens, one log-probability each: with a single token there is nothing to sum over."
)
def summed_over_the_vocabulary(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp.exp() * (logp - ref_logp.detach())).sum(-1, keepdim=True).expand_as(logp)


on_policy_kl_loss.changed(
    "k1_itself",
    "0.5 * gap**2",
    "gap",
    "This is k1, or has its gradient up to a factor: ∇logp, whose mean over the policy's tokens is "
    "0. So nothing pulls. The log-ratio must stand in front of ∇logp.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "everything_detached",
    "0.5 * gap**2",
    "gap.detach()",
    "No gradient reaches logp at all: what came back was detached as a whole, or computed without "
    "a graph. A number that you only log needs no gradient; a loss does.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "k3_itself",
    "0.5 * gap**2",
    "torch.expm1(-gap) + gap",
    "This is k3 itself, or has its mean gradient, as ref/policy alone has. k3's mean is "
    "KL(policy ‖ ref), but that mean gradient is another: autograd does not see that the draws "
    "change with the policy. Whose it is, 4.4 says.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "k3_turned_round",
    "0.5 * gap**2",
    "torch.expm1(gap) - gap",
    "This is the ratio policy/ref, alone or in k3 with its ratio turned round: tokens that the "
    "policy overrates pull exponentially hard, and the mean is the gradient of no KL.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "weight_differentiated",
    "0.5 * gap**2",
    "logp * gap",
    "Both factors carry a gradient: logp · (logp − ref) differentiates the weight as well. Detach "
    "the factor that is to be a number.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "weighted_by_the_policy",
    "0.5 * gap**2",
    "logp.exp() * gap",
    "Each token was weighted by its probability. The tokens are drawn from the policy, so the "
    "weight is in how often they turn up already; that formula is for a sum over the vocabulary.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "k1_weighted_by_a_constant",
    "0.5 * gap**2",
    "logp.detach().exp() * gap",
    "k1 was weighted by a constant probability. The tokens are drawn from the policy, so how often "
    "they turn up is their weight already; what must stand in front of ∇logp is the log-ratio.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "probability_counted_twice",
    "0.5 * gap**2",
    "logp.detach().exp() * logp * gap.detach()",
    "The log-ratio stands in front of ∇logp, and so does the token's probability: it is counted "
    "twice, as the tokens are drawn from the policy. Leave the probability out.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "ratio_to_the_reference",
    "0.5 * gap**2",
    "gap.exp() * gap",
    "The ratio in front is policy/ref. The policy draws here, so the ratio is policy over the "
    "policy of the draw: 1 in value, and only its gradient matters.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "entropy_forgotten",
    "0.5 * gap**2",
    "-logp * ref_logp.detach()",
    "Only log ref weighs the score: this is the gradient of the cross-entropy. The policy's own "
    "log-probability belongs to the weight too, else the policy puts all on one token.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "reference_forgotten",
    "0.5 * gap**2",
    "logp * logp.detach()",
    "log policy alone stands in front of ∇logp: this only raises the policy's entropy. Either the "
    "reference is not in it, or the wrong factor was detached: the weight that is held constant is "
    "the log-ratio.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "clamped_at_zero",
    "0.5 * gap**2",
    "0.5 * gap.clamp(min=0.0) ** 2",
    "Tokens that became rarer were left out. The signs must stay: such tokens are pulled up.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "absolute_weight",
    "0.5 * gap**2",
    "logp * gap.abs().detach()",
    "The weight has lost its sign. A token that became rarer must be pulled up, not down.",
    of=half_the_squared_gap,
)
on_policy_kl_loss.changed(
    "absolute_log_ratio",
    "0.5 * gap**2",
    "gap.abs()",
    "The weight is only the sign of the log-ratio: far or near, every token pulls alike. This is "
    "the absolute log-ratio; square it, or weigh by the log-ratio itself.",
    of=half_the_squared_gap,
)


@on_policy_kl_loss.right
def half_the_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return F.mse_loss(logp, ref_logp.detach(), reduction="none") / 2


@on_policy_kl_loss.right
def ratio_times_k1(logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = torch.exp(logp - logp.detach())
    return ratio * (logp - ref_logp.detach())


@on_policy_kl_loss.right
def ratio_times_k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - logp.detach()).exp() * (torch.expm1(delta) - delta)


@on_policy_kl_loss.right
def product_rule_kept(logp: Tensor, ref_logp: Tensor) -> Tensor:
    with torch.no_grad():
        weight = 1 + logp - ref_logp  # the 1 has mean gradient 0: it is a baseline
    return torch.mul(weight, logp)


@on_policy_kl_loss.right
def value_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return torch.einsum("...,...->...", logp - logp.detach(), (logp - ref_logp).detach())


@on_policy_kl_loss.right
def one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    return torch.stack([policy * (policy.item() - ref) for policy, ref in pairs]).reshape(
        logp.shape
    )
