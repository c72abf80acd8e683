"""How long to wait before a server that did not answer is tried again."""

import random
from collections.abc import Iterator

# Waits between two attempts to connect, in seconds; nobody waits longer for a server that is back.
_FIRST_BACKOFF = 0.05
_MAX_BACKOFF = 3.0


def backoffs() -> Iterator[float]:
    """Yield how long to wait before each attempt, with jitter: processes must not come at once."""
    backoff = _FIRST_BACKOFF
    while True:
        yield backoff * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
        backoff = min(backoff * 2, _MAX_BACKOFF)
