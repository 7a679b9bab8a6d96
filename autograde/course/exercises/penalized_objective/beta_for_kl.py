"""Find the β whose best policy has a given KL from ref."""

import math
import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from itertools import product

import torch
from torch import Tensor
from torch.distributions import Categorical

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, Mistake, tensor

EXTREMES = "small and great targets"

OUT_OF_REACH = "targets out of reach"

beta_for_kl = Exercise(
    "beta_for_kl",
    parts={VALUES: 4, EXTREMES: 1, OUT_OF_REACH: 2, RULES: 1},
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


def _not_normalised(edge: float, ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    by, far = ref_logits.double().logsumexp(-1).item(), math.log(edge)
    measure = lambda best, ref: _spent(best, ref + by)  # noqa: E731
    return _solved(ref_logits, rewards, target_kl, measure, low=-far, high=far)


for _edge in (1e3, 1e4, 1e6):
    _says = (
        "ref_logits were subtracted as they are. They are log-probabilities only up to a "
        "constant: take log_softmax first. Where nothing leads to the target so, the search ends "
        f"at its edge, {1 / _edge:g} or {_edge:g}."
    )
    _answer = partial(_not_normalised, _edge)
    beta_for_kl.mistakes.append(Mistake(f"raw_logits_up_to_{_edge:.0f}", _says, _answer))


beta_for_kl.changed(
    "reciprocal",
    "math.exp((low + high) / 2)",
    "math.exp(-(low + high) / 2)",
    "This is 1/beta: the rewards are divided by beta, not multiplied.",
)
beta_for_kl.changed(
    "logarithm",
    "math.exp((low + high) / 2)",
    "(low + high) / 2",
    "This is log beta: take exp of what the bisection found.",
    rough={"ref (1/2, 1/2), rewards (log 3, 0): beta 1": 1e-6},
)


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
    "What came back is the target itself, or the divergence found, which equals it. That is the "
    "radius of the trust region; its price is asked: the beta whose optimum has that KL."
)
def radius_as_beta(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    return float(target_kl)


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


@cache
def _right(log_ref: tuple[float, ...], rewards: tuple[float, ...], target_kl: float) -> float:
    """The reference's answer, asked once for all intervals."""
    doubles = (torch.tensor(x, dtype=torch.float64) for x in (log_ref, rewards))
    return reference.beta_for_kl(*doubles, target_kl)


def _between(
    low: float, high: float, ref_logits: Tensor, rewards: Tensor, target_kl: float
) -> float:
    """A search that ends at the edge of its interval where beta lies outside."""
    _refuse_target(ref_logits, rewards, target_kl)
    beta = _right(tuple(ref_logits.tolist()), tuple(rewards.tolist()), target_kl)
    return min(max(beta, low), high)


LOWS = {0.0: "", 1e-4: "0.0001", 1e-3: "0.001", 1e-2: "0.01", 0.1: "0.1"}
HIGHS = {math.inf: "", 1e4: "10,000", 1e3: "1,000", 100.0: "100", 10.0: "10"}

for (_low, _least), (_high, _most) in product(LOWS.items(), HIGHS.items()):
    if not (_least or _most):
        continue
    _edges = " or ".join(filter(None, (_least, _most)))
    _name = f"between_{_least or 0}_and_{_most or 'inf'}".replace(",", "").replace(".", "_")
    _says = (
        f"The search ends at the edge of its interval, {_edges}: beta has the unit of the rewards, "
        "which may be thousands or thousandths. Let the interval grow with their spread."
    )
    beta_for_kl.mistakes.append(Mistake(_name, _says, partial(_between, _low, _high)))


def _to_the_wrong_side(
    low: float,
    high: float,
    middle: float,
    ref_logits: Tensor,
    rewards: Tensor,
    target_kl: float,
) -> float:
    """The edge at which a search from `middle` ends that goes away from the target."""
    _refuse_target(ref_logits, rewards, target_kl)
    log_ref, rewards = _ready(ref_logits, rewards)
    return low if _spent(_tilted(log_ref, rewards, middle), log_ref) > target_kl else high


WRONG_WAY = (
    "The search, {}, went the wrong way and ended at the edge of its interval, {:g} or {:g}. KL "
    "falls as beta grows: where it is above the target, beta must rise."
)

for _low, _high in (
    (1e-6, 1e6),
    (1e-4, 1e4),
    (1e-3, 1e3),
    (1e-3, 100.0),
    (1e-2, 100.0),
    (1e-6, 1e3),
    (1e-6, 1e4),
    (1e-8, 1e8),
):
    for _how, _said, _middle in (
        ("halved", "from the mean of the edges", (_low + _high) / 2),
        ("halved_in_logarithms", "from the root of their product", math.sqrt(_low * _high)),
    ):
        _name = f"wrong_way_{_how}_{_low:g}_{_high:g}"
        _name = re.sub(r"[-.]", "_", _name.replace("+", ""))
        _answer = partial(_to_the_wrong_side, _low, _high, _middle)
        _wrong = Mistake(_name, WRONG_WAY.format(_said, _low, _high), _answer)
        beta_for_kl.mistakes.append(_wrong)


def _of_another_measure(
    measure: Callable,
    edge: float,
    ref_logits: Tensor,
    rewards: Tensor,
    target_kl: float,
) -> float:
    low, high = math.log(1 / edge), math.log(edge)
    return _solved(ref_logits, rewards, target_kl, measure, low=low, high=high)


for _edge, (_name, _measure, _says) in product(
    (1e3, 1e4, 1e6),
    (
        (
            "averaged",
            lambda best, ref: _spent(best, ref) / len(ref),
            "The divergence was averaged over the actions. π*'s probabilities are the weights "
            "already: sum.",
        ),
        (
            "unweighted",
            lambda best, ref: (best - ref).mean().item(),
            "The log-ratios were averaged or added up with equal weights. KL weighs each by π*.",
        ),
        (
            "entropy",
            lambda best, _ref: -(best.exp() * best).sum().item(),
            "The target was compared with the entropy of π*. The reference is missing: "
            "KL(π* ‖ ref) holds log π* − log ref.",
        ),
    ),
):
    _answer = partial(_of_another_measure, _measure, _edge)
    _says += (
        f" Where nothing leads to the target so, the search ends at {1 / _edge:g} or {_edge:g}."
    )
    beta_for_kl.mistakes.append(Mistake(f"{_name}_up_to_{_edge:.0f}", _says, _answer))


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
    "A target beyond the greatest reachable KL was answered. No beta leads there: raise ValueError."
)
def bound_not_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if target_kl <= 0:
        raise ValueError("target_kl must be above 0")
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "A target of 0 or less was let through. KL 0 is reached at no finite beta, so inf is no answer "
    "either, and less than 0 never: raise ValueError.",
)
def low_targets_not_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if target_kl > 0:
        return reference.beta_for_kl(ref_logits, rewards, target_kl)
    return math.inf  # a search would end anywhere


@beta_for_kl.wrong(
    "Something came back where no beta leads: a target of 0 or less, and one beyond the greatest "
    "reachable KL, have no answer. Raise ValueError for each.",
)
def nothing_checked(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    if target_kl <= 0:
        return math.inf  # a search would end anywhere
    log_ref, rewards = _ready(ref_logits, rewards)
    return _bisect(lambda b: _spent(_tilted(log_ref, rewards, b), log_ref), target_kl)


@beta_for_kl.wrong(
    "This divides the spread of the rewards by the target. beta grows with their spread and falls "
    "with the target, but not in proportion: solve for the beta whose optimum has that KL."
)
def spread_over_target(ref_logits: Tensor, rewards: Tensor, target_kl: float) -> float:
    _refuse_target(ref_logits, rewards, target_kl)
    return ((rewards.max() - rewards.min()) / target_kl).item()


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
