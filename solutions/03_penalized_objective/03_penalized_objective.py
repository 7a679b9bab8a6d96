# %% [markdown]
# # 03 · The penalised objective
#
# You can measure how far a policy moved. Now charge for it: maximise $J - \beta D$. After this
# lesson you can
#
# - write reward minus β times divergence, and its gradient, and check both;
# - derive the best policy there is, and say by how much any other falls short of it;
# - turn a trust region's radius into a β, and back, and say what β is to be compared with.
#
# About three hours: 3.1 to 3.4 make one sitting, the rest another. The boxes that unfold
# are for a second reading, and no minutes count them. It needs lesson 02 (KL(policy ‖ ref),
# nats). Everything is exact: no sampling. A *log-ratio* is log policy − log ref throughout: above
# 0 where the policy has made a reply likelier.

# %% setup
import math

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributions import Categorical, kl_divergence

from helpers import check, hint, progress, ready, shaped, written
from helpers.plots.penalized_objective import (
    plot_climb,
    plot_directions,
    plot_gaps,
    plot_knob,
    plot_two_terms,
    show_path,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.penalized_objective import (
    all_policies,
    forward_optimum,
    four_replies,
    three_replies,
    towards_one_action,
)

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## 3.1 Two terms *(4 points, 18 min, easy)*
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


# %% check="penalized_objective" points=4
check("penalized_objective", penalized_objective)

# %% [markdown]
# **Look at yours.** Take ref and mix in more and more of the best-paid reply. With β = 0 your
# function gives the reward alone, so the distance between the two curves is the penalty.
# **Predict**: where along this line is the objective greatest?

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
# At ref itself? Take one step of a ten-thousandth from there, towards the reply "flattering",
# which ref does give, at three prices β. **Predict**: does it pay?
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
    outcome("first_step", A=max(_gains) <= 0, C=min(_gains) > 0, B=True)

# %% [markdown]
# At ref the penalty is not only 0, it is *flat*: a small step costs the square of its size,
# while its reward grows in proportion. So whenever a reply *that ref gives* is paid more than
# ref earns on average, a small enough first step towards it pays, at every β. How far it pays
# to go is what β decides.
#
# The condition matters. **Predict**: let ref give "flattering" less and less often, the rest of
# it to "helpful". What does the same step cost at β = 1, and what if ref *never* gives it?

# %% demo
print("ref's chance    step   reward gained   nats paid for   objective, β = 1")
for _chance, _share in ((0.08, 1e-4), (1e-3, 1e-4), (1e-6, 1e-4), (1e-6, 1e-7), (0.0, 1e-7)):
    _ref = torch.tensor([0.60, 0.40 - _chance, _chance], dtype=torch.float64)
    _step = (1 - _share) * _ref + _share * torch.tensor([0.0, 0.0, 1.0])
    _gain = ((_step - _ref) * _replies.rewards).sum()
    _nats = kl_divergence(Categorical(probs=_step), Categorical(probs=_ref))
    print(
        f"{_chance:12.0e}   {_share:.0e}{_gain:16.1e}{_nats:16.1e}   {_gain - 1.0 * _nats:+16.1e}"
    )

# %% [markdown]
# The more rarely ref gives a reply, the smaller the step that still pays; where it never does, the
# price is infinite and no step pays at any β > 0. *What ref never says, the best policy never
# says*: this penalty makes a policy choose among what ref can do.
#
# The best policy of this line need not be the best of all. To find that one, you need a
# direction.

# %% [markdown]
# ## 3.2 Which way is up *(7 points, 30 min, hard)*
#
# Derive the gradient with respect to the logits $z$, $\pi = \mathrm{softmax}(z)$. Two facts
# carry it. The first is how probabilities move: raise one logit, and all of them change.
#
# $$\frac{\partial \pi(a)}{\partial z(b)} = \pi(a)\,\bigl([a = b] - \pi(b)\bigr)$$
#
# where $[a = b]$ is 1 if $a$ and $b$ are the same action, else 0. **Predict**: raise one logit
# $z(b)$; what do the changes of all the π(a) add up to? The cell computes these derivatives by
# autograd too.

# %% demo
_z = torch.tensor([0.3, -0.2, 1.0], dtype=torch.float64)
_p = _z.softmax(dim=0)
_by_autograd = torch.autograd.functional.jacobian(lambda z: z.softmax(dim=0), _z)
_same = torch.eye(3, dtype=torch.float64)
_by_formula = torch.stack([_p[a] * (_same[a] - _p) for a in range(3)])
print(f"formula against autograd: {(_by_formula - _by_autograd).abs().max():.0e}")
print("sum over a, for each b:", [f"{total:.0e}" for total in _by_formula.sum(dim=0)])
assert torch.allclose(_by_formula, _by_autograd, rtol=0, atol=1e-14)

# %% [markdown]
# The second concerns what is averaged. Call
# $w(a) = r(a) - \beta\,[\log \pi(a) - \log \text{ref}(a)]$ the *worth* of an action, so that
# $J_\beta = \sum_a \pi(a)\, w(a)$. The worth depends on $z$ as well, through $\log \pi$. But as
# π · ∂ log π is ∂π, that part averages to the sum that you have just seen:
#
# $$\sum_a \pi(a)\, \frac{\partial \log \pi(a)}{\partial z(b)} =
# \sum_a \frac{\partial \pi(a)}{\partial z(b)} = 0$$
#
# What one action gains the others lose, since probabilities always sum to 1.

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


# %% check="penalized_gradient" points=7
check("penalized_gradient", penalized_gradient)

# %% [markdown]
# **Look at yours**, beside two other ways to the same numbers: autograd, and differences, which
# move each logit up and down a little and look.

# %% demo
if ready("penalized_objective", "penalized_gradient", gradient=True):
    _generator = torch.Generator().manual_seed(0)
    _choices = torch.randn(3, 1000, 5, generator=_generator, dtype=torch.float64)
    _by_hand = penalized_gradient(*_choices, 0.7)
    _leaf = _choices[0].clone().requires_grad_(True)
    penalized_objective(_leaf, _choices[1], _choices[2], 0.7).sum().backward()
    print(f"by hand against autograd:    {(_by_hand - _leaf.grad).abs().max():.0e}")
    _z, _ref_logits, _rewards = (x[:, None].expand(-1, 5, -1) for x in _choices)
    _up, _down = (
        penalized_objective(_z + step * torch.eye(5).double(), _ref_logits, _rewards, 0.7)
        for step in (1e-5, -1e-5)
    )
    print(f"by hand against differences: {(_by_hand - (_up - _down) / 2e-5).abs().max():.0e}")
    assert torch.allclose(_by_hand, _leaf.grad, rtol=0, atol=1e-12)

# %% [markdown]
# <details><summary>Why: the gradient is probability times worth above average</summary>
#
# Differentiate the product; the second fact makes the sum over $\partial w$ vanish, as
# $\partial w(a) = -\beta\, \partial \log \pi(a)$. Then put in the first fact; of the terms with
# $[a = b]$ one remains:
#
# $$\begin{aligned} \frac{\partial J_\beta}{\partial z(b)} &= \sum_a w(a) \frac{\partial
# \pi(a)}{\partial z(b)} + \sum_a \pi(a) \frac{\partial w(a)}{\partial z(b)}
# = \sum_a w(a)\, \pi(a)\,\bigl([a = b] - \pi(b)\bigr) + 0 \\
# &= \pi(b) \Bigl(w(b) - \sum_a \pi(a)\, w(a)\Bigr) \end{aligned}$$
#
# The bracket is an *advantage*: what an action is worth above the policy's mean, the price
# included.
#
# </details>

# %% [markdown]
# Logits mean something up to a constant only. **Predict**: add 7 to all of ref's logits, and 3
# to all rewards. Which of these three change: the gradient, the objective, and an "objective"
# that forgot to normalise ref?

# %% demo
if ready("penalized_objective", "penalized_gradient", gradient=True):
    _z, _ref_logits, _rewards = _choices
    _moved = (_ref_logits + 7, _rewards + 3)
    _change = (penalized_gradient(_z, *_moved, 0.7) - _by_hand).abs().max()
    print(f"the gradient changes by {_change:.0e} at most")
    _change = penalized_objective(_z, *_moved, 0.7) - penalized_objective(_z, *_choices[1:], 0.7)
    print(f"the objective, by {_change.min():.6f} to {_change.max():.6f}")
    _worth, _moved_worth = (
        r - 0.7 * (_z.log_softmax(-1) - ref) for ref, r in ((_ref_logits, _rewards), _moved)
    )
    _change = (_z.softmax(-1) * (_moved_worth - _worth)).sum(-1)
    print(f"with ref not normalised, by {_change.min():.6f} to {_change.max():.6f}")

# %% [markdown]
# Nothing; the rewards' 3; and 3 + 0.7 · 7, wrong by β times the constant. So the objective needs
# ref normalised, and the gradient does not.

# %% [markdown]
# <details><summary>Why: ref's normaliser drops out of the gradient alone</summary>
#
# A constant $c$ on ref's logits adds $\beta c$ to each worth, hence to their mean:
#
# $$w(b) + \beta c - \sum_a \pi(a)\,\bigl(w(a) + \beta c\bigr) = w(b) - \sum_a \pi(a)\, w(a)$$
#
# so the advantage stays; a constant on the rewards goes the same way. The objective is that mean
# itself, and takes the constant with it: there, ref has to be normalised. And π itself does not
# notice a constant in $z$: softmax divides it out.
#
# </details>

# %% [markdown]
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
    plot_climb(_replies, _paths)

# %% [markdown]
# Without a price the climb does not stop before certainty, and it goes by way of "helpful". Each
# slope is π(b) times worth above average, and ref gives "helpful" four times as often as
# "flattering": it rises first, until the average is near its own reward.
#
# With a price the climb stops inside the triangle, where no direction leads up. What is special
# about that place?

# %% demo
if ready("penalized_gradient"):
    _start, _end = _replies.ref_logits, _paths[0.5][-1].log()
    print("worth of each reply at β = 0.5")
    for _place, _log_probs in (("at ref", _start), ("where the climb ends", _end)):
        _worths = _replies.rewards - 0.5 * (_log_probs - _replies.ref_logits)
        print(f"{_place:21}", "  ".join(f"{w:8.5f}" for w in _worths))

# %% [markdown]
# ## 3.3 The best policy, in closed form *(6 points, 23 min, medium)*
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
    beta: above 0. At beta = 1e-3 and rewards of ±100, float32 is right to 1e-3 nats plus a
    millionth of the log-probability, which is near −200,000 for an action 200 below the best.
    Returns log π*, normalised, with π* proportional to ref · exp(rewards / beta).
    Raises ValueError if beta ≤ 0; TypeCheckError if shapes or kinds of numbers disagree.
    Source: the Lagrangian of the objective; DPO (arXiv 2305.18290).
    Example: ref (1/2, 1/2), rewards (log 3, 0), beta 1: (log 3/4, log 1/4).
    """
    ### BEGIN SOLUTION
    if beta <= 0:
        raise ValueError(f"beta must be above 0, not {beta}: nothing would hold the policy back")
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
# ## 3.4 How far short is any other policy? *(no points, 27 min)*
#
# Solve the formula for the reward,
# $r(a) = \beta \log \frac{\pi^*(a)}{\text{ref}(a)} + \beta \log Z$, and put it into the
# objective of *any* policy π. The logarithms of ref cancel:
#
# $$J_\beta(\pi) = \beta \log Z - \beta\, \mathrm{KL}(\pi \,\|\, \pi^*)$$
#
# **Predict** from this line: the maximum, the policy that attains it, and whether there are
# others. The cell computes both sides for 400 random policies at three β.

# %% [markdown]
# <details><summary>Why: J(π*) − J(π) = β · KL(π ‖ π*)</summary>
#
# Put that $r(a)$ into the worth of an action, for a policy π that need not be the best. Then take
# the mean under π; $\log Z$ is a constant:
#
# $$\begin{aligned} w(a) &= \beta \log \frac{\pi^*(a)}{\text{ref}(a)} + \beta \log Z -
# \beta \log \frac{\pi(a)}{\text{ref}(a)} = \beta \log Z - \beta \log
# \frac{\pi(a)}{\pi^*(a)} \\ J_\beta(\pi) &= \sum_a \pi(a)\, w(a) = \beta \log Z -
# \beta\, \mathrm{KL}(\pi \,\|\, \pi^*) \end{aligned}$$
#
# At π = π* the divergence is 0, so $J_\beta(\pi^*) = \beta \log Z$. (Where ref never gives a
# reply, π and π* must not either: else $J_\beta(\pi) = -\infty$.)
#
# </details>

# %% demo
if ready("penalized_objective", "optimal_policy"):
    _gaps, _ref_logits, _rewards = {}, _replies.ref_logits, _replies.rewards
    _noise = torch.randn(400, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    _policies, _all = _ref_logits + _noise, (400, 3)
    for _beta in (0.3, 1.0, 3.0):
        _best = optimal_policy(_ref_logits, _rewards, _beta)
        _top = penalized_objective(_best, _ref_logits, _rewards, _beta)
        _log_z = (_ref_logits.exp() * (_rewards / _beta).exp()).sum().log()
        _found = penalized_objective(
            _policies, _ref_logits.expand(_all), _rewards.expand(_all), _beta
        )
        _nats = kl_divergence(Categorical(logits=_policies), Categorical(logits=_best.expand(_all)))
        assert torch.allclose(_found, _beta * _log_z - _beta * _nats, rtol=0, atol=1e-12)
        _gaps[_beta] = (_nats, _top - _found)
    plot_gaps(_gaps)

# %% [markdown]
# $J(\pi^*) = \beta \log Z$, and every other policy pays β for each nat that it is away from π*:
# *climbing J − βD is the same as pulling the policy towards π\**. So there is one maximum. Is
# there anywhere else that a climb can stop?
#
# Among probabilities, no: $J_\beta$ is *concave* there, a straight line (the reward) minus a
# multiple of a convex function (the KL). You climb in logits. **Predict**: is it concave in
# those? And what is the slope of a policy that is nearly certain of "curt"?

# %% demo
if ready("penalized_objective"):
    _noise = torch.randn(2, 400, 3, generator=torch.Generator().manual_seed(2)).double()
    _one, _other = 4 * _noise
    _fixed = (_replies.ref_logits.expand(400, 3), _replies.rewards.expand(400, 3), 0.5)
    _ends = (penalized_objective(_one, *_fixed) + penalized_objective(_other, *_fixed)) / 2
    _halfway = {
        "probabilities": ((_one.softmax(-1) + _other.softmax(-1)) / 2).log(),
        "logits": (_one + _other) / 2,
    }
    for _name, _middle in _halfway.items():
        _above = penalized_objective(_middle, *_fixed) >= _ends - 1e-12
        print(f"halfway in {_name:13}: J at or above the mean of the ends in {_above.sum()} of 400")

# %% demo
if ready("penalized_objective", "penalized_gradient"):
    _fixed = (_replies.ref_logits, _replies.rewards, 0.5)
    _top = 0.5 * (_replies.ref_logits + _replies.rewards / 0.5).logsumexp(dim=0)
    print("logit of curt   below the maximum   greatest slope   steps until within 0.001")
    for _start in (0.0, 5.0, 10.0, 20.0):
        _z = torch.tensor([_start, 0.0, 0.0], dtype=torch.float64)
        _short = _top - penalized_objective(_z, *_fixed)
        _slope, _steps = penalized_gradient(_z, *_fixed).abs().max(), 0
        while _top - penalized_objective(_z, *_fixed) > 1e-3 and _steps < 2000:
            _z, _steps = _z + penalized_gradient(_z, *_fixed), _steps + 1
        _said = f"{_steps:,}" if _steps < 2000 else "more than 2,000"
        print(f"{_start:13}   {_short:17.3f}   {_slope:14.0e}   {_said:>24}")

# %% [markdown]
# Not concave in logits, and still no second hill: each slope is π(b) times worth above average,
# so all are 0 at once only where all worths are equal, at π*. What logits have is *plateaus*:
# towards a corner the slopes go to 0, however far below the maximum the policy is. So a
# collapsed policy is hard to bring back. (In a network's weights not even that is promised.)
#
# Now read the formula backwards: β times the log-ratio of π* is the reward, less the constant
# $\beta \log Z$. **Write** what that says of two replies, without a look at the rewards.


# %% demo
def _reward_difference(log_policy, log_ref, beta, one, other):
    """How much more reward `one` gets than `other`, from a best policy and ref alone.

    log_policy, log_ref: log-probabilities of all replies. one, other: their numbers.
    """
    return ...


# %% demo
if written(_reward_difference(_replies.ref_logits, _replies.ref_logits, 0.5, 2, 0)) and ready(
    "optimal_policy"
):
    _errors = []
    for _beta in (0.3, 0.5, 2.0):
        _best = optimal_policy(_replies.ref_logits, _replies.rewards, _beta)
        for _a, _b in ((2, 0), (0, 1), (1, 2)):
            _told = _reward_difference(_best, _replies.ref_logits, _beta, _a, _b)
            _paid = _replies.rewards[_a] - _replies.rewards[_b]
            _errors.append(abs(float(_told - _paid)))
            print(
                f"β = {_beta}, {_replies.names[_a]:10} above {_replies.names[_b]:10}: "
                f"{float(_told):7.4f}, paid {_paid:7.4f}"
            )
    print("Every difference is told." if max(_errors) < 1e-9 else "Not yet: is β in it, and ref?")

# %% [markdown]
# ### From rewards to pairs: DPO
#
# So a policy *is* a reward model, and Z, out of reach for a language model, has dropped out.
# What one has instead of rewards is often pairs: somebody liked reply $w$ better than $l$. If
# that happens with chance $\sigma(r_w - r_l)$, σ the logistic function, put β times the
# log-ratios in place of $r$ and train the *policy* to predict the pairs. That is
# [DPO](https://arxiv.org/abs/2305.18290), direct preference optimisation: no reward model, no
# sampling, and, with pairs enough of all replies, the same optimum π*. **Predict**: is the
# slope of its loss, over all pairs, 0 at ref? And at π*?
#
# $$\mathcal{L}_{\text{DPO}} = -\log \sigma\Bigl(\beta \log \frac{\pi(w)}{\text{ref}(w)} -
# \beta \log \frac{\pi(l)}{\text{ref}(l)}\Bigr)$$

# %% demo
_log_ref, _beta = _replies.ref_logits, 0.5
_best = (_log_ref + _replies.rewards / _beta).log_softmax(dim=0)
_chance = (_replies.rewards[:, None] - _replies.rewards).sigmoid()  # that row beats column
for _name, _where in (("ref", _log_ref), ("π*", _best)):
    _leaf = _where.clone().requires_grad_(True)
    _implied = _beta * (_leaf.log_softmax(dim=0) - _log_ref)
    _losses = -torch.nn.functional.logsigmoid(_implied[:, None] - _implied)
    _pair = _losses[2, 1].item()
    (_slope,) = torch.autograd.grad((_chance * _losses).sum(), _leaf)
    print(
        f"at {_name:3}: DPO's loss, flattering over helpful: {_pair:.4f}; "
        f"greatest slope over all pairs: {_slope.abs().max():.0e}"
    )
print(f"−log σ(1.4 − 1.0) = {-math.log(_chance[2, 1]):.4f}")
assert _slope.abs().max() < 1e-12

# %% [markdown]
# ## 3.5 A price or a radius *(8 points, 40 min, hard)*
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
# $\mathrm{d\,KL} / \mathrm{d}\beta = -\mathrm{Var}_{\pi^*}(r) / \beta^3$, as the cell checks: it
# never rises with β.

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
# <details><summary>Why: dKL/dβ = −Var/β³, and a nat more buys β more reward</summary>
#
# Write λ = 1/β, so $\log \pi^* = \log \text{ref} + \lambda r - \log Z$. Differentiating
# $\log Z$ once gives the mean of $r$ under π*, twice its variance:
#
# $$\begin{aligned} \mathrm{KL} &= \lambda\, \mathbb{E}_{\pi^*}[r] - \log Z, \qquad
# \frac{\mathrm{d} \log Z}{\mathrm{d}\lambda} = \mathbb{E}_{\pi^*}[r], \qquad
# \frac{\mathrm{d}\, \mathbb{E}_{\pi^*}[r]}{\mathrm{d}\lambda} = \mathrm{Var}_{\pi^*}(r) \\
# \frac{\mathrm{d\,KL}}{\mathrm{d}\lambda} &= \mathbb{E}_{\pi^*}[r] + \lambda\,
# \mathrm{Var}_{\pi^*}(r) - \mathbb{E}_{\pi^*}[r] = \lambda\, \mathrm{Var}_{\pi^*}(r)
# \end{aligned}$$
#
# With $\mathrm{d}\lambda / \mathrm{d}\beta = -1/\beta^2$ that is $-\mathrm{Var}/\beta^3$; and
# reward per nat is $\mathrm{Var} / (\lambda\, \mathrm{Var}) = \beta$.
#
# </details>

# %% [markdown]
# The divergence only falls as β grows, so no δ belongs to two β (unless all rewards are equal:
# then π* is ref at every β).
#
# What is a *large* β? The name of its unit says it: reward per nat. Compare it with the spread
# of the rewards under ref. While π* is near ref, with $\mathrm{Var}$ the variance of $r$,
#
# $$\mathrm{KL}(\pi^* \,\|\, \text{ref}) \approx \frac{\mathrm{Var}_{\text{ref}}(r)}{2 \beta^2}$$
#
# **Predict**: somebody pays ten times the rewards and keeps β. What happens to that KL?

# %% demo
_ref, _rewards = Categorical(logits=_replies.ref_logits), _replies.rewards
_spread = (_ref.probs * (_rewards - _ref.probs @ _rewards) ** 2).sum().sqrt()
print(f"spread of the rewards under ref (standard deviation): {_spread:.4f}")
if ready("optimal_policy"):
    print("β / spread   KL(π* ‖ ref)   Var/(2β²)   KL when rewards are ten times as large")
    for _times in (0.1, 1.0, 10.0, 100.0):
        _beta = float(_times * _spread)
        _nats, _scaled = (
            kl_divergence(
                Categorical(logits=optimal_policy(_ref.logits, c * _rewards, _beta)), _ref
            )
            for c in (1, 10)
        )
        print(f"{_times:10}   {_nats:12.3g}   {_spread**2 / (2 * _beta**2):9.3g}   {_scaled:34.3g}")
    assert torch.isclose(_nats, _spread**2 / (2 * _beta**2), rtol=0.01)

# %% [markdown]
# <details><summary>Why: KL ≈ Var/(2β²) near ref</summary>
#
# From the box above, $\mathrm{d\,KL}/\mathrm{d}\lambda = \lambda\, \mathrm{Var}$, and the KL is
# 0 at λ = 0, where π* is ref. Near there $\mathrm{Var}_t$, the variance under the optimum with
# λ = t, is still ref's:
#
# $$\mathrm{KL} = \int_0^{\lambda} t\, \mathrm{Var}_t(r)\, \mathrm{d}t \approx
# \frac{\lambda^2}{2}\, \mathrm{Var}_{\text{ref}}(r)
# = \frac{\mathrm{Var}_{\text{ref}}(r)}{2 \beta^2}$$
#
# </details>

# %% [markdown]
# β equal to the spread moves the policy half a nat or so; ten spreads hardly move it. Rewards
# ten times as large with the same β are a β ten times as *small*: near ref that is a hundred
# times the KL, and where the policy is certain already, hardly any more. So a β quoted without
# the spread of its rewards says nothing, and a change of the reward model is a change of β.
#
# **Write** it the other way round, on paper first: a β that leaves π* about 0.01 nats from ref,
# from `_spread` alone.

# %% demo
_guess = ...

# %% demo
if written(_guess) and ready("optimal_policy"):
    if not float(_guess) > 0:
        print("Not yet: a β is above 0.")
    else:
        _best = optimal_policy(_replies.ref_logits, _replies.rewards, float(_guess))
        _nats = kl_divergence(Categorical(logits=_best), Categorical(logits=_replies.ref_logits))
        print(f"At β = {float(_guess):.3f}, π* is {_nats:.5f} nats from ref.")
        _near = abs(_nats / 0.01 - 1) < 0.1
        print("Within a tenth of 0.01." if _near else "Not yet: set Var/(2β²) to 0.01, find β.")

# %% [markdown]
# That is a first guess, good near ref. Farther out there is no formula, but a falling function
# can be searched.
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
    print("−log ref, of each reply:", "  ".join(f"{-x:.4f}" for x in _ref.logits))
    outcome("smallest_beta", C=_nats[-1] < _nats[0], B=_nats[-1] - _nats[-2] < 0.01, A=True)

# %% [markdown]
# It levels off where π* always gives the best-paid reply, at −log of what ref gives to it. So a
# larger δ has no β. The docstring has the bound for any rewards. What does it say if all of them
# are equal?
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
    Raises ValueError if target_kl ≤ 0, or beyond −log of ref's mass on the best actions, which
    no optimum's KL reaches (ref gives every action some chance). Raises TypeCheckError if shapes
    or kinds of numbers disagree.
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


# %% check="beta_for_kl" points=8
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

# %% [markdown]
# So β is tuned, or steered. InstructGPT, a model tuned to people's comparisons of its replies, was
# trained with 0.02 ([arXiv 2203.02155](https://arxiv.org/abs/2203.02155)), and DeepSeekMath, by
# GRPO (rewards compared within a group of replies to one question), with 0.04
# ([arXiv 2402.03300](https://arxiv.org/abs/2402.03300)). The two do not compare, as their rewards
# differ in spread. PPO, proximal policy optimisation, has a variant that adapts β to a target KL
# ([arXiv 1707.06347](https://arxiv.org/abs/1707.06347)): your `beta_for_kl`, done by feedback, in
# lesson 05.

# %% [markdown]
# <details><summary>More: a β with a guarantee, where there are many states</summary>
#
# For readers of RL. TRPO, trust region policy optimisation
# ([arXiv 1502.05477](https://arxiv.org/abs/1502.05477)), proves for discounted returns that
#
# $$\text{return}(\pi) \ge \text{return}(\text{old}) + L - C \max_s \mathrm{KL}\bigl(\text{old}
# \,\|\, \pi\bigr)(s) \qquad C = \frac{4 \epsilon \gamma}{(1-\gamma)^2}$$
#
# $L$ is what old's advantages promise, weighted by π in the states that *old* visits; γ is the
# discount, ε the greatest size of such an advantage. Mind the direction, old first, and the worst
# state. With γ = 0.99 and ε = 1, $C = 4 \cdot 0.99 / 0.01^2 = 39{,}600$: a β so large that hardly
# any step is left, which is why it is tuned instead.
#
# </details>

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
# ## 3.7 The two ends of the knob *(2 points, 24 min, medium)*
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
# ### The other direction
#
# At a low β only the best-paid replies are left. Is that because of the *direction*? In lesson 02,
# where a policy was fitted to ref, KL(policy ‖ ref), the "reverse" one, sought a mode and
# KL(ref ‖ policy), the "forward" one, covered all. Now charge
# $\beta\, \mathrm{KL}(\text{ref} \,\|\, \pi)$ instead.
#
# **Predict**: ref gives "flattering" three times as often as "gushing", and both are paid alike.
# Under the forward penalty's optimum at a small β, how do the two stand?
#
# - **A**: three to one, as with the other direction
# - **B**: about one to one, as it covers both
# - **C**: the likelier one alone

# %% predict="tied_forward"
predict("tied_forward", ...)

# %% [markdown]
# Set the Lagrangian's derivative, $r(a) + \beta\, \text{ref}(a)/\pi(a) - \lambda$, to 0. For
# replies that ref gives,
#
# $$\pi_{\text{forward}}(a) = \frac{\beta\, \text{ref}(a)}{\lambda - r(a)}$$
#
# with λ above all of their rewards, and such that the sum is 1.

# %% demo
if ready("optimal_policy"):
    _betas = torch.logspace(1.0, -2.0, 121, dtype=torch.float64)
    _reverse, _forward = (
        torch.stack([best(_four.ref_logits, _four.rewards, beta) for beta in _betas.tolist()])
        for best in (lambda *given: optimal_policy(*given).exp(), forward_optimum)
    )
    _z = _forward.log().requires_grad_(True)
    _cost = kl_divergence(Categorical(logits=_four.ref_logits), Categorical(logits=_z))
    (_slope,) = torch.autograd.grad((_z.softmax(-1) @ _four.rewards - _betas * _cost).sum(), _z)
    assert _slope.abs().max() < 1e-9  # level ground: the formula's policies are optima
    plot_directions(_four, _betas, _reverse, _forward)
    _ties = _forward[-1, 2] / _forward[-1, 3]
    print(f"forward, β = {_betas[-1]:.2f}: {_ties:.4f} times as often")
    outcome("tied_forward", A=abs(_ties - 3) < 1e-6, B=_ties < 1.5, C=_ties > 100)

# %% [markdown]
# Both optima are ref times a factor that depends on the reward alone, so *equal rewards keep
# ref's proportions*, whichever way the KL points. What the direction decides is the family: how
# fast a worse-paid reply fades as β falls, by $e^{r/\beta}$ or by $\beta/(\lambda - r)$. How many
# replies are covered? Count by $e^{\mathrm{H}}$, with H the entropy: n equally likely replies
# count n. **Predict**: as β falls and then the tie is broken, does either direction stay near
# ref's own count?

# %% demo
if ready("optimal_policy"):
    _of_ref = Categorical(logits=_four.ref_logits).entropy().exp()
    print(f"ref itself covers {_of_ref:.2f} replies")
    print("   β   gushing paid   replies covered: reverse   forward")
    for _beta, _extra in ((1.0, 0.0), (0.1, 0.0), (0.01, 0.0), (0.01, 0.1)):
        _paid = _four.rewards + _extra * torch.tensor([0.0, 0, 0, 1])
        _counts = [
            Categorical(probs=best).entropy().exp()
            for best in (
                optimal_policy(_four.ref_logits, _paid, _beta).exp(),
                forward_optimum(_four.ref_logits, _paid, _beta),
            )
        ]
        print(f"{_beta:4}   {_paid[3]:12.1f}   {_counts[0]:24.2f}   {_counts[1]:7.2f}")

# %% [markdown]
# Down the table, by β and the broken tie together, coverage falls from nearly four to about one
# in *both* columns; within a row the columns are about half a reply apart at most. (Rewards ten
# times as large are a β of a tenth, as in 3.5, for either direction.) That is one small problem,
# and from one row to the next the direction may weigh more. That β and the rewards' scale decide
# coverage in general, not "mode-seeking", is argued by
# [arXiv 2510.20817](https://arxiv.org/abs/2510.20817) (2025).

# %% [markdown]
# The other side, [arXiv 2509.07430](https://arxiv.org/abs/2509.07430) (2025), is about training:
# a mass-covering divergence, computed on answers of ref, rehearses them, and better pass@k (the
# chance that one of k answers is right) is reported.
#
# One difference is sharp: the forward KL does not charge for what ref *never* says. Let ref give
# 0.5, 0.3, 0.2 and 0 to replies paid 0, 1, 1.4 and 2, at β = 0.3. λ cannot fall below the
# fourth's reward, 2. If the other three then sum to less than 1, the fourth gets the rest.
# **Predict**: about how much is that, and how much by the other direction?

# %% demo
if ready("optimal_policy"):
    _unseen = torch.tensor([0.5, 0.3, 0.2, 0.0], dtype=torch.float64)
    _paid = torch.tensor([0.0, 1.0, 1.4, 2.0], dtype=torch.float64)
    _by_hand = 1 - 0.3 * (0.5 / (2 - 0) + 0.3 / (2 - 1) + 0.2 / (2 - 1.4))
    _best = forward_optimum(_unseen.log(), _paid, 0.3)
    print(f"KL(ref ‖ policy): {_best[3]:.3f}; the rest at λ = 2, by hand: {_by_hand:.3f}")
    _weights = _unseen * (_paid / 0.3).exp()
    print(f"KL(policy ‖ ref): {_weights[3] / _weights.sum():.3f}")
    assert abs(_best[3] - _by_hand) < 1e-9

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
# ## 3.9 Choose an objective *(1 point, 14 min, easy)*
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
# Everything above was said about ref. For *one* round it holds with old in its place. But the
# next round has another old. Let every round go all the way to the optimum around the policy
# that the last one ended with, at β = 2. **Predict**: where is the policy after ten?
#
# - **A**: as far from ref as one round around ref at β = 2
# - **B**: as far from ref as one round around ref at β = 0.2
# - **C**: in between, as later rounds hardly move it

# %% predict="ten_rounds"
predict("ten_rounds", ...)

# %% demo
if ready("optimal_policy"):
    _ref, _rewards, _around_old = Categorical(logits=_replies.ref_logits), _replies.rewards, {}
    _old = _ref.logits
    for _round in range(1, 51):
        _old = optimal_policy(_old, _rewards, 2.0)
        _around_old[_round] = kl_divergence(Categorical(logits=_old), _ref)
    for _round in (1, 2, 5, 10, 20, 50):
        print(f"{_round:2} rounds around old at β = 2:    {_around_old[_round]:.4f} nats from ref")
    _once = {}
    for _beta in (2.0, 1.0, 0.4, 0.2, 0.1, 0.04):
        _once[_beta] = kl_divergence(
            Categorical(logits=optimal_policy(_ref.logits, _rewards, _beta)), _ref
        )
        print(f"one round around ref at β = {_beta:4}: {_once[_beta]:.4f} nats from ref")
    _ten = _around_old[10]
    outcome("ten_rounds", A=_ten < 1.1 * _once[2.0], B=abs(_ten - _once[0.2]) < 1e-9, C=True)

# %% [markdown]
# Each round multiplies by $e^{r/\beta}$ again, so n rounds at β are one at β/n: *a penalty to old
# bounds each step, and nothing else*. Fifty of them end next to certainty, as training without
# any penalty would have.
#
# Now charge both, 2 per nat from old and 0.5 per nat from ref. The two charges are one, of 2.5
# per nat from a policy whose logits are (2 · old's + 0.5 · ref's) / 2.5, so your
# `optimal_policy` applies. **Predict** where the rounds stop, if they do: nowhere, or at the
# optimum around ref alone for β = 2.5, for 2, or for 0.5?

# %% [markdown]
# <details><summary>Why: two penalties are one, and where their rounds stop</summary>
#
# Charged of each reply is $2\,(\log \pi - \log \text{old}) + 0.5\,(\log \pi - \log
# \text{ref}) = 2.5\,(\log \pi - m)$, with $m = (2 \log \text{old} + 0.5 \log \text{ref}) /
# 2.5$. The optimum is $\log \pi = m + r/2.5 + c$. It stops where π is its own old:
#
# $$\begin{aligned} \log \pi &= \frac{2 \log \pi + 0.5 \log \text{ref} + r}{2.5} + c \\[6pt]
# \log \pi &= \log \text{ref} + \frac{r}{0.5} + 5\,c \end{aligned}$$
#
# That is ref's optimum at β = 0.5, with no old in it. And as old enters with the weight 2/2.5,
# each round leaves 0.8 of the distance in logits.
#
# </details>

# %% demo
if ready("optimal_policy"):
    _old = _ref.logits
    print("round   KL from old   KL from ref   policy")
    for _round in range(1, 51):
        _mean = (2.0 * _old + 0.5 * _ref.logits) / 2.5
        _before, _old = Categorical(logits=_old), optimal_policy(_mean, _rewards, 2.5)
        if _round in (1, 2, 5, 10, 20, 50):
            _now = Categorical(logits=_old)
            _step, _drift = kl_divergence(_now, _before), kl_divergence(_now, _ref)
            _chances = ", ".join(f"{p:.4f}" for p in _now.probs)
            print(f"{_round:5}   {_step:11.1e}   {_drift:11.4f}   {_chances}")
    for _beta in (2.5, 2.0, 0.5):
        _chances = ", ".join(f"{p:.4f}" for p in optimal_policy(_ref.logits, _rewards, _beta).exp())
        print(f"ref's optimum at β = {_beta}:           {_chances}")

# %% [markdown]
# It moves in small steps, *and* it stops: at ref's own optimum for β = 0.5, as if old were not
# there.
#
# *ref bounds the drift, old bounds the step.* Two penalties, two tasks; lesson 05 uses both.
#
# ## 3.10 Seen in the wild *(no points, 5 min)*
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
            _nats = kl_divergence(_policy, _ref)
            _chances = ", ".join(f"{p:.3f}" for p in _policy.probs)
            print(f"step {_step:3}   KL {_nats:.3f}   reward {_earned[-1]:.3f}   {_chances}")
        _z = _z + penalized_gradient(_z, _replies.ref_logits, _replies.rewards, -0.5)
    _rise = torch.stack(_earned).diff()
    outcome("turned_sign", A=_rise[0] < 0, B=(_rise > -0.01).all() and _rise[-1] < 0.01, C=True)

# %% [markdown]
# The reward alone does not tell: it rises, then levels off, as in a healthy run. The divergence
# was not held: the policy ends certain of one reply, at this β not the best-paid one. "helpful"
# rises first, as in 3.2; with the sign turned, what has risen is worth *more* for it, and at
# β = −0.5 "flattering" never catches up. Log both.

# %% [markdown]
# ## What to take along
#
# - $J_\beta$ is expected reward minus β per nat; its gradient moves probability to what is
#   worth more than average.
# - The optimum is ref · exp(r/β), normalised; any policy falls short of it by β·KL(policy ‖
#   π*). What ref never says, it never says.
# - β is a price in reward per nat, to be compared with the rewards' spread; δ is a radius; they
#   are one knob, and a larger β is a *smaller* region.
# - β → ∞ stays at ref; β → 0 keeps ref's proportions among the best-paid actions.
# - ref bounds drift, old bounds the step: n rounds around old at β are one around ref at β/n.

# %% demo
progress("03_penalized_objective")
predictions("03_penalized_objective")

# %% [markdown]
# Next: **04 · Penalty gradients**. Here the divergence was summed over all actions. With drawn
# tokens only, which number may you differentiate? Some of the obvious ones push the wrong way.
