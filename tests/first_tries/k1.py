"""First tries at `k1`."""

import torch

from . import right, told


@told("ref_minus_policy")
def turned(logp, ref_logp):
    return ref_logp.detach() - logp


@right
def through_torch(logp, ref_logp):
    return torch.sub(logp, ref_logp.detach().clone())
