"""Say what dropping the transition probabilities from the penalty costs."""

from helpers.cases import VALUES

from ...exercise import Quiz

q02_dynamics = Quiz(
    "q02_dynamics",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Write log-probability of a trajectory as a sum, once for each policy, and subtract.",
        "Which terms of the two sums are equal, whatever their size? Does it matter that they "
        "are random, or that they are far from 0?",
        "In the lesson's table of trajectories, compare the last two columns, row by row, and read "
        "the line that speaks of another world: what was different there?",
    ),
)

q02_dynamics.distractor(
    "A",
    "It is no approximation: the transition terms are the same numbers in both sums and cancel "
    "to the last digit, however random the environment is.",
)

q02_dynamics.distractor(
    "B",
    "A language model's environment is deterministic, so its transition terms are 0 there. But "
    "they cancel in any environment, random ones included: a term that two sums have in common "
    "leaves no trace in their difference.",
)

q02_dynamics.distractor(
    "D",
    "Nothing random is dropped that would add noise: the transition terms cancel on every single "
    "trajectory, so value, bias and spread all stay as they are.",
)
