"""Exercises of lesson 05: the update itself, penalised, clipped and adaptive."""

# In the order of the lesson.
ORDER = (
    "penalized_loss",
    "clipped_surrogate",
    "policy_update",
    "adapt_beta",
    "adapt_beta_proportional",
    "q05_clip_and_penalty",
    "divergence_mask",
    "q05_erratic",
)
