# %% [markdown]
# # 02 · Measuring how far the policy moved
#
# A penalty needs a number: how far is the policy from where it started? After this lesson you can
#
# - compute KL(policy ‖ ref) exactly for one choice, impossible outcomes included;
# - price a whole response from the log-probabilities of its tokens;
# - estimate a divergence from drawn tokens, and say which estimator is biased or noisy.
#
# About 75 minutes. It needs lesson 01 (log-probabilities, masks). All logarithms are natural: nats.

# %% setup
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
# ## 2.1 One choice, exactly *(6 points, 20 min, medium)*
#
# The policy draws one of a few outcomes. Its divergence from the reference is the mean, over the
# policy's own draws, of how much likelier it made what it drew:
#
# $$\mathrm{KL}(\text{policy}\,\|\,\text{ref}) = \sum_y \text{policy}(y)\,\bigl[\log \text{policy}(y) - \log \text{ref}(y)\bigr]$$
#
# The name on the left does the drawing. **Predict**: ref gives an outcome probability 0.2 and the
# policy 0.9. Which direction is the larger one? What happens to each as the policy nears 1?

# %% demo
plot_two_directions(ref=0.2)

# %% [markdown]
# Near the reference both directions agree; far away they do not. At the right edge the policy stops
# drawing the second outcome: KL(policy ‖ ref) stays finite, as what is never drawn is never paid for,
# while KL(ref ‖ policy) grows without bound.
#
# Two rules for probability 0 follow. An outcome that the policy never draws costs 0, whatever ref
# thinks of it. One that the policy draws and ref never does costs +∞. Such outcomes have a logit of −∞,
# and 0 · (−∞) is NaN in floating point. **Write it** so that both rules hold, in the gradient too.


# %% exercise="categorical_kl"
@shaped
def categorical_kl(
    logits: Float[Tensor, "*leading vocab"], ref_logits: Float[Tensor, "*leading vocab"]
) -> Float[Tensor, "*leading"]:
    """KL(policy ‖ ref), exactly, from the logits of every outcome.

    logits: the policy's; a logit of −inf is an outcome that cannot happen, and costs 0.
    ref_logits: a constant; −inf where the policy's logit is finite makes the divergence +inf.
    Returns nats; differentiable in `logits`, the weight π included.
    Raises TypeCheckError if shapes or dtypes disagree.
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
# **Look at yours.** The reference below has two humps. Among 3,078 single-humped policies, your
# function finds the one with the least KL(policy ‖ ref) and, with its arguments exchanged, the one with
# the least KL(ref ‖ policy). **Predict** where each puts its hump.

# %% demo
if ready("categorical_kl"):
    ref, candidates = two_humps(), single_humps()
    refs = ref.expand_as(candidates)
    closest = candidates[categorical_kl(candidates, refs).argmin()]
    covering = candidates[categorical_kl(refs, candidates).argmin()]
    plot_fits(ref, closest, covering)

# %% [markdown]
# KL(policy ‖ ref) is *mode-seeking*: it charges for drawing what ref finds unlikely, and nothing for
# leaving part of ref unused. KL(ref ‖ policy) is *mass-covering*: it charges for every place where
# ref goes and the policy does not.
#
# A penalty that keeps a policy from writing what its reference would not is the first one, and it can
# be estimated from what the policy writes. From here on the divergence is KL(policy ‖ ref).

# %% [markdown]
# ## 2.2 A trajectory, and what the environment adds *(1 point, 5 min, easy)*
#
# A policy acts many times, and the environment answers each time. A trajectory $\tau$ of states and
# actions has log-probability
#
# $$\textstyle \log p(s_0) + \sum_t \log \pi_\theta(a_t \mid s_t) + \sum_t \log p(s_{t+1} \mid s_t, a_t)$$
#
# and its penalty is that sum under the policy minus that sum under ref. Nobody knows the transition
# probabilities $p$ of the real world. **Predict**: what does leaving them out of the penalty cost?

# %% demo
world, elsewhere = random_world(seed=0), random_world(seed=1)
actions, moves = trajectory_log_probs(world, random_policy(seed=2))
ref_actions, ref_moves = trajectory_log_probs(world, random_policy(seed=3))
_, moves_elsewhere = trajectory_log_probs(elsewhere, random_policy(seed=3))
complete = (actions + moves) - (ref_actions + ref_moves)
short = actions - ref_actions
print("penalty of a trajectory   complete   actions only   transitions alone, under the policy")
for i in (0, 100, 647):
    print(
        f"{f'{i + 1} of {len(short)}':>23}   {complete[i]:8.4f}   {short[i]:12.4f}   {moves[i]:19.4f}"
    )
print(f"greatest gap over all {len(short)} trajectories: {(complete - short).abs().max():.0e}")
assert torch.allclose(complete, short, rtol=0, atol=1e-12)
apart = (actions + moves) - (ref_actions + moves_elsewhere) - short
print(f"the same, ref's trajectories taken in another world: {apart.abs().max():.2f}")

# %% [markdown]
# **Quiz.** Dropping the transition probabilities from the penalty of a trajectory costs
#
# - A: a little accuracy: it is an approximation, good when transitions are nearly deterministic;
# - B: nothing for a language model, whose environment is deterministic, but something elsewhere;
# - C: nothing, if both policies meet the same dynamics: the terms cancel on every trajectory;
# - D: no bias, but more noise, as the transition terms would have made the penalty steadier.
#
# Xiao & Zhu ([section 4.3.3](https://arxiv.org/abs/2501.09223)) drop them too. Answer with a letter.

# %% quiz="q02_dynamics"
q02_dynamics = "C"

# %% check="q02_dynamics" points=1
check("q02_dynamics", q02_dynamics)

# %% [markdown]
# ## 2.3 The price of a response *(6 points, 10 min, medium)*
#
# A language model's actions are tokens, so the penalty of a response $y$ to a prompt $x$ is
#
# $$\textstyle \log \pi_\theta(y \mid x) - \log \pi_{\mathrm{ref}}(y \mid x) = \sum_t \bigl[\log \pi_\theta(y_t \mid x, y_{<t}) - \log \pi_{\mathrm{ref}}(y_t \mid x, y_{<t})\bigr]$$
#
# It charges the policy for how much likelier it has made those very words. Rows of a batch differ in
# length, and anything may stand in the padding. **Predict**: can the price of one response be negative?
# Can the mean price of the policy's responses? Then write it, with no loop.


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
    Returns nats; a single response may be negative, the mean under the policy is KL(policy ‖ ref).
    Raises TypeCheckError if shapes or dtypes disagree.
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
# **Look at yours.** This language has three words and responses of at most four, so all can be listed.
# The policy has come to like "good". The cell prices every response, and compares two ways to the
# same divergence: the mean price of a response, and the mean sum, over the positions of a response, of
# your exact `categorical_kl` between the two distributions of the next word.

# %% demo
if ready("categorical_kl", "sequence_log_ratio"):
    language = tiny_language()
    prices = sequence_log_ratio(language.logp, language.ref_logp, language.mask)
    by_response = (language.probability * prices).sum()
    next_word = categorical_kl(language.logits, language.ref_logits)[language.previous]
    by_position = (language.probability * (next_word * language.mask).sum(dim=1)).sum()
    print(f"mean price {by_response:.10f}, mean of exact KLs {by_position:.10f}")
    assert torch.allclose(by_response, by_position, rtol=0, atol=1e-12)
    plot_prices(prices, language.probability, language.responses)

# %% [markdown]
# One response may be cheaper than free: the policy made it *rarer*. The mean over the policy's own
# responses is KL(policy ‖ ref), and never negative. So a batch whose mean stays below 0 says that
# something else is wrong, for instance that the tokens were not drawn from the policy that scored them.

# %% [markdown]
# ## 2.4 Read a penalty *(2 points, 5 min, easy)*
#
# You maximise $J - \beta \cdot \text{penalty}$ with $\beta > 0$. An update took the policy away from
# ref, and both score one response:
#
# | token | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|
# | log policy | −1.6 | −0.7 | −2.0 | −0.1 |
# | log ref | −0.9 | −0.9 | −1.2 | −3.0 |
# | mask | True | True | True | False |

# %% [markdown]
# **Quiz.** What is the penalty of this response, in nats to two decimals? And taken by itself, does the
# term −β · penalty on this response `"encourages"` or `"discourages"` the update? Answer with a dict:
# `{"penalty": …, "effect": …}`.

# %% quiz="q02_interpret_penalty"
q02_interpret_penalty = {"penalty": -1.3, "effect": "encourages"}

# %% check="q02_interpret_penalty" points=2
check("q02_interpret_penalty", q02_interpret_penalty)

# %% [markdown]
# ## 2.5 One token is all you see *(8 points, 10 min, easy)*
#
# With 150,000 possible tokens at each position you rarely sum over them all: you have one drawn token
# and its two log-probabilities. An estimator turns these into a number whose mean over the policy's
# tokens should be the KL. The definition itself offers the first one, $k_1$, and near 0, where a
# divergence is half of a square, there is a second, $k_2$ ([Schulman 2020](http://joschu.net/blog/kl-approx.html)):
#
# $$k_1 = \log \text{policy} - \log \text{ref} \qquad\qquad k_2 = \tfrac12\,(\log \text{policy} - \log \text{ref})^2$$


# %% exercise="k1"
@shaped
def k1(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """The log-ratio of each drawn token: unbiased for KL(policy ‖ ref), but noisy.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, of either sign.
    Raises TypeCheckError if shapes or dtypes disagree.
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
    Raises TypeCheckError if shapes or dtypes disagree.
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
# Let *ratio* be ref/policy of the drawn token. Over the policy's tokens its mean is 1, so ratio − 1 has
# mean 0 and may be added to $k_1 = -\log \text{ratio}$ without moving the mean:
#
# $$k_3 = (\text{ratio} - 1) - \log \text{ratio}$$
#
# **Predict** from the picture: why can this never be negative?

# %% demo
plot_tangent()

# %% [markdown]
# On paper that is all. On a computer, write $\delta = \log \text{ratio}$, so that
# $k_3 = e^\delta - 1 - \delta \approx \tfrac12\delta^2$ when the policy has hardly moved. **Predict**: float32
# keeps about 7 digits, float64 about 16. From which δ on does each of them get this subtraction wrong?

# %% demo
print("    δ          k3   subtracted in float32   subtracted in float64")
for delta in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8):
    series = delta**2 / 2 + delta**3 / 6 + delta**4 / 24 + delta**5 / 120
    got = []
    for dtype in (torch.float32, torch.float64):
        d = torch.tensor(delta, dtype=dtype)
        got.append((torch.exp(d) - d - 1).item())
    print(f"{delta:.0e}  {series:.4e}   {got[0]:21.4e}   {got[1]:21.4e}")

# %% [markdown]
# $e^\delta$ is a number near 1, and a number near 1 is stored in steps of $1.2 \cdot 10^{-7}$ in float32
# and $2.2 \cdot 10^{-16}$ in float64. The answer, $\tfrac12\delta^2$, is smaller than a step long before δ
# looks small: taking away the 1 and the δ leaves what rounding left, with either sign. This is *cancellation*.
#
# The cure is not to pass through 1: the function usually called *expm1* computes $e^\delta - 1$ directly and
# keeps the digits of a small result. Write $k_3$ with it.


# %% exercise="k3"
@shaped
def k3(
    logp: Float[Tensor, "*leading"], ref_logp: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """(ratio − 1) − log ratio of each drawn token, ratio = ref/policy: unbiased, never negative.

    logp, ref_logp: log-probability of a token drawn from the policy; `ref_logp` is a constant.
    Returns nats, 0 or more; in float64 right to 1e-6 of itself for log-ratios down to 1e-6.
    Raises TypeCheckError if shapes or dtypes disagree.
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
# estimators side by side as functions of the log-ratio of one token.

# %% demo
if ready("k3"):
    delta = torch.logspace(-8, -1, 29, dtype=torch.float64)
    exact = sum(delta**n / torch.arange(1, n + 1).prod() for n in range(2, 10))
    errors = {}
    for dtype in (torch.float32, torch.float64):
        d, name = delta.to(dtype), str(dtype).removeprefix("torch.")
        errors[f"plain, {name}"] = ((torch.exp(d) - d - 1) / exact - 1).abs()
        errors[f"yours, {name}"] = (k3(torch.zeros_like(d), d) / exact - 1).abs()
    plot_rounding(delta, errors)

# %% demo
if ready("k1", "k2", "k3"):
    log_ratio = torch.linspace(-2.0, 2.0, 201)
    certain = torch.zeros_like(log_ratio)
    plot_estimators(log_ratio, {k.__name__: k(log_ratio, certain) for k in (k1, k2, k3)})

# %% [markdown]
# Read the picture from the left: a token that the policy made rarer. $k_1$ answers with a negative
# number and relies on other tokens to make up for it; $k_3$ answers with a large positive one. Both have
# the right mean. $k_2$ does not care about the sign, and pays for that with a bias.

# %% [markdown]
# ## 2.7 Which one to trust *(no points, 10 min)*
#
# Tokens are hard to check against, normal numbers are not. Let policy = N(m, 1) and ref = N(0, 1): the
# true KL is m²/2. **Predict** for m = 0.1, a divergence of 0.005 nats: how many samples does $k_1$
# need for a 10 % error? And $k_3$? Spreads of one sample, divided by the true KL, have closed forms:
#
# $$k_1:\ \frac{2}{m} \qquad\quad k_2:\ \sqrt{2 + m^2} \qquad\quad k_3:\ \frac{2}{m^2}\sqrt{e^{m^2} - 1 - m^2}$$
#
# and the only bias is $k_2$'s, $m^2/4$. First the claim is checked: your functions, integrated.

# %% demo
if ready("k1", "k2", "k3"):
    for m in (0.1, 1.0):
        x = torch.linspace(m - 14, m + 14, 20_001, dtype=torch.float64)
        logp, ref_logp = unit_normal_logp(x, m), unit_normal_logp(x, 0.0)
        true, density = m**2 / 2, logp.exp()
        for k in (k1, k2, k3):
            mean = torch.trapezoid(density * k(logp, ref_logp), x)
            spread = torch.trapezoid(density * (k(logp, ref_logp) - mean) ** 2, x).sqrt()
            found = ((mean / true - 1).item(), (spread / true).item())
            closed = estimator_closed_forms(m)[k.__name__]
            print(f"m = {m:3}  {k.__name__}  bias {found[0]:7.4f}  spread {found[1]:7.4f}")
            assert max(abs(f - c) for f, c in zip(found, closed, strict=True)) < 1e-8

# %% [markdown]
# Integration and closed form agree to $10^{-8}$, and with the table in Schulman's post. Now samples,
# as in training: 10 seeds with 100,000 draws each. Every dot is a seed; a black bar is the closed form.

# %% demo
if ready("k1", "k2", "k3"):
    device, measured = pick_device(), {}
    for m in (0.1, 1.0):
        rows = {name: [] for name in ("k1", "k2", "k3")}
        for seed in range(10):
            noise = torch.randn(100_000, generator=torch.Generator().manual_seed(seed))
            x = (m + noise).to(device)
            logp, ref_logp = unit_normal_logp(x, m), unit_normal_logp(x, 0.0)
            for k in (k1, k2, k3):
                values = k(logp, ref_logp) / (m**2 / 2)
                rows[k.__name__].append([values.mean().item() - 1, values.std().item()])
        measured[m] = {name: torch.tensor(row) for name, row in rows.items()}
    plot_bias_and_spread(measured)

# %% demo
if ready("k1", "k2", "k3"):
    print("          samples for a      spread of one sample / true KL")
    print("          10 % error      closed   10 seeds, least to greatest")
    for m, estimators in measured.items():
        for name, seeds in estimators.items():
            closed, low, high = estimator_closed_forms(m)[name][1], *seeds[:, 1].aminmax()
            needed = f"{(closed / 0.1) ** 2:,.0f}"
            print(f"m = {m:3}  {name}  {needed:>7}  {closed:10.3f}   {low:.3f} to {high:.3f}")

# %% [markdown]
# While the policy is near, $k_3$ needs a small fraction of $k_1$'s samples, and $k_2$'s bias is too
# small to see. Far away (m = 1) the advantage is nearly gone, and look at $k_3$'s dots: its tail is
# heavy. Rare tokens with a very large ratio carry much of its spread, so a batch without them looks
# steadier than it is. An estimate of a mean comes with no warning of what it has not drawn.
#
# All of this is about *values*. What the gradient of each estimator does is a different question, with
# different answers: lesson 04.

# %% [markdown]
# ## 2.8 Two policies to be near to *(no points, 5 min)*
#
# Two words, kept apart from here on. **old** is the policy that drew this batch, a moment ago: it is
# replaced at every update, and the distance to it is the size of a *step*. **ref** is frozen where training
# began: the distance to it is the *drift*. Xiao & Zhu write $\theta_{\mathrm{ref}}$ for both, and on the very
# first update they are the same.
#
# **Predict**: 20 equal small steps, all in one direction. Is the drift 20 times a step?

# %% demo
if ready("categorical_kl"):
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(8, generator=generator, dtype=torch.float64)
    direction = torch.randn(8, generator=generator, dtype=torch.float64)
    path = start + 0.1 * torch.arange(21)[:, None] * direction
    step = categorical_kl(path[1:], path[:-1])
    drift = categorical_kl(path[1:], path[:1].expand(20, -1))
    print(f"sum of the 20 steps {step.sum():.3f} nats, drift {drift[-1]:.3f} nats")
    plot_step_and_drift(step, drift)

# %% [markdown]
# A divergence grows with the *square* of a small move, so steps that agree add up to far more than their
# sum. A bound on each step, which lesson 05 builds, does not bound the drift; a penalty towards ref does not
# bound the step. Training a language model uses both, and each needs its own log-probabilities.

# %% [markdown]
# ## 2.9 Seen in the wild
#
# | what was reported | cause | you met it in |
# |---|---|---|
# | negative KL in the logs: trl [#235](https://github.com/huggingface/trl/issues/235), [#351](https://github.com/huggingface/trl/issues/351), [#925](https://github.com/huggingface/trl/issues/925), [#1005](https://github.com/huggingface/trl/issues/1005) | tokens generated under other settings than they are scored with; single samples may be negative | 2.3 |
# | exp(ref − logp) overflows: trl [#3015](https://github.com/huggingface/trl/issues/3015), OpenRLHF [#525](https://github.com/OpenRLHF/OpenRLHF/issues/525), [#931](https://github.com/OpenRLHF/OpenRLHF/issues/931) | one token far more likely under ref | 2.6 |
# | wrong small values of $k_3$: unsloth-zoo [#1240](https://github.com/unslothai/unsloth-zoo/pull/1240) | exp(δ) − δ − 1 cancels; expm1 does not | 2.6 |
# | NaN: heretic [#348](https://github.com/p-e-w/heretic/pull/348) | −∞ on both sides of `F.kl_div` | 2.1 |
# | NaN: prime-rl [#2084](https://github.com/PrimeIntellect-ai/prime-rl/pull/2084), ms-swift [#9767](https://github.com/modelscope/ms-swift/pull/9767) | padding multiplied by a mask: 0 · ∞ | 2.3 |

# %% [markdown]
# ## What to take along
#
# - KL(policy ‖ ref): the policy draws, ref is asked. It seeks a mode, and drawing the impossible costs +∞.
# - A response costs the sum of its tokens' log-ratios. One may be negative; their mean is the KL.
# - The environment's part cancels exactly when both policies meet the same dynamics.
# - $k_1$ is unbiased and noisy, $k_2$ steady and biased, $k_3$ unbiased and never negative: near ref.
# - old measures the step, ref the drift.

# %% demo
progress("02_divergence")

# %% [markdown]
# Next: **03 · The penalised objective**. You subtract β times this divergence from the reward and derive,
# step by step, what the best policy becomes.
