"""The exercise `expected_gradient`."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812, its usual name

from helpers import reference
from helpers.cases import RULES, VALUES, Case, make

from ...draw import Draw
from ...exercise import Exercise, tensor
from .shared import CUBIC, HELD_CUBIC, K1, K2, LARGE, NO_GRADIENT, _asked

Estimator = Callable[[Tensor, Tensor], Tensor]

HELD = make("polynomial", coefficients=[0.0, 1.0], graph=False)

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
