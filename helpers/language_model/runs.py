"""What was measured while a language model was tuned: the student's runs and the recorded ones."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from .checkpoint import DATA

MY_RUN = Path("my_run.json")
RECORDED = "recorded_runs.json"


class RunError(ValueError):
    """A file that holds no run."""


@dataclass(frozen=True)
class Run:
    """One run, measured now and then on responses that it was not trained on.

    beta: weight of the penalty. seed: of the sampling. step: when it was measured.
    proxy, gold: mean rating of the responses by the two scorers, about −4 to 4.
    kl: KL(policy ‖ ref) of a response, in nats. distinct_2: different pairs of neighbouring
    tokens, as a share of all pairs. length: tokens of a response, the end token included.
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
    texts: dict[int, list[str]] = field(default_factory=dict)

    def save(self, path: Path | str = MY_RUN) -> None:
        """As JSON."""
        Path(path).write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, path: Path | str = MY_RUN) -> "Run":
        """Read what `save` wrote. Raises RunError, naming the file, when it is not that."""
        try:
            return cls.of(json.loads(Path(path).read_text()))
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise RunError(
                f"{path} holds no run of lesson 06 ({error}): delete it, and run lesson 06 again"
            ) from error

    @classmethod
    def of(cls, plain: dict) -> "Run":
        """From plain data, whose keys are strings."""
        texts = {int(step): lines for step, lines in plain["texts"].items()}
        return cls(**{**plain, "texts": texts})


def recorded() -> list[Run]:
    """The sweep that ships with the course: several β, three seeds each."""
    return [Run.of(plain) for plain in _recorded()["sweep"]]


def failing() -> Run:
    """A recorded run in which something went wrong, as its operator saw it."""
    return Run.of(_recorded()["failing"])


def own_or_recorded(path: Path | str = MY_RUN) -> Run:
    """The run that lesson 06 saved beside the notebook; a recorded one where there is none."""
    if Path(path).exists():
        run = Run.load(path)
        print(f"Your own run of lesson 06: β = {run.beta:g}, {run.step[-1]} steps.")
        return run
    run = next(one for one in recorded() if 0 < one.beta)
    print(f"{path} is not here, so a recorded run stands in for yours: β = {run.beta:g}.")
    return run


def _recorded() -> dict:
    return json.loads((DATA / RECORDED).read_text())
