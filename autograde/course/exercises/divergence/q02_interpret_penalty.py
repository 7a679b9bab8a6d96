"""Read one response's penalty off a table, and say which way it pushes."""

from helpers.closeness import NUMBER

from ...exercise import Quiz

q02_interpret_penalty = Quiz(
    "q02_interpret_penalty",
    parts={"penalty": 1, "effect": 1},
    forms={"penalty": [NUMBER], "effect": ["encourages", "discourages"]},
    hints=(
        "The penalty is the price of this response: which tokens of the lesson's table count, and "
        "what is subtracted from what?",
        "Three tokens count. Subtract the reference's log-probability from the policy's, and keep "
        "the signs when you add the three.",
        "What is −β · penalty for β > 0 and the number you found: does it raise the objective or "
        "lower it? An objective that is maximised encourages what raises it.",
    ),
)

q02_interpret_penalty.distractor(
    {"penalty": 1.3}, "The sign is turned: the penalty is log policy − log ref, in this order."
)

q02_interpret_penalty.distractor(
    {"penalty": -0.43},
    "This is the mean over the three tokens. The price of a response is their sum.",
)

q02_interpret_penalty.distractor(
    {"penalty": 1.6}, "The padding token is in this sum. Only tokens with mask True count."
)

q02_interpret_penalty.distractor(
    {"penalty": 0.4},
    "This is the mean of all four columns: padding counted, and averaged in place of summed.",
)

q02_interpret_penalty.distractor(
    {"penalty": 1.7},
    "Each difference was made positive. Keep the signs: the second token has another.",
)

q02_interpret_penalty.distractor(
    {"penalty": 0.2},
    "Negative differences were left out. Every real token counts, whatever its sign.",
)

q02_interpret_penalty.distractor(
    {"penalty": 0.27},
    "This is the ratio of the two probabilities, exp(penalty). The penalty is its logarithm.",
)

q02_interpret_penalty.distractor(
    {"penalty": 0.0},
    "It was raised to 0. A KL is never negative, but the price of one response may be.",
)

q02_interpret_penalty.distractor(
    {"effect": "discourages"},
    "A penalty below 0 is subtracted, so −β · penalty is above 0: the term adds to the objective, "
    "which is maximised. The name penalty does not decide; its sign does.",
)
