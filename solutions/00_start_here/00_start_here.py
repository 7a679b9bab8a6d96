# %% [markdown]
# # 00 · Start here: how this course works
#
# After this lesson you can
#
# - work through a step: predict, write, check, read the diagnosis, ask for a hint;
# - compute on a GPU when there is one, without writing its name;
# - compare two probabilities by their **log-ratio**, the number that all later lessons are made
#   of;
# - hand in your notebook.
#
# It takes about 25 minutes and needs a little Python and PyTorch.

# %% setup
import torch
from jaxtyping import Float
from torch import Tensor

from helpers import check, hint, pick_device, progress, ready, shaped
from helpers.plots.start_here import plot_log_ratios
from helpers.predicting import outcome, predict, predictions

torch.set_num_threads(1)  # sharing work costs more than it saves at this size

# %% [markdown]
# ## 0.1 What the course is about
#
# A language model is trained by rewarding its good answers. A large update can ruin it at one
# stroke, so one charges for how far the new policy moves from an old one:
#
# $$J_{\text{new}}(\theta) = J(\theta) - \beta \cdot D(\pi_\theta, \pi_{\text{old}})$$
#
# θ are the model's parameters, and π, the **policy**, is the model as a distribution over what
# it may write. J says how much reward an update promises, D how far the policy has moved, and
# β is the price of moving. You will derive each part, write it, and see it at work: J in lesson
# 01, D in 02, what β does in 03 and 05. The idea is in Xiao & Zhu, *Foundations of Large
# Language Models*, [section 4.3.3](https://arxiv.org/abs/2501.09223).

# %% [markdown]
# ## 0.2 How a step works
#
# Run the cells from top to bottom (Shift + Enter). A step asks you to **predict** something
# first: say your answer aloud or write it down, because a wrong prediction is what you
# remember. Where it offers letters, there is a cell to type yours into. Then there is a cell
# with a hole, `# YOUR CODE HERE`. The text in quotes above the hole says exactly what the
# function takes and returns; the shapes are in its first line, and `@shaped` checks them at
# every call. A **check** comes right after it.

# %% [markdown]
# Cells without a hole are not graded. Most only show something; where a line ends in dots,
# as `_beta = ...` does, write something of your own in their place, and the next cell says how
# near it is. Should such a cell stop with an error, no points are lost: go on with the next.
# Their names begin with `_`, so that every other name is free for you.

# %% [markdown]
# ## 0.3 A check says what is wrong
#
# In 0.5 you will write `log_ratio(p, q)`, which compares two probabilities. Suppose someone
# answers with the difference p − q. **Predict**: what is wrong with it, its values, its gradient,
# its shape? Then run it.
#
# Below the headline there is a line of parts with their points, then after **→** the
# *diagnosis*, the mistake that gives these very numbers, and then the first cases: what came
# and what should come.


# %% demo
def _someone_elses_answer(p, q):
    return p - q


check("log_ratio", _someone_elses_answer)

# %% [markdown]
# The values are wrong: ✗. The parts marked – wait for them, the gradient too. The points are added
# up part by part, so half an answer is worth something; only while the *values* are wrong,
# nothing counts. The shape is right, so nothing is said of it. Grading asks the same kind of
# questions with fresh numbers, so what passes by chance here does not pass there.
#
# ## 0.4 Hints
#
# Each exercise has three hints, each more explicit than the one before. They cost nothing. Run
# the cell once for the first; run it again for the next. For any other exercise, add a cell and
# type `hint("its_name")`; the check tells you the name.

# %% demo
hint("log_ratio")

# %% [markdown]
# ## 0.5 The log-ratio *(4 points, 5 min, easy)*
#
# How much likelier is a word under p than under q? The ratio p/q answers, and its logarithm
# answers better: twice as likely and half as likely are then equally far from 0, on either
# side.
#
# $$\log \frac{p}{q} = \log p - \log q$$
#
# The unit is the **nat**, from the natural logarithm.

# %% [markdown]
# In this course p is the policy's and q
# that of the policy it is compared with: above 0 means that the policy made the word likelier.
# **Predict** the sign and the rough size for p = 0.9, q = 0.3, and again with both exchanged.
# Then write it, for tensors of any shape.


# %% exercise="log_ratio"
@shaped
def log_ratio(
    p: Float[Tensor, "*leading"], q: Float[Tensor, "*leading"]
) -> Float[Tensor, "*leading"]:
    """How many times likelier p is than q, as a logarithm.

    p, q: probabilities in (0, 1].
    Returns log p − log q in nats: 0 where they are equal, above 0 where p is the larger.
    Raises TypeCheckError if shapes or kinds of numbers disagree.
    Source: Xiao & Zhu 2025, section 4.3.3, where the penalty is a sum of such differences.
    Example: p = 1/2, q = 1/4: log 2 = 0.693.
    """
    ### BEGIN SOLUTION
    return p.log() - q.log()
    ### END SOLUTION


# %% check="log_ratio" points=4
check("log_ratio", log_ratio)

# %% [markdown]
# Here is *your* function at work, on what you predicted, and on two invented opinions about the
# word after "The film was".
#
# A cell like this one waits until your function passes its check: until then it says what it
# waits for.

# %% demo
_words = ("great", "fine", "long", "dull")
_p = torch.tensor([0.60, 0.20, 0.15, 0.05])
_q = torch.tensor([0.30, 0.16, 0.30, 0.24])

if ready("log_ratio"):
    _high, _low = torch.tensor(0.9), torch.tensor(0.3)
    print(f"0.9 against 0.3: {log_ratio(_high, _low):+.3f}, ", end="")
    print(f"exchanged: {log_ratio(_low, _high):+.3f}")
    plot_log_ratios(_words, _p, _q, log_ratio(_p, _q))

# %% [markdown]
# From q to p, "great" went from 0.30 to 0.60 and "long" from 0.30 to 0.15: doubled and halved.
# Their log-ratios differ in sign alone, although one changed by 0.30 and the other by 0.15.
# "dull" lost 0.19, less than "great" gained, and is the furthest from 0: it was divided by
# nearly 5.

# %% [markdown]
# **Predict**: a response is several words, and their probabilities are multiplied. Let the four
# numbers of p, and of q, now be those of four words that follow each other. What happens to
# their log-ratios?
#
# - **A**: they are multiplied
# - **B**: they are added
# - **C**: they are averaged
#
# Put your letter in place of the dots, as in `"B"`, and run the cell. It is not graded, and
# you may go on without; the next cell shows what comes out beside what you said.

# %% predict="whole_response"
predict("whole_response", ...)

# %% demo
if ready("log_ratio"):
    _of_the_product, _of_each = log_ratio(_p.prod(), _q.prod()), log_ratio(_p, _q)
    print(f"log-ratio of the two products {_of_the_product:7.4f}")
    print(f"of the four log-ratios: product {_of_each.prod():7.4f}, ", end="")
    print(f"sum {_of_each.sum():7.4f}, mean {_of_each.mean():7.4f}")
    assert torch.isclose(_of_the_product, _of_each.sum())
    outcome(
        "whole_response",
        A=torch.isclose(_of_the_product, _of_each.prod()),
        B=torch.isclose(_of_the_product, _of_each.sum()),
        C=torch.isclose(_of_the_product, _of_each.mean()),
    )

# %% [markdown]
# **Takeaway**: probabilities multiply, so their logarithms add, and log-ratios with them. The
# log-ratio of a whole response is the sum over its words, however long it is.
#
# ## 0.6 Which device?
#
# `pick_device()` is the GPU when there is one and the CPU otherwise. Put tensors on it and
# leave the name out: the same notebook then runs everywhere. Your functions need no change, and
# the first lessons do not need a GPU.

# %% demo
_device = pick_device()
print(f"computing on: {_device}")

if ready("log_ratio"):
    _there = log_ratio(_p.to(_device), _q.to(_device))
    print(f"the result is on: {_there.device}")
    assert torch.allclose(_there.cpu(), log_ratio(_p, _q), atol=1e-6)

# %% [markdown]
# ## 0.7 A question *(1 point, 2 min, easy)*
#
# A word's log-ratio log p − log q is log 2, about 0.69 nats. What does that say?
#
# - **A**: p is larger than q by 0.69.
# - **B**: q is twice p.
# - **C**: p is twice q.
# - **D**: p is about 1.69 times q.
#
# Put the letter in place of the dots, as in `"A"`. The check says whether you are right, and of
# a wrong answer why it is wrong; if your instructor keeps that for the grading, it says only
# whether the form is right.

# %% quiz="q00_units"
q00_units = "C"

# %% check="q00_units" points=1
check("q00_units", q00_units)

# %% [markdown]
# ## 0.8 Handing in
#
# 1. Restart the kernel and run all cells: what works only in the order you happened to click
#    fails there.
# 2. Save, and run the last cell, `submit`, once more: it says what is still open and packs the
#    notebook into `00_start_here.zip`, beside it; on Colab, your browser downloads that file.
# 3. Hand in that zip as your instructor says. The saved `.ipynb` file does as well, and "Copy of
#    …" or "(1)" in a name does no harm.
#
# Add cells wherever you like, for notes and trials. Keep one function in each exercise's cell,
# under its name, and leave the cells with the checks as they are. Half-finished is fine: each
# exercise is graded by itself. But a cell with a syntax error stops the run, and nothing below
# it is run: mend it, or put `raise NotImplementedError()` back.

# %% [markdown]
# ## What to take along
#
# - A step: predict, write, check; the diagnosis says which mistake it was.
# - log p − log q in nats: its sign says which is likelier, its exp how many times, and it adds
#   up.
#
# The next cell shows where you stand and what you predicted, and the last one hands in. After
# that comes **01_policy_updates**: from a reward to an update, and why a large one breaks.

# %% demo
progress("00_start_here")
predictions("00_start_here")
