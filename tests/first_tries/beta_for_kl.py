"""First tries at `beta_for_kl`."""

import math

import torch

from helpers.reference import optimal_policy

from . import right, told


def _kl(ref_logits, rewards, beta):
    logp = optimal_policy(ref_logits.double(), rewards.double(), beta)
    return (logp.exp() * (logp - ref_logits.double().log_softmax(-1))).sum().item()


def _greatest(ref_logits, rewards):
    best = rewards == rewards.max()
    return -ref_logits.double().log_softmax(-1)[best].exp().sum().log().item()


def _refuse(ref_logits, rewards, target_kl):
    if target_kl <= 0 or target_kl >= _greatest(ref_logits, rewards):
        raise ValueError("no beta has this divergence")


def _halved(kl, target_kl, low=1e-6, high=1e6, steps=200):
    """The beta between low and high: KL falls as beta grows."""
    for _ in range(steps):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if kl(middle) > target_kl else (low, middle)
    return math.sqrt(low * high)


@told("between_0_0001_and_10000")
def from_1e_4_to_1e4(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl, 1e-4, 1e4)


@told("between_0_001_and_100")
def from_1e_3_to_100(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl, 1e-3, 100)


@told("between_0_01_and_10")
def from_0_01_to_10(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl, 0.01, 10)


@told("between_0_001_and_1000")
def arithmetic_means_from_1e_3_to_1000(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    low, high = 1e-3, 1e3
    for _ in range(100):
        middle = (low + high) / 2
        if _kl(ref_logits, rewards, middle) > target_kl:
            low = middle
        else:
            high = middle
    return (low + high) / 2


@told("wrong_way_halved_in_logarithms_1e_06_1e06")
def halved_to_the_wrong_side(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    low, high = 1e-6, 1e6
    for _ in range(200):
        middle = math.sqrt(low * high)
        if _kl(ref_logits, rewards, middle) > target_kl:
            high = middle
        else:
            low = middle
    return math.sqrt(low * high)


@told("wrong_way_halved_0_0001_10000")
def wrong_side_from_1e_4_to_1e4(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    low, high = 1e-4, 1e4
    for _ in range(100):
        middle = (low + high) / 2
        if _kl(ref_logits, rewards, middle) < target_kl:
            low = middle
        else:
            high = middle
    return middle


@told("nearly")
def few_halvings(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl, steps=10)


@told("raw_logits_up_to_1000000", "reference_not_normalised")
def raw_logits(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)

    def kl(beta):
        logp = optimal_policy(ref_logits.double(), rewards.double(), beta)
        return (logp.exp() * (logp - ref_logits.double())).sum().item()

    return _halved(kl, target_kl)


@told("divergence_swapped")
def kl_of_ref(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)

    def kl(beta):
        logp = optimal_policy(ref_logits.double(), rewards.double(), beta)
        ref_logp = ref_logits.double().log_softmax(-1)
        return (ref_logp.exp() * (ref_logp - logp)).sum().item()

    return _halved(kl, target_kl)


@told("unweighted_up_to_1000000")
def kl_without_weights(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)

    def kl(beta):
        logp = optimal_policy(ref_logits.double(), rewards.double(), beta)
        return (logp - ref_logits.double().log_softmax(-1)).mean().item()

    return _halved(kl, target_kl)


@told("averaged_up_to_1000000")
def kl_averaged(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    n = rewards.numel()
    return _halved(lambda beta: _kl(ref_logits, rewards, beta) / n, target_kl)


@told("entropy_up_to_1000000")
def entropy_in_place_of_kl(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)

    def kl(beta):
        logp = optimal_policy(ref_logits.double(), rewards.double(), beta)
        return -(logp.exp() * logp).sum().item()

    return _halved(kl, target_kl)


@told("in_bits")
def in_bits(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta) / math.log(2), target_kl)


@told("small_step_formula")
def small_kl_formula(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    ref = ref_logits.softmax(-1)
    variance = (ref * (rewards - (ref * rewards).sum()) ** 2).sum()
    return (variance / (2 * target_kl)).sqrt().item()


@told("spread_over_target")
def spread_over_target(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return ((rewards.max() - rewards.min()) / target_kl).item()


@told("reciprocal")
def inverse_of_beta(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return 1 / _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("logarithm")
def logarithm_of_beta(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return math.log(_halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl))


@told("radius_as_beta")
def divergence_returned(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return _kl(ref_logits, rewards, _halved(lambda b: _kl(ref_logits, rewards, b), target_kl))


@told()
def of_a_grid(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    grid = [10 ** (k / 10) for k in range(-40, 41)]
    return min(grid, key=lambda beta: abs(_kl(ref_logits, rewards, beta) - target_kl))


@told("nothing_checked")
def nothing_refused(ref_logits, rewards, target_kl):
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("bound_not_checked")
def only_zero_refused(ref_logits, rewards, target_kl):
    if target_kl <= 0:
        raise ValueError("target_kl must be positive")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("low_targets_not_checked")
def only_the_bound_refused(ref_logits, rewards, target_kl):
    if target_kl >= _greatest(ref_logits, rewards):
        raise ValueError("out of reach")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("ties_forgotten")
def bound_of_one_best_action(ref_logits, rewards, target_kl):
    bound = -ref_logits.log_softmax(-1)[rewards.argmax()].item()
    if target_kl <= 0 or target_kl >= bound:
        raise ValueError("out of reach")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("bound_of_a_uniform_reference")
def bound_of_the_count(ref_logits, rewards, target_kl):
    if target_kl <= 0 or target_kl >= math.log(rewards.numel()):
        raise ValueError("out of reach")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("bound_of_the_rarest_action")
def bound_of_the_rarest(ref_logits, rewards, target_kl):
    if target_kl <= 0 or target_kl >= -ref_logits.log_softmax(-1).min().item():
        raise ValueError("out of reach")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("nothing_checked")
def none_where_out_of_reach(ref_logits, rewards, target_kl):
    if target_kl <= 0 or target_kl >= _greatest(ref_logits, rewards):
        return None
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("nothing_checked")
def inf_where_out_of_reach(ref_logits, rewards, target_kl):
    if target_kl <= 0 or target_kl >= _greatest(ref_logits, rewards):
        return float("inf")
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told("asserted")
def asserted(ref_logits, rewards, target_kl):
    assert 0 < target_kl < _greatest(ref_logits, rewards)
    return _halved(lambda beta: _kl(ref_logits, rewards, beta), target_kl)


@told()
def controller_of_a_trainer(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    beta = 0.2
    for _ in range(100):
        error = max(-0.2, min(0.2, _kl(ref_logits, rewards, beta) / target_kl - 1))
        beta *= 1 + 0.1 * error
    return beta


@told("library: *")
def item_forgotten_in_sqrt(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    return torch.sqrt(target_kl)


@right
def halved_on_the_logarithm(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    low, high = -30.0, 30.0
    while high - low > 1e-12:
        middle = (low + high) / 2
        low, high = (
            (middle, high)
            if _kl(ref_logits, rewards, math.exp(middle)) > target_kl
            else (low, middle)
        )
    return math.exp(low)


@right
def bracket_widened_first(ref_logits, rewards, target_kl):
    _refuse(ref_logits, rewards, target_kl)
    low = high = 1.0
    while _kl(ref_logits, rewards, high) > target_kl:
        high *= 2
    while _kl(ref_logits, rewards, low) < target_kl:
        low /= 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (
            (middle, high) if _kl(ref_logits, rewards, middle) > target_kl else (low, middle)
        )
    return low
