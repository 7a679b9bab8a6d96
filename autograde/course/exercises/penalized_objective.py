"""Exercises of lesson 03: reward minus β times the divergence, exactly, on one choice."""

import math
from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ..draw import Draw
from ..exercise import Exercise, Mistake, Quiz, tensor

LARGE = "large logits"
SMALL_BETA = "small beta"
BETA_RANGE = "beta that is not positive"
EXTREMES = "small and great targets"
OUT_OF_REACH = "targets out of reach"

Choice = dict[str, Tensor | float]


def _choice(
    draw: Draw, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32
) -> Choice:
    """A random choice: the policy's logits of spread `scale`, and a β that is neither 0 nor 1.

    No action is rare, unless by the scale: such actions have cases of their own.
    """
    logits = draw.normal(*shape, scale=scale, dtype=dtype)
    return {
        "logits": logits.clamp(-2.5, 2.5) if scale == 1 else logits,
        "ref_logits": draw.normal(*shape, dtype=dtype).clamp(-1.5, 1.5),
        "rewards": draw.normal(*shape, dtype=dtype) + 0.5,
        "beta": 0.4 + 0.1 * int(draw.integers(1, below=5)),
    }


def _hand(policy: Tensor, ref: Tensor, rewards: Tensor, beta: float) -> Choice:
    return {"logits": policy, "ref_logits": ref, "rewards": rewards, "beta": beta}


def _choices_by_hand() -> Iterator[tuple[str, Choice, str]]:
    """(title, inputs, part) of the choices that both the objective and its gradient are asked."""
    half, three_to_one = tensor(0.5, 0.5).log(), tensor(0.75, 0.25).log()
    ten_to_one = _hand(three_to_one, half, tensor(1.0, 0.0), 2.0)
    yield "policy (3/4, 1/4), ref (1/2, 1/2), rewards (1, 0), beta 2", ten_to_one, VALUES
    same = _hand(three_to_one, three_to_one, tensor(2.0, -4.0), 0.5)
    yield "policy and ref (3/4, 1/4): nothing to pay", same, VALUES
    free = _hand(half, three_to_one, tensor(1.0, -3.0), 0.0)
    yield "beta 0: the reward alone", free, VALUES
    idle = _hand(three_to_one, half, tensor(5.0, 5.0), 3.0)
    yield "equal rewards: the penalty decides", idle, VALUES
    # Further apart than any that are drawn among the values, so that a bound, or a constant added
    # to a probability, shows here or never among these.
    apart = tensor([2.0, 0.0], [8.0, 0.0]), tensor([0.0, 9.0], [0.0, 0.0])
    rare = _hand(*apart, tensor([1.0, 0.0], [0.0, 1.0]), 0.5)
    yield "policy logits (2, 0) and (8, 0), ref logits (0, 9) and (0, 0)", rare, VALUES
    exact = (half.double(), tensor(0.0, -30.0, dtype=torch.float64), tensor(1.0, 0.0).double())
    yield "float64, ref logits (0, −30)", _hand(*exact, 0.5), RULES
    yield "only one action", _hand(tensor(2.0), tensor(-1.0), tensor(-1.5), 0.7), VALUES
    never = _hand(tensor(0.0, 0.0, -1000.0), tensor(0.0, 1.0, 2.0), tensor(1.0, 2.0, 9.0), 0.5)
    yield "policy logits (0, 0, −1000)", never, LARGE
    shifted = _hand(tensor(1001.0, 1000.0), tensor(-500.0, -501.5), tensor(1.0, 0.0), 0.5)
    yield "logits near 1000 and −500", shifted, LARGE
    rare = _hand(tensor(0.0, 0.5), tensor(0.0, -40.0), tensor(0.0, 3.0), 0.25)
    yield "ref logits (0, −40)", rare, LARGE
    rarer = _hand(tensor(0.0, 0.0), tensor(0.0, -80.0), tensor(1.0, 0.0), 0.5)
    yield "ref logits (0, −80)", rarer, LARGE
    dear = _hand(tensor(0.0, -40.0), tensor(-78.0, 0.0), tensor(1.0, 0.0), 0.5)
    yield "policy logits (0, −40), ref logits (−78, 0)", dear, LARGE
    both = _hand(tensor(0.0, -120.0), tensor(0.0, -120.0), tensor(1.0, 5.0), 0.5)
    yield "logits (0, −120) on both sides: nothing to pay", both, LARGE


def _choices(draw: Draw) -> Iterator[tuple[str, Choice, str]]:
    yield "one choice among 5 actions", _choice(draw, 5), VALUES
    yield "3 by 4 choices among 6 actions", _choice(draw, 3, 4, 6), VALUES
    yield "4 choices among 4 actions", _choice(draw, 4, 4), VALUES
    yield "an axis of length 1", _choice(draw, 1, 3), VALUES
    shifted = _choice(draw, 2, 3)
    for name, by in (("logits", 7.0), ("ref_logits", -5.0), ("rewards", 3.0)):
        shifted[name] = shifted[name] + by
    yield "logits and rewards shifted by constants", shifted, VALUES
    yield "a beta above 1", _choice(draw, 2, 3) | {"beta": 2.5}, VALUES
    yield "float64", _choice(draw, 2, 3, dtype=torch.float64), RULES
    yield "policy logits near ±1000", _choice(draw, 3, 4, scale=400.0), LARGE


penalized_objective = Exercise(
    "penalized_objective",
    parts={VALUES: 2, GRADIENT: 1, LARGE: 1, RULES: 1},
    hints=(
        "Two sums over actions, both weighted by the policy's probabilities: one of rewards, one "
        "of log policy − log ref. Which of the two is charged at beta per unit?",
        "log_softmax over the last axis gives both logarithms from logits; its exp gives the "
        "weights. Only ref_logits is detached: the weights are the policy, and they move.",
        "Both sums have the same weights, so there is one sum: of policy · (reward − beta · "
        "log-ratio). Which axis does it run over?",
    ),
)


@penalized_objective.by_hand
def _() -> Iterator[Case]:
    for title, inputs, part in _choices_by_hand():
        atol = 1e-3 if part == LARGE else None  # as below
        yield Case(title, inputs, part, ("logits", "ref_logits"), atol=atol)


@penalized_objective.drawn
def _(draw: Draw) -> Iterator[Case]:
    for title, inputs, part in _choices(draw):
        # Among logits in the hundreds a float32 gradient of nearly nothing has no digits.
        atol = 1e-3 if part == LARGE else None
        yield Case(title, inputs, part, ("logits", "ref_logits"), atol=atol)
    yield Case("no gradient asked", _choice(draw, 2, 3), RULES)


def _log_probs(logits: Tensor, ref_logits: Tensor) -> tuple[Tensor, Tensor]:
    """log policy and log ref, the latter a constant."""
    return logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)


def _expected_reward(logits: Tensor, rewards: Tensor) -> Tensor:
    return (logits.softmax(-1) * rewards).sum(-1)


def _kl(logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    return (log_policy.exp() * (log_policy - log_ref)).sum(-1)


@penalized_objective.wrong(
    "The penalty is KL(ref ‖ policy): its arguments are swapped. The policy's probabilities are "
    "the weights, and its logarithm comes first."
)
def divergence_swapped(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    backwards = (log_ref.exp() * (log_ref - log_policy)).sum(-1)
    return _expected_reward(logits, rewards) - beta * backwards


@penalized_objective.wrong(
    "The divergence was added: this pays the policy for leaving the reference. What is maximised "
    "must fall as the divergence grows, so subtract."
)
def divergence_rewarded(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) + beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The sign of the whole is turned: this is the loss that an optimiser would minimise. The "
    "objective is to be maximised: reward counts as plus."
)
def returned_the_loss(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return -reference.penalized_objective(logits, ref_logits, rewards, beta)


@penalized_objective.wrong(
    "beta multiplies the reward here. It is the price of the divergence: E[r] − beta · KL."
)
def beta_on_the_reward(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return beta * _expected_reward(logits, rewards) - _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The two terms were mixed with weights 1 − beta and beta. The reward keeps the weight 1, and "
    "beta may be above 1."
)
def weighted_average(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (1 - beta) * _expected_reward(logits, rewards) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong("beta was not used: the divergence is subtracted at a price of 1.")
def beta_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) - _kl(logits, ref_logits)


@penalized_objective.wrong("The penalty is missing: this is the expected reward alone.")
def penalty_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards)


@penalized_objective.wrong(
    "The penalty was subtracted twice. Subtract beta · KL once, from the plain expected reward."
)
def penalty_twice(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) - 2 * beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The policy's own logarithm is missing: this subtracts the cross-entropy −Σ π log π_ref, not "
    "the divergence. At policy = ref the penalty must be 0."
)
def cross_entropy(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_ref = ref_logits.detach().log_softmax(-1)
    return _expected_reward(logits, rewards) + beta * (logits.softmax(-1) * log_ref).sum(-1)


@penalized_objective.wrong(
    "The reference is missing: this is an entropy bonus, which pulls towards the uniform policy. "
    "KL(policy ‖ ref) also holds log ref."
)
def entropy_bonus(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    entropy = -(logits.softmax(-1) * logits.log_softmax(-1)).sum(-1)
    return _expected_reward(logits, rewards) + beta * entropy


@penalized_objective.wrong(
    "The rewards were averaged with equal weights. Weight each by the policy's probability of "
    "its action."
)
def rewards_unweighted(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return rewards.mean(-1) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The rewards were weighted by the reference's probabilities. It is the policy that acts: "
    "weight by its own."
)
def reward_of_the_reference(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _expected_reward(ref_logits.detach(), rewards) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "Only the policy's likeliest action was paid. The objective is an expectation: sum over all "
    "actions, weighted by their probabilities."
)
def greedy_reward(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    best = logits.argmax(-1, keepdim=True)
    return rewards.gather(-1, best).squeeze(-1) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The value is right, its gradient is not: the probabilities that weight the log-ratio were "
    "held constant, and so the penalty pulls nowhere. Detach ref_logits alone."
)
def penalty_weight_detached(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    penalty = (log_policy.exp().detach() * (log_policy - log_ref)).sum(-1)
    return _expected_reward(logits, rewards) - beta * penalty


@penalized_objective.wrong(
    "The value is right, its gradient is not: the probabilities that weight the rewards were held "
    "constant, so that no reward is pursued. Detach ref_logits alone."
)
def reward_weight_detached(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _expected_reward(logits.detach(), rewards) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong("A gradient reaches ref_logits, which is a constant: detach it.")
def reference_not_constant(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (log_policy.exp() * (rewards - beta * (log_policy - log_ref))).sum(-1)


@penalized_objective.wrong("No gradient reaches logits: the policy's side was detached too.")
def everything_detached(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_objective(logits.detach(), ref_logits, rewards, beta)


@penalized_objective.wrong(
    "This is the mean over actions. The policy's probabilities are the weights already: sum."
)
def averaged(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    value = reference.penalized_objective(logits, ref_logits, rewards, beta)
    return value / logits.shape[-1]


@penalized_objective.wrong(
    "One number came back for all choices. Sum over the last axis alone: one number per choice."
)
def summed_over_everything(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return reference.penalized_objective(logits, ref_logits, rewards, beta).sum()


@penalized_objective.wrong(
    "One number per action came back: the sum over actions, the last axis, is missing."
)
def sum_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    return log_policy.exp() * (rewards - beta * (log_policy - log_ref))


@penalized_objective.wrong(
    "The probabilities were normalised over the first axis. Actions lie along the last: dim=-1."
)
def normalised_over_the_first_axis(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.detach().log_softmax(0)
    return (log_policy.exp() * (rewards - beta * (log_policy - log_ref))).sum(-1)


@penalized_objective.wrong(
    "The logits themselves were subtracted. A logit is a log-probability only up to a constant "
    "that differs between policy and ref: take log_softmax of both first."
)
def raw_logits(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (logits.softmax(-1) * (rewards - beta * (logits - ref_logits.detach()))).sum(-1)


@penalized_objective.wrong(
    "The logits were taken for log-probabilities, in the weights too: exp of a logit does not sum "
    "to 1 over the actions. Take log_softmax of both first."
)
def logits_as_log_probs(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (logits.exp() * (rewards - beta * (logits - ref_logits.detach()))).sum(-1)


@penalized_objective.wrong(
    "Only the policy was normalised: ref_logits were subtracted as they are. They are "
    "log-probabilities only up to a constant: take their log_softmax too."
)
def reference_not_normalised(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy = logits.log_softmax(-1)
    return (log_policy.exp() * (rewards - beta * (log_policy - ref_logits.detach()))).sum(-1)


@penalized_objective.wrong(
    "The divergence is in bits: a logarithm to base 2. Everything here is in nats."
)
def in_bits(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_objective(logits, ref_logits, rewards, beta / math.log(2))


@penalized_objective.wrong(
    "Right for ordinary logits, NaN where a probability of the policy rounds to 0: 0 · (−inf). "
    "log_softmax(x) keeps what log(softmax(x)) loses."
)
def softmax_then_log(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy * (rewards - beta * (policy.log() - ref.log()))).sum(-1)


@penalized_objective.wrong(
    "exp of a raw logit overflows: exp(1001) is inf. softmax and log_softmax subtract the largest "
    "logit first."
)
def exp_without_shift(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = logits.exp() / logits.exp().sum(-1, keepdim=True)
    log_policy, log_ref = _log_probs(logits, ref_logits)
    return (policy * (rewards - beta * (log_policy - log_ref))).sum(-1)


@penalized_objective.wrong(
    "The logarithm of ref's softmax was taken: it is −inf where ref's probability rounds to 0. "
    "log_softmax(ref_logits) never forms the probability."
)
def reference_through_probabilities(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().softmax(-1).log()
    return (log_policy.exp() * (rewards - beta * (log_policy - log_ref))).sum(-1)


def _log_of_sums(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    """The log-ratio with a small number added inside both logarithms."""
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return (policy + epsilon).log() - (ref + epsilon).log()


def _log_of_clamped(epsilon: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    """The log-ratio of probabilities that are clamped from below."""
    policy, ref = logits.softmax(-1), ref_logits.detach().softmax(-1)
    return policy.clamp(min=epsilon).log() - ref.clamp(min=epsilon).log()


def _clamped_log_ratio(bound: float, logits: Tensor, ref_logits: Tensor) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    return (log_policy - log_ref).clamp(-bound, bound)


def _objective_of(
    log_ratio: Callable,
    size: float,
    logits: Tensor,
    ref_logits: Tensor,
    rewards: Tensor,
    beta: float,
) -> Tensor:
    worth = rewards - beta * log_ratio(size, logits, ref_logits)
    return (logits.softmax(-1) * worth).sum(-1)


def _inexact_log_ratios(exercise: Exercise, answer: Callable) -> None:
    """Add what log-ratios with a constant or a bound in them make of an exercise's formula."""
    for size in (6, 8, 10, 12):
        for name, says, log_ratio in (
            ("epsilon_in_the_logarithm", f"About 1e-{size} was added inside the", _log_of_sums),
            ("probabilities_clamped_at", f"About 1e-{size} is the least in the", _log_of_clamped),
        ):
            says += " logarithm. It hides the NaN, and every probability smaller than that number"
            held = partial(answer, log_ratio, 10.0**-size)
            exercise.mistakes.append(
                Mistake(f"{name}_1e_{size}", f"{says}: use log_softmax.", held)
            )
    for bound in (5.0, 10.0, 20.0):
        says = f"The log-ratio was clamped to ±{bound:.0f}: the contract has no bound."
        held = partial(answer, _clamped_log_ratio, bound)
        exercise.mistakes.append(Mistake(f"log_ratio_clamped_at_{bound:.0f}", says, held))


_inexact_log_ratios(penalized_objective, _objective_of)


@penalized_objective.wrong(
    "The rewards were weighted by the policy's log-probabilities. An expectation weighs by "
    "probabilities: exp of these."
)
def rewards_weighted_by_logarithms(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return (logits.log_softmax(-1) * rewards).sum(-1) - beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The divergences of all choices were added up and charged to each: .sum() lacks its axis. Each "
    "choice has its own, over the last axis."
)
def penalty_summed_over_everything(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _expected_reward(logits, rewards) - beta * _kl(logits, ref_logits).sum()


@penalized_objective.wrong(
    "The expected rewards of all choices were added up and paid to each: .sum() lacks its axis. "
    "Each choice has its own, over the last axis."
)
def reward_summed_over_everything(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _expected_reward(logits, rewards).sum() - beta * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The penalty is half the squared log-ratio, k2, an estimate for single samples. With every "
    "action at hand, weigh the log-ratio itself."
)
def k2_weighed(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    half_square = 0.5 * (log_policy - log_ref).square()
    return (log_policy.exp() * (rewards - beta * half_square)).sum(-1)


@penalized_objective.wrong(
    "The answer is float64 whatever came in: computing in float64 is fine, returning it is not."
)
def returned_in_float64(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    doubles = (x.double() for x in (logits, ref_logits, rewards))
    return reference.penalized_objective(*doubles, beta)


@penalized_objective.wrong(
    "An input was changed in place, and autograd refuses that where it needs the input: "
    "compute a new tensor."
)
def shifted_in_place(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    logits -= logits.max(dim=-1, keepdim=True).values
    return reference.penalized_objective(logits, ref_logits, rewards, beta)


@penalized_objective.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    floats = (x.float() for x in (logits, ref_logits, rewards))
    return reference.penalized_objective(*floats, beta)


@penalized_objective.wrong(
    "Both directions of the divergence were charged, KL(policy ‖ ref) + KL(ref ‖ policy). The "
    "penalty is the first alone."
)
def both_directions(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    gap = log_policy - log_ref
    return _expected_reward(logits, rewards) - beta * (
        (log_policy.exp() - log_ref.exp()) * gap
    ).sum(-1)


@penalized_objective.wrong(
    "The greatest reward was taken in place of the expected one: weigh the rewards by the policy."
)
def greatest_reward(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return rewards.max(-1).values - beta * _kl(logits, ref_logits)


@penalized_objective.wrong("beta was squared: the penalty is beta · KL.")
def beta_squared(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) - beta**2 * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The penalty was divided by beta: a larger beta must cost more, not less."
)
def divided_by_beta(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) - _kl(logits, ref_logits) / beta


@penalized_objective.wrong("Half of the penalty is charged: it is beta · KL, with no ½.")
def half_the_penalty(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _expected_reward(logits, rewards) - beta / 2 * _kl(logits, ref_logits)


@penalized_objective.wrong(
    "The penalty is the total variation, half the sum of |π − ref|: it is KL(policy ‖ ref) here."
)
def total_variation(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    distance = (log_policy.exp() - log_ref.exp()).abs().sum(-1) / 2
    return _expected_reward(logits, rewards) - beta * distance


@penalized_objective.right
def with_distributions(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy, ref = Categorical(logits=logits), Categorical(logits=ref_logits.detach())
    return (policy.probs * rewards).sum(-1) - beta * kl_divergence(policy, ref)


@penalized_objective.right
def choice_by_choice(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if logits.ndim > 1:
        rows = zip(logits, ref_logits, rewards, strict=True)
        return torch.stack([choice_by_choice(*row, beta) for row in rows])
    total = logits.new_zeros(())
    for action in range(len(logits)):
        logp = logits[action] - logits.logsumexp(0)
        ref_logp = (ref_logits[action] - ref_logits.logsumexp(0)).item()
        total = total + logp.exp() * (rewards[action] - beta * (logp - ref_logp))
    return total


@penalized_objective.right
def reward_entropy_and_cross_entropy(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy, log_ref = logits.softmax(-1), F.log_softmax(ref_logits, -1).detach()
    total = torch.einsum("...a,...a->...", policy, rewards + beta * log_ref)
    return total + beta * Categorical(logits=logits).entropy()


@penalized_objective.right
def normalisers_apart(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    ref_logits = ref_logits.detach()
    worth = rewards - beta * (logits - ref_logits)
    mean = torch.matmul(logits.softmax(-1)[..., None, :], worth[..., None]).squeeze(-1).squeeze(-1)
    return mean + beta * (logits.logsumexp(-1) - ref_logits.logsumexp(-1))


@penalized_objective.right
def in_double_and_back(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits.double(), ref_logits.double())
    worth = rewards.double() - beta * (log_policy - log_ref)
    return (log_policy.exp() * worth).sum(-1).to(logits.dtype)


@penalized_objective.right
def through_the_optimum(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta == 0:
        return torch.einsum("...a,...a->...", logits.softmax(-1), rewards)
    tilted = ref_logits.detach().log_softmax(-1) + rewards / beta
    gap = F.kl_div(
        tilted.log_softmax(-1), logits.log_softmax(-1), reduction="none", log_target=True
    )
    return beta * (tilted.logsumexp(-1) - gap.sum(-1))


penalized_gradient = Exercise(
    "penalized_gradient",
    parts={VALUES: 3, LARGE: 1, RULES: 1},
    hints=(
        "Call what stands in the brackets of the objective the worth of an action: its reward "
        "minus beta times its log-ratio. The worth itself changes with the logits: what does that "
        "change contribute, averaged over the policy?",
        "Nothing, so treat the worth as constant. Then put ∂π(a)/∂z(b) = π(a)·([a = b] − π(b)) "
        "into Σ_a worth(a) · ∂π(a)/∂z(b), and split the sum in two.",
        "The first part is π(b) · worth(b), the second π(b) times the mean worth under the "
        "policy. keepdim=True keeps that mean's axis, so that it lines up with the actions.",
    ),
    advisory={VALUES: "that it is written by hand, without autograd"},
)


@penalized_gradient.by_hand
def _() -> Iterator[Case]:
    for title, inputs, part in _choices_by_hand():
        # In float64 the formula errs by 1e-14, differences of the objective by 1e-11 at best.
        close = {RULES: {"rtol": 1e-12, "atol": 1e-13}, LARGE: {"atol": 3e-4}}.get(part, {})
        yield Case(title, inputs, part, probe="without_autograd", **close)
    far = _hand(tensor(0.0, -45.0), tensor(0.0, -120.0), tensor(1.0, 5.0), 0.5)
    title = "policy logits (0, −45), ref logits (0, −120)"
    yield Case(title, far, LARGE, probe="without_autograd")


@penalized_gradient.drawn
def _(draw: Draw) -> Iterator[Case]:
    for title, inputs, part in _choices(draw):
        atol = 3e-4 if part == LARGE else None  # float32's steps near 1000 are 6e-5
        yield Case(title, inputs, part, atol=atol, probe="without_autograd")


def _worth(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Reward − β · log-ratio of each action."""
    log_policy, log_ref = _log_probs(logits, ref_logits)
    return rewards - beta * (log_policy - log_ref)


def _centred(weight: Tensor, worth: Tensor) -> Tensor:
    """weight · (worth − its mean under the weights)."""
    return weight * (worth - (weight * worth).sum(-1, keepdim=True))


@penalized_gradient.wrong(
    "The mean worth is missing. Raising one logit lowers all other probabilities, so an action "
    "gains only by what it is worth more than the policy's mean; the entries must sum to 0."
)
def mean_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return logits.softmax(-1) * _worth(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "This is the gradient with respect to the log-probabilities, as if each could move by itself. "
    "The logits move them together, through the softmax: the policy's mean is subtracted."
)
def gradient_of_log_probs(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return logits.softmax(-1) * (_worth(logits, ref_logits, rewards, beta) - beta)


@penalized_gradient.wrong(
    "This is the gradient with respect to the probabilities. One more step leads to the logits: "
    "the derivative of the softmax."
)
def gradient_of_probabilities(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _worth(logits, ref_logits, rewards, beta) - beta


@penalized_gradient.wrong(
    "The policy's probability in front is missing: an action that is hardly ever drawn moves the "
    "objective hardly at all."
)
def probability_forgotten(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return worth - (logits.softmax(-1) * worth).sum(-1, keepdim=True)


@penalized_gradient.wrong(
    "Only the softmax's diagonal was used, π(a)·(1 − π(a)). A logit moves the other actions' "
    "probabilities too, by −π(a)·π(b): sum over all of them."
)
def diagonal_only(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = logits.softmax(-1)
    return policy * (1 - policy) * _worth(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "The mean was taken with equal weights. It is the policy's mean: weight by its probabilities."
)
def plain_mean(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return logits.softmax(-1) * (worth - worth.mean(-1, keepdim=True))


@penalized_gradient.wrong(
    "The mean was taken under the reference. It is the policy that moves: weight by its own "
    "probabilities."
)
def mean_under_the_reference(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return logits.softmax(-1) * (worth - _expected_reward(ref_logits, worth).unsqueeze(-1))


@penalized_gradient.wrong(
    "The reward was compared with its mean, the log-ratio was not. Subtract the mean of both: the "
    "log-ratio's is the KL."
)
def penalty_not_centred(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return logits.softmax(-1) * (worth - _expected_reward(logits, rewards).unsqueeze(-1))


@penalized_gradient.wrong(
    "The sign is turned: this is the gradient of the loss. Along the answer the objective rises."
)
def descends(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return -reference.penalized_gradient(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "The penalty's gradient was added, so that it pushes away from the reference: subtract it."
)
def divergence_rewarded(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_gradient(logits, ref_logits, rewards, -beta)


@penalized_gradient.wrong("The penalty is missing: this is the gradient of the reward alone.")
def penalty_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_gradient(logits, ref_logits, rewards, 0.0)


@penalized_gradient.wrong("beta was not used: the penalty's gradient counts as if beta were 1.")
def beta_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_gradient(logits, ref_logits, rewards, 1.0)


@penalized_gradient.wrong(
    "policy − ref is the gradient of KL(ref ‖ policy). The penalty is KL(policy ‖ ref), and its "
    "gradient holds the log-ratio."
)
def divergence_swapped(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = logits.softmax(-1)
    return _centred(policy, rewards) - beta * (policy - ref_logits.softmax(-1))


@penalized_gradient.wrong(
    "The reference is missing: this is the gradient of an entropy bonus, which pulls towards the "
    "uniform policy. The log-ratio is log policy − log ref."
)
def reference_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _centred(logits.softmax(-1), rewards - beta * logits.log_softmax(-1))


@penalized_gradient.wrong(
    "The policy's own logarithm is missing from the log-ratio: it is log policy − log ref."
)
def cross_entropy(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _centred(logits.softmax(-1), rewards + beta * ref_logits.log_softmax(-1))


@penalized_gradient.wrong(
    "The reference's probability stands in front. It is the policy whose logits move: weight by "
    "its own probabilities."
)
def weighted_by_the_reference(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return ref_logits.softmax(-1) * (worth - _expected_reward(logits, worth).unsqueeze(-1))


@penalized_gradient.wrong(
    "The reference's probabilities are the weights throughout, in front and in the mean. Both are "
    "the policy's: it is the policy's logits that move."
)
def reference_as_weights(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return _centred(ref_logits.softmax(-1), _worth(logits, ref_logits, rewards, beta))


@penalized_gradient.wrong(
    "The logits were taken for log-probabilities: exp of a logit does not sum to 1 over the "
    "actions. The policy's probabilities are the softmax of its logits."
)
def logits_as_log_probs(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _centred(logits.exp(), rewards - beta * (logits - ref_logits))


@penalized_gradient.wrong(
    "The mean lost its axis, so it was subtracted across the wrong one, or did not fit at all. "
    "keepdim=True keeps the axis of actions with length one."
)
def keepdim_forgotten(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy, worth = logits.softmax(-1), _worth(logits, ref_logits, rewards, beta)
    return policy * (worth - (policy * worth).sum(-1))


@penalized_gradient.wrong(
    "The mean was taken over everything. Each choice has its own: sum over the last axis alone."
)
def mean_over_everything(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy, worth = logits.softmax(-1), _worth(logits, ref_logits, rewards, beta)
    return policy * (worth - (policy * worth).sum())


@penalized_gradient.wrong(
    "The answer is divided by the number of choices: it is the gradient of their mean. Each "
    "choice has an objective of its own."
)
def gradient_of_the_mean(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    gradient = reference.penalized_gradient(logits, ref_logits, rewards, beta)
    return gradient / max(logits[..., 0].numel(), 1)


@penalized_gradient.wrong(
    "autograd was called, or a graph was needed where none is kept. Write the gradient out with "
    "probabilities and logarithms: it is two lines."
)
def by_autograd(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    leaf = logits.detach().clone().requires_grad_(True)
    with torch.enable_grad():
        value = reference.penalized_objective(leaf, ref_logits, rewards, beta).sum()
        return torch.autograd.grad(value, leaf)[0]


@penalized_gradient.wrong(
    "Near the gradient, and not equal to it, as finite differences are: one or two calls for each "
    "action, and digits lost in the difference. Use them to check the formula that you derive.",
    rough=0.02,  # whatever the step, and whichever way it goes
)
def finite_differences(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    step = 1e-2  # one so long is off by more than by rounding
    here = reference.penalized_objective(logits, ref_logits, rewards, beta)
    there = [
        reference.penalized_objective(logits + step * one, ref_logits, rewards, beta)
        for one in torch.eye(logits.shape[-1], dtype=logits.dtype)
    ]
    return (torch.stack(there, dim=-1) - here[..., None]) / step


@penalized_gradient.wrong(
    "Right for ordinary logits, NaN where a probability of the policy rounds to 0: 0 · (−inf). "
    "log_softmax(x) keeps what log(softmax(x)) loses."
)
def softmax_then_log(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = logits.softmax(-1)
    return _centred(policy, rewards - beta * (policy.log() - ref_logits.softmax(-1).log()))


def _gradient_of(
    log_ratio: Callable,
    size: float,
    logits: Tensor,
    ref_logits: Tensor,
    rewards: Tensor,
    beta: float,
) -> Tensor:
    return _centred(logits.softmax(-1), rewards - beta * log_ratio(size, logits, ref_logits))


_inexact_log_ratios(penalized_gradient, _gradient_of)


@penalized_gradient.wrong(
    "The product rule's second part is −beta · π(a) here. It too goes through the softmax, where "
    "it is a sum over all actions: −beta · (π(a) − π(a) · Σ π), which is 0."
)
def product_rule_without_the_sum(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy = logits.softmax(-1)
    return _centred(policy, _worth(logits, ref_logits, rewards, beta)) - beta * policy


@penalized_gradient.wrong(
    "The product rule's second part is −beta · π(a) · (1 − π(a)) here, the softmax's diagonal. The "
    "other actions' log-ratios move too: over all of them it sums to 0."
)
def product_rule_on_the_diagonal(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy = logits.softmax(-1)
    centred = _centred(policy, _worth(logits, ref_logits, rewards, beta))
    return centred - beta * policy * (1 - policy)


@penalized_gradient.wrong(
    "Both parts of the product rule use the softmax's diagonal alone, π(a) · (1 − π(a)). A logit "
    "moves the other actions' probabilities too, by −π(a) · π(b): sum over all of them."
)
def product_rule_all_on_the_diagonal(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy = logits.softmax(-1)
    return policy * (1 - policy) * (_worth(logits, ref_logits, rewards, beta) - beta)


@penalized_gradient.wrong(
    "The answer is divided by the number of actions. The policy's probabilities are the weights "
    "already: sum, do not average."
)
def averaged_over_actions(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    gradient = reference.penalized_gradient(logits, ref_logits, rewards, beta)
    return gradient / logits.shape[-1]


@penalized_gradient.wrong(
    "The answer is float64 whatever came in: computing in float64 is fine, returning it is not."
)
def returned_in_float64(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    doubles = (x.double() for x in (logits, ref_logits, rewards))
    return reference.penalized_gradient(*doubles, beta)


@penalized_gradient.wrong(
    "The probabilities were normalised over the first axis. Actions lie along the last: dim=-1."
)
def normalised_over_the_first_axis(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.log_softmax(0)
    return _centred(log_policy.exp(), rewards - beta * (log_policy - log_ref))


@penalized_gradient.wrong("An input was changed in place: compute a new tensor.")
def rewards_changed_in_place(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    rewards -= _expected_reward(logits, rewards).unsqueeze(-1)
    return reference.penalized_gradient(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    floats = (x.float() for x in (logits, ref_logits, rewards))
    return reference.penalized_gradient(*floats, beta)


@penalized_gradient.wrong("beta was doubled: the gradient of beta · KL has no factor 2.")
def penalty_twice(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_gradient(logits, ref_logits, rewards, 2 * beta)


@penalized_gradient.wrong(
    "The policy's probability stands there twice. Each entry is π(a) · (worth − mean worth)."
)
def probability_twice(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return logits.softmax(-1) * reference.penalized_gradient(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "These are the actions' worths, reward − beta · log-ratio. What raising a logit gains is its "
    "probability times how far its worth is above the policy's mean."
)
def worths_returned(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _worth(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "This is the objective, one number for each choice. Its gradient has one for each action."
)
def objective_itself(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_objective(logits, ref_logits, rewards, beta).detach()


@penalized_gradient.right
def constants_cancel(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    # The two normalisers, and the +1 of the product rule, are the same for every action.
    worth = rewards - beta * (logits - ref_logits + 1)
    policy = F.softmax(logits, -1)
    return policy * worth - policy * torch.einsum("...a,...a->...", policy, worth)[..., None]


@penalized_gradient.right
def by_the_jacobian(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = Categorical(logits=logits).probs
    jacobian = torch.diag_embed(policy) - policy[..., :, None] * policy[..., None, :]
    worth = _worth(logits, ref_logits, rewards, beta)
    return (jacobian @ worth[..., None]).squeeze(-1)


@penalized_gradient.right
def action_by_action(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if logits.ndim > 1:
        rows = zip(logits, ref_logits, rewards, strict=True)
        return torch.stack([action_by_action(*row, beta) for row in rows])
    policy = logits.softmax(0)
    worth = _worth(logits, ref_logits, rewards, beta)
    gradient = torch.zeros_like(logits)
    for a in range(len(logits)):
        for b in range(len(logits)):
            gradient[b] += worth[a] * policy[a] * ((1.0 if a == b else 0.0) - policy[b])
    return gradient


@penalized_gradient.right
def in_double_and_back_again(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    worth = _worth(logits.double(), ref_logits.double(), rewards.double(), beta)
    return _centred(logits.double().softmax(-1), worth).to(logits.dtype)


@penalized_gradient.right
def value_as_the_baseline(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    value = reference.penalized_objective(logits, ref_logits, rewards, beta).unsqueeze(-1)
    return torch.softmax(logits, -1) * (_worth(logits, ref_logits, rewards, beta) - value)


@penalized_gradient.right
def two_covariances(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = _log_probs(logits, ref_logits)
    policy = log_policy.exp()
    divergence = (policy * (log_policy - log_ref)).sum(-1, keepdim=True)
    reward = rewards - (policy * rewards).sum(-1, keepdim=True)
    return policy * reward - beta * policy * (log_policy - log_ref - divergence)


optimal_policy = Exercise(
    "optimal_policy",
    parts={VALUES: 2, SMALL_BETA: 2, BETA_RANGE: 1, RULES: 1},
    hints=(
        "Take the logarithm of ref · exp(rewards / beta): a product becomes a sum. What has to be "
        "subtracted so that the probabilities sum to 1, and which function does that?",
        "log_softmax normalises any unnormalised log-probabilities. So give it log ref + rewards "
        "/ beta, and think about the size of rewards / beta in float32 when beta is 1e-3.",
        "A constant added to all rewards of a choice leaves π* as it is. Choose the constant, per "
        "choice, so that the best actions come to 0 before you divide; and refuse beta ≤ 0 first.",
    ),
)


@optimal_policy.by_hand
def _() -> Iterator[Case]:
    half, three_to_one = tensor(0.5, 0.5).log(), tensor(0.75, 0.25).log()

    def case(
        title: str,
        ref: Tensor,
        rewards: Tensor,
        beta: float,
        part: str = VALUES,
        **tolerance: float,
    ) -> Case:
        inputs = {"ref_logits": ref, "rewards": rewards, "beta": beta}
        return Case(title, inputs, part, **tolerance)

    yield case("ref (1/2, 1/2), rewards (log 3, 0), beta 1", half, tensor(math.log(3), 0.0), 1.0)
    yield case("the same at beta 1/2: (9/10, 1/10)", half, tensor(math.log(3), 0.0), 0.5)
    yield case("ref (3/4, 1/4), rewards (0, log 3)", three_to_one, tensor(0.0, math.log(3)), 1.0)
    yield case("equal rewards: π* is ref", three_to_one, tensor(2.0, 2.0), 0.3)
    yield case("only one action", tensor(3.0), tensor(-2.0), 0.5)
    # Rarer than any that is drawn among the values, so that a bound, or a constant added to a
    # probability, shows here or never among these.
    yield case("ref (1/2, 1/2), rewards (0, −10.5), beta 1", half, tensor(0.0, -10.5), 1.0)
    exact = half.double(), tensor(0.0, -10.5).double()
    yield case("float64, the same at beta 1/2", *exact, 0.5, RULES)
    close = {"rtol": 1e-6, "atol": 1e-3}  # 1e-3 nats; a log-probability of −200,000 by its digits
    three = tensor(0.2, 0.3, 0.5).log()
    wide = tensor(100.0, 100.0, -100.0)
    yield case("beta 1e-3, rewards (100, 100, −100)", three, wide, 1e-3, SMALL_BETA, **close)
    near = tensor(-100.0, 99.999, 99.9985)
    yield case("beta 1e-3, rewards (−100, 99.999, 99.9985)", three, near, 1e-3, SMALL_BETA, **close)
    yield case("beta 0", half, tensor(1.0, 0.0), 0.0, BETA_RANGE)
    yield case("beta −1", half, tensor(1.0, 0.0), -1.0, BETA_RANGE)


@optimal_policy.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(*shape: int, dtype: torch.dtype = torch.float32) -> Choice:
        choice = _choice(draw, *shape, dtype=dtype)  # bounded: the tiny probabilities come below
        ref_logits, rewards = (
            choice["ref_logits"].clamp(-1.5, 1.5),
            choice["rewards"].clamp(-0.5, 1.5),
        )
        return {"ref_logits": ref_logits, "rewards": rewards, "beta": choice["beta"]}

    yield Case("one choice among 5 actions", inputs(5))
    yield Case("3 by 4 choices among 6 actions", inputs(3, 4, 6))
    shifted = inputs(2, 4)
    shifted["ref_logits"] = shifted["ref_logits"] + 6.0
    yield Case("ref logits shifted by a constant", shifted)
    yield Case("a beta above 1", inputs(3, 3) | {"beta": 2.5})
    yield Case("float64", inputs(2, 3, dtype=torch.float64), RULES)
    small = inputs(3, 5) | {"rewards": _close_rewards(draw, 3, 5), "beta": 1e-3}
    yield Case("beta 1e-3, rewards near ±100", small, SMALL_BETA, rtol=1e-6, atol=1e-3)


def _close_rewards(draw: Draw, batch: int, actions: int) -> Tensor:
    """Rewards of ±100 of which several lie a few thousandths below the best; rows alternate.

    In odd rows no action reaches 100, and the best are near −100.
    """
    rewards = -100.0 + draw.uniform(batch, actions, low=0.001, high=0.004)
    rewards[::2, :-1] += 199.99
    return rewards.clamp(-100.0, 100.0)


@optimal_policy.wrong(
    "The reference is missing: this is exp(rewards / beta), normalised. π* is ref, reweighted: "
    "with equal rewards it must be ref."
)
def reference_forgotten(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(torch.zeros_like(ref_logits), rewards, beta)


@optimal_policy.wrong(
    "The answer is not normalised: the probabilities must sum to 1 over the actions. Subtract log "
    "Z."
)
def not_normalised(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return ref_logits.log_softmax(-1) + rewards / beta


@optimal_policy.wrong(
    "The answer is not normalised after the best reward was subtracted: the probabilities must "
    "sum to 1 over the actions."
)
def shifted_but_not_normalised(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return ref_logits.log_softmax(-1) + (rewards - rewards.amax(-1, keepdim=True)) / beta


def _refuse(beta: float) -> None:
    if beta <= 0:
        raise ValueError("beta must be above 0")


@optimal_policy.wrong(
    "The rewards were multiplied by beta. A larger beta must hold the policy nearer to ref, so it "
    "divides."
)
def multiplied_by_beta(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return reference.optimal_policy(ref_logits, rewards, 1 / beta)


@optimal_policy.wrong("beta was not used: this is the optimum at beta = 1.")
def beta_forgotten(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return reference.optimal_policy(ref_logits, rewards, 1.0)


@optimal_policy.wrong(
    "These are probabilities. The answer is their logarithm, which keeps the digits of small ones."
)
def probabilities(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits, rewards, beta).exp()


@optimal_policy.wrong(
    "The sign is turned: this policy prefers low rewards. log π* grows with the reward."
)
def prefers_low_rewards(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits, -rewards, beta)


@optimal_policy.wrong(
    "log ref was divided by beta too. Only the reward is: ref · exp(rewards / beta)."
)
def reference_tempered(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    gap = rewards - rewards.amax(-1, keepdim=True)
    return ((ref_logits.log_softmax(-1) + gap) / beta).log_softmax(-1)


@optimal_policy.wrong(
    "The reference's probabilities were added where their logarithms belong: a product becomes a "
    "sum of logarithms."
)
def reference_without_logarithm(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits.softmax(-1), rewards, beta)


@optimal_policy.wrong(
    "The reference divides here. It multiplies, ref · exp(rewards / beta): log ref enters with a "
    "plus."
)
def divided_by_the_reference(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(-ref_logits, rewards, beta)


@optimal_policy.wrong(
    "This puts everything on the best action. That is the limit of beta towards 0; at a finite "
    "beta every action that ref allows keeps some probability."
)
def greedy(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    best = F.one_hot(rewards.argmax(-1), rewards.shape[-1])
    return torch.where(best.bool(), 0.0, -torch.inf).to(rewards.dtype)


@optimal_policy.wrong(
    "The rewards were divided by their standard deviation first. π* depends on the size of the "
    "rewards: leave their scale alone."
)
def rewards_standardised(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    spread = rewards.std(-1, keepdim=True, correction=0)
    return reference.optimal_policy(ref_logits, rewards / (spread + 1e-8), beta)


@optimal_policy.wrong(
    "The probabilities were normalised over the first axis. Actions lie along the last: dim=-1."
)
def normalised_over_the_first_axis(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    gap = rewards - rewards.amax(-1, keepdim=True)
    return (ref_logits.log_softmax(-1) + gap / beta).log_softmax(0)


@optimal_policy.wrong(
    "Right until rewards / beta is large: at 100,000, float32 has steps of 0.008, and log ref is "
    "lost in them. Subtract the best reward of each choice before you divide; to subtract the "
    "largest sum afterwards is too late."
)
def not_shifted(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return (ref_logits.log_softmax(-1) + rewards / beta).log_softmax(-1)


@optimal_policy.wrong(
    "Right until rewards / beta is large: at 100,000, float32 has steps of 0.008, and ref_logits "
    "are lost in them. Subtract the best reward of each choice before you divide."
)
def logits_not_shifted(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return (ref_logits + rewards / beta).log_softmax(-1)


@optimal_policy.wrong(
    "The maximum was subtracted after the division: by then rewards / beta is near 100,000 and has "
    "been rounded to steps of 0.008. Subtract the best reward first, then divide."
)
def shifted_after_dividing(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    scaled = rewards / beta
    gap = scaled - scaled.amax(-1, keepdim=True)
    return (ref_logits.log_softmax(-1) + gap).log_softmax(-1)


@optimal_policy.wrong(
    "beta · log ref was added to the rewards and is lost among numbers near 100 before the "
    "division by beta. Add log ref at the end, to shifted rewards already divided."
)
def divided_last(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return ((rewards + beta * ref_logits.log_softmax(-1)) / beta).log_softmax(-1)


@optimal_policy.wrong(
    "The mean was subtracted: near it numbers are small, but the best actions are still far from "
    "0. Subtract the best reward, as the good actions are those that decide."
)
def shifted_by_the_mean(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    gap = rewards - rewards.mean(-1, keepdim=True)
    return (ref_logits.log_softmax(-1) + gap / beta).log_softmax(-1)


@optimal_policy.wrong(
    "One maximum was subtracted from all choices. A choice whose rewards lie far below it still "
    "has large numbers: take the maximum over the last axis, with keepdim=True."
)
def shifted_by_one_maximum(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return (ref_logits.log_softmax(-1) + (rewards - rewards.max()) / beta).log_softmax(-1)


@optimal_policy.wrong(
    "exp(rewards / beta) overflows when beta is small. Stay with logarithms: log_softmax "
    "normalises without leaving them."
)
def weights_overflow(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    weights = ref_logits.softmax(-1) * (rewards / beta).exp()
    return (weights / weights.sum(-1, keepdim=True)).log()


@optimal_policy.wrong(
    "Right for ordinary numbers, −inf where a probability rounds to 0: the logarithm was taken of "
    "the softmax. log_softmax never forms the probability."
)
def softmax_then_log(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits, rewards, beta).softmax(-1).log()


def _constant_added(size: float, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (reference.optimal_policy(ref_logits, rewards, beta).exp() + size).log()


def _probability_clamped(size: float, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits, rewards, beta).exp().clamp(min=size).log()


def _gap_clamped(bound: float, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    gap = (rewards - rewards.amax(-1, keepdim=True)) / beta
    return (ref_logits.log_softmax(-1) + gap.clamp(min=-bound)).log_softmax(-1)


for _size in (6, 8, 10, 12):
    for _name, _says, _answer in (
        ("epsilon_in_the_logarithm", f"About 1e-{_size} was added inside", _constant_added),
        ("probability_clamped_at", f"About 1e-{_size} is the least in", _probability_clamped),
    ):
        _says += " the logarithm, below which no probability falls. log_softmax needs no guard."
        _wrong = Mistake(f"{_name}_1e_{_size}", _says, partial(_answer, 10.0**-_size))
        optimal_policy.mistakes.append(_wrong)

for _bound in (20.0, 50.0, 100.0):
    optimal_policy.mistakes.append(
        Mistake(
            f"gap_clamped_at_{_bound:.0f}",
            f"Rewards below the best were clamped, at {_bound:.0f} after the division, so that bad "
            "and very bad actions are equal. log_softmax takes any of them: clamp nothing.",
            partial(_gap_clamped, _bound),
        )
    )


@optimal_policy.wrong(
    "The exponent was clamped. That keeps exp finite and makes good and very good actions equal: "
    "shift the rewards, do not clamp them."
)
def exponent_clamped(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return (ref_logits.log_softmax(-1) + (rewards / beta).clamp(-50.0, 50.0)).log_softmax(-1)


@optimal_policy.wrong(
    "beta ≤ 0 was let through, or replaced by another number. At 0 there is a division by 0, "
    "below it the policy flees the reference: raise ValueError for both."
)
def beta_not_checked(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    gap = rewards - rewards.amax(-1, keepdim=True)
    return (ref_logits.log_softmax(-1) + gap / beta).log_softmax(-1)


@optimal_policy.wrong(
    "beta = 0 was let through: raise ValueError for it too, not for beta < 0 alone."
)
def zero_let_through(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta < 0:
        raise ValueError("beta must not be negative")
    return beta_not_checked(ref_logits, rewards, beta)


@optimal_policy.wrong(
    "A beta below 0 was let through: raise ValueError for it too, not for 0 alone."
)
def negative_let_through(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta == 0:
        raise ValueError("beta must not be 0")
    return beta_not_checked(ref_logits, rewards, beta)


@optimal_policy.wrong(
    "An assertion refuses beta ≤ 0. The contract is a ValueError: assertions vanish under python "
    "-O."
)
def asserted(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    assert beta > 0, "beta must be above 0"
    return reference.optimal_policy(ref_logits, rewards, beta)


@optimal_policy.wrong("An input was changed in place: compute a new tensor.")
def rewards_shifted_in_place(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    rewards -= rewards.amax(-1, keepdim=True)
    return reference.optimal_policy(ref_logits, rewards, beta)


@optimal_policy.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits.float(), rewards.float(), beta)


@optimal_policy.wrong(
    "The answer is float64 whatever came in: computing in float64 is fine, returning it is not."
)
def returned_in_float64(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits.double(), rewards.double(), beta)


@optimal_policy.wrong("The rewards were divided by the root of beta: divide by beta.")
def divided_by_the_root_of_beta(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    return reference.optimal_policy(ref_logits, rewards, math.sqrt(beta))


@optimal_policy.wrong("Half of each reward counts: the exponent is reward / beta, with no 2.")
def half_of_the_rewards(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits, rewards / 2, beta)


@optimal_policy.right
def in_float64_and_back(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if not beta > 0:
        raise ValueError("beta")
    scores = ref_logits.double() + rewards.double() / beta
    return (scores - scores.logsumexp(-1, keepdim=True)).to(ref_logits.dtype)


@optimal_policy.right
def with_categorical(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError("beta")
    best = rewards.max(dim=-1, keepdim=True).values
    return Categorical(logits=F.log_softmax(ref_logits, -1) - (best - rewards) / beta).logits


@optimal_policy.right
def choice_by_choice_optimum(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError("beta")
    if rewards.ndim > 1:
        rows = zip(ref_logits, rewards, strict=True)
        return torch.stack([choice_by_choice_optimum(*row, beta) for row in rows])
    scores = [z + (r - rewards.max()) / beta for z, r in zip(ref_logits, rewards, strict=True)]
    top = max(scores)
    total = sum((score - top).exp() for score in scores)
    return torch.stack([score - top - total.log() for score in scores])


@optimal_policy.right
def by_pairwise_odds(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError("beta")
    odds = (rewards[..., None, :] - rewards[..., :, None]) / beta
    odds = odds + (ref_logits[..., None, :] - ref_logits[..., :, None])
    return -odds.logsumexp(-1)


@optimal_policy.right
@torch.no_grad()
def without_a_graph(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError("beta")
    scores = (rewards - rewards.amax(-1, keepdim=True)) / beta + ref_logits
    return scores - scores.logsumexp(-1, keepdim=True)


@optimal_policy.right
def relative_to_the_best_action(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    if beta <= 0:
        raise ValueError("beta")
    best = rewards.argmax(-1, keepdim=True)
    odds = ref_logits - ref_logits.gather(-1, best) + (rewards - rewards.gather(-1, best)) / beta
    return odds - torch.logsumexp(odds, dim=-1, keepdim=True)


beta_for_kl = Exercise(
    "beta_for_kl",
    parts={VALUES: 3, EXTREMES: 1, OUT_OF_REACH: 2, RULES: 1},
    hints=(
        "KL(π* ‖ ref) falls as beta grows: it crosses the target once. How do you find the place "
        "where a falling function crosses a number, when you can only evaluate it?",
        "Bisect: halve an interval of log beta that the answer lies in, some 60 times; "
        "logarithms, as beta may be 1e-5 or 1e5. Work in float64, and let your optimal_policy do "
        "the rest. First decide which targets have an answer at all.",
        "The KL rises towards −log of ref's whole mass on the best actions as beta falls to 0: "
        "beyond that, and at or below 0, raise ValueError. In each round: KL above the target "
        "means that beta is still too small.",
    ),
)


def _greatest_kl(ref_logits: Tensor, rewards: Tensor) -> float:
    """−log of ref's mass on the best actions: what no optimum reaches."""
    log_ref = ref_logits.double().log_softmax(-1)
    return -log_ref[rewards == rewards.max()].logsumexp(-1).item()


def _elasticity(ref_logits: Tensor, rewards: Tensor, beta: float) -> float:
    """−d log KL / d log β at the optimum: Var(r) / (β² · KL), the variance under π*."""
    log_ref, rewards = ref_logits.double().log_softmax(-1), rewards.double()
    log_best = reference.optimal_policy(log_ref, rewards, beta)
    mean = (log_best.exp() * rewards).sum()
    variance = (log_best.exp() * (rewards - mean) ** 2).sum()
    divergence = (log_best.exp() * (log_best - log_ref)).sum()
    return (variance / (beta**2 * divergence)).item()


def _reachable(
    title: str, ref_logits: Tensor, rewards: Tensor, target: float, part: str = VALUES
) -> Case:
    """A target with an answer: β is judged by the KL that it leads to, to 1e-4 of itself."""
    inputs = {"ref_logits": ref_logits, "rewards": rewards, "target_kl": target}
    beta = reference.beta_for_kl(**inputs)
    rtol = 1e-4 / _elasticity(ref_logits, rewards, beta)
    return Case(title, inputs, part, rtol=rtol, atol=0.0)


def _unreachable(title: str, ref_logits: Tensor, rewards: Tensor, target: float) -> Case:
    inputs = {"ref_logits": ref_logits, "rewards": rewards, "target_kl": target}
    return Case(title, inputs, OUT_OF_REACH)


@beta_for_kl.by_hand
def _() -> Iterator[Case]:
    half, three = tensor(0.5, 0.5).log(), tensor(0.2, 0.3, 0.5).log()
    rewards = tensor(math.log(3), 0.0)
    at_one = 0.75 * math.log(1.5) - 0.25 * math.log(2)
    yield _reachable("ref (1/2, 1/2), rewards (log 3, 0): beta 1", half, rewards, at_one)
    # The betas of the values and of the extremes that are drawn lie between these.
    for size, part in ((20, VALUES), (40_000, EXTREMES)):
        large, small = rewards * size, rewards / size
        yield _reachable(
            f"rewards {size:,} times as large: beta {size:,}", half, large, at_one, part
        )
        yield _reachable(
            f"rewards {size:,} times smaller: beta 1/{size:,}", half, small, at_one, part
        )
    tied = tensor(1.0, 1.0, 0.0)
    yield _reachable("two best actions, target 0.5", three, tied, 0.5)
    yield _reachable("two best actions, target 0.6", three, tied, 0.6, EXTREMES)
    yield _unreachable("two best actions, target 0.9: above −log(1/2)", three, tied, 0.9)
    yield _unreachable("two best actions, target 1.3", three, tied, 1.3)
    yield _unreachable("target 0", half, rewards, 0.0)
    yield _unreachable("a target below 0", half, rewards, -0.2)
    yield _unreachable("all rewards equal", half, tensor(2.0, 2.0), 0.1)
    yield _unreachable("only one action", tensor(1.0), tensor(2.0), 0.1)


@beta_for_kl.drawn
def _(draw: Draw) -> Iterator[Case]:
    def pair(actions: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
        ref_logits, rewards = draw.normal(actions, dtype=dtype), draw.normal(actions, dtype=dtype)
        apart = 0.3 * torch.arange(actions)  # two rewards that nearly tie would make beta tiny
        return ref_logits, rewards.sort().values + apart

    def share(low: float, high: float, *pair: Tensor) -> float:
        return _greatest_kl(*pair) * draw.uniform(1, low=low, high=high).item()

    five = pair(5)
    yield _reachable("5 actions", *five, share(0.1, 0.3, *five))
    eight = pair(8)
    yield _reachable("8 actions, a far optimum", *eight, share(0.5, 0.8, *eight))
    ref_logits, rewards = pair(4)
    high = (ref_logits, rewards + 2000.0)
    yield _reachable("rewards near 2000", *high, share(0.4, 0.6, *high))
    ref_logits, rewards = pair(4)
    shifted = (ref_logits + 5.0, rewards)
    yield _reachable("ref logits shifted by a constant", *shifted, share(0.2, 0.5, *shifted))
    yield from _rare_best(draw)
    double = pair(4, torch.float64)
    yield _reachable("float64", *double, share(0.2, 0.6, *double), RULES)
    yield from _extremes(pair, share)


def _rare_best(draw: Draw) -> Iterator[Case]:
    """The best action is one that ref draws rarely, so that KLs above log(actions) are reached."""
    ref_logits = draw.normal(4) * 0.3
    ref_logits[-1] -= 4.0
    rewards = draw.normal(4).sort().values + tensor(0.0, 0.0, 0.0, 0.5)
    greatest = _greatest_kl(ref_logits, rewards)
    target = 0.5 * (greatest + math.log(4))
    yield _reachable("a rare best action, target above log 4", ref_logits, rewards, target)
    worst_first = -rewards
    likely = _greatest_kl(ref_logits, worst_first)
    target = 0.3 * _greatest_kl(ref_logits, rewards) + 0.7 * likely
    yield _unreachable("a common best action, target too great", ref_logits, worst_first, target)


def _extremes(pair: Callable, share: Callable) -> Iterator[Case]:
    for target in (1e-4, 1e-5, 1e-6):
        yield _reachable(f"target {target:.0e}", *pair(5), target, EXTREMES)
    yield _reachable("target 1e-6, float64", *pair(5, torch.float64), 1e-6, EXTREMES)
    ref_logits, rewards = pair(5)
    large = (ref_logits, 5000.0 * rewards)
    yield _reachable("rewards of thousands", *large, share(0.03, 0.05, *large), EXTREMES)
    ref_logits, rewards = pair(5)
    small = (ref_logits, 1e-3 * (rewards + torch.arange(5)))
    yield _reachable("rewards of thousandths", *small, share(0.3, 0.8, *small), EXTREMES)
    near = pair(6)
    yield _reachable("99 % of the greatest KL", *near, 0.99 * _greatest_kl(*near), EXTREMES)


# What is left of beta where float32 measured so small a KL: of 100, of 300 and of 1,000.
FLOAT32_BETA = {"target 1e-04": 2.0, "target 1e-05": 25.0, "target 1e-06": 300.0}


def _tilted(log_ref: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """log π* from logarithms and rewards in float64."""
    return (log_ref + (rewards - rewards.max()) / beta).log_softmax(-1)


def _spent(log_best: Tensor, log_ref: Tensor) -> float:
    return (log_best.exp() * (log_best - log_ref)).sum().item()


def _ready(ref_logits: Tensor, rewards: Tensor) -> tuple[Tensor, Tensor]:
    return ref_logits.double().log_softmax(-1), rewards.double()


def _refuse_target(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> None:
    if not 0 < target_kl < _greatest_kl(ref_logits, rewards) * (1 - 1e-9):
        raise ValueError("no beta leads there")


def _bisect(
    falling: Callable[[float], float],
    target: float,
    low: float = -25.0,
    high: float = 25.0,
    steps: int = 70,
) -> float:
    """exp(x) at which falling(exp(x)) crosses the target, for x between low and high."""
    for _step in range(steps):
        middle = (low + high) / 2
        if falling(math.exp(middle)) > target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


def _solved(
    ref_logits: Tensor, rewards: Tensor, target_kl: float, measure: Callable = _spent, **how: float
) -> float:
    """Bisection for `measure` of log π* and log ref, with the right refusals."""
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: measure(_tilted(log_ref, rewards, b), log_ref), target_kl, **how)


@beta_for_kl.wrong(
    "This solves KL(ref ‖ π*) = target: the arguments of the divergence are swapped. π* is the "
    "policy, so its probabilities are the weights."
)
def divergence_swapped(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, lambda best, ref: _spent(ref, best))


@beta_for_kl.wrong(
    "The reference is missing from the divergence: this compares π* with the uniform policy."
)
def divergence_from_uniform(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(
        ref_logits,
        rewards,
        target_kl,
        lambda best, _ref: _spent(best, torch.full_like(best, -math.log(len(best)))),
    )


@beta_for_kl.wrong(
    "The reference is missing from the optimum: π* is proportional to ref · exp(rewards / beta)."
)
def optimum_without_reference(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    flat = torch.zeros_like(log_ref)
    return _bisect(lambda b: _spent(_tilted(flat, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "ref_logits were subtracted as they are. They are log-probabilities only up to a constant: "
    "take log_softmax first."
)
def reference_not_normalised(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    by = ref_logits.double().logsumexp(-1).item()
    return _solved(ref_logits, rewards, target_kl, lambda best, ref: _spent(best, ref + by))


@beta_for_kl.wrong("This is 1/beta: the rewards are divided by beta, not multiplied.")
def reciprocal(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return 1 / reference.beta_for_kl(ref_logits, rewards, target_kl)


@beta_for_kl.wrong(
    "This is log beta: take exp of what the bisection found.",
    rough={"ref (1/2, 1/2), rewards (log 3, 0): beta 1": 1e-6},  # there it is 0
)
def logarithm(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return math.log(reference.beta_for_kl(ref_logits, rewards, target_kl))


@beta_for_kl.wrong("The divergence was measured in bits. target_kl is in nats.")
def in_bits(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(
        ref_logits, rewards, target_kl, lambda best, ref: _spent(best, ref) / math.log(2)
    )


@beta_for_kl.wrong(
    "This is the approximation for small steps, beta = √(Var(r) / (2 · target)). It is right only "
    "as the target goes to 0: take it as a first guess, and bisect."
)
def small_step_formula(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    mean = (log_ref.exp() * rewards).sum()
    return math.sqrt((log_ref.exp() * (rewards - mean) ** 2).sum() / (2 * target_kl))


@beta_for_kl.wrong(
    "The target is the radius of the trust region, and this returns it as the price. The two are "
    "one knob, but not one number: solve for the beta whose optimum has that KL."
)
def radius_as_beta(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    return float(target_kl)


@beta_for_kl.wrong(
    "The search went the wrong way and ended at the edge of its interval. KL falls as beta grows: "
    "when it is above the target, beta must rise."
)
def wrong_way(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    low, high = 1e-6, 1e5  # no middle of it is a beta that is asked for
    for _step in range(100):
        middle = math.sqrt(low * high)
        if _spent(_tilted(log_ref, rewards, middle), log_ref) > target_kl:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


@beta_for_kl.wrong(
    "The search stopped too early: the KL is off by more than 1e-4 of itself. Bisect some 60 times."
)
def stopped_early(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, low=-14.0, high=15.0, steps=10)


@beta_for_kl.wrong(
    "The nearest beta of a grid of 1,000 was taken: the KL is off by more than 1e-4 of itself. "
    "Narrow the interval further, by bisection."
)
def nearest_on_a_grid(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    grid = torch.logspace(-4, 4, 1000, dtype=torch.float64)
    found = [_spent(_tilted(log_ref, rewards, beta), log_ref) for beta in grid.tolist()]
    return grid[(torch.tensor(found) - target_kl).abs().argmin()].item()


@beta_for_kl.wrong(
    "The search ends at the edge of an interval that is too narrow: beta has the unit of the "
    "rewards, which may be thousands or thousandths. Let the interval grow with their spread."
)
def narrow_interval(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, low=math.log(1e-2), high=math.log(1e2))


@beta_for_kl.wrong(
    "The search ends at the edge of its interval, 0.001 or 1,000: with rewards of thousands or of "
    "thousandths beta lies outside. Let the interval grow with the rewards' spread."
)
def interval_of_thousands(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, low=math.log(1e-3), high=math.log(1e3))


@beta_for_kl.wrong(
    "The search ends at the edge of its interval, 0.0001 or 10,000: with large or tiny rewards "
    "beta lies outside. Let the interval grow with the rewards' spread."
)
def interval_of_ten_thousands(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, low=math.log(1e-4), high=math.log(1e4))


@beta_for_kl.wrong(
    "The search ends at the edge of its interval, 0.001 or 100: with large or tiny rewards beta "
    "lies outside. Let the interval grow with the rewards' spread."
)
def interval_of_a_hundred(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    return _solved(ref_logits, rewards, target_kl, low=math.log(1e-3), high=math.log(1e2))


@beta_for_kl.wrong(
    "Bisection of beta itself, between 0 and 10,000, stopped after 30 halvings: small betas are "
    "far too coarse there. Bisect its logarithm."
)
def linear_bisection(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    low, high = 0.0, 1e4
    for _step in range(30):
        middle = (low + high) / 2
        above = _spent(_tilted(log_ref, rewards, middle), log_ref) > target_kl
        low, high = (middle, high) if above else (low, middle)
    return (low + high) / 2


@beta_for_kl.wrong(
    "exp(rewards / beta) overflowed during the search, and a comparison with NaN is always false. "
    "Subtract the best reward first, or let log_softmax normalise."
)
def weights_overflow(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)

    def spent(beta: float) -> float:
        weights = log_ref.exp() * (rewards / beta).exp()
        best = weights / weights.sum()
        return (best * (best.log() - log_ref)).sum().item()

    return _bisect(spent, target_kl, low=math.log(1e-6), high=math.log(1e5))


@beta_for_kl.wrong(
    "The whole search ran in float32, where a small KL is a difference of numbers near 1 and has "
    "few digits left. Turn both inputs to float64 first.",
    rough=FLOAT32_BETA | {"target 1e-6, float64": 300.0},
)
def in_float32(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = ref_logits.float().log_softmax(-1), rewards.float()
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl, -14.0, 14.0)


@beta_for_kl.wrong(
    "The search ran in the dtype that came in. In float32 a small KL, a sum of numbers that nearly "
    "cancel, has few digits left: turn both inputs to float64 first, whatever they are.",
    rough=FLOAT32_BETA,
)
def in_the_dtype_that_came(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref = ref_logits.log_softmax(-1)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "A target beyond the greatest reachable KL was answered with a tiny beta. No beta leads "
    "there: raise ValueError."
)
def bound_not_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if target_kl <= 0:
        raise ValueError("target_kl must be above 0")
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "A target of 0 or less was let through. KL 0 is reached at no finite beta, so inf is no answer "
    "either, and less than 0 never: raise ValueError.",
    rough={"target 0": math.inf},
)
def low_targets_not_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if target_kl > 0:
        return reference.beta_for_kl(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "Nothing is refused. A target of 0 or less, and one beyond the greatest reachable KL, have no "
    "answer: raise ValueError for each.",
    rough={"target 0": math.inf},
)
def nothing_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "Of several best actions only one was counted. Targets beyond −log of ref's mass on *all* of "
    "them are out of reach: π* keeps drawing every one."
)
def ties_forgotten(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    log_ref, double = _ready(ref_logits, rewards)
    if len(rewards) == 1 or not 0 < target_kl < -log_ref[double.argmax()].item():
        raise ValueError("no beta leads there")
    return _bisect(lambda b: _spent(_tilted(log_ref, double, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "The bound used is log of the number of actions. That is the greatest KL from a uniform "
    "reference alone; here it is −log of ref's mass on the best actions."
)
def bound_of_a_uniform_reference(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if not 0 < target_kl < math.log(len(rewards)):
        raise ValueError("no beta leads there")
    log_ref, double = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, double, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "The bound used is −log of ref's smallest probability. Some policy has that KL, but no "
    "optimum does unless its best action is the rarest: use ref's mass on the best actions."
)
def bound_of_the_rarest_action(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    log_ref, double = _ready(ref_logits, rewards)
    if len(rewards) == 1 or not 0 < target_kl < -log_ref.min().item():
        raise ValueError("no beta leads there")
    return _bisect(lambda b: _spent(_tilted(log_ref, double, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "An assertion refuses what is out of reach. The contract is a ValueError: assertions vanish "
    "under python -O."
)
def asserted(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    assert 0 < target_kl < _greatest_kl(ref_logits, rewards), "no beta leads there"
    return reference.beta_for_kl(ref_logits, rewards, target_kl)


@beta_for_kl.wrong("An input was changed in place: compute a new tensor.")
def rewards_shifted_in_place(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    rewards -= rewards.max()
    return reference.beta_for_kl(ref_logits, rewards, target_kl)


@beta_for_kl.right
def bisecting_the_reciprocal(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    log_ref = torch.log_softmax(ref_logits.double(), 0)
    gap = rewards.double() - rewards.double().max()
    if target_kl <= 0 or target_kl >= -torch.log(log_ref.exp()[gap == 0].sum()).item():
        raise ValueError("no beta leads there")
    scale, low, high = 1.0, 0.0, 1.0
    while _spent((log_ref + gap * high * scale).log_softmax(0), log_ref) < target_kl:
        low, high = high, high * 2
    for _step in range(100):
        middle = (low + high) / 2
        if _spent((log_ref + gap * middle).log_softmax(0), log_ref) < target_kl:
            low = middle
        else:
            high = middle
    return 2 / (low + high)


@beta_for_kl.right
def newton_in_logarithms(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    log_ref, rewards = _ready(ref_logits, rewards)
    if not 0 < target_kl < _greatest_kl(ref_logits, rewards):
        raise ValueError("no beta leads there")
    low, high, x = -40.0, 40.0, 0.0
    for _step in range(200):  # Newton where it stays inside the interval, bisection where it leaves
        spent = _spent(_tilted(log_ref, rewards, math.exp(x)), log_ref)
        low, high = (x, high) if spent > target_kl else (low, x)
        slope = _elasticity(ref_logits, rewards, math.exp(x)) if 0 < spent < math.inf else 0.0
        step = x + math.log(spent / target_kl) / slope if slope > 1e-9 else low
        x = step if low < step < high else (low + high) / 2
    return math.exp(x)


@beta_for_kl.right
def narrowing_grids(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> Tensor:
    log_ref = Categorical(logits=ref_logits.double()).logits
    gap = rewards.double() - rewards.double().amax()
    if not 0 < target_kl < -log_ref[gap == 0].exp().sum().log():
        raise ValueError("no beta leads there")
    low, high = -30.0, 30.0
    for _step in range(12):
        grid = torch.linspace(low, high, 101, dtype=torch.float64)
        log_best = (log_ref + gap / grid.exp()[:, None]).log_softmax(-1)
        spent = (log_best.exp() * (log_best - log_ref)).sum(-1)
        first = int((spent <= target_kl).nonzero()[0])
        low, high = grid[max(first - 1, 0)].item(), grid[first].item()
    return grid[first].exp()


@beta_for_kl.right
def least_of_the_dual(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    # The dual of max E[r] with KL ≤ δ is β·δ + β·log E_ref[exp(r/β)]; its slope is δ − KL(β).
    log_ref, rewards = _ready(ref_logits, rewards)
    _refuse_target(ref_logits, rewards, target_kl)
    gap = rewards - rewards.max()

    def slope(log_beta: float) -> float:
        beta = torch.tensor(math.exp(log_beta), dtype=torch.float64, requires_grad=True)
        dual = beta * target_kl + beta * (log_ref + gap / beta).logsumexp(-1)
        return torch.autograd.grad(dual, beta)[0].item()

    low, high = -30.0, 30.0
    for _step in range(70):
        middle = (low + high) / 2
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return math.exp(low)


q03_beta_trust_region = Quiz(
    "q03_beta_trust_region",
    parts={"statement": 1, "reason": 1},
    forms={"statement": [True, False], "reason": ["A", "B", "C", "D"]},
    hints=(
        "Maximising J − β·D, what happens to the price of a nat of divergence when β grows?",
        "In the figure above, read off KL(π* ‖ ref) at a small and at a large β.",
        "The trusted region is where the best policy is found. Its radius is KL(π* ‖ ref), and β "
        "is on the other axis of the figure.",
    ),
)
q03_beta_trust_region.distractor(
    {"statement": True},
    "It is the other way round: β is a price, not a radius. At a higher price the optimum buys "
    "less divergence, so the trusted region shrinks.",
)
q03_beta_trust_region.distractor(
    {"reason": "A"},
    "No divergence is free, at any β: the penalty starts with the first step away. A larger β "
    "makes every step dearer; a threshold would be a constraint, KL ≤ δ, and that δ would fall.",
)
q03_beta_trust_region.distractor(
    {"reason": "B"},
    "β multiplies one of the two terms, not the whole. Only a factor on both would leave the "
    "optimum where it is; the figure shows that it moves.",
)
q03_beta_trust_region.distractor(
    {"reason": "D"},
    "The speed is the learning rate's business. β changes where the maximum is: π* is "
    "proportional to ref · exp(r/β), whichever way you get there.",
)

q03_beta_limits = Quiz(
    "q03_beta_limits",
    parts={"to_zero": 1, "to_infinity": 1},
    forms={"to_zero": ["A", "B", "C", "D", "E"], "to_infinity": ["A", "B", "C", "D", "E"]},
    hints=(
        "Put the two betas into ref · exp(r/β). What does r/β do in each case?",
        "What counts is the ratio of two actions' probabilities: ref's ratio times "
        "exp((r₁ − r₂)/β). Take it to the limit for unequal rewards, then for equal ones.",
        "As β → ∞ the factor goes to 1. As β → 0 it goes to 0 or ∞ unless r₁ = r₂: then it is 1, "
        "at every β, and what is left of the ratio?",
    ),
)
q03_beta_limits.distractor(
    {"to_zero": "A"},
    "As β → 0: uniform would mean that neither reward nor ref counts. The reward is then all that "
    "counts, and worse actions vanish.",
)
q03_beta_limits.distractor(
    {"to_zero": "C"},
    "As β → 0: right when there is one best action. Two that share the highest reward keep ref's "
    "ratio at every β, as exp((r₁ − r₂)/β) = 1: neither can vanish.",
)
q03_beta_limits.distractor(
    {"to_zero": "D"},
    "As β → 0: the price of leaving ref goes to 0, so nothing keeps the policy there. You may "
    "have exchanged the two limits.",
)
q03_beta_limits.distractor(
    {"to_zero": "E"},
    "As β → 0: at β = 0 itself there may be many maxima, but for each β > 0 there is exactly one, "
    "and these optima converge.",
)
q03_beta_limits.distractor(
    {"to_infinity": "A"},
    "As β → ∞: that is an entropy bonus, whose reference is uniform. Here exp(r/β) goes to 1, and "
    "what is left is ref, uniform or not.",
)
q03_beta_limits.distractor(
    {"to_infinity": "B"},
    "As β → ∞: this is the limit for a penalty that costs nothing. You may have exchanged the two "
    "limits.",
)
q03_beta_limits.distractor(
    {"to_infinity": "C"},
    "As β → ∞: certainty is far from ref, and every nat away from ref costs more than any reward "
    "can pay.",
)
q03_beta_limits.distractor(
    {"to_infinity": "E"},
    "As β → ∞: the objective has a maximum at every β, as ref itself costs nothing: there it is "
    "E_ref[r], however dear a nat is elsewhere.",
)

q03_choose_objective = Quiz(
    "q03_choose_objective",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D", "E"],
    hints=(
        "What is to be kept small is how differently the policy answers after an update. Which "
        "expressions measure just that?",
        "Two of the five hold a distance between distributions with old in it. What does the sign "
        "in front of each do, when the objective is maximised?",
        "At the policy that drew the batch the right penalty is 0; it grows as the answers "
        "change, and it lowers what is maximised.",
    ),
)
q03_choose_objective.distractor(
    "A",
    "The distance between parameter vectors is not the distance between answers: the same step in "
    "θ may change the answers hardly at all or completely, and here a small one did. Penalise "
    "what the policy does.",
)
q03_choose_objective.distractor(
    "C",
    "The sign is turned: when this is maximised, divergence is paid for. The policy runs away "
    "from old, and the more so the larger β.",
)
q03_choose_objective.distractor(
    "D",
    "An entropy bonus pulls towards the uniform policy, wherever old is. A policy may keep its "
    "entropy and answer entirely differently.",
)
q03_choose_objective.distractor(
    "E",
    "Larger batches make the estimate of J less noisy. J is still only to be trusted near the "
    "policy that drew the batch, and nothing keeps the update there.",
)
