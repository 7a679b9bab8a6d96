"""Tune the language model towards a proxy reward, with the functions that a student wrote."""

import math
import os
from collections.abc import Callable
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence
from tqdm.auto import tqdm

from ..codec import BadDataError, pack, unpack
from ..device import pick_device
from .checkpoint import load_gold, load_model, load_proxy, load_vocabulary
from .learning import perplexity
from .ratings import sentences
from .runs import Run
from .sampling import Samples, evaluating, sample

PROMPTS = (
    "the film",
    "this movie is",
    "the story",
    "a film that",
    "the acting",
    "it's a",
    "the director",
    "i think the",
)
N_TEXTS = len(PROMPTS)
# What a response loses that has not ended, as half a sentence is no review: enough that none of
# ref's is worth what its median whole one is. Of these, the proxy rates two thirds higher.
CUT_OFF = 1.5
N_UNSEEN = 100  # sentences of people, on which it is measured what is forgotten


@dataclass(frozen=True)
class Settings:
    """learning_rate: of AdamW. n_samples: responses to each prompt at each step.

    n_tokens: the longest response. epsilon: PPO's clip range. every: steps between measurements.
    n_measured: responses to each prompt when it is measured. n_epochs: steps on each batch.
    """

    learning_rate: float = 3e-4
    n_samples: int = 8
    n_tokens: int = 16
    epsilon: float = 0.2
    every: int = 10
    n_measured: int = 16
    n_epochs: int = 1


@dataclass(frozen=True)
class Steps:
    """The student's answers that a run is made of.

    controller: the next beta from this one and from KL(policy ‖ ref) of a response, as the batch
        estimates it; without one, beta stays.
    """

    freeze_reference: Callable[[nn.Module], nn.Module]
    group_advantage: Callable[[Tensor], Tensor]
    train_step: Callable[..., dict[str, float]]
    controller: Callable[[float, float], float] | None = None


@dataclass
class World:
    """What the runs of a lesson share: the model to start from, its words and its two judges.

    cut_off: what a response loses that has not ended (TRL's `missing_eos_penalty`).
    """

    model: nn.Module = field(default_factory=load_model)
    proxy: nn.Module = field(default_factory=load_proxy)
    gold: nn.Module = field(default_factory=load_gold)
    vocabulary: Any = field(default_factory=load_vocabulary)
    cut_off: float = CUT_OFF
    people: Tensor | None = None  # film sentences, "text time", that the model has not seen

    def __post_init__(self) -> None:
        """Sentences of people, unless others are given."""
        if self.people is None:
            unseen = [one.text for one in sentences("film") if one.tenth == 0][:N_UNSEEN]
            self.people = self.vocabulary.batch(unseen, self.model.sizes.context)

    def prompts(self, n_each: int) -> list[list[int]]:
        """Every prompt's tokens n_each times, one prompt after the other."""
        return [self.vocabulary.encode(text) for text in PROMPTS for _ in range(n_each)]

    @torch.no_grad()
    def score(self, samples: Samples) -> Tensor:
        """What each response is paid, "batch": the proxy's rating, less where it has not ended."""
        return self.proxy(samples.tokens) - self.cut_off * ~samples.ended()

    def texts(self, samples: Samples) -> list[str]:
        """Prompt and response of each row, as text."""
        return [self.vocabulary.decode(row) for row in samples.tokens]


class Tuning:
    """A run of sampling, scoring and stepping, which can be stopped and goes on where it was.

    path: where the state is kept after each step, so that a new kernel goes on from there too.
    Raises BadDataError when the file there is damaged, ValueError when it is of another run, or
    when beta is no price: a finite number from 0 up.
    """

    def __init__(
        self,
        steps: Steps,
        beta: float,
        seed: int = 0,
        settings: Settings = Settings(),  # noqa: B008, it is frozen
        world: World | None = None,
        path: Path | str | None = None,
    ) -> None:
        beta = _price(beta)
        self.steps, self.settings, self.world = steps, settings, world or World()
        self.device = pick_device()
        self.policy = deepcopy(self.world.model).to(self.device).train()  # dropout on, as usual
        self.ref = steps.freeze_reference(self.policy)
        self.optimizer = torch.optim.AdamW(self.policy.parameters(), settings.learning_rate)
        self.generator = torch.Generator().manual_seed(seed)
        self.done, self.beta, self.run_so_far = 0, beta, Run(beta, seed)
        with evaluating(self.policy):
            self._perplexity_before = perplexity(self.policy, self.world.people)
        self.path = Path(path) if path else None
        if self.path and self.path.exists():
            self._restore(self._read())
        self._last = self._state()

    def run(self, until: int, progress: bool = True) -> Run:
        """Go on until that many steps are done; interrupt it when you like, and call it again."""
        begun, total = self.done, max(until, self.done)
        with tqdm(total=total, initial=self.done, disable=not progress, unit="step") as bar:
            try:
                self._measure_if_due()
                while self.done < until:
                    said = self._step()
                    self._measure_if_due()
                    bar.set_postfix(proxy=f"{said['proxy']:.2f}", kl=f"{said['kl']:.3f}")
                    bar.update()
            except BaseException as error:
                self._restore(self._last)  # half a step is no step
                if not isinstance(error, KeyboardInterrupt) or not self.run_so_far.step:
                    raise  # before the first measurement there is no run to give back
                print(f"Stopped after step {self.done}. Run the cell again to go on.")
                return self.run_so_far
        if progress:
            kept = f": {self.path} holds them; delete it to begin again" if self.path else ""
            done = "were done before" if begun >= until else "are done"
            print(f"{self.done} steps {done}{kept}.")
        return self.run_so_far

    def _step(self) -> dict[str, float]:
        """Sample, score, compare within each prompt's group, and take one step."""
        samples = self.sample(self.settings.n_samples)
        rewards = self.world.score(samples)
        self._demand_numbers("the proxy gave", rewards)
        advantage = self.steps.group_advantage(rewards.view(len(PROMPTS), -1)).flatten()
        batch = (samples.tokens, samples.response_mask, samples.logp, advantage)
        said = [self._update(batch) for _ in range(self.settings.n_epochs)][0]  # before any update
        if self.steps.controller:
            drift = said["kl"] * samples.lengths.float().mean().item()
            self.beta = float(self.steps.controller(self.beta, drift))
        self.done += 1
        self._keep()
        return said | {"proxy": rewards.mean().item()}

    def _update(self, batch: tuple[Tensor, ...]) -> dict[str, float]:
        """One step of the optimiser on the batch."""
        said = self.steps.train_step(
            self.policy,
            self.ref,
            self.optimizer,
            *(tensor.to(self.device) for tensor in batch),
            epsilon=self.settings.epsilon,
            beta=self.beta,
        )
        self._demand_numbers("train_step returned", torch.tensor([said["loss"], said["kl"]]))
        return said

    def _demand_numbers(self, who: str, numbers: Tensor) -> None:
        """Stop before what is no number gets into the policy and from there everywhere."""
        if not numbers.isfinite().all():
            found = numbers[~numbers.isfinite()][0].item()
            raise ValueError(f"step {self.done + 1}: {who} {found}; nothing of this step is kept")

    def sample(self, n_each: int, generator: torch.Generator | None = None) -> Samples:
        """n_each responses of the policy to every prompt."""
        chosen = generator or self.generator
        return sample(self.policy, self.world.prompts(n_each), self.settings.n_tokens, chosen)

    def _measure_if_due(self) -> None:
        """Measure on fresh responses, whose draws do not change those of the run."""
        if self.done % self.settings.every or self.done in self.run_so_far.step:
            return
        seed = 1_000_003 * (self.run_so_far.seed + 1) + self.done
        samples = self.sample(self.settings.n_measured, torch.Generator().manual_seed(seed))
        for name, value in self._measures(samples).items():
            getattr(self.run_so_far, name).append(value)
        shown = self.world.texts(samples)[:: self.settings.n_measured]
        self.run_so_far.texts[self.done] = shown
        self._keep()

    @torch.no_grad()
    def _measures(self, samples: Samples) -> dict[str, float]:
        return {
            "step": self.done,
            "proxy": self.world.proxy(samples.tokens).mean().item(),
            "gold": self.world.gold(samples.tokens).mean().item(),
            "kl": sequence_kl(self.policy, self.ref, samples).mean().item(),
            "distinct_2": distinct_2(samples),
            "length": samples.lengths.float().mean().item(),
            "entropy": self._entropy(samples),
            "forgotten": self._forgotten(),
            "weight": self.beta,
        }

    def _entropy(self, samples: Samples) -> float:
        """Mean over the response's tokens of how undecided the policy is, in nats."""
        with evaluating(self.policy):
            logits = self.policy(samples.tokens.to(self.device))[:, :-1].cpu()
        return Categorical(logits=logits[samples.response_mask]).entropy().mean().item()

    def _forgotten(self) -> float:
        """Perplexity on sentences of people, over what the model had that training began with."""
        with evaluating(self.policy):
            return perplexity(self.policy, self.world.people) / self._perplexity_before

    def _keep(self) -> None:
        """Remember this moment, in memory and on disk."""
        self._last = self._state()
        if self.path:
            part = self.path.with_suffix(".part")
            part.write_bytes(pack(self._last))
            os.replace(part, self.path)  # never a half-written file under the name itself

    def _state(self) -> dict[str, Any]:
        """All that the next step depends on, as copies."""
        return {
            "settings": asdict(self.settings),
            "done": self.done,
            "beta": self.beta,
            "run": asdict(self.run_so_far),
            "generator": self.generator.get_state(),
            "policy": _copy(self.policy.state_dict()),
            "optimizer": _copy(self.optimizer.state_dict()["state"]),
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self.done, self.beta = state["done"], state["beta"]
        self.run_so_far = Run.of(state["run"])
        self.generator.set_state(state["generator"])
        self.policy.load_state_dict(state["policy"])
        moments = {int(name): _copy(moment) for name, moment in state["optimizer"].items()}
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments, "param_groups": groups})
        self.optimizer.zero_grad()

    def _read(self) -> dict[str, Any]:
        try:
            state = unpack(self.path.read_bytes())
            theirs = (state["settings"], state["run"]["beta"], state["run"]["seed"])
            shapes = {name: value.shape for name, value in state["policy"].items()}
        except (BadDataError, KeyError, TypeError, AttributeError) as error:
            raise BadDataError(f"{self.path}: {error}; delete it to begin again") from error
        mine = (asdict(self.settings), self.run_so_far.beta, self.run_so_far.seed)
        if theirs != mine:
            raise ValueError(f"{self.path} is of a run with other settings: use another path")
        if shapes != {name: value.shape for name, value in self.policy.state_dict().items()}:
            raise ValueError(f"{self.path} is of a run of another model: use another path")
        return state


@torch.no_grad()
def sequence_kl(policy: nn.Module, ref: nn.Module, samples: Samples) -> Tensor:
    """KL(policy ‖ ref) of whole responses, in nats, "batch": exact at each token, summed.

    The prefixes are drawn from the policy, so that the mean over rows has no bias, and at no
    token is it below 0.
    """
    device = next(policy.parameters()).device
    tokens, mask = samples.tokens.to(device), samples.response_mask.to(device)
    with evaluating(policy), evaluating(ref):
        now, then = (Categorical(logits=net(tokens)[:, :-1]) for net in (policy, ref))
    return torch.where(mask, kl_divergence(now, then), 0.0).sum(dim=1).cpu()


def distinct_2(samples: Samples) -> float:
    """Different pairs of neighbouring response tokens, as a share of all of them (1510.03055)."""
    both = samples.response_mask[:, :-1] & samples.response_mask[:, 1:]
    pairs = torch.stack([samples.tokens[:, 1:-1][both], samples.tokens[:, 2:][both]], dim=1)
    return len(pairs.unique(dim=0)) / max(len(pairs), 1)


def _price(beta: Any) -> float:
    try:
        price = math.nan if isinstance(beta, str | bool) else float(beta)
    except (TypeError, ValueError):
        price = math.nan
    if not 0 <= price < math.inf:
        raise ValueError(f"beta is the price of a nat, a number from 0 up, not {beta!r:.40}")
    return price


def _copy(tree: Any) -> Any:
    """Dicts of tensors with tensors of their own."""
    if isinstance(tree, dict):
        return {key: _copy(value) for key, value in tree.items()}
    return tree.detach().clone() if isinstance(tree, Tensor) else tree
