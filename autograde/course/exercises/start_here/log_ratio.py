"""Tell how many times likelier p is than q, as a logarithm."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

TINY = "tiny probabilities"

log_ratio = Exercise(
    "log_ratio",
    parts={VALUES: 1, GRADIENT: 1, TINY: 1, RULES: 1},
    hints=(
        "The answer is a difference of two logarithms, entry by entry. Which logarithm gives nats?",
        "torch.log works on a whole tensor, and so does minus: no loop is needed. Do not leave the "
        "graph (no .item(), .detach() or numpy), as the gradient with respect to p counts.",
        "p.log() is the first of the two terms. Nothing needs to be added inside the logarithm: "
        "the probabilities are above 0. Subtract the second term and return.",
    ),
)


@log_ratio.by_hand
def _() -> Iterator[Case]:
    yield Case("p = 1/2, q = 1/4: log 2", {"p": tensor(0.5), "q": tensor(0.25)}, grad=("p",))
    yield Case("p = 1/4, q = 1/2: −log 2", {"p": tensor(0.25), "q": tensor(0.5)}, grad=("p",))
    yield Case("p = q = 0.3: 0", {"p": tensor(0.3, 0.3), "q": tensor(0.3, 0.3)}, grad=("p",))
    yield Case("p = 1, q = 0.1: log 10", {"p": tensor(1.0), "q": tensor(0.1)}, grad=("p",))
    # Further apart than any that are drawn, so that a bound shows here or never among these.
    apart = {"p": tensor(1.0, 0.01), "q": tensor(0.01, 1.0)}
    yield Case("1 against 1/100 and 1/100 against 1: log 100 and −log 100", apart, grad=("p",))
    exact = {name: value.double() for name, value in apart.items()}
    yield Case("the same in float64", exact, RULES, ("p",))
    yield Case(
        "one in a trillion against one in a million",
        {"p": tensor(1e-12, 1e-6), "q": tensor(1e-6, 1e-12)},
        part=TINY,
    )
    yield Case(
        "1e-36 against 1e-18, smaller than any number to add",
        {"p": tensor(1e-36, 1e-18), "q": tensor(1e-18, 1e-36)},
        part=TINY,
    )
    yield Case(
        "1 against 1e-34: log 1e34",
        {"p": tensor(1.0, 1e-34), "q": tensor(1e-34, 1.0)},
        part=TINY,
    )


@log_ratio.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        return {name: draw.uniform(*shape, low=0.02, dtype=dtype) for name in "pq"}

    yield Case("a row of 5", inputs(5), grad=("p",))
    yield Case("3 by 4", inputs(3, 4), grad=("p",))
    yield Case("2 by 3 by 2, no gradient asked for", inputs(2, 3, 2))
    yield Case("two plain numbers, no axis at all", inputs(), grad=("p",))
    yield Case("float64", inputs(4, dtype=torch.float64), part=RULES, grad=("p",))
    far = {k: v * 1e-10 for k, v in inputs(4).items()}
    # Two logarithms near −25, or near −35 as bits, may be off in their last place: 4e-6 each.
    yield Case("probabilities far below 1", far, TINY, atol=1e-4)


@log_ratio.wrong("The sign is turned: this is log q − log p. p comes first.")
def swapped(p: Tensor, q: Tensor) -> Tensor:
    return q.log() - p.log()


@log_ratio.wrong(
    "This is the difference p − q. A difference of probabilities says nothing about how many "
    "times likelier one is: take the logarithm of each first."
)
def difference(p: Tensor, q: Tensor) -> Tensor:
    return p - q


@log_ratio.wrong("This is the ratio p / q itself: its logarithm is still to be taken.")
def ratio(p: Tensor, q: Tensor) -> Tensor:
    return p / q


@log_ratio.wrong("This is log p / log q. The logarithm of a ratio is a difference of logarithms.")
def ratio_of_logs(p: Tensor, q: Tensor) -> Tensor:
    return p.log() / q.log()


@log_ratio.wrong("This is log(p − q), which is nan wherever q is larger: subtract the logarithms.")
def log_of_difference(p: Tensor, q: Tensor) -> Tensor:
    return (p - q).log()


@log_ratio.wrong("These are bits, as from log2. Nats come from the natural logarithm, torch.log.")
def in_bits(p: Tensor, q: Tensor) -> Tensor:
    return p.log2() - q.log2()


@log_ratio.wrong(
    "These are decimal digits, as from log10. Nats come from the natural logarithm, torch.log."
)
def in_decimal_digits(p: Tensor, q: Tensor) -> Tensor:
    return p.log10() - q.log10()


@log_ratio.wrong("This is the logarithm of 1 + p, as from log1p. Plain torch.log is meant.")
def with_log1p(p: Tensor, q: Tensor) -> Tensor:
    return p.log1p() - q.log1p()


@log_ratio.wrong("This is log p alone: log q is still to be subtracted.")
def q_forgotten(p: Tensor, q: Tensor) -> Tensor:
    return p.log()


@log_ratio.wrong("The sign is lost: a log-ratio is below 0 where p is the smaller of the two.")
def absolute(p: Tensor, q: Tensor) -> Tensor:
    return (p.log() - q.log()).abs()


@log_ratio.wrong(
    "Each difference is weighted by p, as F.kl_div does it: that is a term of a divergence, not "
    "the log-ratio."
)
def weighted_by_p(p: Tensor, q: Tensor) -> Tensor:
    return p * (p.log() - q.log())


@log_ratio.wrong("One number came back for everything. Return one log-ratio for each entry.")
def summed(p: Tensor, q: Tensor) -> Tensor:
    return (p.log() - q.log()).sum()


@log_ratio.wrong(
    "The value is right, but no gradient reaches p: .detach(), .item(), numpy or no_grad() cut "
    "the graph. Compute with torch functions on p itself."
)
def detached(p: Tensor, q: Tensor) -> Tensor:
    return (p.log() - q.log()).detach()


@log_ratio.wrong(
    "math.log takes one number at a time. Through it no gradient reaches p, and a loop over p "
    "meets whole rows, or no axis at all, where p has another shape. torch.log takes any tensor."
)
def through_math_log(p: Tensor, q: Tensor) -> Tensor:
    return torch.tensor([math.log(a / b) for a, b in zip(p.detach(), q.detach(), strict=False)])


for _name, _instead, _says in (
    ("logs_added", "p.log() + q.log()", "This is log p + log q, the logarithm of p·q: subtract."),
    ("logs_multiplied", "p.log() * q.log()", "This is log p · log q: subtract, do not multiply."),
    ("log_of_1_and_the_ratio", "(1 + p / q).log()", "This is the logarithm of 1 + p/q: add no 1."),
    (
        "ratio_minus_1",
        "p / q - 1",
        "This is p/q − 1, which is near the log-ratio only where p and q are nearly equal: take "
        "the logarithm of p/q.",
    ),
    ("only_p_logged", "p.log() - q", "This is log p − q: the logarithm of q is to be taken too."),
    ("only_q_logged", "p - q.log()", "This is p − log q: the logarithm of p is to be taken too."),
    (
        "log_p_over_q",
        "p.log() / q",
        "This is log p, divided by q: divide first, or subtract log q.",
    ),
    ("p_forgotten", "-q.log()", "This is −log q alone: log p is missing."),
    (
        "weighted_by_q",
        "q * (p.log() - q.log())",
        "Each difference is weighted by q: that is a term of a divergence, not the log-ratio.",
    ),
    (
        "weighted_by_q_and_turned",
        "q * (q.log() - p.log())",
        "The sign is turned and each difference is weighted by q, as F.kl_div(log p, q) does it: "
        "that is a term of KL(q ‖ p), not log p − log q.",
    ),
    (
        "summed_with_p_as_weight",
        "(p * (p.log() - q.log())).sum()",
        "One number came back, Σ p (log p − log q), a divergence. Return log p − log q for each "
        "entry.",
    ),
    (
        "only_q_changed",
        "p.log() - q.log_()",
        "q itself was changed: a method with an underscore, or an assignment such as q /= …, "
        "overwrites its tensor. Compute a new one.",
    ),
    (
        "log_of_the_distance",
        "(p - q).abs().log()",
        "This is log |p − q|, of a difference. What is asked is the logarithm of p/q.",
    ),
    (
        "share_of_p",
        "(p / (p + q)).log()",
        "This is the logarithm of p/(p + q), p's share of both: divide by q alone.",
    ),
    (
        "one_less_the_turned_ratio",
        "1 - q / p",
        "This is 1 − q/p, which is near the log-ratio only where p and q are nearly equal: take "
        "the logarithm of p/q.",
    ),
    (
        "divided_by_p",
        "(p.log() - q.log()) / p",
        "The log-ratio was divided by p: leave it as it is.",
    ),
    ("exponentials", "p.exp() - q.exp()", "This is exp p − exp q: take logarithms instead."),
    (
        "exponential_of_difference",
        "(p - q).exp()",
        "This is exp(p − q), as if p and q were logarithms. They are probabilities: take log.",
    ),
    (
        "only_p_changed",
        "p.log_() - q.log()",
        "p itself was changed: a method with an underscore, or an assignment such as p /= …, "
        "overwrites its tensor. Compute a new one.",
    ),
    (
        "cast_to_float64",
        "p.double().log() - q.double().log()",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    log_ratio.changed(_name, "p.log() - q.log()", _instead, _says)


for _size in (3, 4, 5, 6, 7, 8, 9, 10, 12):
    for _name, _says, _instead in (
        (
            "constant_added",
            f"About 1e-{_size} was added inside the logarithms. It swallows tiny probabilities: "
            "all far below it look alike. p and q are above 0: add nothing.",
            f"(p + 1e-{_size}).log() - (q + 1e-{_size}).log()",
        ),
        (
            "constant_in_the_denominator",
            f"About 1e-{_size} was added to the denominator, where it swallows a tiny q. q is "
            "above 0: add nothing.",
            f"(p / (q + 1e-{_size})).log()",
        ),
        (
            "clamped_at",
            f"The probabilities were clamped at 1e-{_size}, so all below that are alike. p and q "
            "are above 0: take the logarithm as they are.",
            f"p.clamp(min=1e-{_size}).log() - q.clamp(min=1e-{_size}).log()",
        ),
    ):
        log_ratio.changed(f"{_name}_1e_{_size}", "p.log() - q.log()", _instead, _says)


for _bound in (5, 10, 20):
    log_ratio.changed(
        f"log_ratio_clamped_at_{_bound}",
        "p.log() - q.log()",
        f"(p.log() - q.log()).clamp(-{_bound}, {_bound})",
        f"The log-ratio was clamped to ±{_bound}. Two probabilities may be further apart: there "
        "is no bound here.",
    )


@log_ratio.wrong(
    "The inputs were changed: a method with an underscore, such as log_(), overwrites its tensor. "
    "Without the underscore it returns a new one."
)
def in_place(p: Tensor, q: Tensor) -> Tensor:
    return p.log_() - q.log_()


@log_ratio.wrong(
    "float64 came in and float32 went out: do not convert, keep the dtype you are given."
)
def cast_to_float32(p: Tensor, q: Tensor) -> Tensor:
    return p.float().log() - q.float().log()


@log_ratio.wrong(
    "A softmax was taken first, so that each row sums to 1: that is for logits. p and q are "
    "probabilities already, and no two of them belong together."
)
def log_softmax_taken(p: Tensor, q: Tensor) -> Tensor:
    return p.log_softmax(-1) - q.log_softmax(-1)


@log_ratio.wrong(
    "This is a difference of log-odds, log p/(1 − p): the logarithm alone is meant, torch.log."
)
def log_odds(p: Tensor, q: Tensor) -> Tensor:
    return torch.logit(p) - torch.logit(q)


@log_ratio.right
def log_of_quotient(p: Tensor, q: Tensor) -> Tensor:
    return torch.log(p / q)


@log_ratio.right
def minus_log_of_inverse(p: Tensor, q: Tensor) -> Tensor:
    return -(q / p).log()


@log_ratio.right
def bits_to_nats(p: Tensor, q: Tensor) -> Tensor:
    return (p.log2() - q.log2()) * torch.tensor(2.0, dtype=p.dtype).log()


@log_ratio.right
def entry_by_entry(p: Tensor, q: Tensor) -> Tensor:
    pairs = zip(p.reshape(-1), q.reshape(-1), strict=True)
    return torch.stack([torch.log(a) - torch.log(b) for a, b in pairs]).reshape(p.shape)


@log_ratio.right
def difference_along_an_axis(p: Tensor, q: Tensor) -> Tensor:
    return torch.stack([q, p]).log().diff(dim=0).squeeze(0)


@log_ratio.right
def in_double_and_back(p: Tensor, q: Tensor) -> Tensor:
    return (p.double().log() - q.double().log()).to(p.dtype)


@log_ratio.right
def with_kl_div(p: Tensor, q: Tensor) -> Tensor:
    return torch.nn.functional.kl_div(q.log(), p, reduction="none") / p
