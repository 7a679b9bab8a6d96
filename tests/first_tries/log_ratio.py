"""First tries at `log_ratio`."""

import math

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from . import right, told


@told("swapped")
def turned(p, q):
    return torch.log(q) - torch.log(p)


@told("swapped")
def turned_inside_a_quotient(p, q):
    return torch.log(q / p)


@told("in_decimal_digits")
def base_10(p, q):
    return torch.log10(p) - torch.log10(q)


@told("in_bits")
def base_2(p, q):
    return torch.log2(p / q)


@told("ratio")
def ratio_without_log(p, q):
    return p / q


@told("ratio_of_logs")
def logs_divided(p, q):
    return p.log() / q.log()


@told("logs_added")
def logs_added(p, q):
    return p.log() + q.log()


@told("logs_multiplied")
def logs_multiplied(p, q):
    return p.log() * q.log()


@told("with_log1p")
def log1p_of_both(p, q):
    return torch.log1p(p) - torch.log1p(q)


@told("log_of_1_and_the_ratio")
def log1p_of_the_ratio(p, q):
    return torch.log1p(p / q)


@told("weighted_by_p")
def weighted_by_p(p, q):
    return p * (p.log() - q.log())


@told("weighted_by_p")
def kl_div_of_torch(p, q):
    return F.kl_div(q.log(), p, reduction="none")


@told("constant_added_1e_3")
def small_constant_added(p, q):
    return torch.log(p + 1e-3) - torch.log(q + 1e-3)


@told("constant_in_the_denominator_1e_6")
def small_constant_below(p, q):
    return torch.log(p / (q + 1e-6))


@told("clamped_at_1e_3")
def clamped_at_a_thousandth(p, q):
    return p.clamp(min=0.001).log() - q.clamp(min=0.001).log()


@told("summed")
def summed(p, q):
    return (p.log() - q.log()).sum()


@told("mean")
def averaged(p, q):
    return torch.mean(p.log() - q.log())


@told("library: *")
def math_log(p, q):
    return math.log(p) - math.log(q)


@told("library: *")
def tensor_as_a_module(p, q):
    return p.ln() - q.ln()


@told("log_softmax_taken")
def log_softmax_of_both(p, q):
    return p.log_softmax(-1) - q.log_softmax(-1)


@told("log_softmax_taken")
def softmax_of_both(p, q):
    return p.softmax(-1).log() - q.softmax(-1).log()


@told("library: *")
def numpy_of_detached(p, q):
    return torch.from_numpy(np.log(p.detach().numpy()) - np.log(q.detach().numpy()))


@told("log_of_difference")
def log_of_a_difference(p, q):
    return torch.log(p - q)


@told("difference")
def difference(p, q):
    return p - q


@told("ratio_minus_1")
def relative_difference(p, q):
    return (p - q) / q


@told("only_p_logged")
def only_p_logged(p, q):
    return torch.log(p) - q


@told("log_p_over_q")
def log_p_over_q(p, q):
    return torch.log(p) / q


@told("absolute")
def absolute(p, q):
    return (p.log() - q.log()).abs()


@told("cut at 0")
def never_below_zero(p, q):
    return torch.relu(p.log() - q.log())


@right
def q_detached(p, q):
    return p.log() - q.detach().log()


@told("detached")
def p_detached(p, q):
    return p.detach().log() - q.log()


@told("detached")
def without_a_graph(p, q):
    with torch.no_grad():
        return p.log() - q.log()


@told("in_place")
def in_place(p, q):
    return p.log_() - q.log_()


@told("log_odds")
def log_odds(p, q):
    return torch.log(p / (1 - p)) - torch.log(q / (1 - q))


@told("library: *")
def nothing_returned(p, q):
    p.log() - q.log()


@told("exponentials")
def exponentials(p, q):
    return p.exp() - q.exp()


@right
def scaled_from_base_2(p, q):
    return (p.log2() - q.log2()) * math.log(2)


@right
def cross_entropies(p, q):
    return -q.log() - -p.log()


@told("only_p_changed")
def divided_in_place(p, q):
    p /= q
    return p.log()


@told("cast_to_float64")
def in_float64(p, q):
    return torch.log(p.double() / q.double())
