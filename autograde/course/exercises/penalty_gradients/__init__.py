"""Exercises of lesson 04: which number may be differentiated."""

# In the order of the lesson.
ORDER = (
    "expected_gradient",
    "on_policy_kl_loss",
    "off_policy_kl_loss",
    "response_kl_loss",
    "q04_bug_museum",
)
