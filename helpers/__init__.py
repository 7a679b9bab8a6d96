"""What a notebook imports: checks, devices, handing in, small exact problems, plots.

The one place that says what is public. Each is read when it is first asked for: some of what is
in this package needs no PyTorch, which takes seconds to import.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .checking import check, hint, progress, ready, written
    from .device import pick_device
    from .shapes import shaped
    from .solutions import solution
    from .submitting import submit

__all__ = [
    "check", "hint", "pick_device", "progress", "ready", "shaped", "solution", "submit", "written",
]  # fmt: skip
_HOMES = {
    "pick_device": "device",
    "shaped": "shapes",
    "solution": "solutions",
    "submit": "submitting",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_HOMES.get(name, 'checking')}")
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
