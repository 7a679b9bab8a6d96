"""First tries at `masked_mean`."""

import torch

from . import right, told


@told("mask_ignored")
def mean_of_all(x, mask):
    return x.mean()


@told("divided_by_all_places", "multiplied_by_mask")
def zeros_averaged_too(x, mask):
    return (x * mask).mean()


@told("divided_by_all_places")
def zeros_averaged_too_without_poison(x, mask):
    return torch.where(mask, x, 0).mean()


@told("multiplied_by_mask", "nothing_over_nothing")
def multiplied_by_the_mask(x, mask):
    return (x * mask).sum() / mask.sum()


@told("multiplied_by_mask")
def multiplied_by_the_mask_and_clamped(x, mask):
    return (x * mask.float()).sum() / mask.sum().clamp(min=1)


@told("nothing_over_nothing")
def selected(x, mask):
    return x[mask].mean()


@told("nothing_over_nothing")
def selected_with_masked_select(x, mask):
    return torch.masked_select(x, mask).sum() / mask.sum()


@told("nothing_over_nothing")
def where_without_a_guard(x, mask):
    return torch.where(mask, x, 0).sum() / mask.sum()


@told("mean_of_row_means")
def mean_of_row_means(x, mask):
    kept = torch.where(mask, x, 0)
    return (kept.sum(1) / mask.sum(1).clamp(min=1)).mean()


@told("mean_of_row_means_nan", "multiplied_by_mask", "nothing_over_nothing")
def mean_of_row_means_with_poison(x, mask):
    return ((x * mask).sum(-1) / mask.sum(-1)).mean()


@told("mean_of_row_means_nan")
def mean_of_the_rows_own_means(x, mask):
    return torch.stack([row[real].mean() for row, real in zip(x, mask, strict=True)]).mean()


@told("one_mean_a_row")
def row_means(x, mask):
    return torch.where(mask, x, 0).sum(-1) / mask.sum(-1).clamp(min=1)


@told("one_mean_a_place")
def column_means(x, mask):
    return torch.where(mask, x, 0).sum(0) / mask.sum(0).clamp(min=1)


@told("divided_by_rows")
def row_sums_averaged(x, mask):
    return torch.where(mask, x, 0).sum(-1).mean()


@told("summed")
def summed(x, mask):
    return x[mask].sum()


@told("divided_by_the_length")
def divided_by_the_length(x, mask):
    return torch.where(mask, x, 0).sum() / x.shape[1]


@right
def constant_in_the_denominator(x, mask):
    return torch.where(mask, x, 0).sum() / (mask.sum() + 1e-8)


@told("one_added_to_the_count")
def large_constant_in_the_denominator(x, mask):
    return torch.where(mask, x, 0).sum() / (mask.sum() + 1)


@told("mask_inverted")
def inverted(x, mask):
    return x.masked_fill(mask, 0).sum() / (~mask).sum().clamp(min=1)


@told("replaced_by_value")
def poison_made_numbers(x, mask):
    return torch.nan_to_num(x).mul(mask).sum() / mask.sum().clamp(min=1)


@told("nothing_over_nothing")
def nan_mean(x, mask):
    return torch.where(mask, x, torch.nan).nanmean()


@told("detached")
def a_number(x, mask):
    return x[mask].mean().item() if mask.any() else 0.0


@told("plain_whole_zero")
def plain_zero_for_none(x, mask):
    return x[mask].mean() if mask.any() else 0


@told("zero_of_another_dtype")
def float32_zero_for_none(x, mask):
    return x[mask].mean() if mask.any() else torch.tensor(0.0)


@told("zero_from_padding")
def poisoned_zero_for_none(x, mask):
    return x[mask].mean() if mask.any() else (x * 0).sum()


@told("in_place")
def filled_in_place(x, mask):
    return x.masked_fill_(~mask, 0).sum() / mask.sum().clamp(min=1)


@told("median_of_the_real")
def median(x, mask):
    return x[mask].median() if mask.any() else x.new_zeros(())


@told("nothing_refused")
def refuses_none(x, mask):
    if not mask.any():
        raise ValueError("nothing to average")
    return x[mask].mean()


@told("library: *")
def mask_as_a_length(x, mask):
    return x[:, : mask.sum(1)].mean()


@told("library: *")
def minus_of_a_mask(x, mask):
    return (x * (1 - mask)).sum() / mask.sum()


@told("mean_by_share")
def product_of_means(x, mask):
    return x.mean() * mask.float().mean()


@told("detached")
def detached(x, mask):
    return torch.where(mask, x, 0).detach().sum() / mask.sum().clamp(min=1)


@told("mean_of_filled_rows_means")
def mean_of_rows_that_have_any(x, mask):
    kept = mask.any(1)
    rows = torch.where(mask, x, 0).sum(1)[kept] / mask.sum(1)[kept]
    return rows.mean() if kept.any() else x.new_zeros(())


@told("axis left")
def last_axis_kept(x, mask):
    total = torch.where(mask, x, 0).sum(dim=(0, 1), keepdim=True)
    return total / mask.sum().clamp(min=1)


@told("zeros_not_counted")
def nonzero_values_counted(x, mask):
    kept = torch.where(mask, x, 0)
    return kept.sum() / (kept != 0).sum().clamp(min=1)


@told()
def whole_numbers_divided(x, mask):
    return torch.where(mask, x, 0).sum() // mask.sum().clamp(min=1)


@told("mean_replaced")
def nan_made_zero(x, mask):
    return torch.nan_to_num(x[mask].mean(), nan=0.0)


@right
def weights(x, mask):
    weight = mask.to(x.dtype) / mask.sum().clamp(min=1)
    return (x.masked_fill(~mask, 0.0) * weight).sum()


@told("padding_summed_too")
def all_summed(x, mask):
    return x.sum() / mask.sum().clamp(min=1)


@told("one_mean_a_row_over_all_places", "multiplied_by_mask")
def averaged_over_time(x, mask):
    return (x * mask).mean(dim=-1)


@told("nothing_divides_by_zero", "library: *")
def through_lists(x, mask):
    real = [value for value, counts in zip(x.flatten(), mask.flatten(), strict=True) if counts]
    return sum(real) / len(real)
