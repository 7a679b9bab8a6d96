"""What became of inputs, seen from outside: they lie in memory that two processes share.

Student code gets the very tensors that lie there. The process that watches runs no student code
and compares them with a copy of its own, whatever the other process says of its inputs.
"""

import json
import mmap
import struct
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

ALIGNMENT = 64  # bytes, as torch's own allocator aligns
SEAL = b"\xff" * 8  # begins no packed reply: it would be the length of a header
LENGTH = struct.Struct(">I")
MOST_SEAL = 2**16  # bytes of what was seen: all inputs of an exercise take 5,000 or so


class Witness:
    """The tensors among the inputs of all cases, in shared memory; made before any fork.

    exercises: as they are asked, plain; their cases' tensors are replaced by those that lie there.
    """

    def __init__(self, exercises: list[dict[str, Any]]) -> None:
        self._kept = [dict(_inputs(exercise)) for exercise in exercises]
        every = [tensor for kept in self._kept for tensor in kept.values()]
        # Anonymous: it has no name and no file by which anyone else could open it.
        memory = mmap.mmap(-1, sum(map(_room, every)) or 1)
        self._placed: list[dict[tuple[int, str], Tensor]] = []
        start = 0
        for exercise, kept in zip(exercises, self._kept, strict=True):
            placed = {}
            for (number, name), tensor in kept.items():
                there = _tensor_in(memory, start, tensor)
                exercise["cases"][number]["inputs"][name] = placed[number, name] = there
                start += _room(tensor)
            self._placed.append(placed)
        self.restore()

    def restore(self) -> None:
        """The inputs as they were, for a process that has not seen them."""
        for kept, placed in zip(self._kept, self._placed, strict=True):
            for key, tensor in kept.items():
                placed[key].copy_(tensor)

    def changed(self, exercise: int) -> list[tuple[int, str]]:
        """(case, input) of those inputs that are no longer what they were, to the bit."""
        placed = self._placed[exercise]
        return [key for key, kept in self._kept[exercise].items() if _differ(kept, placed[key])]


def _inputs(exercise: dict[str, Any]) -> Iterator[tuple[tuple[int, str], Tensor]]:
    for number, case in enumerate(exercise["cases"]):
        for name, value in case["inputs"].items():
            if isinstance(value, Tensor):
                yield (number, name), value


def _room(tensor: Tensor) -> int:
    return -(-tensor.nbytes // ALIGNMENT) * ALIGNMENT


def _tensor_in(memory: mmap.mmap, start: int, like: Tensor) -> Tensor:
    """A tensor on the memory, and no view of another: those refuse to be detached in place."""
    if not like.numel():
        return like.clone()
    flat = torch.frombuffer(memory, dtype=like.dtype, count=like.numel(), offset=start)
    return torch.empty(0, dtype=like.dtype).set_(
        flat.untyped_storage(), flat.storage_offset(), like.shape, like.contiguous().stride()
    )


def _differ(one: Tensor, other: Tensor) -> bool:
    flat = (tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (one, other))
    return not torch.equal(*flat)


def sealed(changed: list[tuple[int, str]], reply: bytes) -> bytes:
    """A reply as the process with student code gave it, behind what was seen from outside.

    Where nothing was seen, it is as it was. Student code may forge a seal, against itself alone.
    """
    if not changed:
        return reply
    seen = json.dumps(changed).encode()
    return SEAL + LENGTH.pack(len(seen)) + seen + reply


def opened(sealed_reply: bytes) -> tuple[list[tuple[int, str]], bytes]:
    """Back from `sealed`: what was seen to have changed, and the untrusted reply.

    Raises ValueError or struct.error on a seal that is forged badly.
    """
    if not sealed_reply.startswith(SEAL):
        return [], sealed_reply
    start = len(SEAL) + LENGTH.size
    length = LENGTH.unpack_from(sealed_reply, len(SEAL))[0]
    if length > MOST_SEAL:
        raise ValueError(f"a seal of more than {MOST_SEAL} bytes")
    try:
        seen = json.loads(sealed_reply[start : start + length])
        changed = [(int(number), str(name)) for number, name in seen]
    except (TypeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a seal: {type(error).__name__}") from None
    return changed, sealed_reply[start + length :]
