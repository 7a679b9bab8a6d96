"""What a network gives each token that was written."""

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812, its usual name

from ..shapes import shaped


@shaped
def response_log_probs(
    network: nn.Module, tokens: Int[Tensor, "batch time"]
) -> Float[Tensor, "batch time-1"]:
    """Log-probability of each token after the first, in nats: lesson 01's token_log_probs.

    The network is asked in the mode that it is in, with a graph where one is kept.
    """
    scores, targets = network(tokens)[:, :-1], tokens[:, 1:]
    flat = F.cross_entropy(scores.flatten(0, 1), targets.flatten(), reduction="none")
    return -flat.view_as(targets)
