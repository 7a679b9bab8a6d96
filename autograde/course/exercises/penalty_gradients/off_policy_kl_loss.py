"""Give each of old's tokens a loss whose mean and mean gradient are those of KL(policy ‖ ref)."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise
from .shared import CONSTANTS, RARE, SEEN_INSIDE, SHAPES, cases_by_hand, drawn_cases

off_policy_kl_loss = Exercise(
    "off_policy_kl_loss",
    parts={VALUES: 2, GRADIENT: 2, CONSTANTS: 1, SHAPES: 1, RARE: 1, RULES: 1},
    hints=(
        "Old draws too many of some tokens and too few of others. Which factor, made of logp and "
        "old_logp, puts each token's share right?",
        "The importance ratio policy/old of lesson 01, times an estimate of KL(policy ‖ ref) from "
        "one token. Which of k1, k2, k3 has the right mean? And should the ratio be a constant?",
        "The ratio is exp(logp − old_logp) with old_logp detached and logp not: through it "
        "autograd sees that the policy's own draws change. Multiply it by an unbiased estimate.",
    ),
    advisory=SEEN_INSIDE,
)


@off_policy_kl_loss.by_hand
def _() -> Iterator[Case]:
    yield from cases_by_hand(off_policy=True)


@off_policy_kl_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from drawn_cases(True, draw)


off_policy_kl_loss.changed(
    "old_moves",
    "old_logp.detach()",
    "old_logp",
    "A gradient reaches old_logp, which is a constant: detach it.",
)
off_policy_kl_loss.changed(
    "reference_moves",
    "ref_logp.detach()",
    "ref_logp",
    "A gradient reaches ref_logp, which is a constant: detach it.",
)
off_policy_kl_loss.changed(
    "both_constants_move",
    "ratio * (logp - ref_logp.detach())",
    "(logp - old_logp).exp() * (logp - ref_logp)",
    "Gradients reach old_logp and ref_logp, both constants: detach both.",
)
off_policy_kl_loss.changed(
    "everything_detached",
    "ratio * (logp - ref_logp.detach())",
    "(ratio * (logp - ref_logp.detach())).detach()",
    "No gradient reaches logp: the policy's side was detached too.",
)
off_policy_kl_loss.changed(
    "averaged",
    "ratio * (logp - ref_logp.detach())",
    "(ratio * (logp - ref_logp.detach())).mean()",
    "Several tokens were put into one number, as .mean() does. Return one loss for each token: "
    "averages come later, with the mask.",
)
off_policy_kl_loss.changed(
    "last_axis_summed",
    "ratio * (logp - ref_logp.detach())",
    "(ratio * (logp - ref_logp.detach())).sum(-1, keepdim=True)",
    "The last axis was summed away. Every axis holds drawn tokens here, none the vocabulary: "
    "return a loss of the shape that came in.",
)


@off_policy_kl_loss.wrong(
    "log_softmax was taken once more, along the last axis. What comes in are log-probabilities "
    "of drawn tokens, and no axis holds the vocabulary: use them as they are."
)
def normalised_again(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    logp, old, ref = (x.log_softmax(-1) for x in (logp, old_logp.detach(), ref_logp.detach()))
    return (logp - old).exp() * (logp - ref)


off_policy_kl_loss.changed(
    "negated",
    "return ratio",
    "return -ratio",
    "The sign is turned: a divergence is above 0, and its loss is minimised.",
)
off_policy_kl_loss.changed(
    "through_probabilities",
    "ref_logp.detach()",
    "ref_logp.detach().exp().log()",
    "Probabilities were formed on the way, and one of a rare token rounds to 0. Subtract the "
    "logarithms that came in.",
)


@off_policy_kl_loss.wrong(
    "logp was changed in place, and autograd refuses that where it needs the input: compute a "
    "new tensor."
)
def changed_in_place(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    logp -= old_logp.detach()
    return logp.exp() * (logp + old_logp.detach() - ref_logp.detach())


@off_policy_kl_loss.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return reference.off_policy_kl_loss(logp.float(), old_logp.float(), ref_logp.float())


@off_policy_kl_loss.wrong(
    "The log-ratio was turned to base 2. Log-probabilities are in nats: use them as they are."
)
def in_bits(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return reference.off_policy_kl_loss(logp, old_logp, ref_logp) / math.log(2)


off_policy_kl_loss.changed(
    "ratio_clipped",
    ".exp()",
    ".exp().clamp(0.8, 1.2)",
    "Tokens of a ratio outside 0.8 … 1.2 were clipped. That bounds a step, and it biases both "
    "value and gradient: the exact correction has no clip.",
)
off_policy_kl_loss.changed(
    "ratio_detached",
    ".exp()",
    ".exp().detach()",
    "The value is right, the gradient is not: the ratio was held constant, so autograd does not "
    "see that the policy's own draws change. Detach old_logp alone.",
)
off_policy_kl_loss.changed(
    "ratio_forgotten",
    "ratio * (logp - ref_logp.detach())",
    "logp - ref_logp.detach()",
    "The ratio is missing: this is k1 on old's tokens, whose mean gradient is −∇KL(old ‖ policy). "
    "Descending it pushes the policy away from old.",
)


@off_policy_kl_loss.wrong(
    "The ratio is missing: this is k3 on old's tokens, right only while policy and old are equal."
)
def k3_without_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - delta


off_policy_kl_loss.changed(
    "k2_without_the_ratio",
    "ratio * (logp - ref_logp.detach())",
    "0.5 * (logp - ref_logp.detach()) ** 2",
    "The ratio is missing: this is k2 on old's tokens. It is right for neither the value nor, "
    "once policy and old differ, the gradient.",
)
off_policy_kl_loss.changed(
    "ratio_times_k2",
    "ratio * (logp - ref_logp.detach())",
    "ratio * 0.5 * (logp - ref_logp.detach()) ** 2",
    "Ratio × k2 is biased, in value and in gradient: k2's mean is not the KL. With a ratio that "
    "carries a gradient, the estimate beside it must be unbiased.",
)
off_policy_kl_loss.changed(
    "constant_ratio_times_k2",
    "ratio * (logp - ref_logp.detach())",
    "ratio.detach() * 0.5 * (logp - ref_logp.detach()) ** 2",
    "The value is that of ratio × k2, and k2's mean is not the KL. With a constant ratio its "
    "gradient alone would do, but value and gradient are both asked here.",
)
off_policy_kl_loss.changed(
    "score_form",
    "ratio * (logp - ref_logp.detach())",
    "ratio.detach() * logp * (logp - ref_logp).detach()",
    "The value is that of ratio × logp × log-ratio, which has no meaning as a number. With a "
    "constant ratio its gradient alone would do, but both are asked: leave logp out, and let the "
    "ratio carry the gradient.",
)
off_policy_kl_loss.changed(
    "score_form_with_a_moving_ratio",
    "ratio * (logp - ref_logp.detach())",
    "ratio * logp * (logp - ref_logp).detach()",
    "logp is one factor too many: ratio × logp × constant log-ratio is neither right as a number "
    "nor, with a ratio that moves, in its gradient. Two factors do: the ratio carries the gradient "
    "of the draws, and the log-ratio beside it is differentiated too.",
)
off_policy_kl_loss.changed(
    "ratio_turned_round",
    "logp - old_logp.detach()",
    "old_logp.detach() - logp",
    "The ratio is turned round: old/policy. Old drew the tokens, so each counts policy/old times.",
)
off_policy_kl_loss.changed(
    "ratio_to_the_reference",
    "old_logp.detach()",
    "ref_logp.detach()",
    "The ratio is policy/ref. It must undo who drew the tokens, and that was old.",
)
off_policy_kl_loss.changed(
    "step_in_place_of_drift",
    "ref_logp.detach()",
    "old_logp.detach()",
    "The log-ratio beside the ratio is policy against old: that is the size of the step, "
    "KL(policy ‖ old). The drift is measured against ref.",
)
off_policy_kl_loss.changed(
    "drift_of_old",
    "(logp - ref_logp.detach())",
    "(old_logp - ref_logp).detach()",
    "The log-ratio beside the ratio is old against ref: how far old had drifted. Asked is the "
    "policy's drift: log policy − log ref.",
)
off_policy_kl_loss.changed(
    "logarithm_of_the_ratio",
    ".exp()",
    "",
    "exp is missing: logp − old_logp is the logarithm of the ratio. Weights are ratios.",
)
off_policy_kl_loss.changed(
    "probability_as_weight",
    "(logp - old_logp.detach()).exp()",
    "logp.exp()",
    "Each token was weighted by the policy's probability. Old drew the tokens, so the weight is "
    "policy/old; the probability alone is for a sum over the vocabulary.",
)
off_policy_kl_loss.changed(
    "ratio_normalised",
    "ratio * ",
    "ratio / ratio.mean() * ",
    "The ratios were divided by their mean. That steadies a batch and biases it; the exact "
    "correction uses each ratio as it is.",
)
off_policy_kl_loss.changed(
    "k3_turned_round",
    "(logp - ref_logp.detach())",
    "(torch.expm1(logp - ref_logp.detach()) - (logp - ref_logp.detach()))",
    "k3 stands beside the ratio with its own ratio turned round, policy/ref. For KL(policy ‖ ref) "
    "it is ref/policy − 1 − log(ref/policy).",
)
off_policy_kl_loss.changed(
    "log_ratio_turned_round",
    "(logp - ref_logp.detach())",
    "(1 - (logp - ref_logp.detach()))",
    "The log-ratio beside the ratio is ref against policy: its sign is turned, while the ratio is "
    "right. This is old's own formula for −KL(policy ‖ ref) plus the ratio.",
)
off_policy_kl_loss.changed(
    "quotient_of_probabilities",
    "(logp - old_logp.detach()).exp()",
    "logp.exp() / old_logp.detach().exp()",
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp).",
)
off_policy_kl_loss.changed(
    "quotient_of_logarithms",
    "(logp - old_logp.detach()).exp()",
    "logp / old_logp.detach()",
    "The ratio is logp / old_logp here, a quotient of logarithms. That of the probabilities is "
    "exp(logp − old_logp).",
)
off_policy_kl_loss.changed(
    "ratio_truncated",
    ".exp()",
    ".exp().clamp(max=2.0)",
    "Ratios above 2 were cut off (truncated weights). That bounds the noise of a batch and biases "
    "value and gradient: the exact correction has no bound.",
)


@off_policy_kl_loss.wrong(
    "k3 was cut off at 10. Tokens that far from ref are few and count the most: with a bound the "
    "mean is no KL any more."
)
def k3_cut_off(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - old_logp.detach()).exp() * (torch.expm1(delta) - delta).clamp(max=10.0)


off_policy_kl_loss.changed(
    "log_ratio_clamped",
    "(logp - ref_logp.detach())",
    "(logp - ref_logp.detach()).clamp(-20.0, 20.0)",
    "The log-ratio to ref was clamped to ±20. A token that far away is the one that costs most: "
    "the loss has no bound.",
)


for _name, _instead, _says in (
    (
        "added_up",
        "(ratio * (logp - ref_logp.detach())).sum()",
        "The tokens were added up into one number. Return one loss for each token.",
    ),
    (
        "score_form_without_the_ratio",
        "logp * (logp - ref_logp).detach()",
        "The ratio is missing: logp × constant log-ratio is a loss for tokens that the policy drew "
        "itself, and its value has no meaning. Here old drew, and value and gradient are asked.",
    ),
    (
        "ratio_detached_times_k3",
        "ratio.detach() * (torch.expm1(ref_logp.detach() - logp) - ref_logp.detach() + logp)",
        "The value is right, the gradient is not: the ratio beside k3 was held constant, so "
        "autograd does not see that the policy's own draws change. Detach old_logp alone.",
    ),
    (
        "k3_detached_beside_the_ratio",
        "ratio * (torch.expm1(ref_logp.detach() - logp) - ref_logp.detach() + logp).detach()",
        "The value is right, the gradient is not: k3 beside the ratio was held constant. A token's "
        "score is then multiplied by ratio × k3, where ratio × log-ratio makes the gradient. Let "
        "autograd see both factors of logp.",
    ),
    (
        "ratio_truncated_beside_k3",
        "ratio.clamp(max=2.0) * (torch.expm1(ref_logp.detach() - logp) - ref_logp.detach() + logp)",
        "Ratios above 2 were cut off beside k3 (truncated weights): another formula, which bounds "
        "the noise of a batch and biases value and gradient. The exact correction has no bound.",
    ),
    (
        "ratio_clipped_beside_k3",
        "ratio.clamp(0.8, 1.2) * "
        "(torch.expm1(ref_logp.detach() - logp) - ref_logp.detach() + logp)",
        "Ratios outside 0.8 … 1.2 were clipped beside k3. That bounds a step, and it biases both "
        "value and gradient: the exact correction has no clip.",
    ),
    (
        "greater_of_clipped_and_not",
        "torch.maximum(ratio * (logp - ref_logp.detach()), "
        "ratio.clamp(0.8, 1.2) * (logp - ref_logp.detach()))",
        "The greater of the clipped and the unclipped product was taken, as PPO does in a loss. "
        "That is for advantages, and biases value and gradient: the exact correction has no clip.",
    ),
    (
        "lesser_of_clipped_and_not",
        "torch.minimum(ratio * (logp - ref_logp.detach()), "
        "ratio.clamp(0.8, 1.2) * (logp - ref_logp.detach()))",
        "The lesser of the clipped and the unclipped product was taken, as in PPO's objective. "
        "That is for advantages, and biases value and gradient: the exact correction has no clip.",
    ),
    (
        "truncated_constant_ratio",
        "ratio.clamp(max=2.0).detach() * (logp - ref_logp.detach())",
        "The ratio was cut off at 2 and held constant, as truncated weights are. Here it carries "
        "the gradient of the draws, and it has no bound: detach old_logp alone.",
    ),
    (
        "probability_of_old_as_weight",
        "old_logp.detach().exp() * (logp - ref_logp.detach())",
        "Each token was weighted by old's probability. Old drew the tokens, so that is in how "
        "often they turn up already; what puts their shares right is the ratio policy/old.",
    ),
    (
        "probability_held_constant",
        "logp.detach().exp() * (logp - ref_logp.detach())",
        "Each token was weighted by the policy's probability, as a constant. Old drew the tokens: "
        "the weight is policy/old, and it carries a gradient.",
    ),
    (
        "drift_of_old_alone",
        "(old_logp - ref_logp).detach()",
        "This is how far old is from ref: log old − log ref, with no gradient, as the policy is "
        "not in it. Asked is the policy's drift, from tokens of old.",
    ),
    (
        "step_alone",
        "logp - old_logp.detach()",
        "This is log policy − log old: how far the step went. The reference is not in it, and the "
        "ratio is missing.",
    ),
    (
        "step_turned_round",
        "old_logp.detach() - logp",
        "This is log old − log policy, the usual estimate of KL(old ‖ policy): the size of the "
        "step. Asked is the drift from ref, and a ratio puts old's draws right.",
    ),
    (
        "ratio_to_itself",
        "(logp - logp.detach()).exp() * (logp - ref_logp.detach())",
        "The ratio is policy over policy, 1 in value: that is for tokens which the policy drew "
        "itself. Old drew these, and old_logp is not in it.",
    ),
    (
        "ratio_to_itself_beside_k3",
        "(logp - logp.detach()).exp() * "
        "(torch.expm1(ref_logp.detach() - logp) - ref_logp.detach() + logp)",
        "The ratio beside k3 is policy over policy, 1 in value: that is for tokens which the "
        "policy drew itself. Old drew these, and old_logp is not in it.",
    ),
    (
        "ratio_alone",
        "ratio",
        "This is the ratio policy/old alone, whose mean is 1 whatever the policy is. What it "
        "weighs, an estimate of KL(policy ‖ ref), is missing.",
    ),
    (
        "ratio_added",
        "ratio + (logp - ref_logp.detach())",
        "The ratio was added to the log-ratio. It is a weight: multiply by it.",
    ),
    (
        "logarithm_of_the_ratio_added",
        "logp - old_logp.detach() + logp - ref_logp.detach()",
        "The two log-ratios were added. One of them has to be a weight: exp of it, as a factor.",
    ),
    (
        "ratio_times_square",
        "ratio * (logp - ref_logp.detach()) ** 2",
        "Ratio × squared log-ratio is biased: its mean is not the KL. The estimate beside the "
        "ratio must be unbiased, as the log-ratio itself is.",
    ),
    (
        "ratio_times_absolute",
        "ratio * (logp - ref_logp.detach()).abs()",
        "The log-ratio beside the ratio lost its sign. Tokens that the policy gives less often "
        "than ref count as minus: only so is the mean the KL.",
    ),
    (
        "old_and_ref_exchanged",
        "(logp - ref_logp.detach()).exp() * (logp - old_logp.detach())",
        "old_logp and ref_logp are exchanged: the ratio undoes who drew, and that was old; the "
        "log-ratio beside it is against ref.",
    ),
    (
        "ratios_multiplied",
        "ratio * (logp - ref_logp.detach()).exp()",
        "Two ratios were multiplied: policy/ref stands there without its logarithm.",
    ),
    (
        "other_direction",
        "ratio * (torch.expm1(logp - ref_logp.detach()) - logp + ref_logp.detach()).detach()",
        "Beside the ratio is k3 with its own ratio turned round, and constant. For "
        "KL(policy ‖ ref) it is ref/policy − 1 − log(ref/policy).",
    ),
):
    off_policy_kl_loss.changed(_name, "ratio * (logp - ref_logp.detach())", _instead, _says)


@off_policy_kl_loss.wrong(
    "The ratio is missing, and k3 was cut off at 10: a form that libraries watch, not wrong as a "
    "number of the policy's own tokens. Here old drew, and the mean must be the KL."
)
def k3_cut_off_without_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (torch.expm1(delta) - delta).clamp(max=10.0)


def _k3_beside_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - old_logp.detach()).exp() * (torch.expm1(delta) - delta)


off_policy_kl_loss.changed(
    "old_moves_beside_k3",
    "old_logp.detach()",
    "old_logp",
    "Through the ratio a gradient reaches old_logp, which is a constant: detach it.",
    of=_k3_beside_the_ratio,
)


@off_policy_kl_loss.wrong(
    "Gradients reach old_logp, through the ratio, and ref_logp, through k3. Both are constants: "
    "detach both."
)
def both_constants_move_beside_k3(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp - logp
    return (logp - old_logp).exp() * (torch.expm1(delta) - delta)


@off_policy_kl_loss.right
def ratio_times_k3(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - old_logp.detach()).exp() * (torch.expm1(delta) - delta)


@off_policy_kl_loss.right
def with_a_control_variate(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = torch.exp(logp - old_logp.detach())
    return torch.addcmul(1 - ratio, ratio, logp - ref_logp.detach())


@off_policy_kl_loss.right
def value_and_gradient_apart(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    with torch.no_grad():
        value = (logp - old_logp).exp() * (logp - ref_logp)
    return value * (1 + logp - logp.detach())


@off_policy_kl_loss.right
def value_beside_a_score(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    constant = (ref_logp - old_logp).detach().exp()  # in the mean 1: it is a control variate
    ratio = torch.exp(logp.sub(old_logp.detach()))
    return torch.einsum("...,...->...", ratio, logp - ref_logp.detach() - 1) + constant


@off_policy_kl_loss.right
def one_by_one(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    rows = zip(
        logp.reshape(-1),
        old_logp.reshape(-1).tolist(),
        ref_logp.reshape(-1).tolist(),
        strict=True,
    )
    losses = [(policy - old).exp() * (policy - ref) for policy, old, ref in rows]
    return torch.stack(losses).reshape(logp.shape)
