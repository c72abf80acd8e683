"""Logs an outage when it begins, when its reason changes and when it ends, but not too often."""

import re
from collections.abc import Mapping

from redis import exceptions

from ... import clock
from ...logs import RateLimit, logger
from ..contract import OUTAGES

# After so many seconds an outage is none that is over at once.
_SHORT = 1.0

# Seconds between two log lines of one outage, and how much of Redis' words is shown.
_QUIET = 10.0
_MAX_WORDS = 300

# While one of these is down nothing comes and nothing goes. While a cluster's node is down only its
# own channels stand still.
_CONNECTIONS = frozenset({"commands", "subscriptions"})


# What Redis 6 puts before the words of a command that a script called.
_OF_A_SCRIPT = re.compile(r"Error running script \(call to \w+\): (@user_script: ?\d+: )*-?")


class Deaf(ConnectionError):
    """A connection answers, and what is published does not come on it."""


def words(error: BaseException) -> str:
    """Return what Redis said, with its code, which redis-py takes away; or that it was silent."""
    if isinstance(error, TimeoutError | exceptions.TimeoutError) and not str(error):
        return "no answer in time"
    text = _OF_A_SCRIPT.sub("", str(error)) or type(error).__name__
    code = getattr(error, "status_code", None)
    return text if code in (None, "", "ERR") or text.startswith(code) else f"{code} {text}"


def reason(error: BaseException) -> str:
    """Return what metrics call an error: the code of Redis in lower case, or a word of ours."""
    if isinstance(error, Deaf):
        return "deaf"
    code = words(error).partition(" ")[0]
    if code.isupper() and code.lower() in OUTAGES:
        return code.lower()
    if "can't run this command" in str(error) or "can't access at least one" in str(error):
        return "noperm"  # as Redis says it of what a script does
    if isinstance(error, TimeoutError | exceptions.TimeoutError):
        return "timeout"
    return "connection" if isinstance(error, OSError | exceptions.ConnectionError) else "other"


class ConnectionHealth:
    """What of one server does not work now: a kind of connections, or what Redis refuses."""

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
        """Whether connections have been down for longer than it takes to connect again."""
        return not _CONNECTIONS.isdisjoint(self._down) and clock.monotonic() > self._since + _SHORT

    @property
    def problem(self) -> str:
        """What does not work now, in Redis' words without its address; empty if all works."""
        return "; ".join(dict.fromkeys(_public(what, error) for what, error in self._down.items()))

    @property
    def counts(self) -> Mapping[str, int]:
        """How often something began not to work, by why."""
        return self._counts

    def began(self, what: str, error: BaseException) -> None:
        """Note that something does not work, for the first time or still, and why."""
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
        """It works again."""
        if what in self._down:
            del self._down[what]
            if not self._down and self._told:
                self._told = ""
                logger.warning(
                    "%s answers again, after %.1f s", self._server, clock.monotonic() - self._since
                )


def _line(what: str, error: BaseException) -> str:
    said = ascii(words(error)[:_MAX_WORDS])[1:-1]
    if isinstance(error, Deaf):
        return f"tells nothing of what is published: {said}"
    if what in _CONNECTIONS or what == "a node":
        return f"does not answer: {type(error).__name__}: {said}"
    return f"refuses {what}: {said}"


def _public(what: str, error: BaseException) -> str:
    if (
        isinstance(error, exceptions.ResponseError | exceptions.AuthenticationError)
        or reason(error) == "loading"
    ):
        return f"Redis: {ascii(words(error)[:_MAX_WORDS])[1:-1]}"
    return (
        "Redis tells nothing of what is published"
        if isinstance(error, Deaf)
        else "Redis does not answer"
    )
