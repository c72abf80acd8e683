"""Texts that resemble each other, so that whoever compresses them in a row refers to those before."""

from __future__ import annotations

import random


def mixed_text(number: int) -> str:
    """Return the text with a number: short ones, which nobody compresses, and up to ten kilobytes."""
    chance = random.Random(number)
    count = chance.choice([0, 1, 10, 20, 100])
    words = [f'{{"id": {chance.randrange(1000)}, "state": "{chance.choice(STATES)}"}}' for _ in range(count)]
    return f"{number} [{', '.join(words)}]"


STATES = ("open", "shipped", "returned \u2026")
