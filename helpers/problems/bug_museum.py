"""Problems of the bug museum's second room, in lesson 04: exact, or with every seed given."""

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .penalty_gradients import OldResponses

Gradient = Callable[[Float[Tensor, "*problem action"]], Float[Tensor, "*problem action"]]
Weigh = Callable[[Tensor, Tensor], Tensor]


def kept_by_top_p(
    logits: Float[Tensor, "*leading vocab"], top_p: float
) -> Bool[Tensor, "*leading vocab"]:
    """The likeliest tokens of each position: as few as have a mass of `top_p` or more."""
    chance, order = logits.softmax(-1).sort(-1, descending=True)
    likelier = chance.cumsum(-1) - chance  # the mass of all that come before
    return torch.zeros_like(logits, dtype=torch.bool).scatter(-1, order, likelier < top_p)


def many_problems(
    problems: int, actions: int = 5
) -> tuple[Float[Tensor, "problem action"], Float[Tensor, "problem action"]]:
    """Logits of a reference, and rewards, both normal numbers, for each of several problems."""
    generator = torch.Generator().manual_seed(0)
    ref, rewards = torch.randn(2, problems, actions, generator=generator, dtype=torch.float64)
    return ref, rewards


def mean_reward(
    logits: Float[Tensor, "*leading action"], rewards: Float[Tensor, "*#leading action"]
) -> Float[Tensor, "*leading"]:
    """The reward that a policy gets on average."""
    return (logits.softmax(-1) * rewards).sum(-1)


def penalised_loss_gradient(
    rewards: Float[Tensor, "*problem action"], ref: Float[Tensor, "*problem action"], beta: float
) -> Gradient:
    """∇ of −(mean reward − β·KL(policy ‖ ref)) by the logits, for each problem by itself."""
    log_ref = ref.log_softmax(-1)

    def gradient(logits: Float[Tensor, "*problem action"]) -> Float[Tensor, "*problem action"]:
        logp = logits.log_softmax(-1)
        chance, paid = logp.exp(), rewards - beta * (logp - log_ref)
        return -chance * (paid - (chance * paid).sum(-1, keepdim=True))

    return gradient


def top_p_symptoms(
    score: Callable[[Tensor, Tensor], Tensor],
    logits: Float[Tensor, "position vocab"],
    kept: Bool[Tensor, "position vocab"],
) -> dict[str, float]:
    """What is wrong with a trainer's log-probabilities, where a sampler draws from `kept` alone.

    score: takes logits and `kept`, and gives the trainer's log-probability of each token.
    logits: the weights that drew. Sizes, 0 for what is right; exact, over all kept tokens.
    """
    chance = logits.softmax(-1) * kept
    drawn = (chance / chance.sum(-1, keepdim=True))[kept]
    generator = torch.Generator().manual_seed(1)
    step = 0.5 * torch.randn(logits.shape, generator=generator, dtype=logits.dtype)
    moved = (logits + step).requires_grad_(True)
    ratio, scored = score(logits, kept)[kept].exp() / drawn, score(moved, kept)[kept]
    mean = torch.zeros_like(logits).masked_scatter(kept, scored.detach().exp()).sum(-1)
    push = torch.full_like(logits, torch.inf)
    if scored.requires_grad:
        (push,) = torch.autograd.grad((scored.detach().exp() * scored).sum(), moved)
    return {
        "ratio off 1, weights unchanged": (ratio - 1).abs().max().item(),
        "mean ratio off 1, after an update": (mean - 1).abs().max().item(),
        "push where every advantage is 1": push.norm().item(),
    }


def judge_kept_logp(
    score: Callable[[Tensor, Tensor], Tensor],
    logits: Float[Tensor, "position vocab"],
    kept: Bool[Tensor, "position vocab"],
) -> None:
    """Print the symptoms before and with `score`, and whether they are gone."""
    found = score(logits, kept)
    if not isinstance(found, Tensor) or found.shape != logits.shape:
        print(f"Not yet: a tensor of the shape of logits is asked, {tuple(logits.shape)}.")
        return
    before = top_p_symptoms(lambda logits, kept: logits.log_softmax(-1), logits, kept)
    yours = top_p_symptoms(score, logits, kept)
    print(f"{'':42}{'before':>9}{'yours':>9}")
    for symptom in before:
        print(f"{symptom:42}{before[symptom]:9.1e}{yours[symptom]:9.1e}")
    left = [symptom for symptom, size in yours.items() if not size < 1e-10]
    print("Healed: all three are gone." if not left else f"Not healed: {'; '.join(left)}.")
    if any(math.isnan(size) for size in yours.values()):
        print("nan: a logarithm of 0 has no gradient, even where its value is not read.")
    elif left and yours["ratio off 1, weights unchanged"] < 1e-10:
        print("The values are right for these weights. Does S move when the policy does?")


def off_by(weigh: Weigh, responses: OldResponses, wanted: Float[Tensor, ""]) -> tuple[float, float]:
    """Relative errors, of value and gradient, of k3 so weighted over all that old may draw.

    weigh: takes logp and old_logp, "response time", and gives what multiplies each token's k3.
    """
    logp, ref_logp = responses.logp(), responses.ref_logp()
    k3 = torch.expm1(ref_logp - logp) - (ref_logp - logp)
    found = (responses.chance()[:, None] * weigh(logp, responses.old_logp()) * k3).sum()
    slope, wanted_slope = responses.gradient(found), responses.gradient(wanted)
    off = (slope - wanted_slope).norm() / wanted_slope.norm()
    return abs(found / wanted - 1).item(), off.item()


def judge_weight(weigh: Weigh, problems: Sequence[OldResponses]) -> None:
    """Print how far off k3 is with this weight, and whether that heals the exhibit."""
    for_one = problems[-1].logp(), problems[-1].old_logp()
    found = weigh(*for_one)
    if not isinstance(found, Tensor) or found.shape not in (for_one[0].shape, (len(for_one[0]), 1)):
        print(f"Not yet: a weight for each token is asked, {tuple(for_one[0].shape)}.")
        return
    worst = {
        aim: [max(errors) for errors in zip(*pairs, strict=True)]
        for aim, pairs in {
            "token": [off_by(weigh, one, one.kl_by_token()) for one in problems],
            "response": [off_by(weigh, one, one.kl_of_responses()) for one in problems],
        }.items()
    }
    value, slope = min(worst.values(), key=max)
    print(f"yours, at worst: value off by {value:.0e}, gradient off by {slope:.0e}")
    if max(worst["token"]) < 1e-10:
        print("Healed: the KL of each position, in the contexts that old drew.")
    elif max(worst["response"]) < 1e-10:
        print("Healed, with another aim: KL of whole responses, in the policy's own contexts.")
        print("A product of ratios is what that takes; its spread grows with the length.")
    elif worst["token"][0] < 1e-10:
        print("Not healed: the value is right, the gradient is not. Is the weight constant?")
    else:
        print("Not healed: a token's share in old's draws is corrected by its own ratio.")
