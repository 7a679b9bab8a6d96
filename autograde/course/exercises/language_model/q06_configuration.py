"""Read a trainer's settings: where drift is charged, by which gradient, and what is idle."""

from ...exercise import Quiz

LETTERS = ["A", "B", "C", "D"]

q06_configuration = Quiz(
    "q06_configuration",
    parts={"place": 1, "towards": 1, "gradient": 1, "unused": 1},
    forms={"place": LETTERS, "towards": LETTERS, "gradient": LETTERS, "unused": LETTERS},
    hints=(
        "Read the lesson's table of settings first: what has to be switched on for each of them "
        "to be read at all? What is not set has its default, and a default does something too.",
        "Two settings belong to switches that are off. One of them would have moved ref: where is "
        "ref, then? And use_bias_correction_kl, which nobody set, stands for one of the two losses "
        "that you wrote.",
        "Which of your two losses is it? There you find where drift is charged and what the clip "
        "does to it. Its gradient is what the enumeration under that loss printed.",
    ),
)

q06_configuration.distractor(
    {"place": "A"},
    "place: charged in the reward it would reach the update through the advantage, as with "
    "kl_shaped_rewards. This trainer adds beta times its estimate to each token's loss.",
)

q06_configuration.distractor(
    {"place": "B"},
    "place: the clip acts on the surrogate alone. The charge is added after the minimum is taken, "
    "so a token beyond the clip pays like any other.",
)

q06_configuration.distractor(
    {"place": "D"},
    "place: num_iterations lets a batch be used twice, and epsilon bounds what those steps gain. "
    "Neither charges for drift from ref; beta, above 0, does.",
)

q06_configuration.distractor(
    {"towards": "A"},
    "towards: the policy that drew the batch is old. The ratio and the clip compare with it; the "
    "charge compares with ref, and each new batch has a new old.",
)

q06_configuration.distractor(
    {"towards": "C"},
    "towards: ref would be renewed every 64 steps with sync_ref_model=True. Nobody set it, and the "
    "number of steps alone does nothing.",
)

q06_configuration.distractor(
    {"towards": "D"},
    "towards: a sampler in another program is what use_vllm stands for, and it is off. Even then "
    "the charge is for drift from ref; the sampler is met by a weight.",
)

q06_configuration.distractor(
    {"gradient": "A"},
    "gradient: that is k3 without a weight, the loss of GRPO's paper. use_bias_correction_kl is "
    "True where nothing is set, so k3 is weighted by a ratio that is differentiated: its gradient "
    "is another, even where the ratio is 1.",
)

q06_configuration.distractor(
    {"gradient": "B"},
    "gradient: a ratio of 1 has a gradient. The charge has none only where policy and ref are one, "
    "at the first step of the run; on a later batch the policy is old, but no longer ref.",
)

q06_configuration.distractor(
    {"gradient": "C"},
    "gradient: each token is charged for itself, and nothing that it leads to is charged to it. "
    "Whole responses take the sum of what follows, as in the reward.",
)

q06_configuration.distractor(
    {"unused": "B"},
    "unused: epsilon bounds the step from old, beta charges for drift from ref: two distances. "
    "With num_iterations=2 the second use of a batch has ratios other than 1, and the clip acts.",
)

q06_configuration.distractor(
    {"unused": "C"},
    "unused: the temperature divides the logits twice, when tokens are drawn and when they are "
    "scored. If it did not, the ratio would not be 1 before the first update.",
)

q06_configuration.distractor(
    {"unused": "D"},
    "unused: num_iterations says how often a batch is used. At 2 the second step meets ratios "
    "other than 1.",
)
