"""Choose the change that limits directly how far each update moves the policy."""

from helpers.cases import VALUES

from ...exercise import Quiz

q05_erratic = Quiz(
    "q05_erratic",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Each of the four may help. Which of them measures the change of the policy itself, and "
        "puts a price on it?",
        "A change of the policy at one step is a comparison of two distributions: the one before "
        "and the one after. Which answer compares these two?",
        "Cross out what acts on the reward's noise, on the randomness of the policy, or on the "
        "parameters. One answer is left.",
    ),
)

q05_erratic.distractor(
    "A",
    "A larger batch makes the advantage less noisy, so that the update points in a better "
    "direction. How far it goes is not limited by that.",
)

q05_erratic.distractor(
    "B",
    "An entropy bonus keeps the policy random, whichever policy it is. It does not look at old, so "
    "the policy may still jump from one random distribution to a very different one.",
)

q05_erratic.distractor(
    "D",
    "A smaller learning rate shortens the step of the parameters. How far the same step moves the "
    "policy differs from place to place, as lesson 01 showed: it is an indirect brake.",
)
