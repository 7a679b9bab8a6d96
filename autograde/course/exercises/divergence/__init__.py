"""Exercises of lesson 02: measuring how far the policy moved from the reference."""

# In the order of the lesson.
ORDER = (
    "categorical_kl",
    "q02_dynamics",
    "sequence_log_ratio",
    "q02_interpret_penalty",
    "k1",
    "k2",
    "k3",
)
