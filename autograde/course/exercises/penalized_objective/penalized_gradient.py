"""Write out by hand the gradient of the penalised objective with respect to the logits."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import (
    LARGE,
    choices,
    choices_by_hand,
    expected_reward,
    hand,
    inexact_log_ratios,
    log_probs,
)

penalized_gradient = Exercise(
    "penalized_gradient",
    parts={VALUES: 5, LARGE: 1, RULES: 1},
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
    for title, inputs, part in choices_by_hand():
        # In float64 the formula errs by 1e-14, differences of the objective by 1e-11 at best.
        close = {RULES: {"rtol": 1e-12, "atol": 1e-13}, LARGE: {"atol": 3e-4}}.get(part, {})
        yield Case(title, inputs, part, probe="without_autograd", **close)
    far = hand(tensor(0.0, -45.0), tensor(0.0, -120.0), tensor(1.0, 5.0), 0.5)
    title = "policy logits (0, −45), ref logits (0, −120)"
    yield Case(title, far, LARGE, probe="without_autograd")


@penalized_gradient.drawn
def _(draw: Draw) -> Iterator[Case]:
    for title, inputs, part in choices(draw):
        atol = 3e-4 if part == LARGE else None  # float32's steps near 1000 are 6e-5
        yield Case(title, inputs, part, atol=atol, probe="without_autograd")


def _worth(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    """Reward − β · log-ratio of each action."""
    log_policy, log_ref = log_probs(logits, ref_logits)
    return rewards - beta * (log_policy - log_ref)


def _centred(weight: Tensor, worth: Tensor) -> Tensor:
    """weight · (worth − its mean under the weights)."""
    return weight * (worth - (weight * worth).sum(-1, keepdim=True))


penalized_gradient.changed(
    "mean_forgotten",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "policy * worth",
    "The mean worth is missing. Raising one logit lowers all other probabilities, so an action "
    "gains only by what it is worth more than the policy's mean; the entries must sum to 0.",
)
penalized_gradient.changed(
    "gradient_of_log_probs",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "policy * (worth - beta)",
    "This is the gradient with respect to the log-probabilities, as if each could move by itself. "
    "The logits move them together, through the softmax: the policy's mean is subtracted.",
)
penalized_gradient.changed(
    "gradient_of_probabilities",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "worth - beta",
    "This is the gradient with respect to the probabilities. One more step leads to the logits: "
    "the derivative of the softmax.",
)
penalized_gradient.changed(
    "probability_forgotten",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "worth - (policy * worth).sum(dim=-1, keepdim=True)",
    "The policy's probability in front is missing: an action that is hardly ever drawn moves the "
    "objective hardly at all.",
)
penalized_gradient.changed(
    "mean_without_probability",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "policy * worth - (policy * worth).sum(dim=-1, keepdim=True)",
    "The policy's probability is missing in front of the mean: it multiplies the whole "
    "difference, π(b) · (worth(b) − mean worth), so that the entries sum to 0.",
)
penalized_gradient.changed(
    "diagonal_only",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "policy * (1 - policy) * worth",
    "Only the softmax's diagonal was used, π(a)·(1 − π(a)). A logit moves the other actions' "
    "probabilities too, by −π(a)·π(b): sum over all of them.",
)
penalized_gradient.changed(
    "plain_mean",
    "(policy * worth).sum(dim=-1, keepdim=True)",
    "worth.mean(dim=-1, keepdim=True)",
    "The mean was taken with equal weights. It is the policy's mean: weight by its probabilities.",
)
penalized_gradient.changed(
    "mean_under_the_reference",
    "(policy * worth)",
    "(ref_logits.softmax(dim=-1) * worth)",
    "The mean was taken under the reference. It is the policy that moves: weight by its own "
    "probabilities.",
)
penalized_gradient.changed(
    "penalty_not_centred",
    "(policy * worth)",
    "(policy * rewards)",
    "The reward was compared with its mean, the log-ratio was not. Subtract the mean of both: the "
    "log-ratio's is the KL.",
)
penalized_gradient.changed(
    "descends",
    "return policy",
    "return -policy",
    "The sign is turned: this is the gradient of the loss. Along the answer the objective rises.",
)
penalized_gradient.changed(
    "divergence_rewarded",
    "rewards - beta",
    "rewards + beta",
    "The penalty's gradient counts as plus, so that it pushes away from the reference: it is "
    "subtracted, and its log-ratio is log policy − log ref.",
)
penalized_gradient.changed(
    "penalty_forgotten",
    "rewards - beta * (log_policy - ref_logits.log_softmax(dim=-1))",
    "rewards",
    "The penalty is missing: this is the gradient of the reward alone.",
)
penalized_gradient.changed(
    "beta_forgotten",
    "beta * (",
    "(",
    "beta was not used: the penalty's gradient counts as if beta were 1.",
)


@penalized_gradient.wrong(
    "policy − ref is the gradient of KL(ref ‖ policy). The penalty is KL(policy ‖ ref), and its "
    "gradient holds the log-ratio."
)
def divergence_swapped(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    policy = logits.softmax(-1)
    return _centred(policy, rewards) - beta * (policy - ref_logits.softmax(-1))


penalized_gradient.changed(
    "reference_forgotten",
    "log_policy - ref_logits.log_softmax(dim=-1)",
    "log_policy",
    "The reference is missing: this is the gradient of an entropy bonus, which pulls towards the "
    "uniform policy. The log-ratio is log policy − log ref.",
)
penalized_gradient.changed(
    "cross_entropy",
    "log_policy - ref_logits.log_softmax(dim=-1)",
    "-ref_logits.log_softmax(dim=-1)",
    "The policy's own logarithm is missing from the log-ratio: it is log policy − log ref.",
)
penalized_gradient.changed(
    "weighted_by_the_reference",
    "return policy *",
    "return ref_logits.softmax(dim=-1) *",
    "The reference's probability stands in front. It is the policy whose logits move: weight by "
    "its own probabilities.",
)
penalized_gradient.changed(
    "reference_as_weights",
    "log_policy.exp()",
    "ref_logits.softmax(dim=-1)",
    "The reference's probabilities are the weights throughout, in front and in the mean. Both are "
    "the policy's: it is the policy's logits that move.",
)


@penalized_gradient.wrong(
    "The logits were taken for log-probabilities: exp of a logit does not sum to 1 over the "
    "actions. The policy's probabilities are the softmax of its logits."
)
def logits_as_log_probs(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return _centred(logits.exp(), rewards - beta * (logits - ref_logits))


penalized_gradient.changed(
    "keepdim_forgotten",
    "(policy * worth).sum(dim=-1, keepdim=True)",
    "(policy * worth).sum(dim=-1)",
    "The mean lost its axis, so it was subtracted across the wrong one, or did not fit at all. "
    "keepdim=True keeps the axis of actions with length one.",
)
penalized_gradient.changed(
    "mean_over_everything",
    "(policy * worth).sum(dim=-1, keepdim=True)",
    "(policy * worth).sum()",
    "The mean was taken over everything. Each choice has its own: sum over the last axis alone.",
)
penalized_gradient.changed(
    "gradient_of_the_mean",
    "keepdim=True))",
    "keepdim=True)) / max(logits[..., 0].numel(), 1)",
    "The answer is divided by the number of choices: it is the gradient of their mean. Each "
    "choice has an objective of its own.",
)


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


inexact_log_ratios(penalized_gradient, _gradient_of)


penalized_gradient.changed(
    "product_rule_without_the_sum",
    "keepdim=True))",
    "keepdim=True)) - beta * policy",
    "The product rule's second part is −beta · π(a) here. It too goes through the softmax, where "
    "it is a sum over all actions: −beta · (π(a) − π(a) · Σ π), which is 0.",
)
penalized_gradient.changed(
    "product_rule_on_the_diagonal",
    "keepdim=True))",
    "keepdim=True)) - beta * policy * (1 - policy)",
    "The product rule's second part is −beta · π(a) · (1 − π(a)) here, the softmax's diagonal. The "
    "other actions' log-ratios move too: over all of them it sums to 0.",
)
penalized_gradient.changed(
    "product_rule_all_on_the_diagonal",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "policy * (1 - policy) * (worth - beta)",
    "Both parts of the product rule use the softmax's diagonal alone, π(a) · (1 − π(a)). A logit "
    "moves the other actions' probabilities too, by −π(a) · π(b): sum over all of them.",
)
penalized_gradient.changed(
    "averaged_over_actions",
    "keepdim=True))",
    "keepdim=True)) / logits.shape[-1]",
    "The answer is divided by the number of actions. The policy's probabilities are the weights "
    "already: sum, do not average.",
)


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
    rewards -= expected_reward(logits, rewards).unsqueeze(-1)
    return reference.penalized_gradient(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    floats = (x.float() for x in (logits, ref_logits, rewards))
    return reference.penalized_gradient(*floats, beta)


penalized_gradient.changed(
    "penalty_twice",
    "beta * (",
    "2 * beta * (",
    "beta was doubled: the gradient of beta · KL has no factor 2.",
)
penalized_gradient.changed(
    "probability_twice",
    "return policy *",
    "return policy * policy *",
    "The policy's probability stands there twice. Each entry is π(a) · (worth − mean worth).",
)
penalized_gradient.changed(
    "worths_returned",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "worth",
    "These are the actions' worths, reward − beta · log-ratio. What raising a logit gains is its "
    "probability times how far its worth is above the policy's mean.",
)
penalized_gradient.changed(
    "objective_itself",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "(policy * worth).sum(dim=-1)",
    "This is the objective, one number for each choice. Its gradient has one for each action.",
)


penalized_gradient.changed(
    "reward_forgotten",
    "worth = rewards -",
    "worth = -",
    "The rewards are missing: this is the gradient of the penalty alone.",
)
penalized_gradient.changed(
    "beta_on_the_reward",
    "rewards - beta *",
    "beta * rewards -",
    "beta multiplies the rewards here. It is the price of the divergence: reward − beta · "
    "log-ratio.",
)
penalized_gradient.changed(
    "beta_on_both",
    "worth = rewards - beta * (log_policy - ref_logits.log_softmax(dim=-1))",
    "worth = beta * (rewards - log_policy + ref_logits.log_softmax(dim=-1))",
    "beta multiplies the rewards too. It is the price of the divergence alone.",
)
penalized_gradient.changed(
    "divided_by_beta",
    "- beta * (log_policy - ref_logits.log_softmax(dim=-1))",
    "- (log_policy - ref_logits.log_softmax(dim=-1)) / beta",
    "The penalty was divided by beta: a larger beta must pull harder, not less.",
)
penalized_gradient.changed(
    "ratio_without_its_logarithm",
    "(log_policy - ref_logits.log_softmax(dim=-1))",
    "(log_policy - ref_logits.log_softmax(dim=-1)).exp()",
    "The ratio policy/ref itself stands in the worth: its logarithm is missing.",
)
penalized_gradient.changed(
    "logarithm_in_front",
    "return policy *",
    "return log_policy *",
    "The policy's log-probability stands in front. It is the probability: exp of that.",
)


@penalized_gradient.wrong(
    "Every action is charged the whole divergence. Its own charge is its log-ratio, and the "
    "divergence is the mean of these, which is subtracted from it."
)
def divergence_for_the_log_ratio(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy = log_policy.exp()
    divergence = (policy * (log_policy - log_ref)).sum(-1, keepdim=True)
    return _centred(policy, rewards) - beta * policy * divergence


@penalized_gradient.wrong(
    "The reward's part is right, the penalty's is beta · log-ratio as it stands. It too goes "
    "through the softmax: π(a) · (log-ratio − its mean)."
)
def penalty_as_it_stands(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    return _centred(log_policy.exp(), rewards) - beta * (log_policy - log_ref)


@penalized_gradient.wrong(
    "The reward's part is right, the penalty's is beta · π(a) · (log-ratio + 1), the gradient with "
    "respect to log-probabilities. It too goes through the softmax: subtract its mean, and the 1 "
    "falls out."
)
def penalty_by_the_product_rule_alone(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy = log_policy.exp()
    return _centred(policy, rewards) - beta * policy * (log_policy - log_ref + 1)


@penalized_gradient.wrong(
    "The plain mean of the rewards was subtracted, and no mean of the log-ratios. Subtract the "
    "policy's mean of both."
)
def plain_mean_of_rewards(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    return logits.softmax(-1) * (worth - rewards.mean(-1, keepdim=True))


@penalized_gradient.wrong(
    "The log-ratio was compared with its mean, the reward was not. Subtract the mean of both."
)
def reward_not_centred(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy = log_policy.exp()
    return policy * rewards - beta * _centred(policy, log_policy - log_ref)


@penalized_gradient.wrong(
    "The mean log-ratio, which is the KL, was added to the penalty's part where it is subtracted: "
    "each log-ratio counts as far as it is above their mean. Mind the two minus signs."
)
def divergence_with_its_sign_turned(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy, log_ratio = log_policy.exp(), log_policy - log_ref
    divergence = (policy * log_ratio).sum(-1, keepdim=True)
    return _centred(policy, rewards) - beta * policy * (log_ratio + divergence)


@penalized_gradient.wrong(
    "The policy's probability in front is missing from the reward's part. It stands before both: "
    "π(a) · (worth − mean worth)."
)
def reward_without_the_probability(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy = log_policy.exp()
    gain = rewards - (policy * rewards).sum(-1, keepdim=True)
    return gain - beta * _centred(policy, log_policy - log_ref)


@penalized_gradient.wrong(
    "The policy's probability in front is missing from the penalty's part. It stands before both: "
    "π(a) · (worth − mean worth)."
)
def penalty_without_the_probability(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy, log_ratio = log_policy.exp(), log_policy - log_ref
    excess = log_ratio - (policy * log_ratio).sum(-1, keepdim=True)
    return _centred(policy, rewards) - beta * excess


@penalized_gradient.wrong(
    "The sum over actions is missing: only what each logit does to its own log-probability was "
    "used, 1 − π(a), without the chance π(a) that the action is taken."
)
def own_score_times_worth(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    return (1 - logits.softmax(-1)) * _worth(logits, ref_logits, rewards, beta)


@penalized_gradient.wrong(
    "Only the policy's likeliest action was asked, as if it had been drawn. The gradient is an "
    "expectation: sum over all actions, weighted by their probabilities."
)
def likeliest_action_alone(
    logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float
) -> Tensor:
    policy = logits.softmax(-1)
    drawn = logits.argmax(-1, keepdim=True)
    score = torch.zeros_like(policy).scatter(-1, drawn, 1.0) - policy
    return score * _worth(logits, ref_logits, rewards, beta).gather(-1, drawn)


@penalized_gradient.wrong(
    "The worths were divided by their standard deviation, as advantages are in training code. "
    "That is another formula; the gradient asked for has no such division, and its mean is the "
    "policy's."
)
def normalised_worths(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    worth = _worth(logits, ref_logits, rewards, beta)
    spread = worth.std(-1, keepdim=True) + 1e-8
    return logits.softmax(-1) * (worth - worth.mean(-1, keepdim=True)) / spread


penalized_gradient.changed(
    "plain_mean_without_probabilities",
    "policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))",
    "worth - worth.mean(dim=-1, keepdim=True)",
    "These are the worths less their plain mean: the policy's probabilities are missing, both in "
    "front and as the weights of the mean.",
)
penalized_gradient.changed(
    "diagonal_of_centred_worths",
    "return policy *",
    "return policy * (1 - policy) *",
    "The factor 1 − π(a) is too many: once the mean worth is subtracted, the softmax's derivative "
    "is used up.",
)


@penalized_gradient.wrong(
    "Probabilities and mean were taken over the first axis. Actions lie along the last: dim=-1."
)
def over_the_first_axis(logits: Tensor, ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    log_policy, log_ref = logits.log_softmax(0), ref_logits.log_softmax(0)
    policy, worth = log_policy.exp(), rewards - beta * (log_policy - log_ref)
    return policy * (worth - (policy * worth).sum(0, keepdim=True))


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
    log_policy, log_ref = log_probs(logits, ref_logits)
    policy = log_policy.exp()
    divergence = (policy * (log_policy - log_ref)).sum(-1, keepdim=True)
    reward = rewards - (policy * rewards).sum(-1, keepdim=True)
    return policy * reward - beta * policy * (log_policy - log_ref - divergence)
