"""Attachments saved from mail: the address of who sent it in the folder's or the file's name.

`Re: lesson 2 - ada@uni.example/`, `ada@uni.example_02_divergence.ipynb`. No date in them counts.
"""

import re

from . import Batch, Claim

ADDRESS = re.compile(
    r"(?<![A-Za-z0-9])[A-Za-z0-9](?:[\w.+-]*[A-Za-z0-9])?@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"
)


def without_addresses(text: str) -> str:
    """The text with a space in place of each address."""
    return ADDRESS.sub(" ", text) if "@" in text else text


def claims(parts: tuple[str, ...], batch: Batch) -> list[Claim]:
    """In the outermost part that holds exactly one address."""
    for at, part in enumerate(parts):
        text = part if at < len(parts) - 1 else re.sub(r"\.(ipynb|zip)$", "", part)
        found = set(ADDRESS.findall(text)) if "@" in text else set()
        if len(found) == 1:
            return [Claim("mail", at, email=found.pop(), sure=False)]
    return []
