# %% [markdown]
# # 01 · Policy updates: from a reward to a step, and why a large one breaks
#
# After this lesson you can
#
# - score the tokens of a response with a language model's logits;
# - write the surrogate objective J that a policy update climbs, and derive what its gradient
#   at the old policy has to do with the return's;
# - show what a large step along it does to the return, and say what J leaves out;
# - write J − β·D, choose a β for it, and say what D should compare.
#
# About 136 minutes; after 1.5 is a good place for a break. It needs lesson 00, softmax, and
# gradients in PyTorch. A line "Why: …" opens a derivation of a few lines.

# %% setup
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped, written
from helpers.plots.policy_updates import (
    plot_penalties,
    plot_policies,
    plot_same_step,
    plot_seeds,
    plot_step_sizes,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.policy_updates import (
    GREAT,
    WORDS,
    agrees,
    best_response,
    divergence_from_old,
    draw_responses,
    every_response,
    exact_advantage,
    expectation_weight,
    expected_scores,
    gradient_at,
    old_table,
    praise_distribution,
    response_chances,
    return_of_best_words,
    true_return,
    weight_of_penalty,
)

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## 1.1 A language model of four words *(5 min)*
#
# Here everything can be computed exactly. The words are, in this order, the sign ".", "the",
# "film" and "great". The sign starts a response and ends it; one of 8 words is cut off there. So
# a row of `tokens` has 9 places, the first of them the sign, and one of `mask` has 8. The
# **policy** looks at the word before alone, so its parameters are a table of 4 × 4 logits: a row
# for the word before, a column for the next word.
#
# A reader gives 1 point for each of the first three "great" and takes 3 for every further one.
# The **return** of a policy is the mean score of what it writes. **Old** is where we start.

# %% demo
_old = old_table()  # float64 on the CPU: equations can be checked to ten digits
_every = every_response()
plot_policies({"Old: probability of the next word": _old}, WORDS)

for _index in (2, 1000, 1092, 9840):
    print(f"{_every.score[_index]:+4.0f} points for: {_every.text(_index)}")
print(f"possible: {len(_every.tokens):,} responses; old's return is {true_return(_old):.3f}")

# %% [markdown]
# **Predict**: which column of this table will training raise, and is that right in every row?
# Write it down: 1.6 shows the gradient, and 1.7 where it leads.

# %% [markdown]
# ## 1.2 The log-probability of each token *(7 points, 16 min, medium)*
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
    print(f"logits[{_place}] have just read {_read!r} ", end="")
    print(f"and score tokens[{_place + 1}], {_scored!r}")

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
# ## 1.3 A mean over real tokens *(6 points, 10 min, easy)*
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
    print(f"mean over tokens {masked_mean(_x, _mask)}, ", end="")
    print(f"of the rows' means {_of_each_row.mean()}")

# %% [markdown]
# **Takeaway**: both are means, and they weigh differently: in the second, the one token of the
# short row counts as much as the three of the long one together. Trainers offer both. In TRL's
# [`GRPOConfig`](https://github.com/huggingface/trl/blob/006d32c9bf5da698815726ebd0de78b404e8163d/trl/trainer/grpo_config.py)
# (2026) `loss_type="grpo"` takes the mean of each row first, and the default, `"dapo"`, divides
# by the number of all tokens, as you do.

# %% [markdown]
# ## 1.4 How much likelier than before *(4 points, 11 min, easy)*
#
# The data were drawn by old. What would another policy make of them? Weigh each draw by how
# much likelier that policy makes it:
#
# $$\sum_y \text{old}(y) \, \frac{\text{policy}(y)}{\text{old}(y)} \, f(y)
# = \sum_y \text{policy}(y) \, f(y)$$
#
# old(y) cancels wherever it is above 0; what old never draws, no weight can bring back. The
# weight is the **importance ratio**. You have both policies as log-probabilities.

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

# %% [markdown]
# Updates go along gradients. The ratio is an exp, so its gradient is the ratio itself times that
# of log π, as the example in the docstring has it; at old the ratio is 1, and what is left is
# ∇ log π.
#
# **Takeaway**: data of one policy can speak for another, and at old the ratio's gradient is
# that of the log-probability. How far the data can speak is the question of this lesson.

# %% [markdown]
# ## 1.5 The advantage of a word *(11 min)*
#
# Old has written some words and will write the rest; the score to expect changes with each
# word. The **advantage** of a word is by how much, the expectations being old's:
#
# $$A_t = \mathbb{E}[\text{score} \mid y_{\le t}] - \mathbb{E}[\text{score} \mid y_{<t}]$$
#
# `expected_scores` finds the expectations by enumeration: the mean of the score over all
# responses that begin alike, each weighted by old's probability of it.

# %% demo
_chance = response_chances(_old, _every)  # old's probability of each of the 9,841 responses
_expected = expected_scores(_chance, _every)
for _words, _value in enumerate(_expected[1000, :8].tolist()):
    _begin = " ".join(_every.text(1000).split()[:_words]) or "(nothing yet)"
    print(f"{_value:7.3f} points are to be expected after: {_begin}")

# %% [markdown]
# **Predict**: which word of this response has the largest advantage? And what do all its
# advantages add up to?
#
# Now write the advantages of every word of every response, in one line with no loop.
# `_expected[:, t]` is what to expect after t words, and t goes from 0 to 8.

# %% demo
_advantage = ...

# %% demo
if written(_advantage):
    if agrees(_advantage, exact_advantage(_old, _every)):
        for _word, _value in zip(_every.text(1000).split(), _advantage[1000], strict=False):
            print(f"{_value:+7.3f}  {_word}")
        print("Right: they agree with exact_advantage, which is found without enumeration.")
    elif agrees(_advantage, -exact_advantage(_old, _every)):
        print("Not yet: the sign is turned. What raised the expectation has A above 0.")
    else:
        print(f"Not yet: from {list(_expected.shape)} comes {[*_every.mask.shape]}: each")
        print("entry is the expectation after a word, less that after the word before.")

# %% [markdown]
# Two things follow from the definition. Before a word is drawn, its advantage is 0 on average:
# the expectation before is the mean of the expectations after. And along a response all
# expectations in between cancel, so the advantages add up to its score less old's return.

# %% demo
_exact = exact_advantage(_old, _every)
_after_the = (_every.tokens[:, 1] == 1) & _every.mask[:, 1]
_mean = (_chance * _exact[:, 1])[_after_the].sum() / _chance[_after_the].sum()
print(f'mean advantage of the word after a first "the": {_mean:.1e}')
_left = _exact.sum(-1) - (_every.score - true_return(_old))
print(f"sum of advantages less (score less return), largest: {_left.abs().max():.1e}")
assert torch.stack([_mean, _left.abs().max()]).abs().max() < 1e-12

# %% [markdown]
# ## 1.6 The surrogate objective *(7 points, 28 min, medium)*
#
# A good policy makes words of positive advantage likelier. So take, as what an update climbs,
#
# $$J(\theta) = \text{mean over real tokens of} \quad
# \frac{\pi_\theta(y_t \mid y_{<t})}{\pi_{\text{old}}(y_t \mid y_{<t})} \; A_t$$
#
# J is a stand-in for the return, computed from old's data: hence *surrogate*. It is maximised.
# The advantage belongs to old, so it is a constant, as old is.

# %% [markdown]
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
# Your J is a mean per *word*; the return is one per *response*. Many responses of old hold, in
# all, their number times the mean length in words. So, with $r_t$ for the ratio at t,
#
# $$J \text{ per word} \times \text{mean length} \; \to \;
# \mathbb{E}_{\text{old}} \Big[ \sum_t r_t A_t \Big]$$
#
# The right side is J per **response**, in points, and *J* means that one from here on. (A
# learning rate makes up for such a factor. A β that weighs J against a D, as in 1.9, does not.)

# %% [markdown]
# To have it for infinitely many data, take all 9,841 responses once. `_weight` multiplies the
# advantage: it is old(y) times the number N of real words in all 9,841 responses. Your function
# divides by N, so N cancels, and the expectation is left.
#
# **Predict**: this J is made of old's data only, the return of what a policy writes itself. How
# near are their gradients, at old?

# %% demo
_weight = expectation_weight(_old, _every)

if ready("token_log_probs", "surrogate_objective", gradient=True):
    _old_logp = token_log_probs(_old[_every.tokens], _every.tokens)

    def _surrogate(table, values=_weight * _exact):
        logp = token_log_probs(table[_every.tokens], _every.tokens)
        return surrogate_objective(logp, _old_logp, values, _every.mask)

    _scores = (_weight * _every.score[:, None]).expand_as(_exact)  # S in place of A
    _slope, _true_slope = gradient_at(_old, _surrogate), gradient_at(_old, true_return)
    _slope_of_scores = gradient_at(_old, lambda table: _surrogate(table, _scores))
    _gap = (_slope - _true_slope).abs().max()
    print(f"gradients of J and of the return, largest difference: {_gap:.0e}")
    _gap = (_slope_of_scores - _slope).abs().max()
    print(f"with the score in place of A, from J's: {_gap:.0e}")
    assert torch.allclose(_slope, _true_slope, atol=1e-10)
    assert torch.allclose(_slope_of_scores, _slope, atol=1e-10)

# %% [markdown]
# <details><summary>Why: two sums over responses, and what may be subtracted</summary>
#
# Write $S$ for the score. As $\nabla \pi = \pi \, \nabla \log \pi$, and $\log \pi(y)$ is a sum
# over words,
#
# $$\nabla \sum_y \pi(y) \, S(y) = \mathbb{E}_\pi \Big[ \sum_t \nabla \log \pi(y_t \mid y_{<t})
# \; S(y) \Big] = \mathbb{E}_\pi \Big[ \sum_t \nabla \log \pi(y_t \mid y_{<t}) \; A_t \Big]$$
#
# The second step, for one t: the mean over what comes after word t turns $S$ into
# $\mathbb{E}[S \mid y_{\le t}]$. What is known before word t may be subtracted, as its factor
# is 0 on average: $\sum_w \pi(w) \nabla \log \pi(w) = \nabla \sum_w \pi(w) = \nabla 1 = 0$.
# Subtract $\mathbb{E}[S \mid y_{<t}]$. At old, the right side is $\mathbb{E}_{\text{old}}
# \sum_t \nabla r_t \, A_t$, by 1.4.
#
# </details>
#
# They are the same: the gradient of the return, found from what old wrote, is the **policy
# gradient**. Next, J per word of 20,000 drawn responses, times the mean length. And then the
# gradient itself, a table like the policy's: it answers the question of 1.1.

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _drawn = draw_responses(_old, 20_000, torch.Generator().manual_seed(0))
    _drawn_logp = token_log_probs(_old[_drawn.tokens], _drawn.tokens)
    _drawn_advantage = exact_advantage(_old, _drawn)

    def _per_word(table):
        logp = token_log_probs(table[_drawn.tokens], _drawn.tokens)
        return surrogate_objective(logp, _drawn_logp, _drawn_advantage, _drawn.mask)

    _length = _chance @ _every.mask.sum(-1).double()
    _found = gradient_at(_old, _per_word) * _length
    _off = (_found - _true_slope).norm() / _true_slope.norm()
    print(f"mean length: {_length:.2f} words")
    print(f"gradient of J per word, times that: {_off:.1%} off the return's")

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    print("gradient of J   next: " + "".join(f"{word:>8}" for word in WORDS))
    for _word, _row in zip(WORDS, _slope.tolist(), strict=True):
        print(f"{_word:>20}: " + "".join(f"{value:+8.3f}" for value in _row))
    print(f"J at old: {abs(_surrogate(_old)):.0e}")

# %% [markdown]
# Every row raises "great", whatever stood before: a row knows the last word, and not how often
# "great" has been written. Where that leads is the matter of 1.7.
#
# **Takeaway**: at the old policy, the gradient of J is the policy gradient. And J is 0 there, as
# advantages are 0 on average. So near old, to first order in the step, return(old) + J is what a
# policy gets.

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
# ## 1.7 One update, larger and larger *(16 min)*
#
# The direction is settled: the gradient of J at old. How far to go is not. **Predict**, and
# sketch J and the return, as the step grows from 0.1 to 100 (its length, counted in logits). And
# how low does the return get on the way?
#
# - **A**: never below 0
# - **B**: to about −3, as with two "great" too many
# - **C**: below −10

# %% predict="how_low"
predict("how_low", ...)

# %% demo
_steps = torch.logspace(-1, 2, 31, dtype=torch.float64)

if ready("token_log_probs", "surrogate_objective", gradient=True):
    _up = _slope / _slope.norm()
    _policies = _old + _steps[:, None, None] * _up
    _promises = torch.stack([_surrogate(table) for table in _policies])
    assert (_promises.diff() > 0).all()
    _returns = true_return(_policies)
    _before = true_return(_old).item()
    plot_step_sizes(_steps, _before + _promises, _returns, _before)
    for _step in (2, 10, 100, 10_000):
        _far = _old + _step * _up
        print(f"step {_step:6}: J {_surrogate(_far):.4f}, return {true_return(_far):8.4f}")
    _least = _returns.min()
    outcome("how_low", A=_least >= 0, B=abs(_least + 3) < 1.5, C=_least < -10)

# %% [markdown]
# No data were missing here and no advantage was off. J rises ever more slowly, towards 2.64, but
# it never turns: an optimiser that looks at J alone sees no reason to stop. The return turns at
# a step of 2, is below old's at 10, and in the end at −12. What does the policy write?

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _best = _steps[_returns.argmax()].item()
    _chosen = {"Old": _old, f"Step {_best:.1f}": _old + _best * _up}
    _chosen["Step 100"] = _old + 100 * _up
    plot_policies(_chosen, WORDS)
    for _name, _table in _chosen.items():
        _written = draw_responses(_table, 3, torch.Generator().manual_seed(3))
        print(f"{_name:8}:", "  |  ".join(_written.text(index) for index in range(3)))

# %% [markdown]
# It is the last column that grew, after every word at once. That was right for the responses of
# old, where praise was rare; a policy that looks at one word cannot count the praise before it.

# %% [markdown]
# Is it the same in practice, with a few drawn responses and no exact advantages? A common
# estimate gives each word of a response the same one: the response's score less the batch's mean
# score. By the box in 1.6 the whole score, less any constant, has the same expected gradient as
# A, and the mean of a large batch is nearly a constant; what it costs is noise.
#
# We draw 128 responses from old, step along the gradient of their J, and look at the exact
# return; then all of it again with fresh data, twenty times.

# %% [markdown]
# **Predict**: how many of the twenty policies end below old, at a step of 100?
#
# - **A**: 5 or fewer
# - **B**: 6 to 14
# - **C**: 15 or more

# %% predict="twenty_batches"
predict("twenty_batches", ...)


# %% demo
def _one_update(seed):
    """What J gains, and the return, along the gradient of J of one batch drawn from old."""
    tokens, mask, score = draw_responses(_old, 128, torch.Generator().manual_seed(seed))
    old_logp, length = token_log_probs(_old[tokens], tokens), mask.sum() / len(mask)
    advantage = (score - score.mean())[:, None].expand_as(old_logp)

    def surrogate(table):  # per response
        logp = token_log_probs(table[tokens], tokens)
        return length * surrogate_objective(logp, old_logp, advantage, mask)

    up = gradient_at(_old, surrogate)
    policies = _old + _steps[:, None, None] * up / up.norm()
    gained = torch.stack([surrogate(table) for table in policies]) - surrogate(_old)
    return gained, true_return(policies), praise_distribution(policies[-1])


# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _curves = [_one_update(seed) for seed in range(20)]
    _surrogates, _seed_returns, _praise = map(torch.stack, zip(*_curves, strict=True))
    plot_seeds(_steps, _surrogates, _seed_returns, _before)
    _worse = (_seed_returns[:, -1] < _before).sum()
    _turns = _steps[_seed_returns.argmax(-1)]
    print(f"{_worse} of 20 end below old; they turn at steps of ", end="")
    print(f"{_turns.min():.1f} to {_turns.max():.1f}")
    outcome("twenty_batches", A=_worse <= 5, B=5 < _worse < 15, C=_worse >= 15)

# %% [markdown]
# Every batch first improves the policy, and 18 of 20 then make it worse than it was. The fall
# begins at steps of 1.6 to 3.2; where it ends differs more. (J may dip a little, as the left
# title says: far along the line, a direction found at old need not lead up at every step.)
#
# How often does each policy end up writing "great"?

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _times = _praise @ torch.arange(9.0, dtype=torch.float64)  # in a response, on average
    _pairs = torch.stack([_seed_returns[:, -1], _times], dim=1).tolist()
    for _return, _count in sorted(_pairs):
        print(f"return {_return:7.2f}, {_count:.1f} times")

# %% [markdown]
# Eight times is 3 − 3 · 5 points; four times, as every second word, 3 − 3. More data would not
# mend it: with infinitely many, above, the return goes the same way down.
#
# **Takeaway**: J tells the direction, not the distance.

# %% [markdown]
# ## 1.8 What J leaves out *(17 min)*
#
# J reweighs each word with its own ratio $r_t$, but not the words before, its **prefix**: those
# stay as old wrote them. Put their ratios in as well, and the equation is exact, for steps of
# any size:
#
# $$\text{return}(\theta) - \text{return}(\theta_{\text{old}})
# = \mathbb{E}_{\text{old}} \Big[ \sum_t \Big( \prod_{s \le t} r_s \Big) A_t \Big]$$

# %% [markdown]
# <details><summary>Why: with the ratios of the prefix, it is exact</summary>
#
# The advantages of a response add up to its score less old's return (1.5). Take the mean over
# what the *policy* writes, and then go over to old's responses:
#
# $$\text{return}(\theta) - \text{return}(\theta_{\text{old}})
# = \mathbb{E}_{\pi_\theta} \Big[ \sum_t A_t \Big]
# = \mathbb{E}_{\text{old}} \Big[ \sum_t \frac{\pi_\theta(y_{\le t})}{\text{old}(y_{\le t})}
# A_t \Big]$$
#
# The weight in the last step is 1.4's, for $y_{\le t}$, all that $A_t$ depends on. The
# probability of $y_{\le t}$ is a product over its words, so the weight is the product of
# $r_s$ for $s \le t$.
#
# </details>
#
# J has $r_t$ in place of the product. **Predict**: so when is J nearly right? Then write the
# product, for every t at once, in one line with no loop.


# %% demo
def _so_far(ratio):  # response time
    """At each t, the product of the ratios of a row up to and including t."""
    return ...


# %% demo
_three = torch.tensor([[2.0, 3.0, 0.5]])
if written(_so_far(_three)):
    if not agrees(_so_far(_three), torch.tensor([[2.0, 6.0, 3.0]])):
        print(f"Not yet: ratios 2, 3, ½ should give 2, 6, 3, and give {_so_far(_three)}.")
    elif ready("token_log_probs", "surrogate_objective", gradient=True):
        print("Right. Both sides, and J; then the largest r and the largest product:")
        print("step  gained by the return  with the product         J     r   product")
        for _step in (0.1, 1.0, _best, 10.0):
            _table = _old + _step * _up
            _logp = token_log_probs(_table[_every.tokens], _every.tokens)
            _ratio = (_logp - _old_logp).exp().where(_every.mask, 1.0)
            _gained = true_return(_table) - true_return(_old)
            _sum = _chance @ (_so_far(_ratio) * _exact).sum(-1)
            print(f"{_step:4.1f} {_gained:21.8f} {_sum:17.8f}", end=" ")
            print(f"{_surrogate(_table):9.4f} {_ratio.max():5.1f} {_so_far(_ratio).max():9.1f}")

# %% [markdown]
# J is nearly right while all ratios are near 1: while the policy still writes what old wrote.
# The product is exact over all responses, but grows far beyond the largest single ratio (last
# columns), so that its mean over a few drawn responses is the noisier. One keeps J, and stays
# near.
#
# Far away, the policy meets prefixes that the data hardly contain. How often each policy writes
# the first, second, … "great", and, over old's responses, its mean place and mean advantage:

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _is_great = _every.mask & (_every.tokens[:, 1:] == GREAT)
    _far_chance = response_chances(_chosen["Step 100"], _every)
    print('"great"   by old  at step 100   place  advantage')
    for _place in range(1, 9):
        _those = _is_great & (_is_great.cumsum(-1) == _place)  # one in a response at most
        _has = _those.sum(-1).double()
        _by_old, _by_far = _chance @ _has, _far_chance @ _has
        _worth = _chance @ (_those * _exact).sum(-1) / _by_old
        _at = _chance @ (_those * torch.arange(1, 9)).sum(-1).double() / _by_old
        print(f"no. {_place}  {_by_old:9.6f} {_by_far:12.6f} {_at:7.1f} {_worth:+10.2f}")

# %% [markdown]
# Old's data are about the first and the second, which are good; from the fourth on each costs
# more than 2 points, and old hardly ever wrote one. But the one logit for "great" after "great"
# serves all from the second on.

# %% [markdown]
# Must a large step end like this? **Predict**: give the policy logits of its own for every
# prefix, so that it can count, and let it maximise J: then it writes, after each prefix, the
# word of the greatest advantage. What is its return?
#
# - **A**: below old's, as before
# - **B**: within 0.1 of old's
# - **C**: above old's

# %% predict="own_logits"
predict("own_logits", ...)

# %% demo
print(f"old:                                     {true_return(_old):.3f}")
print(f"own logits for every prefix, all the way: {return_of_best_words(_old):.3f}")
print(f"it writes:                                {best_response(_old)}")
_third = (_every.tokens[:, 1:4] == GREAT).all(-1)
print(f'a third "great" there, advantage:         {_exact[_third][0, 2]:+.3f}')
_gain = return_of_best_words(_old) - true_return(_old)
outcome("own_logits", A=_gain < -0.1, B=abs(_gain) <= 0.1, C=_gain > 0.1)

# %% [markdown]
# No fall, and the box says why: the gain is the mean of $\sum_t A_t$ over what the *policy*
# writes. The greatest advantage after a prefix is never below 0, as their mean is 0. So a policy
# that takes it everywhere cannot lose, however far it goes. It stops at two "great", 2 points: a
# third would be worth a point more, but advantages are old's, and old, left to write on from
# there, would write too many. (A third by old comes later, mostly, with fewer words to follow:
# hence the +0.11 in the table.)

# %% [markdown]
# So a policy that maximises J falls only where its parameters serve many prefixes at once, as the
# 16 here do and as those of a language model do: what is right where the data are is then done
# elsewhere too.
#
# **Takeaway**: J is nearly right while the ratios are near 1. Further out the policy meets
# prefixes of which old's data hold little, and J weighs them as old met them.

# %% [markdown]
# ## 1.9 Charging for the distance *(1 point, 14 min, medium)*
#
# So let moving cost something:
#
# $$J_{\text{new}}(\theta) = J(\theta) - \beta \cdot D(\pi_\theta, \pi_{\text{old}}),
# \qquad \beta > 0$$
#
# D, in the book D(θ, θ_old), is a **divergence**: a number that says how different two
# distributions are, 0 where they are the same and above 0 elsewhere. Lesson 02 builds it. Here
# `divergence_from_old` is given: the mean, over old's responses, of log old(y) − log policy(y),
# in nats per response, as J is in points per response. So β is in points per nat.

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _divergence = divergence_from_old(_old, _policies)  # one for each of the 31 steps
    _log_chances = response_chances(_policies[20], _every).log()
    _by_hand = _chance @ (_chance.log() - _log_chances)
    print(f"step {_steps[20]:.0f}: D {_divergence[20]:.8f}, by enumeration {_by_hand:.8f}")
    assert torch.isclose(_by_hand, _divergence[20])
    print("step      J         D")
    for _at in range(0, 31, 5):
        print(f"{_steps[_at]:5.1f} {_promises[_at]:7.4f} {_divergence[_at]:9.4f}")

# %% [markdown]
# Write the new objective along this line, all 31 steps at once: `_promises` is J and
# `_divergence` is D. Put a number in for β, such that the peak lands where the *return* of 1.7
# was near its best. **Predict** it from the table: at the peak, a little more step adds as much
# to J as to β·D. The next cell says where it lands; change β as often as you like.

# %% demo
_objective = ...

# %% demo
if written(_objective):
    _beta = weight_of_penalty(_objective, _promises, _divergence)
    _peak, _gain = torch.as_tensor(_objective).argmax(), _returns.max() - _before
    if _beta is None:
        print("Not yet: this is not J − β·D with one number β for all steps.")
    elif _beta <= 0:
        print(f"Not yet: with β = {_beta:.3g} moving away is not charged for.")
    else:
        print(f"β = {_beta:.3g} peaks at a step of {_steps[_peak]:.1f}, ", end="")
        print(f"return {_returns[_peak]:.3f}; the best step has {_returns.max():.3f}.")
        if _returns[_peak] - _before >= 0.9 * _gain:
            print("Right: nine tenths of what there is to gain, or more.")
        else:
            _late = _peak > _returns.argmax()
            print("It comes too late." if _late else "It gives gain away.")

# %% [markdown]
# Now four β side by side. **Predict**: at the peak of its objective, which β above 0 gives a
# return below old's?

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _objectives = {beta: _promises - beta * _divergence for beta in (0.0, 0.1, 0.5, 2.0)}
    plot_penalties(_steps, _objectives, _returns, _before)

# %% [markdown]
# Far out D outgrows J, so each β > 0 has a peak. But a peak is no rescue by itself: β = 0.1
# peaks at a step of 6.3 and lands at −0.03, below old's 0.72. Too small a penalty comes too
# late, and a large one (β = 2) gives gain away. You picked β with the returns in view, which
# training does not have; how to choose β without is the matter of lessons 03 and 05.

# %% [markdown]
# And at any β a small enough step pays: near old, D is flat and J is not.
#
# <details><summary>Why: at old, −β·D changes nothing of the slope</summary>
#
# D is never below 0, which lesson 02 derives, and it is 0 at old. So old is a lowest point of D,
# and D's gradient there is 0:
#
# $$\nabla (J - \beta \, D) = \nabla J \qquad \text{at } \theta = \theta_{\text{old}}$$
#
# </details>

# %% demo
if ready("token_log_probs", "surrogate_objective", gradient=True):
    _flat = gradient_at(_old, lambda table: divergence_from_old(_old, table))
    print(f"length of the gradient at old: J {_slope.norm():.4f}, D {_flat.norm():.1e}")
    assert _flat.norm() < 1e-12

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
# ## 1.10 A distance between what? *(1 point, 8 min, medium)*
#
# The simplest D would be the squared length of θ − θ_old, the step in the parameters. Take a
# policy with two words and one logit each, and steps of length 1.
#
# Write such a step, two numbers whose squares add up to 1, that changes *no* probability,
# wherever it starts.

# %% demo
_still = ...

# %% demo
if written(_still):
    _by = torch.as_tensor(_still, dtype=torch.float64)
    _from = torch.tensor([[0.0, 0.0], [2.0, -1.0]], dtype=torch.float64)
    _change = ((_from + _by).softmax(-1) - _from.softmax(-1)).abs().max()
    print(f"length {_by.norm():.3f}, largest change of a probability {_change:.3f}")
    if _by.shape != (2,) or abs(_by.norm() - 1) > 0.01:
        print("Not yet: these are not two numbers of length 1.")
    else:
        _differs = _change >= 0.005
        print("Not yet: a probability changed." if _differs else "Right: nothing moved.")

# %% [markdown]
# Other steps of that length do change something. **Predict**: the first logit goes up by 1; from
# which start does that change the probability of the first word most?

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
# - The advantage is what a word changes in the score that old can expect. J, ratio × advantage
#   summed over a response, has at old the true return's gradient; your mean over words has that,
#   divided by the mean length.
# - Far from old the promise keeps rising while the return falls: J leaves out that the earlier
#   words change too, and neither exact advantages nor more data put that back.
# - A penalty −β·D(π_θ, π_old) gives the objective a peak, and β decides whether it comes in
#   time; D should compare distributions.

# %% [markdown]
# Here D held the policy to old, the one that drew the data. Next, **02_divergence** says from
# which policy to measure, builds D, and holds it against the fall that you saw in 1.7.

# %% demo
progress("01_policy_updates")
predictions("01_policy_updates")
