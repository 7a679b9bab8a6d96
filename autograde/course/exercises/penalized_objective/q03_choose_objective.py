"""Choose the objective that keeps each update small in its effect."""

from helpers.cases import VALUES

from ...exercise import Quiz

q03_choose_objective = Quiz(
    "q03_choose_objective",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D", "E"],
    hints=(
        "What is to be kept small is how differently the policy answers after an update. Which "
        "expressions measure just that?",
        "Two of the five hold a distance between distributions with old in it. What does the sign "
        "in front of each do, when the objective is maximised?",
        "At the policy that drew the batch the right penalty is 0; it grows as the answers "
        "change, and it lowers what is maximised.",
    ),
)

q03_choose_objective.distractor(
    "A",
    "The distance between parameter vectors is not the distance between answers: the same step in "
    "θ may change the answers hardly at all or completely, and here a small one did. Penalise "
    "what the policy does.",
)

q03_choose_objective.distractor(
    "C",
    "The sign is turned: when this is maximised, divergence is paid for. The policy runs away "
    "from old, and the more so the larger β.",
)

q03_choose_objective.distractor(
    "D",
    "An entropy bonus pulls towards the uniform policy, wherever old is. A policy may keep its "
    "entropy and answer entirely differently.",
)

q03_choose_objective.distractor(
    "E",
    "Larger batches make the estimate of J less noisy. J is still only to be trusted near the "
    "policy that drew the batch, and nothing keeps the update there.",
)
