"""Answers of lesson 03: reward minus β times the divergence, on one categorical choice."""

import math

from jaxtyping import Float
from torch import Tensor

from ..shapes import shaped

__all__ = [
    "beta_for_kl",
    "optimal_policy",
    "penalized_gradient",
    "penalized_objective",
    "q03_beta_limits",
    "q03_beta_trust_region",
    "q03_choose_objective",
]

q03_beta_trust_region = {"statement": False, "reason": "C"}
q03_beta_limits = {"to_zero": "B", "to_infinity": "D"}
q03_choose_objective = "B"


@shaped
def penalized_objective(
    logits: Float[Tensor, "*leading action"],
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading"]:
    """The policy's expected reward minus beta times KL(policy ‖ ref); to be maximised.

    logits: the policy's; differentiable. ref_logits: a constant.
    rewards: of each action. beta: the price of one nat, in units of reward.
    Returns one number per choice, exactly: a sum over all actions, no sample.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, J − βD.
    Example: (3/4, 1/4) against (1/2, 1/2), rewards (1, 0), beta 2: 0.75 − 2·0.1308 = 0.4884.
    """
    log_policy = logits.log_softmax(dim=-1)
    log_ratio = log_policy - ref_logits.detach().log_softmax(dim=-1)
    return (log_policy.exp() * (rewards - beta * log_ratio)).sum(dim=-1)


@shaped
def penalized_gradient(
    logits: Float[Tensor, "*leading action"],
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading action"]:
    """Gradient of the penalised objective with respect to `logits`, written out by hand.

    logits, ref_logits, rewards, beta: as in penalized_objective.
    Returns one number per action, without autograd: works under torch.no_grad().
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: the softmax's derivative, ∂π(a)/∂z(b) = π(a)·([a = b] − π(b)).
    Example: policy and ref (1/2, 1/2), rewards (1, 0), any beta: (1/4, −1/4).
    """
    log_policy = logits.log_softmax(dim=-1)
    policy = log_policy.exp()
    worth = rewards - beta * (log_policy - ref_logits.log_softmax(dim=-1))
    return policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))


@shaped
def optimal_policy(
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading action"]:
    """Log-probabilities of the policy that maximises the penalised objective.

    ref_logits: the reference's. rewards: of each action.
    beta: above 0. At beta = 1e-3 and rewards of ±100, float32 is right to 1e-3 nats plus a
    millionth of the log-probability, which is near −200,000 for an action 200 below the best.
    Returns log π*, normalised, with π* proportional to ref · exp(rewards / beta).
    Raises ValueError if beta ≤ 0; TypeCheckError if shapes or kinds of numbers disagree.
    Source: the Lagrangian of the objective; DPO (arXiv 2305.18290).
    Example: ref (1/2, 1/2), rewards (log 3, 0), beta 1: (log 3/4, log 1/4).
    """
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}: nothing would hold the policy back")
    # The best action is at 0, so that what decides between the good ones is a small number.
    gap = rewards - rewards.amax(dim=-1, keepdim=True)
    return (ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)


@shaped
def beta_for_kl(
    ref_logits: Float[Tensor, " action"], rewards: Float[Tensor, " action"], target_kl: float
) -> float:
    """The beta whose best policy π* has KL(π* ‖ ref) = target_kl.

    ref_logits, rewards: of one choice. target_kl: in nats, the radius of the trust region.
    Returns a float, right to 1e-4 of itself in the KL that it leads to.
    Raises ValueError if target_kl ≤ 0, or beyond −log of ref's mass on the best actions, which
    no optimum's KL reaches (ref gives every action some chance). Raises TypeCheckError if shapes
    or kinds of numbers disagree.
    Source: KL(π* ‖ ref) falls as beta grows, so the two are one knob.
    Example: ref (1/2, 1/2), rewards (log 3, 0), target 0.1308: beta 1, as π* is (3/4, 1/4).
    """
    log_ref, rewards = ref_logits.detach().double().log_softmax(-1), rewards.detach().double()
    greatest = max(0.0, -log_ref[rewards == rewards.max()].logsumexp(-1).item())
    if not 0 < target_kl < greatest * (1 - 1e-9):
        raise ValueError(f"target_kl {target_kl:.4g} is not above 0 and below {greatest:.4g} nats")
    # No reward has a variance above spread²/4, which bounds the KL: this beta is large enough.
    high = math.log(rewards.max() - rewards.min()) - 0.5 * math.log(8 * target_kl)
    low = high - 70.0
    for _ in range(80):
        middle = (low + high) / 2
        log_best = optimal_policy(log_ref, rewards, math.exp(middle))
        found = (log_best.exp() * (log_best - log_ref)).sum()
        low, high = (middle, high) if found > target_kl else (low, middle)
    return math.exp((low + high) / 2)
