"""Compute the policy's expected reward minus β times KL(policy ‖ ref), exactly."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical, kl_divergence
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise
from .shared import (
    LARGE,
    _choice,
    choices,
    choices_by_hand,
    inexact_log_ratios,
    log_probs,
)

penalized_objective = Exercise(
    "penalized_objective",
    parts={VALUES: 1, GRADIENT: 1, LARGE: 1, RULES: 1},
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
    for title, inputs, part in choices_by_hand():
        atol = 1e-3 if part == LARGE else None  # as below
        yield Case(title, inputs, part, ("logits", "ref_logits"), atol=atol)


@penalized_objective.drawn
def _(draw: Draw) -> Iterator[Case]:
    for title, inputs, part in choices(draw):
        # Among logits in the hundreds a float32 gradient of nearly nothing has no digits.
        atol = 1e-3 if part == LARGE else None
        yield Case(title, inputs, part, ("logits", "ref_logits"), atol=atol)
    yield Case("no gradient asked", _choice(draw, 2, 3), RULES)


@penalized_objective.right
def two_terms(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)
    policy = log_policy.exp()
    reward = (policy * rewards).sum(-1)
    kl = (policy * (log_policy - log_ref)).sum(-1)
    return reward - beta * kl


penalized_objective.changed(
    "divergence_swapped",
    "policy * (log_policy - log_ref)",
    "log_ref.exp() * (log_ref - log_policy)",
    "The penalty is KL(ref ‖ policy): its arguments are swapped. The policy's probabilities are "
    "the weights, and its logarithm comes first.",
    of=two_terms,
)
penalized_objective.changed(
    "divergence_rewarded",
    "reward - beta * kl",
    "reward + beta * kl",
    "The divergence was added: this pays the policy for leaving the reference. What is maximised "
    "must fall as the divergence grows, so subtract.",
    of=two_terms,
)
penalized_objective.changed(
    "returned_the_loss",
    "reward - beta * kl",
    "beta * kl - reward",
    "The sign of the whole is turned: this is the loss that an optimiser would minimise. The "
    "objective is to be maximised: reward counts as plus.",
    of=two_terms,
)
penalized_objective.changed(
    "beta_on_the_reward",
    "reward - beta * kl",
    "beta * reward - kl",
    "beta multiplies the reward here. It is the price of the divergence: E[r] − beta · KL.",
    of=two_terms,
)
penalized_objective.changed(
    "weighted_average",
    "reward - beta * kl",
    "(1 - beta) * reward - beta * kl",
    "The two terms were mixed with weights 1 − beta and beta. The reward keeps the weight 1, and "
    "beta may be above 1.",
    of=two_terms,
)
penalized_objective.changed(
    "beta_forgotten",
    "reward - beta * kl",
    "reward - kl",
    "beta was not used: the divergence is subtracted at a price of 1.",
    of=two_terms,
)
penalized_objective.changed(
    "penalty_forgotten",
    "reward - beta * kl",
    "reward",
    "The penalty is missing: this is the expected reward alone.",
    of=two_terms,
)
penalized_objective.changed(
    "penalty_twice",
    "reward - beta * kl",
    "reward - 2 * beta * kl",
    "The penalty was subtracted twice. Subtract beta · KL once, from the plain expected reward.",
    of=two_terms,
)
penalized_objective.changed(
    "cross_entropy",
    "log_policy - log_ref",
    "-log_ref",
    "The policy's own logarithm is missing: this subtracts the cross-entropy −Σ π log π_ref, not "
    "the divergence. At policy = ref the penalty must be 0.",
    of=two_terms,
)
penalized_objective.changed(
    "entropy_bonus",
    "log_policy - log_ref",
    "log_policy",
    "The reference is missing: this is an entropy bonus, which pulls towards the uniform policy. "
    "KL(policy ‖ ref) also holds log ref.",
    of=two_terms,
)
penalized_objective.changed(
    "rewards_unweighted",
    "(policy * rewards).sum(-1)",
    "rewards.mean(-1)",
    "The rewards were averaged with equal weights. Weight each by the policy's probability of "
    "its action.",
    of=two_terms,
)
penalized_objective.changed(
    "reward_of_the_reference",
    "policy * rewards",
    "log_ref.exp() * rewards",
    "The rewards were weighted by the reference's probabilities. It is the policy that acts: "
    "weight by its own.",
    of=two_terms,
)
penalized_objective.changed(
    "greedy_reward",
    "(policy * rewards).sum(-1)",
    "rewards.gather(-1, logits.argmax(-1, keepdim=True)).squeeze(-1)",
    "Only the policy's likeliest action was paid. The objective is an expectation: sum over all "
    "actions, weighted by their probabilities.",
    of=two_terms,
)
penalized_objective.changed(
    "penalty_weight_detached",
    "policy * (log_policy",
    "policy.detach() * (log_policy",
    "The value is right, but its penalty pulls nowhere: it has no gradient. It was detached, or "
    "the probabilities that weight its log-ratios were. Detach ref_logits alone.",
    of=two_terms,
)
penalized_objective.changed(
    "reward_weight_detached",
    "policy * rewards",
    "policy.detach() * rewards",
    "The value is right, but no reward is pursued: the expected reward has no gradient. It was "
    "detached, or the probabilities that weight the rewards were. Detach ref_logits alone.",
    of=two_terms,
)
penalized_objective.changed(
    "reference_not_constant",
    "ref_logits.detach()",
    "ref_logits",
    "A gradient reaches ref_logits, which is a constant: detach it.",
    of=two_terms,
)
penalized_objective.changed(
    "everything_detached",
    "reward - beta * kl",
    "(reward - beta * kl).detach()",
    "Nothing moves the logits: their gradient is 0, or there is none. Either the policy's side was "
    "detached too, or its probabilities were, where they are weights. Detach ref_logits alone.",
    of=two_terms,
)
penalized_objective.changed(
    "averaged",
    "reward - beta * kl",
    "(reward - beta * kl) / logits.shape[-1]",
    "This is the mean over actions. The policy's probabilities are the weights already: sum.",
    of=two_terms,
)
penalized_objective.changed(
    "summed_over_everything",
    "reward - beta * kl",
    "(reward - beta * kl).sum()",
    "One number came back for all choices. Sum over the last axis alone: one number per choice.",
    of=two_terms,
)
penalized_objective.changed(
    "sum_forgotten",
    ".sum(dim=-1)",
    "",
    "One number per action came back: the sum over actions, the last axis, is missing.",
)


@penalized_objective.wrong(
    "The probabilities were normalised over the first axis. Actions lie along the last: dim=-1."
)
def normalised_over_the_first_axis(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.detach().log_softmax(0)
    return (log_policy.exp() * (rewards - beta * (log_policy - log_ref))).sum(-1)


penalized_objective.changed(
    "raw_logits",
    "log_policy - log_ref",
    "logits - ref_logits.detach()",
    "The logits themselves were subtracted. A logit is a log-probability only up to a constant "
    "that differs between policy and ref: take log_softmax of both first.",
    of=two_terms,
)


@penalized_objective.wrong(
    "The logits were taken for log-probabilities, in the weights too: exp of a logit does not sum "
    "to 1 over the actions. Take log_softmax of both first."
)
def logits_as_log_probs(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return (logits.exp() * (rewards - beta * (logits - ref_logits.detach()))).sum(-1)


penalized_objective.changed(
    "reference_not_normalised",
    "ref_logits.detach().log_softmax(-1)",
    "ref_logits.detach()",
    "Only the policy was normalised: ref_logits were subtracted as they are. They are "
    "log-probabilities only up to a constant: take their log_softmax too.",
    of=two_terms,
)


@penalized_objective.wrong(
    "The divergence is in bits: a logarithm to base 2. Everything here is in nats."
)
def in_bits(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.penalized_objective(logits, ref_logits, rewards, beta / math.log(2))


penalized_objective.changed(
    "softmax_then_log",
    "logits.log_softmax(-1), ref_logits.detach().log_softmax(-1)",
    "logits.softmax(-1).log(), ref_logits.detach().softmax(-1).log()",
    "Right for ordinary logits, NaN where a probability of the policy rounds to 0: 0 · (−inf). "
    "log_softmax(x) keeps what log(softmax(x)) loses.",
    of=two_terms,
)
penalized_objective.changed(
    "exp_without_shift",
    "log_policy.exp()",
    "logits.exp() / logits.exp().sum(-1, keepdim=True)",
    "exp of a raw logit overflows: exp(1001) is inf. softmax and log_softmax subtract the largest "
    "logit first.",
    of=two_terms,
)
penalized_objective.changed(
    "reference_through_probabilities",
    "ref_logits.detach().log_softmax(-1)",
    "ref_logits.detach().softmax(-1).log()",
    "The logarithm of ref's softmax was taken: it is −inf where ref's probability rounds to 0. "
    "log_softmax(ref_logits) never forms the probability.",
    of=two_terms,
)


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


inexact_log_ratios(penalized_objective, _objective_of)


penalized_objective.changed(
    "rewards_weighted_by_logarithms",
    "policy * rewards",
    "log_policy * rewards",
    "The rewards were weighted by the policy's log-probabilities. An expectation weighs by "
    "probabilities: exp of these.",
    of=two_terms,
)
penalized_objective.changed(
    "penalty_summed_over_everything",
    "log_ref)).sum(-1)",
    "log_ref)).sum()",
    "The divergences of all choices were added up and charged to each: .sum() lacks its axis. Each "
    "choice has its own, over the last axis.",
    of=two_terms,
)
penalized_objective.changed(
    "reward_summed_over_everything",
    "rewards).sum(-1)",
    "rewards).sum()",
    "The expected rewards of all choices were added up and paid to each: .sum() lacks its axis. "
    "Each choice has its own, over the last axis.",
    of=two_terms,
)
penalized_objective.changed(
    "k2_weighed",
    "(log_policy - log_ref)",
    "(0.5 * (log_policy - log_ref).square())",
    "The penalty is half the squared log-ratio, k2, an estimate for single samples. With every "
    "action at hand, weigh the log-ratio itself.",
    of=two_terms,
)


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


penalized_objective.changed(
    "both_directions",
    "policy * (log_policy",
    "(policy - log_ref.exp()) * (log_policy",
    "Both directions of the divergence were charged, KL(policy ‖ ref) + KL(ref ‖ policy). The "
    "penalty is the first alone.",
    of=two_terms,
)
penalized_objective.changed(
    "greatest_reward",
    "(policy * rewards).sum(-1)",
    "rewards.max(-1).values",
    "The greatest reward was taken in place of the expected one: weigh the rewards by the policy.",
    of=two_terms,
)
penalized_objective.changed(
    "beta_squared",
    "reward - beta * kl",
    "reward - beta**2 * kl",
    "beta was squared: the penalty is beta · KL.",
    of=two_terms,
)
penalized_objective.changed(
    "divided_by_beta",
    "reward - beta * kl",
    "reward - kl / beta",
    "The penalty was divided by beta: a larger beta must cost more, not less.",
    of=two_terms,
)
penalized_objective.changed(
    "beta_on_both",
    "reward - beta * kl",
    "beta * (reward - kl)",
    "beta multiplies the reward too. It is the price of the divergence alone: E[r] − beta · KL.",
    of=two_terms,
)
penalized_objective.changed(
    "half_the_penalty",
    "reward - beta * kl",
    "reward - beta / 2 * kl",
    "Half of the penalty is charged: it is beta · KL, with no ½.",
    of=two_terms,
)
penalized_objective.changed(
    "total_variation",
    "(policy * (log_policy - log_ref)).sum(-1)",
    "(policy - log_ref.exp()).abs().sum(-1) / 2",
    "The penalty is the total variation, half the sum of |π − ref|: it is KL(policy ‖ ref) here.",
    of=two_terms,
)


@penalized_objective.wrong(
    "k3 stands in place of the log-ratio. Weighed by the policy it has the same expectation, but "
    "its exp(log ref − log policy) overflows for an action that the policy hardly ever takes: "
    "weigh the log-ratio itself."
)
def k3_weighed(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    penalty = reference.k3(log_policy, log_ref)
    return (log_policy.exp() * (rewards - beta * penalty)).sum(-1)


for _name, _line, _instead, _says in (
    (
        "rewards_weighted_by_logits",
        "policy * rewards",
        "logits * rewards",
        "The rewards were weighted by the logits. An expectation weighs by probabilities: softmax "
        "makes them.",
    ),
    (
        "rewards_weighted_by_the_ratio",
        "policy * rewards",
        "policy / log_ref.exp() * rewards",
        "The rewards were weighted by the ratio policy/ref. That is for samples which ref drew. "
        "In a sum over all actions the weights are the policy's probabilities.",
    ),
    (
        "rewards_added_up",
        "(policy * rewards).sum(-1)",
        "rewards.sum(-1)",
        "The rewards of all actions were added up, each with the weight 1. Weight each by the "
        "policy's probability of its action.",
    ),
    (
        "expected_reward_averaged",
        "(policy * rewards).sum(-1)",
        "(policy * rewards).mean(-1)",
        "The products of probability and reward were averaged over the actions. The probabilities "
        "are the weights already: sum these.",
    ),
    (
        "divergence_averaged",
        "log_ref)).sum(-1)",
        "log_ref)).mean(-1)",
        "The terms of the divergence were averaged over the actions. The probabilities are the "
        "weights already: sum them.",
    ),
    (
        "baseline_subtracted",
        "(policy * rewards).sum(-1)",
        "(policy * (rewards - rewards.mean(-1, keepdim=True))).sum(-1)",
        "The plain mean of the rewards was subtracted from them. Such a baseline changes no "
        "gradient, but it changes the value: take the rewards as they came.",
    ),
    (
        "gain_over_the_reference",
        "(policy * rewards).sum(-1)",
        "((policy - log_ref.exp()) * rewards).sum(-1)",
        "The reference's expected reward was subtracted. The objective is the policy's own "
        "expected reward, less the penalty.",
    ),
    (
        "log_ratios_added_up",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(log_policy - log_ref).sum(-1)",
        "The log-ratios of all actions were added up, each with the weight 1. Weight each by the "
        "policy's probability of its action.",
    ),
    (
        "log_ratios_averaged",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(log_policy - log_ref).mean(-1)",
        "The log-ratios were averaged with equal weights. Weight each by the policy's probability "
        "of its action.",
    ),
    (
        "ratio_without_its_logarithm",
        "(log_policy - log_ref)",
        "(log_policy - log_ref).exp()",
        "The penalty weighs the ratio policy/ref itself: its logarithm is missing.",
    ),
    (
        "squares_weighed",
        "(log_policy - log_ref)",
        "(log_policy - log_ref).square()",
        "The log-ratios were squared. A divergence weighs them as they are, with their signs.",
    ),
    (
        "sizes_weighed",
        "(log_policy - log_ref)",
        "(log_policy - log_ref).abs()",
        "The log-ratios lost their signs. A divergence weighs them as they are: actions that the "
        "policy takes less often than ref count as minus.",
    ),
    (
        "ref_as_probabilities",
        "log_policy - log_ref",
        "log_policy - log_ref.exp()",
        "A probability of ref was subtracted from a logarithm, as F.kl_div does when it is given "
        "probabilities: its first argument is a logarithm.",
    ),
    (
        "axis_kept",
        "reward - beta * kl",
        "(reward - beta * kl).unsqueeze(-1)",
        "The numbers are right, but an axis of length 1 is too many: sum without keepdim=True.",
    ),
    (
        "total_variation_without_the_half",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(policy - log_ref.exp()).abs().sum(-1)",
        "The penalty is the sum of |π − ref|, a distance of probabilities: it is KL(policy ‖ ref) "
        "here, from their logarithms.",
    ),
    (
        "squared_differences",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(policy - log_ref.exp()).square().sum(-1)",
        "The penalty is the sum of (π − ref)², a distance of probabilities: it is KL(policy ‖ ref) "
        "here, from their logarithms.",
    ),
    (
        "penalty_averaged_over_choices",
        "reward - beta * kl",
        "reward - beta * kl.mean()",
        "Every choice is charged the mean divergence of all choices. Each has its own, over the "
        "last axis.",
    ),
    (
        "penalty_averaged_over_everything",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(policy * (log_policy - log_ref)).mean()",
        "Every choice is charged one number, the mean of the divergence's terms over all axes, as "
        'F.kl_div gives by default. Ask it for reduction="none", and sum over the last axis.',
    ),
    (
        "penalty_as_batchmean",
        "(policy * (log_policy - log_ref)).sum(-1)",
        "(policy * (log_policy - log_ref)).sum() / len(logits)",
        "Every choice is charged one number, the sum over all axes divided by the length of the "
        'first, as F.kl_div(reduction="batchmean") gives. Ask for reduction="none", and sum over '
        "the last axis.",
    ),
    (
        "all_weighted_by_logarithms",
        "policy = log_policy.exp()",
        "policy = log_policy",
        "Rewards and log-ratios were weighted by the policy's log-probabilities. An expectation "
        "weighs by probabilities: exp of these.",
    ),
    (
        "summed_over_the_first_axis",
        "reward - beta * kl",
        "(policy * (rewards - beta * (log_policy - log_ref))).sum(0)",
        "The sum runs over the first axis. Actions lie along the last: dim=-1.",
    ),
):
    penalized_objective.changed(_name, _line, _instead, _says, of=two_terms)


@penalized_objective.wrong(
    "Probabilities and sums were taken over the first axis. Actions lie along the last: dim=-1."
)
def over_the_first_axis(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.detach().log_softmax(0)
    return (log_policy.exp() * (rewards - beta * (log_policy - log_ref))).sum(0)


@penalized_objective.wrong(
    "The gradient is right, the value is not: this is the loss of the score function, log "
    "policy · worth under fixed weights. The objective weighs the worth itself by probabilities."
)
def score_function(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    worth = (rewards - beta * (log_policy - log_ref)).detach()
    return (log_policy.exp().detach() * log_policy * worth).sum(-1)


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
    log_policy, log_ref = log_probs(logits.double(), ref_logits.double())
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
