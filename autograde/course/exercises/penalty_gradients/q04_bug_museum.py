"""Match eight bugs of penalties with the symptoms that they show."""

from helpers import reference

from ...exercise import Mistake, Quiz

SYMPTOMS = {
    "A": "NaN from finite numbers, on any batch",
    "B": "a ratio that is not 1 before any update",
    "C": "a right number in the log and a weight β that changes nothing",
    "D": "a larger β that gives a larger KL",
    "E": "a KL that is missing from the log, with β = 0",
    "F": "NaN only where padding holds −inf or inf",
    "G": "a KL of exactly 0 between any two models",
    "H": "single tokens below 0 from an estimator that is never below 0",
    "I": "a mean over many responses that stays below 0",
}

DOES = {
    "k1_loss": "On stored tokens k1 has the gradient −∇KL(old ‖ policy), so a larger weight on it "
    "pushes harder away from where the run started.",
    "second_softmax": "One gathered log-probability per position is an axis of length one, whose "
    "softmax is 1 for every model: nothing is left to differ.",
    "kl_div": "Without log_target, F.kl_div takes the logarithm of its target, which here is a "
    "log-probability: a negative number, with or without padding.",
    "exponent": "With its exponent's sign turned, k3 is no longer the gap between a tangent and a "
    "curve, and a token that became rarer gives a negative number.",
    "padding": "The product with the mask is 0 · inf in the padding, and only there.",
    "train_mode": "Dropout draws a new network at each call, so the same weights score the same "
    "token twice with different results, before any update.",
    "temperature": "The tokens were drawn at a lower temperature than they are scored at, so the "
    "mean of the log-ratio is no KL, and nothing keeps it above 0.",
    "detached": "A detached KL has the right value and no gradient, so its weight has no effect on "
    "any update.",
}

q04_bug_museum = Quiz(
    "q04_bug_museum",
    parts=dict.fromkeys(DOES, 1),
    forms=dict.fromkeys(DOES, list(SYMPTOMS)),
    hints=(
        "Run each exhibit and read its numbers before you read the list of complaints. One letter "
        "fits no exhibit.",
        "Two complaints are NaN. Which exhibit needs padding to fail, and which fails without?",
        "Two complaints are about β. One exhibit has a gradient that points the wrong way, another "
        "has none at all: what does a larger β do to each?",
    ),
)


def _compare_symptoms(key: str, letter: str) -> None:
    """Register one wrong letter, with what the defect does in place of what the letter tells."""
    says = f"{letter} tells of {SYMPTOMS[letter]}. Not {key}: {DOES[key]}"
    q04_bug_museum.mistakes.append(Mistake(f"{key}_answered_{letter.lower()}", says, {key: letter}))


for _key, _right in reference.q04_bug_museum.items():
    for _letter in sorted(SYMPTOMS.keys() - {_right}):
        _compare_symptoms(_key, _letter)
