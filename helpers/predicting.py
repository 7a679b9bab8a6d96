"""What a student predicts before a cell shows it: `predict`, `outcome`, `predictions`.

The record is what was typed in the notebook. What is held here, while it runs, is for showing it
beside what came out. Nothing of it is graded, and nothing here stops a lesson: what cannot be kept
is said in one line.
"""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from .predicted import ASKED, Prediction, letter_of, prediction_of

HOW = (
    'To predict, put a letter in place of the dots, as in "A", and run this cell. It is fine to '
    "go on without."
)
_kept: dict[str, str] = {}  # the letter predicted for each name
_shown: dict[str, str] = {}  # the letter that came out, "" for none of them


def predict(name: str, choice: Any = ...) -> None:
    """Keep what you think will come out, until the cell that shows it.

    name: the prediction's, as in its cell. choice: the letter of one of the choices above it.
    A second one replaces the first, unless the outcome has been shown. Never raises: what is not
    kept, a choice that is none or a name that is not known, is said.
    """
    asked = prediction_of(name)
    if asked is None:
        print(_unknown(name))
    elif choice is ...:
        print(HOW if name not in _kept else f"Your prediction stays: {_worded(asked, _kept[name])}")
    elif not (letter := letter_of(name, choice)):
        got = f"not {choice[:20]!r}" if isinstance(choice, str) else "in quotes"
        print(f"Nothing is kept: the choices are {_listed(asked)}, {got}.")
    else:
        print(_keep(name, asked, letter))


def _keep(name: str, asked: Prediction, letter: str) -> str:
    """What there is to say of a letter that may be predicted."""
    before = _kept.get(name)
    if name in _shown and before is None:
        return "Nothing is kept: the outcome has been shown already."
    if name in _shown and before != letter:
        return f"The outcome has been shown, so your first one stays: {_worded(asked, before)}"
    _kept[name] = letter
    instead = f", in place of {before}" if before not in (None, letter) else ""
    return f"Your prediction{instead}: {_worded(asked, letter)}"


def outcome(name: str, **holds: Any) -> None:
    """Show what came out beside what was predicted; for the lesson's own cells.

    holds: for each letter, whether that choice is what the cell's numbers say; the first that is
    counts. Raises ValueError for a name or a letter that is not declared.
    """
    asked = prediction_of(name)
    if asked is None or not holds.keys() <= asked.choices.keys():
        raise ValueError(f"{name!r} with {', '.join(holds)}: not as helpers/predicted.py has it")
    came = _shown[name] = next((letter for letter, true in holds.items() if bool(true)), "")
    said = f"It came out {_worded(asked, came)}" if came else "It came out as none of the choices."
    if name in _kept:
        said = f"You predicted {_worded(asked, _kept[name])} {said}"
    print(said)


def predictions(lesson: str) -> None:
    """Show what you predicted in a lesson, since this notebook was started, and what came out.

    lesson: "02_divergence", say.
    """
    if not isinstance(lesson, str) or lesson not in ASKED:
        print(f"There is no such lesson; there are {', '.join(ASKED)}.")
        return
    print(f"{lesson}: what you predicted, and what came out")
    for name, asked in ASKED[lesson].items():
        yours = _worded(asked, _kept[name]) if name in _kept else "no prediction."
        print(f"  {asked.question}")
        print(f"    you:      {yours}")
        print(f"    came out: {_came_out(name, asked)}")


def _came_out(name: str, asked: Prediction) -> str:
    if name not in _shown:
        return "not shown yet."
    return _worded(asked, _shown[name]) if _shown[name] else "none of the choices."


def _worded(asked: Prediction, letter: str) -> str:
    return f"{letter}: {asked.choices[letter]}."


def _listed(asked: Prediction) -> str:
    return ", ".join(f'"{letter}"' for letter in asked.choices)


def _unknown(name: Any) -> str:
    known: Mapping[str, Prediction] = {k: v for asked in ASKED.values() for k, v in asked.items()}
    near = get_close_matches(name[:80], known, 1) if isinstance(name, str) else []
    meant = f'did you mean "{near[0]}"?' if near else "its name is in the cell as you got it."
    said = repr(name[:40]) if isinstance(name, str) else "what is no text"
    return f"There is no prediction called {said}; {meant}"
