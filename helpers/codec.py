"""Plain data with tensors in it, as bytes, and back: what crosses the border to student code.

safetensors holds the tensors and a JSON tree holds the rest, so that reading bytes from an
untrusted process runs none of its code (pickle would).
"""

import json
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

TENSOR = "$tensor"


class BadDataError(ValueError):
    """The bytes are not what `pack` writes."""


def pack(tree: Any) -> bytes:
    """Write dicts, lists, strings, numbers, None and tensors as bytes."""
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_flatten(tree, tensors))  # in the order given: arguments have one
    # safetensors keeps no metadata without a tensor, so the text travels as one.
    tensors["tree"] = torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)
    return save(tensors)


def unpack(data: bytes) -> Any:
    """Read what `pack` wrote. Raises BadDataError on anything else."""
    try:
        tensors = load(data)
        tree = json.loads(tensors["tree"].numpy().tobytes().decode())
        return _restore(tree, tensors)
    except (SafetensorError, LookupError, ValueError, TypeError, RecursionError) as error:
        raise BadDataError(f"not packed data: {error}") from None


def _flatten(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, Tensor):
        name = f"t{len(tensors):05d}"
        tensors[name] = tree.detach().cpu().contiguous().clone()
        return {TENSOR: name}
    if isinstance(tree, dict):
        return {key: _flatten(value, tensors) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_flatten(value, tensors) for value in tree]
    return tree


def _restore(tree: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(tree, dict):
        if set(tree) == {TENSOR}:
            return tensors[tree[TENSOR]]
        return {key: _restore(value, tensors) for key, value in tree.items()}
    if isinstance(tree, list):
        return [_restore(value, tensors) for value in tree]
    return tree
