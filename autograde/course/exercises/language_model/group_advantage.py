"""Compare each response with the others to its prompt: (r − mean) / (deviation + eps)."""

import statistics
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case

from ...draw import Draw
from ...exercise import Exercise, tensor

TIES = "ties and single samples"

group_advantage = Exercise(
    "group_advantage",
    parts={VALUES: 3, TIES: 2, RULES: 1},
    hints=(
        "Each row is a group: mean and standard deviation are taken along which axis, so that each "
        "row has its own?",
        "The sample standard deviation divides by n − 1. What is 0/0, and which group has that? A "
        "single response has nothing to be compared with: its advantage is 0.",
        "keepdim=True keeps mean and deviation beside their row. For a group of one, use "
        "correction=0 in std, or return zeros; eps is added to the deviation, outside the root.",
    ),
)


@group_advantage.by_hand
def _() -> Iterator[Case]:
    def case(title: str, rewards: list, part: str = VALUES, **options: float) -> Case:
        atol = 1e-3 if part == TIES else None
        return Case(title, {"rewards": tensor(*rewards), **options}, part, atol=atol)

    yield case("rewards 1 and 3, deviation √2: −0.7071, 0.7071", [[1.0, 3.0]])
    yield case("two groups, each with its own mean", [[1.0, 3.0], [12.0, 10.0]])
    yield case("eps 1, rewards 0, 2, 4: deviation 2, so −2/3, 0, 2/3", [[0.0, 2.0, 4.0]], eps=1.0)
    yield case("eps 4, more than the deviation", [[1.0, 3.0]], eps=4.0)
    yield case("0.001 and 0.003: here eps counts", [[0.001, 0.003]])
    yield case("0 and 0.0005, far below the deviations so far", [[0.0, 0.0005]])
    yield case("means of exactly 0 and 1", [[-1.0, 1.0], [0.0, 2.0]])
    yield case("all below 0, and all above 1", [[-3.0, -1.0], [5.0, 2.0]])
    yield case("0 and 0.00001: apart, if only just", [[0.0, 0.00001]])
    alone = [[0.0] * 7 + [1.0], [1.0] * 7 + [0.0]]
    yield case("one of eight right, one of eight wrong: ±2.474 for it", alone)
    alone = [[0.0] * 119 + [1.0], [1.0] * 119 + [0.0]]
    yield case("one of 120: ±10.85 for it", alone, RULES)
    yield case("rewards of thousands", [[500.0, 0.0, 3000.0], [-500.0, 0.0, -3000.0]], RULES)
    yield case("all alike: 0", [[0.5, 0.5, 0.5, 0.5]], TIES)
    yield case("all 0: 0", [[0.0, 0.0, 0.0]], TIES)
    yield case("a tied group beside another one", [[2.0, 2.0], [1.0, 3.0]], TIES)
    yield case("one response: 0", [[3.0], [-1.0]], TIES)


@group_advantage.drawn
def _(draw: Draw) -> Iterator[Case]:
    shift = draw.normal(3, 1, scale=5.0)
    yield Case("3 groups of 5", {"rewards": draw.normal(3, 5) + shift})
    yield Case("4 groups of 4", {"rewards": draw.normal(4, 4) * 2})
    yield Case("eps 0.5", {"rewards": draw.normal(2, 6), "eps": 0.5})
    tied = draw.normal(3, 4)
    tied[1] = 0.25
    yield Case("the middle group tied", {"rewards": tied}, TIES, atol=1e-3)
    yield Case("groups of one", {"rewards": draw.normal(4, 1)}, TIES, atol=1e-3)
    yield Case("float64", {"rewards": draw.normal(3, 5, dtype=torch.float64)}, RULES)


def _gain(rewards: Tensor) -> Tensor:
    return rewards - rewards.mean(1, keepdim=True)


def _deviation(rewards: Tensor) -> Tensor:
    """Sample standard deviation of each row; 0 for a row of one."""
    freedom = max(rewards.shape[1] - 1, 1)
    return (_gain(rewards).square().sum(1, keepdim=True) / freedom).sqrt()


group_advantage.changed(
    "population_deviation",
    "max(rewards.shape[1] - 1, 1)",
    "rewards.shape[1]",
    "This is the standard deviation with n below. The sample standard deviation divides by n − 1: "
    "it is what torch.std does when it is not told otherwise.",
)
group_advantage.changed(
    "mean_alone",
    "gain / (spread + eps)",
    "gain",
    "Only the mean was taken away. Divide by the standard deviation of the group too.",
)
group_advantage.changed(
    "mean_forgotten",
    "return gain /",
    "return rewards /",
    "The group's mean was not taken away: all responses get pushed one way.",
)


@group_advantage.wrong(
    "Mean and deviation were taken over the whole batch. Each row is a group of responses to one "
    "prompt, and is compared with itself: dim=1."
)
def over_the_batch(rewards, eps=1e-4):
    gain = rewards - rewards.mean()
    return gain / (gain.square().sum().div(max(gain.numel() - 1, 1)).sqrt() + eps)


@group_advantage.wrong(
    "Each group has its own mean, but the deviation is that of the whole batch. Take it along the "
    "samples too: dim=1."
)
def deviation_of_the_batch(rewards, eps=1e-4):
    centre = rewards - rewards.mean()
    return _gain(rewards) / (centre.square().sum().div(max(centre.numel() - 1, 1)).sqrt() + eps)


@group_advantage.wrong(
    "The wrong axis: responses to different prompts were compared (dim=0). The samples of a group "
    "lie along dim=1."
)
def along_the_groups(rewards, eps=1e-4):
    return reference.group_advantage(rewards.T.contiguous(), eps).T


@group_advantage.wrong(
    "mean(0) and std(0) compare responses to different prompts, and with one prompt alone std(0) "
    "is nan. The samples of a group lie along dim=1: keepdim=True keeps both beside their row."
)
def along_the_first_axis(rewards, eps=1e-4):
    gain = rewards - rewards.mean(0)
    variance = gain.square().sum(0) / torch.tensor(rewards.shape[0] - 1)
    return gain / (variance.sqrt() + eps)


@group_advantage.wrong(
    "keepdim=True is missing: mean and deviation of the groups lie along the samples, one to each "
    "column, or do not fit at all. Keep them beside their row."
)
def keepdim_forgotten(rewards, eps=1e-4):
    return (rewards - rewards.mean(1)) / (_deviation(rewards).squeeze(1) + eps)


group_advantage.changed(
    "variance_used", ".sqrt()", "", "The variance was used: take its root, the standard deviation."
)
group_advantage.changed(
    "eps_under_the_root",
    "(spread + eps)",
    "(spread.square() + eps).sqrt()",
    "eps stands under the root. It is added to the standard deviation, after the root.",
)
group_advantage.changed(
    "eps_as_a_bound",
    "(spread + eps)",
    "spread.clamp(min=eps)",
    "eps was used as a lower bound of the deviation. It is added to it, always.",
)
group_advantage.changed(
    "eps_not_used",
    "spread + eps",
    "spread + 1e-8",
    "eps is missing, or another number stands in its place: add the argument to the deviation.",
)
group_advantage.changed(
    "eps_written_in",
    "spread + eps",
    "spread + 1e-4",
    "eps = 1e-4 was written into the formula: when another eps is given, it is not used.",
)
group_advantage.changed(
    "another_default",
    "eps: float = 1e-4",
    "eps: float = 1e-8",
    "eps is 1e-4 when it is not given: keep the default of the signature.",
)
group_advantage.changed(
    "eps_forgotten",
    "(spread + eps)",
    "spread",
    "A group without spread, all alike, is 0/0 = nan here: add eps to the deviation, before "
    "dividing.",
)
group_advantage.changed(
    "deviation_of_one",
    "max(rewards.shape[1] - 1, 1)",
    "torch.tensor(rewards.shape[1] - 1)",
    "A group of one gets nan: its sample standard deviation is 0/0, and nan + eps is nan. Such a "
    "group gets 0.",
)


@group_advantage.wrong(
    "A group of one kept its reward. With nothing to compare it with, its advantage is 0."
)
def single_reward_kept(rewards, eps=1e-4):
    return rewards if rewards.shape[1] == 1 else reference.group_advantage(rewards, eps)


@group_advantage.wrong(
    "A tied group kept its rewards. Where all responses are equally good, there is nothing to "
    "learn: 0."
)
def tied_rewards_kept(rewards, eps=1e-4):
    tied = _deviation(rewards) == 0
    return torch.where(tied, rewards, reference.group_advantage(rewards, eps))


group_advantage.changed(
    "own_reward_left_out",
    "return gain /",
    "return gain * rewards.shape[1] / freedom /",
    "Each reward was compared with the mean of the others, its own left out. That is another "
    "baseline, by n/(n − 1) larger: here the mean is of the whole group.",
)
group_advantage.changed(
    "median_taken_away",
    "return gain /",
    "return (rewards - rewards.quantile(0.5, dim=1, keepdim=True)) /",
    "The middle reward (median) was taken away. The baseline is the mean.",
)
group_advantage.changed(
    "divided_by_the_range",
    "(spread + eps)",
    "(rewards.amax(1, keepdim=True) - rewards.amin(1, keepdim=True) + eps)",
    "The spread is the range, largest minus smallest. It is the sample standard deviation.",
)
group_advantage.changed(
    "mean_distance",
    "(spread + eps)",
    "(gain.abs().mean(1, keepdim=True) + eps)",
    "The spread is the mean distance from the mean. It is the sample standard deviation: squares, "
    "divided by n − 1, and the root.",
)
group_advantage.changed(
    "error_of_the_mean",
    "spread + eps",
    "spread / rewards.shape[1] ** 0.5 + eps",
    "The deviation is that of the mean: it was divided by √n. The spread of the rewards is wanted.",
)
group_advantage.changed(
    "advantage_turned",
    "return gain",
    "return -gain",
    "The sign is turned: a better response must have the larger advantage.",
)
group_advantage.changed(
    "advantage_cast_to_float32",
    "rewards - rewards[:, :1]",
    "rewards.float() - rewards[:, :1].float()",
    "float64 came in and float32 went out: keep the dtype you are given.",
)


@group_advantage.wrong(
    "rewards was changed in place: the caller's tensor holds something else. Compute a new one."
)
def rewards_changed_in_place(rewards, eps=1e-4):
    found = reference.group_advantage(rewards, eps)
    rewards -= rewards.mean(1, keepdim=True)
    return found


@group_advantage.wrong(
    "This is a layer norm: it divides by the population's deviation, with eps under the root. "
    "Divide by the sample's, n − 1 under the sum, plus eps."
)
def layer_norm_taken(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return F.layer_norm(rewards, rewards.shape[-1:], eps=eps)


@group_advantage.wrong(
    "The rewards were stretched to lie between 0 and 1. An advantage says how far a reward is from "
    "the group's mean: below it, it is negative."
)
def stretched_to_one(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    least, most = rewards.amin(-1, keepdim=True), rewards.amax(-1, keepdim=True)
    return (rewards - least) / (most - least + eps)


@group_advantage.wrong(
    "The rewards went through a softmax: weights that sum to 1. An advantage is (r − mean) / (std "
    "+ eps), negative below the mean."
)
def softmax_of_the_group(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return rewards.softmax(-1)


@group_advantage.wrong(
    "The best reward was taken away in place of the group's mean, and nothing was divided by the "
    "deviation."
)
def behind_the_best(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    return rewards - rewards.amax(-1, keepdim=True)


group_advantage.changed(
    "cut_off_at_one",
    "gain / (spread + eps)",
    "(gain / (spread + eps)).clamp(-1, 1)",
    "The advantages were cut off at ±1: there is no bound.",
)


@group_advantage.wrong(
    "A group whose mean is 0 or 1 got 0, as if all of it were wrong or all right. Rewards need not "
    "be 0 or 1: a group is tied where all its rewards are alike."
)
def nothing_where_the_mean_is_0_or_1(rewards: Tensor, eps: float = 1e-4) -> Tensor:
    mean = rewards.mean(1, keepdim=True)
    found = reference.group_advantage(rewards, eps)
    return found.masked_fill((mean == 0) | (mean == 1), 0.0)


group_advantage.changed(
    "small_spreads_dropped",
    "gain / (spread + eps)",
    "(gain / (spread + eps)).masked_fill(spread < 1e-4, 0.0)",
    "Groups whose deviation is small got 0. Only a tied group has nothing to teach: eps takes care "
    "of the small deviations.",
)


def _one_is_0(rewards: Tensor, found: Tensor) -> Tensor:
    return found if rewards.shape[1] > 1 else torch.zeros_like(rewards)


@group_advantage.wrong(
    "The group's mean was not taken away: the rewards themselves were divided by the deviation."
)
def mean_forgotten_but_for_one(rewards, eps=1e-4):
    return _one_is_0(rewards, rewards / (_deviation(rewards) + eps))


@group_advantage.wrong(
    "eps is missing: rewards that are all alike are then divided by 0, and small deviations by too "
    "little. Add eps to the deviation."
)
def eps_forgotten_but_for_one(rewards, eps=1e-4):
    return _one_is_0(rewards, _gain(rewards) / _deviation(rewards))


@group_advantage.wrong(
    "Only the mean was divided by the deviation: division comes before subtraction. Put "
    "(r − mean) into parentheses."
)
def mean_alone_divided(rewards, eps=1e-4):
    mean = rewards.mean(1, keepdim=True)
    return _one_is_0(rewards, rewards - mean / (_deviation(rewards) + eps))


@group_advantage.wrong(
    "eps was added to the quotient: division comes before addition. Put (std + eps) into "
    "parentheses."
)
def eps_added_to_the_quotient(rewards, eps=1e-4):
    return _one_is_0(rewards, _gain(rewards) / _deviation(rewards) + eps)


@group_advantage.wrong(
    "Each reward was compared with the mean of the others, and not divided (RLOO's baseline): "
    "not wrong in itself, but not what is asked. Take the mean of the whole group, and divide."
)
def others_taken_away(rewards, eps=1e-4):
    n = rewards.shape[1]
    return _one_is_0(rewards, _gain(rewards) * n / max(n - 1, 1))


@group_advantage.wrong(
    "The group's best reward was taken away, so that no advantage is above 0. The baseline is the "
    "mean."
)
def best_taken_away(rewards, eps=1e-4):
    return (rewards - rewards.amax(1, keepdim=True)) / (_deviation(rewards) + eps)


@group_advantage.wrong(
    "The group's least reward was taken away, so that no advantage is below 0. The baseline is the "
    "mean."
)
def least_taken_away(rewards, eps=1e-4):
    return (rewards - rewards.amin(1, keepdim=True)) / (_deviation(rewards) + eps)


@group_advantage.wrong(
    "The deviation is the root of the sum of squares, a norm: inside the root, divide by n − 1."
)
def norm_of_the_group(rewards, eps=1e-4):
    gain = _gain(rewards)
    return gain / (gain.norm(dim=1, keepdim=True) + eps)


@group_advantage.wrong(
    "eps has no effect: it is added to every deviation, not only kept for groups without spread."
)
def eps_forgotten_but_for_ties(rewards, eps=1e-4):
    spread = _deviation(rewards)
    return torch.where(spread > 0, _gain(rewards) / spread, 0.0)


@group_advantage.wrong(
    "eps was taken from the deviation. Add it: it is to keep what is below from being 0."
)
def eps_subtracted(rewards, eps=1e-4):
    return _gain(rewards) / (_deviation(rewards) - eps)


@group_advantage.wrong("The deviation was multiplied in. Divide by it.")
def multiplied_by_the_deviation(rewards, eps=1e-4):
    return _gain(rewards) * (_deviation(rewards) + eps)


@group_advantage.wrong(
    "The rewards were stretched to lie between −1 and 1. Take away the group's mean, and "
    "divide by its standard deviation."
)
def stretched_from_minus_one(rewards, eps=1e-4):
    least, most = rewards.amin(-1, keepdim=True), rewards.amax(-1, keepdim=True)
    return 2 * (rewards - least) / (most - least + eps) - 1


@group_advantage.wrong(
    "Each group was scaled to a vector of length 1, as F.normalize does. Divide by the "
    "standard deviation plus eps."
)
def length_of_one(rewards, eps=1e-4):
    return F.normalize(_gain(rewards), dim=1, eps=eps)


@group_advantage.right
def with_torch_std(rewards, eps=1e-4):
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)
    return (rewards - rewards.mean(1, True)) / (rewards.std(1, keepdim=True) + eps)


@group_advantage.right
def with_statistics(rewards, eps=1e-4):
    found = torch.zeros_like(rewards)
    for i, row in enumerate(rewards.tolist()):
        if len(row) > 1:
            mean, spread = statistics.fmean(row), statistics.stdev(row)
            scaled = [(reward - mean) / (spread + eps) for reward in row]
            found[i] = torch.tensor(scaled, dtype=rewards.dtype)
    return found


@group_advantage.right
def by_the_norm(rewards, eps=1e-4):
    rows = []
    for row in rewards:
        centred = row - row.mean()
        rows.append(centred / (centred.norm() / max(len(row) - 1, 1) ** 0.5 + eps))
    return torch.stack(rows)


@group_advantage.right
def from_population_variance(rewards, eps=1e-4):
    n = rewards.size(1)
    mean = torch.einsum("gs->g", rewards)[:, None] / n
    variance = ((rewards - mean) ** 2).mean(1, keepdim=True) * n / max(n - 1, 1)
    return (rewards - mean) / (torch.sqrt(variance) + eps)


@group_advantage.right
def by_pairs(rewards, eps=1e-4):
    n = rewards.shape[1]
    gaps = rewards[:, :, None] - rewards[:, None, :]
    variance = gaps.square().sum((1, 2)) / (2 * n * max(n - 1, 1))
    return gaps.mean(2) / (variance.sqrt()[:, None] + eps)


group_advantage.together("population_deviation", "eps_forgotten", "variance_used", "mean_forgotten")
group_advantage.together("variance_used", "eps_forgotten")
