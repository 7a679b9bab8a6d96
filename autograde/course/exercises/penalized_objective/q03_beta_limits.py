"""Say what the best policy tends to as β goes to 0 and to infinity."""

from ...exercise import Quiz

q03_beta_limits = Quiz(
    "q03_beta_limits",
    parts={"to_zero": 1, "to_infinity": 1},
    forms={"to_zero": ["A", "B", "C", "D", "E"], "to_infinity": ["A", "B", "C", "D", "E"]},
    hints=(
        "Put the two betas into ref · exp(r/β). What does r/β do in each case?",
        "What counts is the ratio of two actions' probabilities: ref's ratio times "
        "exp((r₁ − r₂)/β). Take it to the limit for unequal rewards, then for equal ones.",
        "As β → ∞ the factor goes to 1. As β → 0 it goes to 0 or ∞ unless r₁ = r₂: then it is 1, "
        "at every β, and what is left of the ratio?",
    ),
)

q03_beta_limits.distractor(
    {"to_zero": "A"},
    "As β → 0: uniform would mean that neither reward nor ref counts. The reward is then all that "
    "counts, and worse actions vanish.",
)

q03_beta_limits.distractor(
    {"to_zero": "C"},
    "As β → 0: right when there is one best action. Two that share the highest reward keep ref's "
    "ratio at every β, as exp((r₁ − r₂)/β) = 1: neither can vanish.",
)

q03_beta_limits.distractor(
    {"to_zero": "D"},
    "As β → 0: the price of leaving ref goes to 0, so nothing keeps the policy there. You may "
    "have exchanged the two limits.",
)

q03_beta_limits.distractor(
    {"to_zero": "E"},
    "As β → 0: at β = 0 itself there may be many maxima, but for each β > 0 there is exactly one, "
    "and these optima converge.",
)

q03_beta_limits.distractor(
    {"to_infinity": "A"},
    "As β → ∞: that is an entropy bonus, whose reference is uniform. Here exp(r/β) goes to 1, and "
    "what is left is ref, uniform or not.",
)

q03_beta_limits.distractor(
    {"to_infinity": "B"},
    "As β → ∞: this is the limit for a penalty that costs nothing. You may have exchanged the two "
    "limits.",
)

q03_beta_limits.distractor(
    {"to_infinity": "C"},
    "As β → ∞: certainty is far from ref, and every nat away from ref costs more than any reward "
    "can pay.",
)

q03_beta_limits.distractor(
    {"to_infinity": "E"},
    "As β → ∞: the objective has a maximum at every β, as ref itself costs nothing: there it is "
    "E_ref[r], however dear a nat is elsewhere.",
)
