"""Say why a clip and a divergence penalty go together in one objective."""

from helpers.cases import VALUES

from ...exercise import Quiz

q05_clip_and_penalty = Quiz(
    "q05_clip_and_penalty",
    parts={VALUES: 1},
    forms=["A", "B", "C", "D"],
    hints=(
        "Look at the lesson's picture of your ratios after an update with a clip: did all of them "
        "stay between 1 − ε and 1 + ε?",
        "What is the gradient of the clipped promise of a token that is already beyond the bound? "
        "And what does the clip say about actions that were not taken?",
        "One of the two acts on single tokens and then lets go; the other looks at whole "
        "distributions and pulls the harder, the further they are. Which answer says both?",
    ),
)

q05_clip_and_penalty.distractor(
    "A",
    "The clip bounds no ratio. Beyond the bound a token loses its own gradient, and nothing else: "
    "other tokens share its weights and may carry it further, as your ratios showed.",
)

q05_clip_and_penalty.distractor(
    "C",
    "Neither corrects an estimate of the other. The KL here is exact, and a clip adds bias where "
    "it acts: on purpose, for safety.",
)

q05_clip_and_penalty.distractor(
    "D",
    "An exact KL does not need the ratio: it looks at every action, the ratio at the one taken. "
    "And that both are cheap is no reason to use both: they do different things.",
)
