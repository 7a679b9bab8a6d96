# %% [markdown]
# # 04 · Which number may you differentiate?
#
# The number you log is not always the number you may differentiate. After this lesson you can
#
# - compute exactly, without sampling, what autograd makes of a penalty on average;
# - say which penalty pulls towards the reference, which does nothing, and which pushes away;
# - write a loss that pulls, for tokens of your own and for tokens that an older policy drew;
# - recognise eight real defects by their symptoms.
#
# About 75 minutes. It needs lesson 02 ($k_1$, $k_2$, $k_3$) and the ratio of lesson 01.

# %% setup
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped
from helpers.plots.penalty_gradients import (
    plot_beta,
    plot_descents,
    plot_length,
    plot_push,
    plot_reuse,
    plot_runs,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.penalty_gradients import (
    all_responses,
    descend,
    descend_on_samples,
    drift_after_training,
    exact_kl,
    known_gradients,
    start_and_ref,
    three_policies,
    with_ratio,
)

# %% [markdown]
# ## 4.1 Two uses of one number *(no points, 2 min)*
#
# Three estimators of KL(policy ‖ ref) from one drawn token, as in lesson 02: each is a number
# that you can *log*. Training asks for something else: call `.backward()` on it and follow the
# gradient. Do the two uses agree?
#
# Three names, kept apart: **policy** is trained, **old** drew the data, **ref** is where it
# should stay near. **Predict**: $k_1 = \log \text{policy}(y) - \log \text{ref}(y)$ of one token
# $y$. How does its gradient, with respect to the policy's logits, depend on ref?

# %% demo
estimators = {
    "k1": lambda logp, ref_logp: logp - ref_logp,
    "k2": lambda logp, ref_logp: (logp - ref_logp) ** 2 / 2,
    "k3": lambda logp, ref_logp: torch.exp(ref_logp - logp) - 1 - (ref_logp - logp),
}
policy, old, ref = three_policies(seed=0)
token, scores = 2, policy.clone().requires_grad_(True)
another = three_policies(seed=1)[2]
for reference in (ref, another):
    logp, ref_logp = scores.log_softmax(-1)[token], reference.log_softmax(-1)[token]
    value = estimators["k1"](logp, ref_logp)
    (by_scores,) = torch.autograd.grad(value, scores)
    print(f"k1 = {value.item():+.4f}, its gradient", [f"{g:+.4f}" for g in by_scores.tolist()])
assert torch.allclose(by_scores, torch.eye(5)[token] - policy.softmax(-1), rtol=0, atol=1e-12)

# %% [markdown]
# Two references, two values of $k_1$, one gradient. ref is a constant that is added, so its
# derivative is 0: what is left is the *score* $\nabla \log \text{policy}(y)$, which knows
# nothing of ref. A loss that is to keep the policy near ref cannot be that.
#
# One token is an anecdote. What training follows is the mean over the tokens that are drawn.

# %% [markdown]
# ## 4.2 The expected gradient, exactly *(6 points, 15 min, medium)*
#
# Autograd sees an estimator of a token that *has been drawn*: where the draw came from is not
# in its graph. Averaged over draws from some `sample` policy, it therefore gives
#
# $$\sum_y \text{sample}(y)\;\nabla\,
# \text{estimator}\bigl(\log \text{policy}(y),\, \log \text{ref}(y)\bigr)$$
#
# With five tokens nothing need be sampled: list them all. **Predict**: is this the same as the
# gradient of the estimator's mean, when the policy itself is the sampler? Then write it.


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
# ## 4.3 The table *(no points, 4 min)*
#
# Three estimators, two samplers, six expected gradients. The next cell compares each of yours
# with four candidates that are computed without autograd, from values of exact KLs and central
# differences:
#
# $$0 \qquad \nabla\mathrm{KL}(\text{policy}\,\|\,\text{ref}) \qquad
# \nabla\mathrm{KL}(\text{ref}\,\|\,\text{policy}) \qquad
# -\nabla\mathrm{KL}(\text{old}\,\|\,\text{policy})$$
#
# **Predict**: give each of the six rows one of these, or "none". Write it down first. Remember
# from lesson 02 that the means of $k_1$ and $k_3$ are right and that of $k_2$ is not.

# %% [markdown]
# Two of the six to type in. First $k_1$, on the policy's own tokens:
#
# - **A**: 0
# - **B**: ∇KL(policy ‖ ref)
# - **C**: ∇KL(ref ‖ policy)
# - **D**: none of these

# %% predict="row_k1"
predict("row_k1", ...)

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
if ready("expected_gradient"):
    known = known_gradients(policy, old, ref)
    print("greatest gap to     " + "".join(f"{name:>20}" for name in known))
    gaps_here = {}
    for drawn_by, sampler in (("policy", policy.clone()), ("old", old)):
        for name, estimator in estimators.items():
            found = expected_gradient(policy, ref, sampler, estimator)
            row = [(found - gradient_here).abs().max().item() for gradient_here in known.values()]
            gaps_here[name, drawn_by] = dict(zip(known, row, strict=True))
            said = "".join(
                f"{f'{gap_here:.0e} <--' if gap_here < 1e-10 else f'{gap_here:.0e}    ':>20}"
                for gap_here in row
            )
            print(f"{name} drawn by {drawn_by:8}{said}")

# %% demo
if ready("expected_gradient"):
    claimed = {
        ("k1", "policy"): "0",
        ("k2", "policy"): "∇KL(policy ‖ ref)",
        ("k3", "policy"): "∇KL(ref ‖ policy)",
        ("k1", "old"): "−∇KL(old ‖ policy)",
    }
    for row, name in claimed.items():
        assert gaps_here[row][name] < 1e-10
    for row in (("k2", "old"), ("k3", "old")):
        assert min(gaps_here[row].values()) > 1e-3
    print("Four rows agree with their candidate to 1e-10, two with none of the four.")
    for name in ("k1", "k3"):
        zero, to_ref, from_ref, _ = (gap < 1e-10 for gap in gaps_here[name, "policy"].values())
        outcome(f"row_{name}", A=zero, B=to_ref, C=from_ref, D=True)

# %% [markdown]
# How many did you have right? The unbiased $k_1$ and $k_3$ have the wrong gradient, and the
# biased $k_2$ has the right one. Good for logging and good for training are two different
# properties.
#
# - **$k_1$, own tokens**: 0. It does nothing, except for noise.
# - **$k_1$, old tokens**: the *opposite* of a gradient that pulls. ref is not even in it.
# - **$k_2$, own tokens**: exactly what was wanted.
# - **$k_3$, own tokens**: a pull to ref, by the gradient of the other direction, KL(ref ‖
#   policy).

# %% [markdown]
# The rows are worked out in [2506.09477](https://arxiv.org/abs/2506.09477),
# [2510.01555](https://arxiv.org/abs/2510.01555), [2512.21852](https://arxiv.org/abs/2512.21852)
# and [2505.17508](https://arxiv.org/abs/2505.17508).
#
# **Look at yours** with two tokens, where a gradient is one number: the push of one descent
# step on the first token's logit. Here ref itself drew the old tokens. **Predict** the sign of
# each curve right of ref.

# %% demo
if ready("expected_gradient"):
    chance = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    pair = torch.tensor([0.3, 0.7], dtype=torch.float64).log()
    push = {}
    for name, drawn_by in (("k1", "ref"), ("k1", "policy"), ("k2", "policy"), ("k3", "policy")):
        steps = []
        for p in chance:
            logits = torch.stack([p, 1 - p]).log()
            sampler = pair.clone() if drawn_by == "ref" else logits.clone()
            steps.append(-expected_gradient(logits, pair, sampler, estimators[name])[0])
        push[f"{name}, drawn by {drawn_by}"] = torch.stack(steps)
    assert torch.allclose(
        push["k1, drawn by ref"], -push["k3, drawn by policy"], rtol=0, atol=1e-10
    )
    plot_push(chance, push, ref=0.3)

# %% [markdown]
# The line of $k_1$ on ref's tokens is $k_3$'s turned upside down: the one repels exactly as
# hard as the other attracts. And look at the left and right edges, where the policy draws one
# token only: $k_2$ lets go there, $k_3$ pulls hardest. That is the difference between the two
# directions of KL, as in lesson 02.

# %% [markdown]
# ## 4.4 Train with each *(no points, 4 min)*
#
# Now follow them, with no reward at all, 60 steps of expected gradient: whatever calls itself a
# penalty towards ref should bring the policy there. **Predict** where each of the four runs
# ends. As in the figure above, $k_1$ once gets tokens that ref drew, again and again.

# %% demo
if ready("expected_gradient"):
    start, goal = start_and_ref()
    paths = {}
    for name, drawn_by in (("k1", "ref"), ("k1", "policy"), ("k2", "policy"), ("k3", "policy")):

        def gradient_here(logits, name=name, drawn_by=drawn_by):
            sampler = goal if drawn_by == "ref" else logits
            return expected_gradient(logits, goal, sampler.clone(), estimators[name])

        paths[f"{name}, drawn by {drawn_by}"] = descend(gradient_here, start)
    plot_descents(paths, goal)

# %% [markdown]
# The literal penalty, differentiated as it stands on fixed tokens, took the policy *away* until
# it always does one thing. $k_1$ on own tokens stayed where it was; $k_2$ and $k_3$ arrived.
#
# "Does nothing" holds for the mean. Real runs draw tokens, and each brings $k_1$'s gradient, a
# score of full size. **Predict**: 20 runs begin *at ref*, where there is nothing left to do.
# 200 steps on 16 fresh own tokens each, no reward. Where do the runs with $k_1$ end, and where
# those with $k_2$? Of $k_1$'s, choose:
#
# - **A**: all of them at ref
# - **B**: next to ref, as those with k2 do
# - **C**: away from ref, farther than those with k2

# %% predict="runs_from_ref"
predict("runs_from_ref", ...)

# %% demo
device = pick_device()
_, home = (logits.float().to(device) for logits in start_and_ref())
drift = {
    f"{name} on own tokens": descend_on_samples(estimators[name], home, home, seeds=20)
    for name in ("k1", "k2")
}
plot_runs(drift)
with_k1, with_k2 = (runs[:, -1].median() for runs in drift.values())
outcome("runs_from_ref", A=with_k1 < 1e-6, C=with_k1 > 2 * with_k2, B=True)

# %% [markdown]
# A step without direction is still a step. With $k_1$ the policies wander off, each its own
# way; with $k_2$ they stay, since its gradient is the score *times the log-ratio*, and at ref
# that is 0 for every token.

# %% [markdown]
# ## 4.5 A word on the textbook *(no points, 1 min)*
#
# Xiao & Zhu ([section 4.3.3](https://arxiv.org/abs/2501.09223)) build the penalty as you did: a
# difference of log-probabilities, subtracted from the objective. As a value that is right. One
# step is easily overlooked on the way to code: the penalty is an *average over draws*, and when
# θ moves, the draws move too. With tokens from $\theta_{\mathrm{ref}}$, differentiating the
# difference alone gives −∇KL(ref ‖ policy), so that subtracting the penalty repels: the first
# run above.
#
# The step is not hard to put right, and this is what you do next.

# %% [markdown]
# ## 4.6 A loss that pulls, on your own tokens *(7 points, 15 min, medium)*
#
# Differentiate the divergence by the product rule, with $d = \log \text{policy} - \log
# \text{ref}$:
#
# $$\nabla \sum_y \text{policy}(y)\,d(y) =
# \sum_y d(y)\,\nabla\text{policy}(y) + \sum_y \text{policy}(y)\,\nabla d(y)$$
#
# The second sum is what autograd sees when you differentiate $k_1$. In the first, $\nabla
# \text{policy} = \text{policy} \cdot \nabla\log \text{policy}$. **Predict** the size of each
# sum, then check.

# %% demo
probability_here = policy.softmax(-1)
log_ratio_here = policy.log_softmax(-1) - ref.log_softmax(-1)
score_here = torch.eye(5) - probability_here  # token logit: ∇ of each log-probability
first, second = (probability_here * log_ratio_here) @ score_here, probability_here @ score_here
whole = known_gradients(policy, old, ref)["∇KL(policy ‖ ref)"]
print("draws move     ", [f"{g:+.6f}" for g in first.tolist()])
print("log-ratio moves", [f"{g:+.6f}" for g in second.tolist()])
print("both together  ", [f"{g:+.6f}" for g in whole.tolist()])
assert torch.allclose(first + second, whole, rtol=0, atol=1e-10)
assert second.abs().max() < 1e-15

# %% [markdown]
# All of the gradient comes from the draws, and none of it from the log-ratio: scores average to
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
if ready("expected_gradient", "on_policy_kl_loss"):
    found = expected_gradient(policy, ref, policy.clone(), on_policy_kl_loss)
    mean_here = (
        policy.softmax(-1) * on_policy_kl_loss(policy.log_softmax(-1), ref.log_softmax(-1))
    ).sum()
    print(f"mean of your loss {mean_here:+.4f}, KL(policy ‖ ref) {exact_kl(policy, ref):.4f}")
    gap_here = (found - known_gradients(policy, old, ref)["∇KL(policy ‖ ref)"]).abs().max()
    print(f"its mean gradient is ∇KL(policy ‖ ref) to {gap_here:.0e}")
    assert gap_here < 1e-10
    start, goal = start_and_ref()
    path = descend(lambda x: expected_gradient(x, goal, x.clone(), on_policy_kl_loss), start)
    print(f"a run with it: {exact_kl(start, goal):.4f} → {exact_kl(path[-1], goal):.1e} nats")

# %% [markdown]
# If the two numbers in the first line differ, do not worry: log one number, $k_1$ or $k_3$
# under `no_grad`, and differentiate the other. If they agree, you found a loss that can do
# both.

# %% [markdown]
# ## 4.7 Tokens that an older policy drew *(8 points, 15 min, hard)*
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
f = torch.randn(5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
share = policy.softmax(-1) / old.softmax(-1)
left, right = (old.softmax(-1) * share * f).sum(), (policy.softmax(-1) * f).sum()
print(f"left {left:.12f}, right {right:.12f}")
assert torch.allclose(left, right, rtol=0, atol=1e-12)

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
# lesson 01), with gradients through ρ and with ρ held constant. Two columns: how far the mean is from KL(policy
# ‖ ref), and the mean gradient from ∇KL(policy ‖ ref). **Predict** which rows have two zeros.

# %% demo
if ready("expected_gradient", "off_policy_kl_loss"):
    rows = {"yours": lambda p, q: off_policy_kl_loss(p, old.log_softmax(-1), q)}
    for name, estimator in estimators.items():
        rows[f"ρ · {name}"] = with_ratio(estimator, old)
        rows[f"constant ρ · {name}"] = with_ratio(estimator, old, constant=True)
    print("tokens of old       value off by   gradient off by")
    off = {}
    for name, loss_here in rows.items():
        values = loss_here(policy.log_softmax(-1), ref.log_softmax(-1))
        value = ((old.softmax(-1) * values).sum() - exact_kl(policy, ref)).abs().item()
        gradient_here = expected_gradient(policy, ref, old, loss_here)
        off[name] = value, (gradient_here - whole).abs().max().item()
        print(f"{name:18}{off[name][0]:14.0e}{off[name][1]:18.0e}")

# %% demo
if ready("expected_gradient", "off_policy_kl_loss"):
    for name in ("yours", "ρ · k1", "ρ · k3"):
        assert max(off[name]) < 1e-10
    assert min(off["ρ · k2"]) > 1e-3
    for name in ("k1", "k3"):  # a right number to log, a wrong one to follow
        assert off[f"constant ρ · {name}"][0] < 1e-10 < 1e-3 < off[f"constant ρ · {name}"][1]
    assert off["constant ρ · k2"][1] < 1e-10 < 1e-3 < off["constant ρ · k2"][0]
    print("ρ·k1 and ρ·k3 are exact in both; ρ·k2 in neither.")

# %% [markdown]
# Once the policy stands in the open, the rule turns round: an unbiased value has the right
# gradient too, so ρ·$k_1$ and ρ·$k_3$ are exact, and ρ·$k_2$ inherits $k_2$'s bias. Hold ρ
# constant and you are back in the table of 4.3.
#
# How much does it matter? That depends on how old the tokens are. **Predict** the shape of each
# error as the policy leaves old. Twenty random problems; the last line is yours.

# %% demo
if ready("expected_gradient", "off_policy_kl_loss"):
    sizes, steps, errors = torch.logspace(-2, 0.3, 12, dtype=torch.float64), [], {}
    for seed in range(20):
        direction, drawer, anchor = three_policies(seed)
        candidates = {f"{name}, no ratio": estimators[name] for name in estimators}
        candidates["ρ · k2"] = with_ratio(estimators["k2"], drawer)
        candidates["yours"] = lambda p, q, o=drawer: off_policy_kl_loss(p, o.log_softmax(-1), q)
        for moved in drawer + sizes[:, None] * direction:
            steps.append(exact_kl(moved, drawer))
            wanted = expected_gradient(moved, anchor, moved.clone(), estimators["k2"])
            for name, loss_here in candidates.items():
                gap_here = expected_gradient(moved, anchor, drawer, loss_here) - wanted
                errors.setdefault(name, []).append(gap_here.norm() / wanted.norm())
    plot_reuse(steps, errors, problems=20)

# %% [markdown]
# Read it from the left, where the tokens are fresh. $k_1$ is off by 1, as its gradient is 0;
# $k_3$ and ρ·$k_2$ are biased from the start, however fresh. $k_2$ without a ratio begins right
# and loses its way as the tokens age: it is a loss for own tokens. Yours does not age. (What
# does age is its noise: a large ratio on a rare token makes a single batch unsteady, which is
# why lesson 05 bounds the step.)

# %% [markdown]
# ## 4.8 Whole responses, and what tokens owe to the future *(no points, 4 min)*
#
# A response is many draws, and an early token decides which contexts come later. KL(policy ‖
# ref) of whole responses counts that. A loss of each token by itself does not: when it is
# differentiated, the later contexts are given.
#
# Four losses on all 27 responses of three tokens, by enumeration. *Return-to-go*: the
# log-ratios from this token on, as a constant, in the reward of each token. **Predict** which
# of the four have the gradient of the KL of whole responses.

# %% demo
if ready("on_policy_kl_loss"):
    responses = all_responses(seed=1, time=3)
    logp, ref_logp = responses.logp(), responses.ref_logp()
    chance, gap_here = logp.sum(1).exp(), logp - ref_logp
    wanted = responses.gradient((chance * gap_here.sum(1)).sum())
    losses_here = {
        "k2 of the whole response": estimators["k2"](logp.sum(1), ref_logp.sum(1)),
        "k1 in the reward, return-to-go": responses.return_to_go_loss(gap_here),
        "your loss, token by token": on_policy_kl_loss(logp, ref_logp).sum(1),
        "exact KL at each position": responses.next_token_kl().sum(1),
    }
    for name, loss_here in losses_here.items():
        error_here = responses.gradient((chance.detach() * loss_here).sum()) - wanted
        print(f"{name:32} relative error {(error_here.norm() / wanted.norm()).item():.2g}")

# %% demo
if ready("on_policy_kl_loss"):
    found = {n: responses.gradient((chance.detach() * x).sum()) for n, x in losses_here.items()}
    names = list(losses_here)
    for name in names[:2]:
        assert torch.allclose(found[name], wanted, rtol=0, atol=1e-10)
    assert torch.allclose(found[names[2]], found[names[3]], rtol=0, atol=1e-10)
    print("error by the token's position, of a token-level loss:")
    for t in range(3):
        rows = responses.beginnings[:, t].unique()
        miss, size = (found[names[3]] - wanted)[rows].norm(), wanted[rows].norm()
        print(f"  token {t + 1}: {(miss / size).item():.2g}")

# %% [markdown]
# $k_1$ in the reward has the same mean gradient as $k_2$ of the whole response in the loss:
# that of the KL. The two token-level losses, full-vocabulary KL included, agree with each other
# and miss the same part: the credit of a token for what comes after it. The last token has no
# future, and nothing is missed there. Token 1 has the most future and yet misses less than
# token 2: what counts is how *differently* later tokens cost after each choice, not how many.
#
# **Predict**: does the error grow with the length of the responses? Twenty random problems at
# each length.

# %% demo
if ready("on_policy_kl_loss"):
    lengths, errors = range(1, 6), {"token by token": [], "whole response": []}
    for seed in range(20):
        for time in lengths:
            responses = all_responses(seed, time)
            logp, ref_logp = responses.logp(), responses.ref_logp()
            chance = logp.sum(1).exp()
            wanted = responses.gradient((chance * (logp - ref_logp).sum(1)).sum())
            parts_here = on_policy_kl_loss(logp, ref_logp).sum(1)
            whole_loss = on_policy_kl_loss(logp.sum(1), ref_logp.sum(1))
            for name, loss_here in zip(errors, (parts_here, whole_loss), strict=True):
                gap_here = responses.gradient((chance.detach() * loss_here).sum()) - wanted
                errors[name].append(gap_here.norm() / wanted.norm())
    plot_length(list(lengths), {n: torch.stack(e).reshape(20, -1) for n, e in errors.items()})

# %% [markdown]
# The error differs widely from problem to problem, and its median grows with the length. It is
# nothing that more data would average away: it is what these losses leave out. Lesson 06
# returns to the choice between reward and loss.

# %% [markdown]
# ## 4.9 The bug museum *(8 points, 15 min, medium)*
#
# Eight defects that people wrote, each rebuilt in a few lines. Run every exhibit and look at
# its numbers; at the end you match them with complaints, each in our words. One complaint fits
# no exhibit.
#
# **Exhibit `k1_loss`** (open-instruct
# [#534](https://github.com/allenai/open-instruct/issues/534),
# [#535](https://github.com/allenai/open-instruct/pull/535)): the penalty in the loss is the
# mean of logp − ref_logp, and a batch serves eight updates. Five batches, ten seeds, exact
# means. **Predict** what the KL does as β grows.
#
# - **A**: it falls
# - **B**: it stays as it is
# - **C**: it grows

# %% predict="k1_as_loss"
predict("k1_as_loss", ...)

# %% demo
betas, seeds = (0.0, 0.1, 0.3, 1.0, 3.0), range(10)
drift = {
    name: torch.tensor([[drift_after_training(p, b, seed) for b in betas] for seed in seeds])
    for name, p in (("k1_loss", estimators["k1"]), ("exact KL", None))
}
plot_beta(betas, drift)
none, most = drift["k1_loss"].median(dim=0).values[[0, -1]]
outcome("k1_as_loss", A=most < 0.9 * none, C=most > 1.1 * none, B=True)

# %% [markdown]
# **Exhibit `second_softmax`**, from public teaching material: the log-probabilities of the
# drawn tokens are gathered, and the KL is computed from these as if they were logits.
# **Predict** what is left to compare.

# %% demo
generator = torch.Generator().manual_seed(0)
one, other = torch.randn(2, 4, 6, 10, generator=generator)  # batch time vocab, twice
drawn = torch.randint(10, (4, 6, 1), generator=generator)
gathered = [logits.log_softmax(-1).gather(-1, drawn) for logits in (one, other)]
print(f"second_softmax: at most {exact_kl(*gathered).max():.4f} nats at any position")
print(f"the exact KL:   {exact_kl(one, other).mean():.4f} nats on average")

# %% [markdown]
# **Exhibit `kl_div`**, from public teaching material: both arguments are log-probabilities, and
# the function was not told.

# %% demo
log_one, log_other = one.log_softmax(-1), other.log_softmax(-1)
defect = torch.nn.functional.kl_div(log_other, log_one, reduction="sum")
told = torch.nn.functional.kl_div(log_other, log_one, reduction="sum", log_target=True)
print(f"kl_div:                {defect:.4f}")
print(f"with log_target=True: {told:.4f} nats over all positions")
assert torch.allclose(told, exact_kl(one, other).sum(), rtol=1e-4)

# %% [markdown]
# **Exhibit `exponent`**, from public teaching material: $k_3$ with the sign of its exponent
# turned. Each row is a token.

# %% demo
print("log policy − log ref   exponent      k3")
for log_ratio_here in (-1.0, -0.3, 0.3, 1.0):
    d = torch.tensor(log_ratio_here)
    k3_here = estimators["k3"](d, torch.zeros(()))
    print(f"{d:20.1f} {torch.exp(d) - 1 + d:10.3f} {k3_here:7.3f}")

# %% [markdown]
# **Exhibit `padding`** (prime-rl
# [#2084](https://github.com/PrimeIntellect-ai/prime-rl/pull/2084), ms-swift
# [#9767](https://github.com/modelscope/ms-swift/pull/9767)): log-ratios are multiplied by a
# mask and summed.

# %% demo
for last, counts in ((0.4, True), (0.4, False), (-torch.inf, False)):
    log_ratios_here, mask = torch.tensor([0.2, -0.1, last]), torch.tensor([True, True, counts])
    shown = [f"{value:.1f}" for value in log_ratios_here.tolist()]
    print(f"{', '.join(shown)} where {mask.tolist()}: {(log_ratios_here * mask).sum():.2f}")

# %% [markdown]
# **Exhibit `train_mode`** (trl [#454](https://github.com/huggingface/trl/issues/454),
# [#3234](https://github.com/huggingface/trl/pull/3234)): policy and old are one network with
# one set of weights, scored twice, in the mode that training leaves a network in: dropout is
# on.

# %% demo
torch.manual_seed(0)  # dropout draws from the global generator
network = torch.nn.Sequential(torch.nn.Dropout(0.1), torch.nn.Linear(8, 32))
observations = torch.randn(4, 8, generator=generator)
for mode in (True, False):
    network.train(mode)
    with torch.no_grad():
        twice = [network(observations).log_softmax(-1)[:, 0] for _ in range(2)]
    ratios_here = (twice[0] - twice[1]).exp()
    print(f"train_mode {mode!s:5}: policy/old", [f"{ratio:.3f}" for ratio in ratios_here.tolist()])

# %% [markdown]
# **Exhibit `temperature`** (trl [#235](https://github.com/huggingface/trl/issues/235),
# [#351](https://github.com/huggingface/trl/issues/351),
# [#925](https://github.com/huggingface/trl/issues/925),
# [#1005](https://github.com/huggingface/trl/issues/1005)): tokens are drawn under other
# settings than they are scored with, here at temperature ½ and at 1. The mean over all draws is
# exact.

# %% demo
ref_scores = torch.tensor([2.0, 1.0, 0.0, -1.0], dtype=torch.float64)
policy_scores = 0.7 * ref_scores
log_ratio_here = policy_scores.log_softmax(-1) - ref_scores.log_softmax(-1)
for temperature in (1.0, 0.5):
    mean_here = ((policy_scores / temperature).softmax(-1) * log_ratio_here).sum()
    print(f"drawn at temperature {temperature}: mean of k1 {mean_here:+.4f}")
print(f"KL(policy ‖ ref)                     {exact_kl(policy_scores, ref_scores):+.4f}")

# %% [markdown]
# **Exhibit `detached`**: the KL in the loss was computed under `no_grad`. Tests that look at
# values alone pass it.

# %% demo
leaf = policy_scores.clone().requires_grad_(True)
with torch.no_grad():
    price_here = exact_kl(leaf, ref_scores)
for beta in (0.0, 1.0, 100.0):
    loss_here = -leaf.softmax(-1)[0] + beta * price_here
    (step,) = torch.autograd.grad(loss_here, leaf)
    print(f"β = {beta:5.1f}, KL {price_here:.4f}, gradient", [f"{g:+.4f}" for g in step.tolist()])

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
# Gradients of KL losses are also the subject of [NeMo-RL PR
# #2506](https://github.com/NVIDIA-NeMo/RL/pull/2506), OpenRLHF PRs
# [#1101](https://github.com/OpenRLHF/OpenRLHF/pull/1101) and
# [#1309](https://github.com/OpenRLHF/OpenRLHF/pull/1309), and [verl PR
# #2953](https://github.com/verl-project/verl/pull/2953). The cure that fits all of them is this
# lesson's: a vocabulary of five, every draw listed, and the mean gradient compared with the one
# you meant.

# %% [markdown]
# ## What to take along
#
# - Autograd does not see where a token was drawn. A right value may have a wrong gradient.
# - Own tokens: $k_1$ gives 0, $k_2$ gives ∇KL(policy ‖ ref), $k_3$ gives ∇KL(ref ‖ policy).
# - Old tokens: $k_1$ gives −∇KL(old ‖ policy), and repels. The ratio, differentiated, makes
#   $k_1$ and $k_3$ exact, not $k_2$.
# - Token-level losses leave out the credit for later tokens; $k_1$ in the reward does not.
# - Before you trust a penalty, enumerate its gradient once on a toy.

# %% demo
progress("04_penalty_gradients")
predictions("04_penalty_gradients")

# %% [markdown]
# Next: **05 · Stable updates**. You put reward, ratio, clip and penalty together, and let the
# weight β adapt itself.
