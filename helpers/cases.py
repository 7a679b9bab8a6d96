"""One question put to a function: its inputs, and what the answer is worth.

A case is plain data, so the same case can be asked of the reference here and of student code in
a sandbox. What is no plain value (a network, an optimiser) is described by `make` and built
where it is used.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
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
    """

    title: str
    inputs: dict[str, Any] = field(default_factory=dict)
    part: str = VALUES
    grad: tuple[str, ...] = ()
    rtol: float | None = None
    atol: float | None = None
    probe: str = "call"

    def plain(self) -> dict[str, Any]:
        """As a dict that `codec.pack` takes."""
        return asdict(self)

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Case":
        """Back from `plain`."""
        return cls(**{**plain, "grad": tuple(plain["grad"])})


def make(kind: str, **arguments: Any) -> dict[str, Any]:
    """Describe an input that is built where the case is asked.

    make("mlp", state=...) is a network, make("sgd", of="policy", lr=0.1) an optimiser of the
    input called policy.
    """
    return {MADE: kind, "arguments": arguments}


def build_inputs(inputs: dict[str, Any], grad: tuple[str, ...]) -> dict[str, Any]:
    """Fresh arguments for one call; floating tensors named in `grad` are leaves of a graph."""
    built: dict[str, Any] = {}
    for name, value in inputs.items():
        if isinstance(value, Tensor):
            value = value.clone()
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


def _sgd(built: dict[str, Any], of: str, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.SGD(built[of].parameters(), **options)


def _adam(built: dict[str, Any], of: str, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(built[of].parameters(), **options)


def _polynomial(
    _: dict[str, Any], coefficients: list[float], graph: bool = True
) -> Callable[[Tensor, Tensor], Tensor]:
    """An estimator c0 + c1·d + c2·d² + … of d = logp − ref_logp; without graph, no gradient."""

    def estimate(logp: Tensor, ref_logp: Tensor) -> Tensor:
        gap = logp - ref_logp if graph else (logp - ref_logp).detach()
        powers = torch.stack([gap**power for power in range(len(coefficients))])
        return torch.einsum("p...,p->...", powers, powers.new_tensor(coefficients))

    return estimate


MAKERS: dict[str, Callable[..., Any]] = {
    "mlp": _mlp,
    "tied": _tied,
    "sgd": _sgd,
    "adam": _adam,
    "polynomial": _polynomial,
}
