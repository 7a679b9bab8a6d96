# %% [markdown]
# # 01 · Policy updates: from a reward to a step, and why a large one breaks
#
# After this lesson you can
#
# - score the tokens of a response with a language model's logits;
# - write the surrogate objective J that a policy update climbs, and show that at the old policy
#   its slope is the slope of the true return;
# - show why climbing J too far makes the return fall, and say what J leaves out;
# - say what a penalty −β·D does about it, and what D should compare.
#
# About 65 minutes. It needs lesson 00, softmax, and gradients in PyTorch.

# %% setup
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped
from helpers.plots.policy_updates import (
    plot_penalties,
    plot_policies,
    plot_praise,
    plot_same_step,
    plot_seeds,
    plot_step_sizes,
    plot_token_log_probs,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.policy_updates import (
    LIKED,
    WORDS,
    divergence_from_old,
    draw_responses,
    every_response,
    exact_advantage,
    expectation_weight,
    gradient_at,
    old_table,
    praise_distribution,
    return_of_best_words,
    true_return,
)

# %% [markdown]
# ## 1.1 A language model of four words *(3 min)*
#
# Here everything can be computed exactly. The words are, in this order, the sign ".", "the",
# "film" and "great"; the sign starts a response and ends it, and after 8 words one is cut off.
# The **policy** looks at the word before alone, so its parameters are a table of 4 × 4 logits: a
# row for the word before, a column for the next word.
#
# A reader gives 1 point for each of the first three "great" and takes 3 for every further one.
# The **return** of a policy is the mean score of what it writes. **Old** is where we start.

# %% demo
_old = old_table()  # in float64 on the CPU: small, and equations can be checked to ten digits
_every = every_response()
plot_policies({"Old: probability of the next word": _old}, WORDS)

for _index in (2, 1000, 1092, 9840):
    print(f"{_every.score[_index]:+4.0f} points for: {_every.text(_index)}")
print(f"{len(_every.tokens):,} responses are possible; old's return is {true_return(_old):.3f}")

# %% [markdown]
# **Predict**: which column of this table will training raise, and is that right in every row?
# You will see in 1.6.

# %% [markdown]
# ## 1.2 The log-probability of each token *(7 points, 12 min, medium)*
#
# A language model reads from left to right. Having read the tokens up to t, its logits at t
# score the *next* token; τ is the temperature at which tokens are drawn:
#
# $$\log \pi(y_{t+1} \mid y_{\le t})
# = \log \mathrm{softmax}(\text{logits}_t / \tau) \, [y_{t+1}]$$
#
# So the first token has no score, and the last logits score nothing.

# %% demo
_response = _every.tokens[1000]
for _place in range(3):
    _read, _scored = (WORDS[token] for token in _response[_place : _place + 2])
    print(f"logits[{_place}] have just read {_read!r} and score tokens[{_place + 1}], {_scored!r}")

# %% [markdown]
# Two things go wrong in practice. A score without the temperature belongs to another policy
# than the one that drew the tokens; it happened in
# [OpenRLHF #853](https://github.com/OpenRLHF/OpenRLHF/pull/853). And a probability can be too
# small for a float, while its logarithm is an ordinary number.
#
# **Predict**: logits (1000, −1000), and the second token was drawn. What is its
# log-probability, and what does computing softmax first make of it? Then write the function. A
# loop over the places works, but it is slow. Stuck? Add a cell: `hint("token_log_probs")`.


# %% exercise="token_log_probs"
@shaped
def token_log_probs(
    logits: Float[Tensor, "batch time vocab"],
    tokens: Int[Tensor, "batch time"],
    temperature: float = 1.0,
) -> Float[Tensor, "batch time-1"]:
    """Log-probability of each token after the first, given those before it.

    logits: `logits[:, t] / temperature` scores `tokens[:, t + 1]`; the last ones score nothing.
    temperature: what the tokens were drawn with; above 1 the policy is flatter.
    Returns nats; a sequence of one token gives an empty row. Right for logits of ±1000.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3: log π(y | x) is a sum of these.
    Example: logits (log 3, 0), next token 0: log 3/4; at temperature 1/2: log 9/10.
    """
    ### BEGIN SOLUTION
    scaled = logits[:, :-1] / temperature
    drawn = scaled.gather(-1, tokens[:, 1:, None]).squeeze(-1)  # batch time-1
    return drawn - scaled.logsumexp(dim=-1)
    ### END SOLUTION


# %% check="token_log_probs" points=7
check("token_log_probs", token_log_probs)

# %% [markdown]
# First the prediction: *your* score of the second token, and what softmax makes of it.

# %% demo
if ready("token_log_probs"):
    _far = torch.tensor([[[1000.0, -1000.0]] * 2])
    print("your score:   ", token_log_probs(_far, torch.tensor([[0, 1]])).item(), "nats")
    print("softmax first:", _far.softmax(-1).log()[0, 0, 1].item(), "as it rounds to 0")

# %% [markdown]
# Your scores of one response, word by word. **Predict**: a higher temperature flattens the
# policy. Does it make each of these words more probable?

# %% demo
if ready("token_log_probs"):
    _logits, _real = _old[_every.tokens], _every.mask[1000]
    _by_temperature = {
        temperature: token_log_probs(_logits, _every.tokens, temperature)[1000][_real]
        for temperature in (0.5, 1.0, 2.0)
    }
    plot_token_log_probs(_every.text(1000).split(), _by_temperature)

# %% [markdown]
# Each "film" loses a little, less than 0.1 nat a time, and all other words gain. A word loses
# where its logit is above the mean of the logits, as the policy weighs them.
#
# A response's log-probability is the sum over its words. If your scores are right, the
# probabilities of all responses sum to 1, and weighting every score with them gives the return,
# which `true_return` computes in another way, without a single log-probability.

# %% demo
if ready("token_log_probs"):
    _logp = token_log_probs(_old[_every.tokens], _every.tokens)
    _probability = _logp.masked_fill(~_every.mask, 0.0).sum(-1).exp()
    _mean_score = _probability @ _every.score
    print(f"sum of all probabilities: {_probability.sum():.12f}")
    print(f"mean score {_mean_score:.12f}, true return {true_return(_old):.12f}")
    assert torch.isclose(_probability.sum(), torch.tensor(1.0, dtype=torch.float64))
    assert torch.isclose(_mean_score, true_return(_old))

# %% [markdown]
# **Takeaway**: logits at t score token t + 1, divided by the temperature first, and logarithms
# are taken without leaving log space.
#
# ## 1.3 A mean over real tokens *(6 points, 8 min, easy)*
#
# Responses have unequal lengths, a tensor is a rectangle: the rest of a row is padding, and
# `mask` is True on real tokens. Every real token of the batch counts the same here, so one sum
# is divided by one count. **Predict**: one row holds 1, 1, 1, another a single 9. What is the
# mean over tokens, and what is the mean of the two rows' means?

# %% demo
print("0 · inf =", 0.0 * torch.tensor(torch.inf))

# %% [markdown]
# So multiplying by the mask does not remove padding. Training code in use had this defect:
# [prime-rl #2084](https://github.com/PrimeIntellect-ai/prime-rl/pull/2084),
# [ms-swift #9767](https://github.com/modelscope/ms-swift/pull/9767). Whatever stands where
# `mask` is False must reach neither the value nor the gradient. And a batch with no real token
# at all has mean 0 here, not 0/0.


# %% exercise="masked_mean"
@shaped
def masked_mean(
    x: Float[Tensor, "batch time"], mask: Bool[Tensor, "batch time"]
) -> Float[Tensor, ""]:
    """Mean over the real tokens of the whole batch, each of them counting the same.

    mask: True where the token counts; what stands elsewhere, inf and nan too, is never read.
    Returns 0 when no token counts.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: https://github.com/PrimeIntellect-ai/prime-rl/pull/2084, on masks that multiply.
    Example: x = [[1, 2], [6, nan]], mask = [[True, True], [True, False]]: (1 + 2 + 6) / 3 = 3.
    """
    ### BEGIN SOLUTION
    return torch.where(mask, x, 0.0).sum() / mask.sum().clamp(min=1)
    ### END SOLUTION


# %% check="masked_mean" points=6
check("masked_mean", masked_mean)

# %% demo
if ready("masked_mean"):
    _x = torch.tensor([[1.0, 1.0, 1.0], [9.0, torch.nan, torch.inf]])
    _mask = torch.tensor([[True, True, True], [True, False, False]])
    _of_each_row = torch.stack([masked_mean(_x[[row]], _mask[[row]]) for row in range(2)])
    print(f"mean over tokens {masked_mean(_x, _mask)}, of the rows' means {_of_each_row.mean()}")

# %% [markdown]
# **Takeaway**: both are means, and they weigh differently: in the second, the one token of the
# short row counts as much as the three of the long one together.
#
# ## 1.4 How much likelier than before *(4 points, 6 min, easy)*
#
# The data were drawn by old. What would another policy make of them? Weigh each draw by how
# much likelier that policy makes it:
#
# $$\mathbb{E}_{y \sim \text{old}} \Big[ \frac{\text{policy}(y)}{\text{old}(y)} \, f(y) \Big]
# = \mathbb{E}_{y \sim \text{policy}} \, [f(y)]$$
#
# The weight is the **importance ratio**. You have both sides as log-probabilities.

# %% [markdown]
# **Predict**: can the ratio be above 1 for all four words that may come next? What is its mean
# over old's draws?
#
# Old is finished: it drew the data and does not move. No gradient may reach `old_logp`, even if
# the tensor asks for one. And log-probabilities of −120 are ordinary, while exp(−120) is 0 in
# float32.


# %% exercise="importance_ratio"
@shaped
def importance_ratio(
    logp: Float[Tensor, "batch time"], old_logp: Float[Tensor, "batch time"]
) -> Float[Tensor, "batch time"]:
    """How many times likelier the policy makes each token than old did.

    logp: log-probability of the token under the policy, in nats.
    old_logp: under the policy that drew it; a constant.
    Returns policy / old, per token: 1 where nothing has changed.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: PPO (arXiv 1707.06347), r_t(θ).
    Example: from 1/4 to 1/2: a ratio of 2, and its gradient with respect to logp is 2 too.
    """
    ### BEGIN SOLUTION
    return (logp - old_logp.detach()).exp()
    ### END SOLUTION


# %% check="importance_ratio" points=4
check("importance_ratio", importance_ratio)

# %% [markdown]
# Both sides of the equation, for each of the four words that may stand before, with some other
# policy and some number f for each word:

# %% demo
if ready("importance_ratio"):
    _generator = torch.Generator().manual_seed(0)
    _other = _old + torch.randn(4, 4, generator=_generator, dtype=torch.float64)
    _f = torch.tensor([0.0, 1.0, -2.0, 5.0], dtype=torch.float64)
    _ratio = importance_ratio(_other.log_softmax(-1), _old.log_softmax(-1))
    _reweighted = (_old.softmax(-1) * _ratio * _f).sum(-1)
    _directly = (_other.softmax(-1) * _f).sum(-1)
    print("old's words, reweighted:", _reweighted.numpy().round(6))
    print("the other's own words:  ", _directly.numpy().round(6))
    print("the ratio's mean:       ", (_old.softmax(-1) * _ratio).sum(-1).numpy().round(6))
    assert torch.allclose(_reweighted, _directly)

# %% [markdown]
# The ratio's mean is 1, which is the equation for f = 1: where one word becomes likelier,
# another becomes less likely. And before any update each ratio is 1. Where it is not, something
# is wrong: in [trl #454](https://github.com/huggingface/trl/issues/454) and
# [trl #3234](https://github.com/huggingface/trl/pull/3234) dropout was on.
#
# **Takeaway**: data of one policy can speak for another. How well is the question of this
# lesson.

# %% [markdown]
# ## 1.5 The surrogate objective *(7 points, 12 min, medium)*
#
# The **advantage** $A$ of a token says how much better the score became with it than old could
# expect just before. A good policy makes tokens of positive advantage likelier:
#
# $$J(\theta) = \text{mean over real tokens of} \quad
# \frac{\pi_\theta(y_t \mid y_{<t})}{\pi_{\text{old}}(y_t \mid y_{<t})} \; A_t$$
#
# J is a stand-in for the return, computed from old's data: hence *surrogate*. It is maximised.

# %% [markdown]
# The advantage was measured on the data, so it is a constant, as old is.
#
# `masked_mean` keeps padding out of the value. **Predict**: does it keep padding out of the
# gradient of what was computed before it?

# %% demo
_x = torch.tensor([0.0, torch.inf], requires_grad=True)  # the second one is padding
_kept = torch.where(torch.tensor([True, False]), _x.exp(), 0.0)
_kept.sum().backward()
print("value", _kept.sum().item(), " gradient", _x.grad.tolist())

# %% [markdown]
# The value is clean and the gradient is not: going back through exp multiplies the 0 from the
# mask by exp(inf). So padding must be gone from `logp`, whose gradient counts, *before* the
# arithmetic. Cleaning all three inputs there is the safe habit: no later step can then meet an
# inf, whichever of them had it.


# %% exercise="surrogate_objective"
@shaped
def surrogate_objective(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
) -> Float[Tensor, ""]:
    """What the old policy's data promise of the new one: J, to be maximised.

    logp: log-probability of each token under the policy, in nats; it alone is varied.
    old_logp: under the policy that drew the tokens; a constant.
    advantage: how much better the token was than old does on average; a constant.
    mask: True on real tokens; what stands elsewhere reaches neither value nor gradient.
    Returns the mean over all real tokens of ratio × advantage; 0 when there are none.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: TRPO (arXiv 1502.05477); PPO (arXiv 1707.06347), there L^CPI.
    Example: ratios 2 and 1/2, advantages 1 and −2: (2·1 + ½·(−2)) / 2 = 1/2.
    """
    ### BEGIN SOLUTION
    logp, old_logp, advantage = (
        torch.where(mask, values, 0.0) for values in (logp, old_logp, advantage)
    )
    return masked_mean(importance_ratio(logp, old_logp) * advantage.detach(), mask)
    ### END SOLUTION


# %% check="surrogate_objective" points=7
check("surrogate_objective", surrogate_objective)

# %% [markdown]
# Now J for infinitely many data: take all 9,841 responses once, and put old's probability of
# each into its advantages, scaled so that J comes out in points per response. The advantages
# are exact too.
#
# **Predict**: J is made of old's data only, the return of what a policy writes itself. How near
# are their gradients, at old?

# %% demo
_weighted_advantage = expectation_weight(_old, _every) * exact_advantage(_old, _every)

if ready("token_log_probs", "surrogate_objective", gradient=True):
    _old_logp = token_log_probs(_old[_every.tokens], _every.tokens)

    def _surrogate(table):
        logp = token_log_probs(table[_every.tokens], _every.tokens)
        return surrogate_objective(logp, _old_logp, _weighted_advantage, _every.mask)

    _slope, _true_slope = gradient_at(_old, _surrogate), gradient_at(_old, true_return)
    print(f"length of the gradient {_slope.norm():.6f}")
    print(f"largest difference from the return's {(_slope - _true_slope).abs().max():.1e}")
    assert torch.allclose(_slope, _true_slope, atol=1e-10)

# %% [markdown]
# **Takeaway**: at the old policy, the gradient of J *is* the policy gradient, so the first
# small step goes the right way. And with exact advantages J is 0 there. So J promises a return,
# to first order:
#
# $$\text{return}(\theta) = \text{return}(\theta_{\text{old}}) + J(\theta)
# + O(\lVert \theta - \theta_{\text{old}} \rVert^2)$$
#
# The next cell computes both sides along the gradient, for shorter and shorter steps (a step's
# length is counted in logits). If the equation holds, the last column stays bounded.

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _up = _slope / _slope.norm()
    print("step     return gained         J    gap / step²")
    for _step in (1.0, 0.1, 0.01, 0.001):
        _gained = true_return(_old + _step * _up) - true_return(_old)
        _promise = _surrogate(_old + _step * _up)
        _gap = _promise - _gained
        print(f"{_step:5.3f} {_gained:16.8f} {_promise:12.8f} {_gap / _step**2:10.4f}")
        assert abs(_gap) < 0.05 * _step**2

# %% [markdown]
# Your functions run unchanged where the large models are:

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _device, _generator = pick_device(), torch.Generator().manual_seed(0)
    _logits = torch.randn(2, 5, 7, generator=_generator)
    _tokens = torch.randint(7, (2, 5), generator=_generator)
    _values = []
    for _place in (_device, torch.device("cpu")):
        _logp = token_log_probs(_logits.to(_place), _tokens.to(_place))
        _mask = torch.ones_like(_logp, dtype=torch.bool)
        _values.append(surrogate_objective(_logp, _logp, _logp.cos(), _mask).item())
    print(f"J on {_device}: {_values[0]:.6f}, on cpu: {_values[1]:.6f}")
    assert abs(_values[0] - _values[1]) < 1e-4

# %% [markdown]
# ## 1.6 One update, larger and larger *(5 min)*
#
# The direction is settled: the gradient of J at old. How far to go is not. **Predict**, and
# sketch: as the step grows from 0.1 to 100, what does J do? What does the return do? Of the
# return, choose:
#
# - **A**: it rises all the way, as J does
# - **B**: it rises, then stays where it is
# - **C**: it rises, then falls below where it began

# %% predict="collapse"
predict("collapse", ...)

# %% demo
_steps = torch.logspace(-1, 2, 31, dtype=torch.float64)

if ready("token_log_probs", "surrogate_objective", gradient=True):
    _policies = _old + _steps[:, None, None] * _up
    _promises = torch.stack([_surrogate(table) for table in _policies])
    assert (_promises.diff() > 0).all()
    _returns = true_return(_policies)
    _before = true_return(_old).item()
    plot_step_sizes(_steps, _before + _promises, _returns, _before)
    for _step in (2, 10, 100, 10_000):
        _far = _old + _step * _up
        print(f"step {_step:6}: J {_surrogate(_far):.4f}, return {true_return(_far):8.4f}")
    outcome("collapse", A=(_returns.diff() > 0).all(), C=_returns[-1] < _before, B=True)

# %% [markdown]
# No data were missing here and no advantage was off. J rises ever more slowly, towards 2.64, but
# it never turns: an optimiser that looks at J alone sees no reason to stop. The return turns at
# a step of 2 and goes down to −12. What does the policy write?

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _best = _steps[_returns.argmax()].item()
    _chosen = {"Old": _old, f"Step {_best:.1f}": _old + _best * _up, "Step 100": _old + 100 * _up}
    plot_policies(_chosen, WORDS)
    for _name, _table in _chosen.items():
        _written = draw_responses(_table, 3, torch.Generator().manual_seed(3))
        print(f"{_name:8}:", "  |  ".join(_written.text(index) for index in range(3)))

# %% [markdown]
# It is the last column that grew, after every word at once. That was right for the responses of
# old, where praise was rare; a policy that looks at one word cannot count the praise before it.
#
# **Takeaway**: the surrogate never turns, the return does, long before.

# %% [markdown]
# ## 1.7 Twenty batches of data *(4 min)*
#
# Practice has a few drawn responses and no exact advantages. A common estimate gives each word
# of a response the same one: the response's score less the batch's mean score.
#
# We draw 128 responses from old, step along the gradient of their J, and look at the exact
# return; then all of it again with fresh data, twenty times. **Predict**: does noise blur the
# fall, hide it, or move it? How many of the twenty policies end below old, at a step of 100?
#
# - **A**: 5 or fewer
# - **B**: 6 to 14
# - **C**: 15 or more

# %% predict="twenty_batches"
predict("twenty_batches", ...)


# %% demo
def _one_update(seed):
    """J and the true return along the gradient of J, for one batch of drawn responses."""
    tokens, mask, score = draw_responses(_old, 128, torch.Generator().manual_seed(seed))
    old_logp = token_log_probs(_old[tokens], tokens)
    advantage = (score - score.mean())[:, None].expand_as(old_logp)

    def surrogate(table):
        return surrogate_objective(
            token_log_probs(table[tokens], tokens), old_logp, advantage, mask
        )

    up = gradient_at(_old, surrogate)
    policies = _old + _steps[:, None, None] * up / up.norm()
    return torch.stack([surrogate(table) for table in policies]), true_return(policies)


# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _curves = [_one_update(seed) for seed in range(20)]
    _surrogates, _seed_returns = (torch.stack(kind) for kind in zip(*_curves, strict=True))
    plot_seeds(_steps, _surrogates, _seed_returns, _before)
    _worse = (_seed_returns[:, -1] < _before).sum()
    outcome("twenty_batches", A=_worse <= 5, B=5 < _worse < 15, C=_worse >= 15)

# %% [markdown]
# Every batch first improves the policy, and 18 of 20 then make it worse than it was. The fall
# begins at steps of 1.6 to 3.2; where it ends differs more. The curves that come back to 0
# write "great" as every second word: four times, 3 − 3 points. More data would not mend it: the
# J of 1.6, with infinitely many data, takes the same way down.
#
# **Takeaway**: J tells the direction, not the distance.

# %% [markdown]
# Why does J start near 0.2 here, not at 0? These advantages sum to 0 over responses, and J is a
# mean over words: responses with a high score are longer and count more. (So this J is in
# points per word, that of 1.6 in points per response.)

# %% [markdown]
# ## 1.8 What J leaves out *(4 min)*
#
# Call the ratio of the word at t $r_t$. J reweighs each word with it, but not the words before,
# its **prefix**: those stay as old wrote them. Put their ratios $r_s$ in as well, and the
# equation is exact, for steps of any size:
#
# $$\text{return}(\theta) - \text{return}(\theta_{\text{old}})
# = \mathbb{E}_{\text{old}} \Big[ \sum_t \Big( \prod_{s \le t} r_s \Big) A_t \Big]$$
#
# J has $r_t$ in place of the product. **Predict**: so when is J nearly right?

# %% demo
if ready(
    "token_log_probs", "importance_ratio", "masked_mean", "surrogate_objective", gradient=True
):
    print("step  gained by the return  with the product           J  largest r  largest product")
    for _step in (0.1, 1.0, _best, 10.0):
        _table = _old + _step * _up
        _ratio = importance_ratio(token_log_probs(_table[_every.tokens], _every.tokens), _old_logp)
        _product = _ratio.cumprod(dim=-1)
        _gained = true_return(_table) - true_return(_old)
        _exact = masked_mean(_product * _weighted_advantage, _every.mask)
        print(f"{_step:4.1f} {_gained:21.8f} {_exact:17.8f} {_surrogate(_table):11.8f}", end="")
        print(f"{_ratio[_every.mask].max():11.1f} {_product[_every.mask].max():16.1f}")
        assert torch.isclose(_gained, _exact)

# %% [markdown]
# J is nearly right while all ratios are near 1: while the policy still writes what old wrote.
# The product would be exact, but a few responses get all the weight, more so the longer they
# are; that is why one keeps J and stays near. Far away, the policy meets prefixes that the data
# hardly contain:

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _written = {name.lower(): praise_distribution(table) for name, table in _chosen.items()}
    plot_praise(_written, LIKED)

# %% [markdown]
# Must a large step end like this? **Predict**: give the policy logits of its own for every
# prefix, so that it can count, and let it go all the way, to the word of the greatest exact
# advantage in each. What is its return?
#
# - **A**: below old's, as before
# - **B**: within 0.1 of old's
# - **C**: above old's

# %% predict="own_logits"
predict("own_logits", ...)

# %% demo
print(f"old:                                     {true_return(_old):.3f}")
print(f"own logits for every prefix, all the way: {return_of_best_words(_old):.3f}")
_gain = return_of_best_words(_old) - true_return(_old)
outcome("own_logits", A=_gain < -0.1, B=abs(_gain) <= 0.1, C=_gain > 0.1)

# %% [markdown]
# No fall. A fall takes parameters that serve many prefixes at once, as the 16 here do and as
# those of a language model do: what is right where the data are is then done elsewhere too.
#
# **Takeaway**: J holds while the ratios are near 1. Beyond that nobody has looked.

# %% [markdown]
# ## 1.9 Charging for the distance *(1 point, 6 min, medium)*
#
# So let moving cost something:
#
# $$J_{\text{new}}(\theta) = J(\theta) - \beta \cdot D(\pi_\theta, \pi_{\text{old}}),
# \qquad \beta > 0$$
#
# D, in the book D(θ, θ_old), is 0 at old and grows as the policy moves away. Here it is a
# divergence between the distributions of old and policy; lesson 02 builds it. **Predict**: how
# does the curve of J over the step change as β grows? Then see which step each β prefers, and
# what that step is worth.

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _divergence = divergence_from_old(_old, _policies)
    _objectives = {beta: _promises - beta * _divergence for beta in (0.0, 0.1, 0.5, 2.0)}
    plot_penalties(_steps, _objectives, _returns, _before)

# %% [markdown]
# Near old, D is flat and J is not: a small step still pays. Far out D outgrows J. But a peak is
# no rescue by itself: β = 0.1 has one too, at a step of 6.3, and lands at −0.03, below old's
# 0.72. Too small a penalty comes too late, and a large one (β = 2) gives gain away. These β were
# picked by eye, for this one problem; how to choose β is the matter of lessons 03 and 05.

# %% [markdown]
# **Question.** An engineer used to maximise J(θ) and now maximises J(θ) − β·D(π_θ, π_old).
# π_old is the policy of the iteration before. What does the new term mainly do to training?
#
# - **A**: It corrects the advantages, so that J estimates the return better.
# - **B**: It charges for leaving the old policy, so that updates stay where J can be trusted.
# - **C**: It holds the policy at the old one, so that the return can no longer fall.
# - **D**: It pays for leaving the old policy, so that new responses are explored.

# %% quiz="q01_penalty_role"
q01_penalty_role = "B"

# %% check="q01_penalty_role" points=1
check("q01_penalty_role", q01_penalty_role)

# %% [markdown]
# ## 1.10 A distance between what? *(1 point, 5 min, medium)*
#
# The simplest D would be the squared length of θ − θ_old, the step in the parameters. Take a
# policy with two words and one logit each, and steps of length 1.
#
# **Predict**: from which start does such a step change the probability of the first word most?
# Is there a direction in which it changes nothing?

# %% demo
_start = torch.linspace(-8, 8, 161)  # logit of the first word; the second word's is 0
_moved = (_start + 1).sigmoid() - _start.sigmoid()

_unit_steps = {
    "both logits up": torch.tensor([0.5**0.5, 0.5**0.5]),
    "first logit up": torch.tensor([1.0, 0.0]),
    "first up, second down": torch.tensor([0.5**0.5, -(0.5**0.5)]),
    "first weight up,\nlogit = 10 · weight": torch.tensor([10.0, 0.0]),
}
_changes = {name: (step.softmax(0)[0] - 0.5).item() for name, step in _unit_steps.items()}
plot_same_step(_start, _moved, _changes)

# %% [markdown]
# From −0.5, across the middle, the step moves the probability most, by 0.24; far out it moves
# it by less than 0.001. With both logits up by the same, nothing changes. In the last bar the
# policy has one parameter more in between: the logit is ten times a weight, and it is the
# weight that moves by 1.

# %% [markdown]
# **Question.** Why should D compare the distributions, rather than the parameters?
#
# - **A**: Subtracting millions of parameters at each step would cost too much.
# - **B**: A distance between parameters cannot be differentiated.
# - **C**: A distance between distributions is the smaller number, so it does less harm.
# - **D**: One distance in parameters can leave the policy as it was or change it beyond
#   recognition.

# %% quiz="q01_parameter_or_policy"
q01_parameter_or_policy = "D"

# %% check="q01_parameter_or_policy" points=1
check("q01_parameter_or_policy", q01_parameter_or_policy)

# %% [markdown]
# ## What to take along
#
# - Logits at t score token t + 1; means run over all real tokens; padding goes before the
#   arithmetic.
# - J, the mean of ratio × advantage, has at old the true return's gradient. It is a promise to
#   first order.
# - Far from old the promise keeps rising while the return falls: J leaves out that the earlier
#   words change too, and neither exact advantages nor more data put that back.
# - A penalty −β·D(π_θ, π_old) gives the objective a peak, and β decides whether it comes in
#   time; D should compare distributions.
#
# Next is **02_divergence**: how to measure how far a policy moved.

# %% demo
progress("01_policy_updates")
predictions("01_policy_updates")
