"""Average exactly, over the token that is drawn, what autograd makes of an estimator."""

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
    yield Case("float64, detached", inputs(4, HELD_CUBIC, torch.float64), NO_GRADIENT)


def _drawn(sample_logits: Tensor) -> Tensor:
    return sample_logits.detach().softmax(-1)


expected_gradient.changed(
    "drawn_from_the_policy",
    "sample_logits.detach().softmax(dim=-1)",
    "logits.detach().softmax(dim=-1)",
    "The tokens were drawn from the policy. Who draws is an argument of its own: weigh each token "
    "by softmax(sample_logits).",
)


@expected_gradient.wrong(
    "Each token counts by the policy's probability, and that was differentiated too, as a weight "
    "or as an importance ratio. That is the gradient of an expectation; autograd on tokens already "
    "drawn sees the estimator alone, and the mean over softmax(sample_logits) comes after it."
)
def weights_differentiated(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = logits.detach().clone().requires_grad_(True)
    logp = leaf.log_softmax(-1)
    mean = (logp.exp() * estimator(logp, ref_logits.detach().log_softmax(-1))).sum()
    return torch.autograd.grad(mean, leaf)[0]


expected_gradient.changed(
    "drawn_from_the_reference",
    "sample_logits.detach().softmax(dim=-1)",
    "ref_logits.detach().softmax(dim=-1)",
    "The tokens were drawn from the reference. Weigh each token by softmax(sample_logits).",
)
expected_gradient.changed(
    "equal_weights",
    "sample_logits.detach().softmax(dim=-1)",
    "torch.full_like(logits, 1 / len(logits))",
    "Every token was given the same weight. Each counts by its probability, "
    "softmax(sample_logits).",
)
expected_gradient.changed(
    "likeliest_token_alone",
    "sample_logits.detach().softmax(dim=-1)",
    "torch.eye(len(logits), dtype=logits.dtype)[sample_logits.argmax()]",
    "Only the likeliest token was counted, as if it were always the one that is drawn. Every token "
    "counts, by its probability, softmax(sample_logits): an exact mean leaves nothing to a draw.",
)
expected_gradient.changed(
    "no_weights",
    "sample_logits.detach().softmax(dim=-1)",
    "torch.ones_like(logits)",
    "The gradients were added without weights. Each counts by its probability, "
    "softmax(sample_logits).",
)
expected_gradient.changed(
    "raw_sample_logits",
    "sample_logits.detach().softmax(dim=-1)",
    "sample_logits.detach()",
    "sample_logits were used as weights as they are. They are scores: their softmax gives the "
    "probabilities.",
)
expected_gradient.changed(
    "weights_not_normalised",
    "sample_logits.detach().softmax(dim=-1)",
    "sample_logits.detach().exp()",
    "exp(sample_logits) does not sum to 1. Probabilities come from softmax, which divides by the "
    "sum, and does not overflow.",
)
expected_gradient.changed(
    "logarithms_as_weights",
    "sample_logits.detach().softmax(dim=-1)",
    "sample_logits.detach().log_softmax(dim=-1)",
    "The weights are log-probabilities. A mean weighs by probabilities: softmax, without the log.",
)
expected_gradient.changed(
    "averaged_after_weighing",
    "sample_logits.detach().softmax(dim=-1)",
    "sample_logits.detach().softmax(dim=-1) / len(logits)",
    "This is the expectation divided by the number of tokens: .mean() after weighing. The weights "
    "sum to 1 already, so add up.",
)
expected_gradient.changed(
    "arguments_exchanged",
    "estimator(leaf.log_softmax(dim=-1), ref_logp)",
    "estimator(ref_logp, leaf.log_softmax(dim=-1))",
    "The estimator's arguments are exchanged: it takes logp first, then ref_logp.",
)
expected_gradient.changed(
    "logits_in_place_of_logp",
    "estimator(leaf.log_softmax(dim=-1), ref_logp)",
    "estimator(leaf, ref_logits.detach())",
    "The estimator was given logits. It takes log-probabilities: log_softmax of both comes first, "
    "and its derivative belongs to the gradient.",
)


@expected_gradient.wrong(
    "This is the gradient with respect to the log-probabilities. One step is missing: logp depends "
    "on every logit through log_softmax, so make the logits the leaf."
)
def gradient_of_logp(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = logits.detach().log_softmax(-1).requires_grad_(True)
    values = estimator(leaf, ref_logits.detach().log_softmax(-1))
    if not values.requires_grad:
        return torch.zeros_like(logits)
    return torch.autograd.grad((_drawn(sample_logits) * values).sum(), leaf)[0]


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


expected_gradient.changed(
    "descent_direction",
    "return gradient",
    "return -gradient",
    "The sign is turned: this is the direction of descent. Return the gradient itself.",
)


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


expected_gradient.changed(
    "none_when_detached",
    "torch.zeros_like(leaf).detach()",
    "None",
    "A detached estimator gives None. Where no gradient flows, return zeros of the logits' shape.",
)
expected_gradient.changed(
    "softmax_then_log",
    "estimator(leaf.log_softmax(dim=-1), ref_logp)",
    "estimator(leaf.softmax(dim=-1).log(), ref_logits.detach().softmax(dim=-1).log())",
    "Right for ordinary logits, wrong where a probability rounds to 0: log(softmax(x)) loses what "
    "log_softmax(x) keeps.",
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
    "None came back: a `return` is missing, or it is a .grad that nothing has filled. backward() "
    "fills it of leaves alone, of what you made with requires_grad_() before you computed with it."
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


expected_gradient.changed(
    "policy_not_normalised",
    "leaf.log_softmax(dim=-1)",
    "leaf",
    "The policy's logits went into the estimator as they are. It takes log-probabilities: "
    "log_softmax of them comes first, and its derivative belongs to the gradient.",
)
expected_gradient.changed(
    "reference_not_normalised",
    "ref_logits.detach().log_softmax(dim=-1)",
    "ref_logits.detach()",
    "The reference's logits went into the estimator as they are. It takes log-probabilities, of "
    "both: log_softmax first.",
)
expected_gradient.changed(
    "probabilities_in_place_of_logp",
    "estimator(leaf.log_softmax(dim=-1), ref_logp)",
    "estimator(leaf.softmax(dim=-1), ref_logits.detach().softmax(dim=-1))",
    "The estimator was given probabilities. It takes their logarithms: log_softmax, not softmax.",
)
expected_gradient.changed(
    "leaf_made_of_the_input",
    "logits.detach().clone().requires_grad_(True)",
    "logits.requires_grad_()",
    "The caller's logits require a gradient now: requires_grad_() changed them in place. Make a "
    "leaf of your own, logits.detach().clone(), and switch that one.",
)


@expected_gradient.wrong(
    "The caller's tensors require a gradient now, logits and ref_logits: requires_grad_() changed "
    "them in place. Make one leaf of your own, logits.detach().clone(), and switch that one."
)
def leaves_made_of_two_inputs(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    found = reference.expected_gradient(logits, ref_logits, sample_logits, estimator)
    logits.requires_grad_()
    ref_logits.requires_grad_()
    return found


@expected_gradient.wrong(
    "The caller's tensors require a gradient now, all three: requires_grad_() changed them in "
    "place. Make one leaf of your own, logits.detach().clone(), and switch that one."
)
def leaves_made_of_all_inputs(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    found = reference.expected_gradient(logits, ref_logits, sample_logits, estimator)
    for given in (logits, ref_logits, sample_logits):
        given.requires_grad_()
    return found


@expected_gradient.wrong(
    "Each token counts by the policy's probability, and that was differentiated too. That is the "
    "gradient of an expectation; autograd on tokens already drawn sees the estimator alone, and "
    "the mean over softmax(sample_logits) comes after it."
)
def weights_differentiated_zeros_apart(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf, _, values = _estimates(logits, ref_logits, estimator)
    if not values.requires_grad:
        return torch.zeros_like(logits)
    return _gradient((leaf.softmax(-1) * values).sum(), leaf)


def _estimates(
    logits: Tensor, ref_logits: Tensor, estimator: Estimator
) -> tuple[Tensor, Tensor, Tensor]:
    """Leaves for both logits, and the estimates computed of them."""
    leaf = logits.detach().clone().requires_grad_(True)
    ref_leaf = ref_logits.detach().clone().requires_grad_(True)
    return leaf, ref_leaf, estimator(leaf.log_softmax(-1), ref_leaf.log_softmax(-1))


def _gradient(total: Tensor, leaf: Tensor) -> Tensor:
    if not total.requires_grad:
        return torch.zeros_like(leaf).detach()
    return torch.autograd.grad(total, leaf)[0]


@expected_gradient.wrong(
    "The weights came too late. The gradients of all tokens had been added up by then, and each "
    "logit's sum was multiplied by a probability: weigh each token's estimate before you "
    "differentiate."
)
def weighed_after_differentiating(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf, _, values = _estimates(logits, ref_logits, estimator)
    return _drawn(sample_logits) * _gradient(values.sum(), leaf)


@expected_gradient.wrong(
    "One number came back: the gradients of all tokens were added up, weighed by logit, and "
    "summed. The answer has a number for each logit, and it is the tokens' estimates that are "
    "weighed, before you differentiate."
)
def weighed_after_differentiating_and_summed(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf, _, values = _estimates(logits, ref_logits, estimator)
    return (_drawn(sample_logits) * _gradient(values.sum(), leaf)).sum()


@expected_gradient.wrong(
    "This is estimate × ∇logp, as policy gradients have it. Asked is what autograd makes of the "
    "estimator itself: differentiate its values, do not detach them."
)
def score_term_alone(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf, _, values = _estimates(logits, ref_logits, estimator)
    return _gradient((_drawn(sample_logits) * values.detach() * leaf.log_softmax(-1)).sum(), leaf)


@expected_gradient.wrong(
    "Zeros came back whatever the estimator is. What was asked for a gradient is not what the "
    "estimator was given, or the graph between them was cut, as .detach(), .item() and no_grad() "
    "do."
)
def zeros_always(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    return torch.zeros_like(logits)


@expected_gradient.wrong(
    "This is the gradient with respect to ref_logits, which are a constant. Asked is that with "
    "respect to logits."
)
def gradient_of_the_reference(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    _, ref_leaf, values = _estimates(logits, ref_logits, estimator)
    return _gradient((_drawn(sample_logits) * values).sum(), ref_leaf)


@expected_gradient.wrong(
    "This is the gradient with respect to sample_logits, which are a constant. Asked is that with "
    "respect to logits."
)
def gradient_of_the_sampler(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> Tensor:
    leaf = sample_logits.detach().clone().requires_grad_(True)
    _, _, values = _estimates(logits, ref_logits, estimator)
    return _gradient((leaf.softmax(-1) * values.detach()).sum(), leaf)


@expected_gradient.wrong(
    "A tuple or a list came back, with the gradient in it. torch.autograd.grad gives a tuple, one "
    "gradient for each input: return the tensor alone."
)
def tuple_of_one(
    logits: Tensor, ref_logits: Tensor, sample_logits: Tensor, estimator: Estimator
) -> tuple[Tensor]:
    return (reference.expected_gradient(logits, ref_logits, sample_logits, estimator),)


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
