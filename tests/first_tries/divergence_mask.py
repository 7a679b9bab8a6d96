"""First tries at `divergence_mask`."""

import torch

from . import right, told


@right
def two_cases(logp, old_logp, advantage, delta):
    with torch.no_grad():
        diff = torch.exp(logp) - torch.exp(old_logp)
        stop = torch.zeros_like(diff, dtype=torch.bool)
        stop = torch.where(advantage > 0, diff > delta, stop)
        stop = torch.where(advantage < 0, diff < -delta, stop)
    return stop.logical_not()


@right
def invalid_positions(logp, old_logp, advantage, delta):
    prob, old_prob = logp.detach().exp(), old_logp.detach().exp()
    ratio = (logp - old_logp).detach().exp()
    invalid_high = (advantage > 0) & (ratio > 1) & ((prob - old_prob).abs() > delta)
    invalid_low = (advantage < 0) & (ratio < 1) & ((prob - old_prob).abs() > delta)
    return ~(invalid_high | invalid_low)


@right
def keep_where_near_or_back(logp, old_logp, advantage, delta):
    tv = (logp.exp() - old_logp.exp()).abs()
    back = torch.sign(logp - old_logp) * advantage <= 0
    return (tv <= delta) | back


@told("clip_of_the_ratio")
def ppo_clip_as_a_mask(logp, old_logp, advantage, delta):
    ratio = (logp - old_logp).exp()
    too_high = (advantage > 0) & (ratio > 1 + delta)
    too_low = (advantage < 0) & (ratio < 1 - delta)
    return ~(too_high | too_low)


@told("logarithms_compared")
def no_exp(logp, old_logp, advantage, delta):
    d = logp - old_logp
    return ~(((advantage > 0) & (d > delta)) | ((advantage < 0) & (d < -delta)))


@told("direction_left_out")
def near_tokens_only(logp, old_logp, advantage, delta):
    return (logp.exp() - old_logp.exp()).abs() <= delta


@told("inverted")
def true_where_it_stops(logp, old_logp, advantage, delta):
    diff = logp.exp() - old_logp.exp()
    return (diff.abs() > delta) & (torch.sign(diff) == torch.sign(advantage))


@told("zero_stopped_when_far", "zero_counts_as_negative", "zero_counts_as_positive")
def signs_compared_for_difference(logp, old_logp, advantage, delta):
    diff = logp.exp() - old_logp.exp()
    back = torch.sign(diff) == -torch.sign(advantage)
    return (diff.abs() <= delta) | back


@told("direction_flipped")
def difference_the_other_way(logp, old_logp, advantage, delta):
    diff = old_logp.exp() - logp.exp()
    return ~((diff.abs() > delta) & (diff * advantage > 0))


@told("times_the_advantage")
def product_with_the_advantage(logp, old_logp, advantage, delta):
    return advantage * (logp.exp() - old_logp.exp()) < delta


@told("halved")
def half_of_the_difference(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    tv = 0.5 * (p - q).abs()
    return ~((tv > delta) & ((p - q) * advantage > 0))


@told("kl_of_two_outcomes")
def binary_kl(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    p, q = p.clamp(1e-6, 1 - 1e-6), q.clamp(1e-6, 1 - 1e-6)
    kl = q * torch.log(q / p) + (1 - q) * torch.log((1 - q) / (1 - p))
    return ~((kl > delta) & ((p - q) * advantage > 0))


@told("positive_alone")
def forgot_the_negative_side(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    return ~((p - q > delta) & (advantage > 0))


@told("upwards_alone")
def only_growth(logp, old_logp, advantage, delta):
    return logp.exp() - old_logp.exp() <= delta


@told("weights_in_place_of_a_mask")
def float_mask(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    stop = ((p - q).abs() > delta) & ((p - q) * advantage > 0)
    return torch.where(stop, 0.0, 1.0).to(logp.dtype)


@told("int32_in_place_of_a_mask", "whole_numbers_in_place_of_a_mask")
def int_mask(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    stop = ((p - q).abs() > delta) & ((p - q) * advantage > 0)
    return 1 - stop.int()


@told("from_the_ratio", "from_the_ratio_expm1")
def old_probability_times_ratio_minus_one(logp, old_logp, advantage, delta):
    ratio = torch.exp(logp - old_logp)
    moved = (ratio - 1) * old_logp.exp()
    return ~((moved.abs() > delta) & (moved * advantage > 0))


@told("or_for_and")
def either_condition(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    near = (p - q).abs() <= delta
    back = (p - q) * advantage <= 0
    return near & back


@told("advantage_masked")
def masked_advantage(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    stop = ((p - q).abs() > delta) & ((p - q) * advantage > 0)
    return advantage.masked_fill(stop, 0.0)


@told("distance_left_out")
def sign_test_only(logp, old_logp, advantage, delta):
    return (logp.exp() - old_logp.exp()) * advantage <= 0


@told("library: if of many")
def with_if(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    teaches = True
    if (p - q).abs() > delta and (p - q) * advantage > 0:
        teaches = False
    return teaches


@told("all_of_the_response", "library: axes")
def reduced_over_time(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    stop = ((p - q).abs() > delta) & ((p - q) * advantage > 0)
    return ~stop.any(dim=1)


@told("exp_in_place")
def exp_with_an_underscore(logp, old_logp, advantage, delta):
    q = old_logp.exp()
    p = logp.detach().exp_()
    return ~(((p - q).abs() > delta) & ((p - q) * advantage > 0))


@told("nothing_returned", "library: NoneType")
def without_return(logp, old_logp, advantage, delta):
    p, q = logp.exp(), old_logp.exp()
    mask = ~(((p - q).abs() > delta) & ((p - q) * advantage > 0))  # noqa: F841


@told("contribution_to_the_kl", "policys_contribution_to_the_kl")
def kl_term_of_the_token(logp, old_logp, advantage, delta):
    kl = logp.exp() * (logp - old_logp)
    return ~((kl.abs() > delta) & ((logp - old_logp) * advantage > 0))


@told("softmax_over_the_response")
def softmax_over_time(logp, old_logp, advantage, delta):
    p, q = logp.softmax(-1), old_logp.softmax(-1)
    return ~(((p - q).abs() > delta) & ((p - q) * advantage > 0))
