"""Tell how many times likelier the policy makes each token than old did."""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor

from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor

UNLIKELY = "unlikely tokens"

importance_ratio = Exercise(
    "importance_ratio",
    parts={VALUES: 1, GRADIENT: 1, UNLIKELY: 1, RULES: 1},
    hints=(
        "Both inputs are logarithms. What does a quotient of probabilities become when you have "
        "their logarithms?",
        "Subtract first, then exp: exp(logp) by itself is 0 for an unlikely token, and 0 / 0 is "
        "nan. One of the two is a constant: which policy is not being trained?",
        "A constant is a tensor that has left the graph: old_logp.detach(). Take logp minus that, "
        "and one more function of the difference.",
    ),
)


@importance_ratio.by_hand
def _() -> Iterator[Case]:
    both = ("logp", "old_logp")
    quarter, half = tensor([0.25]).log(), tensor([0.5]).log()
    yield Case("from 1/4 to 1/2: 2", {"logp": half, "old_logp": quarter}, grad=both)
    yield Case("from 1/2 to 1/4: 1/2", {"logp": quarter, "old_logp": half}, grad=both)
    yield Case("nothing changed: 1", {"logp": half, "old_logp": half}, grad=both)
    # Further apart than any that are drawn, so that a bound shows here or never among these.
    near, far = tensor([-0.5, -3.5]), tensor([-3.5, -0.5])
    yield Case("3 nats up and 3 nats down: e³ and e⁻³", {"logp": near, "old_logp": far}, grad=both)
    exact = {"logp": tensor([-15.0, -14.0], dtype=torch.float64)}
    exact["old_logp"] = exact["logp"].flip(1)
    yield Case("float64, tokens of about 1e-6: 1/e and e", exact, RULES, both)
    yield Case(
        "−120 against −121 and −121 against −120: e and 1/e",
        {"logp": tensor([-120.0, -121.0]), "old_logp": tensor([-121.0, -120.0])},
        part=UNLIKELY,
        grad=("logp",),
    )
    yield Case(
        "a token 25 nats likelier than it was: e to the 25",
        {"logp": tensor([-1.0, -2.0]), "old_logp": tensor([-26.0, -2.0])},
        part=UNLIKELY,
        grad=("logp",),
    )
    yield Case(
        "a token 75 nats likelier than it was: e to the 75",
        {"logp": tensor([-1.0, -2.0]), "old_logp": tensor([-76.0, -2.0])},
        part=UNLIKELY,
    )


@importance_ratio.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {name: draw.logp(*shape, dtype=dtype) for name in ("logp", "old_logp")}

    both = ("logp", "old_logp")
    yield Case("3 rows of 4 tokens", inputs(3, 4), grad=both)
    yield Case("one row of 5", inputs(1, 5), grad=both)
    yield Case("two rows of one token, no gradient asked for", inputs(2, 1))
    yield Case("an empty row", inputs(2, 0))
    yield Case("float64", inputs(2, 3, dtype=torch.float64), part=RULES, grad=both)
    far = {name: value - 110.0 for name, value in inputs(2, 3).items()}
    yield Case("log-probabilities below −110", far, UNLIKELY, ("logp",))


importance_ratio.changed(
    "swapped",
    "logp - old_logp.detach()",
    "old_logp.detach() - logp",
    "Turned over: this is old / policy. The policy being trained is on top.",
)
importance_ratio.changed(
    "log_ratio",
    "(logp - old_logp.detach()).exp()",
    "logp - old_logp.detach()",
    "This is the logarithm of the ratio: exp is still missing.",
)


@importance_ratio.wrong(
    "The log-probabilities were divided. A quotient of probabilities is a difference "
    "of logarithms, then exp."
)
def ratio_of_logs(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp / old_logp.detach()


importance_ratio.changed(
    "with_expm1",
    ".exp()",
    ".expm1()",
    "This is ratio − 1, as from expm1. An unchanged token has a ratio of 1.",
)
importance_ratio.changed(
    "base_two",
    ".exp()",
    ".exp2()",
    "This is a power of 2, as from exp2. Log-probabilities are in nats, so the inverse is exp.",
)
importance_ratio.changed(
    "old_not_detached",
    "old_logp.detach()",
    "old_logp",
    "The value is right, but a gradient flows into old_logp. The old policy drew the data and is "
    "fixed: detach it.",
)
importance_ratio.changed(
    "wrong_one_detached",
    "logp - old_logp.detach()",
    "logp.detach() - old_logp",
    "The value is right, but the policy was held constant and old was not. Detach old_logp, "
    "leave logp in the graph.",
)
importance_ratio.changed(
    "everything_detached",
    ".exp()",
    ".exp().detach()",
    "The value is right, but nothing can learn from it: no gradient reaches logp. Detach "
    "old_logp alone.",
)


@importance_ratio.wrong(
    "The probabilities were divided: exp(−120) is 0 in float32, and 0 / 0 is nan. Subtract the "
    "logarithms first, take exp once."
)
def quotient_of_exps(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp() / old_logp.detach().exp()


@importance_ratio.wrong(
    "The ratio of two unlikely tokens came back as 0, as when nan_to_num hides the 0 / 0. Subtract "
    "the logarithms first, take exp once."
)
def quotient_with_nan_replaced(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.exp() / old_logp.detach().exp()).nan_to_num()


def _quotient_with_constant(size: float, logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp() / (old_logp.detach().exp() + size)


for _size in (3, 4, 5, 6, 7, 8, 9, 10, 12):
    importance_ratio.mistakes.append(
        Mistake(
            f"quotient_with_constant_1e_{_size}",
            f"About 1e-{_size} in the denominator hides the 0 / 0: an unlikely token now has a "
            "ratio of 0. Subtract the logarithms first, take exp once.",
            partial(_quotient_with_constant, 10.0**-_size),
        )
    )


NOT_CLIPPED = (
    "Nothing is clipped in this exercise: a clamped ratio has no gradient, and its value is "
    "another one."
)


for _bound in (5, 10, 20):
    for _name, _says, _instead in (
        (
            "log_ratio_clamped",
            "The log-ratio was clamped before exp, to ±",
            f".clamp(-{_bound}, {_bound}).exp()",
        ),
        ("ratio_capped", "The ratio was cut off at ", f".exp().clamp(max={_bound})"),
    ):
        importance_ratio.changed(
            f"{_name}_at_{_bound}", ".exp()", _instead, f"{_says}{_bound}. {NOT_CLIPPED}"
        )


importance_ratio.changed(
    "policy_against_itself",
    "old_logp.detach()",
    "logp.detach()",
    "This is 1 whatever has changed, as when the policy is compared with itself, logp − "
    "logp.detach(). The denominator is old_logp, what the policy was when it drew the data.",
)
importance_ratio.changed(
    "geometric_mean_for_each_token",
    ".exp()",
    ".mean(-1, keepdim=True).exp().expand_as(logp)",
    "Every token got one ratio, the geometric mean over its response. Each has its own: average "
    "nothing.",
)
importance_ratio.changed(
    "clipped",
    ".exp()",
    ".exp().clamp(0.8, 1.2)",
    "The ratio was clipped to 0.8 … 1.2. That belongs to PPO's objective, in a later lesson; the "
    "ratio itself is not clipped.",
)
importance_ratio.changed(
    "of_whole_responses",
    ".exp()",
    ".sum(-1).exp()",
    "This is one ratio a row, that of the whole response: the product of its tokens' ratios. "
    "Return one a token.",
)
importance_ratio.changed(
    "response_ratio_for_each_token",
    ".exp()",
    ".sum(-1, keepdim=True).exp().expand_as(logp)",
    "Every token of a row got the ratio of the whole response, the product of its tokens' ratios. "
    "Each token has its own: sum nothing.",
)
importance_ratio.changed(
    "ratios_summed",
    ".exp()",
    ".exp().sum(-1)",
    "The ratios were summed over the response. Return one ratio for each token.",
)
importance_ratio.changed(
    "ratio_of_the_words_so_far",
    ".exp()",
    ".cumsum(-1).exp()",
    "The ratios were multiplied up along the row: this is the ratio of the words so far. Return "
    "that of each token alone.",
)
importance_ratio.changed(
    "softmax_of_the_difference",
    ".exp()",
    ".softmax(-1)",
    "softmax makes the row sum to 1. The log-probabilities are normalised already, each over its "
    "own vocabulary: take exp of the difference alone.",
)


@importance_ratio.wrong(
    "Both inputs went through softmax, which normalises them over the tokens of a row. They are "
    "log-probabilities already: subtract them, then exp."
)
def quotient_of_softmaxes(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.softmax(-1) / old_logp.detach().softmax(-1)


importance_ratio.changed(
    "in_place",
    "logp - old_logp.detach()",
    "logp.sub_(old_logp.detach())",
    "An input was changed in place (sub_, exp_, −=): compute a new tensor.",
)
importance_ratio.changed(
    "cast_to_float32",
    "logp - old_logp.detach()",
    "logp.float() - old_logp.detach().float()",
    "float64 came in and float32 went out: keep the dtype you are given.",
)
_RATIO = "(logp - old_logp.detach()).exp()"
for _size in (6, 8, 10, 12):
    importance_ratio.changed(
        f"constant_in_both_1e_{_size}",
        _RATIO,
        f"(logp.exp() + 1e-{_size}) / (old_logp.detach().exp() + 1e-{_size})",
        f"About 1e-{_size} was added to both probabilities: two unlikely tokens now have a ratio "
        "of 1. Subtract the logarithms first, take exp once.",
    )
    importance_ratio.changed(
        f"denominator_clamped_1e_{_size}",
        _RATIO,
        f"logp.exp() / old_logp.detach().exp().clamp(min=1e-{_size})",
        f"The denominator was clamped at 1e-{_size}: an unlikely token now has a ratio near 0. "
        "Subtract the logarithms first, take exp once.",
    )


for _name, _instead, _says in (
    ("averaged", f"{_RATIO}.mean()", "One number came back, the mean ratio. Return one a token."),
    (
        "summed",
        f"{_RATIO}.sum()",
        "One number came back, the sum of all ratios. Return one for each token.",
    ),
    (
        "ratios_averaged",
        f"{_RATIO}.mean(-1)",
        "The ratios were averaged over the response. Return one ratio for each token.",
    ),
    (
        "geometric_mean",
        "(logp - old_logp.detach()).mean(-1).exp()",
        "One ratio a row came back, the geometric mean over its response, as GSPO has it. Another "
        "formula: here each token has its own ratio.",
    ),
    (
        "geometric_mean_of_all",
        "(logp - old_logp.detach()).mean().exp()",
        "One number came back, the geometric mean of all ratios. Return one for each token.",
    ),
    (
        "ratio_of_everything",
        "(logp - old_logp.detach()).sum().exp()",
        "One number came back, the product of all ratios. Return one for each token.",
    ),
    (
        "old_still_a_logarithm",
        "logp.exp() / old_logp.detach()",
        "A probability was divided by a logarithm: exp was taken of logp alone.",
    ),
    (
        "policy_still_a_logarithm",
        "logp / old_logp.detach().exp()",
        "A logarithm was divided by a probability: exp was taken of old_logp alone.",
    ),
    (
        "logs_added",
        "(logp + old_logp.detach()).exp()",
        "This is the product of the two probabilities: their logarithms were added. Subtract.",
    ),
    (
        "logs_multiplied",
        "(logp * old_logp.detach()).exp()",
        "This is exp(logp · old_logp): subtract the logarithms, do not multiply them.",
    ),
    (
        "exponential_of_a_quotient",
        "(logp / old_logp.detach()).exp()",
        "This is exp(logp / old_logp). A quotient of probabilities is a difference of logarithms: "
        "subtract, then exp.",
    ),
    (
        "logarithms_again",
        "(logp.log() - old_logp.detach().log()).exp()",
        "A logarithm was taken of log-probabilities, which are below 0, and that is nan. They are "
        "logarithms already.",
    ),
    (
        "difference_of_probabilities",
        "logp.exp() - old_logp.detach().exp()",
        "This is the difference policy − old of the probabilities. The ratio is policy / old.",
    ),
    (
        "relative_to_the_policy",
        "1 - (old_logp.detach() - logp).exp()",
        "This is 1 − old/policy, a relative change. The ratio is policy / old.",
    ),
    (
        "mean_ratio_a_row",
        f"{_RATIO}.mean(-1, keepdim=True)",
        "The ratios were averaged over the response, its axis left with length 1. Return one ratio "
        "for each token.",
    ),
    (
        "logarithm_of_a_quotient",
        "(logp / old_logp.detach()).log()",
        "A logarithm was taken of logp / old_logp. They are logarithms already: subtract, then "
        "exp.",
    ),
    (
        "times_the_log_probability",
        f"{_RATIO}.detach() * logp",
        "The ratio was held constant and multiplied by logp: the gradient is that of the ratio, "
        "the value is not. Return the ratio itself.",
    ),
    (
        "weighted_by_the_policy",
        f"logp.exp() * {_RATIO}",
        "The ratio was multiplied by the policy's probability: return it as it is.",
    ),
    ("base_ten", "10 ** (logp - old_logp.detach())", "This is a power of 10: nats want exp."),
    (
        "old_probability",
        "(old_logp.detach() + 0 * logp).exp()",
        "This is old's probability alone: the policy's, divided by it, is the ratio.",
    ),
    (
        "gradient_of_the_log_ratio",
        f"{_RATIO}.detach() + logp - logp.detach()",
        "The value is right, but its gradient is that of logp: the ratio itself was detached. The "
        "gradient of a ratio is the ratio.",
    ),
    (
        "old_changed_in_place",
        "(logp - old_logp.detach_()).exp() + old_logp.neg_() * 0",
        "old_logp was changed in place, as by exp_, neg_ or −=: compute a new tensor.",
    ),
    (
        "cast_to_float64",
        "(logp.double() - old_logp.detach().double()).exp()",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    importance_ratio.changed(_name, _RATIO, _instead, _says)


importance_ratio.changed(
    "first_order_only",
    "(logp - old_logp.detach()).exp()",
    "1 + (logp - old_logp.detach())",
    "This is 1 + (logp − old_logp), which is near the ratio only while little has moved. Take exp.",
)


@importance_ratio.wrong("This is the policy's probability alone: divide by old's.")
def old_forgotten(logp: Tensor, old_logp: Tensor) -> Tensor:
    return logp.exp()


importance_ratio.changed(
    "never_below_one",
    ".exp()",
    ".abs().exp()",
    "The sign of the difference was dropped, so no ratio is below 1. A token that became less "
    "likely has one below 1.",
)
importance_ratio.changed(
    "sigmoid_of_the_difference",
    ".exp()",
    ".sigmoid()",
    "This is a sigmoid, policy / (policy + old). The ratio is policy / old: exp of the difference.",
)


@importance_ratio.right
def under_no_grad(logp: Tensor, old_logp: Tensor) -> Tensor:
    with torch.no_grad():
        old = old_logp.clone()
    return torch.exp(logp - old)


@importance_ratio.right
def inverse_of_the_inverse(logp: Tensor, old_logp: Tensor) -> Tensor:
    return 1 / torch.exp(old_logp.detach() - logp)


@importance_ratio.right
def quotient_in_double(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (logp.double().exp() / old_logp.detach().double().exp()).to(logp.dtype)


@importance_ratio.right
def token_by_token_ratio(logp: Tensor, old_logp: Tensor) -> Tensor:
    out = torch.zeros_like(logp)
    for b in range(logp.shape[0]):
        for t in range(logp.shape[1]):
            out[b, t] = torch.exp(logp[b, t] - old_logp[b, t].detach())
    return out


@importance_ratio.right
def square_of_the_root(logp: Tensor, old_logp: Tensor) -> Tensor:
    return (0.5 * (logp - old_logp.detach())).exp().square()


@importance_ratio.right
def one_plus_expm1(logp: Tensor, old_logp: Tensor) -> Tensor:
    return 1 + torch.expm1(logp - old_logp.data)
