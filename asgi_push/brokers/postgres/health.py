"""What the errors of PostgreSQL mean: for the log, for metrics and for people."""

import psycopg

from ..health import ConnectionHealth, Deaf, quoted

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


class PostgresHealth(ConnectionHealth):
    """What of one PostgreSQL does not work now."""

    connections = frozenset({"writing", "reading", "listening"})

    def _reason(self, error: BaseException) -> str:
        return reason(error)

    def _line(self, what: str, error: BaseException) -> str:
        said = quoted(words(error))
        if isinstance(error, Deaf):
            return f"notifies of nothing that is published: {said}"
        if what in self.connections:
            return f"does not answer: {said}"
        return f"refuses {what}: {said}"

    def _public(self, what: str, error: BaseException) -> str:
        if isinstance(error, Deaf):
            return "PostgreSQL notifies of nothing that is published"
        if reason(error) in ("connection", "timeout"):
            return "PostgreSQL does not answer"
        return f"PostgreSQL: {quoted(words(error))}"
