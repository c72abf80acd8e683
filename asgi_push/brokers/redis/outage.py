"""Tells of an outage once when it begins, and once when it is over."""

import random
import time
from collections.abc import Iterator

from ...logs import logger, printable

# Waits between two attempts to connect, in seconds; nobody waits for more than the last for a server that is back.
_FIRST_BACKOFF, _MAX_BACKOFF = 0.05, 3.0

# After so many seconds an outage is none that is over at once.
_SHORT = 1.0


class Outage:
    """What of one server's connections is down."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._down: set[str] = set()
        self._since = 0.0

    def __bool__(self) -> bool:
        return bool(self._down)

    @property
    def lasting(self) -> bool:
        """Whether it is down, and has been for longer than it takes to connect again."""
        return bool(self._down) and time.monotonic() > self._since + _SHORT

    def began(self, what: str, error: BaseException) -> None:
        """One kind of connection is lost."""
        if not self._down:
            self._since = time.monotonic()
            reason = printable(f"{type(error).__name__}: {error}")
            logger.error("%s does not answer: %s; trying again", self._server, reason)
        self._down.add(what)

    def ended(self, what: str) -> None:
        """It works again."""
        if what in self._down:
            self._down.discard(what)
            if not self._down:
                logger.warning("%s answers again, after %.1f s", self._server, time.monotonic() - self._since)


def backoffs() -> Iterator[float]:
    """Yield how long to wait before each attempt, with jitter, so that processes do not come all at once."""
    backoff = _FIRST_BACKOFF
    while True:
        yield backoff * random.uniform(0.5, 1.0)  # noqa: S311  # jitter, not a secret
        backoff = min(backoff * 2, _MAX_BACKOFF)
