"""What pretraining leaves behind, and how to read it again."""

from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from .model import LanguageModel, Sizes
from .scorers import Gold, Proxy
from .vocabulary import Vocabulary

DATA = Path(str(files(__package__) / "data"))
SIZES = Sizes(vocab=4096, context=48, layers=4)
AGAIN = "install the course again, or make it with: make pretrain"
Network = TypeVar("Network", bound=nn.Module)


class CheckpointError(Exception):
    """A shipped file is missing, or does not hold what it should."""


def load_model(path: Path = DATA / "reviewer.safetensors") -> LanguageModel:
    """The pretrained language model of reviews, in eval mode, on the CPU.

    Raises CheckpointError, naming the file and the remedy, when it is missing or damaged.
    """
    return load_into(LanguageModel(SIZES), path)


def load_proxy(path: Path = DATA / "proxy.safetensors") -> Proxy:
    """The reward that is optimised. Raises CheckpointError as `load_model` does."""
    return load_into(Proxy(SIZES.vocab), path)


def load_gold(path: Path = DATA / "gold.safetensors") -> Gold:
    """The score that is wanted. Raises CheckpointError as `load_model` does."""
    return load_into(Gold(SIZES), path)


def load_vocabulary(path: Path = DATA / "vocabulary.json") -> Vocabulary:
    """The tokens of all three. Raises CheckpointError as `load_model` does."""
    try:
        return Vocabulary.load(path)
    except Exception as error:  # the library raises no narrower type
        raise CheckpointError(f"{path}: {error}; {AGAIN}") from error


def load_into(network: Network, path: Path) -> Network:
    """Fill the network's parameters from the file, in float32, and put it in eval mode."""
    try:
        state = load_file(path)
        network.load_state_dict({name: value.float() for name, value in state.items()})
    except (OSError, SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{path}: {error}; {AGAIN}") from error
    return network.eval()


def save(network: nn.Module, path: Path) -> None:
    """Write the parameters in half precision, which halves the file and changes no digit seen."""
    state = {name: value.detach().cpu().half() for name, value in network.state_dict().items()}
    save_file({name: value.contiguous() for name, value in state.items()}, path)


def count_parameters(network: nn.Module) -> int:
    """How many numbers training may change."""
    return sum(parameter.numel() for parameter in network.parameters())
