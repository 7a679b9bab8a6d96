"""Linux, which grading needs, and what to do where there is another system."""

import platform

from .errors import UsageError

LINUX = "Linux"
ELSEWHERE = (
    "on Windows use WSL2 (wsl --install), on a Mac a virtual machine with Linux, anywhere the "
    "Containerfile; README, 'Without Linux'"
)


def system() -> str:
    """What this machine runs; an empty word where that cannot be told."""
    return platform.system()


def require_linux() -> None:
    """Raise UsageError where student code could not be shut in."""
    if system() != LINUX:
        raise UsageError(f"grading needs {LINUX}, and this is {system()}: {ELSEWHERE}")
