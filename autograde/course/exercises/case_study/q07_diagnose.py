"""Diagnose a run from its curves, and choose the remedy."""

from helpers.closeness import NUMBER

from ...exercise import Quiz

q07_diagnose = Quiz(
    "q07_diagnose",
    parts={"cause": 1, "first_bad_step": 1, "remedy": 1},
    forms={
        "cause": ["A", "B", "C", "D", "E"],
        "first_bad_step": [NUMBER],
        "remedy": ["A", "B", "C", "D", "E"],
    },
    atol=5.0,  # the run was not measured at every step
    hints=(
        "Read the four curves together, from left to right. Is there a step after which two of "
        "them contradict each other?",
        "A policy that is near ref answers like ref. What does the run report as its divergence "
        "after it falls to almost 0, and how different are its answers from those of step 0 by "
        "then?",
        "The reported number is KL(policy ‖ ref) for *some* ref. Which ref would make it nearly 0 "
        "there, whatever the policy has become? And from which policy on was the penalty "
        "computed against that one?",
    ),
)

q07_diagnose.distractor(
    {"cause": "A"},
    "Cause: without a penalty the policy moves on from where it is, so a divergence from the start "
    "would rise from its last value. This one fell to nearly 0 within a few steps, twice.",
)

q07_diagnose.distractor(
    {"cause": "B"},
    "Cause: a policy that had come back to ref would have ref's proxy score and ref's variety of "
    "words again. Both curves moved further away.",
)

q07_diagnose.distractor(
    {"cause": "D"},
    "Cause: a turned sign pays for divergence, so the reported number would run up. This one fell "
    "to nearly 0, twice, and in between it was held back.",
)

q07_diagnose.distractor(
    {"cause": "E"},
    "Cause: noise of an estimate goes up and down from one measurement to the next. It does not "
    "fall to 0 twice and stay near it for many steps, and it does not bend the other curves.",
)

# Of numbers each is told to 5 about it, and the run has steps 0 to 120: so nobody is left without.
BAD_STEP = {
    (0,): "at the start all is well: the divergence is reported rightly, and it grows as the proxy "
    "grows.",
    (10, 20, 30, 40): "up to there the curves agree. The divergence grows as the proxy does, and "
    "the variety of words falls with it. Look for a fall that the other curves do not follow.",
    (50,): "a little early. Up to there the reported divergence still grows with the proxy; find "
    "the measurement at which it has fallen.",
    (70, 80): "a little late. There it shows, but it had fallen before: find the first measurement "
    "that the others contradict.",
    (90, 100): "there it happens for the second time. Look for the first fall of the reported "
    "divergence that the other curves do not explain.",
    (110, 120): "at the end the damage is greatest, but it began earlier. Look for the step from "
    "which the reported divergence no longer fits the other curves.",
}

for steps, says in BAD_STEP.items():
    for step in steps:
        q07_diagnose.distractor({"first_bad_step": step}, f"First bad step: {says}")

q07_diagnose.distractor(
    {"remedy": "A"},
    "Remedy: β multiplies the number that is in question. A larger one holds the policy where that "
    "number says, and that is not where it was meant to stay.",
)

q07_diagnose.distractor(
    {"remedy": "B"},
    "Remedy: the low number is the defect, not a budget that is left. The policy is far from the "
    "model that was meant.",
)

q07_diagnose.distractor(
    {"remedy": "C"},
    "Remedy: another estimator estimates the same quantity with less noise, and it is not noise "
    "that makes these curves contradict each other.",
)

q07_diagnose.distractor(
    {"remedy": "E"},
    "Remedy: at the end the policy is farthest from the model that was meant, whatever its proxy "
    "says, and a new start there makes the drift official. Go back to before the defect.",
)
