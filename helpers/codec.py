"""Plain data with tensors in it, as bytes, and back: what crosses the border to student code.

safetensors holds the tensors and a JSON tree holds the rest, so that reading bytes from an
untrusted process runs none of its code (pickle would).
"""

import json
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

TENSOR = "$tensor"
# Of bytes that come from an untrusted process: what the answers of a case hold is far below.
MOST_DIMENSIONS = 64
MOST_EMPTY = 2**20  # numbers along the axes of a tensor that holds none: comparing may walk them


class BadDataError(ValueError):
    """The bytes are not what `pack` writes."""


def pack(tree: Any) -> bytes:
    """Write dicts, lists, strings, numbers, None and tensors as bytes."""
    found: dict[str, _Kind] = {}
    text = json.dumps(_flatten(tree, found))  # in the order given: arguments have one
    # One tensor for each dtype, all of its kind end to end: safetensors takes long for many.
    tensors = {dtype: kind.joined() for dtype, kind in found.items()}
    # safetensors keeps no metadata without a tensor, so the text travels as one.
    tensors["tree"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return save(tensors)


def unpack(data: bytes, most: int | None = None) -> Any:
    """Read what `pack` wrote. Raises BadDataError on anything else.

    most: bytes of its tree, which take a hundred times that when read; None for any number.
    """
    try:
        tensors = load(data)
        if most is not None and tensors["tree"].numel() > most:
            raise BadDataError(f"its tree is larger than {most} bytes")
        tree = json.loads(tensors["tree"].numpy().tobytes().decode())
        return _restore(tree, tensors)
    except (SafetensorError, LookupError, ValueError, TypeError, RuntimeError) as error:
        raise BadDataError(f"not packed data: {error}") from None


@dataclass
class _Kind:
    """All tensors of a dtype, flat, and how many numbers they hold."""

    parts: list[Tensor] = field(default_factory=list)
    numbers: int = 0

    def keep(self, tensor: Tensor) -> int:
        """Where the tensor begins."""
        start = self.numbers
        # A copy, as what is expanded from one number counts as contiguous too.
        self.parts.append(tensor.clone(memory_format=torch.contiguous_format).reshape(-1))
        self.numbers += tensor.numel()
        return start

    def joined(self) -> Tensor:
        """End to end; as bytes meanwhile, as torch joins no floats of 8 bits."""
        return torch.cat([part.view(torch.uint8) for part in self.parts]).view(self.parts[0].dtype)


def _flatten(tree: Any, found: dict[str, _Kind]) -> Any:
    if isinstance(tree, Tensor):
        dtype = str(tree.dtype).removeprefix("torch.")
        start = found.setdefault(dtype, _Kind()).keep(tree.detach().cpu())
        return {TENSOR: [dtype, start, list(tree.shape)]}
    if isinstance(tree, dict):
        return {key: _flatten(value, found) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_flatten(value, found) for value in tree]
    return tree


def _restore(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {TENSOR}:
            dtype, start, shape = tree[TENSOR]
            # A view: were it a copy, a few bytes could ask for many times what came.
            return tensors[dtype][start : start + _numbers(shape)].view(shape)
        return {key: _restore(value, tensors) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_restore(value, tensors) for value in tree]
    return tree


def _numbers(shape: list[int]) -> int:
    """How many numbers a tensor of this shape holds. Raises ValueError for what no answer needs."""
    if len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"more than {MOST_DIMENSIONS} dimensions")
    places = 1
    for length in shape:
        if not 0 <= length < 2**62 or places > 2**62:  # a product of long numbers takes long
            raise ValueError("a length that no tensor has")
        places *= max(length, 1)
    if 0 in shape and places > MOST_EMPTY:
        raise ValueError(f"an empty tensor with more than {MOST_EMPTY} places along its axes")
    return 0 if 0 in shape else places
