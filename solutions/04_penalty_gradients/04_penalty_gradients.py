# %% [markdown]
# # 04 · Which number may you differentiate?
#
# The number you log is not always the number you may differentiate. After this lesson you can
#
# - compute exactly, without sampling, what autograd makes of a penalty on average;
# - say which penalty pulls towards the reference, which does nothing, and which pushes away;
# - write a loss that pulls: for own tokens, for an older policy's tokens, for whole responses;
# - find a library's penalty in the table, and recognise real defects by their symptoms.
#
# About 183 minutes, in three sittings: 4.4 ends the first, 4.7 the second; 4.10 is optional, and
# takes 30 more. The boxes that open are proofs for a second reading, and not counted. It needs
# lesson 02 ($k_1$, $k_2$, $k_3$) and the ratio of lesson 01.

# %% setup
from collections.abc import Callable
from itertools import combinations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped, written
from helpers.plots.bug_museum import plot_reset
from helpers.plots.penalty_gradients import (
    plot_beta,
    plot_descents,
    plot_length,
    plot_push,
    plot_reuse,
    plot_runs,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.bug_museum import (
    judge_kept_logp,
    judge_weight,
    kept_by_top_p,
    many_problems,
    mean_reward,
    off_by,
    penalised_loss_gradient,
)
from helpers.problems.penalty_gradients import (
    PROBABILITIES,
    all_responses,
    central_differences,
    descend,
    descend_on_samples,
    drift_after_training,
    errors_by_age,
    exact_kl,
    gap_between,
    half_chi_square,
    known_gradients,
    on_old,
    push_by_probability,
    responses_of_old,
    second_moment_of_ratio,
    spread_of,
    start_and_ref,
    three_policies,
    three_ways,
    with_ratio,
)

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## 4.1 Two uses of one number *(no points, 5 min)*
#
# Three estimators of KL(policy ‖ ref) from one drawn token, as in lesson 02: each is a number
# that you can *log*. Training asks for something else: call `.backward()` on it and follow the
# gradient. Do the two uses agree?
#
# Three names, kept apart: **policy** is trained, **old** drew the data, **ref** is where it
# should stay near. **Predict**: $k_1 = \log \text{policy}(y) - \log \text{ref}(y)$ of one token
# $y$. How does its gradient, with respect to the policy's logits, depend on ref?

# %% demo
_estimators = {
    "k1": lambda logp, ref_logp: logp - ref_logp,
    "k2": lambda logp, ref_logp: (logp - ref_logp) ** 2 / 2,
    "k3": lambda logp, ref_logp: torch.exp(ref_logp - logp) - 1 - (ref_logp - logp),
}
_policy, _old, _ref = three_policies(seed=0)
_token, _scores = 2, _policy.clone().requires_grad_(True)
_another = three_policies(seed=1)[2]
for _reference in (_ref, _another):
    _logp, _ref_logp = _scores.log_softmax(-1)[_token], _reference.log_softmax(-1)[_token]
    _value = _estimators["k1"](_logp, _ref_logp)
    (_by_scores,) = torch.autograd.grad(_value, _scores)
    print(f"k1 = {_value.item():+.4f}, its gradient", [f"{g:+.4f}" for g in _by_scores.tolist()])

# %% [markdown]
# Two references, two values of $k_1$, one gradient. ref is a constant that is subtracted, so
# its derivative is 0: what is left is the *score* $\nabla \log \text{policy}(y)$, which knows
# nothing of ref. A loss that is to keep the policy near ref cannot be that.
#
# One token is an anecdote. What training follows is the mean over the tokens that are drawn.

# %% [markdown]
# ## 4.2 The expected gradient, exactly *(6 points, 20 min, medium)*
#
# Autograd sees an estimator of a token that *has been drawn*: where the draw came from is not
# in its graph. Averaged over draws from some `sample` policy, it therefore gives
#
# $$\sum_y \text{sample}(y)\;\nabla\,
# \text{estimator}\bigl(\log \text{policy}(y),\, \log \text{ref}(y)\bigr)$$
#
# With five tokens nothing need be sampled: list them all. **Predict**: is this the same as the
# gradient of the estimator's mean, when the policy itself is the sampler? Then write it. (4.3
# answers. The cells pass `_policy.clone()` as the sampler: equal numbers, another tensor.)


# %% exercise="expected_gradient"
@shaped
def expected_gradient(
    logits: Float[Tensor, " vocab"],
    ref_logits: Float[Tensor, " vocab"],
    sample_logits: Float[Tensor, " vocab"],
    estimator: Callable[[Tensor, Tensor], Tensor],
) -> Float[Tensor, " vocab"]:
    """What autograd makes of an estimator, averaged exactly over the token that is drawn.

    logits: the policy's, and what is differentiated; left as they are, `.grad` included.
    ref_logits, sample_logits: constants; the token is drawn from softmax(sample_logits).
    estimator: takes (logp, ref_logp) of all tokens at once, and returns a number for each.
    Returns Σ_y sample(y) · ∇ estimator(logp(y), ref_logp(y)); zeros if no gradient flows.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, for the penalty; arXiv 2506.09477 for its gradients.
    Example: k1, policy (1/2, 1/2), drawn from (3/4, 1/4): (1/4, −1/4), whatever ref is.
    """
    ### BEGIN SOLUTION
    leaf = logits.detach().clone().requires_grad_(True)
    ref_logp = ref_logits.detach().log_softmax(dim=-1)
    values = estimator(leaf.log_softmax(dim=-1), ref_logp)
    if not values.requires_grad:
        return torch.zeros_like(leaf).detach()
    drawn = sample_logits.detach().softmax(dim=-1)
    (gradient,) = torch.autograd.grad(values, leaf, grad_outputs=drawn)
    return gradient
    ### END SOLUTION


# %% check="expected_gradient" points=6
check("expected_gradient", expected_gradient)

# %% [markdown]
# ## 4.3 A loss that pulls, on your own tokens *(7 points, 27 min, medium)*
#
# First $k_1$, the penalty as it is written. Its mean, on tokens of the policy, is exactly
# KL(policy ‖ ref). **Predict** its expected gradient, on the same tokens:
#
# - **A**: 0
# - **B**: ∇KL(policy ‖ ref)
# - **C**: ∇KL(ref ‖ policy)
# - **D**: none of these

# %% predict="row_k1"
predict("row_k1", ...)

# %% demo
if ready("expected_gradient"):
    _known = known_gradients(_policy, _old, _ref)  # of exact KLs, by central differences
    _mean = (_policy.softmax(-1) * (_policy.log_softmax(-1) - _ref.log_softmax(-1))).sum()
    _found = expected_gradient(_policy, _ref, _policy.clone(), _estimators["k1"])
    print(f"mean of k1 {_mean:.6f}, KL(policy ‖ ref) {exact_kl(_policy, _ref):.6f}")
    print(f"largest entry of k1's mean gradient: {_found.abs().max():.0e}")
    _gap = {what: gap_between(_found, one) for what, one in _known.items()}
    for _what, _size in list(_gap.items())[:3]:
        print(f"  off from {_what:20}{_size:8.0e}")
    _zero, _to_ref, _from_ref, _ = (size < 1e-10 for size in _gap.values())
    outcome("row_k1", A=_zero, B=_to_ref, C=_from_ref, D=True)

# %% [markdown]
# The right number to log, and nothing to follow. The score of 4.1 is left of it, and scores
# average to 0.
#
# <details><summary>Why: scores average to 0</summary>
#
# By the chain rule $\nabla \text{policy} = \text{policy}\cdot\nabla\log\text{policy}$, and the
# probabilities sum to 1 wherever the policy goes:
#
# $$\sum_y \text{policy}(y)\,\nabla\log\text{policy}(y) = \sum_y \nabla\,\text{policy}(y)
# = \nabla \sum_y \text{policy}(y) = \nabla 1 = 0$$
#
# Only the policy's own draws do that: with old's probabilities in front, nothing cancels.
#
# </details>

# %% [markdown]
# Where is the pull, then? Differentiate the divergence itself, with $d = \log \text{policy} -
# \log \text{ref}$, by the product rule. The draws move, and the log-ratio moves:
#
# $$\nabla \sum_y \text{policy}(y)\,d(y) =
# \sum_y d(y)\,\nabla\text{policy}(y) + \sum_y \text{policy}(y)\,\nabla d(y)$$
#
# **Derive it**: autograd on $k_1$ sees the second sum alone. Bring the first to the same form, a
# mean over the policy's draws, by $\nabla\text{policy} = \text{policy}\cdot\nabla\log\text{policy}$,
# and put its vector in place of the dots: five entries, one for each logit.

# %% demo
_probability = _policy.softmax(-1)  # token
_log_ratio = _policy.log_softmax(-1) - _ref.log_softmax(-1)  # token
_score = torch.eye(5) - _probability  # token logit: ∇ of each log-probability
_log_ratio_moves = _probability @ _score  # the second sum
_draws_move = ...

# %% demo
if written(_draws_move):
    _whole = known_gradients(_policy, _old, _ref)["∇KL(policy ‖ ref)"]
    print("log-ratio moves ", [f"{g:+.6f}" for g in _log_ratio_moves.tolist()])
    print("draws move      ", torch.as_tensor(_draws_move).tolist())
    print("∇KL, from values", [f"{g:+.6f}" for g in _whole.tolist()])
    _off = gap_between(_draws_move, _whole - _log_ratio_moves)
    if _off < 1e-10:
        print("Right: both sums together are ∇KL(policy ‖ ref), to 1e-10.")
    elif _off == torch.inf:
        print("Not yet: five entries are asked, one for each logit.")
    else:
        print(f"Not yet: with yours, the two sums are off from ∇KL by {_off:.2g}.")

# %% [markdown]
# All of the gradient comes from the draws, and none of it from the log-ratio: the second sum is
# 0. So the mean over own tokens must be that of $d \cdot \nabla\log \text{policy}$:
#
# $$\nabla\mathrm{KL}(\text{policy}\,\|\,\text{ref}) =
# \mathbb{E}_{y \sim \text{policy}}\bigl[d(y)\,\nabla\log\text{policy}(y)\bigr]$$
#
# Write a per-token loss for which autograd gives this mean. There are many: its *value* is
# free, only the mean gradient counts, and none of it may reach `ref_logp`. Every axis holds
# drawn tokens; there is no vocabulary here.


# %% exercise="on_policy_kl_loss"
@shaped
def on_policy_kl_loss(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """A loss of each token whose mean gradient, on the policy's own tokens, is ∇KL(policy ‖ ref).

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns a number for each token. Only its gradient counts: the value is yours to choose.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2506.09477; arXiv 2510.01555.
    Example: policy (1/2, 1/2), ref (1/4, 3/4): the mean gradient is (¼ log 3, −¼ log 3).
    """
    ### BEGIN SOLUTION
    gap = logp - ref_logp
    return logp * gap.detach()
    ### END SOLUTION


# %% check="on_policy_kl_loss" points=7
check("on_policy_kl_loss", on_policy_kl_loss)

# %% [markdown]
# **Look at yours**: its mean value, its mean gradient, and a run. **Predict** whether the mean
# of your loss is the KL.

# %% demo
if ready("expected_gradient", "on_policy_kl_loss", gradient=True):
    _found = expected_gradient(_policy, _ref, _policy.clone(), on_policy_kl_loss)
    _mean = (
        _policy.softmax(-1) * on_policy_kl_loss(_policy.log_softmax(-1), _ref.log_softmax(-1))
    ).sum()
    print(f"mean of your loss {_mean:+.4f}, KL(policy ‖ ref) {exact_kl(_policy, _ref):.4f}")
    _gap = gap_between(_found, known_gradients(_policy, _old, _ref)["∇KL(policy ‖ ref)"])
    print(f"its mean gradient is ∇KL(policy ‖ ref) to {_gap:.0e}")
    assert _gap < 1e-10
    _start, _goal = start_and_ref()
    _path = descend(lambda x: expected_gradient(x, _goal, x.clone(), on_policy_kl_loss), _start)
    print(f"a run with it: {exact_kl(_start, _goal):.4f} → {exact_kl(_path[-1], _goal):.1e} nats")

# %% [markdown]
# If the two numbers in the first line differ, do not worry: log one number and differentiate
# another. The next sections say which of the known ones may be differentiated.

# %% [markdown]
# ## 4.4 The table *(no points, 18 min)*
#
# Three estimators and your loss, two samplers, eight expected gradients. The cell below compares
# each with 0 and with three gradients computed without autograd, from values of exact KLs:
# ∇KL(policy ‖ ref), ∇KL(ref ‖ policy) and −∇KL(old ‖ policy). **Predict** every row, or "none",
# on paper, and two of them here. First $k_2 = \tfrac12 d^2$, on the policy's own tokens:
#
# - **A**: 0
# - **B**: ∇KL(policy ‖ ref)
# - **C**: ∇KL(ref ‖ policy)
# - **D**: none of these

# %% predict="row_k2"
predict("row_k2", ...)

# %% [markdown]
# And $k_3$, on the policy's own tokens:
#
# - **A**: 0
# - **B**: ∇KL(policy ‖ ref)
# - **C**: ∇KL(ref ‖ policy)
# - **D**: none of these

# %% predict="row_k3"
predict("row_k3", ...)

# %% demo
if ready("expected_gradient", "on_policy_kl_loss", gradient=True):
    _losses, _gaps = {**_estimators, "yours": on_policy_kl_loss}, {}
    print("greatest gap to        " + "".join(f"{name:>20}" for name in _known))
    for _drawn_by, _sampler in (("policy", _policy.clone()), ("old", _old)):
        for _name, _loss in _losses.items():
            _found = expected_gradient(_policy, _ref, _sampler, _loss)
            _row = {what: gap_between(_found, one) for what, one in _known.items()}
            _said = [f"{gap:.0e} {'<--' if gap < 1e-10 else '   '}" for gap in _row.values()]
            print(f"{_name:5} drawn by {_drawn_by:8}" + "".join(f"{one:>20}" for one in _said))
            _gaps[_name, _drawn_by] = _row.values()
    for _name in ("k2", "k3"):
        _zero, _to_ref, _from_ref, _ = (gap < 1e-10 for gap in _gaps[_name, "policy"])
        outcome(f"row_{_name}", A=_zero, B=_to_ref, C=_from_ref, D=True)

# %% [markdown]
# How many did you have right? The unbiased $k_1$ and $k_3$ have the wrong gradient, and the
# biased $k_2$ has the right one. Good for logging and good for training are two properties.
#
# - **$k_1$, own tokens**: 0. It does nothing, except for noise.
# - **$k_2$, own tokens**: what was wanted, token by token: $\nabla \tfrac12 d^2 = d\,\nabla\log
#   \text{policy}$, the mean that you derived. Many people's loss of 4.3 is $k_2$.
# - **$k_3$, own tokens**: a pull to ref, by the gradient of the other direction.
# - **$k_1$, old tokens**: the *opposite* of a pull towards old. ref is not even in it.

# %% [markdown]
# <details><summary>Why: k3's gradient is that of KL(ref ‖ policy)</summary>
#
# With $k_3 = e^{-d} - 1 + d$, its gradient is $(1 - e^{-d})\,\nabla\log\text{policy}$ and
# $e^{-d} = \text{ref}/\text{policy}$. Scores average to 0, which leaves
#
# $$-\sum_y \text{policy}(y)\,\tfrac{\text{ref}(y)}{\text{policy}(y)}\,
# \nabla\log\text{policy}(y) = -\sum_y \text{ref}(y)\,\nabla\log\text{policy}(y)
# = \nabla\,\mathrm{KL}(\text{ref}\,\|\,\text{policy})$$
#
# With old's probabilities in front of $k_1$'s score, the sum is $\sum_y \text{old}(y)\,
# \nabla\log\text{policy}(y)$, in the same way $-\nabla\mathrm{KL}(\text{old}\,\|\,\text{policy})$.
#
# </details>
#
# The rows are worked out in [2506.09477](https://arxiv.org/abs/2506.09477),
# [2510.01555](https://arxiv.org/abs/2510.01555), [2512.21852](https://arxiv.org/abs/2512.21852)
# and [2505.17508](https://arxiv.org/abs/2505.17508).

# %% [markdown]
# And **$k_2$ and $k_3$, old tokens**: no KL's gradient, but not nothing. Old's draws stay where
# they are, so here autograd misses nothing: it gives the gradient of the mean as it stands, Σ
# old·$k$. For $k_2$ and $k_3$ that is a distance from ref that counts each token with old's
# weight: a pull, but not the one you meant. [GRPO](https://arxiv.org/abs/2402.03300), a method
# that draws a group of replies to each prompt and compares them with each other, has $k_3$ in
# its loss: in the row of own tokens at the first update on a batch, in this one from the second
# on. The cell looks at the one place where a pull towards ref must end: there $k_2$ and $k_3$
# are silent, and $k_1$ still pushes.

# %% demo
if ready("expected_gradient"):
    for _name, _estimator in _estimators.items():
        _there = expected_gradient(_ref.clone(), _ref, _old, _estimator).abs().max()
        print(f"{_name} drawn by old, policy = ref: largest entry of the gradient {_there:.0e}")

# %% [markdown]
# **Look closer**, with two tokens, where a gradient is one number: the push of one descent
# step on the first token's logit. Here ref itself drew the old tokens. **Predict** the sign of
# each curve right of ref, and which two mirror each other.

# %% demo
if ready("expected_gradient"):
    _rows = (("k1", "ref"), ("k1", "policy"), ("k2", "policy"), ("k3", "policy"))
    _push = push_by_probability(expected_gradient, _estimators, _rows, ref=0.3)
    plot_push(PROBABILITIES, _push, ref=0.3)
    for _one, _other in combinations(_push, 2):
        _sum = (_push[_one] + _push[_other]).abs().max()
        print(f"{_one}, plus {_other}: at most {_sum:.0e}")

# %% [markdown]
# The line of $k_1$ on ref's tokens is $k_3$'s turned upside down: the one repels exactly as
# hard as the other attracts. And look at the left and right edges, where the policy draws one
# token only: $k_2$ lets go there, $k_3$ pulls hardest. That is the difference between the two
# directions of KL, as in lesson 02.

# %% [markdown]
# ## 4.5 A row's owner *(no points, 12 min)*
#
# Which code is in which row? The table says it of libraries for RL fine-tuning of language
# models: find yours, and skip the table if you use none. Read for it were the sources of TRL
# [1.9.0](https://github.com/huggingface/trl/blob/v1.9.0/trl/trainer/grpo_trainer.py) (July
# 2026), 1.10.0, 1.16.0, and as committed between 13 and 22 August 2026
# [verl](https://github.com/verl-project/verl/tree/1dda039),
# [OpenRLHF](https://github.com/OpenRLHF/OpenRLHF/tree/3c3be62) 0.11.0, Ai2's
# [open-instruct](https://github.com/allenai/open-instruct/tree/e6c3044) and the code of a book,
# [rlhf-book](https://github.com/natolambert/rlhf-book/tree/a66b0bf).

# %% [markdown]
# <details><summary>The table: who differentiates what</summary>
#
# | what is differentiated, token by token | who has it |
# |---|---|
# | $k_1$ | an option: verl (`kl`), OpenRLHF (`k1`, and it advises against), open-instruct (0) |
# | $k_2$ | an option: verl (`mse`), OpenRLHF (`k2`), open-instruct (1) |
# | $k_3$ | GRPO's paper; TRL up to 1.9; verl's default (`low_var_kl`); open-instruct's (2); OpenRLHF (`k3`) |
# | $k_2$, under the value of $k_3$ | an option: verl (`k3+`) |
# | policy/old · $k_1$ | an option: open-instruct (3) |
# | policy/old · $k_3$ | DeepSeek-V3.2, a language model, by its report; TRL since 1.10 ([PR #6503](https://github.com/huggingface/trl/pull/6503)), as `use_bias_correction_kl=True` |
# | $k_3$ turned round | rlhf-book's code (`kl3`) |
# | nothing: $k_1$ goes into the reward | OpenRLHF's default; TRL's `RLOOTrainer`; verl with `use_kl_in_reward` |
#
# The penalty may still be off by default (TRL: β = 0; verl: `use_kl_loss: false`). `RLOOTrainer`
# is REINFORCE leave-one-out: each reply's baseline is the mean reward of the others. The ratio is
# the subject of 4.7, the reward that of 4.8.
#
# </details>

# %% [markdown]
# verl's `k3+` logs one number and follows another in *one* tensor: its value is $k_3$, which is
# unbiased and seldom far off, and its gradient that of $k_2$. **Write it**: no points, but a
# trick to know. Then run the cell below it.


# %% demo
_k2, _k3 = _estimators["k2"], _estimators["k3"]


def _k3_plus(logp, ref_logp):
    """The value of k3 for each token, and the gradient of k2."""
    return ...


# %% demo
if written(_k3_plus(_policy, _ref)) and ready("expected_gradient"):
    _values = _k3_plus(_policy.log_softmax(-1), _ref.log_softmax(-1))
    _mean = (_policy.softmax(-1) * _values).sum()
    _found = expected_gradient(_policy, _ref, _policy.clone(), _k3_plus)
    _value_off = gap_between(_mean, exact_kl(_policy, _ref))
    _off = gap_between(_found, known_gradients(_policy, _old, _ref)["∇KL(policy ‖ ref)"])
    print(f"mean value off by {_value_off:.0e}, mean gradient off by {_off:.0e}")
    _negative = bool((_values < 0).any())
    if max(_value_off, _off) < 1e-10 and not _negative:
        print("Right: a number to log and a gradient to follow.")
    elif _off >= 1e-10:
        print("Not yet: the gradient is not ∇KL(policy ‖ ref). What does .detach() take out?")
    else:
        print("Not yet: the gradient is right, the value is not that of k3.")

# %% [markdown]
# rlhf-book's `kl3` computes $e^{d} - 1 - d$: $k_3$ with policy and ref exchanged, an easy slip,
# since the formula is written for ref/policy. A report,
# [#489](https://github.com/natolambert/rlhf-book/issues/489), saw early spikes of loss and
# gradient with it. **Predict** what descent does with it, on the policy's own tokens:
#
# - **A**: it pulls to ref
# - **B**: nothing, as with k1
# - **C**: it pushes away from ref

# %% predict="turned_k3"
predict("turned_k3", ...)


# %% demo
def _turned(logp, ref_logp):
    return torch.expm1(logp - ref_logp) - (logp - ref_logp)


# %% demo
if ready("expected_gradient"):
    _start, _goal = start_and_ref()
    _path = descend(lambda x: expected_gradient(x, _goal, x.clone(), _turned), _start)
    _before, _after = (exact_kl(_path[i], _goal).item() for i in (0, -1))
    print(f"a run with it: {_before:.4f} → {_after:.1e} nats")
    outcome("turned_k3", A=_after < 0.1 * _before, C=_after > 1.1 * _before, B=True)

# %% [markdown]
# Another divergence makes it pull: half of $\chi^2(p\,\|\,q) = \sum_y p(y)^2/q(y) - 1$, of policy
# and ref, which is 0 where they are equal, as a KL is. The cell compares, and shows what each
# loss multiplies a token's score by.

# %% demo
if ready("expected_gradient"):
    _found = expected_gradient(_policy, _ref, _policy.clone(), _turned)
    _wanted = central_differences(lambda x: half_chi_square(x, _ref), _policy)
    print(f"its mean gradient is ½ ∇χ²(policy ‖ ref) to {gap_between(_found, _wanted):.0e}")
print("log policy − log ref      k2      k3    turned round")
for _size in (-4.0, -1.0, 0.0, 1.0, 4.0, 8.0):
    _d = torch.tensor(_size, dtype=torch.float64, requires_grad=True)
    _factors = []
    for _loss in (_estimators["k2"], _estimators["k3"], _turned):
        (_factor,) = torch.autograd.grad(_loss(_d, torch.zeros(())), _d)
        _factors.append(_factor.item())
    print(f"{_size:20.0f}{_factors[0]:8.1f}{_factors[1]:8.1f}{_factors[2]:16.1f}")

# %% [markdown]
# Its factor grows as policy/ref: one token that the policy has made $e^8$ times likelier
# outweighs a whole batch. That fits a spike; whether it was all of the cause there, a toy cannot
# say. $k_3$ has its cliff on the other side, at tokens that the policy has made rare, and these
# it seldom draws; verl and OpenRLHF cut its value at 10, and the gradient with it. $k_2$ has no
# cliff.
#
# <details><summary>Why: k3 turned round follows ½χ²(policy ‖ ref)</summary>
#
# The gradient of $e^d - 1 - d$ is $(e^d - 1)\,\nabla\log\text{policy}$. Scores average to 0:
#
# $$\sum_y \text{policy}\,\tfrac{\text{policy}}{\text{ref}}\,\nabla\log\text{policy}
# = \sum_y \tfrac{\text{policy}}{\text{ref}}\,\nabla\text{policy}
# = \tfrac12 \nabla \sum_y \tfrac{\text{policy}^2}{\text{ref}}
# = \tfrac12 \nabla \chi^2(\text{policy}\,\|\,\text{ref})$$
#
# </details>

# %% [markdown]
# ## 4.6 Train with each *(no points, 8 min)*
#
# Now follow them, with no reward at all, 60 steps of expected gradient: whatever calls itself a
# penalty towards ref should bring the policy there. As in the figure of 4.4, $k_1$ once gets
# tokens that ref drew, again and again. There are three tokens, and a corner of the triangle is
# certainty of one. **Predict**: can that run end anywhere but in a corner?

# %% demo
if ready("expected_gradient"):
    _start, _goal = start_and_ref()
    _paths = {}
    for _name, _drawn_by in (("k1", "ref"), ("k1", "policy"), ("k2", "policy"), ("k3", "policy")):

        def _gradient(logits, name=_name, drawn_by=_drawn_by):
            sampler = _goal if drawn_by == "ref" else logits
            return expected_gradient(logits, _goal, sampler.clone(), _estimators[name])

        _paths[f"{_name}, drawn by {_drawn_by}"] = descend(_gradient, _start)
    plot_descents(_paths, _goal)

# %% [markdown]
# The literal penalty, differentiated as it stands on fixed tokens, took the policy *away* until
# it always draws one token. The same happens with the textbook's penalty (Xiao & Zhu, [section
# 4.3.3](https://arxiv.org/abs/2501.09223)), which is correct as a value. One step is easily
# overlooked on the way to code: it is an *average over draws*, and when the policy moves, the
# draws move too. With tokens from ref, autograd on log policy − log ref alone gives −∇KL(ref ‖
# policy), and an objective from which β times it is subtracted is best far away.

# %% [markdown]
# $k_1$ on own tokens stayed where it was. But "does nothing" holds for the mean. Real runs draw
# tokens, and each brings $k_1$'s gradient, a score of full size. **Predict**: 20 runs begin *near
# ref*, and take 200 steps on 16 fresh own tokens each, no reward. Where do they end?
#
# - **A**: all at ref, with k1 and with k2
# - **B**: with k2 at ref, with k1 about where they began
# - **C**: with k2 at ref, with k1 mostly farther off than they began

# %% predict="runs_near_ref"
predict("runs_near_ref", ...)

# %% demo
_device = pick_device()
_far, _home = (logits.float().to(_device) for logits in start_and_ref())
_near = _home + 0.1 * (_far - _home)
_drift = {
    f"{name} on own tokens": descend_on_samples(_estimators[name], _near, _home, seeds=20)
    for name in ("k1", "k2")
}
plot_runs(_drift)
_with_k1, _with_k2 = _drift.values()
_home_k1, _home_k2 = (runs[:, -1].median() < 1e-6 for runs in _drift.values())
_farther = (_with_k1[:, -1] > _with_k1[:, 0]).sum().item()
print(f"with k1, {_farther} of 20 runs end farther from ref than they began")
outcome("runs_near_ref", A=_home_k1 and _home_k2, C=_home_k2 and _farther > 15, B=_home_k2)

# %% [markdown]
# A step without direction is still a step. With $k_1$ the policies wander, each its own way;
# with $k_2$ they come home and stay, since its gradient is the score *times the log-ratio*: a
# pull while there is one, and at ref 0 for every token.

# %% [markdown]
# ## 4.7 Tokens that an older policy drew *(8 points, 30 min, hard)*
#
# Drawing is expensive, so one batch serves several updates. After the first of them the tokens
# are old's, not the policy's. Importance weights of lesson 01 put each token's share right, for
# any function $f$ of the token:
#
# $$\mathbb{E}_{y\sim\text{old}}\Bigl[\tfrac{\text{policy}(y)}{\text{old}(y)}\,f(y)\Bigr] =
# \mathbb{E}_{y\sim\text{policy}}\bigl[f(y)\bigr]$$
#
# The cell checks it. On the left the policy stands *in the open*, not in the draws: **predict**
# what this means for autograd. Should the ratio be held constant?

# %% demo
_f = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
_share = _policy.softmax(-1) / _old.softmax(-1)
_left, _right = (_old.softmax(-1) * _share * _f).sum(), (_policy.softmax(-1) * _f).sum()
print(f"left {_left:.12f}, right {_right:.12f}")
assert torch.allclose(_left, _right, rtol=0, atol=1e-12)

# %% [markdown]
# Write a per-token loss for old's tokens that can do both jobs: its mean is KL(policy ‖ ref),
# and its mean gradient is the gradient of that. You may log it and differentiate it. `old_logp`
# and `ref_logp` are constants.


# %% exercise="off_policy_kl_loss"
@shaped
def off_policy_kl_loss(
    logp: Float[Tensor, "*leading"],
    old_logp: Float[Tensor, "*leading"],
    ref_logp: Float[Tensor, "*leading"],
) -> Float[Tensor, "*leading"]:
    """A loss of each token whose mean and mean gradient, on old's tokens, are KL(policy ‖ ref)'s.

    logp: the policy's log-probability of a token that the old policy drew.
    old_logp, ref_logp: those of old and of the reference; constants.
    Returns nats for each token; averaged over tokens of old, both value and gradient are exact.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2505.17508; arXiv 2512.21852.
    Example: policy (1/2, 1/2), old (3/4, 1/4), ref (1/4, 3/4): the mean is ½ log 4/3 = 0.1438.
    """
    ### BEGIN SOLUTION
    ratio = (logp - old_logp.detach()).exp()
    return ratio * (logp - ref_logp.detach())
    ### END SOLUTION


# %% check="off_policy_kl_loss" points=8
check("off_policy_kl_loss", off_policy_kl_loss)

# %% [markdown]
# **Look at yours** beside its relatives: each estimator times the ratio ρ = policy/old ($r_t$ in
# lesson 01), with gradients through ρ and with ρ held constant. Two columns: how far the mean is
# from KL(policy ‖ ref), and the mean gradient from ∇KL(policy ‖ ref). **Predict** which rows
# have two zeros.

# %% demo
if ready("expected_gradient", "off_policy_kl_loss", gradient=True):
    _rows = {"yours": lambda p, q: off_policy_kl_loss(p, _old.log_softmax(-1), q)}
    for _name, _estimator in _estimators.items():
        _rows[f"ρ · {_name}"] = with_ratio(_estimator, _old)
        _rows[f"constant ρ · {_name}"] = with_ratio(_estimator, _old, constant=True)
    _whole = known_gradients(_policy, _old, _ref)["∇KL(policy ‖ ref)"]
    print("tokens of old       value off by   gradient off by")
    _off = {}
    for _name, _loss in _rows.items():
        _values = _loss(_policy.log_softmax(-1), _ref.log_softmax(-1))
        _value = ((_old.softmax(-1) * _values).sum() - exact_kl(_policy, _ref)).abs().item()
        _gradient = expected_gradient(_policy, _ref, _old, _loss)
        _off[_name] = _value, gap_between(_gradient, _whole)
        print(f"{_name:18}{_off[_name][0]:14.0e}{_off[_name][1]:18.0e}")

# %% [markdown]
# Once the policy stands in the open, the rule turns round: an unbiased value has the right
# gradient too, so ρ·$k_1$ and ρ·$k_3$ are exact, and ρ·$k_2$ inherits $k_2$'s bias. Hold ρ
# constant and you are back in the table of 4.4.
#
# <details><summary>Why: ρ times an unbiased value has the right gradient</summary>
#
# Write $k$ for an estimator whose mean under the policy is the KL, for every policy. Old and
# ref are constants, so the gradient goes in front of the sum:
#
# $$\sum_y \text{old}(y)\,\nabla\Bigl[\tfrac{\text{policy}(y)}{\text{old}(y)}\,k(y)\Bigr]
# = \nabla \sum_y \text{policy}(y)\,k(y) = \nabla\mathrm{KL}(\text{policy}\,\|\,\text{ref})$$
#
# On own tokens ρ = 1, and its *gradient* is still there: a loss may be 1 times $k_3$ and pull
# another way than $k_3$. Where old gives a token no chance, nothing can be put right.
#
# </details>

# %% [markdown]
# Two exact losses: does it matter which? By the product rule, token by token,
#
# $$\nabla(\rho\,k_1) = \rho\,(d + 1)\,\nabla\log\text{policy} \qquad
# \nabla(\rho\,k_3) = \rho\,d\,\nabla\log\text{policy}$$
#
# The "1" averages to 0: it is the noise of 4.6 again. **Predict** which of the two is steadier,
# and whether near ref or far from it by the larger factor. A gradient $g$ is a vector, and its *spread* is one number
# as in lesson 02, $\sqrt{\mathbb{E}\,\|g - \mathbb{E}g\|^2}$, here exact. Twenty problems, each at
# some distance from ref.

# %% demo
_kinds = {"ρ · k1": (_estimators["k1"], 1), "ρ · k3": (_estimators["k3"], 0)}
_leaf, _log_ref = _policy.log_softmax(-1).requires_grad_(True), _ref.log_softmax(-1)
_ratio, _d = _policy.softmax(-1) / _old.softmax(-1), _leaf.detach() - _log_ref
for _name, (_estimator, _extra) in _kinds.items():
    _all = with_ratio(_estimator, _old)(_leaf, _log_ref).sum()
    (_factors,) = torch.autograd.grad(_all, _leaf)  # what each token's score is multiplied by
    _gap = gap_between(_factors, _ratio * (_d + _extra))
    print(f"{_name}: off from ρ · (d + {_extra}) by {_gap:.0e}")
    assert _gap < 1e-12

# %% demo
for _size in (1.0, 0.3, 0.1):
    _spreads = {name: [] for name in _kinds}
    for _moved, _drawer, _anchor in map(three_policies, range(20)):
        _now, _then = _anchor + _size * _moved, _anchor + _size * _drawer
        for _name, (_one, _) in _kinds.items():
            _loss = with_ratio(_one, _then)
            _spreads[_name].append(spread_of(_loss, _now, _anchor, _then))
    _said = [f"{n} {torch.tensor(x).median():.3f}" for n, x in _spreads.items()]
    print(f"at {_size:3.1f} from ref, median spread:", ", ".join(_said))

# %% [markdown]
# Near ref, where training begins, ρ·$k_1$ is mostly noise, and ρ·$k_3$ falls silent with $d$:
# on own tokens, where ρ = 1, its gradient is that of $k_2$. This is what DeepSeek-V3.2
# ([2512.02556](https://arxiv.org/abs/2512.02556)) and TRL since 1.10 differentiate. ρ times a
# *constant* $d$ has that gradient too, by the draws alone, and the value of ρ·$k_1$. If yours is
# ρ·$k_1$ itself, it is right; $k_3$ in place of $k_1$ makes it steadier.

# %% [markdown]
# How much does the ratio matter? That depends on how old the tokens are. Five errors, as the
# policy leaves old: the three without a ratio, ρ·$k_2$ and yours. **Predict** which of them start
# at 0, with fresh tokens, and which of those stay there. Medians of twenty random problems.

# %% demo
if ready("expected_gradient", "off_policy_kl_loss", gradient=True):
    _steps, _errors = errors_by_age(expected_gradient, off_policy_kl_loss, _estimators, problems=20)
    plot_reuse(_steps, _errors, problems=20)

# %% [markdown]
# Read it from the left, where the tokens are fresh. $k_1$ is off by 1, as its gradient is 0.
# $k_3$, the loss of GRPO and the default of verl and of TRL up to 1.9, is biased from the start,
# and leaves the picture as tokens age. ρ·$k_2$ is biased throughout. $k_2$ without a ratio begins
# right and loses its way: it is a loss for own tokens. Yours does not age. (What does age is its
# noise: a large ratio on a rare token makes a single batch unsteady, which is why lesson 05 bounds
# the step.)

# %% [markdown]
# ## 4.8 Whole responses, and what tokens owe to the future *(8 points, 40 min, hard)*
#
# A response is many draws, and an early token decides which contexts come later. KL(policy ‖
# ref) of whole responses counts that. Take the best token-level penalty there is: at each
# position the exact KL over the whole vocabulary, summed along the response. **Predict**: for
# responses drawn from the policy, where is its mean gradient that of the KL of responses?
#
# - **A**: for responses of one token alone
# - **B**: at every length
# - **C**: at no length

# %% predict="exact_by_token"
predict("exact_by_token", ...)

# %% demo
_errors = []
for _time in (1, 2, 3):  # all 3, 9 and 27 responses of a vocabulary of three
    _responses = all_responses(seed=1, time=_time)
    _logp, _ref_logp = _responses.logp(), _responses.ref_logp()
    _chance = _logp.sum(1).exp()
    _wanted = _responses.gradient((_chance * (_logp - _ref_logp).sum(1)).sum())
    _loss = _responses.next_token_kl().sum(1)
    _found, _ = _responses.mean_and_spread(_loss, _chance)
    _errors.append(((_found - _wanted).norm() / _wanted.norm()).item())
    _value = (_chance * _loss).sum() - (_chance * (_logp - _ref_logp).sum(1)).sum()
    print(f"length {_time}: value off by {_value:.0e}, gradient by {_errors[-1]:.0e} of its size")
_one, *_more = (error < 1e-10 for error in _errors)
outcome("exact_by_token", A=_one and not any(_more), B=_one and all(_more), C=not _one)

# %% [markdown]
# The value is exact and the gradient is not, as in 4.3: later contexts are draws, they move
# with the policy, and autograd takes them as given. Left out is a token's part in what comes
# after it. With $d_s$ the log-ratio of token $s$, the whole of the gradient is
#
# $$\nabla\mathrm{KL} = \mathbb{E}_{\text{responses}\,\sim\,\text{policy}}\Bigl[\,\sum_t
# \nabla\log\text{policy}_t \,\sum_{s \ge t} d_s\Bigr]$$
#
# Each token's score, times all that is paid *from there on*, its *return-to-go*. What came
# before a token is not its doing.

# %% [markdown]
# <details><summary>Why: a token answers for what follows, and for nothing before</summary>
#
# A response is one draw, so 4.3 holds for it, with $d = \sum_s d_s$ and $\nabla\log\text{policy}
# = \sum_t \nabla\log\text{policy}_t$. Multiply out. For $s < t$, the log-ratio $d_s$ is settled
# before token $t$ is drawn, and given all before $t$ its score averages to 0:
#
# $$\mathbb{E}\bigl[d_s\,\nabla\log\text{policy}_t\bigr] = \mathbb{E}\bigl[d_s\;
# \mathbb{E}[\nabla\log\text{policy}_t \mid \text{tokens before } t]\bigr] = 0 \qquad (s < t)$$
#
# What is left is the sum over $s \ge t$.
#
# </details>

# %% demo
_d, _before = (_logp - _ref_logp).detach(), torch.zeros_like(_logp)  # response time
_before[:, 1:] = _d.cumsum(1)[:, :-1]
_ahead = _d.sum(1, keepdim=True) - _before
_parts = {"what came before": _before, "what follows, itself included": _ahead}
_sums = {}
for _name, _cost in _parts.items():
    _sums[_name] = _responses.gradient((_chance.detach() * (_logp * _cost).sum(1)).sum())
    print(f"Σ ∇log policy · ({_name}): largest entry {_sums[_name].abs().max():.1e}")
assert _sums["what came before"].abs().max() < 1e-12
assert gap_between(_sums["what follows, itself included"], _wanted) < 1e-10

# %% [markdown]
# ### The loss of a response
#
# Write a loss of each response for which autograd gives that mean. As in 4.3 its value is free.
# Two things are new: `mask` says which tokens are real (they may stand anywhere; what is
# elsewhere may be nan), and the gradient of a token must not contain what came before it: on
# average that is 0, in a single batch it is noise.


# %% exercise="response_kl_loss"
@shaped
def response_kl_loss(
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, " batch"]:
    """A loss of each response whose mean gradient, on the policy's own, is ∇KL(policy ‖ ref).

    logp, ref_logp: log-probability of each token that the policy drew; `ref_logp` is a constant.
    mask: True on the response's tokens, wherever they stand; what stands elsewhere is never read.
    Returns a number for each response: 0 where it has no token, else free. It depends on that
    response alone. Its gradient at logp[:, t] depends on the log-ratios from t on alone.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: arXiv 2506.09477; arXiv 2512.21852.
    Example: two tokens, each a or b. The policy is (1/2, 1/2) at both; ref too, save that after a
    first a it is (1/4, 3/4). The first token's logits get (⅛ log 4/3, −⅛ log 4/3) on average.
    """
    ### BEGIN SOLUTION
    gap = torch.where(mask, logp - ref_logp, 0.0).detach()
    ahead = gap.flip(1).cumsum(1).flip(1)  # from each token on
    return torch.where(mask, logp * ahead, 0.0).sum(1)
    ### END SOLUTION


# %% check="response_kl_loss" points=8
check("response_kl_loss", response_kl_loss)

# %% [markdown]
# **Look at yours** beside two others on the 27 responses: $k_2$ of the whole response,
# $\tfrac12(\sum_t d_t)^2$, and $k_2$ token by token, $\sum_t \tfrac12 d_t^2$. Two columns: how far
# the mean gradient is from ∇KL of responses, relative to it, and the spread of one response's
# gradient, as in 4.7. **Predict** which are exact, and which of those is the steadier.

# %% demo
if ready("response_kl_loss", gradient=True):
    for _name, (_error, _spread) in three_ways(response_kl_loss, seed=1, time=3).items():
        print(f"{_name:26} error {_error:8.1e}   spread {_spread:.3f}")

# %% [markdown]
# $k_2$ of the whole response and yours have one mean; $k_2$'s gradient carries what came before,
# nearly always as more noise. Token by token it is steadier still, and wrong. (A policy gradient
# with $k_1$ in the *reward* of each token, and return-to-go, has your gradient; one that charges
# a response's whole log-ratio to each of its tokens has that of $k_2$ of the response.)
#
# Is that one lucky problem? **Predict** both columns as responses grow, on twenty problems at
# each length.

# %% demo
if ready("response_kl_loss", gradient=True):
    _lengths = list(range(1, 6))
    _runs = [[three_ways(response_kl_loss, n, t) for t in _lengths] for n in range(20)]
    _shown = [
        {n: torch.tensor([[one[n][i] for one in row] for row in _runs]) for n in _runs[0][0]}
        for i in (0, 1)
    ]
    plot_length(_lengths, *_shown)
    _all, _yours, _ = _shown[1].values()
    _less, _more = (_yours < _all - 1e-12).sum(0), (_yours > _all + 1e-12).sum(0)
    print("spread of yours, beside that of k2 of the response, in 20 problems of each length:")
    print(f"  less in {_less.tolist()}, more in {_more.tolist()}")

# %% [markdown]
# The bias differs widely from problem to problem, and its median grows with the length. It is
# nothing that more data would average away. The noise of the exact ones can be averaged away,
# and grows too: a choice between bias and noise, which lesson 06 meets again as loss or reward.
#
# ### And on old's responses?
#
# The ratio of a *response* is a product, $\rho = \prod_t \text{policy}_t/\text{old}_t$. Held
# *constant*, it puts each response's share right, so your loss times ρ has the exact mean
# gradient on old's responses. (In 4.7 ρ is differentiated, as the value there is the KL; the
# value of your loss is nothing.) **Predict** what happens to the spread as responses grow,
# beside ρ·$k_3$ with each token's own ratio alone.

# %% demo
if ready("response_kl_loss", gradient=True):
    print("medians of 20 problems          length   error    spread")
    for _time in (1, 3, 5):
        _runs = [on_old(response_kl_loss, seed, _time) for seed in range(20)]
        for _name in _runs[0]:
            _error, _spread = torch.tensor([one[_name] for one in _runs]).median(0).values
            print(f"{_name:30}{_time:8}{_error:9.0e}{_spread:9.2f}")
for _time in (1, 3, 6):
    _listed, _by_power = second_moment_of_ratio(_time)
    print(f"E[ρ²] at length {_time}: {_listed:.6f} by listing, {_by_power:.6f} by the box below")

# %% [markdown]
# The product is exact, and its noise grows faster with the length than that of own responses;
# ρ·$k_3$ is steadier on the longer ones, and wrong. Most libraries that 4.5 lists have no ratio
# in their KL, the others that of the single token, and all live with a bias. ([2512.21852](https://arxiv.org/abs/2512.21852) finds no unbiased
# gradient of the KL of responses in use for old data, and leaves one to later work.) Until then:
# draw often and step little, as in lesson 05.

# %% [markdown]
# <details><summary>Why: the noise of the product grows as a power of the length</summary>
#
# One token's ratio has $\mathbb{E}_{\text{old}}[\rho_1^2] = \sum \text{old}\,(\text{policy}/
# \text{old})^2 = \sum \text{policy}^2/\text{old}$, which is $1 + \chi^2(\text{policy}\,\|\,
# \text{old})$. Where positions are alike, the same two distributions at each whatever came before,
# the factors of ρ are independent, and the mean of their product is the product of their means:
#
# $$\mathbb{E}_{\text{old}}\bigl[\rho^2\bigr] =
# \bigl(1 + \chi^2(\text{policy}\,\|\,\text{old})\bigr)^{\text{time}}$$
#
# It is 1 for fresh responses. As a rule of thumb, where it is 1000, a thousand old responses tell
# as much about a mean as a fresh one.
#
# </details>

# %% [markdown]
# ## 4.9 The bug museum *(8 points, 23 min, medium)*
#
# Eight defects that people wrote, each rebuilt in a few lines. Run every exhibit and look at
# its numbers; at the end you match them with complaints, each in our words. One complaint fits
# no exhibit.
#
# **Exhibit `k1_loss`**: the penalty in the loss is the mean of logp − ref_logp, and a batch
# serves eight updates. Five batches, ten seeds, means over the draws exact. **Predict** what the
# KL does as β grows. (open-instruct [#534](https://github.com/allenai/open-instruct/issues/534),
# [#535](https://github.com/allenai/open-instruct/pull/535))
#
# - **A**: it falls
# - **B**: it stays as it is
# - **C**: it grows

# %% predict="k1_as_loss"
predict("k1_as_loss", ...)

# %% demo
_betas, _seeds = (0.0, 0.1, 0.3, 1.0, 3.0), range(10)
_drift = {
    name: torch.tensor([[drift_after_training(p, b, seed) for b in _betas] for seed in _seeds])
    for name, p in (("k1_loss", _estimators["k1"]), ("exact KL", None))
}
plot_beta(_betas, _drift)
_none, _most = _drift["k1_loss"].median(dim=0).values[[0, -1]]
outcome("k1_as_loss", A=_most < 0.9 * _none, C=_most > 1.1 * _none, B=True)

# %% [markdown]
# **Exhibit `second_softmax`**, from public teaching material: the log-probabilities of the
# drawn tokens are gathered, and the KL is computed from these as if they were logits.
# **Predict** what is left to compare.

# %% demo
_generator = torch.Generator().manual_seed(0)
_one, _other = torch.randn(2, 4, 6, 10, generator=_generator)  # batch time vocab, twice
_drawn = torch.randint(10, (4, 6, 1), generator=_generator)
_gathered = [logits.log_softmax(-1).gather(-1, _drawn) for logits in (_one, _other)]
print(f"second_softmax: at most {exact_kl(*_gathered).max():.4f} nats at any position")
print(f"the exact KL:   {exact_kl(_one, _other).mean():.4f} nats on average")

# %% [markdown]
# **Exhibit `kl_div`**, from public teaching material: both arguments are log-probabilities, and
# the function was not told.

# %% demo
_log_one, _log_other = _one.log_softmax(-1), _other.log_softmax(-1)
_defect = torch.nn.functional.kl_div(_log_other, _log_one, reduction="sum")
_told = torch.nn.functional.kl_div(_log_other, _log_one, reduction="sum", log_target=True)
print(f"kl_div:                {_defect:.4f}")
print(f"with log_target=True: {_told:.4f} nats over all positions")
assert torch.allclose(_told, exact_kl(_one, _other).sum(), rtol=1e-4)

# %% [markdown]
# **Exhibit `exponent`**, from public teaching material: $k_3$ with the sign of its exponent
# turned. Each row is a token.

# %% demo
print("log policy − log ref   exponent      k3")
for _log_ratio in (-1.0, -0.3, 0.3, 1.0):
    _d = torch.tensor(_log_ratio)
    _k3 = _estimators["k3"](_d, torch.zeros(()))
    print(f"{_d:20.1f} {torch.exp(_d) - 1 + _d:10.3f} {_k3:7.3f}")

# %% [markdown]
# **Exhibit `padding`**: log-ratios are multiplied by a mask and summed. (prime-rl
# [#2084](https://github.com/PrimeIntellect-ai/prime-rl/pull/2084), ms-swift
# [#9767](https://github.com/modelscope/ms-swift/pull/9767))

# %% demo
for _last, _counts in ((0.4, True), (0.4, False), (-torch.inf, False)):
    _log_ratios, _mask = torch.tensor([0.2, -0.1, _last]), torch.tensor([True, True, _counts])
    _shown = [f"{value:.1f}" for value in _log_ratios.tolist()]
    print(f"{', '.join(_shown)} where {_mask.tolist()}: {(_log_ratios * _mask).sum():.2f}")

# %% [markdown]
# **Exhibit `train_mode`**: policy and old are one network with one set of weights, scored twice,
# in the mode that training leaves a network in: dropout is on. (trl
# [#454](https://github.com/huggingface/trl/issues/454),
# [#3234](https://github.com/huggingface/trl/pull/3234))

# %% demo
torch.manual_seed(0)  # dropout draws from the global generator
_network = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(8, 32))
_observations = torch.randn(4, 8, generator=_generator)
for _mode in (True, False):
    _network.train(_mode)
    with torch.no_grad():
        _twice = [_network(_observations).log_softmax(-1)[:, 0] for _ in range(2)]
    _ratios = (_twice[0] - _twice[1]).exp()
    print(f"train_mode {_mode!s:5}: policy/old", [f"{ratio:.3f}" for ratio in _ratios.tolist()])

# %% [markdown]
# **Exhibit `temperature`**: tokens are drawn under other settings than they are scored with, here
# at temperature ½ and at 1. The mean over all draws is exact. (trl
# [#235](https://github.com/huggingface/trl/issues/235),
# [#351](https://github.com/huggingface/trl/issues/351),
# [#925](https://github.com/huggingface/trl/issues/925),
# [#1005](https://github.com/huggingface/trl/issues/1005))

# %% demo
_ref_scores = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)
_policy_scores = 0.7 * _ref_scores
_log_ratio = _policy_scores.log_softmax(-1) - _ref_scores.log_softmax(-1)
for _temperature in (1.0, 0.5):
    _mean = ((_policy_scores / _temperature).softmax(-1) * _log_ratio).sum()
    print(f"drawn at temperature {_temperature}: mean of k1 {_mean:+.4f}")
print(f"KL(policy ‖ ref)                     {exact_kl(_policy_scores, _ref_scores):+.4f}")

# %% [markdown]
# **Exhibit `detached`**: the KL in the loss was computed under `no_grad`. Tests that look at
# values alone pass it.

# %% demo
_leaf = _policy_scores.clone().requires_grad_(True)
with torch.no_grad():
    _price = exact_kl(_leaf, _ref_scores)
for _beta in (0.0, 1.0, 100.0):
    _loss = -_leaf.softmax(-1)[0] + _beta * _price
    (_step,) = torch.autograd.grad(_loss, _leaf)
    print(f"β = {_beta:5.1f}, KL {_price:.4f}, gradient", [f"{g:+.4f}" for g in _step.tolist()])

# %% [markdown]
# **Quiz.** Which complaint belongs to which exhibit? One letter is left over.
#
# | | complaint |
# |---|---|
# | A | The loss is NaN on any batch, although every number going in is finite. |
# | B | The ratio is not 1 before any update. |
# | C | The logged KL is right, and β changes nothing. |
# | D | The larger β, the larger the KL. |
# | E | With β = 0, no KL is reported. |
# | F | NaN, but only in batches that hold padding. |
# | G | The KL is 0 between any two models. |
# | H | Single tokens are below 0; by its formula none can be. |
# | I | The KL, a mean over many responses, stays below 0. |

# %% [markdown]
# Answer with a dict from exhibit to letter: `{"k1_loss": …, "second_softmax": …, "kl_div": …,
# "exponent": …, "padding": …, "train_mode": …, "temperature": …, "detached": …}`

# %% quiz="q04_bug_museum"
q04_bug_museum = {
    "k1_loss": "D",
    "second_softmax": "G",
    "kl_div": "A",
    "exponent": "H",
    "padding": "F",
    "train_mode": "B",
    "temperature": "I",
    "detached": "C",
}

# %% check="q04_bug_museum" points=8
check("q04_bug_museum", q04_bug_museum)

# %% [markdown]
# Gradients of KL losses are also the subject of NeMo-RL PR
# [#2506](https://github.com/NVIDIA-NeMo/RL/pull/2506), OpenRLHF PRs
# [#1101](https://github.com/OpenRLHF/OpenRLHF/pull/1101) and
# [#1309](https://github.com/OpenRLHF/OpenRLHF/pull/1309), and verl PR
# [#2953](https://github.com/verl-project/verl/pull/2953). One habit shows all of these: a
# vocabulary of five, every draw listed, and the mean gradient compared with the one you meant.

# %% [markdown]
# <details><summary>The eight cures: open it when your quiz is done</summary>
#
# | exhibit | cure |
# |---|---|
# | `k1_loss` | $k_2$ on own tokens, ρ·$k_1$ or ρ·$k_3$ with ρ differentiated on old's |
# | `second_softmax` | the whole vocabulary's logits; gathered numbers go into $k_1$ to $k_3$ |
# | `kl_div` | `log_target=True`; the first argument is the *second* policy of the KL |
# | `exponent` | expm1(δ) − δ with δ = log ref − log policy; test that none is below 0 |
# | `padding` | `torch.where(mask, x, 0)` before the sum, in place of a product |
# | `train_mode` | `.eval()` while tokens are scored; test that the first ratio is 1 |
# | `temperature` | score with the temperature that drew |
# | `detached` | no `no_grad` around the penalty; test that β changes the gradient |
#
# </details>

# %% [markdown]
# ## 4.10 The second room *(optional, no points, 30 min)*
#
# Five more defects, for when you have the time. None is a wrong formula: in each, two parts that
# are right by themselves do not fit together, and the usual logs do not name it. Ask of each what
# *should* have been logged. For the first two, you write the cure.

# %% [markdown]
# **Exhibit `top_p`**. A sampler keeps the likeliest tokens of a position, up to a mass of 0.8
# (this is called top-p), draws among these, and reports log-probabilities among these. The
# trainer has the same weights, and scores over the whole vocabulary. Before any update,
# **predict** the ratios trainer/sampler:
#
# - **A**: 1 on every token
# - **B**: above 1 on likely tokens, below 1 on rarer ones
# - **C**: below 1, and equal on all kept tokens of a position

# %% predict="top_p_ratio"
predict("top_p_ratio", ...)

# %% demo
_generator = torch.Generator().manual_seed(3)
_logits = torch.randn(4, 8, generator=_generator, dtype=torch.float64)  # position vocab
_kept = kept_by_top_p(_logits, 0.8)
_mass = (_logits.softmax(-1) * _kept).sum(-1, keepdim=True)
_sampler_logp = (_logits.log_softmax(-1) - _mass.log()).masked_fill(~_kept, -torch.inf)
_ratios = (_logits.log_softmax(-1) - _sampler_logp).exp()
for _t in range(4):
    _shown = ", ".join(f"{ratio:.3f}" for ratio in _ratios[_t, _kept[_t]].tolist())
    print(f"position {_t + 1} keeps {_mass[_t].item():.3f} of the mass; ratios {_shown}")
_one = (_ratios - 1)[_kept].abs().max() < 1e-6
_equal = (_ratios / _mass - 1)[_kept].abs().max() < 1e-6
outcome("top_p_ratio", A=_one, C=_equal, B=True)

# %% [markdown]
# The ratio is S, the mass kept, since log p − log(p/S) = log S. Nothing has been updated, and
# every token's gradient is scaled by its position's S already. On a model of 1.5 billion
# parameters, a mean ratio of 0.896 was measured where 0.895 of the mass was kept (trl
# [#6789](https://github.com/huggingface/trl/issues/6789), PR
# [#7269](https://github.com/huggingface/trl/pull/7269)).
#
# <details><summary>Why: full-vocabulary scores of kept tokens push S up</summary>
#
# Over K, the kept tokens, drawn with chance p/S, the mean score is no longer 0:
#
# $$\sum_{y\in K}\frac{p(y)}{S}\,\nabla\log p(y) = \frac{1}{S}\sum_{y\in K}\nabla p(y) =
# \frac{\nabla S}{S} = \nabla\log S$$
#
# </details>

# %% demo
_leaf = _logits.clone().requires_grad_(True)
_logp = _leaf.log_softmax(-1)
_mean_score = torch.autograd.grad((_sampler_logp.exp()[_kept] * _logp[_kept]).sum(), _leaf)[0]
_log_mass = _leaf.log_softmax(-1).masked_fill(~_kept, -torch.inf).logsumexp(-1)
_of_log_mass = torch.autograd.grad(_log_mass.sum(), _leaf)[0]
assert torch.allclose(_mean_score, _of_log_mass, rtol=0, atol=1e-12)
print("mean push on logits at position 1, when every token has advantage 1:")
print("  kept:   ", [f"{push:+.4f}" for push in _mean_score[0, _kept[0]].tolist()])
print("  the rest:", [f"{push:+.4f}" for push in _mean_score[0, ~_kept[0]].tolist()])

# %% [markdown]
# With one advantage for all there is nothing to learn, and still the kept tokens gain on the
# rest. **Write the cure**: the trainer scores what the sampler could draw. `kept` is the
# sampler's set, sent along with its tokens: it stays the same when the policy moves.


# %% demo
def _kept_logp(logits, kept):
    """Log-probability of each token where only those in `kept` can be drawn; position vocab.

    logits: over the whole vocabulary. What is returned where `kept` is False is not read.
    """
    return ...  # position vocab


# %% demo
if written(_kept_logp(_logits, _kept)):
    judge_kept_logp(_kept_logp, _logits, _kept)

# %% [markdown]
# **Exhibit `broadcast`**. Each token's $k_3$ is weighted by its ratio, differentiated, as in 4.7.
# Now the surrogate is set to one ratio for a whole response, the exponential of its tokens'
# *mean* log-ratio, and the code weights the KL by the same variable. **Predict** whether value
# and gradient suffer before the first update, when every weight is 1. (trl
# [#6586](https://github.com/huggingface/trl/issues/6586), PRs
# [#6594](https://github.com/huggingface/trl/pull/6594),
# [#7188](https://github.com/huggingface/trl/pull/7188))


# %% demo
def _mean_ratio(logp, old_logp):
    return (logp - old_logp).mean(1, keepdim=True).exp()


_fresh = [responses_of_old(seed, apart=0.0) for seed in range(20)]
_reused = [responses_of_old(seed, apart=0.5) for seed in range(20)]
print("medians of 20 problems; off by    value   gradient (by token)   gradient (of responses)")
for _name, _problems in (("before the first update", _fresh), ("after some updates", _reused)):
    _tokens = [off_by(_mean_ratio, one, one.kl_by_token()) for one in _problems]
    _whole = [off_by(_mean_ratio, one, one.kl_of_responses()) for one in _problems]
    _value, _slope = torch.tensor(_tokens).median(dim=0).values
    _other = torch.tensor(_whole).median(dim=0).values[1]
    print(f"{_name:32}{_value:7.0%}{_slope:22.0%}{_other:26.0%}")

# %% [markdown]
# A weight of 1 leaves the value as it is; its *gradient* is not 0. The response's weight hands
# each token a share of every other token's score, and the sum is neither the gradient of the KL
# token by token nor that of the KL of responses. **Write the cure**: the weight under which the
# mean gradient is that of KL(policy ‖ ref) again, at every position that old reaches.


# %% demo
def _weight(logp, old_logp):
    """What multiplies each token's k3, from log-probabilities of drawn tokens."""
    return ...  # response time


# %% demo
if written(_weight(_reused[0].logp(), _reused[0].old_logp())):
    judge_weight(_weight, _fresh + _reused)

# %% [markdown]
# **Exhibit `reset`**. A run is resumed from its checkpoint, and the reference is copied from the
# policy *after* that was loaded. Ten problems, exact gradients, β = 1, resumed at step 300, where
# reward and KL have levelled off. **Predict** what the log shows from there on:
#
# - **A**: the KL falls to 0 and rises again, and the reward rises too
# - **B**: the KL falls to 0 and rises again, the reward stays level
# - **C**: KL and reward go on level

# %% predict="reset_reference"
predict("reset_reference", ...)

# %% demo
_refs, _rewards = many_problems(10)  # run action
_towards_first = penalised_loss_gradient(_rewards, _refs, 1.0)
_begun = descend(_towards_first, _refs, rate=2.0, steps=300)
_towards_resumed = penalised_loss_gradient(_rewards, _begun[-1], 1.0)
_unreset = descend(_towards_first, _begun[-1], rate=2.0, steps=300)
_reset = descend(_towards_resumed, _begun[-1], rate=2.0, steps=300)
plot_reset(_begun, _unreset, _reset)

# %% demo
_stops = _refs, _begun[-1], _reset[-1]
_at_ref, _at_resume, _at_end = (mean_reward(logits, _rewards) for logits in _stops)
print(f"reward above ref's, median: {(_at_resume - _at_ref).median():.3f} at the resume,")
print(f"                            {(_at_end - _at_ref).median():.3f} at the end")
for _beta in (2.0, 1.0, 0.5, 0.25):
    _best = _refs.log_softmax(-1) + _rewards / _beta  # π* of lesson 03, up to a constant
    _nats = exact_kl(_reset[-1], _best).median()
    print(f"KL to the optimum of β = {_beta:4} around the first reference: {_nats:.0e} nats")
_anew, _earns = exact_kl(_reset[0], _begun[-1]).max() < 1e-9, (_at_end > _at_resume).all()
outcome("reset_reference", A=_anew and _earns, B=_anew and not _earns, C=True)

# %% [markdown]
# The logged KL begins anew at 0 while the distance from the first reference grows. The second
# optimum is (ref·exp(r/β))·exp(r/β), that of β/2 around the first. On purpose, this is a method:
# ProRL ([2505.24864](https://arxiv.org/abs/2505.24864)) joins a KL penalty with resets of the
# reference, to train for longer. By accident, it is a leash that gets longer with every restart.
# (NeMo-RL [#2955](https://github.com/NVIDIA-NeMo/RL/issues/2955), PR
# [#3048](https://github.com/NVIDIA-NeMo/RL/pull/3048))

# %% [markdown]
# Two more, in short. **`equal_seeds`**: to be repeatable, a server draws all replies of a group
# with one seed. An advantage here is (reward − the group's mean)/(its spread + ε): what is it for
# eight equal replies? The penalty is then alone, and takes the policy home. (verl PRs
# [#5179](https://github.com/verl-project/verl/pull/5179),
# [#6857](https://github.com/verl-project/verl/pull/6857): the cure is a seed made from the step,
# the prompt and the reply's number.)

# %% demo
for _paid in (torch.tensor([0.7] * 8), torch.tensor([0.7, 0.2] * 4)):
    _advantages = (_paid - _paid.mean()) / (_paid.std() + 1e-4)
    print("advantages", [f"{advantage:+.2f}" for advantage in _advantages.tolist()])

# %% [markdown]
# **`twice`**: is the KL charged in the reward, in the loss, in both, or in neither? Asked in verl
# [#211](https://github.com/verl-project/verl/issues/211) and
# [#265](https://github.com/verl-project/verl/issues/265); both suspected in NeMo-RL PR
# [#2530](https://github.com/NVIDIA-NeMo/RL/pull/2530), neither found in slime
# [#397](https://github.com/THUDM/slime/issues/397). The KL in the log is right in all four cases,
# and tells nobody. The cell takes the mean gradient of each charge.

# %% demo
_leaf = _policy.clone().requires_grad_(True)
_logp, _log_ref = _leaf.log_softmax(-1), _ref.log_softmax(-1)
_cost = (_logp - _log_ref).detach()  # k1, taken off the reward of each draw
_in_reward = (_logp.exp().detach() * _cost * _logp).sum()  # policy gradient, all draws listed
_in_loss = exact_kl(_leaf, _ref)
for _name, _charge in (("reward", _in_reward), ("loss", _in_loss), ("both", _in_reward + _in_loss)):
    (_step,) = torch.autograd.grad(_charge, _leaf, retain_graph=True)
    print(f"charged in {_name:7}", [f"{g:+.4f}" for g in _step.tolist()])

# %% [markdown]
# Both charges have one gradient and add up: an orderly run, at twice the β that you chose. At an
# optimum the log-ratios are r/β minus a constant (lesson 03), so the spread of r over that of the
# log-ratios is the *β in force*. Refuse at the start what is not one charge.

# %% [markdown]
# | second room | cure | what would have shown it |
# |---|---|---|
# | `top_p` | score over the sampler's kept set | the ratio before the first update |
# | `broadcast` | each token's own ratio, differentiated | an enumerated gradient; no value does |
# | `equal_seeds` | a seed of step *and* draw | the share of groups with a single reward |
# | `reset` | copy the reference before the weights load | the KL to the *first* reference |
# | `twice` | one charge, or no start | β in force: spread of r over that of the log-ratios |

# %% [markdown]
# ## What to take along
#
# - Autograd does not see where a token was drawn. A right value may have a wrong gradient.
# - Own tokens: $k_1$ gives 0, $k_2$ gives ∇KL(policy ‖ ref), $k_3$ gives ∇KL(ref ‖ policy).
# - Old tokens: $k_1$ gives −∇KL(old ‖ policy), and repels; $k_2$ and $k_3$ pull, by no KL. The
#   ratio, differentiated, makes $k_1$ and $k_3$ exact, not $k_2$, and ρ·$k_3$ is the steadier.
# - A token answers for its own log-ratio and for all that follow. Token-level losses leave that
#   out, steadily; on old's responses a product of ratios, held constant, is exact and too noisy.
# - Before you trust a penalty, enumerate its gradient once on a toy.

# %% demo
progress("04_penalty_gradients")
predictions("04_penalty_gradients")

# %% [markdown]
# Next: **05 · Stable updates**. You put reward, ratio, clip and penalty together, and let the
# weight β adapt itself.
