"""What was measured while a language model was tuned: the student's runs and the recorded ones."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from .checkpoint import DATA

MY_RUN = Path("my_run.json")
LEFT = Path("..", "06_language_model", MY_RUN)  # by lesson 06, seen from beside lesson 07
RECORDED = "recorded_runs.json"
SMOLLM2 = "smollm2_runs.json"
PREFERENCES = "preferences.json"
STAND_IN_BETA = 0.2  # lesson 06's own default
MEASURES = (
    *("step", "proxy", "gold", "kl", "distinct_2", "length"),
    *("entropy", "forgotten", "weight"),
)
BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError)  # what damage may raise


class RunError(ValueError):
    """A file that holds no run."""


@dataclass(frozen=True)
class Run:
    """One run, measured now and then on responses that it was not trained on.

    beta: weight of the penalty. seed: of the sampling. step: when it was measured.
    proxy, gold: mean rating of the responses by the two scorers, about −4 to 4.
    kl: KL(policy ‖ ref) of a response, in nats. distinct_2: different pairs of neighbouring
    tokens, as a share of all pairs. length: tokens of a response, the end token included.
    entropy: of the policy at a token of a response, in nats. forgotten: perplexity on sentences
    that people wrote, over what it was before. weight: of the penalty when it was measured; beta,
    unless a controller moves it.
    texts: some of the responses, with their prompts, by step.
    """

    beta: float
    seed: int
    step: list[int] = field(default_factory=list)
    proxy: list[float] = field(default_factory=list)
    gold: list[float] = field(default_factory=list)
    kl: list[float] = field(default_factory=list)
    distinct_2: list[float] = field(default_factory=list)
    length: list[float] = field(default_factory=list)
    entropy: list[float] = field(default_factory=list)
    forgotten: list[float] = field(default_factory=list)
    weight: list[float] = field(default_factory=list)
    texts: dict[int, list[str]] = field(default_factory=dict)

    def save(self, path: Path | str = MY_RUN) -> None:
        """As JSON."""
        Path(path).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, path: Path | str = MY_RUN) -> "Run":
        """Read what `save` wrote. Raises RunError, naming the file, when it is not that."""
        try:
            return _whole(cls.of(json.loads(Path(path).read_text(encoding="utf-8"))))
        except BROKEN as error:
            raise RunError(
                f"{path} holds no run of lesson 06 ({error}): delete it, and run lesson 06 again"
            ) from error

    @classmethod
    def of(cls, plain: Mapping[str, Any]) -> "Run":
        """From plain data, whose keys may be strings; no list is shared with it."""
        texts = {int(step): list(lines) for step, lines in plain["texts"].items()}
        return cls(**{**plain, **{name: list(plain[name]) for name in MEASURES}, "texts": texts})


def recorded() -> list[Run]:
    """The sweep that ships with the course: several β, three seeds each."""
    return _recorded("sweep")


def failing() -> Run:
    """A recorded run in which something went wrong, as its operator saw it."""
    return _recorded("failing")[0]


def own_or_recorded(path: Path | str | None = None) -> Run:
    """The run that lesson 06 saved; a recorded one where there is none.

    path: of the file; without it, beside this notebook or where lesson 06 leaves it.
    """
    places = (MY_RUN, LEFT) if path is None else (Path(path),)
    for place in places:
        if place.exists():
            run = Run.load(place)
            print(f"Your own run of lesson 06, {place}: β = {run.beta:g}, {run.step[-1]} steps.")
            return run
    run = min(recorded(), key=lambda one: abs(one.beta - STAND_IN_BETA))
    looked = " or ".join(map(str, places))
    print(f"No {looked} is here, so a recorded run stands in for yours: β = {run.beta:g}.")
    return run


def _recorded(name: str) -> list[Run]:
    path = DATA / RECORDED
    try:
        found = json.loads(path.read_text(encoding="utf-8"))[name]
        return [_whole(Run.of(one)) for one in (found if isinstance(found, list) else [found])]
    except BROKEN as error:
        raise RunError(f"{path}: {error}; install the course again") from error


def _whole(run: Run) -> Run:
    """The run itself. Raises ValueError when it was never measured, or not with everything."""
    measures = [getattr(run, name) for name in MEASURES]
    if not run.step or len({len(one) for one in measures}) > 1:
        raise ValueError("measurements are missing")
    numbers = [run.beta, run.seed, *(number for one in measures for number in one)]
    if not all(isinstance(number, int | float) for number in numbers):
        raise ValueError("a number is not a number")
    return run
