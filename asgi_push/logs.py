"""Logging that clients cannot abuse, neither by what they send nor by how often."""

import logging

logger = logging.getLogger("asgi_push")

# Characters: enough to recognise a value, too few for a hostile one to fill the disk.
_MAX_LOGGED = 100


def printable(text: object) -> str:
    """Return a client's text as one short line of printable ASCII, in quotes."""
    shown = str(text)
    return ascii(shown if len(shown) <= _MAX_LOGGED else shown[:_MAX_LOGGED] + "...")


class RateLimit:
    """Lets one event per key and ``interval`` seconds through, and counts the others."""

    __slots__ = ("_interval", "_seen")

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._seen: dict[str, tuple[float, int]] = {}  # a key is never a client's text

    def allow(self, key: str, now: float) -> int | None:
        """Return how many events were held back before this one, or None to hold this one back."""
        last, held = self._seen.get(key, (float("-inf"), 0))
        if now - last < self._interval:
            self._seen[key] = (last, held + 1)
            return None
        self._seen[key] = (now, 0)
        return held

    def forget(self) -> None:
        """Let the next event of each key through."""
        self._seen.clear()

    def log(
        self,
        level: int,
        now: float,
        message: str,
        *args: object,
        key: str | None = None,
        exc_info: bool | BaseException = False,
    ) -> None:
        """Log a message and how many were held back before it, or hold it back.

        Args:
            level: as ``logging`` has it.
            now: in seconds of a monotonic clock.
            message: a format for ``args``.
            args: what the format shows.
            key: messages with the same key count together; the format, if None.
            exc_info: the exception to log with it; True for the one that is being handled.
        """
        held_back = self.allow(message if key is None else key, now)
        if held_back is not None:
            more = f" (and {held_back} more since the last such line)" if held_back else ""
            # No words of clients.
            logger.log(level, message + more, *args, exc_info=exc_info)  # noqa: G003


_of_modules: list[RateLimit] = []


def module_rate_limit(interval: float) -> RateLimit:
    """Return a rate limit for a module to keep; it forgets all when an application starts."""
    _of_modules.append(RateLimit(interval))
    return _of_modules[-1]


def begin_anew() -> None:
    """Let the next message of each kind through, as an application starts."""
    for limit in _of_modules:
        limit.forget()
