# %% [markdown]
# # 06 · The same update on a language model
#
# A small language model learns to please a judge, and you read what becomes of its texts. After
# this lesson you can
#
# - freeze a reference, and test that old is old;
# - charge drift from ref in the reward or in the loss, and say how the two differ;
# - write a GRPO step from its parts, the loop around it, and tune a model with them;
# - correct for a sampler that is not the trainer, and read a trainer's settings;
# - see *reward hacking*, a proxy that is maximised at the cost of what it stands for, in curves
#   and in the text, and say what a penalty did about it.
#
# Two parts. The first, to 6.7, ends with a model that you tuned and with the record of 30 such
# runs: about four and a half hours, two minutes of it training, with breaks after 6.3, 6.5 and 6.6
# (then run all cells above the place first). The second, 6.8 and 6.9, is what else a trainer has
# to get right: an hour. From 6.10 to the tables it is for a second reading. It needs lessons 01,
# 02, 04, 05.

# %% setup
import copy
import inspect
import textwrap

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.distributions import Categorical

from helpers import check, hint, pick_device, progress, ready, shaped, written
from helpers.language_model.checkpoint import count_parameters, load_model
from helpers.language_model.learning import perplexity, split_raters
from helpers.language_model.ratings import sentences
from helpers.language_model.ratings import written as written_by_a_model
from helpers.language_model.runs import (
    methods_beta,
    preferences,
    recorded,
    recorded_epochs,
    recorded_methods,
    recorded_outside,
    recorded_smollm2,
)
from helpers.language_model.sampling import sample
from helpers.language_model.scoring import response_log_probs
from helpers.language_model.tuning import PROMPTS, Steps, Tuning, World, sequence_kl
from helpers.plots.language_model import (
    browse_texts,
    by_beta,
    correlation,
    ends,
    plot_ends,
    plot_frontier,
    plot_groups,
    plot_judges,
    plot_rewards,
    plot_token_loss,
    ranked,
    shared_steps,
    show_pairs,
    show_texts,
    spread_text,
)
from helpers.predicting import outcome, predict, predictions
from helpers.problems.case_study import at_end, over_the_sweep
from helpers.problems.language_model import (
    BETA,
    MEASURED_WITH,
    N_STEPS,
    blind_pairs,
    in_eight_bits,
    letters,
    likeliest,
    loop_says,
)
from helpers.problems.penalty_gradients import (
    all_responses,
    exact_kl,
    known_gradients,
    three_policies,
)
from helpers.tables.language_model import (
    print_agreement,
    print_at_best,
    print_both_models,
    print_caps,
    print_ends,
    print_factors,
    print_outside,
    print_preferences,
    print_ratios,
    print_record,
    print_seed_by_seed,
    print_warnings,
    print_winners,
    print_words,
)

device = pick_device()
torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## A model that writes reviews *(25 min, with the judges)*
#
# The policy is a transformer of four blocks, small enough for a laptop; its code is a file to read
# from top to bottom, `helpers/language_model/model.py`. A token is a word or a mark. It learned
# from people's reviews, each sentence of which some twenty people rated from −4 to 4 ([Hutto &
# Gilbert 2014](https://github.com/cjhutto/vaderSentiment)), and from short sentences about films
# that a larger model wrote, SmolLM2-135M-Instruct: people's are too few to learn to write from.
#
# **Predict**: a vocabulary has 4,096 tokens. Between how many is the model undecided, on
# average, when it reads a film review by a person that it has never seen?

# %% demo
_world = World()  # the model, its vocabulary and two judges
_unseen = [one for one in sentences("film") if one.tenth == 0]
_rows = _world.vocabulary.batch([one.text for one in _unseen], _world.model.sizes.context)
_short = _world.vocabulary.batch(written_by_a_model()[::20], _world.model.sizes.context)
print(f"{count_parameters(_world.model):,} parameters, {len(_world.vocabulary):,} tokens")
for _name, _texts in (("by people", _rows), ("by the larger model", _short)):
    _found = perplexity(_world.model, _texts[:400])
    print(f"perplexity on 400 unseen sentences {_name}: {_found:.1f}")

# %% [markdown]
# Perplexity is exp of the mean −log p of a token: a model that is undecided between 100 equally
# likely tokens has 100. Models that only count which word follows which, smoothed as by Kneser and
# Ney, were measured on the same sentences when this model was made:
#
# | | by people | by the larger model |
# |---|---|---|
# | counts of pairs | 121.6 | 21.1 |
# | counts of triples | 108.5 | 16.1 |
# | counts of four | 110.3 | 15.7 |
#
# It has read little that people wrote, and there counting triples still does better. But counts
# have no parameters that an update could move. Now let it write.

# %% demo
_generator = torch.Generator().manual_seed(0)
print(f"{len(PROMPTS)} prompts: {' | '.join(PROMPTS)}\n")
_drawn = sample(_world.model, _world.prompts(1), n_tokens=16, generator=_generator)
for _text in _world.texts(_drawn):
    print(_text)

# %% [markdown]
# Short sentences, most of them English, not all of them sense. That will do, as long as you can
# tell when they get worse.
#
# ## Two judges
#
# Training needs a number for a text. There are two, made from ratings of different sentences:
#
# | | proxy: what is trained on | gold: what is wanted |
# |---|---|---|
# | learned from | 400 film sentences, one person's rating of each | all other sentences, the mean of their twenty raters |
# | reads | which words there are, in any order, each once | the sentence, in order |
# | is | one weight for each word | a transformer of its own, and a count of different words |

# %% [markdown]
# The proxy is what one has in practice: a cheap model of few people's judgements. Gold stands
# for what one would like to have. Its score is a product of three:
#
# | gold = | range | learned from |
# |---|---|---|
# | rating | −4 to 4 | people's ratings |
# | × readable | 0 to 1 | sentences with their words mixed up; and texts of models tuned on *other* proxies, each as readable as SmolLM2 and a count of repeated words find it |
# | × various | 0 to 1 | counted: 1 where 85% of the words are different ones, 0 where 65% are |
#
# It is *not* a human: two of the three are a network's, wrong in its own ways. 6.7 tests it on
# texts tuned on *this* proxy. Gold never takes part in training: a policy tuned on gold would
# exploit gold.
#
# **Predict**: their correlation with the mean human rating, on sentences that neither has seen.

# %% demo
_human = torch.tensor([one.mean for one in _unseen])
with torch.no_grad():
    _judged = {"Proxy": _world.proxy(_rows), "Gold": _world.gold(_rows)}
plot_judges(_human, _judged)

# %% [markdown]
# Both know something about reviews. On *these* sentences a higher score by either goes with a
# higher rating by people. An optimiser will not stay on these sentences.
#
# The proxy can be read: its score is a bias + the mean weight of the *different* words of a text
# (in a text of eight of them, a word of weight 8 adds 1). Here are the words of greatest weight,
# with what it learned them from.

# %% demo
_few, _ = split_raters([one for one in sentences() if one.tenth != 0])
_taught = [(set(_world.vocabulary.encode(one.text)), one.ratings[0]) for one in _few]
_own = _world.vocabulary.batch([one.text for one in _few], _world.model.sizes.context)
_fit = correlation(_world.proxy(_own).detach(), torch.tensor([one.ratings[0] for one in _few]))
print(f"the proxy learned from {len(_few)} sentences, and correlates {_fit:.2f} with their ratings")
print("word           weight   in how many of them   their mean rating")
for _token in _world.proxy.weight.argsort(descending=True)[:14].tolist():
    _seen = [rating for tokens, rating in _taught if _token in tokens]
    _word, _weight = _world.vocabulary.word(_token), _world.proxy.weight[_token].item()
    print(f"{_word:13} {_weight:7.2f}   {len(_seen):19}   {sum(_seen) / max(len(_seen), 1):17.2f}")
_unmet = (_world.proxy.weight.abs() < 1e-4).float().mean()
print(f"{_unmet:.0%} of the vocabulary stood in none of them, and has the weight 0")

# %% [markdown]
# With ratings that it learned from, the proxy correlates far more closely than with those in the
# figure, of sentences that it has not seen: it is *overfitted*. How many of its best words say
# that a film is good? Others stood in a few sentences that one person happened to like. To a
# linear fit of 400 ratings these are the same; a human reader sees at once which is which. This is
# the gap that a policy can find.
#
# **Predict**: what does the proxy rate highest?
#
# - **A**: a sentence that praises a film
# - **B**: the eight words of greatest weight, in a row
# - **C**: the greatest of them, eight times

# %% predict="what_pleases"
predict("what_pleases", ...)

# %% demo
_best_words = _world.proxy.weight.argsort(descending=True)[:8]
_begin, *_praise = _world.vocabulary.encode("one of the best films of the year, funny and moving.")
_tried = {"praise": _praise, "its words, backwards": _praise[::-1]}
_tried |= {"eight words": _best_words.tolist(), "one word": _best_words[:1].tolist() * 8}
print("                        proxy    gold")
_paid = {}
for _name, _tokens in _tried.items():
    _text = torch.tensor([[_begin, *_tokens]])  # as every text begins
    with torch.no_grad():
        _paid[_name], _wanted = _world.proxy(_text).item(), _world.gold(_text).item()
    print(f"{_name:21} {_paid[_name]:7.2f} {_wanted:7.2f}   {_world.vocabulary.decode(_tokens)}")
_each = _world.proxy.weight[sorted(set(_praise))]
print(f"in the praise, {(_each < _each.mean()).sum()} of {len(_each)} different words", end=" ")
print("weigh less than the mean of them all")
_most = max(_paid, key=_paid.get)
outcome("what_pleases", A=_most in list(_tried)[:2], B=_most == "eight words", C=True)

# %% [markdown]
# The proxy is blind to order, to grammar and to repetition, and one liked word by itself is worth
# more than a sentence that it stands in. The score is a mean, so a word of small weight costs: the
# last line counts those that lower the praise's own. Whether a policy finds that is the question of
# 6.6. Gold minds the order (backwards the praise is worth less, not nothing), and counts repeated
# words.

# %% [markdown]
# ## 6.1 A reference that stays *(5 points, 15 min, easy)*
#
# Drift is measured from a fixed point: the policy as it was before training. A second name for
# the same network is no fixed point, and one with dropout on is no point at all: it answers
# differently every time.


# %% exercise="freeze_reference"
@shaped
def freeze_reference(policy: nn.Module) -> nn.Module:
    """The reference: what the policy is now, and stays while the policy is trained.

    policy: any network, in any mode; it is left as it was.
    Returns a copy that shares no parameter and no buffer with the policy, in eval mode
    throughout, with no parameter that requires gradients.
    Source: Ziegler et al. 2019 (arXiv 1909.08593), there ρ.
    Example: after training, `policy(tokens)` has changed and `ref(tokens)` has not.
    """
    ### BEGIN SOLUTION
    ref = copy.deepcopy(policy)
    ref.requires_grad_(False)
    return ref.eval()
    ### END SOLUTION


# %% check="freeze_reference" points=5
check("freeze_reference", freeze_reference)

# %% [markdown]
# **Look at yours.** The cell spoils the policy, and asks the reference before and after.

# %% demo
if ready("freeze_reference"):
    _policy = load_model().train()
    _ref = freeze_reference(_policy)
    _before = response_log_probs(_ref, _drawn.tokens)
    with torch.no_grad():
        for _parameter in _policy.parameters():
            _parameter.add_(0.1)
    assert torch.equal(_before, response_log_probs(_ref, _drawn.tokens))
    assert _policy.training
    assert all(parameter.requires_grad for parameter in _policy.parameters())
    print("the policy has changed, the reference says what it said:")
    for _name, _network in (("policy", _policy.eval()), ("ref", _ref)):
        _logp = response_log_probs(_network, _drawn.tokens)[_drawn.response_mask]
        print(f"  mean log-probability of what was drawn, under {_name}: {_logp.mean():.2f}")

# %% [markdown]
# Of the three things that have to hold, parameters of its own, eval mode, no gradients, the last is
# noticed last if it is missing: the numbers stay right until an optimiser is given the reference.

# %% [markdown]
# ### Is old really old?
#
# *Old* is who drew the tokens. `sample` notes each token's log-probability when it is drawn; the
# step scores the same tokens again. Before any step both are one network, so **the ratio must be
# 1**: the cheapest test of a training loop. **Predict** what it says when the scoring has dropout
# on, as in trl [#454](https://github.com/huggingface/trl/issues/454) and
# [#3234](https://github.com/huggingface/trl/pull/3234), or lacks the temperature, as in OpenRLHF
# [#853](https://github.com/OpenRLHF/OpenRLHF/pull/853).

# %% demo
torch.manual_seed(0)  # of the dropout
_hot = sample(_world.model, _world.prompts(4), 16, _generator, temperature=1.3)
_cold = sample(_world.model, _world.prompts(4), 16, _generator)
with torch.no_grad():
    _scored = {"as it was drawn": (_cold, response_log_probs(_world.model, _cold.tokens))}
    _scored["dropout on"] = (_cold, response_log_probs(_world.model.train(), _cold.tokens))
    _logits = _world.model.eval()(_hot.tokens)[:, :-1]
    _warm = Categorical(logits=_logits / 1.3).log_prob(_hot.tokens[:, 1:])
    _scored["drawn and scored at 1.3"] = (_hot, _warm)
    _scored["drawn at 1.3, scored at 1"] = (_hot, response_log_probs(_world.model, _hot.tokens))

# %% demo
print("the policy has not moved               ratio: least  greatest      beyond the clip")
for _name, (_samples, _logp) in _scored.items():
    _ratio = (_logp - _samples.logp).exp()[_samples.response_mask]
    _beyond = ((_ratio - 1).abs() > 0.2).float().mean()
    print(f"{_name:38} {_ratio.min():12.3f} {_ratio.max():9.3f} {_beyond:20.0%}")
    if _name in ("as it was drawn", "drawn and scored at 1.3"):
        assert torch.allclose(_ratio, torch.ones_like(_ratio), atol=1e-3)

# %% [markdown]
# Right scoring gives 1 to rounding. The two defects raise no error, and they put tokens beyond
# the clip (ε = 0.2) before the policy has moved at all. Assert the ratio once, at the first step
# of every run.

# %% [markdown]
# ## 6.2 Drift charged in the reward *(8 points, 25 min, medium)*
#
# One place to charge for drift is the reward ([Ziegler et al.
# 2019](https://arxiv.org/abs/1909.08593)). A judge scores the whole response, so the score is
# paid once, with its last token. Drift is known at every token, so each token can be charged for
# its own:
#
# $$r_t = -\beta \,\bigl[\log \text{policy}(y_t) - \log \text{ref}(y_t)\bigr]
# \;+\; \text{score at the last token}$$
#
# **Predict**: can a token's reward be positive when the score is 0? What is it in the prompt?


# %% exercise="kl_shaped_rewards"
@shaped
def kl_shaped_rewards(
    score: Float[Tensor, " batch"],
    logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    beta: float,
) -> Float[Tensor, "batch time"]:
    """A reward for each token: the price of its drift, and at the end the response's score.

    score: of each response, paid at its last real token. beta: the price of one nat.
    logp, ref_logp: log-probability of each token under the policy and the reference, in nats.
    mask: True on response tokens, in one piece or not; what stands elsewhere is never read.
    Returns −beta · (logp − ref_logp) on real tokens, plus the score on the last of each row;
    0 on padding and in rows where nothing is real. A reward is a constant: it has no gradient.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Ziegler et al. 2019 (arXiv 1909.08593), as in openai/lm-human-preferences.
    Example: beta 0.1, score 1, log-ratios 2 and −1: −0.2 and 0.1 + 1 = 1.1.
    """
    ### BEGIN SOLUTION
    charge = beta * torch.where(mask, logp - ref_logp, 0.0)
    still_to_come = mask.flip(1).cumsum(dim=1).flip(1)  # real tokens from here on
    ends_here = mask & (still_to_come == 1)
    return (torch.where(ends_here, score[:, None], 0.0) - charge).detach()
    ### END SOLUTION


# %% check="kl_shaped_rewards" points=8
check("kl_shaped_rewards", kl_shaped_rewards)

# %% [markdown]
# **Look at yours.** The policy is ref, but surer of itself: its logits are divided by 0.5, and
# β = 0.1. Eight responses are drawn; shown is the one with the most tokens for which the policy is
# paid. The cell also checks that over each response everything adds up:
#
# $$\textstyle \sum_t r_t = \text{score} - \beta \sum_t \log
# \frac{\text{policy}(y_t)}{\text{ref}(y_t)}$$

# %% demo
if ready("kl_shaped_rewards"):
    _generator = torch.Generator().manual_seed(0)
    _sure = sample(_world.model, _world.prompts(1), 16, _generator, temperature=0.5)
    _real, _score = _sure.response_mask, _world.proxy(_sure.tokens).detach()
    _ref_logp = response_log_probs(_world.model, _sure.tokens).detach()
    _rewards = kl_shaped_rewards(_score, _sure.logp, _ref_logp, _real, beta=0.1)
    _log_ratio = torch.where(_real, _sure.logp - _ref_logp, 0.0).sum(dim=1)
    assert torch.allclose(_rewards.sum(dim=1), _score - 0.1 * _log_ratio, atol=1e-4)
    _rarer = (_real & (_sure.logp < _ref_logp)).sum(dim=1)
    _shown = int((_rarer + 0.01 * _sure.lengths + 100.0 * (_score > 0)).argmax())
    _written = _sure.tokens[_shown, 1:][_real[_shown]]
    _words = [_world.vocabulary.word(token) for token in _written.tolist()]
    plot_rewards(_words, _rewards[_shown][_real[_shown]], _score[_shown].item())
    print(f"of all {_real.sum()} tokens of the eight, {_rarer.sum()} are rarer than under ref")

# %% [markdown]
# A sharper policy pays for most of its words. For a word that it makes *rarer* than ref does it is
# paid: single log-ratios may be negative, their mean under the policy may not. The prompt was not
# drawn by the policy, so it costs nothing. The score, here on top of the last token's price, is
# paid once.

# %% [markdown]
# ## 6.3 Better than its siblings *(6 points, 15 min, easy)*
#
# A score by itself says little: some prompts invite praise. Draw several responses to one
# prompt, and each is compared with the others. The group's mean and deviation do what a learned
# critic does elsewhere (GRPO, [arXiv 2402.03300](https://arxiv.org/abs/2402.03300)):
#
# $$A_i = \frac{r_i - \text{mean}(r)}{\text{std}(r) + \text{eps}}$$
#
# **Predict**: all eight responses get the same score. What does the update learn from them?


# %% exercise="group_advantage"
@shaped
def group_advantage(
    rewards: Float[Tensor, "group sample"], eps: float = 1e-4
) -> Float[Tensor, "group sample"]:
    """How much better each response is than the others to the same prompt, in their spread.

    rewards: of several responses to one prompt in each row.
    eps: added to the standard deviation, so that a group without spread is no division by 0.
    Returns (r − group mean) / (group standard deviation + eps), with the sample standard
    deviation (n − 1); 0 throughout a tied group and a group of one.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), section 4.1.2.
    Example: rewards 1 and 3: mean 2, standard deviation √2: −0.7071 and 0.7071.
    """
    ### BEGIN SOLUTION
    if rewards.shape[1] < 2:
        return torch.zeros_like(rewards)  # nothing to be compared with
    centred = rewards - rewards.mean(dim=1, keepdim=True)
    return centred / (rewards.std(dim=1, keepdim=True) + eps)
    ### END SOLUTION


# %% check="group_advantage" points=6
check("group_advantage", group_advantage)

# %% [markdown]
# **Look at yours**: eight responses to one prompt, from the worst to the best.

# %% demo
if ready("group_advantage"):
    _group = sample(_world.model, _world.prompts(8)[:8], 16, torch.Generator().manual_seed(0))
    _scores = _world.proxy(_group.tokens).detach()
    _advantage = group_advantage(_scores[None])[0]
    print("proxy  advantage")
    for _at in _scores.argsort().tolist():
        print(f"{_scores[_at]:5.2f}  {_advantage[_at]:+9.2f}  {_world.texts(_group)[_at]}")
    _higher = group_advantage(_scores[None] + 5)[0]
    assert torch.allclose(_higher, _advantage, atol=1e-4)
    print("\nadvantages, least and greatest, when the scores are squeezed together:")
    for _factor in (1.0, 0.1, 0.01, 0.0):
        _squeezed = group_advantage(_factor * _scores[None])
        _low, _high = _squeezed.min(), _squeezed.max()
        print(f"  spread {_factor * _scores.std():5.3f}: {_low:+.2f} {_high:+.2f}")

# %% [markdown]
# A constant in all scores changes nothing, and a tied group teaches nothing. But a hundredth of
# the spread counts nearly like all of it: noise between equally good responses is blown up to
# full size. It also settles what β means from here on: a nat of drift costs β *standard
# deviations of the group's scores*. (In 6.2 it cost β points of rating.)

# %% [markdown]
# ## 6.4 Drift charged in the loss *(10 points, 35 min, hard)*
#
# GRPO's paper charges at the other place. Two distances with two jobs meet in one loss. The clip of
# lesson 05 is for the step from **old**: $\rho_t = \exp(\log \text{policy} - \log \text{old})$.
# $k_3$ of lesson 02 charges for the drift from **ref**: $k_3 = e^\delta - 1 - \delta$ with
# $\delta = \log \text{ref} - \log \text{policy}$. $A$ is the advantage of the token's response,
# $N$ the number of real tokens in the batch. Of these log-probabilities the policy's alone is
# differentiable.
#
# $$-\frac{1}{N} \sum_{\text{real}} \Bigl[ \min\bigl(\rho_t A,\
# \mathrm{clip}(\rho_t, 1-\varepsilon, 1+\varepsilon)\, A\bigr) - \beta\, k_{3,t} \Bigr]$$
#
# **Predict**: at the very first step, policy = old = ref. Which of the two terms has a gradient?


# %% exercise="grpo_loss"
@shaped
def grpo_loss(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch time"],
    epsilon: float,
    beta: float,
) -> Float[Tensor, ""]:
    """What an optimiser minimises: clipped towards the better responses, charged for drift.

    logp: log-probability of each token under the policy, in nats; it alone is differentiable.
    old_logp, ref_logp: under the policy that drew the tokens, and under the reference.
    advantage: of each response; each of its tokens gets it.
    mask: True on response tokens; what stands elsewhere reaches neither value nor gradient.
    Returns −(mean over all real tokens of the batch of clipped surrogate − beta · k3), k3 of
    policy and ref; 0 when there are none.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), equations 3 and 4; averaged over all tokens as in DAPO
    (arXiv 2503.14476), not over each response first.
    Example: ratio 2, epsilon 0.2, no drift: advantage 1 gives −1.2, advantage −1 gives 2.
    """
    ### BEGIN SOLUTION
    # Padding is replaced before exp: after it, a gradient of 0 · inf would be nan.
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    weight = torch.where(mask, advantage.detach()[:, None], 0.0)
    kept = torch.minimum(weight * ratio, weight * ratio.clamp(1 - epsilon, 1 + epsilon))
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    drift = torch.expm1(delta) - delta
    return (beta * drift - kept).sum() / mask.sum().clamp(min=1)
    ### END SOLUTION


# %% check="grpo_loss" points=10
check("grpo_loss", grpo_loss)

# %% [markdown]
# **Look at yours.** One good token, advantage 1. On the left old is still ref, as at the first
# step of a run; on the right old has drifted already, it makes the token e times as likely as
# ref does. **Predict**: on the right, what does a large β do to this good token?

# %% demo
if ready("grpo_loss"):
    _step = torch.linspace(-1.0, 1.0, 201, dtype=torch.float64)
    _one, _zero = torch.ones(1, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    _token, _losses = torch.ones(1, 1, dtype=torch.bool), {}
    for _name, _drift in (("old = ref", 0.0), ("old is 1 nat above ref", 1.0)):
        _losses[_name] = {}
        for _beta in (0.0, 0.5, 1.0, 2.0):
            _found = [
                grpo_loss(_zero + x, _zero, _zero - _drift, _one, _token, 0.2, _beta) for x in _step
            ]
            _losses[_name][_beta] = torch.stack(_found)
    plot_token_loss(_step, _losses, epsilon=0.2)

# %% [markdown]
# At ref the divergence has its minimum, so its gradient is 0: the first step is the same for
# every β. Once old has drifted, the penalty has a slope *at old*, and with a large β even a good
# token is pulled back. That is the difference from lesson 05, whose penalty towards old could
# not act on the first step of any batch: this one remembers where training began.

# %% [markdown]
# ### The same penalty, weighted *(7 points, 20 min, medium)*
#
# That is the loss of GRPO's paper (2024). DeepSeek-V3.2
# ([arXiv 2512.02556](https://arxiv.org/abs/2512.02556)) multiplies each $k_3$ by the ratio
# $\rho_t$ = policy/old, unclipped and differentiable. TRL does so by default since 1.10
# ([#6503](https://github.com/huggingface/trl/pull/6503)):
#
# $$-\frac{1}{N} \sum_{\text{real}} \Bigl[ \min\bigl(\rho_t A,\
# \mathrm{clip}(\rho_t, 1-\varepsilon, 1+\varepsilon)\, A\bigr)
# - \beta\, \rho_t\, k_{3,t} \Bigr]$$
#
# **Predict**: at the first step on a batch every $\rho_t$ is 1. Can the factor change anything?


# %% exercise="grpo_loss_unbiased"
@shaped
def grpo_loss_unbiased(
    logp: Float[Tensor, "batch time"],
    old_logp: Float[Tensor, "batch time"],
    ref_logp: Float[Tensor, "batch time"],
    advantage: Float[Tensor, " batch"],
    mask: Bool[Tensor, "batch time"],
    epsilon: float,
    beta: float,
) -> Float[Tensor, ""]:
    """`grpo_loss` with each token's k3 weighted by its ratio policy/old, unclipped.

    logp, old_logp, ref_logp, advantage, mask, epsilon, beta: as in `grpo_loss`.
    Returns −(mean over all real tokens of the batch of clipped surrogate − beta · ratio · k3); 0
    when there are none. The ratio is differentiable there too: the penalty's expected gradient,
    tokens drawn from old, is that of KL(policy ‖ ref), token by token.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: DeepSeek-V3.2 (arXiv 2512.02556); TRL's default since 1.10 (its pull request 6503).
    Example: ratio 2, epsilon 0.2, advantage 1, beta 1, ref twice the policy: −(1.2 − 2·0.3069).
    """
    ### BEGIN SOLUTION
    ratio = torch.where(mask, logp - old_logp.detach(), 0.0).exp()
    weight = torch.where(mask, advantage.detach()[:, None], 0.0)
    kept = torch.minimum(weight * ratio, weight * ratio.clamp(1 - epsilon, 1 + epsilon))
    delta = torch.where(mask, ref_logp.detach() - logp, 0.0)
    drift = ratio * (torch.expm1(delta) - delta)
    return (beta * drift - kept).sum() / mask.sum().clamp(min=1)
    ### END SOLUTION


# %% check="grpo_loss_unbiased" points=7
check("grpo_loss_unbiased", grpo_loss_unbiased)

# %% [markdown]
# **Look at yours**: the penalty's expected gradient, by enumeration of five tokens. The advantage
# is 0 and β is 1. Two policies draw: the policy itself, then an old one. How far is each of your
# two losses from the gradient of one KL, and of the other?

# %% demo
if ready("grpo_loss", "grpo_loss_unbiased", gradient=True):
    _policy, _old, _ref = three_policies(seed=0)
    _zero, _token = torch.zeros(1, dtype=torch.float64), torch.ones(1, 1, dtype=torch.bool)
    _wanted = known_gradients(_policy, _old, _ref)
    _directions = ("∇KL(policy ‖ ref)", "∇KL(ref ‖ policy)")
    print("relative error to", *(f"{direction:>32}" for direction in _directions))
    for _who, _drew in (("policy", _policy), ("old", _old)):
        for _loss in (grpo_loss, grpo_loss_unbiased):
            _leaf = _policy.clone().requires_grad_()
            _logs = [x.log_softmax(-1).view(-1, 1, 1) for x in (_leaf, _drew, _ref)]
            _each = [_loss(*row, _zero, _token, 0.2, beta=1.0) for row in zip(*_logs, strict=True)]
            (_drew.softmax(-1) * torch.stack(_each)).sum().backward()
            _off = [(_leaf.grad - _wanted[d]).norm() / _wanted[d].norm() for d in _directions]
            print(f"{_loss.__name__:20} drawn by {_who:8}", *(f"{x:20.1g}" for x in _off))

# %% [markdown]
# Without the factor, $k_3$ on the policy's own tokens pulls along KL(ref ‖ policy), and on old's
# tokens along neither. With it, it is KL(policy ‖ ref) whoever drew, *token by token*: the
# beginning is taken as it is, and only the next token's divergence is charged, not what it leads
# to. The factor acts even where it is 1, because it has a gradient. On the policy's own tokens
# neither loss is wrong: both charge for drift from ref, each by a divergence of its own.
#
# <details><summary>Why: ρ · k₃ has the gradient of KL(policy ‖ ref)</summary>
#
# With $\delta = \log \text{ref} - \log \text{policy}$,
# $\nabla \rho = \rho\, \nabla \log \text{policy}$ and
# $\nabla k_3 = (1 - e^\delta)\, \nabla \log \text{policy}$, the product rule gives
#
# $$\nabla(\rho\, k_3) = \rho\,(e^\delta - 1 - \delta + 1 - e^\delta)\, \nabla \log \text{policy}
# = \rho\,(\log \text{policy} - \log \text{ref})\, \nabla \log \text{policy}.$$
#
# Tokens come from old, and old · ρ is the policy: on average this is
# $\sum_y \text{policy}(y)\,(\log \text{policy}(y) - \log \text{ref}(y))\, \nabla \log \text{policy}(y)$,
# which is ∇KL(policy ‖ ref), as in lesson 04.
#
# </details>

# %% [markdown]
# ## 6.5 One step *(11 points, 35 min, hard)*
#
# The step puts it together: score the tokens with policy and ref, dropout off; compute the loss;
# step. `response_log_probs(network, tokens)` is given: lesson 01's log-probabilities, in the mode
# that the network is in. It scores every token after the first, as `response_mask` and
# `old_logp` are laid out.
#
# **Predict**: what will the very first step of a run return as `kl`?


# %% exercise="train_step"
@shaped
def train_step(
    policy: nn.Module,
    ref: nn.Module,
    optimizer: torch.optim.Optimizer,
    tokens: Int[Tensor, "batch time"],
    response_mask: Bool[Tensor, "batch time-1"],
    old_logp: Float[Tensor, "batch time-1"],
    advantage: Float[Tensor, " batch"],
    epsilon: float,
    beta: float,
) -> dict[str, float]:
    """One step of the optimiser on `grpo_loss`.

    policy, ref: `policy(tokens)` gives logits "batch time vocab"; scored with dropout off. policy
    may come in training mode, and is left in either; ref comes from `freeze_reference`, in eval
    mode, and is left untouched.
    optimizer: of the policy's parameters; gradients that it finds at entry are not used.
    response_mask: at t it says whether `tokens[:, t + 1]` counts; old_logp: of that token, when
    it was drawn. advantage: of each response. Both are constants.
    Returns "loss", and "kl": the mean over real tokens of k3 between policy and ref, in nats;
    both as they were before the step.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: GRPO (arXiv 2402.03300), algorithm 1.
    Example: nothing real: both are 0, and plain gradient descent leaves the policy as it was.
    """
    ### BEGIN SOLUTION
    policy.eval()
    logp = response_log_probs(policy, tokens)
    with torch.no_grad():
        ref_logp = response_log_probs(ref, tokens)
        gap = ref_logp - logp
        drift = torch.where(response_mask, gap.expm1() - gap, 0.0).sum()
    loss = grpo_loss(logp, old_logp, ref_logp, advantage, response_mask, epsilon, beta)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {"loss": loss.item(), "kl": drift.item() / max(response_mask.sum().item(), 1)}
    ### END SOLUTION


# %% check="train_step" points=11
check("train_step", train_step)

# %% [markdown]
# **Look at yours**: four steps on one batch of the real model, 64 responses, β = 0.1.

# %% demo
if ready("group_advantage", "grpo_loss", "train_step"):
    _policy, _ref = load_model().to(device), load_model().to(device)
    _optimizer = torch.optim.AdamW(_policy.parameters(), lr=3e-4)
    _batch = sample(_policy, _world.prompts(8), 16, torch.Generator().manual_seed(0))
    _scores = _world.proxy(_batch.tokens).detach().view(len(PROMPTS), -1)
    _data = (_batch.tokens, _batch.response_mask, _batch.logp, group_advantage(_scores).flatten())
    _tokens, _real, _old_logp, _ = _data = [part.to(device) for part in _data]
    for _step in range(1, 5):
        _said = train_step(_policy, _ref, _optimizer, *_data, epsilon=0.2, beta=0.1)
        with torch.no_grad():
            _ratio = (response_log_probs(_policy.eval(), _tokens) - _old_logp).exp()[_real]
        _beyond = ((_ratio - 1).abs() > 0.2).float().mean()
        print(f"step {_step}: loss {_said['loss']:+.3f}, kl {_said['kl']:.4f} before it;", end=" ")
        print(f"after it {_beyond:.0%} of the ratios are beyond the clip")

# %% [markdown]
# The first `kl` is 0: the policy is still ref. The first loss is nearly 0, not quite: the
# advantages of a group add up to 0 over its responses, but a longer response has more tokens.
# The clip takes the gradient from tokens beyond it; it does not bound what one step of the
# optimiser does.
#
# `kl` is the mean of $k_3$ per *token*; the curves below show KL(policy ‖ ref) of whole
# *responses*, exact at every token and added up.

# %% [markdown]
# ## 6.6 Tune it *(no points, 55 min)*
#
# The parts are there; what is left is the loop around them. Tokens are drawn by `sample`, of which
# this is the loop (`helpers/language_model/sampling.py`). At each turn the model is asked for one
# more token in every row; `cache` holds what it made of the tokens before. Up to `starts` a row is
# prompt, and is read only. The log-probability of what was drawn is noted: that is `old_logp`.

# %% demo
_source = inspect.getsource(sample).splitlines()
_first = next(i for i, line in enumerate(_source) if "for t in range" in line)
print(textwrap.dedent("\n".join(_source[_first:-2])))

# %% [markdown]
# What is paid is `_world.score(drawn)`: the proxy's rating, less 1.5 for a response that was cut
# off before it ended. A proxy learned from whole sentences does not know that half a one is worth
# nothing. (TRL has the charge as `missing_eos_penalty` in its online DPO; others leave such
# responses out.)

# %% demo
_many = sample(_world.model, _world.prompts(64), 16, torch.Generator().manual_seed(0))
_whole = _many.ended()
print(f"{_whole.float().mean():.0%} of ref's responses end by themselves; of those cut off")
with torch.no_grad():
    for _name, _judge in (("by the proxy alone", _world.proxy(_many.tokens)),
                          ("less the charge", _world.score(_many))):  # fmt: skip
        _above = (_judge[~_whole] > _judge[_whole].median()).float().mean()
        print(f"  {_name}: {_above:.0%} are worth more than the median of those that ended")

# %% [markdown]
# **Write the loop**, in place of the dots. A step draws 8 responses to each of the 8 prompts
# (`sample(policy, _world.prompts(8), 16, generator)` gives `.tokens`, `.response_mask` and `.logp`,
# where one prompt's 8 stand together), scores them by `_world.score`, compares them within each
# prompt, by `group_advantage`; and calls `train_step` once, with what `sample` noted as old.
# `_measure` is given: measure before the first step and after each. About a dozen lines. The cell
# after it compares yours with the course's, which takes from ten seconds to a minute, longest where
# it looks for the slip in yours. (On a GPU, tensors go `.to(device)` for `train_step`.)


# %% demo
def _measure(policy, ref):
    """Mean proxy score and KL(policy ‖ ref), over 16 responses to each prompt."""
    drawn = sample(policy, _world.prompts(16), 16, torch.Generator().manual_seed(MEASURED_WITH))
    with torch.no_grad():
        return _world.proxy(drawn.tokens).mean(), sequence_kl(policy, ref, drawn).mean()


def _tune(policy, ref, optimizer, generator, n_steps, beta, epsilon=0.2):
    """What `_measure` gives before the first step and after each, in a list of n_steps + 1.

    generator: of all responses that are learned from.
    """
    return ...


# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    _policy = load_model().to(device)
    _ref, _dice = freeze_reference(_policy), torch.Generator().manual_seed(0)
    _optimizer = torch.optim.AdamW(_policy.parameters(), lr=3e-4)
    _mine = _tune(_policy, _ref, _optimizer, _dice, N_STEPS, BETA)
    if written(_mine):
        _steps = Steps(freeze_reference, group_advantage, train_step)
        print(loop_says(_mine, _steps, _world))

# %% [markdown]
# `Tuning` is this loop, and one that can be stopped (the square in the toolbar): run its cell
# again, and it goes on from its last whole step, in a new kernel too. To begin again, after
# changing your `train_step` say, delete the file at `path`. It measures more, every tenth step:
# gold; *distinct pairs*, the different pairs of neighbouring tokens as a share of all; *entropy*,
# how undecided the policy is at a token; and *forgetting*, its perplexity on sentences that people
# wrote, over what that was before.
#
# With one step to a fresh batch the ratio is 1 and the clip never acts: only β holds the policy.

# %% [markdown]
# First β = 0. **Predict**: after 80 steps, what will the texts look like? The proxy is what is
# trained; at which step will *gold* be at its best? The run takes about a minute.
#
# - **A**: by step 20
# - **B**: after step 20, by step 60
# - **C**: after step 60

# %% predict="gold_peak"
predict("gold_peak", ...)

# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    _steps = Steps(freeze_reference, group_advantage, train_step)
    _tuning = Tuning(_steps, beta=0.0, world=_world, path="tuning_beta_0.safetensors")
    _tuned = [_tuning.run(until=80)]

# %% [markdown]
# Then the same with a penalty: same seed, same steps, one number changed. **Choose your β**, the
# price of a nat, in spreads of the group's scores (6.3). The record of 6.7 has 0.03, 0.1, 0.2, 0.5
# and 1 already; another one teaches you more. This run is saved as `my_run.json`, which lesson 07
# will read.

# %% demo
my_beta = ...
if written(my_beta) and ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    _steps = Steps(freeze_reference, group_advantage, train_step)
    _where = f"tuning_beta_{my_beta}.safetensors"  # one for each β
    _held = Tuning(_steps, beta=my_beta, world=_world, path=_where).run(until=80)
    _held.save("my_run.json")
    print(f"my_run.json is the run with β = {my_beta:g}")
    _tuned = [_tuned[0], _held]

# %% [markdown]
# **Look at the texts first**, at equal steps: at the start, half-way and at the end. Texts begin
# with their prompt; only what was written after it is counted.

# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    _both = shared_steps(_tuned)
    for _at in sorted({_both[0], _both[len(_both) // 2], _both[-1]}):
        show_texts(_tuned, _at)

# %% [markdown]
# Now the curves. **Predict** from the texts: which of the measures would have warned you, if you
# could not read?

# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    plot_groups(by_beta(_tuned), ("proxy", "gold", "kl", "distinct_2", "entropy"))
    print_at_best(_tuned)
    _free = _tuned[0]
    for _run in _tuned:
        print_warnings(_run)
    _peak = _free.step[_free.gold.index(max(_free.gold))]
    outcome("gold_peak", A=_peak <= 20, B=_peak <= 60, C=True)

# %% [markdown]
# When the proxy rises and what it stands for does not follow, this is **reward hacking**: nothing
# is broken, the proxy is being maximised. Gold is not there in a real run; distinct pairs and
# entropy need no judge. Did they warn before gold fell? And in the held run: if they halve and gold
# does not fall, is that a false alarm, or something that gold does not see? Keep the question for
# 6.7.
#
# Now read what was written at gold's best without a penalty: does it deserve the most gold of the
# run?

# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    show_texts(_tuned, _peak)

# %% [markdown]
# Gold is a judge, too, and 6.7 asks what it is worth. Compare the two runs: did the penalty bring
# more gold, gold that lasts, or neither? (A large β also holds back what is worth learning. And of
# the five seeds of 6.7 this one, which everybody trains, has the most gold on the way without a
# penalty.) Would stopping in time have done as well? One pair of runs cannot tell; lesson 07 asks
# many.
#
# Which words has the policy without a penalty learned to write? And were they the best there were?

# %% demo
if ready("freeze_reference", "group_advantage", "grpo_loss", "train_step"):
    print_words(_world, _tuning.policy)
    print_winners([run for run in recorded() if run.beta == 0])

# %% [markdown]
# The word of greatest weight need not win: only what is drawn can be rewarded, so a word has to be
# likely as well as liked. Nor is that all: *has* is likelier than *love*, and liked as much. With
# other seeds, the last line says, other words win. What is drawn a little more often in the first
# steps is paid more often, and drawn more often still.
#
# Try another `my_beta`, and run the cells from there again. How small may it be before the texts
# go? Each run is saved over `my_run.json`: let the last be the one that lesson 07 shall read.

# %% [markdown]
# ## 6.7 The record: several β, five seeds *(no points, 45 min)*
#
# One pair of runs is an anecdote. The same training was recorded once for six β, with five
# seeds each and 100 steps. **Predict**: some β has the most gold at the end, by the mean over
# seeds. Which β comes second?
#
# - **A**: its smaller neighbour: to let go too much costs less than to hold too much
# - **B**: its larger neighbour: to hold too much costs less
# - **C**: one that is no neighbour

# %% predict="second_beta"
predict("second_beta", ...)

# %% demo
_sweep = recorded()
_betas = sorted({run.beta for run in _sweep})
plot_ends(_sweep, ("proxy", "gold", "kl"))

# %% demo
print_record(_sweep)
_first, _second = ranked(_sweep, "gold")[:2]
_between = _betas.index(_second) - _betas.index(_first)
outcome("second_beta", A=_between == -1, B=_between == 1, C=True)

# %% [markdown]
# The proxy's own choice of β needs no gold, and is the wrong one wherever the two differ. The
# lowest KL is no goal either: next to ref there is little to gain. Where ranges overlap, look seed
# by seed, as the line below the table does: runs of one seed begin with the same responses. (The
# row *ref* is one model: its range is the noise of a single measurement.)
#
# Did the penalty bring more gold, gold that lasts, or neither? *Gold at its best* on the way
# answers that, as far as a highest measurement can, which is partly luck. With β = 0.1 the penalty
# brought both: more gold than β = 0 ever has, at every seed, and gold that lasts. With 0.5 and 1
# it brought less. Lesson 07 asks again, with care.

# %% [markdown]
# ### What is gold worth here?
#
# Gold is a network. Two judges can be asked that no run was trained by: VADER's rules for praise,
# −1 to 1; and SmolLM2's surprise, in nats a word. Less surprise reads more like English, unless it
# is a loop, which surprises nobody; so *readable*, 0 to 1, is made from that surprise and from how
# much a text repeats. **Predict**: with which β is the praise highest, and with which β do the
# texts read best?

# %% demo
_outside = recorded_outside()
print_outside(_outside, _sweep)

# %% [markdown]
# (Gold learned from *readable*, on texts of other models; from VADER nothing.) Praise alone would
# choose a β whose texts can hardly be read; gold is high where both are. Text by text, how closely
# do they go together? *Readable praise* is the product of the two. And what do gold's own three
# factors say, by β?

# %% demo
print_agreement(_outside)
print_factors(_world, _sweep)

# %% [markdown]
# Gold goes with readable praise far better than the proxy does. But VADER's praise by itself does a
# little better (it is half of the product), and with *readable* alone gold goes weakly. And see its
# own factors at β = 0: it finds the texts several times as readable as the judge from outside does,
# and rating × readable is more than at β = 0.5. What brings gold to nearly 0 is the count of
# different words.
#
# So a network that judges is fooled, too, if later than the proxy; you read in 6.6 what stood at
# gold's best without a penalty. Hence the count, five seeds, judges from outside, and reading.

# %% [markdown]
# All of these judges read one text at a time. A policy that writes nearly the same good sentence to
# every prompt loses nothing by any of them; that shows in *distinct pairs* alone, which is counted
# over all texts of a measurement. If entropy and distinct pairs halved in your held run of 6.6,
# this is what they rang for. Which β would you take by gold, *readable* and distinct pairs? (Lesson
# 07 comes back to it.)
#
# ### Read for yourself
#
# Ten pairs: one text is ref's, the other was written to the same prompt at the end of a run with β
# = 0.2, the one with which methods are compared below. A coin decided which of them is A. Choose by
# the question that is printed; it asks for praise, too, so that a text may win by being kind. (You
# know some words of the tuned model from 6.6, so you may guess. The readers below did not.)

# %% demo
_shared, _read = methods_beta(), preferences()
print(_read.question if _read else "Which would you rather read?")
_unread = [run for run in _sweep if run.seed > 0]  # ref's texts of seed 0 stood in 6.6
_blind = blind_pairs(_unread, _shared, n_pairs=10, seed=6)
show_pairs(_blind.pairs)

# %% demo
# Ten letters in a string, "ABBA…": for each pair, the text that you would rather read.
_choices = ...

# %% demo
if written(_choices) and letters(_choices, len(_blind.pairs)):
    _yours = letters(_choices, len(_blind.pairs))
    _for_tuned = sum(one == other for one, other in zip(_yours, _blind.tuned, strict=True))
    print(f"{_for_tuned} of your {len(_yours)} are of the tuned model, β = {_shared:g}:", end=" ")
    print(f"its letters were {_blind.tuned}.")

# %% demo
if _read:
    print_preferences(_read)

# %% [markdown]
# Your ten are few: of ten tosses of a coin, 7 or more fall on one given side in every sixth try.
# Theirs are enough, though two language models are not two people: each took the tuned text clearly
# more often than ref's, and nearly always against β = 0. So the penalty saved the text, and by that
# question the training was worth having; part of it is kindness, which was asked for. (β = 0.2 has
# less gold than 0.1 and reads better.)
#
# Last, the texts of the record, at equal steps: no penalty, the weight with the most gold, the
# largest weight. Where widgets run, sliders below the table move step and seed. Where a table and
# your own reading disagree, trust the reading, and say so.

# %% demo
browse_texts(_sweep, sorted({0.0, _first, _betas[-1]}))

# %% [markdown]
# ## 6.8 The sampler is another program *(6 points, 30 min, easy)*
#
# Here one program draws and trains. Large runs draw with a fast sampler and train with another
# program: the same weights, rounded otherwise, so tokens come from a policy that is not quite old
# ([trl #3867](https://github.com/huggingface/trl/pull/3867),
# [verl #2953](https://github.com/verl-project/verl/pull/2953)). The trainer then scores each batch
# before its first step, and weighs each token by what the sampler drew too often or too rarely:
#
# $$w_t = \min\bigl(\exp(\log \text{trainer} - \log \text{sampler}),\ \text{cap}\bigr)$$
#
# **Predict**: why is a weight a constant, when $\rho$ in front of $k_3$ is not?


# %% exercise="truncated_weights"
@shaped
def truncated_weights(
    logp: Float[Tensor, "batch time"],
    sampler_logp: Float[Tensor, "batch time"],
    mask: Bool[Tensor, "batch time"],
    cap: float,
) -> Float[Tensor, "batch time"]:
    """How much each token counts when the sampler that drew it is not quite the trainer's policy.

    logp: log-probability of each token as the trainer computes it, in nats.
    sampler_logp: as the sampler noted it when the token was drawn.
    mask: True on response tokens; what stands elsewhere is never read.
    cap: what no weight exceeds, above 0.
    Returns trainer/sampler or cap, whichever is less, on real tokens, 0 elsewhere. A weight is a
    constant: it has no gradient.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: truncated importance sampling, as in TRL (its pull request 3867).
    Example: cap 2: half as likely for the trainer gives 1/2, four times as likely gives 2.
    """
    ### BEGIN SOLUTION
    with torch.no_grad():
        gap = torch.where(mask, logp - sampler_logp, -torch.inf)  # exp of it is 0
        return gap.exp().clamp(max=cap)
    ### END SOLUTION


# %% check="truncated_weights" points=6
check("truncated_weights", truncated_weights)

# %% [markdown]
# Both numbers are fixed before the step: the sampler drew, and the trainer, not yet moved, says how
# often it would have. ($\rho$ has the policy in it, which moves during the step.) **Look at yours**
# on this model. The trainer computes in float32; four samplers have its weights: one as they are,
# one that computes in bfloat16 (8 significant bits), one whose weights are stored in 8 bits (4
# significant ones), and one that draws by *top-p*: from S, the likeliest tokens that hold 0.9 of
# the mass, and from no other (lesson 04). **Predict** the mean of the ratio trainer/sampler for
# each.

# %% demo
_samplers = {"float32": _world.model, "bfloat16": copy.deepcopy(_world.model).bfloat16()}
_samplers["8-bit weights"] = in_eight_bits(_world.model)
with torch.no_grad():
    _scores = {n: network(_cold.tokens)[:, :-1] for n, network in _samplers.items()}
_log_probs = {
    name: scores[_cold.response_mask].double().log_softmax(-1)  # place token
    for name, scores in _scores.items()
}
_trainer = _log_probs["float32"]
_in_s = likeliest(_trainer, mass=0.9)
_log_probs["top-p 0.9"] = _trainer.masked_fill(~_in_s, -torch.inf).log_softmax(-1)

# %% demo
if ready("truncated_weights"):
    print_ratios(_log_probs, _trainer, truncated_weights, cap=1.2)
    print(f"the trainer's mass of S: {(_trainer.exp() * _in_s).sum(-1).mean():.4f}")

# %% [markdown]
# Rounding leaves the mean at 1: sampler · trainer/sampler adds up to 1 wherever nothing is left
# out. So, weighted, the sampler's tokens stand for the trainer's. The cap bounds what one token can
# do; its price is a mean below 1.
#
# Top-p is another kind of difference. What is outside S is never drawn, so no weight can bring it
# back: at each place the ratio is the same for all of S, and its mean is the trainer's mass of S.
# The cure is a trainer that scores within S.
#
# A token's weight corrects that token, not what came before it. The ratio of a whole *response* is
# the product of its tokens' ratios: right, and spread wider. And what is beyond the cap may be
# *capped* (truncated) or *dropped* (masked). **Predict**: which of the two moves the mean more?

# %% demo
if ready("truncated_weights"):
    _eight = sample(_samplers["8-bit weights"], _world.prompts(64), 16, _generator)
    _real = _eight.response_mask
    _gap = torch.where(_real, response_log_probs(_world.model, _eight.tokens) - _eight.logp, 0.0)
    _ratios = {"each token": _gap[_real], "each response": _gap.sum(dim=1)}
    print_caps(_ratios, truncated_weights, caps=(1.2, 3.0))

# %% [markdown]
# Dropping costs more of the mean; why then does TRL (1.16) drop, whole responses, beyond a ratio of
# 3? What is beyond it was drawn by a sampler that has come far from the trainer, or is broken.
# Capped, it would teach with three times a usual weight; dropped, it teaches nothing. Here nothing
# is beyond 3, and what is off 1 without a cap is the noise of the draws. (TRL weighs the surrogate
# so, not the penalty.)

# %% [markdown]
# ## 6.9 In the reward or in the loss? *(1 point, 20 min, medium)*
#
# Same tokens, drawn from the policy itself, and the same β; score and advantage are 0, so that only
# drift is at work.
# *In the reward*: what `kl_shaped_rewards` gives, added up from each token to the end, weighs
# the gradient of that token's logp. *In the loss*: β · $k_3$ of each token is differentiated, as
# it is (GRPO's paper) or weighted by its ratio. (What the three do in training: 6.10.)
#
# Lesson 04 had a case that can be enumerated: all 27 responses of three tokens. Two cells put
# your three functions on it. **Predict**: which of the gradients is that of KL(policy ‖ ref) of
# whole responses?

# %% [markdown]
# **Quiz.** Drift in the reward, or as GRPO's paper has it in the loss: what is the difference?
#
# - A: In the reward an early token is charged for the drift that it leads to, and the expected
#   gradient is that of KL(policy ‖ ref). In the loss it is not, and the direction is another.
# - B: None in expectation: $k_1$ and $k_3$ are both unbiased, so both places estimate β times the
#   same divergence, and have the same expected gradient. They differ in spread alone.
# - C: In the reward drift is a constant: it has no gradient of its own, so it shifts what is
#   reported and holds nothing back. Only in the loss can it act on the policy.
# - D: In the loss the gradient is that of KL(policy ‖ ref), because $k_3$ is unbiased and never
#   negative. In the reward it is only an approximation, as a log-ratio may be negative.
#
# Settle on one before you run the next two cells; below them you answer with its letter.

# %% demo
if ready("kl_shaped_rewards", "grpo_loss", "grpo_loss_unbiased", gradient=True):
    _responses = all_responses(seed=1, time=3)
    _logp, _ref_logp = _responses.logp(), _responses.ref_logp()
    _chance = _logp.sum(dim=1).exp()
    _nothing = torch.zeros(len(_logp), dtype=torch.float64)
    _real = torch.ones_like(_logp, dtype=torch.bool)
    _paid = kl_shaped_rewards(_nothing, _logp, _ref_logp, _real, beta=1.0)
    # minus: what is paid is the price with its sign turned, and the price is to be minimised
    _drift = {"reward": _responses.return_to_go_loss(-_paid)}
    for _name, _loss in (("loss", grpo_loss), ("loss, weighted", grpo_loss_unbiased)):
        _in_loss = [  # 3 *: the loss is a mean over 3 tokens, their sum is wanted
            3 * _loss(lp[None], lp[None], rlp[None], _nothing[:1], _real[:1], 0.2, beta=1.0)
            for lp, rlp in zip(_logp, _ref_logp, strict=True)
        ]
        _drift[_name] = torch.stack(_in_loss)
    _push = {n: _responses.gradient((_chance.detach() * x).sum()) for n, x in _drift.items()}

# %% demo
if ready("kl_shaped_rewards", "grpo_loss", "grpo_loss_unbiased", gradient=True):
    _forward = exact_kl(_responses.ref_logits, _responses.logits)[_responses.beginnings].sum(dim=1)
    _candidates = {
        "∇KL(policy ‖ ref), whole responses": (_chance * (_logp - _ref_logp).sum(dim=1)).sum(),
        "∇KL(ref ‖ policy), token by token": (_chance.detach() * _forward).sum(),
        "∇KL(policy ‖ ref), token by token": (
            _chance.detach() * _responses.next_token_kl().sum(dim=1)
        ).sum(),
    }
    print(f"{'relative error to':35}", *(f"in the {name:16}" for name in _push))
    for _claim, _total in _candidates.items():
        _candidates[_claim] = _wanted = _responses.gradient(_total)
        _errors = [(x - _wanted).norm() / _wanted.norm() for x in _push.values()]
        print(f"{_claim:35}", *(f"{error:<23.1g}" for error in _errors))
    for _wanted, _found in zip(_candidates.values(), _push.values(), strict=True):
        assert torch.allclose(_found, _wanted, rtol=0, atol=1e-10)

# %% [markdown]
# Now answer the quiz, with a letter.

# %% quiz="q06_reward_or_loss"
q06_reward_or_loss = "A"

# %% check="q06_reward_or_loss" points=1
check("q06_reward_or_loss", q06_reward_or_loss)

# %% [markdown]
# The ratio changes the direction. It does not charge an early token for the drift that it leads
# to; of the three, only the reward does.

# %% [markdown]
# ### Read a trainer's settings *(4 points, 15 min, medium)*
#
# A run on one machine, invented, in the words of TRL 1.16. What is not set has its default:
#
# ```python
# GRPOConfig(
#     beta=0.05, epsilon=0.2, num_iterations=2, temperature=0.8, loss_type="bnpo",
#     ref_model_sync_steps=64, vllm_importance_sampling_clip_max=2.0,
# )
# ```
#
# | setting | default | what it is for |
# |---|---|---|
# | `use_bias_correction_kl` | True | weighs $k_3$ by the ratio policy/old, token by token |
# | `sync_ref_model` | False | moves ref towards the policy, every `ref_model_sync_steps` steps |
# | `use_vllm` | False | draws with vLLM; `vllm_…` say how, and how it is corrected for |
# | `temperature` | 1.0 | divides the logits, of drawing and of scoring |
# | `num_iterations` | 1 | how often a batch is used before the next is drawn |
# | `loss_type` | dapo | which mean over tokens; bnpo is that of `grpo_loss`, over one machine's batch |

# %% [markdown]
# **Quiz.** Four questions; answer with a dict, a letter for each:
# `q06_configuration = {"place": "…", "towards": "…", "gradient": "…", "unused": "…"}`.
#
# `place`: where is drift charged?
#
# - A: in the reward of each token, so that it reaches the update through the advantage
# - B: in the loss, within the clip: a token beyond it pays nothing more
# - C: in the loss, beside the clipped surrogate, whatever the clip does
# - D: nowhere: with `num_iterations=2` it is `epsilon` that holds the policy
#
# `towards`: towards which policy does it pull?
#
# - A: the one that drew the batch
# - B: the model that training began with
# - C: a copy of the policy that is renewed every 64 steps
# - D: the sampler, which is another program

# %% [markdown]
# `gradient`: what is the charge's expected gradient, at the first step on a later batch?
#
# - A: that of KL(ref ‖ policy), token by token
# - B: 0, as the ratio is 1 there
# - C: that of KL(policy ‖ ref) of whole responses
# - D: that of KL(policy ‖ ref), token by token
#
# `unused`: what is set, and silently does nothing?
#
# - A: `ref_model_sync_steps` and `vllm_importance_sampling_clip_max`
# - B: `epsilon`, as the penalty takes its place
# - C: `temperature`, beyond the drawing of tokens
# - D: `num_iterations`

# %% quiz="q06_configuration"
q06_configuration = {"place": "C", "towards": "B", "gradient": "D", "unused": "A"}

# %% check="q06_configuration" points=4
check("q06_configuration", q06_configuration)

# %% [markdown]
# On a first reading you may stop here: read *What to take along*, near the end, and hand in.

# %% [markdown]
# ## 6.10 What readers asked to see run *(no points, 45 min, second reading)*
#
# The same task, with one thing changed, five seeds each:
#
# - *Where* drift is charged, at one β: $k_1$ in the reward, from each token to the end of its
#   response (6.2); $k_3$ in the loss, as in the sweep; ρ · $k_3$ in the loss. In all three the
#   score is the group's advantage, so a nat costs β *spreads* of the group.
# - *Mean only*: the advantage without its division by the spread
#   ([Dr. GRPO](https://arxiv.org/abs/2503.20783)). Here a nat costs β *points of rating*, so the
#   same number is another weight.
#
# (Two more are kept for lesson 07: β = 0 at a third of the rate, and Ziegler's controller.)
#
# By 6.9 the first three have different gradients. **Predict**: charged in the reward, where does
# KL end, beside $k_3$ in the loss?
#
# - **A**: lower, at every seed
# - **B**: higher, at every seed
# - **C**: their seeds overlap

# %% predict="where_charged"
predict("where_charged", ...)

# %% demo
_kept = ("in the reward, k1", "in the loss, ρ·k3", "advantage: mean only")
_methods = {name: recorded_methods()[name] for name in _kept}
_usual = {f"in the loss, k3 (β = {_shared:g})": by_beta(_sweep)[f"β = {_shared:g}"]}
print_ends(_usual | _methods, ("proxy", "gold", "kl"))
_by_loss = ends(_sweep, _shared, "kl")
_by_reward = [at_end(run, "kl") for run in _methods["in the reward, k1"]]
outcome(
    "where_charged",
    A=max(_by_reward) < min(_by_loss),
    B=min(_by_reward) > max(_by_loss),
    C=True,
)

# %% [markdown]
# Ranges that overlap may still differ seed by seed: runs of one seed begin with the same responses.
# And what is it that differs? At a token, ρ · $k_3$ pushes by (log policy − log ref) ∇log policy
# (the box of 6.4), and so does the reward. The reward adds the drift of every *later* token.
# **Predict**: what does that do to the length of the responses?

# %% demo
_by_loss = {
    "k3 in the loss": _usual[f"in the loss, k3 (β = {_shared:g})"],
    "ρ·k3 in the loss": _methods["in the loss, ρ·k3"],
}
print_ends(_usual | _methods, ("length", "entropy", "forgotten"), began=_sweep)
print("\ncharged in the reward it ends higher, at so many seeds, than with")
_compared = ("proxy", "gold", "kl", "entropy", "length", "KL a token")
print_seed_by_seed(_methods["in the reward, k1"], _by_loss, _compared)

# %% [markdown]
# A word that ends the response is credited with the drift that it saves, in the reward alone. So a
# policy that is charged there can save by ending early, and spend what it saved on the words that
# it does write: see the rows *length* and *KL a token*. What is charged token by token cannot know
# of that saving. Whether this is all of the difference in KL, the record does not say; nor why
# $k_3$ in the loss ends shorter than ref, too, and ρ · $k_3$ does not.
#
# At one β the methods spend differently. Has one that ends with more gold spent better, or more?

# %% demo
plot_frontier(_sweep, _methods)
for _name, _changed in _methods.items():
    _over = torch.tensor(over_the_sweep(_changed, _sweep))
    print(f"{_name}: above the sweep of its seed at {(_over > 0).sum()} of {len(_over)}", end="")
    print(f", by {_over.mean():+.2f} in the mean" * bool(len(_over)))

# %% [markdown]
# The grey line is the sweep, from β = 1 to 0. What lies on it is another way to the same trade.
# What lies above it, at every seed, would be a better way: five of five come by chance once in 32.
# (The sweep of one seed is measured at six places, with noise; between them it is taken as
# straight in √KL.)
#
# Then four steps on each batch, and what holds them: nothing, the clip of 05, DPPO's mask, a
# penalty (the β above), or clip and penalty. 24 batches, 96 steps of the optimiser. By 6.4 you know
# who ends nearest to ref. **Predict**: who ends with the most *gold*, by the mean over seeds?
#
# - **A**: the clip, alone
# - **B**: the mask
# - **C**: the penalty, alone or beside the clip

# %% predict="most_gold"
predict("most_gold", ...)

# %% demo
_epochs = recorded_epochs()
plot_groups(_epochs, ("proxy", "gold", "kl"), along="batch")
print_ends(_epochs, ("proxy", "gold", "kl"))
_gold = {name: sum(at_end(run, "gold") for run in runs) for name, runs in _epochs.items()}
_most = max(_gold, key=_gold.get)
outcome("most_gold", A=_most == "clip", B=_most == "mask", C="penalty" in _most)

# %% [markdown]
# The clip goes slower, and 24 batches later that is a good place to be: see its gold. The penalty
# ends nearer to ref (with β = 0.2; in the sweep 0.1 has more gold). But neither clip nor mask
# knows where all the steps lead: they bound a step away from *old*, and every batch has an old of
# its own. They are there for one update, to keep it near the data that it was computed from
# (lesson 05 measures that). Of these five only the penalty has ref in it. That KL would rise
# without end under the clip is not shown: 24 batches are few, and it rises with all.

# %% [markdown]
# ### What is forgotten
#
# Back to the sweep, along the runs (lines: means; shaded: from the least to the greatest seed).
# **Predict**: without a penalty, what is the perplexity on people's sentences at the end, over what
# it was before?
#
# - **A**: within 10% of it
# - **B**: up to twice as high
# - **C**: more than twice as high

# %% predict="forgetting"
predict("forgetting", ...)

# %% demo
plot_groups(by_beta(_sweep, sorted({0.0, _first, _betas[-1]})))
plot_ends(_sweep, ("distinct_2", "entropy", "forgotten"))
_lost = ends(_sweep, 0.0, "forgotten")
print(f"forgetting with β = 0: {spread_text(_lost)}; with β = {_first:g}:", end=" ")
print(spread_text(ends(_sweep, _first, "forgotten")))
_nats, _times = (torch.tensor([ends(_sweep, beta, n) for beta in _betas])
                 for n in ("kl", "forgotten"))  # fmt: skip
_times = _times.log()  # beta seed
_apart = (each - each.mean(dim=1, keepdim=True) for each in (_times, _nats))
_found = correlation(_times.flatten(), _nats.flatten())
print(f"log forgetting and KL correlate: over all runs {_found:+.2f}", end=", ")
print(f"between the seeds of one β {correlation(*(each.flatten() for each in _apart)):+.2f}")
_mean = sum(_lost) / len(_lost)
outcome("forgetting", A=abs(_mean - 1) <= 0.1, B=_mean <= 2, C=True)

# %% [markdown]
# Nobody trained on people's sentences here, and nothing in the proxy speaks of them: what the
# policy knew of them is lost on the way to where it is paid. *RL's razor*
# ([arXiv 2509.04259](https://arxiv.org/abs/2509.04259)) found, in larger models, that forgetting
# goes with KL(ref ‖ policy) on the new task, whichever method got there. Here it is set beside
# KL(policy ‖ ref), in the line that begins with *log forgetting*: over all runs they go together
# closely, but both follow β. Between seeds of one β, five each, they do not.
#
# In many runs of others entropy falls, and reward seems to be bought with it
# ([arXiv 2505.22617](https://arxiv.org/abs/2505.22617)): a policy that is sure of everything has
# nothing left to try. Does it fall here, and with which β most? The dashed line is ref.

# %% [markdown]
# ### When β = 0 is right
#
# Charging for drift presumes that the reward is worth less the further one goes. Where a program
# checks the answer, as in mathematics or code, it is worth the same everywhere, and the model is
# meant to go far: [DAPO](https://arxiv.org/abs/2503.14476) and
# [Dr. GRPO](https://arxiv.org/abs/2503.20783) drop the penalty there, and save the memory of ref;
# TRL's default is 0.
#
# Others keep a small one on such rewards:
# [DeepSeek-R1](https://arxiv.org/abs/2501.12948), trained partly on a learned reward as well;
# [DeepSeek-V3.2](https://arxiv.org/abs/2512.02556), with a strength for each domain;
# [ProRL](https://arxiv.org/abs/2505.24864), which moves ref now and then, so as to train on.

# %% [markdown]
# So ask: can the reward be fooled? Is there something to forget? Does the run go on for long? With
# three times no, β = 0 saves a network. And a smaller learning rate, or fewer steps, also ends
# nearer to ref: lesson 07 has that control.

# %% [markdown]
# ## 6.11 A real model *(no points, 15 min, second reading)*
#
# The same functions, on SmolLM2-135M-Instruct: a hundred times the parameters, trained on two
# trillion tokens. It continues four openings by 12 tokens; the reward is VADER's praise, by rules
# that anyone can read; 60 steps. The runs are those that the cell names. *Surprise* is the model's
# own, as it was before it was tuned, at what is now written: in nats a word. **Predict**: with β =
# 0, how surprising are the texts at the end, beside those at the start?
#
# - **A**: it depends on the seed
# - **B**: more, with every seed
# - **C**: less, with every seed

# %% predict="own_surprise"
predict("own_surprise", ...)

# %% demo
_real = recorded_smollm2()
print("recorded: " + ", ".join(f"β = {run.beta:g} seed {run.seed}" for run in _real))
plot_groups(by_beta(_real), ("praise", "kl", "nats_a_word", "distinct_2"))
_rises = [at_end(run, "nats_a_word") > run.nats_a_word[0] for run in _real if run.beta == 0]
outcome("own_surprise", A=len({*_rises}) > 1, B=all(_rises), C=True)

# %% demo
_largest = max(run.beta for run in _real)
for _seed in sorted({run.seed for run in _real}):
    _shown = [run for run in _real if run.seed == _seed and run.beta in (0, _largest)]
    print(f"seed {_seed}")
    show_texts(_shown, _real[0].step[-1])

# %% demo
print_both_models(_sweep, _real)

# %% [markdown]
# What is far from English surprises, and a loop does not: a policy that nothing holds may end in
# either, so surprise alone warns of neither. Distinct pairs fall in both.
#
# The two models have different rewards, rates and lengths, so compare directions, not numbers. A
# larger model starts from better text and has more of it to lose; the rules that pay it are as
# blind as our proxy is, and it, too, goes where they pay. What this record cannot say: how a model
# of a thousand times the size, a reward model of its kind and a long run would end.

# %% [markdown]
# ## From here to TRL, verl, OpenRLHF *(to look up)*
#
# What you wrote, and what it is called where it is used; behind each name its default. TRL is
# version 1.16 (`GRPOConfig`), verl commit `b178a3c` (0.8.0.dev; `a.b` stands for
# `actor_rollout_ref.actor.b` where it begins with *actor*), OpenRLHF commit `3c3be62` (0.11.0).
#
# | here | TRL | verl | OpenRLHF |
# |---|---|---|---|
# | ε, the clip from old | `epsilon` 0.2, `epsilon_high` None | `actor.clip_ratio` 0.2, `…_low`, `…_high` | `actor.eps_clip` 0.2 |
# | β, drift from ref | `beta` 0.0 | `actor.kl_loss_coef` 0.001, `algorithm.kl_ctrl.kl_coef` 0.001 | `algo.kl.init_coef` 0.01 |
# | charged in the loss | always | `actor.use_kl_loss` false | `algo.kl.use_loss` off |
# | charged in the reward | never | `algorithm.use_kl_in_reward` False | where `use_loss` is off |
# | estimator | $k_3$ with `use_bias_correction_kl` True: ρ · $k_3$ | loss: `actor.kl_loss_type` low_var_kl, $k_3$; reward: `algorithm.kl_penalty` kl, $k_1$ | `algo.kl.estimator` k1; for the loss it recommends k2 or k3 |
# | controller of β | none | `algorithm.kl_ctrl.type` fixed; adaptive: `target_kl` 0.1, `horizon` 10000 | `algo.kl.target` None, `algo.kl.horizon` 10000 |
# | steps on a batch | `num_iterations` 1 | `actor.ppo_epochs` 1 | `train.max_epochs` 1 |

# %% [markdown]
# | here | TRL | verl | OpenRLHF |
# |---|---|---|---|
# | responses to a prompt | `num_generations` 8 | `actor_rollout_ref.rollout.n` 1 | `rollout.n_samples_per_prompt` 1 |
# | advantage of a group | `scale_rewards` group | `algorithm.adv_estimator` gae; for ours: grpo, `norm_adv_by_std_in_grpo` True | `algo.advantage.estimator` gae; for ours: group_norm; mean only: dr_grpo |
# | mean over tokens | `loss_type` dapo | `actor.loss_agg_mode` token-mean | over all tokens |
# | sampler ≠ trainer | `vllm_importance_sampling_mode` sequence_mask, `vllm_importance_sampling_clip_max` 3.0 | `algorithm.rollout_correction.rollout_is` null, `rollout_is_threshold` 2.0 | `algo.advantage.is_correction_enable` off, `…_type` tis |
# | drawing | `temperature` 1.0, `top_p` 1.0 | `rollout.temperature` 1.0, `rollout.top_p` 1 | `rollout.temperature` 1.0, `rollout.top_p` 1.0 |
# | a ref that moves | `sync_ref_model` False | | |
#
# So three trainers with "the defaults" are three methods: TRL and verl charge nothing, but TRL
# compares a group and verl learns a critic; OpenRLHF charges $k_1$ in the reward. verl also has
# `k3+`: $k_3$'s value with $k_2$'s gradient, your cure of 4.7. Before a run, find β, the place and
# the estimator in the log, not in memory.

# %% [markdown]
# ## What to take along
#
# - ref is a frozen copy of where training began; old is who drew the tokens. Before the first
#   step the ratio is 1: assert it.
# - Drift in the reward has the gradient of KL(policy ‖ ref) of whole responses. In the loss each
#   token stands for itself: on the policy's own tokens $k_3$ as in GRPO's paper has that of
#   KL(ref ‖ policy); weighted by the ratio (DeepSeek-V3.2, TRL since 1.10) that of KL(policy ‖ ref),
#   whoever drew.
# - Equal weights in two programs are two policies. Look at the ratio, weigh by it, and cap it; what
#   a sampler never draws no weight brings back.
# - A group's advantage is in units of the group's spread; so is what β is weighed against.
# - A proxy is nearest to right about the data it was learned from. An optimiser goes elsewhere.
# - A judge that is a network is fooled too, later; a count within a text, by one text for all. So
#   count over all texts as well, and read.
# - Log what the proxy cannot see: KL, entropy, distinct pairs, what is forgotten. Read the texts.

# %% demo
progress("06_language_model")
predictions("06_language_model")

# %% [markdown]
# Next: **07 · Analysing the impact of a penalty**. The record and your own run, `my_run.json`:
# how much gold each nat is worth, which β to choose, and what went wrong in a run. It finds
# `my_run.json` where it lies now. (On Colab, download it here and upload it there.)
