"""One place that knows which device to compute on."""

import torch


def pick_device() -> torch.device:
    """The GPU (CUDA, then Apple's MPS) when there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
