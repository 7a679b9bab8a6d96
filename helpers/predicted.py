"""What the lessons ask to predict: each question in short, its choices, and what comes out.

The lesson's own cells compute the outcome; the letter here is for the class's report, and a test
holds the one to the other.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Prediction:
    """choices: by their letters, as they stand above the cell. outcome: the letter of one."""

    question: str
    choices: dict[str, str]
    outcome: str


def prediction_of(name: Any) -> Prediction | None:
    """The prediction of this name; None for anything else."""
    for asked in ASKED.values():
        if isinstance(name, str) and name in asked:
            return asked[name]
    return None


def letter_of(name: Any, choice: Any) -> str:
    """The letter that was chosen, whatever its case; "" where that is no choice of this name."""
    asked = prediction_of(name)
    letter = choice.strip().upper() if isinstance(choice, str) else ""
    return letter if asked is not None and letter in asked.choices else ""


def _asked(question: str, outcome: str, **choices: str) -> Prediction:
    return Prediction(question, choices, outcome)


# By lesson, in the order in which they are asked.
ASKED: dict[str, dict[str, Prediction]] = {
    "00_start_here": {
        "whole_response": _asked(
            "The words of a response follow each other: what happens to their log-ratios?", "B",
            A="they are multiplied", B="they are added", C="they are averaged",
        ),
    },
    "01_policy_updates": {
        "how_low": _asked(
            "The step along the gradient grows from 0.1 to 100: how low does the return get?", "C",
            A="never below 0", B='to about −3, as with two "great" too many',
            C="below −10",
        ),
        "twenty_batches": _asked(
            "Twenty noisy batches: how many of the policies end below old, at a step of 100?", "C",
            A="5 or fewer", B="6 to 14", C="15 or more",
        ),
        "own_logits": _asked(
            "With logits of its own for every prefix, all the way: what is the return?", "C",
            A="below old's, as before", B="within 0.1 of old's", C="above old's",
        ),
    },
    "02_divergence": {
        "two_directions": _asked(
            "ref gives an outcome 0.2, the policy 0.9: which divergence is larger?", "B",
            A="KL(policy ‖ ref)", B="KL(ref ‖ policy)", C="they are equal",
        ),
        "ref_price": _asked(
            "Of a policy that has moved: what is the mean price over responses of ref?", "B",
            A="above 0 too", B="below 0", C="0",
        ),
        "digits": _asked(
            "In float32, from which δ downwards may k3 be off by more than 1 %?", "A",
            A="about 4e-3", B="about 1e-5", C="about 1e-7",
        ),
        "draws_of_k1": _asked(
            "At m = 0.1, for an error of 10 %: how many more draws does k1 need than k3?", "C",
            A="about as many", B="about ten times as many", C="more than a hundred times as many",
        ),
        "drift": _asked(
            "20 small steps in one direction: how large is the drift's KL beside a step's?", "C",
            A="about as large", B="about 20 times as large", C="hundreds of times as large",
        ),
        "turning_point": _asked(
            "At how many nats per response does the return of 01's update turn?", "B",
            A="below 0.1", B="0.1 to 3", C="above 3",
        ),
        "least_kl": _asked(
            "Where does the least KL(policy ‖ ref) put the policy's one hump?", "A",
            A="on one of ref's humps", B="between ref's two humps", C="beyond both of them",
        ),
    },
    "03_penalized_objective": {
        "first_step": _asked(
            "A very small step from ref, to a better-paid reply that it gives: does it pay?", "C",
            A="at no β above 0", B="at a small β only", C="at every β",
        ),
        "smallest_beta": _asked(
            "As β falls to 0, what does the divergence of π* from ref do?", "B",
            A="it grows without end", B="it grows, and levels off", C="it falls",
        ),
        "tied_forward": _asked(
            "Charged by KL(ref ‖ policy), at a small β: how do two equally paid replies stand?",
            "A",
            A="three to one, as with the other direction", B="about one to one, as it covers both",
            C="the likelier one alone",
        ),
        "ten_rounds": _asked(
            "Ten rounds to the optimum around old, at β = 2: where is the policy?", "B",
            A="as far from ref as one round around ref at β = 2",
            B="as far from ref as one round around ref at β = 0.2",
            C="in between, as later rounds hardly move it",
        ),
        "turned_sign": _asked(
            "With the penalty's sign turned, what does the reward do?", "B",
            A="it falls from the first steps on", B="it rises, then levels off", C="it swings",
        ),
    },
    "04_penalty_gradients": {
        "row_k1": _asked(
            "What is the expected gradient of k1 on the policy's own tokens?", "A",
            A="0", B="∇KL(policy ‖ ref)", C="∇KL(ref ‖ policy)", D="none of these",
        ),
        "row_k2": _asked(
            "What is the expected gradient of k2 on the policy's own tokens?", "B",
            A="0", B="∇KL(policy ‖ ref)", C="∇KL(ref ‖ policy)", D="none of these",
        ),
        "row_k3": _asked(
            "What is the expected gradient of k3 on the policy's own tokens?", "C",
            A="0", B="∇KL(policy ‖ ref)", C="∇KL(ref ‖ policy)", D="none of these",
        ),
        "turned_k3": _asked(
            "k3 turned round is the loss, on the policy's own tokens: what does descent do?", "A",
            A="it pulls to ref", B="nothing, as with k1", C="it pushes away from ref",
        ),
        "runs_near_ref": _asked(
            "20 runs with k1 and with k2 as their loss begin near ref: where do they end?", "C",
            A="all at ref, with k1 and with k2",
            B="with k2 at ref, with k1 about where they began",
            C="with k2 at ref, with k1 mostly farther off than they began",
        ),
        "exact_by_token": _asked(
            "Exact KLs at each position, summed: where is the mean gradient that of the KL?", "A",
            A="for responses of one token alone", B="at every length", C="at no length",
        ),
        "k1_as_loss": _asked(
            "k1 is the penalty in the loss: what does the KL do as β grows?", "C",
            A="it falls", B="it stays as it is", C="it grows",
        ),
        "top_p_ratio": _asked(
            "Sampled under top-p, before any update: the ratios trainer/sampler?", "C",
            A="1 on every token", B="above 1 on likely tokens, below 1 on rarer ones",
            C="below 1, and equal on all kept tokens of a position",
        ),
        "reset_reference": _asked(
            "A resume resets the reference: what does the log show from there on?", "A",
            A="the KL falls to 0 and rises again, and the reward rises too",
            B="the KL falls to 0 and rises again, the reward stays level",
            C="KL and reward go on level",
        ),
    },
    "05_stable_updates": {
        "slopes_at_old": _asked(
            "Do the losses of several β leave old with different slopes?", "B",
            A="yes, the larger β, the flatter", B="no, they have one slope",
            C="yes, the larger β, the steeper",
        ),
        "one_update_share": _asked(
            "After 20 epochs on one batch, the KL with β = 0.5 beside that with β = 0?", "C",
            A="it is more than half of it, at some seed",
            B="neither A nor C",
            C="it is less than a fifth of it, at every seed",
        ),
        "outside_the_clip": _asked(
            "How many of the clipped update's ratios lie outside 0.8 to 1.2?", "C",
            A="none", B="up to one in ten", C="more than one in ten",
        ),
        "smallest_drop": _asked(
            "Which has the smaller typical worst drop, the penalty or the clip?", "B",
            A="the penalty (β = 0.5)", B="the clip", C="they are within a tenth of each other",
        ),
        "larger_beta": _asked(
            "20 epochs at learning rate 1: which β has the best worst seed?", "B",
            A="the largest", B="one in between", C="0, no penalty",
        ),
    },
    "06_language_model": {
        "what_pleases": _asked(
            "A score by words, each counted once: what does it rate highest?", "C",
            A="a sentence that praises a film", B="the eight words of greatest weight, in a row",
            C="the greatest of them, eight times",
        ),
        "gold_peak": _asked(
            "80 steps with β = 0, trained on the proxy: at which step is gold at its best?", "B",
            A="by step 20", B="after step 20, by step 60", C="after step 60",
        ),
        "second_beta": _asked(
            "Some β has the most gold at the end, by the mean: which β comes second?", "B",
            A="its smaller neighbour: to let go too much costs less than to hold too much",
            B="its larger neighbour: to hold too much costs less", C="one that is no neighbour",
        ),
        "where_charged": _asked(
            "At equal β, k1 charged in the reward: where does KL end beside k3 in the loss?", "C",
            A="lower, at every seed", B="higher, at every seed", C="their seeds overlap",
        ),
        "most_gold": _asked(
            "Four steps on each batch: with which hold does gold end highest, by the mean?", "A",
            A="the clip, alone", B="the mask", C="the penalty, alone or beside the clip",
        ),
        "forgetting": _asked(
            "Trained with β = 0: perplexity on people's sentences, over what it was?", "C",
            A="within 10% of it", B="up to twice as high", C="more than twice as high",
        ),
        "own_surprise": _asked(
            "SmolLM2 trained with β = 0: how surprising to its old self are its texts at the end?",
            "A",
            A="it depends on the seed", B="more, with every seed", C="less, with every seed",
        ),
    },
    "07_case_study": {
        "peak_moves": _asked(
            "The hidden cost becomes twice as great: what becomes of the KL at which gold peaks?",
            "B",
            A="it becomes half as great", B="it becomes a quarter", C="it stays the same",
        ),
        "fall_left": _asked(
            "Gold's fall from its best with β = 0: what is left, if other seeds choose the step?",
            "B",
            A="nearly all of it", B="about half", C="hardly any",
        ),
        "nearer_form": _asked(
            "d (α − b log d) or d (α − b d): which is nearer to a seed that it has not seen?", "C",
            A="the one with log d, at every seed", B="the one without, at every seed",
            C="at some seeds the one, at some the other",
        ),
        "more_at_equal_kl": _asked(
            "At equal KL, penalised against slow: who has clearly more gold, with some β?", "B",
            A="nobody", B="the penalised runs", C="the slow runs, and the penalised ones with no β",
        ),
        "alike": _asked(
            "At equal KL, penalised against slow: whose texts have more distinct pairs?", "A",
            A="it depends on β", B="the penalised runs', with every β",
            C="the slow runs', with every β",
        ),
        "steered": _asked(
            "Told to end at 6 nats a response, how near does the controller come?", "C",
            A="within a tenth, at every seed", B="within a quarter, at every seed",
            C="farther off, at some seed",
        ),
    },
}  # fmt: skip
