"""What these exercises share."""

from collections.abc import Iterator

import torch
from torch import Tensor

from helpers.cases import RULES, VALUES, Case, make

from ...draw import Draw
from ...exercise import tensor

NO_GRADIENT = "no gradient flows"

LARGE = "large logits"

CONSTANTS = "constants"

SHAPES = "leading shapes"

RARE = "tokens rare under the reference"

K1 = make("polynomial", coefficients=[0.0, 1.0], graph=True)

K2 = make("polynomial", coefficients=[0.0, 0.0, 0.5], graph=True)

CUBIC = make("polynomial", coefficients=[0.3, -1.0, 0.5, 0.2], graph=True)

HELD_CUBIC = make("polynomial", coefficients=[0.3, -1.0, 0.5, 0.2], graph=False)


def _asked(logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: dict) -> dict:
    return {
        "logits": logits,
        "ref_logits": ref_logits,
        "sample_logits": sample_logits,
        "estimator": estimator,
    }


def _case(
    title: str,
    logits: Tensor,
    ref_logits: Tensor,
    old_logits: Tensor | None,
    part: str = VALUES,
    probe: str = "per_token",
    **tolerances: float,
) -> Case:
    """One per-token question: what is differentiated is the policy, or under CONSTANTS the rest."""
    old = {} if old_logits is None else {"old_logits": old_logits}
    inputs = {"logits": logits, **old, "ref_logits": ref_logits}
    grad = tuple(inputs)[1:] if part == CONSTANTS else ("logits",)
    return Case(title, inputs, part, grad, probe=probe, **tolerances)


def cases_by_hand(off_policy: bool) -> Iterator[Case]:
    half, much, little = (tensor(p, 1 - p).log() for p in (0.5, 0.75, 0.25))
    old = much if off_policy else None
    said = ", old (3/4, 1/4)" if off_policy else ""
    yield _case(f"policy (1/2, 1/2){said}, ref (1/4, 3/4)", half, little, old)
    yield _case(f"the same{said}: what reaches the constants", half, little, old, CONSTANTS)
    yield _case(f"policy and ref both (1/2, 1/2){said}", half, half, old)
    title = f"policy (1/2, 1/2){said}, ref (1/4, 3/4), asked one token at a time"
    yield _case(title, half, little, old, probe="token_alone")
    one = tensor(0.0)
    yield _case("only one token in the vocabulary", one, one, one if off_policy else None)
    yield far_apart(off_policy)
    far, near = tensor(0.0, -70.0), tensor(0.0, -1.0)
    yield _case(f"policy (1/2, 1/2){said}, ref logits (0, −70)", half, far, old, RARE)
    # Probabilities round to 0 here: of ref alone, and of all. No log-ratio is beyond 80.
    who = "policy and old" if off_policy else "policy"
    for logit, ref_logit in ((-40, -115), (-120, -110)):
        rare, ref = tensor(0.0, logit), tensor(0.0, ref_logit)
        title = f"{who} logits (0, {logit}), ref logits (0, {ref_logit})".replace("-", "−")
        yield _case(title, rare, ref, rare if off_policy else None, RARE)
    if off_policy:
        yield _case("old logits (0, −70), ref (1/4, 3/4)", half, little, far, RARE)
        yield _case("policy logits (0, −70), ref the same", far, far, near, RARE)


def far_apart(off_policy: bool) -> Case:
    """Log-ratios of some 12 nats, of both signs: no bound is seen by luck alone.

    In float64, so that what is rare counts, and judged as float32: the dtype is another part.
    """
    named = {
        "policy": (0.0, -1.0, -13.0, -1.0, -1.0, -13.0),
        "ref": (0.0, -13.0, -1.0, 0.0, -2.0, -14.0),
        "old": (0.0, -1.0, -13.0, -13.0, -13.0, -1.0),
    }
    policy, ref, old = (tensor(*logits, dtype=torch.float64) for logits in named.values())
    drew = old if off_policy else None
    title = f"policy/ref{' and policy/old' if off_policy else ''} from e⁻¹² to e¹²"
    return _case(title, policy, ref, drew, rtol=1e-4, atol=1e-8)


def drawn_cases(off_policy: bool, draw: Draw) -> Iterator[Case]:
    def case(title: str, *shape: int, dtype: torch.dtype = torch.float32, **options: str) -> Case:
        logits, ref_logits, old_logits = (draw.normal(*shape, dtype=dtype) for _ in range(3))
        return _case(title, logits, ref_logits, old_logits if off_policy else None, **options)

    yield case("a vocabulary of 5", 5)
    yield case("a vocabulary of 8", 8)
    yield case("a vocabulary of 6, asked one token at a time", 6, probe="token_alone")
    yield case("what reaches the constants, a vocabulary of 4", 4, part=CONSTANTS)
    yield case("3 by 4 positions, a vocabulary of 5", 3, 4, 5, part=SHAPES)
    yield case("one row of one position, a vocabulary of 3", 1, 1, 3, part=SHAPES)
    yield case("float64", 2, 4, part=RULES, dtype=torch.float64)
    logits, ref_logits = draw.normal(4), draw.normal(4)
    ref_logits[1] -= 65.0
    old = draw.normal(4) if off_policy else None
    yield _case("a token 65 nats down under the reference", logits, ref_logits, old, RARE)


SEEN_INSIDE = {
    VALUES: "that it is asked one token at a time",
    CONSTANTS: "that no gradient arrives",
}
