"""One question put to a function: its inputs, and what the answer is worth.

A case is plain data, so the same case can be asked of the reference here and of student code in
a sandbox. What is no plain value (a network, an optimiser) is described by `make` and built
where it is used.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

VALUES = "values"  # the part without which the others are worth nothing
GRADIENT = "gradient"
RULES = "inputs and dtype"  # inputs left as they were, the dtype that came in goes out
MADE = "$make"


@dataclass(frozen=True)
class Case:
    """title: said to the student. inputs: the arguments by name, in order.
    part: the part of the exercise that the case belongs to.
    grad: inputs to differentiate with respect to; naming a constant checks that it is one.
    rtol, atol: tolerances, where those of the dtype do not suit.
    probe: how to ask; see `helpers.probe`.
    given: hand over the tensors themselves and not copies, for one call: who else holds their
    memory sees what becomes of them.
    entries: what a report calls the entries of a tuple that comes back, in their order.
    """

    title: str
    inputs: dict[str, Any] = field(default_factory=dict)
    part: str = VALUES
    grad: tuple[str, ...] = ()
    rtol: float | None = None
    atol: float | None = None
    probe: str = "call"
    given: bool = False
    entries: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """As a dict that `codec.pack` takes; the tensors in it are the case's own."""
        plain = {name: value for name, value in vars(self).items() if name != "given"}
        if not self.entries:  # as of nearly every case
            del plain["entries"]
        return plain

    def question(self) -> dict[str, Any]:
        """As `plain`, but only what has to be known to ask it: nothing of how it is judged."""
        return {"inputs": self.inputs, "grad": self.grad, "probe": self.probe}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Case":
        """Back from `plain`; from a `question`, without what is for the judge."""
        plain = {"title": "", "entries": (), **plain}
        tuples = {name: tuple(plain[name]) for name in ("grad", "entries")}
        return cls(**{**plain, **tuples})


def make(kind: str, **arguments: Any) -> dict[str, Any]:
    """Describe an input that is built where the case is asked.

    make("mlp", state=...) is a network, make("sgd", of="policy", lr=0.1) an optimiser of the
    input called policy.
    """
    return {MADE: kind, "arguments": arguments}


def build_inputs(
    inputs: dict[str, Any], grad: tuple[str, ...], given: bool = False
) -> dict[str, Any]:
    """Fresh arguments for one call; floating tensors named in `grad` are leaves of a graph.

    given: the tensors that are not in `grad` are not copied; see Case.
    """
    built: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            value = value if given and name not in grad else value.clone()
            if name in grad:
                value.requires_grad_(True)
        elif isinstance(value, dict) and MADE in value:
            value = MAKERS[value[MADE]](built, **value["arguments"])
        built[name] = value
    return built


def _mlp(_: dict[str, Any], state: dict[str, Tensor]) -> nn.Module:
    """Linear layers with tanh between them; the weights in `state` give the sizes."""
    weights = [value for name, value in state.items() if name.endswith("weight")]
    layers: list[nn.Module] = []
    for weight in weights:
        layers += [nn.Linear(weight.shape[1], weight.shape[0], dtype=weight.dtype), nn.Tanh()]
    network = nn.Sequential(*layers[:-1])
    network.load_state_dict(state)
    return network


def _tied(
    _: dict[str, Any], state: dict[str, Tensor], repeat: int = 1, left_over: float = 0.0
) -> nn.Module:
    """The mlp of `state`, its second layer applied `repeat` times with the same weights.

    left_over: what already stands in every parameter's gradient.
    """
    layers = list(_mlp({}, state))
    network = nn.Sequential(*layers[:2], *layers[2:4] * repeat, *layers[4:])
    for parameter in network.parameters():
        parameter.grad = torch.full_like(parameter, left_over)
    return network


class _SteadyDropout(nn.Dropout):
    """Dropout with the same mask each time: leaving it on is then one mistake, not many."""

    def forward(self, x: Tensor) -> Tensor:
        """x with every other feature set to 0, while training."""
        if not self.training or self.p == 0:
            return x
        kept = torch.arange(x.shape[-1], device=x.device) % 2 == 0
        return torch.where(kept, x / (1 - self.p), 0.0)


class _LanguageModel(nn.Module):
    """Dropout in two places, as networks have it: in a module, and in code that asks for the mode.

    state: weights; those of "embedding" give the sizes, and `decay` is a buffer.
    """

    def __init__(self, state: dict[str, Tensor], dropout: float, tied: bool) -> None:
        super().__init__()
        (vocab, width), dtype = state["embedding.weight"].shape, state["decay"].dtype
        self.dropout = dropout
        self.embedding = nn.Embedding(vocab, width, dtype=dtype)
        linear = nn.Linear(width, width, dtype=dtype)
        self.body = nn.Sequential(_SteadyDropout(dropout), linear, nn.Tanh())
        self.head = nn.Linear(width, vocab, dtype=dtype)
        self.register_buffer("decay", torch.ones((), dtype=dtype))
        self.load_state_dict(state)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Logits "batch time vocab" from a decaying sum over the tokens so far."""
        embedded = self.embedding(tokens)
        if self.training:
            embedded = embedded * (1 - self.dropout)
        time = torch.arange(tokens.shape[1], device=tokens.device)
        distance = time[:, None] - time
        weight = torch.where(distance >= 0, self.decay ** distance.clamp(min=0), 0.0)
        return self.head(weight @ self.body(embedded))


def _language_model(
    _: dict[str, Any],
    state: dict[str, Tensor],
    dropout: float = 0.0,
    tied: bool = False,
    left_over: float | None = None,
    evaluating: Sequence[str] = (),
    frozen: Sequence[str] = (),
) -> nn.Module:
    """The language model of `state` in training mode; all of it is trained.

    tied: the head uses the embedding's weights. left_over: what stands in every gradient.
    evaluating: modules that are in eval mode. frozen: parameters that require no gradient.
    """
    network = _LanguageModel(state, dropout, tied)
    for name in evaluating:
        network.get_submodule(name).eval()
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name not in frozen)
        if left_over is not None:
            parameter.grad = torch.full_like(parameter, left_over)
    return network


def _optimizer(
    kind: type[torch.optim.Optimizer], built: dict[str, Any], of: str, **options: Any
) -> torch.optim.Optimizer:
    return kind(built[of].parameters(), **options)


def _polynomial(
    _: dict[str, Any], coefficients: list[float], graph: bool = True
) -> Callable[[Tensor, Tensor], Tensor]:
    """An estimator c0 + c1·d + c2·d² + … of d = logp − ref_logp; without graph, no gradient."""

    def estimate(logp: Tensor, ref_logp: Tensor) -> Tensor:
        gap = logp - ref_logp if graph else (logp - ref_logp).detach()
        powers = torch.stack([gap**power for power in range(len(coefficients))])
        return torch.einsum("p...,p->...", powers, powers.new_tensor(coefficients))

    return estimate


def _columns(_: dict[str, Any], terms: list[list[float]]) -> Callable[[Tensor], Tensor]:
    """A form that is linear in its coefficients: for each term (m, n) a column d^m · (log d)^n."""

    def columns(d: Tensor) -> Tensor:
        if not (d > 0).all():
            raise RuntimeError("columns was given a run whose d is not above 0")
        return torch.stack([d**power * d.log() ** logs for power, logs in terms], dim=-1)

    return columns


MAKERS: dict[str, Callable[..., Any]] = {
    "mlp": _mlp,
    "tied": _tied,
    "language_model": _language_model,
    "sgd": partial(_optimizer, torch.optim.SGD),
    "adam": partial(_optimizer, torch.optim.Adam),
    "adamw": partial(_optimizer, torch.optim.AdamW),
    "polynomial": _polynomial,
    "columns": _columns,
}
