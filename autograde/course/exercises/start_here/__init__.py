"""Exercises of lesson 00: how this course works."""

# In the order of the lesson.
ORDER = (
    "log_ratio",
    "q00_units",
)
