"""Tells of an outage when it begins, when its reason changes, and when it is over."""

from collections.abc import Mapping

import psycopg

from ... import clock
from ...logs import RateLimit, logger
from ..contract import OUTAGES

# After so many seconds an outage is none that is over at once.
_SHORT = 1.0

# Seconds between two log lines of one outage, and how much of the server's words is shown.
_QUIET = 10.0
_MAX_WORDS = 300

# While one of these connections is down nothing comes, or nothing goes.
CONNECTIONS = frozenset({"writing", "reading", "listening"})

# What metrics call an error, by its SQLSTATE:
# https://www.postgresql.org/docs/current/errcodes-appendix.html
_REASONS = {
    "28P01": "wrongpass",
    "28000": "noauth",
    "42501": "noperm",
    "25006": "readonly",
    "57P03": "loading",
    "53300": "busy",
    "53100": "oom",
    "53200": "oom",
}

# Errors before a session begins have no SQLSTATE here, only words.
_WORDS = {
    "password authentication failed": "wrongpass",
    "no password supplied": "wrongpass",
    "pg_hba.conf": "noauth",
    "starting up": "loading",
    "shutting down": "loading",
    "recovery mode": "loading",
    "too many": "busy",
    "connection slots": "busy",
}


class Deaf(ConnectionError):
    """A connection answers, and what is notified does not come on it."""


def words(error: BaseException) -> str:
    """Return what the server said, in one line and without its address."""
    if isinstance(error, TimeoutError | psycopg.errors.ConnectionTimeout):
        return "no answer in time"
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = " ".join(str(error).split()) or type(error).__name__
    return text.rpartition("FATAL: ")[2].strip()


def reason(error: BaseException) -> str:
    """Return what metrics call an error, one of ``OUTAGES``."""
    if isinstance(error, Deaf):
        return "deaf"
    if isinstance(error, TimeoutError | psycopg.errors.ConnectionTimeout):
        return "timeout"
    state = getattr(error, "sqlstate", None)
    if state in _REASONS:
        return _REASONS[state]
    text = str(error)
    for said, name in _WORDS.items():
        if said in text:
            return name
    lost = isinstance(error, OSError | psycopg.OperationalError | psycopg.InterfaceError)
    return "connection" if lost else "other"


class ConnectionHealth:
    """What of one server does not work now: a kind of connections, or what it refuses."""

    def __init__(self, server: str) -> None:
        self._server = server
        self._down: dict[str, BaseException] = {}
        self._since = 0.0
        self._told = ""
        self._quiet = RateLimit(_QUIET)
        self._counts = dict.fromkeys(OUTAGES, 0)

    def __bool__(self) -> bool:
        return bool(self._down)

    @property
    def lasting(self) -> bool:
        """Whether connections are down, and for longer than it takes to connect again."""
        down = not CONNECTIONS.isdisjoint(self._down)
        return down and clock.monotonic() > self._since + _SHORT

    @property
    def problem(self) -> str:
        """What does not work now, in the server's words where there are any; empty if all works."""
        return "; ".join(dict.fromkeys(_public(error) for error in self._down.values()))

    @property
    def counts(self) -> Mapping[str, int]:
        """How often something began not to work, by why."""
        return self._counts

    def began(self, what: str, error: BaseException) -> None:
        """Note that something does not work, for the first time or still."""
        if not self._down:
            self._since = clock.monotonic()
        known = self._down.get(what)
        if known is None or reason(known) != reason(error):
            self._counts[reason(error)] += 1
        self._down[what] = error
        told = _line(what, error)
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


def _line(what: str, error: BaseException) -> str:
    said = ascii(words(error)[:_MAX_WORDS])[1:-1]
    if isinstance(error, Deaf):
        return f"notifies of nothing that is published: {said}"
    if what in CONNECTIONS:
        return f"does not answer: {said}"
    return f"refuses {what}: {said}"


def _public(error: BaseException) -> str:
    if isinstance(error, Deaf):
        return "PostgreSQL notifies of nothing that is published"
    if reason(error) in ("connection", "timeout"):
        return "PostgreSQL does not answer"
    return f"PostgreSQL: {ascii(words(error)[:_MAX_WORDS])[1:-1]}"
