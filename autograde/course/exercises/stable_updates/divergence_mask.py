"""Say which tokens still teach: those that have not gone too far, or are on their way back."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

NEGATIVE = "negative advantage"

ZERO = "advantage 0"

FAR = "however far apart"

CONSTANTS = ("logp", "old_logp", "advantage")

divergence_mask = Exercise(
    "divergence_mask",
    parts={VALUES: 2, NEGATIVE: 1, ZERO: 1, FAR: 1, RULES: 1},
    hints=(
        "How much probability has the token gained or lost? That is a difference of two "
        "probabilities, and its sign says which way it went. Which way does the advantage push?",
        "A token is False where three things hold together: |p − q| > delta, p ≠ q, and the sign "
        "of p − q is that of the advantage. With advantage 0 nothing pushes, so that it is True.",
        "Let moved be logp.exp() − old_logp.exp(). (advantage > 0) & (moved > delta) is one kind "
        "of token that no longer teaches; write the other for advantage < 0. What is neither "
        "is True: ~ turns a mask round.",
    ),
)


def _tokens(
    q: Sequence[float], p: Sequence[float], advantage: float, delta: float = 0.2
) -> dict[str, Any]:
    """Tokens, one beside the other, that had probability q under old and have p now."""
    logs = {"logp": tensor(p).log(), "old_logp": tensor(q).log()}
    return logs | {"advantage": torch.full((1, len(p)), advantage), "delta": delta}


@divergence_mask.by_hand
def _() -> Iterator[Case]:
    near = (0.3, 0.3, 0.3), (0.55, 0.45, 0.05)
    title = "from 0.3 to 0.55, 0.45, 0.05 with advantage {}, delta 0.2: {}"
    for advantage, answer, part in (
        (1.0, "False, True, True", VALUES),
        (-1.0, "True, True, False", NEGATIVE),
        (0.0, "True, True, True", ZERO),
    ):
        says = title.format(f"{advantage:g}".replace("-", "−"), answer)
        yield Case(says, _tokens(*near, advantage), part)
    rare = _tokens((1e-4, 1e-4, 0.01), (3e-4, 0.02, 0.15), 1.0)
    yield Case("rare tokens with ratios 3, 200 and 15: True, none has moved by 0.2", rare)
    rare = _tokens((3e-4, 0.02, 0.15), (1e-4, 1e-4, 0.01), -1.0)
    yield Case("rare tokens that became rarer, advantage −1: True", rare, NEGATIVE)
    common = _tokens((0.7, 0.9, 0.99), (0.81, 0.95, 0.6), 1.0, delta=0.1)
    yield Case("common tokens, delta 0.1: False at +0.11 alone", common)
    common = _tokens((0.95, 0.9, 0.3), (0.8, 0.85, 0.9), -1.0, delta=0.1)
    yield Case("common tokens, delta 0.1, advantage −1: False at −0.15 alone", common, NEGATIVE)
    # Between the bounds of what people compare: ratios 1.55, 1.8, 2.6 and 0.55, 0.63, 0.2.
    up = _tokens((0.2, 0.2, 0.2), (0.31, 0.36, 0.52), 1.0, delta=0.5)
    yield Case("from 0.2 to 0.31, 0.36, 0.52, delta 0.5: True, none has moved by 0.5", up)
    down = _tokens((0.2, 0.2, 0.2), (0.11, 0.126, 0.04), -1.0, delta=0.5)
    yield Case("from 0.2 to 0.11, 0.126, 0.04, delta 0.5, advantage −1: True", down, NEGATIVE)
    each = _tokens((0.3,) * 6, (0.35, 0.38, 0.55, 0.35, 0.9, 0.6), 1.0)
    three = {name: x.reshape(3, 2) if isinstance(x, Tensor) else x for name, x in each.items()}
    yield Case("three responses with no, one and two far tokens: each token by itself", three)
    yield from _by_size()
    yield from _far_apart()


def _by_size() -> Iterator[Case]:
    """Advantages and deltas of sizes that the drawn cases never have."""
    q, p = (0.5, 0.5, 0.5, 0.5), (0.93, 0.55, 0.45, 0.08)
    for size in (0.03, 3000.0):
        up, down = (_tokens(q, p, sign * size) for sign in (1, -1))
        yield Case(f"advantage {size:g}: its size does not matter", up)
        yield Case(f"advantage −{size:g}: its size does not matter", down, NEGATIVE)
    yield Case("delta 0: any step further the same way is too far", _tokens(q, p, 1.0, 0.0))
    yield Case("delta 0, advantage −1", _tokens(q, p, -1.0, 0.0), NEGATIVE)
    yield Case("delta 0, advantage 0: True", _tokens(q, p, 0.0, 0.0), ZERO)
    yield Case("delta 1.5, more than two probabilities can differ: True", _tokens(q, p, 1.0, 1.5))
    # Neither hangs on rounding: exp(0) is 1 and exp(−1000) is 0.
    bound = {"logp": tensor([0.0]), "old_logp": tensor([-1000.0]), "advantage": tensor([1.0])}
    bound = {name: value.reshape(1, 1) for name, value in bound.items()} | {"delta": 1.0}
    yield Case("from 0 to 1, delta 1: True, 1 is not more than 1", bound)
    still = _tokens((0.3, 0.001, 1.0), (0.3, 0.001, 1.0), 1.0, 0.1)
    yield Case("the policy has not moved: True", still)
    apart = _tokens((0.1, 0.9, 0.1, 0.5), (0.9, 0.1, 0.15, 0.5), 0.0)
    yield Case("far from old both ways, with advantage 0: True", apart, ZERO)
    several = _tokens((0.1, 0.9, 0.6, 0.3), (0.52, 0.43, 0.49, 0.9), 1.0)
    several["advantage"] = tensor([1.0, 0.0, -1.0, 0.0])
    yield Case("advantages 1, 0, −1, 0: False at the first alone", several, ZERO)


def _far_apart() -> Iterator[Case]:
    logp = torch.tensor([[-0.01, -1000.0, -0.5, -990.0, -200.0, -700.0, -0.02, -0.3]])
    old_logp = torch.tensor([[-1000.0, -0.01, -95.0, -1000.0, -0.1, -699.0, -4.0, -60.0]])
    for dtype in (torch.float32, torch.float64):
        for sign, says in ((1.0, "1"), (-1.0, "−1")):
            inputs = {"logp": logp.to(dtype), "old_logp": old_logp.to(dtype)}
            inputs |= {"advantage": torch.full_like(inputs["logp"], sign), "delta": 0.3}
            name = str(dtype).removeprefix("torch.")
            title = f"log-probabilities between −1000 and 0, {name}, advantage {says}"
            yield Case(title, inputs, FAR)


@divergence_mask.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(
        *shape: int, delta: float = 0.15, dtype: torch.dtype = torch.float32
    ) -> dict[str, Any]:
        """Tokens that have moved by clearly less than delta, or clearly more, up or down."""
        near = draw.uniform(*shape, low=0.1, high=0.8, dtype=torch.float64) * delta
        far = draw.uniform(*shape, low=1.25 * delta, high=0.6, dtype=torch.float64)
        by = torch.where(draw.integers(*shape, below=2) > 0, near, far)
        less = 0.01 + draw.uniform(*shape, dtype=torch.float64) * (0.98 - by)
        up = draw.integers(*shape, below=2) > 0
        q, p = torch.where(up, less, less + by), torch.where(up, less + by, less)
        advantage = draw.uniform(*shape, low=0.2, high=2.0, dtype=dtype)
        logs = {"logp": p.log().to(dtype), "old_logp": q.log().to(dtype)}
        return logs | {"advantage": advantage, "delta": delta}

    def mixed(*shape: int, **options: Any) -> dict[str, Any]:
        found = inputs(*shape, **options)
        return found | {"advantage": draw.normal(*shape, dtype=found["logp"].dtype)}

    yield Case("positive advantages", inputs(4, 6))
    yield Case("delta 0.05", inputs(3, 5, delta=0.05))
    negative = inputs(4, 6)
    yield Case("negative advantages", negative | {"advantage": -negative["advantage"]}, NEGATIVE)
    yield Case("advantages of both signs", mixed(5, 8), NEGATIVE)
    tied = inputs(4, 6)
    tied["advantage"][1::2] = 0.0
    yield Case("half of the responses with advantage 0", tied, ZERO)
    logp = -draw.uniform(3, 6, low=5.0, high=20.0)
    rare = {"logp": logp, "old_logp": logp + draw.normal(3, 6, scale=3.0).clamp(max=2.5)}
    yield Case("rare tokens, far from old in nats", rare | {"advantage": -logp, "delta": 0.2})
    scattered = mixed(4, 6, delta=0.2)
    for name in ("logp", "old_logp"):
        low = scattered[name] - draw.uniform(4, 6, low=100.0, high=990.0)
        scattered[name] = torch.where(draw.integers(4, 6, below=3) > 0, scattered[name], low)
    yield Case("some of them hundreds of nats below 0", _placed(scattered), FAR)
    yield Case("float64", inputs(3, 5, dtype=torch.float64), RULES)
    yield Case("in a graph, which the mask has no part in", inputs(3, 5), RULES, CONSTANTS)
    yield Case("no token at all", inputs(2, 0), RULES)


def _placed(inputs: dict[str, Any]) -> dict[str, Any]:
    """With some far apart, whatever was drawn, and none next to the bound."""
    rows = {
        "logp": [-0.2, -700.0, -0.4, -300.0],
        "old_logp": [-500.0, -0.3, -90.0, -301.0],
        "advantage": [1.0, -1.0, -1.0, 1.0],
    }
    for name, values in rows.items():
        inputs[name][0, :4] = torch.tensor(values)
    near = ((inputs["logp"].exp() - inputs["old_logp"].exp()).abs() - inputs["delta"]).abs() < 1e-3
    inputs["logp"][near] = inputs["old_logp"][near]
    return inputs


@divergence_mask.right
def by_conditions(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    far = (p - q).abs() > delta
    further = (advantage > 0) & (p > q) | (advantage < 0) & (p < q)
    return ~(far & further)


FAR_LINE = "far = (p - q).abs() > delta"

FURTHER = "(advantage > 0) & (p > q) | (advantage < 0) & (p < q)"

PROBABILITIES = "p, q = logp.exp(), old_logp.exp()"

for _name, _line, _instead, _says in (
    (
        "clip_of_the_ratio",
        FAR_LINE,
        "far = ((logp - old_logp).exp() - 1).abs() > delta",
        "The ratio was compared: |p/q − 1| > delta, as PPO's clip does. Here it is the difference "
        "of the probabilities, |p − q|: a rare token may grow many times over and has hardly "
        "moved.",
    ),
    (
        "bounds_of_the_ratio_reciprocal",
        FAR_LINE,
        "far = (logp - old_logp).abs() > torch.tensor(1 + delta).log()",
        "The ratio was compared with 1 + delta and 1/(1 + delta). Here it is the difference of "
        "the probabilities, |p − q|.",
    ),
    (
        "logarithms_compared",
        FAR_LINE,
        "far = (logp - old_logp).abs() > delta",
        "The log-probabilities were compared: |logp − old_logp| > delta. The total variation is "
        "the difference of the probabilities: exp first, both.",
    ),
    (
        "relative_to_the_policy",
        FAR_LINE,
        "far = (1 - (old_logp - logp).exp()).abs() > delta",
        "The change was measured relative to the policy's own probability: |1 − q/p|. It is "
        "|p − q|, in probability itself.",
    ),
    (
        "relative_to_both",
        FAR_LINE,
        "far = (p - q).abs() > delta * torch.maximum(p, q)",
        "The change was measured relative to the larger probability. It is |p − q|, in "
        "probability itself.",
    ),
    (
        "at_the_bound_too",
        FAR_LINE,
        "far = (p - q).abs() >= delta",
        "A token that has moved by just delta was masked. Asked is |p − q| > delta: at the bound "
        "it still teaches.",
    ),
    (
        "halved",
        FAR_LINE,
        "far = (p - q).abs() / 2 > delta",
        "|p − q| was halved. Of “this token or not”, both outcomes move by |p − q|, and half of "
        "their sum is |p − q|: no factor is left.",
    ),
    (
        "doubled",
        FAR_LINE,
        "far = (p - q).abs() * 2 > delta",
        "|p − q| was counted twice, for this token and for all others. The total variation is "
        "half of that sum: |p − q|.",
    ),
    (
        "squared",
        FAR_LINE,
        "far = (p - q) ** 2 > delta",
        "The squared difference was compared with delta. It is |p − q|.",
    ),
    (
        "root_taken",
        FAR_LINE,
        "far = (p - q).abs().sqrt() > delta",
        "The root of |p − q| was compared with delta. It is |p − q| itself.",
    ),
    (
        "contribution_to_the_kl",
        FAR_LINE,
        "far = (q * (old_logp - logp)).abs() > delta",
        "The size of q · (log q − log p) was compared with delta, the token's part of a KL. Asked "
        "is the total variation, |p − q|.",
    ),
    (
        "policys_contribution_to_the_kl",
        FAR_LINE,
        "far = (p * (logp - old_logp)).abs() > delta",
        "The size of p · (log p − log q) was compared with delta, the token's part of a KL. Asked "
        "is the total variation, |p − q|.",
    ),
    (
        "half_a_square_of_nats",
        FAR_LINE,
        "far = (logp - old_logp) ** 2 / 2 > delta",
        "Half of the squared log-ratio, k2, was compared with delta. It estimates a KL, in nats "
        "per token; asked is |p − q|.",
    ),
    (
        "k3_compared",
        FAR_LINE,
        "far = (old_logp - logp).exp() - 1 - (old_logp - logp) > delta",
        "k3 was compared with delta. It estimates a KL from one sample, and a rare token makes it "
        "large; asked is |p − q|.",
    ),
    (
        "smaller_probability_compared",
        FAR_LINE,
        "far = torch.minimum(p, q) < delta",
        "A token counts as far when one of its probabilities is below delta. Far is how much they "
        "differ: |p − q| > delta.",
    ),
    (
        "policys_probability_compared",
        FAR_LINE,
        "far = p > delta",
        "The policy's probability alone was compared with delta. Compare how much it has changed, "
        "|p − q|.",
    ),
    (
        "advantage_compared",
        FAR_LINE,
        "far = advantage.abs() > delta",
        "delta was compared with the advantage. It bounds |p − q|; of the advantage the sign "
        "alone counts.",
    ),
    (
        "times_the_advantage",
        FAR_LINE,
        "far = ((p - q) * advantage).abs() > delta",
        "The product (p − q) · advantage was compared with delta. Of the advantage the sign alone "
        "counts: its size says how strong the push is, not how far the token has gone.",
    ),
    (
        "largest_of_the_response",
        FAR_LINE,
        "far = ((p - q).abs() > delta).any(dim=-1, keepdim=True)",
        "One far token made its whole response far. Each token is looked at by itself.",
    ),
    (
        "mean_of_the_response",
        FAR_LINE,
        "far = (p - q).abs().mean(dim=-1, keepdim=True) > delta",
        "|p − q| was averaged over each response. Each token is looked at by itself.",
    ),
    (
        "mean_of_the_batch",
        FAR_LINE,
        "far = (p - q).abs().mean() > delta",
        "|p − q| was averaged over the whole batch. Each token is looked at by itself.",
    ),
    (
        "direction_left_out",
        "return ~(far & further)",
        "return ~far",
        "Every far token was stopped, whichever way it is pushed. One whose advantage pushes it "
        "back towards old still teaches: False only where the push goes further the same way.",
    ),
    (
        "distance_left_out",
        "return ~(far & further)",
        "return ~further",
        "Every token that is pushed further the same way was stopped, however near it is. False "
        "needs both: further, and |p − q| > delta.",
    ),
    (
        "or_for_and",
        "return ~(far & further)",
        "return ~(far | further)",
        "A token was stopped where it is far *or* pushed further. Both have to hold: &.",
    ),
    (
        "inverted",
        "return ~(far & further)",
        "return far & further",
        "The mask is turned round: True stands where a token is stopped. True means that it still "
        "teaches.",
    ),
    (
        "direction_flipped",
        FURTHER,
        "(advantage > 0) & (p < q) | (advantage < 0) & (p > q)",
        "The direction is turned: stopped was who is pushed back towards old, and who runs away "
        "goes on. False is A > 0 with p > q, or A < 0 with p < q.",
    ),
    (
        "inverted_and_flipped",
        "return ~(far & further)",
        "return far & ~further",
        "True stands only at far tokens that are pushed back. A token that is near still teaches "
        "too, whichever way it is pushed: True is what is not both far and pushed further.",
    ),
    (
        "positive_alone",
        FURTHER,
        "(advantage > 0) & (p > q)",
        "A token with a negative advantage is never stopped, as when p − q is compared without its "
        "absolute value. Where A < 0 and p < q by more than delta, it is False too.",
    ),
    (
        "negative_alone",
        FURTHER,
        "(advantage < 0) & (p < q)",
        "A token with a positive advantage is never stopped. Where A > 0 and p > q by more than "
        "delta, it is False too.",
    ),
    (
        "upwards_alone",
        FURTHER,
        "p > q",
        "Every token that has become likelier was stopped, and none that has become rarer: the "
        "advantage was not looked at. Its sign says which way the push goes.",
    ),
    (
        "upwards_with_any_advantage",
        FURTHER,
        "(advantage != 0) & (p > q)",
        "Every token that has become likelier was stopped, for both signs of the advantage. With "
        "A < 0 it is the one that has become rarer that is pushed further.",
    ),
    (
        "downwards_alone",
        FURTHER,
        "p < q",
        "Every token that has become rarer was stopped, and none that has become likelier: the "
        "advantage was not looked at. Its sign says which way the push goes.",
    ),
    (
        "sign_of_the_advantage_alone",
        FURTHER,
        "advantage > 0",
        "A far token was stopped where its advantage is positive, whichever way it has moved. "
        "Compare p with q too.",
    ),
    (
        "negative_advantage_alone",
        FURTHER,
        "advantage < 0",
        "A far token was stopped where its advantage is negative, whichever way it has moved. "
        "Compare p with q too.",
    ),
    (
        "zero_counts_as_positive",
        FURTHER,
        "(advantage >= 0) & (p > q) | (advantage < 0) & (p < q)",
        "Advantage 0 was treated as a positive one. Nothing pushes such a token: True.",
    ),
    (
        "zero_counts_as_negative",
        FURTHER,
        "(advantage > 0) & (p > q) | (advantage <= 0) & (p < q)",
        "Advantage 0 was treated as a negative one. Nothing pushes such a token: True.",
    ),
    (
        "zero_stopped_when_far",
        FURTHER,
        "(advantage >= 0) & (p > q) | (advantage <= 0) & (p < q)",
        "A far token with advantage 0 was stopped. Nothing pushes it further: True, as A = 0 is "
        "neither A > 0 nor A < 0.",
    ),
    (
        "zero_does_not_teach",
        "return ~(far & further)",
        "return ~(far & further) & (advantage != 0)",
        "False stands wherever the advantage is 0. Such a token is pushed nowhere; the contract "
        "says True.",
    ),
    (
        "delta_written_in",
        FAR_LINE,
        "far = (p - q).abs() > 0.2",
        "0.2 was written in: the bound is delta, whatever it is.",
    ),
    (
        "log_ratio_clamped",
        FAR_LINE,
        "far = (q * ((logp - old_logp).clamp(-10.0, 10.0).exp() - 1)).abs() > delta",
        "The log-ratio was clamped before exp, so that a token that came from next to nothing "
        "seems to have gained next to nothing. exp(logp) − exp(old_logp) needs no clamp: neither "
        "can overflow.",
    ),
    (
        "from_the_ratio",
        FAR_LINE,
        "far = (q * ((logp - old_logp).exp() - 1)).abs() > delta",
        "p − q was computed as q · (ratio − 1). Right near old; far from it the ratio overflows "
        "where q rounds to 0, 0 · inf is nan, and nan > delta is False. Take exp of each "
        "logarithm: exp(logp) − exp(old_logp).",
    ),
    (
        "from_the_ratio_expm1",
        FAR_LINE,
        "far = (p * torch.expm1(old_logp - logp)).abs() > delta",
        "p − q was computed as p · (1 − q/p). Right near old; far from it q/p overflows where p "
        "rounds to 0, 0 · inf is nan, and nan > delta is False. Take exp of each logarithm: "
        "exp(logp) − exp(old_logp).",
    ),
    (
        "weights_in_place_of_a_mask",
        "return ~(far & further)",
        "return (~(far & further)).to(logp.dtype)",
        "Ones and zeros came back, as floating-point numbers. The answer is a mask: True and "
        "False, torch.bool.",
    ),
    (
        "whole_numbers_in_place_of_a_mask",
        "return ~(far & further)",
        "return (~(far & further)).long()",
        "Ones and zeros came back, as whole numbers. The answer is a mask: True and False, "
        "torch.bool. (As an index, whole numbers would pick rows.)",
    ),
    (
        "int32_in_place_of_a_mask",
        "return ~(far & further)",
        "return (~(far & further)).int()",
        "Ones and zeros came back, as whole numbers of 32 bits. The answer is a mask: True and "
        "False, torch.bool.",
    ),
    (
        "advantage_masked",
        "return ~(far & further)",
        "return torch.where(far & further, 0.0, advantage)",
        "The advantages came back, with 0 where a token is stopped. Return the mask itself.",
    ),
    (
        "ratio_masked",
        "return ~(far & further)",
        "return torch.where(far & further, 0.0, (logp - old_logp).exp())",
        "The ratios came back, with 0 where a token is stopped. Return the mask itself.",
    ),
    (
        "objective_returned",
        "return ~(far & further)",
        "return torch.where(far & further, 0.0, (logp - old_logp).exp() * advantage)",
        "This is the objective, ratio · advantage where a token still teaches. Return the mask "
        "itself.",
    ),
    (
        "all_of_the_response",
        "return ~(far & further)",
        "return (~(far & further)).all(dim=-1)",
        "One truth value for each response came back. Return one for each token.",
    ),
    (
        "all_of_the_batch",
        "return ~(far & further)",
        "return (~(far & further)).all()",
        "One truth value came back for the whole batch. Return one for each token.",
    ),
    (
        "share_returned",
        "return ~(far & further)",
        "return (~(far & further)).double().mean()",
        "The share of tokens that still teach came back. Return the mask, a truth value for each "
        "token.",
    ),
    (
        "logits_of_the_token",
        FAR_LINE,
        "far = (torch.sigmoid(logp) - torch.sigmoid(old_logp)).abs() > delta",
        "The sigmoid of the log-probabilities was taken. A logarithm is undone by exp.",
    ),
    (
        "softmax_over_the_response",
        PROBABILITIES,
        "p, q = logp.softmax(dim=-1), old_logp.softmax(dim=-1)",
        "A softmax was taken over the tokens of each response. They are log-probabilities "
        "already, of one token each: exp alone.",
    ),
    (
        "exp_of_the_policy_alone",
        PROBABILITIES,
        "p, q = logp.exp(), old_logp",
        "old_logp was used as it is: it is a logarithm, and below 0. Take exp of both.",
    ),
    (
        "nothing_stopped",
        "return ~(far & further)",
        "return torch.ones_like(far)",
        "True stands everywhere, whatever delta is. False is due where |p − q| > delta and the "
        "advantage pushes further the same way.",
    ),
):
    divergence_mask.changed(_name, _line, _instead, _says, of=by_conditions)


@divergence_mask.wrong(
    "The KL of “this token or not” was compared with delta. That is the other mask of the same "
    "paper, with a bound in nats; asked is the total variation, |p − q|."
)
def kl_of_two_outcomes(logp, old_logp, advantage, delta):
    p, q = (x.exp().clamp(1e-7, 1 - 1e-7) for x in (logp, old_logp))
    far = q * (q / p).log() + (1 - q) * ((1 - q) / (1 - p)).log() > delta
    further = (advantage > 0) & (p > q) | (advantage < 0) & (p < q)
    return ~(far & further)


@divergence_mask.wrong(
    "The KL of “this token or not”, from the policy's side, was compared with delta. Asked is the "
    "total variation, |p − q|."
)
def policys_kl_of_two_outcomes(logp, old_logp, advantage, delta):
    p, q = (x.exp().clamp(1e-7, 1 - 1e-7) for x in (logp, old_logp))
    far = p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log() > delta
    further = (advantage > 0) & (p > q) | (advantage < 0) & (p < q)
    return ~(far & further)


@divergence_mask.wrong(
    "The advantages' mean was subtracted before their signs were taken. They come as they are "
    "meant: use them as they are."
)
def advantage_centred(logp, old_logp, advantage, delta):
    return reference.divergence_mask(logp, old_logp, advantage - advantage.mean(), delta)


@divergence_mask.wrong(
    "logp was changed in place: exp_() writes the probabilities into the caller's tensor. "
    "Compute a new one."
)
def exp_in_place(logp, old_logp, advantage, delta):
    with torch.no_grad():
        answer = reference.divergence_mask(logp, old_logp, advantage, delta)
        logp.exp_()
    return answer


@divergence_mask.wrong(
    "old_logp was changed in place: exp_() writes the probabilities into the caller's tensor. "
    "Compute a new one."
)
def old_exp_in_place(logp, old_logp, advantage, delta):
    with torch.no_grad():
        answer = reference.divergence_mask(logp, old_logp, advantage, delta)
        old_logp.exp_()
    return answer


@divergence_mask.wrong(
    "Only the tokens that still teach came back, as positions or numbers in a row. Return a truth "
    "value for each token, in the shape of logp."
)
def positions_returned(logp, old_logp, advantage, delta):
    return reference.divergence_mask(logp, old_logp, advantage, delta).nonzero()


@divergence_mask.right
def by_sign(logp, old_logp, advantage, delta):
    moved = torch.sign(advantage) * (torch.exp(logp) - torch.exp(old_logp))
    return torch.le(moved, delta)


@divergence_mask.right
def token_by_token(logp, old_logp, advantage, delta):
    mask = torch.ones(logp.shape, dtype=torch.bool)
    for i in range(logp.shape[0]):
        for t in range(logp.shape[1]):
            p, q = logp[i, t].exp().item(), old_logp[i, t].exp().item()
            gain = advantage[i, t].item()
            if gain > 0 and p - q > delta or gain < 0 and q - p > delta:
                mask[i, t] = False
    return mask


@divergence_mask.right
def through_numpy(logp, old_logp, advantage, delta):
    p, q = logp.detach().double().exp().numpy(), old_logp.detach().double().exp().numpy()
    up = (advantage.detach().numpy() > 0) & (p > q + delta)
    down = (advantage.detach().numpy() < 0) & (p < q - delta)
    return ~torch.from_numpy(up | down)


@divergence_mask.right
def in_logarithms(logp, old_logp, advantage, delta):
    """log |p − q| = the larger logarithm + log(1 − exp(−|their difference|))."""
    gap = (logp - old_logp).detach()
    moved = torch.maximum(logp, old_logp).detach() + torch.log1p(-torch.exp(-gap.abs()))
    far = moved > torch.as_tensor(delta, dtype=logp.dtype).log()
    return torch.logical_not(far & (gap.sign() == advantage.sign()) & (advantage != 0))


@divergence_mask.right
def starting_from_true(logp: Tensor, old_logp: Tensor, advantage: Tensor, delta: float) -> Tensor:
    moved = logp.exp() - old_logp.exp()
    taught = torch.ones_like(moved, dtype=torch.bool)
    taught[(advantage > 0) & (moved > delta)] = False
    taught[(advantage < 0) & (-moved > delta)] = False
    return taught


@divergence_mask.right
def half_of_both_outcomes(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    outcomes = torch.stack([p - q, (1 - p) - (1 - q)])
    divergence = outcomes.abs().sum(dim=0) / 2
    return torch.where(advantage * (p - q) > 0, divergence <= delta, True)
