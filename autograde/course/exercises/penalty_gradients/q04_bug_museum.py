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

TAKES = {
    "A": "a NaN of finite numbers that needs no padding",
    "B": "a ratio of policy and old, before any update",
    "C": "several β, and something that is the same at each",
    "D": "several β, and a KL that rises with them",
    "E": "a log, and no KL in it",
    "F": "a NaN that needs padding",
    "G": "a KL of 0 between two different models",
    "H": "single tokens, and a number below 0 among them",
    "I": "a mean over draws, and that below 0",
}

SHOWS = {
    "k1_loss": "a KL after training at each of five β, all finite and not all the same",
    "second_softmax": "two KLs of the same two models, both finite and neither below 0, at no β",
    "kl_div": "one KL computed in two ways, with no padding, and at no β",
    "exponent": "single tokens under two formulas, all finite, at no β",
    "padding": "three sums of log-ratios, each under a mask, at no β",
    "train_mode": "ratios of a network to itself in two modes, all finite, at no β",
    "temperature": "means over all draws at two temperatures, all finite, at no β",
    "detached": "the KL of one policy, above 0 and finite, and a gradient, at three β",
}

q04_bug_museum = Quiz(
    "q04_bug_museum",
    parts=dict.fromkeys(SHOWS, 1),
    forms=dict.fromkeys(SHOWS, list(SYMPTOMS)),
    hints=(
        "Run each exhibit and read its numbers before you read the list of complaints. One letter "
        "fits no exhibit.",
        "Two complaints are NaN. Which exhibit needs padding to fail, and which fails without?",
        "Two complaints are about β. One exhibit has a gradient that points the wrong way, another "
        "has none at all: what does a larger β do to each?",
    ),
)


def _compare_symptoms(key: str, letter: str) -> None:
    """Register one wrong letter, with what it would take: not what the right one is."""
    says = (
        f"{letter} tells of {SYMPTOMS[letter]}. That takes {TAKES[letter]}; {key} shows "
        f"{SHOWS[key]}. Compare the two, then read the other complaints."
    )
    q04_bug_museum.mistakes.append(Mistake(f"{key}_answered_{letter.lower()}", says, {key: letter}))


for _key, _right in reference.q04_bug_museum.items():
    for _letter in sorted(SYMPTOMS.keys() - {_right}):
        _compare_symptoms(_key, _letter)
