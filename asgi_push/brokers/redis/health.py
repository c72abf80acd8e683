"""What the errors of Redis mean: for the log, for metrics and for people."""

import re

from redis import exceptions

from ..health import OUTAGES, ConnectionHealth, Deaf, quoted

# What Redis 6 puts before the words of a command that a script called.
_OF_A_SCRIPT = re.compile(r"Error running script \(call to \w+\): (@user_script: ?\d+: )*-?")

# The codes that redis-py takes away before it makes an error, by what is left of them. From 7.2 on
# it keeps the code beside.
_CODES = {
    exceptions.BusyLoadingError: "LOADING",
    exceptions.ClusterDownError: "CLUSTERDOWN",
    exceptions.MasterDownError: "MASTERDOWN",
    exceptions.NoPermissionError: "NOPERM",
    exceptions.OutOfMemoryError: "OOM",
    exceptions.ReadOnlyError: "READONLY",
    exceptions.TryAgainError: "TRYAGAIN",
}
_CODES_OF_LOGINS = {
    "Authentication required": "NOAUTH",
    "invalid username-password pair": "WRONGPASS",
}


def words(error: BaseException) -> str:
    """Return what Redis said, with its code, which redis-py takes away; or that it was silent."""
    if isinstance(error, TimeoutError | exceptions.TimeoutError) and not str(error):
        return "no answer in time"
    text = _OF_A_SCRIPT.sub("", str(error)) or type(error).__name__
    code = _code(error)
    return text if code in ("", "ERR") or text.startswith(code) else f"{code} {text}"


def _code(error: BaseException) -> str:
    if hasattr(error, "status_code"):
        return error.status_code or ""
    if isinstance(error, exceptions.AuthenticationError):
        text = str(error)
        found = (code for said, code in _CODES_OF_LOGINS.items() if text.startswith(said))
        return next(found, "")
    return _CODES.get(type(error), "")


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


class RedisHealth(ConnectionHealth):
    """What of one Redis, or of one cluster, does not work now."""

    # While a cluster's node is down only its own channels stand still.
    connections = frozenset({"commands", "subscriptions"})

    def _reason(self, error: BaseException) -> str:
        return reason(error)

    def _line(self, what: str, error: BaseException) -> str:
        said = quoted(words(error))
        if isinstance(error, Deaf):
            return f"tells nothing of what is published: {said}"
        if what in self.connections or what == "a node":
            return f"does not answer: {type(error).__name__}: {said}"
        return f"refuses {what}: {said}"

    def _public(self, what: str, error: BaseException) -> str:
        if isinstance(error, Deaf):
            return "Redis tells nothing of what is published"
        answered = isinstance(error, exceptions.ResponseError | exceptions.AuthenticationError)
        if answered or reason(error) == "loading":
            return f"Redis: {quoted(words(error))}"
        return "Redis does not answer"
