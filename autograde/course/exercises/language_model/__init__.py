"""Exercises of lesson 06: the same update on a language model."""

# In the order of the lesson.
ORDER = (
    "freeze_reference",
    "kl_shaped_rewards",
    "group_advantage",
    "grpo_loss",
    "grpo_loss_unbiased",
    "train_step",
    "truncated_weights",
    "q06_reward_or_loss",
    "q06_configuration",
)
