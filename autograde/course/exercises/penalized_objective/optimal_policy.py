"""Give the log-probabilities of the policy that maximises the penalised objective."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.distributions import Categorical
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import Choice, _choice

SMALL_BETA = "small beta"

BETA_RANGE = "beta that is not positive"

LARGE_EXPONENTS = (
    "beta 1e-3, rewards (100, 100, −100)",
    "beta 1e-3, rewards (−100, 99.999, 99.9985)",
    "beta 1e-3, rewards near ±100",
)

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


optimal_policy.changed(
    "reference_forgotten",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "(gap / beta).log_softmax(dim=-1)",
    "The reference is missing: this is exp(rewards / beta), normalised. π* is ref, reweighted: "
    "with equal rewards it must be ref.",
)
optimal_policy.changed(
    "not_normalised",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "ref_logits.log_softmax(dim=-1) + rewards / beta",
    "The answer is not normalised: the probabilities must sum to 1 over the actions. Subtract log "
    "Z.",
)
optimal_policy.changed(
    "shifted_but_not_normalised",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "ref_logits.log_softmax(dim=-1) + gap / beta",
    "The answer is not normalised after the best reward was subtracted: the probabilities must "
    "sum to 1 over the actions.",
)


def _refuse(beta: float) -> None:
    if beta <= 0:
        raise ValueError("beta must be above 0")


optimal_policy.changed(
    "multiplied_by_beta",
    "gap / beta",
    "gap * beta",
    "The rewards were multiplied by beta. A larger beta must hold the policy nearer to ref, so it "
    "divides.",
)
optimal_policy.changed(
    "beta_forgotten",
    "gap / beta",
    "gap",
    "This is the optimum at beta = 1, whatever beta is: it was not used, or it cancels, as where "
    "exp(rewards) as a whole is divided by it.",
)
optimal_policy.changed(
    "probabilities",
    "gap / beta).log_softmax(dim=-1)",
    "gap / beta).softmax(dim=-1)",
    "These are probabilities. The answer is their logarithm, which keeps the digits of small ones.",
)
optimal_policy.changed(
    "prefers_low_rewards",
    "rewards - rewards.amax(dim=-1, keepdim=True)",
    "rewards.amin(dim=-1, keepdim=True) - rewards",
    "The sign is turned: this policy prefers low rewards. log π* grows with the reward.",
)
optimal_policy.changed(
    "reference_tempered",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "((ref_logits.log_softmax(dim=-1) + gap) / beta).log_softmax(dim=-1)",
    "log ref was divided by beta too. Only the reward is: ref · exp(rewards / beta).",
)
optimal_policy.changed(
    "reference_without_logarithm",
    "ref_logits.log_softmax(dim=-1)",
    "ref_logits.softmax(dim=-1)",
    "The reference's probabilities were added where their logarithms belong: a product becomes a "
    "sum of logarithms.",
)
optimal_policy.changed(
    "divided_by_the_reference",
    "(ref_logits",
    "(-ref_logits",
    "The reference divides here. It multiplies, ref · exp(rewards / beta): log ref enters with a "
    "plus.",
)


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


optimal_policy.changed(
    "normalised_over_the_first_axis",
    "gap / beta).log_softmax(dim=-1)",
    "gap / beta).log_softmax(dim=0)",
    "The probabilities were normalised over the first axis. Actions lie along the last: dim=-1.",
)
optimal_policy.changed(
    "shifted_after_dividing",
    "gap / beta",
    "(rewards / beta - (rewards / beta).amax(dim=-1, keepdim=True))",
    "The maximum was subtracted after the division: by then rewards / beta is near 100,000 and has "
    "been rounded to steps of 0.008. Subtract the best reward first, then divide.",
)
optimal_policy.changed(
    "divided_last",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "((rewards + beta * ref_logits.log_softmax(dim=-1)) / beta).log_softmax(dim=-1)",
    "beta · log ref was added to the rewards and is lost among numbers near 100 before the "
    "division by beta. Add log ref at the end, to shifted rewards already divided.",
)


@optimal_policy.wrong(
    "exp(rewards / beta) overflows when beta is small. Stay with logarithms: log_softmax "
    "normalises without leaving them."
)
def weights_overflow(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    _refuse(beta)
    weights = ref_logits.softmax(-1) * (rewards / beta).exp()
    return (weights / weights.sum(-1, keepdim=True)).log()


optimal_policy.changed(
    "softmax_then_log",
    "gap / beta).log_softmax(dim=-1)",
    "gap / beta).softmax(dim=-1).log()",
    "Right for ordinary numbers, −inf where a probability rounds to 0: the logarithm was taken of "
    "a probability, as log(softmax(x)) does. log_softmax never forms it.",
)


for _size in (6, 8, 10, 12):
    for _name, _says, _guard in (
        ("epsilon_in_the_logarithm", f"About 1e-{_size} was added inside", f".add(1e-{_size})"),
        ("probability_clamped_at", f"About 1e-{_size} is the least in", f".clamp(min=1e-{_size})"),
    ):
        optimal_policy.changed(
            f"{_name}_1e_{_size}",
            "gap / beta).log_softmax(dim=-1)",
            f"gap / beta).softmax(dim=-1){_guard}.log()",
            f"{_says} the logarithm, below which no probability falls. log_softmax needs no guard.",
        )


for _bound in (20, 50, 100):
    optimal_policy.changed(
        f"gap_clamped_at_{_bound}",
        "gap / beta",
        f"(gap / beta).clamp(min=-{_bound})",
        f"Rewards below the best were clamped, at {_bound} after the division, so that bad and "
        "very bad actions are equal. log_softmax takes any of them: clamp nothing.",
    )


optimal_policy.changed(
    "exponent_clamped",
    "gap / beta",
    "(rewards / beta).clamp(-50.0, 50.0)",
    "The exponent was clamped. That keeps exp finite and makes good and very good actions equal: "
    "shift the rewards, do not clamp them.",
)


@optimal_policy.wrong(
    "beta ≤ 0 was let through, replaced by another number, or answered with something. At 0 there "
    "is a division by 0, below it the policy flees the reference: raise ValueError for both."
)
def beta_not_checked(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    gap = rewards - rewards.amax(-1, keepdim=True)
    return (ref_logits.log_softmax(-1) + gap / beta).log_softmax(-1)


optimal_policy.changed(
    "zero_let_through",
    "beta <= 0",
    "beta < 0",
    "beta = 0 was let through: raise ValueError for it too, not for beta < 0 alone.",
)
optimal_policy.changed(
    "negative_let_through",
    "beta <= 0",
    "beta == 0",
    "A beta below 0 was let through: raise ValueError for it too, not for 0 alone.",
)


@optimal_policy.wrong(
    "An assertion refuses beta ≤ 0. The contract is a ValueError: assertions vanish under python "
    "-O."
)
def asserted(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    assert beta > 0, "beta must be above 0"
    return reference.optimal_policy(ref_logits, rewards, beta)


optimal_policy.changed(
    "rewards_shifted_in_place",
    "rewards - rewards.amax(dim=-1, keepdim=True)",
    "rewards.sub_(rewards.amax(dim=-1, keepdim=True))",
    "An input was changed in place: compute a new tensor.",
)


@optimal_policy.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits.float(), rewards.float(), beta)


@optimal_policy.wrong(
    "The answer is float64 whatever came in: computing in float64 is fine, returning it is not."
)
def returned_in_float64(ref_logits: Tensor, rewards: Tensor, beta: float) -> Tensor:
    return reference.optimal_policy(ref_logits.double(), rewards.double(), beta)


for _name, _instead, _says in (
    (
        "logits_not_normalised",
        "ref_logits + gap / beta",
        "The answer is not normalised, and ref_logits went in as they came: the probabilities must "
        "sum to 1 over the actions.",
    ),
    (
        "nothing_normalised",
        "ref_logits + rewards / beta",
        "Nothing was normalised, neither ref_logits nor the answer: the probabilities must sum to "
        "1 over the actions.",
    ),
    (
        "normalised_apart",
        "ref_logits.log_softmax(dim=-1) + (gap / beta).log_softmax(dim=-1)",
        "ref and exp(rewards / beta) were normalised each by itself. Their product then does not "
        "sum to 1: log Z is of the product.",
    ),
    (
        "logits_normalised_over_the_first_axis",
        "(ref_logits + gap / beta).log_softmax(dim=0)",
        "log_softmax of the sum ran over the first axis. Actions lie along the last: dim=-1.",
    ),
    (
        "normalised_over_everything",
        "(lambda x: x - x.exp().sum().log())(ref_logits.log_softmax(dim=-1) + gap / beta)",
        "All choices were normalised together. Each has a log Z of its own, over the last axis.",
    ),
    (
        "normalised_over_everything_unshifted",
        "(lambda x: x - x.flatten().logsumexp(dim=0))"
        "(ref_logits.log_softmax(dim=-1) + (rewards - rewards.max()) / beta)",
        "All choices were normalised together, by one sum. Each has a log Z of its own: sum over "
        "the last axis.",
    ),
    (
        "weights_returned",
        "(ref_logits.log_softmax(dim=-1) + rewards / beta).exp()",
        "These are the weights ref · exp(rewards / beta), not normalised. Asked are the logarithms "
        "of what they are once they sum to 1.",
    ),
    (
        "normalised_by_the_sum_of_logarithms",
        "(lambda x: x - x.sum(dim=-1, keepdim=True))(ref_logits.log_softmax(dim=-1) + gap / beta)",
        "The sum of the logarithms was subtracted. log Z is the logarithm of a sum of "
        "exponentials.",
    ),
    (
        "normalised_by_the_mean",
        "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)"
        " + math.log(rewards.shape[-1])",
        "The probabilities sum to the number of actions, as when log Z is that of a mean of "
        "exponentials. It is that of their sum.",
    ),
    (
        "normaliser_added",
        "(lambda x: x + x.logsumexp(dim=-1, keepdim=True))"
        "(ref_logits.log_softmax(dim=-1) + gap / beta)",
        "log Z was added. To divide by Z is to subtract its logarithm.",
    ),
    (
        "normaliser_returned",
        "(ref_logits.log_softmax(dim=-1) + rewards / beta).logsumexp(dim=-1)",
        "This is log Z, one number for each choice. The answer is what it normalises, one number "
        "for each action.",
    ),
    (
        "divided_after_adding_up",
        "(ref_logits.log_softmax(dim=-1) + gap).log_softmax(dim=-1) / beta",
        "The whole was divided by beta at the end. Only the rewards are: ref · exp(rewards / "
        "beta), and the normalisation comes last.",
    ),
    (
        "logits_multiplied",
        "(ref_logits * (rewards / beta).exp()).log_softmax(dim=-1)",
        "ref_logits were multiplied by exp(rewards / beta). It is the probabilities that are; in "
        "logarithms, that product is a sum.",
    ),
    (
        "logarithms_multiplied",
        "(ref_logits.log_softmax(dim=-1) * (rewards / beta).exp()).log_softmax(dim=-1)",
        "log ref was multiplied by exp(rewards / beta). It is the probabilities that are; in "
        "logarithms, that product is a sum.",
    ),
    (
        "logarithm_times_reward",
        "(ref_logits.log_softmax(dim=-1) * rewards / beta).log_softmax(dim=-1)",
        "log ref was multiplied by rewards / beta. The product of ref and exp(rewards / beta) is, "
        "in logarithms, a sum.",
    ),
):
    optimal_policy.changed(
        _name,
        "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
        _instead,
        _says,
    )


for _size in (4, 6, 8):
    optimal_policy.changed(
        f"beta_and_1e_{_size}",
        "gap / beta",
        f"gap / (beta + 1e-{_size})",
        f"A small number, about 1e-{_size}, was added to beta. At beta = 1e-3 that shows: beta is "
        "never 0 once ValueError is raised, so divide by beta itself.",
    )


for _name, _instead, _says in (
    (
        "not_shifted",
        "ref_logits.log_softmax(dim=-1) + rewards / beta",
        "Right until rewards / beta is large: at 100,000, float32 has steps of 0.008, and log ref "
        "is lost in them. Subtract the best reward of each choice before you divide; log_softmax "
        "subtracts the largest sum, and is too late.",
    ),
    (
        "logits_not_shifted",
        "ref_logits + rewards / beta",
        "Right until rewards / beta is large: at 100,000, float32 has steps of 0.008, and "
        "ref_logits are lost in them. Subtract the best reward of each choice before you divide.",
    ),
    (
        "shifted_by_the_mean",
        "ref_logits.log_softmax(dim=-1) + (rewards - rewards.mean(dim=-1, keepdim=True)) / beta",
        "The mean was subtracted: near it numbers are small, but the best actions are still far "
        "from 0. Subtract the best reward, as the good actions are those that decide.",
    ),
    (
        "shifted_by_one_maximum",
        "ref_logits.log_softmax(dim=-1) + (rewards - rewards.max()) / beta",
        "One maximum was subtracted from all choices. A choice whose rewards lie far below it "
        "still has large numbers: take the maximum over the last axis, with keepdim=True.",
    ),
):
    optimal_policy.changed(
        _name,
        "ref_logits.log_softmax(dim=-1) + gap / beta",
        _instead,
        _says,
    )
# Whatever else loses the same digits answers within a few of their steps.
optimal_policy.changed(
    "digits_lost",
    "(ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)",
    "(lambda x: x - x.logsumexp(dim=-1, keepdim=True))"
    "(ref_logits.log_softmax(dim=-1) + rewards / beta)",
    "Right until numbers grow large: where a reward divided by beta, shifted or not, is near "
    "100,000, float32 has steps of 0.008, and the answer is off by some of these. Subtract each "
    "choice's own best reward before you divide; anything that is subtracted later is too late.",
    rough=dict.fromkeys(LARGE_EXPONENTS, 0.05),
)
optimal_policy.changed(
    "divided_by_the_root_of_beta",
    "gap / beta",
    "gap / math.sqrt(beta)",
    "The rewards were divided by the root of beta: divide by beta.",
)
optimal_policy.changed(
    "half_of_the_rewards",
    "gap / beta",
    "gap / (2 * beta)",
    "Half of each reward counts: the exponent is reward / beta, with no 2.",
)


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
