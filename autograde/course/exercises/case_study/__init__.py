"""Exercises of lesson 07: how much divergence a proxy is worth, and what went wrong in a run."""

# In the order of the lesson.
ORDER = (
    "fit_overoptimization",
    "best_kl",
    "held_out_error",
    "q07_diagnose",
)
