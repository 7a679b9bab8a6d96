"""The courier: parcels carried over a windy roof, to the corner that is easiest to miss.

A continuing problem of 32 places. Many copies of it run as one tensor computation: a policy is a
table of logits, `[copy, place, action]`, and its expected return is exact, by following the
probability of every place through a shift.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from tqdm.auto import tqdm

ROWS, COLUMNS = 4, 8  # row 0 is the edge: START and GOAL at its ends, the street between them
PLACES, ACTIONS = ROWS * COLUMNS, 4
MOVES = ((1, 0), (-1, 0), (0, -1), (0, 1))  # up, down, left, right, as (row, column)
START, GOAL = 0, COLUMNS - 1
WIND = 0.2  # chance that a gust also pushes the courier one row down
SHIFT = 40  # steps
DISCOUNT = 0.95  # in the returns-to-go that learning sees; the return reported has none
FEATURES = ROWS + COLUMNS
SHIFTS, UPDATES, RATE = 16, 60, 0.5  # of one training run
PATIENCE = 5  # seconds without a progress bar

Update = Callable[[nn.Module, torch.optim.Optimizer, Tensor, Tensor, Tensor], list[float]]


class Steps(NamedTuple):
    """Steps of every copy: where the courier was, what was done, how much better than usual."""

    places: Int[Tensor, "copy step"]
    actions: Int[Tensor, "copy step"]
    advantage: Float[Tensor, "copy step"]


class Courier:
    """The problem on one device.

    moves: probability of landing on each place. reward: of landing there: the share of the way
    to the goal that it gains, and −1 for a fall. home: where the courier goes on from.
    """

    def __init__(self, device: torch.device | str = "cpu"):
        place = torch.arange(PLACES, device=device)
        street = (place < COLUMNS) & (place != START) & (place != GOAL)
        forward = (place % COLUMNS - place[:, None] % COLUMNS) / (COLUMNS - 1)
        self.device = place.device
        self.moves = _moves().to(device)  # place action landing
        self.features = _features().to(device)  # place feature
        self.reward = torch.where(street, -1.0, forward)  # place landing
        self.home = torch.where(street | (place == GOAL), START, place)
        self.roof = (place >= COLUMNS).float() / (PLACES - COLUMNS)  # a shift begins anywhere here

    def expected_return(self, logits: Float[Tensor, "copy place action"]) -> Float[Tensor, " copy"]:
        """Parcels delivered minus falls that one shift brings on average: exact."""
        landing = torch.einsum("cpa,paq->cpq", logits.softmax(-1), self.moves)
        gain = (landing * self.reward).sum(-1)  # copy place
        here = self.roof.expand_as(gain)
        total = torch.zeros_like(gain[:, 0])
        for _ in range(SHIFT):
            total = total + (here * gain).sum(-1)
            arrived = torch.einsum("cp,cpq->cq", here, landing)
            here = torch.zeros_like(here).index_add(1, self.home, arrived)
        return total

    def best_return(self) -> float:
        """The most that a shift can bring on average: planned backwards, from its last step."""
        ahead = torch.zeros_like(self.roof)  # place: with the steps left
        for _ in range(SHIFT):
            landing = self.reward + ahead[self.home]  # place landing
            ahead = torch.einsum("paq,pq->pa", self.moves, landing).amax(-1)
        return (self.roof @ ahead).item()

    def work(
        self,
        logits: Float[Tensor, "copy place action"],
        shifts: int,
        generator: torch.Generator,
        groups: int = 1,
    ) -> Steps:
        """Every copy works `shifts` shifts with its own policy; returns all their steps.

        groups: so many equal groups of copies meet the same luck, copy for copy.
        """
        luck = _Luck(generator, groups)
        chances = logits.detach().softmax(-1)
        copies = torch.arange(len(chances), device=self.device)[:, None]
        place = luck.draw(self.roof.expand(len(chances), shifts, -1))
        places, actions, rewards = [], [], []
        for _ in range(SHIFT):
            action = luck.draw(chances[copies, place])
            landing = luck.draw(self.moves[place, action])
            places.append(place)
            actions.append(action)
            rewards.append(self.reward[place, landing])
            place = self.home[landing]
        advantage = _advantage(torch.stack(rewards, dim=-1))
        kept = (torch.stack(places, dim=-1), torch.stack(actions, dim=-1), advantage)
        return Steps(*(values.flatten(1) for values in kept))


def network(seed: int, device: torch.device | str = "cpu", width: int = 32) -> nn.Sequential:
    """A small policy; all places share its hidden layer, so a change for one changes others."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = nn.Sequential(nn.Linear(FEATURES, width), nn.Tanh(), nn.Linear(width, ACTIONS))
    return layers.to(device)


class Run(NamedTuple):
    """One training run. returns: before the first update and after each. kl: of each update."""

    returns: list[float]
    kl: list[float]


def train_couriers(
    updates: Mapping[str, Update], seeds: Sequence[int], courier: Courier
) -> dict[str, list[Run]]:
    """For each way to update, a run for each seed; with a progress bar where it takes long."""
    total = len(updates) * len(seeds) * UPDATES
    with tqdm(total=total, delay=PATIENCE, leave=False, unit="update") as bar:

        def counted(update: Update) -> Update:
            def one(*batch: Any) -> list[float]:
                bar.update()
                return update(*batch)

            return one

        return {
            name: [train_courier(counted(update), seed, courier) for seed in seeds]
            for name, update in updates.items()
        }


def train_courier(update: Update, seed: int, courier: Courier, updates: int = UPDATES) -> Run:
    """Train one policy: at each update it works SHIFTS shifts and learns from them.

    update: called with the policy, its optimiser, observations, actions and advantages; returns
    divergences, of which the last is kept.
    """
    policy = network(seed, courier.device)
    optimizer = torch.optim.SGD(policy.parameters(), lr=RATE)
    generator = torch.Generator(courier.device).manual_seed(seed)
    returns, kl = [_return(policy, courier)], []
    for _ in range(updates):
        kl.append(update(policy, optimizer, *batch_of(policy, courier, generator))[-1])
        returns.append(_return(policy, courier))
    return Run(returns, kl)


def batch_of(
    policy: nn.Module, courier: Courier, generator: torch.Generator
) -> tuple[Float[Tensor, "batch obs"], Int[Tensor, " batch"], Float[Tensor, " batch"]]:
    """Observations, actions and advantages of SHIFTS shifts that the policy worked."""
    with torch.no_grad():
        steps = courier.work(policy(courier.features)[None], SHIFTS, generator)
    places, actions, advantage = (values[0] for values in steps)
    return courier.features[places], actions, advantage


def _return(policy: nn.Module, courier: Courier) -> float:
    with torch.no_grad():
        return courier.expected_return(policy(courier.features)[None]).item()


def learn_from_one_batch(
    policy: nn.Module, observations: Float[Tensor, "batch obs"], loss: Callable, n_epochs: int
) -> Float[Tensor, "batch action"]:
    """Minimise loss(logits) on one batch by SGD; returns the logits that come of it."""
    learner = torch.optim.SGD(policy.parameters(), lr=RATE)

    def closure() -> Tensor:
        learner.zero_grad()
        value = loss(policy(observations))
        value.backward()
        return value

    for _step in range(n_epochs):
        learner.step(closure)
    return policy(observations).detach()


def recorded_runs() -> dict[str, Any]:
    """The record that `make experiments` wrote: settings, comparison and grid."""
    folder = resources.files("helpers") / "data"
    text = (folder / "recorded_stable_updates.json").read_text(encoding="utf-8")
    return json.loads(text)


class _Luck:
    """Random outcomes; every one of `groups` equal groups of copies gets the same numbers."""

    def __init__(self, generator: torch.Generator, groups: int):
        self.generator, self.groups = generator, groups

    def draw(self, chances: Float[Tensor, "copy shift outcome"]) -> Int[Tensor, "copy shift"]:
        """One outcome from each distribution."""
        ladder = chances.cumsum(-1)
        copies, shifts, outcomes = ladder.shape
        shape = (copies // self.groups, shifts, 1)
        level = torch.rand(shape, generator=self.generator, device=ladder.device)
        level = level.repeat(self.groups, 1, 1) * ladder[..., -1:]  # the top is 1 up to rounding
        return (ladder <= level).sum(-1).clamp(max=outcomes - 1)


def _advantage(rewards: Float[Tensor, "copy shift time"]) -> Float[Tensor, "copy shift time"]:
    """Return-to-go minus the copy's mean at that time over its shifts, at unit spread."""
    discount = DISCOUNT ** torch.arange(SHIFT, device=rewards.device)
    ahead = (rewards * discount).flip(-1).cumsum(-1).flip(-1) / discount
    ahead = ahead - ahead.mean(dim=1, keepdim=True)
    return ahead / (ahead.std(dim=(1, 2), keepdim=True) + 1e-6)


def _features() -> Float[Tensor, "place feature"]:
    """The row and the column of each place, one-hot: what the policy sees."""
    place = torch.arange(PLACES)
    rows = nn.functional.one_hot(place // COLUMNS, ROWS)
    columns = nn.functional.one_hot(place % COLUMNS, COLUMNS)
    return torch.cat([rows, columns], dim=-1).float()


def _moves() -> Float[Tensor, "place action place"]:
    """Probability of landing on each place, for every action: one step, and perhaps a gust."""
    moves = torch.zeros(PLACES, ACTIONS, PLACES)
    for place in range(PLACES):
        for action, (up, right) in enumerate(MOVES):
            for gust, chance in ((0, 1 - WIND), (1, WIND)):
                row = min(max(place // COLUMNS + up - gust, 0), ROWS - 1)
                column = min(max(place % COLUMNS + right, 0), COLUMNS - 1)
                moves[place, action, row * COLUMNS + column] += chance
    return moves
