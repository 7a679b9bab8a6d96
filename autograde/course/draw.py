"""Random inputs from a seed: the same on every machine, fresh for every submission."""

import hashlib

import torch
from torch import Tensor


class Draw:
    """A seeded source of inputs for cases. `dtype` is float32 unless said."""

    def __init__(self, *key: str | int | bytes):
        """key: whatever names the use; equal keys give equal draws."""
        text = b"\x00".join(k if isinstance(k, bytes) else str(k).encode() for k in key)
        seed = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, *shape: int, scale: float = 1.0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Normal numbers of standard deviation `scale`."""
        drawn = torch.randn(shape, generator=self.generator, dtype=torch.float64) * scale
        return drawn.to(dtype)

    def uniform(
        self, *shape: int, low: float = 0.0, high: float = 1.0, dtype: torch.dtype = torch.float32
    ) -> Tensor:
        """Numbers spread evenly over [low, high)."""
        drawn = torch.rand(shape, generator=self.generator, dtype=torch.float64)
        return (low + (high - low) * drawn).to(dtype)

    def logp(self, *shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
        """Log-probabilities of drawn tokens: below 0, of ordinary size."""
        return -self.uniform(*shape, low=0.05, high=3.0, dtype=dtype)

    def integers(self, *shape: int, below: int) -> Tensor:
        """Whole numbers in [0, below), int64."""
        return torch.randint(below, shape, generator=self.generator)

    def lengths_mask(self, batch: int, time: int) -> Tensor:
        """Rows of unequal length, True first: row 0 is full, the others shorter, none empty."""
        lengths = 1 + self.integers(batch, below=max(time - 1, 1))
        lengths[0] = time
        return torch.arange(time) < lengths[:, None]

    def scattered_mask(self, batch: int, time: int) -> Tensor:
        """True and False anywhere, at least one of each."""
        mask = torch.rand(batch, time, generator=self.generator) < 0.6
        mask[0, 0], mask[-1, -1] = True, False
        return mask
