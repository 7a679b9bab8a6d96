"""Run the recorded experiments again: `make experiments`.

Writes helpers/data/recorded_stable_updates.json, which lesson 05 plots. All runs of a setting are
one tensor computation, with a copy of the policy for each. Uses the course's own answers.
"""

import json
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from helpers import pick_device, reference
from helpers.problems.stable_updates import SHIFT, Courier, Steps, network

from ..common.saying import say
from ..course.lessons import DATA

RECORD = DATA / "recorded_stable_updates.json"
SEEDS, UPDATES, SHIFTS = 12, 60, 16
TARGET, HORIZON, EPSILON = 0.01, 2000, 0.2
DELTA = 0.1  # how far the mask lets a probability go: that of the lesson's example, not tuned
RATE, EPOCHS, BETA = 0.5, 20, 0.5  # of the comparison; the grid varies all three
GRID_RATES = (0.1, 0.25, 0.5, 1.0)
GRID_EPOCHS = (1, 5, 20)
GRID_BETAS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
STRIDE = 2  # the grid's curves keep every second update

Controller = Callable[[float, float], float]


def _keep(beta: float, kl: float) -> float:
    return beta


class Method(NamedTuple):
    """beta: the penalty's weight at the start. epsilon: of the clip; infinite for none.
    controller: the next beta, from the last one and the divergence that came of it.
    delta: of the mask; infinite for none.
    """

    beta: float = 0.0
    epsilon: float = math.inf
    controller: Controller = _keep
    delta: float = math.inf


def halve_or_double(beta: float, kl: float) -> float:
    """The rule of PPO's paper, at this experiment's target."""
    return reference.adapt_beta(beta, kl, TARGET)


def in_proportion(beta: float, kl: float) -> float:
    """The rule of Ziegler et al., at this experiment's target and horizon."""
    return reference.adapt_beta_proportional(beta, kl, TARGET, SHIFTS * SHIFT, HORIZON)


METHODS = {
    "none": Method(),
    "fixed β": Method(beta=BETA),
    "adaptive β, halve or double": Method(beta=BETA, controller=halve_or_double),
    "adaptive β, proportional": Method(beta=BETA, controller=in_proportion),
    "clip": Method(epsilon=EPSILON),
    "clip and fixed β": Method(beta=BETA, epsilon=EPSILON),
    "mask": Method(delta=DELTA),
    "mask and fixed β": Method(beta=BETA, delta=DELTA),
}


class Curves(NamedTuple):
    """What was measured: returns before the first update and after each; the others for each.

    kl: the mean KL(old ‖ policy) over the places visited. beta: the weight that was used.
    beyond: the share of the actions taken whose ratio ended outside 1 ± EPSILON.
    """

    returns: Float[Tensor, "copy update+1"]
    kl: Float[Tensor, "copy update"]
    beta: Float[Tensor, "copy update"]
    beyond: Float[Tensor, "copy update"]


class Copies(nn.Module):
    """One network for each seed, as stacked weights."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        super().__init__()
        each = [list(network(seed, device).parameters()) for seed in seeds]
        stacked = (torch.stack(same).detach() for same in zip(*each, strict=True))
        self.weights = nn.ParameterList(stacked)

    def forward(
        self, features: Float[Tensor, "place feature"]
    ) -> Float[Tensor, "copy place action"]:
        inner, inner_bias, outer, outer_bias = self.weights
        hidden = torch.einsum("pf,chf->cph", features, inner) + inner_bias[:, None]
        return torch.einsum("cph,cah->cpa", hidden.tanh(), outer) + outer_bias[:, None]


class Batch:
    """The steps that old took, and what a policy makes of them."""

    def __init__(self, old: Float[Tensor, "copy place action"], steps: Steps):
        self.old, self.steps = old.detach().log_softmax(dim=-1), steps
        self.rows = torch.arange(len(old), device=old.device)[:, None]
        self.old_logp = self.logp(self.old)

    def logp(self, logs: Float[Tensor, "copy place action"]) -> Float[Tensor, "copy step"]:
        """Log-probability of the actions taken."""
        return logs[self.rows, self.steps.places, self.steps.actions]

    def kl(self, logs: Float[Tensor, "copy place action"]) -> Float[Tensor, "copy step"]:
        """KL(old ‖ policy) at the places visited."""
        by_place = nn.functional.kl_div(logs, self.old, reduction="none", log_target=True).sum(-1)
        return by_place[self.rows, self.steps.places]

    def loss(
        self, logits: Float[Tensor, "copy place action"], weight: Tensor, method: Method
    ) -> Float[Tensor, ""]:
        """The sum of the copies' losses, so that each copy gets the gradient of its own."""
        logs = logits.log_softmax(dim=-1)
        taken = (self.logp(logs), self.old_logp, self.steps.advantage)
        promise = reference.clipped_surrogate(*taken, method.epsilon)
        if method.delta < math.inf:  # what is masked counts 0 in the mean
            taught = reference.divergence_mask(*taken, method.delta)
            promise = torch.where(taught, promise, 0.0)
        return (weight * self.kl(logs) - promise).mean(dim=1).sum()

    def measure(self, logits: Float[Tensor, "copy place action"]) -> tuple[Tensor, Tensor]:
        """The mean divergence of each copy, and the share of its ratios beyond the clip."""
        logs = logits.detach().log_softmax(dim=-1)
        moved = ((self.logp(logs) - self.old_logp).exp() - 1).abs()
        return self.kl(logs).mean(dim=1).cpu(), (moved > EPSILON).float().mean(dim=1).cpu()


def train(
    method: Method, betas: Sequence[float], seeds: Sequence[int], rate: float, n_epochs: int
) -> Curves:
    """Train one copy for each seed, each from its own beta; `method` says the rest.

    Where all seeds come several times, equal ones start alike and meet the same luck.
    """
    courier, groups = Courier(pick_device()), len(seeds) // len(set(seeds))
    generator = torch.Generator(courier.device).manual_seed(2025)
    copies, betas = Copies(seeds, courier.device), list(betas)
    returns, rows = [courier.expected_return(copies(courier.features).detach()).cpu()], []
    for _ in range(UPDATES):
        old = copies(courier.features)
        batch = Batch(old, courier.work(old, SHIFTS, generator, groups))
        new = _learn(copies, courier, batch, method, betas, rate, n_epochs)
        kl, beyond = batch.measure(new)
        rows.append((kl, torch.tensor(betas), beyond))
        betas = [method.controller(*pair) for pair in zip(betas, kl.tolist(), strict=True)]
        returns.append(courier.expected_return(new).cpu())
    columns = (torch.stack(column, dim=1) for column in zip(*rows, strict=True))
    return Curves(torch.stack(returns, dim=1), *columns)


def _learn(
    copies: Copies,
    courier: Courier,
    batch: Batch,
    method: Method,
    betas: Sequence[float],
    rate: float,
    n_epochs: int,
) -> Float[Tensor, "copy place action"]:
    """One update of every copy; returns the logits that come of it."""
    sgd = torch.optim.SGD(copies.parameters(), lr=rate)
    weight = torch.tensor(betas, device=courier.device)[:, None]
    for _step in range(n_epochs):
        sgd.zero_grad()
        batch.loss(copies(courier.features), weight, method).backward()
        sgd.step()
    return copies(courier.features).detach()


def comparison() -> dict[str, Any]:
    """Every method on the same problem, with the same samples, epochs and optimiser."""
    found = {}
    for name, method in METHODS.items():
        curves = train(method, [method.beta] * SEEDS, range(SEEDS), RATE, EPOCHS)
        kept = curves._replace(beyond=curves.beyond.mean(dim=1))
        found[name] = {key: _rounded(values) for key, values in kept._asdict().items()}
        if method.controller is _keep:
            del found[name]["beta"]
    return found


def grid() -> list[dict[str, Any]]:
    """Learning rate × epochs × fixed beta: the range of the returns over seeds, and the KL."""
    rows = []
    betas = [beta for beta in GRID_BETAS for _ in range(SEEDS)]
    seeds = list(range(SEEDS)) * len(GRID_BETAS)
    for rate in GRID_RATES:
        for n_epochs in GRID_EPOCHS:
            curves = train(Method(), betas, seeds, rate, n_epochs)
            for i, beta in enumerate(GRID_BETAS):
                own = slice(i * SEEDS, (i + 1) * SEEDS)
                setting = {"rate": rate, "epochs": n_epochs, "beta": beta}
                rows.append(setting | _summary(curves.returns[own], curves.kl[own]))
    return rows


def _summary(returns: Tensor, kl: Tensor) -> dict[str, Any]:
    """Curves over the seeds, and the numbers by which settings are compared."""
    kept = returns[:, ::STRIDE]
    curves = {"low": kept.amin(0), "middle": kept.median(0).values, "high": kept.amax(0)}
    scores = {
        "final": returns[:, -10:].mean(dim=1),
        "worst drop": (returns[:, :-1] - returns[:, 1:]).amax(dim=1),
        "greatest KL": kl.amax(dim=1),
    }
    return {key: _rounded(values) for key, values in (curves | scores).items()}


def _rounded(values: Tensor) -> Any:
    """Nested lists of numbers with three significant digits: enough for a curve."""
    if values.ndim:
        return [_rounded(row) for row in values]
    return float(f"{values.item():.3g}")


def main() -> None:
    """Run everything and write the record."""
    settings = {"seeds": SEEDS, "updates": UPDATES, "shifts": SHIFTS, "target": TARGET}
    settings |= {"rate": RATE, "epochs": EPOCHS, "beta": BETA, "epsilon": EPSILON, "delta": DELTA}
    settings |= {"stride": STRIDE}
    record = {"settings": settings, "comparison": comparison(), "grid": grid()}
    text = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
    RECORD.write_text(text.replace('],"', '],\n"') + "\n", encoding="utf-8")
    say(f"{RECORD}: {RECORD.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
