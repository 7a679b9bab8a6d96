"""What was measured while a language model was tuned: the student's runs and the recorded ones."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from .checkpoint import DATA

MY_RUN = Path("my_run.json")
LEFT = Path("..", "06_language_model", MY_RUN)  # by lesson 06, seen from beside lesson 07
RECORDED = "recorded_runs.json"
SMOLLM2 = "smollm2_runs.json"
PREFERENCES = "read_blind.json"
STAND_IN_BETA = 0.2  # lesson 06's own default
MEASURES = (
    *("step", "proxy", "gold", "kl", "distinct_2", "length"),
    *("entropy", "forgotten", "weight"),
)
BROKEN = (OSError, ValueError, TypeError, KeyError, AttributeError)  # what damage may raise
Found = TypeVar("Found")


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


@dataclass(frozen=True)
class LargerRun:
    """A run of SmolLM2-135M-Instruct, tuned towards praise, the means of what it wrote.

    praise: VADER's, −1 to 1. nats_a_word: SmolLM2's own surprise, before it was tuned. The others
    as in `Run`, where distinct_2 is of words.
    """

    beta: float
    seed: int
    step: list[int]
    praise: list[float]
    kl: list[float]
    nats_a_word: list[float]
    distinct_2: list[float]
    texts: dict[int, list[str]]


@dataclass(frozen=True)
class Preferences:
    """What readers chose who were not told which text was which.

    beta: of the runs whose last texts stood beside others. question: what they were asked.
    pairs, chosen: by whose the other text was ("ref", or "0" for β = 0), how many pairs there
    were, and of each reader the share in which the tuned text was chosen.
    """

    beta: float
    question: str
    pairs: dict[str, int]
    chosen: dict[str, list[float]]


def recorded() -> list[Run]:
    """The sweep that ships with the course: several β, five seeds each."""
    return _record(lambda whole: _runs(whole["sweep"]))


def recorded_methods() -> dict[str, list[Run]]:
    """The same training with one thing changed, by its name: a run for each seed."""
    return _record(lambda whole: {name: _runs(each) for name, each in whole["methods"].items()})


def recorded_epochs() -> dict[str, list[Run]]:
    """Runs of four steps on each batch, by what holds them: a run for each seed."""
    return _record(lambda whole: {name: _runs(each) for name, each in whole["epochs"].items()})


def methods_beta() -> float:
    """The weight of the penalty that the record's other methods share."""
    return _record(lambda whole: float(whole["best"]))


def recorded_outside() -> dict[str, Any]:
    """What judges from outside the course say of the sweep's last texts.

    "by_beta": by β as text, and for "ref", their means; "gold": its correlation with each of
    them, text by text, over "texts" of them; "readable_praise": that of praise × readable with
    both judges and with its factors.
    """
    return _record(lambda whole: _judged(whole["outside"]))


def recorded_smollm2() -> list[LargerRun]:
    """The runs of SmolLM2's sweep that have been made."""
    return _shipped(SMOLLM2, lambda each: [_larger(one) for one in each])


def preferences() -> Preferences | None:
    """What blind readers chose; None where nobody has read."""
    return _shipped(PREFERENCES, _chosen) if (DATA / PREFERENCES).exists() else None


def failing() -> Run:
    """A recorded run in which something went wrong, as its operator saw it."""
    return _record(lambda whole: _runs([whole["failing"]]))[0]


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


def _record(part: Callable[[Any], Found]) -> Found:
    return _shipped(RECORDED, part)


def _shipped(name: str, part: Callable[[Any], Found]) -> Found:
    """What `part` finds in a file that ships with the course."""
    path = DATA / name
    try:
        return part(json.loads(path.read_text(encoding="utf-8")))
    except BROKEN as error:
        what = f"there is no {error}" if isinstance(error, KeyError) else error
        raise RunError(
            f"{path} is damaged, or of another edition ({what}): install the course again"
        ) from error


def _runs(plain: Any) -> list[Run]:
    return [_whole(Run.of(one)) for one in plain]


def _larger(plain: Mapping[str, Any]) -> LargerRun:
    """Raises ValueError, as BROKEN's others, where measurements are missing."""
    run = LargerRun(**{**plain, "texts": {int(at): x for at, x in plain["texts"].items()}})
    measures = [run.step, run.praise, run.kl, run.nats_a_word, run.distinct_2]
    if not run.step or len({len(one) for one in measures}) > 1:
        raise ValueError("measurements are missing")
    _demand_numbers([run.beta, run.seed, *(number for one in measures for number in one)])
    return run


def _judged(plain: Mapping[str, Any]) -> dict[str, Any]:
    means = {name: dict(said) for name, said in plain["by_beta"].items()}
    goes = {name: dict(plain[name]) for name in ("gold", "readable_praise")}
    _demand_numbers([x for said in (*means.values(), *goes.values()) for x in said.values()])
    return {"by_beta": means, **goes, "texts": int(plain["texts"])}


def _chosen(plain: Mapping[str, Any]) -> Preferences:
    sides = {name: plain[name] for name in ("ref", "0")}
    pairs = {name: side["pairs"] for name, side in sides.items()}
    chosen = {name: list(side["readers"]) for name, side in sides.items()}
    shares = [share for each in chosen.values() for share in each]
    _demand_numbers([plain["best"], *pairs.values(), *shares])
    if not shares or not all(0 <= share <= 1 for share in shares):
        raise ValueError("readers' choices are missing")
    return Preferences(plain["best"], str(plain["question"]), pairs, chosen)


def _demand_numbers(found: Sequence[Any]) -> None:
    if not all(isinstance(one, int | float) and math.isfinite(one) for one in found):
        raise ValueError("a number is not a number")


def _whole(run: Run) -> Run:
    """The run itself. Raises ValueError when it was never measured, or not with everything."""
    measures = [getattr(run, name) for name in MEASURES]
    if not run.step or len({len(one) for one in measures}) > 1:
        raise ValueError("measurements are missing")
    _demand_numbers([run.beta, run.seed, *(number for one in measures for number in one)])
    return run
