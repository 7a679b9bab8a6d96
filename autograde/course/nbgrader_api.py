"""Steps of nbgrader's Python interface, and what they say when they fail."""

from typing import Any


def run_api(step: Any, *arguments: Any, **options: Any) -> None:
    """Call a step of nbgrader's API. Raises RuntimeError with its log when it fails."""
    result = step(*arguments, **options)
    if not result["success"]:
        raise RuntimeError(result.get("error") or result.get("log"))


def why(result: dict) -> str:
    """The line of nbgrader's log that says what went wrong, not the last one, which never does."""
    lines = (result.get("error") or result.get("log") or "").strip().splitlines()
    told = [line for line in lines if line[:1].isalpha() and not line.startswith("Traceback")]
    return told[-1] if told else "no reason given"
