"""Give each token PPO's promise: the smaller of ratio and clipped ratio times the advantage."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

NEGATIVE = "negative advantage"

FAR = "far from old"

clipped_surrogate = Exercise(
    "clipped_surrogate",
    parts={VALUES: 1, NEGATIVE: 2, GRADIENT: 2, FAR: 1, RULES: 1},
    hints=(
        "There are two promises for each token: ratio · advantage, and the same with the ratio "
        "clipped. Which of them is the pessimistic one, when the advantage is negative too?",
        "Multiply each ratio by the advantage before you compare: min(r, clip(r)) · A and "
        "min(r·A, clip(r)·A) differ as soon as A is below 0.",
        "ratio.clamp(1 − epsilon, 1 + epsilon) is the clipped ratio; torch.minimum compares two "
        "tensors entry by entry. old_logp and advantage are constants.",
    ),
)


def _clip_inputs(ratio: Tensor, advantage: Tensor, epsilon: float) -> dict[str, Any]:
    old_logp = torch.full_like(ratio, -1.5)
    logp = ratio.log() + old_logp
    return {"logp": logp, "old_logp": old_logp, "advantage": advantage, "epsilon": epsilon}


@clipped_surrogate.by_hand
def _() -> Iterator[Case]:
    ratio = tensor([4.0, 0.5, 1.1])  # none at a bound that people set, as 3
    rows = (
        ("advantage 1", 1.0, "1.2, 0.5, 1.1", VALUES),
        ("advantage −1", -1.0, "−4, −0.8, −1.1", NEGATIVE),
        ("advantage 0", 0.0, "0, 0, 0", VALUES),
    )
    for name, advantage, answer, part in rows:
        inputs = _clip_inputs(ratio, torch.full_like(ratio, advantage), 0.2)
        title = f"ratios 4, 1/2, 1.1 with {name}, epsilon 0.2: {answer}"
        yield Case(title, inputs, part, ("logp",))
    for nats, says, part in ((5.0, "e⁵", NEGATIVE), (25.0, "e²⁵", FAR), (65.0, "e⁶⁵", FAR)):
        far = _clip_inputs(tensor([nats]).exp(), tensor([-1.0]), 0.2)
        far["logp"] = far["old_logp"] + nats
        yield Case(f"ratio {says} with advantage −1: −{says}", far, part, ("logp",), rtol=1e-3)
    # Sizes that the drawn cases never reach: no bound is seen by luck alone.
    ratio = tensor([1.1, 4.0, math.exp(-3)])
    for advantage, says, part in (
        (10.0, "11, 12, 10e⁻³", VALUES),
        (-10.0, "−11, −40, −8", NEGATIVE),
        (5000.0, "5500, 6000, 5000e⁻³", RULES),
        (-5000.0, "−5500, −20000, −4000", RULES),
    ):
        inputs = _clip_inputs(ratio, torch.full_like(ratio, advantage), 0.2)
        title = f"ratios 1.1, 4, e⁻³ with advantage {advantage:g}: {says}".replace("-", "−")
        yield Case(title, inputs, part, ("logp",))
    lost = _clip_inputs(torch.ones(1, 1), tensor([1e12]), 0.2)
    lost["logp"] = lost["old_logp"] - 20.0
    yield Case("ratio e⁻²⁰ with advantage 10¹²: 10¹² e⁻²⁰", lost, FAR, ("logp",), rtol=1e-3)
    rare = _clip_inputs(torch.ones(1, 1), tensor([2.0]), 0.2)
    rare |= dict.fromkeys(("logp", "old_logp"), tensor([-120.0]))
    yield Case("a token of probability e⁻¹²⁰ under both: 2", rare, RULES, ("logp",))
    still = _clip_inputs(torch.ones(1, 1), tensor([2.0]), 0.2)
    yield Case("the policy has not moved: the advantage itself", still, grad=("logp",))


@clipped_surrogate.drawn
def _(draw: Draw) -> Iterator[Case]:
    constants = ("logp", "old_logp", "advantage")

    def inputs(
        *shape: int, sign: float = 1.0, spread: float = 0.4, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        old_logp = draw.logp(*shape, dtype=dtype)
        advantage = draw.uniform(*shape, low=0.2, high=2.0, dtype=dtype) * sign
        logp = old_logp + draw.normal(*shape, scale=spread, dtype=dtype)
        return {"logp": logp, "old_logp": old_logp, "advantage": advantage, "epsilon": 0.2}

    yield Case("positive advantages", inputs(3, 5), grad=constants)
    yield Case("epsilon 0.1", inputs(2, 6) | {"epsilon": 0.1}, grad=constants)
    yield Case("negative advantages", inputs(3, 5, sign=-1.0), NEGATIVE, constants)
    mixed = inputs(4, 6)
    mixed["advantage"] = draw.normal(4, 6)
    yield Case("advantages of both signs", mixed, NEGATIVE, constants)
    yield Case(
        "far from old, positive", _placed(inputs(3, 5, spread=3.0)), FAR, ("logp",), rtol=1e-3
    )
    negative = _placed(inputs(3, 5, sign=-1.0, spread=3.0))
    yield Case("far from old, negative", negative, FAR, ("logp",), rtol=1e-3)
    both = torch.tensor([1.0, -1.0], dtype=torch.float64)
    double = inputs(3, 2, dtype=torch.float64)
    double["advantage"] = double["advantage"] * both
    yield Case("float64", _placed(double), RULES, constants)
    yield Case("no gradient asked for", inputs(2, 3), RULES)


def _placed(inputs: dict[str, Any]) -> dict[str, Any]:
    """With ratios below, above and between the bounds: no mistake is seen by luck alone."""
    moved = torch.tensor([[-2.0, -2.0], [2.0, 2.0], [0.05, 0.05]], dtype=inputs["logp"].dtype)
    inputs["logp"][:3, :2] = inputs["old_logp"][:3, :2] + moved
    return inputs


@clipped_surrogate.right
def lesser_of_both_promises(logp, old_logp, advantage, epsilon):
    advantage, ratio = advantage.detach(), (logp - old_logp.detach()).exp()
    return torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)


clipped_surrogate.changed(
    "minimum_of_ratios",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio, ratio.clamp(1 - epsilon, 1 + epsilon)) * advantage",
    "Right for positive advantages only: the ratio was bounded from above and then multiplied, as "
    "when the minimum is taken of the ratios. Compare ratio · advantage with clipped · advantage: "
    "for advantage −1 a ratio of 3 gives −3.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clipped_only",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(1 - epsilon, 1 + epsilon) * advantage",
    "Only the clipped promise came back; the minimum with ratio · advantage is missing. Without it "
    "a token that went the wrong way has no gradient to bring it back.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "not_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio * advantage",
    "No value and no gradient is clipped: this is ratio · advantage. epsilon has no effect.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "maximum",
    "minimum",
    "maximum",
    "This is the larger of the two promises, the optimistic one. The objective is maximised, so "
    "take the minimum; the maximum belongs to the loss with its sign turned.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "loss_returned",
    "return torch",
    "return -torch",
    "The sign is turned: this is the loss. The function returns what is to be maximised.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "log_ratio_clipped",
    "ratio.clamp(1 - epsilon, 1 + epsilon)",
    "(logp - old_logp.detach()).clamp(-epsilon, epsilon).exp()",
    "The logarithm of the ratio was clipped to ±epsilon, so the bounds are exp(−ε) and exp(ε). "
    "PPO clips the ratio itself to 1 − ε … 1 + ε.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "product_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio * advantage, (ratio * advantage).clamp(1 - epsilon, 1 + epsilon))",
    "The product ratio · advantage was clipped. Clip the ratio, then multiply by the advantage.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "bounds_around_zero",
    "1 - epsilon, 1 + epsilon",
    "-epsilon, epsilon",
    "The bounds are −ε and ε. A ratio is 1 where nothing has changed: the bounds are 1 − ε and "
    "1 + ε.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "upper_bound_only",
    "1 - epsilon, 1 + epsilon",
    "max=1 + epsilon",
    "Only the upper bound was applied. With a negative advantage it is the lower one, 1 − ε, that "
    "takes away the incentive to go further down.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "For a negative advantage the two bounds were exchanged: the token keeps its gradient where "
    "it should lose it. Take the minimum of the two products and the signs look after themselves."
)
def clipped_on_the_wrong_side(logp, old_logp, advantage, epsilon):
    ratio, advantage = (logp - old_logp.detach()).exp(), advantage.detach()
    up, down = ratio.clamp(max=1 + epsilon), ratio.clamp(max=1 - epsilon)
    return torch.where(advantage > 0, up, down) * advantage


clipped_surrogate.changed(
    "clip_ratio_inverted",
    "logp - old_logp.detach()",
    "old_logp.detach() - logp",
    "The ratio is upside down: old over policy. It is exp(logp − old_logp).",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "exp_forgotten",
    ".exp()",
    "",
    "exp is missing: logp − old_logp is the logarithm of the ratio, 0 where nothing has changed.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "This is PPO's loss of a batch, the negative mean. Return the objective of each token: no "
    "mean, no minus."
)
def loss_of_the_batch(logp, old_logp, advantage, epsilon):
    return -reference.clipped_surrogate(logp, old_logp, advantage, epsilon).mean()


clipped_surrogate.changed(
    "epsilon_written_in",
    "1 - epsilon, 1 + epsilon",
    "0.8, 1.2",
    "0.2 was written in: the bounds are 1 − epsilon and 1 + epsilon, whatever epsilon is.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "lower_bound_epsilon",
    "1 - epsilon",
    "epsilon",
    "The lower bound is epsilon, not 1 − epsilon: a ratio is 1 where nothing has changed.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "averaged",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage).mean()",
    "One number came back: return one promise for each token, no mean.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "policy_detached",
    "(logp - old",
    "(logp.detach() - old",
    "The value is right, but no gradient reaches logp: the policy's side was detached.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "The value is right but a clipped token still has a gradient: the clip was done outside the "
    "graph. Use clamp on the ratio itself, so that its gradient is 0 beyond the bounds."
)
def clip_outside_the_graph(logp, old_logp, advantage, epsilon):
    right = reference.clipped_surrogate(logp, old_logp, advantage, epsilon)
    plain = (logp - old_logp.detach()).exp() * advantage.detach()
    return plain + (right - plain).detach()


clipped_surrogate.changed(
    "clip_old_not_constant",
    "old_logp.detach()",
    "old_logp",
    "A gradient reaches old_logp. It is a constant: detach it.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clip_advantage_not_constant",
    "advantage.detach()",
    "advantage",
    "A gradient reaches advantage. It is a constant: detach it.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clip_nothing_detached",
    "advantage.detach(), (logp - old_logp.detach())",
    "advantage, (logp - old_logp)",
    "A gradient reaches both old_logp and advantage. They are constants: detach them.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clipped_branch_detached",
    "ratio.clamp",
    "ratio.detach().clamp",
    "The value is right, but the clipped promise was detached. Within the bounds the two promises "
    "are equal and share the gradient, so half of it is lost. clamp needs no detach.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def clip_cast_to_float32(logp, old_logp, advantage, epsilon):
    given = (values.float() for values in (logp, old_logp, advantage))
    return reference.clipped_surrogate(*given, epsilon)


@clipped_surrogate.wrong(
    "old_logp was changed in place: the caller's tensor holds something else afterwards."
)
def clip_in_place(logp, old_logp, advantage, epsilon):
    with torch.no_grad():
        old_logp -= 1.0
    return reference.clipped_surrogate(logp, old_logp + 1.0, advantage, epsilon)


clipped_surrogate.changed(
    "mean_of_the_two",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "(ratio + ratio.clamp(1 - epsilon, 1 + epsilon)) / 2 * advantage",
    "The mean of ratio · advantage and clipped · advantage was taken. It is the smaller of the "
    "two.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "advantage_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio * advantage.clamp(1 - epsilon, 1 + epsilon)",
    "The advantage was clipped. It is the ratio that is kept near 1.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clip_advantage_without_its_sign",
    "advantage.detach()",
    "advantage.detach().abs()",
    "The sign of each advantage was dropped: what was worse than expected is made likelier.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "lower_bound_only",
    "1 - epsilon, 1 + epsilon",
    "min=1 - epsilon",
    "Only the lower bound, 1 − epsilon, was applied. The upper one is what keeps a good token from "
    "being pushed on for ever.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "A second clip bounds what a negative advantage may cost, at 3 times the advantage: that is "
    "dual-clip PPO. Here a bad token whose ratio has grown keeps its whole gradient."
)
def clipped_twice(logp, old_logp, advantage, epsilon):
    once, bound = reference.clipped_surrogate(logp, old_logp, advantage, epsilon), 3 * advantage
    return torch.where(advantage < 0, torch.maximum(once, bound.detach()), once)


clipped_surrogate.changed(
    "clipped_higher",
    "1 + epsilon",
    "1.28",
    "The upper bound is 1.28 (clip-higher, DAPO's 0.28 in place of epsilon). Here both bounds are "
    "epsilon away from 1.",
    of=lesser_of_both_promises,
)
for _name, _bound, _says in (
    ("clipped_higher_by_8_hundredths", "1 + epsilon + 0.08", "0.08 more than epsilon"),
    ("clipped_higher_by_4_tenths", "1 + 1.4 * epsilon", "1.4 times epsilon"),
    ("clipped_higher_by_half", "1 + 1.5 * epsilon", "1.5 times epsilon"),
    ("clipped_twice_as_high", "1 + 2 * epsilon", "twice epsilon"),
):
    clipped_surrogate.changed(
        _name,
        "1 + epsilon",
        _bound,
        f"The upper bound is {_says} above 1: clip-higher, not wrong in itself, but not what is "
        "asked. Here both bounds are epsilon away from 1.",
        of=lesser_of_both_promises,
    )
clipped_surrogate.changed(
    "constant_ratio_times_logp",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(max=1 + epsilon).detach() * advantage * logp",
    "A constant clipped ratio weighs logp · advantage: that is CISPO. It keeps the gradient of "
    "every token; PPO's minimum takes it away beyond the bound.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "quotient_of_logarithms",
    "(logp - old_logp.detach()).exp()",
    "logp / old_logp.detach()",
    "The ratio is logp / old_logp here, a quotient of logarithms. That of the probabilities is "
    "exp(logp − old_logp).",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clip_quotient_of_probabilities",
    "(logp - old_logp.detach()).exp()",
    "logp.exp() / old_logp.detach().exp()",
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp).",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "The values are right, but every token whose ratio is outside the bounds has lost its "
    "gradient. Only where the clipped promise is the smaller one is it 0: a token that went the "
    "wrong way keeps its pull back."
)
def gradient_lost_on_both_sides(logp, old_logp, advantage, epsilon):
    ratio = (logp - old_logp.detach()).exp().detach()
    right = reference.clipped_surrogate(logp, old_logp, advantage, epsilon)
    return torch.where((ratio - 1).abs() > epsilon, right.detach(), right)


clipped_surrogate.changed(
    "clip_log_ratio_clamped",
    ".exp()",
    ".clamp(-20.0, 20.0).exp()",
    "The log-ratio was clamped to ±20 before exp. A bad token that far above old then costs less "
    "than ratio · advantage, and has no gradient to bring it back.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "product_clipped_alone",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "(ratio * advantage).clamp(1 - epsilon, 1 + epsilon)",
    "The product ratio · advantage was clipped, and the minimum is missing. Clip the ratio, "
    "multiply by the advantage, then take the smaller of both products.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "log_ratio_clipped_alone",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "(logp - old_logp.detach()).clamp(-epsilon, epsilon).exp() * advantage",
    "The logarithm of the ratio was clipped to ±epsilon, and the minimum with ratio · "
    "advantage is missing. Clip the ratio itself to 1 − ε … 1 + ε, then take the smaller of "
    "both products.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "zero_outside_the_bounds",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.where((ratio - 1).abs() <= epsilon, ratio * advantage, 0.0)",
    "A token whose ratio is outside the bounds got 0, and has no gradient. Beyond a bound "
    "the promise is the smaller of ratio · advantage and the bound times the advantage.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clipped_ratio_without_advantage",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon))",
    "The clipped ratio was compared as it is: multiply it by the advantage too, then take "
    "the minimum.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "ratio_without_advantage",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "The ratio was compared as it is: multiply it by the advantage too, then take the minimum.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "advantage_left_out",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.minimum(ratio, ratio.clamp(1 - epsilon, 1 + epsilon))",
    "The advantage does nothing here: this is the smaller of ratio and clipped ratio. "
    "Multiply each by the advantage before you compare.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clipped_ratio_alone",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(1 - epsilon, 1 + epsilon)",
    "The clipped ratio alone came back: the advantage is missing, and the minimum with "
    "ratio · advantage.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "bounds_in_the_wrong_order",
    "1 - epsilon, 1 + epsilon",
    "1 + epsilon, 1 - epsilon",
    "With a positive advantage the promise never exceeds (1 − epsilon) · advantage, as when "
    "the bounds are exchanged (clamp takes the lower one first). There the bound is 1 + "
    "epsilon.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "bounds_reciprocal",
    "1 - epsilon, 1 + epsilon",
    "1 / (1 + epsilon), 1 + epsilon",
    "The lower bound is 1 / (1 + epsilon). PPO has 1 − epsilon.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "constant_ratio_clipped_on_both_sides",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.clamp(1 - epsilon, 1 + epsilon).detach() * advantage * logp",
    "A constant ratio, clipped on both sides, weighs logp · advantage, as in CISPO: another "
    "objective, not wrong in itself, but not what is asked. It keeps the gradient of every "
    "token.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "constant_ratio_not_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "ratio.detach() * advantage * logp",
    "A constant ratio weighs logp · advantage, and nothing is clipped. PPO keeps the ratio "
    "in the graph, and takes the smaller of ratio · advantage and clipped ratio · "
    "advantage.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "old_log_left_out",
    "(logp - old_logp.detach()).exp()",
    "logp.exp()",
    "old_logp was not used: exp(logp) is the policy's probability. The ratio is exp(logp − "
    "old_logp).",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "clip_advantage_normalised",
    "advantage.detach()",
    "(advantage - advantage.mean()).div(advantage.std() + 1e-8).detach()",
    "The advantages were normalised, by their mean and standard deviation (nan for a single "
    "one). They come as they are meant: use them as they are.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "gradient_masked_value_not_clipped",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.where((ratio - 1).abs() <= epsilon, ratio, ratio.detach()) * advantage",
    "The values are ratio · advantage, not clipped; epsilon acts on the gradient alone, and "
    "takes it from every token outside the bounds. The promise itself is the smaller of "
    "both products: its gradient follows.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.wrong(
    "The gradient is right, but the values are ratio · advantage, not clipped. Return the smaller "
    "of both products: its gradient follows."
)
def right_gradient_value_not_clipped(logp, old_logp, advantage, epsilon):
    right = reference.clipped_surrogate(logp, old_logp, advantage, epsilon)
    plain = (logp - old_logp.detach()).exp() * advantage.detach()
    return right + (plain - right).detach()


clipped_surrogate.changed(
    "bound_alone",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "torch.where(advantage > 0, 1 + epsilon, 1 - epsilon) * advantage",
    "The bound alone came back, (1 + ε) · A or (1 − ε) · A: the minimum with ratio · A is "
    "missing, and with it the gradient.",
    of=lesser_of_both_promises,
)
clipped_surrogate.changed(
    "loss_summed_over_the_batch",
    "torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage)",
    "-torch.minimum(ratio * advantage, ratio.clamp(1 - epsilon, 1 + epsilon) * advantage).sum()",
    "This is a loss of the batch, a negative sum. Return the objective of each token: no sum, "
    "no minus.",
    of=lesser_of_both_promises,
)


@clipped_surrogate.right
def by_sign(logp, old_logp, advantage, epsilon):
    advantage = advantage.detach()
    ratio = torch.exp(logp - old_logp.detach())
    bounded = torch.where(
        advantage >= 0, ratio.clamp(max=1 + epsilon), ratio.clamp(min=1 - epsilon)
    )
    return bounded * advantage


@clipped_surrogate.right
def as_a_negative_maximum(logp, old_logp, advantage, epsilon):
    ratio = torch.pow(math.e, logp - old_logp.detach())
    loss = -advantage.detach() * ratio
    clipped_loss = -advantage.detach() * torch.clip(ratio, 1 - epsilon, 1 + epsilon)
    return -torch.max(loss, clipped_loss)


@clipped_surrogate.right
def entry_by_entry(logp, old_logp, advantage, epsilon):
    rows = []
    for row, old_row, gains in zip(logp, old_logp.tolist(), advantage.tolist(), strict=True):
        promises = []
        for entry, old, gain in zip(row, old_row, gains, strict=True):
            ratio = (entry - old).exp()
            too_far = ratio > 1 + epsilon if gain > 0 else ratio < 1 - epsilon
            bound = 1 + epsilon if gain > 0 else 1 - epsilon
            promises.append(torch.full_like(ratio, bound * gain) if too_far else ratio * gain)
        rows.append(torch.stack(promises))
    return torch.stack(rows)


@clipped_surrogate.right
def clipped_in_nats(logp, old_logp, advantage, epsilon):
    advantage, gap = advantage.detach(), logp - old_logp.detach()
    low, high = gap.clamp(min=math.log(1 - epsilon)), gap.clamp(max=math.log(1 + epsilon))
    return torch.where(advantage < 0, low, high).exp() * advantage


@clipped_surrogate.right
def excess_taken_away(logp, old_logp, advantage, epsilon):
    ratio, advantage = (logp - old_logp.detach()).exp(), advantage.detach()
    excess = F.relu((ratio - 1) * advantage.sign() - epsilon)
    return ratio * advantage - excess * advantage.abs()
