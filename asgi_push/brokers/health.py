"""Logs an outage when it begins, when its reason changes and when it ends, but not too often."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from .. import clock
from ..logs import RateLimit, logger

# Why a broker does not do its work: a word of Redis for what it refuses, or what became of a
# connection.
OUTAGES = (
    "busy",
    "clusterdown",
    "connection",
    "deaf",
    "loading",
    "masterdown",
    "misconf",
    "noauth",
    "noperm",
    "noreplicas",
    "oom",
    "other",
    "readonly",
    "timeout",
    "tryagain",
    "wrongpass",
    "wrongtype",
)

# After so many seconds an outage is none that is over at once.
_SHORT = 1.0

# Seconds between two log lines of one outage, and how much of the server's words is shown.
_QUIET = 10.0
_MAX_WORDS = 300


class Deaf(ConnectionError):
    """A connection answers, and what is published does not come on it."""


class ConnectionHealth(ABC):
    """What of one server does not work now: a kind of connections, or what it refuses.

    A subclass knows the server's errors.

    Attributes:
        connections: the kinds of connections without which nothing comes, or nothing goes.
    """

    connections: frozenset[str] = frozenset()

    def __init__(self, server: str) -> None:
        self._server = server
        self._down: dict[str, BaseException] = {}
        self._since = 0.0
        self._told = ""
        self._quiet = RateLimit(_QUIET)
        self._counts = dict.fromkeys(OUTAGES, 0)

    @abstractmethod
    def _reason(self, error: BaseException) -> str:
        """Return what metrics call an error, one of ``OUTAGES``."""

    @abstractmethod
    def _line(self, what: str, error: BaseException) -> str:
        """Return what the log says of an error, after the server's name."""

    @abstractmethod
    def _public(self, what: str, error: BaseException) -> str:
        """Return what anybody may read of an error: no address is in it."""

    def __bool__(self) -> bool:
        return bool(self._down)

    @property
    def lasting(self) -> bool:
        """Whether connections are down, and for longer than it takes to connect again."""
        down = not self.connections.isdisjoint(self._down)
        return down and clock.monotonic() > self._since + _SHORT

    @property
    def problem(self) -> str:
        """What does not work now, in words without the server's address; empty if all works."""
        told = [self._public(what, error) for what, error in self._down.items()]
        return "; ".join(dict.fromkeys(told))

    @property
    def counts(self) -> Mapping[str, int]:
        """How often something began not to work, by why."""
        return self._counts

    def began(self, what: str, error: BaseException) -> None:
        """Note that something does not work, for the first time or still, and why."""
        if not self._down:
            self._since = clock.monotonic()
        known = self._down.get(what)
        if known is None or self._reason(known) != self._reason(error):
            self._counts[self._reason(error)] += 1
        self._down[what] = error
        told = self._line(what, error)
        if told != self._told and self._quiet.allow("", clock.monotonic()) is not None:
            self._told = told
            logger.error("%s %s; trying again", self._server, told)

    def ended(self, what: str) -> None:
        """Note that it works again."""
        if what not in self._down:
            return
        del self._down[what]
        if not self._down and self._told:
            self._told = ""
            took = clock.monotonic() - self._since
            logger.warning("%s answers again, after %.1f s", self._server, took)


def quoted(said: str) -> str:
    """Return a server's words for a log line: in ASCII, and not too many."""
    return ascii(said[:_MAX_WORDS])[1:-1]
