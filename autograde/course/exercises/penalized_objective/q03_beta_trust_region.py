"""Say whether a larger β widens the trusted region, and why."""

from ...exercise import Quiz

q03_beta_trust_region = Quiz(
    "q03_beta_trust_region",
    parts={"statement": 1, "reason": 1},
    forms={"statement": [True, False], "reason": ["A", "B", "C", "D"]},
    hints=(
        "Maximising J − β·D, what happens to the price of a nat of divergence when β grows?",
        "In the lesson's figure, read off KL(π* ‖ ref) at a small and at a large β.",
        "The trusted region is where the best policy is found. Its radius is KL(π* ‖ ref), and β "
        "is on the other axis of the lesson's figure.",
    ),
)

q03_beta_trust_region.distractor(
    {"statement": True},
    "It is the other way round: β is a price, not a radius. At a higher price the optimum buys "
    "less divergence, so the trusted region shrinks.",
)

q03_beta_trust_region.distractor(
    {"reason": "A"},
    "No divergence is free, at any β: the penalty starts with the first step away. A larger β "
    "makes every step dearer; a threshold would be a constraint, KL ≤ δ, and that δ would fall.",
)

q03_beta_trust_region.distractor(
    {"reason": "B"},
    "β multiplies one of the two terms, not the whole. Only a factor on both would leave the "
    "optimum where it is; here it moves, as π* is proportional to ref · exp(r/β).",
)

q03_beta_trust_region.distractor(
    {"reason": "D"},
    "The speed is the learning rate's business. β changes where the maximum is: π* is "
    "proportional to ref · exp(r/β), whichever way you get there.",
)
