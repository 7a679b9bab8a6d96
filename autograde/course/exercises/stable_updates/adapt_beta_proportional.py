"""Move the penalty's weight in proportion to how far the divergence was off its target."""

import math
from collections.abc import Iterator

import torch

from helpers.cases import VALUES, Case

from ...draw import Draw
from ...exercise import Exercise
from .shared import INF

LIMITS = "large errors"

adapt_beta_proportional = Exercise(
    "adapt_beta_proportional",
    parts={VALUES: 2, LIMITS: 1},
    hints=(
        "First the relative error of the divergence: how far is kl / target from 1? Too large a "
        "divergence gives a positive error, and a larger beta.",
        "The error is clipped to ±0.2 before anything else, then scaled by n_steps / horizon: the "
        "share of the horizon that this update used up.",
        "min(max(error, −0.2), 0.2) is the clip. Then beta is multiplied by 1 plus the product of "
        "the clipped error with n_steps / horizon.",
    ),
)


def _controller(beta: float, kl: float, target: float, n_steps: int, horizon: int) -> dict:
    names = ("beta", "kl", "target", "n_steps", "horizon")
    return dict(zip(names, (beta, kl, target, n_steps, horizon), strict=True))


@adapt_beta_proportional.by_hand
def _() -> Iterator[Case]:
    rows = (
        ("error 0.1, a fifth of the horizon: 0.102", (0.1, 11.0, 10.0, 2000, 10_000), VALUES),
        ("error −0.1, a fifth of the horizon: 0.098", (0.1, 9.0, 10.0, 2000, 10_000), VALUES),
        ("on target: beta stays", (0.3, 6.0, 6.0, 256, 10_000), VALUES),
        ("error 0.15, the whole horizon: 2.3", (2.0, 1.15, 1.0, 500, 500), VALUES),
        ("beta 0 stays 0", (0.0, 1.1, 1.0, 1, 2), VALUES),
        ("error 4, clipped to 0.2: 1.2", (1.0, 5.0, 1.0, 100, 100), LIMITS),
        ("error −1, clipped to −0.2: 0.8", (1.0, 0.0, 1.0, 100, 100), LIMITS),
        ("a negative estimate of kl, half the horizon: 0.9", (1.0, -3.0, 1.0, 50, 100), LIMITS),
        ("three horizons at once, error 0.1: 1.3", (1.0, 1.1, 1.0, 300, 100), VALUES),
        ("beta 1000, error 0.1, the whole horizon: 1100", (1e3, 1.1, 1.0, 100, 100), VALUES),
    )
    for title, values, part in rows:
        yield _steered(title, values, part)


@adapt_beta_proportional.drawn
def _(draw: Draw) -> Iterator[Case]:
    spans = (
        ("a little below the target", 0.85, 0.97, VALUES),
        ("a little above the target", 1.03, 1.15, VALUES),
        ("far below the target", 0.1, 0.6, LIMITS),
        ("far above the target", 1.6, 9.0, LIMITS),
    )
    for name, low, high, part in spans:
        target = draw.uniform(low=0.5, high=8.0).item()
        kl = target * draw.uniform(low=low, high=high).item()
        n_steps = 64 + int(draw.integers(1, below=512))
        beta = draw.uniform(low=0.05, high=2.0).item()
        yield _steered(name, (beta, kl, target, n_steps, 2000), part)


def _steered(title: str, values: tuple, part: str) -> Case:
    # Right digits of float32 will do.
    return Case(title, _controller(*values), part, rtol=1e-6, atol=0.0)


def _clip(value: float, low: float = -0.2, high: float = 0.2) -> float:
    return min(max(value, low), high)


adapt_beta_proportional.changed(
    "error_not_clipped",
    "min(max(kl / target - 1, -0.2), 0.2)",
    "kl / target - 1",
    "The error was not clipped: one wild estimate would throw beta off. Keep it within ±0.2.",
)
adapt_beta_proportional.changed(
    "error_turned",
    "1 + error",
    "1 - error",
    "The sign of the error is turned: beta must grow when kl is above the target.",
)


@adapt_beta_proportional.wrong("The quotient is upside down: the error is kl / target − 1.")
def quotient_inverted(beta, kl, target, n_steps, horizon):
    off = target / kl if kl else INF
    return beta * (1 + _clip(off - 1) * n_steps / horizon)


adapt_beta_proportional.changed(
    "absolute_error",
    "kl / target - 1",
    "kl - target",
    "The error is kl − target here. It is relative to the target: kl / target − 1.",
)
adapt_beta_proportional.changed(
    "horizon_ignored",
    "error * n_steps / horizon",
    "error",
    "n_steps / horizon is missing: beta would move by up to 20 % at every update, however small.",
)
adapt_beta_proportional.changed(
    "n_steps_ignored",
    "error * n_steps / horizon",
    "error / horizon",
    "n_steps was not used: the share of the horizon is n_steps/horizon.",
)
adapt_beta_proportional.changed(
    "horizon_inverted",
    "error * n_steps / horizon",
    "error * horizon / n_steps",
    "horizon / n_steps is upside down: a long horizon makes beta move slowly.",
)
adapt_beta_proportional.changed(
    "whole_division",
    "error * n_steps / horizon",
    "error * (n_steps // horizon)",
    "n_steps // horizon is a whole number, mostly 0, and beta never moves. Divide with /.",
)


@adapt_beta_proportional.wrong(
    "The clip came last, after n_steps / horizon. The error is clipped, then scaled."
)
def clipped_too_late(beta, kl, target, n_steps, horizon):
    return beta * (1 + _clip((kl / target - 1) * n_steps / horizon))


adapt_beta_proportional.changed(
    "quotient_clipped",
    "kl / target - 1",
    "kl / target",
    "− 1 is missing: kl / target itself was clipped to ±0.2, so beta grows even on target.",
)
adapt_beta_proportional.changed(
    "change_alone",
    "beta * (1 + error * n_steps / horizon)",
    "beta * error * n_steps / horizon",
    "1 + is missing: beta was replaced by its change.",
)
adapt_beta_proportional.changed(
    "change_added",
    "beta * (1 + error * n_steps / horizon)",
    "beta + error * n_steps / horizon",
    "The change was added to beta. It multiplies beta.",
)
adapt_beta_proportional.changed(
    "clipped_above_only",
    "min(max(kl / target - 1, -0.2), 0.2)",
    "min(kl / target - 1, 0.2)",
    "Only the upper side was clipped: the error is at least −0.2 too.",
)
adapt_beta_proportional.changed(
    "clipped_below_only",
    "min(max(kl / target - 1, -0.2), 0.2)",
    "max(kl / target - 1, -0.2)",
    "Only the lower side was clipped: the error is at most 0.2 too.",
)
adapt_beta_proportional.changed(
    "sign_only",
    "error * n_steps / horizon",
    "0.2 * ((error > 0) - (error < 0)) * n_steps / horizon",
    "beta moved by a full 0.2 whatever the size of the error: only its sign was used.",
)
adapt_beta_proportional.changed(
    "compounded",
    "beta * (1 + error * n_steps / horizon)",
    "beta * (1 + error) ** (n_steps / horizon)",
    "1 + error was raised to the power n_steps / horizon. The rule is linear in n_steps: "
    "1 + error · n_steps / horizon.",
)
adapt_beta_proportional.changed(
    "clipped_at_a_tenth",
    "min(max(kl / target - 1, -0.2), 0.2)",
    "min(max(kl / target - 1, -0.1), 0.1)",
    "The error was clipped at ±0.1: its bounds are ±0.2.",
)


@adapt_beta_proportional.wrong(
    "The change was taken as an exponent: the factor is 1 + error · n_steps / horizon."
)
def exponential_change(beta, kl, target, n_steps, horizon):
    return beta * math.exp(_clip(kl / target - 1) * n_steps / horizon)


adapt_beta_proportional.changed(
    "share_outside_the_bracket",
    "beta * (1 + error * n_steps / horizon)",
    "beta * (1 + error) * n_steps / horizon",
    "n_steps / horizon stands outside the bracket: beta · (1 + error) · n_steps / horizon scales "
    "beta itself. It belongs to the error alone.",
)
adapt_beta_proportional.changed(
    "bracket_divided",
    "beta * (1 + error * n_steps / horizon)",
    "beta * (1 + error * n_steps) / horizon",
    "The whole bracket was divided by horizon: beta · (1 + error · n_steps) / horizon. Only the "
    "error is scaled, by n_steps / horizon.",
)


for _bound in (0.01, 0.02, 0.05, 0.5, 1.0, 2.0):
    _from = "" if _bound < 0.2 else " Larger errors are cut down to that."
    adapt_beta_proportional.changed(
        f"clipped_at_{_bound}".replace(".", "_"),
        "min(max(kl / target - 1, -0.2), 0.2)",
        f"min(max(kl / target - 1, -{_bound}), {_bound})",
        f"The error was clipped at ±{_bound:g}: its bounds are ±0.2.{_from}",
    )


for _name, _line, _instead, _says in (
    (
        "share_capped",
        "n_steps / horizon",
        "min(1, n_steps / horizon)",
        "n_steps / horizon was capped at 1. It may be above 1, where one update took more steps "
        "than the horizon.",
    ),
    (
        "target_less_one",
        "kl / target - 1",
        "kl / (target - 1)",
        "kl was divided by target − 1. The 1 is subtracted from the quotient: kl / target − 1.",
    ),
    (
        "horizon_forgotten",
        "error * n_steps / horizon",
        "error * n_steps",
        "horizon was not used: the share of the horizon is n_steps / horizon.",
    ),
    (
        "product_with_the_horizon",
        "error * n_steps / horizon",
        "error * n_steps * horizon",
        "n_steps was multiplied by horizon: the share of the horizon is n_steps / horizon.",
    ),
    (
        "never_lowered",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "min(max(kl / target - 1, 0.0), 0.2)",
        "Errors below 0 count as 0, so that beta is never lowered. The error lies between −0.2 and "
        "0.2.",
    ),
    (
        "never_raised",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "min(max(kl / target - 1, -0.2), 0.0)",
        "Errors above 0 count as 0, so that beta is never raised. The error lies between −0.2 and "
        "0.2.",
    ),
    (
        "always_the_lower_bound",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "-0.2",
        "The error is −0.2 whatever kl is, as when min and max, or the bounds, are exchanged: at "
        "least −0.2 is max(…, −0.2), at most 0.2 is min(…, 0.2).",
    ),
    (
        "always_the_upper_bound",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "0.2",
        "The error is 0.2 whatever kl is, as when min and max, or the bounds, are exchanged: at "
        "least −0.2 is max(…, −0.2), at most 0.2 is min(…, 0.2).",
    ),
    (
        "size_of_the_error",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "min(abs(kl / target - 1), 0.2)",
        "The error lost its sign, so that beta grows below the target too. It is kl / target − 1, "
        "between −0.2 and 0.2.",
    ),
    (
        "size_of_kl",
        "kl / target - 1",
        "abs(kl) / target - 1",
        "The size of kl was taken, without its sign. An estimate may be below 0, and is below any "
        "target then.",
    ),
    (
        "kl_clipped",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "min(max(kl, -0.2), 0.2) / target - 1",
        "kl itself was clipped to ±0.2. It is the relative error, kl / target − 1, that is.",
    ),
    (
        "unclipped_quotient",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "kl / target",
        "The quotient kl / target stands where its distance from 1 belongs, and nothing was "
        "clipped: on target, beta must stay.",
    ),
    (
        "quotient_clipped_around_one",
        "min(max(kl / target - 1, -0.2), 0.2)",
        "min(max(kl / target, 0.8), 1.2)",
        "The quotient kl / target was clipped to 0.8 … 1.2, which is right, but 1 is still to be "
        "subtracted before it is scaled: on target, beta must stay.",
    ),
    (
        "relative_to_kl",
        "kl / target - 1",
        "(kl - target) / kl",
        "The distance kl − target was divided by kl. It is relative to the target.",
    ),
    (
        "quotient_of_the_target_with_itself",
        "kl / target - 1",
        "kl - target / target - 1",
        "Brackets are missing: kl − target / target is kl − 1. The error is kl / target − 1.",
    ),
    (
        "share_added",
        "error * n_steps / horizon",
        "error + n_steps / horizon - 1",
        "n_steps / horizon was added to the error. It scales it: multiply, and add the product to "
        "1.",
    ),
    (
        "factor_added",
        "beta * (1 + error * n_steps / horizon)",
        "beta + 1 + error * n_steps / horizon",
        "The factor was added to beta. It multiplies beta.",
    ),
    (
        "factor_returned",
        "beta * (1 + error * n_steps / horizon)",
        "1 + error * n_steps / horizon",
        "The factor came back in place of the new beta: multiply beta by it.",
    ),
    (
        "error_returned",
        "beta * (1 + error * n_steps / horizon)",
        "error",
        "The clipped error came back. It is one part of the factor that beta is multiplied by.",
    ),
    (
        "divided_by_the_factor",
        "beta * (1 + error * n_steps / horizon)",
        "beta / (1 + error * n_steps / horizon)",
        "beta was divided by the factor. Above the target it must grow: multiply.",
    ),
    (
        "nothing_returned",
        "beta * (1 + error * n_steps / horizon)",
        "None",
        "None came back: a `return` is missing. To set beta inside the function changes nothing "
        "outside.",
    ),
    (
        "never_changed",
        "beta * (1 + error * n_steps / horizon)",
        "beta",
        "beta came back as it was, whatever kl is. Only on target does it stay.",
    ),
    (
        "target_adapted",
        "beta * (1 + error * n_steps / horizon)",
        "target * (1 + error * n_steps / horizon)",
        "The target was adapted. It stays as it is: beta is what is adapted.",
    ),
    (
        "halved_or_doubled",
        "beta * (1 + error * n_steps / horizon)",
        "beta / 2 if kl < target / 1.5 else beta * 2 if kl > 1.5 * target else beta",
        "This is the rule of the exercise before, half, the same or twice. Here beta moves in "
        "proportion to the error.",
    ),
    (
        "beta_clipped",
        "beta * (1 + error * n_steps / horizon)",
        "min(max(beta * (1 + error * n_steps / horizon), 1e-3), 1.0)",
        "beta was kept between 0.001 and 1. It has the unit of the rewards: its size has no bound "
        "here.",
    ),
    (
        "a_tenth_of_the_error",
        "error * n_steps / horizon",
        "0.1 * error",
        "A tenth of the error was used, as some libraries do, in the place of n_steps / horizon: "
        "another formula, which does not know how many steps were taken.",
    ),
):
    adapt_beta_proportional.changed(_name, _line, _instead, _says)


@adapt_beta_proportional.wrong(
    "The logarithm of kl / target was taken. Near 1 it is close to kl / target − 1, which is "
    "asked; at kl 0 there is none."
)
def logarithm_of_the_quotient(beta, kl, target, n_steps, horizon):
    return beta * (1 + _clip(math.log(kl / target)) * n_steps / horizon)


@adapt_beta_proportional.right
def quotient_between_bounds(beta, kl, target, n_steps, horizon):
    quotient = min(max(kl / target, 0.8), 1.2)
    return beta + beta * (quotient - 1) * (n_steps / horizon)


@adapt_beta_proportional.right
def with_torch(beta, kl, target, n_steps, horizon):
    error = torch.tensor((kl - target) / target, dtype=torch.float64).clamp(-0.2, 0.2)
    return (beta * (1 + error * n_steps / horizon)).item()


@adapt_beta_proportional.right
def case_by_case(beta, kl, target, n_steps, horizon):
    share = n_steps / horizon
    if kl > 1.2 * target:
        return beta * (1 + 0.2 * share)
    if kl < 0.8 * target:
        return beta * (1 - 0.2 * share)
    return beta * (1 + share * (kl - target) / target)
