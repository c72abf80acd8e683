"""Publishing inside a transaction of the application, on its own connection."""

import inspect
from typing import Any, NamedTuple

from ...messages import Publication
from .. import envelope
from ..contract import StreamOptions
from .names import stored, stored_key

_ARGUMENTS = "{}::text, {}::bytea, {}::bigint, {}::float8, {}::text"

# As each driver writes arguments.
_PERCENT = "SELECT asgi_push.publish({})".format(_ARGUMENTS.format(*["%s"] * 5))
_DOLLAR = "SELECT asgi_push.publish({})".format(_ARGUMENTS.format("$1", "$2", "$3", "$4", "$5"))
_NAMED = (
    "SELECT asgi_push.publish(CAST(:channel AS text), CAST(:body AS bytea),"
    " CAST(:size AS bigint), CAST(:ttl AS float8), CAST(:key AS text))"
)

# What may be given, by the library and the name of a class; others may derive from these.
_KINDS = {
    ("psycopg", "Connection"): "psycopg",
    ("psycopg", "AsyncConnection"): "async psycopg",
    ("asyncpg", "Connection"): "async asyncpg",
    ("asyncpg", "PoolConnectionProxy"): "async asyncpg",
    ("sqlalchemy", "Connection"): "sqlalchemy",
    ("sqlalchemy", "Session"): "sqlalchemy",
    ("sqlalchemy", "scoped_session"): "sqlalchemy",
    ("sqlalchemy", "AsyncConnection"): "async sqlalchemy",
    ("sqlalchemy", "AsyncSession"): "async sqlalchemy",
    ("sqlalchemy", "async_scoped_session"): "async sqlalchemy",
    ("django", "BaseDatabaseWrapper"): "django",
    ("django", "ConnectionProxy"): "django",
}


class Arguments(NamedTuple):
    """The arguments of ``asgi_push.publish``, in their order."""

    channel: str
    body: bytes
    size: int | None
    ttl: float | None
    key: str | None


async def publish_in(
    connection: Any,
    publication: Publication,
    stream: StreamOptions | None,
    idempotency_key: str | None,
) -> None:
    """Publish in the transaction of a connection: delivered when it commits, never if it does not.

    A connection that is not async is used on this thread, which waits for it.

    Raises:
        ValueError: it is no connection to a PostgreSQL that is known here.
        Exception: whatever the driver raises.
    """
    done = _execute(connection, _arguments(publication, stream, idempotency_key))
    if inspect.isawaitable(done):
        await done


def publish_in_blocking(
    connection: Any,
    publication: Publication,
    stream: StreamOptions | None,
    idempotency_key: str | None,
) -> None:
    """Do the same on a connection that is not async; see ``publish_in``."""
    if kind_of(connection).startswith("async"):
        raise ValueError("using: this connection is async: await push.publish(...)")
    _execute(connection, _arguments(publication, stream, idempotency_key))


def kind_of(connection: Any) -> str:
    """Return which library a connection is of; ValueError if it is none that is known."""
    for cls in type(connection).__mro__:
        kind = _KINDS.get((cls.__module__.partition(".")[0], cls.__name__))
        if kind is not None:
            _check_dialect(kind, connection)
            return kind
    raise ValueError(
        "using: must be a connection of psycopg, asyncpg or Django, or a connection or session of"
        f" SQLAlchemy, not {type(connection).__module__}.{type(connection).__qualname__}"
    )


def _check_dialect(kind: str, connection: Any) -> None:
    if kind == "django":
        name = connection.vendor
    elif kind.endswith("sqlalchemy"):
        bind = connection.get_bind() if hasattr(connection, "get_bind") else connection
        name = bind.dialect.name
    else:
        return
    if name != "postgresql":
        raise ValueError(f"using: must be a connection to the PostgreSQL of the broker, not {name}")


def _arguments(
    publication: Publication, stream: StreamOptions | None, idempotency_key: str | None
) -> Arguments:
    size, ttl = (None, None) if stream is None else (stream.size, stream.ttl)
    channel = stored(publication.channel)
    body = envelope.body(publication)
    return Arguments(channel, body, size, ttl, stored_key(idempotency_key))


def _execute(connection: Any, arguments: Arguments) -> Any:
    """Run the function; what is returned is to be awaited if the connection is async."""
    kind = kind_of(connection)
    if kind.endswith("psycopg"):
        return connection.execute(_PERCENT, arguments)
    if kind == "async asyncpg":
        return connection.execute(_DOLLAR, *arguments)
    if kind == "django":
        with connection.cursor() as cursor:
            return cursor.execute(_PERCENT, arguments)
    from sqlalchemy import text  # noqa: PLC0415  # whose connection this is

    return connection.execute(text(_NAMED), arguments._asdict())
