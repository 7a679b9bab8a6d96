"""Average ratio × advantage over old's real tokens: the J that an update maximises."""

from collections.abc import Iterator

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import EMPTY, INF, NAN, PADDING, UNEQUAL, _count, equal_rows

surrogate_objective = Exercise(
    "surrogate_objective",
    parts={VALUES: 2, GRADIENT: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, RULES: 1},
    hints=(
        "You have both pieces: importance_ratio for each token, masked_mean for the average. "
        "Advantage goes between them, as a constant.",
        "masked_mean keeps padding out of the value. The gradient goes back through exp and the "
        "product as well, and 0 · inf there is nan: padding must be gone before the arithmetic.",
        "Replace padding in logp, old_logp and advantage with torch.where(mask, ..., 0.0) first. "
        "Then ratio × detached advantage, then masked_mean of that.",
    ),
)

TENSORS = ("logp", "old_logp", "advantage")


@surrogate_objective.by_hand
def _() -> Iterator[Case]:
    full = torch.ones(1, 2, dtype=torch.bool)
    yield Case(
        "ratios 2 and 1/2, advantages 1 and −2: (2 − 1) / 2 = 1/2",
        {
            "logp": tensor([0.5, 0.25]).log(),
            "old_logp": tensor([0.25, 0.5]).log(),
            "advantage": tensor([1.0, -2.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "before any update every ratio is 1: the mean advantage, (3 − 1) / 2 = 1",
        {
            "logp": tensor([0.3, 0.6]).log(),
            "old_logp": tensor([0.3, 0.6]).log(),
            "advantage": tensor([3.0, -1.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "ratios 1, advantages 0 and 3: 3/2",
        {
            "logp": tensor([-1.0, -2.0]),
            "old_logp": tensor([-1.0, -2.0]),
            "advantage": tensor([0.0, 3.0]),
            "mask": full,
        },
        grad=TENSORS,
    )
    yield Case(
        "−120 against −121, and −1 against −26, advantages 1 and −1: (e − e²⁵) / 2",
        {
            "logp": tensor([-120.0, -1.0]),
            "old_logp": tensor([-121.0, -26.0]),
            "advantage": tensor([1.0, -1.0]),
            "mask": full,
        },
        part=GRADIENT,
        grad=("logp",),
    )
    yield Case(
        "−1 against −71, advantages −1 and 1: (1 − e⁷⁰) / 2",
        {
            "logp": tensor([-1.0, -1.0]),
            "old_logp": tensor([-71.0, -1.0]),
            "advantage": tensor([-1.0, 1.0]),
            "mask": full,
        },
        part=GRADIENT,
    )
    # Further apart than any that are drawn, so that a bound shows here or never among the values.
    yield Case(
        "3 nats up and 3 nats down, advantages 1, 2, −3 and −4: −(e³ + e⁻³) / 2",
        {
            "logp": tensor([-0.5, -3.5], [-0.5, -3.5]),
            "old_logp": tensor([-3.5, -0.5], [-3.5, -0.5]),
            "advantage": tensor([1.0, 2.0], [-3.0, -4.0]),
            "mask": full.expand(2, 2),
        },
        grad=TENSORS,
    )
    yield Case(
        "rows of 3 and 1, ratios 1, advantages 1, 2, 3 and 10: 4",
        {
            "logp": torch.full((2, 3), -1.0),
            "old_logp": torch.full((2, 3), -1.0),
            "advantage": tensor([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]),
            "mask": torch.tensor([[True, True, True], [True, False, False]]),
        },
        part=UNEQUAL,
        grad=("logp",),
    )


@surrogate_objective.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        drawn = {name: draw.logp(*mask.shape, dtype=dtype) for name in ("logp", "old_logp")}
        advantage = draw.normal(*mask.shape, dtype=dtype) + 0.3
        return drawn | {"advantage": advantage, "mask": mask}

    full = torch.ones(3, 4, dtype=torch.bool)
    yield Case("3 rows of 4 real tokens", inputs(full), grad=TENSORS)
    half = torch.arange(6) < torch.full((4, 1), 3)
    yield Case("4 rows, 3 of 6 tokens real", inputs(half), grad=TENSORS)
    yield Case("the same, no gradient asked for", inputs(half))
    yield Case("unequal rows", inputs(draw.lengths_mask(4, 6)), UNEQUAL, ("logp",))
    yield Case("gaps between real tokens", inputs(draw.scattered_mask(3, 5)), UNEQUAL, ("logp",))
    for name in TENSORS:
        poisoned = inputs(equal_rows(3, 5))
        fill = torch.tensor([INF, -INF, NAN]).repeat(5).reshape(3, 5)
        poisoned[name] = torch.where(poisoned["mask"], poisoned[name], fill)
        yield Case(f"inf and nan in the padding of {name}", poisoned, PADDING, ("logp",))
    mixed = inputs(equal_rows(3, 4))
    for name, poison in zip(TENSORS, (NAN, -INF, INF), strict=True):
        mixed[name] = mixed[name].masked_fill(~mixed["mask"], poison)
    yield Case("inf and nan in the padding of all three", mixed, PADDING, ("logp",))
    nothing = torch.zeros(2, 3, dtype=torch.bool)
    yield Case("no real token at all: 0", inputs(nothing), EMPTY, ("logp",))
    yield Case("float64, no real token", inputs(nothing, torch.float64), EMPTY)
    double = inputs(equal_rows(3, 4), torch.float64)
    yield Case("float64", double, part=RULES, grad=TENSORS)


def _clean(mask: Tensor, *tensors: Tensor) -> list[Tensor]:
    return [tensor.masked_fill(~mask, 0.0) for tensor in tensors]


def _gains(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    """Ratio × advantage, 0 in the padding."""
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    return (logp - old_logp).exp() * advantage


surrogate_objective.changed(
    "negated",
    "return masked_mean",
    "return -masked_mean",
    "The sign is turned: this is a loss. J is maximised, so a good token made likelier raises it; "
    "the minus belongs to the optimiser's loss.",
)
surrogate_objective.changed(
    "log_prob_times_advantage",
    "importance_ratio(logp, old_logp)",
    "logp",
    "This is log-probability × advantage: its gradient agrees with J's while policy and old are "
    "the same, its value does not. Use the ratio.",
)
surrogate_objective.changed(
    "log_ratio_times_advantage",
    "importance_ratio(logp, old_logp)",
    "(logp - old_logp.detach())",
    "This uses the log-ratio. The ratio itself, its exp, is weighted.",
)
surrogate_objective.changed(
    "ratio_swapped",
    "importance_ratio(logp, old_logp)",
    "(old_logp.detach() - logp).exp()",
    "The ratio is turned over: old / policy. The policy is on top.",
)
surrogate_objective.changed(
    "ratio_forgotten",
    "importance_ratio(logp, old_logp) * advantage.detach()",
    "advantage.detach()",
    "The ratio is missing: this is the mean advantage, whose value and gradient do not know the "
    "policy at all.",
)
surrogate_objective.changed(
    "policy_against_itself",
    "importance_ratio(logp, old_logp)",
    "importance_ratio(logp, logp)",
    "The ratio is 1 whatever has changed, as when the policy is compared with itself, logp − "
    "logp.detach(). The denominator is old_logp.",
)
surrogate_objective.changed(
    "ratio_held_constant",
    "importance_ratio(logp, old_logp) * advantage.detach()",
    "(importance_ratio(logp, old_logp) * advantage.detach()).detach() * logp",
    "Ratio × advantage was held constant and multiplied by logp: the gradient is J's, the value is "
    "not. J is ratio × advantage itself, with its gradient through the ratio.",
)
surrogate_objective.changed(
    "advantage_forgotten",
    "importance_ratio(logp, old_logp) * advantage.detach()",
    "importance_ratio(logp, old_logp)",
    "The advantage is missing: this is the mean ratio.",
)


@surrogate_objective.wrong(
    "This is PPO's clipped objective. It comes in a later lesson: J here is ratio × advantage, "
    "unclipped."
)
def clipped_objective(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    ratio = (logp - old_logp).exp()
    gains = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
    return gains.sum() / _count(mask)


@surrogate_objective.wrong("The advantages were standardised first. They are used as given here.")
def advantage_standardised(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    real = advantage[mask].detach()
    scale = real.std(unbiased=False) + 1e-8 if mask.any() else 1.0
    centre = real.mean() if mask.any() else 0.0
    return _gains(logp, old_logp, (advantage - centre) / scale, mask).sum() / _count(mask)


surrogate_objective.changed(
    "old_not_detached",
    "importance_ratio(logp, old_logp)",
    "(logp - old_logp).exp()",
    "The value is right, but a gradient flows into old_logp: the policy that drew the data is a "
    "constant.",
)
surrogate_objective.changed(
    "advantage_not_detached",
    "advantage.detach()",
    "advantage",
    "The value is right, but a gradient flows into advantage: it was measured on the data and is "
    "a constant. Detach it.",
)
surrogate_objective.changed(
    "nothing_detached",
    "importance_ratio(logp, old_logp) * advantage.detach()",
    "(logp - old_logp).exp() * advantage",
    "The value is right, but gradients flow into both old_logp and advantage. Both are constants: "
    "detach them.",
)
surrogate_objective.changed(
    "everything_detached",
    "advantage.detach(), mask)",
    "advantage.detach(), mask).detach()",
    "The value is right, but no gradient reaches logp, so nothing would be learnt. Detach "
    "old_logp and advantage alone.",
)
surrogate_objective.changed(
    "divided_by_all_places",
    "masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)",
    "(importance_ratio(logp, old_logp) * advantage.detach()).mean()",
    "The sum is over real tokens, the count is not: padding is in the mean. Divide by the number "
    "of True.",
)
surrogate_objective.changed(
    "divided_by_rows",
    "masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)",
    "(importance_ratio(logp, old_logp) * advantage.detach()).sum(-1).mean()",
    "Each response was summed, and the sums averaged over responses. The mean is over all real "
    "tokens of the batch: sum once, divide once.",
)
surrogate_objective.changed(
    "summed",
    "masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)",
    "(importance_ratio(logp, old_logp) * advantage.detach()).sum()",
    "This is the sum over real tokens: divide it by how many there are.",
)


@surrogate_objective.wrong(
    "This is the mean of the responses' means, another formula that libraries have too: in it, "
    "tokens of short responses count more. Asked is the mean over all real tokens of the batch."
)
def mean_of_row_means(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = _gains(logp, old_logp, advantage, mask)
    return (gains.sum(-1) / mask.sum(-1).clamp(min=1)).mean()


@surrogate_objective.wrong(
    "The mask was multiplied in, and 0 · inf is nan: padding reached the value. Replace padding "
    "with torch.where before any arithmetic."
)
def multiplied_by_mask(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = (logp - old_logp.detach()).exp() * advantage.detach()
    return (gains * mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "The inputs were multiplied by the mask, and 0 · inf is nan: what stands in padding reached "
    "the value. Replace it with torch.where instead."
)
def inputs_multiplied_by_mask(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    ratio = (logp * mask - old_logp.detach() * mask).exp()
    return (ratio * (advantage.detach() * mask) * mask).sum() / _count(mask)


@surrogate_objective.wrong("The mask was not used: padding counts as if it were real.")
def mask_ignored(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return reference.surrogate_objective(logp, old_logp, advantage, torch.ones_like(mask))


surrogate_objective.changed(
    "inputs_multiplied_then_masked",
    "torch.where(mask, values, 0.0)",
    "values * mask",
    "The value is right, but the gradient is nan: the inputs were multiplied by the mask, and "
    "0 · inf is nan already. Replace padding with torch.where instead.",
)


@surrogate_objective.wrong(
    "The value is right, but the gradient is nan: logp was multiplied by the mask, and 0 · inf is "
    "nan already; what stands in the padding of the other two comes in besides. Replace padding in "
    "all three with torch.where before any arithmetic."
)
def logp_alone_multiplied(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    gains = (logp * mask - old_logp.detach()).exp() * advantage.detach()
    return torch.where(mask, gains, 0.0).sum() / _count(mask)


surrogate_objective.changed(
    "padding_removed_too_late",
    "torch.where(mask, values, 0.0)",
    "values",
    "The value is right, but the gradient is nan: padding was removed after exp, and going back "
    "through exp multiplies 0 by inf. Replace it in the inputs first, in logp above all.",
)
surrogate_objective.changed(
    "nothing_over_nothing",
    "masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)",
    "(importance_ratio(logp, old_logp) * advantage.detach()).sum() / mask.sum()",
    "With no real token, 0 / 0 is nan. J of nothing is 0, as a right masked_mean has it.",
)


@surrogate_objective.wrong(
    "logp, old_logp and advantage were changed in place, as by x[~mask] = 0 or masked_fill_. "
    "Write into new tensors."
)
def in_place(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    for values in (logp, old_logp, advantage):
        values[~mask] = 0.0
    return reference.surrogate_objective(logp, old_logp, advantage, mask)


surrogate_objective.changed(
    "cast_to_float32",
    "torch.where(mask, values, 0.0)",
    "torch.where(mask, values.float(), 0.0)",
    "float64 came in and float32 went out: keep the dtype you are given.",
)
_RATIO, _GAINS = "importance_ratio(logp, old_logp)", "advantage.detach()"
_MEAN = f"masked_mean({_RATIO} * {_GAINS}, mask)"
_DIFFERENCE = "(logp - old_logp.detach())"
for _name, _line, _instead, _says in (
    (
        "importance_ratio_of_old_and_policy",
        _RATIO,
        "importance_ratio(old_logp, logp)",
        "The ratio is turned over, old / policy, and its gradient reaches old_logp in place of "
        "logp. importance_ratio takes logp first.",
    ),
    (
        "one_mean_a_response",
        _MEAN,
        f"({_RATIO} * {_GAINS}).sum(-1) / mask.sum(-1).clamp(min=1)",
        "One number for each response came back. The mean is over all real tokens of the batch: "
        "one number.",
    ),
    (
        "one_number_a_token",
        _MEAN,
        f"{_RATIO} * {_GAINS}",
        "This is ratio × advantage of each token, 0 in the padding: the masked mean is missing.",
    ),
    (
        "ratio_clipped",
        _RATIO,
        f"{_RATIO}.clamp(0.8, 1.2)",
        "The ratio was clipped to 0.8 … 1.2. J here is ratio × advantage, unclipped.",
    ),
    (
        "clipped_and_negated",
        f"return {_MEAN}",
        f"return -masked_mean(torch.minimum({_RATIO} * {_GAINS}, "
        f"{_RATIO}.clamp(0.8, 1.2) * {_GAINS}), mask)",
        "This is PPO's clipped loss. Another formula: J is unclipped, and is to be maximised.",
    ),
    (
        "log_prob_times_advantage_negated",
        f"return masked_mean({_RATIO}",
        "return -masked_mean(logp",
        "This is −log-probability × advantage, a policy-gradient loss. J has the ratio in its "
        "place, and is to be maximised.",
    ),
    (
        "standardised_by_the_sample_deviation",
        _GAINS,
        "((advantage.detach() - advantage.detach()[mask].mean())"
        " / (advantage.detach()[mask].std() + 1e-8))",
        "The advantages were standardised over the real tokens first. They are used as given here.",
    ),
    (
        "probability_times_advantage",
        _RATIO,
        "logp.exp()",
        "This is the policy's probability × advantage: the ratio divides it by old's.",
    ),
    (
        "logs_divided",
        _RATIO,
        "(logp / torch.where(mask, old_logp.detach(), 1.0))",
        "The log-probabilities were divided. A quotient of probabilities is a difference of "
        "logarithms, then exp.",
    ),
    (
        "advantage_added",
        f"{_RATIO} * {_GAINS}",
        f"{_RATIO} + {_GAINS}",
        "Ratio and advantage were added: multiply them.",
    ),
    (
        "advantage_by_size_alone",
        _GAINS,
        f"{_GAINS}.abs()",
        "The advantages lost their sign. What was worse than expected is to become less likely.",
    ),
    (
        "advantage_by_sign_alone",
        _GAINS,
        f"{_GAINS}.sign()",
        "Only the sign of the advantage was used. Its size counts too.",
    ),
    (
        "ratio_of_the_mean_difference",
        _MEAN,
        f"masked_mean({_DIFFERENCE}, mask).exp() * masked_mean({_GAINS}, mask)",
        "Log-ratios and advantages were averaged apart. Multiply token by token, then average.",
    ),
    (
        "ratio_of_the_response_as_gspo",
        _RATIO,
        f"({_DIFFERENCE}.sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp(min=1)).exp()",
        "Every token got its response's mean ratio (the geometric mean), as in GSPO. Another "
        "formula: here each token has its own ratio.",
    ),
    (
        "ratio_of_the_whole_response",
        _RATIO,
        f"{_DIFFERENCE}.sum(-1, keepdim=True).exp()",
        "Every token got the ratio of its whole response, the product of its tokens' ratios. Here "
        "each token has its own.",
    ),
    (
        "ratio_of_the_tokens_so_far",
        _RATIO,
        f"{_RATIO}.cumprod(-1)",
        "Every token got the product of the ratios up to its own place (cumprod, or a cumsum of "
        "the logarithms). Another formula: J weighs a token by its own ratio alone.",
    ),
    (
        "one_added_to_the_count",
        f"{_MEAN}",
        f"({_RATIO} * {_GAINS}).sum() / (mask.sum() + 1)",
        "1 was added to the count, so that every mean is too small. Change the count only where "
        "it is 0.",
    ),
    (
        "quotient_of_exps",
        _RATIO,
        "(logp.exp() / old_logp.detach().exp())",
        "The probabilities were divided: exp(−120) is 0 in float32, and 0 / 0 is nan. Subtract the "
        "logarithms first, as importance_ratio does.",
    ),
    (
        "cast_to_float64",
        "torch.where(mask, values, 0.0)",
        "torch.where(mask, values.double(), 0.0)",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    surrogate_objective.changed(_name, _line, _instead, _says)


for _low, _high in ((0.9, 1.1), (0.7, 1.3), (0.8, 1.28)):
    surrogate_objective.changed(
        f"clipped_to_{_low:g}_and_{_high:g}".replace(".", "_"),
        f"{_RATIO} * {_GAINS}",
        f"torch.minimum({_RATIO} * {_GAINS}, {_RATIO}.clamp({_low}, {_high}) * {_GAINS})",
        f"This is PPO's clipped objective, with bounds {_low:g} and {_high:g}. Another formula: J "
        "is ratio × advantage, unclipped.",
    )
for _bound in (1.2, 5.0):
    surrogate_objective.changed(
        f"cispo_at_{_bound:g}".replace(".", "_"),
        f"{_RATIO} * {_GAINS}",
        f"{_RATIO}.detach().clamp(max={_bound}) * {_GAINS} * logp",
        f"The ratio was cut off at {_bound:g}, held constant, and multiplied by advantage and "
        "logp, as in CISPO. Another formula: J is ratio × advantage.",
    )
surrogate_objective.changed(
    "ratio_capped_at_1",
    _RATIO,
    f"{_RATIO}.clamp(max=1)",
    "Ratios above 1 were cut off. J here is ratio × advantage, unclipped.",
)
for _bound in (10, 20):
    surrogate_objective.changed(
        f"log_ratio_clamped_at_{_bound}",
        _RATIO,
        f"{_DIFFERENCE}.clamp(-{_bound}, {_bound}).exp()",
        f"The log-ratio was clamped to ±{_bound} before exp. Nothing is clipped in J.",
    )


@surrogate_objective.wrong(
    "Padding was counted, with its own advantage and a ratio of 1, as when only the "
    "log-probabilities are multiplied by the mask. Leave padding out of the sum and the count."
)
def padding_counted_with_ratio_1(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, old_logp = _clean(mask, logp, old_logp.detach())
    return ((logp - old_logp).exp() * advantage.detach()).mean()


@surrogate_objective.wrong(
    "The sum has padding in it, while the count is that of real tokens: sum these alone."
)
def padding_summed_too(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return ((logp - old_logp.detach()).exp() * advantage.detach()).sum() / _count(mask)


@surrogate_objective.wrong(
    "The advantages were standardised first, over all places, padding included. They are used as "
    "given here."
)
def advantage_standardised_over_all(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    normal = (advantage.detach() - advantage.detach().mean()) / (advantage.detach().std() + 1e-8)
    return _gains(logp, old_logp, normal, mask).sum() / _count(mask)


@surrogate_objective.wrong(
    "This is ratio × advantage of each token, padding included: the masked mean is missing."
)
def one_number_a_place(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp() * advantage.detach()


@surrogate_objective.wrong("The mask is turned round: True is a real token, and padding counted.")
def mask_inverted(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    return reference.surrogate_objective(logp, old_logp, advantage, ~mask)


@surrogate_objective.wrong(
    "logp was changed in place, as by masked_fill_, sub_ or −=. Compute a new tensor."
)
def only_logp_changed(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    logp.masked_fill_(~mask, 0.0)
    return reference.surrogate_objective(logp, old_logp, advantage, mask)


surrogate_objective.changed(
    "ratio_less_one",
    "importance_ratio(logp, old_logp)",
    "torch.expm1(logp - old_logp.detach())",
    "This is (ratio − 1) × advantage: its gradient is J's, its value is not. The ratio itself is "
    "the weight.",
)
surrogate_objective.changed(
    "good_tokens_only",
    "advantage.detach()",
    "advantage.detach().clamp(min=0)",
    "Only tokens with a positive advantage were counted. What was worse than expected is to become "
    "less likely: keep both signs.",
)
surrogate_objective.changed(
    "product_of_means",
    "masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)",
    "masked_mean(importance_ratio(logp, old_logp), mask) * masked_mean(advantage.detach(), mask)",
    "Ratios and advantages were averaged apart, and the means multiplied. Multiply token by token, "
    "then average.",
)
surrogate_objective.changed(
    "advantage_centred",
    "advantage.detach()",
    "(advantage.detach() - masked_mean(advantage.detach(), mask))",
    "The advantages' mean was taken away first. They are what they are by the time they come in: "
    "use them unchanged.",
)


@surrogate_objective.right
def selected_first(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    ratio = torch.exp(logp[mask] - old_logp[mask].detach())
    return (ratio * advantage[mask].detach()).sum() / max(int(mask.sum()), 1)


@surrogate_objective.right
def as_a_dot_product(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    if not mask.any():
        return logp.new_zeros(())
    with torch.no_grad():
        old, gain = old_logp[mask], advantage[mask]
    return torch.einsum("n,n->", torch.exp(logp[mask] - old), gain) / mask.sum()


@surrogate_objective.right
def value_and_gradient_apart(
    logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor
) -> Tensor:
    logp, old_logp, advantage = _clean(mask, logp, old_logp.detach(), advantage.detach())
    ratio = (logp.detach() - old_logp).exp()
    moving = (logp - logp.detach()).exp()  # 1 in value, d logp in gradient
    return reference.masked_mean(ratio * moving * advantage, mask)


@surrogate_objective.right
def policy_alone_cleaned(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    # What is left of the padding meets a gradient of 0 at the first torch.where, and is dropped.
    ratio = (torch.where(mask, logp, 0.0) - old_logp.detach()).exp()
    return torch.where(mask, ratio * advantage.detach(), 0.0).sum() / _count(mask)


@surrogate_objective.right
def in_double_and_back(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    gains = _gains(logp.double(), old_logp.double(), advantage.double(), mask)
    return (gains.sum() / _count(mask)).to(logp.dtype)


@surrogate_objective.right
def row_by_row(logp: Tensor, old_logp: Tensor, advantage: Tensor, mask: Tensor) -> Tensor:
    total = logp.new_zeros(())
    for row, old, gain, real in zip(logp, old_logp, advantage, mask, strict=True):
        total = total + ((row[real] - old[real].detach()).exp() * gain[real].detach()).sum()
    return total / _count(mask)
