"""First tries at `held_out_error`."""

import numpy as np
import torch

from . import right, told


@right
def straightforward(kl, gold, held_out, columns):
    keep = kl > 0
    kl, gold, held_out = kl[keep].double(), gold[keep].double(), held_out[keep]
    x_train, y_train = columns(kl[~held_out].sqrt()), gold[~held_out]
    x_test, y_test = columns(kl[held_out].sqrt()), gold[held_out]
    if len(torch.unique(kl[~held_out])) < x_train.shape[1]:
        raise ValueError("not enough different kl to fit")
    if len(y_test) == 0:
        raise ValueError("no run is held out")
    coef = torch.linalg.lstsq(x_train, y_train.unsqueeze(-1)).solution.squeeze(-1)
    return torch.sqrt(torch.mean((x_test @ coef - y_test) ** 2)).item()


@right
def with_numpy(kl, gold, held_out, columns):
    train, test = (kl > 0) & ~held_out, (kl > 0) & held_out
    x = np.asarray(columns(kl[train].double().sqrt()))
    if len(set(kl[train].tolist())) < x.shape[1] or not test.any():
        raise ValueError
    c = np.linalg.lstsq(x, gold[train].double().numpy(), rcond=None)[0]
    predicted = np.asarray(columns(kl[test].double().sqrt())) @ c
    return float(np.sqrt(((predicted - gold[test].double().numpy()) ** 2).mean()))


def fit(kl, gold, held_out, columns):
    """Right up to the coefficients: masks of both groups, d, and c."""
    train, test = (kl > 0) & ~held_out, (kl > 0) & held_out
    d = kl.double().sqrt()
    x = columns(d[train])
    if kl[train].unique().numel() < x.shape[1]:
        raise ValueError("too few kl")
    if test.sum() == 0:
        raise ValueError("no run to predict")
    c = torch.linalg.lstsq(x, gold[train].double().unsqueeze(1)).solution.squeeze(1)
    return train, test, d, c


@told("root_left_out")
def mse(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return ((columns(d[test]) @ c - gold[test]) ** 2).mean().item()


@told("mean_absolute_error")
def mae(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[test]) @ c - gold[test]).abs().mean().item()


@told("error_of_the_fit")
def training_error(kl, gold, held_out, columns):
    train, _, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[train]) @ c - gold[train]).pow(2).mean().sqrt().item()


@told("error_of_all")
def error_everywhere(kl, gold, held_out, columns):
    _, _, d, c = fit(kl, gold, held_out, columns)
    kept = kl > 0
    return (columns(d[kept]) @ c - gold[kept]).pow(2).mean().sqrt().item()


@told("groups_exchanged")
def held_out_misread(kl, gold, held_out, columns):
    train, test, d, c = fit(kl, gold, ~held_out, columns)
    return (columns(d[test]) @ c - gold[test]).pow(2).mean().sqrt().item()


@told("sum_in_place_of_mean")
def norm_of_the_errors(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return torch.linalg.norm(columns(d[test]) @ c - gold[test]).item()


@told("root_before_the_mean")
def norm_over_n(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return ((columns(d[test]) @ c - gold[test]).norm() / test.sum()).item()


@told("divided_by_the_held_out")
def mean_by_hand(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return ((columns(d[test]) @ c - gold[test]).pow(2).sum() / held_out.sum()).sqrt().item()


@told("root_of_kl_forgotten")
def columns_of_kl(kl, gold, held_out, columns):
    keep = kl > 0
    kl, gold, held_out = kl[keep], gold[keep], held_out[keep]
    x = columns(kl)
    if kl[~held_out].unique().numel() < x.shape[1] or not held_out.any():
        raise ValueError("too little")
    c = torch.linalg.lstsq(x[~held_out].double(), gold[~held_out].double()[:, None]).solution
    return (x[held_out].double() @ c - gold[held_out][:, None]).square().mean().sqrt().item()


@told("fitted_to_all")
def held_out_in_the_fit(kl, gold, held_out, columns):
    keep = kl > 0
    d, gold, held_out = kl[keep].double().sqrt(), gold[keep].double(), held_out[keep]
    x = columns(d)
    if d[~held_out].unique().numel() < x.shape[1] or not held_out.any():
        raise ValueError("too little")
    c = torch.linalg.lstsq(x, gold[:, None]).solution[:, 0]
    return (x[held_out] @ c - gold[held_out]).square().mean().sqrt().item()


@told("nothing_left_out", "exception: *")
def no_filter(kl, gold, held_out, columns):
    d = kl.double().sqrt()
    x = columns(d[~held_out])
    if kl[~held_out].unique().numel() < x.shape[1] or not held_out.any():
        raise ValueError("too little")
    c = torch.linalg.lstsq(x, gold[~held_out].double()[:, None]).solution[:, 0]
    return (columns(d[held_out]) @ c - gold[held_out]).square().mean().sqrt().item()


@told("zero_kept")
def at_least_zero(kl, gold, held_out, columns):
    keep = kl >= 0
    return no_filter(kl[keep], gold[keep], held_out[keep], columns)


@told("one_kl_fitted")
def enough_runs(kl, gold, held_out, columns):
    train, test = (kl > 0) & ~held_out, (kl > 0) & held_out
    x = columns(kl[train].double().sqrt())
    if len(x) < x.shape[1] or not test.any():
        raise ValueError("too few runs")
    c = torch.linalg.pinv(x) @ gold[train].double()
    return (columns(kl[test].double().sqrt()) @ c - gold[test]).square().mean().sqrt().item()


@told("two_coefficients_supposed")
def two_different_kl(kl, gold, held_out, columns):
    train, test = (kl > 0) & ~held_out, (kl > 0) & held_out
    if kl[train].unique().numel() < 2 or not test.any():
        raise ValueError("too few runs")
    c = torch.linalg.pinv(columns(kl[train].double().sqrt())) @ gold[train].double()
    return (columns(kl[test].double().sqrt()) @ c - gold[test]).square().mean().sqrt().item()


@told("nan_in_place_of_an_error")
def mean_of_nothing(kl, gold, held_out, columns):
    train, test = (kl > 0) & ~held_out, (kl > 0) & held_out
    x = columns(kl[train].double().sqrt())
    if kl[train].unique().numel() < x.shape[1]:
        raise ValueError("too few runs")
    c = torch.linalg.lstsq(x, gold[train].double()[:, None]).solution[:, 0]
    return (columns(kl[test].double().sqrt()) @ c - gold[test]).square().mean().sqrt().item()


@told("nothing_refused")
def no_checks(kl, gold, held_out, columns):
    keep = kl > 0
    d, gold, held_out = kl[keep].double().sqrt(), gold[keep].double(), held_out[keep]
    c = torch.linalg.pinv(columns(d[~held_out])) @ gold[~held_out]
    return (columns(d[held_out]) @ c - gold[held_out]).square().mean().sqrt().item()


@told("mask_changed_in_place")
def mask_and_equals(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    held_out &= kl > 0
    return (columns(d[test]) @ c - gold[test]).square().mean().sqrt().item()


@told("share_explained")
def r_squared(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    left = (columns(d[test]) @ c - gold[test]).square().sum()
    return (1 - left / (gold[test] - gold[test].mean()).square().sum()).item()


@told("deviation_of_the_errors")
def std_of_the_errors(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[test]) @ c - gold[test]).std(unbiased=False).item()


@told("mean_of_signed_errors")
def bias(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[test]) @ c - gold[test]).mean().item()


@told("absolute_errors_returned")
def root_of_each_square(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[test]) @ c - gold[test]).square().sqrt()


@told("pair_returned")
def error_and_coefficients(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    return (columns(d[test]) @ c - gold[test]).square().mean().sqrt().item(), c


@told("every_pair_compared")
def gold_as_a_column_forgotten(kl, gold, held_out, columns):
    _, test, d, c = fit(kl, gold, held_out, columns)
    errors = columns(d[test]) @ c[:, None] - gold[test]  # run run, by broadcasting
    return errors.square().mean().sqrt().item()


@told("quotients_fitted")
def divided_by_d(kl, gold, held_out, columns):
    train, test, d, _ = fit(kl, gold, held_out, columns)
    y = (gold / d)[train].double()
    c = torch.linalg.lstsq(columns(d[train]) / d[train][:, None], y[:, None]).solution[:, 0]
    return (columns(d[test]) @ c - gold[test]).square().mean().sqrt().item()
