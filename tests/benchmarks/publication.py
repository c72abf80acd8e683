"""What is published: the same JSON object for every peer, of one length, with its number in it."""

import json
import re
from typing import Any

# Ten digits from the first to the last, so that every frame of a run has the same length.
FIRST = 1_000_000_000

_NUMBER = re.compile(rb'"seq":\s?(\d{10})')


def publication(seq: int, size: int) -> dict[str, Any]:
    """Return a publication of ``size`` bytes as compact JSON; ``json.dumps`` as it is adds some blanks."""
    return _order(seq, "x" * (size - _BARE))


def _order(seq: int, text: str) -> dict[str, Any]:
    return {"seq": FIRST + seq, "type": "order", "order": 4711, "status": "shipped", "total": 129.9, "text": text}


_BARE = len(json.dumps(_order(0, ""), separators=(",", ":")))


def number(payload: bytes) -> int | None:
    """Return the number in a payload, whatever a peer put around it; None where there is none."""
    found = _NUMBER.search(payload)
    return int(found[1]) - FIRST if found else None
