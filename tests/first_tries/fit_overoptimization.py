"""First tries at `fit_overoptimization`."""

import math

import numpy as np
import torch

from . import right, told


def refused(kl):
    if kl[kl > 0].unique().numel() < 2:
        raise ValueError("two runs at two kl are needed")


@right
def numpy_lstsq(kl, gold):
    kept = kl > 0
    refused(kl)
    d = kl[kept].double().sqrt().numpy()
    design = np.stack([d, -d * np.log(d)], axis=1)
    alpha, b = np.linalg.lstsq(design, gold[kept].double().numpy(), rcond=None)[0]
    return float(alpha), float(b)


@right
def normal_equations(kl, gold):
    refused(kl)
    y = gold[kl > 0].double()
    d = kl[kl > 0].double().sqrt()
    x = torch.stack([d, -d * d.log()], 1)
    alpha, b = torch.linalg.solve(x.T @ x, x.T @ y).tolist()
    return alpha, b


def fit(columns, target):
    return torch.linalg.lstsq(torch.stack(columns, 1).double(), target.double()[:, None]).solution


@told("line_through_the_quotients")
def line_of_the_quotient(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([torch.ones_like(d), -d.log()], gold[kept] / d).flatten().tolist()
    return alpha, b


@told("nothing_refused", "library: *")
def kl_zero_kept(kl, gold):
    d = kl.double().sqrt()
    alpha, b = fit([d, -d * d.log()], gold).flatten().tolist()
    return alpha, b


@told("root_forgotten")
def root_forgotten(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept]
    alpha, b = fit([d, -d * d.log()], gold[kept]).flatten().tolist()
    return alpha, b


@told("sign_of_b_turned")
def sign_of_b_turned(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([d, d * d.log()], gold[kept]).flatten().tolist()
    return alpha, b


@told("log_of_kl")
def log_of_kl(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([d, -d * kl[kept].log()], gold[kept]).flatten().tolist()
    return alpha, b


@told("best_of_n_form")
def best_of_n_form(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([d, -d * d], gold[kept]).flatten().tolist()
    return alpha, b


@told("intercept_added")
def with_an_intercept(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    x = torch.stack([d, -d * d.log(), torch.ones_like(d)], 1).double().numpy()
    found = np.linalg.lstsq(x, gold[kept].double().numpy(), rcond=None)[0]
    return float(found[0]), float(found[1])


@told("order_swapped")
def exchanged(kl, gold):
    alpha, b = normal_equations(kl, gold)
    return b, alpha


@told("nothing_refused")
def no_value_error(kl, gold):
    kept = kl > 0
    d = kl[kept].double().sqrt()
    x = np.stack([d.numpy(), -(d * d.log()).numpy()], axis=1)
    alpha, b = np.linalg.lstsq(x, gold[kept].double().numpy(), rcond=None)[0]
    return float(alpha), float(b)


@told("one_kl_fitted")
def only_counts_the_runs(kl, gold):
    kept = kl > 0
    if kept.sum() < 2:
        raise ValueError("too few")
    return no_value_error(kl, gold)


@told("three_runs_demanded")
def three_runs_wanted(kl, gold):
    if (kl > 0).sum() < 3:
        raise ValueError("too few")
    return normal_equations(kl, gold)


@told("runs_without_gain_left_out")
def zero_gold_dropped(kl, gold):
    kept = (kl > 0) & (gold > 0)
    return normal_equations(kl[kept], gold[kept])


@told("log_to_base_two")
def log_base_two(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([d, -d * d.log2()], gold[kept]).flatten().tolist()
    return alpha, b


@told("log_to_base_ten")
def log_base_ten(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].sqrt()
    alpha, b = fit([d, -d * d.log10()], gold[kept]).flatten().tolist()
    return alpha, b


@told("one_tensor")
def tensor_returned(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].double().sqrt()
    return fit([d, -d * d.log()], gold[kept])[:, 0]


@right
def tensors_in_a_pair(kl, gold):
    refused(kl)
    kept = kl > 0
    d = kl[kept].double().sqrt()
    found = fit([d, -d * d.log()], gold[kept])[:, 0]
    return found[0], found[1]


@told("no sentence")
def small_number_added(kl, gold):
    refused(kl)
    d = (kl.clamp(min=0).double() + 1e-3).sqrt()
    alpha, b = fit([d, -d * d.log()], gold).flatten().tolist()
    return alpha, b


@told("sign_of_kl_dropped")
def negative_kl_made_positive(kl, gold):
    kept = kl != 0
    return normal_equations(kl[kept].abs(), gold[kept])


@told("first_and_last_only")
def first_and_last_run_alone(kl, gold):
    refused(kl)
    y = (gold[kl > 0].double() / kl[kl > 0].double().sqrt()).tolist()
    x = kl[kl > 0].double().sqrt().log().tolist()
    low, high = x.index(min(x)), x.index(max(x))
    b = -(y[high] - y[low]) / (x[high] - x[low])
    return y[low] + b * x[low], b


@told("none_returned")
def none_for_too_few(kl, gold):
    if kl[kl > 0].unique().numel() < 2:
        return None
    return normal_equations(kl, gold)


@told("numbers_for_nothing")
def nan_for_too_few(kl, gold):
    if kl[kl > 0].unique().numel() < 2:
        return math.nan, math.nan
    return normal_equations(kl, gold)


@told("library: *")
def sqrt_of_math(kl, gold):
    d = math.sqrt(kl)
    return fit([d, -d * math.log(d)], gold)


@told("dict_returned")
def a_dict(kl, gold):
    alpha, b = normal_equations(kl, gold)
    return {"alpha": alpha, "b": b}


@told("one_tensor")
def only_the_alpha(kl, gold):
    return normal_equations(kl, gold)[0]


@told("slope_of_the_quotients")
def polyfit_of_the_quotients(kl, gold):
    refused(kl)
    d = kl[kl > 0].double().sqrt().numpy()
    slope, intercept = np.polyfit(np.log(d), gold[kl > 0].double().numpy() / d, 1)
    return float(intercept), float(slope)


@told("factor_forgotten")
def polyfit_of_gold(kl, gold):
    refused(kl)
    x = kl[kl > 0].double().sqrt().log().numpy()
    slope, intercept = np.polyfit(x, gold[kl > 0].double().numpy(), 1)
    return float(intercept), -float(slope)


@told("one_tensor")
def array_returned(kl, gold):
    return np.array(normal_equations(kl, gold))
