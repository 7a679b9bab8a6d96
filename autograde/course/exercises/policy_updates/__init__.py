"""Exercises of lesson 01: from reward to an update, and why a large one breaks."""

# In the order of the lesson.
ORDER = (
    "token_log_probs",
    "masked_mean",
    "importance_ratio",
    "surrogate_objective",
    "q01_penalty_role",
    "q01_parameter_or_policy",
)
