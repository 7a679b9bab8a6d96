"""First tries at `expected_gradient`."""

import torch
from torch.nn import functional as F  # noqa: N812, its usual name

from . import right, told


def _leaf(logits):
    return logits.detach().clone().requires_grad_()


def _of(loss, leaf):
    """Zeros where the loss has no gradient."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(loss, leaf, allow_unused=True)
    return torch.zeros_like(leaf) if found is None else found


def _logs(leaf, ref_logits):
    return leaf.log_softmax(-1), ref_logits.detach().log_softmax(-1)


@told("nothing_returned")
def grad_of_no_leaf(logits, ref_logits, sample_logits, estimator):
    values = estimator(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    loss = (sample_logits.softmax(-1) * values).sum()
    if loss.requires_grad:
        loss.backward()
    return logits.grad


@told("library: *")
def backward_without_a_graph(logits, ref_logits, sample_logits, estimator):
    values = estimator(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    (sample_logits.softmax(-1) * values).sum().backward()
    return logits.grad


@told("expected_value")
def value_in_place_of_gradient(logits, ref_logits, sample_logits, estimator):
    values = estimator(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    return (sample_logits.softmax(-1) * values).sum()


@told("weighted_values")
def terms_of_the_value(logits, ref_logits, sample_logits, estimator):
    values = estimator(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    return (sample_logits.softmax(-1) * values).detach()


@told("logits_in_place_of_logp")
def raw_logits(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(leaf, ref_logits.detach())
    return _of((sample_logits.detach().softmax(-1) * values).sum(), leaf)


@told("probabilities_in_place_of_logp")
def probabilities_to_the_estimator(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(leaf.softmax(-1), ref_logits.detach().softmax(-1))
    return _of((sample_logits.detach().softmax(-1) * values).sum(), leaf)


@told("logarithms_as_weights")
def sample_as_logarithms(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    weights = sample_logits.detach().log_softmax(-1)
    return _of((weights * estimator(*_logs(leaf, ref_logits))).sum(), leaf)


@told("raw_sample_logits")
def sample_logits_as_weights(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    return _of((sample_logits.detach() * estimator(*_logs(leaf, ref_logits))).sum(), leaf)


@told("drawn_from_the_policy")
def weighed_by_the_policy(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    return _of((logp.detach().exp() * estimator(logp, ref_logp)).sum(), leaf)


@told("weights_differentiated")
def weighed_by_the_moving_policy(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    return _of((logp.exp() * estimator(logp, ref_logp)).sum(), leaf)


@told("drawn_from_the_reference")
def weighed_by_ref(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    return _of((ref_logp.exp() * estimator(logp, ref_logp)).sum(), leaf)


@told("no_weights")
def plain_sum(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    return _of(estimator(*_logs(leaf, ref_logits)).sum(), leaf)


@told("equal_weights")
def plain_mean(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    return _of(estimator(*_logs(leaf, ref_logits)).mean(), leaf)


@told("averaged_after_weighing")
def products_averaged(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    weights = sample_logits.detach().softmax(-1)
    return _of((weights * estimator(*_logs(leaf, ref_logits))).mean(), leaf)


@told("likeliest_token_alone")
def of_the_likeliest(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(*_logs(leaf, ref_logits))
    return _of(values[sample_logits.argmax()], leaf)


@told("weighed_after_differentiating")
def weights_after_the_gradient(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    slopes = _of(estimator(*_logs(leaf, ref_logits)).sum(), leaf)
    return sample_logits.softmax(-1) * slopes


@told("weighed_after_differentiating_and_summed")
def weights_after_the_gradient_summed(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    slopes = _of(estimator(*_logs(leaf, ref_logits)).sum(), leaf)
    return (sample_logits.softmax(-1) * slopes).sum()


@told("gradient_of_logp")
def with_respect_to_logp(logits, ref_logits, sample_logits, estimator):
    logp = logits.log_softmax(-1).detach().requires_grad_()
    values = estimator(logp, ref_logits.detach().log_softmax(-1))
    return _of((sample_logits.softmax(-1) * values).sum(), logp)


@told("arguments_exchanged")
def arguments_swapped(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    return _of((sample_logits.detach().softmax(-1) * estimator(ref_logp, logp)).sum(), leaf)


@told("score_term_alone")
def score_function(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    values = estimator(logp, ref_logp).detach()
    return _of((sample_logits.detach().softmax(-1) * values * logp).sum(), leaf)


@told("weights_differentiated")
def importance_weighted(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    logp, ref_logp = _logs(leaf, ref_logits)
    sample = sample_logits.detach().log_softmax(-1)
    return _of(((logp - sample).exp() * sample.exp() * estimator(logp, ref_logp)).sum(), leaf)


@told("descent_direction")
def negated(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    weights = sample_logits.detach().softmax(-1)
    return -_of((weights * estimator(*_logs(leaf, ref_logits))).sum(), leaf)


@told("raises_when_detached")
def zeros_forgotten(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    loss = (sample_logits.detach().softmax(-1) * estimator(*_logs(leaf, ref_logits))).sum()
    return torch.autograd.grad(loss, leaf)[0]


@told("none_when_detached")
def none_where_no_gradient(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    loss = (sample_logits.detach().softmax(-1) * estimator(*_logs(leaf, ref_logits))).sum()
    if loss.requires_grad:
        loss.backward()
    return leaf.grad


@told("tuple_of_one")
def tuple_returned(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    weights = sample_logits.detach().softmax(-1)
    return (_of((weights * estimator(*_logs(leaf, ref_logits))).sum(), leaf),)


@told("leaf_made_of_the_input")
def gradient_of_the_input(logits, ref_logits, sample_logits, estimator):
    logits.requires_grad_(True)
    loss = (sample_logits.softmax(-1) * estimator(*_logs(logits, ref_logits))).sum()
    if loss.requires_grad:
        loss.backward()
    return logits.grad if logits.grad is not None else torch.zeros_like(logits)


@told("leaves_made_of_two_inputs")
def gradients_of_two_inputs(logits, ref_logits, sample_logits, estimator):
    logits.requires_grad_()
    ref_logits.requires_grad_()
    values = estimator(logits.log_softmax(-1), ref_logits.log_softmax(-1))
    if not values.requires_grad:
        return torch.zeros_like(logits)
    (sample_logits.softmax(-1) * values).sum().backward()
    return logits.grad


@told("weights_differentiated_zeros_apart")
def weighed_by_the_moving_policy_with_zeros(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(*_logs(leaf, ref_logits))
    if not values.requires_grad:
        return torch.zeros_like(logits)
    return _of((leaf.softmax(-1) * values).sum(), leaf)


@told("zeros_always")
def logits_detached(logits, ref_logits, sample_logits, estimator):
    values = estimator(*_logs(logits.detach(), ref_logits))
    return _of((sample_logits.detach().softmax(-1) * values).sum(), _leaf(logits))


@told()
def one_draw_a_thousand_times(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    torch.manual_seed(0)
    drawn = torch.multinomial(sample_logits.softmax(-1), 1000, replacement=True)
    return _of(estimator(*_logs(leaf, ref_logits))[drawn].mean(), leaf)


@told("library: *")
def per_token_gradients(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(*_logs(leaf, ref_logits))
    return torch.autograd.grad(values, leaf)[0] * sample_logits.softmax(-1)


@right
def one_after_the_other(logits, ref_logits, sample_logits, estimator):
    weights = sample_logits.detach().softmax(-1)
    total = torch.zeros_like(logits)
    for y in range(len(logits)):
        leaf = _leaf(logits)
        total = total + weights[y] * _of(estimator(*_logs(leaf, ref_logits))[y], leaf)
    return total.detach()


@right
def dot_product(logits, ref_logits, sample_logits, estimator):
    leaf = _leaf(logits)
    values = estimator(F.log_softmax(leaf, -1), F.log_softmax(ref_logits.detach(), -1))
    return _of(torch.dot(F.softmax(sample_logits.detach(), -1), values), leaf)
