"""What is published: the same JSON object for every peer, of one length, with its number in it."""

import json
import random
import re
from typing import Any

# Ten digits from the first to the last, so that every frame of a run has the same length.
FIRST = 1_000_000_000

_NUMBER = re.compile(rb'"seq":\s?(\d{10})')


def publication(seq: int, size: int) -> dict[str, Any]:
    """Return a publication of ``size`` bytes as compact JSON; ``json.dumps`` as it is adds some blanks."""
    return _order(seq, _text(seq, size - _BARE))


def _text(seq: int, length: int) -> str:
    """Return a text of this length: a long one shrinks as much as JSON of as many bytes does."""
    start = seq * 7919 % (len(_ITEMS) // 2)  # far from those before, which a compressor may remember
    return "x" * length if length < _LONG else _ITEMS[start : start + length]


def _item(chance: random.Random) -> str:
    name = f"{chance.choice(('blue', 'red', 'green'))} {chance.choice(('shirt', 'hat', 'jacket'))}"
    price, state = chance.randrange(100, 100_000) / 100, chance.choice(("open", "shipped", "returned"))
    fields = {"id": chance.randrange(100_000), "name": name, "quantity": 3, "unit_price": price, "status": state}
    return json.dumps(fields, separators=(",", ":")).replace('"', "'")


def _order(seq: int, text: str) -> dict[str, Any]:
    return {"seq": FIRST + seq, "type": "order", "order": 4711, "status": "shipped", "total": 129.9, "text": text}


_LONG = 256
_ITEMS = "".join(map(_item, [random.Random(1)] * 4000))  # of some 350 kB
_BARE = len(json.dumps(_order(0, ""), separators=(",", ":")))


def number(payload: bytes) -> int | None:
    """Return the number in a payload, whatever a peer put around it; None where there is none."""
    found = _NUMBER.search(payload)
    return int(found[1]) - FIRST if found else None
