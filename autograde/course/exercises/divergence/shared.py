"""What these exercises share."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor

from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor

TokenFormula = Callable[[Tensor, Tensor], Tensor]

INF, NAN, LOG_2 = torch.inf, torch.nan, math.log(2)

RARE = "rare tokens"

SHORT = {VALUES: 1, GRADIENT: 1, RULES: 1}  # of one line: rare tokens are among its values

BOTH_LOGITS, BOTH_LOGP = ("logits", "ref_logits"), ("logp", "ref_logp")


def token_cases_by_hand(rare: str = RARE) -> Iterator[Case]:
    """rare: the part that tokens far apart, or of a tiny probability, count for."""

    def case(title: str, policy: list | float, ref: list | float) -> Case:
        both = {"logp": torch.tensor(policy).log(), "ref_logp": torch.tensor(ref).log()}
        return Case(title, both, grad=BOTH_LOGP)

    yield case("a token of 1/2 under the policy, 1/4 under the reference", 0.5, 0.25)
    yield case("a token of 1/4 under the policy, 1/2 under the reference", 0.25, 0.5)
    yield case("three tokens", [0.5, 0.125, 0.3], [0.1, 0.25, 0.3])
    yield case("one row of one token", [[0.9]], [[0.2]])
    # As far apart as any that are drawn, so that a bound shows here or never among the values.
    apart = {"logp": tensor(-0.5, -3.0), "ref_logp": tensor(-3.5, -0.5)}
    yield Case("log-ratios 3 and −2.5", apart, grad=BOTH_LOGP)
    exact = {"logp": tensor(-14.0, -15.0, dtype=torch.float64)}
    exact["ref_logp"] = exact["logp"].flip(0)
    yield Case("float64, tokens of about 1e-6", exact, RULES, BOTH_LOGP)
    far = {"logp": tensor(-1.0, -30.0), "ref_logp": tensor(-30.0, -1.0)}
    yield Case("log-ratios 29 and −29", far, rare, ("logp",))
    farther = {"logp": tensor(-1.0, -78.0), "ref_logp": tensor(-78.0, -1.0)}
    yield Case("log-ratios 77 and −77", farther, rare, ("logp",))


def token_cases(draw: Draw, rare: str = RARE) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        ref_logp = draw.logp(*shape, dtype=dtype).clamp(max=-0.5)  # no ratio above exp(2.5)
        return {"logp": draw.logp(*shape, dtype=dtype), "ref_logp": ref_logp}

    yield Case("3 by 4 tokens", inputs(3, 4), grad=BOTH_LOGP)
    yield Case("2 by 3 by 2 tokens", inputs(2, 3, 2), grad=BOTH_LOGP)
    yield Case("float64", inputs(2, 3, dtype=torch.float64), RULES, BOTH_LOGP)
    yield Case("no gradient asked", inputs(2, 3), RULES)
    tiny = {name: value - 200.0 for name, value in inputs(4).items()}
    yield Case("probabilities that round to 0 in float32", tiny, rare, ("logp",))


def in_place(formula: TokenFormula, logp: Tensor, ref_logp: Tensor) -> Tensor:
    answer = formula(logp, ref_logp.detach())
    logp -= ref_logp
    return answer


def ref_in_place(formula: TokenFormula, logp: Tensor, ref_logp: Tensor) -> Tensor:
    answer = formula(logp, ref_logp.detach().clone())
    ref_logp.detach().sub_(1.0)
    return answer


# What goes wrong with any function of two log-probabilities. Each takes the right formula, which
# here lets gradients through to both arguments.
TOKEN_MISTAKES: dict[str, tuple[str, Callable[[TokenFormula, Tensor, Tensor], Tensor]]] = {
    "reference_moves": (
        "A gradient reaches ref_logp, which is a constant: detach it.",
        lambda formula, logp, ref_logp: formula(logp, ref_logp),
    ),
    "everything_detached": (
        "No gradient reaches logp: the policy's side was cut off too, as by .detach() or "
        "no_grad().",
        lambda formula, logp, ref_logp: formula(logp, ref_logp).detach(),
    ),
    "policy_detached": (
        "The wrong side was detached: logp is differentiable, ref_logp is the constant.",
        lambda formula, logp, ref_logp: formula(logp.detach(), ref_logp),
    ),
    "averaged": (
        "One number came back for all tokens. Return one for each: averages come later.",
        lambda formula, logp, ref_logp: formula(logp, ref_logp.detach()).mean(),
    ),
    "through_probabilities": (
        "The probabilities themselves were formed on the way, and one of a rare token rounds to 0. "
        "Subtract the logarithms that came in.",
        lambda formula, logp, ref_logp: formula(logp.exp().log(), ref_logp.detach().exp().log()),
    ),
    "changed_in_place": (
        "logp was changed in place, as by −= or sub_: compute a new tensor.",
        in_place,
    ),
    "ref_changed_in_place": (
        "ref_logp was changed in place, which a tensor from .detach() shares with it: compute a "
        "new one.",
        ref_in_place,
    ),
    "nothing_compared": (
        "This is 0 whatever has moved, as when the policy is compared with itself, or a factor is "
        "0, as 1 // 2 is. It is to compare logp with ref_logp.",
        lambda formula, logp, ref_logp: formula(logp, logp.detach() + 0.0 * ref_logp.detach()),
    ),
    "normalised_again": (
        "Both were normalised over the tokens of a row, as by log_softmax. They are "
        "log-probabilities already, each over its own vocabulary: use them as they are.",
        lambda formula, logp, ref_logp: formula(
            logp.log_softmax(-1), ref_logp.detach().log_softmax(-1)
        ),
    ),
    "cast_to_float32": (
        "The answer is float32 whatever came in: keep the dtype of the inputs.",
        lambda formula, logp, ref_logp: formula(logp.float(), ref_logp.float().detach()),
    ),
    "returned_in_float64": (
        "The answer is float64 whatever came in: computing in float64 is fine, returning it is "
        "not.",
        lambda formula, logp, ref_logp: formula(logp.double(), ref_logp.detach().double()),
    ),
    "in_bits": (
        "This is what comes of logarithms to base 2. The log-probabilities are in nats: use them "
        "as they are.",
        lambda formula, logp, ref_logp: formula(logp / LOG_2, ref_logp.detach() / LOG_2),
    ),
}


def clamped(
    formula: TokenFormula, low: float, high: float, logp: Tensor, ref_logp: Tensor
) -> Tensor:
    """The formula of log ref − log policy between two bounds, and of 0."""
    delta = (ref_logp.detach() - logp).clamp(low, high)
    return formula(torch.zeros_like(delta), delta)


WITHOUT_A_BOUND = (
    "A token that far away is the one you want to see: the contract is the formula, without a "
    "bound."
)


def with_epsilon(formula: TokenFormula, epsilon: float, logp: Tensor, ref_logp: Tensor) -> Tensor:
    """The formula of logarithms of probabilities to which epsilon was added."""
    return formula((logp.exp() + epsilon).log(), (ref_logp.detach().exp() + epsilon).log())


def token_mistakes(exercise: Exercise, formula: TokenFormula) -> None:
    for name, (says, answer) in TOKEN_MISTAKES.items():
        exercise.mistakes.append(Mistake(name, says, partial(answer, formula)))
    for size in (6, 8, 10, 12):
        says = (
            f"The probabilities were formed, and about 1e-{size} was added inside their "
            "logarithms: all that are smaller look alike. Subtract the logarithms that came in."
        )
        answer = partial(with_epsilon, formula, 10.0**-size)
        exercise.mistakes.append(Mistake(f"epsilon_added_1e_{size}", says, answer))
    for bound in (1, 2, 5, 10, 20):
        for name, says, low in (
            ("log_ratio_clamped", f"The log-ratio was clamped to ±{bound}.", -bound),
            ("log_ratio_cut_off", f"log ref − log policy was cut off at {bound}.", -INF),
        ):
            answer = partial(clamped, formula, low, bound)
            wrong = Mistake(f"{name}_at_{bound}", f"{says} {WITHOUT_A_BOUND}", answer)
            exercise.mistakes.append(wrong)
