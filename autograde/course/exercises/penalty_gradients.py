"""Exercises of lesson 04: which number may be differentiated."""

import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import GRADIENT, RULES, VALUES, Case, make

from ..draw import Draw
from ..exercise import Exercise, Mistake, Quiz, tensor

Estimator = Callable[[Tensor, Tensor], Tensor]

NO_GRADIENT = "no gradient flows"
LARGE = "large logits"
CONSTANTS = "constants"
SHAPES = "leading shapes"
RARE = "tokens rare under the reference"

K1 = make("polynomial", coefficients=[0.0, 1.0], graph=True)
K2 = make("polynomial", coefficients=[0.0, 0.0, 0.5], graph=True)
CUBIC = make("polynomial", coefficients=[0.3, -1.0, 0.5, 0.2], graph=True)
HELD = make("polynomial", coefficients=[0.0, 1.0], graph=False)
HELD_CUBIC = make("polynomial", coefficients=[0.3, -1.0, 0.5, 0.2], graph=False)

expected_gradient = Exercise(
    "expected_gradient",
    parts={VALUES: 3, NO_GRADIENT: 1, LARGE: 1, RULES: 1},
    hints=(
        "For one token y, the gradient of estimator(logp(y), ref_logp(y)) with respect to all "
        "logits is a vector. You want the mean of these vectors, and each has a probability.",
        "Make a leaf of your own out of logits, take log_softmax of it and hand all tokens to the "
        "estimator at once. A sum weighted by softmax(sample_logits) has the gradient you want, "
        "provided that the weights are constants.",
        "torch.autograd.grad(total, leaf) leaves every .grad alone. It raises when nothing in "
        "total depends on the leaf: look at values.requires_grad before you call it, and return "
        "zeros then.",
    ),
)


def _asked(logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: dict) -> dict:
    return {
        "logits": logits,
        "ref_logits": ref_logits,
        "sample_logits": sample_logits,
        "estimator": estimator,
    }


@expected_gradient.by_hand
def _() -> Iterator[Case]:
    half, much, little = (tensor(p, 1 - p).log() for p in (0.5, 0.75, 0.25))
    one = tensor(2.0)
    yield Case("k1, policy (1/2, 1/2), drawn from (3/4, 1/4)", _asked(half, little, much, K1))
    yield Case("k1, drawn from the policy (3/4, 1/4) itself", _asked(much, half, much, K1))
    yield Case("k2, drawn from the policy (1/2, 1/2) itself", _asked(half, little, half, K2))
    yield Case("only one token", _asked(one, one - 3.0, one + 1.0, CUBIC))
    apart, even = tensor(12.0, -12.0, 0.0), tensor(0.0, 0.0, 0.0)
    yield Case("policy logits (12, −12, 0), k2", _asked(apart, even, even, K2))
    yield Case("reference logits (12, −12, 0), k2", _asked(even, apart, even, K2))
    yield Case("k1 detached", _asked(half, little, much, HELD), NO_GRADIENT)
    far, less = tensor(0.0, -120.0), tensor(0.0, -60.0)
    yield Case("logits (0, −120) and (0, −60), k1", _asked(far, less, much, K1), LARGE)
    yield Case("logits (0, −60) and (0, −120), k2", _asked(less, far, much, K2), LARGE)
    yield Case(
        "sample logits (1000, 999), k2", _asked(half, much, tensor(1000.0, 999.0), K2), LARGE
    )


@expected_gradient.drawn
def _(draw: Draw) -> Iterator[Case]:
    def inputs(vocab: int, estimator: dict, dtype: torch.dtype = torch.float32) -> dict:
        logits, ref_logits, old_logits = (draw.normal(vocab, dtype=dtype) for _ in range(3))
        return _asked(logits, ref_logits, old_logits, estimator)

    yield Case("k1, 5 tokens, drawn from old", inputs(5, K1))
    yield Case("k2, 6 tokens, drawn from old", inputs(6, K2))
    yield Case("a cubic in the log-ratio, 4 tokens, drawn from old", inputs(4, CUBIC))
    own = inputs(5, K2)
    own["sample_logits"] = own["logits"].clone()
    yield Case("k2, 5 tokens, drawn from the policy itself", own)
    yield Case("a cubic, detached", inputs(4, HELD_CUBIC), NO_GRADIENT)
    large, apart = inputs(5, K2), draw.normal(5, scale=100.0) + 300.0
    large |= {name: large[name] * 5.0 + apart for name in ("logits", "ref_logits")}
    yield Case("logits of several hundred, k2", large, LARGE, rtol=1e-3, atol=1e-3)
    double = inputs(4, CUBIC, torch.float64)
    yield Case("float64", double, RULES, ("ref_logits", "sample_logits"))
    yield Case("float64, detached", inputs(4, HELD_CUBIC, torch.float64), RULES)


def _weighed(
    logits: Tensor,
    ref_logits: Tensor,
    estimator: Estimator,
    weigh: Callable[[Tensor], Tensor],
    normalise: Callable[[Tensor, int], Tensor] = torch.log_softmax,
) -> Tensor:
    """The gradient of Σ weigh(logp) · estimator; right when the weights are the sampler's."""
    leaf = logits.detach().clone().requires_grad_(True)
    logp = normalise(leaf, -1)
    total = (weigh(logp) * estimator(logp, normalise(ref_logits.detach(), -1))).sum()
    if not total.requires_grad:
        return torch.zeros_like(logits)
    return torch.autograd.grad(total, leaf)[0]


def _drawn(sample_logits: Tensor) -> Tensor:
    return sample_logits.detach().softmax(-1)


@expected_gradient.wrong(
    "The tokens were drawn from the policy. Who draws is an argument of its own: weigh each token "
    "by softmax(sample_logits)."
)
def drawn_from_the_policy(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: logp.detach().exp())


@expected_gradient.wrong(
    "The tokens were drawn from the policy, and the weights were differentiated too. That is the "
    "gradient of an expectation; autograd on tokens already drawn sees the estimator alone, and "
    "the mean over softmax(sample_logits) comes after it."
)
def weights_differentiated(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: logp.exp())


@expected_gradient.wrong(
    "The tokens were drawn from the reference. Weigh each token by softmax(sample_logits)."
)
def drawn_from_the_reference(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: _drawn(ref_logits))


@expected_gradient.wrong(
    "Every token was given the same weight. Each counts by its probability, softmax(sample_logits)."
)
def equal_weights(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: torch.ones_like(logp) / len(logp))


@expected_gradient.wrong(
    "Only the likeliest token was counted, as if it were always the one that is drawn. Every token "
    "counts, by its probability, softmax(sample_logits): an exact mean leaves nothing to a draw."
)
def likeliest_token_alone(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    chosen = F.one_hot(sample_logits.argmax(-1), len(sample_logits)).to(logits.dtype)
    return _weighed(logits, ref_logits, estimator, lambda logp: chosen)


@expected_gradient.wrong(
    "The gradients were added without weights. Each counts by its probability, "
    "softmax(sample_logits)."
)
def no_weights(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, torch.ones_like)


@expected_gradient.wrong(
    "sample_logits were used as weights as they are. They are scores: their softmax gives the "
    "probabilities."
)
def raw_sample_logits(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: sample_logits.detach())


@expected_gradient.wrong(
    "exp(sample_logits) does not sum to 1. Probabilities come from softmax, which divides by the "
    "sum, and does not overflow."
)
def weights_not_normalised(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return _weighed(logits, ref_logits, estimator, lambda logp: sample_logits.detach().exp())


@expected_gradient.wrong(
    "The weights are log-probabilities. A mean weighs by probabilities: softmax, without the log."
)
def logarithms_as_weights(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = sample_logits.detach().log_softmax(-1)
    return _weighed(logits, ref_logits, estimator, lambda logp: weights)


@expected_gradient.wrong(
    "This is the expectation divided by the number of tokens: .mean() after weighing. The weights "
    "sum to 1 already, so add up."
)
def averaged_after_weighing(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = _drawn(sample_logits) / len(logits)
    return _weighed(logits, ref_logits, estimator, lambda logp: weights)


@expected_gradient.wrong(
    "The estimator's arguments are exchanged: it takes logp first, then ref_logp."
)
def arguments_exchanged(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = _drawn(sample_logits)
    return _weighed(logits, ref_logits, lambda p, q: estimator(q, p), lambda logp: weights)


@expected_gradient.wrong(
    "The estimator was given logits. It takes log-probabilities: log_softmax of both comes first, "
    "and its derivative belongs to the gradient."
)
def logits_in_place_of_logp(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = _drawn(sample_logits)
    return _weighed(logits, ref_logits, estimator, lambda logp: weights, lambda x, dim: x)


@expected_gradient.wrong(
    "This is the gradient with respect to the log-probabilities. One step is missing: logp depends "
    "on every logit through log_softmax, so make the logits the leaf."
)
def gradient_of_logp(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights, logp = _drawn(sample_logits), logits.detach().log_softmax(-1)
    return _weighed(logp, ref_logits, estimator, lambda _: weights, _only_the_reference(logp))


def _only_the_reference(logp: Tensor) -> Callable[[Tensor, int], Tensor]:
    """Normalises all but a leaf: log-probabilities that are differentiated stay as they are."""
    return lambda x, dim: x if x.requires_grad else x.log_softmax(dim)


@expected_gradient.wrong(
    "Only the token's own logit was counted. Its log-probability depends on all logits, so the "
    "gradient of one token's estimate is a whole vector."
)
def own_logit_alone(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = logits.detach().clone().requires_grad_(True)
    values = estimator(leaf.log_softmax(-1), ref_logits.detach().log_softmax(-1))
    if not values.requires_grad:
        return torch.zeros_like(logits)
    rows = [torch.autograd.grad(value, leaf, retain_graph=True)[0] for value in values]
    return _drawn(sample_logits) * torch.stack(rows).diagonal()


@expected_gradient.wrong(
    "This is the expected value of the estimator. Its gradient with respect to the logits is asked."
)
def expected_value(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    values = estimator(logits.detach().log_softmax(-1), ref_logits.detach().log_softmax(-1))
    return (_drawn(sample_logits) * values).sum()


@expected_gradient.wrong(
    "The sign is turned: this is the direction of descent. Return the gradient itself."
)
def descent_direction(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return -reference.expected_gradient(logits, ref_logits, sample_logits, estimator)


@expected_gradient.wrong(
    "Estimate × ∇logp was added to what autograd gives. That term makes a gradient of the "
    "expectation; here it is asked what autograd gives without it."
)
def score_term_added(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    def with_score(logp: Tensor, ref_logp: Tensor) -> Tensor:
        values = estimator(logp, ref_logp)
        return values + values.detach() * logp

    return reference.expected_gradient(logits, ref_logits, sample_logits, with_score)


@expected_gradient.wrong(
    "backward() adds to .grad each time it is called, and it was called once for each token "
    "without setting .grad back to zero: later tokens carry the earlier ones along."
)
def gradients_accumulated(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = logits.detach().clone().requires_grad_(True)
    values = estimator(leaf.log_softmax(-1), ref_logits.detach().log_softmax(-1))
    mean = torch.zeros_like(logits)
    for weight, value in zip(_drawn(sample_logits), values, strict=True):
        if value.requires_grad:
            value.backward(retain_graph=True)
            mean += weight * leaf.grad
    return mean


@expected_gradient.wrong(
    "A detached estimator raises: autograd refuses a value that depends on nothing. Ask "
    "values.requires_grad first and return zeros when it is False."
)
def raises_when_detached(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = logits.detach().clone().requires_grad_(True)
    values = estimator(leaf.log_softmax(-1), ref_logits.detach().log_softmax(-1))
    return torch.autograd.grad((_drawn(sample_logits) * values).sum(), leaf)[0]


@expected_gradient.wrong(
    "A detached estimator gives None. Where no gradient flows, return zeros of the logits' shape."
)
def none_when_detached(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor | None:
    leaf = logits.detach().clone().requires_grad_(True)
    values = estimator(leaf.log_softmax(-1), ref_logits.detach().log_softmax(-1))
    if values.requires_grad:
        (_drawn(sample_logits) * values).sum().backward()
    return leaf.grad


@expected_gradient.wrong(
    "Right for ordinary logits, wrong where a probability rounds to 0: log(softmax(x)) loses what "
    "log_softmax(x) keeps."
)
def softmax_then_log(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = _drawn(sample_logits)
    return _weighed(
        logits, ref_logits, estimator, lambda logp: weights, lambda x, dim: x.softmax(dim).log()
    )


@expected_gradient.wrong(
    "An input was changed in place: logits -= … writes into the caller's tensor. Compute a new one."
)
def shifted_in_place(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    logits -= logits.max()
    return reference.expected_gradient(logits, ref_logits, sample_logits, estimator)


@expected_gradient.wrong("The answer is float32 whatever came in: keep the dtype of the inputs.")
def cast_to_float32(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    asked = (logits.float(), ref_logits.float(), sample_logits.float())
    return reference.expected_gradient(*asked, estimator)


@expected_gradient.wrong(
    "A gradient reaches sample_logits, which is a constant: detach the weights."
)
def sampler_moves(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    def estimates(x: Tensor) -> Tensor:
        return estimator(x.log_softmax(-1), ref_logits.detach().log_softmax(-1))

    return sample_logits.softmax(-1) @ torch.func.jacrev(estimates)(logits.detach())


@expected_gradient.wrong(
    "None came back: a `return` is missing, or it is the .grad of a tensor that was computed. "
    "backward() fills .grad of leaves alone: of what you made with requires_grad_()."
)
def nothing_returned(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> None:
    return None


@expected_gradient.wrong(
    "These are the estimates, each times its probability. Asked is their gradient with respect to "
    "the logits: the sum of these products is what is differentiated."
)
def weighted_values(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    values = estimator(logits.detach().log_softmax(-1), ref_logits.detach().log_softmax(-1))
    return _drawn(sample_logits) * values


@expected_gradient.wrong(
    "The policy's logits went into the estimator as they are. It takes log-probabilities: "
    "log_softmax of them comes first, and its derivative belongs to the gradient."
)
def policy_not_normalised(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights, ref_logp = _drawn(sample_logits), ref_logits.detach().log_softmax(-1)
    return _weighed(logits, ref_logp, estimator, lambda logp: weights, lambda x, dim: x)


@expected_gradient.wrong(
    "The reference's logits went into the estimator as they are. It takes log-probabilities, of "
    "both: log_softmax first."
)
def reference_not_normalised(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights, ref = _drawn(sample_logits), ref_logits.detach()
    return _weighed(logits, ref, lambda logp, _: estimator(logp, ref), lambda logp: weights)


@expected_gradient.wrong(
    "The estimator was given probabilities. It takes their logarithms: log_softmax, not softmax."
)
def probabilities_in_place_of_logp(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    weights = _drawn(sample_logits)
    return _weighed(logits, ref_logits, estimator, lambda logp: weights, torch.softmax)


@expected_gradient.wrong(
    "The caller's logits require a gradient now: requires_grad_() changed them in place. Make a "
    "leaf of your own, logits.detach().clone(), and switch that one."
)
def leaf_made_of_the_input(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    found = reference.expected_gradient(logits, ref_logits, sample_logits, estimator)
    logits.requires_grad_()
    return found


@expected_gradient.right
def row_of_the_jacobian(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    def estimates(x: Tensor) -> Tensor:
        return estimator(x.log_softmax(-1), ref_logits.detach().log_softmax(-1))

    jacobian = torch.func.jacrev(estimates)(logits.detach())  # token logit
    return torch.einsum("t,tv->v", _drawn(sample_logits), jacobian)


@expected_gradient.right
def token_by_token(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    mean = torch.zeros_like(logits)
    for token, weight in enumerate(sample_logits.softmax(0).tolist()):
        leaf = logits.detach().clone().requires_grad_(True)
        values = estimator(leaf.log_softmax(0), ref_logits.log_softmax(0).detach())
        if values.requires_grad:
            values[token].backward()
            mean = mean + weight * leaf.grad
    return mean


@expected_gradient.right
def backward_with_weights(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = torch.nn.Parameter(logits.detach().clone())
    values = estimator(F.log_softmax(leaf, 0), F.log_softmax(ref_logits.detach(), 0))
    if values.grad_fn is None:
        return logits.detach() * 0
    values.backward(gradient=_drawn(sample_logits))
    return leaf.grad


@expected_gradient.right
def by_the_chain_rule(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    logp = logits.detach().log_softmax(0).requires_grad_(True)
    total = (estimator(logp, ref_logits.detach().log_softmax(0)) * _drawn(sample_logits)).sum()
    if not total.requires_grad:
        return torch.zeros_like(logits)
    (by_logp,) = torch.autograd.grad(total, logp)
    return by_logp - logp.detach().exp() * by_logp.sum()


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


def _cases_by_hand(off_policy: bool) -> Iterator[Case]:
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
    yield _far_apart(off_policy)
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


def _far_apart(off_policy: bool) -> Case:
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


def _drawn_cases(off_policy: bool, draw: Draw) -> Iterator[Case]:
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


_SEEN_INSIDE = {
    VALUES: "that it is asked one token at a time",
    CONSTANTS: "that no gradient arrives",
}

on_policy_kl_loss = Exercise(
    "on_policy_kl_loss",
    parts={VALUES: 3, CONSTANTS: 1, SHAPES: 1, RARE: 1, RULES: 1},
    hints=(
        "Write KL(policy ‖ ref) as a sum over tokens and differentiate both factors: the "
        "probability in front moves too. One of the two terms is a mean score, which is 0.",
        "What is left is the mean, over the policy's tokens, of (log policy − log ref) · ∇logp. "
        "Autograd gives ∇logp when it differentiates logp. How does a number get in front of it "
        "without being differentiated itself?",
        "A product of two factors, both made of what came in. One carries the gradient and is "
        "logp; the other is the log-ratio, taken out of the graph.",
    ),
    advisory=_SEEN_INSIDE,
)


@on_policy_kl_loss.by_hand
def _() -> Iterator[Case]:
    yield from _cases_by_hand(off_policy=False)


@on_policy_kl_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from _drawn_cases(False, draw)


off_policy_kl_loss = Exercise(
    "off_policy_kl_loss",
    parts={VALUES: 2, GRADIENT: 2, CONSTANTS: 1, SHAPES: 1, RARE: 1, RULES: 1},
    hints=(
        "Old draws too many of some tokens and too few of others. Which factor, made of logp and "
        "old_logp, puts each token's share right?",
        "The importance ratio policy/old of lesson 01, times an estimate of KL(policy ‖ ref) from "
        "one token. Which of k1, k2, k3 has the right mean? And should the ratio be a constant?",
        "The ratio is exp(logp − old_logp) with old_logp detached and logp not: through it "
        "autograd sees that the policy's own draws change. Multiply it by an unbiased estimate.",
    ),
    advisory=_SEEN_INSIDE,
)


@off_policy_kl_loss.by_hand
def _() -> Iterator[Case]:
    yield from _cases_by_hand(off_policy=True)


@off_policy_kl_loss.drawn
def _(draw: Draw) -> Iterator[Case]:
    yield from _drawn_cases(True, draw)


def _on_policy_mistakes(formula: Estimator) -> None:
    """Register what goes wrong around any right loss.

    formula: a right one, differentiable twice over: gradients reach both arguments.
    """

    @on_policy_kl_loss.wrong("A gradient reaches ref_logp, which is a constant: detach it.")
    def reference_moves(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, ref_logp)

    @on_policy_kl_loss.wrong(
        "The wrong side was detached: logp is differentiable, ref_logp is the constant."
    )
    def policy_detached(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp.detach(), ref_logp)

    @on_policy_kl_loss.wrong(
        "The mean over tokens was taken inside. Return one loss for each token: averages come "
        "later, with the mask."
    )
    def averaged(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, ref_logp.detach()).mean()

    @on_policy_kl_loss.wrong(
        "The tokens were added up into one number. Return one loss for each token."
    )
    def added_up(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, ref_logp.detach()).sum()

    @on_policy_kl_loss.wrong(
        "The last axis was summed away. Every axis holds drawn tokens here, none the vocabulary: "
        "return a loss of the shape that came in."
    )
    def last_axis_summed(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, ref_logp.detach()).sum(-1, keepdim=True)

    @on_policy_kl_loss.wrong(
        "A token by itself gets no gradient: something was made of all tokens that came in, such "
        "as log_softmax once more, or their mean as a baseline. What comes in are "
        "log-probabilities of drawn tokens, and no axis holds the vocabulary."
    )
    def normalised_again(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp.log_softmax(-1), ref_logp.detach().log_softmax(-1))

    @on_policy_kl_loss.wrong("The sign is turned: this loss pushes the policy away from ref.")
    def negated(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return -formula(logp, ref_logp.detach())

    @on_policy_kl_loss.wrong("The gradient is twice too large: a factor ½ is missing.")
    def twice(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return 2 * formula(logp, ref_logp.detach())

    @on_policy_kl_loss.wrong("The gradient is half of what it should be: one ½ too many.")
    def halved(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, ref_logp.detach()) / 2

    @on_policy_kl_loss.wrong(
        "Probabilities were formed on the way, and one of a rare token rounds to 0. Subtract the "
        "logarithms that came in."
    )
    def through_probabilities(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp.exp().log(), ref_logp.detach().exp().log())

    @on_policy_kl_loss.wrong(
        "logp was changed in place, and autograd refuses that where it needs the input: compute a "
        "new tensor."
    )
    def changed_in_place(logp: Tensor, ref_logp: Tensor) -> Tensor:
        logp -= ref_logp.detach()
        return formula(logp, torch.zeros_like(logp))

    @on_policy_kl_loss.wrong(
        "The computation ran in float32 whatever came in: keep the dtype of the inputs."
    )
    def cast_to_float32(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp.float(), ref_logp.float().detach())

    @on_policy_kl_loss.wrong(
        "Logarithms were turned to base 2. They are in nats: use them as they are."
    )
    def in_bits(logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp / math.log(2), ref_logp.detach() / math.log(2))

    @on_policy_kl_loss.wrong(
        "The log-ratio was clamped to ±10. A token that far away is the one to pull back hardest: "
        "the contract has no bound."
    )
    def log_ratio_clamped(logp: Tensor, ref_logp: Tensor) -> Tensor:
        gap = (logp - ref_logp.detach()).clamp(-10.0, 10.0).detach()
        return formula(logp, logp.detach() - gap)


_on_policy_mistakes(lambda logp, ref_logp: 0.5 * (logp - ref_logp) ** 2)


@on_policy_kl_loss.wrong(
    "The last axis was summed as if it held the vocabulary, for an exact KL. Every axis holds "
    "drawn tokens, one log-probability each: with a single token there is nothing to sum over."
)
def summed_over_the_vocabulary(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp.exp() * (logp - ref_logp.detach())).sum(-1, keepdim=True).expand_as(logp)


@on_policy_kl_loss.wrong(
    "This is k1 itself, or has its gradient: ∇logp, whose mean over the policy's tokens is 0. The "
    "value is right and nothing pulls. The log-ratio must stand in front of ∇logp."
)
def k1_itself(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp - ref_logp.detach()


@on_policy_kl_loss.wrong(
    "No gradient reaches logp at all: the log-ratio was detached as a whole. A number that you "
    "only log needs no gradient; a loss does."
)
def everything_detached(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp).detach()


@on_policy_kl_loss.wrong(
    "This is k3 itself. Its mean is KL(policy ‖ ref), but its mean gradient is that of the other "
    "direction, ∇KL(ref ‖ policy): autograd does not see that the draws change with the policy."
)
def k3_itself(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - delta


@on_policy_kl_loss.wrong(
    "This is k3 with the ratio turned round, policy/ref: tokens that the policy overrates pull "
    "exponentially hard, and the mean is the gradient of no KL."
)
def k3_turned_round(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return torch.expm1(gap) - gap


@on_policy_kl_loss.wrong(
    "Both factors carry a gradient: logp · (logp − ref) differentiates the weight as well. Detach "
    "the factor that is to be a number."
)
def weight_differentiated(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp * (logp - ref_logp.detach())


@on_policy_kl_loss.wrong(
    "Each token was weighted by its probability. The tokens are drawn from the policy, so the "
    "weight is in how often they turn up already; that formula is for a sum over the vocabulary."
)
def weighted_by_the_policy(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() * (logp - ref_logp.detach())


@on_policy_kl_loss.wrong(
    "k1 was weighted by a constant probability. The tokens are drawn from the policy, so how often "
    "they turn up is their weight already; what must stand in front of ∇logp is the log-ratio."
)
def k1_weighted_by_a_constant(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.detach().exp() * (logp - ref_logp.detach())


@on_policy_kl_loss.wrong(
    "The log-ratio stands in front of ∇logp, and so does the token's probability: it is counted "
    "twice, as the tokens are drawn from the policy. Leave the probability out."
)
def probability_counted_twice(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.detach().exp() * logp * (logp - ref_logp).detach()


@on_policy_kl_loss.wrong(
    "The ratio in front is policy/ref. The policy draws here, so the ratio is policy over the "
    "policy of the draw: 1 in value, and only its gradient matters."
)
def ratio_to_the_reference(logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return gap.exp() * gap


@on_policy_kl_loss.wrong(
    "Only log ref weighs the score: this is the gradient of the cross-entropy. The policy's own "
    "log-probability belongs to the weight too, else the policy puts all on one token."
)
def entropy_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return -logp * ref_logp.detach()


@on_policy_kl_loss.wrong(
    "The reference is not in it: this only raises the policy's entropy. The weight is the "
    "log-ratio, log policy − log ref."
)
def reference_forgotten(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp * logp.detach()


@on_policy_kl_loss.wrong(
    "Tokens that became rarer were left out. The signs must stay: such tokens are pulled up."
)
def clamped_at_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp - ref_logp.detach()).clamp(min=0.0) ** 2


@on_policy_kl_loss.wrong(
    "The weight has lost its sign. A token that became rarer must be pulled up, not down."
)
def absolute_weight(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp * (logp - ref_logp).abs().detach()


@on_policy_kl_loss.wrong(
    "The weight is only the sign of the log-ratio: far or near, every token pulls alike. This is "
    "the absolute log-ratio; square it, or weigh by the log-ratio itself."
)
def absolute_log_ratio(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - ref_logp.detach()).abs()


@on_policy_kl_loss.right
def half_the_square(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return F.mse_loss(logp, ref_logp.detach(), reduction="none") / 2


@on_policy_kl_loss.right
def ratio_times_k1(logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = torch.exp(logp - logp.detach())
    return ratio * (logp - ref_logp.detach())


@on_policy_kl_loss.right
def ratio_times_k3(logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - logp.detach()).exp() * (torch.expm1(delta) - delta)


@on_policy_kl_loss.right
def product_rule_kept(logp: Tensor, ref_logp: Tensor) -> Tensor:
    with torch.no_grad():
        weight = 1 + logp - ref_logp  # the 1 has mean gradient 0: it is a baseline
    return torch.mul(weight, logp)


@on_policy_kl_loss.right
def value_zero(logp: Tensor, ref_logp: Tensor) -> Tensor:
    return torch.einsum("...,...->...", logp - logp.detach(), (logp - ref_logp).detach())


@on_policy_kl_loss.right
def one_by_one(logp: Tensor, ref_logp: Tensor) -> Tensor:
    pairs = zip(logp.reshape(-1), ref_logp.reshape(-1).tolist(), strict=True)
    return torch.stack([policy * (policy.item() - ref) for policy, ref in pairs]).reshape(
        logp.shape
    )


OffPolicyLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def _ratio_k1(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    """The right loss, with gradients to all three."""
    return (logp - old_logp).exp() * (logp - ref_logp)


def _off_policy_mistakes(formula: OffPolicyLoss) -> None:
    """Register what goes wrong around any right loss; gradients of formula reach all three."""

    @off_policy_kl_loss.wrong("A gradient reaches old_logp, which is a constant: detach it.")
    def old_moves(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp, ref_logp.detach())

    @off_policy_kl_loss.wrong("A gradient reaches ref_logp, which is a constant: detach it.")
    def reference_moves(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp.detach(), ref_logp)

    @off_policy_kl_loss.wrong("Gradients reach old_logp and ref_logp, both constants: detach both.")
    def both_constants_move(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp, ref_logp)

    @off_policy_kl_loss.wrong("No gradient reaches logp: the policy's side was detached too.")
    def everything_detached(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp, ref_logp).detach()

    @off_policy_kl_loss.wrong(
        "The mean over tokens was taken inside. Return one loss for each token: averages come "
        "later, with the mask."
    )
    def averaged(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp.detach(), ref_logp.detach()).mean()

    @off_policy_kl_loss.wrong(
        "The last axis was summed away. Every axis holds drawn tokens here, none the vocabulary: "
        "return a loss of the shape that came in."
    )
    def last_axis_summed(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp.detach(), ref_logp.detach()).sum(-1, keepdim=True)

    @off_policy_kl_loss.wrong(
        "log_softmax was taken once more, along the last axis. What comes in are log-probabilities "
        "of drawn tokens, and no axis holds the vocabulary: use them as they are."
    )
    def normalised_again(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        constants = (values.detach().log_softmax(-1) for values in (old_logp, ref_logp))
        return formula(logp.log_softmax(-1), *constants)

    @off_policy_kl_loss.wrong(
        "The sign is turned: a divergence is above 0, and its loss is minimised."
    )
    def negated(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return -formula(logp, old_logp.detach(), ref_logp.detach())

    @off_policy_kl_loss.wrong(
        "Probabilities were formed on the way, and one of a rare token rounds to 0. Subtract the "
        "logarithms that came in."
    )
    def through_probabilities(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp.detach(), ref_logp.detach().exp().log())

    @off_policy_kl_loss.wrong(
        "logp was changed in place, and autograd refuses that where it needs the input: compute a "
        "new tensor."
    )
    def changed_in_place(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        logp -= old_logp.detach()
        return logp.exp() * (logp + old_logp.detach() - ref_logp.detach())

    @off_policy_kl_loss.wrong(
        "The answer is float32 whatever came in: keep the dtype of the inputs."
    )
    def cast_to_float32(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp.float(), old_logp.float().detach(), ref_logp.float().detach())

    @off_policy_kl_loss.wrong(
        "The log-ratio was turned to base 2. Log-probabilities are in nats: use them as they are."
    )
    def in_bits(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        return formula(logp, old_logp.detach(), ref_logp.detach()) / math.log(2)

    @off_policy_kl_loss.wrong(
        "Tokens of a ratio outside 0.8 … 1.2 were clipped. That bounds a step, and it biases both "
        "value and gradient: the exact correction has no clip."
    )
    def ratio_clipped(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
        ratio = (logp - old_logp.detach()).exp().clamp(0.8, 1.2)
        return ratio * (logp - ref_logp.detach())


_off_policy_mistakes(_ratio_k1)


@off_policy_kl_loss.wrong(
    "The value is right, the gradient is not: the ratio was held constant, so autograd does not "
    "see that the policy's own draws change. Detach old_logp alone."
)
def ratio_detached(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp).exp().detach() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "The ratio is missing: this is k1 on old's tokens, whose mean gradient is −∇KL(old ‖ policy). "
    "Descending it pushes the policy away from old."
)
def ratio_forgotten(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp - ref_logp.detach()


@off_policy_kl_loss.wrong(
    "The ratio is missing: this is k3 on old's tokens, right only while policy and old are equal."
)
def k3_without_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - delta


@off_policy_kl_loss.wrong(
    "The ratio is missing: this is k2 on old's tokens. It is right for neither the value nor, "
    "once policy and old differ, the gradient."
)
def k2_without_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return 0.5 * (logp - ref_logp.detach()) ** 2


@off_policy_kl_loss.wrong(
    "Ratio × k2 is biased, in value and in gradient: k2's mean is not the KL. With a ratio that "
    "carries a gradient, the estimate beside it must be unbiased."
)
def ratio_times_k2(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp() * 0.5 * (logp - ref_logp.detach()) ** 2


@off_policy_kl_loss.wrong(
    "The value is that of ratio × k2, and k2's mean is not the KL. With a constant ratio its "
    "gradient alone would do, but value and gradient are both asked here."
)
def constant_ratio_times_k2(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp).exp().detach() * 0.5 * (logp - ref_logp.detach()) ** 2


@off_policy_kl_loss.wrong(
    "The value is that of ratio × logp × log-ratio, which has no meaning as a number. With a "
    "constant ratio its gradient alone would do, but both are asked: leave logp out, and let the "
    "ratio carry the gradient."
)
def score_form(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp).exp().detach() * logp * (logp - ref_logp).detach()


@off_policy_kl_loss.wrong(
    "logp is one factor too many: ratio × logp × constant log-ratio is neither right as a number "
    "nor, with a ratio that moves, in its gradient. Two factors do: the ratio carries the gradient "
    "of the draws, and the log-ratio beside it is differentiated too."
)
def score_form_with_a_moving_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp() * logp * (logp - ref_logp).detach()


@off_policy_kl_loss.wrong(
    "The ratio is turned round: old/policy. Old drew the tokens, so each counts policy/old times."
)
def ratio_turned_round(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (old_logp.detach() - logp).exp() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "The ratio is policy/ref. It must undo who drew the tokens, and that was old."
)
def ratio_to_the_reference(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return gap.exp() * gap


@off_policy_kl_loss.wrong(
    "The log-ratio beside the ratio is policy against old: that is the size of the step, "
    "KL(policy ‖ old). The drift is measured against ref."
)
def step_in_place_of_drift(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - old_logp.detach()
    return gap.exp() * gap


@off_policy_kl_loss.wrong(
    "The log-ratio beside the ratio is old against ref: how far old had drifted. Asked is the "
    "policy's drift: log policy − log ref."
)
def drift_of_old(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp() * (old_logp - ref_logp).detach()


@off_policy_kl_loss.wrong(
    "exp is missing: logp − old_logp is the logarithm of the ratio. Weights are ratios."
)
def logarithm_of_the_ratio(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()) * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "Each token was weighted by the policy's probability. Old drew the tokens, so the weight is "
    "policy/old; the probability alone is for a sum over the vocabulary."
)
def probability_as_weight(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "The ratios were divided by their mean. That steadies a batch and biases it; the exact "
    "correction uses each ratio as it is."
)
def ratio_normalised(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = (logp - old_logp.detach()).exp()
    return ratio / ratio.mean() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "k3 stands beside the ratio with its own ratio turned round, policy/ref. For KL(policy ‖ ref) "
    "it is ref/policy − 1 − log(ref/policy)."
)
def k3_turned_round(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return (logp - old_logp.detach()).exp() * (torch.expm1(gap) - gap)


@off_policy_kl_loss.wrong(
    "The log-ratio beside the ratio is ref against policy: its sign is turned, while the ratio is "
    "right. This is old's own formula for −KL(policy ‖ ref) plus the ratio."
)
def log_ratio_turned_round(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    gap = logp - ref_logp.detach()
    return (logp - old_logp.detach()).exp() * (1 - gap)


@off_policy_kl_loss.wrong(
    "exp(logp) / exp(old_logp) is 0/0 = nan for a token that both hold for very rare: each "
    "probability rounds to 0. Subtract first: exp(logp − old_logp)."
)
def quotient_of_probabilities(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp.exp() / old_logp.detach().exp() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "The ratio is logp / old_logp here, a quotient of logarithms. That of the probabilities is "
    "exp(logp − old_logp)."
)
def quotient_of_logarithms(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return logp / old_logp.detach() * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "Ratios above 2 were cut off (truncated weights). That bounds the noise of a batch and biases "
    "value and gradient: the exact correction has no bound."
)
def ratio_truncated(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp().clamp(max=2.0) * (logp - ref_logp.detach())


@off_policy_kl_loss.wrong(
    "k3 was cut off at 10. Tokens that far from ref are few and count the most: with a bound the "
    "mean is no KL any more."
)
def k3_cut_off(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - old_logp.detach()).exp() * (torch.expm1(delta) - delta).clamp(max=10.0)


@off_policy_kl_loss.wrong(
    "The log-ratio to ref was clamped to ±20. A token that far away is the one that costs most: "
    "the loss has no bound."
)
def log_ratio_clamped(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    return (logp - old_logp.detach()).exp() * (logp - ref_logp.detach()).clamp(-20.0, 20.0)


@off_policy_kl_loss.right
def ratio_times_k3(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    delta = ref_logp.detach() - logp
    return (logp - old_logp.detach()).exp() * (torch.expm1(delta) - delta)


@off_policy_kl_loss.right
def with_a_control_variate(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    ratio = torch.exp(logp - old_logp.detach())
    return torch.addcmul(1 - ratio, ratio, logp - ref_logp.detach())


@off_policy_kl_loss.right
def value_and_gradient_apart(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    with torch.no_grad():
        value = (logp - old_logp).exp() * (logp - ref_logp)
    return value * (1 + logp - logp.detach())


@off_policy_kl_loss.right
def value_beside_a_score(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    constant = (ref_logp - old_logp).detach().exp()  # in the mean 1: it is a control variate
    ratio = torch.exp(logp.sub(old_logp.detach()))
    return torch.einsum("...,...->...", ratio, logp - ref_logp.detach() - 1) + constant


@off_policy_kl_loss.right
def one_by_one(logp: Tensor, old_logp: Tensor, ref_logp: Tensor) -> Tensor:
    rows = zip(
        logp.reshape(-1),
        old_logp.reshape(-1).tolist(),
        ref_logp.reshape(-1).tolist(),
        strict=True,
    )
    losses = [(policy - old).exp() * (policy - ref) for policy, old, ref in rows]
    return torch.stack(losses).reshape(logp.shape)


SYMPTOMS = {
    "A": "NaN from finite numbers, on any batch",
    "B": "a ratio that is not 1 before any update",
    "C": "a right number in the log and a weight β that changes nothing",
    "D": "a larger β that gives a larger KL",
    "E": "a KL that is missing from the log, with β = 0",
    "F": "NaN only where padding holds −inf or inf",
    "G": "a KL of exactly 0 between any two models",
    "H": "single tokens below 0 from an estimator that is never below 0",
    "I": "a mean over many responses that stays below 0",
}
DOES = {
    "k1_loss": "On stored tokens k1 has the gradient −∇KL(old ‖ policy), so a larger weight on it "
    "pushes harder away from where the run started.",
    "second_softmax": "One gathered log-probability per position is an axis of length one, whose "
    "softmax is 1 for every model: nothing is left to differ.",
    "kl_div": "Without log_target, F.kl_div takes the logarithm of its target, which here is a "
    "log-probability: a negative number, with or without padding.",
    "exponent": "With its exponent's sign turned, k3 is no longer the gap between a tangent and a "
    "curve, and a token that became rarer gives a negative number.",
    "padding": "The product with the mask is 0 · inf in the padding, and only there.",
    "train_mode": "Dropout draws a new network at each call, so the same weights score the same "
    "token twice with different results, before any update.",
    "temperature": "The tokens were drawn at a lower temperature than they are scored at, so the "
    "mean of the log-ratio is no KL, and nothing keeps it above 0.",
    "detached": "A detached KL has the right value and no gradient, so its weight has no effect on "
    "any update.",
}

q04_bug_museum = Quiz(
    "q04_bug_museum",
    parts=dict.fromkeys(DOES, 1),
    forms=dict.fromkeys(DOES, list(SYMPTOMS)),
    hints=(
        "Run each exhibit and read its numbers before you read the list of complaints. One letter "
        "fits no exhibit.",
        "Two complaints are NaN. Which exhibit needs padding to fail, and which fails without?",
        "Two complaints are about β. One exhibit has a gradient that points the wrong way, another "
        "has none at all: what does a larger β do to each?",
    ),
)


def _compare_symptoms(key: str, letter: str) -> None:
    """Register one wrong letter, with what the defect does in place of what the letter tells."""
    says = f"{letter} tells of {SYMPTOMS[letter]}. Not {key}: {DOES[key]}"
    q04_bug_museum.mistakes.append(Mistake(f"{key}_answered_{letter.lower()}", says, {key: letter}))


for _key, _right in reference.q04_bug_museum.items():
    for _letter in sorted(SYMPTOMS.keys() - {_right}):
        _compare_symptoms(_key, _letter)
