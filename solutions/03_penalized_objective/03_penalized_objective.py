# %% [markdown]
# # 03 · The penalised objective
#
# You can measure how far a policy moved. Now charge for it: maximise $J - \beta D$. After this
# lesson you can
#
# - write reward minus β times divergence, and its gradient, and check both;
# - derive the best policy there is, and say by how much any other falls short of it;
# - turn a trust region's radius into a β, and back.
#
# About 75 minutes. It needs lesson 02 (KL(policy ‖ ref), nats). Everything is exact: no
# sampling.

# %% setup
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from helpers import check, hint, progress, ready, shaped
from helpers.plots.penalized_objective import (
    plot_climb,
    plot_gaps,
    plot_knob,
    plot_two_terms,
    show_path,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.penalized_objective import (
    all_policies,
    four_replies,
    three_replies,
    towards_one_action,
)

# %% [markdown]
# ## 3.1 Two terms *(5 points, 10 min, easy)*
#
# One question, three replies. ref is how the assistant replies today; the rewards come from a
# reward model, which can be wrong. It likes help, and it likes flattery even more.

# %% demo
_replies = three_replies()
print("reply          ref   reward")
for _name, _p, _r in zip(_replies.names, _replies.ref_logits.exp(), _replies.rewards, strict=True):
    print(f"{_name:12} {_p:5.2f}   {_r:6.1f}")

# %% [markdown]
# Paid by reward alone, the best policy is certain: flattery, always. So a term is subtracted
# ([Xiao & Zhu](https://arxiv.org/abs/2501.09223), section 4.3.3), and what is maximised becomes
#
# $$J_\beta(\pi) = \mathbb{E}_{a \sim \pi}[r(a)] - \beta \cdot \mathrm{KL}(\pi \,\|\, \text{ref})$$
#
# β is a price: reward per nat. Here $\pi$ is the policy, and both terms are expectations under
# it. **Predict**: which policy has penalty 0? What is $J_\beta$ there? Then write $J_\beta$,
# for any leading shape.


# %% exercise="penalized_objective"
@shaped
def penalized_objective(
    logits: Float[Tensor, "*leading action"],
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading"]:
    """The policy's expected reward minus beta times KL(policy ‖ ref); to be maximised.

    logits: the policy's; differentiable. ref_logits: a constant.
    rewards: of each action. beta: the price of one nat, in units of reward.
    Returns one number per choice, exactly: a sum over all actions, no sample.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, J − βD.
    Example: (3/4, 1/4) against (1/2, 1/2), rewards (1, 0), beta 2: 0.75 − 2·0.1308 = 0.4884.
    """
    ### BEGIN SOLUTION
    log_policy = logits.log_softmax(dim=-1)
    log_ratio = log_policy - ref_logits.detach().log_softmax(dim=-1)
    return (log_policy.exp() * (rewards - beta * log_ratio)).sum(dim=-1)
    ### END SOLUTION


# %% check="penalized_objective" points=5
check("penalized_objective", penalized_objective)

# %% [markdown]
# **Look at yours.** Take ref and mix in more and more of the best-paid reply. With β = 0 your
# function gives the reward alone, so the distance between the two curves is the penalty.
# **Predict**: where along this line is the objective greatest, and can it be greatest at ref
# itself?

# %% demo
if ready("penalized_objective"):
    _share, _mixtures = towards_one_action(_replies.ref_logits, action=2)
    _ref_logits = _replies.ref_logits.expand_as(_mixtures)
    _rewards = _replies.rewards.expand_as(_mixtures)
    _reward = penalized_objective(_mixtures, _ref_logits, _rewards, 0.0)
    _objective = penalized_objective(_mixtures, _ref_logits, _rewards, 0.8)
    _nats = kl_divergence(Categorical(logits=_mixtures), Categorical(logits=_ref_logits))
    assert torch.allclose(_reward - _objective, 0.8 * _nats, rtol=0, atol=1e-12)
    plot_two_terms(_share, _reward, _objective, beta=0.8)

# %% [markdown]
# At ref itself? Take one step of a ten-thousandth from there, at three prices β. **Predict**:
# does it pay?
#
# - **A**: at no β above 0
# - **B**: at a small β only
# - **C**: at every β

# %% predict="first_step"
predict("first_step", ...)

# %% demo
if ready("penalized_objective"):
    _gains = []
    _, _mixtures = towards_one_action(_replies.ref_logits, action=2, points=10_000)
    for _beta in (1.0, 10.0, 100.0):
        _at_ref, _one_step = (
            penalized_objective(policy, _replies.ref_logits, _replies.rewards, _beta)
            for policy in _mixtures[:2]
        )
        print(f"β = {_beta:5}: the objective changes by {_one_step - _at_ref:+.1e}")
        _gains.append(_one_step - _at_ref)
        assert _one_step > _at_ref
    outcome("first_step", A=max(_gains) <= 0, C=min(_gains) > 0, B=True)

# %% [markdown]
# At ref the penalty is not only 0, it is *flat*: a small step costs the square of its size,
# while its reward grows in proportion. So whenever some reply is paid more than ref earns on
# average, a first step away from ref pays, at every β. How far it pays to go is what β decides.
#
# The best policy of this line need not be the best of all. To find that one, you need a
# direction.

# %% [markdown]
# ## 3.2 Which way is up *(5 points, 15 min, hard)*
#
# Derive the gradient with respect to the logits $z$, $\pi = \mathrm{softmax}(z)$. Two facts
# carry it. The first is how probabilities move: raise one logit, and all of them change.
#
# $$\frac{\partial \pi(a)}{\partial z(b)} = \pi(a)\,\bigl([a = b] - \pi(b)\bigr)$$
#
# where $[a = b]$ is 1 if $a$ and $b$ are the same action, else 0. **Predict** the sum of each row of this table of derivatives. The cell computes it by
# autograd.

# %% demo
_z = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
_p = _z.softmax(dim=0)
_by_autograd = torch.autograd.functional.jacobian(lambda z: z.softmax(dim=0), _z)
_same = torch.eye(3, dtype=torch.float64)
_by_formula = torch.stack([_p[a] * (_same[a] - _p) for a in range(3)])
print(f"formula against autograd: {(_by_formula - _by_autograd).abs().max():.0e}")
print("sums of the rows:", [f"{total:.0e}" for total in _by_formula.sum(dim=1)])
assert torch.allclose(_by_formula, _by_autograd, rtol=0, atol=1e-14)

# %% [markdown]
# The second concerns what is averaged. Call
# $w(a) = r(a) - \beta\,[\log \pi(a) - \log \text{ref}(a)]$ the *worth* of an action, so that
# $J_\beta = \sum_a \pi(a)\, w(a)$. The worth depends on $z$ as well, through $\log \pi$. But
# that part averages to nothing:
#
# $$\sum_a \pi(a)\, \frac{\partial \log \pi(a)}{\partial z(b)} =
# \sum_a \frac{\partial \pi(a)}{\partial z(b)} = 0$$
#
# since probabilities always sum to 1.

# %% demo
_slopes = torch.autograd.functional.jacobian(lambda z: z.log_softmax(dim=0), _z)
print("averaged change of log π, per logit:", [f"{x:.0e}" for x in _p @ _slopes])
assert torch.allclose(_p @ _slopes, torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-14)

# %% [markdown]
# So only the probabilities in front of the worth count. Put the first fact into
# $\sum_a w(a)\, \partial \pi(a) / \partial z(b)$ on paper and simplify: one product and one
# mean remain.
#
# **Predict**: an action whose worth is exactly the policy's average. What is its entry? **Write
# it**, without autograd.


# %% exercise="penalized_gradient"
@shaped
def penalized_gradient(
    logits: Float[Tensor, "*leading action"],
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading action"]:
    """Gradient of the penalised objective with respect to `logits`, written out by hand.

    logits, ref_logits, rewards, beta: as in penalized_objective.
    Returns one number per action, without autograd: works under torch.no_grad().
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: the softmax's derivative, ∂π(a)/∂z(b) = π(a)·([a = b] − π(b)).
    Example: policy and ref (1/2, 1/2), rewards (1, 0), any beta: (1/4, −1/4).
    """
    ### BEGIN SOLUTION
    log_policy = logits.log_softmax(dim=-1)
    policy = log_policy.exp()
    worth = rewards - beta * (log_policy - ref_logits.log_softmax(dim=-1))
    return policy * (worth - (policy * worth).sum(dim=-1, keepdim=True))
    ### END SOLUTION


# %% check="penalized_gradient" points=5
check("penalized_gradient", penalized_gradient)

# %% [markdown]
# **Look at yours**, beside two other ways to the same numbers: autograd, and finite
# differences, which move each logit by ±h and look. **Predict**: does a smaller h always make
# finite differences better?

# %% demo
if ready("penalized_objective", "penalized_gradient", gradient=True):
    _generator = torch.Generator().manual_seed(0)
    _choices = torch.randn(3, 1000, 5, generator=_generator, dtype=torch.float64)
    _by_hand = penalized_gradient(*_choices, 0.7)
    _leaf = _choices[0].clone().requires_grad_(True)
    penalized_objective(_leaf, _choices[1], _choices[2], 0.7).sum().backward()
    print(f"by hand against autograd:        {(_by_hand - _leaf.grad).abs().max():.0e}")
    assert torch.allclose(_by_hand, _leaf.grad, rtol=0, atol=1e-12)

# %% demo
if ready("penalized_objective", "penalized_gradient", gradient=True):
    _z, _ref_logits, _rewards = (x[:, None].expand(-1, 5, -1) for x in _choices)
    for _h in (1e-1, 1e-3, 1e-5, 1e-7, 1e-9):
        _up, _down = (
            penalized_objective(_z + s * _h * torch.eye(5).double(), _ref_logits, _rewards, 0.7)
            for s in (1, -1)
        )
        _error = (_by_hand - (_up - _down) / (2 * _h)).abs().max()
        print(f"against differences, h = {_h:.0e}: {_error:.0e}")

# %% [markdown]
# Three ways, one gradient. Differences err by $h^2$ while h is large and by rounding, divided
# by h, when it is small: they check a formula to some ten digits and cannot replace it.
#
# Now climb: start at ref and follow *your* gradient, for three β. Each point of the triangle is
# a policy; a corner is certainty. **Predict** where β = 0 ends, and whether β = 0.5 ends
# anywhere else.

# %% demo
if ready("penalized_gradient"):
    _paths = {}
    for _beta in (0.0, 0.5, 2.0):
        _path = [_replies.ref_logits]
        for _ in range(1500):
            _uphill = penalized_gradient(_path[-1], _replies.ref_logits, _replies.rewards, _beta)
            _path.append(_path[-1] + _uphill)
        _paths[_beta] = torch.stack(_path).softmax(dim=-1)
    plot_climb(_replies, _paths, title="Only with β = 0 does it reach the corner")

# %% [markdown]
# Without a price the climb does not stop before certainty. With one it stops inside the
# triangle, where no direction leads up. What is special about that place?

# %% demo
if ready("penalized_gradient"):
    _start, _end = _replies.ref_logits, _paths[0.5][-1].log()
    print("worth of each reply at β = 0.5")
    for _place, _log_probs in (("at ref", _start), ("where the climb ends", _end)):
        _worths = _replies.rewards - 0.5 * (_log_probs - _replies.ref_logits)
        print(f"{_place:21}", "  ".join(f"{w:8.5f}" for w in _worths))
    assert _worths.max() - _worths.min() < 1e-6

# %% [markdown]
# ## 3.3 The best policy, in closed form *(6 points, 15 min, medium)*
#
# At the end all replies are worth the same: else probability could be moved to a better one.
# Lagrange finds the same condition. Maximise over π(a), and let λ enforce that they sum to 1:
#
# $$\mathcal{L} = \sum_a \pi(a)\,r(a) - \beta \sum_a \pi(a) \log \frac{\pi(a)}{\text{ref}(a)} -
# \lambda \Bigl(\sum_a \pi(a) - 1\Bigr)$$
#
# Setting $\partial \mathcal{L} / \partial \pi(a)$ to 0 gives
# $r(a) - \beta \log \frac{\pi(a)}{\text{ref}(a)} = \beta + \lambda$: the worth is the same for
# every action. The next cell checks that derivative; then solve for π(a).

# %% demo
_beta, _lam = 0.5, 0.3
_free = torch.tensor([0.5, 0.3, 0.4], dtype=torch.float64, requires_grad=True)  # need not sum to 1
_ref = _replies.ref_logits.exp()
_lagrangian = (_free * _replies.rewards).sum() - _beta * (_free * (_free / _ref).log()).sum()
_lagrangian = _lagrangian - _lam * (_free.sum() - 1)
(_slope,) = torch.autograd.grad(_lagrangian, _free)
_formula = _replies.rewards - _beta * ((_free / _ref).log() + 1) - _lam
print("by autograd:", [f"{x:.6f}" for x in _slope])
print("by formula: ", [f"{x:.6f}" for x in _formula])
assert torch.allclose(_slope, _formula, rtol=0, atol=1e-12)

# %% [markdown]
# What you find is ref, reweighted by the exponential of the reward:
#
# $$\pi^*(a) = \frac{\text{ref}(a)\, e^{r(a)/\beta}}{Z}
# \qquad\qquad Z = \sum_b \text{ref}(b)\, e^{r(b)/\beta}$$
#
# Compute log π*. Two rewards of 100 at β = 0.001 give exponents of 100,000. **Predict**: what
# does float32 keep of log 0.3 when it is added to that?

# %% demo
_big = torch.tensor(100_000.0)
print(f"steps of float32 near 100,000: {torch.nextafter(_big, 2 * _big) - _big:.4f}")
_logs = torch.tensor([0.3, 0.5]).log()
print("log 0.3 and log 0.5:            ", [f"{x:.4f}" for x in _logs])
print("100,000 added, and taken away:  ", [f"{x:.4f}" for x in (_logs + _big) - _big])
print("exp(100,000):                   ", torch.exp(_big).item())

# %% [markdown]
# The logarithms come back in steps of 0.008, and exp overflows at once. Which change to the
# rewards leaves π* exactly as it is, and makes the exponents of the good actions small? (Look
# at what Z does when a constant is added to all rewards.) With β = 0 or less there is nothing
# to compute: refuse it. Then **write it**.


# %% exercise="optimal_policy"
@shaped
def optimal_policy(
    ref_logits: Float[Tensor, "*leading action"],
    rewards: Float[Tensor, "*leading action"],
    beta: float,
) -> Float[Tensor, "*leading action"]:
    """Log-probabilities of the policy that maximises the penalised objective.

    ref_logits: the reference's. rewards: of each action.
    beta: above 0; at beta = 1e-3 and rewards of ±100, float32 is right to 1e-3 nats, or to 1e-6
    of the log-probability itself, for actions with next to no probability.
    Returns log π*, normalised, with π* proportional to ref · exp(rewards / beta).
    Raises ValueError if beta ≤ 0; TypeCheckError if shapes or kinds of numbers disagree.
    Source: the Lagrangian of the objective; DPO (arXiv 2305.18290).
    Example: ref (1/2, 1/2), rewards (log 3, 0), beta 1: (log 3/4, log 1/4).
    """
    ### BEGIN SOLUTION
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}: at 0 nothing holds the policy back")
    # The best action is at 0, so that what decides between the good ones is a small number.
    gap = rewards - rewards.amax(dim=-1, keepdim=True)
    return (ref_logits.log_softmax(dim=-1) + gap / beta).log_softmax(dim=-1)
    ### END SOLUTION


# %% check="optimal_policy" points=6
check("optimal_policy", optimal_policy)

# %% [markdown]
# **Look at yours**: is it where the climb ended, and is it level ground?

# %% demo
if ready("penalized_gradient", "optimal_policy"):
    print("  β   π*                        climb from it        slope there")
    for _beta in (0.5, 2.0):
        _best = optimal_policy(_replies.ref_logits, _replies.rewards, _beta)
        _slope = penalized_gradient(_best, _replies.ref_logits, _replies.rewards, _beta)
        _z = _replies.ref_logits
        for _ in range(1500):
            _z = _z + penalized_gradient(_z, _replies.ref_logits, _replies.rewards, _beta)
        _apart = (_z.softmax(dim=-1) - _best.exp()).abs().max()
        _chances = ", ".join(f"{p:.4f}" for p in _best.exp())
        print(f"{_beta:3}   ({_chances})   {_apart:.0e} apart at most   {_slope.abs().max():.0e}")
        assert _slope.abs().max() < 1e-12
        assert _apart < 1e-6

# %% [markdown]
# One line of arithmetic gives what 1,500 steps approach. A language model cannot use that line:
# its replies are too many to sum, so Z is out of reach. But it says where training is heading,
# and what a reward model is being asked for.

# %% [markdown]
# ## 3.4 How far short is any other policy? *(no points, 5 min)*
#
# Solve the formula for the reward,
# $r(a) = \beta \log \frac{\pi^*(a)}{\text{ref}(a)} + \beta \log Z$, and put it into the
# objective of *any* policy π. The logarithms of ref cancel:
#
# $$J_\beta(\pi) = \beta \log Z - \beta\, \mathrm{KL}(\pi \,\|\, \pi^*)$$
#
# **Predict** from this line: the maximum, the policy that attains it, and whether there are
# others. The cell computes both sides for 400 random policies at three β.

# %% demo
if ready("penalized_objective", "optimal_policy"):
    _gaps, _ref_logits, _rewards = {}, _replies.ref_logits, _replies.rewards
    _noise = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _policies, _all = _ref_logits + _noise, (400, 3)
    for _beta in (0.3, 1.0, 3.0):
        _best = optimal_policy(_ref_logits, _rewards, _beta)
        _top = penalized_objective(_best, _ref_logits, _rewards, _beta)
        _log_z = (_ref_logits.exp() * (_rewards / _beta).exp()).sum().log()
        _gap = _top - penalized_objective(
            _policies, _ref_logits.expand(_all), _rewards.expand(_all), _beta
        )
        _nats = kl_divergence(Categorical(logits=_policies), Categorical(logits=_best.expand(_all)))
        assert torch.allclose(_top, _beta * _log_z, rtol=0, atol=1e-12)
        assert torch.allclose(_gap, _beta * _nats, rtol=0, atol=1e-12)
        _gaps[_beta] = (_nats, _gap)
    plot_gaps(_gaps)

# %% [markdown]
# $J(\pi^*) = \beta \log Z$, and every other policy pays β for each nat that it is away from π*.
# So there is one maximum and no second hill: *climbing J − βD is the same as pulling the policy
# towards π\**.
#
# The formula read backwards is [DPO](https://arxiv.org/abs/2305.18290): a policy *is* a reward
# model, as β times its log-ratio to ref tells every difference of rewards, and Z drops out.

# %% demo
if ready("optimal_policy"):
    _beta = 0.5
    _best = optimal_policy(_replies.ref_logits, _replies.rewards, _beta)
    _implied = _beta * (_best - _replies.ref_logits)
    _given, _told = _replies.rewards - _replies.rewards[0], _implied - _implied[0]
    print("rewards, above the first:        ", [f"{r:.6f}" for r in _given])
    print("β · log-ratio of π*, likewise:   ", [f"{r:.6f}" for r in _told])
    assert torch.allclose(_given, _told, rtol=0, atol=1e-12)

# %% [markdown]
# ## 3.5 A price or a radius *(7 points, 15 min, hard)*
#
# A trust region is usually given as a radius: maximise the reward with
# $\mathrm{KL}(\pi \,\|\, \text{ref}) \le \delta$. Suppose that π* at some β has a divergence of
# exactly δ. For any π inside the region,
#
# $$\mathbb{E}_\pi[r] = J_\beta(\pi) + \beta\, \mathrm{KL}(\pi \,\|\, \text{ref})
# \le J_\beta(\pi^*) + \beta \delta = \mathbb{E}_{\pi^*}[r]$$
#
# so π* is the best policy of the region too: *β and δ are two names for one knob*. Which δ
# belongs to a β can be differentiated:
# $\mathrm{d\,KL} / \mathrm{d}\beta = -\mathrm{Var}_{\pi^*}(r) / \beta^3$. **Predict** its sign,
# and what that says about raising β.

# %% demo
if ready("optimal_policy"):
    _ref, _h = Categorical(logits=_replies.ref_logits), 1e-4
    print("    β   KL(π* ‖ ref)   its slope in β   −Var(r)/β³")
    for _beta in (0.2, 0.5, 1.0, 3.0):
        _below, _at, _above = (
            Categorical(logits=optimal_policy(_replies.ref_logits, _replies.rewards, b))
            for b in (_beta - _h, _beta, _beta + _h)
        )
        _slope = (kl_divergence(_above, _ref) - kl_divergence(_below, _ref)) / (2 * _h)
        _variance = (
            _at.probs * (_replies.rewards - (_at.probs * _replies.rewards).sum()) ** 2
        ).sum()
        _formula, _nats = -_variance / _beta**3, kl_divergence(_at, _ref)
        print(f"{_beta:5}   {_nats:12.4f}   {_slope:14.6f}   {_formula:10.6f}")
        assert torch.isclose(_slope, _formula, rtol=1e-5)

# %% [markdown]
# A variance is never below 0, so the divergence only falls as β grows, and one β belongs to
# each δ. There is no formula for it, but a falling function can be searched.
#
# Does every δ have a β? As β falls to 0, π* follows the reward ever more closely. **Predict**
# what its divergence from ref does.
#
# - **A**: it grows without end
# - **B**: it grows, and levels off
# - **C**: it falls

# %% predict="smallest_beta"
predict("smallest_beta", ...)

# %% demo
if ready("optimal_policy"):
    _ref, _nats = Categorical(logits=_replies.ref_logits), []
    for _beta in (1.0, 0.3, 0.1, 0.03, 0.01):
        _best = Categorical(logits=optimal_policy(_replies.ref_logits, _replies.rewards, _beta))
        _nats.append(kl_divergence(_best, _ref))
        print(f"β = {_beta:4}: KL(π* ‖ ref) = {_nats[-1]:.4f} nats")
    print(f"−log 0.08 = {-math.log(0.08):.4f}, with 0.08 what ref gives to the best reply")
    assert _nats[-1] <= -math.log(0.08) + 1e-9
    outcome("smallest_beta", C=_nats[-1] < _nats[0], B=_nats[-1] - _nats[-2] < 0.01, A=True)

# %% [markdown]
# It levels off, so a larger δ has no β. The docstring has the bound for any rewards. What does
# it say if all of them are equal?
#
# **Write it**; your `optimal_policy` may do part of the work. Two traps: β has the unit of the
# rewards, so it may be 0.0001 or 10,000; and a small KL is a sum of terms that nearly cancel,
# of which float32 keeps few digits: compute in float64.


# %% exercise="beta_for_kl"
@shaped
def beta_for_kl(
    ref_logits: Float[Tensor, " action"], rewards: Float[Tensor, " action"], target_kl: float
) -> float:
    """The beta whose best policy π* has KL(π* ‖ ref) = target_kl.

    ref_logits, rewards: of one choice. target_kl: in nats, the radius of the trust region.
    Returns a float, right to 1e-4 of itself in the KL that it leads to.
    Raises ValueError if target_kl ≤ 0, or beyond −log of ref's mass on the best actions, the
    greatest KL that an optimum can have; TypeCheckError if shapes or kinds of numbers disagree.
    Source: KL(π* ‖ ref) falls as beta grows, so the two are one knob.
    Example: ref (1/2, 1/2), rewards (log 3, 0), target 0.1308: beta 1, as π* is (3/4, 1/4).
    """
    ### BEGIN SOLUTION
    log_ref, rewards = ref_logits.detach().double().log_softmax(-1), rewards.detach().double()
    greatest = max(0.0, -log_ref[rewards == rewards.max()].logsumexp(-1).item())
    if not 0 < target_kl < greatest * (1 - 1e-9):
        raise ValueError(f"target_kl {target_kl:.4g} is not above 0 and below {greatest:.4g} nats")
    # No reward has a variance above spread²/4, which bounds the KL: this beta is large enough.
    high = math.log(rewards.max() - rewards.min()) - 0.5 * math.log(8 * target_kl)
    low = high - 70.0
    for _ in range(80):
        middle = (low + high) / 2
        log_best = optimal_policy(log_ref, rewards, math.exp(middle))
        found = (log_best.exp() * (log_best - log_ref)).sum()
        low, high = (middle, high) if found > target_kl else (low, middle)
    return math.exp((low + high) / 2)
    ### END SOLUTION


# %% check="beta_for_kl" points=7
check("beta_for_kl", beta_for_kl)

# %% [markdown]
# **Look at yours.** For each radius, your β, the reward of π* there, and the best that a search
# through 12,880 policies finds inside the same region. The search may come close to π*; by the
# line above it cannot pass.

# %% demo
if ready("optimal_policy", "beta_for_kl"):
    _everyone = all_policies()
    _nats = kl_divergence(Categorical(probs=_everyone), Categorical(logits=_replies.ref_logits))
    print(f"{len(_everyone):,} policies searched")
    print("radius δ      β   reward of π*   best reward found within δ")
    for _radius in (0.01, 0.1, 0.5, 1.0, 2.0):
        _beta = beta_for_kl(_replies.ref_logits, _replies.rewards, _radius)
        _best = optimal_policy(_replies.ref_logits, _replies.rewards, _beta).exp()
        _attained = (_best * _replies.rewards).sum()
        _searched = (_everyone[_nats <= _radius] @ _replies.rewards).max()
        print(f"{_radius:8}   {_beta:.3f}   {_attained:12.4f}   {_searched:26.4f}")
        assert _searched <= _attained + 1e-4 * _beta * _radius

# %% demo
if ready("optimal_policy", "beta_for_kl"):
    _betas = torch.logspace(-1.5, 1.5, 200, dtype=torch.float64)
    _bests = torch.stack(
        [optimal_policy(_replies.ref_logits, _replies.rewards, beta) for beta in _betas.tolist()]
    )
    _divergence = kl_divergence(Categorical(logits=_bests), Categorical(logits=_replies.ref_logits))
    _reward = _bests.exp() @ _replies.rewards
    _rate = (_reward[2:] - _reward[:-2]) / (_divergence[2:] - _divergence[:-2])
    assert torch.allclose(_rate, _betas[1:-1], rtol=1e-2)
    plot_knob(_betas, _divergence, _reward, greatest=-math.log(0.08))

# %% [markdown]
# On the right, the first nats buy a lot and the later ones less and less. The slope of the
# curve at π* is β (the cell has checked it): you buy divergence as long as a nat pays more than
# it costs.
#
# Theory offers a β with a guarantee: TRPO
# ([arXiv 1502.05477](https://arxiv.org/abs/1502.05477)) proves that the true return is at least
# the surrogate minus $C$ times the KL between old and the policy in the state where it is
# greatest. There $C = 4\epsilon\gamma/(1-\gamma)^2$, where γ discounts later rewards and ε is
# the greatest advantage (no clip range here). **Predict** $C$ for γ = 0.99 and ε = 1.

# %% demo
_gamma, _epsilon = 0.99, 1.0
_bound = 4 * _epsilon * _gamma / (1 - _gamma) ** 2
print(f"C = {_bound:,.0f}")
if ready("optimal_policy"):
    _best = Categorical(logits=optimal_policy(_replies.ref_logits, _replies.rewards, _bound))
    _nats = kl_divergence(_best, Categorical(logits=_replies.ref_logits))
    print(f"KL(π* ‖ ref) of the replies above at β = C: {_nats:.0e} nats")

# %% [markdown]
# At that price the policy does not visibly move, so in practice β is tuned: 0.02 in
# [InstructGPT](https://arxiv.org/abs/2203.02155), 0.04 in
# [GRPO](https://arxiv.org/abs/2402.03300), and PPO adapts it to a target KL
# ([arXiv 1707.06347](https://arxiv.org/abs/1707.06347)). That last is your `beta_for_kl`, done
# by feedback: lesson 05.

# %% [markdown]
# ## 3.6 True or false? *(2 points, 3 min, easy)*
#
# **Quiz.** You maximise $J - \beta D$ as a trust region. Someone says: *"Raising the weight β
# of the penalty widens the trusted region, so the policy may make larger updates."* True or
# false, and why?
#
# - A: a larger weight leaves more room before the penalty sets in;
# - B: β scales the objective as a whole, so the best policy does not depend on it;
# - C: each nat of divergence costs more reward, so the best policy lies nearer to ref;
# - D: β sets how fast training gets to the best policy, not where that is.
#
# Answer with a dict: `{"statement": True or False, "reason": "a letter"}`.

# %% quiz="q03_beta_trust_region"
q03_beta_trust_region = {"statement": False, "reason": "C"}

# %% check="q03_beta_trust_region" points=2
check("q03_beta_trust_region", q03_beta_trust_region)

# %% [markdown]
# ## 3.7 The two ends of the knob *(2 points, 4 min, medium)*
#
# **Quiz.** What does π* tend to as β → 0, and as β → ∞? Think of several replies sharing the
# highest reward.
#
# - A: the uniform policy;
# - B: ref, restricted to the actions of highest reward, and normalised again;
# - C: certainty: one action, even where several share the highest reward;
# - D: ref;
# - E: nothing: the objective has no maximum there.
#
# Answer with a dict: `{"to_zero": "a letter", "to_infinity": "a letter"}`.

# %% quiz="q03_beta_limits"
q03_beta_limits = {"to_zero": "B", "to_infinity": "D"}

# %% check="q03_beta_limits" points=2
check("q03_beta_limits", q03_beta_limits)

# %% [markdown]
# Now look. A fourth reply, "gushing", is paid exactly as much as "flattering", and ref gives it
# a third as often.

# %% demo
if ready("optimal_policy"):
    _four = four_replies()
    print("      β   " + "".join(f"{name:>12}" for name in _four.names))
    for _beta in (1e-3, 1e-2, 1e-1, 1.0, 10.0, 1e3):
        _chances = optimal_policy(_four.ref_logits, _four.rewards, _beta).exp()
        print(f"{_beta:7g}   " + "".join(f"{p:12.4f}" for p in _chances))
    print("    ref   " + "".join(f"{p:12.4f}" for p in _four.ref_logits.exp()))

# %% [markdown]
# ## 3.8 The whole picture *(no points, 3 min)*
#
# All of this lesson in one triangle: grey lines of equal reward, the path of π* from ref to a
# corner, and around ref the border of all policies that are as near as π* (cut off where it
# would leave the triangle). **Predict**: how does the border meet the grey line through π*? If
# your notebook is running, a slider under the figure moves β.

# %% demo
if ready("optimal_policy"):
    show_path(_replies, optimal_policy)

# %% [markdown]
# The border touches the grey line: no policy inside it earns more. And the path bends. At
# moderate β the policy mostly becomes helpful, which ref already does now and then; only a low
# price turns it to flattery, which ref hardly knows. If the reward model is wrong just where
# ref seldom goes, β decides how much of that error you buy.

# %% [markdown]
# ## 3.9 Choose an objective *(1 point, 5 min, easy)*
#
# A team trains a support assistant. Each round draws a batch with old, then takes many gradient
# steps on the surrogate $J$. Most rounds go well. In some, one update of ordinary size *in the
# weights* turns half the answers into the same sentence. They want an objective that keeps each
# update small in its effect. Which do you choose, with β > 0, to be **maximised**?

# %% [markdown]
# - A: $J(\theta) - \beta\, \lVert \theta - \theta_{\text{old}} \rVert^2$
# - B: $J(\theta) - \beta\, \mathrm{KL}(\text{policy} \,\|\, \text{old})$
# - C: $J(\theta) + \beta\, \mathrm{KL}(\text{policy} \,\|\, \text{old})$
# - D: $J(\theta) + \beta\, \mathrm{H}(\text{policy})$, with H the entropy
# - E: $J(\theta)$, estimated from batches four times as large
#
# Answer with a letter.

# %% quiz="q03_choose_objective"
q03_choose_objective = "B"

# %% check="q03_choose_objective" points=1
check("q03_choose_objective", q03_choose_objective)

# %% [markdown]
# Everything above was said about ref. It holds word for word with old in its place: the same
# objective, the same optimum. What differs is what the number limits: with ref the drift, with
# old the step.
#
# ## 3.10 Seen in the wild
#
# | what was reported | cause | you met it in |
# |---|---|---|
# | PaLM-rlhf [#38](https://github.com/lucidrains/PaLM-rlhf-pytorch/issues/38), marin [#1708](https://github.com/marin-community/marin/issues/1708) | a sign: divergence was rewarded | 3.1 |
# | trl [#4040](https://github.com/huggingface/trl/issues/4040): no KL in the logs | β = 0 | 3.1 |

# %% [markdown]
# What a turned sign does can be seen in your own gradient: a negative β pays for distance.
# **Predict** what the log shows of the reward.
#
# - **A**: it falls from the first steps on
# - **B**: it rises, then levels off
# - **C**: it swings

# %% predict="turned_sign"
predict("turned_sign", ...)

# %% demo
if ready("penalized_gradient"):
    _z, _ref, _earned = _replies.ref_logits, Categorical(logits=_replies.ref_logits), []
    for _step in range(201):
        if _step % 50 == 0:
            _policy = Categorical(logits=_z)
            _earned.append((_policy.probs * _replies.rewards).sum())
            print(
                f"step {_step:3}   KL {kl_divergence(_policy, _ref):.3f}   reward {_earned[-1]:.3f}"
            )
        _z = _z + penalized_gradient(_z, _replies.ref_logits, _replies.rewards, -0.5)
    _rise = torch.stack(_earned).diff()
    outcome("turned_sign", A=_rise[0] < 0, B=(_rise > -0.01).all() and _rise[-1] < 0.01, C=True)

# %% [markdown]
# The reward alone does not tell: it rises, then levels off, as in a healthy run. The divergence
# was not held: the policy ends certain of one reply, and not of the best-paid one. Log both.

# %% [markdown]
# ## What to take along
#
# - $J_\beta$ is expected reward minus β per nat; its gradient moves probability to what is
#   worth more than average.
# - The optimum is ref · exp(r/β), normalised; any policy falls short of it by β·KL(policy ‖
#   π*).
# - β is a price, δ a radius, and they are one knob: a larger β is a *smaller* region.
# - β → ∞ stays at ref; β → 0 keeps ref's proportions among the best-paid actions.
# - ref bounds drift, old bounds the step: same formula, two uses.

# %% demo
progress("03_penalized_objective")
predictions("03_penalized_objective")

# %% [markdown]
# Next: **04 · Penalty gradients**. Here the divergence was summed over all actions. With drawn
# tokens only, which number may you differentiate? Some of the obvious ones push the wrong way.
