"""Say what a penalty on leaving the old policy mainly does to training."""

from helpers.cases import VALUES

from ...exercise import Quiz

q01_penalty_role = Quiz(
    "q01_penalty_role",
    parts={VALUES: 1},
    hints=(
        "J − β·D is maximised and β is above 0. What does the optimiser lose by moving far from "
        "the old policy?",
        "At the old policy D is 0, and close by it is nearly flat. So what does the penalty do to "
        "a small step, and what to a large one?",
        "Look at the lesson's figure of J − β·D: the penalty changes which step is best, and "
        "neither the rewards nor the direction in which J rises.",
    ),
    forms=["A", "B", "C", "D"],
)

q01_penalty_role.distractor(
    "A",
    "The advantages in J are as they were: D says nothing about how good a response is. It only "
    "charges for the distance moved.",
)

q01_penalty_role.distractor(
    "C",
    "That would need an infinite β. D is 0 at the old policy and nearly flat close by, so a small "
    "step that raises J still pays.",
)

q01_penalty_role.distractor(
    "D",
    "The sign: D is subtracted from what is maximised, so moving far is charged for, not rewarded.",
)
