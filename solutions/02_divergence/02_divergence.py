# %% [markdown]
# # 02 · Measuring how far the policy moved
#
# A penalty needs a number: how far is the policy from where it was? After this lesson you can
#
# - compute KL(policy ‖ ref) exactly for one choice, impossible outcomes included;
# - price a whole response from the log-probabilities of its tokens;
# - estimate a divergence from drawn tokens, and say which estimator is biased or noisy;
# - say at how many nats the update of lesson 01 broke.
#
# About 2 hours 36 minutes; after 2.4 is a good place to pause. It needs lesson 01:
# log-probabilities and masks. All logarithms are natural.

# %% setup
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped, written
from helpers.plots.divergence import (
    plot_bias_and_spread,
    plot_collapse,
    plot_estimators,
    plot_fits,
    plot_old_and_ref,
    plot_prices,
    plot_rounding,
    plot_step_and_drift,
    plot_tangent,
    plot_two_directions,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.divergence import (
    batch_direction,
    estimator_closed_forms,
    pairs_of_humps,
    random_policy,
    random_world,
    response_kl,
    single_humps,
    six_updates,
    slips_of_response_kl,
    tiny_language,
    trajectory_log_probs,
    two_humps,
    unit_normal_logp,
    words_before,
)
from helpers.problems.policy_updates import (
    WORDS,
    divergence_from_old,
    every_response,
    gradient_at,
    old_table,
    true_return,
)

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## Two policies to be near to *(3 min)*
#
# **old** is the policy that drew this batch: every update replaces it, and the distance from it
# is the size of a *step*. **ref** was frozen where training began: nothing replaces it, and the
# distance from it is the *drift*. At the first update the two are one policy, which is where
# lesson 01 stopped; Xiao & Zhu write $\theta_{\mathrm{ref}}$ for both.

# %% demo
plot_old_and_ref(six_updates())

# %% [markdown]
# One formula measures both distances. This lesson builds it for ref, and in 2.9 you put old in
# ref's place. Throughout, a **log-ratio** is log policy − log ref, in this order: above 0 where
# the policy has made something likelier.

# %% [markdown]
# ## 2.1 One choice, exactly *(10 points, 35 min, hard)*
#
# The policy draws one of a few outcomes. Its divergence from the reference is the mean, over
# its own draws, of how much likelier it has made what it drew, in nats:
#
# $$\mathrm{KL}(\text{policy}\,\|\,\text{ref}) =
# \textstyle\sum_y \text{policy}(y)\,\bigl[\log \text{policy}(y) - \log \text{ref}(y)\bigr]$$

# %% [markdown]
# The name on the left does the drawing. **Predict**: of two outcomes ref gives the first a
# probability of 0.2, the policy one of 0.9. Which is larger?
#
# - **A**: KL(policy ‖ ref)
# - **B**: KL(ref ‖ policy)
# - **C**: they are equal
#
# And what becomes of each as the policy's probability nears 1?

# %% predict="two_directions"
predict("two_directions", ...)

# %% demo
_towards = 0.9 * math.log(0.9 / 0.2) + 0.1 * math.log(0.1 / 0.8)
_back = 0.2 * math.log(0.2 / 0.9) + 0.8 * math.log(0.8 / 0.1)
print(f"KL(policy ‖ ref) = 0.9 · log 0.9/0.2 + 0.1 · log 0.1/0.8 = {_towards:.3f} nats")
print(f"KL(ref ‖ policy) = 0.2 · log 0.2/0.9 + 0.8 · log 0.8/0.1 = {_back:.3f} nats")
plot_two_directions(ref=0.2)
outcome("two_directions", A=_towards > _back, B=_towards < _back, C=True)

# %% [markdown]
# Neither is always the larger: with two outcomes they are equal at 0.8, ref turned round. At the
# right edge the policy stops drawing the second outcome. KL(policy ‖ ref) stays finite there:
# what is never drawn is never paid for. KL(ref ‖ policy) grows without bound. Two rules follow:
#
# - an outcome that the policy never draws costs 0, whatever ref thinks of it;
# - an outcome that the policy draws and ref never does costs +∞.
#
# "Never" is a logit of −∞, and 0 · (−∞) is NaN in floating point.

# %% [markdown]
# **Write it** so that both rules hold, and so that a finite divergence has a finite gradient.
# ref is frozen, in this exercise and in all that follow: a docstring calls it *a constant*, and
# no gradient may reach it.
#
# Stuck? Add a cell, type `hint("categorical_kl")` and run it: each run shows the next of three
# hints. Every exercise has them under its own name.


# %% exercise="categorical_kl"
@shaped
def categorical_kl(
    logits: Float[Tensor, "*leading vocab"], ref_logits: Float[Tensor, "*leading vocab"]
) -> Float[Tensor, "*leading"]:
    """KL(policy ‖ ref), exactly, from the logits of every outcome.

    logits: the policy's; a logit of −inf is an outcome that cannot happen, and costs 0.
    ref_logits: a constant; −inf where the policy's probability is above 0 costs +inf.
    Returns nats; differentiable in `logits`, the weight π included.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3; Cover & Thomas, chapter 2.
    Example: (3/4, 1/4) against (1/2, 1/2): 3/4·log 3/2 + 1/4·log 1/2 = 0.1308.
    """
    ### BEGIN SOLUTION
    log_policy = logits.log_softmax(dim=-1)
    log_ref = ref_logits.detach().log_softmax(dim=-1)
    impossible = log_policy == -torch.inf
    # Both are replaced before the product: 0 · inf is NaN, in the value and in the gradient.
    gap = torch.where(impossible, 0.0, log_policy) - torch.where(impossible, 0.0, log_ref)
    costs = torch.where(gap == torch.inf, torch.inf, log_policy.exp() * gap)
    return costs.sum(dim=-1)
    ### END SOLUTION


# %% check="categorical_kl" points=10
check("categorical_kl", categorical_kl)

# %% [markdown]
# **Never below 0.** A mean of log-ratios, some of them negative, and yet it cannot be: it is 0
# where the two are equal, and above 0 elsewhere. If S is what the policy can draw, it is even
# at least 1 − ref(S): what ref gives to the rest, and the policy does not.
#
# <details><summary>Why: a divergence is never negative</summary>
#
# The logarithm lies under its tangent at 1: log x ≤ x − 1. Put x = ref/policy, on S:
#
# $$-\mathrm{KL} = \sum_{y \in S} \pi(y) \log \frac{\text{ref}(y)}{\pi(y)} \;\le\;
# \sum_{y \in S} \pi(y) \Big[\frac{\text{ref}(y)}{\pi(y)} - 1\Big] = \text{ref}(S) - 1 \;\le\; 0$$
#
# Both are equalities only if ref/policy is 1 on all of S, and then ref(S) = 1.
#
# </details>

# %% demo
if ready("categorical_kl"):
    _generator = torch.Generator().manual_seed(0)
    _pair = 2 * torch.randn(2, 10_000, 5, generator=_generator, dtype=torch.float64)
    _never = torch.rand(10_000, 5, generator=_generator) < 0.2  # by the policy
    _never[:, 0] = False
    _logits, _ref_logits = _pair[0].masked_fill(_never, -torch.inf), _pair[1]
    _kl = categorical_kl(_logits, _ref_logits)
    _used = (_ref_logits.softmax(-1) * ~_never).sum(-1)  # ref(S)
    print(f"least of 10,000 divergences: {_kl.min():.4f} nats")
    print(f"least of KL − (1 − ref(S)):  {(_kl - (1 - _used)).min():.4f}")
    _same = categorical_kl(_logits, _logits).abs().max()
    print(f"from a policy to itself:     {_same:.0e}")
    assert (_kl >= 1 - _used).all()

# %% [markdown]
# KL(policy ‖ ref) charges for what the policy itself writes, so the policy's own text is enough
# to estimate it. That is why we keep this direction; what the other does differently is in 2.10.

# %% [markdown]
# ## 2.2 A trajectory, and the environment's part *(1 point, 6 min, easy)*
#
# A policy acts many times, and the environment answers each time. A trajectory of states $s_t$
# and actions $a_t$ has log-probability
#
# $$\textstyle \log p(s_0) + \sum_t
# \bigl[\log \pi_\theta(a_t \mid s_t) + \log p(s_{t+1} \mid s_t, a_t)\bigr]$$
#
# Its penalty is this sum under the policy minus the same sum under ref. Out in the world nobody
# knows the transitions $p$.

# %% [markdown]
# **Question.** Xiao & Zhu ([section 4.3.3](https://arxiv.org/abs/2501.09223)) keep only the
# policies' terms of the penalty. What does dropping the transition probabilities cost?
#
# - **A**: a little accuracy; it is an approximation, good if transitions are nearly certain
# - **B**: nothing for a language model, whose environment is deterministic, but something
#   elsewhere
# - **C**: nothing, if both policies meet the same dynamics: the terms cancel every time
# - **D**: no bias, but more noise, as the transition terms would have steadied the penalty
#
# Settle on one of the four before you run the next cell; below it you answer.

# %% demo
_world, _elsewhere = random_world(seed=0), random_world(seed=1)
_policy, _ref = random_policy(seed=2), random_policy(seed=3)
# What the policy did, and what the world did.
_chosen, _led = trajectory_log_probs(_world, _policy)
_ref_chosen, _ref_led = trajectory_log_probs(_world, _ref)
_complete, _short = (_chosen + _led) - (_ref_chosen + _ref_led), _chosen - _ref_chosen
print("trajectory    log p of the world    complete penalty    actions only")
for _at in (0, 100, 647):
    _both = f"{_complete[_at]:16.4f}    {_short[_at]:12.4f}"
    print(f"{_at + 1:10}    {_led[_at]:18.4f}    {_both}")
print(f"all {len(_short)}: greatest gap {(_complete - _short).abs().max():.0e} nats")
assert torch.allclose(_complete, _short, rtol=0, atol=1e-12)
_, _led_elsewhere = trajectory_log_probs(_elsewhere, _ref)
_gap = (_led - _led_elsewhere).abs().max()
print(f"all {len(_short)}, had ref met another world: greatest gap {_gap:.2f} nats")

# %% [markdown]
# Now answer the question, with a letter; the box has the reason, for afterwards.
#
# <details><summary>Why: the environment cancels, trajectory by trajectory</summary>
#
# Write the sum twice and subtract, for one trajectory that was drawn. log p(s₀) and every
# log p(s′ ∣ s, a) stand in both sums with the same states and actions, so they are the same
# finite numbers: nothing of them is left. What differs are the policies' terms. So the mean of
# the short penalty is the KL of whole trajectories, in any environment that both policies meet.
#
# </details>

# %% quiz="q02_dynamics"
q02_dynamics = "C"

# %% check="q02_dynamics" points=1
check("q02_dynamics", q02_dynamics)

# %% [markdown]
# ## 2.3 The price of a response *(6 points, 15 min, medium)*
#
# A language model acts by tokens. The penalty of its response $y$ to a prompt $x$ is a sum:
#
# $$\log \pi_\theta(y \mid x) - \log \pi_{\mathrm{ref}}(y \mid x) = \textstyle\sum_t
# \bigl[\log \pi_\theta(y_t \mid x, y_{<t}) - {}
# \log \pi_{\mathrm{ref}}(y_t \mid x, y_{<t})\bigr]$$

# %% [markdown]
# It charges the policy for how much likelier it has made those very words. This one number has
# three names: the *penalty* of the response, its *price*, and its summed *log-ratio*. The mean
# price over the policy's own responses is a divergence: by 2.1 it is above 0, once the policy
# has moved. **Predict**: what is the mean price over responses that *ref* has written?
#
# - **A**: above 0 too
# - **B**: below 0
# - **C**: 0
#
# And can the price of one response be negative?

# %% predict="ref_price"
predict("ref_price", ...)

# %% [markdown]
# Responses in a batch differ in length, and anything may stand in the padding. Write it for the
# whole batch at once; a loop works but is slow.


# %% exercise="sequence_log_ratio"
@shaped
def sequence_log_ratio(
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, " batch"]:
    """How much likelier the policy makes each response than the reference does.

    logp, ref_logp: log-probability of each token, in nats; `ref_logp` is a constant.
    mask: True on response tokens; what stands elsewhere is never read.
    Returns nats, one price for each response.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3.
    Example: two tokens at (3/4, 1/4) against (1/2, 1/2): log 3/2 + log 1/2 = log 3/4.
    """
    ### BEGIN SOLUTION
    gap = logp - ref_logp.detach()
    return torch.where(mask, gap, 0.0).sum(dim=1)
    ### END SOLUTION


# %% check="sequence_log_ratio" points=6
check("sequence_log_ratio", sequence_log_ratio)

# %% [markdown]
# **Look at yours.** This language has the tokens "good", "fine" and ".", which ends a response,
# and a response has at most four, so all 31 can be listed; the policy has come to like "good".
# The cell compares two ways to one divergence: the mean price of a response, and the mean of
# your exact `categorical_kl`, summed over a response's positions. In the figure a stem is a
# response; where prices are equal, stems overlap.

# %% [markdown]
# <details><summary>Why: the KL of responses is the expected sum of next-token KLs</summary>
#
# Write $d_t$ for the log-ratio of token t. Given the tokens before, its mean over the policy's
# next token is a KL of one choice, by definition. The mean over responses is the mean over
# prefixes of the mean given the prefix:
#
# $$\mathbb{E}_{y \sim \pi}\Big[\sum_t d_t\Big]
# = \mathbb{E}_{y \sim \pi}\Big[\sum_t \mathbb{E}\,[d_t \mid y_{<t}]\Big]
# = \mathbb{E}_{y \sim \pi}\Big[\sum_t \mathrm{KL}_t(y_{<t})\Big]$$
#
# The prefixes are the *policy's*: it decides where the next-token KLs are looked at.
#
# </details>

# %% demo
if ready("categorical_kl", "sequence_log_ratio"):
    _language = tiny_language()
    _prices = sequence_log_ratio(_language.logp, _language.ref_logp, _language.mask)
    _by_response = (_language.probability * _prices).sum()
    _next_word = categorical_kl(_language.logits, _language.ref_logits)[_language.previous]
    _by_position = (_language.probability * (_next_word * _language.mask).sum(dim=1)).sum()
    print(f"mean price of a response      {_by_response:.10f} nats")
    print(f"mean sum of exact divergences {_by_position:.10f} nats")
    assert torch.allclose(_by_response, _by_position, rtol=0, atol=1e-12)
    _by_ref = (_language.ref_probability * _prices).sum()
    print(f"mean price, had ref written  {_by_ref:.10f} nats")
    plot_prices(_prices, _language.probability, _language.responses)
    outcome("ref_price", A=_by_ref > 1e-9, B=_by_ref < -1e-9, C=True)

# %% [markdown]
# One response may be cheaper than free: the policy has made it *rarer*. The mean over the
# policy's own responses is KL(policy ‖ ref), which is never negative. Over ref's responses it
# is −KL(ref ‖ policy), never positive: see the third line. A mean that stays below 0 in your
# logs says that something is wrong: for one, that the tokens were not drawn from the policy
# that scored them.

# %% [markdown]
# ## 2.4 Read a penalty *(2 points, 5 min, easy)*
#
# You maximise $J - \beta \cdot \text{penalty}$ with $\beta > 0$. Training began at ref, and its
# updates have moved the policy to where it is now. Both score one response:
#
# | token | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|
# | log policy | −1.6 | −0.7 | −2.0 | −0.1 |
# | log ref | −0.9 | −0.9 | −1.2 | −3.0 |
# | mask | True | True | True | False |

# %% [markdown]
# **Question.** What is the penalty of this response, in nats, to two decimals? And by its sign:
# on this response, does the term −β · penalty reward the update that has been made, adding to
# the objective (`"encourages"`), or charge for it (`"discourages"`)? (Its value is asked, not
# its gradient.) Answer with a dict: `{"penalty": ..., "effect": ...}`.

# %% quiz="q02_interpret_penalty"
q02_interpret_penalty = {"penalty": -1.3, "effect": "encourages"}

# %% check="q02_interpret_penalty" points=2
check("q02_interpret_penalty", q02_interpret_penalty)

# %% [markdown]
# ## 2.5 One token is all you see *(6 points, 14 min, easy)*
#
# With a large vocabulary and long responses you do not sum over all outcomes. You have the
# tokens that were drawn and, for each, two log-probabilities. An *estimator* turns these into a
# number whose mean over the policy's tokens should be KL(policy ‖ ref). The definition offers
# the first; a second is never negative ([Schulman 2020](http://joschu.net/blog/kl-approx.html)):
#
# $$k_1 = \log \text{policy} - \log \text{ref} \qquad
# k_2 = \tfrac12 (\log \text{policy} - \log \text{ref})^2$$


# %% exercise="k1"
@shaped
def k1(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """The log-ratio of each drawn token: unbiased for KL(policy ‖ ref), but noisy.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, of either sign.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: log 2 = 0.6931.
    """
    ### BEGIN SOLUTION
    return logp - ref_logp.detach()
    ### END SOLUTION


# %% check="k1" points=3
check("k1", k1)


# %% exercise="k2"
@shaped
def k2(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """Half the squared log-ratio of each drawn token: never negative, near ref little biased.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, 0 or more.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: ½ (log 2)² = 0.2402.
    """
    ### BEGIN SOLUTION
    return 0.5 * (logp - ref_logp.detach()).square()
    ### END SOLUTION


# %% check="k2" points=3
check("k2", k2)

# %% [markdown]
# **Why half of a square?** For a policy near ref the mean of $k_2$ is KL(policy ‖ ref), up to
# third powers. If its logits are ref's plus a small $d$, one number for each outcome, both are
# half the *variance of d over ref's draws*, up to the same; the box writes it $d^\top F d$.

# %% [markdown]
# <details><summary>Why: near ref a divergence is half of a square</summary>
#
# Write ℓ for the log-ratio. Over the policy's draws $e^{-\ell}$, ref/policy, has the mean 1: it is
# the sum of ref's probabilities. So the mean of its expansion less 1 is 0:
#
# $$\mathbb{E}\big[-\ell + \tfrac12 \ell^2 - \dots\big] = 0 \;\Rightarrow\;
# \mathrm{KL} = \mathbb{E}[\ell] \approx \tfrac12 \mathbb{E}[\ell^2]
# \approx \tfrac12\, d^\top F d$$
#
# The last step is ℓ ≈ d·∇log π. For the logits of one choice that is d less its mean, so dᵀFd is
# the variance of d over the draws, and F = diag(π) − ππᵀ. For any parameters F is the mean of
# ∇log π ∇log πᵀ: it is called the *Fisher information*.
#
# </details>

# %% demo
if ready("categorical_kl", "k2"):
    _generator = torch.Generator().manual_seed(0)
    _ref, _d = torch.randn(2, 5, generator=_generator, dtype=torch.float64)
    _p = _ref.softmax(-1)
    _variance = _d @ (torch.diag(_p) - torch.outer(_p, _p)) @ _d  # as the box writes it
    assert torch.isclose(_variance, _p @ _d**2 - (_p @ _d) ** 2)
    print("                       (this − KL) / size³, for this =")
    print("size of d         KL    mean of k2    ½ variance    KL(ref ‖ policy)")
    for _size in (1.0, 0.1, 0.01, 0.001):
        _policy = (_ref + _size * _d).log_softmax(-1)
        _kl = categorical_kl(_policy, _ref)
        _half = (_policy.exp() * k2(_policy, _ref.log_softmax(-1))).sum()
        _three = _half, 0.5 * _size**2 * _variance, categorical_kl(_ref, _policy)
        _gaps = [(x - _kl).item() / _size**3 for x in _three]
        print(f"{_size:9.3f} {_kl:10.2e}" + " {:13.3f} {:13.3f} {:19.3f}".format(*_gaps))
        assert max(map(abs, _gaps)) < 1

# %% [markdown]
# Three numbers beside KL(policy ‖ ref): each is off by what shrinks like the third power of the
# size, while the divergence shrinks like the second. So near ref the direction does not matter.

# %% [markdown]
# ## 2.6 Unbiased and never negative *(7 points, 22 min, hard)*
#
# For this one estimator take the difference the other way round: δ = log ref − log policy, the
# negative of the log-ratio. Its exponential, ref/policy, has the mean 1 over the policy's
# tokens, as ref's probabilities sum to 1. So ref/policy − 1 has mean 0, and adding it to
# $k_1 = -\delta$ keeps the mean:
#
# $$k_3 = \Big(\frac{\text{ref}}{\text{policy}} - 1\Big)
# - \log \frac{\text{ref}}{\text{policy}} = e^\delta - 1 - \delta$$
#
# **Predict** from the picture: why is this never negative? You have met the reason in 2.1.

# %% demo
plot_tangent()

# %% [markdown]
# On paper that is all. On a computer $k_3$ is a small rest, about $\tfrac12\delta^2$, of numbers
# near 1. **Predict**: float32 keeps some 7 digits. Compute $e^\delta - \delta - 1$ as it stands:
# from which δ downwards may it be off by more than 1 % of $k_3$?
#
# - **A**: about 4e-3
# - **B**: about 1e-5
# - **C**: about 1e-7

# %% predict="digits"
predict("digits", ...)

# %% demo
print("    δ     k3, by its series    in float32    in float64")
for _delta in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8):
    _series = sum(_delta**n / math.factorial(n) for n in range(2, 9))
    _both = [torch.tensor(_delta, dtype=dtype) for dtype in (torch.float32, torch.float64)]
    _plain = [(torch.exp(_d) - _d - 1).item() for _d in _both]
    print("{:.0e} {:20.3e} {:13.3e} {:13.3e}".format(_delta, _series, *_plain))
for _dtype in (torch.float64, torch.float32):
    _d = torch.logspace(-9, -1, 4001, dtype=torch.float64).to(_dtype)
    _series = sum(_d.double() ** n / math.factorial(n) for n in range(2, 9))
    _off = ((torch.exp(_d) - _d - 1).double() / _series - 1).abs() > 0.01
    print(f"{_dtype} has steps of {torch.finfo(_dtype).eps:.1e} above 1:", end=" ")
    print(f"off by more than 1 % at δ = {_d[_off].max():.1e}, and often below")
_from = _d[_off].max()  # float32's
outcome("digits", A=1e-3 < _from < 1e-2, B=1e-6 < _from < 1e-4, C=_from <= 1e-6)

# %% [markdown]
# $e^\delta$ is a number near 1, and those are stored in the steps of the last lines. So in float32
# $e^\delta$ carries a rounding error of about 1e-7; δ does not. After the subtraction the error
# remains, and for a small δ it is larger than $\tfrac12\delta^2$. This is *cancellation*. torch has
# a function that finds $e^\delta - 1$ without passing through 1.

# %% [markdown]
# Write $k_3$ so that small δ keep their digits. The check asks for them in float64, to 1e-6 of
# $k_3$ at δ of a few 1e-6: there the same trap costs the plain subtraction most of its digits,
# and a right answer has some to spare.


# %% exercise="k3"
@shaped
def k3(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """(ref/policy − 1) − log(ref/policy) of each drawn token: unbiased, never negative.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Unbiased where the policy can draw all that ref can.
    Returns nats, 0 or more; in float64 right to 1e-6 of itself for log-ratios down to ±1e-6.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: −1/2 + log 2 = 0.1931.
    """
    ### BEGIN SOLUTION
    delta = ref_logp.detach() - logp
    return torch.expm1(delta) - delta
    ### END SOLUTION


# %% check="k3" points=7
check("k3", k3)

# %% [markdown]
# **Look at yours**, twice: its rounding error beside that of the plain subtraction, and the three
# estimators as functions of one token's log-ratio.

# %% demo
if ready("k3"):
    _delta = torch.logspace(-7, -1, 13, dtype=torch.float64)
    _exact = sum(_delta**n / torch.arange(1, n + 1).prod() for n in range(2, 10))
    _errors = {}
    for _dtype in (torch.float32, torch.float64):
        _d, _name = _delta.to(_dtype), str(_dtype).removeprefix("torch.")
        _errors[f"plain, {_name}"] = ((torch.exp(_d) - _d - 1) / _exact - 1).abs()
        _errors[f"yours, {_name}"] = (k3(torch.zeros_like(_d), _d) / _exact - 1).abs()
    plot_rounding(_delta, _errors)

# %% demo
if ready("k1", "k2", "k3"):
    _log_ratio = torch.linspace(-2.0, 2.0, 201)
    _zero = torch.zeros_like(_log_ratio)
    _estimators = {"k1": k1, "k2": k2, "k3": k3}
    _values = {name: k(_log_ratio, _zero) for name, k in _estimators.items()}
    plot_estimators(_log_ratio, _values)

# %% [markdown]
# Rounding first: one subtraction is left, of δ, so your error grows as well, by a power of δ
# less.
#
# Now begin at the left of the second picture: a token that the policy has made rarer. $k_1$
# answers with a negative number and leaves it to other tokens to make up for it; $k_3$ answers
# with a large positive one. $k_2$ does not look at the sign, and pays for that with a bias,
# which by 2.5 is of third order near ref.

# %% [markdown]
# **Where $k_3$ is biased.** That ref/policy has mean 1 needs a policy that can draw whatever ref
# can. If it draws only from S, the mean is ref(S), and $k_3$ averages to KL − (1 − ref(S)), which
# by 2.1 is still not below 0. The policy's tokens will not tell you:

# %% demo
if ready("categorical_kl", "k1", "k3"):
    _policy, _ref = torch.tensor([0.5, 0.5, 0.0]), torch.ones(3) / 3
    _drawn = _policy > 0
    _logs = _policy[_drawn].log(), _ref[_drawn].log()
    _means = [(_policy[_drawn] * k(*_logs)).sum() for k in (k1, k3)]
    _kl = categorical_kl(_policy.log(), _ref.log())
    print(f"policy (1/2, 1/2, 0), ref (1/3, 1/3, 1/3): KL {_kl:.3f}", end="   ")
    print("mean k1 {:.3f}   mean k3 {:.3f}".format(*_means))
    print(f"KL − (1 − ref(S)) = {_kl - (1 - _ref[_drawn].sum()):.3f}")
    assert torch.isclose(_means[1], _kl - (1 - _ref[_drawn].sum()))

# %% [markdown]
# A softmax gives every token some probability, but a sampler that cuts off rare tokens (top-k,
# top-p) does not draw all of them. $k_1$ stays right, if logp is that of what was drawn from.

# %% [markdown]
# ## 2.7 Which one to trust *(14 min)*
#
# Let policy = N(m, 1) and ref = N(0, 1), where everything is known: the true KL is $m^2/2$, the
# one bias is $k_2$'s, $m^2/4$ of the true KL, and the *spread* of one draw, its standard
# deviation, is, over the true KL,
#
# $$k_1:\ \frac2m \qquad k_2:\ \sqrt{2 + m^2} \qquad
# k_3:\ \frac{2}{m^2}\sqrt{e^{m^2} - 1 - m^2}$$

# %% [markdown]
# <details><summary>Why: the three spreads</summary>
#
# The log-ratio of a draw x is mx − m²/2, and x ∼ N(m, 1): it is normal with mean m²/2, the KL,
# and variance m². So $k_1$ has spread m. With ℓ for the log-ratio, $k_2 = \tfrac12 \ell^2$, whose
# moments follow from those of a normal number; $k_3 = e^{-\ell} - 1 + \ell$, where $e^{-\ell}$ is
# log-normal with mean 1 and variance $e^{m^2} - 1$, and its covariance with ℓ is −m²:
#
# $$\mathrm{Var}(k_3) = (e^{m^2} - 1) - 2m^2 + m^2 = e^{m^2} - 1 - m^2$$
#
# </details>

# %% [markdown]
# Averaging helps: the mean of n draws is off by about spread/√n, and by the bias, which no n
# removes. **Predict** for m = 0.1: how many draws does $k_1$ need for an error of 10 %, beside
# those that $k_3$ needs?
#
# - **A**: about as many
# - **B**: about ten times as many
# - **C**: more than a hundred times as many

# %% predict="draws_of_k1"
predict("draws_of_k1", ...)

# %% [markdown]
# First the formulas themselves: your functions, integrated over the policy's density. Their
# numbers, rounded, stand in [Schulman's table](http://joschu.net/blog/kl-approx.html).


# %% demo
def _bias_and_spread(k, m):
    """Of one draw, over the true KL: integrals over the policy's density."""
    x = torch.linspace(m - 14, m + 14, 20_001, dtype=torch.float64)
    logp, ref_logp = unit_normal_logp(x, m), unit_normal_logp(x, 0.0)
    values = k(logp, ref_logp) / (m**2 / 2)
    mean = torch.trapezoid(logp.exp() * values, x)
    spread = torch.trapezoid(logp.exp() * (values - mean) ** 2, x).sqrt()
    return mean - 1, spread


if ready("k1", "k2", "k3"):
    _ks = {"k1": k1, "k2": k2, "k3": k3}
    _found = [x for m in (0.1, 1.0) for k in _ks.values() for x in _bias_and_spread(k, m)]
    _forms = [estimator_closed_forms(m).values() for m in (0.1, 1.0)]
    _claimed = [x for forms in _forms for both in forms for x in both]
    _gap = max(abs(one - other) for one, other in zip(_found, _claimed, strict=True))
    print(f"{len(_found)} integrals and their formulas: greatest gap {_gap:.0e}")
    assert _gap < 1e-8

# %% [markdown]
# Now draws, as in training: 10 seeds of 100,000 each.


# %% demo
def _drawn(k, m):
    """Bias and spread over the true KL of 100,000 draws, for each of 10 seeds."""
    rows = []
    for seed in range(10):
        noise = torch.randn(100_000, generator=torch.Generator().manual_seed(seed))
        x = (m + noise).to(pick_device())
        values = k(unit_normal_logp(x, m), unit_normal_logp(x, 0.0)) / (m**2 / 2)
        rows.append([values.mean().item() - 1, values.std().item()])
    return torch.tensor(rows)


if ready("k1", "k2", "k3"):
    _measured = {m: {name: _drawn(k, m) for name, k in _ks.items()} for m in (0.1, 1.0)}
    plot_bias_and_spread(_measured)

# %% demo
if ready("k1", "k2", "k3"):
    print("              draws for a              spread of one draw, over the true KL")
    print("              10 % error       bias    formula    10 seeds, least to greatest")
    for _m, _moments in _measured.items():
        for _name, _seeds in _moments.items():
            _bias, _closed = estimator_closed_forms(_m)[_name]
            _draws = f"{(_closed / 0.1) ** 2:,.0f}" if _bias < 0.1 else "never"
            _range = "{:.3f} to {:.3f}".format(*_seeds[:, 1].aminmax())
            print(f"m = {_m}   {_name}   {_draws:>10}", end=" ")
            print(f"{_bias:10.4f} {_closed:10.3f}    {_range}")
    _times = (_measured[0.1]["k1"][:, 1].mean() / _measured[0.1]["k3"][:, 1].mean()) ** 2
    outcome("draws_of_k1", A=_times < 3, B=3 <= _times <= 100, C=_times > 100)

# %% demo
if ready("k3"):
    # m = 1, where the mean of k3 is 1/2
    _x = torch.linspace(-13, 15, 20_001, dtype=torch.float64)
    _logp, _ref_logp = unit_normal_logp(_x, 1.0), unit_normal_logp(_x, 0.0)
    _parts, _rare = _logp.exp() * (k3(_logp, _ref_logp) - 0.5) ** 2, _x < 1.0 - 3.09
    print(f"at m = 1, {_logp.exp()[_rare].sum() / _logp.exp().sum():.1%} of draws", end=" ")
    print(f"carry {_parts[_rare].sum() / _parts.sum():.0%} of k3's variance")

# %% [markdown]
# While the policy is near, $k_3$ needs a small fraction of $k_1$'s draws, and $k_2$'s bias is
# too small to matter. At m = 1 that advantage is nearly gone, and $k_2$'s bias, 25 %, never
# averages out. There, in the right panel, $k_3$'s dots scatter most: its tail is heavy. Draws
# that come once in a thousand, far likelier under ref, carry a third of its variance; a batch
# that holds too few of them looks steadier than the estimator is.
#
# All this is about *values*. What each estimator does when you differentiate it is a different
# question with different answers: lesson 04.

# %% [markdown]
# ## 2.8 Many small steps *(8 min)*
#
# **Predict**: 20 small steps of the logits, all in one direction. How large is the drift, as a
# KL in nats, beside the KL of one step?
#
# - **A**: about as large
# - **B**: about 20 times as large
# - **C**: hundreds of times as large
#
# And if each step goes in a direction of its own?

# %% predict="drift"
predict("drift", ...)

# %% demo
if ready("categorical_kl"):
    _generator = torch.Generator().manual_seed(0)
    _start, _one = torch.randn(2, 20, 1, 8, generator=_generator, dtype=torch.float64)
    _many = torch.randn(20, 20, 8, generator=_generator, dtype=torch.float64)
    _times = {}
    for _size in (0.01, 0.03, 0.1):
        _kinds = {"one direction": _one.expand_as(_many), "its own each": _many}
        for _name, _moves in _kinds.items():
            _path = torch.cat([_start, _start + _size * _moves.cumsum(1)], dim=1)
            _step = categorical_kl(_path[:, 1:], _path[:, :-1]).mean(1, keepdim=True)
            _drift = categorical_kl(_path[:, 1:], _path[:, :1].expand_as(_path[:, 1:]))
            _times[_name] = _drift / _step
            print(f"steps of {_size}, {_name}: drift / step", end=" ")
            print("{:.0f} to {:.0f}, 20 seeds".format(*_times[_name][:, -1].aminmax()))
    plot_step_and_drift(*_times.values(), _size)

# %% demo
if ready("categorical_kl"):
    _ends = _times["one direction"][:, -1]
    outcome("drift", C=_ends.min() >= 100, A=_ends.median() < 5, B=_ends.median() < 100)

# %% [markdown]
# Near ref a divergence is half of a square (2.5), so n steps in one direction make a drift of n²
# steps: 20² = 400, and with larger steps the law bends. In directions of their own the steps
# add up like a random walk: about n steps in the median, in a wide band. Training lies between.
#
# So a bound on each step, which lesson 05 builds, does not bound the drift. A penalty towards ref
# does not control a step: it never asks where the last one began. Each needs its own
# log-probabilities.

# %% [markdown]
# ## 2.9 How many nats broke lesson 01? *(20 min)*
#
# In lesson 01 an update along J grew until the return fell. There the step was counted in
# logits, which means nothing for another model. Count it in nats now, with your own function.
# Old takes ref's place. The model there looks at the word before alone, so by the box in 2.3
# the KL of whole responses is a sum over four words before: how often a response of the policy
# meets each, times your KL of the next word.

# %% demo
_old = old_table()
_up = gradient_at(_old, true_return)  # at old, J's direction: 1.6 showed that they are one
_up = _up / _up.norm()


def _response_kl(policy, ref):
    """KL(policy ‖ ref) of whole responses, for tables of logits [word before, next word].

    words_before(table) gives how often a response of that policy meets each word before.
    """
    return ...


# %% demo
if written(_response_kl(_old, _old)) and ready("categorical_kl", "sequence_log_ratio"):
    _every, _far = every_response(), _old + 5 * _up
    _before, _word = _every.tokens[:, :-1], _every.tokens[:, 1:]
    _far_logp, _old_logp = (t.log_softmax(-1)[_before, _word] for t in (_far, _old))
    _chance = torch.where(_every.mask, _far_logp, 0.0).sum(-1).exp()
    _listed = _chance @ sequence_log_ratio(_far_logp, _old_logp, _every.mask)
    _yours = torch.as_tensor(_response_kl(_far, _old), dtype=_far.dtype)
    print(f"all {len(_chance):,} responses listed: {_listed:.6f} nats; yours: {_yours}")
    _told = "Not yet: one number, each word's KL times how often the policy meets the word."
    for _says, _slip in slips_of_response_kl(_far, _old, categorical_kl).items():
        if _yours.shape == _slip.shape and torch.allclose(_yours, _slip):
            _told = _says
    if _yours.shape == () and torch.isclose(_yours, _listed):
        _told = "So your sum is the KL(policy ‖ old) of whole responses."
    print(_told)

# %% [markdown]
# The cells below compute it with your `categorical_kl`, for one table of logits or for many, and
# walk 01's update step by step. **Predict**: old writes some 4 words a response. At how many
# nats per response, KL(policy ‖ old), does the return turn?
#
# - **A**: below 0.1
# - **B**: 0.1 to 3
# - **C**: above 3

# %% predict="turning_point"
predict("turning_point", ...)

# %% demo
if ready("categorical_kl"):
    _steps = torch.logspace(-1, 2, 61, dtype=torch.float64)[:, None, None]  # in logits
    _policies = _old + _steps * _up
    _moved, _returns = response_kl(_policies, _old, categorical_kl), true_return(_policies)
    _walks = [_old + _steps * batch_direction(_old, seed) for seed in range(20)]
    _nats = [response_kl(walk, _old, categorical_kl) for walk in _walks]
    _walks = list(zip(_nats, map(true_return, _walks), strict=True))
    plot_collapse(_moved, _returns, true_return(_old).item(), _walks)
    _top = _returns.argmax()
    _turn, _words = _moved[_top], words_before(_policies[_top]).sum()
    print(f"old: {words_before(_old).sum():.1f} words a response; at the turn {_words:.1f}")
    print(f"the return turns at {_turn:.2f} nats a response, {_turn / _words:.2f} a word")
    outcome("turning_point", A=_turn < 0.1, B=0.1 <= _turn <= 3, C=_turn > 3)

# %% [markdown]
# Less than a nat a response, and less than a fifth of a nat a word. Has every word hardly moved,
# then? At the turn, look at the words one by one.

# %% demo
if ready("categorical_kl"):
    _change = _policies[_top].log_softmax(-1) - _old.log_softmax(-1)
    _share = words_before(_policies[_top])[:, None] * _policies[_top].softmax(-1) / _words
    print(f"after a step of {_steps[_top].item():.2f} logits, over the policy's words:")
    print(f"  mean log-ratio                {(_share * _change).sum():5.2f} nats")
    print(f"  mean of its size, sign dropped {(_share * _change.abs()).sum():4.2f} nats")
    print("word     after         policy/old    log-ratio")
    for _pair in ("great", "film"), ("great", "the"), ("great", "."), (".", "film"):
        _one = _change[WORDS.index(_pair[1]), WORDS.index(_pair[0])]
        _after = "(first word)" if _pair[1] == "." else _pair[1]
        print(f"{_pair[0]:8} {_after:12} {_one.exp():11.2f} {_one:+12.2f}")

# %% [markdown]
# No: some words have become more than twice as likely, and one a fifth as likely. The KL is a
# mean *with signs*: words that became rarer pay back for those that became likelier, so a small
# KL does not say that each word has stayed where it was.
#
# The twenty drawn batches of 1.7 turn in the same region and then go to different ends. It is no
# law: with other rewards the place is another. What carries over is the unit.

# %% [markdown]
# ## 2.10 Does the direction matter? *(12 min)*
#
# In 1.9 you subtracted β·D from J. Was that D your KL(policy ‖ old), or KL(old ‖ policy)? And
# does it matter which?

# %% demo
if ready("categorical_kl"):
    _of_01 = divergence_from_old(_old, _policies)
    _back = response_kl(_old, _policies, categorical_kl)
    print("                    at the turn    at the last step    largest gap to 01's D")
    for _name, _d in ("KL(policy ‖ old)", _moved), ("KL(old ‖ policy)", _back):
        print(f"{_name} {_d[_top]:10.2f} nats {_d[-1]:14.1f} nats", end=" ")
        print(f"{(_d - _of_01).abs().max():17.0e}")
    _logs = _old.log_softmax(-1)
    _eight = -(_logs[0, 3] + 7 * _logs[3, 3])
    print(f"eight times “great” costs {_eight:.1f} nats under old")

# %% [markdown]
# It was KL(old ‖ policy). Up to the turn the two are nearly one number, as 2.5 says they must be
# near old. Far out they part. A policy that has come to write little but "great" pays
# KL(policy ‖ old) at most what its words cost under old (the last line has eight of them), while
# KL(old ‖ policy) grows with every step that makes old's other words rarer.

# %% [markdown]
# **Fitting one hump.** The ref below has two humps; each candidate policy has one. Your function
# picks the candidate of least KL(policy ‖ ref) and, with its arguments exchanged, the one of
# least KL(ref ‖ policy). **Predict** where each puts its hump, and choose for KL(policy ‖ ref):
#
# - **A**: on one of ref's humps
# - **B**: between ref's two humps
# - **C**: beyond both of them

# %% predict="least_kl"
predict("least_kl", ...)

# %% demo
if ready("categorical_kl"):
    _ref, _candidates = two_humps(), single_humps()
    _refs = _ref.expand_as(_candidates)
    _closest = _candidates[categorical_kl(_candidates, _refs).argmin()]
    _covering = _candidates[categorical_kl(_refs, _candidates).argmin()]
    plot_fits(_ref, _closest, _covering)
    _left = torch.arange(41) < 21
    _on_left = _ref.masked_fill(~_left, -torch.inf)
    _cost = -_ref.softmax(-1)[_left].sum().log()  # −log ref(left half)
    _kl = categorical_kl(_closest, _ref)
    print(f"KL(policy ‖ ref) of the first:         {_kl:.3f} nats")
    print(f"of ref itself, kept to its left half:  {categorical_kl(_on_left, _ref):.3f}")
    print(f"−log ref(left half):                   {_cost:.3f}")
    _at = _closest.argmax()  # ref's humps are at 10 and 31
    outcome("least_kl", A=_ref[_at] > _ref.max() - 1, B=10 < _at < 31, C=True)

# %% [markdown]
# KL(policy ‖ ref) takes ref's taller hump and pays for leaving the other: nearly all of its
# price is −log ref(left half). It is called *mode-seeking*. KL(ref ‖ policy) puts its hump
# between the two, where ref has nearly nothing, because it charges without bound for a place
# where ref goes and the policy does not. It is called *mass-covering*.
#
# <details><summary>Why: what leaving a part of ref unused costs</summary>
#
# Let S be what the policy can draw, and *ref on S* be ref, kept to S and normalised again. There
# ref is ref(S) times ref on S, so every log-ratio that the policy can meet is that to ref on S,
# less log ref(S), and so is their mean:
#
# $$\mathrm{KL}(\text{policy}\,\|\,\text{ref}) =
# \mathrm{KL}(\text{policy}\,\|\,\text{ref on } S) - \log \text{ref}(S)$$
#
# </details>

# %% demo
if ready("categorical_kl"):
    _kept = _closest.masked_fill(~_left, -torch.inf)
    _sides = categorical_kl(_kept, _ref), categorical_kl(_kept, _on_left)
    print("the first policy, kept to the left half:", end=" ")
    print(f"{_sides[0]:.6f} = {_sides[1]:.6f} + {_cost:.6f} nats")
    assert torch.isclose(_sides[0], _sides[1] + _cost)
    _pairs = pairs_of_humps()
    _refs = _ref.expand_as(_pairs)
    for _kl in categorical_kl(_pairs, _refs), categorical_kl(_refs, _pairs):
        _off = (_pairs[_kl.argmin()].softmax(-1) - _ref.softmax(-1)).abs().max()
        print(f"two humps allowed, least of {len(_kl):,}: {_off:.0e} from ref at most")

# %% [markdown]
# The last two lines are one for each direction: a policy that *can* be ref is drawn to ref by
# either. What the picture shows is what each gives up when the policy cannot, and has nothing
# else to gain. In training a reward pulls as well: lesson 03 lists the optima of both directions
# in 3.7.

# %% [markdown]
# ## 2.11 Seen in the wild *(2 min)*
#
# **Negative KL in the logs.** The settings that generate differ from those that score; and
# single samples may be negative. trl [#235](https://github.com/huggingface/trl/issues/235),
# [#351](https://github.com/huggingface/trl/issues/351),
# [#925](https://github.com/huggingface/trl/issues/925),
# [#1005](https://github.com/huggingface/trl/issues/1005). You met it in 2.3.

# %% [markdown]
# **exp(ref − logp) overflows** in $k_3$: trl
# [#3015](https://github.com/huggingface/trl/issues/3015), OpenRLHF
# [#525](https://github.com/OpenRLHF/OpenRLHF/issues/525) and
# [#931](https://github.com/OpenRLHF/OpenRLHF/issues/931).
#
# **exp(δ) − δ − 1 cancels**, and expm1 does not: unsloth-zoo
# [#1240](https://github.com/unslothai/unsloth-zoo/pull/1240). This one is the trap of 2.6; the
# overflow is not cured there, for expm1 itself is inf in float32 from δ = 89 on.

# %% [markdown]
# **−∞ on both sides** of `F.kl_div`: heretic [#348](https://github.com/p-e-w/heretic/pull/348).
# You wrote the way around it in 2.1.
#
# **A mask by multiplication**, where 0 · ∞ is NaN: prime-rl
# [#2084](https://github.com/PrimeIntellect-ai/prime-rl/pull/2084) and ms-swift
# [#9767](https://github.com/modelscope/ms-swift/pull/9767). It is the trap in the padding of
# 2.3.

# %% [markdown]
# ## What to take along
#
# - old measures the step, ref the drift. KL(policy ‖ ref): the policy draws, ref is asked.
# - It is never negative, drawing the impossible costs +∞, and near ref it is half of a square.
# - A response costs the sum of its tokens' log-ratios. One may be negative; their mean is the
#   KL. The environment's part cancels when both policies meet the same dynamics.
# - $k_1$ is unbiased and noisy, $k_2$ steady and biased, $k_3$ never negative, and unbiased
#   where the policy can draw all that ref can.
# - 01's return turned within a nat per response; there both directions are nearly the same, and
#   single words have moved far more than the mean.

# %% [markdown]
# Next: **03 · The penalised objective**. You subtract β times this divergence from the reward
# and derive, step by step, what the best policy becomes.

# %% demo
progress("02_divergence")
predictions("02_divergence")
