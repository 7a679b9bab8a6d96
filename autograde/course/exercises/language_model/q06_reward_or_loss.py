"""Say how a penalty in the reward differs from one in the loss."""

from helpers.cases import VALUES

from ...exercise import Quiz

q06_reward_or_loss = Quiz(
    "q06_reward_or_loss",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Follow one early token. In which of the two forms can it be charged for drift that comes "
        "later in its response?",
        "Lesson 04 differentiated k1 and k3 where the policy itself drew the tokens. What was the "
        "expected gradient of k3? And what is that of a reward that is a constant, weighted by the "
        "gradient of logp?",
        "A constant can teach: the score does nothing else. Cross out the answer that denies it. "
        "Then hold each of the others against the errors that the lesson prints before its "
        "question.",
    ),
)

q06_reward_or_loss.distractor(
    "B",
    "They have the same expected value, and not the same gradient. k3 differentiated on the "
    "policy's own tokens gives that of KL(ref ‖ policy), token by token; k1 in the reward, with "
    "all that follows summed up, gives that of KL(policy ‖ ref).",
)

q06_reward_or_loss.distractor(
    "C",
    "A reward never has a gradient, the score has none either. It acts through the advantage, "
    "which weighs the gradient of logp: that is how any reward is learnt from.",
)

q06_reward_or_loss.distractor(
    "D",
    "It is the other way round: the log-ratio in the reward, negative or not, gives the gradient "
    "of KL(policy ‖ ref) in expectation. k3 as a loss gives that of KL(ref ‖ policy), and drops "
    "what a token leads to.",
)
