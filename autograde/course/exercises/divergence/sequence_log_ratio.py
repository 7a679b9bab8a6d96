"""Add up, over a response's real tokens, how much likelier the policy makes each than ref does."""

from collections.abc import Iterator

import torch
from torch import Tensor

from helpers.cases import GRADIENT, RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import BOTH_LOGP, INF, NAN, RARE

PADDING = "padding"

sequence_log_ratio = Exercise(
    "sequence_log_ratio",
    parts={VALUES: 2, GRADIENT: 1, PADDING: 1, RARE: 1, RULES: 1},
    hints=(
        "The log-probability of a response is the sum of those of its tokens, and so is the "
        "difference of two: one number for each row.",
        "Subtract token by token, let nothing from padding through, then sum over time. "
        "ref_logp is a constant.",
        "torch.where(mask, …, 0.0) picks what is real; a product with the mask would keep the NaN "
        "or inf that may stand in the padding. Then .sum(dim=1).",
    ),
)


def _scored(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> dict[str, Tensor]:
    return {"logp": logp, "ref_logp": ref_logp, "mask": mask}


@sequence_log_ratio.by_hand
def _() -> Iterator[Case]:
    policy, ref = tensor([0.75, 0.25]).log(), tensor([0.5, 0.5]).log()
    two = _scored(policy, ref, policy < 0)
    yield Case("two tokens at (3/4, 1/4) against (1/2, 1/2)", two, grad=BOTH_LOGP)
    one = _scored(tensor([-3.0]), tensor([-1.0]), torch.tensor([[True]]))
    yield Case("one row of one token", one, grad=BOTH_LOGP)
    long = _scored(torch.full((1, 60), -2.5), torch.full((1, 60), -2.0), torch.ones(1, 60).bool())
    yield Case("60 tokens, half a nat rarer each: −30", long, grad=BOTH_LOGP)
    # Further apart than any that are drawn, so that a bound shows here or never among the values.
    near, far = torch.full((1, 10), -0.5), torch.full((1, 10), -3.5)
    apart = _scored(torch.cat([near, far]), torch.cat([far, near]), torch.ones(2, 10).bool())
    yield Case("10 tokens, 3 nats likelier or rarer each: 30 and −30", apart, grad=BOTH_LOGP)
    yield from _rare_tokens()
    policy = tensor([-1.0, -2.0, -0.5], [-0.5, -1.0, -3.0])
    ref = tensor([-2.0, -1.5, -0.5], [-1.0, -1.0, -1.0])
    rows = _scored(policy, ref, torch.tensor([[True, True, True], [True, True, False]]))
    yield Case("rows of 3 and 2 tokens", rows, grad=BOTH_LOGP)
    gaps = _scored(policy, ref, torch.tensor([[False, True, False], [True, False, True]]))
    yield Case("padding in front and in the middle", gaps, PADDING, ("logp",))
    policy = tensor([-1.0, NAN, INF], [-0.5, -INF, 0.0], [NAN, NAN, -1.0])
    ref = tensor([-2.0, 0.0, -1.0], [-1.0, -INF, NAN], [-INF, INF, NAN])
    poison = _scored(policy, ref, torch.tensor([[True, False, False]] * 2 + [[False] * 3]))
    yield Case("nan and inf in the padding, and a row of padding alone", poison, PADDING, ("logp",))


def _rare_tokens() -> Iterator[Case]:
    for title, policy, ref in (
        ("log-ratios 76 and −79: −3", tensor([-1.0, -80.0]), tensor([-77.0, -1.0])),
        ("two tokens at 38 nats each: 76", tensor([-1.0, -2.0]), tensor([-39.0, -40.0])),
        ("two tokens at −38 nats each: −76", tensor([-39.0, -40.0]), tensor([-1.0, -2.0])),
    ):
        yield Case(title, _scored(policy, ref, policy < 0), RARE, BOTH_LOGP)
    never = _scored(tensor([-1.0, -2.0]), tensor([-INF, -1.0]), torch.tensor([[True, True]]))
    yield Case("a real token that ref never writes: +inf", never, RARE)


@sequence_log_ratio.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(mask: Tensor, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
        logp, ref_logp = (draw.logp(*mask.shape, dtype=dtype) for _ in range(2))
        return _scored(logp, ref_logp, mask)

    yield Case("5 rows of up to 7 tokens", inputs(draw.lengths_mask(5, 7)), grad=BOTH_LOGP)
    yield Case("4 rows of up to 4 tokens", inputs(draw.lengths_mask(4, 4)), grad=BOTH_LOGP)
    yield Case("float64", inputs(draw.lengths_mask(3, 5), torch.float64), RULES, BOTH_LOGP)
    yield Case("no gradient asked", inputs(draw.lengths_mask(3, 5)), RULES)
    yield Case("scattered padding", inputs(draw.scattered_mask(4, 6)), PADDING, ("logp",))
    some = inputs(draw.scattered_mask(3, 6))
    some["logp"][~some["mask"]], some["ref_logp"][~some["mask"]] = NAN, -INF
    yield Case("scattered padding of nan and −inf", some, PADDING, ("logp",))


def _masked_gap(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    """The log-ratio of each real token and 0 elsewhere; gradients reach both."""
    return (logp - ref_logp).masked_fill(~mask, 0.0)


sequence_log_ratio.changed(
    "ref_minus_policy",
    "logp - ref_logp.detach()",
    "ref_logp.detach() - logp",
    "The sign is turned: this is log ref − log policy, the price of staying.",
)
sequence_log_ratio.changed(
    "padding_counted",
    "torch.where(mask, gap, 0.0).sum(dim=1)",
    "gap.sum(dim=1)",
    "Padding is in the sum: let only tokens through where the mask is True.",
)
sequence_log_ratio.changed(
    "mask_inverted",
    "torch.where(mask, gap, 0.0)",
    "torch.where(mask, 0.0, gap)",
    "The mask is turned round: padding was summed and real tokens were left out.",
)
sequence_log_ratio.changed(
    "multiplied_by_the_mask",
    "torch.where(mask, gap, 0.0)",
    "(gap * mask)",
    "The mask was multiplied in, and 0 · inf and 0 · NaN are NaN: padding reached the sum. Choose "
    "with torch.where in place of multiplying.",
)
sequence_log_ratio.changed(
    "padding_taken_to_be_last",
    "where(mask, gap",
    "where(torch.arange(mask.shape[1]) < mask.sum(1, keepdim=True), gap",
    "Padding was taken to stand last: the first n tokens were summed, n being the row's number of "
    "real tokens. Use the mask itself, which may be True anywhere.",
)
sequence_log_ratio.changed(
    "mean_over_tokens",
    ".sum(dim=1)",
    ".sum(dim=1) / mask.sum(dim=1).clamp(min=1)",
    "This is the mean over real tokens, another formula that libraries have too. Asked is the "
    "sum, the logarithm of a product: a long response that drifts at every token pays for each.",
)
sequence_log_ratio.changed(
    "summed_over_the_batch",
    ".sum(dim=1)",
    ".sum()",
    "One number came back for the whole batch. Sum over time alone: one price per row.",
)
sequence_log_ratio.changed(
    "summed_over_rows",
    ".sum(dim=1)",
    ".sum(dim=0)",
    "The sum runs over the batch. Time is the second axis: dim=1.",
)
sequence_log_ratio.changed(
    "reference_moves",
    "ref_logp.detach()",
    "ref_logp",
    "A gradient reaches ref_logp, which is a constant: detach it.",
)
sequence_log_ratio.changed(
    "everything_detached",
    ".sum(dim=1)",
    ".sum(dim=1).detach()",
    "No gradient reaches logp: the policy's side was cut off too, as by .detach() or no_grad().",
)
sequence_log_ratio.changed(
    "clamped_at_zero",
    ".sum(dim=1)",
    ".sum(dim=1).clamp(min=0.0)",
    "Negative prices were raised to 0. One response may be rarer under the policy than under the "
    "reference; only the mean over the policy's responses is never negative.",
)
sequence_log_ratio.changed(
    "absolute_values",
    "torch.where(mask, gap, 0.0)",
    "torch.where(mask, gap, 0.0).abs()",
    "Each token's log-ratio was made positive before the sum. Signs matter: a token that became "
    "rarer pays back for one that became likelier.",
)
sequence_log_ratio.changed(
    "ratio_of_probabilities",
    ".sum(dim=1)",
    ".sum(dim=1).exp()",
    "This is the ratio of the two probabilities, exp of the price. The price is its logarithm.",
)
sequence_log_ratio.changed(
    "weighted_by_the_policy",
    "torch.where(mask, gap, 0.0)",
    "(torch.where(mask, logp, 0.0).exp() * torch.where(mask, gap, 0.0))",
    "Each token's log-ratio was weighted by the policy's probability. The tokens were drawn from "
    "the policy, so the weight is in how often they turn up already: sum the log-ratios alone.",
)
sequence_log_ratio.changed(
    "difference_of_probabilities",
    "logp - ref_logp.detach()",
    "logp.exp() - ref_logp.detach().exp()",
    "Probabilities were subtracted, token by token. Those of a response multiply, so it is their "
    "logarithms that add up.",
)
sequence_log_ratio.changed(
    "shifted_again",
    "torch.where(mask, gap, 0.0)",
    "torch.where(mask, gap, 0.0)[:, 1:]",
    "The first token was dropped. Log-probabilities that come in are aligned already; the shift by "
    "one belongs to token_log_probs.",
)


@sequence_log_ratio.wrong(
    "Both logp and ref_logp were changed in place, as by x[~mask] = 0 or masked_fill_: compute new "
    "tensors."
)
def padding_zeroed_in_place(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    logp[~mask], ref_logp[~mask] = 0.0, 0.0
    return (logp - ref_logp.detach()).sum(1)


for _bound in (1, 5, 10, 20):
    for _name, _says, _line in (
        ("log_ratio", "Each token's log-ratio", "torch.where(mask, gap, 0.0)"),
        ("price", "The price of a response", ".sum(dim=1)"),
    ):
        for _how, _clamp, _end in (
            ("clamped", f".clamp(-{_bound}, {_bound})", f"clamped to ±{_bound}"),
            ("cut_off", f".clamp(max={_bound})", f"cut off at {_bound}"),
        ):
            sequence_log_ratio.changed(
                f"{_name}_{_how}_at_{_bound}",
                _line,
                _line + _clamp,
                f"{_says} was {_end}. What the reference hardly ever writes costs more, and that "
                "is the response you want to see: the contract has no bound.",
            )


sequence_log_ratio.changed(
    "infinity_made_finite",
    "torch.where(mask, gap, 0.0)",
    "(gap.nan_to_num() * mask)",
    "A large finite number was made of +inf, as by nan_to_num: it is the price of a token that the "
    "reference never writes. Choose by the mask, with torch.where, not by the value.",
)
sequence_log_ratio.changed(
    "infinity_left_out",
    "torch.where(mask, gap, 0.0)",
    "(gap.nan_to_num(0.0, 0.0, 0.0) * mask)",
    "Whatever is not finite was set to 0, on real tokens too: one that the reference never writes "
    "costs +inf, not nothing. Choose by the mask, with torch.where, not by the value.",
)
sequence_log_ratio.changed(
    "sum_of_ratios",
    "torch.where(mask, gap, 0.0)",
    "torch.where(mask, gap, -torch.inf).exp()",
    "The tokens' ratios were added up. Probabilities of a response multiply: add the logarithms.",
)
sequence_log_ratio.changed(
    "negative_tokens_left_out",
    "torch.where(mask, gap, 0.0)",
    "torch.where(mask, gap, 0.0).clamp(min=0.0)",
    "Log-ratios below 0 were raised to 0 before the sum. Signs matter: a token that became rarer "
    "pays back for one that became likelier.",
)
sequence_log_ratio.changed(
    "cast_to_float32",
    "logp - ref_logp.detach()",
    "logp.float() - ref_logp.detach().float()",
    "The answer is float32 whatever came in: keep the dtype of the inputs.",
)


@sequence_log_ratio.wrong(
    "These are sums of k2, half the squared log-ratio. The penalty here is the log-ratio of the "
    "whole response: add the differences up as they are."
)
def sum_of_k2(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).square().sum(-1) / 2


@sequence_log_ratio.wrong(
    "These are sums of k3, which is never below 0. The penalty here is the log-ratio of the whole "
    "response: add the differences up as they are, signs included."
)
def sum_of_k3(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    gap = -_masked_gap(logp, ref_logp.detach(), mask)
    return (torch.expm1(gap) - gap).sum(-1)


_REAL = "torch.where(mask, gap, 0.0)"
_GAP = "logp - ref_logp.detach()"
for _name, _line, _instead, _says in (
    (
        "axis_kept",
        ".sum(dim=1)",
        ".sum(dim=1, keepdim=True)",
        "The time axis is still there, with length 1, as keepdim leaves it: one number a row.",
    ),
    (
        "running_sum",
        ".sum(dim=1)",
        ".cumsum(dim=1)",
        "The sums so far came back, one for each token. Only the whole response's is wanted.",
    ),
    (
        "mean_of_the_whole_batch",
        f"{_REAL}.sum(dim=1)",
        f"{_REAL}.sum() / mask.sum().clamp(min=1)",
        "One number came back, the mean over all real tokens. Sum over time alone: one price per "
        "row.",
    ),
    (
        "averaged_over_responses",
        ".sum(dim=1)",
        ".sum(dim=1).mean()",
        "One number came back, the mean price of a response. Return one price per row.",
    ),
    (
        "last_place_alone",
        f"{_REAL}.sum(dim=1)",
        f"{_REAL}[:, -1]",
        "Only the last place's log-ratio came back, 0 where it is padding: sum over all real "
        "tokens.",
    ),
    (
        "last_real_token_alone",
        f"{_REAL}.sum(dim=1)",
        f"{_REAL}.gather(1, (torch.arange(mask.shape[1]) * mask).argmax(1, keepdim=True))[:, 0]",
        "Only the last real token's log-ratio came back: sum over all real tokens of the row.",
    ),
    (
        "last_place_dropped",
        _REAL,
        f"{_REAL}[:, :-1]",
        "The last place was dropped. All real tokens count, and what comes in is aligned already.",
    ),
    (
        "only_the_reference_masked",
        f"{_REAL}.sum(dim=1)",
        "logp.sum(dim=1) - torch.where(mask, ref_logp.detach(), 0.0).sum(dim=1)",
        "Padding was left out of ref_logp alone: logp's is in the sum.",
    ),
    (
        "only_the_policy_masked",
        f"{_REAL}.sum(dim=1)",
        "torch.where(mask, logp, 0.0).sum(dim=1) - ref_logp.detach().sum(dim=1)",
        "Padding was left out of logp alone: ref_logp's is in the sum.",
    ),
    (
        "policy_detached",
        _GAP,
        "logp.detach() - ref_logp",
        "The wrong side was detached: logp is differentiable, ref_logp is the constant.",
    ),
    (
        "selected_alone",
        f"{_REAL}.sum(dim=1)",
        "gap[mask]",
        "These are the log-ratios of all real tokens in one row: sum those of each response.",
    ),
    (
        "through_probabilities",
        f"{_REAL}.sum(dim=1)",
        "(torch.where(mask, logp, 0.0).sum(dim=1).exp()"
        " / torch.where(mask, ref_logp.detach(), 0.0).sum(dim=1).exp()).log()",
        "The response's probabilities were formed on the way, and that of a long one rounds to 0. "
        "Stay with the logarithms that came in.",
    ),
    (
        "turned_ratio_of_probabilities",
        f"{_REAL}.sum(dim=1)",
        f"(-{_REAL}.sum(dim=1)).exp()",
        "This is the ratio ref/policy of the response's probabilities. The price is log policy − "
        "log ref.",
    ),
    (
        "logarithm_of_summed_ratios",
        f"{_REAL}.sum(dim=1)",
        "torch.where(mask, gap, -torch.inf).logsumexp(1)",
        "This is the logarithm of the sum of the tokens' ratios. Probabilities of a response "
        "multiply: add the logarithms.",
    ),
    (
        "quotient_of_sums",
        f"{_REAL}.sum(dim=1)",
        "torch.where(mask, logp, 0.0).sum(dim=1)"
        " / torch.where(mask, ref_logp.detach(), 0.0).sum(dim=1)",
        "The log-probabilities of the response were divided. The logarithm of a ratio is their "
        "difference.",
    ),
    (
        "quotients_summed",
        _GAP,
        "logp / ref_logp.detach()",
        "The tokens' log-probabilities were divided. The logarithm of a ratio is their difference.",
    ),
    (
        "logarithms_added",
        _GAP,
        "logp + ref_logp.detach()",
        "The log-probabilities were added: that of a ratio is their difference.",
    ),
    (
        "logarithms_multiplied",
        _GAP,
        "logp * ref_logp.detach()",
        "The log-probabilities were multiplied: subtract them.",
    ),
    (
        "difference_of_logsumexp",
        f"{_REAL}.sum(dim=1)",
        "logp.masked_fill(~mask, -torch.inf).logsumexp(1)"
        " - ref_logp.detach().masked_fill(~mask, -torch.inf).logsumexp(1)",
        "logsumexp adds the tokens' probabilities up. Those of a response multiply: add the "
        "logarithms.",
    ),
    (
        "squares_summed",
        _REAL,
        f"{_REAL}.square()",
        "The squared log-ratios were added up: add the log-ratios as they are.",
    ),
    (
        "whole_squared",
        ".sum(dim=1)",
        ".sum(dim=1).square() / 2",
        "This is half the square of the response's log-ratio: the log-ratio itself is wanted.",
    ),
    (
        "ratios_less_1_summed",
        _REAL,
        f"{_REAL}.expm1()",
        "The tokens' ratios, less 1, were added up. Add the logarithms of the ratios.",
    ),
    (
        "largest_token",
        ".sum(dim=1)",
        ".amax(dim=1)",
        "This is the largest log-ratio of each row: sum over its real tokens.",
    ),
    (
        "policy_forgotten",
        _GAP,
        "-ref_logp.detach() + 0 * logp",
        "This is −log π_ref(y∣x) alone: the policy's log-probability is missing.",
    ),
    (
        "policy_against_itself",
        "ref_logp.detach()",
        "logp.detach()",
        "This is 0 whatever has moved, as when the policy is compared with itself: ref_logp is not "
        "in it.",
    ),
    (
        "logp_changed_in_place",
        _GAP,
        "logp.masked_fill_(~mask, 0.0) - ref_logp.detach()",
        "logp was changed in place, as by masked_fill_ or −=: compute a new tensor.",
    ),
    (
        "ref_logp_changed_in_place",
        _GAP,
        "logp - ref_logp.detach().masked_fill_(~mask, 0.0)",
        "ref_logp was changed in place, which a tensor from .detach() shares with it: compute a "
        "new one.",
    ),
    (
        "cast_to_float64",
        _GAP,
        "logp.double() - ref_logp.detach().double()",
        "float32 came in and float64 went out: keep the dtype you are given.",
    ),
):
    sequence_log_ratio.changed(_name, _line, _instead, _says)


sequence_log_ratio.changed(
    "reference_forgotten",
    "logp - ref_logp.detach()",
    "logp",
    "This is log π_θ(y∣x) alone: the reference's is still to be subtracted.",
)


@sequence_log_ratio.wrong(
    "Each row's sum was divided by its length in places, padding included. The log-probability of "
    "a response is a sum: divide by nothing."
)
def divided_by_all_places(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp, ref_logp.detach(), mask).mean(-1)


@sequence_log_ratio.right
def loop_over_tokens(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    prices = []
    for row in range(len(logp)):
        price = logp.new_zeros(())
        for t in range(logp.shape[1]):
            if mask[row, t]:
                price = price + logp[row, t] - ref_logp[row, t].item()
        prices.append(price)
    return torch.stack(prices)


@sequence_log_ratio.right
def difference_of_two_sums(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    sums = [torch.where(mask, x, torch.zeros_like(x)).sum(-1) for x in (logp, ref_logp.detach())]
    return sums[0] - sums[1]


@sequence_log_ratio.right
def scattered_to_rows(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    rows = mask.nonzero()[:, 0]
    gaps = logp[mask] - ref_logp[mask].detach()
    return torch.zeros(len(logp), dtype=logp.dtype).index_add(0, rows, gaps)


@sequence_log_ratio.right
def filled_then_einsum(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    with torch.no_grad():
        ref = ref_logp.masked_fill(~mask, 0.0)
    gaps = logp.masked_fill(~mask, 0.0) - ref
    return torch.einsum("bt,bt->b", gaps, mask.to(gaps.dtype))


@sequence_log_ratio.right
def nan_not_summed(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, logp - ref_logp.detach(), NAN).nansum(1)


@sequence_log_ratio.right
def in_double_and_back(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    return _masked_gap(logp.double(), ref_logp.detach().double(), mask).sum(1).to(logp.dtype)


@sequence_log_ratio.right
def last_of_the_running_sum(logp: Tensor, ref_logp: Tensor, mask: Tensor) -> Tensor:
    zero = torch.zeros((), dtype=logp.dtype)
    return torch.where(mask, logp - ref_logp.detach(), zero).cumsum(1)[:, -1]
