"""Say why the penalty compares distributions and not parameters."""

from helpers.cases import VALUES

from ...exercise import Quiz

q01_parameter_or_policy = Quiz(
    "q01_parameter_or_policy",
    parts={VALUES: 1},
    hints=(
        "What decides which responses the policy writes next: its parameters, or the "
        "probabilities they give?",
        "Look at the lesson's last figure: steps of the same length in the parameters. What "
        "differs?",
        "One of the steps changed no probability at all, another nearly all of it. Which of the "
        "answers says that?",
    ),
    forms=["A", "B", "C", "D"],
)

q01_parameter_or_policy.distractor(
    "A",
    "A squared distance of two parameter vectors is one subtraction for each parameter, cheaper "
    "than any divergence. Cost is not the reason.",
)

q01_parameter_or_policy.distractor(
    "B",
    "Σ (θ − θ_old)² has the gradient 2 (θ − θ_old): nothing is easier to differentiate.",
)

q01_parameter_or_policy.distractor(
    "C",
    "Which of two numbers in different units is smaller says nothing, and β rescales either one.",
)
