"""Say what a log-ratio of log 2 means."""

from helpers.cases import VALUES

from ...exercise import Quiz

q00_units = Quiz(
    "q00_units",
    parts={VALUES: 1},
    hints=(
        "Undo the logarithm: what is exp of log 2?",
        "log p − log q is the logarithm of one number made of p and q. Which number is it here?",
        "log(p / q) = log 2, so p / q is known. Say that in words.",
    ),
    forms=["A", "B", "C", "D"],
)

q00_units.distractor(
    "A",
    "A log-ratio is no difference of probabilities: log 0.02 − log 0.01 is log 2 as well, and "
    "there the difference is 0.01.",
)

q00_units.distractor(
    "B", "The order is turned: above 0 means that the first one, p, is the larger."
)

q00_units.distractor(
    "D",
    "This takes 0.69 for the part by which p is the larger. Undo the logarithm instead: exp(0.69) "
    "is 2. Only near 0 are the two nearly the same.",
)
