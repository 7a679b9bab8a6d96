"""Exercises of lesson 03: reward minus β times the divergence, exactly, on one choice."""

# In the order of the lesson.
ORDER = (
    "penalized_objective",
    "penalized_gradient",
    "optimal_policy",
    "beta_for_kl",
    "q03_beta_trust_region",
    "q03_beta_limits",
    "q03_choose_objective",
)
