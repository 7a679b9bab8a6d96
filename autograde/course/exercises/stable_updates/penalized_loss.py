"""Write the loss that an optimiser minimises in order to maximise J − β·KL."""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import INF, NAN

UNEQUAL = "rows of unequal length"

PADDING = "padding"

EMPTY = "nothing real"

penalized_loss = Exercise(
    "penalized_loss",
    parts={VALUES: 2, GRADIENT: 2, UNEQUAL: 1, PADDING: 1, EMPTY: 1, RULES: 1},
    hints=(
        "Write the objective of one token first: ratio × advantage, less beta × kl. Then its mean "
        "over real tokens. An optimiser minimises: what is the sign of the whole?",
        "old_logp and advantage are constants, logp and kl are not: the penalty acts through its "
        "gradient alone. Choose with torch.where(mask, …, 0.0); do not multiply by the mask.",
        "Replace the padding of logp − old_logp before exp and that of the gain before the sum, "
        "and divide the sum by a count of True that clamp(min=1) keeps from being 0.",
    ),
)

BOTH = ("logp", "kl")

EVERYTHING = ("logp", "old_logp", "advantage", "kl")


@penalized_loss.by_hand
def _() -> Iterator[Case]:
    two, half = math.log(2), -math.log(2)

    def case(title: str, mask: list, part: str = VALUES, beta: float = 4.0, **changed: Any) -> Case:
        shape = torch.tensor(mask)
        inputs = {
            "logp": tensor([two - 1, half - 1])[:, : shape.shape[1]],
            "old_logp": tensor([-1.0, -1.0])[:, : shape.shape[1]],
            "advantage": tensor([3.0, -2.0])[:, : shape.shape[1]],
            "kl": tensor([0.5, 0.25])[:, : shape.shape[1]],
        }
        return Case(title, inputs | changed | {"mask": shape, "beta": beta}, part, BOTH)

    yield case("ratio 2, advantage 3, kl 1/2, beta 4: −(6 − 2) = −4", [[True]])
    # Each thing at a size that the drawn cases never reach: no bound is seen by luck alone.
    away = {"logp": tensor([5.0]), "old_logp": tensor([0.0])}
    yield case("ratio e⁵: −(3e⁵ − 2)", [[True]], **away)
    yield case("ratio e⁵, advantage −3: 3e⁵ + 2", [[True]], advantage=tensor([-3.0]), **away)
    back = {"logp": tensor([-5.0]), "old_logp": tensor([0.0]), "advantage": tensor([12.0])}
    yield case("ratio e⁻⁵, advantage 12, kl 1/2: −(12e⁻⁵ − 2)", [[True]], **back)
    dear = {"advantage": tensor([-12.0]), "kl": tensor([12.0])}
    yield case("ratio 2, advantage −12, kl 12: 24 + 48", [[True]], **dear)
    title = "a second token of advantage 0, kl 1/4: −(6 − 2 − 1)/2 = −1.5"
    yield case(title, [[True, True]], UNEQUAL, advantage=tensor([3.0, 0.0]))
    yield case(
        "and a token of ratio 1/2, advantage −2, kl 1/4: −(4 − 2)/2 = −1", [[True, True]], UNEQUAL
    )
    yield case("the same with beta 0: −(6 − 1)/2 = −2.5", [[True, True]], UNEQUAL, beta=0.0)
    yield case("the second token is padding: −4", [[True, False]], PADDING)
    for poison in (INF, NAN):
        poisoned = {
            "logp": tensor([two - 1, poison]),
            "old_logp": tensor([-1.0, -poison]),
            "advantage": tensor([3.0, poison]),
            "kl": tensor([0.5, poison]),
        }
        yield case(f"{poison} in the padding: −4", [[True, False]], PADDING, **poisoned)
    yield case("no real token at all: 0", [[False, False]], EMPTY)
    nothing = dict.fromkeys(EVERYTHING, tensor([NAN, INF]))
    yield case("no real token, nan and inf in the padding: 0", [[False, False]], EMPTY, **nothing)
    front = {name: tensor([NAN, 0.0]) for name in EVERYTHING}
    front |= {"advantage": tensor([NAN, 3.0]), "kl": tensor([NAN, 0.5])}
    yield case(
        "padding in front of a token of ratio 1: −(3 − 2) = −1", [[False, True]], PADDING, **front
    )
    below = {"kl": tensor([-0.5])}
    yield case("kl −1/2, as an estimate may be: −(6 + 2) = −8", [[True]], RULES, **below)
    far = {"logp": tensor([-1.0]), "old_logp": tensor([-66.0]), "advantage": tensor([-1.0])}
    yield case("65 nats from old, advantage −1", [[True]], GRADIENT, **far)
    lost = {"logp": tensor([-21.0]), "old_logp": tensor([-1.0]), "advantage": tensor([1e12])}
    yield case("ratio e⁻²⁰, advantage 10¹²: −(10¹² e⁻²⁰ − 2)", [[True]], GRADIENT, **lost)
    large = {"advantage": tensor([4000.0, -6000.0]), "kl": tensor([3000.0, 0.0])}
    title = "advantages 4000 and −6000, kl 3000 and 0: −(8000 − 12,000 − 3000)/2"
    yield case(title, [[True, True]], RULES, **large)
    rare = {"logp": tensor([-120.0]), "old_logp": tensor([-120.0])}
    title = "a token of probability e⁻¹²⁰ under both: −(3 − 2)"
    yield case(title, [[True]], RULES, **rare)


@penalized_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, beta: float = 0.73, dtype: torch.dtype = torch.float32) -> dict:
        old_logp = draw.logp(*mask.shape, dtype=dtype)
        return {
            "logp": old_logp + draw.normal(*mask.shape, scale=0.4, dtype=dtype),
            "old_logp": old_logp,
            "advantage": draw.normal(*mask.shape, dtype=dtype) + 0.3,
            "kl": draw.uniform(*mask.shape, low=0.05, high=1.0, dtype=dtype),
            "mask": mask,
            "beta": beta,
        }

    halves = torch.arange(6) < torch.full((4, 1), 3)
    yield Case("4 rows, 3 of 6 tokens real", inputs(halves), grad=EVERYTHING)
    yield Case("beta 2.5", inputs(halves, 2.5), grad=EVERYTHING)
    yield Case("no gradient asked for", inputs(halves))
    lengths = draw.lengths_mask(4, 7)
    yield Case("rows of unequal length", inputs(lengths), UNEQUAL, BOTH)
    poisoned = inputs(lengths)
    for name, poison in zip(EVERYTHING, (NAN, INF, -INF, NAN), strict=True):
        poisoned[name] = poisoned[name].masked_fill(~lengths, poison)
    yield Case("nan and inf in the padding", poisoned, PADDING, EVERYTHING)
    empty = inputs(torch.zeros(2, 3, dtype=torch.bool))
    yield Case("nothing real, no gradient asked for", empty, EMPTY)
    yield Case("float64", inputs(lengths, dtype=torch.float64), RULES, EVERYTHING)


def _ratio(logp: Tensor, old_logp: Tensor, mask: Tensor) -> Tensor:
    return (logp - old_logp).masked_fill(~mask, 0.0).exp()


def _mean(gain: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, gain, 0.0).sum() / mask.sum().clamp(min=1)


penalized_loss.changed(
    "objective_returned",
    "return -gain",
    "return gain",
    "The sign is turned: this is the objective, which is to be maximised. An optimiser minimises, "
    "so the loss is its negative.",
)
penalized_loss.changed(
    "divergence_rewarded",
    "- beta * kl",
    "+ beta * kl",
    "The penalty has the wrong sign: minimising this loss rewards divergence. The objective is "
    "J − β·KL, so the loss, its negative, holds + β·KL.",
)
penalized_loss.changed(
    "beta_forgotten", "beta * kl", "kl", "The penalty was not weighted: multiply kl by beta."
)


@penalized_loss.wrong("The penalty is missing: beta and kl were not used.")
def penalty_forgotten(logp, old_logp, advantage, kl, mask, beta):
    return reference.penalized_loss(logp, old_logp, advantage, kl, mask, 0.0)


@penalized_loss.wrong("kl was divided by beta. A larger beta is a stronger penalty: multiply.")
def divided_by_beta(logp, old_logp, advantage, kl, mask, beta):
    weight = 1 / beta if beta else 0.0
    return reference.penalized_loss(logp, old_logp, advantage, kl, mask, weight)


penalized_loss.changed(
    "beta_on_the_gain",
    "ratio * advantage.detach() - beta * kl",
    "beta * ratio * advantage.detach() - kl",
    "beta weighs the gain here and not the penalty. The objective is J − β·KL.",
)
penalized_loss.changed(
    "penalty_detached",
    "beta * kl",
    "beta * kl.detach()",
    "The value is right, but kl was detached, so the penalty changes no gradient and holds nothing "
    "back. kl is differentiable: leave it in the graph.",
)
penalized_loss.changed(
    "ratio_detached",
    ".exp()",
    ".exp().detach()",
    "The value is right, but no gradient passes through the ratio: it was detached, or the logp in "
    "it was. Only old_logp and advantage are constants.",
)
penalized_loss.changed(
    "old_not_constant",
    "old_logp.detach()",
    "old_logp",
    "A gradient reaches old_logp. It is a constant: detach it.",
)
penalized_loss.changed(
    "advantage_not_constant",
    "advantage.detach()",
    "advantage",
    "A gradient reaches advantage. It is a constant: without detach, a critic would learn to "
    "promise more instead of predicting better.",
)


@penalized_loss.wrong(
    "A gradient reaches both old_logp and advantage. They are constants: detach them."
)
def nothing_detached(logp, old_logp, advantage, kl, mask, beta):
    return -_mean(_ratio(logp, old_logp, mask) * advantage - beta * kl, mask)


@penalized_loss.wrong(
    "beta was multiplied by the sum of kl, while the gain was averaged. Both are means over the "
    "real tokens."
)
def kl_summed(logp, old_logp, advantage, kl, mask, beta):
    gain = _ratio(logp, old_logp.detach(), mask) * advantage.detach()
    return beta * torch.where(mask, kl, 0.0).sum() - _mean(gain, mask)


@penalized_loss.wrong(
    "The gain is masked, kl is not: the penalty is the mean over real tokens and padding alike."
)
def kl_not_masked(logp, old_logp, advantage, kl, mask, beta):
    gain = _ratio(logp, old_logp.detach(), mask) * advantage.detach()
    return beta * kl.mean() - _mean(gain, mask)


penalized_loss.changed(
    "ratio_inverted",
    "logp - old_logp.detach()",
    "old_logp.detach() - logp",
    "The ratio is upside down: this is old over policy. exp(logp − old_logp).",
)
penalized_loss.changed(
    "log_ratio_used",
    "torch.where(mask, logp - old_logp.detach(), 0.0).exp()",
    "torch.where(mask, logp - old_logp.detach(), 0.0)",
    "exp is missing: logp − old_logp is the logarithm of the ratio. Its gradient is right at old "
    "and nowhere else.",
)
penalized_loss.changed(
    "ratio_forgotten",
    "ratio * advantage.detach() - beta * kl",
    "logp * advantage.detach() - beta * kl",
    "old_logp was not used: this is logp × advantage, the policy gradient for fresh data. From the "
    "second step on a batch, the data are old's: weigh them by the ratio.",
)
penalized_loss.changed(
    "penalty_inside_the_advantage",
    "ratio * advantage.detach() - beta * kl",
    "ratio * (advantage.detach() - beta * kl)",
    "beta × kl was multiplied into the ratio. The penalty stands beside ratio × advantage and "
    "is not weighted again: an exact KL needs no correction for who drew the token.",
)
penalized_loss.changed(
    "summed",
    "gain.sum() / mask.sum().clamp(min=1)",
    "gain.sum()",
    "Summed, not averaged: divide by the number of real tokens.",
)


@penalized_loss.wrong("The mask was not used: this is the mean over real tokens and padding alike.")
def mask_ignored(logp, old_logp, advantage, kl, mask, beta):
    everywhere = torch.ones_like(mask)
    return reference.penalized_loss(logp, old_logp, advantage, kl, everywhere, beta)


penalized_loss.changed(
    "divided_by_all_places",
    "gain.sum() / mask.sum().clamp(min=1)",
    "gain.mean()",
    "The sum is right, the count is not: this divides by all places, padding included.",
)
penalized_loss.changed(
    "mean_of_means",
    "gain.sum() / mask.sum().clamp(min=1)",
    "(gain.sum(1) / mask.sum(1).clamp(min=1)).mean()",
    "This is the mean of the rows' means: another average, not wrong in itself, but not what is "
    "asked. In it a token of a short response counts more than one of a long. Take one sum and one "
    "count for the whole batch.",
)


@penalized_loss.wrong(
    "inf or nan in the padding makes the loss nan, as where the mask is multiplied in: 0 · inf is "
    "nan. Choose with torch.where, or by indexing with the mask."
)
def mask_multiplied(logp, old_logp, advantage, kl, mask, beta):
    gain = (logp - old_logp.detach()).exp() * advantage.detach() - beta * kl
    return -(gain * mask).sum() / mask.sum().clamp(min=1)


penalized_loss.changed(
    "replaced_too_late",
    "torch.where(mask, logp - old_logp.detach(), 0.0)",
    "(logp - old_logp.detach())",
    "The value is right but its gradient is nan: the padding was replaced after exp. The gradient "
    "of a branch that is not chosen is still computed, so replace before exp as well.",
)
penalized_loss.changed(
    "mean_of_the_chosen",
    "gain.sum() / mask.sum().clamp(min=1)",
    "gain[mask].mean()",
    "Where no token is real, nan came back: the mean of nothing is 0/0. Keep the count from being "
    "0.",
)
penalized_loss.changed(
    "loss_as_a_number",
    "gain.sum() / mask.sum().clamp(min=1)",
    "(gain.sum() / mask.sum().clamp(min=1)).item()",
    "A Python number came back: .item() and float() cut the graph, and there is nothing left to "
    "differentiate. Return the tensor.",
)


@penalized_loss.wrong(
    "The ratio was clipped. This loss holds back by its penalty alone; clipping is the next step."
)
def clipped_as_well(logp, old_logp, advantage, kl, mask, beta):
    ratio, gains = _ratio(logp, old_logp.detach(), mask), advantage.detach()
    promise = torch.minimum(ratio * gains, ratio.clamp(0.8, 1.2) * gains)
    return -_mean(promise - beta * kl, mask)


penalized_loss.changed(
    "gain_minimised",
    "ratio * advantage.detach() - beta * kl",
    "-ratio * advantage.detach() - beta * kl",
    "Both terms have the same sign: −mean(ratio · A + β · KL) pays for divergence, and "
    "mean(ratio · A + β · KL) lowers the gain. The loss is −ratio · A + β · KL.",
)
penalized_loss.changed(
    "divided_by_the_rows",
    "mask.sum().clamp(min=1)",
    "len(mask)",
    "Divided by the number of rows. The mean is over real tokens: one sum and one count of them.",
)


@penalized_loss.wrong("float64 came in and float32 went out: keep the dtype you are given.")
def loss_cast_to_float32(logp, old_logp, advantage, kl, mask, beta):
    given = (values.float() for values in (logp, old_logp, advantage, kl))
    return reference.penalized_loss(*given, mask, beta)


@penalized_loss.wrong(
    "An input was changed in place: the caller's advantage is another one afterwards. Compute a "
    "new tensor."
)
def advantage_changed_in_place(logp, old_logp, advantage, kl, mask, beta):
    with torch.no_grad():
        advantage.masked_fill_(~mask, 0.0).mul_(2.0)
    return reference.penalized_loss(logp, old_logp, advantage / 2, kl, mask, beta)


penalized_loss.changed(
    "kl_squared", "beta * kl", "beta * kl.square()", "kl was squared: the penalty is beta · kl."
)
penalized_loss.changed(
    "beta_squared", "beta * kl", "beta**2 * kl", "beta was squared: the penalty is beta · kl."
)


@penalized_loss.wrong(
    "The advantages' mean was taken away first. They are what they are by the time they come in."
)
def advantage_centred(logp, old_logp, advantage, kl, mask, beta):
    mean = reference.masked_mean(advantage.detach(), mask)
    return reference.penalized_loss(logp, old_logp, advantage - mean, kl, mask, beta)


penalized_loss.changed(
    "advantage_without_its_sign",
    "advantage.detach()",
    "advantage.detach().abs()",
    "The sign of each advantage was dropped. What was worse than expected is to become less "
    "likely.",
)
penalized_loss.changed(
    "negative_kl_cut_off",
    "beta * kl",
    "beta * kl.clamp(min=0)",
    "Estimates of kl below 0 were cut off at 0. Those of single tokens may be negative, and their "
    "mean is only right with them.",
)


@penalized_loss.wrong(
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp)."
)
def quotient_of_probabilities(logp, old_logp, advantage, kl, mask, beta):
    logp, old_logp = (values.masked_fill(~mask, 0.0) for values in (logp, old_logp.detach()))
    return -_mean(logp.exp() / old_logp.exp() * advantage.detach() - beta * kl, mask)


penalized_loss.changed(
    "penalty_in_both_places",
    "ratio * advantage.detach() - beta * kl",
    "ratio * (advantage.detach() - beta * kl.detach()) - beta * kl",
    "beta · kl was charged twice: taken from the advantage, where the ratio weighs it, and once "
    "more beside it. Charge it once, beside the gain.",
)
penalized_loss.changed(
    "ratio_truncated",
    ".exp()",
    ".exp().clamp(max=3.0)",
    "Ratios above 3 were cut off (truncated weights). Nothing bounds the ratio here: the penalty "
    "alone holds back.",
)
penalized_loss.changed(
    "log_ratio_clamped",
    "0.0).exp()",
    "0.0).clamp(-20.0, 20.0).exp()",
    "The log-ratio was clamped to ±20 before exp. Nothing is to be clamped here: a token that far "
    "from old then has no gradient to bring it back.",
)


@penalized_loss.wrong(
    "Tokens of advantage 0 were left out. They pay their penalty, and they count."
)
def worthless_tokens_masked(logp, old_logp, advantage, kl, mask, beta):
    counted = mask & (advantage.detach() != 0)
    return reference.penalized_loss(logp, old_logp, advantage, kl, counted, beta)


penalized_loss.changed(
    "penalty_a_constant_in_the_advantage",
    "ratio * advantage.detach() - beta * kl",
    "ratio * (advantage - beta * kl).detach()",
    "beta × kl was taken from the advantage and is a constant there: the ratio weighs it, and no "
    "gradient reaches kl. The penalty stands beside ratio × advantage, and is differentiable.",
)
penalized_loss.changed(
    "loss_quotient_of_logarithms",
    "torch.where(mask, logp - old_logp.detach(), 0.0).exp()",
    "torch.where(mask, logp / old_logp.detach(), 1.0)",
    "The ratio is logp / old_logp here, a quotient of logarithms. That of the probabilities is "
    "exp(logp − old_logp).",
)
penalized_loss.changed(
    "old_left_out",
    "torch.where(mask, logp - old_logp.detach(), 0.0).exp()",
    "torch.where(mask, logp, 0.0).exp()",
    "old_logp was not used: exp(logp) is the policy's probability. Divide by old's, which is to "
    "subtract old_logp before exp.",
)
penalized_loss.changed(
    "own_estimate_of_kl",
    "beta * kl",
    "beta * (logp - old_logp.detach())",
    "kl was not used: the penalty is made of logp − old_logp, an estimate from the tokens drawn. "
    "kl is given, one number for each token: charge beta × kl.",
)
penalized_loss.changed(
    "own_k3",
    "beta * kl",
    "beta * ((old_logp.detach() - logp).expm1() + logp - old_logp.detach())",
    "kl was not used: the penalty is k3 of old and policy, estimated from the tokens drawn. kl is "
    "given, one number for each token: charge beta × kl.",
)


@penalized_loss.wrong(
    "The sum runs over padding too, while the count is of real tokens: leave the padding out of "
    "both."
)
def padding_summed(logp, old_logp, advantage, kl, mask, beta):
    gain = (logp - old_logp.detach()).exp() * advantage.detach() - beta * kl
    return -gain.sum() / mask.sum().clamp(min=1)


penalized_loss.changed(
    "loss_per_token",
    "gain.sum() / mask.sum().clamp(min=1)",
    "gain",
    "One number for each token came back: return their mean, one number for the batch.",
)
penalized_loss.changed(
    "loss_per_row",
    "gain.sum() / mask.sum().clamp(min=1)",
    "gain.sum(1) / mask.sum(1).clamp(min=1)",
    "One number for each row came back: return the mean over all real tokens, one number for the "
    "batch.",
)


def _normalised(advantage: Tensor, among: Tensor) -> Tensor:
    return (advantage - among.mean()) / (among.std() + 1e-8)


@penalized_loss.wrong(
    "The advantages were normalised, by mean and standard deviation over the real tokens (nan for "
    "a single one). They are what they are by the time they come in."
)
def advantage_normalised_over_tokens(logp, old_logp, advantage, kl, mask, beta):
    gains = _normalised(advantage, advantage[mask])
    return reference.penalized_loss(logp, old_logp, gains, kl, mask, beta)


@penalized_loss.wrong(
    "The advantages were normalised, by mean and standard deviation over all places, padding "
    "included (nan for a single one). They are what they are by the time they come in."
)
def advantage_normalised_over_places(logp, old_logp, advantage, kl, mask, beta):
    gains = _normalised(advantage, advantage)
    return reference.penalized_loss(logp, old_logp, gains, kl, mask, beta)


penalized_loss.changed(
    "one_ratio_for_a_row",
    "torch.where(mask, logp - old_logp.detach(), 0.0).exp()",
    "torch.where(mask, logp - old_logp.detach(), 0.0).sum(1, keepdim=True).exp()",
    "A row has one ratio here, of the whole response: the product of its tokens'. That is another "
    "objective, not wrong in itself, but not what is asked: each token has a ratio of its own.",
)
penalized_loss.changed(
    "mean_ratio_of_a_row",
    "torch.where(mask, logp - old_logp.detach(), 0.0).exp()",
    "(torch.where(mask, logp - old_logp.detach(), 0.0).sum(1, keepdim=True)"
    " / mask.sum(1, keepdim=True).clamp(min=1)).exp()",
    "A row has one ratio here, exp of its tokens' mean log-ratio: that is GSPO's, another "
    "objective, not wrong in itself, but not what is asked. Each token has a ratio of its own.",
)


penalized_loss.changed(
    "ratio_less_one",
    ".exp()",
    ".expm1()",
    "1 was taken from the ratio: ratio × advantage, with the ratio 1 where nothing has changed.",
)
penalized_loss.changed(
    "log_ratio_clamped_at_10",
    "0.0).exp()",
    "0.0).clamp(-10.0, 10.0).exp()",
    "The log-ratio was clamped to ±10 before exp. Nothing is to be clamped here: a token that "
    "far from old then has no gradient to bring it back.",
)


@penalized_loss.wrong(
    "The gain is masked, kl is not: its sum runs over padding too, while the count is of real "
    "tokens."
)
def kl_padding_summed(logp, old_logp, advantage, kl, mask, beta):
    gain = _ratio(logp, old_logp.detach(), mask) * advantage.detach()
    return beta * kl.sum() / mask.sum().clamp(min=1) - _mean(gain, mask)


@penalized_loss.right
def chosen_tokens_only(logp, old_logp, advantage, kl, mask, beta):
    if not mask.any():
        return (logp[mask].sum() + kl[mask].sum()) * 0
    ratio = math.e ** (logp[mask] - old_logp[mask].detach())
    return beta * kl[mask].mean() - (ratio * advantage[mask].detach()).mean()


@penalized_loss.right
def token_by_token(logp, old_logp, advantage, kl, mask, beta):
    total, count = logp.new_zeros(()), 0
    for b, t in mask.nonzero().tolist():
        ratio = torch.exp(logp[b, t] - old_logp[b, t].item())
        total = total - ratio * advantage[b, t].item() + beta * kl[b, t]
        count += 1
    return total / max(count, 1)


@penalized_loss.right
def nan_to_num_first(logp, old_logp, advantage, kl, mask, beta):
    old_logp, advantage = old_logp.detach(), advantage.detach()
    clean = (values.masked_fill(~mask, 0.0) for values in (logp, old_logp, advantage, kl))
    logp, old_logp, advantage, kl = clean
    weight = mask.to(logp.dtype) / max(int(mask.sum()), 1)
    promised = torch.einsum("bt,bt,bt->", (logp - old_logp).exp(), advantage, weight)
    return beta * (kl * weight).sum() - promised


@penalized_loss.right
def by_masked_select(logp, old_logp, advantage, kl, mask, beta):
    pick = (values.masked_select(mask) for values in (logp, old_logp, advantage, kl))
    logp, old_logp, advantage, kl = pick
    losses = beta * kl - advantage.detach() * (logp - old_logp.detach()).exp()
    return losses.sum() / max(losses.numel(), 1)
