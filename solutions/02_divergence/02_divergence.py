# %% [markdown]
# # 02 · Measuring how far the policy moved
#
# A penalty needs a number: how far is the policy from where it started? After this lesson you
# can
#
# - compute KL(policy ‖ ref) exactly for one choice, impossible outcomes included;
# - price a whole response from the log-probabilities of its tokens;
# - estimate a divergence from drawn tokens, and say which estimator is biased or noisy.
#
# About 75 minutes. It needs lesson 01: log-probabilities and masks. All logarithms are natural.

# %% setup
import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped
from helpers.plots.divergence import (
    plot_bias_and_spread,
    plot_estimators,
    plot_fits,
    plot_prices,
    plot_rounding,
    plot_step_and_drift,
    plot_tangent,
    plot_two_directions,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.divergence import (
    estimator_closed_forms,
    random_policy,
    random_world,
    single_humps,
    tiny_language,
    trajectory_log_probs,
    two_humps,
    unit_normal_logp,
)

# %% [markdown]
# ## 2.1 One choice, exactly *(6 points, 15 min, medium)*
#
# The policy draws one of a few outcomes. Its divergence from the reference is the mean, over
# its own draws, of how much likelier it has made what it drew, in nats:
#
# $$\mathrm{KL}(\text{policy}\,\|\,\text{ref}) =
# \textstyle\sum_y \text{policy}(y)\,\bigl[\log \text{policy}(y) - \log \text{ref}(y)\bigr]$$

# %% [markdown]
# The name on the left does the drawing. **Predict**: ref gives an outcome probability 0.2, the
# policy 0.9. Which is larger, KL(policy ‖ ref) or KL(ref ‖ policy)? And what becomes of each as
# the policy's probability nears 1?

# %% demo
plot_two_directions(ref=0.2)

# %% [markdown]
# At the right edge the policy stops drawing the second outcome. KL(policy ‖ ref) stays finite
# there: what is never drawn is never paid for. KL(ref ‖ policy) grows without bound. So there
# are two rules:
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
    ref_logits: a constant; −inf where the policy's logit is finite makes the divergence +inf.
    Returns nats; differentiable in `logits`, the weight π included.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3; Cover & Thomas, chapter 2.
    Example: (3/4, 1/4) against (1/2, 1/2): 3/4·log 3/2 + 1/4·log 1/2 = 0.1308.
    """
    ### BEGIN SOLUTION
    log_policy = logits.log_softmax(dim=-1)
    log_ref = ref_logits.detach().log_softmax(dim=-1)
    impossible = log_policy == -torch.inf
    # Both are replaced before the product, as 0 · inf is NaN in the value and in the gradient.
    gap = torch.where(impossible, 0.0, log_policy) - torch.where(impossible, 0.0, log_ref)
    costs = torch.where(gap == torch.inf, torch.inf, log_policy.exp() * gap)
    return costs.sum(dim=-1)
    ### END SOLUTION


# %% check="categorical_kl" points=6
check("categorical_kl", categorical_kl)

# %% [markdown]
# **Look at yours.** The reference below has two humps; each candidate policy has one. Your
# function picks the candidate of least KL(policy ‖ ref) and, with its arguments exchanged, the
# one of least KL(ref ‖ policy). **Predict** where each puts its hump, and choose for
# KL(policy ‖ ref):
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
    print(f"{len(_candidates):,} candidates compared")
    plot_fits(_ref, _closest, _covering)
    _at = _closest.argmax()  # ref's humps are at 10 and 31
    outcome("least_kl", A=_ref[_at] > _ref.max() - 1, B=10 < _at < 31, C=True)

# %% [markdown]
# KL(policy ‖ ref) puts its hump at 10 and 11, on ref's taller one. It is *mode-seeking*: it
# charges for drawing what ref finds unlikely, and nothing for leaving a part of ref unused.
# KL(ref ‖ policy) puts its hump at 17, between the two, where ref has nearly nothing. It is
# *mass-covering*: it charges for every place where ref goes and the policy does not.

# %% [markdown]
# To keep a policy from writing what its reference would not, you want the first, and the
# policy's own text is enough to estimate it. From here on, the divergence is KL(policy ‖ ref).

# %% [markdown]
# ## 2.2 A trajectory, and the environment's part *(1 point, 5 min, easy)*
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
_chosen, _led = trajectory_log_probs(_world, _policy)  # what the policy did, what the world did
_ref_chosen, _ref_led = trajectory_log_probs(_world, _ref)
_complete, _short = (_chosen + _led) - (_ref_chosen + _ref_led), _chosen - _ref_chosen
print("trajectory    log p of the world    complete penalty    actions only")
for _at in (0, 100, 647):
    print(f"{_at + 1:10}    {_led[_at]:18.4f}    {_complete[_at]:16.4f}    {_short[_at]:12.4f}")
print(f"all {len(_short)}: greatest gap {(_complete - _short).abs().max():.0e} nats")
assert torch.allclose(_complete, _short, rtol=0, atol=1e-12)
_, _led_elsewhere = trajectory_log_probs(_elsewhere, _ref)
_gap = (_led - _led_elsewhere).abs().max()
print(f"all {len(_short)}, had ref met another world: greatest gap {_gap:.2f} nats")

# %% [markdown]
# Now answer the question, with a letter.

# %% quiz="q02_dynamics"
q02_dynamics = "C"

# %% check="q02_dynamics" points=1
check("q02_dynamics", q02_dynamics)

# %% [markdown]
# ## 2.3 The price of a response *(6 points, 10 min, medium)*
#
# A language model acts by tokens. The penalty of its response $y$ to a prompt $x$ is a sum:
#
# $$\log \pi_\theta(y \mid x) - \log \pi_{\mathrm{ref}}(y \mid x) = \textstyle\sum_t
# \bigl[\log \pi_\theta(y_t \mid x, y_{<t}) - {}
# \log \pi_{\mathrm{ref}}(y_t \mid x, y_{<t})\bigr]$$

# %% [markdown]
# It charges the policy for how much likelier it has made those very words. This one number has
# three names: the *penalty* of the response, its *price*, and its summed *log-ratio*. The
# divergence is the mean price over the policy's own responses. **Predict**: can the price of
# one response be negative? Can that mean?
#
# - **A**: neither can
# - **B**: that of one can, the mean cannot
# - **C**: both can

# %% predict="mean_price"
predict("mean_price", ...)

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
    print(f"mean price, had ref written   {_by_ref:.10f} nats")
    plot_prices(_prices, _language.probability, _language.responses)
    outcome("mean_price", A=_prices.min() >= 0, B=_by_response >= 0, C=True)

# %% [markdown]
# One response may be cheaper than free: the policy has made it *rarer*. The mean over the
# policy's own responses is KL(policy ‖ ref), which is never negative. Over somebody else's
# responses it is another number and may well be negative: see the third line. A mean that stays
# below 0 in your logs says that something is wrong: for one, that the tokens were not drawn
# from the policy that scored them.

# %% [markdown]
# ## 2.4 Read a penalty *(2 points, 5 min, easy)*
#
# You maximise $J - \beta \cdot \text{penalty}$ with $\beta > 0$. An update moved the policy
# from ref to where it is now. Policy and ref score one response:
#
# | token | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|
# | log policy | −1.6 | −0.7 | −2.0 | −0.1 |
# | log ref | −0.9 | −0.9 | −1.2 | −3.0 |
# | mask | True | True | True | False |

# %% [markdown]
# **Question.** What is the penalty of this response, in nats, to two decimals? Taken by itself
# and on this response, does the term −β · penalty act for the update (`"encourages"`) or
# against it (`"discourages"`)? Answer with a dict: `{"penalty": ..., "effect": ...}`.

# %% quiz="q02_interpret_penalty"
q02_interpret_penalty = {"penalty": -1.3, "effect": "encourages"}

# %% check="q02_interpret_penalty" points=2
check("q02_interpret_penalty", q02_interpret_penalty)

# %% [markdown]
# ## 2.5 One token is all you see *(8 points, 8 min, easy)*
#
# With a large vocabulary and long responses you do not sum over all outcomes. You have the
# tokens that were drawn and, for each, two log-probabilities. An *estimator* turns these into a
# number whose mean over the policy's tokens should be KL(policy ‖ ref). The definition offers
# the first. Near 0, where a divergence is half of a square, there is a second ([Schulman
# 2020](http://joschu.net/blog/kl-approx.html)):
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


# %% check="k1" points=4
check("k1", k1)


# %% exercise="k2"
@shaped
def k2(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """Half the squared log-ratio of each drawn token: never negative, a little biased.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, 0 or more.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Schulman 2020, http://joschu.net/blog/kl-approx.html
    Example: probability 1/2 under the policy and 1/4 under the reference: ½ (log 2)² = 0.2402.
    """
    ### BEGIN SOLUTION
    return 0.5 * (logp - ref_logp.detach()).square()
    ### END SOLUTION


# %% check="k2" points=4
check("k2", k2)

# %% [markdown]
# ## 2.6 Unbiased and never negative *(7 points, 15 min, hard)*
#
# Let *ratio* be ref/policy of the drawn token. Its mean over the policy's tokens is the sum of
# ref's probabilities, 1. So ratio − 1 has mean 0, and adding it to $k_1 = -\log \text{ratio}$
# keeps the mean:
#
# $$k_3 = (\text{ratio} - 1) - \log \text{ratio}$$
#
# **Predict** from the picture: why is this never negative?

# %% demo
plot_tangent()

# %% [markdown]
# On paper that is all. On a computer, write $\delta = \log \text{ratio}$: then $k_3$ is
# $e^\delta - 1 - \delta$, about $\tfrac12\delta^2$ while the policy has hardly moved.
# **Predict**: float32 keeps some 7 digits, float64 some 16. Below which δ does each get this
# subtraction wrong?

# %% demo
print("    δ           k3    subtracted in float32    subtracted in float64")
for _delta in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8):
    _series = _delta**2 / 2 + _delta**3 / 6 + _delta**4 / 24 + _delta**5 / 120
    _plain = []
    for _dtype in (torch.float32, torch.float64):
        _d = torch.tensor(_delta, dtype=_dtype)
        _plain.append((torch.exp(_d) - _d - 1).item())
    print(f"{_delta:.0e}   {_series:.4e}    {_plain[0]:21.4e}    {_plain[1]:21.4e}")
_steps = [torch.finfo(dtype).eps for dtype in (torch.float32, torch.float64)]
print(f"step between numbers just above 1:    {_steps[0]:.1e}    {_steps[1]:21.1e}")

# %% [markdown]
# $e^\delta$ is a number near 1, and numbers near 1 are stored in the steps of the last line.
# The answer, $\tfrac12\delta^2$, is smaller than a step long before δ looks small. Taking away
# the 1 and the δ, which does not share that rounding, then leaves little else, of either sign.
# This is *cancellation*. Two ways keep the digits; the next cell tries both:
#
# - *expm1* finds $e^\delta - 1$ directly, with all digits of a small result;
# - subtract log ratio of the *rounded* ratio, in place of δ: what rounding did to ratio − 1 it
#   did to its logarithm too, and the two nearly cancel.

# %% demo
print("        error of it, relative: δ subtracted    log of the rounded ratio    expm1")
for _delta in (1e-2, 1e-4, 1e-6):
    _d = torch.tensor(_delta, dtype=torch.float64)
    _exact = sum(_delta**n / math.factorial(n) for n in range(2, 9))
    _ratio = _d.exp()
    _ways = ((_ratio - 1) - _d, (_ratio - 1) - _ratio.log(), torch.expm1(_d) - _d)
    _off = [abs(way.item() / _exact - 1) for way in _ways]
    print(f"δ = {_delta:.0e} {_off[0]:29.0e} {_off[1]:27.0e} {_off[2]:8.0e}")
    assert max(_off[1:]) < 1e-9

# %% [markdown]
# Write $k_3$ so that small log-ratios keep their digits.


# %% exercise="k3"
@shaped
def k3(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """(ratio − 1) − log ratio of each drawn token, ratio = ref/policy: unbiased, never negative.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, 0 or more; in float64 right to 1e-6 of itself for log-ratios down to 1e-6.
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
# **Look at yours**, twice: its rounding error beside that of the plain subtraction, and the
# three estimators side by side as functions of one token's log-ratio.

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
    plot_estimators(_log_ratio, {name: k(_log_ratio, _zero) for name, k in _estimators.items()})

# %% [markdown]
# Rounding first: one subtraction is left, of δ, so your error grows as well, by a power of δ
# less.
#
# Now begin at the left of the second picture: a token that the policy has made rarer. $k_1$
# answers with a negative number and leaves it to other tokens to make up for it; $k_3$ answers
# with a large positive one. Both have the right mean. $k_2$ does not look at the sign, and pays
# for that with a bias. How large?

# %% [markdown]
# ## 2.7 Which one to trust *(10 min)*
#
# Let policy = N(m, 1) and ref = N(0, 1), where everything is known: the true KL is $m^2/2$, the
# one bias is $k_2$'s, $m^2/4$ of the true KL, and the *spread* of one draw, its standard
# deviation, is, over the true KL,
#
# $$k_1:\ \frac2m \qquad k_2:\ \sqrt{2 + m^2} \qquad
# k_3:\ \frac{2}{m^2}\sqrt{e^{m^2} - 1 - m^2}$$

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
# First the claim itself, to $10^{-8}$: your functions, integrated over the policy's density.
# The same numbers, rounded, stand in [Schulman's table](http://joschu.net/blog/kl-approx.html).


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
    for _m in (0.1, 1.0):
        for _name, _k in {"k1": k1, "k2": k2, "k3": k3}.items():
            _found, _claimed = _bias_and_spread(_k, _m), estimator_closed_forms(_m)[_name]
            print("m = {}   {}   bias {:7.4f}   spread {:7.4f}".format(_m, _name, *_found))
            assert max(abs(one - other) for one, other in zip(_found, _claimed, strict=True)) < 1e-8

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
    _ks = {"k1": k1, "k2": k2, "k3": k3}
    _measured = {m: {name: _drawn(k, m) for name, k in _ks.items()} for m in (0.1, 1.0)}
    plot_bias_and_spread(_measured)

# %% demo
if ready("k1", "k2", "k3"):
    print("              draws for a     spread of one draw / true KL")
    print("              10 % error      closed    10 seeds, least to greatest")
    for _m, _moments in _measured.items():
        for _name, _seeds in _moments.items():
            _bias, _closed = estimator_closed_forms(_m)[_name]
            _draws = f"{(_closed / 0.1) ** 2:,.0f}" if _bias < 0.1 else "never"
            _range = "{:.3f} to {:.3f}".format(*_seeds[:, 1].aminmax())
            print(f"m = {_m}   {_name}   {_draws:>10}   {_closed:9.3f}    {_range}")
    _times = (_measured[0.1]["k1"][:, 1].mean() / _measured[0.1]["k3"][:, 1].mean()) ** 2
    outcome("draws_of_k1", A=_times < 3, B=3 <= _times <= 100, C=_times > 100)

# %% demo
if ready("k3"):
    _x = torch.linspace(-13, 15, 20_001, dtype=torch.float64)  # m = 1, where k3's mean is 1/2
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
# ## 2.8 Two policies to be near to *(5 min)*
#
# Two words, kept apart from here on. **old** is the policy that drew this batch; every update
# replaces it, and the distance to it is the size of a *step*. **ref** was frozen where training
# began, and the distance to it is the *drift*. Xiao & Zhu write $\theta_{\mathrm{ref}}$ for
# both, and at the first update they are one.
#
# **Predict**: 20 small steps of the logits, all in one direction. How large is the drift, as a
# KL in nats, beside the KL of one step?
#
# - **A**: about as large
# - **B**: about 20 times as large
# - **C**: hundreds of times as large

# %% predict="drift"
predict("drift", ...)

# %% demo
if ready("categorical_kl"):
    _generator = torch.Generator().manual_seed(0)
    _start, _direction = torch.randn(2, 8, generator=_generator, dtype=torch.float64)
    for _size in (0.01, 0.03, 0.1):
        _path = _start + _size * torch.arange(21)[:, None] * _direction
        _step = categorical_kl(_path[1:], _path[:-1])
        _drift = categorical_kl(_path[1:], _path[:1].expand(20, -1))
        print(f"step size {_size}: the 20 steps add up to {_step.sum():.4f} nats,", end=" ")
        print(f"the drift is {_drift[-1]:.4f} nats, {_drift[-1] / _step.mean():.0f} times a step")
    plot_step_and_drift(_step, _drift, _size)
    _times = _drift[-1] / _step.mean()
    outcome("drift", A=_times < 5, B=5 <= _times < 100, C=_times >= 100)

# %% [markdown]
# A divergence grows like the *square* of a small move, so 20 small steps in one direction make
# a drift near 20² = 400 times a step; with larger steps the law bends, and the drift is still
# hundreds of steps. The figure shows the largest, of size 0.1.
#
# A bound on each step, which lesson 05 builds, does not bound the drift, and a penalty towards
# ref does not bound a step. Each needs its own log-probabilities.

# %% [markdown]
# ## 2.9 Seen in the wild *(2 min)*
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
# - KL(policy ‖ ref): the policy draws, ref is asked. It seeks a mode; drawing the impossible
#   costs +∞.
# - A response costs the sum of its tokens' log-ratios. One may be negative; their mean is the
#   KL.
# - The environment's part cancels exactly when both policies meet the same dynamics.
# - $k_1$ is unbiased and noisy, $k_2$ steady and biased, $k_3$ unbiased and never negative.
# - old measures the step, ref the drift.

# %% [markdown]
# Next: **03 · The penalised objective**. You subtract β times this divergence from the reward
# and derive, step by step, what the best policy becomes.

# %% demo
progress("02_divergence")
predictions("02_divergence")
