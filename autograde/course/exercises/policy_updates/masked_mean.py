"""Average over the real tokens of a whole batch; what stands in padding is never read."""

from collections.abc import Iterator

import torch
from torch import Tensor

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import EMPTY, INF, NAN, PADDING, UNEQUAL, _count, equal_rows

masked_mean = Exercise(
    "masked_mean",
    parts={VALUES: 1, UNEQUAL: 1, PADDING: 1, EMPTY: 1, GRADIENT: 1, RULES: 1},
    hints=(
        "A sum over the real entries, divided by how many there are: one sum and one count for "
        "the whole batch.",
        "0 · inf is nan, so do not multiply by the mask. torch.where(mask, a, b) chooses between "
        "two values and never looks at the other one.",
        "torch.where(mask, x, 0.0) is safe to sum. Divide by the number of True in mask, and keep "
        "a count of 0 from dividing: clamp has a min.",
    ),
)


@masked_mean.by_hand
def _() -> Iterator[Case]:
    full = torch.ones(2, 2, dtype=torch.bool)
    yield Case(
        "nothing masked: the mean of 1, 2, 3, 6 is 3",
        {"x": tensor([1.0, 2.0], [3.0, 6.0]), "mask": full},
        grad=("x",),
    )
    yield Case(
        "nothing masked: the mean of −6, 0, 0, 2 is −1",
        {"x": tensor([-6.0, 0.0], [0.0, 2.0]), "mask": full},
        grad=("x",),
    )
    yield Case(
        "one real token a row: the mean of 1 and 3 is 2",
        {"x": tensor([1.0, 9.0], [3.0, 9.0]), "mask": torch.tensor([[True, False]] * 2)},
        grad=("x",),
    )
    yield Case(
        "the mean of 2049 and 1 is 1025: 16 bits cannot hold 2049",
        {"x": tensor([2049.0, 1.0]), "mask": full[:1]},
        grad=("x",),
    )
    yield Case(
        "float64, the mean of 16777217 and 1 is 8388609: 32 bits cannot hold 16777217",
        {"x": tensor([16777217.0, 1.0], dtype=torch.float64), "mask": full[:1]},
        part=RULES,
        grad=("x",),
    )
    yield Case(
        "rows of 3 and 1: the mean of 1, 2, 3 and 10 is 4, the mean of the rows' means 6",
        {
            "x": tensor([1.0, 2.0, 3.0], [10.0, 0.0, 0.0]),
            "mask": torch.tensor([[True, True, True], [True, False, False]]),
        },
        part=UNEQUAL,
        grad=("x",),
    )
    yield Case(
        "inf, −inf and nan where the mask is False: the mean of 1 and 3 is 2",
        {
            "x": tensor([1.0, INF, NAN], [-INF, 3.0, NAN]),
            "mask": torch.tensor([[True, False, False], [False, True, False]]),
        },
        part=PADDING,
        grad=("x",),
    )
    yield Case(
        "inf on a real token: the mean of 1 and inf is inf",
        {"x": tensor([1.0, INF]), "mask": full[:1]},
        part=PADDING,
    )
    none = torch.zeros(2, 2, dtype=torch.bool)
    yield Case(
        "no real token at all: 0",
        {"x": tensor([1.0, 2.0], [3.0, INF]), "mask": none},
        part=EMPTY,
        grad=("x",),
    )


@masked_mean.drawn
def _(draw: Draw) -> Iterator[Case]:
    def x(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        return draw.normal(*shape, dtype=dtype) + 1.5

    halves = torch.arange(6) < torch.full((4, 1), 3)
    yield Case("4 rows, 3 of 6 tokens real", {"x": x(4, 6), "mask": halves}, grad=("x",))
    one = torch.ones(1, 1, dtype=torch.bool)
    yield Case("one row, one token", {"x": x(1, 1), "mask": one}, grad=("x",))
    yield Case("the same mask, no gradient asked for", {"x": x(4, 6), "mask": halves})
    lengths = draw.lengths_mask(4, 7)
    yield Case("rows of unequal length", {"x": x(4, 7), "mask": lengths}, UNEQUAL, ("x",))
    scattered = draw.scattered_mask(3, 6)
    yield Case("gaps between real tokens", {"x": x(3, 6), "mask": scattered}, UNEQUAL, ("x",))
    empty = draw.lengths_mask(3, 5)
    empty[1] = False
    yield Case("one of the rows has no real token", {"x": x(3, 5), "mask": empty}, UNEQUAL, ("x",))
    mask = equal_rows(3, 5)
    for poison in (INF, NAN):
        poisoned = x(3, 5).masked_fill(~mask, poison)
        yield Case(f"{poison} in the padding", {"x": poisoned, "mask": mask}, PADDING, ("x",))
    double = {"x": x(3, 5, dtype=torch.float64), "mask": equal_rows(3, 5)}
    yield Case("float64", double, part=RULES, grad=("x",))
    nothing = {"x": x(2, 3, dtype=torch.float64), "mask": torch.zeros(2, 3, dtype=torch.bool)}
    yield Case("float64, no real token", nothing, part=EMPTY)


def _kept(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask, 0.0)


@masked_mean.wrong("The mask was not used: this is the mean over real tokens and padding alike.")
def mask_ignored(x: Tensor, mask: Tensor) -> Tensor:
    return x.mean()


masked_mean.changed(
    "divided_by_all_places",
    "mask.sum().clamp(min=1)",
    "mask.numel()",
    "These are the numbers of a sum divided by all places, padding included, as a mean of columns' "
    "means may be too. Divide by the number of True.",
)
masked_mean.changed(
    "divided_by_rows",
    "mask.sum().clamp(min=1)",
    "len(mask)",
    "This is the sum per row averaged over rows. Divide by the number of real tokens, not of rows.",
)


@masked_mean.wrong(
    "This is the mean of the rows' means, another formula that libraries have too: in it a token "
    "of a short response counts more. What is asked sums over the whole batch, then divides once."
)
def mean_of_row_means(x: Tensor, mask: Tensor) -> Tensor:
    return (_kept(x, mask).sum(-1) / mask.sum(-1).clamp(min=1)).mean()


@masked_mean.wrong(
    "This is the mean of the rows' means: in it a token of a short row counts more than one of a "
    "long row, and a row with nothing real makes it nan. Sum over the whole batch, then divide "
    "once."
)
def mean_of_row_means_nan(x: Tensor, mask: Tensor) -> Tensor:
    return (_kept(x, mask).sum(-1) / mask.sum(-1)).mean()


@masked_mean.wrong(
    "This is the mean of the rows' means, rows without a real token left out. Tokens of short "
    "responses count more in it: sum over the whole batch, then divide once."
)
def mean_of_filled_rows_means(x: Tensor, mask: Tensor) -> Tensor:
    means = [row[real].mean() for row, real in zip(x, mask, strict=True) if real.any()]
    return torch.stack(means).mean() if means else x.new_zeros(())


masked_mean.changed(
    "padding_taken_to_be_last",
    "where(mask, x",
    "where(torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True), x",
    "Padding was taken to stand last: the first n entries of a row were summed, n being its number "
    "of real tokens. Use the mask itself, which may be True anywhere.",
)


@masked_mean.wrong("One mean for each row came back. The mean is over the whole batch: one number.")
def one_mean_a_row(x: Tensor, mask: Tensor) -> Tensor:
    return _kept(x, mask).sum(-1) / mask.sum(-1).clamp(min=1)


masked_mean.changed(
    "summed",
    " / mask.sum().clamp(min=1)",
    "",
    "This is the sum: divide it by the number of real tokens.",
)


@masked_mean.wrong("The mask is turned round: this is the mean of the padding. True counts.")
def mask_inverted(x: Tensor, mask: Tensor) -> Tensor:
    return reference.masked_mean(x, ~mask)


masked_mean.changed(
    "multiplied_by_mask",
    "torch.where(mask, x, 0.0)",
    "(x * mask)",
    "0 · inf is nan: padding reached the mean, as when x is multiplied by the mask. Choose with "
    "torch.where or index with the mask instead.",
)


@masked_mean.wrong(
    "No real token is looked after; elsewhere the mask was multiplied with x, and 0 · inf is nan: "
    "padding reached the mean. Choose with torch.where or index with the mask instead."
)
def multiplied_but_for_nothing(x: Tensor, mask: Tensor) -> Tensor:
    return (x * mask).sum() / mask.sum() if mask.any() else x.new_zeros(())


masked_mean.changed(
    "replaced_by_value",
    "torch.where(mask, x, 0.0)",
    "(torch.nan_to_num(x) * mask)",
    "nan_to_num replaces inf on real tokens too, by the largest float, and hides that something "
    "has overflowed. Choose by the mask, with torch.where, not by the value.",
)
masked_mean.changed(
    "zeroed_by_value",
    "torch.where(mask, x, 0.0)",
    "(torch.nan_to_num(x, 0.0, 0.0, 0.0) * mask)",
    "inf on real tokens was set to 0 as well, as by nan_to_num or isfinite, which hides that "
    "something has overflowed. Choose by the mask, with torch.where, not by the value.",
)


@masked_mean.wrong(
    "nan_to_num around the mean turns 0 / 0 into 0, but a mean that is inf, or nan, on real tokens "
    "into an ordinary number too. Keep the count from being 0 instead."
)
def mean_replaced(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean().nan_to_num()


masked_mean.changed(
    "nothing_over_nothing",
    "mask.sum().clamp(min=1)",
    "mask.sum()",
    "With no real token, 0 / 0 is nan. The mean of nothing is 0 here: keep the count from being 0.",
)


for _name, _says, _number, _sizes in (
    (
        "constant_in_the_count",
        "a float64 mean is off by it",
        "mask.to(x.dtype).sum()",
        (8, 6, 5, 4, 3),
    ),
    (
        "constant_in_a_float32_count",
        "the sum of a bool mask turns float32 by it, which float64 shows",
        "mask.sum()",
        (6, 5, 4),  # 1e-8 is rounded away: no mistake
    ),
):
    for _size in _sizes:
        masked_mean.changed(
            f"{_name}_1e_{_size}",
            "mask.sum().clamp(min=1)",
            f"({_number} + 1e-{_size})",
            f"About 1e-{_size} was added to the count, and {_says}. Keep a count of 0 from "
            "dividing with clamp, which leaves all others as they are.",
        )


@masked_mean.wrong(
    "Right except with no real token: the 0 you return there is a plain Python number, through "
    "which no gradient goes. x.new_zeros(()) is a tensor of the dtype and the device of x."
)
def plain_zero(x: Tensor, mask: Tensor) -> Tensor | float:
    return x[mask].mean() if mask.any() else 0.0


masked_mean.changed(
    "one_added_to_the_count",
    "mask.sum().clamp(min=1)",
    "(mask.sum() + 1)",
    "1 was added to the count, which keeps it from being 0 and makes every other mean too small. "
    "Change the count only where it is 0.",
)


@masked_mean.wrong(
    "The value is right, but no gradient reaches x: the graph is cut, as by .detach(), .item() or "
    "torch.tensor(...) around the result."
)
def detached(x: Tensor, mask: Tensor) -> Tensor:
    return reference.masked_mean(x, mask).detach()


@masked_mean.wrong(
    "x was changed in place, as by x[~mask] = 0 or masked_fill_: write into a new tensor."
)
def in_place(x: Tensor, mask: Tensor) -> Tensor:
    x[~mask] = 0.0
    return x.sum() / _count(mask)


masked_mean.changed(
    "cast_to_float32",
    "mask, x, 0.0",
    "mask, x.float(), 0.0",
    "float64 came in and float32 went out: keep the dtype you are given.",
)


@masked_mean.wrong(
    "Right except with no real token: the 0 you return there is a fresh float32 tensor. "
    "x.new_zeros(()) has the dtype and the device of x."
)
def zero_of_another_dtype(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean() if mask.any() else torch.tensor(0.0)


@masked_mean.wrong(
    "This is the median of the real entries. Their mean is their sum by their number."
)
def median_of_the_real(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].median() if mask.any() else x.new_zeros(())


_COUNT, _SUM = "mask.sum().clamp(min=1)", "torch.where(mask, x, 0.0).sum()"
for _name, _line, _instead, _says in (
    (
        "padding_summed_too",
        "torch.where(mask, x, 0.0)",
        "x",
        "The count is that of real tokens, but the sum has padding in it: sum only where the mask "
        "is True.",
    ),
    (
        "one_mean_a_place",
        f"{_SUM} / {_COUNT}",
        "torch.where(mask, x, 0.0).sum(0) / mask.sum(0).clamp(min=1)",
        "One mean for each place in time came back. The mean is over the whole batch: one number.",
    ),
    (
        "one_sum_a_row",
        f"{_SUM} / {_COUNT}",
        "torch.where(mask, x, 0.0).sum(-1)",
        "One sum for each row came back. Sum over the whole batch, and divide by the count.",
    ),
    (
        "one_mean_a_row_over_all_places",
        f"{_SUM} / {_COUNT}",
        "torch.where(mask, x, 0.0).mean(-1)",
        "One number for each row came back, each a mean over all its places. The mean is over the "
        "real tokens of the whole batch: one number.",
    ),
    (
        "zeroed_alone",
        f"{_SUM} / {_COUNT}",
        "torch.where(mask, x, 0.0)",
        "This is x with zeros in the padding: it is yet to be summed, and divided by the count.",
    ),
    (
        "selected_alone",
        f"{_SUM} / {_COUNT}",
        "x[mask]",
        "These are the real entries themselves: they are yet to be averaged.",
    ),
    (
        "divided_by_the_length",
        _COUNT,
        "mask.shape[1]",
        "The sum is right, but it was divided by the length of a row. Divide by the number of "
        "True in the whole mask.",
    ),
    (
        "divided_by_the_longest_row",
        _COUNT,
        "(len(mask) * mask.sum(1).max().clamp(min=1))",
        "The sum was divided as if every row had as many real tokens as the longest one. Divide "
        "by the number of True.",
    ),
    (
        "padding_averaged",
        f"return {_SUM} / {_COUNT}",
        "return x[~mask].mean()",
        "The mask is turned round: this is the mean of the padding, nan where there is none. True "
        "counts.",
    ),
    (
        "divided_by_the_padding",
        _COUNT,
        "(~mask).sum().clamp(min=1)",
        "The sum is right, but it was divided by the number of places of padding. Divide by the "
        "number of True.",
    ),
    (
        "deviation_of_the_real",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].std() if mask.sum() > 1 else x[mask].sum()",
        "This is the standard deviation of the real entries: their mean is asked.",
    ),
    (
        "largest_of_the_real",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].max() if mask.any() else x.new_zeros(())",
        "This is the largest of the real entries: their mean is asked.",
    ),
    (
        "none_for_nothing",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else None",
        "With no real token, None came back: is a return missing there? The mean of nothing is 0.",
    ),
    (
        "mean_by_share",
        f"{_SUM} / {_COUNT}",
        "x.mean() * mask.to(x.dtype).mean()",
        "This is the mean of everything, times the share of real tokens. Padding must not reach "
        "the sum, and the count is that of real tokens.",
    ),
    (
        "zeros_not_counted",
        _COUNT,
        "(torch.where(mask, x, 0.0) != 0).sum().clamp(min=1)",
        "Real tokens whose x is 0 were not counted. Count the True of the mask, not the numbers "
        "that are not 0.",
    ),
    (
        "plain_whole_zero",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else 0",
        "Right except with no real token: the 0 you return there is a plain Python integer, and no "
        "tensor. x.new_zeros(()) is one of the dtype and the device of x.",
    ),
    (
        "zero_of_whole_numbers",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else torch.tensor(0)",
        "Right except with no real token: the 0 you return there is a tensor of whole numbers. "
        "x.new_zeros(()) has the dtype and the device of x.",
    ),
    (
        "zero_from_padding",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else (x * 0).sum()",
        "With no real token, your 0 is made from x itself, and 0 · inf is nan: padding reached it. "
        "Make it without reading x, as x.new_zeros(()) does.",
    ),
    (
        "nothing_refused",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else int('no real token')",
        "With no real token an exception was raised. The mean of nothing is 0 here: return that.",
    ),
    (
        "nothing_divides_by_zero",
        f"return {_SUM} / {_COUNT}",
        "return x[mask].mean() if mask.any() else 0 / 0",
        "With no real token, Python divided by zero and raised. The mean of nothing is 0 here: "
        "keep the count from being 0.",
    ),
    (
        "cast_to_float64",
        "mask, x, 0.0",
        "mask, x.double(), 0.0",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    masked_mean.changed(_name, _line, _instead, _says)


masked_mean.changed(
    "divided_by_the_root",
    "mask.sum().clamp(min=1)",
    "mask.sum().clamp(min=1).to(x.dtype).sqrt()",
    "The sum was divided by the root of the count: divide by the count.",
)


@masked_mean.right
def indexed(x: Tensor, mask: Tensor) -> Tensor:
    return x[mask].mean() if mask.any() else x.new_zeros(())


@masked_mean.right
def selected(x: Tensor, mask: Tensor) -> Tensor:
    return torch.masked_select(x, mask).sum() / max(int(mask.sum()), 1)


@masked_mean.right
def copied_then_cleared(x: Tensor, mask: Tensor) -> Tensor:
    x = x.clone()
    x[~mask] = 0
    return x.sum() / _count(mask)


@masked_mean.right
def token_by_token(x: Tensor, mask: Tensor) -> Tensor:
    total, count = x.new_zeros(()), 0
    for row, real in zip(x, mask, strict=True):
        for value, counts in zip(row, real, strict=True):
            if counts:
                total, count = total + value, count + 1
    return total / count if count else total


@masked_mean.right
def count_kept_from_zero(x: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, x, 0.0).sum() / (mask.sum() + 1e-8)  # whose float32 is the count


@masked_mean.right
def nan_left_out(x: Tensor, mask: Tensor) -> Tensor:
    return x.masked_fill(~mask, NAN).nanmean() if mask.any() else x.new_zeros(())


@masked_mean.right
def weighted_row_means(x: Tensor, mask: Tensor) -> Tensor:
    lengths = mask.sum(-1)
    means = torch.where(mask, x, torch.zeros_like(x)).sum(-1) / lengths.clamp(min=1)
    return torch.dot(means, lengths.to(x.dtype)) / _count(mask)
